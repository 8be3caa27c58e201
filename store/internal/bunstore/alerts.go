package bunstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// alertRow is a row of purser_alerts.
type alertRow struct {
	bun.BaseModel `bun:"alias:t"`

	ID         string `bun:"id"`
	Budget     string `bun:"budget"`
	BudgetName string `bun:"budget_name"`
	Owner      string `bun:"owner"`
	Tenant     string `bun:"tenant"`
	Labels     string `bun:"labels"`
	Value      string `bun:"scope_value"`
	Scope      string `bun:"scope"`
	Start      int64  `bun:"period_start"`
	End        int64  `bun:"period_end"`
	Kind       string `bun:"kind"`
	Threshold  string `bun:"threshold"`
	Level      int64  `bun:"level"`
	Left       int64  `bun:"left_level"`
	Episode    int64  `bun:"episode"`
	Metric     string `bun:"metric"`
	Used       int64  `bun:"used"`
	Limit      int64  `bun:"budget_limit"`
	Time       int64  `bun:"time"`
	Expected   int64  `bun:"expected_at"`
	Late       bool   `bun:"late"`
	Superseded bool   `bun:"superseded"`
	Message    string `bun:"message"`
	Routed     bool   `bun:"routed"`
}

func newAlertRow(a alert.Alert) alertRow {
	return alertRow{
		ID: a.ID, Budget: a.Budget, BudgetName: a.BudgetName, Owner: a.Owner, Tenant: a.Tenant, Labels: encode(a.Labels),
		Value: a.Value, Scope: encode(a.Scope),
		Start: micros(a.Period.Start), End: micros(a.Period.End),
		Kind: string(a.Kind), Threshold: a.Threshold.String(), Level: int64(a.Level), Left: int64(a.Left), Episode: int64(a.Episode),
		Metric: string(a.Metric), Used: a.Used, Limit: a.Limit,
		Time: micros(a.At), Expected: micros(a.Expected), Late: a.Late, Superseded: a.Superseded, Message: a.Message,
		Routed: a.Superseded, // there is nowhere for it to go
	}
}

func (r *alertRow) alert() (alert.Alert, error) {
	var p parser
	a := alert.Alert{
		ID: r.ID, Budget: r.Budget, BudgetName: r.BudgetName, Owner: r.Owner, Tenant: r.Tenant, Value: r.Value,
		Period: period.Bounds{Start: instant(r.Start), End: instant(r.End)},
		Kind:   alert.Kind(r.Kind), Threshold: p.decimal("threshold", r.Threshold),
		Level: alert.Level(r.Level), Left: alert.Level(r.Left), Episode: int(r.Episode),
		Metric: usage.Metric(r.Metric), Used: r.Used, Limit: r.Limit,
		At: instant(r.Time), Expected: instant(r.Expected), Late: r.Late, Superseded: r.Superseded, Message: r.Message,
	}
	p.json("labels", r.Labels, &a.Labels)
	p.json("scope", r.Scope, &a.Scope)
	if p.err != nil {
		return alert.Alert{}, fmt.Errorf("alert %q: %w", r.ID, p.err)
	}
	return a, nil
}

