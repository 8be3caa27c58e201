package budget_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// A transaction may settle from more leases than it would end reservations that are overdue. It does not take those for
// such, and look for more, when it refuses somebody.
func TestManyLeasesThatAreSettledFromDoNotHoldUpOneThatIsRefused(t *testing.T) {
	const users = 350 // with three leases each
	p := lone(t)
	for _, id := range []string{"a", "b", "c"} {
		p.create(budget.Budget{ID: id, Limit: dec("1000000"), Scope: budget.Scope{usage.User: budget.Each}})
	}
	p.create(budget.Budget{ID: "full", Limit: dec("1"), Scope: budget.Scope{usage.User: "last"}})
	of := func(user string) budget.Request {
		r := one(1)
		r.User = user
		return r
	}
	var held []*budget.Reservation
	for i := range users {
		p.fromStore(of(fmt.Sprint(i)))
	}
	p.step()
	for i := range users {
		held = append(held, p.fromMemory(of(fmt.Sprint(i))))
	}
	p.fromStore(of("last"))

	var calls sync.WaitGroup
	entered, all := make(chan struct{}), make(chan struct{})
	p.outcomes = []outcome{func(run func() error) error {
		close(entered)
		<-all
		return run()
	}}
	calls.Go(func() { p.record(usage.Event{ID: "first", Subject: subject, Amounts: input(1)}) })
	<-entered
	for _, res := range held {
		calls.Go(func() {
			if err := res.Settle(t.Context(), input(1)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Go(func() {
		if _, err := p.Reserve(t.Context(), of("last")); !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("%v, want ErrExceeded", err)
		}
	})
	eventually(t, func() bool { return p.Queued() == users+1 })
	close(all)
	calls.Wait()
}

func TestACallerWhoseTimeIsUpIsNoOutage(t *testing.T) {
	f := openOptions(t, budget.Options{FailOpen: &usage.Amounts{Requests: new(int64(5))}})
	f.create(budget.Budget{})
	f.reserve(request("", 100))
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if res, err := f.Reserve(ctx, request("", 1)); err == nil {
		t.Errorf("admitted, unchecked: %t", res.Unchecked())
	}
}

func TestFailOpen(t *testing.T) {
	away := func(t *testing.T, most usage.Amounts) *fixture {
		f := openOptions(t, budget.Options{FailOpen: &most})
		f.create(budget.Budget{})
		f.reserve(request("", 1)) // so that the budgets are known
		return f
	}
	t.Run("admits up to the amount, says so, and records what was used", func(t *testing.T) {
		f := away(t, usage.Amounts{TotalTokens: new(int64(60))})
		f.store.FailNext(budget.ErrUnavailable)
		res := f.reserve(request("a", 60))
		if !res.Unchecked() || !res.Expires().IsZero() {
			t.Errorf("unchecked: %t, expires at %s; want true, and never", res.Unchecked(), res.Expires())
		}
		f.store.FailNext(budget.ErrUnavailable)
		_, err := f.Reserve(t.Context(), request("b", 1))
		if says := "of 60 tokens that may be admitted without it, 61 would be"; !errors.Is(err, budget.ErrUnavailable) || !strings.Contains(err.Error(), says) {
			t.Errorf("one more: %v, want ErrUnavailable, and %q", err, says)
		}
		if err := res.Settle(t.Context(), input(7)); err != nil {
			t.Fatal(err)
		}
		if e := f.stored(); len(e) != 1 || e[0].Flags != 0 {
			t.Errorf("events are %+v, want one that is not late", e)
		}
		f.reserve(request("c", 1)) // the outage is over
		f.store.FailNext(budget.ErrUnavailable)
		if res := f.reserve(request("d", 60)); !res.Unchecked() {
			t.Error("a new outage does not begin anew")
		}
	})
	t.Run("that names no amount admits nothing", func(t *testing.T) {
		f := away(t, usage.Amounts{InputTokens: 10})
		f.store.FailNext(budget.ErrUnavailable)
		if _, err := f.Reserve(t.Context(), request("a", 1)); !errors.Is(err, budget.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	})
}

// A clock that is behind the one by which the budget was made finds no way round its limit.
func TestAClockBehindTheBudgetsFirstPeriod(t *testing.T) {
	s := memstore.New(nil)
	clock := func(t time.Time) *budget.Options { return &budget.Options{Now: func() time.Time { return t }} }
	ahead, behind := budget.NewLedger(s, clock(noon)), budget.NewLedger(s, clock(noon.Add(-time.Hour)))
	b, err := ahead.Create(t.Context(), budget.Budget{Name: "hourly", Metric: usage.Tokens, Limit: dec("100"), Schedule: period.Hourly})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		decision, err := behind.Check(t.Context(), request("", 10))
		if err != nil || decision.Admitted() != (i < 10) {
			t.Fatalf("check %d: %v, %v; want what Reserve says", i, decision.Err(), err)
		}
		res, err := behind.Reserve(t.Context(), request(fmt.Sprint(i), 10))
		if errors.Is(err, budget.ErrExceeded) != (i >= 10) {
			t.Fatalf("request %d: %v", i, err)
		}
		if err == nil {
			err = res.Settle(t.Context(), input(10))
		}
		if err != nil && i < 10 {
			t.Fatal(err)
		}
	}
	if status, err := ahead.Status(t.Context(), b.ID, nil); err != nil || !status.Used.Equal(dec("100")) {
		t.Errorf("%s used, %v; want 100", status.Used, err)
	}
}

func TestDoCountsWhatCouldNotBeSettled(t *testing.T) {
	t.Run("at the estimate if the amounts are not valid", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{})
		err := f.Do(t.Context(), request("a", 60), func(context.Context) (usage.Amounts, error) { return input(-1), nil })
		if !errors.Is(err, budget.ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
		f.stands(b.ID, "60", "0")
	})
	t.Run("once more if the store was away", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{})
		err := f.Do(t.Context(), request("a", 60), func(context.Context) (usage.Amounts, error) {
			f.store.FailNext(budget.ErrUnavailable)
			return input(7), nil
		})
		if !errors.Is(err, budget.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
		f.stands(b.ID, "7", "0")
	})
}

func TestCloseOfWhatWasReleasedByItsKeyChargesNothing(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{})
	res := f.reserve(request("a", 60))
	if err := f.Release(t.Context(), res.Key()); err != nil {
		t.Fatal(err)
	}
	if err := res.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.stands(b.ID, "0", "0")
	if e := f.events(); len(e) != 0 {
		t.Errorf("events are %v, want none", e)
	}
}

func TestAReservationThatWasRecordedOtherwiseHoldsNothingMore(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{})
	res := f.reserve(request("a", 60))
	f.record(usage.Event{ID: "a", Subject: subject, Time: noon, Amounts: input(7)})
	if err := res.Settle(t.Context(), input(7)); !errors.Is(err, budget.ErrConflict) {
		t.Errorf("settle: %v, want ErrConflict: the event has a time of its own", err)
	}
	f.stands(b.ID, "7", "0")
}
