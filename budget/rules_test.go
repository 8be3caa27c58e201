package budget_test

import (
	"context"
	"errors"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
)

// A commit whose outcome is not known is tried once more. If the store does not answer then, it stays unknown: an error
// that promised that nothing was stored would be untrue.
func TestAnUnknownOutcomeStaysUnknownWhenTheStoreIsAwayThen(t *testing.T) {
	t.Parallel()
	tests := map[string]func(ctx context.Context, f *fixture) error{
		"record": func(ctx context.Context, f *fixture) error { _, err := f.Record(ctx, tokens("b", 1)); return err },
		"correct": func(ctx context.Context, f *fixture) error {
			_, err := f.Correct(ctx, back("c", "a", 1))
			return err
		},
		"create": func(ctx context.Context, f *fixture) error { _, err := f.Create(ctx, tokensBudget("new")); return err },
		"update": func(ctx context.Context, f *fixture) error {
			_, err := f.Update(ctx, "old", func(b *budget.Budget) error { b.Name = "changed"; return nil })
			return err
		},
		"delete": func(ctx context.Context, f *fixture) error { return f.Delete(ctx, "old") },
		"adjust": func(ctx context.Context, f *fixture) error {
			_, err := f.Adjust(ctx, budget.Adjustment{ID: "adj", Budget: "old", Amount: decimal.NewFromInt(1), Reason: "test"})
			return err
		},
	}
	for name, act := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := failing(t, true, nil, nil, budget.ErrOutcomeUnknown, budget.ErrUnavailable)
			f.create(tokensBudget("old"))
			f.record(tokens("a", 5))
			err := act(t.Context(), f)
			is(t, err, budget.ErrOutcomeUnknown)
			is(t, err, budget.ErrUnavailable)
		})
	}
}

// Somebody else's change came between a commit of unknown outcome and the run that would find out: what became of the
// first is not known, and the function must not be applied a second time on top of it.
func TestAnUpdateOfUnknownOutcomeIsNotAppliedOnTopOfAnothers(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.create(tokensBudget("b"))
	tries := 0
	_, err := f.Update(t.Context(), "b", func(b *budget.Budget) error {
		if tries++; tries > 1 {
			t.Error("the function was applied again")
		}
		b.Limit = b.Limit.Add(decimal.NewFromInt(10))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tries = 0
	other := f.Ledger
	first := true
	g := openWith(t, f.store, func(s budget.Store) budget.Store {
		return &wrapper{s, func(ctx context.Context, next func() error) error {
			err := next()
			if !first || err != nil {
				return err
			}
			first = false
			_, err = other.Update(ctx, "b", func(b *budget.Budget) error { b.Name = "another's"; return nil })
			return errors.Join(budget.ErrOutcomeUnknown, err)
		}}
	})
	_, err = g.Update(t.Context(), "b", func(b *budget.Budget) error {
		if tries++; tries > 1 {
			t.Error("the function was applied again")
		}
		b.Limit = b.Limit.Add(decimal.NewFromInt(10))
		return nil
	})
	is(t, err, budget.ErrOutcomeUnknown)
}

func tokensBudget(id string) budget.Budget {
	return budget.Budget{ID: id, Name: id, Metric: "tokens", Limit: decimal.NewFromInt(1000)}
}

func TestACorrectionIsAudited(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.record(tokens("a", 5))
	if _, err := f.By("ada").Correct(t.Context(), back("c", "a", 2)); err != nil {
		t.Fatal(err)
	}
	entries := f.audit()
	last := entries[len(entries)-1]
	if last.Actor != "ada" || last.Action != "correct_event" || last.Kind != "event" || last.Target != "a" || last.Before != nil {
		t.Errorf("the entry is %+v", last)
	}
	if _, err := f.By("ada").Correct(t.Context(), back("c", "a", 2)); err != nil || len(f.audit()) != len(entries) {
		t.Errorf("the same again: %v, %d entries, want %d", err, len(f.audit()), len(entries))
	}
}

// One edit leaves some thresholds and reaches another. Those that were left alert again when they are reached again.
func TestThresholdsLeftByAnEditThatReachesAnotherAlertAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := tokensBudget("b")
	b.Limit = decimal.NewFromInt(100)
	b.Thresholds.Warning, b.Thresholds.Extra = new(decimal.NewFromInt(70)), []decimal.Decimal{decimal.NewFromInt(80)}
	f.create(b)
	f.record(tokens("a", 85))
	f.update("b", func(b *budget.Budget) {
		b.Limit, b.Thresholds.Warning = decimal.NewFromInt(200), new(decimal.NewFromInt(40))
	})
	before := alertsAt(t, f, "80")
	f.record(tokens("c", 80))
	if after := alertsAt(t, f, "80"); after != before+1 {
		t.Errorf("%d alerts at 80 %%, want %d", after, before+1)
	}
}

func alertsAt(t *testing.T, f *fixture, percent string) (n int) {
	t.Helper()
	alerts, err := f.Alerts(t.Context(), budget.AlertQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		if a.Threshold.String() == percent && a.Kind == "threshold" {
			n++
		}
	}
	return n
}
