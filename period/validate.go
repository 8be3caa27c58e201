package period

import (
	"errors"
	"time"

	"github.com/purser-go/purser/internal/invalid"
)

// ErrInvalid is what every error of this package unwraps to.
var ErrInvalid = invalid.ErrInvalid

// A FieldError says which field of a schedule was refused and why. The fields are named as in JSON: period, time_zone,
// week_start, start_day, start_month, every, unit, anchor.
type FieldError = invalid.FieldError

// maxDays is the length of the longest period that [Every] makes: 100 years.
const maxDays = 36525

// anchors are the instants from which [Every] may count: those at which anything may happen at all.
var anchors = Bounds{
	Start: time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC),
	End:   time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC),
}

// Validate returns what is wrong with s, a [FieldError] for each field, joined. It returns nil if s can be used. A
// setting that the kind does not have must be left at its default.
func (s Schedule) Validate() error {
	if s == (Schedule{}) {
		return invalid.Field("period", "is missing")
	}
	return errors.Join(
		s.validateKind(), s.validateZone(),
		s.validateWeekStart(), s.validateStartDay(), s.validateStartMonth(),
		s.validateN(), s.validateUnit(), s.validateAnchor(),
	)
}

func (s Schedule) validateKind() error {
	switch s.kind {
	case KindHourly, KindDaily, KindWeekly, KindMonthly, KindQuarterly, KindYearly, KindLifetime, KindEvery:
		return nil
	default:
		return invalid.Field("period", "must be hourly, daily, weekly, monthly, quarterly, yearly, lifetime or every")
	}
}

func (s Schedule) validateWeekStart() error {
	switch {
	case s.weekStart < time.Sunday || s.weekStart > time.Saturday:
		return invalid.Field("week_start", "must be 0 (sunday) to 6, is %d", int(s.weekStart))
	case s.weekStart != time.Monday && s.kind != KindWeekly:
		return invalid.Field("week_start", "goes with a weekly period only")
	default:
		return nil
	}
}

func (s Schedule) validateStartDay() error {
	switch {
	case s.startDay < 1 || s.startDay > 31:
		return invalid.Field("start_day", "must be 1 to 31, is %d", s.startDay)
	case s.startDay != 1 && s.kind != KindMonthly && s.kind != KindQuarterly && s.kind != KindYearly:
		return invalid.Field("start_day", "goes with a monthly, quarterly or yearly period only")
	default:
		return nil
	}
}

func (s Schedule) validateStartMonth() error {
	switch {
	case s.startMonth < time.January || s.startMonth > time.December:
		return invalid.Field("start_month", "must be 1 to 12, is %d", int(s.startMonth))
	case s.startMonth != time.January && s.kind != KindQuarterly && s.kind != KindYearly:
		return invalid.Field("start_month", "goes with a quarterly or yearly period only")
	default:
		return nil
	}
}

func (s Schedule) validateN() error {
	if s.kind != KindEvery {
		return nil
	}
	longest := int64(maxDays)
	if unit := s.unit.microseconds(); unit > 0 {
		longest *= Day.microseconds() / unit
	}
	if n := int64(s.n); n < 1 || n > longest {
		return invalid.Field("every", "must be 1 to %d, is %d", longest, n)
	}
	return nil
}

func (s Schedule) validateUnit() error {
	if s.kind == KindEvery && s.unit.microseconds() == 0 {
		return invalid.Field("unit", "must be second, minute, hour or day")
	}
	return nil
}

func (s Schedule) validateAnchor() error {
	if s.kind == KindEvery && !anchors.Contains(s.Anchor()) {
		return invalid.Field("anchor", "must lie in the years 1980 to 2199")
	}
	return nil
}
