package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func reservations() section[*test] {
	return section[*test]{"Reservations", []rule[*test]{
		{"TakeReservations returns those with these keys", reservationsTaken},
		{"TakeReservations returns the catalog's version", reservationsVersion},
		{"TakeReservations returns the time by the store's clock", reservationsClock},
		{"TakeReservations returns beside them those that are overdue", reservationsOverdue},
		{"those whose time was over first come before others and at most so many", reservationsOldestFirst},
		{"one that has ended is not overdue", reservationsEnded},
		{"they come back as they were given", reservationsExact},
		{"what was nil comes back nil", reservationsNil},
		{"they share nothing with the caller", reservationsUnshared},
		{"AddReservations are stored", reservationsAdded},
		{"one whose key is taken is ErrConflict and nothing stays", reservationsConflict},
		{"PutReservations are stored in the place of those with the same keys", reservationsPut},
		{"DeleteReservations are deleted and nothing else", reservationsDeleted},
		{"an Update sees what it wrote of them", reservationsSeen},
		{"nothing that was written of them stays if fn returns an error", reservationsUndone},
		{"those that the query selects", reservationsSelected},
		{"those that hold or held some of a budget", reservationsOfBudget},
		{"those that are overdue when they are asked for", reservationsOverdueQuery},
		{"they come in ascending order of tenant and id and in pages", reservationsPaged},
	}}
}

func (t *test) reservations() []budget.StoredReservation {
	t.Helper()
	return read(t, budget.ReadTx.Reservations, budget.ReservationQuery{})
}

// keyed is reservations by key.
type keyed map[budget.ReservationKey]budget.StoredReservation

func byKey(reservations ...budget.StoredReservation) keyed {
	m := make(keyed)
	for _, r := range reservations {
		m[r.Key()] = r
	}
	return m
}

func keysIn(reservations []budget.StoredReservation) []budget.ReservationKey {
	var keys []budget.ReservationKey
	for _, r := range reservations {
		keys = append(keys, r.Key())
	}
	return keys
}

// idsIn returns ids in ascending order.
func idsIn(reservations keyed) []string {
	var list []string
	for key := range reservations {
		list = append(list, key.ID)
	}
	slices.Sort(list)
	return list
}

func reservationsTaken(t *test) {
	a, b := reservation("acme", "a"), fullReservation("acme", "b")
	released := reservation("", "a", state(budget.Released))
	t.reserve(reservation("other", "a"), b, released, a, reservation("acme", "c"))
	unknown := []budget.ReservationKey{{Tenant: "acme", ID: "unknown"}, {Tenant: "other", ID: "b"}, {Tenant: "ACME", ID: "a"}, {}}
	equal(t, "those with these keys, whatever their state, a key without one being absent", byKey(a, b, released),
		t.take(0, append(unknown, released.Key(), b.Key(), a.Key())...).Reservations)
	equal(t, "no keys, no reservations", nil, t.take(0).Reservations)
	equal(t, "none of these keys has one", nil, t.take(0, unknown...).Reservations)
	t.update(func(tx budget.Tx) error {
		if _, err := take(t.Context(), tx, 0, a.Key()); err != nil {
			return err
		}
		taken, err := tx.TakeReservations(t.Context(), []budget.ReservationKey{b.Key(), a.Key()}, 0)
		equal(t, "what the transaction has locked it can lock again", byKey(a, b), taken.Reservations)
		return err
	})
}

func reservationsVersion(t *test) {
	c := t.catalog()
	equal(t, "the version is that of the catalog, reservations or not", c.Version, t.take(0).Version)
	c.Version = 1<<40 + 1
	t.define(budget.Writes{Catalog: &c})
	t.reserve(reservation("acme", "1"), reservation("acme", "2", expires(longAgo)))
	equal(t, "the version is that of the catalog, none found", c.Version, t.take(0, budget.ReservationKey{ID: "unknown"}).Version)
	equal(t, "the version is that of the catalog", c.Version, t.take(10, budget.ReservationKey{Tenant: "acme", ID: "1"}).Version)
}

