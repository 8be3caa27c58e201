package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

// amountIn returns a number of an object.
func amountIn(t *testing.T, o object, name string) decimal.Decimal {
	t.Helper()
	d, err := decimal.NewFromString(o[name].(json.Number).String())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// loadUntil interrupts a load once enough has come of it, which may take this machine long, and returns what it says.
func (u user) loadUntil(enough func() bool, args ...string) done {
	u.t.Helper()
	const planned = 5 * time.Minute
	c := u.command(append([]string{"load", "--duration", planned.String()}, args...)...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	began := time.Now()
	if err := c.Start(); err != nil {
		u.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait() // its exit code is checked below
	}()
	u.t.Cleanup(func() { <-ended })
	for !enough() {
		select {
		case <-ended:
			u.t.Fatalf("the load %q ended, and did not come to what is waited for\n%s%s", args, &stdout, &stderr)
		case <-time.After(50 * time.Millisecond): // it needs the machine
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		u.t.Fatal(err)
	}
	<-ended
	if took := time.Since(began); took >= planned {
		u.t.Errorf("the load %q took %s, want that an interrupt ends it", args, took)
	}
	return done{u.t, c.Args[1:], c.ProcessState.ExitCode(), stdout.String(), stderr.String()}.want(exitOK)
}

// counter returns a number of a budget's status, 0 while it has none.
func (u user) counter(id, name string) decimal.Decimal {
	u.t.Helper()
	statuses := u.ok("status", id, "--json").list()
	if len(statuses) == 0 {
		return decimal.Zero
	}
	return amountIn(u.t, statuses[0], name)
}

// fills says that all that fits into a budget is used, and that more was asked for.
func (u user) fills(id string, used int64) func() bool {
	return func() bool {
		return u.counter(id, "used").Equal(decimal.NewFromInt(used)) && u.counter(id, "denied").IsPositive()
	}
}

// uses says that at least so much more is used of a budget than now.
func (u user) uses(id string, more int64) func() bool {
	least := u.counter(id, "used").Add(decimal.NewFromInt(more))
	return func() bool { return !u.counter(id, "used").LessThan(least) }
}

func TestALoadFillsALimitAndNeverPassesIt(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		id := u.create("--name", "Acme", "--metric", "tokens", "--limit", "500", "--period", "lifetime", "--scope", "tenant=acme")
		u.create("--name", "All", "--metric", "dollars", "--limit", "1", "--period", "lifetime") // takes part and is never in the way
		// 71 times 7 is the last that fits into 500.
		r := u.loadUntil(u.fills(id, 497), "--budget", id, "--processes", "2", "--workers", "4", "--amount", "7", "--json").object()
		names := []string{
			"admitted", "admitted_amount", "events", "events_amount", "limit", "p50_ms", "p99_ms", "per_second", "refused", "reserved", "settled", "used",
		}
		if diff := cmp.Diff(names, slices.Sorted(maps.Keys(r))); diff != "" {
			t.Errorf("members (-want +got)\n%s", diff)
		}
		has(t, "what came of it", r, object{
			"admitted": literal("71"), "settled": literal("71"), "admitted_amount": literal("497"), "used": literal("497"), "limit": literal("500"),
			"reserved": literal("0"), "events": literal("71"), "events_amount": literal("497"),
		})
		for _, name := range []string{"refused", "p50_ms", "per_second"} {
			if !amountIn(t, r, name).IsPositive() {
				t.Errorf("%s is %v, want more than 0", name, r[name])
			}
		}
		if amountIn(t, r, "p99_ms").LessThan(amountIn(t, r, "p50_ms")) {
			t.Errorf("p99_ms is %v, p50_ms %v, want not less", r["p99_ms"], r["p50_ms"])
		}
		has(t, "status", u.ok("status", id, "--json").list()[0], object{"used": literal("497"), "reserved": literal("0"), "denied": r["refused"]})
		has(t, "verification", u.ok("verify", "--json").object(), object{"differences": []any{}, "events": literal("71")})
	})
}

func TestALoadOnLeasesFillsTheSameLimit(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		id := u.create("--name", "Acme", "--metric", "tokens", "--limit", "5000", "--period", "lifetime", "--scope", "tenant=acme")
		r := u.loadUntil(u.fills(id, 4998), "--lease", "--budget", id, "--processes", "2", "--workers", "4", "--amount", "7", "--json").object()
		has(t, "what came of it", r, object{
			"admitted": literal("714"), "settled": literal("714"), "admitted_amount": literal("4998"), "used": literal("4998"), "limit": literal("5000"),
			"reserved": literal("0"), "events": literal("714"), "events_amount": literal("4998"),
		})
		has(t, "status", u.ok("status", id, "--json").list()[0], object{"used": literal("4998"), "reserved": literal("0"), "leased": literal("0")})
		has(t, "verification", u.ok("verify", "--json").object(), object{"differences": []any{}, "events": literal("714")})
	})
}

