package budget_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// license returns a license of acme with 1000 credits of a cent each and 50 dollars.
func license(changes ...func(*budget.License)) budget.License {
	x := budget.License{
		Tenant: "acme", CreditsTotal: new(dec("1000")), CostPerCredit: new(dec("0.01")), MoneyBudget: new(dec("50")),
	}
	for _, change := range changes {
		change(&x)
	}
	return x
}

func (f *fixture) createLicense(x budget.License) budget.License {
	f.t.Helper()
	created, err := f.CreateLicense(f.t.Context(), x)
	if err != nil {
		f.t.Fatalf("create license: %v", err)
	}
	return created
}

func (f *fixture) updateLicense(id string, fn func(*budget.License)) budget.License {
	f.t.Helper()
	updated, err := f.UpdateLicense(f.t.Context(), id, func(x *budget.License) error { fn(x); return nil })
	if err != nil {
		f.t.Fatalf("update license: %v", err)
	}
	return updated
}

func (f *fixture) creditsUsed(id, want string) {
	f.t.Helper()
	x, err := f.License(f.t.Context(), id)
	if err != nil {
		f.t.Fatalf("license: %v", err)
	}
	if !x.CreditsUsed.Equal(dec(want)) {
		f.t.Errorf("credits used: %s, want %s", x.CreditsUsed, want)
	}
}

// spend records a cost of acme's now.
func (f *fixture) spend(id, dollars string) {
	f.t.Helper()
	e := costing(id, dollars)
	e.Tenant, e.Time = "acme", f.now
	f.record(e)
}

// licenseBudgets returns what is kept of the budgets of licenses, by id.
func (f *fixture) licenseBudgets() map[string]string {
	f.t.Helper()
	page, err := f.List(f.t.Context(), budget.Query{})
	if err != nil {
		f.t.Fatal(err)
	}
	found := make(map[string]string)
	for _, row := range page.Rows {
		b := row.Budget
		text := fmt.Sprintf("%s: %s %s of %v for license %s from %s", b.Name, b.Enforcement, b.Limit, b.Scope, b.Labels["license"], b.StartsAt.Format(time.DateOnly))
		if !b.EndsAt.IsZero() {
			text += " to " + b.EndsAt.Format(time.DateOnly)
		}
		if b.CostPerCredit.IsPositive() {
			text += " at " + b.CostPerCredit.String()
		}
		if b.Thresholds.Warning != nil {
			text += ", warning from " + b.Thresholds.Warning.String()
		}
		if b.Disabled {
			text += ", disabled"
		}
		found[b.ID] = text
	}
	return found
}

func (f *fixture) budgetsOf(rule string, want map[string]string) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.licenseBudgets()); diff != "" {
		f.t.Errorf("%s (-want +got):\n%s", rule, diff)
	}
}

func TestBudgetsFollowTheirLicense(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.putTenant(budget.Tenant{ID: "acme", Name: "Acme"})
	f.createLicense(license(func(x *budget.License) { x.ID = "l" }))
	f.budgetsOf("two soft budgets", map[string]string{
		"l.credits": "Acme, credits: soft 1000 of map[tenant:acme] for license l from 2026-03-10 at 0.01",
		"l.dollars": "Acme, dollars: soft 50 of map[tenant:acme] for license l from 2026-03-10",
	})
	f.updateLicense("l", func(x *budget.License) {
		x.CreditsTotal, x.CostPerCredit, x.MoneyBudget, x.WarningPercent = nil, nil, new(dec("0")), new(dec("0"))
	})
	f.budgetsOf("without a total credits are observed, without money there is no budget", map[string]string{
		"l.credits": "Acme, credits: observe 9223372036854.775807 of map[tenant:acme] for license l from 2026-03-10, warning from 0",
	})
	f.putTenant(budget.Tenant{ID: "acme", Name: "Acme Inc."})
	f.updateLicense("l", func(x *budget.License) {
		x.CreditsTotal, x.MoneyBudget, x.EndsAt = new(dec("0")), new(dec("1")), at("2027-01-01T00:00:00Z")
	})
	f.budgetsOf("a total of 0 is none, the window and the name are followed", map[string]string{
		"l.credits": "Acme Inc., credits: observe 9223372036854.775807 of map[tenant:acme] for license l from 2026-03-10 to 2027-01-01, warning from 0",
		"l.dollars": "Acme Inc., dollars: soft 1 of map[tenant:acme] for license l from 2026-03-10 to 2027-01-01, warning from 0",
	})
	f.verified()
}

