package ledgertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A process that records is killed at a random moment, again and again. What it was told was stored is there, once.
func TestAcknowledgedEventsSurviveKilledProcesses(t *testing.T) {
	for name, url := range databases() {
		t.Run(name, func(t *testing.T) {
			shared := task{Do: "record", URL: url(t), Seconds: 60, Aloud: true}
			ledger := budget.NewLedger(opened(t, shared.URL), nil)
			shared.Budgets = []string{shareBudget(t, ledger, budget.Scope{"tenant": budget.Each})}
			acknowledged := make(map[string]bool)
			for i := range soak.Count(t, "processes killed", 4, 200) {
				shared.Process = i
				recordUntilKilled(t, shared, acknowledged)
			}
			stored := storedKeys(t, shared.URL)
			for key := range acknowledged {
				if !stored[key] {
					t.Errorf("event %q was acknowledged and is not there", key)
				}
			}
			verify(t, ledger)
			t.Logf("%d events acknowledged, %d stored", len(acknowledged), len(stored))
		})
	}
}

// recordUntilKilled runs a process until it has acknowledged some events, kills it, and adds their keys.
func recordUntilKilled(t *testing.T, mine task, acknowledged map[string]bool) {
	t.Helper()
	text, err := json.Marshal(mine)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), worker+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 20 + rand.IntN(300); lines.Scan(); n-- {
		acknowledged[lines.Text()] = true
		if n == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended before it was killed")
	}
}

// The database is stopped without a chance to tidy up, again and again, while callers record. Each of them sends an event
// again until it is told that it is stored. What they were told is there, once, and they go on by themselves.
func TestAcknowledgedEventsSurviveAKilledDatabase(t *testing.T) {
	server := pgtest.Start(t, pgtest.Durable)
	url := server.URL()
	ledger := budget.NewLedger(opened(t, url), nil)
	shareBudget(t, ledger, budget.Scope{"tenant": budget.Each})

	c := &crashes{ledger: ledger, sent: make(map[string]bool), acknowledged: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var done sync.WaitGroup
	for i := range writers {
		done.Go(func() { c.record(ctx, t, i) })
	}
	for range soak.Count(t, "crashes of the database", 3, 100) {
		for range 20 + rand.IntN(200) {
			<-c.acknowledged
		}
		if err := errors.Join(server.Kill(), server.Start()); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // it goes on
		<-c.acknowledged
	}
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	go func() {
		for range c.acknowledged {
		}
	}()
	done.Wait()
	close(c.acknowledged)

	stored := storedKeys(t, url)
	if len(stored) != len(c.sent) {
		t.Errorf("%d events are stored, %d were acknowledged, and none was given up", len(stored), len(c.sent))
	}
	verify(t, ledger)
	t.Logf("%d events, %d of them sent again", len(c.sent), c.again)
}

// crashes are callers who record while the database crashes.
type crashes struct {
	ledger       *budget.Ledger
	acknowledged chan struct{} // one for each event that was acknowledged

	mu       sync.Mutex
	stopping bool
	sent     map[string]bool
	again    int
}

func (c *crashes) record(ctx context.Context, t *testing.T, caller int) {
	for i := 0; !c.stopped(); i++ {
		e := usage.Event{
			ID:      fmt.Sprintf("caller%d-%d", caller, i),
			Subject: usage.Subject{Tenant: fmt.Sprintf("t%d", i%3)},
			Amounts: usage.Amounts{InputTokens: 1, Cost: new(decimal.New(1, -3))},
		}
		tries := 0
		for ; ; tries++ {
			result, err := c.ledger.Record(ctx, e)
			if err == nil {
				break
			}
			if result.Outcome != budget.Unknown {
				t.Errorf("event %s: %s: %v", e.ID, result.Outcome, err)
				return
			}
			if ctx.Err() != nil {
				return
			}
		}
		c.mu.Lock()
		c.sent[e.Tenant+" "+e.ID] = true
		c.again += tries
		c.mu.Unlock()
		c.acknowledged <- struct{}{}
	}
}

func (c *crashes) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// shareBudget makes a budget and returns its id.
func shareBudget(t *testing.T, ledger *budget.Ledger, scope budget.Scope) string {
	t.Helper()
	b, err := ledger.Create(t.Context(), budget.Budget{
		Name: "shared", Metric: usage.Dollars, Limit: decimal.NewFromInt(1000), Scope: scope, Schedule: period.Daily,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.ID
}

func verify(t *testing.T, ledger *budget.Ledger) {
	t.Helper()
	found, err := ledger.Verify(t.Context(), nil)
	if err != nil || len(found.Differences) > 0 {
		t.Errorf("verify: %v, %d differences: %+v", err, len(found.Differences), found.Differences[:min(3, len(found.Differences))])
	}
}
