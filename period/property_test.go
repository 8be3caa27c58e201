package period_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/period"
)

// The years for which the second implementation has to agree.
var (
	firstInstant = time.Date(1970, time.January, 3, 0, 0, 0, 0, time.UTC)
	lastInstant  = time.Date(2100, time.December, 31, 0, 0, 0, 0, time.UTC)
)

func rules(all []*time.Location) *rapid.Generator[rule] {
	return rapid.Custom(func(t *rapid.T) rule {
		r := rule{
			kind:       rapid.SampledFrom(period.Kinds()).Draw(t, "kind"),
			loc:        rapid.SampledFrom(all).Draw(t, "zone"),
			weekStart:  time.Weekday(rapid.IntRange(0, 6).Draw(t, "week start")),
			startDay:   rapid.IntRange(1, 31).Draw(t, "start day"),
			startMonth: time.Month(rapid.IntRange(1, 12).Draw(t, "start month")),
			n:          rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, 1500)).Draw(t, "n"),
			unit:       rapid.SampledFrom(period.Units()).Draw(t, "unit"),
			anchor:     time.UnixMicro(rapid.Int64Range(315532800e6, 7258118400e6-1).Draw(t, "anchor")).UTC(),
		}
		if r.unit == period.Day {
			r.anchor = r.anchor.Truncate(24 * time.Hour)
		}
		return r
	})
}

