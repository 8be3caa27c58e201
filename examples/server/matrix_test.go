package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/examples/server/internal/api"
)

// matrixCallers are who asks: in each row of the matrix the statuses stand in this order. But for the owners nobody owns
// anything.
var matrixCallers = []struct {
	name   string
	tenant string
	user   string
	may    string // "" may nothing
	how    string // "": by a token
}{
	{name: "nobody", how: "no token"},
	{name: "a bad token", how: "a bad token"},
	{name: "another scheme", how: "Basic", user: "x", may: "*"},
	{name: "the owner's session", how: "session", user: "ada"},
	{name: "the owner", user: "ada"},
	{name: "the owner's namesake in a tenant", user: "ada", tenant: "globex"},
	{name: "another tenant's admin", user: "x", tenant: "globex", may: "*"},
	{name: "read", user: "x", may: "platform:budgets:read"},
	{name: "create", user: "x", may: "platform:budgets:create"},
	{name: "update", user: "x", may: "platform:budgets:update"},
	{name: "delete", user: "x", may: "platform:budgets:delete"},
	{name: "admin", user: "x", may: "platform:budgets:admin"},
	{name: "record", user: "x", may: "platform:usage:create"},
	{name: "*", user: "x", may: "*"},
	{name: "platform:*", user: "x", may: "platform:*"},
	{name: "platform:budgets:*", user: "x", may: "platform:budgets:*"},
	{name: "platform:*:read", user: "x", may: "platform:*:read"},
	{name: "a star inside a part", user: "x", may: "platform:bud*:read"},
}