func TestALoadIsOfWhatAllBudgetsCover(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		credits := u.create("--name", "C", "--metric", "credits", "--cost-per-credit", "0.003", "--limit", "1000000", "--period", "lifetime",
			"--scope", "user=@each", "--scope", "plan=gold", "--except", "user=load")
		requests := u.create("--name", "R", "--metric", "requests", "--limit", "1000000", "--period", "lifetime", "--scope", "tenant=acme", "--scope", "team=@each")
		tokens := u.create("--name", "T", "--metric", "output_tokens", "--limit", "1000000000", "--period", "lifetime", "--enforcement", "observe", "--scope", "resource=gpt")
		load := func(over string, ids ...string) object {
			args := []string{"--processes", "2", "--workers", "4", "--amount", "3", "--actual-over", over, "--json"}
			for _, id := range ids {
				args = append(args, "--budget", id)
			}
			// Of a hundred requests some use more, and not all of them twice as much, where half of them are to use more.
			return u.loadUntil(u.uses(ids[0], 300), args...).object()
		}
		adds := func(what string, r object) {
			t.Helper()
			has(t, what, r, object{"reserved": literal("0"), "settled": r["admitted"], "refused": literal("0"), "events_amount": r["used"]})
		}
		exact := load("0", credits, requests, tokens)
		adds("without overspending", exact)
		has(t, "without overspending", exact, object{"events": exact["admitted"], "used": exact["admitted_amount"]})

		over := load("50", credits, requests, tokens)
		adds("with overspending", over)
		added := amountIn(t, over, "used").Sub(amountIn(t, exact, "used"))
		if asked := amountIn(t, over, "admitted_amount"); !added.GreaterThan(asked) || !added.LessThan(asked.Add(asked)) {
			t.Errorf("%s was used where %s was asked for, want more, up to twice as much", added, asked)
		}
		// The others were asked and used in the same requests.
		for _, id := range []string{requests, tokens} {
			r := load("0", id, credits)
			adds("the other budget", r)
			if sum := amountIn(t, exact, "admitted").Add(amountIn(t, over, "admitted")).Add(amountIn(t, r, "admitted")); amountIn(t, r, "used").LessThan(sum) {
				t.Errorf("%v of the other budget was used, want at least one in each of %s requests", r["used"], sum)
			}
		}
		has(t, "verification", u.ok("verify", "--json").object(), object{"differences": []any{}})
	})
}

func TestALoadOfABudgetThatOnlyCounts(t *testing.T) {
	u := newUser(t)
	disabled := u.create("--name", "D", "--metric", "requests", "--limit", "10", "--period", "lifetime", "--enabled=false")
	other := u.create("--name", "O", "--metric", "requests", "--limit", "1000000", "--period", "lifetime")
	r := u.loadUntil(u.uses(disabled, 15), "--budget", disabled, other, "--amount", "5", "--json").object()
	has(t, "what came of it", r, object{
		"refused": literal("0"), "settled": r["admitted"], "used": r["admitted_amount"], "events": r["admitted"], "events_amount": r["used"],
	})
	if used := amountIn(t, r, "used"); !used.Equal(amountIn(t, r, "admitted").Mul(decimal.NewFromInt(5))) || used.LessThan(decimal.NewFromInt(15)) {
		t.Errorf("%s of 10 requests were used in %v, want 5 in each, and more than there are", used, r["admitted"])
	}
	has(t, "the other", u.ok("status", other, "--json").list()[0], object{"used": r["used"]})
}

func TestALoadCountsCorrectionsAndLeavesOutOthersUsage(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u.ok("import", u.write("usage.csv", "id,tenant,user,cost,plan\n"+
			"e1,acme,ada,0.01,gold\ne2,acme,ada,0.01,blue\ne3,globex,ada,0.01,gold\ne4,acme,bob,0.01,gold\ne5,acme,ada,0.02,gold\n"))
		id := u.create("--name", "C", "--metric", "credits", "--cost-per-credit", "0.03", "--limit", "1", "--period", "lifetime",
			"--scope", "tenant=acme", "--scope", "user=ada", "--scope", "plan=gold")
		u.ok("correct", "e5", "--tenant", "acme", "--cost", "0.01", "--requests", "0", "--reason", "r")
		// 0.333333 and 0.666667, less 0.333334 for what was corrected: credits are rounded event by event.
		has(t, "what came of no load", u.ok("load", "--budget", id, "--amount", "1", "--duration", "100ms", "--json").object(), object{
			"admitted": literal("0"), "used": literal("0.666666"), "events": literal("2"), "events_amount": literal("0.666666"), "limit": literal("1"),
		})
		u.ok("reserve", "--tenant", "acme", "--user", "ada", "--label", "plan=gold", "--cost", "0.003")
		has(t, "with a reservation", u.ok("load", "--budget", id, "--amount", "1", "--duration", "100ms", "--json").object(), object{"reserved": literal("0.1")})
	})
}

