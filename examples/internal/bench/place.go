package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store"
)

// A place holds Purser's tables in a schema or a file of its own.
type place struct {
	url    string  // for store.Open
	db     *sql.DB // for plain SQL
	schema string  // of Postgres

	// fresh are the statements that bring the tables to where every turn begins, and write out what is pending, so that
	// no turn pays for another's.
	fresh []string

	before figures
}

// A host makes places: a Postgres server, or the folder of SQLite's files.
type host interface {
	place(ctx context.Context, at *closers) (*place, error)
}

// migrate makes the tables.
func (p *place) migrate(ctx context.Context) error {
	s, err := store.Open(ctx, p.url, nil)
	if err != nil {
		return err
	}
	return s.Close()
}

// ledger opens a ledger, and makes the budgets of every event where they are not made yet.
func (p *place) ledger(ctx context.Context, at *closers, o *budget.Options) (*budget.Ledger, error) {
	s, err := store.Open(ctx, p.url, nil)
	if err != nil {
		return nil, err
	}
	at.add(s.Close)
	ledger := budget.NewLedger(s, o)
	for _, b := range budgets {
		if _, err := ledger.Create(ctx, b.Budget); err != nil && !errors.Is(err, budget.ErrConflict) {
			return nil, err
		}
	}
	return ledger, nil
}

// begin makes the place ready for a turn that will be audited.
func (p *place) begin(ctx context.Context) (err error) {
	if err := p.refresh(ctx); err != nil {
		return err
	}
	p.before, err = p.figures(ctx)
	return err
}

func (p *place) refresh(ctx context.Context) error {
	for _, statement := range p.fresh {
		if _, err := p.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// figures are what the tables say, by name. They are read by plain SQL: a side is not asked what it did.
type figures map[string]int64

// A figure is a sum over the rows of a table.
type figure struct{ name, expression string }

// audited are the figures of each table.
var audited = map[string][]figure{
	"purser_events":   eventFigures(),
	"purser_usage":    sumFigures(),
	"purser_counters": counterFigures(),
	"purser_alerts":   {{"alerts", "1"}},
}

// The metrics of the three budgets, in the order of [budgets], as columns of events and sums.
var countedColumns = []string{"nanodollars", "total_tokens", "requests"}

func eventFigures() []figure {
	all := []figure{{"events", "1"}}
	for _, column := range countedColumns {
		all = append(all, figure{"events " + column, column})
	}
	return all
}

func sumFigures() []figure {
	var all []figure
	for _, column := range countedColumns {
		for grain := 1; grain <= 3; grain++ {
			all = append(all, figure{sumName(grain, column), fmt.Sprintf("CASE grain WHEN %d THEN %s ELSE 0 END", grain, column)})
		}
	}
	return all
}

func counterFigures() []figure {
	var all []figure
	for _, b := range budgets {
		all = append(all, figure{"counted " + b.ID, "CASE budget WHEN '" + b.ID + "' THEN recorded ELSE 0 END"})
		for _, mark := range b.marks {
			reached := fmt.Sprintf("CASE WHEN budget = '%s' AND recorded >= %d THEN 1 ELSE 0 END", b.ID, mark.Units)
			all = append(all, figure{reachedName(b.ID, mark), reached})
		}
	}
	return all
}

func sumName(grain int, column string) string {
	return fmt.Sprintf("sums of grain %d, %s", grain, column)
}

func reachedName(budget string, mark alert.Mark) string {
	return fmt.Sprintf("counters of %s at %s %%", budget, mark.Percent)
}

func (p *place) figures(ctx context.Context) (figures, error) {
	read := make(figures)
	for table, columns := range audited {
		values := make([]int64, len(columns))
		sums, targets := make([]string, len(columns)), make([]any, len(columns))
		for i, column := range columns {
			sums[i], targets[i] = "COALESCE(CAST(sum("+column.expression+") AS bigint), 0)", &values[i]
		}
		query := "SELECT " + strings.Join(sums, ", ") + " FROM " + table
		if err := p.db.QueryRowContext(ctx, query).Scan(targets...); err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		for i, column := range columns {
			read[column.name] = values[i]
		}
	}
	return read, nil
}

// audit fails unless the turn stored as many events as the side claims, and, if all effects are due, each of them is in
// every counter and sum, with an alert for every level that a counter reached.
func (p *place) audit(ctx context.Context, events int, allEffects bool) error {
	after, err := p.figures(ctx)
	if err != nil {
		return err
	}
	for name, n := range p.before {
		after[name] -= n
	}
	want := map[string]int64{"events": int64(events)}
	if allEffects {
		maps.Copy(want, after.due())
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if after[name] != want[name] {
			return fmt.Errorf("after a turn, %s is %d more, should be %d", name, after[name], want[name])
		}
	}
	return nil
}

// due returns what the events and counters demand of the other figures.
func (f figures) due() figures {
	due := make(figures)
	for i, column := range countedColumns {
		b := budgets[i]
		total := f["events "+column]
		due["counted "+b.ID] = total
		for grain := 1; grain <= 3; grain++ {
			due[sumName(grain, column)] = total
		}
		for _, mark := range b.marks {
			due["alerts"] += f[reachedName(b.ID, mark)]
		}
	}
	return due
}
