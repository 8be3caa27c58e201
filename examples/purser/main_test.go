package main

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/trace"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store"
)

// binary is the program as its users have it.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "purser-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "purser")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build purser: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A user runs purser in a folder of their own, on a database of their own.
type user struct {
	t   *testing.T
	dir string
	db  string // "": the default
}

func newUser(t *testing.T) user {
	t.Helper()
	return user{t: t, dir: t.TempDir()}
}

// onEachDatabase runs a test on SQLite and on Postgres.
func onEachDatabase(t *testing.T, test func(*testing.T, user)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newUser(t)) })
	t.Run("Postgres", func(t *testing.T) {
		u := newUser(t)
		u.db = pgtest.URL(t)
		test(t, u)
	})
}

// A done is what came of one run of purser.
type done struct {
	t      *testing.T
	args   []string
	code   int
	stdout string
	stderr string
}

// command ends with the test at the latest.
func (u user) command(args ...string) *exec.Cmd {
	c := exec.CommandContext(u.t.Context(), binary, args...)
	c.Dir = u.dir
	c.Env = []string{"HOME=" + u.dir, "USER=tester", "PURSER_DB=" + u.db, "TMPDIR=" + u.dir}
	return c
}

func (u user) run(args ...string) done { return u.runWith("", args...) }

func (u user) runWith(stdin string, args ...string) done {
	u.t.Helper()
	c := u.command(args...)
	c.Stdin = strings.NewReader(stdin)
	return finish(u.t, c, args)
}

func finish(t *testing.T, c *exec.Cmd, args []string) done {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return done{t, args, c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ok runs a command that must succeed and say nothing on stderr.
func (u user) ok(args ...string) done {
	u.t.Helper()
	return u.run(args...).want(exitOK)
}

func (d done) want(code int) done {
	d.t.Helper()
	if d.code != code {
		d.t.Fatalf("purser %q: exit code %d, want %d\n%s%s", d.args, d.code, code, d.stdout, d.stderr)
	}
	if code == exitOK && d.stderr != "" {
		d.t.Errorf("purser %q: stderr is %q, want nothing", d.args, d.stderr)
	}
	return d
}

// says reports whether a text is on stderr.
func (d done) says(text string) done {
	d.t.Helper()
	if !strings.Contains(d.stderr, text) {
		d.t.Errorf("purser %q: stderr is\n%s\nwant %q in it", d.args, d.stderr, text)
	}
	return d
}

// An object is a JSON object, its numbers as they are written.
type object = map[string]any

func (d done) object() object { return decoded[object](d) }

func (d done) list() []object { return decoded[[]object](d) }

func decoded[T any](d done) T {
	d.t.Helper()
	decoder := json.NewDecoder(strings.NewReader(d.stdout))
	decoder.UseNumber()
	var v T
	if err := decoder.Decode(&v); err != nil {
		d.t.Fatalf("purser %q: stdout is not what it should be: %v\n%s", d.args, err, d.stdout)
	}
	if decoder.Decode(new(any)) != io.EOF {
		d.t.Fatalf("purser %q: more than one JSON value on stdout:\n%s", d.args, d.stdout)
	}
	return v
}

// members returns an object's members of these names.
func members(o object, names ...string) object {
	some := make(object)
	for _, name := range names {
		if value, found := o[name]; found {
			some[name] = value
		}
	}
	return some
}

func literal(text string) json.Number { return json.Number(text) }

// has compares members of an object.
func has(t *testing.T, what string, got, want object) {
	t.Helper()
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(want, members(got, names...)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// write puts a file into the user's folder and returns its name.
func (u user) write(name, text string) string {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return name
}

// writeTrace puts the real trace into the user's folder and returns its name.
func (u user) writeTrace() string {
	u.t.Helper()
	packed, err := io.ReadAll(trace.Requests())
	if err != nil {
		u.t.Fatal(err)
	}
	return u.write("azure.csv.gz", string(packed))
}

// century is a period that runs all the time in which these tests do: by the clock a shorter one may end between two commands.
const century = "every:36500d:1990-01-01"

// create makes a budget and returns its id.
func (u user) create(args ...string) string {
	u.t.Helper()
	return u.ok(append([]string{"budget", "create", "--json"}, args...)...).object()["id"].(string)
}

// store opens the user's database.
func (u user) store() budget.Store {
	u.t.Helper()
	url := stdcmp.Or(u.db, "sqlite:"+filepath.Join(u.dir, "purser.db"))
	s, err := store.Open(u.t.Context(), url, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			u.t.Error(err)
		}
	})
	return s
}
