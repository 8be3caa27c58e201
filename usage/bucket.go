package usage

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
)

// A Bucket is the width of one step of a history.
type Bucket string

// The buckets, by the clocks and the calendar of a time zone. Weeks start on Monday.
const (
	Hour  Bucket = "hour"
	Day   Bucket = "day"
	Week  Bucket = "week"
	Month Bucket = "month"
)

// ParseBucket returns the bucket named s, or a [*FieldError].
func ParseBucket(s string) (Bucket, error) {
	switch b := Bucket(s); b {
	case Hour, Day, Week, Month:
		return b, nil
	default:
		return "", invalid.Field("bucket", "must be one of hour, day, week and month")
	}
}

// Bounds returns the bucket that t falls in, the zero Bounds if t lies outside the years 1 to 9998. loc is a zone of the
// IANA database, UTC if nil. It panics if b is none of the four, and if loc is a zone that [period.Schedule.In] can't take,
// such as [time.Local].
func (b Bucket) Bounds(t time.Time, loc *time.Location) period.Bounds {
	return b.schedule(loc).Bounds(t)
}

func (b Bucket) schedule(loc *time.Location) period.Schedule {
	var schedule period.Schedule
	switch b {
	case Hour:
		schedule = period.Hourly
	case Day:
		schedule = period.Daily
	case Week:
		schedule = period.Weekly
	case Month:
		schedule = period.Monthly
	}
	schedule = schedule.In(loc)
	if err := schedule.Validate(); err != nil {
		panic(fmt.Sprintf("usage: bucket %q in %v: %v", b, loc, err))
	}
	return schedule
}

// calendar is what buckets tile.
var calendar = period.Lifetime.Bounds(MinTime)

// A Point is one bucket of a history.
type Point struct {
	period.Bounds
	Totals
}

// Gather sums rows into the buckets that their times fall in, and returns those that have a row, ascending. The order of
// rows does not matter. Where a sum would not fit, the error unwraps to [ErrOverflow].
func Gather(b Bucket, loc *time.Location, rows iter.Seq2[time.Time, Totals]) ([]Point, error) {
	schedule := b.schedule(loc)
	points := make(map[int64]Point) // by start: a time.Time as key would tell equal instants apart
	var bounds period.Bounds        // of the last row: rows mostly come in order
	for t, row := range rows {
		if !bounds.Contains(t) {
			bounds = schedule.Bounds(t)
		}
		start := bounds.Start.UnixMicro()
		sum, err := points[start].Add(row)
		if err != nil {
			return nil, fmt.Errorf("usage of the %s of %s: %w", b, bounds.Start.Format(time.RFC3339), err)
		}
		points[start] = Point{bounds, sum}
	}
	return slices.SortedFunc(maps.Values(points), func(p, q Point) int { return p.Start.Compare(q.Start) }), nil
}

// Fill returns one point for every bucket that overlaps span, ascending: that of points, as [Gather] returns them for the
// same bucket and zone, or zeros. Points outside span are left out. It makes as many points as span has buckets: the caller
// bounds it. Of a span that goes beyond [period.Lifetime] only what lies within counts.
func Fill(points []Point, span period.Bounds, b Bucket, loc *time.Location) []Point {
	known := make(map[int64]Totals, len(points))
	for _, p := range points {
		known[p.Start.UnixMicro()] = p.Totals
	}
	schedule := b.schedule(loc)
	span = span.Intersect(calendar)
	var filled []Point
	for at := span.Start; at.Before(span.End); {
		bounds := schedule.Bounds(at)
		filled = append(filled, Point{bounds, known[bounds.Start.UnixMicro()]})
		at = bounds.End
	}
	return filled
}
