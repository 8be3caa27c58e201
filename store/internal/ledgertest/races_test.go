package ledgertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
)

// A request is sent to two processes. While one of them is on its way, the other has made the reservation, and perhaps
// ended it already. What the first is told is what it would have been told after that.
func TestWhatHappensToTheSameRequestMeanwhileIsSeen(t *testing.T) {
	admitted := func(t *testing.T, ledger *budget.Ledger) *budget.Reservation {
		t.Helper()
		res, err := ledger.Reserve(t.Context(), rushRequest("same"))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		room      int64
		meanwhile func(*testing.T, *budget.Ledger)
		want      error // nil: it gets the reservation that the other made
		settled   int
		open      int
	}{
		"admitted, which takes all the room": {1, func(t *testing.T, l *budget.Ledger) { admitted(t, l) }, nil, 0, 1},
		"admitted":                           {2, func(t *testing.T, l *budget.Ledger) { admitted(t, l) }, nil, 0, 1},
		"settled": {2, func(t *testing.T, l *budget.Ledger) {
			must(t, admitted(t, l).Settle(t.Context(), rushAmounts))
		}, budget.ErrClosed, 1, 0},
		"released": {1, func(t *testing.T, l *budget.Ledger) {
			must(t, admitted(t, l).Release(t.Context()))
		}, budget.ErrClosed, 0, 0},
		"recorded": {2, func(t *testing.T, l *budget.Ledger) {
			_, err := l.Record(t.Context(), rushEvent("same"))
			must(t, err)
		}, budget.ErrClosed, 1, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := onDatabase(t, pgtest.URL(t)) // the others take one transaction at a time
			b := rushBudgets[1]
			b.Name, b.Limit = "test", b.Metric.Decimal(c.room*rushUnits(b))
			other := rushLedger(s)
			if _, err := other.Create(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			hook := &hooked{Store: s, before: func() { c.meanwhile(t, other) }}
			res, err := rushLedger(hook).Reserve(t.Context(), rushRequest("same"))
			if !errors.Is(err, c.want) || (err == nil) != (res != nil) {
				t.Errorf("the first is told %v, want %v", err, c.want)
			}
			f := s.facts(t)
			f.agree(t)
			want := budget.Tally{Recorded: int64(c.settled) * rushUnits(b), Reserved: int64(c.open) * rushUnits(b)}
			if got := f.of(b.ID); got != want || len(f.events) != c.settled || f.in(budget.Open) != c.open {
				t.Errorf("counted %+v, want %+v; %d events, want %d; %d open, want %d",
					got, want, len(f.events), c.settled, f.in(budget.Open), c.open)
			}
			verify(t, other)
		})
	}
}

// A hooked store does something once in the middle of a transaction: before it locks counters.
type hooked struct {
	budget.Store
	once   sync.Once
	before func()
}

func (h *hooked) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return h.Store.Update(ctx, func(tx budget.Tx) error { return fn(&hookedTx{tx, h}) })
}

type hookedTx struct {
	budget.Tx
	hook *hooked
}

func (t *hookedTx) LockCounters(ctx context.Context, keys []budget.CounterKey) (map[budget.CounterKey]budget.Counter, error) {
	t.hook.once.Do(t.hook.before)
	return t.Tx.LockCounters(ctx, keys)
}
