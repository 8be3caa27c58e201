package ledgertest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A ledger that has seen a budget guesses which counter is asked for. Whatever others did to the budget since, it says what
// one says that has never seen it.
func TestAStatusIsNotThatOfABudgetAsItWas(t *testing.T) {
	eachStore(t, func(t *testing.T, k kind) {
		ctx, s := t.Context(), k.open(t)
		seen, other := budget.NewLedger(s, nil), budget.NewLedger(s, nil)
		made, err := other.Create(ctx, budget.Budget{
			Name: "tokens", Metric: usage.Tokens, Limit: decimal.New(1000, 0), Scope: budget.Scope{usage.Tenant: budget.Each},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []string{"acme", "other"} {
			e := usage.Event{ID: tenant, Subject: usage.Subject{Tenant: tenant}, Amounts: usage.Amounts{InputTokens: 7}}
			if _, err := other.Record(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		schedules := cmp.Comparer(func(a, b period.Schedule) bool { return a.String() == b.String() })
		acme, now := budget.Value{usage.Tenant: "acme"}, time.Now()
		alike := func(value budget.Value, at time.Time) {
			t.Helper()
			want, wantErr := budget.NewLedger(s, nil).StatusAt(ctx, made.ID, value, at)
			got, err := seen.StatusAt(ctx, made.ID, value, at)
			if diff := cmp.Diff(want, got, same, schedules); diff != "" || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Errorf("the status is not what it is (-want +got), errors %v and %v:\n%s", wantErr, err, diff)
			}
		}
		allAlike := func() {
			t.Helper()
			alike(acme, now)
			alike(budget.Value{usage.Tenant: "nobody"}, now)
			alike(acme, now.AddDate(0, -3, 0))
			alike(acme, now.AddDate(0, 3, 0))
			alike(nil, now)
			alike(budget.Value{usage.User: "acme"}, now)
			alike(budget.Value{usage.Tenant: "a\x00b"}, now)
			alike(budget.Value{usage.Tenant: "\xff"}, now)
		}
		allAlike()
		for _, change := range []func(*budget.Budget) error{
			func(b *budget.Budget) error { b.Schedule = period.Daily; return nil },
			func(b *budget.Budget) error { b.Schedule = period.Yearly; return nil },
			func(b *budget.Budget) error { b.Limit = decimal.New(5, 0); return nil },
			func(b *budget.Budget) error { b.Schedule = period.Lifetime; return nil },
			func(b *budget.Budget) error { b.Scope = budget.Scope{usage.Tenant: "other"}; return nil },
		} {
			if _, err := other.Update(ctx, made.ID, change); err != nil {
				t.Fatal(err)
			}
			allAlike()
		}
		if err := other.Delete(ctx, made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := seen.Status(ctx, made.ID, acme); !errors.Is(err, budget.ErrNotFound) {
			t.Errorf("the status of a budget that was deleted is %v, want ErrNotFound", err)
		}
	})
}
