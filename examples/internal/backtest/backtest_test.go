package backtest_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the machine's database may have fewer zones, or none

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/internal/backtest"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// berlin is where the clients are, so that some months have an hour more or less.
func berlin(t *testing.T) period.Schedule {
	t.Helper()
	schedule, err := period.Monthly.InZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return schedule
}

// A half is what came of one half of the seeds, client by client.
type half [][]backtest.Trial

// all returns the trials of all clients.
func (h half) all() []backtest.Trial { return slices.Concat(h...) }

// play replays each client with each seed, on as many goroutines as there are clients.
func play(t *testing.T, seeds int) (tuning, report half) {
	schedule := berlin(t)
	tuning, report = make(half, len(clients)), make(half, len(clients))
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for seed := range uint64(seeds) {
				to := &tuning[i]
				if seed%2 == 1 {
					to = &report[i]
				}
				series := clients[i].series(seed, schedule.Location())
				*to = slices.AppendSeq(*to, backtest.Replay(series, schedule))
			}
		})
	}
	wg.Wait()
	return tuning, report
}

func rows(trials []backtest.Trial) map[usage.Method][]backtest.Row {
	of := make(map[usage.Method][]backtest.Row)
	for _, r := range backtest.Sum(slices.Values(trials)) {
		of[r.Method] = append(of[r.Method], r)
	}
	return of
}

// The seeds are cut in two. The even ones are what the constants of package usage were tuned on: those of the season, the
// level and its changes, and the reach of the ranges. What is claimed is claimed of the odd ones.
func TestProjectionsKeepWhatTheyClaim(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a few seeds say nothing")
	}
	tuning, report := play(t, soak.Count(t, "seeds", 300, 2000))
	t.Run("ranges are calibrated on the one half", func(t *testing.T) { calibrated(t, tuning.all()) })
	t.Run("ranges hold the truth as often as stated on the other half", func(t *testing.T) { covers(t, report.all()) })
	t.Run("Auto is no worse than the run rate by more than 5 percent anywhere", func(t *testing.T) {
		t.Log("\n" + table("all clients", report.all()))
		noWorse(t, "all clients", report.all())
		for i, c := range clients {
			t.Log("\n" + table(c.String(), report[i]))
			noWorse(t, c.Name, report[i])
		}
	})
	t.Run("Auto is better where there is a season", func(t *testing.T) {
		for i, c := range clients {
			if c.Day != even || c.Week != everyDay {
				better(t, c.Name, report[i])
			}
		}
	})
}

// calibrated fails unless of the trials as many were below their range, and above, as package usage says.
func calibrated(t *testing.T, trials []backtest.Trial) {
	const beyond, within = 0.1, 0.01
	type key struct {
		method usage.Method
		share  float64
	}
	below, above, all := map[key]float64{}, map[key]float64{}, map[key]float64{}
	for _, trial := range trials {
		k := key{trial.Method, trial.Share}
		all[k]++
		switch {
		case trial.Truth < trial.Low:
			below[k]++
		case trial.Truth > trial.High:
			above[k]++
		}
	}
	for _, m := range []usage.Method{usage.RunRate, usage.Seasonal} {
		for _, share := range backtest.Shares() {
			k := key{m, share}
			if low, high := below[k]/all[k], above[k]/all[k]; max(low, high) > beyond+within || min(low, high) < beyond-within {
				t.Errorf("%s at %.2f: %.3f below the range and %.3f above, want %.1f of each", m, share, low, high, beyond)
			}
		}
	}
}

func covers(t *testing.T, trials []backtest.Trial) {
	for _, r := range backtest.Sum(slices.Values(trials)) {
		if stated := usage.Coverage / 100.0; r.Covered < stated-0.05 || r.Covered > stated+0.05 {
			t.Errorf("%s at %.2f: the range held the truth in %.3f of the cases, want %.2f", r.Method, r.Share, r.Covered, stated)
		}
	}
}

func noWorse(t *testing.T, name string, trials []backtest.Trial) {
	of := rows(trials)
	for i, rate := range of[usage.RunRate] {
		auto := of[usage.Auto][i]
		if auto.Share != rate.Share || auto.Projections != rate.Projections {
			t.Fatalf("%s: Auto has %+v, the run rate %+v", name, auto, rate)
		}
		if auto.MedianError > 1.05*rate.MedianError || auto.P90Error > 1.05*rate.P90Error {
			t.Errorf("%s at %.2f: errors of %.4f and %.4f, of the run rate %.4f and %.4f",
				name, rate.Share, auto.MedianError, auto.P90Error, rate.MedianError, rate.P90Error)
		}
	}
}

// better fails unless the errors of Auto are smaller early in the period, where the run rate knows least of the week, and all
// in all.
func better(t *testing.T, name string, trials []backtest.Trial) {
	of := rows(trials)
	autos, rates := 0.0, 0.0
	for i, rate := range of[usage.RunRate] {
		auto := of[usage.Auto][i]
		autos, rates = autos+auto.MedianError+auto.P90Error, rates+rate.MedianError+rate.P90Error
		if rate.Share <= 0.25 && auto.MedianError >= rate.MedianError {
			t.Errorf("%s at %.2f: the error is %.4f, want less than the %.4f of the run rate", name, rate.Share, auto.MedianError, rate.MedianError)
		}
	}
	if autos > 0.95*rates {
		t.Errorf("%s: the errors add up to %.4f, want less than %.4f", name, autos, 0.95*rates)
	}
}

