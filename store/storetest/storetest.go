package storetest

import (
	"testing"

	"github.com/purser-go/purser/budget"
)

// Run tests the store that open returns. open returns a store over an empty database of its own each time it is called,
// whose catalog is as a fresh installation leaves it, and closes what it opened with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) budget.Store) {
	t.Helper()
	for _, s := range append(sequential(), concurrent()...) {
		s.run(t, func(t *testing.T, check func(*test)) { check(&test{T: t, store: open(t)}) })
	}
}

// RunSideBySide tests that the transactions of the store that open returns, as for [Run], do not wait for each other
// without need. It is for stores that take several Updates at a time.
func RunSideBySide(t *testing.T, open func(t *testing.T) budget.Store) {
	t.Helper()
	sideBySide().run(t, func(t *testing.T, check func(*test)) { check(&test{T: t, store: open(t)}) })
}

// Bound is a store that works within a transaction of the caller's, with what belongs to it.
type Bound struct {
	Store    budget.Store // bound to the transaction
	Outside  budget.Store // over the same database, not bound
	Commit   func() error // commits the transaction
	Rollback func() error // rolls it back
}

// RunBound tests a store that is bound to a transaction of the caller's: that it keeps the contract as far as that can be
// said of one transaction, that an Update which fails leaves the transaction as it was before and usable, and that what
// is written becomes what becomes of the transaction.
//
// open begins a transaction over an empty database of its own each time it is called. With t.Cleanup it closes what it
// opened; a test that gave up leaves its transaction open.
func RunBound(t *testing.T, open func(t *testing.T) Bound) {
	t.Helper()
	for _, s := range sequential() {
		s.run(t, func(t *testing.T, check func(*test)) { rolledBack(&boundTest{T: t, Bound: open(t)}, check) })
	}
	bound().run(t, func(t *testing.T, check func(*boundTest)) { check(&boundTest{T: t, Bound: open(t)}) })
}

// A section is the tests of a part of the contract, each under the sentence that it tests.
type section[T any] struct {
	name  string
	rules []rule[T]
}

type rule[T any] struct {
	name  string
	check func(T)
}

// run runs each test by handing its check to one, which opens what it is to check.
func (s section[T]) run(t *testing.T, one func(t *testing.T, check func(T))) {
	t.Helper()
	t.Run(s.name, func(t *testing.T) {
		for _, r := range s.rules {
			t.Run(r.name, func(t *testing.T) { one(t, r.check) })
		}
	})
}

// sequential returns the tests that use one transaction after the other.
func sequential() []section[*test] {
	return []section[*test]{
		updates(), catalogs(), definitions(), budgets(), events(), reservations(), counters(), sums(), records(), keyClaims(), deliveries(), recorders(), openers(), soloists(), sizes(),
		model(),
	}
}
