package ledgertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// What hours of two years ago used is computed from usage once Run has forgotten their counters, and nothing else changes.
func TestRunForgetsTheCountersOfHoursOfLongAgo(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		store := k.open(t)
		then := time.Now().AddDate(-2, 0, 0).UTC().Truncate(time.Hour)
		at := func(s budget.Store, now time.Time) *budget.Ledger {
			return budget.NewLedger(s, &budget.Options{
				Now: func() time.Time { return now }, OnError: func(err error) { t.Error(err) }, ForecastInterval: -1,
			})
		}
		for _, schedule := range []period.Schedule{period.Hourly, period.Daily} {
			_, err := at(store, then).Create(t.Context(), budget.Budget{
				ID: string(schedule.Kind()), Name: "each user", Metric: usage.InputTokens, Limit: decimal.NewFromInt(100), Schedule: schedule,
				Scope: budget.Scope{usage.User: budget.Each},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now().UTC()
		for id, when := range map[string]time.Time{"then": then, "an hour later": then.Add(time.Hour), "now": now} {
			e := usage.Event{ID: id, Time: when, Subject: usage.Subject{User: "ann"}, Amounts: usage.Amounts{InputTokens: 7}}
			if _, err := at(store, when).Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if n := counters(t, store); n != 5 {
			t.Fatalf("%d counters at first, want 3 of hours and 2 of days", n)
		}

		wrote := &noted{Store: store, wrote: make(chan error, 100)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ran := make(chan error, 1)
		go func() { ran <- at(wrote, now).Run(ctx) }()
		select {
		case err := <-wrote.wrote:
			if err != nil {
				t.Error(err)
			}
		case <-ctx.Done():
			t.Error("nothing was forgotten")
		}
		cancel()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if n := counters(t, store); n != 3 {
			t.Errorf("%d counters are left, want that of this hour and 2 of days", n)
		}
		for _, id := range []string{"hourly", "daily"} {
			status, err := at(store, now).StatusAt(t.Context(), id, budget.Value{usage.User: "ann"}, then)
			if err != nil || status.Used.IsZero() {
				t.Errorf("then the %s one had used %s: %v", id, status.Used, err)
			}
		}
		if found, err := at(store, now).Verify(t.Context(), nil); err != nil || len(found.Differences) > 0 {
			t.Errorf("verify: %+v, %v", found.Differences, err)
		}
	})
}

// A noted store says what became of each write.
type noted struct {
	budget.Store
	wrote chan error
}

func (n *noted) Update(ctx context.Context, fn func(budget.Tx) error) error {
	err := n.Store.Update(ctx, fn)
	n.wrote <- err
	return err
}

func counters(t *testing.T, s budget.Store) (n int) {
	t.Helper()
	err := s.View(t.Context(), func(r budget.ReadTx) error {
		found, err := r.Counters(t.Context(), budget.CounterQuery{})
		n = len(found)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
