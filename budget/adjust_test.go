package budget_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestAnAdjustmentIsAFigureOfItsOwn(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Metric: usage.Dollars, Scope: budget.Scope{"user": budget.Each}})
	f.record(by("u1", costing("a", "10")), by("u2", costing("b", "20")))
	a := budget.Adjustment{
		ID: "credit-note", Budget: b.ID, Value: budget.Value{"user": "u1"}, Amount: dec("-2.5"), Reason: "late delivery",
	}
	status, err := f.Adjust(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if !status.Used.Equal(dec("7.5")) || !status.Recorded.Equal(dec("10")) || !status.Adjusted.Equal(dec("-2.5")) || status.Value["user"] != "u1" {
		t.Errorf("status after it: %+v", status)
	}
	f.used(b.ID, budget.Value{"user": "u1"}, "7.5")
	f.used(b.ID, budget.Value{"user": "u2"}, "20")
	stored, err := f.Adjustments(t.Context(), budget.AdjustmentQuery{Budgets: []string{b.ID}, From: noon.Add(time.Nanosecond)})
	if err != nil || len(stored) != 1 || stored[0].ID != a.ID || stored[0].Units != -2_500_000_000 {
		t.Errorf("the adjustments are %+v, %v", stored, err)
	}
	points, err := f.History(t.Context(), b.ID, budget.HistoryQuery{})
	if err != nil || len(points) != 1 || !points[0].Used.Equal(dec("30")) {
		t.Errorf("adjustments are no usage, the history is %+v: %v", points, err)
	}
	f.verified()
}

func TestABudgetMayBeginWithWhatWasUsedElsewhere(t *testing.T) {
	t.Parallel()
	f := open(t)
	past := tokens("past", 5)
	past.Time = noon.AddDate(0, 0, -3)
	if _, err := f.WithoutAlerts().Record(t.Context(), past); err != nil {
		t.Fatal(err)
	}
	b := f.create(budget.Budget{})
	status, err := f.WithoutAlerts().Adjust(t.Context(), adjustment(b.ID, "80"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"85", "5", "80"}, []string{status.Used.String(), status.Recorded.String(), status.Adjusted.String()}); diff != "" {
		t.Errorf("used, recorded, adjusted (-want +got):\n%s", diff)
	}
	f.alerted()
	f.refused(request("a", 16))
	f.reserve(request("b", 15))
	if lines := f.lines(budget.GroupQuery{}); len(lines) != 1 || lines[0] != "1980-01-01 / 5" {
		t.Errorf("reports have %q, want what was recorded alone", lines)
	}
	later := f.create(budget.Budget{Disabled: true, Limit: dec("1000")})
	f.adjust(later.ID, "900")
	f.update(later.ID, func(b *budget.Budget) { b.Disabled = false })
	f.used(later.ID, nil, "905")
	f.verified()
	f.now = noon.AddDate(0, 1, 0)
	f.used(b.ID, nil, "0")
}

func TestAdjustmentsAreIdempotent(t *testing.T) {
	t.Parallel()
	given := adjustment("", "5")
	given.Time = noon
	tests := map[string]struct {
		change func(*budget.Adjustment)
		err    error
	}{
		"the same again":            {func(*budget.Adjustment) {}, nil},
		"another amount":            {func(a *budget.Adjustment) { a.Amount = dec("6") }, budget.ErrConflict},
		"another reason":            {func(a *budget.Adjustment) { a.Reason = "x" }, budget.ErrConflict},
		"another value":             {func(a *budget.Adjustment) { a.Value = budget.Value{"user": "u2"} }, budget.ErrConflict},
		"another time":              {func(a *budget.Adjustment) { a.Time = noon.Add(time.Second) }, budget.ErrConflict},
		"no time":                   {func(a *budget.Adjustment) { a.Time = time.Time{} }, budget.ErrConflict},
		"the same time, not in UTC": {func(a *budget.Adjustment) { a.Time = noon.In(time.FixedZone("", 3600)) }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
			a := given
			a.Budget, a.Value = b.ID, budget.Value{"user": "u1"}
			if _, err := f.Adjust(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			test.change(&a)
			status, err := f.Adjust(t.Context(), a)
			is(t, err, test.err)
			if err == nil && !status.Used.Equal(dec("5")) {
				t.Errorf("status: %s used, want 5", status.Used)
			}
			f.used(b.ID, budget.Value{"user": "u1"}, "5")
			f.used(b.ID, budget.Value{"user": "u2"}, "0")
			if n := len(f.audit()); n != 2 {
				t.Errorf("%d audit entries, want one for the budget and one for the adjustment", n)
			}
			f.verified()
		})
	}
}

