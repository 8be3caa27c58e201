package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// limit makes a monthly hard budget of dollars, changed as one likes.
func (w *world) limit(id, dollars string, change func(*budget.Budget)) {
	w.t.Helper()
	b := budget.Budget{ID: id, Name: "Budget " + id, Metric: usage.Dollars, Limit: decimal.RequireFromString(dollars)}
	if change != nil {
		change(&b)
	}
	if _, err := w.ledger.By("boss").Create(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
}

func scoped(s budget.Scope) func(*budget.Budget) { return func(b *budget.Budget) { b.Scope = s } }

func TestAReservationIsSettledOnce(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "10", scoped(budget.Scope{usage.Tenant: "acme"}))
		const body = `{"id": "r/1", "user": "ada", "api_key": "k", "resource": "large", "labels": {"team": "red"},
			"estimate": {"input_tokens": 100, "cost": 4}, "ttl_seconds": 60}`
		const made = `{"id": "r/1", "tenant": "acme", "state": "open", "expires_at": "*"}`
		a := w.want(201, made, "acme-admin", "POST", "/api/v1/reservations", body)
		if got := a.header.Get("Location"); got != "/api/v1/reservations/r%2F1" {
			t.Errorf("it is at %q", got)
		}
		w.want(201, made, "acme-admin", "POST", "/api/v1/reservations", body)
		const stored = `{"id": "r/1", "tenant": "acme", "user": "ada", "api_key": "k", "resource": "large", "labels": {"team": "red"},
			"state": "open", "created_at": "2026-03-15T09:30:00Z", "expires_at": "*",
			"estimate": {"input_tokens": 100, "output_tokens": 0, "cache_creation_tokens": 0, "cache_read_tokens": 0,
				"total_tokens": 100, "requests": 1, "runs": 0, "cost": 4},
			"holds": [{"budget": "b", "name": "Budget b", "value": null, "metric": "dollars", "period_start": "2026-03-01T00:00:00Z", "amount": 4}]}`
		w.want(200, stored, "acme-admin", "GET", a.header.Get("Location"), "")
		w.want(200, stored, "admin", "GET", "/api/v1/reservations/r%2F1?tenant=acme", "")
		w.want(200, `{"reservations": [`+stored+`], "next": null}`, "admin", "GET", "/api/v1/reservations?budget=b", "")

		const used = `{"used": {"input_tokens": 90, "cost": "3.5"}, "resource": "small"}`
		w.want(200, `{"id": "r/1", "tenant": "acme", "status": "recorded", "late": false}`,
			"acme-admin", "POST", "/api/v1/reservations/r%2F1/settle", used)
		w.want(200, `{"id": "r/1", "tenant": "acme", "status": "duplicate", "late": false}`,
			"admin", "POST", "/api/v1/reservations/r%2F1/settle/?tenant=acme", used)
		w.want(409, "", "acme-admin", "POST", "/api/v1/reservations/r%2F1/settle", `{"used": {"cost": 1}}`)
		w.want(409, "", "acme-admin", "POST", "/api/v1/reservations/r%2F1/release", "")
		w.want(409, "", "acme-admin", "POST", "/api/v1/reservations/r%2F1/extend", `{"ttl_seconds": 60}`)
		w.want(409, "", "acme-admin", "POST", "/api/v1/reservations", body)
		w.want(404, "", "acme-admin", "GET", "/api/v1/reservations/r%2F1", "")
		w.want(200, `{"reservations": [], "next": null}`, "acme-admin", "GET", "/api/v1/reservations", "")
		if got := w.used("acme", "ada").Nanodollars; got != 3_500_000_000 {
			t.Errorf("used %d", got)
		}
	})
}

func TestAReservationIsReleasedAndSettledLate(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "10", nil)
		w.want(201, "", "recorder", "POST", "/api/v1/reservations", `{"id": "r", "estimate": {"cost": 10}}`)
		for _, body := range []string{"", "{}"} {
			w.want(200, `{"id": "r", "tenant": null, "state": "released"}`, "recorder", "POST", "/api/v1/reservations/r/release", body)
		}
		w.want(201, "", "recorder", "POST", "/api/v1/reservations", `{"id": "s", "estimate": {"cost": 10}}`)
		w.want(409, "", "recorder", "POST", "/api/v1/reservations/r/extend", "")
		w.want(200, `{"id": "r", "tenant": null, "status": "recorded", "late": true}`,
			"recorder", "POST", "/api/v1/reservations/r/settle", `{"used": {"cost": 7}}`)
		w.want(200, `{"id": "s", "tenant": null, "status": "recorded", "late": false}`,
			"recorder", "POST", "/api/v1/reservations/s/settle", `{"used": {"requests": 0}, "time": "2026-03-15T09:00:00Z", "labels": {"a": "b"}}`)
		if got := w.used("", "").Nanodollars; got != 7_000_000_000 {
			t.Errorf("used %d", got)
		}
	})
}

