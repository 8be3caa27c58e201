package sqlitestoretest

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/sqlitestore"
	"github.com/purser-go/purser/usage"
)

// SQLite chooses an index by rules of thumb, as it has no statistics. So that a query takes as long with many rows as with
// few, it must choose these.
func TestReadsUseTheRightIndex(t *testing.T) {
	wire, db := sqltest.Connect(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "purser.db")+settings)
	if err := sqlitestore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := sqlitestore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	year := period.Bounds{Start: time.UnixMicro(0), End: time.UnixMicro(1 << 50)}
	days := []usage.Slice{{Grain: usage.Days, Bounds: year}}
	alice := map[usage.Dimension]string{usage.Tenant: "acme", usage.User: "alice"}
	for _, tt := range []struct {
		name string
		plan string
		read func(ctx context.Context, r budget.ReadTx) error
	}{
		{"counters by their keys", "PRIMARY KEY (budget=? AND period_start=? AND scope_value=?)", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Counters(ctx, budget.CounterQuery{Keys: []budget.CounterKey{{Budget: "b"}}})
			return err
		}},
		{"counters of a period", "PRIMARY KEY (budget=? AND period_start=?)", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Counters(ctx, budget.CounterQuery{Periods: []budget.CounterKey{{Budget: "b"}}})
			return err
		}},
		{"definitions by their keys", "purser_budgets_scope (scope_shape=? AND scope_fixed=?)", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Definitions(ctx, []budget.ScopeKey{{Shape: "s"}})
			return err
		}},
		{"a page of events", "purser_events_time (time>? AND time<?)", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Events(ctx, budget.EventQuery{Span: year, After: &budget.EventCursor{}, Limit: 10})
			return err
		}},
		{"a page of one user's events", "purser_events_time (time>? AND time<?)", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Events(ctx, budget.EventQuery{Span: year, Where: alice, Limit: 10})
			return err
		}},
		{"one user's days", "purser_usage_user (user_id=? AND bucket>? AND bucket<?)", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Usage(ctx, budget.UsageQuery{Slices: days, Where: alice})
			return err
		}},
		{"everybody's days", "PRIMARY KEY (grain=? AND bucket>? AND bucket<?)", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Usage(ctx, budget.UsageQuery{Slices: days, By: []usage.Dimension{usage.Tenant}})
			return err
		}},
		{"the newest alerts", "purser_alerts_newest", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Alerts(ctx, budget.AlertQuery{Limit: 10})
			return err
		}},
		{"the newest of a tenant's audit", "purser_audit_tenant (tenant=?", func(ctx context.Context, r budget.ReadTx) error {
			_, err := r.Audit(ctx, budget.AuditQuery{Tenant: new("acme"), After: &budget.TimeCursor{}, Limit: 10})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire.Sent()
			if err := store.View(t.Context(), func(r budget.ReadTx) error { return tt.read(t.Context(), r) }); err != nil {
				t.Fatal(err)
			}
			if plan := explain(t, db, wire.Sent()); !strings.Contains(plan, tt.plan) {
				t.Errorf("the plan is\n%swant one with %q", plan, tt.plan)
			}
		})
	}
}

// explain returns how SQLite goes about the queries among the statements.
func explain(t *testing.T, db *sql.DB, statements []sqltest.Statement) string {
	t.Helper()
	var plan strings.Builder
	for _, s := range statements {
		if !strings.HasPrefix(s.Text, "SELECT") {
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
