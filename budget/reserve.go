package budget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// Reserve asks every budget that covers the request for room. Either all hard ones have it, and the reservation holds it
// in all of them, or nothing is held. An exact fit is admitted; where nothing is left, nothing is, not even a request for
// nothing. Soft and observing budgets hold too, and refuse nothing.
//
// With an error there is no reservation, and Close of it does nothing, so that a defer may come before the error is
// looked at.
//
// Errors: [*ExceededError], which is ErrExceeded; ErrResourceNotAllowed; ErrEstimateRequired; ErrInvalid with the fields;
// ErrConflict if the id holds room for another request; ErrClosed if the id was settled or released; and what the store
// says: after ErrOutcomeUnknown, send the same request again with the same id, or leave the hold to expire.
func (l *Ledger) Reserve(ctx context.Context, r Request) (*Reservation, error) {
	res, err := l.reserve(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("reserve: %w", err)
	}
	return res, nil
}

func (l *Ledger) reserve(ctx context.Context, r Request) (*Reservation, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	named := r.ID != ""
	if !named {
		r.ID = l.options.NewID()
	}
	if r.TTL == 0 {
		r.TTL = l.options.ReservationTTL
	}
	req, err := l.newRequest(r, l.now())
	if err != nil {
		return nil, err
	}
	req.named = named
	if l.leases != nil {
		x, err := l.leases.admit(l.core, req)
		if err == nil {
			return &Reservation{ledger: l, leased: x}, nil
		}
		if !errors.Is(err, errWithoutLease) {
			return nil, err
		}
	}
	row, err := l.reserveStored(ctx, req)
	switch {
	case err == nil:
		l.outage.end()
		l.leases.note(l.core, req)
		return &Reservation{ledger: l, row: &row}, nil
	case l.options.FailOpen != nil && ctx.Err() == nil && isStoreFailure(err):
		return l.admitUnheld(req, err)
	default:
		return nil, err
	}
}

// reserveStored asks the store for room.
func (l *Ledger) reserveStored(ctx context.Context, r *request) (StoredReservation, error) {
	r.seal()
	return l.submitUntilRoom(ctx, func(final bool) *entry {
		e := newClaim(reserve, StoredReservation{ID: r.id, Subject: r.subject}, r.time)
		e.claim.request, e.claim.ttl, e.claim.named, e.claim.final = r, r.ttl, r.named, final
		return e
	})
}

// How long a request that lacks room waits for those who have leased it, at first and in all.
const (
	firstWait  = 5 * time.Millisecond
	longestAsk = 250 * time.Millisecond
)

// submitUntilRoom does what an entry says that asks for room. If it lacks what others have leased, these are asked to give
// it back, and it is tried again; but not in a transaction of the caller's, of which others would not hear before its end.
func (l *Ledger) submitUntilRoom(ctx context.Context, entry func(final bool) *entry) (StoredReservation, error) {
	for wait, waited := firstWait, time.Duration(0); ; wait *= 2 {
		e := entry(waited >= longestAsk || l.queue == nil)
		err := l.submitClaim(ctx, e)
		var short *shortError
		if !errors.As(err, &short) {
			return e.stored(err)
		}
		l.leases.yieldTo(short.counters)
		wait = min(wait, longestAsk-waited)
		if err := l.pause(ctx, wait); err != nil {
			return StoredReservation{}, err
		}
		waited += wait
	}
}

// stored returns what came of an entry that asked for room.
func (e *entry) stored(err error) (StoredReservation, error) {
	if err != nil {
		return StoredReservation{}, err
	}
	return e.claim.row, nil
}

// newClaim returns an entry that does something with a reservation.
func newClaim(what act, r StoredReservation, now time.Time) *entry {
	return &entry{
		event: StoredEvent{ID: r.ID, Subject: r.Subject, RecordedAt: now},
		claim: &claim{act: what, key: r.Key(), named: true, stands: r.asStored()},
	}
}

// submitClaim does what one entry says, in one transaction with what others do. If its outcome is unknown, the entry must
// not be touched any more.
func (l *Ledger) submitClaim(ctx context.Context, e *entry) error {
	if _, err := l.submitGroup(ctx, []*entry{e}); err != nil {
		return err
	}
	return e.err
}

// A Settlement is what was really used by what a reservation was made for.
type Settlement struct {
	usage.Amounts
	Resource string            // "": that of the reservation
	Labels   map[string]string // nil: those of the reservation
	Time     time.Time         // zero: that of the reservation, so that it counts in the period in which it was admitted
}

