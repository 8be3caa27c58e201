package budget_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestCreateFillsInWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	f := open(t)
	created, err := f.By("ann").Create(t.Context(), budget.Budget{
		Name: "all", Metric: usage.Tokens, Limit: dec("100"), StartsAt: noon.Add(-999).In(time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := budget.Budget{
		ID: "id-0001", Name: "all", Metric: usage.Tokens, Limit: dec("100"), Schedule: period.Monthly, Enforcement: budget.Hard,
		StartsAt: noon.Add(-time.Microsecond), CreatedBy: "ann", Version: 1, CreatedAt: noon, UpdatedAt: noon,
	}
	if diff := cmp.Diff(want, created, byText); diff != "" {
		t.Errorf("returned (-want +got):\n%s", diff)
	}
	stands, err := f.Budget(t.Context(), created.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, stands, byText); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// byText compares decimals by their text, and schedules as a whole.
var byText = cmp.Options{
	cmp.Comparer(func(a, b decimal.Decimal) bool { return a.String() == b.String() }),
	cmp.Comparer(func(a, b period.Schedule) bool { return a == b }),
}

func TestCreateKeepsWhatIsGiven(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := budget.Budget{
		ID: "mine", Name: "n", Description: new("d"), Metric: usage.Credits, Limit: dec("1.5"), CostPerCredit: dec("0.01"),
		Schedule: period.Weekly.In(location(t, "Europe/Berlin")), Scope: budget.Scope{"user": budget.Each, "tenant": "t"},
		Except: budget.Except{"user": {"u1"}}, StartsAt: noon, EndsAt: noon.AddDate(1, 0, 0), AllowedResources: []string{"r"},
		Enforcement: budget.Soft, MinHold: dec("0.1"), Thresholds: alert.Thresholds{Warning: new(dec("1")), Extra: []decimal.Decimal{dec("2")}},
		Disabled: true, Owner: "o", CreatedBy: "c", Labels: map[string]string{"k": "v"}, Metadata: json.RawMessage(`{"a": 1}`),
	}
	created, err := f.By("ann").Create(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	want := b
	want.Version, want.CreatedAt, want.UpdatedAt = 1, noon, noon
	if diff := cmp.Diff(want, created, byText); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCreateSharesNothingWithItsCaller(t *testing.T) {
	t.Parallel()
	f := open(t)
	warning := dec("50")
	b := budget.Budget{
		Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"u1"}}, AllowedResources: []string{"r"},
		Thresholds: alert.Thresholds{Warning: &warning, Critical: new(dec("60")), Extra: []decimal.Decimal{dec("70")}},
		Labels:     map[string]string{"k": "v"}, Metadata: json.RawMessage(`{}`),
	}
	created := f.create(b)
	stands := func() budget.Budget {
		t.Helper()
		stands, err := f.Budget(t.Context(), created.ID)
		if err != nil {
			t.Fatal(err)
		}
		return stands
	}
	before := stands()
	for _, mine := range []budget.Budget{b, created, stands()} {
		mine.Scope["user"] = "x"
		mine.Except["user"][0] = "x"
		mine.AllowedResources[0] = "x"
		*mine.Thresholds.Warning, *mine.Thresholds.Critical = dec("1"), dec("2")
		mine.Thresholds.Extra[0] = dec("3")
		mine.Labels["k"] = "x"
		mine.Metadata[0] = 'x'
	}
	if diff := cmp.Diff(before, stands(), byText); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{ID: "taken"})
	_, err := f.Create(t.Context(), withDefaults(budget.Budget{ID: "taken", Name: "another"}))
	is(t, err, budget.ErrConflict)
	f.now = noon.Add(time.Second)
	_, err = f.Create(t.Context(), b)
	is(t, err, budget.ErrConflict)
	_, err = f.Create(t.Context(), budget.Budget{ID: "b"})
	if diff := cmp.Diff([]string{"name", "metric"}, fields(err)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	page, err := f.List(t.Context(), budget.Query{})
	if err != nil || page.Total != 1 || page.Rows[0].Budget.Name != "test" {
		t.Errorf("there are %+v: %v", page.Rows, err)
	}
	if n := len(f.audit()); n != 1 {
		t.Errorf("%d audit entries, want that of the one that was made", n)
	}
}

// What is recorded in the running period before a budget is made, is counted as if it had been there.
func TestCreateCountsWhatWasBefore(t *testing.T) {
	t.Parallel()
	red := func(e usage.Event) usage.Event { e.Labels = map[string]string{"team": "red"}; return e }
	tests := map[string]struct {
		budget budget.Budget
		value  budget.Value
		want   string
	}{
		"the running period's usage":            {budget.Budget{}, nil, "30"},
		"of the schedule":                       {budget.Budget{Schedule: period.Daily}, nil, "14"},
		"in the schedule's zone":                {budget.Budget{Schedule: period.Daily.In(location(t, "Asia/Kathmandu"))}, nil, "22"},
		"of the metric":                         {budget.Budget{Metric: usage.Requests}, nil, "5"},
		"of the scope":                          {budget.Budget{Scope: budget.Scope{"user": "u1"}}, nil, "18"},
		"by each value":                         {budget.Budget{Scope: budget.Scope{"user": budget.Each}}, budget.Value{"user": "u2"}, "12"},
		"but those that are excepted":           {budget.Budget{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"u2"}}}, budget.Value{"user": "u2"}, "0"},
		"by a label":                            {budget.Budget{Scope: budget.Scope{"team": "red"}}, nil, "12"},
		"by each value of a label":              {budget.Budget{Scope: budget.Scope{"team": budget.Each}}, budget.Value{"team": "red"}, "12"},
		"from StartsAt on":                      {budget.Budget{StartsAt: at("2026-03-10T00:07:30Z")}, nil, "12"},
		"up to EndsAt":                          {budget.Budget{EndsAt: at("2026-03-10T00:07:30Z")}, nil, "18"},
		"credits at the one rate that there is": {budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.5")}, nil, "10"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			priced := func(e usage.Event) usage.Event { e.Cost = new(dec("1")); return e }
			f.record(
				priced(on("2026-02-28T23:59:59.999999Z", by("u1", tokens("last month", 1)))),
				priced(on("2026-03-01T00:00:00Z", by("u1", tokens("first instant", 8)))),
				priced(red(on("2026-03-09T19:00:00Z", by("u2", tokens("yesterday", 8))))),
				priced(on("2026-03-10T00:00:00Z", by("u1", tokens("today", 2)))),
				priced(red(on("2026-03-10T12:05:00Z", by("u2", tokens("a little ahead", 4))))),
				priced(on("2026-03-10T12:00:00Z", by("u1", tokens("now", 8)))),
			)
			b := f.create(test.budget)
			f.used(b.ID, test.value, test.want)
			f.verified()
		})
	}
}

func TestUpdateCountsVersionsAndTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	f.now = noon.Add(time.Hour)
	updated := f.update(b.ID, func(b *budget.Budget) { b.Limit, b.StartsAt = dec("200"), noon.Add(999) })
	want := b
	want.Limit, want.StartsAt, want.Version, want.UpdatedAt = dec("200"), noon, 2, f.now
	if diff := cmp.Diff(want, updated, byText); diff != "" {
		t.Errorf("returned (-want +got):\n%s", diff)
	}
	stands, err := f.Budget(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, stands, byText); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fn     func(*budget.Budget) error
		err    error
		fields []string
	}{
		"what its function refuses": {func(*budget.Budget) error { return errDisk }, errDisk, nil},
		"an old version":            {func(b *budget.Budget) error { b.Version = 1; b.Name = "x"; return nil }, budget.ErrConflict, nil},
		"an old version without a change": {
			func(b *budget.Budget) error { b.Version = 1; return nil }, budget.ErrConflict, nil,
		},
		"a version that is still to come": {func(b *budget.Budget) error { b.Version = 3; return nil }, budget.ErrConflict, nil},
		"another id, maker and times": {
			func(b *budget.Budget) error {
				b.ID, b.CreatedBy, b.CreatedAt, b.UpdatedAt = "x", "x", noon.Add(1e9), noon.Add(2e9)
				return nil
			},
			budget.ErrInvalid,
			[]string{"id", "created_by", "created_at", "updated_at"},
		},
		"what is invalid": {
			func(b *budget.Budget) error { b.Name, b.Limit = "", dec("-1"); return nil }, budget.ErrInvalid, []string{"name", "limit"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{})
			b = f.update(b.ID, func(b *budget.Budget) { b.Name = "second" })
			_, err := f.Update(t.Context(), b.ID, test.fn)
			is(t, err, test.err)
			if diff := cmp.Diff(test.fields, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			stands, err := f.Budget(t.Context(), b.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b, stands, byText); diff != "" {
				t.Errorf("the budget was changed (-want +got):\n%s", diff)
			}
			if n := len(f.audit()); n != 2 {
				t.Errorf("%d audit entries, want 2", n)
			}
		})
	}
}

