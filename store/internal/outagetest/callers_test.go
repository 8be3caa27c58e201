package outagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

const (
	// How long one transaction may take, unless a test says otherwise. A store that does not answer is told by then.
	flushTimeout = time.Second

	// The same where no call is to fail for the machine's sake: the ledger's own default.
	patientFlush = 10 * time.Second

	// After so long without what a test waits for, it is lost.
	longestWait = 60 * time.Second
)

// Callers are goroutines that reserve, settle, release and record until they are told to stop. Each sends the same again
// until it knows what came of it, as a client would. Half of what certainly was not stored is given up instead: it must
// never be found.
type callers struct {
	tester
	name    string
	ledger  *budget.Ledger
	leases  bool
	flush   time.Duration // how long one transaction may take
	rest    func()        // ends the ledger's Run
	group   sync.WaitGroup
	news    chan struct{} // something has changed
	stopped chan struct{}

	mu       sync.Mutex
	done     int       // calls that succeeded
	leased   int       // of which reserved from memory
	failures []failure // of the others, but for those whose time was up
	heard    int       // errors of Run
	told     told
}

// A failure is what a caller was told.
type failure struct {
	caller int
	err    error
}

// A tester is the part of [testing.T] that callers need: they also work where there is none, in processes of their own.
type tester interface {
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Helper()
	Logf(format string, args ...any)
}

// Told is what callers know for certain.
type told struct {
	Events []budget.EventKey       // are recorded
	Open   []budget.ReservationKey // are held and left as they are
	Never  []budget.EventKey       // were not stored, and given up
}

// How many callers there are, and which of them does not wait for long.
const (
	goroutines = 8
	impatient  = 0
)

// call makes callers of a ledger call until the test ends or they are stopped.
func call(t tester, name string, ledger *budget.Ledger, leases bool, flush time.Duration) *callers {
	c := &callers{
		tester: t, name: name, ledger: ledger, leases: leases, flush: flush,
		news: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	for g := range goroutines {
		c.group.Go(func() { c.work(g) })
	}
	return c
}

// stop stops the callers once each knows what came of its last call.
func (c *callers) stop() told {
	c.Helper()
	close(c.stopped)
	ended := make(chan struct{})
	go func() {
		c.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(longestWait):
		c.Fatalf("%s: waited %v for callers to return", c.name, longestWait)
	}
	c.Logf("%s: %d calls succeeded, %d of them from memory, %d failed", c.name, c.done, c.leased, len(c.failures))
	return c.told
}

func (c *callers) work(g int) {
	for i := 0; c.Context().Err() == nil && !c.stopping(); i++ {
		w := work{callers: c, caller: g, givesUp: i/5%2 == 0}
		w.key = budget.EventKey{Tenant: fmt.Sprintf("t%d", i%3), ID: fmt.Sprintf("%s-%d-%d", c.name, g, i)}
		switch (g + i) % 5 {
		case 0:
			w.record()
		case 1:
			w.settle(func(r *budget.Reservation) error { return r.Settle(c.Context(), amounts()) })
		case 2:
			w.settle(func(r *budget.Reservation) error {
				_, err := c.ledger.Settle(c.Context(), r.Key(), budget.Settlement{Amounts: amounts()})
				return err
			})
		case 3:
			w.release()
		default:
			w.hold(i/5%2 == 1 && !c.leases)
		}
	}
}

func amounts() usage.Amounts {
	return usage.Amounts{InputTokens: 3, OutputTokens: 1, Cost: new(decimal.New(1, -3))}
}

// Work is what one caller does about one id.
type work struct {
	*callers
	caller  int
	key     budget.EventKey
	givesUp bool
}

func (w work) record() {
	event := sample(w.key.ID)
	event.Tenant = w.key.Tenant
	ok := w.send("record", w.givesUp, func(ctx context.Context) error {
		_, err := w.ledger.Record(ctx, event)
		return err
	})
	if ok {
		w.note(&w.told.Events)
	}
}

func (w work) reserve() *budget.Reservation {
	request := budget.Request{ID: w.key.ID, Subject: usage.Subject{Tenant: w.key.Tenant}, Estimate: amounts()}
	var res *budget.Reservation
	w.send("reserve", w.givesUp, func(ctx context.Context) (err error) {
		res, err = w.ledger.Reserve(ctx, request)
		return err
	})
	if res != nil && res.Leased() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.leased++
	}
	return res
}

func (w work) settle(settle func(*budget.Reservation) error) {
	res := w.reserve()
	if res != nil && w.send("settle", false, func(context.Context) error { return settle(res) }) {
		w.note(&w.told.Events)
	}
}

func (w work) release() {
	if res := w.reserve(); res != nil {
		w.send("release", false, res.Release)
	}
}

