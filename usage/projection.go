package usage

import (
	"iter"
	"math"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
)

// A Method is a way to say where what is used will stand when its period ends. Each takes what is used now and adds what is
// still to come. What was adjusted stays as it is: it is part of what is used, and not of the pace.
type Method string

// The methods.
const (
	// Auto is Seasonal where there is enough history, else RunRate. The projection says which one, and why.
	Auto Method = "auto"
	// RunRate goes on as the period went so far: recorded / elapsed × the period's length.
	RunRate Method = "run-rate"
	// ByDay goes on by whole days, as [ProjectByDay] does.
	ByDay Method = "by-day"
	// Seasonal expects of each hour what that hour of that weekday used in the trailing weeks, on the level of the last days and
	// growing as they did.
	Seasonal Method = "seasonal"
)

// Methods returns all methods.
func Methods() []Method { return []Method{Auto, RunRate, ByDay, Seasonal} }

// ParseMethod returns the method named s, or a [*FieldError].
func ParseMethod(s string) (Method, error) {
	switch m := Method(s); m {
	case Auto, RunRate, ByDay, Seasonal:
		return m, nil
	default:
		return "", invalid.Field("method", "must be one of auto, run-rate, by-day and seasonal")
	}
}

// What a projection needs, and what it claims.
const (
	// MinElapsed percent of a period must be over before anything is projected: a day and a half of a month.
	MinElapsed = 5
	// MinHistory is for how long usage must be known, and going on, for Seasonal.
	MinHistory = 7 * 24 * time.Hour
	// TrailingHistory is how far back Seasonal looks: no Hours from before are needed.
	TrailingHistory = 8 * 7 * 24 * time.Hour
	// Coverage is in how many percent of cases the range of a projection is meant to hold what comes true.
	Coverage = 80
)

// projectedPlaces is to how many places projections are rounded.
const projectedPlaces = 9

// A NoProjection says why a method has no number.
type NoProjection string

// The reasons.
const (
	OpenPeriod   NoProjection = "open_period"   // the period goes back to 1980 or on to 2200, all that there is: it has no length to speak of
	NotRunning   NoProjection = "not_running"   // the instant is not in the period, or there is no period
	TooEarly     NoProjection = "too_early"     // less than MinElapsed percent of the period is over
	NoUsage      NoProjection = "no_usage"      // nothing was recorded in the period
	LastDay      NoProjection = "last_day"      // ByDay: less than a whole day is left
	ShortHistory NoProjection = "short_history" // Seasonal: usage is known, or began, less than MinHistory ago
)

// Text returns the reason as people read it.
func (n NoProjection) Text() string {
	switch n {
	case OpenPeriod:
		return "the period is open at one side"
	case NotRunning:
		return "the period is not running"
	case TooEarly:
		return "less than 5 % of the period is over"
	case NoUsage:
		return "nothing was recorded in the period"
	case LastDay:
		return "less than a whole day is left"
	case ShortHistory:
		return "usage began less than a week ago, or is not known from before"
	default:
		return string(n)
	}
}

// An HourUse is what was used in an hour, as [Hour] bounds it. It is known by its start.
type HourUse struct {
	Start time.Time
	Units int64
}

// A Pace is what a projection is made from: how much was used in a period so far, and when. Amounts are in the metric's
// units, and only Adjusted may be negative.
type Pace struct {
	Metric   Metric
	Period   period.Bounds
	Zone     *time.Location // by whose clock there are weekdays and hours; UTC if nil
	At       time.Time      // when the projection is made
	Limit    int64          // 0: none
	Recorded int64          // in the period, before At
	Adjusted int64          // in the period; taken as if it had been so from the start

	// Hours is the usage from Since to At by the hour, ascending; hours without usage may be left out, what lies outside is
	// passed over. Without it there is no season, and the range is as wide as for somebody new.
	Hours []HourUse
	Since time.Time
}

// A Projection says where what is used will stand at the end of the period. Amounts are in the metric's unit, rounded half
// up to 9 places.
type Projection struct {
	Method   Method       // that was asked for; of Auto the one that it took, if there is a projection
	Fallback NoProjection // why Auto did not take Seasonal; "" if it did, or was not asked for
	Reason   NoProjection // why there is no projection: Value, Low and High are 0 then; "" if there is one

	Value     decimal.Decimal
	Low, High decimal.Decimal // the range that is meant to hold the truth in Coverage percent of cases; Value is in it

	Passed bool // used is above the limit now
	// Passes is when used passes the limit if it goes as projected, or when it did, in UTC. Within an hour usage is taken to be
	// even. It is zero if used does not pass the limit in the period, and if it did so before Since.
	Passes time.Time
}

