package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

// brief is a store each of whose transactions takes no longer than this: those of Run have no caller to bound them.
type brief struct {
	Store
	timeout time.Duration
}

func (s brief) Update(ctx context.Context, fn func(Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.Store.Update(ctx, fn)
}

func (s brief) View(ctx context.Context, fn func(ReadTx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.Store.View(ctx, fn)
}

// A forecaster makes forecast alerts. It remembers what it has projected, since a projection is a read of weeks: a counter is
// projected again when it has moved far enough.
type forecaster struct {
	*Ledger
	projected map[CounterKey]projectedCounter
	pass      int
}

// A projectedCounter is how a counter stood when it was projected, and was not to pass its limit.
type projectedCounter struct {
	version int64 // of the budget
	used    decimal.Decimal
	passes  bool // by the run rate
	at      time.Time
	pass    int // in which it was seen last
}

const (
	projectionsPerPeriod = 48 // of a counter that moves little, at the most
	stepsToLimit         = 16 // such a part of what was left makes one that moves fast projected sooner
)

func (l *Ledger) forecaster() *forecaster {
	return &forecaster{Ledger: l, projected: make(map[CounterKey]projectedCounter)}
}

// due reports whether a counter is to be projected: not while it stands as it stood, for then no more is to come than was to
// come; and where it moves, when it has moved far, or for long, or is to pass its limit by the run rate and was not, which
// can be told without reading anything.
func (f *forecaster) due(s *Status, passes bool, now time.Time) bool {
	key := s.counterKey(now)
	last, known := f.projected[key]
	if !known || last.version != s.Budget.Version {
		return true
	}
	last.pass = f.pass
	f.projected[key] = last
	moved, left := s.Used.Sub(last.used).Abs(), s.Budget.Limit.Sub(last.used)
	return moved.IsPositive() && (passes && !last.passes ||
		now.Sub(last.at) >= s.Period.Duration()/projectionsPerPeriod ||
		moved.Mul(decimal.NewFromInt(stepsToLimit)).GreaterThanOrEqual(left))
}

// remember remembers that a counter was projected.
func (f *forecaster) remember(s *Status, passes bool, now time.Time) {
	f.projected[s.counterKey(now)] = projectedCounter{version: s.Budget.Version, used: s.Used, passes: passes, at: now, pass: f.pass}
}

// dropUnseen forgets counters that are not seen any more.
func (f *forecaster) dropUnseen() {
	maps.DeleteFunc(f.projected, func(_ CounterKey, p projectedCounter) bool { return p.pass != f.pass })
}

// keepForecasting makes forecast alerts until ctx ends.
func (l *Ledger) keepForecasting(ctx context.Context) {
	f := l.WithStore(brief{l.store, l.options.FlushTimeout}).forecaster()
	ticker := time.NewTicker(l.options.ForecastInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := f.forecastAll(ctx); err != nil && ctx.Err() == nil {
			l.options.OnError(fmt.Errorf("forecast: %w", err))
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// forecastAll makes the alerts of all budgets for what is projected to pass its limit.
func (f *forecaster) forecastAll(ctx context.Context) error {
	now := f.now()
	f.pass++
	var failed []error
	for page, err := range f.definitionPages(ctx, Query{Enabled: new(true)}) {
		if err == nil {
			page = slices.DeleteFunc(page, func(d Definition) bool { return d.marks() == nil })
			err = f.forecastPage(ctx, page, now)
		}
		if err != nil {
			failed = append(failed, err)
		}
		if isStoreFailure(err) || ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
	f.dropUnseen()
	return errors.Join(failed...)
}

// forecastPage makes those of some budgets that alert. What goes wrong with one counter keeps no other from its alert, unless
// it is the store.
func (f *forecaster) forecastPage(ctx context.Context, page []Definition, now time.Time) error {
	if len(page) == 0 {
		return nil
	}
	made, err := f.forecastsOf(ctx, page, now)
	if err != nil {
		return err
	}
	var failed []error
	for status, err := range f.pageStatuses(ctx, page, now) {
		if err == nil && !made[status.counterKey(now)] {
			err = f.forecastIfDue(ctx, &status, now)
		}
		if err != nil {
			failed = append(failed, err)
		}
		if isStoreFailure(err) || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// forecastsOf returns the counters that have a forecast, of the periods of these budgets that run now.
func (l *Ledger) forecastsOf(ctx context.Context, page []Definition, now time.Time) (map[CounterKey]bool, error) {
	q := AlertQuery{Kinds: []alert.Kind{alert.Forecast}, Limit: pageSize}
	oldest := now
	for _, d := range page {
		q.Budgets = append(q.Budgets, d.ID)
		if start := d.Schedule.Bounds(now).Start; start.Before(oldest) {
			oldest = start
		}
	}
	made := make(map[CounterKey]bool)
	for {
		found, err := l.Alerts(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, a := range found {
			if a.At.Before(oldest) {
				return made, nil
			}
			made[CounterKey{Budget: a.Budget, Value: a.Value, Start: a.Period.Start.UnixMicro()}] = true
		}
		if len(found) < q.Limit {
			return made, nil
		}
		last := found[len(found)-1]
		q.After = &TimeCursor{Time: last.At, ID: last.ID}
	}
}

// counterKey returns the key of the counter that s is of, at an instant of its period.
func (s *Status) counterKey(at time.Time) CounterKey {
	return CounterKey{Budget: s.Budget.ID, Value: s.Value.Key(), Start: s.Budget.Schedule.Bounds(at).Start.UnixMicro()}
}

// forecastIfDue makes the alert of a counter if it is due to be projected, and if that says so. By no method is there a
// projection where the run rate has none: for a period in which nothing was used, or which has just begun. What has reached the
// limit has an alert of that.
func (f *forecaster) forecastIfDue(ctx context.Context, s *Status, now time.Time) error {
	units := func(d decimal.Decimal) int64 { return d.Shift(s.Budget.Metric.Scale()).IntPart() }
	steady := usage.Pace{
		Metric: s.Budget.Metric, Period: s.Period, At: now,
		Limit: units(s.Budget.Limit), Recorded: units(s.Recorded), Adjusted: units(s.Adjusted),
	}.Project(usage.RunRate)
	passes := !steady.Passes.IsZero()
	if s.Level >= alert.Exceeded || steady.Reason != "" || !f.due(s, passes, now) {
		return nil
	}
	err := f.forecast(ctx, s)
	if err == nil {
		f.remember(s, passes, now)
	}
	return err
}

// forecast makes the alert of a counter if it is projected to pass its limit.
func (l *Ledger) forecast(ctx context.Context, s *Status) error {
	p, err := l.Projection(ctx, s.Budget.ID, s.Value)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) {
		return nil // the budget has been deleted, or counts something else by now
	}
	if err != nil || p.Passes.IsZero() || p.Status.Level == alert.Exceeded {
		return err
	}
	return l.update(ctx, fmt.Sprintf("budget %q", s.Budget.ID), func(tx Tx) error {
		if err := tx.Fence(ctx, Shared); err != nil {
			return err
		}
		found, err := tx.Budgets(ctx, Query{IDs: []string{s.Budget.ID}})
		if err != nil || len(found) == 0 || found[0].Version != p.Status.Budget.Version {
			return err // if it was changed, it is projected anew next time
		}
		_, err = tx.Apply(ctx, Writes{Alerts: []alert.Alert{l.forecastAlert(&found[0], p)}})
		return err
	})
}

func (c *core) forecastAlert(d *Definition, p Projection) alert.Alert {
	key := d.counterKey(p.Status.Value, p.Pace.At)
	a := change{definition: d, key: key, tally: Tally{Recorded: p.Pace.Recorded, Adjusted: p.Pace.Adjusted}}.
		alert(c, alert.Forecast, alert.Mark{}, p.Status.Level)
	a.Episode, a.Expected = 0, p.Passes // one per period, however often the level rises
	a.Message = fmt.Sprintf("Budget %q is projected to pass its limit at about %s: %s of %s %s used, %s by the end of the period",
		d.Name, p.Passes.In(p.Pace.Zone).Format("2006-01-02 15:04 MST"), p.Status.Used, d.Limit, d.Metric,
		p.Value.Round(min(d.Metric.Scale(), 2)))
	return a
}
