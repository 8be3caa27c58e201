package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
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
	{"with and without the final slash", func(_ *testing.T, w *world) {
		for _, slash := range []string{"", "/"} {
			id := w.want(200, whole, "ada", "POST", "/api/v1/budgets"+slash, simple).member(w.t, "id")
			w.wantMembers(`{"total": 1}`, "ada", "GET", "/api/v1/budgets"+slash, "")
			w.want(200, with(whole, `"id": "`+id+`"`), "ada", "GET", budgets+id+slash, "")
			w.wantMembers(`{"budget_id": "`+id+`"}`, "ada", "GET", budgets+id+"/usage"+slash, "")
			w.want(200, `[]`, "ada", "GET", budgets+id+"/alerts"+slash, "")
			w.want(200, "", "ada", "PUT", budgets+id+slash, `{}`)
			w.want(200, "", "ada", "DELETE", budgets+id+slash, "")
		}
	}},
	{"the list's query: page (1), size (10) to 100, user_id, budget_type, is_enabled", func(_ *testing.T, w *world) {
		for i := range 12 {
			w.make("creator", with(simple, `"user_id": "user-`+strconv.Itoa(i%3)+`"`, `"is_enabled": `+strconv.FormatBool(i%2 == 0)))
		}
		w.make("creator", with(dollars, `"user_id": "user-0"`))
		for query, want := range map[string]string{
			"":                                   `{"total": 13, "page": 1, "size": 10}`,
			"page=2":                             `{"total": 13, "page": 2, "size": 10}`,
			"size=100":                           `{"total": 13, "page": 1, "size": 100}`,
			"size=1&page=13":                     `{"total": 13, "page": 13, "size": 1}`,
			"user_id=user-0":                     `{"total": 5}`,
			"user_id=":                           `{"total": 13}`,
			"user_id=nobody":                     `{"total": 0, "budgets": []}`,
			"budget_type=dollars":                `{"total": 1}`,
			"budget_type=credits":                `{"total": 0, "budgets": []}`,
			"is_enabled=false":                   `{"total": 6}`,
			"is_enabled=true&budget_type=tokens": `{"total": 6}`,
			"is_enabled=true&budget_type=tokens&user_id=user-1": `{"total": 2}`,
		} {
			w.wantMembers(want, "reader", "GET", budgets+"?"+query, "")
		}
		w.wantAudit(w.t, "list_budgets", `{"user_id": "reader"}`)
		for _, query := range []string{"page=0", "page=-1", "page=one", "size=0", "size=101", "size=", "size=1.0"} {
			name, value, _ := strings.Cut(query, "=")
			if value == "" {
				w.wantMembers(`{"size": 10}`, "reader", "GET", budgets+"?"+query, "") // as if absent
				continue
			}
			w.wantFields(name, "reader", "GET", budgets+"?"+query, "")
		}
		w.wantFields("budget_type", "reader", "GET", budgets+"?budget_type=euros", "")
	}},
	{"newest first, ties by id descending; total counts all that match", func(t *testing.T, w *world) {
		var want []string
		for i := range 25 {
			if i%5 == 0 {
				w.set(fmt.Sprintf("2026-03-15T10:%02d:00Z", i))
			}
			want = append(want, w.make("ada", simple))
		}
		for i := 0; i < len(want); i += 5 {
			slices.Sort(want[i : i+5])
		}
		slices.Reverse(want)
		var got []string
		for page := 1; page <= 3; page++ {
			var list struct {
				Budgets []struct{ ID string }
				Total   int
			}
			a := w.want(200, "", "ada", "GET", budgets+"?page="+strconv.Itoa(page), "")
			if err := json.Unmarshal([]byte(a.body), &list); err != nil {
				t.Fatal(err)
			}
			if list.Total != 25 {
				t.Errorf("page %d: total %d", page, list.Total)
			}
			for _, b := range list.Budgets {
				got = append(got, b.ID)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the order (-want +got):\n%s", diff)
		}
	}},
	{"without read: own budgets, and another's user_id is 403", func(_ *testing.T, w *world) {
		w.make("ada", simple)
		w.make("creator", with(simple, `"user_id": "ada"`))
		w.make("creator", with(simple, `"user_id": "bob"`))
		w.make("acme-ada", simple)
		w.wantMembers(`{"total": 2}`, "ada", "GET", budgets, "")
		w.wantMembers(`{"total": 2}`, "ada", "GET", budgets+"?user_id=ada", "")
		w.wantMembers(`{"total": 1}`, "bob", "GET", budgets, "")
		w.wantMembers(`{"total": 1}`, "acme-ada", "GET", budgets, "")
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:read is missing."}`,
			"ada", "GET", budgets+"?user_id=bob", "")
		w.want(403, "", "updater", "GET", budgets+"?user_id=ada", "")
	}},
	{"a page past the end is an empty list, however far", func(_ *testing.T, w *world) {
		w.make("ada", simple)
		for _, page := range []string{"2", "1000000", "9223372036854775807"} {
			w.want(200, `{"budgets": [], "total": 1, "page": `+page+`, "size": 100}`, "ada", "GET", budgets+"?size=100&page="+page, "")
		}
		w.wantMembers(`{"budgets": [], "total": 1}`, "ada", "GET", budgets+"?page=1"+strings.Repeat("0", 30), "")
	}},
	{"the list does not read usage budget by budget", func(t *testing.T, _ *world) {
		var steps steps
		w := newWorld(t, steps.counted)
		counted := func(n int) int64 {
			for range n {
				w.make("ada", simple)
			}
			before := steps.n.Load()
			w.want(200, "", "ada", "GET", budgets+"?size=100", "")
			return steps.n.Load() - before
		}
		if few, many := counted(1), counted(99); few != many || many > 4 {
			t.Errorf("a list of 1 takes %d steps, one of 100 takes %d", few, many)
		}
	}},
	{"a budget's members", func(_ *testing.T, w *world) {
		w.use("acme", "bob", "k", 75, "1.25")
		w.want(200, `{
			"id": "*", "name": " a  b ", "description": "two\nlines\tand more", "budget_type": "dollars", "limit_amount": 2.5,
			"period_type": "yearly", "period_start": "2025-04-05T23:00:00Z", "period_end": "2026-04-05T22:59:59.999999Z",
			"current_usage": 1.25, "usage_percentage": 50, "is_enabled": false, "alert_threshold_percent": 12.5,
			"user_id": "bob", "api_key_id": "k", "allowed_resources": ["gpt", "claude"], "metadata": {"a": [1, null, {"b": 1.50}]},
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z",
			"time_zone": "Europe/London",
			"schedule": {"period": "yearly", "time_zone": "Europe/London", "start_month": 4, "start_day": 6},
			"scope": {"tenant": "acme", "api_key": "k"}, "except": {}, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z",
			"enforcement": "observe", "min_hold": 0.01, "cost_per_credit": null, "critical_percent": 95, "extra_percents": [50, 110],
			"labels": {"team": "x"}, "created_by": "root", "version": 1,
			"value": null, "counters": null, "level": "warning", "reserved": 0, "available": 1.25, "denied": 0, "would_deny": 0
		}`, "acme-admin", "POST", budgets, `{
			"name": " a  b ", "description": "two\nlines\tand more", "budget_type": "dollars", "limit_amount": "2.50",
			"period_type": "yearly", "time_zone": "Europe/London", "schedule": {"period": "yearly", "start_month": 4, "start_day": 6},
			"user_id": "bob", "api_key_id": "k", "is_enabled": false, "alert_threshold_percent": 12.50,
			"allowed_resources": ["gpt", "claude"], "metadata": { "a" : [1, null, {"b": 1.50}] }, "except": {},
			"starts_at": "2026-01-01T01:00:00+01:00", "ends_at": "2027-01-01T00:00:00Z", "enforcement": "observe", "min_hold": "1e-2",
			"critical_percent": 95, "extra_percents": [50, 110.0], "labels": {"team": "x"}, "cost_per_credit": null
		}`)
	}},
	{"period_start and period_end are those of the period that now falls in, of a lifetime StartsAt or created_at, and null", func(_ *testing.T, w *world) {
		daily := w.make("ada", with(simple, `"period_type": "daily"`))
		lifetime := w.make("ada", with(simple, `"period_type": "lifetime"`))
		started := w.make("ada", with(simple, `"period_type": "lifetime", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-06-01T00:00:00Z"`))
		ended := w.make("ada", with(simple, `"ends_at": "2026-03-10T00:00:00Z"`))
		w.set("2026-04-20T12:00:00Z")
		for id, want := range map[string]string{
			daily:    `{"period_start": "2026-04-20T00:00:00Z", "period_end": "2026-04-20T23:59:59.999999Z"}`,
			lifetime: `{"period_start": "2026-03-15T09:30:00Z", "period_end": null}`,
			started:  `{"period_start": "2026-01-01T00:00:00Z", "period_end": null}`,
			ended:    `{"period_start": "2026-04-01T00:00:00Z", "period_end": "2026-04-30T23:59:59.999999Z"}`,
		} {
			w.wantMembers(want, "ada", "GET", budgets+id, "")
			w.wantMembers(want, "ada", "GET", budgets+id+"/usage", "")
		}
	}},
	{"updated_at equals created_at until the first change, and moves only when a member changes", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		w.set("2026-03-15T10:00:00Z")
		w.use("", "ada", "", 1, "0")
		for _, same := range []string{`{}`, `{"name": "n"}`, `{"limit_amount": "100.0"}`, `{"metadata": { }}`, `{"description": null}`, `{"alert_threshold_percent": 80}`} {
			w.wantMembers(`{"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z", "version": 1}`, "ada", "PUT", budgets+id, same)
		}
		w.wantMembers(`{"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T10:00:00Z", "version": 2}`,
			"ada", "PUT", budgets+id, `{"limit_amount": 101}`)
	}},
	{"name: 1–100 characters, blanks kept, no control characters, need not be unique", func(_ *testing.T, w *world) {
		for _, name := range []string{"n", " ", "  a  ", strings.Repeat("ä", 100), strings.Repeat("😀", 100), "n", "null", "<b>&\u2028"} {
			id := w.wantMembers(`{"name": "`+name+`"}`, "ada", "POST", budgets, with(simple, `"name": "`+name+`"`)).member(w.t, "id")
			w.wantMembers(`{"name": "`+name+`", "version": 1}`, "ada", "PUT", budgets+id, `{"name": "`+name+`"}`)
		}
		id := w.make("ada", simple)
		for _, name := range []string{`""`, `null`, `1`, `"` + strings.Repeat("ä", 101) + `"`, `"a\nb"`, `"\u0000"`, `"\u0085"`, `"\u007f"`, `["n"]`} {
			w.wantFields("name", "ada", "POST", budgets, with(simple, `"name": `+name))
			w.wantFields("name", "ada", "PUT", budgets+id, `{"name": `+name+`}`)
		}
		w.wantFields("name", "ada", "POST", budgets, `{"budget_type": "tokens", "limit_amount": 1, "period_type": "daily"}`)
	}},
	{"description: null, optional, null clears, up to 500, line breaks and tabs", func(_ *testing.T, w *world) {
		id := w.wantMembers(`{"description": null}`, "ada", "POST", budgets, with(simple, `"description": null`)).member(w.t, "id")
		long := strings.Repeat("ö", 500)
		for sent, want := range map[string]string{
			`"a\r\n\tb"`: `"a\r\n\tb"`, `"` + long + `"`: `"` + long + `"`, `null`: `null`, `""`: `""`, `" "`: `" "`,
		} {
			w.wantMembers(`{"description": `+want+`}`, "ada", "PUT", budgets+id, `{"description": `+sent+`}`)
			w.wantMembers(`{"description": `+want+`}`, "ada", "PUT", budgets+id, `{"name": "n"}`)
			w.wantMembers(`{"description": `+want+`}`, "ada", "POST", budgets, with(simple, `"description": `+sent))
		}
		for _, sent := range []string{`"` + long + `o"`, `"\u0000"`, `"\u001b[1m"`, `1`, `{}`} {
			w.wantFields("description", "ada", "PUT", budgets+id, `{"description": `+sent+`}`)
		}
	}},
	{"budget_type: required, immutable, case matters", func(_ *testing.T, w *world) {
		for _, metric := range []string{"tokens", "dollars", "requests", "input_tokens", "output_tokens", "credits"} {
			id := w.wantMembers(`{"budget_type": "`+metric+`"}`, "ada", "POST", budgets, with(simple, `"budget_type": "`+metric+`"`)).member(w.t, "id")
			w.wantMembers(`{"version": 1}`, "ada", "PUT", budgets+id, `{"budget_type": "`+metric+`"}`)
			for _, other := range []string{`"x"`, `"Tokens"`, `null`, `1`, `""`} {
				w.wantFields("budget_type", "ada", "PUT", budgets+id, `{"budget_type": `+other+`}`)
				w.wantFields("budget_type", "ada", "POST", budgets, with(simple, `"budget_type": `+other))
			}
		}
		id := w.make("ada", simple)
		w.wantFields("budget_type", "ada", "PUT", budgets+id, `{"budget_type": "dollars"}`)
		w.wantFields("budget_type", "ada", "POST", budgets, `{"name": "n", "limit_amount": 1, "period_type": "daily"}`)
	}},
	{"limit_amount: required, above 0", func(_ *testing.T, w *world) {
		id := w.make("ada", dollars)
		w.wantMembers(`{"limit_amount": 5.65, "available": 5.65}`, "ada", "PUT", budgets+id, `{"limit_amount": "5.650"}`)
		for _, sent := range []string{`0`, `-0.01`, `null`, `"x"`, `0.0000000001`, `1e10`} {
			w.wantFields("limit_amount", "ada", "PUT", budgets+id, `{"limit_amount": `+sent+`}`)
		}
		w.wantMembers(`{"limit_amount": 5.65, "version": 2}`, "ada", "GET", budgets+id, "")
		tokens := w.make("ada", simple)
		w.wantMembers(`{"limit_amount": 9223372036854775807}`, "ada", "PUT", budgets+tokens, `{"limit_amount": 9223372036854775807}`)
		for _, sent := range []string{`9223372036854775808`, `1e19`, `0.5`} {
			w.wantFields("limit_amount", "ada", "PUT", budgets+tokens, `{"limit_amount": `+sent+`}`)
		}
		w.wantFields("limit_amount", "ada", "POST", budgets, `{"name": "n", "budget_type": "tokens", "period_type": "daily"}`)
	}},
	{"period_type: required; changing it counts the new period at once", func(t *testing.T, w *world) {
		w.use("", "ada", "", 1, "0", morning)
		w.use("", "ada", "", 10, "0", morning.Add(-2*time.Hour))
		w.use("", "ada", "", 100, "0", morning.AddDate(0, 0, -3))
		w.use("", "ada", "", 1000, "0", morning.AddDate(0, 0, -12))
		w.use("", "ada", "", 10000, "0", morning.AddDate(0, -1, 0))
		w.use("", "ada", "", 100000, "0", morning.AddDate(-1, 0, 0))
		id := w.make("ada", simple)
		for _, kind := range []struct{ kind, used string }{
			{"hourly", "1"}, {"daily", "11"}, {"weekly", "111"}, {"monthly", "1111"}, {"quarterly", "11111"}, {"yearly", "11111"}, {"lifetime", "111111"},
		} {
			w.wantMembers(`{"period_type": "`+kind.kind+`", "current_usage": `+kind.used+`}`, "ada", "PUT", budgets+id, `{"period_type": "`+kind.kind+`"}`)
			w.wantMembers(`{"current_usage": `+kind.used+`}`, "ada", "GET", budgets+id, "")
			w.wantMembers(`{"current_usage": `+kind.used+`}`, "ada", "POST", budgets, with(simple, `"period_type": "`+kind.kind+`"`))
		}
		for _, sent := range []string{`"Daily"`, `"fortnightly"`, `null`, `1`, `""`} {
			w.wantFields("period_type", "ada", "PUT", budgets+id, `{"period_type": `+sent+`}`)
			w.wantFields("period_type", "ada", "POST", budgets, with(simple, `"period_type": `+sent))
		}
		w.wantFields("schedule", "ada", "POST", budgets, with(simple, `"period_type": "every"`))
		w.wantFields("period_type", "ada", "POST", budgets, `{"name": "n", "budget_type": "tokens", "limit_amount": 1}`)
		if diff := w.verify(); diff != "" {
			t.Error(diff)
		}
	}},
	{"user_id: the caller, immutable", func(_ *testing.T, w *world) {
		w.wantMembers(`{"user_id": "ada"}`, "ada", "POST", budgets, simple)
		w.wantMembers(`{"user_id": "ada"}`, "ada", "POST", budgets, with(simple, `"user_id": "ada"`))
		id := w.wantMembers(`{"user_id": "eve", "created_by": "creator"}`, "creator", "POST", budgets, with(simple, `"user_id": "eve"`)).member(w.t, "id")
		w.wantMembers(`{"user_id": "eve", "version": 1}`, "updater", "PUT", budgets+id, `{"user_id": "eve"}`)
		w.wantMembers(`{"user_id": "eve", "version": 1}`, "updater", "PUT", budgets+id, `{"user_id": null}`)
		w.wantFields("user_id", "updater", "PUT", budgets+id, `{"user_id": "Eve"}`)
		for _, sent := range []string{`7`, `["ada"]`, `"a\u0000"`, `"` + strings.Repeat("x", 129) + `"`} {
			w.wantFields("user_id", "creator", "POST", budgets, with(simple, `"user_id": `+sent))
		}
	}},
	{"api_key_id: null, immutable, any text", func(_ *testing.T, w *world) {
		id := w.wantMembers(`{"api_key_id": "ada-key", "user_id": "ada", "scope": {"api_key": "ada-key"}}`,
			"ada", "POST", budgets, with(simple, `"api_key_id": "ada-key"`)).member(w.t, "id")
		w.wantMembers(`{"version": 1}`, "ada", "PUT", budgets+id, `{"api_key_id": "ada-key"}`)
		w.wantFields("api_key_id", "ada", "PUT", budgets+id, `{"api_key_id": "other"}`)
		w.wantMembers(`{"api_key_id": "Schlüssel 1"}`, "creator", "POST", budgets, with(simple, `"api_key_id": "Schlüssel 1"`))
		w.wantFields("api_key_id", "ada", "POST", budgets, with(simple, `"api_key_id": 1`))
	}},
	{"is_enabled: a disabled budget counts and shows as before, refuses nothing and sends nothing", func(t *testing.T, w *world) {
		id := w.make("ada", with(simple, `"is_enabled": false`))
		w.use("", "ada", "", 150, "0")
		w.wantMembers(`{"is_enabled": false, "current_usage": 150, "usage_percentage": 150, "level": "exceeded"}`, "ada", "GET", budgets+id, "")
		if _, err := w.reserve("ada", 1); err != nil {
			t.Errorf("it refuses: %v", err)
		}
		sent, err := w.ledger.Alerts(t.Context(), budget.AlertQuery{})
		if err != nil || len(sent) > 0 {
			t.Errorf("it sends %v, %v", sent, err)
		}
		w.wantMembers(`{"is_enabled": true, "current_usage": 150}`, "ada", "PUT", budgets+id, `{"is_enabled": true}`)
		if _, err := w.reserve("ada", 1); !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("enabled it does not refuse: %v", err)
		}
		w.wantMembers(`{"is_enabled": false}`, "ada", "PUT", budgets+id, `{"is_enabled": false}`)
	}},
	{"alert_threshold_percent: 80, 0–100", func(_ *testing.T, w *world) {
		id := w.wantMembers(`{"alert_threshold_percent": 80}`, "ada", "POST", budgets, simple).member(w.t, "id")
		for _, sent := range []string{"0", "100", "33.333333333", "80"} {
			w.wantMembers(`{"alert_threshold_percent": `+sent+`}`, "ada", "PUT", budgets+id, `{"alert_threshold_percent": `+sent+`}`)
			w.wantMembers(`{"alert_threshold_percent": `+sent+`}`, "ada", "POST", budgets, with(simple, `"alert_threshold_percent": `+sent))
		}
		for _, sent := range []string{`-1`, `100.1`, `1e-10`, `null`, `"much"`} {
			w.wantFields("alert_threshold_percent", "ada", "PUT", budgets+id, `{"alert_threshold_percent": `+sent+`}`)
		}
	}},
	{"allowed_resources: [], never limits what is counted; reservations obey it", func(t *testing.T, w *world) {
		id := w.wantMembers(`{"allowed_resources": ["gpt", "claude"]}`, "ada", "POST", budgets, with(simple, `"allowed_resources": ["gpt", "claude"]`)).member(w.t, "id")
		e := usage.Event{ID: "1", Subject: usage.Subject{User: "ada", Resource: "other"}, Amounts: usage.Amounts{InputTokens: 7}}
		if _, err := w.ledger.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		w.wantMembers(`{"current_usage": 7}`, "ada", "GET", budgets+id, "")
		_, err := w.ledger.Reserve(t.Context(), budget.Request{Subject: e.Subject, Estimate: usage.Amounts{InputTokens: 1}})
		if !errors.Is(err, budget.ErrResourceNotAllowed) {
			t.Errorf("a reservation for another resource: %v", err)
		}
		w.wantMembers(`{"allowed_resources": []}`, "ada", "PUT", budgets+id, `{"allowed_resources": []}`)
		for _, sent := range []string{`null`, `"gpt"`, `{"gpt": true}`} {
			w.wantFields("allowed_resources", "ada", "PUT", budgets+id, `{"allowed_resources": `+sent+`}`)
		}
		w.wantFields("allowed_resources[1]", "ada", "PUT", budgets+id, `{"allowed_resources": ["gpt", 1]}`)
	}},
	{"metadata: {}, replaced as a whole, any JSON inside, up to 16 KiB", func(_ *testing.T, w *world) {
		id := w.make("ada", with(simple, `"metadata": {"a": 1, "b": {"c": [true, null, "ü\u0000", 1.0, 1e400, 12345678901234567890123]}}`))
		w.wantMembers(`{"metadata": {"a": 1, "b": {"c": [true, null, "ü\u0000", 1.0, 1e400, 12345678901234567890123]}}}`, "ada", "GET", budgets+id, "")
		w.wantMembers(`{"metadata": {"d": ""}}`, "ada", "PUT", budgets+id, `{"metadata": {"d": ""}}`)
		large := `{"x":"` + strings.Repeat("y", 16<<10-8) + `"}`
		w.wantMembers(`{"metadata": `+large+`}`, "ada", "PUT", budgets+id, `{"metadata": `+large+`}`)
		for _, sent := range []string{`null`, `[]`, `"{}"`, `1`, `{"x":"` + strings.Repeat("y", 16<<10-7) + `"}`} {
			w.wantFields("metadata", "ada", "PUT", budgets+id, `{"metadata": `+sent+`}`)
		}
		w.wantMembers(`{"metadata": {}}`, "ada", "PUT", budgets+id, `{"metadata": {}}`)
	}},
	{"PUT changes the members that are present and no others; {} is 200, changes nothing, and is audited", func(_ *testing.T, w *world) {
		id := w.make("ada", with(simple, `"description": "d", "metadata": {"a": 1}, "labels": {"l": "m"}, "alert_threshold_percent": 50`))
		before := w.want(200, "", "ada", "GET", budgets+id, "")
		w.want(200, before.body, "ada", "PUT", budgets+id, `{}`)
		w.wantAudit(w.t, "update_budget", `{"user_id": "ada", "resource_id": "`+id+`", "details": {"updated_fields": [], "before_values": {}, "after_values": {}}}`)
		w.want(200, with(before.body, `"critical_percent": 70, "version": 2`), "ada", "PUT", budgets+id, `{"critical_percent": 70}`)
	}},
	{"an explicit null where a field is not nullable is 422", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		for _, name := range []string{
			"name", "budget_type", "limit_amount", "period_type", "is_enabled", "alert_threshold_percent", "allowed_resources", "metadata",
			"time_zone", "schedule", "scope", "except", "enforcement", "critical_percent", "extra_percents", "labels", "version",
		} {
			w.wantFields(name, "ada", "PUT", budgets+id, `{"`+name+`": null}`)
			if name != "version" {
				w.wantFields(name, "ada", "POST", budgets, with(simple, `"`+name+`": null`))
			}
		}
		w.want(200, with(whole, `"id": "`+id+`"`), "ada", "PUT", budgets+id,
			`{"description": null, "user_id": null, "api_key_id": null, "starts_at": null, "ends_at": null, "min_hold": null, "cost_per_credit": null}`)
		w.wantMembers(`{"total": 1}`, "ada", "GET", budgets, "")
	}},
	{"without version and If-Match a PUT applies to what is stored, a stale version is 409, a stale If-Match 412", func(t *testing.T, w *world) {
		a := w.want(200, "", "ada", "POST", budgets, simple)
		id := a.member(t, "id")
		if got := a.header.Get("ETag"); got != `"1"` {
			t.Errorf("ETag is %s", got)
		}
		a = w.want(200, "", "ada", "PUT", budgets+id, `{"limit_amount": 101}`)
		if got := a.header.Get("ETag"); got != `"2"` {
			t.Errorf("ETag is %s", got)
		}
		w.want(409, `{"type": "about:blank", "title": "Conflict", "status": 409, "detail": "Version 1 is not the current one, which is 2."}`,
			"ada", "PUT", budgets+id, `{"limit_amount": 102, "version": 1}`)
		w.want(409, "", "ada", "PUT", budgets+id, `{"version": "3"}`)
		w.want(412, `{"type": "about:blank", "title": "Precondition Failed", "status": 412,
			"detail": "If-Match names another version than the current one, \"2\"."}`, "ada", "PUT", budgets+id, `{"limit_amount": 102}`, `If-Match: "1"`)
		for _, stale := range []string{`W/"2"`, `"22"`, `"1", "3"`, `""`} {
			w.want(412, "", "ada", "PUT", budgets+id, `{"limit_amount": 102}`, "If-Match: "+stale)
			w.want(412, "", "ada", "DELETE", budgets+id, "", "If-Match: "+stale)
		}
		w.wantMembers(`{"limit_amount": 101, "version": 2}`, "ada", "GET", budgets+id, "")
		w.wantMembers(`{"version": 3}`, "ada", "PUT", budgets+id, `{"limit_amount": 102, "version": "2"}`, `If-Match: "2"`)
		w.wantMembers(`{"version": 4}`, "ada", "PUT", budgets+id, `{"limit_amount": 103}`, `If-Match: "1", "3"`)
		w.wantMembers(`{"version": 5}`, "ada", "PUT", budgets+id, `{"limit_amount": 104}`, `If-Match: *`)
		w.want(200, "", "ada", "DELETE", budgets+id, "", `If-Match: "5"`)
	}},
	{"Idempotency-Key, per user and route: same body, the same thing again as it now stands, never a second one; other body 422", func(t *testing.T, w *world) {
		const key = "Idempotency-Key: a-key"
		id := w.want(200, whole, "ada", "POST", budgets, simple, key).member(t, "id")
		w.want(200, with(whole, `"id": "`+id+`"`), "ada", "POST", budgets, simple, key)
		w.want(200, "", "ada", "PUT", budgets+id, `{"limit_amount": 7}`)
		w.use("", "ada", "", 3, "0")
		a := w.want(200, with(whole, `"id": "`+id+`"`, `"limit_amount": 7, "version": 2, "current_usage": 3, "usage_percentage": 42.857142857, "available": 4`),
			"ada", "POST", budgets, simple, key)
		if got := a.header.Get("ETag"); got != `"2"` {
			t.Errorf("ETag is %s", got)
		}
		w.wantFields("Idempotency-Key", "ada", "POST", budgets, with(simple, `"limit_amount": 8`), key)
		w.wantMembers(`{"user_id": "creator", "current_usage": 0}`, "creator", "POST", budgets, simple, key) // another user's key is another
		w.wantMembers(`{"total": 1}`, "ada", "GET", budgets, "")
		w.want(200, "", "ada", "DELETE", budgets+id, "")
		w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Budget not found"}`, "ada", "POST", budgets, simple, key)
		w.wantMembers(`{"total": 0}`, "ada", "GET", budgets, "")
	}},
	{"a budget counts its key's usage whoever used it, else its owner's, also from before it was made", func(_ *testing.T, w *world) {
		w.use("", "ada", "", 1, "0")
		w.use("", "ada", "ada-key", 10, "0")
		w.use("", "bob", "ada-key", 100, "0")
		w.use("acme", "bob", "ada-key", 1000, "0")
		w.wantMembers(`{"current_usage": 11}`, "ada", "POST", budgets, simple)
		w.wantMembers(`{"current_usage": 1110}`, "ada", "POST", budgets, with(simple, `"api_key_id": "ada-key"`))
		w.wantMembers(`{"current_usage": 1000}`, "acme-admin", "POST", budgets, with(simple, `"api_key_id": "ada-key"`))
	}},
	{"tokens = total tokens, dollars = cost, requests = number of requests, failed ones too", func(t *testing.T, w *world) {
		total, three, cost := int64(1000), int64(3), decimal.RequireFromString("0.123456789")
		for _, a := range []usage.Amounts{
			{InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 4, CacheReadTokens: 8, Cost: &cost},
			{InputTokens: 16, TotalTokens: &total, Requests: &three},
			{}, // one that failed
		} {
			if _, err := w.ledger.Record(t.Context(), usage.Event{ID: usage.NewID(), Subject: usage.Subject{User: "ada"}, Amounts: a}); err != nil {
				t.Fatal(err)
			}
		}
		for metric, used := range map[string]string{
			"tokens": "1015", "dollars": "0.123456789", "requests": "5", "input_tokens": "17", "output_tokens": "2",
		} {
			w.wantMembers(`{"current_usage": `+used+`}`, "ada", "POST", budgets, with(simple, `"budget_type": "`+metric+`", "limit_amount": 5000`))
		}
	}},
	{"hard unless enforcement says otherwise: reservations are refused, recording never is", func(t *testing.T, w *world) {
		id := w.wantMembers(`{"enforcement": "hard"}`, "ada", "POST", budgets, simple).member(t, "id")
		w.use("", "ada", "", 100, "0")
		if _, err := w.reserve("ada", 1); !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("a reservation beyond the limit: %v", err)
		}
		w.use("", "ada", "", 50, "0")
		w.wantMembers(`{"current_usage": 150, "denied": 1, "available": 0}`, "ada", "GET", budgets+id, "")
		w.wantMembers(`{"enforcement": "soft"}`, "ada", "PUT", budgets+id, `{"enforcement": "soft"}`)
		if _, err := w.reserve("ada", 1); err != nil {
			t.Errorf("a soft budget refuses: %v", err)
		}
		w.wantMembers(`{"reserved": 1, "would_deny": 1}`, "ada", "GET", budgets+id, "")
		w.wantFields("enforcement", "ada", "PUT", budgets+id, `{"enforcement": "strict"}`)
	}},
	{"a budget over everybody, a tenant or a resource is made with scope, by a holder of admin, and has no owner", func(_ *testing.T, w *world) {
		w.use("acme", "ada", "", 1, "0")
		w.use("globex", "bob", "", 10, "0")
		w.wantMembers(`{"current_usage": 11, "user_id": null, "api_key_id": null, "scope": {}}`, "creator", "POST", budgets, with(simple, `"scope": {}`))
		w.wantMembers(`{"current_usage": 1, "user_id": null, "scope": {"tenant": "acme"}}`, "creator", "POST", budgets, with(simple, `"scope": {"tenant": "acme"}`))
		w.wantMembers(`{"current_usage": 0, "user_id": null}`, "creator", "POST", budgets, with(simple, `"scope": {"resource": "m", "team": "x"}`))
		w.wantMembers(`{"user_id": null, "scope": {"user": "creator"}}`, "creator", "POST", budgets, with(simple, `"scope": {"user": "creator"}, "user_id": null`))
		w.want(403, "", "ada", "POST", budgets, with(simple, `"scope": {"user": "ada"}`))
		w.wantFields("scope", "creator", "POST", budgets, with(simple, `"scope": {}, "user_id": "ada"`))
		w.wantFields("scope", "creator", "POST", budgets, with(simple, `"scope": {}, "api_key_id": "k"`))
	}},
	{"usage_percentage is not capped, remaining_amount not below 0, is_exceeded only above the limit", func(_ *testing.T, w *world) {
		id := w.make("ada", with(simple, `"limit_amount": 3`))
		for _, step := range []string{
			`{"current_usage": 1, "usage_percentage": 33.333333333, "remaining_amount": 2, "is_exceeded": false, "level": "ok"}`,
			`{"current_usage": 2, "usage_percentage": 66.666666666, "remaining_amount": 1, "is_exceeded": false, "level": "ok"}`,
			`{"current_usage": 3, "usage_percentage": 100, "remaining_amount": 0, "is_exceeded": false, "level": "exceeded"}`,
			`{"current_usage": 4, "usage_percentage": 133.333333333, "remaining_amount": 0, "is_exceeded": true, "level": "exceeded"}`,
		} {
			w.use("", "ada", "", 1, "0")
			w.wantMembers(step, "ada", "GET", budgets+id+"/usage", "")
		}
	}},
	{"days_remaining", func(_ *testing.T, w *world) {
		ids := make(map[string]string)
		for _, kind := range []string{"hourly", "daily", "weekly", "monthly", "yearly", "lifetime"} {
			ids[kind] = w.make("ada", with(simple, `"period_type": "`+kind+`"`))
		}
		ids["berlin"] = w.make("ada", with(simple, `"period_type": "daily", "time_zone": "Europe/Berlin"`))
		for _, c := range []struct{ at, kind, days string }{
			{"2026-03-01T00:00:00Z", "monthly", "30"},
			{"2026-03-01T00:00:00.000001Z", "monthly", "30"},
			{"2026-03-01T23:59:59.999999Z", "monthly", "30"},
			{"2026-03-02T00:00:00Z", "monthly", "29"},
			{"2026-03-30T23:59:59.999999Z", "monthly", "1"},
			{"2026-03-31T00:00:00Z", "monthly", "0"},
			{"2026-03-31T23:59:59.999999Z", "monthly", "0"},
			{"2026-02-01T00:00:00Z", "monthly", "27"},
			{"2026-03-16T00:00:00Z", "weekly", "6"},
			{"2026-03-22T00:00:00Z", "weekly", "0"},
			{"2028-01-01T00:00:00Z", "yearly", "365"},
			{"2026-03-16T00:00:00Z", "daily", "0"},
			{"2026-10-24T22:00:00Z", "berlin", "0"}, // a day of 25 hours
			{"2026-03-16T00:00:00Z", "hourly", "0"},
			{"2026-03-16T00:00:00Z", "lifetime", "null"},
		} {
			w.set(c.at)
			w.wantMembers(`{"days_remaining": `+c.days+`}`, "ada", "GET", budgets+ids[c.kind]+"/usage", "")
		}
	}},
	{"projected_usage", func(_ *testing.T, w *world) {
		w.use("", "ada", "", 10, "0", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
		monthly, lifetime := w.make("ada", simple), w.make("ada", with(simple, `"period_type": "lifetime"`))
		daily, nothing := w.make("ada", with(simple, `"period_type": "daily"`)), w.make("creator", with(simple, `"user_id": "nobody"`))
		for at, projected := range map[string]string{
			"2026-03-01T00:00:00Z":        "310",           // 10 × 31 / 1
			"2026-03-01T23:59:59.999999Z": "310",           // the first 24 hours are the first day
			"2026-03-02T00:00:00Z":        "155",           // 10 × 31 / 2
			"2026-03-03T12:00:00Z":        "103.333333333", // 10 × 31 / 3
			"2026-03-07T00:00:00Z":        "44.285714286",  // 10 × 31 / 7, rounded half up
			"2026-03-31T00:00:00Z":        "null",          // the last day
		} {
			w.set(at)
			w.wantMembers(`{"projected_usage": `+projected+`}`, "ada", "GET", budgets+monthly+"/usage", "")
			w.wantMembers(`{"projected_usage": null, "days_remaining": null}`, "ada", "GET", budgets+lifetime+"/usage", "")
			w.wantMembers(`{"projected_usage": null}`, "ada", "GET", budgets+daily+"/usage", "")
			w.wantMembers(`{"projected_usage": null}`, "reader", "GET", budgets+nothing+"/usage", "")
		}
	}},
	{"Purser's own projection stands beside it", func(_ *testing.T, w *world) {
		for day := 1; day <= 15; day++ {
			w.use("", "ada", "", 2, "0", time.Date(2026, 3, day, 8, 0, 0, 0, time.UTC))
		}
		id := w.make("ada", with(simple, `"limit_amount": 50`))
		w.wantMembers(`{"current_usage": 30, "projected_usage": 62, "projection": {
			"method": "seasonal", "fallback": null, "reason": null, "value": "*", "low": "*", "high": "*", "coverage_percent": 80,
			"passed": false, "passes_at": "*"}}`, "ada", "GET", budgets+id+"/usage", "")
	}},
	{"usage_history: the days that have usage, today and the 30 days before it, whole days", func(_ *testing.T, w *world) {
		id := w.make("ada", with(dollars, `"period_type": "hourly"`))
		for _, at := range []string{"2026-02-12T23:59:59.999999Z", "2026-02-13T00:00:00Z", "2026-02-13T23:59:59.999999Z", "2026-03-14T12:00:00Z", "2026-03-15T00:00:00Z"} {
			t, err := time.Parse(time.RFC3339Nano, at)
			if err != nil {
				w.t.Fatal(err)
			}
			w.use("", "ada", "", 5, "0.25", t)
		}
		w.use("", "bob", "", 5, "0.25")
		w.use("", "ada", "", 7, "0.125")
		w.wantMembers(`{"current_usage": 0.125, "usage_history": [
			{"date": "2026-02-13", "usage": 0.5, "tokens": 10, "cost_dollars": 0.5, "requests": 2},
			{"date": "2026-03-14", "usage": 0.25, "tokens": 5, "cost_dollars": 0.25, "requests": 1},
			{"date": "2026-03-15", "usage": 0.375, "tokens": 12, "cost_dollars": 0.375, "requests": 2}
		]}`, "ada", "GET", budgets+id+"/usage", "")
		tokens := w.make("ada", simple)
		w.wantMembers(`{"usage_history": [
			{"date": "2026-02-13", "usage": 10, "tokens": 10, "cost_dollars": 0.5, "requests": 2},
			{"date": "2026-03-14", "usage": 5, "tokens": 5, "cost_dollars": 0.25, "requests": 1},
			{"date": "2026-03-15", "usage": 12, "tokens": 12, "cost_dollars": 0.375, "requests": 2}
		]}`, "ada", "GET", budgets+tokens+"/usage", "")
	}},
	{"usage_history is of UTC unless the budget has a zone", func(_ *testing.T, w *world) {
		w.use("", "ada", "", 5, "0", time.Date(2026, 3, 14, 23, 30, 0, 0, time.UTC))
		w.wantMembers(`{"usage_history": [{"date": "2026-03-14", "usage": 5, "tokens": 5, "cost_dollars": 0, "requests": 1}]}`,
			"ada", "GET", budgets+w.make("ada", simple)+"/usage", "")
		w.wantMembers(`{"usage_history": [{"date": "2026-03-15", "usage": 5, "tokens": 5, "cost_dollars": 0, "requests": 1}]}`,
			"ada", "GET", budgets+w.make("ada", with(simple, `"time_zone": "Europe/Berlin"`))+"/usage", "")
	}},
	{"usage up to 5 minutes ahead counts where it falls, in the history under its own date", func(_ *testing.T, w *world) {
		monthly, daily := w.make("ada", simple), w.make("ada", with(simple, `"period_type": "daily"`))
		w.set("2026-03-15T23:58:00Z")
		w.use("", "ada", "", 5, "0", time.Date(2026, 3, 15, 23, 59, 0, 0, time.UTC))
		w.use("", "ada", "", 7, "0", time.Date(2026, 3, 16, 0, 3, 0, 0, time.UTC))
		days := `"usage_history": [{"date": "2026-03-15", "usage": 5, "tokens": 5, "cost_dollars": 0, "requests": 1},
			{"date": "2026-03-16", "usage": 7, "tokens": 7, "cost_dollars": 0, "requests": 1}]`
		w.wantMembers(`{"current_usage": 12, `+days+`}`, "ada", "GET", budgets+monthly+"/usage", "")
		w.wantMembers(`{"current_usage": 5, `+days+`}`, "ada", "GET", budgets+daily+"/usage", "")
		w.set("2026-03-16T00:00:00Z")
		w.wantMembers(`{"current_usage": 7, `+days+`}`, "ada", "GET", budgets+daily+"/usage", "")
	}},
	{"alerts: exceeded from 100, critical from 90, warning from the threshold", func(_ *testing.T, w *world) {
		id := w.make("ada", with(dollars, `"limit_amount": 100`))
		used := "0"
		for _, step := range []struct{ dollars, level, shown string }{
			{"79.999999999", "", ""},
			{"80", "warning", "80.0"},
			{"89.999999999", "warning", "89.9"},
			{"90", "critical", "90.0"},
			{"99.96", "critical", "99.9"},
			{"99.999999999", "critical", "99.9"},
			{"100", "exceeded", "100.0"},
			{"123.456", "exceeded", "123.4"},
		} {
			more := decimal.RequireFromString(step.dollars).Sub(decimal.RequireFromString(used))
			w.use("", "ada", "", 0, more.String())
			used = step.dollars
			want := `[]`
			if step.level != "" {
				want = `[{"budget_id": "` + id + `", "budget_name": "n", "alert_type": "` + step.level + `", "current_usage": ` + used + `,
					"limit_amount": 100, "usage_percentage": ` + used + `, "message": "Budget \"n\" has used ` + step.shown + `% of its limit (` + step.level + `)"}]`
			}
			w.want(200, want, "ada", "GET", budgets+id+"/alerts", "")
		}
	}},
	{"alerts: a threshold above 90 never shows, 0 warns from the first use, disabled budgets too", func(_ *testing.T, w *world) {
		high, zero := w.make("ada", with(simple, `"alert_threshold_percent": 95`)), w.make("ada", with(simple, `"alert_threshold_percent": 0`))
		off := w.make("ada", with(simple, `"alert_threshold_percent": 0, "is_enabled": false`))
		levels := func(want string) {
			for _, id := range []string{high, zero, off} {
				level, _, _ := strings.Cut(want, " ")
				want = strings.TrimPrefix(want, level+" ")
				a := w.want(200, "", "ada", "GET", budgets+id+"/alerts", "")
				if level == "none" && strings.TrimSpace(a.body) != "[]" || level != "none" && !strings.Contains(a.body, `"alert_type":"`+level+`"`) {
					w.t.Errorf("%s, want %s", a.body, level)
				}
			}
		}
		levels("none none none")
		w.use("", "ada", "", 1, "0")
		levels("none warning warning")
		w.use("", "ada", "", 91, "0")
		levels("critical critical critical")
		w.use("", "ada", "", 4, "0")
		levels("critical critical critical")
	}},
	{"audit: one entry per request that succeeded, none for refused ones and alerts", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		for _, refused := range []struct{ token, method, path, body string }{
			{"", "GET", "", ""},
			{"bob", "GET", id, ""},
			{"bob", "GET", id + "/usage", ""},
			{"bob", "POST", "", simple},
			{"ada", "POST", "", `{}`},
			{"ada", "PUT", id, `{"limit_amount": 0}`},
			{"ada", "PUT", id, `{"version": 9}`},
			{"ada", "PUT", "unknown", `{}`},
			{"bob", "DELETE", id, ""},
			{"bob", "GET", "?user_id=ada", ""},
			{"ada", "GET", "?page=0", ""},
		} {
			if a := w.do(refused.token, refused.method, budgets+refused.path, refused.body); a.status < 400 {
				t.Errorf("%+v is %d", refused, a.status)
			}
		}
		w.want(200, "", "ada", "GET", budgets+id+"/alerts", "")
		w.want(200, "", "ada", "GET", budgets, "")
		w.want(200, "", "ada", "GET", budgets+id, "")
		w.want(200, "", "ada", "PUT", budgets+id, `{}`)
		w.want(200, "", "ada", "PUT", budgets+id, `{"limit_amount": 7}`)
		w.want(200, "", "ada", "GET", budgets+id+"/usage", "")
		w.want(200, "", "ada", "DELETE", budgets+id, ``)
		var actions []string
		for _, e := range w.audit(t, "") {
			actions = append(actions, e.Action)
		}
		slices.Reverse(actions)
		want := []string{"create_budget", "list_budgets", "get_budget", "update_budget", "update_budget", "get_budget_usage", "delete_budget"}
		if diff := cmp.Diff(want, actions); diff != "" {
			t.Errorf("the audit (-want +got):\n%s", diff)
		}
	}},
	{"audit: list_budgets has page, size and filters, user_id as used", func(t *testing.T, w *world) {
		w.want(200, "", "reader", "GET", budgets+"?page=3&size=7&user_id=eve&budget_type=dollars&is_enabled=no", "")
		w.wantAudit(t, "list_budgets", `{"time": "2026-03-15T09:30:00Z", "user_id": "reader", "resource_type": "budget", "resource_id": null,
			"details": {"page": 3, "size": 7, "filters": {"user_id": "eve", "budget_type": "dollars", "is_enabled": false}}}`)
		w.want(200, "", "reader", "GET", budgets, "")
		w.wantAudit(t, "list_budgets", `{"details": {"page": 1, "size": 10, "filters": {"user_id": null, "budget_type": null, "is_enabled": null}}}`)
		w.want(200, "", "bob", "GET", budgets, "")
		w.wantAudit(t, "list_budgets", `{"details": {"page": 1, "size": 10, "filters": {"user_id": "bob", "budget_type": null, "is_enabled": null}}}`)
	}},
	{"audit: update_budget has every field sent, before and after", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.want(200, "", "ada", "PUT", budgets+id, `{"description": "x", "limit_amount": "50.0", "is_enabled": true, "metadata": {"a": 1}, "user_id": "ada",
			"period_type": "daily", "alert_threshold_percent": 70, "allowed_resources": ["m"], "current_usage": 9, "version": 1, "id": "`+id+`"}`)
		w.wantAudit(t, "update_budget", `{"details": {
			"updated_fields": ["alert_threshold_percent", "allowed_resources", "description", "is_enabled", "limit_amount", "metadata", "period_type", "user_id"],
			"before_values": {"alert_threshold_percent": 80, "allowed_resources": [], "description": null, "is_enabled": true, "limit_amount": 100,
				"metadata": {}, "period_type": "monthly", "user_id": "ada"},
			"after_values": {"alert_threshold_percent": 70, "allowed_resources": ["m"], "description": "x", "is_enabled": true, "limit_amount": 50,
				"metadata": {"a": 1}, "period_type": "daily", "user_id": "ada"}}}`)
	}},
	{"audit: a change's entry is in its transaction, a read's is committed before the answer", func(t *testing.T, _ *world) {
		var broken flaky
		w := newWorld(t, broken.store)
		id := w.make("ada", simple)
		broken.noAudit.Store(true)
		for _, request := range []struct{ method, path, body string }{
			{"POST", "", simple}, {"PUT", id, `{"limit_amount": 7}`}, {"PUT", id, `{}`}, {"DELETE", id, ""}, {"GET", id, ""}, {"GET", "", ""}, {"GET", id + "/usage", ""},
		} {
			w.want(503, "", "ada", request.method, budgets+request.path, request.body)
		}
		broken.noAudit.Store(false)
		w.want(200, `{"budgets": [`+with(whole, `"id": "`+id+`"`)+`], "total": 1, "page": 1, "size": 10}`, "ada", "GET", budgets, "")
	}},
	{"GET /api/v1/audit", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.set("2026-03-15T10:00:00Z")
		w.want(200, "", "ada", "GET", budgets+id, "")
		w.set("2026-03-15T11:00:00Z")
		w.want(200, "", "reader", "GET", budgets+id, "")
		w.make("acme-ada", simple)
		for query, want := range map[string]string{
			"":                          "create_budget/ada get_budget/reader get_budget/ada create_budget/ada",
			"action=get_budget":         "get_budget/reader get_budget/ada",
			"user_id=ada":               "create_budget/ada get_budget/ada create_budget/ada",
			"resource_id=" + id:         "get_budget/reader get_budget/ada create_budget/ada",
			"from=2026-03-15T10:00:00Z": "create_budget/ada get_budget/reader get_budget/ada",
			"to=2026-03-15T11:00:00Z":   "get_budget/ada create_budget/ada",
			"from=2026-03-15T10:00:00%2B00:00&to=2026-03-15T11:00:00Z": "get_budget/ada",
			"user_id=ada&action=get_budget&resource_id=" + id:          "get_budget/ada",
			"user_id=nobody": "",
		} {
			var got []string
			for _, e := range w.audit(t, query) {
				got = append(got, e.Action+"/"+e.UserID)
			}
			if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
		w.want(200, `{"entries": [{"id": "*", "time": "2026-03-15T11:00:00Z", "user_id": "ada", "tenant": "acme", "action": "create_budget", "resource_type": "budget",
			"resource_id": "*", "details": "*"}], "next": "*"}`, "admin", "GET", "/api/v1/audit/?limit=1", "")
		w.want(200, `{"entries": [], "next": null}`, "admin", "GET", "/api/v1/audit?user_id=nobody", "")
		for _, token := range []string{"ada", "bob", "reader", "updater", "deleter", "recorder"} {
			w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:admin is missing."}`,
				token, "GET", "/api/v1/audit", "")
		}
		for _, query := range []string{"from=yesterday", "to=2026", "limit=0", "limit=1001", "after=x", "action=%00", "to=0001-01-01T00:00:00Z", "from=0001-01-01T00:00:00Z", "to=1979-12-31T23:59:59Z", "from=2026-03-15T10:00:00Z&to=2026-03-15T10:00:00Z"} {
			w.want(422, "", "admin", "GET", "/api/v1/audit?"+query, "")
		}
	}},
	{"no permission implies another", func(_ *testing.T, w *world) {
		mine := func(id string) string { return w.make("creator", with(simple, `"user_id": "`+id+`"`)) }
		for token, may := range map[string]string{
			"bob": "", "reader": "get", "updater": "put", "deleter": "delete", "recorder": "", "admin": "get put delete", "creator": "",
		} {
			for verb, request := range map[string]struct{ method, body string }{"get": {"GET", ""}, "put": {"PUT", "{}"}, "delete": {"DELETE", ""}} {
				a := w.do(token, request.method, budgets+mine("eve"), request.body)
				if may := strings.Contains(may, verb); may != (a.status == 200) || !may && a.status != 404 && token != "reader" {
					w.t.Errorf("%s as %s: %d", verb, token, a.status)
				}
			}
		}
	}},
	{"wildcards", func(_ *testing.T, w *world) {
		id := w.make("creator", with(simple, `"user_id": "eve"`))
		for token, may := range map[string][4]int{
			// get, put, post for another, audit
			"star": {200, 200, 200, 200}, "budgets-star": {200, 200, 200, 200}, "admin": {200, 200, 200, 200},
			"any-read": {200, 403, 403, 403}, "inside": {404, 404, 403, 403},
		} {
			w.want(may[0], "", token, "GET", budgets+id, "")
			w.want(may[1], "", token, "PUT", budgets+id, `{}`)
			w.want(may[2], "", token, "POST", budgets, with(simple, `"user_id": "eve"`))
			w.want(may[3], "", token, "GET", "/api/v1/audit", "")
		}
	}},
	{"get, usage, alerts: own always, another's with read", func(_ *testing.T, w *world) {
		own, other := w.make("creator", with(simple, `"user_id": "bob"`)), w.make("creator", with(simple, `"user_id": "eve"`))
		nobodys := w.make("creator", with(simple, `"scope": {}`))
		for _, route := range []string{"", "/usage", "/alerts"} {
			w.want(200, "", "bob", "GET", budgets+own+route, "")
			w.want(404, "", "bob", "GET", budgets+other+route, "")
			w.want(404, "", "bob", "GET", budgets+nobodys+route, "")
			for _, id := range []string{own, other, nobodys} {
				w.want(200, "", "reader", "GET", budgets+id+route, "")
			}
		}
	}},
	{"list: own ones with no permission and no user_id needed, all or by user_id with read", func(_ *testing.T, w *world) {
		w.make("creator", with(simple, `"user_id": "bob"`))
		w.make("creator", with(simple, `"user_id": "eve"`))
		w.make("creator", with(simple, `"scope": {}`))
		w.wantMembers(`{"total": 1}`, "bob", "GET", budgets, "")
		w.wantMembers(`{"total": 3}`, "reader", "GET", budgets, "")
		w.wantMembers(`{"total": 1}`, "reader", "GET", budgets+"?user_id=eve", "")
		w.wantMembers(`{"total": 0}`, "reader", "GET", budgets+"?user_id=reader", "")
	}},
	{"create: own with create, with a key that is not the caller's, another's or one without owner with create and admin", func(_ *testing.T, w *world) {
		bodies := map[string]string{
			"own": simple, "own key": with(simple, `"api_key_id": "ada-key"`), "other key": with(simple, `"api_key_id": "bob-key"`),
			"another's": with(simple, `"user_id": "eve"`), "another's, own key": with(simple, `"user_id": "eve", "api_key_id": "ada-key"`),
			"no owner": with(simple, `"scope": {}`),
		}
		for name, body := range bodies {
			status := 403
			if strings.HasPrefix(name, "own") {
				status = 200
			}
			w.want(status, "", "ada", "POST", budgets, body)
			w.want(403, "", "bob", "POST", budgets, body)
			w.want(403, "", "reader", "POST", budgets, body)
			w.want(200, "", "creator", "POST", budgets, body)
		}
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:admin is missing."}`,
			"ada", "POST", budgets, bodies["other key"])
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:create is missing."}`,
			"bob", "POST", budgets, bodies["other key"])
	}},
	{"update, delete: own only if the owner created it, else update / delete", func(_ *testing.T, w *world) {
		mine, set := w.make("ada", simple), w.make("creator", with(simple, `"user_id": "ada"`))
		w.want(200, "", "ada", "PUT", budgets+mine, `{"limit_amount": 1}`)
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:update is missing."}`,
			"ada", "PUT", budgets+set, `{"limit_amount": 1}`)
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:delete is missing."}`,
			"ada", "DELETE", budgets+set, "")
		w.want(404, "", "creator", "PUT", budgets+set, `{}`) // having made it gives no right to it
		w.want(404, "", "updater", "DELETE", budgets+set, "")
		w.want(404, "", "deleter", "PUT", budgets+set, `{}`)
		w.want(200, "", "updater", "PUT", budgets+set, `{"limit_amount": 5}`)
		w.want(200, "", "updater", "PUT", budgets+mine, `{"limit_amount": 5}`)
		w.want(200, "", "deleter", "DELETE", budgets+set, "")
		w.want(200, "", "ada", "DELETE", budgets+mine, "")
	}},
	{"mended: the stored period never rolls over", func(_ *testing.T, w *world) {
		id := w.make("ada", with(simple, `"period_type": "daily"`))
		for day := 15; day < 19; day++ {
			w.set(fmt.Sprintf("2026-03-%dT12:00:00Z", day))
			w.wantMembers(`{"current_usage": 0}`, "ada", "GET", budgets+id, "")
			w.use("", "ada", "", int64(day), "0")
			w.wantMembers(fmt.Sprintf(`{"current_usage": %d, "period_start": "2026-03-%dT00:00:00Z"}`, day, day), "ada", "GET", budgets+id, "")
		}
		w.set("2031-01-01T00:00:00Z") // years later, too
		w.wantMembers(`{"current_usage": 0, "period_start": "2031-01-01T00:00:00Z"}`, "ada", "GET", budgets+id, "")
	}},
	{"mended: the owner raises, disables or deletes a budget that an administrator set for them", func(_ *testing.T, w *world) {
		id := w.make("creator", with(simple, `"user_id": "ada"`))
		w.want(403, "", "ada", "PUT", budgets+id, `{"limit_amount": 1000000}`)
		w.want(403, "", "ada", "PUT", budgets+id, `{"is_enabled": false}`)
		w.want(403, "", "ada", "PUT", budgets+id, `{}`)
		w.want(403, "", "ada", "DELETE", budgets+id, "")
		w.wantMembers(`{"limit_amount": 100, "is_enabled": true, "version": 1}`, "ada", "GET", budgets+id, "")
	}},
	{"mended: list without user_id is 403 for a plain user; holders of wildcards see only their own", func(_ *testing.T, w *world) {
		w.make("ada", simple)
		w.make("creator", with(simple, `"user_id": "bob"`))
		w.wantMembers(`{"total": 1}`, "bob", "GET", budgets, "")
		for _, token := range []string{"star", "budgets-star", "any-read", "admin"} {
			w.wantMembers(`{"total": 2}`, token, "GET", budgets, "")
		}
	}},
	{"mended: anyone who may create reads another's key through a budget on that key", func(_ *testing.T, w *world) {
		w.use("", "bob", "bob-key", 50, "0")
		w.want(403, "", "ada", "POST", budgets, with(simple, `"api_key_id": "bob-key"`))
		w.wantMembers(`{"total": 0}`, "ada", "GET", budgets, "")
	}},
	{"mended: a budget with neither user nor key counts everybody", func(_ *testing.T, w *world) {
		w.use("", "bob", "", 50, "0")
		for _, nothing := range []string{`null`, `""`} {
			w.wantMembers(`{"current_usage": 0, "user_id": "creator"}`, "creator", "POST", budgets, with(simple, `"user_id": `+nothing, `"api_key_id": `+nothing))
		}
		w.wantMembers(`{"current_usage": 50, "user_id": null}`, "creator", "POST", budgets, with(simple, `"scope": {}`))
	}},
	{"mended: POST answers current_usage 0 although usage exists", func(_ *testing.T, w *world) {
		w.use("", "ada", "", 50, "0")
		w.wantMembers(`{"current_usage": 50, "usage_percentage": 50}`, "ada", "POST", budgets, simple)
	}},
	{"mended: binary floats", func(_ *testing.T, w *world) {
		w.use("", "ada", "", 1, "4.52")
		eighty := w.make("ada", with(dollars, `"limit_amount": 5.65`))
		w.wantMembers(`{"usage_percentage": 80, "level": "warning"}`, "ada", "GET", budgets+eighty, "")
		w.use("acme", "ada", "", 1, "0.09")
		w.wantMembers(`{"usage_percentage": 90, "level": "critical"}`, "acme-ada", "POST", budgets, with(dollars, `"limit_amount": 0.10`))
	}},
	{"mended: one SUM over the raw rows per budget and read", func(t *testing.T, _ *world) {
		var steps steps
		w := newWorld(t, steps.counted)
		id := w.make("ada", simple)
		read := func() int64 {
			before := steps.n.Load()
			w.want(200, "", "ada", "GET", budgets+id, "")
			return steps.n.Load() - before
		}
		few := read()
		for range 50 {
			w.use("", "ada", "", 1, "0")
		}
		if many := read(); few != many || many > 3 {
			t.Errorf("a budget takes %d steps without usage, %d with 50 events", few, many)
		}
	}},
	{"mended: budgets only report, nothing is ever refused", func(t *testing.T, w *world) {
		w.make("ada", simple)
		if _, err := w.reserve("ada", 101); !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("a reservation of more than the limit: %v", err)
		}
		w.use("", "ada", "", 500, "0") // recording never is
	}},
	{"mended: no dedupe of usage rows", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		for _, outcome := range []string{"recorded", "duplicate"} {
			w.want(200, `{"results": [{"id": "once", "status": "`+outcome+`", "errors": []}]}`, "recorder", "POST", "/api/v1/events",
				`{"id": "once", "time": "2026-03-15T09:00:00Z", "user": "ada", "input_tokens": 7}`)
		}
		w.wantMembers(`{"current_usage": 7}`, "ada", "GET", budgets+id, "")
	}},
	{"mended: retries of a create make two", func(t *testing.T, w *world) {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if a := w.do("ada", "POST", budgets, simple, "Idempotency-Key: retried"); a.status != 200 {
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
		group.Wait()
		w.wantMembers(`{"total": 1}`, "ada", "GET", budgets, "")
	}},
	{"mended: last write wins", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		read := w.want(200, "", "ada", "GET", budgets+id, "")
		w.want(200, "", "updater", "PUT", budgets+id, `{"limit_amount": 7}`)
		w.want(409, "", "ada", "PUT", budgets+id, with(read.body, `"name": "other"`))
		w.want(412, "", "ada", "PUT", budgets+id, `{"name": "other"}`, "If-Match: "+read.header.Get("ETag"))
		w.wantMembers(`{"limit_amount": 7, "name": "n"}`, "ada", "GET", budgets+id, "")
	}},
	{"mended: audit events are flushed and never committed; before-values of three fields only", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		w.want(200, "", "ada", "PUT", budgets+id, `{"description": "x", "metadata": {"a": 1}}`)
		// Another ledger on the same store sees it.
		entries, err := budget.NewLedger(w.store, nil).Audit(t.Context(), budget.AuditQuery{Action: "update_budget"})
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v, %v", entries, err)
		}
		want := `{"updated_fields": ["description", "metadata"], "before_values": {"description": null, "metadata": {}},
			"after_values": {"description": "x", "metadata": {"a": 1}}}`
		if diff := diffJSON(want, string(entries[0].Details)); diff != "" {
			t.Errorf("details (-want +got):\n%s", diff)
		}
	}},
	{"mended: threshold 0 warns at zero usage", func(_ *testing.T, w *world) {
		id := w.make("ada", with(simple, `"alert_threshold_percent": 0`))
		w.want(200, `[]`, "ada", "GET", budgets+id+"/alerts", "")
		w.use("", "ada", "", 1, "0")
		a := w.want(200, "", "ada", "GET", budgets+id+"/alerts", "")
		if !strings.Contains(a.body, `"alert_type":"warning"`) {
			w.t.Error(a.body)
		}
	}},
	{"mended: usage later than now counts in the total but not in the history", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		w.use("", "ada", "", 7, "0", morning.Add(5*time.Minute))
		w.wantMembers(`{"current_usage": 7, "usage_history": [{"date": "2026-03-15", "usage": 7, "tokens": 7, "cost_dollars": 0, "requests": 1}]}`,
			"ada", "GET", budgets+id+"/usage", "")
		w.want(200, `{"results": [{"id": "late", "status": "invalid", "errors": "*"}]}`, "recorder", "POST", "/api/v1/events",
			`{"id": "late", "time": "2026-03-15T09:35:00.000001Z", "user": "ada", "input_tokens": 7}`)
	}},
	{"mended: an explicit null, Infinity or 1e-300 is stored and makes every list with that row 500", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		for _, body := range []string{
			`{"limit_amount": null}`, `{"limit_amount": Infinity}`, `{"limit_amount": "Infinity"}`, `{"limit_amount": 1e-300}`,
			`{"name": null}`, `{"is_enabled": null}`, `{"alert_threshold_percent": null}`, `{"alert_threshold_percent": NaN}`,
		} {
			w.want(422, "", "ada", "PUT", budgets+id, body)
		}
		w.want(200, `{"budgets": [`+whole+`], "total": 1, "page": 1, "size": 10}`, "ada", "GET", budgets, "")
	}},
	{"mended: the work is committed, then the answer fails with 500", func(t *testing.T, _ *world) {
		var broken flaky
		w := newWorld(t, broken.store)
		broken.failViews.Store(2) // the store is away when the budget was made, and is to be read for the answer
		id := w.want(200, whole, "ada", "POST", budgets, simple).member(t, "id")
		broken.failViews.Store(2)
		w.wantMembers(`{"limit_amount": 7, "version": 2}`, "ada", "PUT", budgets+id, `{"limit_amount": 7}`)
	}},
	{"mended: user_id \"abc\" is 500, \"1_0\" is user 10, \"0\" counts everybody", func(_ *testing.T, w *world) {
		w.use("", "10", "", 50, "0")
		for _, user := range []string{"abc", "1_0", "0"} {
			w.wantMembers(`{"user_id": "`+user+`", "current_usage": 0}`, "creator", "POST", budgets, with(simple, `"user_id": "`+user+`"`))
			w.wantMembers(`{"total": 1}`, "reader", "GET", budgets+"?user_id="+user, "")
		}
	}},
	{"mended: another's id is 403, an unknown one 404", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		for _, request := range []struct{ method, route, body string }{
			{"GET", "", ""}, {"GET", "/usage", ""}, {"GET", "/alerts", ""}, {"PUT", "", `{"limit_amount": 5}`}, {"DELETE", "", ""},
		} {
			another := w.do("bob", request.method, budgets+id+request.route, request.body)
			unknown := w.do("bob", request.method, budgets+"01a201fd-99d7-7423-bbaa-8f801e18d9d7"+request.route, request.body)
			if another.status != 404 || another.status != unknown.status || another.body != unknown.body {
				t.Errorf("%s %s: %d %s, of an unknown one %d %s", request.method, request.route, another.status, another.body, unknown.status, unknown.body)
			}
		}
	}},
	{"mended: 99.96 % reads \"100.0 %\" and critical", func(_ *testing.T, w *world) {
		id := w.make("ada", with(simple, `"limit_amount": 10000`))
		w.use("", "ada", "", 9996, "0")
		w.want(200, `[{"budget_id": "`+id+`", "budget_name": "n", "alert_type": "critical", "current_usage": 9996, "limit_amount": 10000,
			"usage_percentage": 99.96, "message": "Budget \"n\" has used 99.9% of its limit (critical)"}]`, "ada", "GET", budgets+id+"/alerts", "")
	}},
	{"mended: the history's first day is cut at the hour of asking", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		w.use("", "ada", "", 7, "0", time.Date(2026, 2, 13, 0, 0, 0, 0, time.UTC))
		w.set("2026-03-15T23:59:59Z")
		w.wantMembers(`{"usage_history": [{"date": "2026-02-13", "usage": 7, "tokens": 7, "cost_dollars": 0, "requests": 1}]}`, "ada", "GET", budgets+id+"/usage", "")
	}},
	{"mended: usage on a bound is missed or counted by the text form of its time", func(_ *testing.T, w *world) {
		for i, at := range []string{
			"2026-03-14T23:59:59.999999Z", "2026-03-15T00:00:00Z", "2026-03-15T01:00:00.000+01:00", "2026-03-15T09:30:00.1Z", "2026-03-15T09:30:00.100000Z",
		} {
			w.want(200, "", "recorder", "POST", "/api/v1/events", fmt.Sprintf(`{"id": "%d", "time": %q, "user": "ada", "input_tokens": %d}`, i, at, 1<<(4*i)))
		}
		w.wantMembers(`{"current_usage": 69904}`, "ada", "POST", budgets, with(simple, `"period_type": "daily"`)) // 16 + 256 + 4096 + 65536
	}},
	{"changed: unknown members 422; 401 before malformed JSON; problem documents", func(_ *testing.T, w *world) {
		w.wantFields("colour", "ada", "POST", budgets, with(simple, `"colour": "red"`))
		w.want(401, `{"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "*"}`, "", "POST", budgets, `{"name": `)
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "body: must be a JSON object",
			"errors": [{"field": "body", "message": "must be a JSON object"}]}`, "ada", "POST", budgets, `{"name": `)
	}},
	{"changed: times with Z; no true for 1 or \"yes\" for true; control characters 422", func(_ *testing.T, w *world) {
		w.wantMembers(`{"created_at": "2026-03-15T09:30:00Z"}`, "ada", "POST", budgets, simple)
		for _, sent := range []string{`1`, `"yes"`, `"true"`} {
			w.wantFields("is_enabled", "ada", "POST", budgets, with(simple, `"is_enabled": `+sent))
		}
		w.wantFields("limit_amount", "ada", "POST", budgets, with(simple, `"limit_amount": true`))
		w.wantFields("name description", "ada", "POST", budgets, with(simple, `"name": "a\u0007", "description": "b\u0000"`))
	}},
	{"changed: a fractional limit in tokens or requests 422", func(_ *testing.T, w *world) {
		for _, metric := range []string{"tokens", "requests"} {
			w.wantFields("limit_amount", "ada", "POST", budgets, with(simple, `"budget_type": "`+metric+`", "limit_amount": 10.5`))
			w.wantMembers(`{"limit_amount": 10}`, "ada", "POST", budgets, with(simple, `"budget_type": "`+metric+`", "limit_amount": 10.0`))
		}
	}},
	{"changed: hard by default; * grants all; alerts name the cut percentage", func(_ *testing.T, w *world) {
		w.wantMembers(`{"enforcement": "hard"}`, "ada", "POST", budgets, simple)
		id := w.make("star", with(simple, `"limit_amount": 3, "user_id": "eve"`))
		w.use("", "eve", "", 2, "0")
		w.want(200, "", "star", "PUT", budgets+id, `{"alert_threshold_percent": 50}`)
		a := w.want(200, "", "star", "GET", budgets+id+"/alerts", "")
		if !strings.Contains(a.body, "66.6%") {
			w.t.Error(a.body)
		}
		w.want(200, "", "star", "DELETE", budgets+id, "")
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
func (w *world) wantAudit(t testing.TB, action, members string) {
	t.Helper()
	a := w.want(200, "", "admin", "GET", "/api/v1/audit?limit=1", "")
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

// An auditEntry is one of GET /api/v1/audit.
type auditEntry struct {
	Action string
	UserID string `json:"user_id"`
}

// audit returns the audit, newest first, read page by page.
func (w *world) audit(t testing.TB, query string) []auditEntry {
	t.Helper()
	var all []auditEntry
	for after := ""; ; {
		var page struct {
			Entries []auditEntry
			Next    *string
		}
		a := w.want(200, "", "admin", "GET", "/api/v1/audit?limit=2&"+query+after, "")
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Entries...)
		if page.Next == nil {
			return all
		}
		after = "&after=" + *page.Next
	}
}

// reserve asks for room for some tokens of a user's.
func (w *world) reserve(user string, tokens int64) (*budget.Reservation, error) {
	w.t.Helper()
	return w.ledger.Reserve(w.t.Context(), budget.Request{
		Subject: usage.Subject{User: user}, Estimate: usage.Amounts{InputTokens: tokens},
	})
}

// verify says what of the store's figures does not agree with its events.
func (w *world) verify() string {
	w.t.Helper()
	v, err := w.ledger.Verify(w.t.Context(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return cmp.Diff([]budget.Difference(nil), v.Differences)
}
