// Package memstore keeps everything in memory. It is the executable specification of [budget.Store], the first to pass
// package storetest, and the store for tests of programs that use Purser: it needs no set-up and forgets everything.
//
// It takes one [Store.Update] at a time. A [Store.View] neither waits for one nor keeps one waiting. Nothing that it is
// given or returns shares memory with what it keeps.
//
// It is strict where the contract speaks of what a transaction does rather than of what a store does: a step that comes
// out of order, a change of definitions behind a fence that is not exclusive, and one of a reservation that is not
// locked, are errors here. Another store may let them pass, or run into a deadlock.
package memstore

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/purser-go/purser/budget"
)

// Options configures a Store. A nil *Options means all defaults.
type Options struct {
	// ReportingZone is the IANA name of the zone of the day and month sums. Defaults to "UTC".
	ReportingZone string

	// Now returns the current time, which decides which reservations are overdue. Defaults to time.Now.
	Now func() time.Time
}

// A Store is a [budget.Store] in memory.
type Store struct {
	writing   chan struct{} // holds a token while an Update runs; a channel, so that waiting for it ends with a context
	committed atomic.Pointer[tables]
	failure   atomic.Pointer[error]
	clock     func() time.Time
}

var _ budget.Store = (*Store)(nil)

// New returns an empty store.
func New(o *Options) *Store {
	zone, clock := "UTC", time.Now
	if o != nil {
		zone = cmp.Or(o.ReportingZone, zone)
		if o.Now != nil {
			clock = o.Now
		}
	}
	s := &Store{writing: make(chan struct{}, 1), clock: clock}
	s.committed.Store(newTables(zone))
	return s
}

// FailNext makes one Update fail with err: the next one whose fn returns nil. It fails in place of the commit, so that
// all steps of the transaction have been taken and nothing of it stays. A nil err takes an earlier one back.
func (s *Store) FailNext(err error) { s.failure.Store(&err) }

// Update implements [budget.Store]. It never loses a race, so that it runs fn once. A step that returned an error makes
// Update return that error even if fn does not. An Update within fn would wait for ever, or until its ctx ends.
func (s *Store) Update(ctx context.Context, fn func(budget.Tx) error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer func() { <-s.writing }()
	t := &tx{reader: reader{s.committed.Load().copy(), s.clock}}
	if err := fn(t); err != nil {
		return err
	}
	if t.failed != nil {
		return t.failed
	}
	if failure := s.failure.Swap(nil); failure != nil && *failure != nil {
		return *failure
	}
	s.committed.Store(t.tables)
	return nil
}

// View implements [budget.Store].
func (s *Store) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fn(reader{s.committed.Load(), s.clock})
}

func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
