package outagetest

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/purser-go/purser/store"
)

// urlVariable makes this test's program a process that works on the store with this URL, under the name in the other
// variable.
const (
	urlVariable  = "PURSER_OUTAGETEST_URL"
	nameVariable = "PURSER_OUTAGETEST_NAME"
)

// An order is what a process is told, in a line on its input, and answers with a line.
type order string

const (
	goOn   order = "go on"
	fail   order = "fail" // a word follows that is to be said
	stop   order = "stop" // answers with what its callers were told
	lock   order = "lock"
	unlock order = "unlock"
)

// serve is such a process, until its input ends.
func serve(url, name string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := &server{ctx: ctx, url: url}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		word, rest, _ := strings.Cut(input.Text(), ":")
		switch order(word) {
		case lock:
			p.lock()
			fmt.Println("locked")
			continue
		case unlock:
			p.unlock()
			fmt.Println("unlocked")
			continue
		}
		if p.callers == nil {
			p.work(name)
			defer p.store.Close()
		}
		switch order(word) {
		case goOn:
			p.callers.goOn()
			fmt.Println("done")
		case fail:
			p.callers.fail(rest)
			fmt.Println("done")
		case stop:
			told := p.callers.stop()
			p.callers.rest()
			text, err := json.Marshal(told)
			p.must(err)
			fmt.Println(string(text))
		}
	}
}

// A server is a process at work. It is a tester that ends with the first thing that is wrong.
type server struct {
	ctx     context.Context
	url     string
	store   *store.Store
	callers *callers
	locker  *sql.Conn
}

func (p *server) Context() context.Context { return p.ctx }

func (p *server) Helper() {}

func (p *server) Logf(string, ...any) {}

func (p *server) Errorf(format string, args ...any) { p.Fatalf(format, args...) }

func (p *server) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func (p *server) must(err error) {
	if err != nil {
		p.Fatalf("%v", err)
	}
}

func (p *server) work(name string) {
	var err error
	p.store, err = store.Open(p.ctx, p.url, nil)
	p.must(err)
	p.callers = callAndRun(p, name, p.store, flushTimeout, nil)
}

// lock takes the right to write to a SQLite file.
func (p *server) lock() {
	db, err := sql.Open("sqlite", source(p.url))
	p.must(err)
	p.locker, err = db.Conn(p.ctx)
	p.must(err)
	_, err = p.locker.ExecContext(p.ctx, "BEGIN IMMEDIATE")
	p.must(err)
}

func (p *server) unlock() {
	_, err := p.locker.ExecContext(p.ctx, "ROLLBACK")
	p.must(errors.Join(err, p.locker.Close()))
}

// A process is one that serves, as its parent sees it.
type process struct {
	*testing.T
	input   io.Writer
	answers *bufio.Reader
	errors  *strings.Builder
}

// start starts a process, by a command that runs this test's program.
func start(t *testing.T, cmd *exec.Cmd, url, name string) *process {
	t.Helper()
	p := &process{T: t, errors: &strings.Builder{}}
	cmd.Env = append(os.Environ(), urlVariable+"="+url, nameVariable+"="+name)
	cmd.Stderr = p.errors
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.input, p.answers = input, bufio.NewReader(output)
	t.Cleanup(func() {
		input.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %s: %v: %s", name, err, p.errors)
		}
	})
	return p
}

// program is this test's own, as one may start it.
func program() *exec.Cmd { return exec.Command(os.Args[0]) }

// give gives an order.
func (p *process) give(o order, rest string) {
	p.Helper()
	if _, err := fmt.Fprintf(p.input, "%s:%s\n", o, rest); err != nil {
		p.Fatal(err)
	}
}

// answer returns what the process says once it has done what it was ordered.
func (p *process) answer() string {
	p.Helper()
	answer, err := p.answers.ReadString('\n')
	if err != nil {
		p.Fatalf("the process ended without an answer: %v", err)
	}
	return answer
}

// do gives an order and waits until it is done.
func (p *process) do(o order, rest string) {
	p.Helper()
	p.give(o, rest)
	p.answer()
}

// told is the answer to stop.
func (p *process) told() (t told) {
	p.Helper()
	if err := json.Unmarshal([]byte(p.answer()), &t); err != nil {
		p.Fatal(err)
	}
	return t
}
