package ledgertest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Random operations, and after them every figure against the model that computes it from what was sent.
func TestFiguresEqualTheSumOfTheEventsAfterRandomOperations(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		checks(t, soak.Count(t, "sequences of random operations", k.sequences, 100*k.sequences))
		rapid.Check(t, func(rt *rapid.T) {
			newMachine(rt, t, k.open(t)).run(rt)
		})
	})
}

// checks sets how many sequences rapid tries until the test ends.
func checks(t *testing.T, n int) {
	setting := flag.Lookup("rapid.checks")
	before := setting.Value.String()
	if err := setting.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := setting.Value.Set(before); err != nil {
			t.Error(err)
		}
	})
}

// A machine does random things to a ledger and to its model.
type machine struct {
	ctx    context.Context
	t      testing.TB
	stage  *stage
	ledger *budget.Ledger
	model  *model
	now    time.Time
	serial int
}

func newMachine(rt *rapid.T, t testing.TB, s *stage) *machine {
	m := &machine{ctx: context.Background(), t: t, stage: s, model: newModel()}
	m.now = time.Date(2024, time.Month(rapid.IntRange(1, 12).Draw(rt, "month")), rapid.IntRange(1, 28).Draw(rt, "day"),
		rapid.IntRange(0, 23).Draw(rt, "hour"), rapid.IntRange(0, 59).Draw(rt, "minute"), 0, 0, time.UTC)
	m.ledger = budget.NewLedger(s, &budget.Options{
		Now:   func() time.Time { return m.now },
		NewID: func() string { return m.id("made") },
	}).By("machine")
	return m
}

func (m *machine) id(kind string) string {
	m.serial++
	return fmt.Sprintf("%s-%06d", kind, m.serial)
}

func (m *machine) run(rt *rapid.T) {
	rt.Repeat(map[string]func(*rapid.T){
		"record":  m.record,
		"again":   m.again,
		"correct": m.correct,
		"create":  m.create,
		"update":  m.update,
		"delete":  m.delete,
		"adjust":  m.adjust,
		"advance": m.advance,
		"prune":   m.prune,
		"reserve": m.reserve,
		"settle":  m.settle,
		"release": m.release,
		"extend":  m.extend,
		"pass":    m.pass,
		"":        m.check,
	})
}

func names(prefix string, n int) *rapid.Generator[string] {
	return rapid.Custom(func(rt *rapid.T) string {
		if i := rapid.IntRange(0, n).Draw(rt, prefix); i > 0 {
			return fmt.Sprintf("%s%d", prefix, i)
		}
		return ""
	})
}

func subjects() *rapid.Generator[usage.Subject] {
	return rapid.Custom(func(rt *rapid.T) usage.Subject {
		s := usage.Subject{
			Tenant: names("t", 2).Draw(rt, "tenant"), User: names("u", 3).Draw(rt, "user"),
			APIKey: names("k", 1).Draw(rt, "key"), Resource: names("r", 2).Draw(rt, "resource"),
		}
		if team := names("team", 2).Draw(rt, "team"); team != "" {
			s.Labels = map[string]string{"team": team}
		}
		return s
	})
}

func amounts() *rapid.Generator[usage.Amounts] {
	return rapid.Custom(func(rt *rapid.T) usage.Amounts {
		a := usage.Amounts{
			InputTokens:     rapid.Int64Range(0, 5000).Draw(rt, "input"),
			OutputTokens:    rapid.Int64Range(0, 3000).Draw(rt, "output"),
			CacheReadTokens: rapid.Int64Range(0, 10).Draw(rt, "cache"),
			Runs:            rapid.Int64Range(0, 1).Draw(rt, "runs"),
		}
		if rapid.Bool().Draw(rt, "total given") {
			a.TotalTokens = new(rapid.Int64Range(0, 9000).Draw(rt, "total"))
		}
		if rapid.Bool().Draw(rt, "requests given") {
			a.Requests = new(rapid.Int64Range(0, 4).Draw(rt, "requests"))
		}
		if rapid.Bool().Draw(rt, "cost given") {
			a.Cost = new(decimal.New(rapid.Int64Range(0, 5_000_000_000).Draw(rt, "cost"), -9))
		}
		return a
	})
}

