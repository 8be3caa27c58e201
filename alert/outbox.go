package alert

import (
	"context"
	"fmt"
	"time"

	"github.com/purser-go/purser/internal/invalid"
)

// An Outbox keeps alerts and what became of their deliveries. A budget.Ledger is what has one. Several dispatchers, in
// several processes, work on the same outbox. It is safe for concurrent use.
//
// What is due, and when a claim ends, is decided by the outbox's clock alone, so that the clocks of those who work on it
// do not matter.
type Outbox interface {
	// Route makes the deliveries of alerts that were not routed yet, of the oldest first and at most so many: one for each
	// name of a sink that to returns. It returns how many alerts it routed. An alert is routed once, whoever calls at
	// the same time. Superseded alerts are not. to decides by its argument alone; it may be called several times.
	Route(ctx context.Context, limit int, to func(Alert) []string) (int, error)

	// Claim returns deliveries to this sink, at most so many, that are due and first in their line, and claims them for so
	// long: nobody else gets them until the claim ends, by the clock or by Finish. One whose claim has ended by the clock is
	// due again. Each claim is counted as a try.
	//
	// Deliveries to one sink of alerts of one budget and value are a line: they follow each other in the order of the alerts'
	// times and ids, and one is first if all before it are delivered or dead.
	Claim(ctx context.Context, sink string, limit int, hold time.Duration) ([]Delivery, error)

	// Finish writes down what came of a delivery that was claimed, as it was returned by Claim. If somebody else has
	// claimed it since, or it was resent, only that it was delivered is written down.
	Finish(ctx context.Context, d Delivery, o Outcome) error

	// Prune deletes deliveries that were delivered or became dead longer ago than this. It returns how many.
	Prune(ctx context.Context, age time.Duration) (int, error)
}

// A Delivery is the way of one alert to one sink.
type Delivery struct {
	Alert Alert
	Sink  string // its name
	State State
	Tries int       // claims so far, since it was made or last resent
	Due   time.Time // by the outbox's clock: of a waiting one, when it is tried; of a claimed one, when its claim ends; else when it came to an end
	Error string    // of the last try that failed; "": none did
}

// State says what became of a delivery.
type State uint8

// The states of a delivery.
const (
	Waiting   State = iota // to be tried when it is due
	Claimed                // somebody is trying; or died, and it is due again when the claim ends
	Delivered              // arrived
	Dead                   // given up; resending it begins anew
)

var stateNames = [...]string{Waiting: "waiting", Claimed: "claimed", Delivered: "delivered", Dead: "dead"}

// String returns s's name, in lower case.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return stateNames[s]
}

// MarshalText returns s's name. It fails for what is none of the four states.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(stateNames) {
		return nil, fmt.Errorf("%v is unknown", s)
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText sets s to the state of that name. Any other text is a [*usage.FieldError] of state.
func (s *State) UnmarshalText(text []byte) error {
	for state, name := range stateNames {
		if name == string(text) {
			*s = State(state)
			return nil
		}
	}
	return invalid.Field("state", "must be one of waiting, claimed, delivered and dead")
}

// An Outcome is what came of a try.
type Outcome struct {
	State State         // Delivered; Waiting, to be tried again; or Dead
	After time.Duration // of a waiting one: from now on, when it is tried again
	Error string        // what went wrong, a line of at most 500 characters; "" for a delivered one
}
