// Package access says who a request comes from, and what they may see and do.
//
// A caller with a tenant lives in that tenant: whatever its permissions are, it sees and changes only what is that tenant's.
// A caller without one is the platform's.
package access

import (
	"slices"
	"strings"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// The permissions. None implies another.
const (
	Read        = "platform:budgets:read"   // see budgets that are not one's own
	Create      = "platform:budgets:create" // make budgets for oneself
	Update      = "platform:budgets:update" // change budgets that are not one's own, or were set by others
	Delete      = "platform:budgets:delete" // delete such budgets
	Admin       = "platform:budgets:admin"  // budgets for others and for scopes, organizations, licenses, the audit
	RecordUsage = "platform:usage:create"   // record and reserve
)

// Permissions returns all permissions.
func Permissions() []string { return []string{Read, Create, Update, Delete, Admin, RecordUsage} }

// A Caller is who a request comes from.
type Caller struct {
	User        string
	Tenant      string   // "": the platform's
	Permissions []string // may have wildcards, see May
	APIKeys     []string // the caller's own
}

// Platform reports whether the caller belongs to no tenant.
func (c *Caller) Platform() bool { return c.Tenant == "" }

// May reports whether the caller has a permission. In what a caller was given, a part * stands for any one part, and as the
// last part for all that follow.
func (c *Caller) May(permission string) bool {
	return slices.ContainsFunc(c.Permissions, func(given string) bool { return covers(given, permission) })
}

func covers(given, permission string) bool {
	parts, wanted := strings.Split(given, ":"), strings.Split(permission, ":")
	for i, part := range parts {
		if i >= len(wanted) || part != "*" && part != wanted[i] {
			return false
		}
	}
	return len(parts) == len(wanted) || parts[len(parts)-1] == "*"
}

// Within reports whether a budget is one that a caller of this tenant can ever have to do with.
func (c *Caller) Within(b *budget.Budget) bool { return c.Platform() || TenantOf(b) == c.Tenant }

// Owns reports whether a budget is the caller's own. Users of one name in two tenants are two users, though a budget of the
// platform's user covers what is used under that name everywhere.
func (c *Caller) Owns(b *budget.Budget) bool {
	return b.Owner != "" && b.Owner == c.User && b.Scope[usage.Tenant] == budget.Selector(c.Tenant)
}

// Sees reports whether the caller may know of a budget: it is their own, or the permission to read covers it.
func (c *Caller) Sees(b *budget.Budget) bool {
	return c.Owns(b) || c.Within(b) && c.May(Read)
}

// Changes reports whether the caller may change a budget with this permission, [Update] or [Delete]. Without it they may do
// so only with what they made for themselves: what somebody else set for them is there to limit them.
func (c *Caller) Changes(b *budget.Budget, permission string) bool {
	return c.Within(b) && c.May(permission) || c.Owns(b) && b.CreatedBy == c.User
}

// HasKey reports whether an API key is the caller's.
func (c *Caller) HasKey(key string) bool { return slices.Contains(c.APIKeys, key) }

// TenantOf returns the tenant that a budget is about, "" if it is about none in particular.
func TenantOf(b *budget.Budget) string {
	if tenant := b.Scope[usage.Tenant]; tenant != budget.Each {
		return string(tenant)
	}
	return ""
}
