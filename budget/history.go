package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A HistoryQuery says which history of a budget is wanted. The zero value is that of today and the 30 days before it, by
// day, in the budget's zone.
type HistoryQuery struct {
	Value Value          // only of this counter; nil: of all the budget's counters together
	Span  period.Bounds  // widened to whole buckets; zero: today and the 30 days before it
	By    usage.Bucket   // default day
	Zone  *time.Location // an IANA zone, in which the buckets are; default the budget's
	Fill  bool           // with a point of zeros for each bucket without usage
}

// maxBuckets is about how many points a filled history has at the most: eleven years of hours.
const maxBuckets = 100_000

// A HistoryPoint is one bucket of a budget's history.
type HistoryPoint struct {
	usage.Point
	Used decimal.Decimal // in the budget's metric
}

// MarshalJSON writes the point flat: start, end, used and the amounts.
func (p HistoryPoint) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Start               time.Time `json:"start"`
		End                 time.Time `json:"end"`
		Used                number    `json:"used"`
		InputTokens         int64     `json:"input_tokens"`
		OutputTokens        int64     `json:"output_tokens"`
		CacheReadTokens     int64     `json:"cache_read_tokens"`
		CacheCreationTokens int64     `json:"cache_creation_tokens"`
		TotalTokens         int64     `json:"total_tokens"`
		Requests            int64     `json:"requests"`
		Runs                int64     `json:"runs"`
		Cost                number    `json:"cost"`
	}{
		p.Start, p.End, number(p.Used), p.InputTokens, p.OutputTokens, p.CacheReadTokens, p.CacheCreationTokens,
		p.TotalTokens, p.Requests, p.Runs, number(p.Cost()),
	})
}

// History returns the usage that a budget covers, also from before it was made, in ascending buckets. Adjustments are no
// usage and not part of it.
//
// Errors: ErrNotFound, ErrInvalid with the fields, ErrPruned where events are needed that are gone: for budgets on credits
// and with labels in their scope.
func (l *Ledger) History(ctx context.Context, id string, q HistoryQuery) ([]HistoryPoint, error) {
	var points []HistoryPoint
	err := l.view(ctx, fmt.Sprintf("history of budget %q", id), func(r ReadTx) error {
		d, err := definition(ctx, r, id)
		if err != nil {
			return err
		}
		if q.Value != nil {
			if err := d.validateValue(q.Value); err != nil {
				return err
			}
		}
		span, err := q.settle(d, l.now())
		if err != nil {
			return err
		}
		catalog, err := r.Catalog(ctx)
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		points, err = (&history{q: q, d: d, catalog: catalog}).points(ctx, r, span)
		return err
	})
	return points, err
}

// settle fills in what the query leaves out and returns its span in whole buckets.
func (q *HistoryQuery) settle(d *Definition, now time.Time) (period.Bounds, error) {
	if q.By == "" {
		q.By = usage.Day
	}
	if _, err := usage.ParseBucket(string(q.By)); err != nil {
		return period.Bounds{}, err
	}
	if q.Zone == nil {
		q.Zone = d.Schedule.Location()
	}
	if err := period.Daily.In(q.Zone).Validate(); err != nil {
		return period.Bounds{}, err
	}
	span := q.Span
	if span.IsZero() {
		today := usage.Day.Bounds(now, q.Zone)
		// At noon, because the date of an hour that the clock skipped may be that of the day before.
		noon := today.Start.Add(12*time.Hour).In(q.Zone).AddDate(0, 0, -30)
		span = period.Bounds{Start: usage.Day.Bounds(noon, q.Zone).Start, End: today.End}
	}
	if err := validateSpan(span); err != nil {
		return period.Bounds{}, err
	}
	if q.Fill && span.Duration()/maxBuckets > bucketLength[q.By] {
		return period.Bounds{}, invalid.Field("span", "has more than %d buckets to fill", maxBuckets)
	}
	span.Start = q.By.Bounds(span.Start, q.Zone).Start
	if last := q.By.Bounds(span.End.Add(-time.Microsecond), q.Zone); last.End.After(span.End) {
		span.End = last.End
	}
	return span, nil
}

