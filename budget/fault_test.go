package budget_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// A faulty store fails at one step: the n-th that its transactions take, reads included, counted down in left.
type faulty struct {
	budget.Store
	left int
}

func (s *faulty) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return s.Store.Update(ctx, func(tx budget.Tx) error { return fn(&faultyTx{faultyReader{tx, s}, tx}) })
}

func (s *faulty) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	return s.Store.View(ctx, func(r budget.ReadTx) error { return fn(&faultyReader{r, s}) })
}

// step does what a step does unless it is the one that fails.
func step[T any](s *faulty, do func() (T, error)) (T, error) {
	if s.left--; s.left == -1 {
		var none T
		return none, errDisk
	}
	return do()
}

type faultyReader struct {
	budget.ReadTx
	store *faulty
}

func (r *faultyReader) Catalog(ctx context.Context) (budget.Catalog, error) {
	return step(r.store, func() (budget.Catalog, error) { return r.ReadTx.Catalog(ctx) })
}

func (r *faultyReader) Definitions(ctx context.Context, keys []budget.ScopeKey) (map[budget.ScopeKey][]budget.Definition, error) {
	return step(r.store, func() (map[budget.ScopeKey][]budget.Definition, error) { return r.ReadTx.Definitions(ctx, keys) })
}

func (r *faultyReader) Budgets(ctx context.Context, q budget.Query) ([]budget.Definition, error) {
	return step(r.store, func() ([]budget.Definition, error) { return r.ReadTx.Budgets(ctx, q) })
}

func (r *faultyReader) CountBudgets(ctx context.Context, q budget.Query) (int, error) {
	return step(r.store, func() (int, error) { return r.ReadTx.CountBudgets(ctx, q) })
}

func (r *faultyReader) Counters(ctx context.Context, q budget.CounterQuery) ([]budget.Counter, error) {
	return step(r.store, func() ([]budget.Counter, error) { return r.ReadTx.Counters(ctx, q) })
}

func (r *faultyReader) Highest(ctx context.Context, periods []budget.CounterKey) (map[budget.CounterKey]budget.HighestCounter, error) {
	return step(r.store, func() (map[budget.CounterKey]budget.HighestCounter, error) { return r.ReadTx.Highest(ctx, periods) })
}

func (r *faultyReader) Usage(ctx context.Context, q budget.UsageQuery) ([]budget.UsageRow, error) {
	return step(r.store, func() ([]budget.UsageRow, error) { return r.ReadTx.Usage(ctx, q) })
}

func (r *faultyReader) Events(ctx context.Context, q budget.EventQuery) ([]budget.StoredEvent, error) {
	return step(r.store, func() ([]budget.StoredEvent, error) { return r.ReadTx.Events(ctx, q) })
}

func (r *faultyReader) FindEvents(ctx context.Context, keys []budget.EventKey) (map[budget.EventKey]budget.LockedEvent, error) {
	return step(r.store, func() (map[budget.EventKey]budget.LockedEvent, error) { return r.ReadTx.FindEvents(ctx, keys) })
}

func (r *faultyReader) Adjustments(ctx context.Context, q budget.AdjustmentQuery) ([]budget.StoredAdjustment, error) {
	return step(r.store, func() ([]budget.StoredAdjustment, error) { return r.ReadTx.Adjustments(ctx, q) })
}

func (r *faultyReader) Tenants(ctx context.Context, q budget.TenantQuery) ([]budget.Tenant, error) {
	return step(r.store, func() ([]budget.Tenant, error) { return r.ReadTx.Tenants(ctx, q) })
}

func (r *faultyReader) Alerts(ctx context.Context, q budget.AlertQuery) ([]alert.Alert, error) {
	return step(r.store, func() ([]alert.Alert, error) { return r.ReadTx.Alerts(ctx, q) })
}

