package budget

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A Budget is a limit on one metric, for a scope, per period.
//
// The zero values of Schedule, Enforcement and Thresholds mean their defaults; Create fills in the first two.
type Budget struct {
	ID          string  // UUIDv7, made by Create unless given
	Name        string  // 1 to 100 characters
	Description *string // up to 500 characters, line breaks allowed; nil: none

	Metric        usage.Metric    // what is counted
	Limit         decimal.Decimal // per period, in the metric's unit; greater than 0, at most what int64 holds at the metric's scale
	CostPerCredit decimal.Decimal // US dollars per credit, credits budgets only; 0: none as yet, usage adds nothing

	Schedule period.Schedule // default monthly, UTC
	Scope    Scope           // empty: everything
	Except   Except          // values taken out of an Each
	StartsAt time.Time       // usage before it does not count; zero: no bound
	EndsAt   time.Time       // usage at or after it does not count; zero: no bound

	AllowedResources []string         // not empty: reservations for another resource are refused; usage is recorded all the same
	Enforcement      Enforcement      // default hard
	MinHold          decimal.Decimal  // what a reservation of unknown size holds; 0: a hard budget refuses such a one
	Thresholds       alert.Thresholds // default 80 and 90 percent
	Disabled         bool             // neither refuses nor alerts, but still counts

	Owner     string            // whose it is, to filter by
	CreatedBy string            // who made it; Create sets it to the ledger's actor unless given
	Labels    map[string]string // free names to filter by; no meaning to Purser
	Metadata  json.RawMessage   // a JSON object of up to 16 KiB, kept as it is; nil: {}

	Version   int64     // 1 when made, one more with each change
	CreatedAt time.Time // by the ledger's clock
	UpdatedAt time.Time // CreatedAt until the first change
}

// Except names, per dimension that the scope has as [Each], the values that the budget leaves out, so that a budget of
// their own can cover them.
type Except map[usage.Dimension][]string

// Enforcement says what a budget does about a request for which it has no room.
type Enforcement string

// The kinds of enforcement.
const (
	Hard    Enforcement = "hard"    // refuse it
	Soft    Enforcement = "soft"    // admit it, alert and count it as one that would have been refused
	Observe Enforcement = "observe" // only count, no alerts
)

const (
	maxName        = 100
	maxDescription = 500
	maxMetadata    = 16 << 10
	maxResources   = 1000
	maxExcept      = 1000
	maxLabels      = 16
)

// Validate reports every field of b that is not as its comment says, joined; each is a [*FieldError]. What Create fills in
// may be left out.
func (b Budget) Validate() error {
	b = b.withDefaults()
	_, limitErr := b.Metric.Units(b.Limit)
	_, holdErr := b.Metric.Units(b.MinHold)
	return errors.Join(
		invalid.OptionalName("id", b.ID),
		invalid.Line("name", b.Name, 1, maxName),
		validateDescription(b.Description),
		b.validateMetric(limitErr, holdErr),
		b.Schedule.Validate(),
		b.Scope.validate(),
		b.validateExcept(),
		b.validateWindow(),
		b.validateResources(),
		b.validateEnforcement(),
		b.Thresholds.Validate(),
		invalid.OptionalName("owner", b.Owner),
		invalid.OptionalName("created_by", b.CreatedBy),
		b.validateLabels(),
		b.validateMetadata(),
	)
}

func validateDescription(text *string) error {
	if text == nil {
		return nil
	}
	return invalid.Text("description", *text, 0, maxDescription)
}

func (b Budget) validateMetric(limitErr, holdErr error) error {
	if !b.Metric.Valid() {
		return invalid.Field("metric", "is %q, must be one of %v", string(b.Metric), usage.Metrics())
	}
	var errs []error
	switch {
	case limitErr != nil:
		errs = append(errs, invalid.Field("limit", "%v", limitErr))
	case !b.Limit.IsPositive():
		errs = append(errs, invalid.Field("limit", "must be greater than 0"))
	}
	switch {
	case holdErr != nil:
		errs = append(errs, invalid.Field("min_hold", "%v", holdErr))
	case b.MinHold.IsNegative():
		errs = append(errs, invalid.Field("min_hold", "must not be negative"))
	}
	return errors.Join(append(errs, b.validateRate())...)
}

func (b Budget) validateRate() error {
	if b.CostPerCredit.IsZero() {
		return nil
	}
	if b.Metric != usage.Credits {
		return invalid.Field("cost_per_credit", "is for budgets on credits only")
	}
	if b.CostPerCredit.IsNegative() {
		return invalid.Field("cost_per_credit", "must be greater than 0")
	}
	if _, err := usage.Dollars.Units(b.CostPerCredit); err != nil {
		return invalid.Field("cost_per_credit", "%v", err)
	}
	return nil
}

