package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTenants(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.want(200, `{"tenants": [], "next": null}`, "admin", "GET", "/api/v1/tenants", "")
		w.want(200, `{"id": "acme", "name": "acme", "slug": null, "licenses": [],
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`, "admin", "PUT", "/api/v1/tenants/acme", `{}`)
		w.set("2026-03-15T10:00:00Z")
		w.want(200, `{"id": "acme", "name": "Acme", "slug": "a", "licenses": [],
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T10:00:00Z"}`,
			"admin", "PUT", "/api/v1/tenants/acme/", `{"name": "Acme", "slug": "a"}`)
		const named = `{"id": "acme", "name": "Acme Inc.", "slug": "a", "licenses": [],
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T10:00:00Z"}`
		w.want(200, named, "acme-admin", "PUT", "/api/v1/tenants/acme", `{"name": "Acme Inc."}`)
		w.want(200, named, "admin", "GET", "/api/v1/tenants/acme", "")
		w.want(200, named, "admin", "PUT", "/api/v1/tenants/acme", named) // as it was read
		w.want(200, with(named, `"slug": null`), "admin", "PUT", "/api/v1/tenants/acme", `{"slug": null}`)
		w.want(200, with(named, `"slug": null, "name": "acme"`), "admin", "PUT", "/api/v1/tenants/acme", `{"name": ""}`)

		for _, body := range []string{
			``, `[]`, `null`, `{"name": 1}`, `{"name": "a\nb"}`, `{"name": "\ud800"}`, `{"id": "other"}`,
			`{"nickname": "x"}`, `{"name": "` + strings.Repeat("ä", 101) + `"}`, `{"slug": "` + strings.Repeat("s", 101) + `"}`,
		} {
			w.want(422, "", "admin", "PUT", "/api/v1/tenants/acme", body)
			w.want(422, "", "admin", "PUT", "/api/v1/tenants/new", body)
		}
		w.want(422, "", "admin", "PUT", "/api/v1/tenants/a%00b", `{}`)
		w.want(422, "", "admin", "GET", "/api/v1/tenants/"+strings.Repeat("x", 129), "")
		w.want(404, noTenant, "admin", "GET", "/api/v1/tenants/new", "")
		w.want(404, noTenant, "globex-admin", "GET", "/api/v1/tenants/acme", "")
		w.want(404, noTenant, "globex-admin", "PUT", "/api/v1/tenants/acme", `{"name": "Mine"}`)
		w.want(403, "", "bob", "GET", "/api/v1/tenants/acme", "")
		w.want(403, "", "reader", "PUT", "/api/v1/tenants/acme", `{}`)
		w.want(403, "", "reader", "GET", "/api/v1/tenants", "")
	})
}

func TestThePagesOfTenantsAreAllTenants(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		var want []string
		for i := range 7 {
			id := fmt.Sprintf("t%d/%%", i)
			want = append(want, id)
			w.want(200, "", "admin", "PUT", "/api/v1/tenants/"+escaped(id), `{}`)
		}
		for _, limit := range []string{"1", "3", "7", "1000", ""} {
			var got []string
			for path := "/api/v1/tenants?limit=" + limit; ; {
				var page struct {
					Tenants []struct{ ID string }
					Next    *string
				}
				if err := json.Unmarshal([]byte(w.want(200, "", "admin", "GET", path, "").body), &page); err != nil {
					t.Fatal(err)
				}
				for _, x := range page.Tenants {
					got = append(got, x.ID)
				}
				if page.Next == nil {
					break
				}
				path = "/api/v1/tenants?limit=" + limit + "&after=" + *page.Next
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %q (-want +got):\n%s", limit, diff)
			}
		}
		for _, query := range []string{"limit=0", "limit=1001", "limit=x", "limit=-1", "after=x", "after=e30", "after=bnVsbA"} {
			w.want(422, "", "admin", "GET", "/api/v1/tenants?"+query, "")
		}
		w.want(200, `{"tenants": [], "next": null}`, "acme-admin", "GET", "/api/v1/tenants", "")
		w.want(200, "", "acme-admin", "PUT", "/api/v1/tenants/acme", `{}`)
		w.want(200, `{"tenants": [{"id": "acme", "name": "acme", "slug": null, "licenses": [], "created_at": "*", "updated_at": "*"}], "next": null}`,
			"acme-admin", "GET", "/api/v1/tenants", "")
	})
}