// The clock of a database server is not the test's.
func TestAReservationExpiresAndIsExtended(t *testing.T) {
	w := newWorld(t)
	w.limit("b", "10", nil)
	w.want(201, `{"id": "r", "tenant": null, "state": "open", "expires_at": "2026-03-15T09:40:00Z"}`,
		"recorder", "POST", "/api/v1/reservations", `{"id": "r", "estimate": {"cost": 9}}`)
	w.want(200, `{"id": "r", "tenant": null, "state": "open", "expires_at": "2026-03-15T10:30:00Z"}`,
		"recorder", "POST", "/api/v1/reservations/r/extend", `{"ttl_seconds": 3600}`)
	w.want(200, `{"id": "r", "tenant": null, "state": "open", "expires_at": "2026-03-15T10:30:00Z"}`,
		"recorder", "POST", "/api/v1/reservations/r/extend/", "")
	w.want(402, "", "recorder", "POST", "/api/v1/reservations", `{"id": "s", "estimate": {"cost": 8}}`)
	w.set("2026-03-15T10:30:00Z")
	w.want(201, "", "recorder", "POST", "/api/v1/reservations", `{"id": "s", "estimate": {"cost": 8}}`)
	w.want(402, "", "recorder", "POST", "/api/v1/reservations/r/extend", "")
	w.want(200, `{"id": "r", "tenant": null, "status": "recorded", "late": true}`,
		"recorder", "POST", "/api/v1/reservations/r/settle", `{"used": {"cost": 7}}`)
}

func TestARefusalNamesTheBudgetThatResetsLast(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.limit("month", "10", scoped(budget.Scope{usage.Tenant: "acme"}))
		w.limit("hour", "1", func(b *budget.Budget) {
			b.Schedule, b.Scope, b.Metric = period.Hourly, budget.Scope{usage.Tenant: "acme", usage.User: budget.Each}, usage.Requests
		})
		const month = `"budget": "month", "name": "Budget month", "scope": {"tenant": "acme"}, "value": null, "metric": "dollars",
			"limit": 10, "used": 0, "reserved": 0, "requested": 11, "fits": 10, "resets_at": "2026-04-01T00:00:00Z"`
		const hour = `"budget": "hour", "name": "Budget hour", "scope": {"tenant": "acme", "user": {"each": true}}, "value": {"user": "ada"},
			"metric": "requests", "limit": 1, "used": 0, "reserved": 0, "requested": 2, "fits": 1, "resets_at": "2026-03-15T10:00:00Z"`
		a := w.want(402, `{"type": "/docs#exceeded", "title": "Budget exceeded", "status": 402,
			"detail": "The budget \"Budget month\" has no room for this.", `+month+`, "refusals": [{`+hour+`}, {`+month+`}]}`,
			"acme-admin", "POST", "/api/v1/reservations", `{"user": "ada", "estimate": {"cost": 11, "requests": 2}}`)
		if got := a.header.Get("X-Should-Retry"); got != "false" {
			w.t.Errorf("whether to retry: %q", got)
		}
		a = w.want(429, `{"type": "/docs#exceeded", "title": "Budget exceeded", "status": 429,
			"detail": "The budget \"Budget hour\" has no room for this.", `+hour+`, "refusals": [{`+hour+`}]}`,
			"acme-admin", "POST", "/api/v1/reservations", `{"user": "ada", "estimate": {"cost": 1, "requests": 2}}`)
		if got := a.header.Get("Retry-After"); got != "1800" {
			w.t.Errorf("retry after %q seconds", got)
		}
		if got := a.header.Get("X-Should-Retry"); got != "" {
			w.t.Errorf("whether to retry: %q", got)
		}
	})
}

func TestAlways429(t *testing.T) {
	w := newWorld(t, func(c *config) { c.AlwaysTooMany = true })
	w.limit("b", "1", nil)
	a := w.want(429, "", "recorder", "POST", "/api/v1/reservations", `{"estimate": {"cost": 2}}`)
	if got := a.header.Get("Retry-After"); got != "1434600" {
		t.Errorf("retry after %q seconds", got)
	}
}