func reservationsClock(t *test) {
	before := time.Now()
	first := t.take(0).Now
	if first.Before(before.Add(-time.Minute)) || first.After(time.Now().Add(time.Minute)) {
		t.Errorf("not so: the store's clock is within a minute of this one's: it is %v", first)
	}
	equal(t, "it is in UTC, cut to the microsecond", first.UTC().Truncate(time.Microsecond), first)
	t.update(func(tx budget.Tx) error {
		taken, err := take(t.Context(), tx, 0)
		for start := taken.Now; err == nil && !taken.Now.After(start); taken, err = tx.TakeReservations(t.Context(), nil, 0) {
			if time.Since(before) > patience {
				return fmt.Errorf("not so: the store's clock goes on while a transaction is open: it is still %v", start)
			}
		}
		return err
	})
}

func reservationsOverdue(t *test) {
	now := t.take(0).Now
	over := reservation("acme", "over", expires(now.Add(-time.Hour)))
	just := reservation("", "just", expires(now))
	open := reservation("acme", "open", expires(now.Add(time.Hour)))
	lease := reservation("other", "lease", expires(now.Add(-time.Microsecond)), func(r *budget.StoredReservation) { r.Lease = true })
	t.reserve(open, just, lease, over)
	equal(t, "those whose Expires the clock has reached", byKey(over, just, lease), t.take(10).Reservations)
	equal(t, "beside those with these keys", byKey(over, just, lease, open), t.take(10, open.Key()).Reservations)
	equal(t, "none if none are asked for", byKey(open), t.take(0, open.Key()).Reservations)
	equal(t, "one that is both is there once", byKey(over, just, lease), t.take(10, just.Key()).Reservations)
}

func reservationsOldestFirst(t *test) {
	now := t.take(0).Now
	var all []budget.StoredReservation
	for i, id := range []string{"d", "a", "c", "b", "e"} {
		all = append(all, reservation(id, id, expires(now.Add(time.Duration(i-10)*time.Microsecond))))
	}
	t.reserve(shuffled(all)...)
	for n := range len(all) + 2 {
		equal(t, fmt.Sprintf("at most %d, those whose time was over first", n), byKey(all[:min(n, len(all))]...), t.take(n).Reservations)
	}
	equal(t, "those with these keys do not count", byKey(all[0], all[1], all[3], all[2]),
		t.take(2, all[3].Key(), all[0].Key()).Reservations)
}

func reservationsEnded(t *test) {
	open := reservation("acme", "open", expires(longAgo))
	t.reserve(
		reservation("acme", "released", expires(longAgo), state(budget.Released)),
		reservation("acme", "expired", expires(longAgo), state(budget.Expired)),
		open,
	)
	equal(t, "released and expired ones are not overdue", byKey(open), t.take(10).Reservations)
	open.State = budget.Expired
	t.settle(budget.Writes{PutReservations: []budget.StoredReservation{open}})
	equal(t, "one that has expired since is not overdue", nil, t.take(10).Reservations)
	open.State = budget.Open
	t.settle(budget.Writes{PutReservations: []budget.StoredReservation{open}})
	equal(t, "one that is open again is", byKey(open), t.take(10).Reservations)
}

func reservationsExact(t *test) {
	full, held := fullReservation("acme", "full"), reservation("acme", "held", expires(longAgo))
	held.Holds = nil
	for i := range 300 {
		held.Holds = append(held.Holds, budget.Hold{CounterKey: counterKey(fmt.Sprintf("%03d", i), "", i), Units: int64(i)})
	}
	want := []budget.StoredReservation{full, held, {ID: "least", Subject: usage.Subject{Tenant: "acme"}}}
	for _, text := range nasty() {
		want = append(want, reservation(text, text, expires(longAgo), func(r *budget.StoredReservation) {
			r.User, r.APIKey, r.Resource, r.Labels = text, text, text, map[string]string{text: text, "x": ""}
			r.Holds = []budget.Hold{{CounterKey: counterKey(text, budget.Value{usage.Dimension(text): text}.Key(), 0), Units: 1}}
		}))
	}
	t.reserve(want...)
	equal(t, "all come back as they were given", byKey(want...), byKey(t.reservations()...))
	equal(t, "and so do those that are taken", byKey(want...), t.take(0, keysIn(want)...).Reservations)
	equal(t, "and those that are overdue", byKey(slices.Delete(slices.Clone(want), 0, 1)...), t.take(1000).Reservations)
	for _, r := range want {
		equal(t, fmt.Sprintf("%q is found by its key", r.ID), []budget.StoredReservation{r},
			read(t, budget.ReadTx.Reservations, budget.ReservationQuery{Keys: []budget.ReservationKey{r.Key()}}))
	}
}

