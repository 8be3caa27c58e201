package budget

import (
	"context"
	"errors"
	"time"
)

// What a test needs to take the steps of Run's keeper of leases itself, by clocks of its own.

// SetMonotonic makes leases follow this clock beside the ledger's Now.
func (l *Ledger) SetMonotonic(clock func() time.Duration) { l.leases.clock.monotonic = clock }

// OnPause is called in the place of waiting.
func (l *Ledger) OnPause(fn func(time.Duration)) {
	l.pause = func(ctx context.Context, d time.Duration) error {
		fn(d)
		return ctx.Err()
	}
}

// StartLeases lets requests be admitted from memory, as Run does.
func (l *Ledger) StartLeases() { l.leases.run(true) }

// StepLeases does what Run does every twentieth of a second.
func (l *Ledger) StepLeases(ctx context.Context) error {
	return errors.Join(l.watch(ctx), l.keep(ctx, true, false))
}

// KeepLeases does what Run does when something is due.
func (l *Ledger) KeepLeases(ctx context.Context) error { return l.keep(ctx, false, false) }

// EndLeases gives them back as Run does at its end.
func (l *Ledger) EndLeases(ctx context.Context) error {
	l.leases.run(false)
	return l.keep(ctx, true, true)
}

// LeaseTTLs are how long a lease lasts for its holder, and for the store.
func (l *Ledger) LeaseTTLs() (holder, store time.Duration) {
	return l.leases.options.TTL / 4 * 3, l.leases.options.TTL
}

// StopClock makes the ledger find that no time passes for the store either.
func (l *Ledger) StopClock() { l.storeClock.here = func() time.Time { return time.Time{} } }

// Sweep gives back what is overdue, as Run does in every interval.
func (l *Ledger) Sweep(ctx context.Context) error { return l.sweep(ctx) }

// ForgetKeys deletes claims of keys that are kept no longer, as Run does in every interval.
func (l *Ledger) ForgetKeys(ctx context.Context) error { return l.forgetKeys(ctx) }

// Forecast makes forecast alerts, as Run does in every interval.
func (l *Ledger) Forecast(ctx context.Context) error { return l.forecaster().forecastAll(ctx) }

// Forecaster makes forecast alerts time after time, as Run does.
func (l *Ledger) Forecaster() func(ctx context.Context) error { return l.forecaster().forecastAll }

// MaxParts is how many counters a process leases at the most.
const MaxParts = maxParts

// Queued returns how many calls wait for a flush.
func (l *Ledger) Queued() int {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	return len(l.queue.waiting)
}

// Outstanding returns what was admitted from memory and has not ended, and what that holds of leases that are not known to
// have ended.
func (l *Ledger) Outstanding() []StoredReservation {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	var open []StoredReservation
	for key, x := range l.leases.open {
		row := StoredReservation{ID: key.ID, Subject: x.request.subject}
		for _, s := range x.shares {
			if !s.part.lost {
				row.Holds = append(row.Holds, Hold{CounterKey: s.part.counter, Units: s.units})
			}
		}
		open = append(open, row)
	}
	return open
}
