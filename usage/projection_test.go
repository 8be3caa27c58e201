package usage_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// march is the pace of a budget on tokens for March 2026, in UTC, at an instant.
func march(t testing.TB, instant string, recorded int64) usage.Pace {
	t.Helper()
	return usage.Pace{
		Metric: usage.Tokens, Period: between(t, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
		At: at(t, instant), Recorded: recorded,
	}
}

// hours returns what each hour of a span uses by the clock of a zone: as use says, for each hour of time.
func hours(span period.Bounds, zone *time.Location, use func(local time.Time) float64) (uses []usage.HourUse) {
	for start := span.Start; start.Before(span.End); {
		hour := usage.Hour.Bounds(start, zone)
		if units := int64(math.Round(use(hour.Start.In(zone)) * hour.Duration().Hours())); units > 0 {
			uses = append(uses, usage.HourUse{Start: hour.Start, Units: units})
		}
		start = hour.End
	}
	return uses
}

// total returns what hours used that begin in a span.
func total(uses []usage.HourUse, span period.Bounds) (units int64) {
	for _, h := range uses {
		if span.Contains(h.Start) {
			units += h.Units
		}
	}
	return units
}

// office is open on weekdays from 9 to 17, most of all on Monday.
func office(local time.Time) float64 {
	switch {
	case local.Weekday() == time.Saturday, local.Weekday() == time.Sunday, local.Hour() < 9, local.Hour() >= 17:
		return 0
	case local.Weekday() == time.Monday:
		return 3000
	default:
		return 1000
	}
}

// replayed returns a pace of the period that holds an instant, and what will have been used at its end.
func replayed(schedule period.Schedule, at time.Time, known time.Duration, use func(time.Time) float64) (usage.Pace, int64) {
	p, zone := schedule.Bounds(at), schedule.Location()
	since := usage.Hour.Bounds(at.Add(-known), zone).Start
	first := since
	if p.Start.Before(first) {
		first = p.Start
	}
	uses := hours(period.Bounds{Start: first, End: p.End}, zone, use)
	pace := usage.Pace{
		Metric: usage.Tokens, Period: p, Zone: zone, At: at, Since: since,
		Recorded: total(uses, period.Bounds{Start: p.Start, End: at}),
	}
	for _, h := range uses {
		if h.Start.Before(at) && !h.Start.Before(since) {
			pace.Hours = append(pace.Hours, h)
		}
	}
	return pace, total(uses, p)
}

const weeks = 7 * 24 * time.Hour

func TestRunRateGoesOnAsThePeriodWentSoFar(t *testing.T) {
	t.Parallel()
	berlin := period.Monthly.In(location(t, "Europe/Berlin"))
	tests := map[string]struct {
		change func(*usage.Pace)
		want   string
	}{
		"by real time":                       {func(*usage.Pace) {}, "310"},
		"rounded half up to 9 places":        {func(p *usage.Pace) { p.At = at(t, "2026-03-04T00:00:00Z") }, "1033.333333333"},
		"what was adjusted is no pace":       {func(p *usage.Pace) { p.Adjusted = 40 }, "350"},
		"what was taken back is no pace":     {func(p *usage.Pace) { p.Adjusted = -40 }, "270"},
		"dollars are billionths":             {func(p *usage.Pace) { p.Metric = usage.Dollars }, "0.00000031"},
		"dollars are rounded to a billionth": {func(p *usage.Pace) { p.Metric, p.Recorded = usage.Dollars, 5 }, "0.000000016"},
		"credits go further than they count": {func(p *usage.Pace) { p.Metric, p.At = usage.Credits, at(t, "2026-03-04T00:00:00Z") }, "0.001033333"},
		"a month of 743 hours": {func(p *usage.Pace) {
			p.Period, p.At = berlin.Bounds(p.At), at(t, "2026-02-28T23:00:00Z").Add(743*time.Hour/2)
		}, "200"},
		"a month of 745 hours": {func(p *usage.Pace) {
			p.Period, p.At = berlin.Bounds(at(t, "2026-10-05T00:00:00Z")), at(t, "2026-09-30T22:00:00Z").Add(745*time.Hour/5)
		}, "500"},
		"at most what int64 holds, many times": {func(p *usage.Pace) {
			p.Recorded, p.At = math.MaxInt64, at(t, "2026-03-03T00:00:00Z")
		}, "142962266571249025008.5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pace := march(t, "2026-03-11T00:00:00Z", 100)
			test.change(&pace)
			if got := pace.Project(usage.RunRate); got.Reason != "" || !got.Value.Equal(dec(test.want)) {
				t.Errorf("value %s, reason %q, want %s", got.Value, got.Reason, test.want)
			}
		})
	}
}

