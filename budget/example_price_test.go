package budget_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

// A ledger with a price list computes what comes without a cost.
func ExampleOptions_prices() {
	list, err := price.ReadCSV("own", strings.NewReader(`provider,model,match,from,input,cache_read,cache_creation,output
acme,big,starts_with,,3,0.3,3.75,15
acme,big,,2026-09-01,2,0.2,2.5,10
`))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	ledger := budget.NewLedger(memstore.New(nil), &budget.Options{Prices: list})
	b, err := ledger.Create(ctx, budget.Budget{Name: "Acme", Metric: usage.Dollars, Limit: usage.Dollars.Decimal(50e9)})
	if err != nil {
		log.Fatal(err)
	}
	_, err = ledger.Record(ctx, usage.Event{
		ID: "a", Subject: usage.Subject{Resource: "big-2026"},
		Time:    time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC),
		Amounts: usage.Amounts{InputTokens: 812, OutputTokens: 164},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = ledger.Record(ctx, usage.Event{ID: "b", Amounts: usage.Amounts{InputTokens: 1}})
	fmt.Println(errors.Is(err, budget.ErrNoPrice))
	status, err := ledger.StatusAt(ctx, b.ID, nil, time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Used, "dollars")
	// Output:
	// true
	// 0.004896 dollars
}
