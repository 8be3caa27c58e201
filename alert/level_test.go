package alert_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

func TestClassify(t *testing.T) {
	tests := map[string]struct {
		used, limit string
		thresholds  alert.Thresholds
		want        alert.Level
	}{
		"exactly 80 percent is a warning":              {"4.52", "5.65", with("", ""), alert.Warning},
		"a billionth less is not":                      {"4.519999999", "5.65", with("", ""), alert.OK},
		"exactly 90 percent is critical":               {"0.09", "0.10", with("", ""), alert.Critical},
		"a billionth less is a warning":                {"0.089999999", "0.10", with("", ""), alert.Warning},
		"exactly 100 percent is exceeded":              {"100", "100", with("", ""), alert.Exceeded},
		"a billionth less is critical":                 {"99.999999999", "100", with("", ""), alert.Critical},
		"far above is exceeded":                        {"100000", "1", with("", ""), alert.Exceeded},
		"a threshold of 0 is reached by the first use": {"0.000000001", "9223372036.854775807", with("0", ""), alert.Warning},
		"a threshold of 0 is not reached by no use":    {"0", "1", with("0", "0"), alert.OK},
		"nothing is reached below 0":                   {"-5", "1", with("0", "0"), alert.OK},
		"critical at 0 from the first use":             {"1", "1000", with("80", "0"), alert.Critical},
		"critical goes before a higher warning":        {"92", "100", with("95", "90"), alert.Critical},
		"below it a higher warning never shows":        {"89", "100", with("95", "90"), alert.OK},
		"nor above it":                                 {"96", "100", with("95", "90"), alert.Critical},
		"a warning at 100 never shows":                 {"100", "100", with("100", "100"), alert.Exceeded},
		"a percent with nine places":                   {"12.345678901", "100", with("12.345678901", ""), alert.Warning},
		"extra percents are no level":                  {"60", "100", with("", "", "50", "150"), alert.OK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := alert.Classify(dec(test.used), dec(test.limit), test.thresholds); got != test.want {
				t.Errorf("%s of %s is %v, want %v", test.used, test.limit, got, test.want)
			}
		})
	}
}

func TestClassifyIsExact(t *testing.T) {
	check(t, func(t *rapid.T) {
		th, limit := thresholds().Draw(t, "thresholds"), limits().Draw(t, "limit")
		used := useOf(limit).Draw(t, "used")
		share := big.NewRat(used, limit)
		reaches := func(percent decimal.Decimal) bool {
			return used > 0 && share.Cmp(new(big.Rat).Quo(percent.Rat(), big.NewRat(100, 1))) >= 0
		}
		want := alert.OK
		if reaches(th.WarningPercent()) {
			want = alert.Warning
		}
		if reaches(th.CriticalPercent()) {
			want = alert.Critical
		}
		if used >= limit {
			want = alert.Exceeded
		}
		for _, metric := range usage.Metrics() {
			if got := alert.Classify(metric.Decimal(used), metric.Decimal(limit), th); got != want {
				t.Errorf("%d of %d %s is %v, want %v", used, limit, metric, got, want)
			}
		}
	})
}

func TestPercent(t *testing.T) {
	tests := map[string]struct {
		used, limit string
		places      int32
		want        string
	}{
		"cut and not rounded":         {"99.96", "100", 1, "99.9"},
		"exact":                       {"4.52", "5.65", 9, "80"},
		"two thirds":                  {"2", "3", 9, "66.666666666"},
		"not capped":                  {"3", "2", 1, "150"},
		"next to nothing":             {"0.000000001", "9223372036.854775807", 9, "0"},
		"as many places as asked for": {"1", "3", 20, "33.33333333333333333333"},
		"cut toward 0 below 0":        {"-99.96", "100", 1, "-99.9"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := alert.Percent(dec(test.used), dec(test.limit), test.places); !got.Equal(dec(test.want)) {
				t.Errorf("%s of %s is %v %%, want %s", test.used, test.limit, got, test.want)
			}
		})
	}
}

func TestPercentIsTheExactOneCut(t *testing.T) {
	check(t, func(t *rapid.T) {
		limit := limits().Draw(t, "limit")
		used := max(0, useOf(limit).Draw(t, "used"))
		places := rapid.Int32Range(0, 12).Draw(t, "places")
		got := alert.Percent(usage.Dollars.Decimal(used), usage.Dollars.Decimal(limit), places).Rat()
		exact := new(big.Rat).Mul(big.NewRat(used, limit), big.NewRat(100, 1))
		next := new(big.Rat).Add(got, decimal.New(1, -places).Rat())
		if got.Cmp(exact) > 0 || next.Cmp(exact) <= 0 {
			t.Errorf("%d of %d is %v %%, want %v cut after %d places", used, limit, got, exact, places)
		}
	})
}

func TestMessage(t *testing.T) {
	tests := map[string]struct {
		level       alert.Level
		used, limit string
		want        string
	}{
		"names budget, percentage and level": {alert.Warning, "4.52", "5.65", `Budget "Acme, monthly" has used 80.0% of its limit (warning)`},
		"cuts the percentage":                {alert.Critical, "99.96", "100", `Budget "Acme, monthly" has used 99.9% of its limit (critical)`},
		"does not cap it":                    {alert.Exceeded, "12345", "100", `Budget "Acme, monthly" has used 12345.0% of its limit (exceeded)`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := alert.Message("Acme, monthly", test.level, dec(test.used), dec(test.limit)); got != test.want {
				t.Errorf("Message = %s\nwant      %s", got, test.want)
			}
		})
	}
}

func TestLevelText(t *testing.T) {
	levels := []alert.Level{alert.OK, alert.Warning, alert.Critical, alert.Exceeded}
	text, err := json.Marshal(levels)
	if want := `["ok","warning","critical","exceeded"]`; err != nil || string(text) != want {
		t.Fatalf("written %s, %v, want %s", text, err, want)
	}
	var again []alert.Level
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(levels, again); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if got, want := fmt.Sprint(alert.Exceeded, alert.Level(4)), "exceeded level 4"; got != want {
		t.Errorf("levels print as %q, want %q", got, want)
	}
	if text, err := json.Marshal(alert.Level(4)); err == nil {
		t.Errorf("an unknown level is written: %s", text)
	}
	for _, text := range []string{"", "OK", "severe"} {
		var refusal *usage.FieldError
		if err := new(alert.Level).UnmarshalText([]byte(text)); !errors.As(err, &refusal) || refusal.Field != "level" {
			t.Errorf("%q: error is %v", text, err)
		}
	}
}

func ExampleClassify() {
	limit := decimal.RequireFromString("5.65")
	for _, used := range []string{"4.519999999", "4.52", "5.65"} {
		fmt.Println(used, alert.Classify(decimal.RequireFromString(used), limit, alert.Thresholds{}))
	}
	// Output:
	// 4.519999999 ok
	// 4.52 warning
	// 5.65 exceeded
}
