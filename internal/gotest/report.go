package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/purser-go/purser/internal/soak"
)

// An event is one line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string // empty if it is the package's
	Output  string
	Key     string // of an attribute
	Value   string
}

// A report prints the outcome of each package as go test does, and gathers what its summary says.
type report struct {
	out      io.Writer
	running  map[string]*pkg
	packages int            // that had tests
	results  map[string]int // tests, subtests included, by "pass", "fail" and "skip"
	counts   []string
	leftOut  map[string]int // skipped tests by reason
}

// A pkg is what is kept of a package until it has ended.
type pkg struct {
	output []event
	quiet  map[string]bool // the tests whose output is not worth showing
}

func newReport(out io.Writer) *report {
	return &report{out: out, running: map[string]*pkg{}, results: map[string]int{}, leftOut: map[string]int{}}
}

func (r *report) print(s string) { fmt.Fprint(r.out, s) }

func (r *report) add(e event) {
	p := r.running[e.Package]
	if p == nil {
		p = &pkg{quiet: map[string]bool{}}
		r.running[e.Package] = p
	}
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		p.output = append(p.output, e)
	case "attr":
		r.attribute(e)
	case "pass", "fail", "skip":
		r.end(p, e)
	}
}

func (r *report) attribute(e event) {
	if e.Key == soak.Attribute {
		r.counts = append(r.counts, fmt.Sprintf("%s  %s: %s", e.Package, e.Test, e.Value))
	}
}

func (r *report) end(p *pkg, e event) {
	if e.Test == "" {
		r.endPackage(p, e)
		return
	}
	r.results[e.Action]++
	p.quiet[e.Test] = e.Action != "fail"
	if e.Action == "skip" {
		r.leftOut[p.reason(e.Test)]++
	}
}

func (r *report) endPackage(p *pkg, e event) {
	delete(r.running, e.Package)
	switch e.Action {
	case "pass":
		r.packages++
		r.print(p.output[len(p.output)-1].Output) // "ok", its name and its time
	case "fail":
		r.packages++
		r.print(p.failures())
	}
}

var skipped = regexp.MustCompile(`^ *\w+\.go:\d+: (.+)\n$`)

// reason is what a skipped test said last.
func (p *pkg) reason(test string) string {
	reason := "for no stated reason"
	for _, e := range p.output {
		if m := skipped.FindStringSubmatch(e.Output); e.Test == test && m != nil {
			reason = m[1]
		}
	}
	return reason
}

// failures is the package's output without that of the tests which passed.
func (p *pkg) failures() string {
	var b strings.Builder
	for _, e := range p.output {
		if !p.quiet[e.Test] && !strings.HasPrefix(e.Output, "=== ") {
			b.WriteString(e.Output)
		}
	}
	return b.String()
}

func (r *report) summarize() {
	fmt.Fprintf(r.out, "\ntests: %d passed, %d failed, %d left out; packages: %d; %s\n",
		r.results["pass"], r.results["fail"], r.results["skip"], r.packages, settings())
	if len(r.counts) > 0 {
		fmt.Fprintln(r.out, "counts:")
	}
	for _, count := range slices.Sorted(slices.Values(r.counts)) {
		fmt.Fprintln(r.out, "   ", count)
	}
	fmt.Fprintln(r.out, "left out:", r.leftOutLine())
}

func (r *report) leftOutLine() string {
	if len(r.leftOut) == 0 {
		return "nothing"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(r.leftOut)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", reason, r.leftOut[reason]))
	}
	return strings.Join(parts, "; ")
}

// settings are the environment variables that say how much was run, of ours and of the property tests.
func settings() string {
	var parts []string
	for _, name := range []string{soak.Variable, "RAPID_CHECKS", "RAPID_SEED"} {
		parts = append(parts, name+"="+os.Getenv(name))
	}
	return strings.Join(parts, " ")
}
