package ledgertest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/store/memstore"
)

// A tenancy is a budget with room for one request, which is held, and a ledger whose clock the test moves.
type tenancy struct {
	*budget.Ledger
	t     *testing.T
	stage *stage
	now   atomic.Pointer[time.Time]
	held  *budget.Reservation
}

func newTenancy(t *testing.T, s *stage) *tenancy {
	t.Helper()
	n := &tenancy{t: t, stage: s}
	n.now.Store(&rushTime)
	n.Ledger = budget.NewLedger(s, &budget.Options{Now: func() time.Time { return *n.now.Load() }})
	b := rushBudgets[2]
	b.Name, b.Limit = "test", b.Metric.Decimal(rushUnits(b))
	if _, err := n.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	r := rushRequest("held")
	r.TTL = time.Hour
	var err error
	if n.held, err = n.Reserve(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return n
}

// reserve asks for the room.
func (n *tenancy) reserve(id string, want error) {
	n.t.Helper()
	if _, err := n.Reserve(n.t.Context(), rushRequest(id)); !errors.Is(err, want) {
		n.t.Errorf("reserve %s: %v, want %v", id, err, want)
	}
}

// stands fails unless so many reservations' worth is used, held and expired.
func (n *tenancy) stands(used, reserved, expired int64) {
	n.t.Helper()
	f := n.stage.facts(n.t)
	f.agree(n.t)
	units := rushUnits(rushBudgets[2])
	got := f.of("user")
	got.Denied = 0
	if want := (budget.Tally{Recorded: used * units, Reserved: reserved * units, Expired: expired, ExpiredHeld: expired * units}); got != want {
		n.t.Errorf("the counter is %+v, want %+v", got, want)
	}
	verify(n.t, n.Ledger)
}

// What is held is held until the store's clock says that its time is over, whatever the clock of a ledger says, and is
// there for the next one from then on.
func TestHoldsEndByTheStoresClock(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		n := newTenancy(t, k.open(t))
		for _, at := range []time.Duration{-48 * time.Hour, 0, 48 * time.Hour} {
			now := rushTime.Add(at)
			n.now.Store(&now)
			n.reserve("next", budget.ErrExceeded)
			n.stands(0, 1, 0)
		}
		n.stage.pass(t, 59*time.Minute)
		n.reserve("next", budget.ErrExceeded)
		n.stands(0, 1, 0)
		n.stage.pass(t, 2*time.Minute)
		n.reserve("next", nil)
		n.stands(0, 1, 1)
	})
}

// To the microsecond, where the clock can be stopped.
func TestHoldsEndWhenTheirTimeIsReached(t *testing.T) {
	for _, name := range []string{"memstore", "sqlite"} {
		t.Run(name, func(t *testing.T) {
			var ahead atomic.Int64
			now := func() time.Time { return rushTime.Add(time.Duration(ahead.Load())) }
			s := &stage{Store: memstore.New(&memstore.Options{Now: now})}
			if name == "sqlite" {
				s.url = sqliteURL(t)
				s.Store, s.db = openedWith(t, s.url, now), plain(t, s.url)
			}
			n := newTenancy(t, s)
			ahead.Store(int64(time.Hour - time.Microsecond))
			n.reserve("next", budget.ErrExceeded)
			ahead.Store(int64(time.Hour))
			n.reserve("next", nil)
			n.stands(0, 1, 1)
		})
	}
}

// What is done with a reservation after its time does not depend on whether somebody has given back its room already.
func TestAfterItsTimeAReservationHasExpiredWhetherNoticedOrNot(t *testing.T) {
	ends := map[string]struct {
		end                     func(*tenancy) error
		used, reserved, expired int64
	}{
		"settled, it is recorded in full, late": {func(n *tenancy) error {
			result, err := n.Settle(n.t.Context(), n.held.Key(), budget.Settlement{Amounts: rushAmounts})
			if !result.Late {
				n.t.Error("it is not called late")
			}
			return err
		}, 1, 0, 0},
		"released, nothing happens": {func(n *tenancy) error { return n.held.Release(n.t.Context()) }, 0, 0, 1},
		"released, it can be had again": {func(n *tenancy) error {
			err := n.held.Release(n.t.Context())
			n.reserve("held", nil)
			return err
		}, 0, 1, 0},
		"extended, it is admitted anew":     {func(n *tenancy) error { return n.held.Extend(n.t.Context(), 0) }, 0, 1, 0},
		"reserved again, it is admitted":    {func(n *tenancy) error { n.reserve("held", nil); return nil }, 0, 1, 0},
		"closed, it counts as it was asked": {func(n *tenancy) error { return n.held.Close(n.t.Context()) }, 1, 0, 0},
	}
	for name, c := range ends {
		for seen, notice := range map[string]func(*tenancy){
			"unnoticed": func(*tenancy) {},
			"noticed": func(n *tenancy) {
				n.reserve("next", nil)
				if err := n.Release(n.t.Context(), budget.ReservationKey{Tenant: "acme", ID: "next"}); err != nil {
					n.t.Fatal(err)
				}
			},
		} {
			t.Run(name+", "+seen, func(t *testing.T) {
				n := newTenancy(t, inMemory(t))
				n.stage.pass(t, 61*time.Minute)
				notice(n)
				if err := c.end(n); err != nil {
					t.Error(err)
				}
				n.stands(c.used, c.reserved, c.expired)
			})
		}
	}
}

// Run gives back what is overdue without anybody asking, tells of a store that is away and goes on, and leaves nothing
// running.
func TestRunGivesBackWhatIsOverdue(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		n := newTenancy(t, k.open(t))
		n.stage.pass(t, 61*time.Minute)
		running := goleak.IgnoreCurrent()
		const failures = 3
		away := &flaky{Store: n.stage, done: make(chan error)}
		away.failures.Store(failures)
		told := make(chan error, failures)
		runner := budget.NewLedger(away, &budget.Options{
			Now: func() time.Time { return rushTime }, SweepInterval: time.Millisecond, OnError: func(err error) { told <- err },
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { ended <- runner.Run(ctx) }()
		if err := <-told; !errors.Is(err, budget.ErrUnavailable) {
			t.Errorf("told of %v, want ErrUnavailable", err)
		}
		if err := <-away.done; err != nil {
			t.Errorf("the sweep: %v", err)
		}
		n.stands(0, 0, 1)
		cancel(errors.New("enough"))
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want that its context ended", err)
		}
		leak.VerifyNone(t, append(leak.OfPools(), running)...)
	})
}

// A flaky store is away for its first views, and says when it has written.
type flaky struct {
	budget.Store
	failures atomic.Int32
	done     chan error
}

func (f *flaky) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if f.failures.Add(-1) >= 0 {
		return budget.ErrUnavailable
	}
	return f.Store.View(ctx, fn)
}

func (f *flaky) Update(ctx context.Context, fn func(budget.Tx) error) error {
	err := f.Store.Update(ctx, fn)
	f.done <- err
	return err
}
