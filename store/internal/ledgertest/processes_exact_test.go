package ledgertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Of many requests that four processes send at the same moment, exactly those are admitted for which there is room, also if
// each request is sent to two of the processes.
func TestOfReservesFromFourProcessesExactlyThoseThatFitAreAdmitted(t *testing.T) {
	cases := []struct {
		name   string
		narrow string
		twice  bool
	}{
		{"each is sent once", "tenant", false},
		{"each is sent to two processes", "team", true},
	}
	for name, url := range databases() {
		for _, c := range cases {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				s := onDatabase(t, url(t))
				s.watch(t)
				limits := createRush(t, s, c.narrow)
				n := soak.Count(t, "reserves at the same moment", 1000, 1000)
				tasks := make([]task, processes)
				for i := range n {
					id := fmt.Sprintf("r%04d", i)
					if c.twice {
						id = fmt.Sprintf("r%04d", i/2)
					}
					p := &tasks[i%processes]
					p.IDs = append(p.IDs, id)
				}
				for i := range tasks {
					tasks[i].Do, tasks[i].URL, tasks[i].Ledgers, tasks[i].Now = "reserve", s.url, 4, rushTime
				}
				r := &rush{t: t, admitted: make(map[string]int)}
				for _, line := range atOnce(t, tasks) {
					if id, admitted := strings.CutPrefix(line, "admitted "); admitted {
						r.admitted[id]++
					} else {
						r.refused++
					}
				}
				r.exactly(s, n, c.twice, c.narrow, limits)
			})
		}
	}
}

// atOnce starts a process for each task, tells them to begin when all are ready, and returns the lines that they print.
func atOnce(t *testing.T, tasks []task) (lines []string) {
	t.Helper()
	var ready, done sync.WaitGroup
	var mu sync.Mutex
	begin := make(chan struct{})
	ready.Add(len(tasks))
	for i := range tasks {
		tasks[i].Process = i
		done.Go(func() {
			p := startProcess(t, tasks[i])
			p.out.Scan()
			ready.Done()
			<-begin
			_ = p.in.Close()
			for p.out.Scan() {
				mu.Lock()
				lines = append(lines, p.out.Text())
				mu.Unlock()
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, p.errs.String())
			}
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	return lines
}

// A child is a process that does a task.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser // closed when it is to begin
	out  *bufio.Scanner
	errs strings.Builder
}

func startProcess(t *testing.T, mine task) *child {
	p := &child{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	text, err := json.Marshal(mine)
	if err != nil {
		t.Error(err)
	}
	p.cmd.Env = append(os.Environ(), worker+"="+string(text))
	p.cmd.Stderr = &p.errs
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Error(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Error(err)
	}
	return p
}

// awaitBegin says that the process is ready, and waits until it is told to begin.
func awaitBegin() error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func (mine task) ledgers(s budget.Store) []*budget.Ledger {
	o := &budget.Options{}
	if !mine.Now.IsZero() {
		o.Now = func() time.Time { return mine.Now }
	}
	ledgers := make([]*budget.Ledger, max(1, mine.Ledgers))
	for i := range ledgers {
		ledgers[i] = budget.NewLedger(s, o)
	}
	return ledgers
}

// reserveAtOnce is a process that reserves for all its ids at the same time, and prints what became of each.
func reserveAtOnce(ctx context.Context, mine task, s budget.Store) error {
	ledgers := mine.ledgers(s)
	if err := awaitBegin(); err != nil {
		return err
	}
	return all(len(mine.IDs), func(i int) error {
		_, err := ledgers[i%len(ledgers)].Reserve(ctx, rushRequest(mine.IDs[i]))
		if err != nil && !errors.Is(err, budget.ErrExceeded) {
			return err
		}
		if err == nil {
			fmt.Println("admitted", mine.IDs[i])
		} else {
			fmt.Println("refused", mine.IDs[i])
		}
		return nil
	})
}

// Four processes whose clocks are an hour or two apart, so that it is another day for some of them, share a budget by day
// and one for ever. The clock of the process that admits says which day it is; room comes back by the store's clock alone.
func TestProcessesWithShiftedClocksAdmitWhatFitsAndNoMore(t *testing.T) {
	const perDay, forever = 120, 200
	today := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	late := today.Add(23*time.Hour + 30*time.Minute)
	for name, url := range databases() {
		t.Run(name, func(t *testing.T) {
			s := onDatabase(t, url(t))
			s.watch(t)
			ledger := budget.NewLedger(s, &budget.Options{Now: func() time.Time { return late }})
			for _, b := range []budget.Budget{
				{ID: "day", Schedule: period.Daily, Limit: decimal.NewFromInt(perDay)},
				{ID: "ever", Schedule: period.Lifetime, Limit: decimal.NewFromInt(forever)},
			} {
				b.Name, b.Metric = "test", usage.Requests
				if _, err := ledger.Create(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			tasks := make([]task, processes)
			for i, shift := range []time.Duration{-time.Hour, 0, time.Hour, time.Hour} {
				tasks[i] = task{Do: "reserve all", URL: s.url, Ledgers: 2, Now: late.Add(shift)}
			}
			admitted := make(map[string]int64) // by day
			for _, line := range atOnce(t, tasks) {
				admitted[line]++
			}
			if sum := admitted["10"] + admitted["11"]; sum != forever {
				t.Errorf("%d requests were admitted, want %d: %v", sum, forever, admitted)
			}
			s.neverAbove(t, map[string]int64{"day": perDay, "ever": forever})

			stands := func(name string, figure func(budget.Tally) int64) {
				t.Helper()
				f := s.facts(t)
				f.agree(t)
				got := map[string]int64{"ever": figure(f.of("ever"))}
				for day, start := range map[string]time.Time{"10": today, "11": today.AddDate(0, 0, 1)} {
					got[day] = figure(f.counters[budget.CounterKey{Budget: "day", Start: start.UnixMicro()}])
				}
				if got["ever"] != forever || got["10"] != admitted["10"] || got["11"] != admitted["11"] {
					t.Errorf("%s is %v by day, the processes admitted %v", name, got, admitted)
				}
			}
			stands("reserved", func(t budget.Tally) int64 { return t.Reserved })
			// By a ledger for which half of them are in the future, and not refused for that.
			f := s.facts(t)
			for key := range f.reservations {
				if _, err := ledger.Settle(t.Context(), key, budget.Settlement{}); err != nil {
					t.Errorf("settle %s: %v", key.ID, err)
				}
			}
			stands("recorded", func(t budget.Tally) int64 { return t.Recorded })
			verify(t, ledger)
		})
	}
}

// reserveUntilRefused is a process that reserves with eight goroutines until each is refused, and prints the day of what
// it was admitted for, by its own clock. It settles nothing.
func reserveUntilRefused(ctx context.Context, mine task, s budget.Store) error {
	ledgers := mine.ledgers(s)
	if err := awaitBegin(); err != nil {
		return err
	}
	return all(8, func(g int) error {
		for i := 0; ; i++ {
			id := fmt.Sprintf("p%d-%d-%d", mine.Process, g, i)
			_, err := ledgers[g%len(ledgers)].Reserve(ctx, budget.Request{ID: id})
			if errors.Is(err, budget.ErrExceeded) {
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Println(mine.Now.Day())
		}
	})
}
