package main

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/api"
)

// posts are requests to all routes that take a POST, each with another body that is as good.
var posts = map[string]struct{ path, body, other string }{
	"/api/v1/budgets": {
		"/api/v1/budgets", `{"name": "n", "budget_type": "dollars", "limit_amount": 5, "period_type": "daily"}`,
		`{"name": "m", "budget_type": "dollars", "limit_amount": 5, "period_type": "daily"}`,
	},
	"/api/v1/licenses": {"/api/v1/licenses", `{"tenant": "acme", "credits_total": 5}`, `{"tenant": "acme", "credits_total": 6}`},
	"/api/v1/events": {
		"/api/v1/events", `{"time": "2026-03-15T09:00:00Z", "tenant": "acme", "cost": 1}`,
		`{"time": "2026-03-15T09:00:00Z", "tenant": "acme", "cost": 2}`,
	},
	"/api/v1/corrections": {
		"/api/v1/corrections", `{"tenant": "acme", "event": "e", "cost": 1}`, `{"tenant": "acme", "event": "e", "cost": 2}`,
	},
	"/api/v1/reservations": {"/api/v1/reservations", `{"estimate": {"cost": 1}}`, `{"estimate": {"cost": 2}}`},
	"/api/v1/reservations/{id}/settle": {
		"/api/v1/reservations/settled/settle", `{"used": {"cost": 1}}`, `{"used": {"cost": 2}}`,
	},
	"/api/v1/reservations/{id}/release": {"/api/v1/reservations/released/release", ``, `{}`},
	"/api/v1/reservations/{id}/extend":  {"/api/v1/reservations/extended/extend", ``, `{"ttl_seconds": 60}`},
	"/api/v1/check":                     {"/api/v1/check", `{}`, `{"user": "ada"}`},
	"/api/v1/budgets/{id}/adjustments": {
		"/api/v1/budgets/b/adjustments", `{"amount": 1, "reason": "r"}`, `{"amount": 2, "reason": "r"}`,
	},
	"/api/v1/alerts/{id}/resend": {"/api/v1/alerts/{alert}/resend", ``, `{"sink": "log"}`},
}

func TestEveryPostHasItsKeyStandForOneRequest(t *testing.T) {
	var routes []string
	for _, r := range api.New(api.Config{}).Routes() {
		if r.Method == "POST" {
			routes = append(routes, r.Path)
		}
	}
	slices.Sort(routes)
	if named := slices.Sorted(maps.Keys(posts)); !slices.Equal(named, routes) {
		t.Fatalf("the routes are %v, here are %v", routes, named)
	}
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "100", nil)
		w.spent("e", "2026-03-14T00:00:00Z", "acme", "ada", "90")
		w.deliverDead()
		alerts := w.want(200, "", "admin", "GET", "/api/v1/alerts?limit=1", "")
		_, rest, _ := strings.Cut(alerts.body, `"id":"`)
		alert, _, _ := strings.Cut(rest, `"`)
		for _, id := range []string{"settled", "released", "extended"} {
			w.want(201, "", "admin", "POST", "/api/v1/reservations", `{"id": "`+id+`", "estimate": {"cost": 1}}`)
		}
		for _, route := range routes {
			p := posts[route]
			p.path = strings.Replace(p.path, "{alert}", alert, 1)
			const key = `Idempotency-Key: "a-key"`
			if a := w.do("admin", "POST", p.path, p.body, key); a.status != 200 && a.status != 201 {
				t.Errorf("%s: %d %s", route, a.status, a.body)
			}
			if a := w.do("admin", "POST", p.path+"/", p.body, key); a.status != 200 && a.status != 201 {
				t.Errorf("%s again: %d %s", route, a.status, a.body)
			}
			w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*",
				"errors": [{"field": "Idempotency-Key", "message": "stands for another request"}]}`, "admin", "POST", p.path, p.other, key)
			w.want(422, "", "admin", "POST", p.path+"?tenant=x", p.body, key)
			for _, bad := range []string{"", "a b", "ä", strings.Repeat("k", 256)} {
				w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*",
					"errors": [{"field": "Idempotency-Key", "message": "must have 1 to 255 visible ASCII characters"}]}`,
					"admin", "POST", p.path, p.body, "Idempotency-Key: "+bad)
			}
		}
		if diff := w.verify(); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatIsSentAgainWithItsKeyIsMadeOnce(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		const key = "Idempotency-Key: k"
		again := func(status int, token, path, body string) (first, second answer) {
			return w.want(status, "", token, "POST", path, body, key), w.want(status, "", token, "POST", path, body, key)
		}
		a, b := again(201, "recorder", "/api/v1/reservations", `{"estimate": {"cost": 1}}`)
		if a.body != b.body {
			t.Errorf("%s, then %s", a.body, b.body)
		}
		a, b = again(200, "recorder", "/api/v1/events", `{"events": [{"time": "2026-03-15T09:00:00Z"}, {"id": "x", "time": "2026-03-15T09:00:00Z"},
			{"time": "2026-03-15T09:00:00Z"}]}`)
		if b.body != strings.ReplaceAll(a.body, "recorded", "duplicate") || strings.Count(a.body, "recorded") != 3 {
			t.Errorf("%s, then %s", a.body, b.body)
		}
		a, b = again(200, "recorder", "/api/v1/corrections", `{"event": "x", "requests": 1}`)
		if b.body != strings.ReplaceAll(a.body, "recorded", "duplicate") {
			t.Errorf("%s, then %s", a.body, b.body)
		}
		a, b = again(200, "admin", "/api/v1/licenses", `{"tenant": "acme", "credits_total": 5}`)
		if a.body != b.body {
			t.Errorf("%s, then %s", a.body, b.body)
		}
		w.limit("b", "10", nil)
		a, b = again(200, "admin", "/api/v1/budgets/b/adjustments", `{"amount": 4, "reason": "r"}`)
		if a.body != b.body || !strings.Contains(a.body, `"used":4,`) {
			t.Errorf("%s, then %s", a.body, b.body)
		}
	})
}

