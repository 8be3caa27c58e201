package pgstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/usage"
)

// Two transactions that take the same rows in different orders end up waiting for each other, until the server ends one
// of them after a second and the store runs it again. The counts come out right all the same, so that the suite of all
// stores does not see it.
func TestNoTransactionIsRunAgainForTheOrderOfItsRows(t *testing.T) {
	db := pgtest.Open(t)
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, `INSERT INTO purser_reservations
		SELECT i, -i, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, 'acme', '0-' || i, '', '', '', '{}', '', '[]' FROM generate_series(0, 19) AS i`)
	turns := soak.Count(t, "transactions over the same rows in random orders", 100, 10_000)
	for name, step := range map[string]func(ctx context.Context, tx budget.Tx, turn int) error{
		"InsertEvents": func(ctx context.Context, tx budget.Tx, turn int) error {
			_, err := tx.InsertEvents(ctx, shuffled(func(i int) budget.StoredEvent {
				return budget.StoredEvent{ID: fmt.Sprint(turn, "-", i), Subject: usage.Subject{Tenant: "acme"}, Time: time.UnixMicro(1)}
			}))
			return err
		},
		"TakeReservations": func(ctx context.Context, tx budget.Tx, turn int) error {
			keys := shuffled(func(i int) budget.ReservationKey {
				return budget.ReservationKey{Tenant: "acme", ID: fmt.Sprint("0-", i)}
			})
			// By turns also overdue ones, which all others are, the last ones first.
			_, err := tx.TakeReservations(ctx, keys[:10], turn%2*5)
			return err
		},
		"LockEvents": func(ctx context.Context, tx budget.Tx, _ int) error {
			_, err := tx.LockEvents(ctx, shuffled(func(i int) budget.EventKey {
				return budget.EventKey{Tenant: "acme", ID: fmt.Sprint("0-", i)}
			}))
			return err
		},
		"LockCounters": func(ctx context.Context, tx budget.Tx, turn int) error {
			_, err := tx.LockCounters(ctx, shuffled(func(i int) budget.CounterKey {
				return budget.CounterKey{Budget: fmt.Sprint(i), Start: int64(turn / 10)} // some are new
			}))
			return err
		},
		"Apply": func(ctx context.Context, tx budget.Tx, turn int) error {
			_, err := tx.Apply(ctx, budget.Writes{
				Counters: shuffled(func(i int) budget.Counter {
					return budget.Counter{CounterKey: budget.CounterKey{Budget: fmt.Sprint(i), Start: int64(turn / 10)}}
				}),
				Usage: shuffled(func(i int) budget.UsageAdd {
					return budget.UsageAdd{UsageKey: budget.UsageKey{Grain: usage.Days, Bucket: int64(turn / 10), Tenant: fmt.Sprint(i)}}
				}),
			})
			return err
		},
		"Apply what only one can add": func(ctx context.Context, tx budget.Tx, turn int) error {
			_, err := tx.Apply(ctx, budget.Writes{AddReservations: shuffled(func(i int) budget.StoredReservation {
				return budget.StoredReservation{ID: fmt.Sprint(turn, "-", i), Subject: usage.Subject{Tenant: "other"}, Time: time.UnixMicro(1)}
			})})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var runs atomic.Int64
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					for turn := range turns {
						err := store.Update(t.Context(), func(tx budget.Tx) error {
							runs.Add(1)
							if err := tx.Fence(t.Context(), budget.Shared); err != nil {
								return err
							}
							return step(t.Context(), tx, turn)
						})
						if err != nil && !errors.Is(err, budget.ErrConflict) {
							t.Error(err)
						}
					}
				})
			}
			group.Wait()
			if again := runs.Load() - int64(4*turns); again > 0 {
				t.Errorf("%d of %d transactions were run again", again, 4*turns)
			}
		})
	}
}

// shuffled returns twenty rows in a random order.
func shuffled[R any](row func(i int) R) []R {
	rows := make([]R, 20)
	for i, place := range rand.Perm(len(rows)) {
		rows[i] = row(place)
	}
	return rows
}
