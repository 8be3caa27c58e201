package main

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
)

// A report is what a run measured.
type report struct {
	Machine     machine      `json:"machine"`
	Command     string       `json:"command"`
	Date        time.Time    `json:"date"`
	Repeats     int          `json:"repeats"`
	Turn        float64      `json:"turn_seconds"`
	Comparisons []comparison `json:"comparisons"`
	Changes     []changeLine `json:"changes"`
	LeftOut     []leftOut    `json:"left_out,omitempty"`
}

// A leftOut is a row that could not be measured here.
type leftOut struct {
	Row    string `json:"row"`
	Reason string `json:"reason"`
}

// A comparison is Purser against one reference.
type comparison struct {
	Table   string  `json:"table"`
	Work    string  `json:"work"`
	Against string  `json:"against"`
	Callers int     `json:"callers"`
	Ratio   spread  `json:"ratio"`           // of the rates, turn by turn
	Floor   float64 `json:"floor,omitempty"` // what the ratio is at least; 0: nothing is said
	Ours    rates   `json:"ours"`
	Theirs  rates   `json:"theirs"`
}

// rates are what one side did, the median of its turns.
type rates struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
}

// A changeLine is a budget that was made while others recorded. Times are in milliseconds.
type changeLine struct {
	Table  string `json:"table"`
	What   string `json:"what"`
	Events int    `json:"events"`
	Took   spread `json:"took_ms"`
	Held   spread `json:"held_ms"`
	Before spread `json:"held_before_ms"`
	Failed int    `json:"failed_calls"`
}

// A spread is the median of several values, and their bounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	return spread{Median: median(values), Min: slices.Min(values), Max: slices.Max(values)}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// add adds a comparison of turns that were taken in pairs.
func (r *report) add(c contest, against string, ours, theirs []turn) {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i].rate / theirs[i].rate
	}
	r.Comparisons = append(r.Comparisons, comparison{
		Table: c.table, Work: c.work, Against: against, Callers: c.callers,
		Ratio: spreadOf(ratios), Floor: c.floor[against], Ours: ratesOf(ours), Theirs: ratesOf(theirs),
	})
}

func ratesOf(turns []turn) rates {
	return rates{
		PerSecond: median(each(turns, func(t turn) float64 { return t.rate })),
		P50:       median(each(turns, func(t turn) float64 { return milliseconds(t.p50) })),
		P99:       median(each(turns, func(t turn) float64 { return milliseconds(t.p99) })),
	}
}

func (r *report) addChange(table, what string, events int, turns []changed) {
	line := changeLine{
		Table: table, What: what, Events: events,
		Took:   spreadOf(each(turns, func(c changed) float64 { return milliseconds(c.took) })),
		Held:   spreadOf(each(turns, func(c changed) float64 { return milliseconds(c.held) })),
		Before: spreadOf(each(turns, func(c changed) float64 { return milliseconds(c.before) })),
	}
	for _, c := range turns {
		line.Failed += c.failed
	}
	r.Changes = append(r.Changes, line)
}

func each[T any](items []T, value func(T) float64) []float64 {
	values := make([]float64, len(items))
	for i, item := range items {
		values[i] = value(item)
	}
	return values
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *report) writeJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// thousands writes a number as people read it: 10,000.
func thousands(n int) string { return humanize.Comma(int64(n)) }