// instants draws instants of any precision, half of them about where loc's clock is set or its midnight is.
func instants(t *rapid.T, loc *time.Location) time.Time {
	from, to := firstInstant.Unix(), lastInstant.Unix()
	instant := time.Unix(rapid.Int64Range(from, to).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond"))
	about := instant
	switch rapid.SampledFrom([]string{"any", "any", "midnight", "shift"}).Draw(t, "about") {
	case "any":
		return instant
	case "midnight":
		year, month, day := instant.In(loc).Date()
		about = time.Date(year, month, day, 0, 0, 0, 0, loc)
	case "shift":
		if _, end := instant.In(loc).ZoneBounds(); !end.IsZero() && end.Before(lastInstant) {
			about = end
		}
	}
	near := rapid.SampledFrom([]time.Duration{0, 1, time.Second, time.Minute, time.Hour, 36 * time.Hour}).Draw(t, "near")
	return about.Add(time.Duration(rapid.Int64Range(-int64(near), int64(near)).Draw(t, "off by")))
}

// Promise 9: periods tile, and are those of the second implementation.
func TestPeriodsAreThoseOfASecondImplementation(t *testing.T) {
	t.Parallel()
	all := rules(locations(t))
	rapid.Check(t, func(t *rapid.T) {
		r := all.Draw(t, "rule")
		instant := instants(t, r.loc)
		want := r.bounds(instant)
		if diff := cmp.Diff(want, r.schedule().Bounds(instant)); diff != "" {
			t.Fatalf("%v at %v (-want +got):\n%s", r.schedule(), instant.In(r.loc), diff)
		}
	})
}

func TestPeriodsTile(t *testing.T) {
	t.Parallel()
	all := rules(locations(t))
	rapid.Check(t, func(t *rapid.T) {
		r := all.Draw(t, "rule")
		checkTiling(t, r.schedule(), instants(t, r.loc))
	})
}

// checkTiling fails unless the period of s at instant is the same seen from all of its instants, and its neighbours adjoin.
func checkTiling(t failer, s period.Schedule, instant time.Time) {
	t.Helper()
	b := s.Bounds(instant)
	if !b.Contains(instant) {
		t.Fatalf("%v: %v is not in its own period %v", s, instant, b)
	}
	for _, inside := range []time.Time{b.Start, b.Start.Add(b.Duration() / 3), b.Last(), b.End.Add(-1)} {
		if got := s.Bounds(inside); got != b {
			t.Fatalf("%v: %v is in %v, but %v in %v", s, instant, b, inside, got)
		}
	}
	if s.Kind() == period.KindLifetime {
		return
	}
	next, previous := s.Next(instant), s.Previous(instant)
	if next.Start != b.End || next != s.Bounds(b.End) || !next.Start.Before(next.End) {
		t.Fatalf("%v: %v is followed by %v", s, b, next)
	}
	if previous.End != b.Start || previous != s.Bounds(b.Start.Add(-1)) || !previous.Start.Before(previous.End) {
		t.Fatalf("%v: %v is preceded by %v", s, b, previous)
	}
	if s.Previous(next.Start) != b || s.Next(previous.Start) != b {
		t.Fatalf("%v: the neighbours of %v, %v and %v, have other neighbours", s, b, previous, next)
	}
}

// A shift is a moment at which a zone's clock is set.
type shift struct {
	at    time.Time
	exact bool // a quarter hour, from and to an offset of quarter hours
}

// shifts returns when the clock in loc was set between two instants. It samples the offset and narrows down, and so
// misses a clock that was set back again within the day.
func shifts(loc *time.Location, from, to time.Time) []shift {
	offset := func(sec int64) int64 { return reading(loc, sec) - sec }
	const step = 24 * 60 * 60
	var found []shift
	for sec := from.Unix(); sec < to.Unix(); sec += step {
		low, high := sec, sec+step
		before, after := offset(low), offset(high)
		if before == after {
			continue
		}
		for high-low > 1 {
			if middle := (low + high) / 2; offset(middle) == before {
				low = middle
			} else {
				high = middle
			}
		}
		found = append(found, shift{time.Unix(high, 0).UTC(), high%900 == 0 && before%900 == 0 && after%900 == 0})
	}
	return found
}

// Around every shift of every zone, days and hours begin where a walk over the clock's readings sees them begin, and so
// do longer periods that start on those days. Since 1980 days begin on a quarter hour UTC, so that sums by the quarter
// hour add up to days.
func TestPeriodsWhereClocksAreSet(t *testing.T) {
	t.Parallel()
	every := size(40, 10, 1) // all zones, but only each so many shifts of theirs
	for i, loc := range locations(t) {
		t.Run(loc.String(), func(t *testing.T) {
			t.Parallel()
			all := shifts(loc, firstInstant, lastInstant)
			for j := i % every; j < len(all); j += every {
				checkAround(t, loc, all[j])
			}
		})
	}
}

func checkAround(t *testing.T, loc *time.Location, s shift) {
	t.Helper()
	const day = 24 * 60 * 60
	days := daysBetween(loc, s.at.Unix()-3*day, s.at.Unix()+3*day, s.exact)
	for _, b := range days {
		checkBounds(t, period.Daily.In(loc), b.bounds)
		if begin := b.bounds.Start; begin.Year() >= 1980 && !begin.Equal(begin.Truncate(15*time.Minute)) {
			t.Errorf("%v begins within a quarter hour, at %v", b.date, begin)
		}
		for _, schedule := range startingOn(b.date, loc) {
			if got := schedule.Bounds(b.bounds.Start).Start; !got.Equal(b.bounds.Start) {
				t.Fatalf("%v starts at %v, want %v", schedule, got, b.bounds.Start)
			}
			if got := schedule.Bounds(b.bounds.Start.Add(-1)).End; !got.Equal(b.bounds.Start) {
				t.Fatalf("%v ends at %v, want %v", schedule, got, b.bounds.Start)
			}
		}
	}
	r := rule{kind: period.KindHourly, loc: loc}
	for _, off := range []time.Duration{-2 * time.Hour, -time.Hour, -1, 0, time.Hour, 2 * time.Hour} {
		checkBounds(t, r.schedule(), r.bounds(s.at.Add(off)))
	}
}

func checkBounds(t *testing.T, s period.Schedule, want period.Bounds) {
	t.Helper()
	for _, instant := range []time.Time{want.Start, want.Start.Add(want.Duration() / 2), want.End.Add(-1)} {
		if got := s.Bounds(instant); got != want {
			t.Fatalf("%v at %v is %v, want %v", s, instant, got, want)
		}
	}
}

type walkedDay struct {
	date   time.Time
	bounds period.Bounds
}

// daysBetween returns the days that begin and end on a walk from one second to another.
func daysBetween(loc *time.Location, from, to int64, exact bool) []walkedDay {
	var days []walkedDay
	walk(loc, from, to, exact, func(begin, date time.Time) {
		if len(days) > 0 {
			days[len(days)-1].bounds.End = begin
		}
		days = append(days, walkedDay{date, period.Bounds{Start: begin}})
	}, nil)
	return days[1 : len(days)-1] // the first may have begun before the walk, the last has not ended on it
}

// walk reads the clock in loc from one second to another, at each quarter hour if that meets all shifts. It calls day
// when a date is shown that is later than all before, and hour, if not nil, when the clock shows hh:00 or has jumped
// over it.
func walk(loc *time.Location, from, to int64, exact bool, day func(begin, date time.Time), hour func(begin time.Time)) {
	step := int64(grid)
	if exact {
		step = 900
	}
	from -= from % step
	before, latest := reading(loc, from-step), int64(0)
	for sec := from; sec < to; sec += step {
		now := reading(loc, sec)
		if date := now / 86400; date > latest {
			day(time.Unix(sec, 0).UTC(), time.Unix(date*86400, 0).UTC())
			latest = date
		}
		if hour != nil && hourBegins(before, now, step) {
			hour(time.Unix(sec, 0).UTC())
		}
		before = now
	}
}

// startingOn returns schedules of every kind of which a period starts on this date.
func startingOn(date time.Time, loc *time.Location) []period.Schedule {
	return []period.Schedule{
		period.Weekly.WeekStart(date.Weekday()).In(loc),
		period.Monthly.StartDay(date.Day()).In(loc),
		period.Quarterly.StartMonth(date.Month()).StartDay(date.Day()).In(loc),
		period.Yearly.StartMonth(date.Month()).StartDay(date.Day()).In(loc),
		period.Every(1, period.Day, date.AddDate(20, 0, 0)).In(loc),
		period.Every(3, period.Day, date.AddDate(0, 0, 3*4321)).In(loc),
	}
}

// Every day and hour from 1970 to 2100; of every zone in a soak, else of a few.
func TestEveryDayAndHour(t *testing.T) {
	t.Parallel()
	every := size(300, 100, 1)
	for i, loc := range locations(t) {
		if i%every != 0 {
			continue
		}
		t.Run(loc.String(), func(t *testing.T) {
			t.Parallel()
			exact := !slices.ContainsFunc(shifts(loc, firstInstant, lastInstant), func(s shift) bool { return !s.exact })
			day, hour := inTurn(t, period.Daily.In(loc)), inTurn(t, period.Hourly.In(loc))
			walk(loc, firstInstant.Unix(), lastInstant.Unix(), exact, func(begin, _ time.Time) { day(begin) }, hour)
		})
	}
}

// inTurn returns a function that is told the start of each period of s in turn, but for the first, which may have been
// met when it had begun.
func inTurn(t *testing.T, s period.Schedule) func(begin time.Time) {
	var start time.Time
	met := 0
	return func(begin time.Time) {
		if met++; met > 2 {
			want := period.Bounds{Start: start, End: begin}
			if got := s.Bounds(start); got != want {
				t.Fatalf("%v at %v is %v, want %v", s, start, got, want)
			}
		}
		start = begin
	}
}
