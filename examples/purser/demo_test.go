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
		"projected          2,174, 1,893 to ", "is passed at about 2023-11-16 18:55 UTC\n", "came               2,331, 116.5 %\n",
		"20,000 tokens  Each user, daily        user=eve  2023-11-16\n", "recorded, 15,251 tokens and 0.084765 dollars by trace anthropic/claude-sonnet-4-5.\n",
		"Each user, daily  user=dan     20,000          0  10,000,000 tokens  2023-11-17\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the demo does not show %q:\n%s", want, text)
		}
	}
	commands := commandsIn(t, text, binary)
	shows := []string{
		"user=dan", "projected          2,174, 1,893 to ", "dan", "2023-11-16 18:00 +00:00", "  fits\n", "as demo-1\n", "as demo-2\n", "0.5 dollars of acme, monthly\n",
		"Settled demo-1: recorded.", "Released demo-2.", "Admitted per second\n",
	}
	if len(commands) != len(shows) {
		t.Fatalf("%d commands to go on with, want %d: %q", len(commands), len(shows), commands)
	}
	for i, want := range shows {
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
	projected := report["projected"].(object)
	has(t, "what was projected", projected["projection"].(object), object{"at": "2023-11-16T18:50:00Z", "used": literal("1812")})
	has(t, "what came", projected["came"].(object), object{"used": literal("2331"), "level": "exceeded"})
	admission := report["admission"].(object)
	has(t, "what was reserved", admission["reserved"].(object), object{"id": "eve-1", "state": "open", "at": "2023-11-16T19:14:19.928016Z"})
	has(t, "what was settled", admission["settled"].(object), object{"outcome": "recorded", "late": false})
	has(t, "what was refused", admission["refused"].(object)["refusals"].([]any)[0].(object), object{
		"value": object{"user": "dan"}, "fits": literal("0"), "resets_at": "2023-11-17T00:00:00Z",
	})
	has(t, "verification", u.ok("verify", "--db", "sqlite:a demo's.db", "--json").object(), object{"differences": []any{}, "events": literal("28186")})
	for _, command := range report["commands"].([]any) {
		u.shell(u.dir, command.(string)).want(exitOK)
	}
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
	if len(commands) == 0 {
		t.Fatalf("no commands to go on with:\n%s", d.stdout)
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
