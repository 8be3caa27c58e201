package main

import (
	"fmt"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// spent records what somebody of a tenant spent at a time.
func (w *world) spent(id, at, tenant, user, dollars string) {
	w.t.Helper()
	w.want(200, `{"results": [{"id": "`+id+`", "status": "recorded", "errors": []}]}`, "recorder", "POST", "/api/v1/events",
		fmt.Sprintf(`{"id": %q, "time": %q, "tenant": %q, "user": %q, "cost": %s}`, id, at, tenant, user, dollars))
}

func TestHistoryOfABudget(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.limit("b", "10", func(b *budget.Budget) { b.Scope = budget.Scope{usage.Tenant: "acme", usage.User: budget.Each} })
		w.spent("1", "2026-03-14T23:30:00Z", "acme", "ada", "1")
		w.spent("2", "2026-03-15T00:30:00Z", "acme", "ada", "2.5")
		w.spent("3", "2026-03-15T00:45:00Z", "acme", "bob", "4")
		w.spent("4", "2026-02-12T23:59:59Z", "acme", "bob", "8") // more than 30 days before
		point := func(start, end, used string, requests int) string {
			return fmt.Sprintf(`{"start": %q, "end": %q, "used": %s, "input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0,
				"cache_creation_tokens": 0, "total_tokens": 0, "requests": %d, "runs": 0, "cost": %s}`, start, end, used, requests, used)
		}
		for query, want := range map[string]string{
			"": `"bucket": "day", "zone": "UTC", "points": [` + point("2026-03-14T00:00:00Z", "2026-03-15T00:00:00Z", "1", 1) + `, ` +
				point("2026-03-15T00:00:00Z", "2026-03-16T00:00:00Z", "6.5", 2) + `]`,
			"?value=%7B%22user%22:%22ada%22%7D&zone=Europe/Berlin": `"bucket": "day", "zone": "Europe/Berlin", "points": [` +
				point("2026-03-14T23:00:00Z", "2026-03-15T23:00:00Z", "3.5", 2) + `]`,
			"?bucket=hour&fill=1&from=2026-03-14T23:00:00Z&to=2026-03-15T02:00:00Z": `"bucket": "hour", "zone": "UTC", "points": [` +
				point("2026-03-14T23:00:00Z", "2026-03-15T00:00:00Z", "1", 1) + `, ` +
				point("2026-03-15T00:00:00Z", "2026-03-15T01:00:00Z", "6.5", 2) + `, ` +
				point("2026-03-15T01:00:00Z", "2026-03-15T02:00:00Z", "0", 0) + `]`,
			"?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z": `"bucket": "day", "zone": "UTC", "points": []`,
		} {
			w.want(200, `{"budget_id": "b", "metric": "dollars", `+want+`}`, "acme-admin", "GET", "/api/v1/budgets/b/history"+query, "")
		}
	})
}

func TestStatusAndProjectionOfABudget(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.limit("b", "10", func(b *budget.Budget) {
			b.Scope, b.Owner = budget.Scope{usage.Tenant: "acme", usage.User: budget.Each}, "ada"
		})
		w.spent("1", "2026-02-14T00:00:00Z", "acme", "ada", "3")
		w.spent("2", "2026-03-14T00:00:00Z", "acme", "ada", "9")
		status := func(used, remaining, percent, level, start, end string) string {
			return `"id": "b", "name": "Budget b", "value": {"user": "ada"}, "metric": "dollars", "limit": 10, "used": ` + used + `, "recorded": ` + used + `,
				"adjusted": 0, "reserved": 0, "leased": 0, "remaining": ` + remaining + `, "available": ` + remaining + `, "percent": ` + percent + `,
				"level": "` + level + `", "over_limit": false, "enabled": true, "enforcement": "hard", "schedule": "*", "period_start": "` + start + `",
				"period_end": "` + end + `", "denied": 0, "would_deny": 0, "expired": 0, "expired_held": 0`
		}
		march := status("9", "1", "90", "critical", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
		const path, ada = "/api/v1/budgets/b/", "?value=%7B%22user%22:%22ada%22%7D"
		w.want(200, `{`+march+`}`, "acme-ada", "GET", path+"status"+ada, "")
		w.want(200, `{`+status("3", "7", "30", "ok", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")+`}`,
			"reader", "GET", path+"status"+ada+"&at=2026-02-28T00:00:00Z", "")
		w.want(200, `{`+march+`, "at": "2026-03-15T09:30:00Z", "projection": {"method": "*", "fallback": null, "reason": null,
			"value": "*", "low": "*", "high": "*", "coverage_percent": 80, "passed": false, "passes_at": "*"}}`,
			"acme-ada", "GET", path+"projection"+ada, "")
		w.want(200, `{`+status("0", "10", "0", "ok", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")+`, "at": "2026-03-02T00:00:00Z",
			"projection": {"method": "*", "fallback": null, "reason": "too_early", "value": null, "low": null, "high": null,
				"coverage_percent": 80, "passed": false, "passes_at": null}}`,
			"acme-ada", "GET", path+"projection"+ada+"&at=2026-03-02T00:00:00Z", "")
	})
}

func TestFiguresThatCantBe(t *testing.T) {
	w := newWorld(t)
	w.limit("b", "10", scoped(budget.Scope{usage.Tenant: "acme"}))
	for query, errors := range map[string]string{
		"status?value=x":                                                        `[{"field": "value", "message": "must be an object of strings"}]`,
		"status?value=%ff":                                                      `[{"field": "value", "message": "is not valid Unicode"}]`,
		"status?value=%7B%22user%22:1%7D":                                       `[{"field": "value.user", "message": "must be a string"}]`,
		"status?value=%7B%22user%22:%22%22%7D":                                  `[{"field": "value", "message": "*"}]`,
		"status?at=yesterday":                                                   `[{"field": "at", "message": "must be an RFC 3339 time such as 2026-03-01T09:30:00Z"}]`,
		"status?at=1979-01-01T00:00:00Z":                                        `[{"field": "at", "message": "*"}]`,
		"projection?at=2026-03-16T00:00:00Z":                                    `[{"field": "at", "message": "must not be in the future, nor be left out"}]`,
		"history?bucket=year":                                                   `[{"field": "bucket", "message": "must be one of hour, day, week and month"}]`,
		"history?zone=Local":                                                    `[{"field": "zone", "message": "must be an IANA time zone such as Europe/Berlin"}]`,
		"history?fill=perhaps":                                                  `[{"field": "fill", "message": "must be true or false"}]`,
		"history?from=2026-03-01T00:00:00Z":                                     `[{"field": "to", "message": "must be there beside from"}]`,
		"history?to=2026-03-01T00:00:00Z":                                       `[{"field": "from", "message": "must be there beside to"}]`,
		"history?from=2026-03-01T00:00:00Z&to=2026-03-01T00:00:00Z":             `[{"field": "to", "message": "must be after from"}]`,
		"history?from=1979-03-01T00:00:00Z&to=1979-03-02T00:00:00Z":             `[{"field": "from", "message": "*"}]`,
		"history?from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&bucket=hour": `[{"field": "to", "message": "is more than 10000 steps after from"}]`,
	} {
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*", "errors": `+errors+`}`,
			"acme-admin", "GET", "/api/v1/budgets/b/"+query, "")
	}
	for _, path := range []string{"/status", "/history", "/projection", "/adjustments"} {
		for token, id := range map[string]string{"globex-admin": "b", "bob": "b", "acme-ada": "b", "admin": "other"} {
			w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Budget not found"}`,
				token, "GET", "/api/v1/budgets/"+id+path, "")
		}
	}
}
