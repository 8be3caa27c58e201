package period_test

import (
	"testing"
	"time"

	"github.com/purser-go/purser/period"
)

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"hourly", "daily@Asia/Kathmandu", "weekly:sunday", "monthly:31@Europe/Berlin", "quarterly:02-15", "lifetime",
		"yearly:04-06@Europe/London", "every:6h:2024-01-01T00:00:00.000001Z", "every:14d:2024-01-01@Pacific/Apia",
		"", ":", "@", "every::@", "yearly:-", "monthly:99999999999999999999", "every:1s:0000-00-00T00:00:00Z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := period.Parse(text)
		if err != nil {
			fieldsOf(t, err)
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("%q was read, but is invalid: %v", text, err)
		}
		checkRoundTrip(t, s)
		checkTiling(t, s, time.Date(2024, time.May, 15, 12, 0, 0, 0, time.UTC))
	})
}

func FuzzBounds(f *testing.F) {
	kinds, units, all := period.Kinds(), append(period.Units(), "fortnight"), locations(f)
	f.Add(uint(3), uint(0), 1, 31, 1, 0, uint(0), int64(0), int64(1706745600), int64(0))
	f.Add(uint(5), uint(1), 1, 29, 10, 0, uint(0), int64(0), int64(1162089900), int64(1))
	f.Add(uint(0), uint(2), 1, 1, 1, 0, uint(0), int64(0), int64(1712415600), int64(999999999))
	f.Add(uint(7), uint(3), 1, 1, 1, 2, uint(3), int64(1325203200), int64(1325239200), int64(0))
	f.Add(uint(7), uint(4), -1, 99, -5, 1<<31-1, uint(4), int64(-1)<<62, int64(1)<<62, int64(-1))
	f.Fuzz(func(t *testing.T, kind, zone uint, weekStart, day, month, n int, unit uint, anchor, sec, nsec int64) {
		s := rule{
			kind:       kinds[kind%uint(len(kinds))],
			loc:        all[zone%uint(len(all))],
			weekStart:  time.Weekday(weekStart),
			startDay:   day,
			startMonth: time.Month(month),
			n:          n,
			unit:       units[unit%uint(len(units))],
			anchor:     time.Unix(anchor, 0).UTC(),
		}.schedule()
		instant := time.Unix(sec, nsec)
		if s.Validate() != nil {
			if b := s.Bounds(instant); b != (period.Bounds{}) {
				t.Fatalf("%v is invalid, but has the period %v", s, b)
			}
			return
		}
		checkRoundTrip(t, s)
		// Further out a neighbour may lie beyond the last period.
		if year := instant.UTC().Year(); year > 200 && year < 9800 {
			checkTiling(t, s, instant)
		} else {
			s.Next(instant)
			s.Previous(instant)
		}
	})
}
