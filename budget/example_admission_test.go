package budget_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// acmeLedger returns a ledger with a budget of 10 dollars a month for each user of Acme.
func acmeLedger() *budget.Ledger {
	ledger := budget.NewLedger(memstore.New(nil), nil)
	_, err := ledger.Create(context.Background(), budget.Budget{
		Name: "Acme's users", Metric: usage.Dollars, Limit: decimal.NewFromInt(10), Schedule: period.Monthly,
		Scope: budget.Scope{"tenant": "acme", "user": budget.Each},
	})
	must(err)
	return ledger
}

func dollars(n string) usage.Amounts {
	return usage.Amounts{Cost: new(decimal.RequireFromString(n))}
}

// Hold what a call may cost at the most, make it, and settle at what it did cost.
func ExampleLedger_Reserve() {
	ctx := context.Background()
	ledger := acmeLedger()
	call := func() error {
		res, err := ledger.Reserve(ctx, budget.Request{
			Subject: usage.Subject{Tenant: "acme", User: "ada"}, Estimate: dollars("6"),
		})
		defer func() { _ = res.Close(ctx) }() // should the call panic, it counts at the estimate
		if err != nil {
			return err
		}
		return res.Settle(ctx, dollars("4.52"))
	}
	must(call())

	var exceeded *budget.ExceededError
	if err := call(); errors.As(err, &exceeded) {
		fmt.Printf("%s of %s refuses: %s used, %s asked for, %s would fit\n",
			exceeded.Name, exceeded.Value["user"], exceeded.Used, exceeded.Requested, exceeded.Fits)
	}
	// Output: Acme's users of ada refuses: 4.52 used, 6 asked for, 5.48 would fit
}

// Reserve, call and settle in one. What fn says was used counts, also if fn fails.
func ExampleLedger_Do() {
	ctx := context.Background()
	ledger := acmeLedger()
	request := budget.Request{Subject: usage.Subject{Tenant: "acme", User: "ada"}, Estimate: dollars("6")}

	err := ledger.Do(ctx, request, func(context.Context) (usage.Amounts, error) {
		return dollars("4.52"), errors.New("the stream was cut")
	})
	fmt.Println(err)
	err = ledger.Do(ctx, request, func(context.Context) (usage.Amounts, error) {
		fmt.Println("is not called")
		return usage.Amounts{}, nil
	})
	fmt.Println(errors.Is(err, budget.ErrExceeded))
	// Output:
	// the stream was cut
	// true
}

// What every budget says to a request, without holding anything.
func ExampleLedger_Check() {
	ctx := context.Background()
	decision, err := acmeLedger().Check(ctx, budget.Request{
		Subject: usage.Subject{Tenant: "acme", User: "ada"}, Estimate: dollars("12"),
	})
	must(err)
	for _, v := range decision.Verdicts {
		fmt.Printf("%s: %s requested, %s available, refused: %t\n", v.Budget.Name, v.Requested, v.Available, v.Refused)
	}
	fmt.Println(decision.Admitted())
	// Output:
	// Acme's users: 12 requested, 10 available, refused: true
	// false
}

// What one process holds another one can settle, by tenant and id.
func ExampleLedger_Settle() {
	ctx := context.Background()
	ledger := acmeLedger()
	_, err := ledger.Reserve(ctx, budget.Request{
		ID: "job-4711", Subject: usage.Subject{Tenant: "acme", User: "ada"}, Estimate: dollars("6"),
	})
	must(err)

	key := budget.ReservationKey{Tenant: "acme", ID: "job-4711"}
	for range 2 { // the second time, as after an error, it counts nothing
		result, err := ledger.Settle(ctx, key, budget.Settlement{Amounts: dollars("4.52")})
		fmt.Println(result.Outcome, err)
	}
	// Output:
	// recorded <nil>
	// duplicate <nil>
}

// With leases most requests are admitted from memory, while Run runs.
func ExampleLeaseOptions() {
	ctx, stop := context.WithCancel(context.Background())
	ledger := budget.NewLedger(memstore.New(nil), &budget.Options{Leases: &budget.LeaseOptions{}})
	b, err := ledger.Create(ctx, budget.Budget{Name: "all", Metric: usage.Requests, Limit: decimal.NewFromInt(1000)})
	must(err)
	done := make(chan error)
	go func() { done <- ledger.Run(ctx) }()

	for range 1000 {
		res, err := ledger.Reserve(ctx, budget.Request{Estimate: dollars("0.01")})
		must(err)
		must(res.Settle(ctx, dollars("0.01")))
	}
	_, err = ledger.Reserve(ctx, budget.Request{})
	fmt.Println(errors.Is(err, budget.ErrExceeded))

	stop() // gives back what is leased
	fmt.Println(<-done)
	status, err := ledger.Status(context.Background(), b.ID, nil)
	must(err)
	fmt.Println(status.Used, "used,", status.Reserved, "reserved")
	// Output:
	// true
	// context canceled
	// 1000 used, 0 reserved
}
