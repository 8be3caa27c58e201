package alerttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
)

// Each process records five events of 5 tokens for the round's user, all four at the same moment, and delivers what there is
// to deliver by the way. So the user's 100 tokens are used up, and each threshold is crossed by one of 20 events.
func TestFourProcessesThatCrossTheSameThresholdsAtTheSameMomentAlertOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		ledger := budget.NewLedger(d.store, nil)
		perUser(t, ledger, period.Lifetime)
		rounds := soak.Count(t, "rounds of four processes", d.usual, 1000)
		var all []*process
		for range processes {
			all = append(all, begin(t, task{URL: d.url}))
		}
		var printed []string
		for round := range rounds {
			for _, p := range all {
				if _, err := fmt.Fprintf(p.in, "user-%04d\n", round); err != nil {
					t.Fatalf("%v: %s", err, p.errors)
				}
			}
			for _, p := range all {
				printed = append(printed, recorded(t, p)...)
			}
		}
		settled(t, ledger)
		for _, p := range all {
			_ = p.in.Close()
			for line := range p.lines {
				printed = append(printed, line)
			}
			p.end(t)
		}
		made := alerts(t, ledger)
		onceEach(t, rounds, made)
		arrivedOnce(t, made, printed)
	})
}

// recorded returns what a process prints until it has recorded what it was told.
func recorded(t *testing.T, p *process) (printed []string) {
	t.Helper()
	for line := range p.lines {
		if line == "recorded" {
			return printed
		}
		printed = append(printed, line)
	}
	t.Fatalf("a process has ended: %s", p.errors)
	return nil
}

// onceEach fails unless each threshold of each user has one alert.
func onceEach(t *testing.T, users int, made []alert.Alert) {
	t.Helper()
	times := make(map[string]int)
	for _, a := range made {
		times[a.Value+" "+a.Threshold.String()]++
	}
	for round := range users {
		value := budget.Value{"user": fmt.Sprintf("user-%04d", round)}.Key()
		for _, threshold := range []string{" 80", " 90", " 100"} {
			if n := times[value+threshold]; n != 1 {
				t.Errorf("%d alerts of %s%s, want 1", n, value, threshold)
			}
		}
	}
	if len(made) != 3*users {
		t.Errorf("%d alerts, want %d", len(made), 3*users)
	}
}

// arrivedOnce fails unless all alerts but the superseded ones were printed, each once.
func arrivedOnce(t *testing.T, made []alert.Alert, printed []string) {
	t.Helper()
	var want []string
	for _, a := range made {
		if !a.Superseded {
			want = append(want, a.ID)
		}
	}
	slices.Sort(want)
	slices.Sort(printed)
	if !slices.Equal(want, printed) {
		t.Errorf("%d alerts were to arrive, %d did, %d different ones", len(want), len(printed), len(slices.Compact(printed)))
	}
}

// recordAndDeliver records what it is told on its standard input until that ends, and prints each alert that it delivers.
func recordAndDeliver(ctx context.Context, s budget.Store) error {
	var mu sync.Mutex
	say := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(line)
	}
	ledger := budget.NewLedger(s, &budget.Options{
		OnError:          func(err error) { fmt.Fprintln(os.Stderr, err) },
		ForecastInterval: -1, // a forecast is an alert too
		Alerts: &alert.Options{
			Default:  []string{"out"},
			Interval: 20 * time.Millisecond,
			Sinks: map[string]alert.Sink{"out": alert.Func(func(_ context.Context, a alert.Alert) error {
				say(a.ID)
				return nil
			})},
		},
	})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- ledger.Run(running) }()
	var failed error
	for lines := bufio.NewScanner(os.Stdin); failed == nil && lines.Scan(); {
		for i := range 5 {
			id := fmt.Sprint(lines.Text(), " ", os.Getpid(), " ", i)
			failed = errors.Join(failed, use(ctx, ledger, id, strings.TrimSpace(lines.Text()), 5))
		}
		say("recorded")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		failed = errors.Join(failed, err)
	}
	return failed
}
