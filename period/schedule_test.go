package period_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/period"
)

func TestBounds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, schedule, at string
		start, end         string
	}{
		// The calendar.
		{"an hour", "hourly", "2024-05-15T13:59:59.999999999Z", "2024-05-15T13:00:00Z", "2024-05-15T14:00:00Z"},
		{"a day", "daily", "2024-05-15T13:14:15Z", "2024-05-15", "2024-05-16"},
		{"start is inclusive", "daily", "2024-05-15", "2024-05-15", "2024-05-16"},
		{"end is exclusive", "daily", "2024-05-14T23:59:59.999999999Z", "2024-05-14", "2024-05-15"},
		{"a week starts on Monday", "weekly", "2024-05-15", "2024-05-13", "2024-05-20"},
		{"or on another day", "weekly:wednesday", "2024-05-15", "2024-05-15", "2024-05-22"},
		{"the day before is in the last week", "weekly:thursday", "2024-05-15", "2024-05-09", "2024-05-16"},
		{"a month", "monthly", "2024-02-15", "2024-02-01", "2024-03-01"},
		{"a month from the 15th", "monthly:15", "2024-02-15", "2024-02-15", "2024-03-15"},
		{"the 14th is in the last month", "monthly:15", "2024-01-14", "2023-12-15", "2024-01-15"},
		{"a quarter", "quarterly", "2024-05-15", "2024-04-01", "2024-07-01"},
		{"a quarter counted from 15 February", "quarterly:02-15", "2024-02-14", "2023-11-15", "2024-02-15"},
		{"a quarter counted from May is one from February", "quarterly:05-15", "2024-02-14", "2023-11-15", "2024-02-15"},
		{"a year", "yearly", "2024-05-15", "2024-01-01", "2025-01-01"},
		{"a year from 6 April", "yearly:04-06@Europe/London", "2024-04-05T22:59:59Z", "2023-04-05T23:00:00Z", "2024-04-05T23:00:00Z"},
		{"lifetime", "lifetime", "2024-05-15", "0001-01-01", "9999-01-01"},
		{"lifetime is the same in any zone", "lifetime@Asia/Tokyo", "2024-05-15", "0001-01-01", "9999-01-01"},

		// Days that a month does not have.
		{"day 31 is 29 February in a leap year", "monthly:31", "2024-02-29", "2024-02-29", "2024-03-31"},
		{"and 28 February in another", "monthly:31", "2023-02-27T23:59:59Z", "2023-01-31", "2023-02-28"},
		{"and comes back in March", "monthly:31", "2023-03-30", "2023-02-28", "2023-03-31"},
		{"and is 30 April", "monthly:31", "2023-04-30", "2023-04-30", "2023-05-31"},
		{"day 30 is 28 February and comes back", "monthly:30", "2023-03-01", "2023-02-28", "2023-03-30"},
		{"quarters from 30 November", "quarterly:11-30", "2023-03-01", "2023-02-28", "2023-05-30"},
		{"29 February is the 28th in other years", "yearly:02-29", "2024-02-28", "2023-02-28", "2024-02-29"},
		{"and comes back after four", "yearly:02-29", "2024-02-29", "2024-02-29", "2025-02-28"},
		{"1900 was no leap year", "yearly:02-29", "1900-06-01", "1900-02-28", "1901-02-28"},
		{"2000 was one", "yearly:02-29", "2000-06-01", "2000-02-29", "2001-02-28"},

		// Every n units.
		{"every 6 hours", "every:6h:2024-01-01T01:30:00Z", "2024-05-15T13:29:59.9Z", "2024-05-15T07:30:00Z", "2024-05-15T13:30:00Z"},
		{"before the anchor too", "every:6h:2024-01-01T01:30:00Z", "2023-12-31T19:29:59.9Z", "2023-12-31T13:30:00Z", "2023-12-31T19:30:00Z"},
		{"the anchor starts a period", "every:90m:2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "2024-01-01T01:30:00Z"},
		{"the anchor ends a period", "every:90m:2024-01-01T00:00:00Z", "2023-12-31T23:59:59.999999999Z", "2023-12-31T22:30:00Z", "2024-01-01T00:00:00Z"},
		{"to the microsecond", "every:1s:2024-01-01T00:00:00.000001Z", "2024-01-01T00:00:00.0000009Z", "2023-12-31T23:59:59.000001Z", "2024-01-01T00:00:00.000001Z"},
		{"hours are exact where the clock is set", "every:24h:2024-03-30T23:00:00Z@Europe/Berlin", "2024-03-31T22:30:00Z", "2024-03-30T23:00:00Z", "2024-03-31T23:00:00Z"},
		{"days are not", "every:1d:2024-01-01@Europe/Berlin", "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"},
		{"every 14 days", "every:14d:2024-01-01@Europe/Berlin", "2024-04-07T21:59:59Z", "2024-03-24T23:00:00Z", "2024-04-07T22:00:00Z"},
		{"14 days before the anchor", "every:14d:2024-01-01@Europe/Berlin", "2023-12-31T22:59:59Z", "2023-12-17T23:00:00Z", "2023-12-31T23:00:00Z"},
		{"a century", "every:36525d:1980-01-01", "1979-12-31", "1879-12-31", "1980-01-01"},

		// Midnights that are skipped, and those that happen twice.
		{"São Paulo: the day starts where the clock jumps to 01:00", "daily@America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"São Paulo: the day has 25 hours when its last is repeated", "daily@America/Sao_Paulo", "2019-02-17T02:30:00Z", "2019-02-16T02:00:00Z", "2019-02-17T03:00:00Z"},
		{"Santiago: midnight is skipped", "daily@America/Santiago", "2024-09-08T04:00:00Z", "2024-09-08T04:00:00Z", "2024-09-09T03:00:00Z"},
		{"Havana: midnight is skipped", "daily@America/Havana", "2024-03-11T03:59:59Z", "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z"},
		{"Havana: the first of two midnights starts the day", "daily@America/Havana", "2024-11-03T05:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"},
		{"Azores: midnight is skipped", "daily@Atlantic/Azores", "2024-03-31T01:00:00Z", "2024-03-31T01:00:00Z", "2024-04-01T00:00:00Z"},
		{"Azores: the first of two midnights starts the day", "daily@Atlantic/Azores", "2024-10-27T01:00:00Z", "2024-10-27T00:00:00Z", "2024-10-28T01:00:00Z"},
		{"St John's: a minute after midnight it is yesterday again, and stays the new day", "daily@America/St_Johns", "2006-10-29T02:45:00Z", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z"},
		{"St John's: so for a month that starts there", "monthly:29@America/St_Johns", "2006-10-29T02:45:00Z", "2006-10-29T02:30:00Z", "2006-11-29T03:30:00Z"},

		// Zones of their own kind.
		{"Apia: 29 December 2011", "daily@Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"Apia: was followed by the 31st", "daily@Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
		{"Apia: a month from the 30th starts on the 31st", "monthly:30@Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-29T10:00:00Z"},
		{"Apia: two days from the 29th are one", "every:2d:2011-12-29@Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"Apia: the week was a day short", "weekly@Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-26T10:00:00Z", "2012-01-01T10:00:00Z"},
		{"Apia: an hour was an hour", "hourly@Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T11:00:00Z"},
		{"Troll: a day of 22 hours", "daily@Antarctica/Troll", "2024-03-31T12:00:00Z", "2024-03-31T00:00:00Z", "2024-03-31T22:00:00Z"},
		{"Troll: a day of 26 hours", "daily@Antarctica/Troll", "2024-10-27T12:00:00Z", "2024-10-26T22:00:00Z", "2024-10-28T00:00:00Z"},
		{"Troll: the first of two repeated hours", "hourly@Antarctica/Troll", "2024-10-27T01:00:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z"},
		{"Kathmandu: a quarter to", "daily@Asia/Kathmandu", "2024-05-05T00:00:00Z", "2024-05-04T18:15:00Z", "2024-05-05T18:15:00Z"},
		{"Kathmandu: hours too", "hourly@Asia/Kathmandu", "2024-05-05T00:14:59Z", "2024-05-04T23:15:00Z", "2024-05-05T00:15:00Z"},
		{"Kathmandu: the first 15 minutes of 1986 are missing", "yearly@Asia/Kathmandu", "1986-06-01", "1985-12-31T18:30:00Z", "1986-12-31T18:15:00Z"},
		{"Casablanca: a month that Ramadan starts in", "monthly@Africa/Casablanca", "2024-03-15", "2024-02-29T23:00:00Z", "2024-04-01T00:00:00Z"},
		{"Casablanca: a month that Ramadan ends in", "monthly@Africa/Casablanca", "2024-04-15", "2024-04-01T00:00:00Z", "2024-04-30T23:00:00Z"},
		{"Monrovia: the offset had seconds", "daily@Africa/Monrovia", "1972-01-06T12:00:00Z", "1972-01-06T00:44:30Z", "1972-01-07T00:44:30Z"},
		{"Monrovia: until this day", "daily@Africa/Monrovia", "1972-01-07T00:44:30Z", "1972-01-07T00:44:30Z", "1972-01-08T00:00:00Z"},
		{"Monrovia: hours too", "hourly@Africa/Monrovia", "1971-06-01T12:00:00Z", "1971-06-01T11:44:30Z", "1971-06-01T12:44:30Z"},

		// Hours where the clock is set.
		{"the hour before a skipped one", "hourly@Europe/Berlin", "2024-03-31T00:59:59Z", "2024-03-31T00:00:00Z", "2024-03-31T01:00:00Z"},
		{"the hour after a skipped one", "hourly@Europe/Berlin", "2024-03-31T01:00:00Z", "2024-03-31T01:00:00Z", "2024-03-31T02:00:00Z"},
		{"an hour that comes back", "hourly@Europe/Berlin", "2024-10-27T00:30:00Z", "2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z"},
		{"is another when it is back", "hourly@Europe/Berlin", "2024-10-27T01:30:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z"},
		{"Lord Howe: 02:00 jumps to 02:30, which leaves half an hour", "hourly@Australia/Lord_Howe", "2024-10-05T15:30:00Z", "2024-10-05T15:30:00Z", "2024-10-05T16:00:00Z"},
		{"Lord Howe: 02:00 falls back to 01:30, which makes 90 minutes", "hourly@Australia/Lord_Howe", "2024-04-06T15:15:00Z", "2024-04-06T14:00:00Z", "2024-04-06T15:30:00Z"},
		{"Lord Howe: and then an hour again", "hourly@Australia/Lord_Howe", "2024-04-06T15:30:00Z", "2024-04-06T15:30:00Z", "2024-04-06T16:30:00Z"},
		{"St John's: the minute from 00:00 to 00:01 and the 59 to the next full hour", "hourly@America/St_Johns", "2006-10-29T02:31:00Z", "2006-10-29T02:30:00Z", "2006-10-29T03:30:00Z"},
		{"St John's: 00:01 jumps to 01:01, which leaves a minute", "hourly@America/St_Johns", "2006-04-02T03:30:30Z", "2006-04-02T03:30:00Z", "2006-04-02T03:31:00Z"},
		{"St John's: and 59 minutes", "hourly@America/St_Johns", "2006-04-02T03:31:00Z", "2006-04-02T03:31:00Z", "2006-04-02T04:30:00Z"},

		// Far from the listed transitions.
		{"the last day of a leap year by rule", "daily@Europe/Berlin", "2040-12-31T12:00:00Z", "2040-12-30T23:00:00Z", "2040-12-31T23:00:00Z"},
		{"the next day", "daily@Europe/Berlin", "2041-01-01T12:00:00Z", "2040-12-31T23:00:00Z", "2041-01-01T23:00:00Z"},
		{"its hours", "hourly@Europe/Berlin", "2040-12-31T12:30:00Z", "2040-12-31T12:00:00Z", "2040-12-31T13:00:00Z"},
		{"summer time goes on", "daily@America/New_York", "2199-07-04T12:00:00Z", "2199-07-04T04:00:00Z", "2199-07-05T04:00:00Z"},
		{"the last period that starts before the end of time", "yearly@Asia/Tokyo", "9998-12-31T23:00:00Z", "9998-12-31T15:00:00Z", "9999-12-31T15:00:00Z"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			got := parse(t, test.schedule).Bounds(at(t, test.at))
			if diff := cmp.Diff(between(t, test.start, test.end), got); diff != "" {
				t.Errorf("%s at %s (-want +got):\n%s", test.schedule, test.at, diff)
			}
		})
	}
}

func TestThereIsNoPeriod(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule     string
		schedule period.Schedule
		at       time.Time
	}{
		{"of an invalid schedule", period.Schedule{}, at(t, "2024-05-15")},
		{"of no units", period.Every(0, period.Hour, at(t, "2024-05-15")), at(t, "2024-05-15")},
		{"of an unknown unit", period.Every(1, "fortnight", at(t, "2024-05-15")), at(t, "2024-05-15")},
		{"from day 0", period.Monthly.StartDay(0), at(t, "2024-05-15")},
		{"in a zone that is not known", period.Daily.In(time.Local), at(t, "2024-05-15")},
		{"before the year 1", period.Daily, time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"from the year 9999", period.Lifetime, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"at the end of what a Time can hold", period.Hourly, time.Unix(1<<62, 0)},
		{"at its start", period.Every(1, period.Second, at(t, "2024-05-15")), time.Unix(-1<<62, 0)},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			for name, got := range map[string]period.Bounds{
				"Bounds":   test.schedule.Bounds(test.at),
				"Next":     test.schedule.Next(test.at),
				"Previous": test.schedule.Previous(test.at),
			} {
				if got != (period.Bounds{}) {
					t.Errorf("%s = %v, want none", name, got)
				}
			}
		})
	}
}

