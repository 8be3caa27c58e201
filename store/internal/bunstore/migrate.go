package bunstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
)

// A Schema is a store's tables: its migrations in ascending order.
type Schema struct {
	engine     Engine
	migrations []migration
	remedy     string // what brings a database's schema to the version of the code
}

type migration struct {
	version  int
	sql      string
	checksum string // of the file; a released file is never edited
}

// NewSchema reads migrations from files named like 0001_init.sql. Each file inserts the row of its version into
// purser_schema itself, so that it can also be applied by hand or by another tool.
func NewSchema(engine Engine, files fs.FS, remedy string) *Schema {
	s := &Schema{engine: engine, remedy: remedy}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err) // the pattern is well formed
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, numberErr := strconv.Atoi(number)
		if err := errors.Join(err, numberErr); err != nil {
			panic(fmt.Sprintf("bunstore: migration %s: %v", name, err)) // the files are embedded
		}
		sum := sha256.Sum256(text)
		s.migrations = append(s.migrations, migration{version, string(text), hex.EncodeToString(sum[:])})
	}
	return s
}

// latest returns the version that the code is made for.
func (s *Schema) latest() int { return s.migrations[len(s.migrations)-1].version }

// Migrate brings the database to the latest version, one transaction per version. Any number of processes may do so at
// once, and one that is killed leaves nothing half done. The reporting zone is set with the first version; "" is UTC.
func (s *Schema) Migrate(ctx context.Context, db *sql.DB, zone string) error {
	if err := validateZone(zone); err != nil {
		return err
	}
	var missing []migration
	err := s.atStart(ctx, db, func(conn *sql.Conn) (err error) {
		missing, err = s.missing(ctx, conn)
		return err
	})
	for _, m := range missing {
		if err == nil {
			err = s.atStart(ctx, db, func(conn *sql.Conn) error { return s.apply(ctx, conn, m, zone) })
		}
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func validateZone(zone string) error {
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		return invalid.Field("reporting_zone", "is %q, must be the name of a time zone, such as Europe/Berlin", zone)
	}
	return nil
}

// apply applies m in a transaction, unless another process has done so by now.
func (s *Schema) apply(ctx context.Context, conn *sql.Conn, m migration, zone string) error {
	committed := false
	defer func() {
		// Without an answer to it, the transaction may go on.
		if !committed && rollback(ctx, conn) != nil {
			discard(conn)
		}
	}()
	if _, err := conn.ExecContext(ctx, s.engine.BeginMigration()); err != nil {
		return err
	}
	missing, err := s.missing(ctx, conn)
	if err != nil || !slices.Contains(missing, m) {
		return err
	}
	if _, err := conn.ExecContext(ctx, m.sql); err != nil {
		return fmt.Errorf("version %d: %w", m.version, err)
	}
	if m.version == 1 && zone != "" {
		set := "UPDATE " + s.engine.Table("purser_catalog") + " SET reporting_zone = " + s.engine.Placeholder(1)
		if _, err := conn.ExecContext(ctx, set, zone); err != nil {
			return err
		}
	}
	set := "UPDATE " + s.engine.Table("purser_schema") + " SET checksum = " + s.engine.Placeholder(1) +
		" WHERE version = " + s.engine.Placeholder(2)
	if _, err := conn.ExecContext(ctx, set, m.checksum, m.version); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	committed = err == nil
	return err
}

// missing returns the migrations that the database has not had. It refuses one that the code can't work on.
func (s *Schema) missing(ctx context.Context, conn *sql.Conn) ([]migration, error) {
	applied, err := s.applied(ctx, conn)
	if err != nil {
		return nil, err
	}
	missing := slices.Clone(s.migrations)
	for _, v := range applied {
		if v.oldest > s.latest() {
			return nil, fmt.Errorf("%w: version %d of the database needs code for version %d or later, this code is for version %d: use a later release of purser",
				budget.ErrSchema, v.number, v.oldest, s.latest())
		}
		i := slices.IndexFunc(missing, func(m migration) bool { return m.version == v.number })
		if i < 0 {
			continue // of a later release
		}
		// What another tool applied has no checksum.
		if v.checksum != "" && v.checksum != missing[i].checksum {
			return nil, fmt.Errorf("%w: version %d was applied from a file with other content", budget.ErrSchema, v.number)
		}
		missing = slices.Delete(missing, i, i+1)
	}
	return missing, nil
}

// A version is one that the database has.
type version struct {
	number   int
	oldest   int // version that code may be made for to work on it
	checksum string
}

// applied returns the versions that the database has, in ascending order.
func (s *Schema) applied(ctx context.Context, conn *sql.Conn) ([]version, error) {
	var tables int
	if err := conn.QueryRowContext(ctx, s.engine.SchemaExists()).Scan(&tables); err != nil || tables == 0 {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, "SELECT version, oldest, checksum FROM "+s.engine.Table("purser_schema")+" ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var applied []version
	for rows.Next() {
		var v version
		if err := rows.Scan(&v.number, &v.oldest, &v.checksum); err != nil {
			return nil, err
		}
		applied = append(applied, v)
	}
	return applied, rows.Err()
}

// Check refuses a database that the store can't work on, for its settings or for its schema. It changes nothing.
func (s *Schema) Check(ctx context.Context, db *sql.DB, settings func(context.Context, *sql.Conn) error) error {
	return s.atStart(ctx, db, func(conn *sql.Conn) error {
		if err := settings(ctx, conn); err != nil {
			return err
		}
		missing, err := s.missing(ctx, conn)
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("%w: the database has not had version %d: %s", budget.ErrSchema, missing[0].version, s.remedy)
		}
		return err
	})
}

// atStart does on a connection what a program does when it starts. It goes on trying while others are in the way, as those
// are that start at the same time. A database that is not there is a mistake more often than a fail-over: that is said at
// once.
func (s *Schema) atStart(ctx context.Context, db *sql.DB, do func(*sql.Conn) error) error {
	return again(ctx, func(int) (Class, error) {
		conn, class, err := connect(ctx, s.engine, db)
		if err == nil {
			defer conn.Close()
			err = do(conn)
			class = classify(s.engine, err)
		}
		if class == Away {
			class = Unavailable
		}
		return class, explained(class, err)
	})
}
