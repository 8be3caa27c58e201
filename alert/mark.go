package alert

import (
	"math"
	"math/bits"
	"slices"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/usage"
)

// A Mark is a threshold of a certain limit: the least use that reaches it.
type Mark struct {
	Percent decimal.Decimal // identifies the threshold
	Level   Level           // that [Classify] gives at this percent: an extra one below the warning percent is OK
	Units   int64           // of the metric, at least 1
}

// Marks returns the marks of a limit above 0, in units of its metric, ascending by percent: warning, critical, 100 and the
// extra ones, each percent once. A mark that no int64 reaches is left out, and so is what is not valid.
func (t Thresholds) Marks(limit int64) []Mark {
	percents := append([]decimal.Decimal{t.WarningPercent(), t.CriticalPercent(), hundred}, t.Extra...)
	slices.SortFunc(percents, decimal.Decimal.Cmp)
	percents = slices.CompactFunc(percents, decimal.Decimal.Equal)
	marks := make([]Mark, 0, len(percents))
	for _, percent := range percents {
		if units, ok := part(limit, percent); ok {
			marks = append(marks, Mark{Percent: percent, Level: t.level(percent.GreaterThanOrEqual), Units: units})
		}
	}
	return marks
}

// part returns the least number of units, from 1 on, that is at least this percentage of limit, and false if no int64 is.
func part(limit int64, percent decimal.Decimal) (int64, bool) {
	const whole = 100 * percentUnit
	n, err := usage.Units(percent, places)
	if err != nil || limit <= 0 || n < 0 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(limit), uint64(n))
	low, carry := bits.Add64(low, whole-1, 0) // so that the division rounds up
	high += carry
	if high >= whole {
		return 0, false
	}
	units, _ := bits.Div64(high, low, whole)
	return max(1, int64(units)), units <= math.MaxInt64
}

// Crossed compares what was used before, measured by the marks of then, with what is used after, measured by the marks of
// now; both as [Thresholds.Marks] returns them. It returns the marks that are reached now and were not, and those that were
// reached and are not any more, both ascending. A threshold is the same in both if its percent is; one that did not exist
// was not reached. So a raised limit leaves thresholds, and a lowered warning percent reaches one.
func Crossed(usedBefore int64, before []Mark, usedAfter int64, after []Mark) (up, down []Mark) {
	was, is := reached(usedBefore, before), reached(usedAfter, after)
	return without(is, was), without(was, is)
}

func reached(used int64, marks []Mark) []Mark {
	n, _ := slices.BinarySearchFunc(marks, used, func(m Mark, used int64) int {
		if m.Units <= used {
			return -1
		}
		return 1
	})
	return marks[:n]
}

// without returns those of marks whose percent none of others has.
func without(marks, others []Mark) []Mark {
	var rest []Mark
	for _, m := range marks {
		same := func(o Mark) bool { return o.Percent.Equal(m.Percent) }
		if !slices.ContainsFunc(others, same) {
			rest = append(rest, m)
		}
	}
	return rest
}
