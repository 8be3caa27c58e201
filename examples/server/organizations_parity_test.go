package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func TestOrganizationsParity(t *testing.T) { testParity(t, organizationsParity) }

// organizationsParity is what the users of the API of organizations must find again.
var organizationsParity = []parityRow{
	// The routes.
	{"GET /api/token-usage/overview: one object per organization, by id", func(_ *testing.T, w *world) {
		w.spend("10", "2026-03-10T12:00:00Z", "1")
		w.want(200, `[{
			"org_id": "10", "org_name": "10", "org_slug": null,
			"credits_total": 0, "credits_used": 0, "credits_remaining": null, "credits_percent_used": null,
			"token_budget_usd": null, "total_cost_usd": 1, "budget_percent_used": null, "budget_warning_percent": 80,
			"total_input_tokens": 0, "total_output_tokens": 0, "total_api_calls": 1, "total_refreshes": 0, "cost_per_credit": null
		}]`, "admin", "GET", "/api/token-usage/overview", "")
	}},
	{"ids of digits only by number, then the others as text", func(t *testing.T, w *world) {
		huge := "1" + strings.Repeat("0", 40)
		for _, id := range []string{"b", "10", "9", "B", "007", "7", "1a", huge, "0", "-1", "٣"} {
			w.want(200, "", "admin", "PUT", "/api/v1/tenants/"+id, `{}`)
		}
		w.wantOrder("0", "007", "7", "9", "10", huge, "-1", "1a", "B", "b", "٣")
	}},
	{"GET /api/token-usage/{org_id}: its months that have usage, newest first", func(_ *testing.T, w *world) {
		w.spend("acme", "2026-01-31T23:59:59.999999Z", "0.25")
		w.spend("acme", "2026-03-01T00:00:00Z", "1")
		w.spend("acme", "2026-03-14T00:00:00Z", "2")
		w.want(200, `[
			{"year_month": "2026-03", "input_tokens": 0, "output_tokens": 0, "cache_creation_tokens": 0, "cache_read_tokens": 0,
				"total_cost_usd": 3, "api_calls": 2, "refresh_count": 0},
			{"year_month": "2026-01", "input_tokens": 0, "output_tokens": 0, "cache_creation_tokens": 0, "cache_read_tokens": 0,
				"total_cost_usd": 0.25, "api_calls": 1, "refresh_count": 0}
		]`, "admin", "GET", "/api/token-usage/acme", "")
	}},
	{"an organization without usage has no months", func(_ *testing.T, w *world) {
		w.want(200, "", "admin", "PUT", "/api/v1/tenants/new", `{"name": "New"}`)
		w.want(200, `[]`, "admin", "GET", "/api/token-usage/new", "")
	}},
	{"GET /api/token-usage/{org_id}/current: the current month and the budget", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme", "credits_total": 100, "cost_per_credit": 0.5, "token_budget_usd": 50, "budget_warning_percent": 70}`)
		w.spend("acme", "2026-02-28T23:59:59Z", "7")
		w.record(usage.Event{
			ID: "e", Time: w.now.Now(), Subject: usage.Subject{Tenant: "acme"},
			Amounts: usage.Amounts{InputTokens: 10, OutputTokens: 4, CacheReadTokens: 3, Runs: 2, Cost: new(dec("2.125"))},
		})
		w.want(200, `{
			"year_month": "2026-03",
			"usage": {"input_tokens": 10, "output_tokens": 4, "total_cost_usd": 2.125, "api_calls": 1, "refresh_count": 2},
			"budget": {"credits_total": 100, "credits_used": 4.3, "credits_remaining": 95, "credits_percent_used": 4.3,
				"token_budget_usd": 50, "cost_per_credit": 0.5, "budget_warning_percent": 70}
		}`, "admin", "GET", "/api/token-usage/acme/current", "")
	}},
	{"PUT /api/token-usage/budget/{license_id}: ok", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		w.want(200, `{"ok": true}`, "admin", "PUT", "/api/token-usage/budget/"+id, `{"token_budget_usd": 12.50}`)
		w.want(200, `{"id": "*", "tenant": "acme", "active": true, "credits_total": null, "cost_per_credit": null,
			"token_budget_usd": 12.5, "budget_warning_percent": null, "starts_at": "2026-03-15T09:30:00Z", "ends_at": null,
			"credits_used": 0, "created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`,
			"admin", "GET", "/api/v1/licenses/"+id, "")
	}},
	{"with and without the final slash, in part B too", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		for _, path := range []string{"/api/token-usage/overview", "/api/token-usage/acme", "/api/token-usage/acme/current"} {
			if with, without := w.do("admin", "GET", path+"/", ""), w.do("admin", "GET", path, ""); with.status != 200 || with.body != without.body {
				w.t.Errorf("%s/: %d %s, and without the slash %s", path, with.status, with.body, without.body)
			}
		}
		w.want(200, `{"ok": true}`, "admin", "PUT", "/api/token-usage/budget/"+id+"/", `{"credits_total": 1}`)
	}},
	{"all routes: platform:budgets:admin", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		const missing = `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:admin is missing."}`
		for _, token := range []string{"bob", "reader", "updater", "deleter", "ada", "recorder"} {
			w.want(403, missing, token, "GET", "/api/token-usage/overview", "")
			w.want(403, missing, token, "GET", "/api/token-usage/acme", "")
			w.want(403, missing, token, "GET", "/api/token-usage/acme/current", "")
			w.want(403, missing, token, "PUT", "/api/token-usage/budget/"+id, `{"credits_total": 1}`)
		}
		w.want(200, "", "creator", "GET", "/api/token-usage/overview", "")
	}},
	{"order of checks: 401, 403, 422, 404, 400", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		w.want(401, "", "", "PUT", "/api/token-usage/budget/none", `{"credits_total": -1}`)
		w.want(403, "", "bob", "PUT", "/api/token-usage/budget/none", `{"credits_total": -1}`)
		w.want(422, "", "admin", "PUT", "/api/token-usage/budget/none", `{"credits_total": -1}`)
		w.want(422, "", "admin", "PUT", "/api/token-usage/budget/none", `{`)
		w.want(404, "", "admin", "PUT", "/api/token-usage/budget/none", `{}`)
		w.want(400, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{}`)
	}},
	{"part B shows a token with a tenant its own organization only", func(_ *testing.T, w *world) {
		acme, globex := w.license("admin", `{"tenant": "acme"}`), w.license("admin", `{"tenant": "globex"}`)
		w.wantOrder("acme", "globex")
		w.want(200, `[{"org_id": "acme", "org_name": "*", "org_slug": null,
			"credits_total": 0, "credits_used": 0, "credits_remaining": null, "credits_percent_used": null,
			"token_budget_usd": null, "total_cost_usd": 0, "budget_percent_used": null, "budget_warning_percent": 80,
			"total_input_tokens": 0, "total_output_tokens": 0, "total_api_calls": 0, "total_refreshes": 0, "cost_per_credit": null}]`,
			"acme-admin", "GET", "/api/token-usage/overview", "")
		w.want(200, "", "acme-admin", "GET", "/api/token-usage/acme", "")
		w.want(404, noTenant, "acme-admin", "GET", "/api/token-usage/globex", "")
		w.want(404, noTenant, "acme-admin", "GET", "/api/token-usage/globex/current", "")
		w.want(404, noLicense, "acme-admin", "PUT", "/api/token-usage/budget/"+globex, `{"credits_total": 1}`)
		w.want(404, noLicense, "acme-admin", "PUT", "/api/token-usage/budget/"+globex, `{}`)
		w.want(200, "", "acme-admin", "PUT", "/api/token-usage/budget/"+acme, `{"credits_total": 1}`)
		w.want(200, "", "globex-admin", "GET", "/api/v1/licenses/"+globex, "")
	}},

	// Organizations and licenses.
	{"an organization is a tenant of the directory: id, name, slug", func(_ *testing.T, w *world) {
		w.want(200, `{"id": "7", "name": "Seven", "slug": "seven", "licenses": [], "created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`,
			"admin", "PUT", "/api/v1/tenants/7", `{"name": "Seven", "slug": "seven"}`)
		w.wantOrganization("7", `"org_id": "7", "org_name": "Seven", "org_slug": "seven"`)
	}},
	{"org_id is its id, as text", func(_ *testing.T, w *world) {
		for _, id := range []string{"007", "a b", "a/b", "ü;?#%", "budget"} {
			w.spend(id, "2026-03-10T12:00:00Z", "1")
			w.wantOrganization(id, `"org_id": `+asJSON(id))
			path := "/api/token-usage/" + escaped(id)
			w.want(200, `[{"year_month": "2026-03", "input_tokens": 0, "output_tokens": 0, "cache_creation_tokens": 0,
				"cache_read_tokens": 0, "total_cost_usd": 1, "api_calls": 1, "refresh_count": 0}]`, "admin", "GET", path, "")
			w.want(200, "", "admin", "GET", path+"/current", "")
		}
	}},
	{"a tenant with usage that is not in the directory has its row too, named by its id, slug null", func(_ *testing.T, w *world) {
		w.spend("unlisted", "2026-03-10T12:00:00Z", "1")
		w.wantOrganization("unlisted", `"org_name": "unlisted", "org_slug": null`)
		w.want(200, "", "admin", "GET", "/api/token-usage/unlisted", "")
		w.want(200, "", "admin", "GET", "/api/token-usage/unlisted/current", "")
	}},
	{"usage without a tenant is no organization's", func(_ *testing.T, w *world) {
		w.spend("", "2026-03-10T12:00:00Z", "1")
		w.want(200, `[]`, "admin", "GET", "/api/token-usage/overview", "")
	}},
	{"POST /api/v1/licenses: active, starting now and without values unless said", func(_ *testing.T, w *world) {
		w.want(200, `{"id": "*", "tenant": "acme", "active": true, "credits_total": null, "cost_per_credit": null, "token_budget_usd": null,
			"budget_warning_percent": null, "starts_at": "2026-03-15T09:30:00Z", "ends_at": null, "credits_used": 0,
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`,
			"admin", "POST", "/api/v1/licenses", `{"tenant": "acme"}`)
		w.want(200, `{"id": "*", "tenant": "acme", "active": false, "credits_total": 1000, "cost_per_credit": 0.01, "token_budget_usd": 12.5,
			"budget_warning_percent": 0, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z", "credits_used": 0,
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`,
			"admin", "POST", "/api/v1/licenses", `{"tenant": "acme", "active": false, "credits_total": 1e3, "cost_per_credit": "0.01",
				"token_budget_usd": 12.50, "budget_warning_percent": 0, "starts_at": "2026-01-01T01:00:00+01:00", "ends_at": "2027-01-01T00:00:00Z"}`)
	}},
	{"PUT /api/v1/licenses/{id}: active, times", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 10}`)
		w.want(200, `{"id": "*", "tenant": "acme", "active": false, "credits_total": 10, "cost_per_credit": null, "token_budget_usd": null,
			"budget_warning_percent": null, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-12-31T00:00:00Z", "credits_used": 0,
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`, "admin", "PUT", "/api/v1/licenses/"+id,
			`{"active": false, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-12-31T00:00:00Z"}`)
		w.wantOrganization("acme", `"credits_total": 0`)
		w.want(200, `{"id": "*", "tenant": "acme", "active": true, "credits_total": 10, "cost_per_credit": null, "token_budget_usd": null,
			"budget_warning_percent": null, "starts_at": "2026-01-01T00:00:00Z", "ends_at": null, "credits_used": 0,
			"created_at": "*", "updated_at": "*"}`, "admin", "PUT", "/api/v1/licenses/"+id, `{"active": true, "ends_at": null}`)
		w.wantOrganization("acme", `"credits_total": 10`)
	}},
	{"a license is at most two soft lifetime budgets that carry its id as a label, warning at 80", func(t *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 100, "cost_per_credit": 0.5, "token_budget_usd": 50,
			"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}`)
		page, err := w.ledger.List(t.Context(), budget.Query{Labels: map[string]string{"license": id}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range page.Rows {
			b := row.Budget
			got = append(got, fmt.Sprintf("%s of %s %s %s %s from %s to %s, warning at %s", b.Limit, b.Metric, b.Scope["tenant"], b.Schedule, b.Enforcement,
				b.StartsAt.Format(time.DateOnly), b.EndsAt.Format(time.DateOnly), b.Thresholds.WarningPercent()))
		}
		if diff := cmp.Diff([]string{
			"50 of dollars acme lifetime soft from 2026-01-01 to 2027-01-01, warning at 80",
			"100 of credits acme lifetime soft from 2026-01-01 to 2027-01-01, warning at 80",
		}, got); diff != "" {
			t.Errorf("budgets (-want +got):\n%s", diff)
		}
	}},
	{"only an active license counts; an inactive one is as none, but can be changed by PUT", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "active": false, "credits_total": 5, "budget_warning_percent": 10}`)
		const none = `"credits_total": 0, "credits_remaining": null, "budget_warning_percent": 80, "token_budget_usd": null`
		w.wantOrganization("acme", none)
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": 6, "token_budget_usd": 7}`)
		w.wantOrganization("acme", none)
		w.want(200, "", "admin", "PUT", "/api/v1/licenses/"+id, `{"active": true}`)
		w.wantOrganization("acme", `"credits_total": 6, "credits_remaining": 6, "budget_warning_percent": 10, "token_budget_usd": 7`)
	}},
	{"of several active licenses the one made last counts", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme", "credits_total": 1, "starts_at": "2026-03-01T00:00:00Z"}`)
		last := w.license("admin", `{"tenant": "acme", "credits_total": 2, "starts_at": "2026-01-01T00:00:00Z"}`)
		w.wantOrganization("acme", `"credits_total": 2`)
		w.want(200, "", "admin", "PUT", "/api/v1/licenses/"+last, `{"active": false}`)
		w.wantOrganization("acme", `"credits_total": 1`)
	}},
	{"credits_used: cost / cost_per_credit of each event, rounded half up to 1e-6, at the rate in force at its time", func(t *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "cost_per_credit": 2, "starts_at": "2026-03-01T00:00:00Z"}`)
		w.spend("acme", "2026-03-02T00:00:00Z", "0.000001") // 0.5e-6 credits are 1e-6
		w.spend("acme", "2026-03-03T00:00:00Z", "0.000001")
		w.spend("acme", "2026-02-28T00:00:00Z", "100") // before its time
		w.wantUsed(id, "0.000002")
		w.set("2026-03-15T10:00:00Z")
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"cost_per_credit": 0.1}`)
		w.spend("acme", "2026-03-15T10:00:00Z", "1")
		w.spend("acme", "2026-03-15T09:59:59Z", "1") // late, at the rate of its time
		w.wantUsed(id, "10.500002")
	}},
	{"credits_used: without a rate usage adds none", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 10}`)
		w.spend("acme", "2026-03-15T09:30:00Z", "5")
		w.wantUsed(id, "0")
		w.wantOrganization("acme", `"credits_used": 0, "credits_remaining": 10, "credits_percent_used": 0`)
	}},
	{"credits_used: whether or not credits_total is set", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme", "cost_per_credit": 1}`)
		w.spend("acme", "2026-03-15T09:30:00Z", "5")
		w.wantOrganization("acme", `"credits_total": 0, "credits_used": 5, "credits_remaining": null, "credits_percent_used": null`)
	}},

	// The overview.
	{"overview: all its fields", func(_ *testing.T, w *world) {
		w.want(200, "", "admin", "PUT", "/api/v1/tenants/acme", `{"name": "Acme Inc.", "slug": "acme"}`)
		w.license("admin", `{"tenant": "acme", "credits_total": 200, "cost_per_credit": 0.03, "token_budget_usd": 16,
			"budget_warning_percent": 75, "starts_at": "2026-03-01T00:00:00Z"}`)
		w.spend("acme", "2025-12-01T00:00:00Z", "4")
		w.record(usage.Event{
			ID: "e", Time: w.now.Now(), Subject: usage.Subject{Tenant: "acme"},
			Amounts: usage.Amounts{
				InputTokens: 100, OutputTokens: 40, CacheCreationTokens: 20, CacheReadTokens: 10,
				Requests: new(int64(6)), Runs: 2, Cost: new(dec("2")),
			},
		})
		w.want(200, `[{
			"org_id": "acme", "org_name": "Acme Inc.", "org_slug": "acme",
			"credits_total": 200, "credits_used": 66.7, "credits_remaining": 133, "credits_percent_used": 33.3,
			"token_budget_usd": 16, "total_cost_usd": 6, "budget_percent_used": 12.5, "budget_warning_percent": 75,
			"total_input_tokens": 100, "total_output_tokens": 40, "total_api_calls": 7, "total_refreshes": 2, "cost_per_credit": 0.03
		}]`, "admin", "GET", "/api/token-usage/overview", "")
	}},
	{"overview: credits_used one decimal, rounded half up", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		for used, shown := range map[string]string{"0.05": "0.1", "0.049999": "0", "1.25": "1.3", "7.349999": "7.3", "12.95": "13"} {
			w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_used": `+used+`}`)
			w.wantOrganization("acme", `"credits_used": `+shown)
		}
	}},
	{"overview: credits_remaining is the whole part of total − used, not below 0", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		for _, tt := range [][3]string{
			{"100.9", "10.4", "90"}, {"10", "9.5", "0"}, {"10", "10", "0"}, {"10", "11", "0"}, {"10", "0.000001", "9"}, {"10", "0", "10"},
		} {
			w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": `+tt[0]+`, "credits_used": `+tt[1]+`}`)
			w.wantOrganization("acme", `"credits_remaining": `+tt[2])
		}
	}},
	{"overview: credits_percent_used one decimal, not capped", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		for _, tt := range [][3]string{
			{"200", "0.1", "0.1"},
			{"200", "0.099998", "0"},
			{"3", "1", "33.3"},
			{"3", "2", "66.7"},
			{"10", "15", "150"},
			{"10", "9.995", "100"},
			{"10", "9.994", "99.9"},
			{"3000000", "1500", "0.1"},
			{"3000000", "1499.999999", "0"},
		} {
			w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": `+tt[0]+`, "credits_used": `+tt[1]+`}`)
			w.wantOrganization("acme", `"credits_percent_used": `+tt[2])
		}
	}},
	{"overview: total_cost_usd two decimals, of all time, with or without license; 2.675 is 2.68", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme", "token_budget_usd": 1}`)
		for _, tenant := range []string{"acme", "free"} {
			w.spend(tenant, "2026-01-01T00:00:00Z", "2.675")
			w.wantOrganization(tenant, `"total_cost_usd": 2.68`)
			w.spend(tenant, "2026-03-15T00:00:00Z", "0.0099")
			w.wantOrganization(tenant, `"total_cost_usd": 2.68`)
			w.spend(tenant, "2026-03-15T00:00:01Z", "0.0001")
			w.wantOrganization(tenant, `"total_cost_usd": 2.69`)
		}
	}},
	{"overview: budget_percent_used one decimal from the unrounded cost in the license's time", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme", "token_budget_usd": 10, "starts_at": "2026-03-01T00:00:00Z", "ends_at": "2026-03-10T00:00:00Z"}`)
		w.spend("acme", "2026-02-28T23:59:59.999999Z", "7")
		w.spend("acme", "2026-03-10T00:00:00Z", "7")
		w.spend("acme", "2026-03-01T00:00:00Z", "1.0049")
		w.wantOrganization("acme", `"budget_percent_used": 10, "total_cost_usd": 15`)
		w.spend("acme", "2026-03-09T23:59:59.999999Z", "0.0001")
		w.wantOrganization("acme", `"budget_percent_used": 10.1, "total_cost_usd": 15.01`)
		w.spend("acme", "2026-03-05T00:00:00Z", "13.995")
		w.wantOrganization("acme", `"budget_percent_used": 150`)
	}},
	{"overview: api calls are requests, refreshes are runs, input tokens are without the cache classes", func(_ *testing.T, w *world) {
		w.record(usage.Event{
			ID: "e", Time: w.now.Now(), Subject: usage.Subject{Tenant: "acme"},
			Amounts: usage.Amounts{
				InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 4, CacheReadTokens: 8, TotalTokens: new(int64(99)),
				Requests: new(int64(0)), Runs: 16,
			},
		})
		w.wantOrganization("acme", `"total_input_tokens": 1, "total_output_tokens": 2, "total_api_calls": 0, "total_refreshes": 16`)
	}},
	{"overview: without license credits_total and credits_used are 0, what depends on one is null, the warning is at 80", func(_ *testing.T, w *world) {
		w.want(200, "", "admin", "PUT", "/api/v1/tenants/acme", `{}`)
		w.wantOrganization("acme", `"credits_total": 0, "credits_used": 0, "credits_remaining": null, "credits_percent_used": null,
			"token_budget_usd": null, "cost_per_credit": null, "budget_percent_used": null, "budget_warning_percent": 80,
			"total_cost_usd": 0, "total_input_tokens": 0, "total_output_tokens": 0, "total_api_calls": 0, "total_refreshes": 0`)
	}},
	{"overview: a license without values is as none", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme"}`)
		w.wantOrganization("acme", `"credits_total": 0, "credits_used": 0, "credits_remaining": null, "credits_percent_used": null,
			"token_budget_usd": null, "cost_per_credit": null, "budget_percent_used": null, "budget_warning_percent": 80`)
	}},
	{"a credits_total or token_budget_usd of 0 is kept and shown as 0, and has no remaining and no percentage", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme", "credits_total": 0, "token_budget_usd": 0, "cost_per_credit": 1}`)
		w.spend("acme", "2026-03-15T09:30:00Z", "5")
		w.wantOrganization("acme", `"credits_total": 0, "credits_used": 5, "credits_remaining": null, "credits_percent_used": null,
			"token_budget_usd": 0, "budget_percent_used": null`)
		w.wantBudget("acme", `"credits_total": 0, "credits_remaining": null, "credits_percent_used": null, "token_budget_usd": 0`)
	}},

	// Months and the current month.
	{"month: all its fields", func(_ *testing.T, w *world) {
		w.record(usage.Event{
			ID: "e", Time: w.now.Now(), Subject: usage.Subject{Tenant: "acme"},
			Amounts: usage.Amounts{
				InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 4, CacheReadTokens: 8, Runs: 16,
				Requests: new(int64(32)), Cost: new(dec("0.000000001")),
			},
		})
		w.want(200, `[{"year_month": "2026-03", "input_tokens": 1, "output_tokens": 2, "cache_creation_tokens": 4, "cache_read_tokens": 8,
			"total_cost_usd": 0.000000001, "api_calls": 32, "refresh_count": 16}]`, "admin", "GET", "/api/token-usage/acme", "")
	}},
	{"current: without usage and license there are zeros and nulls", func(_ *testing.T, w *world) {
		w.want(200, "", "admin", "PUT", "/api/v1/tenants/acme", `{}`)
		w.want(200, `{
			"year_month": "2026-03",
			"usage": {"input_tokens": 0, "output_tokens": 0, "total_cost_usd": 0, "api_calls": 0, "refresh_count": 0},
			"budget": {"credits_total": null, "credits_used": 0, "credits_remaining": null, "credits_percent_used": null,
				"token_budget_usd": null, "cost_per_credit": null, "budget_warning_percent": 80}
		}`, "admin", "GET", "/api/token-usage/acme/current", "")
	}},
	{"current: an unknown organization is 404", func(_ *testing.T, w *world) {
		w.want(404, noTenant, "admin", "GET", "/api/token-usage/nobody/current", "")
		w.want(404, noTenant, "admin", "GET", "/api/token-usage/nobody", "")
	}},
	{"--now: the month follows the clock", func(_ *testing.T, w *world) {
		w.spend("acme", "2026-03-15T09:00:00Z", "1")
		w.set("2026-04-01T00:00:00Z")
		w.spend("acme", "2026-04-01T00:00:00Z", "3")
		w.want(200, `{"year_month": "2026-04", "budget": "*",
			"usage": {"input_tokens": 0, "output_tokens": 0, "total_cost_usd": 3, "api_calls": 1, "refresh_count": 0}}`,
			"admin", "GET", "/api/token-usage/acme/current", "")
	}},

	// The change of a license.
	{"PUT: changes those present, and no others", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 1, "cost_per_credit": 2, "token_budget_usd": 3, "budget_warning_percent": 4}`)
		w.want(200, `{"ok": true}`, "admin", "PUT", "/api/token-usage/budget/"+id, `{"token_budget_usd": "30"}`)
		w.wantBudget("acme", `"credits_total": 1, "cost_per_credit": 2, "token_budget_usd": 30, "budget_warning_percent": 4`)
		w.want(200, `{"ok": true}`, "admin", "PUT", "/api/token-usage/budget/"+id,
			`{"credits_total": 10, "cost_per_credit": 20, "budget_warning_percent": 40, "credits_used": 5}`)
		w.wantBudget("acme", `"credits_total": 10, "credits_used": 5, "cost_per_credit": 20, "token_budget_usd": 30, "budget_warning_percent": 40`)
	}},
	{"PUT: all or none", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 1}`)
		w.want(422, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": 2, "credits_used": 3, "token_budget_usd": -1}`)
		w.wantBudget("acme", `"credits_total": 1, "credits_used": 0, "token_budget_usd": null`)
	}},
	{"PUT: null clears, credits_used to 0", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 1, "cost_per_credit": 2, "token_budget_usd": 3, "budget_warning_percent": 4}`)
		w.spend("acme", "2026-03-15T09:30:00Z", "5")
		w.wantBudget("acme", `"credits_used": 2.5`)
		w.want(200, `{"ok": true}`, "admin", "PUT", "/api/token-usage/budget/"+id,
			`{"credits_total": null, "cost_per_credit": null, "token_budget_usd": null, "budget_warning_percent": null, "credits_used": null}`)
		w.wantBudget("acme", `"credits_total": null, "cost_per_credit": null, "token_budget_usd": null, "budget_warning_percent": 80, "credits_used": 0`)
	}},
	{"PUT: amounts ≥ 0, cost_per_credit > 0, percent 0–100, else 422", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		for field, values := range map[string][]string{
			"token_budget_usd":       {"-1", "-0.000000001", "1e-10", "9223372036.854775808", "1e999", `"NaN"`, "true", `" 12"`, `"1_0"`, `""`, "[]", "{}"},
			"credits_total":          {"-1", "0.0000001", "9223372036854.775808", `"Infinity"`, "false", `"text"`},
			"cost_per_credit":        {"0", "-1", "1e-10", "0e5", `"0"`, "1e99"},
			"budget_warning_percent": {"-1", "100.000000001", "1000", "0.0000000001", `"80%"`},
			"credits_used":           {"-1", "0.0000001", "9223372036854.775808", strings.Repeat("9", 65)},
		} {
			for _, value := range values {
				a := w.want(422, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"`+field+`": `+value+`}`)
				if !strings.Contains(a.body, `"field":"`+field+`"`) {
					w.t.Errorf("%s of %s is refused without naming the field: %s", field, value, a.body)
				}
			}
		}
		w.wantBudget("acme", `"credits_total": null, "cost_per_credit": null, "token_budget_usd": null, "budget_warning_percent": 80, "credits_used": 0`)
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"token_budget_usd": 9223372036.854775807, "credits_total": 0,
			"cost_per_credit": 0.000000001, "budget_warning_percent": 100, "credits_used": 0.000001}`)
	}},
	{"PUT: unknown license 404, also with {}", func(_ *testing.T, w *world) {
		w.want(404, noLicense, "admin", "PUT", "/api/token-usage/budget/none", `{"credits_total": 1}`)
		w.want(404, noLicense, "admin", "PUT", "/api/token-usage/budget/none", `{}`)
		w.want(404, noLicense, "admin", "PUT", "/api/token-usage/budget/"+strings.Repeat("x", 128), `{}`)
	}},
	{"PUT: {} 400", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		w.want(400, `{"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "Keine Felder zum Aktualisieren"}`,
			"admin", "PUT", "/api/token-usage/budget/"+id, `{}`)
	}},
	{"PUT: an unknown member 422", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422,
			"detail": "active: is not a known field; credits: is not a known field",
			"errors": [{"field": "active", "message": "is not a known field"}, {"field": "credits", "message": "is not a known field"}]}`,
			"admin", "PUT", "/api/token-usage/budget/"+id, `{"credits": 1, "active": true, "credits_total": 5}`)
		w.wantBudget("acme", `"credits_total": null`)
	}},
	{"PUT: a new cost_per_credit holds for events from now on", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "cost_per_credit": 1}`)
		w.spend("acme", "2026-03-15T09:30:00Z", "3")
		w.set("2026-03-15T09:31:00Z")
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"cost_per_credit": 0.5}`)
		w.wantUsed(id, "3")
		w.spend("acme", "2026-03-15T09:31:00Z", "3")
		w.wantUsed(id, "9")
	}},
	{"PUT: setting credits_used writes an audited adjustment of the difference; later usage goes on top", func(t *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "cost_per_credit": 1}`)
		w.spend("acme", "2026-03-15T09:30:00Z", "3")
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_used": 10}`)
		w.wantUsed(id, "10")
		w.spend("acme", "2026-03-15T09:30:01Z", "2")
		w.wantUsed(id, "12")
		entries, err := w.ledger.Audit(t.Context(), budget.AuditQuery{Action: "adjust_budget"})
		if err != nil || len(entries) != 1 || entries[0].Actor != "admin" || entries[0].Tenant != "acme" || !strings.Contains(string(entries[0].After), `"amount":7`) {
			t.Errorf("the adjustment is audited as %+v, %v", entries, err)
		}
	}},
	{"audit: update_license_budget, license, {updated_fields, before_values, after_values} of every field sent", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 1, "cost_per_credit": 2}`)
		w.want(200, "", "creator", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": 5, "cost_per_credit": 2, "credits_used": 1.5, "token_budget_usd": null}`)
		w.wantTrail(`{"user_id": "creator", "resource_id": "` + id + `", "tenant": "acme", "details": {
			"updated_fields": ["cost_per_credit", "credits_total", "credits_used", "token_budget_usd"],
			"before_values": {"cost_per_credit": 2, "credits_total": 1, "credits_used": 0, "token_budget_usd": null},
			"after_values": {"cost_per_credit": 2, "credits_total": 5, "credits_used": 1.5, "token_budget_usd": null}}}`)
	}},
	{"audit: a change that changes nothing is a request too, one that was refused is none", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": 1}`)
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": 1}`)
		w.want(422, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": -1}`)
		w.want(400, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{}`)
		w.want(404, "", "globex-admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": 2}`)
		w.wantTrail(`{"user_id": "admin", "resource_id": "` + id + `", "tenant": "acme", "details": {
			"updated_fields": ["credits_total"], "before_values": {"credits_total": 1}, "after_values": {"credits_total": 1}}}`)
	}},

	// Defects mended.
	{"mended: two active licenses double all sums of the organization", func(_ *testing.T, w *world) {
		w.license("admin", `{"tenant": "acme", "credits_total": 1, "cost_per_credit": 1, "starts_at": "2026-01-01T00:00:00Z"}`)
		w.license("admin", `{"tenant": "acme", "credits_total": 10, "cost_per_credit": 2, "token_budget_usd": 8, "starts_at": "2026-01-01T00:00:00Z"}`)
		w.spend("acme", "2026-03-10T00:00:00Z", "4")
		w.wantOrder("acme")
		w.wantOrganization("acme", `"credits_total": 10, "credits_used": 2, "total_cost_usd": 4, "total_api_calls": 1, "budget_percent_used": 50`)
		w.wantMonths("acme", `"year_month": "2026-03", "total_cost_usd": 4, "api_calls": 1`)
	}},
	{"mended: the month is the server's local month", func(_ *testing.T, w *world) { // in another zone: TestTheMonthIsThatOfTheReportingZone
		w.spend("acme", "2026-02-28T23:59:59.999999Z", "1")
		w.spend("acme", "2026-03-01T00:00:00Z", "2")
		w.wantMonths("acme", `"year_month": "2026-03", "total_cost_usd": 2, "api_calls": 1`, `"year_month": "2026-02", "total_cost_usd": 1, "api_calls": 1`)
		w.set("2026-02-28T23:59:59Z")
		w.want(200, `{"year_month": "2026-02", "budget": "*",
			"usage": {"input_tokens": 0, "output_tokens": 0, "total_cost_usd": 1, "api_calls": 1, "refresh_count": 0}}`,
			"admin", "GET", "/api/token-usage/acme/current", "")
	}},
	{"mended: text or Infinity in one license makes the overview 500 for all", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		for _, value := range []string{`"text"`, `"Infinity"`, "Infinity", "NaN", `"NaN"`, "1e999", "-1e999"} {
			w.want(422, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"token_budget_usd": `+value+`}`)
			w.want(422, "", "admin", "POST", "/api/v1/licenses", `{"tenant": "acme", "credits_total": `+value+`}`)
		}
		w.wantOrganization("acme", `"token_budget_usd": null, "credits_total": 0`)
	}},
	{"mended: a warning percent of 0 can't be expressed; null is 80 here and null there", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "budget_warning_percent": 0}`)
		w.wantOrganization("acme", `"budget_warning_percent": 0`)
		w.wantBudget("acme", `"budget_warning_percent": 0`)
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"budget_warning_percent": null}`)
		w.wantOrganization("acme", `"budget_warning_percent": 80`)
		w.wantBudget("acme", `"budget_warning_percent": 80`)
	}},
	{"mended: credits_used is overwritten outright and races with the counter", func(t *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "cost_per_credit": 1, "starts_at": "2026-03-01T00:00:00Z"}`)
		const events = 20
		var all sync.WaitGroup
		for i := range events {
			all.Go(func() { w.spend("acme", fmt.Sprintf("2026-03-15T09:00:%02dZ", i), "1") })
		}
		for range 3 {
			all.Go(func() { w.do("admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_used": 100}`) })
		}
		all.Wait()
		w.verified()
		var counted, adjusted decimal.Decimal
		for status, err := range w.ledger.Statuses(t.Context(), budget.Query{IDs: []string{id + ".credits"}}, time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			counted, adjusted = status.Recorded, status.Adjusted
		}
		if !counted.Equal(decimal.NewFromInt(events)) {
			t.Errorf("%s credits are counted of %d events", counted, events)
		}
		w.wantUsed(id, counted.Add(adjusted).String())
	}},
	{"mended: no trace of who changed what", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		w.want(200, "", "acme-admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_total": 5}`)
		w.wantTrail(`{"user_id": "root", "resource_id": "` + id + `", "tenant": "acme", "details": {
			"updated_fields": ["credits_total"], "before_values": {"credits_total": null}, "after_values": {"credits_total": 5}}}`)
	}},
	{"mended: a null cost or used is 500", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme", "credits_total": null, "cost_per_credit": null, "token_budget_usd": null, "budget_warning_percent": null}`)
		w.record(usage.Event{ID: "e", Time: w.now.Now(), Subject: usage.Subject{Tenant: "acme"}}) // without a cost
		w.want(200, "", "admin", "PUT", "/api/token-usage/budget/"+id, `{"credits_used": null}`)
		w.wantOrganization("acme", `"credits_used": 0, "total_cost_usd": 0, "total_api_calls": 1`)
		w.wantBudget("acme", `"credits_used": 0`)
	}},
	{"mended: two rows for a month", func(_ *testing.T, w *world) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() { w.spend("acme", fmt.Sprintf("2026-03-0%dT00:00:00Z", i+1), "1") })
		}
		all.Wait()
		w.wantMonths("acme", `"year_month": "2026-03", "total_cost_usd": 8, "api_calls": 8`)
	}},
	{"mended: the cost of all time is set against one budget", func(_ *testing.T, w *world) {
		w.spend("acme", "2025-06-01T00:00:00Z", "90")
		w.license("admin", `{"tenant": "acme", "token_budget_usd": 100, "starts_at": "2026-01-01T00:00:00Z"}`)
		w.spend("acme", "2026-03-01T00:00:00Z", "10")
		w.wantOrganization("acme", `"total_cost_usd": 100, "budget_percent_used": 10`)
	}},
	{"mended: negatives, 1000 % and true are stored", func(_ *testing.T, w *world) {
		id := w.license("admin", `{"tenant": "acme"}`)
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*", "errors": [
			{"field": "credits_used", "message": "must be a number such as 12.5"},
			{"field": "token_budget_usd", "message": "must not be negative"},
			{"field": "budget_warning_percent", "message": "must be from 0 to 100"}]}`,
			"admin", "PUT", "/api/token-usage/budget/"+id, `{"token_budget_usd": -1, "budget_warning_percent": 1000, "credits_used": true}`)
	}},
	{"mended: an unknown organization has zeros", func(_ *testing.T, w *world) {
		w.want(404, noTenant, "admin", "GET", "/api/token-usage/12345", "")
		w.want(404, noTenant, "admin", "GET", "/api/token-usage/12345/current", "")
	}},
}

// What callers are told of what does not exist.
const (
	noTenant  = `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Tenant not found"}`
	noLicense = `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Lizenz nicht gefunden"}`
)

func TestTheMonthIsThatOfTheReportingZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	onEveryStoreIn(t, berlin, func(_ *testing.T, w *world) {
		w.set("2026-03-31T22:30:00Z") // in Berlin it is April
		w.spend("acme", "2026-03-31T21:59:59.999999Z", "1")
		w.spend("acme", "2026-03-31T22:00:00Z", "2")
		w.spend("acme", "2026-02-28T23:00:00Z", "4")
		w.wantMonths("acme", `"year_month": "2026-04", "total_cost_usd": 2, "api_calls": 1`, `"year_month": "2026-03", "total_cost_usd": 5, "api_calls": 2`)
		w.want(200, `{"year_month": "2026-04", "budget": "*",
			"usage": {"input_tokens": 0, "output_tokens": 0, "total_cost_usd": 2, "api_calls": 1, "refresh_count": 0}}`,
			"admin", "GET", "/api/token-usage/acme/current", "")
	})
}

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// record records events.
func (w *world) record(events ...usage.Event) {
	w.t.Helper()
	results, err := w.ledger.RecordBatch(context.WithoutCancel(w.t.Context()), events)
	if err != nil {
		w.t.Error(err)
	}
	for _, r := range results {
		if r.Outcome != budget.Recorded {
			w.t.Errorf("event %s is %s: %v", r.ID, r.Outcome, r.Err)
		}
	}
}

