package usage

import (
	"fmt"
	"time"

	"github.com/purser-go/purser/period"
)

// A Grain is a level at which sums are kept.
type Grain uint8

// The grains, each finer than the next.
const (
	Raw          Grain = iota // single events
	QuarterHours              // of UTC: since 1980 every zone's hours and days begin at one
	Days                      // of the reporting zone
	Months                    // of the reporting zone
)

// String returns g's name.
func (g Grain) String() string {
	switch g {
	case Raw:
		return "raw"
	case QuarterHours:
		return "quarter hour"
	case Days:
		return "day"
	case Months:
		return "month"
	default:
		return fmt.Sprintf("grain %d", uint8(g))
	}
}

// bounds returns the g that t falls in. Raw has none.
func (g Grain) bounds(t time.Time, zone *time.Location) period.Bounds {
	switch g {
	case Months:
		return Month.Bounds(t, zone)
	case Days:
		return Day.Bounds(t, zone)
	default:
		start := t.UTC().Truncate(15 * time.Minute)
		return period.Bounds{Start: start, End: start.Add(15 * time.Minute)}
	}
}

// A Slice is a part of a span that is read at one grain. Unless that is [Raw], its bounds fall on the grain's own.
type Slice struct {
	Grain Grain
	period.Bounds
}

// Cover cuts span into slices, ascending and without gap or overlap, such that each is read at the coarsest grain that is
// not above coarsest and fits: whole months in the middle, then whole days, whole quarter hours, and raw edges where span
// begins or ends inside a quarter hour. zone is the reporting zone, as for [Bucket.Bounds]. Since 1980 there are never more
// than seven slices, however long span is. Of a span that goes beyond [period.Lifetime] only what lies within is cut.
func Cover(span period.Bounds, zone *time.Location, coarsest Grain) []Slice {
	return appendCover(nil, span.Intersect(calendar), zone, coarsest)
}

func appendCover(slices []Slice, span period.Bounds, zone *time.Location, g Grain) []Slice {
	switch {
	case !span.Start.Before(span.End):
		return slices
	case g == Raw:
		return append(slices, Slice{Raw, span})
	}
	whole := period.Bounds{Start: g.ceil(span.Start, zone), End: g.floor(span.End, zone)}
	if !whole.Start.Before(whole.End) {
		return appendCover(slices, span, zone, g-1)
	}
	slices = appendCover(slices, period.Bounds{Start: span.Start, End: whole.Start}, zone, g-1)
	slices = append(slices, Slice{g, whole})
	return appendCover(slices, period.Bounds{Start: whole.End, End: span.End}, zone, g-1)
}

// ceil returns the first bound of g that is not before t.
func (g Grain) ceil(t time.Time, zone *time.Location) time.Time {
	if b := g.bounds(t, zone); b.Start.Before(t) {
		return b.End
	}
	return t
}

// floor returns the last bound of g that is not after t.
func (g Grain) floor(t time.Time, zone *time.Location) time.Time {
	// Not the bounds of t itself: the end of the last period of all lies in none.
	if b := g.bounds(t.Add(-time.Nanosecond), zone); b.End.After(t) {
		return b.Start
	}
	return t
}
