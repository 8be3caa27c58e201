package budget_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestAlertsOfUsage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		budget  budget.Budget
		batches [][]usage.Event
		want    []string
	}{
		"below the first threshold there is none": {
			batches: [][]usage.Event{{tokens("a", 79)}},
		},
		"a threshold is reached at its percent": {
			batches: [][]usage.Event{{tokens("a", 80)}},
			want:    []string{"threshold 80 warning"},
		},
		"once, however much is used after it": {
			batches: [][]usage.Event{{tokens("a", 80)}, {tokens("b", 5)}, {tokens("c", 4)}},
			want:    []string{"threshold 80 warning"},
		},
		"and not by a duplicate": {
			batches: [][]usage.Event{{tokens("a", 79)}, {tokens("b", 1)}, {tokens("b", 1)}},
			want:    []string{"threshold 80 warning"},
		},
		"each threshold in its turn": {
			batches: [][]usage.Event{{tokens("a", 80)}, {tokens("b", 10)}, {tokens("c", 10)}, {tokens("d", 10)}},
			want:    []string{"threshold 80 warning", "threshold 90 critical", "threshold 100 exceeded"},
		},
		"of those crossed at once the highest is delivered": {
			batches: [][]usage.Event{{tokens("a", 95)}},
			want:    []string{"threshold 80 warning, superseded", "threshold 90 critical"},
		},
		"the events of a flush cross together": {
			batches: [][]usage.Event{{tokens("a", 80), tokens("b", 10), tokens("c", 10)}},
			want:    []string{"threshold 80 warning, superseded", "threshold 90 critical, superseded", "threshold 100 exceeded"},
		},
		"extra percents alert at the level that they have": {
			budget: budget.Budget{Thresholds: alert.Thresholds{
				Warning: new(dec("50")), Critical: new(dec("70")), Extra: []decimal.Decimal{dec("10.5"), dec("85"), dec("200")},
			}},
			batches: [][]usage.Event{{tokens("a", 10)}, {tokens("b", 1)}, {tokens("c", 39)}, {tokens("d", 40)}, {tokens("e", 110)}},
			want: []string{
				"threshold 10.5 ok", "threshold 50 warning", "threshold 70 critical, superseded", "threshold 85 critical",
				"threshold 100 exceeded, superseded", "threshold 200 exceeded",
			},
		},
		"each value has its own": {
			budget:  budget.Budget{Scope: budget.Scope{"user": budget.Each}},
			batches: [][]usage.Event{{by("u1", tokens("a", 80)), by("u2", tokens("b", 79))}, {by("u2", tokens("c", 1))}},
			want:    []string{"threshold 80 warning of 4:user2:u1", "threshold 80 warning of 4:user2:u2"},
		},
		"each period has its own, and a late one says so": {
			budget: budget.Budget{Schedule: period.Monthly, ID: "since January"},
			batches: [][]usage.Event{
				{tokens("a", 80)}, {on("2026-02-03T00:00:00Z", tokens("b", 80))}, {on("2026-02-04T00:00:00Z", tokens("c", 1))},
			},
			want: []string{"threshold 80 warning", "threshold 80 warning, late"},
		},
		"a disabled budget has none":   {budget: budget.Budget{Disabled: true}, batches: [][]usage.Event{{tokens("a", 100)}}},
		"an observing budget has none": {budget: budget.Budget{Enforcement: budget.Observe}, batches: [][]usage.Event{{tokens("a", 100)}}},
		"a soft budget has them": {
			budget: budget.Budget{Enforcement: budget.Soft}, batches: [][]usage.Event{{tokens("a", 80)}}, want: []string{"threshold 80 warning"},
		},
		"a warning at 0 % is reached by the first use": {
			budget:  budget.Budget{Thresholds: alert.Thresholds{Warning: new(dec("0"))}},
			batches: [][]usage.Event{{tokens("a", 0)}, {tokens("b", 1)}}, want: []string{"threshold 0 warning"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			if test.budget.ID != "" {
				f.now = at("2026-01-15T00:00:00Z")
			}
			f.create(test.budget)
			f.now = noon
			for _, batch := range test.batches {
				if results, err := f.RecordBatch(t.Context(), batch); err != nil {
					t.Fatalf("%+v: %v", results, err)
				}
			}
			f.alerted(test.want...)
			f.verified()
		})
	}
}

