package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// How a program's tests can see what it does while the store is away.
func ExampleStore_FailNext() {
	ctx := context.Background()
	now := func() time.Time { return time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC) }
	store := memstore.New(nil)
	ledger := budget.NewLedger(store, &budget.Options{Now: now})
	b, err := ledger.Create(ctx, budget.Budget{Name: "All", Metric: usage.Tokens, Limit: decimal.NewFromInt(1000)})
	if err != nil {
		fmt.Println(err)
	}
	e := usage.Event{ID: "call-1", Amounts: usage.Amounts{InputTokens: 100}}

	store.FailNext(budget.ErrUnavailable)
	_, err = ledger.Record(ctx, e)
	status, _ := ledger.Status(ctx, b.ID, nil)
	fmt.Println(errors.Is(err, budget.ErrUnavailable), status.Used)

	_, err = ledger.Record(ctx, e)
	status, _ = ledger.Status(ctx, b.ID, nil)
	fmt.Println(err, status.Used)
	// Output:
	// true 0
	// <nil> 100
}