func TestLicenses(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		mine := w.license("acme-admin", `{"credits_total": 5}`) // of the caller's tenant
		w.want(200, `{"id": "`+mine+`", "tenant": "acme", "active": true, "credits_total": 5, "cost_per_credit": null, "token_budget_usd": null,
			"budget_warning_percent": null, "starts_at": "2026-03-15T09:30:00Z", "ends_at": null, "credits_used": 0,
			"created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`, "acme-admin", "GET", "/api/v1/licenses/"+mine, "")
		w.want(200, "", "acme-admin", "POST", "/api/v1/licenses", `{"tenant": "acme", "active": false}`)
		w.want(200, "", "acme-admin", "POST", "/api/v1/licenses", `{"tenant": null, "active": false}`)
		w.want(404, noTenant, "acme-admin", "POST", "/api/v1/licenses", `{"tenant": "globex"}`)
		w.want(403, "", "bob", "POST", "/api/v1/licenses", `{"tenant": "acme"}`)
		w.want(403, "", "bob", "GET", "/api/v1/licenses/"+mine, "")
		w.want(403, "", "acme-ada", "PUT", "/api/v1/licenses/"+mine, `{"active": false}`)
		w.want(404, noLicense, "globex-admin", "GET", "/api/v1/licenses/"+mine, "")
		w.want(404, noLicense, "globex-admin", "PUT", "/api/v1/licenses/"+mine, `{"active": false}`)
		w.want(404, noLicense, "admin", "GET", "/api/v1/licenses/none", "")
		w.want(404, noLicense, "admin", "PUT", "/api/v1/licenses/none", `{}`)
		w.want(405, "", "admin", "DELETE", "/api/v1/licenses/"+mine, "")

		for _, body := range []string{
			``, `{}`, `{"tenant": ""}`, `{"tenant": null}`, `{"tenant": 7}`, `{"tenant": "a\tb"}`, `{"tenant": "acme", "id": "chosen"}`,
			`{"tenant": "acme", "credits_used": 1}`, `{"tenant": "acme", "active": null}`, `{"tenant": "acme", "active": 1}`,
			`{"tenant": "acme", "active": "true"}`, `{"tenant": "acme", "starts_at": null}`, `{"tenant": "acme", "starts_at": "2026"}`,
			`{"tenant": "acme", "starts_at": "0001-01-01T00:00:00Z"}`, `{"tenant": "acme", "ends_at": "2500-01-01T00:00:00Z"}`,
			`{"tenant": "acme", "starts_at": "2026-03-02T00:00:00Z", "ends_at": "2026-03-02T00:00:00Z"}`,
			`{"tenant": "acme", "ends_at": "2026-03-15T09:30:00Z"}`, // it begins now
		} {
			w.want(422, "", "admin", "POST", "/api/v1/licenses", body)
		}
		for _, body := range []string{
			`{"ends_at": "2026-03-15T09:30:00Z"}`, `{"tenant": "globex"}`, `{"id": "other"}`, `{"starts_at": null}`, `{"colour": 1}`,
		} {
			w.want(422, "", "admin", "PUT", "/api/v1/licenses/"+mine, body)
		}

		// A license may be put back as it was read, also when more is used by then.
		w.want(200, "", "admin", "PUT", "/api/v1/licenses/"+mine, `{"cost_per_credit": 2}`)
		read := w.want(200, "", "admin", "GET", "/api/v1/licenses/"+mine, "").body
		w.spend("acme", "2026-03-15T09:30:00Z", "3")
		w.want(200, with(read, `"credits_used": 1.5`), "admin", "PUT", "/api/v1/licenses/"+mine, read)
		w.verified()
	})
}

func TestALicenseIsMadeOnceAlsoIfItHasEndedSince(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		const body = `{"tenant": "acme", "ends_at": "2026-03-15T10:00:00Z"}`
		made := w.want(200, "", "admin", "POST", "/api/v1/licenses", body, "Idempotency-Key: k")
		w.set("2026-03-15T12:00:00Z")
		w.want(200, made.body, "admin", "POST", "/api/v1/licenses", body, "Idempotency-Key: k")
		w.want(422, "", "admin", "POST", "/api/v1/licenses", body, "Idempotency-Key: another")
	})
}

// A change of a license is in the audit as one entry of its kind, whatever it was that was changed.
func TestTheAuditOfLicenses(t *testing.T) {
	w := newWorld(t)
	id := w.license("admin", `{"tenant": "acme", "credits_total": 5}`)
	w.want(200, "", "admin", "PUT", "/api/v1/licenses/"+id, `{"active": false, "credits_total": 5}`)
	w.want(200, "", "admin", "PUT", "/api/v1/licenses/"+id, `{"credits_total": 6}`)
	w.want(200, "", "admin", "PUT", "/api/v1/licenses/"+id, `{}`)
	entry := func(details string) string {
		return `{"id": "*", "time": "*", "user_id": "admin", "tenant": "acme", "action": "update_license",
			"resource_type": "license", "resource_id": "` + id + `", "details": ` + details + `}`
	}
	w.want(200, `{"entries": [`+
		entry(`{"updated_fields": [], "before_values": {}, "after_values": {}}`)+`,`+
		entry(`{"updated_fields": ["credits_total"], "before_values": {"credits_total": 5}, "after_values": {"credits_total": 6}}`)+`,`+
		entry(`{"updated_fields": ["active", "credits_total"], "before_values": {"active": true, "credits_total": 5},
			"after_values": {"active": false, "credits_total": 5}}`)+`], "next": null}`,
		"admin", "GET", "/api/v1/audit?action=update_license", "")
}
