package budget_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

// A tariff prices the input tokens of one model: one dollar each, and two from a certain instant on.
type tariff struct {
	model string
	from  time.Time
	err   error // if not nil, the answer to everything
	cost  string
	asked int
}

func (p *tariff) Price(e usage.Event) (decimal.Decimal, string, error) {
	p.asked++
	switch {
	case p.err != nil:
		return decimal.Decimal{}, "", p.err
	case e.Resource != p.model:
		return decimal.Decimal{}, "", fmt.Errorf("%w of %q", budget.ErrNoPrice, e.Resource)
	case p.cost != "":
		return dec(p.cost), "tariff", nil
	case !p.from.IsZero() && !e.Time.Before(p.from):
		return decimal.NewFromInt(2 * e.InputTokens), "tariff of " + p.from.Format(time.DateOnly), nil
	default:
		return decimal.NewFromInt(e.InputTokens), "tariff", nil
	}
}

func openPriced(t *testing.T) (*fixture, *tariff) {
	prices := &tariff{model: subject.Resource}
	return openOptions(t, budget.Options{Prices: prices}), prices
}

// priced returns an event of so many input tokens of the model that has a price.
func priced(id string, n int64) usage.Event {
	e := tokens(id, n)
	e.Subject = subject
	return e
}

// A paid is what an event costs, and by what.
type paid struct {
	ID, Cost, By string
	Given        bool
}

func (f *fixture) paid() (list []paid) {
	f.t.Helper()
	for _, e := range f.stored() {
		list = append(list, paid{e.ID, e.Totals.Cost().String(), e.PricedBy, e.Flags&budget.CostGiven != 0})
	}
	return list
}

func (f *fixture) hasPaid(want ...paid) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.paid()); diff != "" {
		f.t.Errorf("what is paid (-want +got):\n%s", diff)
	}
}

func TestWhatComesWithoutACostIsPriced(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	b := f.create(budget.Budget{Metric: usage.Dollars})
	given, free := priced("given", 3), priced("free", 5)
	given.Cost, free.Cost = new(dec("0.5")), new(decimal.Zero)
	f.record(priced("priced", 7), given, free)
	f.hasPaid(paid{"free", "0", "", true}, paid{"given", "0.5", "", true}, paid{"priced", "7", "tariff", false})
	f.used(b.ID, nil, "7.5")
	if prices.asked != 1 {
		t.Errorf("asked for %d prices, want 1: a cost that is given is not looked at", prices.asked)
	}
	f.verified()
}

func TestACostIsRoundedOnce(t *testing.T) {
	t.Parallel()
	for cost, want := range map[string]string{
		"0.0000000004999999": "0", "0.0000000005": "0.000000001", "1.0000000015": "1.000000002", "0.00000000249999999": "0.000000002",
	} {
		f, prices := openPriced(t)
		prices.cost = cost
		f.record(priced("a", 1))
		f.hasPaid(paid{"a", want, "tariff", false})
	}
}

func TestWhatHasNoPriceCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	f, _ := openPriced(t)
	results, err := f.RecordBatch(t.Context(), []usage.Event{priced("a", 1), tokens("b", 2), priced("c", 4)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []budget.Outcome{budget.Recorded, budget.Invalid, budget.Recorded} {
		if results[i].Outcome != want {
			t.Errorf("%q is %s, want %s", results[i].ID, results[i].Outcome, want)
		}
	}
	is(t, results[1].Err, budget.ErrNoPrice)
	f.hasPaid(paid{"a", "1", "tariff", false}, paid{"c", "4", "tariff", false})
	f.record(priced("b", 8)) // the id was not taken
}

func TestWhatAPricerMayNotSay(t *testing.T) {
	t.Parallel()
	errDown := errors.New("price service is down")
	for name, test := range map[string]struct {
		prices tariff
		want   error
		fields []string
	}{
		"any error means that there is no price": {tariff{err: errDown}, budget.ErrNoPrice, nil},
		"a negative cost":                        {tariff{cost: "-1"}, budget.ErrInvalid, []string{"cost"}},
		"more than a million dollars":            {tariff{cost: "1000000.1"}, budget.ErrInvalid, []string{"cost"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.prices.model = subject.Resource
			f := openOptions(t, budget.Options{Prices: &test.prices})
			result, err := f.Record(t.Context(), priced("a", 1))
			is(t, err, test.want)
			if test.prices.err != nil {
				is(t, err, test.prices.err)
			}
			if result.Outcome != budget.Invalid {
				t.Errorf("the event is %s", result.Outcome)
			}
			if diff := cmp.Diff(test.fields, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			f.hasPaid()
		})
	}
}

func TestThePriceIsThatOfTheEventsTime(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	prices.from = noon
	before, atIt := priced("before", 1), priced("at", 1)
	before.Time = noon.Add(-time.Microsecond)
	notGiven := priced("now", 1)
	notGiven.Time = time.Time{}
	f.record(before, atIt, notGiven)
	// Settled after the price rose, it was admitted before.
	f.now = noon.Add(-time.Minute)
	res := f.reserve(request("settled", 1))
	f.now = noon.Add(time.Minute)
	if err := res.Settle(t.Context(), input(1)); err != nil {
		t.Fatal(err)
	}
	const risen = "tariff of 2026-03-10"
	f.hasPaid(
		paid{"settled", "1", "tariff", false}, paid{"before", "1", "tariff", false}, paid{"at", "2", risen, false},
		paid{"now", "2", risen, false},
	)
}

func TestANewPriceChangesNothingThatIsRecorded(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	b := f.create(budget.Budget{Metric: usage.Dollars})
	f.record(priced("a", 10))
	prices.cost = "99"
	for range 2 {
		result, err := f.Record(t.Context(), priced("a", 10))
		if err != nil || result.Outcome != budget.Duplicate {
			t.Errorf("the same event again is %s: %v", result.Outcome, err)
		}
	}
	dearer := priced("a", 10)
	dearer.Cost = new(dec("10")) // given is not computed, even if it is as much
	result, err := f.Record(t.Context(), dearer)
	is(t, err, budget.ErrConflict)
	if result.Outcome != budget.Conflict {
		t.Errorf("other content is %s", result.Outcome)
	}
	f.hasPaid(paid{"a", "10", "tariff", false})
	f.used(b.ID, nil, "10")
	if got, want := f.stored()[0].Hash, priced("a", 10).Hash(); got != want {
		t.Errorf("the hash is %s, want %s: that of what the caller gave", got, want)
	}
}

func TestWhatIsRecordedNeedsNoPriceToBeSentAgain(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	b := f.create(budget.Budget{Metric: usage.Dollars})
	f.record(priced("a", 10))
	reserved := f.reserve(request("r", 5))
	if err := reserved.Settle(t.Context(), input(5)); err != nil {
		t.Fatal(err)
	}
	prices.model = "another"

	results, err := f.RecordBatch(t.Context(), []usage.Event{priced("a", 10), priced("new", 1), priced("a", 11), priced("a", 10)})
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []budget.Outcome
	for _, r := range results {
		outcomes = append(outcomes, r.Outcome)
	}
	want := []budget.Outcome{budget.Duplicate, budget.Invalid, budget.Conflict, budget.Duplicate}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("sent again (-want +got):\n%s", diff)
	}
	is(t, results[0].Err, nil)
	is(t, results[1].Err, budget.ErrNoPrice)
	is(t, results[2].Err, budget.ErrConflict)

	is(t, reserved.Settle(t.Context(), input(5)), nil)
	result, err := f.Settle(t.Context(), reserved.Key(), budget.Settlement{Amounts: input(5)})
	if err != nil || result.Outcome != budget.Duplicate {
		t.Errorf("settled again: %s, %v", result.Outcome, err)
	}
	_, err = f.Settle(t.Context(), reserved.Key(), budget.Settlement{Amounts: input(6)})
	is(t, err, budget.ErrConflict)
	f.hasPaid(paid{"a", "10", "tariff", false}, paid{"r", "5", "tariff", false})
	f.used(b.ID, nil, "15")
}

func TestWhatHasNoPriceIsNotTriedWhereTheStoreCantSayWhetherItStands(t *testing.T) {
	t.Parallel()
	l := budget.NewLedger(&faulty{Store: memstore.New(nil)}, &budget.Options{
		Now: func() time.Time { return noon }, Prices: &tariff{model: "another"},
	})
	given := priced("b", 1)
	given.Cost = new(dec("1"))
	results, err := l.RecordBatch(t.Context(), []usage.Event{priced("a", 1), given})
	is(t, err, errDisk)
	if results[0].Outcome != budget.NotTried || results[1].Outcome != budget.Recorded {
		t.Errorf("it is %s, and what has a cost %s", results[0].Outcome, results[1].Outcome)
	}
}

func TestWhatMayStandIsNotInvalidThoughThePriceIsGone(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	f.record(priced("a", 10))
	prices.model = "another"
	f.store.FailNext(budget.ErrUnavailable)
	given := priced("b", 1)
	given.Cost = new(dec("1"))
	results, err := f.RecordBatch(t.Context(), []usage.Event{given, priced("a", 10)})
	is(t, err, budget.ErrUnavailable)
	for _, r := range results {
		if r.Outcome != budget.Unknown {
			t.Errorf("%q is %s", r.ID, r.Outcome)
		}
	}
}

func TestWhatHasNoPriceTakesNoID(t *testing.T) {
	t.Parallel()
	f, _ := openPriced(t)
	given := tokens("c", 1)
	given.Cost = new(dec("2"))
	results, err := f.RecordBatch(t.Context(), []usage.Event{tokens("c", 1), given, tokens("c", 1)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []budget.Outcome{budget.Invalid, budget.Recorded, budget.Invalid} {
		if results[i].Outcome != want {
			t.Errorf("the %d. is %s, want %s: %v", i+1, results[i].Outcome, want, results[i].Err)
		}
	}
	is(t, results[0].Err, budget.ErrNoPrice)
	is(t, results[2].Err, budget.ErrNoPrice)
	f.hasPaid(paid{"c", "2", "", true})
}

func TestWhatHasNoPriceCostsNoTransaction(t *testing.T) {
	t.Parallel()
	updates := 0
	l := budget.NewLedger(&wrapper{memstore.New(nil), func(_ context.Context, next func() error) error {
		updates++
		return next()
	}}, &budget.Options{Now: func() time.Time { return noon }, Prices: &tariff{model: "another"}})
	_, err := l.Record(t.Context(), priced("a", 1))
	is(t, err, budget.ErrNoPrice)
	_, err = l.Event(t.Context(), budget.EventKey{Tenant: "acme", ID: "a"})
	is(t, err, budget.ErrNotFound)
	if updates != 0 {
		t.Errorf("%d transactions", updates)
	}
}

// Who settles what is recorded gives back what is held, whatever there is a price of.
func TestASettlementThatStandsGivesBackWhatIsHeldThoughThePriceIsGone(t *testing.T) {
	t.Parallel()
	for rule, test := range map[string]struct {
		amounts usage.Amounts
		want    error
		outcome budget.Outcome
	}{
		"the same content": {input(10), nil, budget.Duplicate},
		"other content":    {input(11), budget.ErrConflict, budget.Conflict},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			f, prices := openPriced(t)
			b := f.create(budget.Budget{Metric: usage.Dollars})
			byHandle, byKey := f.reserve(request("a", 10)), f.reserve(request("b", 10))
			for _, res := range []*budget.Reservation{byHandle, byKey} {
				e := priced(res.ID(), 10)
				e.Time = time.Time{}
				f.record(e)
			}
			f.stands(b.ID, "20", "20")
			prices.model = "another"
			is(t, byHandle.Settle(t.Context(), test.amounts), test.want)
			f.stands(b.ID, "20", "10")
			result, err := f.Settle(t.Context(), byKey.Key(), budget.Settlement{Amounts: test.amounts})
			is(t, err, test.want)
			if result.Outcome != test.outcome {
				t.Errorf("it is %s", result.Outcome)
			}
			f.stands(b.ID, "20", "0")
			f.hasPaid(paid{"a", "10", "tariff", false}, paid{"b", "10", "tariff", false})
			f.verified()
		})
	}
}

func TestALeasedSettlementThatStandsEndsThoughThePriceIsGone(t *testing.T) {
	t.Parallel()
	prices := &tariff{model: subject.Resource}
	p := newWorld(t).process(budget.Options{Prices: prices})
	p.create(budget.Budget{Metric: usage.Dollars, Limit: dec("10000")})
	p.warm(one(10))
	res := p.fromMemory(request("r", 10))
	e := priced("r", 10)
	e.Time = time.Time{}
	p.record(e)
	prices.model = "another"
	is(t, res.Settle(t.Context(), input(10)), nil)
	if left := p.Outstanding(); len(left) > 0 {
		t.Errorf("still open: %v", left)
	}
	p.verified()
}

func TestACostIsComputedOnceHoweverOftenTheTransactionIsRun(t *testing.T) {
	t.Parallel()
	prices := &tariff{model: subject.Resource}
	s := memstore.New(nil)
	l := budget.NewLedger(s, &budget.Options{Now: func() time.Time { return noon }, Prices: prices})
	s.FailNext(budget.ErrOutcomeUnknown)
	if _, err := l.Record(t.Context(), priced("a", 1)); err != nil {
		t.Fatal(err)
	}
	if prices.asked != 1 {
		t.Errorf("asked for %d prices, want 1", prices.asked)
	}
}

func TestAnEstimateIsPriced(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	b := f.create(budget.Budget{Metric: usage.Dollars})
	res := f.reserve(request("a", 60))
	f.stands(b.ID, "0", "60")
	f.refused(request("b", 41))

	// The same request again, after a change of prices, is the same reservation.
	prices.cost = "77"
	if again := f.reserve(request("a", 60)); again.Key() != res.Key() {
		t.Errorf("another reservation, %v", again.Key())
	}
	f.stands(b.ID, "0", "60")
	if err := res.Settle(t.Context(), input(50)); err != nil {
		t.Fatal(err)
	}
	f.stands(b.ID, "77", "0")
	f.hasPaid(paid{"a", "77", "tariff", false})
}

func TestAnEstimateWithoutAPriceIsUnknown(t *testing.T) {
	t.Parallel()
	f, _ := openPriced(t)
	b := f.create(budget.Budget{Metric: usage.Dollars})
	unpriced := request("a", 60)
	unpriced.Resource = "model-b"
	_, err := f.Reserve(t.Context(), unpriced)
	is(t, err, budget.ErrEstimateRequired)
	_, err = f.Reserve(t.Context(), budget.Request{ID: "b", Subject: subject})
	is(t, err, budget.ErrEstimateRequired) // without any amount there is nothing to be priced

	decision, err := f.Check(t.Context(), request("c", 60))
	if err != nil || decision.Err() != nil {
		t.Errorf("what has a price does not fit: %v, %v", err, decision.Err())
	}
	f.update(b.ID, func(b *budget.Budget) { b.MinHold = dec("30") })
	f.reserve(unpriced)
	f.stands(b.ID, "0", "30")
}

func TestWhatWasSpentIsRecordedThoughThePriceIsGone(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	b := f.create(budget.Budget{Metric: usage.Dollars})
	tokensOnly := f.create(budget.Budget{Metric: usage.Tokens, Limit: dec("1000")})
	res := f.reserve(request("a", 60))
	prices.model = "another"
	is(t, res.Settle(t.Context(), input(50)), budget.ErrNoPrice)
	if err := res.Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	f.stands(b.ID, "60", "0")

	// One whose estimate had no price either: the tokens count, the cost stays unknown.
	f.update(b.ID, func(b *budget.Budget) { b.Disabled = true })
	if err := f.reserve(request("b", 7)).Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	f.used(tokensOnly.ID, nil, "67")
	f.hasPaid(paid{"a", "60", "", true}, paid{"b", "0", "", false})
	f.verified()
}

func TestWhatIsAdmittedFromMemoryIsPricedAlike(t *testing.T) {
	t.Parallel()
	p := newWorld(t).process(budget.Options{Prices: &tariff{model: subject.Resource}})
	b := p.create(budget.Budget{Metric: usage.Dollars, Limit: dec("10000")})
	p.warm(one(10))
	res := p.fromMemory(one(10))
	if err := res.Settle(t.Context(), input(7)); err != nil {
		t.Fatal(err)
	}
	abandoned := p.fromMemory(one(4))
	if err := abandoned.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	costs := make(map[string]paid)
	for _, e := range p.paid() {
		costs[e.ID] = e
	}
	if diff := cmp.Diff(paid{res.ID(), "7", "tariff", false}, costs[res.ID()]); diff != "" {
		t.Errorf("what was settled (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(paid{abandoned.ID(), "4", "", true}, costs[abandoned.ID()]); diff != "" {
		t.Errorf("what was closed at its estimate (-want +got):\n%s", diff)
	}
	if used := p.status(b.ID, nil).Used; used.LessThan(dec("11")) {
		t.Errorf("%s dollars used", used)
	}
	p.verified()
}

func TestWhatIsPartOfAnotherTransactionIsPricedAlike(t *testing.T) {
	t.Parallel()
	f, _ := openPriced(t)
	if _, err := f.WithStore(f.store).Record(t.Context(), priced("a", 3)); err != nil {
		t.Fatal(err)
	}
	f.hasPaid(paid{"a", "3", "tariff", false})
}

func TestDoPricesWhatTheFunctionSays(t *testing.T) {
	t.Parallel()
	f, prices := openPriced(t)
	b := f.create(budget.Budget{Metric: usage.Dollars})
	do := func(id string, amounts usage.Amounts) error {
		return f.Do(t.Context(), request(id, 20), func(context.Context) (usage.Amounts, error) { return amounts, nil })
	}
	if err := do("a", input(5)); err != nil {
		t.Fatal(err)
	}
	prices.model = "another" // from now on there is no price: neither of the estimate, which is unknown then
	is(t, do("b", input(5)), budget.ErrEstimateRequired)
	f.used(b.ID, nil, "5")
	f.hasPaid(paid{"a", "5", "tariff", false})
}

// Whatever is recorded, settled and sent again while prices change, each event costs what its tokens cost at its time,
// rounded once, and a budget has used the sum.
func TestPricedUsageIsTheSumOfItsRoundedCosts(t *testing.T) {
	check(t, func(rt *rapid.T) {
		rate := rapid.Int64Range(0, 20_000_000)
		perMillion := func(label string) decimal.Decimal { return decimal.New(rate.Draw(rt, label), -6) }
		before := [2]decimal.Decimal{perMillion("input"), perMillion("output")}
		after := [2]decimal.Decimal{perMillion("input, later"), perMillion("output, later")}
		f := openOptions(t, budget.Options{Prices: tokenPrices(t, before, after)})
		b := f.create(budget.Budget{Metric: usage.Dollars, Limit: dec("1000000000")})
		want, sum := make(map[string]string), decimal.Zero
		for i := range rapid.IntRange(1, 8).Draw(rt, "events") {
			e := priced(fmt.Sprint("e", i), rapid.Int64Range(0, 1_000_000).Draw(rt, "input tokens"))
			e.OutputTokens = rapid.Int64Range(0, 1_000_000).Draw(rt, "output tokens")
			e.Time = noon.Add(time.Duration(rapid.IntRange(-2, 2).Draw(rt, "offset")) * time.Microsecond)
			p := before
			if !e.Time.Before(noon) {
				p = after
			}
			exact := p[0].Mul(decimal.NewFromInt(e.InputTokens)).Add(p[1].Mul(decimal.NewFromInt(e.OutputTokens))).Shift(-6)
			cost := exact.Round(9)
			want[e.ID], sum = cost.String(), sum.Add(cost)
			for range rapid.IntRange(1, 2).Draw(rt, "times") {
				if _, err := f.Record(t.Context(), e); err != nil {
					rt.Fatal(err)
				}
			}
		}
		got := make(map[string]string)
		for _, e := range f.paid() {
			got[e.ID] = e.Cost
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("costs (-want +got):\n%s", diff)
		}
		if used := f.status(b.ID, nil).Used; !used.Equal(sum) {
			rt.Fatalf("%s dollars used, want %s", used, sum)
		}
		f.verified()
	})
}

// tokenPrices returns a list of the one model, whose prices of input and output change at noon.
func tokenPrices(t *testing.T, before, after [2]decimal.Decimal) *price.List {
	t.Helper()
	rates := func(p [2]decimal.Decimal) price.Rates {
		return price.Rates{price.Input: {PerMillion: p[0]}, price.Output: {PerMillion: p[1]}}
	}
	l, err := price.New("random", price.Provider{ID: "p", Models: []price.Model{{
		ID: subject.Resource, Prices: []price.Price{{Rates: rates(before)}, {From: noon, Rates: rates(after)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
