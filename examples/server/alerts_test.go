package main

import (
	"context"
	"strings"
	"testing"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// alertsFor returns the names of budgets in the alerts that an answer has, in their order.
func (a answer) alertsFor() string {
	var found []string
	for _, part := range strings.Split(a.body, `"budget":"`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		found = append(found, id)
	}
	return strings.Join(found, " ")
}

func TestAlertsAreOfBudgetsThatTheCallerSees(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("all", "1", nil)
		w.limit("each", "1", scoped(budget.Scope{usage.Tenant: budget.Each}))
		w.limit("ada", "1", func(b *budget.Budget) { b.Scope, b.Owner = budget.Scope{usage.User: "ada"}, "ada" })
		w.limit("acme", "1", scoped(budget.Scope{usage.Tenant: "acme"}))
		w.limit("acme-ada", "1", func(b *budget.Budget) {
			b.Scope, b.Owner = budget.Scope{usage.Tenant: "acme", usage.User: "ada"}, "ada"
		})
		w.limit("globex", "1", scoped(budget.Scope{usage.Tenant: "globex"}))
		w.spent("1", "2026-03-14T00:00:00Z", "acme", "ada", "0.8")
		w.set("2026-03-15T09:31:00Z")
		w.spent("2", "2026-03-14T00:00:00Z", "globex", "eve", "0.95")
		if err := w.ledger.Delete(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		const newer = "all each globex"
		for token, want := range map[string]string{
			"reader":       "all each globex acme acme-ada ada all each",
			"acme-admin":   "acme acme-ada",
			"acme-ada":     "acme-ada",
			"ada":          "ada",
			"globex-admin": "globex",
			"bob":          "",
		} {
			got := sorted(w.want(200, "", token, "GET", "/api/v1/alerts", "").alertsFor())
			if got != sorted(want) {
				t.Errorf("%s sees those of %s, want %s", token, got, want)
			}
		}
		for query, want := range map[string]string{
			"level=critical":                            newer,
			"since=2026-03-15T09:31:00Z":                newer,
			"kind=threshold&budget=acme":                "acme",
			"budget=nothing":                            "",
			"kind=forecast":                             "",
			"level=exceeded&since=2026-03-15T09:31:00Z": "all",
		} {
			got := sorted(w.want(200, "", "reader", "GET", "/api/v1/alerts?"+query, "").alertsFor())
			if got != sorted(want) {
				t.Errorf("%s: those of %s, want %s", query, got, want)
			}
		}
	})
}

func TestAlertsArePaged(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		for _, id := range []string{"a", "b", "c"} {
			w.limit(id, "1", nil)
			w.spent(id, "2026-03-14T00:00:00Z", "", "", "1")
		}
		all := w.want(200, "", "reader", "GET", "/api/v1/alerts?limit=1000", "").alertsFor()
		var found []string
		for path := "/api/v1/alerts?limit=2"; ; {
			a := w.want(200, "", "reader", "GET", path, "")
			found = append(found, a.alertsFor())
			next := a.member(t, "next")
			if next == "" {
				break
			}
			path = "/api/v1/alerts?limit=2&after=" + next
		}
		if got := strings.Join(found, " "); got != all || len(found) < 2 {
			t.Errorf("pages of %q, want %s", found, all)
		}
		for query, errors := range map[string]string{
			"limit=1001": `[{"field": "limit", "message": "must be a whole number from 1 to 1000"}]`,
			"kind=x":     `[{"field": "kind", "message": "must be one of [threshold blocked forecast resolved]"}]`,
			"level=x":    `[{"field": "level", "message": "*"}]`,
			"since=1":    `[{"field": "since", "message": "must be an RFC 3339 time such as 2026-03-01T09:30:00Z"}]`,
			"after=e30":  `[{"field": "after", "message": "*"}]`,
		} {
			w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*", "errors": `+errors+`}`,
				"reader", "GET", "/api/v1/alerts?"+query, "")
		}
	})
}

func TestAnAlertIsResent(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "1", scoped(budget.Scope{usage.Tenant: "acme"}))
		w.spent("1", "2026-03-14T00:00:00Z", "acme", "ada", "0.8")
		list := w.want(200, `{"alerts": [{"id": "*", "at": "2026-03-15T09:30:00Z", "kind": "threshold", "level": "warning", "budget": "b",
			"budget_name": "Budget b", "owner": "", "tenant": "acme", "labels": {}, "scope": {"tenant": "acme"},
			"period_start": "2026-03-01T00:00:00Z", "period_end": "2026-04-01T00:00:00Z", "threshold": 80, "metric": "dollars", "used": 0.8, "limit": 1,
			"late": false, "superseded": false, "message": "Budget \"Budget b\" has used 80.0% of its limit (warning)", "deliveries": []}], "next": null}`,
			"acme-admin", "GET", "/api/v1/alerts/", "")
		_, rest, _ := strings.Cut(list.body, `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		path := "/api/v1/alerts/" + id + "/resend"
		w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "No delivery of this alert"}`, "acme-admin", "POST", path, "")
		w.deliverDead()
		w.want(200, `{"resent": 1}`, "acme-admin", "POST", path, `{"sink": "log"}`)
		a := w.want(200, "", "acme-admin", "GET", "/api/v1/alerts", "")
		if !strings.Contains(a.body, `"deliveries":[{"sink":"log","state":"waiting","tries":0,`) {
			t.Errorf("the alerts are %s", a.body)
		}
		w.want(200, `{"resent": 1}`, "admin", "POST", path, "")
		w.want(404, "", "acme-admin", "POST", path, `{"sink": "pager"}`)
		w.want(403, "", "reader", "POST", path, "")
		for _, token := range []string{"globex-admin", "acme-ada", "bob"} {
			w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Alert not found"}`, token, "POST", path, "")
		}
		w.want(404, "", "admin", "POST", "/api/v1/alerts/none/resend", "")
		w.want(422, "", "admin", "POST", "/api/v1/alerts/%01/resend", `{"sinks": "log"}`)
	})
}

// deliverDead makes a delivery of each alert to a log that gives up at once.
func (w *world) deliverDead() {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	outbox := w.ledger.Outbox()
	if _, err := outbox.Route(ctx, 10, func(alert.Alert) []string { return []string{"log"} }); err != nil {
		w.t.Fatal(err)
	}
	claimed, err := outbox.Claim(ctx, "log", 10, 1e9)
	if err != nil || len(claimed) == 0 {
		w.t.Fatalf("%d claimed, %v", len(claimed), err)
	}
	for _, d := range claimed {
		if err := outbox.Finish(ctx, d, alert.Outcome{State: alert.Dead, Error: "no room"}); err != nil {
			w.t.Fatal(err)
		}
	}
}
