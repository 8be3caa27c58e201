package pgtest_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/internal/pgtest"
)

// launchVariable makes this test binary launch a server and wait to be killed: see TestAServerGoesWithItsProcess.
const launchVariable = "PGTEST_LAUNCH"

func TestMain(m *testing.M) {
	if os.Getenv(launchVariable) != "" {
		launchAndWait()
		return
	}
	leak.VerifyTestMain(m)
}

func TestEachTestHasASchemaOfItsOwn(t *testing.T) {
	db := pgtest.Open(t)
	mine := text(t, db, "SELECT current_schema()")
	mustExec(t, db, "CREATE TABLE purser_events (id text)")
	var theirs string
	t.Run("another test", func(t *testing.T) {
		db := pgtest.Open(t)
		theirs = text(t, db, "SELECT current_schema()")
		mustExec(t, db, "CREATE TABLE purser_events (id text)")
	})
	if mine == theirs {
		t.Errorf("two tests share the schema %s", mine)
	}
	if got := text(t, db, "SELECT count(*)::text FROM pg_namespace WHERE nspname = $1", theirs); got != "0" {
		t.Error("the schema of a test that ended is left")
	}
}

func TestSettings(t *testing.T) {
	tests := map[string]struct {
		settings []pgtest.Setting
		want     string
	}{
		"a server does not flush to the disk unless asked to": {nil, "off/300"},
		"a durable server does":                               {[]pgtest.Setting{pgtest.Durable}, "on/300"},
		"a test's setting wins over the default":              {[]pgtest.Setting{"max_connections=20"}, "off/20"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, pgtest.Start(t, test.settings...).URL())
			got := text(t, db, "SELECT current_setting('fsync') || '/' || current_setting('max_connections')")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("fsync and max_connections (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACommitSurvivesKillAndStop(t *testing.T) {
	server := pgtest.Start(t, pgtest.Durable)
	db := open(t, server.URL())
	mustExec(t, db, "CREATE TABLE kept AS SELECT 'yes' AS answer")

	for name, end := range map[string]func() error{"Kill": server.Kill, "Stop": server.Stop} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err == nil {
			t.Errorf("after %s the server answers", name)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		if got := text(t, db, "SELECT answer FROM kept"); got != "yes" {
			t.Errorf("after %s and Start the table holds %q, want what was committed", name, got)
		}
	}
}

func TestAStandbyFollowsUntilItIsPromoted(t *testing.T) {
	server := pgtest.Start(t)
	standby, err := server.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Close(); err != nil {
			t.Error(err)
		}
	})
	before, after := open(t, server.URL()), open(t, standby.URL())
	mustExec(t, before, "CREATE TABLE kept AS SELECT 'yes' AS answer")
	if got := text(t, after, "SELECT pg_is_in_recovery()::text"); got != "true" {
		t.Errorf("pg_is_in_recovery on the standby says %s", got)
	}
	if err := errors.Join(server.Kill(), standby.Promote()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, after, "CREATE TABLE written AS SELECT 'yes' AS answer")
	if got := text(t, after, "SELECT answer FROM written"); got != "yes" {
		t.Errorf("what was written to the promoted standby is %q", got)
	}
}

func TestAPoolLendsConnectionsPerTransaction(t *testing.T) {
	server := pgtest.Start(t)
	url, err := server.Pool()
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, url+"&default_query_exec_mode=exec")
	// Ten clients, each with a connection that it keeps.
	backends := make(map[string]bool)
	for range 10 {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var pid string
		if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()::text").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		backends[pid] = true
	}
	if len(backends) > 3 {
		t.Errorf("%d connections of the server's were lent to 10 clients that took turns, want at most 3", len(backends))
	}
}

func TestCloseRemovesEverything(t *testing.T) {
	needPostgres(t)
	server, err := pgtest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	dir := directory(t, server.URL())
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, server.URL()).PingContext(t.Context()); err == nil {
		t.Error("a closed server answers")
	}
	wantRemoved(t, dir)
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	needPostgres(t)
	_, err := pgtest.Launch("no_such_setting=1")
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("got the error %v, want one with the server's log", err)
	}
}

func TestNoPostgresIsAnErrorThatSaysWhatToInstall(t *testing.T) {
	t.Setenv(pgtest.BinariesVariable, t.TempDir())
	_, err := pgtest.Launch()
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("got the error %v, want one that says what to install", err)
	}
}

// A killed process cleans nothing up by itself: its server has to notice.
func TestAServerGoesWithItsProcess(t *testing.T) {
	needPostgres(t)
	// The process, its server and all that belongs to it hold the other end of this pipe: it ends when the last is gone.
	gone, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), launchVariable+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{held}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	held.Close()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the process did not launch a server: %v", err)
	}
	dir := directory(t, strings.TrimSpace(address))

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself before it was killed")
	}
	if err := gone.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, gone); err != nil {
		t.Errorf("the server outlived its process: %v", err)
	}
	wantRemoved(t, dir)
}

func launchAndWait() {
	server, err := pgtest.Launch()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(server.URL())
	select {}
}

func needPostgres(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Postgres")
	}
}

func open(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// text returns the one text that query answers.
func text(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var s string
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// directory returns the folder that a server and all its files are in.
func directory(t *testing.T, address string) string {
	t.Helper()
	db := open(t, address)
	dir := filepath.Dir(text(t, db, "SHOW data_directory"))
	db.Close()
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantRemoved(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left (stat says %v)", dir, err)
	}
}
