package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Three members say something of a schedule. Who sends all that they have read changes it by changing one of them.
func TestScheduleOfABudget(t *testing.T) {
	w := newWorld(t)
	const (
		monthly = `{"period": "monthly", "time_zone": "UTC", "start_day": 1}`
		sundays = `{"period": "weekly", "time_zone": "Europe/Berlin", "week_start": "sunday"}`
	)
	for _, c := range []struct{ name, made, sent, want string }{
		{"by its kind", ``, ``, monthly},
		{"in a zone", `"time_zone": "Asia/Tokyo"`, ``, `{"period": "monthly", "time_zone": "Asia/Tokyo", "start_day": 1}`},
		{"as a whole", `"schedule": {"period": "monthly", "start_day": 15}`, ``, `{"period": "monthly", "time_zone": "UTC", "start_day": 15}`},
		{"as a whole in a zone", `"time_zone": "Asia/Tokyo", "schedule": {"period": "monthly", "start_day": 15}`, ``, `{"period": "monthly", "time_zone": "Asia/Tokyo", "start_day": 15}`},
		{"as a whole with the same zone", `"time_zone": "Asia/Tokyo", "schedule": {"period": "monthly", "time_zone": "Asia/Tokyo"}`, ``, `{"period": "monthly", "time_zone": "Asia/Tokyo", "start_day": 1}`},
		{
			"every so many days", `"period_type": "every", "schedule": {"period": "every", "every": 14, "unit": "day", "anchor": "2026-01-05"}`, ``,
			`{"period": "every", "time_zone": "UTC", "every": 14, "unit": "day", "anchor": "2026-01-05"}`,
		},
		{"its kind changes", ``, `"period_type": "weekly"`, `{"period": "weekly", "time_zone": "UTC", "week_start": "monday"}`},
		{"its kind changes, its zone stays", `"time_zone": "Asia/Tokyo"`, `"period_type": "weekly"`, `{"period": "weekly", "time_zone": "Asia/Tokyo", "week_start": "monday"}`},
		{"its zone changes, its start stays", `"schedule": {"period": "monthly", "start_day": 15}`, `"time_zone": "Asia/Tokyo"`, `{"period": "monthly", "time_zone": "Asia/Tokyo", "start_day": 15}`},
		{"all are sent, the kind is new", ``, `"period_type": "daily", "time_zone": "UTC", "schedule": ` + monthly, `{"period": "daily", "time_zone": "UTC"}`},
		{"all are sent, the zone is new", ``, `"period_type": "monthly", "time_zone": "Asia/Tokyo", "schedule": ` + monthly, `{"period": "monthly", "time_zone": "Asia/Tokyo", "start_day": 1}`},
		{"all are sent, the schedule is new", ``, `"period_type": "monthly", "time_zone": "UTC", "schedule": ` + sundays, sundays},
		{"all are sent, all are new", ``, `"period_type": "weekly", "time_zone": "Europe/Berlin", "schedule": ` + sundays, sundays},
		{"the same", `"schedule": {"period": "monthly", "start_day": 15}`, `"period_type": "monthly"`, `{"period": "monthly", "time_zone": "UTC", "start_day": 15}`},
	} {
		a := w.wantMembers(`{"version": 1}`, "ada", "POST", budgets, with(simple, c.made))
		if c.sent != "" {
			a = w.want(200, "", "ada", "PUT", budgets+a.member(t, "id"), `{`+c.sent+`}`)
		}
		if diff := diffJSON(c.want, a.member(t, "schedule")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	id := w.make("ada", simple)
	for _, c := range []struct{ field, members string }{
		{"period_type", `"period_type": "weekly", "schedule": {"period": "daily"}`},
		{"time_zone", `"time_zone": "Asia/Tokyo", "schedule": {"period": "daily", "time_zone": "Europe/Berlin"}`},
		{"schedule", `"period_type": "every"`},
		{"time_zone", `"time_zone": "Mars/Olympus"`},
		{"time_zone", `"time_zone": "Local"`},
		{"schedule.week_start", `"schedule": {"period": "weekly", "week_start": "noday"}`},
		{"schedule.start_day", `"schedule": {"period": "monthly", "start_day": 32}`},
		{"schedule.colour", `"schedule": {"period": "monthly", "colour": 1}`},
	} {
		w.wantFields(c.field, "ada", "PUT", budgets+id, `{`+c.members+`}`)
		if c.field != "period_type" {
			c.members = strings.ReplaceAll(c.members, "daily", "monthly")
			w.wantFields(c.field, "ada", "POST", budgets, with(simple, c.members))
		}
	}
}

// Of a budget that counts each user by themselves the counter is shown in which most is used.
func TestABudgetForEachShowsItsHighestCounter(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		id := w.make("admin", with(simple, `"scope": {"tenant": "acme", "user": {"each": true}}, "except": {"user": ["boss"]}`))
		w.wantMembers(`{"value": null, "counters": 0, "current_usage": 0, "user_id": null}`, "admin", "GET", budgets+id, "")
		w.wantMembers(`{"value": null, "counters": 0, "projection": null, "usage_history": []}`, "admin", "GET", budgets+id+"/usage", "")
		w.use("acme", "ada", "", 30, "0")
		w.use("acme", "bob", "", 95, "0")
		w.use("acme", "boss", "", 500, "0")
		w.use("globex", "ada", "", 500, "0")
		w.wantMembers(`{"value": {"user": "bob"}, "counters": 2, "current_usage": 95, "level": "critical", "available": 5}`, "admin", "GET", budgets+id, "")
		w.wantMembers(`{"value": {"user": "bob"}, "counters": 2, "current_usage": 95, "projection": "*",
			"usage_history": [{"date": "2026-03-15", "usage": 95, "tokens": 95, "cost_dollars": 0, "requests": 1}]}`, "acme-admin", "GET", budgets+id+"/usage", "")
		w.want(200, `[{"budget_id": "`+id+`", "budget_name": "n", "alert_type": "critical", "current_usage": 95, "limit_amount": 100,
			"usage_percentage": 95, "message": "Budget \"n\" has used 95.0% of its limit (critical)"}]`, "admin", "GET", budgets+id+"/alerts", "")
		w.want(404, "", "acme-ada", "GET", budgets+id, "") // it limits her, and tells of others
	})
}

