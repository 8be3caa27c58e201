package usage

import "math"

// A dayUse is what 24 hours used, and what was expected of them.
type dayUse struct {
	used, expected float64
	squares        float64 // of what each hour used
}

// dayUses are successive days, the oldest first, which may be shorter.
type dayUses []dayUse

// sum returns what all days used, and what was expected of them.
func (days dayUses) sum() (sum dayUse) {
	for _, d := range days {
		sum.used += d.used
		sum.expected += d.expected
		sum.squares += d.squares
	}
	return sum
}

// level returns the ratio of what was used to what was expected in the last days, so many at most.
func (days dayUses) level(most int) float64 {
	sum := days[max(0, len(days)-most):].sum()
	if sum.expected == 0 {
		return 0
	}
	return sum.used / sum.expected
}

const (
	spikes      = 3.0 // times as much as any other day a spike used
	openDays    = 2   // the last ones, a spike of which may go on
	trendWeeks  = 4   // that a trend shows in at least, and goes on for at most
	mostTrend   = 0.25
	trendErrors = 7.0 // the square of by how many standard errors a trend of many weeks differs from none
)

// spike returns the day that used more than several times as much as any other, and what part of it the next one used; -1 if
// there is none.
func (days dayUses) spike() (at int, part float64) {
	most, next := 0, 0.0
	for i, d := range days {
		if d.used > days[most].used {
			most, next = i, days[most].used
		} else if i != most {
			next = max(next, d.used)
		}
	}
	if next == 0 || days[most].used <= spikes*next {
		return -1, 1
	}
	return most, next / days[most].used
}

// trend returns by how much the logarithm of the level grows in a week: the slope of a line through the weeks, drawn to 0 as
// far as that may be chance.
func (days dayUses) trend() float64 {
	n := len(days) / weekDays
	if n < trendWeeks {
		return 0
	}
	days = days[len(days)-n*weekDays:]
	if days.sum().used == 0 {
		return 0
	}
	ratio := days.logarithm()
	var sx, xx, sy, yy, xy float64
	for k := range n {
		week := days[k*weekDays:][:weekDays].sum()
		if week.expected == 0 {
			return 0
		}
		x, y := float64(k)-float64(n-1)/2, ratio(week)
		sx, xx, sy, yy, xy = sx+x, xx+x*x, sy+y, yy+y*y, xy+x*y
	}
	slope := xy / xx
	if slope == 0 {
		return 0
	}
	rest := max((yy-sy*sy/float64(n)-slope*xy)/float64(n-2), alikeDays)
	slope *= max(0, 1-trendErrors*float64(n)/float64(n-3)*rest/xx/(slope*slope))
	return max(-mostTrend, min(slope, mostTrend))
}

// logarithm returns the logarithm of what some of the days used over what was expected of them. That of none is finite.
func (days dayUses) logarithm() func(dayUse) float64 {
	all := days.sum()
	floor := spreadFloor * all.used / all.expected
	return func(d dayUse) float64 { return math.Log(d.used/d.expected + floor) }
}

const (
	changeErrors = 7.0  // standard errors by which two levels differ
	changeDays   = 2    // that each of them lasts at least
	faintDay     = 0.02 // a day of which less than that part of the mean is expected says nothing about the level
	logFloor     = 0.1  // so that a day without usage has a logarithm
	alikeDays    = 1e-4 // the least variance: days that are all but alike would differ by any trifle
)

// changed returns since which day the level has not changed.
func (days dayUses) changed() int {
	x := days.logRatios()
	since := 0
	for {
		cut, errors := x.cut()
		if errors < changeErrors {
			return since
		}
		x = x[cut:]
		since = x[0].day
	}
}

// A logRatio is by how much a day was above or below what was expected of it.
type logRatio struct {
	day    int
	x      float64
	weight float64
}

type logRatios []logRatio

func (days dayUses) logRatios() logRatios {
	mean := 0.0
	for _, d := range days {
		mean += d.expected / float64(len(days))
	}
	x := make(logRatios, 0, len(days))
	for i, d := range days {
		if d.expected > faintDay*mean {
			x = append(x, logRatio{i, math.Log(d.used/d.expected + logFloor), math.Sqrt(min(1, d.expected/mean))})
		}
	}
	return x
}