func TestUpdateWithTheVersionThatWasRead(t *testing.T) {
	t.Parallel()
	f := open(t)
	read := f.create(budget.Budget{})
	f.update(read.ID, func(b *budget.Budget) { b.Name = "by somebody else" })
	_, err := f.Update(t.Context(), read.ID, func(b *budget.Budget) error { read.Limit = dec("1"); *b = read; return nil })
	is(t, err, budget.ErrConflict)
	if read, err = f.Budget(t.Context(), read.ID); err != nil {
		t.Fatal(err)
	}
	updated := f.update(read.ID, func(b *budget.Budget) { read.Limit = dec("1"); *b = read })
	if updated.Version != 3 || !updated.Limit.Equal(dec("1")) || updated.Name != "by somebody else" {
		t.Errorf("%+v", updated)
	}
}

func TestAChangeThatChangesNothingLeavesNoTrace(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*budget.Budget){
		"nothing":                    func(*budget.Budget) {},
		"a limit written otherwise":  func(b *budget.Budget) { b.Limit = dec("100.0") },
		"a default said":             func(b *budget.Budget) { b.Thresholds.Warning = new(dec("80")) },
		"a default left out":         func(b *budget.Budget) { b.Schedule, b.Enforcement = period.Schedule{}, "" },
		"metadata with other spaces": func(b *budget.Budget) { b.Metadata = json.RawMessage(`{ "a" : 1 }`) },
		"empty instead of none": func(b *budget.Budget) {
			b.Labels, b.Except, b.Scope = map[string]string{}, budget.Except{}, budget.Scope{}
		},
		"an instant in another zone":    func(b *budget.Budget) { b.StartsAt = noon.In(time.FixedZone("", 3600)) },
		"what is less than microsecond": func(b *budget.Budget) { b.StartsAt = noon.Add(999) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{Metadata: json.RawMessage(`{"a":1}`), StartsAt: noon})
			f.now = noon.Add(time.Hour)
			updated := f.update(b.ID, change)
			if diff := cmp.Diff(b, updated, byText); diff != "" {
				t.Errorf("returned (-want +got):\n%s", diff)
			}
			if n := len(f.audit()); n != 1 {
				t.Errorf("%d audit entries, want that of its creation", n)
			}
		})
	}
}

func TestAThresholdChangedInPlaceIsAChange(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Thresholds: alert.Thresholds{Warning: new(dec("50"))}})
	updated := f.update(b.ID, func(b *budget.Budget) { *b.Thresholds.Warning = dec("40") })
	if updated.Version != 2 || !updated.Thresholds.WarningPercent().Equal(dec("40")) {
		t.Errorf("version %d, warning at %s", updated.Version, updated.Thresholds.WarningPercent())
	}
}

