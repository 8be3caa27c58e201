package budget_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// old is an event of so many days ago.
func old(days int, e usage.Event) usage.Event {
	e.Time = noon.AddDate(0, 0, -days)
	return e
}

func TestPruneRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.now = at("2026-03-10T12:30:00Z")
	tests := map[string]struct {
		before time.Time
		want   []string
	}{
		"less than seven days":            {at("2026-03-03T13:00:00Z"), []string{"before"}},
		"seven days, the hour taken away": {at("2026-03-03T12:59:59Z"), nil},
		"before 1980":                     {at("1979-12-31T23:00:00Z"), []string{"before"}},
		"now":                             {f.now, []string{"before"}},
		"the zero time":                   {time.Time{}, []string{"before"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := f.Prune(t.Context(), test.before, nil)
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// figures are all that there is to read, but for events.
func figures(t *testing.T, f *fixture, ids ...string) (all []string) {
	t.Helper()
	for _, id := range ids {
		for _, days := range []int{0, 10, 40} {
			when := noon.AddDate(0, 0, -days)
			for s, err := range f.Statuses(t.Context(), budget.Query{IDs: []string{id}}, when) {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, fmt.Sprintf("%s %v: recorded %s, adjusted %s", id, s.Value, s.Recorded, s.Adjusted))
			}
		}
		q := budget.HistoryQuery{Span: period.Bounds{Start: noon.AddDate(0, 0, -60), End: noon.AddDate(0, 0, 1)}}
		for _, p := range history(t, f, id, q) {
			all = append(all, id+" "+p)
		}
	}
	groups, err := f.Top(t.Context(), budget.TopQuery{By: usage.User})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		all = append(all, fmt.Sprintf("%s %+v", g.Key, g.Totals))
	}
	return all
}

func TestPruningLeavesTheReports(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.now = noon.AddDate(0, 0, -50)
	each := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
	all := f.create(budget.Budget{Metric: usage.Dollars, Schedule: period.Yearly})
	credits := f.create(budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.3"), Schedule: period.Weekly, StartsAt: f.now})
	f.now = noon
	priced := func(e usage.Event) usage.Event { e.Cost = new(dec("0.1")); return e }
	f.record(
		old(45, by("u1", priced(tokens("a", 1)))), old(45, by("u2", priced(tokens("b", 2)))), old(20, by("u1", priced(tokens("c", 4)))),
		old(9, by("u1", priced(tokens("d", 8)))), old(8, by("u2", priced(tokens("e", 16)))), old(0, by("u1", priced(tokens("f", 32)))),
	)
	f.correct(back("g", "c", 1))
	f.correct(back("h", "e", 1))
	a := adjustment(each.ID, "5")
	a.Time, a.Value = noon.AddDate(0, 0, -20), budget.Value{"user": "u1"}
	if _, err := f.Adjust(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	before := figures(t, f, each.ID, all.ID)
	weeks := func() (used []string) {
		for _, days := range []int{45, 20, 9, 0} {
			s, err := f.StatusAt(t.Context(), credits.ID, nil, noon.AddDate(0, 0, -days))
			if err != nil {
				t.Fatal(err)
			}
			used = append(used, s.Used.String())
		}
		return used
	}
	weeksBefore := weeks()

	deleted, err := f.By("ann").Prune(t.Context(), noon.AddDate(0, 0, -8), nil)
	if err != nil || deleted != 5 {
		t.Errorf("%d deleted, want 5: %v", deleted, err)
	}
	if diff := cmp.Diff([]string{"e", "h", "f"}, f.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, figures(t, f, each.ID, all.ID)); diff != "" {
		t.Errorf("figures (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(weeksBefore, weeks()); diff != "" {
		t.Errorf("credits by the week (-before +after):\n%s", diff)
	}
	f.verified()
	entries := f.audit()
	last := entries[len(entries)-1]
	want := budget.AuditEntry{
		ID: last.ID, Time: noon, Actor: "ann", Action: "prune", Kind: "events", After: []byte(`{"prune_floor":"2026-03-02T12:00:00Z"}`),
	}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}

	// Further back is nothing, later goes on.
	if deleted, err := f.Prune(t.Context(), noon.AddDate(0, 0, -30), nil); err != nil || deleted != 0 {
		t.Errorf("%d deleted: %v", deleted, err)
	}
	f.now = noon.AddDate(0, 0, 30)
	if deleted, err := f.Prune(t.Context(), noon.AddDate(0, 0, 1), nil); err != nil || deleted != 3 {
		t.Errorf("%d deleted, want 3: %v", deleted, err)
	}
	f.now = noon
	if diff := cmp.Diff(before, figures(t, f, each.ID, all.ID)); diff != "" {
		t.Errorf("figures (-before +after):\n%s", diff)
	}
	f.verified()
}

func TestBehindThePruneFloor(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.now = noon.AddDate(0, 0, -50)
	b := f.create(budget.Budget{Schedule: period.Yearly})
	f.now = noon
	f.record(old(9, tokens("a", 1)), old(8, tokens("b", 2)), old(0, tokens("c", 4)))
	if _, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); err != nil {
		t.Fatal(err)
	}
	floor := noon.AddDate(0, 0, -8)
	create := func(b budget.Budget) func() error {
		return func() error { _, err := f.Create(t.Context(), withDefaults(b)); return err }
	}
	update := func(fn func(*budget.Budget)) func() error {
		return func() error {
			_, err := f.Update(t.Context(), b.ID, func(b *budget.Budget) error { fn(b); return nil })
			return err
		}
	}
	record := func(e usage.Event, want budget.Outcome) func() error {
		return func() error {
			result, err := f.Record(t.Context(), e)
			if result.Outcome != want {
				t.Errorf("%q is %s, want %s", e.ID, result.Outcome, want)
			}
			return err
		}
	}
	early := tokens("early", 1)
	early.Time = floor.Add(-time.Microsecond)
	tests := []struct {
		name string
		do   func() error
		err  error
	}{
		{"an event before it is refused", record(early, budget.Invalid), budget.ErrPruned},
		{"also one that was recorded and is gone", record(old(9, tokens("a", 1)), budget.Invalid), budget.ErrPruned},
		{"one at the floor is not", record(old(8, tokens("b", 2)), budget.Duplicate), nil},
		{"a correction of what is gone finds nothing", func() error { _, err := f.Correct(t.Context(), back("x", "a", 1)); return err }, budget.ErrNotFound},
		{"a budget whose period began before it", create(budget.Budget{}), budget.ErrPruned},
		{"a budget of a lifetime", create(budget.Budget{Schedule: period.Lifetime}), budget.ErrPruned},
		{"a budget that starts at it", create(budget.Budget{StartsAt: floor}), nil},
		{"a budget whose period began after it", create(budget.Budget{Schedule: period.Weekly}), nil},
		{"a budget that has ended counts nothing", create(budget.Budget{EndsAt: at("2026-01-01T00:00:00Z")}), nil},
		{"a change of what counts", update(func(b *budget.Budget) { b.Scope = budget.Scope{"user": "u1"} }), budget.ErrPruned},
		{"a change of anything else", update(func(b *budget.Budget) { b.Limit = dec("1000") }), nil},
		{"a change of what counts, with the remedy", update(func(b *budget.Budget) { b.Metric, b.StartsAt = usage.Requests, floor }), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			is(t, test.do(), test.err)
			f.verified()
		})
	}
}

// An event that stands although it is before the floor: its turn to be deleted has not come.
func TestACorrectionOfWhatIsBeingPruned(t *testing.T) {
	t.Parallel()
	f, _ := failing(t, false, nil, nil, errDisk)
	f.record(old(9, tokens("a", 5)))
	_, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil)
	is(t, err, errDisk)
	result, err := f.Correct(t.Context(), back("b", "a", 1))
	is(t, err, budget.ErrPruned)
	if result.Outcome != budget.Invalid {
		t.Errorf("%s, want invalid", result.Outcome)
	}
	f.verified()
}

