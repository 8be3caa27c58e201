package budget

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/purser-go/purser/usage"
)

// LeaseOptions makes a ledger admit requests from memory, out of room that this process has leased from the store. Leasing
// needs the ledger's Run, and works only while that runs.
//
// A lease is a part of what a counter has available. While a process holds it, the room counts as reserved for everybody
// else. How much is leased follows how fast it is used; near the limit less and less is, and the last of a budget goes
// request by request, so that all of it can be used. A request that lacks room which others have leased asks them for it,
// and waits up to a quarter of a second before it is refused.
//
// A reservation that was made from a lease is known to this process only: it can be settled, released and extended here,
// by its handle or its key, and from elsewhere its usage can be recorded as an event with its id. An id of the caller's
// choice names one reservation within the process, as far as it remembers: some ten thousand ids after it was used. If the
// process dies, or can't reach the store for so long, what was reserved and not settled comes back when the lease ends, and
// is settled late.
//
// Where more is used than was estimated, or recorded without a reservation, the process that did it admits nothing
// beyond the limit from then on; others may, within what they have leased, for the twentieth of a second until they see it.
type LeaseOptions struct {
	// TTL is how long a lease lasts by the store's clock unless it is renewed, which Run does. For three quarters of that
	// time after asking for it, by its own clocks, the process admits requests from it. A budget that is made, lowered or
	// disabled takes effect on leased traffic within that time, and in a fraction of a second while the store is well.
	// Defaults to 20 seconds.
	TTL time.Duration
	// AsyncSettle makes Settle of what was admitted from memory return at once; Run records it soon after, and what is
	// waiting when Run ends before it returns, for which it has the ledger's CloseTimeout. What was not recorded yet is
	// lost if the process is killed, and errors go to OnError. At most AsyncQueue settlements wait; beyond that Settle
	// waits too. Defaults to false.
	AsyncSettle bool
	// AsyncQueue is how many settlements may wait. Defaults to 10,000.
	AsyncQueue int
}

func (o LeaseOptions) withDefaults() LeaseOptions {
	if o.TTL <= 0 {
		o.TTL = 20 * time.Second
	}
	if o.AsyncQueue <= 0 {
		o.AsyncQueue = 10_000
	}
	return o
}

// leases is what a process has leased, and what it has admitted from that.
type leases struct {
	options LeaseOptions
	clock   leaseClock
	keeping chan struct{} // holds a token while somebody keeps them: one at a time
	nudge   chan struct{} // tells the keeper that something is due
	settles chan *entry   // that wait to be recorded, with AsyncSettle

	running atomic.Bool // a Run keeps them: else nothing is admitted. It is changed with the mutex

	mu      sync.Mutex // guards what follows, with all parts and reservations
	plans   map[planKey]*plan
	parts   map[CounterKey]*part
	due     []*part // about which something is to be done
	open    map[ReservationKey]*leased
	soonest time.Duration // no open reservation expires before
	lately  recent
}

// A leaseClock tells the time twice: a clock that was set back, or stood still while the machine slept, must not make a
// lease last longer.
type leaseClock struct {
	wall      func() time.Time
	monotonic func() time.Duration
}

// A moment is one instant by both clocks.
type moment struct {
	wall      time.Time
	monotonic time.Duration
}

func (c leaseClock) now() moment { return moment{c.wall().Round(0), c.monotonic()} }

func (m moment) add(d time.Duration) moment { return moment{m.wall.Add(d), m.monotonic + d} }

// before reports whether m is before o by both clocks.
func (m moment) before(o moment) bool { return m.wall.Before(o.wall) && m.monotonic < o.monotonic }

func newLeases(o LeaseOptions, wall func() time.Time) *leases {
	start := time.Now()
	o = o.withDefaults()
	return &leases{
		options: o,
		clock:   leaseClock{wall, func() time.Duration { return time.Since(start) }},
		keeping: make(chan struct{}, 1),
		nudge:   make(chan struct{}, 1),
		settles: make(chan *entry, o.AsyncQueue),
		plans:   make(map[planKey]*plan),
		parts:   make(map[CounterKey]*part),
		open:    make(map[ReservationKey]*leased),
		soonest: math.MaxInt64,
	}
}

