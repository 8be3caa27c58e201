package budget_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func (f *fixture) check(r budget.Request) budget.Decision {
	f.t.Helper()
	d, err := f.Check(f.t.Context(), r)
	if err != nil {
		f.t.Fatalf("check %q: %v", r.ID, err)
	}
	return d
}

func TestCheckSaysWhatReserveWouldDo(t *testing.T) {
	f := open(t)
	f.create(budget.Budget{ID: "a", Limit: dec("100")})
	f.create(budget.Budget{ID: "b", Limit: dec("10"), Enforcement: budget.Soft})
	f.create(budget.Budget{ID: "c", Limit: dec("1000"), Scope: budget.Scope{usage.User: budget.Each}, AllowedResources: []string{"model-z"}})
	f.create(budget.Budget{ID: "d", Disabled: true})
	f.create(budget.Budget{ID: "e", Scope: budget.Scope{usage.Tenant: "other"}})
	f.create(budget.Budget{ID: "f", Metric: usage.Dollars})

	before := f.contents()
	d := f.check(request("r", 101))
	if diff := cmp.Diff(before, f.contents(), cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("checking changed something (-want +got):\n%s", diff)
	}
	type verdict struct {
		ID, Requested string
		Reason        budget.Reason
		Refused       bool
	}
	var got []verdict
	for _, v := range d.Verdicts {
		got = append(got, verdict{v.Budget.ID, v.Requested.String(), v.Reason, v.Refused})
	}
	want := []verdict{
		{"a", "101", budget.NoRoom, true},
		{"b", "101", budget.NoRoom, false},
		{"c", "101", budget.ResourceNotAllowed, true},
		{"f", "0", budget.EstimateRequired, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	_, reserved := f.Reserve(t.Context(), request("r", 101))
	for _, err := range []error{d.Err(), reserved} {
		for _, reason := range []error{budget.ErrExceeded, budget.ErrResourceNotAllowed, budget.ErrEstimateRequired} {
			if !errors.Is(err, reason) {
				t.Errorf("%v is not %v", err, reason)
			}
		}
	}
	if d.Admitted() || f.status("a", nil).Denied != 1 {
		t.Errorf("admitted: %t, denied: %d; want false, and only Reserve counted", d.Admitted(), f.status("a", nil).Denied)
	}
}

func TestCheckOfWhatNoBudgetCovers(t *testing.T) {
	d := open(t).check(request("r", 1))
	if !d.Admitted() || d.Err() != nil || d.Verdicts != nil {
		t.Errorf("decision is %+v, want an admission without verdicts", d)
	}
	text, err := json.Marshal(d)
	if want := `{"admitted":true,"at":"2026-03-10T12:00:00Z","budgets":[]}`; string(text) != want || err != nil {
		t.Errorf("written as %s, %v; want %s", text, err, want)
	}
}

func TestCheckAtLooksAtThatPeriod(t *testing.T) {
	f := open(t)
	f.create(budget.Budget{Schedule: period.Daily})
	f.reserve(request("a", 100))
	if f.check(request("b", 1)).Admitted() {
		t.Error("admitted today, where nothing is left")
	}
	d, err := f.CheckAt(t.Context(), request("b", 100), noon.AddDate(0, 0, 1))
	if err != nil || !d.Admitted() {
		t.Errorf("not admitted tomorrow: %v, %v", d.Err(), err)
	}
}

// There are no counters of periods before a budget was made: they are computed, as for a status.
func TestCheckAtLooksAtThePeriodsBeforeTheBudgetToo(t *testing.T) {
	f := open(t)
	before := noon.AddDate(0, -1, 0)
	for _, e := range []usage.Event{by("ann", tokens("a", 60)), by("ann", tokens("b", 30)), by("bob", tokens("c", 100))} {
		e.Time = before
		e.Labels = map[string]string{"team": "red"}
		f.record(e)
	}
	f.create(budget.Budget{ID: "from sums", Scope: budget.Scope{usage.User: budget.Each}})
	f.create(budget.Budget{ID: "from events", Scope: budget.Scope{usage.User: "ann", "team": "red"}})
	for n, want := range map[int64]bool{10: true, 11: false} {
		r := request("r", n)
		r.Labels = map[string]string{"team": "red"}
		d, err := f.CheckAt(t.Context(), r, before)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range d.Verdicts {
			if !v.Used.Equal(dec("90")) || v.Refused == want {
				t.Errorf("%d: %s used of %q, refused %t; want 90 and %t", n, v.Used, v.Budget.ID, v.Refused, !want)
			}
		}
		if len(d.Verdicts) != 2 {
			t.Errorf("%d budgets cover it, want 2", len(d.Verdicts))
		}
	}
}

func TestCheckCountsWhatIsOverdueAsFree(t *testing.T) {
	f := open(t)
	f.create(budget.Budget{})
	f.reserve(request("a", 100))
	f.now = noon.Add(time.Hour)
	if d := f.check(request("b", 100)); !d.Admitted() {
		t.Errorf("not admitted: %v", d.Err())
	}
}

func TestBadRequestsNameTheirFields(t *testing.T) {
	f := open(t)
	bad := budget.Request{
		ID: "a\x00b", Subject: usage.Subject{User: "x\xff"}, Estimate: usage.Amounts{InputTokens: -1}, TTL: -time.Second,
	}
	want := []string{"id", "user", "input_tokens", "ttl"}
	for what, err := range map[string]error{
		"check":   second(f.Check(t.Context(), bad)),
		"reserve": second(f.Reserve(t.Context(), bad)),
	} {
		var fields []string
		for _, e := range budget.FieldErrors(err) {
			fields = append(fields, e.Field)
		}
		if diff := cmp.Diff(want, fields); diff != "" || !errors.Is(err, budget.ErrInvalid) {
			t.Errorf("%s: fields (-want +got):\n%s\n%v", what, diff, err)
		}
	}
	for what, err := range map[string]error{
		"settle":  second(f.Settle(t.Context(), key(""), budget.Settlement{})),
		"release": f.Release(t.Context(), budget.ReservationKey{Tenant: "\n", ID: "x"}),
		"extend":  second(f.Extend(t.Context(), key("a\x01"), 0)),
		"list":    second(f.Reservations(t.Context(), budget.ReservationQuery{Budget: "\x00"})),
	} {
		if !errors.Is(err, budget.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	res := f.reserve(request("ok", 1))
	if err := res.Settle(t.Context(), input(-1)); !errors.Is(err, budget.ErrInvalid) {
		t.Errorf("settle: %v, want ErrInvalid", err)
	}
	if err := res.Extend(t.Context(), 8*24*time.Hour); !errors.Is(err, budget.ErrInvalid) {
		t.Errorf("extend: %v, want ErrInvalid", err)
	}
}

func TestExceededErrorIsWrittenWithItsFigures(t *testing.T) {
	f := open(t)
	f.create(budget.Budget{ID: "month", Metric: usage.Dollars, Limit: dec("1.5"), Scope: budget.Scope{usage.User: budget.Each}})
	exceeded := f.refusal(budget.Request{Subject: subject, Estimate: usage.Amounts{Cost: new(dec("2.000000001"))}})
	if want := `budget exceeded: "test" has 1.5 of 1.5 dollars available, 2.000000001 requested, resets at 2026-04-01T00:00:00Z`; exceeded.Error() != want {
		t.Errorf("says %s, want %s", exceeded, want)
	}
	text, err := json.Marshal(exceeded)
	if err != nil {
		t.Fatal(err)
	}
	one := `"budget":"month","name":"test","scope":{"user":{"each":true}},"value":{"user":"ann"},"metric":"dollars","limit":1.5,"used":0,"reserved":0,"requested":2.000000001,"fits":1.5,"resets_at":"2026-04-01T00:00:00Z"`
	if want := `{` + one + `,"refusals":[{` + one + `}]}`; string(text) != want {
		t.Errorf("written as\n%s, want\n%s", text, want)
	}
}
