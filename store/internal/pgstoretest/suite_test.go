package pgstoretest

import (
	"context"
	"database/sql"
	"testing"

	"go.uber.org/goleak"

	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store/internal/sqltest"
	"github.com/purser-go/purser/store/pgstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sqlState is an error with a code, as the driver has them.
type sqlState string

func (s sqlState) Error() string { return "SQLSTATE " + string(s) }

func (s sqlState) SQLState() string { return string(s) }

func TestStore(t *testing.T) {
	sqltest.Kit[*pgstore.Store]{
		Driver:     "pgx",
		Database:   func(t *testing.T) string { return pgtest.URL(t) },
		Migrate:    func(ctx context.Context, db *sql.DB) error { return pgstore.Migrate(ctx, db, nil) },
		New:        func(db *sql.DB) (*pgstore.Store, error) { return pgstore.New(db, nil) },
		WithTx:     (*pgstore.Store).WithTx,
		SideBySide: true,
		Adds:       "WITH added AS",
		Raced:      sqlState("40001"), // serialization_failure
		Refused:    sqlState("28P01"), // invalid_password
	}.Run(t)
}
