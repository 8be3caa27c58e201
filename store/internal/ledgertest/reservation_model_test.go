package ledgertest

import (
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A modelReservation is what the model knows of a reservation.
type modelReservation struct {
	request budget.Request
	event   *modelEvent // what it would be if what was estimated were used
	state   string      // one of isOpen, isReleased, isExpired, isSettled
	expires int         // the hour at which its time is over
	holds   map[string]modelHold
	settled budget.Settlement
}

// A modelHold is what a reservation holds, or held, of a budget.
type modelHold struct {
	counterName
	amount decimal.Decimal
}

// A counterName names a counter of a budget.
type counterName struct {
	value string
	start int64
}

// refusals are how many requests a counter refused, or would have.
type refusals struct{ denied, wouldDeny int64 }

func (m *model) overdue(r *modelReservation) bool { return r.state == isOpen && r.expires <= m.hour }

// giveBack ends what is overdue.
func (m *model) giveBack() {
	for _, r := range m.reservations {
		if m.overdue(r) {
			r.state = isExpired
		}
	}
}

// holdsOf adds up what is held of a budget, by counter, and what reservations held that have expired.
func (m *model) holdsOf(b *modelBudget) map[counterName]budget.Status {
	sums := make(map[counterName]budget.Status)
	for c, refused := range b.refusals {
		sums[c] = budget.Status{Denied: refused.denied, WouldDeny: refused.wouldDeny}
	}
	for _, r := range m.reservations {
		h, held := r.holds[b.budget.ID]
		if !held {
			continue
		}
		sum := sums[h.counterName]
		switch r.state {
		case isOpen:
			sum.Reserved = sum.Reserved.Add(h.amount)
		case isExpired:
			sum.Expired++
			sum.ExpiredHeld = sum.ExpiredHeld.Add(h.amount)
		}
		sums[h.counterName] = sum
	}
	return sums
}

// hold is what a reservation would hold of a budget, if any.
func (b *modelBudget) hold(r *modelReservation) (modelHold, bool) {
	value, covered := b.value(r.event)
	if !covered || b.budget.Disabled {
		return modelHold{}, false
	}
	start := b.budget.Schedule.Bounds(r.event.event.Time).Start
	return modelHold{counterName{value.Key(), start.UnixMicro()}, b.amount(r.event)}, true
}

// holdAgain makes the open reservations hold what they would hold of a budget that has changed. If it counts anew, it
// knows nothing of what was before.
func (m *model) holdAgain(b *modelBudget, anew bool) {
	if anew {
		b.refusals = nil
	}
	for _, r := range m.reservations {
		if r.state == isOpen || anew {
			delete(r.holds, b.budget.ID)
		}
		if h, held := b.hold(r); r.state == isOpen && held && h.start >= b.countedFrom.UnixMicro() {
			r.holds[b.budget.ID] = h
		}
	}
}

// unknownAmount reports whether the estimate does not say how much of a metric is used.
func unknownAmount(a usage.Amounts, metric usage.Metric) bool {
	tokens := a.InputTokens+a.OutputTokens+a.CacheCreationTokens+a.CacheReadTokens > 0 || a.TotalTokens != nil
	switch metric {
	case usage.Requests:
		return false
	case usage.Dollars, usage.Credits:
		return a.Cost == nil && (tokens || a.Requests == nil && a.Runs == 0)
	default:
		return a.Cost == nil && !tokens && a.Requests == nil && a.Runs == 0
	}
}

// admit asks all budgets for room, and returns the reasons for which hard ones have none. If there is no such reason, the
// reservation holds its room. What is unknown is known of one that is extended: it is what it held before.
func (m *model) admit(r *modelReservation, extended bool) (refused []error) {
	holds, bad := make(map[string]modelHold), make(map[string]bool)
	for id, b := range m.budgets {
		h, asked := b.hold(r)
		if !asked {
			continue
		}
		holds[id] = h
		reason := m.reason(b, h, !extended && unknownAmount(r.request.Estimate, b.budget.Metric))
		bad[id] = reason != nil
		if bad[id] && b.budget.Enforcement == budget.Hard {
			refused = append(refused, reason)
		}
	}
	for id, h := range holds {
		if !bad[id] {
			continue
		}
		b := m.budgets[id]
		if b.refusals == nil {
			b.refusals = make(map[counterName]refusals)
		}
		counted := b.refusals[h.counterName]
		switch {
		case b.budget.Enforcement == budget.Hard:
			counted.denied++
		case len(refused) == 0:
			counted.wouldDeny++
		default:
			continue
		}
		b.refusals[h.counterName] = counted
	}
	if len(refused) == 0 {
		r.holds, r.state = holds, isOpen
	}
	return refused
}

// reason says why a budget has no place for what is asked, nil if it has.
func (m *model) reason(b *modelBudget, h modelHold, unknown bool) error {
	recorded, adjusted := m.used(b, b.budget.Schedule.Bounds(time.UnixMicro(h.start)))
	left := b.budget.Limit.Sub(recorded[h.value]).Sub(adjusted[h.value]).Sub(m.holdsOf(b)[h.counterName].Reserved)
	switch {
	case unknown:
		return budget.ErrEstimateRequired
	case !left.IsPositive() || h.amount.GreaterThan(left):
		return budget.ErrExceeded
	default:
		return nil
	}
}

// keys returns the keys of all reservations, in order.
func (m *model) keys() []budget.ReservationKey {
	return slices.SortedFunc(maps.Keys(m.reservations), budget.ReservationKey.Compare)
}
