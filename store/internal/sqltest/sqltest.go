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
	// Database makes an empty database that is there until t ends, and returns what opens connections to it. They are
	// closed when the test ends that asked for them.
	Database func(t *testing.T) func(t *testing.T) *sql.DB
	Migrate  func(ctx context.Context, db *sql.DB) error
	New      func(db *sql.DB) (S, error)
	WithTx   func(s S, tx *sql.Tx) S
	// SideBySide says that several transactions write at a time.
	SideBySide bool
}

// Run runs all tests of the package.
func (k Kit[S]) Run(t *testing.T) {
	// One database for many tests, emptied for each: making the tables takes longer than most tests do.
	connect := k.migrated(t)
	open := func(t *testing.T) budget.Store { return k.over(t, emptied(t, connect(t))) }
	t.Run("Contract", func(t *testing.T) { storetest.Run(t, open) })
	t.Run("Bound", func(t *testing.T) {
		storetest.RunBound(t, func(t *testing.T) storetest.Bound { return k.bound(t, emptied(t, connect(t))) })
	})
	if k.SideBySide {
		t.Run("SideBySide", func(t *testing.T) { storetest.RunSideBySide(t, open) })
	}
	t.Run("Migrate", k.migrations)
}

// migrated is Database with the tables made.
func (k Kit[S]) migrated(t *testing.T) func(t *testing.T) *sql.DB {
	t.Helper()
	connect := k.Database(t)
	if err := k.Migrate(t.Context(), connect(t)); err != nil {
		t.Fatal(err)
	}
	return connect
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
		DELETE FROM purser_adjustments;
		DELETE FROM purser_alerts;
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
