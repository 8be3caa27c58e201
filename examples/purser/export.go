package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/export"
)

func (p *program) export() *cobra.Command {
	var f groupFlags
	var focus export.FOCUSOptions
	var out string
	format := "csv"
	f.q.Bucket = usage.Month
	c := &cobra.Command{
		Use:   "export",
		Short: "Write usage for other programs",
		Long: "Write usage as CSV, JSON lines or CSV in the shape of FOCUS, by month and all dimensions unless --per and --by say\n" +
			"otherwise. In CSV an apostrophe stands before a name that a spreadsheet would take for a formula.",
		Example: `  purser export > usage.csv
  purser export --format focus --zone Europe/Berlin --from 2026-03-01 --to 2026-04-01 --out march.csv
  purser export --format jsonl --per day --by tenant --by resource`,
		Args: arguments(0, 0, ""),
	}
	flags := c.Flags()
	flags.Var(formatFlag(&format), "format", "csv, jsonl or focus")
	flags.StringVar(&out, "out", "", "`file` to write, which must not be there yet (default standard output)")
	f.register(c)
	flags.StringVar(&focus.Provider, "provider", "", "`name` of who provides the service, for focus")
	flags.StringVar(&focus.Account, "account", "", "`name` of the billing account, for focus")
	flags.StringVar(&focus.Service, "service", "", "`name` of the service, for focus")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		q := f.query()
		if !flags.Changed("by") {
			q.By = []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource}
		}
		if p.json {
			format = "jsonl"
		}
		focus.Zone = q.Zone
		write := map[string]func(io.Writer, export.Lines) error{
			"csv": export.CSV, "jsonl": export.JSONLines,
			"focus": func(w io.Writer, lines export.Lines) error { return export.FOCUS(w, lines, &focus) },
		}[format]
		return p.writeTo(out, func(w io.Writer) error { return write(w, p.counted(l.Groups(ctx, q), out)) })
	})
	return c
}

func formatFlag(to *string) pflag.Value {
	formats := map[string]bool{"csv": true, "jsonl": true, "focus": true}
	return value[string]{to: to, kind: "format", parse: func(text string) (string, error) {
		if !formats[text] {
			return "", fmt.Errorf("must be one of %s", strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
		}
		return text, nil
	}, show: func(s string) string { return s }}
}

// writeTo writes a new file, or to standard output if none is named.
func (p *program) writeTo(path string, write func(io.Writer) error) error {
	if path == "" {
		return write(p.stdout)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// counted passes lines on, and shows on a terminal how many went to a file.
func (p *program) counted(lines export.Lines, path string) export.Lines {
	if !p.live || path == "" {
		return lines
	}
	return func(yield func(usage.Line, error) bool) {
		shown := p.draw("export", mpb.NopStyle().Build(), decor.CurrentNoUnit("%d lines  "), decor.Elapsed(decor.ET_STYLE_GO))
		defer shown.end()
		n := int64(0)
		for line, err := range lines {
			if n++; n%100 == 0 {
				shown.update(n, 0)
			}
			if !yield(line, err) {
				return
			}
		}
	}
}