func reservationsNil(t *test) {
	r := reservation("acme", "1", func(r *budget.StoredReservation) { r.Holds = nil })
	t.reserve(r)
	for _, got := range append(t.reservations(), t.take(0, r.Key()).Reservations[r.Key()]) {
		if got.Labels != nil || got.Holds != nil {
			t.Errorf("not so: what was nil comes back nil: %+v", got)
		}
	}
	r.Labels, r.Holds = map[string]string{}, []budget.Hold{}
	t.settle(budget.Writes{PutReservations: []budget.StoredReservation{r}})
	equal(t, "what was empty comes back without anything in it", []budget.StoredReservation{r}, t.reservations())
}

func reservationsUnshared(t *test) {
	spoil := func(r budget.StoredReservation) {
		clear(r.Labels)
		clear(r.Holds)
	}
	want := []budget.StoredReservation{fullReservation("acme", "1")}
	key := want[0].Key()
	for name, write := range map[string]func(r budget.StoredReservation){
		"added": func(r budget.StoredReservation) { t.reserve(r) },
		"put": func(r budget.StoredReservation) {
			t.settle(budget.Writes{PutReservations: []budget.StoredReservation{r}})
		},
	} {
		t.settle(budget.Writes{DeleteReservations: []budget.ReservationKey{key}})
		if name == "put" {
			t.reserve(reservation("acme", "1"))
		}
		given := fullReservation("acme", "1")
		write(given)
		spoil(given)
		equal(t, "what was "+name+" can be changed", want, t.reservations())
		spoil(t.reservations()[0])
		equal(t, "what was returned can be changed", want, t.reservations())
		spoil(t.take(0, key).Reservations[key])
		equal(t, "what was taken can be changed", want, t.reservations())
	}
}

func reservationsAdded(t *test) {
	a, b, other := reservation("acme", "a"), fullReservation("acme", "b"), reservation("other", "a")
	t.reserve(b, a)
	equal(t, "they are stored", []budget.StoredReservation{a, b}, t.reservations())
	t.reserve(other)
	equal(t, "an id is one per tenant", []budget.StoredReservation{a, b, other}, t.reservations())
	equal(t, "an event may have the key of a reservation that stands", 0, len(t.insert(event("acme", "a")).Taken))
}

func reservationsConflict(t *test) {
	stands, free := reservation("acme", "stands"), reservation("acme", "free")
	t.reserve(stands, reservation("acme", "ended", state(budget.Released)))
	t.insert(event("acme", "settled"))
	for rule, added := range map[string][][]budget.StoredReservation{
		"the same again":                      {{stands}},
		"another with its key":                {{fullReservation("acme", "stands")}},
		"one among others":                    {{reservation("zoo", "1"), fullReservation("acme", "stands"), free}},
		"one that has ended":                  {{reservation("acme", "ended")}},
		"one whose key an event has":          {{reservation("acme", "settled")}},
		"one of each kind":                    {{stands, free, reservation("acme", "settled"), reservation("acme", "more")}},
		"one that the transaction just added": {{free}, {reservation("acme", "other"), fullReservation("acme", "free")}},
	} {
		before := t.contents()
		err := t.store.Update(t.Context(), func(tx budget.Tx) error {
			if err := fill(t.Context(), tx); err != nil {
				return err
			}
			for _, reservations := range added {
				if _, err := tx.Apply(t.Context(), budget.Writes{AddReservations: reservations}); err != nil {
					return err
				}
			}
			return nil
		})
		fails(t, "one whose key is taken makes Apply return ErrConflict: "+rule, budget.ErrConflict, err)
		equal(t, "nothing of the transaction stays: "+rule, before, t.contents())
	}
}