// Settle records what was used as an event with the reservation's id, and gives back what the reservation holds, in one
// transaction. It works from any process, however much was used, and also after the reservation expired or was released:
// then the event is marked late. Settling again with the same content counts nothing.
//
// Errors: ErrInvalid with the fields, ErrNoPrice, ErrNotFound if there never was such a reservation or it ended long ago (record the
// usage as an event with its id then), ErrConflict if it was settled, or recorded, with other content: what it may still
// hold is given back, ErrPruned, ErrOverflow, and what
// the store says: after ErrOutcomeUnknown, settle again.
func (l *Ledger) Settle(ctx context.Context, key ReservationKey, s Settlement) (Result, error) {
	result, err := l.settleKey(ctx, key, s)
	if err != nil {
		return result, fmt.Errorf("settle reservation %q: %w", key.ID, err)
	}
	return result, nil
}

func (l *Ledger) settleKey(ctx context.Context, key ReservationKey, s Settlement) (Result, error) {
	x := l.leases.find(key)
	var r StoredReservation
	var err error
	if x != nil {
		r = l.leases.stored(x)
	} else {
		r, err = l.findReservation(ctx, key)
	}
	var e *entry
	if err == nil {
		e, err = l.settleEntry(ctx, r, s, 0)
	}
	switch {
	case err != nil && isRefusal(err):
		return Result{ID: key.ID, Outcome: Invalid, Err: err}, err
	case err != nil:
		return Result{ID: key.ID, Outcome: NotTried, Err: err}, err
	case x != nil:
		return l.settleLeased(ctx, x, e)
	default:
		return l.submitSettle(ctx, e)
	}
}

// settleEntry returns an entry that settles the reservation, the event having these flags. One that is settled at the
// estimate costs what that cost, known or not: it is recorded whatever prices there are now. One that
// has no price goes its way if its event stands: it still ends what is held.
func (l *Ledger) settleEntry(ctx context.Context, r StoredReservation, s Settlement, flags EventFlags) (*entry, error) {
	subject := r.Subject
	if s.Resource != "" {
		subject.Resource = s.Resource
	}
	if s.Labels != nil {
		subject.Labels = s.Labels
	}
	e := l.prepare(usage.Event{ID: r.ID, Time: s.Time, Subject: subject, Amounts: s.Amounts}, l.now())
	e.event.Flags |= flags
	if s.Time.IsZero() {
		e.event.Time = r.Time
	}
	if flags&Estimated == 0 {
		l.price(e, s.Amounts)
	}
	if e.unpriced() {
		_ = l.recall(ctx, []*entry{e}) // its error is e's
	}
	if e.err != nil {
		return nil, e.err
	}
	e.claim = &claim{act: settle, key: r.Key(), named: true, stands: r.asStored()}
	return e, nil
}

// settleLeased settles a reservation that was admitted from memory by an entry of settleEntry.
func (l *Ledger) settleLeased(ctx context.Context, x *leased, e *entry) (Result, error) {
	shares := l.leases.settle(x)
	e.claim.leased, e.claim.shares = x, shares
	// Nobody else can have one with an id that was made here.
	e.claim.named = x.request.named || len(shares) == 0
	if l.leases.later(e) {
		return Result{ID: e.event.ID, Outcome: Recorded}, nil
	}
	result, err := l.submitSettle(ctx, e)
	if err == nil && len(shares) == 0 {
		l.giveBack(ctx) // it may have expired just now. What was spent comes first
	}
	return result, err
}

func (l *Ledger) submitSettle(ctx context.Context, e *entry) (Result, error) {
	id, claim := e.event.ID, e.claim
	taken, err := l.submitGroup(ctx, []*entry{e})
	switch {
	case err == nil:
		return e.result(id), e.err
	case taken:
		return Result{ID: id, Outcome: Unknown, Err: err}, err
	default:
		l.leases.flushed([]*entry{{claim: claim}}, nil)
		return Result{ID: id, Outcome: NotTried, Err: err}, err
	}
}

// Release gives back what a reservation holds, the work not having been done. Releasing one that was released or has
// expired is no error.
//
// Errors: ErrClosed if it was settled, ErrNotFound, and what the store says.
func (l *Ledger) Release(ctx context.Context, key ReservationKey) error {
	err := validateKey(key)
	if err == nil {
		r := StoredReservation{ID: key.ID, Subject: usage.Subject{Tenant: key.Tenant}}
		err = l.release(ctx, r, l.leases.find(key))
	}
	if err != nil {
		return fmt.Errorf("release reservation %q: %w", key.ID, err)
	}
	return nil
}