// What a license has bought changes with the license, not by the back door.
func TestBudgetsOfALicenseAreReadAndNotChanged(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		_, err := w.ledger.CreateLicense(t.Context(), budget.License{
			ID: "lic", Tenant: "acme", CreditsTotal: new(decimal.NewFromInt(10)), CostPerCredit: new(decimal.NewFromInt(1)),
		})
		if err != nil {
			t.Fatal(err)
		}
		before := w.want(200, "", "admin", "GET", budgets+"lic.credits", "")
		w.wantMembers(`{"total": 1}`, "acme-admin", "GET", budgets, "")
		w.wantFields("id", "admin", "PUT", budgets+"lic.credits", `{"limit_amount": 20}`)
		w.wantFields("id", "admin", "PUT", budgets+"lic.credits", `{}`)
		w.wantFields("id", "acme-admin", "DELETE", budgets+"lic.credits", "")
		w.want(404, "", "globex-admin", "PUT", budgets+"lic.credits", `{}`)
		w.want(404, "", "bob", "DELETE", budgets+"lic.credits", "")
		w.want(200, before.body, "admin", "GET", budgets+"lic.credits", "")
	})
}

// A scope says whom a budget limits: who changes it must be one who could make such a budget.
func TestTheScopeOfABudgetWithoutOwnerCanBeChanged(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.use("acme", "ada", "", 5, "0")
		id := w.make("acme-admin", with(simple, `"scope": {"resource": "m"}`))
		w.want(403, "", "updater", "PUT", budgets+id, `{"scope": {}}`)
		w.want(403, "", "updater", "PUT", budgets+id, `{"scope": {}, "budget_type": "dollars", "version": 7}`)
		w.wantFields("scope.tenant", "acme-admin", "PUT", budgets+"unknown", `{"scope": {"tenant": "globex"}}`)
		w.wantFields("scope", "admin", "PUT", budgets+"unknown", `{"scope": {"": "x"}}`)
		w.wantMembers(`{"limit_amount": 7, "version": 2}`, "updater", "PUT", budgets+id, `{"limit_amount": 7, "scope": {"tenant": "acme", "resource": "m"}}`)
		w.wantMembers(`{"scope": {"tenant": "acme"}, "current_usage": 5}`, "acme-admin", "PUT", budgets+id, `{"scope": {}}`)
		w.wantFields("scope.tenant", "acme-admin", "PUT", budgets+id, `{"scope": {"tenant": "globex"}}`)
		w.wantFields("scope.tenant", "acme-admin", "PUT", budgets+id, `{"scope": {"tenant": {"each": true}}}`)
		w.wantFields("user_id", "admin", "PUT", budgets+id, `{"user_id": "ada"}`)
		w.wantMembers(`{"scope": {"user": {"each": true}}, "value": {"user": "ada"}, "user_id": null}`,
			"admin", "PUT", budgets+id, `{"scope": {"user": {"each": true}}}`)
		w.want(404, "", "acme-admin", "GET", budgets+id, "")
	})
}

