package usage_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/usage"
)

func TestMetricValid(t *testing.T) {
	for _, m := range usage.Metrics() {
		if !m.Valid() {
			t.Errorf("%q is not valid", m)
		}
	}
	for _, m := range []usage.Metric{"", "Tokens", "euros", "runs"} {
		if m.Valid() {
			t.Errorf("%q is valid", m)
		}
	}
}

func TestMetricUnits(t *testing.T) {
	tests := map[string]struct {
		metric  usage.Metric
		decimal decimal.Decimal
		want    int64
		err     string
	}{
		"tokens are whole":                      {metric: usage.Tokens, decimal: dec("12"), want: 12},
		"a whole number may be written 12.000":  {metric: usage.Requests, decimal: dec("12.000"), want: 12},
		"a whole number may have an exponent":   {metric: usage.InputTokens, decimal: dec("1e3"), want: 1000},
		"no part of a token":                    {metric: usage.OutputTokens, decimal: dec("0.5"), err: "must be a whole number"},
		"dollars have nine places":              {metric: usage.Dollars, decimal: dec("0.000000001"), want: 1},
		"dollars do not have ten places":        {metric: usage.Dollars, decimal: dec("0.0000000001"), err: "has more than 9 decimal places"},
		"ten places with a zero are nine":       {metric: usage.Dollars, decimal: dec("0.1000000000"), want: 100_000_000},
		"fifty zeros are none":                  {metric: usage.Dollars, decimal: dec("2." + strings.Repeat("0", 50)), want: 2_000_000_000},
		"credits have six places":               {metric: usage.Credits, decimal: dec("-0.000001"), want: -1},
		"credits do not have seven places":      {metric: usage.Credits, decimal: dec("0.0000015"), err: "has more than 6 decimal places"},
		"the most dollars":                      {metric: usage.Dollars, decimal: dec("9223372036.854775807"), want: math.MaxInt64},
		"a billionth more":                      {metric: usage.Dollars, decimal: dec("9223372036.854775808"), err: "overflow"},
		"the least tokens":                      {metric: usage.Tokens, decimal: dec("-9223372036854775808"), want: math.MinInt64},
		"one less":                              {metric: usage.Tokens, decimal: dec("-9223372036854775809"), err: "overflow"},
		"a huge exponent makes no huge work":    {metric: usage.Tokens, decimal: decimal.New(1, 999_999_999), err: "overflow"},
		"the largest exponent does not wrap":    {metric: usage.Dollars, decimal: decimal.New(1, math.MaxInt32), err: "overflow"},
		"a tiny exponent makes no huge work":    {metric: usage.Tokens, decimal: decimal.New(1, -999_999_999), err: "must be a whole number"},
		"the smallest exponent does not wrap":   {metric: usage.Dollars, decimal: decimal.New(-7, math.MinInt32), err: "has more than 9 decimal places"},
		"nothing is nothing at any exponent":    {metric: usage.Tokens, decimal: decimal.New(0, math.MaxInt32), want: 0},
		"the highest power of ten that fits":    {metric: usage.Tokens, decimal: decimal.New(9, 18), want: 9e18},
		"nineteen digits":                       {metric: usage.Tokens, decimal: dec("1000000000000000001"), want: 1_000_000_000_000_000_001},
		"nineteen digits and as many zeros cut": {metric: usage.Tokens, decimal: dec("10000000000000000000e-19"), want: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.metric.Units(test.decimal)
			switch {
			case test.err == "" && err != nil, test.err == "overflow" && !errors.Is(err, usage.ErrOverflow):
				t.Errorf("error is %v", err)
			case test.err != "" && test.err != "overflow" && (!errors.Is(err, usage.ErrInvalid) || err.Error() != test.err):
				t.Errorf("error is %v, want %s", err, test.err)
			case got != test.want:
				t.Errorf("Units(%v) = %d, want %d", test.decimal, got, test.want)
			}
		})
	}
}

func TestMetricUnitsIsTheInverseOfDecimal(t *testing.T) {
	check(t, func(t *rapid.T) {
		metric := rapid.SampledFrom(usage.Metrics()).Draw(t, "metric")
		want := rapid.Int64().Draw(t, "units")
		written := metric.Decimal(want).String()
		read, err := usage.ParseDecimal(written)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := metric.Units(read); err != nil || got != want {
			t.Errorf("Units(%s) = %d, %v, want %d", written, got, err, want)
		}
	})
}

func TestMetricOf(t *testing.T) {
	totals := usage.Totals{
		InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: 5, Requests: 6, Runs: 7, Nanodollars: 8,
	}
	want := map[usage.Metric]int64{
		usage.Tokens: 5, usage.InputTokens: 1, usage.OutputTokens: 2, usage.Dollars: 8, usage.Requests: 6, usage.Credits: 0,
	}
	got := make(map[usage.Metric]int64)
	for _, m := range usage.Metrics() {
		got[m] = m.Of(totals)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("amounts by metric (-want +got):\n%s", diff)
	}
}

func TestCreditsOf(t *testing.T) {
	tests := map[string]struct {
		nanodollars int64
		perCredit   decimal.Decimal
		want        int64
	}{
		"a dollar at a cent is a hundred credits":     {1e9, dec("0.01"), 100e6},
		"half a millionth is rounded up":              {500, dec("1"), 1},
		"half a millionth is rounded up, not to even": {2500, dec("1"), 3},
		"less than half is rounded down":              {2499, dec("1"), 2},
		"a third is cut":                              {1e9, dec("3"), 333_333},
		"two thirds are rounded up":                   {2e9, dec("3"), 666_667},
		"taking back takes back the same":             {-2500, dec("1"), -3},
		"nothing is nothing":                          {0, decimal.New(1, -999_999_999), 0},
		"a price beyond all costs":                    {math.MaxInt64, decimal.New(1, 999_999_999), 0},
		"the highest price that gives a unit":         {math.MaxInt64, dec("18446744073709551.614"), 1},
		"a price of a million billion":                {math.MaxInt64, decimal.New(1, 15), 9},
		"a price with many digits":                    {1e9, dec("0.333333333333333333333333333333333333333"), 3_000_000},
		"a price with many zeros":                     {1e9, dec("2.000000000000000000000000000000000000000"), 500_000},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := usage.CreditsOf(test.nanodollars, test.perCredit)
			if err != nil || got != test.want {
				t.Errorf("CreditsOf(%d, %v) = %d, %v, want %d", test.nanodollars, test.perCredit, got, err, test.want)
			}
		})
	}
}

func TestCreditsOfRefuses(t *testing.T) {
	for _, price := range []string{"0", "-1"} {
		_, err := usage.CreditsOf(1, dec(price))
		if diff := cmp.Diff([]string{"cost_per_credit: must be above 0"}, findings(t, err)); diff != "" {
			t.Errorf("a price of %s (-want +got):\n%s", price, diff)
		}
	}
	for _, price := range []decimal.Decimal{dec("0.0000000001"), decimal.New(1, -999_999_999)} {
		if credits, err := usage.CreditsOf(math.MaxInt64, price); !errors.Is(err, usage.ErrOverflow) {
			t.Errorf("a price of 10^%d gives %d, %v, want ErrOverflow", price.Exponent(), credits, err)
		}
	}
}

func TestCreditsAreRoundedHalfUpAsFractionsAre(t *testing.T) {
	check(t, func(t *rapid.T) {
		cost := rapid.Int64().Draw(t, "nanodollars")
		price := decimal.New(rapid.Int64Range(1, 1e12).Draw(t, "coefficient"), rapid.Int32Range(-12, 6).Draw(t, "exponent"))
		// sign · floor(|cost|·10⁻³/price + ½)
		exact := new(big.Rat).Quo(new(big.Rat).SetFrac64(cost, 1000), price.Rat())
		exact.Abs(exact).Add(exact, big.NewRat(1, 2))
		want := new(big.Int).Quo(exact.Num(), exact.Denom())
		if cost < 0 {
			want.Neg(want)
		}
		got, err := usage.CreditsOf(cost, price)
		if want.IsInt64() != (err == nil) || err == nil && got != want.Int64() {
			t.Errorf("CreditsOf(%d, %v) = %d, %v, want %v", cost, price, got, err, want)
		}
	})
}
