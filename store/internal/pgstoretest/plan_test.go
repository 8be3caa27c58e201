package pgstoretest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/usage"
)

// Reservations come and go within seconds, while rows are counted once a minute and plans are kept until then. So whatever
// Postgres believed about how many there are, it must look for them by their indexes.
func TestReservationsAreLookedUp(t *testing.T) {
	wire, db := sqltest.Connect(t, "pgx", pgtest.URL(t))
	db.SetMaxOpenConns(1) // the one that keeps the plans
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := []budget.ReservationKey{{Tenant: "a", ID: "1"}, {Tenant: "b", ID: "2"}, {Tenant: "c", ID: "3"}}
	statements := map[string]func(ctx context.Context, tx budget.Tx) error{
		"taken": func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.TakeReservations(ctx, keys, 1000)
			return err
		},
		"taken by their keys alone": func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.TakeReservations(ctx, keys, 0)
			return err
		},
		"deleted": func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Apply(ctx, budget.Writes{DeleteReservations: keys})
			return err
		},
		"overdue": func(ctx context.Context, tx budget.Tx) error {
			_, err := tx.Reservations(ctx, budget.ReservationQuery{Overdue: true, Limit: 1})
			return err
		},
	}
	for known, history := range map[string][]string{
		"never counted": nil,
		"counted":       {fillReservations, "UPDATE purser_reservations SET time = 0", "ANALYZE purser_reservations"},
		"counted when all were gone": {
			fillReservations, "DELETE FROM purser_reservations", "VACUUM ANALYZE purser_reservations",
		},
	} {
		for name, statement := range statements {
			t.Run(name+", "+known, func(t *testing.T) {
				execute(t, db, "TRUNCATE purser_reservations")
				execute(t, db, history...)
				for range 10 { // after five times, Postgres keeps a plan
					wire.Sent()
					if err := store.Update(t.Context(), func(tx budget.Tx) error { return statement(t.Context(), tx) }); err != nil {
						t.Fatal(err)
					}
				}
				sent := wire.Sent()
				execute(t, db, fillReservations)
				if plan := explain(t, db, sent); readsAll(plan) {
					t.Errorf("all rows are read:\n%s", plan)
				}
			})
		}
	}
}

// What Postgres takes for long work it compiles first, which takes milliseconds. How long it takes something for depends on
// what it believes of tables that it has never counted, and it counts small ones never.
func TestNothingIsWorthCompiling(t *testing.T) {
	wire, db := sqltest.Connect(t, "pgx", pgtest.URL(t))
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	ledger := budget.NewLedger(store, nil)
	made, err := ledger.Create(t.Context(), budget.Budget{Name: "a", Metric: usage.Tokens, Limit: decimal.New(1, 6), Schedule: period.Monthly})
	if err != nil {
		t.Fatal(err)
	}
	amounts := usage.Amounts{InputTokens: 10}
	request := budget.Request{Estimate: amounts}
	for name, do := range map[string]func(ctx context.Context) error{
		"record": func(ctx context.Context) error {
			_, err := ledger.Record(ctx, usage.Event{ID: usage.NewID(), Amounts: amounts})
			return err
		},
		"check": func(ctx context.Context) error {
			_, err := ledger.Check(ctx, request)
			return err
		},
		"reserve and settle": func(ctx context.Context) error {
			res, err := ledger.Reserve(ctx, request)
			if err != nil {
				return err
			}
			return res.Settle(ctx, amounts)
		},
		"status": func(ctx context.Context) error {
			_, err := ledger.Status(ctx, made.ID, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			wire.Sent()
			if err := do(t.Context()); err != nil {
				t.Fatal(err)
			}
			explained := 0
			for _, s := range wire.Sent() {
				if !strings.HasPrefix(s.Text, "SELECT") && !strings.HasPrefix(s.Text, "WITH") {
					continue
				}
				explained++
				if cost := cost(t, db, s); cost > compiledAbove/10 {
					t.Errorf("planned at a cost of %.0f, and compiled above %d: %s", cost, compiledAbove, s.Text)
				}
			}
			if explained == 0 {
				t.Error("nothing was sent")
			}
		})
	}
}

// compiledAbove is what Postgres has for jit_above_cost unless it is told otherwise.
const compiledAbove = 100_000

// cost returns what Postgres takes a statement to cost, in its own unit.
func cost(t *testing.T, db *sql.DB, s sqltest.Statement) float64 {
	t.Helper()
	var text []byte
	if err := db.QueryRowContext(t.Context(), "EXPLAIN (FORMAT JSON) "+s.Text, s.Args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct {
		Plan struct {
			Cost float64 `json:"Total Cost"`
		}
	}
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.Cost
}

const fillReservations = `INSERT INTO purser_reservations
	SELECT i, 1e15::bigint * 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, 'tenant ' || i % 100, i, '', '', '', '{}', '', '[]' FROM generate_series(1, 5000) AS i
	ON CONFLICT DO NOTHING`

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// explain returns how Postgres goes about the queries among the statements, by the plans that it keeps.
func explain(t *testing.T, db *sql.DB, statements []sqltest.Statement) string {
	t.Helper()
	var plan strings.Builder
	for _, s := range statements {
		if !strings.HasPrefix(s.Text, "SELECT") && !strings.HasPrefix(s.Text, "WITH") {
			continue
		}
		var name string
		if err := db.QueryRowContext(t.Context(), "SELECT name FROM pg_prepared_statements WHERE statement = $1", s.Text).Scan(&name); err != nil {
			t.Fatal(err)
		}
		args := make([]string, len(s.Args))
		for i, arg := range s.Args {
			args[i] = fmt.Sprintf("'%v'", arg)
		}
		call := "EXECUTE " + name
		if len(args) > 0 {
			call += "(" + strings.Join(args, ", ") + ")"
		}
		for _, line := range lines(t, db, "EXPLAIN (COSTS OFF) "+call) {
			plan.WriteString(line + "\n")
		}
	}
	return plan.String()
}

// lines returns what a query answers with.
func lines(t *testing.T, db *sql.DB, query string) (lines []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// readsAll reports whether a plan reads all reservations: by the table, or by an index without a condition.
func readsAll(plan string) bool {
	lines := strings.Split(plan, "\n")
	for i, line := range lines {
		if strings.Contains(line, "Seq Scan on purser_reservations") ||
			strings.Contains(line, "Index") && strings.Contains(line, " purser_reservations_") && !strings.Contains(lines[i+1], "Index Cond:") {
			return true
		}
	}
	return false
}
