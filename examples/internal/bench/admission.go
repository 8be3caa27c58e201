package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/purser-go/purser/budget"
)

// reserveSide reserves, and leaves it at that.
func reserveSide(ctx context.Context, p *place, at *closers) (side, error) {
	ledger, err := p.ledger(ctx, at, nil)
	work := func(ctx context.Context, d *dealer) (int, error) {
		_, err := ledger.Reserve(ctx, d.errand().request)
		return 1, err
	}
	return side{name: purser, tenants: manyTenants, work: work, stage: p.stage(onlyHolds)}, err
}

// settleSide reserves and settles.
func settleSide(ctx context.Context, p *place, at *closers) (side, error) {
	ledger, err := p.ledger(ctx, at, nil)
	work := func(ctx context.Context, d *dealer) (int, error) { return 1, reserveAndSettle(ctx, ledger, d) }
	return side{name: purser, tenants: manyTenants, work: work, stage: p.stage(allEffects)}, err
}

func reserveAndSettle(ctx context.Context, ledger *budget.Ledger, d *dealer) error {
	e := d.errand()
	res, err := ledger.Reserve(ctx, e.request)
	if err != nil {
		return err
	}
	return res.Settle(ctx, e.used)
}

// leaseSide reserves and settles out of leases. It begins each turn with leases, and ends it without: all is recorded then.
func leaseSide(o budget.LeaseOptions, burst int) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		var failed failures
		ledger, err := p.ledger(ctx, at, &budget.Options{Leases: &o, OnError: failed.add})
		start := func(ctx context.Context) (finish func() error, err error) {
			stop := keepLeases(ctx, ledger)
			finish = func() error {
				stop()
				return failed.take()
			}
			if err := warm(ctx, ledger, max(2*burst, fewRequests)); err != nil {
				return nil, errors.Join(err, finish())
			}
			return finish, nil
		}
		work := func(ctx context.Context, d *dealer) (int, error) { return 1, reserveAndSettle(ctx, ledger, d) }
		return side{name: purser, tenants: manyTenants, work: work, stage: p.stage(allEffects), start: start, burst: burst}, err
	}
}

// keepLeases lets the ledger keep leases until stop is called, which waits until they are given back and all is recorded.
func keepLeases(ctx context.Context, ledger *budget.Ledger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		_ = ledger.Run(ctx) // which returns ctx's error
	})
	return func() {
		cancel()
		keeping.Wait()
	}
}

const (
	fewRequests = 1000 // those that are open at a time where each waits for its commit are fewer
	warmCallers = 100
	warmWithin  = 30 * time.Second
)

// warm makes the ledger lease room for so many requests at once, without using any of it: leases grow with what is asked
// for.
func warm(ctx context.Context, ledger *budget.Ledger, requests int) error {
	for end := time.Now().Add(warmWithin); time.Now().Before(end); {
		leased, err := tryLeases(ctx, ledger, requests)
		if leased || err != nil {
			return err
		}
	}
	return fmt.Errorf("not all requests were admitted from memory within %s", warmWithin)
}

// tryLeases reserves for many requests at once, and releases what it reserved. It reports whether all was admitted from
// memory.
func tryLeases(ctx context.Context, ledger *budget.Ledger, requests int) (allLeased bool, err error) {
	made := make([]*budget.Reservation, requests)
	err = share(len(made), func(d *dealer, i int) (err error) {
		made[i], err = ledger.Reserve(ctx, d.errand().request)
		return err
	})
	if err != nil {
		return false, err
	}
	allLeased = !slices.ContainsFunc(made, func(res *budget.Reservation) bool { return !res.Leased() })
	return allLeased, share(len(made), func(_ *dealer, i int) error { return made[i].Release(ctx) })
}

// share lets callers divide so many tasks among them.
func share(tasks int, do func(d *dealer, task int) error) error {
	var failed failures
	var all sync.WaitGroup
	for caller := range warmCallers {
		all.Go(func() {
			d := newDealer(caller, manyTenants)
			for task := caller; task < tasks; task += warmCallers {
				if err := do(d, task); err != nil {
					failed.add(err)
					return
				}
			}
		})
	}
	all.Wait()
	return failed.take()
}

// failures are what went wrong behind the callers.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

// take returns what went wrong since it was asked last.
func (f *failures) take() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := errors.Join(f.errs...)
	f.errs = nil
	return err
}