// eventTime is mostly about now, sometimes some days ago, sometimes a little ahead.
func (m *machine) eventTime(rt *rapid.T) time.Time {
	back := rapid.OneOf(rapid.Int64Range(-240, 3600), rapid.Int64Range(0, 40*24*3600)).Draw(rt, "seconds back")
	return m.now.Add(-time.Duration(back) * time.Second)
}

func (m *machine) record(rt *rapid.T) {
	events := make([]usage.Event, rapid.IntRange(1, 6).Draw(rt, "events"))
	for i := range events {
		events[i] = usage.Event{ID: m.id("e"), Subject: subjects().Draw(rt, "subject"), Amounts: amounts().Draw(rt, "amounts")}
		if rapid.Bool().Draw(rt, "time given") {
			events[i].Time = m.eventTime(rt)
		}
	}
	results, err := m.ledger.RecordBatch(m.ctx, events)
	if err != nil {
		rt.Fatalf("record: %v", err)
	}
	for i, e := range events {
		if e.Time.IsZero() {
			e.Time = m.now
		}
		want := budget.Recorded
		if e.Time.Before(m.model.floor) {
			want = budget.Invalid
			if !errors.Is(results[i].Err, budget.ErrPruned) {
				rt.Fatalf("an event before the floor is ErrPruned, not %v", results[i].Err)
			}
		}
		if results[i].Outcome != want {
			rt.Fatalf("event %d of %v: %s, want %s: %v", i, e.Time, results[i].Outcome, want, results[i].Err)
		}
		if want != budget.Recorded {
			continue
		}
		totals, err := e.Totals()
		if err != nil {
			rt.Fatal(err)
		}
		m.model.events = append(m.model.events, &modelEvent{event: e, totals: totals})
	}
}

// again sends an event once more, with the same content or with another.
func (m *machine) again(rt *rapid.T) {
	e := m.pickEvent(rt)
	if e == nil || e.event.Time.Before(m.model.floor) {
		return
	}
	again, want := e.event, budget.Conflict
	again.InputTokens++
	if result, _ := m.ledger.Record(m.ctx, again); result.Outcome != want {
		rt.Fatalf("the same id with other content is %s, want %s", result.Outcome, want)
	}
}

func (m *machine) pickEvent(rt *rapid.T) *modelEvent {
	if len(m.model.events) == 0 {
		return nil
	}
	return rapid.SampledFrom(m.model.events).Draw(rt, "event")
}

func (m *machine) correct(rt *rapid.T) {
	e := m.pickEvent(rt)
	if e == nil {
		return
	}
	left := e.left()
	part := func(name string, of int64) int64 { return rapid.Int64Range(0, of).Draw(rt, name) }
	c := usage.Correction{ID: m.id("c"), Tenant: e.event.Tenant, Event: e.event.ID, Reason: "test", Amounts: usage.Amounts{
		InputTokens: part("input", left.InputTokens), OutputTokens: part("output", left.OutputTokens),
		CacheReadTokens: part("cache", left.CacheReadTokens), TotalTokens: new(part("total", left.TotalTokens)),
		Requests: new(part("requests", left.Requests)), Runs: part("runs", left.Runs),
		Cost: new(usage.Dollars.Decimal(part("cost", left.Nanodollars))),
	}}
	taken, err := c.Totals()
	if err != nil {
		rt.Fatal(err)
	}
	result, err := m.ledger.Correct(m.ctx, c)
	if e.event.Time.Before(m.model.floor) {
		if !errors.Is(err, budget.ErrPruned) && !errors.Is(err, budget.ErrNotFound) {
			rt.Fatalf("correcting what was pruned: %v", err)
		}
		return
	}
	if err != nil || result.Outcome != budget.Recorded {
		rt.Fatalf("correct: %s: %v", result.Outcome, err)
	}
	if e.taken, err = e.taken.Add(taken); err != nil {
		rt.Fatal(err)
	}
	if result, err := m.ledger.Correct(m.ctx, c); err != nil || result.Outcome != budget.Duplicate {
		rt.Fatalf("the same correction again: %s: %v", result.Outcome, err)
	}
	c.ID, c.Amounts.InputTokens = m.id("c"), left.InputTokens+1
	if _, err := m.ledger.Correct(m.ctx, c); !errors.Is(err, budget.ErrInvalid) {
		rt.Fatalf("a correction of more than there is: %v", err)
	}
}

