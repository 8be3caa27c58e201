package sqltest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/purser-go/purser/budget"
)

func (k Kit[S]) failures(t *testing.T) {
	t.Run("COMMIT without an answer is an unknown outcome and is not run again", k.commitUnanswered)
	t.Run("COMMIT that is not sent is an unknown outcome and is not run again", k.commitUnsent)
	t.Run("COMMIT that lost a race is run again", k.commitRaced)
	t.Run("a connection that is lost before COMMIT is replaced and all is run again", k.connectionLost)
	t.Run("a connection that is lost at BEGIN is replaced and all is run again", k.beginLost)
	t.Run("a connection whose ROLLBACK fails is thrown away", k.rollbackLost)
	t.Run("a view whose connection is lost is run again", k.viewLost)
	t.Run("a database that stays away is unavailable once the context ends", k.stayingAway)
	t.Run("a step whose own context ends is not run again", k.stepEnded)
	t.Run("after a lost race or connection all is run again", k.rerun)
	t.Run("what makes the database unavailable is told at once", k.unavailable)
	t.Run("any other error is returned as it is", k.final)
	t.Run("a migration whose COMMIT is not answered is completed by another run", k.migrationUnanswered)
}

var errLost = io.ErrUnexpectedEOF // what a driver says of a connection that was lost

// A trial is a store behind a wire, and how often its transactions ran.
type trial struct {
	*testing.T
	wire  *Wire
	store budget.Store
	runs  int
}

func (k Kit[S]) trial(t *testing.T) *trial {
	t.Helper()
	w, db := Connect(t, k.Driver, k.migrated(t))
	db.SetMaxOpenConns(1)
	return &trial{T: t, wire: w, store: k.over(t, db)}
}

// add adds 1 to a counter.
func (t *trial) add() error {
	return t.store.Update(t.Context(), func(tx budget.Tx) error {
		t.runs++
		if err := tx.Fence(t.Context(), budget.Shared); err != nil {
			return err
		}
		one := budget.Counter{CounterKey: budget.CounterKey{Budget: "b"}, Tally: budget.Tally{Recorded: 1}}
		_, err := tx.Apply(t.Context(), budget.Writes{Counters: []budget.Counter{one}})
		return err
	})
}

// expect compares how often transactions ran so far, and what the counter shows.
func (t *trial) expect(runs int, recorded int64) {
	t.Helper()
	if t.runs != runs {
		t.Errorf("fn ran %d times, want %d", t.runs, runs)
	}
	if got := t.recorded(); got != recorded {
		t.Errorf("recorded is %d, want %d", got, recorded)
	}
}

