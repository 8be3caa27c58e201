package price

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
)

// A tariff is a [Price] that is ready to be computed with.
type tariff struct {
	Price
	by    string           // the name of what was priced by it
	rates [classes]*ladder // broader classes filled in; nil: no price
	scale int32            // the decimal places of all its prices
}

// A ladder is what tokens of a class cost, the highest step first.
type ladder []rung

type rung struct {
	above int64 // for prompts of more tokens; the last one's is -1
	exact decimal.Decimal
	units int64 // exact in units of 10^-scale; -1 if that does not fit
}

func newTariff(p Price, by string) tariff {
	t := tariff{Price: p, by: byline(by, p)}
	for class, rate := range p.Rates {
		t.rates[class] = newLadder(rate)
		for _, r := range *t.rates[class] {
			t.scale = max(t.scale, -r.exact.Exponent())
		}
	}
	for _, l := range t.rates {
		if l != nil {
			l.setUnits(t.scale)
		}
	}
	t.Rates = nil // nothing is shared with the caller
	if p.Hours != nil {
		t.Hours = new(*p.Hours)
	}
	for class := range Class(classes) {
		t.rates[class] = t.rateOf(class)
	}
	return t
}

// byline says what a price is, in so few bytes that it can be kept with every event.
func byline(by string, p Price) string {
	if p.Tier != "" {
		by += " " + p.Tier
	}
	if !p.From.IsZero() {
		by += " from " + p.From.UTC().Format(time.RFC3339)
	}
	if p.Hours != nil {
		by += " at " + time.Time{}.Add(p.Hours.From).Format("15:04")
	}
	for len(by) > invalid.MaxName || !utf8.ValidString(by) {
		by = by[:min(len(by)-1, invalid.MaxName)]
	}
	return by
}

func newLadder(r Rate) *ladder {
	l := ladder{{above: -1, exact: r.PerMillion}}
	for _, step := range r.Above {
		l = append(l, rung{above: step.Tokens, exact: step.PerMillion})
	}
	slices.SortStableFunc(l, func(a, b rung) int { return cmp.Compare(b.above, a.above) })
	return &l
}

func (l ladder) setUnits(scale int32) {
	for i := range l {
		units := l[i].exact.Shift(scale).BigInt()
		if l[i].units = -1; units.IsInt64() {
			l[i].units = units.Int64()
		}
	}
}

// rateOf returns the ladder of a class or the nearest broader one that has one.
func (t *tariff) rateOf(class Class) *ladder {
	for t.rates[class] == nil {
		broader, ok := class.broader()
		if !ok {
			return nil
		}
		class = broader
	}
	return t.rates[class]
}

// at returns what holds for a prompt of so many tokens.
func (l ladder) at(prompt int64) *rung {
	for i := range l {
		if prompt > l[i].above {
			return &l[i]
		}
	}
	return &l[len(l)-1]
}

// dollars returns what the tokens of the classes from first to before end cost: exactly, with at most scale + 6 places.
func (t *tariff) dollars(c *Classes, first, end Class) (decimal.Decimal, error) {
	prompt, units, fits := c.Prompt(), int64(0), true
	for class := first; class < end; class++ {
		switch {
		case c[class] == 0 || t.Free && t.rates[class] == nil:
		case t.rates[class] == nil:
			return decimal.Decimal{}, fmt.Errorf("%w of %s tokens: %s", ErrNoPrice, class, t.by)
		default:
			units, fits = plusProduct(units, c[class], t.rates[class].at(prompt).units, fits)
		}
	}
	if !fits {
		return t.manyDigits(c, first, end), nil
	}
	return decimal.New(units, -6-t.scale), nil
}

// plusProduct returns total + n × units where all are 0 or more, and false if that passes an int64.
func plusProduct(total, n, units int64, fits bool) (int64, bool) {
	if !fits || units < 0 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(n), uint64(units))
	if high != 0 || low > uint64(math.MaxInt64-total) {
		return 0, false
	}
	return total + int64(low), true
}

// manyDigits does what dollars does where that passes an int64. It allocates for every class.
func (t *tariff) manyDigits(c *Classes, first, end Class) (total decimal.Decimal) {
	prompt := c.Prompt()
	for class := first; class < end; class++ {
		if rate := t.rates[class]; rate != nil && c[class] != 0 {
			total = total.Add(rate.at(prompt).exact.Mul(decimal.NewFromInt(c[class])))
		}
	}
	return total.Shift(-6)
}
