package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// Serve is one process of a load: it reads the plan from in, and writes what it does to out. It returns when the plan's time
// is over, in or ctx ends, or a worker has failed.
func Serve(ctx context.Context, s budget.Store, in io.Reader, out io.Writer) error {
	w := json.NewEncoder(out)
	if err := w.Encode(ready{true}); err != nil {
		return err
	}
	plan, r := Plan{}, json.NewDecoder(in)
	if err := r.Decode(&plan); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // another process was not ready
		}
		return fmt.Errorf("read the plan: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, plan.Duration)
	defer cancel()
	go func() {
		_ = r.Decode(new(any)) // nothing follows: it returns when in ends
		cancel()
	}()
	ledger := plan.newLedger(s)
	// Until all work has ended: what is leased is given back then.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var run sync.WaitGroup
	run.Go(func() { _ = ledger.Run(running) }) // it ends by its context alone
	defer run.Wait()
	defer stop()
	return plan.work(ctx, ledger, func(s Slice) error { return w.Encode(s) })
}

// ready is what a process says first.
type ready struct {
	Ready bool `json:"ready"`
}

// newLedger returns the ledger on which the workers of a process reserve and settle.
func (p Plan) newLedger(s budget.Store) *budget.Ledger {
	o := &budget.Options{}
	if p.Lease {
		o.Leases = &budget.LeaseOptions{}
	}
	return budget.NewLedger(s, o)
}

// work has the workers reserve and settle until ctx ends, and reports every second and in the end what they did. What they
// have begun they end.
func (p Plan) work(ctx context.Context, l *budget.Ledger, report func(Slice) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	estimate, err := p.Estimate.Totals()
	if err != nil {
		return err
	}
	w := &worker{plan: p, estimate: estimate, ledger: l, meter: newMeter()}
	var workers sync.WaitGroup
	for range p.Workers {
		workers.Go(func() {
			if err := w.run(ctx); err != nil {
				fail(err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		workers.Wait()
		close(done)
	}()
	if err := w.report(done, report); err != nil {
		fail(err)
	}
	<-done
	if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// A worker reserves and settles. All workers of a process are the same one.
type worker struct {
	plan     Plan
	estimate usage.Totals
	ledger   *budget.Ledger
	meter    *meter
}

func (w *worker) report(done <-chan struct{}, report func(Slice) error) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for ended := false; !ended; {
		select {
		case <-ticker.C:
		case <-done:
			ended = true
		}
		slice, err := w.meter.take()
		if err == nil {
			err = report(slice)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pause is how long a worker waits after a refusal: without it, those who are refused would keep the others from working.
const pause = 20 * time.Millisecond

func (w *worker) run(ctx context.Context) error {
	for ctx.Err() == nil {
		admitted, err := w.once(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		if !admitted {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
	return nil
}

// once reserves and settles once, and reports whether it was admitted.
func (w *worker) once(ctx context.Context) (admitted bool, err error) {
	request := budget.Request{ID: usage.NewID(), Subject: w.plan.Subject, Estimate: w.plan.Estimate}
	began := time.Now()
	var res *budget.Reservation
	err = again(func() (err error) {
		res, err = w.ledger.Reserve(ctx, request)
		return err
	})
	took := time.Since(began)
	if exceeded := (*budget.ExceededError)(nil); errors.As(err, &exceeded) {
		w.meter.refused(exceeded.Refusals, took)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w.meter.admitted(took)
	actual := w.plan.actual(w.estimate)
	if err := again(func() error { return res.Settle(ctx, actual) }); err != nil {
		return true, err
	}
	w.meter.settled()
	return true, nil
}

// tries is how often something is tried whose outcome is unknown or for which the store is away.
const tries = 3

func again(try func() error) (err error) {
	for range tries {
		err = try()
		if !errors.Is(err, budget.ErrOutcomeUnknown) && !errors.Is(err, budget.ErrUnavailable) {
			break
		}
	}
	return err
}
