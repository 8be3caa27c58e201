package budget

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/purser-go/purser/usage"
)

// A part is what this process holds of one counter: a lease.
//
// What the process may use of it is never more than what the row in the store holds. So what is given back is out of use
// from the moment at which that is decided, long before the store hears of it, and stays so if nobody knows whether the
// store has heard.
type part struct {
	row     ReservationKey
	counter CounterKey
	subject usage.Subject // one that the counter counts: by it the budget is found again
	stands  bool          // the row may stand in the store
	lost    bool          // it does not any more, or has nothing to do with the counter

	stored  *StoredReservation // the row, as the store said last; nil: that is not known
	holds   int64              // the row
	held    int64              // what of that may be used
	out     int64              // admitted, and not settled or released yet
	most    int64              // what the row holds beyond this is to be given back
	until   moment             // admits before
	version int64              // of the catalog by which it was granted
	limit   int64              // of the budget then

	due     bool          // the keeper was told
	short   bool          // a request lacked room
	yields  bool          // others lack room
	unit    int64         // about the most that one request asks for
	largest int64         // that one asked for since it was last resized
	chunk   int64         // how much to have free
	asked   int64         // by requests since it was last resized
	resized time.Duration // when that was
	used    time.Duration // when something was last asked of it
	renewed time.Duration // when the store was last asked to make it last
	rest    time.Duration // no more is asked for before
	again   time.Duration // who wants it again before gets it all
	wanted  int64         // Tally.Wanted as far as others were heard
}

// never is before any time of a leaseClock.
const never time.Duration = math.MinInt64 / 2

// maxParts is how many counters a process leases at the most. What is beyond goes request by request.
const maxParts = 1 << 12

// everything is more than a row holds.
const everything = math.MaxInt64

func (p *part) free() int64 { return p.held - p.out }

func (p *part) lasts(now moment) bool { return !p.lost && now.before(p.until) }

// admits reports whether there is room for so much, by the budget of this version of the catalog.
func (p *part) admits(units, version int64, now moment) bool {
	return p.version == version && p.lasts(now) && p.free() >= max(units, 1)
}

// give takes so much of what is free out of use.
func (p *part) give(units int64) {
	if units = min(units, p.free()); units > 0 {
		p.held -= units
		p.most = p.held
	}
}

// asks takes down that a request asks for so much.
func (p *part) asks(units int64, now moment) {
	p.used = now.monotonic
	p.asked = min(p.asked, mostLeased-units) + units
	p.largest = max(p.largest, min(units, mostLeased/firstChunk))
}

// use lets a request have so much. A part that is half used is topped up when the keeper looks after all; the keeper is told
// only of what may not last until then, since each order makes the flush that it falls in a longer one. It needs the mutex.
func (l *leases) use(p *part, units int64, now moment) {
	p.out += units
	p.asks(units, now)
	if p.free() < max(p.chunk/urgentPart, firstChunk/2*p.unit) {
		l.tell(p)
	}
}

// need takes down what a request lacks, unless the store would have to decide all the same. It needs the mutex.
func (l *leases) need(c *core, p *plan, r *request, now moment) {
	r.noted = true
	for i := range p.seats {
		if _, ours := p.seats[i].units(r, c.options.AdmitUnknown); !ours {
			return
		}
	}
	for i := range p.seats {
		units, _ := p.seats[i].units(r, c.options.AdmitUnknown)
		wanting := l.partOf(&p.seats[i])
		if wanting == nil {
			if len(l.parts) >= maxParts {
				continue
			}
			wanting = &part{
				row: ReservationKey{ID: c.options.NewID()}, counter: p.seats[i].key, subject: r.subject,
				most: everything, renewed: now.monotonic, resized: now.monotonic,
			}
			l.parts[wanting.counter] = wanting
		}
		wanting.asks(units, now)
		wanting.unit = max(wanting.unit, wanting.largest, 1)
		wanting.chunk = max(wanting.chunk, firstChunk*wanting.unit)
		if wanting.version != p.version || !wanting.lasts(now) {
			wanting.renewed = never
		}
		wanting.short = wanting.short || wanting.free() < max(units, 1)
		l.tell(wanting)
	}
}

