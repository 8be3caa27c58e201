package budget

import (
	"context"
	"encoding/json"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A Store keeps budgets, events, counters and all that belongs to them. The comments here and on [Tx] and [ReadTx] are
// the contract; package storetest has a test for each sentence. A Store decides nothing: it fetches, locks and writes
// what a [Ledger] tells it to. It is safe for concurrent use.
//
// Instants are given and returned in UTC, cut to the microsecond. Amounts are int64 in the unit of their metric's
// scale. A zero time.Time comes back as the zero time.Time.
type Store interface {
	// Update runs fn in a read-write transaction and commits it if fn returns nil.
	// If fn returns an error, nothing of the transaction stays and Update returns that error.
	// If fn panics, nothing of the transaction stays and the panic goes on.
	// A transaction that lost a race (serialization failure, deadlock, busy, lock timeout) or found the store away is
	// run again, fn included, until ctx ends or a number of tries is reached; so fn must not depend on earlier runs.
	// If it is not known whether the commit took place, Update returns ErrOutcomeUnknown and does not run fn again.
	// A store that can't be reached is ErrUnavailable.
	// A sum that would pass int64 is ErrOverflow, and nothing of the transaction stays.
	Update(ctx context.Context, fn func(Tx) error) error

	// View runs fn on one snapshot: all that fn reads was committed, and stood together, at one moment. It never blocks
	// an Update and is not blocked by one.
	View(ctx context.Context, fn func(ReadTx) error) error
}

// A ReadTx reads from one transaction's view of the store. It is valid until the function it was given to returns, and
// is used by one goroutine. In an [Store.Update] it sees what that transaction wrote.
type ReadTx interface {
	// Catalog returns the definitions' version and what goes with it.
	Catalog(ctx context.Context) (Catalog, error)

	// Definitions returns the definitions under these scope keys, in ascending order of id within each key. A key
	// without one is absent from the map.
	Definitions(ctx context.Context, keys []ScopeKey) (map[ScopeKey][]Definition, error)

	// Budgets returns the definitions that the query selects, in the query's order.
	Budgets(ctx context.Context, q Query) ([]Definition, error)

	// CountBudgets returns how many definitions the query selects, its page left aside.
	CountBudgets(ctx context.Context, q Query) (int, error)

	// Counters returns the counters that the query selects, in the query's order. One that was never written is absent.
	Counters(ctx context.Context, q CounterQuery) ([]Counter, error)

	// Highest returns, for each of these pairs of a budget and a period's start (the Value of each key being ""), the
	// counter in which most is used, the one with the smallest value among equals, and how many counters the period has.
	// A period without a counter is absent.
	Highest(ctx context.Context, periods []CounterKey) (map[CounterKey]HighestCounter, error)

	// Usage returns sums of usage for the query, in ascending order of bucket, then of the dimensions in the query's
	// order. Without usage there is no row.
	Usage(ctx context.Context, q UsageQuery) ([]UsageRow, error)

	// Events returns stored events, corrections included, in ascending order of time, tenant and id.
	Events(ctx context.Context, q EventQuery) ([]StoredEvent, error)

	// FindEvents returns the events with these keys and the sums of their corrections. A key without an event is absent.
	FindEvents(ctx context.Context, keys []EventKey) (map[EventKey]LockedEvent, error)

	// Adjustments returns the adjustments of these budgets, in ascending order of budget, time and id.
	Adjustments(ctx context.Context, q AdjustmentQuery) ([]StoredAdjustment, error)

	// Tenants returns the tenants that the query selects, in ascending order of id.
	Tenants(ctx context.Context, q TenantQuery) ([]Tenant, error)

	// Alerts returns alerts, newest first: in descending order of the time they were made, then of id.
	Alerts(ctx context.Context, q AlertQuery) ([]alert.Alert, error)

	// Deliveries returns deliveries with their alerts, in ascending order of the alert's time and id, then of sink.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]alert.Delivery, error)

	// Audit returns audit entries, newest first: in descending order of time, then of id.
	Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error)

	// Reservations returns the reservations that the query selects, in ascending order of tenant and id.
	Reservations(ctx context.Context, q ReservationQuery) ([]StoredReservation, error)

	// KeyClaims returns the claims of keys that the query selects, in ascending order of time and key.
	KeyClaims(ctx context.Context, q KeyClaimQuery) ([]KeyClaim, error)
}

