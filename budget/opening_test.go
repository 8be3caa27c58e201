package budget_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// An opener is a store whose transactions are able to take their first steps in one.
type opener struct {
	budget.Store
	opened   int // how often they did
	wrong    int // how often that was given up
	foreseen int // how often they wrote with it
}

func (o *opener) Update(ctx context.Context, fn func(budget.Tx) error) error {
	opened := o.opened
	err := o.Store.Update(ctx, func(tx budget.Tx) error { return fn(&openerTx{tx, o}) })
	if err != nil && o.opened > opened {
		o.wrong++
	}
	return err
}

type openerTx struct {
	budget.Tx
	store *opener
}

func (tx *openerTx) Open(ctx context.Context, o budget.Opening) (opened budget.Opened, err error) {
	tx.store.opened++
	if err = tx.Fence(ctx, budget.Shared); err != nil {
		return opened, err
	}
	if opened.Taken, err = tx.TakeReservations(ctx, o.Keys, o.Overdue); err != nil {
		return opened, err
	}
	standing, err := tx.LockEvents(ctx, o.Look)
	if err != nil {
		return opened, err
	}
	opened.Settled = make(map[budget.EventKey]bool)
	for key := range standing {
		opened.Settled[key] = true
	}
	inserted, err := tx.InsertEvents(ctx, o.Events)
	if err == nil && len(inserted.Taken) > 0 {
		err = budget.ErrGuessedWrong
	}
	switch {
	case err != nil:
	case o.Writes != nil:
		tx.store.foreseen++
		opened.Counters, err = tx.Apply(ctx, *o.Writes)
	default:
		opened.Counters, err = tx.LockCounters(ctx, o.Counters)
	}
	return opened, err
}

func openOpener(t testing.TB, s *memstore.Store) (*fixture, *opener) {
	o := &opener{}
	f := openWith(t, s, func(s budget.Store) budget.Store { o.Store = s; return o })
	return f, o
}

// opens makes the fixtures of tests that follow open in one step.
var opens bool

// What a ledger answers does not depend on whether its store can.
func TestAdmissionWhereTheStoreOpensInOneStep(t *testing.T) {
	opens = true
	defer func() { opens = false }()
	for name, test := range map[string]func(*testing.T){
		"holds":       TestReserveHoldsWhatFits,
		"every one":   TestReserveAsksEveryBudget,
		"settle":      TestSettleReplacesTheHold,
		"overage":     TestOverageIsRecordedInFull,
		"release":     TestReleaseGivesBack,
		"once":        TestTheSameRequestHoldsOnce,
		"expiry":      TestExpiry,
		"period":      TestTheReservationsTimeNamesThePeriod,
		"enforcement": TestEnforcement,
		"resources":   TestAllowedResources,
		"unknown":     TestUnknownEstimates,
		"do":          TestDo,
		"close":       TestClose,
		"definitions": TestDefinitionChangesTakeReservationsAlong,
		"recounted":   TestExpiredOnesOfARecountedBudget,
		"refusal":     TestTheFirstRefusalOfAPeriodAlerts,
	} {
		t.Run(name, test)
	}
}

func TestReservationsAreOpenedInOneStep(t *testing.T) {
	f, o := openOpener(t, memstore.New(&memstore.Options{Now: func() time.Time { return noon }}))
	f.StopClock()
	b := f.create(budget.Budget{})
	res := f.reserve(request("", 60))
	named := f.reserve(request("a", 30))
	if err := res.Settle(t.Context(), input(50)); err != nil {
		t.Fatal(err)
	}
	if err := named.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.opened != 4 || o.foreseen != 3 || o.wrong != 0 {
		t.Errorf("%d were opened, %d with what was foreseen, %d wrong; want 4, 3 since the clock was known, and 0", o.opened, o.foreseen, o.wrong)
	}
	f.refused(request("", 51))
	f.refused(request("", 51))
	f.stands(b.ID, "50", "0")
	if o.opened != 7 || o.foreseen != 4 || o.wrong != 1 {
		t.Errorf("%d were opened, %d with what was foreseen, %d wrong; want 7, 4 and the 1 that was not refused", o.opened, o.foreseen, o.wrong)
	}
}

