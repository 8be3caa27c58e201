package memstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A reader is a [budget.ReadTx].
type reader struct {
	*tables
	clock func() time.Time
}

func (r reader) Catalog(ctx context.Context) (budget.Catalog, error) {
	c := r.catalog
	for d := range r.scopes.all() {
		c.Shapes = append(c.Shapes, d.key.Shape)
	}
	c.Shapes = slices.Compact(c.Shapes)
	return c, ctx.Err()
}

func (r reader) Definitions(ctx context.Context, keys []budget.ScopeKey) (map[budget.ScopeKey][]budget.Definition, error) {
	found := make(map[budget.ScopeKey][]budget.Definition)
	for _, key := range keys {
		if definitions := r.under(key); definitions != nil {
			found[key] = definitions
		}
	}
	return found, ctx.Err()
}

func (r reader) under(key budget.ScopeKey) []budget.Definition {
	var found []budget.Definition
	for d := range r.scopes.from(&definition{key: key}) {
		if d.key != key {
			break
		}
		found = append(found, cloneDefinition(d.Definition))
	}
	return found
}

func (r reader) Budgets(ctx context.Context, q budget.Query) ([]budget.Definition, error) {
	found := slices.SortedFunc(r.selected(q), func(a, b *definition) int {
		return newestFirst(a.CreatedAt, a.ID, b.CreatedAt, b.ID)
	})
	behind := filter(slices.Values(found), func(d *definition) bool {
		return q.After == nil || newestFirst(d.CreatedAt, d.ID, q.After.CreatedAt, q.After.ID) > 0
	})
	return page(behind, q.Offset, q.Limit, func(d *definition) budget.Definition { return cloneDefinition(d.Definition) }), ctx.Err()
}

func (r reader) CountBudgets(ctx context.Context, q budget.Query) (int, error) {
	n := 0
	for range r.selected(q) {
		n++
	}
	return n, ctx.Err()
}

func (r reader) selected(q budget.Query) iter.Seq[*definition] {
	return filter(r.definitions.all(), func(d *definition) bool {
		return (q.IDs == nil || slices.Contains(q.IDs, d.ID)) &&
			(q.Owner == nil || *q.Owner == d.Owner) &&
			(q.Metric == "" || q.Metric == d.Metric) &&
			(q.Enabled == nil || *q.Enabled == !d.Disabled) &&
			contains(d.Scope, q.Scope) &&
			!slices.ContainsFunc(q.Without, func(one usage.Dimension) bool { return d.Scope[one] != "" }) &&
			contains(d.Labels, q.Labels)
	})
}

func (r reader) Counters(ctx context.Context, q budget.CounterQuery) ([]budget.Counter, error) {
	found := r.counters.all()
	switch {
	case q.Keys != nil:
		found = r.countersOf(q.Keys)
	case q.Periods != nil:
		found = r.countersIn(q.Periods)
	}
	behind := filter(found, func(c budget.Counter) bool {
		return q.After == nil || c.Compare(*q.After) > 0
	})
	return page(behind, 0, q.Limit, same), ctx.Err()
}

func (r reader) Highest(ctx context.Context, periods []budget.CounterKey) (map[budget.CounterKey]budget.HighestCounter, error) {
	highest := make(map[budget.CounterKey]budget.HighestCounter)
	most := make(map[budget.CounterKey]int64)
	for c := range r.countersIn(periods) {
		used, err := add(c.Recorded, c.Adjusted)
		if err != nil {
			return nil, fmt.Errorf("use of counter %+v: %w", c.CounterKey, err)
		}
		period := budget.CounterKey{Budget: c.Budget, Start: c.Start}
		h := highest[period]
		if h.Counters == 0 || used > most[period] {
			h.Counter, most[period] = c, used
		}
		h.Counters++
		highest[period] = h
	}
	return highest, ctx.Err()
}

// countersOf yields the counters with these keys, in order.
func (r reader) countersOf(keys []budget.CounterKey) iter.Seq[budget.Counter] {
	return func(yield func(budget.Counter) bool) {
		for _, key := range slices.Compact(slices.SortedFunc(slices.Values(keys), budget.CounterKey.Compare)) {
			if c, ok := r.counters.Get(budget.Counter{CounterKey: key}); ok && !yield(c) {
				return
			}
		}
	}
}

// countersIn yields the counters of these periods, in order.
func (r reader) countersIn(periods []budget.CounterKey) iter.Seq[budget.Counter] {
	wanted := make(map[budget.CounterKey]bool)
	budgets := make(map[string]bool)
	for _, p := range periods {
		wanted[p], budgets[p.Budget] = true, true
	}
	return func(yield func(budget.Counter) bool) {
		for _, id := range slices.Sorted(maps.Keys(budgets)) {
			for c := range r.countersUnder(id) {
				if wanted[budget.CounterKey{Budget: id, Start: c.Start}] && !yield(c) {
					return
				}
			}
		}
	}
}

// countersUnder yields all counters of a budget, in order.
func (r reader) countersUnder(id string) iter.Seq[budget.Counter] {
	return func(yield func(budget.Counter) bool) {
		first := budget.Counter{CounterKey: budget.CounterKey{Budget: id, Start: math.MinInt64}} // periods start before 1970 too
		for c := range r.counters.from(first) {
			if c.Budget != id || !yield(c) {
				return
			}
		}
	}
}

