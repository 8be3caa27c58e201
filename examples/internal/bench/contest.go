package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A side is one way to do the work of a contest.
type side struct {
	name    string
	tenants int // that its events are dealt to

	// work does one operation and returns how many units that was. Many callers do it at once, each with a dealer.
	work func(context.Context, *dealer) (units int, err error)

	stage stage // nil: work only reads

	// start, if not nil, starts what work needs beside its callers, for one turn. finish waits for what these have left to
	// do.
	start func(context.Context) (finish func() error, err error)
	// burst is how many operations are done at a stretch; what they leave to do is not part of the time, and a turn is one
	// stretch or several. 0: it is one, and all of its time counts.
	burst int
}

// A stage is where a side leaves its traces.
type stage interface {
	// begin brings it to where every turn begins.
	begin(context.Context) error
	// audit fails unless a turn of so many units has left what it should.
	audit(ctx context.Context, units int) error
}

// A contest is between Purser and its references.
type contest struct {
	table   string
	work    string
	callers int
	floor   map[string]float64 // by reference
}

// contest lets the sides, of which Purser's is the first, take turns, and reports it against each of the others.
func (l *lab) contest(ctx context.Context, c contest, sides []side) error {
	turns := make([][]turn, len(sides))
	for n := range l.repeats + 1 {
		for i, s := range sides {
			l.progress.say("turn %d of %d, %s", n, l.repeats, s.name) // 0 warms up
			got, err := l.turn(ctx, c.callers, s, n == 0)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if n > 0 {
				turns[i] = append(turns[i], got)
			}
		}
	}
	for i, reference := range sides[1:] {
		l.report.add(c, reference.name, turns[0], turns[i+1])
	}
	return nil
}

// A turn is what a side did in the time it had.
type turn struct {
	rate     float64 // units per second
	p50, p99 time.Duration
}

// turn gives a side its turn. One that only warms up is shorter.
func (l *lab) turn(ctx context.Context, callers int, s side, warmUp bool) (turn, error) {
	length := l.duration
	if warmUp {
		length /= 3
	}
	var total done
	for start := time.Now(); ; {
		d, err := s.stretch(ctx, callers, length)
		if err != nil {
			return turn{}, err
		}
		total.add(d)
		if s.burst == 0 || time.Since(start) >= length {
			return total.turn(), nil
		}
	}
}

// stretch lets callers work from a fresh start, and looks at what they did.
func (s side) stretch(ctx context.Context, callers int, length time.Duration) (d done, err error) {
	if s.stage != nil {
		if err := s.stage.begin(ctx); err != nil {
			return done{}, err
		}
	}
	finish := func() error { return nil }
	if s.start != nil {
		if finish, err = s.start(ctx); err != nil {
			return done{}, err
		}
	}
	runtime.GC() // of what the one before left
	d, err = s.race(ctx, callers, length)
	worked := time.Now()
	if err := errors.Join(err, finish()); err != nil {
		return done{}, err
	}
	if s.burst == 0 {
		d.all += time.Since(worked)
	}
	if s.stage == nil {
		return d, nil
	}
	return d, s.stage.audit(ctx, d.units)
}

// done is what callers did.
type done struct {
	units int
	took  []time.Duration // each operation
	all   time.Duration   // from the start until the last one returned
}

func (d *done) add(o done) {
	d.units += o.units
	d.took = append(d.took, o.took...)
	d.all += o.all
}

func (d *done) turn() turn {
	slices.Sort(d.took)
	return turn{rate: float64(d.units) / d.all.Seconds(), p50: percentile(d.took, 50), p99: percentile(d.took, 99)}
}

// race lets callers work, each one operation after the other, until the time is up and the last one has returned.
func (s side) race(ctx context.Context, callers int, length time.Duration) (done, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]done, callers)
	var begun atomic.Int64
	more := func() bool { return ctx.Err() == nil && (s.burst == 0 || begun.Add(1) <= int64(s.burst)) }
	start := time.Now()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			pprof.Do(ctx, pprof.Labels("side", s.name), func(ctx context.Context) {
				if err := s.loop(ctx, newDealer(caller, s.tenants), start.Add(length), more, &results[caller]); err != nil {
					cancel(err)
				}
			})
		})
	}
	all.Wait()
	total := done{all: time.Since(start)}
	for _, r := range results {
		total.add(r)
	}
	return total, context.Cause(ctx)
}

// loop lets one caller work, as long as there is more to do. It does one operation at least: a turn without any, of callers
// that got no time before it was up, has no rate.
func (s side) loop(ctx context.Context, d *dealer, end time.Time, more func() bool, r *done) error {
	for before := time.Now(); more(); {
		units, err := s.work(ctx, d)
		if err != nil {
			return err
		}
		after := time.Now()
		r.units += units
		r.took = append(r.took, after.Sub(before))
		if !after.Before(end) {
			break
		}
		before = after
	}
	return nil
}

// percentile returns the value that so many percent are not above. The values are ascending.
func percentile(values []time.Duration, percent int) time.Duration {
	if len(values) == 0 {
		return 0
	}
	return values[(len(values)*percent+99)/100-1]
}
