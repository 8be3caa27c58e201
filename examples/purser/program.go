package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3 // apart from a failure, so that a script can tell no from don't know
)

// A program is one run of the command line.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	colour bool                       // on stdout
	live   bool                       // stderr is a terminal, on which a line can be written over
	screen bool                       // stdout is a terminal
	size   func() (columns, rows int) // of stdout, if it is one that can be written over; else nil

	// flags of every command
	db    string
	json  bool
	actor string
	lists []string // of prices

	command *cobra.Command // that runs; nil until the command line was understood
}

func newProgram() *program {
	screen := term.IsTerminal(int(os.Stdout.Fd()))
	p := &program{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		colour: screen && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		live:   term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb",
		screen: screen,
	}
	if screen && os.Getenv("TERM") != "dumb" {
		p.size = stdoutSize
	}
	return p
}

// stdoutSize returns how large the terminal is, which its user may change at any time.
func stdoutSize() (columns, rows int) {
	columns, rows, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || columns < 1 || rows < 1 {
		return 80, 24
	}
	return columns, rows
}

const (
	databaseIn = "PURSER_DB" // the environment variable that names the database unless a flag does
	defaultDB  = "sqlite:purser.db"
)

func (p *program) run(ctx context.Context, args []string) int {
	out := &output{Writer: p.stdout}
	p.stdout = out
	root := p.root()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return p.fail(ctx, err)
	}
	if out.err != nil {
		p.complain("%v", out.err)
		return exitFailed
	}
	return exitOK
}

// fail says what went wrong, and returns the exit code for it.
func (p *program) fail(ctx context.Context, err error) int {
	for _, line := range strings.Split(p.message(ctx, err), "\n") {
		p.complain("%s", line)
	}
	switch {
	case p.command == nil || errors.Is(err, budget.ErrInvalid):
		return exitUsage
	case isRefusal(err):
		return exitRefused
	default:
		return exitFailed
	}
}

// complain prints a line to stderr. Texts of files may be in it: a long one loses its middle, since what is wrong is said at
// the begin or the end of the line, and none can steer a terminal.
func (p *program) complain(format string, args ...any) {
	const most = 1000
	line := []rune(fmt.Sprintf(format, args...))
	if len(line) > most {
		line = slices.Concat(line[:most/2], []rune("…"), line[len(line)-most/2:])
	}
	for i, r := range line {
		switch {
		case unicode.IsSpace(r):
			line[i] = ' '
		case !unicode.IsPrint(r):
			line[i] = unicode.ReplacementChar
		}
	}
	fmt.Fprintf(p.stderr, "purser: %s\n", string(line))
}

// message says what went wrong in terms of the command line: with a flag's name for a field's.
func (p *program) message(ctx context.Context, err error) string {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return "interrupted"
	}
	findings := budget.FieldErrors(err)
	if p.command == nil || len(findings) == 0 {
		return err.Error()
	}
	lines := make([]string, len(findings))
	for i, finding := range findings {
		lines[i] = flagOf(p.command.Flags(), finding.Field) + ": " + finding.Message
	}
	return strings.Join(lines, "\n")
}

// flagNames has the flags for fields that are named otherwise.
var flagNames = map[string]string{
	"url":                    "db",
	"time_zone":              "zone",
	"week_start":             "period",
	"start_day":              "period",
	"start_month":            "period",
	"every":                  "period",
	"unit":                   "period",
	"anchor":                 "period",
	"warning_percent":        "warning",
	"budget_warning_percent": "warning",
	"critical_percent":       "critical",
	"extra_percents":         "threshold",
	"allowed_resources":      "allow-resource",
	"labels":                 "label",
	"columns":                "map",
	"bucket":                 "by",
	"span":                   "from",
	"time":                   "at",
	"extend_by":              "by",
	"credits_total":          "credits",
	"token_budget_usd":       "money",
}

// flagOf returns the flag that sets a field, as it is written, or the field if there is none.
func flagOf(flags *pflag.FlagSet, field string) string {
	first, _, _ := strings.Cut(field, ".") // scope.user is a part of scope
	for _, name := range []string{flagNames[first], strings.ReplaceAll(first, "_", "-")} {
		if name != "" && flags.Lookup(name) != nil {
			return "--" + name
		}
	}
	return field
}

