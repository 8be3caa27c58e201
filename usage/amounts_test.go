package usage_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/usage"
)

func TestAmountsValidate(t *testing.T) {
	tests := map[string]struct {
		amounts usage.Amounts
		want    []string
	}{
		"nothing at all is valid": {},
		"the highest counts and cost are valid": {
			amounts: usage.Amounts{
				InputTokens: 1e12, TotalTokens: new(int64(1e12)), Requests: new(int64(1e12)), Runs: 1e12, Cost: ptr("1000000"),
			},
		},
		"a cost is compared as it counts, rounded": {amounts: usage.Amounts{Cost: ptr("1000000.0000000004")}},
		"every field that is negative is named": {
			amounts: usage.Amounts{
				InputTokens: -1, OutputTokens: -1, CacheCreationTokens: -1, CacheReadTokens: -1,
				TotalTokens: new(int64(-1)), Requests: new(int64(-1)), Runs: -1, Cost: ptr("-0.0000000000001"),
			},
			want: []string{
				"input_tokens: must not be negative", "output_tokens: must not be negative",
				"cache_creation_tokens: must not be negative", "cache_read_tokens: must not be negative",
				"total_tokens: must not be negative", "requests: must not be negative",
				"runs: must not be negative", "cost: must not be negative",
			},
		},
		"a count above a million million is refused": {
			amounts: usage.Amounts{OutputTokens: 1e12 + 1, Requests: new(int64(math.MaxInt64))},
			want:    []string{"output_tokens: is above 1000000000000", "requests: is above 1000000000000"},
		},
		"classes that add up to too many tokens are refused": {
			amounts: usage.Amounts{InputTokens: 1e12, CacheReadTokens: 1},
			want:    []string{"total_tokens: is above 1000000000000"},
		},
		"a total that is given stands for the sum": {
			amounts: usage.Amounts{InputTokens: 1e12, CacheReadTokens: 1, TotalTokens: new(int64(7))},
		},
		"a cost above a million dollars is refused": {
			amounts: usage.Amounts{Cost: ptr("1000000.0000000005")},
			want:    []string{"cost: is above 1000000"},
		},
		"a cost beyond all bounds is refused without computing it": {
			amounts: usage.Amounts{Cost: new(decimal.New(1, math.MaxInt32))},
			want:    []string{"cost: is above 1000000"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, findings(t, test.amounts.Validate())); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAmountsTotals(t *testing.T) {
	tests := map[string]struct {
		amounts usage.Amounts
		want    usage.Totals
	}{
		"usage is one request unless given": {want: usage.Totals{Requests: 1}},
		"usage can be no request":           {amounts: usage.Amounts{Requests: new(int64(0)), Runs: 2}, want: usage.Totals{Runs: 2}},
		"the total is the sum of all classes": {
			amounts: usage.Amounts{InputTokens: 1, OutputTokens: 20, CacheCreationTokens: 300, CacheReadTokens: 4000},
			want: usage.Totals{
				InputTokens: 1, OutputTokens: 20, CacheCreationTokens: 300, CacheReadTokens: 4000, TotalTokens: 4321, Requests: 1,
			},
		},
		"a total that is given is kept": {
			amounts: usage.Amounts{InputTokens: 10, TotalTokens: new(int64(0))},
			want:    usage.Totals{InputTokens: 10, Requests: 1},
		},
		"a cost is counted in billionths":             {usage.Amounts{Cost: ptr("12.5")}, usage.Totals{Requests: 1, Nanodollars: 12_500_000_000}},
		"half a billionth is rounded up":              {usage.Amounts{Cost: ptr("0.0000000045")}, usage.Totals{Requests: 1, Nanodollars: 5}},
		"half a billionth is rounded up, not to even": {usage.Amounts{Cost: ptr("0.0000000025")}, usage.Totals{Requests: 1, Nanodollars: 3}},
		"less than half is rounded down":              {usage.Amounts{Cost: ptr("0.00000000249999999999")}, usage.Totals{Requests: 1, Nanodollars: 2}},
		"a long tail is rounded once": {
			usage.Amounts{Cost: ptr("0.0000000004999999999999999999999999999999999999")}, usage.Totals{Requests: 1},
		},
		"next to nothing is nothing": {usage.Amounts{Cost: new(decimal.New(9, -1_000_000_000))}, usage.Totals{Requests: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.amounts.Totals()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAmountsTotalsOverflow(t *testing.T) {
	tests := map[string]usage.Amounts{
		"the classes":                     {InputTokens: math.MaxInt64, OutputTokens: 1},
		"the classes, back above 0":       {InputTokens: math.MaxInt64, OutputTokens: math.MaxInt64, CacheReadTokens: math.MaxInt64},
		"the cost":                        {Cost: ptr("9223372036.8547758075")},
		"a cost with an exponent":         {Cost: new(decimal.New(1, 2_000_000_000))},
		"a cost of twenty digits or more": {Cost: ptr("12345678901234567890123")},
	}
	for name, amounts := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if totals, err := amounts.Totals(); !errors.Is(err, usage.ErrOverflow) {
				t.Errorf("Totals() = %+v, %v, want ErrOverflow", totals, err)
			}
		})
	}
}

func TestCostIsRoundedHalfUpAsFractionsAre(t *testing.T) {
	half := big.NewRat(1, 2)
	check(t, func(t *rapid.T) {
		cost := costs().Draw(t, "cost")
		totals, err := usage.Amounts{Cost: &cost}.Totals()
		if err != nil {
			t.Fatal(err)
		}
		// floor(cost·10⁹ + ½)
		exact := new(big.Rat).Mul(cost.Rat(), big.NewRat(1e9, 1))
		exact.Add(exact, half)
		want := new(big.Int).Quo(exact.Num(), exact.Denom())
		if totals.Nanodollars != want.Int64() {
			t.Errorf("%v counts %d, want %v", cost, totals.Nanodollars, want)
		}
	})
}

func TestTotalsAddAndSub(t *testing.T) {
	check(t, func(t *rapid.T) {
		a, b := allTotals().Draw(t, "a"), allTotals().Draw(t, "b")
		sum, err := a.Add(b)
		compareExact(t, "Add", a, b, sum, err, (*big.Int).Add)
		difference, err := a.Sub(b)
		compareExact(t, "Sub", a, b, difference, err, (*big.Int).Sub)
	})
}

// compareExact compares totals with what big integers say.
func compareExact(
	t *rapid.T, name string, a, b, got usage.Totals, err error, op func(result, a, b *big.Int) *big.Int,
) {
	t.Helper()
	as, bs, gots := fields(a), fields(b), fields(got)
	fits := true
	for i := range as {
		want := op(new(big.Int), big.NewInt(as[i]), big.NewInt(bs[i]))
		fits = fits && want.IsInt64()
		if err == nil && (!want.IsInt64() || want.Int64() != gots[i]) {
			t.Errorf("%s: field %d is %d, want %v", name, i, gots[i], want)
		}
	}
	if errors.Is(err, usage.ErrOverflow) == fits {
		t.Errorf("%s: error is %v, all fields fit: %t", name, err, fits)
	}
}

func fields(t usage.Totals) [8]int64 {
	return [...]int64{
		t.InputTokens, t.OutputTokens, t.CacheCreationTokens, t.CacheReadTokens, t.TotalTokens, t.Requests, t.Runs, t.Nanodollars,
	}
}

func TestTotalsNegate(t *testing.T) {
	check(t, func(t *rapid.T) {
		a, _ := amounts().Draw(t, "amounts").Totals()
		zero, err := a.Add(a.Negate())
		if err != nil || !zero.IsZero() {
			t.Errorf("a + -a = %+v, %v", zero, err)
		}
		difference, err := usage.Totals{}.Sub(a)
		if err != nil || difference != a.Negate() {
			t.Errorf("0 - a = %+v, %v, want %+v", difference, err, a.Negate())
		}
	})
}

func TestTotalsCost(t *testing.T) {
	got := usage.Totals{Nanodollars: math.MaxInt64}.Cost()
	if want := dec("9223372036.854775807"); !got.Equal(want) {
		t.Errorf("Cost() = %v, want %v", got, want)
	}
}
