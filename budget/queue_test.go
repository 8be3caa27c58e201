package budget_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// A gate is a store whose transactions wait until they are let through. It keeps what each of them brought.
type gate struct {
	budget.Store
	pass   chan struct{} // one value lets one transaction through; closed, it is open
	before func(ctx context.Context, ids []string) error

	mu      sync.Mutex
	flushes [][]string // the ids of the events of each transaction, in order
}

func (g *gate) Update(ctx context.Context, fn func(budget.Tx) error) error {
	select {
	case <-g.pass:
	case <-ctx.Done():
		return ctx.Err()
	}
	return g.Store.Update(ctx, func(tx budget.Tx) error { return fn(&gateTx{tx, g}) })
}

func (g *gate) let(transactions int) {
	for range transactions {
		g.pass <- struct{}{}
		synctest.Wait()
	}
}

func (g *gate) open() { close(g.pass); synctest.Wait() }

func (g *gate) seen() [][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.flushes)
}

type gateTx struct {
	budget.Tx
	gate *gate
}

func (tx *gateTx) InsertEvents(ctx context.Context, events []budget.StoredEvent) (budget.Inserted, error) {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	tx.gate.mu.Lock()
	tx.gate.flushes = append(tx.gate.flushes, ids)
	tx.gate.mu.Unlock()
	if tx.gate.before != nil {
		if err := tx.gate.before(ctx, ids); err != nil {
			return budget.Inserted{}, err
		}
	}
	return tx.Tx.InsertEvents(ctx, events)
}

// A crowd is callers of one ledger behind a gate. It lives in a bubble: when everybody waits, that is known.
type crowd struct {
	*fixture
	gate  *gate
	calls map[string]*call
}

// callerKey is the key of what the context of a call carries: its first event's id.
type callerKey struct{}

// A call is one RecordBatch, and what came of it.
type call struct {
	cancel  context.CancelFunc
	results []budget.Result
	err     error
	panic   any
	done    bool
}

func inBubble(t *testing.T, test func(c *crowd)) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{pass: make(chan struct{})}
		f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { g.Store = s; return g })
		test(&crowd{fixture: f, gate: g, calls: make(map[string]*call)})
	})
}

// call records events in a goroutine of its own, and returns when that waits for something. It is known by its first event.
func (c *crowd) call(events ...usage.Event) *call {
	ctx, cancel := context.WithCancel(context.WithValue(c.t.Context(), callerKey{}, events[0].ID))
	made := &call{cancel: cancel}
	c.calls[events[0].ID] = made
	go func() {
		defer cancel()
		defer func() { made.panic, made.done = recover(), true }()
		made.results, made.err = c.RecordBatch(ctx, events)
	}()
	synctest.Wait()
	return made
}

// many returns n events of a token each.
func many(prefix string, n int) (events []usage.Event) {
	for i := range n {
		events = append(events, tokens(fmt.Sprintf("%s%03d", prefix, i), 1))
	}
	return events
}

// outcomes fails unless these came of the calls: the outcome of their first event, or "waiting".
func (c *crowd) outcomes(want map[string]budget.Outcome) {
	c.t.Helper()
	got := make(map[string]budget.Outcome)
	for id, made := range c.calls {
		if got[id] = "waiting"; made.done && made.panic == nil {
			got[id] = made.results[0].Outcome
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func (c *crowd) flushed(want ...[]string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.gate.seen()); diff != "" {
		c.t.Errorf("transactions (-want +got):\n%s", diff)
	}
}

func TestALoneCallerWaitsForNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		start := time.Now()
		c.call(tokens("a", 1))
		c.gate.let(1)
		c.outcomes(map[string]budget.Outcome{"a": budget.Recorded})
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it waited %s", waited)
		}
	})
}

func TestThoseWhoWaitAtTheSameTimeShareATransactionInTheOrderInWhichTheyCame(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		for _, id := range []string{"leader", "z", "y", "x", "w"} {
			c.call(tokens(id, 1))
		}
		c.gate.let(1)
		c.outcomes(map[string]budget.Outcome{"leader": budget.Recorded, "z": "waiting", "y": "waiting", "x": "waiting", "w": "waiting"})
		c.call(tokens("later", 1))
		c.gate.let(1)
		c.outcomes(map[string]budget.Outcome{
			"leader": budget.Recorded, "z": budget.Recorded, "y": budget.Recorded, "x": budget.Recorded, "w": budget.Recorded, "later": "waiting",
		})
		c.gate.open()
		c.flushed([]string{"leader"}, []string{"z", "y", "x", "w"}, []string{"later"})
	})
}

