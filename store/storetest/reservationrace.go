package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// reservationRace returns the tests in which transactions meet over reservations.
func reservationRace() section[*test] {
	return section[*test]{"ReservationRace", []rule[*test]{
		{"one that another has locked is waited for and returned as that one left it", takenAsLeft},
		{"TakeReservations in any order never wait for each other", takeInAnyOrder},
		{"one that is overdue expires once however many sweep", sweptOnce},
		{"one is settled or released or extended or expires", oneFate},
		{"AddReservations of one that another is just adding waits and is ErrConflict", addBesideCommit},
		{"AddReservations of one that another was just adding adds it if that rolls back", addBesideRollback},
		{"of two that found a key free one adds and the other is ErrConflict", addBoth},
		{"each of the same reservations in any order is added once", addInAnyOrder},
	}}
}

// takenAsLeft lets one transaction write what others wait for: one that names it, and one that takes what is overdue.
func takenAsLeft(t *test) {
	over := reservation("acme", "1", expires(longAgo))
	expired, extended := over, over
	expired.State, extended.Expires = budget.Expired, farAhead
	for _, c := range []struct {
		rule    string
		writes  budget.Writes
		end     func(*held)
		left    keyed
		overdue bool
	}{
		{"expired", budget.Writes{PutReservations: []budget.StoredReservation{expired}}, (*held).commit, byKey(expired), false},
		{"extended", budget.Writes{PutReservations: []budget.StoredReservation{extended}}, (*held).commit, byKey(extended), false},
		{"deleted", budget.Writes{DeleteReservations: []budget.ReservationKey{over.Key()}}, (*held).commit, nil, false},
		{"not changed", budget.Writes{}, (*held).commit, byKey(over), true},
		{"not changed after all", budget.Writes{PutReservations: []budget.StoredReservation{expired}}, (*held).rollBack, byKey(over), true},
	} {
		t.reserve(over)
		first := t.hold(func(tx budget.Tx) error {
			if _, err := take(t.Context(), tx, 0, over.Key()); err != nil {
				return err
			}
			_, err := tx.Apply(t.Context(), c.writes)
			return err
		})
		named, naming := t.startTaking(0, over.Key())
		swept, sweeping := t.startTaking(10)
		waits(t, "one that another transaction has locked is waited for", naming)
		waits(t, "one that is overdue and that another transaction has locked is waited for", sweeping)
		c.end(first)
		ends(t, "it is waited for until that transaction ends", naming)
		ends(t, "it is waited for until that transaction ends", sweeping)
		equal(t, "it is returned as that one left it: "+c.rule, c.left, keyed(named.Reservations))
		if c.overdue || len(swept.Reservations) > 0 { // what is no longer overdue need not be there
			equal(t, "it is returned as that one left it, overdue: "+c.rule, c.left, keyed(swept.Reservations))
		}
		t.settle(budget.Writes{DeleteReservations: []budget.ReservationKey{over.Key()}})
	}
}

// startTaking starts to take reservations in a transaction of its own.
func (t *test) startTaking(overdue int, keys ...budget.ReservationKey) (*budget.Taken, <-chan error) {
	taken := new(budget.Taken)
	return taken, t.start(func(tx budget.Tx) (err error) {
		*taken, err = take(t.Context(), tx, overdue, keys...)
		return err
	})
}

// takeInAnyOrder takes some by their keys and others because they are overdue, whose time was over in the opposite order
// of their keys.
func takeInAnyOrder(t *test) {
	var all []budget.StoredReservation
	for i, id := range ids(12) {
		r := reservation(id[:4], id)
		if i%2 == 0 {
			r.Expires = longAgo.Add(-time.Duration(i) * time.Hour)
		}
		all = append(all, r)
	}
	t.reserve(all...)
	t.together(4, 100, func(ctx context.Context, _, _ int) error {
		keys := keysIn(shuffled(all))[:6]
		return t.store.Update(ctx, func(tx budget.Tx) error {
			taken, err := take(ctx, tx, rand.IntN(7), keys...)
			for _, key := range keys {
				if _, found := taken.Reservations[key]; !found && err == nil {
					err = fmt.Errorf("not so: the reservations with these keys are returned: %v is not", key)
				}
			}
			return err
		})
	})
}

