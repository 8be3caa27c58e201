package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// recorders is how many callers record while a definition changes.
const recorders = 8

// A newBudget is a monthly budget to make over a history.
type newBudget struct {
	name   string
	what   string
	budget budget.Budget
}

// changes are the budgets that differ in what has to be read to count them.
var changes = []newBudget{
	{"user", "for one user", budget.Budget{
		Metric: usage.Dollars, Scope: budget.Scope{usage.Tenant: tenant, usage.User: budget.Selector(userNames[7])},
	}},
	{"each-user", "for each user of a tenant", budget.Budget{
		Metric: usage.Dollars, Scope: budget.Scope{usage.Tenant: tenant, usage.User: budget.Each},
	}},
	{"label", "for the events with a label", budget.Budget{
		Metric: usage.Dollars, Scope: budget.Scope{"team": budget.Selector(teamNames[1])},
	}},
	{"credits", "in credits, for a tenant", budget.Budget{
		Metric: usage.Credits, CostPerCredit: decimal.New(1, -2), Scope: budget.Scope{usage.Tenant: tenant},
	}},
}

var tenant = budget.Selector(tenantNames[0])

// changeRow is a budget that is made in a running month with so many events, while others record.
func changeRow(table string, n newBudget, events int) row {
	return row{table + "/" + n.name, func(ctx context.Context, l *lab, at *closers) error {
		past, err := l.past(ctx, table, events)
		if err != nil {
			return err
		}
		var turns []changed
		for turn := range l.repeats {
			l.progress.say("turn %d of %d", turn+1, l.repeats)
			c, err := l.change(ctx, past, n.budget)
			if err != nil {
				return err
			}
			turns = append(turns, c)
		}
		l.report.addChange(table, n.what, events, turns)
		return nil
	}}
}

// past returns the place of the history that a table of changes is measured on.
func (l *lab) past(ctx context.Context, table string, events int) (*place, error) {
	if table == changeSQLite {
		return l.sqliteHistory(ctx, events)
	}
	h, err := l.postgresHistory(ctx, events)
	if err != nil {
		return nil, err
	}
	return h.place, nil
}

// changed is what a change took.
type changed struct {
	took   time.Duration // until Create returned
	held   time.Duration // the longest that nothing was committed meanwhile
	before time.Duration // the longest that nothing was committed in the time before
	failed int           // calls that recorded nothing
}

// change makes a budget while others record, and deletes it again.
func (l *lab) change(ctx context.Context, p *place, b budget.Budget) (c changed, err error) {
	var at closers
	defer func() { err = errors.Join(err, at.close()) }()
	if err := p.refresh(ctx); err != nil {
		return changed{}, err
	}
	log := commits{begun: make(chan struct{})}
	recorder, err := p.ledger(ctx, &at, &budget.Options{Observe: log.observe})
	if err != nil {
		return changed{}, err
	}
	changer, err := p.ledger(ctx, &at, nil)
	if err != nil {
		return changed{}, err
	}
	stop := startRecording(ctx, recorder)
	wait(ctx, l.duration/2)
	log.wait(ctx)
	start := time.Now()
	b.Name, b.Limit = "New", decimal.NewFromInt(1_000_000)
	made, err := changer.Create(ctx, b)
	end := time.Now()
	wait(ctx, l.duration/4)
	c.failed = stop()
	if err != nil {
		return changed{}, fmt.Errorf("create a budget: %w", err)
	}
	c.took = end.Sub(start)
	c.held = log.longest(func(from, to time.Time) bool { return to.After(start) && from.Before(end) })
	c.before = log.longest(func(_, to time.Time) bool { return to.Before(start) })
	return c, changer.Delete(ctx, made.ID)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// startRecording lets callers record until stop is called, which returns how many calls failed.
func startRecording(ctx context.Context, ledger *budget.Ledger) (stop func() int) {
	ctx, cancel := context.WithCancel(ctx)
	failed := make([]int, recorders)
	var all sync.WaitGroup
	for caller := range recorders {
		all.Go(func() {
			for d := newDealer(caller, oneTenant); ctx.Err() == nil; {
				// The last call of each is not cancelled, so that it does not count as failed.
				if _, err := record(context.WithoutCancel(ctx), ledger, d); err != nil {
					failed[caller]++
				}
			}
		})
	}
	return func() (sum int) {
		cancel()
		all.Wait()
		for _, n := range failed {
			sum += n
		}
		return sum
	}
}

// commits are the instants at which transactions that recorded had committed.
type commits struct {
	mu    sync.Mutex
	at    []time.Time
	begun chan struct{} // closed when the first transaction has ended, in a commit or not
	begin sync.Once
}

// wait waits for the first transaction's end.
func (c *commits) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-c.begun:
	}
}

func (c *commits) observe(op budget.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op.Err == nil {
		c.at = append(c.at, time.Now())
	}
	c.begin.Do(func() { close(c.begun) })
}

// longest returns the longest time without a commit, of those that count.
func (c *commits) longest(counts func(from, to time.Time) bool) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.at, time.Time.Compare)
	var longest time.Duration
	for i := 1; i < len(c.at); i++ {
		if from, to := c.at[i-1], c.at[i]; counts(from, to) {
			longest = max(longest, to.Sub(from))
		}
	}
	return longest
}
