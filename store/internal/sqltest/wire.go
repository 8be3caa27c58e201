package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync"
	"testing"
)

// A wire stands between a pool and its driver. It fails statements as it is told to.
type wire struct {
	driver   driver.Driver
	database string

	mu     sync.Mutex
	fail   func(statement string) (before, after error) // nil: nothing
	opened int
}

// cut opens a pool through a wire.
func (k Kit[S]) cut(t *testing.T, database string) (*wire, *sql.DB) {
	t.Helper()
	w := &wire{driver: k.connect(t, database).Driver(), database: database}
	return w, closing(t, sql.OpenDB(w))
}

// failing sets what fails from now on: once, the first statement that begins with prefix fails before it is sent, or
// after it was executed.
func (w *wire) failing(prefix string, before, after error) {
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

// always sets that statements that begin with prefix fail before they are sent.
func (w *wire) always(prefix string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = func(statement string) (before, after error) {
		if strings.HasPrefix(statement, prefix) {
			return err, nil
		}
		return nil, nil
	}
}

// through lets do send a statement unless that is to fail.
func (w *wire) through(statement string, do func() error) error {
	before, after := w.failure(statement)
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

func (w *wire) failure(statement string) (before, after error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail == nil {
		return nil, nil
	}
	return w.fail(statement)
}

// connections returns how many were opened so far.
func (w *wire) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened
}

// Driver is part of [driver.Connector].
func (w *wire) Driver() driver.Driver { return w.driver }

// Connect is part of [driver.Connector].
func (w *wire) Connect(ctx context.Context) (driver.Conn, error) {
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

type plainConnector struct{ *wire }

func (c plainConnector) Connect(context.Context) (driver.Conn, error) {
	return c.driver.Open(c.database)
}

type wiredConn struct {
	driver.Conn
	wire *wire
}

func (c *wiredConn) ExecContext(ctx context.Context, statement string, args []driver.NamedValue) (result driver.Result, err error) {
	inner, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	err = c.wire.through(statement, func() error {
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
	err = c.wire.through(statement, func() error {
		rows, err = inner.QueryContext(ctx, statement, args)
		return err
	})
	if err != nil && rows != nil {
		rows.Close()
	}
	return rows, err
}

func (c *wiredConn) PrepareContext(ctx context.Context, statement string) (driver.Stmt, error) {
	if inner, ok := c.Conn.(driver.ConnPrepareContext); ok {
		return inner.PrepareContext(ctx, statement)
	}
	return c.Conn.Prepare(statement)
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
