package page

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A quantity is an amount as people read it, beside its exact text.
type quantity struct {
	Text  string // grouped, with its unit
	Exact string // as in JSON
}

// amountOf writes an amount of the metric. Dollars and credits are rounded half up to two places, to all where there would be
// nothing left; all else is exact.
func amountOf(m usage.Metric, d decimal.Decimal) quantity {
	q := countOf(m, d)
	switch m {
	case usage.Dollars:
	case usage.InputTokens, usage.OutputTokens:
		q.Text += " tokens"
	default:
		q.Text += " " + string(m)
	}
	return q
}

// countOf is amountOf without a unit, where that stands elsewhere; dollars are never without.
func countOf(m usage.Metric, d decimal.Decimal) quantity {
	q := quantity{Exact: d.String()}
	switch m {
	case usage.Dollars:
		q.Text = dollars(rounded(d))
	case usage.Credits:
		q.Text = grouped(rounded(d))
	default:
		q.Text = grouped(d)
	}
	return q
}

// limitOf writes the limit of a budget. The largest that there is limits nothing: so are credits counted that have no limit.
func limitOf(b budget.Budget) quantity {
	if b.Limit.Equal(b.Metric.Decimal(math.MaxInt64)) {
		return quantity{Text: "no limit", Exact: b.Limit.String()}
	}
	return amountOf(b.Metric, b.Limit)
}

// rateOf writes a price in dollars with all its places.
func rateOf(d decimal.Decimal) quantity { return quantity{Text: dollars(d), Exact: d.String()} }

func rounded(d decimal.Decimal) decimal.Decimal {
	if two := d.Round(2); !two.IsZero() {
		return two
	}
	return d
}

// dollars writes d with two places or more.
func dollars(d decimal.Decimal) string {
	text := grouped(d.Abs())
	if whole, cents, _ := strings.Cut(text, "."); len(cents) < 2 {
		text = whole + "." + (cents + "00")[:2]
	}
	if d.IsNegative() {
		return "−$" + text
	}
	return "$" + text
}

// grouped writes d exactly, with a comma between thousands.
func grouped(d decimal.Decimal) string {
	text := humanize.BigComma(d.Abs().BigInt())
	if _, fraction, found := strings.Cut(d.String(), "."); found {
		text += "." + fraction
	}
	if d.IsNegative() {
		text = "−" + text
	}
	return text
}

func cost(t usage.Totals) quantity { return amountOf(usage.Dollars, t.Cost()) }

func whole(n int64) quantity {
	return quantity{Text: humanize.Comma(n), Exact: fmt.Sprint(n)}
}

// percentOf writes a percentage cut to one place, so that it never claims a level that was not reached.
func percentOf(d decimal.Decimal) string { return d.Truncate(1).StringFixed(1) + " %" }

// A moment is an instant as people of a zone read it.
type moment struct {
	Text    string
	Machine string // RFC 3339 in UTC
}

// in returns t as it reads in the zone, to the minute; of a zero t it is nil.
func in(zone *time.Location, t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	return &moment{Text: t.In(zone).Format("2006-01-02 15:04"), Machine: t.UTC().Format(time.RFC3339)}
}

// bucketName writes the start of a bucket as short as tells it from its neighbours.
func bucketName(b usage.Bucket, start time.Time, zone *time.Location) string {
	switch b {
	case usage.Hour:
		return hourName(start.In(zone))
	case usage.Month:
		return start.In(zone).Format("2006-01")
	default:
		return start.In(zone).Format(time.DateOnly)
	}
}

// hourName writes the start of an hour, with the zone's abbreviation where a clock that goes back shows it twice.
func hourName(start time.Time) string {
	const shown = "2006-01-02 15:04"
	name := start.Format(shown)
	if name == start.Add(-time.Hour).Format(shown) || name == start.Add(time.Hour).Format(shown) {
		return start.Format(shown + " MST")
	}
	return name
}

// coverage says what a budget counts, as in "tenant acme, each user".
func coverage(s budget.Scope) string {
	if len(s) == 0 {
		return "everything"
	}
	parts := make([]string, 0, len(s))
	for _, d := range slices.Sorted(maps.Keys(s)) {
		if s[d] == budget.Each {
			parts = append(parts, "each "+named(d))
		} else {
			parts = append(parts, named(d)+" "+string(s[d]))
		}
	}
	return strings.Join(parts, ", ")
}

// exceptions says which values a budget leaves out, as in "user ada, bob".
func exceptions(e budget.Except) string {
	parts := make([]string, 0, len(e))
	for _, d := range slices.Sorted(maps.Keys(e)) {
		parts = append(parts, named(d)+" "+strings.Join(e[d], ", "))
	}
	return strings.Join(parts, "; ")
}

func percents(all []decimal.Decimal) string {
	parts := make([]string, len(all))
	for i, d := range all {
		parts[i] = percentOf(d)
	}
	return strings.Join(parts, ", ")
}

// valueName names one counter of a budget, as in "user ada".
func valueName(v budget.Value) string {
	parts := make([]string, 0, len(v))
	for _, d := range slices.Sorted(maps.Keys(v)) {
		parts = append(parts, named(d)+" "+v[d])
	}
	return strings.Join(parts, ", ")
}

func metricName(m usage.Metric) string { return strings.ReplaceAll(string(m), "_", " ") }

func named(d usage.Dimension) string { return strings.ReplaceAll(string(d), "_", " ") }

// scheduleName says how often a budget begins anew; its zone stands elsewhere.
func scheduleName(b budget.Budget) string {
	text, _, _ := strings.Cut(b.Schedule.String(), "@")
	return cmp.Or(text, "no period")
}
