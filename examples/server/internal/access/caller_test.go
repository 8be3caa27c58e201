package access_test

import (
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/usage"
)

func TestMay(t *testing.T) {
	for name, test := range map[string]struct {
		given string
		want  bool // of platform:budgets:read
	}{
		"itself":                         {"platform:budgets:read", true},
		"everything":                     {"*", true},
		"all that follow":                {"platform:*", true},
		"the last part":                  {"platform:budgets:*", true},
		"a part in the middle":           {"platform:*:read", true},
		"the first part":                 {"*:budgets:read", true},
		"every part":                     {"*:*:*", true},
		"another":                        {"platform:budgets:update", false},
		"one in the middle of another":   {"platform:*:update", false},
		"admin implies nothing":          {"platform:budgets:admin", false},
		"a star inside a part is a star": {"platform:bud*", false},
		"nor at the begin of one":        {"platform:budgets:*d", false},
		"one that is shorter":            {"platform:budgets", false},
		"one that is longer":             {"platform:budgets:read:own", false},
		"a star behind the end":          {"platform:budgets:read:*", false},
		"case matters":                   {"Platform:Budgets:Read", false},
		"nothing":                        {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := access.Caller{User: "ada", Permissions: []string{"x", test.given}}
			if got := c.May(access.Read); got != test.want {
				t.Errorf("%q covers %q: %t, want %t", test.given, access.Read, got, test.want)
			}
		})
	}
}

func TestWhoMayDoWhatWithABudget(t *testing.T) {
	acme := budget.Scope{usage.Tenant: "acme", usage.User: "ada"}
	type may struct{ within, owns, sees, updates bool }
	for name, test := range map[string]struct {
		caller access.Caller
		budget budget.Budget
		want   may
	}{
		"one's own": {
			access.Caller{User: "ada"},
			budget.Budget{Owner: "ada", CreatedBy: "ada", Scope: budget.Scope{usage.User: "ada"}},
			may{within: true, owns: true, sees: true, updates: true},
		},
		"one's own that somebody else set": {
			access.Caller{User: "ada"},
			budget.Budget{Owner: "ada", CreatedBy: "boss"},
			may{within: true, owns: true, sees: true},
		},
		"one's own that somebody else set, with the permission": {
			access.Caller{User: "ada", Permissions: []string{access.Update}},
			budget.Budget{Owner: "ada", CreatedBy: "boss"},
			may{within: true, owns: true, sees: true, updates: true},
		},
		"another's": {
			access.Caller{User: "bob"},
			budget.Budget{Owner: "ada", CreatedBy: "bob"},
			may{within: true},
		},
		"another's, with the permission to read": {
			access.Caller{User: "bob", Permissions: []string{access.Read}},
			budget.Budget{Owner: "ada"},
			may{within: true, sees: true},
		},
		"another's, with the permission to update only": {
			access.Caller{User: "bob", Permissions: []string{access.Update}},
			budget.Budget{Owner: "ada"},
			may{within: true, updates: true},
		},
		"one without owner is nobody's own": {
			access.Caller{User: ""},
			budget.Budget{CreatedBy: "boss"},
			may{within: true},
		},
		"one's own in a tenant": {
			access.Caller{User: "ada", Tenant: "acme"},
			budget.Budget{Owner: "ada", CreatedBy: "ada", Scope: acme},
			may{within: true, owns: true, sees: true, updates: true},
		},
		"that of an equally named user of a tenant": {
			access.Caller{User: "ada"},
			budget.Budget{Owner: "ada", CreatedBy: "ada", Scope: acme},
			may{within: true},
		},
		"that of an equally named user of another tenant": {
			access.Caller{User: "ada", Tenant: "globex", Permissions: []string{"*"}},
			budget.Budget{Owner: "ada", CreatedBy: "ada", Scope: acme},
			may{},
		},
		"that of an equally named user of the platform": {
			access.Caller{User: "ada", Tenant: "acme", Permissions: []string{"*"}},
			budget.Budget{Owner: "ada", CreatedBy: "ada", Scope: budget.Scope{usage.User: "ada"}},
			may{},
		},
		"one over every tenant is the platform's": {
			access.Caller{User: "root", Tenant: "acme", Permissions: []string{"*"}},
			budget.Budget{Scope: budget.Scope{usage.Tenant: budget.Each}},
			may{},
		},
		"a tenant's, seen from the platform": {
			access.Caller{User: "admin", Permissions: []string{"*"}},
			budget.Budget{Owner: "ada", Scope: acme},
			may{within: true, sees: true, updates: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, b := &test.caller, &test.budget
			got := may{c.Within(b), c.Owns(b), c.Sees(b), c.Changes(b, access.Update)}
			if got != test.want {
				t.Errorf("may %+v, want %+v", got, test.want)
			}
		})
	}
}
