package budget_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// recordOffice records 10 tokens at half past each hour from 9 to 17 on weekdays, for so many weeks up to the clock.
func recordOffice(f *fixture, weeks int, change func(usage.Event) usage.Event) {
	f.t.Helper()
	var events []usage.Event
	for when := f.now.AddDate(0, 0, -7*weeks).Truncate(24 * time.Hour).Add(30 * time.Minute); when.Before(f.now); when = when.Add(time.Hour) {
		if day := when.Weekday(); day == time.Saturday || day == time.Sunday || when.Hour() < 9 || when.Hour() >= 17 {
			continue
		}
		e := usage.Event{ID: usage.NewID(), Time: when, Amounts: usage.Amounts{InputTokens: 10}}
		if change != nil {
			e = change(e)
		}
		events = append(events, e)
	}
	f.record(events...)
}

// zones compares time zones by their names.
var zones = cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })

func projection(f *fixture, id string, value budget.Value) budget.Projection {
	f.t.Helper()
	p, err := f.Projection(f.t.Context(), id, value)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func TestProjectionGoesByTheBudgetsOwnUsage(t *testing.T) {
	t.Parallel()
	// March 2026 has 22 weekdays of 80 tokens, and until Tuesday the 10th at noon it had 6 and three hours.
	berlin := location(t, "Europe/Berlin")
	tests := map[string]struct {
		budget budget.Budget
		value  budget.Value
		want   string // "value recorded first-hour since method"
	}{
		"of everything": {
			budget.Budget{}, nil, "1760 510 2026-02-10 09:00 2026-01-13 12:00 seasonal",
		},
		"of a user among others": {
			budget.Budget{Scope: budget.Scope{"user": "ann"}}, nil, "880 260 2026-02-10 09:00 2026-01-13 12:00 seasonal",
		},
		"of one value": {
			budget.Budget{Scope: budget.Scope{"user": budget.Each}}, budget.Value{"user": "bob"}, "880 250 2026-02-10 10:00 2026-01-13 12:00 seasonal",
		},
		"of a label, from events": {
			budget.Budget{Scope: budget.Scope{"team": "red"}}, nil, "1760 510 2026-02-10 09:00 2026-01-13 12:00 seasonal",
		},
		"of credits": {
			budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.5")}, nil, "1760 510000000 2026-02-10 09:00 2026-01-13 12:00 seasonal",
		},
		"in the budget's zone": {
			budget.Budget{Schedule: period.Monthly.In(berlin)}, nil, "1760 510 2026-02-10 09:00 2026-01-13 12:00 seasonal",
		},
		"of its week": {
			budget.Budget{Schedule: period.Weekly}, nil, "400 110 2026-02-10 09:00 2026-01-13 12:00 seasonal",
		},
		"from its start on": {
			budget.Budget{StartsAt: at("2026-03-06T00:00:00Z")}, nil, "1097.777777778 190 2026-03-06 09:00 2026-03-06 00:00 run-rate short_history",
		},
		"for all time there is none": {
			budget.Budget{Schedule: period.Lifetime}, nil, "0 1630 2026-02-10 09:00 2026-01-13 12:00 auto open_period",
		},
		"for all time from its start on there is none": {
			budget.Budget{Schedule: period.Lifetime, StartsAt: at("2026-03-01T00:00:00Z")}, nil, "0 510 2026-03-02 09:00 2026-03-01 00:00 auto open_period",
		},
		"between its start and its end": {
			budget.Budget{Schedule: period.Lifetime, StartsAt: at("2026-02-10T00:00:00Z"), EndsAt: at("2026-03-21T00:00:00Z")},
			nil,
			"2320 1630 2026-02-10 09:00 2026-02-10 00:00 seasonal",
		},
		"after its end there is none": {
			budget.Budget{EndsAt: at("2026-02-21T00:00:00Z")}, nil, "0 0 2026-02-10 09:00 2026-01-13 12:00 auto not_running",
		},
		"of nobody there is none": {
			budget.Budget{Scope: budget.Scope{"user": "eve"}}, nil, "0 0 - 2026-01-13 12:00 auto no_usage",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			n := 0
			recordOffice(f, 4, func(e usage.Event) usage.Event {
				e.User, e.Labels, e.Cost = []string{"ann", "bob"}[n%2], map[string]string{"team": "red"}, new(dec("5"))
				n++
				return e
			})
			b := f.create(test.budget)
			p := projection(f, b.ID, test.value)
			first := "-"
			if len(p.Pace.Hours) > 0 {
				first = p.Pace.Hours[0].Start.Format("2006-01-02 15:04")
			}
			got := fmt.Sprintf("%s %d %s %s %s", p.Value.Round(9), p.Pace.Recorded, first, p.Pace.Since.Format("2006-01-02 15:04"), p.Method)
			for _, reason := range []usage.NoProjection{p.Fallback, p.Reason} {
				if reason != "" {
					got += " " + string(reason)
				}
			}
			if got != test.want {
				t.Errorf("projection is\n%s, want\n%s", got, test.want)
			}
			if diff := cmp.Diff(f.status(b.ID, test.value), p.Status, cmpopts.EquateComparable(period.Schedule{})); diff != "" {
				t.Errorf("status (-want +got)\n%s", diff)
			}
		})
	}
}

