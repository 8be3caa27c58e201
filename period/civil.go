package period

import (
	"math"
	"time"
)

const (
	secondsPerHour = 60 * 60
	secondsPerDay  = 24 * secondsPerHour
)

// A date is a civil date, counted in days since 1970-01-01.
type date int

// dateOf returns a civil date. As in [time.Date], a month or day outside its range counts on into its neighbours.
func dateOf(year int, month time.Month, day int) date {
	return date(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

func (d date) midnight() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

func (d date) weekday() time.Weekday {
	return time.Weekday(mod(int(d)+int(time.Thursday), 7)) // 1970-01-01 was a Thursday
}

// civil returns the period of whole civil days that contains t.
func (s Schedule) civil(t time.Time) Bounds {
	first, next := s.dates(dateOf(t.In(s.loc).Date()))
	end := firstInstant(next, s.loc)
	// Where midnight happens twice, the clock may still show the old date when the new one has already begun.
	for end <= t.Unix() {
		first, next = s.dates(next)
		end = firstInstant(next, s.loc)
	}
	return Bounds{Start: time.Unix(firstInstant(first, s.loc), 0).UTC(), End: time.Unix(end, 0).UTC()}
}

// dates returns the first date of the period that d belongs to, and that of the period after it.
func (s Schedule) dates(d date) (first, next date) {
	switch s.kind {
	case KindDaily:
		return d, d + 1
	case KindWeekly:
		first = d - date(mod(d.weekday()-s.weekStart, 7))
		return first, first + 7
	case KindMonthly:
		return s.months(d, 1)
	case KindQuarterly:
		return s.months(d, 3)
	case KindYearly:
		return s.months(d, 12)
	default: // every n days
		n := date(s.n)
		first = d - mod(d-date(s.anchor/Day.microseconds()), n)
		return first, first + n
	}
}

// months is dates for periods of n months.
func (s Schedule) months(d date, n int) (first, next date) {
	year, m, _ := d.midnight().Date()
	month := 12*year + int(m-time.January)
	month -= mod(month-int(s.startMonth-time.January), n)
	if s.startIn(month) > d {
		month -= n
	}
	return s.startIn(month), s.startIn(month + n)
}

// startIn returns the date on which a period starts in this month, counted from January of the year 0. It depends on
// nothing but the month, so that a month's last day does not creep forward from one clamped start to the next.
func (s Schedule) startIn(month int) date {
	first := dateOf(0, time.January+time.Month(month), 1)
	length := dateOf(0, time.January+time.Month(month+1), 1) - first
	return first + min(date(s.startDay), length) - 1
}

// firstInstant returns the first second at which a clock in loc shows d or a later date, as seconds since 1970.
//
// time.Date can't say: asked for a midnight that is skipped, it answers with an instant of the day before.
func firstInstant(d date, loc *time.Location) int64 {
	midnight := int64(d) * secondsPerDay
	// No zone is as much as 26 hours ahead of UTC (RFC 9636, section 3.2), so that at this second, and always before it,
	// the date is still an earlier one. From here every stretch of constant offset is looked at in turn.
	from := midnight - 26*secondsPerHour
	for {
		offset, until := offsetAt(from, loc)
		if first := max(from, midnight-offset); first < until {
			return first
		}
		from = until
	}
}

// offsetAt returns how many seconds loc is ahead of UTC at sec, and a later second up to which that stays so.
func offsetAt(sec int64, loc *time.Location) (offset, until int64) {
	t := time.Unix(sec, 0).In(loc)
	_, seconds := t.Zone()
	_, end := t.ZoneBounds()
	if end.IsZero() {
		return int64(seconds), math.MaxInt64
	}
	until = end.Unix()
	if until <= sec {
		// Beyond the listed transitions, where a rule goes on, ZoneBounds takes each year to end after 365 days. So on 31
		// December of a leap year it answers with a past instant (Go 1.26). No rule shifts on that day.
		until = sec - mod(sec, secondsPerDay) + secondsPerDay
	}
	return int64(seconds), until
}

// mod returns the remainder of a/n that is not negative, for n > 0.
func mod[T ~int | ~int64](a, n T) T { return (a%n + n) % n }
