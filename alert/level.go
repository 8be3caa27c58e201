package alert

import (
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
)

// A Level says how close to its limit a budget is. Levels are ordered: a higher one is worse.
type Level uint8

// The levels.
const (
	OK       Level = iota
	Warning        // at the warning percent or above
	Critical       // at the critical percent or above
	Exceeded       // at 100 % or above
)

var levelNames = [...]string{OK: "ok", Warning: "warning", Critical: "critical", Exceeded: "exceeded"}

// String returns l's name, in lower case.
func (l Level) String() string {
	if int(l) >= len(levelNames) {
		return fmt.Sprintf("level %d", uint8(l))
	}
	return levelNames[l]
}

// MarshalText returns l's name. It fails for what is none of the four levels.
func (l Level) MarshalText() ([]byte, error) {
	if int(l) >= len(levelNames) {
		return nil, fmt.Errorf("%v is unknown", l)
	}
	return []byte(levelNames[l]), nil
}

// UnmarshalText sets l to the level of that name. Any other text is a [*usage.FieldError] of level.
func (l *Level) UnmarshalText(text []byte) error {
	for level, name := range levelNames {
		if name == string(text) {
			*l = Level(level)
			return nil
		}
	}
	return invalid.Field("level", "must be one of ok, warning, critical and exceeded")
}

// Classify returns the level at which used stands against a limit above 0, exactly. Exceeded goes before critical and
// critical before warning, wherever the thresholds lie: with warning at 95 % and critical at 90 %, 92 % is critical and
// nothing is ever a warning.
func Classify(used, limit decimal.Decimal, t Thresholds) Level {
	if !used.IsPositive() {
		return OK
	}
	share := used.Mul(hundred)
	return t.level(func(percent decimal.Decimal) bool { return share.Cmp(limit.Mul(percent)) >= 0 })
}

func (t Thresholds) level(reached func(percent decimal.Decimal) bool) Level {
	switch {
	case reached(hundred):
		return Exceeded
	case reached(t.CriticalPercent()):
		return Critical
	case reached(t.WarningPercent()):
		return Warning
	default:
		return OK
	}
}

// Percent returns used as a percentage of a limit above 0, cut toward zero after so many places: 99.96 cut to one place is
// 99.9. It is not capped at 100. It panics if limit is 0.
func Percent(used, limit decimal.Decimal, places int32) decimal.Decimal {
	percent, _ := used.Mul(hundred).QuoRem(limit, places)
	return percent
}

// Message returns one English sentence that names the budget, its level and the percentage that is used, which is cut and
// not rounded to one place, so that it never claims a level that was not reached.
func Message(name string, level Level, used, limit decimal.Decimal) string {
	return fmt.Sprintf("Budget %q has used %s%% of its limit (%s)", name, Percent(used, limit, 1).StringFixed(1), level)
}
