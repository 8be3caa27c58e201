package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A year is the last year's usage of a thousand users of twenty tenants.
type year struct {
	place *place
	by    string // an expression for the month of an event
}

// What a year is made of: so many events, each of which stands for as many as there are to be, in the same buckets.
const (
	yearEvents  = 1e4
	yearUsers   = 1000
	yearTenants = 20
)

var lastYear = func() period.Bounds {
	end := period.Yearly.Bounds(time.Now()).Start
	return period.Yearly.Bounds(end.AddDate(0, 0, -1))
}()

// year returns the year with so many events, which is made once for each table.
func (l *lab) year(ctx context.Context, table string, events int) (*year, error) {
	key := fmt.Sprint(table, events)
	if y := l.years[key]; y != nil {
		return y, nil
	}
	y := &year{by: "strftime('%Y-%m', time / 1000000, 'unixepoch')"}
	var h host = l.files()
	counted := "PRAGMA wal_checkpoint(TRUNCATE)"
	if table == reportPostgres {
		s, err := l.realDisk(ctx)
		if err != nil {
			return nil, err
		}
		h, counted, y.by = s, "VACUUM ANALYZE", "to_char(to_timestamp(time / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM')"
	}
	var err error
	if y.place, err = h.place(ctx, nil, &l.atEnd); err != nil {
		return nil, err
	}
	l.progress.say("recording a year of %s events", thousands(events))
	if err := y.record(ctx); err != nil {
		return nil, err
	}
	if err := multiply(ctx, y.place, events/yearEvents); err != nil {
		return nil, err
	}
	for _, statement := range []string{"CREATE INDEX events_of_tenants ON purser_events (tenant, time)", counted} {
		if _, err := y.place.db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	l.years[key] = y
	return y, y.check(ctx)
}

func (y *year) record(ctx context.Context) (err error) {
	var at closers
	defer func() { err = errors.Join(err, at.close()) }()
	ledger, err := y.place.ledger(ctx, &at, nil)
	if err != nil {
		return err
	}
	d := newDealer(0, oneTenant)
	for first := 0; first < yearEvents; first += batchSize {
		batch := d.past(lastYear, first, yearEvents)
		for i := range batch {
			user := (first + i) % yearUsers
			batch[i].Tenant, batch[i].User = yearTenant(user%yearTenants), fmt.Sprintf("user-%03d", user)
		}
		if err := recordBatch(ctx, ledger, batch); err != nil {
			return err
		}
	}
	return nil
}

func yearTenant(i int) string { return fmt.Sprintf("tenant-%02d", i) }

// multiply makes so many events of each, and as many times each sum and counter: what recording them would, in less time. Each
// sum is written once more, however many times it is to be: so all places have their rows alike.
func multiply(ctx context.Context, p *place, times int) error {
	columns := strings.Join(eventColumns, ", ")
	copied := strings.Replace(columns, "id,", "id || '-' || CAST(i AS text),", 1)
	sums := make([]string, len(amountColumns))
	for i, column := range amountColumns {
		sums[i] = fmt.Sprintf("%[1]s = %[1]s * %d", column, times)
	}
	for _, statement := range []string{
		fmt.Sprintf(`WITH RECURSIVE more(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM more WHERE i < %d)
			INSERT INTO purser_events (%s) SELECT %s FROM more CROSS JOIN purser_events WHERE i > 1`, times, columns, copied),
		"UPDATE purser_usage SET " + strings.Join(sums, ", "),
		fmt.Sprintf("UPDATE purser_counters SET recorded = recorded * %d", times),
	} {
		if _, err := p.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// summing returns a query that sums up events by what an expression tells apart.
func summing(by, where string) string {
	sums := make([]string, len(amountColumns))
	for i, column := range amountColumns {
		sums[i] = "CAST(sum(" + column + ") AS bigint)"
	}
	return "SELECT " + by + ", " + strings.Join(sums, ", ") + " FROM purser_events " + where + " GROUP BY 1 ORDER BY 1"
}

// eventSums returns what a query of summing answers with.
func eventSums(ctx context.Context, query *sql.Stmt, args ...any) (map[string]usage.Totals, error) {
	rows, err := query.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[string]usage.Totals)
	for rows.Next() {
		var key string
		var t usage.Totals
		if err := rows.Scan(&key, &t.InputTokens, &t.OutputTokens, &t.CacheCreationTokens, &t.CacheReadTokens,
			&t.TotalTokens, &t.Requests, &t.Runs, &t.Nanodollars); err != nil {
			return nil, err
		}
		found[key] = t
	}
	return found, rows.Err()
}

// A yearReport is a report on a year, by Purser and by a sum over its events.
type yearReport struct {
	name  string
	what  string
	read  func(ctx context.Context, l *budget.Ledger) (map[string]usage.Totals, error)
	query func(y *year) string
	args  []any
}

var yearReports = []yearReport{
	{
		name: "months", what: "the months of a tenant",
		read: func(ctx context.Context, l *budget.Ledger) (map[string]usage.Totals, error) {
			months, err := l.Months(ctx, yearTenant(7), nil)
			found := make(map[string]usage.Totals)
			for _, m := range months {
				found[m.Start.Format("2006-01")] = m.Totals
			}
			return found, err
		},
		query: func(y *year) string { return summing(y.by, "WHERE tenant = $1") },
		args:  []any{yearTenant(7)},
	},
	{
		name: "overview", what: "the overview of all tenants",
		read: func(ctx context.Context, l *budget.Ledger) (map[string]usage.Totals, error) {
			found := make(map[string]usage.Totals)
			for a, err := range l.Overview(ctx) {
				if err != nil {
					return nil, err
				}
				found[a.Tenant] = a.Usage
			}
			return found, nil
		},
		query: func(*year) string { return summing("tenant", "") },
	},
}

// check fails unless the reports are the sums of the events, to the last digit.
func (y *year) check(ctx context.Context) (err error) {
	var at closers
	defer func() { err = errors.Join(err, at.close()) }()
	ledger, err := y.place.ledger(ctx, &at, nil)
	if err != nil {
		return err
	}
	for _, r := range yearReports {
		got, err := r.read(ctx, ledger)
		if err != nil {
			return err
		}
		query, err := y.place.db.PrepareContext(ctx, r.query(y))
		if err != nil {
			return err
		}
		at.add(query.Close)
		want, err := eventSums(ctx, query, r.args...)
		if err != nil {
			return err
		}
		if len(want) == 0 || !maps.Equal(want, got) {
			return fmt.Errorf("%s: Purser has %v, the sum of the events is %v", r.what, got, want)
		}
	}
	return nil
}

func (y *year) purserSide(ctx context.Context, r yearReport, at *closers) (side, error) {
	ledger, err := y.place.ledger(ctx, at, nil)
	work := func(ctx context.Context, _ *dealer) (int, error) {
		_, err := r.read(ctx, ledger)
		return 1, err
	}
	return side{name: purser, tenants: oneTenant, work: work}, err
}

func (y *year) sumSide(ctx context.Context, r yearReport, at *closers) (side, error) {
	query, err := y.place.db.PrepareContext(ctx, r.query(y))
	if err != nil {
		return side{}, err
	}
	at.add(query.Close)
	work := func(ctx context.Context, _ *dealer) (int, error) {
		_, err := eventSums(ctx, query, r.args...)
		return 1, err
	}
	return side{name: sum, tenants: oneTenant, work: work}, nil
}

// reportRow is a report on so many events, against their sum, and against the same report on few in the same buckets.
func reportRow(table string, r yearReport, events int) row {
	return row{fmt.Sprintf("%s/%s/%d", table, r.name, events), func(ctx context.Context, l *lab, at *closers) error {
		y, err := l.year(ctx, table, events)
		if err != nil {
			return err
		}
		few, err := l.year(ctx, table, yearEvents)
		if err != nil {
			return err
		}
		ours, err := y.purserSide(ctx, r, at)
		if err != nil {
			return err
		}
		summed, err := y.sumSide(ctx, r, at)
		if err != nil {
			return err
		}
		same, err := few.purserSide(ctx, r, at)
		if err != nil {
			return err
		}
		same.name = flat
		c := contest{table, fmt.Sprintf("%s, %s events", r.what, thousands(events)), 1, map[string]float64{flat: flatFloor}}
		all := []side{ours, summed, same}
		if events == yearEvents {
			all = all[:2]
		}
		return l.contest(ctx, c, all)
	}}
}