func TestAnAlertSaysWhatHappened(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{
		Name: "Acme", Metric: usage.Dollars, Limit: dec("5.65"), Owner: "finance", Labels: map[string]string{"team": "ml"},
		Scope: budget.Scope{"tenant": "acme", "user": budget.Each},
	})
	f.now = noon.Add(time.Minute)
	f.record(of("acme", by("u1", costing("a", "4.52"))))
	got, err := f.Alerts(t.Context(), budget.AlertQuery{})
	if err != nil {
		t.Fatal(err)
	}
	want := []alert.Alert{{
		ID: "id-0003", Budget: b.ID, BudgetName: "Acme", Owner: "finance", Tenant: "acme", Labels: map[string]string{"team": "ml"},
		Value: "4:user2:u1", Scope: map[usage.Dimension]string{"tenant": "acme", "user": "u1"},
		Period: period.Monthly.Bounds(noon), Kind: alert.Threshold,
		Threshold: dec("80"), Level: alert.Warning, Metric: usage.Dollars, Used: 4_520_000_000, Limit: 5_650_000_000, At: f.now,
		Message: `Budget "Acme" has used 80.0% of its limit (warning)`,
	}}
	if diff := cmp.Diff(want, got, byText); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAResolvedAlertSaysWhatWasLeft(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.create(budget.Budget{})
	f.record(tokens("a", 95))
	f.correct(back("c", "a", 10))
	got, err := f.Alerts(t.Context(), budget.AlertQuery{Kinds: []alert.Kind{alert.Resolved}})
	if err != nil || len(got) != 1 || got[0].Level != alert.Warning || got[0].Left != alert.Critical {
		t.Errorf("got %+v, %v, want one of the level critical that was left, where warning remains", got, err)
	}
}

