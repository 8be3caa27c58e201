package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/examples/server/internal/api"
	"github.com/purser-go/purser/examples/server/internal/openapi"
	"github.com/purser-go/purser/examples/server/internal/page"
	"github.com/purser-go/purser/examples/server/internal/secure"
	"github.com/purser-go/purser/internal/invalid"
)

// config is what the handler works on.
type config struct {
	Ledger  *budget.Ledger
	Store   budget.Store
	Guard   *access.Guard
	Metrics *metrics
	Now     func() time.Time
	Zone    *time.Location
	Log     *slog.Logger

	CORS          []string // origins whose pages may call the API
	HTTPS         bool
	Proxy         bool // requests come through one, which adds their sender to X-Forwarded-For
	AlwaysTooMany bool
	Refresh       time.Duration // of the page's figures; 0: its default
}

// newHandler returns all that the server serves. The error is ErrInvalid for an origin that is none.
func newHandler(c config) (http.Handler, error) {
	mux := http.NewServeMux()
	a := api.New(api.Config{
		Ledger: c.Ledger, Guard: c.Guard, Now: c.Now, Zone: c.Zone, Log: c.Log, AlwaysTooMany: c.AlwaysTooMany,
	})
	a.Register(mux)
	openapi.Register(mux, openapi.Look{Assets: page.Assets(), Theme: page.Theme})
	page.New(page.Options{Ledger: c.Ledger, Guard: c.Guard, Now: c.Now, Zone: c.Zone, Refresh: c.Refresh, Log: c.Log}).Register(mux)
	mux.Handle("GET /metrics", c.Metrics.handler())
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, c.Store) })

	h := secure.Headers(mux, c.HTTPS)
	protection := http.NewCrossOriginProtection()
	for _, origin := range c.CORS {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, invalid.Field("--cors", "%v", err)
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(a.ForeignPage))
	h = protection.Handler(h)
	if len(c.CORS) > 0 {
		h = cors.New(cors.Options{
			AllowedOrigins: c.CORS,
			AllowedMethods: []string{"GET", "POST", "PUT", "DELETE"},
			AllowedHeaders: []string{"Authorization", "Content-Type", "Idempotency-Key", "If-Match"},
			ExposedHeaders: []string{"ETag", "Location", "Retry-After", "X-Should-Retry"},
		}).Handler(h)
	}
	h = logged(c.Metrics.measured(h, mux), c.Log)
	if c.Proxy {
		h = proxied(h)
	}
	return h, nil
}

// proxied gives requests the address that the proxy had them from: the last one that it names, since what stands before that
// a client may have made up.
func proxied(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		named := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if address, err := netip.ParseAddr(strings.TrimSpace(named[len(named)-1])); err == nil {
			r = r.Clone(r.Context())
			r.RemoteAddr = netip.AddrPortFrom(address, 0).String()
		}
		next.ServeHTTP(w, r)
	})
}

// ready answers whether the database can be read.
func ready(w http.ResponseWriter, r *http.Request, s budget.Store) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	err := s.View(ctx, func(tx budget.ReadTx) error {
		_, err := tx.Budgets(ctx, budget.Query{Limit: 1})
		return err
	})
	if err != nil {
		plain(w, http.StatusServiceUnavailable, "the database can't be read")
		return
	}
	plain(w, http.StatusOK, "ok")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