func (r *faultyReader) Deliveries(ctx context.Context, q budget.DeliveryQuery) ([]alert.Delivery, error) {
	return step(r.store, func() ([]alert.Delivery, error) { return r.ReadTx.Deliveries(ctx, q) })
}

func (r *faultyReader) Audit(ctx context.Context, q budget.AuditQuery) ([]budget.AuditEntry, error) {
	return step(r.store, func() ([]budget.AuditEntry, error) { return r.ReadTx.Audit(ctx, q) })
}

func (r *faultyReader) Reservations(ctx context.Context, q budget.ReservationQuery) ([]budget.StoredReservation, error) {
	return step(r.store, func() ([]budget.StoredReservation, error) { return r.ReadTx.Reservations(ctx, q) })
}

func (r *faultyReader) KeyClaims(ctx context.Context, q budget.KeyClaimQuery) ([]budget.KeyClaim, error) {
	return step(r.store, func() ([]budget.KeyClaim, error) { return r.ReadTx.KeyClaims(ctx, q) })
}

type faultyTx struct {
	faultyReader
	tx budget.Tx
}

func (t *faultyTx) Fence(ctx context.Context, mode budget.FenceMode) error {
	_, err := step(t.store, func() (struct{}, error) { return struct{}{}, t.tx.Fence(ctx, mode) })
	return err
}

func (t *faultyTx) ClaimKeys(ctx context.Context, claims []budget.KeyClaim) (map[string]budget.KeyClaim, error) {
	return step(t.store, func() (map[string]budget.KeyClaim, error) { return t.tx.ClaimKeys(ctx, claims) })
}

func (t *faultyTx) TakeReservations(ctx context.Context, keys []budget.ReservationKey, overdue int) (budget.Taken, error) {
	return step(t.store, func() (budget.Taken, error) { return t.tx.TakeReservations(ctx, keys, overdue) })
}

func (t *faultyTx) LockEvents(ctx context.Context, keys []budget.EventKey) (map[budget.EventKey]budget.LockedEvent, error) {
	return step(t.store, func() (map[budget.EventKey]budget.LockedEvent, error) { return t.tx.LockEvents(ctx, keys) })
}

func (t *faultyTx) InsertEvents(ctx context.Context, events []budget.StoredEvent) (budget.Inserted, error) {
	return step(t.store, func() (budget.Inserted, error) { return t.tx.InsertEvents(ctx, events) })
}

func (t *faultyTx) LockCounters(ctx context.Context, keys []budget.CounterKey) (map[budget.CounterKey]budget.Counter, error) {
	return step(t.store, func() (map[budget.CounterKey]budget.Counter, error) { return t.tx.LockCounters(ctx, keys) })
}

func (t *faultyTx) TakeAlerts(ctx context.Context, limit int) (budget.TakenAlerts, error) {
	return step(t.store, func() (budget.TakenAlerts, error) { return t.tx.TakeAlerts(ctx, limit) })
}

func (t *faultyTx) LockDeliveries(ctx context.Context, keys []budget.DeliveryKey) (budget.LockedDeliveries, error) {
	return step(t.store, func() (budget.LockedDeliveries, error) { return t.tx.LockDeliveries(ctx, keys) })
}

func (t *faultyTx) Apply(ctx context.Context, w budget.Writes) (map[budget.CounterKey]budget.Counter, error) {
	return step(t.store, func() (map[budget.CounterKey]budget.Counter, error) { return t.tx.Apply(ctx, w) })
}

