package storetest

import (
	"errors"
	"fmt"
	"math"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func updates() section[*test] {
	return section[*test]{"Update", []rule[*test]{
		{"what fn wrote is committed if fn returns nil", commit},
		{"without a step there is nothing to commit", commitNothing},
		{"it sees what it wrote", seeOwnWrites},
		{"nothing stays if fn returns an error and Update returns that error", rollBackOnError},
		{"nothing stays if fn panics and the panic goes on", rollBackOnPanic},
		{"a sum of a counter that would pass int64 is ErrOverflow and nothing stays", overflowCounters},
		{"a sum of usage that would pass int64 is ErrOverflow and nothing stays", overflowUsage},
		{"nothing stays of an overflow that fn passes over", overflowIgnored},
	}}
}

func commit(t *test) {
	t.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	w := everything(reservation("acme", "held"), counterKey("filled", "", 0))
	want := contents{
		Catalog:     *w.Catalog,
		Definitions: w.PutBudgets,
		Counters:    append(w.Counters, budget.Counter{CounterKey: counterKey("filled", "locked", 0)}),
		Usage: map[usage.Grain][]budget.UsageRow{
			usage.QuarterHours: {{Bucket: noon, Subject: usage.Subject{Tenant: "acme"}, Totals: usage.Totals{Requests: 1}}},
			usage.Days:         nil,
			usage.Months:       nil,
		},
		Events:       []budget.StoredEvent{event("acme", "filled")},
		Reservations: w.AddReservations,
		Adjustments:  w.Adjustments,
		Tenants:      w.PutTenants,
		Alerts:       w.Alerts,
		Deliveries:   w.Deliveries,
		KeyClaims:    []budget.KeyClaim{keyClaim("filled")},
		Audit:        w.Audit,
	}
	equal(t, "Update commits if fn returns nil", want, t.contents())
}

func commitNothing(t *test) {
	before := t.contents()
	t.update(func(budget.Tx) error { return nil })
	t.update(func(tx budget.Tx) error { return tx.Fence(t.Context(), budget.Shared) })
	t.update(func(tx budget.Tx) error { return tx.Fence(t.Context(), budget.Exclusive) })
	t.write(budget.Writes{})
	equal(t, "a transaction that writes nothing changes nothing", before, t.contents())
}

func seeOwnWrites(t *test) {
	var within contents
	t.update(func(tx budget.Tx) error {
		if err := fill(t.Context(), tx); err != nil {
			return err
		}
		var err error
		within, err = contentsIn(t.Context(), tx)
		return err
	})
	equal(t, "in an Update, a ReadTx sees what that transaction wrote", t.contents(), within)
}

func rollBackOnError(t *test) {
	before, refusal := t.contents(), errors.New("refused")
	err := t.store.Update(t.Context(), func(tx budget.Tx) error {
		if err := fill(t.Context(), tx); err != nil {
			return err
		}
		return fmt.Errorf("in fn: %w", refusal)
	})
	fails(t, "Update returns fn's error", refusal, err)
	nothingStays(t, before)
}

func rollBackOnPanic(t *test) {
	before := t.contents()
	defer func() {
		if p := recover(); p != "out of fn" {
			t.Errorf("not so: the panic goes on: recovered %v", p)
		}
		nothingStays(t, before)
	}()
	_ = t.store.Update(t.Context(), func(tx budget.Tx) error {
		if err := fill(t.Context(), tx); err != nil {
			t.Errorf("fill: %v", err)
		}
		panic("out of fn")
	})
}

// nothingStays checks that the store holds what it held before, and that it goes on working.
func nothingStays(t *test, before contents) {
	t.Helper()
	equal(t, "nothing of the transaction stays", before, t.contents())
	t.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	equal(t, "the store goes on", []budget.Definition{definition("filled")}, t.contents().Definitions)
}

func overflowCounters(t *test) {
	key := counterKey("full", "", 0)
	for field, high := range tallyFields(math.MaxInt64) {
		low, one, minus := tallyFields(math.MinInt64)[field], tallyFields(1)[field], tallyFields(-1)[field]
		overflows(t, field, budget.Writes{Counters: []budget.Counter{counter(key, high)}}, budget.Writes{Counters: []budget.Counter{counter(key, one)}})
		overflows(t, field, budget.Writes{Counters: []budget.Counter{counter(key, low)}}, budget.Writes{Counters: []budget.Counter{counter(key, minus)}})
	}
}

// tallyFields returns, for each field of a tally, one in which only that is not 0.
func tallyFields(n int64) map[string]budget.Tally {
	return map[string]budget.Tally{
		"recorded":     {Recorded: n},
		"adjusted":     {Adjusted: n},
		"reserved":     {Reserved: n},
		"pruned":       {Pruned: n},
		"denied":       {Denied: n},
		"would deny":   {WouldDeny: n},
		"episode":      {Episode: n},
		"leased":       {Leased: n},
		"wanted":       {Wanted: n},
		"expired":      {Expired: n},
		"expired held": {ExpiredHeld: n},
	}
}

func overflowUsage(t *test) {
	key := usageKey("full", 0)
	for field, high := range totalFields(math.MaxInt64) {
		low, one, minus := totalFields(math.MinInt64)[field], totalFields(1)[field], totalFields(-1)[field]
		overflows(t, field, budget.Writes{Usage: []budget.UsageAdd{used(key, high)}}, budget.Writes{Usage: []budget.UsageAdd{used(key, one)}})
		overflows(t, field, budget.Writes{Usage: []budget.UsageAdd{used(key, low)}}, budget.Writes{Usage: []budget.UsageAdd{used(key, minus)}})
	}
}

// totalFields returns, for each field of totals, some in which only that is not 0.
func totalFields(n int64) map[string]usage.Totals {
	return map[string]usage.Totals{
		"input tokens":          {InputTokens: n},
		"output tokens":         {OutputTokens: n},
		"cache creation tokens": {CacheCreationTokens: n},
		"cache read tokens":     {CacheReadTokens: n},
		"total tokens":          {TotalTokens: n},
		"requests":              {Requests: n},
		"runs":                  {Runs: n},
		"nanodollars":           {Nanodollars: n},
	}
}

// overflows checks that the second of two writes fails in a field and leaves nothing, and undoes the first.
func overflows(t *test, field string, first, second budget.Writes) {
	t.Helper()
	t.write(first)
	before := t.contents()
	err := t.store.Update(t.Context(), func(tx budget.Tx) error {
		if err := fill(t.Context(), tx); err != nil {
			return err
		}
		_, err := tx.Apply(t.Context(), second)
		return err
	})
	fails(t, "a sum that would pass int64 is ErrOverflow: "+field, budget.ErrOverflow, err)
	equal(t, "nothing of the transaction stays: "+field, before, t.contents())
	undo := budget.Writes{DropUsage: []usage.Slice{{Grain: usage.QuarterHours, Bounds: always}}}
	for _, c := range first.Counters {
		undo.DropCounters = append(undo.DropCounters, c.Budget)
	}
	t.define(undo)
}

func overflowIgnored(t *test) {
	key := counterKey("full", "", 0)
	t.write(budget.Writes{Counters: []budget.Counter{counter(key, budget.Tally{Recorded: math.MaxInt64})}})
	before := t.contents()
	err := t.store.Update(t.Context(), func(tx budget.Tx) error {
		if err := fill(t.Context(), tx); err != nil {
			return err
		}
		_, _ = tx.Apply(t.Context(), budget.Writes{Counters: []budget.Counter{counter(key, budget.Tally{Recorded: 1})}})
		return nil
	})
	fails(t, "a sum that would pass int64 is ErrOverflow, whatever fn returns", budget.ErrOverflow, err)
	nothingStays(t, before)
}
