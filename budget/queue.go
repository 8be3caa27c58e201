package budget

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// maxFlush is how many entries one transaction writes at the most. One call's own events are never split, so a call
// must not bring more.
const maxFlush = 500

// A queue merges the calls that wait at the same time into one transaction. The first caller leads: it flushes for all
// that are waiting, once, and hands the lead to the first of those that came meanwhile. There is no timer and no
// goroutine, so that a lone caller has the latency of one commit, and many share it.
type queue[E any] struct {
	flush func(ctx context.Context, entries []E) error

	mu      sync.Mutex
	waiting []*call[E]
	led     bool // somebody leads or was told to
}

// A call is what one caller waits for.
type call[E any] struct {
	entries []E
	err     error         // what the flush as a whole came to; valid once done is closed
	lead    chan struct{} // closed when this call is to lead
	done    chan struct{} // closed when this call was flushed
}

func newQueue[E any](flush func(context.Context, []E) error) *queue[E] {
	return &queue[E]{flush: flush}
}

// do flushes the entries, together with those of other callers, and returns when that is done. If ctx ends before the
// entries were taken up, taken is false and nothing is stored; if it ends later, the error is ErrOutcomeUnknown and the
// entries must not be touched any more.
func (q *queue[E]) do(ctx context.Context, entries []E) (taken bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c := &call[E]{entries: entries, lead: make(chan struct{}), done: make(chan struct{})}
	if !q.enter(c) {
		select {
		case <-c.done:
			return true, c.err
		case <-c.lead:
		case <-ctx.Done():
			return q.leave(c, ctx.Err())
		}
	}
	// Those who are about to call get the chance to come along; it costs a lone caller nothing.
	runtime.Gosched()
	q.leadOnce(ctx)
	return true, c.err
}

// enter queues the call and reports whether it leads.
func (q *queue[E]) enter(c *call[E]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, c)
	if q.led {
		return false
	}
	q.led = true
	return true
}

// leave gives up waiting, and reports whether the call was taken up all the same.
func (q *queue[E]) leave(c *call[E], cause error) (taken bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.waiting {
		if other != c {
			continue
		}
		q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
		select {
		case <-c.lead: // told to lead at this very moment: the next one must
			q.appoint()
		default:
		}
		return false, cause
	}
	select {
	case <-c.done:
		return true, c.err
	default:
		return true, fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)
	}
}

// leadOnce flushes what is waiting, this call first, and hands over.
func (q *queue[E]) leadOnce(ctx context.Context) {
	taken, entries := q.take()
	// It stays so if the flush panics, which it may also do after its commit, in a hook of the user's.
	err := fmt.Errorf("%w: the flush panicked", ErrOutcomeUnknown)
	defer func() {
		for _, c := range taken {
			c.err = err
			close(c.done)
		}
		q.mu.Lock()
		q.appoint()
		q.mu.Unlock()
	}()
	err = q.flush(context.WithoutCancel(ctx), entries)
}

func (q *queue[E]) take() (taken []*call[E], entries []E) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 && (len(taken) == 0 || len(entries)+len(q.waiting[0].entries) <= maxFlush) {
		taken = append(taken, q.waiting[0])
		entries = append(entries, q.waiting[0].entries...)
		q.waiting = q.waiting[1:]
	}
	return taken, entries
}

// appoint makes the first of those waiting the leader. It needs the mutex.
func (q *queue[E]) appoint() {
	q.led = len(q.waiting) > 0
	if q.led {
		close(q.waiting[0].lead)
	}
}

// flush records the entries within FlushTimeout. The results stand in the entries; an error says that the store failed,
// and that none has a result.
func (c *core) flush(ctx context.Context, entries []*entry) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.FlushTimeout)
	defer cancel()
	err = ErrOutcomeUnknown // should it panic
	defer func() { c.leases.flushed(entries, err) }()
	err = c.recordApart(ctx, entries)
	return err
}

// recordApart records the entries in one transaction, or, if one of them is in the way of the others, each in its own.
func (c *core) recordApart(ctx context.Context, entries []*entry) error {
	err := c.record(ctx, entries)
	if err == nil || isStoreFailure(err) {
		return err
	}
	// What else may have gone wrong in a caller's transaction, such as a deadlock, is for the caller to run again.
	if c.queue == nil && !isRefusal(err) {
		return err
	}
	if len(entries) == 1 {
		entries[0].fail(err)
		return nil
	}
	for _, e := range entries {
		if err := c.record(ctx, []*entry{e}); err != nil {
			e.fail(err)
		}
	}
	return nil
}

// isStoreFailure reports whether an error is about the store rather than about what was to be stored, so that trying
// the items one by one would only fail as often.
func isStoreFailure(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, context.DeadlineExceeded)
}

// record records the entries in one transaction.
func (c *core) record(ctx context.Context, entries []*entry) error {
	start := time.Now()
	err := c.retryUnknown(func() error {
		err := c.recordCurrent(ctx, entries)
		if errors.Is(err, ErrOutcomeUnknown) {
			lookForAll(entries)
		}
		return err
	})
	name := "record"
	if hasClaims(entries) {
		name = "admit"
	}
	c.options.Observe(Op{Name: name, Items: len(entries), Wait: waited(entries, start), Took: time.Since(start), Err: err})
	return err
}

// waited returns for how long the first of the calls that brought the entries had waited.
func waited(entries []*entry, until time.Time) (longest time.Duration) {
	for _, e := range entries {
		if !e.queued.IsZero() {
			longest = max(longest, until.Sub(e.queued))
		}
	}
	return longest
}

func hasClaims(entries []*entry) bool {
	return slices.ContainsFunc(entries, func(e *entry) bool { return e.claim != nil })
}

// lookForAll makes the next run look for reservations whose ids were thought to be new.
func lookForAll(entries []*entry) {
	for _, e := range entries {
		if e.claim != nil {
			e.claim.named = true
		}
	}
}
