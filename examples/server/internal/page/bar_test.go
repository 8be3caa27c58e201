package page

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func status(used, reserved int64) budget.Status {
	b := budget.Budget{Metric: usage.Tokens, Limit: decimal.NewFromInt(200)}
	return budget.Evaluate(b, nil, budget.Tally{Recorded: used, Reserved: reserved}, time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC))
}

func TestBar(t *testing.T) {
	tests := map[string]struct {
		status budget.Status
		going  *decimal.Decimal
		want   bar
	}{
		"nothing is used": {
			status(0, 0), nil,
			bar{Level: alert.OK, Used: "0", Percent: "0.0 %", Text: "0.0 % used, ok"},
		},
		"what is reserved follows what is used": {
			status(60, 15), nil,
			bar{Level: alert.OK, Used: "30", Reserved: "7.5", Percent: "30.0 %", Text: "30.0 % used, ok, 7.5 % reserved"},
		},
		"the mark is where it is going": {
			status(165, 0), new(decimal.NewFromInt(180)),
			bar{Level: alert.Warning, Used: "82.5", Mark: "90", Percent: "82.5 %", Text: "82.5 % used, warning, going to 90.0 %"},
		},
		"what is beyond the limit stands in the text alone": {
			status(300, 10), new(decimal.NewFromInt(500)),
			bar{Level: alert.Exceeded, Used: "100", Reserved: "0", Mark: "99.5", Percent: "150.0 %", Text: "150.0 % used, exceeded, 5.0 % reserved, going to 250.0 %"},
		},
		"no length claims more than was used": {
			status(199, 0), nil,
			bar{Level: alert.Critical, Used: "99.5", Percent: "99.5 %", Text: "99.5 % used, critical"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, newBar(test.status, test.going)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAccountBarsAreGreenAmberAndRed(t *testing.T) {
	for used, want := range map[int64]alert.Level{0: alert.OK, 74: alert.OK, 75: alert.Warning, 99: alert.Warning, 100: alert.Exceeded, 180: alert.Exceeded} {
		if got := accountBar(decimal.NewFromInt(used), hundred, decimal.NewFromInt(75)).Level; got != want {
			t.Errorf("%d of 100, warning from 75: %v, want %v", used, got, want)
		}
	}
}

func TestPaceOfAList(t *testing.T) {
	s := status(50, 0)
	s.Budget.Schedule = period.Monthly
	s.Period = period.Monthly.Bounds(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	if got := onPace(s, time.Date(2026, 4, 11, 0, 0, 0, 0, time.UTC)); got == nil || !got.Equal(decimal.NewFromInt(150)) {
		t.Errorf("a third of the month for 50: going to %v, want 150", got)
	}
	if got := onPace(s, time.Date(2026, 4, 1, 5, 0, 0, 0, time.UTC)); got != nil {
		t.Errorf("five hours into the month it goes to %v, want that nothing is said", got)
	}
}
