package main

import (
	"fmt"
	"slices"
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
		reportPostgres, "Reports, Postgres",
		"A year of 1,000 users and 20 tenants: the months of a tenant, and the overview of all tenants, against a sum over the year's events " +
			"that yields the same to the last digit (which is checked before), with an index on tenant and time, and against the same report " +
			"where there are 10,000 events in the same buckets.",
	},
	{reportSQLite, "Reports, SQLite", "As on Postgres."},
	{
		recordSQLite, "Record, SQLite",
		"As on Postgres, in WAL mode with synchronous=FULL. The reference has one connection, which its callers share, and prepared statements.",
	},
	{
		reservePostgres, "Reserve, Postgres",
		"All callers ask one budget for room. Each reservation is a row, and the call returns after the commit. The budget has room for all, " +
			"and nothing is settled.",
	},
	{
		reserveRedis, "Reserve, Postgres, against Redis",
		"The same, and a reservation that three budgets must all have room for: a tenant's month in dollars, a user's day in tokens, a key's " +
			"hour in requests. Redis has a number per budget and period, which a script adds to if there is room in all of them; it stores no " +
			"reservation, and nothing on a disk.",
	},
	{
		settlePostgres, "Reserve and Settle, Postgres",
		"A request is reserved for in three budgets, then settled with what it used, which has all effects of Record. Both calls return after " +
			"their commit. The reference's second transaction deletes the reservation and gives back what it held, beside what *naive* does.",
	},
	{
		leaseRedis, "Reserve and Settle on leases, against Redis",
		"With `Leases` and `AsyncSettle`. Reserve admits from memory; Settle puts what was used into a queue, which `Run` records behind it. " +
			"*Bursts* are as many requests as the queue has places (10,000): what is recorded behind them takes longer, and is not part of the " +
			"time. *Sustained* is without a pause, until all is recorded: what the queue has no place for waits for its commit. In both all " +
			"is recorded in the end, in all effects. Redis runs two scripts per request: one that reserves, and one that corrects the numbers " +
			"by what was used.",
	},
	{serverPostgres, "The server, Postgres", serverNote},
	{serverSQLite, "The server, SQLite", serverNote},
	{
		leaseRecord, "Reserve and Settle on leases, against Record",
		"With `Leases` alone: Reserve admits from memory, and Settle returns after its commit. The reference records the same without having " +
			"asked for room.",
	},
}

const serverNote = "`examples/server` in a process of its own, with 100,000 budgets and 1,000,000 events of the last 30 days, of 100 tenants; " +
	"they only observe, so that none is projected in the background meanwhile. Read are the newest 100 budgets with their usage (those " +
	"of the tenants), the overview of the organizations, and the usage of a tenant's budget with its 31 days and its projection, by " +
	"requests over connections that stay open. A read's entry in the audit is committed before it is answered. The same figures come " +
	"from sums over the events, to the last digit, with an index on tenant and time, without HTTP and without a projection. *POST " +
	"reservations* asks one budget for room, from 50 connections, against the same without HTTP, on a database with this one budget."

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
- *transaction*: one transaction per reservation, which inserts a row and adds to each counter if it has room for that
- *two transactions*: the same, and another one to settle: *naive*, which also deletes the row and gives back what it held
- *redis*: a script that adds to counters if all have room (check and increment, by EVALSHA), by go-redis, without persistence
- *record*: Purser's own Record, without reserving
- *library*: the same call of a ledger in the caller's process, without HTTP

Before each turn the tables are emptied, or brought back to the events that they should hold, and a checkpoint is made. After
it, plain SQL counts what the turn stored: every event once, in each counter and sum; every reservation once, held by each
counter, and nothing held of what was settled. In Redis the numbers are added up.

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
	for _, reason := range r.reasons() {
		fmt.Fprintf(b, "\nLeft out, because %s: %s.\n", reason, strings.Join(r.leftOut(reason), ", "))
	}
}

// reasons returns why rows were left out, each reason once.
func (r *report) reasons() []string {
	var reasons []string
	for _, l := range r.LeftOut {
		if !slices.Contains(reasons, l.Reason) {
			reasons = append(reasons, l.Reason)
		}
	}
	return reasons
}

// leftOut returns the rows that were left out for this reason.
func (r *report) leftOut(reason string) []string {
	var rows []string
	for _, l := range r.LeftOut {
		if l.Reason == reason {
			rows = append(rows, l.Row)
		}
	}
	return rows
}

func (r *report) comparisons(table string) pretty.Writer {
	w := newTable("work", "callers", "against", "ratio", "min", "max", "floor",
		"ours/s", "p50 ms", "p99 ms", "theirs/s", "p50 ms", "p99 ms")
	for _, c := range r.Comparisons {
		if c.Table != table {
			continue
		}
		w.AppendRow(pretty.Row{
			c.Work, c.Callers, c.Against, digits(c.Ratio.Median), digits(c.Ratio.Min), digits(c.Ratio.Max), c.least(),
			digits(c.Ours.PerSecond), digits(c.Ours.P50), digits(c.Ours.P99),
			digits(c.Theirs.PerSecond), digits(c.Theirs.P50), digits(c.Theirs.P99),
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
	lines := [][2]string{
		{"CPU", fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)},
		{"memory", m.Memory},
		{"system", m.System},
		{"files", fmt.Sprintf("%s; fsync of 8 KiB takes %s", m.FileSystem, m.Fsync)},
		{"Purser", m.Purser},
		{"Go", m.Go},
		{"Postgres", m.Postgres},
		{"its settings", strings.Join(m.Settings, ", ")},
		{"SQLite", m.SQLite},
		{"Redis", m.Redis},
	}
	for _, line := range lines {
		if line[1] == "" {
			continue
		}
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

// digits writes a number with three significant digits, or all that lie before the point; two if it is small.
func digits(f float64) string {
	switch {
	case f >= 1000:
		return thousands(int(f + 0.5))
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	case f >= 0.1 || f == 0:
		return fmt.Sprintf("%.2f", f)
	default:
		return fmt.Sprintf("%.2g", f)
	}
}
