package budget

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A Projection says where what a budget has used will stand when its period ends, for one scope value.
type Projection struct {
	usage.Projection // by usage.Auto
	// Status is how the budget stands at Pace.At. Where that is past, Recorded is what was recorded of the time before it;
	// the other figures are the period's as they are now.
	Status Status
	Pace   usage.Pace // what it was made from; Pace.Project says what another method makes of it
}

// MarshalJSON writes p as its status, with the instant and the projection.
func (p Projection) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		statusJSON
		At         time.Time        `json:"at"`
		Projection usage.Projection `json:"projection"`
	}{newStatusJSON(&p.Status), p.Pace.At, p.Projection})
}

// Projection returns where a budget will stand at the end of its running period, and when it passes its limit. The value is
// that of [Ledger.Status]. A period for which nothing can be said has a reason instead, and no error.
//
// It goes by the hours of the trailing 8 weeks, by the clock of the budget's zone; also by those from before the budget was
// made, but not by what is outside StartsAt and EndsAt. What was adjusted counts as used and not as pace: a refund does not
// come every day. For budgets with labels in their scope it reads the events of these weeks, as far as they are not
// pruned; for all others sums, in as many statements however many events there are: credits of an hour are those of its
// cost, to a millionth for each quarter of it.
//
// Errors: ErrNotFound, ErrInvalid if the value does not fit the scope.
func (l *Ledger) Projection(ctx context.Context, id string, value Value) (Projection, error) {
	return l.projection(ctx, id, value, time.Time{})
}

// ProjectionAt is [Ledger.Projection] for the period that holds t, made from what was used before t: as it would have been
// said then, but for what came late, was corrected or adjusted since. Besides, it is ErrInvalid if t is in the future, and
// ErrPruned where events are needed that are gone.
func (l *Ledger) ProjectionAt(ctx context.Context, id string, value Value, t time.Time) (Projection, error) {
	err := validateInstant("time", t)
	if err == nil && (t.IsZero() || micros(t).After(l.now())) {
		err = invalid.Field("time", "must not be in the future, nor be left out")
	}
	if err != nil {
		return Projection{}, fmt.Errorf("projection of budget %q: %w", id, err)
	}
	return l.projection(ctx, id, value, micros(t))
}

// projection returns the projection at t, which is past, or now if t is zero.
func (l *Ledger) projection(ctx context.Context, id string, value Value, t time.Time) (Projection, error) {
	at := t
	if t.IsZero() {
		at = l.now()
	}
	var p Projection
	err := l.view(ctx, fmt.Sprintf("projection of budget %q", id), func(r ReadTx) error {
		d, err := definition(ctx, r, id)
		if err != nil {
			return err
		}
		if err := d.validateValue(value); err != nil {
			return err
		}
		catalog, err := r.Catalog(ctx)
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		tally, err := tallyAt(ctx, r, d, value, at)
		if err == nil && !t.IsZero() {
			tally.Recorded, err = recordedBefore(ctx, r, catalog, d, value, t)
		}
		if err != nil {
			return err
		}
		p.Status = Evaluate(d.Budget, value, tally, at)
		p.Pace = usage.Pace{
			Metric: d.Metric, Period: p.Status.Period, Zone: d.Schedule.Location(), At: at,
			Limit: d.limitUnits(), Recorded: tally.Recorded, Adjusted: tally.Adjusted,
		}
		h := &history{q: HistoryQuery{Value: value, By: usage.Hour, Zone: p.Pace.Zone}, d: d, catalog: catalog, rough: true}
		span := h.trailing(p.Pace, t.IsZero())
		p.Pace.Since = span.Start
		p.Pace.Hours, err = hourUses(ctx, r, h, span)
		return err
	})
	if err != nil {
		return Projection{}, err
	}
	p.Projection = p.Pace.Project(usage.Auto)
	return p, nil
}

// recordedBefore returns what was recorded of the time before t in the period that holds it.
func recordedBefore(ctx context.Context, r ReadTx, catalog Catalog, d *Definition, value Value, t time.Time) (int64, error) {
	past := period.Bounds{Start: d.Schedule.Bounds(t).Start, End: t}
	counted, err := countPeriod(ctx, r, catalog, d, past, value)
	return counted[d.counterKey(value, t)].Recorded, err
}

// trailing returns the part of the trailing weeks whose hours can be read, the zero Bounds if there is none.
func (h *history) trailing(p usage.Pace, now bool) period.Bounds {
	const quarter = 15 * time.Minute
	span := period.Bounds{Start: usage.Hour.Bounds(p.At.Add(-usage.TrailingHistory), p.Zone).Start, End: p.At}
	if now {
		span.End = p.At.Truncate(quarter).Add(quarter) // a bound of the sums: the events of the last minutes need not be read
	}
	span = span.Intersect(h.d.window())
	inSums := h.fromSums() && span.Start.Equal(span.Start.Truncate(quarter))
	if !inSums && span.Start.Before(h.catalog.PruneFloor) {
		span = span.Intersect(period.Bounds{Start: h.catalog.PruneFloor, End: usage.EndTime})
	}
	return span
}

// hourUses returns what a history has in a span, by the hour.
func hourUses(ctx context.Context, r ReadTx, h *history, span period.Bounds) ([]usage.HourUse, error) {
	if span.IsZero() {
		return nil, nil
	}
	where := h.d.Scope.fixed()
	maps.Copy(where, h.q.Value)
	var uses []usage.HourUse
	var hour period.Bounds // the last row's: rows come in order
	for row, err := range h.rows(ctx, r, span, where) {
		if err != nil {
			return nil, err
		}
		if !hour.Contains(row.at) {
			hour = usage.Hour.Bounds(row.at, h.q.Zone)
			uses = append(uses, usage.HourUse{Start: hour.Start})
		}
		last := &uses[len(uses)-1]
		if last.Units, err = addUnits(last.Units, row.units); err != nil {
			return nil, err
		}
	}
	return uses, nil
}