func schedules() *rapid.Generator[period.Schedule] {
	berlin, kathmandu := zone("Europe/Berlin"), zone("Asia/Kathmandu")
	anchor := time.Date(2024, 1, 1, 0, 0, 7, 0, time.UTC)
	return rapid.SampledFrom([]period.Schedule{
		period.Hourly, period.Hourly.In(kathmandu), period.Daily, period.Daily.In(berlin), period.Weekly,
		period.Monthly, period.Monthly.In(berlin), period.Quarterly, period.Yearly, period.Lifetime,
		period.Every(7, period.Minute, anchor), period.Every(50, period.Second, anchor), period.Every(3, period.Day, anchor),
	})
}

func zone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return loc
}

// scoped draws what a budget counts.
func (m *machine) scoped(rt *rapid.T, b *budget.Budget) {
	b.Scope, b.Except = budget.Scope{}, nil
	values := map[usage.Dimension][]budget.Selector{
		"tenant": {"t1", "t2", budget.Each}, "user": {"u1", budget.Each, budget.Each}, "api_key": {"k1", budget.Each},
		"resource": {"r1", "r2", budget.Each}, "team": {"team1", budget.Each},
	}
	for _, d := range slices.Sorted(maps.Keys(values)) {
		if rapid.IntRange(0, 3).Draw(rt, "names "+string(d)) == 0 {
			b.Scope[d] = rapid.SampledFrom(values[d]).Draw(rt, string(d))
		}
	}
	if b.Scope["user"] == budget.Each && rapid.Bool().Draw(rt, "except") {
		b.Except = budget.Except{"user": {"u2"}}
	}
}

func (m *machine) measured(rt *rapid.T, b *budget.Budget) {
	b.Metric = rapid.SampledFrom(usage.Metrics()).Draw(rt, "metric")
	b.Limit = decimal.NewFromInt(rapid.Int64Range(1, 20000).Draw(rt, "limit"))
	b.CostPerCredit = decimal.Zero
	if b.Metric == usage.Credits && rapid.Bool().Draw(rt, "rate given") {
		b.CostPerCredit = decimal.New(rapid.Int64Range(1, 3000).Draw(rt, "rate"), -3)
	}
}

func (m *machine) windowed(rt *rapid.T, b *budget.Budget) {
	b.StartsAt, b.EndsAt = time.Time{}, time.Time{}
	if rapid.IntRange(0, 2).Draw(rt, "bounded") == 0 {
		b.StartsAt = m.now.Add(-time.Duration(rapid.Int64Range(0, 20*24*3600).Draw(rt, "starts")) * time.Second)
		if rapid.Bool().Draw(rt, "ends") {
			b.EndsAt = b.StartsAt.Add(time.Duration(rapid.Int64Range(1, 30*24*3600).Draw(rt, "length")) * time.Second)
		}
	}
}

func (m *machine) create(rt *rapid.T) {
	if len(m.model.budgets) >= 6 {
		return
	}
	b := budget.Budget{Name: "test", Schedule: schedules().Draw(rt, "schedule")}
	m.scoped(rt, &b)
	m.measured(rt, &b)
	m.windowed(rt, &b)
	b.Disabled = rapid.IntRange(0, 4).Draw(rt, "disabled") == 0
	b.Enforcement = rapid.SampledFrom([]budget.Enforcement{budget.Hard, budget.Hard, budget.Soft, budget.Observe}).Draw(rt, "enforcement")
	created, err := m.ledger.Create(m.ctx, b)
	if m.prunedAway(rt, b, err) {
		return
	}
	if err != nil {
		rt.Fatalf("create: %v", err)
	}
	modeled := &modelBudget{budget: created, countedFrom: b.Schedule.Bounds(m.now).Start}
	if b.CostPerCredit.IsPositive() {
		modeled.rates = []budget.Rate{{CostPerCredit: b.CostPerCredit}}
	}
	m.model.budgets[created.ID] = modeled
	m.model.holdAgain(modeled, true)
}

