package budget_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

var errDisk = errors.New("disk on fire")

// of returns e of a tenant.
func of(tenant string, e usage.Event) usage.Event {
	e.Tenant = tenant
	return e
}

func TestRecordBatchAnswersPerEvent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before []usage.Event
		batch  []usage.Event
		want   []budget.Outcome
		used   string
		events []string
	}{
		"no events": {used: "0"},
		"events are counted": {
			batch: []usage.Event{tokens("a", 1), tokens("b", 2)},
			want:  []budget.Outcome{budget.Recorded, budget.Recorded}, used: "3", events: []string{"a", "b"},
		},
		"the same content again is a duplicate, counted once": {
			before: []usage.Event{tokens("a", 1)}, batch: []usage.Event{tokens("a", 1)},
			want: []budget.Outcome{budget.Duplicate}, used: "1", events: []string{"a"},
		},
		"other content is a conflict, and changes nothing": {
			before: []usage.Event{tokens("a", 1)}, batch: []usage.Event{tokens("a", 2)},
			want: []budget.Outcome{budget.Conflict}, used: "1", events: []string{"a"},
		},
		"within a batch the first one is the event": {
			batch: []usage.Event{tokens("a", 1), tokens("a", 1), tokens("a", 2), tokens("a", 1)},
			want:  []budget.Outcome{budget.Recorded, budget.Duplicate, budget.Conflict, budget.Duplicate}, used: "1", events: []string{"a"},
		},
		"what stands goes before the first of the batch": {
			before: []usage.Event{tokens("a", 2)}, batch: []usage.Event{tokens("a", 1), tokens("a", 2)},
			want: []budget.Outcome{budget.Conflict, budget.Duplicate}, used: "2", events: []string{"a"},
		},
		"an invalid event takes no id": {
			batch: []usage.Event{tokens("a", -1), tokens("a", 2), tokens("a", -1)},
			want:  []budget.Outcome{budget.Invalid, budget.Recorded, budget.Invalid}, used: "2", events: []string{"a"},
		},
		"a bad event costs the others nothing": {
			before: []usage.Event{tokens("b", 1)},
			batch:  []usage.Event{tokens("a", 1), tokens("", 1), tokens("b", 2), tokens("b", 1), tokens("c", 4)},
			want:   []budget.Outcome{budget.Recorded, budget.Invalid, budget.Conflict, budget.Duplicate, budget.Recorded},
			used:   "6", events: []string{"a", "b", "c"},
		},
		"the same id of another tenant is another event": {
			before: []usage.Event{of("t1", tokens("a", 1))},
			batch:  []usage.Event{of("t2", tokens("a", 2)), of("t1", tokens("a", 1)), tokens("a", 4), of("t2", tokens("a", 1))},
			want:   []budget.Outcome{budget.Recorded, budget.Duplicate, budget.Recorded, budget.Conflict},
			used:   "7", events: []string{"a", "a", "a"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{})
			f.record(test.before...)
			results, err := f.RecordBatch(t.Context(), test.batch)
			if err != nil {
				t.Fatal(err)
			}
			var got []budget.Outcome
			for i, r := range results {
				got = append(got, r.Outcome)
				if r.ID != test.batch[i].ID {
					t.Errorf("result %d is that of %q, not of %q", i, r.ID, test.batch[i].ID)
				}
				wantErr := map[budget.Outcome]error{budget.Conflict: budget.ErrConflict, budget.Invalid: budget.ErrInvalid}
				is(t, r.Err, wantErr[r.Outcome])
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.events, f.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			f.used(b.ID, nil, test.used)
			f.verified()
		})
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.record(tokens("a", 1))
	tests := map[string]struct {
		event usage.Event
		want  budget.Outcome
		err   error
	}{
		"a duplicate is no error": {tokens("a", 1), budget.Duplicate, nil},
		"a conflict is":           {tokens("a", 2), budget.Conflict, budget.ErrConflict},
		"so is an invalid event":  {tokens("b", -1), budget.Invalid, budget.ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			result, err := f.Record(t.Context(), test.event)
			is(t, err, test.err)
			if result.Outcome != test.want || result.ID != test.event.ID {
				t.Errorf("%+v, want %s", result, test.want)
			}
		})
	}
}