func alertsIn(rows []alertRow) ([]alert.Alert, error) {
	found := make([]alert.Alert, len(rows))
	for i := range rows {
		var err error
		if found[i], err = rows[i].alert(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (r *reader) Alerts(ctx context.Context, query budget.AlertQuery) ([]alert.Alert, error) {
	var rows []alertRow
	b := r.bind()
	q := b.newest(b.from("purser_alerts", &rows), query.After, query.Limit)
	b.among(q, "budget", query.Budgets)
	b.among(q, "id", query.IDs)
	if query.Owner != nil {
		q.Where("owner = ?", b.arg(*query.Owner))
	}
	if query.Tenant != nil {
		q.Where("tenant = ?", b.arg(*query.Tenant))
	}
	if !query.Since.IsZero() {
		q.Where("time >= ?", b.arg(micros(query.Since)))
	}
	b.among(q, "kind", texts(query.Kinds))
	if query.Level > alert.OK {
		q.Where("(level >= ? OR left_level >= ?)", b.arg(int64(query.Level)), b.arg(int64(query.Level)))
	}
	if query.Unrouted {
		q.Where("NOT routed")
	}
	if query.Sink != "" || query.States != nil {
		delivery := b.store.bun.NewSelect().TableExpr(b.store.engine.Table("purser_deliveries") + " AS d").ColumnExpr("1").Where("d.alert = t.id")
		b.unlessEmpty(delivery, "d.sink", query.Sink)
		b.inState(delivery, "d.state", query.States)
		q.Where("EXISTS (?)", delivery)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found, err := alertsIn(rows)
	return found, r.step(ctx, err)
}

// texts returns kinds as texts, nil for nil.
func texts(kinds []alert.Kind) []string {
	if kinds == nil {
		return nil
	}
	texts := make([]string, len(kinds))
	for i, kind := range kinds {
		texts[i] = string(kind)
	}
	return texts
}

// inState restricts a query to deliveries in one of these states; nil: in any.
func (b *binding) inState(q *bun.SelectQuery, column string, states []alert.State) {
	if states == nil {
		return
	}
	tuples := make([][]any, len(states))
	for i, state := range states {
		tuples[i] = []any{int64(state)}
	}
	b.in(q, column, []Type{Integer}, tuples)
}

func (t *tx) putAlerts(ctx context.Context, put []alert.Alert) error {
	rows := make([]alertRow, len(put))
	for i, a := range put {
		rows[i] = newAlertRow(a)
	}
	return insert(ctx, t, "purser_alerts", rows,
		"CONFLICT (budget, scope_value, period_start, kind, threshold, episode) DO NOTHING")
}

func (t *tx) TakeAlerts(ctx context.Context, limit int) (budget.TakenAlerts, error) {
	var rows []alertRow
	if limit > 0 { // for Bun, 0 is no limit
		q := t.bind().from("purser_alerts", &rows).Where("NOT routed").OrderExpr("time, id").Limit(int64(limit))
		if err := t.locking(q).Scan(ctx); err != nil {
			return budget.TakenAlerts{}, t.step(ctx, err)
		}
	}
	found, err := alertsIn(rows)
	if err != nil {
		return budget.TakenAlerts{}, t.step(ctx, err)
	}
	now, err := t.now(ctx)
	return budget.TakenAlerts{Now: now, Alerts: found}, t.step(ctx, err)
}

// locking makes a query lock the rows that it reads.
func (t *tx) locking(q *bun.SelectQuery) *bun.SelectQuery {
	if lock := t.store.engine.ForUpdate(); lock != "" {
		q.For(lock)
	}
	return q
}

// now reads the store's clock.
func (t *tx) now(ctx context.Context) (time.Time, error) {
	expression, args := t.store.engine.Now()
	rows, err := t.QueryContext(ctx, "SELECT "+expression, args...)
	if err != nil {
		return time.Time{}, err
	}
	defer rows.Close()
	var now int64
	for rows.Next() {
		if err := rows.Scan(&now); err != nil {
			return time.Time{}, err
		}
	}
	return instant(now), rows.Err()
}

func (t *tx) routeAlerts(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := t.store.bun.NewUpdate().Conn(t.bind()).
		TableExpr(t.store.engine.Table("purser_alerts")).
		Set("routed = TRUE").
		Where("id IN (?)", bun.List(ids)).
		Exec(ctx)
	return err
}

// deliveryRow is a row of purser_deliveries.
type deliveryRow struct {
	bun.BaseModel `bun:"alias:t"`

	Alert  string `bun:"alert"`
	Sink   string `bun:"sink"`
	Budget string `bun:"budget"`
	Value  string `bun:"scope_value"`
	Time   int64  `bun:"time"`
	State  int64  `bun:"state"`
	Tries  int64  `bun:"tries"`
	Due    int64  `bun:"due_at"`
	Error  string `bun:"error"`
}

func newDeliveryRow(d alert.Delivery) deliveryRow {
	return deliveryRow{
		Alert: d.Alert.ID, Sink: d.Sink, Budget: d.Alert.Budget, Value: d.Alert.Value, Time: micros(d.Alert.At),
		State: int64(d.State), Tries: int64(d.Tries), Due: micros(d.Due), Error: d.Error,
	}
}

func (r *reader) Deliveries(ctx context.Context, query budget.DeliveryQuery) ([]alert.Delivery, error) {
	var rows []deliveryRow
	b := r.bind()
	q := b.from("purser_deliveries", &rows).OrderExpr("time, alert, sink").Limit(int64(query.Limit))
	b.among(q, "alert", query.Alerts)
	b.unlessEmpty(q, "sink", query.Sink)
	b.inState(q, "state", query.States)
	if !query.Before.IsZero() {
		q.Where("due_at < ?", b.arg(micros(query.Before)))
	}
	if query.Ready {
		b.ready(q, query.Sink)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found, err := r.deliveries(ctx, rows)
	return found, r.step(ctx, err)
}

// ready restricts a query to deliveries that are due and first in their line, which are looked for by the index that has the
// lines in order. A join of each with those before it would compare all with all where many wait behind one that fails.
func (b *binding) ready(q *bun.SelectQuery, sink string) {
	lines := "SELECT alert, sink, budget, scope_value, time, state, tries, due_at, error," +
		" row_number() OVER (PARTITION BY sink, budget, scope_value ORDER BY time, alert) AS place FROM " +
		b.store.engine.Table("purser_deliveries") + " WHERE state < 2"
	var of []any
	if sink != "" {
		lines, of = lines+" AND sink = ?", []any{sink}
	}
	now, args := b.store.engine.Now()
	q.ModelTableExpr("("+lines+") AS t", b.all(of)...).Where("place = 1 AND due_at <= "+now, b.all(args)...)
}

// deliveries returns rows with their alerts.
func (r *reader) deliveries(ctx context.Context, rows []deliveryRow) ([]alert.Delivery, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Alert
	}
	alerts, err := r.Alerts(ctx, budget.AlertQuery{IDs: slices.Compact(ids)})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]alert.Alert, len(alerts))
	for _, a := range alerts {
		byID[a.ID] = a
	}
	found := make([]alert.Delivery, len(rows))
	for i, row := range rows {
		found[i] = alert.Delivery{
			Alert: byID[row.Alert], Sink: row.Sink, State: alert.State(row.State),
			Tries: int(row.Tries), Due: instant(row.Due), Error: row.Error,
		}
	}
	return found, nil
}

var deliveryKeyTypes = []Type{Text, Text}

func deliveryKeys(keys []budget.DeliveryKey) [][]any {
	tuples := make([][]any, len(keys))
	for i, key := range keys {
		tuples[i] = []any{key.Alert, key.Sink}
	}
	return tuples
}

func (t *tx) LockDeliveries(ctx context.Context, keys []budget.DeliveryKey) (budget.LockedDeliveries, error) {
	var rows []deliveryRow
	b := t.bind()
	q := t.locking(b.from("purser_deliveries", &rows).OrderExpr("alert, sink"))
	if err := b.in(q, "alert, sink", deliveryKeyTypes, deliveryKeys(keys)).Scan(ctx); err != nil {
		return budget.LockedDeliveries{}, t.step(ctx, err)
	}
	found, err := t.deliveries(ctx, rows)
	if err != nil {
		return budget.LockedDeliveries{}, t.step(ctx, err)
	}
	locked := budget.LockedDeliveries{Deliveries: make(map[budget.DeliveryKey]alert.Delivery, len(found))}
	for _, d := range found {
		locked.Deliveries[budget.DeliveryKey{Alert: d.Alert.ID, Sink: d.Sink}] = d
	}
	locked.Now, err = t.now(ctx)
	return locked, t.step(ctx, err)
}

func (t *tx) putDeliveries(ctx context.Context, put []alert.Delivery) error {
	rows := make([]deliveryRow, len(put))
	for i, d := range put {
		rows[i] = newDeliveryRow(d)
	}
	slices.SortFunc(rows, func(a, b deliveryRow) int { return cmp.Or(cmp.Compare(a.Alert, b.Alert), cmp.Compare(a.Sink, b.Sink)) })
	return insert(ctx, t, "purser_deliveries", rows,
		"CONFLICT (alert, sink) DO UPDATE SET state = EXCLUDED.state, tries = EXCLUDED.tries, due_at = EXCLUDED.due_at, error = EXCLUDED.error")
}

func (t *tx) deleteDeliveries(ctx context.Context, keys []budget.DeliveryKey) error {
	if len(keys) == 0 {
		return nil
	}
	list, args := t.store.engine.List(deliveryKeyTypes, deliveryKeys(keys))
	_, err := t.store.bun.NewDelete().Conn(t.bind()).
		TableExpr(t.store.engine.Table("purser_deliveries")).
		Where("(alert, sink) IN ("+list+")", args...).
		Exec(ctx)
	return err
}
