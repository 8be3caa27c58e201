package ledgertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/usage"
)

const processes = 4

// worker is the environment variable that makes the test's program one of its processes: it holds what to do, as JSON.
const worker = "PURSER_TEST_WORKER"

func TestMain(m *testing.M) {
	if task := os.Getenv(worker); task != "" {
		if err := work(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A task is what one process does.
type task struct {
	Do      string // one of works
	URL     string
	Process int
	Seconds int
	Budgets []string
	Aloud   bool // it prints each key as soon as it is told that the event is stored

	Ledgers int       // how many it has
	IDs     []string  // what to reserve
	Now     time.Time // by its ledgers' clock, which stands still; zero: the real time

	Leases *budget.LeaseOptions // of its ledger; nil: it does not lease
	Twice  bool                 // each request is sent twice
	TTL    time.Duration        // of its reservations
}

// works are the things that processes do, by name.
var works = map[string]func(context.Context, task, budget.Store) error{
	"record":       recordForAWhile,
	"reserve":      reserveAtOnce,
	"reserve all":  reserveUntilRefused,
	"lease":        leaseUntilAllIsUsed,
	"hold and end": holdAndEnd,
}

// Four processes record what in part are the same events, correct, adjust and change budgets that all of them share, in
// orders of their own. No caller meets a deadlock or a busy database, and every event counts once.
func TestProcessesThatShareBudgetsMeetNoDeadlockAndCountEveryEventOnce(t *testing.T) {
	for name, url := range databases() {
		t.Run(name, func(t *testing.T) {
			shared := task{Do: "record", URL: url(t), Seconds: soak.Count(t, "seconds of four processes", 5, 600)}
			ledger := budget.NewLedger(opened(t, shared.URL), nil)
			for _, scope := range []budget.Scope{{}, {"tenant": budget.Each}, {"user": budget.Each}, {"tenant": "t1"}} {
				shared.Budgets = append(shared.Budgets, shareBudget(t, ledger, scope))
			}
			sent := runProcesses(t, shared)
			if stored := storedKeys(t, shared.URL); !maps.Equal(stored, sent) {
				t.Errorf("%d events are stored, %d different ones were acknowledged", len(stored), len(sent))
			}
			verify(t, ledger)
			t.Logf("%d events in %d processes", len(sent), processes)
		})
	}
}

// runProcesses runs the processes and returns the keys of all events that they were told were stored.
func runProcesses(t *testing.T, shared task) map[string]bool {
	t.Helper()
	sent := make(map[string]bool)
	var mu sync.Mutex
	var done sync.WaitGroup
	for i := range processes {
		mine := shared
		mine.Process = i
		text, err := json.Marshal(mine)
		if err != nil {
			t.Fatal(err)
		}
		done.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), worker+"="+string(text))
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("process %d: %v: %s", i, err, errs.String())
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for key := range strings.Lines(string(out)) {
				sent[strings.TrimSuffix(key, "\n")] = true
			}
		})
	}
	done.Wait()
	return sent
}

// storedKeys returns what is in the table of events: the keys, as the processes print them.
func storedKeys(t *testing.T, url string) map[string]bool {
	t.Helper()
	db := plain(t, url)
	rows, err := db.QueryContext(t.Context(), "SELECT tenant, id FROM purser_events")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	keys := make(map[string]bool)
	for rows.Next() {
		var tenant, id string
		if err := rows.Scan(&tenant, &id); err != nil {
			t.Fatal(err)
		}
		if key := tenant + " " + id; keys[key] {
			t.Errorf("event %q is stored twice", key)
		} else {
			keys[key] = true
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// work is what one process does. It fails at the first error that a caller should not meet.
func work(text string) error {
	var mine task
	if err := json.Unmarshal([]byte(text), &mine); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := store.Open(ctx, mine.URL, nil)
	if err != nil {
		return err
	}
	return errors.Join(works[mine.Do](ctx, mine, s), s.Close())
}

// recordForAWhile is four goroutines that record until their time is up. It prints the keys of the events that it was
// told were stored.
func recordForAWhile(ctx context.Context, mine task, s budget.Store) error {
	ledger := budget.NewLedger(s, nil)
	until := time.Now().Add(time.Duration(mine.Seconds) * time.Second)
	var output sync.Mutex
	return all(4, func(g int) error {
		p := &process{
			task: mine, ledger: ledger, output: &output,
			random: rand.New(rand.NewPCG(uint64(mine.Process), uint64(g))), name: fmt.Sprintf("p%d-%d", mine.Process, g),
		}
		return p.run(ctx, until)
	})
}

// all calls do so many times at the same time, and returns what went wrong.
func all(n int, do func(i int) error) (failed error) {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- do(i) }()
	}
	for range n {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}

type process struct {
	task
	ledger *budget.Ledger
	output *sync.Mutex
	random *rand.Rand
	name   string
	serial int
}

func (p *process) run(ctx context.Context, until time.Time) error {
	var keys strings.Builder
	for time.Now().Before(until) {
		if err := p.step(ctx, &keys); err != nil {
			return err
		}
		if p.Aloud {
			if err := p.print(&keys); err != nil {
				return err
			}
		}
	}
	return p.print(&keys)
}

func (p *process) print(keys *strings.Builder) error {
	p.output.Lock()
	defer p.output.Unlock()
	_, err := io.WriteString(os.Stdout, keys.String())
	keys.Reset()
	return err
}

func (p *process) step(ctx context.Context, keys *strings.Builder) error {
	batch := make([]usage.Event, 1+p.random.IntN(8))
	for i := range batch {
		batch[i] = p.event()
	}
	results, err := p.ledger.RecordBatch(ctx, batch)
	if err != nil {
		return err
	}
	for i, r := range results {
		if r.Outcome != budget.Recorded && r.Outcome != budget.Duplicate {
			return fmt.Errorf("event %s: %s: %w", r.ID, r.Outcome, r.Err)
		}
		fmt.Fprintln(keys, batch[i].Tenant, r.ID)
	}
	switch id := p.Budgets[p.random.IntN(len(p.Budgets))]; p.random.IntN(20) {
	case 0:
		_, err = p.ledger.Update(ctx, id, func(b *budget.Budget) error {
			b.Limit = b.Limit.Add(decimal.NewFromInt(1))
			return nil
		})
	case 1, 2:
		c := usage.Correction{ID: p.next(), Tenant: batch[0].Tenant, Event: batch[0].ID, Reason: "test"}
		_, err = p.ledger.Correct(ctx, c)
		fmt.Fprintln(keys, c.Tenant, c.ID)
	case 3:
		_, err = p.ledger.Adjust(ctx, budget.Adjustment{ID: p.next(), Budget: p.Budgets[0], Amount: decimal.New(1, -2), Reason: "test"})
	}
	return err
}

func (p *process) next() string {
	p.serial++
	return fmt.Sprintf("%s-%d", p.name, p.serial)
}

// event is one of its own, or one of a few thousand that all processes send, in orders of their own.
func (p *process) event() usage.Event {
	e := usage.Event{ID: p.next()}
	who := p.random.IntN(5000)
	if p.random.IntN(3) == 0 {
		e.ID = fmt.Sprintf("shared-%d", who)
	}
	e.Tenant, e.User = fmt.Sprintf("t%d", who%3), fmt.Sprintf("u%d", who%7)
	e.InputTokens, e.Cost = int64(who), new(decimal.New(int64(who), -6))
	return e
}
