package budget_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// written fails unless v is written as this JSON, to the letter.
func written(t *testing.T, v any, want string) {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBudgetJSON(t *testing.T) {
	t.Parallel()
	written(t, budget.Budget{
		ID: "b1", Name: "Acme", Description: new("all of it"), Metric: usage.Credits, Limit: dec("9007199254740993.000001"),
		CostPerCredit: dec("0.010"), Schedule: period.Monthly.In(location(t, "Europe/Berlin")).StartDay(15),
		Scope: budget.Scope{"tenant": "acme", "user": budget.Each}, Except: budget.Except{"user": {"u1", "u2"}},
		StartsAt: at("2026-01-01T00:00:00Z"), EndsAt: at("2027-01-01T00:00:00Z"), AllowedResources: []string{"large"},
		Enforcement: budget.Soft, MinHold: dec("0.5"),
		Thresholds: alert.Thresholds{Warning: new(dec("50")), Extra: []decimal.Decimal{dec("10.5")}}, Disabled: true,
		Owner: "ops", CreatedBy: "ann", Labels: map[string]string{"plan": "gold"}, Metadata: json.RawMessage(`{"z": 1e0, "a": [ ]}`),
		Version: 3, CreatedAt: noon, UpdatedAt: noon.AddDate(0, 0, 1),
	}, `{
	"id": "b1",
	"name": "Acme",
	"description": "all of it",
	"metric": "credits",
	"limit": 9007199254740993.000001,
	"cost_per_credit": 0.01,
	"schedule": {
		"period": "monthly",
		"time_zone": "Europe/Berlin",
		"start_day": 15
	},
	"scope": {
		"tenant": "acme",
		"user": {
			"each": true
		}
	},
	"except": {
		"user": [
			"u1",
			"u2"
		]
	},
	"starts_at": "2026-01-01T00:00:00Z",
	"ends_at": "2027-01-01T00:00:00Z",
	"allowed_resources": [
		"large"
	],
	"enforcement": "soft",
	"min_hold": 0.5,
	"warning_percent": 50,
	"critical_percent": 90,
	"extra_percents": [
		10.5
	],
	"enabled": false,
	"owner": "ops",
	"created_by": "ann",
	"labels": {
		"plan": "gold"
	},
	"metadata": {
		"z": 1e0,
		"a": []
	},
	"version": 3,
	"created_at": "2026-03-10T12:00:00Z",
	"updated_at": "2026-03-11T12:00:00Z"
}`)
}

func TestBudgetJSONOfWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	written(t, budget.Budget{
		ID: "b2", Name: "all", Metric: usage.Tokens, Limit: decimal.New(1, 18), Schedule: period.Daily, Enforcement: budget.Hard,
		Version: 1, CreatedAt: noon, UpdatedAt: noon,
	}, `{
	"id": "b2",
	"name": "all",
	"description": null,
	"metric": "tokens",
	"limit": 1000000000000000000,
	"cost_per_credit": null,
	"schedule": {
		"period": "daily",
		"time_zone": "UTC"
	},
	"scope": {},
	"except": {},
	"starts_at": null,
	"ends_at": null,
	"allowed_resources": [],
	"enforcement": "hard",
	"min_hold": null,
	"warning_percent": 80,
	"critical_percent": 90,
	"extra_percents": [],
	"enabled": true,
	"owner": "",
	"created_by": "",
	"labels": {},
	"metadata": {},
	"version": 1,
	"created_at": "2026-03-10T12:00:00Z",
	"updated_at": "2026-03-10T12:00:00Z"
}`)
}

func statusToWrite() budget.Status {
	b := budget.Budget{
		ID: "b1", Name: "Acme", Metric: usage.Dollars, Limit: dec("500"), Schedule: period.Monthly, Enforcement: budget.Hard,
	}
	tally := budget.Tally{Recorded: 455_000_000_001, Adjusted: -5_000_000_000, Reserved: 1, Denied: 2, WouldDeny: 3, Leased: 2, Expired: 4, ExpiredHeld: 3}
	return budget.Evaluate(b, budget.Value{"user": "u1"}, tally, noon)
}

const statusText = `
	"id": "b1",
	"name": "Acme",
	"value": {
		"user": "u1"
	},
	"metric": "dollars",
	"limit": 500,
	"used": 450.000000001,
	"recorded": 455.000000001,
	"adjusted": -5,
	"reserved": 0.000000001,
	"remaining": 49.999999999,
	"available": 49.999999998,
	"percent": 90,
	"level": "critical",
	"over_limit": false,
	"enabled": true,
	"enforcement": "hard",
	"schedule": {
		"period": "monthly",
		"time_zone": "UTC",
		"start_day": 1
	},
	"period_start": "2026-03-01T00:00:00Z",
	"period_end": "2026-04-01T00:00:00Z",
	"denied": 2,
	"would_deny": 3,
	"leased": 0.000000002,
	"expired": 4,
	"expired_held": 0.000000003`

func TestStatusJSON(t *testing.T) {
	t.Parallel()
	written(t, statusToWrite(), "{"+statusText+"\n}")
}

func TestRowJSONIsAStatusWithTheNumberOfCounters(t *testing.T) {
	t.Parallel()
	written(t, budget.Row{Status: statusToWrite(), Counters: 7}, "{"+statusText+",\n\t\"counters\": 7\n}")
}

func TestHistoryPointJSON(t *testing.T) {
	t.Parallel()
	p := budget.HistoryPoint{Used: dec("12.5")}
	p.Bounds = period.Daily.Bounds(noon)
	p.Totals = usage.Totals{
		InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: 10, Requests: 5, Runs: 6,
		Nanodollars: 9_007_199_254_740_993,
	}
	written(t, p, `{
	"start": "2026-03-10T00:00:00Z",
	"end": "2026-03-11T00:00:00Z",
	"used": 12.5,
	"input_tokens": 1,
	"output_tokens": 2,
	"cache_read_tokens": 4,
	"cache_creation_tokens": 3,
	"total_tokens": 10,
	"requests": 5,
	"runs": 6,
	"cost": 9007199.254740993
}`)
}
