package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

func (a *API) budgetRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/budgets", handle: listBudgets},
		{Method: http.MethodPost, Path: "/api/v1/budgets", handle: createBudget},
		{Method: http.MethodGet, Path: "/api/v1/budgets/{id}", handle: getBudget},
		{Method: http.MethodPut, Path: "/api/v1/budgets/{id}", handle: updateBudget},
		{Method: http.MethodDelete, Path: "/api/v1/budgets/{id}", handle: deleteBudget},
		{Method: http.MethodGet, Path: "/api/v1/budgets/{id}/usage", handle: getBudgetUsage},
		{Method: http.MethodGet, Path: "/api/v1/budgets/{id}/alerts", handle: getBudgetAlerts},
	}
}

var errBudgetNotFound = notFound("Budget not found")

// listBudgets answers a page of the budgets that the caller may see, newest first, each with how it stands.
func listBudgets(c *call) (any, error) {
	var filters struct {
		User    *string       `json:"user_id"`
		Metric  *usage.Metric `json:"budget_type"`
		Enabled *bool         `json:"is_enabled"`
	}
	page, pageErr := c.number("page", 1, 1, math.MaxInt)
	size, sizeErr := c.number("size", 10, 1, 100)
	user, userErr := c.text("user_id")
	metric, metricErr := c.metric("budget_type")
	var enabledErr error
	filters.Enabled, enabledErr = c.flag("is_enabled")
	if err := errors.Join(pageErr, sizeErr, userErr, metricErr, enabledErr); err != nil {
		return nil, err
	}
	q := budget.Query{Metric: metric, Enabled: filters.Enabled, Limit: size, Offset: offset(page, size)}
	if !c.caller.Platform() {
		q.Scope = budget.Scope{usage.Tenant: budget.Selector(c.caller.Tenant)}
	}
	if !c.caller.May(access.Read) {
		if user != "" && user != c.caller.User {
			return nil, forbidden(access.Read)
		}
		user = c.caller.User
		if c.caller.Platform() {
			q.Without = []usage.Dimension{usage.Tenant} // users of tenants are others, whatever their names
		}
	}
	if filters.User = optionalText(user); user != "" {
		q.Owner = &user
	}
	if metric != "" {
		filters.Metric = &metric
	}
	found, err := c.ledger.List(c.Context(), q)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Budgets []budgetAnswer `json:"budgets"`
		Total   int            `json:"total"`
		Page    int            `json:"page"`
		Size    int            `json:"size"`
	}{make([]budgetAnswer, len(found.Rows)), found.Total, page, size}
	for i := range found.Rows {
		answer.Budgets[i] = newBudgetAnswer(&found.Rows[i], c.api.Now())
	}
	return answer, c.ledger.Note(c.Context(), budget.AuditEntry{
		Action: "list_budgets", Kind: "budget", Tenant: c.caller.Tenant,
		Details: mustMarshal(map[string]any{"page": page, "size": size, "filters": filters}),
	})
}

// offset returns how many rows come before a page, the largest number if it is beyond that.
func offset(page, size int) int {
	if page-1 > math.MaxInt/size {
		return math.MaxInt
	}
	return (page - 1) * size
}

// createBudget makes a budget: the caller's own, or another's, or one without owner.
func createBudget(c *call) (any, error) {
	var q budgetRequest
	b, err := q.readCreate(c)
	if err != nil {
		return nil, err
	}
	if !c.caller.May(access.Create) {
		return nil, forbidden(access.Create)
	}
	own := b.Owner == c.caller.User && (q.key == "" || c.caller.HasKey(q.key))
	if !own && !c.caller.May(access.Admin) {
		return nil, forbidden(access.Admin)
	}
	b.ID = c.once.id()
	again, err := c.claim()
	if again && err == nil {
		again, err = c.wasMade(b.ID)
	}
	if err != nil {
		return nil, err
	}
	if again {
		return c.changedBudget(b.ID)
	}
	made, err := c.saying(mustMarshal(settingsOf(&b))).Create(c.Context(), b)
	if c.once != (once{}) && errors.Is(err, budget.ErrConflict) {
		if made, err = c.ledger.Budget(c.Context(), b.ID); err == nil {
			err = c.madeJustNow(made.CreatedAt)
		}
	}
	if err != nil {
		return nil, err
	}
	return c.changedBudget(made.ID)
}

// wasMade reports whether a budget with this id was made, also if it was deleted since.
func (c *call) wasMade(id string) (bool, error) {
	entries, err := c.ledger.Audit(c.Context(), budget.AuditQuery{Target: id, Action: "create_budget", Limit: 1})
	return len(entries) > 0, err
}

// getBudget answers a budget and how it stands.
func getBudget(c *call) (any, error) {
	row, err := c.seenBudget()
	if err != nil {
		return nil, err
	}
	c.tag(row.Budget.Version)
	return newBudgetAnswer(row, c.api.Now()), c.noteRead("get_budget", row)
}

