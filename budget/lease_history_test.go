package budget_test

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
)

// Processes that lease of one budget reserve, settle and release at the same time, while one of them does not reach the store
// for a minute. All that they admit might have been admitted one call after the other. What is refused says nothing here:
// others may have leased the room.
func TestConcurrentCallsOnLeasesAreAdmittedAsIfTheyCameOneAfterTheOther(t *testing.T) {
	t.Parallel()
	n := soak.Count(t, "histories of processes that lease, one of which is cut off", 20, 2000)
	fromMemory, refused := 0, 0
	for seed := range n {
		h := playOnLeases(t, uint64(seed))
		if t.Failed() {
			return
		}
		switch porcupine.CheckOperationsTimeout(admissions, h.calls, time.Minute) {
		case porcupine.Illegal:
			t.Fatalf("history %d of %d: no order of these calls explains what was admitted of %d:\n%s", seed, n, historyLimit, h.text())
		case porcupine.Unknown:
			t.Fatalf("history %d of %d has too many orders to try", seed, n)
		}
		fromMemory += h.fromMemory
		refused += h.refused
	}
	t.Logf("%d requests were admitted from memory, %d refused", fromMemory, refused)
	if fromMemory < 20*n || refused < 10*n {
		t.Errorf("in %d histories %d requests were admitted from memory and %d refused: too few to show anything", n, fromMemory, refused)
	}
}

const (
	historyLimit   = 300
	historyClients = 6
	callsOfClient  = 33
	historyCalls   = historyClients * callsOfClient // that may be admitted
)

// A leaseCall is a call that did something, as the specification sees it.
type leaseCall struct {
	op     string
	ticket int
	units  int  // estimate of reserve, amount of settle: no more than that
	atRisk bool // of reserve: it holds what it holds by a lease of the process that is cut off
}

const (
	didReserve = "reserve"
	didSettle  = "settle"
	didRelease = "release"
	wasCutOff  = "the lease ends" // at some moment while its holder is cut off
)

// A historyState is what the specification knows. It is compared with ==.
type historyState struct {
	taken  int // used or held
	held   [historyCalls]int8
	atRisk [historyCalls]bool
}

var historySeed = maphash.MakeSeed()

// admissions is the sequential specification of what may be admitted.
var admissions = porcupine.Model{
	Init: func() any { return historyState{} },
	Step: func(state, input, _ any) (bool, any) {
		s := state.(historyState)
		return s.step(input.(leaseCall)), s
	},
	Hash: func(state any) uint64 { return maphash.Comparable(historySeed, state.(historyState)) },
}

// step does what was done, and reports whether it could be.
func (s *historyState) step(c leaseCall) bool {
	switch c.op {
	case didReserve:
		s.hold(c.ticket, c.units, c.atRisk)
		return s.taken <= historyLimit
	case didSettle:
		s.hold(c.ticket, 0, false)
		s.taken += c.units
	case didRelease:
		s.hold(c.ticket, 0, false)
	case wasCutOff:
		for ticket, atRisk := range s.atRisk {
			if atRisk {
				s.hold(ticket, 0, false)
			}
		}
	}
	return true
}

func (s *historyState) hold(ticket, units int, atRisk bool) {
	s.taken += units - int(s.held[ticket])
	s.held[ticket], s.atRisk[ticket] = int8(units), atRisk
}