// A Tx is a [ReadTx] that also locks and writes. Its steps are few and cover many rows each, so that a store can do each
// in one round trip. The order in which a transaction takes them is that of the methods below.
type Tx interface {
	ReadTx

	// Fence is the first step of every transaction that writes. Transactions that share it run side by side; an
	// exclusive one, for changes of definitions, waits until those that share have ended, keeps later ones waiting
	// until it ends itself, and is not starved by them.
	Fence(ctx context.Context, mode FenceMode) error

	// ClaimKeys stores each of the claims whose key is not taken, and returns what stands under the keys then, with one more
	// of its Times, whatever was given; each is locked until the transaction ends. A key that another transaction is just
	// claiming is waited for. Rows are written in ascending order of key whatever the order here. No two of the claims given
	// have the same key.
	ClaimKeys(ctx context.Context, claims []KeyClaim) (map[string]KeyClaim, error)

	// TakeReservations returns the reservations with these keys and, beside them, those that are overdue, the ones whose
	// time was over first before others and at most so many, each locked until the transaction ends. One that another
	// transaction has locked is waited for, and returned as that one left it. Keys are locked in ascending order. A key
	// without a reservation is absent. The version is that of the catalog as the fence protects it.
	TakeReservations(ctx context.Context, keys []ReservationKey, overdue int) (Taken, error)

	// LockEvents returns what FindEvents does, each event locked until the transaction ends. Keys are locked in ascending
	// order.
	LockEvents(ctx context.Context, keys []EventKey) (map[EventKey]LockedEvent, error)

	// InsertEvents stores each event whose tenant and id are not taken, and returns those that stand where the others
	// would have gone, by key. An event that another transaction is just inserting is waited for. Rows are written in
	// ascending order of key whatever the order here. No two of the events given have the same key. The version is that
	// of the catalog as the fence protects it.
	InsertEvents(ctx context.Context, events []StoredEvent) (Inserted, error)

	// LockCounters returns the counters with these keys, each locked until the transaction ends. Counters that do not
	// exist yet are created at zero first. Keys are locked in ascending order whatever their order here, so that two
	// transactions can't wait for each other.
	LockCounters(ctx context.Context, keys []CounterKey) (map[CounterKey]Counter, error)

	// TakeAlerts returns alerts that are not routed, the oldest first (in ascending order of time, then id) and at most so
	// many, each locked until the transaction ends. One that another transaction has locked is waited for, and left out if
	// that one routed it.
	TakeAlerts(ctx context.Context, limit int) (TakenAlerts, error)

	// LockDeliveries returns the deliveries with these keys, each locked until the transaction ends. One that another
	// transaction has locked is waited for, and returned as that one left it. Keys are locked in ascending order. A key
	// without a delivery is absent.
	LockDeliveries(ctx context.Context, keys []DeliveryKey) (LockedDeliveries, error)

	// Apply writes and returns the counters that it added to, as they are after it. Rows are written in ascending order
	// of their keys whatever their order here. What is written, and in which order, stands with [Writes].
	Apply(ctx context.Context, w Writes) (map[CounterKey]Counter, error)
}

// A Recorder is a [Tx] that can do in one round trip what Fence, InsertEvents and Apply take three for. It is an optional
// ability: a ledger uses it where it finds it.
type Recorder interface {
	// Record does what Fence with Shared, InsertEvents with these events and Apply with w do, if all events are new and
	// the catalog's version is this one; w has Counters and Usage only. Otherwise it returns ErrGuessedWrong, and the
	// transaction can only be given up. It is the first step of its transaction.
	Record(ctx context.Context, version int64, events []StoredEvent, w Writes) (map[CounterKey]Counter, error)
}

// An Opener is a [Tx] that can do in one round trip what the first steps of a transaction with reservations take one each
// for. It is an optional ability: a ledger uses it where it finds it.
type Opener interface {
	// Open does what Fence with Shared, TakeReservations, InsertEvents and LockCounters do, one after the other, and
	// between the second and the third looks which of the events it is to look for stand. If an event that is to be
	// inserted is not new, it returns ErrGuessedWrong, and the transaction can only be given up. It is the first step of
	// its transaction. With Writes it does what Apply does in the place of LockCounters, and returns its errors.
	Open(ctx context.Context, o Opening) (Opened, error)
}

