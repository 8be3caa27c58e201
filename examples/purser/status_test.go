package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const spending = "id,timestamp,tenant,user,resource,input_tokens,output_tokens,cost\n" +
	"e1,2026-02-10T08:00:00Z,acme,ada,gpt,700,100,4\n" +
	"e2,2026-03-01T09:30:00Z,acme,ada,gpt,1000,200,8.5\n" +
	"e3,2026-03-01T10:30:00Z,acme,bob,gpt,10,20,0.25\n" +
	"e4,2026-03-31T22:30:00Z,globex,dan,opus,1,2,1.000000001\n"

// spender is a user whose database has spending.
func spender(t *testing.T, u user) user {
	t.Helper()
	u.t = t
	u.ok("import", u.write("spending.csv", spending))
	return u
}

func TestStatusIsThatOfThePeriodAskedFor(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u = spender(t, u)
		acme := u.create("--name", "Acme", "--metric", "dollars", "--limit", "10", "--zone", "Europe/Berlin", "--scope", "tenant=acme")
		statuses := u.ok("status", acme, "--at", "2026-03-15", "--json").list()
		if len(statuses) != 1 {
			t.Fatalf("statuses %v, want one", statuses)
		}
		has(t, "status in March", statuses[0], object{
			"id": acme, "name": "Acme", "value": nil, "metric": "dollars", "limit": literal("10"), "used": literal("8.75"),
			"reserved": literal("0"), "remaining": literal("1.25"), "percent": literal("87.5"), "level": "warning",
			"period_start": "2026-02-28T23:00:00Z", "period_end": "2026-03-31T22:00:00Z",
		})
		has(t, "status in February", u.ok("status", acme, "--at", "2026-02-01T00:00:00+01:00", "--json").list()[0], object{
			"used": literal("4"), "level": "ok", "period_start": "2026-01-31T23:00:00Z",
		})
		has(t, "status now", u.ok("status", acme, "--json").list()[0], object{"used": literal("0"), "remaining": literal("10"), "level": "ok"})
	})
}

func TestStatusHasALineForEachValue(t *testing.T) {
	u := spender(t, newUser(t))
	each := u.create("--name", "Each user", "--metric", "tokens", "--limit", "1000", "--period", "lifetime", "--scope", "user=@each")
	all := u.create("--name", "All", "--metric", "requests", "--limit", "100", "--period", "lifetime")

	type line struct{ name, user, used, level any }
	lines := func(args ...string) []line {
		var lines []line
		for _, s := range u.ok(append([]string{"status", "--json"}, args...)...).list() {
			value, _ := s["value"].(object)
			lines = append(lines, line{s["name"], value["user"], s["used"], s["level"]})
		}
		return lines
	}
	ada := line{"Each user", "ada", literal("2000"), "exceeded"}
	bob, dan := line{"Each user", "bob", literal("30"), "ok"}, line{"Each user", "dan", literal("3"), "ok"}
	whole := line{"All", nil, literal("4"), "ok"}
	tests := map[string]struct {
		got, want []line
	}{
		"of all budgets":      {lines(), []line{whole, ada, bob, dan}},
		"of one budget":       {lines(each), []line{ada, bob, dan}},
		"of two, as asked":    {lines(each, all), []line{ada, bob, dan, whole}},
		"of one value":        {lines(each, "--value", "user=bob"), []line{bob}},
		"of a value not seen": {lines(each, "--value", "user=eve"), []line{{"Each user", "eve", literal("0"), "ok"}}},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, test.got, cmp.AllowUnexported(line{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	text := u.ok("status").stdout
	for _, want := range []string{"Each user  user=ada  2,000  1,000 tokens  ████████████████  200.0 %  exceeded", "All"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table is\n%s\nwant %q in it", text, want)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("the table is coloured where there is no terminal:\n%q", text)
	}
}

func TestHistoryHasTheBucketsAskedFor(t *testing.T) {
	u := spender(t, newUser(t))
	id := u.create("--name", "All", "--metric", "tokens", "--limit", "100", "--zone", "Europe/Berlin")
	type point struct{ start, used any }
	tests := map[string]struct {
		flags []string
		want  []point
	}{
		"hours of a day": {
			[]string{"--by", "hour", "--from", "2026-03-01", "--to", "2026-03-02"},
			[]point{{"2026-03-01T09:00:00Z", literal("1200")}, {"2026-03-01T10:00:00Z", literal("30")}},
		},
		"days in the budget's zone": {
			[]string{"--from", "2026-03-01", "--to", "2026-04-02"},
			[]point{{"2026-02-28T23:00:00Z", literal("1230")}, {"2026-03-31T22:00:00Z", literal("3")}},
		},
		"months in another zone": {
			[]string{"--by", "month", "--zone", "UTC", "--from", "2026-02-01", "--to", "2026-04-01"},
			[]point{{"2026-02-01T00:00:00Z", literal("800")}, {"2026-03-01T00:00:00Z", literal("1233")}},
		},
		"weeks, also those without usage": {
			[]string{"--by", "week", "--zone", "UTC", "--from", "2026-02-23", "--to", "2026-03-09", "--fill"},
			[]point{{"2026-02-23T00:00:00Z", literal("1230")}, {"2026-03-02T00:00:00Z", literal("0")}},
		},
		"30 days before a time": {
			[]string{"--zone", "UTC", "--to", "2026-03-12"},
			[]point{{"2026-02-10T00:00:00Z", literal("800")}, {"2026-03-01T00:00:00Z", literal("1230")}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []point
			for _, p := range u.ok(append([]string{"history", id, "--json"}, test.flags...)...).list() {
				got = append(got, point{p["start"], p["used"]})
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(point{})); diff != "" {
				t.Errorf("points (-want +got)\n%s", diff)
			}
		})
	}
	text := u.ok("history", id, "--by", "hour", "--from", "2026-03-01", "--to", "2026-03-02").stdout
	if want := "2026-03-01 10:00 +01:00   1,200  ████████████████████         1      1,000         200     8.5"; !strings.Contains(text, want) {
		t.Errorf("the table is\n%s\nwant %q in it", text, want)
	}
}

func TestTopIsOfTheTimeAndUsageAskedFor(t *testing.T) {
	u := spender(t, newUser(t))
	tests := map[string]struct {
		flags []string
		want  []string
	}{
		"users by cost":        {[]string{"--by", "user"}, []string{"ada", "dan", "bob"}},
		"users by tokens":      {[]string{"--by", "user", "--metric", "tokens"}, []string{"ada", "bob", "dan"}},
		"the first of them":    {[]string{"--by", "user", "--limit", "1"}, []string{"ada"}},
		"users of one tenant":  {[]string{"--by", "user", "--where", "tenant=globex"}, []string{"dan"}},
		"users from a time on": {[]string{"--by", "user", "--from", "2026-03-01T10:00:00Z"}, []string{"dan", "bob"}},
		"users before a time":  {[]string{"--by", "user", "--to", "2026-03-01"}, []string{"ada"}},
		"API keys":             {[]string{"--by", "api_key"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, g := range u.ok(append([]string{"top", "--json"}, test.flags...)...).list() {
				got = append(got, g["key"].(string))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("keys (-want +got)\n%s", diff)
			}
		})
	}
}
