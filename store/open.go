package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
)

// Options configures [Open]. A nil *Options means all defaults.
type Options struct {
	// NoMigrate leaves the tables as they are: if they are not up to date, Open fails with [budget.ErrSchema].
	NoMigrate bool
	// ReportingZone is the IANA name of the zone of the day and month sums, for a database that has no tables yet.
	// Defaults to "UTC".
	ReportingZone string
	// Schema is the Postgres schema of the tables, which is created if it does not exist. Defaults to "", which is where
	// the search_path leads.
	Schema string
	// Now returns the time of the clock by which reservations expire on SQLite; Postgres uses its server's. Defaults to
	// time.Now.
	Now func() time.Time
}

// A Store is a [budget.Store] with the connections that it uses.
type Store struct {
	budget.Store
	pools []*sql.DB
}

// Close closes the connections. It waits for transactions that are under way.
func (s *Store) Close() error {
	var errs []error
	for _, pool := range s.pools {
		errs = append(errs, pool.Close())
	}
	return errors.Join(errs...)
}

// Open opens the store that a URL names, and makes its tables or brings them up to date.
//
// "sqlite:" is followed by the path of a file, which is made if it does not exist. "postgres://" or "postgresql://" begins
// a connection string as libpq and pgx know it, with pgx's own parameters.
//
// A URL that is none of these is [budget.ErrInvalid]. A file or server that does not let itself be opened is
// [budget.ErrUnavailable], one that is set up in an unsuitable way [budget.ErrSettings]. Tables that were made by a later
// release, with which this one can't work, are [budget.ErrSchema].
func Open(ctx context.Context, url string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	scheme, rest, _ := strings.Cut(url, ":")
	open := map[string]func() (*Store, error){
		"sqlite":     func() (*Store, error) { return openSQLite(ctx, rest, o) },
		"postgres":   func() (*Store, error) { return openPostgres(ctx, url, o) },
		"postgresql": func() (*Store, error) { return openPostgres(ctx, url, o) },
	}[scheme]
	if open == nil {
		// The URL is not repeated: it may hold a password.
		return nil, invalid.Field("url", "must begin with sqlite: or postgres://")
	}
	s, err := open()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// opened returns the store that open makes in pools, which are closed if it fails.
func opened(open func() (budget.Store, error), pools ...*sql.DB) (*Store, error) {
	s := &Store{pools: pools}
	var err error
	if s.Store, err = open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}
