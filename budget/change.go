package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Create makes a budget and counts the usage of its running period, also what was recorded before. Recording by others
// goes on meanwhile but for the moment in which the counters are computed. It returns the budget as stored.
//
// Errors: ErrInvalid with the fields, ErrConflict if the id is taken, ErrPruned if the running period began before the
// prune floor.
func (l *Ledger) Create(ctx context.Context, b Budget) (Budget, error) {
	b = b.withDefaults()
	if b.ID == "" {
		b.ID = l.options.NewID()
	}
	if b.CreatedBy == "" {
		b.CreatedBy = l.actor
	}
	now := l.now()
	b.Version, b.CreatedAt, b.UpdatedAt = 1, now, now
	if err := b.Validate(); err != nil {
		return Budget{}, fmt.Errorf("create budget: %w", err)
	}
	d := Definition{Budget: b}
	d.restart(now)
	err := l.update(ctx, "create budget", func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		if err := ch.read(ctx, b.ID); err != nil {
			return err
		}
		if ch.old != nil {
			return l.sameCreated(*ch.old, b)
		}
		return ch.put(ctx, d, nil, l.auditChange("create_budget", nil, &b))
	})
	if err != nil {
		return Budget{}, err
	}
	return b, nil
}

// sameCreated tells an earlier run of the same Create, whose commit was not known to have worked, from another's budget.
func (l *Ledger) sameCreated(stands Definition, b Budget) error {
	if sameStored(&stands.Budget, &b) {
		return nil
	}
	return fmt.Errorf("%w: the id %q is taken", ErrConflict, b.ID)
}

// Update changes a budget: fn gets it as it is stored and changes what it likes but ID, Version, CreatedBy and the times
// of creation and update. fn may run several times. If fn returns an error, nothing is changed, and Update returns it. A
// caller who changes what they have read before sets Version to the one they read: if that is no longer current, the error
// is ErrConflict.
//
// If Scope, Except, Metric, Schedule, StartsAt or EndsAt change, the running period is counted anew and counters of
// earlier ones are dropped; their usage is computed when it is read. Of a [period.Lifetime] budget of which only EndsAt
// changes, only what lies between the two ends is counted. A new CostPerCredit holds for later usage only.
// It returns the budget as stored. A change that changes nothing is none: version and audit stay as they are.
//
// Errors: ErrNotFound, ErrConflict, ErrInvalid with the fields, ErrPruned.
func (l *Ledger) Update(ctx context.Context, id string, fn func(*Budget) error) (Budget, error) {
	now := l.now()
	var updated, attempted Budget
	err := l.update(ctx, fmt.Sprintf("update budget %q", id), func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		if err := ch.read(ctx, id); err != nil {
			return err
		}
		if ch.old == nil {
			return ErrNotFound
		}
		if sameStored(&ch.old.Budget, &attempted) {
			return nil // by an earlier run, whose commit was not known to have worked
		}
		if attempted.Version > 0 && ch.old.Version >= attempted.Version {
			return ErrOutcomeUnknown // an earlier run may have been committed, and somebody else's change since
		}
		b := ch.old.clone()
		if err := fn(&b); err != nil {
			return err
		}
		if err := ch.old.notOfLicense(); err != nil {
			return err
		}
		if b.Version != ch.old.Version {
			return fmt.Errorf("%w: version %d is not the current one, %d", ErrConflict, b.Version, ch.old.Version)
		}
		b = b.withDefaults()
		if err := b.validateChange(ch.old.Budget); err != nil {
			return err
		}
		if updated = ch.old.Budget; sameFields(&ch.old.Budget, &b) {
			return nil
		}
		b.Version, b.UpdatedAt = b.Version+1, now
		updated, attempted = b, b
		return ch.update(ctx, b, nil, l.auditChange("update_budget", &ch.old.Budget, &b))
	})
	if err != nil {
		return Budget{}, err
	}
	return updated, nil
}

// validateChange checks b as a whole, and that it is still the budget that it was.
func (b Budget) validateChange(old Budget) error {
	var errs []error
	check := func(field string, same bool) {
		if !same {
			errs = append(errs, invalid.Field(field, "can't be changed"))
		}
	}
	check("id", b.ID == old.ID)
	check("created_by", b.CreatedBy == old.CreatedBy)
	check("created_at", b.CreatedAt.Equal(old.CreatedAt))
	check("updated_at", b.UpdatedAt.Equal(old.UpdatedAt))
	return errors.Join(append(errs, b.Validate())...)
}

