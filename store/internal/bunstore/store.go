package bunstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
)

// A Store is a [budget.Store] over a database.
type Store struct {
	engine Engine
	writes *sql.DB
	reads  *sql.DB
	bun    *bun.DB       // builds statements, is never asked to send one
	bound  *sql.Tx       // the caller's transaction; nil: the store has its own
	turn   chan struct{} // holds a token while an Update runs; nil: they run side by side
}

// New returns a store that writes through one pool and reads through another, which may be the same.
func New(engine Engine, writes, reads *sql.DB) *Store {
	s := &Store{engine: engine, writes: writes, reads: reads, bun: bun.NewDB(writes, engine.Bun())}
	if engine.OneWriter() {
		s.turn = make(chan struct{}, 1)
	}
	return s
}

// WithTx returns a copy of s that is bound to tx.
func (s *Store) WithTx(tx *sql.Tx) *Store {
	bound := *s
	bound.bound = tx
	return &bound
}

// Update implements [budget.Store].
func (s *Store) Update(ctx context.Context, fn func(budget.Tx) error) error {
	if s.bound != nil {
		return s.savepoint(ctx, ReadWrite, func(r *reader) error { return fn(&tx{r}) })
	}
	if s.turn != nil {
		// Those of one process wait here, in the order in which they came. To try again and again, as those of several
		// must, would leave it to chance whose turn it is.
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-ctx.Done():
			return ended(ctx, ctx.Err())
		}
	}
	return again(ctx, func(tries int) (Class, error) {
		return s.run(ctx, tries, s.writes, ReadWrite, func(r *reader) error { return fn(s.tx(r)) })
	})
}

// View implements [budget.Store].
func (s *Store) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if s.bound != nil {
		return s.savepoint(ctx, ReadOnly, func(r *reader) error { return fn(r) })
	}
	return again(ctx, func(tries int) (Class, error) {
		return s.run(ctx, tries, s.reads, ReadOnly, func(r *reader) error { return fn(r) })
	})
}

// run runs fn in a transaction on a connection of its own.
func (s *Store) run(ctx context.Context, tries int, db *sql.DB, access Access, fn func(*reader) error) (Class, error) {
	conn, class, err := connect(ctx, s.engine, db)
	if err != nil {
		return class, err
	}
	defer conn.Close()
	r := &reader{store: s, conn: conn, access: access, tries: tries}
	committed := false
	// Deferred, so that a panic of fn ends the transaction too.
	defer func() {
		if r.begun && !committed && rollback(ctx, conn) != nil {
			discard(conn)
		}
	}()
	err = fn(r)
	if r.failed != nil {
		// What fn makes of a failed step does not matter: a step that failed may have been half done.
		return r.class, errOr(err, r.failed)
	}
	if err != nil || !r.begun || access == ReadOnly {
		return Other, err
	}
	class, err = r.commit(ctx)
	committed = err == nil
	return class, err
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// discard makes the pool throw a connection away, once it is closed: one that may still be in a transaction must not be
// met by the next user.
func discard(conn *sql.Conn) { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }

// The time that is given to a ROLLBACK: it does not depend on the caller's context, which may be what ended the work.
const rollbackTimeout = 5 * time.Second

func rollback(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	return err
}

func (r *reader) commit(ctx context.Context) (Class, error) {
	// Once COMMIT is on its way, giving up means not to know. Before, it means that nothing was stored.
	if err := ctx.Err(); err != nil {
		return Ended, err
	}
	_, err := r.conn.ExecContext(ctx, "COMMIT")
	switch class := classify(r.store.engine, err); {
	case err == nil:
		return Other, nil
	case class == Raced:
		return class, fmt.Errorf("commit: %w", err)
	default:
		return Other, fmt.Errorf("%w: commit: %w", budget.ErrOutcomeUnknown, err)
	}
}

// savepoint runs fn in a part of the caller's transaction that can be undone by itself. Also if fn only reads: Postgres
// gives a transaction up as soon as one of its statements fails.
func (s *Store) savepoint(ctx context.Context, access Access, fn func(*reader) error) (err error) {
	if _, err := s.bound.ExecContext(ctx, "SAVEPOINT purser"); err != nil {
		return fmt.Errorf("begin savepoint: %w", err)
	}
	r := &reader{store: s, conn: s.bound, access: access, begun: true}
	released := false
	defer func() {
		if released {
			return
		}
		if failure := s.undo(ctx); failure != nil {
			err = errors.Join(err, failure)
		}
	}()
	if err := fn(r); err != nil || r.failed != nil {
		return errOr(err, r.failed)
	}
	if _, err := s.bound.ExecContext(ctx, "RELEASE SAVEPOINT purser"); err != nil {
		return fmt.Errorf("release savepoint: %w", err)
	}
	released = true
	return nil
}

func (s *Store) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := s.bound.ExecContext(ctx, "ROLLBACK TO SAVEPOINT purser; RELEASE SAVEPOINT purser"); err != nil {
		return fmt.Errorf("roll back to savepoint: %w", err)
	}
	return nil
}
