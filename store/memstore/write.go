package memstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A tx is a [budget.Tx].
type tx struct {
	reader
	mode    budget.FenceMode
	reached step
	locked  map[budget.ReservationKey]bool
	taken   map[any]bool // alerts by their ids, and keys of deliveries
	failed  error        // of the first step that failed: the transaction is not committed then
}

// A step is one of those that a transaction takes, in this order.
type step int

const (
	fence step = iota + 1
	claimKeys
	takeReservations
	lockEvents
	insertEvents
	lockCounters
	takeAlerts
	lockDeliveries
	apply
)

func (t *tx) Fence(ctx context.Context, mode budget.FenceMode) error {
	return t.take(ctx, fence, func() error {
		t.mode = mode
		return nil
	})
}

func (t *tx) ClaimKeys(ctx context.Context, claims []budget.KeyClaim) (map[string]budget.KeyClaim, error) {
	standing := make(map[string]budget.KeyClaim)
	return standing, t.take(ctx, claimKeys, func() error {
		for _, claim := range claims {
			claim.Times = 0
			if stands, taken := t.claims.Get(claim); taken {
				claim = stands
			}
			claim.Times++
			t.claims.Set(claim)
			standing[claim.Key] = claim
		}
		return nil
	})
}

func (t *tx) LockEvents(ctx context.Context, keys []budget.EventKey) (map[budget.EventKey]budget.LockedEvent, error) {
	var locked map[budget.EventKey]budget.LockedEvent
	err := t.take(ctx, lockEvents, func() (err error) {
		locked, err = t.FindEvents(ctx, keys)
		return err
	})
	return locked, err
}

func (t *tx) InsertEvents(ctx context.Context, events []budget.StoredEvent) (budget.Inserted, error) {
	inserted := budget.Inserted{Version: t.catalog.Version, Taken: make(map[budget.EventKey]budget.StoredEvent)}
	return inserted, t.take(ctx, insertEvents, func() error {
		for _, e := range events {
			if standing, taken := t.events.Get(&e); taken {
				inserted.Taken[e.Key()] = cloneEvent(standing)
			} else {
				t.insert(cloneEvent(&e))
			}
		}
		return nil
	})
}

func (t *tx) insert(e budget.StoredEvent) {
	t.events.Set(&e)
	t.timeline.Set(&e)
	if e.Corrects != "" {
		t.corrections.Set(&e)
	}
}

func (t *tx) LockCounters(ctx context.Context, keys []budget.CounterKey) (map[budget.CounterKey]budget.Counter, error) {
	locked := make(map[budget.CounterKey]budget.Counter)
	return locked, t.take(ctx, lockCounters, func() error {
		for _, key := range keys {
			counter, ok := t.counters.Get(budget.Counter{CounterKey: key})
			if !ok {
				counter.CounterKey = key
				t.counters.Set(counter)
			}
			locked[key] = counter
		}
		return nil
	})
}

func (t *tx) Apply(ctx context.Context, w budget.Writes) (map[budget.CounterKey]budget.Counter, error) {
	after := make(map[budget.CounterKey]budget.Counter)
	return after, t.take(ctx, apply, func() error {
		if t.mode != budget.Exclusive && (w.PutBudgets != nil || w.DeleteBudgets != nil || w.PutTenants != nil || w.Catalog != nil) {
			return errors.New("memstore: a change of definitions needs an exclusive fence")
		}
		t.define(w)
		t.drop(w)
		return errors.Join(t.count(w.Counters, after), t.sum(w.Usage), t.reserve(w), t.file(w), t.deliver(w))
	})
}

