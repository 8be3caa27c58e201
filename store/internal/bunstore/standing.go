package bunstore

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
)

// standingRow is a budget with one of its counters, whose columns are NULL if there is none.
type standingRow struct {
	bun.BaseModel `bun:"alias:t"`
	definitionRow
	counterRow
}

// Standing implements [budget.Soloist].
func (r *reader) Standing(ctx context.Context, id string, counter budget.CounterKey) (budget.Definition, budget.Tally, error) {
	var rows []standingRow
	b := r.bind()
	err := b.from("purser_budgets", &rows).
		ColumnExpr("t.*, c.*").
		Join("LEFT JOIN "+r.store.engine.Table("purser_counters")+" AS c ON c.budget = ? AND c.period_start = ? AND c.scope_value = ?",
			b.arg(counter.Budget), b.arg(counter.Start), b.arg(counter.Value)).
		Where("t.id = ?", b.arg(id)).
		Scan(ctx)
	if err != nil {
		return budget.Definition{}, budget.Tally{}, r.step(ctx, err)
	}
	if len(rows) == 0 {
		return budget.Definition{}, budget.Tally{}, budget.ErrNotFound
	}
	d, err := rows[0].definition()
	return d, rows[0].counter().Tally, r.step(ctx, err)
}