func TestProjectByDayCountsDaysThatHaveBegun(t *testing.T) {
	t.Parallel()
	berlin := period.Monthly.In(location(t, "Europe/Berlin"))
	tests := map[string]struct {
		schedule period.Schedule
		now      string
		current  string
		want     string // "": no number
	}{
		"on the first day already":                {period.Monthly, "2026-03-01T00:00:00Z", "5", "155"},
		"to the end of the first day":             {period.Monthly, "2026-03-01T23:59:59.999999Z", "5", "155"},
		"the second day begins at its start":      {period.Monthly, "2026-03-02T00:00:00Z", "5", "77.5"},
		"rounded to 9 places":                     {period.Monthly, "2026-03-03T12:00:00Z", "10", "103.333333333"},
		"a half is rounded up":                    {period.Monthly, "2026-03-02T12:00:00Z", "0.000000001", "0.000000016"},
		"the last but one day":                    {period.Monthly, "2026-03-30T23:59:59Z", "30", "31"},
		"not on the last day":                     {period.Monthly, "2026-03-31T00:00:00Z", "30", ""},
		"not without usage":                       {period.Monthly, "2026-03-15T00:00:00Z", "0", ""},
		"never by the hour":                       {period.Hourly, "2026-03-15T00:30:00Z", "5", ""},
		"never by the day":                        {period.Daily, "2026-03-15T00:30:00Z", "5", ""},
		"a week":                                  {period.Weekly, "2026-03-17T12:00:00Z", "4", "14"},
		"a year":                                  {period.Yearly, "2026-01-10T12:00:00Z", "10", "365"},
		"not for all time":                        {period.Lifetime, "2026-03-15T00:00:00Z", "5", ""},
		"31 days though one has 23 hours":         {berlin, "2026-03-01T12:00:00Z", "1", "31"},
		"31 days though one has 25 hours":         {berlin, "2026-10-01T12:00:00Z", "1", "31"},
		"a day and a bit more has begun a second": {period.Every(30, period.Hour, at(t, "2026-03-01T00:00:00Z")), "2026-03-01T01:00:00Z", "5", "10"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := at(t, test.now)
			got, ok := usage.ProjectByDay(dec(test.current), test.schedule.Bounds(now), now)
			if ok != (test.want != "") || ok && !got.Equal(dec(test.want)) {
				t.Errorf("projected %s, %t, want %q", got, ok, test.want)
			}
		})
	}
	if got, ok := usage.ProjectByDay(dec("5"), period.Monthly.Bounds(at(t, "2026-03-15T00:00:00Z")), at(t, "2026-04-01T00:00:00Z")); ok {
		t.Errorf("projected %s after the period, want nothing", got)
	}
}

func TestByDayIsThatOfWhatWasRecorded(t *testing.T) {
	t.Parallel()
	pace := march(t, "2026-03-10T12:00:00Z", 100)
	pace.Adjusted = -20
	if got := pace.Project(usage.ByDay); got.Method != usage.ByDay || !got.Value.Equal(dec("290")) {
		t.Errorf("%s projects %s, want by-day 310 − 20", got.Method, got.Value)
	}
}

