package storetest

import (
	"context"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// contents is all that can be read from a store.
type contents struct {
	Catalog      budget.Catalog
	Definitions  []budget.Definition
	Counters     []budget.Counter
	Usage        map[usage.Grain][]budget.UsageRow
	Events       []budget.StoredEvent
	Reservations []budget.StoredReservation
	Adjustments  []budget.StoredAdjustment
	Tenants      []budget.Tenant
	Alerts       []alert.Alert
	Unrouted     []alert.Alert
	Deliveries   []alert.Delivery
	KeyClaims    []budget.KeyClaim
	Audit        []budget.AuditEntry
}

func contentsIn(ctx context.Context, tx budget.ReadTx) (contents, error) {
	c := contents{Usage: make(map[usage.Grain][]budget.UsageRow)}
	steps := []func() error{
		func() (err error) { c.Catalog, err = tx.Catalog(ctx); return },
		func() (err error) { c.Definitions, err = tx.Budgets(ctx, budget.Query{}); return },
		func() (err error) { c.Counters, err = tx.Counters(ctx, budget.CounterQuery{}); return },
		func() (err error) { c.Events, err = tx.Events(ctx, budget.EventQuery{Span: always}); return },
		func() (err error) { c.Reservations, err = tx.Reservations(ctx, budget.ReservationQuery{}); return },
		func() (err error) { c.Adjustments, err = tx.Adjustments(ctx, budget.AdjustmentQuery{}); return },
		func() (err error) { c.Tenants, err = tx.Tenants(ctx, budget.TenantQuery{}); return },
		func() (err error) { c.Alerts, err = tx.Alerts(ctx, budget.AlertQuery{}); return },
		func() (err error) { c.Unrouted, err = tx.Alerts(ctx, budget.AlertQuery{Unrouted: true}); return },
		func() (err error) { c.Deliveries, err = tx.Deliveries(ctx, budget.DeliveryQuery{}); return },
		func() (err error) { c.KeyClaims, err = tx.KeyClaims(ctx, budget.KeyClaimQuery{}); return },
		func() (err error) { c.Audit, err = tx.Audit(ctx, budget.AuditQuery{}); return },
	}
	for _, grain := range []usage.Grain{usage.QuarterHours, usage.Days, usage.Months} {
		steps = append(steps, func() (err error) { c.Usage[grain], err = tx.Usage(ctx, wholeUsage(grain)); return })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return c, err
		}
	}
	// Shapes that are no longer in use may stay.
	c.Catalog.Shapes = nil
	return c, nil
}

// wholeUsage asks for every sum of a grain.
func wholeUsage(grain usage.Grain) budget.UsageQuery {
	return budget.UsageQuery{
		Slices:    []usage.Slice{{Grain: grain, Bounds: always}},
		By:        []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource},
		PerBucket: true,
	}
}

// contents reads all that is in the store, in one View.
func (t *test) contents() (c contents) {
	t.Helper()
	t.view(func(tx budget.ReadTx) error {
		var err error
		c, err = contentsIn(t.Context(), tx)
		return err
	})
	return c
}

// fill takes every step of a transaction and writes something with each.
func fill(ctx context.Context, tx budget.Tx) error {
	e, r, c := event("acme", "filled"), reservation("acme", "held"), counterKey("filled", "", 0)
	if err := tx.Fence(ctx, budget.Exclusive); err != nil {
		return err
	}
	if _, err := tx.ClaimKeys(ctx, []budget.KeyClaim{keyClaim("filled")}); err != nil {
		return err
	}
	if _, err := tx.TakeReservations(ctx, []budget.ReservationKey{r.Key()}, 10); err != nil {
		return err
	}
	if _, err := tx.LockEvents(ctx, []budget.EventKey{e.Key()}); err != nil {
		return err
	}
	if _, err := tx.InsertEvents(ctx, []budget.StoredEvent{e}); err != nil {
		return err
	}
	if _, err := tx.LockCounters(ctx, []budget.CounterKey{c, counterKey("filled", "locked", 0)}); err != nil {
		return err
	}
	if _, err := tx.TakeAlerts(ctx, 10); err != nil {
		return err
	}
	if _, err := tx.LockDeliveries(ctx, []budget.DeliveryKey{{Alert: "filled", Sink: "log"}}); err != nil {
		return err
	}
	_, err := tx.Apply(ctx, everything(r, c))
	return err
}

// everything returns writes of every kind that adds something.
func everything(r budget.StoredReservation, c budget.CounterKey) budget.Writes {
	return budget.Writes{
		PutBudgets:      []budget.Definition{definition(c.Budget)},
		PutTenants:      []budget.Tenant{tenant("filled")},
		Catalog:         &budget.Catalog{Version: 42, ReportingZone: "Asia/Kathmandu", PruneFloor: at(-60 * 24 * 30)},
		Counters:        []budget.Counter{{CounterKey: c, Tally: budget.Tally{Recorded: 1}}},
		Usage:           []budget.UsageAdd{{UsageKey: usageKey("acme", 0), Totals: usage.Totals{Requests: 1}}},
		AddReservations: []budget.StoredReservation{r},
		Adjustments:     []budget.StoredAdjustment{adjustment(c.Budget, "filled")},
		Alerts:          []alert.Alert{alertOf(c.Budget, "filled")},
		Deliveries:      []alert.Delivery{delivery(alertOf(c.Budget, "filled"), "log")},
		Audit:           []budget.AuditEntry{entry("filled")},
	}
}
