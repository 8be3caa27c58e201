package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
)

func (a *API) alertRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/alerts", handle: listAlerts},
		{Method: http.MethodPost, Path: "/api/v1/alerts/{id}/resend", handle: resendAlert},
	}
}

// deliveryAnswer is what became of an alert on its way to one sink.
type deliveryAnswer struct {
	Sink  string      `json:"sink"`
	State alert.State `json:"state"`
	Tries int         `json:"tries"`
	Due   time.Time   `json:"due_at"`
	Error *string     `json:"error"`
}

// listAlerts answers alerts of budgets that the caller may see, also of those that are deleted, newest first, a page at a
// time, each with what became of its deliveries; only those of a budget, of a kind, of a level or a higher one, and since a
// time.
func listAlerts(c *call) (any, error) {
	q, err := c.alertQuery()
	if err != nil {
		return nil, err
	}
	c.narrow(&q)
	limit := q.Limit
	q.Limit++ // one more says whether there is a next page
	found, err := c.ledger.Alerts(c.Context(), q)
	if err != nil {
		return nil, err
	}
	var next *string
	if len(found) > limit {
		found = found[:limit]
		next = cursor{Time: found[limit-1].At, ID: found[limit-1].ID}.next()
	}
	alerts, err := c.withDeliveries(found)
	return struct {
		Alerts []members `json:"alerts"`
		Next   *string   `json:"next"`
	}{alerts, next}, err
}

func (c *call) alertQuery() (q budget.AlertQuery, err error) {
	id, idErr := c.text("budget")
	if id != "" {
		q.Budgets = []string{id}
	}
	var kindErr, levelErr, sinceErr, limitErr error
	q.Kinds, kindErr = c.alertKinds()
	if text, ok := c.param("level"); ok {
		levelErr = q.Level.UnmarshalText([]byte(text))
	}
	q.Since, sinceErr = c.time("since")
	q.Limit, limitErr = c.number("limit", defaultPage, 1, maxPage)
	after, afterErr := c.after()
	if after != nil {
		q.After = &budget.TimeCursor{Time: after.Time, ID: after.ID}
	}
	return q, errors.Join(idErr, kindErr, levelErr, sinceErr, limitErr, afterErr)
}

func (c *call) alertKinds() ([]alert.Kind, error) {
	name, ok := c.param("kind")
	if !ok {
		return nil, nil
	}
	kinds := []alert.Kind{alert.Threshold, alert.Blocked, alert.Forecast, alert.Resolved}
	if !slices.Contains(kinds, alert.Kind(name)) {
		return nil, invalid.Field("kind", "must be one of %v", kinds)
	}
	return []alert.Kind{alert.Kind(name)}, nil
}

// narrow leaves of a query what the caller may see. Whose an alert is stands in it, so that it outlives its budget.
func (c *call) narrow(q *budget.AlertQuery) {
	if !c.caller.Platform() || !c.caller.May(access.Read) {
		q.Tenant = &c.caller.Tenant
	}
	if !c.caller.May(access.Read) {
		q.Owner = &c.caller.User
	}
}

// withDeliveries returns alerts as they are written, each with its deliveries.
func (c *call) withDeliveries(found []alert.Alert) ([]members, error) {
	alerts, place, ids := make([]members, len(found)), make(map[string]int), make([]string, len(found))
	sent := make([][]deliveryAnswer, len(found))
	for i, a := range found {
		alerts[i], place[a.ID], ids[i], sent[i] = told(a, true), i, a.ID, []deliveryAnswer{}
	}
	if len(found) == 0 {
		return alerts, nil
	}
	deliveries, err := c.ledger.Deliveries(c.Context(), budget.DeliveryQuery{Alerts: ids, Limit: maxDeliveries})
	for _, d := range deliveries {
		i := place[d.Alert.ID]
		sent[i] = append(sent[i], deliveryAnswer{d.Sink, d.State, d.Tries, d.Due, optionalText(d.Error)})
	}
	for i := range alerts {
		alerts[i]["deliveries"] = sent[i]
	}
	return alerts, err
}

// maxDeliveries are more than the alerts of a page have.
const maxDeliveries = 1_000_000

// resendAlert makes the deliveries of an alert begin anew: the one to a sink, or all.
func resendAlert(c *call) (any, error) {
	var sink string
	id := c.PathValue("id")
	err := invalid.Name("id", id)
	if len(c.body) > 0 {
		err = errors.Join(err, c.object(func(name string, value json.RawMessage) error {
			if name == "sink" {
				return jsonread.Text(name, value, &sink)
			}
			return jsonread.UnknownMember(name)
		}))
	}
	if err = errors.Join(err, invalid.OptionalName("sink", sink)); err != nil {
		return nil, err
	}
	if err := c.mayResend(id); err != nil {
		return nil, err
	}
	if _, err := c.claim(); err != nil {
		return nil, err
	}
	n, err := c.ledger.Resend(c.Context(), id, sink)
	if errors.Is(err, budget.ErrNotFound) {
		return nil, notFound("No delivery of this alert")
	}
	return map[string]int{"resent": n}, err
}

// mayResend returns what is in the way of resending an alert.
func (c *call) mayResend(id string) error {
	q := budget.AlertQuery{IDs: []string{id}, Limit: 1}
	if c.caller.May(access.Admin) && !c.caller.Platform() {
		q.Tenant = &c.caller.Tenant
	}
	if !c.caller.May(access.Admin) {
		c.narrow(&q)
	}
	found, err := c.ledger.Alerts(c.Context(), q)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return notFound("Alert not found")
	}
	return c.needs(access.Admin)
}