// What is given and what is left out decide what is the same content.
func TestWhatIsGivenDecidesWhatIsTheSame(t *testing.T) {
	t.Parallel()
	with := func(change func(*usage.Event)) usage.Event {
		e := tokens("a", 5)
		change(&e)
		return e
	}
	unchanged := func(*usage.Event) {}
	tests := map[string]struct {
		first, second func(*usage.Event)
		want          budget.Outcome
	}{
		"a request that is not given is 1":     {unchanged, func(e *usage.Event) { e.Requests = new(int64(1)) }, budget.Duplicate},
		"which is not 0":                       {unchanged, func(e *usage.Event) { e.Requests = new(int64(0)) }, budget.Conflict},
		"a total that is not given is the sum": {unchanged, func(e *usage.Event) { e.TotalTokens = new(int64(5)) }, budget.Duplicate},
		"a cost that is not given is not 0":    {unchanged, func(e *usage.Event) { e.Cost = new(dec("0")) }, budget.Conflict},
		"nor the other way round":              {func(e *usage.Event) { e.Cost = new(dec("0")) }, unchanged, budget.Conflict},
		"1.50 dollars are 1.5":                 {func(e *usage.Event) { e.Cost = new(dec("1.50")) }, func(e *usage.Event) { e.Cost = new(dec("1.5")) }, budget.Duplicate},
		"costs count to the billionth": {
			func(e *usage.Event) { e.Cost = new(dec("0.0000000014")) }, func(e *usage.Event) { e.Cost = new(dec("0.000000001")) }, budget.Duplicate,
		},
		"instants count to the microsecond": {
			func(e *usage.Event) { e.Time = noon.Add(999) }, unchanged, budget.Duplicate,
		},
		"in whatever zone": {func(e *usage.Event) { e.Time = noon.In(time.FixedZone("", 3600)) }, unchanged, budget.Duplicate},
		"a time that is not given is not the ledger's": {func(e *usage.Event) { e.Time = time.Time{} }, unchanged, budget.Conflict},
		"a label without value is none":                {func(e *usage.Event) { e.Labels = map[string]string{"team": ""} }, unchanged, budget.Duplicate},
		"another label is another event":               {func(e *usage.Event) { e.Labels = map[string]string{"team": "x"} }, unchanged, budget.Conflict},
		"another user is another event":                {func(e *usage.Event) { e.User = "u1" }, unchanged, budget.Conflict},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.record(with(test.first))
			result, err := f.Record(t.Context(), with(test.second))
			if result.Outcome != test.want {
				t.Errorf("%s, want %s: %v", result.Outcome, test.want, err)
			}
		})
	}
}

func TestATimeThatIsNotGivenIsTheLedgers(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	e := tokens("a", 5)
	e.Time = time.Time{}
	f.record(e)
	f.now = noon.AddDate(0, 1, 0)
	result, err := f.Record(t.Context(), e)
	if err != nil || result.Outcome != budget.Duplicate {
		t.Errorf("sent again in the next period it is %s, want a duplicate: %v", result.Outcome, err)
	}
	f.used(b.ID, nil, "0")
	f.now = noon
	f.used(b.ID, nil, "5")
	if got := f.stored()[0].Time; !got.Equal(noon) {
		t.Errorf("stored at %s, want %s", got, noon)
	}
}

