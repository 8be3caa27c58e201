package page

import (
	"net/url"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/usage"
)

func callerName(c *access.Caller) string {
	if c.Platform() {
		return c.User
	}
	return c.User + ", " + c.Tenant
}

// callerHome returns the address of the caller's own organization.
func callerHome(c *access.Caller) string {
	if c.Platform() || !seesTenant(c, c.Tenant) {
		return ""
	}
	return tenantLink(c.Tenant)
}

// seesTenant reports whether the caller may see what an organization used and bought.
func seesTenant(c *access.Caller, tenant string) bool {
	return c.May(access.Admin) && (c.Platform() || c.Tenant == tenant)
}

func tenantLink(id string) string { return "/tenants/" + url.PathEscape(id) }

// visible selects the budgets that the caller may see.
func visible(c *access.Caller) budget.Query {
	var q budget.Query
	if !c.Platform() {
		q.Scope = budget.Scope{usage.Tenant: budget.Selector(c.Tenant)}
	}
	if !c.May(access.Read) {
		q.Owner = &c.User
		if c.Platform() {
			q.Without = []usage.Dimension{usage.Tenant}
		}
	}
	return q
}

// own selects the usage that the caller may see all of: everybody's, that of their organization, or, without the permission to
// read, their own.
func own(c *access.Caller) (where map[usage.Dimension]string, whose string) {
	where = make(map[usage.Dimension]string)
	whose = "all organizations"
	if !c.Platform() {
		where[usage.Tenant], whose = c.Tenant, c.Tenant
	}
	if !c.May(access.Read) {
		where[usage.User], whose = c.User, c.User
	}
	return where, whose
}
