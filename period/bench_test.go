package period_test

import (
	"testing"
	"time"

	"github.com/purser-go/purser/period"
)

func BenchmarkBounds(b *testing.B) {
	newYork := location(b, "America/New_York")
	instant := time.Date(2026, time.March, 9, 12, 34, 56, 789, time.UTC)
	for _, s := range []period.Schedule{
		period.Monthly,
		period.Hourly.In(newYork),
		period.Daily.In(newYork),
		period.Weekly.In(newYork),
		period.Monthly.In(newYork),
		period.Yearly.In(newYork),
		period.Every(6, period.Hour, instant),
		period.Every(14, period.Day, instant).In(newYork),
		period.Lifetime,
	} {
		b.Run(s.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Bounds(instant)
			}
		})
	}
}
