package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

const clients = 7

// Seven clients of several ledgers reserve, settle, release and extend the same few reservations at the same time, while
// time passes. Whatever they are answered is what they might have been answered one after the other.
func TestConcurrentCallsAreAnsweredAsIfTheyCameOneAfterTheOther(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		n := soak.Count(t, "histories of concurrent calls", k.histories, 30*k.histories)
		undecided := 0
		outcomes := make(map[string]int)
		var s *stage
		for i := range n {
			if i%100 == 0 { // what earlier ones leave behind makes later ones slower
				s = k.open(t)
			}
			history := play(t, s, uint64(i))
			switch check(t, history) {
			case porcupine.Illegal:
				t.Fatalf("history %d of %d", i, n)
			case porcupine.Unknown:
				undecided++
			}
			if t.Failed() {
				return
			}
			for _, o := range history {
				outcomes[strings.TrimSpace(o.Input.(call).op+" "+o.Output.(answer).outcome)]++
			}
		}
		t.Logf("calls: %v", outcomes)
		if undecided > n/100 {
			t.Errorf("%d of %d histories had too many orders to try", undecided, n)
		}
	})
}

// check says whether a history is right, and shows it if it is not.
func check(t *testing.T, history []porcupine.Operation) porcupine.CheckResult {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(linear, history, 20*time.Second)
	if result != porcupine.Illegal {
		return result
	}
	t.Errorf("no order of these calls explains their answers:\n%s", text(history))
	if dir, err := os.MkdirTemp("", "purser-history-"); err == nil {
		path := filepath.Join(dir, "history.html")
		if err := porcupine.VisualizePath(linear, info, path); err == nil {
			t.Logf("drawn in %s", path)
		}
	}
	return result
}

// A player is a client of a ledger, in one history.
type player struct {
	t      *testing.T
	stage  *stage
	ledger *budget.Ledger
	random *rand.Rand
	prefix string // of all ids of its history
	client int
	start  time.Time
	both   bool // there are reservations under both budgets
}

