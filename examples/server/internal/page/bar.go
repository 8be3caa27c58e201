package page

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A bar shows how much of a limit is used, what is reserved on top of it, and where it is going. Its lengths are percents of
// the limit, cut at the limit: what is beyond it stands in the text.
type bar struct {
	Level    alert.Level
	Used     string // lengths, as in "43.2"
	Reserved string // "": nothing is
	Mark     string // where it is going by the period's end; "": not known
	Percent  string // of the limit, not cut at it
	Text     string // all of it in words
}

// lastMark is where a mark at or beyond the limit stands, so that all of it is seen.
var lastMark = decimal.New(995, -1)

var hundred = decimal.NewFromInt(100)

// newBar draws a status. going is where it will stand at the end of the period, nil where that is not known.
func newBar(s budget.Status, going *decimal.Decimal) bar {
	b := bar{Level: s.Level, Percent: percentOf(s.Percent)}
	used := share(s.Used, s.Budget.Limit)
	b.Used = used.String()
	b.Text = fmt.Sprintf("%s used, %s", b.Percent, s.Level)
	if s.Reserved.IsPositive() {
		b.Reserved = share(s.Used.Add(s.Reserved), s.Budget.Limit).Sub(used).String()
		b.Text += fmt.Sprintf(", %s reserved", percentOf(alert.Percent(s.Reserved, s.Budget.Limit, 1)))
	}
	if going != nil {
		b.Mark = decimal.Min(share(*going, s.Budget.Limit), lastMark).String()
		b.Text += fmt.Sprintf(", going to %s", percentOf(alert.Percent(*going, s.Budget.Limit, 1)))
	}
	return b
}

// share returns which part of the bar d takes, in percent cut to one place.
func share(d, limit decimal.Decimal) decimal.Decimal {
	percent := alert.Percent(d, limit, 1)
	return decimal.Max(decimal.Zero, decimal.Min(percent, hundred))
}

// onPace returns where a budget will stand at the end of its period by the pace of the period so far, which takes no look at
// its history; nil as long as that says nothing.
func onPace(s budget.Status, now time.Time) *decimal.Decimal {
	units := func(d decimal.Decimal) int64 {
		n, err := s.Budget.Metric.Units(d)
		if err != nil {
			return 0 // a status is made of units
		}
		return n
	}
	pace := usage.Pace{
		Metric: s.Budget.Metric, Period: s.Period, At: now, Limit: units(s.Budget.Limit),
		Recorded: units(s.Recorded), Adjusted: units(s.Adjusted),
	}
	p := pace.Project(usage.RunRate)
	if p.Reason != "" {
		return nil
	}
	return &p.Value
}

// accountBar draws what a tenant used of what its license gives it: green, amber from the warning percent on, red from 100.
func accountBar(used, limit, warning decimal.Decimal) bar {
	level := alert.Classify(used, limit, alert.Thresholds{Warning: &warning, Critical: &hundred})
	percent := percentOf(alert.Percent(used, limit, 9))
	return bar{Level: level, Used: share(used, limit).String(), Percent: percent, Text: fmt.Sprintf("%s used, %s", percent, level)}
}
