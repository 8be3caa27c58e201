package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// verdicts returns what a decision says by the budgets' names.
func verdicts(decision object) map[string]object {
	by := make(map[string]object)
	for _, v := range decision["budgets"].([]any) {
		by[v.(object)["name"].(string)] = v.(object)
	}
	return by
}

func TestACheckShowsWhatEveryBudgetSays(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u = spender(t, u)
		u.create("--name", "Acme", "--metric", "dollars", "--limit", "15", "--period", "lifetime", "--scope", "tenant=acme")
		u.create("--name", "Each user", "--metric", "tokens", "--limit", "3000", "--period", "lifetime", "--scope", "user=@each", "--enforcement", "soft")
		fits := u.ok("check", "--tenant", "acme", "--user", "ada", "--input-tokens", "1000", "--cost", "2.25", "--json").object()
		has(t, "the decision", fits, object{"admitted": true})
		has(t, "what Acme says", verdicts(fits)["Acme"], object{
			"value": nil, "limit": literal("15"), "used": literal("12.75"), "reserved": literal("0"), "available": literal("2.25"),
			"requested": literal("2.25"), "unknown": false, "reason": "", "refused": false,
		})
		has(t, "what is said of the user", verdicts(fits)["Each user"], object{
			"value": object{"user": "ada"}, "used": literal("2000"), "available": literal("1000"), "requested": literal("1000"), "reason": "",
		})
		members := slices.Sorted(maps.Keys(fits))
		if diff := cmp.Diff([]string{"admitted", "at", "budgets"}, members); diff != "" {
			t.Errorf("members of a decision (-want +got)\n%s", diff)
		}

		refused := u.run("check", "--tenant", "acme", "--user", "ada", "--input-tokens", "1001", "--cost", "2.26", "--json").want(exitRefused).
			says(`purser: budget exceeded: "Acme" has 2.25 of 15 dollars available, 2.26 requested, resets at `).object()
		has(t, "the refusal", refused, object{"admitted": false})
		has(t, "what Acme says", verdicts(refused)["Acme"], object{"reason": "exceeded", "refused": true})
		has(t, "what is said of the user", verdicts(refused)["Each user"], object{"reason": "exceeded", "refused": false})

		unknown := u.run("check", "--tenant", "acme", "--input-tokens", "5", "--json").want(exitRefused).says("estimate required").object()
		has(t, "what Acme says", verdicts(unknown)["Acme"], object{"unknown": true, "reason": "estimate_required", "refused": true})
		nobody := u.ok("check", "--tenant", "nobody", "--json").object()
		if diff := cmp.Diff([]any{}, nobody["budgets"]); diff != "" || nobody["admitted"] != true {
			t.Errorf("the decision that nobody makes is %v", nobody)
		}
	})
}

func TestACheckIsReadableAndHoldsNothing(t *testing.T) {
	u := newUser(t)
	u.create("--name", "Acme", "--metric", "dollars", "--limit", "1", "--scope", "tenant=acme", "--allow-resource", "gpt", "--period", century)
	u.create("--name", "All", "--metric", "tokens", "--limit", "10", "--enforcement", "soft", "--period", "lifetime")
	u.ok("reserve", "--tenant", "acme", "--cost", "0.25", "--resource", "gpt")
	tests := []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"--tenant", "acme", "--resource", "gpt", "--cost", "0.5"}, exitOK, []string{"Acme    1 dollars     0      0.25       0.75        0.5  fits"}},
		{[]string{"--tenant", "acme", "--resource", "gpt", "--cost", "0.5", "--total-tokens", "11"}, exitOK, []string{"admits, though no room"}},
		{[]string{"--tenant", "acme", "--resource", "gpt", "--cost", "0.76"}, exitRefused, []string{"refuses: no room", "  fits"}},
		{[]string{"--tenant", "acme", "--resource", "opus", "--cost", "0.5"}, exitRefused, []string{"refuses: resource not allowed"}},
		{[]string{"--tenant", "acme", "--resource", "gpt"}, exitRefused, []string{"unknown, 0  refuses: estimate required"}},
		{[]string{"--tenant", "acme", "--resource", "gpt", "--cost", "0.8", "--at", "2199-01-01"}, exitOK, []string{"0          1        0.8  fits"}},
	}
	for _, test := range tests {
		d := u.run(append([]string{"check"}, test.args...)...).want(test.code)
		for _, text := range test.says {
			if !strings.Contains(d.stdout, text) {
				t.Errorf("check %q shows\n%s\nwant %q in it", test.args, d.stdout, text)
			}
		}
	}
	empty := newUser(t)
	empty.ok("migrate")
	if got := empty.ok("check", "--cost", "1").stdout; got != "No budget covers this request: it is admitted.\n" {
		t.Errorf("without budgets it shows %q", got)
	}
}

