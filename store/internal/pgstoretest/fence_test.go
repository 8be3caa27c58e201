package pgstoretest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store/pgstore"
)

// Transactions share the fence without a break, each for longer than an exclusive one waits at first.
func TestAnExclusiveFenceGetsItsTurnAmongLongTransactions(t *testing.T) {
	db := pgtest.Open(t)
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	s, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var holding, done sync.WaitGroup
	for i := range 6 {
		holding.Add(1)
		done.Go(func() {
			first := holding.Done
			for hold := 100 + 20*time.Duration(i); ctx.Err() == nil; {
				err := s.Update(context.WithoutCancel(ctx), func(tx budget.Tx) error {
					if err := tx.Fence(t.Context(), budget.Shared); err != nil {
						return err
					}
					first()
					first = func() {}
					<-time.After(hold * time.Millisecond)
					return nil
				})
				if err != nil {
					t.Errorf("a transaction that shares the fence: %v", err)
					return
				}
			}
		})
	}
	holding.Wait()
	for range 3 {
		start := time.Now()
		if err := s.Update(t.Context(), func(tx budget.Tx) error { return tx.Fence(t.Context(), budget.Exclusive) }); err != nil {
			t.Errorf("the exclusive fence: %v", err)
		}
		t.Logf("after %v", time.Since(start))
	}
	stop()
	done.Wait()
}