func TestAnEventIsStoredAsGivenWithItsDefaults(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.now = noon.Add(time.Minute + 999)
	e := usage.Event{
		ID: "a", Time: noon.Add(1234).In(time.FixedZone("", -3600)),
		Subject: usage.Subject{Tenant: "acme", User: "u1", APIKey: "k1", Resource: "large", Labels: map[string]string{"team": "red", "free": ""}},
		Amounts: usage.Amounts{InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, Runs: 5, Cost: new(dec("1.0000000005"))},
	}
	f.record(e)
	e.Labels["team"] = "the caller's own again"
	want := []budget.StoredEvent{{
		ID: "a", Time: noon.Add(1000), RecordedAt: noon.Add(time.Minute), Flags: budget.TimeGiven | budget.CostGiven,
		Subject: usage.Subject{Tenant: "acme", User: "u1", APIKey: "k1", Resource: "large", Labels: map[string]string{"team": "red"}},
		Totals: usage.Totals{
			InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: 10, Requests: 1, Runs: 5,
			Nanodollars: 1_000_000_001,
		},
	}}
	got := f.stored()
	got[0].Hash = usage.Hash{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestATimeTooFarAheadIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tolerance time.Duration
		ahead     time.Duration
		want      budget.Outcome
	}{
		"five minutes are allowed":       {0, 5 * time.Minute, budget.Recorded},
		"but not a microsecond more":     {0, 5*time.Minute + time.Microsecond, budget.Invalid},
		"or what the options allow":      {time.Hour, time.Hour, budget.Recorded},
		"but not a microsecond above it": {time.Hour, time.Hour + time.Microsecond, budget.Invalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := memstore.New(nil)
			ledger := budget.NewLedger(store, &budget.Options{Now: func() time.Time { return noon }, FutureTolerance: test.tolerance})
			e := tokens("a", 1)
			e.Time = noon.Add(test.ahead)
			result, err := ledger.Record(t.Context(), e)
			if result.Outcome != test.want {
				t.Errorf("%s, want %s: %v", result.Outcome, test.want, err)
			}
			if got := fields(err); test.want == budget.Invalid && !cmp.Equal(got, []string{"time"}) {
				t.Errorf("it names %v", got)
			}
		})
	}
}