// Reads that need pruned events say so; those that do not, do not.
func TestReadsBehindThePruneFloor(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.record(old(30, tokens("a", 1)), old(9, tokens("b", 2)))
	if _, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); err != nil {
		t.Fatal(err)
	}
	floor := noon.AddDate(0, 0, -8)
	plain := f.create(budget.Budget{StartsAt: floor.Add(7 * time.Minute), Schedule: period.Daily})
	label := f.create(budget.Budget{Scope: budget.Scope{"team": "red"}, Schedule: period.Daily})
	credits := f.create(budget.Budget{Metric: usage.Credits, CostPerCredit: dec("1"), Schedule: period.Daily})
	odd := f.create(budget.Budget{Schedule: period.Every(7, period.Minute, noon)})
	all := f.create(budget.Budget{Schedule: period.Daily})
	lastMonth := noon.AddDate(0, 0, -30)
	statusAt := func(id string, when time.Time) error { _, err := f.StatusAt(t.Context(), id, nil, when); return err }
	read := func(id string) error { _, err := f.History(t.Context(), id, budget.HistoryQuery{}); return err }
	top := func(start time.Time) error {
		_, err := f.Top(t.Context(), budget.TopQuery{By: usage.Tenant, Span: period.Bounds{Start: start, End: noon}})
		return err
	}
	for name, test := range map[string]struct{ got, want error }{
		"an earlier period from sums":            {statusAt(all.ID, lastMonth), nil},
		"an earlier period inside quarter hours": {statusAt(odd.ID, lastMonth), budget.ErrPruned},
		"an earlier period of a label":           {statusAt(label.ID, lastMonth), budget.ErrPruned},
		"an earlier period of credits":           {statusAt(credits.ID, lastMonth), budget.ErrPruned},
		"an earlier period after the floor":      {statusAt(label.ID, noon.AddDate(0, 0, -2)), nil},
		"the running period of a label":          {statusAt(label.ID, noon), nil},
		"an earlier period before its start":     {statusAt(plain.ID, lastMonth), nil},
		"a history from sums":                    {read(all.ID), nil},
		"a history of a label":                   {read(label.ID), budget.ErrPruned},
		"a history of credits":                   {read(credits.ID), budget.ErrPruned},
		"a history that starts after the floor":  {read(plain.ID), nil},
		"a top of whole quarter hours":           {top(lastMonth), nil},
		"a top from inside a quarter hour":       {top(lastMonth.Add(time.Second)), budget.ErrPruned},
		"a top from inside one after the floor":  {top(floor.Add(time.Second)), nil},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

func manyOld(n int) (events []usage.Event) {
	for i := range n {
		events = append(events, old(9, tokens(fmt.Sprintf("e%05d", i), 1)))
	}
	return events
}

// Deleting takes many transactions. Wherever it stops, figures are right, and running it again goes on.
func TestPruningThatFailsMidwayGoesOn(t *testing.T) {
	t.Parallel()
	f, _ := failing(t, false, append(make([]error, 13), errDisk)...) // a budget, ten flushes, the floor, a page
	f.now = noon.AddDate(0, 0, -20)
	b := f.create(budget.Budget{Schedule: period.Yearly})
	f.now = noon
	f.record(manyOld(5000)...)
	var told []int64
	deleted, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), func(n int64) { told = append(told, n) })
	is(t, err, errDisk)
	if deleted != 2000 || len(f.events()) != 3000 {
		t.Errorf("%d deleted, %d stand", deleted, len(f.events()))
	}
	f.used(b.ID, nil, "5000")
	f.verified()

	again, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), func(n int64) { told = append(told, n) })
	if err != nil || again != 3000 || f.events() != nil {
		t.Errorf("%d deleted, %d stand: %v", again, len(f.events()), err)
	}
	if diff := cmp.Diff([]int64{2000, 2000, 3000}, told); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	f.used(b.ID, nil, "5000")
	f.verified()
}

