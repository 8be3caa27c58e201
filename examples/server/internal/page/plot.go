package page

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A plot is a table of numbers, which the browser draws.
type plot struct {
	ID      string
	Caption string
	First   string // heads the column of buckets
	Unit    string // before or behind numbers on the axis: "$", or ""
	Series  []series
	Rows    []plotRow

	Open        bool // the table stands there unfolded
	NewestFirst bool // in the table; what is drawn goes from left to right
}

// A series is a column. Its kind says how it is drawn: bars, line, dashes, low and high (the edges of a band) or limit; ""
// is only in the table.
type series struct{ Name, Kind string }

// A plotRow is a bucket with one cell per series; nil: there is no number.
type plotRow struct {
	Start string // as an instant, by which it is known among the rows
	Name  string
	Cells []*quantity
}

func newPlotRow(b usage.Bucket, start time.Time, zone *time.Location, cells ...*quantity) plotRow {
	return plotRow{start.UTC().Format(time.RFC3339), bucketName(b, start, zone), cells}
}

func unitOf(m usage.Metric) string {
	if m == usage.Dollars {
		return "$"
	}
	return ""
}

// costPlot plots what points cost.
func costPlot(id, caption string, b usage.Bucket, zone *time.Location, points []usage.Point) plot {
	p := plot{
		ID: id, Caption: caption, First: bucketTitle(b), Unit: "$",
		Series: []series{{"Cost", "bars"}, {"Tokens", ""}, {"Requests", ""}},
	}
	for _, point := range points {
		p.Rows = append(p.Rows, newPlotRow(b, point.Start, zone,
			new(cost(point.Totals)), new(whole(point.TotalTokens)), new(whole(point.Requests))))
	}
	return p
}

func bucketTitle(b usage.Bucket) string {
	return map[usage.Bucket]string{usage.Hour: "Hour", usage.Day: "Day", usage.Week: "Week", usage.Month: "Month"}[b]
}

// historyPlot plots what a budget counted.
func historyPlot(b budget.Budget, points []budget.HistoryPoint) plot {
	p := plot{
		ID: "history-plot", Caption: "Usage per day, in " + metricName(b.Metric), First: "Day", Unit: unitOf(b.Metric),
		Series: []series{{"Used", "bars"}, {"Tokens", ""}, {"Requests", ""}, {"Cost", ""}},
	}
	for _, point := range points {
		p.Rows = append(p.Rows, newPlotRow(usage.Day, point.Start, b.Schedule.Location(),
			new(amountOf(b.Metric, point.Used)), new(whole(point.TotalTokens)), new(whole(point.Requests)), new(cost(point.Totals))))
	}
	return p
}

// courseBucket returns by which steps to show the course of a period, of which there are at most some four hundred; "" for one
// that is too short or too long for that.
func courseBucket(p period.Bounds) usage.Bucket {
	const day = 24 * time.Hour
	switch length := p.Duration(); {
	case length < 2*time.Hour:
		return ""
	case length <= 3*day:
		return usage.Hour
	case length <= 400*day:
		return usage.Day
	case length <= 400*28*day:
		return usage.Month
	default:
		return ""
	}
}

// coursePlot plots how much of a budget is used in the course of its period, and where that is going: points are all buckets
// of the period, in ascending order. What was adjusted is taken as if it had been so from the start.
func coursePlot(projection budget.Projection, by usage.Bucket, points []budget.HistoryPoint) plot {
	b, now := projection.Status.Budget, projection.Pace.At
	p := plot{
		ID: "course-plot", Caption: "Used by the end of each " + string(by) + ", in " + metricName(b.Metric),
		First: bucketTitle(by), Unit: unitOf(b.Metric),
		Series: []series{{"Used", "line"}, {"Expected", "dashes"}, {"At least", "low"}, {"At most", "high"}, {"Limit", "limit"}},
	}
	course := projectedCourse(projection, points)
	used := projection.Status.Adjusted
	for i, point := range points {
		used = used.Add(point.Used)
		cells := make([]*quantity, len(p.Series))
		if !point.Start.After(now) {
			cells[0] = new(amountOf(b.Metric, used))
		}
		for j, expected := range course[i] {
			cells[1+j] = new(amountOf(b.Metric, expected))
		}
		cells[4] = new(amountOf(b.Metric, b.Limit))
		p.Rows = append(p.Rows, newPlotRow(by, point.Start, b.Schedule.Location(), cells...))
	}
	return p
}

// projectedCourse returns what is expected to be used at the end of each bucket that is not over, and the range of that, which
// widens from nothing to the projection's as what is to come, comes. Buckets that are over have nothing.
func projectedCourse(projection budget.Projection, points []budget.HistoryPoint) [][]decimal.Decimal {
	course := make([][]decimal.Decimal, len(points))
	ends := make([]time.Time, len(points))
	for i, point := range points {
		ends[i] = point.End
	}
	expected := projection.Pace.Course(projection.Method, ends...)
	used := projection.Status.Used
	coming := projection.Value.Sub(used)
	for i, value := range expected {
		if !points[i].End.After(projection.Pace.At) {
			continue
		}
		low, high := value, value
		if coming.IsPositive() {
			part := value.Sub(used).Div(coming)
			low = used.Add(projection.Low.Sub(used).Mul(part)).Round(projection.Pace.Metric.Scale())
			high = used.Add(projection.High.Sub(used).Mul(part)).Round(projection.Pace.Metric.Scale())
		}
		course[i] = []decimal.Decimal{value.Round(projection.Pace.Metric.Scale()), low, high}
	}
	return course
}
