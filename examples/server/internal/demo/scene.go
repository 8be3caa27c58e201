package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// An action is what somebody does on a day.
type action struct {
	name string
	at   time.Time
	do   func(context.Context) error
}

// ago returns the instant so many days before now, in the morning.
func (d *demo) ago(days int) time.Time {
	return d.now.Truncate(24*time.Hour).AddDate(0, 0, -days).Add(8 * time.Hour)
}

// actions returns all that is done, in order.
func (d *demo) actions() ([]action, error) {
	all := d.tenants()
	for _, l := range d.licenses() {
		all = append(all, action{"license of " + l.Tenant, l.at, func(ctx context.Context) error {
			made, err := d.ledger.By("mia").CreateLicense(ctx, l.License)
			d.ids["license of "+l.Tenant] = made.ID
			return err
		}})
	}
	for _, p := range d.budgets() {
		used := d.highest(budget.Definition{Budget: p.Budget})
		if p.Limit = limit(p.Metric, used, p.low, p.high); !p.Limit.IsPositive() {
			return nil, fmt.Errorf("budget %q would have no limit", p.Name)
		}
		all = append(all, action{p.Name, d.ago(p.age), func(ctx context.Context) error {
			made, err := d.ledger.By(p.by).Create(ctx, p.Budget)
			d.ids[p.Name] = made.ID
			return err
		}})
	}
	all = append(all, d.changes()...)
	slices.SortStableFunc(all, func(a, b action) int { return a.at.Compare(b.at) })
	return all, nil
}

// tenants are entered in the directory, but for one.
func (d *demo) tenants() []action {
	var all []action
	for _, t := range []budget.Tenant{
		{ID: "acme", Name: "Acme Robotics", Slug: "acme-robotics"},
		{ID: "globex", Name: "Globex Insurance", Slug: "globex"},
		{ID: "initech", Name: "Initech Software", Slug: "initech"},
	} {
		all = append(all, action{t.Name, d.ago(days), func(ctx context.Context) error {
			_, err := d.ledger.By("mia").PutTenant(ctx, t)
			return err
		}})
	}
	return all
}

type licensed struct {
	budget.License
	at time.Time
}

// The credits of acme cost more from a day on.
const (
	dearer   = 45 // days ago
	rate     = "0.02"
	dearRate = "0.025"
)

// licenses are in the range of a warning, critical and exceeded. One tenant has none, and one has another one from before.
func (d *demo) licenses() []licensed {
	start := d.ago(days)
	later := start.AddDate(1, 0, 0)
	credits := func(tenant string, low, high int64, rates ...budget.Rate) *decimal.Decimal {
		of := d.lifetime(tenant, usage.Credits)
		of.CostPerCredit = rates[0].CostPerCredit
		return new(limit(usage.Credits, d.highest(budget.Definition{Budget: of, Rates: rates}), low, high))
	}
	money := func(tenant string, low, high int64) *decimal.Decimal {
		return new(limit(usage.Dollars, d.highest(budget.Definition{Budget: d.lifetime(tenant, usage.Dollars)}), low, high))
	}
	cheap := budget.Rate{CostPerCredit: dec(rate)}
	return []licensed{
		{budget.License{
			Tenant: "acme", StartsAt: start, EndsAt: later, CostPerCredit: new(dec(rate)), WarningPercent: new(dec("75")),
			CreditsTotal: credits("acme", 80, 89, cheap, budget.Rate{From: d.ago(dearer), CostPerCredit: dec(dearRate)}),
			MoneyBudget:  money("acme", 45, 70),
		}, start},
		{budget.License{
			Tenant: "globex", StartsAt: start, EndsAt: later, CostPerCredit: new(dec(rate)), CreditsTotal: credits("globex", 90, 98, cheap),
		}, start.Add(time.Minute)},
		{budget.License{
			Tenant: "initech", Inactive: true, StartsAt: start, EndsAt: start.AddDate(0, 0, 14),
			CreditsTotal: new(dec("100000")), CostPerCredit: new(dec(rate)),
		}, start.Add(2 * time.Minute)},
		{budget.License{
			Tenant: "initech", StartsAt: start, MoneyBudget: money("initech", 103, 130), WarningPercent: new(dec("90")),
		}, start.Add(3 * time.Minute)},
	}
}

// lifetime returns the budget by which a license counts.
func (d *demo) lifetime(tenant string, m usage.Metric) budget.Budget {
	return budget.Budget{
		Metric: m, Schedule: period.Lifetime, StartsAt: d.ago(days), Scope: budget.Scope{usage.Tenant: budget.Selector(tenant)},
	}
}

// A planned budget has used from low to high percent of its limit now, if it has used anything in the period that runs.
type planned struct {
	budget.Budget
	age       int // days
	by        string
	low, high int64
}

