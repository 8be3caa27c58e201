package budget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// pollInterval is how often a process looks whether others want the room that it has leased, and whether budgets have
	// changed, and tops up what it has leased.
	pollInterval = 50 * time.Millisecond

	// retryInterval is how long a process waits that the store has failed.
	retryInterval = 500 * time.Millisecond
)

// keepLeases keeps this process's leases until ctx ends, then gives them back. While somebody else does, it waits for that
// to end.
func (l *Ledger) keepLeases(ctx context.Context) {
	select {
	case l.leases.keeping <- struct{}{}:
		defer func() { <-l.leases.keeping }()
	case <-ctx.Done():
		return
	}
	l.leases.run(true)
	var settling sync.WaitGroup
	settling.Go(func() { l.settleQueued(ctx) })
	l.keepOn(ctx)
	l.leases.run(false)
	settling.Wait()
	if err := l.keep(ctx, true, true); err != nil {
		l.options.OnError(err)
	}
}

// keepOn keeps the leases until ctx ends.
func (l *Ledger) keepOn(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		var err error
		select {
		case <-ctx.Done():
		case <-l.leases.nudge:
			err = l.keep(ctx, false, false)
		case <-ticker.C:
			err = errors.Join(l.watch(ctx), l.keep(ctx, true, false))
		}
		if err != nil && ctx.Err() == nil {
			l.options.OnError(err)
			_ = l.pause(ctx, retryInterval)
		}
	}
}

// run says whether a Run keeps the leases.
func (l *leases) run(running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running.Store(running)
}

// giveBack gives back what is free after Run has ended; while that runs, it is left to that. What can't be given back comes
// back when the lease ends.
func (l *Ledger) giveBack(ctx context.Context) {
	for !l.leases.running.Load() {
		select {
		case l.leases.keeping <- struct{}{}:
			defer func() { <-l.leases.keeping }()
			if err := l.keep(ctx, true, true); err != nil {
				l.options.OnError(err)
			}
			return
		default: // a Run begins or ends, or another does the same
		}
		if l.pause(ctx, firstWait) != nil {
			return
		}
	}
}

// keep carries out what is to be done, in transactions shared with other callers.
func (l *Ledger) keep(ctx context.Context, all, closing bool) error {
	var errs []error
	for orders := range slices.Chunk(l.leases.orders(all, closing), maxFlush) {
		entries := make([]*entry, len(orders))
		for i, o := range orders {
			entries[i] = newClaim(keep, StoredReservation{ID: o.part.row.ID, Subject: o.part.subject}, l.now())
			entries[i].claim.key, entries[i].claim.order = o.part.row, o
		}
		// Not even the end of Run keeps it from hearing what became of them.
		_, err := l.submitGroup(context.WithoutCancel(ctx), entries)
		for _, e := range entries {
			if err == nil {
				err = e.err
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("keep leases: %w", err))
		}
	}
	return errors.Join(errs...)
}

// watch looks whether others want what this process has leased, and whether the budgets are those that it knows.
func (l *Ledger) watch(ctx context.Context) error {
	ctx, cancel := l.briefly(ctx)
	defer cancel()
	known := l.cache.version.Load()
	for keys := range slices.Chunk(l.leases.watched(), pageSize) {
		err := l.view(ctx, "watch leases", func(r ReadTx) error {
			catalog, err := r.Catalog(ctx)
			if err != nil {
				return err
			}
			if catalog.Version != known {
				l.cache.forget(known)
			}
			counters, err := r.Counters(ctx, CounterQuery{Keys: keys})
			l.leases.saw(counters)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// later queues an entry that settles a reservation, to be recorded by Run. It reports false if that can't be: the
// reservation holds nothing, Run does not run, or too many wait.
func (l *leases) later(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.options.AsyncSettle || !l.running.Load() || len(e.claim.shares) == 0 {
		return false
	}
	select {
	case l.settles <- e:
		return true
	default:
		return false
	}
}

// settleQueued records what waits to be settled, until ctx has ended and nothing waits any more. While the store is away it
// goes on trying, at the end for the ledger's CloseTimeout.
func (l *Ledger) settleQueued(ctx context.Context) {
	var waiting []*entry
	for ctx.Err() == nil {
		if len(waiting) == 0 {
			select {
			case e := <-l.leases.settles:
				waiting = append(waiting, e)
			case <-ctx.Done():
			}
		}
		waiting = l.settleSome(ctx, waiting)
	}
	l.leases.run(false) // nothing more is queued
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.options.CloseTimeout)
	defer cancel()
	for closing.Err() == nil && len(waiting)+len(l.leases.settles) > 0 {
		waiting = l.settleSome(closing, waiting)
	}
	for len(l.leases.settles) > 0 {
		waiting = append(waiting, <-l.leases.settles)
	}
	if len(waiting) > 0 {
		l.leases.flushed(waiting, nil)
		ids := make([]string, len(waiting))
		for i, e := range waiting {
			ids[i] = e.event.ID
		}
		l.options.OnError(fmt.Errorf("%w: %d settlements were not recorded, those of the reservations %q", ErrUnavailable, len(waiting), ids))
	}
}

// settleSome records entries, and those that are queued behind them. It returns those that are to be tried again, after
// a while.
func (l *Ledger) settleSome(ctx context.Context, entries []*entry) (again []*entry) {
	for len(entries) < maxFlush && len(l.leases.settles) > 0 {
		entries = append(entries, <-l.leases.settles)
	}
	if len(entries) == 0 {
		return nil
	}
	l.leases.flushing(entries)
	_, err := l.submitGroup(context.WithoutCancel(ctx), entries)
	if err != nil {
		again = entries
		err = fmt.Errorf("settle %d reservations: %w", len(entries), err)
	} else {
		again, err = l.settled(entries)
	}
	if err != nil {
		l.options.OnError(err)
	}
	if len(again) > 0 {
		_ = l.pause(ctx, retryInterval)
	}
	return again
}

// settled takes entries out of the queue's care that were flushed, but for those that met with a failure of the store,
// which it returns. The error is what became of those that could not be settled.
func (l *Ledger) settled(entries []*entry) (again []*entry, err error) {
	var done []*entry
	var errs []error
	for _, e := range entries {
		if e.err != nil {
			errs = append(errs, fmt.Errorf("settle reservation %q: %w", e.event.ID, e.err))
		}
		if isStoreFailure(e.err) {
			again = append(again, e)
		} else {
			done = append(done, e)
		}
	}
	l.leases.flushed(done, nil)
	return again, errors.Join(errs...)
}