// A leased is a reservation that was admitted from memory.
type leased struct {
	request  *request
	estimate usage.Totals // that of the request, with what is held for what it leaves unknown
	shares   []share
	space    [4]share // where most have theirs
	expires  moment   // by the monotonic clock: what is held does not come back early because a clock was set forward
	state    leasedState
	settling int                // flushes, and the queue of AsyncSettle, that may settle it
	moved    *StoredReservation // what it is at the store, where it was extended
}

type leasedState uint8

const (
	leasedOpen leasedState = iota
	leasedSettled
	leasedReleased
	leasedExpired
	leasedMoved // it is one of the store's now
)

// A share is what a reservation holds of a part.
type share struct {
	part  *part
	units int64
}

// holds reports whether the reservation holds its room. It needs the mutex.
func (x *leased) holds(now moment) bool {
	for _, s := range x.shares {
		if !s.part.lasts(now) {
			return false
		}
	}
	return x.state == leasedOpen && now.monotonic < x.expires.monotonic
}

// stored returns the reservation as it would be stored.
func (l *leases) stored(x *leased) StoredReservation {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.moved != nil {
		return *x.moved
	}
	r := x.request
	row := StoredReservation{
		ID: r.id, Subject: r.subject, Time: r.time, Estimate: x.estimate, Expires: micros(x.expires.wall),
		Holds: make([]Hold, len(x.shares)),
	}
	for i, s := range x.shares {
		row.Holds[i] = Hold{CounterKey: s.part.counter, Units: s.units}
	}
	return row
}

var (
	// errWithoutLease says that something is for the store to decide.
	errWithoutLease = errors.New("not for a lease")

	errIDUsed = fmt.Errorf("%w: its id can't be used again", ErrClosed)
)

// admit admits a request from memory, or finds the reservation that was made with its id before. The error is
// errWithoutLease if the store must be asked.
func (l *leases) admit(c *core, r *request) (*leased, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	if r.named {
		if x, err := l.made(r, now); x != nil || err != nil {
			return x, err
		}
	}
	if x := l.take(c, r, now); x != nil {
		return x, nil
	}
	if r.named {
		l.lately.add(r.key(), nil)
	}
	return nil, errWithoutLease
}

// made returns the reservation that was made with the request's id, nil if the id is free. It needs the mutex.
func (l *leases) made(r *request, now moment) (*leased, error) {
	if x := l.open[r.key()]; x != nil {
		switch {
		case x.settling > 0:
			return nil, errIDUsed
		case !x.holds(now):
			l.finish(x, leasedExpired)
		case x.request.seal() != r.seal():
			return nil, errOtherRequest
		default:
			return x, nil
		}
	}
	switch x, known := l.lately.get(r.key()); {
	case !known:
		return nil, nil
	case x == nil || x.state == leasedMoved:
		return nil, errWithoutLease // what the store was asked for once is for the store
	case x.state == leasedExpired:
		return nil, nil
	default:
		return nil, errIDUsed
	}
}

