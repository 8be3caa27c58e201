package pgstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// engine is what is particular to Postgres.
type engine struct {
	schema string // "": where the search_path leads

	begin        [4]string // by bunstore.Access
	fence        [2]string // by budget.FenceMode
	insertEvents string
	addCounters  string
	addBoth      string
}

var _ bunstore.Engine = (*engine)(nil)

func newEngine(schema string) *engine {
	e := &engine{schema: schema}
	const (
		readWrite = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
		// An exclusive lock that waits keeps all who come later waiting. So it does not wait for long: it tries again.
		notForLong = "; SET LOCAL lock_timeout = '50ms'; "
	)
	e.fence = [2]string{
		budget.Shared:    "LOCK TABLE " + e.Table("purser_catalog") + " IN ROW SHARE MODE",
		budget.Exclusive: "LOCK TABLE " + e.Table("purser_catalog") + " IN EXCLUSIVE MODE",
	}
	e.begin = [4]string{
		bunstore.ReadOnly:       "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		bunstore.ReadWrite:      readWrite,
		bunstore.WriteShared:    readWrite + "; " + e.fence[budget.Shared],
		bunstore.WriteExclusive: readWrite + notForLong + e.fence[budget.Exclusive],
	}
	e.insertEvents = e.insertEventsText()
	e.addCounters = "WITH added AS (" + e.addText("purser_counters", bunstore.CounterColumns, 3, 0, counterOrder) + " RETURNING " +
		bunstore.Names(bunstore.CounterColumns) + ") SELECT " + bunstore.Names(bunstore.CounterColumns) + " FROM added"
	e.addBoth = "WITH added AS (" + e.addText("purser_counters", bunstore.CounterColumns, 3, 0, counterOrder) + " RETURNING " +
		bunstore.Names(bunstore.CounterColumns) + "), summed AS (" +
		e.addText("purser_usage", bunstore.UsageColumns, 6, len(bunstore.CounterColumns), usageOrder) + ") SELECT " +
		bunstore.Names(bunstore.CounterColumns) + " FROM added"
	return e
}

const (
	counterOrder = `budget COLLATE "C", scope_value COLLATE "C", period_start`
	usageOrder   = `grain, bucket, tenant COLLATE "C", user_id COLLATE "C", api_key COLLATE "C", resource COLLATE "C"`
)

func (e *engine) insertEventsText() string {
	names := bunstore.Names(bunstore.EventColumns)
	return "WITH inserted AS (INSERT INTO " + e.Table("purser_events") + " (" + names + ") SELECT " + names +
		" FROM " + given(bunstore.EventColumns, 0) + ` ORDER BY tenant COLLATE "C", id COLLATE "C"` +
		" ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, id)" +
		" SELECT version, CASE WHEN (SELECT count(*) FROM inserted) < cardinality($1::text[])" +
		" THEN (SELECT COALESCE(json_agg(json_build_array(tenant, id)), '[]')::text FROM inserted) END" +
		" FROM " + e.Table("purser_catalog")
}

// addText returns an INSERT that adds to the rows that stand. The first columns are the key; the arguments follow on so
// many others.
func (e *engine) addText(table string, columns []bunstore.Column, key, others int, order string) string {
	names := bunstore.Names(columns)
	return "INSERT INTO " + e.Table(table) + " AS t (" + names + ") SELECT " + names + " FROM " + given(columns, others) +
		" ORDER BY " + order +
		" ON CONFLICT (" + bunstore.Names(columns[:key]) + ") DO UPDATE SET " + bunstore.Sums(columns[key:])
}