func TestARefusalHidesFiguresOfBudgetsThatTheCallerMayNotRead(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.limit("all", "5", nil)
		w.limit("own", "5", func(b *budget.Budget) { b.Scope, b.Owner = budget.Scope{usage.Tenant: "acme"}, "meter" })
		const all = `"budget": "all", "metric": "dollars", "requested": 6, "resets_at": "2026-04-01T00:00:00Z"`
		const own = `"budget": "own", "name": "Budget own", "scope": {"tenant": "acme"}, "value": null, "metric": "dollars",
			"limit": 5, "used": 0, "reserved": 0, "requested": 6, "fits": 5, "resets_at": "2026-04-01T00:00:00Z"`
		for _, token := range []string{"acme-recorder", "acme-admin"} { // its owner, and who may read it
			w.want(402, `{"type": "/docs#exceeded", "title": "Budget exceeded", "status": 402,
				"detail": "A budget has no room for this.", `+all+`, "refusals": [{`+all+`}, {`+own+`}]}`,
				token, "POST", "/api/v1/reservations", `{"estimate": {"cost": 6}}`)
		}
		w.want(402, `{"type": "/docs#exceeded", "title": "Budget exceeded", "status": 402,
			"detail": "A budget has no room for this.", `+all+`, "refusals": [{`+all+`}]}`,
			"globex-admin", "POST", "/api/v1/reservations", `{"estimate": {"cost": 6}}`)
		w.want(200, `{"admitted": false, "at": "2026-03-15T09:30:00Z", "budgets": [
			{"id": "all", "metric": "dollars", "requested": 6, "unknown": false, "reason": "exceeded", "refused": true}]}`,
			"globex-admin", "POST", "/api/v1/check", `{"estimate": {"cost": 6}}`)

		w.want(201, "", "acme-recorder", "POST", "/api/v1/reservations", `{"id": "r", "estimate": {"cost": 1}}`)
		a := w.want(200, "", "acme-recorder", "GET", "/api/v1/reservations/r", "")
		if strings.Contains(a.body, "Budget all") || !strings.Contains(a.body, "Budget own") {
			w.t.Errorf("it holds %s", a.body)
		}
	})
}

func TestOtherRefusals(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.limit("b", "1", func(b *budget.Budget) { b.AllowedResources = []string{"small"} })
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "A budget allows other resources only."}`,
			"recorder", "POST", "/api/v1/reservations", `{"resource": "large", "estimate": {"cost": 2}}`)
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422,
			"detail": "estimate: does not say what a budget counts that has no min_hold",
			"errors": [{"field": "estimate", "message": "does not say what a budget counts that has no min_hold"}]}`,
			"recorder", "POST", "/api/v1/reservations", `{"resource": "small", "estimate": {"input_tokens": 2}}`)
		w.want(201, "", "recorder", "POST", "/api/v1/reservations", `{"id": "r", "resource": "small", "estimate": {"cost": 0.5}}`)
		w.want(409, "", "recorder", "POST", "/api/v1/reservations", `{"id": "r", "resource": "small", "estimate": {"cost": 0.4}}`)
	})
}

func TestConcurrentReservationsAdmitWhatFits(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "20", nil)
		var mu sync.Mutex
		var wait sync.WaitGroup
		statuses := make(map[int]int)
		for i := range 50 {
			wait.Go(func() {
				a := w.do("recorder", "POST", "/api/v1/reservations", fmt.Sprintf(`{"id": "r%d", "estimate": {"cost": 1}}`, i))
				mu.Lock()
				defer mu.Unlock()
				statuses[a.status]++
			})
		}
		wait.Wait()
		if statuses[http.StatusCreated] != 20 || statuses[http.StatusPaymentRequired] != 30 {
			t.Errorf("answers by status: %v, want 20 of 201 and 30 of 402", statuses)
		}
		status, err := w.ledger.Status(t.Context(), "b", nil)
		if err != nil || !status.Reserved.Equal(decimal.NewFromInt(20)) {
			t.Errorf("%s are reserved, %v", status.Reserved, err)
		}
	})
}

