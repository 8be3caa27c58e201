package alert_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestAnAlertInJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 10, 12, 1, 0, 5000, time.UTC)
	full := alert.Alert{
		ID: "0196", Budget: "b", BudgetName: "Größe <1>", Owner: "finance", Tenant: "acme", Labels: map[string]string{"team": "ml"},
		Value: "4:user2:u1", Scope: map[usage.Dimension]string{usage.Tenant: "acme", usage.User: "u1"},
		Period: period.Monthly.Bounds(at), Kind: alert.Resolved, Threshold: dec("99.50"), Level: alert.Warning, Left: alert.Critical,
		Episode: 2, Metric: usage.Dollars, Used: 1_000_000_001, Limit: 2_500_000_000, At: at, Late: true, Superseded: true, Message: "m",
	}
	forecast := alert.Alert{Kind: alert.Forecast, Metric: usage.Tokens, Used: 5, Limit: 10, Expected: at.Add(time.Hour)}
	tests := map[string]struct {
		alert alert.Alert
		want  string
	}{
		"all that a receiver can use is written": {full, `{"id":"0196","at":"2026-03-10T12:01:00.000005Z","kind":"resolved",` +
			`"level":"warning","left":"critical","budget":"b","budget_name":"Größe \u003c1\u003e","owner":"finance","tenant":"acme","labels":{"team":"ml"},` +
			`"scope":{"tenant":"acme","user":"u1"},"period_start":"2026-03-01T00:00:00Z","period_end":"2026-04-01T00:00:00Z",` +
			`"threshold":99.5,"metric":"dollars","used":1.000000001,"limit":2.5,"late":true,"superseded":true,"message":"m"}`},
		"a kind without threshold has none": {
			alert.Alert{Kind: alert.Blocked, Metric: usage.Tokens, Used: 5, Limit: 10},
			`{"id":"","at":"0001-01-01T00:00:00Z","kind":"blocked","level":"ok","budget":"","budget_name":"","owner":"","tenant":"","labels":{},"scope":{},` +
				`"period_start":"0001-01-01T00:00:00Z","period_end":"0001-01-01T00:00:00Z","threshold":null,"metric":"tokens","used":5,"limit":10,` +
				`"late":false,"superseded":false,"message":""}`,
		},
		"a forecast has the expected instant": {
			forecast,
			`{"id":"","at":"0001-01-01T00:00:00Z","kind":"forecast","level":"ok","budget":"","budget_name":"","owner":"","tenant":"","labels":{},"scope":{},` +
				`"period_start":"0001-01-01T00:00:00Z","period_end":"0001-01-01T00:00:00Z","threshold":null,"metric":"tokens","used":5,"limit":10,` +
				`"expected_at":"2026-03-10T13:01:00.000005Z","late":false,"superseded":false,"message":""}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(test.alert)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "JSON", test.want, string(got))
		})
	}
}

func TestStateText(t *testing.T) {
	t.Parallel()
	for state, want := range map[alert.State]string{
		alert.Waiting: "waiting", alert.Claimed: "claimed", alert.Delivered: "delivered", alert.Dead: "dead",
	} {
		text, err := state.MarshalText()
		if err != nil || string(text) != want || state.String() != want {
			t.Errorf("state %d is %q (%q, %v), want %q", state, text, state, err, want)
		}
		var back alert.State
		if err := back.UnmarshalText(text); err != nil || back != state {
			t.Errorf("%q is %v, want %v: %v", text, back, state, err)
		}
	}
	var s alert.State
	if err := s.UnmarshalText([]byte("Dead")); !errors.Is(err, usage.ErrInvalid) || err.Error() != "state: must be one of waiting, claimed, delivered and dead" {
		t.Errorf("an unknown one: %v", err)
	}
	if _, err := alert.State(4).MarshalText(); err == nil || alert.State(4).String() != "state 4" {
		t.Errorf("one that is none is %q, %v", alert.State(4), err)
	}
}
