package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
)

func (a *API) auditRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/audit", handle: listAudit},
	}
}

// saying returns the ledger that writes these details to the audit.
func (c *call) saying(details json.RawMessage) *budget.Ledger {
	return c.ledger.Annotated(func(e *budget.AuditEntry) { e.Details = details })
}

// auditAnswer is who did what.
type auditAnswer struct {
	ID      string          `json:"id"`
	Time    time.Time       `json:"time"`
	User    *string         `json:"user_id"`
	Tenant  *string         `json:"tenant"` // that it concerns
	Action  string          `json:"action"`
	Kind    *string         `json:"resource_type"`
	Target  *string         `json:"resource_id"`
	Details json.RawMessage `json:"details"`
}

// listAudit answers entries of the audit, newest first.
func listAudit(c *call) (any, error) {
	action, actionErr := c.text("action")
	user, userErr := c.text("user_id")
	target, targetErr := c.text("resource_id")
	span, spanErr := c.span()
	limit, limitErr := c.number("limit", defaultPage, 1, maxPage)
	after, afterErr := c.after()
	if err := errors.Join(actionErr, userErr, targetErr, spanErr, limitErr, afterErr); err != nil {
		return nil, err
	}
	if !c.caller.May(access.Admin) {
		return nil, forbidden(access.Admin)
	}
	q := budget.AuditQuery{
		Action: action, Actor: user, Target: target,
		Span: span, Limit: limit + 1, // one more tells whether there is a next page
	}
	if !c.caller.Platform() {
		q.Tenant = &c.caller.Tenant
	}
	if after != nil {
		q.After = &budget.TimeCursor{Time: after.Time, ID: after.ID}
	}
	found, err := c.ledger.Audit(c.Context(), q)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Entries []auditAnswer `json:"entries"`
		Next    *string       `json:"next"`
	}{Entries: []auditAnswer{}}
	if len(found) > limit {
		found = found[:limit]
		answer.Next = cursor{Time: found[limit-1].Time, ID: found[limit-1].ID}.next()
	}
	for i := range found {
		answer.Entries = append(answer.Entries, newAuditAnswer(&found[i]))
	}
	return answer, nil
}

func newAuditAnswer(e *budget.AuditEntry) auditAnswer {
	a := auditAnswer{
		ID: e.ID, Time: e.Time, User: optionalText(e.Actor), Tenant: optionalText(e.Tenant),
		Action: e.Action, Kind: optionalText(e.Kind), Target: optionalText(e.Target), Details: e.Details,
	}
	if e.Details == nil && (e.Before != nil || e.After != nil) {
		// Of a change that was not made through this server.
		a.Details = mustMarshal(map[string]json.RawMessage{"before": e.Before, "after": e.After})
	}
	return a
}
