package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func events() section[*test] {
	return section[*test]{"Events", []rule[*test]{
		{"LockEvents returns those with these keys", eventsLocked},
		{"LockEvents returns the sums of their corrections", eventsCorrected},
		{"FindEvents returns what LockEvents does and waits for nobody", eventsFound},
		{"InsertEvents stores those whose tenant and id are not taken and returns what stands", eventsTaken},
		{"InsertEvents returns the catalog's version", eventsVersion},
		{"they come back as they were given", eventsExact},
		{"what was nil comes back nil", eventsNil},
		{"they share nothing with the caller", eventsUnshared},
		{"many can be inserted at once", eventsMany},
		{"they come in ascending order of time and tenant and id", eventsOrdered},
		{"those of a span from its start to before its end", eventsSpan},
		{"those that the query selects", eventsSelected},
		{"pages of any size walk through all once", eventsPaged},
		{"DeleteEvents changes nothing else", eventsDeleted},
	}}
}

func (t *test) events() []budget.StoredEvent {
	t.Helper()
	return read(t, budget.ReadTx.Events, budget.EventQuery{Span: always})
}

func eventsTaken(t *test) {
	first := event("acme", "1", func(e *budget.StoredEvent) { e.User, e.Labels = "ann", map[string]string{"a": "b"} })
	again := event("acme", "1", func(e *budget.StoredEvent) { e.Time, e.Totals, e.Hash = at(1), usage.Totals{}, usage.Hash{9} })
	equal(t, "an id that is not taken is inserted", 0, len(t.insert(first).Taken))

	other, nobody, more := event("other", "1"), event("", "1"), event("acme", "2")
	inserted := t.insert(more, again, other, nobody)
	equal(t, "what stands is returned by key", map[budget.EventKey]budget.StoredEvent{first.Key(): first}, inserted.Taken)
	equal(t, "the others are stored, an id being one per tenant", []budget.StoredEvent{nobody, first, more, other}, t.events())

	inserted = t.insert(first, more, other, nobody)
	equal(t, "the same again is taken too", 4, len(inserted.Taken))
	equal(t, "what stands is not changed", []budget.StoredEvent{nobody, first, more, other}, t.events())
}

func eventsVersion(t *test) {
	c := t.catalog()
	equal(t, "the version is that of the catalog, events or not", c.Version, t.insert().Version)
	c.Version = 1<<40 + 1
	t.define(budget.Writes{Catalog: &c})
	equal(t, "the version is that of the catalog", c.Version, t.insert(event("acme", "1")).Version)
	equal(t, "the version is that of the catalog, inserted or not", c.Version, t.insert(event("acme", "1")).Version)
}

func eventsExact(t *test) {
	full := fullEvent("acme", "full")
	first := event("acme", "first", func(e *budget.StoredEvent) { e.Time = usage.MinTime })
	last := event("acme", "last", func(e *budget.StoredEvent) { e.Time = usage.EndTime.Add(-time.Microsecond) })
	t.insert(full, event("acme", "plain"), first, last)
	equal(t, "events come back as they were given", []budget.StoredEvent{first, event("acme", "plain"), full, last}, t.events())
	equal(t, "and so do those that are taken", full, t.insert(full).Taken[full.Key()])

	for i, text := range nasty() {
		given := event(text, text, func(e *budget.StoredEvent) {
			e.User, e.APIKey, e.Resource, e.Labels = text, text, text, map[string]string{text: text, "x": ""}
			e.Corrects, e.Reason, e.PricedBy, e.Time = text, text, text, at(i+10)
		})
		t.insert(given)
		span := period.Bounds{Start: at(i + 10), End: at(i + 11)}
		for _, where := range []map[usage.Dimension]string{nil, {usage.Tenant: text}, {usage.User: text, usage.APIKey: text, usage.Resource: text}, {usage.Dimension(text): text}} {
			got := read(t, budget.ReadTx.Events, budget.EventQuery{Span: span, Where: where})
			equal(t, fmt.Sprintf("%q stays as it is and is found", text), []budget.StoredEvent{given}, got)
		}
	}
}

func eventsNil(t *test) {
	t.insert(event("acme", "1"))
	if e := t.events()[0]; e.Labels != nil {
		t.Errorf("not so: what was nil comes back nil: %+v", e)
	}
	if e := t.insert(event("acme", "1")).Taken[budget.EventKey{Tenant: "acme", ID: "1"}]; e.Labels != nil {
		t.Errorf("not so: what was nil comes back nil: %+v", e)
	}
}

func eventsUnshared(t *test) {
	want, given := fullEvent("acme", "1"), fullEvent("acme", "1")
	t.insert(given)
	clear(given.Labels)
	equal(t, "what was given can be changed", []budget.StoredEvent{want}, t.events())
	clear(t.events()[0].Labels)
	equal(t, "what was returned can be changed", []budget.StoredEvent{want}, t.events())
	clear(t.insert(want).Taken[want.Key()].Labels)
	equal(t, "what was returned can be changed", []budget.StoredEvent{want}, t.events())
	t.update(func(tx budget.Tx) error {
		locked, err := lockEvents(t.Context(), tx, want.Key())
		clear(locked[want.Key()].Labels)
		return err
	})
	equal(t, "what was returned can be changed", []budget.StoredEvent{want}, t.events())
}

