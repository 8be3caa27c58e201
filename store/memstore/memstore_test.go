package memstore_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/store/storetest"
)

func TestMain(m *testing.M) { leak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) budget.Store { return memstore.New(nil) })
}

// A memstore can't be bound, but the suite for those that can has to be seen to work.
func TestBound(t *testing.T) {
	storetest.RunBound(t, func(*testing.T) storetest.Bound {
		outside := memstore.New(nil)
		inside, end := outside.Begin()
		return storetest.Bound{
			Store:    inside,
			Outside:  outside,
			Commit:   func() error { return end(true) },
			Rollback: func() error { return end(false) },
		}
	})
}

func TestReportingZone(t *testing.T) {
	for want, o := range map[string]*memstore.Options{
		"UTC":           nil,
		"Europe/Berlin": {ReportingZone: "Europe/Berlin"},
	} {
		err := memstore.New(o).View(t.Context(), func(tx budget.ReadTx) error {
			c, err := tx.Catalog(t.Context())
			if c.ReportingZone != want {
				t.Errorf("reporting zone is %q, want %q", c.ReportingZone, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

var errDown = errors.New("down")

func TestFailNext(t *testing.T) {
	s := memstore.New(nil)
	update := func(outcome error) error {
		return s.Update(t.Context(), func(tx budget.Tx) error { return errors.Join(count(t.Context(), tx, 1), outcome) })
	}
	s.FailNext(errDown)
	refusal := errors.New("refused")
	if err := update(refusal); !errors.Is(err, refusal) || errors.Is(err, errDown) {
		t.Errorf("an fn that fails by itself: error is %v, want %v alone", err, refusal)
	}
	if err := update(nil); !errors.Is(err, errDown) {
		t.Errorf("the next fn that succeeds: error is %v, want %v", err, errDown)
	}
	if err := update(nil); err != nil {
		t.Errorf("the one after that: error is %v, want none", err)
	}
	s.FailNext(errDown)
	s.FailNext(nil)
	if err := update(nil); err != nil {
		t.Errorf("after the failure was taken back: error is %v, want none", err)
	}
}

func TestFailNextLeavesNothing(t *testing.T) {
	s := memstore.New(nil)
	s.FailNext(errDown)
	err := s.Update(t.Context(), func(tx budget.Tx) error { return count(t.Context(), tx, 1) })
	if !errors.Is(err, errDown) {
		t.Errorf("error is %v, want %v", err, errDown)
	}
	err = s.View(t.Context(), func(tx budget.ReadTx) error {
		counters, err := tx.Counters(t.Context(), budget.CounterQuery{})
		if len(counters) > 0 {
			t.Errorf("something stayed: %v", counters)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

func reserve(t *testing.T, s *memstore.Store, reservations ...budget.StoredReservation) {
	t.Helper()
	err := s.Update(t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Shared); err != nil {
			return err
		}
		_, err := tx.Apply(t.Context(), budget.Writes{AddReservations: reservations})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// count takes the steps of a transaction that adds to a counter.
func count(ctx context.Context, tx budget.Tx, n int64) error {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return err
	}
	_, err := tx.Apply(ctx, budget.Writes{Counters: []budget.Counter{{
		CounterKey: budget.CounterKey{Budget: "b"},
		Tally:      budget.Tally{Recorded: n},
	}}})
	return err
}

func TestTransactionsAreStrict(t *testing.T) {
	for rule, fn := range map[string]func(ctx context.Context, tx budget.Tx) error{
		"Fence is the first step": func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.InsertEvents(ctx, nil)
			return err
		},
		"InsertEvents after Apply is out of order": func(ctx context.Context, tx budget.Tx) error {
			if err := count(ctx, tx, 1); err != nil {
				return err
			}
			_, err := tx.InsertEvents(ctx, nil)
			return err
		},
		"TakeReservations after LockEvents is out of order": func(ctx context.Context, tx budget.Tx) error {
			if err := tx.Fence(ctx, budget.Shared); err != nil {
				return err
			}
			if _, err := tx.LockEvents(ctx, nil); err != nil {
				return err
			}
			_, err := tx.TakeReservations(ctx, nil, 1)
			return err
		},
		"ClaimKeys after TakeReservations is out of order": func(ctx context.Context, tx budget.Tx) error {
			if err := tx.Fence(ctx, budget.Shared); err != nil {
				return err
			}
			if _, err := tx.TakeReservations(ctx, nil, 1); err != nil {
				return err
			}
			_, err := tx.ClaimKeys(ctx, nil)
			return err
		},
		"PutReservations of one that is not locked": func(ctx context.Context, tx budget.Tx) error {
			return settle(ctx, tx, "other", budget.Writes{PutReservations: []budget.StoredReservation{{ID: "1"}}})
		},
		"DeleteReservations of one that is not locked": func(ctx context.Context, tx budget.Tx) error {
			return settle(ctx, tx, "other", budget.Writes{DeleteReservations: []budget.ReservationKey{{ID: "1"}}})
		},
		"LockEvents after LockCounters is out of order": func(ctx context.Context, tx budget.Tx) error {
			if err := tx.Fence(ctx, budget.Shared); err != nil {
				return err
			}
			if _, err := tx.LockCounters(ctx, nil); err != nil {
				return err
			}
			_, err := tx.LockEvents(ctx, nil)
			return err
		},
		"a change of definitions needs an exclusive fence": func(ctx context.Context, tx budget.Tx) error {
			if err := tx.Fence(ctx, budget.Shared); err != nil {
				return err
			}
			_, err := tx.Apply(ctx, budget.Writes{DeleteBudgets: []string{"b"}})
			return err
		},
	} {
		t.Run(rule, func(t *testing.T) {
			s := memstore.New(nil)
			reserve(t, s, budget.StoredReservation{ID: "1", Expires: noon})
			var within error
			err := s.Update(t.Context(), func(tx budget.Tx) error {
				within = fn(t.Context(), tx)
				return nil // Update has to remember it
			})
			if within == nil || !strings.Contains(within.Error(), rule) || !errors.Is(err, within) {
				t.Errorf("the step's error is %v, that of Update %v", within, err)
			}
		})
	}
}

// settle takes a reservation and writes.
func settle(ctx context.Context, tx budget.Tx, id string, w budget.Writes) error {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return err
	}
	if _, err := tx.TakeReservations(ctx, []budget.ReservationKey{{ID: id}}, 0); err != nil {
		return err
	}
	_, err := tx.Apply(ctx, w)
	return err
}

func TestExclusiveFenceLocksReservations(t *testing.T) {
	s := memstore.New(nil)
	reserve(t, s, budget.StoredReservation{ID: "1"}, budget.StoredReservation{ID: "2"})
	err := s.Update(t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Exclusive); err != nil {
			return err
		}
		_, err := tx.Apply(t.Context(), budget.Writes{
			PutReservations:    []budget.StoredReservation{{ID: "1", State: budget.Released}},
			DeleteReservations: []budget.ReservationKey{{ID: "2"}},
		})
		return err
	})
	if err != nil {
		t.Errorf("behind an exclusive fence nobody else writes: error is %v", err)
	}
}

func TestClockDecidesWhatIsOverdue(t *testing.T) {
	now := noon
	s := memstore.New(&memstore.Options{Now: func() time.Time { return now.In(time.FixedZone("", 3600)).Add(999) }})
	reserve(t, s, budget.StoredReservation{ID: "1", Expires: noon})
	for rule, c := range map[string]struct {
		now     time.Time
		overdue int
	}{
		"before Expires it is not":        {noon.Add(-time.Microsecond), 0},
		"once the clock reaches it it is": {noon, 1},
		"and stays so":                    {noon.Add(time.Hour), 1},
	} {
		now = c.now
		err := s.Update(t.Context(), func(tx budget.Tx) error {
			if err := tx.Fence(t.Context(), budget.Shared); err != nil {
				return err
			}
			asked, err := tx.Reservations(t.Context(), budget.ReservationQuery{Overdue: true})
			if err != nil {
				return err
			}
			taken, err := tx.TakeReservations(t.Context(), nil, 10)
			if len(asked) != c.overdue || len(taken.Reservations) != c.overdue {
				t.Errorf("%s: %d are found and %d taken, want %d", rule, len(asked), len(taken.Reservations), c.overdue)
			}
			if taken.Now != c.now {
				t.Errorf("%s: the time is %v, want %v", rule, taken.Now, c.now)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestHighestOverflows(t *testing.T) {
	s := memstore.New(nil)
	key := budget.CounterKey{Budget: "b"}
	err := s.Update(t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Shared); err != nil {
			return err
		}
		full := budget.Counter{CounterKey: key, Tally: budget.Tally{Recorded: math.MaxInt64, Adjusted: 1}}
		if _, err := tx.Apply(t.Context(), budget.Writes{Counters: []budget.Counter{full}}); err != nil {
			return err
		}
		_, err := tx.Highest(t.Context(), []budget.CounterKey{key})
		return err
	})
	if !errors.Is(err, budget.ErrOverflow) {
		t.Errorf("error is %v, want %v", err, budget.ErrOverflow)
	}
}
