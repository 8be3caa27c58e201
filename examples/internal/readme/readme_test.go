// Package readme has no code but the test that the README's examples are programs that print what the README says.
package readme

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var example = regexp.MustCompile("(?s)```go\n(package main\n.*?)```\n\nprints\n\n    (.*?)\n\n")

func TestExamplesPrintWhatTheReadmeSays(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := example.FindAllStringSubmatch(string(readme), -1)
	if len(examples) != 2 {
		t.Fatalf("the README has %d programs with their output, want 2", len(examples))
	}
	for i, parts := range examples {
		t.Run(fmt.Sprint(i), func(t *testing.T) { prints(t, parts[1], parts[2]) })
	}
}

// prints fails unless this is a program that prints just this, indented.
func prints(t *testing.T, source, want string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, program).CombinedOutput(); err != nil {
		t.Fatalf("it does not compile: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), binary)
	run.Dir = t.TempDir() // where it makes its database
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("it does not run: %v\n%s", err, out)
	}
	want = strings.ReplaceAll(want, "\n    ", "\n")
	if diff := cmp.Diff(want, strings.TrimRight(string(out), "\n")); diff != "" {
		t.Errorf("it prints something else (-want +got):\n%s", diff)
	}
}
