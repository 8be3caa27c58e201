package main

import (
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
)

func TestBarsAreDrawnToAnEighth(t *testing.T) {
	tests := map[float64]string{
		0: "░░░░", 0.25: "█░░░", 0.28125: "█▏░░", 0.5: "██░░", 0.96: "███▊", 1: "████", 2.5: "████", -1: "░░░░", 0.001: "░░░░",
	}
	for share, want := range tests {
		if got := bar(share, 4); got != want {
			t.Errorf("bar of %v is %q, want %q", share, got, want)
		}
	}
}

func TestAmountsHaveCommasAndAllTheirDecimals(t *testing.T) {
	tests := map[string]string{
		"0": "0", "12": "12", "123": "123", "1234": "1,234", "-123": "-123", "-1234567": "-1,234,567",
		"1234.000000001": "1,234.000000001", "0.5": "0.5", "9223372036854775807": "9,223,372,036,854,775,807",
	}
	for text, want := range tests {
		if got := amount(decimal.RequireFromString(text)); got != want {
			t.Errorf("%s is written %q, want %q", text, got, want)
		}
	}
}

func TestPercentagesAreCut(t *testing.T) {
	for text, want := range map[string]string{"99.96": "99.9 %", "100": "100.0 %", "0": "0.0 %", "133.333333333": "133.3 %"} {
		if got := percent(decimal.RequireFromString(text)); got != want {
			t.Errorf("%s is written %q, want %q", text, got, want)
		}
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	if got := (&program{}).paint("x", alert.Exceeded); got != "x" {
		t.Errorf("painted %q where there are no colours, want x", got)
	}
	if got := (&program{colour: true}).paint("x", alert.Exceeded); got == "x" || !strings.HasSuffix(got, "\x1b[0m") {
		t.Errorf("painted %q, want a colour that ends", got)
	}
}

func TestProgressSaysHowFarItIs(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var out strings.Builder
	now := start.Add(2 * time.Second)
	line := &progress{to: &out, title: "import", bytes: 1000, start: start, now: func() time.Time { return now }}
	line.update(5000, 250)
	line.update(6000, 300) // too soon to be drawn
	now = now.Add(redraw)
	line.update(7000, 1000)
	line.end()
	want := "\r\x1b[Kimport █████░░░░░░░░░░░░░░░  25 %  5,000 events  2,500/s  6s left" +
		"\r\x1b[Kimport ████████████████████ 100 %  7,000 events  3,333/s  0s left" +
		"\r\x1b[K"
	if got := out.String(); got != want {
		t.Errorf("drawn\n%q, want\n%q", got, want)
	}
	unknown := &progress{title: "verify", start: start, now: func() time.Time { return now }}
	if got, want := unknown.line(2100, 0), "verify  2,100 events  1,000/s"; got != want {
		t.Errorf("where the size is not known: %q, want %q", got, want)
	}
	var none *progress
	none.update(1, 1)
	none.end()
}

func TestExamplesInHelpAreUnderstood(t *testing.T) {
	examples := 0
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			_, line, _ := strings.Cut(strings.TrimSpace(line), "purser ")
			examples++
			root := (&program{}).root()
			found, rest, err := root.Find(words(line))
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err == nil {
				err = found.ValidateRequiredFlags()
			}
			if err != nil || found == root {
				t.Errorf("example %q of %s: command %s, error %v", line, c.CommandPath(), found.CommandPath(), err)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check((&program{}).root())
	if examples < 15 {
		t.Errorf("%d examples found, want those of all commands", examples)
	}
}

// words splits a line as a shell does where only double quotes are used.
func words(line string) []string {
	var words []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}
