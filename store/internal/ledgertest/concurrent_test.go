package ledgertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

const writers = 8

// Eight writers record, late events and corrections among them, while budgets are made, re-scoped, changed in metric,
// schedule and rate, and deleted. At the end every counter is what the events that were sent say.
func TestDefinitionChangesMissNothingAndDoubleNothingWhileOthersRecord(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		r := newRace(t, k.open(t))
		r.changes = soak.Count(t, "changes of definitions, 100 commits apart", k.changes, 10*k.changes)
		var done sync.WaitGroup
		for i := range writers {
			done.Go(func() { r.write(i) })
		}
		r.change()
		r.stop.Store(true)
		done.Wait()
		r.compare()
	})
}

// overlap is how many transactions of recorders commit between one change of definitions and the next.
const overlap = 100

// A race is writers and a changer of definitions on one store.
type race struct {
	t       *testing.T
	ctx     context.Context
	ledger  *budget.Ledger
	start   time.Time
	changes int
	stop    atomic.Bool

	committing sync.Mutex
	committed  *sync.Cond
	commits    int

	mu    sync.Mutex
	model *model
}

func newRace(t *testing.T, s budget.Store) *race {
	r := &race{t: t, ctx: t.Context(), start: time.Date(2024, 3, 30, 22, 0, 0, 0, time.UTC), model: newModel()}
	r.committed = sync.NewCond(&r.committing)
	r.ledger = budget.NewLedger(s, &budget.Options{
		Now:     func() time.Time { return r.start },
		Observe: func(budget.Op) { r.commit() },
	})
	return r
}

func (r *race) commit() {
	r.committing.Lock()
	defer r.committing.Unlock()
	r.commits++
	r.committed.Broadcast()
}

// awaitCommits returns when so many more transactions of recorders have ended.
func (r *race) awaitCommits(n int) {
	r.committing.Lock()
	defer r.committing.Unlock()
	for until := r.commits + n; r.commits < until && !r.t.Failed(); {
		r.committed.Wait()
	}
}

// write records until told to stop.
func (r *race) write(writer int) {
	random := rand.New(rand.NewPCG(1, uint64(writer)))
	for i := 0; !r.stop.Load() && !r.t.Failed(); i++ {
		events := make([]*modelEvent, 1+random.IntN(3))
		batch := make([]usage.Event, len(events))
		for j := range events {
			events[j] = r.event(random, fmt.Sprintf("w%d-%d-%d", writer, i, j))
			batch[j] = events[j].event
		}
		results, err := r.ledger.RecordBatch(r.ctx, batch)
		for j := range results {
			if err != nil || results[j].Outcome != budget.Recorded {
				r.t.Errorf("record: %v: %+v", err, results[j])
				return
			}
		}
		if random.IntN(4) == 0 {
			r.correct(random, events[0])
		}
		r.mu.Lock()
		r.model.events = append(r.model.events, events...)
		r.mu.Unlock()
	}
}

func (r *race) event(random *rand.Rand, id string) *modelEvent {
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	back := time.Duration(random.IntN(120)) * time.Second
	if random.IntN(5) == 0 {
		back = time.Duration(random.IntN(40*24)) * time.Hour // late: of an earlier period
	}
	e := usage.Event{
		ID: id, Time: r.start.Add(-back),
		Subject: usage.Subject{
			Tenant: pick("t1", "t2"), User: pick("u1", "u2", "u3", ""), Resource: pick("r1", "r2"),
			Labels: map[string]string{"team": pick("red", "blue")},
		},
		Amounts: usage.Amounts{
			InputTokens: random.Int64N(1000), OutputTokens: random.Int64N(500),
			Cost: new(decimal.New(random.Int64N(3_000_000_000), -9)),
		},
	}
	totals, err := e.Totals()
	if err != nil {
		panic(err)
	}
	return &modelEvent{event: e, totals: totals}
}

func (r *race) correct(random *rand.Rand, e *modelEvent) {
	c := usage.Correction{
		ID: e.event.ID + "-c", Tenant: e.event.Tenant, Event: e.event.ID, Reason: "test",
		Amounts: usage.Amounts{
			InputTokens: random.Int64N(e.totals.InputTokens + 1),
			Cost:        new(usage.Dollars.Decimal(random.Int64N(e.totals.Nanodollars + 1))),
		},
	}
	if result, err := r.ledger.Correct(r.ctx, c); err != nil || result.Outcome != budget.Recorded {
		r.t.Errorf("correct: %v: %+v", err, result)
		return
	}
	var err error
	if e.taken, err = c.Totals(); err != nil {
		r.t.Error(err)
	}
}