// A page whose commit is not known to have worked is not accounted for twice.
func TestPruningWhoseOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"committed": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := failing(t, committed, nil, nil, budget.ErrOutcomeUnknown, budget.ErrOutcomeUnknown)
			f.now = noon.AddDate(0, 0, -20)
			b := f.create(budget.Budget{Schedule: period.Yearly})
			f.now = noon
			f.record(manyOld(10)...)
			if _, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); err != nil && !errors.Is(err, budget.ErrOutcomeUnknown) {
				t.Fatal(err)
			}
			if _, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); err != nil {
				t.Fatal(err)
			}
			f.used(b.ID, nil, "10")
			f.verified()
			if n := len(f.audit()); n != 2 {
				t.Errorf("%d audit entries, want that of the budget and that of the floor", n)
			}
		})
	}
}

// Two that prune at once read the same events; whoever locks one accounts for it. What a transaction reads may be gone
// when it locks: here the first read of the second one is from before the first.
func TestTwoPrunersAtOnceCountOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.now = noon.AddDate(0, 0, -20)
	b := f.create(budget.Budget{Schedule: period.Yearly})
	f.now = noon
	f.record(manyOld(10)...)
	late := &lateReader{Store: f.store, events: f.stored()}
	second := budget.NewLedger(late, &budget.Options{Now: func() time.Time { return noon }})
	if deleted, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); err != nil || deleted != 10 {
		t.Errorf("the first deletes %d: %v", deleted, err)
	}
	if deleted, err := second.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); err != nil || deleted != 0 {
		t.Errorf("the second deletes %d: %v", deleted, err)
	}
	for key, tally := range f.tallies() {
		if want := (budget.Tally{Recorded: 10, Pruned: 10}); tally != want {
			t.Errorf("%+v is %+v, want %+v", key, tally, want)
		}
	}
	f.used(b.ID, nil, "10")
	f.verified()
}

