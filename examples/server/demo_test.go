package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/trace"
	"github.com/purser-go/purser/examples/server/internal/demo"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/store/memstore"
)

func TestTheDemoShowsEverythingThereIs(t *testing.T) {
	if testing.Short() {
		t.Skip("records 20,000 events")
	}
	for name, at := range map[string]string{
		"in the middle of a month": "2026-03-18T14:20:00Z",
		"as a month begins":        "2026-03-01T00:00:30Z",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, err := time.Parse(time.RFC3339, at)
			if err != nil {
				t.Fatal(err)
			}
			frozen := func() time.Time { return now }
			s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "demo.db"), &store.Options{Now: frozen})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			var told bytes.Buffer
			if err := fillDemo(t.Context(), s, now, &told); err != nil {
				t.Fatal(err)
			}
			if want := trace.Attribution() + "\n" + demo.Rule + "\n"; told.String() != want {
				t.Errorf("the demo says %q, want %q", &told, want)
			}
			ledger := budget.NewLedger(s, &budget.Options{Now: frozen})
			seen := contentsOf(t, ledger)
			for _, what := range []string{
				"level ok", "level warning", "level critical", "level exceeded", "disabled", "reserved", "refused", "adjusted", "each",
				"owned", "kind hourly", "kind daily", "kind weekly", "kind monthly", "kind quarterly", "kind lifetime",
				"metric tokens", "metric output_tokens", "metric dollars", "metric requests", "metric credits",
				"enforcement hard", "enforcement soft", "enforcement observe", "scope of everybody", "scope of tenant", "scope of user",
				"scope of api_key", "scope of resource", "alert threshold", "alert blocked", "license", "no license",
			} {
				if seen[what] == 0 {
					t.Errorf("the demo has nothing that is %s", what)
				}
			}
			found, err := ledger.Verify(t.Context(), nil)
			if err != nil || len(found.Differences) > 0 || found.Events < 15_000 {
				t.Errorf("of %d events: %v, %v", found.Events, found.Differences, err)
			}
			if waiting, err := ledger.Alerts(t.Context(), budget.AlertQuery{Unrouted: true}); err != nil || len(waiting) > 0 {
				t.Errorf("%d alerts of the past are to be sent: %v", len(waiting), err)
			}
			whole := textOf(t, ledger)
			told.Reset()
			if err := fillDemo(t.Context(), s, now.AddDate(0, 0, 1), &told); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole, textOf(t, ledger)); diff != "" || !strings.Contains(told.String(), "has contents already") {
				t.Errorf("a second start says %q and changes (-before +after):\n%s", &told, diff)
			}
			again := memstore.New(&memstore.Options{Now: frozen})
			if err := fillDemo(t.Context(), again, now, &told); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole, textOf(t, budget.NewLedger(again, &budget.Options{Now: frozen}))); diff != "" {
				t.Errorf("the same now makes something else (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADatabaseKeepsItsZoneAndItsContents(t *testing.T) {
	if testing.Short() {
		t.Skip("records 20,000 events")
	}
	dir := t.TempDir()
	var bodies []string
	for _, flags := range [][]string{
		{"--demo", "--now", "2026-03-31T22:30:00Z", "--zone", "Europe/Berlin"}, // where it is April
		{"--demo", "--now", "2026-03-31T22:30:00Z"},
	} {
		s := start(t, dir, flags...)
		status, body := s.get(t, "/api/token-usage/acme/current", s.token)
		if status != http.StatusOK || !strings.HasPrefix(body, `{"year_month":"2026-04",`) {
			t.Errorf("%v: %d %s", flags, status, body)
		}
		bodies = append(bodies, body)
		s.stop(t)
		for _, line := range []string{"has contents already", "the database keeps the zone that it was made with"} {
			if again := len(bodies) == 2; strings.Contains(s.stderr.String(), line) != again {
				t.Errorf("%v: %q is said: %v", flags, line, !again)
			}
		}
	}
	if bodies[0] != bodies[1] {
		t.Errorf("first\n%s\nand then\n%s", bodies[0], bodies[1])
	}
}

// contentsOf counts what there is of each kind.
func contentsOf(t *testing.T, l *budget.Ledger) map[string]int {
	t.Helper()
	seen := make(map[string]int)
	page, err := l.List(t.Context(), budget.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range page.Rows {
		b := row.Budget
		if b.Labels["license"] != "" {
			continue
		}
		seen["kind "+string(b.Schedule.Kind())]++
		seen["enforcement "+string(b.Enforcement)]++
		seen["metric "+string(b.Metric)]++
		for dimension, value := range b.Scope {
			seen["scope of "+string(dimension)]++
			seen["each"] += count(value == budget.Each)
		}
		seen["scope of everybody"] += count(len(b.Scope) == 0)
		seen["disabled"] += count(b.Disabled)
		seen["owned"] += count(b.Owner != "")
		seen["reserved"] += count(row.Reserved.IsPositive())
		seen["refused"] += count(row.Denied > 0)
		seen["adjusted"] += count(row.Adjusted.IsNegative())
		if !b.Disabled {
			seen["level "+row.Level.String()]++
		}
	}
	for a, err := range l.Overview(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen["license"] += count(a.License != nil)
		seen["no license"] += count(a.License == nil)
		if a.License != nil && a.CreditsPercent != nil {
			seen["metric credits"]++
		}
	}
	alerts, err := l.Alerts(t.Context(), budget.AlertQuery{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		seen["alert "+string(a.Kind)]++
	}
	return seen
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// textOf returns what a ledger tells, but for what deliveries became of.
func textOf(t *testing.T, l *budget.Ledger) []string {
	t.Helper()
	var lines []string
	add := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	for s, err := range l.Statuses(t.Context(), budget.Query{}, time.Time{}) {
		add(s, err)
	}
	for a, err := range l.Overview(t.Context()) {
		add(a, err)
	}
	reservations, err := l.Reservations(t.Context(), budget.ReservationQuery{})
	for _, r := range reservations {
		add(fmt.Sprint(r), err)
	}
	entries, err := l.Audit(t.Context(), budget.AuditQuery{Limit: 1000})
	for _, e := range entries {
		add(e, err)
	}
	alerts, err := l.Alerts(t.Context(), budget.AlertQuery{Limit: 10_000})
	for _, a := range alerts {
		add(a, err)
	}
	return lines
}
