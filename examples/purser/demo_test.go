package main

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/purser-go/purser/examples/internal/trace"
)

func TestTheDemoShowsEverythingAndItsCommandsWork(t *testing.T) {
	u := newUser(t)
	text := u.ok("demo").stdout
	for _, want := range []string{
		trace.Attribution(), trace.Rule, "28,185 requests were recorded and counted in ",
		"  ok  ", "  warning  ", "  critical  ", "  exceeded  ", "user=dan", "Key acme-batch, hourly", "2023-11-16 19:14:19 UTC",
		`Budget "initech, monthly" has used 80.`, "Tokens per minute", "18:15", "19:14",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the demo does not show %q:\n%s", want, text)
		}
	}
	commands := commandsIn(t, text, binary)
	if len(commands) != 3 {
		t.Fatalf("%d commands to go on with, want 3: %q", len(commands), commands)
	}
	for i, want := range []string{"user=dan", "dan", "2023-11-16 18:00 +00:00"} {
		d := u.shell(u.dir, commands[i]).want(exitOK)
		if !strings.Contains(d.stdout, want) {
			t.Errorf("%s shows\n%s\nwant %q in it", commands[i], d.stdout, want)
		}
	}
	d := u.shell(u.dir, strings.Replace(commands[0], " status ", " verify ", 1)+" --json")
	d.want(exitUsage).says("unknown flag: --at")
}

func TestTheDemoIsSomethingToScriptAgainst(t *testing.T) {
	u := newUser(t)
	report := u.ok("demo", "--db", "sqlite:a demo's.db", "--json").object()
	has(t, "report", report, object{
		"attribution": trace.Attribution(), "db": "sqlite:a demo's.db", "recorded": literal("28185"), "at": "2023-11-16T19:14:19.928016Z",
	})
	if statuses := report["statuses"].([]any); len(statuses) != 11 {
		t.Errorf("%d statuses, want 11", len(statuses))
	}
	if minutes := report["tokens_per_minute"].([]any); len(minutes) != 60 || minutes[0] != literal("13563") || minutes[59] != literal("524422") {
		t.Errorf("tokens per minute %v, want 60 from 13563 to 524422", minutes)
	}
	for _, command := range report["commands"].([]any) {
		u.shell(u.dir, command.(string)).want(exitOK)
	}
	has(t, "verification", u.ok("verify", "--db", "sqlite:a demo's.db", "--json").object(), object{"differences": []any{}, "events": literal("28185")})
}

func TestTheDemoRunByGoNamesCommandsForGo(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program twice more")
	}
	u := newUser(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(u.dir, "demo.db")
	d := finish(t, inFolder(root, "go", "run", "./examples/purser", "demo", "--db", "sqlite:"+db), nil).want(exitOK)
	commands := commandsIn(t, d.stdout, "go run ./examples/purser")
	if len(commands) != 3 {
		t.Fatalf("%d commands to go on with, want 3:\n%s", len(commands), d.stdout)
	}
	finish(t, inFolder(root, "sh", "-c", commands[0]), commands[:1]).want(exitOK)
}

// commandsIn returns the lines that call this program.
func commandsIn(t *testing.T, text, program string) []string {
	t.Helper()
	var commands []string
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, program+" ") {
			commands = append(commands, line)
		}
	}
	return commands
}

// shell runs a line as a user who types it.
func (u user) shell(dir, line string) done {
	u.t.Helper()
	c := inFolder(dir, "sh", "-c", line)
	c.Env = u.command().Env
	return finish(u.t, c, []string{line})
}

func inFolder(dir string, program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Dir = dir
	return c
}
