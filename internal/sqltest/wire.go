package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"
)

// A Wire stands between a pool and its driver. It shows what is sent, and fails statements as it is told to.
type Wire struct {
	driver   driver.Driver
	database string

	mu     sync.Mutex
	sent   []Statement
	fail   func(statement string) (before, after error) // nil: nothing
	opened int
}

// A Statement is what was sent to a driver.
type Statement struct {
	Text string
	Args []any
}

// Connect opens a pool through a wire.
func Connect(t *testing.T, driver, database string) (*Wire, *sql.DB) {
	t.Helper()
	db, err := sql.Open(driver, database)
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{driver: closing(t, db).Driver(), database: database}
	return w, closing(t, sql.OpenDB(w))
}

// Sent returns the statements that were sent since it was last called.
func (w *Wire) Sent() []Statement {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// Fail makes the next statement that begins with prefix fail before it is sent.
func (w *Wire) Fail(prefix string, err error) { w.failing(prefix, err, nil) }

// failing sets what fails from now on: once, the first statement that begins with prefix fails before it is sent, or
// after it was executed.
func (w *Wire) failing(prefix string, before, after error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = func(statement string) (error, error) {
		if !strings.HasPrefix(statement, prefix) {
			return nil, nil
		}
		w.fail = nil
		return before, after
	}
}

// always sets that statements that begin with prefix fail before they are sent, each as fail says.
func (w *Wire) always(prefix string, fail func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = func(statement string) (before, after error) {
		if strings.HasPrefix(statement, prefix) {
			return fail(), nil
		}
		return nil, nil
	}
}

// through lets do send a statement unless that is to fail.
func (w *Wire) through(statement string, args []driver.NamedValue, do func() error) error {
	before, after := w.failure(statement, args)
	if before != nil {
		return before
	}
	// A driver that skips has executed nothing. That is as good as if the answer were lost.
	if err := do(); err != nil && (after == nil || !errors.Is(err, driver.ErrSkip)) {
		return err
	}
	return after
}

func (w *Wire) failure(statement string, args []driver.NamedValue) (before, after error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	values := make([]any, len(args))
	for i := range args {
		values[i] = args[i].Value
	}
	w.sent = append(w.sent, Statement{statement, values})
	if w.fail == nil {
		return nil, nil
	}
	return w.fail(statement)
}

// connections returns how many were opened so far.
func (w *Wire) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened
}

// Driver is part of [driver.Connector].
func (w *Wire) Driver() driver.Driver { return w.driver }

// Connect is part of [driver.Connector].
func (w *Wire) Connect(ctx context.Context) (driver.Conn, error) {
	connector := driver.Connector(plainConnector{w})
	if d, ok := w.driver.(driver.DriverContext); ok {
		var err error
		if connector, err = d.OpenConnector(w.database); err != nil {
			return nil, err
		}
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened++
	return &wiredConn{conn, w}, nil
}

type plainConnector struct{ *Wire }

func (c plainConnector) Connect(context.Context) (driver.Conn, error) {
	return c.driver.Open(c.database)
}

type wiredConn struct {
	driver.Conn
	wire *Wire
}

func (c *wiredConn) ExecContext(ctx context.Context, statement string, args []driver.NamedValue) (result driver.Result, err error) {
	inner, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	err = c.wire.through(statement, args, func() error {
		result, err = inner.ExecContext(ctx, statement, args)
		return err
	})
	return result, err
}

func (c *wiredConn) QueryContext(ctx context.Context, statement string, args []driver.NamedValue) (rows driver.Rows, err error) {
	inner, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	err = c.wire.through(statement, args, func() error {
		rows, err = inner.QueryContext(ctx, statement, args)
		return err
	})
	if err != nil && rows != nil {
		rows.Close()
	}
	return rows, err
}

// PrepareContext is what database/sql turns to when a driver skips the others.
func (c *wiredConn) PrepareContext(ctx context.Context, statement string) (prepared driver.Stmt, err error) {
	inner, ok := c.Conn.(driver.ConnPrepareContext)
	if !ok {
		return c.Prepare(statement)
	}
	err = c.wire.through(statement, nil, func() error {
		prepared, err = inner.PrepareContext(ctx, statement)
		return err
	})
	if err != nil && prepared != nil {
		prepared.Close()
	}
	return prepared, err
}

func (c *wiredConn) CheckNamedValue(v *driver.NamedValue) error {
	if inner, ok := c.Conn.(driver.NamedValueChecker); ok {
		return inner.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *wiredConn) ResetSession(ctx context.Context) error {
	if inner, ok := c.Conn.(driver.SessionResetter); ok {
		return inner.ResetSession(ctx)
	}
	return nil
}
