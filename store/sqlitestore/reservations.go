package sqlitestore

import (
	"context"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// asked is a list of keys, given as JSON.
const asked = "(SELECT CAST(value ->> 0 AS TEXT), CAST(value ->> 1 AS TEXT) FROM json_each(?))"

const overdue = "state = 0 AND expires_at <= ?"

var (
	reservations = "SELECT " + bunstore.Names(bunstore.ReservationColumns) + " FROM purser_reservations WHERE "
	takeNamed    = reservations + "(tenant, id) IN " + asked
	// NOT IN would be NULL beside a key of NULLs: to look for one, SQLite compares each row with all keys, 1.5 s for 2,500
	// keys among 5,000 overdue rows where this takes 0.1 s.
	takeOverdue = reservations + overdue + " AND CASE WHEN (tenant, id) IN " + asked + " THEN FALSE ELSE TRUE END ORDER BY expires_at LIMIT ?"
)

func (e *engine) TakeReservations(ctx context.Context, q bunstore.Querier, keys []budget.ReservationKey, overdue int) (budget.Taken, error) {
	taken := budget.Taken{
		Now:          e.now().UTC().Truncate(time.Microsecond),
		Reservations: make(map[budget.ReservationKey]budget.StoredReservation, len(keys)),
	}
	list := keysText(keys)
	if len(keys) > 0 {
		if err := take(ctx, q, &taken, takeNamed, list); err != nil {
			return budget.Taken{}, err
		}
	}
	if overdue > 0 {
		if err := take(ctx, q, &taken, takeOverdue, taken.Now.UnixMicro(), list, overdue); err != nil {
			return budget.Taken{}, err
		}
	}
	var err error
	taken.Version, err = readCatalogVersion(ctx, q)
	return taken, err
}

func take(ctx context.Context, q bunstore.Querier, taken *budget.Taken, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var row bunstore.ReservationRow
		if err := rows.Scan(row.Dest()...); err != nil {
			return err
		}
		if err := row.AddTo(taken); err != nil {
			return err
		}
	}
	return rows.Err()
}

// reserve stores reservations.
func (e *engine) reserve(ctx context.Context, q bunstore.Querier, added []budget.StoredReservation) error {
	stored := 0
	err := e.addReservations.each(added, func(statement string, args []any) error {
		result, err := q.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		stored += int(n)
		return err
	})
	if err == nil && len(added) > 0 {
		var settled int
		settled, err = eventsWith(ctx, q, added)
		stored -= settled
	}
	if err == nil && stored < len(added) {
		err = bunstore.KeysTaken(stored, len(added))
	}
	return err
}

// eventsWith returns how many keys of these reservations are those of events.
func eventsWith(ctx context.Context, q bunstore.Querier, added []budget.StoredReservation) (n int, err error) {
	keys := make([]budget.ReservationKey, len(added))
	for i := range added {
		keys[i] = added[i].Key()
	}
	rows, err := q.QueryContext(ctx, "SELECT count(*) FROM purser_events WHERE (tenant, id) IN "+asked, keysText(keys))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}

func unreserve(ctx context.Context, q bunstore.Querier, keys []budget.ReservationKey) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := q.ExecContext(ctx, "DELETE FROM purser_reservations WHERE (tenant, id) IN "+asked, keysText(keys))
	return err
}

// keysText returns keys as JSON.
func keysText(keys []budget.ReservationKey) string {
	pairs := make([][2]string, len(keys))
	for i, key := range keys {
		pairs[i] = [2]string{key.Tenant, key.ID}
	}
	return jsonText(pairs)
}
