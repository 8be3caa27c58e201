package period_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/period"
)

func TestBoundsAreHalfOpen(t *testing.T) {
	t.Parallel()
	b := between(t, "2024-05-01", "2024-06-01")
	for _, test := range []struct {
		rule string
		at   time.Time
		want bool
	}{
		{"start is inclusive", b.Start, true},
		{"before the start is outside", b.Start.Add(-1), false},
		{"just before the end is inside", b.End.Add(-1), true},
		{"end is exclusive", b.End, false},
		{"the location does not matter", b.Start.In(location(t, "Asia/Tokyo")), true},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			if got := b.Contains(test.at); got != test.want {
				t.Errorf("Contains(%v) = %v", test.at, got)
			}
		})
	}
}

func TestZeroBoundsContainNothing(t *testing.T) {
	t.Parallel()
	var b period.Bounds
	if !b.IsZero() || b.Contains(time.Time{}) || b.Contains(at(t, "2024-05-01")) || b.Duration() != 0 {
		t.Errorf("zero Bounds: IsZero %v, contains the zero time %v, lasts %v", b.IsZero(), b.Contains(time.Time{}), b.Duration())
	}
	if (period.Bounds{End: at(t, "2024-05-01")}).IsZero() || period.Lifetime.Bounds(at(t, "2024-05-01")).IsZero() {
		t.Error("bounds that start at the zero time are taken for none")
	}
}

func TestLastIsAMicrosecondBeforeTheEnd(t *testing.T) {
	t.Parallel()
	want := at(t, "2024-05-31T23:59:59.999999Z")
	if got := between(t, "2024-05-01", "2024-06-01").Last(); !got.Equal(want) {
		t.Errorf("Last() = %v, want %v", got, want)
	}
}

func TestIntersect(t *testing.T) {
	t.Parallel()
	may := between(t, "2024-05-01", "2024-06-01")
	for _, test := range []struct {
		rule        string
		other, want period.Bounds
	}{
		{"of the same is the same", may, may},
		{"with lifetime changes nothing", period.Lifetime.Bounds(may.Start), may},
		{"cuts the start", between(t, "2024-05-10", "2024-07-01"), between(t, "2024-05-10", "2024-06-01")},
		{"cuts the end", between(t, "2024-04-10", "2024-05-20"), between(t, "2024-05-01", "2024-05-20")},
		{"cuts both", between(t, "2024-05-10", "2024-05-20"), between(t, "2024-05-10", "2024-05-20")},
		{"of neighbours is zero", between(t, "2024-06-01", "2024-07-01"), period.Bounds{}},
		{"of strangers is zero", between(t, "2025-06-01", "2025-07-01"), period.Bounds{}},
		{"with zero is zero", period.Bounds{}, period.Bounds{}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, may.Intersect(test.other)); diff != "" {
				t.Errorf("Intersect (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, test.other.Intersect(may)); diff != "" {
				t.Errorf("the other way round (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatRemains(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	may := between(t, "2024-05-01", "2024-06-01")
	lifetime := period.Lifetime.Bounds(may.Start)
	type rest struct {
		Remaining time.Duration
		Days      int
		Elapsed   float64
	}
	for _, test := range []struct {
		rule string
		of   period.Bounds
		at   time.Time
		want rest
	}{
		{"the first instant of 31 days has 30 whole days to the last", may, may.Start, rest{31 * day, 30, 0}},
		{"so has the first day throughout", may, at(t, "2024-05-01T23:59:59.999999Z"), rest{30*day + time.Microsecond, 30, 86399999999. / 2678400000000}},
		{"the second day has one less", may, at(t, "2024-05-02"), rest{30 * day, 29, 1. / 31}},
		{"half of it", may, at(t, "2024-05-16T12:00:00Z"), rest{31 * day / 2, 15, 0.5}},
		{"the last 24 hours have none", may, at(t, "2024-05-31"), rest{day, 0, 30. / 31}},
		{"the end has nothing", may, may.End, rest{0, 0, 1}},
		{"after it is as at the end", may, at(t, "2026-01-01"), rest{0, 0, 1}},
		{"before it is as at the start", may, at(t, "2023-01-01"), rest{31 * day, 30, 0}},
		{"zero bounds have nothing", period.Bounds{}, may.Start, rest{0, 0, 1}},
		{"lifetime is longer than a duration", lifetime, lifetime.Start, rest{math.MaxInt64, 3_651_693, 0}},
		{"lifetime has its share", lifetime, at(t, "5000-01-01"), rest{math.MaxInt64, 1_825_846, 0.5}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			got := rest{test.of.Remaining(test.at), test.of.DaysRemaining(test.at), test.of.Elapsed(test.at)}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
