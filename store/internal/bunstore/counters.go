package bunstore

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
)

// counterRow is a row of purser_counters.
type counterRow struct {
	bun.BaseModel `bun:"alias:t"`

	Budget    string `bun:"budget"`
	Value     string `bun:"scope_value"`
	Start     int64  `bun:"period_start"`
	Recorded  int64  `bun:"recorded"`
	Adjusted  int64  `bun:"adjusted"`
	Reserved  int64  `bun:"reserved"`
	Pruned    int64  `bun:"pruned"`
	Denied    int64  `bun:"denied"`
	WouldDeny int64  `bun:"would_deny"`
	Episode   int64  `bun:"episode"`

	Leased      int64 `bun:"leased"`
	Wanted      int64 `bun:"wanted"`
	Expired     int64 `bun:"expired"`
	ExpiredHeld int64 `bun:"expired_held"`
}

// ScanCounters reads rows of [CounterColumns] and closes them.
func ScanCounters(rows *sql.Rows) ([]budget.Counter, error) {
	defer rows.Close()
	var counters []budget.Counter
	for rows.Next() {
		c, err := ScanCounter(rows.Scan)
		if err != nil {
			return nil, err
		}
		counters = append(counters, c)
	}
	return counters, rows.Err()
}

// ScanCounter reads a row of [CounterColumns], and what stands behind them.
func ScanCounter(scan func(dest ...any) error, behind ...any) (c budget.Counter, err error) {
	err = scan(append([]any{
		&c.Budget, &c.Value, &c.Start,
		&c.Recorded, &c.Adjusted, &c.Reserved, &c.Pruned, &c.Denied, &c.WouldDeny, &c.Episode,
		&c.Leased, &c.Wanted, &c.Expired, &c.ExpiredHeld,
	}, behind...)...)
	return c, err
}

func (r *counterRow) counter() budget.Counter {
	return budget.Counter{
		CounterKey: budget.CounterKey{Budget: r.Budget, Value: r.Value, Start: r.Start},
		Tally: budget.Tally{
			Recorded: r.Recorded, Adjusted: r.Adjusted, Reserved: r.Reserved, Pruned: r.Pruned,
			Denied: r.Denied, WouldDeny: r.WouldDeny, Episode: r.Episode,
			Leased: r.Leased, Wanted: r.Wanted, Expired: r.Expired, ExpiredHeld: r.ExpiredHeld,
		},
	}
}

func (r *reader) Counters(ctx context.Context, query budget.CounterQuery) ([]budget.Counter, error) {
	var rows []counterRow
	b := r.bind()
	q := b.from("purser_counters", &rows).OrderExpr("budget, period_start, scope_value").Limit(int64(query.Limit))
	switch {
	case query.Keys != nil:
		tuples := make([][]any, len(query.Keys))
		for i, key := range query.Keys {
			tuples[i] = []any{key.Budget, key.Start, key.Value}
		}
		b.in(q, "budget, period_start, scope_value", []Type{Text, Integer, Text}, tuples)
	case query.Periods != nil:
		b.ofPeriods(q, query.Periods)
	}
	if after := query.After; after != nil {
		q.Where("(budget, period_start, scope_value) > (?, ?, ?)", b.arg(after.Budget), b.arg(after.Start), b.arg(after.Value))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	counters := make([]budget.Counter, len(rows))
	for i := range rows {
		counters[i] = rows[i].counter()
	}
	return counters, nil
}

// ofPeriods restricts a query to counters of these pairs of a budget and a period's start.
func (b *binding) ofPeriods(q *bun.SelectQuery, periods []budget.CounterKey) *bun.SelectQuery {
	tuples := make([][]any, len(periods))
	for i, period := range periods {
		tuples[i] = []any{period.Budget, period.Start}
	}
	return b.in(q, "budget, period_start", []Type{Text, Integer}, tuples)
}

// highestRow is the counter of a period in which most is used.
type highestRow struct {
	bun.BaseModel `bun:"alias:t"`
	counterRow

	Counters int `bun:"counters"`
}

func (r *reader) Highest(ctx context.Context, periods []budget.CounterKey) (map[budget.CounterKey]budget.HighestCounter, error) {
	highest := make(map[budget.CounterKey]budget.HighestCounter)
	if len(periods) == 0 {
		return highest, nil
	}
	var rows []highestRow
	b := r.bind()
	ranked := b.ofPeriods(b.from("purser_counters", (*counterRow)(nil)), periods).
		ColumnExpr("t.*").
		ColumnExpr("count(*) OVER (PARTITION BY budget, period_start) AS counters").
		ColumnExpr("row_number() OVER (PARTITION BY budget, period_start ORDER BY recorded + adjusted DESC, scope_value) AS place")
	err := r.store.bun.NewSelect().Conn(b).Model(&rows).ModelTableExpr("(?) AS t", ranked).Where("place = 1").Scan(ctx)
	if err != nil {
		return nil, r.step(ctx, err)
	}
	for i := range rows {
		c := rows[i].counter()
		key := budget.CounterKey{Budget: c.Budget, Start: c.Start}
		highest[key] = budget.HighestCounter{Counter: c, Counters: rows[i].Counters}
	}
	return highest, nil
}

func (t *tx) LockCounters(ctx context.Context, keys []budget.CounterKey) (map[budget.CounterKey]budget.Counter, error) {
	locked, err := t.store.engine.Apply(ctx, t, Locking(keys))
	return byKey(locked), t.step(ctx, err)
}

// Locking returns what creates, locks and reads counters in one statement: adding nothing to them. A query with FOR UPDATE
// would need one before it, to create: in the same statement it would not see a row that another transaction has just
// created.
func Locking(keys []budget.CounterKey) budget.Writes {
	counters := make([]budget.Counter, len(keys))
	for i, key := range keys {
		counters[i].CounterKey = key
	}
	return budget.Writes{Counters: counters}
}

func byKey(counters []budget.Counter) map[budget.CounterKey]budget.Counter {
	found := make(map[budget.CounterKey]budget.Counter, len(counters))
	for _, c := range counters {
		found[c.CounterKey] = c
	}
	return found
}
