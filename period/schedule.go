package period

import "time"

// A Kind is what a [Schedule] divides time by.
type Kind string

// The kinds, as they are written in JSON.
const (
	KindHourly    Kind = "hourly"
	KindDaily     Kind = "daily"
	KindWeekly    Kind = "weekly"
	KindMonthly   Kind = "monthly"
	KindQuarterly Kind = "quarterly"
	KindYearly    Kind = "yearly"
	KindLifetime  Kind = "lifetime"
	KindEvery     Kind = "every"
)

// Kinds returns every kind, the calendar's from short to long, then [KindLifetime] and [KindEvery].
func Kinds() []Kind {
	return []Kind{
		KindHourly, KindDaily, KindWeekly, KindMonthly, KindQuarterly, KindYearly, KindLifetime, KindEvery,
	}
}

// A Unit is what the N of [Every] counts.
type Unit string

// The units, as they are written in JSON.
const (
	Second Unit = "second"
	Minute Unit = "minute"
	Hour   Unit = "hour"
	Day    Unit = "day" // a civil day of the schedule's zone, not 24 hours
)

// Units returns every unit, from short to long.
func Units() []Unit { return []Unit{Second, Minute, Hour, Day} }

// microseconds returns the unit's length, that of a UTC day for [Day], and 0 for what is no unit.
func (u Unit) microseconds() int64 {
	switch u {
	case Second:
		return time.Second.Microseconds()
	case Minute:
		return time.Minute.Microseconds()
	case Hour:
		return time.Hour.Microseconds()
	case Day:
		return secondsPerDay * time.Second.Microseconds()
	default:
		return 0
	}
}

// A Schedule divides time into periods. Make one from a variable of this package or from [Every], and choose the time
// zone and the start with its methods, each of which returns a changed copy:
//
//	period.Yearly.In(london).StartMonth(time.April).StartDay(6)
//
// Schedules are values: == holds between two that were given the same kind, settings and zone name, whichever way.
// The zero Schedule is invalid. A method never panics, whatever it is given: [Schedule.Validate] says what was wrong.
type Schedule struct {
	kind       Kind
	zone       string         // as given, also if it can't be loaded
	loc        *time.Location // the process's only one for zone, nil if that can't be loaded
	weekStart  time.Weekday
	startMonth time.Month
	startDay   int
	n          int
	unit       Unit
	anchor     int64 // Unix microseconds; for Day midnight UTC of the date
}

// The schedules of the calendar, in UTC. Weeks start on Monday, months on day 1, quarters and years in January.
// [Lifetime] is a single period, from 0001-01-01 to 9999-01-01 UTC, in any zone.
var (
	Hourly    = calendar(KindHourly)
	Daily     = calendar(KindDaily)
	Weekly    = calendar(KindWeekly)
	Monthly   = calendar(KindMonthly)
	Quarterly = calendar(KindQuarterly)
	Yearly    = calendar(KindYearly)
	Lifetime  = calendar(KindLifetime)
)

var lifetime = Bounds{
	Start: time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC),
	End:   time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC),
}

func calendar(kind Kind) Schedule {
	return Schedule{
		kind: kind, zone: utc, loc: time.UTC,
		weekStart: time.Monday, startMonth: time.January, startDay: 1,
	}
}

// Every returns a schedule of n units per period, in UTC. A period starts at the anchor; the others follow from there,
// forwards and backwards. n is at least 1, and n units at most 100 years. The anchor lies in the years 1980 to 2199,
// and is cut to the microsecond.
//
// Seconds, minutes and hours are exact durations, which no zone changes. Days are civil: of the anchor only the date
// counts, as it reads in the anchor's own location, and each period starts with a date in the schedule's zone.
func Every(n int, unit Unit, anchor time.Time) Schedule {
	if !lifetime.Contains(anchor) {
		anchor = lifetime.Start // as invalid, and countable in microseconds
	}
	if unit == Day {
		anchor = dateOf(anchor.Date()).midnight()
	}
	s := calendar(KindEvery)
	s.n, s.unit, s.anchor = n, unit, anchor.UnixMicro()
	return s
}

// WeekStart returns s with weeks that start on day. Only [Weekly] takes another than Monday.
func (s Schedule) WeekStart(day time.Weekday) Schedule {
	s.weekStart = day
	return s
}

// StartDay returns s with periods that start on this day of the month, 1 to 31; in a shorter month on its last day.
// Only [Monthly], [Quarterly] and [Yearly] take another than 1.
func (s Schedule) StartDay(day int) Schedule {
	s.startDay = day
	return s
}

// StartMonth returns s with years that start in this month, or quarters that are counted from it: April makes the same
// quarters as January, and so the same Schedule. Only [Quarterly] and [Yearly] take another than January.
func (s Schedule) StartMonth(month time.Month) Schedule {
	if s.kind == KindQuarterly && month >= time.January && month <= time.December {
		month = (month-1)%3 + 1
	}
	s.startMonth = month
	return s
}

// Kind returns what s divides time by, "" for the zero Schedule.
func (s Schedule) Kind() Kind { return s.kind }

// Weekday returns the day on which weeks start: Monday unless chosen otherwise.
func (s Schedule) Weekday() time.Weekday { return s.weekStart }

// Day returns the day of the month on which periods start: 1 unless chosen otherwise.
func (s Schedule) Day() int { return s.startDay }

// Month returns the month in which years start; for [Quarterly] the first of the year's months in which a quarter does.
func (s Schedule) Month() time.Month { return s.startMonth }

// N returns how many units a period of [Every] has, 0 for any other schedule.
func (s Schedule) N() int { return s.n }

// Unit returns what [Every] counts, "" for any other schedule.
func (s Schedule) Unit() Unit { return s.unit }

// Anchor returns the instant from which [Every] counts, in UTC. For [Day] it is midnight UTC of the date from which it
// counts, whatever the zone. It is the zero time for any other schedule.
func (s Schedule) Anchor() time.Time {
	if s.kind != KindEvery {
		return time.Time{}
	}
	return time.UnixMicro(s.anchor).UTC()
}

// Bounds returns the period of s that contains t. It is the zero Bounds if s is invalid or t lies outside the years 1
// to 9998.
func (s Schedule) Bounds(t time.Time) Bounds {
	if s.Validate() != nil || !lifetime.Contains(t) {
		return Bounds{}
	}
	switch {
	case s.kind == KindLifetime:
		return lifetime
	case s.kind == KindHourly:
		return hour(t, s.loc)
	case s.kind == KindEvery && s.unit != Day:
		return s.stretch(t)
	default:
		return s.civil(t)
	}
}

// Next returns the period after the one that contains t. It is the zero Bounds if there is none, as for [Lifetime].
func (s Schedule) Next(t time.Time) Bounds {
	b := s.Bounds(t)
	if b.IsZero() {
		return b
	}
	return s.Bounds(b.End)
}

// Previous returns the period before the one that contains t. It is the zero Bounds if there is none, as for [Lifetime].
func (s Schedule) Previous(t time.Time) Bounds {
	b := s.Bounds(t)
	if b.IsZero() {
		return b
	}
	return s.Bounds(b.Start.Add(-1))
}

// stretch returns the exact duration from the anchor that contains t.
func (s Schedule) stretch(t time.Time) Bounds {
	length := int64(s.n) * s.unit.microseconds()
	start := t.UnixMicro()
	start -= mod(start-s.anchor, length)
	return Bounds{Start: time.UnixMicro(start).UTC(), End: time.UnixMicro(start + length).UTC()}
}
