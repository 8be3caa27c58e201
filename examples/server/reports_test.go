package main

import (
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/usage"
)

// sales records some usage of two tenants and of nobody.
func (w *world) sales() {
	w.t.Helper()
	event := func(id, at, tenant, user, key, resource string, tokens int64, cost string) usage.Event {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			w.t.Fatal(err)
		}
		return usage.Event{
			ID: id, Time: t, Subject: usage.Subject{Tenant: tenant, User: user, APIKey: key, Resource: resource},
			Amounts: usage.Amounts{InputTokens: tokens, Cost: new(dec(cost))},
		}
	}
	w.record(
		event("1", "2026-01-31T23:30:00Z", "acme", "ada", "k", "gpt", 1, "0.5"),
		event("2", "2026-03-01T00:00:00Z", "acme", "ada", "k", "claude", 2, "1"),
		event("3", "2026-03-14T12:00:00Z", "acme", "bob", "", "gpt", 4, "2"),
		event("4", "2026-03-15T09:00:00Z", "globex", "ada", "", "gpt", 8, "4"),
		event("5", "2026-03-15T09:10:00Z", "", "ada", "", "", 16, "0.000000001"),
	)
}

// line is a line of usage in which only input tokens and dollars were used.
func line(start, end, dimensions, tokens, requests, cost string) string {
	return `{"start": "` + start + `", "end": "` + end + `", ` + dimensions +
		`"input_tokens": ` + tokens + `, "output_tokens": 0, "cache_read_tokens": 0, "cache_creation_tokens": 0, "total_tokens": ` + tokens +
		`, "requests": ` + requests + `, "runs": 0, "cost": ` + cost + `}`
}

const (
	ever, forever = "1980-01-01T00:00:00Z", "2200-01-01T00:00:00Z"
	march, april  = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"
)

func TestGroups(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.want(200, `{"lines": []}`, "admin", "GET", "/api/v1/reports/groups", "")
		w.sales()
		for _, tt := range []struct{ rule, token, query, lines string }{
			{"all in one line", "admin", "", line(ever, forever, "", "31", "5", "7.500000001")},
			{"with the permission to read", "reader", "", line(ever, forever, "", "31", "5", "7.500000001")},
			{
				"by tenant; usage of none is a line of its own", "admin", "by=tenant",
				line(ever, forever, "", "16", "1", "0.000000001") + `,` +
					line(ever, forever, `"tenant": "acme", `, "7", "3", "3.5") + `,` +
					line(ever, forever, `"tenant": "globex", `, "8", "1", "4"),
			},
			{
				"by two, of one tenant, in a span", "admin", "by=user,resource&tenant=acme&from=2026-03-01T01:00:00%2B01:00&to=2026-03-15T00:00:00Z",
				line(march, "2026-03-15T00:00:00Z", `"user": "ada", "resource": "claude", `, "2", "1", "1") + `,` +
					line(march, "2026-03-15T00:00:00Z", `"user": "bob", "resource": "gpt", `, "4", "1", "2"),
			},
			{
				"open at one end", "admin", "from=2026-03-15T00:00:00Z",
				line("2026-03-15T00:00:00Z", forever, "", "24", "2", "4.000000001"),
			},
			{
				"by month in a zone", "admin", "bucket=month&zone=Europe/Berlin&user=ada&resource=gpt",
				line("2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z", "", "1", "1", "0.5") + `,` +
					line("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "", "8", "1", "4"),
			},
			{"of repeated parameters the last counts", "admin", "by=user&by=tenant&user=ada&user=bob", line(ever, forever, `"tenant": "acme", `, "4", "1", "2")},
			{"a caller with a tenant reads that one", "acme-admin", "by=tenant", line(ever, forever, `"tenant": "acme", `, "7", "3", "3.5")},
			{"and may name it", "acme-admin", "tenant=acme&api_key=k", line(ever, forever, "", "3", "2", "1.5")},
		} {
			w.t.Log(tt.rule)
			w.want(200, `{"lines": [`+tt.lines+`]}`, tt.token, "GET", "/api/v1/reports/groups?"+tt.query, "")
		}
		w.want(404, noTenant, "acme-admin", "GET", "/api/v1/reports/groups?tenant=globex", "")
		w.want(403, "", "bob", "GET", "/api/v1/reports/groups", "")
		for query, field := range map[string]string{
			"by=team": "by", "by=user,user": "by", "by=user,": "by", "bucket=year": "bucket", "zone=Mars": "zone", "zone=Local": "zone",
			"zone=../etc/passwd": "zone", "from=yesterday": "from", "to=1": "to", "from=1979-12-31T23:59:59Z": "from", "from=0001-01-01T00:00:00Z": "from", "to=0001-01-01T00:00:00Z": "to", "to=2200-01-01T00:00:01Z": "to",
			"from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z": "to", "tenant=a%00b": "tenant", "user=%ff": "user",
			"resource=" + strings.Repeat("x", 129): "resource", "by=%zz": "query",
		} {
			w.refuses(field, "admin", "/api/v1/reports/groups?"+query)
			w.refuses(field, "admin", "/api/v1/export?"+query)
		}
	})
}

// refuses checks that a path is refused for this field.
func (w *world) refuses(field, token, path string) {
	w.t.Helper()
	if a := w.want(422, "", token, "GET", path, ""); !strings.Contains(a.body, `"field":"`+field+`"`) {
		w.t.Errorf("%s is refused without naming %s: %s", path, field, a.body)
	}
}