// eventsMany inserts as many events at once as a flush may have, and in batches of sizes around the powers of two, at
// which a store may divide its statements.
func eventsMany(t *test) {
	var want []budget.StoredEvent
	for i, size := range []int{500, 0, 1, 2, 3, 63, 64, 65, 127, 129} {
		batch := make([]budget.StoredEvent, size)
		for j, id := range ids(size) {
			batch[size-1-j] = event(fmt.Sprint("batch ", i), id)
		}
		if taken := t.insert(batch...).Taken; len(taken) > 0 {
			t.Errorf("not so: of %d new events none is taken: %d are", size, len(taken))
		}
		slices.Reverse(batch)
		want = append(want, batch...)
		if size > 0 {
			known := t.insert(append(batch, event(fmt.Sprint("batch ", i), "new"))...).Taken
			equal(t, "all but the new one are taken", size, len(known))
			want = append(want, event(fmt.Sprint("batch ", i), "new"))
		}
	}
	equal(t, "all are stored once", want, t.events())
}

func eventsLocked(t *test) {
	a, b, other := event("acme", "a"), fullEvent("acme", "b"), event("other", "a")
	b.Corrects = ""
	t.insert(a, b, other)
	t.update(func(tx budget.Tx) error {
		locked, err := lockEvents(t.Context(), tx, b.Key(), budget.EventKey{Tenant: "acme", ID: "unknown"}, a.Key())
		equal(t, "the events with these keys, one without an event being absent",
			map[budget.EventKey]budget.LockedEvent{a.Key(): {StoredEvent: a}, b.Key(): {StoredEvent: b}}, locked)
		if err != nil {
			return err
		}
		locked, err = tx.LockEvents(t.Context(), nil)
		equal(t, "no keys, no events", 0, len(locked))
		return err
	})
}

func eventsCorrected(t *test) {
	original := event("acme", "1", func(e *budget.StoredEvent) { e.Totals = usage.Totals{InputTokens: 10, Requests: 1, Nanodollars: 5} })
	correction := func(tenant, id, of string, away usage.Totals) budget.StoredEvent {
		return event(tenant, id, func(e *budget.StoredEvent) { e.Corrects, e.Totals = of, away.Negate() })
	}
	first := correction("acme", "2", "1", usage.Totals{InputTokens: 3, Requests: 1})
	second := correction("acme", "5", "1", usage.Totals{InputTokens: 4, Nanodollars: 5})
	t.insert(original, first, second, correction("other", "3", "1", usage.Totals{InputTokens: 100}), correction("acme", "4", "11", usage.Totals{InputTokens: 100}))
	t.update(func(tx budget.Tx) error {
		locked, err := lockEvents(t.Context(), tx, original.Key(), first.Key())
		equal(t, "the sums of an event's corrections are positive",
			map[budget.EventKey]budget.LockedEvent{
				original.Key(): {StoredEvent: original, Corrected: usage.Totals{InputTokens: 7, Requests: 1, Nanodollars: 5}},
				first.Key():    {StoredEvent: first},
			}, locked)
		return err
	})
}

func eventsFound(t *test) {
	original := event("acme", "1", func(e *budget.StoredEvent) { e.Totals = usage.Totals{InputTokens: 10, Requests: 1} })
	correction := correctionOf(original, "2")
	t.insert(original, event("other", "1"), correction)
	keys := []budget.EventKey{correction.Key(), {Tenant: "acme", ID: "unknown"}, original.Key()}
	t.update(func(tx budget.Tx) error {
		locked, err := lockEvents(t.Context(), tx, keys...)
		equal(t, "those with these keys are found while they are locked", locked, read(t, budget.ReadTx.FindEvents, keys))
		equal(t, "one without an event is absent", 2, len(locked))
		equal(t, "what was corrected is positive", correction.Totals.Negate(), locked[original.Key()].Corrected)
		return err
	})
	equal(t, "no keys, no events", 0, len(read(t, budget.ReadTx.FindEvents, nil)))
	found := read(t, budget.ReadTx.FindEvents, keys)
	clear(found[original.Key()].Labels)
	equal(t, "what was returned can be changed", original, read(t, budget.ReadTx.FindEvents, keys)[original.Key()].StoredEvent)
}

// scattered returns events of three tenants, ids and instants, in order.
func scattered() []budget.StoredEvent {
	var list []budget.StoredEvent
	for _, instant := range []time.Time{noon, noon.Add(time.Microsecond), at(1)} {
		for _, tenant := range []string{"", "B", "a"} {
			for _, id := range []string{"B", "a", "ä"} {
				list = append(list, event(tenant, id+instant.String(), func(e *budget.StoredEvent) { e.Time = instant }))
			}
		}
	}
	return list
}

func eventsOrdered(t *test) {
	want := scattered()
	shuffled := slices.Clone(want)
	shuffle(shuffled)
	t.insert(shuffled...)
	equal(t, "ascending order of time, tenant and id", want, t.events())
}