// change changes definitions, one after the other, each while many transactions commit.
func (r *race) change() {
	random := rand.New(rand.NewPCG(2, 2))
	for range r.changes {
		if r.t.Failed() {
			return
		}
		r.changeOne(random)
		r.awaitCommits(overlap)
	}
}

func (r *race) changeOne(random *rand.Rand) {
	ids := make([]string, 0, len(r.model.budgets))
	for id := range r.model.budgets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	switch n := random.IntN(10); {
	case len(ids) < 4 || n < 2 && len(ids) < 10:
		r.create(random)
	case n < 3:
		id := ids[random.IntN(len(ids))]
		if err := r.ledger.Delete(r.ctx, id); err != nil {
			r.t.Errorf("delete: %v", err)
		}
		delete(r.model.budgets, id)
	default:
		r.update(random, r.model.budgets[ids[random.IntN(len(ids))]])
	}
}

var (
	raceScopes = []budget.Scope{
		{},
		{"tenant": "t1"},
		{"tenant": budget.Each},
		{"tenant": "t2", "user": budget.Each},
		{"team": "red"},
		{"team": budget.Each, "user": budget.Each},
		{"user": "u1"},
		{"resource": budget.Each},
	}
	raceSchedules = []period.Schedule{
		period.Hourly, period.Daily.In(zone("Europe/Berlin")), period.Monthly, period.Weekly, period.Lifetime,
		period.Every(90, period.Second, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
)

func (r *race) draw(random *rand.Rand, b *budget.Budget) {
	b.Metric = usage.Metrics()[random.IntN(len(usage.Metrics()))]
	b.Scope = raceScopes[random.IntN(len(raceScopes))]
	b.Schedule = raceSchedules[random.IntN(len(raceSchedules))]
	if b.CostPerCredit = decimal.Zero; b.Metric == usage.Credits {
		b.CostPerCredit = decimal.New(1+random.Int64N(900), -3)
	}
}

func (r *race) create(random *rand.Rand) {
	b := budget.Budget{Name: "race", Limit: decimal.NewFromInt(1 + random.Int64N(100_000))}
	r.draw(random, &b)
	created, err := r.ledger.Create(r.ctx, b)
	if err != nil {
		r.t.Errorf("create: %v", err)
		return
	}
	r.model.budgets[created.ID] = &modelBudget{budget: created, countedFrom: b.Schedule.Bounds(r.start).Start, rates: firstRate(b)}
}

func firstRate(b budget.Budget) []budget.Rate {
	if b.CostPerCredit.IsZero() {
		return nil
	}
	return []budget.Rate{{CostPerCredit: b.CostPerCredit}}
}

func (r *race) update(random *rand.Rand, b *modelBudget) {
	next := b.budget
	kind := random.IntN(4)
	switch kind {
	case 0:
		next.Limit = next.Limit.Add(decimal.NewFromInt(1))
	case 1:
		next.Scope = raceScopes[random.IntN(len(raceScopes))]
	case 2:
		next.Schedule = raceSchedules[random.IntN(len(raceSchedules))]
	default:
		r.draw(random, &next)
	}
	if kind == 3 && next.Metric == b.budget.Metric {
		next.CostPerCredit = b.budget.CostPerCredit // a new rate would hold from the newest event on, which is not known here
	}
	updated, err := r.ledger.Update(r.ctx, b.budget.ID, func(b *budget.Budget) error { *b = next; return nil })
	if err != nil {
		r.t.Errorf("update: %v", err)
		return
	}
	if kind > 0 {
		b.countedFrom = next.Schedule.Bounds(r.start).Start
	}
	if next.Metric != b.budget.Metric {
		b.rates = firstRate(next)
	}
	b.budget = updated
}

// compare compares every counter of the running periods with what was sent.
func (r *race) compare() {
	found, err := r.ledger.Verify(r.ctx, nil)
	if err != nil || len(found.Differences) > 0 {
		r.t.Errorf("verify: %v: %d differences, the first: %+v", err, len(found.Differences), found.Differences[:min(1, len(found.Differences))])
	}
	counters := 0
	for id, b := range r.model.budgets {
		recorded, _ := r.model.used(b, b.budget.Schedule.Bounds(r.start))
		for key, want := range recorded {
			value, err := budget.ParseValue(key)
			if err != nil {
				r.t.Fatal(err)
			}
			status, err := r.ledger.Status(r.ctx, id, value)
			if err != nil || !status.Used.Equal(want) {
				r.t.Errorf("budget on %s, %v, by %q: used %s, the events sent come to %s (%v)",
					b.budget.Metric, b.budget.Schedule, b.budget.Scope.Shape(), status.Used, want, err)
			}
			counters++
		}
	}
	r.t.Logf("%d events, %d transactions of recorders, %d counters compared", len(r.model.events), r.commits, counters)
	if counters == 0 {
		r.t.Error("no counter was compared")
	}
}
