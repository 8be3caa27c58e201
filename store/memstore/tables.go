package memstore

import (
	"cmp"
	"iter"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
)

// tables is all that a store holds. Its rows are never changed, only replaced.
type tables struct {
	catalog      budget.Catalog // without its shapes, which are those of the definitions
	definitions  tree[*definition]
	scopes       tree[*definition] // the same, as events look for them
	counters     tree[budget.Counter]
	events       tree[*budget.StoredEvent]
	timeline     tree[*budget.StoredEvent] // the same, as reports read them
	corrections  tree[*budget.StoredEvent] // those that correct another, by which
	usage        tree[budget.UsageAdd]
	reservations tree[*budget.StoredReservation]
	open         tree[*budget.StoredReservation] // those that are, as their time will be over
	adjustments  tree[*budget.StoredAdjustment]
	tenants      tree[*budget.Tenant]
	alerts       tree[*alert.Alert]
	unrouted     tree[*alert.Alert]    // those that are to be routed, the oldest first
	deliveries   tree[*alert.Delivery] // with their alerts
	claims       tree[budget.KeyClaim]
	audit        tree[*budget.AuditEntry]
}

// A definition is kept with the key of its scope, which takes some work to tell.
type definition struct {
	key budget.ScopeKey
	budget.Definition
}

func newTables(zone string) *tables {
	return &tables{
		catalog:      budget.Catalog{Version: 1, ReportingZone: zone},
		definitions:  newTree(func(a, b *definition) int { return strings.Compare(a.ID, b.ID) }),
		scopes:       newTree(compareScopes),
		counters:     newTree(func(a, b budget.Counter) int { return a.Compare(b.CounterKey) }),
		events:       newTree(func(a, b *budget.StoredEvent) int { return compareEvents(a.Key(), b.Key()) }),
		timeline:     newTree(compareTimes),
		corrections:  newTree(compareCorrections),
		usage:        newTree(func(a, b budget.UsageAdd) int { return compareUsage(a.UsageKey, b.UsageKey) }),
		reservations: newTree(func(a, b *budget.StoredReservation) int { return compareEvents(a.Key(), b.Key()) }),
		open:         newTree(compareExpiries),
		adjustments:  newTree(compareAdjustments),
		tenants:      newTree(func(a, b *budget.Tenant) int { return strings.Compare(a.ID, b.ID) }),
		alerts:       newTree(compareAlerts),
		unrouted:     newTree(compareAges),
		deliveries:   newTree(compareDeliveries),
		claims:       newTree(func(a, b budget.KeyClaim) int { return strings.Compare(a.Key, b.Key) }),
		audit:        newTree(func(a, b *budget.AuditEntry) int { return newestFirst(a.Time, a.ID, b.Time, b.ID) }),
	}
}

// copy returns tables of their own with the same rows. It takes no longer for many rows than for few.
func (t *tables) copy() *tables {
	return &tables{
		catalog:      t.catalog,
		definitions:  t.definitions.copy(),
		scopes:       t.scopes.copy(),
		counters:     t.counters.copy(),
		events:       t.events.copy(),
		timeline:     t.timeline.copy(),
		corrections:  t.corrections.copy(),
		usage:        t.usage.copy(),
		reservations: t.reservations.copy(),
		open:         t.open.copy(),
		adjustments:  t.adjustments.copy(),
		tenants:      t.tenants.copy(),
		alerts:       t.alerts.copy(),
		unrouted:     t.unrouted.copy(),
		deliveries:   t.deliveries.copy(),
		claims:       t.claims.copy(),
		audit:        t.audit.copy(),
	}
}

func compareScopes(a, b *definition) int {
	return cmp.Or(
		cmp.Compare(a.key.Shape, b.key.Shape),
		strings.Compare(a.key.Fixed, b.key.Fixed),
		strings.Compare(a.ID, b.ID),
	)
}

func compareEvents(a, b budget.EventKey) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.ID, b.ID))
}

func compareTimes(a, b *budget.StoredEvent) int {
	return cmp.Or(a.Time.Compare(b.Time), compareEvents(a.Key(), b.Key()))
}

func compareCorrections(a, b *budget.StoredEvent) int {
	return cmp.Or(
		strings.Compare(a.Tenant, b.Tenant),
		strings.Compare(a.Corrects, b.Corrects),
		strings.Compare(a.ID, b.ID),
	)
}

func compareUsage(a, b budget.UsageKey) int {
	return cmp.Or(
		cmp.Compare(a.Grain, b.Grain),
		cmp.Compare(a.Bucket, b.Bucket),
		strings.Compare(a.Tenant, b.Tenant),
		strings.Compare(a.User, b.User),
		strings.Compare(a.APIKey, b.APIKey),
		strings.Compare(a.Resource, b.Resource),
	)
}

func compareExpiries(a, b *budget.StoredReservation) int {
	return cmp.Or(a.Expires.Compare(b.Expires), compareEvents(a.Key(), b.Key()))
}

func compareAdjustments(a, b *budget.StoredAdjustment) int {
	return cmp.Or(strings.Compare(a.Budget, b.Budget), strings.Compare(a.ID, b.ID))
}

func compareAlerts(a, b *alert.Alert) int {
	return cmp.Or(
		strings.Compare(a.Budget, b.Budget),
		strings.Compare(a.Value, b.Value),
		a.Period.Start.Compare(b.Period.Start),
		cmp.Compare(a.Kind, b.Kind),
		a.Threshold.Cmp(b.Threshold),
		cmp.Compare(a.Episode, b.Episode),
	)
}

// compareAges puts the oldest alert first.
func compareAges(a, b *alert.Alert) int { return newestFirst(b.At, b.ID, a.At, a.ID) }

func compareDeliveries(a, b *alert.Delivery) int {
	return cmp.Or(compareAges(&a.Alert, &b.Alert), strings.Compare(a.Sink, b.Sink))
}

// newestFirst orders by time, then id, both descending.
func newestFirst(timeA time.Time, idA string, timeB time.Time, idB string) int {
	return cmp.Or(timeB.Compare(timeA), strings.Compare(idB, idA))
}

// A tree keeps rows in an order in which no two are equal. It shares all with its copies until one of them is written to.
type tree[T any] struct{ *btree.BTreeG[T] }

func newTree[T any](compare func(a, b T) int) tree[T] {
	less := func(a, b T) bool { return compare(a, b) < 0 }
	return tree[T]{btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

func (t tree[T]) copy() tree[T] { return tree[T]{t.Copy()} }

// all yields the rows in order.
func (t tree[T]) all() iter.Seq[T] { return t.Scan }

// from yields the rows that are not before first, in order.
func (t tree[T]) from(first T) iter.Seq[T] {
	return func(yield func(T) bool) { t.Ascend(first, yield) }
}