func TestTheNewestActiveLicenseCounts(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, id := range []string{"one", "two", "three"} {
		f.createLicense(license(func(x *budget.License) { x.ID, x.MoneyBudget, x.Inactive = id, nil, id == "three" }))
	}
	counts := func(want string) {
		t.Helper()
		got := ""
		x := f.tenant("acme")
		if license := x.License(); license != nil {
			got = license.ID
		}
		if got != want {
			t.Errorf("license %q counts, want %q", got, want)
		}
		for _, id := range []string{"one", "two", "three"} {
			b, err := f.Budget(t.Context(), id+".credits")
			if err != nil {
				t.Fatal(err)
			}
			if b.Disabled != (id != want) {
				t.Errorf("the budget of license %s is disabled: %v", id, b.Disabled)
			}
		}
	}
	counts("two")
	f.updateLicense("two", func(x *budget.License) { x.Inactive = true })
	counts("one")
	f.updateLicense("three", func(x *budget.License) { x.Inactive = false })
	counts("three")
	for _, id := range []string{"one", "three"} {
		f.updateLicense(id, func(x *budget.License) { x.Inactive = true })
	}
	counts("")
}

func TestCreditsAreUsed(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.spend("before", "100")
	f.now = f.now.Add(time.Hour)
	l := f.createLicense(license()).ID
	f.creditsUsed(l, "0")
	f.spend("1", "0.123456789") // 12.3456789 credits
	f.creditsUsed(l, "12.345679")
	f.updateLicense(l, func(x *budget.License) { x.CreditsTotal = nil })
	f.spend("2", "1")
	f.creditsUsed(l, "112.345679")

	f.now = f.now.Add(time.Hour)
	f.updateLicense(l, func(x *budget.License) { x.CostPerCredit = new(dec("0.02")) })
	f.creditsUsed(l, "112.345679")
	f.spend("3", "1")
	f.creditsUsed(l, "162.345679")

	f.now = f.now.Add(time.Hour)
	f.updateLicense(l, func(x *budget.License) { x.CostPerCredit = nil })
	f.spend("4", "1")
	f.creditsUsed(l, "162.345679")

	f.now = f.now.Add(time.Hour)
	f.updateLicense(l, func(x *budget.License) { x.Inactive = true })
	f.updateLicense(l, func(x *budget.License) { x.CostPerCredit = new(dec("1")) })
	f.spend("an inactive one counts too", "1")
	f.creditsUsed(l, "163.345679")
	f.updateLicense(l, func(x *budget.License) { x.StartsAt = noon.Add(2 * time.Hour) })
	f.creditsUsed(l, "51")
	f.verified()
}

func TestCreditsUsedIsSet(t *testing.T) {
	t.Parallel()
	f := open(t)
	l := f.createLicense(license(func(x *budget.License) { x.CreditsUsed = dec("10.5") })).ID
	f.creditsUsed(l, "10.5")
	f.spend("1", "1")
	f.creditsUsed(l, "110.5")
	got := f.updateLicense(l, func(x *budget.License) { x.CreditsUsed = dec("5") })
	if !got.CreditsUsed.Equal(dec("5")) {
		t.Errorf("returned as %s, want 5", got.CreditsUsed)
	}
	f.spend("2", "1")
	f.creditsUsed(l, "105")
	status := f.status(l+".credits", nil)
	if diff := cmp.Diff([]string{"200", "-95"}, []string{status.Recorded.String(), status.Adjusted.String()}); diff != "" {
		t.Errorf("what was recorded, and what was adjusted (-want +got):\n%s", diff)
	}
	var trail []string
	for _, e := range f.audit() {
		if e.Action == "adjust_budget" || e.Action == "update_license_budget" {
			trail = append(trail, fmt.Sprintf("%s %s %s %s", e.Action, e.Kind, e.Tenant, e.Before))
		}
	}
	slices.Sort(trail)
	if diff := cmp.Diff([]string{
		"adjust_budget budget acme ", "adjust_budget budget acme ", `update_license_budget license acme {"credits_used":110.5}`,
	}, trail); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	f.verified()
}

