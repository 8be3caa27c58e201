package period

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/internal/invalid"
)

// maxJSON is the length in bytes of the longest JSON object that is read.
const maxJSON = 1024

// fields is a schedule as it is written in JSON. The text form is read into it too.
type fields struct {
	Period     Kind   `json:"period"`
	TimeZone   string `json:"time_zone"`
	WeekStart  string `json:"week_start,omitempty"`
	StartMonth int    `json:"start_month,omitempty"`
	StartDay   int    `json:"start_day,omitempty"`
	Every      int    `json:"every,omitempty"`
	Unit       Unit   `json:"unit,omitempty"`
	Anchor     string `json:"anchor,omitempty"`
}

func defaultFields() fields {
	return fields{TimeZone: utc, WeekStart: weekdayText(time.Monday), StartMonth: 1, StartDay: 1}
}

// MarshalJSON returns s as an object of its kind, its zone, and all settings that the kind has, or what is wrong with s:
//
//	{"period":"weekly","time_zone":"UTC","week_start":"monday"}
//	{"period":"yearly","time_zone":"Europe/London","start_month":4,"start_day":6}
//	{"period":"every","time_zone":"UTC","every":6,"unit":"hour","anchor":"2024-01-01T00:00:00Z"}
//	{"period":"every","time_zone":"Europe/Berlin","every":14,"unit":"day","anchor":"2024-01-01"}
func (s Schedule) MarshalJSON() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	f := fields{Period: s.kind, TimeZone: s.zone}
	switch s.kind {
	case KindWeekly:
		f.WeekStart = weekdayText(s.weekStart)
	case KindMonthly:
		f.StartDay = s.startDay
	case KindQuarterly, KindYearly:
		f.StartMonth, f.StartDay = int(s.startMonth), s.startDay
	case KindEvery:
		f.Every, f.Unit, f.Anchor = s.n, s.unit, s.anchorText()
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads an object as [Schedule.MarshalJSON] writes it, of at most 1024 bytes. Members that are left out or
// null have their defaults; unknown ones are refused. The errors are [FieldError]s, joined.
func (s *Schedule) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as everywhere in encoding/json
	}
	if len(data) > maxJSON {
		return invalid.Field("period", "has %d bytes, at most %d are allowed", len(data), maxJSON)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return invalid.Field("period", `must be an object such as {"period": "daily", "time_zone": "UTC"}`)
	}
	f := defaultFields()
	parsed, err := f.schedule(f.readMembers(members))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

func (f *fields) readMembers(members map[string]json.RawMessage) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		target, want := f.member(name)
		if target == nil {
			errs = append(errs, invalid.Field(name, "is no member of a schedule"))
		} else if json.Unmarshal(members[name], target) != nil {
			errs = append(errs, invalid.Field(name, "must be a %s", want))
		}
	}
	return errors.Join(errs...)
}

// member returns where the member of this name belongs, nil if there is none, and what it is.
func (f *fields) member(name string) (target any, want string) {
	const text, wholeNumber = "text", "whole number"
	switch name {
	case "period":
		return &f.Period, text
	case "time_zone":
		return &f.TimeZone, text
	case "week_start":
		return &f.WeekStart, text
	case "start_month":
		return &f.StartMonth, wholeNumber
	case "start_day":
		return &f.StartDay, wholeNumber
	case "every":
		return &f.Every, wholeNumber
	case "unit":
		return &f.Unit, text
	case "anchor":
		return &f.Anchor, text
	default:
		return nil, ""
	}
}

// schedule returns the schedule that f describes, or everything that is wrong: what was found while f was read, and
// what else there is about other fields.
func (f *fields) schedule(found error) (Schedule, error) {
	s, everyErr := f.base()
	weekStart, weekErr := f.weekday()
	s = s.WeekStart(weekStart).StartMonth(time.Month(f.StartMonth)).StartDay(f.StartDay)
	s.zone, s.loc = f.TimeZone, location(f.TimeZone)
	if err := onePerField(found, everyErr, weekErr, s.Validate()); err != nil {
		return Schedule{}, err
	}
	return s, nil
}

// base returns a schedule of f's kind, and for [Every] with what that takes.
func (f *fields) base() (Schedule, error) {
	if f.Period != KindEvery {
		return calendar(f.Period), f.refuseEvery()
	}
	var anchor time.Time
	var err error
	if f.Anchor != "" {
		if anchor, err = time.Parse(anchorLayout(f.Unit), f.Anchor); err != nil {
			err = invalid.Field("anchor", "must be an instant such as 2024-01-31T12:00:00Z, or for days a date")
		}
	}
	return Every(f.Every, f.Unit, anchor), err
}

// refuseEvery returns a finding for each field that no other kind than [KindEvery] has.
func (f *fields) refuseEvery() error {
	var errs []error
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"every", f.Every != 0},
		{"unit", f.Unit != ""},
		{"anchor", f.Anchor != ""},
	} {
		if field.given {
			errs = append(errs, invalid.Field(field.name, "goes with the period every only"))
		}
	}
	return errors.Join(errs...)
}

func (f *fields) weekday() (time.Weekday, error) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if f.WeekStart == weekdayText(day) {
			return day, nil
		}
	}
	return time.Monday, invalid.Field("week_start", "must be monday, tuesday, … or sunday")
}

// onePerField joins the first finding about each field.
func onePerField(errs ...error) error {
	var first []error
	named := make(map[string]bool)
	for _, err := range invalid.Fields(errors.Join(errs...)) {
		if !named[err.Field] {
			named[err.Field] = true
			first = append(first, err)
		}
	}
	return errors.Join(first...)
}
