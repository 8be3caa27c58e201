package budget_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// forget forgets counters as Run does, and fails unless all figures are as the events say then.
func (f *fixture) forget() {
	f.t.Helper()
	if err := f.ForgetCounters(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	f.verified()
}

// tokens returns an event of now.
func (f *fixture) tokens(id string, n int64) usage.Event {
	e := tokens(id, n)
	e.Time = f.now
	return e
}

// starts returns the starts of the periods of which a budget has counters.
func (f *fixture) starts(id string) []string {
	f.t.Helper()
	found := make(map[string]bool)
	for key := range f.tallies() {
		if key.Budget == id {
			found[time.UnixMicro(key.Start).UTC().Format("01-02 15:04")] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// version returns the version of the catalog.
func (f *fixture) version() (version int64) {
	f.t.Helper()
	f.view(func(r budget.ReadTx) error {
		catalog, err := r.Catalog(f.t.Context())
		version = catalog.Version
		return err
	})
	return version
}

func TestCountersOfShortPeriodsAreForgottenInTime(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		schedule  period.Schedule
		retention time.Duration
		later     time.Duration // that it is when counters are forgotten
		want      []string
	}{
		"hours, after 400 days":      {period.Hourly, 0, 400*24*time.Hour + time.Hour, []string{"03-10 13:00"}},
		"an hour that is kept":       {period.Hourly, 0, 400*24*time.Hour + 59*time.Minute, []string{"03-10 12:00", "03-10 13:00"}},
		"all hours":                  {period.Hourly, 0, 500 * 24 * time.Hour, nil},
		"as long as the options say": {period.Hourly, 40 * 24 * time.Hour, 40*24*time.Hour + time.Hour, []string{"03-10 13:00"}},
		"31 days at least":           {period.Hourly, 1, 31*24*time.Hour + time.Hour, []string{"03-10 13:00"}},
		"shorter ones too":           {period.Every(30, period.Minute, noon), 0, 400*24*time.Hour + time.Hour, []string{"03-10 13:00", "03-10 13:30"}},
		"longer ones not":            {period.Every(2, period.Hour, noon), 0, 5000 * 24 * time.Hour, []string{"03-10 12:00"}},
		"and days not":               {period.Daily, 0, 5000 * 24 * time.Hour, []string{"03-10 00:00"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openOptions(t, budget.Options{CounterRetention: test.retention})
			b := f.create(budget.Budget{Schedule: test.schedule})
			for minutes := range 4 {
				f.now = noon.Add(time.Duration(minutes) * 30 * time.Minute)
				f.record(f.tokens(fmt.Sprint(minutes), 1))
			}
			f.now = noon.Add(test.later)
			f.forget()
			if diff := cmp.Diff(test.want, f.starts(b.ID)); diff != "" {
				t.Errorf("periods with counters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAForgottenCounterCountedIsComputedFromUsage(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Schedule: period.Hourly})
	f.record(tokens("a", 7))
	f.adjust(b.ID, "5")
	f.now = noon.AddDate(2, 0, 0)
	f.record(f.tokens("b", 3))
	f.forget()

	status, err := f.StatusAt(t.Context(), b.ID, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !status.Used.Equal(dec("7")) || !status.Adjusted.IsZero() {
		t.Errorf("then %s were used, %s adjusted, want 7 and 0: adjustments went with the counter", status.Used, status.Adjusted)
	}
	f.used(b.ID, nil, "3")
	for status, err := range f.Statuses(t.Context(), budget.Query{}, noon) {
		t.Errorf("%+v, %v: want none of before the budget is counted", status, err)
	}
	_, err = f.Adjust(t.Context(), budget.Adjustment{ID: "late", Budget: b.ID, Amount: dec("1"), Reason: "late", Time: noon})
	if diff := cmp.Diff([]string{"time"}, fields(err)); diff != "" {
		t.Errorf("adjusted as of then: %v (-want +got):\n%s", err, diff)
	}
	late := tokens("late", 2)
	late.Time = noon
	f.record(late)
	if starts := f.starts(b.ID); len(starts) != 1 {
		t.Errorf("there are counters of %v, want the running period's alone", starts)
	}
	f.verified()
	if now, err := f.Budget(t.Context(), b.ID); err != nil || now.Version != b.Version {
		t.Errorf("its version is %d, was %d: %v", now.Version, b.Version, err)
	}
}

func TestManyCountersAreForgottenInSeveralTransactions(t *testing.T) {
	t.Parallel()
	f := open(t)
	var budgets []string
	for range 3 {
		b := f.create(budget.Budget{Schedule: period.Hourly, Scope: budget.Scope{usage.User: budget.Each}, Limit: dec("1000")})
		budgets = append(budgets, b.ID)
	}
	for hour := range 3 {
		f.now = noon.Add(time.Duration(hour) * time.Hour)
		var events []usage.Event
		for user := range 900 {
			e := f.tokens(fmt.Sprintf("%d/%d", hour, user), 1)
			e.User = fmt.Sprint(user)
			events = append(events, e)
		}
		f.record(events...)
	}
	f.now = noon.Add(400*24*time.Hour + 2*time.Hour)
	transactions := 0
	for version := f.version(); ; transactions++ {
		if err := f.ForgetSomeCounters(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.verified() // also midway
		if f.version() == version {
			break
		}
		version = f.version()
	}
	// Two of three hours, of three budgets, are 5,400 counters.
	if transactions != 2 {
		t.Errorf("it took %d transactions, want 2", transactions)
	}
	for _, id := range budgets {
		if diff := cmp.Diff([]string{"03-10 14:00"}, f.starts(id)); diff != "" {
			t.Errorf("periods with counters (-want +got):\n%s", diff)
		}
	}
}

func TestRunForgetsCounters(t *testing.T) {
	t.Parallel()
	for retention, want := range map[time.Duration]int{0: 0, -1: 1} {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New(nil)
			ledger := budget.NewLedger(store, &budget.Options{CounterRetention: retention, OnError: func(err error) { t.Error(err) }})
			_, err := ledger.Create(t.Context(), withDefaults(budget.Budget{Schedule: period.Hourly}))
			if err == nil {
				_, err = ledger.Record(t.Context(), usage.Event{ID: "a"})
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * 24 * time.Hour)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_ = ledger.Run(ctx)
			err = store.View(t.Context(), func(r budget.ReadTx) error {
				left, err := r.Counters(t.Context(), budget.CounterQuery{})
				if len(left) != want {
					t.Errorf("%d counters are left, want %d", len(left), want)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
