package alerttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
)

// Four processes look for forecasts at the same time until all are made. Each user's is made once, and nothing goes wrong on
// the way.
func TestFourProcessesMakeEachForecastOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		now := time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)
		ledger := budget.NewLedger(d.store, &budget.Options{Now: func() time.Time { return now }})
		perUser(t, ledger, period.Monthly)
		const users = 40
		for i := range users {
			tokens := int64(50) // 163 at the end of the month
			if i%2 == 1 {
				tokens = 30
			}
			if err := use(t.Context(), ledger, fmt.Sprint(i), fmt.Sprintf("user-%02d", i), tokens); err != nil {
				t.Fatal(err)
			}
		}
		var all []*process
		for range processes {
			all = append(all, begin(t, task{URL: d.url, Now: now}))
		}
		for _, p := range all {
			if _, ok := <-p.lines; !ok {
				t.Fatalf("a process has ended: %s", p.errors)
			}
		}
		for _, p := range all {
			p.end(t)
			if said := p.errors.String(); said != "" {
				t.Errorf("a process says %s", said)
			}
		}
		times := make(map[string]int)
		for _, a := range alerts(t, ledger) {
			if times[a.Scope["user"]]++; a.Kind != alert.Forecast || !a.Expected.After(now) || !a.Period.Contains(a.Expected) {
				t.Errorf("alert is %+v, want a forecast for the rest of the period", a)
			}
		}
		for i := range users {
			user := fmt.Sprintf("user-%02d", i)
			if want := 1 - i%2; times[user] != want {
				t.Errorf("%d forecasts for %s, want %d", times[user], user, want)
			}
		}
	})
}

// forecast makes forecasts, and says when it has found all of them.
func forecast(ctx context.Context, s budget.Store, now time.Time) error {
	ledger := budget.NewLedger(s, &budget.Options{
		Now:              func() time.Time { return now },
		ForecastInterval: 100 * time.Millisecond,
		OnError:          func(err error) { fmt.Fprintln(os.Stderr, err) },
	})
	ctx = untilTold(ctx)
	go func() {
		for ticker := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-ticker.C {
			found, err := ledger.Alerts(ctx, budget.AlertQuery{Kinds: []alert.Kind{alert.Forecast}})
			if err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, err)
			}
			if len(found) >= 20 {
				fmt.Println("made")
				return
			}
		}
	}()
	if err := ledger.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