// The matrix says what each of matrixCallers is answered. Paths hold the ids of matrixWorld.
//
//	no  bad oth  own own nam oth  rea cre upd del adm rec   *  p:* b:* *:r ins
//	tok tok sch  ses tok esa ten  d   ate ate ete in  ord              ead ide
var matrix = []struct {
	route, path, body, want string
}{
	{
		"GET /api/v1/budgets", "/api/v1/budgets", "",
		"401 401 401  200 200 200 200  200 200 200 200 200 200  200 200 200 200 200",
	},
	{
		"GET /api/v1/budgets", "/api/v1/budgets/?user_id=carl", "",
		"401 401 401  403 403 403 200  200 403 403 403 403 403  200 200 200 200 403",
	},
	{
		"POST /api/v1/budgets", "/api/v1/budgets", newBudget(""),
		"401 401 401  403 403 403 200  403 200 403 403 403 403  200 200 200 403 403",
	},
	{
		"POST /api/v1/budgets", "/api/v1/budgets", newBudget(`, "user_id": "carl"`),
		"401 401 401  403 403 403 200  403 403 403 403 403 403  200 200 200 403 403",
	},
	{
		"POST /api/v1/budgets", "/api/v1/budgets", newBudget(`, "api_key_id": "carls-key"`),
		"401 401 401  403 403 403 200  403 403 403 403 403 403  200 200 200 403 403",
	},
	{
		"POST /api/v1/budgets", "/api/v1/budgets", newBudget(`, "scope": {"resource": "opus"}`),
		"401 401 401  403 403 403 200  403 403 403 403 403 403  200 200 200 403 403",
	},
	{
		"GET /api/v1/budgets/{id}", "/api/v1/budgets/own", "",
		"401 401 401  200 200 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{
		"GET /api/v1/budgets/{id}", "/api/v1/budgets/set", "",
		"401 401 401  200 200 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{
		"GET /api/v1/budgets/{id}", "/api/v1/budgets/nobodys", "",
		"401 401 401  404 404 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{
		"GET /api/v1/budgets/{id}", "/api/v1/budgets/acmes", "",
		"401 401 401  404 404 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{
		"GET /api/v1/budgets/{id}", "/api/v1/budgets/unknown", "",
		"401 401 401  404 404 404 404  404 404 404 404 404 404  404 404 404 404 404",
	},
	{
		"PUT /api/v1/budgets/{id}", "/api/v1/budgets/own", `{"limit_amount": 11}`,
		"401 401 401  200 200 404 404  403 404 200 404 404 404  200 200 200 403 404",
	},
	{
		"PUT /api/v1/budgets/{id}", "/api/v1/budgets/set", `{"limit_amount": 11}`,
		"401 401 401  403 403 404 404  403 404 200 404 404 404  200 200 200 403 404",
	},
	{
		"PUT /api/v1/budgets/{id}", "/api/v1/budgets/nobodys", `{"limit_amount": 11}`,
		"401 401 401  404 404 404 404  403 404 200 404 404 404  200 200 200 403 404",
	},
	{
		"PUT /api/v1/budgets/{id}", "/api/v1/budgets/acmes", `{"limit_amount": 11}`,
		"401 401 401  404 404 404 404  403 404 200 404 404 404  200 200 200 403 404",
	},
	{
		"PUT /api/v1/budgets/{id}", "/api/v1/budgets/unknown", `{"limit_amount": 11}`,
		"401 401 401  404 404 404 404  404 404 404 404 404 404  404 404 404 404 404",
	},
	{
		"DELETE /api/v1/budgets/{id}", "/api/v1/budgets/own", "",
		"401 401 401  200 200 404 404  403 404 404 200 404 404  200 200 200 403 404",
	},
	{
		"DELETE /api/v1/budgets/{id}", "/api/v1/budgets/set", "",
		"401 401 401  403 403 404 404  403 404 404 200 404 404  200 200 200 403 404",
	},
	{
		"DELETE /api/v1/budgets/{id}", "/api/v1/budgets/nobodys", "",
		"401 401 401  404 404 404 404  403 404 404 200 404 404  200 200 200 403 404",
	},
	{
		"DELETE /api/v1/budgets/{id}", "/api/v1/budgets/acmes", "",
		"401 401 401  404 404 404 404  403 404 404 200 404 404  200 200 200 403 404",
	},
	{
		"GET /api/v1/budgets/{id}/usage", "/api/v1/budgets/own/usage", "",
		"401 401 401  200 200 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{
		"GET /api/v1/budgets/{id}/usage", "/api/v1/budgets/nobodys/usage", "",
		"401 401 401  404 404 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{
		"GET /api/v1/budgets/{id}/alerts", "/api/v1/budgets/own/alerts", "",
		"401 401 401  200 200 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{
		"GET /api/v1/budgets/{id}/alerts", "/api/v1/budgets/nobodys/alerts", "",
		"401 401 401  404 404 404 404  200 404 404 404 404 404  200 200 200 200 404",
	},
	{"GET /api/v1/budgets/{id}/status", "/api/v1/budgets/own/status", "", seenByItsOwner},
	{"GET /api/v1/budgets/{id}/status", "/api/v1/budgets/nobodys/status", "", seenByReaders},
	{"GET /api/v1/budgets/{id}/history", "/api/v1/budgets/own/history", "", seenByItsOwner},
	{"GET /api/v1/budgets/{id}/history", "/api/v1/budgets/nobodys/history", "", seenByReaders},
	{"GET /api/v1/budgets/{id}/projection", "/api/v1/budgets/own/projection", "", seenByItsOwner},
	{"GET /api/v1/budgets/{id}/projection", "/api/v1/budgets/nobodys/projection", "", seenByReaders},
	{"GET /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/own/adjustments", "", seenByItsOwner},
	{"GET /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/nobodys/adjustments", "", seenByReaders},
	{
		"POST /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/own/adjustments", `{"amount": 1, "reason": "r"}`,
		"401 401 401  403 403 404 404  403 404 404 404 200 404  200 200 200 403 404",
	},
	{
		"POST /api/v1/budgets/{id}/adjustments", "/api/v1/budgets/nobodys/adjustments", `{"amount": 1, "reason": "r"}`,
		"401 401 401  404 404 404 404  403 404 404 404 200 404  200 200 200 403 404",
	},
	{
		"GET /api/v1/alerts", "/api/v1/alerts", "",
		"401 401 401  200 200 200 200  200 200 200 200 200 200  200 200 200 200 200",
	},
	{
		"POST /api/v1/alerts/{id}/resend", "/api/v1/alerts/{of acmes}/resend", "",
		"401 401 401  404 404 404 404  403 404 404 404 200 404  200 200 200 403 404",
	},
	{
		"POST /api/v1/alerts/{id}/resend", "/api/v1/alerts/unknown/resend", "",
		"401 401 401  404 404 404 404  404 404 404 404 404 404  404 404 404 404 404",
	},

	{"POST /api/v1/events", "/api/v1/events", `{"id": "e", "time": "2026-03-15T09:00:00Z"}`, recorders},
	{
		"POST /api/v1/corrections", "/api/v1/corrections", `{"id": "c", "tenant": "acme", "event": "same", "requests": 1}`,
		"401 401 401  403 403 422 422  403 403 403 403 403 200  200 200 403 403 403",
	},
	{"GET /api/v1/reservations", "/api/v1/reservations", "", recorders},
	{
		"POST /api/v1/reservations", "/api/v1/reservations", `{"user": "eve", "estimate": {"requests": 0}}`,
		"401 401 401  403 403 403 201  403 403 403 403 403 201  201 201 403 403 403",
	},
	{"GET /api/v1/reservations/{id}", "/api/v1/reservations/held?tenant=acme", "", recordersOfTheTenant},
	{
		"POST /api/v1/reservations/{id}/settle", "/api/v1/reservations/held/settle?tenant=acme", `{"used": {"requests": 1}}`,
		recordersOfTheTenant,
	},
	{"POST /api/v1/reservations/{id}/release", "/api/v1/reservations/held/release?tenant=acme", "", recordersOfTheTenant},
	{
		"POST /api/v1/reservations/{id}/extend", "/api/v1/reservations/held/extend?tenant=acme", `{"ttl_seconds": 5}`,
		recordersOfTheTenant,
	},
	{"POST /api/v1/check", "/api/v1/check", `{"user": "eve", "estimate": {"requests": 1}}`, recorders},

	{"GET /api/v1/audit", "/api/v1/audit", "", adminsOnly},
	{"GET /api/token-usage/overview", "/api/token-usage/overview", "", adminsOnly},
	{"GET /api/token-usage/{org_id}", "/api/token-usage/acme", "", adminsOfTheTenant},
	{"GET /api/token-usage/{org_id}/current", "/api/token-usage/acme/current", "", adminsOfTheTenant},
	{"PUT /api/token-usage/budget/{license_id}", "/api/token-usage/budget/acmes-license", `{"credits_total": 7}`, adminsOfTheTenant},
	{"GET /api/v1/tenants", "/api/v1/tenants", "", adminsOnly},
	{"GET /api/v1/tenants/{id}", "/api/v1/tenants/acme", "", adminsOfThePath},
	{"PUT /api/v1/tenants/{id}", "/api/v1/tenants/acme", `{"name": "x"}`, adminsOfThePath},
	{"POST /api/v1/licenses", "/api/v1/licenses", `{"tenant": "acme", "credits_total": 7}`, adminsOfThePath},
	{"GET /api/v1/licenses/{id}", "/api/v1/licenses/acmes-license", "", adminsOfTheTenant},
	{"PUT /api/v1/licenses/{id}", "/api/v1/licenses/acmes-license", `{"active": false}`, adminsOfTheTenant},
	{"GET /api/v1/reports/overview", "/api/v1/reports/overview", "", adminsOnly},
	{"GET /api/v1/reports/months", "/api/v1/reports/months?tenant=acme", "", adminsOfThePath},
	{"GET /api/v1/reports/current", "/api/v1/reports/current?tenant=acme", "", adminsOfThePath},
	{"GET /api/v1/reports/groups", "/api/v1/reports/groups", "", readersOnly},
	{"GET /api/v1/reports/top", "/api/v1/reports/top?by=user", "", readersOnly},
	{"GET /api/v1/export", "/api/v1/export", "", readersOnly},
}