// What was set leaves out usage that is refunded later.
func TestCreditsUsedBelow0(t *testing.T) {
	t.Parallel()
	f := open(t)
	l := f.createLicense(license()).ID
	f.spend("1", "1")
	f.updateLicense(l, func(x *budget.License) { x.CreditsUsed = dec("5") })
	f.correct(usage.Correction{ID: "c", Tenant: "acme", Event: "1", Reason: "test", Amounts: usage.Amounts{Cost: new(dec("1"))}})
	f.creditsUsed(l, "-95")
	f.updateLicense(l, func(x *budget.License) { x.WarningPercent = new(dec("70")) })
	f.creditsUsed(l, "-95")
	f.updateLicense(l, func(x *budget.License) { x.CreditsUsed = dec("0") })
	f.creditsUsed(l, "0")
}

// What is used is set together with the total, so that no state in between alerts.
func TestSettingCreditsUsedAlertsOnce(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct {
		total, used string
		want        []string
	}{
		"less of less":          {"100", "5", nil},
		"more of more":          {"10000", "5000", nil},
		"what warns warns once": {"100", "85", []string{"threshold 80 warning"}},
	} {
		t.Run(rule, func(t *testing.T) {
			f := open(t)
			l := f.createLicense(license(func(x *budget.License) { x.CreditsUsed = dec("700") })).ID
			f.updateLicense(l, func(x *budget.License) { x.CreditsTotal, x.CreditsUsed = new(dec(c.total)), dec(c.used) })
			f.alerted(c.want...)
		})
	}
}

func TestLicensesAlert(t *testing.T) {
	t.Parallel()
	f := open(t)
	l := f.createLicense(license(func(x *budget.License) { x.WarningPercent = new(dec("50")) })).ID
	f.spend("1", "5")
	f.alerted("threshold 50 warning")
	f.createLicense(license(func(x *budget.License) { x.CreditsTotal, x.MoneyBudget = nil, nil }))
	f.spend("2", "5")
	f.creditsUsed(l, "1000")
	f.alerted("threshold 50 warning")
}

