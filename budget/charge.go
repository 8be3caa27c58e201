package budget

import (
	"slices"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

// A Charge is what one event adds to one counter.
type Charge struct {
	CounterKey
	Units int64 // in the metric's units; negative for a correction
}

// Charge returns what the event adds to which counter of d, and false if d does not count it: because its scope does
// not cover the subject or its time is outside the budget's window. An event that d counts may add 0.
//
// It is decided by d and the event alone, so that counting again gives the same.
func (d *Definition) Charge(e *StoredEvent) (Charge, bool, error) {
	value, covered := d.Scope.Match(e.Subject)
	if !covered || d.excepts(value) || !d.window().Contains(e.Time) {
		return Charge{}, false, nil
	}
	units, err := d.units(e)
	if err != nil {
		return Charge{}, false, err
	}
	return Charge{CounterKey: d.counterKey(value, e.Time), Units: units}, true, nil
}

func (d *Definition) excepts(value Value) bool {
	for dimension, values := range d.Except {
		if slices.Contains(values, value[dimension]) {
			return true
		}
	}
	return false
}

func (d *Definition) units(e *StoredEvent) (int64, error) {
	if d.Metric != usage.Credits {
		return d.Metric.Of(e.Totals), nil
	}
	rate, ok := d.rateAt(e.Time)
	if !ok {
		return 0, nil
	}
	// Credits are rounded per event, so what a correction takes away is the difference of two rounded amounts.
	before, err := usage.CreditsOf(e.CostBefore, rate.CostPerCredit)
	if err != nil {
		return 0, err
	}
	after, err := usage.CreditsOf(e.CostBefore+e.Totals.Nanodollars, rate.CostPerCredit)
	return after - before, err
}

// rateAt returns the rate in force at t.
func (d *Definition) rateAt(t time.Time) (Rate, bool) {
	for _, r := range slices.Backward(d.Rates) {
		if !r.From.After(t) {
			return r, r.CostPerCredit.IsPositive()
		}
	}
	return Rate{}, false
}

// counterKey returns the key of the counter that holds t.
func (d *Definition) counterKey(value Value, t time.Time) CounterKey {
	return CounterKey{Budget: d.ID, Value: value.Key(), Start: d.Schedule.Bounds(t).Start.UnixMicro()}
}

// fromRollups reports whether d's counters can be computed from sums of usage. Those that are rounded per event, or
// that tell subjects apart by labels, which the sums do not have, need the events themselves.
func (d *Definition) fromRollups() bool {
	return d.Metric != usage.Credits && !d.Scope.HasLabels()
}

// limitUnits returns the limit in the metric's units. A stored definition was validated, so there is one.
func (d *Definition) limitUnits() int64 {
	units, _ := d.Metric.Units(d.Limit)
	return units
}

// minHoldUnits returns what a reservation of unknown size holds, in the metric's units.
func (d *Definition) minHoldUnits() int64 {
	units, _ := d.Metric.Units(d.MinHold)
	return units
}

// marks returns the amounts at which d's levels begin, and none if d does not alert.
func (d *Definition) marks() []alert.Mark {
	if d.Disabled || d.Enforcement == Observe {
		return nil
	}
	return d.Thresholds.Marks(d.limitUnits())
}
