package budget

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// Run does what must happen without a caller, until ctx ends: it gives back what reservations hold whose time is over, and
// forgets those that ended long ago, and keys that were claimed long ago; with EventRetention it prunes events. It may run in as many processes as one likes, and in none: whoever needs room
// gives back what has expired too. It makes forecast alerts: one per counter and period, in however many processes, when
// [Ledger.Projection] says that the limit will be passed before the period ends. With Leases it also keeps those of this
// process, and gives them back at its end; with Alerts it delivers alerts.
//
// It returns ctx's error, or ErrInvalid at once if the options for alerts are; errors of the store go to the ledger's
// OnError, and it goes on. Nothing of it is left running when it has returned.
func (l *Ledger) Run(ctx context.Context) error {
	var others sync.WaitGroup
	defer others.Wait()
	if l.options.Alerts != nil {
		d, err := l.dispatcher(*l.options.Alerts)
		if err != nil {
			return err
		}
		others.Go(func() { _ = d.Run(ctx) }) // which returns ctx's error
	}
	if l.leases != nil {
		others.Go(func() { l.keepLeases(ctx) })
	}
	if l.options.EventRetention > 0 {
		others.Go(func() { l.pruneHourly(ctx) })
	}
	if l.options.ForecastInterval > 0 && !l.quiet {
		others.Go(func() { l.keepForecasting(ctx) })
	}
	ticker := time.NewTicker(l.options.SweepInterval)
	defer ticker.Stop()
	for {
		if err := errors.Join(l.sweep(ctx), l.forgetReservations(ctx), l.forgetKeys(ctx)); err != nil && ctx.Err() == nil {
			l.options.OnError(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// sweep gives back what is overdue.
func (c *core) sweep(ctx context.Context) error {
	for {
		n, err := c.sweepSome(ctx)
		if err != nil {
			return fmt.Errorf("give back what has expired: %w", err)
		}
		if n < maxOverdue {
			return nil
		}
	}
}

// briefly bounds a step that has no caller to bound it, or one in a call that is otherwise a flush: a store that never
// answers would hold it up for ever, also when a new connection would be answered.
func (c *core) briefly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.options.FlushTimeout)
}

func (c *core) sweepSome(ctx context.Context) (n int, err error) {
	ctx, cancel := c.briefly(ctx)
	defer cancel()
	var some bool
	err = c.store.View(ctx, func(r ReadTx) error {
		found, err := r.Reservations(ctx, ReservationQuery{Overdue: true, Limit: 1})
		some = len(found) > 0
		return err
	})
	if err != nil || !some {
		return 0, err // without a lock, nearly always
	}
	err = c.store.Update(ctx, func(tx Tx) error {
		if err := tx.Fence(ctx, Shared); err != nil {
			return err
		}
		taken, err := tx.TakeReservations(ctx, nil, maxOverdue)
		if err != nil {
			return err
		}
		a := &admission{core: c, tx: tx, now: taken.Now, rows: make(map[ReservationKey]*row), adds: make(tallies), charges: newSums(reportingZone{})}
		for key, r := range taken.Reservations {
			a.rows[key] = &row{StoredReservation: r, stands: true}
		}
		n = len(taken.Reservations)
		if err := a.end(ctx); err != nil {
			return err
		}
		return a.write(ctx)
	})
	return n, err
}

// forgetReservations deletes reservations that were released or expired longer ago than they are kept.
func (l *Ledger) forgetReservations(ctx context.Context) error {
	q := ReservationQuery{
		States: []ReservationState{Released, Expired},
		Before: l.now().Add(-l.options.ReservationRetention),
		Limit:  maxOverdue,
	}
	for {
		old, err := l.forgetSome(ctx, q)
		if err != nil || len(old) == 0 {
			return err
		}
		q.After = new(old[len(old)-1].Key())
	}
}

func (l *Ledger) forgetSome(ctx context.Context, q ReservationQuery) (old []StoredReservation, err error) {
	ctx, cancel := l.briefly(ctx)
	defer cancel()
	err = l.look(ctx, "find old reservations", func(r ReadTx) (err error) {
		old, err = r.Reservations(ctx, q)
		return err
	})
	if err != nil || len(old) == 0 {
		return nil, err
	}
	if err := l.forget(ctx, old, q.Before); err != nil {
		return nil, fmt.Errorf("forget old reservations: %w", err)
	}
	return old, nil
}

// forget deletes reservations, but for those whose id holds room again.
func (l *Ledger) forget(ctx context.Context, old []StoredReservation, before time.Time) error {
	keys := make([]ReservationKey, len(old))
	for i, r := range old {
		keys[i] = r.Key()
	}
	return l.store.Update(ctx, func(tx Tx) error {
		if err := tx.Fence(ctx, Shared); err != nil {
			return err
		}
		taken, err := tx.TakeReservations(ctx, keys, 0)
		if err != nil {
			return err
		}
		var w Writes
		for key, r := range taken.Reservations {
			if r.State != Open && r.Expires.Before(before) {
				w.DeleteReservations = append(w.DeleteReservations, key)
			}
		}
		if len(w.DeleteReservations) == 0 {
			return nil
		}
		_, err = tx.Apply(ctx, w)
		return err
	})
}

// reservations yields the reservations that the query selects, which it pages through.
func reservations(ctx context.Context, r ReadTx, q ReservationQuery) iter.Seq2[StoredReservation, error] {
	q.Limit = pageSize
	return func(yield func(StoredReservation, error) bool) {
		for {
			page, err := r.Reservations(ctx, q)
			if err != nil {
				yield(StoredReservation{}, fmt.Errorf("read reservations: %w", err))
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			if len(page) < q.Limit {
				return
			}
			q.After = new(page[len(page)-1].Key())
		}
	}
}
