package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/purser-go/purser/usage"
)

// Check says what would become of the request now: what every budget that covers it has to say, each with its numbers. It
// holds nothing, and by the time that it returns it may be otherwise: only Reserve promises. A reservation with the
// request's id does not matter to it. Where only leased room is in the way it says that the request would be refused;
// Reserve asks for that room before it refuses.
//
// Errors: ErrInvalid with the fields, and what the store says. That the request would be refused is no error of Check: see
// [Decision.Err].
func (l *Ledger) Check(ctx context.Context, r Request) (Decision, error) {
	return l.check(ctx, r, l.now(), (*request).reach)
}

// CheckAt says what would become of the request at an instant: in the periods that hold t, as they stand now. What was used
// in a period before a budget was made, or before what it counts was last changed, is computed as by [Ledger.StatusAt]; the
// error is ErrPruned where that would need events that are gone.
func (l *Ledger) CheckAt(ctx context.Context, r Request, t time.Time) (Decision, error) {
	return l.check(ctx, r, t, func(*request, []*cached) {})
}

// check says what would become of the request at t, unless move takes it to another time once its budgets are known.
func (l *Ledger) check(ctx context.Context, r Request, t time.Time, move func(*request, []*cached)) (Decision, error) {
	decision, err := l.decide(ctx, r, t, move)
	if err != nil {
		return Decision{}, fmt.Errorf("check: %w", err)
	}
	return decision, nil
}

func (l *Ledger) decide(ctx context.Context, r Request, t time.Time, move func(*request, []*cached)) (decision Decision, err error) {
	if err := r.Validate(); err != nil {
		return Decision{}, err
	}
	if err := validateInstant("time", t); err != nil {
		return Decision{}, err
	}
	req, err := l.newRequest(r, t)
	if err != nil {
		return Decision{}, err
	}
	err = l.store.View(ctx, func(tx ReadTx) error {
		known, err := findIn(ctx, tx, []usage.Subject{req.subject})
		if err != nil {
			return err
		}
		move(req, known.budgets[0])
		bids, err := req.bids(known.budgets[0])
		if err != nil {
			return err
		}
		counters, err := freeCounters(ctx, tx, known.catalog, bids)
		if err != nil {
			return err
		}
		judged := admit(req, bids, counters, l.options.AdmitUnknown)
		decision = judged.decision(req.time)
		return nil
	})
	return decision, err
}

// freeCounters returns the counters of the bids as they are once what is overdue is given back.
func freeCounters(ctx context.Context, r ReadTx, catalog Catalog, bids []bid) (tallies, error) {
	free := make(tallies)
	if len(bids) == 0 {
		return free, nil
	}
	keys := make([]CounterKey, len(bids))
	for i, b := range bids {
		keys[i] = b.hold.CounterKey
	}
	counters, err := r.Counters(ctx, CounterQuery{Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	for _, c := range counters {
		free[c.CounterKey] = c.Tally
	}
	for _, b := range bids {
		// There are no counters from before.
		if d, key := &b.budget.Definition, b.hold.CounterKey; key.Start < d.CountedFrom.UnixMicro() {
			counted, err := countPeriod(ctx, r, catalog, d, d.Schedule.Bounds(time.UnixMicro(key.Start)), b.value)
			if err != nil {
				return nil, fmt.Errorf("budget %q: %w", d.ID, err)
			}
			free[key] = counted[key]
		}
	}
	for overdue, err := range reservations(ctx, r, ReservationQuery{Overdue: true}) {
		if err != nil {
			return nil, err
		}
		for _, h := range overdue.Holds {
			if _, asked := free[h.CounterKey]; asked {
				free.hold(&overdue, h, -1)
			}
		}
	}
	return free, nil
}
