package bunstore

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
)

// A tx is a [budget.Tx].
type tx struct{ *reader }

var _ budget.Tx = (*tx)(nil)

func (t *tx) Fence(ctx context.Context, mode budget.FenceMode) error {
	access := WriteShared
	if mode == budget.Exclusive {
		access = WriteExclusive
	}
	if !t.begun {
		return t.step(ctx, t.begin(ctx, access))
	}
	statements := t.store.engine.Fence(mode)
	if statements == "" {
		return nil
	}
	_, err := t.conn.ExecContext(ctx, statements)
	return t.step(ctx, err)
}

func (t *tx) Apply(ctx context.Context, w budget.Writes) (map[budget.CounterKey]budget.Counter, error) {
	var after []budget.Counter
	err := firstError(
		func() error { return t.define(ctx, w) },
		func() error { return t.dropUsage(ctx, w.DropUsage) },
		func() error { return t.deleteEvents(ctx, w.DeleteEvents) },
		func() (err error) {
			after, err = t.store.engine.Apply(ctx, t, w)
			return err
		},
		func() error { return t.putAdjustments(ctx, w.Adjustments) },
		func() error { return t.putAlerts(ctx, w.Alerts) },
		func() error { return t.routeAlerts(ctx, w.RouteAlerts) },
		func() error { return t.putDeliveries(ctx, w.Deliveries) },
		func() error { return t.deleteDeliveries(ctx, w.DeleteDeliveries) },
		func() error { return t.deleteClaims(ctx, w.DeleteKeyClaims) },
		func() error { return t.putAudit(ctx, w.Audit) },
	)
	return byKey(after), t.step(ctx, err)
}

// firstError runs steps until one fails.
func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// inserting begins an INSERT of a row, or of a slice of rows, given by pointer.
func (t *tx) inserting(table string, rows any) *bun.InsertQuery {
	return t.store.bun.NewInsert().Conn(t.bind()).Model(rows).ModelTableExpr(t.store.engine.Table(table))
}

// insert stores rows; on is what becomes of those whose key is taken, "" for an error.
func insert[R any](ctx context.Context, t *tx, table string, rows []R, on string) error {
	if len(rows) == 0 {
		return nil
	}
	q := t.inserting(table, &rows)
	if on != "" {
		q.On(on)
	}
	_, err := q.Exec(ctx)
	return err
}

// remove deletes the rows whose column is one of these values.
func (t *tx) remove(ctx context.Context, table, column string, values []string) error {
	if len(values) == 0 {
		return nil
	}
	_, err := t.store.bun.NewDelete().Conn(t.bind()).
		TableExpr(t.store.engine.Table(table)).
		Where(column+" IN (?)", bun.List(values)).
		Exec(ctx)
	return err
}

func (t *tx) deleteEvents(ctx context.Context, keys []budget.EventKey) error {
	if len(keys) == 0 {
		return nil
	}
	list, args := t.store.engine.List(eventKeyTypes, eventKeys(keys))
	_, err := t.store.bun.NewDelete().Conn(t.bind()).
		TableExpr(t.store.engine.Table("purser_events")).
		Where("(tenant, id) IN ("+list+")", args...).
		Exec(ctx)
	return err
}
