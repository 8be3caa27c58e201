package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/server/internal/api"
)

// What globex's admin, who may do everything there, asks of every route: with ids that acme has too, and with ids that are
// acme's. What there is of acme has its name, or its number of tokens, in it.
var isolation = []struct {
	route, path, body string
	want              int
}{
	{"GET /api/v1/budgets", "/api/v1/budgets?size=100", "", 200},
	{"GET /api/v1/budgets", "/api/v1/budgets?size=100&user_id=ada", "", 200},
	{"POST /api/v1/budgets", "/api/v1/budgets", newBudget(`, "user_id": "ada"`), 200},
	{"POST /api/v1/budgets", "/api/v1/budgets", newBudget(`, "scope": {"user": {"each": true}}`), 200},
	{"POST /api/v1/budgets", "/api/v1/budgets", newBudget(`, "scope": {"tenant": "acme"}`), 422},
	{"POST /api/v1/budgets", "/api/v1/budgets", newBudget(`, "scope": {"tenant": {"each": true}}`), 422},
	{"GET /api/v1/budgets/{id}", "/api/v1/budgets/acmes", "", 404},
	{"GET /api/v1/budgets/{id}", "/api/v1/budgets/acmes-adas", "", 404},
	{"GET /api/v1/budgets/{id}", "/api/v1/budgets/nobodys", "", 404},
	{"PUT /api/v1/budgets/{id}", "/api/v1/budgets/acmes", `{"limit_amount": 1}`, 404},
	{"PUT /api/v1/budgets/{id}", "/api/v1/budgets/acmes", `{}`, 404},
	{"PUT /api/v1/budgets/{id}", "/api/v1/budgets/own", `{"scope": {"tenant": "globex"}}`, 404},
	{"PUT /api/v1/budgets/{id}", "/api/v1/budgets/globexs", `{"scope": {"tenant": "acme"}}`, 422},
	{"PUT /api/v1/budgets/{id}", "/api/v1/budgets/globexs", `{"scope": {}}`, 200},
	{"DELETE /api/v1/budgets/{id}", "/api/v1/budgets/acmes", "", 404},
	{"DELETE /api/v1/budgets/{id}", "/api/v1/budgets/set", "", 404},
	{"GET /api/v1/budgets/{id}/usage", "/api/v1/budgets/acmes/usage", "", 404},
	{"GET /api/v1/budgets/{id}/alerts", "/api/v1/budgets/acmes/alerts", "", 404},
	{"GET /api/v1/budgets/{id}/status", "/api/v1/budgets/acmes/status", "", 404},
	{"GET /api/v1/budgets/{id}/history", "/api/v1/budgets/acmes/history", "", 404},
	{"GET /api/v1/budgets/{id}/projection", "/api/v1/budgets/acmes/projection", "", 404},
	{"GET /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/acmes/adjustments", "", 404},
	{"GET /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/globexs/adjustments", "", 200},
	{"POST /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/acmes/adjustments", `{"id": "new", "amount": -1, "reason": "theirs"}`, 404},
	{"POST /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/globexs/adjustments", `{"id": "new", "amount": -1, "reason": "ours"}`, 200},
	{"GET /api/v1/alerts", "/api/v1/alerts", "", 200},
	{"GET /api/v1/alerts", "/api/v1/alerts?budget=acmes", "", 200},
	{"POST /api/v1/alerts/{id}/resend", "/api/v1/alerts/{of acmes}/resend", "", 404},
	{"POST /api/v1/alerts/{id}/resend", "/api/v1/alerts/{of globexs}/resend", "", 200},
	{"POST /api/v1/events", "/api/v1/events", `{"id": "same", "time": "2026-03-15T09:00:00Z", "tenant": "acme"}`, 200},
	{"POST /api/v1/events", "/api/v1/events", `{"id": "new", "time": "2026-03-15T09:00:00Z", "user": "ada", "api_key": "key"}`, 200},
	{"POST /api/v1/corrections", "/api/v1/corrections", `{"id": "c", "event": "same", "requests": 1}`, 200},
	{"POST /api/v1/corrections", "/api/v1/corrections", `{"id": "c", "tenant": "acme", "event": "same", "requests": 1}`, 422},
	{"GET /api/v1/reservations", "/api/v1/reservations", "", 200},
	{"GET /api/v1/reservations", "/api/v1/reservations?budget=acmes", "", 200},
	{"GET /api/v1/reservations", "/api/v1/reservations?tenant=acme", "", 404},
	{"POST /api/v1/reservations", "/api/v1/reservations", `{"id": "newer", "user": "eve", "estimate": {"requests": 1}}`, 201},
	{"POST /api/v1/reservations", "/api/v1/reservations", `{"id": "newest", "user": "ada", "estimate": {"requests": 100}}`, 402},
	{"POST /api/v1/reservations", "/api/v1/reservations", `{"id": "new", "tenant": "acme", "estimate": {"requests": 1}}`, 422},
	{"GET /api/v1/reservations/{id}", "/api/v1/reservations/held", "", 200},
	{"GET /api/v1/reservations/{id}", "/api/v1/reservations/held?tenant=acme", "", 404},
	{"POST /api/v1/reservations/{id}/extend", "/api/v1/reservations/held/extend", "", 200},
	{"POST /api/v1/reservations/{id}/extend", "/api/v1/reservations/held/extend?tenant=acme", "", 404},
	{"POST /api/v1/reservations/{id}/release", "/api/v1/reservations/held/release", "", 200},
	{"POST /api/v1/reservations/{id}/release", "/api/v1/reservations/held/release?tenant=acme", "", 404},
	{"POST /api/v1/reservations/{id}/settle", "/api/v1/reservations/held/settle", `{"used": {"requests": 1}}`, 200},
	{"POST /api/v1/reservations/{id}/settle", "/api/v1/reservations/held/settle?tenant=acme", `{"used": {"requests": 1}}`, 404},
	{"POST /api/v1/check", "/api/v1/check", `{"user": "ada", "resource": "opus", "estimate": {"requests": 1}}`, 200},
	{"POST /api/v1/check", "/api/v1/check", `{"user": "ada", "tenant": "acme", "estimate": {"requests": 1}}`, 422},
	{"GET /api/v1/audit", "/api/v1/audit", "", 200},
	{"GET /api/v1/audit", "/api/v1/audit?resource_id=acmes", "", 200},
	{"GET /api/token-usage/overview", "/api/token-usage/overview", "", 200},
	{"GET /api/token-usage/{org_id}", "/api/token-usage/acme", "", 404},
	{"GET /api/token-usage/{org_id}/current", "/api/token-usage/acme/current", "", 404},
	{"PUT /api/token-usage/budget/{license_id}", "/api/token-usage/budget/acmes-license", `{"credits_used": 0}`, 404},
	{"PUT /api/token-usage/budget/{license_id}", "/api/token-usage/budget/acmes-license", `{}`, 404},
	{"GET /api/v1/tenants", "/api/v1/tenants", "", 200},
	{"GET /api/v1/tenants/{id}", "/api/v1/tenants/acme", "", 404},
	{"PUT /api/v1/tenants/{id}", "/api/v1/tenants/acme", `{"name": "globex"}`, 404},
	{"PUT /api/v1/tenants/{id}", "/api/v1/tenants/new", `{"name": "globex"}`, 404},
	{"POST /api/v1/licenses", "/api/v1/licenses", `{"tenant": "acme", "credits_total": 1}`, 404},
	{"POST /api/v1/licenses", "/api/v1/licenses", `{"credits_total": 1}`, 200},
	{"GET /api/v1/licenses/{id}", "/api/v1/licenses/acmes-license", "", 404},
	{"PUT /api/v1/licenses/{id}", "/api/v1/licenses/acmes-license", `{"active": false}`, 404},
	{"GET /api/v1/reports/overview", "/api/v1/reports/overview", "", 200},
	{"GET /api/v1/reports/months", "/api/v1/reports/months", "", 200},
	{"GET /api/v1/reports/months", "/api/v1/reports/months?tenant=acme", "", 404},
	{"GET /api/v1/reports/current", "/api/v1/reports/current", "", 200},
	{"GET /api/v1/reports/current", "/api/v1/reports/current?tenant=acme", "", 404},
	{"GET /api/v1/reports/groups", "/api/v1/reports/groups?by=tenant,user,api_key,resource", "", 200},
	{"GET /api/v1/reports/groups", "/api/v1/reports/groups", "", 200},
	{"GET /api/v1/reports/groups", "/api/v1/reports/groups?tenant=acme", "", 404},
	{"GET /api/v1/reports/top", "/api/v1/reports/top?by=tenant", "", 200},
	{"GET /api/v1/reports/top", "/api/v1/reports/top?by=user&metric=tokens", "", 200},
	{"GET /api/v1/reports/top", "/api/v1/reports/top?by=user&tenant=acme", "", 404},
	{"GET /api/v1/export", "/api/v1/export", "", 200},
	{"GET /api/v1/export", "/api/v1/export?format=jsonl&bucket=day", "", 200},
	{"GET /api/v1/export", "/api/v1/export?tenant=acme", "", 404},
}

