package outagetest

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store/sqlitestore"
)

// The disk that holds the tables is full for a while.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.Start(t)
		admin := plain(t, server.URL())
		dir, err := server.MakeDir("small")
		if err != nil {
			t.Fatal(err)
		}
		fill, free := sayFull(t, admin)
		if d := mountDisk(t, dir, 16); d != nil {
			execute(t, admin, "CREATE TABLESPACE small LOCATION '"+dir+"'", "ALTER DATABASE postgres SET default_tablespace = small")
			fill, free = d.fill, d.free
		}
		full(launch(t, server.URL()), server.URL(), "53100", fill, free)
	})
	t.Run("sqlite", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "purser.db")
		if d := mountDisk(t, dir, 16); d != nil {
			full(launch(t, "sqlite:"+path), "sqlite:"+path, "full", d.fill, d.free)
			return
		}
		db, f := launchOnOne(t, path)
		full(f, "sqlite:"+path, "full",
			func() { execute(t, db, "PRAGMA max_page_count = 1") }, // it is at least what there is
			func() { execute(t, db, "PRAGMA max_page_count = 1000000") })
	})
}

func full(f *fleet, url, says string, fill, free func()) {
	f.Helper()
	fill()
	f.fail(says)
	free()
	f.goOn()
	f.prove(url)
}

// sayFull is for where no disk may be mounted: the server is told to say of each event what it says of a full disk. That
// proves nothing of Postgres, but what a ledger makes of it.
func sayFull(t *testing.T, admin *sql.DB) (fill, free func()) {
	return func() {
			execute(t, admin, "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$"+
				" BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END $$",
				"CREATE TRIGGER full_disk BEFORE INSERT ON purser_events FOR EACH ROW EXECUTE FUNCTION full_disk()")
		},
		func() { execute(t, admin, "DROP TRIGGER full_disk ON purser_events") }
}

// launchOnOne lets a fleet work on a file through one connection, which is returned too: for what can be done to a
// connection only.
func launchOnOne(t *testing.T, path string) (*sql.DB, *fleet) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(1)
	if err := sqlitestore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	s, err := sqlitestore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	makeBudgets(t, s)
	return db, launchOn(t, flushTimeout, s, s)
}
