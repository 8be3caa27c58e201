package budget

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
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
// by its handle or its key, and from elsewhere its usage can be recorded as an event with its id. If the process dies,
// what was reserved and not settled comes back when the lease ends.
type LeaseOptions struct {
	// TTL is how long a lease lasts by the store's clock unless it is renewed, which Run does. For three quarters of that
	// time after asking for it, by its own clocks, the process admits requests from it. A budget that is made, lowered or
	// disabled takes effect on leased traffic within that time. Defaults to 20 seconds.
	TTL time.Duration
	// AsyncSettle makes Settle of what was admitted from memory return at once; Run records it soon after, and what is
	// waiting when Run ends before it returns. What was not recorded yet is lost if the process is killed, and errors go to
	// OnError. At most AsyncQueue settlements wait; beyond that Settle waits too. Defaults to false.
	AsyncSettle bool
	// AsyncQueue is how many settlements may wait. Defaults to 10,000.
	AsyncQueue int
}

func (o LeaseOptions) withDefaults() LeaseOptions {
	if o.TTL == 0 {
		o.TTL = 20 * time.Second
	}
	if o.AsyncQueue == 0 {
		o.AsyncQueue = 10_000
	}
	return o
}

// leases is what a process has leased, and what it has admitted from that. One mutex guards it all.
type leases struct {
	options LeaseOptions
	clock   leaseClock
	nudge   chan struct{} // tells the keeper that there is something to do
	settles chan *entry   // that wait to be recorded, with AsyncSettle

	mu      sync.Mutex
	running bool
	plans   map[planKey]*plan
	parts   map[CounterKey]*part
	rows    map[ReservationKey]*part // the same, and those that were replaced, by the row that holds them
	open    map[ReservationKey]*leased
	closed  recent // ids of what was settled or released lately
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
		nudge:   make(chan struct{}, 1),
		settles: make(chan *entry, o.AsyncQueue),
		plans:   make(map[planKey]*plan),
		parts:   make(map[CounterKey]*part),
		rows:    make(map[ReservationKey]*part),
		open:    make(map[ReservationKey]*leased),
	}
}

// A part is what this process holds of one counter: a lease. What it has free is held − out.
type part struct {
	row     ReservationKey
	counter CounterKey
	subject usage.Subject // one that the counter counts: by it the budget is found again
	made    bool          // the row may stand in the store

	held    int64  // by the lease, as the store said last
	out     int64  // admitted, and not settled or released yet
	until   moment // admits before
	version int64  // of the catalog by which it was granted

	unit    int64         // the most that one request asked for
	chunk   int64         // how much to hold
	asked   int64         // by requests since it was last given more
	granted time.Duration // when that was
	used    time.Duration // when something was last admitted from it
	renewed time.Duration
	rest    time.Duration // no more is asked for before
	short   bool          // a request lacked room
	wanted  int64         // Tally.Wanted as the store said last
	yield   bool          // others want the room
}

func (p *part) free() int64 { return p.held - p.out }

// A leased is a reservation that was admitted from memory.
type leased struct {
	request *request
	row     StoredReservation // without Expires
	shares  []share
	expires moment
	state   leasedState
}

type leasedState uint8

const (
	leasedOpen leasedState = iota
	leasedSettling
	leasedSettled
	leasedReleased
	leasedExpired
)

// A share is what a reservation holds of a part.
type share struct {
	part  *part
	units int64
}

// A planKey is a subject without labels.
type planKey struct{ tenant, user, apiKey, resource string }

// A plan is which counters a subject's requests are about, for as long as all of their periods run.
type plan struct {
	version int64
	from    time.Time
	until   time.Time
	seats   []seat
}

// A seat is one of the counters of a plan.
type seat struct {
	budget *cached
	value  Value
	key    CounterKey
}

const maxPlans = 1 << 16

// plan returns the plan of a request, nil if its budgets are not known. It needs the mutex.
func (l *leases) plan(c *cache, r *request) *plan {
	s := r.subject
	key := planKey{s.Tenant, s.User, s.APIKey, s.Resource}
	cacheable := len(s.Labels) == 0
	if p := l.plans[key]; cacheable && p != nil && p.version == c.version.Load() && !r.time.Before(p.from) && r.time.Before(p.until) {
		return p
	}
	p := newPlan(c, r)
	if cacheable && p != nil {
		if len(l.plans) >= maxPlans {
			clear(l.plans)
		}
		l.plans[key] = p
	}
	return p
}

