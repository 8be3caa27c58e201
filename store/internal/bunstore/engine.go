package bunstore

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun/schema"

	"github.com/purser-go/purser/budget"
)

// An Engine is what differs between the databases.
type Engine interface {
	// Bun returns the dialect in which Bun writes statements.
	Bun() schema.Dialect

	// Table returns a table's name as statements write it.
	Table(name string) string

	// Placeholder is what stands for the nth argument of a statement, counted from 1.
	Placeholder(n int) string

	// Begin returns the statements that begin a transaction, and take its fence if it has one. They are sent as one
	// message. So many tries went before.
	Begin(a Access, tries int) string

	// Fence returns the statements that take a fence within a transaction; "" if there is nothing to take.
	Fence(mode budget.FenceMode) string

	// OneWriter reports whether one transaction writes at a time.
	OneWriter() bool

	// ForUpdate is what makes a query lock the rows that it reads.
	ForUpdate() string

	// List returns a subquery of the rows given, each of which has one value per type, and its arguments. Types are
	// [Text] or [Integer].
	List(types []Type, rows [][]any) (query string, args []any)

	// Common returns a condition as one that so many rows meet that they are not to be looked for by it.
	Common(condition string) string

	// HasLabel returns a condition with two arguments, a name and a value, on the column labels.
	HasLabel() string

	// Holds returns a condition with two arguments on the column holds: a text that must be in it, by which most rows are
	// left out cheaply, and a budget of which there is a hold.
	Holds() string

	// Now returns an expression for the time by the store's clock, in microseconds, and its arguments.
	Now() (expression string, args []any)

	// Overdue returns a subquery of the reservations that are overdue by the store's clock, and its arguments.
	Overdue() (query string, args []any)

	// InsertEvents stores the events whose keys are not taken and returns the keys of the others, and the catalog's
	// version.
	InsertEvents(ctx context.Context, q Querier, events []budget.StoredEvent) (taken []budget.EventKey, version int64, err error)

	// TakeReservations does what [budget.Tx] says of it.
	TakeReservations(ctx context.Context, q Querier, keys []budget.ReservationKey, overdue int) (budget.Taken, error)

	// Apply writes the counters, the usage and the reservations of w, each in ascending order of key, and nothing else of
	// it. It returns the counters as they are then. If not all of the reservations that are to be added could be, it
	// returns [KeysTaken].
	Apply(ctx context.Context, q Querier, w budget.Writes) ([]budget.Counter, error)

	// BeginMigration returns the statements that begin a transaction in which the schema is changed, one at a time.
	BeginMigration() string

	// SchemaExists is a query for the number of tables named purser_schema: 0 or 1.
	SchemaExists() string

	// Classify says what an error of the database means. It reports false for what is none.
	Classify(err error) (Class, bool)
}

// A Piper is an [Engine] that may be able to send several statements in one round trip.
type Piper interface {
	// Pipes reports whether it is able.
	Pipes() bool

	// Record begins a transaction with a shared fence, and does what InsertEvents and Add do. It reports whether all
	// events were new and the catalog's version is this one; if not, what it did must not stay.
	Record(ctx context.Context, conn *sql.Conn, version int64, events []budget.StoredEvent,
		counters []budget.Counter, sums []budget.UsageAdd) (after []budget.Counter, asGuessed bool, err error)

	// Open begins a transaction with a shared fence, and does what [budget.Opener] says. It reports whether all events
	// were new; if not, what it did must not stay.
	Open(ctx context.Context, conn *sql.Conn, o budget.Opening) (opened budget.Opened, asGuessed bool, err error)
}

// A Querier sends statements.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Access says what a transaction is for.
type Access int

// The kinds of access.
const (
	ReadOnly       Access = iota // of one snapshot
	ReadWrite                    // without a fence as yet
	WriteShared                  // with a shared fence
	WriteExclusive               // with an exclusive one
)

// A Class says what an error of the database means for the transaction that it ended.
type Class int

// The classes of errors.
const (
	Other       Class = iota // nothing that another try would change
	Raced                    // another transaction was in the way; nothing was stored, also if COMMIT says so
	Away                     // the database can't be reached just now
	Unavailable              // the database does not serve this client, and another try would not change it
	Overflow                 // a sum would pass int64
	Unprepared               // a prepared statement is not where the driver left it
	Ended                    // the context of a step has ended
)
