// Package mattn runs the tests of SQL stores with github.com/mattn/go-sqlite3, which can't be linked beside the driver of
// package store: so it is a module of its own, outside the workspace. It needs a C compiler.
package mattn

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/store/sqlitestore"
)

const settings = "?_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_busy_timeout=0&_txlock=immediate"

func TestStore(t *testing.T) {
	sqltest.Kit[*sqlitestore.Store]{
		Driver: "sqlite3",
		Database: func(t *testing.T) string {
			return "file:" + filepath.Join(t.TempDir(), "purser.db") + settings
		},
		Migrate: func(ctx context.Context, db *sql.DB) error { return sqlitestore.Migrate(ctx, db, nil) },
		New:     func(db *sql.DB) (*sqlitestore.Store, error) { return sqlitestore.New(db, nil) },
		WithTx:  (*sqlitestore.Store).WithTx,
		Adds:    "INSERT INTO purser_counters",
		Rerun: []error{
			sqlite3.Error{Code: sqlite3.ErrBusy, ExtendedCode: sqlite3.ErrBusySnapshot},
			sqlite3.Error{Code: sqlite3.ErrLocked, ExtendedCode: sqlite3.ErrNoExtended(sqlite3.ErrLocked)},
		},
		Unavailable: []error{
			sqlite3.Error{Code: sqlite3.ErrCantOpen, ExtendedCode: sqlite3.ErrNoExtended(sqlite3.ErrCantOpen)},
			sqlite3.Error{Code: sqlite3.ErrFull, ExtendedCode: sqlite3.ErrNoExtended(sqlite3.ErrFull)},
		},
		Final: []error{sqlite3.Error{Code: sqlite3.ErrCorrupt, ExtendedCode: sqlite3.ErrNoExtended(sqlite3.ErrCorrupt)}},
	}.Run(t)
}
