package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/purser-go/purser/usage"
)

// A folder is where SQLite's files are.
type folder string

// likeOpen are the settings of the connection that store.Open writes through.
const likeOpen = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"

// place makes a file with Purser's tables. It goes with the folder.
func (f folder) place(ctx context.Context, budgets []watched, at *closers) (*place, error) {
	path := filepath.Join(string(f), usage.NewID()+".db")
	p := &place{url: "sqlite:" + path, budgets: budgets, fresh: []string{
		"DELETE FROM purser_events", "DELETE FROM purser_usage", "DELETE FROM purser_counters", "DELETE FROM purser_alerts",
		"DELETE FROM purser_reservations", "PRAGMA wal_checkpoint(TRUNCATE)",
	}}
	if err := p.migrate(ctx); err != nil {
		return nil, err
	}
	var err error
	if p.db, err = sql.Open("sqlite", "file:"+path+likeOpen); err != nil {
		return nil, err
	}
	at.add(p.db.Close)
	return p, nil
}

// A writer is one connection with the statements of a transaction prepared. Its callers take turns.
type writer struct {
	turn       sync.Mutex
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func newWriter(ctx context.Context, p *place, at *closers) (*writer, error) {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	at.add(conn.Close)
	w := &writer{conn: conn, statements: make(map[string]*sql.Stmt)}
	for _, text := range []string{"BEGIN IMMEDIATE", "COMMIT", insertEvent, addCounter, addSum, insertAlert} {
		statement, err := conn.PrepareContext(ctx, strings.ReplaceAll(text, "$", "?"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		at.add(statement.Close)
		w.statements[text] = statement
	}
	return w, nil
}

// sqliteNaiveSide has the effects of Record, in a transaction per event.
func sqliteNaiveSide(ctx context.Context, p *place, at *closers) (side, error) {
	w, err := newWriter(ctx, p, at)
	work := func(ctx context.Context, d *dealer) (int, error) {
		now := time.Now().UTC()
		changes, err := effectsOf(p.budgets, d.event(), now)
		if err != nil {
			return 0, err
		}
		return 1, w.record(ctx, changes, now)
	}
	return side{name: naive, tenants: manyTenants, work: work, stage: p.stage(allEffects)}, err
}

// record applies the effects in a transaction. An error ends the run, and the connection the transaction.
func (w *writer) record(ctx context.Context, c effects, now time.Time) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	if _, err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if n, err := w.exec(ctx, insertEvent, c.event...); err != nil || n == 0 {
		return cmp.Or(err, errTwice)
	}
	for _, counting := range c.counters {
		var after int64
		if err := w.statements[addCounter].QueryRowContext(ctx, counting.values()...).Scan(&after); err != nil {
			return err
		}
		for _, alert := range counting.crossed(after, now) {
			if _, err := w.exec(ctx, insertAlert, alert...); err != nil {
				return err
			}
		}
	}
	for _, sum := range c.sums {
		if _, err := w.exec(ctx, addSum, sum...); err != nil {
			return err
		}
	}
	_, err := w.exec(ctx, "COMMIT")
	return err
}

// exec executes one of the statements and returns how many rows it changed.
func (w *writer) exec(ctx context.Context, text string, values ...any) (int64, error) {
	result, err := w.statements[text].ExecContext(ctx, values...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
