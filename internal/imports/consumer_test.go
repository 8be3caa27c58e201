package imports_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a module gets that imports a part of the library: measured as its users do, by go mod tidy in a module of its own.
func TestConsumersGetNoDriver(t *testing.T) {
	if testing.Short() {
		t.Skip("needs modules that the library's own build does not")
	}
	tests := map[string]struct {
		imports  []string
		maxLines int // of go.sum; with one driver more there would be a dozen more
	}{
		"of the decisions alone":        {[]string{"budget"}, 16},
		"of the decisions and Postgres": {[]string{"budget", "store/pgstore"}, 40},
		"of the decisions and SQLite":   {[]string{"budget", "store/sqlitestore"}, 40},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := consumer(t, test.imports)
			command(t, dir, "mod", "tidy")
			sums := lines(t, filepath.Join(dir, "go.sum"))
			if found := only(sums, isDriver); len(found) > 0 {
				t.Errorf("go.sum has\n%s\nwant no driver", strings.Join(found, "\n"))
			}
			if len(sums) > test.maxLines {
				t.Errorf("go.sum has %d lines, want at most %d", len(sums), test.maxLines)
			}
			if found := only(strings.Fields(command(t, dir, "list", "-deps", ".")), isDriver); len(found) > 0 {
				t.Errorf("the program has %v in it, want no driver", found)
			}
		})
	}
}

// consumer makes a module that imports the packages, and returns its folder.
func consumer(t *testing.T, packages []string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf(
		"module example.com/consumer\n\ngo 1.26.0\n\nrequire %[1]s v0.0.0\n\nreplace %[1]s => %[2]s\n", module, root(t)))
	program := "package main\n\n"
	for _, p := range packages {
		program += fmt.Sprintf("import _ %q\n", module+"/"+p)
	}
	write(t, filepath.Join(dir, "main.go"), program+"\nfunc main() {}\n")
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}
