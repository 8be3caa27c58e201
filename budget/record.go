package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// Outcome says what became of one event.
type Outcome string

// The outcomes.
const (
	Recorded  Outcome = "recorded"  // stored and counted
	Duplicate Outcome = "duplicate" // stood there already with the same content, perhaps by the caller's own earlier try; nothing was counted
	Conflict  Outcome = "conflict"  // the id stands there with other content; nothing was changed
	Invalid   Outcome = "invalid"   // refused, the error says why; nothing was stored
	NotTried  Outcome = "not_tried" // the store failed or the context ended before its turn came; nothing was stored
	Unknown   Outcome = "unknown"   // the store failed in its transaction; sending it again is safe
)

// A Result is what became of one event.
type Result struct {
	ID      string
	Outcome Outcome
	Late    bool  // it settled a reservation that had ended before
	Err     error // nil for recorded and duplicate
}

// Record stores an event and counts it against every budget that covers it: once, however often it is sent. It returns
// after the commit. That the event was stored before is no error.
//
// Errors: ErrInvalid with the fields, ErrNoPrice, ErrConflict if the id stands with other content, ErrPruned, ErrOverflow, and what
// the store says; after ErrOutcomeUnknown, and after a failure whose cause is not known, send the same event again.
func (l *Ledger) Record(ctx context.Context, e usage.Event) (Result, error) {
	results, err := l.RecordBatch(ctx, []usage.Event{e})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		err = fmt.Errorf("record event %q: %w", e.ID, err)
	}
	return results[0], err
}

// RecordBatch stores events like [Ledger.Record], in transactions of at most 500, in order, and returns a result per
// event in the events' order. One bad event never costs the others. The batch as a whole is not atomic. The error is
// that of a store that failed: then some results are unknown or not tried, and the remedy is to send the whole batch
// again.
func (l *Ledger) RecordBatch(ctx context.Context, events []usage.Event) ([]Result, error) {
	now := l.now()
	entries := make([]*entry, len(events))
	for i, e := range events {
		entries[i] = l.prepare(e, now)
		l.price(entries[i], e.Amounts)
	}
	err := l.recall(ctx, entries)
	var valid []int
	for i, e := range entries {
		if e.err == nil {
			valid = append(valid, i)
		}
	}
	if failed := l.submit(ctx, entries, valid); failed != nil {
		err = failed
	}
	results := make([]Result, len(events))
	for i, e := range events {
		results[i] = entries[i].result(e.ID)
		if err == nil && results[i].Outcome == Unknown {
			err = results[i].Err
		}
	}
	return results, err
}

// An entry is one event on its way into the store, or what somebody does with a reservation.
type entry struct {
	event   StoredEvent // of a claim that is not settled, only subject and RecordedAt count
	claim   *claim      // nil: the event is recorded, and that is all
	queued  time.Time   // when the call came that brought it; zero in all but the first of a call
	outcome Outcome
	err     error
}

func (e *entry) result(id string) Result {
	return Result{ID: id, Outcome: e.outcome, Late: e.err == nil && e.claim != nil && e.claim.late, Err: e.err}
}

// fail says what becomes of an entry that err keeps from being stored, whatever was thought of it before.
func (e *entry) fail(err error) {
	e.err = err
	switch {
	case errors.Is(err, ErrConflict):
		e.outcome = Conflict
	case isRefusal(err):
		e.outcome = Invalid
	default:
		e.outcome = Unknown
	}
}

func refused(err error) *entry {
	e := &entry{}
	e.fail(err)
	return e
}

