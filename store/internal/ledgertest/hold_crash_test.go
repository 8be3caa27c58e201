package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// crashLimit is never reached before all that was held is given back.
const crashLimit = 1_000_000

// shareRoom makes the budgets that are held, settled and released while processes or the database crash.
func shareRoom(t *testing.T, s budget.Store) *budget.Ledger {
	t.Helper()
	ledger := budget.NewLedger(s, nil)
	for _, b := range []budget.Budget{
		{ID: "ever", Metric: usage.Tokens, Schedule: period.Lifetime},
		{ID: "user", Metric: usage.Requests, Schedule: period.Lifetime, Scope: budget.Scope{"user": budget.Each}},
	} {
		b.Name, b.Limit = "test", decimal.NewFromInt(crashLimit)
		if _, err := ledger.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return ledger
}

// A process that reserves, settles and releases is killed at a random moment, again and again. What it was told is so, and
// what it left open is held until its time is over; then all of it comes back.
func TestWhatAKilledProcessHeldComesBackAndWhatItSettledStays(t *testing.T) {
	for name, url := range databases() {
		t.Run(name, func(t *testing.T) {
			s := onDatabase(t, url(t))
			ledger := shareRoom(t, s)
			told := make(map[string]string) // the last thing that was acknowledged, by id
			for i := range soak.Count(t, "processes killed", 4, 200) {
				holdUntilKilled(t, task{Do: "hold and end", URL: s.url, Process: i}, told)
			}
			before := s.facts(t)
			before.agree(t)
			verify(t, ledger)
			for id, last := range told {
				before.bear(t, id, last)
			}

			open := before.in(budget.Open)
			s.pass(t, heldFor-time.Hour) // an hour by the real clock is left for what processes took
			refusedAll(t, s, ledger)
			s.pass(t, 61*time.Minute)
			if got := before.of("ever"); got.Reserved == 0 || open == 0 {
				t.Fatalf("nothing was held: %+v", got)
			}
			takeAll(t, ledger, crashLimit-before.of("ever").Recorded)
			after := s.facts(t)
			after.agree(t)
			verify(t, ledger)
			for _, id := range []string{"ever", "user"} {
				was, is := before.of(id), after.of(id)
				was.Expired, was.ExpiredHeld, was.Reserved, was.Denied = int64(open), was.Reserved, 0, is.Denied
				if diff := cmp.Diff(was, is); diff != "" {
					t.Errorf("budget %q (-want +got):\n%s", id, diff)
				}
			}
			t.Logf("%d acknowledged, %d left open", len(told), open)
		})
	}
}

// holdUntilKilled runs a process until it has acknowledged some things, kills it, and takes down what it was told.
func holdUntilKilled(t *testing.T, mine task, told map[string]string) {
	t.Helper()
	p := startProcess(t, mine)
	for n := 20 + rand.IntN(200); p.out.Scan(); n-- {
		what, id, _ := strings.Cut(p.out.Text(), " ")
		told[id] = what
		if n == 0 {
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.cmd.Wait(); err == nil || p.errs.Len() > 0 {
		t.Errorf("the process ended before it was killed: %v: %s", err, p.errs.String())
	}
}

// bear fails unless the tables say what somebody was told last of a reservation, or what that may have come to since.
func (f *facts) bear(t *testing.T, id, last string) {
	t.Helper()
	key := budget.ReservationKey{Tenant: "t", ID: id}
	state, stands := f.reservations[key]
	event, settled := f.events[key]
	if stands && settled {
		t.Errorf("%s was settled and stands as a reservation in state %d", id, state)
	}
	if want := tokensOf(id) + 1; settled && event.TotalTokens != want {
		t.Errorf("%s used %d tokens, was settled at %d", id, event.TotalTokens, want)
	}
	fine := map[string]bool{
		"held":     settled || stands && state != budget.Expired,
		"released": stands && state == budget.Released,
		"settled":  settled,
	}
	if !fine[last] {
		t.Errorf("%s was told to be %q; there is an event: %t, a reservation: %t, in state %d", id, last, settled, stands, state)
	}
}

// tokensOf is what the reservation with this id asks for. One more is settled.
func tokensOf(id string) int64 { return int64(len(id)%5) + 1 }

// heldFor is how long it holds its room.
const heldFor = 7 * 24 * time.Hour

func roomFor(id string) budget.Request {
	return budget.Request{
		ID: id, Subject: usage.Subject{Tenant: "t", User: fmt.Sprintf("u%d", len(id)%3)},
		Estimate: usage.Amounts{InputTokens: tokensOf(id)}, TTL: heldFor,
	}
}

// holdAndEnd is a process of four goroutines that reserve without end, and settle, release or leave open what they got.
// It prints what it was told.
func holdAndEnd(ctx context.Context, mine task, s budget.Store) error {
	ledger := mine.ledgers(s)[0]
	return all(4, func(g int) error {
		random := rand.New(rand.NewPCG(uint64(mine.Process), uint64(g)))
		for i := 0; ; i++ {
			id := fmt.Sprintf("p%d-%d-%d", mine.Process, g, i)
			res, err := ledger.Reserve(ctx, roomFor(id))
			if err != nil {
				return err
			}
			fmt.Println("held", id)
			switch random.IntN(4) {
			case 0:
				if err := res.Release(ctx); err != nil {
					return err
				}
				fmt.Println("released", id)
			case 1, 2:
				if err := res.Settle(ctx, usage.Amounts{InputTokens: tokensOf(id) + 1}); err != nil {
					return err
				}
				fmt.Println("settled", id)
			}
		}
	})
}

// takeAll reserves so many tokens, which is all there is, and releases them.
func takeAll(t *testing.T, ledger *budget.Ledger, tokens int64) {
	t.Helper()
	res, err := ledger.Reserve(t.Context(), budget.Request{Estimate: usage.Amounts{InputTokens: tokens}})
	if err != nil {
		t.Fatalf("reserve all %d tokens: %v", tokens, err)
	}
	if err := res.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// refusedAll fails if what is held could be had.
func refusedAll(t *testing.T, s *stage, ledger *budget.Ledger) {
	t.Helper()
	f := s.facts(t)
	ever := f.of("ever")
	_, err := ledger.Reserve(t.Context(), budget.Request{Estimate: usage.Amounts{InputTokens: crashLimit - ever.Recorded - ever.Reserved + 1}})
	if !errors.Is(err, budget.ErrExceeded) {
		t.Errorf("reserve what others hold: %v, want ErrExceeded", err)
	}
}

// The database is stopped without a chance to tidy up, again and again, while callers reserve, settle and release. Each
// tries until it is told that it is done. Then all that was settled is there, once, and nothing is held.
func TestReservationsSurviveAKilledDatabase(t *testing.T) {
	server := pgtest.Start(t, pgtest.Durable)
	s := onDatabase(t, server.URL())
	ledger := shareRoom(t, s)
	c := &persistent{t: t, ledger: ledger, done: make(chan struct{}), stop: make(chan struct{}), states: make(map[string]string)}
	var callers sync.WaitGroup
	for i := range writers {
		callers.Go(func() { c.run(i) })
	}
	for range soak.Count(t, "crashes of the database", 3, 100) {
		for range 20 + rand.IntN(200) {
			<-c.done
		}
		if err := errors.Join(server.Kill(), server.Start()); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // it goes on
		<-c.done
	}
	close(c.stop)
	callers.Wait()

	f := s.facts(t)
	f.agree(t)
	got := make(map[string]string)
	for key := range f.events {
		got[key.ID] = "settled"
	}
	for key, state := range f.reservations {
		got[key.ID] += map[budget.ReservationState]string{budget.Open: "open", budget.Released: "released", budget.Expired: "expired"}[state]
	}
	if !maps.Equal(c.states, got) {
		t.Errorf("what became of reservations (-told +stored):\n%s", cmp.Diff(c.states, got))
	}
	for id := range c.states {
		f.bear(t, id, c.states[id])
	}
	if got := f.of("ever"); got.Reserved != 0 || got.Expired != 0 || got.Denied != 0 {
		t.Errorf("nothing is open, and the counter is %+v", got)
	}
	verify(t, ledger)
	t.Logf("%d reservations, %d calls made again", len(c.states), c.again)
}

// persistent callers try until they are told that it is done.
type persistent struct {
	t      *testing.T
	ledger *budget.Ledger
	done   chan struct{} // one for each reservation that was ended
	stop   chan struct{}

	mu     sync.Mutex
	states map[string]string
	again  int
}

func (c *persistent) run(caller int) {
	ctx := c.t.Context()
	for i := 0; ; i++ {
		id := fmt.Sprintf("caller%d-%d", caller, i)
		var res *budget.Reservation
		c.insist(func() (err error) { res, err = c.ledger.Reserve(ctx, roomFor(id)); return err })
		if res == nil {
			return
		}
		state, end := "settled", func() error { return res.Settle(ctx, usage.Amounts{InputTokens: tokensOf(id) + 1}) }
		if i%3 == 0 {
			state, end = "released", func() error { return res.Release(ctx) }
		}
		c.insist(end)
		c.mu.Lock()
		c.states[id] = state
		c.mu.Unlock()
		select {
		case c.done <- struct{}{}:
		case <-c.stop:
			return
		}
	}
}

// insist calls do until the store has answered.
func (c *persistent) insist(do func() error) {
	for c.t.Context().Err() == nil {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, budget.ErrUnavailable) && !errors.Is(err, budget.ErrOutcomeUnknown) && !errors.Is(err, context.DeadlineExceeded) {
			c.t.Errorf("while the database crashes: %v", err)
			return
		}
		c.mu.Lock()
		c.again++
		c.mu.Unlock()
	}
}
