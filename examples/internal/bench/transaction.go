package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// transactionSide reserves in a transaction: it stores the reservation and adds to the counters, each under the condition
// that there is room.
func (s *server) transactionSide(callers int) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		pool, err := s.pool(ctx, p, callers, at)
		work := func(ctx context.Context, d *dealer) (int, error) {
			h, err := holdFor(p.budgets, d.errand().request, time.Now().UTC())
			if err != nil {
				return 0, err
			}
			return 1, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return h.take(ctx, tx) })
		}
		return side{name: transaction, tenants: manyTenants, work: work, stage: p.stage(onlyHolds)}, err
	}
}

// transactionsSide reserves in one transaction, and in another has the effects of Settle, statement by statement.
func (s *server) transactionsSide(callers int) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		pool, err := s.pool(ctx, p, callers, at)
		work := func(ctx context.Context, d *dealer) (int, error) {
			now := time.Now().UTC()
			e := d.errand()
			h, err := holdFor(p.budgets, e.request, now)
			if err != nil {
				return 0, err
			}
			if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return h.take(ctx, tx) }); err != nil {
				return 0, err
			}
			changes, err := effectsOf(p.budgets, usage.Event{ID: h.id, Subject: e.request.Subject, Amounts: e.used}, now)
			if err != nil {
				return 0, err
			}
			return 1, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return h.settle(ctx, tx, changes, now) })
		}
		return side{name: transactions, tenants: manyTenants, work: work, stage: p.stage(allEffects)}, err
	}
}

// A hold is what a reservation holds.
type hold struct {
	tenant, id string
	row        effect
	of         []counting
}

// holdTime is for how long room is held: as long as Purser does.
const holdTime = 10 * time.Minute

// holdFor returns what a request that is made now is to hold.
func holdFor(budgets []watched, r budget.Request, now time.Time) (hold, error) {
	totals, err := r.Estimate.Totals()
	if err != nil {
		return hold{}, err
	}
	h := hold{tenant: r.Tenant, id: usage.NewID(), of: countings(budgets, r.Subject, totals, now)}
	holds := make([][]any, len(h.of))
	for i, c := range h.of {
		holds[i] = []any{c.key.Budget, c.key.Value, c.key.Start, c.units}
	}
	text, err := json.Marshal(holds)
	hash := usage.Event{ID: h.id, Subject: r.Subject, Amounts: r.Estimate}.Hash()
	h.row = append(effect{h.tenant, h.id, now.UnixMicro(), r.User, r.APIKey, r.Resource, labelsText(r.Labels)}, amounts(totals)...)
	h.row = append(h.row, hash[:], int64(budget.Open), false, now.Add(holdTime).UnixMicro(), string(text))
	return h, err
}

// errRefused says that there was no room, which makes no sense where there is plenty.
var errRefused = errors.New("a request was refused")

// take stores the reservation, and holds room in every counter or fails.
func (h *hold) take(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, insertReservation, h.row...); err != nil {
		return err
	}
	for _, c := range h.of {
		taken, err := c.take(ctx, tx)
		if err == nil && !taken {
			// No room, or no counter yet.
			if _, err := tx.Exec(ctx, createCounter, c.key.Budget, c.key.Value, c.key.Start); err != nil {
				return err
			}
			taken, err = c.take(ctx, tx)
		}
		if err != nil {
			return err
		}
		if !taken {
			return errRefused
		}
	}
	return nil
}

func (c counting) take(ctx context.Context, tx pgx.Tx) (taken bool, err error) {
	tag, err := tx.Exec(ctx, takeRoom, c.key.Budget, c.key.Value, c.key.Start, c.units, c.budget.limit)
	return tag.RowsAffected() == 1, err
}

// settle deletes the reservation, gives back what it holds, and has the effects of the event in its stead.
func (h *hold) settle(ctx context.Context, tx pgx.Tx, changes effects, now time.Time) error {
	if tag, err := tx.Exec(ctx, deleteReservation, h.tenant, h.id); err != nil || tag.RowsAffected() == 0 {
		return cmp.Or(err, errGone)
	}
	for i := range changes.counters {
		changes.counters[i].held = h.of[i].units
	}
	return changes.apply(ctx, tx, now)
}

// errGone says that a reservation is not there, which makes no sense where nobody else ends it.
var errGone = errors.New("a reservation was gone")
