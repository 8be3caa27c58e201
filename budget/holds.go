package budget

import (
	"context"
	"slices"
)

// rehold makes the open reservations hold what they would hold of d had it been there when they were admitted, and
// returns those that change by it. What the counters of d are held by for it is added to adds: all of it if they are
// counted anew, else the difference. Reservations that have expired are told apart from those of a counter that is counted
// anew: it begins with none.
//
// A lease holds what it holds for requests yet to come. It holds no more of a budget than before, and nothing of one that
// is counted anew: its holder learns of the change when the lease is renewed.
func (ch *definitionChange) rehold(ctx context.Context, d *Definition, anew bool, adds tallies) (changed []StoredReservation, err error) {
	for r, err := range reservations(ctx, ch.tx, ReservationQuery{States: []ReservationState{Open, Expired}}) {
		if err != nil {
			return nil, err
		}
		if r.State == Expired && !anew {
			continue
		}
		before := r.Holds
		if !anew {
			adds.holdAll(&r, d.ID, -1)
		}
		r.Holds = without(before, d.ID)
		if err := d.holdAgain(&r); err != nil {
			return nil, err
		}
		adds.holdAll(&r, d.ID, 1)
		if !slices.Equal(before, r.Holds) {
			changed = append(changed, r)
		}
	}
	return changed, nil
}

// holdAgain makes the reservation hold what it would hold of d.
func (d *Definition) holdAgain(r *StoredReservation) error {
	if r.State != Open || r.Lease || d.Disabled {
		return nil
	}
	charge, counts, err := d.Charge(&StoredEvent{ID: r.ID, Subject: r.Subject, Time: r.Time, Totals: r.Estimate})
	if err != nil || !counts || charge.Start < d.CountedFrom.UnixMicro() {
		return err
	}
	r.Holds = append(r.Holds, Hold(charge))
	slices.SortFunc(r.Holds, func(a, b Hold) int { return a.Compare(b.CounterKey) })
	return nil
}

func without(holds []Hold, budget string) []Hold {
	return slices.DeleteFunc(slices.Clone(holds), func(h Hold) bool { return h.Budget == budget })
}

// holdAll adds what a reservation holds of a budget, so many times.
func (t tallies) holdAll(r *StoredReservation, budget string, times int64) {
	for _, h := range r.Holds {
		if h.Budget == budget {
			t.hold(r, h, times)
		}
	}
}

// hold adds one of the holds of a reservation, if that is open, so many times.
func (t tallies) hold(r *StoredReservation, h Hold, times int64) {
	if r.State != Open {
		return
	}
	tally := t[h.CounterKey]
	tally.Reserved += times * h.Units
	if r.Lease {
		tally.Leased += times * h.Units
	}
	t[h.CounterKey] = tally
}

// expire adds one of the holds of a reservation that has expired, so many times.
func (t tallies) expire(h Hold, times int64) {
	tally := t[h.CounterKey]
	tally.Expired += times
	tally.ExpiredHeld += times * h.Units
	t[h.CounterKey] = tally
}

// unhold returns the reservations that hold, or held, some of a budget, without that.
func (ch *definitionChange) unhold(ctx context.Context, budget string) (changed []StoredReservation, err error) {
	for r, err := range reservations(ctx, ch.tx, ReservationQuery{Budget: budget}) {
		if err != nil {
			return nil, err
		}
		r.Holds = without(r.Holds, budget)
		changed = append(changed, r)
	}
	return changed, nil
}