// The check itself can fail.
func TestWrongHistoriesOfLeasesAreFound(t *testing.T) {
	t.Parallel()
	at := func(from, to int64, c leaseCall) porcupine.Operation {
		return porcupine.Operation{Call: from, Return: to, Input: c}
	}
	reserve := func(ticket int, units int) leaseCall { return leaseCall{op: didReserve, ticket: ticket, units: units} }
	leased := leaseCall{op: didReserve, ticket: 0, units: 100, atRisk: true}
	all, ended := leaseCall{op: didSettle, ticket: 9, units: historyLimit}, leaseCall{op: wasCutOff}
	tests := map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"an exact fit is admitted": {[]porcupine.Operation{
			at(1, 2, leased), at(3, 4, reserve(1, 100)), at(5, 6, reserve(2, 100)),
		}, true},
		"above the limit": {[]porcupine.Operation{
			at(1, 2, leased), at(3, 4, reserve(1, 100)), at(5, 6, reserve(2, 101)),
		}, false},
		"room that was settled with less": {[]porcupine.Operation{
			at(1, 2, reserve(0, 127)), at(3, 4, leaseCall{op: didSettle, ticket: 0, units: 200}), at(5, 6, reserve(1, 100)),
		}, true},
		"what a lease held when it ended is there again": {[]porcupine.Operation{
			at(1, 2, reserve(1, 100)), at(3, 4, leased), at(5, 9, ended), at(7, 8, reserve(2, 101)),
		}, true},
		"what it held before it ended is not": {[]porcupine.Operation{
			at(1, 2, reserve(1, 100)), at(3, 4, leased), at(5, 6, reserve(2, 101)), at(7, 9, ended),
		}, false},
		"a lease honoured after its end, and after another had its room": {[]porcupine.Operation{
			at(1, 9, ended), at(2, 3, all), at(4, 5, leased),
		}, false},
		"one honoured while that is asked for": {[]porcupine.Operation{
			at(1, 9, ended), at(2, 5, leased), at(4, 6, all),
		}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := porcupine.CheckOperations(admissions, test.history); got != test.want {
				t.Errorf("found right is %t, want %t", got, test.want)
			}
		})
	}
}

// A leaseHistory is what processes did in a bubble.
type leaseHistory struct {
	t       *testing.T
	clock   atomic.Int64 // counts what begins and ends: in a bubble much happens at one instant
	tickets atomic.Int64

	mu         sync.Mutex
	calls      []porcupine.Operation
	fromMemory int
	refused    int
}

// A leaser is one of its processes.
type leaser struct {
	*budget.Ledger
	line  *line
	fails bool // the line, for a while
}

// playOnLeases makes a history. The first of three processes is cut off.
func playOnLeases(t *testing.T, seed uint64) *leaseHistory {
	t.Helper()
	h := &leaseHistory{}
	synctest.Test(t, func(t *testing.T) {
		h.t = t
		ctx, cancel := context.WithCancel(t.Context())
		var running, calling sync.WaitGroup
		store := memstore.New(nil)
		var processes []*leaser
		for i := range 3 {
			p := &leaser{line: &line{Store: store, random: rand.New(rand.NewPCG(seed, uint64(i)))}, fails: i == 0}
			p.Ledger = budget.NewLedger(p.line, &budget.Options{Leases: &budget.LeaseOptions{}, OnError: func(err error) { h.bears(p, err) }})
			running.Go(func() { _ = p.Run(ctx) }) // which returns ctx's error
			processes = append(processes, p)
		}
		b := budget.Budget{ID: "b", Schedule: period.Lifetime, Limit: decimal.NewFromInt(historyLimit)}
		if _, err := processes[1].Create(ctx, withDefaults(b)); err != nil {
			t.Fatal(err)
		}
		for i := range historyClients {
			c := &leaseClient{leaseHistory: h, process: processes[i%len(processes)], id: i, random: rand.New(rand.NewPCG(seed, uint64(100+i)))}
			calling.Go(c.work)
		}
		h.cutOff(processes[0].line, historyClients)
		calling.Wait()
		cancel()
		running.Wait()
	})
	return h
}

// bears fails the test, unless what failed did for want of a line.
func (h *leaseHistory) bears(p *leaser, err error) {
	if !p.fails || !errors.Is(err, budget.ErrUnavailable) {
		h.t.Error(err)
	}
}

// do takes down what a call did, and when it was made and returned; nothing if it did nothing.
func (h *leaseHistory) do(client int, call func() (did leaseCall, some bool)) {
	o := porcupine.Operation{ClientId: client, Call: h.clock.Add(1)}
	did, some := call()
	o.Input, o.Return = did, h.clock.Add(1)
	if !some {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, o)
}

// cutOff keeps a process from the store for a minute. Its lease ends in this time, or at the latest when it looks for it.
func (h *leaseHistory) cutOff(l *line, client int) {
	time.Sleep(5 * time.Second)
	h.do(client, func() (leaseCall, bool) {
		mend := l.cutOff()
		time.Sleep(time.Minute)
		mend()
		time.Sleep(5 * time.Second)
		return leaseCall{op: wasCutOff}, true
	})
}

