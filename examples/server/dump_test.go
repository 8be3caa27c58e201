package main

import (
	"encoding/json"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/usage"
)

// dump returns all that the store has, a line for each thing. The line of a thing that is a tenant's says so.
func (w *world) dump() []string {
	w.t.Helper()
	var lines []string
	add := func(kind, tenant string, thing any) {
		text, err := json.Marshal(thing)
		if err != nil {
			w.t.Fatal(err)
		}
		lines = append(lines, kind+" of "+tenant+": "+string(text))
	}
	ctx := w.t.Context()
	err := w.store.View(ctx, func(tx budget.ReadTx) error {
		lines = nil
		tenants := make(map[string]string) // of budgets
		definitions, err := tx.Budgets(ctx, budget.Query{})
		if err != nil {
			return err
		}
		for _, d := range definitions {
			tenants[d.ID] = access.TenantOf(&d.Budget)
			add("budget", tenants[d.ID], d)
			add("rates", tenants[d.ID], d.Rates)
		}
		counters, err := tx.Counters(ctx, budget.CounterQuery{})
		if err != nil {
			return err
		}
		for _, c := range counters {
			add("counter", tenants[c.Budget], c)
		}
		events, err := tx.Events(ctx, budget.EventQuery{})
		if err != nil {
			return err
		}
		for _, e := range events {
			add("event "+e.ID, e.Tenant, e)
		}
		adjustments, err := tx.Adjustments(ctx, budget.AdjustmentQuery{})
		if err != nil {
			return err
		}
		for _, a := range adjustments {
			add("adjustment", tenants[a.Budget], a)
		}
		directory, err := tx.Tenants(ctx, budget.TenantQuery{})
		if err != nil {
			return err
		}
		for _, t := range directory {
			add("tenant", t.ID, t)
		}
		reservations, err := tx.Reservations(ctx, budget.ReservationQuery{})
		if err != nil {
			return err
		}
		for _, r := range reservations {
			add("reservation "+r.ID, r.Tenant, r)
		}
		alerts, err := tx.Alerts(ctx, budget.AlertQuery{})
		if err != nil {
			return err
		}
		for _, a := range alerts {
			add("alert", tenants[a.Budget], a)
		}
		deliveries, err := tx.Deliveries(ctx, budget.DeliveryQuery{})
		if err != nil {
			return err
		}
		for _, d := range deliveries {
			add("delivery", tenants[d.Alert.Budget], d)
		}
		audit, err := tx.Audit(ctx, budget.AuditQuery{})
		if err != nil {
			return err
		}
		for _, e := range audit {
			add("audit", e.Tenant, e)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

// fill makes something of everything: budgets of ada's ("own", and "set" by an admin for her) and of nobody's, and in two
// tenants the same, under the same ids where two things may have one, with figures of their own. All alerts were given up.
func (w *world) fill() {
	w.t.Helper()
	w.budget("ada", budget.Budget{ID: "own", Owner: "ada", Limit: decimal.NewFromInt(100), Scope: budget.Scope{usage.User: "ada"}})
	w.budget("admin", budget.Budget{ID: "set", Owner: "ada", Limit: decimal.NewFromInt(100), Scope: budget.Scope{usage.User: "ada"}})
	w.budget("admin", budget.Budget{ID: "nobodys", Limit: decimal.NewFromInt(100), Scope: budget.Scope{usage.Resource: "opus"}})
	w.furnish("acme", acmesTokens)
	w.furnish("globex", 55)
	w.deliverDead()
}

// acmesTokens is a figure that nothing else has.
const acmesTokens = 777_777

func (w *world) budget(by string, b budget.Budget) {
	w.t.Helper()
	b.Name, b.Metric = b.ID, usage.Requests
	if _, err := w.ledger.By(by).Create(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
}

// furnish makes a tenant that has a license, budgets, usage that alerts, an adjustment and an open reservation.
func (w *world) furnish(tenant string, tokens int64) {
	w.t.Helper()
	scope := budget.Scope{usage.Tenant: budget.Selector(tenant)}
	w.budget("admin", budget.Budget{ID: tenant + "s", Limit: decimal.NewFromInt(10), Scope: scope})
	w.budget("ada", budget.Budget{
		ID: tenant + "s-adas", Owner: "ada", Limit: decimal.NewFromInt(10),
		Scope: budget.Scope{usage.Tenant: budget.Selector(tenant), usage.User: "ada"},
	})
	ctx, admin := w.t.Context(), w.ledger.By("admin")
	subject := usage.Subject{Tenant: tenant, User: "ada", APIKey: "key", Resource: "model", Labels: map[string]string{"of": tenant}}
	steps := []func() error{
		func() error { _, err := admin.PutTenant(ctx, budget.Tenant{ID: tenant, Name: tenant}); return err },
		func() error {
			_, err := admin.CreateLicense(ctx, budget.License{
				ID: tenant + "s-license", Tenant: tenant, CreditsTotal: new(decimal.NewFromInt(tokens)),
				CostPerCredit: new(decimal.NewFromInt(1)),
			})
			return err
		},
		func() error {
			_, err := w.ledger.Record(ctx, usage.Event{
				ID: "same", Subject: subject, Time: w.now.Now(),
				Amounts: usage.Amounts{InputTokens: tokens, Requests: new(int64(7)), Cost: new(decimal.NewFromInt(tokens))},
			})
			return err
		},
		func() error {
			_, err := admin.Adjust(ctx, budget.Adjustment{
				ID: "same", Budget: tenant + "s", Amount: decimal.NewFromInt(1), Reason: "by " + tenant,
			})
			return err
		},
		func() error {
			_, err := w.ledger.Reserve(ctx, budget.Request{
				ID: "held", Subject: subject, Estimate: usage.Amounts{InputTokens: tokens, Requests: new(int64(1))},
			})
			return err
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			w.t.Fatal(err)
		}
	}
}
