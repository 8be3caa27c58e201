package budget

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"
)

const (
	minCounterRetention = 31 * 24 * time.Hour
	forgetPage          = 2000 // about how many counters are deleted in one transaction
)

// forgetDaily forgets counters that are older than they are kept, until ctx ends. What failed is tried again in an hour.
func (l *Ledger) forgetDaily(ctx context.Context) {
	for {
		wait := 24 * time.Hour
		if err := l.forgetCounters(ctx); err != nil && ctx.Err() == nil {
			l.options.OnError(err)
			wait = time.Hour
		}
		if l.pause(ctx, wait) != nil {
			return
		}
	}
}

// forgetCounters forgets the counters of those periods of an hour at most that ended longer ago than they are kept. Their
// budgets count from the first period on that is kept.
func (l *Ledger) forgetCounters(ctx context.Context) error {
	now := l.now()
	for page, err := range l.definitionPages(ctx, Query{}) {
		if err != nil {
			return fmt.Errorf("forget old counters: %w", err)
		}
		for old := l.withOldCounters(page, now); len(old) > 0; {
			if old, err = l.forgetSomeCounters(ctx, old, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// withOldCounters returns the ids of those that count from periods whose counters are not kept any more.
func (l *Ledger) withOldCounters(definitions []Definition, now time.Time) (ids []string) {
	for i := range definitions {
		if _, has := l.keptFrom(&definitions[i], now); has {
			ids = append(ids, definitions[i].ID)
		}
	}
	return ids
}

// keptFrom returns the start of the first period whose counters are kept, and whether d counts from an earlier one.
func (l *Ledger) keptFrom(d *Definition, now time.Time) (start time.Time, has bool) {
	if d.Schedule.Bounds(now).Duration() > time.Hour {
		return time.Time{}, false
	}
	start = d.Schedule.Bounds(now.Add(-l.options.CounterRetention)).Start
	return start, d.CountedFrom.Before(start)
}

// forgetSomeCounters forgets counters of budgets, and returns those of the budgets that may have more.
func (l *Ledger) forgetSomeCounters(ctx context.Context, ids []string, now time.Time) (rest []string, err error) {
	err = l.update(ctx, "forget old counters", func(tx Tx) error {
		rest = ids
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		w := Writes{Catalog: ch.nextCatalog()}
		for len(rest) > 0 && len(w.DeleteCounters) < forgetPage {
			if err := ch.read(ctx, rest[0]); err != nil {
				return err
			}
			all := true
			if ch.old != nil {
				if all, err = l.forgetSomeOf(ctx, tx, ch.old, now, &w); err != nil {
					return err
				}
			}
			if all {
				rest = rest[1:]
			}
		}
		if len(w.PutBudgets) == 0 {
			return nil
		}
		_, err = tx.Apply(ctx, w)
		return err
	})
	return rest, err
}

// forgetSomeOf adds to w what forgets counters of d, whole periods of them, and reports whether these are all.
func (l *Ledger) forgetSomeOf(ctx context.Context, r ReadTx, d *Definition, now time.Time, w *Writes) (all bool, err error) {
	from, has := l.keptFrom(d, now)
	if !has {
		return true, nil
	}
	all = true
	last := int64(math.MinInt64)
	for c, err := range countersOf(ctx, r, d.ID) {
		if err != nil {
			return false, err
		}
		if c.Start >= from.UnixMicro() {
			break
		}
		if len(w.DeleteCounters) >= forgetPage && c.Start > last {
			from, all = time.UnixMicro(c.Start).UTC(), false
			break
		}
		w.DeleteCounters = append(w.DeleteCounters, c.CounterKey)
		last = c.Start
	}
	d.CountedFrom = from
	w.PutBudgets = append(w.PutBudgets, *d)
	return all, nil
}

// countersOf yields the counters of a budget, in ascending order of their periods' start.
func countersOf(ctx context.Context, r ReadTx, id string) iter.Seq2[Counter, error] {
	return func(yield func(Counter, error) bool) {
		q := CounterQuery{After: &CounterKey{Budget: id, Start: math.MinInt64}, Limit: 500}
		for {
			page, err := r.Counters(ctx, q)
			if err != nil {
				yield(Counter{}, fmt.Errorf("read counters: %w", err))
				return
			}
			for _, c := range page {
				if c.Budget != id || !yield(c, nil) {
					return
				}
			}
			if len(page) < q.Limit {
				return
			}
			q.After = &page[len(page)-1].CounterKey
		}
	}
}
