package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Callers of several ledgers record, reserve, settle with more or less than was reserved, release, extend and forget what
// they reserved, all at the same time, while time passes. Whenever something is admitted, no more is used and reserved
// than the limit of any budget. Afterwards every counter is what the events and the open reservations say.
func TestNothingIsAdmittedAboveALimitWhateverElseHappens(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		m := newMarket(t, k.open(t))
		n := soak.Count(t, "calls by each of eight callers", k.calls, 50*k.calls)
		together(writers, func(i int) { m.trade(i, n) })
		m.close()
	})
}

// marketBudgets leave little room, in periods that are soon over.
var marketBudgets = []budget.Budget{
	{ID: "all", Metric: usage.Tokens, Schedule: period.Hourly, Limit: decimal.NewFromInt(400)},
	{ID: "user", Metric: usage.Dollars, Schedule: period.Hourly.In(zone("Asia/Kathmandu")), Limit: decimal.New(21, -1), Scope: budget.Scope{"user": budget.Each}},
	{ID: "tenant", Metric: usage.Requests, Schedule: period.Every(3, period.Hour, rushTime), Limit: decimal.NewFromInt(30), Scope: budget.Scope{"tenant": "t1"}},
	{ID: "team", Metric: usage.Tokens, Schedule: period.Every(90, period.Minute, rushTime), Limit: decimal.NewFromInt(250), Scope: budget.Scope{"tenant": budget.Each, "team": "red"}},
	{ID: "watched", Metric: usage.Tokens, Schedule: period.Daily, Limit: decimal.NewFromInt(10), Enforcement: budget.Observe},
}

// A market is callers of ledgers on one store, and what they were told.
type market struct {
	t       *testing.T
	ctx     context.Context
	stage   *stage
	ledgers []*budget.Ledger
	passed  atomic.Int64 // by the ledgers' clocks
	limits  map[string]int64

	mu       sync.Mutex
	used     map[budget.EventKey]usage.Totals // what the events should be
	outcomes map[string]int
}

func newMarket(t *testing.T, s *stage) *market {
	m := &market{
		t: t, ctx: t.Context(), stage: s,
		limits: make(map[string]int64), used: make(map[budget.EventKey]usage.Totals), outcomes: make(map[string]int),
	}
	s.watch(t)
	for range 4 {
		m.ledgers = append(m.ledgers, budget.NewLedger(s, &budget.Options{
			Now: func() time.Time { return rushTime.Add(time.Duration(m.passed.Load())) },
		}))
	}
	for _, b := range marketBudgets {
		b.Name = "test"
		if _, err := m.ledgers[0].Create(m.ctx, b); err != nil {
			t.Fatal(err)
		}
		limit, err := b.Metric.Units(b.Limit)
		if err != nil {
			t.Fatal(err)
		}
		if b.Enforcement == budget.Observe {
			limit = 1 << 62
		}
		m.limits[b.ID] = limit
	}
	return m
}

// trade makes so many calls, one after the other.
func (m *market) trade(caller, calls int) {
	random := rand.New(rand.NewPCG(3, uint64(caller)))
	ledger := m.ledgers[caller%len(m.ledgers)]
	var held []*budget.Reservation
	for i := 0; i < calls && !m.t.Failed(); i++ {
		id := fmt.Sprintf("c%d-%d", caller, i)
		switch n := random.IntN(20); {
		case n < 6 && caller == 0:
			m.pass(20 * time.Minute)
		case n < 2:
			e := usage.Event{ID: id, Subject: marketSubject(random), Amounts: marketAmounts(random, 5)}
			if result, err := ledger.Record(m.ctx, e); m.fine("record", err) && result.Outcome == budget.Recorded {
				m.spent(budget.EventKey{Tenant: e.Tenant, ID: e.ID}, e.Amounts)
			}
		case n < 11 || len(held) == 0:
			r := budget.Request{ID: id, Subject: marketSubject(random), Estimate: marketAmounts(random, 30), TTL: time.Hour}
			if res, err := ledger.Reserve(m.ctx, r); m.fine("reserve", err) {
				held = append(held, res)
			}
		default:
			j := random.IntN(len(held))
			if m.end(random, held[j]) {
				held = append(held[:j], held[j+1:]...)
			}
		}
	}
}

// end does something with a reservation, and reports whether that was the last.
func (m *market) end(random *rand.Rand, r *budget.Reservation) bool {
	switch random.IntN(8) {
	case 0:
		m.fine("release", r.Release(m.ctx))
	case 1:
		m.fine("extend", r.Extend(m.ctx, 2*time.Hour))
		return false
	case 2:
		m.fine("forget", nil)
	default:
		spent := marketAmounts(random, 40)
		if m.fine("settle", r.Settle(m.ctx, spent)) {
			m.spent(r.Key(), spent)
		}
	}
	return true
}

func marketSubject(random *rand.Rand) usage.Subject {
	return usage.Subject{
		Tenant: fmt.Sprintf("t%d", 1+random.IntN(2)), User: fmt.Sprintf("u%d", 1+random.IntN(3)),
		Labels: map[string]string{"team": []string{"red", "blue"}[random.IntN(2)]},
	}
}

func marketAmounts(random *rand.Rand, most int) usage.Amounts {
	n := random.IntN(most)
	return usage.Amounts{InputTokens: int64(n), Cost: new(decimal.New(int64(n), -2))}
}

// pass lets time pass by all clocks, and something expire for those who are in the middle of it.
func (m *market) pass(d time.Duration) {
	m.passed.Add(int64(d))
	m.stage.pass(m.t, d)
}

// fine counts what came of a call, and reports whether it did what was asked for.
func (m *market) fine(what string, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, budget.ErrExceeded) {
		m.outcomes[what+" refused"]++
		return false
	}
	if err != nil {
		m.t.Errorf("%s: %v", what, err)
		return false
	}
	m.outcomes[what]++
	return true
}

func (m *market) spent(key budget.EventKey, a usage.Amounts) {
	totals, err := a.Totals()
	if err != nil {
		m.t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used[key] = totals
}

// close compares what the tables say with what the callers were told.
func (m *market) close() {
	m.stage.neverAbove(m.t, m.limits)
	f := m.stage.facts(m.t)
	f.agree(m.t)
	if diff := cmp.Diff(m.used, f.events); diff != "" {
		m.t.Errorf("events (-acknowledged +stored):\n%s", diff)
	}
	for _, id := range []string{"all", "watched"} {
		if want, got := f.used(m.t).TotalTokens, f.of(id).Recorded; got != want {
			m.t.Errorf("budget %q recorded %d tokens, the events come to %d", id, got, want)
		}
	}
	verify(m.t, m.ledgers[0])
	m.t.Logf("%v, %d expired", m.outcomes, f.in(budget.Expired))
	if testing.Short() {
		return // so few calls need not come to everything
	}
	for _, what := range []string{"record", "reserve", "reserve refused", "settle", "release", "extend", "forget"} {
		if m.outcomes[what] == 0 {
			m.t.Errorf("there was no %s: %v", what, m.outcomes)
		}
	}
	if f.in(budget.Expired) == 0 {
		m.t.Error("nothing expired")
	}
}
