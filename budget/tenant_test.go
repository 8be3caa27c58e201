package budget_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
)

func (f *fixture) putTenant(x budget.Tenant) budget.Tenant {
	f.t.Helper()
	stored, err := f.PutTenant(f.t.Context(), x)
	if err != nil {
		f.t.Fatalf("put tenant: %v", err)
	}
	return stored
}

func (f *fixture) tenant(id string) budget.Tenant {
	f.t.Helper()
	x, err := f.Tenant(f.t.Context(), id)
	if err != nil {
		f.t.Fatalf("tenant: %v", err)
	}
	return x
}

func TestTenants(t *testing.T) {
	t.Parallel()
	f := open(t)
	acme := f.putTenant(budget.Tenant{ID: "acme", Name: "Acme", Slug: "a"})
	want := budget.Tenant{ID: "acme", Name: "Acme", Slug: "a", CreatedAt: noon, UpdatedAt: noon}
	if diff := cmp.Diff(want, acme); diff != "" {
		t.Errorf("what is entered is returned as stored (-want +got):\n%s", diff)
	}
	f.now = at("2026-03-10T13:00:00Z")
	f.putTenant(budget.Tenant{ID: "acme", Name: "Acme", Slug: "a"})
	f.putTenant(budget.Tenant{ID: "acme", Name: "Acme Inc.", Slug: "a", Licenses: []budget.License{{ID: "of nobody"}}})
	want.Name, want.UpdatedAt = "Acme Inc.", f.now
	if diff := cmp.Diff(want, f.tenant("acme")); diff != "" {
		t.Errorf("name and slug change, nothing else (-want +got):\n%s", diff)
	}
	var trail []string
	for _, e := range f.audit() {
		trail = append(trail, fmt.Sprintf("%s %s %s %s -> %s", e.Action, e.Kind, e.Target, e.Before, e.After))
	}
	if diff := cmp.Diff([]string{
		`put_tenant tenant acme  -> {"name":"Acme","slug":"a"}`,
		`put_tenant tenant acme {"name":"Acme"} -> {"name":"Acme Inc."}`,
	}, trail); diff != "" {
		t.Errorf("changes are audited, and what changes nothing is none (-want +got):\n%s", diff)
	}
	const stored = `{"id":"acme","name":"Acme Inc.","slug":"a","licenses":[],"created_at":"2026-03-10T12:00:00Z","updated_at":"2026-03-10T13:00:00Z"}`
	if diff := cmp.Diff(stored, asJSON(t, f.tenant("acme"))); diff != "" {
		t.Errorf("in JSON (-want +got):\n%s", diff)
	}
	_, err := f.Tenant(t.Context(), "other")
	is(t, err, budget.ErrNotFound)
}

func TestTenantsAreYieldedInOrder(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, id := range []string{"b", "B", "10", "9"} {
		f.putTenant(budget.Tenant{ID: id})
	}
	var titles []string
	for x, err := range f.Tenants(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		titles = append(titles, x.Title())
	}
	if diff := cmp.Diff([]string{"10", "9", "B", "b"}, titles); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
}

func TestInvalidTenants(t *testing.T) {
	t.Parallel()
	_, err := open(t).PutTenant(t.Context(), budget.Tenant{Name: "a\nb", Slug: strings.Repeat("x", 101)})
	if diff := cmp.Diff([]string{"id", "name", "slug"}, fields(err)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
