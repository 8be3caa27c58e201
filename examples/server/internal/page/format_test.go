package page

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestAmountOf(t *testing.T) {
	tests := map[string]struct {
		metric usage.Metric
		amount string
		want   quantity
	}{
		"dollars have cents":                     {usage.Dollars, "1234567.5", quantity{"$1,234,567.50", "1234567.5"}},
		"half a cent is rounded up":              {usage.Dollars, "0.125", quantity{"$0.13", "0.125"}},
		"what is less than a cent stays":         {usage.Dollars, "0.000000001", quantity{"$0.000000001", "0.000000001"}},
		"nothing is nothing":                     {usage.Dollars, "0", quantity{"$0.00", "0"}},
		"what was given back has a minus":        {usage.Dollars, "-2.5", quantity{"−$2.50", "-2.5"}},
		"credits have two places at the most":    {usage.Credits, "6350.486", quantity{"6,350.49 credits", "6350.486"}},
		"whole credits have none":                {usage.Credits, "12000", quantity{"12,000 credits", "12000"}},
		"tokens are exact":                       {usage.Tokens, "9223372036854775807", quantity{"9,223,372,036,854,775,807 tokens", "9223372036854775807"}},
		"tokens of one kind are tokens":          {usage.OutputTokens, "5", quantity{"5 tokens", "5"}},
		"requests go by their name":              {usage.Requests, "-1000", quantity{"−1,000 requests", "-1000"}},
		"an amount keeps its own text beside it": {usage.Dollars, "1e3", quantity{"$1,000.00", "1000"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := amountOf(test.metric, decimal.RequireFromString(test.amount))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("amountOf(%s, %s) (-want +got):\n%s", test.metric, test.amount, diff)
			}
		})
	}
}

func TestLimitsThatLimitNothingHaveNoNumber(t *testing.T) {
	for _, m := range usage.Metrics() {
		none := budget.Budget{Metric: m, Limit: m.Decimal(math.MaxInt64)}
		if got := limitOf(none).Text; got != "no limit" {
			t.Errorf("%s: the largest limit reads %q", m, got)
		}
		less := budget.Budget{Metric: m, Limit: m.Decimal(math.MaxInt64 - 1)}
		if got := limitOf(less); got != amountOf(m, less.Limit) {
			t.Errorf("%s: a lower limit reads %q", m, got.Text)
		}
	}
}

func TestPercentsNeverClaimMore(t *testing.T) {
	for percent, want := range map[string]string{"99.96": "99.9 %", "100": "100.0 %", "0.04": "0.0 %", "1234.5678": "1234.5 %"} {
		if got := percentOf(decimal.RequireFromString(percent)); got != want {
			t.Errorf("percentOf(%s) = %q, want %q", percent, got, want)
		}
	}
}

func TestMomentsReadAsInTheirZone(t *testing.T) {
	kathmandu, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 2, 28, 18, 20, 59, 0, time.UTC)
	if diff := cmp.Diff(&moment{"2026-03-01 00:05", "2026-02-28T18:20:59Z"}, in(kathmandu, at)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := in(kathmandu, time.Time{}); got != nil {
		t.Errorf("no time reads %v", got)
	}
	if got := boundary(time.UTC, period.Lifetime.Bounds(at).End); got != nil {
		t.Errorf("the end of all time reads %v", got)
	}
}

func TestRowsOfHoursDifferWhenTheClockGoesBack(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var got []plotRow
	for hour := time.Date(2026, 10, 24, 23, 0, 0, 0, time.UTC); len(got) < 4; hour = hour.Add(time.Hour) {
		got = append(got, newPlotRow(usage.Hour, hour, berlin))
	}
	want := []plotRow{
		{Start: "2026-10-24T23:00:00Z", Name: "2026-10-25 01:00"},
		{Start: "2026-10-25T00:00:00Z", Name: "2026-10-25 02:00 CEST"},
		{Start: "2026-10-25T01:00:00Z", Name: "2026-10-25 02:00 CET"},
		{Start: "2026-10-25T02:00:00Z", Name: "2026-10-25 03:00"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCoverage(t *testing.T) {
	tests := map[string]budget.Scope{
		"everything":           nil,
		"tenant acme":          {usage.Tenant: "acme"},
		"api key k, each user": {usage.User: budget.Each, usage.APIKey: "k"},
		"team <b>, tenant t":   {"team": "<b>", usage.Tenant: "t"},
	}
	for want, scope := range tests {
		if got := coverage(scope); got != want {
			t.Errorf("coverage(%v) = %q, want %q", scope, got, want)
		}
	}
}

func TestOtherNamesOfTenants(t *testing.T) {
	tests := []struct {
		account budget.Account
		want    string
	}{
		{budget.Account{Tenant: "7", Name: "Acme", Slug: "acme"}, "7, acme"},
		{budget.Account{Tenant: "7", Name: "Acme"}, "7"},
		{budget.Account{Tenant: "acme", Name: "Acme", Slug: "acme"}, "acme"},
		{budget.Account{Tenant: "acme", Name: "acme", Slug: "a"}, "a"},
		{budget.Account{Tenant: "acme", Name: "acme"}, ""},
	}
	for _, test := range tests {
		if got := tenantNames(test.account); got != test.want {
			t.Errorf("%q of %q, slug %q, has the other names %q, want %q",
				test.account.Name, test.account.Tenant, test.account.Slug, got, test.want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	tests := map[string]string{
		"/":                      "/",
		"/budgets/x?value=a%2Fb": "/budgets/x?value=a%2Fb",
		"":                       "/",
		"budgets":                "/",
		"https://example.com/x":  "/",
		"//example.com/x":        "/",
		`/\example.com`:          "/",
		`\\example.com`:          "/",
		"javascript:alert(1)":    "/",
		"/x#y":                   "/x",
		"/%2F/example.com":       "/%2F/example.com",
		"/\t/example.com":        "/",
		"http:/example.com":      "/",
	}
	for next, want := range tests {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
}
