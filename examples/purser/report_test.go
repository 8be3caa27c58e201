package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// licensed has two months of usage of acme and of other, and a license of acme's.
func licensed(t *testing.T, u user) user {
	t.Helper()
	u.t = t
	u.ok("tenant", "put", "acme", "--name", "Acme Inc.", "--slug", "acme")
	u.ok("import", u.write("usage.csv", `id,timestamp,tenant,user,resource,input_tokens,output_tokens,cost
e1,2026-01-31T23:30:00Z,acme,ada,model-a,1000,200,12.5
e2,2026-02-10T12:00:00Z,acme,=bob,model-b,500,0,0.25
e3,2026-02-10T12:00:00Z,other,,model-a,7,7,1
`))
	u.ok("license", "create", "--id", "lic", "--tenant", "acme", "--credits", "2000", "--cost-per-credit", "0.01", "--money", "10",
		"--starts-at", "2026-01-01", "--credits-used", "1500")
	return u
}

func TestLicensesAreMadeChangedAndShown(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		licensed(t, u)
		has(t, "license", u.ok("license", "show", "lic", "--json").object(), object{
			"id": "lic", "tenant": "acme", "active": true, "credits_total": literal("2000"), "cost_per_credit": literal("0.01"),
			"token_budget_usd": literal("10"), "budget_warning_percent": nil, "credits_used": literal("1500"),
			"starts_at": "2026-01-01T00:00:00Z", "ends_at": nil,
		})
		u.ok("license", "create", "--id", "another", "--tenant", "other", "--money", "5")
		if all := u.ok("license", "list", "--json").list(); len(all) != 2 || all[0]["id"] != "lic" || all[1]["id"] != "another" {
			t.Errorf("all licenses are %v", all)
		}
		if text := u.ok("license", "list", "--tenant", "acme").stdout; !strings.Contains(text, "\nlic  ") || strings.Contains(text, "another") {
			t.Errorf("acme's licenses are\n%s", text)
		}
		changed := u.ok("license", "update", "lic", "--warning", "50", "--credits", "", "--inactive", "--json").object()
		has(t, "changed", changed, object{
			"active": false, "credits_total": nil, "cost_per_credit": literal("0.01"), "budget_warning_percent": literal("50"),
		})
		has(t, "tenant", u.ok("tenant", "show", "acme", "--json").object(), object{"id": "acme", "name": "Acme Inc.", "slug": "acme"})
		u.ok("tenant", "put", "acme", "--name", "Acme")
		has(t, "renamed", u.ok("tenant", "list", "--json").list()[0], object{"name": "Acme", "slug": "acme"})
		entries := u.ok("audit", "--target", "lic", "--json").list()
		if len(entries) != 2 || entries[0]["action"] != "update_license" || entries[1]["action"] != "create_license" || entries[0]["actor"] != "tester" {
			t.Errorf("audit: %v", entries)
		}
		u.run("license", "show", "none").want(exitFailed).says("not found")
		u.run("budget", "delete", "lic.credits").want(exitUsage).says(`is that of a budget of the license "lic"`)
		u.ok("verify")
	})
}

func TestReportsShowWhoUsedWhat(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		licensed(t, u)
		overview := u.ok("report", "overview", "--json").list()
		if len(overview) != 2 {
			t.Fatalf("overview: %v", overview)
		}
		has(t, "acme", overview[0], object{
			"tenant": "acme", "name": "Acme Inc.", "slug": "acme", "credits_remaining": literal("500"), "credits_percent_used": literal("75"),
			"budget_used_usd": literal("12.75"), "budget_percent_used": literal("127.5"),
		})
		has(t, "other", overview[1], object{"tenant": "other", "name": "other", "slug": nil, "license": nil, "credits_remaining": nil})

		months := u.ok("report", "months", "acme", "--json").list()
		if len(months) != 2 {
			t.Fatalf("months: %v", months)
		}
		has(t, "the newest month", months[0], object{"start": "2026-02-01T00:00:00Z", "cost": literal("0.25")})
		berlin := u.ok("report", "months", "acme", "--zone", "Europe/Berlin", "--json").list()
		if len(berlin) != 1 || berlin[0]["start"] != "2026-01-31T23:00:00Z" {
			t.Errorf("months of Berlin: %v", berlin)
		}
		u.run("report", "months", "nobody").want(exitFailed).says("not found")
		u.run("report", "current", "nobody").want(exitFailed).says("not found")
		has(t, "current", u.ok("report", "current", "acme", "--json").object()["account"].(object), object{"tenant": "acme", "credits_remaining": literal("500")})

		groups := u.ok("report", "groups", "--by", "resource", "--per", "month", "--where", "tenant=acme", "--json").list()
		var got [][2]any
		for _, g := range groups {
			got = append(got, [2]any{g["start"], g["resource"]})
		}
		if diff := cmp.Diff([][2]any{{"2026-01-01T00:00:00Z", "model-a"}, {"2026-02-01T00:00:00Z", "model-b"}}, got); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
		top := u.ok("top", "--by", "user", "--from", "2026-02-01", "--zone", "Europe/Berlin", "--json").list()
		if len(top) != 2 || top[0]["key"] != "ada" {
			t.Errorf("top since the begin of February in Berlin: %v", top)
		}
	})
}

