package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A furnished world has organizations with licenses, budgets of every level, and ten weeks of usage.
type furnished struct {
	*world
	acme, keys, users budget.Budget
	license           budget.License
}

func newFurnished(t *testing.T, change ...func(*config)) *furnished {
	t.Helper()
	return furnish(newWorld(t, change...))
}

func furnish(w *world) *furnished {
	t := w.t
	t.Helper()
	f := &furnished{world: w}
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ledger := f.ledger.By("admin")
	f.set("2026-01-01T08:00:00Z")
	for _, tenant := range []budget.Tenant{
		{ID: "acme", Name: "Acme Corporation", Slug: "acme-corp"},
		{ID: "globex", Name: "Globex"},
		{ID: "initech", Name: "Initech"},
	} {
		_, err := ledger.PutTenant(ctx, tenant)
		must(err)
	}
	var err error
	f.license, err = ledger.CreateLicense(ctx, budget.License{
		Tenant: "acme", CreditsTotal: amount("12000"), CostPerCredit: amount("0.10"), MoneyBudget: amount("700"), StartsAt: f.now.Now(),
	})
	must(err)
	_, err = ledger.CreateLicense(ctx, budget.License{
		Tenant: "globex", CreditsTotal: amount("5000"), CostPerCredit: amount("0.10"), MoneyBudget: amount("270"), StartsAt: f.now.Now(),
	})
	must(err)

	create := func(b budget.Budget) budget.Budget {
		made, err := ledger.Create(ctx, b)
		must(err)
		f.now.set(f.now.Now().Add(time.Minute))
		return made
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	must(err)
	f.acme = create(budget.Budget{
		Name: "Acme, all models", Description: new("What the contract says.\nReviewed each quarter."), Metric: usage.Dollars, Limit: *amount("150"),
		Schedule: period.Monthly.In(berlin), Scope: budget.Scope{usage.Tenant: "acme"}, Owner: "root", CreatedBy: "admin",
	})
	create(budget.Budget{
		Name: "Globex, all models", Metric: usage.Dollars, Limit: *amount("55"), Scope: budget.Scope{usage.Tenant: "globex"},
	})
	create(budget.Budget{
		Name: "Initech trial", Metric: usage.Tokens, Limit: *amount("3000000"), Scope: budget.Scope{usage.Tenant: "initech"},
		Enforcement: budget.Soft,
	})
	f.users = create(budget.Budget{
		Name: "Each user, daily", Metric: usage.Requests, Limit: *amount("40"), Schedule: period.Daily,
		Scope: budget.Scope{usage.User: budget.Each},
	})
	f.keys = create(budget.Budget{
		Name: "Batch key", Metric: usage.Tokens, Limit: *amount("4000000"), Schedule: period.Weekly,
		Scope: budget.Scope{usage.APIKey: "acme-batch"}, Owner: "ada", CreatedBy: "ada", MinHold: *amount("1000"),
	})
	create(budget.Budget{Name: "Everything, to watch", Metric: usage.Requests, Limit: *amount("100000"), Schedule: period.Yearly, Enforcement: budget.Observe})

	f.recordWeeks()
	f.now.set(morning)
	_, err = f.ledger.Reserve(ctx, budget.Request{
		ID: "run-4711", Subject: usage.Subject{Tenant: "acme", User: "ada", APIKey: "acme-batch", Resource: "claude-sonnet-4-5"},
		Estimate: usage.Amounts{InputTokens: 220_000, OutputTokens: 90_000, Cost: amount("9.75")}, TTL: 2 * time.Hour,
	})
	must(err)
	_, err = ledger.Adjust(ctx, budget.Adjustment{ID: "credit-note-7", Budget: f.acme.ID, Amount: *amount("-2.5"), Reason: "Credit note 7"})
	must(err)
	return f
}

func amount(text string) *decimal.Decimal { return new(decimal.RequireFromString(text)) }

// recordWeeks records usage of every day from January to the morning, with quiet weekends.
func (f *furnished) recordWeeks() {
	f.t.Helper()
	people := []struct {
		usage.Subject
		weight int64
	}{
		{usage.Subject{Tenant: "acme", User: "ada", APIKey: "acme-app", Resource: "claude-sonnet-4-5"}, 30},
		{usage.Subject{Tenant: "acme", User: "bob", APIKey: "acme-batch", Resource: "gpt-5-mini"}, 22},
		{usage.Subject{Tenant: "acme", User: "cyd", APIKey: "acme-app", Resource: "claude-sonnet-4-5"}, 11},
		{usage.Subject{Tenant: "globex", User: "dan", APIKey: "globex-app", Resource: "gpt-5-mini"}, 19},
		{usage.Subject{Tenant: "globex", User: "eve", APIKey: "globex-app", Resource: "claude-sonnet-4-5"}, 9},
		{usage.Subject{Tenant: "initech", User: "fay", APIKey: "initech-app", Resource: "gpt-5-mini"}, 12},
	}
	for day := time.Date(2026, 1, 1, 8, 10, 0, 0, time.UTC); day.Before(morning); day = day.AddDate(0, 0, 1) {
		var events []usage.Event
		for i, p := range people {
			weight := p.weight * (60 + int64(day.YearDay()*37+i*53)%80)
			if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
				weight /= 3
			}
			events = append(events, usage.Event{
				ID: fmt.Sprintf("use-%s-%d", day.Format(time.DateOnly), i), Time: day.Add(time.Duration(i) * 10 * time.Minute), Subject: p.Subject,
				Amounts: usage.Amounts{
					InputTokens: weight * 90, OutputTokens: weight * 22, CacheReadTokens: weight * 40, Requests: new(weight / 50), Runs: weight / 400,
					Cost: new(decimal.New(weight*17, -4)),
				},
			})
		}
		f.now.set(day.Add(time.Hour))
		f.record(events)
	}
}

func (f *furnished) record(events []usage.Event) {
	f.t.Helper()
	results, err := f.ledger.RecordBatch(f.t.Context(), events)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, result := range results {
		if result.Outcome != budget.Recorded {
			f.t.Fatalf("%s: %s: %v", result.ID, result.Outcome, result.Err)
		}
	}
}