func TestOneTransactionHasAtMost500Events(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		c.call(tokens("leader", 1))
		c.call(many("a", 300)...)
		c.call(many("b", 300)...)
		c.call(many("c", 100)...)
		c.call(many("d", 100)...)
		c.call(many("e", 1)...)
		c.call(many("f", 600)...)
		c.gate.open()
		var sizes []int
		for _, ids := range c.gate.seen() {
			sizes = append(sizes, len(ids))
		}
		if diff := cmp.Diff([]int{1, 300, 500, 1, 500, 100}, sizes); diff != "" {
			t.Errorf("sizes (-want +got):\n%s", diff)
		}
		if n := len(c.events()); n != 1402 {
			t.Errorf("%d events are stored, want 1402", n)
		}
	})
}

// A call's own events are never split, so what does not fit waits, and so does all that came after it.
func TestALeaderHandsOverAfterOneFlush(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		c.call(tokens("a", 1))
		c.call(tokens("b", 1))
		c.gate.let(1)
		if !c.calls["a"].done {
			t.Error("the first leader is still at work")
		}
		c.call(tokens("c", 1))
		c.gate.let(1)
		c.outcomes(map[string]budget.Outcome{"a": budget.Recorded, "b": budget.Recorded, "c": "waiting"})
		c.gate.let(1)
		c.call(tokens("d", 1)) // nobody leads any more
		c.gate.let(1)
		c.flushed([]string{"a"}, []string{"b"}, []string{"c"}, []string{"d"})
	})
}

func TestLeavingBeforeBeingTakenStoresNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		c.call(tokens("leader", 1))
		c.call(tokens("a", 1))
		b := c.call(tokens("b", 1))
		c.call(tokens("c", 1))
		b.cancel()
		synctest.Wait()
		if !b.done {
			t.Fatal("it still waits")
		}
		is(t, b.err, context.Canceled)
		if errors.Is(b.err, budget.ErrOutcomeUnknown) {
			t.Errorf("its outcome is known, not %v", b.err)
		}
		c.gate.open()
		c.outcomes(map[string]budget.Outcome{"leader": budget.Recorded, "a": budget.Recorded, "b": budget.NotTried, "c": budget.Recorded})
		c.flushed([]string{"leader"}, []string{"a", "c"})
	})
}

func TestLeavingAfterBeingTakenIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		c.call(tokens("leader", 1))
		c.call(tokens("a", 1))
		event := tokens("b", 1)
		event.Labels = map[string]string{"team": "red"}
		b := c.call(event, tokens("", 1))
		c.gate.let(1)
		b.cancel()
		synctest.Wait()
		if !b.done {
			t.Fatal("it still waits")
		}
		is(t, b.err, budget.ErrOutcomeUnknown)
		is(t, b.err, context.Canceled)
		if b.results[0].Outcome != budget.Unknown || b.results[1].Outcome != budget.Invalid {
			t.Errorf("%+v", b.results)
		}
		event.Labels["team"] = "blue" // it is the caller's again, while the leader is still at it
		c.gate.let(1)
		c.outcomes(map[string]budget.Outcome{"leader": budget.Recorded, "a": budget.Recorded, "b": budget.Unknown})
		c.flushed([]string{"leader"}, []string{"a", "b"})
		event.Labels["team"] = "red"
		c.call(event)
		c.gate.let(1)
		c.outcomes(map[string]budget.Outcome{"leader": budget.Recorded, "a": budget.Recorded, "b": budget.Duplicate})
	})
}

func TestALeaderThatIsCancelledFinishesForAll(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		var value any
		c.gate.before = func(ctx context.Context, _ []string) error { value = ctx.Value(callerKey{}); return ctx.Err() }
		c.call(tokens("first", 1))
		leader := c.call(tokens("leader", 1))
		c.call(tokens("follower", 1))
		c.gate.let(1)
		leader.cancel()
		synctest.Wait()
		if leader.done {
			t.Errorf("it did not wait for its result: %v", leader.err)
		}
		c.gate.let(1)
		c.outcomes(map[string]budget.Outcome{"first": budget.Recorded, "leader": budget.Recorded, "follower": budget.Recorded})
		if value != "leader" {
			t.Errorf("the flush ran with the values of %v", value)
		}
	})
}

