package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// engine is what is particular to SQLite. It has one writer at a time, so that there is no fence to take and no row to
// lock.
type engine struct {
	now             func() time.Time
	insertEvents    inserts[budget.StoredEvent]
	addCounters     inserts[budget.Counter]
	addUsage        inserts[budget.UsageAdd]
	addReservations inserts[budget.StoredReservation]
	putReservations inserts[budget.StoredReservation]
}

var _ bunstore.Engine = (*engine)(nil)

func newEngine(now func() time.Time) *engine {
	return &engine{
		now: now,
		insertEvents: newInserts("purser_events", bunstore.EventColumns,
			"ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, id, ("+catalogVersion+")"),
		addCounters: newInserts("purser_counters", bunstore.CounterColumns,
			adding(bunstore.CounterColumns, bunstore.CounterKeyColumns)+" RETURNING "+bunstore.Names(bunstore.CounterColumns)),
		addUsage: newInserts("purser_usage", bunstore.UsageColumns,
			adding(bunstore.UsageColumns, bunstore.UsageKeyColumns)),
		addReservations: newInserts("purser_reservations", bunstore.ReservationColumns,
			"ON CONFLICT (tenant, id) DO NOTHING"),
		putReservations: newInserts("purser_reservations", bunstore.ReservationColumns,
			"ON CONFLICT (tenant, id) DO UPDATE SET "+bunstore.Given(bunstore.ReservationColumns[bunstore.ReservationKeyColumns:])),
	}
}

// adding returns what makes an INSERT add to the rows that stand.
func adding[R any](columns []bunstore.Column[R], key int) string {
	return "ON CONFLICT (" + bunstore.Names(columns[:key]) + ") DO UPDATE SET " + bunstore.Sums(columns[key:])
}

func (*engine) Bun() schema.Dialect { return sqlitedialect.New() }

func (*engine) Table(name string) string { return name }

func (*engine) Placeholder(int) string { return "?" }

func (*engine) Begin(a bunstore.Access, _ int) string {
	if a == bunstore.ReadOnly {
		return "BEGIN"
	}
	// A transaction that begins by reading can't write once another has written.
	return "BEGIN IMMEDIATE"
}

func (*engine) Fence(budget.FenceMode) string { return "" }

func (*engine) OneWriter() bool { return true }

func (*engine) ForUpdate() string { return "" }

// List casts the values, without which an index is used for texts alone.
func (*engine) List(types []bunstore.Type, rows [][]any) (string, []any) {
	casts := map[bunstore.Type]string{bunstore.Text: "TEXT", bunstore.Integer: "INTEGER"}
	values := make([]string, len(types))
	for i, t := range types {
		values[i] = fmt.Sprintf("CAST(value ->> %d AS %s)", i, casts[t])
	}
	return "SELECT " + strings.Join(values, ", ") + " FROM json_each(?)", []any{jsonText(rows)}
}

// jsonText returns rows of texts and integers as JSON.
func jsonText(rows any) string {
	text, err := json.Marshal(rows)
	if err != nil {
		panic(fmt.Sprintf("sqlitestore: texts and integers as JSON: %v", err))
	}
	return string(text)
}

// Common tells the planner, which knows nothing of the rows unless somebody runs ANALYZE: without it, it would look for a
// user's days among everybody's, and read and sort all events of a tenant for a page of them.
func (*engine) Common(condition string) string { return "likelihood(" + condition + ", 0.9)" }

func (*engine) HasLabel() string {
	return "COALESCE((SELECT value FROM json_each(labels) WHERE key = ?), '') = ?"
}

func (*engine) Holds() string {
	return "instr(holds, ?) > 0 AND EXISTS (SELECT 1 FROM json_each(holds) WHERE value ->> 0 = ?)"
}

func (e *engine) Now() (expression string, args []any) { return "?", []any{e.now().UnixMicro()} }

func (e *engine) Overdue() (query string, args []any) {
	return reservations + overdue, []any{e.now().UnixMicro()}
}

func (*engine) BeginMigration() string { return "BEGIN IMMEDIATE" }

func (*engine) SchemaExists() string {
	return "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'purser_schema'"
}

func (e *engine) InsertEvents(ctx context.Context, q bunstore.Querier, events []budget.StoredEvent) ([]budget.EventKey, int64, error) {
	var version int64
	inserted := make(map[budget.EventKey]bool, len(events))
	err := e.insertEvents.each(events, func(statement string, args []any) error {
		rows, err := q.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var key budget.EventKey
			if err := rows.Scan(&key.Tenant, &key.ID, &version); err != nil {
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
		if key := event.Key(); !inserted[key] {
			taken = append(taken, key)
		}
	}
	if len(inserted) == 0 {
		version, err = readCatalogVersion(ctx, q)
	}
	return taken, version, err
}

const catalogVersion = "SELECT version FROM purser_catalog"

func readCatalogVersion(ctx context.Context, q bunstore.Querier) (version int64, err error) {
	rows, err := q.QueryContext(ctx, catalogVersion)
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

func (e *engine) Apply(ctx context.Context, q bunstore.Querier, w budget.Writes) ([]budget.Counter, error) {
	var after []budget.Counter
	err := e.addCounters.each(w.Counters, func(statement string, args []any) error {
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
	execute := func(statement string, args []any) error {
		_, err := q.ExecContext(ctx, statement, args...)
		return err
	}
	if err := e.addUsage.each(w.Usage, execute); err != nil {
		return nil, err
	}
	if err := e.reserve(ctx, q, w.AddReservations); err != nil {
		return nil, err
	}
	if err := e.putReservations.each(w.PutReservations, execute); err != nil {
		return nil, err
	}
	return after, unreserve(ctx, q, w.DeleteReservations)
}
