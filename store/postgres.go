package store

import (
	"context"
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
	db := stdlib.OpenDB(*config)
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
