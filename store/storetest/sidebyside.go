package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// sideBySide returns the tests for stores that take several Updates at a time.
func sideBySide() section[*test] {
	s := section[*test]{name: "SideBySide"}
	for _, step := range namedSteps() {
		s.rules = append(s.rules,
			rule[*test]{step.name + " of one does not wait for that of another", func(t *test) { runsBeside(t, step) }},
			rule[*test]{step.name + " takes its rows in ascending order whatever their order", func(t *test) { takesInOrder(t, step) }},
		)
	}
	s.rules = append(s.rules,
		rule[*test]{"Apply of new reservations of one does not wait for that of another", addsBeside},
		rule[*test]{"Apply of new reservations writes them in ascending order whatever their order", addsInOrder},
		rule[*test]{"what is added does not wait for those that are taken", addsBesideTaken},
		rule[*test]{"AddReservations of one that was settled since it was looked for is ErrConflict", addsAfterSettled},
		rule[*test]{"AddReservations of one that another is just settling waits and is ErrConflict", addsWhileSettled},
		rule[*test]{"Apply writes counters before sums of usage", countersFirst},
	)
	return s
}

// A namedStep is a step behind a shared fence that takes rows of these names.
type namedStep struct {
	name string
	take func(ctx context.Context, tx budget.Tx, names []string) error
}

func namedSteps() []namedStep {
	return []namedStep{
		{"ClaimKeys of new ones", func(ctx context.Context, tx budget.Tx, names []string) error {
			_, err := claimKeys(ctx, tx, claimsNamed("new", names)...)
			return err
		}},
		{"ClaimKeys", func(ctx context.Context, tx budget.Tx, names []string) error {
			_, err := claimKeys(ctx, tx, claimsNamed("stored", names)...)
			return err
		}},
		{"TakeReservations", func(ctx context.Context, tx budget.Tx, names []string) error {
			_, err := take(ctx, tx, 0, reservationsNamed("stored", names)...)
			return err
		}},
		{"TakeReservations that looks for overdue ones too", func(ctx context.Context, tx budget.Tx, names []string) error {
			_, err := take(ctx, tx, 10, reservationsNamed("stored", names)...)
			return err
		}},
		{"LockEvents", func(ctx context.Context, tx budget.Tx, names []string) error {
			var keys []budget.EventKey
			for _, name := range names {
				keys = append(keys, budget.EventKey{Tenant: "stored", ID: name})
			}
			_, err := lockEvents(ctx, tx, keys...)
			return err
		}},
		{"InsertEvents", func(ctx context.Context, tx budget.Tx, names []string) error {
			var events []budget.StoredEvent
			for _, name := range names {
				events = append(events, event("new", name))
			}
			_, err := insert(ctx, tx, events...)
			return err
		}},
		{"LockCounters of new ones", func(ctx context.Context, tx budget.Tx, names []string) error {
			_, err := lock(ctx, tx, keysNamed("new", names)...)
			return err
		}},
		{"LockCounters", func(ctx context.Context, tx budget.Tx, names []string) error {
			_, err := lock(ctx, tx, keysNamed("stored", names)...)
			return err
		}},
		{"Apply to counters", func(ctx context.Context, tx budget.Tx, names []string) error {
			return apply(ctx, tx, budget.Shared, budget.Writes{Counters: zeros(keysNamed("stored", names))})
		}},
		{"Apply to sums of usage", func(ctx context.Context, tx budget.Tx, names []string) error {
			return apply(ctx, tx, budget.Shared, budget.Writes{Usage: oneEach(names)})
		}},
	}
}

func claimsNamed(prefix string, names []string) []budget.KeyClaim {
	var claims []budget.KeyClaim
	for _, name := range names {
		claims = append(claims, keyClaim(prefix+name))
	}
	return claims
}

func reservationsNamed(tenant string, names []string) []budget.ReservationKey {
	var keys []budget.ReservationKey
	for _, name := range names {
		keys = append(keys, budget.ReservationKey{Tenant: tenant, ID: name})
	}
	return keys
}

