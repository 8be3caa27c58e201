package budget_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// A day is one of a bubble's, from its first midnight on, in which budgets are looked at while something happens.
type day struct {
	t      *testing.T
	start  time.Time
	store  *memstore.Store
	ledger *budget.Ledger
}

// liveDay runs these ledgers, or one with defaults, on one store for so long, while do does what it does.
func liveDay(t *testing.T, long time.Duration, do func(d *day), options ...budget.Options) (forecasts []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		d := &day{t: t, start: time.Now(), store: s, ledger: budget.NewLedger(s, nil)}
		if options == nil {
			options = make([]budget.Options, 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		var running sync.WaitGroup
		for _, o := range options {
			running.Go(func() {
				if err := budget.NewLedger(s, &o).Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run returned %v", err)
				}
			})
		}
		do(d)
		running.Wait()
		forecasts = d.forecasts()
	})
	return forecasts
}

func (d *day) create(b budget.Budget) budget.Budget {
	d.t.Helper()
	if b.Schedule == (period.Schedule{}) {
		b.Schedule = period.Daily
	}
	made, err := d.ledger.Create(d.t.Context(), withDefaults(b))
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}

// use waits until so long after the start and records tokens of a user.
func (d *day) use(after time.Duration, user string, n int64) {
	d.t.Helper()
	d.at(after)
	e := usage.Event{ID: usage.NewID(), Subject: usage.Subject{User: user}, Amounts: usage.Amounts{InputTokens: n}}
	if _, err := d.ledger.Record(d.t.Context(), e); err != nil {
		d.t.Fatal(err)
	}
}

// at waits until so long after the start: never until an instant at which Run looks, too, for then either may come first.
func (d *day) at(after time.Duration) {
	d.t.Helper()
	if after%(15*time.Minute) == 0 {
		d.t.Fatalf("%v after the start, budgets may be looked at", after)
	}
	time.Sleep(time.Until(d.start.Add(after)))
}

// limit waits until so long after the start and sets the limit.
func (d *day) limit(after time.Duration, id, limit string) {
	d.t.Helper()
	d.at(after)
	_, err := d.ledger.Update(d.t.Context(), id, func(b *budget.Budget) error { b.Limit = dec(limit); return nil })
	if err != nil {
		d.t.Fatal(err)
	}
}

// forecasts returns the forecast alerts, the oldest first.
func (d *day) forecasts() (texts []string) {
	d.t.Helper()
	found, err := d.ledger.Alerts(d.t.Context(), budget.AlertQuery{Kinds: []alert.Kind{alert.Forecast}})
	if err != nil {
		d.t.Fatal(err)
	}
	const layout = "2 15:04"
	for _, a := range slices.Backward(found) {
		text := fmt.Sprintf("%s: %s, to be passed at %s", a.At.Format(layout), a.Level, a.Expected.Format(layout))
		if user := a.Scope[usage.User]; user != "" {
			text += " by " + user
		}
		texts = append(texts, text)
	}
	return texts
}

