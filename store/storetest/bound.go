package storetest

import (
	"errors"
	"math"
	"testing"

	"github.com/purser-go/purser/budget"
)

// A boundTest is one run of a rule on a store that is bound to a transaction.
type boundTest struct {
	*testing.T
	Bound
}

// inside and outside return tests with which the bound store and the other are used.
func (t *boundTest) inside() *test  { return &test{T: t.T, store: t.Store} }
func (t *boundTest) outside() *test { return &test{T: t.T, store: t.Outside} }

// rolledBack runs a check within the transaction, behind which nothing may be left once that is rolled back.
func rolledBack(t *boundTest, check func(*test)) {
	before := t.outside().contents()
	defer func() {
		t.end(t.Rollback)
		equal(t.outside(), "nothing stays once the caller's transaction is rolled back", before, t.outside().contents())
	}()
	check(t.inside())
}

// end commits or rolls back.
func (t *boundTest) end(end func() error) {
	t.Helper()
	if err := end(); err != nil {
		t.Fatalf("end of the caller's transaction: %v", err)
	}
}

func bound() section[*boundTest] {
	return section[*boundTest]{"Bound", []rule[*boundTest]{
		{"what is written is seen outside once the transaction is committed", boundCommit},
		{"nothing stays once the transaction is rolled back", boundRollback},
		{"an Update that fails leaves the transaction as it was and usable", boundFailure},
		{"what is refused leaves the transaction usable", boundRefusal},
		{"an Update that panics leaves the transaction as it was and usable", boundPanic},
	}}
}

func boundCommit(t *boundTest) {
	in, out := t.inside(), t.outside()
	before := out.contents()
	in.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	written := in.contents()
	in.insert(event("acme", "later"))
	written.Events = append(written.Events, event("acme", "later"))
	equal(in, "an Update sees what an earlier one of the transaction wrote", written, in.contents())
	equal(out, "nobody else sees it before the commit", before, out.contents())
	t.end(t.Commit)
	equal(out, "all of it stays once the caller's transaction is committed", written, out.contents())
}

func boundRollback(t *boundTest) {
	in, out := t.inside(), t.outside()
	before := out.contents()
	in.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	t.end(t.Rollback)
	equal(out, "nothing stays once the caller's transaction is rolled back", before, out.contents())
}

func boundFailure(t *boundTest) {
	refusal := errors.New("refused")
	err := t.undone(func(tx budget.Tx) error { return errors.Join(fill(t.Context(), tx), refusal) })
	fails(t.inside(), "Update returns fn's error", refusal, err)
	t.goesOn()
}

func boundPanic(t *boundTest) {
	defer func() {
		if p := recover(); p != "out of fn" {
			t.Errorf("not so: the panic goes on: recovered %v", p)
		}
		t.goesOn()
	}()
	_ = t.undone(func(tx budget.Tx) error {
		if err := fill(t.Context(), tx); err != nil {
			return err
		}
		panic("out of fn")
	})
}

func boundRefusal(t *boundTest) {
	key := counterKey("full", "", 0)
	taken, reserved := []budget.StoredAdjustment{adjustment("b", "taken")}, []budget.StoredReservation{reservation("acme", "taken")}
	t.inside().write(budget.Writes{
		Counters:        []budget.Counter{counter(key, budget.Tally{Recorded: math.MaxInt64})},
		Adjustments:     taken,
		AddReservations: reserved,
	})
	t.refused(budget.ErrOverflow, budget.Writes{Counters: []budget.Counter{counter(key, budget.Tally{Recorded: 1})}})
	t.refused(budget.ErrConflict, budget.Writes{Adjustments: taken})
	t.refused(budget.ErrConflict, budget.Writes{AddReservations: append(reserved, reservation("acme", "free"))})
	t.goesOn()
}

// refused checks that writes which are refused undo the Update that they are in and no more.
func (t *boundTest) refused(want error, w budget.Writes) {
	t.Helper()
	err := t.undone(func(tx budget.Tx) error {
		if err := fill(t.Context(), tx); err != nil {
			return err
		}
		_, err := tx.Apply(t.Context(), w)
		return err
	})
	fails(t.inside(), "Update returns the refusal", want, err)
}

// undone runs an Update that must leave nothing behind.
func (t *boundTest) undone(fn func(budget.Tx) error) error {
	t.Helper()
	before := t.inside().contents()
	defer func() {
		equal(t.inside(), "the transaction is as it was before the Update", before, t.inside().contents())
	}()
	return t.Store.Update(t.Context(), fn)
}

// goesOn checks that the transaction can be written to and committed.
func (t *boundTest) goesOn() {
	t.Helper()
	t.inside().update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	written := t.inside().contents()
	t.end(t.Commit)
	equal(t.outside(), "the transaction stays usable and is committed", written, t.outside().contents())
}
