package pgstoretest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/store/pgstore/pgxpipe"
)

func TestMain(m *testing.M) { leak.VerifyTestMain(m) }

// A sqlState is an error with a code, as the driver has them.
type sqlState string

func (s sqlState) Error() string { return "SQLSTATE " + string(s) }

func (s sqlState) SQLState() string { return string(s) }

func states(codes ...string) []error {
	var errs []error
	for _, code := range codes {
		errs = append(errs, sqlState(code))
	}
	return errs
}

func TestStore(t *testing.T) { kit(nil).Run(t) }

func TestStoreThatPipes(t *testing.T) { kit(pgxpipe.Pipeline{}).Run(t) }

func kit(pipeline pgstore.Pipeline) sqltest.Kit[*pgstore.Store] {
	return sqltest.Kit[*pgstore.Store]{
		Driver:      "pgx",
		Database:    func(t *testing.T) string { return pgtest.URL(t) },
		Migrate:     func(ctx context.Context, db *sql.DB) error { return pgstore.Migrate(ctx, db, nil) },
		New:         func(db *sql.DB) (*pgstore.Store, error) { return pgstore.New(db, &pgstore.Options{Pipeline: pipeline}) },
		WithTx:      (*pgstore.Store).WithTx,
		SideBySide:  true,
		Adds:        "WITH added AS",
		Rerun:       states("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "57P05", "08000", "08006", "53300", "25006", "25P03"),
		Unavailable: states("28P01", "28000", "3D000", "53100", "53200", "57014", "58030"),
		Final:       states("22001", "23505", "42601", "42P01", "54000", "XX000", "26000", "42P05", "", "4"),
	}
}
