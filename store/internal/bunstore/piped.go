package bunstore

import (
	"context"
	"database/sql"

	"github.com/purser-go/purser/budget"
)

// A pipedTx is a tx on a connection that can send several statements in one round trip.
type pipedTx struct {
	*tx
	piper Piper
	conn  *sql.Conn
}

var (
	_ budget.Tx       = (*pipedTx)(nil)
	_ budget.Recorder = (*pipedTx)(nil)
	_ budget.Opener   = (*pipedTx)(nil)
)

// tx returns the transaction of r, which is one of the store's own.
func (s *Store) tx(r *reader) budget.Tx {
	t := &tx{r}
	piper, ok := s.engine.(Piper)
	conn, own := r.conn.(*sql.Conn)
	if !ok || !piper.Pipes() || !own {
		return t
	}
	return &pipedTx{tx: t, piper: piper, conn: conn}
}

func (t *pipedTx) Record(ctx context.Context, version int64, events []budget.StoredEvent, w budget.Writes) (map[budget.CounterKey]budget.Counter, error) {
	t.begun = true // also if the message fails: part of it may have been executed
	after, asGuessed, err := t.piper.Record(ctx, t.conn, version, events, w.Counters, w.Usage)
	if err != nil {
		return nil, t.step(ctx, err)
	}
	if !asGuessed {
		return nil, budget.ErrGuessedWrong
	}
	return byKey(after), nil
}

func (t *pipedTx) Open(ctx context.Context, o budget.Opening) (budget.Opened, error) {
	t.begun = true // also if the message fails: part of it may have been executed
	opened, asGuessed, err := t.piper.Open(ctx, t.conn, o)
	if err != nil {
		return budget.Opened{}, t.step(ctx, err)
	}
	if !asGuessed {
		return budget.Opened{}, budget.ErrGuessedWrong
	}
	return opened, nil
}