func TestALoadThatCantBeIsRefused(t *testing.T) {
	u := newUser(t)
	tokens := u.create("--name", "T", "--metric", "tokens", "--limit", "10", "--scope", "tenant=acme")
	other := u.create("--name", "O", "--metric", "tokens", "--limit", "10", "--scope", "tenant=globex")
	over := u.create("--name", "D", "--metric", "tokens", "--limit", "10", "--ends-at", "2026-01-01")
	except := u.create("--name", "E", "--metric", "tokens", "--limit", "10", "--scope", "tenant=@each", "--except", "tenant=acme")
	choosy := u.create("--name", "A", "--metric", "tokens", "--limit", "10", "--scope", "resource=gpt", "--allow-resource", "opus")
	tests := map[string][]string{
		"--amount: must be a whole number, as an amount of tokens":       {"--budget", tokens, "--amount", "0.5"},
		"--budget: no request is covered by all of them":                 {"--budget", tokens, "--budget", other},
		`--budget: "D" takes no part: it does not count now`:             {"--budget", over},
		`--budget: "E" takes no part`:                                    {"--budget", tokens, "--budget", except},
		`--budget: "A" would refuse every request: resource not allowed`: {"--budget", choosy},
		`"--workers" flag: must be a whole number above 0`:               {"--budget", tokens, "--workers", "0"},
		`"--processes" flag: must be a whole number above 0`:             {"--budget", tokens, "--processes", "-1"},
		`"--duration" flag: must be a time above 0`:                      {"--budget", tokens, "--duration", "0s"},
		`"--actual-over" flag: must be a whole number from 0 to 100`:     {"--budget", tokens, "--actual-over", "101"},
		`required flag(s) "budget" not set`:                              nil,
	}
	for want, args := range tests {
		u.run(append([]string{"load"}, args...)...).want(exitUsage).says(want)
	}
	u.run("load", "--budget", "nope").want(exitFailed).says("not found")
}

func TestALoadIsReadable(t *testing.T) {
	u := newUser(t)
	id := u.create("--name", "Acme", "--metric", "requests", "--limit", "1000000")
	text := u.ok("load", "--budget", id, "--duration", "3s").stdout
	want := regexp.MustCompile(`^admitted +[\d,]+, [\d,]+ requests
refused +0
settled +[\d,]+
per second +[\d,]+ admitted, over (?:[3-9]|\d\d+)\.\d s
time to reserve +[\d.]+ ms in half of the cases, at most [\d.]+ ms in 99 % of them

What the tables say of "Acme", monthly

limit +1,000,000 requests
used +[\d,]+ requests
reserved +0 requests
events +[\d,]+, [\d,]+ requests

Admitted per second

[^$]*1 s( +\d+ s)+\n$`)
	if !want.MatchString(text) {
		t.Errorf("it shows\n%s\nwant\n%s", text, want)
	}
}

func TestALoadSaysWhoRefused(t *testing.T) {
	u := newUser(t)
	id := u.create("--name", "Acme", "--metric", "tokens", "--limit", "1000000", "--scope", "tenant=acme")
	all := u.create("--name", "All", "--metric", "requests", "--limit", "3", "--period", "lifetime")
	text := u.loadUntil(u.fills(all, 3), "--budget", id).stdout
	if want := regexp.MustCompile(`(?m)^admitted +3, 3 tokens\nrefused +([\d,]+), ([\d,]+) by "All"$`).FindStringSubmatch(text); want == nil || want[1] != want[2] {
		t.Errorf("it shows\n%s\nwant all refusals by the other budget", text)
	}
}

func TestAnInterruptedLoadEndsEarlyAndShowsWhatItDid(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		id := u.create("--name", "Acme", "--metric", "tokens", "--limit", "1000000", "--period", "lifetime")
		r := u.loadUntil(u.uses(id, 1), "--budget", id, "--processes", "2", "--json").object()
		has(t, "what came of it", r, object{"settled": r["admitted"], "used": r["admitted"], "events": r["admitted"], "reserved": literal("0")})
	})
}

func TestALoadTellsOnATerminalHowItGoes(t *testing.T) {
	u := newUser(t)
	id := u.create("--name", "Acme", "--metric", "tokens", "--limit", "1000000")
	w := u.startOnTerminal(&pty.Winsize{Rows: 24, Cols: 130}, "load", "--budget", id, "--duration", "1h")
	w.until(`load [█░]{20}  [\d,]+/s  p50/p99 [\d.,]+/[\d,.]+ ms  [\d,]+ used  \d+ reserved  0 refused\r\n`)
	for end, written := range map[string]string{
		"an interrupt": w.interrupt(),
		"its time":     u.onTerminal(130, nil, "load", "--budget", id, "--duration", "1s"),
	} {
		if left := screen(written); !strings.HasPrefix(left, "admitted ") || strings.Contains(left, "░") {
			t.Errorf("ended by %s, on the terminal stays\n%s\nwant what came of the load, and no line", end, left)
		}
	}
}
