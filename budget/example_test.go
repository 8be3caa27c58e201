package budget_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

func Example() {
	ctx := context.Background()
	ledger := budget.NewLedger(memstore.New(nil), nil) // or store.Open(ctx, "sqlite:budgets.db", nil)

	b, err := ledger.Create(ctx, budget.Budget{
		Name: "Acme, monthly", Metric: usage.Dollars, Limit: decimal.RequireFromString("500"),
		Schedule: period.Monthly, Scope: budget.Scope{"tenant": "acme"},
	})
	must(err)

	_, err = ledger.Record(ctx, usage.Event{
		ID:      usage.NewID(), // keep it for retries: sent again, it counts nothing
		Subject: usage.Subject{Tenant: "acme", User: "ada", Resource: "some-model"},
		Amounts: usage.Amounts{InputTokens: 812, OutputTokens: 164, Cost: new(decimal.RequireFromString("4.52"))},
	})
	must(err)

	status, err := ledger.Status(ctx, b.ID, nil)
	must(err)
	fmt.Printf("%s of %s dollars used, %s%%: %s\n", status.Used, status.Budget.Limit, status.Percent, status.Level)
	// Output: 4.52 of 500 dollars used, 0.904%: ok
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// One budget for all users of a tenant, with a counter for each, and a looser one for one of them.
func ExampleScope() {
	ctx := context.Background()
	ledger := budget.NewLedger(memstore.New(nil), nil)
	each, err := ledger.Create(ctx, budget.Budget{
		Name: "each user", Metric: usage.Tokens, Limit: decimal.NewFromInt(1000), Schedule: period.Daily,
		Scope:  budget.Scope{"tenant": "acme", "user": budget.Each},
		Except: budget.Except{"user": {"grace"}},
	})
	must(err)
	grace, err := ledger.Create(ctx, budget.Budget{
		Name: "grace", Metric: usage.Tokens, Limit: decimal.NewFromInt(100_000), Schedule: period.Daily,
		Scope: budget.Scope{"tenant": "acme", "user": "grace"},
	})
	must(err)

	for user, tokens := range map[string]int64{"ada": 900, "grace": 5000} {
		_, err := ledger.Record(ctx, usage.Event{
			ID: usage.NewID(), Subject: usage.Subject{Tenant: "acme", User: user}, Amounts: usage.Amounts{InputTokens: tokens},
		})
		must(err)
	}
	ada, err := ledger.Status(ctx, each.ID, budget.Value{"user": "ada"})
	must(err)
	fmt.Println("ada:", ada.Used, "of", ada.Budget.Limit, ada.Level)
	alone, err := ledger.Status(ctx, grace.ID, nil)
	must(err)
	fmt.Println("grace:", alone.Used, "of", alone.Budget.Limit, alone.Level)
	// Output:
	// ada: 900 of 1000 critical
	// grace: 5000 of 100000 ok
}

// An event that was sent before counts nothing, so that sending again is always safe.
func ExampleLedger_RecordBatch() {
	ctx := context.Background()
	ledger := budget.NewLedger(memstore.New(nil), nil)
	day := time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)
	results, err := ledger.RecordBatch(ctx, []usage.Event{
		{ID: "call-1", Time: day, Amounts: usage.Amounts{InputTokens: 10}},
		{ID: "call-1", Time: day, Amounts: usage.Amounts{InputTokens: 10}},
		{ID: "call-1", Time: day, Amounts: usage.Amounts{InputTokens: 99}},
		{ID: "call-2", Time: day, Amounts: usage.Amounts{InputTokens: -1}},
	})
	must(err)
	for _, r := range results {
		fmt.Println(r.ID, r.Outcome, r.Err)
	}
	// Output:
	// call-1 recorded <nil>
	// call-1 duplicate <nil>
	// call-1 conflict conflict: an event with this id and other content is recorded
	// call-2 invalid input_tokens: must not be negative
}

// An order and its usage are stored together or not at all. bound is what pgstore's or sqlitestore's WithTx returns for the
// caller's transaction; recording is the last thing before the commit, because it holds locks that others wait for.
func ExampleLedger_WithStore() {
	placeOrder := func(ctx context.Context, ledger *budget.Ledger, bound budget.Store, commit func() error) error {
		// INSERT INTO orders …
		result, err := ledger.WithStore(bound).Record(ctx, usage.Event{
			ID: "order-17", Subject: usage.Subject{Tenant: "acme"}, Amounts: usage.Amounts{InputTokens: 10},
		})
		if err != nil {
			return err // and roll back
		}
		fmt.Println(result.ID, result.Outcome)
		return commit()
	}

	store := memstore.New(nil)
	ledger := budget.NewLedger(store, nil)
	must(placeOrder(context.Background(), ledger, store, func() error { return nil }))
	// Output: order-17 recorded
}

// A caller who changes what they have read sets the version that they read: if somebody else was faster, nothing is changed.
func ExampleLedger_Update() {
	ctx := context.Background()
	ledger := budget.NewLedger(memstore.New(nil), nil)
	read, err := ledger.Create(ctx, budget.Budget{Name: "all", Metric: usage.Requests, Limit: decimal.NewFromInt(100)})
	must(err)
	_, err = ledger.By("somebody else").Update(ctx, read.ID, func(b *budget.Budget) error {
		b.Limit = decimal.NewFromInt(200)
		return nil
	})
	must(err)
	_, err = ledger.By("ann").Update(ctx, read.ID, func(b *budget.Budget) error {
		b.Version = read.Version
		b.Limit = decimal.NewFromInt(300)
		return nil
	})
	fmt.Println(errors.Is(err, budget.ErrConflict))
	// Output: true
}

// Alerts go to a function here; package alert/webhook and alert/slogsink have other sinks.
func ExampleLedger_Run() {
	ctx, stop := context.WithCancel(context.Background())
	page := alert.Func(func(_ context.Context, a alert.Alert) error {
		fmt.Println(a.Message)
		stop()
		return nil
	})
	ledger := budget.NewLedger(memstore.New(nil), &budget.Options{Alerts: &alert.Options{
		Sinks:  map[string]alert.Sink{"pager": page},
		Routes: []alert.Route{{Level: alert.Critical, Sinks: []string{"pager"}}},
	}})
	_, err := ledger.Create(ctx, budget.Budget{Name: "Acme", Metric: usage.Tokens, Limit: decimal.NewFromInt(1000)})
	must(err)
	_, err = ledger.Record(ctx, usage.Event{ID: "call-1", Amounts: usage.Amounts{InputTokens: 950}})
	must(err)

	fmt.Println(ledger.Run(ctx)) // in a goroutine of its own, as long as the program runs
	// Output:
	// Budget "Acme" has used 95.0% of its limit (critical)
	// context canceled
}

func ExampleFieldErrors() {
	err := budget.Budget{Name: "", Metric: usage.Tokens, Limit: decimal.NewFromInt(-5)}.Validate()
	for _, f := range budget.FieldErrors(err) {
		fmt.Printf("%s: %s\n", f.Field, f.Message)
	}
	// Output:
	// name: has 0 characters, must have 1 to 100
	// limit: must be greater than 0
}