// Delete deletes a budget with its counters and adjustments. Events, alerts and audit entries stay.
//
// Errors: ErrNotFound, ErrInvalid for a budget of a license.
func (l *Ledger) Delete(ctx context.Context, id string) error {
	return l.DeleteIf(ctx, id, func(Budget) error { return nil })
}

// DeleteIf is [Ledger.Delete] for whoever has a condition: fn gets the budget as it is stored. If fn returns an error,
// nothing is deleted, and DeleteIf returns it. fn may run several times.
func (l *Ledger) DeleteIf(ctx context.Context, id string, fn func(Budget) error) error {
	now := l.now()
	found := false
	return l.update(ctx, fmt.Sprintf("delete budget %q", id), func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		if err := ch.read(ctx, id); err != nil {
			return err
		}
		if ch.old == nil && found {
			return nil // an earlier run deleted it, whose commit was not known to have worked
		}
		if ch.old == nil {
			return ErrNotFound
		}
		if err := fn(ch.old.clone()); err != nil {
			return err
		}
		if err := ch.old.notOfLicense(); err != nil {
			return err
		}
		found = true
		return ch.delete(ctx, l.auditChange("delete_budget", &ch.old.Budget, nil))
	})
}

// A definitionChange is a change of the catalog or of a definition, under the exclusive fence.
type definitionChange struct {
	core    *core
	tx      Tx
	now     time.Time
	catalog Catalog
	old     *Definition // nil: there was none
}

