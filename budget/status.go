package budget

import (
	"math/big"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/period"
)

// Status is how a budget stands in one period, for one scope value. Amounts are in the metric's unit.
type Status struct {
	Budget Budget
	Value  Value // names the counter of a budget with Each dimensions; else nil

	Period period.Bounds // the part of the period in which the budget counts: empty where StartsAt and EndsAt leave nothing
	Used   decimal.Decimal
	// Used = Recorded + Adjusted.
	Recorded  decimal.Decimal
	Adjusted  decimal.Decimal
	Reserved  decimal.Decimal // held by open reservations, also by those whose time is over as long as nobody needed the room
	Leased    decimal.Decimal // the part of Reserved that is held by leases: room that processes admit requests from
	Remaining decimal.Decimal // limit − used, not below 0
	Available decimal.Decimal // limit − used − reserved, not below 0

	Percent   decimal.Decimal // used / limit × 100, not capped, cut after 9 places
	Level     alert.Level     // exceeded from 100 percent on, also for a disabled budget
	OverLimit bool            // used > limit: false at exactly 100 percent

	Denied    int64 // requests refused
	WouldDeny int64 // requests admitted that a hard budget would have refused

	Expired     int64           // reservations that expired and were not settled since: of processes that died, it may be
	ExpiredHeld decimal.Decimal // what those held
}

// percentPlaces is where percentages are cut.
const percentPlaces = 9

// Evaluate returns the status of a counter. A counter that was never written is the zero [Tally].
func Evaluate(b Budget, value Value, t Tally, at time.Time) Status {
	units := func(n *big.Int) decimal.Decimal { return decimal.NewFromBigInt(n, -b.Metric.Scale()) }
	sum := func(a, b int64) *big.Int { return new(big.Int).Add(big.NewInt(a), big.NewInt(b)) }

	used := units(sum(t.Recorded, t.Adjusted))
	reserved := b.Metric.Decimal(t.Reserved)
	return Status{
		Budget:    b,
		Value:     value,
		Period:    b.Schedule.Bounds(at).Intersect(b.window()),
		Used:      used,
		Recorded:  b.Metric.Decimal(t.Recorded),
		Adjusted:  b.Metric.Decimal(t.Adjusted),
		Reserved:  reserved,
		Remaining: decimal.Max(decimal.Zero, b.Limit.Sub(used)),
		Available: decimal.Max(decimal.Zero, b.Limit.Sub(used).Sub(reserved)),
		Percent:   alert.Percent(used, b.Limit, percentPlaces),
		Level:     alert.Classify(used, b.Limit, b.Thresholds),
		OverLimit: used.GreaterThan(b.Limit),
		Denied:    t.Denied,
		WouldDeny: t.WouldDeny,
		Leased:    b.Metric.Decimal(t.Leased),
		Expired:   t.Expired, ExpiredHeld: b.Metric.Decimal(t.ExpiredHeld),
	}
}

// used returns what the counter stands at. What would take it beyond int64 is refused when it is written.
func (t Tally) used() int64 { return t.Recorded + t.Adjusted }

// fits reports whether used does not wrap: the figures are refused one by one where they do, and here together.
func (t Tally) fits() error {
	_, err := addUnits(t.Recorded, t.Adjusted)
	return err
}