func (b Budget) validateExcept() error {
	var errs []error
	for _, d := range slices.Sorted(maps.Keys(b.Except)) {
		field := "except." + string(d)
		if b.Scope[d] != Each {
			errs = append(errs, invalid.Field(field, "the scope does not have this dimension as each"))
		}
		if n := len(b.Except[d]); n > maxExcept {
			errs = append(errs, invalid.Field(field, "has %d values, at most %d are allowed", n, maxExcept))
			continue
		}
		for _, value := range b.Except[d] {
			errs = append(errs, invalid.Name(field, value))
		}
	}
	return errors.Join(errs...)
}

func (b Budget) validateWindow() error {
	var order error
	if !b.StartsAt.IsZero() && !b.EndsAt.IsZero() && !b.StartsAt.Before(b.EndsAt) {
		order = invalid.Field("ends_at", "must be after starts_at")
	}
	return errors.Join(validateInstant("starts_at", b.StartsAt), validateInstant("ends_at", b.EndsAt), order)
}

// validateInstant checks an instant that may be left out.
func validateInstant(field string, t time.Time) error {
	if t.IsZero() || !t.Before(usage.MinTime) && t.Before(usage.EndTime) {
		return nil
	}
	return invalid.Field(field, "must be from 1980 to 2199")
}

func (b Budget) validateResources() error {
	if n := len(b.AllowedResources); n > maxResources {
		return invalid.Field("allowed_resources", "has %d names, at most %d are allowed", n, maxResources)
	}
	var errs []error
	for _, r := range b.AllowedResources {
		errs = append(errs, invalid.Name("allowed_resources", r))
	}
	return errors.Join(errs...)
}

func (b Budget) validateEnforcement() error {
	switch b.Enforcement {
	case Hard, Soft, Observe:
		return nil
	}
	return invalid.Field("enforcement", "is %q, must be hard, soft or observe", string(b.Enforcement))
}

func (b Budget) validateLabels() error {
	if n := len(b.Labels); n > maxLabels {
		return invalid.Field("labels", "has %d names, at most %d are allowed", n, maxLabels)
	}
	return validateTexts("labels", b.Labels)
}

func (b Budget) validateMetadata() error {
	if len(b.Metadata) == 0 {
		return nil
	}
	return validateObject("metadata", b.Metadata, maxMetadata)
}

// validateObject checks a JSON object of a number of bytes at the most.
func validateObject(field string, text json.RawMessage, most int) error {
	if n := len(text); n > most {
		return invalid.Field(field, "has %d bytes, at most %d are allowed", n, most)
	}
	if !utf8.Valid(text) {
		return invalid.Field(field, "is not valid UTF-8")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		return invalid.Field(field, "must be a JSON object")
	}
	return nil
}

// withDefaults returns a copy of b that shares nothing with it, with what is left out filled in and instants in UTC
// to the microsecond.
func (b Budget) withDefaults() Budget {
	b = b.clone()
	if b.Schedule == (period.Schedule{}) {
		b.Schedule = period.Monthly
	}
	if b.Enforcement == "" {
		b.Enforcement = Hard
	}
	b.StartsAt, b.EndsAt = micros(b.StartsAt), micros(b.EndsAt)
	return b
}

func (b Budget) clone() Budget {
	b.Scope = maps.Clone(b.Scope)
	b.Except = maps.Clone(b.Except)
	for d, values := range b.Except {
		b.Except[d] = slices.Clone(values)
	}
	b.AllowedResources = slices.Clone(b.AllowedResources)
	b.Labels = maps.Clone(b.Labels)
	b.Metadata = slices.Clone(b.Metadata)
	b.Description = clonePointer(b.Description)
	b.Thresholds.Warning = clonePointer(b.Thresholds.Warning)
	b.Thresholds.Critical = clonePointer(b.Thresholds.Critical)
	b.Thresholds.Extra = slices.Clone(b.Thresholds.Extra)
	return b
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// window returns when b counts at all: [StartsAt, EndsAt), and all of time where an end is open.
func (b Budget) window() period.Bounds {
	w := period.Bounds{Start: usage.MinTime, End: usage.EndTime}
	if !b.StartsAt.IsZero() {
		w.Start = b.StartsAt
	}
	if !b.EndsAt.IsZero() {
		w.End = b.EndsAt
	}
	return w
}

// micros returns t in UTC, cut to the microsecond; the zero time stays zero.
func micros(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
