package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/usage"
)

func ExampleOpen() {
	if err := spend(filepath.Join(os.TempDir(), fmt.Sprintf("budgets-%d.db", time.Now().UnixNano()))); err != nil {
		fmt.Println(err)
	}
	// Output: 100 of 1000 tokens are used
}

func spend(path string) error {
	defer os.Remove(path)
	ctx := context.Background()
	s, err := store.Open(ctx, "sqlite:"+path, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	ledger := budget.NewLedger(s, nil)
	b, err := ledger.Create(ctx, budget.Budget{Name: "All tokens", Metric: usage.Tokens, Limit: decimal.NewFromInt(1000)})
	if err != nil {
		return err
	}
	if _, err := ledger.Record(ctx, usage.Event{ID: usage.NewID(), Amounts: usage.Amounts{InputTokens: 100}}); err != nil {
		return err
	}
	status, err := ledger.Status(ctx, b.ID, nil)
	if err != nil {
		return err
	}
	fmt.Printf("%s of %s tokens are used\n", status.Used, b.Limit)
	return nil
}
