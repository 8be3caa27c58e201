package main

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"
	"go.uber.org/goleak"

	"github.com/purser-go/purser/internal/leak"
)

// onTerminal runs a command on a terminal of so many columns, with these environment variables besides the usual ones, and
// returns all that was written to it.
func (u user) onTerminal(columns uint16, env []string, args ...string) string {
	u.t.Helper()
	c := u.command(args...)
	c.Env = append(c.Env, env...)
	terminal, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: columns})
	if err != nil {
		u.t.Fatal(err)
	}
	defer terminal.Close()
	var written bytes.Buffer
	_, _ = io.Copy(&written, terminal) // on Linux it ends with an error when the program does
	_ = c.Wait()                       // what matters is what the user sees
	return written.String()
}

// erased is a line that was taken away or drawn anew.
var erased = regexp.MustCompile(`[^\n]*\n\x1b\[1A\x1b\[J`)

// screen returns what stands on a terminal in the end.
func screen(written string) string {
	return strings.ReplaceAll(erased.ReplaceAllString(written, ""), "\r\n", "\n")
}

func TestProgressIsShownOnATerminalAndLeavesNothing(t *testing.T) {
	u := newUser(t)
	file := u.writeTrace()
	tests := []struct {
		args  []string
		shows *regexp.Regexp
		left  string
	}{
		{
			args:  []string{"import", file},
			shows: regexp.MustCompile(`import [█░]{20} \d+ %  \d+ events  \d+/s  \d+s  \d+s left\r\n`),
			left:  "28,185 recorded, 0 duplicates, 0 conflicts, 0 invalid\n",
		},
		{
			args:  []string{"demo", "--db", "sqlite:demo.db", "--json"},
			shows: regexp.MustCompile(`replay [█░]{20} \d+ %  \d+ events  \d+/s  \d+s  \d+s left\r\n`),
			left:  `{"attribution"`,
		},
		{
			args:  []string{"verify"},
			shows: regexp.MustCompile(`verify \d+ events  \d+/s  \d+s\r\n`),
		},
	}
	for _, test := range tests {
		written := u.onTerminal(100, nil, test.args...)
		if !test.shows.MatchString(written) {
			t.Errorf("%s: on the terminal is\n%q\nwant a progress like %v", test.args[0], written, test.shows)
		}
		if got := screen(written); !strings.HasPrefix(got, test.left) || strings.Contains(got, "events  ") {
			t.Errorf("%s: on the terminal stays\n%s\nwant %q first, and no progress", test.args[0], got, test.left)
		}
	}
}

func TestBadRowsStandAboveTheProgress(t *testing.T) {
	u := newUser(t)
	file := u.write("usage.csv", "user,input_tokens\n"+strings.Repeat("ada,1\n", 800)+"ada,x\nada,-1\n"+strings.Repeat("ada,1\n", 800))
	want := "purser: usage.csv:802: input_tokens: must be a number such as 12.5\n" +
		"purser: usage.csv:803: input_tokens: must not be negative\n" +
		"1,600 recorded, 0 duplicates, 0 conflicts, 2 invalid\n" +
		"purser: 2 of 1,602 rows were bad\n"
	if got := screen(u.onTerminal(100, nil, "import", file)); got != want {
		t.Errorf("on the terminal stays\n%s\nwant\n%s", got, want)
	}
}

func TestProgressFitsTheTerminal(t *testing.T) {
	u := newUser(t)
	written := u.onTerminal(40, nil, "import", u.writeTrace())
	for _, line := range erased.FindAllString(written, -1) {
		line, _, _ := strings.Cut(line, "\r\n")
		if columns := len([]rune(line)); columns > 40 {
			t.Errorf("a line has %d columns, want at most 40: %q", columns, line)
		}
	}
}

func TestWhatIsNoTerminalGetsNoProgress(t *testing.T) {
	u := newUser(t)
	u.ok("import", u.writeTrace()) // ok wants nothing on stderr
	if written := u.onTerminal(100, []string{"TERM=dumb"}, "verify"); strings.Contains(written, "\x1b") {
		t.Errorf("on a dumb terminal is %q, want no escape sequence", written)
	}
}

func TestColoursAreForTerminalsUnlessUnwanted(t *testing.T) {
	u := newUser(t)
	u.create("--name", "All", "--metric", "tokens", "--limit", "10")
	tests := map[string]struct {
		env  []string
		want bool
	}{
		"a terminal":       {nil, true},
		"with NO_COLOR":    {[]string{"NO_COLOR=1"}, false},
		"without features": {[]string{"TERM=dumb"}, false},
	}
	for name, test := range tests {
		if written := u.onTerminal(100, test.env, "status"); strings.Contains(written, "\x1b[") != test.want {
			t.Errorf("%s: %q, want colours %t", name, written, test.want)
		}
	}
	if d := u.ok("status"); strings.Contains(d.stdout, "\x1b") {
		t.Errorf("no terminal: %q, want no colours", d.stdout)
	}
}

func TestProgressEndsWithAllThatItStarted(t *testing.T) {
	defer leak.VerifyNone(t, goleak.IgnoreCurrent())
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	defer tty.Close()
	p := &program{stderr: tty, live: true}
	line := p.newProgress("import", true)
	line.update(1, 2)
	p.complain("above")
	line.end()
	p.complain("below")
	if p.stderr != tty {
		t.Error("the program does not write to its own stderr again")
	}
	var none *progress
	none.update(1, 2)
	none.end()
}
