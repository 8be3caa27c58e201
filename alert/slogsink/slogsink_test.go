package slogsink_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/alert/slogsink"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		alert alert.Alert
		want  string
	}{
		"an extra percent below warning is Info": {alert.Alert{Kind: alert.Threshold}, "INFO"},
		"warning is Warn":                        {alert.Alert{Kind: alert.Threshold, Level: alert.Warning}, "WARN"},
		"critical is Error":                      {alert.Alert{Kind: alert.Threshold, Level: alert.Critical}, "ERROR"},
		"exceeded is Error":                      {alert.Alert{Kind: alert.Threshold, Level: alert.Exceeded}, "ERROR"},
		"what is resolved is Info":               {alert.Alert{Kind: alert.Resolved, Level: alert.Warning, Left: alert.Exceeded}, "INFO"},
		"a refusal is Error at any level":        {alert.Alert{Kind: alert.Blocked}, "ERROR"},
		"a forecast is Warn":                     {alert.Alert{Kind: alert.Forecast}, "WARN"},
		"a late one says so":                     {alert.Alert{Kind: alert.Threshold, Late: true}, "late=true"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := slogsink.New(slog.New(slog.NewTextHandler(&out, nil))).Send(t.Context(), test.alert); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), test.want) {
				t.Errorf("the record is %q, want %s in it", out.String(), test.want)
			}
		})
	}
}

func ExampleNew() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	at := time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)
	_ = slogsink.New(logger).Send(context.Background(), alert.Alert{
		ID: "1", Budget: "acme", BudgetName: "Acme", Scope: map[usage.Dimension]string{usage.Tenant: "acme"},
		Period: period.Monthly.Bounds(at), Kind: alert.Threshold, Threshold: decimal.NewFromInt(80), Level: alert.Warning,
		Metric: usage.Dollars, Used: 4_520_000_000, Limit: 5_650_000_000, At: at, Message: "4.52 of 5.65 dollars are used",
	})
	// Output:
	// level=WARN msg="4.52 of 5.65 dollars are used" alert=1 at=2026-03-10T12:00:00.000Z kind=threshold budget_level=warning budget=acme budget_name=Acme scope=map[tenant:acme] period_start=2026-03-01T00:00:00.000Z period_end=2026-04-01T00:00:00.000Z metric=dollars used=4.52 limit=5.65 threshold=80
}
