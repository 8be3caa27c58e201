package backtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/internal/backtest"
	"github.com/purser-go/purser/usage"
)

func TestReadTakesSeriesApart(t *testing.T) {
	t.Parallel()
	hour := func(h int, units int64) usage.HourUse {
		return usage.HourUse{Start: time.Date(2026, time.March, 1, h, 0, 0, 0, time.UTC), Units: units}
	}
	tests := map[string]struct {
		text string
		want []backtest.Series
	}{
		"by their names, in the order of their first rows": {
			"series,hour,amount\nb,2026-03-01T08:00:00Z,3\na,2026-03-01T08:00:00Z,5\nb,2026-03-01T09:00:00Z,1\n",
			[]backtest.Series{
				{Name: "b", Hours: []usage.HourUse{hour(8, 75e13), hour(9, 25e13)}},
				{Name: "a", Hours: []usage.HourUse{hour(8, 1e15)}},
			},
		},
		"hours in any order and form": {
			"series,hour,amount\nx,2026-03-01T10:00:00+01:00,1e-3\nx,2026-03-01 08:00:00,0.003\n",
			[]backtest.Series{{Name: "x", Hours: []usage.HourUse{hour(8, 75e13), hour(9, 25e13)}}},
		},
		"columns in any order, among others": {
			"\ufeffamount,who,hour,series\r\n7,me,2026-03-01T08:00:00Z,\r\n",
			[]backtest.Series{{Hours: []usage.HourUse{hour(8, 1e15)}}},
		},
		"quoted, in any case, with blanks around": {
			"\ufeff\"Series\", Hour ,AMOUNT\n\"x\", 2026-03-01T08:00:00Z , 7 \n",
			[]backtest.Series{{Name: "x", Hours: []usage.HourUse{hour(8, 1e15)}}},
		},
		"hours without seconds or minutes": {
			"series,hour,amount\nx,2026-03-01T08:00Z,1\nx,2026-03-01 08:00,1\nx,2026-03-01T10+02:00,1\nx,2026-03-01 09,1\n",
			[]backtest.Series{{Name: "x", Hours: []usage.HourUse{hour(8, 25e13), hour(8, 25e13), hour(8, 25e13), hour(9, 25e13)}}},
		},
		"amounts that would not fit": {
			"series,hour,amount\nx,2026-03-01T08:00:00Z,1e60\nx,2026-03-01T09:00:00Z,1e60\n",
			[]backtest.Series{{Name: "x", Hours: []usage.HourUse{hour(8, 5e14), hour(9, 5e14)}}},
		},
		"zeros": {
			"series,hour,amount\nx,2026-03-01T08:00:00Z,0\n",
			[]backtest.Series{{Name: "x", Hours: []usage.HourUse{hour(8, 0)}}},
		},
		"no rows": {"series,hour,amount\n", []backtest.Series{}},
	}
	for name, test := range tests {
		got, err := backtest.Read(strings.NewReader(test.text))
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, series (-want +got)\n%s", name, err, diff)
		}
	}
}

func TestReadSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	const header, row = "series,hour,amount\n", "x,2026-03-01T08:00:00Z,1\n"
	tests := map[string]string{
		"":                                      "has no header: want series,hour,amount",
		"series,time,amount\n":                  "has no column hour: want series,hour,amount",
		header + row + "x,noon,1\n":             `line 3: hour: "noon" must be a time such as 2026-03-01T09:00:00Z`,
		header + "x,2026-03-01T8,1\n":           `line 2: hour: "2026-03-01T8" must be a time such as 2026-03-01T09:00:00Z`,
		header + "x,2026-03-01T25:00,1\n":       `line 2: hour: "2026-03-01T25:00" must be a time such as 2026-03-01T09:00:00Z`,
		header + "x,1979-12-31T23:00:00Z,1\n":   "line 2: hour: 1979-12-31T23:00:00Z must be from 1980 to 2199",
		header + "x,2026-03-01T08:00:00Z,-1\n":  "line 2: amount: must not be negative",
		header + "x,2026-03-01T08:00:00Z,NaN\n": "line 2: amount: must be a number such as 12.5",
		header + "x,2026-03-01T08:00:00Z,\n":    "line 2: amount: must be a number such as 12.5",
		header + row + "x,1\n":                  "record on line 3: wrong number of fields",
	}
	for text, want := range tests {
		series, err := backtest.Read(strings.NewReader(text))
		if err == nil || err.Error() != want || series != nil {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
