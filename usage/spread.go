package usage

import (
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/period"
)

// A reach is how many spreads the logarithm of a range goes below that of what is to come, and above it, when so many days are
// left.
type reach struct{ left, below, above float64 }

// The reaches are quantiles of errors over the months that are for tuning in examples/internal/backtest, at three quarters of
// them, a half, a quarter and a tenth: there a tenth of what came lies below a range, and a tenth above.
var (
	seasonalReach = reaches{{7.6, 1.24, 1.23}, {15.2, 1.02, 1.08}, {22.8, 0.92, 1.04}, {27.4, 0.98, 1.20}}
	steadyReach   = reaches{{7.6, 1.40, 1.57}, {15.2, 1.34, 1.40}, {22.8, 1.34, 1.44}, {27.4, 1.10, 2.04}}
	// newReach is for those of whom less than MinHistory is known, and so nothing about how much they vary.
	newReach = reaches{{22.8, 1.00, 2.10}, {27.4, 2.90, 3.50}}
)

type reaches []reach

// at returns the reach when so many days are left: between the two next to it, or the next one.
func (r reaches) at(left float64) reach {
	i := slices.IndexFunc(r, func(r reach) bool { return r.left >= left })
	switch i {
	case -1:
		return r[len(r)-1]
	case 0:
		return r[0]
	}
	a, b := r[i-1], r[i]
	part := (left - a.left) / (b.left - a.left)
	return reach{left, a.below + part*(b.below-a.below), a.above + part*(b.above-a.above)}
}

// around returns the range of a projection, given what is to come and how far off that is a week ahead.
func (p Pace) around(rest, spread float64, r reaches) (low, high decimal.Decimal) {
	// Half of the variance is that of the level, the other that of the days to come, and a part of a week varies more than
	// a week.
	left := inDays(p.Period.End.Sub(p.At))
	spread = min(spread*math.Sqrt((1+max(1, weekDays/left))/2), mostSpread)
	reach := r.at(left)
	return p.used().Add(p.amount(rest * math.Exp(-reach.below*spread))), p.used().Add(p.amount(rest * math.Exp(reach.above*spread)))
}

// steadyRange returns the range of a projection of usage that comes evenly.
func (p Pace) steadyRange() (low, high decimal.Decimal) {
	elapsed, left := p.At.Sub(p.Period.Start), p.Period.End.Sub(p.At)
	rest := float64(p.Recorded) * float64(left) / float64(elapsed)
	began, ok := p.began()
	if !ok {
		return p.around(rest, anySpread, newReach)
	}
	var even weekRates
	for hour := range even {
		even[hour] = 1
	}
	uses := p.dayUses(period.Bounds{Start: began, End: p.At}, &even)
	spread, reach := uses.spread(int(math.Ceil(inDays(elapsed))), inDays(left)), steadyReach
	if weeks := float64(p.At.Sub(began)) / float64(MinHistory); weeks >= 1 {
		spread *= 1 + firstWeeks/(weeks*weeks)
	} else {
		spread, reach = uses.usual(), newReach
	}
	low, high = p.around(rest, spread, reach)
	if began.After(p.Period.Start) && uses.sum().used >= (1-roundedPart)*float64(p.Recorded) {
		// Nothing was used before that day: what is to come may as well be as it was since.
		_, high = p.around(rest*float64(elapsed)/float64(p.At.Sub(began)), spread, reach)
	}
	return low, high
}

// roundedPart is by what part the hours of credits may differ from what was recorded, which is rounded event by event.
const roundedPart = 1e-6

// unit returns what a unit is in the metric's own.
func (p Pace) unit() float64 { return math.Pow10(-int(p.Metric.Scale())) }

// amount returns so many units, rounded half up.
func (p Pace) amount(units float64) decimal.Decimal {
	n, _ := big.NewFloat(math.Floor(units*math.Pow10(projectedPlaces-int(p.Metric.Scale())) + 0.5)).Int(nil)
	return decimal.NewFromBigInt(n, -projectedPlaces)
}

func (p Pace) recorded() decimal.Decimal { return p.Metric.Decimal(p.Recorded) }

func (p Pace) adjusted() decimal.Decimal { return p.Metric.Decimal(p.Adjusted) }

func (p Pace) used() decimal.Decimal { return p.recorded().Add(p.adjusted()) }

func (p Pace) limit() decimal.Decimal { return p.Metric.Decimal(p.Limit) }

func (p Pace) zone() *time.Location {
	if p.Zone == nil {
		return time.UTC
	}
	return p.Zone
}