// A lateReader is a store whose first transaction that reads events gets those.
type lateReader struct {
	budget.Store
	events []budget.StoredEvent
}

func (s *lateReader) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return s.Store.Update(ctx, func(tx budget.Tx) error { return fn(&lateTx{tx, s}) })
}

type lateTx struct {
	budget.Tx
	store *lateReader
}

func (tx *lateTx) Events(ctx context.Context, q budget.EventQuery) ([]budget.StoredEvent, error) {
	if events := tx.store.events; events != nil {
		tx.store.events = nil
		return events, nil
	}
	return tx.Tx.Events(ctx, q)
}

func TestRunPrunesWhatIsOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		ledger := budget.NewLedger(store, &budget.Options{EventRetention: 8 * 24 * time.Hour, OnError: func(err error) { t.Error(err) }})
		begin := time.Now()
		for id, age := range map[string]time.Duration{"old": 9 * 24 * time.Hour, "soon": 8*24*time.Hour - 90*time.Minute, "new": 0} {
			e := tokens(id, 1)
			e.Time = begin.Add(-age)
			if _, err := ledger.Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
		defer cancel()
		var running sync.WaitGroup
		running.Go(func() { _ = ledger.Run(ctx) })
		left := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(time.Until(begin.Add(after)))
			synctest.Wait()
			events := 0
			if err := store.View(t.Context(), func(r budget.ReadTx) error {
				found, err := r.Events(t.Context(), budget.EventQuery{Span: allTime})
				events = len(found)
				return err
			}); err != nil || events != want {
				t.Errorf("%d events are left after %s, want %d: %v", events, after, want, err)
			}
		}
		left(time.Minute, 2)
		left(3*time.Hour+time.Minute, 1)
		running.Wait()
	})
}
