package usage

import (
	"errors"

	"github.com/purser-go/purser/internal/invalid"
)

// A Correction takes back part or all of a recorded [Event]. Its subject and its time are the event's.
type Correction struct {
	ID      string // idempotency key, unique per tenant among events and corrections
	Tenant  string
	Event   string // id of the event that it corrects
	Amounts Amounts
	Reason  string // up to 500 characters on one line
}

// Validate refuses what [Event.Validate] would refuse in the same fields, an empty Event and a reason that is too long or
// not plain text. All findings are [*FieldError]. Whether the event has so much left to take takes a store to say.
func (c Correction) Validate() error {
	return errors.Join(
		invalid.Name("id", c.ID),
		invalid.OptionalName("tenant", c.Tenant),
		invalid.Name("event", c.Event),
		c.Amounts.Validate(),
		invalid.Line("reason", c.Reason, 0, 500),
	)
}

// Totals returns what is taken away. It differs from [Amounts.Totals] in that requests that are not given are 0.
func (c Correction) Totals() (Totals, error) {
	amounts := c.Amounts
	if amounts.Requests == nil {
		amounts.Requests = new(int64(0))
	}
	return amounts.Totals()
}
