package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
)

func (a *API) tenantRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/tenants", handle: listTenants},
		{Method: http.MethodGet, Path: "/api/v1/tenants/{id}", handle: getTenant},
		{Method: http.MethodPut, Path: "/api/v1/tenants/{id}", handle: putTenant},
	}
}

type tenantPage struct {
	Tenants []budget.Tenant `json:"tenants"`
	Next    *string         `json:"next"` // null: this is the last page
}

// listTenants answers a page of the directory in ascending order of id: limit (100, at most 1000) tenants that come after
// the cursor after, with their licenses. A caller with a tenant sees that one only.
func listTenants(c *call) (any, error) {
	limit, err := c.number("limit", defaultPage, 1, maxPage)
	after, afterErr := c.after()
	if err := errors.Join(err, afterErr); err != nil {
		return nil, err
	}
	if err := c.needs(access.Admin); err != nil {
		return nil, err
	}
	q := budget.TenantQuery{Limit: limit + 1} // one more says whether there are more
	if after != nil {
		q.After = after.ID
	}
	if !c.caller.Platform() {
		q.IDs = []string{c.caller.Tenant}
	}
	page := tenantPage{Tenants: []budget.Tenant{}}
	for t, err := range c.ledger.Tenants(c.Context(), q) {
		if err != nil {
			return nil, err
		}
		if len(page.Tenants) == limit {
			page.Next = cursor{ID: page.Tenants[limit-1].ID}.next()
			break
		}
		page.Tenants = append(page.Tenants, t)
	}
	return page, nil
}

// getTenant answers a tenant of the directory, with its licenses.
func getTenant(c *call) (any, error) {
	id, err := c.tenant()
	if err != nil {
		return nil, err
	}
	t, err := c.ledger.Tenant(c.Context(), id)
	return t, missing(err, errNoTenant)
}

// tenant returns the id in the path, if the caller may see and change that tenant.
func (c *call) tenant() (string, error) {
	id := c.PathValue("id")
	if err := invalid.Name("id", id); err != nil {
		return "", err
	}
	if err := c.knows(id); err != nil {
		return "", err
	}
	return id, c.needs(access.Admin)
}

// putTenant enters a tenant in the directory, or changes what the body has of its name and its slug: null and "" take it
// away. What else a tenant has may stand in the body as it was read. It answers the tenant.
func putTenant(c *call) (any, error) {
	members := make(map[string]*string)
	var probe budget.Tenant
	err := c.object(func(name string, value json.RawMessage) error {
		switch name {
		case "name", "slug":
			members[name] = new(string)
			return jsonread.Text(name, value, members[name])
		case "id":
			return jsonread.Text(name, value, &probe.ID)
		case "licenses", "created_at", "updated_at":
			return nil
		default:
			return jsonread.UnknownMember(name)
		}
	})
	id := c.PathValue("id")
	if probe.ID != "" && probe.ID != id {
		err = errors.Join(err, invalid.Field("id", "can't be changed"))
	}
	apply := func(t *budget.Tenant) error {
		if name := members["name"]; name != nil {
			t.Name = *name
		}
		if slug := members["slug"]; slug != nil {
			t.Slug = *slug
		}
		return nil
	}
	probe.ID = id
	if err := errors.Join(err, apply(&probe), probe.Validate()); err != nil {
		return nil, err
	}
	if _, err := c.tenant(); err != nil {
		return nil, err
	}
	return c.ledger.UpdateTenant(c.Context(), id, apply)
}
