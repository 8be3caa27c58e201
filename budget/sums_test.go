package budget_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// ascending fails unless compare puts these in just this order.
func ascending[K any](t *testing.T, compare func(a, b K) int, keys ...K) {
	t.Helper()
	sorted := slices.Clone(keys)
	slices.Reverse(sorted)
	slices.SortFunc(sorted, compare)
	if diff := cmp.Diff(keys, sorted); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, key := range keys {
		if compare(key, key) != 0 {
			t.Errorf("%+v is not equal to itself", key)
		}
	}
}

func TestKeysAscend(t *testing.T) {
	t.Parallel()
	ascending(t, budget.CounterKey.Compare,
		budget.CounterKey{Start: -1}, budget.CounterKey{}, budget.CounterKey{Value: "a"}, budget.CounterKey{Start: 1},
		budget.CounterKey{Value: "a", Start: 1}, budget.CounterKey{Budget: "a"}, budget.CounterKey{Budget: "b", Value: "", Start: -1},
	)
	ascending(t, budget.EventKey.Compare,
		budget.EventKey{}, budget.EventKey{ID: "a"}, budget.EventKey{Tenant: "a"}, budget.EventKey{Tenant: "a", ID: "a"}, budget.EventKey{Tenant: "b"},
	)
	ascending(t, budget.UsageKey.Compare,
		budget.UsageKey{}, budget.UsageKey{Resource: "a"}, budget.UsageKey{APIKey: "a"}, budget.UsageKey{User: "a"}, budget.UsageKey{Tenant: "a"},
		budget.UsageKey{Tenant: "a", Resource: "a"}, budget.UsageKey{Bucket: 1}, budget.UsageKey{Grain: usage.Days},
		budget.UsageKey{Grain: usage.Days, Bucket: 1}, budget.UsageKey{Grain: usage.Months},
	)
}

// What is recorded and what is adjusted fit into int64 each. Their sum may not; then it is above or below every level.
func TestLevelsAtTheEndsOfInt64(t *testing.T) {
	t.Parallel()
	tests := map[string]budget.Tally{
		"above all": {Recorded: math.MaxInt64 - 1, Adjusted: math.MaxInt64}, "below all": {Recorded: math.MinInt64, Adjusted: math.MinInt64},
	}
	for name, tally := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.create(budget.Budget{ID: "b"})
			f.plant(counter("b", "", "2026-03-01T00:00:00Z", tally))
			f.record(tokens("a", 1))
			f.correct(back("c", "a", 1))
			f.alerted()
		})
	}
}
