package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/usage"
)

// A Reservation is room that was reserved, in the hands of whoever reserved it. It must be settled or released:
//
//	res, err := ledger.Reserve(ctx, request)
//	defer res.Close(ctx)
//	if err != nil {
//		return err
//	}
//	… // the work
//	return res.Settle(ctx, amounts)
//
// Its methods may be called at the same time. All but Close of a nil Reservation panic.
type Reservation struct {
	ledger *Ledger
	unheld bool    // admitted without the store
	leased *leased // admitted from memory; nil: not so

	mu     sync.Mutex
	row    *StoredReservation          // nil if it is leased
	finish func(context.Context) error // what Settle or Release last tried
	closed bool                        // and it succeeded
}

// ID returns the reservation's id, which is also that of the event that settles it.
func (r *Reservation) ID() string { return r.Key().ID }

// Key returns what the reservation is known by in other processes: see [Ledger.Settle].
func (r *Reservation) Key() ReservationKey {
	if r.leased != nil {
		return r.leased.request.key()
	}
	return r.stored().Key()
}

// Time returns when the reservation was admitted, by the ledger's clock. It names the periods in which it holds.
func (r *Reservation) Time() time.Time { return r.stored().Time }

// Expires returns when what is held comes back, by the store's clock; zero if Unchecked.
func (r *Reservation) Expires() time.Time { return r.stored().Expires }

// Unchecked reports whether the reservation was admitted while the store was away, by the ledger's FailOpen: no budget was
// asked and nothing is held. No other process knows of it: only this handle settles it.
func (r *Reservation) Unchecked() bool { return r.unheld }

// Leased reports whether the reservation was admitted from memory: see [LeaseOptions].
func (r *Reservation) Leased() bool { return r.leased != nil }

