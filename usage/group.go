package usage

import (
	"cmp"
	"slices"
)

// A Group is what one value of a dimension used.
type Group struct {
	Key string // the value
	Totals
}

// Top returns the n groups that used most of a metric, the highest first and equal ones by key. An n of 0 or less means all.
// By [Credits] all are equal: they need a rate.
func Top(groups []Group, by Metric, n int) []Group {
	sorted := slices.SortedStableFunc(slices.Values(groups), func(g, h Group) int {
		return cmp.Or(cmp.Compare(by.Of(h.Totals), by.Of(g.Totals)), cmp.Compare(g.Key, h.Key))
	})
	if n > 0 && n < len(sorted) {
		return sorted[:n:n]
	}
	return sorted
}
