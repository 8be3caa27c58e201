package sqlitestoretest

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/store/internal/sqltest"
	"github.com/purser-go/purser/store/sqlitestore"
	"github.com/purser-go/purser/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const settings = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"

func TestStore(t *testing.T) {
	sqltest.Kit[*sqlitestore.Store]{
		Database: func(t *testing.T) func(t *testing.T) *sql.DB {
			path := filepath.Join(t.TempDir(), "purser.db")
			return func(t *testing.T) *sql.DB { return pool(t, path+settings) }
		},
		Migrate: func(ctx context.Context, db *sql.DB) error { return sqlitestore.Migrate(ctx, db, nil) },
		New:     func(db *sql.DB) (*sqlitestore.Store, error) { return sqlitestore.New(db, nil) },
		WithTx:  (*sqlitestore.Store).WithTx,
	}.Run(t)
}

func pool(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+address)
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

// The store that Open returns has one connection that writes, and others that read.
func TestOpenedStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) budget.Store {
		s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "purser.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}
