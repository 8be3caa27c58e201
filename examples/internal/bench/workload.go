package main

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
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

// subjectsOf are the users of so many tenants, without a resource.
var subjectsOf = map[int][]usage.Subject{oneTenant: subjects(oneTenant), manyTenants: subjects(manyTenants)}

func subjects(tenants int) []usage.Subject {
	all := make([]usage.Subject, users)
	for user := range all {
		all[user] = usage.Subject{
			Tenant: tenantNames[user%tenants], User: userNames[user], APIKey: keyNames[user],
			Labels: map[string]string{"team": teamNames[user%teams]},
		}
	}
	return all
}

func names(kind string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%02d", kind, i)
	}
	return all
}

// A model has prices in 1e-9 dollars per token.
type model struct {
	name          string
	input, output int64
}

var models = []model{
	{"small", 150, 600},
	{"large", 2500, 10000},
}

func (m *model) amounts(input, output int64) usage.Amounts {
	cost := decimal.New(input*m.input+output*m.output, -usage.Dollars.Scale())
	return usage.Amounts{InputTokens: input, OutputTokens: output, Cost: &cost}
}

// A dealer makes up the events of one caller.
type dealer struct {
	rng      *rand.Rand
	subjects []usage.Subject
}

// newDealer returns the dealer of a caller. It deals the same in every run but for the ids.
func newDealer(caller, tenants int) *dealer {
	return &dealer{rng: rand.New(rand.NewPCG(uint64(caller), 0)), subjects: subjectsOf[tenants]}
}

// mostOutput is how many tokens an answer has at the most.
const mostOutput = 1020

// event returns the next event, without a time.
func (d *dealer) event() usage.Event {
	e := d.errand()
	return usage.Event{ID: usage.NewID(), Subject: e.request.Subject, Amounts: e.used}
}

// An errand is what room is reserved for, and what it uses in the end: its answer is shorter than it may be.
type errand struct {
	request budget.Request // without an id
	used    usage.Amounts
}

// errand returns the next errand.
func (d *dealer) errand() errand {
	subject := d.subjects[d.rng.IntN(users)]
	m := &models[d.rng.IntN(len(models))]
	subject.Resource = m.name
	input, output := 100+d.rng.Int64N(4000), 20+d.rng.Int64N(mostOutput-20)
	return errand{budget.Request{Subject: subject, Estimate: m.amounts(input, mostOutput)}, m.amounts(input, output)}
}

// A watched budget is one with what a program would not compute anew for each event.
type watched struct {
	budget.Budget
	limit  int64 // in the metric's units
	marks  []alert.Mark
	values map[string]string // of the scope, as counters are keyed, by user
	period *atomic.Pointer[period.Bounds]
}

// key returns the key of the counter of one of many tenants' users.
func (b *watched) key(s usage.Subject, now time.Time) budget.CounterKey {
	running := b.period.Load()
	if running == nil || !running.Contains(now) {
		running = new(b.Schedule.Bounds(now))
		b.period.Store(running)
	}
	return budget.CounterKey{Budget: b.ID, Value: b.values[s.User], Start: running.Start.UnixMicro()}
}

// Sets of budgets that count every event.
var (
	// tight have limits such that some counters cross their levels in every turn.
	tight = three(1_000_000, 500_000, 200)
	// ample have limits that no turn comes near: every request is admitted, and nothing alerts.
	ample = three(100_000_000, 1e15, 1e12)
	// hot is one counter, which every request is about.
	hot = watch(budget.Budget{
		ID: "all", Name: "All requests", Metric: usage.Requests, Limit: decimal.NewFromInt(1e12), Schedule: period.Lifetime,
	})
)

// three returns a budget of each tenant's month, each user's day and each key's hour, with limits in dollars, tokens and
// requests.
func three(dollars, tokens, requests int64) []watched {
	return watch(
		budget.Budget{
			ID: "tenant-month", Name: "Each tenant, monthly", Metric: usage.Dollars, Limit: decimal.NewFromInt(dollars),
			Schedule: period.Monthly, Scope: budget.Scope{usage.Tenant: budget.Each},
		},
		budget.Budget{
			ID: "user-day", Name: "Each user, daily", Metric: usage.Tokens, Limit: decimal.NewFromInt(tokens),
			Schedule: period.Daily, Scope: budget.Scope{usage.Tenant: budget.Each, usage.User: budget.Each},
		},
		budget.Budget{
			ID: "key-hour", Name: "Each key, hourly", Metric: usage.Requests, Limit: decimal.NewFromInt(requests),
			Schedule: period.Hourly, Scope: budget.Scope{usage.APIKey: budget.Each},
		},
	)
}

func watch(all ...budget.Budget) []watched {
	budgets := make([]watched, len(all))
	for i, b := range all {
		limit, err := b.Metric.Units(b.Limit)
		if err != nil {
			panic(err)
		}
		values := make(map[string]string)
		for _, s := range subjectsOf[manyTenants] {
			value, _ := b.Scope.Match(s)
			values[s.User] = value.Key()
		}
		budgets[i] = watched{b, limit, b.Thresholds.Marks(limit), values, new(atomic.Pointer[period.Bounds])}
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

// A counting adds units to a counter of a budget, and gives back what was held of it.
type counting struct {
	budget *watched
	key    budget.CounterKey
	units  int64
	held   int64
}

// effectsOf returns the effects of an event that is recorded now.
func effectsOf(budgets []watched, e usage.Event, now time.Time) (effects, error) {
	totals, err := e.Totals()
	if err != nil {
		return effects{}, err
	}
	return effects{
		event: eventRow(e, totals, now), counters: countings(budgets, e.Subject, totals, now), sums: sums(e, totals, now),
	}, nil
}

func countings(budgets []watched, s usage.Subject, totals usage.Totals, now time.Time) []counting {
	all := make([]counting, len(budgets))
	for i := range budgets {
		b := &budgets[i]
		all[i] = counting{budget: b, key: b.key(s, now), units: b.Metric.Of(totals)}
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
	values := append(effect{e.Tenant, e.ID, now.UnixMicro(), e.User, e.APIKey, e.Resource, labelsText(e.Labels)}, amounts(totals)...)
	return append(values, hash[:], int64(budget.CostGiven), "", int64(0), "", "", now.UnixMicro())
}

func labelsText(labels map[string]string) string { return `{"team":"` + labels["team"] + `"}` }

// values returns the counter's key and what to add to what is recorded and reserved.
func (c counting) values() effect {
	return effect{c.key.Budget, c.key.Value, c.key.Start, c.units, -c.held}
}
