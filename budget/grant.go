package budget

import "time"

// leases reports whether the row is a lease that holds something of its counter, be it 0.
func (r *row) leases() bool { return r != nil && !r.gone && len(r.Holds) == 1 }

// takeShares takes out of leases what a reservation held of them. A lease holds nothing of a budget that counts anew.
func (a *admission) takeShares(shares []share) {
	for _, s := range shares {
		if r := a.rows[s.part.row]; r.leases() {
			a.holdLease(r, r.Holds[0].Units-min(s.units, r.Holds[0].Units), a.adds)
		}
	}
}

// holdLease makes a lease hold so much.
func (a *admission) holdLease(r *row, units int64, counters ...tallies) {
	change := Hold{CounterKey: r.Holds[0].CounterKey, Units: units - r.Holds[0].Units}
	for _, tallies := range counters {
		tallies.hold(&r.StoredReservation, change, 1)
	}
	r.Holds = []Hold{{CounterKey: change.CounterKey, Units: units}}
	r.changed = true
}

// A keeping is a lease that is to be kept.
type keeping struct {
	entry  *entry
	row    *row
	budget *cached // nil: the counter is none of its any more
}

// keeps returns the leases that are to be kept, those that are new among them. The others have ended, or their budgets
// count anew.
func (a *admission) keeps() []keeping {
	var keeps []keeping
	for i, e := range a.entries {
		if e.claim == nil || e.claim.act != keep {
			continue
		}
		e.conclude(nil)
		o, r := e.claim.order, a.rows[e.claim.key]
		k := keeping{entry: e, row: r, budget: stillThere(a.known.budgets[i], e, o.part.counter)}
		if r == nil && o.fresh && k.budget != nil {
			k.row = &row{StoredReservation: StoredReservation{
				ID: e.claim.key.ID, Time: e.event.RecordedAt, Lease: true, Holds: []Hold{{CounterKey: o.part.counter}},
			}}
		}
		if k.row.leases() {
			keeps = append(keeps, k)
		}
	}
	return keeps
}

// keepLease takes some of a lease back, grants it more and makes it last, by the budget as it is now. Nothing is granted
// while others lack room.
func (a *admission) keepLease(k keeping, counters tallies) {
	o, r := k.entry.claim.order, k.row
	key := r.Holds[0].CounterKey
	units := int64(0)
	o.wanted, o.room, o.limit = counters[key].Wanted, 0, 0
	if k.budget != nil {
		o.limit = k.budget.limit
		units = min(r.Holds[0].Units, o.most)
		if o.fresh || o.wanted <= o.seen {
			units += grant(o.want, counters[key].room(o.limit), o.unit)
		}
	}
	if !r.stands && units == 0 {
		return
	}
	a.holdLease(r, units, counters, a.adds)
	o.room = counters[key].room(o.limit)
	r.Expires = micros(a.now.Add(o.ttl))
	r.gone = units == 0 && (o.end || k.budget == nil)
	a.rows[r.Key()] = r
}

// stillThere returns the budget of a lease's counter if it still counts what the lease is for.
func stillThere(budgets []*cached, e *entry, key CounterKey) *cached {
	for _, b := range budgets {
		if b.ID != key.Budget || b.Disabled {
			continue
		}
		charge, counts, err := b.Charge(&StoredEvent{Subject: e.event.Subject, Time: latest(time.UnixMicro(key.Start), b.window().Start)})
		if err == nil && counts && charge.CounterKey == key {
			return b
		}
	}
	return nil
}

// The least part of what is available that is leased at once is an eighth: others want some too. What is less than a few
// requests' worth is left to be asked for one by one.
const (
	leasedPart   = 8
	fewestLeased = 4
)

// grant returns how much to lease of what is available to one who wants so much.
func grant(want, available, unit int64) int64 {
	n := min(want, available/leasedPart)
	if n < fewestLeased*max(unit, 1) {
		return 0
	}
	return n
}
