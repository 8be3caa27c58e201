package budget_test

import (
	"context"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// An opener is a store whose transactions are able to take their first steps in one.
type opener struct {
	budget.Store
	opened, wrong int // how often they did, and how often that was given up
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
	if err == nil {
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
	s := memstore.New(nil)
	f, o := openOpener(t, s)
	b := f.create(budget.Budget{})
	res := f.reserve(request("", 60))
	named := f.reserve(request("a", 30))
	if err := res.Settle(t.Context(), input(50)); err != nil {
		t.Fatal(err)
	}
	if err := named.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.refused(request("", 51))
	f.stands(b.ID, "50", "0")
	if o.opened != 5 || o.wrong != 0 {
		t.Errorf("%d were opened, %d of them wrong; want 5 and 0", o.opened, o.wrong)
	}
}

func TestAWrongGuessAboutAReservationChangesNoAnswer(t *testing.T) {
	tests := map[string]func(*fixture, *budget.Reservation) error{
		"settled late": func(f *fixture, r *budget.Reservation) error {
			f.now = f.now.Add(time.Hour)
			return r.Settle(f.t.Context(), input(7))
		},
		"recorded before": func(f *fixture, r *budget.Reservation) error {
			f.record(usage.Event{ID: "a", Subject: subject, Amounts: input(7)})
			return r.Settle(f.t.Context(), input(7))
		},
		"extended late": func(f *fixture, r *budget.Reservation) error {
			f.now = f.now.Add(time.Hour)
			if err := r.Extend(f.t.Context(), time.Minute); err != nil {
				return err
			}
			return r.Settle(f.t.Context(), input(7))
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			clock := noon
			f, o := openOpener(t, memstore.New(&memstore.Options{Now: func() time.Time { return clock }}))
			b := f.create(budget.Budget{})
			res := f.reserve(request("a", 60))
			clock = noon.Add(time.Hour)
			if name == "recorded before" {
				clock = noon
			}
			if err := test(f, res); err != nil {
				t.Fatal(err)
			}
			f.stands(b.ID, "7", "0")
			if o.wrong != 1 {
				t.Errorf("%d wrong guesses, want 1", o.wrong)
			}
			f.verified()
		})
	}
}
