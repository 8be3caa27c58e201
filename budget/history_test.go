package budget_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// history returns "start used" of each point, the start in the zone of the query or in UTC.
func history(t *testing.T, f *fixture, id string, q budget.HistoryQuery) (got []string) {
	t.Helper()
	points, err := f.History(t.Context(), id, q)
	if err != nil {
		t.Fatal(err)
	}
	zone := time.UTC
	if q.Zone != nil {
		zone = q.Zone
	}
	for _, p := range points {
		got = append(got, fmt.Sprintf("%s %s", p.Start.In(zone).Format("2006-01-02 15:04"), p.Used))
	}
	return got
}

func span(start, end string) period.Bounds { return period.Bounds{Start: at(start), End: at(end)} }

func TestHistory(t *testing.T) {
	t.Parallel()
	berlin, kathmandu := location(t, "Europe/Berlin"), location(t, "Asia/Kathmandu")
	march := span("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
	tests := map[string]struct {
		budget budget.Budget
		query  budget.HistoryQuery
		want   []string
	}{
		"by day unless told": {
			query: budget.HistoryQuery{Span: march}, want: []string{"2026-03-01 00:00 1", "2026-03-28 00:00 2", "2026-03-29 00:00 12"},
		},
		"a span is widened to whole buckets": {
			query: budget.HistoryQuery{Span: span("2026-03-28T12:00:00Z", "2026-03-29T00:00:00.000001Z")},
			want:  []string{"2026-03-28 00:00 2", "2026-03-29 00:00 12"},
		},
		"the end of a span is no part of it": {
			query: budget.HistoryQuery{Span: span("2026-03-28T12:00:00Z", "2026-03-29T00:00:00Z")}, want: []string{"2026-03-28 00:00 2"},
		},
		"by hour": {
			query: budget.HistoryQuery{By: usage.Hour, Span: span("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z")},
			want:  []string{"2026-03-28 23:00 2", "2026-03-29 00:00 4", "2026-03-29 21:00 8"},
		},
		"by week": {
			query: budget.HistoryQuery{By: usage.Week, Span: march}, want: []string{"2026-02-23 00:00 101", "2026-03-23 00:00 14", "2026-03-30 00:00 100"},
		},
		"by month": {
			query: budget.HistoryQuery{By: usage.Month, Span: march}, want: []string{"2026-03-01 00:00 15"},
		},
		"in another zone": {
			query: budget.HistoryQuery{Zone: berlin, Span: march},
			want:  []string{"2026-03-01 00:00 1", "2026-03-29 00:00 14", "2026-04-01 00:00 100"},
		},
		"in a zone of odd quarters": {
			query: budget.HistoryQuery{Zone: kathmandu, By: usage.Month, Span: march},
			want:  []string{"2026-03-01 00:00 115", "2026-04-01 00:00 100"},
		},
		"in the budget's zone": {
			budget: budget.Budget{Schedule: period.Monthly.In(berlin)}, query: budget.HistoryQuery{Span: march},
			want: []string{"2026-02-28 23:00 1", "2026-03-28 23:00 14", "2026-03-31 22:00 100"},
		},
		"filled with zeros": {
			query: budget.HistoryQuery{Fill: true, Span: span("2026-03-26T00:00:00Z", "2026-03-30T00:00:00Z")},
			want:  []string{"2026-03-26 00:00 0", "2026-03-27 00:00 0", "2026-03-28 00:00 2", "2026-03-29 00:00 12"},
		},
		"of the metric": {
			budget: budget.Budget{Metric: usage.Dollars}, query: budget.HistoryQuery{By: usage.Month, Span: march}, want: []string{"2026-03-01 00:00 4"},
		},
		"of credits, from events": {
			budget: budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.5")}, query: budget.HistoryQuery{By: usage.Month, Span: march},
			want: []string{"2026-03-01 00:00 8"},
		},
		"of a label, from events": {
			budget: budget.Budget{Scope: budget.Scope{"team": "red"}}, query: budget.HistoryQuery{By: usage.Day, Span: march},
			want: []string{"2026-03-29 00:00 8"},
		},
		"of all values together": {
			budget: budget.Budget{Scope: budget.Scope{"user": budget.Each}}, query: budget.HistoryQuery{By: usage.Month, Span: march},
			want: []string{"2026-03-01 00:00 13"},
		},
		"of one value": {
			budget: budget.Budget{Scope: budget.Scope{"user": budget.Each}},
			query:  budget.HistoryQuery{By: usage.Month, Span: march, Value: budget.Value{"user": "u1"}}, want: []string{"2026-03-01 00:00 5"},
		},
		"but for the excepted ones": {
			budget: budget.Budget{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"u1"}}},
			query:  budget.HistoryQuery{By: usage.Month, Span: march}, want: []string{"2026-03-01 00:00 8"},
		},
		"of an excepted one there is none": {
			budget: budget.Budget{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"u1"}}},
			query:  budget.HistoryQuery{By: usage.Month, Span: march, Value: budget.Value{"user": "u1"}}, want: nil,
		},
		"from the budget's start on, inside a quarter hour": {
			budget: budget.Budget{StartsAt: at("2026-03-28T23:53:00Z")}, query: budget.HistoryQuery{By: usage.Month, Span: march},
			want: []string{"2026-03-01 00:00 14"},
		},
		"to the budget's end": {
			budget: budget.Budget{EndsAt: at("2026-03-28T23:53:00Z")}, query: budget.HistoryQuery{By: usage.Month, Span: march},
			want: []string{"2026-03-01 00:00 1"},
		},
		"outside the budget's window there is none": {
			budget: budget.Budget{StartsAt: at("2026-05-01T00:00:00Z")}, query: budget.HistoryQuery{Span: march}, want: nil,
		},
	}
	for name, test := range tests {
		for _, reporting := range []string{"UTC", "Europe/Berlin"} {
			t.Run(name+", reporting in "+reporting, func(t *testing.T) {
				t.Parallel()
				f := openWith(t, memstore.New(&memstore.Options{ReportingZone: reporting}), nil)
				f.now = at("2026-04-01T12:00:00Z")
				priced := func(e usage.Event) usage.Event { e.Cost = new(dec("1")); return e }
				red := by("u2", tokens("d", 9))
				red.Labels = map[string]string{"team": "red"}
				f.record(
					priced(on("2026-03-01T00:00:00Z", by("u1", tokens("a", 1)))), priced(on("2026-03-28T23:53:00Z", tokens("b", 2))),
					priced(on("2026-03-29T00:59:59.999999Z", by("u1", tokens("c", 4)))), priced(on("2026-03-29T21:59:59Z", red)),
					on("2026-02-28T22:59:59Z", by("u1", tokens("before", 100))), on("2026-04-01T00:00:00Z", by("u1", tokens("after", 100))),
				)
				f.correct(back("e", "d", 1))
				b := f.create(test.budget)
				if diff := cmp.Diff(test.want, history(t, f, b.ID, test.query)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestHistoryHasAllAmounts(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Metric: usage.OutputTokens})
	f.record(usage.Event{ID: "a", Time: noon, Amounts: usage.Amounts{
		InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: new(int64(11)), Requests: new(int64(5)), Runs: 6,
		Cost: new(dec("7.5")),
	}})
	want := budget.HistoryPoint{Used: dec("2")}
	want.Bounds = period.Daily.Bounds(noon)
	want.Totals = usage.Totals{
		InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: 11, Requests: 5, Runs: 6, Nanodollars: 7_500_000_000,
	}
	got, err := f.History(t.Context(), b.ID, budget.HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]budget.HistoryPoint{want}, got, byText); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Unless told, a history is that of today and the 30 days before it, whatever the clocks did meanwhile.
func TestHistoryOfToday(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, now, first, last string
		days                   int
	}{
		"in UTC":                                 {"UTC", "2026-03-10T12:00:00Z", "2026-02-08 00:00", "2026-03-10 00:00", 31},
		"in the first instant of a day":          {"UTC", "2026-03-10T00:00:00Z", "2026-02-08 00:00", "2026-03-10 00:00", 31},
		"where it is tomorrow already":           {"Pacific/Auckland", "2026-03-10T12:00:00Z", "2026-02-09 00:00", "2026-03-11 00:00", 31},
		"over a day of 23 hours":                 {"Europe/Berlin", "2026-04-02T21:59:59Z", "2026-03-03 00:00", "2026-04-02 00:00", 31},
		"over a day of 25 hours":                 {"Europe/Berlin", "2026-11-02T23:00:00Z", "2026-10-04 00:00", "2026-11-03 00:00", 31},
		"where 30 days ago midnight was skipped": {"America/Santiago", "2026-10-06T03:30:00Z", "2026-09-06 01:00", "2026-10-06 00:00", 31},
		"where a date was left out":              {"Pacific/Apia", "2012-01-15T12:00:00Z", "2011-12-17 00:00", "2012-01-16 00:00", 30},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			zone := location(t, test.zone)
			f.now = at(test.now)
			b := f.create(budget.Budget{Schedule: period.Daily.In(zone)})
			points, err := f.History(t.Context(), b.ID, budget.HistoryQuery{Fill: true})
			if err != nil {
				t.Fatal(err)
			}
			text := func(p budget.HistoryPoint) string { return p.Start.In(zone).Format("2006-01-02 15:04") }
			if first, last := text(points[0]), text(points[len(points)-1]); first != test.first || last != test.last {
				t.Errorf("from %s to %s, want %s to %s", first, last, test.first, test.last)
			}
			if len(points) != test.days {
				t.Errorf("%d days, want %d", len(points), test.days)
			}
		})
	}
}

