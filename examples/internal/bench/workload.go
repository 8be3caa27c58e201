package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Who uses what: users, each with a key of their own and in a team, spread evenly over the tenants.
const (
	manyTenants = 10
	oneTenant   = 1
	users       = 100
	teams       = 5
)

// What a subject is called. It is spelt out once, so that no side spends time on it.
var (
	tenantNames = names("tenant", manyTenants)
	userNames   = names("user", users)
	keyNames    = names("key", users)
	teamNames   = names("team", teams)
)

func names(kind string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%02d", kind, i)
	}
	return all
}

// models have prices in 1e-9 dollars per token.
var models = []struct {
	name          string
	input, output int64
}{
	{"small", 150, 600},
	{"large", 2500, 10000},
}

// A dealer makes up the events of one caller.
type dealer struct {
	rng     *rand.Rand
	tenants int
}

// newDealer returns the dealer of a caller. It deals the same in every run but for the ids.
func newDealer(caller, tenants int) *dealer {
	return &dealer{rng: rand.New(rand.NewPCG(uint64(caller), 0)), tenants: tenants}
}

// event returns the next event, without a time.
func (d *dealer) event() usage.Event {
	user := d.rng.IntN(users)
	model := models[d.rng.IntN(len(models))]
	input, output := 100+d.rng.Int64N(4000), 20+d.rng.Int64N(1000)
	cost := decimal.New(input*model.input+output*model.output, -usage.Dollars.Scale())
	return usage.Event{
		ID: usage.NewID(),
		Subject: usage.Subject{
			Tenant:   tenantNames[user%d.tenants],
			User:     userNames[user],
			APIKey:   keyNames[user],
			Resource: model.name,
			Labels:   map[string]string{"team": teamNames[user%teams]},
		},
		Amounts: usage.Amounts{InputTokens: input, OutputTokens: output, Cost: &cost},
	}
}

// A watched budget is one with what is computed from its limit once.
type watched struct {
	budget.Budget
	limit int64 // in the metric's units
	marks []alert.Mark
}

// budgets are the three that count every event. The limits are such that some counters cross their levels in every turn.
var budgets = watch(
	budget.Budget{
		ID: "tenant-month", Name: "Each tenant, monthly", Metric: usage.Dollars, Limit: decimal.NewFromInt(1_000_000),
		Schedule: period.Monthly, Scope: budget.Scope{usage.Tenant: budget.Each},
	},
	budget.Budget{
		ID: "user-day", Name: "Each user, daily", Metric: usage.Tokens, Limit: decimal.NewFromInt(500_000),
		Schedule: period.Daily, Scope: budget.Scope{usage.Tenant: budget.Each, usage.User: budget.Each},
	},
	budget.Budget{
		ID: "key-hour", Name: "Each key, hourly", Metric: usage.Requests, Limit: decimal.NewFromInt(200),
		Schedule: period.Hourly, Scope: budget.Scope{usage.APIKey: budget.Each},
	},
)

func watch(all ...budget.Budget) []watched {
	budgets := make([]watched, len(all))
	for i, b := range all {
		limit, err := b.Metric.Units(b.Limit)
		if err != nil {
			panic(err)
		}
		budgets[i] = watched{b, limit, b.Thresholds.Marks(limit)}
	}
	return budgets
}

// An effect is a row to store, or what to add to one.
type effect []any

// effects are what recording one event changes.
type effects struct {
	event    effect
	counters []counting
	sums     []effect // per quarter hour, day and month
}

// A counting adds units to a counter of a budget.
type counting struct {
	budget *watched
	key    budget.CounterKey
	units  int64
}

// effectsOf returns the effects of an event that is recorded now.
func effectsOf(e usage.Event, now time.Time) (effects, error) {
	totals, err := e.Totals()
	if err != nil {
		return effects{}, err
	}
	return effects{event: eventRow(e, totals, now), counters: countings(e, totals, now), sums: sums(e, totals, now)}, nil
}

func countings(e usage.Event, totals usage.Totals, now time.Time) []counting {
	all := make([]counting, len(budgets))
	for i := range budgets {
		b := &budgets[i]
		value, _ := b.Scope.Match(e.Subject)
		key := budget.CounterKey{Budget: b.ID, Value: value.Key(), Start: b.Schedule.Bounds(now).Start.UnixMicro()}
		all[i] = counting{b, key, b.Metric.Of(totals)}
	}
	return all
}

func sums(e usage.Event, totals usage.Totals, now time.Time) []effect {
	sum := func(grain usage.Grain, bucket time.Time, user, key string) effect {
		return append(effect{int64(grain), bucket.UnixMicro(), e.Tenant, user, key, e.Resource}, amounts(totals)...)
	}
	return []effect{
		sum(usage.QuarterHours, now.Truncate(15*time.Minute), e.User, e.APIKey),
		sum(usage.Days, period.Daily.Bounds(now).Start, e.User, e.APIKey),
		sum(usage.Months, period.Monthly.Bounds(now).Start, "", ""),
	}
}

func amounts(t usage.Totals) effect {
	return effect{
		t.InputTokens, t.OutputTokens, t.CacheCreationTokens, t.CacheReadTokens, t.TotalTokens, t.Requests, t.Runs, t.Nanodollars,
	}
}

// eventRow returns the row that Purser stores of an event whose time was not given, in the order of eventColumns.
func eventRow(e usage.Event, totals usage.Totals, now time.Time) effect {
	hash := e.Hash()
	labels := `{"team":"` + e.Labels["team"] + `"}`
	values := append(effect{e.Tenant, e.ID, now.UnixMicro(), e.User, e.APIKey, e.Resource, labels}, amounts(totals)...)
	return append(values, hash[:], int64(budget.CostGiven), "", int64(0), "", now.UnixMicro())
}

// values returns the counter's key and what to add.
func (c counting) values() effect { return effect{c.key.Budget, c.key.Value, c.key.Start, c.units} }
