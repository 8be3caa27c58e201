package budget_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// stored returns an event as it is stored, with every amount another.
func stored(time time.Time) *budget.StoredEvent {
	return &budget.StoredEvent{
		ID: "e", Time: time, Subject: usage.Subject{Tenant: "acme", User: "u1"},
		Totals: usage.Totals{
			InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: 11, Requests: 6, Runs: 7,
			Nanodollars: 8_000_000_000,
		},
	}
}

func definition(b budget.Budget, rates ...budget.Rate) *budget.Definition {
	b.ID, b.Schedule = "b", period.Monthly
	return &budget.Definition{Budget: b, Rates: rates}
}

func rate(from, costPerCredit string) budget.Rate {
	if from == "" {
		return budget.Rate{CostPerCredit: dec(costPerCredit)}
	}
	return budget.Rate{From: at(from), CostPerCredit: dec(costPerCredit)}
}

func TestChargeCountsTheMetric(t *testing.T) {
	t.Parallel()
	want := map[usage.Metric]int64{
		usage.Tokens: 11, usage.InputTokens: 1, usage.OutputTokens: 2, usage.Requests: 6, usage.Dollars: 8_000_000_000,
		usage.Credits: 4_000_000,
	}
	got := make(map[usage.Metric]int64)
	for _, metric := range usage.Metrics() {
		d := definition(budget.Budget{Metric: metric}, rate("", "2"))
		charge, counts, err := d.Charge(stored(noon))
		if err != nil || !counts {
			t.Errorf("%s: counted %v: %v", metric, counts, err)
		}
		got[metric] = charge.Units
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("units (-want +got):\n%s", diff)
	}
}

func TestChargeGoesToTheCounterOfValueAndPeriod(t *testing.T) {
	t.Parallel()
	d := definition(budget.Budget{Metric: usage.Tokens, Scope: budget.Scope{"tenant": "acme", "user": budget.Each}})
	charge, counts, err := d.Charge(stored(noon))
	if err != nil || !counts {
		t.Fatalf("counted %v: %v", counts, err)
	}
	want := budget.Charge{
		CounterKey: budget.CounterKey{Budget: "b", Value: "4:user2:u1", Start: at("2026-03-01T00:00:00Z").UnixMicro()},
		Units:      11,
	}
	if diff := cmp.Diff(want, charge); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChargeCountsNot(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		budget budget.Budget
		counts bool
	}{
		"a subject that the scope does not cover":  {budget.Budget{Scope: budget.Scope{"tenant": "other"}}, false},
		"an excepted value":                        {budget.Budget{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"u0", "u1"}}}, false},
		"but another value than the excepted ones": {budget.Budget{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"u0", "u2"}}}, true},
		"a tuple of which one value is excepted": {
			budget.Budget{Scope: budget.Scope{"user": budget.Each, "tenant": budget.Each}, Except: budget.Except{"user": {"u2"}, "tenant": {"acme"}}},
			false,
		},
		"what is before the start":           {budget.Budget{StartsAt: noon.Add(time.Microsecond)}, false},
		"but what is at the start":           {budget.Budget{StartsAt: noon}, true},
		"what is at the end":                 {budget.Budget{EndsAt: noon}, false},
		"but what is just before it":         {budget.Budget{EndsAt: noon.Add(time.Microsecond)}, true},
		"but a disabled budget's usage":      {budget.Budget{Disabled: true}, true},
		"but an observing budget's usage":    {budget.Budget{Enforcement: budget.Observe}, true},
		"but a resource that is not allowed": {budget.Budget{AllowedResources: []string{"small"}}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.budget.Metric = usage.Tokens
			_, counts, err := definition(test.budget).Charge(stored(noon))
			if counts != test.counts || err != nil {
				t.Errorf("counted %v, want %v: %v", counts, test.counts, err)
			}
		})
	}
}