// tell says that something is to be done about a part. It does not wait for the keeper. It needs the mutex.
func (l *leases) tell(p *part) {
	if !p.due {
		p.due = true
		l.due = append(l.due, p)
	}
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// lose forgets a part whose lease has ended. What was admitted from it may have come back to the store already. It needs
// the mutex.
func (l *leases) lose(p *part) {
	p.lost, p.held = true, 0
	if l.parts[p.counter] == p {
		delete(l.parts, p.counter)
	}
}

// A leaseOrder is what the keeper asks the store for. Carrying it out twice is as good as once.
type leaseOrder struct {
	part  *part
	sent  moment        // it was not sent before
	fresh bool          // nothing was asked for before it
	most  int64         // what the row holds beyond this is given back
	want  int64         // how much more to hold
	unit  int64         // what one request asks for
	seen  int64         // Tally.Wanted: if it is more by now, others are short
	ttl   time.Duration // from now on
	end   bool          // if nothing is held

	// The answer:
	room   int64 // of the budget, beside what is held
	limit  int64 // of the budget
	wanted int64 // Tally.Wanted
}

// A part is to last so long, at the pace at which requests asked for it since it was last given more. What they asked for
// in a short time says little: it counts as if it had been that of pollInterval. At first, and at least, a part is for so
// many requests. How soon half of these are used up is not known.
const (
	partLasts  = time.Second
	firstChunk = 16
	urgentPart = int64(partLasts / (2 * pollInterval)) // such a part of it is used up within two looks of the keeper
)

// How long nothing is leased of a counter of which nothing could be had, and of one that others wanted.
const (
	restAfterNothing = 100 * time.Millisecond
	restAfterYield   = 20 * time.Millisecond
)

// mostLeased is more than any process needs, and far from what int64 holds.
const mostLeased = math.MaxInt64 / 64

// orders returns what is to be done now: about what is due, or about all parts.
func (l *leases) orders(all, closing bool) []*leaseOrder {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	l.expire(now)
	ttl := l.options.TTL
	if closing {
		ttl = l.longest(now)
	}
	var orders []*leaseOrder
	consider := func(p *part) {
		if o := l.order(p, now, closing); o != nil {
			o.ttl = ttl
			orders = append(orders, o)
		}
	}
	for _, p := range l.due {
		p.due = false
		if !all && !p.lost {
			consider(p)
		}
	}
	l.due = l.due[:0]
	if all {
		for _, p := range l.parts {
			consider(p)
		}
	}
	slices.SortFunc(orders, func(a, b *leaseOrder) int { return a.part.row.Compare(b.part.row) })
	return orders
}

// order returns what is to be done about a part, nil if nothing is.
func (l *leases) order(p *part, now moment, closing bool) *leaseOrder {
	o := &leaseOrder{part: p, sent: now, fresh: !p.stands, unit: p.unit, seen: p.wanted}
	idle := now.monotonic-p.used > l.options.TTL/2
	switch {
	case o.fresh && (closing || idle):
		l.lose(p)
		return nil
	case closing, idle:
		p.give(p.free())
		o.end = p.out == 0
	case p.yields:
		p.yield(now.monotonic)
	case now.monotonic >= p.rest && (p.short || p.asked > 0 && p.free() < p.chunk/2):
		if p.stands {
			p.resize(now.monotonic)
		}
		o.want = p.chunk - max(p.free(), 0)
	}
	p.yields, p.short = false, false
	o.most = p.most
	renew := closing || o.end || now.monotonic-p.renewed >= l.options.TTL/4
	if o.want <= 0 && (o.fresh || o.most == everything && !renew) {
		return nil
	}
	p.stands = true
	return o
}

// yield gives back half of what is free: all would send this process's own requests to the store. Who is short of it again
// soon after gets the rest, and time to take it.
func (p *part) yield(now time.Duration) {
	units, rest := p.free()/2, restAfterYield
	if now < p.again {
		units, rest = p.free(), longestAsk
	} else if units < fewestLeased*p.unit {
		units = p.free()
	}
	p.give(units)
	p.rest, p.again = now+rest, now+2*longestAsk
}

// resize follows how fast the part is used.
func (p *part) resize(now time.Duration) {
	last, since := partLasts.Milliseconds(), max(now-p.resized, pollInterval).Milliseconds()
	lasting := p.asked/since*last + p.asked%since*last/since
	p.unit = max(p.largest, p.unit/2, 1)
	p.chunk = max(min(lasting, mostLeased), firstChunk*p.unit)
	p.asked, p.largest, p.resized = 0, 0, now
}

// longest returns for how long what is out may need its leases. It needs the mutex.
func (l *leases) longest(now moment) time.Duration {
	longest := l.options.TTL
	for _, x := range l.open {
		longest = max(longest, x.expires.monotonic-now.monotonic)
	}
	return longest
}

// learn takes over what a committed transaction did: to leases, if it had to do with reservations, and to counters, which it
// left as they are after it.
func (l *leases) learn(a *admission, after map[CounterKey]Counter) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a != nil {
		for _, e := range a.entries {
			if e.claim != nil {
				l.learnClaim(a, e)
			}
		}
	}
	for key, counter := range after {
		if p := l.parts[key]; p != nil {
			l.learnRoom(p, counter.room(p.limit))
		}
	}
}

