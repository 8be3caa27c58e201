package usage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestCover(t *testing.T) {
	type slice struct {
		grain      usage.Grain
		start, end string
	}
	tests := map[string]struct {
		start, end string
		zone       string
		coarsest   usage.Grain
		want       []slice
	}{
		"all grains": {
			"2026-01-30T23:50:00Z", "2026-04-02T10:20:00.000001Z", "UTC", usage.Months,
			[]slice{
				{usage.Raw, "2026-01-30T23:50:00Z", "2026-01-31T00:00:00Z"},
				{usage.Days, "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"},
				{usage.Months, "2026-02-01T00:00:00Z", "2026-04-01T00:00:00Z"},
				{usage.Days, "2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z"},
				{usage.QuarterHours, "2026-04-02T00:00:00Z", "2026-04-02T10:15:00Z"},
				{usage.Raw, "2026-04-02T10:15:00Z", "2026-04-02T10:20:00.000001Z"},
			},
		},
		"not above the coarsest": {
			"2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", "UTC", usage.Days,
			[]slice{{usage.Days, "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"}},
		},
		"single events on demand": {
			"2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", "UTC", usage.Raw,
			[]slice{{usage.Raw, "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"}},
		},
		"a month of another zone is in quarter hours and days": {
			"2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", "Europe/Berlin", usage.Months,
			[]slice{
				{usage.QuarterHours, "2026-03-01T00:00:00Z", "2026-03-01T23:00:00Z"},
				{usage.Days, "2026-03-01T23:00:00Z", "2026-03-31T22:00:00Z"},
				{usage.QuarterHours, "2026-03-31T22:00:00Z", "2026-04-01T00:00:00Z"},
			},
		},
		"within a quarter of an hour": {
			"2026-03-01T00:01:00Z", "2026-03-01T00:14:00Z", "UTC", usage.Months,
			[]slice{{usage.Raw, "2026-03-01T00:01:00Z", "2026-03-01T00:14:00Z"}},
		},
		"over the end of one": {
			"2026-03-01T00:14:00Z", "2026-03-01T00:16:00Z", "UTC", usage.Months,
			[]slice{{usage.Raw, "2026-03-01T00:14:00Z", "2026-03-01T00:16:00Z"}},
		},
		"a lifetime of the reporting zone": {
			"0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "UTC", usage.Months,
			[]slice{{usage.Months, "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"}},
		},
		"nothing":                    {"2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "UTC", usage.Months, nil},
		"less than nothing":          {"2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z", "UTC", usage.Months, nil},
		"what lies past all periods": {"9999-03-02T00:00:00Z", "9999-04-01T00:00:00Z", "UTC", usage.Months, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []usage.Slice
			for _, s := range test.want {
				want = append(want, usage.Slice{Grain: s.grain, Bounds: between(t, s.start, s.end)})
			}
			got := usage.Cover(between(t, test.start, test.end), location(t, test.zone), test.coarsest)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("slices (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCoverOfALifetimeIsShortInEveryZone(t *testing.T) {
	lifetime := period.Lifetime.Bounds(usage.MinTime)
	for _, name := range zones(t) {
		zone := location(t, name)
		slices := usage.Cover(lifetime, zone, usage.Months)
		checkCover(t, slices, lifetime)
		for _, s := range slices {
			if !onGrain(s.Start, s.Grain, zone) || !onGrain(s.End, s.Grain, zone) {
				t.Errorf("%v to %v is no whole number of %vs", s.Start.In(zone), s.End.In(zone), s.Grain)
			}
		}
		// Before 1980 some zones' days begin off the quarter hour, which makes an edge on both sides.
		if len(slices) > 11 {
			t.Errorf("%s: %d slices", name, len(slices))
		}
	}
}

func TestCoverReadsEveryEventOnce(t *testing.T) {
	names := zones(t)
	check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(names).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		span := spans(zone).Draw(t, "span")
		coarsest := rapid.SampledFrom([]usage.Grain{usage.Raw, usage.QuarterHours, usage.Days, usage.Months}).Draw(t, "coarsest")
		slices := usage.Cover(span, zone, coarsest)
		checkCover(t, slices, span)
		if len(slices) > 7 {
			t.Errorf("%d slices: %v", len(slices), slices)
		}
		for _, s := range slices {
			if s.Grain > coarsest || !onGrain(s.Start, s.Grain, zone) || !onGrain(s.End, s.Grain, zone) {
				t.Errorf("%v to %v is no whole number of %vs", s.Start.In(zone), s.End.In(zone), s.Grain)
			}
			checkFinest(t, s, coarsest, zone)
		}
	})
}

// spans draws intervals since 1980 whose ends are often bounds of some grain.
func spans(zone *time.Location) *rapid.Generator[period.Bounds] {
	return rapid.Custom(func(t *rapid.T) period.Bounds {
		start := instants().Filter(func(i time.Time) bool { return i.Year() > 1980 && i.Year() < 2198 }).Draw(t, "start")
		lengths := rapid.OneOf(rapid.Int64Range(1, 3600), rapid.Int64Range(3600, 200*3600), rapid.Int64Range(3600, 20_000*3600))
		end := start.Add(time.Duration(lengths.Draw(t, "seconds")) * time.Second)
		snap := func(i time.Time, name string) time.Time {
			switch rapid.IntRange(0, 4).Draw(t, name) {
			case 0:
				return usage.Month.Bounds(i, zone).Start
			case 1:
				return usage.Day.Bounds(i, zone).Start
			case 2:
				return i.UTC().Truncate(15 * time.Minute)
			default:
				return i.UTC().Truncate(time.Microsecond)
			}
		}
		return period.Bounds{Start: snap(start, "snap start"), End: snap(end, "snap end")}
	})
}

// checkCover checks that slices tile span, and that no two neighbours could be one.
func checkCover(t rapid.TB, slices []usage.Slice, span period.Bounds) {
	t.Helper()
	at := span.Start
	for i, s := range slices {
		if !s.Start.Equal(at) || !s.Start.Before(s.End) {
			t.Errorf("slice %d is %v to %v, should begin at %v", i, s.Start, s.End, at)
		}
		if i > 0 && slices[i-1].Grain == s.Grain {
			t.Errorf("slices %d and %d are both %v", i-1, i, s.Grain)
		}
		at = s.End
	}
	if span.Start.Before(span.End) && !at.Equal(span.End) {
		t.Errorf("ends at %v, want %v", at, span.End)
	}
}

// onGrain reports whether an instant begins a g, by the clock of the zone and not by periods.
func onGrain(t time.Time, g usage.Grain, zone *time.Location) bool {
	is, was := t.In(zone), t.Add(-1).In(zone)
	switch g {
	case usage.Months:
		return is.Month() != was.Month()
	case usage.Days:
		return is.YearDay() != was.YearDay()
	case usage.QuarterHours:
		return t.UnixMicro()%(15*60*1e6) == 0
	default:
		return true
	}
}

// checkFinest checks that no coarser grain that is allowed would fit into s.
func checkFinest(t rapid.TB, s usage.Slice, coarsest usage.Grain, zone *time.Location) {
	t.Helper()
	if s.Grain == coarsest {
		return
	}
	bounds := map[usage.Grain]func(time.Time) period.Bounds{
		usage.Months: func(i time.Time) period.Bounds { return usage.Month.Bounds(i, zone) },
		usage.Days:   func(i time.Time) period.Bounds { return usage.Day.Bounds(i, zone) },
		usage.QuarterHours: func(i time.Time) period.Bounds {
			start := i.Truncate(15 * time.Minute)
			return period.Bounds{Start: start, End: start.Add(15 * time.Minute)}
		},
	}[s.Grain+1]
	first := bounds(s.Start)
	if first.Start.Before(s.Start) {
		first = bounds(first.End)
	}
	if !first.End.After(s.End) {
		t.Errorf("%v to %v is read by the %v and holds the whole %v from %v", s.Start, s.End, s.Grain, s.Grain+1, first.Start)
	}
}

func TestGrainString(t *testing.T) {
	got := fmt.Sprint(usage.Raw, usage.QuarterHours, usage.Days, usage.Months, usage.Grain(9))
	if want := "raw quarter hour day month grain 9"; got != want {
		t.Errorf("grains are %q, want %q", got, want)
	}
}

func BenchmarkCover(b *testing.B) {
	zone := location(b, "Europe/Berlin")
	span := between(b, "2025-01-30T23:50:00Z", "2026-04-02T10:20:00Z")
	b.ReportAllocs()
	for b.Loop() {
		usage.Cover(span, zone, usage.Months)
	}
}
