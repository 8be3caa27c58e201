package period_test

import (
	"time"

	"github.com/purser-go/purser/period"
)

// A rule is a schedule in the words of the second implementation, which asks a zone's clock for its reading, instant by
// instant, and a calendar date by date whether a period starts there. It is slow and shares no code with the first.
type rule struct {
	kind       period.Kind
	loc        *time.Location
	weekStart  time.Weekday
	startDay   int
	startMonth time.Month
	n          int
	unit       period.Unit
	anchor     time.Time // midnight UTC of a date for days
}

// schedule returns the schedule that the rule describes.
func (r rule) schedule() period.Schedule {
	var s period.Schedule
	switch r.kind {
	case period.KindHourly:
		s = period.Hourly
	case period.KindDaily:
		s = period.Daily
	case period.KindWeekly:
		s = period.Weekly.WeekStart(r.weekStart)
	case period.KindMonthly:
		s = period.Monthly.StartDay(r.startDay)
	case period.KindQuarterly:
		s = period.Quarterly.StartMonth(r.startMonth).StartDay(r.startDay)
	case period.KindYearly:
		s = period.Yearly.StartMonth(r.startMonth).StartDay(r.startDay)
	case period.KindLifetime:
		s = period.Lifetime
	case period.KindEvery:
		s = period.Every(r.n, r.unit, r.anchor)
	}
	return s.In(r.loc)
}

// bounds is what schedule().Bounds(t) has to be.
func (r rule) bounds(t time.Time) period.Bounds {
	switch {
	case r.kind == period.KindLifetime:
		return period.Bounds{
			Start: time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC),
			End:   time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC),
		}
	case r.kind == period.KindHourly:
		return r.hour(t)
	case r.kind == period.KindEvery && r.unit != period.Day:
		return r.stretch(t)
	default:
		return r.days(t)
	}
}

// grid is the distance in seconds of the instants at which a clock is asked. Since 1970 all clocks were set at one of
// them: those of Newfoundland at a minute past, Monrovia's at half a minute past.
const grid = 30

// reading returns what a clock in loc shows at sec, as the second at which UTC shows the same.
func reading(loc *time.Location, sec int64) int64 {
	_, offset := time.Unix(sec, 0).In(loc).Zone()
	return sec + int64(offset)
}

func (r rule) hour(t time.Time) period.Bounds {
	start := t.Unix() - t.Unix()%grid
	for !hourBegins(reading(r.loc, start-grid), reading(r.loc, start), grid) {
		start -= grid
	}
	end := t.Unix() - t.Unix()%grid + grid
	for !hourBegins(reading(r.loc, end-grid), reading(r.loc, end), grid) {
		end += grid
	}
	return period.Bounds{Start: time.Unix(start, 0).UTC(), End: time.Unix(end, 0).UTC()}
}

// hourBegins reports whether a clock shows hh:00 now, or has jumped over it since it was read some seconds before.
func hourBegins(before, now, seconds int64) bool {
	return now%3600 == 0 || now-before > seconds && now/3600 != before/3600
}

func (r rule) stretch(t time.Time) period.Bounds {
	length := map[period.Unit]time.Duration{
		period.Second: time.Second, period.Minute: time.Minute, period.Hour: time.Hour,
	}[r.unit] * time.Duration(r.n)
	start := r.anchor.Add(t.Sub(r.anchor) / length * length) // towards the anchor
	if start.After(t) {
		start = start.Add(-length)
	}
	return period.Bounds{Start: start, End: start.Add(length)}
}

func (r rule) days(t time.Time) period.Bounds {
	year, month, day := t.In(r.loc).Date()
	start := time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC) // the date may begin, and then the old one come back
	for !r.starts(start) || r.begin(start).After(t) {
		start = start.AddDate(0, 0, -1)
	}
	end := start.AddDate(0, 0, 1)
	for !r.starts(end) {
		end = end.AddDate(0, 0, 1)
	}
	return period.Bounds{Start: r.begin(start), End: r.begin(end)}
}

// starts reports whether a period starts on this date.
func (r rule) starts(date time.Time) bool {
	lastOfMonth := date.AddDate(0, 0, 1).Day() == 1
	day := date.Day() == r.startDay || lastOfMonth && date.Day() < r.startDay
	switch r.kind {
	case period.KindDaily:
		return true
	case period.KindWeekly:
		return date.Weekday() == r.weekStart
	case period.KindMonthly:
		return day
	case period.KindQuarterly:
		return day && (date.Month()+12-r.startMonth)%3 == 0
	case period.KindYearly:
		return day && date.Month() == r.startMonth
	default:
		return int(date.Sub(r.anchor)/(24*time.Hour))%r.n == 0
	}
}

// begin returns the first instant at which a clock shows this date or a later one.
func (r rule) begin(date time.Time) time.Time {
	step := int64(grid)
	if date.Year() < 1970 { // where long periods may reach, to which local mean time had any offset
		step = 1
	}
	sec := date.Unix() - 26*60*60
	for reading(r.loc, sec) < date.Unix() {
		sec += step
	}
	return time.Unix(sec, 0).UTC()
}
