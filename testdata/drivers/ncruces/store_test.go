// Package ncruces runs the tests of SQL stores with github.com/ncruces/go-sqlite3, which can't be linked beside the
// driver of package store: so it is a module of its own, outside the workspace.
package ncruces

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/store/sqlitestore"
)

const settings = "?_pragma=busy_timeout(0)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"

func TestStore(t *testing.T) {
	sqltest.Kit[*sqlitestore.Store]{
		Driver: "sqlite3",
		Database: func(t *testing.T) string {
			return "file:" + filepath.Join(t.TempDir(), "purser.db") + settings
		},
		Migrate:     func(ctx context.Context, db *sql.DB) error { return sqlitestore.Migrate(ctx, db, nil) },
		New:         func(db *sql.DB) (*sqlitestore.Store, error) { return sqlitestore.New(db, nil) },
		WithTx:      (*sqlitestore.Store).WithTx,
		Adds:        "INSERT INTO purser_counters",
		Rerun:       []error{sqlite3.BUSY, sqlite3.BUSY_SNAPSHOT, sqlite3.LOCKED_SHAREDCACHE},
		Unavailable: []error{sqlite3.CANTOPEN, sqlite3.READONLY_DBMOVED, sqlite3.FULL, sqlite3.IOERR_WRITE},
		Final:       []error{sqlite3.CORRUPT, sqlite3.NOTADB},
	}.Run(t)
}