// What rows have in common that ask for a permission and for nothing else. A tenant's caller has it within their tenant.
const (
	seenByItsOwner       = "401 401 401  200 200 404 404  200 404 404 404 404 404  200 200 200 200 404"
	seenByReaders        = "401 401 401  404 404 404 404  200 404 404 404 404 404  200 200 200 200 404"
	adminsOnly           = "401 401 401  403 403 403 200  403 403 403 403 200 403  200 200 200 403 403"
	adminsOfTheTenant    = "401 401 401  403 403 403 404  403 403 403 403 200 403  200 200 200 403 403"
	adminsOfThePath      = "401 401 401  403 403 404 404  403 403 403 403 200 403  200 200 200 403 403" // 404 goes before 403
	readersOnly          = "401 401 401  403 403 403 200  200 403 403 403 403 403  200 200 200 200 403"
	recorders            = "401 401 401  403 403 403 200  403 403 403 403 403 200  200 200 403 403 403"
	recordersOfTheTenant = "401 401 401  403 403 403 404  403 403 403 403 403 200  200 200 403 403 403"
)

func newBudget(more string) string {
	return `{"name": "new", "budget_type": "requests", "limit_amount": 5, "period_type": "daily"` + more + `}`
}

// matrixWorld is a world in which the matrix holds: budgets of ada's ("own", and "set" by an admin for her), of nobody's, and
// of acme's; acme has a license, usage, an open reservation and an alert.
func matrixWorld(t testing.TB) (w *world, guard *access.Guard) {
	var tokens []string
	for i, c := range matrixCallers {
		user, permissions := c.user, "[]"
		if user == "" {
			user = "nobody"
		}
		if c.may != "" {
			permissions = fmt.Sprintf("[%q]", c.may)
		}
		tokens = append(tokens, fmt.Sprintf(`{"token": "t%d", "user": %q, "tenant": %q, "permissions": %s}`,
			i, user, c.tenant, permissions))
	}
	known, err := access.ReadTokens([]byte("[" + strings.Join(tokens, ",") + "]"))
	if err != nil {
		t.Fatal(err)
	}
	guard = access.NewGuard(known, false, func() time.Time { return morning })
	w = newWorld(t, func(c *config) { c.Guard = guard })
	w.fill()
	return w, guard
}

