package bunstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/purser-go/purser/budget"
)

// A transaction is run again for so long. Fail-over to another server takes seconds.
const patience = 10 * time.Second

// A pause is how long to wait before another try: less than longest, and less than first, doubled with each try so far.
// It is random all the way down (full jitter), so that those who met once do not meet again.
type pause struct{ first, longest time.Duration }

var pauses = map[Class]pause{
	Raced: {first: time.Millisecond, longest: 20 * time.Millisecond},
	Away:  {first: 20 * time.Millisecond, longest: time.Second},
}

func (p pause) after(tries int) time.Duration {
	return rand.N(min(p.longest, p.first<<min(tries, 10)))
}

// again calls try until it fails for another reason than a lost race or a database that is away, or time is up.
func again(ctx context.Context, try func(tries int) (Class, error)) error {
	deadline := time.Now().Add(patience)
	var last error
	for tries := 0; ; tries++ {
		class, err := try(tries)
		if err != nil && last != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w (before: %w)", err, last) // the end alone does not say what took so long
		}
		p, rerun := pauses[class]
		switch {
		case err == nil:
			return nil
		case class == Ended, rerun && ctx.Err() != nil:
			return ended(ctx, err)
		case class == Unavailable:
			return fmt.Errorf("%w: %w", budget.ErrUnavailable, err)
		case !rerun:
			return err
		}
		wait := p.after(tries)
		if time.Now().Add(wait).After(deadline) {
			return fmt.Errorf("%w: gave up after %d tries: %w", budget.ErrUnavailable, tries+1, err)
		}
		if !sleep(ctx, wait) {
			return ended(ctx, err)
		}
		last = err
	}
}

// ended returns what to say of work whose context ended: that, and what stood in its way.
func ended(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", budget.ErrUnavailable, err)
	}
	return err
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// explained says in an error what callers can act on.
func explained(class Class, err error) error {
	switch class {
	case Overflow:
		return budget.ErrOverflow // the driver speaks of columns and types
	case Unprepared:
		return fmt.Errorf("%w: a pooler lends connections per transaction, so the driver must not keep prepared statements (for pgx: default_query_exec_mode=exec): %w",
			budget.ErrSettings, err)
	default:
		return err
	}
}

// connect returns a connection of the pool. What keeps it from that is a database that is away, unless the database itself
// says otherwise: drivers have many ways to say so, such as that none of several servers may be written to.
func connect(ctx context.Context, engine Engine, pool *sql.DB) (*sql.Conn, Class, error) {
	conn, err := pool.Conn(ctx)
	if err == nil {
		return conn, Other, nil
	}
	class := classify(engine, err)
	switch _, coded := engine.Classify(err); {
	case class != Other || coded:
	case err.Error() == closedPool:
		class = Unavailable // for good
	default:
		class = Away
	}
	return nil, class, fmt.Errorf("connect: %w", err)
}

// closedPool is what database/sql says of a pool that was closed. It is no error that one could compare with.
const closedPool = "sql: database is closed"

// classify says what an error means: what the engine says of the database's own errors, and whether others are of a lost
// connection. A limit of time that is not the caller's is a driver's own, for connecting.
func classify(engine Engine, err error) Class {
	if err == nil {
		return Other
	}
	if class, ok := engine.Classify(err); ok {
		return class
	}
	var network net.Error
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &network),
		errors.Is(err, context.DeadlineExceeded):
		return Away
	case errors.Is(err, context.Canceled):
		return Ended
	default:
		return Other
	}
}
