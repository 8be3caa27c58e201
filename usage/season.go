package usage

import (
	"iter"
	"math"
	"slices"
	"time"

	"github.com/purser-go/purser/period"
)

// A season is what the trailing weeks say about the hours to come.
type season struct {
	zone   *time.Location
	at     time.Time
	rate   weekRates
	level  float64 // now, relative to the rates
	trend  float64 // by how much the logarithm of the level grows in a microsecond
	spread float64 // see dayUses.spread
	calm   *season // as if a spike of the last days were over and did not come again; nil where there is none
}

// weekRates are units per microsecond for each hour of the week, from Thursday on, as 1970 began.
type weekRates [hoursPerWeek]float64

const hoursPerWeek = 7 * 24

// levelDays is how many days at least the level is that of, unless the period is shorter than half of them.
const levelDays = 21

// stopped is such a part of the level of all days that a lower one of the last is no level but a stop.
const stopped = 0.3

// newSeason returns the season of a pace, and false if it has too little history.
func newSeason(p Pace) (*season, bool) {
	began, ok := p.began()
	if !ok || p.At.Sub(began) < MinHistory {
		return nil, false
	}
	known := period.Bounds{Start: began, End: p.At}
	calm, goesOn := p.withoutSpike(known)
	if !goesOn {
		return calm.season(known), true
	}
	s := p.season(known)
	s.calm = calm.season(known)
	return s, true
}

// season returns the season of what is known.
func (p Pace) season(known period.Bounds) *season {
	s := &season{zone: p.zone(), at: p.At, rate: p.weekRates(known)}
	uses := p.dayUses(known, &s.rate)
	elapsed, length := inDays(p.At.Sub(p.Period.Start)), inDays(p.Period.Duration())
	most := int(math.Ceil(max(elapsed, min(levelDays, 2*length))))
	since := uses[uses.changed():]
	if s.level = since.level(most); s.level < stopped*uses.level(most) {
		since, s.level = uses, uses.level(most) // what has stopped may go on
	}
	s.trend = since.trend() / float64(MinHistory.Microseconds())
	s.level *= math.Exp(s.trend * min(float64(most), float64(len(since))) / 2 * float64(day.Microseconds()))
	// The rates have seen the days that they are measured against: of w weeks each is a w-th part of its own mean.
	seen := 1 - float64(MinHistory)/float64(known.Duration())
	s.spread = uses.spread(most, inDays(p.Period.End.Sub(p.At))) / max(seen, 0.4)
	return s
}

// withoutSpike returns the pace, the hours of a day that is a spike made as much as the next day used: what was an accident
// does not come every week. If it is one of the last days it may go on: nobody knows yet that it is over.
func (p Pace) withoutSpike(known period.Bounds) (calm Pace, goesOn bool) {
	days := p.dayUses(known, &weekRates{})
	at, part := days.spike()
	if at < 0 {
		return p, false
	}
	end := p.At.Add(-time.Duration(len(days)-1-at) * day)
	spike := period.Bounds{Start: end.Add(-day), End: end}
	p.Hours = slices.Clone(p.Hours)
	for i, h := range p.Hours {
		if spike.Contains(h.Start) && h.Units > 0 {
			p.Hours[i].Units = max(1, int64(math.Round(float64(h.Units)*part))) // some, so that there is a season
		}
	}
	return p, len(days)-at <= openDays
}

// began returns the start of the first day with usage in the trailing weeks, and false if there is none.
func (p Pace) began() (time.Time, bool) {
	since := p.At.Add(-TrailingHistory)
	if p.Since.After(since) {
		since = p.Since
	}
	for _, h := range p.Hours {
		if h.Units > 0 && !h.Start.Before(since) && h.Start.Before(p.At) {
			if first := Day.Bounds(h.Start, p.zone()).Start; first.After(since) {
				return first, true
			}
			return since, true
		}
	}
	return since, false
}

func (p Pace) weekRates(span period.Bounds) (rate weekRates) {
	var length weekRates
	for h, units := range p.uses(span) {
		rate[h.hour] += units
		length[h.hour] += h.length()
	}
	for hour := range rate {
		if length[hour] > 0 {
			rate[hour] /= length[hour]
		}
	}
	return rate
}

