package bunstore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// sumRow is one sum of usage. Columns that the query did not ask for stay zero.
type sumRow struct {
	bun.BaseModel `bun:"alias:t"`

	Bucket   int64  `bun:"bucket"`
	Tenant   string `bun:"tenant"`
	User     string `bun:"user_id"`
	APIKey   string `bun:"api_key"`
	Resource string `bun:"resource"`
	totalsRow
}

func (r *reader) Usage(ctx context.Context, query budget.UsageQuery) ([]budget.UsageRow, error) {
	if len(query.Slices) == 0 {
		return nil, nil
	}
	var rows []sumRow
	b := r.bind()
	q := r.store.bun.NewSelect().Conn(b).Model(&rows).ModelTableExpr("(?) AS t", b.parts(query))
	for _, column := range UsageColumns[UsageKeyColumns:] {
		// Postgres sums to numeric; the cast fails where a sum does not fit.
		q.ColumnExpr("CAST(sum(" + column.Name + ") AS bigint) AS " + column.Name)
	}
	group := grouping(query)
	if group == "" {
		q.Having("count(*) > 0")
	} else {
		q.ColumnExpr(group).GroupExpr(group).OrderExpr(group).Limit(int64(query.Limit))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found := make([]budget.UsageRow, len(rows))
	for i := range rows {
		found[i] = rows[i].usage(query.PerBucket)
	}
	return found, nil
}

func (r *sumRow) usage(perBucket bool) budget.UsageRow {
	var bucket time.Time
	if perBucket {
		bucket = instant(r.Bucket)
	}
	return budget.UsageRow{
		Bucket:  bucket,
		Subject: usage.Subject{Tenant: r.Tenant, User: r.User, APIKey: r.APIKey, Resource: r.Resource},
		Totals:  usage.Totals(r.totalsRow),
	}
}

// grouping returns the columns that tell a query's sums apart, in the order of its rows.
func grouping(query budget.UsageQuery) string {
	var group []string
	if query.PerBucket {
		group = append(group, "bucket")
	}
	for _, d := range query.By {
		group = append(group, columns[d])
	}
	return strings.Join(group, ", ")
}

// parts returns a query for all rows that are to be summed up: one SELECT per slice.
func (b *binding) parts(query budget.UsageQuery) *bun.SelectQuery {
	parts := b.part(query.Slices[0], query)
	for _, slice := range query.Slices[1:] {
		parts.UnionAll(b.part(slice, query))
	}
	return parts
}

func (b *binding) part(slice usage.Slice, query budget.UsageQuery) *bun.SelectQuery {
	if slice.Grain == usage.Raw {
		return b.behind(b.events(b.summands("purser_events", "time"), slice.Bounds, query.Where), query)
	}
	q := b.summands("purser_usage", "bucket").
		// The grain stands in the text, so that the indexes of one grain are used.
		Where(b.store.engine.Common("grain = ?"), int64(slice.Grain)).
		Where("bucket >= ? AND bucket < ?", b.arg(micros(slice.Start)), b.arg(micros(slice.End)))
	for _, d := range slices.Sorted(maps.Keys(query.Where)) {
		q.Where(columns[d]+" = ?", b.arg(query.Where[d]))
	}
	return b.behind(q, query)
}

// behind restricts a query to what goes into sums that are behind the query's After. It does so before they are summed up.
func (b *binding) behind(q *bun.SelectQuery, query budget.UsageQuery) *bun.SelectQuery {
	if query.After == nil || len(query.By) == 0 {
		return q
	}
	values := make([]any, len(query.By))
	for i, d := range query.By {
		values[i] = query.After.Value(d)
	}
	places := strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
	return q.Where("("+grouping(query)+") > ("+places+")", b.all(values)...)
}

// summands begins a query for what is summed up from one table.
func (b *binding) summands(table, time string) *bun.SelectQuery {
	q := b.store.bun.NewSelect().TableExpr(b.store.engine.Table(table)).ColumnExpr(time + " AS bucket")
	for _, column := range UsageColumns[2:] {
		q.ColumnExpr(column.Name)
	}
	return q
}

func (t *tx) dropUsage(ctx context.Context, dropped []usage.Slice) error {
	for _, slice := range dropped {
		_, err := t.store.bun.NewDelete().Conn(t.bind()).
			TableExpr(t.store.engine.Table("purser_usage")).
			Where("grain = ? AND bucket >= ? AND bucket < ?", int64(slice.Grain), micros(slice.Start), micros(slice.End)).
			Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}
