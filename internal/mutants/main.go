// Command mutants shows that the tests can fail. Each patch in testdata/mutants breaks one promise on purpose and names the
// test that must notice; a mutant that this test lets pass is a fault of the test.
//
//	mutants [part of a patch's name]
//
// A patch is what git diff prints, below a head of four lines:
//
//	# promise: 9
//	# package: ./period
//	# test: TestPeriodsTile
//	# why: months that are chained drift after the 31st
//
// Promise is a number of the README's table of guarantees, package what go test is given, test its -run expression. The
// tests run in a copy of the working tree, uncommitted changes included. Without an argument, a guarantee that has no mutant
// is a fault too.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// guarantee begins a row of the README's table of guarantees.
var guarantee = regexp.MustCompile(`(?m)^\| (\d+) \| \*\*`)

func main() {
	only := strings.Join(os.Args[1:], " ")
	if err := run(os.Stdout, ".", only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run tries the mutants in root whose names contain only.
func run(out io.Writer, root, only string) error {
	mutants, err := load(filepath.Join(root, "testdata", "mutants"), only)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "purser-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	lab, err := newLab(root, filepath.Join(temp, "tree"))
	if err != nil {
		return err
	}
	faults := try(out, lab, mutants)
	if only == "" {
		readme, err := os.ReadFile(filepath.Join(root, "README.md"))
		if err != nil {
			return err
		}
		faults = append(faults, missing(string(readme), mutants)...)
	}
	return errors.Join(faults...)
}

// try prints a table of the mutants, line by line as they are tried, and returns what is wrong with those not killed.
func try(out io.Writer, lab *lab, mutants []mutant) []error {
	var faults []error
	for _, m := range mutants {
		result := "killed"
		if err := lab.kill(m); err != nil {
			result = "FAULT"
			faults = append(faults, fmt.Errorf("%s: %w", m.name, err))
		}
		fmt.Fprintf(out, "%-6s  promise %2d  %-40s  %s %s\n", result, m.promise, m.name, m.pkg, m.test)
	}
	fmt.Fprintf(out, "%d of %d mutants killed\n", len(mutants)-len(faults), len(mutants))
	return faults
}

// missing returns a fault for each guarantee of the README that no mutant breaks.
func missing(readme string, mutants []mutant) []error {
	covered := map[int]bool{}
	for _, m := range mutants {
		covered[m.promise] = true
	}
	promised := guarantee.FindAllStringSubmatch(readme, -1)
	if len(promised) == 0 {
		return []error{errors.New("the README has no table of guarantees")}
	}
	var faults []error
	for _, row := range promised {
		if number, err := strconv.Atoi(row[1]); err != nil || !covered[number] {
			faults = append(faults, fmt.Errorf("promise %s has no mutant", row[1]))
		}
	}
	return faults
}
