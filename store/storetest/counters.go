package storetest

import (
	"context"
	"math"
	"slices"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func counters() section[*test] {
	return section[*test]{"Counters", []rule[*test]{
		{"one that was never written is absent", countersAbsent},
		{"Apply creates at zero and adds and returns them as they are after it", countersAdded},
		{"they come back as they were given", countersExact},
		{"LockCounters creates at zero those that do not exist", countersLocked},
		{"LockCounters returns what the transaction wrote", countersLockedAgain},
		{"these keys in ascending order", countersByKey},
		{"these periods in ascending order of key", countersByPeriod},
		{"pages of any size walk through all once", countersPaged},
		{"DropCounters drops all of a budget before others are added", countersDropped},
		{"Highest is the one with most used and the smallest value among equals", countersHighest},
		{"Highest leaves out a period without a counter", countersHighestAbsent},
	}}
}

func countersAbsent(t *test) {
	key := counterKey("b", "", 0)
	t.write(budget.Writes{Counters: []budget.Counter{counter(key, budget.Tally{})}})
	for _, other := range []budget.CounterKey{{}, counterKey("b", "", 1), counterKey("b", "x", 0), counterKey("B", "", 0)} {
		none(t, "a counter that was never written is absent", read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: []budget.CounterKey{other}}))
	}
	equal(t, "one that was written is there, zero or not", []budget.Counter{counter(key, budget.Tally{})},
		read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: []budget.CounterKey{key}}))
}

func countersAdded(t *test) {
	a, b := counterKey("a", "", 0), counterKey("b", "", 0)
	first := budget.Tally{Recorded: 5, Adjusted: -7, Episode: 1, Leased: 7, Expired: 2}
	after := t.write(budget.Writes{Counters: []budget.Counter{counter(a, first)}})
	equal(t, "Apply returns the counters that it added to", tallied{a: first}, talliesOf(after))
	after = t.write(budget.Writes{Counters: []budget.Counter{
		counter(b, budget.Tally{Denied: 1}),
		counter(a, budget.Tally{
			Recorded: 2, Adjusted: -1, Reserved: 3, Pruned: 4, WouldDeny: 6, Leased: -5, Wanted: 1, Expired: 8, ExpiredHeld: 9,
		}),
	}})
	want := tallied{b: {Denied: 1}, a: {
		Recorded: 7, Adjusted: -8, Reserved: 3, Pruned: 4, WouldDeny: 6, Episode: 1, Leased: 2, Wanted: 1, Expired: 10, ExpiredHeld: 9,
	}}
	equal(t, "Apply returns the counters that it added to as they are after it", want, talliesOf(after))
	equal(t, "Counters returns them as Apply did", []budget.Counter{after[a], after[b]}, t.contents().Counters)
	after = t.write(budget.Writes{Counters: []budget.Counter{counter(b, budget.Tally{Denied: -1})}})
	equal(t, "Apply returns no others", tallied{b: {}}, talliesOf(after))
}

func countersExact(t *test) {
	lifetime := period.Lifetime.Bounds(noon)
	want := []budget.Counter{
		counter(budget.CounterKey{Budget: "a", Start: lifetime.Start.UnixMicro()}, extremeTally()),
		counter(budget.CounterKey{Budget: "a", Start: -1}, budget.Tally{Adjusted: math.MaxInt64, Recorded: math.MinInt64}),
		counter(budget.CounterKey{Budget: "a", Start: 0}, budget.Tally{Recorded: 1<<53 + 1}),
		counter(budget.CounterKey{Budget: "a", Start: lifetime.End.UnixMicro()}, budget.Tally{Reserved: 1}),
	}
	for _, text := range nasty() {
		value := budget.Value{"label": text, usage.User: text}.Key()
		want = append(want, counter(budget.CounterKey{Budget: text, Value: value, Start: 1}, budget.Tally{Recorded: 1}))
	}
	t.write(budget.Writes{Counters: want})
	slices.SortFunc(want, func(a, b budget.Counter) int { return a.Compare(b.CounterKey) })
	equal(t, "counters come back as they were given", want, t.contents().Counters)
	for _, c := range want {
		equal(t, "a counter is found by its key", []budget.Counter{c},
			read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: []budget.CounterKey{c.CounterKey}}))
	}
}

