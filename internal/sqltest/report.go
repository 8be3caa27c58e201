package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Reports is a ledger with a year of usage of some tenants, of each of which every report is to read sums.
type Reports struct {
	db     *sql.DB
	ledger *budget.Ledger
}

var reportTime = time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)

// RecordReports fills an empty store, whose tables db has.
func RecordReports(t *testing.T, db *sql.DB, s budget.Store) *Reports {
	t.Helper()
	r := &Reports{db, budget.NewLedger(s, &budget.Options{Now: func() time.Time { return reportTime }})}
	var events []usage.Event
	for i := range 1200 {
		tenant := fmt.Sprintf("tenant-%02d", i%40)
		events = append(events, usage.Event{
			ID: fmt.Sprint(i), Time: reportTime.Add(-time.Duration(i) * 7 * time.Hour),
			Subject: usage.Subject{Tenant: tenant, User: fmt.Sprint("user-", i%120), Resource: "model"},
			Amounts: usage.Amounts{InputTokens: 1, Cost: new(decimal.New(1, -3))},
		})
		if i >= 40 {
			continue
		}
		license := budget.License{Tenant: tenant, MoneyBudget: new(decimal.NewFromInt(5))}
		if _, err := r.ledger.CreateLicense(t.Context(), license); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.ledger.RecordBatch(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	return r
}

// Read reads every report, of a time that neither begins nor ends inside a quarter hour.
func (r *Reports) Read(ctx context.Context) error {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return err
	}
	acme := map[usage.Dimension]string{usage.Tenant: "tenant-07"}
	for _, err := range r.ledger.Overview(ctx) {
		if err != nil {
			return err
		}
	}
	for _, q := range []budget.GroupQuery{
		{By: []usage.Dimension{usage.Tenant, usage.Resource}},
		{By: []usage.Dimension{usage.User}, Where: acme, Bucket: usage.Month, Zone: berlin},
		{By: []usage.Dimension{usage.User}, Span: period.Monthly.Bounds(reportTime), Bucket: usage.Day},
	} {
		for _, err := range r.ledger.Groups(ctx, q) {
			if err != nil {
				return err
			}
		}
	}
	_, months := r.ledger.Months(ctx, "tenant-07", nil)
	_, current := r.ledger.CurrentMonth(ctx, "tenant-07", nil)
	_, top := r.ledger.Top(ctx, budget.TopQuery{By: usage.User})
	return errors.Join(months, current, top)
}

// Multiply makes 64 events of each, behind the ledger's back: in the same buckets, of which no sum changes.
func (r *Reports) Multiply(t *testing.T) {
	t.Helper()
	for i := range 6 {
		execute(t, r.db, fmt.Sprintf(`
			CREATE TABLE more AS SELECT * FROM purser_events;
			UPDATE more SET id = id || '+%d';
			INSERT INTO purser_events SELECT * FROM more;
			DROP TABLE more;`, i))
	}
}
