package main

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
)

func TestBarsAreFullFromAWholeShareOn(t *testing.T) {
	tests := map[float64]string{
		0: "░░░░", 0.001: "░░░░", 0.25: "█░░░", 0.3: "█░░░", 0.5: "██░░", 0.999: "███░", 1: "████", 2.5: "████", -1: "░░░░",
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
		"1234.000000001": "1,234.000000001", "0.5": "0.5", "-0.5": "-0.5", "9223372036854775807": "9,223,372,036,854,775,807",
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

func TestExamplesInHelpAreUnderstood(t *testing.T) {
	examples := 0
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			_, line, _ := strings.Cut(strings.TrimSpace(line), "purser ")
			line, _, _ = strings.Cut(line, " > ") // the rest is the shell's
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