func TestAWrongGuessAboutAReservationChangesNoAnswer(t *testing.T) {
	settle := func(f *fixture, r *budget.Reservation) error { return r.Settle(f.t.Context(), input(7)) }
	other := func(f *fixture) *budget.Ledger {
		return budget.NewLedger(f.store, &budget.Options{Now: f.clock, NewID: f.id})
	}
	tests := map[string]struct {
		do    func(*fixture, *budget.Reservation) error
		later time.Duration // when the store's clock says
		used  string
		held  string
		wrong int
	}{
		"settled late": {settle, time.Hour, "7", "0", 1},
		"recorded before": {func(f *fixture, r *budget.Reservation) error {
			f.record(usage.Event{ID: "a", Subject: subject, Amounts: input(7)})
			return settle(f, r)
		}, 0, "7", "0", 1},
		"extended late, which is foreseen to be in time, and asks for room that is not locked": {func(f *fixture, r *budget.Reservation) error {
			if err := r.Extend(f.t.Context(), time.Minute); err != nil {
				return err
			}
			return settle(f, r)
		}, time.Hour, "7", "0", 2},
		"settled where the clock was set": {settle, 2 * time.Second, "7", "0", 0},
		"reserved where the clock was set": {func(f *fixture, _ *budget.Reservation) error {
			return second(f.Reserve(f.t.Context(), request("b", 30)))
		}, 2 * time.Second, "0", "90", 1},
		"reserved where the clock was set back": {func(f *fixture, _ *budget.Reservation) error {
			return second(f.Reserve(f.t.Context(), request("b", 30)))
		}, -2 * time.Second, "0", "90", 1},
		"reserved again": {func(f *fixture, _ *budget.Reservation) error {
			return second(f.Reserve(f.t.Context(), request("a", 60)))
		}, 0, "0", "60", 1},
		"settled by another": {func(f *fixture, r *budget.Reservation) error {
			if _, err := other(f).Settle(f.t.Context(), r.Key(), budget.Settlement{Amounts: input(7)}); err != nil {
				return err
			}
			return settle(f, r)
		}, 0, "7", "0", 1},
		"extended by another": {func(f *fixture, r *budget.Reservation) error {
			if _, err := other(f).Extend(f.t.Context(), r.Key(), time.Hour); err != nil {
				return err
			}
			return r.Extend(f.t.Context(), 2*time.Minute)
		}, 0, "0", "60", 1},
		"the room was taken by another": {func(f *fixture, _ *budget.Reservation) error {
			if _, err := other(f).Reserve(f.t.Context(), request("b", 30)); err != nil {
				return err
			}
			_, err := f.Reserve(f.t.Context(), request("c", 11))
			if !errors.Is(err, budget.ErrExceeded) {
				return fmt.Errorf("it was not refused: %w", err)
			}
			return nil
		}, 0, "0", "90", 1},
		"the overdue is in the way": {func(f *fixture, _ *budget.Reservation) error {
			return second(f.Reserve(f.t.Context(), request("c", 50)))
		}, time.Hour, "0", "50", 1},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			clock := noon
			f, o := openOpener(t, memstore.New(&memstore.Options{Now: func() time.Time { return clock }}))
			f.StopClock()
			b := f.create(budget.Budget{})
			res := f.reserve(request("a", 60))
			clock = noon.Add(c.later)
			if err := c.do(f, res); err != nil {
				t.Fatal(err)
			}
			f.stands(b.ID, c.used, c.held)
			if o.wrong != c.wrong {
				t.Errorf("%d wrong guesses, want %d", o.wrong, c.wrong)
			}
			f.verified()
		})
	}
}

// What is settled from leases is foreseen too: the process knows what they hold.
func TestSettlingFromLeasesIsForeseen(t *testing.T) {
	w := newWorld(t)
	o := &opener{}
	w.wrap = func(s budget.Store) budget.Store { o.Store = s; return o }
	p := w.process(budget.Options{})
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.create(budget.Budget{Limit: dec("10000"), Metric: usage.Requests})
	p.warm(one(10))
	o.foreseen, o.wrong = 0, 0
	for range 5 {
		if err := p.fromMemory(one(10)).Settle(t.Context(), input(10)); err != nil {
			t.Fatal(err)
		}
	}
	p.used(b.ID, nil, "50")
	if o.foreseen != 5 || o.wrong != 0 {
		t.Errorf("%d of 5 were foreseen, %d of them wrong; want all and none", o.foreseen, o.wrong)
	}
}
