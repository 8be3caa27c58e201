package storetest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// noon is the instant around which the tests take place.
var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

// always holds every instant that an event can have.
var always = period.Bounds{Start: usage.MinTime, End: usage.EndTime}

// at returns the instant so many minutes after noon.
func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// longAgo and farAhead are instants that any store's clock has passed, and that none has reached.
var (
	longAgo  = time.Date(1999, time.December, 31, 23, 59, 59, 999999000, time.UTC)
	farAhead = time.Date(2199, time.December, 31, 23, 59, 59, 999999000, time.UTC)
)

// exact returns an instant so many minutes after noon that needs all six places of its second.
func exact(minutes int) time.Time { return at(minutes).Add(123456 * time.Microsecond) }

// ids returns n ids in ascending order.
func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("id-%03d", i)
	}
	return list
}

// nasty returns texts that a store must keep as they are and tell apart, in ascending order of their bytes: what ends a
// literal of SQL, of an array, of JSON or of a pattern, what means something to a database, and what differs only by
// case, accent, composition or blanks.
func nasty() []string {
	return slices.Sorted(slices.Values([]string{
		" ", "  ", " x", "x ", "x", "'", "''", "'); DROP TABLE purser_events; --", "--", "/* */", ";", `"`, `"a", 'b'`,
		`\`, `\\`, `\'`, `\"`, `\N`, `\x00`, `\u0000`, "%", "_", "%s", "?", "??", "$1", ":name", "@each", "#", "*", "~", "-",
		"null", "NULL", "true", "0", "7", "007", "1e5", "NaN", "Infinity", "{}", "{a,b}", "{NULL}", `{"a": 1}`, "[1]", "(a,b)",
		",", "a", "A", "b", "B", "Z", "z", "ß", "é", "e\u0301", "ü", "ﬁ", "日本語", "\ufffd", "\u2028", "😀",
		strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("é", 64), strings.Repeat("😀", 32),
	}))
}