func TestForecasts(t *testing.T) {
	t.Parallel()
	const minute, hour = time.Minute, time.Hour
	early := func(d *day) { d.use(5*hour-minute, "u1", 50) } // 100 at 10 o'clock, by the run rate
	perUser := budget.Scope{usage.User: budget.Each}
	tests := map[string]struct {
		do   func(d *day)
		long time.Duration // 0: a day
		want []string
	}{
		"what is projected to pass the limit has one alert": {
			do:   func(d *day) { d.create(budget.Budget{}); early(d) },
			want: []string{"1 05:00: ok, to be passed at 1 10:00"},
		},
		"what is not has none": {
			do: func(d *day) { d.create(budget.Budget{Limit: dec("250")}); early(d) },
		},
		"none comes early in the period": {
			do:   func(d *day) { d.create(budget.Budget{}); d.use(minute, "u1", 50) },
			want: []string{"1 01:15: ok, to be passed at 1 02:30"},
		},
		"the level is that of what is used": {
			do:   func(d *day) { d.create(budget.Budget{}); d.use(5*hour-minute, "u1", 85) },
			want: []string{"1 05:00: warning, to be passed at 1 05:52"},
		},
		"what has reached the limit has none": {
			do: func(d *day) { d.create(budget.Budget{}); d.use(5*hour-minute, "u1", 100) },
		},
		"what has passed the limit has none": {
			do: func(d *day) { d.create(budget.Budget{}); d.use(5*hour-minute, "u1", 150) },
		},
		"each value has one of its own": {
			do: func(d *day) {
				d.create(budget.Budget{Scope: perUser})
				d.use(5*hour-2*minute, "u2", 50)
				d.use(5*hour-minute, "u3", 5)
				d.use(8*hour-minute, "u1", 50)
			},
			want: []string{"1 05:00: ok, to be passed at 1 10:00 by u2", "1 08:00: ok, to be passed at 1 16:00 by u1"},
		},
		"each period has one": {
			do:   func(d *day) { d.create(budget.Budget{}); early(d); d.use(29*hour-minute, "u1", 50) },
			long: 48 * hour,
			want: []string{"1 05:00: ok, to be passed at 1 10:00", "2 05:00: ok, to be passed at 2 10:00"},
		},
		"whatever its length": {
			do: func(d *day) {
				d.create(budget.Budget{Schedule: period.Hourly})
				d.use(10*minute, "u1", 50)
				d.create(budget.Budget{Schedule: period.Monthly, Limit: dec("1000")})
				d.use(47*hour+minute, "u1", 50)
			},
			long: 49 * hour,
			want: []string{"1 00:15: ok, to be passed at 1 00:30", "2 23:15: ok, to be passed at 20 16:30", "2 23:15: ok, to be passed at 2 23:30"},
		},
		"only one if the limit goes up and down": {
			do: func(d *day) {
				b := d.create(budget.Budget{})
				early(d)
				d.limit(6*hour-minute, b.ID, "1000")
				d.limit(7*hour-minute, b.ID, "90")
			},
			want: []string{"1 05:00: ok, to be passed at 1 10:00"},
		},
		"a limit that goes down may bring it": {
			do: func(d *day) {
				b := d.create(budget.Budget{Limit: dec("1000")})
				early(d)
				d.limit(6*hour-minute, b.ID, "100")
			},
			want: []string{"1 06:00: ok, to be passed at 1 12:00"},
		},
		"a soft budget has one": {
			do:   func(d *day) { d.create(budget.Budget{Enforcement: budget.Soft}); early(d) },
			want: []string{"1 05:00: ok, to be passed at 1 10:00"},
		},
		"one that only observes has none": {
			do: func(d *day) { d.create(budget.Budget{Enforcement: budget.Observe}); early(d) },
		},
		"one that is disabled has none": {
			do: func(d *day) { d.create(budget.Budget{Disabled: true}); early(d) },
		},
		"one without end has none": {
			do: func(d *day) { d.create(budget.Budget{Schedule: period.Lifetime}); early(d) },
		},
		"one that has ended has none": {
			do: func(d *day) { d.create(budget.Budget{EndsAt: d.start.Add(5 * hour)}); early(d) },
		},
		"its end counts for one that ends within the period": {
			do: func(d *day) { d.create(budget.Budget{EndsAt: d.start.Add(9 * hour)}); early(d) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.long == 0 {
				test.long = 24 * hour
			}
			if diff := cmp.Diff(test.want, liveDay(t, test.long, test.do), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("forecasts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhoMakesForecasts(t *testing.T) {
	t.Parallel()
	early := func(d *day) { d.create(budget.Budget{}); d.use(5*time.Hour-time.Minute, "u1", 50) }
	at := func(clock string) []string { return []string{"1 " + clock + ": ok, to be passed at 1 10:00"} }
	var errs []error
	tests := map[string]struct {
		options []budget.Options
		do      func(d *day)
		want    []string
	}{
		"several make one":              {make([]budget.Options, 4), early, at("05:00")},
		"as often as is said":           {[]budget.Options{{ForecastInterval: 7 * time.Hour}}, early, []string{"1 07:00: ok, to be passed at 1 14:00"}},
		"nobody, where it is never":     {[]budget.Options{{ForecastInterval: -1}}, early, nil},
		"those who lost the store once": {[]budget.Options{{OnError: func(err error) { errs = append(errs, err) }}}, func(d *day) { early(d); d.store.FailNext(errDisk) }, []string{"1 05:15: ok, to be passed at 1 10:30"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, liveDay(t, 24*time.Hour, test.do, test.options...), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("forecasts (-want +got):\n%s", diff)
			}
		})
	}
	if len(errs) != 1 || !errors.Is(errs[0], errDisk) || !strings.HasPrefix(errs[0].Error(), "forecast: ") {
		t.Errorf("errors are %v, want one of the store", errs)
	}
}

// A meddler is a store in which something happens before the next Update.
type meddler struct {
	budget.Store
	before func()
}

func (m *meddler) Update(ctx context.Context, fn func(budget.Tx) error) error {
	if before := m.before; before != nil {
		m.before = nil
		before()
	}
	return m.Store.Update(ctx, fn)
}

func TestNoForecastIsMadeOfABudgetThatIsChangedMeanwhile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		meanwhile func(f *fixture) error
		want      []string
	}{
		"nothing was": {func(*fixture) error { return nil }, []string{"forecast 0 ok"}},
		"a limit was raised": {func(f *fixture) error {
			return second(f.Update(f.t.Context(), "b", func(b *budget.Budget) error { b.Limit = dec("1000"); return nil }))
		}, nil},
		"it was disabled": {func(f *fixture) error {
			return second(f.Update(f.t.Context(), "b", func(b *budget.Budget) error { b.Disabled = true; return nil }))
		}, nil},
		"it was deleted": {func(f *fixture) error { return f.Delete(f.t.Context(), "b") }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &meddler{}
			f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { m.Store = s; return m })
			f.create(budget.Budget{ID: "b"})
			f.record(tokens("a", 50))
			m.before = func() {
				if err := test.meanwhile(f); err != nil {
					t.Error(err)
				}
			}
			if err := f.Forecast(t.Context()); err != nil || m.before != nil {
				t.Fatalf("nothing was written, or not so: %v", err)
			}
			f.alerted(test.want...)
		})
	}
}

