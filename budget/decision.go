package budget

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/usage"
)

// The conditions under which a request is not admitted, for [errors.Is]. A request that several budgets refuse may be
// refused under several.
var (
	// ErrExceeded says that a budget has no room for what was asked for; an [*ExceededError] in the error's tree says
	// which, how much, and until when. Nothing was held.
	ErrExceeded = errors.New("budget exceeded")

	// ErrResourceNotAllowed says that a budget allows other resources only. Nothing was held.
	ErrResourceNotAllowed = errors.New("resource not allowed")

	// ErrEstimateRequired says that a hard budget counts what the estimate leaves unknown. The remedies: say it in the
	// estimate, give the budget a MinHold, or set the ledger's AdmitUnknown. Nothing was held.
	ErrEstimateRequired = errors.New("estimate required")

	// ErrClosed says that the reservation was settled or released. Nothing was changed.
	ErrClosed = errors.New("reservation is closed")
)

// A Decision says what becomes, or would become, of a request, and why.
type Decision struct {
	At       time.Time
	Verdicts []Verdict // of every enabled budget that covers the request, by id; nil: none does, and it is admitted
}

// A Verdict is what one budget says of a request.
type Verdict struct {
	Status                    // how the budget stood before the request
	Requested decimal.Decimal // what it asks to hold, in the metric's unit
	Unknown   bool            // the estimate does not say how much: Requested is the budget's MinHold
	Reason    Reason          // why there is no place for it; Fits: there is
	Refused   bool            // and the budget is hard, so that the request is refused
}

// Admitted reports whether no hard budget refuses.
func (d Decision) Admitted() bool {
	for _, v := range d.Verdicts {
		if v.Refused {
			return false
		}
	}
	return true
}

// Err returns nil if the request is admitted; else an error for each reason, joined: an [*ExceededError] with all budgets
// that lack room, and one for each other verdict.
func (d Decision) Err() error {
	var errs []error
	var exceeded ExceededError
	for _, v := range d.Verdicts {
		switch {
		case !v.Refused:
		case v.Reason == ResourceNotAllowed:
			errs = append(errs, fmt.Errorf("%w: budget %q allows %s", ErrResourceNotAllowed, v.Budget.ID, strings.Join(v.Budget.AllowedResources, ", ")))
		case v.Reason == EstimateRequired:
			errs = append(errs, fmt.Errorf("%w: budget %q counts %s, which the estimate does not say, and has no min_hold", ErrEstimateRequired, v.Budget.ID, v.Budget.Metric))
		default:
			exceeded.add(v)
		}
	}
	if len(exceeded.Refusals) > 0 {
		errs = append([]error{&exceeded}, errs...)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// A Refusal says how one budget stood when it refused. Amounts are in the metric's unit.
type Refusal struct {
	Budget    string // its id
	Name      string
	Scope     Scope
	Value     Value // which of its counters; nil if it has no Each dimension
	Metric    usage.Metric
	Limit     decimal.Decimal
	Used      decimal.Decimal
	Reserved  decimal.Decimal
	Requested decimal.Decimal
	Fits      decimal.Decimal // the most that would have fitted: limit − used − reserved, not below 0
	ResetsAt  time.Time       // when the period ends; for a lifetime budget that is the year 2200
}

// An ExceededError says which budgets had no room. It unwraps to [ErrExceeded].
type ExceededError struct {
	Refusal            // of the budget that resets last: before that, the request can't succeed
	Refusals []Refusal // of all budgets that refused, by id
}

func (e *ExceededError) add(v Verdict) {
	r := Refusal{
		Budget: v.Budget.ID, Name: v.Budget.Name, Scope: v.Budget.Scope, Value: v.Value, Metric: v.Budget.Metric,
		Limit: v.Budget.Limit, Used: v.Used, Reserved: v.Reserved, Requested: v.Requested,
		Fits: v.Available, ResetsAt: v.Period.End,
	}
	if len(e.Refusals) == 0 || r.ResetsAt.After(e.ResetsAt) {
		e.Refusal = r
	}
	e.Refusals = append(e.Refusals, r)
}

func (e *ExceededError) Error() string {
	text := fmt.Sprintf("%v: %q has %s of %s %s available, %s requested, resets at %s",
		ErrExceeded, e.Name, e.Fits, e.Limit, e.Metric, e.Requested, e.ResetsAt.Format(time.RFC3339))
	if others := len(e.Refusals) - 1; others > 0 {
		text += fmt.Sprintf(" (and %d more)", others)
	}
	return text
}

func (e *ExceededError) Unwrap() error { return ErrExceeded }
