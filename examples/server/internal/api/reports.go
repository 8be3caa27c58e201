package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// What these routes answer is exact. How organizations stand takes the same permission as in the older API; who used what
// takes that to see others' budgets.
func (a *API) reportRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/reports/overview", handle: getOverview},
		{Method: http.MethodGet, Path: "/api/v1/reports/months", handle: getMonths},
		{Method: http.MethodGet, Path: "/api/v1/reports/current", handle: getCurrent},
		{Method: http.MethodGet, Path: "/api/v1/reports/groups", handle: getGroups},
		{Method: http.MethodGet, Path: "/api/v1/reports/top", handle: getTop},
	}
}

// getOverview answers how every tenant stands that is in the directory or used something, by id.
func getOverview(c *call) (any, error) {
	if err := c.needs(access.Admin); err != nil {
		return nil, err
	}
	accounts, err := c.accounts()
	return struct {
		Accounts []budget.Account `json:"accounts"`
	}{accounts}, err
}

// getMonths answers the months in which a tenant used something, the newest first, in a zone.
func getMonths(c *call) (any, error) {
	tenant, zone, err := c.tenantIn()
	if err != nil {
		return nil, err
	}
	months, err := c.ledger.Months(c.Context(), tenant, zone)
	return struct {
		Months []usage.Point `json:"months"`
	}{months}, missing(err, errNoTenant)
}

// getCurrent answers how a tenant stands, and what it used in the month that runs in a zone.
func getCurrent(c *call) (any, error) {
	tenant, zone, err := c.tenantIn()
	if err != nil {
		return nil, err
	}
	current, err := c.ledger.CurrentMonth(c.Context(), tenant, zone)
	return current, missing(err, errNoTenant)
}

// tenantIn returns the tenant that the query names, by default the caller's own, and the zone, if the caller may see that.
func (c *call) tenantIn() (string, *time.Location, error) {
	tenant, err := c.text("tenant")
	if tenant == "" && err == nil {
		tenant = c.caller.Tenant
		err = invalid.Name("tenant", tenant)
	}
	zone, zoneErr := c.zone()
	if err := errors.Join(err, zoneErr); err != nil {
		return "", nil, err
	}
	if err := c.knows(tenant); err != nil {
		return "", nil, err
	}
	return tenant, zone, c.needs(access.Admin)
}

// maxLines is how many lines an answer has that is not written while it is read.
const maxLines = 10_000

// getGroups answers lines of usage as usageQuery says, by default one line with the sum.
func getGroups(c *call) (any, error) {
	q, err := c.usageQuery()
	if err != nil {
		return nil, err
	}
	if err := c.readsUsage(q.Where); err != nil {
		return nil, err
	}
	lines := []usage.Line{}
	for line, err := range c.ledger.Groups(c.Context(), q) {
		if err != nil {
			return nil, err
		}
		if len(lines) == maxLines {
			return nil, invalid.Field("query", "selects more than %d lines: narrow it, or read /api/v1/export", maxLines)
		}
		lines = append(lines, line)
	}
	return struct {
		Lines []usage.Line `json:"lines"`
	}{lines}, nil
}

// usageQuery returns whose usage is asked for: by (some of tenant, user, api_key and resource, with commas between them: a
// line for each combination), tenant, user, api_key and resource (only of these), from and to (RFC 3339, half-open), bucket
// (hour, day, week or month: a line for each) and zone (in which the buckets are, by default the reporting zone).
func (c *call) usageQuery() (budget.GroupQuery, error) {
	var q budget.GroupQuery
	var errs [5]error
	q.By, errs[0] = c.dimensions()
	q.Where, errs[1] = c.where()
	q.Span, errs[2] = c.span()
	if bucket, ok := c.param("bucket"); ok {
		q.Bucket, errs[3] = usage.ParseBucket(bucket)
	}
	q.Zone, errs[4] = c.zone()
	return q, errors.Join(errs[:]...)
}

// dimensions returns what the parameter by names.
func (c *call) dimensions() ([]usage.Dimension, error) {
	text, ok := c.param("by")
	if !ok {
		return nil, nil
	}
	var found []usage.Dimension
	seen := make(map[usage.Dimension]bool)
	for name := range strings.SplitSeq(text, ",") {
		d := usage.Dimension(name)
		if d.IsLabel() || seen[d] {
			return nil, invalid.Field("by", "must be of tenant, user, api_key and resource, each once, with commas between them")
		}
		seen[d] = true
		found = append(found, d)
	}
	return found, nil
}

// where returns the values to which usage is narrowed. Of a caller with a tenant it is that tenant's in any case.
func (c *call) where() (map[usage.Dimension]string, error) {
	found := make(map[usage.Dimension]string)
	var errs []error
	for _, d := range []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource} {
		value, err := c.text(string(d))
		if value != "" {
			found[d] = value
		}
		errs = append(errs, err)
	}
	if !c.caller.Platform() && found[usage.Tenant] == "" {
		found[usage.Tenant] = c.caller.Tenant
	}
	return found, errors.Join(errs...)
}

// span returns the time from from to to, open at the side that is not given, and the zero one if neither is.
func (c *call) span() (period.Bounds, error) {
	span := period.Bounds{Start: usage.MinTime, End: usage.EndTime}
	var fromErr, toErr error
	_, from := c.param("from")
	if from {
		span.Start, fromErr = c.time("from")
	}
	_, to := c.param("to")
	if to {
		span.End, toErr = c.time("to")
	}
	if err := errors.Join(fromErr, toErr); err != nil || !from && !to {
		return period.Bounds{}, err
	}
	switch {
	case span.Start.Before(usage.MinTime):
		return span, invalid.Field("from", "must be from 1980 to 2199")
	case span.End.After(usage.EndTime):
		return span, invalid.Field("to", "must be from 1980 to 2199")
	case !span.Start.Before(span.End):
		return span, invalid.Field("to", "must be after from")
	}
	return span, nil
}

// readsUsage refuses who may not see the usage that they ask for.
func (c *call) readsUsage(where map[usage.Dimension]string) error {
	if err := c.knows(where[usage.Tenant]); err != nil {
		return err
	}
	return c.needs(access.Read)
}

// How many lines a list of who used most has.
const (
	standardTop = 10
	maxTop      = 1000
)

// getTop answers who used most: of by (tenant, user, api_key or resource), by metric (dollars), the first n (10, at most
// 1000), narrowed as usageQuery says by tenant, user, api_key, resource, from and to.
func getTop(c *call) (any, error) {
	var q budget.TopQuery
	var errs [5]error
	by, _ := c.param("by")
	if q.By = usage.Dimension(by); q.By.IsLabel() {
		errs[0] = invalid.Field("by", "must be one of tenant, user, api_key and resource")
	}
	q.Where, errs[1] = c.where()
	q.Span, errs[2] = c.span()
	q.N, errs[3] = c.number("n", standardTop, 1, maxTop)
	q.Metric, errs[4] = c.topMetric()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if err := c.readsUsage(q.Where); err != nil {
		return nil, err
	}
	groups, err := c.ledger.Top(c.Context(), q)
	return struct {
		Groups []usage.Group `json:"groups"`
	}{append([]usage.Group{}, groups...)}, err
}

// topMetric returns what the parameter metric names: dollars, if it is not there.
func (c *call) topMetric() (usage.Metric, error) {
	metric, err := c.metric("metric")
	switch metric {
	case "":
		return usage.Dollars, err
	case usage.Credits:
		return "", invalid.Field("metric", "must not be credits, which each license has its own of")
	default:
		return metric, err
	}
}
