// Package purser is the root of a library that keeps a service's metered spending inside its budgets. It has no code of its
// own; import the packages below it.
//
//	s, err := store.Open(ctx, "sqlite:budgets.db", nil) // or postgres://…
//	ledger := budget.NewLedger(s, nil)
//
//	b, err := ledger.Create(ctx, budget.Budget{
//		Name: "Acme, monthly", Metric: usage.Dollars, Limit: decimal.RequireFromString("500"),
//		Schedule: period.Monthly.In(berlin), Scope: budget.Scope{"tenant": "acme"},
//	})
//
//	res, err := ledger.Reserve(ctx, budget.Request{
//		Subject:  usage.Subject{Tenant: "acme", User: "ada", Resource: "some-model"},
//		Estimate: usage.Amounts{InputTokens: 812, OutputTokens: 1000, Cost: new(decimal.RequireFromString("5.10"))},
//	})
//	defer res.Close(ctx)
//	if errors.Is(err, budget.ErrExceeded) { … }
//	… // the call
//	err = res.Settle(ctx, usage.Amounts{InputTokens: 812, OutputTokens: 164, Cost: new(decimal.RequireFromString("4.52"))})
//
//	status, err := ledger.Status(ctx, b.ID, nil)
//
// Where to start:
//   - budget: what a budget counts, and the Ledger that reserves, settles, records, and says how budgets stand
//   - usage: events, amounts and metrics
//   - usage/price, usage/provider: what usage costs by price lists, and what model providers report as used
//   - usage/export: what was used, for spreadsheets and other programs
//   - period: schedules, and the periods that instants fall in
//   - alert: levels, thresholds and when they are crossed
//   - store: SQLite, Postgres, or memory for tests
package purser
