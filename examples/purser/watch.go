package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
)

func (p *program) watch() *cobra.Command {
	w := watching{program: p, every: 2 * time.Second, limit: 100}
	c := &cobra.Command{
		Use:   "watch [ID…]",
		Short: "Show how budgets stand, and go on showing it",
		Long: "Show how budgets stand in the period that runs now, those first of which the largest part is used, and go on\n" +
			"until it is interrupted. A terminal is written over, as far as it goes; anywhere else, and with --json, what has\n" +
			"changed is written behind what was: with --json one object in a line each.",
		Example: `  purser watch
  purser watch --level warning --every 10s`,
		Args: arguments(0, -1, ""),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(duration(&w.every), "every", "how often to look")
	flags.TextVar(&w.level, "level", alert.OK, "only this `level` or a higher one: warning, critical or exceeded")
	flags.Var(most(&w.limit), "limit", "at most so many")
	c.RunE = p.reads(w.run)
	return c
}

// A watching is one run of the command watch.
type watching struct {
	program *program
	every   time.Duration
	level   alert.Level
	limit   int

	shown      string // what was written last, without its time
	lines      int    // how many lines of a terminal are to be written over
	complained string // of what, since statuses were read last
}

func (w *watching) run(ctx context.Context, l *budget.Ledger, ids []string) error {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		found, err := w.look(ctx, l, ids)
		switch {
		case ctx.Err() != nil:
			return nil // interrupted, which is how it ends
		case err != nil && w.shown == "":
			return err
		case err != nil:
			w.complain(w.program.message(ctx, err)) // a store that is away may come back
		default:
			w.complained = ""
			if err := w.show(found); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// complain says once what is wrong, below what was shown last.
func (w *watching) complain(what string) {
	if what != w.complained {
		w.program.complain("%s", what)
		w.complained, w.lines = what, 0
	}
}

// look returns the statuses to show.
func (w *watching) look(ctx context.Context, l *budget.Ledger, ids []string) (found []budget.Status, err error) {
	for s, err := range statuses(ctx, l, ids, nil, time.Time{}) {
		if err != nil {
			return nil, err
		}
		if s.Level >= w.level {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(a, b budget.Status) int { return b.Percent.Cmp(a.Percent) })
	return found[:min(len(found), w.limit)], nil
}

// show writes statuses: over the last ones on a terminal, and elsewhere if there is something new.
func (w *watching) show(found []budget.Status) error {
	now := time.Now().UTC().Truncate(time.Second)
	if w.program.json {
		shown, err := jsonText(found)
		if err != nil || !w.changed(string(shown)) {
			return err
		}
		return w.program.show(struct {
			At       time.Time       `json:"at"`
			Statuses []budget.Status `json:"statuses"`
		}{now, append([]budget.Status{}, found...)}, nil)
	}
	table := w.table(found)
	head := when(now) + " UTC"
	if w.program.size != nil {
		w.shown = table
		return w.over(head + "\n" + table)
	}
	if !w.changed(table) {
		return nil
	}
	_, err := fmt.Fprintf(w.program.stdout, "%s\n%s\n", head, table)
	return err
}

// changed reports whether this is something else than was shown last, and takes it for shown.
func (w *watching) changed(shown string) bool {
	last := w.shown
	w.shown = shown
	return shown != last
}

func (w *watching) table(found []budget.Status) string {
	var b bytes.Buffer
	g := newStatusGrid()
	for _, s := range found {
		w.program.addStatus(g, s)
	}
	g.print(&b)
	return b.String()
}

// over writes a frame over the last one, cut to what the terminal has room for: what has scrolled away can't be written over.
func (w *watching) over(frame string) error {
	columns, rows := w.program.size()
	lines := strings.Split(strings.TrimRight(frame, "\n"), "\n")
	if room := max(rows-2, 1); len(lines) > room { // the last line is the cursor's
		lines = append(lines[:room], fmt.Sprintf("and %d more", len(lines)-room))
	}
	var b strings.Builder
	if w.lines > 0 {
		b.WriteString(text.CursorUp.Sprintn(min(w.lines, rows-1)) + "\r" + eraseBelow)
	}
	for _, line := range lines {
		b.WriteString(text.Trim(line, columns) + "\n")
	}
	w.lines = len(lines)
	_, err := io.WriteString(w.program.stdout, b.String())
	return err
}

// eraseBelow erases all from the cursor on.
const eraseBelow = "\x1b[J"