func (r reader) Events(ctx context.Context, q budget.EventQuery) ([]budget.StoredEvent, error) {
	first := &budget.StoredEvent{Time: q.Span.Start}
	if q.After != nil {
		first = maxTime(first, cursorEvent(*q.After))
	}
	found := filter(until(r.timeline.from(first), q.Span.End), func(e *budget.StoredEvent) bool {
		return has(e.Subject, q.Where) &&
			(!q.Except || e.Corrects == "") &&
			(q.After == nil || compareTimes(e, cursorEvent(*q.After)) > 0)
	})
	return page(found, 0, q.Limit, cloneEvent), ctx.Err()
}

func (r reader) FindEvents(ctx context.Context, keys []budget.EventKey) (map[budget.EventKey]budget.LockedEvent, error) {
	found := make(map[budget.EventKey]budget.LockedEvent)
	for _, key := range keys {
		e, ok := r.events.Get(eventWith(key))
		if !ok {
			continue
		}
		corrected, err := r.corrected(key)
		if err != nil {
			return nil, err
		}
		found[key] = budget.LockedEvent{StoredEvent: cloneEvent(e), Corrected: corrected}
	}
	return found, ctx.Err()
}

// corrected returns what the corrections of an event took away.
func (r reader) corrected(key budget.EventKey) (usage.Totals, error) {
	var sum usage.Totals
	first := &budget.StoredEvent{Subject: usage.Subject{Tenant: key.Tenant}, Corrects: key.ID}
	for c := range r.corrections.from(first) {
		if c.Tenant != key.Tenant || c.Corrects != key.ID {
			break
		}
		var err error
		if sum, err = sum.Sub(c.Totals); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func (r reader) Adjustments(ctx context.Context, q budget.AdjustmentQuery) ([]budget.StoredAdjustment, error) {
	found := slices.SortedFunc(r.adjustments.all(), func(a, b *budget.StoredAdjustment) int {
		return cmp.Or(strings.Compare(a.Budget, b.Budget), a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
	})
	selected := filter(slices.Values(found), func(a *budget.StoredAdjustment) bool {
		return (q.Budgets == nil || slices.Contains(q.Budgets, a.Budget)) &&
			(q.IDs == nil || slices.Contains(q.IDs, a.ID)) &&
			!a.Time.Before(q.From)
	})
	return page(selected, 0, 0, deref), ctx.Err()
}

func (r reader) Tenants(ctx context.Context, q budget.TenantQuery) ([]budget.Tenant, error) {
	selected := filter(r.tenants.all(), func(t *budget.Tenant) bool {
		return t.ID > q.After && (q.IDs == nil || slices.Contains(q.IDs, t.ID))
	})
	return page(selected, 0, q.Limit, cloneTenant), ctx.Err()
}

func (r reader) Audit(ctx context.Context, q budget.AuditQuery) ([]budget.AuditEntry, error) {
	selected := filter(r.audit.all(), func(e *budget.AuditEntry) bool {
		return (q.Tenant == nil || *q.Tenant == e.Tenant) &&
			(q.Actor == "" || q.Actor == e.Actor) &&
			(q.Action == "" || q.Action == e.Action) &&
			(q.Target == "" || q.Target == e.Target) &&
			!e.Time.Before(q.Span.Start) &&
			(q.Span.End.IsZero() || e.Time.Before(q.Span.End)) &&
			behind(q.After, e.Time, e.ID)
	})
	return page(selected, 0, q.Limit, cloneAudit), ctx.Err()
}

func (r reader) KeyClaims(ctx context.Context, q budget.KeyClaimQuery) ([]budget.KeyClaim, error) {
	found := slices.SortedFunc(r.claims.all(), func(a, b budget.KeyClaim) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Key, b.Key))
	})
	selected := filter(slices.Values(found), func(c budget.KeyClaim) bool {
		return (q.Keys == nil || slices.Contains(q.Keys, c.Key)) && (q.Before.IsZero() || c.Time.Before(q.Before))
	})
	return page(selected, 0, q.Limit, same), ctx.Err()
}

func behind(after *budget.TimeCursor, t time.Time, id string) bool {
	return after == nil || newestFirst(t, id, after.Time, after.ID) > 0
}

func maxTime(a, b *budget.StoredEvent) *budget.StoredEvent {
	if compareTimes(a, b) < 0 {
		return b
	}
	return a
}

// cursorEvent returns an event at a cursor's place in the order of events.
func cursorEvent(c budget.EventCursor) *budget.StoredEvent {
	return &budget.StoredEvent{ID: c.ID, Subject: usage.Subject{Tenant: c.Tenant}, Time: c.Time}
}

// until yields the events of a timeline that are before end.
func until(events iter.Seq[*budget.StoredEvent], end time.Time) iter.Seq[*budget.StoredEvent] {
	return func(yield func(*budget.StoredEvent) bool) {
		for e := range events {
			if !e.Time.Before(end) || !yield(e) {
				return
			}
		}
	}
}

// has reports whether s has exactly these values.
func has(s usage.Subject, values map[usage.Dimension]string) bool {
	for d, value := range values {
		if s.Value(d) != value {
			return false
		}
	}
	return true
}

// contains reports whether all of part stands in whole.
func contains[K, V comparable](whole, part map[K]V) bool {
	for k, v := range part {
		if got, ok := whole[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func filter[T any](rows iter.Seq[T], keep func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for row := range rows {
			if keep(row) && !yield(row) {
				return
			}
		}
	}
}

// page returns what is behind the first offset rows, but at most limit of it; a limit of 0 is none.
func page[T, R any](rows iter.Seq[T], offset, limit int, result func(T) R) []R {
	var found []R
	for row := range rows {
		if offset > 0 {
			offset--
			continue
		}
		found = append(found, result(row))
		if len(found) == limit {
			break
		}
	}
	return found
}

func same[T any](row T) T { return row }

func deref[T any](row *T) T { return *row }
