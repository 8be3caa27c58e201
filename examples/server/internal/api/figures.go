package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func (a *API) figureRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/budgets/{id}/status", handle: budgetStatus},
		{Method: http.MethodGet, Path: "/api/v1/budgets/{id}/history", handle: budgetHistory},
		{Method: http.MethodGet, Path: "/api/v1/budgets/{id}/projection", handle: budgetProjection},
	}
}

// budgetStatus answers how a budget stands now, or in the period that holds another time.
func budgetStatus(c *call) (any, error) {
	value, at, err := c.counter()
	if err == nil {
		_, err = c.seenBudget()
	}
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		at = c.api.Now()
	}
	status, err := c.ledger.StatusAt(c.Context(), c.PathValue("id"), value, at)
	return status, renamed(err, "time", "at")
}

// budgetProjection answers where a budget will stand when its period ends, by what was used until now, or until another
// time.
func budgetProjection(c *call) (any, error) {
	value, at, err := c.counter()
	if err == nil {
		_, err = c.seenBudget()
	}
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		return c.ledger.Projection(c.Context(), c.PathValue("id"), value)
	}
	projection, err := c.ledger.ProjectionAt(c.Context(), c.PathValue("id"), value, at)
	return projection, renamed(err, "time", "at")
}

// counter returns which counter of a budget the query names, nil if none, and at which time, the zero time if at none.
func (c *call) counter() (budget.Value, time.Time, error) {
	value, valueErr := c.value()
	at, err := c.time("at")
	return value, at, errors.Join(valueErr, err)
}

// value returns the parameter that names a counter of a budget with dimensions of each: an object such as {"user":"ada"}.
func (c *call) value() (budget.Value, error) {
	text, ok := c.param("value")
	if !ok {
		return nil, nil
	}
	return readValue("value", json.RawMessage(text))
}

func readValue(name string, text json.RawMessage) (budget.Value, error) {
	var texts map[string]string
	if err := jsonread.Texts(name, text, &texts); err != nil || texts == nil {
		return nil, err
	}
	value := make(budget.Value, len(texts))
	for dimension, its := range texts {
		value[usage.Dimension(dimension)] = its
	}
	return value, nil
}

// budgetHistory answers the usage that a budget covers in each bucket (hour, day, week or month; by default day) of a time
// zone (by default the budget's), from from to to (by default today and the 30 days before it), with fill also where there is
// none. Of a budget with dimensions of each it is that of one value, or of all together.
func budgetHistory(c *call) (any, error) {
	q, err := c.historyQuery()
	if err != nil {
		return nil, err
	}
	row, err := c.seenBudget()
	if err != nil {
		return nil, err
	}
	b := &row.Budget
	if q.Zone == nil {
		q.Zone = b.Schedule.Location()
	}
	points, err := c.ledger.History(c.Context(), b.ID, q)
	err = renamed(err, "span", "from")
	return struct {
		Budget string                `json:"budget_id"`
		Metric usage.Metric          `json:"metric"`
		Bucket usage.Bucket          `json:"bucket"`
		Zone   string                `json:"zone"`
		Points []budget.HistoryPoint `json:"points"`
	}{b.ID, b.Metric, q.By, q.Zone.String(), append([]budget.HistoryPoint{}, points...)}, err
}

func (c *call) historyQuery() (q budget.HistoryQuery, err error) {
	var valueErr, spanErr, byErr, zoneErr, fillErr error
	q.Value, valueErr = c.value()
	q.Span, spanErr = c.bothEnds()
	q.By, byErr = c.bucket()
	if _, named := c.param("zone"); named {
		q.Zone, zoneErr = c.zone()
	}
	var fill *bool
	fill, fillErr = c.flag("fill")
	q.Fill = fill != nil && *fill
	if err := errors.Join(valueErr, spanErr, byErr, zoneErr, fillErr); err != nil {
		return q, err
	}
	if q.Span.Duration()/bucketLengths[q.By] > maxPoints {
		return q, invalid.Field("to", "is more than %d steps after from", maxPoints)
	}
	return q, nil
}

// maxPoints is about how many steps a history has at the most.
const maxPoints = 10_000

// bucketLengths say about how long a step is.
var bucketLengths = map[usage.Bucket]time.Duration{
	usage.Hour: time.Hour, usage.Day: 24 * time.Hour, usage.Week: 7 * 24 * time.Hour, usage.Month: 30 * 24 * time.Hour,
}

// bucket returns the width of the steps that the query names, a day if it names none.
func (c *call) bucket() (usage.Bucket, error) {
	name, ok := c.param("bucket")
	if !ok {
		return usage.Day, nil
	}
	bucket, err := usage.ParseBucket(name)
	if err != nil {
		return "", invalid.Field("bucket", "must be one of hour, day, week and month")
	}
	return bucket, nil
}

// bothEnds returns the time from from to to, which go together, and the zero one if neither is there.
func (c *call) bothEnds() (period.Bounds, error) {
	_, from := c.param("from")
	_, to := c.param("to")
	switch {
	case from && !to:
		return period.Bounds{}, invalid.Field("to", "must be there beside from")
	case to && !from:
		return period.Bounds{}, invalid.Field("from", "must be there beside to")
	}
	return c.span()
}