func reservationsPut(t *test) {
	a, b, c := reservation("acme", "a"), fullReservation("acme", "b"), reservation("other", "a")
	t.reserve(a, b, c)
	a, b = fullReservation("acme", "a"), reservation("acme", "b")
	t.settle(budget.Writes{PutReservations: []budget.StoredReservation{b, a}})
	equal(t, "they stand in the place of those with the same keys, no others", []budget.StoredReservation{a, b, c}, t.reservations())

	b.Expires = longAgo
	t.settle(budget.Writes{PutReservations: []budget.StoredReservation{b}})
	equal(t, "they are overdue by what is new", byKey(b), t.take(10).Reservations)
	b.Expires = farAhead
	t.settle(budget.Writes{PutReservations: []budget.StoredReservation{b}})
	equal(t, "one that is extended is not overdue", nil, t.take(10).Reservations)
	equal(t, "one that is extended holds what it held", []budget.StoredReservation{a, b, c}, t.reservations())
}

func reservationsDeleted(t *test) {
	t.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	want := t.contents()
	a, other := reservation("acme", "a", expires(longAgo)), reservation("other", "a", expires(longAgo))
	t.reserve(a, other)
	want.Reservations = append(want.Reservations, other)
	t.settle(budget.Writes{DeleteReservations: []budget.ReservationKey{a.Key(), {Tenant: "acme", ID: "unknown"}, {}}})
	equal(t, "they are deleted, nothing else changes, and a key without one is nothing", want, t.contents())
	equal(t, "a deleted one is not overdue", byKey(other), t.take(10).Reservations)
	a = fullReservation("acme", "a")
	t.reserve(a)
	equal(t, "its key is free", byKey(a), t.take(0, a.Key()).Reservations)
}

// rewrite takes reservations, changes one, deletes one and adds one that takes the place of another.
func rewrite(ctx context.Context, tx budget.Tx) error {
	put, deleted, replaced := fullReservation("acme", "put"), reservation("acme", "deleted"), reservation("acme", "replaced")
	if err := settle(ctx, tx, budget.Writes{
		PutReservations:    []budget.StoredReservation{put},
		DeleteReservations: []budget.ReservationKey{deleted.Key(), replaced.Key()},
	}); err != nil {
		return err
	}
	_, err := tx.Apply(ctx, budget.Writes{AddReservations: []budget.StoredReservation{fullReservation("acme", "replaced")}})
	return err
}

func reservationsSeen(t *test) {
	t.reserve(reservation("acme", "put"), reservation("acme", "deleted"), reservation("acme", "replaced"))
	var within []budget.StoredReservation
	t.update(func(tx budget.Tx) error {
		if err := rewrite(t.Context(), tx); err != nil {
			return err
		}
		var err error
		within, err = tx.Reservations(t.Context(), budget.ReservationQuery{})
		return err
	})
	equal(t, "it sees what it wrote", []budget.StoredReservation{fullReservation("acme", "put"), fullReservation("acme", "replaced")}, within)
	equal(t, "what it saw is committed", within, t.reservations())
}

func reservationsUndone(t *test) {
	t.reserve(reservation("acme", "put"), reservation("acme", "deleted"), reservation("acme", "replaced"))
	before, refusal := t.contents(), errors.New("refused")
	err := t.store.Update(t.Context(), func(tx budget.Tx) error { return errors.Join(rewrite(t.Context(), tx), refusal) })
	fails(t, "Update returns fn's error", refusal, err)
	nothingStays(t, before)
}