func TestAReservationIsHeldUntilItEnds(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u = spender(t, u)
		acme := u.create("--name", "Acme", "--metric", "dollars", "--limit", "15", "--period", "lifetime", "--scope", "tenant=acme")
		standing := func(what string, want object) {
			t.Helper()
			has(t, what, u.ok("status", acme, "--json").list()[0], want)
		}
		reserve := func(id, cost string) []string {
			return []string{"reserve", "--json", "--id", id, "--tenant", "acme", "--user", "ada", "--label", "plan=gold", "--output-tokens", "100", "--cost", cost}
		}
		settle := func(id, cost string) []string {
			return []string{"settle", id, "--json", "--tenant", "acme", "--input-tokens", "30", "--cost", cost}
		}

		reserved := u.ok(reserve("r1", "2")...).object()
		want := object{
			"admitted": true, "id": "r1", "tenant": "acme", "user": "ada", "labels": object{"plan": "gold"}, "state": "open", "lease": false,
			"at": reserved["at"], "expires_at": reserved["expires_at"],
			"estimate": object{
				"input_tokens": literal("0"), "output_tokens": literal("100"), "cache_read_tokens": literal("0"), "cache_creation_tokens": literal("0"),
				"total_tokens": literal("100"), "requests": literal("1"), "runs": literal("0"), "cost": literal("2"),
			},
			"holds": []any{object{
				"budget": acme, "budget_name": "Acme", "value": nil, "metric": "dollars", "amount": literal("2"), "period_start": "0001-01-01T00:00:00Z",
			}},
		}
		if diff := cmp.Diff(want, reserved); diff != "" {
			t.Errorf("what was reserved (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(reserved, u.ok(reserve("r1", "2")...).object()); diff != "" {
			t.Errorf("what was reserved, asked again (-first +second)\n%s", diff)
		}
		u.run(reserve("r1", "1")...).want(exitFailed).says("conflict")
		standing("status with r1", object{"used": literal("12.75"), "reserved": literal("2"), "available": literal("0.25")})

		refused := u.run(reserve("r2", "0.26")...).want(exitRefused).says(`budget exceeded: "Acme" has 0.25 of 15 dollars available, 0.26 requested`).object()
		want = object{
			"admitted": false, "message": refused["message"],
			"refusals": []any{object{
				"budget": acme, "name": "Acme", "scope": object{"tenant": "acme"}, "value": nil, "metric": "dollars", "limit": literal("15"),
				"used": literal("12.75"), "reserved": literal("2"), "requested": literal("0.26"), "fits": literal("0.25"),
				"resets_at": refused["refusals"].([]any)[0].(object)["resets_at"],
			}},
		}
		if diff := cmp.Diff(want, refused); diff != "" {
			t.Errorf("the refusal (-want +got)\n%s", diff)
		}
		u.ok(reserve("r2", "0.25")...)

		extended := u.ok("extend", "r1", "--tenant", "acme", "--by", "24h", "--json").object()
		if extended["id"] != "r1" || !instantOf(t, extended["expires_at"]).After(instantOf(t, reserved["expires_at"]).Add(23*time.Hour)) {
			t.Errorf("extended %v, want r1 until a day from now", extended)
		}

		if diff := cmp.Diff(object{"id": "r1", "outcome": "recorded", "late": false}, u.ok(settle("r1", "1.5")...).object()); diff != "" {
			t.Errorf("what was settled (-want +got)\n%s", diff)
		}
		has(t, "what was settled, again", u.ok(settle("r1", "1.5")...).object(), object{"id": "r1", "outcome": "duplicate"})
		u.run(settle("r1", "1.6")...).want(exitFailed).says("conflict")
		u.run("release", "r1", "--tenant", "acme").want(exitFailed).says("closed")
		u.run("extend", "r1", "--tenant", "acme", "--by", "1m").want(exitFailed).says("closed")
		u.run(reserve("r1", "2")...).want(exitFailed).says("closed")
		standing("status with r2", object{"used": literal("14.25"), "reserved": literal("0.25"), "denied": literal("1")})

		for range 2 {
			if diff := cmp.Diff(object{"released": "r2"}, u.ok("release", "r2", "--tenant", "acme", "--json").object()); diff != "" {
				t.Errorf("what was released (-want +got)\n%s", diff)
			}
		}
		standing("status without reservations", object{"used": literal("14.25"), "reserved": literal("0")})
		has(t, "what was settled late", u.ok(settle("r2", "0.5")...).object(), object{"id": "r2", "outcome": "recorded", "late": true})
		standing("status in the end", object{"used": literal("14.75"), "reserved": literal("0")})
		for _, command := range [][]string{{"settle", "r9", "--cost", "1"}, {"release", "r9"}, {"extend", "r9", "--by", "1m"}} {
			u.run(append(command, "--tenant", "acme")...).want(exitFailed).says("not found")
		}
		has(t, "verification", u.ok("verify", "--json").object(), object{"differences": []any{}})
	})
}