// moments are sums of weights, and of weighted values and squares.
type moments struct{ w, x, xx float64 }

func (m *moments) add(r logRatio) {
	m.w += r.weight
	m.x += r.weight * r.x
	m.xx += r.weight * r.x * r.x
}

func (m moments) minus(o moments) moments { return moments{m.w - o.w, m.x - o.x, m.xx - o.xx} }

func (m moments) mean() float64 { return m.x / m.w }

// squares returns the sum of the squared distances from the mean.
func (m moments) squares() float64 { return m.xx - m.x*m.x/m.w }

// cut returns where x falls into the two parts whose means differ by most standard errors, and by how many. It is 0 if there
// are too few days.
func (x logRatios) cut() (at int, errors float64) {
	if len(x) < 2*changeDays+2 {
		return 0, 0
	}
	var all, old moments
	for _, r := range x {
		all.add(r)
	}
	for i, r := range x[:len(x)-changeDays] {
		old.add(r)
		if i+1 < changeDays {
			continue
		}
		if e := x.difference(i+1, old, all.minus(old)); e > errors {
			at, errors = i+1, e
		}
	}
	return at, errors
}

// difference returns by how many standard errors the means of x before and from a cut differ.
func (x logRatios) difference(cut int, old, recent moments) float64 {
	var squares, products, before float64
	for i, r := range x {
		rest := r.x - old.mean()
		if i >= cut {
			rest = r.x - recent.mean()
		}
		squares += rest * rest
		products += rest * before
		before = rest
	}
	// If a day takes after the one before it, so many know no more than (1−c)/(1+c) times as many that don't, c being their
	// correlation.
	c := min(max(products/max(squares, alikeDays), 0), 0.9)
	n := float64(len(x))
	variance := max((old.squares()+recent.squares())/(old.w+recent.w), alikeDays) * n / (n - 2) * (1 + c) / (1 - c)
	return math.Abs(old.mean()-recent.mean()) / math.Sqrt(variance*(1/old.w+1/recent.w))
}

const (
	usualSpread = 0.05 // beside what the hours say
	anySpread   = 0.2  // where there are no hours
	firstWeeks  = 0.35 // by how much more the run rate errs in the first weeks, since it knows of no days of the week
	usualWeeks  = 0.5  // as many weeks as that counts for beside what is known
	leastSpread = 0.01
	mostSpread  = 1.5  // ranges that are wider yet say nothing
	spreadFloor = 0.05 // of the mean, so that a week without usage has a logarithm
	weekDays    = 7
)

// spread returns how far off projections of a week, and of as many days as are left, were that were made on each of these days
// from the level of at most so many days before it: the root of the mean square of the logarithm of used over expected. As
// many days as are left are looked at where that is no more than a third of those known. The less there is to go by, the
// more it is drawn to what is usual.
func (days dayUses) spread(most int, left float64) float64 {
	squares, n := days.errors(most, weekDays)
	if left := int(min(math.Round(left), float64(len(days)/3))); left > weekDays {
		more, m := days.errors(most, left)
		squares, n = squares+more, n+m
	}
	if n == 0 {
		return days.usual()
	}
	known, weeks := math.Log(max(math.Sqrt(squares/n), leastSpread)), n/weekDays
	return math.Exp((weeks*known + usualWeeks*math.Log(days.usual())) / (weeks + usualWeeks))
}

// errors returns the sum of the squared errors of projections of so many days, and how many there are.
func (days dayUses) errors(most, ahead int) (squares, n float64) {
	ratio := days.logarithm()
	for i := min(most, weekDays); i+ahead <= len(days); i++ {
		past, then := days[max(0, i-most):i].sum(), days[i:i+ahead].sum()
		if past.expected > 0 && then.expected > 0 {
			squares += math.Pow(ratio(then)-ratio(past), 2)
			n++
		}
	}
	return squares, n
}

// usual returns how far off projections of a week are where the hours differ as these do, as if it were by chance in which of
// them what was used: the fewer hours make up most of it, the more.
func (days dayUses) usual() float64 {
	all := days.sum()
	if all.used == 0 {
		return anySpread
	}
	hours := all.used * all.used / all.squares // that use the same would come to the same
	return math.Sqrt(usualSpread*usualSpread + float64(len(days))/weekDays/hours)
}
