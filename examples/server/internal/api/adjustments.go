package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/jsonread"
	"github.com/purser-go/purser/usage"
)

func (a *API) adjustmentRoutes() []Route {
	const path = "/api/v1/budgets/{id}/adjustments"
	return []Route{
		{Method: http.MethodGet, Path: path, handle: listAdjustments},
		{Method: http.MethodPost, Path: path, handle: adjust},
	}
}

// adjustmentAnswer is a change of what a budget has used, without an event.
type adjustmentAnswer struct {
	ID       string       `json:"id"`
	Value    budget.Value `json:"value"`
	Metric   usage.Metric `json:"metric"` // of the budget then
	Amount   number       `json:"amount"`
	Reason   string       `json:"reason"`
	Time     time.Time    `json:"time"` // names the period
	User     *string      `json:"user_id"`
	Recorded time.Time    `json:"recorded_at"`
}

// listAdjustments answers the adjustments of a budget, the latest first; with from, only those whose time is not before it.
func listAdjustments(c *call) (any, error) {
	from, err := c.time("from")
	if err != nil {
		return nil, err
	}
	row, err := c.seenBudget()
	if err != nil {
		return nil, err
	}
	found, err := c.ledger.Adjustments(c.Context(), budget.AdjustmentQuery{Budgets: []string{row.Budget.ID}, From: from})
	if err != nil {
		return nil, err
	}
	slices.Reverse(found)
	adjustments := make([]adjustmentAnswer, len(found))
	for i, a := range found {
		value, err := budget.ParseValue(a.Value)
		if err != nil {
			return nil, err
		}
		adjustments[i] = adjustmentAnswer{
			ID: a.ID, Value: value, Metric: a.Metric, Amount: number(a.Metric.Decimal(a.Units)), Reason: a.Reason,
			Time: a.Time, User: optionalText(a.Actor), Recorded: a.RecordedAt,
		}
	}
	return map[string][]adjustmentAnswer{"adjustments": adjustments}, nil
}

// adjust adds to what a budget has used, or takes away from it, once however often it is sent with its id, and answers how
// the budget stands in that period.
func adjust(c *call) (any, error) {
	a, err := c.adjustment()
	if err != nil {
		return nil, err
	}
	row, err := c.budgetRow(a.Budget)
	if err == nil {
		err = c.mayAdjust(&row.Budget)
	}
	if err == nil {
		_, err = c.claim()
	}
	if err != nil {
		return nil, err
	}
	status, err := c.ledger.Adjust(c.Context(), a)
	return struct {
		ID     string        `json:"id"`
		Status budget.Status `json:"status"`
	}{a.ID, status}, budgetError(err)
}

// adjustment reads an adjustment of the budget that the path names.
func (c *call) adjustment() (budget.Adjustment, error) {
	id, idErr := c.budgetID()
	a := budget.Adjustment{Budget: id, ID: cmp.Or(c.once.id(), usage.NewID())}
	err := c.object(func(name string, value json.RawMessage) (err error) {
		switch name {
		case "id":
			return jsonread.Text(name, value, &a.ID)
		case "value":
			a.Value, err = readValue(name, value)
			return err
		case "amount":
			return readDecimal(name, value, &a.Amount)
		case "reason":
			return jsonread.Text(name, value, &a.Reason)
		case "time":
			return jsonread.Time(name, value, &a.Time)
		default:
			return jsonread.UnknownMember(name)
		}
	})
	if err = errors.Join(idErr, err); err != nil {
		return a, err
	}
	return a, a.Validate()
}

// mayAdjust returns what is in the way of adjusting b. Its owner may not: what was used is not theirs to say.
func (c *call) mayAdjust(b *budget.Budget) error {
	switch {
	case c.caller.Within(b) && c.caller.May(access.Admin):
		return nil
	case c.caller.Sees(b):
		return forbidden(access.Admin)
	default:
		return errBudgetNotFound
	}
}