// learnClaim takes over what became of a claim. It needs the mutex.
func (l *leases) learnClaim(a *admission, e *entry) {
	for _, s := range e.claim.shares {
		l.learnRow(s.part, a.rows[s.part.row])
	}
	if o := e.claim.order; o != nil {
		l.answer(o, a)
	}
	if x := e.claim.leased; x != nil && (e.err == nil || errors.Is(e.err, ErrConflict)) {
		l.finish(x, leasedSettled)
	}
}

// learnRow takes over what the row of a part holds, nil if it is gone. It needs the mutex.
func (l *leases) learnRow(p *part, r *row) {
	if !r.leases() {
		l.lose(p)
		return
	}
	if !p.lost {
		stored := r.StoredReservation
		p.stored, p.holds = &stored, stored.Holds[0].Units
		p.held = min(p.holds, p.most)
	}
}

// learnRoom gives back what the part has free of a counter that is over its limit, beside what it is giving back already. It
// needs the mutex.
func (l *leases) learnRoom(p *part, room int64) {
	if over := -max(room, -math.MaxInt64) - (p.holds - p.held); over > 0 && p.free() > 0 {
		p.give(over)
		l.tell(p)
	}
}

// answer takes over that an order was carried out. It needs the mutex.
func (l *leases) answer(o *leaseOrder, a *admission) {
	p := o.part
	if p.lost {
		return
	}
	if p.most == o.most {
		p.most = everything
	}
	r := a.rows[p.row]
	if r == nil && o.fresh {
		p.stands = false // nothing was to be had
	} else if l.learnRow(p, r); p.lost {
		return
	}
	p.until = o.sent.add(l.options.TTL / 4 * 3)
	p.renewed = o.sent.monotonic
	p.version, p.limit = a.known.catalog.Version, o.limit
	if o.want > 0 && p.free() < p.unit {
		p.rest = o.sent.monotonic + restAfterNothing
	}
	if o.wanted > p.wanted && !o.fresh {
		p.yields = true
		l.tell(p)
	}
	p.wanted = max(p.wanted, o.wanted)
	l.learnRoom(p, o.room)
}

// flushing takes over that entries are to be flushed which wait for that otherwise too.
func (l *leases) flushing(entries []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		e.claim.leased.settling++
	}
}

// flushed takes over that a flush has ended, after learn where its transaction was committed. If it is not known whether
// that was, nothing is admitted until it is.
func (l *leases) flushed(entries []*entry, err error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		if e.claim == nil {
			continue
		}
		unknown := errors.Is(err, ErrOutcomeUnknown) || errors.Is(e.err, ErrOutcomeUnknown)
		for _, s := range e.claim.shares {
			if unknown {
				s.part.until, s.part.stored = moment{}, nil
				l.ask(s.part)
			}
		}
		if len(e.claim.shares) > 0 {
			e.claim.leased.settling--
		}
		if o := e.claim.order; o != nil && unknown {
			o.part.stored = nil
			l.ask(o.part)
		}
	}
}

// ask makes the keeper ask the store what it holds for the part. It needs the mutex.
func (l *leases) ask(p *part) {
	p.renewed = never
	l.tell(p)
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
			p.yields = true
			l.tell(p)
		}
	}
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

// saw takes over how counters stand: what is wanted elsewhere, and what is over the limit, is given back.
func (l *leases) saw(counters []Counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range counters {
		p := l.parts[c.CounterKey]
		if p == nil {
			continue
		}
		if c.Wanted > p.wanted {
			p.wanted, p.yields = c.Wanted, true
			l.tell(p)
		}
		l.learnRoom(p, c.room(p.limit))
	}
}
