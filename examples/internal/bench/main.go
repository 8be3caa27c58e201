// Command bench measures what Purser's work costs, against what else a program could do: insert a row per event and nothing
// more, do the same work statement by statement, or sum events up whenever a figure is asked for.
//
//	go run ./examples/internal/bench
//	go run ./examples/internal/bench --only record-postgres/64 --quick
//
// Every figure is a ratio of two rates that were measured in turns, in one run, on one server and with as many callers: so a
// machine that is slower, or busy with something else, changes both. It prints tables; a run of everything, not shortened,
// also writes them to docs/benchmarks.md.
//
// It takes the server that PURSER_TEST_POSTGRES names, which must be durable and allow CHECKPOINT, else it starts a
// throw-away one from the installed programs, as the tests do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	only     *regexp.Regexp // rows to run, by name; nil: all
	quick    bool
	large    bool
	json     bool
	repeats  int
	duration time.Duration // of one turn of one side
	profile  string
	page     string
}

// The settings of a run whose tables may be quoted, and those of a quick one.
const (
	usualRepeats, usualDuration = 5, 3 * time.Second
	quickRepeats, quickDuration = 2, 200 * time.Millisecond
)

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&only, "only", "", "run the rows whose name this `expression` matches, such as record-postgres/64")
	flags.BoolVar(&s.quick, "quick", false, "only see that it works: short turns, few repeats, little data, no page")
	flags.BoolVar(&s.large, "large", false, "also take 10 million events, which takes a quarter of an hour more")
	flags.BoolVar(&s.json, "json", false, "print JSON instead of tables")
	flags.IntVar(&s.repeats, "repeats", usualRepeats, "how many `turns` each side gets, after one to warm up")
	flags.DurationVar(&s.duration, "duration", usualDuration, "how long a turn takes")
	flags.StringVar(&s.profile, "profile", "", "write a CPU profile to this `file`, its samples tagged with side")
	flags.StringVar(&s.page, "page", filepath.Join("docs", "benchmarks.md"), "the `file` that a run of everything writes")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 || s.repeats < 1 || s.duration <= 0 {
		return settings{}, errors.New("takes flags only, repeats and duration above 0: see --help")
	}
	if s.quick {
		s.repeats, s.duration = quickRepeats, quickDuration
	}
	if only == "" {
		return s, nil
	}
	var err error
	s.only, err = regexp.Compile(only)
	return s, err
}

// complete reports whether the run's tables are fit to be quoted.
func (s settings) complete() bool { return s.only == nil && !s.quick && s.repeats >= usualRepeats }

func run(ctx context.Context, args []string, out, status io.Writer) (err error) {
	s, err := parse(args, status)
	if err != nil {
		return err
	}
	stop, err := startProfile(s.profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	report, err := measure(ctx, s, status)
	if err != nil {
		return err
	}
	report.Command = strings.Join(append([]string{"go run ./examples/internal/bench"}, args...), " ")
	// First what is printed: whatever becomes of the page, the run was not for nothing.
	if s.json {
		err = report.writeJSON(out)
	} else {
		_, err = io.WriteString(out, report.text())
	}
	if err != nil || !s.complete() {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.page), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.page, []byte(report.page()), 0o644)
}

// measure runs the rows that were asked for.
func measure(ctx context.Context, s settings, status io.Writer) (_ *report, err error) {
	rows := plan(s)
	if len(rows) == 0 {
		return nil, errors.New("no row has such a name")
	}
	l, err := newLab(ctx, s, status, len(rows))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for _, r := range rows {
		if err := l.run(ctx, r); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return l.report, nil
}

func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