func TestAnAdjustmentSentAgainInTheNextPeriodIsThatOfTheFirst(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	a := adjustment(b.ID, "5")
	if _, err := f.Adjust(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	f.now = noon.AddDate(0, 1, 0)
	status, err := f.Adjust(t.Context(), a)
	if err != nil || !status.Used.Equal(dec("5")) || !status.Period.Contains(noon) {
		t.Errorf("%s used in %v: %v", status.Used, status.Period, err)
	}
	f.used(b.ID, nil, "0")
	f.verified()
}

func TestAdjustRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*budget.Adjustment)
		want   []string
	}{
		"an amount of 0":            {func(a *budget.Adjustment) { a.Amount = dec("0") }, []string{"amount"}},
		"half a token":              {func(a *budget.Adjustment) { a.Amount = dec("0.5") }, []string{"amount"}},
		"what would be below 0":     {func(a *budget.Adjustment) { a.Amount = dec("-11") }, []string{"amount"}},
		"no id":                     {func(a *budget.Adjustment) { a.ID = "" }, []string{"id"}},
		"no budget":                 {func(a *budget.Adjustment) { a.Budget = "" }, []string{"budget"}},
		"no reason":                 {func(a *budget.Adjustment) { a.Reason = "" }, []string{"reason"}},
		"a long reason":             {func(a *budget.Adjustment) { a.Reason = strings.Repeat("x", 501) }, []string{"reason"}},
		"no value":                  {func(a *budget.Adjustment) { a.Value = nil }, []string{"value"}},
		"a value too many":          {func(a *budget.Adjustment) { a.Value = budget.Value{"user": "u1", "team": "x"} }, []string{"value"}},
		"another dimension's value": {func(a *budget.Adjustment) { a.Value = budget.Value{"tenant": "u1"} }, []string{"value"}},
		"an empty value":            {func(a *budget.Adjustment) { a.Value = budget.Value{"user": ""} }, []string{"value.user"}},
		"a value with NUL":          {func(a *budget.Adjustment) { a.Value = budget.Value{"user": "\x00"} }, []string{"value.user"}},
		"a time before 1980":        {func(a *budget.Adjustment) { a.Time = at("1979-12-31T00:00:00Z") }, []string{"time"}},
		"a period before the budget was made": {
			func(a *budget.Adjustment) { a.Time = at("2026-02-28T23:59:59Z") }, []string{"time"},
		},
		"everything at once": {
			func(a *budget.Adjustment) {
				*a = budget.Adjustment{Time: at("1979-12-31T00:00:00Z"), Value: budget.Value{"": ""}}
			},
			[]string{"id", "budget", "value", "value.", "amount", "reason", "time"},
		},
		"everything that depends on the budget": {
			func(a *budget.Adjustment) { a.Amount, a.Value, a.Time = dec("0.5"), nil, at("2026-02-01T00:00:00Z") },
			[]string{"amount", "value", "time"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
			f.record(by("u1", tokens("e", 10)))
			a := adjustment(b.ID, "-1")
			a.Value = budget.Value{"user": "u1"}
			test.change(&a)
			before := f.tallies()
			status, err := f.Adjust(t.Context(), a)
			is(t, err, budget.ErrInvalid)
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if status.Budget.ID != "" {
				t.Errorf("it returns the status %+v", status)
			}
			if diff := cmp.Diff(before, f.tallies()); diff != "" {
				t.Errorf("counters (-before +after):\n%s", diff)
			}
			f.verified()
		})
	}
}

func TestAdjustBounds(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Limit: dec("9223372036854775807")})
	_, err := f.Adjust(t.Context(), adjustment("unknown", "5"))
	is(t, err, budget.ErrNotFound)

	f.record(tokens("a", 10))
	f.adjust(b.ID, "-10") // down to 0
	f.used(b.ID, nil, "0")
	f.adjust(b.ID, "9223372036854775807")
	f.used(b.ID, nil, "9223372036854775807")
	_, err = f.Adjust(t.Context(), adjustment(b.ID, "1"))
	is(t, err, budget.ErrOverflow)
	_, err = f.Record(t.Context(), tokens("b", 1)) // neither figure passes int64, what is used would
	is(t, err, budget.ErrOverflow)
	f.used(b.ID, nil, "9223372036854775807")
	f.verified()
}

// A correction may take recorded usage below what was adjusted away: then used is below 0, and may be adjusted upwards.
func TestUsedMayFallBelow0ByACorrection(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	f.record(tokens("a", 10))
	f.adjust(b.ID, "-10")
	f.correct(back("c", "a", 4))
	f.used(b.ID, nil, "-4")
	f.adjust(b.ID, "1")
	f.used(b.ID, nil, "-3")
	f.verified()
}

func TestAnAdjustmentMayBeOfAPeriodThatIsOverOrAhead(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Schedule: period.Daily})
	f.now = noon.AddDate(0, 0, 5)
	for _, when := range []time.Time{noon, noon.AddDate(0, 0, 9)} {
		a := adjustment(b.ID, "5")
		a.Time = when
		if _, err := f.Adjust(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		status, err := f.StatusAt(t.Context(), b.ID, nil, when)
		if err != nil || !status.Used.Equal(dec("5")) {
			t.Errorf("used on %s: %s: %v", when, status.Used, err)
		}
	}
	f.used(b.ID, nil, "0")
	f.verified()
}

func TestAnAdjustmentWhoseOutcomeIsUnknownCountsOnce(t *testing.T) {
	t.Parallel()
	f, _ := failing(t, true, nil, budget.ErrOutcomeUnknown)
	b := f.create(budget.Budget{})
	status, err := f.Adjust(t.Context(), adjustment(b.ID, "5"))
	if err != nil || !status.Used.Equal(dec("5")) {
		t.Errorf("used %s: %v", status.Used, err)
	}
	f.used(b.ID, nil, "5")
}

func TestAnAdjustmentIsAudited(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Scope: budget.Scope{"tenant": "acme", "user": budget.Each}})
	a := budget.Adjustment{ID: "a1", Budget: b.ID, Value: budget.Value{"user": "u1"}, Amount: dec("12"), Reason: "carried over", Time: noon}
	f.now = noon.Add(time.Hour)
	if _, err := f.By("ann").Adjust(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	want := budget.AuditEntry{
		ID: "id-0003", Time: f.now, Actor: "ann", Tenant: "acme", Action: "adjust_budget", Kind: "budget", Target: b.ID,
		After: json.RawMessage(`{"id":"a1","value":{"user":"u1"},"amount":12,"reason":"carried over","time":"2026-03-10T12:00:00Z"}`),
	}
	if diff := cmp.Diff(want, f.audit()[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
