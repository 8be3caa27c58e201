package budget

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A Verification is what [Ledger.Verify] found.
type Verification struct {
	Events      int64        // events read
	Checked     int64        // counters and sums of usage compared
	Differences []Difference // nil: all is as the events say
}

// A Difference is a number that is stored and does not agree with the events.
type Difference struct {
	Counter *CounterKey // whose it is, if a counter's
	Usage   *UsageKey   // whose it is, if a sum of usage's
	Field   string      // "recorded", "adjusted", "reserved" and "leased" of a counter; a sum's fields as in JSON, the cost in 1e-9 dollars as "nanodollars"
	Stored  int64
	Should  int64 // what the events, adjustments and finer sums say
}

// Verify computes every counter and every sum of usage from the events, and what is reserved from the reservations, and names each that is stored otherwise. What
// pruned events were counted for is taken from where pruning wrote it down. It reads one snapshot, so that recording
// goes on undisturbed; it reads every event, and keeps one day's sums and all counters in memory. progress, if not nil, is
// called now and then with the number of events read so far.
func (l *Ledger) Verify(ctx context.Context, progress func(events int64)) (Verification, error) {
	var v *verifier
	err := l.view(ctx, "verify", func(r ReadTx) (err error) {
		v, err = verify(ctx, r, progress)
		return err
	})
	if err != nil {
		return Verification{}, err
	}
	return v.found, nil
}

// Rebuild verifies and mends every difference, in one transaction that keeps everybody else from writing until it ends. It
// returns what it mended, and writes how much that was to the audit. It makes no alerts: levels that a mended counter has
// passed are in its status.
func (l *Ledger) Rebuild(ctx context.Context, progress func(events int64)) (Verification, error) {
	var v *verifier
	err := l.update(ctx, "rebuild", func(tx Tx) (err error) {
		if err := tx.Fence(ctx, Exclusive); err != nil {
			return err
		}
		if v, err = verify(ctx, tx, progress); err != nil || len(v.found.Differences) == 0 {
			return err
		}
		counters, sums := mending(v.found.Differences)
		for chunk := range slices.Chunk(counters, pageSize) {
			if _, err := tx.Apply(ctx, Writes{Counters: chunk}); err != nil {
				return err
			}
		}
		for chunk := range slices.Chunk(sums, pageSize) {
			if _, err := tx.Apply(ctx, Writes{Usage: chunk}); err != nil {
				return err
			}
		}
		_, err = tx.Apply(ctx, Writes{Audit: []AuditEntry{l.auditRebuild(v.found)}})
		return err
	})
	if err != nil {
		return Verification{}, err
	}
	return v.found, nil
}

func (l *Ledger) auditRebuild(v Verification) AuditEntry {
	return AuditEntry{
		ID: l.options.NewID(), Time: l.now(), Actor: l.actor, Action: "rebuild", Kind: "counters",
		After: json.RawMessage(fmt.Sprintf(`{"differences":%d}`, len(v.Differences))),
	}
}

// mending returns what to add where to make the differences vanish.
func mending(differences []Difference) ([]Counter, []UsageAdd) {
	counters, sums := make(tallies), make(map[UsageKey]usage.Totals)
	for _, d := range differences {
		delta := d.Should - d.Stored
		if d.Usage != nil {
			totals := sums[*d.Usage]
			*usageFields[d.Field](&totals) += delta
			sums[*d.Usage] = totals
			continue
		}
		tally := counters[*d.Counter]
		*counterFields[d.Field](&tally) = delta
		counters[*d.Counter] = tally
	}
	var adds []UsageAdd
	for key, totals := range sums {
		adds = append(adds, UsageAdd{UsageKey: key, Totals: totals})
	}
	return counters.counters(), adds
}

