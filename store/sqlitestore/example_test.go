package sqlitestore_test

import (
	"context"
	"database/sql"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/sqlitestore"
)

// A program that has a database already may keep its budgets in it. It reads through other connections than it writes.
func ExampleNew() {
	open := func(ctx context.Context, writes, reads *sql.DB) (*budget.Ledger, error) {
		writes.SetMaxOpenConns(1)
		if err := sqlitestore.Migrate(ctx, writes, nil); err != nil {
			return nil, err
		}
		s, err := sqlitestore.New(writes, &sqlitestore.Options{Reads: reads})
		if err != nil {
			return nil, err
		}
		return budget.NewLedger(s, nil), nil
	}
	_ = open
}
