// Package pgstore keeps budgets in Postgres, over a *sql.DB of the caller and with the driver of the caller's choice
// (the stdlib package of github.com/jackc/pgx/v5 is tested). Bun users pass the DB field of their *bun.DB. A program that
// has no database yet calls store.Open instead, which brings a driver and all settings.
//
// The server must be Postgres 14 or later with databases in UTF-8; its connections must have client_encoding=UTF8,
// standard_conforming_strings=on and synchronous_commit other than off: [New] checks it.
//
// Transactions are READ COMMITTED, and take what they change in one order, so that they rarely have to be run again. Those
// that record share a lock of the catalog's table, and a change of definitions takes it for itself alone: see
// [budget.Tx.Fence]. One in which the client says nothing for five seconds is ended by the server, since its locks keep
// others waiting. Reservations expire by the server's clock. No state of a session is used, so that a pooler such as
// PgBouncer may lend connections per transaction; the driver must not keep prepared statements on such connections then
// (for pgx: default_query_exec_mode=exec).
package pgstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/store/internal/bunstore"
)

// Options configures a Store. A nil *Options means all defaults.
type Options struct {
	// Schema is the schema of the tables: letters, digits and underscores. Defaults to "", which is where the search_path
	// of the connections leads.
	Schema string
	// Pipeline sends several statements in one round trip. Defaults to nil: each takes one.
	Pipeline Pipeline
}

// A Store is a [budget.Store] in Postgres.
type Store struct{ store *bunstore.Store }

var _ budget.Store = (*Store)(nil)

// New returns a store in db, whose schema must be up to date: see [Migrate]. The error is [budget.ErrSchema] if it is
// not, [budget.ErrSettings] if the server or the connection that was asked is not set up as the package's comment says,
// [budget.ErrUnavailable] if there is none. New changes nothing, and closing db remains the caller's.
func New(db *sql.DB, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	if err := validateSchema(o.Schema); err != nil {
		return nil, err
	}
	engine := newEngine(o.Schema)
	engine.pipeline = o.Pipeline
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	if err := tables(engine).Check(ctx, db, checkSettings); err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	return &Store{bunstore.New(engine, db, db)}, nil
}

// Update implements [budget.Store].
func (s *Store) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return s.store.Update(ctx, fn)
}

// View implements [budget.Store].
func (s *Store) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	return s.store.View(ctx, fn)
}

// WithTx returns a copy of s that is bound to tx: what it writes is committed, or not, with the caller's own writes. An
// Update is a savepoint in tx, undone if it fails, and is never run again: what tells of a lost race reaches the caller.
// A View reads what tx sees. The transaction must be READ COMMITTED. Its locks last until it ends, so that an Update is
// best the last thing before the commit, and a change of definitions never follows one that recorded. Bun users pass the
// Tx field of their bun.Tx.
func (s *Store) WithTx(tx *sql.Tx) *Store { return &Store{s.store.WithTx(tx)} }

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the SQL files that make the schema, to be applied in the order of their names, each in a transaction,
// by a migration tool of the caller's. [Migrate] does the same.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the path is well formed
	}
	return files
}

// MigrateOptions configures [Migrate]. A nil *MigrateOptions means all defaults.
type MigrateOptions struct {
	// Schema is as in [Options]. It is created if it does not exist.
	Schema string
	// ReportingZone is the IANA name of the zone of the day and month sums, for a schema that has no tables yet. Defaults
	// to "UTC".
	ReportingZone string
}

// Migrate makes the tables, or brings them up to date. It may be called by several processes at once, and again after it
// was interrupted. The error is [budget.ErrSchema] if the tables were made by a later release that this one can't work
// with, or a file that was applied has changed since.
func Migrate(ctx context.Context, db *sql.DB, o *MigrateOptions) error {
	if o == nil {
		o = &MigrateOptions{}
	}
	if err := validateSchema(o.Schema); err != nil {
		return err
	}
	if err := tables(newEngine(o.Schema)).Migrate(ctx, db, o.ReportingZone); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	return nil
}

func tables(engine *engine) *bunstore.Schema {
	return bunstore.NewSchema(engine, Migrations(), "run pgstore.Migrate")
}

// A schema's name is written into statements.
var schemaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

func validateSchema(name string) error {
	if name != "" && !schemaName.MatchString(name) {
		return invalid.Field("schema", "is %q, must be letters, digits and underscores, at most 63, and not begin with a digit", name)
	}
	return nil
}

// checkTimeout bounds what New asks the database.
const checkTimeout = 10 * time.Second

// The oldest Postgres that the statements are made for.
const oldestPostgres = 14

func checkSettings(ctx context.Context, conn *sql.Conn) error {
	var version int
	settings := make([]string, len(required))
	query := "SELECT current_setting('server_version_num')::int / 10000"
	dest := []any{&version}
	for i, setting := range required {
		query += ", current_setting('" + setting.name + "')"
		dest = append(dest, &settings[i])
	}
	if err := conn.QueryRowContext(ctx, query).Scan(dest...); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	var errs []error
	if version < oldestPostgres {
		errs = append(errs, fmt.Errorf("%w: the server is Postgres %d, must be %d or later", budget.ErrSettings, version, oldestPostgres))
	}
	for i, setting := range required {
		if (settings[i] == setting.value) == setting.refused {
			errs = append(errs, fmt.Errorf("%w: %s is %s, %s", budget.ErrSettings, setting.name, settings[i], setting.remedy))
		}
	}
	return errors.Join(errs...)
}

// required are settings that must have a value, or must not if that is refused.
var required = []struct {
	name, value string
	refused     bool
	remedy      string
}{
	{"server_encoding", "UTF8", false, "must be UTF8: create the database with ENCODING 'UTF8'"},
	{"client_encoding", "UTF8", false, "must be UTF8: set client_encoding=UTF8 in the connection string"},
	{"standard_conforming_strings", "on", false, "must be on: set standard_conforming_strings=on in the connection string"},
	{"synchronous_commit", "off", true, "must not be off, or a crash of the server loses what was recorded"},
}