// What decides which usage counts, and in which counter, is counted anew from the running period on.
func TestAChangeOfWhatCountsCountsAnew(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*budget.Budget)
		value  budget.Value
		want   string
	}{
		"scope": {func(b *budget.Budget) { b.Scope = budget.Scope{"user": "u2"} }, nil, "4"},
		"each":  {func(b *budget.Budget) { b.Scope = budget.Scope{"user": budget.Each} }, budget.Value{"user": "u2"}, "4"},
		"except": {func(b *budget.Budget) {
			b.Scope, b.Except = budget.Scope{"user": budget.Each}, budget.Except{"user": {"u2"}}
		}, budget.Value{"user": "u2"}, "0"},
		"metric":    {func(b *budget.Budget) { b.Metric = usage.Requests }, nil, "3"},
		"schedule":  {func(b *budget.Budget) { b.Schedule = period.Daily }, nil, "12"},
		"starts at": {func(b *budget.Budget) { b.StartsAt = noon }, nil, "8"},
		"ends at":   {func(b *budget.Budget) { b.EndsAt = noon }, nil, "6"},
		"metric to credits": {
			func(b *budget.Budget) { b.Metric, b.CostPerCredit = usage.Credits, dec("2") }, nil, "1.5",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.now = noon.AddDate(0, -1, 0)
			b := f.create(budget.Budget{})
			priced := func(e usage.Event) usage.Event { e.Cost = new(dec("1")); return e }
			last := on("2026-02-10T12:00:00Z", by("u1", tokens("last month", 1)))
			f.record(last)
			f.now = noon
			f.record(
				priced(on("2026-03-09T12:00:00Z", by("u1", tokens("yesterday", 2)))),
				priced(on("2026-03-10T11:59:00Z", by("u2", tokens("before", 4)))),
				priced(on("2026-03-10T12:00:00Z", by("u1", tokens("now", 8)))),
			)
			f.adjust(b.ID, "100")
			f.used(b.ID, nil, "114")
			updated := f.update(b.ID, test.change)

			got := f.status(b.ID, test.value)
			if !got.Recorded.Equal(dec(test.want)) {
				t.Errorf("recorded %s, want %s", got.Recorded, test.want)
			}
			for key := range f.tallies() {
				if start := updated.Schedule.Bounds(noon).Start.UnixMicro(); key.Start < start {
					t.Errorf("a counter from before the running period: %+v", key)
				}
			}
			f.verified()
		})
	}
}

// Adjustments stay with the budget's metric and with a value that its scope still has.
func TestAdjustmentsAfterAChange(t *testing.T) {
	t.Parallel()
	value := budget.Value{"user": "u1"}
	tests := map[string]struct {
		change func(*budget.Budget)
		value  budget.Value
		want   string
	}{
		"of the limit they stay":            {func(b *budget.Budget) { b.Limit = dec("1") }, value, "5"},
		"of the schedule they stay":         {func(b *budget.Budget) { b.Schedule = period.Daily }, value, "5"},
		"of the start they stay":            {func(b *budget.Budget) { b.StartsAt = noon.Add(time.Hour) }, value, "5"},
		"of the metric they mean nothing":   {func(b *budget.Budget) { b.Metric = usage.Requests }, value, "0"},
		"of each they mean nothing":         {func(b *budget.Budget) { b.Scope = nil }, nil, "0"},
		"of the fixed part they stay":       {func(b *budget.Budget) { b.Scope["tenant"] = "acme" }, value, "5"},
		"of the schedule, if they are past": {func(b *budget.Budget) { b.Schedule = period.Hourly }, value, "0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
			a := adjustment(b.ID, "5")
			a.Value, a.Time = value, noon.Add(-time.Hour)
			if _, err := f.Adjust(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			f.update(b.ID, test.change)
			if got := f.status(b.ID, test.value).Adjusted; !got.Equal(dec(test.want)) {
				t.Errorf("adjusted %s, want %s", got, test.want)
			}
			f.verified()
		})
	}
}

func TestAChangeOfAnythingElseKeepsTheCounters(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	f.record(tokens("a", 5))
	f.now = noon.AddDate(0, 1, 0)
	before := f.tallies()
	f.update(b.ID, func(b *budget.Budget) {
		b.Name, b.Description, b.Limit, b.MinHold, b.Enforcement, b.Disabled = "x", new("y"), dec("1000"), dec("1"), budget.Observe, true
		b.Owner, b.Labels, b.Metadata, b.AllowedResources = "o", map[string]string{"k": "v"}, json.RawMessage(`{"a":1}`), []string{"r"}
		b.Thresholds.Extra = []decimal.Decimal{dec("10")}
	})
	if diff := cmp.Diff(before, f.tallies()); diff != "" {
		t.Errorf("counters (-before +after):\n%s", diff)
	}
	f.verified()
}

// Usage from before a budget was counted from moves no counter; it is computed when it is read.
func TestUsageFromBeforeABudgetWasCounted(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Limit: dec("10")})
	f.record(on("2026-02-10T12:00:00Z", tokens("a", 50)))
	if got := f.tallies(); len(got) != 0 {
		t.Errorf("it has the counters %+v", got)
	}
	f.alerted()
	status, err := f.StatusAt(t.Context(), b.ID, nil, at("2026-02-20T00:00:00Z"))
	if err != nil || !status.Used.Equal(dec("50")) || status.Level != alert.Exceeded {
		t.Errorf("in February %s were used, level %s: %v", status.Used, status.Level, err)
	}
	f.verified()
}

