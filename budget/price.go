package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A Pricer says what usage costs that comes without a cost: a list of package price is one. It is called by many goroutines
// at once, before anything is stored.
type Pricer interface {
	// Price returns what an event costs in US dollars, not rounded, and a name for what that was computed by, up to 128
	// bytes of plain text, which is kept with the event. The event is valid, and its time is the one that it is recorded
	// with. An error means that there is no price: it refuses the event as ErrNoPrice, and leaves the cost of an estimate
	// unknown.
	Price(e usage.Event) (cost decimal.Decimal, by string, err error)
}

// price computes the cost of an event that was prepared from amounts without one. It has its time by then.
func (c *core) price(e *entry, a usage.Amounts) {
	if e.err != nil || a.Cost != nil || c.options.Prices == nil {
		return
	}
	nanodollars, by, err := c.cost(usage.Event{ID: e.event.ID, Subject: e.event.Subject, Amounts: a}, e.event.Time)
	if err != nil {
		e.fail(err)
		return
	}
	e.event.Totals.Nanodollars, e.event.PricedBy = nanodollars, by
}

// recall gives those entries that have no price, and whose events stand, the cost of these: what an event costs was decided
// when it was recorded, so that sending it again needs no price. If the store can't say, those without a price are not tried.
func (c *core) recall(ctx context.Context, entries []*entry) error {
	var unpriced []*entry
	keys := make(map[EventKey]bool)
	for _, e := range entries {
		if e.unpriced() {
			unpriced = append(unpriced, e)
			keys[e.event.Key()] = true
		}
	}
	if len(unpriced) == 0 {
		return nil
	}
	standing, err := c.findEvents(ctx, slices.Collect(maps.Keys(keys)))
	if err != nil {
		err = fmt.Errorf("look for what has no price: %w", err)
		for _, e := range unpriced {
			e.outcome, e.err = NotTried, err
		}
		return err
	}
	for _, e := range unpriced {
		if stands, found := standing[e.event.Key()]; found {
			e.outcome, e.err = "", nil
			e.event.Totals.Nanodollars, e.event.PricedBy = stands.Totals.Nanodollars, stands.PricedBy
		}
	}
	return nil
}

// unpriced reports whether nothing but a price is missing to e.
func (e *entry) unpriced() bool { return errors.Is(e.err, ErrNoPrice) }

// findEvents returns those events with these keys that stand, in one moment.
func (c *core) findEvents(ctx context.Context, keys []EventKey) (map[EventKey]LockedEvent, error) {
	ctx, cancel := c.briefly(ctx)
	defer cancel()
	found := make(map[EventKey]LockedEvent, len(keys))
	err := c.store.View(ctx, func(r ReadTx) error {
		for some := range slices.Chunk(keys, maxFlush) {
			events, err := r.FindEvents(ctx, some)
			if err != nil {
				return err
			}
			maps.Copy(found, events)
		}
		return nil
	})
	return found, err
}

// priceEstimate computes the cost of an estimate that says what is used but not what it costs, and leaves it as it is if
// there is no price.
func (c *core) priceEstimate(r *request, a usage.Amounts) error {
	if r.costed || r.unknown.of(usage.Tokens) || c.options.Prices == nil {
		return nil
	}
	nanodollars, _, err := c.cost(usage.Event{ID: r.id, Subject: r.subject, Amounts: a}, r.time)
	switch {
	case errors.Is(err, ErrNoPrice):
		return nil
	case err != nil:
		return err
	}
	r.totals.Nanodollars = nanodollars
	r.unknown &^= unknownCost
	return nil
}

func (c *core) cost(e usage.Event, at time.Time) (nanodollars int64, by string, err error) {
	e.Time = at
	cost, by, err := c.options.Prices.Price(e)
	if err != nil && !errors.Is(err, ErrNoPrice) {
		err = fmt.Errorf("%w: %w", ErrNoPrice, err)
	}
	if err != nil {
		return 0, "", err
	}
	priced := usage.Amounts{Cost: &cost}
	if err := errors.Join(priced.Validate(), invalid.OptionalName("priced_by", by)); err != nil {
		return 0, "", err
	}
	totals, err := priced.Totals()
	return totals.Nanodollars, by, err
}