// prunedAway reports whether b can't be counted because of the floor, and that err says so just then.
func (m *machine) prunedAway(rt *rapid.T, b budget.Budget, err error) bool {
	start := b.Schedule.Bounds(m.now).Start
	if b.StartsAt.After(start) {
		start = b.StartsAt
	}
	ended := !b.EndsAt.IsZero() && !start.Before(b.EndsAt) || !start.Before(b.Schedule.Bounds(m.now).End)
	must := start.Before(m.model.floor) && !ended
	if must != errors.Is(err, budget.ErrPruned) {
		rt.Fatalf("counting from %v with the floor at %v: %v", start, m.model.floor, err)
	}
	return must
}

func (m *machine) pickBudget(rt *rapid.T) *modelBudget {
	if len(m.model.budgets) == 0 {
		return nil
	}
	return m.model.budgets[rapid.SampledFrom(slices.Sorted(maps.Keys(m.model.budgets))).Draw(rt, "budget")]
}

func (m *machine) update(rt *rapid.T) {
	old := m.pickBudget(rt)
	if old == nil {
		return
	}
	next := old.budget
	recounts := true
	switch rapid.SampledFrom([]string{"limit", "rate", "scope", "metric", "schedule", "window", "end", "disable"}).Draw(rt, "what") {
	case "limit":
		next.Limit, recounts = next.Limit.Add(decimal.NewFromInt(rapid.Int64Range(1, 5000).Draw(rt, "more"))), false
	case "rate":
		if next.Metric != usage.Credits {
			return
		}
		next.CostPerCredit, recounts = decimal.New(rapid.Int64Range(0, 3000).Draw(rt, "rate"), -3), false
	case "scope":
		m.scoped(rt, &next)
	case "metric":
		m.measured(rt, &next)
	case "schedule":
		next.Schedule = schedules().Draw(rt, "schedule")
	case "window":
		m.windowed(rt, &next)
	case "end":
		m.ending(rt, &next)
	case "disable":
		next.Disabled, recounts = !next.Disabled, false
	}
	if recounts {
		same := old.budget.Metric == next.Metric && old.budget.Schedule == next.Schedule &&
			maps.Equal(old.budget.Scope, next.Scope) && cmp.Equal(old.budget.Except, next.Except) &&
			old.budget.StartsAt.Equal(next.StartsAt) && old.budget.EndsAt.Equal(next.EndsAt)
		recounts = !same
	}
	if recounts && onlyEnds(old.budget, next) {
		m.moveEnd(rt, old, next)
		return
	}
	updated, err := m.ledger.Update(m.ctx, old.budget.ID, func(b *budget.Budget) error { *b = next; return nil })
	if recounts && m.prunedAway(rt, next, err) {
		return
	}
	if err != nil {
		rt.Fatalf("update: %v", err)
	}
	if old.budget.Metric != next.Metric {
		old.rates = nil
		if next.CostPerCredit.IsPositive() {
			old.rates = []budget.Rate{{CostPerCredit: next.CostPerCredit}}
		}
	} else if !old.budget.CostPerCredit.Equal(next.CostPerCredit) {
		was := old.budget
		old.budget = next
		old.rates = append(old.rates, budget.Rate{From: m.model.newRate(old, m.now), CostPerCredit: next.CostPerCredit})
		old.budget = was
	}
	if recounts {
		old.countedFrom = next.Schedule.Bounds(m.now).Start
	}
	rehold := recounts || old.budget.Disabled != next.Disabled
	old.budget = updated
	if rehold {
		m.model.holdAgain(old, recounts)
	}
}

