package budget

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A Ledger records usage and counts it against budgets, and admits what these have room for. It is safe for concurrent
// use; calls that record, reserve, settle or release at the same time share a transaction, and so do those that note. Each
// returns after that transaction's commit with its own result.
//
// It starts no goroutines and holds nothing that must be closed.
type Ledger struct {
	*core
	actor    string
	annotate func(*AuditEntry) // nil: entries are stored as the ledger makes them
}

// core is what a ledger shares with those derived from it by By and Annotated.
type core struct {
	store      Store
	options    Options
	cache      *cache
	guesses    guesses // that events are new
	openings   guesses // that reservations are as they were
	foresights guesses // that requests fit
	storeClock storeClock
	schedules  schedules
	outage     outage
	leases     *leases // nil: there are none
	quiet      bool    // makes no alerts
	pause      func(ctx context.Context, d time.Duration) error
	queue      *queue[*entry]     // nil: bound to a caller's transaction, nothing is grouped
	notes      *queue[AuditEntry] // nil with queue
}

// Options configures a [Ledger]. A nil *Options means all defaults.
type Options struct {
	// Now returns the current time: that of events without one, and the one that says what is too far in the future.
	// Defaults to time.Now.
	Now func() time.Time
	// NewID makes the ids of budgets, alerts, audit entries, leases and of requests without one: never the same twice, in
	// any process. Defaults to usage.NewID, a UUIDv7.
	NewID func() string
	// FutureTolerance is how far ahead of Now the time of an event may be. Defaults to 5 minutes.
	FutureTolerance time.Duration
	// FlushTimeout is how long one shared transaction may take, its retries included, and each step of Run. Defaults to 10
	// seconds.
	FlushTimeout time.Duration
	// ReservationTTL is how long a reservation holds its room if its request does not say: at most 7 days. Defaults to 10
	// minutes.
	ReservationTTL time.Duration
	// CloseTimeout is how long Close and Do go on with settling when their context has ended. Defaults to 5 seconds.
	CloseTimeout time.Duration
	// ReleaseOnClose makes Close give back what a reservation holds that was neither settled nor released, although it
	// may have been spent. Defaults to false: it is settled at the estimate.
	ReleaseOnClose bool
	// AdmitUnknown admits requests of unknown size to hard budgets without a MinHold, as long as anything is available.
	// They hold nothing there. Defaults to false: they are refused with ErrEstimateRequired.
	AdmitUnknown bool
	// FailOpen, if not nil, admits requests while the store can't be reached: for each of Cost, TotalTokens and Requests
	// that is not nil, until the sum of the estimates would pass it; one of them at least must be given; anew in each outage and each process, and only where
	// the budgets that cover the request are known from before. No budget's limit is looked at, so that budgets may be
	// overspent by as much. How long a request waits for the store before that is FlushTimeout. [Reservation.Unchecked] tells
	// such a reservation from others. Defaults to nil: what can't be checked is refused.
	FailOpen *usage.Amounts

	// Prices, if not nil, computes the cost of what comes without one: of an event once, when it is recorded or settled, and
	// of an estimate that says how many tokens. Defaults to nil: an event without a cost costs nothing, and the cost of such
	// an estimate is unknown.
	Prices Pricer

	// Leases, if not nil, lets the ledger admit requests from memory while its Run runs. Defaults to nil: each is asked for
	// at the store.
	Leases *LeaseOptions

	// Alerts, if not nil, says where Run delivers alerts to; its OnError defaults to the ledger's. Defaults to nil: alerts are
	// kept, and another process's Run, or a dispatcher of its own, may deliver them.
	Alerts *alert.Options

	// ForecastInterval is how often Run looks for what is projected to pass its limit before its period ends. A counter of a
	// budget that alerts is projected, which is a read of the hours of the trailing weeks, at the first look of each process
	// that runs Run, and again only when it has moved: by a 16th of what was left of the limit, or to where it passes the limit
	// by the run rate, or at all since a 48th of the period; not any more once it has its one alert of the period. Run remembers
	// how those it projects stood, in about 300 bytes for each, until their period ends.
	// Defaults to 15 minutes; below 0, this Run makes no forecasts.
	ForecastInterval time.Duration
	// SweepInterval is how often Run gives back what has expired. Defaults to 10 seconds.
	SweepInterval time.Duration
	// ReservationRetention is for how long Run keeps reservations that were released or have expired, so that they can be
	// settled late. Defaults to 30 days.
	ReservationRetention time.Duration
	// KeyRetention is for how long Run keeps what keys were claimed for, from the first claim on. Defaults to 48 hours.
	KeyRetention time.Duration
	// EventRetention is for how long Run keeps events, at least 7 days: older ones it prunes, every hour, see Ledger.Prune.
	// Defaults to 0: for ever.
	EventRetention time.Duration
	// OnError, if not nil, is called with errors that Run goes on after, on goroutines of Run's, also at the same time.
	OnError func(error)
	// Observe, if not nil, is called after every such transaction, on the goroutine of one of its callers.
	Observe func(Op)
}