// assorted returns reservations that a query can tell apart by their ids, in order.
func assorted() []budget.StoredReservation {
	holding := func(budgets ...string) func(*budget.StoredReservation) {
		return func(r *budget.StoredReservation) {
			r.Holds = nil
			for _, id := range budgets {
				r.Holds = append(r.Holds, budget.Hold{CounterKey: counterKey(id, "", 0), Units: 1})
			}
		}
	}
	return []budget.StoredReservation{
		reservation("", "1", expires(longAgo), state(budget.Expired), holding("b")),
		reservation("ACME", "2", expires(longAgo.Add(time.Microsecond)), holding("a", "b")),
		reservation("acme", "3", expires(longAgo), holding("a")),
		reservation("acme", "4", expires(longAgo), state(budget.Released), holding()),
		reservation("acme", "5", holding("a", "b")),
		reservation("other", "6", expires(longAgo.Add(-time.Microsecond)), holding("ab")),
	}
}

func reservationsSelected(t *test) {
	t.reserve(shuffled(assorted())...)
	keys := append(keysIn(assorted()[2:]), budget.ReservationKey{Tenant: "acme", ID: "6"})
	slices.Reverse(keys)
	type states = []budget.ReservationState
	for _, c := range []struct {
		rule  string
		query budget.ReservationQuery
		want  []string
	}{
		{"all", budget.ReservationQuery{}, []string{"1", "2", "3", "4", "5", "6"}},
		{"those with these keys", budget.ReservationQuery{Keys: keys}, []string{"3", "4", "5", "6"}},
		{"those with no keys", budget.ReservationQuery{Keys: []budget.ReservationKey{}}, nil},
		{"those of a tenant", budget.ReservationQuery{Tenant: new("acme")}, []string{"3", "4", "5"}},
		{"those of no tenant", budget.ReservationQuery{Tenant: new("")}, []string{"1"}},
		{"those of a budget", budget.ReservationQuery{Budget: "a"}, []string{"2", "3", "5"}},
		{"those of a budget that nothing is held of", budget.ReservationQuery{Budget: "c"}, nil},
		{"those that held some of a budget too", budget.ReservationQuery{Budget: "b"}, []string{"1", "2", "5"}},
		{"those in a state", budget.ReservationQuery{States: states{budget.Open}}, []string{"2", "3", "5", "6"}},
		{"those in one of these states", budget.ReservationQuery{States: states{budget.Expired, budget.Released}}, []string{"1", "4"}},
		{"those in none", budget.ReservationQuery{States: states{}}, nil},
		{"those that are overdue", budget.ReservationQuery{Overdue: true}, []string{"2", "3", "6"}},
		{"those whose Expires is before an instant", budget.ReservationQuery{Before: longAgo}, []string{"6"}},
		{"those whose Expires is before the next one", budget.ReservationQuery{Before: longAgo.Add(time.Microsecond)}, []string{"1", "3", "4", "6"}},
		{"those with a greater key", budget.ReservationQuery{After: &budget.ReservationKey{Tenant: "acme", ID: "3"}}, []string{"4", "5", "6"}},
		{"those with a greater key than one that is not there", budget.ReservationQuery{After: &budget.ReservationKey{Tenant: "Acme", ID: "9"}}, []string{"3", "4", "5", "6"}},
		{"at most so many", budget.ReservationQuery{Limit: 2}, []string{"1", "2"}},
		{"these keys of a tenant", budget.ReservationQuery{Keys: keys, Tenant: new("other")}, []string{"6"}},
		{"these keys behind another", budget.ReservationQuery{Keys: keys, After: &budget.ReservationKey{Tenant: "acme", ID: "3"}, Limit: 2}, []string{"4", "5"}},
		{"what a tenant holds of a budget", budget.ReservationQuery{Tenant: new("acme"), Budget: "b"}, []string{"5"}},
		{"what is held of a budget", budget.ReservationQuery{Budget: "b", States: states{budget.Open}}, []string{"2", "5"}},
		{"what is overdue and holds some of a budget", budget.ReservationQuery{Budget: "a", Overdue: true}, []string{"2", "3"}},
		{"what is overdue and has ended", budget.ReservationQuery{Overdue: true, States: states{budget.Expired, budget.Released}}, nil},
		{"what has ended before an instant", budget.ReservationQuery{Before: noon, States: states{budget.Released, budget.Expired}}, []string{"1", "4"}},
		{"what all of it selects", budget.ReservationQuery{
			Keys: keys, Tenant: new("acme"), Budget: "a", States: states{budget.Open, budget.Released}, Overdue: true,
			Before: noon, After: &budget.ReservationKey{Tenant: "ACME", ID: "2"}, Limit: 5,
		}, []string{"3"}},
	} {
		var got []string
		for _, r := range read(t, budget.ReadTx.Reservations, c.query) {
			got = append(got, r.ID)
		}
		equal(t, "Reservations selects "+c.rule, c.want, got)
	}
}