func instantOf(t *testing.T, text any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text.(string))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestASettlementMayBeOfAnotherResourceLabelsAndTime(t *testing.T) {
	u := newUser(t)
	u.create("--name", "Small", "--metric", "dollars", "--limit", "5", "--period", "lifetime", "--scope", "resource=small", "--scope", "plan=blue")
	u.ok("reserve", "--id", "r1", "--tenant", "acme", "--resource", "large", "--label", "plan=gold", "--cost", "1")
	u.ok("settle", "r1", "--tenant", "acme", "--cost", "0.1", "--resource", "small", "--label", "plan=blue", "--at", "2026-03-01")
	has(t, "status", u.ok("status", "--json").list()[0], object{"used": literal("0.1")})
	has(t, "the hour", u.ok("top", "--by", "resource", "--from", "2026-03-01", "--to", "2026-03-02", "--json").list()[0], object{"key": "small", "cost": literal("0.1")})
}

func TestReservationsAreListedBySelection(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		acme := u.create("--name", "Acme", "--metric", "tokens", "--limit", "100", "--scope", "tenant=acme", "--period", "lifetime")
		all := u.create("--name", "All", "--metric", "requests", "--limit", "100", "--period", "lifetime")
		reserve := func(id, tenant string, more ...string) {
			u.ok(append([]string{"reserve", "--id", id, "--tenant", tenant, "--total-tokens", "30", "--cost", "0"}, more...)...)
		}
		reserve("a1", "acme")
		reserve("a2", "acme")
		reserve("g1", "globex")
		u.ok("release", "a2", "--tenant", "acme")
		// It has expired by the time that the next process has started.
		reserve("g2", "globex", "--ttl", "1us")
		ids := func(args ...string) (ids []string) {
			for _, r := range u.ok(append([]string{"reservations", "--json"}, args...)...).list() {
				ids = append(ids, r["id"].(string))
			}
			return ids
		}
		tests := []struct {
			args, want []string
		}{
			{nil, []string{"a1", "a2", "g1", "g2"}},
			{[]string{"--tenant", "acme"}, []string{"a1", "a2"}},
			{[]string{"--budget", acme, "--state", "open"}, []string{"a1"}},
			{[]string{"--budget", all, "--state", "open"}, []string{"a1", "g1", "g2"}},
			{[]string{"--state", "released", "--state", "expired"}, []string{"a2"}},
			{[]string{"--overdue"}, []string{"g2"}},
			{[]string{"--limit", "1"}, []string{"a1"}},
			{[]string{"--tenant", ""}, nil},
		}
		for _, test := range tests {
			if diff := cmp.Diff(test.want, ids(test.args...)); diff != "" {
				t.Errorf("reservations %q (-want +got)\n%s", test.args, diff)
			}
		}
		has(t, "the first", u.ok("reservations", "--limit", "1", "--json").list()[0], object{"tenant": "acme", "state": "open", "lease": false})

		reserve("g3", "globex") // gives back what g2 holds
		if diff := cmp.Diff([]string{"g2"}, ids("--state", "expired")); diff != "" {
			t.Errorf("expired reservations (-want +got)\n%s", diff)
		}
		text := u.ok("reservations", "--tenant", "acme", "--state", "open").stdout
		if !strings.Contains(text, "30 tokens of Acme") || !strings.Contains(text, "1 requests of All") || strings.Contains(text, "resource") {
			t.Errorf("the table is\n%s\nwant both holds in it, and no column for resources", text)
		}
		text = u.ok("status", all).stdout
		if !strings.Contains(text, "available  reserved  expired\n") || !strings.Contains(text, "        97         3        1\n") {
			t.Errorf("the table of statuses is\n%s\nwant 97 available, 3 reserved, 1 expired, and no column for denied ones", text)
		}
	})
}

