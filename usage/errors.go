package usage

import (
	"errors"

	"github.com/purser-go/purser/internal/invalid"
)

// ErrInvalid is what every refusal of bad input unwraps to.
var ErrInvalid = invalid.ErrInvalid

// A FieldError says which field of an input was refused and why.
type FieldError = invalid.FieldError

// ErrNoPrice means that usage came without a cost and there is no price by which to compute it. It is never taken to be free.
var ErrNoPrice = errors.New("no price")

// ErrOverflow means that an amount or a sum of amounts is larger than an int64 number of its units.
var ErrOverflow = errors.New("amount does not fit into an int64")