// Events may be ahead of now by what is tolerated, in the next period or the one after.
func TestEventsAheadAreCountedAnewToo(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Schedule: period.Every(1, period.Minute, noon)})
	f.record(on("2026-03-10T12:00:30Z", tokens("a", 1)), on("2026-03-10T12:01:00Z", tokens("b", 2)), on("2026-03-10T12:04:59Z", tokens("c", 4)))
	check := func() {
		t.Helper()
		for when, want := range map[string]string{"12:00:59": "1", "12:01:00": "2", "12:02:00": "0", "12:04:00": "4"} {
			status, err := f.StatusAt(t.Context(), b.ID, nil, at("2026-03-10T"+when+"Z"))
			if err != nil || !status.Used.Equal(dec(want)) {
				t.Errorf("at %s %s were used, want %s: %v", when, status.Used, want, err)
			}
		}
		f.verified()
	}
	check()
	f.update(b.ID, func(b *budget.Budget) { b.StartsAt = noon })
	check()
}

func TestANewRateHoldsForLaterUsageOnly(t *testing.T) {
	t.Parallel()
	credits := budget.Budget{Metric: usage.Credits, CostPerCredit: dec("1")}
	minute := func(m int, e usage.Event) usage.Event { e.Time = noon.Add(time.Duration(m) * time.Minute); return e }
	newRate := func(f *fixture, id, costPerCredit string) {
		t.Helper()
		f.update(id, func(b *budget.Budget) { b.CostPerCredit = dec(costPerCredit) })
	}
	tests := map[string]struct {
		do   func(f *fixture, id string)
		want string
	}{
		"it holds from now on": {func(f *fixture, id string) {
			f.record(minute(-1, costing("a", "1")))
			newRate(f, id, "0.5")
			f.record(minute(-1, costing("late", "1")), minute(0, costing("b", "1")))
		}, "4"},
		"but after the newest event that was charged": {func(f *fixture, id string) {
			f.record(minute(2, costing("ahead", "1")))
			newRate(f, id, "0.5")
			f.record(minute(1, costing("b", "1")), minute(2, costing("c", "1")), minute(3, costing("d", "1")))
		}, "5"},
		"another rate while one is ahead takes its place": {func(f *fixture, id string) {
			f.record(minute(2, costing("ahead", "1")))
			newRate(f, id, "0.5")
			f.now = noon.Add(time.Minute)
			newRate(f, id, "0.25")
			f.record(minute(1, costing("b", "1")), minute(3, costing("c", "1")))
		}, "6"},
		"two rates at one instant": {func(f *fixture, id string) {
			newRate(f, id, "0.5")
			newRate(f, id, "0.25")
			f.record(minute(0, costing("a", "1")))
		}, "4"},
		"the clock may be behind that of the last change": {func(f *fixture, id string) {
			newRate(f, id, "0.5")
			f.now = noon.Add(-time.Hour)
			newRate(f, id, "0.25")
			f.now = noon.Add(time.Hour)
			f.record(minute(-61, costing("a", "1")), minute(-60, costing("b", "1")), minute(1, costing("c", "1")))
		}, "9"},
		"no rate any more: usage adds nothing": {func(f *fixture, id string) {
			f.record(minute(-1, costing("a", "1")))
			newRate(f, id, "0")
			f.record(minute(0, costing("b", "1")))
		}, "1"},
		"a correction is at the rate of its event": {func(f *fixture, id string) {
			f.record(minute(-1, costing("a", "1")))
			newRate(f, id, "0.5")
			f.correct(usage.Correction{ID: "c", Event: "a", Amounts: usage.Amounts{Cost: new(dec("0.25"))}})
		}, "0.75"},
		"counting anew keeps the rates": {func(f *fixture, id string) {
			f.record(minute(-1, costing("a", "1")))
			newRate(f, id, "0.5")
			f.record(minute(0, costing("b", "1")))
			f.update(id, func(b *budget.Budget) { b.StartsAt = noon.Add(-time.Hour) })
		}, "3"},
		"another metric and back is one rate for all": {func(f *fixture, id string) {
			f.record(minute(-1, costing("a", "1")))
			newRate(f, id, "0.5")
			f.update(id, func(b *budget.Budget) { b.Metric, b.CostPerCredit = usage.Tokens, decimal.Zero })
			f.update(id, func(b *budget.Budget) { b.Metric, b.CostPerCredit = usage.Credits, dec("0.25") })
		}, "4"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(credits)
			test.do(f, b.ID)
			f.used(b.ID, nil, test.want)
			f.view(func(r budget.ReadTx) error {
				found, err := r.Budgets(t.Context(), budget.Query{})
				for i := 1; i < len(found[0].Rates); i++ {
					if !found[0].Rates[i-1].From.Before(found[0].Rates[i].From) {
						t.Errorf("rates do not ascend: %v", found[0].Rates)
					}
				}
				return err
			})
			f.verified()
		})
	}
}