func TestHistoryOfADayThatIsNotOf24Hours(t *testing.T) {
	t.Parallel()
	for date, want := range map[string]int{"2026-03-29": 23, "2026-03-30": 24, "2026-10-25": 25} {
		t.Run(date, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.now = at("2026-12-01T00:00:00Z")
			berlin := location(t, "Europe/Berlin")
			b := f.create(budget.Budget{})
			day := usage.Day.Bounds(at(date+"T12:00:00Z"), berlin)
			for i, when := 0, day.Start; when.Before(day.End); i, when = i+1, when.Add(time.Hour) {
				e := tokens(fmt.Sprint(i), 1)
				e.Time = when
				f.record(e)
			}
			q := budget.HistoryQuery{Zone: berlin, By: usage.Hour, Span: day, Fill: true}
			hours, err := f.History(t.Context(), b.ID, q)
			if err != nil || len(hours) != want {
				t.Fatalf("%d hours, want %d: %v", len(hours), want, err)
			}
			for _, hour := range hours {
				if !hour.Used.Equal(dec("1")) || hour.Duration() != time.Hour {
					t.Errorf("%v: used %s", hour.Bounds, hour.Used)
				}
			}
			q.By = usage.Day
			days, err := f.History(t.Context(), b.ID, q)
			if err != nil || len(days) != 1 || !days[0].Used.Equal(decimal.NewFromInt(int64(want))) || days[0].Bounds != day {
				t.Errorf("%+v: %v", days, err)
			}
		})
	}
}

func TestHistoryRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
	tests := map[string]struct {
		query budget.HistoryQuery
		want  []string
	}{
		"another bucket":            {budget.HistoryQuery{By: "fortnight"}, []string{"bucket"}},
		"an unknown zone":           {budget.HistoryQuery{Zone: time.FixedZone("x", 60)}, []string{"time_zone"}},
		"a value of another shape":  {budget.HistoryQuery{Value: budget.Value{"tenant": "x"}}, []string{"value"}},
		"a span that ends first":    {budget.HistoryQuery{Span: period.Bounds{Start: noon, End: noon.Add(-1)}}, []string{"span"}},
		"an empty span":             {budget.HistoryQuery{Span: period.Bounds{Start: noon, End: noon}}, []string{"span"}},
		"a span without start":      {budget.HistoryQuery{Span: period.Bounds{End: noon}}, []string{"span"}},
		"a span beyond 2199":        {budget.HistoryQuery{Span: period.Bounds{Start: noon, End: usage.EndTime.Add(1)}}, []string{"span"}},
		"more hours than it fills":  {budget.HistoryQuery{By: usage.Hour, Fill: true, Span: period.Bounds{Start: noon, End: noon.Add(100_001 * time.Hour)}}, []string{"span"}},
		"but not if they stay gaps": {budget.HistoryQuery{By: usage.Hour, Span: allTime}, nil},
		"as many as it fills":       {budget.HistoryQuery{By: usage.Hour, Fill: true, Span: period.Bounds{Start: noon, End: noon.Add(100_000 * time.Hour)}}, nil},
		"all days that there are":   {budget.HistoryQuery{Fill: true, Span: allTime}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := f.History(t.Context(), b.ID, test.query)
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
	_, err := f.History(t.Context(), "unknown", budget.HistoryQuery{})
	is(t, err, budget.ErrNotFound)
}

// Whichever sums a history is read from, its points are those of the events.
func TestHistoryIsThatOfTheEvents(t *testing.T) {
	zone := rapid.Map(rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago"}),
		func(name string) *time.Location { return location(t, name) })
	instant := rapid.Map(rapid.Int64Range(0, 200*24*60*6), func(n int64) time.Time {
		return at("2026-02-01T00:00:00Z").Add(time.Duration(n) * 10 * time.Second)
	})
	user := rapid.SampledFrom([]string{"", "u1", "u2"})
	check(t, func(rt *rapid.T) {
		f := openWith(t, memstore.New(&memstore.Options{ReportingZone: zone.Draw(rt, "reporting zone").String()}), nil)
		f.now = at("2027-01-01T00:00:00Z")
		b := budget.Budget{Scope: rapid.SampledFrom([]budget.Scope{nil, {"user": "u1"}, {"user": budget.Each}}).Draw(rt, "scope")}
		if rapid.Bool().Draw(rt, "starts") {
			b.StartsAt = instant.Draw(rt, "start")
		}
		b = f.create(b)
		var events []usage.Event
		for range rapid.IntRange(1, 30).Draw(rt, "events") {
			e := by(user.Draw(rt, "user"), tokens(f.id(), rapid.Int64Range(1, 9).Draw(rt, "tokens")))
			e.Time = instant.Draw(rt, "time")
			events = append(events, e)
		}
		f.record(events...)

		q := budget.HistoryQuery{Zone: zone.Draw(rt, "zone"), By: rapid.SampledFrom([]usage.Bucket{usage.Hour, usage.Day, usage.Week, usage.Month}).Draw(rt, "by")}
		q.Span.Start = instant.Draw(rt, "from")
		q.Span.End = q.Span.Start.Add(time.Duration(rapid.IntRange(1, 100*24).Draw(rt, "hours")) * time.Hour)
		whole := period.Bounds{Start: q.By.Bounds(q.Span.Start, q.Zone).Start, End: q.By.Bounds(q.Span.End.Add(-1), q.Zone).End}
		want := make(map[time.Time]int64)
		for _, e := range events {
			if _, covered := b.Scope.Match(e.Subject); covered && whole.Contains(e.Time) && !e.Time.Before(b.StartsAt) {
				want[q.By.Bounds(e.Time, q.Zone).Start] += e.InputTokens
			}
		}
		points, err := f.History(t.Context(), b.ID, q)
		if err != nil {
			rt.Fatal(err)
		}
		got := make(map[time.Time]int64)
		for _, p := range points {
			got[p.Start] = p.Used.IntPart()
			if p.TotalTokens != p.Used.IntPart() || p.Bounds != q.By.Bounds(p.Start, q.Zone) {
				rt.Errorf("%+v", p)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestTop(t *testing.T) {
	t.Parallel()
	f := open(t)
	event := func(id, tenant, user, key, resource string, tokens int64, dollars string) usage.Event {
		return usage.Event{
			ID: id, Time: noon, Subject: usage.Subject{Tenant: tenant, User: user, APIKey: key, Resource: resource},
			Amounts: usage.Amounts{InputTokens: tokens, Cost: new(dec(dollars))},
		}
	}
	f.record(
		event("a", "t1", "u1", "k1", "large", 1, "5"), event("b", "t1", "u2", "k1", "small", 10, "1"),
		event("c", "t2", "u1", "", "large", 100, "3"), event("d", "t2", "", "", "", 1000, "4"),
	)
	f.record(on("2026-03-10T11:59:59.999999Z", event("e", "t1", "u1", "k1", "large", 10_000, "10")))
	f.correct(usage.Correction{ID: "f", Tenant: "t1", Event: "a", Amounts: usage.Amounts{InputTokens: 1, Cost: new(dec("5"))}})
	now := period.Bounds{Start: noon, End: noon.Add(time.Microsecond)}
	tests := map[string]struct {
		query budget.TopQuery
		want  []string
	}{
		"by cost unless told":               {budget.TopQuery{By: usage.Tenant}, []string{"t1 11", "t2 7"}},
		"by another metric":                 {budget.TopQuery{By: usage.Tenant, Metric: usage.Requests, Span: now}, []string{"t1 1", "t2 7"}},
		"usage without a value is left out": {budget.TopQuery{By: usage.User, Span: now}, []string{"u1 3", "u2 1"}},
		"of one tenant":                     {budget.TopQuery{By: usage.User, Span: now, Where: map[usage.Dimension]string{"tenant": "t2"}}, []string{"u1 3"}},
		"of a tenant's key":                 {budget.TopQuery{By: usage.Resource, Where: map[usage.Dimension]string{"tenant": "t1", "api_key": "k1"}}, []string{"large 10", "small 1"}},
		"of those without user":             {budget.TopQuery{By: usage.Tenant, Where: map[usage.Dimension]string{"user": ""}}, []string{"t2 4"}},
		"by key":                            {budget.TopQuery{By: usage.APIKey}, []string{"k1 11"}},
		"at most so many":                   {budget.TopQuery{By: usage.Resource, N: 1}, []string{"large 13"}},
		"of a microsecond":                  {budget.TopQuery{By: usage.Resource, Span: now}, []string{"large 3", "small 1"}},
		"of a time when there was nothing":  {budget.TopQuery{By: usage.Resource, Span: span("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")}, nil},
		"of somebody who has used nothing":  {budget.TopQuery{By: usage.Resource, Where: map[usage.Dimension]string{"user": "x"}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			groups, err := f.Top(t.Context(), test.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range groups {
				got = append(got, fmt.Sprint(g.Key, " ", g.Cost()))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTopRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	tests := map[string]struct {
		query budget.TopQuery
		want  []string
	}{
		"no dimension":     {budget.TopQuery{}, []string{"by"}},
		"a label":          {budget.TopQuery{By: "team"}, []string{"by"}},
		"credits":          {budget.TopQuery{By: usage.User, Metric: usage.Credits}, []string{"metric"}},
		"another metric":   {budget.TopQuery{By: usage.User, Metric: "euros"}, []string{"metric"}},
		"a span backwards": {budget.TopQuery{By: usage.User, Span: period.Bounds{Start: noon, End: noon}}, []string{"span"}},
		"everything at once": {
			budget.TopQuery{By: "team", Metric: "x", Where: map[usage.Dimension]string{"a": "b", "user": "\x00"}, Span: period.Bounds{End: noon}},
			[]string{"by", "where", "where.user", "metric", "span"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := f.Top(t.Context(), test.query)
			is(t, err, budget.ErrInvalid)
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}
