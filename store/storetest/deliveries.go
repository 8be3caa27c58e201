package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
)

func deliveries() section[*test] {
	return section[*test]{"Deliveries", []rule[*test]{
		{"TakeAlerts returns alerts that are not routed the oldest first and at most so many", alertsTaken},
		{"a superseded alert is not to be routed", supersededUnrouted},
		{"an alert that was routed is not taken again", alertsRouted},
		{"deliveries come back as they were given, with their alerts", deliveriesExact},
		{"deliveries are stored in the place of those with the same alert and sink", deliveriesReplaced},
		{"deliveries come in ascending order of the alert's time and id and of sink, and at most so many", deliveriesOrdered},
		{"deliveries that the query selects", deliveriesSelected},
		{"alerts by what became of their deliveries", alertsByDelivery},
		{"those are ready that are due and first in their line", deliveriesReady},
		{"LockDeliveries returns those with these keys", deliveriesLocked},
		{"DeleteDeliveries are deleted", deliveriesDeleted},
		{"the clock goes on", deliveryClock},
	}}
}

// plain returns an alert that is to be routed, so many minutes after noon.
func plain(budgetID, id string, minutes int, changes ...func(*alert.Alert)) alert.Alert {
	a := alertOf(budgetID, id, func(a *alert.Alert) { a.Superseded, a.At, a.Episode = false, at(minutes), minutes })
	for _, change := range changes {
		change(&a)
	}
	return a
}

// delivery returns a delivery in which every field says something, changed as said.
func delivery(a alert.Alert, sink string, changes ...func(*alert.Delivery)) alert.Delivery {
	d := alert.Delivery{Alert: a, Sink: sink, State: alert.Claimed, Tries: 3, Due: exact(4), Error: "500, 'again'"}
	for _, change := range changes {
		change(&d)
	}
	return d
}

// waiting makes a delivery wait until then.
func waiting(due time.Time) func(*alert.Delivery) {
	return func(d *alert.Delivery) { d.State, d.Due = alert.Waiting, due }
}

func in(s alert.State) func(*alert.Delivery) { return func(d *alert.Delivery) { d.State = s } }

func deliveryKey(d alert.Delivery) budget.DeliveryKey {
	return budget.DeliveryKey{Alert: d.Alert.ID, Sink: d.Sink}
}

func deliveryKeys(list []alert.Delivery) []budget.DeliveryKey {
	var keys []budget.DeliveryKey
	for _, d := range list {
		keys = append(keys, deliveryKey(d))
	}
	return keys
}

func byDelivery(list ...alert.Delivery) map[budget.DeliveryKey]alert.Delivery {
	found := make(map[budget.DeliveryKey]alert.Delivery)
	for _, d := range list {
		found[deliveryKey(d)] = d
	}
	return found
}

// takeAlerts takes alerts, and routes them if told so.
func takeAlerts(ctx context.Context, tx budget.Tx, limit int, route bool) (budget.TakenAlerts, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return budget.TakenAlerts{}, err
	}
	taken, err := tx.TakeAlerts(ctx, limit)
	if err != nil || !route {
		return taken, err
	}
	var w budget.Writes
	for _, a := range taken.Alerts {
		w.RouteAlerts = append(w.RouteAlerts, a.ID)
	}
	_, err = tx.Apply(ctx, w)
	return taken, err
}

func (t *test) takeAlerts(limit int, route bool) (taken budget.TakenAlerts) {
	t.Helper()
	t.update(func(tx budget.Tx) (err error) {
		taken, err = takeAlerts(t.Context(), tx, limit, route)
		return err
	})
	return taken
}

// lockDeliveries locks deliveries and writes.
func lockDeliveries(ctx context.Context, tx budget.Tx, w budget.Writes, keys ...budget.DeliveryKey) (budget.LockedDeliveries, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return budget.LockedDeliveries{}, err
	}
	locked, err := tx.LockDeliveries(ctx, keys)
	if err != nil {
		return locked, err
	}
	_, err = tx.Apply(ctx, w)
	return locked, err
}

func (t *test) lockDeliveries(w budget.Writes, keys ...budget.DeliveryKey) (locked budget.LockedDeliveries) {
	t.Helper()
	t.update(func(tx budget.Tx) (err error) {
		locked, err = lockDeliveries(t.Context(), tx, w, keys...)
		return err
	})
	return locked
}