func TestReportsAreDrawn(t *testing.T) {
	u := licensed(t, newUser(t))
	for args, want := range map[string]string{
		"report overview": `
tenant  name       credits used     of                    percent  money $  of                    percent  cost $  requests  runs  tokens in  tokens out
acme    Acme Inc.         1,500  2,000  ████████████░░░░   75.0 %    12.75  10  ████████████████  127.5 %   12.75         2     0      1,500         200
other   other                                                                                                   1         1     0          7           7
`,
		"report months acme": `
month    cost $                        requests  runs  tokens in  tokens out  cache made  cache read
2026-02    0.25  ░░░░░░░░░░░░░░░░░░░░         1     0        500           0           0           0
2026-01    12.5  ████████████████████         1     0      1,000         200           0           0
`,
		"report groups --by tenant": `
tenant  cost $                requests  runs  tokens in  tokens out  cache made  cache read
acme     12.75  ████████████         2     0      1,500         200           0           0
other        1  ░░░░░░░░░░░░         1     0          7           7           0           0
`,
		"tenant list": `
id    name       slug  licenses
acme  Acme Inc.  acme         1
`,
	} {
		var lines []string
		for _, line := range strings.Split(u.ok(strings.Fields(args)...).stdout, "\n") {
			if !strings.HasPrefix(line, "─") {
				lines = append(lines, strings.TrimRight(line, " "))
			}
		}
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), strings.Join(lines, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", args, diff)
		}
	}
	current := u.ok("report", "current", "acme").stdout
	for _, line := range []string{
		"credits            1,500 of 2,000  ████████████░░░░  75.0 %\n", "money $            12.75 of 10  ████████████████  127.5 %\n",
	} {
		if !strings.Contains(current, line) {
			t.Errorf("current is\n%swant %q in it", current, line)
		}
	}
}