func newPlan(c *cache, r *request) *plan {
	known, complete := c.lookup([]usage.Subject{r.subject})
	if !complete {
		return nil
	}
	p := &plan{version: known.catalog.Version, from: usage.MinTime, until: usage.EndTime}
	for _, b := range known.budgets[0] {
		value, covered := b.Scope.Match(r.subject)
		if !covered || b.excepts(value) || b.Disabled {
			continue
		}
		// The part of the time around the request in which the budget is as it is then.
		window, running := b.window(), b.Schedule.Bounds(r.time)
		switch {
		case window.Contains(r.time):
			p.within(running.Start, running.End)
			p.within(window.Start, window.End)
			p.seats = append(p.seats, seat{b, value, b.counterKey(value, r.time)})
		case r.time.Before(window.Start):
			p.within(p.from, window.Start)
		default:
			p.within(window.End, p.until)
		}
		for _, rate := range b.Rates {
			if rate.From.After(r.time) {
				p.within(p.from, rate.From)
			}
		}
	}
	return p
}

func (p *plan) within(from, until time.Time) {
	if from.After(p.from) {
		p.from = from
	}
	if until.Before(p.until) {
		p.until = until
	}
}

// units returns what the request asks of the seat, and whether that is for memory to decide: not where something else
// than room is in the way.
func (s *seat) units(r *request, admitUnknown bool) (units int64, ours bool) {
	var err error
	guess := r.unknown.of(s.budget.Metric)
	if guess {
		units = s.budget.minHold
	} else {
		units, err = s.budget.units(r.event())
	}
	asked := bid{budget: s.budget, hold: Hold{Units: units}, guess: guess}
	return units, err == nil && asked.judge(Tally{}, r.subject.Resource, admitUnknown) == Fits
}

// errWithoutLease says that a request is for the store to decide.
var errWithoutLease = errors.New("not for a lease")

// admit admits a request from memory, or finds the reservation that it made before. The error is errWithoutLease if the
// store must be asked.
func (l *leases) admit(c *core, r *request, named bool) (*Reservation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if named {
		if x := l.open[r.key()]; x != nil {
			if x.request.hash != r.hash {
				return nil, errOtherRequest
			}
			return &Reservation{leased: x, row: x.stored()}, nil
		}
		if l.closed.has(r.key()) {
			return nil, fmt.Errorf("%w: its id can't be used again", ErrClosed)
		}
	}
	if !l.running {
		return nil, errWithoutLease
	}
	p := l.plan(c.cache, r)
	if p == nil || len(p.seats) == 0 {
		return nil, errWithoutLease
	}
	now := l.clock.now()
	shares := make([]share, len(p.seats))
	for i := range p.seats {
		units, ours := p.seats[i].units(r, c.options.AdmitUnknown)
		if !ours {
			return nil, errWithoutLease
		}
		part := l.parts[p.seats[i].key]
		if part == nil || part.version != p.version || !now.before(part.until) || part.free() < max(units, 1) {
			l.need(c, p, r, now) // all that it lacks at once
			return nil, errWithoutLease
		}
		shares[i] = share{part, units}
	}
	x := &leased{request: r, shares: shares, expires: now.add(r.ttl)}
	x.row = StoredReservation{
		ID: r.id, Subject: r.subject, Time: r.time, Estimate: r.totals, Hash: r.hash,
		Holds: make([]Hold, len(shares)),
	}
	for i, s := range shares {
		s.part.out += s.units
		s.part.asked = plusCapped(s.part.asked, s.units)
		s.part.used = now.monotonic
		if s.part.free() < s.part.chunk/2 {
			l.tell()
		}
		x.row.Holds[i] = Hold{CounterKey: p.seats[i].key, Units: s.units}
		if seat := &p.seats[i]; r.unknown.of(seat.budget.Metric) {
			seat.budget.assume(s.units, r.time, &x.row.Estimate)
		}
	}
	l.open[r.key()] = x
	return &Reservation{leased: x, row: x.stored()}, nil
}

// need takes down what a request lacks. It needs the mutex.
func (l *leases) need(c *core, p *plan, r *request, now moment) {
	for i := range p.seats {
		units, _ := p.seats[i].units(r, c.options.AdmitUnknown)
		wanting := l.parts[p.seats[i].key]
		if wanting == nil {
			wanting = &part{
				row:     ReservationKey{ID: c.options.NewID()},
				counter: p.seats[i].key,
				subject: r.subject,
				renewed: now.monotonic,
				granted: now.monotonic,
			}
			l.parts[wanting.counter] = wanting
			l.rows[wanting.row] = wanting
		}
		wanting.used = now.monotonic
		wanting.asked = plusCapped(wanting.asked, units)
		wanting.unit = max(wanting.unit, min(units, mostLeased/firstChunk), 1)
		wanting.chunk = max(wanting.chunk, firstChunk*wanting.unit)
		wanting.short = wanting.short || wanting.free() < max(units, 1) || wanting.version != p.version
	}
	l.tell()
}