func TestNoProjectionSaysWhy(t *testing.T) {
	t.Parallel()
	all := usage.Methods()
	tests := map[string]struct {
		methods []usage.Method
		change  func(*usage.Pace)
		want    usage.NoProjection
	}{
		"just before 5 percent":    {all, func(p *usage.Pace) { p.At = p.Period.Start.Add(31*24*time.Hour/20 - time.Microsecond) }, usage.TooEarly},
		"at the start":             {all, func(p *usage.Pace) { p.At = p.Period.Start }, usage.TooEarly},
		"too early, used or not":   {all, func(p *usage.Pace) { p.At, p.Recorded = p.Period.Start, 0 }, usage.TooEarly},
		"without usage":            {all, func(p *usage.Pace) { p.Recorded = 0 }, usage.NoUsage},
		"adjustments are no usage": {all, func(p *usage.Pace) { p.Recorded, p.Adjusted = 0, 5 }, usage.NoUsage},
		"before the period":        {all, func(p *usage.Pace) { p.At = p.Period.Start.Add(-time.Microsecond) }, usage.NotRunning},
		"the end is outside":       {all, func(p *usage.Pace) { p.At = p.Period.End }, usage.NotRunning},
		"no period":                {all, func(p *usage.Pace) { p.Period = period.Bounds{} }, usage.NotRunning},
		"all time":                 {all, func(p *usage.Pace) { p.Period = period.Lifetime.Bounds(p.At) }, usage.OpenPeriod},
		"open at the start":        {all, func(p *usage.Pace) { p.Period.Start = period.Lifetime.Bounds(p.At).Start }, usage.OpenPeriod},
		"open at the end":          {all, func(p *usage.Pace) { p.Period.End = period.Lifetime.Bounds(p.At).End }, usage.OpenPeriod},
		"by day on the last":       {[]usage.Method{usage.ByDay}, func(p *usage.Pace) { p.At = p.Period.End.Add(-24 * time.Hour) }, usage.LastDay},
		"no season without hours":  {[]usage.Method{usage.Seasonal}, func(*usage.Pace) {}, usage.ShortHistory},
		"no season of less than a week": {[]usage.Method{usage.Seasonal}, func(p *usage.Pace) {
			p.Since = p.At.Add(-8 * weeks)
			p.Hours = []usage.HourUse{{Start: usage.Day.Bounds(p.At.Add(-6*24*time.Hour), time.UTC).Start, Units: 100}}
		}, usage.ShortHistory},
		"no season known for less than a week": {[]usage.Method{usage.Seasonal}, func(p *usage.Pace) {
			p.Since = p.At.Add(-weeks + time.Hour)
			p.Hours = []usage.HourUse{{Start: p.At.Add(-2 * weeks), Units: 50}, {Start: p.Since, Units: 50}}
		}, usage.ShortHistory},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, m := range test.methods {
				pace := march(t, "2026-03-11T00:00:00Z", 100)
				test.change(&pace)
				want := usage.Projection{Method: m, Reason: test.want}
				if diff := cmp.Diff(want, pace.Project(m)); diff != "" {
					t.Errorf("projection (-want +got)\n%s", diff)
				}
			}
		})
	}
	pace := march(t, "2026-03-11T00:00:00Z", 100)
	pace.At = pace.Period.Start.Add(31 * 24 * time.Hour / 20)
	if got := pace.Project(usage.Auto); got.Reason != "" {
		t.Errorf("at 5 percent the reason is %q, want a projection", got.Reason)
	}
}

func TestAutoSaysWhichMethodItTook(t *testing.T) {
	t.Parallel()
	known, _ := replayed(period.Monthly, at(t, "2026-03-11T00:00:00Z"), 3*weeks, office)
	fresh, _ := replayed(period.Monthly, at(t, "2026-03-06T00:00:00Z"), 5*24*time.Hour, office)
	tests := map[string]struct {
		pace usage.Pace
		want usage.Projection
	}{
		"a season where it knows one": {known, known.Project(usage.Seasonal)},
		"else the run rate, and why": {fresh, func() usage.Projection {
			p := fresh.Project(usage.RunRate)
			p.Fallback = usage.ShortHistory
			return p
		}()},
	}
	for name, test := range tests {
		for _, m := range []usage.Method{usage.Auto, "", "guess"} {
			if diff := cmp.Diff(test.want, test.pace.Project(m)); diff != "" {
				t.Errorf("%s: %q (-want +got)\n%s", name, m, diff)
			}
		}
	}
}

