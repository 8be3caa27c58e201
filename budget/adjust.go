package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
)

// An Adjustment is an audited change of what a budget has used, without an event: a credit note, usage carried over from
// elsewhere. It touches the one counter; sums of usage, and so the history and the reports, stay as they are. Where requests
// are coming already, a budget that begins with usage from elsewhere is made Disabled, adjusted and then enabled, or all of
// it in one transaction of the caller's: see [Ledger.WithStore].
type Adjustment struct {
	ID     string          // the idempotency key, unique per budget
	Budget string          // the budget's id
	Value  Value           // names the counter of a budget with Each dimensions; else nil
	Amount decimal.Decimal // in the metric's unit, added to what is used; negative takes away, but not below 0
	Reason string          // 1 to 500 characters, line breaks allowed
	Time   time.Time       // names the period; zero: now
}

const maxReason = 500

// Validate reports every field that is not as its comment says, but for what depends on the budget.
func (a Adjustment) Validate() error {
	var amount error
	if a.Amount.IsZero() {
		amount = invalid.Field("amount", "must not be 0")
	}
	return errors.Join(
		invalid.Name("id", a.ID),
		invalid.Name("budget", a.Budget),
		a.Value.validate(),
		amount,
		invalid.Text("reason", a.Reason, 1, maxReason),
		validateInstant("time", a.Time),
	)
}

// Adjust adds to what a budget has used, or takes away from it, and returns the status of the period after it. Sending
// the same adjustment again changes nothing.
//
// Errors: ErrNotFound if there is no such budget, ErrInvalid with the fields (among them an amount that would take what
// is used below 0, and a time in a period before the budget was counted from), ErrConflict if the id stands with other
// content, ErrOverflow; after ErrOutcomeUnknown, send the same adjustment again.
func (l *Ledger) Adjust(ctx context.Context, a Adjustment) (Status, error) {
	if err := a.Validate(); err != nil {
		return Status{}, fmt.Errorf("adjust: %w", err)
	}
	now := l.now()
	var status Status
	err := l.update(ctx, fmt.Sprintf("adjust budget %q", a.Budget), func(tx Tx) error {
		if err := tx.Fence(ctx, Shared); err != nil {
			return err
		}
		d, err := definition(ctx, tx, a.Budget)
		if err != nil {
			return err
		}
		stored, key, err := l.storedAdjustment(a, d, now)
		if err != nil {
			return err
		}
		counter, err := l.adjustIn(ctx, tx, d, key, stored)
		status = Evaluate(d.Budget, a.Value, counter.Tally, time.UnixMicro(counter.Start))
		return err
	})
	if err != nil {
		return Status{}, err
	}
	return status, nil
}

func (l *Ledger) storedAdjustment(a Adjustment, d *Definition, now time.Time) (StoredAdjustment, CounterKey, error) {
	at := micros(a.Time)
	if at.IsZero() {
		at = now
	}
	units, err := d.Metric.Units(a.Amount)
	if err != nil {
		err = invalid.Field("amount", "%v", err)
	}
	key := d.counterKey(a.Value, at)
	var early error
	if key.Start < d.CountedFrom.UnixMicro() {
		early = invalid.Field("time", "is in a period before %s, from which the budget is counted", d.CountedFrom.Format(time.RFC3339))
	}
	return StoredAdjustment{
		ID: a.ID, Budget: a.Budget, Value: key.Value, Metric: d.Metric, Units: units,
		Time: at, TimeGiven: !a.Time.IsZero(), Reason: a.Reason, Actor: l.actor, RecordedAt: now,
	}, key, errors.Join(err, d.validateValue(a.Value), early)
}