// firstChunk is how many requests' worth is leased at first.
const firstChunk = 16

// tell wakes the keeper. It does not wait for it.
func (l *leases) tell() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// find returns the reservation with this key if it was admitted from memory and has not ended; nil without leases.
func (l *leases) find(key ReservationKey) *leased {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[key]
}

// extend makes the reservation hold its room for so long from now. The error is errWithoutLease if the room is gone.
func (l *leases) extend(x *leased, d time.Duration) (StoredReservation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch x.state {
	case leasedSettled, leasedReleased:
		return StoredReservation{}, ErrClosed
	case leasedExpired:
		return StoredReservation{}, errWithoutLease
	}
	now := l.clock.now()
	for _, s := range x.shares {
		if l.rows[s.part.row] != s.part || !now.before(s.part.until) {
			return StoredReservation{}, errWithoutLease
		}
	}
	if until := now.add(d); x.expires.before(until) {
		x.expires = until
	}
	return x.stored(), nil
}

// stored returns the reservation as it would be stored. It needs the mutex, for the time at which it expires.
func (x *leased) stored() StoredReservation {
	row := x.row
	row.Expires = micros(x.expires.wall)
	return row
}

// expire makes the reservation hold nothing any more.
func (l *leases) expire(x *leased) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish(x, leasedExpired)
}

// release gives back what the reservation holds.
func (l *leases) release(x *leased) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch x.state {
	case leasedSettled, leasedSettling:
		return fmt.Errorf("%w: it was settled", ErrClosed)
	case leasedOpen:
		l.finish(x, leasedReleased)
	}
	return nil
}

// settling returns what the reservation holds, and keeps it from expiring meanwhile.
func (l *leases) settling(x *leased) []share {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch x.state {
	case leasedOpen:
		x.state = leasedSettling
	case leasedSettling:
	default:
		return nil
	}
	return x.shares
}

// unsettled takes back settling: it failed, or it is not known whether it did.
func (l *leases) unsettled(x *leased) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.state == leasedSettling {
		x.state = leasedOpen
	}
}

// finish ends a reservation. What it held of a part is the part's again, unless the store has taken it out already: that
// shows in what is held. It needs the mutex.
func (l *leases) finish(x *leased, state leasedState) {
	if x.state != leasedOpen && x.state != leasedSettling {
		return
	}
	x.state = state
	for _, s := range x.shares {
		s.part.out -= s.units
	}
	delete(l.open, x.row.Key())
	if state != leasedExpired {
		l.closed.add(x.row.Key())
	}
}

// lose forgets a part whose lease has ended. What was admitted from it may have come back to the store already. It needs
// the mutex.
func (l *leases) lose(p *part) {
	p.held, p.until = 0, moment{}
	delete(l.rows, p.row)
	if l.parts[p.counter] == p {
		delete(l.parts, p.counter)
	}
}

// learn takes over what a committed transaction did to leases.
func (l *leases) learn(a *admission) {
	if l == nil || a == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range a.entries {
		if e.claim == nil {
			continue
		}
		for _, s := range e.claim.shares {
			l.learnRow(s.part, a.rows[s.part.row])
		}
		if o := e.claim.order; o != nil {
			if r := a.rows[o.part.row]; r != nil && !r.stands && r.gone {
				o.part.made = false // nothing was to be had
			} else {
				l.learnRow(o.part, r)
			}
			o.part.version, o.part.wanted = a.known.catalog.Version, o.wanted
		}
		if x := e.claim.leased; x != nil && (e.err == nil || errors.Is(e.err, ErrConflict)) {
			l.finish(x, leasedSettled)
		}
	}
}

func (l *leases) learnRow(p *part, r *row) {
	if r == nil || r.gone || len(r.Holds) != 1 {
		l.lose(p)
		return
	}
	p.held = r.Holds[0].Units
}

// recent remembers keys: the last maxRecent of them, and up to as many before.
type recent struct{ now, before map[ReservationKey]bool }

const maxRecent = 1 << 16

func (r *recent) add(key ReservationKey) {
	if len(r.now) >= maxRecent {
		r.now, r.before = nil, r.now
	}
	if r.now == nil {
		r.now = make(map[ReservationKey]bool)
	}
	r.now[key] = true
}

func (r *recent) has(key ReservationKey) bool { return r.now[key] || r.before[key] }

// A leaseOrder is what the keeper asks the store for: more of a counter, or to take some back.
type leaseOrder struct {
	part     *part
	want     int64         // how much more
	giveBack int64         // how much less
	unit     int64         // what one request asks for
	ttl      time.Duration // from now on
	end      bool          // the lease ends
	wanted   int64         // of the answer: Tally.Wanted
}