// ending draws when a budget ends.
func (m *machine) ending(rt *rapid.T, b *budget.Budget) {
	start := m.now.AddDate(0, 0, -30)
	if b.StartsAt.After(start) {
		start = b.StartsAt
	}
	b.EndsAt = start.Add(time.Duration(rapid.Int64Range(1, 60*24*3600).Draw(rt, "length")) * time.Second)
}

// onlyEnds reports whether a budget that has but one period ends at another time, and nothing else.
func onlyEnds(old, next budget.Budget) bool {
	return next.Schedule == period.Lifetime && old.Schedule == next.Schedule && old.Metric == next.Metric &&
		maps.Equal(old.Scope, next.Scope) && cmp.Equal(old.Except, next.Except) && old.StartsAt.Equal(next.StartsAt)
}

// moveEnd changes the end of a budget that has but one period: what lies between is counted or no longer, all else stays.
func (m *machine) moveEnd(rt *rapid.T, old *modelBudget, next budget.Budget) {
	updated, err := m.ledger.Update(m.ctx, old.budget.ID, func(b *budget.Budget) error { *b = next; return nil })
	gone := func(end time.Time) bool { return !end.IsZero() && end.Before(m.model.floor) }
	if must := gone(old.budget.EndsAt) || gone(next.EndsAt); must != errors.Is(err, budget.ErrPruned) {
		rt.Fatalf("moving the end from %v to %v with the floor at %v: %v", old.budget.EndsAt, next.EndsAt, m.model.floor, err)
	} else if must {
		return
	}
	if err != nil {
		rt.Fatalf("move the end: %v", err)
	}
	old.budget = updated
	m.model.holdAgain(old, false)
}

func (m *machine) delete(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
		return
	}
	if b := m.pickBudget(rt); b != nil {
		if err := m.ledger.Delete(m.ctx, b.budget.ID); err != nil {
			rt.Fatalf("delete: %v", err)
		}
		delete(m.model.budgets, b.budget.ID)
		for _, r := range m.model.reservations {
			delete(r.holds, b.budget.ID)
		}
	}
}