func TestWhatWasAdjustedIsUsedAndNoPace(t *testing.T) {
	t.Parallel()
	f := open(t)
	recordOffice(f, 4, nil)
	b := f.create(budget.Budget{Limit: dec("1800")})
	f.adjust(b.ID, "100")
	p := projection(f, b.ID, nil)
	if !p.Value.Equal(dec("1860")) || !p.Status.Used.Equal(dec("610")) {
		t.Errorf("projected %s, used %s, want 1860 of which 610", p.Value, p.Status.Used)
	}
	if want := at("2026-03-31T11:00:00Z"); !p.Passes.Equal(want) {
		t.Errorf("passes the limit at %s, want %s", p.Passes, want)
	}
	if rate := p.Pace.Project(usage.RunRate); !rate.Value.Equal(dec("1764.210526316")) {
		t.Errorf("the run rate is %s, want 100 + 510/9.5×31", rate.Value)
	}
}

func TestALimitThatIsPassedSaysWhen(t *testing.T) {
	t.Parallel()
	f := open(t)
	recordOffice(f, 4, nil)
	b := f.create(budget.Budget{Limit: dec("105")})
	if p := projection(f, b.ID, nil); !p.Passed || !p.Passes.Equal(at("2026-03-03T11:30:00Z")) {
		t.Errorf("passed %t, at %s, want in the third hour of Tuesday", p.Passed, p.Passes)
	}
}

func TestProjectionAtIsWhatWasSaidThen(t *testing.T) {
	check(t, func(rt *rapid.T) {
		f := openWith(t, memstore.New(nil), nil)
		b := f.create(budget.Budget{
			Schedule: rapid.SampledFrom([]period.Schedule{period.Monthly, period.Weekly, period.Daily}).Draw(rt, "schedule"),
			Scope:    rapid.SampledFrom([]budget.Scope{nil, {"team": "red"}}).Draw(rt, "scope"),
		})
		event := func(when time.Time) usage.Event {
			e := tokens(usage.NewID(), rapid.Int64Range(1, 1000).Draw(rt, "tokens"))
			e.Time, e.Labels = when, map[string]string{"team": "red"}
			return e
		}
		var then []budget.Projection
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			for range rapid.IntRange(1, 10).Draw(rt, "events") {
				f.now = f.now.Add(time.Duration(rapid.Int64Range(1, int64(40*time.Hour)).Draw(rt, "wait"))).Truncate(time.Microsecond)
				f.record(event(f.now))
			}
			f.now = f.now.Add(time.Microsecond)
			then = append(then, projection(f, b.ID, nil))
		}
		f.now = f.now.Add(time.Hour)
		for _, want := range then {
			got, err := f.ProjectionAt(t.Context(), b.ID, nil, want.Pace.At)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(want, got, zones, cmpopts.EquateComparable(period.Schedule{})); diff != "" {
				rt.Fatalf("at %s (-then +now)\n%s", want.Pace.At, diff)
			}
		}
	})
}

