package pgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// A part is what a statement may do beside adding to counters. All parts of a statement see the rows as they were before
// it.
type part struct {
	name  string // of what the statement does in it
	args  int
	text  func(e *engine, others int) string // its arguments follow on so many others
	given func(w *budget.Writes) []any       // nil: there is nothing to do
}

// What is added comes before what waits for nobody, since it is locked already.
var parts = [...]part{
	{
		name: "summed", args: len(bunstore.UsageColumns),
		text: func(e *engine, others int) string {
			return insertText(e, "purser_usage", bunstore.UsageColumns, others, usageOrder) +
				addingText(bunstore.UsageColumns, bunstore.UsageKeyColumns)
		},
		given: func(w *budget.Writes) []any { return given(bunstore.UsageColumns, w.Usage) },
	},
	{
		name: "reserved", args: len(bunstore.ReservationColumns),
		text: func(e *engine, others int) string {
			free := " WHERE NOT " + eventStandsText(e)
			return insertIfText(e, "purser_reservations", bunstore.ReservationColumns, others, free, eventOrder) +
				" ON CONFLICT (tenant, id) DO NOTHING RETURNING 1"
		},
		given: func(w *budget.Writes) []any { return given(bunstore.ReservationColumns, w.AddReservations) },
	},
	{
		name: "replaced", args: len(bunstore.ReservationColumns),
		text: func(e *engine, others int) string {
			return insertText(e, "purser_reservations", bunstore.ReservationColumns, others, eventOrder) +
				" ON CONFLICT (tenant, id) DO UPDATE SET " + bunstore.Given(bunstore.ReservationColumns[bunstore.ReservationKeyColumns:])
		},
		given: func(w *budget.Writes) []any { return given(bunstore.ReservationColumns, w.PutReservations) },
	},
	{
		name: "deleted", args: len(bunstore.KeyColumns),
		text: func(e *engine, others int) string {
			return "DELETE FROM " + e.Table("purser_reservations") + " AS gone USING (" + keysText(others) + ") AS given" +
				e.lookingUp("ctid", "") + " WHERE gone.ctid = found.ctid"
		},
		given: func(w *budget.Writes) []any { return given(bunstore.KeyColumns, w.DeleteReservations) },
	},
}

// eventStandsText returns the condition that an event has the key given.
//
// The next event from the key on is the one with the key, or there is none. Asked for the one with the key, a planner who has
// counted few events would read all of them, for each key and until it counts again.
func eventStandsText(e *engine) string {
	return "COALESCE((SELECT (e.tenant, e.id) = (given.tenant, given.id) FROM " + e.Table("purser_events") + " AS e" +
		" WHERE (e.tenant, e.id) >= (given.tenant, given.id) ORDER BY e.tenant, e.id LIMIT 1), FALSE)"
}

// reserving is the place in parts of the one that adds reservations.
const reserving = 1

// given is arrays, or nil if there are no rows.
func given[R any](columns []bunstore.Column[R], rows []R) []any {
	if len(rows) == 0 {
		return nil
	}
	return arrays(columns, rows)
}

// applyText returns the statement that adds to counters and does these parts, a bit for each. It answers with the
// counters, and with the number of reservations that were added in a row of its own.
func applyText(e *engine, does int) string {
	names := bunstore.Names(bunstore.CounterColumns)
	text := "WITH added AS (" + insertText(e, "purser_counters", bunstore.CounterColumns, 0, counterOrder) +
		addingText(bunstore.CounterColumns, bunstore.CounterKeyColumns) + " RETURNING " + names + ")"
	args := len(bunstore.CounterColumns)
	for i, p := range parts {
		if does&(1<<i) != 0 {
			text += ", " + p.name + " AS (" + p.text(e, args) + ")"
			args += p.args
		}
	}
	text += " SELECT " + names + ", NULL::bigint FROM added"
	if does&(1<<reserving) != 0 {
		text += " UNION ALL SELECT " + zeros(bunstore.CounterColumns) + ", count(*) FROM reserved"
	}
	return text
}

// applying returns the statement that writes w, and its arguments; "" if there is nothing to do.
func (e *engine) applying(w *budget.Writes) (text string, args []any) {
	does := 0
	args = arrays(bunstore.CounterColumns, w.Counters)
	for i, p := range parts {
		if given := p.given(w); given != nil {
			does |= 1 << i
			args = append(args, given...)
		}
	}
	if does == 0 && len(w.Counters) == 0 {
		return "", nil
	}
	return e.apply[does], args
}

// scanApplied reads a row of the answer. It returns the counters as they are with it.
func scanApplied(scan func(dest ...any) error, w *budget.Writes, counters []budget.Counter) ([]budget.Counter, error) {
	var reserved sql.NullInt64
	counter, err := bunstore.ScanCounter(scan, &reserved)
	switch given := len(w.AddReservations); {
	case err != nil:
		return nil, err
	case !reserved.Valid:
		return append(counters, counter), nil
	case int(reserved.Int64) < given:
		return nil, bunstore.KeysTaken(int(reserved.Int64), given)
	default:
		return counters, nil
	}
}

func (e *engine) Apply(ctx context.Context, q bunstore.Querier, w budget.Writes) ([]budget.Counter, error) {
	text, args := e.applying(&w)
	if text == "" {
		return nil, nil
	}
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var after []budget.Counter
	for rows.Next() {
		if after, err = scanApplied(rows.Scan, &w, after); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(w.AddReservations) == 0 {
		return after, err
	}
	settled, err := q.QueryContext(ctx, e.look, addedKeys(&w)...)
	if err != nil {
		return nil, err
	}
	defer settled.Close()
	if settled.Next() {
		return nil, errSettled
	}
	return after, settled.Err()
}

// errSettled is what comes of reservations that were added after others of the same keys had been settled. A statement that
// waits for those to be deleted goes on with what it saw of the events before: only a later one sees the events that
// settled them.
var errSettled = fmt.Errorf("the id of a reservation is that of an event: %w", budget.ErrConflict)

// addedKeys are the keys of the reservations that w adds, as arguments of lookText.
func addedKeys(w *budget.Writes) []any {
	keys := make([]budget.EventKey, len(w.AddReservations))
	for i := range w.AddReservations {
		keys[i] = w.AddReservations[i].Key()
	}
	return arrays(bunstore.KeyColumns, keys)
}
