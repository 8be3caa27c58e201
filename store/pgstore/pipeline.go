package pgstore

import (
	"context"
	"database/sql"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// A Pipeline sends several statements in one round trip, which database/sql has no way to say. Package pgxpipe has the one
// for connections of pgx. With it, recording takes two round trips instead of four.
type Pipeline interface {
	// Send sends the statements on conn, one after the other without waiting for answers, and reads the answers in that
	// order. It returns the first error, of a statement or of a Row.
	Send(ctx context.Context, conn *sql.Conn, statements []Statement) error
}

// A Statement is what a [Pipeline] sends.
type Statement struct {
	Text string
	Args []any // strings and integers
	// Row is called for each row of the answer; scan is as in database/sql. Nil where there are none.
	Row func(scan func(dest ...any) error) error
}

var _ bunstore.Piper = (*engine)(nil)

func (e *engine) Pipes() bool { return e.pipeline != nil }

func (e *engine) Record(ctx context.Context, conn *sql.Conn, version int64, events []budget.StoredEvent,
	counters []budget.Counter, sums []budget.UsageAdd,
) (after []budget.Counter, asGuessed bool, err error) {
	insert := Statement{Text: e.insertEvents, Args: arrays(bunstore.EventColumns, events)}
	insert.Row = func(scan func(...any) error) error {
		var is int64
		var inserted sql.NullString // NULL: all
		err := scan(&is, &inserted)
		asGuessed = is == version && !inserted.Valid
		return err
	}
	statements := []Statement{{Text: begin}, {Text: limitIdle}, {Text: e.fence[budget.Shared]}, insert}
	w := budget.Writes{Counters: counters, Usage: sums}
	if text, args := e.applying(&w); text != "" {
		statements = append(statements, Statement{Text: text, Args: args, Row: func(scan func(...any) error) (err error) {
			after, err = scanApplied(scan, &w, after)
			return err
		}})
	}
	err = e.pipeline.Send(ctx, conn, statements)
	return after, asGuessed, err
}
