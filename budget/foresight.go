package budget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// errUnforeseen says that a transaction found something else than was foreseen, and that what it wrote must not stay.
var errUnforeseen = fmt.Errorf("%w: not all is as was foreseen", ErrGuessedWrong)

// foresee returns what the transaction will write if all is as this process left it: the reservations that it ends are as
// they were when they were made, those that it makes are new, nothing is overdue, and all requests fit. It comes to that by
// going through the same steps with what it believes as will be gone through with what is found: only if both come to
// the same are the writes right. It returns nil if nothing is known of something, or if somebody is to be refused.
func (a *admission) foresee(ctx context.Context) (*Writes, error) {
	now, known := a.core.storeClock.now()
	rows, believed := a.believed()
	if !known || !believed {
		return nil, nil
	}
	imagined := &admission{
		core: a.core, entries: a.entries, known: a.known, charges: a.charges,
		rows: rows, adds: make(tallies), refused: make(map[CounterKey]*cached), now: now, stamp: now, foresees: true, imagined: true,
	}
	defer func() {
		for _, e := range a.entries {
			if e.claim != nil && e.claim.act != settle {
				e.outcome, e.err = "", nil
			}
		}
	}()
	for _, e := range a.entries {
		if e.claim != nil && e.claim.act == settle && imagined.isLate(e.claim) {
			return nil, nil
		}
	}
	for _, step := range []func(context.Context) error{imagined.end, imagined.judge} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for _, e := range a.entries {
		if e.err != nil {
			return nil, nil
		}
	}
	w := imagined.writes()
	a.stamp, a.foresees = now, true
	return &w, nil
}

// believed returns the reservations that the entries name as they should be found, and false if that is not known of all.
func (a *admission) believed() (map[ReservationKey]*row, bool) {
	rows := make(map[ReservationKey]*row)
	for _, e := range a.entries {
		c := e.claim
		if c == nil {
			continue
		}
		stands, known := c.believed()
		if !known {
			return nil, false
		}
		if stands != nil {
			rows[c.key] = &row{StoredReservation: *stands, stands: true}
		}
		for _, s := range c.shares {
			lease := a.core.leases.believed(s.part)
			if lease == nil {
				return nil, false
			}
			rows[s.part.row] = &row{StoredReservation: *lease, stands: true}
		}
	}
	return rows, true
}

// believed returns the reservation under a claim's key as it should be found, nil if none should, and false if that is not
// known.
func (c *claim) believed() (stands *StoredReservation, known bool) {
	switch {
	case c.act == reserve, len(c.shares) > 0, c.unheld:
		return nil, true
	case c.act == keep:
		return nil, false // by what others want, too
	default:
		return c.stands, c.stands != nil
	}
}

// asStored returns the reservation as it was seen in the store, nil if only its name is known, or if it was never there.
func (r StoredReservation) asStored() *StoredReservation {
	if r.Expires.IsZero() {
		return nil
	}
	return &r
}

// believed returns a part's lease as it should be found, nil if that is not known.
func (l *leases) believed(p *part) *StoredReservation {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.lost {
		return nil
	}
	return p.stored
}

// Reservations of a transaction that was foreseen hold from the instant at which the store's clock was believed to stand. It
// stood there but for a hundredth of the time for which they hold, and but for a second.
const (
	foreseenPart    = 100
	foreseenAtMost  = time.Second
	clockIsKnownFor = time.Minute
)

// inTime reports whether the store's clock stood where it was believed to stand, as far as that matters.
func (a *admission) inTime() bool {
	off := a.now.Sub(a.stamp).Abs()
	return !slices.ContainsFunc(a.entries, func(e *entry) bool {
		c := e.claim
		return c != nil && (c.act == reserve || c.act == extend) && off > min(c.ttl/foreseenPart, foreseenAtMost)
	})
}

// before returns the counters as they were before what was foreseen was added to them.
func (w *Writes) before(after map[CounterKey]Counter) (map[CounterKey]Counter, error) {
	before := make(map[CounterKey]Counter, len(w.Counters))
	for _, added := range w.Counters {
		tally, err := after[added.CounterKey].plus(added.negated())
		if err != nil {
			return nil, err
		}
		before[added.CounterKey] = Counter{CounterKey: added.CounterKey, Tally: tally}
	}
	return before, nil
}

func (t Tally) negated() Tally {
	return Tally{
		Recorded: -t.Recorded, Adjusted: -t.Adjusted, Reserved: -t.Reserved, Pruned: -t.Pruned, Denied: -t.Denied,
		WouldDeny: -t.WouldDeny, Episode: -t.Episode, Leased: -t.Leased, Wanted: -t.Wanted, Expired: -t.Expired,
		ExpiredHeld: -t.ExpiredHeld,
	}
}

// are reports whether two transactions with the same events write the same.
func (w *Writes) are(o *Writes) bool {
	return slices.Equal(w.Counters, o.Counters) &&
		slices.EqualFunc(w.AddReservations, o.AddReservations, StoredReservation.is) &&
		slices.EqualFunc(w.PutReservations, o.PutReservations, StoredReservation.is) &&
		slices.Equal(w.DeleteReservations, o.DeleteReservations)
}

// is reports whether two reservations are the same, made by the same request.
func (r StoredReservation) is(o StoredReservation) bool {
	return r.Key() == o.Key() && r.Hash == o.Hash && r.State == o.State && r.Lease == o.Lease && r.Expires.Equal(o.Expires) &&
		slices.Equal(r.Holds, o.Holds)
}

// A storeClock is the store's clock as far as it was seen.
type storeClock struct {
	here func() time.Time // this process's
	seen atomic.Pointer[sighting]
}

type sighting struct{ store, here time.Time }

// now returns where the store's clock should stand, and false if nobody has looked lately.
func (c *storeClock) now() (time.Time, bool) {
	s := c.seen.Load()
	if s == nil {
		return time.Time{}, false
	}
	since := c.here().Sub(s.here)
	return micros(s.store.Add(since)), since < clockIsKnownFor
}

func (c *storeClock) saw(store time.Time) { c.seen.Store(&sighting{store, c.here()}) }

// unforeseen makes an error of the first steps one of what was foreseen, where it is that.
func unforeseen(err error) error {
	if errors.Is(err, ErrConflict) {
		return errUnforeseen
	}
	return err
}
