package pgstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// takeText returns the statement that locks reservations and reads them. Its arguments are the tenants and the ids.
func takeText(e *engine) string {
	names := bunstore.Names(bunstore.ReservationColumns)
	return "SELECT version, " + now + ", FALSE, " + zeros(bunstore.ReservationColumns) +
		" FROM " + e.Table("purser_catalog") +
		" UNION ALL SELECT NULL, NULL, NULL, found.* FROM (" + keysText(0) + ") AS given" + e.lookingUp(names, "")
}

// takeOverdueText returns the statement that takes overdue reservations beside those that are asked for. Its arguments are the
// tenants, the ids and how many overdue ones to take.
//
// Which are overdue is known only of the moment before they are locked. One that another transaction had locked may have
// been settled, given back or extended since. After the wait Postgres looks at the row as it is then, and leaves it out if
// it is gone or does not meet the condition any more. So one that nobody asked for by its key is returned only if it is
// overdue still, by the same reading of the clock as all others. Where as many as were wanted had been found, others may
// be overdue behind those that were left out: such an answer is overtaken.
func takeOverdueText(e *engine) string {
	const overdue = "state = 0 AND expires_at <= (SELECT now FROM clock)"
	names := bunstore.Names(bunstore.ReservationColumns)
	return "WITH clock AS MATERIALIZED (SELECT " + now + " AS now)," +
		" asked AS MATERIALIZED (" + keysText(0) + ")," +
		" overdue AS MATERIALIZED (SELECT tenant, id FROM " + e.Table("purser_reservations") +
		" WHERE " + overdue + " AND (tenant, id) NOT IN (SELECT tenant, id FROM asked)" +
		" ORDER BY expires_at LIMIT (SELECT $3::bigint))," +
		" candidates AS (SELECT tenant, id, TRUE AS named FROM asked UNION ALL SELECT tenant, id, FALSE FROM overdue)," +
		" taken AS MATERIALIZED (SELECT named, found.* FROM (SELECT tenant, id, named FROM candidates ORDER BY " + eventOrder + ") AS given" +
		e.lookingUp(names, " AND (given.named OR "+overdue+")") + ")" +
		" SELECT version, now, (SELECT count(*) FROM overdue) = $3 AND (SELECT count(*) FROM taken WHERE NOT named) < $3, " +
		zeros(bunstore.ReservationColumns) + " FROM clock, " + e.Table("purser_catalog") +
		" UNION ALL SELECT NULL, NULL, NULL, " + names + " FROM taken"
}

// now is the time by the server's clock as it is read, in microseconds. That of a transaction is when it began: before it
// waited for its fence.
const now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// lookingUp is joined to keys that are given. It looks the reservation of each up by itself, if it meets the condition,
// and locks it. Any other join would be planned by a guess at how many there are, and may read the whole table, because
// that was empty when its rows were last counted: what is open comes and goes within seconds.
func (e *engine) lookingUp(columns, condition string) string {
	return " CROSS JOIN LATERAL (SELECT " + columns + " FROM " + e.Table("purser_reservations") + " AS t" +
		" WHERE t.tenant = given.tenant AND t.id = given.id" + condition + " FOR UPDATE) AS found"
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
	args = arrays(bunstore.KeyColumns, keys)
	if overdue <= 0 {
		return e.take, args
	}
	return e.takeOverdue, append(args, int64(overdue))
}

// scanTaken reads a row of the answer.
func scanTaken(scan func(dest ...any) error, taken *budget.Taken) error {
	var version, now sql.NullInt64
	var overtaken sql.NullBool
	var row bunstore.ReservationRow
	switch err := scan(row.Dest(&version, &now, &overtaken)...); {
	case err != nil:
		return err
	case overtaken.Bool:
		return errOvertaken{}
	case version.Valid:
		taken.Version, taken.Now = version.Int64, time.UnixMicro(now.Int64).UTC()
		return nil
	default:
		return row.AddTo(taken)
	}
}

// errOvertaken says that what was found to be overdue was ended by others, and that more is. It looks like the server's
// error for a transaction that was in the way of another, since the same is to be done: to run all of it again.
type errOvertaken struct{}

func (errOvertaken) Error() string    { return "others ended reservations that were found to be overdue" }
func (errOvertaken) SQLState() string { return "40001" }

func (e *engine) TakeReservations(ctx context.Context, q bunstore.Querier, keys []budget.ReservationKey, overdue int) (budget.Taken, error) {
	taken := budget.Taken{Reservations: make(map[budget.ReservationKey]budget.StoredReservation, len(keys))}
	text, args := e.taking(keys, overdue)
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return budget.Taken{}, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scanTaken(rows.Scan, &taken); err != nil {
			return budget.Taken{}, err
		}
	}
	return taken, rows.Err()
}