// isRefusal reports whether an error is about what was to be stored, and the store is well.
func isRefusal(err error) bool {
	for _, refusal := range []error{
		ErrInvalid, ErrNoPrice, ErrConflict, ErrPruned, ErrOverflow, ErrNotFound, ErrClosed, ErrExceeded, ErrResourceNotAllowed,
		ErrEstimateRequired,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// prepare checks an event and fills in what does not depend on the store.
func (l *Ledger) prepare(e usage.Event, now time.Time) *entry {
	if err := errors.Join(e.Validate(), l.validateTime(e.Time, now)); err != nil {
		return refused(err)
	}
	totals, err := e.Totals()
	if err != nil {
		return refused(err)
	}
	stored := StoredEvent{
		ID:         e.ID,
		Subject:    cloneSubject(e.Subject),
		Time:       micros(e.Time),
		Totals:     totals,
		Hash:       e.Hash(),
		RecordedAt: now,
	}
	if e.Time.IsZero() {
		stored.Time = now
	} else {
		stored.Flags |= TimeGiven
	}
	if e.Cost != nil {
		stored.Flags |= CostGiven
	}
	return &entry{event: stored}
}

func (l *Ledger) validateTime(t, now time.Time) error {
	if t.After(now.Add(l.options.FutureTolerance)) {
		return invalid.Field("time", "is %s, more than %s ahead of now", t.Format(time.RFC3339), l.options.FutureTolerance)
	}
	return nil
}

// submit records the entries with these indexes, in groups of at most maxFlush; in one group in a transaction of the
// caller's, which takes its locks in order only then. If the store fails, what it did not get to is replaced by entries
// that say so.
func (l *Ledger) submit(ctx context.Context, entries []*entry, indexes []int) error {
	size := maxFlush
	if l.queue == nil {
		size = max(1, len(indexes))
	}
	for start := 0; start < len(indexes); start += size {
		batch := make([]*entry, min(size, len(indexes)-start))
		for i := range batch {
			batch[i] = entries[indexes[start+i]]
		}
		taken, err := l.submitGroup(ctx, batch)
		if err == nil {
			continue
		}
		for i, index := range indexes[start:] {
			// A new entry, not the old one: a leader may still be writing to that.
			entries[index] = &entry{outcome: NotTried, err: err}
			if taken && i < len(batch) {
				entries[index].outcome = Unknown
			}
		}
		return err
	}
	return nil
}

// submitGroup records entries, in one transaction with those of other callers where it may. It reports whether their turn
// came.
func (l *Ledger) submitGroup(ctx context.Context, batch []*entry) (taken bool, err error) {
	if l.queue == nil {
		return true, l.recordApart(ctx, batch)
	}
	batch[0].queued = time.Now()
	return l.queue.do(ctx, batch)
}

// errStale says that the catalog has moved on since the definitions were read.
var errStale = errors.New("definitions have changed")

// recordCurrent records the entries by the definitions as they are, reading those again if they have changed meanwhile.
func (c *core) recordCurrent(ctx context.Context, entries []*entry) error {
	subjects := make([]usage.Subject, len(entries))
	for i, e := range entries {
		subjects[i] = e.event.Subject
	}
	claims := hasClaims(entries)
	guesses := &c.guesses
	if claims {
		guesses = &c.openings
	}
	guess := guesses.next()
	foresee := claims && guess && c.foresights.next()
	var a *admission
	var after map[CounterKey]Counter
	for {
		known, err := c.cache.find(ctx, c.store, subjects)
		if err != nil {
			return err
		}
		err = c.store.Update(ctx, func(tx Tx) (err error) {
			if !claims {
				after, err = c.recordIn(ctx, tx, entries, known, guess)
			} else if a, err = c.admitIn(ctx, tx, entries, known, guess, foresee); err == nil {
				after = a.after
			}
			return err
		})
		switch {
		case errors.Is(err, errRetaken):
			lookForAll(entries)
		case errors.Is(err, errOverdue):
			if err := c.sweep(ctx); err != nil {
				return err
			}
		case foresee && errors.Is(err, errUnforeseen):
			foresee = false
			c.foresights.wrong()
		// A sum that overflows may do so by events that are not new.
		case guess && (errors.Is(err, ErrGuessedWrong) || errors.Is(err, ErrOverflow)):
			guess, foresee = false, false
			guesses.wrong()
		case errors.Is(err, errStale):
			c.cache.forget(known.catalog.Version)
		default:
			if err == nil {
				c.leases.learn(a, after)
			}
			return err
		}
	}
}

// guesses decides when to guess that all events are new. After a wrong guess, which costs a transaction, more are likely:
// where a file is imported a second time, say.
type guesses struct{ pause atomic.Int32 }

const pauseAfterWrongGuess = 16

func (g *guesses) next() bool {
	if g.pause.Load() <= 0 {
		return true
	}
	g.pause.Add(-1)
	return false
}

func (g *guesses) wrong() { g.pause.Store(pauseAfterWrongGuess) }

// recordIn is the transaction that records. With guess, it is one step instead of three if tx can. It returns the counters
// that it changed, as they are after it.
func (c *core) recordIn(ctx context.Context, tx Tx, entries []*entry, known found, guess bool) (map[CounterKey]Counter, error) {
	batch := newBatch(len(entries))
	for _, e := range entries {
		e.outcome, e.err = "", nil // anew: an earlier run may have left something
		batch.add(e, known.catalog)
	}
	if one, can := tx.(Recorder); can && guess && len(batch.events) > 0 {
		batch.answer(Inserted{Version: known.catalog.Version})
		return c.countWith(ctx, tx, entries, known, func(w Writes) (map[CounterKey]Counter, error) {
			return one.Record(ctx, known.catalog.Version, batch.events, w)
		})
	}
	if err := tx.Fence(ctx, Shared); err != nil {
		return nil, err
	}
	inserted, err := tx.InsertEvents(ctx, batch.events)
	if err != nil {
		return nil, fmt.Errorf("insert events: %w", err)
	}
	if inserted.Version != known.catalog.Version {
		return nil, errStale
	}
	batch.answer(inserted)
	return c.count(ctx, tx, entries, known)
}

// A batch is the events of a transaction.
type batch struct {
	entries []*entry
	events  []StoredEvent
	firsts  map[EventKey]*entry // the entries that are the events, should these be new
}

func newBatch(n int) *batch {
	return &batch{events: make([]StoredEvent, 0, n), firsts: make(map[EventKey]*entry, n)}
}

func (b *batch) add(e *entry, catalog Catalog) {
	if err := notPruned(e.event, catalog); err != nil {
		e.fail(err)
		return
	}
	b.entries = append(b.entries, e)
	if key := e.event.Key(); b.firsts[key] == nil {
		b.firsts[key] = e
		b.events = append(b.events, e.event)
	}
}

// answer says what became of the entries.
func (b *batch) answer(inserted Inserted) {
	for _, e := range b.entries {
		e.answer(b.firsts[e.event.Key()], inserted)
	}
}

func notPruned(e StoredEvent, catalog Catalog) error {
	if e.Time.Before(catalog.PruneFloor) {
		return fmt.Errorf("%w: its time is before %s", ErrPruned, catalog.PruneFloor.Format(time.RFC3339))
	}
	return nil
}

// answer says what became of an entry; first is the one of its flush that came first with its key.
func (e *entry) answer(first *entry, inserted Inserted) {
	stands, taken := inserted.Taken[e.event.Key()]
	switch {
	case !taken && first == e:
		e.outcome = Recorded
		return
	case !taken:
		stands = first.event
	}
	if sameContent(stands, e.event) {
		e.outcome = Duplicate
		return
	}
	e.fail(fmt.Errorf("%w: an event with this id and other content is recorded", ErrConflict))
}

// sameContent reports whether two events with the same key are what one caller gave. Hashes of another version can't
// be compared, so then the fields are.
func sameContent(a, b StoredEvent) bool {
	if a.Hash.Version() == b.Hash.Version() {
		return a.Hash == b.Hash
	}
	const given = TimeGiven | CostGiven
	if a.Flags&given != b.Flags&given || a.Flags&TimeGiven != 0 && !a.Time.Equal(b.Time) {
		return false
	}
	if a.Flags&CostGiven == 0 {
		a.Totals.Nanodollars = b.Totals.Nanodollars
	}
	return a.Totals == b.Totals && a.Corrects == b.Corrects && a.Reason == b.Reason &&
		a.User == b.User && a.APIKey == b.APIKey && a.Resource == b.Resource && maps.Equal(a.Labels, b.Labels)
}

// count adds the events that were recorded to their counters and to the sums of usage, and makes the alerts for the
// levels that this crosses.
func (c *core) count(ctx context.Context, tx Tx, entries []*entry, known found) (map[CounterKey]Counter, error) {
	return c.countWith(ctx, tx, entries, known, func(w Writes) (map[CounterKey]Counter, error) {
		if len(w.Counters) == 0 && len(w.Usage) == 0 {
			return nil, nil
		}
		return tx.Apply(ctx, w)
	})
}

func (c *core) countWith(ctx context.Context, tx Tx, entries []*entry, known found, apply func(Writes) (map[CounterKey]Counter, error)) (map[CounterKey]Counter, error) {
	sums := newSums(known.zone)
	for i, e := range entries {
		if e.outcome != Recorded {
			continue
		}
		if err := sums.add(&e.event, known.budgets[i]); err != nil {
			return nil, err
		}
	}
	after, err := apply(Writes{Counters: sums.counters(), Usage: sums.usage()})
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	for _, counter := range after {
		if err := counter.fits(); err != nil {
			return nil, fmt.Errorf("count: what is used: %w", err)
		}
	}
	alerts := c.crossings(sums, after)
	if len(alerts.Alerts) == 0 {
		return after, nil
	}
	if _, err := tx.Apply(ctx, alerts); err != nil {
		return nil, fmt.Errorf("store alerts: %w", err)
	}
	return after, nil
}
