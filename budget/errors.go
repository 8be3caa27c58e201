package budget

import (
	"errors"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// The conditions that a caller can act on, for [errors.Is].
var (
	// ErrInvalid says that an input was refused; each finding is a [*FieldError] in the error's tree. Nothing was stored.
	ErrInvalid = invalid.ErrInvalid

	// ErrOverflow says that a sum would pass what int64 holds. Nothing was stored.
	ErrOverflow = usage.ErrOverflow

	// ErrNoPrice says that an event came without a cost and the ledger's Prices have none for it. Nothing was stored.
	ErrNoPrice = usage.ErrNoPrice

	// ErrNotFound says that no budget, event or other thing with this id exists.
	ErrNotFound = errors.New("not found")

	// ErrConflict says that an id is taken by something with other content, or that a version is not the current one.
	// Nothing was changed.
	ErrConflict = errors.New("conflict")

	// ErrPruned says that what was asked needs events that were pruned, or writes before the prune floor. Nothing was
	// changed. A budget that reaches back before the floor can be made with StartsAt at or after it.
	ErrPruned = errors.New("events of that time are pruned")

	// ErrOutcomeUnknown says that the transaction may or may not have been committed: the connection was lost at COMMIT,
	// or the caller's context ended while the work was under way. Sending the same ids again is safe, and is the remedy.
	ErrOutcomeUnknown = errors.New("outcome unknown; sending the same ids again is safe")

	// ErrGuessedWrong is what a [Recorder] returns where events were not new or the catalog has moved on. A ledger then
	// takes one step after the other; no caller of a ledger meets it.
	ErrGuessedWrong = errors.New("guessed wrong")

	// ErrUnavailable says that the store could not be reached, refused the connection, did not answer in time, is full or
	// may only be read. Nothing was stored.
	ErrUnavailable = errors.New("store unavailable")

	// ErrSchema says that the database's schema is missing, older than this code needs or newer than it knows. The
	// message says what to run.
	ErrSchema = errors.New("schema version")

	// ErrSettings says that the database is set up in a way in which the store's promises would not hold. The message
	// names the setting and the value it must have.
	ErrSettings = errors.New("unsuitable database settings")
)

// A FieldError names a field and says why it was refused. It unwraps to [ErrInvalid].
type FieldError = invalid.FieldError

// FieldErrors returns every [FieldError] in err's tree, in the order in which they were found.
func FieldErrors(err error) []*FieldError { return invalid.Fields(err) }