// counterFields are the fields of a counter that are verified, by name.
var counterFields = map[string]func(*Tally) *int64{
	"recorded": func(t *Tally) *int64 { return &t.Recorded },
	"adjusted": func(t *Tally) *int64 { return &t.Adjusted },
	"reserved": func(t *Tally) *int64 { return &t.Reserved },
	"leased":   func(t *Tally) *int64 { return &t.Leased },
}

// usageFields are the fields of a sum of usage, by name.
var usageFields = map[string]func(*usage.Totals) *int64{
	"input_tokens":          func(t *usage.Totals) *int64 { return &t.InputTokens },
	"output_tokens":         func(t *usage.Totals) *int64 { return &t.OutputTokens },
	"cache_creation_tokens": func(t *usage.Totals) *int64 { return &t.CacheCreationTokens },
	"cache_read_tokens":     func(t *usage.Totals) *int64 { return &t.CacheReadTokens },
	"total_tokens":          func(t *usage.Totals) *int64 { return &t.TotalTokens },
	"requests":              func(t *usage.Totals) *int64 { return &t.Requests },
	"runs":                  func(t *usage.Totals) *int64 { return &t.Runs },
	"nanodollars":           func(t *usage.Totals) *int64 { return &t.Nanodollars },
}

// A verifier walks over the events in the order of time, and closes a day's sums when it has passed them.
type verifier struct {
	r        ReadTx
	catalog  Catalog
	zone     reportingZone
	budgets  *index
	progress func(int64)

	counted tallies                   // by all events so far
	day     period.Bounds             // whose events are being read
	quarter map[UsageKey]usage.Totals // of that day, by its events
	months  map[UsageKey]usage.Totals // of the days closed so far, by month
	pending []int64                   // starts of days that have sums and were not passed yet, ascending

	found Verification
}