func TestReservationsOfOneIDInTwoTenantsAreTwo(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		for _, tenant := range []string{"acme", "globex"} {
			w.want(201, "", tenant+"-admin", "POST", "/api/v1/reservations", `{"id": "r", "user": "`+tenant+`", "estimate": {"cost": 1}}`)
		}
		w.want(201, "", "recorder", "POST", "/api/v1/reservations", `{"id": "p", "estimate": {"cost": 1}}`)
		w.want(200, `{"id": "r", "tenant": "acme", "status": "recorded", "late": false}`,
			"acme-admin", "POST", "/api/v1/reservations/r/settle", `{"used": {"cost": 1}}`)
		w.want(404, "", "acme-admin", "GET", "/api/v1/reservations/r", "")
		if got := w.want(200, "", "globex-admin", "GET", "/api/v1/reservations/r", "").member(t, "user"); got != "globex" {
			t.Errorf("it is of %q", got)
		}
		for _, path := range []string{"", "/settle", "/release", "/extend"} {
			method, body := "POST", ""
			switch path {
			case "":
				method = "GET"
			case "/settle":
				body = `{"used": {"cost": 1}}`
			}
			for _, of := range []string{"r" + path + "?tenant=globex", "p" + path, "unknown" + path} {
				w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Reservation not found"}`,
					"acme-admin", method, "/api/v1/reservations/"+of, body)
			}
		}
		w.want(404, "", "acme-admin", "GET", "/api/v1/reservations?tenant=globex", "")
		w.want(422, "", "acme-admin", "POST", "/api/v1/reservations", `{"tenant": "globex", "estimate": {"cost": 1}}`)
		if got := w.want(200, "", "globex-admin", "GET", "/api/v1/reservations", "").body; strings.Count(got, `"created_at"`) != 1 {
			t.Errorf("globex has %s", got)
		}
	})
}

func TestReservationsArePaged(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		for i := range 5 {
			w.want(201, "", "recorder", "POST", "/api/v1/reservations",
				fmt.Sprintf(`{"id": "r%d", "tenant": "t%d", "estimate": {"cost": 1}}`, 5-i, i/2))
		}
		var found []string
		path := "/api/v1/reservations?limit=2"
		for range 3 {
			a := w.want(200, "", "admin", "GET", path, "")
			for _, part := range strings.Split(a.body, `{"id":"`)[1:] {
				found = append(found, part[:2])
			}
			path = "/api/v1/reservations?limit=2&after=" + a.member(t, "next")
		}
		if got := fmt.Sprint(found); got != "[r4 r5 r2 r3 r1]" {
			t.Errorf("found %s", got)
		}
	})
}

func TestCheckExplains(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.want(200, `{"admitted": true, "at": "2026-03-15T09:30:00Z", "budgets": []}`, "recorder", "POST", "/api/v1/check", `{}`)
		w.limit("b", "3", nil)
		w.want(200, `{"admitted": false, "at": "2026-03-15T09:30:00Z", "budgets": [{"id": "b", "name": "Budget b", "value": null, "metric": "dollars",
			"limit": 3, "used": 0, "recorded": 0, "adjusted": 0, "reserved": 0, "leased": 0, "remaining": 3, "available": 3, "percent": 0, "level": "ok",
			"over_limit": false, "enabled": true, "enforcement": "hard", "schedule": "*", "period_start": "2026-03-01T00:00:00Z",
			"period_end": "2026-04-01T00:00:00Z", "denied": 0, "would_deny": 0, "expired": 0, "expired_held": 0,
			"requested": 3.5, "unknown": false, "reason": "exceeded", "refused": true}]}`,
			"admin", "POST", "/api/v1/check", `{"estimate": {"cost": 3.5}}`)
		a := w.want(200, "", "admin", "POST", "/api/v1/check", `{"estimate": {"cost": 3}, "at": "2026-04-01T00:00:00Z"}`)
		if !strings.Contains(a.body, `"admitted":true`) || !strings.Contains(a.body, `"period_start":"2026-04-01T00:00:00Z"`) {
			w.t.Errorf("in April: %s", a.body)
		}
		w.want(422, "", "admin", "POST", "/api/v1/check", `{"at": "1979-01-01T00:00:00Z"}`)
		w.want(403, "", "reader", "POST", "/api/v1/check", `{}`)
		if status, err := w.ledger.Status(w.t.Context(), "b", nil); err != nil || status.Denied != 0 || !status.Reserved.IsZero() {
			w.t.Errorf("%d denied, %s reserved, %v", status.Denied, status.Reserved, err)
		}
	})
}

func TestReservationsThatAreNoneAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct{ path, body, errors string }{
		"no object":         {"", `[]`, `[{"field": "body", "message": "must be a JSON object"}]`},
		"an unknown member": {"", `{"cost": 1}`, `[{"field": "cost", "message": "is not a known field"}]`},
		"several": {"", `{"estimate": {"cost": "x", "costs": 1}, "ttl_seconds": 0, "user": 7}`, `[
			{"field": "estimate.cost", "message": "must be a number such as 12.5"}, {"field": "estimate.costs", "message": "is not a known field"},
			{"field": "ttl_seconds", "message": "must be a whole number from 1 to 604800"}, {"field": "user", "message": "must be a string"}]`},
		"an estimate that is none":     {"", `{"estimate": []}`, `[{"field": "estimate", "message": "must be a JSON object"}]`},
		"a negative estimate":          {"", `{"estimate": {"cost": -1}}`, `[{"field": "estimate.cost", "message": "must not be negative"}]`},
		"a time to check":              {"", `{"at": "2026-04-01T00:00:00Z"}`, `[{"field": "at", "message": "is not a known field"}]`},
		"half a second":                {"", `{"ttl_seconds": 0.5}`, `[{"field": "ttl_seconds", "message": "must be a whole number from 1 to 604800"}]`},
		"seconds of 10^9 digits":       {"", `{"ttl_seconds": 1e1000000000}`, `[{"field": "ttl_seconds", "message": "must be a whole number from 1 to 604800"}]`},
		"more than a week":             {"", `{"ttl_seconds": 604801}`, `[{"field": "ttl_seconds", "message": "must be a whole number from 1 to 604800"}]`},
		"a settlement of nothing":      {"/r/settle", `{}`, `[{"field": "used", "message": "must say what was used"}]`},
		"a settlement of empty usage":  {"/r/settle", `{"used": {}}`, `[{"field": "used", "message": "must say what was used"}]`},
		"a negative settlement":        {"/r/settle", `{"used": {"cost": -1}}`, `[{"field": "used.cost", "message": "must not be negative"}]`},
		"a settlement of another kind": {"/r/settle", `{"used": 1}`, `[{"field": "used", "message": "must be a JSON object"}]`},
		"another's settlement":         {"/r/settle", `{"used": {"cost": 1}, "user": "eve"}`, `[{"field": "user", "message": "is not a known field"}]`},
		"a release of something":       {"/r/release", `{"used": {"cost": 1}}`, `[{"field": "used", "message": "is not a known field"}]`},
		"an id that can't be":          {"/%00/release", ``, `[{"field": "id", "message": "contains the control character U+0000"}]`},
		"an id that is no text":        {"/%ff/release", `{"x": 1}`, `[{"field": "id", "message": "is not valid UTF-8"}, {"field": "x", "message": "is not a known field"}]`},
		"an extension that is none":    {"/r/extend", `{"ttl_seconds": "-5"}`, `[{"field": "ttl_seconds", "message": "must be a whole number from 1 to 604800"}]`},
	} {
		t.Run(name, func(*testing.T) {
			w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*", "errors": `+test.errors+`}`,
				"recorder", "POST", "/api/v1/reservations"+test.path, test.body)
		})
	}
	for query, errors := range map[string]string{
		"limit=0":              `[{"field": "limit", "message": "must be a whole number from 1 to 1000"}]`,
		"limit=1&limit=1e3":    `[{"field": "limit", "message": "must be a whole number from 1 to 1000"}]`,
		"state=settled":        `[{"field": "state", "message": "must be one of [expired open released]"}]`,
		"overdue=maybe":        `[{"field": "overdue", "message": "must be true or false"}]`,
		"after=x":              `[{"field": "after", "message": "must be a cursor as \"next\" gave it"}]`,
		"budget=%00&tenant=%7": `[{"field": "query", "message": "is not well formed"}]`,
		"budget=%00":           `[{"field": "budget", "message": "contains the control character U+0000"}]`,
	} {
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*", "errors": `+errors+`}`,
			"recorder", "GET", "/api/v1/reservations?"+query, "")
	}
	w.want(403, "", "reader", "GET", "/api/v1/reservations", "")
	w.want(403, "", "reader", "GET", "/api/v1/reservations/r", "")
	w.want(422, "", "reader", "GET", "/api/v1/reservations/%00", "")
	w.want(422, "", "reader", "POST", "/api/v1/reservations/r/settle", "{}")
}

func TestReservationsByState(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		for _, id := range []string{"open", "gone", "over"} {
			w.want(201, "", "recorder", "POST", "/api/v1/reservations", `{"id": "`+id+`", "estimate": {"cost": 1}}`)
		}
		w.want(200, "", "recorder", "POST", "/api/v1/reservations/gone/release", "")
		for query, want := range map[string]string{
			"state=released": "gone", "state=open": "open over", "overdue=1": "", "state=expired": "", "tenant=": "gone open over",
			"state=released&state=open": "open over",
		} {
			a := w.want(200, "", "recorder", "GET", "/api/v1/reservations?"+query, "")
			var ids []string
			for _, part := range strings.Split(a.body, `{"id":"`)[1:] {
				ids = append(ids, part[:4])
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
	})
}