// Of many who change what they have read, one does.
func TestOfManyWithOneVersionOneChangesTheBudget(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		var mu sync.Mutex
		statuses := make(map[int]int)
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() {
				method, body, header := "PUT", `{"limit_amount": `+strconv.Itoa(1000+i)+`, "version": 1}`, "X: y"
				switch i % 3 {
				case 1:
					body, header = `{"limit_amount": `+strconv.Itoa(1000+i)+`}`, `If-Match: "1"`
				case 2:
					method, body, header = "DELETE", "", `If-Match: "1"`
				}
				a := w.do("admin", method, budgets+id, body, header)
				mu.Lock()
				defer mu.Unlock()
				statuses[a.status]++
			})
		}
		group.Wait()
		if statuses[200] != 1 || statuses[409]+statuses[412]+statuses[404] != 9 {
			t.Errorf("the answers are %v", statuses)
		}
		if n := len(w.audit(t, "resource_id="+id)); n != 2 {
			t.Errorf("the audit has %d entries", n)
		}
	})
}

// Budgets come from elsewhere too: their ids are any text.
func TestBudgetsMadeElsewhere(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		for _, id := range []string{"a/b", "100%", "ä ö", "..", "%2F", "?", "usage", "\"", "'; --", strings.Repeat("x", 128)} {
			b := budget.Budget{
				ID: id, Name: "n", Metric: usage.Tokens, Limit: decimal.NewFromInt(100), Scope: budget.Scope{usage.Tenant: budget.Each},
				Owner: "ada", Schedule: period.Every(6, period.Hour, morning),
			}
			if _, err := w.ledger.Create(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			path := budgets + url.PathEscape(id)
			if id == ".." {
				path = budgets + "%2e%2e"
			}
			a := w.want(200, "", "admin", "GET", path, "")
			if got := a.member(t, "id"); got != id {
				t.Errorf("%s answers %q", path, got)
			}
			w.wantMembers(`{"period_type": "every", "period_start": "2026-03-15T09:30:00Z", "period_end": "2026-03-15T15:29:59.999999Z", "created_by": null, "user_id": "ada"}`,
				"admin", "PUT", path, a.body)
			w.wantMembers(`{"days_remaining": 0}`, "admin", "GET", path+"/usage", "")
			w.want(404, "", "ada", "GET", path, "") // hers is what counts her, not each tenant
			w.want(200, "", "deleter", "DELETE", path, "")
		}
		w.wantMembers(`{"total": 0}`, "ada", "GET", budgets, "")
		entries := w.want(200, "", "admin", "GET", "/api/v1/audit?action=create_budget&size=1", "")
		var page struct{ Entries []json.RawMessage }
		if err := json.Unmarshal([]byte(entries.body), &page); err != nil {
			t.Fatal(err)
		}
		if diff := diffMembers(`{"user_id": null, "tenant": null, "details": {"before": null, "after": "*"}}`, string(page.Entries[0])); diff != "" {
			t.Errorf("the entry (-want +got):\n%s", diff)
		}
	})
}