func TestNeighbours(t *testing.T) {
	t.Parallel()
	instant := at(t, "2023-03-15T12:00:00Z")
	for _, test := range []struct {
		schedule       period.Schedule
		previous, next period.Bounds
	}{
		{period.Monthly.StartDay(31), between(t, "2023-01-31", "2023-02-28"), between(t, "2023-03-31", "2023-04-30")},
		{period.Weekly, between(t, "2023-03-06", "2023-03-13"), between(t, "2023-03-20", "2023-03-27")},
		{period.Lifetime, period.Bounds{}, period.Bounds{}},
	} {
		t.Run(test.schedule.String(), func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.previous, test.schedule.Previous(instant)); diff != "" {
				t.Errorf("Previous (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.next, test.schedule.Next(instant)); diff != "" {
				t.Errorf("Next (-want +got):\n%s", diff)
			}
		})
	}
}

// A changed start must not creep: after a February, the months are those of a walk that never met one.
func TestClampedDaysComeBack(t *testing.T) {
	t.Parallel()
	var got []string
	b := period.Monthly.StartDay(31).Bounds(at(t, "2023-01-31"))
	for range 14 {
		got = append(got, b.Start.Format("01-02"))
		b = period.Monthly.StartDay(31).Next(b.Start)
	}
	want := []string{
		"01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30", "12-31",
		"01-31", "02-29",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSchedulesThatSayTheSameAreEqual(t *testing.T) {
	t.Parallel()
	berlin := location(t, "Europe/Berlin")
	anchor := at(t, "2024-01-01T00:00:00Z")
	for _, test := range []struct {
		rule string
		a, b period.Schedule
		want bool
	}{
		{"however often the zone was loaded", period.Monthly.In(berlin), period.Monthly.In(location(t, "Europe/Berlin")), true},
		{"whether the zone was loaded or named", period.Monthly.In(berlin), parse(t, "monthly@Europe/Berlin"), true},
		{"no location is UTC", period.Monthly.In(nil), period.Monthly, true},
		{"a fixed zone that is UTC is UTC", period.Monthly.In(time.FixedZone("UTC", 0)), period.Monthly, true},
		{"the default start is no setting", period.Monthly.StartDay(1).StartMonth(1).WeekStart(time.Monday), period.Monthly, true},
		{"the last zone counts", period.Monthly.In(berlin).In(time.UTC), period.Monthly, true},
		{"quarters from April are quarters from January", period.Quarterly.StartMonth(4), period.Quarterly, true},
		{"years are not", period.Yearly.StartMonth(4), period.Yearly, false},
		{"an anchor's location does not matter for hours", period.Every(6, period.Hour, anchor), period.Every(6, period.Hour, anchor.In(berlin)), true},
		{"an anchor's time does not matter for days", period.Every(6, period.Day, anchor), period.Every(6, period.Day, anchor.Add(time.Hour)), true},
		{"an anchor is cut to the microsecond", period.Every(6, period.Hour, anchor.Add(999)), period.Every(6, period.Hour, anchor), true},
		{"another anchor is another schedule", period.Every(6, period.Hour, anchor.Add(time.Hour)), period.Every(6, period.Hour, anchor), false},
		{"another zone is another schedule", period.Lifetime.In(berlin), period.Lifetime, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			if got := test.a == test.b; got != test.want {
				t.Errorf("%v == %v is %v", test.a, test.b, got)
			}
		})
	}
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	type parts struct {
		Kind    period.Kind
		Zone    string
		Weekday time.Weekday
		Month   time.Month
		Day     int
		N       int
		Unit    period.Unit
		Anchor  time.Time
	}
	for _, test := range []struct {
		schedule string
		want     parts
	}{
		{"hourly", parts{period.KindHourly, "UTC", time.Monday, 1, 1, 0, "", time.Time{}}},
		{"weekly:friday@Asia/Tokyo", parts{period.KindWeekly, "Asia/Tokyo", time.Friday, 1, 1, 0, "", time.Time{}}},
		{"yearly:04-06", parts{period.KindYearly, "UTC", time.Monday, 4, 6, 0, "", time.Time{}}},
		{"quarterly:12-31", parts{period.KindQuarterly, "UTC", time.Monday, 3, 31, 0, "", time.Time{}}},
		{"every:6h:2024-01-01T02:00:00+02:00", parts{period.KindEvery, "UTC", time.Monday, 1, 1, 6, period.Hour, at(t, "2024-01-01")}},
		{"every:6d:2024-01-01@Asia/Tokyo", parts{period.KindEvery, "Asia/Tokyo", time.Monday, 1, 1, 6, period.Day, at(t, "2024-01-01")}},
	} {
		t.Run(test.schedule, func(t *testing.T) {
			t.Parallel()
			s := parse(t, test.schedule)
			got := parts{s.Kind(), s.Zone(), s.Weekday(), s.Month(), s.Day(), s.N(), s.Unit(), s.Anchor()}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.Location().String() != test.want.Zone {
				t.Errorf("Location() = %v, want %s", s.Location(), test.want.Zone)
			}
		})
	}
	if got := (period.Schedule{}).Location(); got != time.UTC {
		t.Errorf("Location() of the zero Schedule = %v", got)
	}
}

func TestValidateNamesTheFields(t *testing.T) {
	t.Parallel()
	anchor := at(t, "2024-01-01")
	every := period.Every(1, period.Hour, anchor)
	for _, test := range []struct {
		rule     string
		schedule period.Schedule
		want     []string
	}{
		{"the zero schedule is no period", period.Schedule{}, []string{"period"}},
		{"the machine's zone is not named", period.Daily.In(time.Local), []string{"time_zone"}},
		{"a fixed offset has no name", period.Daily.In(time.FixedZone("", 0)), []string{"time_zone"}},
		{"a fixed offset is no zone of the database", period.Daily.In(time.FixedZone("+02:00", 7200)), []string{"time_zone"}},
		{"also if it bears the name of one", period.Daily.In(time.FixedZone("CET", 3600)), []string{"time_zone"}},
		{"also that of a fixed one", period.Daily.In(time.FixedZone("UTC", 3600)), []string{"time_zone"}},
		{"but the database's fixed zones are some", period.Daily.In(location(t, "Etc/GMT+5")), nil},
		{"a week has 7 days", period.Weekly.WeekStart(7), []string{"week_start"}},
		{"counted from 0", period.Weekly.WeekStart(-1), []string{"week_start"}},
		{"a month has no day 0", period.Monthly.StartDay(0), []string{"start_day"}},
		{"nor a day 32", period.Monthly.StartDay(32), []string{"start_day"}},
		{"a year has no month 0", period.Yearly.StartMonth(0), []string{"start_month"}},
		{"nor a month 13", period.Quarterly.StartMonth(13), []string{"start_month"}},
		{"a day has no week", period.Daily.WeekStart(time.Sunday), []string{"week_start"}},
		{"a week has no day of the month", period.Weekly.StartDay(2), []string{"start_day"}},
		{"a month has no month of the year", period.Monthly.StartMonth(2), []string{"start_month"}},
		{"lifetime has nothing", period.Lifetime.WeekStart(2).StartDay(2).StartMonth(2), []string{"week_start", "start_day", "start_month"}},
		{"every has nothing of the calendar's", every.WeekStart(2).StartDay(2).StartMonth(2), []string{"week_start", "start_day", "start_month"}},
		{"every 0 is nothing", period.Every(0, period.Hour, anchor), []string{"every"}},
		{"every -1 is nothing", period.Every(-1, period.Hour, anchor), []string{"every"}},
		{"100 years are the most", period.Every(36525*24, period.Hour, anchor), nil},
		{"more are refused", period.Every(36525*24+1, period.Hour, anchor), []string{"every"}},
		{"in days too", period.Every(36526, period.Day, anchor), []string{"every"}},
		{"and what can't be counted", period.Every(math.MaxInt, period.Second, anchor), []string{"every"}},
		{"a unit is one of four", period.Every(1, "week", anchor), []string{"unit"}},
		{"anchors start in 1980", period.Every(1, period.Day, at(t, "1980-01-01")), nil},
		{"not before", period.Every(1, period.Hour, at(t, "1979-12-31T23:59:59.999999999Z")), []string{"anchor"}},
		{"and end in 2199", period.Every(1, period.Hour, at(t, "2199-12-31T23:59:59.999999999Z")), nil},
		{"not after", period.Every(1, period.Day, at(t, "2200-01-01")), []string{"anchor"}},
		{"the zero time is no anchor", period.Every(1, period.Day, time.Time{}), []string{"anchor"}},
		{"nor one that no microsecond can count", period.Every(1, period.Hour, time.Unix(1<<60, 0)), []string{"anchor"}},
		{"all findings at once", period.Every(0, "week", time.Time{}).In(time.Local), []string{"time_zone", "every", "unit", "anchor"}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			err := test.schedule.Validate()
			if diff := cmp.Diff(test.want, fieldsOf(t, err)); diff != "" {
				t.Errorf("Validate() = %v, fields (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestBoundsDoNotAllocate(t *testing.T) {
	instant := at(t, "2024-05-15T12:00:00Z")
	for _, kind := range period.Kinds() {
		text := string(kind) + "@Europe/Berlin"
		if kind == period.KindEvery {
			text = "every:14d:2024-01-01@Europe/Berlin"
		}
		s := parse(t, text)
		if got := testing.AllocsPerRun(100, func() { s.Bounds(instant) }); got != 0 {
			t.Errorf("%s: Bounds allocates %v times", s, got)
		}
	}
}

func TestSchedulesPrintAsText(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprint(period.Weekly.WeekStart(time.Sunday)); got != "weekly:sunday" {
		t.Errorf("printed %q", got)
	}
	if got := (period.Schedule{}).String(); got != "" {
		t.Errorf("the zero Schedule prints %q", got)
	}
}
