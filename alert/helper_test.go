package alert_test

import (
	"flag"
	"strconv"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/soak"
)

// check tries a property on many examples. Tests that call it are not parallel: the number of examples is a flag.
func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	n := soak.Count(t, "examples", 1000, 500_000)
	if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, property)
}

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

// with returns thresholds from percents, the default for an empty text.
func with(warning, critical string, extra ...string) alert.Thresholds {
	var t alert.Thresholds
	if warning != "" {
		t.Warning = new(dec(warning))
	}
	if critical != "" {
		t.Critical = new(dec(critical))
	}
	for _, percent := range extra {
		t.Extra = append(t.Extra, dec(percent))
	}
	return t
}

func thresholds() *rapid.Generator[alert.Thresholds] {
	const unit = 1_000_000_000
	percent := rapid.Custom(func(t *rapid.T) decimal.Decimal {
		whole := rapid.Int64Range(0, 100).Draw(t, "whole")
		return decimal.New(min(100*unit, whole*unit+rapid.SampledFrom([]int64{0, 1, unit / 2, unit - 1}).Draw(t, "part")), -9)
	})
	extra := rapid.Custom(func(t *rapid.T) decimal.Decimal {
		return decimal.New(rapid.OneOf(rapid.Int64Range(1, 1000*unit), rapid.Int64Range(1, unit)).Draw(t, "extra"), -9)
	})
	return rapid.Custom(func(t *rapid.T) alert.Thresholds {
		return alert.Thresholds{
			Warning:  rapid.Ptr(percent, true).Draw(t, "warning"),
			Critical: rapid.Ptr(percent, true).Draw(t, "critical"),
			Extra:    rapid.SliceOfNDistinct(extra, 0, 20, decimal.Decimal.String).Draw(t, "extra"),
		}
	})
}

// limits draws limits above 0, also the smallest and the largest.
func limits() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(1, 300), rapid.Int64Min(1))
}

// useOf draws amounts that are often near a part of limit.
func useOf(limit int64) *rapid.Generator[int64] {
	near := rapid.Custom(func(t *rapid.T) int64 {
		n := limit/100*rapid.Int64Range(0, 100).Draw(t, "percent") + rapid.Int64Range(-2, 2).Draw(t, "beside")
		return max(n, -2)
	})
	return rapid.OneOf(near, rapid.Int64Range(-1, 300), rapid.Int64())
}