func (r *Reservation) stored() StoredReservation {
	if r.leased != nil {
		return r.ledger.leases.stored(r.leased)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.row
}

// Settle records what was used, as [Ledger.Settle] does.
func (r *Reservation) Settle(ctx context.Context, a usage.Amounts) error {
	return r.SettleAs(ctx, Settlement{Amounts: a})
}

// SettleAs is Settle for work that was done otherwise than it was reserved for: by another resource, say.
func (r *Reservation) SettleAs(ctx context.Context, s Settlement) error {
	row := r.stored()
	e, err := r.ledger.settleEntry(ctx, row, s, 0)
	if err != nil {
		// Refused here, it does not count as tried: Close then settles at the estimate.
		return fmt.Errorf("settle reservation %q: %w", row.ID, err)
	}
	var first atomic.Pointer[entry] // what was queued once is not to be touched again
	first.Store(e)
	return r.end(ctx, func(ctx context.Context) error {
		if e := first.Swap(nil); e != nil {
			return r.settle(ctx, e)
		}
		return r.settleAs(ctx, row, s, 0)
	})
}

func (r *Reservation) settleAs(ctx context.Context, row StoredReservation, s Settlement, flags EventFlags) error {
	e, err := r.ledger.settleEntry(ctx, row, s, flags)
	if err != nil {
		return fmt.Errorf("settle reservation %q: %w", row.ID, err)
	}
	return r.settle(ctx, e)
}

func (r *Reservation) settle(ctx context.Context, e *entry) (err error) {
	id := e.event.ID
	if r.leased != nil {
		_, err = r.ledger.settleLeased(ctx, r.leased, e)
	} else {
		e.claim.unheld = r.unheld
		_, err = r.ledger.submitSettle(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("settle reservation %q: %w", id, err)
	}
	return nil
}

// Release gives back what is held, as [Ledger.Release] does.
func (r *Reservation) Release(ctx context.Context) error {
	return r.end(ctx, func(ctx context.Context) error {
		if r.unheld {
			return nil
		}
		row := r.stored()
		if err := r.ledger.release(ctx, row, r.leased); err != nil {
			return fmt.Errorf("release reservation %q: %w", row.ID, err)
		}
		return nil
	})
}

// end does what closes the reservation, and remembers it for Close.
func (r *Reservation) end(ctx context.Context, finish func(context.Context) error) error {
	r.mu.Lock()
	r.finish = finish
	r.mu.Unlock()
	err := finish(ctx)
	r.mu.Lock()
	r.closed = r.closed || err == nil
	r.mu.Unlock()
	return err
}

// Extend makes the reservation hold its room for so long from now, as [Ledger.Extend] does.
func (r *Reservation) Extend(ctx context.Context, d time.Duration) error {
	if r.unheld {
		return nil
	}
	var extended StoredReservation
	var err error
	if r.leased != nil {
		_, err = r.ledger.extendLeased(ctx, r.leased, d)
	} else {
		extended, err = r.ledger.extend(ctx, r.stored(), d)
	}
	if err != nil {
		return fmt.Errorf("extend reservation %q: %w", r.ID(), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.row = &extended
	return nil
}

// Close makes sure that the reservation ends: it is meant for a defer. If Settle or Release was called and failed, Close
// tries the same again; if it succeeded, Close does nothing. If neither was called, nobody knows what was used: the
// reservation is settled at its estimate, the event marked as estimated, or released if the ledger's ReleaseOnClose is
// set. Close goes on when ctx is cancelled, for the ledger's CloseTimeout. Close of a nil Reservation does nothing.
func (r *Reservation) Close(ctx context.Context) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	finish, closed := r.finish, r.closed
	r.mu.Unlock()
	if closed {
		return nil
	}
	if finish == nil {
		finish = r.abandon
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.ledger.options.CloseTimeout)
	defer cancel()
	return r.end(ctx, finish)
}

// abandon ends a reservation of which nobody has said by its handle what was used. That it was settled or released by its
// key is no error, and stays so.
func (r *Reservation) abandon(ctx context.Context) error {
	if r.leased != nil && r.ledger.leases.released(r.leased) {
		return nil
	}
	var err error
	if row := r.stored(); r.ledger.options.ReleaseOnClose {
		err = r.Release(ctx)
	} else {
		err = r.settleAs(ctx, row, Settlement{Amounts: amountsOf(row.Estimate)}, Estimated)
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// amountsOf returns amounts that count as t. A cost of 0 is one that is not known.
func amountsOf(t usage.Totals) usage.Amounts {
	a := usage.Amounts{
		InputTokens: t.InputTokens, OutputTokens: t.OutputTokens,
		CacheCreationTokens: t.CacheCreationTokens, CacheReadTokens: t.CacheReadTokens,
		TotalTokens: &t.TotalTokens, Requests: &t.Requests, Runs: t.Runs,
	}
	if t.Nanodollars != 0 {
		a.Cost = new(decimal.New(t.Nanodollars, -usage.Dollars.Scale()))
	}
	return a
}

// ErrNotSpent says, in the error of a function that is given to [Ledger.Do], that nothing was used.
var ErrNotSpent = errors.New("nothing was spent")

// Do reserves room for the request, runs fn and settles what fn says was used, also if fn fails. If fn returns no amounts,
// nobody knows what was used: the reservation is closed at its estimate, unless fn's error wraps ErrNotSpent: then it is
// released. If fn panics, it is closed, and the panic goes on. Settling goes on when ctx is cancelled, for the ledger's
// CloseTimeout.
//
// The error is that of [Ledger.Reserve], fn not having been run, or fn's and that of settling, joined.
func (l *Ledger) Do(ctx context.Context, r Request, fn func(ctx context.Context) (usage.Amounts, error)) error {
	res, err := l.Reserve(ctx, r)
	if err != nil {
		return err
	}
	// After a panic this settles at the estimate; what it returns matters less then.
	defer res.Close(ctx) //nolint:errcheck // else it has been closed
	amounts, err := fn(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.options.CloseTimeout)
	defer cancel()
	switch {
	case amounts != usage.Amounts{}:
		if failed := res.Settle(closing, amounts); failed != nil {
			// Once more, or at the estimate if the amounts are not valid: it was spent.
			return errors.Join(err, failed, res.Close(ctx))
		}
		return err
	case errors.Is(err, ErrNotSpent):
		return errors.Join(err, res.Release(closing))
	default:
		return errors.Join(err, res.Close(ctx))
	}
}
