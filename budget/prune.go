package budget

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

const (
	minPruneAge = 7 * 24 * time.Hour
	prunePage   = 2000 // events deleted in one transaction
)

// Prune deletes the events before an instant, which is cut to the hour (UTC) and must be at least 7 days back. From then
// on that is the prune floor: events and corrections of a time before it are refused with ErrPruned. Counters, sums of
// usage and with them the reports stay as they are; what reads events before the floor, or would count them anew, is
// refused with ErrPruned.
//
// Events are deleted in many short transactions, so that recording goes on. If Prune fails midway, running it again goes
// on where it stopped. progress, if not nil, is called after each transaction with the number of events deleted so far.
// It returns that number.
func (l *Ledger) Prune(ctx context.Context, before time.Time, progress func(deleted int64)) (int64, error) {
	now := l.now()
	floor := before.UTC().Truncate(time.Hour)
	if floor.After(now.Add(-minPruneAge)) || floor.Before(usage.MinTime) {
		return 0, fmt.Errorf("prune: %w", invalid.Field("before", "must be at least 7 days back and not before 1980"))
	}
	if err := l.raiseFloor(ctx, floor, now); err != nil {
		return 0, err
	}
	deleted := int64(0)
	for {
		n, done, err := l.prunePage(ctx, floor)
		deleted += n
		if err != nil || done {
			return deleted, err
		}
		if progress != nil {
			progress(deleted)
		}
	}
}

// pruneHourly prunes what is older than EventRetention, until ctx ends.
func (l *Ledger) pruneHourly(ctx context.Context) {
	for {
		_, err := l.Prune(ctx, l.now().Add(-l.options.EventRetention), nil)
		if err != nil && ctx.Err() == nil {
			l.options.OnError(err)
		}
		if l.pause(ctx, time.Hour) != nil {
			return
		}
	}
}

// raiseFloor makes sure that no event before the floor is recorded any more.
func (l *Ledger) raiseFloor(ctx context.Context, floor, now time.Time) error {
	return l.update(ctx, "raise the prune floor", func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil || !ch.catalog.PruneFloor.Before(floor) {
			return err
		}
		catalog := ch.nextCatalog()
		catalog.PruneFloor = floor
		after, err := json.Marshal(map[string]time.Time{"prune_floor": floor})
		if err != nil {
			return err
		}
		_, err = tx.Apply(ctx, Writes{Catalog: catalog, Audit: []AuditEntry{{
			ID: l.options.NewID(), Time: now, Actor: l.actor, Action: "prune", Kind: "events", After: after,
		}}})
		return err
	})
}

// prunePage deletes some of the events before the floor, and writes down what they were counted for. It is done when there
// are none.
func (l *Ledger) prunePage(ctx context.Context, floor time.Time) (deleted int64, done bool, err error) {
	err = l.update(ctx, "prune events", func(tx Tx) error {
		deleted = 0
		if err := tx.Fence(ctx, Shared); err != nil {
			return err
		}
		span := period.Bounds{Start: usage.MinTime, End: floor}
		events, err := tx.Events(ctx, EventQuery{Span: span, Limit: prunePage})
		if done = len(events) == 0; err != nil || done {
			return err
		}
		keys := make([]EventKey, len(events))
		for i, e := range events {
			keys[i] = e.Key()
		}
		// Another process may be pruning the same ones: whoever locks an event accounts for it.
		locked, err := tx.LockEvents(ctx, keys)
		if err != nil {
			return err
		}
		w, err := pruneWrites(ctx, tx, locked)
		if err != nil {
			return err
		}
		if deleted = int64(len(w.DeleteEvents)); deleted == 0 {
			return nil
		}
		_, err = tx.Apply(ctx, w)
		return err
	})
	return deleted, done, err
}

func pruneWrites(ctx context.Context, r ReadTx, events map[EventKey]LockedEvent) (Writes, error) {
	var w Writes
	var stored []StoredEvent
	var subjects []usage.Subject
	for key, e := range events {
		w.DeleteEvents = append(w.DeleteEvents, key)
		stored = append(stored, e.StoredEvent)
		subjects = append(subjects, e.Subject)
	}
	known, err := findIn(ctx, r, subjects)
	if err != nil {
		return Writes{}, err
	}
	sums := newSums(known.zone)
	for i := range stored {
		if err := sums.charge(&stored[i], known.budgets[i]); err != nil {
			return Writes{}, err
		}
	}
	for _, c := range sums.counters() {
		w.Counters = append(w.Counters, Counter{CounterKey: c.CounterKey, Tally: Tally{Pruned: c.Recorded}})
	}
	return w, nil
}
