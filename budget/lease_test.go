package budget_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// running runs the ledger until the test, or stop, ends it.
func running(t testing.TB, l *budget.Ledger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// leasing returns ledgers on one store, as if in so many processes, that run and lease.
func leasing(t testing.TB, n int, o budget.LeaseOptions) (*memstore.Store, []*budget.Ledger) {
	s := memstore.New(nil)
	ledgers := make([]*budget.Ledger, n)
	for i := range ledgers {
		ledgers[i] = budget.NewLedger(s, &budget.Options{Leases: &o, OnError: func(err error) { t.Error(err) }})
		running(t, ledgers[i])
	}
	return s, ledgers
}

func TestLeasesAdmitTheWholeLimitAndNotMore(t *testing.T) {
	const room, workers = 50_000, 8
	_, ledgers := leasing(t, 4, budget.LeaseOptions{})
	ctx := t.Context()
	b, err := ledgers[0].Create(ctx, budget.Budget{Name: "hot", Metric: usage.Requests, Limit: dec(fmt.Sprint(room))})
	if err != nil {
		t.Fatal(err)
	}
	var admitted, leased atomic.Int64
	var workersDone sync.WaitGroup
	for _, l := range ledgers {
		for range workers {
			workersDone.Go(func() {
				for {
					res, err := l.Reserve(ctx, budget.Request{Subject: subject})
					if errors.Is(err, budget.ErrExceeded) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					admitted.Add(1)
					if res.Leased() {
						leased.Add(1)
					}
					if err := res.Settle(ctx, input(1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	workersDone.Wait()
	t.Logf("%d admitted, %d from memory", admitted.Load(), leased.Load())
	status, err := ledgers[0].Status(ctx, b.ID, nil)
	if err != nil || !status.Used.Equal(dec(fmt.Sprint(room))) || admitted.Load() != room {
		t.Errorf("%d admitted, %s used, %v; want %d", admitted.Load(), status.Used, err, room)
	}
	if leased.Load()*10 < room*9 {
		t.Errorf("%d of %d admitted from memory, want more than 90 percent", leased.Load(), room)
	}
}