// contents is all that a store holds.
func (f *fixture) contents() (all []any) {
	f.t.Helper()
	f.view(func(r budget.ReadTx) error {
		ctx := f.t.Context()
		catalog, err := r.Catalog(ctx)
		if err != nil {
			return err
		}
		budgets, err := r.Budgets(ctx, budget.Query{})
		if err != nil {
			return err
		}
		adjustments, err := r.Adjustments(ctx, budget.AdjustmentQuery{})
		if err != nil {
			return err
		}
		sums, err := r.Usage(ctx, budget.UsageQuery{PerBucket: true, Slices: []usage.Slice{
			{Grain: usage.QuarterHours, Bounds: allTime}, {Grain: usage.Days, Bounds: allTime}, {Grain: usage.Months, Bounds: allTime},
		}})
		if err != nil {
			return err
		}
		held, err := r.Reservations(ctx, budget.ReservationQuery{})
		if err != nil {
			return err
		}
		tenants, err := r.Tenants(ctx, budget.TenantQuery{})
		if err != nil {
			return err
		}
		claims, err := r.KeyClaims(ctx, budget.KeyClaimQuery{})
		if err != nil {
			return err
		}
		deliveries, err := r.Deliveries(ctx, budget.DeliveryQuery{})
		all = []any{catalog, budgets, adjustments, sums, held, tenants, claims, f.stored(), f.tallies(), f.alerts(), deliveries, f.audit()}
		return err
	})
	return all
}

// free is a request that costs nothing, "open" for longer than others.
func free(id string, n int64) budget.Request {
	r := request(id, n)
	r.Estimate.Cost = new(dec("0"))
	if id == "open" {
		r.TTL = 2 * time.Hour
	}
	return r
}