// What goes wrong with one counter is told, and the others are looked at.
func TestAForecastThatFailsKeepsNoOtherFromBeingMade(t *testing.T) {
	t.Parallel()
	m := &meddler{}
	f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { m.Store = s; return m })
	f.create(budget.Budget{ID: "a"})
	f.create(budget.Budget{ID: "b"})
	f.record(tokens("a", 50))
	m.before = func() { m.Store.(*memstore.Store).FailNext(errDisk) }
	is(t, f.Forecast(t.Context()), errDisk)
	f.alerted("forecast 0 ok")
	if err := f.Forecast(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.alerted("forecast 0 ok", "forecast 0 ok")
}

// A reader is a store that counts what is read from it.
type reader struct {
	budget.Store
	views int
}

func (r *reader) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	r.views++
	return r.Store.View(ctx, fn)
}

// A projection is a read of weeks, and there may be very many counters.
func TestACounterIsProjectedAnewOnlyWhereItMayHaveComeToPassItsLimit(t *testing.T) {
	t.Parallel()
	later := func(f *fixture, d time.Duration) { f.now = f.now.Add(d) }
	limit := func(f *fixture, limit string) {
		_, err := f.Update(f.t.Context(), "b", func(b *budget.Budget) error { b.Limit = dec(limit); return nil })
		if err != nil {
			f.t.Error(err)
		}
	}
	tests := map[string]struct {
		limit string
		since func(f *fixture)
		want  bool
	}{
		"it stands":                                             {"1000", func(*fixture) {}, false},
		"it stands for days":                                    {"1000", func(f *fixture) { later(f, 48*time.Hour) }, false},
		"it moved a little":                                     {"1000", func(f *fixture) { f.record(tokens("b", 1)) }, false},
		"it moved a little, in a long time":                     {"1000", func(f *fixture) { later(f, 16*time.Hour); f.record(tokens("b", 1)) }, true},
		"it moved a little, not so long":                        {"1000", func(f *fixture) { later(f, 15*time.Hour); f.record(tokens("b", 1)) }, false},
		"it moved a good part of the way":                       {"1000", func(f *fixture) { f.record(tokens("b", 60)) }, true},
		"it moved not quite as much":                            {"1000", func(f *fixture) { f.record(tokens("b", 59)) }, false},
		"it moved a little, to where it passes by the run rate": {"170", func(f *fixture) { f.record(tokens("b", 3)) }, true},
		"it moved as much, and does not":                        {"180", func(f *fixture) { f.record(tokens("b", 3)) }, false},
		"its limit is another":                                  {"1000", func(f *fixture) { limit(f, "900") }, true},
		"its period is another": {"1000", func(f *fixture) {
			later(f, 31*24*time.Hour)
			e := tokens("b", 1)
			e.Time = f.now
			f.record(e)
		}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &reader{}
			f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { r.Store = s; return r })
			f.create(budget.Budget{ID: "b", Limit: dec(test.limit)})
			f.record(tokens("a", 50))
			pass := f.Forecaster()
			views := func() int {
				t.Helper()
				before := r.views
				if err := pass(t.Context()); err != nil {
					t.Fatal(err)
				}
				return r.views - before
			}
			first, idle := views(), views()
			if first != idle+1 {
				t.Fatalf("%d reads at first and %d then, want one more", first, idle)
			}
			test.since(f)
			if got := views() > idle; got != test.want {
				t.Errorf("projected: %v, want %v", got, test.want)
			}
		})
	}
}