func TestACallThatIsCancelledBeforeItBegins(t *testing.T) {
	t.Parallel()
	f, tries := failing(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	result, err := f.Record(ctx, tokens("a", 1))
	is(t, err, context.Canceled)
	if result.Outcome != budget.NotTried || *tries != 0 {
		t.Errorf("%s after %d transactions", result.Outcome, *tries)
	}
	f.record(tokens("a", 1))
}

// Whoever leaves at the very moment at which they are told to lead, or at which they are taken up or done, leaves nobody
// behind, and learns the truth.
func TestTheLeadIsNotLostWithThoseWhoLeave(t *testing.T) {
	t.Parallel()
	moments := soak.Count(t, "callers that leave as others are let through", 100, 10_000)
	for _, leaver := range []string{"first", "second", "last"} {
		for _, moment := range []string{"as the leader begins", "as the leader ends"} {
			t.Run(leaver+", "+moment, func(t *testing.T) {
				t.Parallel()
				for range moments {
					inBubble(t, func(c *crowd) { leaveAt(c, leaver, moment == "as the leader ends") })
				}
			})
		}
	}
}

func leaveAt(c *crowd, leaver string, end bool) {
	c.Ledger = budget.NewLedger(c.gate, &budget.Options{Now: c.clock, Observe: func(budget.Op) {
		if end {
			c.calls[leaver].cancel()
		}
	}})
	for _, id := range []string{"leader", "first", "second", "last"} {
		c.call(tokens(id, 1))
	}
	leaving := c.calls[leaver]
	if !end {
		go leaving.cancel()
	}
	c.gate.open()
	for id, made := range c.calls {
		if !made.done || made != leaving && made.results[0].Outcome != budget.Recorded {
			c.t.Fatalf("%s was forgotten: %+v", id, made)
		}
	}
	outcome, stored := leaving.results[0].Outcome, slices.Contains(c.events(), leaver)
	if outcome == budget.Recorded && !stored || outcome == budget.NotTried && stored {
		c.t.Fatalf("%s, stored: %v", outcome, stored)
	}
}

func TestOnlyTheCulpritOfAFailingFlushFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		c.gate.before = func(_ context.Context, ids []string) error {
			if slices.Contains(ids, "bad") {
				return errDisk
			}
			return nil
		}
		c.call(tokens("leader", 1))
		c.call(tokens("a", 1))
		bad := c.call(tokens("bad", 1), tokens("good", 1))
		c.call(tokens("b", 1))
		c.gate.open()
		c.outcomes(map[string]budget.Outcome{"leader": budget.Recorded, "a": budget.Recorded, "bad": budget.Unknown, "b": budget.Recorded})
		is(t, bad.err, errDisk)
		if bad.results[1].Outcome != budget.Recorded {
			t.Errorf("the culprit's other event: %+v", bad.results[1])
		}
		c.flushed([]string{"leader"}, []string{"a", "bad", "good", "b"}, []string{"a"}, []string{"bad"}, []string{"good"}, []string{"b"})
		c.verified()
	})
}

func TestAStoreThatIsDownFailsAllAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		down := fmt.Errorf("%w: refused", budget.ErrUnavailable)
		c.gate.before = func(context.Context, []string) error { return down }
		c.call(tokens("leader", 1))
		c.call(tokens("a", 1))
		c.call(tokens("b", 1))
		c.gate.open()
		c.outcomes(map[string]budget.Outcome{"leader": budget.Unknown, "a": budget.Unknown, "b": budget.Unknown})
		for _, made := range c.calls {
			is(t, made.err, down)
		}
		c.flushed([]string{"leader"}, []string{"a", "b"})
		c.gate.before = nil
		c.call(tokens("a", 1))
		if got := c.calls["a"]; got.err != nil || got.results[0].Outcome != budget.Recorded {
			t.Errorf("when it is back: %+v", got)
		}
	})
}

