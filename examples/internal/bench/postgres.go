package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/purser-go/purser/internal/pgtest"
)

// serverSettings are those of the servers that are started here: durable, and large enough not to be busy with
// checkpoints. The others are Postgres' own.
var serverSettings = []pgtest.Setting{pgtest.Durable, "shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=30min"}

// mostConnections is how many connections a reference has at the most. More make Postgres slower, not faster.
const mostConnections = 100

// A server is a durable Postgres.
type server struct {
	url string
	db  *sql.DB
	own *pgtest.Server // nil: somebody else's
}

// launch starts a throw-away server.
func launch(ctx context.Context) (*server, error) {
	own, err := pgtest.Launch(serverSettings...)
	if err != nil {
		return nil, err
	}
	s, err := connect(ctx, own.URL())
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	s.own = own
	return s, nil
}

// named returns the server that the environment names, or nil.
func named(ctx context.Context) (*server, error) {
	address := os.Getenv(pgtest.ServerVariable)
	if address == "" {
		return nil, nil
	}
	return connect(ctx, address)
}

func connect(ctx context.Context, address string) (*server, error) {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return nil, err
	}
	s := &server{url: address, db: db}
	return s, s.requireDurable(ctx)
}

// requireDurable refuses a server that does not flush its commits to a disk: there would be nothing to measure.
func (s *server) requireDurable(ctx context.Context) error {
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if value, err := s.show(ctx, setting); err != nil || value != "on" {
			return errors.Join(fmt.Errorf("%s of the Postgres server is %q, must be on", setting, value), err)
		}
	}
	dir, err := s.show(ctx, "data_directory")
	if err == nil && fileSystem(dir) == "tmpfs" {
		err = fmt.Errorf("the server's files are in memory: set TMPDIR to a folder on a disk")
	}
	return err
}

func (s *server) show(ctx context.Context, setting string) (value string, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT current_setting($1)", setting).Scan(&value)
	return value, err
}

func (s *server) close() error {
	err := s.db.Close()
	if s.own != nil {
		err = errors.Join(err, s.own.Close())
	}
	return err
}

// place makes a schema with Purser's tables, which goes at the end.
func (s *server) place(ctx context.Context, budgets []watched, at *closers) (*place, error) {
	schema := "bench_" + strings.ToLower(rand.Text()[:12])
	if _, err := s.db.ExecContext(ctx, "CREATE SCHEMA "+schema); err != nil {
		return nil, err
	}
	at.add(func() error {
		// Not with ctx, which may be what ended the run.
		_, err := s.db.Exec("DROP SCHEMA " + schema + " CASCADE")
		return err
	})
	p := &place{url: inSchema(s.url, schema), schema: schema, budgets: budgets, fresh: []string{
		"TRUNCATE purser_events, purser_usage, purser_counters, purser_alerts",
		// Its file keeps its size, as it does where reservations come and go.
		"DELETE FROM purser_reservations", "VACUUM purser_reservations",
		"CHECKPOINT",
	}}
	var err error
	if p.db, err = sql.Open("pgx", p.url); err != nil {
		return nil, err
	}
	at.add(p.db.Close)
	return p, p.migrate(ctx)
}

func inSchema(address, schema string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // which store.Open refuses
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

// pool opens connections to a place, one per caller where the server allows it: all at once, so that no turn waits for one.
// pgx prepares each statement once per connection.
func (s *server) pool(ctx context.Context, p *place, callers int, at *closers) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(p.url)
	if err != nil {
		return nil, err
	}
	var most int32
	// Half of what there is, for there may be two references at a time, after some for Purser and for auditing.
	if err := s.db.QueryRowContext(ctx, "SELECT (current_setting('max_connections')::int - 40) / 2").Scan(&most); err != nil {
		return nil, err
	}
	config.MaxConns = max(1, min(most, mostConnections, int32(callers)))
	config.MinConns = config.MaxConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	at.add(func() error {
		pool.Close()
		return nil
	})
	return pool, nil
}

// insertSide inserts one event row, in a transaction of its own.
func (s *server) insertSide(callers int) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		pool, err := s.pool(ctx, p, callers, at)
		work := func(ctx context.Context, d *dealer) (int, error) { return 1, insertOne(ctx, pool, d) }
		return side{name: insert, tenants: manyTenants, work: work, stage: p.stage(onlyEvents)}, err
	}
}

func insertOne(ctx context.Context, pool *pgxpool.Pool, d *dealer) error {
	e := d.event()
	totals, err := e.Totals()
	if err != nil {
		return err
	}
	_, err = pool.Exec(ctx, insertEvent, eventRow(e, totals, time.Now())...)
	return err
}

// naiveSide has the effects of Record, statement by statement.
func (s *server) naiveSide(callers int) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		pool, err := s.pool(ctx, p, callers, at)
		work := func(ctx context.Context, d *dealer) (int, error) {
			now := time.Now().UTC()
			changes, err := effectsOf(p.budgets, d.event(), now)
			if err != nil {
				return 0, err
			}
			return 1, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return changes.apply(ctx, tx, now) })
		}
		return side{name: naive, tenants: manyTenants, work: work, stage: p.stage(allEffects)}, err
	}
}

func (c effects) apply(ctx context.Context, tx pgx.Tx, now time.Time) error {
	if tag, err := tx.Exec(ctx, insertEvent, c.event...); err != nil || tag.RowsAffected() == 0 {
		return cmp.Or(err, errTwice)
	}
	for _, counting := range c.counters {
		var after int64
		if err := tx.QueryRow(ctx, addCounter, counting.values()...).Scan(&after); err != nil {
			return err
		}
		for _, alert := range counting.crossed(after, now) {
			if _, err := tx.Exec(ctx, insertAlert, alert...); err != nil {
				return err
			}
		}
	}
	for _, sum := range c.sums {
		if _, err := tx.Exec(ctx, addSum, sum...); err != nil {
			return err
		}
	}
	return nil
}

// errTwice says that an id was taken, which makes no sense where every id is new.
var errTwice = errors.New("an event was stored before")

// copySide copies the rows of a batch into the table of events.
func (s *server) copySide(ctx context.Context, p *place, at *closers) (side, error) {
	pool, err := s.pool(ctx, p, 1, at)
	work := func(ctx context.Context, d *dealer) (int, error) {
		rows := make([][]any, batchSize)
		now := time.Now()
		for i := range rows {
			e := d.event()
			totals, err := e.Totals()
			if err != nil {
				return 0, err
			}
			rows[i] = eventRow(e, totals, now)
		}
		n, err := pool.CopyFrom(ctx, pgx.Identifier{"purser_events"}, eventColumns, pgx.CopyFromRows(rows))
		return int(n), err
	}
	return side{name: copied, tenants: manyTenants, work: work, stage: p.stage(onlyEvents)}, err
}

// sumSide inserts an event and sums its tenant's month up.
func (s *server) sumSide(ctx context.Context, p *place, at *closers) (side, error) {
	pool, err := s.pool(ctx, p, 1, at)
	work := func(ctx context.Context, d *dealer) (int, error) {
		if err := insertOne(ctx, pool, d); err != nil {
			return 0, err
		}
		_, err := sumUp(ctx, pool)
		return 1, err
	}
	return side{name: sum, tenants: oneTenant, work: work, stage: p.stage(onlyEvents)}, err
}