// reservationsOfBudget has, for each text, one that holds some of the budget of that name and one in which all but the
// budget has it.
func reservationsOfBudget(t *test) {
	for _, text := range nasty() {
		value := budget.Value{usage.User: text}.Key()
		of := reservation("", text, func(r *budget.StoredReservation) {
			r.Holds = []budget.Hold{
				{CounterKey: counterKey(text, "", 0), Units: 1},
				{CounterKey: counterKey(text, "", 1), Units: 2},
			}
		})
		not := reservation(text, "not", func(r *budget.StoredReservation) {
			r.User, r.APIKey, r.Resource, r.Labels = text, text, text, map[string]string{text: text}
			r.Holds = []budget.Hold{
				{CounterKey: counterKey("not", text, 0), Units: 1},
				{CounterKey: counterKey("not", value, 0), Units: 1},
				{CounterKey: counterKey("not "+text+" not", "", 0), Units: 1},
			}
		})
		t.reserve(of, not)
	}
	for _, text := range nasty() {
		var got []string
		for _, r := range read(t, budget.ReadTx.Reservations, budget.ReservationQuery{Budget: text}) {
			got = append(got, r.ID)
		}
		equal(t, fmt.Sprintf("one holds some of %q, and is there once", text), []string{text}, got)
	}
	equal(t, "all others hold some of another", len(nasty()), len(read(t, budget.ReadTx.Reservations, budget.ReservationQuery{Budget: "not"})))
}

func reservationsOverdueQuery(t *test) {
	now := t.take(0).Now
	t.reserve(
		reservation("acme", "over", expires(now.Add(-time.Hour))),
		reservation("acme", "just", expires(now)),
		reservation("acme", "open", expires(now.Add(time.Hour))),
		reservation("acme", "released", expires(now.Add(-time.Hour)), state(budget.Released)),
	)
	equal(t, "those that are open and whose Expires the clock has reached", []string{"just", "over"},
		idsIn(byKey(read(t, budget.ReadTx.Reservations, budget.ReservationQuery{Overdue: true})...)))
}

func reservationsPaged(t *test) {
	var want []budget.StoredReservation
	for _, tenant := range []string{"", "B", "a", "ä"} {
		for i, id := range []string{"", "B", "a", "a ", "ä"} {
			want = append(want, reservation(tenant, "x"+id, state(budget.ReservationState(i%3))))
		}
	}
	t.reserve(shuffled(want)...)
	equal(t, "ascending order of tenant and id, by their bytes", want, t.reservations())
	for _, q := range []budget.ReservationQuery{
		{},
		{Tenant: new("B")},
		{Budget: "b", States: []budget.ReservationState{budget.Open, budget.Released}},
		{Keys: keysIn(shuffled(want))[:15]},
	} {
		walk(t, read(t, budget.ReadTx.Reservations, q), func(tx budget.ReadTx, ctx context.Context, after *budget.StoredReservation, limit int) ([]budget.StoredReservation, error) {
			q.After, q.Limit = nil, limit
			if after != nil {
				q.After = new(after.Key())
			}
			return tx.Reservations(ctx, q)
		})
	}
}