func TestAStoreThatHangsIsGivenUpAfterFlushTimeout(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		start := time.Now()
		c.call(tokens("leader", 1))
		c.call(tokens("a", 1))
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		c.outcomes(map[string]budget.Outcome{"leader": budget.Unknown, "a": budget.Unknown})
		for _, made := range c.calls {
			is(t, made.err, context.DeadlineExceeded)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("waited %s", waited)
		}
		c.gate.open()
		c.call(tokens("b", 1))
		if got := c.calls["b"]; got.err != nil {
			t.Errorf("afterwards: %v", got.err)
		}
	})
}

func TestAPanicDoesNotWedgeTheOthers(t *testing.T) {
	t.Parallel()
	end := map[string]func(){"a panic": func() { panic("boom") }, "the goroutine's end": runtime.Goexit}
	for what, end := range end {
		for _, where := range []string{"store", "observe"} {
			t.Run(what+" in "+where, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(c *crowd) {
					explode := func(ids []string) {
						if slices.Contains(ids, "leader") {
							end()
						}
					}
					if where == "store" {
						c.gate.before = func(_ context.Context, ids []string) error { explode(ids); return nil }
					} else {
						c.Ledger = budget.NewLedger(c.gate, &budget.Options{
							Now:     func() time.Time { return noon },
							Observe: func(budget.Op) { explode(c.gate.seen()[len(c.gate.seen())-1]) },
						})
					}
					c.call(tokens("first", 1))
					leader := c.call(tokens("leader", 1))
					follower := c.call(tokens("follower", 1))
					c.gate.let(2)
					if what == "a panic" && leader.panic != "boom" {
						t.Errorf("the leader's panic is gone: %v", leader.panic)
					}
					is(t, follower.err, budget.ErrOutcomeUnknown)
					c.call(tokens("follower", 1))
					c.gate.let(1)
					again := c.calls["follower"]
					want := map[string]budget.Outcome{"store": budget.Recorded, "observe": budget.Duplicate}[where]
					if again.err != nil || again.results[0].Outcome != want {
						t.Errorf("sent again: %v, want %s: %v", again.results, want, again.err)
					}
				})
			})
		}
	}
}

