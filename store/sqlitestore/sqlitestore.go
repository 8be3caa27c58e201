// Package sqlitestore keeps budgets in SQLite, over a *sql.DB of the caller and with the driver of the caller's choice
// (modernc.org/sqlite, github.com/mattn/go-sqlite3 and github.com/ncruces/go-sqlite3 are tested). A program that has none
// yet calls store.Open instead, which brings a driver and all settings.
//
// The database must be a file in WAL mode, its connections with synchronous=FULL and foreign_keys=on, and SQLite 3.51.3
// or later: [New] checks it, and leaves the pool as it is. With [Options.Reads] readers are kept apart from the one
// connection that writes. No busy_timeout is needed: a transaction that finds the database busy with another process is
// run again after a short random time, which is fairer.
//
// One writer works at a time. So [budget.Tx.Fence] and locks have nothing to do: a transaction begins by BEGIN IMMEDIATE
// and has the database to itself until it ends. Others of the same Store take turns; an Update within the function of
// another would wait until its context ends. A [Store.View] reads beside them.
package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// Options configures a Store. A nil *Options means all defaults.
type Options struct {
	// Reads is the pool that [Store.View] reads through. Its connections may be read-only ones. Defaults to the pool that
	// is written through.
	Reads *sql.DB
	// Now returns the time by the clock that decides which reservations are overdue. All processes that use the file need
	// the same one. Defaults to time.Now.
	Now func() time.Time
}

// A Store is a [budget.Store] in SQLite.
type Store struct{ store *bunstore.Store }

var _ budget.Store = (*Store)(nil)

// New returns a store in db, whose schema must be up to date: see [Migrate]. The error is [budget.ErrSchema] if it is
// not, [budget.ErrSettings] if the connection that was asked is not set up as the package's comment says. New changes
// nothing, and closing db remains the caller's.
func New(db *sql.DB, o *Options) (*Store, error) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	if o == nil {
		o = &Options{}
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	engine := newEngine(now)
	if err := tables(engine).Check(ctx, db, checkSettings); err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	return &Store{bunstore.New(engine, db, cmp.Or(o.Reads, db))}, nil
}

// Update implements [budget.Store].
func (s *Store) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return s.store.Update(ctx, fn)
}

// View implements [budget.Store].
func (s *Store) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	return s.store.View(ctx, fn)
}

// WithTx returns a copy of s that is bound to tx: what it writes is committed, or not, with the caller's own writes. An
// Update is a savepoint in tx, undone if it fails, and is never run again: what tells of a lost race reaches the caller.
// A View reads what tx sees. The transaction must have been begun by BEGIN IMMEDIATE, which drivers have a setting for
// (_txlock=immediate).
func (s *Store) WithTx(tx *sql.Tx) *Store { return &Store{s.store.WithTx(tx)} }

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the SQL files that make the schema, to be applied in the order of their names, each in a transaction,
// by a migration tool of the caller's. [Migrate] does the same.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the path is well formed
	}
	return files
}

// MigrateOptions configures [Migrate]. A nil *MigrateOptions means all defaults.
type MigrateOptions struct {
	// ReportingZone is the IANA name of the zone of the day and month sums, for a database that has no tables yet.
	// Defaults to "UTC".
	ReportingZone string
}

// Migrate makes the tables, or brings them up to date. It may be called by several processes at once, and again after it
// was interrupted. The error is [budget.ErrSchema] if the tables were made by a later release that this one can't work
// with, or a file that was applied has changed since.
func Migrate(ctx context.Context, db *sql.DB, o *MigrateOptions) error {
	var zone string
	if o != nil {
		zone = o.ReportingZone
	}
	if err := tables(newEngine(time.Now)).Migrate(ctx, db, zone); err != nil {
		return fmt.Errorf("sqlitestore: %w", err)
	}
	return nil
}

func tables(engine *engine) *bunstore.Schema {
	return bunstore.NewSchema(engine, Migrations(), "run sqlitestore.Migrate")
}

// checkTimeout bounds what New asks the database.
const checkTimeout = 10 * time.Second

// The oldest SQLite that is safe: before it, two connections could corrupt a database in WAL mode.
const oldestSQLite = "3.51.3"

func checkSettings(ctx context.Context, conn *sql.Conn) error {
	var release, journal string
	var synchronous, foreignKeys int
	err := errors.Join(
		conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&release),
		conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal),
		conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous),
		conn.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&foreignKeys),
	)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	var errs []error
	if before(release, oldestSQLite) {
		errs = append(errs, fmt.Errorf("%w: SQLite is %s, must be %s or later", budget.ErrSettings, release, oldestSQLite))
	}
	if journal != "wal" {
		errs = append(errs, fmt.Errorf("%w: journal_mode is %s, must be WAL: run PRAGMA journal_mode=WAL, once per file", budget.ErrSettings, journal))
	}
	if synchronous < 2 {
		errs = append(errs, fmt.Errorf("%w: synchronous is %d, must be FULL: run PRAGMA synchronous=FULL on every connection", budget.ErrSettings, synchronous))
	}
	if foreignKeys != 1 {
		errs = append(errs, fmt.Errorf("%w: foreign_keys is off, must be on: run PRAGMA foreign_keys=on on every connection", budget.ErrSettings))
	}
	return errors.Join(errs...)
}

// before reports whether one release, such as 3.51.3, is before another.
func before(a, b string) bool {
	var x, y [3]int
	fmt.Sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2]) //nolint:errcheck // what is missing is 0
	fmt.Sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2]) //nolint:errcheck // what is missing is 0
	return slices.Compare(x[:], y[:]) < 0
}
