package outagetest

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store"
)

// prove compares the tables, by plain SQL, with what callers were told, who have stopped: all of it is there, once, and
// nothing else; and lets Verify look.
func prove(t *testing.T, url string, tolds ...told) {
	t.Helper()
	stored := readTables(t, url)
	events, open := make(map[budget.EventKey]bool), make(map[budget.ReservationKey]bool)
	for _, told := range tolds {
		for _, key := range told.Events {
			events[key] = true
		}
		for _, key := range told.Open {
			open[key] = true
		}
		for _, key := range told.Never {
			if stored.events[key] || stored.reservations[key] {
				t.Errorf("%v is stored, although a call said that nothing was", key)
			}
		}
	}
	if diff := cmp.Diff(events, stored.events); diff != "" {
		t.Errorf("events (-acknowledged +stored):\n%s", diff)
	}
	if diff := cmp.Diff(open, stored.open); diff != "" {
		t.Errorf("open reservations (-acknowledged +stored):\n%s", diff)
	}
	if diff := cmp.Diff(stored.holds, stored.reserved); diff != "" {
		t.Errorf("reserved (-by open reservations +by counters):\n%s", diff)
	}
	if len(events) == 0 || len(open) == 0 {
		t.Errorf("%d events and %d open reservations prove nothing", len(events), len(open))
	}
	found, err := budget.NewLedger(opened(t, url), nil).Verify(t.Context(), nil)
	if err != nil || len(found.Differences) > 0 {
		t.Errorf("Verify: error %v, %d differences: %+v", err, len(found.Differences), found.Differences[:min(3, len(found.Differences))])
	}
}

// tables are what stands in them.
type tables struct {
	events       map[budget.EventKey]bool
	reservations map[budget.ReservationKey]bool // without leases
	open         map[budget.ReservationKey]bool // those of them that are
	holds        map[budget.CounterKey]int64    // of all that are open, leases too
	reserved     map[budget.CounterKey]int64
}

func readTables(t *testing.T, url string) *tables {
	t.Helper()
	db := plain(t, url)
	stored := &tables{
		events:       make(map[budget.EventKey]bool),
		reservations: make(map[budget.ReservationKey]bool),
		open:         make(map[budget.ReservationKey]bool),
		holds:        make(map[budget.CounterKey]int64),
		reserved:     make(map[budget.CounterKey]int64),
	}
	each(t, db, "SELECT tenant, id FROM purser_events", func(scan func(...any) error) error {
		var key budget.EventKey
		err := scan(&key.Tenant, &key.ID)
		if stored.events[key] {
			t.Errorf("event %v is stored twice", key)
		}
		stored.events[key] = true
		return err
	})
	each(t, db, "SELECT tenant, id, state FROM purser_reservations WHERE NOT lease", func(scan func(...any) error) error {
		var key budget.ReservationKey
		var state budget.ReservationState
		err := scan(&key.Tenant, &key.ID, &state)
		stored.reservations[key] = true
		if state == budget.Open {
			stored.open[key] = true
		}
		return err
	})
	holds := "SELECT value ->> 0, value ->> 1, value ->> 2, sum(value ->> 3)" +
		" FROM purser_reservations, json_each(holds) WHERE state = 0 GROUP BY 1, 2, 3"
	if strings.HasPrefix(url, "postgres") {
		holds = "SELECT h ->> 0, h ->> 1, (h ->> 2)::bigint, sum((h ->> 3)::bigint)::bigint" +
			" FROM purser_reservations, json_array_elements(holds::json) AS h WHERE state = 0 GROUP BY 1, 2, 3"
	}
	units(t, db, stored.holds, holds)
	units(t, db, stored.reserved, "SELECT budget, scope_value, period_start, reserved FROM purser_counters")
	return stored
}

// units reads counters and how many units each has, but for those that have none.
func units(t *testing.T, db *sql.DB, of map[budget.CounterKey]int64, query string) {
	t.Helper()
	each(t, db, query, func(scan func(...any) error) error {
		var key budget.CounterKey
		var n int64
		err := scan(&key.Budget, &key.Value, &key.Start, &n)
		if n != 0 {
			of[key] = n
		}
		return err
	})
}

func each(t *testing.T, db *sql.DB, query string, row func(scan func(...any) error) error) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// opened opens a store that is there.
func opened(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, nil)
	return mustOpen(t, s, err)
}

// mustOpen takes what Open returned. It closes the store when the test ends.
func mustOpen(t *testing.T, s *store.Store, err error) *store.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// plain returns connections for SQL of the test's own.
func plain(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if strings.HasPrefix(url, "sqlite:") {
		driver = "sqlite"
	}
	db, err := sql.Open(driver, source(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// source returns a store's URL as its driver knows it. SQLite lets nobody queue for the right to write: who tries now and then
// may have to try for long while others hardly ever leave it free.
func source(url string) string {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)", path, longestWait.Milliseconds())
	}
	return url
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits until a query answers true.
func await(t *testing.T, db *sql.DB, what, query string) {
	t.Helper()
	for so := false; !so; {
		if err := db.QueryRowContext(t.Context(), query).Scan(&so); err != nil {
			t.Fatalf("wait for %s: %v", what, err)
		}
	}
}