// A fate is what a transaction makes of reservations that it found overdue, and what it counts for n of them.
type fate struct {
	write func(r budget.StoredReservation, w *budget.Writes)
	count func(n int64) budget.Tally
}

func putting(change func(*budget.StoredReservation)) func(budget.StoredReservation, *budget.Writes) {
	return func(r budget.StoredReservation, w *budget.Writes) {
		change(&r)
		w.PutReservations = append(w.PutReservations, r)
	}
}

func deleting(r budget.StoredReservation, w *budget.Writes) {
	w.DeleteReservations = append(w.DeleteReservations, r.Key())
}

var (
	toExpire  = fate{putting(state(budget.Expired)), func(n int64) budget.Tally { return budget.Tally{Reserved: -n, Expired: n} }}
	toRelease = fate{putting(state(budget.Released)), func(n int64) budget.Tally { return budget.Tally{Reserved: -n, Denied: n} }}
	toSettle  = fate{deleting, func(n int64) budget.Tally { return budget.Tally{Reserved: -n, Recorded: n} }}
	toExtend  = fate{putting(expires(farAhead)), func(n int64) budget.Tally { return budget.Tally{Wanted: n} }}
)

// bring takes reservations, and brings this fate on those that are overdue. It returns how many that were.
func (t *test) bring(ctx context.Context, f fate, overdue int, keys ...budget.ReservationKey) (n int64, err error) {
	err = t.store.Update(ctx, func(tx budget.Tx) error {
		taken, err := take(ctx, tx, overdue, keys...)
		if err != nil {
			return err
		}
		n = 0 // fn may run again
		var w budget.Writes
		for _, r := range taken.Reservations {
			if r.State == budget.Open && !r.Expires.After(taken.Now) {
				f.write(r, &w)
				n++
			}
		}
		w.Counters = []budget.Counter{counter(counterKey("b", "", 0), f.count(n))}
		_, err = tx.Apply(ctx, w)
		return err
	})
	return n, err
}

// reserveOverdue adds n reservations that are overdue, each of which holds 1 of a counter.
func (t *test) reserveOverdue(n int) []budget.ReservationKey {
	t.Helper()
	var w budget.Writes
	for i := range n {
		r := reservation("acme", fmt.Sprintf("%05d", i), expires(longAgo.Add(-time.Duration(i%7)*time.Hour)))
		w.AddReservations = append(w.AddReservations, r)
	}
	w.Counters = []budget.Counter{counter(counterKey("b", "", 0), budget.Tally{Reserved: int64(n)})}
	t.write(w)
	return keysIn(w.AddReservations)
}

// sweep lets all expire that are overdue, of so many, and returns what is counted then.
func (t *test) sweep(n int) budget.Tally {
	t.Helper()
	for range n + 1 {
		expired, err := t.bring(t.Context(), toExpire, 100)
		if err != nil {
			t.Fatalf("Update: %v", err)
		}
		if expired == 0 {
			return t.contents().Counters[0].Tally
		}
	}
	t.Fatalf("not so: one that has expired is not overdue: there are more than the %d that were added", n)
	return budget.Tally{}
}

// inState counts the reservations in a state.
func (t *test) inState(s budget.ReservationState) int64 {
	t.Helper()
	return int64(len(read(t, budget.ReadTx.Reservations, budget.ReservationQuery{States: []budget.ReservationState{s}})))
}

func sweptOnce(t *test) {
	n := 12 * turns(25)
	t.reserveOverdue(n)
	t.together(4, 25, func(ctx context.Context, _, _ int) error {
		_, err := t.bring(ctx, toExpire, 5)
		return err
	})
	equal(t, "each one expires once, and what it held is given back once", budget.Tally{Expired: int64(n)}, t.sweep(n))
	equal(t, "each one has expired", int64(n), t.inState(budget.Expired))
}

