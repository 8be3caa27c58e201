package backtest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/purser-go/purser/examples/internal/backtest"
	"github.com/purser-go/purser/usage"
)

// A client is how a made-up client uses what is metered. What one hour uses is
//
//	Mean × Day × Week × level × e^(AR) × e^(Noise·N) + bursts
//
// where N is normal, AR goes on from day to day and has the standard deviation DayNoise, and the level begins at 1.
type client struct {
	Name     string
	Mean     float64     // an hour, over the week, in dollars
	Day      [24]float64 // by the hour
	Week     [7]float64  // from Monday on
	Noise    float64
	DayNoise float64
	AR       float64 // correlation of a day with the one before
	Bursts   float64 // per week, each of Size hours' mean or more: Pareto with the exponent 1.5
	Size     float64
	Shift    float64 // standard deviation of the logarithm of the factor that the level changes by, once, at any time
	Trend    float64 // the level's logarithm grows or shrinks by so much a week
	Drift    float64 // standard deviation of what it changes by in a week, at random
	Mid      bool    // the first usage is on the 4th to 24th of the first month
	Counts   bool    // usage comes in whole pieces, Poisson
	Pieces   float64 // standard deviation of the logarithm of a piece, whose mean is 1
	Spike    float64 // one hour, at any time, uses so many hours' mean more
	Off      float64 // the part of the days without usage; a day is as the one before it with a probability of a half
	Gaps     int     // so many times, at any time, there is none for up to four days
}

var (
	even   = [24]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	office = [24]float64{0: .05, .04, .03, .03, .03, .05, .1, .4, 1, 1.6, 1.9, 1.8, 1.3, 1.6, 1.9, 1.8, 1.5, .9, .5, .3, .2, .15, .1, .07}
	home   = [24]float64{0: .7, .4, .25, .15, .1, .15, .3, .5, .7, .8, .9, .9, 1, 1, 1, 1.1, 1.2, 1.4, 1.6, 1.9, 2, 1.9, 1.6, 1.1}
	night  = [24]float64{1: .5, 1, .3}

	everyDay = [7]float64{1, 1, 1, 1, 1, 1, 1}
	weekdays = [7]float64{1, 1, 1, 1, 1, 0, 0}
	quietEnd = [7]float64{1, 1.05, 1.05, 1, .9, .25, .2}
	busyEnd  = [7]float64{.9, .9, .9, .95, 1.1, 1.25, 1.1}
)

// String returns the name with the parameters.
func (c *client) String() string {
	return fmt.Sprintf("%s: mean %g, noise %g, days %g with %g, bursts %g a week of %g, shift %g, trend %g, drift %g, off %g, spike %g, pieces %g",
		c.Name, c.Mean, c.Noise, c.DayNoise, c.AR, c.Bursts, c.Size, c.Shift, c.Trend, c.Drift, c.Off, c.Spike, c.Pieces)
}

// clients are the kinds of client that projections are tried on.
var clients = []client{
	{Name: "even", Mean: 100, Day: even, Week: everyDay, Noise: .3},
	{Name: "even, good and bad days", Mean: 100, Day: even, Week: everyDay, Noise: .3, DayNoise: .3, AR: .8},
	{Name: "office", Mean: 1000, Day: office, Week: quietEnd, Noise: .4, DayNoise: .15, AR: .5},
	{Name: "office, zero weekends", Mean: 1000, Day: office, Week: weekdays, Noise: .4, DayNoise: .15, AR: .5},
	{Name: "home", Mean: 5000, Day: home, Week: busyEnd, Noise: .2, DayNoise: .1, AR: .7},
	{Name: "office, noisy", Mean: 100, Day: office, Week: quietEnd, Noise: .8, DayNoise: .4, AR: .5},
	{Name: "office, bursts", Mean: 100, Day: office, Week: quietEnd, Noise: .4, DayNoise: .15, AR: .5, Bursts: 2, Size: 20},
	{Name: "office, level shift", Mean: 1000, Day: office, Week: quietEnd, Noise: .4, DayNoise: .15, AR: .5, Shift: .7},
	{Name: "even, level shift", Mean: 100, Day: even, Week: everyDay, Noise: .3, Shift: .7},
	{Name: "office, trend", Mean: 1000, Day: office, Week: quietEnd, Noise: .4, DayNoise: .15, AR: .5, Trend: .02},
	{Name: "office, drift", Mean: 1000, Day: office, Week: quietEnd, Noise: .4, DayNoise: .15, AR: .5, Drift: .1},
	{Name: "office, from mid-period on", Mean: 1000, Day: office, Week: quietEnd, Noise: .4, DayNoise: .15, AR: .5, Mid: true},
	{Name: "office, few", Mean: .2, Day: office, Week: quietEnd, Counts: true},
	{Name: "even, few", Mean: .05, Day: even, Week: everyDay, Counts: true},
	{Name: "office, growing", Mean: 1000, Day: office, Week: quietEnd, Noise: .5, Trend: .05},
	{Name: "office, one spike", Mean: 100, Day: office, Week: quietEnd, Noise: .5, Spike: 300},
	{Name: "office, gaps", Mean: 1000, Day: office, Week: quietEnd, Noise: .5, Gaps: 3},
	{Name: "even, some days", Mean: 100, Day: even, Week: everyDay, Noise: .6, Off: .5},
	{Name: "even, few and uneven", Mean: .3, Day: even, Week: everyDay, Counts: true, Pieces: 1.2},
	{Name: "home, uneven", Mean: 40, Day: home, Week: quietEnd, Counts: true, Pieces: 1.2},
	{Name: "even, great bursts", Mean: 100, Day: even, Week: everyDay, Noise: .5, Bursts: .5, Size: 40},
	{Name: "nightly job", Mean: 1000, Day: night, Week: weekdays, Noise: .5},
}

