package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// concurrent returns the tests in which transactions meet, written so that a store which takes one Update at a time
// passes too.
func concurrent() []section[*test] {
	return []section[*test]{
		{"View", []rule[*test]{
			{"it is not blocked by an Update and sees nothing of it before the commit", viewBesideUpdate},
			{"it does not block an Update and stays one snapshot", updateWithinView},
			{"what it reads stood together at one moment", viewSnapshot},
			{"it returns the error of fn", viewError},
		}},
		{"Context", []rule[*test]{
			{"one that has ended lets nothing happen", contextEnded},
			{"one that ends within fn leaves nothing", contextEndsWithin},
			{"one that ends ends the waiting", contextEndsWaiting},
		}},
		{"Race", []rule[*test]{
			{"a transaction that lost is run again and counts once", lostRace},
			{"no update is lost", noLostUpdate},
			{"LockCounters of what does not exist admits no more than fit", admission},
			{"LockCounters keeps others waiting until the transaction ends", lockedCounters},
			{"Apply keeps others waiting until the transaction ends", appliedCounters},
			{"LockCounters in any order never wait for each other", lockCountersInAnyOrder},
			{"Apply in any order never waits for each other", applyInAnyOrder},
			{"LockEvents keeps others waiting until the transaction ends", lockedEvents},
			{"LockEvents in any order never wait for each other", lockEventsInAnyOrder},
			{"corrections never exceed their event", corrections},
			{"an event that another is just inserting is waited for and taken", insertBesideCommit},
			{"an event that another was just inserting is inserted if that rolls back", insertBesideRollback},
			{"each of the same events in any order is inserted once", insertInAnyOrder},
		}},
		reservationRace(),
		deliveryRace(),
		keyClaimRace(),
		{"Fence", []rule[*test]{
			{"an exclusive one waits until those that share have ended", exclusiveWaits},
			{"an exclusive one keeps later ones waiting until it ends itself", exclusiveKeepsWaiting},
			{"those that waited see what it changed", changedBehindFence},
			{"an exclusive one is alone", exclusiveAlone},
			{"an exclusive one is not starved by those that share", exclusiveNotStarved},
			{"the versions that the steps return are those of the definitions", versionBehindFence},
		}},
	}
}

func viewBesideUpdate(t *test) {
	t.put(definition("before"))
	before := t.contents()
	update := t.hold(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	var during contents
	viewed := make(chan error, 1)
	go func() {
		viewed <- t.store.View(t.Context(), func(tx budget.ReadTx) (err error) {
			during, err = contentsIn(t.Context(), tx)
			return err
		})
	}()
	ends(t, "a View is not blocked by an Update", viewed)
	equal(t, "all that fn reads was committed", before, during)
	update.commit()
	equal(t, "what is committed is seen", 2, len(t.contents().Definitions))
}

func updateWithinView(t *test) {
	t.put(definition("before"))
	var first, second contents
	t.view(func(tx budget.ReadTx) (err error) {
		if first, err = contentsIn(t.Context(), tx); err != nil {
			return err
		}
		ends(t, "a View never blocks an Update", t.start(func(tx budget.Tx) error { return fill(t.Context(), tx) }))
		second, err = contentsIn(t.Context(), tx)
		return err
	})
	equal(t, "all that fn reads stood together at one moment", first, second)
	equal(t, "the next View sees more", 2, len(t.contents().Definitions))
}

// viewSnapshot moves units between two counters and records as many events as were moved, while others look on.
func viewSnapshot(t *test) {
	from, to := counterKey("b", "from", 0), counterKey("b", "to", 0)
	move := func(ctx context.Context, id string) error {
		return t.store.Update(ctx, func(tx budget.Tx) error {
			if _, err := insert(ctx, tx, event("acme", id)); err != nil {
				return err
			}
			_, err := tx.Apply(ctx, budget.Writes{
				Counters: []budget.Counter{counter(from, budget.Tally{Recorded: -1}), counter(to, budget.Tally{Recorded: 1})},
				Usage:    []budget.UsageAdd{used(usageKey("acme", 0), usage.Totals{Requests: 1})},
			})
			return err
		})
	}
	look := func(ctx context.Context) error {
		return t.store.View(ctx, func(tx budget.ReadTx) error { return balanced(ctx, tx, from, to) })
	}
	t.together(4, 50, func(ctx context.Context, worker, turn int) error {
		if worker < 2 {
			return move(ctx, fmt.Sprint(worker, turn))
		}
		return look(ctx)
	})
}

func balanced(ctx context.Context, tx budget.ReadTx, from, to budget.CounterKey) error {
	var moved [4]int64
	for i, key := range []budget.CounterKey{from, to} {
		counters, err := tx.Counters(ctx, budget.CounterQuery{Keys: []budget.CounterKey{key}})
		if err != nil {
			return err
		}
		for _, c := range counters {
			moved[i] = max(c.Recorded, -c.Recorded)
		}
	}
	rows, err := tx.Usage(ctx, budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15)}})
	if err != nil {
		return err
	}
	for _, row := range rows {
		moved[2] = row.Requests
	}
	events, err := tx.Events(ctx, budget.EventQuery{Span: always})
	moved[3] = int64(len(events))
	if err == nil && (moved[0] != moved[1] || moved[1] != moved[2] || moved[2] != moved[3]) {
		return fmt.Errorf("not so: all that fn reads stood together at one moment: from, to, usage and events say %v", moved)
	}
	return err
}