func verify(ctx context.Context, r ReadTx, progress func(int64)) (*verifier, error) {
	catalog, err := r.Catalog(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	zone, err := newReportingZone(catalog.ReportingZone)
	if err != nil {
		return nil, err
	}
	budgets, err := newIndex(ctx, r)
	if err != nil {
		return nil, err
	}
	v := &verifier{
		r: r, catalog: catalog, zone: zone, budgets: budgets, progress: progress,
		counted: make(tallies), quarter: make(map[UsageKey]usage.Totals), months: make(map[UsageKey]usage.Totals),
	}
	if err := v.findDays(ctx); err != nil {
		return nil, err
	}
	all := EventQuery{Span: period.Bounds{Start: usage.MinTime, End: usage.EndTime}}
	if err := eachEvent(ctx, r, all, func(e *StoredEvent) error { return v.event(ctx, e) }); err != nil {
		return nil, err
	}
	if err := v.closeDays(ctx, usage.EndTime); err != nil {
		return nil, err
	}
	if err := v.checkMonths(ctx); err != nil {
		return nil, err
	}
	return v, v.checkCounters(ctx)
}

// findDays finds the days for which there are sums of quarter hours or days, and the months for which there are sums.
func (v *verifier) findDays(ctx context.Context) error {
	days := make(map[int64]bool)
	for _, grain := range []usage.Grain{usage.QuarterHours, usage.Days} {
		rows, err := v.stored(ctx, grain, period.Bounds{Start: usage.MinTime, End: usage.EndTime}, nil)
		if err != nil {
			return err
		}
		for key := range rows {
			days[v.zone.days.Bounds(time.UnixMicro(key.Bucket)).Start.UnixMicro()] = true
		}
	}
	v.pending = slices.Sorted(maps.Keys(days))
	return nil
}

// stored returns sums as they are stored.
func (v *verifier) stored(ctx context.Context, grain usage.Grain, span period.Bounds, by []usage.Dimension) (map[UsageKey]usage.Totals, error) {
	q := UsageQuery{Slices: []usage.Slice{{Grain: grain, Bounds: span}}, By: by, PerBucket: true}
	rows, err := v.r.Usage(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	sums := make(map[UsageKey]usage.Totals, len(rows))
	for _, row := range rows {
		sums[UsageKey{
			Grain: grain, Bucket: row.Bucket.UnixMicro(),
			Tenant: row.Tenant, User: row.User, APIKey: row.APIKey, Resource: row.Resource,
		}] = row.Totals
	}
	return sums, nil
}

func (v *verifier) event(ctx context.Context, e *StoredEvent) error {
	if v.found.Events++; v.progress != nil && v.found.Events%pageSize == 0 {
		v.progress(v.found.Events)
	}
	if !v.day.Contains(e.Time) {
		day := v.zone.days.Bounds(e.Time)
		if err := v.closeDays(ctx, day.Start); err != nil {
			return err
		}
		v.day = day
	}
	key := usageKeys(e, v.zone)[0]
	if err := addTotals(v.quarter, key, e.Totals); err != nil {
		return err
	}
	for _, b := range v.budgets.candidates(e.Subject) {
		charge, counts, err := b.Charge(e)
		if err != nil {
			return err
		}
		if !counts || charge.Start < b.CountedFrom.UnixMicro() {
			continue
		}
		if err := v.counted.record(charge.CounterKey, charge.Units); err != nil {
			return err
		}
	}
	return nil
}

func addTotals(sums map[UsageKey]usage.Totals, key UsageKey, add usage.Totals) (err error) {
	sums[key], err = sums[key].Add(add)
	return err
}

// closeDays checks the sums of the days before t that were not checked yet.
func (v *verifier) closeDays(ctx context.Context, t time.Time) error {
	if !v.day.IsZero() {
		if start := v.day.Start.UnixMicro(); !slices.Contains(v.pending, start) {
			v.pending = append(v.pending, start)
			slices.Sort(v.pending)
		}
	}
	for len(v.pending) > 0 && v.pending[0] < t.UnixMicro() {
		day := v.zone.days.Bounds(time.UnixMicro(v.pending[0]))
		v.pending = v.pending[1:]
		should := make(map[UsageKey]usage.Totals)
		if day == v.day {
			should, v.quarter, v.day = v.quarter, should, period.Bounds{}
		}
		if err := v.checkDay(ctx, day, should); err != nil {
			return err
		}
	}
	return nil
}

// everyDimension is what tells sums apart.
var everyDimension = []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource}

// checkDay checks the quarter hours of a day against its events, and the day against its quarter hours, and adds these to
// their month.
func (v *verifier) checkDay(ctx context.Context, day period.Bounds, should map[UsageKey]usage.Totals) error {
	stored, err := v.stored(ctx, usage.QuarterHours, day, everyDimension)
	if err != nil {
		return err
	}
	for key, totals := range stored {
		if key.Bucket < v.catalog.PruneFloor.UnixMicro() {
			should[key] = totals // its events are gone, or going: there is nothing to compare it with
		}
	}
	v.compare(should, stored)

	days := make(map[UsageKey]usage.Totals)
	for key, totals := range should {
		key.Grain, key.Bucket = usage.Days, day.Start.UnixMicro()
		if err := addTotals(days, key, totals); err != nil {
			return err
		}
		month := UsageKey{Grain: usage.Months, Tenant: key.Tenant, Resource: key.Resource}
		month.Bucket = v.zone.months.Bounds(day.Start).Start.UnixMicro()
		if err := addTotals(v.months, month, totals); err != nil {
			return err
		}
	}
	if stored, err = v.stored(ctx, usage.Days, day, everyDimension); err != nil {
		return err
	}
	v.compare(days, stored)
	return nil
}

func (v *verifier) checkMonths(ctx context.Context) error {
	all := period.Bounds{Start: usage.MinTime, End: usage.EndTime}
	stored, err := v.stored(ctx, usage.Months, all, everyDimension)
	if err != nil {
		return err
	}
	v.compare(v.months, stored)
	return nil
}

// compare names the differences between sums. One that is not stored is as one that is 0.
func (v *verifier) compare(should, stored map[UsageKey]usage.Totals) {
	keys := maps.Clone(should)
	maps.Copy(keys, stored)
	for _, key := range slices.SortedFunc(maps.Keys(keys), UsageKey.Compare) {
		v.found.Checked++
		is, want := stored[key], should[key]
		if is == want {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(usageFields)) {
			if is, want := *usageFields[name](&is), *usageFields[name](&want); is != want {
				v.found.Differences = append(v.found.Differences, Difference{Usage: &key, Field: name, Stored: is, Should: want})
			}
		}
	}
}

func (v *verifier) checkCounters(ctx context.Context) error {
	if err := v.addAdjustments(ctx); err != nil {
		return err
	}
	if err := v.addReservations(ctx); err != nil {
		return err
	}
	q := CounterQuery{Limit: pageSize}
	for {
		counters, err := v.r.Counters(ctx, q)
		if err != nil {
			return fmt.Errorf("read counters: %w", err)
		}
		for _, c := range counters {
			v.compareCounter(c.CounterKey, c.Tally, v.counted[c.CounterKey])
			delete(v.counted, c.CounterKey)
		}
		if len(counters) < q.Limit {
			break
		}
		q.After = &counters[len(counters)-1].CounterKey
	}
	for _, key := range slices.SortedFunc(maps.Keys(v.counted), CounterKey.Compare) {
		v.compareCounter(key, Tally{}, v.counted[key])
	}
	return nil
}

func (v *verifier) addAdjustments(ctx context.Context) error {
	adjustments, err := v.r.Adjustments(ctx, AdjustmentQuery{})
	if err != nil {
		return fmt.Errorf("read adjustments: %w", err)
	}
	for _, a := range adjustments {
		if b := v.budgets.byID[a.Budget]; b != nil {
			if err := countAdjustment(&b.Definition, a, v.counted); err != nil {
				return err
			}
		}
	}
	return nil
}

// addReservations adds what open reservations hold.
func (v *verifier) addReservations(ctx context.Context) error {
	for r, err := range reservations(ctx, v.r, ReservationQuery{States: []ReservationState{Open}}) {
		if err != nil {
			return err
		}
		for _, h := range r.Holds {
			v.counted.hold(&r, h, 1)
		}
	}
	return nil
}

func (v *verifier) compareCounter(key CounterKey, stored, should Tally) {
	v.found.Checked++
	should.Recorded += stored.Pruned
	for _, field := range slices.Sorted(maps.Keys(counterFields)) {
		is, want := *counterFields[field](&stored), *counterFields[field](&should)
		if is != want {
			v.found.Differences = append(v.found.Differences, Difference{Counter: &key, Field: field, Stored: is, Should: want})
		}
	}
}

// An index finds the budgets that may cover a subject, among all.
type index struct {
	shapes []matcher
	byKey  map[ScopeKey][]*cached
	byID   map[string]*cached
}

func newIndex(ctx context.Context, r ReadTx) (*index, error) {
	definitions, err := r.Budgets(ctx, Query{})
	if err != nil {
		return nil, fmt.Errorf("read budgets: %w", err)
	}
	x := &index{byKey: make(map[ScopeKey][]*cached), byID: make(map[string]*cached)}
	seen := make(map[Shape]bool)
	for _, d := range definitions {
		b, key := newCached(d), d.Scope.Key()
		x.byID[d.ID] = b
		x.byKey[key] = append(x.byKey[key], b)
		if seen[key.Shape] {
			continue
		}
		seen[key.Shape] = true
		m, err := newMatcher(key.Shape)
		if err != nil {
			return nil, err
		}
		x.shapes = append(x.shapes, m)
	}
	return x, nil
}

func (x *index) candidates(subject usage.Subject) []*cached {
	var found []*cached
	for _, shape := range x.shapes {
		if key, covers := shape.key(subject); covers {
			found = append(found, x.byKey[key]...)
		}
	}
	return found
}