// deliver stores alerts and deliveries of them.
func (t *test) deliver(list ...alert.Delivery) {
	t.Helper()
	var w budget.Writes
	for i, d := range list {
		if i == 0 || list[i-1].Alert.ID != d.Alert.ID {
			w.Alerts = append(w.Alerts, d.Alert)
		}
	}
	w.Deliveries = list
	t.write(w)
}

func alertsTaken(t *test) {
	a, b, c, d := plain("b", "2", 0), plain("b", "1", 1), plain("a", "3", 1), plain("c", "4", 2)
	t.write(budget.Writes{Alerts: []alert.Alert{d, b, a, c}})
	equal(t, "alerts that are not routed, the oldest first", []alert.Alert{a, b, c, d}, t.takeAlerts(10, false).Alerts)
	equal(t, "at most so many", []alert.Alert{a, b}, t.takeAlerts(2, false).Alerts)
	none(t, "at most none", t.takeAlerts(0, false).Alerts)
	equal(t, "Alerts selects those that are to be routed", []alert.Alert{d, c, b, a}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Unrouted: true}))
}

func supersededUnrouted(t *test) {
	superseded := plain("b", "1", 0, func(a *alert.Alert) { a.Superseded = true })
	t.write(budget.Writes{Alerts: []alert.Alert{superseded}})
	none(t, "a superseded alert is not to be routed", t.takeAlerts(10, false).Alerts)
	none(t, "a superseded alert is not to be routed", read(t, budget.ReadTx.Alerts, budget.AlertQuery{Unrouted: true}))
}

func alertsRouted(t *test) {
	a, b := plain("b", "1", 0), plain("b", "2", 1)
	t.write(budget.Writes{Alerts: []alert.Alert{a, b}})
	equal(t, "one is taken", []alert.Alert{a}, t.takeAlerts(1, true).Alerts)
	t.write(budget.Writes{Alerts: []alert.Alert{a}})
	equal(t, "one that was routed is not taken again", []alert.Alert{b}, t.takeAlerts(10, true).Alerts)
	none(t, "nor is any", t.takeAlerts(10, true).Alerts)
	equal(t, "they stay as they are", []alert.Alert{b, a}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{}))
}

func deliveriesExact(t *test) {
	want := []alert.Delivery{
		delivery(plain("a", "full", 0), "log"),
		delivery(plain("a", "plain", 0), "log", func(d *alert.Delivery) {
			d.State, d.Tries, d.Due, d.Error = alert.Waiting, 0, time.Time{}, ""
		}),
		delivery(plain("a", "many", 1), "log", func(d *alert.Delivery) { d.State, d.Tries = alert.Dead, math.MaxInt32 }),
	}
	for i, text := range nasty() {
		want = append(want, delivery(plain("b", text, 2+i), text, func(d *alert.Delivery) { d.State, d.Error = alert.Delivered, text }))
	}
	t.deliver(want...)
	equal(t, "deliveries come back as they were given", want, read(t, budget.ReadTx.Deliveries, budget.DeliveryQuery{}))
}

func deliveriesReplaced(t *test) {
	first, second := delivery(plain("b", "1", 0), "log"), delivery(plain("b", "1", 0), "mail")
	t.deliver(first, second)
	changed := delivery(first.Alert, "log", func(d *alert.Delivery) {
		d.State, d.Tries, d.Due, d.Error = alert.Dead, 9, exact(9), "gone"
	})
	given := changed
	given.Alert.Message = "changed"
	t.lockDeliveries(budget.Writes{Deliveries: []alert.Delivery{given}}, deliveryKey(first))
	equal(t, "one is replaced, what its alert says is not written anew",
		[]alert.Delivery{changed, second}, read(t, budget.ReadTx.Deliveries, budget.DeliveryQuery{}))
}

func deliveriesOrdered(t *test) {
	var want []alert.Delivery
	for i, id := range append(ids(7), "ä") {
		for _, sink := range []string{"B", "a", "ä"} {
			want = append(want, delivery(plain(fmt.Sprint(7-i), id, i/3), sink))
		}
	}
	t.deliver(want...)
	equal(t, "all, in order", want, read(t, budget.ReadTx.Deliveries, budget.DeliveryQuery{}))
	equal(t, "at most so many", want[:5], read(t, budget.ReadTx.Deliveries, budget.DeliveryQuery{Limit: 5}))
}