func TestSeasonExpectsWhatTheHourOfTheWeekUsed(t *testing.T) {
	t.Parallel()
	berlin := location(t, "Europe/Berlin")
	tests := map[string]struct {
		schedule period.Schedule
		at       string
		known    time.Duration
		use      func(time.Time) float64
	}{
		"a week is enough":                {period.Monthly, "2026-03-09T00:00:00Z", weeks, office},
		"on a Friday evening":             {period.Monthly, "2026-03-13T17:00:00Z", 8 * weeks, office},
		"in the middle of an hour":        {period.Monthly, "2026-03-16T10:00:00Z", 8 * weeks, office},
		"a month with a day of 23 hours":  {period.Monthly.In(berlin), "2026-03-10T11:00:00Z", 8 * weeks, office},
		"a month with a day of 25 hours":  {period.Monthly.In(berlin), "2026-10-09T11:00:00Z", 8 * weeks, office},
		"at night, when the clock is set": {period.Monthly.In(berlin), "2026-10-09T11:00:00Z", 8 * weeks, func(t time.Time) float64 { return float64(100 * (24 - t.Hour())) }},
		"in a zone of half hours":         {period.Monthly.In(location(t, "Australia/Lord_Howe")), "2026-04-04T14:00:00Z", 8 * weeks, office},
		"in a zone of quarter hours":      {period.Monthly.In(location(t, "Asia/Kathmandu")), "2026-04-09T14:15:00Z", 8 * weeks, office},
		"a week":                          {period.Weekly, "2026-03-10T00:00:00Z", 4 * weeks, office},
		"a day":                           {period.Daily.In(berlin), "2026-03-10T12:00:00Z", 4 * weeks, office},
		"an hour":                         {period.Hourly, "2026-03-10T12:00:00Z", 4 * weeks, office},
		"a year":                          {period.Yearly, "2026-03-10T12:00:00Z", 8 * weeks, office},
		"what is from before Since":       {period.Yearly, "2026-09-10T12:00:00Z", 8 * weeks, office},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := at(t, test.at)
			if name == "an hour" { // at its start it is too early
				now = now.Add(30 * time.Minute)
			}
			pace, truth := replayed(test.schedule, now, test.known, test.use)
			if name == "an hour" {
				pace.Recorded, pace.Hours[len(pace.Hours)-1].Units = truth/2, truth/2
			}
			got := pace.Project(usage.Seasonal)
			if off := math.Abs(got.Value.InexactFloat64()/float64(truth) - 1); got.Reason != "" || off > 1e-9 {
				t.Errorf("value %s, reason %q, want %d", got.Value, got.Reason, truth)
			}
		})
	}
}

func TestLevelIsThatOfTheLastDays(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-03-21T00:00:00Z")
	from := func(day string, factor float64) func(time.Time) float64 {
		change := at(t, day)
		return func(local time.Time) float64 {
			if local.Before(change) {
				return office(local)
			}
			return factor * office(local)
		}
	}
	tests := map[string]struct {
		use     func(time.Time) float64
		atMost  float64 // error of the season
		atLeast float64 // of the run rate
	}{
		"twice as much, for four working days": {from("2026-03-17T00:00:00Z", 2), 0.03, 0.15},
		"half as much, since long":             {from("2026-02-10T00:00:00Z", 0.5), 0.01, 0},
		"ten times as much, for three weeks":   {from("2026-03-01T00:00:00Z", 10), 0.01, 0},
		"more and more, a tenth each week":     {func(l time.Time) float64 { return office(l) * math.Exp(-now.Sub(l).Hours()/(10*7*24)) }, 0.01, 0.05},
		"more and more, 2 percent a week":      {func(l time.Time) float64 { return office(l) * math.Exp(-now.Sub(l).Hours()/(50*7*24)) }, 0.02, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pace, truth := replayed(period.Monthly, now, 8*weeks, test.use)
			off := func(m usage.Method) float64 {
				return math.Abs(pace.Project(m).Value.InexactFloat64()/float64(truth) - 1)
			}
			if season, rate := off(usage.Seasonal), off(usage.RunRate); season > test.atMost || rate < test.atLeast {
				t.Errorf("errors %.3f of the season and %.3f of the run rate, want at most %.3f and at least %.3f", season, rate, test.atMost, test.atLeast)
			}
		})
	}
	t.Run("what was a spike does not come again", func(t *testing.T) {
		spike := at(t, "2026-03-03T10:00:00Z")
		use := func(local time.Time) float64 {
			if local.Equal(spike) {
				return 200 * office(local)
			}
			return office(local)
		}
		pace, truth := replayed(period.Monthly, now, 8*weeks, use)
		season, rate := pace.Project(usage.Seasonal).Value.InexactFloat64(), pace.Project(usage.RunRate).Value.InexactFloat64()
		if season > 1.03*float64(truth) || rate < 1.2*float64(truth) {
			t.Errorf("the season projects %.0f and the run rate %.0f, want %d and much more", season, rate, truth)
		}
	})
	t.Run("what comes again is no spike", func(t *testing.T) {
		use := func(local time.Time) float64 {
			if local.Weekday() == time.Tuesday && local.Hour() == 0 {
				return 1000 * 3600
			}
			return 3600
		}
		pace, truth := replayed(period.Monthly, now, 8*weeks, use)
		if off := math.Abs(pace.Project(usage.Seasonal).Value.InexactFloat64()/float64(truth) - 1); off > 1e-9 {
			t.Errorf("the error is %.3f, want none", off)
		}
	})
	t.Run("what was one spike and nothing since is used", func(t *testing.T) {
		once := at(t, "2026-02-03T05:00:00Z")
		pace, _ := replayed(period.Monthly, now, 8*weeks, func(local time.Time) float64 {
			if local.Equal(once) {
				return 50
			}
			return 0
		})
		pace.Recorded = 1
		if got := pace.Project(usage.Seasonal); got.Reason != "" || got.Value.LessThan(decimal.NewFromInt(1)) {
			t.Errorf("projects %s, %q, want a value", got.Value, got.Reason)
		}
	})
	t.Run("what has stopped may go on", func(t *testing.T) {
		pace, _ := replayed(period.Monthly, now, 8*weeks, from("2026-03-14T00:00:00Z", 0))
		if got := pace.Project(usage.Seasonal); !got.Value.GreaterThan(decimal.NewFromInt(pace.Recorded)) {
			t.Errorf("a week without usage projects %s, want more than the %d used", got.Value, pace.Recorded)
		}
	})
}

