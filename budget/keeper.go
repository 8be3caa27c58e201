package budget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// pollInterval is how often a process looks whether others want the room that it has leased.
const pollInterval = 50 * time.Millisecond

// keepLeases keeps this process's leases until ctx ends, then gives them back. It reports false if somebody does already.
func (l *Ledger) keepLeases(ctx context.Context) {
	if !l.leases.start() {
		<-ctx.Done()
		return
	}
	var settling sync.WaitGroup
	settling.Go(func() { l.settleQueued(ctx) })
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		l.keep(ctx, false)
		select {
		case <-ctx.Done():
		case <-l.leases.nudge:
		case <-ticker.C:
			l.watch(ctx)
		}
	}
	l.leases.stop()
	settling.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.options.CloseTimeout)
	defer cancel()
	l.keep(closing, true)
}

// settleQueued records what waits to be settled, until ctx has ended and nothing waits any more.
func (l *Ledger) settleQueued(ctx context.Context) {
	for {
		select {
		case e := <-l.leases.settles:
			l.settleWith(ctx, e)
		case <-ctx.Done():
			l.leases.stop() // nothing more is queued
			for {
				select {
				case e := <-l.leases.settles:
					l.settleWith(context.WithoutCancel(ctx), e)
				default:
					return
				}
			}
		}
	}
}

// settleWith records an entry and those that wait behind it.
func (l *Ledger) settleWith(ctx context.Context, e *entry) {
	entries := []*entry{e}
	for len(entries) < maxFlush && len(l.leases.settles) > 0 {
		entries = append(entries, <-l.leases.settles)
	}
	for {
		_, err := l.submitGroup(context.WithoutCancel(ctx), entries)
		if err == nil {
			break
		}
		l.options.OnError(fmt.Errorf("settle %d reservations: %w", len(entries), err))
		if ctx.Err() != nil || !isStoreFailure(err) {
			return
		}
	}
	for _, e := range entries {
		if e.err != nil {
			l.options.OnError(fmt.Errorf("settle reservation %q: %w", e.event.ID, e.err))
		}
	}
}

// later queues the entry to be recorded by Run. It reports false if that can't be: Run does not run, or too many wait.
func (l *leases) later(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.options.AsyncSettle || !l.running {
		return false
	}
	select {
	case l.settles <- e:
		return true
	default:
		return false
	}
}

func (l *leases) start() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	started := !l.running
	l.running = true
	return started
}

func (l *leases) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
}

// keep carries out what is to be done, in transactions shared with other callers.
func (l *Ledger) keep(ctx context.Context, closing bool) {
	orders := l.leases.orders(l.cache.version.Load(), closing)
	for some := range slices.Chunk(orders, maxFlush) {
		if err := l.carryOut(ctx, some); err != nil && ctx.Err() == nil {
			l.options.OnError(fmt.Errorf("keep leases: %w", err))
		}
	}
}

func (l *Ledger) carryOut(ctx context.Context, orders []*leaseOrder) error {
	sent := l.leases.clock.now()
	entries := make([]*entry, len(orders))
	for i, o := range orders {
		e := newClaim(keep, StoredReservation{ID: o.part.row.ID, Subject: o.part.subject}, l.now())
		e.claim.key, e.claim.order = o.part.row, o
		entries[i] = e
	}
	if _, err := l.submitGroup(ctx, entries); err != nil {
		return err
	}
	var errs []error
	for i, e := range entries {
		if e.err != nil {
			errs = append(errs, e.err)
			continue
		}
		l.leases.answered(orders[i], sent)
	}
	return errors.Join(errs...)
}

// watch looks whether others want what this process has leased.
func (l *Ledger) watch(ctx context.Context) {
	for keys := range slices.Chunk(l.leases.watched(), pageSize) {
		counters, err := l.counters(ctx, CounterQuery{Keys: keys})
		if err != nil {
			if ctx.Err() == nil {
				l.options.OnError(fmt.Errorf("watch leases: %w", err))
			}
			return
		}
		l.leases.saw(counters)
	}
}

// keepLease grants more to a lease, takes some back, and makes it last, by the budgets as they are now.
func (a *admission) keepLease(e *entry, budgets []*cached, counters tallies) {
	o := e.claim.order
	r := a.rows[e.claim.key]
	e.conclude(nil)
	if r == nil && o.want > 0 {
		r = &row{StoredReservation: StoredReservation{
			ID: e.claim.key.ID, Time: e.event.RecordedAt, Lease: true, Holds: []Hold{{CounterKey: o.part.counter}},
		}}
		a.rows[e.claim.key] = r
	}
	if r == nil || r.gone || len(r.Holds) != 1 {
		return // it has ended, or its budget counts anew
	}
	hold := &r.Holds[0]
	tally := counters[hold.CounterKey]
	change := -min(max(o.giveBack, 0), hold.Units)
	if b := stillThere(budgets, e, hold.CounterKey); b != nil {
		change += grant(o.want, tally.room(b.limit), o.unit)
	} else {
		change = -hold.Units // nothing more is admitted from it
	}
	*hold = Hold{CounterKey: hold.CounterKey, Units: hold.Units + change}
	for _, tallies := range []tallies{counters, a.adds} {
		tally := tallies[hold.CounterKey]
		tally.Reserved += change
		tally.Leased += change
		tallies[hold.CounterKey] = tally
	}
	o.wanted = tally.Wanted
	r.Expires, r.changed = micros(a.now.Add(o.ttl)), true
	r.gone = hold.Units == 0 && (o.end || !r.stands)
}

// stillThere returns the budget of a lease's counter if it still counts what the lease is for.
func stillThere(budgets []*cached, e *entry, key CounterKey) *cached {
	for _, b := range budgets {
		if b.ID != key.Budget || b.Disabled {
			continue
		}
		charge, counts, err := b.Charge(&StoredEvent{Subject: e.event.Subject, Time: latest(time.UnixMicro(key.Start), b.window().Start)})
		if err == nil && counts && charge.CounterKey == key {
			return b
		}
	}
	return nil
}

// The least part of what is available that is leased at once is an eighth: others want some too. What is less than a few
// requests' worth is left to be asked for one by one.
const (
	leasedPart   = 8
	fewestLeased = 4
)

// grant returns how much to lease of what is available to one who wants so much.
func grant(want, available, unit int64) int64 {
	n := min(want, available/leasedPart)
	if n < fewestLeased*max(unit, 1) {
		return 0
	}
	return n
}
