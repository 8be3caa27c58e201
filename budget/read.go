package budget

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
)

// Budget returns the budget with this id. The error is ErrNotFound if there is none, ErrInvalid if none can have it.
func (l *Ledger) Budget(ctx context.Context, id string) (Budget, error) {
	var d *Definition
	err := l.look(ctx, fmt.Sprintf("budget %q", id), func(r ReadTx) (err error) {
		d, err = definition(ctx, r, id)
		return err
	})
	if err != nil {
		return Budget{}, err
	}
	return d.Budget, nil
}

func definition(ctx context.Context, r ReadTx, id string) (*Definition, error) {
	if err := invalid.Name("id", id); err != nil {
		return nil, err
	}
	found, err := r.Budgets(ctx, Query{IDs: []string{id}})
	if err != nil {
		return nil, fmt.Errorf("read the budget: %w", err)
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	return &found[0], nil
}

// A Page is a part of a list of budgets.
type Page struct {
	Rows  []Row
	Total int     // how many budgets the query selects, on all pages
	Next  *Cursor // where the next page begins, for Query.After; nil: this is the last one
}

// A Row is a budget in a list.
type Row struct {
	Status       // of the running period; of a budget with Each dimensions, the counter in which most is used
	Counters int // how many counters the running period has
}

// List returns the budgets that the query selects, newest first, each with how it stands. It takes the same few
// statements however many budgets there are. A Limit of 0 or less is 100. The error is ErrInvalid with the fields where
// the query asks for what no budget can have.
func (l *Ledger) List(ctx context.Context, q Query) (Page, error) {
	if err := q.validate(); err != nil {
		return Page{}, fmt.Errorf("list budgets: %w", err)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	now := l.now()
	var page Page
	err := l.view(ctx, "list budgets", func(r ReadTx) (err error) {
		if page.Total, err = r.CountBudgets(ctx, q); err != nil {
			return fmt.Errorf("count them: %w", err)
		}
		more := q
		more.Limit++ // one more than asked for tells whether there is a next page
		definitions, err := r.Budgets(ctx, more)
		if err != nil {
			return err
		}
		page.Next = nil
		if len(definitions) > q.Limit {
			definitions = definitions[:q.Limit]
			last := definitions[q.Limit-1]
			page.Next = &Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
		}
		page.Rows, err = rows(ctx, r, definitions, now)
		return err
	})
	return page, err
}

func rows(ctx context.Context, r ReadTx, definitions []Definition, now time.Time) ([]Row, error) {
	periods := make([]CounterKey, len(definitions))
	for i := range definitions {
		periods[i] = definitions[i].periodKey(now)
	}
	highest, err := r.Highest(ctx, periods)
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	rows := make([]Row, len(definitions))
	for i, d := range definitions {
		top := highest[periods[i]]
		value, err := ParseValue(top.Value)
		if err != nil {
			return nil, err
		}
		rows[i] = Row{Status: Evaluate(d.Budget, value, top.Tally, now), Counters: top.Counters}
	}
	return rows, nil
}

// periodKey returns what all counters of d's period at t have in common: a key whose Value is "".
func (d *Definition) periodKey(t time.Time) CounterKey { return d.counterKey(nil, t) }

// Status returns how a budget stands now. The value names every Each dimension of the budget's scope; it is nil if there
// is none. A value that was never seen has used nothing.
//
// Errors: ErrNotFound, ErrInvalid if the value does not fit the scope.
func (l *Ledger) Status(ctx context.Context, id string, value Value) (Status, error) {
	return l.StatusAt(ctx, id, value, l.now())
}

// StatusAt returns how a budget stands in the period that holds t. For a period before the budget was made, or before
// what it counts was last changed, it is computed from the usage as if the budget had been there; the error is ErrPruned
// where that would need events that are gone.
func (l *Ledger) StatusAt(ctx context.Context, id string, value Value, t time.Time) (Status, error) {
	if err := validateInstant("time", t); err != nil {
		return Status{}, fmt.Errorf("status of budget %q: %w", id, err)
	}
	t = micros(t)
	what := fmt.Sprintf("status of budget %q", id)
	if status, found, err := l.standing(ctx, what, id, value, t); found || err != nil {
		return status, err
	}
	var status Status
	err := l.view(ctx, what, func(r ReadTx) error {
		d, err := definition(ctx, r, id)
		if err != nil {
			return err
		}
		l.schedules.saw(d)
		if err := d.validateValue(value); err != nil {
			return err
		}
		tally, err := tallyAt(ctx, r, d, value, t)
		if err != nil {
			return err
		}
		status = Evaluate(d.Budget, value, tally, t)
		return nil
	})
	return status, err
}

func tallyAt(ctx context.Context, r ReadTx, d *Definition, value Value, t time.Time) (Tally, error) {
	key := d.counterKey(value, t)
	if key.Start >= d.CountedFrom.UnixMicro() {
		counters, err := r.Counters(ctx, CounterQuery{Keys: []CounterKey{key}})
		if err != nil || len(counters) == 0 {
			return Tally{}, err
		}
		return counters[0].Tally, nil
	}
	catalog, err := r.Catalog(ctx)
	if err != nil {
		return Tally{}, err
	}
	counted, err := countPeriod(ctx, r, catalog, d, d.Schedule.Bounds(t), value)
	return counted[key], err
}

// validateValue reports whether the value names just the dimensions that d's scope has as Each.
func (d *Definition) validateValue(value Value) error {
	if each := d.Scope.EachDimensions(); !value.names(each) {
		return invalid.Field("value", "must name the dimensions %v, it names %v", each, slices.Sorted(maps.Keys(value)))
	}
	return value.validate()
}

// Statuses yields how the budgets that the query selects stand in the periods that hold t, or now if t is zero: one status
// per counter in use, and one for each budget without Each dimensions, in the order of the budgets, newest first, and of
// the values. It reads in pages; what is recorded meanwhile may be in a later one and not in an earlier one. The
// query's After, Offset and Limit are about budgets. Periods that lie before a budget was counted from are left out.
func (l *Ledger) Statuses(ctx context.Context, q Query, t time.Time) iter.Seq2[Status, error] {
	if t.IsZero() {
		t = l.now()
	}
	t = micros(t)
	return func(yield func(Status, error) bool) {
		if err := errors.Join(q.validate(), validateInstant("time", t)); err != nil {
			yield(Status{}, fmt.Errorf("statuses: %w", err))
			return
		}
		for page, err := range l.definitionPages(ctx, q) {
			if err != nil {
				yield(Status{}, err)
				return
			}
			for status, err := range l.pageStatuses(ctx, page, t) {
				if !yield(status, err) || err != nil {
					return
				}
			}
		}
	}
}

// definitionPages yields the definitions that the query selects, in pages, each read in a view of its own.
func (l *Ledger) definitionPages(ctx context.Context, q Query) iter.Seq2[[]Definition, error] {
	const size = 500
	return func(yield func([]Definition, error) bool) {
		left := q.Limit
		for {
			q.Limit = size
			if left > 0 {
				q.Limit = min(size, left)
			}
			var page []Definition
			err := l.look(ctx, "read budgets", func(r ReadTx) (err error) {
				page, err = r.Budgets(ctx, q)
				return err
			})
			if len(page) > 0 || err != nil {
				if !yield(page, err) || err != nil {
					return
				}
			}
			if left -= len(page); len(page) < q.Limit || left == 0 {
				return
			}
			last := page[len(page)-1]
			q.After, q.Offset = &Cursor{CreatedAt: last.CreatedAt, ID: last.ID}, 0
		}
	}
}

// pageStatuses yields the statuses of some budgets. Their counters are read together, a budget at a time only where they
// are very many.
func (l *Ledger) pageStatuses(ctx context.Context, page []Definition, t time.Time) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		periods := make([]CounterKey, len(page))
		for i := range page {
			periods[i] = page[i].periodKey(t)
		}
		counters, err := l.counters(ctx, CounterQuery{Periods: periods, Limit: pageSize})
		if err != nil {
			yield(Status{}, err)
			return
		}
		byBudget := make(map[string][]Counter)
		for _, c := range counters {
			byBudget[c.Budget] = append(byBudget[c.Budget], c)
		}
		for i := range page {
			ok := false
			if len(counters) < pageSize {
				ok = yieldStatuses(&page[i], byBudget[page[i].ID], t, yield)
			} else {
				ok = l.yieldPaged(ctx, &page[i], t, yield)
			}
			if !ok {
				return
			}
		}
	}
}

