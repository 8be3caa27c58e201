package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func sizes() section[*test] {
	return section[*test]{"Size", []rule[*test]{
		{"a step takes many counters and sums of usage", manyCounters},
		{"a step takes many definitions", manyDefinitions},
		{"a step takes many events and records", manyRecords},
		{"a step takes many reservations", manyReservations},
		{"keys may be long", longKeys},
	}}
}

// many is more than a database may allow arguments for if each row of a step takes some.
const many = 5000

func manyCounters(t *test) {
	var w budget.Writes
	var keys, periods []budget.CounterKey
	for i := range many {
		key := counterKey(fmt.Sprintf("%04d", i), "", 0)
		keys, periods = append(keys, key), append(periods, key)
		w.Counters = append(w.Counters, counter(key, budget.Tally{Recorded: int64(i)}))
		w.Usage = append(w.Usage, used(usageKey(fmt.Sprintf("%04d", i), 0), usage.Totals{Requests: int64(i)}))
	}
	want := slices.Clone(w.Counters)
	shuffle(w.Counters)
	shuffle(keys)
	t.update(func(tx budget.Tx) error {
		locked, err := lock(t.Context(), tx, keys...)
		equal(t, "all are locked", many, len(locked))
		return err
	})
	equal(t, "all are returned", many, len(t.write(w)))
	equal(t, "all are added to", want, read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: keys}))
	equal(t, "all are found by their periods", want, read(t, budget.ReadTx.Counters, budget.CounterQuery{Periods: periods}))
	equal(t, "all are found by their periods", many, len(read(t, budget.ReadTx.Highest, periods)))
	equal(t, "all are added to", many, len(read(t, budget.ReadTx.Usage, wholeUsage(usage.QuarterHours))))
}

func manyDefinitions(t *test) {
	var definitions []budget.Definition
	var names []string
	var keys []budget.ScopeKey
	for i := range many {
		d := scoped(fmt.Sprintf("%04d", i), budget.Scope{usage.User: budget.Selector(fmt.Sprint(i))})
		definitions, names, keys = append(definitions, d), append(names, d.ID), append(keys, d.Scope.Key())
	}
	t.put(definitions...)
	slices.Reverse(definitions) // newest first
	equal(t, "all are found by their keys", many, len(read(t, budget.ReadTx.Definitions, keys)))
	equal(t, "all are found by their ids", definitions, read(t, budget.ReadTx.Budgets, budget.Query{IDs: names}))
	t.define(budget.Writes{DropCounters: names, DeleteBudgets: names[1:]})
	equal(t, "all but one are deleted", 1, read(t, budget.ReadTx.CountBudgets, budget.Query{}))
}

func manyRecords(t *test) {
	var w budget.Writes
	var events []budget.StoredEvent
	var keys []budget.EventKey
	var names []string
	for i := range many {
		id := fmt.Sprintf("%04d", i)
		e := event("acme", id)
		events, keys, names = append(events, e), append(keys, e.Key()), append(names, id)
		w.Adjustments = append(w.Adjustments, adjustment(id, id))
		w.Alerts = append(w.Alerts, alertOf(id, id))
		w.Audit = append(w.Audit, entry(id))
		w.DeleteKeyClaims = append(w.DeleteKeyClaims, keyClaim(id))
	}
	equal(t, "all keys are claimed", many, len(t.claimKeys(w.DeleteKeyClaims...)))
	t.insert(events...)
	t.write(w)
	t.update(func(tx budget.Tx) error {
		locked, err := lockEvents(t.Context(), tx, keys...)
		equal(t, "all are locked", many, len(locked))
		return err
	})
	equal(t, "all are found", many, len(read(t, budget.ReadTx.FindEvents, keys)))
	equal(t, "all are taken", many, len(t.insert(events...).Taken))
	equal(t, "all are found by their ids", many, len(read(t, budget.ReadTx.Adjustments, budget.AdjustmentQuery{Budgets: names, IDs: names})))
	equal(t, "all are found by their budgets", many, len(read(t, budget.ReadTx.Alerts, budget.AlertQuery{Budgets: names})))
	equal(t, "all are stored", many, len(read(t, budget.ReadTx.Audit, budget.AuditQuery{})))
	none(t, "all are deleted", read(t, budget.ReadTx.KeyClaims, budget.KeyClaimQuery{}))
	t.define(budget.Writes{DeleteEvents: keys[1:]})
	equal(t, "all but one are deleted", events[:1], t.events())
}

func manyReservations(t *test) {
	var all []budget.StoredReservation
	for i := range many {
		all = append(all, reservation("acme", fmt.Sprintf("%04d", i), expires(longAgo)))
	}
	keys := keysIn(all)
	t.reserve(shuffled(all)...)
	equal(t, "half are taken by their keys and the others as they are overdue", byKey(all...), t.take(many/2, shuffled(keys[:many/2])...).Reservations)
	for i := range all {
		all[i].State = budget.Expired
	}
	t.settle(budget.Writes{PutReservations: shuffled(all[:many/2]), DeleteReservations: shuffled(keys[many/2:])})
	equal(t, "half are put and the others deleted", all[:many/2],
		read(t, budget.ReadTx.Reservations, budget.ReservationQuery{Keys: shuffled(keys)}))
}

// longKeys uses scopes and values of eight dimensions whose names and values are as long as they may be, and such that
// a database can't make them shorter for its index.
func longKeys(t *test) {
	noise := noise()
	value, fixed, each := make(budget.Value), make(budget.Scope), make(budget.Scope)
	for range 8 {
		d, v := usage.Dimension(noise(128)), noise(128)
		value[d], fixed[d], each[d] = v, budget.Selector(v), budget.Each
	}
	id := noise(128)
	want := contents{
		Definitions: []budget.Definition{scoped(id, fixed), scoped("each", each)},
		Counters:    []budget.Counter{counter(counterKey(id, value.Key(), 0), budget.Tally{Recorded: 1})},
		Reservations: []budget.StoredReservation{reservation(noise(128), noise(128), func(r *budget.StoredReservation) {
			r.Holds = []budget.Hold{{CounterKey: counterKey(id, value.Key(), 0), Units: 1}}
		})},
		Adjustments: []budget.StoredAdjustment{adjustment(id, noise(128), func(a *budget.StoredAdjustment) { a.Value = value.Key() })},
		Alerts:      []alert.Alert{alertOf(id, noise(128), func(a *alert.Alert) { a.Value = value.Key() })},
	}
	t.define(budget.Writes{
		PutBudgets: want.Definitions, Counters: want.Counters, AddReservations: want.Reservations,
		Adjustments: want.Adjustments, Alerts: want.Alerts,
	})
	got := t.contents()
	equal(t, "counters have long keys", want.Counters, got.Counters)
	equal(t, "reservations have long keys", want.Reservations, got.Reservations)
	equal(t, "adjustments have long keys", want.Adjustments, got.Adjustments)
	equal(t, "alerts have long keys", want.Alerts, got.Alerts)
	equal(t, "definitions have long keys", map[budget.ScopeKey][]budget.Definition{fixed.Key(): want.Definitions[:1], each.Key(): want.Definitions[1:]},
		read(t, budget.ReadTx.Definitions, []budget.ScopeKey{fixed.Key(), each.Key()}))
}

// noise returns a maker of texts of n letters without a pattern, the same ones in each run.
func noise() func(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	r := rand.New(rand.NewPCG(3, 4))
	return func(n int) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
		}
		return string(text)
	}
}
