package usage

import (
	"errors"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
)

const (
	maxCount   = 1e12 // tokens, requests or runs of one event
	maxDollars = 1e6  // of one event
)

// Amounts is what was used, as measured and as the caller gives it. The four token classes are disjoint: InputTokens
// leaves cached tokens out.
type Amounts struct {
	InputTokens         int64
	OutputTokens        int64
	CacheCreationTokens int64
	CacheReadTokens     int64
	TotalTokens         *int64           // nil: the sum of the four classes; else kept as given, for a provider may count otherwise
	Requests            *int64           // nil: 1; 0 is usage that is no request
	Runs                int64            // jobs that group several requests
	Cost                *decimal.Decimal // US dollars, half a billionth rounded up; nil: not given, to be priced; 0 is free
}

// Validate refuses negative amounts, more than 10^12 tokens, requests or runs, and more than 10^6 dollars. All findings are
// [*FieldError].
func (a Amounts) Validate() error {
	return errors.Join(
		validateCount("input_tokens", a.InputTokens),
		validateCount("output_tokens", a.OutputTokens),
		validateCount("cache_creation_tokens", a.CacheCreationTokens),
		validateCount("cache_read_tokens", a.CacheReadTokens),
		a.validateTotal(),
		validateCount("requests", valueOr(a.Requests, 1)),
		validateCount("runs", a.Runs),
		validateCost(a.Cost),
	)
}

func validateCount(field string, n int64) error {
	switch {
	case n < 0:
		return invalid.Field(field, "must not be negative")
	case n > maxCount:
		return invalid.Field(field, "is above %d", int64(maxCount))
	default:
		return nil
	}
}

// validateTotal checks what counts as total. A class that is out of bounds itself is not reported a second time.
func (a Amounts) validateTotal() error {
	if a.TotalTokens != nil {
		return validateCount("total_tokens", *a.TotalTokens)
	}
	sum := int64(0)
	for _, class := range [...]int64{a.InputTokens, a.OutputTokens, a.CacheCreationTokens, a.CacheReadTokens} {
		if class < 0 || class > maxCount {
			return nil
		}
		sum += class
	}
	return validateCount("total_tokens", sum)
}

func validateCost(cost *decimal.Decimal) error {
	if cost == nil {
		return nil
	}
	nanodollars, _, err := rounded(*cost, Dollars.Scale())
	switch {
	case cost.IsNegative():
		return invalid.Field("cost", "must not be negative")
	case err != nil || nanodollars > maxDollars*1e9:
		return invalid.Field("cost", "is above %d", int64(maxDollars))
	default:
		return nil
	}
}

func valueOr(n *int64, absent int64) int64 {
	if n == nil {
		return absent
	}
	return *n
}

// Totals returns what a counts, with what was not given filled in: the sum of the classes as total, one request, a cost of
// 0. The cost is rounded to 9 places, half a unit away from zero. The only error is [ErrOverflow].
func (a Amounts) Totals() (Totals, error) {
	t := Totals{
		InputTokens:         a.InputTokens,
		OutputTokens:        a.OutputTokens,
		CacheCreationTokens: a.CacheCreationTokens,
		CacheReadTokens:     a.CacheReadTokens,
		Requests:            valueOr(a.Requests, 1),
		Runs:                a.Runs,
	}
	var total, cost error
	if a.TotalTokens != nil {
		t.TotalTokens = *a.TotalTokens
	} else {
		t.TotalTokens, total = sum(a.InputTokens, a.OutputTokens, a.CacheCreationTokens, a.CacheReadTokens)
	}
	if a.Cost != nil {
		t.Nanodollars, _, cost = rounded(*a.Cost, Dollars.Scale())
	}
	if total != nil || cost != nil {
		return Totals{}, ErrOverflow
	}
	return t, nil
}

func sum(terms ...int64) (int64, error) {
	total := int64(0)
	for _, term := range terms {
		next := total + term
		if (next < total) != (term < 0) {
			return 0, ErrOverflow
		}
		total = next
	}
	return total, nil
}
