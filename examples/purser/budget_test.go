package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func TestABudgetIsMadeShownChangedAndDeleted(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		made := u.ok("budget", "create", "--json", "--name", "Acme", "--metric", "dollars", "--limit", "12.50",
			"--period", "monthly:15", "--zone", "Europe/Berlin", "--scope", "tenant=acme", "--scope", "user=@each",
			"--except", "user=root", "--enforcement", "soft", "--warning", "50", "--threshold", "75.5", "--threshold", "120",
			"--allow-resource", "gpt", "--min-hold", "0.01", "--starts-at", "2026-01-01", "--ends-at", "2030-01-01T12:00:00Z",
			"--owner", "finance", "--label", "plan=gold", "--metadata", `{"ticket": 4711}`, "--description", "for\nAcme").object()
		id := made["id"].(string)
		has(t, "the budget made", made, object{
			"name": "Acme", "description": "for\nAcme", "metric": "dollars", "limit": literal("12.5"),
			"schedule":        object{"period": "monthly", "time_zone": "Europe/Berlin", "start_day": literal("15")},
			"scope":           object{"tenant": "acme", "user": object{"each": true}},
			"except":          object{"user": []any{"root"}},
			"enforcement":     "soft",
			"warning_percent": literal("50"), "critical_percent": literal("90"),
			"extra_percents":    []any{literal("75.5"), literal("120")},
			"allowed_resources": []any{"gpt"},
			"min_hold":          literal("0.01"),
			"starts_at":         "2026-01-01T00:00:00Z", "ends_at": "2030-01-01T12:00:00Z",
			"owner": "finance", "labels": object{"plan": "gold"}, "metadata": object{"ticket": literal("4711")},
			"created_by": "tester", "enabled": true, "version": literal("1"),
		})
		if diff := cmp.Diff(made, u.ok("budget", "show", id, "--json").object()); diff != "" {
			t.Errorf("the budget as shown (-made +shown)\n%s", diff)
		}

		changed := u.ok("budget", "update", id, "--json", "--limit", "20", "--zone", "UTC", "--label", "", "--threshold", "", "--ends-at", "",
			"--enabled=false", "--actor", "boss", "--version", "1").object()
		has(t, "the budget changed", changed, object{
			"name": "Acme", "limit": literal("20"), "labels": object{}, "extra_percents": []any{}, "enabled": false, "ends_at": nil,
			"schedule": object{"period": "monthly", "time_zone": "UTC", "start_day": literal("15")}, "version": literal("2"),
		})
		u.run("budget", "update", id, "--limit", "30", "--version", "1").want(exitFailed).says("version 1 is not the current one, 2")
		has(t, "the budget with another period", u.ok("budget", "update", id, "--json", "--period", "daily", "--zone", "Asia/Kathmandu").object(),
			object{"schedule": object{"period": "daily", "time_zone": "Asia/Kathmandu"}})
		has(t, "the budget with a period of no zone", u.ok("budget", "update", id, "--json", "--period", "hourly").object(),
			object{"schedule": object{"period": "hourly", "time_zone": "Asia/Kathmandu"}})
		has(t, "the budget with a period of its own zone", u.ok("budget", "update", id, "--json", "--period", "weekly@UTC").object(),
			object{"schedule": object{"period": "weekly", "time_zone": "UTC", "week_start": "monday"}})

		has(t, "the deletion", u.ok("budget", "delete", id, "--json").object(), object{"deleted": id})
		u.run("budget", "show", id).want(exitFailed).says("not found")

		entries := u.ok("audit", "--target", id, "--by", "boss", "--json").list()
		if len(entries) != 1 {
			t.Fatalf("audit of the change by boss: %v, want one entry", entries)
		}
		has(t, "audit", entries[0], object{"action": "update_budget", "actor": "boss", "kind": "budget", "target": id, "tenant": "acme"})
		has(t, "audit before", entries[0]["before"].(object), object{"limit": literal("12.5"), "enabled": true})
		has(t, "audit after", entries[0]["after"].(object), object{"limit": literal("20"), "enabled": false})
	})
}

func TestBudgetsAreListedByWhatIsAskedFor(t *testing.T) {
	u := newUser(t)
	u.create("--name", "Acme", "--metric", "dollars", "--limit", "5", "--scope", "tenant=acme", "--owner", "ada")
	u.create("--name", "Each user", "--metric", "tokens", "--limit", "5", "--scope", "user=@each", "--label", "plan=gold")
	u.create("--name", "All", "--metric", "tokens", "--limit", "5", "--enabled=false")
	tests := map[string]struct {
		flags []string
		want  []string
	}{
		"all of them, newest first": {nil, []string{"All", "Each user", "Acme"}},
		"those on a metric":         {[]string{"--metric", "tokens"}, []string{"All", "Each user"}},
		"those of an owner":         {[]string{"--owner", "ada"}, []string{"Acme"}},
		"those of no owner":         {[]string{"--owner", ""}, []string{"All", "Each user"}},
		"those of a scope":          {[]string{"--scope", "tenant=acme"}, []string{"Acme"}},
		"those with a counter each": {[]string{"--scope", "user=@each"}, []string{"Each user"}},
		"those with a label":        {[]string{"--label", "plan=gold"}, []string{"Each user"}},
		"enabled ones":              {[]string{"--enabled"}, []string{"Each user", "Acme"}},
		"disabled ones":             {[]string{"--disabled"}, []string{"All"}},
		"none":                      {[]string{"--owner", "nobody"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, b := range u.ok(append([]string{"budget", "list", "--json"}, test.flags...)...).list() {
				got = append(got, b["name"].(string))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("names (-want +got)\n%s", diff)
			}
		})
	}
}

func TestMoreBudgetsAreListedThanAPageHas(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a hundred budgets")
	}
	u := newUser(t)
	ledger := budget.NewLedger(u.store(), nil)
	for range 101 {
		b := budget.Budget{Name: "One of many", Metric: usage.Tokens, Limit: decimal.NewFromInt(5)}
		if _, err := ledger.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(u.ok("budget", "list", "--json").list()); n != 101 {
		t.Errorf("%d budgets are listed, want 101", n)
	}
}
