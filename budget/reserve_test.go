package budget_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// request returns one for so many.
func request(id string, n int64) budget.Request {
	return budget.Request{ID: id, Subject: subject, Estimate: usage.Amounts{InputTokens: n}}
}

var subject = usage.Subject{Tenant: "acme", User: "ann", Resource: "model-a"}

func (f *fixture) reserve(r budget.Request) *budget.Reservation {
	f.t.Helper()
	res, err := f.Reserve(f.t.Context(), r)
	if err != nil {
		f.t.Fatalf("reserve %q: %v", r.ID, err)
	}
	return res
}

// refused fails unless the request is refused for want of room.
func (f *fixture) refused(r budget.Request) {
	f.t.Helper()
	_ = f.refusal(r) // has looked at it
}

func (f *fixture) refusal(r budget.Request) *budget.ExceededError {
	f.t.Helper()
	res, err := f.Reserve(f.t.Context(), r)
	var exceeded *budget.ExceededError
	if !errors.As(err, &exceeded) || !errors.Is(err, budget.ErrExceeded) || res != nil {
		f.t.Fatalf("reserve %q: %v, want ErrExceeded", r.ID, err)
	}
	return exceeded
}

// stands fails unless the budget's only counter has used and reserved this much.
func (f *fixture) stands(id, used, reserved string) {
	f.t.Helper()
	s := f.status(id, nil)
	if !s.Used.Equal(dec(used)) || !s.Reserved.Equal(dec(reserved)) {
		f.t.Errorf("budget %q: %s used and %s reserved, want %s and %s", id, s.Used, s.Reserved, used, reserved)
	}
}

func key(id string) budget.ReservationKey { return budget.ReservationKey{Tenant: "acme", ID: id} }

func input(n int64) usage.Amounts { return usage.Amounts{InputTokens: n} }

func TestReserveHoldsWhatFits(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{})
	f.reserve(request("a", 60))
	f.stands(b.ID, "0", "60")
	f.refused(request("b", 41))
	f.stands(b.ID, "0", "60")
	f.reserve(request("c", 40)) // an exact fit
	f.stands(b.ID, "0", "100")
	for _, r := range []budget.Request{
		request("d", 1),
		{ID: "zero", Subject: subject, Estimate: usage.Amounts{TotalTokens: new(int64(0)), Cost: new(dec("0"))}},
	} {
		f.refused(r) // nothing starts at the limit
	}
	if got := f.status(b.ID, nil).Denied; got != 3 {
		t.Errorf("%d refusals counted, want 3", got)
	}
}

