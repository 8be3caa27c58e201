package sqlitestoretest

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/sqlitestore"
)

func TestUnsuitableSettingsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pragmas string
		names   []string // of settings, in the message
	}{
		{"all as they must be", "journal_mode(WAL) synchronous(FULL) foreign_keys(1)", nil},
		{"more than must be", "journal_mode(WAL) synchronous(EXTRA) foreign_keys(1)", nil},
		{"no WAL", "journal_mode(DELETE) synchronous(FULL) foreign_keys(1)", []string{"journal_mode=WAL"}},
		{"commits that are not flushed", "journal_mode(WAL) synchronous(NORMAL) foreign_keys(1)", []string{"synchronous=FULL"}},
		{"no foreign keys", "journal_mode(WAL) synchronous(FULL) foreign_keys(0)", []string{"foreign_keys=on"}},
		{"nothing set", "", []string{"journal_mode=WAL", "foreign_keys=on"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := withPragmas(t, tt.pragmas)
			if err := sqlitestore.Migrate(t.Context(), db, nil); err != nil {
				t.Fatal(err)
			}
			_, err := sqlitestore.New(db, nil)
			if refused := errors.Is(err, budget.ErrSettings); refused != (tt.names != nil) {
				t.Fatalf("got error %v", err)
			}
			for _, name := range tt.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("message %q does not say %s", err, name)
				}
			}
		})
	}
}

func withPragmas(t *testing.T, pragmas string) *sql.DB {
	t.Helper()
	address := "file:" + filepath.Join(t.TempDir(), "purser.db") + "?"
	for _, pragma := range strings.Fields(pragmas) {
		address += "_pragma=" + pragma + "&"
	}
	db, err := sql.Open("sqlite", address)
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
