package ledgertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
)

// A commit is not answered, whether it took place or not. Once, the ledger finds out by itself. Twice, the caller is told
// that nothing is known, and does the same again. In the end it is done, once.
func TestACallWhoseOutcomeIsUnknownIsDoneOnce(t *testing.T) {
	held := budget.ReservationKey{Tenant: rushSubject.Tenant, ID: "held"}
	calls := map[string]struct {
		call func(context.Context, *budget.Ledger) error
		want outcome
	}{
		"reserve": {func(ctx context.Context, l *budget.Ledger) error {
			_, err := l.Reserve(ctx, rushRequest("new"))
			return err
		}, outcome{Open: 2}},
		"settle": {func(ctx context.Context, l *budget.Ledger) error {
			_, err := l.Settle(ctx, held, budget.Settlement{Amounts: rushAmounts})
			return err
		}, outcome{Events: 1}},
		"release": {func(ctx context.Context, l *budget.Ledger) error { return l.Release(ctx, held) }, outcome{Released: 1}},
		"extend": {func(ctx context.Context, l *budget.Ledger) error {
			_, err := l.Extend(ctx, held, time.Hour)
			return err
		}, outcome{Open: 1}},
	}
	for name, c := range calls {
		for lost := 1; lost <= 2; lost++ {
			for committed, said := range map[bool]string{true: "committed", false: "not committed"} {
				t.Run(name+", "+said+", "+[]string{"", "once", "twice"}[lost], func(t *testing.T) {
					s := inMemory(t)
					createRush(t, s, "all")
					if _, err := rushLedger(s).Reserve(t.Context(), rushRequest("held")); err != nil {
						t.Fatal(err)
					}
					ledger := rushLedger(&unanswered{Store: s, commit: committed, left: lost})
					err := c.call(t.Context(), ledger)
					if lost == 1 && err != nil || lost == 2 && !errors.Is(err, budget.ErrOutcomeUnknown) {
						t.Errorf("%s: %v", name, err)
					}
					if err := c.call(t.Context(), ledger); err != nil {
						t.Errorf("%s again: %v", name, err)
					}
					s.became(t, c.want)
					verify(t, ledger)
				})
			}
		}
	}
}

// An outcome is what the tables come to.
type outcome struct{ Events, Open, Released int }

func (s *stage) became(t *testing.T, want outcome) {
	t.Helper()
	f := s.facts(t)
	f.agree(t)
	got := outcome{len(f.events), f.in(budget.Open), f.in(budget.Released)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is stored (-want +got):\n%s", diff)
	}
	for _, b := range rushBudgets {
		want := budget.Tally{Recorded: int64(got.Events) * rushUnits(b), Reserved: int64(got.Open) * rushUnits(b)}
		if got := f.of(b.ID); got != want {
			t.Errorf("budget %q counts %+v, want %+v", b.ID, got, want)
		}
	}
}

// An unanswered store gives no answer to its first commits, which take place or do not.
type unanswered struct {
	budget.Store
	commit bool
	left   int
}

func (u *unanswered) Update(ctx context.Context, fn func(budget.Tx) error) error {
	err := u.Store.Update(ctx, func(tx budget.Tx) error {
		err := fn(tx)
		if err == nil && u.left > 0 && !u.commit {
			err = errLost
		}
		return err
	})
	if u.left > 0 && (err == nil || errors.Is(err, errLost)) {
		u.left--
		return budget.ErrOutcomeUnknown
	}
	return err
}

var errLost = errors.New("lost")

// A store that is away is a clear error, and nothing is held. When it is back, all is as if nothing had been.
func TestAStoreThatIsAwayHoldsNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		s := k.open(t)
		createRush(t, s, "all")
		away := &away{Store: s}
		ledger := rushLedger(away)
		res, err := ledger.Reserve(t.Context(), rushRequest("held"))
		if err != nil {
			t.Fatal(err)
		}
		away.gone = true
		for name, call := range map[string]func() error{
			"reserve":       func() error { _, err := ledger.Reserve(t.Context(), rushRequest("new")); return err },
			"reserve again": func() error { _, err := ledger.Reserve(t.Context(), rushRequest("held")); return err },
			"settle":        func() error { return res.Settle(t.Context(), rushAmounts) },
			"release":       func() error { return ledger.Release(t.Context(), res.Key()) },
			"extend":        func() error { return res.Extend(t.Context(), time.Hour) },
			"check":         func() error { _, err := ledger.Check(t.Context(), rushRequest("new")); return err },
		} {
			if err := call(); !errors.Is(err, budget.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
		}
		s.became(t, outcome{Open: 1})
		away.gone = false
		if err := res.Close(t.Context()); err != nil { // which does what was tried last: settle
			t.Error(err)
		}
		s.became(t, outcome{Events: 1})
		verify(t, ledger)
	})
}

// An away store can't be reached while it is gone.
type away struct {
	budget.Store
	gone bool
}

func (a *away) Update(ctx context.Context, fn func(budget.Tx) error) error {
	if a.gone {
		return budget.ErrUnavailable
	}
	return a.Store.Update(ctx, fn)
}

func (a *away) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if a.gone {
		return budget.ErrUnavailable
	}
	return a.Store.View(ctx, fn)
}
