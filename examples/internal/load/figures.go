package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Figures are what the tables of a database say about one counter of a budget. Amounts are in the metric's unit.
type Figures struct {
	Limit        decimal.Decimal
	Used         decimal.Decimal // from the counter
	Reserved     decimal.Decimal // what open reservations hold, summed up from these
	Events       int64           // that the counter's period and scope have, without corrections
	EventsAmount decimal.Decimal // their sum, less what was corrected, summed up from these
}

// ReadFigures returns the figures of the counter in which the budget counts usage of a subject, in the period that holds t.
// It reads the database that a URL of [store.Open] names with statements of its own, so that what a ledger did can be held
// against it: Used is EventsAmount unless there are adjustments, or events that were pruned. Of a budget on credits, events
// are converted at the present rate.
func ReadFigures(ctx context.Context, url string, b budget.Budget, s usage.Subject, t time.Time) (Figures, error) {
	value, covered := b.Scope.Match(s)
	if !covered {
		return Figures{}, fmt.Errorf("budget %s does not cover the subject", b.ID)
	}
	db, dialect, err := open(url)
	if err != nil {
		return Figures{}, err
	}
	defer db.Close()
	// One snapshot for all statements. On SQLite every transaction is one.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: dialect.snapshot, ReadOnly: true})
	if err != nil {
		return Figures{}, err
	}
	r := &reader{
		tx: tx, dialect: dialect, budget: b, subject: s,
		counter: budget.CounterKey{Budget: b.ID, Value: value.Key(), Start: b.Schedule.Bounds(t).Start.UnixMicro()},
		span:    span(b, t),
	}
	figures, err := r.figures(ctx)
	return figures, errors.Join(err, tx.Rollback())
}

// span returns the part of the period that holds t in which the budget counts.
func span(b budget.Budget, t time.Time) period.Bounds {
	window := period.Bounds{Start: b.StartsAt, End: b.EndsAt}
	if window.Start.IsZero() {
		window.Start = usage.MinTime
	}
	if window.End.IsZero() {
		window.End = usage.EndTime
	}
	return b.Schedule.Bounds(t).Intersect(window)
}

// A dialect is how the databases differ.
type dialect struct {
	snapshot sql.IsolationLevel
	argument string // how the n-th argument is written: a format with n, counted from 1
	holds    string // yields what a reservation holds, each an array [budget, scope value, period start, units] named value
	label    string // the value of a label: a format with the argument that names it
}

var postgres = dialect{
	snapshot: sql.LevelRepeatableRead,
	argument: "$%d",
	holds:    "json_array_elements(holds::json) AS value",
	label:    "labels::json ->> %s::text",
}

var sqlite = dialect{
	argument: "?%d",
	holds:    "json_each(holds)",
	label:    "(SELECT value FROM json_each(labels) WHERE key = %s)",
}

func open(url string) (*sql.DB, dialect, error) {
	path, isFile := strings.CutPrefix(url, "sqlite:")
	if !isFile {
		db, err := sql.Open("pgx", url)
		return db, postgres, err
	}
	absolute, err := filepath.Abs(path) // else a name that begins with file: would be a URI
	if err != nil {
		return nil, dialect{}, err
	}
	db, err := sql.Open("sqlite", absolute)
	return db, sqlite, err
}

// A reader reads the figures of one counter.
type reader struct {
	tx      *sql.Tx
	dialect dialect
	budget  budget.Budget
	subject usage.Subject
	counter budget.CounterKey
	span    period.Bounds
}

func (r *reader) figures(ctx context.Context) (f Figures, err error) {
	if f.Limit, err = r.number(ctx, r.limit()); err != nil {
		return f, err
	}
	if f.Used, err = r.units(ctx, r.used()); err != nil {
		return f, err
	}
	if f.Reserved, err = r.units(ctx, r.reserved()); err != nil {
		return f, err
	}
	if err = r.row(ctx, r.events("COUNT(*)").and("corrects = %s", ""), &f.Events); err != nil {
		return f, err
	}
	f.EventsAmount, err = r.eventsAmount(ctx)
	return f, err
}

// A statement is a query with conditions, each with an argument.
type statement struct {
	dialect    dialect
	query      string
	conditions []string
	args       []any
}

func (r *reader) statement(query string) *statement {
	return &statement{dialect: r.dialect, query: query}
}

// and adds a condition: a format with its argument.
func (s *statement) and(format string, arg any) *statement {
	s.conditions = append(s.conditions, fmt.Sprintf(format, s.argument(arg)))
	return s
}

