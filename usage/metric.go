package usage

import (
	"math/big"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
)

// A Metric is what is counted.
type Metric string

// The metrics.
const (
	Tokens       Metric = "tokens" // total tokens, as [Totals].TotalTokens
	InputTokens  Metric = "input_tokens"
	OutputTokens Metric = "output_tokens"
	Dollars      Metric = "dollars" // cost in US dollars
	Requests     Metric = "requests"
	Credits      Metric = "credits" // cost at a rate, see [CreditsOf]
)

// Metrics returns all metrics.
func Metrics() []Metric {
	return []Metric{Tokens, InputTokens, OutputTokens, Dollars, Requests, Credits}
}

// Valid reports whether m is one of [Metrics].
func (m Metric) Valid() bool {
	switch m {
	case Tokens, InputTokens, OutputTokens, Dollars, Requests, Credits:
		return true
	default:
		return false
	}
}

// Scale returns how many decimal places m is counted to: 9 for dollars, 6 for credits, 0 for what is counted whole.
func (m Metric) Scale() int32 {
	switch m {
	case Dollars:
		return 9
	case Credits:
		return 6
	default:
		return 0
	}
}

// Units returns d in units of 10^-m.Scale(), exactly, with the errors of [Units].
func (m Metric) Units(d decimal.Decimal) (int64, error) { return Units(d, m.Scale()) }

// Decimal returns what so many units of m are. It is the inverse of [Metric.Units].
func (m Metric) Decimal(units int64) decimal.Decimal { return decimal.New(units, -m.Scale()) }

// Of returns what t counts in m, in units of m. For [Credits] that is 0: they need a rate, see [CreditsOf].
func (m Metric) Of(t Totals) int64 {
	switch m {
	case Tokens:
		return t.TotalTokens
	case InputTokens:
		return t.InputTokens
	case OutputTokens:
		return t.OutputTokens
	case Dollars:
		return t.Nanodollars
	case Requests:
		return t.Requests
	default:
		return 0
	}
}

// CreditsOf returns how many credits a cost is, in units of 1e-6, when one credit costs perCredit US dollars. Half a unit is
// rounded up, for a negative cost away from zero, so that taking a cost back takes back its credits. A perCredit that is not
// above 0 is a [*FieldError], a result that does not fit [ErrOverflow].
func CreditsOf(nanodollars int64, perCredit decimal.Decimal) (int64, error) {
	if !perCredit.IsPositive() {
		return 0, invalid.Field("cost_per_credit", "must be above 0")
	}
	// nanodollars·1e-9 / perCredit · 1e6, where perCredit = price·10^exponent
	price, exponent := perCredit.Coefficient(), int64(perCredit.Exponent())+9-6
	cost := big.NewInt(nanodollars)
	switch {
	case nanodollars == 0 || exponent > int64(len(powers)):
		return 0, nil // less than half a unit, even for the highest cost
	case exponent >= 0:
		price.Mul(price, power(exponent))
	case -exponent > int64(price.BitLen()/3+len(powers)+1):
		return 0, ErrOverflow // 10^k > 2^3k: even a nanodollar is too many
	default:
		cost.Mul(cost, power(-exponent))
	}
	credits, _ := divided(cost, price)
	if !credits.IsInt64() {
		return 0, ErrOverflow
	}
	return credits.Int64(), nil
}
