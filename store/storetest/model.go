package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

func model() section[*test] {
	return section[*test]{"Model", []rule[*test]{
		{"random transactions and queries have the answers that package memstore gives", agrees},
	}}
}

// agrees takes the same random transactions in the store and in a memstore, and compares all answers.
func agrees(t *test) {
	seed := uint64(1)
	if os.Getenv("PURSER_SOAK") != "" {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	g := &generator{rand.New(rand.NewPCG(seed, 0)), 0, nil}
	reference, c := &test{T: t.T, store: memstore.New(nil)}, t.catalog()
	reference.define(budget.Writes{Catalog: &c})
	for i := 0; i < turns(150) && !t.Failed(); i++ {
		transaction, queries := g.transaction(), g.queries()
		transaction.look = i%10 == 0
		equal(t, "a transaction is answered as by memstore", transaction.answers(reference), transaction.answers(t))
		equal(t, "queries are answered as by memstore", queries.answers(reference), queries.answers(t))
		if t.Failed() {
			t.Logf("transaction %d: %+v\nqueries: %+v", i, transaction, queries)
		}
	}
	equal(t, "in the end all is as in memstore", reference.contents(), t.contents())
}

// A transaction is what goes into each step of an Update.
type transaction struct {
	mode             budget.FenceMode
	claimKeys        []budget.KeyClaim
	forgetClaimed    bool // what stands under them is deleted
	takeReservations []budget.ReservationKey
	overdue          int                        // so many are taken beside those
	putOrAdd         []budget.StoredReservation // those that were taken are put, others are added
	deleteTaken      []budget.ReservationKey
	lockEvents       []budget.EventKey
	insertEvents     []budget.StoredEvent
	lockCounters     []budget.CounterKey
	takeAlerts       int                  // so many are taken and routed
	sinks            []string             // that those go to
	lockDeliveries   []budget.DeliveryKey // those that are there are put or deleted
	putDelivery      alert.Delivery       // how they are then
	deleteLocked     bool
	writes           budget.Writes
	look             bool // fn reads all there is
	refuse           bool // fn returns an error after all
}

// transactionAnswers is what comes out of them.
type transactionAnswers struct {
	Claimed        map[string]budget.KeyClaim
	Taken          budget.Taken
	LockedEvents   map[budget.EventKey]budget.LockedEvent
	Inserted       budget.Inserted
	LockedCounters map[budget.CounterKey]budget.Counter
	TakenAlerts    budget.TakenAlerts
	Deliveries     budget.LockedDeliveries
	After          map[budget.CounterKey]budget.Counter
	Within         contents
	Outcome        string
}

var errRefused = errors.New("refused")

func (x transaction) answers(t *test) (a transactionAnswers) {
	err := t.store.Update(t.Context(), func(tx budget.Tx) (err error) {
		a, err = x.take(t.Context(), tx)
		return err
	})
	switch {
	case err == nil:
		a.Outcome = "committed"
	case errors.Is(err, errRefused), errors.Is(err, budget.ErrConflict):
		a = transactionAnswers{Outcome: "undone"}
	default:
		t.Fatalf("Update: %v", err)
	}
	return a
}

func (x transaction) take(ctx context.Context, tx budget.Tx) (a transactionAnswers, err error) {
	steps := []func() error{
		func() error { return tx.Fence(ctx, x.mode) },
		func() (err error) { a.Claimed, err = tx.ClaimKeys(ctx, x.claimKeys); return err },
		func() (err error) { a.Taken, err = tx.TakeReservations(ctx, x.takeReservations, x.overdue); return err },
		func() (err error) { a.LockedEvents, err = tx.LockEvents(ctx, x.lockEvents); return err },
		func() (err error) { a.Inserted, err = tx.InsertEvents(ctx, x.insertEvents); return err },
		func() (err error) { a.LockedCounters, err = tx.LockCounters(ctx, x.lockCounters); return err },
		func() (err error) { a.TakenAlerts, err = tx.TakeAlerts(ctx, x.takeAlerts); return err },
		func() (err error) { a.Deliveries, err = tx.LockDeliveries(ctx, x.lockDeliveries); return err },
		func() (err error) { a.After, err = tx.Apply(ctx, x.writesFor(a)); return err },
	}
	if x.look {
		steps = append(steps, func() (err error) { a.Within, err = contentsIn(ctx, tx); return err })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return a, err
		}
	}
	a.Taken.Now, a.TakenAlerts.Now, a.Deliveries.Now = time.Time{}, time.Time{}, time.Time{} // no two clocks agree
	if x.refuse {
		return a, errRefused
	}
	return a, nil
}