func (m *machine) adjust(rt *rapid.T) {
	b := m.pickBudget(rt)
	if b == nil {
		return
	}
	var value budget.Value
	for d, want := range b.budget.Scope {
		if want == budget.Each {
			if value == nil {
				value = budget.Value{}
			}
			value[d] = map[usage.Dimension]string{"tenant": "t1", "user": "u1", "api_key": "k1", "resource": "r1", "team": "team1"}[d]
		}
	}
	a := budget.Adjustment{
		ID: m.id("a"), Budget: b.budget.ID, Value: value, Reason: "test",
		Amount: decimal.NewFromInt(rapid.Int64Range(-500, 500).Filter(func(n int64) bool { return n != 0 }).Draw(rt, "amount")),
	}
	recorded, adjusted := m.model.used(b, b.budget.Schedule.Bounds(m.now))
	after := recorded[value.Key()].Add(adjusted[value.Key()]).Add(a.Amount)
	_, err := m.ledger.Adjust(m.ctx, a)
	if a.Amount.IsNegative() && after.IsNegative() {
		if !errors.Is(err, budget.ErrInvalid) {
			rt.Fatalf("an adjustment to below 0: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("adjust: %v", err)
	}
	if _, err := m.ledger.Adjust(m.ctx, a); err != nil {
		rt.Fatalf("the same adjustment again: %v", err)
	}
	b.adjustments = append(b.adjustments, modelAdjustment{metric: b.budget.Metric, value: value, amount: a.Amount, time: m.now})
}

func (m *machine) advance(rt *rapid.T) {
	seconds := rapid.OneOf(rapid.Int64Range(1, 600), rapid.Int64Range(0, 10*24*3600)).Draw(rt, "seconds")
	m.now = m.now.Add(time.Duration(seconds) * time.Second)
}

func (m *machine) prune(rt *rapid.T) {
	if rapid.IntRange(0, 5).Draw(rt, "really") > 0 {
		return
	}
	floor := m.now.Add(-time.Duration(rapid.IntRange(7*24, 30*24).Draw(rt, "hours")) * time.Hour).Truncate(time.Hour)
	if _, err := m.ledger.Prune(m.ctx, floor, nil); err != nil {
		rt.Fatalf("prune: %v", err)
	}
	if floor.After(m.model.floor) {
		m.model.floor = floor
	}
}

// check compares every figure.
func (m *machine) check(rt *rapid.T) {
	m.verify(rt)
	for _, id := range slices.Sorted(maps.Keys(m.model.budgets)) {
		m.checkBudget(rt, m.model.budgets[id])
	}
	m.checkTop(rt)
	m.checkReservations(rt)
}

func (m *machine) verify(rt *rapid.T) {
	found, err := m.ledger.Verify(m.ctx, nil)
	if err != nil {
		rt.Fatalf("verify: %v", err)
	}
	if len(found.Differences) > 0 {
		for _, d := range found.Differences {
			rt.Errorf("verify: counter %+v usage %+v %s: stored %d, should be %d", d.Counter, d.Usage, d.Field, d.Stored, d.Should)
		}
		rt.FailNow()
	}
}

func (m *machine) checkBudget(rt *rapid.T, b *modelBudget) {
	// The running period, and those of the newest events, which may be over or ahead, or from before the budget.
	instants := []time.Time{m.now}
	for _, e := range m.model.events[max(0, len(m.model.events)-3):] {
		instants = append(instants, e.event.Time)
	}
	for _, r := range m.model.reservations {
		if h, held := r.holds[b.budget.ID]; held {
			instants = append(instants, time.UnixMicro(h.start))
		}
	}
	for _, at := range instants {
		p := b.budget.Schedule.Bounds(at)
		recorded, adjusted := m.model.used(b, p)
		values := maps.Clone(recorded)
		maps.Copy(values, adjusted)
		for c := range m.model.holdsOf(b) {
			if c.start == p.Start.UnixMicro() {
				values[c.value] = decimal.Zero
			}
		}
		if len(b.budget.Scope.EachDimensions()) == 0 {
			values[""] = decimal.Zero
		}
		for key := range values {
			m.checkStatus(rt, b, key, at, recorded[key], adjusted[key])
		}
	}
}

func (m *machine) checkStatus(rt *rapid.T, b *modelBudget, key string, at time.Time, recorded, adjusted decimal.Decimal) {
	value, err := budget.ParseValue(key)
	if err != nil {
		rt.Fatal(err)
	}
	status, err := m.ledger.StatusAt(m.ctx, b.budget.ID, value, at)
	if errors.Is(err, budget.ErrPruned) && b.budget.Schedule.Bounds(at).Start.Before(m.model.floor) {
		return // of a period before the budget's own, whose events are gone
	}
	if err != nil {
		rt.Fatalf("status: %v", err)
	}
	if !status.Recorded.Equal(recorded) || !status.Adjusted.Equal(adjusted) || !status.Used.Equal(recorded.Add(adjusted)) {
		rt.Fatalf("budget %s (%s, %v, %s) value %q at %v: recorded %s, adjusted %s, used %s; the model has %s and %s",
			b.budget.ID, b.budget.Metric, b.budget.Schedule, b.budget.Scope.Shape(), key, at,
			status.Recorded, status.Adjusted, status.Used, recorded, adjusted)
	}
	m.checkHolds(rt, b, counterName{key, b.budget.Schedule.Bounds(at).Start.UnixMicro()}, status)
}

func (m *machine) checkTop(rt *rapid.T) {
	for _, d := range []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource} {
		want := make(map[string]usage.Totals)
		for _, e := range m.model.events {
			if key := e.event.Value(d); key != "" {
				sum, err := want[key].Add(e.left())
				if err != nil {
					rt.Fatal(err)
				}
				want[key] = sum
			}
		}
		groups, err := m.ledger.Top(m.ctx, budget.TopQuery{By: d})
		if err != nil {
			rt.Fatalf("top: %v", err)
		}
		got := make(map[string]usage.Totals)
		for _, g := range groups {
			got[g.Key] = g.Totals
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("usage by %s (-want +got):\n%s", d, diff)
		}
	}
}