func countersLocked(t *test) {
	a, b := counterKey("a", "", 0), counterKey("b", "", 0)
	t.write(budget.Writes{Counters: []budget.Counter{counter(b, extremeTally())}})
	want := map[budget.CounterKey]budget.Counter{a: counter(a, budget.Tally{}), b: counter(b, extremeTally())}
	t.update(func(tx budget.Tx) error {
		locked, err := lock(t.Context(), tx, b, a)
		equal(t, "counters that do not exist are created at zero", want, locked)
		return err
	})
	equal(t, "what was created is there", []budget.Counter{want[a], want[b]}, t.contents().Counters)
}

func countersLockedAgain(t *test) {
	a := counterKey("a", "", 0)
	t.update(func(tx budget.Tx) error {
		if _, err := lock(t.Context(), tx, a); err != nil {
			return err
		}
		locked, err := tx.LockCounters(t.Context(), []budget.CounterKey{a, counterKey("b", "", 0)})
		equal(t, "what the transaction has locked it can lock again", 2, len(locked))
		if err != nil {
			return err
		}
		_, err = tx.Apply(t.Context(), budget.Writes{Counters: []budget.Counter{counter(a, budget.Tally{Recorded: 1})}})
		return err
	})
	equal(t, "locking nothing is nothing", 2, len(t.contents().Counters))
	t.update(func(tx budget.Tx) error {
		locked, err := lock(t.Context(), tx)
		equal(t, "locking nothing is nothing", 0, len(locked))
		return err
	})
}

// spread returns counters of two budgets, three values and three periods, in ascending order of key.
func spread() []budget.Counter {
	var list []budget.Counter
	for _, id := range []string{"B", "a"} {
		for _, start := range starts() {
			for _, value := range []string{"", budget.Value{usage.User: "B"}.Key(), budget.Value{usage.User: "a"}.Key()} {
				key := budget.CounterKey{Budget: id, Value: value, Start: start}
				list = append(list, counter(key, budget.Tally{Recorded: int64(len(list))}))
			}
		}
	}
	return list
}

// starts returns the starts of three periods. That of a lifetime is far below 0.
func starts() []int64 {
	return []int64{period.Lifetime.Bounds(noon).Start.UnixMicro(), at(0).UnixMicro(), at(1).UnixMicro()}
}

func keysOf(counters []budget.Counter) []budget.CounterKey {
	var keys []budget.CounterKey
	for _, c := range counters {
		keys = append(keys, c.CounterKey)
	}
	return keys
}

func countersByKey(t *test) {
	all := spread()
	t.write(budget.Writes{Counters: all})
	keys := slices.Concat(keysOf(all[5:9]), []budget.CounterKey{counterKey("unknown", "", 0)}, keysOf(all[1:3]))
	equal(t, "these keys, in ascending order", slices.Concat(all[1:3], all[5:9]),
		read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: keys}))
	equal(t, "Limit", all[1:2], read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: keys, Limit: 1}))
	equal(t, "After", all[6:9], read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: keys, After: &all[5].CounterKey}))
	none(t, "no keys select nothing", read(t, budget.ReadTx.Counters, budget.CounterQuery{Keys: []budget.CounterKey{}}))
	equal(t, "the zero query selects all", all, read(t, budget.ReadTx.Counters, budget.CounterQuery{}))
}

func countersByPeriod(t *test) {
	all := spread()
	t.write(budget.Writes{Counters: all})
	periods := []budget.CounterKey{counterKey("a", "", 1), counterKey("B", "", 0), {Budget: "a", Start: starts()[0]}, counterKey("c", "", 0)}
	want := slices.DeleteFunc(slices.Clone(all), func(c budget.Counter) bool {
		return !slices.Contains(periods, budget.CounterKey{Budget: c.Budget, Start: c.Start})
	})
	equal(t, "all counters of these periods, in ascending order of key", want,
		read(t, budget.ReadTx.Counters, budget.CounterQuery{Periods: periods}))
	none(t, "no periods select nothing", read(t, budget.ReadTx.Counters, budget.CounterQuery{Periods: []budget.CounterKey{}}))
}