// Who used 10 tokens an hour uses 400, and nobody knows yet whether that is an accident.
func TestASpikeOfTheLastTwoDaysMayGoOn(t *testing.T) {
	t.Parallel()
	began := at(t, "2026-03-10T12:00:00Z")
	tests := map[string]struct {
		lasted, now     int // hours since it began
		atLeast, atMost int64
		passes          bool // the limit of 16,000
	}{
		"goes on for 3 hours":              {3, 3, 9_500, 10_000, false},
		"goes on for 6 hours":              {6, 6, 11_500, 12_500, false},
		"goes on for 12 hours":             {12, 12, 16_001, 17_500, true},
		"was over a day ago":               {12, 36, 16_001, 17_500, true},
		"was over two and a half days ago": {12, 72, 12_000, 12_250, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := began.Add(time.Duration(test.now) * time.Hour)
			pace, calm := replayed(period.Monthly, now, 50*24*time.Hour, func(local time.Time) float64 {
				if hours := local.Sub(began).Hours(); hours >= 0 && hours < float64(test.lasted) {
					return 400
				}
				return 10
			})
			pace.Limit = 16_000
			got := pace.Project(usage.Auto)
			if value := got.Value.IntPart(); value < test.atLeast || value > test.atMost || got.Passes.IsZero() == test.passes {
				t.Errorf("%d, passing the limit at %v; want from %d to %d, passing it %t", value, got.Passes, test.atLeast, test.atMost, test.passes)
			}
			if low, high := got.Low.IntPart(), got.High.IntPart(); low > calm || high < test.atLeast {
				t.Errorf("from %d to %d, want both %d, if it is over, and %d in it", low, high, calm, test.atLeast)
			}
		})
	}
}

func TestRangeIsTheWiderTheLessIsKnown(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-03-11T00:00:00Z")
	noisy := func(local time.Time) float64 { return office(local) * (0.5 + float64(local.YearDay()*7%10)/10) }
	steady, _ := replayed(period.Monthly, now, 8*weeks, office)
	varying, _ := replayed(period.Monthly, now, 8*weeks, noisy)
	unknown := steady
	unknown.Hours = nil
	width := func(p usage.Pace, m usage.Method) float64 {
		got := p.Project(m)
		return got.High.Sub(got.Low).Div(got.Value).InexactFloat64()
	}
	for _, pair := range []struct {
		what       string
		less, more usage.Pace
		method     usage.Method
	}{
		{"usage that varies", steady, varying, usage.Seasonal},
		{"no hours", varying, unknown, usage.RunRate},
	} {
		if less, more := width(pair.less, pair.method), width(pair.more, pair.method); less >= more {
			t.Errorf("%s: the range is %.3f of the value, want more than %.3f", pair.what, more, less)
		}
	}
	t.Run("usage that began in the period may go on as it did since", func(t *testing.T) {
		late := func(local time.Time) float64 {
			if local.Before(at(t, "2026-03-09T00:00:00Z")) {
				return 0
			}
			return 100
		}
		pace, truth := replayed(period.Monthly, at(t, "2026-03-11T00:00:00Z"), 8*weeks, late)
		if got := pace.Project(usage.RunRate); got.High.LessThan(decimal.NewFromInt(truth)) {
			t.Errorf("the range ends at %s, want %d in it", got.High, truth)
		}
	})
}

