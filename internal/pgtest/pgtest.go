// Package pgtest gives tests a real Postgres: a schema of their own on a server that all tests share ([URL], [Open]), or
// a server of their own that they may crash ([Start]).
//
// The shared server is the one named in the environment variable PURSER_TEST_POSTGRES (a postgres:// URL of a user who
// may create schemas). Without it, each test process starts a throw-away server from the installed binaries when it first
// asks, and the server goes with the process, however that ends. The binaries are looked for in the folder named in
// PURSER_TEST_POSTGRES_BIN if it is set, else on PATH, else in the usual places. Where there is neither a server nor
// binaries, the test fails and says what to install; only -short leaves it out.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
)

// ServerVariable is the environment variable that names the server to share.
const ServerVariable = "PURSER_TEST_POSTGRES"

var shared = sync.OnceValues(func() (*Server, error) {
	if address := os.Getenv(ServerVariable); address != "" {
		return &Server{url: address}, nil
	}
	return Launch()
})

// URL returns the address of an empty schema that is t's own: its name is the connection's search_path. The schema is
// dropped when t ends; a connection that still uses it by then is an error of t. With -short, t is skipped.
func URL(t testing.TB) string {
	t.Helper()
	skipIfShort(t)
	server, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + strings.ToLower(rand.Text()[:16])
	address, err := inSchema(server.URL(), schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(server.URL(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatalf("create a schema for the test: %v", err)
	}
	t.Cleanup(func() {
		// A connection left behind would make DROP wait for its locks, as long as the test may take.
		if err := run(server.URL(), "SET lock_timeout = '10s'; DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Errorf("drop the test's schema: %v", err)
		}
	})
	return address
}

// Open returns a pool of connections to [URL](t), closed when t ends.
func Open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the test's pool: %v", err)
		}
	})
	return db
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Postgres")
	}
}

func inSchema(address, schema string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		// The address is not repeated: it may hold a password.
		return "", fmt.Errorf("%s must be a URL such as postgres://user:password@localhost:5432/postgres", ServerVariable)
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// run executes constant SQL on a connection of its own, so that a test that counts connections or goroutines sees none.
func run(address, statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statements)
	return err
}
