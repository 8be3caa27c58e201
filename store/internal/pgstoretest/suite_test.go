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

func TestStore(t *testing.T) {
	sqltest.Kit[*pgstore.Store]{
		Database: func(t *testing.T) func(t *testing.T) *sql.DB {
			url := pgtest.URL(t)
			return func(t *testing.T) *sql.DB { return pool(t, url) }
		},
		Migrate:    func(ctx context.Context, db *sql.DB) error { return pgstore.Migrate(ctx, db, nil) },
		New:        func(db *sql.DB) (*pgstore.Store, error) { return pgstore.New(db, nil) },
		WithTx:     (*pgstore.Store).WithTx,
		SideBySide: true,
	}.Run(t)
}

func pool(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
