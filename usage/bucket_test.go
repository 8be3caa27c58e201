package usage_test

import (
	"errors"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestParseBucket(t *testing.T) {
	for _, want := range []usage.Bucket{usage.Hour, usage.Day, usage.Week, usage.Month} {
		if got, err := usage.ParseBucket(string(want)); err != nil || got != want {
			t.Errorf("ParseBucket(%q) = %q, %v", want, got, err)
		}
	}
	for _, text := range []string{"", "Day", "year", "day "} {
		_, err := usage.ParseBucket(text)
		if diff := cmp.Diff([]string{"bucket: must be one of hour, day, week and month"}, findings(t, err)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestBucketBounds(t *testing.T) {
	tests := map[string]struct {
		bucket     usage.Bucket
		zone       string
		at         string
		start, end string
	}{
		"an hour":                     {usage.Hour, "UTC", "2026-03-01T09:30:00Z", "2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z"},
		"an hour of Nepal":            {usage.Hour, "Asia/Kathmandu", "2026-03-01T09:30:00Z", "2026-03-01T09:15:00Z", "2026-03-01T10:15:00Z"},
		"a day of 23 hours":           {usage.Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		"a day without midnight":      {usage.Day, "America/Santiago", "2026-09-06T12:00:00Z", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"},
		"a week begins on Monday":     {usage.Week, "UTC", "2026-03-01T09:30:00Z", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"},
		"a month":                     {usage.Month, "Europe/Berlin", "2026-03-01T00:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"},
		"the end is of the next one":  {usage.Month, "UTC", "2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"},
		"no location is that of UTC":  {usage.Day, "", "2026-03-01T09:30:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		"a time outside the calendar": {usage.Day, "UTC", "9999-06-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var loc *time.Location
			if test.zone != "" {
				loc = location(t, test.zone)
			}
			got := test.bucket.Bounds(at(t, test.at), loc)
			if diff := cmp.Diff(between(t, test.start, test.end), got); diff != "" {
				t.Errorf("bounds (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBucketBoundsPanicsRatherThanGuess(t *testing.T) {
	for name, call := range map[string]func(){
		"an unknown bucket":      func() { usage.Bucket("year").Bounds(usage.MinTime, time.UTC) },
		"the machine's own zone": func() { usage.Day.Bounds(usage.MinTime, time.Local) },
		"a zone without a name":  func() { usage.Fill(nil, period.Bounds{}, usage.Day, time.FixedZone("", 3600)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

type row struct {
	time   time.Time
	totals usage.Totals
}

func all(rows []row) iter.Seq2[time.Time, usage.Totals] {
	return func(yield func(time.Time, usage.Totals) bool) {
		for _, r := range rows {
			if !yield(r.time, r.totals) {
				return
			}
		}
	}
}

func TestGather(t *testing.T) {
	berlin := location(t, "Europe/Berlin")
	rows := []row{
		{at(t, "2026-03-02T12:00:00Z"), usage.Totals{Requests: 1}},
		{at(t, "2026-02-28T22:59:59.999999Z"), usage.Totals{Requests: 10}},
		{at(t, "2026-02-28T23:00:00Z"), usage.Totals{Requests: 100}},
		{at(t, "2026-03-02T12:00:00+09:00"), usage.Totals{Requests: 1000, Nanodollars: 5}},
	}
	got, err := usage.Gather(usage.Day, berlin, all(rows))
	if err != nil {
		t.Fatal(err)
	}
	want := []usage.Point{
		{Bounds: between(t, "2026-02-27T23:00:00Z", "2026-02-28T23:00:00Z"), Totals: usage.Totals{Requests: 10}},
		{Bounds: between(t, "2026-02-28T23:00:00Z", "2026-03-01T23:00:00Z"), Totals: usage.Totals{Requests: 100}},
		{Bounds: between(t, "2026-03-01T23:00:00Z", "2026-03-02T23:00:00Z"), Totals: usage.Totals{Requests: 1001, Nanodollars: 5}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestGatherRefusesToWrap(t *testing.T) {
	rows := []row{{usage.MinTime, usage.Totals{Runs: math.MaxInt64}}, {usage.MinTime, usage.Totals{Runs: 1}}}
	if points, err := usage.Gather(usage.Month, nil, all(rows)); !errors.Is(err, usage.ErrOverflow) {
		t.Errorf("Gather = %+v, %v, want ErrOverflow", points, err)
	}
}

func TestFill(t *testing.T) {
	day := func(n int, requests int64) usage.Point {
		start := time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC)
		return usage.Point{
			Bounds: period.Bounds{Start: start, End: start.AddDate(0, 0, 1)}, Totals: usage.Totals{Requests: requests},
		}
	}
	known := []usage.Point{day(9, 9), day(3, 3), day(1, 1)}
	tests := map[string]struct {
		span period.Bounds
		want []usage.Point
	}{
		"gaps are zeros": {
			between(t, "2026-03-01T00:00:00Z", "2026-03-05T00:00:00Z"), []usage.Point{day(1, 1), day(2, 0), day(3, 3), day(4, 0)},
		},
		"days that the span overlaps are there as a whole": {
			between(t, "2026-03-03T23:59:59.999999Z", "2026-03-04T00:00:00.000001Z"), []usage.Point{day(3, 3), day(4, 0)},
		},
		"an empty span has none":            {between(t, "2026-03-03T12:00:00Z", "2026-03-03T12:00:00Z"), nil},
		"a span that ends first has none":   {between(t, "2026-03-03T12:00:00Z", "2026-03-01T12:00:00Z"), nil},
		"a span past the calendar has none": {between(t, "9999-03-01T00:00:00Z", "9999-03-02T00:00:00Z"), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := usage.Fill(known, test.span, usage.Day, nil)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("points (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHistoryCountsEveryRowOnce(t *testing.T) {
	names := zones(t)
	check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(names).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		bucket := rapid.SampledFrom([]usage.Bucket{usage.Hour, usage.Day, usage.Week, usage.Month}).Draw(t, "bucket")
		first := instants().Draw(t, "first")
		var rows []row
		for i, hours := range rapid.SliceOfN(rapid.IntRange(0, 400), 1, 30).Draw(t, "hours") {
			rows = append(rows, row{first.Add(time.Duration(hours) * time.Hour), usage.Totals{Requests: int64(i + 1)}})
		}
		points, err := usage.Gather(bucket, loc, all(rows))
		if err != nil {
			t.Fatal(err)
		}
		span := period.Bounds{Start: points[0].Start, End: points[len(points)-1].End}
		filled := usage.Fill(points, span, bucket, loc)
		end := span.Start
		for _, p := range filled {
			want := int64(0)
			for _, r := range rows {
				if p.Contains(r.time) {
					want += r.totals.Requests
				}
			}
			if p.Requests != want || !p.Start.Equal(end) {
				t.Errorf("%v to %v has %d requests, want %d, from %v on", p.Start, p.End, p.Requests, want, end)
			}
			end = p.End
		}
		if !end.Equal(span.End) {
			t.Errorf("ends at %v, want %v", end, span.End)
		}
	})
}

func TestTop(t *testing.T) {
	group := func(key string, tokens, nanodollars int64) usage.Group {
		return usage.Group{Key: key, Totals: usage.Totals{TotalTokens: tokens, Nanodollars: nanodollars}}
	}
	groups := []usage.Group{group("c", 5, 1), group("a", 5, 3), group("d", 9, -2), group("b", 0, 3)}
	tests := map[string]struct {
		by   usage.Metric
		n    int
		want []usage.Group
	}{
		"the highest first, equal ones by key": {usage.Tokens, 3, []usage.Group{groups[2], groups[1], groups[0]}},
		"by another metric":                    {usage.Dollars, 2, []usage.Group{groups[1], groups[3]}},
		"0 means all":                          {usage.Dollars, 0, []usage.Group{groups[1], groups[3], groups[0], groups[2]}},
		"less than 0 means all":                {usage.Requests, -1, []usage.Group{groups[1], groups[3], groups[0], groups[2]}},
		"more than there are means all":        {usage.Credits, 5, []usage.Group{groups[1], groups[3], groups[0], groups[2]}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, usage.Top(groups, test.by, test.n)); diff != "" {
				t.Errorf("top (-want +got):\n%s", diff)
			}
			if groups[0].Key != "c" || groups[3].Key != "b" {
				t.Error("the caller's groups were sorted")
			}
		})
	}
}