func TestCreditsAreCountedAtTheRateInForce(t *testing.T) {
	t.Parallel()
	rates := []budget.Rate{rate("2026-03-01T00:00:00Z", "2"), rate("2026-03-10T12:00:00Z", "4")}
	tests := map[string]struct {
		rates []budget.Rate
		at    time.Time
		want  int64
	}{
		"a rate holds from its instant on":        {rates, noon, 2_000_000},
		"until then the one before it":            {rates, noon.Add(-time.Microsecond), 4_000_000},
		"before the first there is none, as yet":  {rates, at("2026-02-28T23:59:59Z"), 0},
		"without rates usage adds nothing":        {nil, noon, 0},
		"the first rate of a budget always held":  {[]budget.Rate{rate("", "8")}, at("1980-01-01T00:00:00Z"), 1_000_000},
		"a rate of 0 is none: usage adds nothing": {[]budget.Rate{rate("", "8"), rate("2026-03-10T12:00:00Z", "0")}, noon, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			charge, counts, err := definition(budget.Budget{Metric: usage.Credits}, test.rates...).Charge(stored(test.at))
			if err != nil || !counts || charge.Units != test.want {
				t.Errorf("%d credits × 10⁶, counted %v, want %d: %v", charge.Units, counts, test.want, err)
			}
		})
	}
}

func TestCreditsAreRoundedHalfUpPerEvent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		nanodollars int64
		rate        string
		want        int64
	}{
		"half a millionth is one":          {1, "0.002", 1},
		"less than half a millionth is 0":  {1, "0.003", 0},
		"two thirds are cut at 6 places":   {2_000_000_000, "3", 666_667},
		"one third is cut at 6 places":     {1_000_000_000, "3", 333_333},
		"the smallest cost, the best rate": {1, "0.000000001", 1_000_000},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := stored(noon)
			e.Totals.Nanodollars = test.nanodollars
			charge, _, err := definition(budget.Budget{Metric: usage.Credits}, rate("", test.rate)).Charge(e)
			if err != nil || charge.Units != test.want {
				t.Errorf("%d, want %d: %v", charge.Units, test.want, err)
			}
		})
	}
}

// Whatever is taken back in however many parts, the credits are those of what is left, rounded once.
func TestCorrectionsLeaveTheCreditsOfWhatIsLeft(t *testing.T) {
	check(t, func(t *rapid.T) {
		d := definition(budget.Budget{Metric: usage.Credits}, budget.Rate{CostPerCredit: usage.Dollars.Decimal(rapid.Int64Range(1, 5_000_000_000).Draw(t, "rate"))})
		charged := func(before, nanodollars int64) int64 {
			charge, _, err := d.Charge(&budget.StoredEvent{Time: noon, CostBefore: before, Totals: usage.Totals{Nanodollars: nanodollars}})
			if err != nil {
				t.Fatal(err)
			}
			return charge.Units
		}
		left := rapid.Int64Range(0, 1_000_000_000).Draw(t, "cost")
		total := charged(0, left)
		for range rapid.IntRange(0, 5).Draw(t, "corrections") {
			take := rapid.Int64Range(0, left).Draw(t, "take")
			total += charged(left, -take)
			left -= take
			// floor(left / rate × 10⁶ + ½), in rational numbers
			exact := new(big.Rat).Quo(big.NewRat(left, 1_000_000_000), d.Rates[0].CostPerCredit.Rat())
			exact.Mul(exact, big.NewRat(1_000_000, 1)).Add(exact, big.NewRat(1, 2))
			if want := new(big.Int).Div(exact.Num(), exact.Denom()); want.Cmp(big.NewInt(total)) != 0 {
				t.Fatalf("%d nanodollars are left, which are %s credits × 10⁻⁶, counted are %d", left, want, total)
			}
		}
	})
}

func TestCreditsThatDoNotFitAreAnOverflow(t *testing.T) {
	t.Parallel()
	e := stored(noon)
	e.Totals.Nanodollars = math.MaxInt64
	_, counts, err := definition(budget.Budget{Metric: usage.Credits}, rate("", "0.000000001")).Charge(e)
	is(t, err, budget.ErrOverflow)
	if counts {
		t.Error("it counts")
	}
}