// Whichever step of whatever it does fails, a ledger says so, and nothing of it stays.
func TestWhicheverStepFailsNothingIsHalfDone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	do := map[string]func(f *fixture) error{
		"record": func(f *fixture) error { _, err := f.Record(ctx, by("u1", tokens("new", 80))); return err },
		"record, the budgets not known": func(f *fixture) error {
			_, err := budget.NewLedger(f.seen, &budget.Options{Now: f.clock}).Record(ctx, by("u1", tokens("new", 80)))
			return err
		},
		"correct": func(f *fixture) error { _, err := f.Correct(ctx, back("c", "a", 50)); return err },
		"adjust":  func(f *fixture) error { _, err := f.Adjust(ctx, adjustment("all", "50")); return err },
		"adjust again": func(f *fixture) error {
			_, err := f.Adjust(ctx, budget.Adjustment{ID: "before", Budget: "all", Amount: dec("5"), Reason: "test"})
			return err
		},
		"create": func(f *fixture) error { _, err := f.Create(ctx, withDefaults(budget.Budget{})); return err },
		"create by events": func(f *fixture) error {
			_, err := f.Create(ctx, withDefaults(budget.Budget{Scope: budget.Scope{"team": budget.Each}}))
			return err
		},
		"update": func(f *fixture) error {
			_, err := f.Update(ctx, "all", func(b *budget.Budget) error { b.Limit = dec("10"); return nil })
			return err
		},
		"update what counts": func(f *fixture) error {
			_, err := f.Update(ctx, "all", func(b *budget.Budget) error { b.Schedule = period.Daily; return nil })
			return err
		},
		"update the rate": func(f *fixture) error {
			_, err := f.Update(ctx, "credits", func(b *budget.Budget) error { b.CostPerCredit = dec("3"); return nil })
			return err
		},
		"disable": func(f *fixture) error {
			_, err := f.Update(ctx, "all", func(b *budget.Budget) error { b.Disabled = true; return nil })
			return err
		},
		"reserve":              func(f *fixture) error { return second(f.Reserve(ctx, free("new", 4))) },
		"reserve, not named":   func(f *fixture) error { return second(f.Reserve(ctx, free("", 4))) },
		"reserve again":        func(f *fixture) error { return second(f.Reserve(ctx, free("open", 5))) },
		"reserve what is over": func(f *fixture) error { return second(f.Reserve(ctx, free("over", 3))) },
		"reserve, refused": func(f *fixture) error {
			_, err := f.Reserve(ctx, free("new", 50))
			if errors.Is(err, budget.ErrExceeded) {
				return nil
			}
			return err
		},
		"settle": func(f *fixture) error {
			return second(f.Settle(ctx, key("open"), budget.Settlement{Amounts: input(80)}))
		},
		"settle late": func(f *fixture) error {
			return second(f.Settle(ctx, key("over"), budget.Settlement{Amounts: input(80)}))
		},
		"release":                     func(f *fixture) error { return f.Release(ctx, key("open")) },
		"extend":                      func(f *fixture) error { return second(f.Extend(ctx, key("open"), time.Hour)) },
		"extend what is over":         func(f *fixture) error { return second(f.Extend(ctx, key("over"), time.Hour)) },
		"check":                       func(f *fixture) error { return second(f.Check(ctx, free("new", 4))) },
		"reservations":                func(f *fixture) error { return second(f.Reservations(ctx, budget.ReservationQuery{})) },
		"sweep":                       func(f *fixture) error { return f.Sweep(ctx) },
		"delete":                      func(f *fixture) error { return f.Delete(ctx, "all") },
		"list":                        func(f *fixture) error { _, err := f.List(ctx, budget.Query{}); return err },
		"status":                      func(f *fixture) error { _, err := f.Status(ctx, "all", nil); return err },
		"status of an earlier period": func(f *fixture) error { _, err := f.StatusAt(ctx, "all", nil, noon.AddDate(-1, 0, 0)); return err },
		"statuses":                    func(f *fixture) error { return exhaust(f.Statuses(ctx, budget.Query{}, noon)) },
		"history":                     func(f *fixture) error { _, err := f.History(ctx, "all", budget.HistoryQuery{}); return err },
		"history from events":         func(f *fixture) error { _, err := f.History(ctx, "credits", budget.HistoryQuery{}); return err },
		"top":                         func(f *fixture) error { _, err := f.Top(ctx, budget.TopQuery{By: usage.User}); return err },
		"put a tenant":                func(f *fixture) error { return second(f.PutTenant(ctx, budget.Tenant{ID: "acme", Name: "Acme"})) },
		"tenant":                      func(f *fixture) error { return second(f.Tenant(ctx, "acme")) },
		"tenants":                     func(f *fixture) error { return exhaust(f.Tenants(ctx, budget.TenantQuery{})) },
		"groups": func(f *fixture) error {
			return exhaust(f.Groups(ctx, budget.GroupQuery{Bucket: usage.Month, By: []usage.Dimension{usage.User}}))
		},
		"months":        func(f *fixture) error { return second(f.Months(ctx, "acme", nil)) },
		"current month": func(f *fixture) error { return second(f.CurrentMonth(ctx, "acme", nil)) },
		"overview":      func(f *fixture) error { return exhaust(f.Overview(ctx)) },
		"create a license": func(f *fixture) error {
			return second(f.CreateLicense(ctx, license(func(x *budget.License) { x.CreditsUsed = dec("900") })))
		},
		"license": func(f *fixture) error { return second(f.License(ctx, "license")) },
		"update a license": func(f *fixture) error {
			return second(f.UpdateLicense(ctx, "license", func(x *budget.License) error {
				x.MoneyBudget, x.CreditsUsed = nil, dec("900")
				return nil
			}))
		},
		"verify":     func(f *fixture) error { _, err := f.Verify(ctx, nil); return err },
		"rebuild":    func(f *fixture) error { _, err := f.Rebuild(ctx, nil); return err },
		"alerts":     func(f *fixture) error { _, err := f.Alerts(ctx, budget.AlertQuery{}); return err },
		"deliveries": func(f *fixture) error { _, err := f.Deliveries(ctx, budget.DeliveryQuery{}); return err },
		"forecast":   func(f *fixture) error { return f.Forecast(ctx) },
		"route": func(f *fixture) error {
			_, err := f.Outbox().Route(ctx, 10, func(alert.Alert) []string { return []string{"log", "mail"} })
			return err
		},
		"claim": func(f *fixture) error { _, err := f.Outbox().Claim(ctx, "log", 10, time.Minute); return err },
		"finish": func(f *fixture) error {
			return f.Outbox().Finish(ctx, f.delivery("log"), alert.Outcome{State: alert.Delivered})
		},
		"resend":            func(f *fixture) error { _, err := f.Resend(ctx, f.delivery("log").Alert.ID, ""); return err },
		"audit":             func(f *fixture) error { _, err := f.Audit(ctx, budget.AuditQuery{}); return err },
		"claim a key":       func(f *fixture) error { return second(f.ClaimKey(ctx, "new", []byte("request"))) },
		"claim a key again": func(f *fixture) error { return second(f.ClaimKey(ctx, "key", []byte("request"))) },
		"forget keys":       func(f *fixture) error { return f.ForgetKeys(ctx) },
		"note":              func(f *fixture) error { return f.Note(ctx, listing()) },
	}
	for name, do := range do {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				store := &faulty{left: 1_000_000}
				clock := noon
				memory := memstore.New(&memstore.Options{Now: func() time.Time { return clock }})
				f := openWith(t, memory, func(s budget.Store) budget.Store { store.Store = s; return store })
				f.create(budget.Budget{ID: "all"})
				f.create(budget.Budget{ID: "credits", Metric: usage.Credits, CostPerCredit: dec("2")})
				f.createLicense(license(func(x *budget.License) { x.ID = "license" }))
				f.record(by("u1", tokens("a", 85)), on("2025-03-10T12:00:00Z", tokens("last year", 1)))
				f.route("log")
				f.claimKey(noon.Add(-49*time.Hour), "old", "request")
				f.claimKey(noon, "key", "request")
				if _, err := f.Adjust(ctx, budget.Adjustment{ID: "before", Budget: "all", Amount: dec("5"), Reason: "test"}); err != nil {
					t.Fatal(err)
				}
				f.plant(counter("all", "", "2026-03-01T00:00:00Z", budget.Tally{Recorded: 1}))
				f.plant(sum(usage.Days, "2026-03-10T00:00:00Z", "u1", usage.Totals{Requests: 1}))
				f.reserve(free("open", 5))
				f.reserve(free("over", 3))
				clock = clock.Add(time.Hour) // for one of them that is too long
				before := f.contents()
				store.left = n
				err := do(f)
				if store.left >= 0 {
					if err != nil {
						t.Errorf("without a fault: %v", err)
					}
					if n == 0 {
						t.Error("it takes no step")
					}
					return
				}
				is(t, err, errDisk)
				store.left = 1_000_000
				if diff := cmp.Diff(before, f.contents(), byText); diff != "" {
					t.Fatalf("step %d failed (-before +after):\n%s", n, diff)
				}
			}
		})
	}
}