// note makes sure that what the first request for a subject needs is leased too: its budgets were not known until the store
// was asked.
func (l *leases) note(c *core, r *request) {
	if l == nil || r.noted {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.plan(c, r); p != nil {
		l.need(c, p, r, l.clock.now())
	}
}

// take admits a request if every part that it needs has room. It needs the mutex.
func (l *leases) take(c *core, r *request, now moment) *leased {
	p := l.plan(c, r)
	if p == nil {
		return nil
	}
	x := &leased{request: r, estimate: r.totals}
	x.shares = x.space[:0]
	for i := range p.seats {
		units, ours := p.seats[i].units(r, c.options.AdmitUnknown)
		if !ours {
			return nil
		}
		part := l.partOf(&p.seats[i])
		if part == nil || !part.admits(units, p.version, now) {
			l.need(c, p, r, now) // all that it lacks at once
			return nil
		}
		x.shares = append(x.shares, share{part, units})
	}
	for i, s := range x.shares {
		l.use(s.part, s.units, now)
		if b := p.seats[i].budget; r.unknown.of(b.Metric) {
			b.assume(s.units, r.time, &x.estimate)
		}
	}
	x.expires = now.add(r.ttl)
	l.soonest = min(l.soonest, x.expires.monotonic)
	l.open[r.key()] = x
	return x
}

// find returns what is known of a reservation that was admitted from memory and has not moved to the store, also for some
// time after it ended. It returns nil without leases.
func (l *leases) find(key ReservationKey) *leased {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.open[key]
	if x == nil {
		x, _ = l.lately.get(key)
	}
	if x == nil || x.state == leasedMoved {
		return nil
	}
	return x
}

// extend makes the reservation hold its room for so long from now. The error is errWithoutLease if the room is gone: then
// it has expired. It reports whether the reservation is one of the store's.
func (l *leases) extend(x *leased, d time.Duration) (moved bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	switch {
	case x.state == leasedMoved:
		return true, nil
	case x.state == leasedSettled, x.state == leasedReleased, x.settling > 0:
		return false, ErrClosed
	case !x.holds(now):
		l.finish(x, leasedExpired)
		return false, errWithoutLease
	}
	if until := now.add(d); x.expires.monotonic < until.monotonic {
		x.expires = until
	}
	return false, nil
}

// move makes a reservation that has expired here one of the store's.
func (l *leases) move(x *leased, to StoredReservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.state, x.moved = leasedMoved, &to
}

// release gives back what the reservation holds. The error is errWithoutLease if the reservation is one of the store's.
func (l *leases) release(x *leased) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case x.state == leasedMoved:
		return errWithoutLease
	case x.state == leasedSettled:
		return fmt.Errorf("%w: it was settled", ErrClosed)
	case x.settling > 0:
		return fmt.Errorf("%w: it is being settled", ErrClosed)
	default:
		l.finish(x, leasedReleased)
		return nil
	}
}

// settle returns what the reservation holds, and keeps that from changing until the flush that settles it has ended.
func (l *leases) settle(x *leased) []share {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.state == leasedOpen && x.settling == 0 && l.clock.monotonic() >= x.expires.monotonic {
		l.finish(x, leasedExpired) // the clock decides, not the keeper
	}
	if x.state != leasedOpen {
		return nil
	}
	x.settling++
	return x.shares
}

func (l *leases) released(x *leased) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return x.state == leasedReleased
}

// finish ends a reservation that is open. What it held of a part is the part's again, unless the store has taken it out
// already: that shows in what is held. It needs the mutex.
func (l *leases) finish(x *leased, state leasedState) {
	if x.state != leasedOpen {
		return
	}
	x.state = state
	for _, s := range x.shares {
		s.part.out -= s.units
	}
	delete(l.open, x.request.key())
	l.lately.add(x.request.key(), x)
}

// expire ends the reservations whose time is over. It needs the mutex.
func (l *leases) expire(now moment) {
	if now.monotonic < l.soonest {
		return
	}
	l.soonest = math.MaxInt64
	for _, x := range l.open {
		if now.monotonic >= x.expires.monotonic && x.settling == 0 {
			l.finish(x, leasedExpired)
		} else {
			l.soonest = min(l.soonest, x.expires.monotonic)
		}
	}
}

// A recent remembers reservations by their keys: the last maxRecent of them, and up to as many before. A nil one is of the
// store.
type recent struct{ now, before map[ReservationKey]*leased }

const maxRecent = 1 << 13

func (r *recent) add(key ReservationKey, x *leased) {
	if len(r.now) >= maxRecent {
		r.now, r.before = r.before, r.now
		clear(r.now)
	}
	if r.now == nil {
		r.now = make(map[ReservationKey]*leased)
	}
	r.now[key] = x
}

func (r *recent) get(key ReservationKey) (x *leased, known bool) {
	if x, known = r.now[key]; !known {
		x, known = r.before[key]
	}
	return x, known
}
