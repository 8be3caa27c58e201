package budget

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/alert"
)

// maxOverdue is how many overdue reservations one transaction ends beside its own work.
const maxOverdue = 1000

var (
	// errRetaken says that a reservation's key was taken by another transaction since it was looked for, or without its
	// having been looked for.
	errRetaken = errors.New("the reservation's id has just been taken")

	// errOverdue says that there are more overdue reservations than one transaction ends, and that a request would be
	// refused for want of what they hold.
	errOverdue = errors.New("more reservations are overdue")

	errOtherRequest = fmt.Errorf("%w: a reservation with this id and another request is open", ErrConflict)
)

// An act is what an entry does with a reservation.
type act uint8

const (
	reserve act = iota
	settle
	release
	extend
	keep // a lease
)

// A claim is what an entry does with a reservation, and what came of it.
type claim struct {
	act     act
	request *request           // of reserve; extend asks anew with the one that it finds
	ttl     time.Duration      // of reserve and extend
	named   bool               // the key may be taken: it is looked for
	unheld  bool               // of settle: admitted without the store, so that nothing is held
	stands  *StoredReservation // of settle, release and extend: as this process knows it; nil: it does not
	leased  *leased            // of settle: admitted from memory
	shares  []share            // and what it holds of which lease
	order   *leaseOrder        // of keep
	final   bool               // of reserve and extend: room that is leased to others was asked for already
	key     ReservationKey
	row     StoredReservation // of reserve and extend: what came of it
	late    bool              // of settle: the reservation had ended before
	moot    bool              // of settle: nobody knows what was used, but somebody that it was nothing
}

// A row is a reservation on its way through a transaction.
type row struct {
	StoredReservation
	stands  bool // in the store, at the beginning
	changed bool
	gone    bool
}

// An admission is a transaction in which entries with claims take part. Reservations are settled, released and extended
// first, then those that are overdue end, then requests are judged in the order in which they came: all of these calls are
// under way at the same time, so that every order is right.
type admission struct {
	core    *core
	tx      Tx
	entries []*entry
	known   found

	now     time.Time // by the store's clock
	stamp   time.Time // from when what is made or ended here holds, or does not: now, or close to it
	rows    map[ReservationKey]*row
	settled map[EventKey]bool      // events stand under these keys, which have no reservation
	opened  bool                   // the first steps were taken in one
	locked  map[CounterKey]Counter // with it
	asked   []asking               // in the order in which they came
	adds    tallies                // what changes beside what events charge
	more    bool                   // there may be more overdue reservations than were taken
	charges *sums
	refused map[CounterKey]*cached // the counters that refused a request
	after   map[CounterKey]Counter // those that were changed, as they are after it

	foresees bool    // what is written was foreseen, or is to be
	foreseen *Writes // what was written with the first steps
	imagined bool    // nothing is asked of the store
}

// A shortError says that a request lacks room only because of what others have leased.
type shortError struct{ counters []CounterKey }

func (*shortError) Error() string { return "the room is leased" }

