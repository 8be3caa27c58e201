package period

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/purser-go/purser/internal/invalid"
)

// maxText is the length in bytes of the longest text that is read. The longest that is written has about 110.
const maxText = 128

// String returns s as [Parse] reads it. If s is invalid, it shows what it can.
func (s Schedule) String() string {
	text := string(s.kind)
	if start := s.startText(); start != "" {
		text += ":" + start
	}
	if s.zone != utc && s.zone != "" {
		text += "@" + s.zone
	}
	return text
}

// startText returns what stands between kind and zone, "" for the defaults.
func (s Schedule) startText() string {
	switch {
	case s.kind == KindEvery:
		return fmt.Sprintf("%d%.1s:%s", s.n, s.unit, s.anchorText())
	case s.kind == KindWeekly && s.weekStart != time.Monday:
		return weekdayText(s.weekStart)
	case s.kind == KindMonthly && s.startDay != 1:
		return strconv.Itoa(s.startDay)
	case (s.kind == KindQuarterly || s.kind == KindYearly) && (s.startDay != 1 || s.startMonth != time.January):
		return fmt.Sprintf("%02d-%02d", s.startMonth, s.startDay)
	default:
		return ""
	}
}

// anchorText returns the anchor as text and JSON show it.
func (s Schedule) anchorText() string { return s.Anchor().Format(anchorLayout(s.unit)) }

func anchorLayout(unit Unit) string {
	if unit == Day {
		return time.DateOnly
	}
	return time.RFC3339Nano
}

func weekdayText(day time.Weekday) string { return strings.ToLower(day.String()) }

// MarshalText returns [Schedule.String], or what is wrong with s.
func (s Schedule) MarshalText() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return []byte(s.String()), nil
}

// UnmarshalText is [Parse].
func (s *Schedule) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Parse reads a schedule from a text of at most 128 bytes: a kind, its start if that is not the default one, and a zone
// if that is not UTC.
//
//	hourly
//	daily@Asia/Kathmandu
//	weekly:sunday
//	monthly:15@Europe/Berlin              from the 15th of each month
//	quarterly:02-15                       quarters counted from 15 February
//	yearly:04-06@Europe/London            from 6 April of each year
//	every:6h:2024-01-01T00:00:00Z         units s, m, h, and an instant to count from
//	every:14d:2024-01-01@Europe/Berlin    unit d, and a date
//
// The errors are [FieldError]s, joined.
func Parse(text string) (Schedule, error) {
	if len(text) > maxText {
		return Schedule{}, invalid.Field("period", "has %d bytes, at most %d are allowed", len(text), maxText)
	}
	rest, zone, zoned := strings.Cut(text, "@")
	kind, start, started := strings.Cut(rest, ":")

	f := defaultFields()
	f.Period = Kind(kind)
	if zoned {
		f.TimeZone = zone
	}
	var err error
	if started {
		err = f.readStart(start)
	}
	return f.schedule(err)
}

// readStart reads what stands between kind and zone.
func (f *fields) readStart(text string) (err error) {
	switch f.Period {
	case KindWeekly:
		f.WeekStart = text
	case KindMonthly:
		f.StartDay, err = number("start_day", text)
	case KindQuarterly, KindYearly:
		month, day, ok := strings.Cut(text, "-")
		if !ok {
			return invalid.Field("period", "must be followed by month and day, as in yearly:04-06")
		}
		if f.StartMonth, err = number("start_month", month); err == nil {
			f.StartDay, err = number("start_day", day)
		}
	case KindEvery:
		count, anchor, _ := strings.Cut(text, ":")
		digits := strings.TrimRight(count, "smhd")
		f.Unit, f.Anchor = unitOf(count[len(digits):]), anchor
		f.Every, err = number("every", digits)
	default:
		err = invalid.Field("period", "can't be followed by a start unless weekly, monthly, quarterly, yearly or every")
	}
	return err
}

// unitOf returns the unit that a letter stands for, "" if none.
func unitOf(letter string) Unit {
	for _, unit := range Units() {
		if letter == string(unit[0]) {
			return unit
		}
	}
	return ""
}

// number reads digits, and nothing but digits.
func number(field, text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, invalid.Field(field, "must be a whole number")
	}
	return int(n), nil
}
