package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/store/pgstore/pgxpipe"
)

const (
	// A ledger sends its writes over one connection at a time; the others are for views and changes of definitions.
	maxConnections = 16
	maxIdleTime    = 5 * time.Minute
)

func openPostgres(ctx context.Context, url string, o *Options) (*Store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, invalid.Field("url", "%v", err) // which leaves the password out
	}
	// With it off, a backslash in a text could end the text.
	config.RuntimeParams["standard_conforming_strings"] = "on"
	config.RuntimeParams["client_encoding"] = "UTF8"
	db := stdlib.OpenDB(*config, stdlib.OptionShouldPing(probe), stdlib.OptionResetSession(stillOpen))
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxIdleTime(maxIdleTime)
	return opened(func() (budget.Store, error) {
		if !o.NoMigrate {
			if err := pgstore.Migrate(ctx, db, &pgstore.MigrateOptions{Schema: o.Schema, ReportingZone: o.ReportingZone}); err != nil {
				return nil, fmt.Errorf("%s: %w", config.Host, err)
			}
		}
		s, err := pgstore.New(db, &pgstore.Options{Schema: o.Schema, Pipeline: pgxpipe.Pipeline{}})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", config.Host, err)
		}
		return s, nil
	}, db)
}

// How long an idle connection may take to answer before it is used again, and for which part of the time that is left.
// After a network that lost its connections without a word, each of them would else cost one transaction all its time.
const (
	longestProbe = 2 * time.Second
	probePart    = 4
)

// probe asks a connection that was idle for a while whether it is still there, which closes it if not. It returns false,
// as there is nothing left to ask.
func probe(ctx context.Context, idle stdlib.ShouldPingParams) bool {
	if idle.IdleDuration < time.Second {
		return false
	}
	limit := longestProbe
	if deadline, limited := ctx.Deadline(); limited {
		limit = min(limit, time.Until(deadline)/probePart)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = idle.Conn.Ping(ctx)
	return false
}

func stillOpen(_ context.Context, conn *pgx.Conn) error {
	if conn.IsClosed() {
		return driver.ErrBadConn
	}
	return nil
}