func viewError(t *test) {
	refusal := errors.New("refused")
	fails(t, "View returns fn's error", refusal, t.store.View(t.Context(), func(budget.ReadTx) error { return refusal }))
}

func contextEnded(t *test) {
	before := t.contents()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := t.store.Update(ctx, func(tx budget.Tx) error { return fill(ctx, tx) })
	fails(t, "an Update ends with its context", context.Canceled, err)
	err = t.store.View(ctx, func(tx budget.ReadTx) error {
		_, err := contentsIn(ctx, tx)
		return err
	})
	fails(t, "a View ends with its context", context.Canceled, err)
	nothingStays(t, before)
}

func contextEndsWithin(t *test) {
	before := t.contents()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := t.store.Update(ctx, func(tx budget.Tx) error {
		if err := fill(ctx, tx); err != nil {
			return err
		}
		cancel()
		_, err := tx.Apply(ctx, budget.Writes{Audit: []budget.AuditEntry{entry("2")}})
		return err
	})
	fails(t, "a step ends with its context", context.Canceled, err)
	nothingStays(t, before)
}

func contextEndsWaiting(t *test) {
	fence := t.hold(func(tx budget.Tx) error { return tx.Fence(t.Context(), budget.Exclusive) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- t.store.Update(ctx, func(tx budget.Tx) error { return tx.Fence(ctx, budget.Shared) })
	}()
	waits(t, "an exclusive fence keeps others waiting", done)
	cancel()
	fails(t, "waiting ends with the context", context.Canceled, result(t, "waiting ends with the context", done))
	fence.commit()
}

func lostRace(t *test) {
	keys := []budget.CounterKey{counterKey("b", "0", 0), counterKey("b", "1", 0)}
	meet := newMeeting()
	t.together(2, 1, func(ctx context.Context, worker, _ int) error {
		return t.store.Update(ctx, func(tx budget.Tx) error {
			if _, err := lock(ctx, tx, keys[worker]); err != nil {
				return err
			}
			meet.attend(worker)
			if _, err := tx.LockCounters(ctx, []budget.CounterKey{keys[1-worker]}); err != nil {
				return err
			}
			_, err := tx.Apply(ctx, budget.Writes{Counters: []budget.Counter{
				counter(keys[0], budget.Tally{Recorded: 1}), counter(keys[1], budget.Tally{Recorded: 1}),
			}})
			return err
		})
	})
	two := budget.Tally{Recorded: int64(2 * turns(1))}
	equal(t, "a transaction that lost a race is run again, and counts once",
		[]budget.Counter{counter(keys[0], two), counter(keys[1], two)}, t.contents().Counters)
}

func noLostUpdate(t *test) {
	key := counterKey("b", "", 0)
	t.together(8, 25, func(ctx context.Context, _, _ int) error {
		return t.store.Update(ctx, func(tx budget.Tx) error {
			locked, err := lock(ctx, tx, key)
			if err != nil {
				return err
			}
			after, err := tx.Apply(ctx, budget.Writes{Counters: []budget.Counter{counter(key, budget.Tally{Recorded: 1})}})
			if err == nil && after[key].Recorded != locked[key].Recorded+1 {
				err = fmt.Errorf("not so: a counter is locked until the transaction ends: %d and 1 are %d", locked[key].Recorded, after[key].Recorded)
			}
			return err
		})
	})
	equal(t, "no update is lost", int64(8*turns(25)), t.contents().Counters[0].Recorded)
}

// admission lets many ask at the same moment for room on counters that do not exist yet.
func admission(t *test) {
	const room = 10
	var admitted atomic.Int64
	t.together(8, 5, func(ctx context.Context, worker, turn int) error {
		ok := false
		err := t.store.Update(ctx, func(tx budget.Tx) error {
			keys := []budget.CounterKey{counterKey("b", "", turn), counterKey("a", "", turn)}
			locked, err := lock(ctx, tx, keys...)
			if err != nil {
				return err
			}
			if ok = locked[keys[0]].Reserved+5 <= room && locked[keys[1]].Reserved+5 <= room; !ok {
				return nil
			}
			hold := budget.Tally{Reserved: 5}
			_, err = tx.Apply(ctx, budget.Writes{Counters: []budget.Counter{counter(keys[0], hold), counter(keys[1], hold)}})
			return err
		})
		if ok && err == nil {
			admitted.Add(1)
		}
		return err
	})
	for _, c := range t.contents().Counters {
		equal(t, "all that fits is admitted and no more", int64(room), c.Reserved)
	}
	equal(t, "all that fits is admitted and no more", int64(2*turns(5)), admitted.Load())
}

func lockedCounters(t *test) {
	key := counterKey("b", "", 0)
	for _, c := range []struct {
		end  func(*held)
		want int64
	}{{(*held).rollBack, 0}, {(*held).commit, 5}} {
		first := t.hold(func(tx budget.Tx) error {
			if _, err := lock(t.Context(), tx, key); err != nil {
				return err
			}
			_, err := tx.Apply(t.Context(), budget.Writes{Counters: []budget.Counter{counter(key, budget.Tally{Recorded: 5})}})
			return err
		})
		var locked map[budget.CounterKey]budget.Counter
		second := t.start(func(tx budget.Tx) (err error) {
			locked, err = lock(t.Context(), tx, key)
			return err
		})
		waits(t, "a counter is locked until the transaction ends", second)
		c.end(first)
		ends(t, "a counter is free once the transaction has ended", second)
		equal(t, "the next one sees what became of it", c.want, locked[key].Recorded)
		t.define(budget.Writes{DropCounters: []string{"b"}})
	}
}

func appliedCounters(t *test) {
	key := counterKey("b", "", 0)
	add := func(ctx context.Context, tx budget.Tx) (map[budget.CounterKey]budget.Counter, error) {
		if err := tx.Fence(ctx, budget.Shared); err != nil {
			return nil, err
		}
		return tx.Apply(ctx, budget.Writes{Counters: []budget.Counter{counter(key, budget.Tally{Recorded: 5})}})
	}
	for _, c := range []struct {
		end  func(*held)
		want int64
	}{{(*held).rollBack, 5}, {(*held).commit, 15}} {
		first := t.hold(func(tx budget.Tx) error {
			_, err := add(t.Context(), tx)
			return err
		})
		var after map[budget.CounterKey]budget.Counter
		second := t.start(func(tx budget.Tx) (err error) {
			after, err = add(t.Context(), tx)
			return err
		})
		waits(t, "a counter that is added to is kept until the transaction ends", second)
		c.end(first)
		ends(t, "a counter is free once the transaction has ended", second)
		equal(t, "Apply returns the counter as it is after it", c.want, after[key].Recorded)
	}
}

func lockCountersInAnyOrder(t *test) {
	t.together(4, 100, func(ctx context.Context, worker, turn int) error {
		var keys []budget.CounterKey
		for _, id := range ids(12) {
			keys = append(keys, counterKey(id, "", turn/10)) // new ones now and then, so that creating them is tested too
		}
		return t.store.Update(ctx, func(tx budget.Tx) error {
			locked, err := lock(ctx, tx, shuffled(keys)...)
			if err == nil && len(locked) != len(keys) {
				err = fmt.Errorf("locked %d counters of %d", len(locked), len(keys))
			}
			return err
		})
	})
}

func applyInAnyOrder(t *test) {
	t.together(4, 100, func(ctx context.Context, worker, turn int) error {
		var w budget.Writes
		for _, id := range ids(12) {
			w.Counters = append(w.Counters, counter(counterKey(id, "", turn/10), budget.Tally{Recorded: 1}))
			w.Usage = append(w.Usage, used(usageKey(id, turn/10), usage.Totals{Requests: 1}))
		}
		return t.store.Update(ctx, func(tx budget.Tx) error {
			w.Counters, w.Usage = shuffled(w.Counters), shuffled(w.Usage)
			return apply(ctx, tx, budget.Shared, w)
		})
	})
	var recorded, requests int64
	for _, c := range t.contents().Counters {
		recorded += c.Recorded
	}
	for _, row := range t.contents().Usage[usage.QuarterHours] {
		requests += row.Requests
	}
	want := int64(4 * turns(100) * 12)
	equal(t, "nothing that was added to counters is lost", want, recorded)
	equal(t, "nothing that was added to sums of usage is lost", want, requests)
}

func lockedEvents(t *test) {
	e := event("acme", "1")
	t.insert(e)
	first := t.hold(func(tx budget.Tx) error {
		if _, err := lockEvents(t.Context(), tx, e.Key()); err != nil {
			return err
		}
		_, err := tx.InsertEvents(t.Context(), []budget.StoredEvent{correctionOf(e, "2")})
		return err
	})
	var locked map[budget.EventKey]budget.LockedEvent
	second := t.start(func(tx budget.Tx) (err error) {
		locked, err = lockEvents(t.Context(), tx, e.Key())
		return err
	})
	waits(t, "an event is locked until the transaction ends", second)
	first.commit()
	ends(t, "an event is free once the transaction has ended", second)
	equal(t, "the next one sees what was corrected", budget.LockedEvent{StoredEvent: e, Corrected: usage.Totals{Requests: 1}}, locked[e.Key()])
}

func correctionOf(e budget.StoredEvent, id string) budget.StoredEvent {
	return event(e.Tenant, id, func(c *budget.StoredEvent) { c.Corrects, c.Totals = e.ID, usage.Totals{Requests: -1} })
}

func lockEventsInAnyOrder(t *test) {
	var events []budget.StoredEvent
	var keys []budget.EventKey
	for _, id := range ids(12) {
		events = append(events, event(id[:4], id))
		keys = append(keys, events[len(events)-1].Key())
	}
	t.insert(events...)
	t.together(4, 100, func(ctx context.Context, _, _ int) error {
		return t.store.Update(ctx, func(tx budget.Tx) error {
			_, err := lockEvents(ctx, tx, shuffled(keys)...)
			return err
		})
	})
}

func corrections(t *test) {
	e := event("acme", "1", func(e *budget.StoredEvent) { e.Totals = usage.Totals{Requests: 10} })
	t.insert(e)
	t.together(8, 5, func(ctx context.Context, worker, turn int) error {
		return t.store.Update(ctx, func(tx budget.Tx) error {
			locked, err := lockEvents(ctx, tx, e.Key())
			if err != nil || locked[e.Key()].Corrected.Requests >= 10 {
				return err
			}
			_, err = tx.InsertEvents(ctx, []budget.StoredEvent{correctionOf(e, fmt.Sprint("correction ", worker, turn))})
			return err
		})
	})
	equal(t, "an event is locked with the sum of its corrections", 1+min(10, 8*turns(5)), len(t.events()))
}

func insertBesideCommit(t *test) {
	stands := event("acme", "1")
	first := t.hold(func(tx budget.Tx) error {
		_, err := insert(t.Context(), tx, stands)
		return err
	})
	inserted, second := t.insertSame()
	waits(t, "an event that another transaction is just inserting is waited for", second)
	first.commit()
	ends(t, "it is waited for until the transaction ends", second)
	equal(t, "what stands is returned", map[budget.EventKey]budget.StoredEvent{stands.Key(): stands}, inserted.Taken)
	equal(t, "the first one stays and others are inserted", []budget.StoredEvent{stands, event("acme", "2")}, t.events())
}

func insertBesideRollback(t *test) {
	first := t.hold(func(tx budget.Tx) error {
		_, err := insert(t.Context(), tx, event("acme", "1"))
		return err
	})
	inserted, second := t.insertSame()
	waits(t, "an event that another transaction is just inserting is waited for", second)
	first.rollBack()
	ends(t, "it is waited for until the transaction ends", second)
	equal(t, "an id that is not taken after all is inserted", 0, len(inserted.Taken))
	equal(t, "an id that is not taken after all is inserted", usage.Hash{9}, t.events()[0].Hash)
}

// insertSame starts to insert an event with the same key as another transaction's, but other content, and one more.
func (t *test) insertSame() (*budget.Inserted, <-chan error) {
	same := event("acme", "1", func(e *budget.StoredEvent) { e.Hash = usage.Hash{9} })
	inserted := new(budget.Inserted)
	return inserted, t.start(func(tx budget.Tx) (err error) {
		*inserted, err = insert(t.Context(), tx, event("acme", "2"), same)
		return err
	})
}

func insertInAnyOrder(t *test) {
	var inserted atomic.Int64
	t.together(4, 25, func(ctx context.Context, worker, turn int) error {
		var events []budget.StoredEvent
		for _, id := range ids(20) {
			events = append(events, event(fmt.Sprint(turn), id, func(e *budget.StoredEvent) { e.Hash = usage.Hash{1, byte(worker)} }))
		}
		var fresh int
		err := t.store.Update(ctx, func(tx budget.Tx) error {
			found, err := insert(ctx, tx, shuffled(events)...)
			fresh = len(events) - len(found.Taken)
			return err
		})
		inserted.Add(int64(fresh))
		return err
	})
	equal(t, "each event is inserted by one and taken for the others", int64(20*turns(25)), inserted.Load())
	equal(t, "each event is stored once", 20*turns(25), len(t.events()))
}

func exclusiveWaits(t *test) {
	sharer := t.hold(func(tx budget.Tx) error {
		_, err := insert(t.Context(), tx, event("acme", "1"))
		return err
	})
	var seen []budget.StoredEvent
	exclusive := t.start(func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Exclusive); err != nil {
			return err
		}
		var err error
		seen, err = tx.Events(t.Context(), budget.EventQuery{Span: always})
		return err
	})
	waits(t, "an exclusive fence waits until those that share have ended", exclusive)
	sharer.commit()
	ends(t, "an exclusive fence waits only until those that share have ended", exclusive)
	equal(t, "it sees what they wrote", []budget.StoredEvent{event("acme", "1")}, seen)
}

