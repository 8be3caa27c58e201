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
	"github.com/purser-go/purser/usage"
)

// A place holds Purser's tables in a schema or a file of its own.
type place struct {
	url     string  // for store.Open
	db      *sql.DB // for plain SQL
	schema  string  // of Postgres
	budgets []watched

	// fresh are the statements that bring the tables to where every turn begins, and write out what is pending, so that
	// no turn pays for another's.
	fresh []string
}

// A host makes places: a Postgres server, or the folder of SQLite's files.
type host interface {
	place(ctx context.Context, budgets []watched, at *closers) (*place, error)
}

// migrate makes the tables.
func (p *place) migrate(ctx context.Context) error {
	s, err := store.Open(ctx, p.url, nil)
	if err != nil {
		return err
	}
	return s.Close()
}

// ledger opens a ledger, and makes the place's budgets where they are not made yet.
func (p *place) ledger(ctx context.Context, at *closers, o *budget.Options) (*budget.Ledger, error) {
	s, err := store.Open(ctx, p.url, nil)
	if err != nil {
		return nil, err
	}
	at.add(s.Close)
	ledger := budget.NewLedger(s, o)
	for _, b := range p.budgets {
		if _, err := ledger.Create(ctx, b.Budget); err != nil && !errors.Is(err, budget.ErrConflict) {
			return nil, err
		}
	}
	return ledger, nil
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

// audited returns the figures of each table.
func (p *place) audited() map[string][]figure {
	return map[string][]figure{
		"purser_events":       rowFigures("events", "TRUE"),
		"purser_reservations": rowFigures("reservations", "state = 0"),
		"purser_usage":        sumFigures(),
		"purser_counters":     p.counterFigures(),
		"purser_alerts":       {{"alerts", "1"}},
	}
}

// The columns of events, sums and reservations that budgets count.
var countedColumns = map[usage.Metric]string{usage.Dollars: "nanodollars", usage.Tokens: "total_tokens", usage.Requests: "requests"}

// rowFigures returns the number of the rows that count, and what they amount to.
func rowFigures(rows, counts string) []figure {
	figureOf := func(name, value string) figure {
		return figure{name, "CASE WHEN " + counts + " THEN " + value + " ELSE 0 END"}
	}
	all := []figure{figureOf(rows, "1")}
	for _, column := range countedColumns {
		all = append(all, figureOf(rows+" "+column, column))
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

func (p *place) counterFigures() []figure {
	var all []figure
	for _, b := range p.budgets {
		all = append(all,
			figure{"counted " + b.ID, "CASE budget WHEN '" + b.ID + "' THEN recorded ELSE 0 END"},
			figure{"held " + b.ID, "CASE budget WHEN '" + b.ID + "' THEN reserved ELSE 0 END"})
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
	for table, columns := range p.audited() {
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

// A due says by how much a turn of so many units must have changed the figures, after which they are by so much more.
type due func(p *place, units int64, more figures) figures

// onlyEvents is due of a side that stores events.
func onlyEvents(_ *place, units int64, _ figures) figures { return figures{"events": units} }

// allEffects is due of a side that records events: each is in every counter and sum, with an alert for every level that a
// counter reached, and nothing is held any more.
func allEffects(p *place, units int64, more figures) figures {
	due := figures{"events": units, "reservations": 0}
	for _, b := range p.budgets {
		due["counted "+b.ID] = more["events "+countedColumns[b.Metric]]
		due["held "+b.ID] = 0
		for _, mark := range b.marks {
			due["alerts"] += more[reachedName(b.ID, mark)]
		}
	}
	for _, column := range countedColumns {
		for grain := 1; grain <= 3; grain++ {
			due[sumName(grain, column)] = more["events "+column]
		}
	}
	return due
}

// onlyHolds is due of a side that reserves: each reservation is a row, and held by every counter.
func onlyHolds(p *place, units int64, more figures) figures {
	due := figures{"reservations": units, "events": 0}
	for _, b := range p.budgets {
		due["held "+b.ID] = more["reservations "+countedColumns[b.Metric]]
	}
	return due
}

// tables are a place as the [stage] of a side.
type tables struct {
	*place
	due    due
	before figures
}

func (p *place) stage(d due) *tables { return &tables{place: p, due: d} }

func (t *tables) begin(ctx context.Context) (err error) {
	if err := t.refresh(ctx); err != nil {
		return err
	}
	t.before, err = t.figures(ctx)
	return err
}

func (t *tables) audit(ctx context.Context, units int) error {
	more, err := t.figures(ctx)
	if err != nil {
		return err
	}
	for name, n := range t.before {
		more[name] -= n
	}
	want := t.due(t.place, int64(units), more)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if more[name] != want[name] {
			return fmt.Errorf("after a turn, %s is %d more, should be %d", name, more[name], want[name])
		}
	}
	return nil
}
