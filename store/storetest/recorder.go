package storetest

import (
	"errors"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// recorders tests the optional ability of a [budget.Tx] to be a [budget.Recorder]. There is nothing to test where it is not.
func recorders() section[*test] {
	return section[*test]{"Recorder", []rule[*test]{
		{"Record does what Fence and InsertEvents and Apply do", recorderRecords},
		{"Record of an event that is not new guesses wrong and nothing stays", recorderNotNew},
		{"Record with another version guesses wrong and nothing stays", recorderOtherVersion},
		{"Record that is followed by an error leaves nothing", recorderFollowed},
		{"Record of a sum that would pass int64 is ErrOverflow", recorderOverflow},
	}}
}

// openers tests the optional ability of a [budget.Tx] to be a [budget.Opener].
func openers() section[*test] {
	return section[*test]{"Opener", []rule[*test]{
		{"Open does what Fence and TakeReservations and InsertEvents and LockCounters do", openerOpens},
		{"Open of nothing returns the version and the time", openerOfNothing},
		{"Open with an event that is not new guesses wrong and nothing stays", openerNotNew},
		{"Open that is followed by an error leaves nothing", openerFollowed},
		{"Open with Writes does what Apply does instead of locking", openerWrites},
		{"Open with Writes of a reservation whose id is taken is ErrConflict and nothing stays", openerTaken},
	}}
}

// open opens a transaction and then does what then says. It reports whether the store can.
func (t *test) open(o budget.Opening, then func(budget.Tx) error) (opened budget.Opened, able bool, err error) {
	t.Helper()
	err = t.store.Update(t.Context(), func(tx budget.Tx) (err error) {
		opener, ok := tx.(budget.Opener)
		if able = ok; !able {
			return nil
		}
		if opened, err = opener.Open(t.Context(), o); err != nil {
			return err
		}
		return then(tx)
	})
	return opened, able, err
}

// openings returns what Open is given beside two reservations that stand, one of them overdue, and an event.
func (t *test) openings() (o budget.Opening, named, overdue budget.StoredReservation) {
	t.Helper()
	named, overdue = reservation("a", "named"), reservation("b", "overdue", expires(longAgo))
	t.write(budget.Writes{
		AddReservations: []budget.StoredReservation{named, overdue},
		Counters:        []budget.Counter{counter(counterKey("budget", "", 0), budget.Tally{Recorded: 3})},
	})
	t.insert(event("a", "settled"))
	return budget.Opening{
		Keys:     []budget.ReservationKey{named.Key(), {Tenant: "a", ID: "none"}},
		Overdue:  5,
		Look:     []budget.EventKey{{Tenant: "a", ID: "settled"}, {Tenant: "b", ID: "settled"}},
		Events:   []budget.StoredEvent{event("a", "new")},
		Counters: []budget.CounterKey{counterKey("budget", "", 0), counterKey("budget", "new", 0)},
	}, named, overdue
}

func openerOpens(t *test) {
	o, named, overdue := t.openings()
	added := counter(o.Counters[0], budget.Tally{Reserved: 4})
	var after map[budget.CounterKey]budget.Counter
	opened, able, err := t.open(o, func(tx budget.Tx) (err error) {
		after, err = tx.Apply(t.Context(), budget.Writes{
			Counters: []budget.Counter{added}, DeleteReservations: []budget.ReservationKey{named.Key(), overdue.Key()},
		})
		return err
	})
	if !able {
		return
	}
	equal(t, "Open succeeds", nil, err)
	equal(t, "it returns the version", t.catalog().Version, opened.Version)
	equal(t, "it takes the reservations named and overdue", map[budget.ReservationKey]budget.StoredReservation{
		named.Key(): named, overdue.Key(): overdue,
	}, opened.Reservations)
	equal(t, "it says which events stand", map[budget.EventKey]bool{{Tenant: "a", ID: "settled"}: true}, opened.Settled)
	equal(t, "it returns the counters, those that were not there too", map[budget.CounterKey]budget.Counter{
		o.Counters[0]: counter(o.Counters[0], budget.Tally{Recorded: 3}),
		o.Counters[1]: counter(o.Counters[1], budget.Tally{}),
	}, opened.Counters)
	equal(t, "what follows is added", budget.Tally{Recorded: 3, Reserved: 4}, after[o.Counters[0]].Tally)
	equal(t, "the events are stored", []budget.StoredEvent{event("a", "new"), event("a", "settled")}, t.events())
	equal(t, "what follows is written", 0, len(read(t, budget.ReadTx.Reservations, budget.ReservationQuery{})))
}

func openerWrites(t *test) {
	o, named, overdue := t.openings()
	reserved := reservation("a", "reserved")
	o.Look, o.Counters = nil, nil
	o.Writes = &budget.Writes{
		Counters: []budget.Counter{
			counter(counterKey("budget", "", 0), budget.Tally{Recorded: 2, Reserved: 4}),
			counter(counterKey("budget", "new", 0), budget.Tally{}),
		},
		AddReservations:    []budget.StoredReservation{reserved},
		DeleteReservations: []budget.ReservationKey{named.Key()},
	}
	opened, able, err := t.open(o, func(budget.Tx) error { return nil })
	if !able {
		return
	}
	equal(t, "Open succeeds", nil, err)
	equal(t, "it takes the reservations as they were before", map[budget.ReservationKey]budget.StoredReservation{
		named.Key(): named, overdue.Key(): overdue,
	}, opened.Reservations)
	equal(t, "it returns the counters as they are after", map[budget.CounterKey]budget.Counter{
		o.Writes.Counters[0].CounterKey: counter(counterKey("budget", "", 0), budget.Tally{Recorded: 5, Reserved: 4}),
		o.Writes.Counters[1].CounterKey: o.Writes.Counters[1],
	}, opened.Counters)
	equal(t, "the events are stored", []budget.StoredEvent{event("a", "new"), event("a", "settled")}, t.events())
	equal(t, "reservations are added and deleted", []budget.StoredReservation{reserved, overdue}, t.reservations())
}

func openerTaken(t *test) {
	o, _, _ := t.openings()
	for _, taken := range []budget.StoredReservation{reservation("a", "named"), reservation("a", "settled")} {
		o.Writes = &budget.Writes{AddReservations: []budget.StoredReservation{reservation("a", "free"), taken}}
		before := t.contents()
		if _, able, err := t.open(o, func(budget.Tx) error { return nil }); able {
			equal(t, "an id that is taken is ErrConflict", true, errors.Is(err, budget.ErrConflict))
			equal(t, "nothing stays", before, t.contents())
		}
	}
}

func openerOfNothing(t *test) {
	before := t.contents()
	opened, able, err := t.open(budget.Opening{}, func(budget.Tx) error { return nil })
	if !able {
		return
	}
	equal(t, "Open of nothing succeeds", nil, err)
	equal(t, "it returns the version", t.catalog().Version, opened.Version)
	equal(t, "it returns the time", false, opened.Now.IsZero())
	equal(t, "nothing changes", before, t.contents())
}

func openerNotNew(t *test) {
	o, _, _ := t.openings()
	o.Events = append(o.Events, event("a", "settled"))
	before := t.contents()
	if _, able, err := t.open(o, func(budget.Tx) error { return nil }); able {
		equal(t, "an event that stands is ErrGuessedWrong", true, errors.Is(err, budget.ErrGuessedWrong))
		equal(t, "nothing stays", before, t.contents())
	}
}

func openerFollowed(t *test) {
	o, _, _ := t.openings()
	before := t.contents()
	failure := errors.New("then it failed")
	if _, able, err := t.open(o, func(budget.Tx) error { return failure }); able {
		equal(t, "Update returns the error of fn", true, errors.Is(err, failure))
		equal(t, "nothing stays", before, t.contents())
	}
}

// recordings returns what Record is given: events, and what they add.
func recordings() ([]budget.StoredEvent, budget.Writes) {
	events := []budget.StoredEvent{event("b", "2"), event("a", "1"), event("a", "2")}
	return events, budget.Writes{
		Counters: []budget.Counter{
			counter(counterKey("budget", "x", 0), budget.Tally{Recorded: 7, Leased: 1, Wanted: 2, Expired: 3, ExpiredHeld: 4}),
			counter(counterKey("budget", "", 0), budget.Tally{Recorded: 3}),
		},
		Usage: []budget.UsageAdd{
			{UsageKey: usageKey("b", 0), Totals: usage.Totals{Requests: 1}},
			{UsageKey: usageKey("a", 0), Totals: usage.Totals{Requests: 2}},
		},
	}
}

// record records in a transaction of its own; then is what it does after that. It reports whether the store can.
func (t *test) record(version int64, events []budget.StoredEvent, w budget.Writes, then error) (map[budget.CounterKey]budget.Counter, bool, error) {
	t.Helper()
	var after map[budget.CounterKey]budget.Counter
	able := false
	err := t.store.Update(t.Context(), func(tx budget.Tx) (err error) {
		recorder, ok := tx.(budget.Recorder)
		if able = ok; !able {
			return nil
		}
		if after, err = recorder.Record(t.Context(), version, events, w); err != nil {
			return err
		}
		return then
	})
	return after, able, err
}

func recorderRecords(t *test) {
	events, w := recordings()
	after, able, err := t.record(t.catalog().Version, events, w, nil)
	if !able {
		return
	}
	equal(t, "Record of new events succeeds", nil, err)
	equal(t, "it returns the counters after it", map[budget.CounterKey]budget.Counter{
		w.Counters[0].CounterKey: w.Counters[0], w.Counters[1].CounterKey: w.Counters[1],
	}, after)
	equal(t, "the events are stored", []budget.StoredEvent{events[1], events[2], events[0]}, t.events())

	more := []budget.StoredEvent{event("a", "3")}
	w.Usage = nil
	after, _, err = t.record(t.catalog().Version, more, w, nil)
	equal(t, "Record of more events succeeds", nil, err)
	equal(t, "it adds to the counters", int64(14), after[w.Counters[0].CounterKey].Recorded)
	w.Counters = nil
	_, _, err = t.record(t.catalog().Version, []budget.StoredEvent{event("a", "4")}, w, nil)
	equal(t, "Record of events that add nothing succeeds", nil, err)
	equal(t, "its event is stored", 5, len(t.events()))
}

func recorderNotNew(t *test) {
	events, w := recordings()
	t.insert(events[1])
	before := t.contents()
	if _, able, err := t.record(t.catalog().Version, events, w, nil); able {
		equal(t, "an event that stands is ErrGuessedWrong", true, errors.Is(err, budget.ErrGuessedWrong))
		equal(t, "nothing stays", before, t.contents())
	}
}

func recorderOtherVersion(t *test) {
	events, w := recordings()
	before := t.contents()
	if _, able, err := t.record(t.catalog().Version+1, events, w, nil); able {
		equal(t, "another version is ErrGuessedWrong", true, errors.Is(err, budget.ErrGuessedWrong))
		equal(t, "nothing stays", before, t.contents())
	}
}

func recorderFollowed(t *test) {
	events, w := recordings()
	before := t.contents()
	failure := errors.New("then it failed")
	if _, able, err := t.record(t.catalog().Version, events, w, failure); able {
		equal(t, "Update returns the error of fn", true, errors.Is(err, failure))
		equal(t, "nothing stays", before, t.contents())
	}
}

func recorderOverflow(t *test) {
	events, w := recordings()
	if _, able, err := t.record(t.catalog().Version, events[:1], w, nil); !able || err != nil {
		equal(t, "Record of new events succeeds", nil, err)
		return
	}
	before := t.contents()
	w.Counters[1].Recorded = 1<<63 - 1
	_, _, err := t.record(t.catalog().Version, events[1:], w, nil)
	equal(t, "it is ErrOverflow", true, errors.Is(err, budget.ErrOverflow))
	equal(t, "nothing stays", before, t.contents())
}
