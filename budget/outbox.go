package budget

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
)

// Outbox returns what an [alert.Dispatcher] of its own delivers this ledger's alerts from. The ledger's Run has one where
// Options.Alerts says so.
func (l *Ledger) Outbox() alert.Outbox { return outbox{l.core} }

// dispatcher returns what delivers alerts in Run.
func (c *core) dispatcher(o alert.Options) (*alert.Dispatcher, error) {
	if o.OnError == nil {
		o.OnError = c.options.OnError
	}
	return alert.NewDispatcher(outbox{c}, o)
}

// An outbox is what a store keeps of alerts' deliveries. Each of its methods looks first without a lock, for mostly there is
// nothing to do, and then again in the transaction that writes.
type outbox struct{ *core }

// ended are the states of deliveries that have come to an end.
var ended = []alert.State{alert.Delivered, alert.Dead}

func keyOf(d alert.Delivery) DeliveryKey { return DeliveryKey{Alert: d.Alert.ID, Sink: d.Sink} }

func keysOf(deliveries []alert.Delivery) []DeliveryKey {
	keys := make([]DeliveryKey, len(deliveries))
	for i, d := range deliveries {
		keys[i] = keyOf(d)
	}
	return keys
}

// update runs a transaction that locks these deliveries and writes what fn says of them.
func (o outbox) update(ctx context.Context, what string, keys []DeliveryKey, fn func(LockedDeliveries) (Writes, error)) error {
	err := o.retryUnknown(func() error {
		return o.store.Update(ctx, func(tx Tx) error {
			if err := tx.Fence(ctx, Shared); err != nil {
				return err
			}
			locked, err := tx.LockDeliveries(ctx, keys)
			if err != nil {
				return err
			}
			w, err := fn(locked)
			if err != nil || len(w.Deliveries) == 0 && len(w.DeleteDeliveries) == 0 {
				return err
			}
			_, err = tx.Apply(ctx, w)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Route implements [alert.Outbox].
func (o outbox) Route(ctx context.Context, limit int, to func(alert.Alert) []string) (n int, err error) {
	const what = "route alerts"
	ctx, cancel := o.briefly(ctx)
	defer cancel()
	var found []alert.Alert
	err = o.look(ctx, what, func(r ReadTx) (err error) {
		found, err = r.Alerts(ctx, AlertQuery{Unrouted: true, Limit: 1})
		return err
	})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	err = o.retryUnknown(func() error {
		return o.store.Update(ctx, func(tx Tx) error {
			if err := tx.Fence(ctx, Shared); err != nil {
				return err
			}
			taken, err := tx.TakeAlerts(ctx, limit)
			if n = len(taken.Alerts); err != nil || n == 0 {
				return err
			}
			_, err = tx.Apply(ctx, routes(taken, to))
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return n, nil
}

func routes(taken TakenAlerts, to func(alert.Alert) []string) Writes {
	var w Writes
	for _, a := range taken.Alerts {
		w.RouteAlerts = append(w.RouteAlerts, a.ID)
		for _, sink := range to(a) {
			w.Deliveries = append(w.Deliveries, alert.Delivery{Alert: a, Sink: sink, Due: taken.Now})
		}
	}
	return w
}

// Claim implements [alert.Outbox].
func (o outbox) Claim(ctx context.Context, sink string, limit int, hold time.Duration) ([]alert.Delivery, error) {
	const what = "claim deliveries"
	ctx, cancel := o.briefly(ctx)
	defer cancel()
	var ready []alert.Delivery
	err := o.view(ctx, what, func(r ReadTx) (err error) {
		ready, err = r.Deliveries(ctx, DeliveryQuery{Sink: sink, Ready: true, Limit: limit})
		return err
	})
	if err != nil || len(ready) == 0 {
		return nil, err
	}
	var claimed []alert.Delivery
	err = o.update(ctx, what, keysOf(ready), func(locked LockedDeliveries) (Writes, error) {
		claimed = nil
		for _, d := range ready {
			if d, stands := locked.Deliveries[keyOf(d)]; stands && !slices.Contains(ended, d.State) && !d.Due.After(locked.Now) {
				d.State, d.Due, d.Tries = alert.Claimed, locked.Now.Add(hold).Truncate(time.Microsecond), d.Tries+1
				claimed = append(claimed, d)
			}
		}
		return Writes{Deliveries: claimed}, nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// Finish implements [alert.Outbox].
func (o outbox) Finish(ctx context.Context, d alert.Delivery, outcome alert.Outcome) error {
	ctx, cancel := o.briefly(ctx)
	defer cancel()
	return o.update(ctx, "finish a delivery", []DeliveryKey{keyOf(d)}, func(locked LockedDeliveries) (Writes, error) {
		stands, ok := locked.Deliveries[keyOf(d)]
		// The end of the claim is what tells claims apart.
		mine := stands.State == alert.Claimed && stands.Due.Equal(d.Due)
		if !ok || stands.State == alert.Delivered || !mine && outcome.State != alert.Delivered {
			return Writes{}, nil
		}
		stands.State, stands.Due = outcome.State, locked.Now.Add(outcome.After).Truncate(time.Microsecond)
		stands.Error = cmp.Or(outcome.Error, stands.Error)
		return Writes{Deliveries: []alert.Delivery{stands}}, nil
	})
}

// Prune implements [alert.Outbox].
func (o outbox) Prune(ctx context.Context, age time.Duration) (total int, err error) {
	q := DeliveryQuery{States: ended, Before: o.now().Add(-age), Limit: maxOverdue}
	for {
		found, deleted, err := o.pruneSome(ctx, q)
		if total += deleted; err != nil || found < q.Limit {
			return total, err
		}
	}
}

// pruneSome deletes what the query selects, and returns how many it found and how many of them it deleted.
func (o outbox) pruneSome(ctx context.Context, q DeliveryQuery) (found, deleted int, err error) {
	ctx, cancel := o.briefly(ctx)
	defer cancel()
	var old []alert.Delivery
	err = o.view(ctx, "find old deliveries", func(r ReadTx) (err error) {
		old, err = r.Deliveries(ctx, q)
		return err
	})
	if err != nil || len(old) == 0 {
		return 0, 0, err
	}
	err = o.update(ctx, "prune deliveries", keysOf(old), func(locked LockedDeliveries) (Writes, error) {
		var w Writes
		for key, d := range locked.Deliveries {
			if slices.Contains(ended, d.State) && d.Due.Before(q.Before) { // not resent meanwhile
				w.DeleteDeliveries = append(w.DeleteDeliveries, key)
			}
		}
		deleted = len(w.DeleteDeliveries)
		return w, nil
	})
	return len(old), deleted, err
}

// Resend makes deliveries of an alert begin anew: they are tried at once, wherever a dispatcher serves their sinks, with the
// alert's ID as ever. These are those to this sink, or to all for "", but for those that are being tried just now. It returns
// how many they are.
//
// Errors: ErrInvalid if no alert can have the id, ErrNotFound if it has no delivery to the sink, because it was not routed
// there, not as yet, or because its deliveries were pruned.
func (l *Ledger) Resend(ctx context.Context, id, sink string) (n int, err error) {
	what := fmt.Sprintf("resend alert %q", id)
	if err := errors.Join(invalid.Name("id", id), invalid.OptionalName("sink", sink), invalid.OptionalName("actor", l.actor)); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	var found []alert.Delivery
	err = l.view(ctx, what, func(r ReadTx) (err error) {
		found, err = r.Deliveries(ctx, DeliveryQuery{Alerts: []string{id}, Sink: sink})
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("%s: no delivery: %w", what, ErrNotFound)
	}
	err = outbox{l.core}.update(ctx, what, keysOf(found), func(locked LockedDeliveries) (Writes, error) {
		var w Writes
		for _, d := range locked.Deliveries {
			if d.State != alert.Claimed || !d.Due.After(locked.Now) {
				d.State, d.Due, d.Tries, d.Error = alert.Waiting, locked.Now, 0, ""
				w.Deliveries = append(w.Deliveries, d)
			}
		}
		n = len(w.Deliveries)
		w.Audit = []AuditEntry{l.auditResend(found[0].Alert, w.Deliveries)}
		return w, nil
	})
	return n, err
}

func (l *Ledger) auditResend(a alert.Alert, deliveries []alert.Delivery) AuditEntry {
	sinks := make([]string, len(deliveries))
	for i, d := range deliveries {
		sinks[i] = d.Sink
	}
	slices.Sort(sinks)
	after, err := json.Marshal(map[string][]string{"sinks": sinks})
	if err != nil {
		panic("purser: names can't be written: " + err.Error())
	}
	return AuditEntry{
		ID: l.options.NewID(), Time: l.now(), Actor: l.actor, Tenant: a.Tenant,
		Action: "resend_alert", Kind: "alert", Target: a.ID, After: after,
	}
}