// A history whose events are gone is not in the way of what is known.
func TestUsageOfWhatWasPruned(t *testing.T) {
	w := newWorld(t)
	w.use("", "ada", "", 5, "0", morning.AddDate(0, 0, -20))
	label := usage.Event{ID: "x", Subject: usage.Subject{Labels: map[string]string{"team": "x"}}, Amounts: usage.Amounts{InputTokens: 7}}
	if _, err := w.ledger.Record(t.Context(), label); err != nil {
		t.Fatal(err)
	}
	sums := w.make("ada", simple)
	events := w.make("admin", with(simple, `"scope": {"team": "x"}, "period_type": "daily"`))
	if _, err := w.ledger.Prune(t.Context(), morning.AddDate(0, 0, -10), nil); err != nil {
		t.Fatal(err)
	}
	w.wantMembers(`{"current_usage": 0, "usage_history": [{"date": "2026-02-23", "usage": 5, "tokens": 5, "cost_dollars": 0, "requests": 1}], "projection": "*"}`,
		"ada", "GET", budgets+sums+"/usage", "")
	w.wantMembers(`{"current_usage": 7, "usage_history": null, "projection": "*"}`, "admin", "GET", budgets+events+"/usage", "")
	w.wantFields("request", "admin", "PUT", budgets+events, `{"period_type": "yearly"}`)
}

func TestBudgetsInTimeZones(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.set("2026-03-28T23:30:00Z") // in Berlin the day on which the clocks are set forward has begun
		id := w.make("ada", with(simple, `"period_type": "daily", "time_zone": "Europe/Berlin"`))
		w.use("", "ada", "", 5, "0", time.Date(2026, 3, 28, 22, 59, 0, 0, time.UTC))
		w.use("", "ada", "", 7, "0", time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC))
		w.wantMembers(`{"current_usage": 7, "period_start": "2026-03-28T23:00:00Z", "period_end": "2026-03-29T21:59:59.999999Z"}`, "ada", "GET", budgets+id, "")
		w.wantMembers(`{"usage_history": [{"date": "2026-03-28", "usage": 5, "tokens": 5, "cost_dollars": 0, "requests": 1},
			{"date": "2026-03-29", "usage": 7, "tokens": 7, "cost_dollars": 0, "requests": 1}]}`, "ada", "GET", budgets+id+"/usage", "")
	})
}

// Reserved room is no usage, and is not available.
func TestReservedRoomOfABudget(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		id := w.make("ada", simple)
		if _, err := w.reserve("ada", 60); err != nil {
			t.Fatal(err)
		}
		w.wantMembers(`{"current_usage": 0, "reserved": 60, "available": 40, "level": "ok"}`, "ada", "GET", budgets+id, "")
		w.wantMembers(`{"current_usage": 0, "reserved": 60, "available": 40, "remaining_amount": 100, "leased": 0}`, "ada", "GET", budgets+id+"/usage", "")
		if _, err := w.reserve("ada", 50); !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("a second reservation: %v", err)
		}
		w.wantMembers(`{"denied": 1}`, "ada", "GET", budgets+id, "")
		w.wantMembers(`{"limit_amount": 120, "available": 60}`, "ada", "PUT", budgets+id, `{"limit_amount": 120}`)
	})
}

// HEAD is GET without the body.
func TestHeadOfABudget(t *testing.T) {
	w := newWorld(t)
	id := w.make("ada", simple)
	a := w.do("ada", http.MethodHead, budgets+id, "")
	if a.status != 200 || a.body != "" || a.header.Get("ETag") != `"1"` {
		t.Errorf("%d, %q, ETag %s", a.status, a.body, a.header.Get("ETag"))
	}
	if diff := cmp.Diff(404, w.do("bob", http.MethodHead, budgets+id, "").status); diff != "" {
		t.Error(diff)
	}
}

