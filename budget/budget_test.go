package budget_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// unknownZone returns a schedule in a zone that no database has.
func unknownZone() period.Schedule { return period.Daily.In(time.FixedZone("Nowhere/At_All", 3600)) }

func TestBudgetValidate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	each := budget.Scope{"user": budget.Each}
	many := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprint("n", i))
		}
		return names
	}
	labels := func(n int) map[string]string {
		set := make(map[string]string)
		for _, name := range many(n) {
			set[name] = "x"
		}
		return set
	}
	tests := map[string]struct {
		change func(*budget.Budget)
		want   []string
	}{
		"what Create fills in may be left out": {func(b *budget.Budget) {}, nil},

		"an id of 128 bytes":         {func(b *budget.Budget) { b.ID = long[:128] }, nil},
		"an id of 10 kB":             {func(b *budget.Budget) { b.ID = long }, []string{"id: has 10000 bytes, at most 128 are allowed"}},
		"an id with NUL":             {func(b *budget.Budget) { b.ID = "a\x00b" }, []string{"id: contains the control character U+0000"}},
		"an id that is not UTF-8":    {func(b *budget.Budget) { b.ID = "a\xff" }, []string{"id: is not valid UTF-8"}},
		"no name":                    {func(b *budget.Budget) { b.Name = "" }, []string{"name: has 0 characters, must have 1 to 100"}},
		"a name of 100 characters":   {func(b *budget.Budget) { b.Name = strings.Repeat("語", 100) }, nil},
		"a name of 101 characters":   {func(b *budget.Budget) { b.Name = strings.Repeat("語", 101) }, []string{"name: has 101 characters, must have 1 to 100"}},
		"a name of two lines":        {func(b *budget.Budget) { b.Name = "a\nb" }, []string{"name: contains the control character U+000A"}},
		"a description of two lines": {func(b *budget.Budget) { b.Description = new("a\r\n\tb") }, nil},
		"a description of 501 characters": {
			func(b *budget.Budget) { b.Description = new(long[:501]) }, []string{"description: has 501 characters, must have 0 to 500"},
		},
		"a description with a bell": {func(b *budget.Budget) { b.Description = new("\a") }, []string{"description: contains the control character U+0007"}},

		"no metric": {
			func(b *budget.Budget) { b.Metric = "" },
			[]string{`metric: is "", must be one of [tokens input_tokens output_tokens dollars requests credits]`},
		},
		"another metric": {
			func(b *budget.Budget) { b.Metric = "euros" },
			[]string{`metric: is "euros", must be one of [tokens input_tokens output_tokens dollars requests credits]`},
		},
		"a limit of 0":             {func(b *budget.Budget) { b.Limit = dec("0") }, []string{"limit: must be greater than 0"}},
		"a limit below 0":          {func(b *budget.Budget) { b.Limit = dec("-1") }, []string{"limit: must be greater than 0"}},
		"the highest limit":        {func(b *budget.Budget) { b.Limit = dec("9223372036854775807") }, nil},
		"more than int64 holds":    {func(b *budget.Budget) { b.Limit = dec("9223372036854775808") }, []string{"limit: amount does not fit into an int64"}},
		"a limit of 1e999 dollars": {func(b *budget.Budget) { b.Metric, b.Limit = usage.Dollars, decimal.New(1, 999) }, []string{"limit: amount does not fit into an int64"}},
		"a limit of 1e-999999999":  {func(b *budget.Budget) { b.Limit = decimal.New(1, -999_999_999) }, []string{"limit: must be a whole number"}},
		"half a token":             {func(b *budget.Budget) { b.Limit = dec("0.5") }, []string{"limit: must be a whole number"}},
		"a billionth of a dollar":  {func(b *budget.Budget) { b.Metric, b.Limit = usage.Dollars, dec("0.000000001") }, nil},
		"less than that":           {func(b *budget.Budget) { b.Metric, b.Limit = usage.Dollars, dec("0.0000000001") }, []string{"limit: has more than 9 decimal places"}},
		"a hold below 0":           {func(b *budget.Budget) { b.MinHold = dec("-1") }, []string{"min_hold: must not be negative"}},
		"a hold of half a token":   {func(b *budget.Budget) { b.MinHold = dec("0.5") }, []string{"min_hold: must be a whole number"}},
		"a hold above the limit":   {func(b *budget.Budget) { b.MinHold = dec("1000") }, nil},

		"credits at a rate":      {func(b *budget.Budget) { b.Metric, b.CostPerCredit = usage.Credits, dec("0.01") }, nil},
		"credits at no rate yet": {func(b *budget.Budget) { b.Metric = usage.Credits }, nil},
		"credits at a rate below 0": {
			func(b *budget.Budget) { b.Metric, b.CostPerCredit = usage.Credits, dec("-0.01") }, []string{"cost_per_credit: must be greater than 0"},
		},
		"credits at a rate of 10 places": {
			func(b *budget.Budget) { b.Metric, b.CostPerCredit = usage.Credits, dec("0.0000000001") },
			[]string{"cost_per_credit: has more than 9 decimal places"},
		},
		"tokens at a rate": {func(b *budget.Budget) { b.CostPerCredit = dec("1") }, []string{"cost_per_credit: is for budgets on credits only"}},

		"a scope of 9 dimensions": {
			func(b *budget.Budget) {
				b.Scope = make(budget.Scope)
				for _, name := range many(9) {
					b.Scope[usage.Dimension(name)] = "x"
				}
			},
			[]string{"scope: has 9 dimensions, at most 8 are allowed"},
		},
		"a value excepted from each": {func(b *budget.Budget) { b.Scope, b.Except = each, budget.Except{"user": {"u1"}} }, nil},
		"a value excepted from a dimension that is not each": {
			func(b *budget.Budget) { b.Scope, b.Except = budget.Scope{"user": "u1"}, budget.Except{"user": {"u1"}} },
			[]string{"except.user: the scope does not have this dimension as each"},
		},
		"an empty value excepted": {
			func(b *budget.Budget) { b.Scope, b.Except = each, budget.Except{"user": {""}} }, []string{"except.user: must not be empty"},
		},
		"1001 values excepted": {
			func(b *budget.Budget) { b.Scope, b.Except = each, budget.Except{"user": many(1001)} },
			[]string{"except.user: has 1001 values, at most 1000 are allowed"},
		},

		"a start in 1979": {
			func(b *budget.Budget) { b.StartsAt = at("1979-12-31T23:59:59Z") }, []string{"starts_at: must be from 1980 to 2199"},
		},
		"a start in 1980 and an end in 2199": {
			func(b *budget.Budget) { b.StartsAt, b.EndsAt = usage.MinTime, at("2199-12-31T23:59:59Z") }, nil,
		},
		"an end in 2200": {func(b *budget.Budget) { b.EndsAt = usage.EndTime }, []string{"ends_at: must be from 1980 to 2199"}},
		"an end at the start": {
			func(b *budget.Budget) { b.StartsAt, b.EndsAt = noon, noon }, []string{"ends_at: must be after starts_at"},
		},
		"an end in the start's microsecond": {
			func(b *budget.Budget) { b.StartsAt, b.EndsAt = noon, noon.Add(999*time.Nanosecond) }, []string{"ends_at: must be after starts_at"},
		},

		"1000 resources":      {func(b *budget.Budget) { b.AllowedResources = many(1000) }, nil},
		"1001 resources":      {func(b *budget.Budget) { b.AllowedResources = many(1001) }, []string{"allowed_resources: has 1001 names, at most 1000 are allowed"}},
		"a resource of NUL":   {func(b *budget.Budget) { b.AllowedResources = []string{"a", "\x00"} }, []string{"allowed_resources: contains the control character U+0000"}},
		"another enforcement": {func(b *budget.Budget) { b.Enforcement = "loud" }, []string{`enforcement: is "loud", must be hard, soft or observe`}},
		"thresholds beyond their bounds": {
			func(b *budget.Budget) {
				b.Thresholds = alert.Thresholds{Warning: new(dec("100.1")), Critical: new(dec("-1")), Extra: []decimal.Decimal{dec("50"), dec("50.0")}}
			},
			[]string{"warning_percent: must be from 0 to 100", "critical_percent: must be from 0 to 100", "extra_percents: has 50 twice"},
		},

		"an owner with a line break": {func(b *budget.Budget) { b.Owner = "a\n" }, []string{"owner: contains the control character U+000A"}},
		"a maker of 129 bytes":       {func(b *budget.Budget) { b.CreatedBy = long[:129] }, []string{"created_by: has 129 bytes, at most 128 are allowed"}},
		"16 labels":                  {func(b *budget.Budget) { b.Labels = labels(16) }, nil},
		"17 labels":                  {func(b *budget.Budget) { b.Labels = labels(17) }, []string{"labels: has 17 names, at most 16 are allowed"}},
		"labels without name and without value": {
			func(b *budget.Budget) { b.Labels = map[string]string{"": "x", "plan": ""} }, []string{"labels: must not be empty", "labels.plan: must not be empty"},
		},

		"metadata of 16 KiB":            {func(b *budget.Budget) { b.Metadata = metadata(16 << 10) }, nil},
		"metadata of a byte more":       {func(b *budget.Budget) { b.Metadata = metadata(16<<10 + 1) }, []string{"metadata: has 16385 bytes, at most 16384 are allowed"}},
		"metadata that is no object":    {func(b *budget.Budget) { b.Metadata = json.RawMessage(`[1]`) }, []string{"metadata: must be a JSON object"}},
		"metadata that is null":         {func(b *budget.Budget) { b.Metadata = json.RawMessage(`null`) }, []string{"metadata: must be a JSON object"}},
		"metadata that is no JSON":      {func(b *budget.Budget) { b.Metadata = json.RawMessage(`{"a":}`) }, []string{"metadata: must be a JSON object"}},
		"metadata with more behind it":  {func(b *budget.Budget) { b.Metadata = json.RawMessage(`{} {}`) }, []string{"metadata: must be a JSON object"}},
		"metadata that is not UTF-8":    {func(b *budget.Budget) { b.Metadata = json.RawMessage("{\"a\":\"\xff\"}") }, []string{"metadata: is not valid UTF-8"}},
		"metadata as deep as it may be": {func(b *budget.Budget) { b.Metadata = deep(16 << 10) }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := withDefaults(budget.Budget{})
			test.change(&b)
			if diff := cmp.Diff(test.want, findings(t, b.Validate())); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBudgetValidateRefusesSchedules(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		schedule period.Schedule
		want     []string
	}{
		"an unknown zone":          {unknownZone(), []string{"time_zone"}},
		"day 0":                    {period.Monthly.StartDay(0), []string{"start_day"}},
		"day 32":                   {period.Monthly.StartDay(32), []string{"start_day"}},
		"what days have no use of": {period.Daily.StartDay(2), []string{"start_day"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, fields(withDefaults(budget.Budget{Schedule: test.schedule}).Validate())); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// metadata returns an object of so many bytes.
func metadata(bytes int) json.RawMessage {
	const frame = `{"a":""}`
	return json.RawMessage(`{"a":"` + strings.Repeat("x", bytes-len(frame)) + `"}`)
}

// deep returns an object of lists in lists, of at most so many bytes.
func deep(bytes int) json.RawMessage {
	n := (bytes - len(`{"a":}`)) / 2
	return json.RawMessage(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
}

func TestBudgetValidateFindsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	b := budget.Budget{
		ID: "\x00", Description: new(strings.Repeat("x", 501)), Metric: "euros", Schedule: unknownZone(), Scope: budget.Scope{"user": ""},
		Except: budget.Except{"tenant": {"t"}}, StartsAt: at("1970-01-01T00:00:00Z"), EndsAt: at("1960-01-01T00:00:00Z"),
		AllowedResources: []string{""}, Enforcement: "loud", Thresholds: alert.Thresholds{Warning: new(dec("101"))},
		Owner: "\x01", CreatedBy: "\x02", Labels: map[string]string{"\x03": "x"}, Metadata: json.RawMessage(`1`),
	}
	want := []string{
		"id", "name", "description", "metric", "time_zone", "scope.user", "except.tenant", "starts_at", "ends_at", "ends_at",
		"allowed_resources", "enforcement", "warning_percent", "owner", "created_by", "labels", "metadata",
	}
	if diff := cmp.Diff(want, fields(b.Validate())); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	b.Metric, b.Limit, b.MinHold, b.CostPerCredit = usage.Dollars, dec("-1"), dec("-1"), dec("1")
	want = slices.Replace(want, 3, 4, "limit", "min_hold", "cost_per_credit")
	if diff := cmp.Diff(want, fields(b.Validate())); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