func keysNamed(budgetID string, names []string) []budget.CounterKey {
	var keys []budget.CounterKey
	for _, name := range names {
		keys = append(keys, counterKey(budgetID, name, 0))
	}
	return keys
}

func zeros(keys []budget.CounterKey) []budget.Counter {
	var counters []budget.Counter
	for _, key := range keys {
		counters = append(counters, counter(key, budget.Tally{}))
	}
	return counters
}

func oneEach(names []string) []budget.UsageAdd {
	var adds []budget.UsageAdd
	for _, name := range names {
		adds = append(adds, used(usageKey(name, 0), usage.Totals{Requests: 1}))
	}
	return adds
}

// namesAround returns names that come before "M" and others that come after it, by their bytes.
func namesAround() (before, after []string) {
	for i := range 20 {
		before, after = append(before, fmt.Sprint("B", i)), append(after, fmt.Sprint("b", i))
	}
	return before, after
}

// storeNamed stores the rows that the steps take, but for those that are to be new.
func (t *test) storeNamed() {
	t.Helper()
	before, after := namesAround()
	names := append(append(before, "M"), after...)
	var events []budget.StoredEvent
	var reservations []budget.StoredReservation
	for _, name := range shuffled(names) {
		events, reservations = append(events, event("stored", name)), append(reservations, reservation("stored", name))
	}
	t.claimKeys(claimsNamed("stored", shuffled(names))...)
	t.reserve(reservations...)
	t.insert(events...)
	t.write(budget.Writes{Counters: zeros(keysNamed("stored", shuffled(names))), Usage: oneEach(shuffled(names))})
}

// runsBeside takes a step while another transaction that has taken it with other rows is open.
func runsBeside(t *test, step namedStep) {
	t.storeNamed()
	one := t.hold(func(tx budget.Tx) error { return step.take(t.Context(), tx, []string{"B1", "b1"}) })
	ends(t, "transactions that share the fence run side by side",
		t.start(func(tx budget.Tx) error { return step.take(t.Context(), tx, []string{"B2", "M", "b2"}) }))
	one.commit()
}

// takesInOrder lets a transaction that takes rows wait in their middle, and looks which it has taken by then.
func takesInOrder(t *test, step namedStep) {
	t.storeNamed()
	before, after := namesAround()
	middle := t.hold(func(tx budget.Tx) error { return step.take(t.Context(), tx, []string{"M"}) })
	all := t.start(func(tx budget.Tx) error {
		return step.take(t.Context(), tx, shuffled(append(append([]string{"M"}, after...), before...)))
	})
	waits(t, "a row that another transaction has taken is waited for", all)
	first := t.startUntilItWaits("rows are taken in ascending order: those before it are taken by then",
		func(tx budget.Tx) error { return step.take(t.Context(), tx, before) })
	ends(t, "rows are taken in ascending order: those behind it are not taken yet",
		t.start(func(tx budget.Tx) error { return step.take(t.Context(), tx, after) }))
	middle.commit()
	ends(t, "it waits only until the other transaction ends", all)
	err := result(t, "it waits only until the other transaction ends", first)
	fails(t, "it waits only until the other transaction ends", errRolledBack, err)
}

func addsBeside(t *test) {
	t.storeNamed()
	one := t.holdAdding(reservation("new", "B"))
	ends(t, "transactions that share the fence run side by side", t.startAdding(reservation("new", "A"), reservation("new", "C")))
	one.commit()
}

// addsInOrder is what takesInOrder is for other steps, but that a key which another has taken is a conflict.
func addsInOrder(t *test) {
	var before, after []budget.StoredReservation
	names, others := namesAround()
	for i, name := range names {
		before, after = append(before, reservation("new", name)), append(after, reservation("new", others[i]))
	}
	one := reservation("new", "M")
	middle := t.holdAdding(one)
	all := t.startAdding(shuffled(slices.Concat(after, before, []budget.StoredReservation{one}))...)
	waits(t, "one that another transaction is just adding is waited for", all)
	first := t.startUntilItWaits("rows are written in ascending order: those before it are written by then", t.adding(before))
	behind := t.holdAdding(after...) // rows are written in ascending order: those behind it are not written yet
	behind.rollBack()
	middle.rollBack()
	ends(t, "it waits only until the other transaction ends", all)
	err := result(t, "it waits only until the other transaction ends", first)
	fails(t, "one whose key a transaction has just taken makes Apply return ErrConflict", budget.ErrConflict, err)
}

