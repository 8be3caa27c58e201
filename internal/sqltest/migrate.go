package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
)

func (k Kit[S]) migrations(t *testing.T) {
	t.Run("sixteen at once on an empty database all succeed", k.atOnce)
	t.Run("one that was cut off is run again", k.cutOff)
	t.Run("twice is once", k.twice)
	t.Run("New refuses a database without tables", k.noTables)
	t.Run("an older schema is refused until it is migrated", k.older)
	t.Run("a newer schema is taken if it says so", k.newerFit)
	t.Run("a newer schema is refused unless it says so", k.newerUnfit)
	t.Run("a file that changed since it was applied is refused", k.changed)
	t.Run("what another tool applied is taken", k.otherTool)
}

func (k Kit[S]) atOnce(t *testing.T) {
	database := k.Database(t)
	var group sync.WaitGroup
	for range 16 {
		db := k.connect(t, database)
		group.Go(func() {
			if err := k.Migrate(t.Context(), db); err != nil {
				t.Errorf("Migrate: %v", err)
			}
		})
	}
	group.Wait()
	k.works(t, k.connect(t, database))
}

// works fails t unless a store in db records.
func (k Kit[S]) works(t *testing.T, db *sql.DB) {
	t.Helper()
	s := k.over(t, db)
	err := s.Update(t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(t.Context(), budget.Shared); err != nil {
			return err
		}
		_, err := tx.LockCounters(t.Context(), []budget.CounterKey{{Budget: "b"}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (k Kit[S]) cutOff(t *testing.T) {
	database := k.Database(t)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(20*time.Millisecond))
		_ = k.Migrate(ctx, k.connect(t, database)) // what it comes to depends on where it is cut off
		cancel()
	}
	db := k.connect(t, database)
	k.migrate(t, db)
	k.works(t, db)
}

func (k Kit[S]) twice(t *testing.T) {
	db := k.connect(t, k.migrated(t))
	k.works(t, db)
	k.migrate(t, db)
	k.works(t, db)
}

func (k Kit[S]) noTables(t *testing.T) {
	_, err := k.New(k.connect(t, k.Database(t)))
	refused(t, err)
}

func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, budget.ErrSchema) {
		t.Errorf("got error %v, want ErrSchema", err)
	}
}

func (k Kit[S]) older(t *testing.T) {
	db := k.connect(t, k.migrated(t))
	execute(t, db, "DELETE FROM purser_schema")
	_, err := k.New(db)
	refused(t, err)
}

func (k Kit[S]) newerFit(t *testing.T) {
	db := k.connect(t, k.migrated(t))
	execute(t, db, "INSERT INTO purser_schema (version, oldest, checksum) VALUES (1000, 1, 'of a later file')")
	k.migrate(t, db)
	k.works(t, db)
}

func (k Kit[S]) newerUnfit(t *testing.T) {
	db := k.connect(t, k.migrated(t))
	execute(t, db, "INSERT INTO purser_schema (version, oldest, checksum) VALUES (1000, 1000, 'of a later file')")
	_, err := k.New(db)
	refused(t, err)
	refused(t, k.Migrate(t.Context(), db))
}

func (k Kit[S]) changed(t *testing.T) {
	db := k.connect(t, k.migrated(t))
	execute(t, db, "UPDATE purser_schema SET checksum = 'of another file' WHERE version = 1")
	refused(t, k.Migrate(t.Context(), db))
}

func (k Kit[S]) otherTool(t *testing.T) {
	db := k.connect(t, k.migrated(t))
	execute(t, db, "UPDATE purser_schema SET checksum = ''")
	k.migrate(t, db)
	k.works(t, db)
}
