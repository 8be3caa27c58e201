package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"

	sqlite3 "modernc.org/sqlite/lib"
)

// A prepared opens connections to SQLite that keep their statements prepared, as Postgres drivers do. Parsing takes a
// third of the time of what a ledger writes. database/sql has nothing for it that works on one connection of a pool.
type prepared struct {
	driver  driver.Driver
	address string
	path    string
}

func openPrepared(path, address string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", address)
	if err != nil {
		return nil, err
	}
	defer db.Close() // nothing was opened, it only knows the driver
	return sql.OpenDB(prepared{db.Driver(), address, path}), nil
}

// Driver is part of [driver.Connector].
func (p prepared) Driver() driver.Driver { return p.driver }

// Connect is part of [driver.Connector].
func (p prepared) Connect(context.Context) (driver.Conn, error) {
	conn, err := p.driver.Open(p.address)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(sqliteConn)
	if !ok {
		return nil, fmt.Errorf("a %T can't prepare statements", conn)
	}
	file, err := os.Stat(p.path)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &preparedConn{sqliteConn: inner, path: p.path, file: file, statements: make(map[string]sqliteStatement)}, nil
}

// What the driver's connections and statements can do.
type (
	sqliteConn interface {
		driver.Conn
		driver.ConnBeginTx
		driver.ConnPrepareContext
		driver.ExecerContext
		driver.Pinger
		driver.QueryerContext
		driver.SessionResetter
		driver.Validator
	}
	sqliteStatement interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
)

// A preparedConn is used by one goroutine at a time, and by one statement at a time with the same text.
type preparedConn struct {
	sqliteConn
	path       string
	file       os.FileInfo // that was opened
	readOnly   bool        // so it was then
	statements map[string]sqliteStatement
}

// ResetSession is part of [driver.SessionResetter]: the pool asks it before it lends the connection again. SQLite goes on
// writing to a file that was deleted, or replaced by another, and what it acknowledges then is lost.
func (c *preparedConn) ResetSession(ctx context.Context) error {
	if there, err := os.Stat(c.path); err != nil || !os.SameFile(c.file, there) {
		return driver.ErrBadConn
	}
	return c.sqliteConn.ResetSession(ctx)
}

// IsValid is part of [driver.Validator]. A connection to a file that could only be read when it was opened can't write to
// it later either, so that another one is to be opened.
func (c *preparedConn) IsValid() bool { return !c.readOnly && c.sqliteConn.IsValid() }

// heed takes note of what an error says of the connection.
func (c *preparedConn) heed(err error) {
	var coded interface{ Code() int }
	if errors.As(err, &coded) && coded.Code()&0xff == sqlite3.SQLITE_READONLY {
		c.readOnly = true
	}
}

const (
	// maxPrepared is how many statements a connection keeps. A ledger has some forty different ones.
	maxPrepared = 100

	// maxFixed is how long a text without arguments is that is kept. Longer ones have values in them, so that each is
	// another one; what begins and ends a transaction, say, is always the same.
	maxFixed = 40
)

// statement returns what is kept for a text; nil if it is not kept.
func (c *preparedConn) statement(ctx context.Context, text string, args []driver.NamedValue) (sqliteStatement, error) {
	if s, ok := c.statements[text]; ok || len(args) == 0 && len(text) > maxFixed || len(c.statements) == maxPrepared {
		return s, nil
	}
	statement, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s, ok := statement.(sqliteStatement)
	if !ok {
		return nil, fmt.Errorf("a %T can't be executed with a context", statement)
	}
	c.statements[text] = s
	return s, nil
}

// ExecContext is part of [driver.ExecerContext].
func (c *preparedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (_ driver.Result, err error) {
	defer func() { c.heed(err) }()
	s, err := c.statement(ctx, text, args)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.ExecContext(ctx, text, args)
	default:
		return s.ExecContext(ctx, args)
	}
}

// QueryContext is part of [driver.QueryerContext].
func (c *preparedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (_ driver.Rows, err error) {
	defer func() { c.heed(err) }()
	s, err := c.statement(ctx, text, args)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.QueryContext(ctx, text, args)
	default:
		return s.QueryContext(ctx, args)
	}
}

// Close is part of [driver.Conn]. SQLite would keep the file open as long as there are statements.
func (c *preparedConn) Close() error {
	for _, s := range c.statements {
		_ = s.Close() // what is left of an error shows at the connection's own
	}
	return c.sqliteConn.Close()
}