// admitIn is the transaction that does what the entries say.
func (c *core) admitIn(ctx context.Context, tx Tx, entries []*entry, known found, guess, foresee bool) (*admission, error) {
	a := &admission{
		core: c, tx: tx, entries: entries, known: known,
		rows: make(map[ReservationKey]*row), adds: make(tallies), charges: newSums(known.zone),
		refused: make(map[CounterKey]*cached),
	}
	for _, e := range entries {
		e.outcome, e.err = "", nil // anew: an earlier run may have left something
	}
	steps := []func(context.Context) error{a.fence, a.take, a.findEvents, a.insert, a.end, a.judge, a.lookAgain, a.write}
	if o, can := tx.(Opener); can && guess {
		open := func(ctx context.Context) error { return a.open(ctx, o, foresee) }
		steps = []func(context.Context) error{open, a.end, a.judge, a.lookAgain, a.write}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *admission) fence(ctx context.Context) error { return a.tx.Fence(ctx, Shared) }

// take reads the reservations that the entries name, and those that are overdue if somebody needs room.
func (a *admission) take(ctx context.Context) error {
	keys, overdue := a.wanted()
	taken, err := a.tx.TakeReservations(ctx, keys, overdue)
	if err != nil {
		return fmt.Errorf("take reservations: %w", err)
	}
	return a.took(taken, keys, overdue)
}

// wanted returns which reservations to take, and how many that are overdue.
func (a *admission) wanted() (keys []ReservationKey, overdue int) {
	for _, e := range a.entries {
		if e.claim == nil {
			continue
		}
		if e.claim.named {
			keys = append(keys, e.claim.key)
		}
		for _, s := range e.claim.shares {
			keys = append(keys, s.part.row)
		}
		if e.claim.wantsRoom() {
			overdue = maxOverdue
		}
	}
	slices.SortFunc(keys, ReservationKey.Compare)
	return slices.Compact(keys), overdue
}

func (a *admission) took(taken Taken, keys []ReservationKey, overdue int) error {
	if taken.Version != a.known.catalog.Version {
		return errStale
	}
	a.now = taken.Now
	a.core.storeClock.saw(a.now)
	if !a.foresees {
		a.stamp = a.now
	}
	for key, r := range taken.Reservations {
		a.rows[key] = &row{StoredReservation: r, stands: true}
	}
	beside := len(taken.Reservations)
	for _, key := range keys {
		if a.rows[key] != nil {
			beside--
		}
	}
	a.more = overdue > 0 && beside >= overdue
	return nil
}

// wantsRoom reports whether room must be found, so that what is overdue is given back first.
func (c *claim) wantsRoom() bool {
	return c.act == reserve || c.act == extend || c.act == keep && c.order.want > 0
}

// findEvents looks for events under the keys that have no reservation: those were settled.
func (a *admission) findEvents(ctx context.Context) error {
	var keys []EventKey
	for _, e := range a.entries {
		if c := e.claim; c != nil && c.act != settle && c.act != keep && c.named && a.rows[c.key] == nil {
			keys = append(keys, c.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.SortFunc(keys, EventKey.Compare)
	events, err := a.tx.LockEvents(ctx, slices.Compact(keys))
	if err != nil {
		return fmt.Errorf("find settled reservations: %w", err)
	}
	a.settled = make(map[EventKey]bool, len(events))
	for key := range events {
		a.settled[key] = true
	}
	return nil
}

// insert records the events of those entries that bring one.
func (a *admission) insert(ctx context.Context) error {
	for e, r := range a.claims(settle) {
		e.claim.late = a.isLate(e.claim)
		e.claim.moot = e.event.Flags&Estimated != 0 && r != nil && r.State == Released
	}
	batch := a.batch()
	if len(batch.events) == 0 {
		return nil
	}
	inserted, err := a.tx.InsertEvents(ctx, batch.events)
	if err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	batch.answer(inserted)
	for e := range a.claims(settle) {
		if e.outcome == Duplicate {
			// What stands says how it was settled. One of this transaction that is not in Taken was marked alike.
			if stands, taken := inserted.Taken[e.event.Key()]; taken {
				e.claim.late = stands.Flags&Late != 0
			}
		}
	}
	return a.charge()
}

// batch returns the events that entries bring, those of settlements marked if they are late.
func (a *admission) batch() *batch {
	batch := newBatch(len(a.entries))
	for _, e := range a.entries {
		switch {
		case e.claim == nil:
		case e.claim.act != settle:
			continue
		case e.claim.moot:
			e.outcome = Duplicate
			continue
		case e.claim.late:
			e.event.Flags |= Late
		default:
			e.event.Flags &^= Late
		}
		batch.add(e, a.known.catalog)
	}
	return batch
}

// charge adds the events that were recorded to what is to be counted.
func (a *admission) charge() error {
	for i, e := range a.entries {
		if e.outcome != Recorded {
			continue
		}
		if err := a.charges.add(&e.event, a.known.budgets[i]); err != nil {
			return err
		}
	}
	return nil
}

// isLate reports whether what a claim settles holds nothing any more.
func (a *admission) isLate(c *claim) bool {
	if c.unheld {
		return false
	}
	lost := func(r *row) bool { return r == nil || !r.holds(a.now) }
	if len(c.shares) == 0 {
		return lost(a.reservation(c))
	}
	return slices.ContainsFunc(c.shares, func(s share) bool { return lost(a.rows[s.part.row]) })
}

// overdue reports whether the reservation's time is over: when Expires is reached.
func (r *StoredReservation) overdue(now time.Time) bool {
	return r.State == Open && !now.Before(r.Expires)
}

// end ends the reservations that are settled, released or overdue, and extends those that still hold.
func (a *admission) end(context.Context) error {
	for e, r := range a.claims(settle) {
		// Also if an event with other content stands there: then this was settled by that.
		if r != nil && !e.claim.moot && (e.outcome == Recorded || e.outcome == Duplicate || e.outcome == Conflict) {
			a.drop(r)
			r.gone = true
		}
		if e.outcome == Recorded {
			a.takeShares(e.claim.shares)
		}
	}
	for e, r := range a.claims(release) {
		e.conclude(a.release(r, e.claim))
	}
	for e, r := range a.claims(extend) {
		if r != nil && r.holds(a.now) {
			a.prolong(r, e.claim)
		}
	}
	for _, r := range a.rows {
		if !r.gone && r.overdue(a.now) {
			a.expire(r)
		}
	}
	return nil
}

// prolong makes a reservation hold for as long as a claim says, if that is longer.
func (a *admission) prolong(r *row, c *claim) {
	r.Expires = latest(r.Expires, micros(a.stamp.Add(c.ttl)))
	r.changed = true
}

// claims yields the entries that do one thing, each with its reservation, nil if there is none.
func (a *admission) claims(what act) iter.Seq2[*entry, *row] {
	return func(yield func(*entry, *row) bool) {
		for _, e := range a.entries {
			if e.claim != nil && e.claim.act == what && !yield(e, a.reservation(e.claim)) {
				return
			}
		}
	}
}

// reservation returns the one that a claim is about, nil if there is none. A lease is none: what ends it without the
// process that holds it would let that admit what others have been given. But its id is taken.
func (a *admission) reservation(c *claim) *row {
	r := a.rows[c.key]
	if r != nil && r.Lease && c.act != reserve && c.act != keep {
		return nil
	}
	return r
}

// holds reports whether the reservation holds its room at this moment of the transaction.
func (r *row) holds(now time.Time) bool {
	return !r.gone && r.State == Open && !r.overdue(now)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// conclude takes down what came of a claim that records nothing.
func (e *entry) conclude(err error) {
	e.outcome, e.err = Recorded, err
	if err != nil {
		e.fail(err)
	}
}

// drop takes what a reservation holds, or held, out of the counters.
func (a *admission) drop(r *row) {
	if r.gone {
		return
	}
	for _, h := range r.Holds {
		a.adds.hold(&r.StoredReservation, h, -1)
		if r.State == Expired {
			a.adds.expire(h, -1)
		}
	}
}

// release gives back what a reservation holds. Once is enough, and one that is overdue has expired, whether somebody has
// noticed or not.
func (a *admission) release(r *row, c *claim) error {
	if r == nil || r.gone {
		return a.ended(c.key, r)
	}
	if r.holds(a.now) {
		a.drop(r)
		r.State, r.Expires, r.Holds, r.changed = Released, a.stamp, nil, true
	}
	return nil
}

// ended says why there is no reservation: it was settled, or never made.
func (a *admission) ended(key ReservationKey, r *row) error {
	if a.settled[key] || r != nil {
		return fmt.Errorf("%w: it was settled", ErrClosed)
	}
	return ErrNotFound
}

// expire ends a reservation whose time is over. A lease that expires leaves nothing to be settled.
func (a *admission) expire(r *row) {
	a.drop(r)
	if r.Lease {
		r.gone = true
		return
	}
	for _, h := range r.Holds {
		a.adds.expire(h, 1)
	}
	r.State, r.changed = Expired, true
}

// judge locks the counters and judges the requests by them, in the order in which they came.
func (a *admission) judge(ctx context.Context) error {
	var keys []CounterKey
	for i, e := range a.entries {
		request, err := a.request(e)
		if err != nil {
			e.fail(err)
		}
		if request == nil || err != nil {
			continue
		}
		request.reach(a.known.budgets[i])
		bids, err := request.bids(a.known.budgets[i])
		if err != nil {
			e.fail(err)
			continue
		}
		a.asked = append(a.asked, asking{e, request, bids})
		for _, b := range bids {
			keys = append(keys, b.hold.CounterKey)
		}
	}
	keeps := a.keeps()
	for _, k := range keeps {
		keys = append(keys, k.entry.claim.order.part.counter)
	}
	if len(keys) == 0 && len(a.asked) == 0 {
		return nil
	}
	// All that will be written to, at once: what is locked later might be locked by one who waits for these.
	keys = slices.AppendSeq(keys, maps.Keys(a.adds))
	keys = slices.AppendSeq(keys, maps.Keys(a.charges.charges))
	counters, err := a.lock(ctx, keys)
	if err != nil {
		return err
	}
	for _, ask := range a.asked {
		if err := a.admit(ask, counters); err != nil {
			return err
		}
	}
	for _, k := range keeps {
		a.keepLease(k, counters)
	}
	return nil
}

// lookAgain looks once more for the reservations of requests that were refused and had none: another process may have been
// admitted with the same request since, and hold the very room that is lacking.
func (a *admission) lookAgain(ctx context.Context) error {
	if a.foreseen != nil {
		return nil // nobody is refused then, or something else was foreseen
	}
	var keys []ReservationKey
	for _, ask := range a.asked {
		if c := ask.entry.claim; ask.entry.err != nil && c.named && a.rows[c.key] == nil {
			keys = append(keys, c.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := a.tx.Reservations(ctx, ReservationQuery{Keys: keys, Limit: 1})
	if err == nil && len(found) > 0 {
		err = errRetaken
	}
	return err
}

// An asking is a request that is to be judged.
type asking struct {
	entry   *entry
	request *request
	bids    []bid
}

// request returns what an entry asks room for, nil if it asks for none, or has it.
func (a *admission) request(e *entry) (*request, error) {
	if e.claim == nil || e.err != nil {
		return nil, nil
	}
	r := a.reservation(e.claim)
	switch e.claim.act {
	case reserve:
		return a.reserve(e, r)
	case extend:
		return a.extend(e, r)
	default:
		return nil, nil
	}
}

func (a *admission) reserve(e *entry, r *row) (*request, error) {
	asked := e.claim.request
	switch {
	case a.settled[e.claim.key], r != nil && (r.gone || r.State == Released):
		return nil, fmt.Errorf("%w: its id can't be used again", ErrClosed)
	case r == nil || r.State == Expired:
		return asked, nil
	case r.Hash != asked.hash:
		return nil, errOtherRequest
	default:
		e.granted(r)
		return nil, nil
	}
}

// granted takes down that a reservation holds what the entry wants.
func (e *entry) granted(r *row) {
	e.conclude(nil)
	e.claim.row = r.StoredReservation
}

// extend returns the request of a reservation that has expired, to be made anew.
func (a *admission) extend(e *entry, r *row) (*request, error) {
	switch {
	case r == nil || r.gone:
		return nil, a.ended(e.claim.key, r)
	case r.State == Released:
		return nil, fmt.Errorf("%w: it was released", ErrClosed)
	case r.State == Expired:
		return &request{
			subject: r.Subject, id: r.ID, time: e.event.RecordedAt, totals: r.Estimate, hash: r.Hash, ttl: e.claim.ttl,
		}, nil
	default:
		e.granted(r)
		return nil, nil
	}
}

// lock locks counters and returns them as they are by what this transaction has done so far.
func (a *admission) lock(ctx context.Context, keys []CounterKey) (tallies, error) {
	slices.SortFunc(keys, CounterKey.Compare)
	keys = slices.Compact(keys)
	counters := make(tallies, len(keys))
	if len(keys) == 0 {
		return counters, nil
	}
	if a.foresees { // they are locked by being written to
		for _, key := range keys {
			a.adds.touch(key)
		}
	}
	locked, err := a.lockCounters(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("lock counters: %w", err)
	}
	for _, key := range keys {
		tally, err := locked[key].plus(a.adds[key])
		if charged := a.charges.charges[key]; err == nil && charged != nil {
			tally.Recorded, err = addUnits(tally.Recorded, charged.units)
		}
		if err == nil {
			err = tally.fits()
		}
		if err != nil {
			return nil, fmt.Errorf("what is used: %w", err)
		}
		counters[key] = tally
	}
	return counters, nil
}

func (a *admission) lockCounters(ctx context.Context, keys []CounterKey) (map[CounterKey]Counter, error) {
	switch {
	case a.imagined:
		return nil, nil
	case !a.opened:
		return a.tx.LockCounters(ctx, keys)
	}
	for _, key := range keys {
		if _, locked := a.locked[key]; !locked {
			return nil, ErrGuessedWrong
		}
	}
	return a.locked, nil
}

// admit judges one request. What comes of it counts for those behind it.
func (a *admission) admit(ask asking, counters tallies) error {
	e := ask.entry
	if r := a.rows[e.claim.key]; r != nil && r.holds(a.now) {
		// Somebody before it in this transaction was admitted.
		switch {
		case e.claim.act == extend:
			a.prolong(r, e.claim)
			e.granted(r)
		case r.Hash != ask.request.hash:
			e.fail(errOtherRequest)
		default:
			e.granted(r)
		}
		return nil
	}
	j := admit(ask.request, ask.bids, counters, a.core.options.AdmitUnknown)
	if j.refused && a.more {
		return errOverdue
	}
	short := j.shortOfLeased()
	for _, key := range short {
		tally := a.adds[key]
		tally.Wanted++
		a.adds[key] = tally
	}
	if len(short) > 0 && !e.claim.final {
		e.conclude(&shortError{short})
		return nil
	}
	for _, add := range j.adds() {
		for _, tallies := range []tallies{counters, a.adds} {
			sum, err := tallies[add.CounterKey].plus(add.Tally)
			if err != nil {
				return err
			}
			tallies[add.CounterKey] = sum
		}
	}
	for i, b := range j.bids {
		if j.refuses(i) {
			a.refused[b.hold.CounterKey] = b.budget
		}
	}
	if j.refused {
		e.conclude(j.decision(ask.request.time).Err())
		return nil
	}
	e.conclude(nil)
	e.claim.row = j.reservation(ask.request, a.stamp.Add(e.claim.ttl))
	a.put(e.claim.row)
	return nil
}

// put keeps a reservation that was admitted, in the place of an expired one if there is one.
func (a *admission) put(admitted StoredReservation) {
	key := admitted.Key()
	r := a.rows[key]
	if r == nil {
		r = &row{}
		a.rows[key] = r
	} else {
		a.drop(r)
	}
	r.StoredReservation, r.changed = admitted, true
}

// write writes what became of counters, sums of usage and reservations, and makes the alerts.
func (a *admission) write(ctx context.Context) error {
	w := a.writes()
	if err := a.apply(ctx, w); err != nil {
		return err
	}
	for _, counter := range a.after {
		if err := counter.sound(); err != nil {
			return fmt.Errorf("count: %w", err)
		}
	}
	alerts := a.core.crossings(a.charges, a.after)
	alerts.Alerts = append(alerts.Alerts, a.blocked(a.after)...)
	if len(alerts.Alerts) == 0 && len(alerts.Counters) == 0 {
		return nil
	}
	if _, err := a.tx.Apply(ctx, alerts); err != nil {
		return fmt.Errorf("store alerts: %w", err)
	}
	return nil
}

// apply writes, unless what was foreseen was written with the first steps: then it must be the same.
func (a *admission) apply(ctx context.Context, w Writes) (err error) {
	switch {
	case a.foreseen != nil && !w.are(a.foreseen):
		return errUnforeseen
	case a.foreseen != nil, w.nothing():
		return nil
	}
	if a.after, err = a.tx.Apply(ctx, w); errors.Is(err, ErrConflict) {
		return errRetaken
	}
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	return nil
}

// writes returns what became of counters, sums of usage and reservations, in ascending order.
func (a *admission) writes() Writes {
	w := Writes{Usage: a.charges.usage()}
	for _, charged := range a.charges.counters() {
		tally := a.adds[charged.CounterKey]
		tally.Recorded = charged.Recorded
		a.adds[charged.CounterKey] = tally
	}
	for key, tally := range a.adds {
		if tally != (Tally{}) || a.foresees {
			w.Counters = append(w.Counters, Counter{CounterKey: key, Tally: tally})
		}
	}
	slices.SortFunc(w.Counters, func(a, b Counter) int { return a.Compare(b.CounterKey) })
	for _, key := range slices.SortedFunc(maps.Keys(a.rows), ReservationKey.Compare) {
		switch r := a.rows[key]; {
		case r.gone && r.stands:
			w.DeleteReservations = append(w.DeleteReservations, key)
		case r.gone || !r.changed:
		case r.stands:
			w.PutReservations = append(w.PutReservations, r.StoredReservation)
		default:
			w.AddReservations = append(w.AddReservations, r.StoredReservation)
		}
	}
	return w
}

func (w *Writes) nothing() bool {
	return len(w.Counters) == 0 && len(w.Usage) == 0 && len(w.AddReservations) == 0 &&
		len(w.PutReservations) == 0 && len(w.DeleteReservations) == 0
}

// blocked returns the alerts of those counters that had refused nothing before.
func (a *admission) blocked(after map[CounterKey]Counter) []alert.Alert {
	if a.core.quiet {
		return nil
	}
	var alerts []alert.Alert
	for key, b := range a.refused {
		if a.adds[key].Denied == after[key].Denied && b.marks != nil {
			alerts = append(alerts, a.core.blockedAlert(b, after[key]))
		}
	}
	return alerts
}

func (c *core) blockedAlert(b *cached, counter Counter) alert.Alert {
	used := b.Metric.Decimal(counter.used())
	blocked := change{definition: &b.Definition, key: counter.CounterKey, tally: counter.Tally}.
		alert(c, alert.Blocked, alert.Mark{}, alert.Classify(used, b.Limit, b.Thresholds))
	blocked.Episode = 0 // one per period, however often the level rises
	blocked.Message = fmt.Sprintf("%s refused a request: %s of %s %s used, %s reserved",
		b.Name, used, b.Limit, b.Metric, b.Metric.Decimal(counter.Reserved))
	return blocked
}

// sound reports whether a counter is as a counter can be. What is held can't be less than nothing: every hold is given
// back once, by whoever ends its reservation.
func (c Counter) sound() error {
	if err := c.fits(); err != nil {
		return fmt.Errorf("what is used: %w", err)
	}
	if c.Reserved < 0 || c.Leased < 0 {
		return fmt.Errorf("counter %+v holds %d, %d of it leased: less than nothing; Verify tells what it should hold", c.CounterKey, c.Reserved, c.Leased)
	}
	return nil
}

// plus returns the sum of two tallies.
func (t Tally) plus(o Tally) (Tally, error) {
	var errs []error
	sum := func(a, b int64) int64 {
		s, err := addUnits(a, b)
		if err != nil {
			errs = append(errs, err)
		}
		return s
	}
	t = Tally{
		Recorded:    sum(t.Recorded, o.Recorded),
		Adjusted:    sum(t.Adjusted, o.Adjusted),
		Reserved:    sum(t.Reserved, o.Reserved),
		Pruned:      sum(t.Pruned, o.Pruned),
		Denied:      sum(t.Denied, o.Denied),
		WouldDeny:   sum(t.WouldDeny, o.WouldDeny),
		Episode:     sum(t.Episode, o.Episode),
		Leased:      sum(t.Leased, o.Leased),
		Wanted:      sum(t.Wanted, o.Wanted),
		Expired:     sum(t.Expired, o.Expired),
		ExpiredHeld: sum(t.ExpiredHeld, o.ExpiredHeld),
	}
	return t, errors.Join(errs...)
}