// writesFor returns what to write once these are taken.
func (x transaction) writesFor(a transactionAnswers) budget.Writes {
	w, taken := x.writes, a.Taken
	for _, r := range x.putOrAdd {
		if _, locked := taken.Reservations[r.Key()]; locked {
			w.PutReservations = append(w.PutReservations, r)
		} else {
			w.AddReservations = append(w.AddReservations, r)
		}
	}
	if x.forgetClaimed {
		w.DeleteKeyClaims = slices.Collect(maps.Values(a.Claimed))
	}
	for _, key := range x.deleteTaken {
		if _, locked := taken.Reservations[key]; locked {
			w.DeleteReservations = append(w.DeleteReservations, key)
		}
	}
	for _, taken := range a.TakenAlerts.Alerts {
		w.RouteAlerts = append(w.RouteAlerts, taken.ID)
		for _, sink := range x.sinks {
			w.Deliveries = append(w.Deliveries, delivery(taken, sink, waiting(x.putDelivery.Due)))
		}
	}
	for key, locked := range a.Deliveries.Deliveries {
		if x.deleteLocked {
			w.DeleteDeliveries = append(w.DeleteDeliveries, key)
			continue
		}
		put := x.putDelivery
		put.Alert, put.Sink = locked.Alert, locked.Sink
		w.Deliveries = append(w.Deliveries, put)
	}
	return w
}

// queries is one of each.
type queries struct {
	keys         []budget.ScopeKey
	budgets      budget.Query
	counters     budget.CounterQuery
	highest      []budget.CounterKey
	usage        budget.UsageQuery
	events       budget.EventQuery
	found        []budget.EventKey
	reservations budget.ReservationQuery
	adjustments  budget.AdjustmentQuery
	tenants      budget.TenantQuery
	alerts       budget.AlertQuery
	deliveries   budget.DeliveryQuery
	claims       budget.KeyClaimQuery
	audit        budget.AuditQuery
}

type queryAnswers struct {
	Definitions  map[budget.ScopeKey][]budget.Definition
	Budgets      []budget.Definition
	Count        int
	Counters     []budget.Counter
	Highest      map[budget.CounterKey]budget.HighestCounter
	Usage        []budget.UsageRow
	Events       []budget.StoredEvent
	Found        map[budget.EventKey]budget.LockedEvent
	Reservations []budget.StoredReservation
	Adjustments  []budget.StoredAdjustment
	Tenants      []budget.Tenant
	Alerts       []alert.Alert
	Deliveries   []alert.Delivery
	KeyClaims    []budget.KeyClaim
	Audit        []budget.AuditEntry
}

func (q queries) answers(t *test) queryAnswers {
	return queryAnswers{
		Definitions:  read(t, budget.ReadTx.Definitions, q.keys),
		Budgets:      read(t, budget.ReadTx.Budgets, q.budgets),
		Count:        read(t, budget.ReadTx.CountBudgets, q.budgets),
		Counters:     read(t, budget.ReadTx.Counters, q.counters),
		Highest:      read(t, budget.ReadTx.Highest, q.highest),
		Usage:        read(t, budget.ReadTx.Usage, q.usage),
		Events:       read(t, budget.ReadTx.Events, q.events),
		Found:        read(t, budget.ReadTx.FindEvents, q.found),
		Reservations: read(t, budget.ReadTx.Reservations, q.reservations),
		Adjustments:  read(t, budget.ReadTx.Adjustments, q.adjustments),
		Tenants:      read(t, budget.ReadTx.Tenants, q.tenants),
		Alerts:       read(t, budget.ReadTx.Alerts, q.alerts),
		Deliveries:   read(t, budget.ReadTx.Deliveries, q.deliveries),
		KeyClaims:    read(t, budget.ReadTx.KeyClaims, q.claims),
		Audit:        read(t, budget.ReadTx.Audit, q.audit),
	}
}