func TestABudgetIsMadeOnceAndAnsweredAsItStands(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		const body, key = `{"name": "n", "budget_type": "dollars", "limit_amount": 5, "period_type": "daily"}`, "Idempotency-Key: k"
		first := w.want(200, "", "ada", "POST", "/api/v1/budgets", body, key)
		id := first.member(t, "id")
		again := w.want(200, "", "ada", "POST", "/api/v1/budgets", body, key)
		if again.body != first.body {
			t.Errorf("%s, then %s", first.body, again.body)
		}
		w.want(200, "", "ada", "PUT", "/api/v1/budgets/"+id, `{"name": "another"}`)
		again = w.want(200, "", "ada", "POST", "/api/v1/budgets", body, key)
		if got := again.member(t, "name"); got != "another" {
			t.Errorf("it is called %q", got)
		}
		for token, status := range map[string]int{"acme-ada": 200, "creator": 200} { // other callers' keys are other keys
			if got := w.want(status, "", token, "POST", "/api/v1/budgets", body, key).member(t, "id"); got == id {
				t.Errorf("%s has ada's budget", token)
			}
		}
		w.want(200, "", "ada", "DELETE", "/api/v1/budgets/"+id, "")
		w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Budget not found"}`,
			"ada", "POST", "/api/v1/budgets", body, key)
		w.want(200, `{"budgets": [], "total": 0, "page": 1, "size": 10}`, "ada", "GET", "/api/v1/budgets", "")
	})
}

func TestConcurrentRequestsWithOneKeyMakeOneThing(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "100", nil)
		var wait sync.WaitGroup
		for range 8 {
			for path, body := range map[string]string{
				"/api/v1/budgets":               `{"name": "n", "budget_type": "dollars", "limit_amount": 5, "period_type": "daily"}`,
				"/api/v1/licenses":              `{"tenant": "acme", "credits_total": 5}`,
				"/api/v1/reservations":          `{"estimate": {"cost": 7}}`,
				"/api/v1/budgets/b/adjustments": `{"amount": 4, "reason": "r"}`,
				"/api/v1/events":                `{"time": "2026-03-15T09:00:00Z", "cost": 2}`,
			} {
				wait.Go(func() {
					if a := w.do("admin", "POST", path, body, "Idempotency-Key: k"); a.status != 200 && a.status != 201 {
						t.Errorf("%s: %d %s", path, a.status, a.body)
					}
				})
			}
		}
		wait.Wait()
		status, err := w.ledger.Status(t.Context(), "b", nil)
		if err != nil || status.Used.String() != "6" || status.Reserved.String() != "7" {
			t.Errorf("used %s, reserved %s, %v; want 6 and 7", status.Used, status.Reserved, err)
		}
		list, err := w.ledger.List(t.Context(), budget.Query{Owner: new("admin")})
		if err != nil || list.Total != 1 {
			t.Errorf("%d budgets, %v", list.Total, err)
		}
		acme, err := w.ledger.Tenant(t.Context(), "acme")
		if err != nil || len(acme.Licenses) != 1 {
			t.Errorf("%d licenses, %v", len(acme.Licenses), err)
		}
	})
}