// play makes a history.
func play(t *testing.T, s *stage, seed uint64) []porcupine.Operation {
	t.Helper()
	prefix := fmt.Sprintf("h%d-", seed)
	ledgers := []*budget.Ledger{budget.NewLedger(s, nil), budget.NewLedger(s, nil), budget.NewLedger(s, nil)}
	for i := range accounts {
		_, err := ledgers[0].Create(t.Context(), budget.Budget{
			ID: fmt.Sprint(prefix, i), Name: "test", Metric: usage.InputTokens, Schedule: period.Lifetime,
			Limit: decimal.NewFromInt(linearLimit), Scope: budget.Scope{accountLabel(i): budget.Selector(prefix)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var history []porcupine.Operation
	start, both := time.Now(), seed%4 > 0
	together(clients, func(i int) {
		p := &player{
			t: t, stage: s, ledger: ledgers[i%len(ledgers)], random: rand.New(rand.NewPCG(seed, uint64(i))),
			prefix: prefix, client: i, start: start, both: both,
		}
		for n := range 5 + p.random.IntN(4) {
			o := p.do(p.draw(n == 0))
			mu.Lock()
			history = append(history, o)
			mu.Unlock()
		}
	})
	return history
}

func accountLabel(account int) usage.Dimension {
	return usage.Dimension(fmt.Sprintf("account%d", account))
}

func (p *player) draw(first bool) call {
	c := call{ticket: p.random.IntN(4), units: 1 + p.random.IntN(9), hours: 1 + p.random.IntN(3), look: p.random.IntN(accounts)}
	if p.both {
		c.ticket = p.random.IntN(tickets)
	}
	switch n := p.random.IntN(20); {
	case first || n < 7: // at first there is nothing else to do
		c.op = opReserve
		c.units = 1 + c.ticket%5*2 // mostly the same request
		if p.random.IntN(8) == 0 {
			c.units++
		}
	case n < 10:
		c.op = opSettle
		c.units = 1 + p.random.IntN(4)
	case n < 12:
		c.op = opRelease
	case n < 15:
		c.op = opExtend
	case n < 18 && p.client == 0: // by several, it would have too many orders to try
		c.op = opPass
	default:
		c.op = opLook
	}
	return c
}

// do makes a call and takes down when it was made, when it returned, and what was answered.
func (p *player) do(c call) porcupine.Operation {
	o := porcupine.Operation{ClientId: p.client, Input: c, Call: time.Since(p.start).Nanoseconds()}
	a, err := p.call(p.t.Context(), c)
	o.Return = time.Since(p.start).Nanoseconds()
	for _, failure := range []struct {
		err     error
		outcome string
	}{
		{budget.ErrExceeded, wasExceeded}, {budget.ErrConflict, wasConflict}, {budget.ErrClosed, wasClosed}, {budget.ErrNotFound, wasNotFound},
	} {
		if errors.Is(err, failure.err) {
			a.outcome, err = failure.outcome, nil
		}
	}
	if err != nil {
		p.t.Errorf("%s: %v", describe(c, a), err)
	}
	o.Output = a
	return o
}

func (p *player) call(ctx context.Context, c call) (a answer, err error) {
	key := budget.ReservationKey{Tenant: "t", ID: fmt.Sprint(p.prefix, c.ticket)}
	// Half an hour less: the real clock goes on too, and that must not matter.
	ttl := time.Duration(c.hours)*time.Hour - 30*time.Minute
	switch c.op {
	case opReserve:
		subject := usage.Subject{Tenant: key.Tenant, Labels: make(map[string]string)}
		for i := range accounts {
			if covers(c.ticket, i) {
				subject.Labels[string(accountLabel(i))] = p.prefix
			}
		}
		_, err = p.ledger.Reserve(ctx, budget.Request{ID: key.ID, Subject: subject, Estimate: units(c.units), TTL: ttl})
	case opSettle:
		var result budget.Result
		result, err = p.ledger.Settle(ctx, key, budget.Settlement{Amounts: units(c.units)})
		a.late = err == nil && result.Late
		if result.Outcome == budget.Duplicate {
			a.outcome = wasDuplicate
		}
	case opRelease:
		err = p.ledger.Release(ctx, key)
	case opExtend:
		_, err = p.ledger.Extend(ctx, key, ttl)
	case opPass:
		p.stage.pass(p.t, time.Duration(c.hours)*time.Hour)
	case opLook:
		var s budget.Status
		s, err = p.ledger.Status(ctx, fmt.Sprint(p.prefix, c.look), nil)
		a.tally = account{
			used: int(s.Used.IntPart()), reserved: int(s.Reserved.IntPart()), denied: int(s.Denied), expired: int(s.Expired),
		}
	}
	return a, err
}

func units(n int) usage.Amounts { return usage.Amounts{InputTokens: int64(n)} }

// The check itself can fail: what no ledger may answer is found to be wrong, next to the same with a right answer.
func TestWrongHistoriesAreFound(t *testing.T) {
	at := func(client int, from, to int64, c call, a answer) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Call: from, Return: to, Input: c, Output: a}
	}
	reserve := func(ticket, units int) call { return call{op: opReserve, ticket: ticket, units: units, hours: 1} }
	ok, exceeded := answer{}, answer{outcome: wasExceeded}
	cases := []struct {
		name    string
		history []porcupine.Operation
		want    bool
	}{
		{"an exact fit is admitted, and then nothing", []porcupine.Operation{
			at(0, 1, 2, reserve(0, 12), ok), at(0, 3, 4, reserve(2, 8), ok), at(0, 5, 6, reserve(4, 1), exceeded),
		}, true},
		{"above the limit", []porcupine.Operation{
			at(0, 1, 9, reserve(0, 12), ok), at(1, 1, 9, reserve(2, 9), ok),
		}, false},
		{"refused although it fits", []porcupine.Operation{
			at(0, 1, 2, reserve(0, 12), ok), at(0, 3, 4, reserve(2, 8), exceeded),
		}, false},
		{"refused for what came later", []porcupine.Operation{
			at(0, 1, 2, reserve(0, 12), exceeded), at(0, 3, 4, reserve(2, 12), ok),
		}, false},
		{"refused for what came at the same time", []porcupine.Operation{
			at(0, 1, 4, reserve(0, 12), exceeded), at(1, 3, 4, reserve(2, 12), ok),
		}, true},
		{"held in one budget of two", []porcupine.Operation{
			at(0, 1, 2, reserve(0, 20), ok), at(0, 3, 4, reserve(4, 1), exceeded),
			at(0, 5, 6, call{op: opLook, look: 1}, answer{tally: account{reserved: 1}}),
		}, false},
		{"settled twice", []porcupine.Operation{
			at(0, 1, 2, reserve(0, 5), ok),
			at(0, 3, 9, call{op: opSettle, units: 5}, ok), at(1, 3, 9, call{op: opSettle, units: 5}, ok),
		}, false},
		{"settled, and still held", []porcupine.Operation{
			at(0, 1, 2, reserve(0, 5), ok), at(0, 3, 4, call{op: opSettle, units: 6}, ok),
			at(0, 5, 6, call{op: opLook}, answer{tally: account{used: 6, reserved: 5}}),
		}, false},
		{"expired before its time", []porcupine.Operation{
			at(0, 1, 2, call{op: opReserve, units: 20, hours: 2}, ok), at(0, 3, 4, call{op: opPass, hours: 1}, ok),
			at(0, 5, 6, reserve(2, 1), ok),
		}, false},
		{"not given back after its time", []porcupine.Operation{
			at(0, 1, 2, call{op: opReserve, units: 20, hours: 2}, ok), at(0, 3, 4, call{op: opPass, hours: 2}, ok),
			at(0, 5, 6, reserve(2, 1), exceeded),
		}, false},
		{"late, and not told so", []porcupine.Operation{
			at(0, 1, 2, reserve(0, 5), ok), at(0, 3, 4, call{op: opPass, hours: 1}, ok), at(0, 5, 6, call{op: opSettle, units: 5}, ok),
		}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(linear, c.history); got != c.want {
				t.Errorf("found right is %t, want %t:\n%s", got, c.want, text(c.history))
			}
		})
	}
}