// What else than usage moves a level, from 85 tokens of 100 used on.
func TestAlertsOfChanges(t *testing.T) {
	t.Parallel()
	limit := func(text string) func(*fixture, string) {
		return func(f *fixture, id string) { f.update(id, func(b *budget.Budget) { b.Limit = dec(text) }) }
	}
	correct := func(id string, n int64) func(*fixture, string) {
		return func(f *fixture, _ string) { f.correct(back(id, "a", n)) }
	}
	use := func(id string, n int64) func(*fixture, string) {
		return func(f *fixture, _ string) { f.record(tokens(id, n)) }
	}
	adjust := func(amount string) func(*fixture, string) {
		return func(f *fixture, id string) { f.adjust(id, amount) }
	}
	change := func(fn func(*budget.Budget)) func(*fixture, string) {
		return func(f *fixture, id string) { f.update(id, fn) }
	}
	percents := func(warning, critical string) func(*budget.Budget) {
		return func(b *budget.Budget) {
			b.Thresholds.Warning, b.Thresholds.Critical = new(dec(warning)), new(dec(critical))
		}
	}
	tests := map[string]struct {
		steps []func(*fixture, string)
		want  []string
	}{
		"a correction to below resolves, and usage alerts again": {
			steps: []func(*fixture, string){correct("c", 6), use("b", 1), correct("d", 10), use("e", 10)},
			want:  []string{"resolved 80 ok", "threshold 80 warning", "resolved 80 ok", "threshold 80 warning"},
		},
		"a correction that stays above is nothing": {
			steps: []func(*fixture, string){correct("c", 5), use("b", 1)},
		},
		"one resolved for all levels that are left, with what remains": {
			steps: []func(*fixture, string){use("b", 20), correct("c", 20), use("d", 20)},
			want: []string{
				"threshold 90 critical, superseded", "threshold 100 exceeded",
				"resolved 100 warning",
				"threshold 90 critical, superseded", "threshold 100 exceeded",
			},
		},
		"an adjustment reaches and leaves levels": {
			steps: []func(*fixture, string){adjust("5"), adjust("-20")},
			want:  []string{"threshold 90 critical", "resolved 90 ok"},
		},
		"a raised limit resolves, and usage alerts again": {
			steps: []func(*fixture, string){limit("200"), use("b", 75)},
			want:  []string{"resolved 80 ok", "threshold 80 warning"},
		},
		"a lowered limit reaches levels": {
			steps: []func(*fixture, string){limit("85")},
			want:  []string{"threshold 90 critical, superseded", "threshold 100 exceeded"},
		},
		"a lowered and raised limit is one rise and one fall": {
			steps: []func(*fixture, string){limit("85"), limit("100"), limit("85")},
			want: []string{
				"threshold 90 critical, superseded", "threshold 100 exceeded", "resolved 100 warning",
				"threshold 90 critical, superseded", "threshold 100 exceeded",
			},
		},
		"a lowered warning says nothing new": {
			steps: []func(*fixture, string){change(percents("85", "90"))},
			want:  []string{"threshold 85 warning"},
		},
		"thresholds that move make one alert at most, of the present level": {
			steps: []func(*fixture, string){change(percents("50", "80"))},
			want:  []string{"threshold 50 critical"},
		},
		"a raised warning resolves": {
			steps: []func(*fixture, string){change(percents("86", "90"))},
			want:  []string{"resolved 80 ok"},
		},
		"a budget that is disabled or observes falls silent, and speaks again": {
			steps: []func(*fixture, string){
				change(func(b *budget.Budget) { b.Disabled = true }), use("b", 10),
				change(func(b *budget.Budget) { b.Disabled, b.Enforcement = false, budget.Observe }), use("c", 1),
				change(func(b *budget.Budget) { b.Enforcement = budget.Hard }),
			},
			want: []string{"threshold 80 warning, superseded", "threshold 90 critical"},
		},
		"what fell while it was disabled alerts when it rises": {
			steps: []func(*fixture, string){
				change(func(b *budget.Budget) { b.Disabled = true }), correct("c", 50),
				change(func(b *budget.Budget) { b.Disabled = false }), use("b", 50),
			},
			want: []string{"threshold 80 warning"},
		},
		"counting anew to the same is nothing": {
			steps: []func(*fixture, string){change(func(b *budget.Budget) { b.StartsAt = at("2026-03-01T00:00:00Z") }), use("b", 1)},
		},
		"counting anew to less resolves, and usage alerts again": {
			steps: []func(*fixture, string){
				change(func(b *budget.Budget) { b.Scope = budget.Scope{"tenant": "acme"} }),
				func(f *fixture, _ string) { f.record(of("acme", tokens("b", 80))) },
			},
			want: []string{"resolved 80 ok", "threshold 80 warning"},
		},
		"another metric alerts by what it counts": {
			steps: []func(*fixture, string){change(func(b *budget.Budget) { b.Metric, b.Limit = usage.Requests, dec("1") })},
			want:  []string{"threshold 80 warning, superseded", "threshold 90 critical, superseded", "threshold 100 exceeded"},
		},
		"another metric that is below says nothing": {
			steps: []func(*fixture, string){change(func(b *budget.Budget) { b.Metric = usage.Requests })},
		},
		"a new period resolves nothing": {
			steps: []func(*fixture, string){
				func(f *fixture, _ string) { f.now = noon.AddDate(0, 1, 0) },
				func(f *fixture, id string) { f.record(on("2026-04-02T00:00:00Z", tokens("b", 80))) },
			},
			want: []string{"threshold 80 warning"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{})
			f.record(tokens("a", 85))
			for _, step := range test.steps {
				f.now = f.now.Add(time.Second)
				step(f, b.ID)
			}
			f.alerted(append([]string{"threshold 80 warning"}, test.want...)...)
			f.verified()
		})
	}
}

