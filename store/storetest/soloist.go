package storetest

import (
	"context"
	"errors"

	"github.com/purser-go/purser/budget"
)

// soloists tests the optional ability of a [budget.ReadTx] to be a [budget.Soloist].
func soloists() section[*test] {
	return section[*test]{"Soloist", []rule[*test]{
		{"a step alone reads what it reads among others", soloistReads},
		{"another step after the only one is an error", soloistOneStep},
		{"Standing returns a budget and its counter", soloistStanding},
		{"Standing of a budget that is not there is ErrNotFound", soloistStandingOfNothing},
		{"Alone changes nothing in a transaction that writes", soloistWrites},
	}}
}

// alone runs fn in a View of which Alone was said. It reports whether the store can.
func (t *test) alone(fn func(budget.Soloist, budget.ReadTx) error) (able bool, err error) {
	t.Helper()
	err = t.store.View(t.Context(), func(r budget.ReadTx) error {
		s, can := r.(budget.Soloist)
		if able = can; !able {
			return nil
		}
		s.Alone()
		return fn(s, r)
	})
	return able, err
}

func soloistReads(t *test) {
	t.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	sameAlone(t, "Budgets", budget.ReadTx.Budgets, budget.Query{})
	sameAlone(t, "Counters", budget.ReadTx.Counters, budget.CounterQuery{Limit: 10})
	sameAlone(t, "Alerts", budget.ReadTx.Alerts, budget.AlertQuery{Limit: 10})
	sameAlone(t, "Audit", budget.ReadTx.Audit, budget.AuditQuery{Limit: 10})
	sameAlone(t, "Adjustments", budget.ReadTx.Adjustments, budget.AdjustmentQuery{})
	sameAlone(t, "Reservations", budget.ReadTx.Reservations, budget.ReservationQuery{Limit: 10})
	sameAlone(t, "KeyClaims", budget.ReadTx.KeyClaims, budget.KeyClaimQuery{Before: noon.AddDate(1000, 0, 0), Limit: 10})
}

func sameAlone[Q, R any](t *test, name string, step func(budget.ReadTx, context.Context, Q) ([]R, error), q Q) {
	t.Helper()
	want := read(t, step, q)
	if len(want) == 0 {
		t.Errorf("not so: %s finds something to compare", name)
	}
	var got []R
	able, err := t.alone(func(_ budget.Soloist, r budget.ReadTx) (err error) {
		got, err = step(r, t.Context(), q)
		return err
	})
	if able {
		equal(t, name+" alone succeeds", nil, err)
		equal(t, name+" alone", want, got)
	}
}

func soloistOneStep(t *test) {
	able, err := t.alone(func(_ budget.Soloist, r budget.ReadTx) error {
		if _, err := r.Budgets(t.Context(), budget.Query{}); err != nil {
			return errors.Join(errors.New("the first step"), err)
		}
		_, err := r.Budgets(t.Context(), budget.Query{})
		equal(t, "the second step is an error", true, err != nil)
		return nil
	})
	if able {
		equal(t, "so is the View", true, err != nil)
	}
}

// standing returns what Standing returns for the budget with an id and a counter of "a".
func (t *test) standing(id, value string) (d budget.Definition, tally budget.Tally, able bool, err error) {
	t.Helper()
	able, err = t.alone(func(s budget.Soloist, _ budget.ReadTx) (err error) {
		d, tally, err = s.Standing(t.Context(), id, counterKey("a", value, 0))
		return err
	})
	return d, tally, able, err
}

func soloistStanding(t *test) {
	for _, value := range append(nasty(), "") {
		want, others := fullDefinition("a"), budget.Tally{Recorded: 1000}
		tally := budget.Tally{
			Recorded: 1, Adjusted: -2, Reserved: 3, Pruned: 4, Denied: 5, WouldDeny: 6, Episode: 7,
			Leased: 8, Wanted: 9, Expired: 10, ExpiredHeld: 11,
		}
		t.put(want, definition("b"))
		t.write(budget.Writes{Counters: []budget.Counter{
			counter(counterKey("a", value, 0), tally),
			counter(counterKey("a", value, 1), others), counter(counterKey("b", value, 0), others),
			counter(counterKey("a", value+"x", 0), others),
		}})
		if d, got, able, err := t.standing("a", value); able {
			equal(t, "Standing succeeds", nil, err)
			equal(t, "the definition", want, d)
			equal(t, "the counter", tally, got)
		}
		t.define(budget.Writes{DeleteBudgets: []string{"a", "b"}})
	}
	t.put(definition("a"))
	if d, tally, able, err := t.standing("a", "never"); able {
		equal(t, "Standing succeeds", nil, err)
		equal(t, "the definition", definition("a"), d)
		equal(t, "a counter that was never written is at zero", budget.Tally{}, tally)
	}
}

func soloistStandingOfNothing(t *test) {
	t.put(definition("a"))
	if _, _, able, err := t.standing("none", ""); able {
		equal(t, "ErrNotFound", true, errors.Is(err, budget.ErrNotFound))
	}
}

func soloistWrites(t *test) {
	failure := errors.New("then it failed")
	before := t.contents()
	err := t.store.Update(t.Context(), func(tx budget.Tx) error {
		if s, can := tx.(budget.Soloist); can {
			s.Alone()
		}
		if err := fill(t.Context(), tx); err != nil {
			return err
		}
		return failure
	})
	equal(t, "Update returns the error of fn", true, errors.Is(err, failure))
	equal(t, "nothing stays", before, t.contents())
}
