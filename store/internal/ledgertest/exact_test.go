package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// room is for how many requests there is room.
const room = 50

// The requests of a rush are all alike. The budgets that cover them differ in scope, metric and window.
var (
	rushTime    = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	rushSubject = usage.Subject{Tenant: "acme", User: "ann", Resource: "model-a", Labels: map[string]string{"team": "red"}}
	rushAmounts = usage.Amounts{InputTokens: 5, OutputTokens: 2, Cost: new(decimal.New(13, -3))}
	rushBudgets = []budget.Budget{
		{ID: "all", Metric: usage.Dollars, Schedule: period.Monthly},
		{ID: "tenant", Metric: usage.Tokens, Schedule: period.Daily.In(zone("Europe/Berlin")), Scope: budget.Scope{"tenant": budget.Each}},
		{ID: "user", Metric: usage.Tokens, Schedule: period.Lifetime, Scope: budget.Scope{"tenant": "acme", "user": "ann"}},
		{ID: "team", Metric: usage.Dollars, Schedule: period.Daily, Scope: budget.Scope{"team": budget.Each, "resource": budget.Each}},
	}
)

// rushUnits is what one request holds of a budget.
func rushUnits(b budget.Budget) int64 {
	if b.Metric == usage.Dollars {
		return 13_000_000
	}
	return 7
}

func rushRequest(id string) budget.Request {
	return budget.Request{ID: id, Subject: rushSubject, Estimate: rushAmounts}
}

func rushEvent(id string) usage.Event {
	return usage.Event{ID: id, Subject: rushSubject, Amounts: rushAmounts}
}

// createRush makes the budgets, one of which has room for exactly so many requests, and returns their limits.
func createRush(t *testing.T, s budget.Store, narrow string) map[string]int64 {
	t.Helper()
	ledger := rushLedger(s)
	limits := make(map[string]int64)
	for i, b := range rushBudgets {
		limits[b.ID] = int64(room+7*(i+1)) * rushUnits(b)
		if b.ID == narrow {
			limits[b.ID] = room * rushUnits(b)
		}
		b.Name, b.Limit = "test", b.Metric.Decimal(limits[b.ID])
		if _, err := ledger.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return limits
}

func rushLedger(s budget.Store) *budget.Ledger {
	return budget.NewLedger(s, &budget.Options{Now: func() time.Time { return rushTime }})
}

// Of many requests at the same time exactly those are admitted for which there is room, whichever of their budgets is the
// narrow one, however many ledgers they come through, and also if each of them is sent twice.
func TestOfConcurrentReservesExactlyThoseThatFitAreAdmitted(t *testing.T) {
	cases := []struct {
		name    string
		narrow  string
		ledgers int
		twice   bool
	}{
		{"the narrow budget is everybody's, by month", "all", 1, false},
		{"the narrow budget is the tenant's, by day", "tenant", 16, false},
		{"the narrow budget is a user's, for ever", "user", 16, false},
		{"the narrow budget is a team's, by day", "team", 4, false},
		{"each is sent twice", "tenant", 1, true},
		{"each is sent twice, through different ledgers", "all", 16, true},
	}
	eachStore(t, func(t *testing.T, k kind) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := k.open(t)
				s.watch(t)
				limits := createRush(t, s, c.narrow)
				ledgers := make([]*budget.Ledger, c.ledgers)
				for i := range ledgers {
					ledgers[i] = rushLedger(s)
				}
				n := soak.Count(t, "concurrent reserves", 1000, 1000)
				id := func(i int) string { return fmt.Sprintf("r%04d", i) }
				if c.twice {
					id = func(i int) string { return fmt.Sprintf("r%04d", i/2) }
				}
				r := &rush{t: t, admitted: make(map[string]int)}
				together(n, func(i int) { r.reserve(t.Context(), ledgers[i%len(ledgers)], id(i)) })
				r.exactly(s, n, c.twice, c.narrow, limits)
			})
		}
	})
}

// together calls do so many times at the same time.
func together(n int, do func(i int)) {
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	done.Wait()
}

// A rush is many requests at the same time. It gathers what became of them.
type rush struct {
	t        *testing.T
	mu       sync.Mutex
	admitted map[string]int // how often each id was
	refused  int
}

func (r *rush) reserve(ctx context.Context, ledger *budget.Ledger, id string) {
	_, err := ledger.Reserve(ctx, rushRequest(id))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.admitted[id]++
	case errors.Is(err, budget.ErrExceeded):
		r.refused++
	default:
		r.t.Errorf("reserve %s: %v", id, err)
	}
}

// exactly fails unless what fits was admitted, and that alone; then it settles all of it.
func (r *rush) exactly(s *stage, sent int, twice bool, narrow string, limits map[string]int64) {
	t := r.t
	t.Helper()
	times := 1
	if twice {
		times = 2
	}
	if len(r.admitted) != room || r.refused != sent-times*room {
		t.Errorf("%d were admitted and %d of %d calls refused, want %d and %d", len(r.admitted), r.refused, sent, room, sent-times*room)
	}
	for id, n := range r.admitted {
		if n != times {
			t.Errorf("%s was sent %d times and admitted %d times", id, times, n)
		}
	}
	if most := s.neverAbove(t, limits); most[narrow] != limits[narrow] {
		t.Errorf("at most %d units were used and reserved of %q, want all %d", most[narrow], narrow, limits[narrow])
	}
	r.proves(s, narrow, 0, room, r.refused)

	ledger := rushLedger(s)
	ids := make([]string, 0, room)
	for id := range r.admitted {
		ids = append(ids, id)
	}
	together(times*len(ids), func(i int) {
		key := budget.ReservationKey{Tenant: rushSubject.Tenant, ID: ids[i%len(ids)]}
		if _, err := ledger.Settle(t.Context(), key, budget.Settlement{Amounts: rushAmounts}); err != nil {
			t.Errorf("settle: %v", err)
		}
	})
	r.proves(s, narrow, room, 0, r.refused)
	if _, err := ledger.Reserve(t.Context(), rushRequest("one more")); !errors.Is(err, budget.ErrExceeded) {
		t.Errorf("one more when all is used: %v, want ErrExceeded", err)
	}
	verify(t, ledger)
}

// proves fails unless the tables say that so many are settled and so many are held.
func (r *rush) proves(s *stage, narrow string, settled, open, refused int) {
	t := r.t
	t.Helper()
	f := s.facts(t)
	f.agree(t)
	if len(f.events) != settled || len(f.reservations) != open || f.in(budget.Open) != open {
		t.Errorf("there are %d events and %d reservations, want %d and %d", len(f.events), len(f.reservations), settled, open)
	}
	if sum := f.used(t); sum.TotalTokens != int64(7*settled) || sum.Nanodollars != int64(13_000_000*settled) {
		t.Errorf("the events used %+v, want %d times 7 tokens and 0.013 dollars", sum, settled)
	}
	for _, b := range rushBudgets {
		want := budget.Tally{Recorded: int64(settled) * rushUnits(b), Reserved: int64(open) * rushUnits(b)}
		if b.ID == narrow {
			want.Denied = int64(refused)
		}
		if got := f.of(b.ID); got != want {
			t.Errorf("budget %q counts %+v, want %+v", b.ID, got, want)
		}
	}
}