func TestDeleteIfAsksFirst(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	refused := errors.New("refused")
	err := f.DeleteIf(t.Context(), b.ID, func(stands budget.Budget) error {
		if stands.ID != b.ID || stands.Version != b.Version || !stands.Limit.Equal(b.Limit) {
			t.Errorf("asked about %+v, not %+v", stands, b)
		}
		return refused
	})
	is(t, err, refused)
	if _, err := f.Budget(t.Context(), b.ID); err != nil {
		t.Fatalf("it was deleted all the same: %v", err)
	}
	if err := f.DeleteIf(t.Context(), b.ID, func(budget.Budget) error { return nil }); err != nil {
		t.Fatal(err)
	}
	is(t, f.DeleteIf(t.Context(), b.ID, func(budget.Budget) error { return refused }), budget.ErrNotFound)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	f := open(t)
	b, other := f.create(budget.Budget{}), f.create(budget.Budget{Name: "other"})
	f.record(tokens("a", 95))
	if err := f.Delete(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	_, err := f.Budget(t.Context(), b.ID)
	is(t, err, budget.ErrNotFound)
	is(t, f.Delete(t.Context(), b.ID), budget.ErrNotFound)
	_, err = f.Update(t.Context(), b.ID, func(*budget.Budget) error { return nil })
	is(t, err, budget.ErrNotFound)
	_, err = f.Status(t.Context(), b.ID, nil)
	is(t, err, budget.ErrNotFound)
	for key := range f.tallies() {
		if key.Budget != other.ID {
			t.Errorf("its counter is still there: %+v", key)
		}
	}
	if diff := cmp.Diff([]string{"a"}, f.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if alerts := f.alerts(); len(alerts) != 4 {
		t.Errorf("its alerts are gone: %q", alerts)
	}
	var actions []string
	for _, e := range f.audit() {
		actions = append(actions, e.Action)
	}
	if diff := cmp.Diff([]string{"create_budget", "create_budget", "delete_budget"}, actions); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	f.record(tokens("b", 1))
	f.verified()
}

// A commit whose outcome is not known is tried once more; whatever became of it, the change is made once.
func TestAChangeWhoseOutcomeIsUnknownIsMadeOnce(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"committed": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, tries := failing(t, committed, budget.ErrOutcomeUnknown, nil, budget.ErrOutcomeUnknown, nil, budget.ErrOutcomeUnknown)
			b := f.create(budget.Budget{})
			if b.Version != 1 {
				t.Errorf("created with version %d", b.Version)
			}
			updated := f.update(b.ID, func(b *budget.Budget) { b.Limit = b.Limit.Add(dec("1")) })
			if updated.Version != 2 || !updated.Limit.Equal(dec("101")) {
				t.Errorf("updated to version %d with limit %s, want 2 and 101", updated.Version, updated.Limit)
			}
			if err := f.Delete(t.Context(), b.ID); err != nil {
				t.Error(err)
			}
			if n := len(f.audit()); n != 3 || *tries != 6 {
				t.Errorf("%d audit entries after %d transactions, want 3 after 6", n, *tries)
			}
		})
	}
}

