package outagetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A fleet is what works on one store: callers of a ledger that asks it for everything, and of one with leases, each with a
// store of its own, as if they were two processes.
type fleet struct {
	*testing.T
	asking, leasing *callers
}

// launch makes budgets and lets callers work on the store that a URL names.
func launch(t *testing.T, url string) *fleet {
	t.Helper()
	return launchPatient(t, flushTimeout, url)
}

// launchPatient is launch with ledgers one transaction of which may take so long.
func launchPatient(t *testing.T, flush time.Duration, url string) *fleet {
	t.Helper()
	makeBudgets(t, opened(t, url))
	return launchOn(t, flush, opened(t, url), opened(t, url))
}

// launchOn lets callers work on two stores with the same tables, which have budgets.
func launchOn(t *testing.T, flush time.Duration, one, other budget.Store) *fleet {
	t.Helper()
	f := &fleet{
		T:       t,
		asking:  callAndRun(t, "asking", one, flush, nil),
		leasing: callAndRun(t, "leasing", other, flush, &budget.LeaseOptions{TTL: 2 * time.Second}),
	}
	t.Cleanup(f.rest)
	f.goOn()
	return f
}

// callAndRun lets callers work, and the ledger's Run until they are told to rest.
func callAndRun(t tester, name string, s budget.Store, flush time.Duration, leases *budget.LeaseOptions) *callers {
	var c *callers
	ready := make(chan struct{})
	ledger := budget.NewLedger(s, &budget.Options{
		FlushTimeout: flush, SweepInterval: flushTimeout, Leases: leases,
		OnError: func(err error) {
			<-ready
			c.hear(err)
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := ledger.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	c = call(t, name, ledger, leases != nil, flush)
	c.rest = func() { stop(); running.Wait() }
	close(ready)
	return c
}

func makeBudgets(t *testing.T, s budget.Store) {
	t.Helper()
	ledger := budget.NewLedger(s, nil)
	for _, b := range []budget.Budget{
		{Name: "all", Metric: usage.Tokens, Limit: decimal.NewFromInt(1e9), Enforcement: budget.Hard},
		{
			Name: "each", Metric: usage.Dollars, Limit: decimal.NewFromInt(1e6), Enforcement: budget.Hard,
			Schedule: period.Monthly, Scope: budget.Scope{"tenant": budget.Each},
		},
	} {
		if _, err := ledger.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// goOn waits until calls succeed.
func (f *fleet) goOn() {
	f.Helper()
	f.asking.goOn()
	f.leasing.goOn()
}

// fail waits until callers of both ledgers are told this.
func (f *fleet) fail(says string) {
	f.Helper()
	f.asking.fail(says)
	f.leasing.fail(says)
}

// failWhile is fail for a fault that must be made again and again.
func (f *fleet) failWhile(says string, fault func() error) {
	f.Helper()
	enough := make(chan struct{})
	var making sync.WaitGroup
	making.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
			}
			if err := fault(); err != nil {
				f.Error(err)
				return
			}
		}
	})
	defer making.Wait()
	defer close(enough)
	f.fail(says)
}

// failInRun waits until both ledgers' Run has failed.
func (f *fleet) failInRun() {
	f.Helper()
	f.asking.failInRun()
	f.leasing.failInRun()
}

// rest ends Run of both.
func (f *fleet) rest() {
	f.asking.rest()
	f.leasing.rest()
}

// prove stops everything and compares what the tables hold with what the callers were told.
func (f *fleet) prove(url string) {
	f.Helper()
	tolds := []told{f.asking.stop(), f.leasing.stop()}
	f.rest()
	prove(f.T, url, tolds...)
}
