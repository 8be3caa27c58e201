package ledgertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Refunds, late events, rate changes, licenses that come and go and events that are pruned, and after each of them every
// report against the model that computes it from what was sent.
func TestReportsEqualTheSumOfTheEvents(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		checks(t, soak.Count(t, "sequences of random operations", k.sequences/2, 100*k.sequences))
		rapid.Check(t, func(rt *rapid.T) {
			(&accountant{machine: newMachine(rt, t, k.open(t))}).run(rt)
		})
	})
}

// An accountant does to a ledger what reports are about.
type accountant struct {
	*machine
	licenses []*modelLicense // in the order in which they were made
}

type modelLicense struct {
	license budget.License
	credits *modelBudget
	money   *modelBudget // nil: there is none
}

func (a *accountant) run(rt *rapid.T) {
	rt.Repeat(map[string]func(*rapid.T){
		"record":  a.record,
		"at edge": a.recordAtEdge,
		"correct": a.correct,
		"license": a.createLicense,
		"change":  a.changeLicense,
		"advance": a.advance,
		"prune":   a.prune,
		"":        a.check,
	})
}

func zones() *rapid.Generator[*time.Location] {
	return rapid.SampledFrom([]*time.Location{
		time.UTC, zone("Europe/Berlin"), zone(reportingZone), zone("America/New_York"), zone("Australia/Lord_Howe"),
	})
}

// recordAtEdge records an event at the begin of a day or month of some zone, or a microsecond from it.
func (a *accountant) recordAtEdge(rt *rapid.T) {
	loc := zones().Draw(rt, "zone")
	bucket := rapid.SampledFrom([]usage.Bucket{usage.Day, usage.Month}).Draw(rt, "bucket")
	back := rapid.IntRange(0, 40).Draw(rt, "days back")
	edge := bucket.Bounds(a.now.AddDate(0, 0, -back), loc).Start
	edge = edge.Add(time.Duration(rapid.IntRange(-1, 1).Draw(rt, "microseconds")) * time.Microsecond)
	e := usage.Event{ID: a.id("e"), Time: edge, Subject: subjects().Draw(rt, "subject"), Amounts: amounts().Draw(rt, "amounts")}
	result, err := a.ledger.Record(a.ctx, e)
	if edge.Before(a.model.floor) {
		if !errors.Is(err, budget.ErrPruned) {
			rt.Fatalf("an event before the floor: %v", err)
		}
		return
	}
	if err != nil || result.Outcome != budget.Recorded {
		rt.Fatalf("record: %s: %v", result.Outcome, err)
	}
	totals, err := e.Totals()
	if err != nil {
		rt.Fatal(err)
	}
	a.model.events = append(a.model.events, &modelEvent{event: e, totals: totals})
}

