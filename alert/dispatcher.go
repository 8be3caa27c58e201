package alert

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Options say where alerts go, and how. The zero value of each field that has a default means it.
type Options struct {
	// Sinks are where alerts go, by names of 1 to 128 bytes. A delivery is kept under its sink's name, so that a name that
	// nobody serves any more leaves its deliveries waiting.
	Sinks map[string]Sink
	// Routes say which alerts go to which sinks. An alert goes to the sinks of all routes that match it, to each once.
	Routes []Route
	// Default names the sinks of alerts that no route matches. None: those go nowhere.
	Default []string

	// MaxTries is after how many tries a delivery is given up, and the next one of its line begins. Defaults to 20, which
	// with the other defaults is a day or two.
	MaxTries int
	// Backoff is the longest time before the second try. It doubles with each further one; the time itself is random, from
	// 0 on, so that tries do not come in waves. Defaults to 10 seconds.
	Backoff time.Duration
	// MaxBackoff is the longest time between two tries, whatever the receiver asks for. Defaults to 6 hours.
	MaxBackoff time.Duration
	// Timeout is how long one try may take. A delivery is claimed for twice as long: as much again is left to write down
	// what came of it. Defaults to 15 seconds.
	Timeout time.Duration
	// Interval is how often the outbox is looked at when nothing happens. Defaults to 1 second.
	Interval time.Duration
	// Concurrency is how many tries of one sink are under way at once. Defaults to 8.
	Concurrency int
	// Retention is for how long deliveries are kept that came to an end. Defaults to 90 days.
	Retention time.Duration

	// Rand returns a number from 0 up to 1, for the times between tries. It is called by several goroutines. Defaults to
	// math/rand/v2.Float64.
	Rand func() float64
	// OnError, if not nil, is called with errors of the outbox, after which the dispatcher goes on; by several goroutines.
	OnError func(error)
	// OnTry, if not nil, is called after each try with the delivery as it was claimed and the sink's error, which is nil if
	// it arrived; by several goroutines.
	OnTry func(Delivery, error)
}

func (o *Options) setDefaults() {
	setDefault(&o.MaxTries, 20)
	setDefault(&o.Backoff, 10*time.Second)
	setDefault(&o.MaxBackoff, 6*time.Hour)
	setDefault(&o.Timeout, 15*time.Second)
	setDefault(&o.Interval, time.Second)
	setDefault(&o.Concurrency, 8)
	setDefault(&o.Retention, 90*24*time.Hour)
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.OnTry == nil {
		o.OnTry = func(Delivery, error) {}
	}
}

func setDefault[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// A Dispatcher takes alerts from an [Outbox] to their sinks: each at least once, with the same ID each time, and those of one
// budget and value to one sink in order. What can't be delivered is tried again, later each time, and given up in the end.
type Dispatcher struct {
	outbox  Outbox
	options Options
}

// NewDispatcher returns a dispatcher. The error is usage.ErrInvalid with the fields where a route or the default names a sink
// that is not there, or a sink is nil or has a name that can't be.
func NewDispatcher(outbox Outbox, o Options) (*Dispatcher, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("dispatch alerts: %w", err)
	}
	o.setDefaults()
	return &Dispatcher{outbox: outbox, options: o}, nil
}

const (
	routedAtOnce = 100             // alerts
	pruneEvery   = time.Hour       // how often old deliveries are looked for
	grace        = 5 * time.Second // for tries that are under way at the end
)

// Run delivers alerts until ctx ends, and returns ctx's error. It may run in as many processes as one likes: they share the
// work. Tries that are under way when ctx ends have 5 seconds left. Nothing of it is left running when it has returned.
func (d *Dispatcher) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	var couriers []*courier
	for name, sink := range d.options.Sinks {
		c := &courier{Dispatcher: d, name: name, sink: sink, wake: make(chan struct{}, 1)}
		couriers = append(couriers, c)
		serving.Go(func() { c.serve(ctx) })
	}
	ticker := time.NewTicker(d.options.Interval)
	defer ticker.Stop()
	var pruned time.Time
	for ctx.Err() == nil {
		if n, err := d.route(ctx); d.fine(ctx, err) && n > 0 {
			for _, c := range couriers {
				c.ring()
			}
		}
		if time.Since(pruned) >= pruneEvery {
			_, err := d.outbox.Prune(ctx, d.options.Retention)
			d.fine(ctx, err)
			pruned = time.Now()
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return ctx.Err()
}

// fine reports whether there is no error. If there is, and it is not that the end has come, it is told.
func (d *Dispatcher) fine(ctx context.Context, err error) bool {
	if err != nil && ctx.Err() == nil {
		d.options.OnError(err)
	}
	return err == nil
}

// route routes all that is to be.
func (d *Dispatcher) route(ctx context.Context) (total int, err error) {
	for {
		n, err := d.outbox.Route(ctx, routedAtOnce, d.options.to)
		total += n
		if err != nil || n < routedAtOnce {
			return total, err
		}
	}
}