func TestUsageIsExported(t *testing.T) {
	u := licensed(t, newUser(t))
	const january, february = "2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,", "2026-02-01T00:00:00Z,2026-03-01T00:00:00Z,"
	want := "start,end,tenant,user,api_key,resource,input_tokens,output_tokens,cache_creation_tokens,cache_read_tokens,total_tokens,requests,runs,cost\n" +
		january + "acme,ada,,model-a,1000,200,0,0,1200,1,0,12.5\n" +
		february + "acme,'=bob,,model-b,500,0,0,0,500,1,0,0.25\n" +
		february + "other,,,model-a,7,7,0,0,14,1,0,1\n"
	if diff := cmp.Diff(want, u.ok("export").stdout); diff != "" {
		t.Errorf("export (-want +got):\n%s", diff)
	}
	if d := u.ok("export", "--out", "usage.csv.out"); d.stdout != "" {
		t.Errorf("stdout is %q, want nothing", d.stdout)
	}
	written, err := os.ReadFile(filepath.Join(u.dir, "usage.csv.out"))
	if err != nil || string(written) != want {
		t.Errorf("the file has %q: %v", written, err)
	}
	u.run("export", "--out", "usage.csv.out").want(exitFailed).says("file exists")
	lines := strings.Split(strings.TrimSpace(u.ok("export", "--format", "jsonl", "--by", "tenant", "--from", "2026-02-01").stdout), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"tenant":"acme"`) || !strings.Contains(lines[0], `"cost":0.25`) {
		t.Errorf("JSON lines: %q", lines)
	}
	focus := u.ok("export", "--format", "focus", "--zone", "Europe/Berlin", "--provider", "Gateway", "--by", "tenant").stdout
	if n := strings.Count(focus, "\n"); n != 3 || !strings.Contains(focus, "\nGateway,Gateway,USD,2026-01-31T23:00:00Z,2026-02-28T23:00:00Z,") {
		t.Errorf("FOCUS:\n%s", focus)
	}
}

func TestEventsAreShown(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		list := u.write("own.csv", ownPrices)
		u.ok("import", "--prices", list, u.write("usage.csv", `id,timestamp,tenant,resource,provider,input_tokens,output_tokens,cost
e1,2026-08-31T12:00:00Z,acme,gpt-5,openai,1000000,0,
e2,2026-08-31T12:00:00Z,acme,gpt-5,openai,0,0,3
e3,2026-08-30T12:00:00Z,zoo,gpt-5,openai,0,0,3
`))
		u.ok("correct", "e1", "--tenant", "acme", "--id", "c1", "--input-tokens", "200000", "--cost", "0.25", "--reason", "counted twice")

		events := u.ok("events", "--tenant", "acme", "--where", "provider=openai", "--json").list()
		if len(events) != 3 {
			t.Fatalf("events: %v", events)
		}
		has(t, "correction", events[0], object{"id": "c1", "corrects": "e1", "reason": "counted twice", "cost": literal("-0.25")})
		has(t, "priced", events[1], object{"id": "e1", "cost": literal("1.25"), "priced_by": "own openai/gpt-5", "time": "2026-08-31T12:00:00Z"})
		has(t, "with a cost of its own", events[2], object{"id": "e2", "cost": literal("3")})
		if by, is := events[2]["priced_by"]; is {
			t.Errorf("a cost that was given is priced by %v", by)
		}
		one := u.ok("events", "--tenant", "acme", "--id", "e1", "--json").object()
		has(t, "one", one, object{"id": "e1", "labels": object{"provider": "openai"}})
		has(t, "what was taken away", one["corrected"].(object), object{"input_tokens": literal("200000"), "cost": literal("0.25")})

		shown := u.ok("events", "--tenant", "acme", "--id", "e1").stdout
		for _, line := range []string{"tokens in          1,000,000, after corrections 800,000\n", "cost $             1.25, after corrections 1\n", "provider           openai\n"} {
			if !strings.Contains(shown, line) {
				t.Errorf("%q is not in\n%s", line, shown)
			}
		}
		if text := u.ok("events", "--to", "2026-08-31", "--limit", "5").stdout; !strings.Contains(text, "zoo") || strings.Contains(text, "acme") {
			t.Errorf("events before a date:\n%s", text)
		}
		if left := u.ok("events", "--no-corrections", "--json").list(); len(left) != 3 {
			t.Errorf("without corrections: %v", left)
		}
		u.run("events", "--tenant", "zoo", "--id", "e1").want(exitFailed).says(`purser: event "e1": not found`)
		u.run("events", "--id", "e1", "--limit", "1").want(exitUsage).says("[id limit]")
	})
}

func TestEventsShowTotalsAndHowTheyCameIn(t *testing.T) {
	u := newUser(t)
	u.ok("import", u.write("usage.csv", "id,timestamp,tenant,total_tokens\nt,2026-08-31T12:00:00Z,acme,1234\n"))
	u.ok("correct", "t", "--tenant", "acme", "--total-tokens", "34", "--reason", "counted twice")
	u.create("--name", "Acme", "--metric", "tokens", "--limit", "1000", "--scope", "tenant=acme")
	u.ok("reserve", "--id", "r", "--tenant", "acme", "--input-tokens", "1")
	u.ok("release", "r", "--tenant", "acme")
	u.ok("settle", "r", "--tenant", "acme", "--input-tokens", "1")
	listed := u.ok("events").stdout
	for _, text := range []string{"marks", " 1,234 ", " -34 ", "late\n"} {
		if !strings.Contains(listed, text) {
			t.Errorf("%q is not in\n%s", text, listed)
		}
	}
	shown := u.ok("events", "--tenant", "acme", "--id", "t").stdout + u.ok("events", "--tenant", "acme", "--id", "r").stdout
	for _, line := range []string{"tokens in all      1,234, after corrections 1,200\n", "marks              late\n"} {
		if !strings.Contains(shown, line) {
			t.Errorf("%q is not in\n%s", line, shown)
		}
	}
}

func TestTheTenantOfEventsIsAFlagOfItsOwn(t *testing.T) {
	u := newUser(t)
	u.ok("import", u.write("usage.csv", "id,timestamp,tenant\na,2026-08-31T12:00:00Z,acme\nn,2026-08-31T12:00:00Z,\n"))
	if found := u.ok("events", "--tenant", "", "--json").list(); len(found) != 1 || found[0]["id"] != "n" {
		t.Errorf("those of no tenant: %v", found)
	}
	u.run("events", "--tenant", "acme", "--where", "tenant=zoo").want(exitUsage).says("purser: --tenant: is named by --where too\n")
	u.run("events", "--tenant", strings.Repeat("x", 1000)).want(exitUsage).says("purser: --tenant: ")
}

func TestEventsArePrunedAndReportsStay(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		licensed(t, u)
		before := u.ok("export").stdout + u.ok("report", "overview", "--json").stdout
		has(t, "pruned", u.ok("prune", "--before", "2026-02-01", "--json").object(), object{"deleted": literal("1")})
		if diff := cmp.Diff(before, u.ok("export").stdout+u.ok("report", "overview", "--json").stdout); diff != "" {
			t.Errorf("reports (-before +after):\n%s", diff)
		}
		u.ok("verify")
		if got := u.ok("prune", "--keep-days", "7").stdout; got != "2 events deleted.\n" {
			t.Errorf("pruning the rest says %q", got)
		}
	})
}
