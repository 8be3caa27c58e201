package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
)

const (
	// moment is how long a test watches something that must not happen. A store that is slower passes where it should
	// not; none fails that should pass.
	moment = 50 * time.Millisecond

	// others is how many transactions come and go that need not wait, while one is watched that should. A machine that is
	// busy with other things, or stands still, keeps them too.
	others = 20

	// patience is how long a test waits for something that must happen.
	patience = 30 * time.Second
)

// turns returns how often a test does something that goes wrong only now and then.
func turns(n int) int {
	switch {
	case os.Getenv("PURSER_SOAK") != "":
		return 20 * n
	case testing.Short():
		return max(1, n/5)
	default:
		return n
	}
}

// together runs do so many times in each of so many goroutines, all within the test's patience for the usual number of
// turns, so that transactions which wait for each other until a database notices are too slow.
func (t *test) together(workers, times int, do func(ctx context.Context, worker, turn int) error) {
	t.Helper()
	n := turns(times)
	ctx, cancel := context.WithTimeout(t.Context(), patience*time.Duration(max(1, n/times)))
	defer cancel()
	errs := make([]error, workers)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for turn := 0; turn < n && errs[worker] == nil; turn++ {
				errs[worker] = do(ctx, worker, turn)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%d goroutines, %d turns each: %v", workers, n, head(err.Error()))
	}
}

// start runs an Update in a goroutine. What it returns goes to the channel.
func (t *test) start(fn func(tx budget.Tx) error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- t.store.Update(t.Context(), fn) }()
	return done
}

// waits reports a breach of rule if something that was started ends although it should wait.
func waits(t *test, rule string, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("not so: %s: it did not wait; error is %v", rule, err)
	case <-time.After(moment):
	}
}

// startUntilItWaits runs an Update that leaves nothing, again until it finds that it should wait: what it waits for has been
// started and may take a while. It reports a breach of rule if it never waits.
func (t *test) startUntilItWaits(rule string, fn func(tx budget.Tx) error) <-chan error {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; {
		entered := make(chan struct{}, 1)
		done := t.start(func(tx budget.Tx) error {
			offer(entered)
			return errors.Join(fn(tx), errRolledBack)
		})
		var err error
		select {
		case <-entered: // it has a connection, which may have taken a while
			if !t.outlasted(done) {
				return done
			}
			err = <-done
		case err = <-done: // at once, or without fn
		case <-time.After(patience):
			t.Fatalf("Update: fn was not called for %v", patience)
		}
		if !errors.Is(err, errRolledBack) {
			t.Fatalf("Update: error is %v, want %v", err, errRolledBack)
		}
	}
	t.Fatalf("not so: %s: it did not wait for %v", rule, patience)
	return nil
}

// outlasted reports whether others that need not wait outlast something that was started.
func (t *test) outlasted(done <-chan error) bool {
	t.Helper()
	for range others {
		err := t.store.Update(t.Context(), func(tx budget.Tx) error {
			_, err := insert(t.Context(), tx, event("other", "1"))
			return errors.Join(err, errRolledBack)
		})
		fails(t, "one that takes what nobody else does need not wait", errRolledBack, err)
		<-time.After(moment / 5)
		if len(done) > 0 {
			return true
		}
	}
	return false
}

// ends reports a breach of rule unless something that was started ends without an error.
func ends(t *test, rule string, done <-chan error) {
	t.Helper()
	if err := result(t, rule, done); err != nil {
		t.Fatalf("not so: %s: %v", rule, err)
	}
}

// result returns the error of something that was started. It reports a breach of rule if that does not end.
func result(t *test, rule string, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("not so: %s: still waiting after %v", rule, patience)
		return nil
	}
}

// A held transaction has taken its steps and stays open.
type held struct {
	test    *test
	release chan struct{}
	outcome error // what fn returns once it is released
	done    <-chan error
}

// hold starts an Update that takes the steps of fn and stays open until it is ended.
func (t *test) hold(fn func(tx budget.Tx) error) *held {
	t.Helper()
	h := &held{test: t, release: make(chan struct{})}
	entered := make(chan struct{})
	var once sync.Once // fn may run again
	h.done = t.start(func(tx budget.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		once.Do(func() { close(entered) })
		select {
		case <-h.release:
			return h.outcome
		case <-t.Context().Done():
			return t.Context().Err()
		}
	})
	select {
	case <-entered:
	case err := <-h.done:
		t.Fatalf("Update: %v", err)
	case <-time.After(patience):
		t.Fatalf("Update: its steps took more than %v", patience)
	}
	return h
}

// commit and rollBack end the transaction.
func (h *held) commit() { h.test.Helper(); h.end(nil) }

func (h *held) rollBack() { h.test.Helper(); h.end(errRolledBack) }

var errRolledBack = errors.New("rolled back")

func (h *held) end(outcome error) {
	h.test.Helper()
	h.outcome = outcome
	close(h.release)
	if err := result(h.test, "a transaction ends when fn does", h.done); !errors.Is(err, outcome) {
		h.test.Fatalf("Update: error is %v, want %v", err, outcome)
	}
}

// A meeting is where two transactions wait for each other for a moment: one that takes the store for itself meets nobody.
type meeting struct{ here [2]chan struct{} }

func newMeeting() meeting {
	return meeting{[2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}}
}

// attend waits for the other of two, 0 and 1.
func (m meeting) attend(who int) {
	select {
	case m.here[who] <- struct{}{}:
	default: // came before, in an earlier run of fn
	}
	select {
	case <-m.here[1-who]:
		m.here[1-who] <- struct{}{}
	case <-time.After(moment):
	}
}

// shuffled returns a copy in an order of its own.
func shuffled[T any](rows []T) []T {
	c := append([]T(nil), rows...)
	rand.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
	return c
}
