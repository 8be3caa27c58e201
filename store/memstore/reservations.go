package memstore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func (r reader) Reservations(ctx context.Context, q budget.ReservationQuery) ([]budget.StoredReservation, error) {
	found := r.reservations.all()
	if q.Keys != nil {
		found = r.reservationsOf(q.Keys)
	}
	now := r.now()
	selected := filter(found, func(s *budget.StoredReservation) bool {
		return (q.Tenant == nil || *q.Tenant == s.Tenant) &&
			(q.Budget == "" || holds(s, q.Budget)) &&
			(q.States == nil || slices.Contains(q.States, s.State)) &&
			(!q.Overdue || s.State == budget.Open && !s.Expires.After(now)) &&
			(q.Before.IsZero() || s.Expires.Before(q.Before)) &&
			(q.After == nil || compareEvents(s.Key(), *q.After) > 0)
	})
	return page(selected, 0, q.Limit, cloneReservation), ctx.Err()
}

// reservationsOf yields the reservations with these keys, in order.
func (r reader) reservationsOf(keys []budget.ReservationKey) iter.Seq[*budget.StoredReservation] {
	return func(yield func(*budget.StoredReservation) bool) {
		for _, key := range slices.Compact(slices.SortedFunc(slices.Values(keys), compareEvents)) {
			if s, ok := r.reservations.Get(reservationWith(key)); ok && !yield(s) {
				return
			}
		}
	}
}

// overdue yields the reservations that are overdue at now, the one whose time was over first at the head.
func (r reader) overdue(now time.Time) iter.Seq[*budget.StoredReservation] {
	return func(yield func(*budget.StoredReservation) bool) {
		for s := range r.open.all() {
			if s.Expires.After(now) || !yield(s) {
				return
			}
		}
	}
}

// now returns the time by the store's clock.
func (r reader) now() time.Time { return r.clock().UTC().Truncate(time.Microsecond) }

func holds(s *budget.StoredReservation, id string) bool {
	return slices.ContainsFunc(s.Holds, func(h budget.Hold) bool { return h.Budget == id })
}

func (t *tx) TakeReservations(ctx context.Context, keys []budget.ReservationKey, overdue int) (budget.Taken, error) {
	taken := budget.Taken{
		Version:      t.catalog.Version,
		Now:          t.now(),
		Reservations: make(map[budget.ReservationKey]budget.StoredReservation),
	}
	return taken, t.take(ctx, takeReservations, func() error {
		for s := range t.reservationsOf(keys) {
			taken.Reservations[s.Key()] = cloneReservation(s)
		}
		unnamed := filter(t.overdue(taken.Now), func(s *budget.StoredReservation) bool {
			_, named := taken.Reservations[s.Key()]
			return !named
		})
		if overdue > 0 {
			for _, s := range page(unnamed, 0, overdue, cloneReservation) {
				taken.Reservations[s.Key()] = s
			}
		}
		for key := range taken.Reservations {
			t.lock(key)
		}
		return nil
	})
}

// reserve writes what concerns reservations.
func (t *tx) reserve(w budget.Writes) error {
	for _, s := range w.AddReservations {
		_, reserved := t.reservations.Get(&s)
		_, recorded := t.events.Get(eventWith(s.Key()))
		if reserved || recorded {
			return fmt.Errorf("reservation %+v: %w", s.Key(), budget.ErrConflict)
		}
		t.put(s)
		t.lock(s.Key())
	}
	for _, s := range w.PutReservations {
		if !t.locks(s.Key()) {
			return fmt.Errorf("memstore: PutReservations of one that is not locked: %+v", s.Key())
		}
		t.unreserve(s.Key())
		t.put(s)
	}
	for _, key := range w.DeleteReservations {
		if t.unreserve(key) && !t.locks(key) {
			return fmt.Errorf("memstore: DeleteReservations of one that is not locked: %+v", key)
		}
	}
	return nil
}

func (t *tx) put(s budget.StoredReservation) {
	s = cloneReservation(&s)
	t.reservations.Set(&s)
	if s.State == budget.Open {
		t.open.Set(&s)
	}
}

// unreserve deletes a reservation, if there is one.
func (t *tx) unreserve(key budget.ReservationKey) bool {
	s, ok := t.reservations.Delete(reservationWith(key))
	if ok {
		t.open.Delete(s)
	}
	return ok
}

func (t *tx) lock(key budget.ReservationKey) {
	if t.locked == nil {
		t.locked = make(map[budget.ReservationKey]bool)
	}
	t.locked[key] = true
}

// locks reports whether nobody else can write a reservation.
func (t *tx) locks(key budget.ReservationKey) bool {
	return t.locked[key] || t.mode == budget.Exclusive
}

func reservationWith(key budget.ReservationKey) *budget.StoredReservation {
	return &budget.StoredReservation{ID: key.ID, Subject: usage.Subject{Tenant: key.Tenant}}
}