func TestTop(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.want(200, `{"groups": []}`, "admin", "GET", "/api/v1/reports/top?by=tenant", "")
		w.sales()
		group := func(key, tokens, requests, cost string) string {
			return strings.NewReplacer(`{"start": "", "end": "", `, `{`).Replace(line("", "", `"key": "`+key+`", `, tokens, requests, cost))
		}
		for _, tt := range []struct{ token, query, groups string }{
			{"admin", "by=tenant", group("globex", "8", "1", "4") + `,` + group("acme", "7", "3", "3.5")},
			{"admin", "by=tenant&metric=requests&n=1", group("acme", "7", "3", "3.5")},
			{"reader", "by=user&metric=tokens&from=2026-03-14T00:00:00Z", group("ada", "24", "2", "4.000000001") + `,` + group("bob", "4", "1", "2")},
			{"acme-admin", "by=user", group("bob", "4", "1", "2") + `,` + group("ada", "3", "2", "1.5")},
			{"acme-admin", "by=resource&user=ada", group("claude", "2", "1", "1") + `,` + group("gpt", "1", "1", "0.5")},
		} {
			w.want(200, `{"groups": [`+tt.groups+`]}`, tt.token, "GET", "/api/v1/reports/top?"+tt.query, "")
		}
		w.want(404, noTenant, "acme-admin", "GET", "/api/v1/reports/top?by=user&tenant=globex", "")
		w.want(403, "", "bob", "GET", "/api/v1/reports/top?by=user", "")
		for query, field := range map[string]string{
			"": "by", "by=team": "by", "by=user,tenant": "by", "by=user&n=0": "n", "by=user&n=1001": "n", "by=user&metric=credits": "metric",
			"by=user&metric=Dollars": "metric", "by=user&to=x": "to",
		} {
			w.refuses(field, "admin", "/api/v1/reports/top?"+query)
		}
	})
}

func TestReportsOfTenants(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.want(200, `{"accounts": []}`, "admin", "GET", "/api/v1/reports/overview", "")
		w.want(200, `{"accounts": []}`, "acme-admin", "GET", "/api/v1/reports/overview", "")
		w.sales()
		id := w.license("admin", `{"tenant": "acme", "credits_total": 10, "cost_per_credit": 3, "token_budget_usd": 6, "starts_at": "`+march+`"}`)
		acme := `{"tenant": "acme", "name": "acme", "slug": null, "usage": ` + strings.Replace(line("", "", "", "7", "3", "3.5"), `"start": "", "end": "", `, "", 1) + `,
			"license": {"id": "` + id + `", "tenant": "acme", "active": true, "credits_total": 10, "cost_per_credit": 3, "token_budget_usd": 6,
				"budget_warning_percent": null, "starts_at": "` + march + `", "ends_at": null, "credits_used": 1,
				"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"},
			"credits_remaining": 9, "credits_percent_used": 10, "budget_used_usd": 3, "budget_percent_used": 50}`
		globex := `{"tenant": "globex", "name": "globex", "slug": null, "usage": ` + strings.Replace(line("", "", "", "8", "1", "4"), `"start": "", "end": "", `, "", 1) + `,
			"license": null, "credits_remaining": null, "credits_percent_used": null, "budget_used_usd": null, "budget_percent_used": null}`
		w.want(200, `{"accounts": [`+acme+`,`+globex+`]}`, "admin", "GET", "/api/v1/reports/overview", "")
		w.want(200, `{"accounts": [`+acme+`]}`, "acme-admin", "GET", "/api/v1/reports/overview/", "")

		months := `{"months": [` + line(march, april, "", "6", "2", "3") + `,` + line("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "", "1", "1", "0.5") + `]}`
		w.want(200, months, "admin", "GET", "/api/v1/reports/months?tenant=acme", "")
		w.want(200, months, "acme-admin", "GET", "/api/v1/reports/months", "")
		w.want(200, `{"months": [`+line("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "", "6", "2", "3")+`,`+
			line("2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z", "", "1", "1", "0.5")+`]}`,
			"admin", "GET", "/api/v1/reports/months?tenant=acme&zone=Europe/Berlin", "")
		current := `{"account": ` + acme + `, "month": ` + line(march, april, "", "6", "2", "3") + `}`
		w.want(200, current, "admin", "GET", "/api/v1/reports/current?tenant=acme", "")
		w.want(200, current, "acme-admin", "GET", "/api/v1/reports/current", "")

		for _, report := range []string{"months", "current"} {
			path := "/api/v1/reports/" + report
			w.want(404, noTenant, "admin", "GET", path+"?tenant=nobody", "")
			w.want(404, noTenant, "globex-admin", "GET", path+"?tenant=acme", "")
			w.want(403, "", "reader", "GET", path+"?tenant=acme", "")
			w.refuses("tenant", "admin", path)
			w.refuses("zone", "admin", path+"?tenant=acme&zone=Atlantis")
		}
		w.want(403, "", "reader", "GET", "/api/v1/reports/overview", "")
	})
}

// A report in one answer has a bound, and says so where it is passed.
func TestGroupsOfMoreLinesThanAnAnswerHas(t *testing.T) {
	w := newWorld(t)
	events := make([]usage.Event, 10_001)
	for i := range events {
		id := usage.NewID()
		events[i] = usage.Event{ID: id, Time: w.now.Now(), Subject: usage.Subject{User: id}}
	}
	w.record(events[:10_000]...)
	if a := w.do("admin", "GET", "/api/v1/reports/groups?by=user", ""); a.status != 200 || strings.Count(a.body, `"start"`) != 10_000 {
		t.Errorf("%d with %d lines, want all", a.status, strings.Count(a.body, `"start"`))
	}
	w.record(events[10_000])
	w.refuses("query", "admin", "/api/v1/reports/groups?by=user")
	if a := w.do("admin", "GET", "/api/v1/export?by=user&format=jsonl", ""); a.status != 200 || strings.Count(a.body, "\n") != 10_001 {
		t.Errorf("the export has %d lines, want all", strings.Count(a.body, "\n"))
	}
}