// text is the history as one reads it: a line for each call, in the order in which they were made.
func (h *leaseHistory) text() string {
	var b strings.Builder
	for _, o := range slices.SortedFunc(slices.Values(h.calls), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) }) {
		fmt.Fprintf(&b, "%4d–%4d client %d: %+v\n", o.Call, o.Return, o.ClientId, o.Input)
	}
	return b.String()
}

// A leaseClient is a client of one of the processes.
type leaseClient struct {
	*leaseHistory
	process *leaser
	id      int
	random  *rand.Rand
	held    []leaseTicket
}

// A leaseTicket is a reservation that a client may still end.
type leaseTicket struct {
	id    int
	units int
	res   *budget.Reservation
}

// work makes calls. While its process is cut off, a client reserves little now and then, so that what is leased is neither
// idle nor used up. It ends nothing from then on: what it had reserved before would be settled late, which is recorded whatever
// the limit.
func (c *leaseClient) work() {
	wasCut := false
	for range callsOfClient {
		pause, most := 2*time.Second, 9
		if c.process.line.isCut() {
			wasCut, pause, most = true, 7*time.Second, 1
		}
		time.Sleep(time.Duration(c.random.Int64N(int64(pause))))
		if wasCut || len(c.held) == 0 || c.random.IntN(4) > 0 {
			c.do(c.id, func() (leaseCall, bool) { return c.reserve(1 + c.random.IntN(most)) })
		} else {
			c.do(c.id, c.end)
		}
	}
}

func (c *leaseClient) reserve(units int) (did leaseCall, some bool) {
	ticket := leaseTicket{id: int(c.tickets.Add(1)) - 1, units: units}
	res, err := c.process.Reserve(c.t.Context(), one(int64(ticket.units)))
	switch {
	case errors.Is(err, budget.ErrExceeded):
		c.count(&c.refused)
		return leaseCall{}, false
	case err != nil:
		c.bears(c.process, err)
		return leaseCall{}, false
	}
	if res.Leased() {
		c.count(&c.fromMemory)
	}
	ticket.res = res
	c.held = append(c.held, ticket)
	return leaseCall{op: didReserve, ticket: ticket.id, units: ticket.units, atRisk: c.process.fails && res.Leased()}, true
}

func (h *leaseHistory) count(n *int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*n++
}

// end settles or releases what the client reserved last.
func (c *leaseClient) end() (did leaseCall, some bool) {
	last := len(c.held) - 1
	ticket := c.held[last]
	c.held = c.held[:last]
	did = leaseCall{op: didRelease, ticket: ticket.id}
	err := error(nil)
	if c.random.IntN(2) == 0 {
		did.op, did.units = didSettle, 1+c.random.IntN(ticket.units)
		err = ticket.res.Settle(c.t.Context(), input(int64(did.units)))
	} else {
		err = ticket.res.Release(c.t.Context())
	}
	if err != nil {
		c.bears(c.process, err)
	}
	return did, err == nil
}

// A line is a process's way to a store, on which everything takes a while.
type line struct {
	budget.Store

	mu     sync.Mutex
	random *rand.Rand
	mended chan struct{} // nil: it is not cut
}

func (l *line) Update(ctx context.Context, fn func(budget.Tx) error) error {
	if err := l.pass(ctx); err != nil {
		return err
	}
	return l.Store.Update(ctx, fn)
}

func (l *line) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if err := l.pass(ctx); err != nil {
		return err
	}
	return l.Store.View(ctx, fn)
}

// pass waits until the store is reached.
func (l *line) pass(ctx context.Context) error {
	l.mu.Lock()
	mended, takes := l.mended, time.Duration(l.random.IntN(20))*time.Millisecond
	l.mu.Unlock()
	if mended != nil {
		select {
		case <-mended:
		case <-ctx.Done():
		}
	}
	time.Sleep(takes)
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", budget.ErrUnavailable, ctx.Err())
	}
	return nil
}

func (l *line) cutOff() (mend func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mended = make(chan struct{})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(l.mended)
		l.mended = nil
	}
}

func (l *line) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mended != nil
}
