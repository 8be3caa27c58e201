package budget

import (
	"context"
	"slices"
)

// open takes the first steps of the transaction in one, guessing what they will find: that events are new, that what is
// settled still holds, that nothing else must be locked. What turns out otherwise is ErrGuessedWrong, and one step is
// taken after the other. With foresee, it also writes what will have to be written, if that can be foreseen.
func (a *admission) open(ctx context.Context, o Opener, foresee bool) error {
	var opening Opening
	opening.Keys, opening.Overdue = a.wanted()
	batch := a.batch()
	opening.Events = batch.events
	batch.answer(Inserted{Version: a.known.catalog.Version})
	if err := a.charge(); err != nil {
		return err
	}
	var err error
	if foresee {
		if opening.Writes, err = a.foresee(ctx); err != nil {
			return err
		}
	}
	if opening.Writes == nil {
		opening.Look = a.reserved()
		if opening.Counters, err = a.askedOf(); err != nil {
			return err
		}
	}
	opened, err := o.Open(ctx, opening)
	if err != nil {
		return unforeseen(err)
	}
	if err := a.took(opened.Taken, opening.Keys, opening.Overdue); err != nil {
		return err
	}
	a.settled, a.locked, a.opened = opened.Settled, opened.Counters, true
	if w := opening.Writes; w != nil {
		a.foreseen, a.after = w, opened.Counters
		if a.locked, err = w.before(a.after); err != nil {
			return err
		}
	}
	for _, e := range a.entries {
		if c := e.claim; c != nil && !a.asGuessed(c) {
			return ErrGuessedWrong
		}
	}
	if a.foresees && !a.inTime() {
		return errUnforeseen
	}
	return nil
}

// asGuessed reports whether a claim found its reservation as it was guessed to be.
func (a *admission) asGuessed(c *claim) bool {
	switch c.act {
	case settle:
		return !a.isLate(c)
	case release, extend:
		return a.rows[c.key] != nil
	default:
		return true
	}
}

// reserved returns the keys of requests that may have been made before: they are looked for among the events.
func (a *admission) reserved() []EventKey {
	var keys []EventKey
	for e := range a.claims(reserve) {
		if e.claim.named {
			keys = append(keys, e.claim.key)
		}
	}
	slices.SortFunc(keys, EventKey.Compare)
	return slices.Compact(keys)
}

// askedOf returns the counters that must be locked as far as that is known beforehand: none if nothing asks for room.
func (a *admission) askedOf() ([]CounterKey, error) {
	var keys []CounterKey
	asking := false
	for i, e := range a.entries {
		switch {
		case e.claim == nil:
		case e.claim.act == keep:
			asking = true
			keys = append(keys, e.claim.order.part.counter)
		case e.claim.act == reserve:
			asking = true
			e.claim.request.reach(a.known.budgets[i])
			bids, err := e.claim.request.bids(a.known.budgets[i])
			if err != nil {
				return nil, err
			}
			for _, b := range bids {
				keys = append(keys, b.hold.CounterKey)
			}
		}
	}
	if !asking {
		return nil, nil
	}
	for key := range a.charges.charges {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, CounterKey.Compare)
	return slices.Compact(keys), nil
}