func exclusiveKeepsWaiting(t *test) {
	exclusive := t.hold(func(tx budget.Tx) error { return tx.Fence(t.Context(), budget.Exclusive) })
	var later []<-chan error
	for _, mode := range []budget.FenceMode{budget.Shared, budget.Exclusive} {
		later = append(later, t.start(func(tx budget.Tx) error { return tx.Fence(t.Context(), mode) }))
	}
	waits(t, "an exclusive fence keeps those that share waiting", later[0])
	waits(t, "an exclusive fence keeps other exclusive ones waiting", later[1])
	exclusive.commit()
	ends(t, "it keeps them waiting only until it ends", later[0])
	ends(t, "it keeps them waiting only until it ends", later[1])
}

func changedBehindFence(t *test) {
	c := t.catalog()
	c.Version += 7
	exclusive := t.hold(func(tx budget.Tx) error {
		return apply(t.Context(), tx, budget.Exclusive, budget.Writes{Catalog: &c, PutBudgets: []budget.Definition{definition("a")}})
	})
	var taken budget.Taken
	var inserted budget.Inserted
	var found map[budget.ScopeKey][]budget.Definition
	later := t.start(func(tx budget.Tx) (err error) {
		if taken, err = take(t.Context(), tx, 10); err != nil {
			return err
		}
		if inserted, err = tx.InsertEvents(t.Context(), []budget.StoredEvent{event("acme", "1")}); err != nil {
			return err
		}
		found, err = tx.Definitions(t.Context(), []budget.ScopeKey{{}})
		return err
	})
	waits(t, "an exclusive fence keeps those that share waiting", later)
	exclusive.commit()
	ends(t, "it keeps them waiting only until it ends", later)
	equal(t, "the version is that of the catalog as the fence protects it: TakeReservations", c.Version, taken.Version)
	equal(t, "the version is that of the catalog as the fence protects it: InsertEvents", c.Version, inserted.Version)
	equal(t, "and so are the definitions", map[budget.ScopeKey][]budget.Definition{{}: {definition("a")}}, found)
}