func TestReserveAsksEveryBudget(t *testing.T) {
	f := open(t)
	day := f.create(budget.Budget{ID: "day", Schedule: period.Daily, Limit: dec("100")})
	month := f.create(budget.Budget{ID: "month", Limit: dec("1000")})
	user := f.create(budget.Budget{ID: "user", Scope: budget.Scope{usage.User: budget.Each}, Metric: usage.Requests, Limit: dec("2")})
	other := f.create(budget.Budget{ID: "other", Scope: budget.Scope{usage.User: "bob"}, Limit: dec("1")})
	f.reserve(request("a", 60))
	exceeded := f.refusal(request("b", 50))
	f.stands(day.ID, "0", "60")
	f.stands(month.ID, "0", "60")
	f.stands(other.ID, "0", "0")
	want := budget.Refusal{
		Budget: "day", Name: "test", Metric: usage.Tokens, Limit: dec("100"), Used: dec("0"), Reserved: dec("60"),
		Requested: dec("50"), Fits: dec("40"), ResetsAt: at("2026-03-11T00:00:00Z"),
	}
	if diff := cmp.Diff(want, exceeded.Refusal, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
	f.reserve(request("c", 40))
	// Three refuse now; the one that resets last speaks for them.
	exceeded = f.refusal(request("d", 950))
	if len(exceeded.Refusals) != 3 || exceeded.Budget != "month" {
		t.Errorf("%d budgets refuse, %q first; want 3 and month", len(exceeded.Refusals), exceeded.Budget)
	}
	if got := f.status(user.ID, budget.Value{usage.User: "ann"}); !got.Reserved.Equal(dec("2")) || got.Denied != 1 {
		t.Errorf("user: %s reserved, %d denied; want 2 and 1", got.Reserved, got.Denied)
	}
}

func TestSettleReplacesTheHold(t *testing.T) {
	for name, settle := range map[string]func(*fixture, *budget.Reservation) error{
		"by the handle": func(f *fixture, r *budget.Reservation) error { return r.Settle(f.t.Context(), input(70)) },
		"by the key": func(f *fixture, r *budget.Reservation) error {
			_, err := f.Settle(f.t.Context(), r.Key(), budget.Settlement{Amounts: input(70)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			b := f.create(budget.Budget{})
			res := f.reserve(request("a", 60))
			for range 3 { // idempotent
				if err := settle(f, res); err != nil {
					t.Fatal(err)
				}
				f.stands(b.ID, "70", "0")
			}
			result, err := f.Settle(t.Context(), key("a"), budget.Settlement{Amounts: input(70)})
			if want := (budget.Result{ID: "a", Outcome: budget.Duplicate}); err != nil || result != want {
				t.Errorf("settled again: %+v, %v; want %+v", result, err, want)
			}
			result, err = f.Settle(t.Context(), key("a"), budget.Settlement{Amounts: input(71)})
			if !errors.Is(err, budget.ErrConflict) || result.Outcome != budget.Conflict || result.Late {
				t.Errorf("settled with other content: %+v, %v; want a conflict that is not late", result, err)
			}
			if err := res.Close(t.Context()); err != nil {
				t.Error(err)
			}
			f.stands(b.ID, "70", "0")
			events := f.stored()
			if len(events) != 1 || events[0].ID != "a" || events[0].Flags != 0 || !events[0].Time.Equal(noon) {
				t.Errorf("events are %+v", events)
			}
			for what, err := range map[string]error{
				"release": f.Release(t.Context(), key("a")),
				"extend":  second(f.Extend(t.Context(), key("a"), time.Hour)),
				"reserve": second(f.Reserve(t.Context(), request("a", 60))),
			} {
				if !errors.Is(err, budget.ErrClosed) {
					t.Errorf("%s of a settled one: %v, want ErrClosed", what, err)
				}
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestOverageIsRecordedInFull(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{})
	if err := f.reserve(request("a", 60)).Settle(t.Context(), input(1000)); err != nil {
		t.Fatal(err)
	}
	f.stands(b.ID, "1000", "0")
	f.refused(request("b", 1))
}

func TestReleaseGivesBack(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{})
	res := f.reserve(request("a", 60))
	for range 2 {
		if err := res.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.stands(b.ID, "0", "0")
	}
	if _, err := f.Reserve(t.Context(), request("a", 60)); !errors.Is(err, budget.ErrClosed) {
		t.Errorf("reserve of a released one: %v, want ErrClosed", err)
	}
	if err := res.Extend(t.Context(), 0); !errors.Is(err, budget.ErrClosed) {
		t.Errorf("extend of a released one: %v, want ErrClosed", err)
	}
	result, err := f.Settle(t.Context(), key("a"), budget.Settlement{Amounts: input(5)})
	if err != nil || result.Outcome != budget.Recorded || !result.Late {
		t.Errorf("settle of a released one: %+v, %v; want it recorded, late", result, err)
	}
	f.stands(b.ID, "5", "0")
	if err := f.Release(t.Context(), key("never")); !errors.Is(err, budget.ErrNotFound) {
		t.Errorf("release of none: %v, want ErrNotFound", err)
	}
}

func TestTheSameRequestHoldsOnce(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{})
	one := f.reserve(request("a", 60))
	again := f.reserve(request("a", 60))
	if one.Key() != again.Key() || !one.Expires().Equal(again.Expires()) {
		t.Errorf("another reservation was made: %v and %v", one.Key(), again.Key())
	}
	f.stands(b.ID, "0", "60")
	if _, err := f.Reserve(t.Context(), request("a", 61)); !errors.Is(err, budget.ErrConflict) {
		t.Errorf("another request with the id: %v, want ErrConflict", err)
	}
	other := request("a", 40)
	other.Tenant = "other"
	f.reserve(other) // another tenant's id is another
	f.stands(b.ID, "0", "100")
}

func TestExpiry(t *testing.T) {
	open := func(t *testing.T) (*fixture, budget.Budget, *budget.Reservation) {
		f := open(t)
		b := f.create(budget.Budget{})
		return f, b, f.reserve(request("a", 60))
	}
	t.Run("before its time it holds, then whoever needs the room gets it", func(t *testing.T) {
		f, b, _ := open(t)
		f.now = noon.Add(10*time.Minute - time.Microsecond)
		f.refused(request("b", 60))
		f.now = noon.Add(10 * time.Minute)
		f.reserve(request("b", 60))
		f.stands(b.ID, "0", "60")
		s := f.status(b.ID, nil)
		if s.Expired != 1 || !s.ExpiredHeld.Equal(dec("60")) {
			t.Errorf("%d expired that held %s, want 1 and 60", s.Expired, s.ExpiredHeld)
		}
	})
	for name, before := range map[string]func(*fixture){
		"unnoticed": func(*fixture) {},
		"noticed": func(f *fixture) {
			if err := f.reserve(request("b", 1)).Release(f.t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name+": it is settled late", func(t *testing.T) {
			f, b, res := open(t)
			f.now = noon.Add(time.Hour)
			before(f)
			if err := res.Settle(t.Context(), input(70)); err != nil {
				t.Fatal(err)
			}
			f.stands(b.ID, "70", "0")
			if e := f.stored()[0]; e.Flags != budget.Late || !e.Time.Equal(noon) {
				t.Errorf("event is %+v", e)
			}
			if s := f.status(b.ID, nil); s.Expired != 0 || !s.ExpiredHeld.IsZero() {
				t.Errorf("%d expired that held %s, want none", s.Expired, s.ExpiredHeld)
			}
		})
		t.Run(name+": release is nothing", func(t *testing.T) {
			f, b, res := open(t)
			f.now = noon.Add(time.Hour)
			before(f)
			if err := res.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.stands(b.ID, "0", "0")
		})
		t.Run(name+": extending is a new admission", func(t *testing.T) {
			f, b, res := open(t)
			f.now = noon.Add(time.Hour)
			before(f)
			if err := res.Extend(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			f.stands(b.ID, "0", "60")
			if want := f.now.Add(time.Minute); !res.Expires().Equal(want) || !res.Time().Equal(f.now) {
				t.Errorf("expires at %s, admitted at %s; want %s and now", res.Expires(), res.Time(), want)
			}
			f.now = f.now.Add(time.Hour)
			f.reserve(request("b2", 60))
			if err := res.Extend(t.Context(), time.Minute); !errors.Is(err, budget.ErrExceeded) {
				t.Errorf("extending without room: %v, want ErrExceeded", err)
			}
		})
		t.Run(name+": reserving is a new admission", func(t *testing.T) {
			f, b, _ := open(t)
			f.now = noon.Add(time.Hour)
			before(f)
			f.reserve(request("a", 61))
			f.stands(b.ID, "0", "61")
			if s := f.status(b.ID, nil); s.Expired != 0 {
				t.Errorf("%d expired, want none", s.Expired)
			}
		})
	}
	t.Run("extending keeps it longer, never shorter", func(t *testing.T) {
		f, b, res := open(t)
		if err := res.Extend(t.Context(), time.Minute); err != nil || !res.Expires().Equal(noon.Add(10*time.Minute)) {
			t.Errorf("expires at %s: %v", res.Expires(), err)
		}
		until, err := f.Extend(t.Context(), key("a"), time.Hour)
		if err != nil || !until.Equal(noon.Add(time.Hour)) {
			t.Errorf("expires at %s: %v", until, err)
		}
		f.now = noon.Add(time.Hour - 1)
		f.refused(request("b", 60))
		f.stands(b.ID, "0", "60")
	})
	t.Run("very many that are overdue are given back before anything is refused", func(t *testing.T) {
		f := openOptions(t, budget.Options{})
		f.create(budget.Budget{Limit: dec("2500")})
		for i := range 2500 {
			f.reserve(request(fmt.Sprint(i), 1))
		}
		f.now = noon.Add(time.Hour)
		f.reserve(request("all", 2500))
	})
}

func TestReservationsHoldForTheLedgersTimeUnlessTheySay(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{
		0: 10 * time.Minute, -time.Second: 10 * time.Minute, time.Minute: time.Minute, 30 * 24 * time.Hour: 7 * 24 * time.Hour,
	} {
		f := openOptions(t, budget.Options{ReservationTTL: given})
		if got := f.reserve(request("", 1)).Expires().Sub(noon); got != want {
			t.Errorf("with ReservationTTL %s it holds for %s, want %s", given, got, want)
		}
	}
}

func TestTheReservationsTimeNamesThePeriod(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{Schedule: period.Daily})
	f.now = at("2026-03-10T23:59:59Z")
	res := f.reserve(request("a", 100))
	f.now = at("2026-03-11T00:00:01Z")
	next := f.reserve(request("b", 100)) // the next day begins with nothing reserved
	if err := res.Settle(t.Context(), input(90)); err != nil {
		t.Fatal(err)
	}
	f.stands(b.ID, "0", "100")
	yesterday, err := f.StatusAt(t.Context(), b.ID, nil, noon)
	if err != nil || !yesterday.Used.Equal(dec("90")) || !yesterday.Reserved.IsZero() {
		t.Errorf("yesterday: %s used, %s reserved, %v", yesterday.Used, yesterday.Reserved, err)
	}
	if err := next.SettleAs(t.Context(), budget.Settlement{Amounts: input(1), Resource: "model-b", Time: noon}); err != nil {
		t.Fatal(err)
	}
	f.stands(b.ID, "0", "0")
}

func TestEnforcement(t *testing.T) {
	for enforcement, wouldDeny := range map[budget.Enforcement]int64{budget.Soft: 2, budget.Observe: 2} {
		t.Run(string(enforcement), func(t *testing.T) {
			f := open(t)
			b := f.create(budget.Budget{Enforcement: enforcement})
			hard := f.create(budget.Budget{Limit: dec("300")})
			f.reserve(request("a", 100))
			f.reserve(request("b", 100))
			f.reserve(request("c", 100))
			f.refused(request("d", 100)) // by the hard one: not one that it would have refused
			f.stands(b.ID, "0", "300")
			if s := f.status(b.ID, nil); s.WouldDeny != wouldDeny || s.Denied != 0 {
				t.Errorf("%d would be denied, %d were; want %d and 0", s.WouldDeny, s.Denied, wouldDeny)
			}
			f.stands(hard.ID, "0", "300")
		})
	}
	t.Run("disabled ones hold and refuse nothing", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{Disabled: true})
		res := f.reserve(request("a", 1000))
		f.stands(b.ID, "0", "0")
		f.update(b.ID, func(b *budget.Budget) { b.Disabled = false })
		f.stands(b.ID, "0", "1000") // enabling takes open reservations into account
		f.refused(request("b", 1))
		f.update(b.ID, func(b *budget.Budget) { b.Disabled = true })
		f.stands(b.ID, "0", "0")
		if err := res.Settle(t.Context(), input(7)); err != nil {
			t.Fatal(err)
		}
		f.stands(b.ID, "7", "0")
	})
	t.Run("outside its window a hard budget limits nothing", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{EndsAt: noon})
		f.reserve(request("a", 1000))
		f.stands(b.ID, "0", "0")
	})
	t.Run("without a budget everything is admitted", func(t *testing.T) {
		f := open(t)
		if err := f.reserve(request("a", 1000)).Settle(t.Context(), input(5)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a"}, f.events()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAllowedResources(t *testing.T) {
	f := open(t)
	b := f.create(budget.Budget{AllowedResources: []string{"model-b", "model-c"}})
	if _, err := f.Reserve(t.Context(), request("a", 1)); !errors.Is(err, budget.ErrResourceNotAllowed) || errors.Is(err, budget.ErrExceeded) {
		t.Errorf("%v, want ErrResourceNotAllowed", err)
	}
	f.record(usage.Event{ID: "e", Subject: subject, Amounts: input(3)})
	f.stands(b.ID, "3", "0")
}

func TestUnknownEstimates(t *testing.T) {
	unknown := budget.Request{ID: "a", Subject: subject}
	t.Run("are refused without a MinHold", func(t *testing.T) {
		f := open(t)
		f.create(budget.Budget{})
		if _, err := f.Reserve(t.Context(), unknown); !errors.Is(err, budget.ErrEstimateRequired) {
			t.Errorf("%v, want ErrEstimateRequired", err)
		}
	})
	t.Run("hold the MinHold, and are settled at it if nobody says more", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{MinHold: dec("30")})
		money := f.create(budget.Budget{Metric: usage.Dollars, MinHold: dec("0.5")})
		res := f.reserve(unknown)
		f.stands(b.ID, "0", "30")
		f.stands(money.ID, "0", "0.5")
		if err := res.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.stands(b.ID, "30", "0")
		f.stands(money.ID, "0.5", "0")
		if e := f.stored()[0]; e.Flags&budget.Estimated == 0 {
			t.Errorf("the event is not marked: %+v", e)
		}
	})
	t.Run("tokens without a cost leave the cost unknown", func(t *testing.T) {
		f := open(t)
		f.create(budget.Budget{Metric: usage.Dollars})
		if _, err := f.Reserve(t.Context(), request("a", 5)); !errors.Is(err, budget.ErrEstimateRequired) {
			t.Errorf("%v, want ErrEstimateRequired", err)
		}
	})
	t.Run("AdmitUnknown holds nothing while something is available", func(t *testing.T) {
		f := openOptions(t, budget.Options{AdmitUnknown: true})
		b := f.create(budget.Budget{})
		f.reserve(unknown)
		f.stands(b.ID, "0", "0")
		f.reserve(request("b", 100))
		f.refused(budget.Request{ID: "c", Subject: subject})
	})
	t.Run("requests are never unknown", func(t *testing.T) {
		f := open(t)
		b := f.create(budget.Budget{Metric: usage.Requests})
		f.reserve(unknown)
		f.stands(b.ID, "0", "1")
	})
}