// bucketLength is about how long a bucket is.
var bucketLength = map[usage.Bucket]time.Duration{
	usage.Hour: time.Hour, usage.Day: 24 * time.Hour, usage.Week: 7 * 24 * time.Hour, usage.Month: 30 * 24 * time.Hour,
}

// A history is being gathered.
type history struct {
	q       HistoryQuery
	d       *Definition
	catalog Catalog
	rough   bool // credits are those of sums, rounded once for each, and not those of events
}

// fromSums reports whether sums tell enough.
func (h *history) fromSums() bool {
	return h.d.fromRollups() || h.rough && !h.d.Scope.HasLabels()
}

func (h *history) points(ctx context.Context, r ReadTx, span period.Bounds) ([]HistoryPoint, error) {
	where := h.d.Scope.fixed()
	maps.Copy(where, h.q.Value)
	used := make(map[int64]int64) // units, by the bucket's start
	var bucket period.Bounds      // the last row's: rows come in order, slice by slice
	var failed error
	rows := func(yield func(time.Time, usage.Totals) bool) {
		for row, err := range h.rows(ctx, r, span, where) {
			if err != nil {
				failed = err
				return
			}
			if !bucket.Contains(row.at) {
				bucket = h.q.By.Bounds(row.at, h.q.Zone)
			}
			start := bucket.Start.UnixMicro()
			if used[start], failed = addUnits(used[start], row.units); failed != nil || !yield(row.at, row.totals) {
				return
			}
		}
	}
	points, err := usage.Gather(h.q.By, h.q.Zone, rows)
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	if h.q.Fill {
		points = usage.Fill(points, span, h.q.By, h.q.Zone)
	}
	filled := make([]HistoryPoint, len(points))
	for i, p := range points {
		filled[i] = HistoryPoint{Point: p, Used: h.d.Metric.Decimal(used[p.Start.UnixMicro()])}
	}
	return filled, nil
}

// A historyRow is usage at an instant, or of a part of time that lies in one bucket and begins then.
type historyRow struct {
	at     time.Time
	totals usage.Totals
	units  int64 // in the budget's metric
}

