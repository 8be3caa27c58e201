package main

import (
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
)

// delivering routes all alerts to these sinks, and ends the first try of what is ready like this.
func (u user) delivering(o alert.Outcome, sinks ...string) {
	u.t.Helper()
	outbox := budget.NewLedger(u.store(), nil).Outbox()
	if _, err := outbox.Route(u.t.Context(), 100, func(alert.Alert) []string { return sinks }); err != nil {
		u.t.Fatal(err)
	}
	claimed, err := outbox.Claim(u.t.Context(), sinks[0], 100, time.Minute)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, d := range claimed {
		if err := outbox.Finish(u.t.Context(), d, o); err != nil {
			u.t.Fatal(err)
		}
	}
}

func TestAlertsShowWhatBecameOfThem(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u.create("--name", "Each user", "--metric", "tokens", "--limit", "10", "--period", "lifetime", "--scope", "user=@each")
		u.ok("import", u.write("a.csv", "user,input_tokens\nada,8\nbob,9\n"))
		u.delivering(alert.Outcome{State: alert.Dead, Error: "the receiver answered 410 Gone"}, "pager", "log")

		all := u.ok("alerts", "--json").list()
		var sent []object
		for _, a := range all {
			if list, _ := a["deliveries"].([]any); len(list) > 0 {
				sent = append(sent, a)
			}
		}
		if len(all) != 3 || len(sent) != 2 {
			t.Fatalf("%d alerts, %d of them with deliveries, want 3 and 2", len(all), len(sent))
		}
		id, _ := sent[0]["id"].(string)
		list := sent[0]["deliveries"].([]any)
		has(t, "the delivery that waits", object(list[0].(map[string]any)), object{"sink": "log", "state": "waiting", "tries": literal("0"), "error": ""})
		has(t, "the one that was given up", object(list[1].(map[string]any)), object{
			"sink": "pager", "state": "dead", "tries": literal("1"), "error": "the receiver answered 410 Gone",
		})
		if shown := u.ok("alerts", "--state", "dead").stdout; !strings.Contains(shown, "pager dead after 1: the receiver answered 410 Gone") ||
			!strings.Contains(shown, "log waiting") || !strings.Contains(shown, id) {
			t.Errorf("shown is\n%s", shown)
		}

		has(t, "resent", u.ok("alerts", "resend", id, "--sink", "pager", "--json").object(), object{"resent": literal("1")})
		for filter, want := range map[string]int{
			"--state dead": 1, "--state waiting --sink pager": 1, "--state dead --state waiting": 2, "--sink log": 2, "--sink mail": 0,
			"--level critical": 1, "--level warning": 3, "--kind threshold": 3, "--kind resolved --kind blocked": 0,
		} {
			if got := u.ok(append([]string{"alerts", "--json"}, strings.Fields(filter)...)...).list(); len(got) != want {
				t.Errorf("alerts %s are %d, want %d", filter, len(got), want)
			}
		}
		entry := u.ok("audit", "--action", "resend_alert", "--json").list()[0]
		has(t, "the audit", entry, object{"actor": "tester", "kind": "alert", "target": id})
		u.run("alerts", "resend", id, "--sink", "mail").want(exitFailed).says("not found")
		u.run("alerts", "resend", "unknown").want(exitFailed).says("not found")
	})
}

func TestWhatAlertsCanNotBeAskedFor(t *testing.T) {
	u := newUser(t)
	for args, says := range map[string]string{
		"alerts --state gone":   "must be one of waiting, claimed, delivered and dead",
		"alerts --kind warning": "must be one of [threshold blocked forecast resolved]",
		"alerts --level high":   "must be one of ok, warning, critical and exceeded",
		"alerts resend":         "purser alerts resend needs the id of an alert",
		"alerts resend a b":     `purser alerts resend takes no argument "b"`,
	} {
		u.run(strings.Fields(args)...).want(exitUsage).says(says)
	}
}

func TestAnImportCanBeSilent(t *testing.T) {
	u := newUser(t)
	u.create("--name", "All", "--metric", "tokens", "--limit", "10", "--period", "lifetime")
	u.ok("import", "--no-alerts", u.write("a.csv", "user,input_tokens\nada,9\n"))
	if got := u.ok("alerts", "--json").list(); len(got) != 0 {
		t.Errorf("%d alerts, want none", len(got))
	}
	u.ok("import", u.write("b.csv", "user,input_tokens\nada,1\n"))
	if got := u.ok("alerts", "--json").list(); len(got) != 1 {
		t.Errorf("%d alerts of what comes after it, want 1", len(got))
	}
}