// months is how many months a client is there.
const months = 3

// series returns what a client uses in some months, by the clock of a zone, the same for the same seed.
func (c *client) series(seed uint64, zone *time.Location) backtest.Series {
	r := rand.New(rand.NewPCG(seed, 0))
	month := time.Date(2025, time.January+time.Month(r.IntN(12)), 1, 0, 0, 0, 0, zone)
	end := month.AddDate(0, months, 0)
	first := month
	if c.Mid {
		first = month.Add(time.Duration(3*24+r.IntN(20*24)) * time.Hour)
	}
	span := end.Sub(month).Hours()
	shiftAt, shift := r.Float64()*span, c.Shift*r.NormFloat64()
	trend := c.Trend * float64(1-2*int(seed/2%2))
	mean := c.Mean / average(c.Day[:]) / average(c.Week[:])
	level, ar := 0.0, c.DayNoise*r.NormFloat64()
	var gaps [][2]float64
	for range c.Gaps {
		at := r.Float64() * span
		gaps = append(gaps, [2]float64{at, at + r.Float64()*4*24})
	}
	spikeAt, off := -1, false
	if c.Spike > 0 {
		spikeAt = r.IntN(int(span))
	}
	s := backtest.Series{Name: fmt.Sprintf("%s %d", c.Name, seed)}
	for at, day := month, 0; at.Before(end); at = at.Add(time.Hour) {
		local := at.In(zone)
		if local.Day() != day {
			day = local.Day()
			level += trend/7 + c.Drift/math.Sqrt(7)*r.NormFloat64()
			ar = c.AR*ar + math.Sqrt(1-c.AR*c.AR)*c.DayNoise*r.NormFloat64()
			if c.Off > 0 && r.Float64() < .5 {
				off = r.Float64() < c.Off
			}
		}
		use := mean * c.Day[local.Hour()] * c.Week[(local.Weekday()+6)%7] * math.Exp(level+ar)
		if at.Sub(month).Hours() >= shiftAt {
			use *= math.Exp(shift)
		}
		if c.Noise > 0 {
			use *= math.Exp(c.Noise*r.NormFloat64() - c.Noise*c.Noise/2)
		}
		if c.Counts {
			use = pieces(r, use, c.Pieces)
		}
		if r.Float64() < c.Bursts/(7*24) {
			use += c.Mean * c.Size * math.Pow(1-r.Float64(), -1/1.5)
		}
		hour := at.Sub(month).Hours()
		if int(hour) == spikeAt {
			use += c.Mean * c.Spike
		}
		if off || slices.ContainsFunc(gaps, func(gap [2]float64) bool { return gap[0] <= hour && hour < gap[1] }) {
			use = 0
		}
		if !at.Before(first) {
			s.Hours = append(s.Hours, usage.HourUse{Start: at.UTC(), Units: int64(use * 1e9)})
		}
	}
	return s
}

func average(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v / float64(len(x))
	}
	return sum
}

// pieces draws how much comes where so much is expected, in pieces whose number is Poisson.
func pieces(r *rand.Rand, expected, deviation float64) float64 {
	sum, limit := 0.0, math.Exp(-expected)
	for p := r.Float64(); p > limit; p *= r.Float64() {
		sum += math.Exp(deviation*r.NormFloat64() - deviation*deviation/2)
	}
	return sum
}