func (a *accountant) createLicense(rt *rapid.T) {
	if len(a.licenses) >= 4 {
		return
	}
	x := budget.License{
		ID: a.id("license"), Tenant: fmt.Sprintf("t%d", rapid.IntRange(1, 3).Draw(rt, "tenant")),
		Inactive:      rapid.IntRange(0, 3).Draw(rt, "inactive") == 0,
		CreditsTotal:  optional(rt, "total", 0, 5000),
		CostPerCredit: optional(rt, "rate", 1, 3),
		MoneyBudget:   optional(rt, "money", 0, 50),
		StartsAt:      a.now.Add(-time.Duration(rapid.Int64Range(0, 20*24*3600).Draw(rt, "starts")) * time.Second),
	}
	if rapid.Bool().Draw(rt, "ends") {
		x.EndsAt = x.StartsAt.Add(time.Duration(rapid.Int64Range(1, 40*24*3600).Draw(rt, "length")) * time.Second)
	}
	_, err := a.ledger.CreateLicense(a.ctx, x)
	if x.StartsAt.Before(a.model.floor) {
		if !errors.Is(err, budget.ErrPruned) {
			rt.Fatalf("a license from before the floor: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("create license: %v", err)
	}
	made := &modelLicense{license: x, credits: modelOf(x, usage.Credits), money: moneyOf(x)}
	if x.CostPerCredit != nil {
		made.credits.rates = []budget.Rate{{CostPerCredit: *x.CostPerCredit}}
	}
	a.licenses = append(a.licenses, made)
}

func optional(rt *rapid.T, name string, least, most int64) *decimal.Decimal {
	if !rapid.Bool().Draw(rt, name+" given") {
		return nil
	}
	return new(decimal.NewFromInt(rapid.Int64Range(least, most).Draw(rt, name)))
}

// modelOf returns the budget that a license is, so far as it counts.
func modelOf(x budget.License, m usage.Metric) *modelBudget {
	return &modelBudget{budget: budget.Budget{
		Metric: m, Scope: budget.Scope{"tenant": budget.Selector(x.Tenant)}, StartsAt: x.StartsAt, EndsAt: x.EndsAt,
	}}
}

func moneyOf(x budget.License) *modelBudget {
	if x.MoneyBudget == nil || !x.MoneyBudget.IsPositive() {
		return nil
	}
	return modelOf(x, usage.Dollars)
}

func (a *accountant) changeLicense(rt *rapid.T) {
	if len(a.licenses) == 0 {
		return
	}
	old := rapid.SampledFrom(a.licenses).Draw(rt, "license")
	next := old.license
	next.CreditsUsed = a.creditsUsed(old)
	what := rapid.SampledFrom([]string{"rate", "used", "total", "money", "inactive", "ends"}).Draw(rt, "what")
	switch what {
	case "rate":
		next.CostPerCredit = optional(rt, "rate", 1, 3)
	case "used":
		next.CreditsUsed = decimal.New(rapid.Int64Range(0, 9_000_000_000).Draw(rt, "used"), -6)
	case "total":
		next.CreditsTotal = optional(rt, "total", 0, 5000)
	case "money":
		next.MoneyBudget = optional(rt, "money", 0, 50)
	case "inactive":
		next.Inactive = !next.Inactive
	case "ends":
		next.EndsAt = next.StartsAt.Add(time.Duration(rapid.Int64Range(1, 60*24*3600).Draw(rt, "length")) * time.Second)
		next.CreditsUsed = decimal.Zero // what it comes to is the model's to say
	}
	_, err := a.ledger.UpdateLicense(a.ctx, old.license.ID, func(x *budget.License) error {
		next.CreatedAt, next.UpdatedAt = x.CreatedAt, x.UpdatedAt
		if what == "ends" {
			next.CreditsUsed = x.CreditsUsed
		}
		*x = next
		return nil
	})
	begun := old.money == nil && moneyOf(next) != nil
	if begun && next.StartsAt.Before(a.model.floor) {
		if !errors.Is(err, budget.ErrPruned) {
			rt.Fatalf("money of a license from before the floor: %v", err)
		}
		return
	}
	if what == "ends" && (endOf(old.license).Before(a.model.floor) || endOf(next).Before(a.model.floor)) && !next.EndsAt.Equal(old.license.EndsAt) {
		if !errors.Is(err, budget.ErrPruned) {
			rt.Fatalf("an end from or to before the floor: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("change license: %v", err)
	}
	if what == "ends" {
		old.license, old.credits.budget.EndsAt = next, next.EndsAt
		old.money = moneyOf(next)
		return
	}
	if what == "rate" && !sameDecimal(old.license.CostPerCredit, next.CostPerCredit) {
		rate := budget.Rate{From: a.model.newRate(old.credits, a.now)}
		if next.CostPerCredit != nil {
			rate.CostPerCredit = *next.CostPerCredit
		}
		old.credits.rates = append(old.credits.rates, rate)
	}
	if difference := next.CreditsUsed.Sub(a.creditsUsed(old)); !difference.IsZero() {
		old.credits.adjustments = append(old.credits.adjustments, modelAdjustment{metric: usage.Credits, amount: difference, time: a.now})
	}
	old.license, old.money = next, moneyOf(next)
}

func endOf(x budget.License) time.Time {
	if x.EndsAt.IsZero() {
		return usage.EndTime
	}
	return x.EndsAt
}

func sameDecimal(a, b *decimal.Decimal) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func (a *accountant) creditsUsed(x *modelLicense) decimal.Decimal { return a.usedOf(x.credits) }

func (a *accountant) usedOf(b *modelBudget) decimal.Decimal {
	recorded, adjusted := a.model.used(b, period.Lifetime.Bounds(a.now))
	return recorded[""].Add(adjusted[""])
}

func (a *accountant) check(rt *rapid.T) {
	a.verify(rt)
	a.checkGroups(rt)
	a.checkMonths(rt)
	a.checkAccounts(rt)
}

// same compares instants as instants and decimals by their value.
var same = cmp.Options{
	cmp.Comparer(func(a, b decimal.Decimal) bool { return a.Equal(b) }),
	cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0),
}

// unmodeled are the times of making and changing a license.
var unmodeled = cmpopts.IgnoreFields(budget.License{}, "CreatedAt", "UpdatedAt")

func (a *accountant) checkGroups(rt *rapid.T) {
	q := budget.GroupQuery{Span: a.span(rt)}
	for _, d := range []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource} {
		if rapid.Bool().Draw(rt, "by "+string(d)) {
			q.By = append(q.By, d)
		}
	}
	if rapid.Bool().Draw(rt, "where") {
		q.Where = map[usage.Dimension]string{"tenant": names("t", 2).Draw(rt, "tenant"), "user": names("u", 2).Draw(rt, "user")}
	}
	if rapid.Bool().Draw(rt, "buckets") {
		q.Bucket = rapid.SampledFrom([]usage.Bucket{usage.Day, usage.Week, usage.Month}).Draw(rt, "bucket")
		q.Zone = zones().Draw(rt, "zone")
	}
	var got []usage.Line
	for line, err := range a.ledger.Groups(a.ctx, q) {
		if errors.Is(err, budget.ErrPruned) && a.cutsPruned(q.Span) {
			return
		}
		if err != nil {
			rt.Fatalf("groups: %v", err)
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(a.lines(q), got, same); diff != "" {
		rt.Fatalf("groups of %+v (-want +got):\n%s", q, diff)
	}
}

// span is some time about now, which begins and ends at any second, or the zero one.
func (a *accountant) span(rt *rapid.T) period.Bounds {
	if rapid.Bool().Draw(rt, "all time") {
		return period.Bounds{}
	}
	start := a.now.Add(-time.Duration(rapid.Int64Range(0, 60*24*3600).Draw(rt, "from")) * time.Second)
	end := start.Add(time.Duration(rapid.Int64Range(1, 70*24*3600).Draw(rt, "to")) * time.Second)
	if rapid.Bool().Draw(rt, "whole quarter hours") {
		start, end = start.Truncate(15*time.Minute), end.Truncate(15*time.Minute).Add(15*time.Minute)
	}
	return period.Bounds{Start: start, End: end}
}

// cutsPruned reports whether a span begins or ends inside a quarter hour that was pruned.
func (a *accountant) cutsPruned(span period.Bounds) bool {
	cuts := func(t time.Time) bool {
		return t.Before(a.model.floor) && !t.Equal(t.Truncate(15*time.Minute))
	}
	return cuts(span.Start) || cuts(span.End)
}

// lines computes what Groups is to yield.
func (a *accountant) lines(q budget.GroupQuery) []usage.Line {
	if q.Span.IsZero() {
		q.Span = period.Bounds{Start: usage.MinTime, End: usage.EndTime}
	}
	sums := make(map[string]usage.Line)
	for _, e := range a.model.events {
		at, subject := e.event.Time, e.event.Subject
		chosen := q.Span.Contains(at)
		for d, value := range q.Where {
			chosen = chosen && subject.Value(d) == value
		}
		if !chosen {
			continue
		}
		line := usage.Line{Bounds: q.Span}
		if q.Bucket != "" {
			line.Bounds = q.Bucket.Bounds(at, q.Zone).Intersect(q.Span)
		}
		key := line.Start.UTC().Format(time.RFC3339Nano)
		for _, d := range q.By {
			key += "\x00" + subject.Value(d)
			set(&line.Subject, d, subject.Value(d))
		}
		sum, err := sums[key].Add(e.left())
		if err != nil {
			panic(err)
		}
		line.Totals = sum
		sums[key] = line
	}
	var lines []usage.Line
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		lines = append(lines, sums[key])
	}
	slices.SortStableFunc(lines, func(a, b usage.Line) int { return a.Start.Compare(b.Start) })
	return lines
}

func set(s *usage.Subject, d usage.Dimension, value string) {
	switch d {
	case usage.Tenant:
		s.Tenant = value
	case usage.User:
		s.User = value
	case usage.APIKey:
		s.APIKey = value
	case usage.Resource:
		s.Resource = value
	}
}

func (a *accountant) checkMonths(rt *rapid.T) {
	tenant := fmt.Sprintf("t%d", rapid.IntRange(1, 4).Draw(rt, "tenant"))
	loc := zones().Draw(rt, "zone")
	months, err := a.ledger.Months(a.ctx, tenant, loc)
	current, currentErr := a.ledger.CurrentMonth(a.ctx, tenant, loc)
	if a.tenants()[tenant] == nil {
		if !errors.Is(err, budget.ErrNotFound) || !errors.Is(currentErr, budget.ErrNotFound) {
			rt.Fatalf("months of an unknown tenant: %v, %v", err, currentErr)
		}
		return
	}
	if err := errors.Join(err, currentErr); err != nil {
		rt.Fatal(err)
	}
	var want []usage.Point
	running := usage.Point{Bounds: usage.Month.Bounds(a.now, loc)}
	q := budget.GroupQuery{Where: map[usage.Dimension]string{"tenant": tenant}, Bucket: usage.Month, Zone: loc}
	for _, line := range slices.Backward(a.lines(q)) {
		point := usage.Point{Bounds: line.Bounds, Totals: line.Totals}
		want = append(want, point)
		if point.Start.Equal(running.Start) {
			running = point
		}
	}
	if diff := cmp.Diff(want, months, same); diff != "" {
		rt.Fatalf("months of %s in %s (-want +got):\n%s", tenant, loc, diff)
	}
	if diff := cmp.Diff(running, current.Month, same); diff != "" {
		rt.Fatalf("the current month of %s in %s (-want +got):\n%s", tenant, loc, diff)
	}
	if diff := cmp.Diff(a.account(tenant), current.Account, same, unmodeled); diff != "" {
		rt.Fatalf("how %s stands (-want +got):\n%s", tenant, diff)
	}
}

// tenants computes what each tenant used that used something or has a license.
func (a *accountant) tenants() map[string]*usage.Totals {
	found := make(map[string]*usage.Totals)
	for _, x := range a.licenses {
		found[x.license.Tenant] = &usage.Totals{}
	}
	q := budget.GroupQuery{By: []usage.Dimension{usage.Tenant}}
	for _, line := range a.lines(q) {
		if line.Tenant != "" {
			found[line.Tenant] = &line.Totals
		}
	}
	return found
}

// account computes how a tenant stands.
func (a *accountant) account(tenant string) budget.Account {
	account := budget.Account{Tenant: tenant, Name: tenant, Usage: *a.tenants()[tenant]}
	var counts *modelLicense
	for _, x := range a.licenses {
		if x.license.Tenant == tenant && !x.license.Inactive {
			counts = x
		}
	}
	if counts == nil {
		return account
	}
	x := counts.license
	x.CreditsUsed = a.creditsUsed(counts)
	account.License = &x
	hundred := decimal.NewFromInt(100)
	percent := func(used, of decimal.Decimal) *decimal.Decimal {
		whole, _ := used.Mul(hundred).Shift(9).QuoRem(of, 0)
		return new(whole.Shift(-9))
	}
	if x.CreditsTotal != nil && x.CreditsTotal.IsPositive() {
		account.CreditsRemaining = new(decimal.Max(decimal.Zero, x.CreditsTotal.Sub(x.CreditsUsed)))
		account.CreditsPercent = percent(x.CreditsUsed, *x.CreditsTotal)
	}
	if counts.money != nil {
		used := a.usedOf(counts.money)
		account.MoneyUsed, account.MoneyPercent = &used, percent(used, *x.MoneyBudget)
	}
	return account
}

func (a *accountant) checkAccounts(rt *rapid.T) {
	var want, got []budget.Account
	for tenant := range a.tenants() {
		want = append(want, a.account(tenant))
	}
	slices.SortFunc(want, func(a, b budget.Account) int { return strings.Compare(a.Tenant, b.Tenant) })
	for account, err := range a.ledger.Overview(a.ctx) {
		if err != nil {
			rt.Fatalf("overview: %v", err)
		}
		got = append(got, account)
	}
	if diff := cmp.Diff(want, got, same, unmodeled); diff != "" {
		rt.Fatalf("overview (-want +got):\n%s", diff)
	}
}