// budgets are on every level, of every kind.
func (d *demo) budgets() []planned {
	tenant := func(id string) budget.Scope { return budget.Scope{usage.Tenant: budget.Selector(id)} }
	sonnet := budget.Selector("claude-sonnet-4-5")
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.UTC
	}
	return []planned{
		{budget.Budget{
			Name: "Whole platform, monthly", Description: new("Everything that all tenants spend. It warns, and refuses nothing."),
			Metric: usage.Dollars, Schedule: period.Monthly, Enforcement: budget.Soft, Labels: map[string]string{"team": "platform"},
		}, 115, "mia", 50, 75},
		{budget.Budget{
			Name: "Acme, monthly", Metric: usage.Dollars, Schedule: period.Monthly, Scope: tenant("acme"),
			Thresholds: alert.Thresholds{Extra: []decimal.Decimal{dec("50")}}, Metadata: []byte(`{"cost_center": "4711", "contact": "ada"}`),
		}, 114, "mia", 81, 89},
		{budget.Budget{
			Name: "Globex, monthly", Metric: usage.Dollars, Schedule: period.Monthly, Scope: tenant("globex"),
		}, 114, "mia", 91, 98},
		{budget.Budget{
			Name: "Initech, monthly", Metric: usage.Dollars, Schedule: period.Monthly, Scope: tenant("initech"),
		}, 114, "mia", 103, 125},
		{budget.Budget{
			Name: "Hooli, monthly", Metric: usage.Dollars, Schedule: period.Monthly, Scope: tenant("hooli"),
		}, 60, "mia", 25, 60},
		{budget.Budget{
			Name: "Globex, this quarter", Metric: usage.Tokens, Schedule: period.Quarterly, Scope: tenant("globex"), Enforcement: budget.Soft,
		}, 100, "tom", 40, 70},
		{budget.Budget{
			Name: "Each user, daily", Description: new("One counter for each user of each tenant."),
			Metric: usage.Tokens, Schedule: period.Daily, Enforcement: budget.Soft,
			Scope: budget.Scope{usage.Tenant: budget.Each, usage.User: budget.Each},
		}, 90, "mia", 82, 89},
		{budget.Budget{
			Name: "Acme's users, weekly", Description: new("Ada has a budget of her own."), Metric: usage.Dollars, Schedule: period.Weekly,
			Scope:  budget.Scope{usage.Tenant: "acme", usage.User: budget.Each},
			Except: budget.Except{usage.User: []string{"ada"}},
		}, 80, "tom", 30, 70},
		{budget.Budget{
			Name: "Ada, weekly", Metric: usage.Dollars, Schedule: period.Weekly, Owner: "ada",
			Scope:            budget.Scope{usage.Tenant: "acme", usage.User: "ada"},
			AllowedResources: []string{"claude-sonnet-4-5", "gpt-5-mini"},
		}, 79, "tom", 81, 89},
		{budget.Budget{
			Name: "What I use in a month", Metric: usage.Tokens, Schedule: period.Monthly.In(berlin), Enforcement: budget.Soft,
			Owner: "ada", Scope: budget.Scope{usage.Tenant: "acme", usage.User: "ada"},
		}, 50, "ada", 30, 60},
		{budget.Budget{
			Name: "Key acme-batch, daily", Metric: usage.Requests, Schedule: period.Daily, Enforcement: budget.Soft,
			Scope: budget.Scope{usage.Tenant: "acme", usage.APIKey: "acme-batch"},
		}, 70, "tom", 91, 98},
		{budget.Budget{
			Name: "Claude Sonnet 4.5, weekly", Metric: usage.Dollars, Schedule: period.Weekly, Enforcement: budget.Soft,
			Scope: budget.Scope{usage.Resource: sonnet},
		}, 65, "mia", 82, 89},
		{budget.Budget{
			Name: "Each model, monthly", Metric: usage.Dollars, Schedule: period.Monthly, Enforcement: budget.Soft,
			Scope: budget.Scope{usage.Resource: budget.Each},
		}, 65, "mia", 50, 75},
		{budget.Budget{
			Name: "Code assistant, launch", Description: new("For a quarter, whatever the months say."), Metric: usage.Dollars,
			Schedule: period.Lifetime, StartsAt: d.ago(60), EndsAt: d.ago(-30), MinHold: dec("5"),
			Scope: budget.Scope{usage.Tenant: "acme", usage.Resource: sonnet},
		}, 60, "mia", 91, 96},
		{budget.Budget{
			Name: "Initech, pilot", Metric: usage.Tokens, Schedule: period.Lifetime, StartsAt: d.ago(90), Scope: tenant("initech"),
			Enforcement: budget.Soft,
		}, 90, "mia", 103, 125},
		{budget.Budget{
			Name: "Globex batch jobs, daily", Description: new("Switched off until the new key is there."), Metric: usage.Requests,
			Schedule: period.Daily, Disabled: true, Scope: budget.Scope{usage.Tenant: "globex", usage.APIKey: "globex-batch"},
		}, 40, "tom", 103, 160},
		{budget.Budget{
			Name: "Output tokens, hourly", Metric: usage.OutputTokens, Schedule: period.Hourly, Enforcement: budget.Observe,
		}, 30, "mia", 20, 70},
	}
}