func TestABudgetMadeOverUsageAlertsAtItsLevel(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.record(by("u1", tokens("a", 95)), by("u2", tokens("b", 10)))
	f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
	f.alerted("threshold 80 warning of 4:user2:u1, superseded", "threshold 90 critical of 4:user2:u1")
}

// The alerts of a counter that is no more stand; those of the next one with its key are others.
func TestACounterThatComesAgainAlertsAgain(t *testing.T) {
	t.Parallel()
	each := budget.Scope{"user": budget.Each}
	const warned, resolved = "threshold 80 warning of 4:user2:u1", "resolved 80 ok of 4:user2:u1"
	tests := map[string]struct {
		do   func(f *fixture, b budget.Budget)
		want []string
	}{
		"after its value had no usage": {func(f *fixture, b budget.Budget) {
			f.update(b.ID, func(b *budget.Budget) { b.Scope["resource"] = "large" })
			e := by("u1", tokens("b", 80))
			e.Resource = "large"
			f.record(e)
		}, []string{warned, resolved, warned}},
		"after the scope was another": {func(f *fixture, b budget.Budget) {
			f.update(b.ID, func(b *budget.Budget) {
				b.Scope, b.StartsAt = budget.Scope{"tenant": budget.Each}, noon.Add(time.Second)
			})
			f.update(b.ID, func(b *budget.Budget) { b.Scope = each })
			f.record(on("2026-03-10T12:00:01Z", by("u1", tokens("b", 80))))
		}, []string{warned, warned}},
		"in the next period": {func(f *fixture, b budget.Budget) {
			f.now = noon.AddDate(0, 1, 0)
			f.update(b.ID, func(b *budget.Budget) { b.Scope["tenant"] = "acme" })
			f.record(on("2026-04-02T00:00:00Z", of("acme", by("u1", tokens("b", 80)))))
		}, []string{warned, warned}},
		"after the budget was deleted and made again": {func(f *fixture, b budget.Budget) {
			if err := f.Delete(f.t.Context(), b.ID); err != nil {
				f.t.Fatal(err)
			}
			f.create(budget.Budget{ID: b.ID, Scope: each, StartsAt: noon.Add(time.Second)})
			f.record(on("2026-03-10T12:00:01Z", by("u1", tokens("b", 80))))
		}, []string{warned, warned}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
			f.record(by("u1", tokens("a", 80)))
			f.now = noon.Add(time.Second)
			test.do(f, b)
			f.alerted(test.want...)
			f.verified()
		})
	}
}

// Episodes are found however many alerts there are of a budget, and not looked for in periods that are over.
func TestManyAlerts(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
	const users = 5001
	var events []usage.Event
	for range users {
		events = append(events, by(f.id(), tokens(f.id(), 80)))
	}
	f.record(events...)
	f.update(b.ID, func(b *budget.Budget) { b.Scope["resource"] = "large" })
	for i := range events {
		events[i].ID += "-again"
		events[i].Resource = "large"
	}
	f.record(events...)
	found, err := f.Alerts(t.Context(), budget.AlertQuery{Limit: 3 * users})
	if err != nil || len(found) != 3*users {
		t.Errorf("%d alerts, want %d: two of a threshold and one that it is resolved for each: %v", len(found), 3*users, err)
	}
}

// What is charged and what is alerted commit together.
func TestAnAlertThatIsNotStoredTakesItsUsageWithIt(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	f.store.FailNext(budget.ErrUnavailable)
	_, err := f.Record(t.Context(), tokens("a", 80))
	is(t, err, budget.ErrUnavailable)
	f.alerted()
	f.used(b.ID, nil, "0")
	f.record(tokens("a", 80))
	f.alerted("threshold 80 warning")
}
