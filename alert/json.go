package alert

import (
	"encoding/json"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/usage"
)

// number is a decimal that is written as a JSON number with its exact text.
type number decimal.Decimal

func (n number) MarshalJSON() ([]byte, error) { return []byte(decimal.Decimal(n).String()), nil }

type alertJSON struct {
	ID          string                     `json:"id"`
	At          time.Time                  `json:"at"`
	Kind        Kind                       `json:"kind"`
	Level       Level                      `json:"level"`
	Left        Level                      `json:"left,omitempty"` // of resolved ones
	Budget      string                     `json:"budget"`
	BudgetName  string                     `json:"budget_name"`
	Owner       string                     `json:"owner"`
	Tenant      string                     `json:"tenant"`
	Labels      map[string]string          `json:"labels"`
	Scope       map[usage.Dimension]string `json:"scope"`
	PeriodStart time.Time                  `json:"period_start"`
	PeriodEnd   time.Time                  `json:"period_end"` // exclusive
	Threshold   *number                    `json:"threshold"`  // percent; null for kinds without one
	Metric      usage.Metric               `json:"metric"`
	Used        number                     `json:"used"`
	Limit       number                     `json:"limit"`
	Expected    time.Time                  `json:"expected_at,omitzero"` // of forecasts
	Late        bool                       `json:"late"`
	Superseded  bool                       `json:"superseded"`
	Message     string                     `json:"message"`
}

// MarshalJSON writes a flat; amounts are numbers in the metric's unit with their exact text, the period's end is exclusive.
func (a Alert) MarshalJSON() ([]byte, error) {
	written := alertJSON{
		ID: a.ID, At: a.At, Kind: a.Kind, Level: a.Level, Left: a.Left,
		Budget: a.Budget, BudgetName: a.BudgetName, Owner: a.Owner, Tenant: a.Tenant, Labels: orEmpty(a.Labels), Scope: orEmpty(a.Scope),
		PeriodStart: a.Period.Start, PeriodEnd: a.Period.End,
		Metric: a.Metric, Used: number(a.Metric.Decimal(a.Used)), Limit: number(a.Metric.Decimal(a.Limit)),
		Expected: a.Expected, Late: a.Late, Superseded: a.Superseded, Message: a.Message,
	}
	if a.Kind == Threshold || a.Kind == Resolved {
		written.Threshold = new(number(a.Threshold))
	}
	return json.Marshal(written)
}

// orEmpty returns m, and for nil an empty map, so that both are written alike.
func orEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}
