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
	if query.ViaDays && slice.Grain == usage.QuarterHours && slice.Duration() > probed && hasDays(query.Where) {
		return b.behind(b.quarterHours(slice, query.Where), query)
	}
	q := b.summands("purser_usage", "bucket").
		// The grain stands in the text, so that the indexes of one grain are used.
		Where(b.store.engine.Common("grain = ?"), int64(slice.Grain)).
		Where("bucket >= ? AND bucket < ?", b.arg(micros(slice.Start)), b.arg(micros(slice.End)))
	b.of(q, query.Where)
	return b.behind(q, query)
}

// probed is how long a time is at least in which quarter hours are looked for one by one.
const probed = 2 * day

const day = 24 * time.Hour

// hasDays reports whether the days of these values have an index.
func hasDays(where map[usage.Dimension]string) bool {
	_, tenant := where[usage.Tenant]
	_, user := where[usage.User]
	_, key := where[usage.APIKey]
	return tenant || user || key
}

// quarterHours begins a query for the quarter hours of few among many, which have no index but that by time, of those of
// all. It finds their days by the index of these, and looks for each quarter hour of them under its key: 112 at most.
func (b *binding) quarterHours(slice usage.Slice, where map[usage.Dimension]string) *bun.SelectQuery {
	const longest = 28 * time.Hour
	const quarters = "(WITH RECURSIVE q (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM q WHERE n < 111) SELECT n FROM q)"
	table := b.store.engine.Table("purser_usage")
	days := b.store.bun.NewSelect().Distinct().TableExpr(table).ColumnExpr("bucket, tenant").
		Where(b.store.engine.Common("grain = ?"), int64(usage.Days)).
		Where("bucket > ? AND bucket < ?", b.arg(micros(slice.Start.Add(-longest))), b.arg(micros(slice.End)))
	b.of(days, where)
	probes := b.store.bun.NewSelect().Distinct().
		TableExpr("(?) AS d CROSS JOIN "+quarters+" AS q", days).
		ColumnExpr("d.bucket + CAST(900000000 AS bigint) * q.n AS start, d.tenant AS tenant_id")
	q := summing(b.store.bun.NewSelect().TableExpr("(?) AS p CROSS JOIN "+table, probes), "bucket")
	q.Where("p.start >= ? AND p.start < ?", b.arg(micros(slice.Start)), b.arg(micros(slice.End))).
		Where("grain = ? AND bucket = p.start AND tenant = p.tenant_id", int64(usage.QuarterHours))
	b.of(q, where)
	return q
}

// of restricts a query to rows with these values.
func (b *binding) of(q *bun.SelectQuery, where map[usage.Dimension]string) {
	for _, d := range slices.Sorted(maps.Keys(where)) {
		q.Where(columns[d]+" = ?", b.arg(where[d]))
	}
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
	return summing(b.store.bun.NewSelect().TableExpr(b.store.engine.Table(table)), time)
}

func summing(q *bun.SelectQuery, time string) *bun.SelectQuery {
	q.ColumnExpr(time + " AS bucket")
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