func eventsSpan(t *test) {
	t.insert(scattered()...)
	for _, c := range []struct {
		rule string
		span period.Bounds
		want []budget.StoredEvent
	}{
		{"from its start, inclusive", period.Bounds{Start: noon.Add(time.Microsecond), End: at(60)}, scattered()[9:]},
		{"to its end, exclusive", period.Bounds{Start: usage.MinTime, End: noon.Add(time.Microsecond)}, scattered()[:9]},
		{"one microsecond", period.Bounds{Start: noon, End: noon.Add(time.Microsecond)}, scattered()[:9]},
		{"nothing in an empty one", period.Bounds{Start: noon, End: noon}, nil},
		{"all in the longest there is", period.Lifetime.Bounds(noon), scattered()},
	} {
		equal(t, "events of a span: "+c.rule, c.want, read(t, budget.ReadTx.Events, budget.EventQuery{Span: c.span}))
	}
}

func eventsSelected(t *test) {
	change := func(id string, s usage.Subject, corrects string) budget.StoredEvent {
		return event("", id, func(e *budget.StoredEvent) { e.Subject, e.Corrects = s, corrects })
	}
	t.insert(
		change("1", usage.Subject{Tenant: "acme"}, ""),
		change("2", usage.Subject{Tenant: "acme", User: "ann"}, ""),
		change("3", usage.Subject{Tenant: "acme", User: "ann", Labels: map[string]string{"project": "x", "a.b": `"`}}, "2"),
		change("4", usage.Subject{Tenant: "acme", User: "ANN", APIKey: "k", Resource: "m", Labels: map[string]string{"project": "y"}}, ""),
	)
	for _, c := range []struct {
		rule  string
		query budget.EventQuery
		want  []string
	}{
		{"all without a condition", budget.EventQuery{}, []string{"1", "2", "3", "4"}},
		{"exactly this value", budget.EventQuery{Where: map[usage.Dimension]string{usage.User: "ann"}}, []string{"2", "3"}},
		{"all of these values", budget.EventQuery{Where: map[usage.Dimension]string{usage.APIKey: "k", usage.Resource: "m", usage.Tenant: "acme"}}, []string{"4"}},
		{"an empty value where there is none", budget.EventQuery{Where: map[usage.Dimension]string{usage.User: ""}}, []string{"1"}},
		{"a label's value", budget.EventQuery{Where: map[usage.Dimension]string{"project": "x", "a.b": `"`}}, []string{"3"}},
		{"an empty value where a label is absent", budget.EventQuery{Where: map[usage.Dimension]string{"project": ""}}, []string{"1", "2"}},
		{"nothing by a label that nobody has", budget.EventQuery{Where: map[usage.Dimension]string{"a": `"`}}, nil},
		{"no corrections", budget.EventQuery{Except: true}, []string{"1", "2", "4"}},
		{"no corrections among those with this value", budget.EventQuery{Except: true, Where: map[usage.Dimension]string{usage.User: "ann"}}, []string{"2"}},
	} {
		c.query.Span = always
		var got []string
		for _, e := range read(t, budget.ReadTx.Events, c.query) {
			got = append(got, e.ID)
		}
		equal(t, "Events selects "+c.rule, c.want, got)
	}
}

func eventsPaged(t *test) {
	all := scattered()
	t.insert(all...)
	for _, q := range []budget.EventQuery{
		{Span: always},
		{Span: period.Bounds{Start: noon.Add(time.Microsecond), End: always.End}},
		{Span: always, Where: map[usage.Dimension]string{usage.Tenant: "B"}},
	} {
		walk(t, read(t, budget.ReadTx.Events, q), func(tx budget.ReadTx, ctx context.Context, after *budget.StoredEvent, limit int) ([]budget.StoredEvent, error) {
			q.After, q.Limit = nil, limit
			if after != nil {
				q.After = &budget.EventCursor{Time: after.Time, EventKey: after.Key()}
			}
			return tx.Events(ctx, q)
		})
	}
}

func eventsDeleted(t *test) {
	t.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	correction := event("acme", "correction", func(e *budget.StoredEvent) { e.Corrects = "filled" })
	t.insert(correction, event("other", "filled"))
	want := t.contents()
	want.Events = []budget.StoredEvent{correction, event("other", "filled")}
	t.define(budget.Writes{DeleteEvents: []budget.EventKey{{Tenant: "acme", ID: "filled"}, {Tenant: "acme", ID: "unknown"}}})
	equal(t, "events are deleted, nothing else changes", want, t.contents())

	equal(t, "a deleted event's id is free", 0, len(t.insert(event("acme", "filled")).Taken))
	t.define(budget.Writes{DeleteEvents: []budget.EventKey{correction.Key()}})
	t.update(func(tx budget.Tx) error {
		locked, err := lockEvents(t.Context(), tx, budget.EventKey{Tenant: "acme", ID: "filled"})
		for _, e := range locked {
			equal(t, "a deleted correction takes nothing away", usage.Totals{}, e.Corrected)
		}
		return err
	})
}