// hold reserves, and leaves it at that or not. What is leased would not be seen by whoever proves it.
func (w work) hold(leave bool) {
	if !leave {
		w.release()
	} else if w.reserve() != nil {
		w.note(&w.told.Open)
	}
}

func (w work) note(list *[]budget.EventKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, w.key)
}

// send calls do until it succeeds. It reports false if it gave up: when it is certain that nothing was stored, or the test
// is over.
func (w work) send(what string, givesUp bool, do func(context.Context) error) bool {
	uncertain := false
	for {
		err := w.once(what, do)
		if err == nil {
			return true
		}
		if w.Context().Err() != nil {
			return false
		}
		uncertain = uncertain || errors.Is(err, budget.ErrOutcomeUnknown)
		if givesUp && !uncertain {
			w.note(&w.told.Never)
			return false
		}
	}
}

// once calls do, and fails the test if it takes too long or says what a caller can't act on.
func (w work) once(what string, do func(context.Context) error) error {
	ctx := w.Context()
	if w.caller == impatient && !w.stopping() {
		patient, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		ctx = patient
	}
	started := time.Now()
	err := do(ctx)
	if took := time.Since(started); took > w.longestCall() {
		w.Errorf("%s took %v, error %v", what, took, err)
	}
	itsTime := ctx.Err() != nil && errors.Is(err, ctx.Err())
	if err != nil && w.Context().Err() == nil && !sayable(err) && !itsTime {
		w.Errorf("%s: got error %v, want ErrUnavailable or ErrOutcomeUnknown", what, err)
	}
	w.tell(w.caller, err)
	return err
}

// longestCall is how long a call may take. It waits for the transaction that is under way and for its own; one that settles by
// key looks for the reservation before. The rest is for a machine that has other things to do.
func (c *callers) longestCall() time.Duration { return 3*c.flush + 5*time.Second }

// stopping reports whether callers are to stop. Then the impatient one waits too: on a slow machine it would never learn what
// came of its last call.
func (c *callers) stopping() bool {
	select {
	case <-c.stopped:
		return true
	default:
		return false
	}
}

// sayable reports whether an error is one that a caller meets while the store is away.
func sayable(err error) bool {
	return errors.Is(err, budget.ErrUnavailable) || errors.Is(err, budget.ErrOutcomeUnknown)
}

func (c *callers) tell(caller int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.done++
	} else if sayable(err) {
		c.failures = append(c.failures, failure{caller, err})
	}
	c.changed()
}

// hear is told what the ledger's Run could not do.
func (c *callers) hear(err error) {
	if !sayable(err) {
		c.Errorf("Run: got error %v, want ErrUnavailable or ErrOutcomeUnknown", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard++
	c.changed()
}

func (c *callers) changed() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// wait waits until something is so, which is asked under the mutex.
func (c *callers) wait(what string, so func() bool) {
	c.Helper()
	lost := time.NewTimer(longestWait)
	defer lost.Stop()
	for {
		c.mu.Lock()
		yes := so()
		state := fmt.Sprintf("%d calls succeeded, %d of them from memory, %d failed", c.done, c.leased, len(c.failures))
		if n := len(c.failures); n > 0 {
			state += fmt.Sprintf(", the last: %v", c.failures[n-1].err)
		}
		c.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-c.news:
		case <-lost.C:
			c.Fatalf("%s: waited %v for %s: %s", c.name, longestWait, what, state)
		}
	}
}

// goOn waits until more calls have succeeded, and some from memory if there are leases.
func (c *callers) goOn() {
	c.Helper()
	const more = 5 * goroutines
	done, leased := c.progress()
	c.wait("calls to succeed", func() bool {
		return c.done >= done+more && (!c.leases || c.leased >= leased+goroutines)
	})
}

func (c *callers) progress() (done, leased int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done, c.leased
}

// fail waits until each caller was told this from now on, but for the impatient one: it hears what became of its call only
// where it happens to do the work for the others.
func (c *callers) fail(says string) {
	c.Helper()
	c.mu.Lock()
	looked := len(c.failures)
	c.mu.Unlock()
	told := make(map[int]bool)
	c.wait(fmt.Sprintf("all callers to be told %q", says), func() bool {
		for ; looked < len(c.failures); looked++ {
			if f := c.failures[looked]; f.caller != impatient && strings.Contains(f.err.Error(), says) {
				told[f.caller] = true
			}
		}
		return len(told) == goroutines-1
	})
}

// failInRun waits until Run has failed from now on.
func (c *callers) failInRun() {
	c.Helper()
	c.mu.Lock()
	before := c.heard
	c.mu.Unlock()
	c.wait("Run to fail", func() bool { return c.heard > before })
}

// sample returns an event.
func sample(id string) usage.Event {
	return usage.Event{ID: id, Subject: usage.Subject{Tenant: "t0"}, Amounts: amounts()}
}