// rows yields the usage of the span from sums where they tell enough, else from events.
func (h *history) rows(ctx context.Context, r ReadTx, span period.Bounds, where Value) iter.Seq2[historyRow, error] {
	return func(yield func(historyRow, error) bool) {
		slices, err := h.slices(span, where)
		if err != nil {
			yield(historyRow{}, err)
			return
		}
		for _, slice := range slices {
			read := h.sumRows
			if slice.Grain == usage.Raw {
				read = h.eventRows
			}
			for row, err := range read(ctx, r, slice, where) {
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
	}
}

func (h *history) slices(span period.Bounds, where Value) ([]usage.Slice, error) {
	span = span.Intersect(h.d.window())
	if span.IsZero() {
		return nil, nil
	}
	if !h.fromSums() {
		return []usage.Slice{{Grain: usage.Raw, Bounds: span}}, nil
	}
	zone, err := newReportingZone(h.catalog.ReportingZone)
	if err != nil {
		return nil, err
	}
	// Sums of days and months are of the reporting zone: they help only where the buckets are too.
	grain := usage.QuarterHours
	if period.Daily.In(h.q.Zone) == zone.days && h.q.By != usage.Hour {
		grain = usage.Days
		if h.q.By == usage.Month {
			grain = coarsest(UsageQuery{Where: where, By: h.by()})
		}
	}
	return usage.Cover(span, zone.loc, grain), nil
}

// by returns the dimensions to tell apart: those whose values decide whether the budget covers a row.
func (h *history) by() []usage.Dimension {
	if h.q.Value != nil {
		return nil
	}
	return h.d.Scope.EachDimensions()
}

func (h *history) sumRows(ctx context.Context, r ReadTx, slice usage.Slice, where Value) iter.Seq2[historyRow, error] {
	return func(yield func(historyRow, error) bool) {
		q := UsageQuery{Slices: []usage.Slice{slice}, Where: where, By: h.by(), PerBucket: true, ViaDays: true}
		rows, err := r.Usage(ctx, q)
		if err != nil {
			yield(historyRow{}, fmt.Errorf("sum up usage: %w", err))
			return
		}
		for _, row := range rows {
			value, covered := valueOf(row.Subject, q.By)
			if !covered || h.d.excepts(value) || h.d.excepts(h.q.Value) {
				continue
			}
			units, err := h.d.units(&StoredEvent{Time: row.Bucket, Totals: row.Totals})
			if !yield(historyRow{row.Bucket, row.Totals, units}, err) || err != nil {
				return
			}
		}
	}
}

func (h *history) eventRows(ctx context.Context, r ReadTx, slice usage.Slice, where Value) iter.Seq2[historyRow, error] {
	return func(yield func(historyRow, error) bool) {
		if err := notBeforeFloor(slice.Bounds, h.catalog); err != nil {
			yield(historyRow{}, err)
			return
		}
		err := eachEvent(ctx, r, EventQuery{Span: slice.Bounds, Where: where}, func(e *StoredEvent) error {
			charge, counts, err := h.d.Charge(e)
			if err != nil || !counts {
				return err
			}
			if !yield(historyRow{e.Time, e.Totals, charge.Units}, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(historyRow{}, err)
		}
	}
}

// errStopped ends a walk whose reader has seen enough.
var errStopped = errors.New("stopped")

// A TopQuery asks who used most.
type TopQuery struct {
	By     usage.Dimension            // tenant, user, api_key or resource
	Span   period.Bounds              // zero: all time
	Where  map[usage.Dimension]string // only usage with exactly these values of the same four dimensions
	Metric usage.Metric               // to order by; default cost, in dollars; not credits
	N      int                        // at most so many; 0: all
}

// Top returns what the values of a dimension used, those that used most first. Usage without a value of the dimension is
// left out. It reads sums, so that it costs the same however many events there are.
//
// Errors: ErrInvalid with the fields; ErrPruned if the span begins or ends inside a quarter hour that is pruned.
func (l *Ledger) Top(ctx context.Context, q TopQuery) ([]usage.Group, error) {
	if q.Metric == "" {
		q.Metric = usage.Dollars
	}
	if q.Span.IsZero() {
		q.Span = allTime
	}
	if err := q.validate(); err != nil {
		return nil, fmt.Errorf("top: %w", err)
	}
	var groups []usage.Group
	err := l.view(ctx, "top", func(r ReadTx) error {
		catalog, err := r.Catalog(ctx)
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		rows, err := sumUsage(ctx, r, catalog, UsageQuery{Where: q.Where, By: []usage.Dimension{q.By}}, q.Span)
		groups = make([]usage.Group, 0, len(rows))
		for _, row := range rows {
			if key := row.Value(q.By); key != "" {
				groups = append(groups, usage.Group{Key: key, Totals: row.Totals})
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return usage.Top(groups, q.Metric, q.N), nil
}

func (q TopQuery) validate() error {
	var errs []error
	if q.By.IsLabel() {
		errs = append(errs, invalid.Field("by", "must be tenant, user, api_key or resource"))
	}
	errs = append(errs, validateWhere(q.Where))
	if !q.Metric.Valid() || q.Metric == usage.Credits {
		errs = append(errs, invalid.Field("metric", "must be a metric other than credits"))
	}
	return errors.Join(append(errs, validateSpan(q.Span))...)
}

func validateWhere(where map[usage.Dimension]string) error {
	var errs []error
	for _, d := range slices.Sorted(maps.Keys(where)) {
		if d.IsLabel() {
			errs = append(errs, invalid.Field("where", "must name tenant, user, api_key or resource"))
		}
		errs = append(errs, invalid.OptionalName("where."+string(d), where[d]))
	}
	return errors.Join(errs...)
}

func validateSpan(span period.Bounds) error {
	if !span.Start.Before(span.End) || span.Start.Before(usage.MinTime) || span.End.After(usage.EndTime) {
		return invalid.Field("span", "must begin before it ends, in the years 1980 to 2199")
	}
	return nil
}
