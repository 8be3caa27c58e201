package budget_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func collect[T any](t testing.TB, items iter.Seq2[T, error]) (all []T) {
	t.Helper()
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}

// lines returns groups as texts: start, dimensions and input tokens.
func (f *fixture) lines(q budget.GroupQuery) (texts []string) {
	f.t.Helper()
	for _, line := range collect(f.t, f.Groups(f.t.Context(), q)) {
		texts = append(texts, fmt.Sprintf("%s %s/%s %d", line.Start.Format(time.DateOnly), line.Tenant, line.User, line.InputTokens))
	}
	return texts
}

func TestGroups(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.record(
		of("acme", by("ann", on("2026-01-31T23:30:00Z", tokens("1", 1)))),
		of("acme", by("bob", on("2026-02-01T00:30:00Z", tokens("2", 2)))),
		of("acme", by("ann", on("2026-03-10T11:00:00Z", tokens("3", 4)))),
		of("zoo", on("2026-03-10T11:59:59.999999Z", tokens("4", 8))),
		by("ann", on("2026-03-10T12:00:00Z", tokens("5", 16))),
	)
	tenants, both := []usage.Dimension{usage.Tenant}, []usage.Dimension{usage.User, usage.Tenant}
	march := period.Bounds{Start: at("2026-03-01T00:00:00Z"), End: at("2026-03-10T12:00:00Z")}
	for _, tt := range []struct {
		rule string
		q    budget.GroupQuery
		want []string
	}{
		{"by nothing is one sum of all", budget.GroupQuery{}, []string{"1980-01-01 / 31"}},
		{
			"usage without a value is a line of its own",
			budget.GroupQuery{By: tenants},
			[]string{"1980-01-01 / 16", "1980-01-01 acme/ 7", "1980-01-01 zoo/ 8"},
		},
		{
			"lines are in the order of the dimensions",
			budget.GroupQuery{By: both},
			[]string{"1980-01-01 zoo/ 8", "1980-01-01 /ann 16", "1980-01-01 acme/ann 5", "1980-01-01 acme/bob 2"},
		},
		{
			"only with these values",
			budget.GroupQuery{By: both, Where: map[usage.Dimension]string{usage.User: "ann"}},
			[]string{"1980-01-01 /ann 16", "1980-01-01 acme/ann 5"},
		},
		{"a span's start is inclusive, its end is not", budget.GroupQuery{Span: march}, []string{"2026-03-01 / 12"}},
		{
			"months of the reporting zone",
			budget.GroupQuery{Bucket: usage.Month},
			[]string{"2026-01-01 / 1", "2026-02-01 / 2", "2026-03-01 / 28"},
		},
		{
			"months of a zone",
			budget.GroupQuery{Bucket: usage.Month, Zone: location(t, "Europe/Berlin"), By: tenants},
			[]string{"2026-01-31 acme/ 3", "2026-02-28 / 16", "2026-02-28 acme/ 4", "2026-02-28 zoo/ 8"},
		},
		{
			"a bucket is cut by the span",
			budget.GroupQuery{Bucket: usage.Month, Span: period.Bounds{Start: at("2026-02-01T00:30:00Z"), End: march.End}},
			[]string{"2026-02-01 / 2", "2026-03-01 / 12"},
		},
		{
			"a week belongs to two months once",
			budget.GroupQuery{Bucket: usage.Week, Span: period.Bounds{Start: at("2026-01-26T00:00:00Z"), End: at("2026-02-09T00:00:00Z")}},
			[]string{"2026-01-26 / 3"},
		},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, f.lines(tt.q)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvalidGroups(t *testing.T) {
	t.Parallel()
	q := budget.GroupQuery{
		By: []usage.Dimension{usage.User, usage.User}, Where: map[usage.Dimension]string{"team": "red"},
		Span: period.Bounds{Start: noon, End: noon}, Bucket: "century", Zone: time.Local,
	}
	for _, err := range open(t).Groups(t.Context(), q) {
		if diff := cmp.Diff([]string{"by", "where", "span", "bucket", "time_zone"}, fields(err)); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	}
}

// More lines and accounts than are read at a time.
func TestReportsReadInPages(t *testing.T) {
	t.Parallel()
	f := open(t)
	const n = 5003
	var events []usage.Event
	for i := range n {
		id := fmt.Sprintf("%05d", i)
		events = append(events, of("t"+id, by(id, on("2026-02-10T12:00:00Z", tokens(id, 1)))))
	}
	f.record(events...)
	f.putTenant(budget.Tenant{ID: "t00500a"})
	f.putTenant(budget.Tenant{ID: "u"})
	q := budget.GroupQuery{By: []usage.Dimension{usage.User, usage.Tenant}, Bucket: usage.Month}
	lines := collect(t, f.Groups(t.Context(), q))
	users := make(map[string]bool)
	for _, line := range lines {
		users[line.User] = true
	}
	accounts := collect(t, f.Overview(t.Context()))
	ids := make([]string, len(accounts))
	for i, a := range accounts {
		ids[i] = a.Tenant
	}
	if len(users) != n || len(lines) != n || len(ids) != n+2 || !slices.IsSorted(ids) || len(slices.Compact(ids)) != n+2 {
		t.Errorf("%d lines of %d users and %d accounts, in order, want %d, %[4]d and %d", len(lines), len(users), len(ids), n, n+2)
	}
	for line, err := range f.Groups(t.Context(), q) {
		if err != nil || line.Requests != 1 {
			t.Errorf("the first line is %+v: %v", line, err)
		}
		break // whoever has seen enough may go
	}
}

func TestMonths(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.record(of("acme", on("2026-01-31T23:30:00Z", tokens("1", 1))), of("acme", tokens("2", 2)), of("zoo", tokens("3", 4)))
	f.putTenant(budget.Tenant{ID: "new"})
	months := func(tenant string, zone *time.Location) (texts []string) {
		t.Helper()
		points, err := f.Months(t.Context(), tenant, zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range points {
			texts = append(texts, fmt.Sprintf("%s to %s: %d", p.Start.Format(time.RFC3339), p.End.Format(time.RFC3339), p.InputTokens))
		}
		return texts
	}
	if diff := cmp.Diff([]string{
		"2026-03-01T00:00:00Z to 2026-04-01T00:00:00Z: 2", "2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z: 1",
	}, months("acme", nil)); diff != "" {
		t.Errorf("months with usage, the newest first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"2026-02-28T23:00:00Z to 2026-03-31T22:00:00Z: 2", "2026-01-31T23:00:00Z to 2026-02-28T23:00:00Z: 1",
	}, months("acme", location(t, "Europe/Berlin"))); diff != "" {
		t.Errorf("months of Berlin (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string(nil), months("new", nil)); diff != "" {
		t.Errorf("a tenant without usage has none (-want +got):\n%s", diff)
	}
	_, err := f.Months(t.Context(), "unknown", nil)
	is(t, err, budget.ErrNotFound)
	_, err = f.Months(t.Context(), "", nil)
	is(t, err, budget.ErrInvalid)
	_, err = f.CurrentMonth(t.Context(), "unknown", nil)
	is(t, err, budget.ErrNotFound)
	_, err = f.CurrentMonth(t.Context(), "acme", time.Local)
	is(t, err, budget.ErrInvalid)
}

// asJSON returns v as JSON.
func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.putTenant(budget.Tenant{ID: "acme", Name: "Acme", Slug: "acme"})
	f.putTenant(budget.Tenant{ID: "new", Name: "New"})
	f.spend("before", "100")
	f.now = f.now.Add(time.Hour)
	f.createLicense(license(func(x *budget.License) {
		x.ID, x.CreditsTotal, x.CreditsUsed, x.MoneyBudget = "l", new(dec("100.9")), dec("5"), new(dec("0.3"))
	}))
	f.spend("within", "0.2")
	f.record(of("unlisted", tokens("u", 7)), tokens("nobody's", 9))
	f.createLicense(license(func(x *budget.License) {
		x.ID, x.Tenant, x.CreditsTotal, x.CostPerCredit, x.MoneyBudget = "z", "zero", new(dec("0")), nil, new(dec("0"))
	}))
	const (
		times = `"created_at":"2026-03-10T13:00:00Z","updated_at":"2026-03-10T13:00:00Z"}`
		none  = `"usage":{"input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":0,"requests":0,"runs":0,"cost":0}`
	)
	want := []string{
		`{"tenant":"acme","name":"Acme","slug":"acme","usage":{"input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":0,"requests":2,"runs":0,"cost":100.2},` +
			`"license":{"id":"l","tenant":"acme","active":true,"credits_total":100.9,"cost_per_credit":0.01,"token_budget_usd":0.3,"budget_warning_percent":null,` +
			`"starts_at":"2026-03-10T13:00:00Z","ends_at":null,"credits_used":25,` + times + `,` +
			`"credits_remaining":75.9,"credits_percent_used":24.777006937,"budget_used_usd":0.2,"budget_percent_used":66.666666666}`,
		`{"tenant":"new","name":"New","slug":null,` + none + `,"license":null,` +
			`"credits_remaining":null,"credits_percent_used":null,"budget_used_usd":null,"budget_percent_used":null}`,
		`{"tenant":"unlisted","name":"unlisted","slug":null,"usage":{"input_tokens":7,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":7,"requests":1,"runs":0,"cost":0},"license":null,` +
			`"credits_remaining":null,"credits_percent_used":null,"budget_used_usd":null,"budget_percent_used":null}`,
		`{"tenant":"zero","name":"zero","slug":null,` + none + `,` +
			`"license":{"id":"z","tenant":"zero","active":true,"credits_total":0,"cost_per_credit":null,"token_budget_usd":0,"budget_warning_percent":null,` +
			`"starts_at":"2026-03-10T13:00:00Z","ends_at":null,"credits_used":0,` + times + `,` +
			`"credits_remaining":null,"credits_percent_used":null,"budget_used_usd":null,"budget_percent_used":null}`,
	}
	var got []string
	for _, a := range collect(t, f.Overview(t.Context())) {
		got = append(got, asJSON(t, a))
		current, err := f.CurrentMonth(t.Context(), a.Tenant, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asJSON(t, a), asJSON(t, current.Account)); diff != "" {
			t.Errorf("the account of one tenant is that of the overview (-overview +current):\n%s", diff)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
}

// What is pruned is in no report missing, also not in one of a zone whose days are not those of the sums.
func TestReportsStayWhenEventsArePruned(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.now = at("2026-01-01T00:00:00Z")
	l := f.createLicense(license()).ID
	for i := range 60 {
		f.now = f.now.Add(29 * time.Hour)
		f.spend(fmt.Sprint("e", i), "0.012345678")
	}
	reports := func() string {
		t.Helper()
		months, err := f.Months(t.Context(), "acme", location(t, "Asia/Kathmandu"))
		if err != nil {
			t.Fatal(err)
		}
		current, err := f.CurrentMonth(t.Context(), "acme", nil)
		if err != nil {
			t.Fatal(err)
		}
		days := collect(t, f.Groups(t.Context(), budget.GroupQuery{Bucket: usage.Day, By: []usage.Dimension{usage.User}}))
		return asJSON(t, []any{collect(t, f.Overview(t.Context())), months, current, days})
	}
	before := reports()
	deleted, err := f.Prune(t.Context(), f.now.AddDate(0, 0, -8), nil)
	if err != nil || deleted < 40 {
		t.Fatalf("%d events are pruned: %v", deleted, err)
	}
	if diff := cmp.Diff(before, reports()); diff != "" {
		t.Errorf("reports (-before +after):\n%s", diff)
	}
	f.verified()
	f.updateLicense(l, func(x *budget.License) { x.CostPerCredit, x.Inactive = new(dec("7")), true })
	before = reports()
	f.updateLicense(l, func(x *budget.License) { x.EndsAt = f.now.AddDate(1, 0, 0) })
	f.updateLicense(l, func(x *budget.License) { x.EndsAt = f.now.AddDate(0, 0, -2) })
	f.updateLicense(l, func(x *budget.License) { x.EndsAt = time.Time{} })
	if diff := cmp.Diff(before, reports()); diff != "" {
		t.Errorf("a license's end is moved there and back (-before +after):\n%s", diff)
	}
	f.verified()
	for _, fn := range []func(*budget.License){
		func(x *budget.License) { x.EndsAt = f.now.AddDate(0, 0, -20) },
		func(x *budget.License) { x.StartsAt = f.now.AddDate(0, 0, -20) },
	} {
		_, err = f.UpdateLicense(t.Context(), l, func(x *budget.License) error { fn(x); return nil })
		is(t, err, budget.ErrPruned)
	}
}

func TestWhatRemainsIsNotBelow0(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.createLicense(license(func(x *budget.License) { x.CreditsUsed = dec("1500") }))
	a := collect(t, f.Overview(t.Context()))[0]
	if !a.CreditsRemaining.IsZero() || !a.CreditsPercent.Equal(dec("150")) {
		t.Errorf("of 1000 credits 1500 are used: %s remain, %s%% are used", a.CreditsRemaining, a.CreditsPercent)
	}
}