func TestAChangeThatFailsLeavesNeitherChangeNorEntry(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	f.record(tokens("a", 50))
	f.adjust(b.ID, "1")
	f.plant(budget.Writes{Counters: []budget.Counter{{CounterKey: budget.CounterKey{Budget: b.ID, Value: "4:user1:x"}, Tally: budget.Tally{Recorded: 7}}}})
	before, entries, alerts := f.tallies(), f.audit(), f.alerts()
	changes := map[string]func() error{
		"create": func() error { _, err := f.Create(t.Context(), withDefaults(budget.Budget{})); return err },
		"update": func() error {
			_, err := f.Update(t.Context(), b.ID, func(b *budget.Budget) error { b.Limit, b.Schedule = dec("10"), period.Daily; return nil })
			return err
		},
		"delete":  func() error { return f.Delete(t.Context(), b.ID) },
		"adjust":  func() error { _, err := f.Adjust(t.Context(), adjustment(b.ID, "40")); return err },
		"rebuild": func() error { _, err := f.Rebuild(t.Context(), nil); return err },
		"prune":   func() error { _, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); return err },
	}
	for name, change := range changes {
		f.store.FailNext(errDisk)
		if err := change(); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", name, err)
		}
		f.store.FailNext(nil)
		if diff := cmp.Diff(before, f.tallies()); diff != "" {
			t.Errorf("%s: counters (-before +after):\n%s", name, diff)
		}
		if diff := cmp.Diff(entries, f.audit()); diff != "" {
			t.Errorf("%s: audit (-before +after):\n%s", name, diff)
		}
		if diff := cmp.Diff(alerts, f.alerts()); diff != "" {
			t.Errorf("%s: alerts (-before +after):\n%s", name, diff)
		}
		if stands, err := f.Budget(t.Context(), b.ID); err != nil || stands.Version != 1 {
			t.Errorf("%s: version %d: %v", name, stands.Version, err)
		}
	}
}

func TestAuditOfChanges(t *testing.T) {
	t.Parallel()
	f := open(t)
	ann, bob := f.By("ann"), f.By("bob")
	b, err := ann.Create(t.Context(), withDefaults(budget.Budget{Scope: budget.Scope{"tenant": "acme"}}))
	if err != nil {
		t.Fatal(err)
	}
	f.now = noon.Add(time.Hour)
	_, err = bob.Update(t.Context(), b.ID, func(b *budget.Budget) error {
		b.Limit, b.Disabled, b.Scope["user"] = dec("200"), true, budget.Each
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.now = noon.Add(2 * time.Hour)
	if err := f.Delete(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	got := f.audit()
	var created, deleted map[string]json.RawMessage
	for _, err := range []error{json.Unmarshal(got[0].After, &created), json.Unmarshal(got[2].Before, &deleted)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for field, want := range map[string]string{"id": `"id-0001"`, "limit": "100", "created_by": `"ann"`, "scope": `{"tenant":"acme"}`} {
		if string(created[field]) != want {
			t.Errorf("after the creation %s is %s, want %s", field, created[field], want)
		}
	}
	if string(deleted["limit"]) != "200" || len(deleted) != len(created) {
		t.Errorf("before the deletion: %s", got[2].Before)
	}
	got[0].After, got[2].Before = nil, nil
	entry := func(id string, hour int, actor, action, before, after string) budget.AuditEntry {
		e := budget.AuditEntry{
			ID: id, Time: noon.Add(time.Duration(hour) * time.Hour), Actor: actor, Tenant: "acme", Action: action, Kind: "budget", Target: b.ID,
		}
		if before != "" {
			e.Before, e.After = json.RawMessage(before), json.RawMessage(after)
		}
		return e
	}
	want := []budget.AuditEntry{
		entry("id-0002", 0, "ann", "create_budget", "", ""),
		entry("id-0003", 1, "bob", "update_budget",
			`{"enabled":true,"limit":100,"scope":{"tenant":"acme"}}`,
			`{"enabled":false,"limit":200,"scope":{"tenant":"acme","user":{"each":true}}}`),
		entry("id-0004", 2, "", "delete_budget", "", ""),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnActorIsAShortPlainText(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	bad := f.By("a\x00b")
	_, err := bad.Adjust(t.Context(), adjustment(b.ID, "1"))
	if diff := cmp.Diff([]string{"actor"}, fields(err)); diff != "" {
		t.Errorf("adjust (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"actor"}, fields(bad.Delete(t.Context(), b.ID))); diff != "" {
		t.Errorf("delete (-want +got):\n%s", diff)
	}
}
