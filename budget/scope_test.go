package budget_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

func TestScopeMatch(t *testing.T) {
	t.Parallel()
	subject := usage.Subject{Tenant: "acme", User: "u1", Resource: "large", Labels: map[string]string{"team": "red"}}
	tests := map[string]struct {
		scope budget.Scope
		want  budget.Value
		match bool
	}{
		"the empty scope covers everything":              {match: true},
		"a value covers that value":                      {scope: budget.Scope{"tenant": "acme"}, match: true},
		"a value covers no other":                        {scope: budget.Scope{"tenant": "acm"}},
		"values are opaque, case counts":                 {scope: budget.Scope{"tenant": "Acme"}},
		"each covers any value, in its counter":          {scope: budget.Scope{"user": budget.Each}, want: budget.Value{"user": "u1"}, match: true},
		"each does not cover a subject without value":    {scope: budget.Scope{"api_key": budget.Each}},
		"a value does not cover a subject without value": {scope: budget.Scope{"api_key": "k"}},
		"all dimensions must match":                      {scope: budget.Scope{"tenant": "acme", "user": "u2"}},
		"a value and an each": {
			scope: budget.Scope{"tenant": "acme", "user": budget.Each}, want: budget.Value{"user": "u1"}, match: true,
		},
		"several each make one counter per tuple": {
			scope: budget.Scope{"user": budget.Each, "resource": budget.Each, "tenant": "acme"},
			want:  budget.Value{"user": "u1", "resource": "large"}, match: true,
		},
		"a label is a dimension":                        {scope: budget.Scope{"team": "red"}, match: true},
		"a label can be each":                           {scope: budget.Scope{"team": budget.Each}, want: budget.Value{"team": "red"}, match: true},
		"a label that the subject lacks matches not":    {scope: budget.Scope{"project": budget.Each}},
		"a value that only begins like each is a value": {scope: budget.Scope{"user": "each"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, match := test.scope.Match(subject)
			if match != test.match {
				t.Errorf("covered: %v, want %v", match, test.match)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

// texts draws names that look like parts of an encoding.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[0-9:*=]{1,6}`),
		rapid.StringMatching(`[a-b0-9:*="\\äß-]{1,12}`),
		rapid.SampledFrom([]string{"tenant", "user", "api_key", "resource", "4:user", "6:tenant*", "each", `{"each":true}`}),
	)
}

func dimensions() *rapid.Generator[usage.Dimension] {
	return rapid.Custom(func(t *rapid.T) usage.Dimension { return usage.Dimension(texts().Draw(t, "dimension")) })
}

func scopes() *rapid.Generator[budget.Scope] {
	selector := rapid.Custom(func(t *rapid.T) budget.Selector {
		if rapid.Bool().Draw(t, "each") {
			return budget.Each
		}
		return budget.Selector(texts().Draw(t, "value"))
	})
	return rapid.Custom(func(t *rapid.T) budget.Scope {
		return rapid.MapOfN(dimensions(), selector, 0, 4).Draw(t, "scope")
	})
}

func values() *rapid.Generator[budget.Value] {
	return rapid.Custom(func(t *rapid.T) budget.Value {
		return rapid.MapOfN(dimensions(), texts(), 0, 4).Draw(t, "value")
	})
}

func TestNoTwoScopesShareAKey(t *testing.T) {
	check(t, func(t *rapid.T) {
		a, b := scopes().Draw(t, "a"), scopes().Draw(t, "b")
		if (a.Key() == b.Key()) != maps.Equal(a, b) {
			t.Fatalf("%q and %q have the keys %q and %q", a, b, a.Key(), b.Key())
		}
		sameShape := maps.EqualFunc(a, b, func(x, y budget.Selector) bool { return (x == budget.Each) == (y == budget.Each) })
		if (a.Shape() == b.Shape()) != sameShape {
			t.Fatalf("%q and %q have the shapes %q and %q", a, b, a.Shape(), b.Shape())
		}
	})
}

func TestNoTwoValuesShareAKey(t *testing.T) {
	check(t, func(t *rapid.T) {
		a, b := values().Draw(t, "a"), values().Draw(t, "b")
		if (a.Key() == b.Key()) != maps.Equal(a, b) {
			t.Fatalf("%q and %q have the keys %q and %q", a, b, a.Key(), b.Key())
		}
	})
}

func TestParseValueReadsWhatKeyWrites(t *testing.T) {
	check(t, func(t *rapid.T) {
		want := values().Draw(t, "value")
		if len(want) == 0 {
			want = nil
		}
		got, err := budget.ParseValue(want.Key())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("after a round trip (-want +got):\n%s", diff)
		}
	})
}

func TestParseValueRefusesWhatKeyDoesNotWrite(t *testing.T) {
	t.Parallel()
	for _, key := range []string{":", "x", "4:user", "4:user2", "4:user2:u", "-1:", "5:user1:u", "4:user1:uu", "1000000000000:u", "4user1:u"} {
		if value, err := budget.ParseValue(key); err == nil {
			t.Errorf("%q is read as %v", key, value)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, key := range []string{"", "4:user2:u1", "4:user2:u18:resource5:large", "0:0:", "01:a1:b", "9999999999999999999:"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		value, err := budget.ParseValue(key)
		if err != nil {
			return
		}
		again, err := budget.ParseValue(value.Key())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value, again); diff != "" {
			t.Errorf("%q after a round trip (-want +got):\n%s", key, diff)
		}
	})
}

func TestEachDimensionsAscend(t *testing.T) {
	t.Parallel()
	scope := budget.Scope{"user": budget.Each, "api_key": budget.Each, "tenant": "acme", "team": budget.Each}
	want := []usage.Dimension{"api_key", "team", "user"}
	if diff := cmp.Diff(want, scope.EachDimensions()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestScopeJSON(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		scope budget.Scope
		want  string
	}{
		"the empty scope": {budget.Scope{}, `{}`},
		"a value and each": {
			budget.Scope{"tenant": "acme", "user": budget.Each, "team": "each"},
			`{"team":"each","tenant":"acme","user":{"each":true}}`,
		},
		"a value that looks like each": {budget.Scope{"user": `{"each":true}`}, `{"user":"{\"each\":true}"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(test.scope)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(text)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			var got budget.Scope
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.scope, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelectorJSONRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"each that is not true":             `{"each": false}`,
		"an object without each":            `{"all": true}`,
		"a number":                          `7`,
		"a list":                            `["acme"]`,
		"a text that stands for each in Go": `"\u0000each"`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got budget.Selector
			err := json.Unmarshal([]byte(text), &got)
			if diff := cmp.Diff([]string{`scope: must be a text or {"each": true}`}, findings(t, err)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if got != "" {
				t.Errorf("it was read as %q", got)
			}
		})
	}
}

// However the ledger looks for the budgets of an event, it finds those whose scopes match.
func TestAnEventIsCountedByTheBudgetsWhoseScopesMatch(t *testing.T) {
	dimension := rapid.SampledFrom([]usage.Dimension{"tenant", "user", "api_key", "resource", "team", "4:user"})
	value := rapid.SampledFrom([]string{"1", "2", "1:1"})
	check(t, func(rt *rapid.T) {
		f := openWith(t, memstore.New(nil), nil)
		for range rapid.IntRange(1, 8).Draw(rt, "budgets") {
			selectors := rapid.MapOfN(dimension, rapid.OneOf(value, rapid.Just(string(budget.Each))), 0, 3).Draw(rt, "scope")
			scope := make(budget.Scope)
			for d, s := range selectors {
				scope[d] = budget.Selector(s)
			}
			f.create(budget.Budget{Scope: scope})
		}
		used := make(map[budget.CounterKey]int64)
		for range rapid.IntRange(1, 5).Draw(rt, "events") {
			e := tokens(f.id(), rapid.Int64Range(1, 9).Draw(rt, "tokens"))
			set := rapid.MapOfN(dimension, value, 0, 6).Draw(rt, "subject")
			e.Subject = usage.Subject{
				Tenant: set["tenant"], User: set["user"], APIKey: set["api_key"], Resource: set["resource"],
				Labels: map[string]string{"team": set["team"], "4:user": set["4:user"]},
			}
			f.record(e)
			page, err := f.List(t.Context(), budget.Query{})
			if err != nil {
				rt.Fatal(err)
			}
			for _, row := range page.Rows {
				if value, covered := row.Budget.Scope.Match(e.Subject); covered {
					used[budget.CounterKey{Budget: row.Budget.ID, Value: value.Key(), Start: at("2026-03-01T00:00:00Z").UnixMicro()}] += e.InputTokens
				}
			}
		}
		got := make(map[budget.CounterKey]int64)
		for key, tally := range f.tallies() {
			got[key] = tally.Recorded
		}
		if diff := cmp.Diff(used, got); diff != "" {
			rt.Fatalf("counters (-want +got):\n%s", diff)
		}
	})
}

func TestNamesOfScopesAreShortPlainTexts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		scope budget.Scope
		want  []string
	}{
		"an empty value": {budget.Scope{"user": ""}, []string{"scope.user: must not be empty"}},
		"an empty name":  {budget.Scope{"": "x"}, []string{"scope: must not be empty"}},
		"a long value":   {budget.Scope{"user": budget.Selector(strings.Repeat("x", 129))}, []string{"scope.user: has 129 bytes, at most 128 are allowed"}},
		"NUL":            {budget.Scope{"user": "a\x00"}, []string{"scope.user: contains the control character U+0000"}},
		"what goes on behind each": {
			budget.Scope{"user": budget.Each + "x"}, []string{"scope.user: contains the control character U+0000"},
		},
		"invalid UTF-8": {budget.Scope{"te\xffam": "x"}, []string{"scope: is not valid UTF-8"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := withDefaults(budget.Budget{Scope: test.scope}).Validate()
			if diff := cmp.Diff(test.want, findings(t, err)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
