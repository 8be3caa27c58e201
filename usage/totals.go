package usage

import "github.com/shopspring/decimal"

// Totals is what one use or many count, in whole units as they are stored. Totals are comparable with ==, and may be
// negative, as the difference of two others.
type Totals struct {
	InputTokens         int64
	OutputTokens        int64
	CacheCreationTokens int64
	CacheReadTokens     int64
	TotalTokens         int64
	Requests            int64
	Runs                int64
	Nanodollars         int64 // US dollars in 1e-9
}

// Cost returns the cost in US dollars.
func (t Totals) Cost() decimal.Decimal { return Dollars.Decimal(t.Nanodollars) }

// IsZero reports whether nothing is counted.
func (t Totals) IsZero() bool { return t == Totals{} }

// Add returns t + o. Where a field would not fit, the error is [ErrOverflow].
func (t Totals) Add(o Totals) (Totals, error) {
	return t.combined(o, func(a, b int64) (int64, bool) {
		sum := a + b
		return sum, (sum < a) == (b < 0)
	})
}

// Sub returns t - o. Where a field would not fit, the error is [ErrOverflow].
func (t Totals) Sub(o Totals) (Totals, error) {
	return t.combined(o, func(a, b int64) (int64, bool) {
		difference := a - b
		return difference, (difference > a) == (b < 0)
	})
}

// Negate returns 0 - t, for the Totals of valid amounts and all their sums. ([math.MinInt64], which no sum of theirs
// reaches before [Totals.Add] refuses it, has no opposite and stays.)
func (t Totals) Negate() Totals {
	return Totals{
		InputTokens:         -t.InputTokens,
		OutputTokens:        -t.OutputTokens,
		CacheCreationTokens: -t.CacheCreationTokens,
		CacheReadTokens:     -t.CacheReadTokens,
		TotalTokens:         -t.TotalTokens,
		Requests:            -t.Requests,
		Runs:                -t.Runs,
		Nanodollars:         -t.Nanodollars,
	}
}

// combined applies op, which reports whether its result fits, field by field.
func (t Totals) combined(o Totals, op func(a, b int64) (int64, bool)) (Totals, error) {
	fits := true
	apply := func(a, b int64) int64 {
		result, ok := op(a, b)
		fits = fits && ok
		return result
	}
	result := Totals{
		InputTokens:         apply(t.InputTokens, o.InputTokens),
		OutputTokens:        apply(t.OutputTokens, o.OutputTokens),
		CacheCreationTokens: apply(t.CacheCreationTokens, o.CacheCreationTokens),
		CacheReadTokens:     apply(t.CacheReadTokens, o.CacheReadTokens),
		TotalTokens:         apply(t.TotalTokens, o.TotalTokens),
		Requests:            apply(t.Requests, o.Requests),
		Runs:                apply(t.Runs, o.Runs),
		Nanodollars:         apply(t.Nanodollars, o.Nanodollars),
	}
	if !fits {
		return Totals{}, ErrOverflow
	}
	return result, nil
}