func exclusiveAlone(t *test) {
	var inside atomic.Int64 // the exclusive one counts as a thousand
	t.together(6, 20, func(ctx context.Context, worker, turn int) error {
		mode, weight := budget.Shared, int64(1)
		if worker == 0 {
			mode, weight = budget.Exclusive, 1000
		}
		return t.store.Update(ctx, func(tx budget.Tx) error {
			if err := tx.Fence(ctx, mode); err != nil {
				return err
			}
			n := inside.Add(weight)
			defer inside.Add(-weight)
			if n > 1000 {
				return fmt.Errorf("not so: an exclusive fence keeps all others out: %d are inside with it", n-1000)
			}
			_, err := tx.Apply(ctx, budget.Writes{Audit: []budget.AuditEntry{entry(fmt.Sprint(worker, turn))}})
			return err
		})
	})
}

// exclusiveNotStarved runs a relay of sharers, each of which stays until the next has come, so that there is always one
// of them unless the fence holds them up.
func exclusiveNotStarved(t *test) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	relay := relay{next: make(chan struct{}), legs: make(chan struct{})}
	done := make(chan error, 3)
	for range cap(done) {
		go func() { done <- relay.run(ctx, t) }()
	}
	for range 5 {
		select {
		case <-relay.legs:
		case err := <-done:
			t.Fatalf("Update: %v", err)
		}
		exclusive := t.start(func(tx budget.Tx) error { return tx.Fence(t.Context(), budget.Exclusive) })
		ends(t, "an exclusive fence is not starved by those that share", exclusive)
	}
	stop()
	for range cap(done) {
		ends(t, "those that share go on", done)
	}
}

