// Package sqltest has the tests that every SQL store must pass, with whatever driver.
package sqltest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/storetest"
)

// A Kit is a kind of store and a driver.
type Kit[S budget.Store] struct {
	// Driver is the name under which database/sql knows the driver.
	Driver string
	// Database makes an empty database, which is there until t ends, and returns the driver's name for it.
	Database func(t *testing.T) string
	Migrate  func(ctx context.Context, db *sql.DB) error
	New      func(db *sql.DB) (S, error)
	WithTx   func(s S, tx *sql.Tx) S
	// SideBySide says that several transactions write at a time.
	SideBySide bool
	// Adds is how the statement begins that adds to counters.
	Adds string
	// Errors are like those of the driver: after the first ones a transaction is run again, the next say that the database
	// is not available, the last are returned as they are.
	Rerun, Unavailable, Final []error
}

// Run runs all tests of the package.
func (k Kit[S]) Run(t *testing.T) {
	// One database for many tests, emptied for each: making the tables takes longer than most tests do.
	database := k.migrated(t)
	open := func(t *testing.T) budget.Store { return k.over(t, emptied(t, k.connect(t, database))) }
	t.Run("Contract", func(t *testing.T) { storetest.Run(t, open) })
	t.Run("Bound", func(t *testing.T) {
		storetest.RunBound(t, func(t *testing.T) storetest.Bound { return k.bound(t, emptied(t, k.connect(t, database))) })
	})
	if k.SideBySide {
		t.Run("SideBySide", func(t *testing.T) { storetest.RunSideBySide(t, open) })
	}
	t.Run("Migrate", k.migrations)
	t.Run("Failure", k.failures)
}

// connect returns a pool of connections, which is closed when t ends.
func (k Kit[S]) connect(t *testing.T, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open(k.Driver, database)
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, db)
}

func closing(t *testing.T, db *sql.DB) *sql.DB {
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// migrated is Database with the tables made.
func (k Kit[S]) migrated(t *testing.T) string {
	t.Helper()
	database := k.Database(t)
	k.migrate(t, k.connect(t, database))
	return database
}

func (k Kit[S]) migrate(t *testing.T, db *sql.DB) {
	t.Helper()
	if err := k.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}

func (k Kit[S]) over(t *testing.T, db *sql.DB) S {
	t.Helper()
	s, err := k.New(db)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// emptied brings a database back to what a fresh installation leaves.
func emptied(t *testing.T, db *sql.DB) *sql.DB {
	t.Helper()
	execute(t, db, `
		DELETE FROM purser_shapes;
		DELETE FROM purser_budgets;
		DELETE FROM purser_budget_terms;
		DELETE FROM purser_counters;
		DELETE FROM purser_events;
		DELETE FROM purser_usage;
		DELETE FROM purser_reservations;
		DELETE FROM purser_adjustments;
		DELETE FROM purser_tenants;
		DELETE FROM purser_alerts;
		DELETE FROM purser_deliveries;
		DELETE FROM purser_keys;
		DELETE FROM purser_audit;
		UPDATE purser_catalog SET version = 1, reporting_zone = 'UTC', prune_floor = -62135596800000000;`)
	return db
}

func execute(t *testing.T, db *sql.DB, statements string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

func (k Kit[S]) bound(t *testing.T, db *sql.DB) storetest.Bound {
	t.Helper()
	s := k.over(t, db)
	tx, err := db.BeginTx(context.Background(), nil) //nolint:usetesting // t's context ends before its cleanup
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() }) // of a test that gave up
	return storetest.Bound{Store: k.WithTx(s, tx), Outside: s, Commit: tx.Commit, Rollback: tx.Rollback}
}
