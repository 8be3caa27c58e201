package budget

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// pageSize is how many rows are read at a time where there may be very many.
const pageSize = 5000

// tallies are counters on their way into the store, by key.
type tallies map[CounterKey]Tally

// touch makes a counter one of those that change, be it by nothing.
func (t tallies) touch(key CounterKey) {
	tally := t[key]
	t[key] = tally
}

func (t tallies) record(key CounterKey, units int64) (err error) {
	tally := t[key]
	tally.Recorded, err = addUnits(tally.Recorded, units)
	t[key] = tally
	return err
}

// recorded returns a copy of t with what others recorded beside it.
func (t tallies) recorded(others tallies) (tallies, error) {
	sum := maps.Clone(t)
	for key, tally := range others {
		if err := sum.record(key, tally.Recorded); err != nil {
			return nil, err
		}
		if err := sum[key].fits(); err != nil {
			return nil, fmt.Errorf("what is used: %w", err)
		}
	}
	return sum, nil
}

func (t tallies) adjust(key CounterKey, units int64) (err error) {
	tally := t[key]
	tally.Adjusted, err = addUnits(tally.Adjusted, units)
	t[key] = tally
	return err
}

func (t tallies) counters() []Counter {
	counters := make([]Counter, 0, len(t))
	for key, tally := range t {
		counters = append(counters, Counter{CounterKey: key, Tally: tally})
	}
	return counters
}

// recount returns d's counters from its CountedFrom on: those of the running period and of what lies ahead of it.
func recount(ctx context.Context, r ReadTx, catalog Catalog, d *Definition, now time.Time) (tallies, error) {
	running := d.Schedule.Bounds(now)
	if span := running.Intersect(d.window()); span.Start.Before(catalog.PruneFloor) && !span.IsZero() {
		return nil, fmt.Errorf("%w: set starts_at to %s or later", ErrPruned, catalog.PruneFloor.Format(time.RFC3339))
	}
	counted, err := countPeriod(ctx, r, catalog, d, running, nil)
	if err != nil {
		return nil, err
	}
	// Few events are ahead of now, but they may be in as many periods.
	ahead := EventQuery{Span: period.Bounds{Start: running.End, End: usage.EndTime}, Where: d.Scope.fixed()}
	if err := countEvents(ctx, r, d, ahead, counted); err != nil {
		return nil, err
	}
	if err := countAdjustments(ctx, r, d, counted); err != nil {
		return nil, err
	}
	for _, tally := range counted {
		if err := tally.fits(); err != nil {
			return nil, fmt.Errorf("what is used: %w", err)
		}
	}
	return counted, nil
}

// countPeriod returns what events recorded in d's counters of one period: that of one value, or all if value is nil.
func countPeriod(ctx context.Context, r ReadTx, catalog Catalog, d *Definition, p period.Bounds, value Value) (tallies, error) {
	counted := make(tallies)
	span := p.Intersect(d.window())
	if span.IsZero() {
		return counted, nil
	}
	where := d.Scope.fixed()
	maps.Copy(where, value)
	if !d.fromRollups() {
		if err := notBeforeFloor(span, catalog); err != nil {
			return nil, err
		}
		return counted, countEvents(ctx, r, d, EventQuery{Span: span, Where: where}, counted)
	}
	by := d.Scope.EachDimensions()
	rows, err := sumUsage(ctx, r, catalog, UsageQuery{Where: where, By: by}, span)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		v, covered := valueOf(row.Subject, by)
		if !covered || d.excepts(v) {
			continue
		}
		key := CounterKey{Budget: d.ID, Value: v.Key(), Start: p.Start.UnixMicro()}
		if err := counted.record(key, d.Metric.Of(row.Totals)); err != nil {
			return nil, err
		}
	}
	return counted, nil
}

// countEvents adds what the events of the query charge to d.
func countEvents(ctx context.Context, r ReadTx, d *Definition, q EventQuery, counted tallies) error {
	return eachEvent(ctx, r, q, func(e *StoredEvent) error {
		charge, counts, err := d.Charge(e)
		if err != nil || !counts {
			return err
		}
		return counted.record(charge.CounterKey, charge.Units)
	})
}

// countAdjustments adds the adjustments that still mean something to d: those in its metric, of its scope's values.
func countAdjustments(ctx context.Context, r ReadTx, d *Definition, counted tallies) error {
	adjustments, err := r.Adjustments(ctx, AdjustmentQuery{Budgets: []string{d.ID}, From: d.CountedFrom})
	if err != nil {
		return fmt.Errorf("read adjustments: %w", err)
	}
	for _, a := range adjustments {
		if err := countAdjustment(d, a, counted); err != nil {
			return err
		}
	}
	return nil
}

func countAdjustment(d *Definition, a StoredAdjustment, counted tallies) error {
	value, err := ParseValue(a.Value)
	if err != nil {
		return err
	}
	if a.Metric != d.Metric || !value.names(d.Scope.EachDimensions()) || a.Time.Before(d.CountedFrom) {
		return nil
	}
	return counted.adjust(d.counterKey(value, a.Time), a.Units)
}

// sumUsage sums up the usage of a span from the coarsest sums that tell apart what the query asks for.
func sumUsage(ctx context.Context, r ReadTx, catalog Catalog, q UsageQuery, span period.Bounds) ([]UsageRow, error) {
	zone, err := newReportingZone(catalog.ReportingZone)
	if err != nil {
		return nil, err
	}
	q.Slices = usage.Cover(span, zone.loc, coarsest(q))
	for _, slice := range q.Slices {
		if slice.Grain != usage.Raw {
			continue
		}
		if err := notBeforeFloor(slice.Bounds, catalog); err != nil {
			return nil, err
		}
	}
	rows, err := r.Usage(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("sum up usage: %w", err)
	}
	return rows, nil
}

// coarsest returns the coarsest grain whose sums tell apart the dimensions of the query: months have no users and keys.
func coarsest(q UsageQuery) usage.Grain {
	for _, d := range []usage.Dimension{usage.User, usage.APIKey} {
		if _, chosen := q.Where[d]; chosen || slices.Contains(q.By, d) {
			return usage.Days
		}
	}
	return usage.Months
}

func notBeforeFloor(span period.Bounds, catalog Catalog) error {
	if span.Start.Before(catalog.PruneFloor) {
		return fmt.Errorf("%w: those before %s are", ErrPruned, catalog.PruneFloor.Format(time.RFC3339))
	}
	return nil
}

// eachEvent calls fn for each event of the query, which it pages through.
func eachEvent(ctx context.Context, r ReadTx, q EventQuery, fn func(*StoredEvent) error) error {
	q.Limit = pageSize
	for {
		events, err := r.Events(ctx, q)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		for i := range events {
			if err := fn(&events[i]); err != nil {
				return err
			}
		}
		if len(events) < q.Limit {
			return nil
		}
		q = q.behind(events[len(events)-1])
	}
}