func oneFate(t *test) {
	n := 6 * turns(25)
	keys := t.reserveOverdue(n)
	t.together(6, 25, func(ctx context.Context, worker, turn int) (err error) {
		some := shuffled(keys[6*turn : 6*turn+6])[:3]
		switch worker {
		case 0:
			_, err = t.bring(ctx, toSettle, 0, some...)
		case 1:
			_, err = t.bring(ctx, toRelease, 0, some...)
		case 2:
			_, err = t.bring(ctx, toExtend, 0, some...)
		default:
			_, err = t.bring(ctx, toExpire, 2)
		}
		return err
	})
	counted := t.sweep(n)
	equal(t, "those that were settled are gone", int64(n)-counted.Recorded, int64(len(t.reservations())))
	equal(t, "those that were released are", counted.Denied, t.inState(budget.Released))
	equal(t, "those that expired are", counted.Expired, t.inState(budget.Expired))
	equal(t, "those that were extended are open", counted.Wanted, t.inState(budget.Open))
	equal(t, "what others held is given back once", counted.Wanted, counted.Reserved)
}

// startAdding starts to add reservations in a transaction of its own.
func (t *test) startAdding(reservations ...budget.StoredReservation) <-chan error {
	return t.start(t.adding(reservations))
}

// holdAdding adds reservations in a transaction that stays open.
func (t *test) holdAdding(reservations ...budget.StoredReservation) *held {
	t.Helper()
	return t.hold(t.adding(reservations))
}

func (t *test) adding(reservations []budget.StoredReservation) func(tx budget.Tx) error {
	return func(tx budget.Tx) error {
		return apply(t.Context(), tx, budget.Shared, budget.Writes{AddReservations: reservations})
	}
}

func addBesideCommit(t *test) {
	stands := reservation("acme", "2")
	first := t.holdAdding(stands)
	second := t.startAdding(reservation("acme", "3"), fullReservation("acme", "2"), reservation("acme", "1"))
	waits(t, "one that another transaction is just adding is waited for", second)
	first.commit()
	err := result(t, "it is waited for until the transaction ends", second)
	fails(t, "one whose key a transaction has just taken makes Apply return ErrConflict", budget.ErrConflict, err)
	equal(t, "the first one stays, and nothing of the second", []budget.StoredReservation{stands}, t.reservations())
}

func addBesideRollback(t *test) {
	first := t.holdAdding(reservation("acme", "2"))
	want := []budget.StoredReservation{reservation("acme", "1"), fullReservation("acme", "2")}
	second := t.startAdding(want...)
	waits(t, "one that another transaction is just adding is waited for", second)
	first.rollBack()
	ends(t, "it is waited for until the transaction ends", second)
	equal(t, "a key that is not taken after all is free", want, t.reservations())
}

func addBoth(t *test) {
	meet := newMeeting()
	var conflicts atomic.Int64
	t.together(2, 1, func(ctx context.Context, worker, turn int) error {
		r := reservation("acme", fmt.Sprint(turn), func(r *budget.StoredReservation) { r.Hash = usage.Hash{1, byte(worker)} })
		err := t.store.Update(ctx, func(tx budget.Tx) error {
			if _, err := take(ctx, tx, 10, r.Key()); err != nil {
				return err
			}
			meet.attend(worker)
			_, err := tx.Apply(ctx, budget.Writes{AddReservations: []budget.StoredReservation{r}})
			return err
		})
		if errors.Is(err, budget.ErrConflict) {
			conflicts.Add(1)
			err = nil
		}
		return err
	})
	equal(t, "one of the two is ErrConflict", int64(turns(1)), conflicts.Load())
	equal(t, "the other adds it", turns(1), len(t.reservations()))
}

func addInAnyOrder(t *test) {
	var added atomic.Int64
	t.together(4, 25, func(ctx context.Context, worker, turn int) error {
		var w budget.Writes
		for _, id := range ids(20) {
			r := reservation(fmt.Sprint(turn), id, func(r *budget.StoredReservation) { r.Hash = usage.Hash{1, byte(worker)} })
			w.AddReservations = append(w.AddReservations, r)
		}
		w.AddReservations = shuffled(w.AddReservations)
		err := t.store.Update(ctx, func(tx budget.Tx) error { return apply(ctx, tx, budget.Shared, w) })
		switch {
		case err == nil:
			added.Add(1)
		case errors.Is(err, budget.ErrConflict):
			err = nil
		}
		return err
	})
	equal(t, "the same are added by one and taken for the others", int64(turns(25)), added.Load())
	equal(t, "each is stored once", 20*turns(25), len(t.reservations()))
}
