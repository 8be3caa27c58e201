package sqlitestoretest

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/store/sqlitestore"
	"github.com/purser-go/purser/store/storetest"
)

func TestMain(m *testing.M) { leak.VerifyTestMain(m) }

const settings = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"

// Errors with a result code, as three drivers have them.
type (
	codeMethod int // modernc.org/sqlite

	namedMethod struct{ code namedCode } // github.com/ncruces/go-sqlite3
	namedCode   uint16

	codeField struct{ ExtendedCode fieldCode } // github.com/mattn/go-sqlite3
	fieldCode int
)

func (c codeMethod) Error() string            { return fmt.Sprintf("result code %d", int(c)) }
func (c codeMethod) Code() int                { return int(c) }
func (e namedMethod) Error() string           { return e.code.Error() }
func (e namedMethod) ExtendedCode() namedCode { return e.code }
func (c namedCode) Error() string             { return fmt.Sprintf("result code %d", uint16(c)) }
func (c namedCode) Code() uint8               { return uint8(c) }
func (c codeField) Error() string             { return fmt.Sprintf("result code %d", c.ExtendedCode) }

func codes(codes ...int) []error {
	var errs []error
	for _, code := range codes {
		errs = append(errs, codeMethod(code), namedMethod{namedCode(code)}, namedCode(code), codeField{fieldCode(code)}, &codeField{fieldCode(code)})
	}
	return errs
}

func TestStore(t *testing.T) {
	sqltest.Kit[*sqlitestore.Store]{
		Driver: "sqlite",
		Database: func(t *testing.T) string {
			return "file:" + filepath.Join(t.TempDir(), "purser.db") + settings
		},
		Migrate: func(ctx context.Context, db *sql.DB) error { return sqlitestore.Migrate(ctx, db, nil) },
		New:     func(db *sql.DB) (*sqlitestore.Store, error) { return sqlitestore.New(db, nil) },
		WithTx:  (*sqlitestore.Store).WithTx,
		Adds:    "INSERT INTO purser_counters",
		// BUSY, LOCKED, BUSY_RECOVERY, BUSY_SNAPSHOT, LOCKED_SHAREDCACHE
		Rerun: codes(5, 6, 261, 517, 262),
		// CANTOPEN, READONLY, READONLY_DBMOVED, FULL, IOERR_WRITE
		Unavailable: codes(14, 8, 1032, 13, 778),
		// ERROR, CORRUPT, CONSTRAINT_UNIQUE, NOTADB
		Final: codes(1, 11, 2067, 26),
	}.Run(t)
}

// The store that Open returns has one connection that writes, and others that read.
func TestOpenedStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) budget.Store {
		s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "purser.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

// The rules of what a store may be able to do hold also for one that is not. This one is.
func TestOneStatementNeedsNoTransaction(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "purser.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.View(t.Context(), func(r budget.ReadTx) error {
		if _, can := r.(budget.Soloist); !can {
			t.Errorf("a %T is no Soloist", r)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