// spend records an event of a tenant that cost so many dollars.
func (w *world) spend(tenant, at, cost string) {
	w.t.Helper()
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.record(usage.Event{ID: usage.NewID(), Time: t, Subject: usage.Subject{Tenant: tenant}, Amounts: usage.Amounts{Cost: new(dec(cost))}})
}

// license makes a license and returns its id.
func (w *world) license(token, body string) string {
	w.t.Helper()
	return w.want(200, "", token, "POST", "/api/v1/licenses", body).member(w.t, "id")
}

// wantOrder checks which organizations there are, in order.
func (w *world) wantOrder(ids ...string) {
	w.t.Helper()
	got, _ := w.organizations()
	if diff := cmp.Diff(ids, got); diff != "" {
		w.t.Errorf("organizations (-want +got):\n%s", diff)
	}
}

// organizations returns the lines of the overview, and whose they are.
func (w *world) organizations() (ids []string, lines []json.RawMessage) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.want(200, "", "admin", "GET", "/api/token-usage/overview", "").body), &lines); err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		ids = append(ids, answer{body: string(line)}.member(w.t, "org_id"))
	}
	return ids, lines
}

// wantOrganization checks these members of an organization in the overview.
func (w *world) wantOrganization(id, members string) {
	w.t.Helper()
	ids, lines := w.organizations()
	i := slices.Index(ids, id)
	if i < 0 {
		w.t.Fatalf("organization %s is not in the overview", id)
	}
	if diff := diffMembers("{"+members+"}", string(lines[i])); diff != "" {
		w.t.Errorf("organization %s (-want +got):\n%s", id, diff)
	}
}

