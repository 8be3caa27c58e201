package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/usage"
)

func TestBudgetParity(t *testing.T) { testParity(t, budgetParity) }

const budgets = "/api/v1/budgets/"

// make makes a budget and returns its id.
func (w *world) make(token, body string) string {
	w.t.Helper()
	return w.want(200, "", token, "POST", budgets, body).member(w.t, "id")
}

// wantMembers is want for an object of which only some members matter.
func (w *world) wantMembers(members, token, method, path, body string, header ...string) answer {
	w.t.Helper()
	a := w.want(200, "", token, method, path, body, header...)
	if diff := diffMembers(members, a.body); diff != "" {
		w.t.Fatalf("%s %s as %q with %s (-want +got):\n%s", method, path, token, body, diff)
	}
	return a
}

// diffMembers compares those members of an object that are wanted.
func diffMembers(want, got string) string {
	var w, g map[string]json.RawMessage
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		return "the wanted members: " + err.Error()
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return err.Error() + ": " + got
	}
	for name := range g {
		if _, ok := w[name]; !ok {
			delete(g, name)
		}
	}
	some, err := json.Marshal(g)
	if err != nil {
		return err.Error()
	}
	return diffJSON(want, string(some))
}

// wantFields sends a request that is refused, and checks which fields it is refused for.
func (w *world) wantFields(fields, token, method, path, body string, header ...string) {
	w.t.Helper()
	a := w.want(422, "", token, method, path, body, header...)
	var p struct {
		Type   string
		Errors []struct{ Field, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		w.t.Fatal(err)
	}
	var found []string
	for _, e := range p.Errors {
		if e.Message == "" {
			w.t.Errorf("%s: no message for %s", body, e.Field)
		}
		found = append(found, e.Field)
	}
	if diff := cmp.Diff(fields, strings.Join(found, " ")); diff != "" {
		w.t.Errorf("%s %s with %s: the fields (-want +got):\n%s%s", method, path, body, diff, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" || p.Type != "/docs#invalid" {
		w.t.Errorf("%s: %s, type %q", body, got, p.Type)
	}
}

// use records what somebody used: so many tokens for so many dollars, in one request.
func (w *world) use(tenant, user, key string, tokens int64, dollars string, at ...time.Time) {
	w.t.Helper()
	cost, err := decimal.NewFromString(dollars)
	if err != nil {
		w.t.Fatal(err)
	}
	e := usage.Event{
		ID: usage.NewID(), Subject: usage.Subject{Tenant: tenant, User: user, APIKey: key},
		Amounts: usage.Amounts{InputTokens: tokens, Cost: &cost},
	}
	if len(at) > 0 {
		e.Time = at[0]
	}
	if _, err := w.ledger.Record(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

// simple is the body of a budget of 100 tokens a month.
const simple = `{"name": "n", "budget_type": "tokens", "limit_amount": 100, "period_type": "monthly"}`

// with returns an object with members added, or put in the place of others.
func with(object string, members ...string) string {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		panic(err)
	}
	for _, member := range members {
		var more map[string]json.RawMessage
		if err := json.Unmarshal([]byte("{"+member+"}"), &more); err != nil {
			panic(fmt.Sprintf("%s: %v", member, err))
		}
		for name, value := range more {
			m[name] = value
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// whole is a budget as it is read that has nothing but what it must have, and has used nothing.
const whole = `{
	"id": "*", "name": "n", "description": null, "budget_type": "tokens", "limit_amount": 100, "period_type": "monthly",
	"period_start": "2026-03-01T00:00:00Z", "period_end": "2026-03-31T23:59:59.999999Z",
	"current_usage": 0, "usage_percentage": 0, "is_enabled": true, "alert_threshold_percent": 80,
	"user_id": "ada", "api_key_id": null, "allowed_resources": [], "metadata": {},
	"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z",
	"time_zone": "UTC", "schedule": {"period": "monthly", "time_zone": "UTC", "start_day": 1},
	"scope": {"user": "ada"}, "except": {}, "starts_at": null, "ends_at": null, "enforcement": "hard", "min_hold": null,
	"cost_per_credit": null, "critical_percent": 90, "extra_percents": [], "labels": {}, "created_by": "ada", "version": 1,
	"value": null, "counters": null, "level": "ok", "reserved": 0, "available": 100, "denied": 0, "would_deny": 0
}`

var budgetParity = []parityRow{
	{"GET /api/v1/budgets/", func(t *testing.T, w *world) {
		w.want(200, `{"budgets": [], "total": 0, "page": 1, "size": 10}`, "ada", "GET", "/api/v1/budgets/", "")
		w.make("ada", simple)
		w.want(200, `{"budgets": [`+whole+`], "total": 1, "page": 1, "size": 10}`, "ada", "GET", "/api/v1/budgets/", "")
		w.wantAudit(t, "list_budgets", `{"user_id": "ada", "resource_type": "budget", "resource_id": null,
			"details": {"page": 1, "size": 10, "filters": {"user_id": "ada", "budget_type": null, "is_enabled": null}}}`)
	}},
	{"POST /api/v1/budgets/", func(t *testing.T, w *world) {
		id := w.want(200, whole, "ada", "POST", "/api/v1/budgets/", simple).member(t, "id")
		w.wantAudit(t, "create_budget", `{"user_id": "ada", "resource_type": "budget", "resource_id": "`+id+`", "details": `+spoken+`}`)
	}},
	{"GET /api/v1/budgets/{id}", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.want(200, with(whole, `"id": "`+id+`"`), "ada", "GET", "/api/v1/budgets/"+id, "")
		w.wantAudit(t, "get_budget", `{"user_id": "ada", "resource_type": "budget", "resource_id": "`+id+`", "details": null}`)
	}},
	{"PUT /api/v1/budgets/{id}", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.set("2026-03-15T10:00:00Z")
		w.want(200, with(whole, `"name": "renamed", "version": 2, "updated_at": "2026-03-15T10:00:00Z"`),
			"ada", "PUT", "/api/v1/budgets/"+id, `{"name": "renamed"}`)
		w.wantAudit(t, "update_budget", `{"user_id": "ada", "resource_type": "budget", "resource_id": "`+id+`", "details": {
			"updated_fields": ["name"], "before_values": {"name": "n"}, "after_values": {"name": "renamed"}}}`)
	}},
	{"DELETE /api/v1/budgets/{id}", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.want(200, `{"message": "Budget deleted successfully"}`, "ada", "DELETE", "/api/v1/budgets/"+id, "")
		w.want(404, "", "ada", "GET", "/api/v1/budgets/"+id, "")
		w.want(404, "", "ada", "DELETE", "/api/v1/budgets/"+id, "")
		w.wantAudit(t, "delete_budget", `{"user_id": "ada", "resource_type": "budget", "resource_id": "`+id+`", "details": `+spoken+`}`)
	}},
	{"GET /api/v1/budgets/{id}/usage", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.want(200, `{
			"budget_id": "`+id+`", "current_usage": 0, "limit_amount": 100, "usage_percentage": 0, "remaining_amount": 100,
			"period_start": "2026-03-01T00:00:00Z", "period_end": "2026-03-31T23:59:59.999999Z", "is_exceeded": false,
			"days_remaining": 16, "projected_usage": null, "usage_history": [],
			"projection": {"method": "auto", "fallback": null, "reason": "no_usage", "value": null, "low": null, "high": null,
				"coverage_percent": 80, "passed": false, "passes_at": null},
			"value": null, "counters": null, "level": "ok", "recorded": 0, "adjusted": 0, "reserved": 0, "leased": 0,
			"available": 100, "denied": 0, "would_deny": 0, "expired": 0, "expired_held": 0
		}`, "ada", "GET", "/api/v1/budgets/"+id+"/usage", "")
		w.wantAudit(t, "get_budget_usage", `{"user_id": "ada", "resource_type": "budget", "resource_id": "`+id+`", "details": null}`)
	}},
	{"GET /api/v1/budgets/{id}/alerts", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.want(200, `[]`, "ada", "GET", "/api/v1/budgets/"+id+"/alerts", "")
		w.use("", "ada", "", 80, "0")
		w.want(200, `[{"budget_id": "`+id+`", "budget_name": "n", "alert_type": "warning", "current_usage": 80, "limit_amount": 100,
			"usage_percentage": 80, "message": "Budget \"n\" has used 80.0% of its limit (warning)"}]`,
			"ada", "GET", "/api/v1/budgets/"+id+"/alerts", "")
		w.wantAudit(t, "create_budget", `{"resource_id": "`+id+`"}`) // nothing since
	}},
}

// spoken is what the audit says of such a budget.
const spoken = `{
	"name": "n", "description": null, "budget_type": "tokens", "limit_amount": 100, "period_type": "monthly",
	"user_id": "ada", "api_key_id": null, "is_enabled": true, "alert_threshold_percent": 80, "allowed_resources": [], "metadata": {},
	"time_zone": "UTC", "schedule": {"period": "monthly", "time_zone": "UTC", "start_day": 1},
	"scope": {"user": "ada"}, "except": {}, "starts_at": null, "ends_at": null, "enforcement": "hard", "min_hold": null,
	"cost_per_credit": null, "critical_percent": 90, "extra_percents": [], "labels": {}
}`

// wantAudit checks the newest entry of the audit: its action, and these members.
func (w *world) wantAudit(t *testing.T, action, members string) {
	t.Helper()
	a := w.want(200, "", "admin", "GET", "/api/v1/audit?size=1", "")
	var page struct{ Entries []json.RawMessage }
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Entries) != 1 {
		t.Fatal("the audit is empty")
	}
	if diff := diffMembers(with(members, `"action": "`+action+`"`), string(page.Entries[0])); diff != "" {
		t.Errorf("the audit's newest entry (-want +got):\n%s", diff)
	}
}
