// Package backtest replays usage that is over, period by period, and measures what projections made midway were worth.
package backtest

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Shares returns how much of a period is over when projections are made.
func Shares() []float64 { return []float64{0.1, 0.25, 0.5, 0.75} }

// A Series is what was used by the hour, ascending. Hours without usage may be left out.
type Series struct {
	Name  string
	Hours []usage.HourUse // in billionths
}

// A Trial is a projection of what was known then, and what came of it.
type Trial struct {
	Series string
	Start  time.Time // of the period
	Share  float64   // of it that was over
	Method usage.Method

	Value, Low, High, Truth float64
}

// Error returns by how much the projection was wrong, relative to the truth.
func (t Trial) Error() float64 { return math.Abs(t.Value-t.Truth) / t.Truth }

// Covered reports whether the range held the truth.
func (t Trial) Covered() bool { return t.Low <= t.Truth && t.Truth <= t.High }

// Replay yields the trials of a series: for each period of the schedule whose end it saw, each share of it, and each method
// that had a projection then. The series saw an end if it has an hour within the last 24 before it or after it, for some have
// no usage at night. It may begin in the midst of its first period; of what was before nothing is known. Projections are
// made at the whole hour before a share is over.
func Replay(s Series, schedule period.Schedule) iter.Seq[Trial] {
	return func(yield func(Trial) bool) {
		if len(s.Hours) == 0 {
			return
		}
		last := s.Hours[len(s.Hours)-1].Start
		for p := schedule.Bounds(s.Hours[0].Start); !p.IsZero() && !last.Before(p.End.Add(-24*time.Hour)); p = schedule.Next(p.Start) {
			for _, share := range Shares() {
				for t := range trials(s, p, share, schedule.Location()) {
					if !yield(t) {
						return
					}
				}
			}
		}
	}
}

func trials(s Series, p period.Bounds, share float64, zone *time.Location) iter.Seq[Trial] {
	at := p.Start.Add(time.Duration(share * float64(p.Duration()))).Truncate(time.Hour)
	pace := usage.Pace{
		Metric: usage.Dollars, Period: p, Zone: zone, At: at,
		Recorded: s.total(period.Bounds{Start: p.Start, End: at}),
		Hours:    s.within(period.Bounds{Start: at.Add(-usage.TrailingHistory), End: at}),
		Since:    s.Hours[0].Start,
	}
	truth := float64(s.total(p)) / 1e9
	auto := pace.Project(usage.Auto)
	return func(yield func(Trial) bool) {
		for _, m := range usage.Methods() {
			got := auto
			if m != usage.Auto && m != auto.Method { // most time goes into the season, which Auto had already
				got = pace.Project(m)
			}
			t := Trial{
				Series: s.Name, Start: p.Start, Share: share, Method: m, Truth: truth,
				Value: got.Value.InexactFloat64(), Low: got.Low.InexactFloat64(), High: got.High.InexactFloat64(),
			}
			if got.Reason == "" && !yield(t) {
				return
			}
		}
	}
}

// within returns the hours that begin in a span.
func (s Series) within(span period.Bounds) []usage.HourUse {
	index := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(s.Hours, t, func(h usage.HourUse, t time.Time) int { return h.Start.Compare(t) })
		return i
	}
	return s.Hours[index(span.Start):index(span.End)]
}

func (s Series) total(span period.Bounds) (units int64) {
	hours := s.within(span)
	for i := range hours {
		units += hours[i].Units
	}
	return units
}

// A Row says what a method was worth when a share of the period was over. Errors are relative to the truth: 0.1 is 10
// percent.
type Row struct {
	Method      usage.Method `json:"method"`
	Share       float64      `json:"share"`
	MedianError float64      `json:"median_error"`
	P90Error    float64      `json:"p90_error"`
	Covered     float64      `json:"covered"` // the share of projections whose range held the truth
	Series      int          `json:"series"`  // how many had one
	Projections int          `json:"projections"`
}

// Sum returns a row for each method and share that has trials, in the order of the methods and of the shares.
func Sum(trials iter.Seq[Trial]) []Row {
	type key struct {
		method usage.Method
		share  float64
	}
	groups := make(map[key][]Trial)
	for t := range trials {
		k := key{t.Method, t.Share}
		groups[k] = append(groups[k], t)
	}
	var rows []Row
	for _, m := range usage.Methods() {
		for _, share := range Shares() {
			if group := groups[key{m, share}]; len(group) > 0 {
				rows = append(rows, row(group))
			}
		}
	}
	return rows
}

func row(trials []Trial) Row {
	series := make(map[string]bool)
	errors := make([]float64, len(trials))
	covered := 0
	for i, t := range trials {
		series[t.Series] = true
		errors[i] = t.Error()
		if t.Covered() {
			covered++
		}
	}
	slices.SortFunc(errors, cmp.Compare[float64])
	return Row{
		Method: trials[0].Method, Share: trials[0].Share,
		MedianError: quantile(errors, 0.5), P90Error: quantile(errors, 0.9),
		Covered: float64(covered) / float64(len(trials)), Series: len(series), Projections: len(trials),
	}
}

// quantile returns the value below which a share of the sorted values lies, between two of them where it falls between.
func quantile(sorted []float64, share float64) float64 {
	at := share * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