// A request that is wrong in very many ways costs no more than one that is wrong in a few.
func TestOfVeryManyFindingsTheFirstAreListed(t *testing.T) {
	w := newWorld(t)
	var unknown, dimensions, percents []string
	for i := range 10_000 {
		unknown = append(unknown, fmt.Sprintf(`"u%d": 1`, i))
		dimensions = append(dimensions, fmt.Sprintf(`"\u0007%d": ""`, i))
		percents = append(percents, `-1`)
	}
	for _, members := range []string{
		strings.Join(unknown, ", "),
		`"scope": {` + strings.Join(dimensions, ", ") + `}`,
		`"except": {` + strings.Join(dimensions, ", ") + `}`,
		`"labels": {` + strings.Join(dimensions, ", ") + `}`,
		`"extra_percents": [` + strings.Join(percents, ", ") + `]`,
		`"allowed_resources": [` + strings.Join(percents, ", ") + `]`,
	} {
		a := w.want(422, "", "admin", "POST", budgets, with(simple, members))
		if len(a.body) > 50_000 || strings.Count(a.body, `"field"`) > 100 {
			t.Errorf("%.50s: %d bytes, %.200s", members, len(a.body), a.body)
		}
	}
}

// Credits are counted at the budget's own rate.
func TestABudgetOfCredits(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		w.use("", "ada", "", 1, "0.25")
		credits := with(simple, `"budget_type": "credits", "limit_amount": "10.5", "cost_per_credit": 0.1`)
		id := w.wantMembers(`{"limit_amount": 10.5, "cost_per_credit": 0.1, "current_usage": 2.5}`, "ada", "POST", budgets, credits).member(w.t, "id")
		w.wantMembers(`{"cost_per_credit": 0.05, "current_usage": 2.5}`, "ada", "PUT", budgets+id, `{"cost_per_credit": "0.050"}`)
		w.wantMembers(`{"usage_history": [{"date": "2026-03-15", "usage": 2.5, "tokens": 1, "cost_dollars": 0.25, "requests": 1}]}`, "ada", "GET", budgets+id+"/usage", "")
		w.wantMembers(`{"cost_per_credit": null}`, "ada", "POST", budgets, with(credits, `"cost_per_credit": null`))
		w.wantFields("cost_per_credit", "ada", "PUT", budgets+id, `{"cost_per_credit": -1}`)
		w.wantFields("cost_per_credit", "ada", "POST", budgets, with(dollars, `"cost_per_credit": 1`))
		w.wantFields("limit_amount", "ada", "PUT", budgets+id, `{"limit_amount": 0.0000001}`)
	})
}

// Usage that a budget can't count is recorded nowhere: nobody may make a budget that little usage is too much for.
func TestACreditIsNotWorthNextToNothing(t *testing.T) {
	w := newWorld(t)
	const body = `{"name": "n", "budget_type": "credits", "limit_amount": 5, "period_type": "lifetime", "cost_per_credit": %s}`
	w.want(422, `{"type": "*", "title": "*", "status": 422, "detail": "*",
		"errors": [{"field": "cost_per_credit", "message": "must be at least 0.000001"}]}`,
		"ada", "POST", "/api/v1/budgets", fmt.Sprintf(body, "0.000000999"))
	w.want(200, "", "ada", "POST", "/api/v1/budgets", fmt.Sprintf(body, "0.000001"))
}

func TestAScheduleIsOfThePeriodTypeBesideIt(t *testing.T) {
	w := newWorld(t)
	a := w.want(200, "", "ada", "POST", "/api/v1/budgets", `{"name": "n", "budget_type": "tokens", "limit_amount": 5,
		"period_type": "weekly", "schedule": {"week_start": "sunday"}}`)
	if got, want := a.member(t, "period_start"), "2026-03-15T00:00:00Z"; got != want {
		t.Errorf("the week begins at %s, want %s", got, want)
	}
}
