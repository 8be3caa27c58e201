package usage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func Example() {
	event := usage.Event{
		ID:      "call-1", // usage.NewID() makes one
		Time:    time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC),
		Subject: usage.Subject{Tenant: "acme", User: "u-4711", Resource: "large-model"},
		Amounts: usage.Amounts{
			InputTokens:     812,
			OutputTokens:    164,
			CacheReadTokens: 2048,
			Cost:            new(decimal.RequireFromString("0.0123")),
		},
	}
	if err := event.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	totals, err := event.Totals()
	fmt.Println(totals.TotalTokens, "tokens,", totals.Requests, "request,", totals.Cost(), "dollars", err)
	// Output: 3024 tokens, 1 request, 0.0123 dollars <nil>
}

// What is nil is not given and has a default; a pointer to 0 is 0.
func ExampleAmounts() {
	free := usage.Amounts{
		InputTokens: 10,
		TotalTokens: new(int64(12)), // the provider counts two tokens that are in no class
		Requests:    new(int64(0)),  // part of a request that was counted before
		Cost:        new(decimal.Zero),
	}
	totals, err := free.Totals()
	fmt.Println(totals.TotalTokens, totals.Requests, totals.Cost(), err)
	// Output: 12 0 0 <nil>
}

func ExampleEvent_Validate() {
	event := usage.Event{
		ID:      "call-1",
		Subject: usage.Subject{Labels: map[string]string{"user": "u-4711"}},
		Amounts: usage.Amounts{InputTokens: -1},
	}
	err := event.Validate()
	fmt.Println(errors.Is(err, usage.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// labels: the name "user" is reserved, set the field user instead
	// input_tokens: must not be negative
}

func ExampleEvent_MarshalJSON() {
	text, err := json.Marshal(usage.Event{
		ID:      "call-1",
		Subject: usage.Subject{Tenant: "acme", Resource: "large-model"},
		Amounts: usage.Amounts{InputTokens: 812, OutputTokens: 164, Cost: new(decimal.RequireFromString("0.01230"))},
	})
	fmt.Println(string(text), err)
	// Output: {"id":"call-1","tenant":"acme","resource":"large-model","input_tokens":812,"output_tokens":164,"cache_creation_tokens":0,"cache_read_tokens":0,"runs":0,"cost":0.0123} <nil>
}

// The same content has the same hash, however it is written.
func ExampleEvent_Hash() {
	a := usage.Event{ID: "call-1", Amounts: usage.Amounts{InputTokens: 7, Cost: new(decimal.RequireFromString("1.50"))}}
	b := usage.Event{ID: "call-1", Amounts: usage.Amounts{
		InputTokens: 7, TotalTokens: new(int64(7)), Requests: new(int64(1)), Cost: new(decimal.RequireFromString("1.5")),
	}}
	c := usage.Event{ID: "call-1", Amounts: usage.Amounts{InputTokens: 7}}
	fmt.Println(a.Hash() == b.Hash(), a.Hash() == c.Hash())
	// Output: true false
}

func ExampleMetric_Units() {
	units, err := usage.Dollars.Units(decimal.RequireFromString("12.50"))
	fmt.Println(units, err)
	_, err = usage.Tokens.Units(decimal.RequireFromString("12.50"))
	fmt.Println(err)
	// Output:
	// 12500000000 <nil>
	// must be a whole number
}

// A call that costs 0.0025 dollars, where a credit costs a cent, is a quarter of a credit.
func ExampleCreditsOf() {
	units, err := usage.CreditsOf(2_500_000, decimal.RequireFromString("0.01"))
	fmt.Println(usage.Credits.Decimal(units), err)
	// Output: 0.25 <nil>
}

// A month of Berlin, read from sums that are kept in UTC.
func ExampleCover() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	march := period.Monthly.In(berlin).Bounds(time.Date(2026, time.March, 15, 0, 0, 0, 0, berlin))
	for _, s := range usage.Cover(march, time.UTC, usage.Months) {
		fmt.Println(s.Start.Format(time.DateTime), s.End.Format(time.DateTime), s.Grain)
	}
	// Output:
	// 2026-02-28 23:00:00 2026-03-01 00:00:00 quarter hour
	// 2026-03-01 00:00:00 2026-03-31 00:00:00 day
	// 2026-03-31 00:00:00 2026-03-31 22:00:00 quarter hour
}

func ExampleFill() {
	day := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	rows := func(yield func(time.Time, usage.Totals) bool) {
		_ = yield(day.Add(9*time.Hour), usage.Totals{Requests: 2}) &&
			yield(day.Add(50*time.Hour), usage.Totals{Requests: 1})
	}
	points, err := usage.Gather(usage.Day, time.UTC, rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	span := period.Bounds{Start: day, End: day.AddDate(0, 0, 3)}
	for _, p := range usage.Fill(points, span, usage.Day, time.UTC) {
		fmt.Println(p.Start.Format(time.DateOnly), p.Requests)
	}
	// Output:
	// 2026-03-01 2
	// 2026-03-02 0
	// 2026-03-03 1
}

func ExamplePace_Project() {
	march := period.Monthly.Bounds(time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC))
	pace := usage.Pace{
		Metric:   usage.Dollars,
		Period:   march,
		At:       time.Date(2026, time.March, 9, 18, 0, 0, 0, time.UTC),
		Limit:    450e9, // 450 dollars, in billionths
		Recorded: 144e9,
		Since:    time.Date(2026, time.February, 2, 0, 0, 0, 0, time.UTC),
	}
	// Three dollars an hour in the office's hours, on weekdays.
	for hour := pace.Since; hour.Before(pace.At); hour = hour.Add(time.Hour) {
		if day := hour.Weekday(); day != time.Saturday && day != time.Sunday && hour.Hour() >= 9 && hour.Hour() < 17 {
			pace.Hours = append(pace.Hours, usage.HourUse{Start: hour, Units: 3e9})
		}
	}
	for _, method := range []usage.Method{usage.Auto, usage.RunRate, usage.ByDay} {
		p := pace.Project(method)
		fmt.Println(p.Method, p.Value.Round(2), p.Passes.Format("2 January 15:04"))
	}

	pace.At = time.Date(2026, time.March, 1, 18, 0, 0, 0, time.UTC)
	fmt.Println(pace.Project(usage.Auto).Reason.Text())
	// Output:
	// seasonal 528 26 March 15:00
	// run-rate 510.17 28 March 08:15
	// by-day 496 29 March 02:12
	// less than 5 % of the period is over
}

func ExampleProjectByDay() {
	now := time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)
	projected, ok := usage.ProjectByDay(decimal.RequireFromString("96"), period.Monthly.Bounds(now), now)
	fmt.Println(projected, ok)
	// Output: 297.6 true
}