func (s *statement) argument(arg any) string {
	s.args = append(s.args, arg)
	return fmt.Sprintf(s.dialect.argument, len(s.args))
}

func (s *statement) text() string { return s.query + " WHERE " + strings.Join(s.conditions, " AND ") }

func (r *reader) row(ctx context.Context, s *statement, to ...any) error {
	return r.tx.QueryRowContext(ctx, s.text(), s.args...).Scan(to...)
}

// number reads a number that is a text, or is read as one, since a sum may be of another type than what it sums up.
func (r *reader) number(ctx context.Context, s *statement) (decimal.Decimal, error) {
	var text string
	if err := r.row(ctx, s, &text); err != nil {
		return decimal.Decimal{}, err
	}
	return decimal.NewFromString(text)
}

// units reads a number of the metric's units.
func (r *reader) units(ctx context.Context, s *statement) (decimal.Decimal, error) {
	units, err := r.number(ctx, s)
	return units.Shift(-r.budget.Metric.Scale()), err
}

// sum is the sum of a column of integers, as a text.
func sum(column string) string { return "CAST(COALESCE(SUM(" + column + "), 0) AS text)" }

func (r *reader) limit() *statement {
	return r.statement("SELECT budget_limit FROM purser_budgets").and("id = %s", r.budget.ID)
}

func (r *reader) used() *statement {
	return r.statement("SELECT "+sum("recorded + adjusted")+" FROM purser_counters").
		and("budget = %s", r.counter.Budget).and("scope_value = %s", r.counter.Value).and("period_start = %s", r.counter.Start)
}

func (r *reader) reserved() *statement {
	return r.statement("SELECT "+sum("CAST(value ->> 3 AS bigint)")+" FROM purser_reservations, "+r.dialect.holds).
		and("state = %s", int64(budget.Open)).
		and("value ->> 0 = %s", r.counter.Budget).and("value ->> 1 = %s", r.counter.Value).
		and("CAST(value ->> 2 AS bigint) = %s", r.counter.Start)
}

// The columns of what budgets count of an event, and of the dimensions that every event has.
var (
	amounts = map[usage.Metric]string{
		usage.Tokens: "total_tokens", usage.InputTokens: "input_tokens", usage.OutputTokens: "output_tokens",
		usage.Dollars: "nanodollars", usage.Requests: "requests",
	}
	dimensions = map[usage.Dimension]string{
		usage.Tenant: "tenant", usage.User: "user_id", usage.APIKey: "api_key", usage.Resource: "resource",
	}
)

// events selects something of the events that the budget counts in the counter.
func (r *reader) events(what string) *statement {
	s := r.statement("SELECT "+what+" FROM purser_events").
		and("time >= %s", r.span.Start.UnixMicro()).and("time < %s", r.span.End.UnixMicro())
	for _, d := range slices.Sorted(maps.Keys(r.budget.Scope)) {
		column := dimensions[d]
		if d.IsLabel() {
			column = fmt.Sprintf(r.dialect.label, s.argument(string(d)))
		}
		s.and(column+" = %s", r.subject.Value(d))
	}
	return s
}

func (r *reader) eventsAmount(ctx context.Context) (decimal.Decimal, error) {
	if r.budget.Metric == usage.Credits {
		return r.credits(ctx)
	}
	return r.units(ctx, r.events(sum(amounts[r.budget.Metric])))
}

// credits sums up events that are rounded one by one. Equal ones are counted together.
func (r *reader) credits(ctx context.Context) (decimal.Decimal, error) {
	s := r.events("cost_before, nanodollars, COUNT(*)")
	rows, err := r.tx.QueryContext(ctx, s.text()+" GROUP BY cost_before, nanodollars", s.args...)
	if err != nil {
		return decimal.Decimal{}, err
	}
	defer rows.Close()
	var total decimal.Decimal
	for rows.Next() {
		var before, cost, n int64
		if err := rows.Scan(&before, &cost, &n); err != nil {
			return decimal.Decimal{}, err
		}
		credits, err := r.creditsOf(before, cost)
		if err != nil {
			return decimal.Decimal{}, err
		}
		total = total.Add(usage.Credits.Decimal(credits).Mul(decimal.NewFromInt(n)))
	}
	return total, rows.Err()
}

// creditsOf returns the credits of an event, or those that a correction of one that cost so much before took back.
func (r *reader) creditsOf(before, cost int64) (int64, error) {
	had, err := usage.CreditsOf(before, r.budget.CostPerCredit)
	if err != nil {
		return 0, err
	}
	has, err := usage.CreditsOf(before+cost, r.budget.CostPerCredit)
	return has - had, err
}
