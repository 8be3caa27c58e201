package bunstore

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// adjustmentRow is a row of purser_adjustments.
type adjustmentRow struct {
	bun.BaseModel `bun:"alias:t"`

	Budget     string `bun:"budget"`
	ID         string `bun:"id"`
	Value      string `bun:"scope_value"`
	Metric     string `bun:"metric"`
	Units      int64  `bun:"units"`
	Time       int64  `bun:"time"`
	TimeGiven  bool   `bun:"time_given"`
	Reason     string `bun:"reason"`
	Actor      string `bun:"actor"`
	RecordedAt int64  `bun:"recorded_at"`
}

func (r *reader) Adjustments(ctx context.Context, query budget.AdjustmentQuery) ([]budget.StoredAdjustment, error) {
	var rows []adjustmentRow
	b := r.bind()
	q := b.from("purser_adjustments", &rows).
		Where("time >= ?", b.arg(micros(query.From))).
		OrderExpr("budget, time, id")
	b.among(q, "budget", query.Budgets)
	b.among(q, "id", query.IDs)
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found := make([]budget.StoredAdjustment, len(rows))
	for i, row := range rows {
		found[i] = budget.StoredAdjustment{
			ID: row.ID, Budget: row.Budget, Value: row.Value,
			Metric: usage.Metric(row.Metric), Units: row.Units,
			Time: instant(row.Time), TimeGiven: row.TimeGiven,
			Reason: row.Reason, Actor: row.Actor, RecordedAt: instant(row.RecordedAt),
		}
	}
	return found, nil
}

// putAdjustments stores adjustments. That an id is taken is seen from the number of rows: an error of the database would
// end the transaction of a caller who may go on.
func (t *tx) putAdjustments(ctx context.Context, put []budget.StoredAdjustment) error {
	for _, a := range put {
		row := adjustmentRow{
			Budget: a.Budget, ID: a.ID, Value: a.Value,
			Metric: string(a.Metric), Units: a.Units,
			Time: micros(a.Time), TimeGiven: a.TimeGiven,
			Reason: a.Reason, Actor: a.Actor, RecordedAt: micros(a.RecordedAt),
		}
		result, err := t.inserting("purser_adjustments", &row).On("CONFLICT (budget, id) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errOr(err, fmt.Errorf("adjustment %q of budget %q: %w", a.ID, a.Budget, budget.ErrConflict))
		}
	}
	return nil
}

// auditRow is a row of purser_audit.
type auditRow struct {
	bun.BaseModel `bun:"alias:t"`

	ID      string  `bun:"id"`
	Time    int64   `bun:"time"`
	Actor   string  `bun:"actor"`
	Tenant  string  `bun:"tenant"`
	Action  string  `bun:"action"`
	Kind    string  `bun:"kind"`
	Target  string  `bun:"target"`
	Before  *string `bun:"before"`
	After   *string `bun:"after"`
	Details *string `bun:"details"`
}

func (r *reader) Audit(ctx context.Context, query budget.AuditQuery) ([]budget.AuditEntry, error) {
	var rows []auditRow
	b := r.bind()
	q := b.newest(b.from("purser_audit", &rows), query.After, query.Limit)
	if query.Tenant != nil {
		q.Where("tenant = ?", b.arg(*query.Tenant))
	}
	b.unlessEmpty(q, "actor", query.Actor)
	b.unlessEmpty(q, "action", query.Action)
	b.unlessEmpty(q, "target", query.Target)
	if start := query.Span.Start; !start.IsZero() {
		q.Where("time >= ?", b.arg(micros(start)))
	}
	if end := query.Span.End; !end.IsZero() {
		q.Where("time < ?", b.arg(micros(end)))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found := make([]budget.AuditEntry, len(rows))
	for i, row := range rows {
		found[i] = budget.AuditEntry{
			ID: row.ID, Time: instant(row.Time), Actor: row.Actor, Tenant: row.Tenant,
			Action: row.Action, Kind: row.Kind, Target: row.Target,
			Before: fromOptional(row.Before), After: fromOptional(row.After), Details: fromOptional(row.Details),
		}
	}
	return found, nil
}

func (t *tx) putAudit(ctx context.Context, put []budget.AuditEntry) error {
	rows := make([]auditRow, len(put))
	for i, e := range put {
		rows[i] = auditRow{
			ID: e.ID, Time: micros(e.Time), Actor: e.Actor, Tenant: e.Tenant,
			Action: e.Action, Kind: e.Kind, Target: e.Target,
			Before: optional(e.Before), After: optional(e.After), Details: optional(e.Details),
		}
	}
	return insert(ctx, t, "purser_audit", rows, "CONFLICT (id) DO NOTHING")
}

// newest puts a query into descending order of time and id, and cuts a page out of it.
func (b *binding) newest(q *bun.SelectQuery, after *budget.TimeCursor, limit int) *bun.SelectQuery {
	q.OrderExpr("time DESC, id DESC").Limit(int64(limit))
	if after != nil {
		q.Where("(time, id) < (?, ?)", b.arg(micros(after.Time)), b.arg(after.ID))
	}
	return q
}

// unlessEmpty restricts a column to a value unless that is "".
func (b *binding) unlessEmpty(q *bun.SelectQuery, column, value string) {
	if value != "" {
		q.Where(column+" = ?", b.arg(value))
	}
}
