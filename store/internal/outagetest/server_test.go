package outagetest

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store"
)

// A server is stopped and killed, and started again.
func TestRestart(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Durable)
	f := launch(t, server.URL())
	for _, stop := range []func() error{server.Stop, server.Kill} {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		f.fail("connection refused")
		f.failInRun()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		f.goOn()
	}
	f.prove(server.URL())
}

// A server dies that a replica follows, which takes its place. What was acknowledged is there, for each COMMIT waited for
// the replica; and ledgers whose URL names both go on.
func TestFailOver(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Durable)
	standby := follower(t, primary)
	admin := plain(t, primary.URL())
	execute(t, admin, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	await(t, admin, "the replica to be waited for", "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")

	f := launch(t, either(t, primary, standby))
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	f.fail("connect")
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	f.goOn()
	f.prove(standby.URL())
}

func follower(t *testing.T, primary *pgtest.Server) *pgtest.Server {
	t.Helper()
	standby, err := primary.Standby(pgtest.Durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Close(); err != nil {
			t.Error(err)
		}
	})
	return standby
}

// either returns a URL that names two servers, and means the one that may be written to.
func either(t *testing.T, a, b *pgtest.Server) string {
	t.Helper()
	first, err := url.Parse(a.URL())
	if err != nil {
		t.Fatal(err)
	}
	second, err := url.Parse(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	first.Host += "," + second.Host
	return first.String() + "&target_session_attrs=read-write"
}

// A replica answers that it may only be read, until it is promoted.
func TestReplica(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	opened(t, primary.URL()) // makes the tables
	standby := follower(t, primary)
	if _, err := store.Open(t.Context(), either(t, standby, standby), nil); !errors.Is(err, budget.ErrUnavailable) {
		t.Errorf("Open where no server may be written to: got error %v, want ErrUnavailable", err)
	}
	ledger := budget.NewLedger(opened(t, standby.URL()), &budget.Options{FlushTimeout: flushTimeout})
	record := func() error {
		_, err := ledger.Record(t.Context(), sample("a"))
		return err
	}
	err := unlessSlow(record, func(err error) bool { return err == nil || strings.Contains(err.Error(), "read-only") })
	if !errors.Is(err, budget.ErrUnavailable) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("Record on a replica: got error %v, want ErrUnavailable that says that it is read-only", err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	if err := unlessSlow(record, func(err error) bool { return err == nil }); err != nil {
		t.Errorf("Record once it is promoted: %v", err)
	}
}

// unlessSlow calls do again while its time was up before it was told anything, which is all that a slow machine may do. It
// returns the last error.
func unlessSlow(do func() error, told func(error) bool) error {
	for began := time.Now(); ; {
		err := do()
		if told(err) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > longestWait {
			return err
		}
	}
}

// The server has no connection left for ledgers: whatever they lose, somebody else takes.
func TestNoConnectionIsLeft(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_connections=40", "superuser_reserved_connections=0")
	f := launch(t, server.URL()+"&application_name=ledger")
	admin, hoard := plain(t, server.URL()), plain(t, server.URL()+"&application_name=hoard")
	disconnect := func(name string) error {
		_, err := admin.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name)
		return err
	}
	if err := disconnect("nobody"); err != nil { // connects
		t.Fatal(err)
	}
	hoard.SetMaxIdleConns(40)
	f.failWhile("53300", func() error {
		if err := disconnect("ledger"); err != nil {
			return err
		}
		for {
			// Kept until the pool is closed.
			if _, err := hoard.Conn(t.Context()); err != nil {
				return nil
			}
		}
	})
	if err := disconnect("hoard"); err != nil {
		t.Fatal(err)
	}
	f.goOn()
	f.prove(server.URL())
}

// Somebody holds locks for long, and statements may or may not wait for them.
func TestLocksHeldForLong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, parameter, says string }{
		{"statements wait as long as a transaction may take", "", "context deadline exceeded"},
		{"statement_timeout ends them", "&statement_timeout=500", "57014"},
		{"lock_timeout ends them", "&lock_timeout=100", "55P03"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			makeBudgets(t, opened(t, url))
			f := launchOn(t, flushTimeout, openedUnlessSlow(t, url+tt.parameter), openedUnlessSlow(t, url+tt.parameter))
			tx, err := plain(t, url).BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), "LOCK TABLE purser_counters IN EXCLUSIVE MODE"); err != nil {
				t.Fatal(err)
			}
			f.fail(tt.says)
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			f.goOn()
			f.prove(url)
		})
	}
}

// openedUnlessSlow is opened for a URL that limits how long a statement may take: again while that is less than a slow machine
// needs.
func openedUnlessSlow(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, nil)
	for began := time.Now(); err != nil && strings.Contains(err.Error(), "57014") && time.Since(began) < longestWait; {
		s, err = store.Open(t.Context(), url, nil)
	}
	return mustOpen(t, s, err)
}

// An administrator makes the database one that may only be read, for a while.
func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	f := launch(t, server.URL())
	admin := plain(t, server.URL())
	execute(t, admin, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	f.fail("25006")
	execute(t, admin, "ALTER SYSTEM SET default_transaction_read_only = off", "SELECT pg_reload_conf()")
	f.goOn()
	f.prove(server.URL())
}
