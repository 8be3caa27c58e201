package main

import (
	"context"
	"fmt"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A maker makes a side that works on a place.
type maker func(ctx context.Context, p *place, at *closers) (side, error)

// sides makes each side on a place of its own.
func sides(ctx context.Context, h host, budgets []watched, at *closers, makers ...maker) ([]side, error) {
	all := make([]side, len(makers))
	for i, makeSide := range makers {
		p, err := h.place(ctx, budgets, at)
		if err != nil {
			return nil, err
		}
		if all[i], err = makeSide(ctx, p, at); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// as makes a side under another name.
func as(name string, makeSide maker) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		s, err := makeSide(ctx, p, at)
		s.name = name
		return s, err
	}
}

// purser is the name of Purser's sides.
const purser = "purser"

// recordSide is Purser, an event a call.
func recordSide(tenants int) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		ledger, err := p.ledger(ctx, at, nil)
		work := func(ctx context.Context, d *dealer) (int, error) { return record(ctx, ledger, d) }
		return side{name: purser, tenants: tenants, work: work, stage: p.stage(allEffects)}, err
	}
}

func record(ctx context.Context, ledger *budget.Ledger, d *dealer) (int, error) {
	result, err := ledger.Record(ctx, d.event())
	if err == nil && result.Outcome != budget.Recorded {
		err = fmt.Errorf("event %s is %s", result.ID, result.Outcome)
	}
	return 1, err
}

// batchSize is how many events a batch has.
const batchSize = 500

// batchSide is Purser, many events a call.
func batchSide(ctx context.Context, p *place, at *closers) (side, error) {
	ledger, err := p.ledger(ctx, at, nil)
	work := func(ctx context.Context, d *dealer) (int, error) {
		batch := make([]usage.Event, batchSize)
		for i := range batch {
			batch[i] = d.event()
		}
		return len(batch), recordBatch(ctx, ledger, batch)
	}
	return side{name: purser, tenants: manyTenants, work: work, stage: p.stage(allEffects)}, err
}

func recordBatch(ctx context.Context, ledger *budget.Ledger, batch []usage.Event) error {
	results, err := ledger.RecordBatch(ctx, batch)
	if err != nil {
		return err
	}
	for _, result := range results {
		if result.Outcome != budget.Recorded {
			return fmt.Errorf("event %s is %s: %w", result.ID, result.Outcome, result.Err)
		}
	}
	return nil
}