// addsBesideTaken adds a reservation while another transaction has taken a key without one, all that is overdue and one
// more.
func addsBesideTaken(t *test) {
	over, named := reservation("acme", "over", expires(longAgo)), reservation("acme", "named")
	t.reserve(over, named)
	taking := t.hold(func(tx budget.Tx) error {
		_, err := take(t.Context(), tx, 10, named.Key(), budget.ReservationKey{Tenant: "acme", ID: "new"})
		return err
	})
	adding := t.startAdding(reservation("acme", "new"), reservation("acme", "p", expires(longAgo)))
	ends(t, "a reservation that is locked keeps no other one waiting", adding)
	taking.commit()
}

// addsAfterSettled looks for a reservation that is made and settled before it goes on.
func addsAfterSettled(t *test) {
	r := reservation("acme", "settled")
	err := t.store.Update(t.Context(), func(tx budget.Tx) error {
		if _, err := take(t.Context(), tx, 0, r.Key()); err != nil {
			return err
		}
		if _, err := tx.LockEvents(t.Context(), []budget.EventKey{r.Key()}); err != nil {
			return err
		}
		t.reserve(r)
		t.insert(event("acme", "settled"))
		t.settle(budget.Writes{DeleteReservations: []budget.ReservationKey{r.Key()}})
		_, err := tx.Apply(t.Context(), budget.Writes{AddReservations: []budget.StoredReservation{r}})
		return err
	})
	fails(t, "one whose key a transaction has just taken makes Apply return ErrConflict", budget.ErrConflict, err)
	equal(t, "nothing of the transaction stays", 0, len(t.reservations()))
}

// addsWhileSettled adds a reservation that was not there when it was looked for, and is settled meanwhile.
func addsWhileSettled(t *test) {
	r := reservation("acme", "settled")
	looked, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	adding := t.start(func(tx budget.Tx) error {
		if _, err := take(t.Context(), tx, 0, r.Key()); err != nil {
			return err
		}
		once.Do(func() { close(looked) })
		<-goOn
		_, err := tx.Apply(t.Context(), budget.Writes{AddReservations: []budget.StoredReservation{r}})
		return err
	})
	<-looked
	t.reserve(r)
	settling := t.hold(func(tx budget.Tx) error {
		if _, err := take(t.Context(), tx, 0, r.Key()); err != nil {
			return err
		}
		if _, err := tx.InsertEvents(t.Context(), []budget.StoredEvent{event("acme", "settled")}); err != nil {
			return err
		}
		_, err := tx.Apply(t.Context(), budget.Writes{DeleteReservations: []budget.ReservationKey{r.Key()}})
		return err
	})
	close(goOn)
	waits(t, "one that another transaction is settling is waited for", adding)
	settling.commit()
	fails(t, "it is ErrConflict, for the id is the event's", budget.ErrConflict, result(t, "it is waited for until that transaction ends", adding))
	equal(t, "nothing is held under the id of what is settled", 0, len(t.reservations()))
}

// countersFirst lets a transaction wait for a counter, and looks whether it has taken a sum by then.
func countersFirst(t *test) {
	t.storeNamed()
	write := func(counters, sums []string) func(tx budget.Tx) error {
		return func(tx budget.Tx) error {
			w := budget.Writes{Counters: zeros(keysNamed("stored", counters)), Usage: oneEach(sums)}
			return apply(t.Context(), tx, budget.Shared, w)
		}
	}
	counters := t.hold(write([]string{"M"}, nil))
	both := t.start(write([]string{"M"}, []string{"M"}))
	waits(t, "a counter that another transaction has taken is waited for", both)
	ends(t, "the parts are written in the order of the fields: sums of usage after counters", t.start(write(nil, []string{"M"})))
	counters.commit()
	ends(t, "it waits only until the other transaction ends", both)
}
