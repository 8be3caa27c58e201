// Package storetest has a test for each sentence of the contract of [budget.Store]. Stores by others are welcome: one that
// passes can stand under a [budget.Ledger].
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) budget.Store { return mystore.New(freshDatabase(t)) })
//	}
//
// # Which functions to call
//
//   - [Run]: always.
//   - [RunSideBySide]: if transactions can write at the same time, as on a database server. A store that takes one
//     Update at a time does not pass, and need not.
//   - [RunBound]: if the store can be bound to a transaction of the caller's.
//
// # What a store may rely on
//
// The tests are callers as the contract wants them: each transaction that writes begins with Fence, takes its steps in
// the contract's order and changes definitions only behind an exclusive fence; it takes or adds a reservation before it
// puts or deletes it; no list of keys or rows names one twice, nor do two lists of one Apply name the same reservation;
// each text is UTF-8 without control characters, of up to 128 bytes where it is an id or the value of a dimension; each
// instant is in UTC and whole microseconds. They do not make a budget before they count for it, since a store decides
// nothing.
//
// What comes back is compared exactly: texts and JSON byte for byte, decimals by value, instants as instants that are in
// UTC. A nil slice or map that is part of a row comes back nil. Texts are ordered by their bytes, whatever a database's
// collation is.
//
// # The store's clock
//
// The tests do not set it: they take it to be within a minute of their own, and make reservations overdue by giving them
// an Expires that it has reached.
//
// # Selections of nothing
//
// Where a query says that nil selects all, a list that is there but empty selects nothing.
//
// # How long it takes
//
// Each test opens a store of its own, about 140 in [Run] and 110 in [RunBound], so that open should take milliseconds.
// With -short those that look for races and compare random transactions do less, with the environment variable
// PURSER_SOAK set to anything they do much more.
//
// A new version of this package may have new tests, so that a store that passed no longer does: the change log names
// them.
package storetest
