package budget_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func TestDo(t *testing.T) {
	failure := errors.New("the model is away")
	tests := map[string]struct {
		amounts  usage.Amounts
		err      error
		used     string
		recorded int
		flags    budget.EventFlags
	}{
		"what was used is settled":                  {amounts: input(7), used: "7", recorded: 1},
		"also if the work failed":                   {amounts: input(7), err: failure, used: "7", recorded: 1},
		"without amounts it counts at the estimate": {used: "60", recorded: 1, flags: budget.Estimated},
		"also if the work failed without amounts":   {err: failure, used: "60", recorded: 1, flags: budget.Estimated},
		"nothing spent gives back":                  {err: fmt.Errorf("%w: %w", budget.ErrNotSpent, failure), used: "0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			b := f.create(budget.Budget{})
			ctx, cancel := context.WithCancel(t.Context())
			err := f.Do(ctx, request("a", 60), func(context.Context) (usage.Amounts, error) {
				f.stands(b.ID, "0", "60")
				cancel() // what was used is settled all the same
				return test.amounts, test.err
			})
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("error is %v, want %v", err, test.err)
			}
			f.stands(b.ID, test.used, "0")
			events := f.stored()
			if len(events) != test.recorded || len(events) > 0 && events[0].Flags&budget.Estimated != test.flags {
				t.Errorf("events are %+v", events)
			}
		})
	}
	t.Run("a panic closes at the estimate and goes on", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{})
		defer func() {
			if recover() != "boom" {
				t.Error("the panic did not go on")
			}
			f.stands(b.ID, "60", "0")
		}()
		_ = f.Do(t.Context(), request("a", 60), func(context.Context) (usage.Amounts, error) { panic("boom") })
	})
	t.Run("what is refused is not run", func(t *testing.T) {
		f := open(t)
		f.create(budget.Budget{})
		err := f.Do(t.Context(), request("a", 101), func(context.Context) (usage.Amounts, error) {
			t.Error("it was")
			return usage.Amounts{}, nil
		})
		if !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("%v, want ErrExceeded", err)
		}
	})
}

func TestClose(t *testing.T) {
	t.Run("of nil does nothing", func(t *testing.T) {
		if err := (*budget.Reservation)(nil).Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("settles at the estimate, when ctx has ended too, once", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		res := f.reserve(request("a", 60))
		for range 2 {
			if err := res.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
		f.stands(b.ID, "60", "0")
		if e := f.stored(); len(e) != 1 || e[0].Flags&budget.Estimated == 0 {
			t.Errorf("events are %+v", e)
		}
	})
	t.Run("releases if told to", func(t *testing.T) {
		f := openOptions(t, budget.Options{ReleaseOnClose: true})
		b := f.create(budget.Budget{})
		if err := f.reserve(request("a", 60)).Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.stands(b.ID, "0", "0")
	})
	t.Run("after a settle that failed tries the same again", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{})
		res := f.reserve(request("a", 60))
		f.store.FailNext(budget.ErrUnavailable)
		if err := res.Settle(t.Context(), input(7)); !errors.Is(err, budget.ErrUnavailable) {
			t.Fatalf("settle: %v, want ErrUnavailable", err)
		}
		f.stands(b.ID, "0", "60")
		if err := res.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.stands(b.ID, "7", "0")
	})
	t.Run("after a settle with bad amounts settles at the estimate", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{})
		res := f.reserve(request("a", 60))
		if err := res.Settle(t.Context(), input(-1)); !errors.Is(err, budget.ErrInvalid) {
			t.Fatalf("settle: %v, want ErrInvalid", err)
		}
		if err := res.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.stands(b.ID, "60", "0")
	})
	t.Run("of one that another process has settled does nothing", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{})
		res := f.reserve(request("a", 60))
		if _, err := f.Settle(t.Context(), res.Key(), budget.Settlement{Amounts: input(5)}); err != nil {
			t.Fatal(err)
		}
		if err := res.Close(t.Context()); err != nil {
			t.Error(err)
		}
		f.stands(b.ID, "5", "0")
	})
}

func TestDefinitionChangesTakeReservationsAlong(t *testing.T) {
	f := open(t)
	first := f.reserve(request("early", 30)) // before there is a budget
	b := f.create(budget.Budget{ID: "b"})
	f.stands("b", "0", "30")
	f.reserve(request("late", 20))
	f.stands("b", "0", "50")

	f.update("b", func(b *budget.Budget) { b.Scope = budget.Scope{usage.User: "bob"} })
	f.stands("b", "0", "0")
	f.update("b", func(b *budget.Budget) { b.Scope = budget.Scope{usage.User: "ann"}; b.Metric = usage.Requests })
	f.stands("b", "0", "2")
	f.update("b", func(b *budget.Budget) { b.Metric = usage.Tokens })
	f.stands("b", "0", "50")
	f.verified()

	if err := first.Settle(t.Context(), input(35)); err != nil {
		t.Fatal(err)
	}
	f.stands("b", "35", "20")
	if err := f.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Settle(t.Context(), key("late"), budget.Settlement{Amounts: input(1)}); err != nil {
		t.Errorf("settle after the budget is gone: %v", err)
	}
	f.create(budget.Budget{ID: b.ID})
	f.stands("b", "36", "0")
	f.verified()
}

func TestExpiredOnesOfARecountedBudget(t *testing.T) {
	f := open(t)
	f.create(budget.Budget{ID: "b"})
	res := f.reserve(request("a", 60))
	f.now = noon.Add(time.Hour)
	f.reserve(request("b", 1))
	f.update("b", func(b *budget.Budget) { b.Scope = budget.Scope{usage.User: "ann"} })
	if err := res.Settle(t.Context(), input(7)); err != nil {
		t.Fatal(err)
	}
	if s := f.status("b", nil); s.Expired != 0 || !s.ExpiredHeld.IsZero() || !s.Used.Equal(dec("7")) {
		t.Errorf("%d expired that held %s, %s used; want none, and 7", s.Expired, s.ExpiredHeld, s.Used)
	}
	f.verified()
}

func TestTheFirstRefusalOfAPeriodAlerts(t *testing.T) {
	f := open(t)
	f.create(budget.Budget{})
	for _, id := range []string{"a", "b"} {
		f.refused(request(id, 101))
	}
	alerts, err := f.Alerts(t.Context(), budget.AlertQuery{})
	if err != nil || len(alerts) != 1 || alerts[0].Kind != "blocked" {
		t.Fatalf("alerts are %+v, %v; want one that says blocked", alerts, err)
	}
	f.now = noon.AddDate(0, 1, 0)
	f.refused(request("c", 101))
	if alerts, _ = f.Alerts(t.Context(), budget.AlertQuery{}); len(alerts) != 2 {
		t.Errorf("%d alerts after the next period's first refusal, want 2", len(alerts))
	}
}
