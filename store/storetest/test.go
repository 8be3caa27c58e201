package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
)

// A test is one run of a rule on a store of its own.
type test struct {
	*testing.T
	store budget.Store
}

// update runs fn in an Update that must succeed.
func (t *test) update(fn func(tx budget.Tx) error) {
	t.Helper()
	if err := t.store.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// define writes behind an exclusive fence.
func (t *test) define(w budget.Writes) {
	t.Helper()
	t.update(func(tx budget.Tx) error { return apply(t.Context(), tx, budget.Exclusive, w) })
}

// put stores definitions.
func (t *test) put(definitions ...budget.Definition) {
	t.Helper()
	t.define(budget.Writes{PutBudgets: definitions})
}

// write writes behind a shared fence, and returns what Apply did.
func (t *test) write(w budget.Writes) (after map[budget.CounterKey]budget.Counter) {
	t.Helper()
	t.update(func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Shared); err != nil {
			return err
		}
		var err error
		after, err = tx.Apply(t.Context(), w)
		return err
	})
	return after
}

// insert inserts events in one transaction.
func (t *test) insert(events ...budget.StoredEvent) (inserted budget.Inserted) {
	t.Helper()
	t.update(func(tx budget.Tx) error {
		var err error
		inserted, err = insert(t.Context(), tx, events...)
		return err
	})
	return inserted
}

// reserve adds reservations.
func (t *test) reserve(reservations ...budget.StoredReservation) {
	t.Helper()
	t.write(budget.Writes{AddReservations: reservations})
}

// claimKeys claims keys in a transaction of its own.
func (t *test) claimKeys(claims ...budget.KeyClaim) (standing map[string]budget.KeyClaim) {
	t.Helper()
	t.update(func(tx budget.Tx) error {
		var err error
		standing, err = claimKeys(t.Context(), tx, claims...)
		return err
	})
	return standing
}

// take takes reservations in a transaction of its own.
func (t *test) take(overdue int, keys ...budget.ReservationKey) (taken budget.Taken) {
	t.Helper()
	t.update(func(tx budget.Tx) error {
		var err error
		taken, err = take(t.Context(), tx, overdue, keys...)
		return err
	})
	return taken
}

// settle puts and deletes reservations in a transaction of its own.
func (t *test) settle(w budget.Writes) {
	t.Helper()
	t.update(func(tx budget.Tx) error { return settle(t.Context(), tx, w) })
}

// view runs fn in a View that must succeed.
func (t *test) view(fn func(tx budget.ReadTx) error) {
	t.Helper()
	if err := t.store.View(t.Context(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// read returns what a reading step, such as [budget.ReadTx.Events], returns for q in a View of its own.
func read[Q, R any](t *test, step func(budget.ReadTx, context.Context, Q) (R, error), q Q) (result R) {
	t.Helper()
	t.view(func(tx budget.ReadTx) error {
		var err error
		result, err = step(tx, t.Context(), q)
		return err
	})
	return result
}

func (t *test) catalog() (c budget.Catalog) {
	t.Helper()
	t.view(func(tx budget.ReadTx) error {
		var err error
		c, err = tx.Catalog(t.Context())
		return err
	})
	return c
}

func apply(ctx context.Context, tx budget.Tx, mode budget.FenceMode, w budget.Writes) error {
	if err := tx.Fence(ctx, mode); err != nil {
		return err
	}
	_, err := tx.Apply(ctx, w)
	return err
}

func insert(ctx context.Context, tx budget.Tx, events ...budget.StoredEvent) (budget.Inserted, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return budget.Inserted{}, err
	}
	return tx.InsertEvents(ctx, events)
}

func lock(ctx context.Context, tx budget.Tx, keys ...budget.CounterKey) (map[budget.CounterKey]budget.Counter, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return nil, err
	}
	return tx.LockCounters(ctx, keys)
}

func lockEvents(ctx context.Context, tx budget.Tx, keys ...budget.EventKey) (map[budget.EventKey]budget.LockedEvent, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return nil, err
	}
	return tx.LockEvents(ctx, keys)
}

func claimKeys(ctx context.Context, tx budget.Tx, claims ...budget.KeyClaim) (map[string]budget.KeyClaim, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return nil, err
	}
	return tx.ClaimKeys(ctx, claims)
}

func take(ctx context.Context, tx budget.Tx, overdue int, keys ...budget.ReservationKey) (budget.Taken, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return budget.Taken{}, err
	}
	return tx.TakeReservations(ctx, keys, overdue)
}

// settle puts and deletes reservations, having taken them.
func settle(ctx context.Context, tx budget.Tx, w budget.Writes) error {
	if _, err := take(ctx, tx, 0, append(keysIn(w.PutReservations), w.DeleteReservations...)...); err != nil {
		return err
	}
	_, err := tx.Apply(ctx, w)
	return err
}

// shuffle brings rows into another order, the same in each run.
func shuffle[T any](rows []T) {
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
}

// equal reports a breach of rule unless got is want.
func equal[T any](t *test, rule string, want, got T) {
	t.Helper()
	if reflect.DeepEqual(want, got) { // far quicker, and nearly always so
		return
	}
	if diff := gocmp.Diff(want, got, exactly()); diff != "" {
		t.Errorf("not so: %s (-want +got):\n%s", rule, head(diff))
	}
}

// head returns the first 100 lines of a text.
func head(text string) string {
	lines := strings.SplitAfterN(text, "\n", 101)
	return strings.Join(lines[:min(len(lines), 100)], "")
}

// exactly compares instants as instants in UTC, and what has hidden fields with ==. Where a list or a map is a result, a
// nil and an empty one are the same; [definitionsNil] and the like look at those that are part of a row.
func exactly() gocmp.Option {
	return gocmp.Options{
		cmpopts.EquateEmpty(),
		gocmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }),
		gocmp.Comparer(func(a, b period.Schedule) bool { return a == b }),
	}
}

// fails reports a breach of rule unless err is want.
func fails(t *test, rule string, want, err error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("not so: %s: error is %v, want %v", rule, err, want)
	}
}

// none reports a breach of rule if there is a row.
func none[T any](t *test, rule string, got []T) {
	t.Helper()
	if len(got) > 0 {
		t.Errorf("not so: %s: got %+v, want nothing", rule, got)
	}
}
