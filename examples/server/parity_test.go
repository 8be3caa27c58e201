package main

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A parityRow is one line of what the users of the two systems must find again, whose routes this server has, and what
// shows that they do.
type parityRow struct {
	row   string
	check func(*testing.T, *world)
}

// testParity checks each row in worlds of its own, one on each kind of store.
func testParity(t *testing.T, rows []parityRow) {
	seen := make(map[string]bool)
	for _, r := range rows {
		if seen[r.row] {
			t.Fatalf("the row %q is there twice", r.row)
		}
		seen[r.row] = true
		t.Run(r.row, func(t *testing.T) {
			t.Parallel()
			if r.check == nil {
				t.Fatal("nothing shows this")
			}
			onEveryStore(t, r.check)
		})
	}
}

func TestGeneralParity(t *testing.T) { testParity(t, generalParity) }

// generalParity is what holds for both systems.
var generalParity = []parityRow{
	{"amounts are number literals with their exact text", func(t *testing.T, w *world) {
		for sent, text := range map[string]string{
			`0.1`: `0.1`, `12.50`: `12.5`, `1e3`: `1000`, `"12.5"`: `12.5`, `"1E+2"`: `100`, `0.10`: `0.1`, `5.65`: `5.65`,
			`0.000000001`: `0.000000001`, `9223372036.854775807`: `9223372036.854775807`, `1e-9`: `0.000000001`, `3.0`: `3`,
		} {
			a := w.want(200, "", "ada", "POST", budgets, with(dollars, `"limit_amount": `+sent))
			if got := `"limit_amount":` + text + `,`; !strings.Contains(a.body, got) {
				t.Errorf("%s comes back as %s, want %s", sent, a.body, got)
			}
		}
		w.wantMembers(`{"alert_threshold_percent": 99.123456789}`, "ada", "POST", budgets, with(dollars, `"alert_threshold_percent": "99.1234567890"`))
	}},
	{"what is no exact amount is 422 and nothing is stored", func(t *testing.T, w *world) {
		for _, sent := range []string{
			`" 12"`, `"12 "`, `"1_0"`, `true`, `"NaN"`, `"Infinity"`, `"-Infinity"`, `"1e999"`, `1e999`, `1e-300`, `1e64`, `""`, `"0x10"`,
			`"+1"`, `[1]`, `{}`, `null`, `0`, `-1`, `-0`, `0.0000000001`, `9223372036.854775808`, `1e1000000000`,
			strings.Repeat("9", 64), strings.Repeat("9", 1000), `"` + strings.Repeat("1", 100_000) + `"`, `"٣"`, `"1,5"`,
		} {
			w.wantFields("limit_amount", "ada", "POST", budgets, with(dollars, `"limit_amount": `+sent))
		}
		for metric, sent := range map[string]string{
			"tokens": "1.5", "requests": "0.5", "input_tokens": "1e-1", "credits": "0.0000001", "dollars": "1e-10",
		} {
			w.wantFields("limit_amount", "ada", "POST", budgets,
				with(dollars, `"budget_type": "`+metric+`", "limit_amount": `+sent))
		}
		for _, sent := range []string{`-0.1`, `100.000000001`, `"abc"`, `1e-10`, `null`, `true`, `1e30`} {
			w.wantFields("alert_threshold_percent", "ada", "POST", budgets, with(dollars, `"alert_threshold_percent": `+sent))
		}
		for _, sent := range []string{`NaN`, `Infinity`, `-Infinity`, `01`, `1.`, `.5`, `+1`} {
			w.wantFields("body", "ada", "POST", budgets, `{"name": "n", "budget_type": "dollars", "period_type": "monthly", "limit_amount": `+sent+`}`)
		}
		w.want(200, `{"budgets": [], "total": 0, "page": 1, "size": 10}`, "admin", "GET", budgets, "")
	}},
	{"booleans are true and false, in a query also 1/0, yes/no, on/off in any case", func(t *testing.T, w *world) {
		w.make("ada", with(simple, `"is_enabled": false`))
		for _, sent := range []string{`1`, `0`, `"true"`, `"yes"`, `null`, `[]`, `"false"`} {
			w.wantFields("is_enabled", "ada", "POST", budgets, with(simple, `"is_enabled": `+sent))
		}
		for query, total := range map[string]string{
			"false": "1", "0": "1", "no": "1", "off": "1", "FALSE": "1", "oFF": "1",
			"true": "0", "1": "0", "yes": "0", "on": "0", "True": "0", "YES": "0", "": "1",
		} {
			w.wantMembers(`{"total": `+total+`}`, "ada", "GET", budgets+"?is_enabled="+query, "")
		}
		for _, query := range []string{"2", "ja", "t", "%20true", "null"} {
			w.wantFields("is_enabled", "ada", "GET", budgets+"?is_enabled="+query, "")
		}
	}},
	{"times are RFC 3339 with Z, the period's end is inclusive", func(_ *testing.T, w *world) {
		id := w.make("ada", with(simple, `"period_type": "daily", "starts_at": "2026-03-01T01:00:00+01:00"`))
		w.set("2026-03-15T09:30:00.123456Z")
		w.wantMembers(`{
			"period_start": "2026-03-15T00:00:00Z", "period_end": "2026-03-15T23:59:59.999999Z", "starts_at": "2026-03-01T00:00:00Z",
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00.123456Z"
		}`, "ada", "PUT", budgets+id, `{"name": "other"}`)
	}},
	{"a budget without time_zone is UTC whatever --zone is", func(t *testing.T, w *world) {
		zone, err := time.LoadLocation("Asia/Tokyo")
		if err != nil {
			t.Fatal(err)
		}
		tokyo := newWorld(t, func(c *config) { c.Zone = zone })
		for _, w := range []*world{w, tokyo} {
			w.set("2026-03-31T23:30:00Z")
			for kind, want := range map[string]string{
				"hourly":  `{"period_start": "2026-03-31T23:00:00Z", "period_end": "2026-03-31T23:59:59.999999Z", "time_zone": "UTC"}`,
				"daily":   `{"period_start": "2026-03-31T00:00:00Z", "period_end": "2026-03-31T23:59:59.999999Z", "time_zone": "UTC"}`,
				"weekly":  `{"period_start": "2026-03-30T00:00:00Z", "period_end": "2026-04-05T23:59:59.999999Z", "time_zone": "UTC"}`,
				"monthly": `{"period_start": "2026-03-01T00:00:00Z", "period_end": "2026-03-31T23:59:59.999999Z", "time_zone": "UTC"}`,
				"yearly":  `{"period_start": "2026-01-01T00:00:00Z", "period_end": "2026-12-31T23:59:59.999999Z", "time_zone": "UTC"}`,
			} {
				w.wantMembers(want, "ada", "POST", budgets, with(simple, `"period_type": "`+kind+`"`))
			}
		}
	}},
	{"a token comes as Authorization: Bearer", func(_ *testing.T, w *world) {
		w.want(200, "", "", "GET", budgets, "", "Authorization: Bearer ada")
		w.want(200, "", "", "GET", budgets, "", "Authorization: bearer ada")
		for _, header := range []string{"Authorization: Basic ada", "Authorization: ada", "Authorization: Bearer", "Authorization: Bearer nobody"} {
			a := w.want(401, `{"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "A valid token is needed."}`,
				"", "GET", budgets, "", header)
			if got := a.header.Get("WWW-Authenticate"); got != "Bearer" {
				w.t.Errorf("WWW-Authenticate is %q", got)
			}
		}
	}},
	{"errors are problem documents, 422 with a list of fields", func(_ *testing.T, w *world) {
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "errors": [
				{"field": "name", "message": "is required"}, {"field": "limit_amount", "message": "must be greater than 0"}],
				"detail": "name: is required; limit_amount: must be greater than 0"}`,
			"ada", "POST", budgets, `{"budget_type": "tokens", "limit_amount": 0, "period_type": "daily"}`)
		w.wantFields("colour limit_amount name budget_type period_type", "ada", "POST", budgets, `{"colour": "red", "limit_amount": "x"}`)
	}},
	{"detail keeps the texts that clients match, a 403 names the permission", func(_ *testing.T, w *world) {
		w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Budget not found"}`,
			"admin", "GET", budgets+"unknown", "")
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403,
			"detail": "The permission platform:budgets:create is missing."}`, "bob", "POST", budgets, simple)
	}},
	{"the order of checks", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		// 401 before what is malformed, 422 for path, query and body before 404, 404 before 403, 403 before the stored row.
		w.want(401, "", "", "POST", budgets+"?%zz", "{")
		w.wantFields("query", "bob", "GET", budgets+"?page=1&%zz", "")
		w.wantFields("body", "bob", "POST", budgets, "{")
		w.wantFields("limit_amount", "bob", "PUT", budgets+"unknown", `{"limit_amount": 0}`)
		w.wantFields("id", "bob", "GET", budgets+strings.Repeat("x", 200), "")
		w.wantFields("page", "bob", "GET", budgets+"?page=0&user_id=ada", "")
		w.want(404, "", "bob", "PUT", budgets+"unknown", `{"limit_amount": 1}`)
		w.want(404, "", "bob", "PUT", budgets+id, `{"budget_type": "dollars"}`)
		w.want(403, "", "reader", "PUT", budgets+id, `{"budget_type": "dollars"}`, `If-Match: "7"`)
		w.wantFields("budget_type", "ada", "PUT", budgets+id, `{"budget_type": "dollars", "version": 7}`, `If-Match: "7"`)
		w.want(409, "", "ada", "PUT", budgets+id, `{"version": 7}`, `If-Match: "7"`)
		w.want(412, "", "ada", "PUT", budgets+id, `{"version": 1}`, `If-Match: "7"`)
		w.want(404, "", "bob", "DELETE", budgets+id, "", `If-Match: "7"`)
		w.want(403, "", "reader", "DELETE", budgets+id, "", `If-Match: "7"`)
		w.want(412, "", "ada", "DELETE", budgets+id, "", `If-Match: "7"`)
	}},
	{"who may not see a budget gets 404, who may see it and not change it 403", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		for _, route := range []string{"", "/usage", "/alerts"} {
			w.want(404, "", "bob", "GET", budgets+id+route, "")
			w.want(200, "", "reader", "GET", budgets+id+route, "")
			w.want(200, "", "ada", "GET", budgets+id+route, "")
		}
		for _, unable := range []string{"bob", "deleter", "creator"} {
			w.want(404, "", unable, "PUT", budgets+id, `{}`)
		}
		w.want(404, "", "updater", "DELETE", budgets+id, ``)
		w.want(403, "", "reader", "PUT", budgets+id, `{}`)
		w.want(403, "", "reader", "DELETE", budgets+id, ``)
		w.want(404, "", "updater", "GET", budgets+id, "")
		w.want(200, "", "updater", "PUT", budgets+id, `{}`)
	}},
	{"unknown members are 422, unknown parameters are ignored, of repeated ones the last counts", func(_ *testing.T, w *world) {
		w.wantFields("color", "ada", "POST", budgets, with(simple, `"color": 1`))
		w.wantFields("id version", "ada", "POST", budgets, with(simple, `"id": "x", "version": 1`))
		w.wantMembers(`{"limit_amount": 3}`, "ada", "POST", budgets,
			`{"limit_amount": "no", "name": "n", "budget_type": "tokens", "limit_amount": 3, "period_type": "monthly"}`)
		w.wantMembers(`{"total": 1, "size": 5, "page": 1}`, "ada", "GET", budgets+"?size=x&size=5&colour=red&page=0&page=1", "")
		id := w.make("ada", simple)
		w.wantFields("Name", "ada", "PUT", budgets+id, `{"Name": "case matters"}`)
	}},
	{"a client may PUT back a budget as it read it", func(t *testing.T, w *world) {
		w.use("", "ada", "", 42, "0")
		for _, body := range []string{
			simple,
			with(simple, `"api_key_id": "ada-key", "description": "two\nlines", "metadata": {"a": [1, 1.50, {"b": null}]}`),
			with(simple, `"period_type": "weekly", "time_zone": "Europe/Berlin", "schedule": {"period": "weekly", "week_start": "sunday"}`),
			with(simple, `"starts_at": "2026-01-01T00:00:00.1234567Z", "ends_at": "2027-01-01T00:00:00Z", "labels": {"a": "b"}`),
			with(simple, `"allowed_resources": ["x"], "extra_percents": [50, 120.5], "min_hold": 5, "critical_percent": 95, "enforcement": "soft"`),
		} {
			id := w.make("ada", body)
			w.set("2026-03-15T10:00:00Z")
			read := w.want(200, "", "ada", "GET", budgets+id, "")
			w.want(200, read.body, "ada", "PUT", budgets+id, read.body)
			w.wantMembers(`{"version": 2}`, "ada", "PUT", budgets+id, with(read.body, `"limit_amount": 50`))
			w.want(409, "", "ada", "PUT", budgets+id, with(read.body, `"limit_amount": 60`))
			w.set("2026-03-15T09:30:00Z")
		}
		scoped := w.make("admin", with(simple, `"scope": {"resource": "m", "user": {"each": true}}, "except": {"user": ["ada"]}`))
		read := w.want(200, "", "admin", "GET", budgets+scoped, "")
		w.want(200, read.body, "admin", "PUT", budgets+scoped, read.body)
	}},
	{"computed members are ignored in a PUT, settable ones obeyed, the others pass when unchanged", func(_ *testing.T, w *world) {
		id := w.make("ada", simple)
		w.wantMembers(`{"version": 1, "current_usage": 0, "period_start": "2026-03-01T00:00:00Z", "updated_at": "2026-03-15T09:30:00Z"}`,
			"ada", "PUT", budgets+id, `{"current_usage": "x", "period_start": null, "period_end": 7, "usage_percentage": [], "updated_at": "never",
				"level": 1, "reserved": 1, "available": 1, "denied": 1, "would_deny": 1, "value": 1, "counters": 1}`)
		w.wantMembers(`{"enforcement": "soft", "version": 2}`, "ada", "PUT", budgets+id, `{"enforcement": "soft", "created_at": "2026-03-15T10:30:00+01:00",
			"id": "`+id+`", "created_by": "ada", "user_id": "ada", "api_key_id": "", "budget_type": "tokens", "scope": {"user": "ada"}}`)
		for _, member := range []string{
			`"id": "x"`, `"id": null`, `"id": ""`, `"created_at": "2026-03-15T09:30:00.000001Z"`, `"created_at": "now"`, `"created_by": "bob"`,
			`"user_id": "bob"`, `"api_key_id": "ada-key"`, `"budget_type": "dollars"`, `"scope": {"user": "bob"}`, `"scope": {}`, `"scope": null`,
		} {
			name, _, _ := strings.Cut(strings.TrimPrefix(member, `"`), `"`)
			w.wantFields(name, "ada", "PUT", budgets+id, `{`+member+`}`)
		}
	}},
	{"ids of users, keys and tenants are opaque text", func(_ *testing.T, w *world) {
		for i, user := range []string{"0", "007", "abc", "7", "ä/ö?", " ", "%2F", "-1"} {
			w.use("", user, "", int64(i+1), "0")
		}
		for i, user := range []string{"0", "007", "abc", "7", "ä/ö?", " ", "%2F", "-1"} {
			w.wantMembers(`{"user_id": "`+user+`", "current_usage": `+strconv.Itoa(i+1)+`}`,
				"creator", "POST", budgets, with(simple, `"user_id": "`+user+`"`))
			w.wantMembers(`{"total": 1}`, "reader", "GET", budgets+"?user_id="+url.QueryEscape(user), "")
		}
	}},
	{"null or an empty user_id or api_key_id is as if absent", func(_ *testing.T, w *world) {
		for _, nothing := range []string{`null`, `""`} {
			w.want(200, whole, "ada", "POST", budgets, with(simple, `"user_id": `+nothing+`, "api_key_id": `+nothing))
		}
		w.wantMembers(`{"total": 2}`, "ada", "GET", budgets+"?user_id=", "")
	}},
	{"a token with a tenant sees and changes only what is that tenant's", func(t *testing.T, w *world) {
		platform := w.make("ada", simple)
		acme := w.make("acme-ada", simple)
		globex := w.make("globex-admin", with(simple, `"user_id": "ada"`))
		for token, sees := range map[string][]string{
			"acme-ada": {acme}, "acme-admin": {acme}, "globex-admin": {globex}, "ada": {platform}, "reader": {globex, acme, platform},
		} {
			var page struct{ Budgets []struct{ ID string } }
			if err := json.Unmarshal([]byte(w.want(200, "", token, "GET", budgets, "").body), &page); err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, b := range page.Budgets {
				ids = append(ids, b.ID)
			}
			if diff := cmp.Diff(sees, ids); diff != "" {
				t.Errorf("%s (-want +got):\n%s", token, diff)
			}
		}
		for _, id := range []string{platform, globex} {
			for _, token := range []string{"acme-admin", "acme-ada"} {
				w.want(404, "", token, "GET", budgets+id, "")
				w.want(404, "", token, "GET", budgets+id+"/usage", "")
				w.want(404, "", token, "GET", budgets+id+"/alerts", "")
				w.want(404, "", token, "PUT", budgets+id, `{"limit_amount": 1}`)
				w.want(404, "", token, "DELETE", budgets+id, "")
			}
		}
		w.want(404, "", "ada", "GET", budgets+acme, "")
		w.wantMembers(`{"entries": []}`, "globex-admin", "GET", "/api/v1/audit?user_id=ada&action=create_budget", "")
	}},
	{"what a token with a tenant makes is that tenant's", func(_ *testing.T, w *world) {
		w.use("acme", "ada", "", 5, "0")
		w.use("globex", "ada", "", 7, "0")
		w.use("", "ada", "", 11, "0")
		w.wantMembers(`{"scope": {"tenant": "acme", "user": "ada"}, "user_id": "ada", "current_usage": 5}`, "acme-ada", "POST", budgets, simple)
		w.wantMembers(`{"scope": {"tenant": "globex", "user": "ada"}, "user_id": "ada", "current_usage": 7}`,
			"globex-admin", "POST", budgets, with(simple, `"user_id": "ada"`))
		w.wantMembers(`{"scope": {"user": "ada"}, "current_usage": 23}`, "ada", "POST", budgets, simple)
		w.wantMembers(`{"scope": {"tenant": "acme"}, "user_id": null, "current_usage": 5}`, "acme-admin", "POST", budgets, with(simple, `"scope": {}`))
		w.wantMembers(`{"scope": {"tenant": "acme", "resource": "m"}}`,
			"acme-admin", "POST", budgets, with(simple, `"scope": {"tenant": "acme", "resource": "m"}`))
		for _, scope := range []string{`{"tenant": "globex"}`, `{"tenant": {"each": true}}`} {
			w.wantFields("scope.tenant", "acme-admin", "POST", budgets, with(simple, `"scope": `+scope))
		}
	}},
	{"nothing is ever 500 for bad input", func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		bodies := []string{
			``, `null`, `[]`, `"x"`, `1`, `{`, `{"a"}`, `{"name": }`, "\x00", "\xff", `{"name": "\ud800"}`, `{"name": "a\u0000b"}`, `{"": 1}`,
			strings.Repeat(`[`, 20_000), `{"metadata": ` + strings.Repeat(`{"a":`, 5_000) + `1` + strings.Repeat(`}`, 5_000) + `}`,
			`{"scope": {"": "x"}}`, `{"scope": {"user": 1}}`, `{"scope": {"user": {"each": false}}}`, `{"scope": {"user": "\u0000each"}}`,
			`{"schedule": {"period": "every"}}`, `{"schedule": 7}`, `{"schedule": {"period": "weekly", "week_start": "someday"}}`,
			`{"schedule": {"period": "every", "every": 1e30, "unit": "hour", "anchor": "2024-01-01T00:00:00Z"}}`,
			`{"time_zone": "Local"}`, `{"time_zone": "../../etc/passwd"}`, `{"time_zone": ""}`, `{"time_zone": 1}`,
			`{"starts_at": "0001-01-01T00:00:00Z"}`, `{"ends_at": "9999-12-31T23:59:59Z"}`, `{"starts_at": 1}`,
			`{"labels": {"a": 1}}`, `{"labels": []}`, `{"extra_percents": [0]}`, `{"extra_percents": [null]}`, `{"extra_percents": {}}`,
			`{"allowed_resources": [""]}`, `{"allowed_resources": [1]}`, `{"allowed_resources": "x"}`, `{"except": {"user": ["a"]}}`,
			`{"metadata": []}`, `{"metadata": "x"}`, `{"metadata": {"a": "\udc00"}}`, `{"version": 0}`, `{"version": "x"}`, `{"version": 1.5}`,
			`{"version": 1e40}`, `{"critical_percent": 101}`, `{"min_hold": -1}`, `{"min_hold": 0.5}`, `{"cost_per_credit": 1}`,
		}
		for _, body := range bodies {
			if a := w.do("admin", "POST", budgets, body); a.status != 422 {
				t.Errorf("POST %.100s: %d %s", body, a.status, a.body)
			}
			if a := w.do("admin", "PUT", budgets+id, body); a.status != 422 {
				t.Errorf("PUT %.100s: %d %s", body, a.status, a.body)
			}
		}
		w.want(200, with(whole, `"id": "`+id+`"`), "ada", "GET", budgets+id, "")
		for _, query := range []string{
			"page=0", "page=-1", "page=x", "page=1.5", "size=0", "size=101", "size=1e1", "budget_type=Tokens", "budget_type=x",
			"user_id=%00", "user_id=%ff", "user_id=" + strings.Repeat("x", 129), "is_enabled=maybe", "%zz", "page=1;size=2",
		} {
			w.want(422, "", "admin", "GET", budgets+"?"+query, "")
		}
		for _, id := range []string{"%00", "%ff", strings.Repeat("x", 129), "%0a"} {
			w.want(422, "", "admin", "GET", budgets+id, "")
		}
		for _, id := range []string{"%2F", "%20", "..%2f..", "%F0%9F%98%80", "*", "%25"} {
			w.want(404, "", "admin", "GET", budgets+id, "")
		}
		for _, tag := range []string{`1`, `"1`, `W/`, `W/1`, `"1" 2`, `x"1"`} {
			w.wantFields("If-Match", "ada", "PUT", budgets+id, `{}`, "If-Match: "+tag)
		}
	}},
}

// dollars is the body of a budget of a dollar a month.
const dollars = `{"name": "n", "budget_type": "dollars", "limit_amount": 1, "period_type": "monthly"}`
