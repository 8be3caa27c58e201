// Package demo fills an empty database with the budgets and the usage of a service, made up of the requests of a real one:
// see [Rule]. It makes the same of the same now.
package demo

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// Empty reports whether nothing is kept in the store as yet.
func Empty(ctx context.Context, s budget.Store) (empty bool, err error) {
	err = s.View(ctx, func(tx budget.ReadTx) error {
		budgets, err := tx.CountBudgets(ctx, budget.Query{})
		if err != nil {
			return err
		}
		tenants, err := tx.Tenants(ctx, budget.TenantQuery{Limit: 1})
		if err != nil {
			return err
		}
		rows, err := tx.Usage(ctx, budget.UsageQuery{Slices: []usage.Slice{{Grain: usage.Months, Bounds: allTime}}, Limit: 1})
		empty = budgets == 0 && len(tenants) == 0 && len(rows) == 0
		return err
	})
	return empty, err
}

// Fill fills an empty store: with the days before now, and some requests that are under way. It calls progress, if that is
// not nil, with how many events are recorded, of how many.
func Fill(ctx context.Context, s budget.Store, now time.Time, progress func(done, all int)) error {
	now = now.UTC().Truncate(time.Microsecond)
	events, err := traffic(now)
	if err != nil {
		return err
	}
	d := &demo{now: now, events: events, ids: make(map[string]string)}
	if d.stored, err = stored(events); err != nil {
		return err
	}
	d.ledger = budget.NewLedger(s, &budget.Options{
		Now: func() time.Time { return d.clock }, NewID: d.newID,
		FlushTimeout: time.Minute,
	})
	if err := d.replay(ctx, progress); err != nil {
		return err
	}
	if err := d.admit(ctx); err != nil {
		return err
	}
	return d.deliver(ctx)
}

// A demo is one run. Its clock goes with what it replays.
type demo struct {
	ledger *budget.Ledger
	now    time.Time
	clock  time.Time
	made   uint64            // ids
	ids    map[string]string // of budgets and licenses, by what the table calls them

	events []usage.Event
	stored []budget.StoredEvent // the same
}

// newID makes ids in the form of a UUIDv7, which are the same each time.
func (d *demo) newID() string {
	d.made++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, d.made))
	id := uuid.UUID(sum[:16])
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(d.clock.UnixMilli())<<16)
	copy(id[:6], at[:6])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id.String()
}

// stored returns events as they will be kept, for counting beforehand.
func stored(events []usage.Event) ([]budget.StoredEvent, error) {
	kept := make([]budget.StoredEvent, len(events))
	for i, e := range events {
		totals, err := e.Totals()
		if err != nil {
			return nil, err
		}
		kept[i] = budget.StoredEvent{ID: e.ID, Subject: e.Subject, Time: e.Time, Totals: totals}
	}
	return kept, nil
}

const (
	// step is how much of the past is recorded at a time.
	step = 6 * time.Hour
	// alerting is for how long before now alerts are made: who starts is not to be told of all that ever was.
	alerting = 35 * 24 * time.Hour
)

// replay lives through the days: what is done is done at its time, and what is used is recorded soon after.
func (d *demo) replay(ctx context.Context, progress func(done, all int)) error {
	actions, err := d.actions()
	if err != nil {
		return err
	}
	left := d.events
	for at := d.events[0].Time.Truncate(step); at.Before(d.now); at = at.Add(step) {
		for len(actions) > 0 && !actions[0].at.After(at) {
			d.clock = actions[0].at
			if err := actions[0].do(ctx); err != nil {
				return fmt.Errorf("%s: %w", actions[0].name, err)
			}
			actions = actions[1:]
		}
		if d.clock = at.Add(step); d.clock.After(d.now) {
			d.clock = d.now
		}
		n, _ := slices.BinarySearchFunc(left, d.clock, func(e usage.Event, t time.Time) int { return e.Time.Compare(t) })
		if err := d.record(ctx, left[:n]); err != nil {
			return err
		}
		left = left[n:]
		if progress != nil {
			progress(len(d.events)-len(left), len(d.events))
		}
	}
	return nil
}

func (d *demo) record(ctx context.Context, events []usage.Event) error {
	ledger := d.ledger
	if d.now.Sub(d.clock) > alerting {
		ledger = ledger.WithoutAlerts()
	}
	results, err := ledger.RecordBatch(ctx, events)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Outcome != budget.Recorded {
			return fmt.Errorf("event %s is %s: %w", r.ID, r.Outcome, r.Err)
		}
	}
	return nil
}

// deliver takes the alerts of the past to where they went: else the server would send all of them when it starts.
func (d *demo) deliver(ctx context.Context) error {
	waiting, err := d.undelivered(ctx)
	if err != nil || waiting == 0 {
		return err
	}
	delivered := make(chan struct{}, waiting)
	sink := alert.Func(func(context.Context, alert.Alert) error {
		delivered <- struct{}{}
		return nil
	})
	dispatcher, err := alert.NewDispatcher(d.ledger.Outbox(), alert.Options{
		Sinks: map[string]alert.Sink{"log": sink}, Default: []string{"log"}, Interval: 10 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- dispatcher.Run(running) }()
	for range waiting {
		select {
		case <-delivered:
		case err := <-ran:
			stop()
			return err
		}
	}
	stop()
	if err := <-ran; !errors.Is(err, context.Canceled) {
		return err
	}
	return ctx.Err()
}

// undelivered returns how many alerts are to be sent.
func (d *demo) undelivered(ctx context.Context) (n int, err error) {
	alerts, err := d.ledger.Alerts(ctx, budget.AlertQuery{Unrouted: true, Limit: 100_000})
	return len(alerts), err
}
