package main

import (
	"fmt"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// A section is a table of the report with what is said about it.
type section struct{ table, title, note string }

// sections are the tables in their order.
var sections = []section{
	{
		recordPostgres, "Record, Postgres",
		"Each event is deduplicated, stored, counted on three budgets (a tenant's month in dollars, a user's day in tokens, a key's hour in " +
			"requests) and in three sums of usage (quarter hour, day, month), with alerts where a level is crossed. The call returns after the " +
			"commit. The events are of 10 tenants and 100 users and keys, evenly and at random. A reference has a connection per caller, " +
			"100 at the most, and prepared statements; Purser has the pool that `store.Open` makes.",
	},
	{
		recordSlowDisk, "Record, Postgres on a slow disk",
		"The same on a disk whose fsync takes a millisecond longer, as on a network disk: a library that is preloaded into the server " +
			"(`LD_PRELOAD`) delays fsync and fdatasync.",
	},
	{
		recordHistory, "Record, Postgres, while the period holds events already",
		"One tenant has all events. The table that is summed up has an index on tenant and time, and no counters. Both begin each turn with " +
			"as many events.",
	},
	{
		batchPostgres, "RecordBatch of 500, Postgres",
		"Rates are of events. COPY writes the same rows into the same indexes, and does nothing else.",
	},
	{
		statusPostgres, "Status, Postgres",
		"How a budget stands that covers all events of the month, against their sum, and against the same where there are few events.",
	},
	{
		recordSQLite, "Record, SQLite",
		"As on Postgres, in WAL mode with synchronous=FULL. The reference has one connection, which its callers share, and prepared statements.",
	},
}

// changeSections are the tables of changes.
var changeSections = []section{
	{changePostgres, "A new monthly budget, Postgres", changeNote},
	{changeSQLite, "A new monthly budget, SQLite", changeNote},
}

const changeNote = "It counts what the month has already, while 8 callers go on recording. Held is the longest time without a commit while it " +
	"is made, *otherwise* in the time before. These are times, not ratios: they hold for this machine."

// A style writes a table.
type style func(pretty.Writer) string

// text returns the report for a terminal.
func (r *report) text() string {
	var b strings.Builder
	r.writeTables(&b, func(s section) { fmt.Fprintf(&b, "\n%s\n", s.title) }, func(w pretty.Writer) string {
		w.SetStyle(pretty.StyleLight)
		w.Style().Format.Header = text.FormatDefault
		return w.Render()
	})
	return b.String()
}

// page returns the report as a page of the documentation.
func (r *report) page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	fmt.Fprintf(&b, "Measured on %s by `%s`, %d turns of %g s a side.\n\n", r.Date.Format("2006-01-02"), r.Command, r.Repeats, r.Turn)
	b.WriteString(r.Machine.table().RenderMarkdown() + "\n")
	r.writeTables(&b, func(s section) { fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.title, s.note) }, pretty.Writer.RenderMarkdown)
	return b.String()
}

const pageHead = `# What it costs

Written by ` + "`make bench`" + `. Figures are ratios: the rate of Purser's work over that of something else, both measured in turns in one
run, on the same server and with as many callers. Absolute rates are given to judge them by; they hold for this machine only,
on which the callers and the database share the processors. A ratio is the median of the turns' ratios, with the least and the
highest one. *Floor* is what it must not fall below.

What Purser is compared with:

- *insert*: one event row of the same content into the same indexes, autocommit, and nothing else
- *naive*: one transaction per event with the same effects, statement by statement
- *sum*: insert, then SUM over the period, and for a read only the latter
- *copy*: COPY of the same rows into the same indexes
- *flat*: the same read where there are few events

Before each turn the tables are emptied, or brought back to the events that they should hold, and a checkpoint is made. After
it, plain SQL counts what the turn stored: every event once, in each counter and sum.

`

func (r *report) writeTables(b *strings.Builder, head func(section), write style) {
	for _, s := range sections {
		if w := r.comparisons(s.table); w.Length() > 0 {
			head(s)
			b.WriteString(write(w) + "\n")
		}
	}
	for _, s := range changeSections {
		if w := r.changes(s.table); w.Length() > 0 {
			head(s)
			b.WriteString(write(w) + "\n")
		}
	}
	if len(r.LeftOut) > 0 {
		fmt.Fprintf(b, "\nLeft out: %s.\n", strings.Join(r.LeftOut, "; "))
	}
}

func (r *report) comparisons(table string) pretty.Writer {
	w := newTable("work", "callers", "against", "ratio", "min", "max", "floor", "ours/s", "p99 ms", "theirs/s", "p99 ms")
	for _, c := range r.Comparisons {
		if c.Table != table {
			continue
		}
		w.AppendRow(pretty.Row{
			c.Work, c.Callers, c.Against, digits(c.Ratio.Median), digits(c.Ratio.Min), digits(c.Ratio.Max), c.least(),
			digits(c.Ours.PerSecond), digits(c.Ours.P99), digits(c.Theirs.PerSecond), digits(c.Theirs.P99),
		})
	}
	return w
}

// least returns the floor, and whether it was missed.
func (c comparison) least() string {
	switch {
	case c.Floor == 0:
		return ""
	case c.Ratio.Median < c.Floor:
		return digits(c.Floor) + " missed"
	default:
		return digits(c.Floor)
	}
}

func (r *report) changes(table string) pretty.Writer {
	w := newTable("budget", "events", "took ms", "min", "max", "held ms", "min", "max", "otherwise ms", "failed calls")
	for _, c := range r.Changes {
		if c.Table != table {
			continue
		}
		w.AppendRow(pretty.Row{
			c.What, thousands(c.Events), digits(c.Took.Median), digits(c.Took.Min), digits(c.Took.Max),
			digits(c.Held.Median), digits(c.Held.Min), digits(c.Held.Max), digits(c.Before.Median), c.Failed,
		})
	}
	return w
}

func (m machine) table() pretty.Writer {
	w := pretty.NewWriter()
	w.AppendHeader(pretty.Row{"machine", ""})
	for _, line := range [][2]string{
		{"CPU", fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)},
		{"memory", m.Memory},
		{"system", m.System},
		{"files", fmt.Sprintf("%s; fsync of 8 KiB takes %s", m.FileSystem, m.Fsync)},
		{"Purser", m.Purser},
		{"Go", m.Go},
		{"Postgres", m.Postgres},
		{"its settings", strings.Join(m.Settings, ", ")},
		{"SQLite", m.SQLite},
	} {
		w.AppendRow(pretty.Row{line[0], line[1]})
	}
	return w
}

// newTable returns a table whose columns but the first are aligned to the right.
func newTable(columns ...any) pretty.Writer {
	w := pretty.NewWriter()
	w.AppendHeader(columns)
	var right []pretty.ColumnConfig
	for i := 2; i <= len(columns); i++ {
		right = append(right, pretty.ColumnConfig{Number: i, Align: text.AlignRight})
	}
	w.SetColumnConfigs(right)
	return w
}

// digits writes a number with three significant digits, or all that lie before the point.
func digits(f float64) string {
	switch {
	case f >= 1000:
		return thousands(int(f + 0.5))
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}
