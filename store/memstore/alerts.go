package memstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
)

func (r reader) Alerts(ctx context.Context, q budget.AlertQuery) ([]alert.Alert, error) {
	found := slices.SortedFunc(r.alerts.all(), func(a, b *alert.Alert) int { return compareAges(b, a) })
	selected := filter(slices.Values(found), func(a *alert.Alert) bool {
		return (q.Budgets == nil || slices.Contains(q.Budgets, a.Budget)) &&
			(q.IDs == nil || slices.Contains(q.IDs, a.ID)) &&
			(q.Owner == nil || *q.Owner == a.Owner) &&
			(q.Tenant == nil || *q.Tenant == a.Tenant) &&
			!a.At.Before(q.Since) &&
			(q.Kinds == nil || slices.Contains(q.Kinds, a.Kind)) &&
			max(a.Level, a.Left) >= q.Level &&
			(!q.Unrouted || r.isUnrouted(a)) &&
			(q.Sink == "" && q.States == nil || r.delivers(a, q)) &&
			behind(q.After, a.At, a.ID)
	})
	return page(selected, 0, q.Limit, cloneAlert), ctx.Err()
}

func (r reader) isUnrouted(a *alert.Alert) bool {
	_, unrouted := r.unrouted.Get(a)
	return unrouted
}

// delivers reports whether an alert has a delivery as the query wants one.
func (r reader) delivers(a *alert.Alert, q budget.AlertQuery) bool {
	for d := range r.deliveries.from(&alert.Delivery{Alert: *a}) {
		if d.Alert.ID != a.ID {
			return false
		}
		if (q.Sink == "" || d.Sink == q.Sink) && (q.States == nil || slices.Contains(q.States, d.State)) {
			return true
		}
	}
	return false
}

func (r reader) Deliveries(ctx context.Context, q budget.DeliveryQuery) ([]alert.Delivery, error) {
	ready := r.ready()
	selected := filter(r.deliveries.all(), func(d *alert.Delivery) bool {
		first := ready(d)
		return (q.Alerts == nil || slices.Contains(q.Alerts, d.Alert.ID)) &&
			(q.Sink == "" || q.Sink == d.Sink) &&
			(q.States == nil || slices.Contains(q.States, d.State)) &&
			(q.Before.IsZero() || d.Due.Before(q.Before)) &&
			(!q.Ready || first)
	})
	return page(selected, 0, q.Limit, cloneDelivery), ctx.Err()
}

// ready returns a function that reports, when it is called with one delivery after the other in order, which of them are due
// and first in their line.
func (r reader) ready() func(*alert.Delivery) bool {
	type line struct{ sink, budget, value string }
	now, begun := r.now(), make(map[line]bool)
	return func(d *alert.Delivery) bool {
		of := line{d.Sink, d.Alert.Budget, d.Alert.Value}
		if d.State == alert.Delivered || d.State == alert.Dead || begun[of] {
			return false
		}
		begun[of] = true
		return !d.Due.After(now)
	}
}

func (t *tx) TakeAlerts(ctx context.Context, limit int) (budget.TakenAlerts, error) {
	taken := budget.TakenAlerts{Now: t.now()}
	err := t.take(ctx, takeAlerts, func() error {
		if limit > 0 {
			taken.Alerts = page(t.unrouted.all(), 0, limit, cloneAlert)
		}
		for _, a := range taken.Alerts {
			t.hold(a.ID)
		}
		return nil
	})
	return taken, err
}

func (t *tx) LockDeliveries(ctx context.Context, keys []budget.DeliveryKey) (budget.LockedDeliveries, error) {
	locked := budget.LockedDeliveries{Now: t.now(), Deliveries: make(map[budget.DeliveryKey]alert.Delivery)}
	return locked, t.take(ctx, lockDeliveries, func() error {
		for d := range t.deliveries.all() {
			if key := deliveryKey(d); slices.Contains(keys, key) {
				locked.Deliveries[key] = cloneDelivery(d)
				t.hold(key)
			}
		}
		return nil
	})
}

func (t *tx) hold(key any) {
	if t.taken == nil {
		t.taken = make(map[any]bool)
	}
	t.taken[key] = true
}

func deliveryKey(d *alert.Delivery) budget.DeliveryKey {
	return budget.DeliveryKey{Alert: d.Alert.ID, Sink: d.Sink}
}

// warn stores an alert, unless it stands.
func (t *tx) warn(a alert.Alert) {
	a = cloneAlert(&a)
	if _, stands := t.alerts.Get(&a); stands {
		return
	}
	t.alerts.Set(&a)
	if !a.Superseded {
		t.unrouted.Set(&a)
	}
}

// deliver writes what concerns deliveries.
func (t *tx) deliver(w budget.Writes) error {
	for _, id := range w.RouteAlerts {
		if !t.taken[id] {
			return fmt.Errorf("memstore: RouteAlerts of one that is not taken: %q", id)
		}
		t.route(id)
	}
	for _, d := range w.Deliveries {
		stands, ok := t.deliveries.Get(&d)
		switch {
		case ok && !t.taken[deliveryKey(&d)]:
			return fmt.Errorf("memstore: Deliveries has one that is not locked: %+v", deliveryKey(&d))
		case ok:
			d.Alert = stands.Alert
		default:
			d = cloneDelivery(&d)
		}
		t.deliveries.Set(&d)
	}
	for _, key := range w.DeleteDeliveries {
		if t.undeliver(key) && !t.taken[key] {
			return fmt.Errorf("memstore: DeleteDeliveries of one that is not locked: %+v", key)
		}
	}
	return nil
}

func (t *tx) route(id string) {
	for _, a := range page(filter(t.unrouted.all(), func(a *alert.Alert) bool { return a.ID == id }), 0, 1, same) {
		t.unrouted.Delete(a)
	}
}

// undeliver deletes a delivery, if there is one.
func (t *tx) undeliver(key budget.DeliveryKey) bool {
	found := page(filter(t.deliveries.all(), func(d *alert.Delivery) bool { return deliveryKey(d) == key }), 0, 1, same)
	for _, d := range found {
		t.deliveries.Delete(d)
	}
	return len(found) > 0
}
