package budget_test

import (
	"context"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// Where a budget will stand at the end of the month, and when it passes its limit.
func ExampleLedger_Projection() {
	ctx := context.Background()
	now := time.Date(2026, time.March, 6, 12, 0, 0, 0, time.UTC)
	ledger := budget.NewLedger(memstore.New(nil), &budget.Options{Now: func() time.Time { return now }})
	b, err := ledger.Create(ctx, budget.Budget{Name: "Acme, monthly", Metric: usage.Dollars, Limit: decimal.NewFromInt(100)})
	must(err)
	_, err = ledger.Record(ctx, usage.Event{
		ID: usage.NewID(), Time: now.Add(-time.Hour), Amounts: usage.Amounts{Cost: new(decimal.NewFromInt(22))},
	})
	must(err)

	p, err := ledger.Projection(ctx, b.ID, nil)
	must(err)
	fmt.Println(p.Status.Used, "dollars used,", p.Value, "projected by", p.Method, "because", p.Fallback.Text())
	fmt.Println("passes the limit on", p.Passes.Format("2 January"))
	// Output:
	// 22 dollars used, 124 projected by run-rate because usage began less than a week ago, or is not known from before
	// passes the limit on 26 March
}