func TestObserveIsToldOfEachTransactionThatRecords(t *testing.T) {
	t.Parallel()
	var ops []budget.Op
	store := memstore.New(nil)
	ledger := budget.NewLedger(store, &budget.Options{Now: func() time.Time { return noon }, Observe: func(op budget.Op) {
		if op.Took < 0 || op.Wait < 0 {
			t.Errorf("took %s after %s", op.Took, op.Wait)
		}
		op.Took, op.Wait = 0, 0
		ops = append(ops, op)
	}})
	if _, err := ledger.RecordBatch(t.Context(), append(many("e", 501), tokens("", 1))); err != nil {
		t.Fatal(err)
	}
	store.FailNext(budget.ErrUnavailable)
	_, err := ledger.Record(t.Context(), tokens("a", 1))
	is(t, err, budget.ErrUnavailable)
	if _, err := ledger.RecordBatch(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v", ops)
	want := "[{Name:record Items:500 Wait:0s Took:0s Err:<nil>} {Name:record Items:1 Wait:0s Took:0s Err:<nil>} {Name:record Items:1 Wait:0s Took:0s Err:store unavailable}]"
	if got != want {
		t.Errorf("observed %s, want %s", got, want)
	}
}

func TestObserveIsToldHowLongTheFirstCallerWaited(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		var got []string
		c.Ledger = budget.NewLedger(c.seen, &budget.Options{Now: c.clock, Observe: func(op budget.Op) {
			got = append(got, fmt.Sprintf("%d after %s in %s", op.Items, op.Wait, op.Took))
		}})
		c.call(tokens("a", 1))
		time.Sleep(time.Second)
		c.call(tokens("b", 1), tokens("c", 1))
		time.Sleep(time.Second)
		c.call(tokens("d", 1))
		time.Sleep(time.Second)
		c.gate.let(1)
		time.Sleep(time.Second)
		c.gate.let(1)
		want := []string{"1 after 0s in 3s", "3 after 2s in 1s"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

// A ledger in a transaction of the caller's goes its own way, and neither learns from the others nor teaches them.
func TestABoundLedgerIsNotGrouped(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *crowd) {
		c.gate.pass = make(chan struct{}, 1)
		c.gate.pass <- struct{}{}
		c.create(budget.Budget{ID: "outside"})
		transaction := openWith(c.t, memstore.New(nil), nil)
		transaction.create(budget.Budget{ID: "inside"})

		c.call(tokens("leader", 1))
		bound := c.WithStore(transaction.store)
		for i := range 3 {
			// The leader outside has not let go; nobody is waited for.
			if result, err := bound.Record(c.t.Context(), tokens(fmt.Sprint("bound", i), 1)); err != nil || result.Outcome != budget.Recorded {
				t.Errorf("%s: %v", result.Outcome, err)
			}
		}
		c.call(tokens("follower", 1))
		c.gate.open()
		c.outcomes(map[string]budget.Outcome{"leader": budget.Recorded, "follower": budget.Recorded})
		c.used("outside", nil, "2")
		transaction.used("inside", nil, "3")
		c.verified()
		transaction.verified()
	})
}

func TestABoundLedgerKeepsItsActor(t *testing.T) {
	t.Parallel()
	f := open(t)
	if _, err := f.By("ann").WithStore(f.store).Create(t.Context(), withDefaults(budget.Budget{})); err != nil {
		t.Fatal(err)
	}
	if actor := f.audit()[0].Actor; actor != "ann" {
		t.Errorf("the actor is %q", actor)
	}
}

// What may have gone wrong in a caller's transaction is the caller's: nothing is tried again there.
func TestABoundLedgerTriesNothingAgain(t *testing.T) {
	t.Parallel()
	f, tries := failing(t, false, errDisk)
	bound := f.WithStore(&wrapper{f.store, func(_ context.Context, next func() error) error { *tries++; return errDisk }})
	results, err := bound.RecordBatch(t.Context(), []usage.Event{tokens("a", 1), tokens("b", 1)})
	is(t, err, errDisk)
	if *tries != 1 || results[0].Outcome != budget.Unknown || results[1].Outcome != budget.Unknown {
		t.Errorf("%d transactions: %+v", *tries, results)
	}
}

// Many callers at once, each with its own mix of new, repeated, conflicting and invalid events, some of which two callers
// send: everyone gets their own answers, and everything is counted once.
func TestEveryCallerGetsItsOwnAnswers(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Limit: dec("1000000")})
	callers, rounds := 16, soak.Count(t, "batches of each of 16 callers", 40, 4000)
	recorded := make([]map[string]int64, callers)
	var done sync.WaitGroup
	for caller := range callers {
		recorded[caller] = make(map[string]int64)
		done.Go(func() {
			ledger := f.By(fmt.Sprint(caller))
			for round := range rounds {
				own, shared := fmt.Sprintf("own-%d-%d", caller, round), fmt.Sprintf("shared-%d", round)
				batch := []usage.Event{
					tokens(own, int64(caller+1)), tokens("", 1), tokens(shared, 5), tokens(own, int64(caller+1)), tokens(own, int64(caller+2)),
				}
				results, err := ledger.RecordBatch(f.t.Context(), batch)
				if err != nil {
					t.Error(err)
					return
				}
				for i, want := range []budget.Outcome{budget.Recorded, budget.Invalid, results[2].Outcome, budget.Duplicate, budget.Conflict} {
					if results[i].Outcome != want || results[i].ID != batch[i].ID {
						t.Errorf("caller %d, event %d: %+v, want %s", caller, i, results[i], want)
						return
					}
				}
				recorded[caller][own] = int64(caller + 1)
				if results[2].Outcome == budget.Recorded {
					recorded[caller][shared] = 5
				}
			}
		})
	}
	done.Wait()
	all, sum := make(map[string]int64), int64(0)
	for _, events := range recorded {
		for id := range events {
			if _, twice := all[id]; twice {
				t.Errorf("two callers recorded %q", id)
			}
		}
		maps.Copy(all, events)
	}
	for _, n := range all {
		sum += n
	}
	if len(all) != (callers+1)*rounds {
		t.Errorf("%d events were recorded, want %d", len(all), (callers+1)*rounds)
	}
	f.used(b.ID, nil, fmt.Sprint(sum))
	f.verified()
}