// wantBudget checks these members of the budget that stands beside an organization's current month.
func (w *world) wantBudget(id, members string) {
	w.t.Helper()
	got := w.want(200, "", "admin", "GET", "/api/token-usage/"+id+"/current", "").member(w.t, "budget")
	if diff := diffMembers("{"+members+"}", got); diff != "" {
		w.t.Errorf("budget of %s (-want +got):\n%s", id, diff)
	}
}

// wantMonths checks the members that are named of each month of an organization.
func (w *world) wantMonths(id string, months ...string) {
	w.t.Helper()
	var got []json.RawMessage
	if err := json.Unmarshal([]byte(w.want(200, "", "admin", "GET", "/api/token-usage/"+id, "").body), &got); err != nil {
		w.t.Fatal(err)
	}
	if len(got) != len(months) {
		w.t.Fatalf("%s has %d months, want %d", id, len(got), len(months))
	}
	for i, members := range months {
		if diff := diffMembers("{"+members+"}", string(got[i])); diff != "" {
			w.t.Errorf("month %d of %s (-want +got):\n%s", i, id, diff)
		}
	}
}

// wantUsed checks how many credits of a license are used, exactly.
func (w *world) wantUsed(license, credits string) {
	w.t.Helper()
	if got := w.want(200, "", "admin", "GET", "/api/v1/licenses/"+license, "").member(w.t, "credits_used"); got != credits {
		w.t.Errorf("%s credits are used, want %s", got, credits)
	}
}

// wantTrail checks the entries of the audit about changed licenses, newest first, but for their ids and times.
func (w *world) wantTrail(entries ...string) {
	w.t.Helper()
	for i, members := range entries {
		entries[i] = with(members, `"id": "*"`, `"time": "*"`, `"action": "update_license_budget"`, `"resource_type": "license"`)
	}
	w.want(200, `{"entries": [`+strings.Join(entries, ",")+`], "next": null}`,
		"admin", "GET", "/api/v1/audit?action=update_license_budget", "")
}

// verified checks that every counter and sum is as the events say.
func (w *world) verified() {
	w.t.Helper()
	found, err := w.ledger.Verify(context.WithoutCancel(w.t.Context()), nil)
	if err != nil || len(found.Differences) > 0 {
		w.t.Errorf("differences: %+v, %v", found.Differences, err)
	}
}

// escaped returns a text as one part of a path.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
