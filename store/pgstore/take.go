package pgstore

import (
	"context"
	"strings"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// takeText returns the statement that locks reservations and reads them. Its arguments are the tenants, the ids and how
// many overdue ones to take.
//
// Which are overdue is known only of the moment before they are locked. One that another transaction had locked may have
// been settled, given back or extended since. After the wait Postgres looks at the row as it is then, and leaves out one
// that is gone or that does not meet the innermost condition any more. So one that nobody asked for by its key is returned
// only if it is overdue still, by the same reading of the clock as all others.
//
// Each is looked up by itself. A join would be planned by a guess at how many there are, which for a table that empties
// and fills within seconds is wrong by a thousand times, and may read all of it.
func takeText(e *engine) string {
	table := e.Table("purser_reservations")
	now, _ := e.Now()
	return "WITH clock AS MATERIALIZED (SELECT " + now + " AS now)," +
		" asked AS MATERIALIZED (" + keysText(0) + ")," +
		" overdue AS MATERIALIZED (SELECT tenant, id FROM " + table +
		" WHERE state = 0 AND expires_at <= (SELECT now FROM clock) AND (tenant, id) NOT IN (SELECT tenant, id FROM asked)" +
		" ORDER BY expires_at LIMIT (SELECT $3::bigint))," +
		" candidates AS MATERIALIZED (SELECT tenant, id, TRUE AS named FROM asked UNION ALL SELECT tenant, id, FALSE FROM overdue)," +
		" taken AS MATERIALIZED (SELECT t.* FROM (SELECT * FROM candidates ORDER BY " + eventOrder + ") AS c CROSS JOIN LATERAL (" +
		"SELECT * FROM " + table + " AS r WHERE r.tenant = c.tenant AND r.id = c.id" +
		" AND (c.named OR state = 0 AND expires_at <= (SELECT now FROM clock)) FOR UPDATE) AS t)" +
		" SELECT version, now, " + zeros(bunstore.ReservationColumns) + " FROM clock, " + e.Table("purser_catalog") +
		" UNION ALL SELECT NULL, NULL, " + bunstore.Names(bunstore.ReservationColumns) + " FROM taken"
}

// zeros returns a value for each column, for a row that says something else.
func zeros[R any](columns []bunstore.Column[R]) string {
	values := make([]string, len(columns))
	for i, column := range columns {
		values[i] = zero[column.Type]
	}
	return strings.Join(values, ", ")
}

var zero = map[bunstore.Type]string{bunstore.Text: "''", bunstore.Integer: "0", bunstore.Bytes: "''::bytea", bunstore.Boolean: "FALSE"}

func (e *engine) taking(keys []budget.ReservationKey, overdue int) (text string, args []any) {
	return e.take, append(arrays(bunstore.KeyColumns, keys), int64(max(overdue, 0)))
}

func (e *engine) TakeReservations(ctx context.Context, q bunstore.Querier, keys []budget.ReservationKey, overdue int) (budget.Taken, error) {
	taken := budget.Taken{Reservations: make(map[budget.ReservationKey]budget.StoredReservation, len(keys))}
	text, args := e.taking(keys, overdue)
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return budget.Taken{}, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := bunstore.ScanTaken(rows.Scan, &taken); err != nil {
			return budget.Taken{}, err
		}
	}
	return taken, rows.Err()
}