// Project returns where what is used will stand at the end of the period, by a method; one that is unknown is Auto.
//
// There is no projection, but a reason, for a period that is open at one side or not running, in its first 5 percent, and as
// long as nothing is recorded in it: never a number that shouts on the first of the month. What a hard budget refuses is
// not used: the projection says where demand goes.
//
// RunRate and ByDay are computed exactly and rounded once, half up. Seasonal is an estimate in floating point:
//
//   - The season is a rate for each hour of the week by the zone's clock: what that hour used in the trailing 8 weeks, or
//     since the first day with usage in them, over how long it lasted in all. So a day of 23 or 25 hours counts as what it is.
//     A day that used more than 3 times as much as any other counts as much as that other: it was an accident. Of the last
//     two days it counts as it is, for it may be going on, and the range holds that of either case.
//   - The level is the ratio of what the last days used to what the season says of them: of 21 days, or of twice the period if
//     that is shorter, or of as many as are over of the period if those are more. So what has no season is averaged
//     over no less than by the run rate.
//   - Days from before a change of level are left out: while the days fall into two parts, each of two days or more, whose mean
//     logarithms differ by more than 7 standard errors, the older one goes. Standard errors are widened by how much a
//     day takes after the one before it. That is adaptive windowing (Bifet and Gavaldà, "Learning from Time-Changing Data with
//     Adaptive Windowing", 2007) with a test of its own. A stop is no change: what has stopped may go on.
//   - The level grows or shrinks as it did over the weeks since, four or more: by the slope of a line through their logarithms,
//     drawn to none as far as it may be chance, for four weeks on at most and by no more than e^0.25 in each.
//   - What is to come is the sum of level × rate over the time that is left.
//
// The range goes from r·e^(−a·s) to r·e^(b·s) around what is to come, r. The spread s is how far off projections of a week, and
// of as long a time as is left, were that were made from each of the days known: the root of their mean square, as logarithms,
// drawn, the fewer there are, to what chance would make of as few hours as most was used in, and widened where less than a
// week is left, and where what was projected had already been seen in the rates. The factors a and b depend on how much is
// left, and on whether a week of usage is known. They are quantiles of past errors, which is split conformal prediction (Lei
// and others, "Distribution-Free Predictive Inference for Regression", 2018): those of half of the months that
// examples/internal/backtest makes; the other half says how often a range holds the truth. All of them are months: over
// weeks with weekends RunRate is wrong by more than its range says. The range of ByDay is that of RunRate, widened to hold its
// value.
func (p Pace) Project(m Method) Projection {
	projection := Projection{Method: m, Reason: p.reason()}
	if projection.Reason == "" {
		projection = p.project(m)
	}
	if p.Limit > 0 && p.used().GreaterThan(p.limit()) {
		projection.Passed = true
		projection.Passes = p.passedAt()
	}
	return projection
}

// ProjectByDay returns where current will stand at the end of a period by counting days: current × the days of the period /
// the days of it that have begun, rounded half up to 9 places. Days are 24 hours from the period's start; a period that its
// clock makes longer, by two hours at most, has no day more. There is no number if current is 0, outside the period, where no
// whole day of it is left, see [period.Bounds.DaysRemaining], and for a period that is open at one side. There is one on the
// first day already; [Pace.Project] waits.
func ProjectByDay(current decimal.Decimal, p period.Bounds, now time.Time) (decimal.Decimal, bool) {
	if current.IsZero() || !p.Contains(now) || open(p) || p.DaysRemaining(now) == 0 {
		return decimal.Decimal{}, false
	}
	const longer = 2 * time.Hour // is the most by which a clock is set back
	days := int64((p.Duration() - longer + day - 1) / day)
	begun := int64(now.Sub(p.Start)/day) + 1
	return current.Mul(decimal.NewFromInt(days)).DivRound(decimal.NewFromInt(begun), projectedPlaces), true
}

const day = 24 * time.Hour

// open reports whether a period has no bound at one side, but that of all time.
func open(p period.Bounds) bool { return !p.Start.After(MinTime) || !p.End.Before(EndTime) }

// reason returns why no method has a number.
func (p Pace) reason() NoProjection {
	switch {
	case p.Period.IsZero():
		return NotRunning
	case open(p.Period):
		return OpenPeriod
	case !p.Period.Contains(p.At):
		return NotRunning
	case p.At.Sub(p.Period.Start)/MinElapsed < p.Period.Duration()/100:
		return TooEarly
	case p.Recorded <= 0:
		return NoUsage
	default:
		return ""
	}
}

func (p Pace) project(m Method) Projection {
	switch m {
	case RunRate:
		return p.runRate()
	case ByDay:
		return p.byDay()
	case Seasonal:
		return p.seasonal()
	default:
		projection := p.seasonal()
		if projection.Reason == "" {
			return projection
		}
		fallback := projection.Reason
		projection = p.runRate()
		projection.Fallback = fallback
		return projection
	}
}

