package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	code = `package half

func Of(n int) int { return n / 2 }
`
	tests = `package half

import "testing"

func TestOf(t *testing.T) {
	if Of(4) != 2 {
		t.Error("wrong")
	}
}

func TestNothing(t *testing.T) {}

func TestSkipped(t *testing.T) { t.Skip() }

func TestFailing(t *testing.T) { t.Fail() }
`
)

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("needs git")
	}
	cases := map[string]struct {
		patch string
		fault string // "" if the mutant is killed
	}{
		"a mutant that the test notices is killed":      {mutantOf("TestOf", "n / 2", "n / 3"), ""},
		"a mutant that crashes the test is killed":      {mutantOf("TestOf", "n / 2", "n / (n - n)"), ""},
		"a mutant that the test lets pass is a fault":   {mutantOf("TestNothing", "n / 2", "n / 3"), "survived"},
		"a mutant that does not compile is a fault":     {mutantOf("TestOf", "n / 2", "m / 2"), "does it compile"},
		"a patch that does not apply is a fault":        {mutantOf("TestOf", "n * 2", "n / 3"), "does not apply"},
		"a test that does not exist is a fault":         {mutantOf("TestOff", "n / 2", "n / 3"), "no such test"},
		"a test that is skipped is a fault":             {mutantOf("TestSkipped", "n / 2", "n / 3"), "skipped"},
		"a test that fails without a mutant is a fault": {mutantOf("TestFailing", "n / 2", "n / 3"), "without the mutant"},
		"a patch that names no test is a fault":         {mutantOf("", "n / 2", "n / 3"), `no "test"`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(&out, project(t, test.patch), "mutant")
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("got the error %v, want none", err)
			case test.fault == "" && !strings.Contains(out.String(), "killed"):
				t.Errorf("printed %q, want it to say killed", out.String())
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got the error %v, want %q in it", err, test.fault)
			}
		})
	}
}

func TestRunWithoutAMutant(t *testing.T) {
	if err := run(&strings.Builder{}, t.TempDir(), ""); err == nil {
		t.Error("no mutant at all is not a fault")
	}
}

func TestAPromiseWithoutAMutantIsAFault(t *testing.T) {
	const readme = "| | guarantee |\n|---|---|\n| 4 | **One.** |\n| 9 | **Other.** |\n"
	all := []mutant{{promise: 4}, {promise: 9}}
	if faults := missing(readme, all); len(faults) > 0 {
		t.Errorf("with a mutant for each promise, got %v", faults)
	}
	if faults := missing(readme, all[1:]); len(faults) != 1 || !strings.Contains(faults[0].Error(), "promise 4 ") {
		t.Errorf("without one for promise 4, got %v", faults)
	}
	if faults := missing("no table", all); len(faults) != 1 {
		t.Errorf("without a table of guarantees, got %v", faults)
	}
}

// mutantOf returns a patch that replaces a part of Of.
func mutantOf(test, from, to string) string {
	return "# promise: 9\n# package: ./half\n# test: " + test + "\n# why: it halves\n" +
		"--- a/half/half.go\n+++ b/half/half.go\n@@ -1,3 +1,3 @@\n package half\n \n" +
		"-func Of(n int) int { return " + from + " }\n+func Of(n int) int { return " + to + " }\n"
}

// project makes a module with one package and one mutant, none of it committed.
func project(t *testing.T, patch string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":                        "module example.com/half\n\ngo 1.26.0\n",
		"half/half.go":                  code,
		"half/half_test.go":             tests,
		"testdata/mutants/mutant.patch": patch,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "init", "--quiet", root).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return root
}