func TestPassesIsWhenTheLimitIsPassed(t *testing.T) {
	t.Parallel()
	steady := func(time.Time) float64 { return 1 }
	open, _ := replayed(period.Monthly, at(t, "2026-03-11T00:00:00Z"), 8*weeks, office)
	even, _ := replayed(period.Monthly, at(t, "2026-03-11T00:00:00Z"), 8*weeks, steady)
	late, _ := replayed(period.Monthly, at(t, "2026-03-11T00:00:00Z"), 5*24*time.Hour, steady)
	tests := map[string]struct {
		pace     usage.Pace
		method   usage.Method
		limit    int64
		adjusted int64
		passed   bool
		want     string // "": unknown, or not in this period
	}{
		"the run rate is even":                    {even, usage.RunRate, 480, 0, false, "2026-03-21T00:00:00Z"},
		"so are whole days":                       {even, usage.ByDay, 240 + 231, 0, false, "2026-03-22T02:48:17.999999Z"},
		"the season knows when the office opens":  {open, usage.Seasonal, open.Recorded, 0, false, "2026-03-11T09:00:00Z"},
		"and when it closes":                      {open, usage.Seasonal, open.Recorded + 3*8000, 0, false, "2026-03-16T09:00:00Z"},
		"within an hour usage is even":            {open, usage.Seasonal, open.Recorded + 2500, 0, false, "2026-03-11T11:30:00Z"},
		"a limit that is reached is not passed":   {even, usage.RunRate, 744, 0, false, ""},
		"what was adjusted counts":                {even, usage.RunRate, 480, 120, false, "2026-03-16T00:00:00Z"},
		"no limit is never passed":                {even, usage.RunRate, 0, 0, false, ""},
		"at the limit it passes next":             {even, usage.RunRate, 240, 0, false, "2026-03-11T00:00:00Z"},
		"passed already":                          {even, usage.RunRate, 100, 0, true, "2026-03-05T04:00:00Z"},
		"passed already, adjusted from the start": {even, usage.RunRate, 100, 30, true, "2026-03-03T22:00:00Z"},
		"passed by an adjustment alone":           {even, usage.RunRate, 100, 101, true, ""},
		"passed before the hours that are known":  {late, usage.RunRate, 100, 0, true, ""},
		"passed within the hours that are known":  {late, usage.RunRate, 150, 0, true, "2026-03-07T06:00:00Z"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.pace.Limit, test.pace.Adjusted = test.limit, test.adjusted
			got := test.pace.Project(test.method)
			var passes string
			if !got.Passes.IsZero() {
				passes = got.Passes.Format(time.RFC3339Nano)
			}
			if got.Passed != test.passed || passes != test.want {
				t.Errorf("passed %t, passes %q, want %t, %q", got.Passed, passes, test.passed, test.want)
			}
		})
	}
	t.Run("also where it is too early to project", func(t *testing.T) {
		pace := march(t, "2026-03-01T12:00:00Z", 12)
		pace.Limit, pace.Since, pace.Hours = 6, pace.Period.Start, hours(pace.Period, time.UTC, steady)
		want := usage.Projection{Method: usage.Auto, Reason: usage.TooEarly, Passed: true, Passes: at(t, "2026-03-01T06:00:00Z")}
		if diff := cmp.Diff(want, pace.Project(usage.Auto)); diff != "" {
			t.Errorf("projection (-want +got)\n%s", diff)
		}
	})
}

func TestCourseEndsAtTheProjection(t *testing.T) {
	t.Parallel()
	pace, _ := replayed(period.Monthly, at(t, "2026-03-11T00:00:00Z"), 8*weeks, office)
	pace.Adjusted = 500
	noon, evening := at(t, "2026-03-11T13:00:00Z"), at(t, "2026-03-11T17:00:00Z")
	tests := map[usage.Method][]string{ // now, at 13:00, at 17:00
		usage.Seasonal: {"88500", "92500", "96500"},
		usage.RunRate:  {"88500", "93266.666666667", "94733.333333333"},
	}
	for m, want := range tests {
		course := pace.Course(m, pace.Period.Start, noon, evening, pace.Period.End, pace.Period.End.AddDate(0, 0, 1))
		end := pace.Project(m).Value.String()
		var got []string
		for _, d := range course {
			got = append(got, d.String())
		}
		if diff := cmp.Diff(append(want, end, end), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", m, diff)
		}
	}
	pace.At = pace.Period.Start
	if course := pace.Course(usage.Auto, noon); course != nil {
		t.Errorf("without a projection the course is %v", course)
	}
}

