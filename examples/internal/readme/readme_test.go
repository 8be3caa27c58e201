// Package readme has no code but the test that the README's example is a program that prints what the README says.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var example = regexp.MustCompile("(?s)```go\n(package main\n.*?)```\n\nprints\n\n    (.*?)\n\n")

func TestExamplePrintsWhatTheReadmeSays(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	parts := example.FindStringSubmatch(string(readme))
	if parts == nil {
		t.Fatal("the README has no program with its output")
	}
	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, []byte(parts[1]), 0o600); err != nil {
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
	prints := strings.ReplaceAll(parts[2], "\n    ", "\n")
	if diff := cmp.Diff(prints, strings.TrimRight(string(out), "\n")); diff != "" {
		t.Errorf("it prints something else (-want +got):\n%s", diff)
	}
}
