package main

import (
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func TestAdjustments(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.limit("b", "10", func(b *budget.Budget) {
			b.Scope, b.Owner, b.CreatedBy = budget.Scope{usage.Tenant: "acme", usage.User: budget.Each}, "ada", "ada"
		})
		w.spent("1", "2026-03-14T00:00:00Z", "acme", "ada", "9")
		const path, body = "/api/v1/budgets/b/adjustments", `{"id": "a1", "value": {"user": "ada"}, "amount": "-2.50", "reason": "credit\nnote"}`
		for range 2 {
			a := w.want(200, "", "acme-admin", "POST", path, body)
			if got := a.member(t, "id"); got != "a1" {
				t.Errorf("its id is %q", got)
			}
			if diff := diffJSON(`{"used": 6.5, "recorded": 9, "adjusted": -2.5}`, figures(t, a.member(t, "status"), "used", "recorded", "adjusted")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		w.want(200, "", "admin", "POST", path, `{"value": {"user": "ada"}, "amount": 1, "reason": "carried over", "time": "2026-03-01T00:00:00Z"}`)
		const first = `{"id": "a1", "value": {"user": "ada"}, "metric": "dollars", "amount": -2.5, "reason": "credit\nnote", "time": "2026-03-15T09:30:00Z",
			"user_id": "root", "recorded_at": "2026-03-15T09:30:00Z"}`
		w.want(200, `{"adjustments": [`+first+`, {"id": "*", "value": {"user": "ada"}, "metric": "dollars", "amount": 1, "reason": "carried over",
			"time": "2026-03-01T00:00:00Z", "user_id": "admin", "recorded_at": "2026-03-15T09:30:00Z"}]}`, "acme-ada", "GET", path, "")
		w.want(200, `{"adjustments": [`+first+`]}`, "reader", "GET", path+"?from=2026-03-02T00:00:00Z", "")

		w.want(409, "", "acme-admin", "POST", path, `{"id": "a1", "value": {"user": "ada"}, "amount": -2, "reason": "other"}`)
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:budgets:admin is missing."}`,
			"acme-ada", "POST", path, body)
		w.want(403, "", "reader", "POST", path, body)
		for _, token := range []string{"globex-admin", "bob", "ada"} {
			w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Budget not found"}`, token, "POST", path, body)
		}
		for body, errors := range map[string]string{
			`{}`: `[{"field": "amount", "message": "must not be 0"}, {"field": "reason", "message": "*"}]`,
			`{"amount": "1_0", "reason": 5, "who": "me"}`: `[{"field": "amount", "message": "must be a number such as 12.5"},
				{"field": "reason", "message": "must be a string"}, {"field": "who", "message": "is not a known field"}]`,
			`{"amount": -100, "reason": "r", "value": {"user": "ada"}}`:                              `[{"field": "amount", "message": "would take what is used below 0"}]`,
			`{"amount": 0.0000000001, "reason": "r", "value": {"user": "ada"}}`:                      `[{"field": "amount", "message": "*"}]`,
			`{"amount": 1, "reason": "r"}`:                                                           `[{"field": "value", "message": "*"}]`,
			`{"amount": 1, "reason": "r", "value": {"user": "ada"}, "time": "2026-02-01T00:00:00Z"}`: `[{"field": "time", "message": "*"}]`,
		} {
			w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*", "errors": `+errors+`}`,
				"acme-admin", "POST", path, body)
		}
	})
}
