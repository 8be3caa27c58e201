package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/alert/slogsink"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/store"
)

// settings are what the command line says.
type settings struct {
	addr    string
	db      string
	tokens  string
	zone    string
	now     string
	cors    []string
	demo    bool
	https   bool
	proxy   bool
	tooMany bool
}

func command(stdout, stderr io.Writer) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:   "server",
		Short: "Serve budgets and usage over HTTP, and a page that shows them",
		Args:  cobra.NoArgs,
		Example: "  server --demo\n" +
			"  server --db postgres://user@host/database --tokens tokens.json --zone Europe/Berlin",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(c *cobra.Command, _ []string) error { return s.run(c.Context(), stdout, stderr) },
	}
	flags := c.Flags()
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flags.StringVar(&s.db, "db", "sqlite:purser.db", "`URL` of the database: sqlite:FILE or postgres://…")
	flags.StringVar(&s.tokens, "tokens", "",
		"`FILE` with the tokens: a JSON list of {token or sha256, user, tenant, permissions, api_keys} (default: a new one is printed)")
	flags.StringVar(&s.zone, "zone", "UTC", "reporting time `zone`, an IANA name, which a database keeps from its first start on")
	flags.StringVar(&s.now, "now", "", "freeze the clock at this RFC 3339 `time`")
	flags.StringSliceVar(&s.cors, "cors", nil, "`origins` whose pages may call the API (default none)")
	flags.BoolVar(&s.demo, "demo", false, "fill an empty database with a service's usage")
	flags.BoolVar(&s.proxy, "proxy", false, "requests come through a proxy, which adds their sender to X-Forwarded-For")
	flags.BoolVar(&s.https, "https", false, "browsers reach this server by https, through a proxy: cookies are sent by it only")
	flags.BoolVar(&s.tooMany, "always-429", false, "answer 429 where a budget refuses, never 402")
	return c
}

// run serves until ctx ends, and then for as long as the requests under way take, up to a limit.
func (s *settings) run(ctx context.Context, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	now, err := clock(s.now)
	if err != nil {
		return err
	}
	if _, err := time.LoadLocation(s.zone); err != nil || s.zone == "Local" {
		return invalid.Field("--zone", "must be an IANA time zone such as Europe/Berlin")
	}
	tokens, printed, err := s.readTokens()
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, s.db, &store.Options{ReportingZone: s.zone, Now: now})
	if err != nil {
		return err
	}
	defer st.Close()
	zone, err := reportingZone(ctx, st)
	if err != nil {
		return err
	}
	if zone.String() != s.zone {
		log.Info("the database keeps the zone that it was made with", "zone", zone)
	}
	metrics := newMetrics()
	ledger := budget.NewLedger(st, &budget.Options{
		Now: now, Observe: metrics.observe,
		OnError: func(err error) { log.Warn("in the background", "error", err) },
		Alerts:  &alert.Options{Sinks: map[string]alert.Sink{"log": slogsink.New(log)}, Default: []string{"log"}},
	})
	handler, err := newHandler(config{
		Ledger: ledger, Store: st, Guard: access.NewGuard(tokens, s.https, time.Now), Metrics: metrics,
		Now: now, Zone: zone, Log: log, CORS: s.cors, HTTPS: s.https, Proxy: s.proxy, AlwaysTooMany: s.tooMany,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	if s.demo {
		if err := fillDemo(ctx, st, now(), stderr); err != nil {
			return fmt.Errorf("fill the demo: %w", err)
		}
	}
	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())
	if printed != "" {
		fmt.Fprintf(stdout, "sign in with the token %s\n", printed)
	}
	return serve(ctx, listener, handler, ledger, log)
}

// reportingZone returns the zone that the store's days and months are in.
func reportingZone(ctx context.Context, s budget.Store) (zone *time.Location, err error) {
	err = s.View(ctx, func(tx budget.ReadTx) error {
		catalog, err := tx.Catalog(ctx)
		if err == nil {
			zone, err = time.LoadLocation(catalog.ReportingZone)
		}
		return err
	})
	return zone, err
}

// readTokens returns the tokens of the file, or, without one, a new token that may do everything, to be printed.
func (s *settings) readTokens() (tokens *access.Tokens, printed string, err error) {
	if s.tokens == "" {
		printed = rand.Text()
		return access.NewTokens(printed, access.Caller{User: "admin", Permissions: []string{"*"}}), printed, nil
	}
	text, err := os.ReadFile(s.tokens)
	if err != nil {
		return nil, "", err
	}
	if tokens, err = access.ReadTokens(text); err != nil {
		return nil, "", fmt.Errorf("%s: %w", s.tokens, err)
	}
	return tokens, "", nil
}

// clock returns the clock: one that stands still if a time is given.
func clock(at string) (func() time.Time, error) {
	if at == "" {
		return time.Now, nil
	}
	frozen, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return nil, invalid.Field("--now", "must be an RFC 3339 time such as 2026-03-01T09:30:00Z")
	}
	return func() time.Time { return frozen }, nil
}

// How long a request may take in the end, and what the server waits for.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 30 * time.Second
	writeTimeout    = time.Minute
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 15 * time.Second
	maxHeader       = 32 << 10
)

func serve(ctx context.Context, listener net.Listener, h http.Handler, ledger *budget.Ledger, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan error, 1)
	go func() { ran <- ledger.Run(running) }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		log.Info("shutting down")
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err = server.Shutdown(ending)
	}
	stop()
	if runErr := <-ran; !errors.Is(runErr, context.Canceled) {
		err = errors.Join(err, runErr)
	}
	return err
}
