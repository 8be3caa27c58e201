package page

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestCourseGoesFromWhatIsUsedToWhatIsProjected(t *testing.T) {
	week := period.Weekly.Bounds(time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC))
	now := week.Start.Add(60 * time.Hour) // noon of the third day
	p := budget.Projection{Pace: usage.Pace{Metric: usage.Requests, Period: week, At: now, Limit: 100, Recorded: 50, Adjusted: 6}}
	p.Projection = p.Pace.Project(usage.RunRate)
	p.Status = budget.Status{
		Budget: budget.Budget{Metric: usage.Requests, Limit: decimal.NewFromInt(100), Schedule: period.Weekly},
		Period: week, Used: decimal.NewFromInt(56), Adjusted: decimal.NewFromInt(6),
	}
	var points []budget.HistoryPoint
	for i, used := range []int64{20, 20, 10, 0, 0, 0, 0} {
		day := usage.Day.Bounds(week.Start.AddDate(0, 0, i), time.UTC)
		points = append(points, budget.HistoryPoint{Point: usage.Point{Bounds: day}, Used: decimal.NewFromInt(used)})
	}
	plot := coursePlot(p, usage.Day, points)

	exact := func(name string, column int) (texts []string) {
		t.Helper()
		if plot.Series[column].Name != name {
			t.Fatalf("column %d is %q, want %q", column, plot.Series[column].Name, name)
		}
		for _, row := range plot.Rows {
			text := ""
			if cell := row.Cells[column]; cell != nil {
				text = cell.Exact
			}
			texts = append(texts, text)
		}
		return texts
	}
	want := map[string][]string{
		"Used":     {"26", "46", "56", "", "", "", ""},
		"Expected": {"", "", "66", "86", "106", "126", "146"}, // 20 a day, from 56 at noon
		"Limit":    {"100", "100", "100", "100", "100", "100", "100"},
	}
	got := map[string][]string{"Used": exact("Used", 0), "Expected": exact("Expected", 1), "Limit": exact("Limit", 4)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	last := len(points) - 1
	if low, high := exact("At least", 2)[last], exact("At most", 3)[last]; low != p.Low.Round(0).String() || high != p.High.Round(0).String() {
		t.Errorf("it ends between %s and %s, want the projection's %v and %v", low, high, p.Low, p.High)
	}
}

func TestCourseBucket(t *testing.T) {
	day := 24 * time.Hour
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for length, want := range map[time.Duration]usage.Bucket{
		0: "", time.Hour: "", 2 * time.Hour: usage.Hour, day: usage.Hour, 3 * day: usage.Hour, 7 * day: usage.Day, 366 * day: usage.Day,
		730 * day: usage.Month, 292 * 365 * day: "",
	} {
		if got := courseBucket(period.Bounds{Start: start, End: start.Add(length)}); got != want {
			t.Errorf("%v: by %q, want by %q", length, got, want)
		}
	}
}
