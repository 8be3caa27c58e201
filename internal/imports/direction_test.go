// Package imports_test keeps the import direction between the library's packages and the weight that a consumer gets.
package imports_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/purser-go/purser"

// rooms are the library's folders, each of which may import those before it and internal/, which may import none of them.
var rooms = []string{"internal", "period", "usage", "alert", "budget", "store", "examples"}

// domain are the rooms that decide, and so depend on nothing but values.
var domain = []string{"period", "usage", "alert", "budget"}

// drivers are the modules of database drivers, each with what only they need.
var drivers = []string{
	"github.com/jackc/", "github.com/lib/pq", "modernc.org/", "github.com/mattn/", "github.com/ncruces/",
	"github.com/uptrace/bun/driver/",
}

// lodgers are packages of internal/ that belong to a room: they would lie in it if all who use them could see them there.
var lodgers = map[string]string{
	"internal/sqltest": "store", // also for the modules of testdata/drivers
}

// A pkg is a package, or with its tests the program that go test makes of it.
type pkg struct {
	ImportPath string
	ForTest    string
	Deps       []string // also those of its imports
}

// room is the folder of the root that a package of the library is in: "" for the root itself and for others' packages.
func room(path string) string {
	path, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	if r := lodgers[path]; r != "" {
		return r
	}
	first, _, _ := strings.Cut(path, "/")
	return first
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		own := slices.Index(rooms, room(p.ImportPath))
		later := only(p.Deps, func(dep string) bool { return slices.Index(rooms, room(dep)) > own })
		if own >= 0 && len(later) > 0 {
			t.Errorf("%s depends on %v, want it to know only of %v", p.ImportPath, later, rooms[:own+1])
		}
	}
}

func TestEveryFolderIsARoom(t *testing.T) {
	for _, p := range list(t, "./...") {
		if r := room(p.ImportPath); r != "" && !slices.Contains(rooms, r) {
			t.Errorf("%s is in none of the rooms %v: say which way it faces", p.ImportPath, rooms)
		}
	}
}

func TestDomainPackagesKnowOnlyValues(t *testing.T) {
	for _, p := range list(t, "./...") {
		if !slices.Contains(domain, room(p.ImportPath)) {
			continue
		}
		allowed := allowed(p.ImportPath)
		modules := only(p.Deps, func(dep string) bool { return isModule(dep) && !slices.Contains(allowed, dep) })
		if len(modules) > 0 {
			t.Errorf("%s depends on %v, want no module but %v", p.ImportPath, modules, allowed)
		}
		effects := only(p.Deps, func(dep string) bool { return slices.Contains(forbidden(p.ImportPath), dep) })
		if len(effects) > 0 {
			t.Errorf("%s depends on %v, want no storage, transport or log", p.ImportPath, effects)
		}
	}
}

// allowed are the packages of other modules that a domain package may depend on.
func allowed(path string) []string {
	values := []string{"github.com/shopspring/decimal", "github.com/google/uuid"}
	if path == module+"/alert/webhook" {
		return append(values, "github.com/standard-webhooks/standard-webhooks/libraries/go", "code.dny.dev/ssrf")
	}
	return values
}

// forbidden are the standard library's packages that a domain package does without.
func forbidden(path string) []string {
	switch path {
	case module + "/alert/webhook": // it speaks HTTP, whose package logs
		return []string{"database/sql"}
	case module + "/alert/slogsink": // it is there to
		return []string{"database/sql", "net/http"}
	default:
		return []string{"database/sql", "net/http", "log", "log/slog"}
	}
}

// isModule reports whether path is a package of another module than the library and the standard one.
func isModule(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && room(path) == "" && path != module
}

// A consumer's go mod tidy takes up what the tests of the packages that it imports need.
func TestOnlyStoreOpenBringsADriver(t *testing.T) {
	brings := []string{module + "/store", module + "/store/pgstore/pgxpipe"}
	for _, p := range list(t, "-test", "./...") {
		path := strings.TrimSuffix(p.ImportPath, ".test")
		if slices.Contains(brings, path) || slices.Contains(strings.Split(path, "/"), "internal") || p.ForTest != "" {
			continue
		}
		if found := only(p.Deps, isDriver); len(found) > 0 {
			t.Errorf("%s depends on the driver %v: tests with a database belong under store/internal/", p.ImportPath, found)
		}
	}
}

func only(paths []string, match func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return !match(path) })
}

func isDriver(path string) bool {
	return slices.ContainsFunc(drivers, func(d string) bool { return strings.HasPrefix(path, d) })
}

// list returns the packages that go list names for the arguments, seen from the library's root.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	out := command(t, root(t), append([]string{"list", "-json=ImportPath,ForTest,Deps"}, args...)...)
	decoder := json.NewDecoder(strings.NewReader(out))
	var all []pkg
	for {
		var p pkg
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// command runs go in dir, as someone does who has only that module, and returns what it printed.
func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	// The hashes are not what is looked at here, and checking them would need one more server.
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOSUMDB=off")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