// An Op is one transaction that recorded, reserved, settled, released or extended.
type Op struct {
	Name  string        // "record" if it did nothing else, or "admit"
	Items int           // how many events and reservations it was about
	Wait  time.Duration // how long the first of its callers had waited for those before it
	Took  time.Duration // from before the transaction until after its commit
	Err   error
}

// NewLedger returns a ledger on this store.
func NewLedger(s Store, o *Options) *Ledger {
	c := &core{store: s, cache: &cache{}, pause: pause, storeClock: storeClock{here: time.Now}}
	if o != nil {
		c.options = *o
	}
	c.options.setDefaults()
	c.group()
	if c.options.Leases != nil {
		c.leases = newLeases(*c.options.Leases, c.options.Now)
	}
	return &Ledger{core: c}
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = usage.NewID
	}
	if o.FutureTolerance == 0 {
		o.FutureTolerance = 5 * time.Minute
	}
	if o.FlushTimeout == 0 {
		o.FlushTimeout = 10 * time.Second
	}
	if o.ReservationTTL <= 0 {
		o.ReservationTTL = 10 * time.Minute
	}
	o.ReservationTTL = min(o.ReservationTTL, maxTTL)
	if o.CloseTimeout == 0 {
		o.CloseTimeout = 5 * time.Second
	}
	if o.ForecastInterval == 0 {
		o.ForecastInterval = 15 * time.Minute
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = 10 * time.Second
	}
	if o.ReservationRetention == 0 {
		o.ReservationRetention = 30 * 24 * time.Hour
	}
	if o.KeyRetention == 0 {
		o.KeyRetention = 48 * time.Hour
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.Observe == nil {
		o.Observe = func(Op) {}
	}
}

// By returns a ledger whose changes are audited as this actor's: up to 128 bytes of plain text, "" for nobody. It shares
// everything else with l.
func (l *Ledger) By(actor string) *Ledger {
	return &Ledger{core: l.core, actor: actor, annotate: l.annotate}
}

// Annotated returns a ledger whose changes are audited in the caller's words: fn gets each entry before it is stored, in
// the transaction of the change, and sets Action, Kind, Tenant and Details, which are as [Ledger.Note] wants them; what else
// it does to the entry is left aside. fn may run several times for one change, and runs for each of the entries that a
// change makes: those of a license and its budgets, say. It runs on the caller's goroutine. A nil fn takes an earlier one
// back. The ledger shares everything else with l.
func (l *Ledger) Annotated(fn func(*AuditEntry)) *Ledger {
	return &Ledger{core: l.core, actor: l.actor, annotate: fn}
}

// WithStore returns a ledger like l on another store: one that is bound to a transaction of the caller's. Its calls
// are part of that transaction, take effect when the caller commits, and are neither grouped nor retried. Make them the
// last thing before the commit, one batch rather than several calls: they hold locks that other recorders wait for. A
// reservation that was made so is settled by its handle within the transaction, and by its key after the commit.
func (l *Ledger) WithStore(s Store) *Ledger {
	// No leases: what is held for a transaction of the caller's is to be written in it.
	//
	// A cache of its own: what the caller's transaction changed must not be seen by others, for it may be rolled back.
	return &Ledger{core: l.besides(s, l.quiet), actor: l.actor, annotate: l.annotate}
}

// WithoutAlerts returns a ledger like l that makes no alerts, for usage of long ago that is brought in from elsewhere. A
// level that is reached through it is not alerted about later either, until it is left and reached again. It has no leases.
func (l *Ledger) WithoutAlerts() *Ledger {
	c := l.besides(l.store, true)
	if l.queue != nil {
		c.group()
	}
	return &Ledger{core: c, actor: l.actor, annotate: l.annotate}
}

// group makes calls of the same time share a transaction.
func (c *core) group() { c.queue, c.notes = newQueue(c.flush), newQueue(c.flushNotes) }

// besides returns a core with the same options, and without queues or leases.
func (c *core) besides(s Store, quiet bool) *core {
	return &core{store: s, options: c.options, cache: &cache{}, pause: c.pause, storeClock: storeClock{here: c.storeClock.here}, quiet: quiet}
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *core) now() time.Time { return micros(c.options.Now()) }

// update runs one transaction of a single caller that is audited.
func (l *Ledger) update(ctx context.Context, what string, fn func(Tx) error) error {
	err := invalid.OptionalName("actor", l.actor)
	if err == nil {
		err = l.retryUnknown(func() error {
			return l.store.Update(ctx, func(tx Tx) error { return fn(l.annotated(tx)) })
		})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// retryUnknown runs a transaction once more if the outcome of its commit is unknown. What runs in it finds its own ids
// then and says so; if that run gets no answer either, the outcome stays unknown, and the caller is told.
func (c *core) retryUnknown(run func() error) error {
	err := run()
	if !errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	if err = run(); isStoreFailure(err) && !errors.Is(err, ErrOutcomeUnknown) {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

func (c *core) view(ctx context.Context, what string, fn func(ReadTx) error) error {
	if err := c.store.View(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// look is view for a fn that takes one step.
func (c *core) look(ctx context.Context, what string, fn func(ReadTx) error) error {
	return c.view(ctx, what, func(r ReadTx) error {
		if s, can := r.(Soloist); can {
			s.Alone()
		}
		return fn(r)
	})
}