// release gives back what the reservation holds; x is nil if it is one of the store's.
func (l *Ledger) release(ctx context.Context, r StoredReservation, x *leased) error {
	if x != nil {
		err := l.leases.release(x)
		if err == nil {
			l.giveBack(ctx)
		}
		if !errors.Is(err, errWithoutLease) {
			return err
		}
	}
	return l.submitClaim(ctx, newClaim(release, r, l.now()))
}

// Extend makes a reservation hold its room for so long from now, by the store's clock, and never for less than it would
// without; zero means the ledger's ReservationTTL. One that has expired is asked for anew, in the period that runs now,
// and may be refused. It returns when the reservation expires.
//
// Errors: those of [Ledger.Reserve], ErrClosed if it was settled or released, ErrNotFound.
func (l *Ledger) Extend(ctx context.Context, key ReservationKey, d time.Duration) (time.Time, error) {
	var r StoredReservation
	err := errors.Join(validateKey(key), validateTTL("extend_by", d))
	if err != nil {
		return time.Time{}, fmt.Errorf("extend reservation %q: %w", key.ID, err)
	}
	if x := l.leases.find(key); x != nil {
		r, err = l.extendLeased(ctx, x, d)
	} else if r, err = l.findReservation(ctx, key); err == nil {
		r, err = l.extend(ctx, r, d)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("extend reservation %q: %w", key.ID, err)
	}
	return r.Expires, nil
}

func (l *Ledger) extend(ctx context.Context, r StoredReservation, d time.Duration) (StoredReservation, error) {
	if err := validateTTL("extend_by", d); err != nil {
		return StoredReservation{}, err
	}
	if d == 0 {
		d = l.options.ReservationTTL
	}
	return l.submitUntilRoom(ctx, func(final bool) *entry {
		e := newClaim(extend, r, l.now())
		e.claim.ttl, e.claim.final = d, final
		return e
	})
}

// extendLeased extends a reservation that was admitted from memory. If its room is gone, it is asked for at the store, and
// the reservation is one of the store's from then on.
func (l *Ledger) extendLeased(ctx context.Context, x *leased, d time.Duration) (StoredReservation, error) {
	if err := validateTTL("extend_by", d); err != nil {
		return StoredReservation{}, err
	}
	if d == 0 {
		d = l.options.ReservationTTL
	}
	moved, err := l.leases.extend(x, d)
	if !moved && !errors.Is(err, errWithoutLease) {
		return l.leases.stored(x), err
	}
	var r StoredReservation
	if moved {
		r, err = l.extend(ctx, l.leases.stored(x), d)
	} else {
		l.giveBack(ctx)
		again := *x.request
		again.named, again.time, again.ttl = true, l.now(), d
		r, err = l.reserveStored(ctx, &again)
	}
	if err == nil {
		l.leases.move(x, r)
	}
	return r, err
}

func validateKey(key ReservationKey) error {
	return errors.Join(invalid.OptionalName("tenant", key.Tenant), invalid.Name("id", key.ID))
}

// findReservation returns what is known of a reservation, also of one that was settled: its id, subject and time.
func (l *Ledger) findReservation(ctx context.Context, key ReservationKey) (StoredReservation, error) {
	if err := validateKey(key); err != nil {
		return StoredReservation{}, err
	}
	ctx, cancel := l.briefly(ctx)
	defer cancel()
	keys := []ReservationKey{key}
	var found []StoredReservation
	err := l.look(ctx, "find it", func(r ReadTx) (err error) {
		found, err = r.Reservations(ctx, ReservationQuery{Keys: keys})
		found = slices.DeleteFunc(found, func(r StoredReservation) bool { return r.Lease })
		return err
	})
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	events, err := l.findEvents(ctx, keys)
	e, settled := events[key]
	if err == nil && !settled {
		err = ErrNotFound
	}
	return StoredReservation{ID: e.ID, Subject: e.Subject, Time: e.Time}, err
}

func first[T any](list []T) (one T) {
	if len(list) > 0 {
		one = list[0]
	}
	return one
}

// Reservations returns reservations that are stored, in ascending order of tenant and id: those that hold room, and for
// some time those that were released or have expired. Those that were settled are events. Leases are among them, see
// [LeaseOptions], but only the process that holds one can end it. A Limit of 0 or less is 100.
func (l *Ledger) Reservations(ctx context.Context, q ReservationQuery) (found []StoredReservation, err error) {
	if err := q.validate(); err != nil {
		return nil, fmt.Errorf("read reservations: %w", err)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	err = l.look(ctx, "read reservations", func(r ReadTx) (err error) {
		found, err = r.Reservations(ctx, q)
		return err
	})
	return found, err
}