// dayUses returns what each 24 hours of a span, counted back from its end, used, and what the rates say.
func (p Pace) dayUses(span period.Bounds, rate *weekRates) dayUses {
	end, length := span.End.UnixMicro(), day.Microseconds()
	uses := make(dayUses, (end-span.Start.UnixMicro()+length-1)/length)
	for h, units := range p.uses(span) {
		d := &uses[len(uses)-1-int((end-1-h.start)/length)]
		d.used += units
		d.squares += units * units
		d.expected += rate[h.hour] * h.length()
	}
	return uses
}

// uses yields a span in stretches, each with what was used in the hours that begin in it.
func (p Pace) uses(span period.Bounds) iter.Seq2[stretch, float64] {
	first, _ := slices.BinarySearchFunc(p.Hours, span.Start, func(h HourUse, t time.Time) int { return h.Start.Compare(t) })
	hours := p.Hours[first:]
	return func(yield func(stretch, float64) bool) {
		rest := hours
		for h := range stretches(span, p.zone()) {
			units := 0.0
			for len(rest) > 0 && rest[0].Start.UnixMicro() < h.end {
				units += float64(rest[0].Units)
				rest = rest[1:]
			}
			if !yield(h, units) {
				return
			}
		}
	}
}

// ahead yields the stretches until an end, each with the units that are expected of it.
func (s *season) ahead(end time.Time) iter.Seq2[stretch, float64] {
	at, most := s.at.UnixMicro(), float64(trendWeeks*MinHistory.Microseconds())
	return func(yield func(stretch, float64) bool) {
		for h := range stretches(period.Bounds{Start: s.at, End: end}, s.zone) {
			level := s.level
			if s.trend != 0 {
				level *= math.Exp(s.trend * min(float64(h.start-at), most))
			}
			if !yield(h, level*s.rate[h.hour]*h.length()) {
				return
			}
		}
	}
}

// rest returns how many units are to come until an end.
func (s *season) rest(end time.Time) float64 {
	sum := 0.0
	for _, units := range s.ahead(end) {
		sum += units
	}
	return sum
}

// A stretch is time within one [Hour] of a zone's clock, which is known by what the clock says at its start.
type stretch struct {
	start, end int64 // microseconds since 1970
	hour       int   // as in weekRates
}

func (s stretch) length() float64 { return float64(s.end - s.start) }

// stretches cuts a span where hours begin, as [Hour] bounds them: where the clock is set within one, it goes on. It works on
// numbers, since a projection goes through two thousand hours.
func stretches(span period.Bounds, zone *time.Location) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		hour := time.Hour.Microseconds()
		at, end := span.Start.UnixMicro(), span.End.UnixMicro()
		for at < end {
			offset, until := offsetAt(at, zone)
			past := mod(at+offset, hour) // of the hour that at is in
			n := int(mod((at+offset-past)/hour, hoursPerWeek))
			for next := at - past + hour; at < min(until, end); next += hour {
				if next > until {
					next = Hour.Bounds(time.UnixMicro(at), zone).End.UnixMicro()
				}
				if !yield(stretch{at, min(next, end), n}) {
					return
				}
				at = next
				n = (n + 1) % hoursPerWeek
			}
		}
	}
}

// offsetAt returns by how much a zone's clock is ahead of UTC, and a later instant until which that stays so.
func offsetAt(micro int64, zone *time.Location) (offset, until int64) {
	t := time.UnixMicro(micro).In(zone)
	_, seconds := t.Zone()
	_, end := t.ZoneBounds()
	until = end.UnixMicro()
	switch {
	case end.IsZero():
		until = math.MaxInt64
	case until <= micro:
		// On 31 December of leap years that are far ahead ZoneBounds ends in the past (Go 1.26). No clock is set on that day.
		until = micro + time.Hour.Microseconds()
	}
	return int64(seconds) * time.Second.Microseconds(), until
}

// mod returns the remainder of a/n that is not negative, for n > 0.
func mod(a, n int64) int64 { return (a%n + n) % n }

// inDays returns how many days of 24 hours a duration is.
func inDays(d time.Duration) float64 { return d.Hours() / 24 }
