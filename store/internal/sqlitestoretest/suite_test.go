package sqlitestoretest

import (
	"context"
	"database/sql"
	"fmt"
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

// An errorCode is an error with a result code, as the driver has them.
type errorCode int

func (c errorCode) Error() string { return fmt.Sprintf("result code %d", int(c)) }

func (c errorCode) Code() int { return int(c) }

func TestStore(t *testing.T) {
	sqltest.Kit[*sqlitestore.Store]{
		Driver: "sqlite",
		Database: func(t *testing.T) string {
			return "file:" + filepath.Join(t.TempDir(), "purser.db") + settings
		},
		Migrate: func(ctx context.Context, db *sql.DB) error { return sqlitestore.Migrate(ctx, db, nil) },
		New:     func(db *sql.DB) (*sqlitestore.Store, error) { return sqlitestore.New(db, nil) },
		WithTx:  (*sqlitestore.Store).WithTx,
		Adds:    "INSERT INTO purser_counters",
		Raced:   errorCode(5),  // SQLITE_BUSY
		Refused: errorCode(14), // SQLITE_CANTOPEN
	}.Run(t)
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