func deliveriesSelected(t *test) {
	var all []alert.Delivery
	for i, state := range []alert.State{alert.Waiting, alert.Claimed, alert.Delivered, alert.Dead} {
		for _, sink := range []string{"log", "mail"} {
			all = append(all, delivery(plain("b", fmt.Sprint(i), i), sink, func(d *alert.Delivery) { d.State, d.Due = state, at(i) }))
		}
	}
	t.deliver(all...)
	for _, c := range []struct {
		rule  string
		query budget.DeliveryQuery
		keep  func(alert.Delivery) bool
	}{
		{"of these alerts", budget.DeliveryQuery{Alerts: []string{"2", "0", "unknown"}}, func(d alert.Delivery) bool { return d.Alert.ID == "0" || d.Alert.ID == "2" }},
		{"of no alerts", budget.DeliveryQuery{Alerts: []string{}}, func(alert.Delivery) bool { return false }},
		{"to this sink", budget.DeliveryQuery{Sink: "mail"}, func(d alert.Delivery) bool { return d.Sink == "mail" }},
		{"in one of these states", budget.DeliveryQuery{States: []alert.State{alert.Dead, alert.Claimed}}, func(d alert.Delivery) bool { return d.State == alert.Dead || d.State == alert.Claimed }},
		{"in no state", budget.DeliveryQuery{States: []alert.State{}}, func(alert.Delivery) bool { return false }},
		{"due before it", budget.DeliveryQuery{Before: at(2)}, func(d alert.Delivery) bool { return d.Due.Before(at(2)) }},
		{"due a microsecond before it", budget.DeliveryQuery{Before: at(2).Add(time.Microsecond)}, func(d alert.Delivery) bool { return !d.Due.After(at(2)) }},
		{"all of it", budget.DeliveryQuery{Alerts: []string{"2", "3"}, Sink: "log", States: []alert.State{alert.Delivered}, Before: at(9)}, func(d alert.Delivery) bool {
			return d.Alert.ID == "2" && d.Sink == "log"
		}},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(d alert.Delivery) bool { return !c.keep(d) })
		equal(t, "Deliveries selects those "+c.rule, want, read(t, budget.ReadTx.Deliveries, c.query))
	}
}

func alertsByDelivery(t *test) {
	a, b, c := plain("b", "1", 0), plain("b", "2", 1), plain("b", "3", 2)
	t.deliver(delivery(a, "log", in(alert.Dead)), delivery(a, "mail", in(alert.Waiting)), delivery(b, "mail", in(alert.Dead)))
	t.write(budget.Writes{Alerts: []alert.Alert{c}})
	dead := []alert.State{alert.Dead}
	for rule, q := range map[string]struct {
		query budget.AlertQuery
		want  []alert.Alert
	}{
		"with a delivery to this sink":                    {budget.AlertQuery{Sink: "log"}, []alert.Alert{a}},
		"with a delivery in this state":                   {budget.AlertQuery{States: dead}, []alert.Alert{b, a}},
		"with a delivery to this sink that is in it":      {budget.AlertQuery{Sink: "log", States: dead}, []alert.Alert{a}},
		"with one that is, not with two that are in part": {budget.AlertQuery{Sink: "mail", States: []alert.State{alert.Waiting}}, []alert.Alert{a}},
		"in no state":                     {budget.AlertQuery{States: []alert.State{}}, nil},
		"newest first and behind a place": {budget.AlertQuery{States: dead, After: &budget.TimeCursor{Time: b.At, ID: b.ID}, Limit: 5}, []alert.Alert{a}},
	} {
		equal(t, "Alerts selects those "+rule, q.want, read(t, budget.ReadTx.Alerts, q.query))
	}
}

