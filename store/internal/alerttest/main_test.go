// Package alerttest tries what is promised of alerts: that each is made once and arrives at least once, whatever dies on
// the way, with real processes on real stores.
package alerttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/usage"
)

const processes = 4

// worker is the environment variable that makes the test's program one of its processes: it holds what to do, as JSON.
const worker = "PURSER_TEST_WORKER"

// A task is what one process does.
type task struct {
	URL      string // of the store
	Receiver string // of alerts; "": the process prints them, and records what it is told

	// Now is what the process's clock says if it is to make forecasts, and to do nothing else.
	Now time.Time
}

func TestMain(m *testing.M) {
	text := os.Getenv(worker)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := work(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

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
	switch {
	case !mine.Now.IsZero():
		err = forecast(ctx, s, mine.Now)
	case mine.Receiver != "":
		err = dispatch(ctx, s, mine.Receiver)
	default:
		err = recordAndDeliver(ctx, s)
	}
	return errors.Join(err, s.Close())
}

// A database is a store that processes share.
type database struct {
	url   string
	store budget.Store
	usual int // how much of a heavy test it gets by default: SQLite has one writer, of all processes
}

// eachDatabase runs a test on every kind of store that processes can share.
func eachDatabase(t *testing.T, test func(*testing.T, database)) {
	for name, kind := range map[string]struct {
		url   func(testing.TB) string
		usual int
	}{
		"sqlite":   {func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "purser.db") }, 5},
		"postgres": {func(t testing.TB) string { return pgtest.URL(t) }, 60},
	} {
		t.Run(name, func(t *testing.T) {
			d := database{url: kind.url(t), usual: kind.usual}
			s, err := store.Open(t.Context(), d.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			d.store = s
			test(t, d)
		})
	}
}

// A process is another one of the test's program.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string // what it prints
	errors *output
}

type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

func begin(t *testing.T, of task) *process {
	t.Helper()
	text, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0]), lines: make(chan string, 10_000), errors: &output{}}
	p.cmd.Env = append(os.Environ(), worker+"="+string(text))
	p.cmd.Stderr = p.errors
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	return p
}

// end lets the process end by itself.
func (p *process) end(t *testing.T) {
	t.Helper()
	_ = p.in.Close()
	for range p.lines { // what it prints has to be read before Wait
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("a process failed: %v: %s", err, p.errors)
	}
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.lines {
	}
	_ = p.cmd.Wait()
}

// untilTold returns a context that ends with the process's standard input.
func untilTold(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

// perUser creates a budget of 100 tokens for each user. But for forecasts it is one for ever: a test may meet the end of a
// month.
func perUser(t *testing.T, l *budget.Ledger, s period.Schedule) {
	t.Helper()
	_, err := l.Create(t.Context(), budget.Budget{
		ID: "b", Name: "Each user", Metric: usage.Tokens, Limit: decimal.NewFromInt(100), Scope: budget.Scope{usage.User: budget.Each},
		Schedule: s,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func use(ctx context.Context, l *budget.Ledger, id, user string, n int64) error {
	_, err := l.Record(ctx, usage.Event{ID: id, Subject: usage.Subject{User: user}, Amounts: usage.Amounts{InputTokens: n}})
	return err
}

// settled waits until every alert is routed, and every delivery has come to an end.
func settled(t *testing.T, l *budget.Ledger) {
	t.Helper()
	pending := []alert.State{alert.Waiting, alert.Claimed}
	deadline, ticker := time.After(2*time.Minute), time.NewTicker(50*time.Millisecond)
	defer ticker.Stop()
	for {
		unrouted, err := l.Alerts(t.Context(), budget.AlertQuery{Unrouted: true, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		waiting, err := l.Deliveries(t.Context(), budget.DeliveryQuery{States: pending})
		if err != nil {
			t.Fatal(err)
		}
		if len(unrouted)+len(waiting) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d alerts are not routed and %d deliveries are waiting, such as %+v and %+v",
				len(unrouted), len(waiting), unrouted[:min(1, len(unrouted))], waiting[:min(1, len(waiting))])
		case <-ticker.C:
		}
	}
}

// alerts returns all alerts, the oldest first.
func alerts(t *testing.T, l *budget.Ledger) []alert.Alert {
	t.Helper()
	found, err := l.Alerts(t.Context(), budget.AlertQuery{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(found)
	return found
}