// given returns the rows that are given as one array per column, whose arguments follow on so many others.
func given(columns []bunstore.Column, others int) string {
	arrays := make([]string, len(columns))
	for i, column := range columns {
		arrays[i] = fmt.Sprintf("$%d::%s[]", others+i+1, column.Type)
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") AS given (" + bunstore.Names(columns) + ")"
}

func (*engine) Bun() schema.Dialect { return pgdialect.New() }

func (e *engine) Table(name string) string {
	if e.schema == "" {
		return name
	}
	return e.quoted() + "." + name
}

func (e *engine) quoted() string { return `"` + e.schema + `"` }

func (*engine) Placeholder(n int) string { return "$" + strconv.Itoa(n) }

func (e *engine) Begin(a bunstore.Access) string { return e.begin[a] }

func (e *engine) Fence(mode budget.FenceMode) string { return e.fence[mode] }

func (*engine) ForUpdate() string { return "UPDATE" }

func (*engine) List(types []bunstore.Type, rows [][]any) (string, []any) {
	columns := make([]bunstore.Column, len(types))
	arrays := make([]string, len(types))
	for i, t := range types {
		columns[i].Type = t
		arrays[i] = "?::" + string(t) + "[]"
	}
	return "SELECT * FROM unnest(" + strings.Join(arrays, ", ") + ")", literals(len(columns), len(rows), func(i int) []any { return rows[i] })
}

func (*engine) HasLabel() string { return "COALESCE(labels::json ->> ?, '') = ?" }

// migrating is the key of the lock that migrations take: "purser" in ASCII.
const migrating = 0x707572736572

func (e *engine) BeginMigration() string {
	begin := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock(%d)", migrating)
	if e.schema == "" {
		return begin
	}
	// Not CREATE SCHEMA IF NOT EXISTS, which wants the right to create one also where it exists.
	return begin + "; DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '" + e.schema + "') THEN CREATE SCHEMA " +
		e.quoted() + "; END IF; END $$; SET LOCAL search_path = " + e.quoted()
}

// SchemaExists asks the catalog's table. Functions such as to_regclass may answer from a cache that does not know as yet
// what another process committed while this one waited for its lock.
func (e *engine) SchemaExists() string {
	query := "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'purser_schema' AND "
	if e.schema == "" {
		return query + "pg_table_is_visible(pg_class.oid)"
	}
	return query + "nspname = '" + e.schema + "'"
}

func (e *engine) InsertEvents(ctx context.Context, q bunstore.Querier, events []bunstore.Event) ([]budget.EventKey, int64, error) {
	args := literals(len(bunstore.EventColumns), len(events), func(i int) []any { return events[i].Values() })
	rows, err := q.QueryContext(ctx, e.insertEvents, args...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var version int64
	var inserted sql.NullString // NULL: all
	for rows.Next() {
		if err := rows.Scan(&version, &inserted); err != nil {
			return nil, 0, err
		}
	}
	if err := rows.Err(); err != nil || !inserted.Valid {
		return nil, version, err
	}
	taken, err := others(events, inserted.String)
	return taken, version, err
}

// others returns the keys of the events that are not among the inserted ones, a JSON array of pairs.
func others(events []bunstore.Event, inserted string) ([]budget.EventKey, error) {
	var pairs [][2]string
	if err := json.Unmarshal([]byte(inserted), &pairs); err != nil {
		return nil, err
	}
	stored := make(map[budget.EventKey]bool, len(pairs))
	for _, pair := range pairs {
		stored[budget.EventKey{Tenant: pair[0], ID: pair[1]}] = true
	}
	var taken []budget.EventKey
	for _, event := range events {
		if key := (budget.EventKey{Tenant: event.Tenant, ID: event.ID}); !stored[key] {
			taken = append(taken, key)
		}
	}
	return taken, nil
}

func (e *engine) Add(ctx context.Context, q bunstore.Querier, counters []budget.Counter, sums []budget.UsageAdd) ([]budget.Counter, error) {
	if len(counters) == 0 && len(sums) == 0 {
		return nil, nil
	}
	text := e.addCounters
	args := literals(len(bunstore.CounterColumns), len(counters), func(i int) []any { return bunstore.CounterValues(&counters[i]) })
	if len(sums) > 0 {
		text = e.addBoth
		args = append(args, literals(len(bunstore.UsageColumns), len(sums), func(i int) []any { return bunstore.UsageValues(&sums[i]) })...)
	}
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return bunstore.ScanCounters(rows)
}
