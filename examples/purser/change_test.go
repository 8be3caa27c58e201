package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnAdjustmentCountsOnceAndIsAudited(t *testing.T) {
	u := spender(t, newUser(t))
	id := u.create("--name", "Each user", "--metric", "dollars", "--limit", "100", "--period", "lifetime", "--scope", "user=@each")
	adjust := []string{"adjust", id, "--amount", "-2.5", "--reason", "refund", "--value", "user=ada", "--id", "ticket-1", "--json"}
	for range 2 {
		statuses := u.ok(adjust...).list()
		has(t, "status after", statuses[0], object{"used": literal("10"), "recorded": literal("12.5"), "adjusted": literal("-2.5")})
	}
	adjust[3] = "-3"
	u.run(adjust...).want(exitFailed).says("conflict")
	u.run("adjust", id, "--amount", "-100", "--reason", "refund", "--value", "user=ada").want(exitUsage).
		says("purser: --amount: would take what is used below 0")
	u.run("adjust", id, "--amount", "1", "--reason", "r").want(exitUsage).says("purser: --value: must name the dimensions [user]")
	entries := u.ok("audit", "--action", "adjust_budget", "--json").list()
	if len(entries) != 1 || entries[0]["actor"] != "tester" || entries[0]["target"] != id {
		t.Errorf("audit %v, want one entry of tester about %s", entries, id)
	}
}

func TestAnAdjustmentIsOfThePeriodAskedFor(t *testing.T) {
	u := newUser(t)
	id := u.create("--name", "All", "--metric", "tokens", "--limit", "100", "--period", "lifetime")
	u.ok("adjust", id, "--amount", "5", "--reason", "from the old system", "--at", "2026-03-01")
	has(t, "status", u.ok("status", id, "--json").list()[0], object{"used": literal("5")})
	monthly := u.create("--name", "All", "--metric", "tokens", "--limit", "100")
	u.run("adjust", monthly, "--amount", "5", "--reason", "r", "--at", "2026-03-01").want(exitUsage).says("purser: --at: is in a period before")
}

func TestACorrectionTakesBackOnce(t *testing.T) {
	u := spender(t, newUser(t))
	correct := []string{"correct", "e2", "--tenant", "acme", "--input-tokens", "400", "--requests", "1", "--cost", "8", "--reason", "counted twice", "--id", "c1", "--json"}
	has(t, "correction", u.ok(correct...).object(), object{"id": "c1", "outcome": "recorded"})
	has(t, "correction again", u.ok(correct...).object(), object{"id": "c1", "outcome": "duplicate"})
	has(t, "usage", u.ok("top", "--by", "user", "--json").list()[0], object{
		"key": "ada", "input_tokens": literal("1300"), "total_tokens": literal("1600"), "requests": literal("1"), "cost": literal("4.5"),
	})
	u.run("correct", "e2", "--tenant", "acme", "--cost", "0.6", "--reason", "r").want(exitUsage).says("purser: --cost: is more than what is left")
	u.run("correct", "e9", "--tenant", "acme", "--cost", "1", "--reason", "r").want(exitFailed).says("not found")
}

func TestAlertsAreShownNewestFirst(t *testing.T) {
	u := newUser(t)
	id := u.create("--name", "Each user", "--metric", "tokens", "--limit", "10", "--period", "lifetime", "--scope", "user=@each")
	other := u.create("--name", "All", "--metric", "tokens", "--limit", "1000", "--period", "lifetime")
	u.ok("import", u.write("a.csv", "user,input_tokens\nada,8\n"))
	u.ok("import", u.write("b.csv", "user,input_tokens\nada,2\n"))
	var got [][]any
	for _, a := range u.ok("alerts", id, "--json").list() {
		if superseded, _ := a["superseded"].(bool); !superseded {
			got = append(got, []any{a["level"], a["threshold"], a["used"], a["scope"]})
		}
	}
	ada := object{"user": "ada"}
	want := [][]any{
		{"exceeded", literal("100"), literal("10"), ada},
		{"warning", literal("80"), literal("8"), ada},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts (-want +got)\n%s", diff)
	}
	if got := u.ok("alerts", other, "--json").list(); len(got) != 0 {
		t.Errorf("alerts of a budget that reached nothing: %v, want none", got)
	}
	if got := u.ok("alerts", "--limit", "1", "--json").list(); len(got) != 1 {
		t.Errorf("%d alerts, want 1", len(got))
	}
}

func TestVerifyNamesDifferencesAndRebuildMendsThem(t *testing.T) {
	u := spender(t, newUser(t))
	id := u.create("--name", "Acme", "--metric", "tokens", "--limit", "100", "--period", "lifetime", "--scope", "tenant=acme")
	has(t, "verification before", u.ok("verify", "--json").object(), object{"differences": []any{}})
	u.execute("UPDATE purser_counters SET recorded = recorded + 5")
	u.execute("UPDATE purser_usage SET requests = requests + 1 WHERE user_id = 'dan' AND grain = 2")

	found := u.run("verify", "--json").want(exitFailed).says("purser: there are differences; purser verify --rebuild mends them\n").object()
	differences := found["differences"].([]any)
	if len(differences) != 2 || found["checked"] == literal("0") {
		t.Fatalf("found %v, want two differences", found)
	}
	for _, d := range differences {
		d := d.(object)
		if counter, ok := d["counter"].(object); ok {
			has(t, "the counter", counter, object{"budget": id, "value": nil, "period_start": "0001-01-01T00:00:00Z"})
			has(t, "its difference", d, object{"field": "recorded", "stored": literal("2035"), "should": literal("2030")})
			continue
		}
		has(t, "the sum", d["usage"].(object), object{"grain": "day", "bucket": "2026-03-31T00:00:00Z", "tenant": "globex", "user": "dan", "resource": "opus"})
		has(t, "its difference", d, object{"field": "requests", "stored": literal("2"), "should": literal("1")})
	}
	u.run("verify").want(exitFailed)
	mended := u.ok("verify", "--rebuild", "--json").object()
	if diff := cmp.Diff(found, mended); diff != "" {
		t.Errorf("what was mended (-found +mended)\n%s", diff)
	}
	has(t, "verification after", u.ok("verify", "--json").object(), object{"differences": []any{}})
	has(t, "status", u.ok("status", id, "--json").list()[0], object{"used": literal("2030")})
}

// execute changes the user's SQLite file behind purser's back.
func (u user) execute(statement string) {
	u.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(u.dir, "purser.db"))
	if err != nil {
		u.t.Fatal(err)
	}
	defer db.Close()
	result, err := db.Exec(statement)
	if err != nil {
		u.t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		u.t.Fatalf("%s changed %d rows, error %v, want 1", statement, n, err)
	}
}

func TestMigrateMakesTheTables(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		if u.db != "" {
			u.run("status").want(exitFailed).says("schema")
		}
		for range 2 {
			has(t, "migration", u.ok("migrate", "--reporting-zone", "Europe/Berlin", "--json").object(), object{"up_to_date": true})
		}
		if got := strings.TrimSpace(u.ok("status", "--json").stdout); got != "[]" {
			t.Errorf("statuses %s, want []", got)
		}
	})
}
