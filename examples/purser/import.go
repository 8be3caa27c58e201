package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/intake"
)

// maxShown is how many bad rows are shown.
const maxShown = 20

func (p *program) importFiles() *cobra.Command {
	var o intake.Options
	var noAlerts bool
	c := &cobra.Command{
		Use:   "import FILE…",
		Short: "Record usage from files",
		Long: `Record usage from CSV files whose first line names the columns, or from JSON lines, also gzipped, or with - from
standard input. The columns, or members, are

  id, timestamp, tenant, user, api_key, resource, input_tokens, output_tokens, cache_creation_tokens,
  cache_read_tokens, total_tokens, requests, runs, cost

and all others are labels. A timestamp is as in RFC 3339; without an offset it is UTC. A row without a timestamp is of now,
one without requests is one request, one without a cost has none, or that of --prices: its resource is the model, a column
provider says who answered.

A row without id gets one from all bytes of the file up to its end. So a file can be imported again, also when rows were added
to it: each row counts once. Two files that begin alike but are not the same need an --id-salt.

Bad rows are reported and the others recorded; it exits with 1 if there were any. When it is interrupted, run it again.`,
		Example: `  purser import usage.csv.gz --tenant acme
  purser import azure.csv --map resource=service --ignore trace_id
  kubectl logs gateway | purser import - --json`,
		Args: arguments(1, -1, "a file, or - for standard input"),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(into(&o.Columns, "field=column"), "map", "read this `field=column`; may be repeated")
	flags.StringArrayVar(&o.Ignore, "ignore", nil, "leave out this `column`; may be repeated")
	flags.StringVar(&o.Defaults.Tenant, "tenant", "", "tenant of rows without one")
	flags.StringVar(&o.Defaults.User, "user", "", "user of rows without one")
	flags.StringVar(&o.Defaults.APIKey, "api-key", "", "API key of rows without one")
	flags.StringVar(&o.Defaults.Resource, "resource", "", "resource of rows without one")
	flags.StringVar(&o.IDSalt, "id-salt", "", "`text` that makes ids others than those of a file that begins alike")
	p.pricesFlag(c)
	flags.BoolVar(&noAlerts, "no-alerts", false, "make no alerts of the levels that are reached, as for usage of long ago")
	c.RunE = func(c *cobra.Command, files []string) error {
		p.command = c
		if err := errors.Join(o.Validate(), o.Defaults.Validate(), stdinOnce("file", p.lists, files)); err != nil {
			return err
		}
		return p.makes(func(ctx context.Context, l *budget.Ledger, files []string) error {
			if noAlerts {
				l = l.WithoutAlerts()
			}
			return (&importing{program: p, ledger: l, options: &o}).run(ctx, files)
		})(c, files)
	}
	return c
}

// An importing is one run of the command import.
type importing struct {
	program *program
	ledger  *budget.Ledger
	options *intake.Options

	line  *progress
	size  int64 // of the files in bytes, 0 if that can't be known
	sum   intake.Summary
	shown int          // bad rows
	read  atomic.Int64 // bytes
}

func (i *importing) run(ctx context.Context, files []string) error {
	i.size = totalSize(files)
	i.line = i.program.newProgress("import", i.size > 0)
	var failed error
	for _, file := range files {
		if err := i.file(ctx, file); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", file, plain(err)))
		}
		if ctx.Err() != nil {
			failed = ctx.Err()
			break
		}
	}
	i.line.end()
	if i.sum.Bad() > int64(i.shown) {
		i.program.complain("… and %s more bad rows", whole(i.sum.Bad()-int64(i.shown)))
	}
	err := i.program.show(i.sum, func(w io.Writer) {
		fmt.Fprintf(w, "%s recorded, %s duplicates, %s conflicts, %s invalid\n",
			whole(i.sum.Recorded), whole(i.sum.Duplicates), whole(i.sum.Conflicts), whole(i.sum.Invalid))
	})
	if bad := i.sum.Bad(); bad > 0 && failed == nil {
		failed = fmt.Errorf("%s of %s rows were bad", whole(bad), whole(i.sum.Rows()))
	}
	return errors.Join(failed, err)
}

func (i *importing) file(ctx context.Context, name string) error {
	file, err := i.program.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := intake.NewReader(counting{file, &i.read}, i.options)
	if err != nil {
		return err
	}
	_, err = intake.Record(ctx, i.ledger, r, func(done intake.Summary, bad []*intake.RowError) {
		i.sum.Add(done)
		for _, row := range bad {
			i.showBad(name, row)
		}
		i.line.update(i.sum.Rows(), estimate(i.sum.Rows(), i.read.Load(), i.size))
	})
	return err
}

// estimate returns how many there are in all if the rest of the bytes is like those that were read.
func estimate(done, read, size int64) int64 {
	if read == 0 {
		return 0
	}
	return int64(float64(done) * float64(size) / float64(read))
}

// open opens the file of this name, or standard input for -.
func (p *program) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(p.stdin), nil
	}
	file, err := os.Open(name)
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return nil, path.Err // the name is said already
	}
	return file, err
}

// stdinOnce refuses names of files that mean standard input more than once: it is empty the second time.
func stdinOnce(field string, names ...[]string) error {
	stdin := 0
	for _, name := range slices.Concat(names...) {
		if name == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return &budget.FieldError{Field: field, Message: "- is standard input, which can be read only once"}
	}
	return nil
}

func (i *importing) showBad(file string, row *intake.RowError) {
	if i.shown == maxShown {
		return
	}
	i.shown++
	for _, reason := range strings.Split(row.Err.Error(), "\n") {
		i.program.complain("%s:%d: %s", file, row.Line, reason)
	}
}

// plain returns an error of the same text that is about no flag.
func plain(err error) error {
	if errors.Is(err, budget.ErrInvalid) {
		return errors.New(err.Error())
	}
	return err
}

// totalSize returns how many bytes the files have, 0 if that can't be known.
func totalSize(files []string) int64 {
	total := int64(0)
	for _, file := range files {
		info, err := os.Stat(file)
		if file == "-" || err != nil || !info.Mode().IsRegular() {
			return 0
		}
		total += info.Size()
	}
	return total
}

// counting counts what is read.
type counting struct {
	io.Reader
	n *atomic.Int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
