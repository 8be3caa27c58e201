package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// officeHours is CSV of what somebody spends in February and March 2026: a dollar an hour from 9 to 17 UTC on weekdays.
func officeHours(header string, row func(hour time.Time) string) string {
	var b strings.Builder
	b.WriteString(header + "\n")
	for hour := time.Date(2026, time.February, 1, 0, 0, 0, 0, time.UTC); hour.Month() < time.April; hour = hour.Add(time.Hour) {
		if day := hour.Weekday(); day != time.Saturday && day != time.Sunday && hour.Hour() >= 9 && hour.Hour() < 17 {
			b.WriteString(row(hour) + "\n")
		}
	}
	return b.String()
}

func TestForecastSaysWhereABudgetWillStand(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u.ok("import", u.write("events.csv", officeHours("id,timestamp,user,cost", func(hour time.Time) string {
			return fmt.Sprintf("%d,%s,ada,1", hour.Unix(), hour.Format(time.RFC3339))
		})))
		id := u.create("--name", "Each", "--metric", "dollars", "--limit", "150", "--scope", "user=@each")
		look := func(flags ...string) done {
			return u.ok(append([]string{"forecast", id, "--value", "user=ada"}, flags...)...)
		}
		got := look("--at", "2026-03-11", "--json").object()
		has(t, "forecast", got, object{"id": id, "used": literal("56"), "limit": literal("150"), "at": "2026-03-11T00:00:00Z"})
		has(t, "projection", got["projection"].(object), object{
			"method": "seasonal", "fallback": nil, "reason": nil, "value": literal("176"), "coverage_percent": literal("80"),
			"passed": false, "passes_at": "2026-03-26T15:00:00Z",
		})
		has(t, "run rate", look("--at", "2026-03-11", "--method", "run-rate", "--json").object()["projection"].(object), object{
			"method": "run-rate", "value": literal("173.6"),
		})
		has(t, "too early", look("--at", "2026-03-02", "--json").object()["projection"].(object), object{
			"reason": "too_early", "value": nil, "low": nil, "high": nil, "passes_at": nil,
		})
		has(t, "passed", look("--at", "2026-03-31", "--json").object()["projection"].(object), object{
			"passed": true, "passes_at": "2026-03-26T15:00:00Z",
		})
		text := look("--at", "2026-03-11").stdout
		for _, want := range []string{
			"used               56 of 150 dollars, 37.3 %, at 2026-03-11 00:00 UTC\n", "projected          176, ", " in 80 % of cases\n",
			"method             seasonal\n", "limit              is passed at about 2026-03-26 15:00 UTC\n",
			"╌╌╌", "───", "···", "─ used  ╌ projected  · limit\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the text is\n%s\nwant %q in it", text, want)
			}
		}
		if text := look("--at", "2026-03-02").stdout; !strings.HasSuffix(text, "projected          nothing: less than 5 % of the period is over\n") {
			t.Errorf("early in the period the text is\n%s", text)
		}
		if text := look("--at", "2026-02-06").stdout; !strings.Contains(text, "                   not seasonal: usage began less than a week ago") {
			t.Errorf("early in the usage the text is\n%s", text)
		}
		u.run("forecast", id).want(exitUsage).says("purser: --value: must name the dimensions [user]")
		u.run("forecast", id, "--value", "user=ada", "--at", "2190-01-01").want(exitUsage).says("purser: --at: must not be in the future")
	})
}

func TestForecastBacktestSaysWhatMethodsAreWorth(t *testing.T) {
	u := newUser(t)
	hours := officeHours("series,hour,amount", func(hour time.Time) string { return "ada," + hour.Format(time.RFC3339) + ",1" })
	file := u.write("hours.csv", hours)
	d := u.ok("forecast", "--backtest", file, "--json")
	if !strings.HasPrefix(d.stdout, "[\n"+`{"method":"auto","share":0.1,"median_error":`) {
		t.Errorf("stdout begins with %.100s", d.stdout)
	}
	rows := d.list()
	if len(rows) != 16 {
		t.Fatalf("%d rows, want one for each of 4 methods and 4 shares\n%s", len(rows), d.stdout)
	}
	for _, row := range rows {
		for _, name := range []string{"method", "share", "median_error", "p90_error", "covered", "series", "projections"} {
			if row[name] == nil {
				t.Errorf("row %v has no %s", row, name)
			}
		}
		if e, _ := row["median_error"].(json.Number).Float64(); row["method"] == "seasonal" && e > 1e-6 {
			t.Errorf("row %v, want no error of the season", row)
		}
	}
	if text := u.runWith(hours, "forecast", "--backtest", "-", "--period", "weekly", "--zone", "Asia/Tokyo").want(exitOK).stdout; !strings.Contains(text, "by-day    50.0 %") {
		t.Errorf("the table is\n%s", text)
	}
}

func TestForecastRefusesWhatItCannotAnswer(t *testing.T) {
	u := newUser(t)
	u.ok("migrate")
	u.write("bad.csv", "series,hour,amount\nx,2026-03-01T08:00:00Z,-1\n")
	u.write("short.csv", "series,hour,amount\nx,2026-03-01T08:00:00Z,1\n")
	tests := map[string]struct {
		code int
		says string
	}{
		"forecast":                              {exitUsage, "purser: purser forecast needs the id of a budget\n"},
		"forecast a b":                          {exitUsage, `purser: purser forecast takes no argument "b"`},
		"forecast a --method guess":             {exitUsage, `for "--method" flag: must be one of auto, run-rate, by-day and seasonal`},
		"forecast a --period weekly":            {exitUsage, "purser: --period goes with --backtest\n"},
		"forecast --backtest":                   {exitUsage, "purser: purser forecast needs a file, or - for standard input\n"},
		"forecast --backtest x --at 2026-03-01": {exitUsage, "purser: if any flags in the group [backtest at] are set none of the others can be"},
		"forecast a":                            {exitFailed, `purser: projection of budget "a": not found`},
		"forecast --backtest none.csv":          {exitFailed, "purser: none.csv: no such file or directory\n"},
		"forecast --backtest bad.csv":           {exitFailed, "purser: bad.csv: line 2: amount: must not be negative\n"},
		"forecast --backtest short.csv":         {exitFailed, "purser: no series has usage from early in a period, monthly, to its end: --period names another\n"},
	}
	for args, want := range tests {
		d := u.run(strings.Fields(args)...).want(want.code).says(want.says)
		if d.stdout != "" {
			t.Errorf("%s: stdout is %q, want nothing", args, d.stdout)
		}
	}
}