// exhaust returns the error with which items end.
func exhaust[T any](items iter.Seq2[T, error]) error {
	for _, err := range items {
		if err != nil {
			return err
		}
	}
	return nil
}

// Pruning and what it leaves are more than one transaction: after a fault it goes on.
func TestWhicheverStepOfPruningFailsItGoesOn(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		store := &faulty{left: 1_000_000}
		f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { store.Store = s; return store })
		f.now = noon.AddDate(0, 0, -20)
		b := f.create(budget.Budget{Schedule: period.Yearly})
		f.now = noon
		f.record(old(9, tokens("a", 5)), old(8, tokens("b", 5)))
		store.left = n
		_, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil)
		if store.left >= 0 {
			if err != nil || n < 8 {
				t.Errorf("without a fault, after %d steps: %v", n, err)
			}
			return
		}
		is(t, err, errDisk)
		store.left = 1_000_000
		f.verified()
		if _, err := f.Prune(t.Context(), noon.AddDate(0, 0, -8), nil); err != nil {
			t.Errorf("step %d failed, and again: %v", n, err)
		}
		if diff := cmp.Diff([]string{"b"}, f.events()); diff != "" {
			t.Errorf("step %d failed: events (-want +got):\n%s", n, diff)
		}
		f.used(b.ID, nil, "10")
		f.verified()
	}
}