func TestBadEventsAreRefusedAndNothingIsStored(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	tests := map[string]struct {
		event usage.Event
		want  []string
	}{
		"an empty id":          {tokens("", 1), []string{"id"}},
		"an id of 10 kB":       {tokens(long, 1), []string{"id"}},
		"NUL":                  {tokens("a\x00", 1), []string{"id"}},
		"invalid UTF-8":        {by("\xff", tokens("a", 1)), []string{"user"}},
		"negative tokens":      {tokens("a", -1), []string{"input_tokens"}},
		"too many tokens":      {tokens("a", 1e12+1), []string{"input_tokens"}},
		"1e999 dollars":        {usage.Event{ID: "a", Amounts: usage.Amounts{Cost: new(decimal.New(1, 999))}}, []string{"cost"}},
		"a year before 1980":   {on("1979-12-31T23:59:59Z", tokens("a", 1)), []string{"time"}},
		"a time in the future": {on("2026-03-10T13:00:00Z", tokens("a", 1)), []string{"time"}},
		"a label named like a dimension": {
			usage.Event{ID: "a", Subject: usage.Subject{Labels: map[string]string{"tenant": "x"}}}, []string{"labels"},
		},
		"everything at once": {
			usage.Event{Time: noon.AddDate(1, 0, 0), Subject: usage.Subject{Tenant: long}, Amounts: usage.Amounts{OutputTokens: -1, Runs: -1}},
			[]string{"id", "tenant", "output_tokens", "runs", "time"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			result, err := f.Record(t.Context(), test.event)
			if result.Outcome != budget.Invalid {
				t.Errorf("outcome %s", result.Outcome)
			}
			is(t, err, budget.ErrInvalid)
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if got := f.events(); got != nil {
				t.Errorf("stored: %q", got)
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("a", "acme", "u1", int64(1), int64(2), int64(0), "0.01", int64(0))
	f.Add("", "\x00", "\xff", int64(-1), int64(1)<<62, int64(1)<<62, "1e999", int64(-1)<<62)
	f.Add("a", "", "", int64(0), int64(0), int64(0), "1000000.0000000005", int64(300_000_000))
	f.Fuzz(func(t *testing.T, id, tenant, label string, input, output, total int64, cost string, ahead int64) {
		e := usage.Event{
			ID: id, Time: noon.Add(time.Duration(ahead) * time.Microsecond),
			Subject: usage.Subject{Tenant: tenant, Labels: map[string]string{label: tenant}},
			Amounts: usage.Amounts{InputTokens: input, OutputTokens: output},
		}
		if total != 0 {
			e.TotalTokens = &total
		}
		if amount, err := usage.ParseDecimal(cost); err == nil {
			e.Cost = &amount
		}
		fixture := open(t)
		b := fixture.create(budget.Budget{Schedule: period.Yearly})
		result, err := fixture.Record(t.Context(), e)
		switch {
		case err == nil && result.Outcome == budget.Recorded:
			if status := fixture.status(b.ID, nil); e.Time.Year() == 2026 && !status.Used.Equal(decimal.NewFromInt(*e.Canonical().TotalTokens)) {
				t.Errorf("%d tokens are counted as %s", *e.Canonical().TotalTokens, status.Used)
			}
			fixture.verified()
		case errors.Is(err, budget.ErrInvalid) && result.Outcome == budget.Invalid && len(fields(err)) > 0:
			if got := fixture.events(); got != nil {
				t.Errorf("refused, and stored: %q", got)
			}
		default:
			t.Errorf("neither recorded nor invalid: %s: %v", result.Outcome, err)
		}
	})
}

// dear returns an event whose credits, at a billionth of a dollar each, are near what int64 holds.
func dear(id string) usage.Event {
	e := costing(id, "9000")
	e.InputTokens = 1
	return e
}

func TestAnEventThatOverflowsACounterIsRefusedAndTheOthersAreRecorded(t *testing.T) {
	t.Parallel()
	bound := func(f *fixture) *budget.Ledger { return f.WithStore(f.store) }
	for name, ledger := range map[string]func(*fixture) *budget.Ledger{
		"":                                   func(f *fixture) *budget.Ledger { return f.Ledger },
		", in a transaction of the caller's": bound,
	} {
		t.Run("in company"+name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			credits := f.create(budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.000000001")})
			tokensUsed := f.create(budget.Budget{})
			f.record(dear("a"))
			batch := []usage.Event{tokens("b", 10), dear("c"), dear("c"), tokens("d", 20)}
			results, err := ledger(f).RecordBatch(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []budget.Outcome{budget.Recorded, budget.Invalid, budget.Invalid, budget.Recorded} {
				if results[i].Outcome != want {
					t.Errorf("%q is %s, want %s: %v", results[i].ID, results[i].Outcome, want, results[i].Err)
				}
			}
			is(t, results[1].Err, budget.ErrOverflow)
			if diff := cmp.Diff([]string{"a", "b", "d"}, f.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			f.used(tokensUsed.ID, nil, "31")
			f.used(credits.ID, nil, "9000000000000")
			f.verified()
		})
		t.Run("alone"+name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b := f.create(budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.000000001")})
			f.record(dear("a"))
			result, err := ledger(f).Record(t.Context(), dear("c"))
			is(t, err, budget.ErrOverflow)
			if result.Outcome != budget.Invalid {
				t.Errorf("%s, want invalid", result.Outcome)
			}
			f.used(b.ID, nil, "9000000000000")
			f.verified()
		})
	}
}

// failing returns a fixture whose next transactions that write come to these errors, nil for those that do not fail: in
// place of the commit, or behind it. tries is how many there were.
func failing(t *testing.T, committed bool, failures ...error) (f *fixture, tries *int) {
	t.Helper()
	tries = new(int)
	f = openWith(t, memstore.New(nil), func(s budget.Store) budget.Store {
		return &wrapper{s, func(_ context.Context, next func() error) error {
			*tries++
			if len(failures) == 0 || failures[0] == nil {
				failures = failures[min(1, len(failures)):]
				return next()
			}
			failure := failures[0]
			failures = failures[1:]
			if committed {
				if err := next(); err != nil {
					return err
				}
			}
			return failure
		}}
	})
	return f, tries
}

func TestAFailureCostsOneEventItsResultAndNothingIsStored(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.store.FailNext(errDisk)
	result, err := f.Record(t.Context(), tokens("a", 1))
	is(t, err, errDisk)
	if result.Outcome != budget.Unknown || f.events() != nil {
		t.Errorf("%s, stored: %q", result.Outcome, f.events())
	}
	f.record(tokens("a", 1))
	f.verified()
}

func TestAFailureCostsThoseNothingThatGoThroughOneByOne(t *testing.T) {
	t.Parallel()
	f, _ := failing(t, false, errDisk, nil, errDisk)
	results, err := f.RecordBatch(t.Context(), []usage.Event{tokens("a", 1), tokens("b", 2), tokens("c", 4)})
	is(t, err, errDisk)
	for i, want := range []budget.Outcome{budget.Recorded, budget.Unknown, budget.Recorded} {
		if results[i].Outcome != want {
			t.Errorf("%q is %s, want %s", results[i].ID, results[i].Outcome, want)
		}
	}
	if diff := cmp.Diff([]string{"a", "c"}, f.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	f.verified()
}

func TestAStoreThatGoesAwayLeavesTheRestOfABatchUntried(t *testing.T) {
	t.Parallel()
	f, _ := failing(t, false, nil, budget.ErrUnavailable)
	events := make([]usage.Event, 1201)
	for i := range events {
		events[i] = tokens(fmt.Sprintf("e%04d", i), 1)
	}
	events[1100] = tokens("bad", -1)
	results, err := f.RecordBatch(t.Context(), events)
	is(t, err, budget.ErrUnavailable)
	for i, r := range results {
		want := budget.Recorded
		switch {
		case i == 1100:
			want = budget.Invalid
		case i >= 1000:
			want = budget.NotTried
		case i >= 500:
			want = budget.Unknown
		}
		if r.Outcome != want {
			t.Fatalf("%d is %s, want %s", i, r.Outcome, want)
		}
	}
	if len(f.events()) != 500 {
		t.Errorf("%d events are stored, want 500", len(f.events()))
	}

	results, err = f.RecordBatch(t.Context(), events)
	if err != nil || results[0].Outcome != budget.Duplicate || results[500].Outcome != budget.Recorded || results[1200].Outcome != budget.Recorded {
		t.Errorf("sent again: %v: %+v", err, results[500])
	}
	f.verified()
}

func TestAnUnknownOutcomeIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		committed bool
		failures  []error
		want      budget.Outcome
		err       error
		tries     int
	}{
		"what was not committed is recorded":          {false, []error{budget.ErrOutcomeUnknown}, budget.Recorded, nil, 2},
		"what was committed is a duplicate of itself": {true, []error{budget.ErrOutcomeUnknown}, budget.Duplicate, nil, 2},
		"if it is unknown again, the caller is told":  {true, []error{budget.ErrOutcomeUnknown, budget.ErrOutcomeUnknown}, budget.Unknown, budget.ErrOutcomeUnknown, 2},
		"other failures are not tried again":          {false, []error{budget.ErrUnavailable}, budget.Unknown, budget.ErrUnavailable, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, tries := failing(t, test.committed, test.failures...)
			result, err := f.Record(t.Context(), tokens("a", 5))
			is(t, err, test.err)
			if result.Outcome != test.want || *tries != test.tries {
				t.Errorf("%s after %d tries, want %s after %d", result.Outcome, *tries, test.want, test.tries)
			}
			if result, err = f.Record(t.Context(), tokens("a", 5)); err != nil {
				t.Errorf("sent again: %v", err)
			}
			b := f.create(budget.Budget{})
			f.used(b.ID, nil, "5")
			f.verified()
		})
	}
}

func TestALateEventIsCountedInItsPeriod(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	f.now = noon.AddDate(0, 2, 0)
	f.record(tokens("a", 5)) // of March, in May
	f.used(b.ID, nil, "0")
	status, err := f.StatusAt(t.Context(), b.ID, nil, noon)
	if err != nil || !status.Used.Equal(dec("5")) {
		t.Errorf("in March %s were used, want 5: %v", status.Used, err)
	}
	f.verified()
}

// Each of two processes has a cache of its own.
func TestAChangeByAnotherLedgerHoldsForTheNextEvent(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := budget.NewLedger(f.store, &budget.Options{Now: func() time.Time { return f.now }})
	b := f.create(budget.Budget{Scope: budget.Scope{"user": "u1"}})
	record := func(e usage.Event) {
		t.Helper()
		if result, err := other.Record(t.Context(), e); err != nil || result.Outcome != budget.Recorded {
			t.Fatalf("%s: %v", result.Outcome, err)
		}
	}
	record(by("u1", tokens("a", 1)))
	f.used(b.ID, nil, "1")

	f.update(b.ID, func(b *budget.Budget) { b.Scope = budget.Scope{"user": "u2"} })
	record(by("u1", tokens("b", 2)))
	record(by("u2", tokens("c", 4)))
	f.used(b.ID, nil, "4")

	c := f.create(budget.Budget{Scope: budget.Scope{"user": "u1"}})
	record(by("u1", tokens("d", 8)))
	f.used(c.ID, nil, "11")

	if err := f.Delete(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	record(by("u1", tokens("e", 16)))
	for key := range f.tallies() {
		if key.Budget != b.ID {
			t.Errorf("a deleted budget has the counter %+v", key)
		}
	}
	f.verified()
}

// More scope keys in one flush than the cache keeps.
func TestAFlushMayNeedMoreThanTheCacheKeeps(t *testing.T) {
	t.Parallel()
	f := open(t)
	var labels []usage.Dimension
	for i := range 16 {
		labels = append(labels, usage.Dimension(fmt.Sprintf("l%02d", i)))
	}
	for i := range labels {
		for j := range i {
			f.create(budget.Budget{Scope: budget.Scope{labels[i]: "x", labels[j]: budget.Each}})
			f.create(budget.Budget{Scope: budget.Scope{labels[j]: "x", labels[i]: budget.Each}})
		}
	}
	batch := func(from, to int) (events []usage.Event) {
		for i := from; i < to; i++ {
			e := tokens(fmt.Sprintf("%d-%d-%d", from, to, i), 1)
			e.Labels = make(map[string]string)
			for _, l := range labels {
				e.Labels[string(l)] = fmt.Sprint(i)
			}
			events = append(events, e)
		}
		return events
	}
	f.record(batch(0, 250)...)
	f.record(batch(0, 500)...)
	if got := len(f.tallies()); got != 0 {
		t.Errorf("%d counters, of values that no scope has", got)
	}
}

// Hashes of another version say nothing, so an event that was stored with one is compared field by field.
func TestAnEventWithAHashOfAnotherVersionIsComparedByItsFields(t *testing.T) {
	t.Parallel()
	given := func() usage.Event {
		return usage.Event{
			ID: "a", Time: noon,
			Subject: usage.Subject{Tenant: "acme", User: "u", APIKey: "k", Resource: "r", Labels: map[string]string{"team": "red"}},
			Amounts: usage.Amounts{InputTokens: 1, Cost: new(dec("2"))},
		}
	}
	same := func(*usage.Event) {}
	withoutTime := func(e *usage.Event) { e.Time = time.Time{} }
	withoutCost := func(e *usage.Event) { e.Cost = nil }
	tests := map[string]struct {
		first, second func(*usage.Event)
		want          budget.Outcome
	}{
		"the same":                         {same, same, budget.Duplicate},
		"the same but for an empty label":  {same, func(e *usage.Event) { e.Labels["x"] = "" }, budget.Duplicate},
		"the same, without a time":         {withoutTime, withoutTime, budget.Duplicate},
		"the same, without a cost":         {withoutCost, withoutCost, budget.Duplicate},
		"a time that was given":            {same, withoutTime, budget.Conflict},
		"a cost that was not given":        {withoutCost, same, budget.Conflict},
		"another time":                     {same, func(e *usage.Event) { e.Time = noon.Add(time.Second) }, budget.Conflict},
		"another cost":                     {same, func(e *usage.Event) { e.Cost = new(dec("3")) }, budget.Conflict},
		"other amounts":                    {same, func(e *usage.Event) { e.OutputTokens = 1 }, budget.Conflict},
		"another user":                     {same, func(e *usage.Event) { e.User = "x" }, budget.Conflict},
		"another key":                      {same, func(e *usage.Event) { e.APIKey = "x" }, budget.Conflict},
		"another resource":                 {same, func(e *usage.Event) { e.Resource = "x" }, budget.Conflict},
		"another label":                    {same, func(e *usage.Event) { e.Labels["team"] = "blue" }, budget.Conflict},
		"a correction with the event's id": {same, nil, budget.Conflict},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			first := given()
			test.first(&first)
			f.record(first)
			stored := f.stored()[0]
			stored.Hash = usage.Hash{2, 3, 4}
			other := open(t)
			other.now = noon.Add(time.Minute)
			other.record(of("acme", tokens("x", 1)))
			err := other.store.Update(t.Context(), func(tx budget.Tx) error {
				if err := tx.Fence(t.Context(), budget.Shared); err != nil {
					return err
				}
				_, err := tx.InsertEvents(t.Context(), []budget.StoredEvent{stored})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			var result budget.Result
			if test.second == nil {
				result, err = other.Correct(t.Context(), usage.Correction{ID: "a", Tenant: "acme", Event: "x"})
			} else {
				second := given()
				test.second(&second)
				result, err = other.Record(t.Context(), second)
			}
			if result.Outcome != test.want {
				t.Errorf("%s, want %s: %v", result.Outcome, test.want, err)
			}
		})
	}
}
