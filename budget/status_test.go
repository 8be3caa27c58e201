package budget_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	// figures are those of a status, as text.
	type figures struct{ Used, Recorded, Adjusted, Reserved, Remaining, Available, Percent string }
	tests := map[string]struct {
		metric    usage.Metric
		limit     string
		tally     budget.Tally
		want      figures
		level     alert.Level
		overLimit bool
	}{
		"a counter that was never written has used nothing": {
			usage.Tokens, "100",
			budget.Tally{},
			figures{"0", "0", "0", "0", "100", "100", "0"},
			alert.OK, false,
		},
		"used is recorded and adjusted": {
			usage.Tokens, "100",
			budget.Tally{Recorded: 60, Adjusted: -20},
			figures{"40", "60", "-20", "0", "60", "60", "40"},
			alert.OK, false,
		},
		"reserved is not used, but not available": {
			usage.Tokens, "100",
			budget.Tally{Recorded: 60, Reserved: 30},
			figures{"60", "60", "0", "30", "40", "10", "60"},
			alert.OK, false,
		},
		"dollars are in 10⁻⁹": {
			usage.Dollars, "5.65",
			budget.Tally{Recorded: 4_520_000_000},
			figures{"4.52", "4.52", "0", "0", "1.13", "1.13", "80"},
			alert.Warning, false,
		},
		"exactly 90 percent is critical": {
			usage.Dollars, "0.10",
			budget.Tally{Recorded: 90_000_000},
			figures{"0.09", "0.09", "0", "0", "0.01", "0.01", "90"},
			alert.Critical, false,
		},
		"nearly the limit is not exceeded": {
			usage.Tokens, "10000",
			budget.Tally{Recorded: 9996},
			figures{"9996", "9996", "0", "0", "4", "4", "99.96"},
			alert.Critical, false,
		},
		"credits are in 10⁻⁶": {
			usage.Credits, "10",
			budget.Tally{Recorded: 9_000_001},
			figures{"9.000001", "9.000001", "0", "0", "0.999999", "0.999999", "90.00001"},
			alert.Critical, false,
		},
		"exactly the limit is exceeded, and not over it": {
			usage.Tokens, "100",
			budget.Tally{Recorded: 100},
			figures{"100", "100", "0", "0", "0", "0", "100"},
			alert.Exceeded, false,
		},
		"one above it is over it, and nothing remains": {
			usage.Tokens, "100",
			budget.Tally{Recorded: 101, Reserved: 5},
			figures{"101", "101", "0", "5", "0", "0", "101"},
			alert.Exceeded, true,
		},
		"percents are cut after nine places, and never claim a level": {
			usage.Tokens, "300000000000",
			budget.Tally{Recorded: 299999999999},
			figures{"299999999999", "299999999999", "0", "0", "1", "1", "99.999999999"},
			alert.Critical, false,
		},
		"percents are not capped": {
			usage.Requests, "3",
			budget.Tally{Recorded: 10},
			figures{"10", "10", "0", "0", "0", "0", "333.333333333"},
			alert.Exceeded, true,
		},
		"the ends of int64 add up": {
			usage.Tokens, "9223372036854775807",
			budget.Tally{Recorded: math.MaxInt64, Adjusted: math.MaxInt64},
			figures{"18446744073709551614", "9223372036854775807", "9223372036854775807", "0", "0", "0", "200"},
			alert.Exceeded, true,
		},
		"below 0 more than the limit remains": {
			usage.Tokens, "100",
			budget.Tally{Recorded: 0, Adjusted: -10},
			figures{"-10", "0", "-10", "0", "110", "110", "-10"},
			alert.OK, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := budget.Budget{Metric: test.metric, Limit: dec(test.limit), Schedule: period.Monthly}
			s := budget.Evaluate(b, nil, test.tally, noon)
			got := figures{
				s.Used.String(), s.Recorded.String(), s.Adjusted.String(), s.Reserved.String(),
				s.Remaining.String(), s.Available.String(), s.Percent.String(),
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("figures (-want +got):\n%s", diff)
			}
			if s.Level != test.level || s.OverLimit != test.overLimit {
				t.Errorf("level %s, over limit %v, want %s, %v", s.Level, s.OverLimit, test.level, test.overLimit)
			}
		})
	}
}

func TestEvaluateHidesNothingOfADisabledBudget(t *testing.T) {
	t.Parallel()
	b := budget.Budget{Metric: usage.Tokens, Limit: dec("10"), Schedule: period.Monthly, Disabled: true}
	s := budget.Evaluate(b, budget.Value{"user": "u1"}, budget.Tally{Recorded: 11, Denied: 2, WouldDeny: 3}, noon)
	if s.Level != alert.Exceeded || s.Denied != 2 || s.WouldDeny != 3 || s.Value["user"] != "u1" {
		t.Errorf("%+v", s)
	}
}

func TestStatusPeriod(t *testing.T) {
	t.Parallel()
	berlin := location(t, "Europe/Berlin")
	bounds := func(start, end string) period.Bounds { return period.Bounds{Start: at(start), End: at(end)} }
	tests := map[string]struct {
		budget budget.Budget
		at     time.Time
		want   period.Bounds
	}{
		"it is that of the schedule's zone": {
			budget.Budget{Schedule: period.Monthly.In(berlin)}, noon, bounds("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
		},
		"its start belongs to it": {
			budget.Budget{Schedule: period.Daily}, at("2026-03-10T00:00:00Z"), bounds("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z"),
		},
		"it is cut at the budget's start and end": {
			budget.Budget{Schedule: period.Monthly, StartsAt: at("2026-03-05T06:00:00Z"), EndsAt: at("2026-03-20T00:00:00Z")},
			noon,
			bounds("2026-03-05T06:00:00Z", "2026-03-20T00:00:00Z"),
		},
		"it is empty where the budget has ended": {
			budget.Budget{Schedule: period.Monthly, EndsAt: at("2026-02-20T00:00:00Z")}, noon, period.Bounds{},
		},
		"a lifetime is cut at what can be recorded": {
			budget.Budget{Schedule: period.Lifetime}, noon, bounds("1980-01-01T00:00:00Z", "2200-01-01T00:00:00Z"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.budget.Limit = dec("1")
			got := budget.Evaluate(test.budget, nil, budget.Tally{}, test.at).Period
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