func TestNoTenantSeesOrChangesWhatIsAnothers(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.fill()
		before := notOf("globex", w.dump())
		alerts := map[string]string{"acmes": w.alertOf("acmes"), "globexs": w.alertOf("globexs")}
		asked := make(map[string]bool)
		for _, test := range isolation {
			asked[test.route] = true
			method, _, _ := strings.Cut(test.route, " ")
			path := strings.NewReplacer("{of acmes}", alerts["acmes"], "{of globexs}", alerts["globexs"]).Replace(test.path)
			a := w.want(test.want, "", "globex-admin", method, path, test.body)
			if strings.Contains(a.body, "acme") || strings.Contains(a.body, fmt.Sprint(acmesTokens)) {
				t.Errorf("%s %s with %s shows what is acme's: %s", method, path, test.body, a.body)
			}
		}
		for _, route := range api.New(api.Config{}).Routes() {
			if name := route.Method + " " + route.Path; !asked[name] {
				t.Errorf("nothing is asked of %s", name)
			}
		}
		if diff := cmp.Diff(before, notOf("globex", w.dump())); diff != "" {
			t.Errorf("what is not globex's has changed (-before +after):\n%s", diff)
		}
		if diff := w.verify(); diff != "" {
			t.Error(diff)
		}
	})
}

// notOf returns the lines of a dump but for those that are this tenant's, and for the figures of the platform's budgets: those
// on a user count that user of every tenant.
func notOf(tenant string, lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		kind, _, _ := strings.Cut(line, ":")
		return strings.HasSuffix(kind, " of "+tenant) || kind == "counter of " || kind == "alert of "
	})
}