func TestWhatHoursAreNotKnownFromIsPassedOver(t *testing.T) {
	t.Parallel()
	pace, _ := replayed(period.Monthly, at(t, "2026-03-11T00:00:00Z"), 8*weeks, office)
	want := pace.Project(usage.Seasonal)
	pace.Hours = append([]usage.HourUse{{Start: pace.Since.Add(-time.Hour), Units: 1e9}}, pace.Hours...)
	pace.Hours = append(pace.Hours, usage.HourUse{Start: pace.At, Units: 1e9})
	if diff := cmp.Diff(want, pace.Project(usage.Seasonal)); diff != "" {
		t.Errorf("with hours outside (-without +with)\n%s", diff)
	}
}

func TestParseMethodReadsWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, m := range usage.Methods() {
		if got, err := usage.ParseMethod(string(m)); got != m || err != nil {
			t.Errorf("ParseMethod(%q) = %q, %v", m, got, err)
		}
	}
	_, err := usage.ParseMethod("linear")
	if diff := cmp.Diff([]string{"method: must be one of auto, run-rate, by-day and seasonal"}, findings(t, err)); diff != "" {
		t.Errorf("findings (-want +got)\n%s", diff)
	}
}

func TestProjectionJSON(t *testing.T) {
	t.Parallel()
	pace := march(t, "2026-03-11T00:00:00Z", 100)
	pace.Limit = 155
	early := pace
	early.At = early.Period.Start
	tests := map[string]struct {
		projection usage.Projection
		want       string
	}{
		"numbers": {
			func() usage.Projection {
				p := pace.Project(usage.Auto)
				p.Low, p.High = dec("200.10"), dec("1e3")
				return p
			}(),
			`{"method":"run-rate","fallback":"short_history","reason":null,"value":310,"low":200.1,"high":1000,` +
				`"coverage_percent":80,"passed":false,"passes_at":"2026-03-16T12:00:00Z"}`,
		},
		"none": {
			early.Project(usage.Auto),
			`{"method":"auto","fallback":null,"reason":"too_early","value":null,"low":null,"high":null,` +
				`"coverage_percent":80,"passed":false,"passes_at":null}`,
		},
	}
	for name, test := range tests {
		got, err := json.Marshal(test.projection)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %s, %v\nwant %s", name, got, err, test.want)
		}
	}
}

