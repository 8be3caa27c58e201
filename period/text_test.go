package period_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/period"
)

func TestTextAndJSON(t *testing.T) {
	t.Parallel()
	berlin := location(t, "Europe/Berlin")
	anchor := at(t, "2024-01-01T06:30:00.25Z")
	for _, test := range []struct {
		schedule   period.Schedule
		text, json string
	}{
		{period.Hourly, "hourly", `{"period":"hourly","time_zone":"UTC"}`},
		{period.Daily.In(berlin), "daily@Europe/Berlin", `{"period":"daily","time_zone":"Europe/Berlin"}`},
		{period.Weekly, "weekly", `{"period":"weekly","time_zone":"UTC","week_start":"monday"}`},
		{period.Weekly.WeekStart(time.Sunday), "weekly:sunday", `{"period":"weekly","time_zone":"UTC","week_start":"sunday"}`},
		{period.Monthly, "monthly", `{"period":"monthly","time_zone":"UTC","start_day":1}`},
		{period.Monthly.StartDay(31).In(berlin), "monthly:31@Europe/Berlin", `{"period":"monthly","time_zone":"Europe/Berlin","start_day":31}`},
		{period.Quarterly, "quarterly", `{"period":"quarterly","time_zone":"UTC","start_month":1,"start_day":1}`},
		{period.Quarterly.StartMonth(2), "quarterly:02-01", `{"period":"quarterly","time_zone":"UTC","start_month":2,"start_day":1}`},
		{period.Yearly.StartDay(2), "yearly:01-02", `{"period":"yearly","time_zone":"UTC","start_month":1,"start_day":2}`},
		{period.Yearly.StartMonth(12).StartDay(31), "yearly:12-31", `{"period":"yearly","time_zone":"UTC","start_month":12,"start_day":31}`},
		{period.Lifetime.In(berlin), "lifetime@Europe/Berlin", `{"period":"lifetime","time_zone":"Europe/Berlin"}`},
		{period.Every(30, period.Second, anchor), "every:30s:2024-01-01T06:30:00.25Z", `{"period":"every","time_zone":"UTC","every":30,"unit":"second","anchor":"2024-01-01T06:30:00.25Z"}`},
		{period.Every(15, period.Minute, anchor), "every:15m:2024-01-01T06:30:00.25Z", `{"period":"every","time_zone":"UTC","every":15,"unit":"minute","anchor":"2024-01-01T06:30:00.25Z"}`},
		{period.Every(6, period.Hour, anchor).In(berlin), "every:6h:2024-01-01T06:30:00.25Z@Europe/Berlin", `{"period":"every","time_zone":"Europe/Berlin","every":6,"unit":"hour","anchor":"2024-01-01T06:30:00.25Z"}`},
		{period.Every(14, period.Day, anchor), "every:14d:2024-01-01", `{"period":"every","time_zone":"UTC","every":14,"unit":"day","anchor":"2024-01-01"}`},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			text, err := test.schedule.MarshalText()
			if err != nil || string(text) != test.text {
				t.Errorf("MarshalText() = %q, %v", text, err)
			}
			object, err := json.Marshal(test.schedule)
			if err != nil || string(object) != test.json {
				t.Errorf("MarshalJSON() = %s, %v", object, err)
			}
			if got := parse(t, test.text); got != test.schedule {
				t.Errorf("Parse = %v", got)
			}
			var got period.Schedule
			if err := json.Unmarshal(object, &got); err != nil || got != test.schedule {
				t.Errorf("UnmarshalJSON = %v, %v", got, err)
			}
		})
	}
}

func TestEverySchedulesTextAndJSONGiveItBack(t *testing.T) {
	t.Parallel()
	all := rules(locations(t))
	rapid.Check(t, func(t *rapid.T) {
		checkRoundTrip(t, all.Draw(t, "rule").schedule())
	})
}

func checkRoundTrip(t failer, s period.Schedule) {
	t.Helper()
	text, err := s.MarshalText()
	if err != nil {
		t.Fatalf("MarshalText: %v", err)
	}
	var fromText period.Schedule
	if err := fromText.UnmarshalText(text); err != nil || fromText != s {
		t.Fatalf("%s came back as %v, %v", text, fromText, err)
	}
	object, err := json.Marshal(s)
	if err != nil {
		t.Fatalf("MarshalJSON: %v", err)
	}
	var fromJSON period.Schedule
	if err := json.Unmarshal(object, &fromJSON); err != nil || fromJSON != s {
		t.Fatalf("%s came back as %v, %v", object, fromJSON, err)
	}
}