// table lists what came of trials, also where Auto lost.
func table(title string, trials []backtest.Trial) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%-9s %6s %9s %9s %9s %12s\n", title, "", "share", "median", "p90", "covered", "projections")
	of := rows(trials)
	for _, m := range usage.Methods() {
		for i, r := range of[m] {
			fmt.Fprintf(&b, "%-9s %5.0f%% %8.1f%% %8.1f%% %8.1f%% %12d", m, 100*r.Share, 100*r.MedianError, 100*r.P90Error, 100*r.Covered, r.Projections)
			if rate := of[usage.RunRate][i]; m == usage.Auto && (r.MedianError > rate.MedianError || r.P90Error > rate.P90Error) {
				b.WriteString("  worse than the run rate")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// steady is a client that uses one dollar an hour from an instant on, for so many hours.
func steady(start string, n int) backtest.Series {
	first, err := time.Parse(time.RFC3339, start)
	if err != nil {
		panic(err)
	}
	s := backtest.Series{Name: start}
	for i := range n {
		s.Hours = append(s.Hours, usage.HourUse{Start: first.Add(time.Duration(i) * time.Hour), Units: 1e9})
	}
	return s
}

func TestReplayTriesThePeriodsThatTheSeriesSawTheEndOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		series   backtest.Series
		schedule period.Schedule
		want     []string // by Auto
	}{
		"whole months": {
			steady("2026-01-01T00:00:00Z", 59*24), period.Monthly,
			[]string{"2026-01 0.10", "2026-01 0.25", "2026-01 0.50", "2026-01 0.75", "2026-02 0.10", "2026-02 0.25", "2026-02 0.50", "2026-02 0.75"},
		},
		"from the midst of the first on": {
			steady("2026-01-11T00:00:00Z", 21*24), period.Monthly, []string{"2026-01 0.50", "2026-01 0.75"},
		},
		"the last night may be missing": {
			steady("2026-01-21T00:00:00Z", 10*24+1), period.Monthly, []string{"2026-01 0.75"},
		},
		"the last day may not":      {steady("2026-01-01T00:00:00Z", 30*24), period.Monthly, nil},
		"an hour has no hour in it": {steady("2026-01-01T00:00:00Z", 30*24), period.Hourly, nil},
		"nothing":                   {backtest.Series{}, period.Monthly, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for trial := range backtest.Replay(test.series, test.schedule) {
				if trial.Method == usage.Auto {
					got = append(got, fmt.Sprintf("%s %.2f", trial.Start.Format("2006-01"), trial.Share))
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("trials (-want +got)\n%s", diff)
			}
		})
	}
}

func TestTrialsOfSteadyUsageAreRight(t *testing.T) {
	t.Parallel()
	for trial := range backtest.Replay(steady("2026-01-01T00:00:00Z", 31*24), period.Monthly) {
		if trial.Method != usage.ByDay && (trial.Error() > 1e-9 || trial.Truth != 31*24 || !trial.Covered()) {
			t.Errorf("%+v, want 744", trial)
		}
	}
}

func TestProjectionsDoNotKnowWhatComes(t *testing.T) {
	t.Parallel()
	zone := berlin(t).Location()
	one := clients[2].series(1, zone)
	other := backtest.Series{Name: one.Name, Hours: slices.Clone(one.Hours)}
	first := slices.Collect(backtest.Replay(one, berlin(t)))[0]
	from := first.Start.Add(31 * 24 * time.Hour / 4) // the second share is of the same hour or before
	for i, h := range other.Hours {
		if !h.Start.Before(from) {
			other.Hours[i].Units *= 3
		}
	}
	ones, others := slices.Collect(backtest.Replay(one, berlin(t))), slices.Collect(backtest.Replay(other, berlin(t)))
	for i, trial := range ones {
		if trial.Start.Equal(first.Start) && trial.Share <= 0.25 {
			trial.Truth = others[i].Truth
			if diff := gocmp.Diff(trial, others[i]); diff != "" {
				t.Errorf("with other hours to come (-without +with)\n%s", diff)
			}
		}
	}
}

func TestSumSaysHowWrongAndHowOftenCovered(t *testing.T) {
	t.Parallel()
	trial := func(series string, value, low, high float64) backtest.Trial {
		return backtest.Trial{Series: series, Share: 0.5, Method: usage.RunRate, Value: value, Low: low, High: high, Truth: 100}
	}
	got := backtest.Sum(slices.Values([]backtest.Trial{
		trial("a", 130, 100, 140), trial("a", 90, 80, 100), trial("b", 100, 101, 110), trial("c", 80, 60, 99), trial("c", 60, 50, 100),
	}))
	want := []backtest.Row{{
		Method: usage.RunRate, Share: 0.5, MedianError: 0.2, P90Error: 0.36, Covered: 0.6, Series: 3, Projections: 5,
	}}
	if diff := gocmp.Diff(want, got, gocmp.Comparer(func(a, b float64) bool { return cmp.Compare(a, b) == 0 || a-b < 1e-9 && b-a < 1e-9 })); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
}