func (c *core) beginChange(ctx context.Context, tx Tx, now time.Time) (*definitionChange, error) {
	if err := tx.Fence(ctx, Exclusive); err != nil {
		return nil, err
	}
	catalog, err := tx.Catalog(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	return &definitionChange{core: c, tx: tx, now: now, catalog: catalog}, nil
}

// read reads the definition as it stands.
func (ch *definitionChange) read(ctx context.Context, id string) error {
	old, err := definition(ctx, ch.tx, id)
	ch.old = old
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// nextCatalog returns the catalog with its next version. Versions follow the clock, so that one which a restored backup
// has forgotten is not given again to other definitions.
func (ch *definitionChange) nextCatalog() *Catalog {
	next := ch.catalog
	next.Version = max(next.Version+1, ch.now.UnixMicro())
	return &next
}

func (ch *definitionChange) delete(ctx context.Context, audit AuditEntry) error {
	held, err := ch.unhold(ctx, ch.old.ID)
	if err != nil {
		return err
	}
	_, err = ch.tx.Apply(ctx, Writes{
		DeleteBudgets:   []string{ch.old.ID},
		Catalog:         ch.nextCatalog(),
		PutReservations: held,
		Audit:           []AuditEntry{audit},
	})
	return err
}

func (ch *definitionChange) update(ctx context.Context, b Budget, set *setting, audit ...AuditEntry) error {
	d := Definition{Budget: b, Rates: ch.old.Rates, CountedFrom: ch.old.CountedFrom}
	if b.Metric == ch.old.Metric && !b.CostPerCredit.Equal(ch.old.CostPerCredit) {
		from, err := ch.nextRateStart(ctx, &d)
		if err != nil {
			return err
		}
		// Rates ascend: one that is ahead gives way. No event was charged at it, or this one would start later.
		ahead := func(r Rate) bool { return !r.From.Before(from) }
		d.Rates = append(slices.DeleteFunc(slices.Clone(d.Rates), ahead), Rate{From: from, CostPerCredit: b.CostPerCredit})
	}
	if ch.countsAnew(&b) {
		d.CountedFrom = b.Schedule.Bounds(ch.now).Start
	}
	if b.Metric != ch.old.Metric {
		d.restart(ch.now)
	}
	return ch.put(ctx, d, set, audit...)
}

// restart makes d count from the running period on, credits at the one rate that it has.
func (d *Definition) restart(now time.Time) {
	d.CountedFrom, d.Rates = d.Schedule.Bounds(now).Start, nil
	if d.CostPerCredit.IsPositive() {
		d.Rates = []Rate{{CostPerCredit: d.CostPerCredit}}
	}
}

// countsOtherwise reports whether some event is charged differently by b than by old.
func countsOtherwise(old, b *Budget) bool {
	return old.Metric != b.Metric || old.Schedule != b.Schedule || !maps.Equal(old.Scope, b.Scope) ||
		!maps.EqualFunc(old.Except, b.Except, slices.Equal[[]string]) ||
		!old.StartsAt.Equal(b.StartsAt) || !old.EndsAt.Equal(b.EndsAt)
}

// countsAnew reports whether b's counters are to be computed as if there were none.
func (ch *definitionChange) countsAnew(b *Budget) bool {
	return ch.old == nil || countsOtherwise(&ch.old.Budget, b) && !ch.onlyEnds(b)
}

// onlyEnds reports whether b is a lifetime budget that ends at another time and else counts as before.
func (ch *definitionChange) onlyEnds(b *Budget) bool {
	if ch.old == nil || b.Schedule != period.Lifetime || b.EndsAt.Equal(ch.old.EndsAt) {
		return false
	}
	before := ch.old.Budget
	before.EndsAt = b.EndsAt
	return !countsOtherwise(&before, b)
}

// moveEnd returns what d's counters change by, where only its end has moved: what lies between the ends.
func (ch *definitionChange) moveEnd(ctx context.Context, d *Definition) (tallies, error) {
	between, sign := *d, int64(1)
	between.StartsAt, between.EndsAt = ch.old.window().End, d.window().End
	if between.EndsAt.Before(between.StartsAt) {
		between.StartsAt, between.EndsAt, sign = between.EndsAt, between.StartsAt, -1
	}
	if err := notBeforeFloor(between.window(), ch.catalog); err != nil {
		return nil, err
	}
	counted, err := countPeriod(ctx, ch.tx, ch.catalog, &between, d.Schedule.Bounds(ch.now), nil)
	for key, tally := range counted {
		tally.Recorded *= sign
		counted[key] = tally
	}
	return counted, err
}

// nextRateStart returns the instant from which a new rate holds: now, or after the newest event that was charged at the
// old one.
func (ch *definitionChange) nextRateStart(ctx context.Context, d *Definition) (time.Time, error) {
	from := ch.now
	q := EventQuery{Span: period.Bounds{Start: from, End: usage.EndTime}, Where: d.Scope.fixed()}
	err := eachEvent(ctx, ch.tx, q, func(e *StoredEvent) error {
		_, counts, err := d.Charge(e)
		if counts {
			from = e.Time.Add(time.Microsecond)
		}
		return err
	})
	return from, err
}

// put stores d in the place of the old definition, counts anew if it must, sets what is used if that is asked for, and makes
// the alerts of the running period.
func (ch *definitionChange) put(ctx context.Context, d Definition, set *setting, audit ...AuditEntry) error {
	w := Writes{PutBudgets: []Definition{d}, Catalog: ch.nextCatalog(), Audit: audit}
	anew, moved := ch.countsAnew(&d.Budget), ch.onlyEnds(&d.Budget)
	rehold := anew || moved || ch.old.Disabled != d.Disabled
	if !rehold && set == nil && sameMarks(ch.old.marks(), d.marks()) {
		_, err := ch.tx.Apply(ctx, w) // no counter changes and no level: recorders need not wait until they are read
		return err
	}
	before, err := ch.runningCounters(ctx)
	if err != nil {
		return err
	}
	after, adds := before, make(tallies)
	if anew {
		if after, err = recount(ctx, ch.tx, ch.catalog, &d, ch.now); err != nil {
			return err
		}
		if err := ch.beginEpisodes(ctx, &d, after); err != nil {
			return err
		}
		w.DropCounters, adds = []string{d.ID}, after
	}
	if moved {
		if adds, err = ch.moveEnd(ctx, &d); err != nil {
			return err
		}
		if after, err = before.recorded(adds); err != nil {
			return err
		}
	}
	if rehold {
		if w.PutReservations, err = ch.rehold(ctx, &d, anew, adds); err != nil {
			return err
		}
	}
	if set != nil {
		if after, err = set.adjust(&d, after, adds, &w); err != nil {
			return err
		}
	}
	w.Counters = adds.counters()
	if _, err := ch.tx.Apply(ctx, w); err != nil {
		return err
	}
	alerts := ch.alerts(&d, before, after)
	if len(alerts.Counters) == 0 && len(alerts.Alerts) == 0 {
		return nil
	}
	_, err = ch.tx.Apply(ctx, alerts)
	return err
}

func sameMarks(a, b []alert.Mark) bool {
	return slices.EqualFunc(a, b, func(a, b alert.Mark) bool {
		return a.Units == b.Units && a.Level == b.Level && a.Percent.Equal(b.Percent)
	})
}

// runningCounters returns the old definition's counters of the running period.
func (ch *definitionChange) runningCounters(ctx context.Context) (tallies, error) {
	running := make(tallies)
	if ch.old == nil {
		return running, nil
	}
	key := CounterKey{Budget: ch.old.ID, Start: ch.old.Schedule.Bounds(ch.now).Start.UnixMicro()}
	counters, err := ch.tx.Counters(ctx, CounterQuery{Periods: []CounterKey{key}})
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	for _, c := range counters {
		running[c.CounterKey] = c.Tally
	}
	return running, nil
}

// beginEpisodes begins a new episode in those counters for which alerts stand, also if nothing is counted in them yet: the
// counters that knew the episode are gone, and an alert of an episode that was is not made again.
func (ch *definitionChange) beginEpisodes(ctx context.Context, d *Definition, counted tallies) error {
	running := d.Schedule.Bounds(ch.now).Start
	q := AlertQuery{Budgets: []string{d.ID}, Limit: pageSize}
	for {
		alerts, err := ch.tx.Alerts(ctx, q)
		if err != nil {
			return fmt.Errorf("read alerts: %w", err)
		}
		for _, a := range alerts {
			// They come newest first. A day, because they were made by other clocks too, and events may be ahead of those.
			if a.At.Before(running.AddDate(0, 0, -1)) {
				return nil
			}
			if err := counted.beginEpisode(d, a, running); err != nil {
				return err
			}
		}
		if len(alerts) < q.Limit {
			return nil
		}
		last := alerts[len(alerts)-1]
		q.After = &TimeCursor{Time: last.At, ID: last.ID}
	}
}

// beginEpisode makes sure that alerts of the counter that a was made for are others than a, if d has that counter.
func (t tallies) beginEpisode(d *Definition, a alert.Alert, running time.Time) error {
	value, err := ParseValue(a.Value)
	if err != nil {
		return err
	}
	key := d.counterKey(value, a.Period.Start)
	samePeriod := key.Start == a.Period.Start.UnixMicro() && !a.Period.Start.Before(running)
	if !samePeriod || !value.names(d.Scope.EachDimensions()) {
		return nil
	}
	tally := t[key]
	tally.Episode = max(tally.Episode, int64(a.Episode)+1)
	t[key] = tally
	return nil
}

func (ch *definitionChange) alerts(d *Definition, before, after tallies) Writes {
	var w Writes
	running := d.Schedule.Bounds(ch.now).Start.UnixMicro()
	next := newCached(*d)
	old := &cached{}
	if ch.old != nil && ch.old.Metric == d.Metric {
		old = newCached(*ch.old)
	}
	for key, tally := range after {
		if key.Start != running {
			continue
		}
		change{
			definition: d, key: key, tally: tally,
			usedBefore: before[key].used(), before: old.marks, after: next.marks,
		}.alerts(ch.core, &w)
	}
	return w
}

func sameFields(a, b *Budget) bool { return reflect.DeepEqual(fieldsOf(a), fieldsOf(b)) }

// sameStored reports whether two budgets are one, as the same call stored it.
func sameStored(a, b *Budget) bool {
	return a.Version == b.Version && a.CreatedAt.Equal(b.CreatedAt) && a.UpdatedAt.Equal(b.UpdatedAt) && sameFields(a, b)
}

// auditChange returns the entry for a change of a budget: with those fields before and after it that differ.
func (l *Ledger) auditChange(action string, before, after *Budget) AuditEntry {
	entry := AuditEntry{ID: l.options.NewID(), Time: l.now(), Actor: l.actor, Action: action, Kind: "budget"}
	old, changed := fieldsOf(before), fieldsOf(after)
	for _, b := range []*Budget{before, after} {
		if b != nil {
			entry.Target, entry.Tenant = b.ID, b.tenant()
		}
	}
	entry.Before, entry.After = differing(old, changed)
	return entry
}

// differing returns those fields that differ, as they were and as they are. nil is of what was not there, or is gone.
func differing(before, after map[string]json.RawMessage) (was, is json.RawMessage) {
	if before != nil && after != nil {
		for name, value := range before {
			if string(value) == string(after[name]) {
				delete(before, name)
				delete(after, name)
			}
		}
	}
	return objectOf(before), objectOf(after)
}

// tenant returns the tenant that the budget is about, "" if it is about none in particular.
func (b *Budget) tenant() string {
	if tenant := b.Scope[usage.Tenant]; tenant != Each {
		return string(tenant)
	}
	return ""
}

func objectOf(fields map[string]json.RawMessage) json.RawMessage {
	if fields == nil {
		return nil
	}
	object, err := json.Marshal(fields)
	if err != nil {
		panic("purser: fields that were JSON are not: " + err.Error())
	}
	return object
}
