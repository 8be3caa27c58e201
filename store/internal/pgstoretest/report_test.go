package pgstoretest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/store/pgstore"
)

// A report is read in the same way with many events as with few, and without looking at one of them.
func TestReportsHaveOnePlan(t *testing.T) {
	wire, db := sqltest.Connect(t, "pgx", pgtest.URL(t))
	db.SetMaxOpenConns(1) // the one that keeps the plans
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	reports := sqltest.RecordReports(t, db, store)
	plan := func() string {
		t.Helper()
		execute(t, db, "ANALYZE", "DISCARD PLANS")
		for range 10 { // after five times, Postgres keeps a plan
			wire.Sent()
			if err := reports.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return explain(t, db, wire.Sent())
	}
	few := plan()
	reports.Multiply(t)
	if diff := cmp.Diff(few, plan()); diff != "" {
		t.Errorf("plan (-few events +many):\n%s", diff)
	}
	if strings.Contains(few, "purser_events") {
		t.Errorf("events are read:\n%s", few)
	}
	if want := "Scan using purser_usage_months"; !strings.Contains(few, want) {
		t.Errorf("no plan finds the months of one tenant by %q:\n%s", want, few)
	}
}