func TestARefusedRequestMayBeSentAgainWithItsKey(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "1", nil)
		const body, key = `{"estimate": {"cost": 2}}`, "Idempotency-Key: k"
		w.want(402, "", "recorder", "POST", "/api/v1/reservations", body, key)
		raise := func(b *budget.Budget) error { b.Limit = b.Limit.Add(b.Limit); return nil }
		if _, err := w.ledger.Update(t.Context(), "b", raise); err != nil {
			t.Fatal(err)
		}
		w.want(201, "", "recorder", "POST", "/api/v1/reservations", body, key)
		w.want(422, "", "recorder", "POST", "/api/v1/reservations", `{"estimate": {"cost": 1}}`, key)
		w.want(402, "", "recorder", "POST", "/api/v1/reservations", body, "Idempotency-Key: another")

		// What is not well formed, or not allowed, takes no key.
		w.want(422, "", "recorder", "POST", "/api/v1/events", `{"events": 1}`, key)
		w.want(200, "", "recorder", "POST", "/api/v1/events", `{"events": []}`, key)
		w.want(403, "", "bob", "POST", "/api/v1/events", `{"events": []}`, key)
	})
}

func TestAKeyIsKeptForADayAndOverARestart(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		const key = "Idempotency-Key: k"
		first := w.want(200, "", "ada", "POST", "/api/v1/budgets",
			`{"name": "n", "budget_type": "dollars", "limit_amount": 5, "period_type": "daily"}`, key).member(t, "id")
		w.now.set(morning.Add(25 * time.Hour))
		restarted := &world{t: t, store: w.store, now: w.now, log: &record{}}
		restarted.serve(time.UTC, nil)
		again := restarted.want(200, "", "ada", "POST", "/api/v1/budgets",
			`{"name": "n", "budget_type": "dollars", "limit_amount": 5, "period_type": "daily"}`, key).member(t, "id")
		if again != first {
			t.Errorf("%s, then %s", first, again)
		}
		restarted.want(422, "", "ada", "POST", "/api/v1/budgets",
			`{"name": "n", "budget_type": "tokens", "limit_amount": 5, "period_type": "daily"}`, key)
	})
}

// What is made has an id that follows from the key: who uses one again after it was forgotten must not be told of the old thing.
func TestAForgottenKeyMakesNothingElse(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.want(200, "", "admin", "PUT", "/api/v1/tenants/acme", `{"name": "Acme"}`)
		for _, path := range []string{"/api/v1/budgets", "/api/v1/licenses"} {
			w.set("2026-03-15T09:30:00Z")
			made := w.want(200, "", "admin", "POST", path, posts[path].body, "Idempotency-Key: k")
			w.forgetKeys()
			w.set("2026-03-20T09:30:00Z")
			w.want(409, `{"type": "about:blank", "title": "Conflict", "status": 409, "detail": "*"}`,
				"admin", "POST", path, posts[path].other, "Idempotency-Key: k")
			if again := w.do("admin", "GET", path+"/"+made.member(t, "id"), ""); again.status != 200 {
				t.Errorf("what was made first: %d %s", again.status, again.body)
			}
		}
	})
}

// forgetKeys forgets all idempotency keys, as Run does with old ones.
func (w *world) forgetKeys() {
	w.t.Helper()
	ctx := w.t.Context()
	err := w.store.Update(ctx, func(tx budget.Tx) error {
		old, err := tx.KeyClaims(ctx, budget.KeyClaimQuery{})
		if err != nil {
			return err
		}
		if err := tx.Fence(ctx, budget.Shared); err != nil {
			return err
		}
		_, err = tx.Apply(ctx, budget.Writes{DeleteKeyClaims: old})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