func (p Pace) runRate() Projection {
	elapsed, length := micros(p.At.Sub(p.Period.Start)), micros(p.Period.Duration())
	return p.steady(RunRate, p.recorded().Mul(length).DivRound(elapsed, projectedPlaces))
}

func (p Pace) byDay() Projection {
	total, ok := ProjectByDay(p.recorded(), p.Period, p.At)
	if !ok {
		return Projection{Method: ByDay, Reason: LastDay}
	}
	return p.steady(ByDay, total)
}

// steady returns the projection of usage that comes evenly, given what will have been recorded.
func (p Pace) steady(m Method, recorded decimal.Decimal) Projection {
	low, high := p.steadyRange()
	projection := p.projection(m, p.adjusted().Add(recorded), low, high)
	if p.passes(projection.Value) {
		left, need := micros(p.Period.End.Sub(p.At)), p.limit().Sub(p.used())
		after := need.Mul(left).DivRound(projection.Value.Sub(p.used()), 0).IntPart()
		projection.Passes = p.ahead(p.At.Add(time.Duration(after) * time.Microsecond))
	}
	return projection
}

func (p Pace) seasonal() Projection {
	s, ok := newSeason(p)
	if !ok {
		return Projection{Method: Seasonal, Reason: ShortHistory}
	}
	rest := s.rest(p.Period.End)
	low, high := p.around(rest, s.spread, seasonalReach)
	if s.calm != nil {
		calmLow, calmHigh := p.around(s.calm.rest(p.Period.End), s.calm.spread, seasonalReach)
		low, high = decimal.Min(low, calmLow), decimal.Max(high, calmHigh)
	}
	projection := p.projection(Seasonal, p.used().Add(p.amount(rest)), low, high)
	if p.passes(projection.Value) {
		need := p.limit().Sub(p.used()).InexactFloat64() / p.unit()
		passes, _ := passing(s.ahead(p.Period.End), need)
		projection.Passes = p.ahead(passes)
	}
	return projection
}

// Course returns what will be used at each of these instants if it goes as projected by a method, in the metric's unit, rounded
// as a projection. Instants before At count as At, those after the period as its end. It is nil where there is no projection.
func (p Pace) Course(m Method, at ...time.Time) []decimal.Decimal {
	projection := p.Project(m)
	if projection.Reason != "" {
		return nil
	}
	used, left := p.used(), p.Period.End.Sub(p.At)
	until := func(t time.Time) decimal.Decimal {
		return projection.Value.Sub(used).Mul(micros(t.Sub(p.At))).DivRound(micros(left), projectedPlaces)
	}
	if s, ok := newSeason(p); ok && projection.Method == Seasonal {
		until = func(t time.Time) decimal.Decimal { return p.amount(s.rest(t)) }
	}
	course := make([]decimal.Decimal, len(at))
	for i, t := range at {
		if t.Before(p.At) {
			t = p.At
		} else if t.After(p.Period.End) {
			t = p.Period.End
		}
		course[i] = used.Add(until(t))
	}
	return course
}

// projection returns the projection of a value. Its range holds it, whatever was rounded.
func (p Pace) projection(m Method, value, low, high decimal.Decimal) Projection {
	value = decimal.Max(value, p.used())
	return Projection{Method: m, Value: value, Low: decimal.Min(low, value), High: decimal.Max(high, value)}
}

// passes reports whether a value passes the limit that is not passed yet.
func (p Pace) passes(value decimal.Decimal) bool {
	return p.Limit > 0 && !p.used().GreaterThan(p.limit()) && value.GreaterThan(p.limit())
}

// ahead returns an instant, which may be rounded, as one of the rest of the period.
func (p Pace) ahead(t time.Time) time.Time {
	if last := p.Period.Last(); t.After(last) || t.IsZero() {
		t = last
	}
	if t.Before(p.At) {
		t = p.At
	}
	return t.UTC()
}

// passedAt returns when the limit was passed, and the zero time if that was before the hours that are known.
func (p Pace) passedAt() time.Time {
	known := period.Bounds{Start: p.Period.Start, End: p.At}
	if p.Since.After(known.Start) {
		known.Start = p.Since
	}
	before := float64(p.Recorded)
	for _, units := range p.uses(known) {
		before -= units
	}
	need := float64(p.Limit) - float64(p.Adjusted) - before
	if need < 0 {
		return time.Time{}
	}
	passed, _ := passing(p.uses(known), need)
	return passed
}

// passing returns when more units than needed have come, and false if they don't.
func passing(uses iter.Seq2[stretch, float64], need float64) (time.Time, bool) {
	for h, units := range uses {
		if units > need {
			return time.UnixMicro(h.start + int64(math.Round(need/units*h.length()))).UTC(), true
		}
		need -= units
	}
	return time.Time{}, false
}

func micros(d time.Duration) decimal.Decimal { return decimal.NewFromInt(d.Microseconds()) }
