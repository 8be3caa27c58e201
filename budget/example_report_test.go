package budget_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/export"
)

// A tenant's credits, its months in a zone of its own, and a file for finance.
func ExampleLedger_Overview() {
	ctx := context.Background()
	now := time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)
	ledger := budget.NewLedger(memstore.New(nil), &budget.Options{Now: func() time.Time { return now }})
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
		}
	}
	_, err := ledger.CreateLicense(ctx, budget.License{
		Tenant: "acme", StartsAt: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC),
		CreditsTotal: new(decimal.NewFromInt(1000)), CostPerCredit: new(decimal.RequireFromString("0.01")),
	})
	check(err)
	for id, at := range map[string]string{"call-1": "2026-01-31T23:30:00Z", "call-2": "2026-03-01T08:00:00Z"} {
		when, err := time.Parse(time.RFC3339, at)
		check(err)
		_, err = ledger.Record(ctx, usage.Event{
			ID: id, Time: when, Subject: usage.Subject{Tenant: "acme"}, Amounts: usage.Amounts{Cost: new(decimal.RequireFromString("1.25"))},
		})
		check(err)
	}

	for account, err := range ledger.Overview(ctx) {
		check(err)
		fmt.Printf("%s: %s of %s credits, %s%%\n", account.Name, account.License.CreditsUsed, account.License.CreditsTotal, account.CreditsPercent)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	check(err)
	months, err := ledger.Months(ctx, "acme", berlin)
	check(err)
	for _, month := range months {
		fmt.Println(month.Start.In(berlin).Format("2006-01"), month.Cost())
	}
	check(export.JSONLines(os.Stdout, ledger.Groups(ctx, budget.GroupQuery{By: []usage.Dimension{usage.Tenant}, Bucket: usage.Month})))
	// Output:
	// acme: 250 of 1000 credits, 25%
	// 2026-03 1.25
	// 2026-02 1.25
	// {"start":"2026-01-01T00:00:00Z","end":"2026-02-01T00:00:00Z","tenant":"acme","input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":0,"requests":1,"runs":0,"cost":1.25}
	// {"start":"2026-03-01T00:00:00Z","end":"2026-04-01T00:00:00Z","tenant":"acme","input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":0,"requests":1,"runs":0,"cost":1.25}
}
