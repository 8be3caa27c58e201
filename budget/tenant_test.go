package budget_test

import (
	"errors"
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
	for _, tt := range []struct {
		rule string
		q    budget.TenantQuery
		want []string
	}{
		{"the zero query selects all", budget.TenantQuery{}, []string{"10", "9", "B", "b"}},
		{"behind an id", budget.TenantQuery{After: "9"}, []string{"B", "b"}},
		{"at most so many", budget.TenantQuery{Limit: 3}, []string{"10", "9", "B"}},
		{"at most so many behind an id", budget.TenantQuery{After: "10", Limit: 2}, []string{"9", "B"}},
		{"with these ids", budget.TenantQuery{IDs: []string{"b", "none", "10"}}, []string{"10", "b"}},
	} {
		var titles []string
		for _, x := range collect(t, f.Tenants(t.Context(), tt.q)) {
			titles = append(titles, x.Title())
		}
		if diff := cmp.Diff(tt.want, titles); diff != "" {
			t.Errorf("%s: tenants (-want +got):\n%s", tt.rule, diff)
		}
	}
	for _, err := range f.Tenants(t.Context(), budget.TenantQuery{IDs: []string{""}, After: "\x00"}) {
		if diff := cmp.Diff([]string{"after", "ids"}, fields(err)); diff != "" {
			t.Errorf("fields of a query that selects nothing (-want +got):\n%s", diff)
		}
	}
}

func TestATenantIsChangedAsItStands(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.putTenant(budget.Tenant{ID: "acme", Name: "Acme", Slug: "a"})
	changed, err := f.UpdateTenant(t.Context(), "acme", func(x *budget.Tenant) error {
		x.ID, x.Name, x.CreatedAt = "other", x.Name+" Inc.", f.now.AddDate(1, 0, 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := budget.Tenant{ID: "acme", Name: "Acme Inc.", Slug: "a", CreatedAt: noon, UpdatedAt: noon}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("the name changes, nothing else (-want +got):\n%s", diff)
	}
	refusal := errors.New("no")
	_, err = f.UpdateTenant(t.Context(), "new", func(*budget.Tenant) error { return refusal })
	is(t, err, refusal)
	_, err = f.Tenant(t.Context(), "new")
	is(t, err, budget.ErrNotFound)
}

func TestInvalidTenants(t *testing.T) {
	t.Parallel()
	_, err := open(t).PutTenant(t.Context(), budget.Tenant{Name: "a\nb", Slug: strings.Repeat("x", 101)})
	if diff := cmp.Diff([]string{"id", "name", "slug"}, fields(err)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
