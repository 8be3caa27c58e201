package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/usage"
)

// Four processes that lease use up one limit. Nine of ten requests do not ask the store, and yet exactly as many are
// admitted as there is room for: not one more, and in the end not one fewer.
func TestProcessesThatLeaseUseTheWholeLimitAndNoMore(t *testing.T) {
	cases := map[string]struct {
		leases budget.LeaseOptions
		twice  bool
		room   int // the stated one is 50,000
	}{
		"settled behind":             {leases: budget.LeaseOptions{AsyncSettle: true}, room: 50_000},
		"settled at once":            {room: 10_000},
		"each request is sent twice": {leases: budget.LeaseOptions{AsyncSettle: true}, twice: true, room: 10_000},
	}
	for store, url := range databases() {
		for name, c := range cases {
			t.Run(store+"/"+name, func(t *testing.T) {
				m := newSale(t, url(t), soak.Count(t, "requests of four processes that lease", c.room, 50_000))
				tasks := make([]task, processes)
				for i := range tasks {
					tasks[i] = task{Do: "lease", URL: m.url, Leases: &c.leases, Twice: c.twice, TTL: time.Minute}
				}
				for _, line := range atOnce(t, tasks) {
					m.hear(line)
				}
				m.check(true)
			})
		}
	}
}

// One of four processes that lease is killed. What it held and had not settled comes back when its leases end, and the
// others use it.
func TestWhatAKilledProcessHadLeasedIsUsedByTheOthers(t *testing.T) {
	for store, url := range databases() {
		t.Run(store, func(t *testing.T) {
			m := newSale(t, url(t), soak.Count(t, "requests of four processes, one of which is killed", 4_000, 50_000))
			var done sync.WaitGroup
			for i := range processes {
				p := startProcess(t, task{Do: "lease", URL: m.url, Process: i, TTL: 5 * time.Second, Leases: &budget.LeaseOptions{TTL: 2 * time.Second}})
				p.out.Scan()
				if err := p.in.Close(); err != nil {
					t.Fatal(err)
				}
				done.Go(func() {
					for p.out.Scan() {
						if i == 0 && m.killable(p.out.Text()) {
							if err := p.cmd.Process.Kill(); err != nil {
								t.Error(err)
							}
							_ = p.cmd.Wait() // it says that it was killed
							return
						}
						m.hear(p.out.Text())
					}
					if err := p.cmd.Wait(); err != nil {
						t.Errorf("process %d: %v: %s", i, err, p.errs.String())
					}
				})
			}
			done.Wait()
			m.check(false)
		})
	}
}

// A sale is one budget of requests that processes use up.
type sale struct {
	*stage
	t        *testing.T
	ledger   *budget.Ledger
	limits   map[string]int64
	room     int64
	admitted atomic.Int64 // by what the processes say
	leased   atomic.Int64 // of those, from memory
}

