package outagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// What a ledger keeps in memory, the goroutines that it needs and the connections that its store holds do not grow with
// what it has done, and nothing is left of them when both have ended.
func TestSoak(t *testing.T) {
	for _, leases := range []*budget.LeaseOptions{nil, {}} {
		with, inMemory := "", 20_000
		if leases != nil {
			with, inMemory = " with leases", 60_000 // several times what is remembered
		}
		t.Run("memstore"+with, func(t *testing.T) {
			s := &soaked{T: t, operations: soak.Count(t, "operations", inMemory, 1_000_000)}
			s.run(leases, memstore.New(nil))
		})
		t.Run("sqlite"+with, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "purser.db")
			s := &soaked{T: t, operations: soak.Count(t, "operations", 3_000, 1_000_000)}
			s.connections = func() int { return openFiles(t, path) }
			s.most = 3 * 9 // a writer and eight readers, with three files each
			s.runOpened(leases, "sqlite:"+path)
		})
		t.Run("postgres"+with, func(t *testing.T) {
			url := pgtest.URL(t)
			name := strings.ReplaceAll(t.Name(), " ", "")
			s := &soaked{T: t, operations: soak.Count(t, "operations", 6_000, 1_000_000)}
			admin := plain(t, url)
			s.connections = func() (n int) {
				err := admin.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name).Scan(&n)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			s.connections() // so that admin's goroutines are there from the beginning
			s.most = 16
			s.runOpened(leases, url+"&application_name="+name)
		})
	}
}

// A soaked is a test of one ledger.
type soaked struct {
	*testing.T
	operations  int
	connections func() int // how many are open; nil: there is nothing to connect to
	most        int        // of them

	ledger *budget.Ledger
	next   atomic.Int64
	leased atomic.Int64
}

// How much more memory may be in use than after the first operations, and how much for each of the last reservations from
// memory: what they are known by is kept of at most twice 8,192 that have ended.
const (
	mostGrowth     = 2 << 20
	perReservation = 1 << 9
	remembered     = 2 << 13
)

func (s *soaked) runOpened(leases *budget.LeaseOptions, url string) {
	s.Helper()
	before := goleak.IgnoreCurrent()
	opened, err := store.Open(s.Context(), url, nil)
	if err != nil {
		s.Fatal(err)
	}
	s.run(leases, opened)
	if err := opened.Close(); err != nil {
		s.Error(err)
	}
	leak.VerifyNone(s, before)
	for s.connections() > 0 { // the server may need a moment, and the test has an end
	}
}

func (s *soaked) run(leases *budget.LeaseOptions, of budget.Store) {
	s.Helper()
	makeBudgets(s.T, of)
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(s.Context())
	s.ledger = budget.NewLedger(of, &budget.Options{Leases: leases, OnError: func(err error) { s.Errorf("Run: %v", err) }})
	ended := make(chan error)
	go func() { ended <- s.ledger.Run(ctx) }()

	const parts, warm = 10, 2
	var least, growth int64
	for part := range parts {
		s.work(s.operations / parts)
		s.forget(of)
		heap := heapInUse()
		if part <= warm {
			least = heap
		}
		growth = max(growth, heap-least)
		if s.connections != nil && s.connections() > s.most {
			s.Errorf("%d connections are open, want at most %d", s.connections(), s.most)
		}
	}
	if most := mostGrowth + perReservation*min(s.leased.Load(), remembered); growth > most {
		s.Errorf("%d KiB more are in use than after the first operations, want at most %d KiB", growth>>10, most>>10)
	}
	if leases != nil && s.leased.Load() == 0 && !testing.Short() {
		s.Error("nothing was reserved from memory")
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		s.Errorf("Run ended with %v", err)
	}
	leak.VerifyNone(s, append(leak.OfPools(), before)...)
	s.Logf("%d KiB more are in use than after the first operations, %d reservations from memory", growth>>10, s.leased.Load())
}

// work does so many operations, several at a time.
func (s *soaked) work(operations int) {
	s.Helper()
	until := s.next.Load() + int64(operations)
	var group sync.WaitGroup
	for range 2 * goroutines {
		group.Go(func() {
			for i := s.next.Add(1); i <= until; i = s.next.Add(1) {
				if err := s.operate(i); err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	s.next.Store(until)
}

// operate does one operation, or reserves and does what ends the reservation.
func (s *soaked) operate(i int64) error {
	ctx := s.Context()
	subject := usage.Subject{Tenant: fmt.Sprintf("t%d", i%3)}
	if i%4 == 0 {
		_, err := s.ledger.Record(ctx, usage.Event{ID: usage.NewID(), Subject: subject, Amounts: amounts()})
		return err
	}
	r := budget.Request{Subject: subject, Estimate: amounts()}
	if i%2 == 0 {
		r.ID = usage.NewID()
	}
	res, err := s.ledger.Reserve(ctx, r)
	if err != nil {
		return err
	}
	if res.Leased() {
		s.leased.Add(1)
	}
	switch i % 8 {
	case 1:
		return res.Release(ctx)
	case 2:
		_, err := s.ledger.Settle(ctx, res.Key(), budget.Settlement{Amounts: amounts()})
		return err
	case 3:
		return res.Close(ctx)
	case 5:
		return res.SettleAs(ctx, budget.Settlement{Amounts: usage.Amounts{InputTokens: 10, Cost: new(decimal.New(2, -3))}})
	default:
		return res.Settle(ctx, amounts())
	}
}

// forget deletes what the operations so far have left, as retention would in the long run.
func (s *soaked) forget(of budget.Store) {
	s.Helper()
	ctx := s.Context()
	err := of.Update(ctx, func(tx budget.Tx) error {
		if err := tx.Fence(ctx, budget.Exclusive); err != nil {
			return err
		}
		var w budget.Writes
		events, err := tx.Events(ctx, budget.EventQuery{Span: period.Bounds{Start: usage.MinTime, End: usage.EndTime}})
		if err != nil {
			return err
		}
		for _, e := range events {
			w.DeleteEvents = append(w.DeleteEvents, e.Key())
		}
		ended, err := tx.Reservations(ctx, budget.ReservationQuery{States: []budget.ReservationState{budget.Released, budget.Expired}})
		if err != nil {
			return err
		}
		for _, r := range ended {
			w.DeleteReservations = append(w.DeleteReservations, r.Key())
		}
		_, err = tx.Apply(ctx, w)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}

// heapInUse returns how many bytes are in use once what is not was collected.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what the first has finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far from what int64 holds
}

// openFiles returns how many files this process has open whose names begin like this; 0 where that can't be seen.
func openFiles(t *testing.T, prefix string) (n int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		// One that was closed meanwhile has no name.
		if name, _ := os.Readlink("/proc/self/fd/" + d.Name()); strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}