// A Soloist is a [ReadTx] of a View that needs no transaction where one step is all: it takes one round trip instead of three.
// It is an optional ability: a ledger uses it where it finds it.
type Soloist interface {
	// Alone says that the next step of the View is its only one. It is the first thing that is said, and a step that takes
	// more than one statement, or another one after it, is an error.
	Alone()

	// Standing returns, as the only step of a View of which Alone was said, the definition with this id and the counter with
	// this key as they stood together. The error is ErrNotFound if there is no such definition; a counter that was never
	// written is at zero.
	Standing(ctx context.Context, id string, counter CounterKey) (Definition, Tally, error)
}

// An Opening is what an [Opener] is given.
type Opening struct {
	Keys     []ReservationKey // of the reservations to take
	Overdue  int              // how many to take beside them that are overdue
	Look     []EventKey       // to look for
	Events   []StoredEvent    // to insert
	Counters []CounterKey     // to lock
	Writes   *Writes          // to apply, instead of locking; nil: nothing
}

// Opened is what an [Opener] found.
type Opened struct {
	Taken
	Settled  map[EventKey]bool      // those of Look under which an event stands
	Counters map[CounterKey]Counter // those locked, or as they are after Writes
}

// FenceMode says whom a fence keeps out.
type FenceMode uint8

// The modes of [Tx.Fence].
const (
	Shared    FenceMode = iota // for recording: others may record, nobody may change definitions
	Exclusive                  // for changing definitions: nobody else writes
)

// A Catalog is what all definitions have in common. It is one row.
type Catalog struct {
	Version       int64     // grows with every change to budgets, rates, zone or floor
	ReportingZone string    // IANA name; the zone of the day and month sums
	PruneFloor    time.Time // events before it are gone; zero: none were pruned
	Shapes        []Shape   // the shapes of the definitions, ascending; shapes no longer in use may stay
}

// A Definition is a budget as it is stored, with what the ledger keeps beside it.
type Definition struct {
	Budget
	Rates       []Rate    // of a credits budget, ascending by From; the last one's CostPerCredit is the budget's
	CountedFrom time.Time // counters exist for periods from here on; usage of earlier ones is computed when it is read
}

// A Rate is the price of a credit from an instant on.
type Rate struct {
	From          time.Time // inclusive; zero: since ever
	CostPerCredit decimal.Decimal
}

// A Query selects definitions. The zero value selects all, newest first.
type Query struct {
	IDs     []string          // only these; nil: all. Unknown ids are left out
	Owner   *string           // only those with this owner; "" is no owner
	Metric  usage.Metric      // only those on this metric; "": any
	Enabled *bool             // only enabled or disabled ones
	Scope   Scope             // only those whose scope has these dimensions with exactly these selectors
	Without []usage.Dimension // only those whose scope has none of these dimensions
	Labels  map[string]string // only those that carry these labels

	After  *Cursor // only those behind this one in the order
	Offset int     // leave out so many first
	Limit  int     // at most so many; 0: all
}

// A Cursor is a place in the order of definitions: CreatedAt descending, then ID descending.
type Cursor struct {
	CreatedAt time.Time
	ID        string
}

// A CounterKey names a counter: a budget, a scope value ([Value.Key]) and a period's start. It orders by budget, start and value.
type CounterKey struct {
	Budget string
	Value  string
	Start  int64 // microseconds since 1970 UTC; a number, so that keys compare with ==
}

// Tally is what a counter counts. Recorded, Adjusted, Reserved and Pruned are in the metric's units.
type Tally struct {
	Recorded  int64 // charged by events, less their corrections
	Adjusted  int64 // sum of adjustments, may be negative
	Reserved  int64 // held by open reservations
	Pruned    int64 // the part of Recorded whose events were pruned
	Denied    int64 // requests refused
	WouldDeny int64 // requests admitted by a soft or observe budget that a hard one would have refused
	Episode   int64 // names the alerts of one rise: one more whenever a level is left downwards

	Leased      int64 // the part of Reserved that leases hold
	Wanted      int64 // one more whenever a request lacked room that leases hold
	Expired     int64 // reservations that expired and were not settled since
	ExpiredHeld int64 // what those held
}

// A Counter is a tally with its key.
type Counter struct {
	CounterKey
	Tally
}

// A HighestCounter is the counter of a period in which most is used: in which Recorded + Adjusted is greatest.
type HighestCounter struct {
	Counter
	Counters int // how many counters the period has
}

// A CounterQuery selects counters. The zero value selects all; Keys and Periods are not given both.
type CounterQuery struct {
	Keys []CounterKey // these counters, in ascending order of key

	// Periods are pairs of a budget and a period's start, the Value of each key being "". All counters of these
	// periods, in ascending order of key.
	Periods []CounterKey
	After   *CounterKey // only those with a greater key
	Limit   int         // at most so many; 0: all
}

// An EventKey is what makes an event one: its id is unique per tenant. It orders by tenant, then id.
type EventKey struct {
	Tenant string
	ID     string
}

// A ReservationKey is what makes a reservation one. Reservations share the events' ids: the event that settles one has its
// key.
type ReservationKey = EventKey

// EventFlags are facts about how an event came in.
type EventFlags uint8

// The flags of a [StoredEvent].
const (
	TimeGiven EventFlags = 1 << iota // the caller gave the time; else it is the ledger's
	CostGiven                        // the caller gave the cost; else it was priced, or is 0
	Estimated                        // settled at the estimate, the usage being unknown
	Late                             // settled after its reservation had ended
)

// A StoredEvent is an event as it is stored: a fact, never changed.
type StoredEvent struct {
	ID string
	usage.Subject
	Time       time.Time    // when the use happened
	Totals     usage.Totals // with all defaults applied; negative in a correction
	Hash       usage.Hash   // of what the caller gave
	Flags      EventFlags
	Corrects   string    // the id of the event that this one corrects; "": none
	CostBefore int64     // of a correction: the event's cost just before it, in 1e-9 dollars, by which credits are rounded
	Reason     string    // of a correction
	PricedBy   string    // what the cost was computed by; "": it was given, or there is none
	RecordedAt time.Time // when it was stored, by the ledger's clock
}

// Key returns e's key.
func (e StoredEvent) Key() EventKey { return EventKey{Tenant: e.Tenant, ID: e.ID} }

// Inserted is what [Tx.InsertEvents] found.
type Inserted struct {
	Version int64                    // of the catalog, read after the fence
	Taken   map[EventKey]StoredEvent // what stands under the keys that were not inserted
}

// Taken is what [Tx.TakeReservations] found.
type Taken struct {
	Version      int64     // of the catalog, read after the fence
	Now          time.Time // by the store's clock, which decides what is overdue
	Reservations map[ReservationKey]StoredReservation
}

// A StoredReservation is a reservation as it is stored. One that was settled is gone: the event with its key remembers
// it. It is overdue if it is open and the store's clock has reached Expires.
type StoredReservation struct {
	ID string
	usage.Subject
	Time     time.Time    // when it was admitted, by the ledger's clock; the event that settles it has it too
	Estimate usage.Totals // what it is settled at where nobody knows what was used
	Hash     usage.Hash   // of the request
	State    ReservationState
	Lease    bool      // it is a lease: room from which a process admits requests
	Expires  time.Time // by the store's clock; of one that has ended, when it did
	Holds    []Hold    // what it holds, in ascending order of key; of an expired one, what it held
}

// Key returns r's key.
func (r StoredReservation) Key() ReservationKey { return ReservationKey{Tenant: r.Tenant, ID: r.ID} }

// ReservationState says what became of a reservation.
type ReservationState uint8

// The states of a reservation that is stored.
const (
	Open     ReservationState = iota // it holds what it was admitted with
	Released                         // it was given back
	Expired                          // its time was over, and what it held was given back
)

// A Hold is what a reservation holds of one counter.
type Hold struct {
	CounterKey
	Units int64 // in the metric's units; not negative
}

// A ReservationQuery selects reservations. The zero value selects all.
type ReservationQuery struct {
	Keys    []ReservationKey   // only these; nil: all
	Tenant  *string            // only those of this tenant; "" is those of none
	Budget  string             // only those that hold, or held, some of this budget; "": any
	States  []ReservationState // only those in one of these states; nil: any
	Overdue bool               // only those that are overdue
	Before  time.Time          // only those whose Expires is before it; zero: any

	After *ReservationKey // only those with a greater key
	Limit int             // at most so many; 0: all
}

// A LockedEvent is an event and the sum of what its corrections took away so far, as positive amounts.
type LockedEvent struct {
	StoredEvent
	Corrected usage.Totals
}

// A UsageKey names a sum of usage. The dimensions are "" where an event had none, and User and APIKey always are at the
// month grain.
type UsageKey struct {
	Grain    usage.Grain // QuarterHours, Days or Months; never Raw
	Bucket   int64       // its start, microseconds since 1970 UTC
	Tenant   string
	User     string
	APIKey   string
	Resource string
}

// A UsageAdd is what to add to one sum of usage.
type UsageAdd struct {
	UsageKey
	usage.Totals
}

// A UsageQuery asks for sums of usage.
type UsageQuery struct {
	// Slices are the parts of time to sum up, as usage.Cover makes them; usage outside them does not count. A Raw slice
	// is summed from the events themselves.
	Slices []usage.Slice
	Where  map[usage.Dimension]string // only usage with exactly these values; tenant, user, api_key and resource only
	By     []usage.Dimension          // one sum per value of these; nil: one sum over all. The same four
	// PerBucket gives one sum per bucket of the slice's grain rather than one over all slices. No slice is Raw then.
	PerBucket bool
	// ViaDays says that each sum of a quarter hour has one of its day, of the same values, whose bucket starts less than 28
	// hours earlier. It changes no answer: a store may find few among many by their days, of which there are fewer.
	ViaDays bool

	After *usage.Subject // only sums whose values of By are behind these in the order; not with PerBucket
	Limit int            // at most so many; 0: all
}

// A UsageRow is one sum. The dimensions that the query did not ask for are "".
type UsageRow struct {
	Bucket time.Time // the bucket's start; zero unless PerBucket
	usage.Subject
	usage.Totals
}

// An EventQuery selects events.
type EventQuery struct {
	Span   period.Bounds
	Where  map[usage.Dimension]string // only those with exactly these values; labels too
	Except bool                       // no corrections
	After  *EventCursor               // only those behind this one in the order
	Limit  int                        // at most so many; 0: all
}

// An EventCursor is a place in the order of events.
type EventCursor struct {
	Time time.Time
	EventKey
}

// A StoredAdjustment is an adjustment as it is stored.
type StoredAdjustment struct {
	ID         string
	Budget     string
	Value      string       // the counter's value, [Value.Key]
	Metric     usage.Metric // the budget's metric then: the unit of Units
	Units      int64        // signed
	Time       time.Time    // names the period
	TimeGiven  bool         // else it is the ledger's
	Reason     string
	Actor      string
	RecordedAt time.Time
}

// An AdjustmentQuery selects adjustments.
type AdjustmentQuery struct {
	Budgets []string  // of these budgets; nil: of all
	IDs     []string  // only these ids, unique per budget; nil: any
	From    time.Time // only those whose time is not before it
}

// A TenantQuery selects tenants. The zero value selects all.
type TenantQuery struct {
	IDs   []string // only these; nil: all
	After string   // only those with a greater id
	Limit int      // at most so many; 0: all
}

// An AlertQuery selects alerts. The zero value selects all.
type AlertQuery struct {
	Budgets  []string      // of these budgets; nil: of all
	IDs      []string      // only these; nil: any
	Owner    *string       // only of budgets of this owner; "" is no owner
	Tenant   *string       // only of budgets that are about this tenant; "" is those about none in particular
	Since    time.Time     // only those that were made then or later; zero: any
	Kinds    []alert.Kind  // only of these kinds; nil: of any
	Level    alert.Level   // only of this level or a higher one; resolved ones by the level that was left, if that is higher
	Unrouted bool          // only those that are to be routed
	Sink     string        // only those with a delivery to this sink; "": any
	States   []alert.State // only those with a delivery in one of these states, to Sink if that is given; nil: any

	After *TimeCursor // only those behind this one in the order
	Limit int         // at most so many; 0: all
}

// A DeliveryKey is what makes a delivery one. It orders by alert, then sink.
type DeliveryKey struct {
	Alert string // its id
	Sink  string
}

// A DeliveryQuery selects deliveries. The zero value selects all.
type DeliveryQuery struct {
	Alerts []string      // of the alerts with these ids; nil: of all
	Sink   string        // to this sink; "": to any
	States []alert.State // only those in one of these states; nil: any
	Before time.Time     // only those whose Due is before it; zero: any
	// Ready leaves those that are waiting or claimed, due by the store's clock, and first in their line: no other one of the
	// same sink, budget and value that is waiting or claimed comes before them in the order.
	Ready bool
	Limit int // at most so many; 0: all
}

// TakenAlerts is what [Tx.TakeAlerts] found.
type TakenAlerts struct {
	Now    time.Time // by the store's clock, which decides what is due
	Alerts []alert.Alert
}

// LockedDeliveries is what [Tx.LockDeliveries] found.
type LockedDeliveries struct {
	Now        time.Time // by the store's clock, read when all were locked
	Deliveries map[DeliveryKey]alert.Delivery
}

// A TimeCursor is a place in an order of time descending, then id descending.
type TimeCursor struct {
	Time time.Time
	ID   string
}

// An AuditEntry says who did what, and to what.
type AuditEntry struct {
	ID      string          // UUIDv7
	Time    time.Time       // by the ledger's clock
	Actor   string          // who did it; "" where the ledger was told nobody
	Tenant  string          // the tenant that it concerns; "": none in particular
	Action  string          // e.g. "update_budget"
	Kind    string          // the kind of thing it was done to, e.g. "budget"; "": of none in particular
	Target  string          // the thing's id; "": none in particular
	Before  json.RawMessage // object of the changed fields as they were; nil: there was nothing before
	After   json.RawMessage // object of the changed fields as they are; nil: nothing is left
	Details json.RawMessage // object of what the ledger's caller says of it; nil: nothing
}

// An AuditQuery selects audit entries. The zero value selects all.
type AuditQuery struct {
	Tenant *string       // only those of this tenant; "" is those of none
	Actor  string        // "": any
	Action string        // "": any
	Target string        // "": any
	Span   period.Bounds // only those of this time; an end that is zero is open
	After  *TimeCursor   // only those behind this one in the order
	Limit  int           // at most so many; 0: all
}

// A KeyClaim says which request an idempotency key stands for.
type KeyClaim struct {
	Key   string
	Hash  [32]byte  // of the request
	Time  time.Time // when it was claimed first, by the ledger's clock
	Times int64     // how often it was claimed
}

// A KeyClaimQuery selects claims of keys. The zero value selects all.
type KeyClaimQuery struct {
	Keys   []string  // of these keys; nil: of all
	Before time.Time // only those whose Time is before it; zero: any
	Limit  int       // at most so many; 0: all
}

// Writes is what a transaction writes in one step. The parts are written in the order of the fields.
type Writes struct {
	// DropCounters names budgets whose counters are all dropped.
	DropCounters []string
	// DeleteBudgets names definitions to delete; their rates, counters and adjustments go with them, nothing else does.
	DeleteBudgets []string
	// PutBudgets are definitions to store, in the place of those with the same id.
	PutBudgets []Definition
	// PutTenants are tenants to store, in the place of those with the same id. No two have the same id. What their licenses
	// have used is not kept. Like definitions, they are written behind an exclusive fence.
	PutTenants []Tenant
	// Catalog, if not nil, replaces the catalog; its Shapes are ignored, the store keeps them itself.
	Catalog *Catalog

	// DropUsage are parts of time whose sums of usage are dropped: per slice, those of its grain whose bucket starts in it.
	DropUsage []usage.Slice
	// DeleteEvents are events to delete. Nothing else changes by it.
	DeleteEvents []EventKey

	// Counters are added to the counters with these keys, which are created at zero first where they do not exist. No
	// two have the same key.
	Counters []Counter
	// Usage is added to the sums with these keys, which are created at zero first. No two have the same key.
	Usage []UsageAdd

	// AddReservations are stored. One whose key is taken, by a reservation or by an event, also by a transaction that has
	// just committed, makes Apply return ErrConflict. No two of these, of those that are put and of those that are deleted have the same key.
	AddReservations []StoredReservation
	// PutReservations are stored in the place of those with the same keys, which are locked.
	PutReservations []StoredReservation
	// DeleteReservations are deleted. They are locked.
	DeleteReservations []ReservationKey

	// Adjustments are stored. One whose budget and id are taken makes Apply return ErrConflict.
	Adjustments []StoredAdjustment
	// Alerts are stored, but for those whose budget, value, period start, kind, threshold and episode stand already. They are
	// to be routed, but for superseded ones.
	Alerts []alert.Alert
	// RouteAlerts are the ids of alerts that are routed now. They were taken.
	RouteAlerts []string
	// Deliveries are stored, in the place of those with the same alert and sink, which are locked. What an alert says is not
	// written anew: it stands.
	Deliveries []alert.Delivery
	// DeleteDeliveries are deleted. They are locked.
	DeleteDeliveries []DeliveryKey
	// DeleteKeyClaims are deleted where the same key and Time stand.
	DeleteKeyClaims []KeyClaim
	// Audit entries are stored, but for those that stand already, with the same id and time.
	Audit []AuditEntry
}