func TestEveryCallerIsAnsweredAsTheMatrixSays(t *testing.T) {
	rows := make(map[string]bool)
	for _, row := range matrix {
		rows[row.route] = true
		t.Run(row.route+" "+row.path+" "+row.body, func(t *testing.T) {
			t.Parallel()
			want := strings.Fields(row.want)
			if len(want) != len(matrixCallers) {
				t.Fatalf("the row has %d statuses, want %d", len(want), len(matrixCallers))
			}
			for i, c := range matrixCallers {
				if got := askAs(t, i, row.route, row.path, row.body); fmt.Sprint(got.status) != want[i] {
					t.Errorf("%s is answered %d %s, want %s", c.name, got.status, got.body, want[i])
				}
			}
		})
	}
	for _, route := range api.New(api.Config{}).Routes() {
		if name := route.Method + " " + route.Path; !rows[name] {
			t.Errorf("the matrix has no row for %s", name)
		}
	}
}

// askAs sends a request as the caller of this number, in a world of its own.
func askAs(t *testing.T, caller int, route, path, body string) answer {
	t.Helper()
	w, guard := matrixWorld(t)
	path = strings.ReplaceAll(path, "{of acmes}", w.alertOf("acmes"))
	method, _, _ := strings.Cut(route, " ")
	token := fmt.Sprint("t", caller)
	switch matrixCallers[caller].how {
	case "no token":
		return w.do("", method, path, body)
	case "a bad token":
		return w.do("t", method, path, body)
	case "Basic":
		return w.do("", method, path, body, "Authorization: Basic "+token)
	case "session":
		return w.do("", method, path, body, "Cookie: "+sessionOf(t, guard, token))
	}
	return w.do(token, method, path, body)
}

// alertOf returns the id of an alert of a budget.
func (w *world) alertOf(id string) string {
	w.t.Helper()
	found, err := w.ledger.Alerts(w.t.Context(), budget.AlertQuery{Budgets: []string{id}, Limit: 1})
	if err != nil || len(found) == 0 {
		w.t.Fatalf("%d alerts of %s, %v", len(found), id, err)
	}
	return found[0].ID
}

// sessionOf signs in and returns the cookie.
func sessionOf(t *testing.T, guard *access.Guard, token string) string {
	t.Helper()
	signedIn := httptest.NewRecorder()
	if _, err := guard.SignIn(signedIn, httptest.NewRequest(http.MethodPost, "/login", nil), token); err != nil {
		t.Fatal(err)
	}
	cookie := signedIn.Result().Cookies()[0]
	return cookie.Name + "=" + cookie.Value
}
