package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/alert"
)

// watched is what a running purser has written so far.
type watched struct {
	t       *testing.T
	command *exec.Cmd
	ended   chan struct{} // all was read
	seen    int           // so much of it was waited for

	mu   sync.Mutex
	text bytes.Buffer
}

// read keeps what comes from r.
func (w *watched) read(r io.Reader) {
	defer close(w.ended)
	part := make([]byte, 4096)
	for {
		n, err := r.Read(part)
		w.mu.Lock()
		w.text.Write(part[:n])
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (w *watched) written() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// until waits until something is written that matches, behind what was waited for before.
func (w *watched) until(what string) {
	w.t.Helper()
	sought := regexp.MustCompile(what)
	deadline, ticker := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
	defer ticker.Stop()
	for {
		if place := sought.FindStringIndex(w.written()[w.seen:]); place != nil {
			w.seen += place[1]
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			w.t.Fatalf("there is no %s behind\n%s", what, w.written())
		}
	}
}

// interrupt ends it as its user does, and returns all that it wrote.
func (w *watched) interrupt() string {
	w.t.Helper()
	if err := w.command.Process.Signal(os.Interrupt); err != nil {
		w.t.Fatal(err)
	}
	<-w.ended
	if err := w.command.Wait(); err != nil {
		w.t.Errorf("interrupted, it ends with %v", err)
	}
	return w.written()
}

func (u user) watchOnTerminal(size *pty.Winsize) *watched {
	u.t.Helper()
	return u.startOnTerminal(size, "watch", "--every", "50ms")
}

func (u user) startOnTerminal(size *pty.Winsize, args ...string) *watched {
	u.t.Helper()
	c := u.command(args...)
	terminal, err := pty.StartWithSize(c, size)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { _ = terminal.Close() })
	w := &watched{t: u.t, command: c, ended: make(chan struct{})}
	go w.read(terminal)
	return w
}

func (u user) watch(args ...string) *watched {
	u.t.Helper()
	c := u.command(append([]string{"watch", "--every", "50ms"}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		u.t.Fatal(err)
	}
	w := &watched{t: u.t, command: c, ended: make(chan struct{})}
	go w.read(out)
	return w
}

var writtenOver = regexp.MustCompile(`\x1b\[(\d+)A\r\x1b\[J`)

// lastScreen returns what stands on a terminal in the end, where frames were written over frames.
func lastScreen(t *testing.T, written string) string {
	t.Helper()
	written = strings.ReplaceAll(written, "\r\n", "\n")
	frames, counts := writtenOver.Split(written, -1), writtenOver.FindAllStringSubmatch(written, -1)
	stands := frames[0]
	for i, frame := range frames[1:] {
		lines := strings.SplitAfter(stands, "\n")
		lines = lines[:len(lines)-1] // what follows the last line's end
		if n, err := strconv.Atoi(counts[i][1]); err != nil || n != len(lines) {
			t.Fatalf("%s lines are written over, of %d", counts[i][1], len(lines))
		}
		stands = frame
	}
	return stands
}

var timeOfLook = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d[ \d:]* UTC$`)

func TestWatchWritesOverATerminal(t *testing.T) {
	u := newUser(t)
	u.create("--name", "Each user", "--metric", "tokens", "--limit", "10", "--period", "lifetime", "--scope", "user=@each")
	u.ok("import", u.write("a.csv", "user,input_tokens\nada,8\nbob,1\n"))
	w := u.watchOnTerminal(&pty.Winsize{Rows: 24, Cols: 200})
	painted := func(level alert.Level) string {
		return regexp.QuoteMeta((&program{colour: true}).paint(level.String(), level))
	}
	w.until(painted(alert.Warning))
	u.ok("import", u.write("b.csv", "user,input_tokens\nbob,8\nada,5\n"))
	w.until(painted(alert.Exceeded))
	got := timeOfLook.ReplaceAllString(lastScreen(t, w.interrupt()), "NOW")
	lines := strings.Split(got, "\n")
	if len(lines) < 5 || lines[0] != "NOW" || !strings.Contains(lines[3], "user=ada") || !strings.Contains(lines[4], "user=bob") {
		t.Errorf("in the end there stands\n%s\nwant the user first who used most", got)
	}
}

func TestWatchFitsTheTerminal(t *testing.T) {
	u := newUser(t)
	u.create("--name", "Each user", "--metric", "tokens", "--limit", "10", "--period", "lifetime", "--scope", "user=@each")
	u.ok("import", u.write("a.csv", "user,input_tokens\n"+strings.Repeat("a,1\nb,1\nc,1\nd,1\ne,1\nf,1\ng,1\nh,1\n", 1)))
	w := u.watchOnTerminal(&pty.Winsize{Rows: 8, Cols: 30})
	w.until(`(?s)UTC.*UTC`)
	screen := strings.TrimRight(lastScreen(t, w.interrupt()), "\n")
	lines := strings.Split(screen, "\n")
	if len(lines) != 7 || lines[6] != "and 5 more" {
		t.Errorf("there stand %d lines of 8, the last to say how many more there are\n%s", len(lines), screen)
	}
	for _, line := range lines {
		line = regexp.MustCompile(`\x1b\[[\d;]*m`).ReplaceAllString(line, "")
		if n := len([]rune(line)); n > 30 {
			t.Errorf("a line has %d columns of 30: %s", n, line)
		}
	}
}

func TestWatchElsewhereWritesWhatHasChanged(t *testing.T) {
	u := newUser(t)
	u.create("--name", "All", "--metric", "tokens", "--limit", "10", "--period", "lifetime")
	w := u.watch()
	w.until(`All .* ok`)
	u.ok("import", u.write("a.csv", "user,input_tokens\nada,8\n"))
	w.until(`All .* warning`)
	written := w.interrupt()
	if times := len(timeOfLook.FindAllString(written, -1)); times != 2 || strings.Contains(written, "\x1b") {
		t.Errorf("it wrote\n%q\nwant two tables and no escape sequence", written)
	}
}

func TestWatchAsJSON(t *testing.T) {
	u := newUser(t)
	u.create("--name", "All", "--metric", "tokens", "--limit", "10", "--period", "lifetime")
	w := u.watch("--json", "--level", "warning")
	w.until(`"statuses":\[\]`)
	u.ok("import", u.write("a.csv", "user,input_tokens\nada,9\n"))
	w.until(`"level":"critical"`)
	type look struct {
		At       time.Time
		Statuses []struct{ Level alert.Level }
	}
	var got [][]alert.Level
	for line := range strings.Lines(w.interrupt()) {
		var l look
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.At.IsZero() {
			t.Fatalf("%s is no look: %v", line, err)
		}
		levels := []alert.Level{}
		for _, s := range l.Statuses {
			levels = append(levels, s.Level)
		}
		got = append(got, levels)
	}
	if diff := cmp.Diff([][]alert.Level{{}, {alert.Critical}}, got); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
}

func TestWatchGoesOnWhileTheDatabaseIsAway(t *testing.T) {
	u := newUser(t)
	u.create("--name", "All", "--metric", "tokens", "--limit", "10", "--period", "lifetime")
	w := u.watchOnTerminal(&pty.Winsize{Rows: 24, Cols: 200})
	w.until("UTC")
	database := u.dir + "/purser.db"
	if err := os.Rename(database, database+".away"); err != nil {
		t.Fatal(err)
	}
	w.until("purser: .*unavailable")
	if err := os.Rename(database+".away", database); err != nil {
		t.Fatal(err)
	}
	w.until("UTC")
	w.interrupt()
}

func TestWhatCanNotBeWatched(t *testing.T) {
	u := newUser(t)
	u.run("watch").want(exitFailed).says("there is no database")
	u.create("--name", "All", "--metric", "tokens", "--limit", "10")
	u.run("watch", "unknown").want(exitFailed).says("not found")
	u.run("watch", "--every", "0s").want(exitUsage).says("must be a time above 0")
}