func newSale(t *testing.T, url string, room int) *sale {
	t.Helper()
	m := &sale{stage: onDatabase(t, url), t: t, room: int64(room)}
	m.watch(t)
	m.ledger = budget.NewLedger(m.stage, nil)
	m.limits = map[string]int64{"hot": m.room, "tenant": 2 * m.room, "tokens": 20 * m.room}
	for _, b := range []budget.Budget{
		{ID: "hot", Metric: usage.Requests},
		{ID: "tenant", Metric: usage.Requests, Scope: budget.Scope{usage.Tenant: budget.Each}},
		{ID: "tokens", Metric: usage.Tokens},
	} {
		b.Name, b.Limit = "test", decimal.NewFromInt(m.limits[b.ID])
		if _, err := m.ledger.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// hear takes down what a process says it has admitted since it last said so.
func (m *sale) hear(line string) {
	var admitted, leased int64
	if _, err := fmt.Sscanf(line, "%d admitted, %d from memory", &admitted, &leased); err != nil {
		m.t.Errorf("a process says %q", line)
	}
	m.admitted.Add(admitted)
	m.leased.Add(leased)
}

// killable hears, and reports whether a good part of the room is used.
func (m *sale) killable(line string) bool {
	m.hear(line)
	return m.admitted.Load() > m.room/4
}

// check looks at the tables. With all, every process has come to its end, and said what it did. What was settled after its time
// had passed may have lost its room to others: it counts all the same.
func (m *sale) check(all bool) {
	t := m.t
	m.neverAbove(t, m.limits)
	f := m.facts(t)
	f.agree(t)
	n, most := int64(len(f.events)), m.room+int64(f.late)
	if n < m.room || n > most || f.used(t).Requests != n {
		t.Errorf("%d events, of %d requests, are stored, %d of them late; there was room for %d", n, f.used(t).Requests, f.late, m.room)
	}
	for id := range m.limits {
		sum, want := f.of(id), n
		if id == "tokens" {
			want *= 10
		}
		if sum.Recorded != want || sum.Reserved != 0 || sum.Leased != 0 {
			t.Errorf("%s: %d recorded, %d reserved, %d leased; want %d and nothing", id, sum.Recorded, sum.Reserved, sum.Leased, want)
		}
	}
	if n := f.in(budget.Open); n > 0 {
		t.Errorf("%d reservations are open", n)
	}
	admitted, leased := m.admitted.Load(), m.leased.Load()
	if all && admitted != n {
		t.Errorf("%d were admitted, and %d recorded", admitted, n)
	}
	if all && leased*10 < admitted*9 {
		t.Errorf("%d of %d were admitted without asking the store, want more than 90 percent", leased, admitted)
	}
	t.Logf("%d admitted, %d of them without asking the store, %d recorded late", admitted, leased, f.late)
	verify(t, m.ledger)
}

// leaseUntilAllIsUsed is a process that reserves and settles with many goroutines, until all of the budget "hot" is used. It
// prints now and then how many were admitted.
func leaseUntilAllIsUsed(ctx context.Context, mine task, s budget.Store) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // so that it ends if nobody listens any more
	defer cancel()
	b := &buyer{task: mine}
	b.ledger = budget.NewLedger(s, &budget.Options{Leases: mine.Leases, OnError: b.onError})
	running, end := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- b.ledger.Run(running) }()
	failed := awaitBegin()
	if failed == nil {
		failed = all(8, func(g int) error { return errors.Join(b.buy(ctx, g), ctx.Err()) })
		b.say()
	}
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		failed = errors.Join(failed, err)
	}
	return errors.Join(failed, b.failed)
}

type buyer struct {
	task
	ledger *budget.Ledger

	mu               sync.Mutex
	admitted, leased int // since it was last said
	failed           error
}

// busy reports whether the store was too busy for too long, which SQLite may be where four processes have two processors.
func busy(err error) bool {
	return errors.Is(err, budget.ErrUnavailable) || errors.Is(err, budget.ErrOutcomeUnknown)
}

func (b *buyer) onError(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !busy(err) {
		b.failed = errors.Join(b.failed, err)
	}
}

func (b *buyer) buy(ctx context.Context, g int) error {
	r := budget.Request{Subject: usage.Subject{Tenant: "t"}, Estimate: usage.Amounts{InputTokens: 10}, TTL: b.TTL}
	for i := 0; ctx.Err() == nil; i++ {
		if b.Twice {
			r.ID = fmt.Sprintf("p%d-%d-%d", b.Process, g, i)
		}
		res, err := b.ledger.Reserve(ctx, r)
		switch {
		case errors.Is(err, budget.ErrExceeded):
			// What is held may come back: of those that had too much, or of one that died.
			status, err := b.ledger.Status(ctx, "hot", nil)
			if err == nil && !status.Used.LessThan(status.Budget.Limit) {
				return nil
			}
			if err != nil && !busy(err) {
				return err
			}
			time.Sleep(50 * time.Millisecond)
			continue
		case busy(err):
			continue
		case err != nil:
			return err
		}
		if err := b.again(ctx, r, res); err != nil {
			return err
		}
		b.count(res)
		for err = res.Settle(ctx, r.Estimate); busy(err) && ctx.Err() == nil; err = res.Settle(ctx, r.Estimate) {
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// again sends a request twice: it makes one reservation.
func (b *buyer) again(ctx context.Context, r budget.Request, res *budget.Reservation) error {
	if !b.Twice {
		return nil
	}
	second, err := b.ledger.Reserve(ctx, r)
	if busy(err) {
		return nil
	}
	if err == nil && (second.Key() != res.Key() || second.Leased() != res.Leased()) {
		err = fmt.Errorf("%s was made twice", strings.TrimSpace(r.ID))
	}
	return err
}

func (b *buyer) count(res *budget.Reservation) {
	b.mu.Lock()
	b.admitted++
	if res.Leased() {
		b.leased++
	}
	full := b.admitted == 100
	b.mu.Unlock()
	if full {
		b.say()
	}
}

func (b *buyer) say() {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Printf("%d admitted, %d from memory\n", b.admitted, b.leased)
	b.admitted, b.leased = 0, 0
}
