package budget_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// plant adds to counters and sums what no event says.
func (f *fixture) plant(w budget.Writes) {
	f.t.Helper()
	err := f.store.Update(f.t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(f.t.Context(), budget.Shared); err != nil {
			return err
		}
		_, err := tx.Apply(f.t.Context(), w)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func counter(id, value, start string, tally budget.Tally) budget.Writes {
	key := budget.CounterKey{Budget: id, Value: value, Start: at(start).UnixMicro()}
	return budget.Writes{Counters: []budget.Counter{{CounterKey: key, Tally: tally}}}
}

func sum(grain usage.Grain, bucket, user string, totals usage.Totals) budget.Writes {
	key := budget.UsageKey{Grain: grain, Bucket: at(bucket).UnixMicro(), Tenant: "acme", User: user}
	return budget.Writes{Usage: []budget.UsageAdd{{UsageKey: key, Totals: totals}}}
}

// text writes a difference as "whose field stored should".
func text(d budget.Difference) string {
	whose := ""
	if d.Counter != nil {
		whose = fmt.Sprintf("counter %s %q %s", d.Counter.Budget, d.Counter.Value, time.UnixMicro(d.Counter.Start).UTC().Format(time.DateOnly))
	} else {
		whose = fmt.Sprintf("%s %s %s%s", d.Usage.Grain, time.UnixMicro(d.Usage.Bucket).UTC().Format("2006-01-02 15:04"), d.Usage.Tenant, d.Usage.User)
	}
	return fmt.Sprintf("%s %s %d %d", whose, d.Field, d.Stored, d.Should)
}

func listed(differences []budget.Difference) (all []string) {
	for _, d := range differences {
		all = append(all, text(d))
	}
	return all
}

func TestVerifyNamesWhatIsStoredOtherwiseAndRebuildMendsIt(t *testing.T) {
	t.Parallel()
	tokens10 := usage.Totals{InputTokens: 10, TotalTokens: 10, Requests: 1}
	tests := map[string]struct {
		plant []budget.Writes
		want  []string
	}{
		"nothing": {},
		"a counter": {
			[]budget.Writes{counter("b", "4:user2:u1", "2026-03-01T00:00:00Z", budget.Tally{Recorded: 1})},
			[]string{`counter b "4:user2:u1" 2026-03-01 recorded 31 30`},
		},
		"what was adjusted": {
			[]budget.Writes{counter("b", "4:user2:u1", "2026-03-01T00:00:00Z", budget.Tally{Adjusted: -2})},
			[]string{`counter b "4:user2:u1" 2026-03-01 adjusted 3 5`},
		},
		"both of a counter": {
			[]budget.Writes{counter("b", "4:user2:u1", "2026-03-01T00:00:00Z", budget.Tally{Recorded: -30, Adjusted: -5})},
			[]string{`counter b "4:user2:u1" 2026-03-01 adjusted 0 5`, `counter b "4:user2:u1" 2026-03-01 recorded 0 30`},
		},
		"what is held": {
			[]budget.Writes{counter("b", "4:user2:u1", "2026-03-01T00:00:00Z", budget.Tally{Reserved: 3, Leased: 2})},
			[]string{`counter b "4:user2:u1" 2026-03-01 leased 2 0`, `counter b "4:user2:u1" 2026-03-01 reserved 3 0`},
		},
		"a counter of nobody": {
			[]budget.Writes{counter("b", "4:user2:u9", "2026-03-01T00:00:00Z", budget.Tally{Recorded: 7})},
			[]string{`counter b "4:user2:u9" 2026-03-01 recorded 7 0`},
		},
		"a counter from before the budget was counted": {
			[]budget.Writes{counter("b", "4:user2:u1", "2026-02-01T00:00:00Z", budget.Tally{Recorded: 7})},
			[]string{`counter b "4:user2:u1" 2026-02-01 recorded 7 0`},
		},
		"a quarter hour": {
			[]budget.Writes{sum(usage.QuarterHours, "2026-03-10T12:00:00Z", "u1", tokens10)},
			[]string{
				"quarter hour 2026-03-10 12:00 acmeu1 input_tokens 30 20", "quarter hour 2026-03-10 12:00 acmeu1 requests 3 2",
				"quarter hour 2026-03-10 12:00 acmeu1 total_tokens 30 20",
			},
		},
		"a day": {
			[]budget.Writes{sum(usage.Days, "2026-03-10T00:00:00Z", "u1", usage.Totals{Nanodollars: -1})},
			[]string{"day 2026-03-10 00:00 acmeu1 nanodollars -1 0"},
		},
		"a month": {
			[]budget.Writes{sum(usage.Months, "2026-03-01T00:00:00Z", "", usage.Totals{Runs: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4})},
			[]string{
				"month 2026-03-01 00:00 acme cache_creation_tokens 3 0", "month 2026-03-01 00:00 acme cache_read_tokens 4 0",
				"month 2026-03-01 00:00 acme output_tokens 2 0", "month 2026-03-01 00:00 acme runs 1 0",
			},
		},
		"sums of a time without events": {
			[]budget.Writes{
				sum(usage.QuarterHours, "2026-01-05T00:15:00Z", "u1", usage.Totals{Requests: 1}), sum(usage.Days, "2026-01-06T00:00:00Z", "u1", usage.Totals{Requests: 2}),
				sum(usage.Months, "2025-01-01T00:00:00Z", "", usage.Totals{Requests: 3}), sum(usage.QuarterHours, "2026-12-05T00:15:00Z", "u1", usage.Totals{Requests: 4}),
			},
			[]string{
				"quarter hour 2026-01-05 00:15 acmeu1 requests 1 0", "day 2026-01-06 00:00 acmeu1 requests 2 0",
				"quarter hour 2026-12-05 00:15 acmeu1 requests 4 0", "month 2025-01-01 00:00 acme requests 3 0",
			},
		},
		"a day that begins where none does": {
			[]budget.Writes{sum(usage.Days, "2026-03-10T00:15:00Z", "u1", usage.Totals{Requests: 1})},
			[]string{"day 2026-03-10 00:15 acmeu1 requests 1 0"},
		},
		"sums of which one user's is another's": {
			[]budget.Writes{
				sum(usage.QuarterHours, "2026-03-10T12:00:00Z", "u1", usage.Totals{Requests: -1}),
				sum(usage.QuarterHours, "2026-03-10T12:00:00Z", "u2", usage.Totals{Requests: 1}),
			},
			[]string{"quarter hour 2026-03-10 12:00 acmeu1 requests 1 2", "quarter hour 2026-03-10 12:00 acmeu2 requests 1 0"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{ID: "b", Scope: budget.Scope{"user": budget.Each}, Limit: dec("1000")})
			f.record(
				of("acme", by("u1", tokens("a", 10))), of("acme", by("u1", tokens("b", 10))),
				of("acme", by("u1", on("2026-03-09T23:59:59Z", tokens("c", 10)))), of("acme", by("u1", on("2026-02-09T00:00:00Z", tokens("d", 10)))),
			)
			a := adjustment(b.ID, "5")
			a.Value = budget.Value{"user": "u1"}
			if _, err := f.Adjust(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			f.verified()
			right := f.tallies()
			for _, w := range test.plant {
				f.plant(w)
			}

			found, err := f.Verify(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, listed(found.Differences)); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if found.Events != 4 || found.Checked < 8 {
				t.Errorf("%d events, %d checked", found.Events, found.Checked)
			}
			rebuilt, err := f.By("ann").Rebuild(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(found, rebuilt); diff != "" {
				t.Errorf("rebuilt (-found +rebuilt):\n%s", diff)
			}
			f.verified()
			for key, tally := range f.tallies() {
				if tally != right[key] {
					t.Errorf("%+v is %+v, was %+v", key, tally, right[key])
				}
			}
			last := f.audit()[len(f.audit())-1]
			if (last.Action == "rebuild") != (test.want != nil) || test.want != nil && last.Actor != "ann" {
				t.Errorf("last audit entry: %+v", last)
			}
		})
	}
}

// A row that is missing is as one of 0.
func TestVerifyFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.create(budget.Budget{ID: "b"})
	f.record(of("acme", by("u1", tokens("a", 10))))
	err := f.store.Update(t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Exclusive); err != nil {
			return err
		}
		var w budget.Writes
		w.DropCounters = []string{"b"}
		for _, grain := range []usage.Grain{usage.QuarterHours, usage.Days, usage.Months} {
			w.DropUsage = append(w.DropUsage, usage.Slice{Grain: grain, Bounds: allTime})
		}
		_, err := tx.Apply(t.Context(), w)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"quarter hour 2026-03-10 12:00 acmeu1 input_tokens 0 10", "quarter hour 2026-03-10 12:00 acmeu1 requests 0 1",
		"quarter hour 2026-03-10 12:00 acmeu1 total_tokens 0 10",
		"day 2026-03-10 00:00 acmeu1 input_tokens 0 10", "day 2026-03-10 00:00 acmeu1 requests 0 1", "day 2026-03-10 00:00 acmeu1 total_tokens 0 10",
		"month 2026-03-01 00:00 acme input_tokens 0 10", "month 2026-03-01 00:00 acme requests 0 1", "month 2026-03-01 00:00 acme total_tokens 0 10",
		`counter b "" 2026-03-01 recorded 0 10`,
	}
	found, err := f.Rebuild(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, listed(found.Differences)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.used("b", nil, "10")
	f.verified()
}

// Days and months are those of the reporting zone, whose days may have 23 or 25 hours, or begin at a quarter past.
func TestVerifyInAnyReportingZone(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			f := openWith(t, memstore.New(&memstore.Options{ReportingZone: zone}), nil)
			f.now = at("2026-12-31T00:00:00Z")
			var events []usage.Event
			for i := range 1000 {
				e := tokens(fmt.Sprint(i), 1)
				e.Time = at("2026-01-01T00:00:00Z").Add(time.Duration(i) * 8 * time.Hour)
				events = append(events, e)
			}
			f.record(events...)
			f.verified()
		})
	}
}

func TestVerifyTellsItsProgress(t *testing.T) {
	t.Parallel()
	f := open(t)
	var events []usage.Event
	for i := range 10_001 {
		events = append(events, tokens(fmt.Sprint(i), 1))
	}
	f.record(events...)
	var told []int64
	found, err := f.Verify(t.Context(), func(n int64) { told = append(told, n) })
	if err != nil || found.Events != 10_001 {
		t.Errorf("%d events: %v", found.Events, err)
	}
	if diff := cmp.Diff([]int64{5000, 10_000}, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