func dec(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// definition returns a plain definition, changed as said.
func definition(id string, changes ...func(*budget.Definition)) budget.Definition {
	d := budget.Definition{
		Budget: budget.Budget{
			ID:          id,
			Name:        "Budget " + id,
			Metric:      usage.Dollars,
			Limit:       dec("500"),
			Schedule:    period.Monthly,
			Enforcement: budget.Hard,
			Version:     1,
			CreatedAt:   noon,
			UpdatedAt:   noon,
		},
		CountedFrom: noon,
	}
	for _, change := range changes {
		change(&d)
	}
	return d
}

// fullDefinition returns a definition in which every field says something.
func fullDefinition(id string) budget.Definition {
	return budget.Definition{
		Budget: budget.Budget{
			ID:               id,
			Name:             "Größe, 'monthly'",
			Description:      new("two\nlines\tand a tab"),
			Metric:           usage.Credits,
			Limit:            dec("9223372036854.775807"),
			CostPerCredit:    dec("0.012345678"),
			Schedule:         period.Weekly,
			Scope:            budget.Scope{usage.Tenant: "acme", usage.User: budget.Each, "project": "%_'"},
			Except:           budget.Except{usage.User: {"b", "a", "007"}},
			StartsAt:         exact(-60),
			EndsAt:           exact(60 * 24 * 365 * 100),
			AllowedResources: []string{"model-b", "model-a"},
			Enforcement:      budget.Soft,
			MinHold:          dec("0.000001"),
			Thresholds:       alert.Thresholds{Warning: new(dec("0")), Critical: new(dec("99.999999999")), Extra: []decimal.Decimal{dec("150"), dec("50.5")}},
			Disabled:         true,
			Owner:            "ops",
			CreatedBy:        "root",
			Labels:           map[string]string{"license": "7", "{": "}"},
			Metadata:         json.RawMessage("{ \"b\": 1.0e2,\n\"a\": \"\\u00e9é\", \"b\": null }"),
			Version:          math.MaxInt64,
			CreatedAt:        exact(1),
			UpdatedAt:        exact(2),
		},
		Rates:       []budget.Rate{{CostPerCredit: dec("0.01")}, {From: exact(3), CostPerCredit: dec("0.012345678")}},
		CountedFrom: exact(-120),
	}
}

// tenant returns a tenant with two licenses: one that says nothing and one in which every field says something.
func tenant(id string, changes ...func(*budget.Tenant)) budget.Tenant {
	t := budget.Tenant{
		ID: id, Name: "Tenant " + id, Slug: "tenant", CreatedAt: noon, UpdatedAt: exact(1),
		Licenses: []budget.License{
			{ID: "plain " + id, Tenant: id, StartsAt: noon, CreatedAt: noon, UpdatedAt: noon},
			{
				ID: "full " + id, Tenant: id, Inactive: true,
				CreditsTotal: new(dec("9223372036854.775807")), CostPerCredit: new(dec("0.012345678")),
				MoneyBudget: new(dec("0")), WarningPercent: new(dec("99.999999999")),
				StartsAt: exact(-60), EndsAt: exact(60 * 24 * 365 * 100), CreatedAt: exact(2), UpdatedAt: exact(3),
			},
		},
	}
	for _, change := range changes {
		change(&t)
	}
	return t
}

// event returns a plain event, changed as said.
func event(tenant, id string, changes ...func(*budget.StoredEvent)) budget.StoredEvent {
	e := budget.StoredEvent{
		ID:         id,
		Subject:    usage.Subject{Tenant: tenant},
		Time:       noon,
		Totals:     usage.Totals{InputTokens: 3, OutputTokens: 4, TotalTokens: 7, Requests: 1},
		Hash:       usage.Hash{1, 2, 3},
		RecordedAt: noon,
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

// fullEvent returns an event in which every field says something.
func fullEvent(tenant, id string) budget.StoredEvent {
	e := budget.StoredEvent{
		ID: id,
		Subject: usage.Subject{
			Tenant: tenant, User: "ann", APIKey: "key-1", Resource: "model-a",
			Labels: map[string]string{"project": "p'1", `"`: `\`},
		},
		Time:       exact(1),
		Totals:     extremeTotals(),
		Flags:      budget.TimeGiven | budget.CostGiven | budget.Estimated | budget.Late,
		Corrects:   "earlier",
		CostBefore: math.MinInt64,
		Reason:     "counted\ntwice",
		PricedBy:   "list: openai/gpt-5 since 2026-01-01",
		RecordedAt: exact(2),
	}
	for i := range e.Hash {
		e.Hash[i] = byte(255 - i)
	}
	return e
}

// reservation returns a plain reservation, which is open and not overdue, changed as said.
func reservation(tenant, id string, changes ...func(*budget.StoredReservation)) budget.StoredReservation {
	r := budget.StoredReservation{
		ID:       id,
		Subject:  usage.Subject{Tenant: tenant},
		Time:     noon,
		Estimate: usage.Totals{InputTokens: 3, TotalTokens: 3, Requests: 1},
		Hash:     usage.Hash{1, 2, 3},
		Expires:  farAhead,
		Holds:    []budget.Hold{{CounterKey: counterKey("b", "", 0), Units: 3}},
	}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func expires(at time.Time) func(*budget.StoredReservation) {
	return func(r *budget.StoredReservation) { r.Expires = at }
}

func state(s budget.ReservationState) func(*budget.StoredReservation) {
	return func(r *budget.StoredReservation) { r.State = s }
}

// fullReservation returns a reservation in which every field says something.
func fullReservation(tenant, id string) budget.StoredReservation {
	r := budget.StoredReservation{
		ID: id,
		Subject: usage.Subject{
			Tenant: tenant, User: "ann", APIKey: "key-1", Resource: "model-a",
			Labels: map[string]string{"project": "p'1", `"`: `\`},
		},
		Time:     exact(1),
		Estimate: extremeTotals(),
		State:    budget.Expired,
		Lease:    true,
		Expires:  exact(2),
		Holds: []budget.Hold{
			{CounterKey: budget.CounterKey{Budget: "B", Start: period.Lifetime.Bounds(noon).Start.UnixMicro()}, Units: math.MaxInt64},
			{CounterKey: budget.CounterKey{Budget: "a", Value: budget.Value{usage.User: `"ann"`}.Key(), Start: -1}, Units: 1<<53 + 1},
			{CounterKey: budget.CounterKey{Budget: "a", Value: budget.Value{usage.User: "bob"}.Key(), Start: -1}},
		},
	}
	for i := range r.Hash {
		r.Hash[i] = byte(255 - i)
	}
	return r
}

func extremeTotals() usage.Totals {
	return usage.Totals{
		InputTokens: math.MaxInt64, OutputTokens: math.MinInt64, CacheCreationTokens: math.MaxInt64 - 1, CacheReadTokens: 1<<53 + 1,
		TotalTokens: -1, Requests: 1<<62 + 3, Runs: math.MinInt64 + 1, Nanodollars: math.MaxInt64 - 2,
	}
}

func extremeTally() budget.Tally {
	return budget.Tally{
		Recorded: math.MaxInt64, Adjusted: math.MinInt64, Reserved: 1<<53 + 1, Pruned: math.MaxInt64 - 1,
		Denied: 1<<62 + 3, WouldDeny: math.MaxInt64 - 2, Episode: 1<<31 + 1,
		Leased: math.MaxInt64 - 3, Wanted: math.MaxInt64 - 4, Expired: 1<<31 + 2, ExpiredHeld: 1<<53 + 3,
	}
}

// adjustment returns an adjustment in which every field says something, changed as said.
func adjustment(budgetID, id string, changes ...func(*budget.StoredAdjustment)) budget.StoredAdjustment {
	a := budget.StoredAdjustment{
		ID:         id,
		Budget:     budgetID,
		Value:      budget.Value{usage.User: "ann"}.Key(),
		Metric:     usage.Credits,
		Units:      math.MinInt64,
		Time:       exact(1),
		TimeGiven:  true,
		Reason:     "goodwill, 'twice'",
		Actor:      "root",
		RecordedAt: exact(2),
	}
	for _, change := range changes {
		change(&a)
	}
	return a
}

// alertOf returns an alert in which every field says something, changed as said.
func alertOf(budgetID, id string, changes ...func(*alert.Alert)) alert.Alert {
	a := alert.Alert{
		ID:         id,
		Budget:     budgetID,
		BudgetName: "Größe",
		Owner:      "finance",
		Tenant:     "acme",
		Labels:     map[string]string{"team": "<é>"},
		Scope:      map[usage.Dimension]string{usage.Tenant: "acme", usage.User: id},
		Value:      budget.Value{usage.User: id}.Key(),
		Period:     period.Monthly.Bounds(noon),
		Kind:       alert.Threshold,
		Threshold:  dec("99.999999999"),
		Level:      alert.Critical,
		Left:       alert.Exceeded,
		Episode:    3,
		Metric:     usage.Dollars,
		Used:       math.MaxInt64,
		Limit:      math.MaxInt64 - 1,
		At:         exact(1),
		Expected:   exact(2),
		Late:       true,
		Superseded: true,
		Message:    "Größe has used 99.9 % of its limit",
	}
	for _, change := range changes {
		change(&a)
	}
	return a
}

// entry returns an audit entry in which every field says something, changed as said.
func entry(id string, changes ...func(*budget.AuditEntry)) budget.AuditEntry {
	e := budget.AuditEntry{
		ID:      id,
		Time:    exact(1),
		Actor:   "root",
		Tenant:  "acme",
		Action:  "update_budget",
		Kind:    "budget",
		Target:  "b",
		Before:  json.RawMessage(`{"limit":1.50,"name":"<é>"}`),
		After:   json.RawMessage(`{"name":"\u00e9","limit":2}`),
		Details: json.RawMessage(`{ "fields": ["name", "limit"] }`),
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

// keyClaim returns a claim of a key in which every field says something, changed as said.
func keyClaim(key string, changes ...func(*budget.KeyClaim)) budget.KeyClaim {
	c := budget.KeyClaim{Key: key, Time: exact(1), Times: 1}
	for i := range c.Hash {
		c.Hash[i] = byte(255 - i)
	}
	for _, change := range changes {
		change(&c)
	}
	return c
}

// counterKey returns a key of a counter whose period starts so many minutes after noon.
func counterKey(budgetID, value string, minutes int) budget.CounterKey {
	return budget.CounterKey{Budget: budgetID, Value: value, Start: at(minutes).UnixMicro()}
}

// usageKey returns a key of a sum of quarter hours that start so many quarters after noon.
func usageKey(tenant string, quarters int) budget.UsageKey {
	return budget.UsageKey{Grain: usage.QuarterHours, Bucket: at(15 * quarters).UnixMicro(), Tenant: tenant}
}

func counter(key budget.CounterKey, tally budget.Tally) budget.Counter {
	return budget.Counter{CounterKey: key, Tally: tally}
}

func used(key budget.UsageKey, totals usage.Totals) budget.UsageAdd {
	return budget.UsageAdd{UsageKey: key, Totals: totals}
}