// updateBudget changes the members that the body has, and no others.
func updateBudget(c *call) (any, error) {
	id, idErr := c.budgetID()
	var q budgetRequest
	bodyErr := q.readUpdate(c)
	expected, matchErr := c.ifMatch()
	if err := errors.Join(idErr, bodyErr, matchErr); err != nil {
		return nil, err
	}
	var before budget.Budget
	var details json.RawMessage
	ledger := c.ledger.Annotated(func(e *budget.AuditEntry) { e.Details = details })
	updated, err := ledger.Update(c.Context(), id, func(b *budget.Budget) error {
		before = *b
		if err := c.mayChange(b, access.Update); err != nil {
			return err
		}
		if q.rescopes(b) && !c.caller.May(access.Admin) {
			return forbidden(access.Admin) // as if it were made
		}
		if err := q.applyTo(b); err != nil {
			return err
		}
		details = mustMarshal(map[string]any{
			"updated_fields": append([]string{}, q.sent...),
			"before_values":  settingsOf(&before).members(q.sent),
			"after_values":   settingsOf(b).members(q.sent),
		})
		if q.version > 0 && q.version != before.Version {
			return &Problem{
				Status: http.StatusConflict,
				Detail: fmt.Sprintf("Version %d is not the current one, which is %d.", q.version, before.Version),
			}
		}
		return expected.check(before.Version)
	})
	if err != nil {
		return nil, budgetError(err)
	}
	if updated.Version == before.Version {
		// The ledger audits changes, and this is none.
		err := c.ledger.Note(c.Context(), budget.AuditEntry{
			Action: "update_budget", Kind: "budget", Target: id, Tenant: access.TenantOf(&updated), Details: details,
		})
		if err != nil {
			return nil, err
		}
	}
	return c.changedBudget(id)
}

// deleteBudget deletes a budget with its counters; events stay.
func deleteBudget(c *call) (any, error) {
	id, idErr := c.budgetID()
	expected, matchErr := c.ifMatch()
	if err := errors.Join(idErr, matchErr); err != nil {
		return nil, err
	}
	var details json.RawMessage
	ledger := c.ledger.Annotated(func(e *budget.AuditEntry) { e.Details = details })
	err := ledger.DeleteIf(c.Context(), id, func(b budget.Budget) error {
		details = mustMarshal(settingsOf(&b))
		if err := c.mayChange(&b, access.Delete); err != nil {
			return err
		}
		return expected.check(b.Version)
	})
	if err != nil {
		return nil, budgetError(err)
	}
	return map[string]string{"message": "Budget deleted successfully"}, nil
}

// getBudgetUsage answers what a budget has used, the days of its history, and where it will stand.
func getBudgetUsage(c *call) (any, error) {
	row, err := c.seenBudget()
	if err != nil {
		return nil, err
	}
	b, now := &row.Budget, c.api.Now()
	answer := newUsageAnswer(row, now)
	zone := b.Schedule.Location()
	points, err := c.ledger.History(c.Context(), b.ID, budget.HistoryQuery{Value: row.Value, Span: historySpan(now, zone)})
	switch {
	case err == nil:
		answer.History = newDayAnswers(points, zone)
	case !errors.Is(err, budget.ErrPruned):
		return nil, budgetError(err)
	}
	if row.Value != nil || answer.Counters == nil {
		p, err := c.ledger.Projection(c.Context(), b.ID, row.Value)
		if err != nil {
			return nil, budgetError(err)
		}
		answer.Projection = &p.Projection
	}
	return answer, c.noteRead("get_budget_usage", row)
}

// getBudgetAlerts answers the level that a budget has reached.
func getBudgetAlerts(c *call) (any, error) {
	row, err := c.seenBudget()
	if err != nil {
		return nil, err
	}
	return newAlertAnswers(row), nil
}

func (c *call) budgetID() (string, error) {
	id := c.PathValue("id")
	return id, invalid.Name("id", id)
}

// seenBudget returns the budget that the path names, if the caller may see it.
func (c *call) seenBudget() (*budget.Row, error) {
	id, err := c.budgetID()
	if err != nil {
		return nil, err
	}
	row, err := c.budgetRow(id)
	if err != nil {
		return nil, err
	}
	if !c.caller.Sees(&row.Budget) {
		return nil, errBudgetNotFound
	}
	return row, nil
}

func (c *call) budgetRow(id string) (*budget.Row, error) {
	found, err := c.ledger.List(c.Context(), budget.Query{IDs: []string{id}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found.Rows) == 0 {
		return nil, errBudgetNotFound
	}
	return &found.Rows[0], nil
}

// changedBudget answers a budget whose change is committed. That must be told, so that a store which is away is waited for.
func (c *call) changedBudget(id string) (any, error) {
	row, err := c.budgetRow(id)
	for errors.Is(err, budget.ErrUnavailable) {
		select {
		case <-c.Context().Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
		row, err = c.budgetRow(id)
	}
	if err != nil {
		return nil, err
	}
	c.tag(row.Budget.Version)
	return newBudgetAnswer(row, c.api.Now()), nil
}

// mayChange returns what is in the way of changing b with this permission.
func (c *call) mayChange(b *budget.Budget, permission string) error {
	switch {
	case c.caller.Changes(b, permission):
		return nil
	case c.caller.Sees(b):
		return forbidden(permission)
	default:
		return errBudgetNotFound
	}
}

// noteRead writes to the audit that a budget was read.
func (c *call) noteRead(action string, row *budget.Row) error {
	return c.ledger.Note(c.Context(), budget.AuditEntry{
		Action: action, Kind: "budget", Target: row.Budget.ID, Tenant: access.TenantOf(&row.Budget),
	})
}

// budgetError says of a budget that it was not found.
func budgetError(err error) error {
	if errors.Is(err, budget.ErrNotFound) {
		return errBudgetNotFound
	}
	return err
}