func countersPaged(t *test) {
	all := spread()
	t.write(budget.Writes{Counters: all})
	queries := map[string]budget.CounterQuery{
		"all":     {},
		"keys":    {Keys: keysOf(all[2:12])},
		"periods": {Periods: []budget.CounterKey{counterKey("a", "", 0), {Budget: "B", Start: starts()[0]}, {Budget: "a", Start: starts()[0]}}},
	}
	for _, q := range queries {
		walk(t, read(t, budget.ReadTx.Counters, q), func(tx budget.ReadTx, ctx context.Context, after *budget.Counter, limit int) ([]budget.Counter, error) {
			q.After, q.Limit = nil, limit
			if after != nil {
				q.After = &after.CounterKey
			}
			return tx.Counters(ctx, q)
		})
	}
}

func countersDropped(t *test) {
	all := spread()
	t.write(budget.Writes{Counters: all})
	added := counter(counterKey("a", "", 1), budget.Tally{Recorded: 1})
	t.define(budget.Writes{DropCounters: []string{"a", "unknown"}, Counters: []budget.Counter{added}})
	equal(t, "all counters of a budget are dropped, then others added", append(all[:9], added), t.contents().Counters)
}

func countersHighest(t *test) {
	ann, bob, Zoe := budget.Value{usage.User: "ann"}.Key(), budget.Value{usage.User: "bob"}.Key(), budget.Value{usage.User: "Zoe"}.Key()
	lifetime := budget.CounterKey{Budget: "a", Start: starts()[0]}
	highest := map[int]budget.Counter{ // by period
		0: counter(counterKey("a", bob, 0), budget.Tally{Recorded: 5, Adjusted: 3, Reserved: 1}),
		1: counter(counterKey("a", Zoe, 1), budget.Tally{Recorded: -1, Adjusted: 2}),
		2: counter(counterKey("a", ann, 2), budget.Tally{Recorded: -5}),
		3: counter(counterKey("a", "", 3), budget.Tally{}),
	}
	t.write(budget.Writes{Counters: []budget.Counter{
		highest[0],
		counter(counterKey("a", ann, 0), budget.Tally{Recorded: 7, Reserved: 100, Pruned: 100}),
		counter(counterKey("a", Zoe, 0), budget.Tally{Recorded: 9, Adjusted: -2}),
		highest[1],
		counter(counterKey("a", ann, 1), budget.Tally{Recorded: 1}),
		counter(counterKey("a", bob, 1), budget.Tally{Adjusted: 1}),
		highest[2],
		counter(counterKey("a", bob, 2), budget.Tally{Recorded: -6}),
		highest[3],
		counter(lifetime, budget.Tally{Recorded: 5}),
		counter(counterKey("b", "", 0), budget.Tally{Recorded: 1000}),
	}})
	periods := []budget.CounterKey{lifetime}
	want := map[budget.CounterKey]budget.HighestCounter{
		lifetime: {Counter: counter(lifetime, budget.Tally{Recorded: 5}), Counters: 1},
	}
	for minute, counters := range []int{3, 3, 2, 1} {
		periods = append(periods, counterKey("a", "", minute))
		want[counterKey("a", "", minute)] = budget.HighestCounter{Counter: highest[minute], Counters: counters}
	}
	equal(t, "the counter in which most is used, the smallest value among equals, and how many there are", want,
		read(t, budget.ReadTx.Highest, periods))
}

func countersHighestAbsent(t *test) {
	t.write(budget.Writes{Counters: []budget.Counter{counter(counterKey("a", "", 0), budget.Tally{Recorded: 1})}})
	for _, periods := range [][]budget.CounterKey{nil, {}, {counterKey("a", "", 1), counterKey("b", "", 0), {}}} {
		if found := read(t, budget.ReadTx.Highest, periods); len(found) > 0 {
			t.Errorf("not so: a period without a counter is absent: %+v", found)
		}
	}
}

// tallied is counters by key.
type tallied map[budget.CounterKey]budget.Tally

func talliesOf(counters map[budget.CounterKey]budget.Counter) tallied {
	list := make(tallied)
	for key, c := range counters {
		list[key] = c.Tally
	}
	return list
}
