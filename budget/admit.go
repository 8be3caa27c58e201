package budget

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A bid is what a request asks of one counter.
type bid struct {
	budget *cached
	value  Value
	hold   Hold
	guess  bool // the amount is not known: MinHold stands in for it
}

// reach moves the request's time on to where all budgets count that cover it. A clock that is behind the one by which a
// budget was made, or changed, would otherwise have it hold in a period in which nothing is counted, and so without limit.
func (r *request) reach(budgets []*cached) {
	for _, b := range budgets {
		if _, covered := b.Scope.Match(r.subject); covered && !b.Disabled && b.CountedFrom.After(r.time) {
			r.time = b.CountedFrom
		}
	}
}

// bids returns what a request asks of these budgets, those that cover it, are enabled and count at its time, in ascending
// order of counter.
func (r *request) bids(budgets []*cached) ([]bid, error) {
	bids := make([]bid, 0, len(budgets))
	for _, b := range budgets {
		if b.Disabled {
			continue
		}
		asked, covered, err := b.bid(r)
		if err != nil {
			return nil, err
		}
		if covered {
			bids = append(bids, asked)
		}
	}
	slices.SortFunc(bids, func(a, b bid) int { return a.hold.Compare(b.hold.CounterKey) })
	return bids, nil
}

func (b *cached) bid(r *request) (bid, bool, error) {
	charge, counts, err := b.Charge(r.event())
	if err != nil || !counts {
		return bid{}, false, err
	}
	value, _ := b.Scope.Match(r.subject)
	asked := bid{budget: b, value: value, hold: Hold(charge), guess: r.unknown.of(b.Metric)}
	if asked.guess {
		asked.hold.Units = b.minHold
	}
	return asked, true, nil
}

// A Reason says why a budget has no place for a request.
type Reason string

// The reasons.
const (
	Fits               Reason = ""                     // it has
	NoRoom             Reason = "exceeded"             // what is asked for is more than is available
	ResourceNotAllowed Reason = "resource_not_allowed" // the resource is not among AllowedResources
	EstimateRequired   Reason = "estimate_required"    // the amount is unknown and there is no MinHold
)

// judge says whether the counter has a place for the bid. An exact fit is one; where nothing is left, there is none for
// anything, not even for what holds nothing.
func (a *bid) judge(t Tally, resource string, admitUnknown bool) Reason {
	room := t.room(a.budget.limit)
	switch {
	case !a.budget.allows(resource):
		return ResourceNotAllowed
	case a.guess && a.hold.Units == 0 && !admitUnknown:
		return EstimateRequired
	case room <= 0 || a.hold.Units > room:
		return NoRoom
	default:
		return Fits
	}
}

// allows reports whether a reservation may be for the resource.
func (b *Budget) allows(resource string) bool {
	return len(b.AllowedResources) == 0 || slices.Contains(b.AllowedResources, resource)
}

// room returns what of a limit is neither used nor reserved: not above 0 where there is none.
func (t Tally) room(limit int64) int64 {
	taken, err := addUnits(t.used(), t.Reserved)
	if err != nil {
		return math.MinInt64 // what is reserved is not negative: the sum is beyond any limit
	}
	if room, err := addUnits(limit, -max(taken, -math.MaxInt64)); err == nil {
		return room
	}
	return math.MaxInt64 // far below 0 is used
}

// A judgement is what one request came to.
type judgement struct {
	bids    []bid
	tallies []Tally  // by bid: the counters as they were found
	reasons []Reason // by bid
	refused bool     // by a hard budget, or several
}

// admit judges a request by the counters: all hard budgets must have a place, or nothing is held at all. A counter that is
// not there is at zero.
func admit(r *request, bids []bid, counters map[CounterKey]Tally, admitUnknown bool) judgement {
	j := judgement{bids: bids, tallies: make([]Tally, len(bids)), reasons: make([]Reason, len(bids))}
	for i := range bids {
		j.tallies[i] = counters[bids[i].hold.CounterKey]
		j.reasons[i] = bids[i].judge(j.tallies[i], r.subject.Resource, admitUnknown)
		j.refused = j.refused || j.refuses(i)
	}
	return j
}

// refuses reports whether it is the budget of this bid that keeps the request out.
func (j *judgement) refuses(i int) bool {
	return j.reasons[i] != Fits && j.bids[i].budget.Enforcement == Hard
}

// shortOfLeased returns the counters that refuse only because of what is leased, if there are no others that refuse.
func (j *judgement) shortOfLeased() (short []CounterKey) {
	for i, b := range j.bids {
		if !j.refuses(i) {
			continue
		}
		t := j.tallies[i]
		t.Reserved -= t.Leased
		if room := t.room(b.budget.limit); j.reasons[i] != NoRoom || room <= 0 || b.hold.Units > room {
			return nil
		}
		short = append(short, b.hold.CounterKey)
	}
	return short
}

// adds returns what the judgement adds to the counters: what is held, or who refused.
func (j *judgement) adds() []Counter {
	var adds []Counter
	for i, b := range j.bids {
		add := Counter{CounterKey: b.hold.CounterKey}
		switch {
		case j.refuses(i):
			add.Denied = 1
		case j.refused:
			continue
		case j.reasons[i] != Fits:
			add.WouldDeny, add.Reserved = 1, b.hold.Units
		default:
			add.Reserved = b.hold.Units
		}
		adds = append(adds, add)
	}
	return adds
}

// reservation returns the request as admitted, until an instant of the store's clock.
func (j *judgement) reservation(r *request, until time.Time) StoredReservation {
	row := StoredReservation{
		ID: r.id, Subject: r.subject, Time: r.time, Estimate: r.totals, Hash: r.hash, Expires: micros(until),
	}
	for _, b := range j.bids {
		row.Holds = append(row.Holds, b.hold)
		if b.guess {
			b.budget.assume(b.hold.Units, r.time, &row.Estimate)
		}
	}
	return row
}

// decision returns the judgement with all its numbers.
func (j *judgement) decision(at time.Time) Decision {
	d := Decision{At: at}
	for i, b := range j.bids {
		d.Verdicts = append(d.Verdicts, Verdict{
			Status:    Evaluate(b.budget.Budget, b.value, j.tallies[i], at),
			Requested: b.budget.Metric.Decimal(b.hold.Units),
			Unknown:   b.guess,
			Reason:    j.reasons[i],
			Refused:   j.refuses(i),
		})
	}
	slices.SortStableFunc(d.Verdicts, func(a, b Verdict) int { return cmp.Compare(a.Budget.ID, b.Budget.ID) })
	return d
}
