package sqlitestoretest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/store/sqlitestore"
)

// A report is read in the same way with many events as with few, and without looking at
// one of them.
func TestReportsHaveOnePlan(t *testing.T) {
	wire, db := sqltest.Connect(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "purser.db")+settings)
	if err := sqlitestore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := sqlitestore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	reports := sqltest.RecordReports(t, db, store)
	plan := func() string {
		t.Helper()
		wire.Sent()
		if err := reports.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		return explain(t, db, wire.Sent())
	}
	few := plan()
	reports.Multiply(t)
	if diff := cmp.Diff(few, plan()); diff != "" {
		t.Errorf("plan (-few events +many):\n%s", diff)
	}
	for _, unwanted := range []string{"purser_events", "SCAN purser_usage"} {
		if strings.Contains(few, unwanted) {
			t.Errorf("the plan has %q:\n%s", unwanted, few)
		}
	}
	if want := "purser_usage_months (tenant="; !strings.Contains(few, want) {
		t.Errorf("no plan finds the months of one tenant by %q:\n%s", want, few)
	}
}