// A part is to last so long, at the pace at which requests asked for it since it was last given more; but it does not grow
// by more than so many times at once, for what was asked in a short time says little.
const (
	partLasts   = time.Second
	fastestGrow = 8
)

// How long nothing is leased of a counter of which nothing could be had, and of one that others wanted.
const (
	restAfterNothing = 100 * time.Millisecond
	restAfterYield   = 20 * time.Millisecond
)

// orders returns what is to be done now. What is given back can't be used any more from here on.
func (l *leases) orders(version int64, closing bool) []*leaseOrder {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	for _, x := range l.open {
		if x.state == leasedOpen && !now.before(x.expires) {
			l.finish(x, leasedExpired)
		}
	}
	var orders []*leaseOrder
	for _, p := range l.rows {
		if o := l.order(p, now, version, closing); o != nil {
			orders = append(orders, o)
		}
	}
	slices.SortFunc(orders, func(a, b *leaseOrder) int { return a.part.row.Compare(b.part.row) })
	return orders
}

func (l *leases) order(p *part, now moment, version int64, closing bool) *leaseOrder {
	o := &leaseOrder{part: p, unit: p.unit, ttl: l.options.TTL}
	idle := now.monotonic-p.used > l.options.TTL/2
	replaced := l.parts[p.counter] != p
	switch {
	case closing || idle || replaced:
		if !p.made {
			l.lose(p)
			return nil
		}
		if !closing && p.out > 0 && p.free() <= 0 {
			break // kept for what is out, renewed below
		}
		o.giveBack = p.free()
		o.end = p.out == 0
		if closing {
			o.ttl = l.longest(now)
		}
	case p.yield && p.free() > 0:
		// Half of it, as often as it is asked for: all would send this process's own requests to the store.
		if o.giveBack = p.free() / 2; o.giveBack < fewestLeased*p.unit {
			o.giveBack = p.free()
		}
		p.rest = now.monotonic + restAfterYield
	case (p.short || p.free() < p.chunk/2) && now.monotonic >= p.rest && !p.yield:
		p.resize(now.monotonic)
		o.want = p.chunk - max(p.free(), 0)
	}
	p.yield, p.short = false, false
	if o.giveBack <= 0 && o.want <= 0 && !o.end && !closing && (!p.made || version == p.version && now.monotonic-p.renewed < l.options.TTL/4) {
		return nil
	}
	p.made = true
	p.held -= max(o.giveBack, 0)
	return o
}

// resize follows how fast the part is used.
func (p *part) resize(now time.Duration) {
	milliseconds := max((now - p.granted).Milliseconds(), 1)
	lasting := partLasts.Milliseconds() * min(p.asked/milliseconds, mostLeased/partLasts.Milliseconds())
	p.chunk = max(min(lasting, fastestGrow*p.chunk), firstChunk*p.unit)
	p.asked, p.granted = 0, now
}

// mostLeased is more than any process needs, and far from what int64 holds.
const mostLeased = math.MaxInt64 / 64

// plusCapped returns the sum of two numbers that are not negative, or mostLeased if it is more.
func plusCapped(a, b int64) int64 {
	return min(a, mostLeased-min(b, mostLeased)) + min(b, mostLeased)
}

// longest returns for how long what is out may need its leases. It needs the mutex.
func (l *leases) longest(now moment) time.Duration {
	longest := l.options.TTL
	for _, x := range l.open {
		longest = max(longest, x.expires.monotonic-now.monotonic)
	}
	return longest
}

// answered takes over that an order was carried out, the request for it having been sent at a moment.
func (l *leases) answered(o *leaseOrder, sent moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := o.part
	if l.rows[p.row] != p {
		return
	}
	p.until = sent.add(l.options.TTL / 4 * 3)
	p.renewed = sent.monotonic
	if o.want > 0 && p.free() < p.unit {
		p.rest = sent.monotonic + restAfterNothing
	}
}

// yieldTo makes the parts of these counters go back to the store, because a request needs their room.
func (l *leases) yieldTo(counters []CounterKey) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range counters {
		if p := l.parts[key]; p != nil {
			p.yield = true
		}
	}
	l.tell()
}

// watched returns the counters of which there is something to yield.
func (l *leases) watched() []CounterKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []CounterKey
	for key, p := range l.parts {
		if p.free() > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, CounterKey.Compare)
	return keys
}

// saw takes over how the counters stand, and yields what is wanted elsewhere.
func (l *leases) saw(counters []Counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range counters {
		if p := l.parts[c.CounterKey]; p != nil && c.Wanted > p.wanted {
			p.wanted, p.yield = c.Wanted, true
			l.tell()
		}
	}
}