// take does a step, unless the context has ended or the step comes out of order.
func (t *tx) take(ctx context.Context, s step, do func() error) error {
	err := ctx.Err()
	switch {
	case err != nil:
	case t.reached == 0 && s != fence:
		err = errors.New("memstore: Fence is the first step of every transaction that writes")
	case s < t.reached:
		err = fmt.Errorf("memstore: %s after %s is out of order", s, t.reached)
	default:
		t.reached = s
		err = do()
	}
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// define writes what concerns the definitions.
func (t *tx) define(w budget.Writes) {
	t.dropCounters(w.DropCounters)
	t.dropCounters(w.DeleteBudgets)
	for _, id := range w.DeleteBudgets {
		t.undefine(id)
		t.dropAdjustments(id)
	}
	for _, d := range w.PutBudgets {
		t.undefine(d.ID)
		row := &definition{key: d.Scope.Key(), Definition: cloneDefinition(d)}
		t.definitions.Set(row)
		t.scopes.Set(row)
	}
	for _, put := range w.PutTenants {
		t.tenants.Set(new(cloneTenant(&put)))
	}
	if w.Catalog != nil {
		t.catalog = *w.Catalog
		t.catalog.Shapes = nil
	}
}

func (t *tx) undefine(id string) {
	if old, ok := t.definitions.Delete(&definition{Definition: budget.Definition{Budget: budget.Budget{ID: id}}}); ok {
		t.scopes.Delete(old)
	}
}

func (t *tx) dropCounters(budgets []string) {
	for _, id := range budgets {
		for _, c := range slices.Collect(t.countersUnder(id)) {
			t.counters.Delete(c)
		}
	}
}

func (t *tx) dropAdjustments(id string) {
	for _, a := range slices.Collect(t.adjustments.all()) {
		if a.Budget == id {
			t.adjustments.Delete(a)
		}
	}
}

// drop removes sums of usage and events.
func (t *tx) drop(w budget.Writes) {
	for _, slice := range w.DropUsage {
		for _, row := range slices.Collect(t.usageIn(slice)) {
			t.usage.Delete(row)
		}
	}
	for _, key := range w.DeleteEvents {
		if e, ok := t.events.Delete(eventWith(key)); ok {
			t.timeline.Delete(e)
			t.corrections.Delete(e)
		}
	}
}

func (t *tx) count(counters []budget.Counter, after map[budget.CounterKey]budget.Counter) error {
	for _, c := range counters {
		counter, _ := t.counters.Get(c)
		tally, err := added(counter.Tally, c.Tally)
		if err != nil {
			return fmt.Errorf("counter %+v: %w", c.CounterKey, err)
		}
		counter = budget.Counter{CounterKey: c.CounterKey, Tally: tally}
		t.counters.Set(counter)
		after[counter.CounterKey] = counter
	}
	return nil
}

func (t *tx) sum(adds []budget.UsageAdd) error {
	for _, add := range adds {
		row, _ := t.usage.Get(add)
		totals, err := row.Add(add.Totals)
		if err != nil {
			return fmt.Errorf("usage %+v: %w", add.UsageKey, err)
		}
		t.usage.Set(budget.UsageAdd{UsageKey: add.UsageKey, Totals: totals})
	}
	return nil
}

// file stores what is only ever added, and deletes claims of keys.
func (t *tx) file(w budget.Writes) error {
	for _, a := range w.Adjustments {
		if _, taken := t.adjustments.Get(&a); taken {
			return fmt.Errorf("adjustment %q of budget %q: %w", a.ID, a.Budget, budget.ErrConflict)
		}
		t.adjustments.Set(&a)
	}
	for _, a := range w.Alerts {
		t.warn(a)
	}
	for _, c := range w.DeleteKeyClaims {
		if stands, ok := t.claims.Get(c); ok && stands.Time.Equal(c.Time) {
			t.claims.Delete(c)
		}
	}
	for _, e := range w.Audit {
		if _, stands := t.audit.Get(&e); !stands {
			t.audit.Set(new(cloneAudit(&e)))
		}
	}
	return nil
}

func eventWith(key budget.EventKey) *budget.StoredEvent {
	return &budget.StoredEvent{ID: key.ID, Subject: usage.Subject{Tenant: key.Tenant}}
}

// added returns t + o, or [budget.ErrOverflow].
func added(t, o budget.Tally) (budget.Tally, error) {
	var errs [11]error
	t.Recorded, errs[0] = add(t.Recorded, o.Recorded)
	t.Adjusted, errs[1] = add(t.Adjusted, o.Adjusted)
	t.Reserved, errs[2] = add(t.Reserved, o.Reserved)
	t.Pruned, errs[3] = add(t.Pruned, o.Pruned)
	t.Denied, errs[4] = add(t.Denied, o.Denied)
	t.WouldDeny, errs[5] = add(t.WouldDeny, o.WouldDeny)
	t.Episode, errs[6] = add(t.Episode, o.Episode)
	t.Leased, errs[7] = add(t.Leased, o.Leased)
	t.Wanted, errs[8] = add(t.Wanted, o.Wanted)
	t.Expired, errs[9] = add(t.Expired, o.Expired)
	t.ExpiredHeld, errs[10] = add(t.ExpiredHeld, o.ExpiredHeld)
	return t, cmp.Or(errs[:]...)
}

// add returns a + b, or [budget.ErrOverflow].
func add(a, b int64) (int64, error) {
	sum := a + b
	if (sum > a) != (b > 0) {
		return 0, budget.ErrOverflow
	}
	return sum, nil
}

func (s step) String() string {
	return [...]string{
		fence:            "Fence",
		claimKeys:        "ClaimKeys",
		takeReservations: "TakeReservations",
		lockEvents:       "LockEvents",
		insertEvents:     "InsertEvents",
		lockCounters:     "LockCounters",
		takeAlerts:       "TakeAlerts",
		lockDeliveries:   "LockDeliveries",
		apply:            "Apply",
	}[s]
}
