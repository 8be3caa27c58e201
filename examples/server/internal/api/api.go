// Package api is the JSON API of the server: its routes, each of which reads a request, makes one call of a [budget.Ledger]
// and writes what came of it.
//
// Errors are problem documents (RFC 9457). Amounts are number literals with their exact text, times RFC 3339 in UTC.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
)

// Config says what an API works on. All but Log and AlwaysTooMany is required.
type Config struct {
	Ledger *budget.Ledger
	Guard  *access.Guard
	Now    func() time.Time // the ledger's clock
	Zone   *time.Location   // the reporting zone
	Log    *slog.Logger     // of what went wrong inside; default slog.Default

	// AlwaysTooMany answers 429 where a budget refuses, for clients that know no 402.
	AlwaysTooMany bool
}

// An API serves the routes.
type API struct {
	Config
	routes []Route
}

// A Route is one method on one path.
type Route struct {
	Method string
	Path   string // with {wildcards}, and without a final slash, with which it works too
	Needs  string // the permission that every caller must have; "": what may be done depends on the request

	handle  handler
	maxBody int64 // bytes; 0: the default
}

// A handler answers a call. What it returns is written as JSON, an error as a problem.
type handler func(*call) (any, error)

// New returns an API.
func New(c Config) *API {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	a := &API{Config: c}
	a.routes = slices.Concat(
		a.tenantRoutes(),
	)
	return a
}

// Routes returns all routes.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// Register makes mux serve everything below /api/.
func (a *API) Register(mux *http.ServeMux) {
	methods := make(map[string]map[string]*Route)
	for i := range a.routes {
		route := &a.routes[i]
		if methods[route.Path] == nil {
			methods[route.Path] = make(map[string]*Route)
		}
		methods[route.Path][route.Method] = route
	}
	for path, routes := range methods {
		h := a.methods(routes)
		mux.Handle(path, h)
		mux.Handle(path+"/{$}", h)
	}
	mux.Handle("/api/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, &Problem{Status: http.StatusNotFound, Detail: "Not Found"})
	}))
}

// methods serves one path. It answers unknown methods as the problem that they are, which a mux does not.
func (a *API) methods(routes map[string]*Route) http.Handler {
	var allowed []string
	for method := range routes {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		route := routes[method]
		if route == nil {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			a.fail(w, r, &Problem{Status: http.StatusMethodNotAllowed, Detail: "Method Not Allowed"})
			return
		}
		a.serve(w, r, route)
	})
}

// requestTimeout is how long a request may take but for those that stream.
const requestTimeout = 30 * time.Second

func (a *API) serve(w http.ResponseWriter, r *http.Request, route *Route) {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	c, err := newCall(a, w, r.WithContext(ctx), route, caller)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer, err := c.answer()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if c.status == 0 {
		c.status = http.StatusOK
	}
	writeJSON(w, c.status, "application/json", answer)
}
