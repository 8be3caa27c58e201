package sqlitestoretest

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/sqlitestore"
	"github.com/purser-go/purser/usage"
)

// SQLite chooses an index by rules of thumb, as it has no statistics. So that a statement takes as long with many rows as
// with few, it must choose these.
func TestStatementsUseTheRightIndex(t *testing.T) {
	wire, db := sqltest.Connect(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "purser.db")+settings)
	if err := sqlitestore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := sqlitestore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	year := period.Bounds{Start: time.UnixMicro(0), End: time.UnixMicro(1 << 50)}
	days, quarterHours := []usage.Slice{{Grain: usage.Days, Bounds: year}}, []usage.Slice{{Grain: usage.QuarterHours, Bounds: year}}
	alice := map[usage.Dimension]string{usage.Tenant: "acme", usage.User: "alice"}
	for _, tt := range []struct {
		name string
		plan string
		do   func(ctx context.Context, tx budget.Tx) error
	}{
		{"counters by their keys", "PRIMARY KEY (budget=? AND period_start=? AND scope_value=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Counters(ctx, budget.CounterQuery{Keys: []budget.CounterKey{{Budget: "b"}}})
			return err
		}},
		{"counters of a period", "PRIMARY KEY (budget=? AND period_start=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Counters(ctx, budget.CounterQuery{Periods: []budget.CounterKey{{Budget: "b"}}})
			return err
		}},
		{"definitions by their keys", "purser_budgets_scope (scope_shape=? AND scope_fixed=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Definitions(ctx, []budget.ScopeKey{{Shape: "s"}})
			return err
		}},
		{"a page of an owner's budgets", "purser_budgets_owner (owner=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Budgets(ctx, budget.Query{Owner: new("ann"), Metric: usage.Tokens, Enabled: new(true), Scope: budget.Scope{usage.Tenant: "acme"}, Limit: 10})
			return err
		}},
		{"a page of an owner's budgets without a tenant", "purser_budget_terms_budget (budget=? AND term>? AND term<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Budgets(ctx, budget.Query{Owner: new("ann"), Without: []usage.Dimension{usage.Tenant}, Limit: 10})
			return err
		}},
		{"a page of events", "purser_events_time (time>? AND time<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Events(ctx, budget.EventQuery{Span: year, After: &budget.EventCursor{}, Limit: 10})
			return err
		}},
		{"a page of one user's events", "purser_events_time (time>? AND time<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Events(ctx, budget.EventQuery{Span: year, Where: alice, Limit: 10})
			return err
		}},
		{"one user's days", "purser_usage_user (user_id=? AND bucket>? AND bucket<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Usage(ctx, budget.UsageQuery{Slices: days, Where: alice})
			return err
		}},
		{"the days of one user's quarter hours", "purser_usage_user (user_id=? AND bucket>? AND bucket<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Usage(ctx, budget.UsageQuery{Slices: quarterHours, Where: alice, PerBucket: true, ViaDays: true})
			return err
		}},
		{"one user's quarter hours", "PRIMARY KEY (grain=? AND bucket=? AND tenant=? AND user_id=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Usage(ctx, budget.UsageQuery{Slices: quarterHours, Where: alice, PerBucket: true, ViaDays: true})
			return err
		}},
		{"everybody's days", "PRIMARY KEY (grain=? AND bucket>? AND bucket<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Usage(ctx, budget.UsageQuery{Slices: days, By: []usage.Dimension{usage.Tenant}})
			return err
		}},
		{"reservations by their keys", "autoindex_purser_reservations_1 (tenant=? AND id=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.TakeReservations(ctx, []budget.ReservationKey{{Tenant: "acme"}}, 0)
			return err
		}},
		{"overdue reservations to be taken", "purser_reservations_expires (state=? AND expires_at<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.TakeReservations(ctx, nil, 10)
			return err
		}},
		{"overdue reservations", "purser_reservations_expires (state=? AND expires_at<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Reservations(ctx, budget.ReservationQuery{Overdue: true, Limit: 1})
			return err
		}},
		{"reservations that ended long ago", "purser_reservations_expires (state=? AND expires_at<?)", func(ctx context.Context, tx budget.Tx) error {
			ended := []budget.ReservationState{budget.Released, budget.Expired}
			_, err := tx.Reservations(ctx, budget.ReservationQuery{States: ended, Before: year.End, After: &budget.ReservationKey{}, Limit: 10})
			return err
		}},
		{"a page of reservations", "autoindex_purser_reservations_1 ((tenant,id)>(?,?))", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Reservations(ctx, budget.ReservationQuery{After: &budget.ReservationKey{}, Limit: 10})
			return err
		}},
		{"reservations to be deleted", "autoindex_purser_reservations_1 (tenant=? AND id=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Apply(ctx, budget.Writes{DeleteReservations: []budget.ReservationKey{{Tenant: "acme"}}})
			return err
		}},
		{"the newest alerts", "purser_alerts_newest", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Alerts(ctx, budget.AlertQuery{Limit: 10})
			return err
		}},
		{"the newest alerts about a tenant", "purser_alerts_tenant (tenant=? AND time>?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Alerts(ctx, budget.AlertQuery{Tenant: new("acme"), Since: time.Now(), Limit: 10})
			return err
		}},
		{"the newest alerts of an owner", "purser_alerts_owner (owner=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Alerts(ctx, budget.AlertQuery{Owner: new("ada"), Limit: 10})
			return err
		}},
		{"alerts by their ids", "purser_alerts_id (id=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Alerts(ctx, budget.AlertQuery{IDs: []string{"1"}})
			return err
		}},
		{"alerts that are to be routed", "purser_alerts_unrouted", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Alerts(ctx, budget.AlertQuery{Unrouted: true, Limit: 1})
			return err
		}},
		{"alerts to be taken", "purser_alerts_unrouted", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.TakeAlerts(ctx, 10)
			return err
		}},
		{"deliveries that are ready", "purser_deliveries_line (sink=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Deliveries(ctx, budget.DeliveryQuery{Sink: "log", Ready: true, Limit: 10})
			return err
		}},
		{"deliveries that ended long ago", "purser_deliveries_state (state=? AND due_at<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Deliveries(ctx, budget.DeliveryQuery{States: []alert.State{alert.Delivered, alert.Dead}, Before: year.End, Limit: 10})
			return err
		}},
		{"deliveries of an alert", "PRIMARY KEY (alert=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Deliveries(ctx, budget.DeliveryQuery{Alerts: []string{"1"}})
			return err
		}},
		{"deliveries to be locked", "PRIMARY KEY (alert=? AND sink=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.LockDeliveries(ctx, []budget.DeliveryKey{{Alert: "1", Sink: "log"}})
			return err
		}},
		{"keys that were claimed long ago", "purser_keys_claimed (claimed_at<?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.KeyClaims(ctx, budget.KeyClaimQuery{Before: year.End, Limit: 10})
			return err
		}},
		{"claims of keys to be deleted", "PRIMARY KEY (id=?)", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Apply(ctx, budget.Writes{DeleteKeyClaims: []budget.KeyClaim{{Key: "k"}}})
			return err
		}},
		{"the newest of a tenant's audit", "purser_audit_tenant (tenant=?", func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Audit(ctx, budget.AuditQuery{Tenant: new("acme"), After: &budget.TimeCursor{}, Limit: 10})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire.Sent()
			if err := store.Update(t.Context(), func(tx budget.Tx) error { return tt.do(t.Context(), tx) }); err != nil {
				t.Fatal(err)
			}
			if plan := explain(t, db, wire.Sent()); !strings.Contains(plan, tt.plan) {
				t.Errorf("the plan is\n%swant one with %q", plan, tt.plan)
			}
		})
	}
}

// explain returns how SQLite goes about the statements that look for rows.
func explain(t *testing.T, db *sql.DB, statements []sqltest.Statement) string {
	t.Helper()
	var plan strings.Builder
	for _, s := range statements {
		if !strings.HasPrefix(s.Text, "SELECT") && !strings.HasPrefix(s.Text, "DELETE") {
			continue
		}
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+s.Text, s.Args...)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(detail + "\n")
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return plan.String()
}
