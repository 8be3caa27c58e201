package period_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/purser-go/purser/period"
)

func Example() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	now := time.Date(2024, time.March, 15, 12, 0, 0, 0, time.UTC)

	month := period.Monthly.In(berlin).Bounds(now)
	fmt.Println(month.Start.Format(time.RFC3339))
	fmt.Println(month.End.Format(time.RFC3339)) // an hour earlier: summer time has begun
	fmt.Println(month.DaysRemaining(now), "days left")
	// Output:
	// 2024-02-29T23:00:00Z
	// 2024-03-31T22:00:00Z
	// 16 days left
}

func ExampleSchedule_StartDay() {
	s := period.Monthly.StartDay(31)
	b := s.Bounds(time.Date(2023, time.January, 31, 0, 0, 0, 0, time.UTC))
	for range 4 {
		fmt.Println(b.Start.Format("2 January"))
		b = s.Next(b.Start)
	}
	// Output:
	// 31 January
	// 28 February
	// 31 March
	// 30 April
}

func ExampleEvery() {
	sprint := period.Every(14, period.Day, time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC))
	b := sprint.Bounds(time.Date(2024, time.May, 15, 12, 0, 0, 0, time.UTC))
	fmt.Println(b.Start.Format(time.DateOnly), "to", b.Last().Format(time.DateOnly))
	// Output:
	// 2024-05-06 to 2024-05-19
}

func ExampleParse() {
	s, err := period.Parse("yearly:04-06@Europe/London")
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Kind(), s.Month(), s.Day(), s.Zone())

	_, err = period.Parse("monthly:32@Mars/Olympus")
	fmt.Println(err)
	fmt.Println(errors.Is(err, period.ErrInvalid))
	// Output:
	// yearly April 6 Europe/London
	// time_zone: "Mars/Olympus" is not the name of an IANA time zone, or a fixed offset bears it
	// start_day: must be 1 to 31, is 32
	// true
}

func ExampleSchedule_MarshalJSON() {
	text, err := json.Marshal(period.Weekly.WeekStart(time.Sunday))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
	// Output:
	// {"period":"weekly","time_zone":"UTC","week_start":"sunday"}
}
