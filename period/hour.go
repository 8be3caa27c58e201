package period

import "time"

// hour returns the clock hour in loc that contains t.
func hour(t time.Time, loc *time.Location) Bounds {
	// No period reaches two hours: in the longest the clock is set back, after at most an hour and less than one before
	// the next begins. So one begins after this instant, and no later than t.
	start := nextHour(t.Unix()-2*secondsPerHour, loc)
	end := nextHour(start, loc)
	for end <= t.Unix() {
		start, end = end, nextHour(end, loc)
	}
	return Bounds{Start: time.Unix(start, 0).UTC(), End: time.Unix(end, 0).UTC()}
}

// nextHour returns the first second after sec at which an hour begins in loc.
func nextHour(sec int64, loc *time.Location) int64 {
	for {
		offset, until := offsetAt(sec, loc)
		wall := sec + offset
		if next := wall - mod(wall, secondsPerHour) + secondsPerHour - offset; next < until {
			return next
		}
		after, _ := offsetAt(until, loc)
		if hourBegins(until+offset, until+after) {
			return until
		}
		sec = until
	}
}

// hourBegins reports whether an hour begins at the moment at which a clock is set from one reading to another: whether
// it then reads hh:00, or was set forward over it.
func hourBegins(from, to int64) bool {
	full := to - mod(to, secondsPerHour)
	return full == to || full >= from
}
