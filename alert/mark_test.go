package alert_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

func TestThresholdsValidate(t *testing.T) {
	tests := map[string]struct {
		thresholds alert.Thresholds
		want       []string
	}{
		"the zero thresholds are valid":             {},
		"the bounds are valid":                      {thresholds: with("0", "100", "0.000000001", "1000")},
		"a warning above critical is valid":         {thresholds: with("95", "90")},
		"trailing zeros are no places":              {thresholds: with("80.0000000000", "")},
		"an extra percent may be one of the others": {thresholds: with("", "", "80", "90", "100")},
		"twenty extra percents are valid":           {thresholds: alert.Thresholds{Extra: upTo(20)}},
		"percents outside their bounds are refused": {
			with("-0.000000001", "100.000000001", "0", "1000.000000001", "-1"),
			[]string{
				"warning_percent: must be from 0 to 100", "critical_percent: must be from 0 to 100",
				"extra_percents: a percent must be above 0 and up to 1000",
				"extra_percents: a percent must be above 0 and up to 1000",
				"extra_percents: a percent must be above 0 and up to 1000",
			},
		},
		"more than nine places are refused": {
			with("80.0000000001", "", "0.0000000001"),
			[]string{
				"warning_percent: has more than 9 decimal places", "extra_percents: a percent has more than 9 decimal places",
			},
		},
		"an exponent makes no huge work": {
			alert.Thresholds{Warning: new(decimal.New(1, 999_999_999)), Extra: []decimal.Decimal{decimal.New(1, 999_999_999)}},
			[]string{"warning_percent: must be from 0 to 100", "extra_percents: a percent must be above 0 and up to 1000"},
		},
		"two equal extra percents are refused": {
			with("", "", "50", "60", "50.0"), []string{"extra_percents: has 50 twice"},
		},
		"twenty-one extra percents are refused": {
			alert.Thresholds{Extra: upTo(21)}, []string{"extra_percents: has 21 percents, at most 20 are allowed"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, findings(t, test.thresholds.Validate())); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// findings returns what err says, field by field and in order, and fails if anything but field errors is in it.
func findings(t *testing.T, err error) []string {
	t.Helper()
	switch e := err.(type) { //nolint:errorlint // the tree is walked here, node by node
	case nil:
		return nil
	case *usage.FieldError:
		return []string{e.Error()}
	case interface{ Unwrap() []error }:
		var found []string
		for _, inner := range e.Unwrap() {
			found = append(found, findings(t, inner)...)
		}
		return found
	default:
		t.Fatalf("%v (%T) is no FieldError", err, err)
		return nil
	}
}

func upTo(n int) []decimal.Decimal {
	var percents []decimal.Decimal
	for i := range n {
		percents = append(percents, decimal.NewFromInt(int64(i+1)))
	}
	return percents
}

func TestMarks(t *testing.T) {
	mark := func(percent string, level alert.Level, units int64) alert.Mark {
		return alert.Mark{Percent: dec(percent), Level: level, Units: units}
	}
	tests := map[string]struct {
		thresholds alert.Thresholds
		limit      int64
		want       []alert.Mark
	}{
		"warning, critical and 100 by default": {with("", ""), 1000, []alert.Mark{
			mark("80", alert.Warning, 800), mark("90", alert.Critical, 900), mark("100", alert.Exceeded, 1000),
		}},
		"a part of a unit is a whole one": {with("80.1", ""), 999, []alert.Mark{
			mark("80.1", alert.Warning, 801), mark("90", alert.Critical, 900), mark("100", alert.Exceeded, 999),
		}},
		"0 percent is reached by the first unit": {with("0", ""), 1000, []alert.Mark{
			mark("0", alert.Warning, 1), mark("90", alert.Critical, 900), mark("100", alert.Exceeded, 1000),
		}},
		"one unit reaches all": {with("", ""), 1, []alert.Mark{
			mark("80", alert.Warning, 1), mark("90", alert.Critical, 1), mark("100", alert.Exceeded, 1),
		}},
		"extra percents have the level of where they are": {with("", "", "150", "50", "85", "99.5"), 1000, []alert.Mark{
			mark("50", alert.OK, 500), mark("80", alert.Warning, 800), mark("85", alert.Warning, 850),
			mark("90", alert.Critical, 900), mark("99.5", alert.Critical, 995), mark("100", alert.Exceeded, 1000),
			mark("150", alert.Exceeded, 1500),
		}},
		"a warning above critical is critical": {with("95", "90"), 100, []alert.Mark{
			mark("90", alert.Critical, 90), mark("95", alert.Critical, 95), mark("100", alert.Exceeded, 100),
		}},
		"a limit of 0 has none":         {with("", ""), 0, nil},
		"what is not valid has no mark": {with("-1", "80.0000000001"), 100, []alert.Mark{mark("100", alert.Exceeded, 100)}},
		"equal percents are one":        {with("100", "100.0", "100"), 100, []alert.Mark{mark("100", alert.Exceeded, 100)}},
		"the highest limit": {with("", "", "100.000000001", "200.000000001"), math.MaxInt64, []alert.Mark{
			mark("80", alert.Warning, 7378697629483820646), mark("90", alert.Critical, 8301034833169298227),
			mark("100", alert.Exceeded, math.MaxInt64),
		}},
		"a thousand percent of half as much is out of reach": {with("", "0", "1000", "200"), math.MaxInt64 / 2, []alert.Mark{
			mark("0", alert.Critical, 1), mark("80", alert.Critical, 3689348814741910323),
			mark("100", alert.Exceeded, math.MaxInt64/2), mark("200", alert.Exceeded, math.MaxInt64-1),
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.thresholds.Marks(test.limit), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClassifyAgreesWithMarks(t *testing.T) {
	check(t, func(t *rapid.T) {
		th, limit := thresholds().Draw(t, "thresholds"), limits().Draw(t, "limit")
		marks := th.Marks(limit)
		candidates := []int64{useOf(limit).Draw(t, "used")}
		for _, m := range marks {
			candidates = append(candidates, m.Units-1, m.Units)
		}
		for _, used := range candidates {
			want := alert.OK
			for _, m := range marks {
				if used >= m.Units {
					want = max(want, m.Level)
				}
			}
			got := alert.Classify(usage.Dollars.Decimal(used), usage.Dollars.Decimal(limit), th)
			if got != want {
				t.Errorf("%d of %d is %v, by its marks %v", used, limit, got, want)
			}
		}
	})
}

func TestCrossedAgreesWithClassify(t *testing.T) {
	check(t, func(t *rapid.T) {
		th, limit := thresholds().Draw(t, "thresholds"), limits().Draw(t, "limit")
		before, after := useOf(limit).Draw(t, "before"), useOf(limit).Draw(t, "after")
		marks := th.Marks(limit)
		up, down := alert.Crossed(before, marks, after, marks)
		level := func(used int64) alert.Level {
			return alert.Classify(usage.Tokens.Decimal(used), usage.Tokens.Decimal(limit), th)
		}
		was, is := level(before), level(after)
		switch {
		case len(up) > 0 && len(down) > 0:
			t.Errorf("goes both up %v and down %v", up, down)
		case is > was && (len(up) == 0 || up[len(up)-1].Level != is):
			t.Errorf("from %v to %v, up is %v", was, is, up)
		case is < was && (len(down) == 0 || down[len(down)-1].Level != was):
			t.Errorf("from %v to %v, down is %v", was, is, down)
		case is == was && before <= after && len(down) > 0, is == was && before >= after && len(up) > 0:
			t.Errorf("stays %v, up is %v, down is %v", is, up, down)
		}
	})
}

func TestCrossed(t *testing.T) {
	standard, extra := with("", ""), with("", "", "50", "85")
	tests := map[string]struct {
		usedBefore int64
		before     []alert.Mark
		usedAfter  int64
		after      []alert.Mark
		up, down   []string
	}{
		"nothing below the first mark":   {0, standard.Marks(100), 79, standard.Marks(100), nil, nil},
		"reaching a mark crosses it":     {79, standard.Marks(100), 80, standard.Marks(100), []string{"80"}, nil},
		"once":                           {80, standard.Marks(100), 89, standard.Marks(100), nil, nil},
		"several at once, ascending":     {0, extra.Marks(100), 95, extra.Marks(100), []string{"50", "80", "85", "90"}, nil},
		"going back":                     {95, extra.Marks(100), 80, extra.Marks(100), nil, []string{"85", "90"}},
		"below 0 nothing is reached":     {1, with("0", "").Marks(100), -5, with("0", "").Marks(100), nil, []string{"0"}},
		"a raised limit":                 {95, standard.Marks(100), 95, standard.Marks(110), nil, []string{"90"}},
		"a lowered limit":                {85, standard.Marks(110), 85, standard.Marks(85), []string{"80", "90", "100"}, nil},
		"a lowered warning is reached":   {75, standard.Marks(100), 75, with("70", "").Marks(100), []string{"70"}, nil},
		"a raised warning is left":       {85, standard.Marks(100), 85, with("88", "").Marks(100), nil, []string{"80"}},
		"another percent is another one": {97, standard.Marks(100), 97, with("", "95").Marks(100), []string{"95"}, []string{"90"}},
		"an extra one is added":          {60, standard.Marks(100), 60, extra.Marks(100), []string{"50"}, nil},
		"from no marks":                  {95, nil, 95, standard.Marks(100), []string{"80", "90"}, nil},
		"to no marks":                    {95, standard.Marks(100), 99, nil, nil, []string{"80", "90"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up, down := alert.Crossed(test.usedBefore, test.before, test.usedAfter, test.after)
			got, want := [][]string{percents(up), percents(down)}, [][]string{test.up, test.down}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("up and down (-want +got):\n%s", diff)
			}
		})
	}
}

func percents(marks []alert.Mark) []string {
	var texts []string
	for _, m := range marks {
		texts = append(texts, m.Percent.String())
	}
	return texts
}

func BenchmarkCrossed(b *testing.B) {
	marks := with("", "", "25", "50", "75", "110").Marks(1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		alert.Crossed(910_000, marks, 910_001, marks)
	}
}

// One event takes a budget from 79 to 95 of 100: the warning and the critical percent are crossed.
func ExampleCrossed() {
	marks := alert.Thresholds{}.Marks(100)
	up, down := alert.Crossed(79, marks, 95, marks)
	for _, m := range up {
		fmt.Println(m.Percent, m.Level)
	}
	fmt.Println(len(down))
	// Output:
	// 80 warning
	// 90 critical
	// 0
}