func deliveriesReady(t *test) {
	valued := func(value string, episode int) func(*alert.Alert) {
		return func(a *alert.Alert) { a.Value, a.Episode = value, episode }
	}
	first, second := plain("b", "1", 0, valued("", 1)), plain("b", "2", 1, valued("", 2))
	later := plain("b", "0", 1, valued("", 3)) // at the time of the second, but before it by its id
	otherValue, otherBudget := plain("b", "3", 2, valued("v", 1)), plain("c", "4", 3, valued("", 1))
	due, ahead := waiting(longAgo), waiting(farAhead)
	claimed := func(until time.Time) func(*alert.Delivery) {
		return func(d *alert.Delivery) { d.State, d.Due = alert.Claimed, until }
	}
	for rule, c := range map[string]struct {
		given []alert.Delivery
		want  []string // "alert sink"
	}{
		"one that waits and is due":                  {[]alert.Delivery{delivery(first, "log", due)}, []string{"1 log"}},
		"not one that is not due":                    {[]alert.Delivery{delivery(first, "log", ahead)}, nil},
		"one whose claim is over":                    {[]alert.Delivery{delivery(first, "log", claimed(longAgo))}, []string{"1 log"}},
		"not one that is claimed":                    {[]alert.Delivery{delivery(first, "log", claimed(farAhead))}, nil},
		"not one that has ended":                     {[]alert.Delivery{delivery(first, "log", due, in(alert.Delivered)), delivery(first, "mail", due, in(alert.Dead))}, nil},
		"the first of a line":                        {[]alert.Delivery{delivery(first, "log", due), delivery(second, "log", due)}, []string{"1 log"}},
		"the first by its id":                        {[]alert.Delivery{delivery(later, "log", due), delivery(second, "log", due)}, []string{"0 log"}},
		"not the second, while the first is not due": {[]alert.Delivery{delivery(first, "log", ahead), delivery(second, "log", due)}, nil},
		"nor while it is claimed":                    {[]alert.Delivery{delivery(first, "log", claimed(farAhead)), delivery(second, "log", due)}, nil},
		"the second, once the first has arrived":     {[]alert.Delivery{delivery(first, "log", in(alert.Delivered)), delivery(second, "log", due)}, []string{"2 log"}},
		"or is dead":                                 {[]alert.Delivery{delivery(first, "log", in(alert.Dead)), delivery(second, "log", due)}, []string{"2 log"}},
		"one of each sink and budget and value": {
			[]alert.Delivery{delivery(first, "log", due), delivery(first, "mail", ahead), delivery(otherValue, "log", due), delivery(otherBudget, "log", due)},
			[]string{"1 log", "3 log", "4 log"},
		},
	} {
		shuffle(c.given)
		slices.SortStableFunc(c.given, func(a, b alert.Delivery) int { return a.Alert.At.Compare(b.Alert.At) })
		t.deliver(c.given...)
		var got []string
		for _, d := range read(t, budget.ReadTx.Deliveries, budget.DeliveryQuery{Ready: true}) {
			got = append(got, d.Alert.ID+" "+d.Sink)
		}
		equal(t, "ready is "+rule, c.want, got)
		keys := deliveryKeys(c.given)
		t.lockDeliveries(budget.Writes{DeleteDeliveries: keys}, keys...)
	}
}

func deliveriesLocked(t *test) {
	all := []alert.Delivery{delivery(plain("b", "1", 0), "log"), delivery(plain("b", "1", 0), "mail"), delivery(plain("b", "2", 1), "log")}
	t.deliver(all...)
	unknown := budget.DeliveryKey{Alert: "2", Sink: "mail"}
	locked := t.lockDeliveries(budget.Writes{}, deliveryKey(all[2]), unknown, deliveryKey(all[0]))
	equal(t, "those with these keys are returned, and others are absent", byDelivery(all[0], all[2]), locked.Deliveries)
	equal(t, "of no keys, none", 0, len(t.lockDeliveries(budget.Writes{}).Deliveries))
}

func deliveriesDeleted(t *test) {
	all := []alert.Delivery{delivery(plain("b", "1", 0), "log"), delivery(plain("b", "1", 0), "mail"), delivery(plain("b", "2", 1), "log")}
	t.deliver(all...)
	gone := deliveryKeys(all[1:])
	t.lockDeliveries(budget.Writes{DeleteDeliveries: gone}, gone...)
	equal(t, "the others stay", all[:1], read(t, budget.ReadTx.Deliveries, budget.DeliveryQuery{}))
	equal(t, "alerts stay", 2, len(t.contents().Alerts))
}

func deliveryClock(t *test) {
	before := t.take(0).Now
	taken := t.takeAlerts(1, false).Now
	locked := t.lockDeliveries(budget.Writes{}).Now
	after := t.take(0).Now
	if taken.Before(before) || locked.Before(taken) || after.Before(locked) || taken.Location() != time.UTC || locked.Location() != time.UTC {
		t.Errorf("not so: the time is the store's clock's, in UTC: %v, %v, %v, %v", before, taken, locked, after)
	}
}

// deliveryRace returns the tests in which transactions meet over alerts and deliveries.
func deliveryRace() section[*test] {
	return section[*test]{"DeliveryRace", []rule[*test]{
		{"an alert that another has taken is waited for and left out if that routed it", takenBeside},
		{"each alert is routed once however many route", routedOnce},
		{"a delivery that another has locked is waited for and returned as that one left it", lockedAsLeft},
		{"each delivery is claimed once however many claim", claimedOnce},
	}}
}

