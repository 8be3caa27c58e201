package budget_test

import (
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
