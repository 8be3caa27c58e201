package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A history is a running month in which one tenant has events already, recorded by Purser.
type history struct {
	server *server // nil: in SQLite
	place  *place
	summed *place // the same events, for those who sum them up: with an index for that, and without counters
	events int
}

// postgresHistory returns the history with so many events, which is made once.
func (l *lab) postgresHistory(ctx context.Context, events int) (*history, error) {
	if h := l.histories[events]; h != nil {
		return h, nil
	}
	s, err := l.realDisk(ctx)
	if err != nil {
		return nil, err
	}
	h := &history{server: s, events: events}
	if h.place, err = l.recorded(ctx, s, events); err != nil {
		return nil, err
	}
	if h.summed, err = h.copyEvents(ctx, &l.atEnd); err != nil {
		return nil, err
	}
	for _, p := range []*place{h.place, h.summed} {
		p.asLoaded("VACUUM ANALYZE purser_events", "CHECKPOINT")
	}
	l.histories[events] = h
	return h, h.check(ctx)
}

// sqliteHistory is postgresHistory in a file; only one is asked for.
func (l *lab) sqliteHistory(ctx context.Context, events int) (*place, error) {
	if l.sqlitePast != nil {
		return l.sqlitePast, nil
	}
	p, err := l.recorded(ctx, l.files(), events)
	if err != nil {
		return nil, err
	}
	p.asLoaded("PRAGMA wal_checkpoint(TRUNCATE)")
	l.sqlitePast = p
	return p, nil
}

// asLoaded makes every turn begin with the events of now, and write out what is pending. Counters keep what a turn adds,
// which costs nobody anything.
func (p *place) asLoaded(settle ...string) {
	remove := fmt.Sprintf("DELETE FROM purser_events WHERE recorded_at >= %d", time.Now().UnixMicro())
	p.fresh = append([]string{remove}, settle...)
}

// copyEvents makes a place with the same events.
func (h *history) copyEvents(ctx context.Context, at *closers) (*place, error) {
	p, err := h.server.place(ctx, tight, at)
	if err != nil {
		return nil, err
	}
	columns := strings.Join(eventColumns, ", ")
	for _, statement := range []string{
		fmt.Sprintf("INSERT INTO purser_events (%[1]s) SELECT %[1]s FROM %[2]s.purser_events", columns, h.place.schema),
		"CREATE INDEX ON purser_events (tenant, time)",
	} {
		if _, err := p.db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return p, nil
}

// loaders is how many batches are on their way at once: while one is being written, another is prepared.
const loaders = 2

// recorded makes a place in which one tenant's events are recorded, spread evenly over the month so far.
func (l *lab) recorded(ctx context.Context, h host, events int) (_ *place, err error) {
	p, err := h.place(ctx, tight, &l.atEnd)
	if err != nil {
		return nil, err
	}
	var at closers
	defer func() { err = errors.Join(err, at.close()) }()
	ledger, err := p.ledger(ctx, &at, nil)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	span := period.Bounds{Start: period.Monthly.Bounds(now).Start, End: now}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for loader := range loaders {
		all.Go(func() {
			d := newDealer(loader, oneTenant)
			for first := loader * batchSize; first < events && ctx.Err() == nil; first += loaders * batchSize {
				l.progress.say("recording %s events: %d %%", thousands(events), 100*first/events)
				if err := recordBatch(ctx, ledger, d.past(span, first, events)); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return p, context.Cause(ctx)
}

// past returns a batch of all events of a span, from the first on.
func (d *dealer) past(span period.Bounds, first, all int) []usage.Event {
	batch := make([]usage.Event, min(batchSize, all-first))
	step := span.Duration() / time.Duration(all)
	for i := range batch {
		batch[i] = d.event()
		batch[i].Time = span.Start.Add(time.Duration(first+i) * step)
	}
	return batch
}

// The budget and counter whose figure is asked for: one that counts all events.
var (
	askedBudget = "tenant-month"
	askedValue  = budget.Value{usage.Tenant: tenantNames[0]}
)

// check fails unless what the budget says is the sum of the events.
func (h *history) check(ctx context.Context) (err error) {
	var at closers
	defer func() { err = errors.Join(err, at.close()) }()
	ledger, err := h.place.ledger(ctx, &at, nil)
	if err != nil {
		return err
	}
	pool, err := h.server.pool(ctx, h.summed, 1, &at)
	if err != nil {
		return err
	}
	status, err := ledger.Status(ctx, askedBudget, askedValue)
	if err != nil {
		return err
	}
	units, err := sumUp(ctx, pool)
	if want := usage.Dollars.Decimal(units); err == nil && !status.Used.Equal(want) {
		err = fmt.Errorf("the status is %s, the sum of the events %s", status.Used, want)
	}
	return err
}

// statusSide asks how the budget stands.
func (h *history) statusSide(ctx context.Context, at *closers) (side, error) {
	ledger, err := h.place.ledger(ctx, at, nil)
	work := func(ctx context.Context, _ *dealer) (int, error) {
		status, err := ledger.Status(ctx, askedBudget, askedValue)
		if err == nil && status.Used.LessThanOrEqual(decimal.Zero) {
			err = errors.New("the status is that of an empty period")
		}
		return 1, err
	}
	return side{name: purser, tenants: oneTenant, work: work}, err
}

// sumUpSide sums up what the budget counts.
func (h *history) sumUpSide(ctx context.Context, at *closers) (side, error) {
	pool, err := h.server.pool(ctx, h.summed, 1, at)
	if err == nil {
		err = h.summed.refresh(ctx)
	}
	work := func(ctx context.Context, _ *dealer) (int, error) {
		_, err := sumUp(ctx, pool)
		return 1, err
	}
	return side{name: sum, tenants: oneTenant, work: work}, err
}

// sumUp returns what the tenant used this month, in 1e-9 dollars.
func sumUp(ctx context.Context, pool *pgxpool.Pool) (nanodollars int64, err error) {
	month := period.Monthly.Bounds(time.Now())
	err = pool.QueryRow(ctx, sumOfPeriod, tenantNames[0], month.Start.UnixMicro(), month.End.UnixMicro()).Scan(&nanodollars)
	return nanodollars, err
}