type relay struct {
	next   chan struct{}
	legs   chan struct{} // gets one for a leg if somebody is waiting for it
	missed atomic.Int64  // how often in a row nobody came: a store that takes one Update at a time lets nobody come
}

// run shares the fence again and again until ctx ends.
func (r *relay) run(ctx context.Context, t *test) error {
	for ctx.Err() == nil {
		err := t.store.Update(t.Context(), func(tx budget.Tx) error {
			if err := tx.Fence(t.Context(), budget.Shared); err != nil {
				return err
			}
			offer(r.legs)
			r.pass(ctx)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pass lets the one before leave and waits for the next one to come, if there is reason to hope.
func (r *relay) pass(ctx context.Context) {
	offer(r.next)
	if r.missed.Load() > 10 {
		return
	}
	select {
	case <-r.next:
		r.missed.Store(0)
	case <-ctx.Done():
	case <-time.After(moment / 5):
		r.missed.Add(1)
	}
}

func offer(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func versionBehindFence(t *test) {
	start := t.catalog()
	t.together(4, 25, func(ctx context.Context, worker, turn int) error {
		if worker == 0 {
			return t.store.Update(ctx, func(tx budget.Tx) error { return nextVersion(ctx, tx) })
		}
		return t.store.Update(ctx, func(tx budget.Tx) error {
			version, err := versionOf(ctx, tx, worker, turn)
			if err != nil {
				return err
			}
			found, err := tx.Definitions(ctx, []budget.ScopeKey{{}})
			if err != nil {
				return err
			}
			if changes := version - start.Version; changes != int64(len(found[budget.ScopeKey{}])) {
				return fmt.Errorf("not so: the version is that of the definitions: %d changes, %d definitions", changes, len(found[budget.ScopeKey{}]))
			}
			return nil
		})
	})
}

// versionOf returns the version by a step that is the first behind the fence.
func versionOf(ctx context.Context, tx budget.Tx, worker, turn int) (int64, error) {
	if worker%2 == 0 {
		taken, err := take(ctx, tx, 1)
		return taken.Version, err
	}
	inserted, err := insert(ctx, tx, event("acme", fmt.Sprint(worker, turn)))
	return inserted.Version, err
}

// nextVersion makes a definition and counts it in the catalog's version.
func nextVersion(ctx context.Context, tx budget.Tx) error {
	if err := tx.Fence(ctx, budget.Exclusive); err != nil {
		return err
	}
	c, err := tx.Catalog(ctx)
	if err != nil {
		return err
	}
	c.Version++
	_, err = tx.Apply(ctx, budget.Writes{Catalog: &c, PutBudgets: []budget.Definition{definition(fmt.Sprint(c.Version))}})
	return err
}
