package api

import (
	"net/http"

	"github.com/purser-go/purser/examples/server/internal/access"
)

func (a *API) tenantRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/tenants/{id}", Needs: access.Admin, handle: getTenant},
	}
}

func getTenant(c *call) (any, error) {
	id := c.PathValue("id")
	if !c.caller.Platform() && c.caller.Tenant != id {
		return nil, notFound("Tenant not found")
	}
	return c.ledger.Tenant(c.Context(), id)
}
