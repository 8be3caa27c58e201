package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/purser-go/purser/budget"
)

// A reader is a [budget.ReadTx]. All statements of a transaction go through it, also those of its [tx].
type reader struct {
	store  *Store
	conn   Querier // a *sql.Conn, or the caller's *sql.Tx
	access Access
	tries  int // before this one
	begun  bool
	alone  bool  // one statement is all: it needs no transaction
	spent  bool  // one was sent
	failed error // of the first step that failed
	class  Class // of failed
}

var (
	_ budget.ReadTx  = (*reader)(nil)
	_ budget.Soloist = (*reader)(nil)
)

// Alone implements [budget.Soloist]. In a transaction that writes, a statement is one of others.
func (r *reader) Alone() { r.alone = r.access == ReadOnly }

// begin begins the transaction, unless it has begun. It is put off until the first statement, so that BEGIN and the
// fence are one message.
func (r *reader) begin(ctx context.Context, access Access) error {
	// Not every driver looks at it before it sends.
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.alone && r.spent {
		return errors.New("another step after the only one")
	}
	r.spent = true
	if r.alone || r.begun {
		return nil
	}
	// Also when the message fails: part of it may have been executed.
	r.begun = true
	_, err := r.conn.ExecContext(ctx, r.store.engine.Begin(access, r.tries))
	return err
}

// ExecContext executes a statement of the transaction.
func (r *reader) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := r.begin(ctx, r.access); err != nil {
		return nil, err
	}
	return r.conn.ExecContext(ctx, query, args...)
}

// QueryContext sends a query of the transaction.
func (r *reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := r.begin(ctx, r.access); err != nil {
		return nil, err
	}
	return r.conn.QueryContext(ctx, query, args...)
}

// step notes the error of a step, if there is one, and says what it means.
func (r *reader) step(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	class := classify(r.store.engine, err)
	if cause := ctx.Err(); cause != nil {
		class = Ended // it may be a context of fn's own
		if !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}
	err = explained(class, err)
	if r.failed == nil {
		r.failed, r.class = err, class
	}
	return err
}

// A binding is a query that Bun writes with placeholders, its arguments kept beside it. It is what Bun sends the query
// through.
type binding struct {
	*reader
	args []any
}

var _ bun.IConn = (*binding)(nil)

func (r *reader) bind() *binding { return &binding{reader: r} }

// arg returns what Bun writes as a placeholder for value.
func (b *binding) arg(value any) schema.QueryAppender { return argument{b, value} }

// all is arg for several values. Of none, it is nil: of an empty slice Bun would print a warning.
func (b *binding) all(values []any) (args []any) {
	for _, value := range values {
		args = append(args, b.arg(value))
	}
	return args
}

// QueryContext sends the query with the arguments that were bound.
func (b *binding) QueryContext(ctx context.Context, query string, _ ...any) (*sql.Rows, error) {
	return b.reader.QueryContext(ctx, query, b.args...)
}

// QueryRowContext is there for [bun.IConn]; no query goes through it.
func (b *binding) QueryRowContext(context.Context, string, ...any) *sql.Row {
	panic("bunstore: a query for one row")
}

// from starts a query of rows of one table, whose columns Bun knows by the type of dest, a pointer to a slice.
func (b *binding) from(table string, dest any) *bun.SelectQuery {
	return b.store.bun.NewSelect().Conn(b).Model(dest).ModelTableExpr(b.store.engine.Table(table) + " AS t")
}

// in restricts a query to rows whose columns, a comma-separated list, are one of the tuples given.
func (b *binding) in(q *bun.SelectQuery, columns string, types []Type, tuples [][]any) *bun.SelectQuery {
	list, args := b.store.engine.List(types, tuples)
	if strings.Contains(columns, ",") {
		columns = "(" + columns + ")"
	}
	return q.Where(columns+" IN ("+list+")", b.all(args)...)
}

// among is in for one column of texts. Without a list, nothing is restricted.
func (b *binding) among(q *bun.SelectQuery, column string, values []string) *bun.SelectQuery {
	if values == nil {
		return q
	}
	tuples := make([][]any, len(values))
	for i, value := range values {
		tuples[i] = []any{value}
	}
	return b.in(q, column, []Type{Text}, tuples)
}

// An argument writes itself as a placeholder.
type argument struct {
	binding *binding
	value   any
}

func (a argument) AppendQuery(_ schema.QueryGen, text []byte) ([]byte, error) {
	a.binding.args = append(a.binding.args, a.value)
	return append(text, a.binding.store.engine.Placeholder(len(a.binding.args))...), nil
}