func TestWhatIsReadIsWrittenInOneWay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rule, text, want string }{
		{"UTC is left out", "monthly@UTC", "monthly"},
		{"a default weekday is left out", "weekly:monday", "weekly"},
		{"a default day is left out", "monthly:1", "monthly"},
		{"a default month and day are left out", "yearly:01-01", "yearly"},
		{"zeros are added", "yearly:4-6", "yearly:04-06"},
		{"and taken away", "monthly:015", "monthly:15"},
		{"quarters are counted from the first month", "quarterly:08-15", "quarterly:02-15"},
		{"anchors are in UTC", "every:6h:2024-01-01T02:00:00+02:00", "every:6h:2024-01-01T00:00:00Z"},
		{"and cut to the microsecond", "every:6h:2024-01-01T00:00:00.123456789Z", "every:6h:2024-01-01T00:00:00.123456Z"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, test.text).String(); got != test.want {
				t.Errorf("Parse(%q).String() = %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, text string
		want       []string
	}{
		{"nothing", "", []string{"period"}},
		{"an unknown kind", "fortnightly", []string{"period"}},
		{"capitals", "Monthly", []string{"period"}},
		{"blanks", " monthly", []string{"period"}},
		{"an unknown zone", "monthly@Mars/Olympus", []string{"time_zone"}},
		{"an empty zone", "monthly@", []string{"time_zone"}},
		{"two zones", "monthly@UTC@UTC", []string{"time_zone"}},
		{"the machine's zone", "monthly@Local", []string{"time_zone"}},
		{"the machine's zone by the name of its file", "monthly@localtime", []string{"time_zone"}},
		{"a zone with leap seconds", "monthly@right/Europe/Berlin", []string{"time_zone"}},
		{"a second name of all zones", "monthly@posix/Europe/Berlin", []string{"time_zone"}},
		{"a path", "monthly@../../etc/passwd", []string{"time_zone"}},
		{"a path from the root", "monthly@/etc/localtime", []string{"time_zone"}},
		{"a NUL", "monthly@Europe/Berlin\x00", []string{"time_zone"}},
		{"a zone longer than any", "monthly@" + strings.Repeat("a", 65), []string{"time_zone"}},
		{"a start that the kind does not have", "daily:1", []string{"period"}},
		{"an empty start", "monthly:", []string{"start_day"}},
		{"an unknown weekday", "weekly:mon", []string{"week_start"}},
		{"day 0", "monthly:0", []string{"start_day"}},
		{"day 32", "monthly:32", []string{"start_day"}},
		{"a sign", "monthly:+5", []string{"start_day"}},
		{"a fraction", "monthly:1.5", []string{"start_day"}},
		{"a huge number", "monthly:" + strings.Repeat("9", 100), []string{"start_day"}},
		{"a day without its month", "yearly:6", []string{"period"}},
		{"month 0", "yearly:00-06", []string{"start_month"}},
		{"month 13", "quarterly:13-06", []string{"start_month"}},
		{"a month that is no number", "yearly:xx-06", []string{"start_month"}},
		{"every what", "every", []string{"every", "unit", "anchor"}},
		{"every without an anchor", "every:6h", []string{"anchor"}},
		{"every without a number", "every:h:2024-01-01T00:00:00Z", []string{"every"}},
		{"every without a unit", "every:6:2024-01-01T00:00:00Z", []string{"unit"}},
		{"two units", "every:6hm:2024-01-01T00:00:00Z", []string{"unit"}},
		{"an unknown unit", "every:6w:2024-01-01T00:00:00Z", []string{"every", "unit"}},
		{"every 0", "every:0h:2024-01-01T00:00:00Z", []string{"every"}},
		{"every -1", "every:-1h:2024-01-01T00:00:00Z", []string{"every"}},
		{"more than 100 years", "every:876601h:2024-01-01T00:00:00Z", []string{"every"}},
		{"an instant for days", "every:1d:2024-01-01T00:00:00Z", []string{"anchor"}},
		{"a date for hours", "every:1h:2024-01-01", []string{"anchor"}},
		{"an instant without its offset", "every:1h:2024-01-01T00:00:00", []string{"anchor"}},
		{"a date that does not exist", "every:1d:2023-02-29", []string{"anchor"}},
		{"an anchor before 1980", "every:1d:1979-12-31", []string{"anchor"}},
		{"an anchor after 2199", "every:1d:2200-01-01", []string{"anchor"}},
		{"several things at once", "monthly:32@Mars/Olympus", []string{"time_zone", "start_day"}},
		{"a long text", strings.Repeat("monthly", 1_000_000), []string{"period"}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			s, err := period.Parse(test.text)
			if diff := cmp.Diff(test.want, fieldsOf(t, err)); diff != "" || !errors.Is(err, period.ErrInvalid) {
				t.Errorf("Parse = %v, fields (-want +got):\n%s", err, diff)
			}
			if s != (period.Schedule{}) {
				t.Errorf("with an error came %v", s)
			}
			if len(err.Error()) > 300 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestJSONIsRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rule, json, want string }{
		{"only the kind is needed", `{"period":"monthly"}`, "monthly"},
		{"null is the default", `{"period":"monthly","time_zone":null,"start_day":null,"anchor":null}`, "monthly"},
		{"defaults that the kind does not have may be there", `{"period":"daily","week_start":"monday","start_month":1,"start_day":1}`, "daily"},
		{"a repeated member's last counts", `{"period":"daily","period":"weekly"}`, "weekly"},
		{"a date is the anchor of days", `{"period":"every","every":2,"unit":"day","anchor":"2024-02-29","time_zone":"Asia/Tokyo"}`, "every:2d:2024-02-29@Asia/Tokyo"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			var s period.Schedule
			if err := json.Unmarshal([]byte(test.json), &s); err != nil || s.String() != test.want {
				t.Errorf("read %v, %v, want %s", s, err, test.want)
			}
		})
	}
}

func TestJSONIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, json string
		want       []string
	}{
		{"no object", `"monthly"`, []string{"period"}},
		{"a list", `[{"period":"monthly"}]`, []string{"period"}},
		{"an empty object", `{}`, []string{"period"}},
		{"null for the kind", `{"period":null}`, []string{"period"}},
		{"an unknown kind", `{"period":"fortnightly"}`, []string{"period"}},
		{"an unknown member", `{"period":"monthly","zone":"UTC"}`, []string{"zone"}},
		{"members in capitals", `{"Period":"monthly"}`, []string{"Period", "period"}},
		{"a number for a text", `{"period":5}`, []string{"period"}},
		{"a text for a number", `{"period":"monthly","start_day":"5"}`, []string{"start_day"}},
		{"a fraction", `{"period":"monthly","start_day":1.5}`, []string{"start_day"}},
		{"a huge number", `{"period":"monthly","start_day":1e999}`, []string{"start_day"}},
		{"an empty zone", `{"period":"monthly","time_zone":""}`, []string{"time_zone"}},
		{"invalid UTF-8", "{\"period\":\"monthly\",\"time_zone\":\"Europe/\xff\"}", []string{"time_zone"}},
		{"an empty weekday", `{"period":"weekly","week_start":""}`, []string{"week_start"}},
		{"day 0", `{"period":"monthly","start_day":0}`, []string{"start_day"}},
		{"month 0", `{"period":"yearly","start_month":0}`, []string{"start_month"}},
		{"what the kind does not have", `{"period":"daily","every":1,"unit":"day","anchor":"2024-01-01"}`, []string{"every", "unit", "anchor"}},
		{"a date for hours", `{"period":"every","every":1,"unit":"hour","anchor":"2024-01-01"}`, []string{"anchor"}},
		{
			"all findings at once", `{"period":"every","time_zone":7,"x":1,"week_start":"x","start_day":32,"every":0,"unit":"x","anchor":"x"}`,
			[]string{"time_zone", "x", "anchor", "week_start", "start_day", "every", "unit"},
		},
		{"a long object", `{"period":"monthly","x":"` + strings.Repeat("x", 1024) + `"}`, []string{"period"}},
		{"a deep one", `{"period":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, []string{"period"}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			s := period.Yearly
			err := json.Unmarshal([]byte(test.json), &s)
			if diff := cmp.Diff(test.want, fieldsOf(t, err)); diff != "" || !errors.Is(err, period.ErrInvalid) {
				t.Errorf("error = %v, fields (-want +got):\n%s", err, diff)
			}
			if s != period.Yearly {
				t.Errorf("the error changed the schedule to %v", s)
			}
		})
	}
}

func TestNullLeavesAScheduleAsItIs(t *testing.T) {
	t.Parallel()
	s := period.Yearly
	if err := json.Unmarshal([]byte("null"), &s); err != nil || s != period.Yearly {
		t.Errorf("null made %v, %v", s, err)
	}
}

func TestInvalidSchedulesAreNotWritten(t *testing.T) {
	t.Parallel()
	for _, s := range []period.Schedule{{}, period.Monthly.StartDay(32), period.Daily.In(time.Local)} {
		if text, err := s.MarshalText(); !errors.Is(err, period.ErrInvalid) {
			t.Errorf("MarshalText() = %q, %v", text, err)
		}
		if object, err := json.Marshal(s); !errors.Is(err, period.ErrInvalid) {
			t.Errorf("MarshalJSON() = %q, %v", object, err)
		}
	}
}

func TestInZone(t *testing.T) {
	t.Parallel()
	s, err := period.Monthly.InZone("Europe/Berlin")
	if err != nil || s != period.Monthly.In(location(t, "Europe/Berlin")) {
		t.Errorf("InZone = %v, %v", s, err)
	}
	for _, name := range []string{"", "Local", "Mars/Olympus", "europe/berlin ", strings.Repeat("x", 1000)} {
		s, err := period.Monthly.InZone(name)
		if diff := cmp.Diff([]string{"time_zone"}, fieldsOf(t, err)); diff != "" || s != (period.Schedule{}) {
			t.Errorf("InZone(%q) = %v, %v", name, s, err)
		}
	}
}