func TestLicensesAreAudited(t *testing.T) {
	t.Parallel()
	f := open(t)
	l := f.By("ops")
	x, err := l.CreateLicense(t.Context(), license(func(x *budget.License) { x.ID, x.MoneyBudget = "l", nil }))
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range []func(*budget.License){
		func(x *budget.License) { x.WarningPercent = new(dec("70")) },
		func(x *budget.License) { x.WarningPercent = new(dec("70.0")) }, // no change
		func(x *budget.License) { x.Inactive = true },
	} {
		if _, err := l.UpdateLicense(t.Context(), x.ID, func(x *budget.License) error { fn(x); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var trail []string
	for _, e := range f.audit() {
		if e.Kind == "license" {
			trail = append(trail, fmt.Sprintf("%s %s %s %s: %s -> %s", e.Actor, e.Action, e.Tenant, e.Target, e.Before, e.After))
		}
	}
	if diff := cmp.Diff([]string{
		`ops create_license acme l:  -> {"active":true,"budget_warning_percent":null,"cost_per_credit":0.01,"credits_total":1000,` +
			`"credits_used":0,"ends_at":null,"id":"l","starts_at":"2026-03-10T12:00:00Z","tenant":"acme","token_budget_usd":null}`,
		`ops update_license_budget acme l: {"budget_warning_percent":null} -> {"budget_warning_percent":70}`,
		`ops update_license acme l: {"active":true} -> {"active":false}`,
	}, trail); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

func TestInvalidLicenses(t *testing.T) {
	t.Parallel()
	f := open(t)
	_, err := f.CreateLicense(t.Context(), budget.License{
		CreditsTotal: new(dec("-1")), CostPerCredit: new(dec("0")), MoneyBudget: new(dec("1e-10")), WarningPercent: new(dec("101")),
		StartsAt: noon, EndsAt: noon, CreditsUsed: dec("1e30"),
	})
	want := []string{"tenant", "credits_total", "cost_per_credit", "token_budget_usd", "budget_warning_percent", "ends_at", "credits_used"}
	if diff := cmp.Diff(want, fields(err)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	l := f.createLicense(license()).ID
	_, err = f.UpdateLicense(t.Context(), l, func(x *budget.License) error {
		x.ID, x.Tenant, x.StartsAt, x.CreatedAt = "other", "other", time.Time{}, noon.Add(1e9)
		return nil
	})
	if diff := cmp.Diff([]string{"id", "tenant", "created_at", "starts_at"}, fields(err)); diff != "" {
		t.Errorf("fields of a change (-want +got):\n%s", diff)
	}
	refusal := errors.New("refused")
	if _, err = f.UpdateLicense(t.Context(), l, func(x *budget.License) error { x.Inactive = true; return refusal }); !errors.Is(err, refusal) {
		t.Errorf("error is %v, want that of fn", err)
	}
	for _, id := range []string{"unknown", "acme", strings.Repeat("x", 65)} {
		_, err = f.License(t.Context(), id)
		is(t, err, budget.ErrNotFound)
	}
	_, err = f.CreateLicense(t.Context(), license(func(x *budget.License) { x.ID, x.Tenant = l, "other" }))
	is(t, err, budget.ErrConflict)
}

func TestBudgetsOfLicensesChangeWithThem(t *testing.T) {
	t.Parallel()
	f := open(t)
	l := f.createLicense(license()).ID
	for _, id := range []string{l + ".credits", l + ".dollars"} {
		_, err := f.Update(t.Context(), id, func(b *budget.Budget) error { b.Name = "mine"; return nil })
		if diff := cmp.Diff([]string{"id"}, fields(err)); diff != "" {
			t.Errorf("update (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"id"}, fields(f.Delete(t.Context(), id))); diff != "" {
			t.Errorf("delete (-want +got):\n%s", diff)
		}
	}
	mine := f.create(budget.Budget{Labels: map[string]string{"license": l}, Metric: usage.Credits, CostPerCredit: decimal.NewFromInt(1)})
	if err := f.Delete(t.Context(), mine.ID); err != nil {
		t.Errorf("a budget that only has the label is anybody's: %v", err)
	}
}

func TestALicenseWhoseOutcomeIsUnknownIsChangedOnce(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"committed": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, tries := failing(t, committed, budget.ErrOutcomeUnknown, nil, budget.ErrOutcomeUnknown, nil, budget.ErrOutcomeUnknown)
			f.putTenant(budget.Tenant{ID: "acme", Name: "Acme"})
			l := f.createLicense(license(func(x *budget.License) { x.CreditsUsed = dec("7") })).ID
			got := f.updateLicense(l, func(x *budget.License) { x.CreditsUsed = x.CreditsUsed.Add(dec("1")) })
			if !got.CreditsUsed.Equal(dec("8")) || *tries != 6 {
				t.Errorf("%s credits are used after %d transactions, want 8 after 6", got.CreditsUsed, *tries)
			}
			// A tenant, a license with two budgets and an adjustment, its change with another.
			if n := len(f.audit()); n != 7 {
				t.Errorf("%d audit entries, want 7", n)
			}
		})
	}
}
