package bunstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// eventRow is a row of purser_events.
type eventRow struct {
	bun.BaseModel `bun:"alias:t"`

	Tenant   string `bun:"tenant"`
	ID       string `bun:"id"`
	Time     int64  `bun:"time"`
	User     string `bun:"user_id"`
	APIKey   string `bun:"api_key"`
	Resource string `bun:"resource"`
	Labels   string `bun:"labels"`
	totalsRow
	Hash       []byte `bun:"hash"`
	Flags      int64  `bun:"flags"`
	Corrects   string `bun:"corrects"`
	CostBefore int64  `bun:"cost_before"`
	Reason     string `bun:"reason"`
	PricedBy   string `bun:"priced_by"`
	RecordedAt int64  `bun:"recorded_at"`
}

const noLabels = "{}"

func labelsText(labels map[string]string) string {
	if len(labels) == 0 {
		return noLabels
	}
	return encode(labels)
}

func (e *eventRow) stored() (budget.StoredEvent, error) {
	stored := budget.StoredEvent{
		ID:      e.ID,
		Subject: usage.Subject{Tenant: e.Tenant, User: e.User, APIKey: e.APIKey, Resource: e.Resource},
		Time:    instant(e.Time),
		Totals:  usage.Totals(e.totalsRow),
		Flags:   budget.EventFlags(e.Flags), Corrects: e.Corrects, CostBefore: e.CostBefore, Reason: e.Reason,
		PricedBy:   e.PricedBy,
		RecordedAt: instant(e.RecordedAt),
	}
	copy(stored.Hash[:], e.Hash)
	var p parser
	if e.Labels != noLabels {
		p.json("labels", e.Labels, &stored.Labels)
	}
	return stored, p.err
}

func storedEvents(rows []eventRow) ([]budget.StoredEvent, error) {
	events := make([]budget.StoredEvent, 0, len(rows))
	for i := range rows {
		e, err := rows[i].stored()
		if err != nil {
			return nil, fmt.Errorf("event %q of tenant %q: %w", rows[i].ID, rows[i].Tenant, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// columns maps the dimensions that have a column to it.
var columns = map[usage.Dimension]string{
	usage.Tenant:   "tenant",
	usage.User:     "user_id",
	usage.APIKey:   "api_key",
	usage.Resource: "resource",
}

// events restricts a query of purser_events to a span and to rows with these values of dimensions. They are looked for by
// their time. A label must be the value; "" is its absence.
func (b *binding) events(q *bun.SelectQuery, span period.Bounds, where map[usage.Dimension]string) *bun.SelectQuery {
	q.Where("time >= ? AND time < ?", b.arg(micros(span.Start)), b.arg(micros(span.End)))
	for _, d := range slices.Sorted(maps.Keys(where)) {
		if column, ok := columns[d]; ok {
			q.Where(b.store.engine.Common(column+" = ?"), b.arg(where[d]))
		} else {
			q.Where(b.store.engine.HasLabel(), b.arg(string(d)), b.arg(where[d]))
		}
	}
	return q
}

func (r *reader) Events(ctx context.Context, query budget.EventQuery) ([]budget.StoredEvent, error) {
	var rows []eventRow
	b := r.bind()
	q := b.events(b.from("purser_events", &rows), query.Span, query.Where).
		OrderExpr("time, tenant, id").
		Limit(int64(query.Limit))
	if query.Except {
		q.Where("corrects = ''")
	}
	if after := query.After; after != nil {
		q.Where("(time, tenant, id) > (?, ?, ?)", b.arg(micros(after.Time)), b.arg(after.Tenant), b.arg(after.ID))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	events, err := storedEvents(rows)
	return events, r.step(ctx, err)
}

func (t *tx) InsertEvents(ctx context.Context, events []budget.StoredEvent) (budget.Inserted, error) {
	keys, version, err := t.store.engine.InsertEvents(ctx, t, events)
	if err != nil {
		return budget.Inserted{}, t.step(ctx, err)
	}
	// A statement of its own: the one that inserted does not see a row for whose transaction it waited.
	taken, err := t.eventsByKey(ctx, keys, "")
	if err != nil {
		return budget.Inserted{}, t.step(ctx, err)
	}
	return budget.Inserted{Version: version, Taken: taken}, nil
}

func (r *reader) FindEvents(ctx context.Context, keys []budget.EventKey) (map[budget.EventKey]budget.LockedEvent, error) {
	return r.withCorrections(ctx, keys, "")
}

func (t *tx) LockEvents(ctx context.Context, keys []budget.EventKey) (map[budget.EventKey]budget.LockedEvent, error) {
	return t.withCorrections(ctx, keys, t.store.engine.ForUpdate())
}

func (r *reader) withCorrections(ctx context.Context, keys []budget.EventKey, locking string) (map[budget.EventKey]budget.LockedEvent, error) {
	standing, err := r.eventsByKey(ctx, keys, locking)
	if err != nil {
		return nil, r.step(ctx, err)
	}
	// After the locks, so that no correction is missed that another transaction made while it held one.
	corrected, err := r.corrected(ctx, keys)
	if err != nil {
		return nil, r.step(ctx, err)
	}
	found := make(map[budget.EventKey]budget.LockedEvent, len(standing))
	for key, e := range standing {
		found[key] = budget.LockedEvent{StoredEvent: e, Corrected: corrected[key]}
	}
	return found, nil
}

var eventKeyTypes = []Type{Text, Text}

func eventKeys(keys []budget.EventKey) [][]any {
	tuples := make([][]any, len(keys))
	for i, key := range keys {
		tuples[i] = []any{key.Tenant, key.ID}
	}
	return tuples
}

func (r *reader) eventsByKey(ctx context.Context, keys []budget.EventKey, locking string) (map[budget.EventKey]budget.StoredEvent, error) {
	found := make(map[budget.EventKey]budget.StoredEvent)
	if len(keys) == 0 {
		return found, nil
	}
	var rows []eventRow
	b := r.bind()
	q := b.from("purser_events", &rows).OrderExpr("tenant, id")
	if locking != "" {
		q.For(locking)
	}
	if err := b.in(q, "tenant, id", eventKeyTypes, eventKeys(keys)).Scan(ctx); err != nil {
		return nil, err
	}
	events, err := storedEvents(rows)
	for _, e := range events {
		found[e.Key()] = e
	}
	return found, err
}

// corrected returns, by the event that was corrected, what corrections took away.
func (r *reader) corrected(ctx context.Context, keys []budget.EventKey) (map[budget.EventKey]usage.Totals, error) {
	var rows []eventRow
	b := r.bind()
	q := b.from("purser_events", &rows).Where("corrects <> ''")
	if err := b.in(q, "tenant, corrects", eventKeyTypes, eventKeys(keys)).Scan(ctx); err != nil {
		return nil, err
	}
	sums := make(map[budget.EventKey]usage.Totals)
	for _, row := range rows {
		key := budget.EventKey{Tenant: row.Tenant, ID: row.Corrects}
		sum, err := sums[key].Sub(usage.Totals(row.totalsRow))
		if err != nil {
			return nil, err
		}
		sums[key] = sum
	}
	return sums, nil
}
