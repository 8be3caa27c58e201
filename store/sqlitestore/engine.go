package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// engine is what is particular to SQLite. It has one writer at a time, so that there is no fence to take and no row to
// lock.
type engine struct {
	insertEvents inserts
	addCounters  inserts
	addUsage     inserts
}

var _ bunstore.Engine = (*engine)(nil)

func newEngine() *engine {
	return &engine{
		insertEvents: newInserts("INSERT INTO purser_events", bunstore.EventColumns,
			"ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, id"),
		addCounters: newInserts("INSERT INTO purser_counters AS t", bunstore.CounterColumns,
			"ON CONFLICT (budget, period_start, scope_value) DO UPDATE SET "+bunstore.Sums(bunstore.CounterColumns[3:])+
				" RETURNING "+bunstore.Names(bunstore.CounterColumns)),
		addUsage: newInserts("INSERT INTO purser_usage AS t", bunstore.UsageColumns,
			"ON CONFLICT ("+bunstore.Names(bunstore.UsageColumns[:6])+") DO UPDATE SET "+bunstore.Sums(bunstore.UsageColumns[6:])),
	}
}

func (*engine) Bun() schema.Dialect { return sqlitedialect.New() }

func (*engine) Table(name string) string { return name }

func (*engine) Placeholder(int) string { return "?" }

func (*engine) Begin(a bunstore.Access) string {
	if a == bunstore.ReadOnly {
		return "BEGIN"
	}
	// A transaction that begins by reading can't write once another has written.
	return "BEGIN IMMEDIATE"
}

func (*engine) Fence(budget.FenceMode) string { return "" }

func (*engine) ForUpdate() string { return "" }

func (*engine) List(types []bunstore.Type, rows [][]any) (string, []any) {
	columns := make([]string, len(types))
	for i := range types {
		columns[i] = fmt.Sprintf("value ->> %d", i)
	}
	list, err := json.Marshal(rows)
	if err != nil {
		panic(fmt.Sprintf("sqlitestore: texts and integers as JSON: %v", err))
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM json_each(?)", []any{string(list)}
}

func (*engine) HasLabel() string {
	return "COALESCE((SELECT value FROM json_each(labels) WHERE key = ?), '') = ?"
}

func (*engine) BeginMigration() string { return "BEGIN IMMEDIATE" }

func (*engine) SchemaExists() string {
	return "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'purser_schema'"
}

func (e *engine) InsertEvents(ctx context.Context, q bunstore.Querier, events []bunstore.Event) ([]budget.EventKey, int64, error) {
	inserted := make(map[budget.EventKey]bool, len(events))
	err := e.insertEvents.each(len(events), func(i int) []any { return events[i].Values() }, func(statement string, args []any) error {
		rows, err := q.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var key budget.EventKey
			if err := rows.Scan(&key.Tenant, &key.ID); err != nil {
				return err
			}
			inserted[key] = true
		}
		return rows.Err()
	})
	if err != nil {
		return nil, 0, err
	}
	var taken []budget.EventKey
	for _, event := range events {
		if key := (budget.EventKey{Tenant: event.Tenant, ID: event.ID}); !inserted[key] {
			taken = append(taken, key)
		}
	}
	version, err := catalogVersion(ctx, q)
	return taken, version, err
}

func catalogVersion(ctx context.Context, q bunstore.Querier) (version int64, err error) {
	rows, err := q.QueryContext(ctx, "SELECT version FROM purser_catalog")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&version); err != nil {
			return 0, err
		}
	}
	return version, rows.Err()
}

func (e *engine) Add(ctx context.Context, q bunstore.Querier, counters []budget.Counter, sums []budget.UsageAdd) ([]budget.Counter, error) {
	var after []budget.Counter
	err := e.addCounters.each(len(counters), func(i int) []any { return bunstore.CounterValues(&counters[i]) }, func(statement string, args []any) error {
		rows, err := q.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		added, err := bunstore.ScanCounters(rows)
		after = append(after, added...)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = e.addUsage.each(len(sums), func(i int) []any { return bunstore.UsageValues(&sums[i]) }, func(statement string, args []any) error {
		_, err := q.ExecContext(ctx, statement, args...)
		return err
	})
	return after, err
}

// inserts are the texts of one INSERT for 1, 2, 4 … 64 rows. Many rows in one statement cost a third of one by one, and
// few different statements are few to prepare.
type inserts [7]string

func newInserts(into string, columns []bunstore.Column, after string) inserts {
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + ")"
	var texts inserts
	for i := range texts {
		rows := strings.TrimSuffix(strings.Repeat(row+", ", 1<<i), ", ")
		texts[i] = fmt.Sprintf("%s (%s) VALUES %s %s", into, bunstore.Names(columns), rows, after)
	}
	return texts
}

// each calls do with statements and their arguments until n rows are covered.
func (texts *inserts) each(n int, row func(i int) []any, do func(statement string, args []any) error) error {
	for i, size := 0, len(texts)-1; i < n; {
		for 1<<size > n-i {
			size--
		}
		var args []any
		for range 1 << size {
			args = append(args, row(i)...)
			i++
		}
		if err := do(texts[size], args); err != nil {
			return err
		}
	}
	return nil
}
