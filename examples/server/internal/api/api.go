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
	streams bool  // it answers with a *stream, and takes the time that it takes
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
		a.auditRoutes(),
		a.budgetRoutes(),
		a.tenantRoutes(),
		a.eventRoutes(),
		a.reservationRoutes(),
		a.organizationRoutes(),
		a.licenseRoutes(),
		a.reportRoutes(),
		a.exportRoutes(),
		a.figureRoutes(),
		a.adjustmentRoutes(),
		a.alertRoutes(),
	)
	return a
}

// Routes returns all routes.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// Register makes mux serve everything below /api/.
func (a *API) Register(mux *http.ServeMux) {
	for i := range a.routes {
		route := &a.routes[i]
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, route) })
		mux.Handle(route.Method+" "+route.Path, h)
		mux.Handle(route.Method+" "+route.Path+"/{$}", a.slashed(h))
	}
	mux.HandleFunc(rest, func(w http.ResponseWriter, r *http.Request) { a.unknown(mux, w, r) })
}

// slashed serves paths that end with a slash, and not those that end with an id of %2F, which a mux takes for it.
func (a *API) slashed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.EscapedPath(), "/") {
			a.fail(w, r, &Problem{Status: http.StatusNotFound, Detail: "Not Found"})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// rest is what no route serves.
const rest = "/api/"

// unknown says whether it is the path that is unknown, or only the method, which a mux would say in a text.
func (a *API) unknown(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != rest {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		a.fail(w, r, &Problem{Status: http.StatusNotFound, Detail: "Not Found"})
		return
	}
	a.fail(w, r, &Problem{
		Status: http.StatusMethodNotAllowed, Detail: "Method Not Allowed",
		Header: http.Header{"Allow": {strings.Join(allowed, ", ")}},
	})
}

// ForeignPage refuses what a page of another origin made a browser send.
func (a *API) ForeignPage(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, &Problem{Status: http.StatusForbidden, Detail: "A page of another origin may not do this."})
}

// requestTimeout is how long a request may take but for those that stream.
const requestTimeout = 30 * time.Second

func (a *API) serve(w http.ResponseWriter, r *http.Request, route *Route) {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ctx := r.Context()
	if !route.streams {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
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
	if s, ok := answer.(*stream); ok {
		a.stream(w, r, s)
		return
	}
	if c.status == 0 {
		c.status = http.StatusOK
	}
	writeJSON(w, c.status, "application/json", answer)
}
