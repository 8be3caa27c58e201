// Package pgxpipe lets a pgstore.Store that runs on connections of pgx send several statements in one round trip:
//
//	db := stdlib.OpenDB(*config)
//	s, err := pgstore.New(db, &pgstore.Options{Pipeline: pgxpipe.Pipeline{}})
//
// It is a package of its own so that pgstore needs no driver. store.Open uses it.
package pgxpipe

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/purser-go/purser/store/pgstore"
)

// Pipeline is a [pgstore.Pipeline] for connections of pgx's database/sql driver.
type Pipeline struct{}

var _ pgstore.Pipeline = Pipeline{}

// Send implements [pgstore.Pipeline]. A connection of another driver is an error.
func (Pipeline) Send(ctx context.Context, conn *sql.Conn, statements []pgstore.Statement) error {
	return conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("pgxpipe: the connection is a %T, not one of pgx", driverConn)
		}
		return send(ctx, c.Conn(), statements)
	})
}

func send(ctx context.Context, conn *pgx.Conn, statements []pgstore.Statement) (err error) {
	var batch pgx.Batch
	for _, s := range statements {
		batch.Queue(s.Text, s.Args...)
	}
	results := conn.SendBatch(ctx, &batch)
	defer func() {
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
	}()
	for _, s := range statements {
		if err := read(results, s); err != nil {
			return err
		}
	}
	return nil
}

func read(results pgx.BatchResults, s pgstore.Statement) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := s.Row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
