package ledgertest

import (
	"database/sql"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/store/memstore"
)

// reportingZone is one whose days and months are not those of UTC, by a part of an hour.
const reportingZone = "Asia/Kathmandu"

// A kind is a kind of store, and how much of the heavy tests it gets by default: the decisions that are tried are the same
// everywhere, the time that a step takes is not. SQLite in Go under the race detector is slowest.
type kind struct {
	name      string
	open      func(testing.TB) *stage // an empty one
	sequences int                     // of random operations
	changes   int                     // of definitions, 100 commits apart
	histories int                     // of concurrent calls
	calls     int                     // of all sorts, one after the other in each of some goroutines
}

var kinds = []kind{
	{"memstore", inMemory, 120, 20, 300, 400},
	{"sqlite", func(t testing.TB) *stage { return onDatabase(t, sqliteURL(t)) }, 5, 8, 30, 40},
	{"postgres", func(t testing.TB) *stage { return onDatabase(t, pgtest.URL(t)) }, 12, 20, 60, 120},
}

// eachStore runs a test on every kind of store.
func eachStore(t *testing.T, test func(*testing.T, kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// databases are the stores that several processes can share, by the address of an empty one.
func databases() map[string]func(testing.TB) string {
	return map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": func(t testing.TB) string { return pgtest.URL(t) }}
}

func sqliteURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "purser.db") }

// A stage is a store whose clock the test moves, and which it can look at behind the ledger's back.
type stage struct {
	budget.Store
	url     string         // "" in memory
	db      *sql.DB        // the same tables, for plain SQL; nil in memory
	ahead   atomic.Int64   // how far the store's clock is ahead of the real one; that of Postgres can't be moved
	witness *memoryWitness // in memory, once somebody watches
}

func (s *stage) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func inMemory(testing.TB) *stage {
	s := &stage{}
	s.Store = memstore.New(&memstore.Options{ReportingZone: reportingZone, Now: s.now})
	return s
}

func onDatabase(t testing.TB, url string) *stage {
	t.Helper()
	s := &stage{url: url, db: plain(t, url)}
	s.Store = openedWith(t, url, s.now)
	return s
}

func opened(t testing.TB, url string) budget.Store {
	t.Helper()
	return openedWith(t, url, nil)
}

func openedWith(t testing.TB, url string, now func() time.Time) budget.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, &store.Options{ReportingZone: reportingZone, Now: now})
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
func plain(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, source := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
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

// pass lets time pass by the store's clock, between two transactions. The clock of Postgres is its server's: there what is
// reserved is made to end earlier instead.
func (s *stage) pass(t testing.TB, d time.Duration) {
	t.Helper()
	done := false
	err := s.Update(t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Exclusive); err != nil || done {
			return err
		}
		done = true
		if !s.onPostgres() {
			s.ahead.Add(int64(d))
			return nil
		}
		_, err := s.db.ExecContext(t.Context(), "UPDATE purser_reservations SET expires_at = expires_at - $1 WHERE state = 0", d.Microseconds())
		return err
	})
	if err != nil {
		t.Errorf("let time pass: %v", err)
	}
}

func (s *stage) onPostgres() bool { return strings.HasPrefix(s.url, "postgres") }