func (l *Ledger) adjustIn(ctx context.Context, tx Tx, d *Definition, key CounterKey, a StoredAdjustment) (Counter, error) {
	locked, err := tx.LockCounters(ctx, []CounterKey{key})
	if err != nil {
		return Counter{}, fmt.Errorf("lock the counter: %w", err)
	}
	counter := locked[key]
	stands, err := tx.Adjustments(ctx, AdjustmentQuery{Budgets: []string{a.Budget}, IDs: []string{a.ID}})
	if err != nil {
		return Counter{}, fmt.Errorf("read adjustments: %w", err)
	}
	if len(stands) > 0 {
		return standing(ctx, tx, d, stands[0], a)
	}
	if err := counter.canAdjust(a.Units); err != nil {
		return Counter{}, err
	}
	written, err := tx.Apply(ctx, Writes{
		Counters:    []Counter{{CounterKey: key, Tally: Tally{Adjusted: a.Units}}},
		Adjustments: []StoredAdjustment{a},
		Audit:       []AuditEntry{l.auditAdjustment(d, a)},
	})
	if err != nil {
		return Counter{}, err
	}
	var alerts Writes
	marks := d.marks()
	change{
		definition: d, key: key, tally: written[key].Tally,
		usedBefore: counter.used(), before: marks, after: marks,
	}.alerts(l.core, &alerts)
	if len(alerts.Alerts) > 0 {
		_, err = tx.Apply(ctx, alerts)
	}
	return written[key], err
}

// standing returns the counter that an adjustment changed when it was made, if a is the same sent again.
func standing(ctx context.Context, r ReadTx, d *Definition, stands, a StoredAdjustment) (Counter, error) {
	sameTime := stands.TimeGiven == a.TimeGiven && (!a.TimeGiven || stands.Time.Equal(a.Time))
	if !sameTime || stands.Value != a.Value || stands.Units != a.Units || stands.Reason != a.Reason {
		return Counter{}, fmt.Errorf("%w: an adjustment with the id %q and other content is recorded", ErrConflict, a.ID)
	}
	// Its period may be over by now, if it is that of the time at which it was made.
	key := CounterKey{Budget: d.ID, Value: stands.Value, Start: d.Schedule.Bounds(stands.Time).Start.UnixMicro()}
	counters, err := r.Counters(ctx, CounterQuery{Keys: []CounterKey{key}})
	if err != nil || len(counters) == 0 {
		return Counter{CounterKey: key}, err
	}
	return counters[0], nil
}

// Adjustments returns the adjustments that the query selects, in ascending order of budget, time and id. Those of a budget that
// was deleted are gone with it.
func (l *Ledger) Adjustments(ctx context.Context, q AdjustmentQuery) (found []StoredAdjustment, err error) {
	if err := q.validate(); err != nil {
		return nil, fmt.Errorf("read adjustments: %w", err)
	}
	q.From = micros(q.From)
	err = l.look(ctx, "read adjustments", func(r ReadTx) (err error) {
		found, err = r.Adjustments(ctx, q)
		return err
	})
	return found, err
}

// canAdjust reports whether the counter can take this adjustment.
func (t Tally) canAdjust(units int64) error {
	adjusted, err := addUnits(t.Adjusted, units)
	if err != nil {
		return err
	}
	used, err := addUnits(t.Recorded, adjusted)
	if err != nil {
		return err
	}
	if units < 0 && used < 0 {
		return invalid.Field("amount", "would take what is used below 0")
	}
	return nil
}

func (l *Ledger) auditAdjustment(d *Definition, a StoredAdjustment) AuditEntry {
	value, err := ParseValue(a.Value)
	if err != nil {
		panic("purser: " + err.Error())
	}
	after, err := json.Marshal(struct {
		ID     string    `json:"id"`
		Value  Value     `json:"value"`
		Amount number    `json:"amount"`
		Reason string    `json:"reason"`
		Time   time.Time `json:"time"`
	}{a.ID, value, number(d.Metric.Decimal(a.Units)), a.Reason, a.Time})
	if err != nil {
		panic("purser: an adjustment can't be written: " + err.Error())
	}
	return AuditEntry{
		ID: l.options.NewID(), Time: a.RecordedAt, Actor: l.actor, Tenant: d.tenant(),
		Action: "adjust_budget", Kind: "budget", Target: d.ID, After: after,
	}
}