func TestProjectionRefusesWhatItCannotAnswer(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
	ann := budget.Value{"user": "ann"}
	tests := map[string]struct {
		id    string
		value budget.Value
		at    time.Time
		want  []string
	}{
		"a value that is missing": {b.ID, nil, noon, []string{"value: must name the dimensions [user], it names []"}},
		"the future":              {b.ID, ann, noon.Add(time.Microsecond), []string{"time: must not be in the future, nor be left out"}},
		"no time":                 {b.ID, ann, time.Time{}, []string{"time: must not be in the future, nor be left out"}},
		"long ago":                {b.ID, ann, usage.MinTime.Add(-1), []string{"time: must be from 1980 to 2199"}},
	}
	for name, test := range tests {
		_, err := f.ProjectionAt(t.Context(), test.id, test.value, test.at)
		if diff := cmp.Diff(test.want, findings(t, err)); diff != "" {
			t.Errorf("%s: findings (-want +got)\n%s", name, diff)
		}
	}
	_, err := f.Projection(t.Context(), "none", nil)
	is(t, err, budget.ErrNotFound)
}

func TestProjectionGoesByTheHoursThatAreLeft(t *testing.T) {
	t.Parallel()
	f := open(t)
	recordOffice(f, 8, func(e usage.Event) usage.Event { e.Labels = map[string]string{"team": "red"}; return e })
	sums, events := f.create(budget.Budget{}), f.create(budget.Budget{Scope: budget.Scope{"team": "red"}})
	floor := noon.AddDate(0, 0, -21)
	if _, err := f.Prune(t.Context(), floor, nil); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		id    string
		since time.Time
	}{{sums.ID, noon.AddDate(0, 0, -56)}, {events.ID, floor}} {
		if p := projection(f, test.id, nil); !p.Pace.Since.Equal(test.since) || !p.Value.Equal(dec("1760")) {
			t.Errorf("since %s, value %s, want %s and 1760", p.Pace.Since, p.Value, test.since)
		}
	}
	_, err := f.ProjectionAt(t.Context(), events.ID, nil, noon.AddDate(0, 0, -30))
	is(t, err, budget.ErrPruned)
}

// A countingReader counts the steps that projections take.
type countingReader struct {
	budget.ReadTx
	reads *int
}

func (r countingReader) Usage(ctx context.Context, q budget.UsageQuery) ([]budget.UsageRow, error) {
	*r.reads++
	return r.ReadTx.Usage(ctx, q)
}

func (r countingReader) Events(ctx context.Context, q budget.EventQuery) ([]budget.StoredEvent, error) {
	*r.reads += 1000
	return r.ReadTx.Events(ctx, q)
}

type countingStore struct {
	budget.Store
	reads *int
}

func (s countingStore) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	return s.Store.View(ctx, func(r budget.ReadTx) error { return fn(countingReader{r, s.reads}) })
}

func TestProjectionReadsSumsOnceAndNoEvents(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]budget.Budget{
		"tokens": {}, "credits": {Metric: usage.Credits, CostPerCredit: dec("0.1")},
	} {
		reads := 0
		f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { return countingStore{s, &reads} })
		f.now = noon.Add(7*time.Minute + time.Second)
		recordOffice(f, 8, nil)
		f.record(usage.Event{ID: "now", Amounts: usage.Amounts{InputTokens: 10, Cost: new(dec("0.000001"))}})
		id := f.create(b).ID
		reads = 0
		p := projection(f, id, nil)
		if last := p.Pace.Hours[len(p.Pace.Hours)-1].Units; p.Reason != "" || last != 10 {
			t.Errorf("%s: reason %q, %d units in the present hour, want 10", name, p.Reason, last)
		}
		if reads != 1 {
			t.Errorf("%s: %d reads of sums, and 1000 for each of events, want 1", name, reads)
		}
	}
}

func TestBudgetProjectionJSON(t *testing.T) {
	t.Parallel()
	f := open(t)
	recordOffice(f, 1, nil)
	b := f.create(budget.Budget{ID: "b", Limit: dec("620")})
	text, err := json.Marshal(projection(f, b.ID, nil))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID         string
		Used       json.Number
		At         time.Time
		Projection map[string]any
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != "b" || got.Used != "430" || !got.At.Equal(noon) || got.Projection["method"] != "seasonal" || got.Projection["value"] == nil {
		t.Errorf("JSON is %s", text)
	}
}