func (p *program) root() *cobra.Command {
	root := p.group("purser", "Record usage and keep it within budgets", `
  purser demo
  purser import usage.csv.gz
  purser budget create --name Acme --metric dollars --limit 500 --scope tenant=acme
  purser reserve --id job-4711 --tenant acme --cost 0.06
  purser settle job-4711 --tenant acme --cost 0.021
  purser status`)
	root.Long = "Purser records what a service uses of language models or any metered API, counts it against budgets\n" +
		"per calendar period, and shows who spends what.\n\n" +
		"A time is as in RFC 3339, such as 2026-03-01T09:30:00Z, or a date, which is its midnight.\n\n" +
		"It exits with 0 if all is well, 1 if something failed, a row was bad or a difference was found, 2 if it was\n" +
		"used wrongly, and 3 if a budget refused."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	flags := root.PersistentFlags()
	flags.SortFlags = false
	// Not a default value of the flag: help would show it, and with it a password.
	flags.StringVar(&p.db, "db", "", "`URL` of the database, sqlite:FILE or postgres://… (default $"+databaseIn+", else "+defaultDB+")")
	flags.BoolVar(&p.json, "json", false, "print data as JSON")
	flags.StringVar(&p.actor, "actor", os.Getenv("USER"), "`name` under which changes are audited")
	root.AddCommand(
		p.demo(), p.importFiles(), p.price(), p.budgets(), p.status(), p.watch(), p.history(), p.forecast(), p.top(), p.alerts(),
		p.check(), p.reserve(), p.settle(), p.release(), p.extend(), p.reservations(), p.load(), p.loadProcess(),
		p.tenants(), p.licenses(), p.reports(), p.export(), p.events(),
		p.adjust(), p.correct(), p.audit(), p.verify(), p.prune(), p.migrate(),
	)
	return root
}

// group returns a command that only has others.
func (p *program) group(use, short, example string) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: strings.TrimPrefix(example, "\n")}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			c.SetOut(p.stderr)
			return errors.Join(c.Help(), fmt.Errorf("%s needs a command", c.CommandPath()))
		}
		return fmt.Errorf("%s has no command %q; %s --help lists those that there are", c.CommandPath(), args[0], c.CommandPath())
	}
	c.Args = cobra.ArbitraryArgs
	return c
}

// An action is what a command does with a ledger.
type action func(ctx context.Context, l *budget.Ledger, args []string) error

// reads returns what runs a command that takes the database as it is.
func (p *program) reads(do action) func(*cobra.Command, []string) error {
	return p.withLedger(&store.Options{NoMigrate: true}, do)
}

// makes returns what runs a command that makes the database, or brings its tables up to date, if it must.
func (p *program) makes(do action) func(*cobra.Command, []string) error {
	return p.withLedger(nil, do)
}

func (p *program) withLedger(o *store.Options, do action) func(*cobra.Command, []string) error {
	return p.withStore(o, func(ctx context.Context, s budget.Store, args []string) error {
		var options budget.Options
		if len(p.lists) > 0 {
			prices, err := p.priceList(p.lists)
			if err != nil {
				return err
			}
			options.Prices = prices
		}
		return do(ctx, budget.NewLedger(s, &options).By(p.actor), args)
	})
}

func (p *program) withStore(o *store.Options, do func(context.Context, budget.Store, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		p.command = c
		p.db = cmp.Or(p.db, os.Getenv(databaseIn), defaultDB)
		if err := p.exists(o); err != nil {
			return err
		}
		s, err := store.Open(c.Context(), p.db, o)
		if o != nil && o.NoMigrate && errors.Is(err, budget.ErrSchema) {
			return fmt.Errorf("%w; purser migrate brings older tables up to date", err)
		}
		if err != nil {
			return err
		}
		return errors.Join(do(c.Context(), s, args), s.Close())
	}
}

// exists reports a SQLite file that a command would have to make although it is only to take what is there.
func (p *program) exists(o *store.Options) error {
	path, isFile := strings.CutPrefix(p.db, "sqlite:")
	if !isFile || path == "" || o == nil || !o.NoMigrate {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no database %s: import and budget create make one, --db names another", path)
	}
	return nil
}

// arguments requires at least and at most so many arguments; most < 0 is any number.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s needs %s", c.CommandPath(), what)
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%s takes no argument %q", c.CommandPath(), args[most])
		case slices.Contains(args, ""):
			return fmt.Errorf("%s: an argument is empty", c.CommandPath())
		}
		return nil
	}
}
