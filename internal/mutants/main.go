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
// Promise is a number of the README's list of guarantees, package what go test is given, test its -run expression. The
// tests run in a copy of the working tree, uncommitted changes included. Without an argument, a promise that has no mutant
// is a fault too.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// promises is how many guarantees there are.
const promises = 15

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
		faults = append(faults, missing(mutants)...)
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

func missing(mutants []mutant) []error {
	covered := map[int]bool{}
	for _, m := range mutants {
		covered[m.promise] = true
	}
	var faults []error
	for p := range promises {
		if !covered[p+1] {
			faults = append(faults, fmt.Errorf("promise %d has no mutant", p+1))
		}
	}
	return faults
}
