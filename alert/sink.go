package alert

import (
	"context"
	"errors"
	"time"
)

// A Sink takes alerts to where somebody sees them. It is safe for concurrent use.
type Sink interface {
	// Send takes one alert there, and returns nil once it has arrived. It is called again with the same alert, the same ID
	// above all, if it returned an error or if it is not known what became of it, perhaps in another process: so the receiver
	// may get an alert twice, and can tell it by its ID. ctx ends when the attempt has taken too long.
	//
	// An error that wraps [ErrGone] or a [RetryAfterError] says more about when to try again.
	Send(ctx context.Context, a Alert) error
}

// Func is a [Sink] that calls a function.
type Func func(ctx context.Context, a Alert) error

// Send implements [Sink].
func (f Func) Send(ctx context.Context, a Alert) error { return f(ctx, a) }

// ErrGone is what a [Sink] returns where trying again is of no use: the alert becomes a dead letter at once.
var ErrGone = errors.New("the receiver is gone")

// A RetryAfterError is what a [Sink] returns where the receiver said when to try again.
type RetryAfterError struct {
	After time.Duration // from now on; nothing is tried before, unless it is longer than the dispatcher's MaxBackoff
	Err   error         // what went wrong
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }

// Unwrap returns e.Err.
func (e *RetryAfterError) Unwrap() error { return e.Err }
