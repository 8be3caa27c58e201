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
	for _, m := range s.migrations {
		if err := s.atStart(ctx, func() error { return s.apply(ctx, db, m, zone) }); err != nil {
			return fmt.Errorf("migrate to version %d: %w", m.version, err)
		}
	}
	return nil
}

func validateZone(zone string) error {
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		return invalid.Field("reporting_zone", "is %q, must be the name of a time zone, such as Europe/Berlin", zone)
	}
	return nil
}

func (s *Schema) apply(ctx context.Context, db *sql.DB, m migration, zone string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	committed := false
	defer func() { release(conn, committed || rollback(ctx, conn) == nil) }()
	if _, err := conn.ExecContext(ctx, s.engine.BeginMigration()); err != nil {
		return err
	}
	if err := s.step(ctx, conn, m, zone); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	committed = err == nil
	return err
}

// step applies m unless the database has it.
func (s *Schema) step(ctx context.Context, conn *sql.Conn, m migration, zone string) error {
	applied, err := s.applied(ctx, conn)
	if err != nil {
		return err
	}
	if err := s.newer(applied); err != nil {
		return err
	}
	if i := slices.IndexFunc(applied, func(v version) bool { return v.number == m.version }); i >= 0 {
		return m.same(applied[i])
	}
	if _, err := conn.ExecContext(ctx, m.sql); err != nil {
		return err
	}
	if m.version == 1 && zone != "" {
		set := "UPDATE " + s.engine.Table("purser_catalog") + " SET reporting_zone = " + s.engine.Placeholder(1)
		if _, err := conn.ExecContext(ctx, set, zone); err != nil {
			return err
		}
	}
	sum := "UPDATE " + s.engine.Table("purser_schema") + " SET checksum = " + s.engine.Placeholder(1) +
		" WHERE version = " + s.engine.Placeholder(2)
	_, err = conn.ExecContext(ctx, sum, m.checksum, m.version)
	return err
}

// same compares a migration with what the database says was applied. One that another tool applied has no checksum.
func (m migration) same(v version) error {
	if v.checksum != "" && v.checksum != m.checksum {
		return fmt.Errorf("%w: version %d was applied from a file with other content", budget.ErrSchema, m.version)
	}
	return nil
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

// newer refuses a schema that later code has made unfit for this one.
func (s *Schema) newer(applied []version) error {
	if len(applied) == 0 {
		return nil
	}
	if v := applied[len(applied)-1]; v.oldest > s.latest() {
		return fmt.Errorf("%w %d of the database needs code for version %d or later, this code is for version %d: use a later release of purser",
			budget.ErrSchema, v.number, v.oldest, s.latest())
	}
	return nil
}

func (s *Schema) check(ctx context.Context, conn *sql.Conn) error {
	applied, err := s.applied(ctx, conn)
	if err != nil {
		return err
	}
	if len(applied) == 0 {
		return fmt.Errorf("%w: the database has no tables of purser: %s", budget.ErrSchema, s.remedy)
	}
	if v := applied[len(applied)-1]; v.number < s.latest() {
		return fmt.Errorf("%w %d of the database is older than this code's, which is %d: %s", budget.ErrSchema, v.number, s.latest(), s.remedy)
	}
	return s.newer(applied)
}

// Check refuses a database that the store can't work on, for its settings or for its schema. It changes nothing.
func (s *Schema) Check(ctx context.Context, db *sql.DB, settings func(context.Context, *sql.Conn) error) error {
	return s.atStart(ctx, func() error {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := settings(ctx, conn); err != nil {
			return err
		}
		return s.check(ctx, conn)
	})
}

// atStart runs what a program does when it starts. It goes on trying while others are in the way, as those are that start
// at the same time. A database that is not there is a mistake more often than a fail-over: that is said at once.
func (s *Schema) atStart(ctx context.Context, try func() error) error {
	return again(ctx, func() (Class, error) {
		err := try()
		class := classify(s.engine, err)
		if class == Away {
			class = Unavailable
		}
		return class, err
	})
}