func takenBeside(t *test) {
	a, b := plain("b", "1", 0), plain("b", "2", 1)
	t.write(budget.Writes{Alerts: []alert.Alert{a, b}})
	route := func(limit int) func(tx budget.Tx) error {
		return func(tx budget.Tx) error {
			_, err := takeAlerts(t.Context(), tx, limit, true)
			return err
		}
	}
	var taken budget.TakenAlerts
	taking := func() <-chan error {
		return t.start(func(tx budget.Tx) (err error) {
			taken, err = takeAlerts(t.Context(), tx, 10, false)
			return err
		})
	}
	for _, c := range []struct {
		rule string
		end  func(*held)
		want []alert.Alert
	}{
		{"if that rolls back, it is there", (*held).rollBack, []alert.Alert{a, b}},
		{"if that commits, it is not", (*held).commit, []alert.Alert{b}},
	} {
		first := t.hold(route(1))
		second := taking()
		waits(t, "one that another has taken is waited for", second)
		c.end(first)
		ends(t, "until that transaction ends", second)
		equal(t, c.rule, c.want, taken.Alerts)
	}
}

func routedOnce(t *test) {
	const n = 60
	var all []alert.Alert
	for i, id := range ids(n) {
		all = append(all, plain("b", id, i))
	}
	t.write(budget.Writes{Alerts: all})
	var routed atomic.Int64
	t.together(4, n, func(ctx context.Context, _, _ int) error {
		var taken budget.TakenAlerts
		err := t.store.Update(ctx, func(tx budget.Tx) (err error) {
			taken, err = takeAlerts(ctx, tx, 3, true)
			return err
		})
		if err == nil {
			routed.Add(int64(len(taken.Alerts)))
		}
		return err
	})
	equal(t, "each alert is routed once", n, routed.Load())
}

func lockedAsLeft(t *test) {
	given := delivery(plain("b", "1", 0), "log", waiting(longAgo))
	changed := delivery(given.Alert, "log", in(alert.Dead))
	key := deliveryKey(given)
	for _, c := range []struct {
		rule   string
		writes budget.Writes
		end    func(*held)
		left   map[budget.DeliveryKey]alert.Delivery
	}{
		{"changed", budget.Writes{Deliveries: []alert.Delivery{changed}}, (*held).commit, byDelivery(changed)},
		{"deleted", budget.Writes{DeleteDeliveries: []budget.DeliveryKey{key}}, (*held).commit, nil},
		{"not changed after all", budget.Writes{Deliveries: []alert.Delivery{changed}}, (*held).rollBack, byDelivery(given)},
	} {
		t.deliver(given)
		first := t.hold(func(tx budget.Tx) error {
			_, err := lockDeliveries(t.Context(), tx, c.writes, key)
			return err
		})
		var locked budget.LockedDeliveries
		second := t.start(func(tx budget.Tx) (err error) {
			locked, err = lockDeliveries(t.Context(), tx, budget.Writes{}, key)
			return err
		})
		waits(t, "one that another has locked is waited for", second)
		c.end(first)
		ends(t, "until that transaction ends", second)
		equal(t, "it is returned as that one left it: "+c.rule, c.left, locked.Deliveries)
		t.lockDeliveries(budget.Writes{DeleteDeliveries: []budget.DeliveryKey{key}}, key)
	}
}

// claimedOnce lets several claim the same deliveries, given in orders of their own.
func claimedOnce(t *test) {
	const n = 40
	var all []alert.Delivery
	for i, id := range ids(n) {
		all = append(all, delivery(plain(id, id, i), "log", waiting(longAgo), func(d *alert.Delivery) { d.Tries = 0 }))
	}
	t.deliver(all...)
	t.together(4, 5, func(ctx context.Context, _, _ int) error {
		keys := shuffled(deliveryKeys(all))
		return t.store.Update(ctx, func(tx budget.Tx) error { return claim(ctx, tx, keys) })
	})
	for _, d := range read(t, budget.ReadTx.Deliveries, budget.DeliveryQuery{}) {
		if d.Tries != 1 {
			t.Errorf("not so: each delivery is claimed once: %s was %d times", d.Alert.ID, d.Tries)
		}
	}
}

func claim(ctx context.Context, tx budget.Tx, keys []budget.DeliveryKey) error {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return err
	}
	locked, err := tx.LockDeliveries(ctx, keys)
	if err != nil {
		return err
	}
	var w budget.Writes
	for _, d := range locked.Deliveries {
		if !d.Due.After(locked.Now) {
			d.State, d.Tries, d.Due = alert.Claimed, d.Tries+1, farAhead
			w.Deliveries = append(w.Deliveries, d)
		}
	}
	_, err = tx.Apply(ctx, w)
	return err
}
