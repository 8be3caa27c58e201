package pgstore_test

import (
	"context"
	"database/sql"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/usage"
)

// A program that has a database already migrates when it is deployed, and makes a ledger when it starts.
func ExampleNew() {
	deploy := func(ctx context.Context, db *sql.DB) error {
		return pgstore.Migrate(ctx, db, &pgstore.MigrateOptions{Schema: "billing", ReportingZone: "Europe/Berlin"})
	}
	start := func(db *sql.DB) (*budget.Ledger, error) {
		s, err := pgstore.New(db, &pgstore.Options{Schema: "billing"})
		if err != nil {
			return nil, err
		}
		return budget.NewLedger(s, nil), nil
	}
	_, _ = deploy, start
}

// Usage is recorded if, and only if, the order is placed. Bun users hand over the Tx field of their bun.Tx.
func ExampleStore_WithTx() {
	placeOrder := func(ctx context.Context, db *sql.DB, s *pgstore.Store, ledger *budget.Ledger, e usage.Event) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing once it is committed
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", e.ID); err != nil {
			return err
		}
		// Last, since its locks are held until the commit.
		if _, err := ledger.WithStore(s.WithTx(tx)).Record(ctx, e); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = placeOrder
}