func (l *Ledger) counters(ctx context.Context, q CounterQuery) (counters []Counter, err error) {
	err = l.look(ctx, "read counters", func(r ReadTx) (err error) {
		counters, err = r.Counters(ctx, q)
		return err
	})
	return counters, err
}

func yieldStatuses(d *Definition, counters []Counter, t time.Time, yield func(Status, error) bool) bool {
	if len(counters) == 0 && len(d.Scope.EachDimensions()) == 0 && !d.Schedule.Bounds(t).Start.Before(d.CountedFrom) {
		counters = []Counter{{}}
	}
	for _, c := range counters {
		value, err := ParseValue(c.Value)
		if !yield(Evaluate(d.Budget, value, c.Tally, t), err) || err != nil {
			return false
		}
	}
	return true
}

func (l *Ledger) yieldPaged(ctx context.Context, d *Definition, t time.Time, yield func(Status, error) bool) bool {
	q := CounterQuery{Periods: []CounterKey{d.periodKey(t)}, Limit: pageSize}
	for {
		counters, err := l.counters(ctx, q)
		if err != nil {
			yield(Status{}, err)
			return false
		}
		if q.After == nil || len(counters) > 0 {
			if !yieldStatuses(d, counters, t, yield) {
				return false
			}
		}
		if len(counters) < q.Limit {
			return true
		}
		q.After = &counters[len(counters)-1].CounterKey
	}
}

// Alerts returns alerts, newest first. A Limit of 0 or less is 100.
func (l *Ledger) Alerts(ctx context.Context, q AlertQuery) (alerts []alert.Alert, err error) {
	if err := q.validate(); err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Since = micros(q.Since)
	err = l.look(ctx, "read alerts", func(r ReadTx) (err error) {
		alerts, err = r.Alerts(ctx, q)
		return err
	})
	return alerts, err
}

// Deliveries returns deliveries of alerts, those of the oldest alert first. A Limit of 0 or less is 1000.
func (l *Ledger) Deliveries(ctx context.Context, q DeliveryQuery) (deliveries []alert.Delivery, err error) {
	if err := q.validate(); err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	err = l.view(ctx, "read deliveries", func(r ReadTx) (err error) {
		deliveries, err = r.Deliveries(ctx, q)
		return err
	})
	return deliveries, err
}

// Audit returns audit entries, newest first. A Limit of 0 or less is 100.
func (l *Ledger) Audit(ctx context.Context, q AuditQuery) (entries []AuditEntry, err error) {
	if err := q.validate(); err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Span.Start, q.Span.End = micros(q.Span.Start), micros(q.Span.End)
	err = l.look(ctx, "read the audit", func(r ReadTx) (err error) {
		entries, err = r.Audit(ctx, q)
		return err
	})
	return entries, err
}