func TestReservedAndRefusedIsReadable(t *testing.T) {
	u := newUser(t)
	u.create("--name", "Each user", "--metric", "tokens", "--limit", "1000", "--period", "lifetime", "--scope", "user=@each")
	u.create("--name", "Key", "--metric", "requests", "--limit", "1", "--period", century, "--scope", "api_key=k")
	text := u.ok("reserve", "--id", "r0", "--user", "ada", "--api-key", "k", "--total-tokens", "600", "--cost", "0").stdout
	for _, want := range []string{"Reserved until ", " as r0\n", "600 tokens  Each user  user=ada\n", "1 requests  Key "} {
		if !strings.Contains(text, want) {
			t.Errorf("reserve shows\n%s\nwant %q in it", text, want)
		}
	}
	refused := u.run("reserve", "--user", "ada", "--api-key", "k", "--total-tokens", "600", "--cost", "0").want(exitRefused).says("(and 1 more)").stdout
	for _, want := range []string{"Each user   user=ada        600        400  1,000 tokens  for ever\n", "Key                           1          0    1 requests  20"} {
		if !strings.Contains(refused, want) {
			t.Errorf("a refused reserve shows\n%s\nwant %q in it", refused, want)
		}
	}
	if text := u.ok("reserve", "--user", "", "--cost", "1").stdout; !strings.HasSuffix(text, "No budget covers this request: nothing is held.\n") {
		t.Errorf("reserve shows %q, want that nothing is held", text)
	}
	for command, want := range map[string]string{
		"settle r1 --total-tokens 700": "Settled r1: recorded.\n",
		"release r2":                   "Released r2.\n",
		"extend r3 --by 1h":            "r3 holds until 20",
	} {
		u.ok("reserve", "--id", strings.Fields(command)[1], "--user", "eve", "--total-tokens", "1", "--cost", "0")
		if text := u.ok(strings.Fields(command)...).stdout; !strings.HasPrefix(text, want) {
			t.Errorf("%s shows %q, want %q", command, text, want)
		}
	}
}

func TestWhatIsWrongWithAReservationIsNamedByItsFlag(t *testing.T) {
	u := newUser(t)
	u.create("--name", "All", "--metric", "tokens", "--limit", "10")
	u.ok("reserve", "--id", "r1", "--total-tokens", "1", "--cost", "0")
	tests := map[string][]string{
		"--ttl: is 200h0m0s, must be from 0 to 168h0m0s":   {"reserve", "--ttl", "200h"},
		`"--ttl" flag: must be a time above 0 such as 90s`: {"reserve", "--ttl", "-5s"},
		"--by: is 200h0m0s":                      {"extend", "r1", "--by", "200h"},
		"--input-tokens: must not be negative":   {"check", "--input-tokens", "-1"},
		"--cost: must not be negative":           {"settle", "r1", "--cost", "-1"},
		"--label: ":                              {"check", "--label", "tenant=acme"},
		"--user: has 200 bytes":                  {"reserve", "--user", strings.Repeat("u", 200)},
		`"--at" flag: must lie in the years`:     {"check", "--at", "1970-01-01"},
		"at least one of the flags":              {"settle", "r1", "--tenant", "acme"},
		`required flag(s) "by" not set`:          {"extend", "r1"},
		"must be one of [expired open released]": {"reservations", "--state", "closed"},
		"needs the id of a reservation":          {"release"},
	}
	for want, args := range tests {
		u.run(args...).want(exitUsage).says(want)
	}
}

func TestWhatASoftBudgetWouldDenyIsShown(t *testing.T) {
	u := newUser(t)
	u.create("--name", "Tried out", "--metric", "requests", "--limit", "1", "--period", century, "--enforcement", "soft")
	for range 3 {
		u.ok("reserve", "--cost", "1")
	}
	text := u.ok("status").stdout
	if !strings.Contains(text, "available  reserved  would deny\n") || !strings.Contains(text, "        0         3           2\n") {
		t.Errorf("the table of statuses is\n%s\nwant none available, 3 reserved, 2 that would be denied", text)
	}
}
