package main

import (
	"context"
	"sync/atomic"

	"github.com/purser-go/purser/budget"
)

// steps counts the steps of transactions that only read. Each is one round trip to a database.
type steps struct{ n atomic.Int64 }

// counted makes a world's ledger work on a store whose steps are counted.
func (s *steps) counted(c *config) {
	c.Ledger = budget.NewLedger(countedStore{c.Store, s}, &budget.Options{Now: c.Now})
}

type countedStore struct {
	budget.Store
	steps *steps
}

func (s countedStore) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	return s.Store.View(ctx, func(r budget.ReadTx) error { return fn(countedTx{r, s.steps}) })
}

// countedTx counts whatever tells of definitions and usage.
type countedTx struct {
	budget.ReadTx
	steps *steps
}

func (t countedTx) Catalog(ctx context.Context) (budget.Catalog, error) {
	t.steps.n.Add(1)
	return t.ReadTx.Catalog(ctx)
}

func (t countedTx) Budgets(ctx context.Context, q budget.Query) ([]budget.Definition, error) {
	t.steps.n.Add(1)
	return t.ReadTx.Budgets(ctx, q)
}

func (t countedTx) CountBudgets(ctx context.Context, q budget.Query) (int, error) {
	t.steps.n.Add(1)
	return t.ReadTx.CountBudgets(ctx, q)
}

func (t countedTx) Counters(ctx context.Context, q budget.CounterQuery) ([]budget.Counter, error) {
	t.steps.n.Add(1)
	return t.ReadTx.Counters(ctx, q)
}

func (t countedTx) Highest(ctx context.Context, k []budget.CounterKey) (map[budget.CounterKey]budget.HighestCounter, error) {
	t.steps.n.Add(1)
	return t.ReadTx.Highest(ctx, k)
}

func (t countedTx) Usage(ctx context.Context, q budget.UsageQuery) ([]budget.UsageRow, error) {
	t.steps.n.Add(1)
	return t.ReadTx.Usage(ctx, q)
}

func (t countedTx) Events(ctx context.Context, q budget.EventQuery) ([]budget.StoredEvent, error) {
	t.steps.n.Add(1)
	return t.ReadTx.Events(ctx, q)
}

// flaky is a store that is away at times.
type flaky struct {
	noAudit   atomic.Bool  // transactions that write to the audit fail
	failViews atomic.Int64 // so many of the next reads after a change fail
}

// store makes a world's ledger work on a store that is flaky.
func (f *flaky) store(c *config) {
	c.Ledger = budget.NewLedger(flakyStore{c.Store, f}, &budget.Options{Now: c.Now})
}

type flakyStore struct {
	budget.Store
	flaky *flaky
}

func (s flakyStore) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return s.Store.Update(ctx, func(tx budget.Tx) error { return fn(flakyTx{tx, s.flaky}) })
}

func (s flakyStore) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if s.flaky.failViews.Add(-1) >= 0 {
		return budget.ErrUnavailable
	}
	return s.Store.View(ctx, fn)
}

type flakyTx struct {
	budget.Tx
	flaky *flaky
}

func (t flakyTx) Apply(ctx context.Context, w budget.Writes) (map[budget.CounterKey]budget.Counter, error) {
	if len(w.Audit) > 0 && t.flaky.noAudit.Load() {
		return nil, budget.ErrUnavailable
	}
	return t.Tx.Apply(ctx, w)
}
