package memstore

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func (r reader) Usage(ctx context.Context, q budget.UsageQuery) ([]budget.UsageRow, error) {
	sums := make(map[budget.UsageKey]usage.Totals)
	compare := inOrderOf(q.By)
	for _, slice := range q.Slices {
		for row := range r.usageIn(slice) {
			key := grouped(row.UsageKey, q)
			behind := q.After == nil || len(q.By) == 0 || compare(key, grouped(keyOf(*q.After), q)) > 0
			if !behind || !has(subject(row.UsageKey), q.Where) {
				continue
			}
			sum, err := sums[key].Add(row.Totals)
			if err != nil {
				return nil, err
			}
			sums[key] = sum
		}
	}
	return usageRows(sums, q), ctx.Err()
}

// usageIn yields what is summed for a slice. A Raw one is its events, each under a key as if it were a sum.
func (r reader) usageIn(slice usage.Slice) iter.Seq[budget.UsageAdd] {
	if slice.Grain == usage.Raw {
		return r.eventsIn(slice)
	}
	return func(yield func(budget.UsageAdd) bool) {
		first := budget.UsageKey{Grain: slice.Grain, Bucket: slice.Start.UnixMicro()}
		for row := range r.usage.from(budget.UsageAdd{UsageKey: first}) {
			if row.Grain != slice.Grain || row.Bucket >= slice.End.UnixMicro() || !yield(row) {
				return
			}
		}
	}
}

func (r reader) eventsIn(slice usage.Slice) iter.Seq[budget.UsageAdd] {
	return func(yield func(budget.UsageAdd) bool) {
		for e := range until(r.timeline.from(&budget.StoredEvent{Time: slice.Start}), slice.End) {
			if !yield(budget.UsageAdd{UsageKey: keyOf(e.Subject), Totals: e.Totals}) {
				return
			}
		}
	}
}

// grouped returns key without what the query's rows do not tell apart.
func grouped(key budget.UsageKey, q budget.UsageQuery) budget.UsageKey {
	var group budget.UsageKey
	if q.PerBucket {
		group.Bucket = key.Bucket
	}
	for _, d := range q.By {
		switch d {
		case usage.Tenant:
			group.Tenant = key.Tenant
		case usage.User:
			group.User = key.User
		case usage.APIKey:
			group.APIKey = key.APIKey
		case usage.Resource:
			group.Resource = key.Resource
		}
	}
	return group
}

func usageRows(sums map[budget.UsageKey]usage.Totals, q budget.UsageQuery) []budget.UsageRow {
	rows := make([]budget.UsageRow, 0, len(sums))
	keys := slices.SortedFunc(maps.Keys(sums), inOrderOf(q.By))
	if q.Limit > 0 {
		keys = keys[:min(q.Limit, len(keys))]
	}
	for _, key := range keys {
		row := budget.UsageRow{Subject: subject(key), Totals: sums[key]}
		if q.PerBucket {
			row.Bucket = time.UnixMicro(key.Bucket).UTC()
		}
		rows = append(rows, row)
	}
	return rows
}

func inOrderOf(by []usage.Dimension) func(a, b budget.UsageKey) int {
	return func(a, b budget.UsageKey) int {
		order := cmp.Compare(a.Bucket, b.Bucket)
		for _, d := range by {
			order = cmp.Or(order, cmp.Compare(subject(a).Value(d), subject(b).Value(d)))
		}
		return order
	}
}

func subject(key budget.UsageKey) usage.Subject {
	return usage.Subject{Tenant: key.Tenant, User: key.User, APIKey: key.APIKey, Resource: key.Resource}
}

func keyOf(s usage.Subject) budget.UsageKey {
	return budget.UsageKey{Tenant: s.Tenant, User: s.User, APIKey: s.APIKey, Resource: s.Resource}
}
