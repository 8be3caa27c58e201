package usage

import (
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/period"
)

// A reach is how many spreads a range goes below what is to come, and above it, when a share of the period is over.
type reach struct{ elapsed, below, above float64 }

// The reaches are quantiles of errors, in spreads, over the months that are for tuning in examples/internal/backtest: there 9
// percent of what came lies below a range, and 9 percent above. That is a little less than Coverage allows, since nobody made
// up a client with all that real ones do.
var (
	seasonalReach = reaches{{0.1, 1.00, 1.17}, {0.25, 0.99, 1.09}, {0.5, 1.13, 1.19}, {0.75, 1.44, 1.50}}
	steadyReach   = reaches{{0.1, 1.56, 3.49}, {0.25, 1.73, 1.83}, {0.5, 1.58, 1.66}, {0.75, 1.84, 1.98}}
	// newReach is for those of whom less than MinHistory is known, and so nothing about how much they vary.
	newReach = reaches{{0.1, 3.60, 4.95}}
)

type reaches []reach

// at returns the reach when a share of the period is over: between the two next to it, or the next one.
func (r reaches) at(elapsed float64) reach {
	i := slices.IndexFunc(r, func(r reach) bool { return r.elapsed >= elapsed })
	switch i {
	case -1:
		return r[len(r)-1]
	case 0:
		return r[0]
	}
	a, b := r[i-1], r[i]
	part := (elapsed - a.elapsed) / (b.elapsed - a.elapsed)
	return reach{elapsed, a.below + part*(b.below-a.below), a.above + part*(b.above-a.above)}
}

// around returns the range of a projection, given what is to come and how far off that is a week ahead.
func (p Pace) around(rest, spread float64, r reaches) (low, high decimal.Decimal) {
	// Half of the variance is that of the level, the other that of the days to come, and a part of a week varies more than
	// a week.
	left := inDays(p.Period.End.Sub(p.At))
	spread *= math.Sqrt((1 + max(1, weekDays/left)) / 2)
	reach := r.at(p.Period.Elapsed(p.At))
	return p.used().Add(p.amount(rest / (1 + reach.below*spread))), p.used().Add(p.amount(rest * (1 + reach.above*spread)))
}

// steadyRange returns the range of a projection of usage that comes evenly.
func (p Pace) steadyRange() (low, high decimal.Decimal) {
	elapsed, left := p.At.Sub(p.Period.Start), p.Period.End.Sub(p.At)
	rest := float64(p.Recorded) * float64(left) / float64(elapsed)
	began, ok := p.began()
	if !ok {
		return p.around(rest, usualSpread, newReach)
	}
	var even weekRates
	for hour := range even {
		even[hour] = 1
	}
	uses := p.dayUses(period.Bounds{Start: began, End: p.At}, &even)
	spread, reach := uses.spread(int(math.Ceil(inDays(elapsed)))), steadyReach
	if p.At.Sub(began) < MinHistory {
		spread, reach = usualSpread, newReach
	}
	low, high = p.around(rest, spread, reach)
	if began.After(p.Period.Start) && uses.sum().used >= float64(p.Recorded) {
		// Nothing was used before that day: what is to come may as well be as it was since.
		_, high = p.around(rest*float64(elapsed)/float64(p.At.Sub(began)), spread, reach)
	}
	return low, high
}

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