// A generator makes rows and queries out of few values, so that they meet.
type generator struct {
	*rand.Rand
	made   int      // so many ids of alerts and audit entries, and instants of which there is one each
	alerts []string // their ids
}

var (
	someNames  = []string{"", "B", "a", "ä"}
	someIDs    = []string{"1", "10", "2", "B", "a", "b", "é'"}
	someScopes = []budget.Scope{nil, {usage.Tenant: "a"}, {usage.Tenant: "B"}, {usage.User: budget.Each}, {usage.Tenant: "a", usage.User: budget.Each}, {"project": "ä"}}
	someStates = []budget.ReservationState{budget.Open, budget.Released, budget.Expired}
	someKinds  = []alert.Kind{alert.Threshold, alert.Blocked, alert.Resolved}
	someSinks  = []string{"B", "a", "ä'"}

	someDeliveryStates = []alert.State{alert.Waiting, alert.Claimed, alert.Delivered, alert.Dead}

	fourInOrder  = []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource}
	grainsOfSums = []usage.Grain{usage.QuarterHours, usage.Days, usage.Months}
)

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func one[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// some returns up to n different things, perhaps none.
func some[T any](g *generator, n int, from []T) []T {
	var list []T
	for _, i := range g.Perm(len(from))[:g.IntN(min(n, len(from))+1)] {
		list = append(list, from[i])
	}
	return list
}

// perhaps returns what is made in some cases, else the zero value.
func perhaps[T any](g *generator, make func() T) (v T) {
	if g.chance(40) {
		v = make()
	}
	return v
}

func pointer[T any](v T) *T { return &v }

// time returns one of few instants around noon, edges of quarter hours among them.
func (g *generator) time() time.Time {
	return at(15 * g.IntN(6)).Add(time.Duration(g.IntN(3)-1) * time.Microsecond)
}

func (g *generator) span() period.Bounds {
	start, end := g.time(), g.time()
	if end.Before(start) {
		start, end = end, start
	}
	return period.Bounds{Start: start, End: end}
}

func (g *generator) totals() usage.Totals {
	return usage.Totals{InputTokens: g.Int64N(100) - 20, TotalTokens: g.Int64N(100), Requests: g.Int64N(3), Nanodollars: g.Int64() / 1000}
}

func (g *generator) subject() usage.Subject {
	s := usage.Subject{Tenant: one(g, someNames), User: one(g, someNames), APIKey: one(g, someNames), Resource: one(g, someNames)}
	if g.chance(30) {
		s.Labels = map[string]string{"project": one(g, someNames[1:])}
	}
	return s
}

func (g *generator) id() string {
	g.made++
	return fmt.Sprint(one(g, someIDs), g.made)
}

func (g *generator) eventKeys() []budget.EventKey {
	var keys []budget.EventKey
	for _, tenant := range some(g, 3, someNames) {
		for _, id := range some(g, 4, someIDs) {
			keys = append(keys, budget.EventKey{Tenant: tenant, ID: id})
		}
	}
	return keys
}

func (g *generator) counterKeys() []budget.CounterKey {
	var keys []budget.CounterKey
	for _, id := range some(g, 3, someIDs) {
		for _, value := range some(g, 3, someNames) {
			keys = append(keys, budget.CounterKey{Budget: id, Value: value, Start: one(g, starts())})
		}
	}
	return keys
}

func (g *generator) periods() []budget.CounterKey {
	var keys []budget.CounterKey
	for _, id := range some(g, 4, someIDs) {
		for _, start := range some(g, 2, starts()) {
			keys = append(keys, budget.CounterKey{Budget: id, Start: start})
		}
	}
	return keys
}

func (g *generator) slices(grains []usage.Grain) []usage.Slice {
	var list []usage.Slice
	for quarter := 0; quarter < 6; {
		next := quarter + 1 + g.IntN(3)
		list = append(list, slice(one(g, grains), 15*quarter, 15*next))
		quarter = next + g.IntN(2)
	}
	return list
}

func (g *generator) where(dimensions []usage.Dimension) map[usage.Dimension]string {
	where := make(map[usage.Dimension]string)
	for _, d := range some(g, 2, dimensions) {
		where[d] = one(g, someNames)
	}
	return where
}

func (g *generator) transaction() transaction {
	x := transaction{
		mode:         budget.Shared,
		lockEvents:   g.eventKeys(),
		lockCounters: g.counterKeys(),
		refuse:       g.chance(10),
	}
	for _, key := range g.eventKeys() {
		x.insertEvents = append(x.insertEvents, g.event(key))
	}
	if g.chance(30) {
		x.mode = budget.Exclusive
		g.change(&x.writes)
	}
	g.claim(&x)
	g.reserve(&x)
	g.deliver(&x)
	g.add(&x.writes)
	return x
}

// claim makes a transaction claim keys, and in some cases delete what stands under them then.
func (g *generator) claim(x *transaction) {
	for _, id := range some(g, 3, someIDs) {
		x.claimKeys = append(x.claimKeys, keyClaim(id, func(c *budget.KeyClaim) { c.Time, c.Hash[0] = g.time(), byte(g.IntN(256)) }))
	}
	x.forgetClaimed = g.chance(20)
}

// deliver makes a transaction route alerts, and write deliveries that it locked.
func (g *generator) deliver(x *transaction) {
	x.takeAlerts, x.sinks = g.IntN(3), some(g, 3, someSinks)
	for _, id := range some(g, 10, g.alerts) {
		for _, sink := range some(g, 3, someSinks) {
			x.lockDeliveries = append(x.lockDeliveries, budget.DeliveryKey{Alert: id, Sink: sink})
		}
	}
	x.deleteLocked = g.chance(20)
	x.putDelivery = alert.Delivery{State: one(g, someDeliveryStates), Tries: g.IntN(5), Due: g.expiry(), Error: one(g, someNames)}
}

func (g *generator) deliveryStates() []alert.State { return some(g, 4, someDeliveryStates) }

// reserve makes a transaction take reservations and write some, mostly those that it took.
func (g *generator) reserve(x *transaction) {
	x.takeReservations, x.overdue = g.eventKeys(), g.IntN(4)
	keys := x.takeReservations
	if g.chance(20) {
		keys = g.eventKeys()
	}
	for _, key := range keys {
		switch g.IntN(4) {
		case 0:
			x.deleteTaken = append(x.deleteTaken, key)
		case 1, 2:
			x.putOrAdd = append(x.putOrAdd, g.reservation(key))
		}
	}
}

func (g *generator) reservation(key budget.ReservationKey) budget.StoredReservation {
	r := budget.StoredReservation{
		ID: key.ID, Subject: g.subject(), Time: g.time(), Estimate: g.totals(), Hash: usage.Hash{1, byte(g.IntN(256))},
		State: one(g, someStates), Lease: g.chance(30), Expires: g.expiry(),
	}
	r.Tenant = key.Tenant
	for _, counter := range g.counterKeys() {
		r.Holds = append(r.Holds, budget.Hold{CounterKey: counter, Units: g.Int64N(9)})
	}
	slices.SortFunc(r.Holds, func(a, b budget.Hold) int { return a.Compare(b.CounterKey) })
	return r
}

// expiry returns an instant of its own, as a store may choose among those that are overdue since the same one, long ago
// or far ahead.
func (g *generator) expiry() time.Time {
	g.made++
	return one(g, []time.Time{longAgo, longAgo, farAhead}).Add(-time.Duration(g.IntN(100))*time.Hour - time.Duration(g.made)*time.Microsecond)
}

func (g *generator) event(key budget.EventKey) budget.StoredEvent {
	e := budget.StoredEvent{ID: key.ID, Subject: g.subject(), Time: g.time(), Totals: g.totals(), Hash: usage.Hash{1, byte(g.IntN(256))}, RecordedAt: g.time()}
	e.Tenant = key.Tenant
	if g.chance(30) {
		e.Corrects, e.Totals = one(g, someIDs), e.Totals.Negate()
	}
	return e
}

func (g *generator) definition(id string) budget.Definition {
	return definition(id, func(d *budget.Definition) {
		d.Scope, d.CreatedAt, d.Disabled = one(g, someScopes), at(g.IntN(3)), g.chance(50)
		d.Owner, d.Metric, d.Limit = one(g, someNames), one(g, usage.Metrics()), usage.Dollars.Decimal(1+g.Int64N(1e12))
		if g.chance(50) {
			d.Labels = map[string]string{one(g, someIDs): one(g, someIDs)}
		}
	})
}

// change makes writes that change definitions.
func (g *generator) change(w *budget.Writes) {
	w.DropCounters = some(g, 1, someIDs)
	w.DeleteBudgets = some(g, 1, someIDs)
	for _, id := range some(g, 3, someIDs) {
		w.PutBudgets = append(w.PutBudgets, g.definition(id))
	}
	for _, id := range some(g, 3, someIDs) {
		w.PutTenants = append(w.PutTenants, tenant(id, func(t *budget.Tenant) { t.Name, t.Licenses = one(g, someNames), nil }))
	}
	w.Catalog = perhaps(g, func() *budget.Catalog {
		return &budget.Catalog{Version: g.Int64(), ReportingZone: one(g, []string{"UTC", "Europe/Berlin"}), PruneFloor: g.time()}
	})
	w.DropUsage = perhaps(g, func() []usage.Slice { return g.slices(grainsOfSums)[:1] })
	w.DeleteEvents = perhaps(g, func() []budget.EventKey { return g.eventKeys() })
}

// add makes writes that only add.
func (g *generator) add(w *budget.Writes) {
	for _, key := range g.counterKeys() {
		w.Counters = append(w.Counters, counter(key, budget.Tally{
			Recorded: g.Int64N(5) - 1, Adjusted: g.Int64N(3) - 1, Reserved: g.Int64N(9), Expired: g.Int64N(3), ExpiredHeld: g.Int64N(9),
		}))
	}
	for _, name := range some(g, 4, someNames) {
		s, grain := g.subject(), one(g, grainsOfSums)
		key := budget.UsageKey{Grain: grain, Bucket: at(15 * g.IntN(6)).UnixMicro(), Tenant: name, User: s.User, APIKey: s.APIKey, Resource: s.Resource}
		w.Usage = append(w.Usage, used(key, g.totals()))
	}
	for _, id := range some(g, 1, someIDs) {
		w.Adjustments = append(w.Adjustments, adjustment(id, fmt.Sprint(g.IntN(50)), func(a *budget.StoredAdjustment) { a.Time = g.time() }))
	}
	for _, id := range some(g, 2, someIDs) {
		a := alertOf(id, g.id(), func(a *alert.Alert) {
			a.Value, a.Episode, a.At = one(g, someNames), g.IntN(20), g.time()
			a.Kind, a.Level, a.Left, a.Superseded = one(g, someKinds), alert.Level(g.IntN(4)), alert.Level(g.IntN(4)), g.chance(30)
		})
		g.alerts = append(g.alerts, a.ID)
		w.Alerts = append(w.Alerts, a)
	}
	for _, name := range some(g, 2, someNames) {
		w.Audit = append(w.Audit, entry(g.id(), func(e *budget.AuditEntry) {
			e.Time, e.Tenant, e.Actor, e.Target = g.time(), name, one(g, someNames), one(g, someIDs)
		}))
	}
}

func (g *generator) queries() queries {
	names := func() string { return one(g, someNames) }
	ids := func() []string { return some(g, 4, someIDs) }
	q := queries{
		budgets: budget.Query{
			IDs:     perhaps(g, ids),
			Owner:   perhaps(g, func() *string { return pointer(names()) }),
			Metric:  perhaps(g, func() usage.Metric { return one(g, usage.Metrics()) }),
			Enabled: perhaps(g, func() *bool { return pointer(g.chance(50)) }),
			Scope:   one(g, someScopes),
			Without: perhaps(g, func() []usage.Dimension { return some(g, 1, fourInOrder) }),
			After: perhaps(g, func() *budget.Cursor {
				return &budget.Cursor{CreatedAt: at(g.IntN(3)), ID: one(g, someIDs)}
			}),
			Offset: g.IntN(3),
			Limit:  g.IntN(5),
		},
		counters: budget.CounterQuery{
			After: perhaps(g, func() *budget.CounterKey {
				return &budget.CounterKey{Budget: one(g, someIDs), Value: names(), Start: one(g, starts())}
			}),
			Limit: g.IntN(10),
		},
		highest: g.periods(),
		usage:   g.usageQuery(),
		events: budget.EventQuery{
			Span:   g.span(),
			Where:  g.where(append([]usage.Dimension{"project"}, fourInOrder...)),
			Except: g.chance(50),
			After: perhaps(g, func() *budget.EventCursor {
				return &budget.EventCursor{Time: g.time(), EventKey: budget.EventKey{Tenant: names(), ID: one(g, someIDs)}}
			}),
			Limit: g.IntN(10),
		},
		found: g.eventKeys(),
		reservations: budget.ReservationQuery{
			Keys:    perhaps(g, func() []budget.ReservationKey { return g.eventKeys() }),
			Tenant:  perhaps(g, func() *string { return pointer(names()) }),
			Budget:  perhaps(g, func() string { return one(g, someIDs) }),
			States:  perhaps(g, func() []budget.ReservationState { return some(g, 3, someStates) }),
			Overdue: g.chance(20),
			Before:  perhaps(g, g.expiry),
			After: perhaps(g, func() *budget.ReservationKey {
				return &budget.ReservationKey{Tenant: names(), ID: one(g, someIDs)}
			}),
			Limit: g.IntN(10),
		},
		adjustments: budget.AdjustmentQuery{Budgets: perhaps(g, ids), From: perhaps(g, g.time)},
		tenants:     budget.TenantQuery{IDs: perhaps(g, ids), After: perhaps(g, func() string { return one(g, someIDs) }), Limit: g.IntN(4)},
		alerts: budget.AlertQuery{
			Budgets:  perhaps(g, ids),
			Owner:    perhaps(g, func() *string { return pointer("finance") }),
			Tenant:   perhaps(g, func() *string { return pointer(names()) }),
			Since:    perhaps(g, g.time),
			IDs:      perhaps(g, func() []string { return some(g, 20, g.alerts) }),
			Kinds:    perhaps(g, func() []alert.Kind { return some(g, 3, someKinds) }),
			Level:    alert.Level(g.IntN(4)),
			Unrouted: g.chance(20),
			Sink:     perhaps(g, func() string { return one(g, someSinks) }),
			States:   perhaps(g, g.deliveryStates),
			After:    perhaps(g, g.cursor),
			Limit:    g.IntN(10),
		},
		deliveries: budget.DeliveryQuery{
			Alerts: perhaps(g, func() []string { return some(g, 20, g.alerts) }),
			Sink:   perhaps(g, func() string { return one(g, someSinks) }),
			States: perhaps(g, g.deliveryStates),
			Before: perhaps(g, g.expiry),
			Ready:  g.chance(50),
			Limit:  g.IntN(20),
		},
		claims: budget.KeyClaimQuery{Keys: perhaps(g, ids), Before: perhaps(g, g.time), Limit: g.IntN(4)},
		audit: budget.AuditQuery{
			Tenant: perhaps(g, func() *string { return pointer(names()) }),
			Actor:  perhaps(g, names),
			Target: perhaps(g, func() string { return one(g, someIDs) }),
			Span:   perhaps(g, g.span),
			After:  perhaps(g, g.cursor),
			Limit:  g.IntN(10),
		},
	}
	for _, scope := range some(g, 3, someScopes) {
		q.keys = append(q.keys, scope.Key())
	}
	switch g.IntN(3) {
	case 0:
		q.counters.Keys = g.counterKeys()
	case 1:
		q.counters.Periods = g.periods()
	}
	return q
}

func (g *generator) usageQuery() budget.UsageQuery {
	q := budget.UsageQuery{Where: g.where(fourInOrder), By: some(g, 4, fourInOrder), PerBucket: g.chance(50), Limit: g.IntN(5)}
	if q.PerBucket {
		q.Slices = g.slices(grainsOfSums)
	} else {
		q.After = perhaps(g, func() *usage.Subject { return pointer(g.subject()) })
		q.Slices = g.slices(append([]usage.Grain{usage.Raw}, grainsOfSums...))
	}
	return q
}

func (g *generator) cursor() *budget.TimeCursor {
	return &budget.TimeCursor{Time: g.time(), ID: one(g, someIDs)}
}