// highest returns the most that any counter of a budget counts in the period that runs; if nothing, in any period.
func (d *demo) highest(def budget.Definition) decimal.Decimal {
	counters := make(map[budget.CounterKey]int64)
	running := def.Schedule.Bounds(d.now).Start.UnixMicro()
	var highest, ever int64
	for i := range d.stored {
		charge, ok, err := def.Charge(&d.stored[i])
		if err != nil || !ok {
			continue
		}
		counters[charge.CounterKey] += charge.Units
		if ever = max(ever, counters[charge.CounterKey]); charge.Start == running {
			highest = max(highest, counters[charge.CounterKey])
		}
	}
	return def.Metric.Decimal(cmp.Or(highest, ever))
}

// limit returns the roundest limit of which what is used is from low to high percent.
func limit(m usage.Metric, used decimal.Decimal, low, high int64) decimal.Decimal {
	percent := used.Shift(2)
	least, most := percent.Div(decimal.NewFromInt(high)), percent.Div(decimal.NewFromInt(low))
	for exponent := int32(12); exponent > -min(m.Scale(), 2); exponent-- {
		for _, n := range []int64{10, 5, 2} {
			step := decimal.New(n, exponent-1)
			if round := least.Div(step).Ceil().Mul(step); round.LessThanOrEqual(most) {
				return round
			}
		}
	}
	return most.RoundCeil(min(m.Scale(), 2))
}

// changes are what was changed later.
func (d *demo) changes() []action {
	return []action{
		{"dearer credits", d.ago(dearer), func(ctx context.Context) error {
			_, err := d.ledger.By("mia").UpdateLicense(ctx, d.ids["license of acme"], func(x *budget.License) error {
				x.CostPerCredit = new(dec(dearRate))
				return nil
			})
			return err
		}},
		{"another description", d.ago(25), func(ctx context.Context) error {
			_, err := d.ledger.By("tom").Update(ctx, d.ids["Acme, monthly"], func(b *budget.Budget) error {
				b.Description = new("Agreed with Ada for this year.")
				return nil
			})
			return err
		}},
		{"credit note", d.ago(12), func(ctx context.Context) error {
			return d.refund(ctx, "Code assistant, launch", "Credit note 2041: answers that broke off")
		}},
		{"refund", d.ago(0), func(ctx context.Context) error {
			return d.refund(ctx, "Whole platform, monthly", "Refund of the provider for the outage")
		}},
	}
}

// refund takes away a hundredth of what a budget has used.
func (d *demo) refund(ctx context.Context, name, reason string) error {
	status, err := d.ledger.Status(ctx, d.ids[name], nil)
	if err != nil {
		return err
	}
	amount := status.Used.Shift(-2).Round(2)
	if !amount.IsPositive() {
		return nil
	}
	_, err = d.ledger.By("tom").Adjust(ctx, budget.Adjustment{ID: "refund", Budget: d.ids[name], Amount: amount.Neg(), Reason: reason})
	return err
}

// admit sends batch jobs: some are under way now, some are settled, some are refused.
func (d *demo) admit(ctx context.Context) error {
	d.clock = d.now
	for i, r := range []struct{ tenant, user, key, model, cost, then string }{
		{"acme", "bob", "acme-app", "claude-sonnet-4-5", "24", ""},
		{"acme", "cyd", "acme-app", "gpt-5-mini", "12", ""},
		{"acme", "bob", "acme-batch", "claude-sonnet-4-5", "16", ""},
		{"acme", "cyd", "acme-batch", "gpt-5-mini", "8", "settle"},
		{"globex", "dan", "globex-app", "claude-haiku-4-5", "4", ""},
		{"globex", "eve", "globex-app", "gpt-3.5-turbo", "2", "release"},
		{"hooli", "gil", "hooli-app", "claude-sonnet-4-5", "36", ""},
		{"hooli", "hal", "hooli-app", "gpt-3.5-turbo", "3", ""},
		{"acme", "ada", "acme-app", "gpt-3.5-turbo", "5", ""}, // which her budget does not allow
		{"initech", "fay", "initech-app", "claude-sonnet-4-5", "20", ""},
		{"initech", "fay", "initech-batch", "claude-haiku-4-5", "10", ""},
	} {
		request := budget.Request{
			ID: fmt.Sprintf("job-%02d", i+1), TTL: 6 * time.Hour,
			Subject:  usage.Subject{Tenant: r.tenant, User: r.user, APIKey: r.key, Resource: r.model},
			Estimate: usage.Amounts{InputTokens: 4_000_000, OutputTokens: 800_000, Cost: new(dec(r.cost))},
		}
		res, err := d.ledger.Reserve(ctx, request)
		switch {
		case errors.Is(err, budget.ErrExceeded), errors.Is(err, budget.ErrResourceNotAllowed):
			err = nil
		case err != nil:
		case r.then == "settle":
			err = res.Settle(ctx, usage.Amounts{InputTokens: 3_811_200, OutputTokens: 295_000, Runs: 1, Cost: new(dec("1.5428"))})
		case r.then == "release":
			err = res.Release(ctx)
		}
		if err != nil {
			return fmt.Errorf("request %s: %w", request.ID, err)
		}
	}
	return nil
}

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }
