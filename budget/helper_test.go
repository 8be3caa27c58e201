package budget_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // the machine's database may have fewer zones, or none

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

func TestMain(m *testing.M) { leak.VerifyTestMain(m) }

var allTime = period.Bounds{Start: usage.MinTime, End: usage.EndTime}

// noon is when tests take place unless they move the clock: on a Tuesday.
var noon = at("2026-03-10T12:00:00Z")

// A fixture is a ledger on a store in memory, with a clock of its own and ids that can be told beforehand.
type fixture struct {
	*budget.Ledger
	t     testing.TB
	store *memstore.Store
	seen  budget.Store // what the ledger sees of it
	now   time.Time
	ids   atomic.Int64
}

func open(t testing.TB) *fixture { return openOptions(t, budget.Options{}) }

// openOptions returns a ledger with these options but for the clock, which the store shares, and the ids.
func openOptions(t testing.TB, o budget.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, now: noon}
	f.store = memstore.New(&memstore.Options{Now: f.clock})
	f.seen = f.store
	if opens {
		f.seen = &opener{Store: f.store}
	}
	o.Now, o.NewID = f.clock, f.id
	f.Ledger = budget.NewLedger(f.seen, &o)
	f.StopClock()
	return f
}

// openWith returns a ledger on s; wrap, if not nil, is what the ledger sees of s.
func openWith(t testing.TB, s *memstore.Store, wrap func(budget.Store) budget.Store) *fixture {
	t.Helper()
	f := &fixture{t: t, store: s, seen: s, now: noon}
	if wrap != nil {
		f.seen = wrap(s)
	}
	f.Ledger = budget.NewLedger(f.seen, &budget.Options{Now: f.clock, NewID: f.id})
	return f
}

func (f *fixture) clock() time.Time { return f.now }

// id returns ids that ascend.
func (f *fixture) id() string { return fmt.Sprintf("id-%04d", f.ids.Add(1)) }

// create creates b, on 100 tokens unless it says otherwise.
func (f *fixture) create(b budget.Budget) budget.Budget {
	f.t.Helper()
	created, err := f.Create(f.t.Context(), withDefaults(b))
	if err != nil {
		f.t.Fatalf("create: %v", err)
	}
	return created
}

func withDefaults(b budget.Budget) budget.Budget {
	if b.Name == "" {
		b.Name = "test"
	}
	if b.Metric == "" {
		b.Metric = usage.Tokens
	}
	if b.Limit.IsZero() {
		b.Limit = dec("100")
	}
	return b
}

// record records events and fails unless all of them are recorded.
func (f *fixture) record(events ...usage.Event) {
	f.t.Helper()
	results, err := f.RecordBatch(f.t.Context(), events)
	if err != nil {
		f.t.Fatalf("record: %v", err)
	}
	for _, r := range results {
		if r.Outcome != budget.Recorded {
			f.t.Fatalf("record %q: %s: %v", r.ID, r.Outcome, r.Err)
		}
	}
}

func (f *fixture) correct(c usage.Correction) {
	f.t.Helper()
	if result, err := f.Correct(f.t.Context(), c); err != nil || result.Outcome != budget.Recorded {
		f.t.Fatalf("correct %q: %s: %v", c.Event, result.Outcome, err)
	}
}

func (f *fixture) update(id string, fn func(*budget.Budget)) budget.Budget {
	f.t.Helper()
	updated, err := f.Update(f.t.Context(), id, func(b *budget.Budget) error { fn(b); return nil })
	if err != nil {
		f.t.Fatalf("update: %v", err)
	}
	return updated
}

func (f *fixture) adjust(id, amount string) {
	f.t.Helper()
	if _, err := f.Adjust(f.t.Context(), adjustment(id, amount)); err != nil {
		f.t.Fatalf("adjust: %v", err)
	}
}

var adjustments atomic.Int64

// adjustment returns one with an id of its own.
func adjustment(id, amount string) budget.Adjustment {
	return budget.Adjustment{
		ID: fmt.Sprintf("adjustment-%d", adjustments.Add(1)), Budget: id, Amount: dec(amount), Reason: "test",
	}
}

func (f *fixture) status(id string, value budget.Value) budget.Status {
	f.t.Helper()
	status, err := f.Status(f.t.Context(), id, value)
	if err != nil {
		f.t.Fatalf("status: %v", err)
	}
	return status
}

// used fails unless the budget has used this much in the running period.
func (f *fixture) used(id string, value budget.Value, want string) {
	f.t.Helper()
	if got := f.status(id, value).Used; !got.Equal(dec(want)) {
		f.t.Errorf("used by %v: %s, want %s", value, got, want)
	}
}

// tallies returns all counters of all budgets.
func (f *fixture) tallies() map[budget.CounterKey]budget.Tally {
	f.t.Helper()
	tallies := make(map[budget.CounterKey]budget.Tally)
	f.view(func(r budget.ReadTx) error {
		counters, err := r.Counters(f.t.Context(), budget.CounterQuery{})
		for _, c := range counters {
			tallies[c.CounterKey] = c.Tally
		}
		return err
	})
	return tallies
}

// events returns the ids of all events that are stored.
func (f *fixture) events() []string {
	f.t.Helper()
	var ids []string
	for _, e := range f.stored() {
		ids = append(ids, e.ID)
	}
	return ids
}

func (f *fixture) stored() (events []budget.StoredEvent) {
	f.t.Helper()
	f.view(func(r budget.ReadTx) (err error) {
		events, err = r.Events(f.t.Context(), budget.EventQuery{Span: allTime})
		return err
	})
	return events
}

func (f *fixture) view(fn func(budget.ReadTx) error) {
	f.t.Helper()
	if err := f.store.View(f.t.Context(), fn); err != nil {
		f.t.Fatal(err)
	}
}

// alerts returns what was alerted, the oldest first, as "kind threshold level", with what else there is to say.
func (f *fixture) alerts() []string {
	f.t.Helper()
	found, err := f.Alerts(f.t.Context(), budget.AlertQuery{Limit: 1000})
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Reverse(found)
	var texts []string
	for _, a := range found {
		text := fmt.Sprintf("%s %s %s", a.Kind, a.Threshold, a.Level)
		if a.Value != "" {
			text += " of " + a.Value
		}
		if a.Superseded {
			text += ", superseded"
		}
		if a.Late {
			text += ", late"
		}
		texts = append(texts, text)
	}
	return texts
}

// alerted fails unless these alerts were made, the oldest first.
func (f *fixture) alerted(want ...string) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.alerts()); diff != "" {
		f.t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// route routes all alerts to these sinks.
func (f *fixture) route(sinks ...string) {
	f.t.Helper()
	if _, err := f.Outbox().Route(f.t.Context(), 100, func(alert.Alert) []string { return sinks }); err != nil {
		f.t.Fatal(err)
	}
}

// delivery returns the first delivery to a sink.
func (f *fixture) delivery(sink string) (d alert.Delivery) {
	f.t.Helper()
	f.view(func(r budget.ReadTx) error {
		found, err := r.Deliveries(f.t.Context(), budget.DeliveryQuery{Sink: sink, Limit: 1})
		if len(found) > 0 {
			d = found[0]
		}
		return err
	})
	return d
}

// audit returns the audit entries, the oldest first.
func (f *fixture) audit() []budget.AuditEntry {
	f.t.Helper()
	entries, err := f.Audit(f.t.Context(), budget.AuditQuery{Limit: 1000})
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Reverse(entries)
	return entries
}

// verified fails unless every counter and sum is what the events say.
func (f *fixture) verified() {
	f.t.Helper()
	found, err := f.Verify(f.t.Context(), nil)
	if err != nil {
		f.t.Fatalf("verify: %v", err)
	}
	for _, d := range found.Differences {
		f.t.Errorf("verify: counter %+v usage %+v %s: stored %d, should be %d", d.Counter, d.Usage, d.Field, d.Stored, d.Should)
	}
}

// tokens returns an event of so many input tokens at noon.
func tokens(id string, n int64) usage.Event {
	return usage.Event{ID: id, Time: noon, Amounts: usage.Amounts{InputTokens: n}}
}

// by returns e with a user.
func by(user string, e usage.Event) usage.Event {
	e.User = user
	return e
}

// on returns e at another time.
func on(text string, e usage.Event) usage.Event {
	e.Time = at(text)
	return e
}

// costing returns an event that costs so many dollars and uses nothing else.
func costing(id, dollars string) usage.Event {
	return usage.Event{ID: id, Time: noon, Amounts: usage.Amounts{Cost: new(dec(dollars))}}
}

// back returns a correction that takes so many input tokens from an event.
func back(id, event string, n int64) usage.Correction {
	return usage.Correction{ID: id, Event: event, Reason: "test", Amounts: usage.Amounts{InputTokens: n}}
}

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

// at reads an instant in RFC 3339.
func at(text string) time.Time {
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return instant.UTC()
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// findings returns what err says of which fields, in order, and fails if it is no refusal.
func findings(t testing.TB, err error) []string {
	t.Helper()
	if err != nil && !errors.Is(err, budget.ErrInvalid) {
		t.Fatalf("%v is not ErrInvalid", err)
	}
	var found []string
	for _, f := range budget.FieldErrors(err) {
		found = append(found, f.Error())
	}
	return found
}

// fields returns the names of the fields that err refuses, in order.
func fields(err error) (names []string) {
	for _, f := range budget.FieldErrors(err) {
		names = append(names, f.Field)
	}
	return names
}

// is fails unless err is target.
func is(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("the error is %v, want %v", err, target)
	}
}

// check tries a property on many examples. Tests that call it are not parallel: the number of examples is a flag.
func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	n := soak.Count(t, "examples", 300, 100_000)
	if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, property)
}

// A wrapper is a store whose transactions pass through a hook.
type wrapper struct {
	budget.Store
	update func(ctx context.Context, next func() error) error
}

func (w *wrapper) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return w.update(ctx, func() error { return w.Store.Update(ctx, fn) })
}