// paces draws paces of any period in any zone, with hours of any kind.
func paces(t testing.TB) *rapid.Generator[usage.Pace] {
	places := zones(t)
	schedules := []period.Schedule{period.Hourly, period.Daily, period.Weekly, period.Monthly, period.Quarterly}
	return rapid.Custom(func(t *rapid.T) usage.Pace {
		schedule, err := rapid.SampledFrom(schedules).Draw(t, "schedule").InZone(rapid.SampledFrom(places).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		zone := schedule.Location()
		p := schedule.Bounds(time.Unix(rapid.Int64Range(1e9, 2e9).Draw(t, "second"), 0))
		length := p.Duration().Microseconds()
		pace := usage.Pace{
			Metric: rapid.SampledFrom(usage.Metrics()).Draw(t, "metric"), Period: p, Zone: zone,
			At:       p.Start.Add(time.Duration(rapid.Int64Range(length/20, length-1).Draw(t, "at")) * time.Microsecond),
			Limit:    rapid.Int64Range(0, 1e15).Draw(t, "limit"),
			Adjusted: rapid.Int64Range(0, 1e12).Draw(t, "adjusted"),
		}
		pace.Since = pace.At.Add(-time.Duration(rapid.Int64Range(0, int64(9*weeks)).Draw(t, "known")))
		from := rapid.Int64Range(0, 10).Draw(t, "tenths until the first")
		first := pace.Since.Add(pace.At.Sub(pace.Since) / 10 * time.Duration(from))
		until := pace.At.Add(-pace.At.Sub(first) / 10 * time.Duration(rapid.Int64Range(0, 10).Draw(t, "tenths since the last")))
		few := rapid.Uint64Range(1, 300).Draw(t, "one of")
		seed, most := rapid.Uint64().Draw(t, "seed"), rapid.Int64Range(1, 1e12).Draw(t, "most")
		pace.Hours = hours(period.Bounds{Start: pace.Since, End: pace.At}, zone, func(local time.Time) float64 {
			seed = seed*6364136223846793005 + 1442695040888963407
			if local.Before(first) || local.After(until) || seed>>40%few != 0 {
				return 0
			}
			return float64(int64(seed>>33)%most) * float64(seed>>60%3)
		})
		pace.Recorded = total(pace.Hours, period.Bounds{Start: p.Start, End: pace.At}) + rapid.Int64Range(0, 1000).Draw(t, "more")
		return pace
	})
}

func TestProjectionsOfAnyPaceMakeSense(t *testing.T) {
	generator := paces(t)
	check(t, func(t *rapid.T) {
		pace := generator.Draw(t, "pace")
		used, limit := pace.Metric.Decimal(pace.Recorded+pace.Adjusted), pace.Metric.Decimal(pace.Limit)
		passed := pace.Limit > 0 && used.GreaterThan(limit)
		for _, m := range usage.Methods() {
			got := pace.Project(m)
			if got.Passed != passed {
				t.Fatalf("%s: passed %t, used %s of %s", m, got.Passed, used, limit)
			}
			if got.Reason != "" {
				continue
			}
			if got.Low.LessThan(used) || got.Value.LessThan(got.Low) || got.High.LessThan(got.Value) {
				t.Fatalf("%s: low %s, value %s, high %s, used %s", m, got.Low, got.Value, got.High, used)
			}
			if got.Value.Exponent() < -9 || got.Low.Exponent() < -9 || got.High.Exponent() < -9 {
				t.Fatalf("%s: %s, %s, %s: more than 9 places", m, got.Low, got.Value, got.High)
			}
			will := pace.Limit > 0 && !passed && got.Value.GreaterThan(limit)
			ahead := period.Bounds{Start: pace.At, End: pace.Period.End}
			if !passed && will != !got.Passes.IsZero() || will && !ahead.Contains(got.Passes) {
				t.Fatalf("%s: passes %s, value %s, limit %s, from %s to %s", m, got.Passes, got.Value, limit, ahead.Start, ahead.End)
			}
		}
	})
}

func TestRunRateIsExact(t *testing.T) {
	generator := paces(t)
	check(t, func(t *rapid.T) {
		pace := generator.Draw(t, "pace")
		got := pace.Project(usage.RunRate)
		if got.Reason != "" {
			return
		}
		exact := new(big.Rat).Mul(pace.Metric.Decimal(pace.Recorded).Rat(), big.NewRat(
			pace.Period.Duration().Microseconds(), pace.At.Sub(pace.Period.Start).Microseconds()))
		exact.Add(exact, pace.Metric.Decimal(pace.Adjusted).Rat())
		if off := exact.Sub(exact, got.Value.Rat()); off.Abs(off).Cmp(big.NewRat(1, 2e9)) > 0 {
			t.Fatalf("value %s is off by %s", got.Value, off.FloatString(12))
		}
	})
}

func TestEvenUsageIsProjectedEvenlyInEveryZone(t *testing.T) {
	generator := paces(t)
	check(t, func(t *rapid.T) {
		pace := generator.Draw(t, "pace")
		pace.Metric, pace.Adjusted, pace.Since = usage.Tokens, 0, pace.At.Add(-3*weeks)
		even := func(time.Time) float64 { return 3.6e9 } // one per microsecond
		pace.Hours = hours(period.Bounds{Start: pace.Since, End: pace.At}, pace.Zone, even)
		last := &pace.Hours[len(pace.Hours)-1]
		last.Units = pace.At.Sub(last.Start).Microseconds()
		pace.Since = pace.Hours[0].Start
		pace.Recorded = pace.At.Sub(pace.Period.Start).Microseconds()
		truth := float64(pace.Period.Duration().Microseconds())
		for _, m := range []usage.Method{usage.RunRate, usage.Seasonal} {
			if got := pace.Project(m).Value.InexactFloat64(); math.Abs(got/truth-1) > 1e-9 {
				t.Fatalf("%s: value %g, want %g", m, got, truth)
			}
		}
	})
}
