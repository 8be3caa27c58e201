package pgstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// engine is what is particular to Postgres.
type engine struct {
	schema   string   // "": where the search_path leads
	pipeline Pipeline // nil: there is none

	begin        [4]string // by bunstore.Access
	fence        [2]string // by budget.FenceMode
	take         string
	takeOverdue  string
	look         string
	insertEvents string
	apply        []string // by the parts of it, a bit for each
}

var _ bunstore.Engine = (*engine)(nil)

const (
	// Not READ WRITE: a database that its administrator has made one that may only be read is to stay so.
	begin = "BEGIN ISOLATION LEVEL READ COMMITTED"

	// A client that vanished in the middle of a transaction, without a word, would keep its locks until the server's system
	// notices, which takes hours. One that only stood still runs the transaction again.
	limitIdle = "SET LOCAL idle_in_transaction_session_timeout = '5s'"

	readWrite = begin + "; " + limitIdle
)

func newEngine(schema string) *engine {
	e := &engine{schema: schema}
	e.fence = [2]string{
		budget.Shared:    "LOCK TABLE " + e.Table("purser_catalog") + " IN ROW SHARE MODE",
		budget.Exclusive: "LOCK TABLE " + e.Table("purser_catalog") + " IN EXCLUSIVE MODE",
	}
	e.begin = [...]string{
		bunstore.ReadOnly:       "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		bunstore.ReadWrite:      readWrite,
		bunstore.WriteShared:    readWrite + "; " + e.fence[budget.Shared],
		bunstore.WriteExclusive: readWrite + "; SET LOCAL lock_timeout = '%dms'; " + e.fence[budget.Exclusive],
	}
	e.take, e.takeOverdue, e.look = takeText(e), takeOverdueText(e), lookText(e)
	e.apply = make([]string, 1<<len(parts))
	for does := range e.apply {
		e.apply[does] = applyText(e, does)
	}
	e.insertEvents = "WITH inserted AS (" + insertText(e, "purser_events", bunstore.EventColumns, 0, eventOrder) +
		" ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, id)" +
		" SELECT version, CASE WHEN (SELECT count(*) FROM inserted) < cardinality($1::text[])" +
		" THEN (SELECT COALESCE(json_agg(json_build_array(tenant, id)), '[]')::text FROM inserted) END" +
		" FROM " + e.Table("purser_catalog")
	return e
}

// The orders of keys. The columns of what is given have the database's collation, those of the tables compare bytes.
const (
	eventOrder   = `tenant COLLATE "C", id COLLATE "C"` // of reservations too
	counterOrder = `budget COLLATE "C", period_start, scope_value COLLATE "C"`
	usageOrder   = `grain, bucket, tenant COLLATE "C", user_id COLLATE "C", api_key COLLATE "C", resource COLLATE "C"`
)

// insertText returns an INSERT of rows that are given as one array per column. Its arguments follow on so many others.
func insertText[R any](e *engine, table string, columns []bunstore.Column[R], others int, order string) string {
	return insertIfText(e, table, columns, others, "", order)
}

// insertIfText is insertText for those rows alone that meet a condition.
func insertIfText[R any](e *engine, table string, columns []bunstore.Column[R], others int, condition, order string) string {
	given := make([]string, len(columns))
	for i, column := range columns {
		given[i] = fmt.Sprintf("$%d::%s[]", others+i+1, column.Type)
	}
	names := bunstore.Names(columns)
	return "INSERT INTO " + e.Table(table) + " AS t (" + names + ") SELECT " + names +
		" FROM unnest(" + strings.Join(given, ", ") + ") AS given (" + names + ")" + condition + " ORDER BY " + order
}

// keysText returns the keys that are given as two arrays, in order. Their arguments follow on so many others.
//
// Subqueries hide from the planner how many there are. If it knew, it would plan anew for each call, which takes longer
// than to execute it.
func keysText(others int) string {
	return fmt.Sprintf("SELECT tenant, id FROM unnest((SELECT $%d::text[]), (SELECT $%d::text[])) AS given (tenant, id) ORDER BY ",
		others+1, others+2) + eventOrder
}

// addingText returns what makes an INSERT add to the rows that stand.
func addingText[R any](columns []bunstore.Column[R], key int) string {
	return " ON CONFLICT (" + bunstore.Names(columns[:key]) + ") DO UPDATE SET " + bunstore.Sums(columns[key:])
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

func (e *engine) Begin(a bunstore.Access, tries int) string {
	if a != bunstore.WriteExclusive {
		return e.begin[a]
	}
	// An exclusive lock that waits keeps all who come later waiting. So it does not wait for long at first, and tries
	// again; but longer each time, or transactions that last longer than it waits would keep it out for ever.
	return fmt.Sprintf(e.begin[a], min(shortestWait<<min(tries, 10), longestWait).Milliseconds())
}

// How long an exclusive fence waits for transactions that share it, at first and at the most.
const (
	shortestWait = 50 * time.Millisecond
	longestWait  = 2 * time.Second
)

func (e *engine) Fence(mode budget.FenceMode) string { return e.fence[mode] }

func (*engine) OneWriter() bool { return false }

func (*engine) ForUpdate() string { return "UPDATE" }

func (*engine) List(types []bunstore.Type, rows [][]any) (string, []any) {
	given := make([]string, len(types))
	for i, t := range types {
		given[i] = "?::" + string(t) + "[]"
	}
	return "SELECT * FROM unnest(" + strings.Join(given, ", ") + ")", lists(len(types), rows)
}

// Common leaves it to the planner, which has statistics.
func (*engine) Common(condition string) string { return condition }

func (*engine) HasLabel() string { return "COALESCE(labels::json ->> ?, '') = ?" }

func (*engine) Holds() string {
	return "strpos(holds, ?) > 0 AND EXISTS (SELECT FROM json_array_elements(holds::json) AS hold WHERE hold ->> 0 = ?)"
}

// Now reads the clock once for a statement, so that an index can be asked for what is before it.
func (*engine) Now() (expression string, args []any) { return "(SELECT " + now + ")", nil }

// Overdue gives both ends of a span, which the planner takes for few rows, where it takes one end for a third of all. By
// OFFSET it is kept from looking through all rows in the order that is asked for, in the hope to meet one soon.
func (e *engine) Overdue() (query string, args []any) {
	return "SELECT " + bunstore.Names(bunstore.ReservationColumns) + " FROM " + e.Table("purser_reservations") +
		" WHERE state = 0 AND expires_at BETWEEN (-1::bigint << 63) AND (SELECT " + now + ") OFFSET 0", nil
}

// migrating is the key of the lock that migrations take: "purser" in ASCII.
const migrating = 0x707572736572

func (e *engine) BeginMigration() string {
	locked := fmt.Sprintf(readWrite+"; SELECT pg_advisory_xact_lock(%d)", migrating)
	if e.schema == "" {
		return locked
	}
	// Not CREATE SCHEMA IF NOT EXISTS, which wants the right to create one also where it exists.
	return locked + "; DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '" + e.schema + "') THEN CREATE SCHEMA " +
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

func (e *engine) InsertEvents(ctx context.Context, q bunstore.Querier, events []budget.StoredEvent) ([]budget.EventKey, int64, error) {
	rows, err := q.QueryContext(ctx, e.insertEvents, arrays(bunstore.EventColumns, events)...)
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
func others(events []budget.StoredEvent, inserted string) ([]budget.EventKey, error) {
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
		if key := event.Key(); !stored[key] {
			taken = append(taken, key)
		}
	}
	return taken, nil
}
