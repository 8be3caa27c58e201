package period

import "time"

// Bounds is the half-open interval [Start, End). The zero Bounds contains no instant.
type Bounds struct {
	Start time.Time // inclusive, UTC
	End   time.Time // exclusive, UTC
}

// Contains reports whether t is at or after Start and before End.
func (b Bounds) Contains(t time.Time) bool { return !t.Before(b.Start) && t.Before(b.End) }

// IsZero reports whether b is the zero Bounds: no period.
func (b Bounds) IsZero() bool { return b.Start.IsZero() && b.End.IsZero() }

// Duration returns the length of b, at most the longest [time.Duration] (292 years).
func (b Bounds) Duration() time.Duration { return b.End.Sub(b.Start) }

// Last returns the last microsecond of b, one before End: the end as people and inclusive APIs state it.
func (b Bounds) Last() time.Time { return b.End.Add(-time.Microsecond) }

// Intersect returns what b and o have in common, the zero Bounds if that is nothing.
func (b Bounds) Intersect(o Bounds) Bounds {
	if o.Start.After(b.Start) {
		b.Start = o.Start
	}
	if o.End.Before(b.End) {
		b.End = o.End
	}
	if !b.Start.Before(b.End) {
		return Bounds{}
	}
	return b
}

// Remaining returns the time from t to End: 0 at End and after it, the whole length before Start, and at most the
// longest [time.Duration] (292 years).
func (b Bounds) Remaining(t time.Time) time.Duration {
	return max(0, b.End.Sub(b.notBeforeStart(t)))
}

// DaysRemaining returns the number of whole 24-hour days from t to [Bounds.Last]: 30 at the first instant of a month of
// 31 days, 0 throughout its last 24 hours and after it. Before Start it is what it will be at Start.
func (b Bounds) DaysRemaining(t time.Time) int {
	// Seconds, because a Duration can't hold the rest of Lifetime.
	last, t := b.Last(), b.notBeforeStart(t)
	rest := last.Unix() - t.Unix()
	if last.Nanosecond() < t.Nanosecond() {
		rest--
	}
	return int(max(0, rest) / secondsPerDay)
}

// Elapsed returns the share of b that lies before t, from 0 at Start and before it to 1 at End and after it.
func (b Bounds) Elapsed(t time.Time) float64 {
	switch {
	case !t.Before(b.End):
		return 1
	case !t.After(b.Start):
		return 0
	default:
		return seconds(b.Start, t) / seconds(b.Start, b.End)
	}
}

func (b Bounds) notBeforeStart(t time.Time) time.Time {
	if t.Before(b.Start) {
		return b.Start
	}
	return t
}

// seconds is to.Sub(from).Seconds() for any distance.
func seconds(from, to time.Time) float64 {
	return float64(to.Unix()-from.Unix()) + float64(to.Nanosecond()-from.Nanosecond())/1e9
}
