package pgstore

import (
	"context"
	"database/sql"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// lookText returns the statement that says under which of the keys given an event stands.
func lookText(e *engine) string {
	return "SELECT given.tenant, given.id FROM (" + keysText(0) + ") AS given WHERE " + eventStandsText(e)
}

// Open sends the first steps of a transaction in one round trip: each is the statement that the step takes by itself, and
// sees what those before it waited for.
func (e *engine) Open(ctx context.Context, conn *sql.Conn, o budget.Opening) (opened budget.Opened, asGuessed bool, err error) {
	opened = budget.Opened{
		Taken:    budget.Taken{Reservations: make(map[budget.ReservationKey]budget.StoredReservation, len(o.Keys))},
		Settled:  make(map[budget.EventKey]bool),
		Counters: make(map[budget.CounterKey]budget.Counter, len(o.Counters)),
	}
	statements := []Statement{{Text: begin}, {Text: limitIdle}, {Text: e.fence[budget.Shared]}}
	add := func(text string, args []any, row func(scan func(...any) error) error) {
		statements = append(statements, Statement{Text: text, Args: args, Row: row})
	}
	text, args := e.taking(o.Keys, o.Overdue)
	add(text, args, func(scan func(...any) error) error { return scanTaken(scan, &opened.Taken) })
	if len(o.Look) > 0 {
		add(e.look, arrays(bunstore.KeyColumns, o.Look), func(scan func(...any) error) error {
			var key budget.EventKey
			err := scan(&key.Tenant, &key.ID)
			opened.Settled[key] = true
			return err
		})
	}
	asGuessed = true
	if len(o.Events) > 0 {
		add(e.insertEvents, arrays(bunstore.EventColumns, o.Events), func(scan func(...any) error) error {
			var version int64
			var inserted sql.NullString // NULL: all
			err := scan(&version, &inserted)
			asGuessed = !inserted.Valid
			return err
		})
	}
	w := bunstore.Locking(o.Counters)
	if o.Writes != nil {
		w = *o.Writes
	}
	if text, args := e.applying(&w); text != "" {
		add(text, args, func(scan func(...any) error) error {
			locked, err := scanApplied(scan, &w, nil)
			for _, c := range locked {
				opened.Counters[c.CounterKey] = c
			}
			return err
		})
	}
	if len(w.AddReservations) > 0 {
		add(e.look, addedKeys(&w), func(func(...any) error) error { return errSettled })
	}
	return opened, asGuessed, e.pipeline.Send(ctx, conn, statements)
}
