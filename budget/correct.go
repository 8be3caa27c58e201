package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// Correct takes back a part of an event, or all of it: a refund, a wrong count. It is stored as an event of its own that
// has the time and subject of the one it corrects, so that the counters of that period move. The sum of an event's
// corrections can't take more than the event had, of no amount. Sending the same correction again counts nothing.
//
// Errors: ErrNotFound if there is no such event, ErrInvalid with the fields, ErrConflict if the id stands with other
// content, ErrPruned; after ErrOutcomeUnknown, send the same correction again.
func (l *Ledger) Correct(ctx context.Context, c usage.Correction) (Result, error) {
	e := &entry{}
	if err := l.correct(ctx, c, e); err != nil {
		e.fail(fmt.Errorf("correct event %q: %w", c.Event, err))
	}
	return e.result(c.ID), e.err
}

func (l *Ledger) correct(ctx context.Context, c usage.Correction, e *entry) error {
	if err := c.Validate(); err != nil {
		return err
	}
	totals, err := c.Totals()
	if err != nil {
		return err
	}
	e.event = StoredEvent{
		ID: c.ID, Subject: usage.Subject{Tenant: c.Tenant}, Totals: totals.Negate(), Hash: c.Hash(),
		Flags: TimeGiven | CostGiven, Corrects: c.Event, Reason: c.Reason, RecordedAt: l.now(),
	}
	return l.update(ctx, "store the correction", func(tx Tx) error { return l.correctIn(ctx, tx, e) })
}

// correctIn is the transaction that corrects.
func (l *Ledger) correctIn(ctx context.Context, tx Tx, e *entry) error {
	e.outcome, e.err = "", nil
	if err := tx.Fence(ctx, Shared); err != nil {
		return err
	}
	corrected := EventKey{Tenant: e.event.Tenant, ID: e.event.Corrects}
	locked, err := tx.LockEvents(ctx, []EventKey{corrected})
	if err != nil {
		return fmt.Errorf("lock the event: %w", err)
	}
	target, found := locked[corrected]
	switch {
	case !found:
		return ErrNotFound
	case target.Corrects != "":
		return invalid.Field("event", "is a correction itself")
	}
	e.event.Subject, e.event.Time = target.Subject, target.Time
	e.event.CostBefore = target.Totals.Nanodollars - target.Corrected.Nanodollars

	known, err := findIn(ctx, tx, []usage.Subject{e.event.Subject})
	if err != nil {
		return err
	}
	if err := notPruned(e.event, known.catalog); err != nil {
		return err
	}
	inserted, err := tx.InsertEvents(ctx, []StoredEvent{e.event})
	if err != nil {
		return fmt.Errorf("insert the correction: %w", err)
	}
	if e.answer(e, inserted); e.outcome != Recorded {
		return e.err
	}
	if err := target.covers(e.event.Totals.Negate()); err != nil {
		return err
	}
	_, err = l.countWith(ctx, tx, []*entry{e}, known, func(w Writes) (map[CounterKey]Counter, error) {
		w.Audit = []AuditEntry{l.auditCorrection(e.event)}
		return tx.Apply(ctx, w)
	})
	return err
}

func (l *Ledger) auditCorrection(e StoredEvent) AuditEntry {
	after, err := json.Marshal(struct {
		ID     string       `json:"id"`
		Taken  usage.Totals `json:"taken"`
		Reason string       `json:"reason"`
	}{e.ID, e.Totals.Negate(), e.Reason})
	if err != nil {
		panic("purser: a correction can't be written: " + err.Error())
	}
	return AuditEntry{
		ID: l.options.NewID(), Time: e.RecordedAt, Actor: l.actor, Tenant: e.Tenant,
		Action: "correct_event", Kind: "event", Target: e.Corrects, After: after,
	}
}

// covers reports which amounts of a correction are more than what is left of the event.
func (t LockedEvent) covers(take usage.Totals) error {
	left, err := t.Totals.Sub(t.Corrected)
	if err != nil {
		return err
	}
	var errs []error
	check := func(field string, take, left int64) {
		if take > left {
			errs = append(errs, invalid.Field(field, "is more than what is left of the event"))
		}
	}
	check("input_tokens", take.InputTokens, left.InputTokens)
	check("output_tokens", take.OutputTokens, left.OutputTokens)
	check("cache_creation_tokens", take.CacheCreationTokens, left.CacheCreationTokens)
	check("cache_read_tokens", take.CacheReadTokens, left.CacheReadTokens)
	check("total_tokens", take.TotalTokens, left.TotalTokens)
	check("requests", take.Requests, left.Requests)
	check("runs", take.Runs, left.Runs)
	check("cost", take.Nanodollars, left.Nanodollars)
	return errors.Join(errs...)
}