func (t *trial) recorded() (sum int64) {
	t.Helper()
	err := t.store.View(t.Context(), func(tx budget.ReadTx) error {
		counters, err := tx.Counters(t.Context(), budget.CounterQuery{})
		sum = 0
		for _, c := range counters {
			sum += c.Recorded
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func (t *trial) is(err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// replaced fails t unless more connections were opened than before.
func (t *trial) replaced(before int) {
	t.Helper()
	if t.wire.connections() == before {
		t.Error("the connection was used again")
	}
}

func (k Kit[S]) commitUnanswered(tt *testing.T) {
	t := k.trial(tt)
	t.wire.failing("COMMIT", nil, errLost)
	t.is(t.add(), budget.ErrOutcomeUnknown)
	t.expect(1, 1)
	t.is(t.add(), nil)
	t.expect(2, 2)
}

func (k Kit[S]) commitUnsent(tt *testing.T) {
	t := k.trial(tt)
	t.wire.failing("COMMIT", errLost, nil)
	t.is(t.add(), budget.ErrOutcomeUnknown)
	t.expect(1, 0)
	t.is(t.add(), nil)
	t.expect(2, 1)
}

func (k Kit[S]) commitRaced(tt *testing.T) {
	t := k.trial(tt)
	t.wire.failing("COMMIT", k.Rerun[0], nil)
	t.is(t.add(), nil)
	t.expect(2, 1)
}

func (k Kit[S]) connectionLost(tt *testing.T) {
	t := k.trial(tt)
	for i, failure := range [][2]error{{errLost, nil}, {nil, errLost}} {
		t.wire.failing(k.Adds, failure[0], failure[1])
		t.is(t.add(), nil)
		t.expect(2*(i+1), int64(i+1))
	}
}

func (k Kit[S]) beginLost(tt *testing.T) {
	t := k.trial(tt)
	t.wire.failing("BEGIN", errLost, nil)
	t.is(t.add(), nil)
	t.wire.failing("BEGIN", nil, errLost)
	t.is(t.add(), nil)
	t.expect(4, 2)
}

func (k Kit[S]) rollbackLost(tt *testing.T) {
	t := k.trial(tt)
	before := t.wire.connections()
	t.wire.failing("ROLLBACK", errLost, nil)
	refusal := errors.New("refused")
	t.is(t.store.Update(t.Context(), func(tx budget.Tx) error {
		return errors.Join(tx.Fence(t.Context(), budget.Shared), refusal)
	}), refusal)
	t.is(t.add(), nil)
	t.expect(1, 1)
	t.replaced(before)
}

func (k Kit[S]) viewLost(tt *testing.T) {
	t := k.trial(tt)
	t.is(t.add(), nil)
	t.wire.failing("SELECT", errLost, nil)
	t.expect(1, 1)
}

func (k Kit[S]) stayingAway(tt *testing.T) {
	t := k.trial(tt)
	ctx := &limited{t.Context(), make(chan struct{})}
	tries := 0
	t.wire.always("BEGIN", func() error {
		if tries++; tries == 3 {
			close(ctx.up)
		}
		return errLost
	})
	err := t.store.Update(ctx, func(tx budget.Tx) error { return tx.Fence(ctx, budget.Shared) })
	t.is(err, budget.ErrUnavailable)
	t.is(err, context.DeadlineExceeded)
	t.is(err, errLost)
}

// A limited context is one whose time is up when a test says so, however long the machine takes to come there.
type limited struct {
	context.Context
	up chan struct{}
}

func (l *limited) Done() <-chan struct{} { return l.up }

func (l *limited) Err() error {
	select {
	case <-l.up:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func (k Kit[S]) stepEnded(tt *testing.T) {
	t := k.trial(tt)
	for _, end := range []func() (context.Context, context.CancelFunc){
		func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) },
		func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), 0) },
	} {
		t.runs = 0
		own, cancel := end()
		cancel()
		err := t.store.Update(t.Context(), func(tx budget.Tx) error {
			t.runs++
			return tx.Fence(own, budget.Shared)
		})
		t.is(err, own.Err())
		t.expect(1, 0)
	}
}

func (k Kit[S]) rerun(tt *testing.T) {
	t := k.trial(tt)
	for i, failure := range k.Rerun {
		t.wire.failing(k.Adds, failure, nil)
		t.is(t.add(), nil)
		t.expect(2*(i+1), int64(i+1))
	}
}

func (k Kit[S]) unavailable(tt *testing.T) {
	t := k.trial(tt)
	for i, failure := range k.Unavailable {
		t.wire.failing(k.Adds, failure, nil)
		err := t.add()
		t.is(err, budget.ErrUnavailable)
		t.is(err, failure)
		t.expect(i+1, 0)
	}
}

func (k Kit[S]) final(tt *testing.T) {
	t := k.trial(tt)
	for i, failure := range k.Final {
		t.wire.failing(k.Adds, failure, nil)
		err := t.add()
		t.is(err, failure)
		if errors.Is(err, budget.ErrUnavailable) {
			t.Errorf("got error %v, which is not about availability", err)
		}
		t.expect(i+1, 0)
	}
}

func (k Kit[S]) migrationUnanswered(t *testing.T) {
	w, db := Connect(t, k.Driver, k.Database(t))
	w.failing("COMMIT", nil, errLost)
	if err := k.Migrate(t.Context(), db); !errors.Is(err, budget.ErrUnavailable) {
		t.Errorf("Migrate: got error %v, want ErrUnavailable", err)
	}
	k.migrate(t, db)
	k.works(t, db)
}
