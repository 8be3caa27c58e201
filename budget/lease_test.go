package budget_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// A world is a store that several processes share.
type world struct {
	t         testing.TB
	store     *memstore.Store
	now       time.Time // by the store's clock
	processes []*process
	started   int
	wrap      func(budget.Store) budget.Store // what processes see of the store; nil: the store
}

// A process is a ledger that leases. Its keeper takes a step when the test says so, and its clocks are its own.
type process struct {
	*fixture // whose now is its wall clock
	world    *world
	name     string

	monotonic time.Duration
	updates   int       // transactions so far
	outcomes  []outcome // of the next ones
	stuck     bool      // its keeper takes no steps
	pauses    []time.Duration
}

// An outcome is what a process hears of a transaction, in the place of which it may be run or not.
type outcome func(run func() error) error

func goesWell(run func() error) error { return run() }

func isUnavailable(func() error) error { return budget.ErrUnavailable }

func isUnknownBefore(func() error) error { return budget.ErrOutcomeUnknown }

func isUnknownAfter(run func() error) error { return errors.Join(run(), budget.ErrOutcomeUnknown) }

// longestAsk is how long a request waits for those who have leased what it lacks.
const longestAsk = 250 * time.Millisecond

// leaseTTL is how long a lease lasts by the store's clock.
const leaseTTL = 20 * time.Second

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: noon}
	w.store = memstore.New(&memstore.Options{Now: func() time.Time { return w.now }})
	return w
}

// lone returns the only process of a world.
func lone(t testing.TB) *process { return newWorld(t).process(budget.Options{}) }

// process starts one. While a request waits for others, these take steps.
func (w *world) process(o budget.Options) *process {
	w.started++
	p := &process{world: w, name: fmt.Sprintf("p%d", w.started), monotonic: time.Hour}
	p.fixture = &fixture{t: w.t, store: w.store, seen: &wrapper{w.store, p.transact}, now: w.now}
	if w.wrap != nil {
		p.seen = w.wrap(p.seen)
	}
	if o.Leases == nil {
		o.Leases = &budget.LeaseOptions{TTL: leaseTTL}
	}
	o.Now = p.clock
	o.NewID = func() string { return p.name + "-" + p.id() }
	p.Ledger = budget.NewLedger(p.seen, &o)
	p.SetMonotonic(func() time.Duration { return p.monotonic })
	p.OnPause(func(d time.Duration) {
		p.pauses = append(p.pauses, d)
		w.pass(d)
		w.steps()
	})
	p.StartLeases()
	w.processes = append(w.processes, p)
	return p
}

func (p *process) transact(_ context.Context, next func() error) error {
	p.updates++
	if len(p.outcomes) == 0 {
		return next()
	}
	outcome := p.outcomes[0]
	p.outcomes = p.outcomes[1:]
	return outcome(next)
}

// pass lets time pass by all clocks.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for _, p := range w.processes {
		p.now = p.now.Add(d)
		p.monotonic += d
	}
}

// steps lets the keeper of every process take a step.
func (w *world) steps() {
	w.t.Helper()
	for _, p := range w.processes {
		if !p.stuck {
			p.step()
		}
	}
}

func (p *process) step() {
	p.t.Helper()
	if err := p.StepLeases(p.t.Context()); err != nil {
		p.t.Errorf("keep the leases of %s: %v", p.name, err)
	}
}

func (p *process) end() {
	p.t.Helper()
	if err := p.EndLeases(p.t.Context()); err != nil {
		p.t.Errorf("end the leases of %s: %v", p.name, err)
	}
}

// warm makes the process lease what requests like r need.
func (p *process) warm(r budget.Request) {
	p.t.Helper()
	r.ID = ""
	if err := p.reserve(r).Release(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.step()
}

// fromMemory reserves, and fails unless that asks the store nothing.
func (p *process) fromMemory(r budget.Request) *budget.Reservation {
	p.t.Helper()
	before := p.updates
	res := p.reserve(r)
	if !res.Leased() || p.updates != before {
		p.t.Fatalf("%q was admitted by the store", res.ID())
	}
	return res
}

// fromStore reserves, and fails unless the store is asked.
func (p *process) fromStore(r budget.Request) *budget.Reservation {
	p.t.Helper()
	res := p.reserve(r)
	if res.Leased() {
		p.t.Fatalf("%q was admitted from memory", res.ID())
	}
	return res
}

// leased fails unless so much of the budget is leased.
func (p *process) leased(id, want string) {
	p.t.Helper()
	if got := p.status(id, nil).Leased; !got.Equal(dec(want)) {
		p.t.Errorf("budget %q: %s leased, want %s", id, got, want)
	}
}

// rows returns the leases that the process has in the store, and what each holds, with how much of what that is.
func (p *process) rows() map[budget.CounterKey]budget.StoredReservation {
	p.t.Helper()
	rows := make(map[budget.CounterKey]budget.StoredReservation)
	p.view(func(r budget.ReadTx) error {
		all, err := r.Reservations(p.t.Context(), budget.ReservationQuery{})
		for _, r := range all {
			if r.Lease && strings.HasPrefix(r.ID, p.name+"-") && len(r.Holds) > 0 {
				rows[r.Holds[0].CounterKey] = r
			}
		}
		return err
	})
	return rows
}

// one returns a request of so many tokens with an id that the ledger makes.
func one(n int64) budget.Request { return request("", n) }

func TestTheFirstRequestAsksTheStoreLaterOnesTheMemory(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.fromStore(one(10))
	p.step()
	p.stands(b.ID, "0", "170") // sixteen requests' worth is leased
	p.leased(b.ID, "160")
	for range 8 {
		p.fromMemory(one(10))
	}
	p.stands(b.ID, "0", "170") // nobody else sees a difference
	p.fromMemory(one(10))
	if err := p.KeepLeases(t.Context()); err != nil { // more than half is out: there is something to be done
		t.Fatal(err)
	}
	for range 16 {
		p.fromMemory(one(10))
	}
	p.verified()
}

func TestALeaseFollowsHowFastItIsUsed(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("1000000")})
	p.warm(one(1))
	p.use(time.Millisecond, 2*time.Second)
	if got := p.status(b.ID, nil).Leased; got.LessThan(dec("500")) || got.GreaterThan(dec("1500")) {
		t.Errorf("%s leased at a thousand requests a second", got)
	}
	p.use(50*time.Millisecond, time.Minute)
	if got := p.status(b.ID, nil).Leased; got.GreaterThan(dec("40")) {
		t.Errorf("%s leased at twenty requests a second", got)
	}
}

// use reserves and settles one after each pause, for so long.
func (p *process) use(pause, long time.Duration) {
	p.t.Helper()
	for end := p.monotonic + long; p.monotonic < end; p.world.pass(pause) {
		if err := p.reserve(one(1)).Settle(p.t.Context(), input(1)); err != nil {
			p.t.Fatal(err)
		}
		if p.monotonic%(50*time.Millisecond) == 0 {
			p.step()
		}
	}
}

// An order makes a flush longer, so there is none for each part that is half used, at the moment at which it is.
func TestALeaseIsToppedUpAtTheNextLookUnlessItMayNotLastUntilThen(t *testing.T) {
	tests := map[string]struct {
		of20 int64 // so many parts of what is leased are used
		keep bool  // the keeper, when it is told, tops up
		step bool  // and when it looks after all
	}{
		"some":                    {of20: 4},
		"half":                    {of20: 10, step: true},
		"most":                    {of20: 17, step: true},
		"what two looks may need": {of20: 19, keep: true, step: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := lone(t)
			b := p.create(budget.Budget{Limit: dec("1000000")})
			p.warm(one(1))
			p.use(time.Millisecond, 2*time.Second)
			leased := func() int64 { return p.status(b.ID, nil).Leased.IntPart() }
			before := leased()
			for range before * test.of20 / 20 {
				p.fromMemory(one(1))
			}
			if err := p.KeepLeases(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := leased(); after > before != test.keep {
				t.Errorf("once told, the keeper has leased %d where it had %d: topped up is to be %t", after, before, test.keep)
			}
			p.step()
			if after := leased(); after > before != test.step {
				t.Errorf("after a look it has leased %d where it had %d: topped up is to be %t", after, before, test.step)
			}
		})
	}
}

func TestAllBudgetsOfARequestAreLeased(t *testing.T) {
	p := lone(t)
	p.create(budget.Budget{ID: "day", Schedule: period.Daily, Limit: dec("10000")})
	p.create(budget.Budget{ID: "user", Scope: budget.Scope{usage.User: budget.Each}, Metric: usage.Requests, Limit: dec("100")})
	p.create(budget.Budget{ID: "soft", Enforcement: budget.Soft, Limit: dec("10000")})
	p.create(budget.Budget{ID: "seen", Enforcement: budget.Observe, Limit: dec("10000")})
	p.create(budget.Budget{ID: "off", Disabled: true, Limit: dec("1")})
	p.create(budget.Budget{ID: "other", Scope: budget.Scope{usage.User: "bob"}, Limit: dec("1")})
	p.warm(one(10))
	p.fromMemory(one(10))
	ann, bob := budget.Value{usage.User: "ann"}, budget.Value{usage.User: "bob"}
	if s := p.status("user", ann); !s.Leased.Equal(dec("12")) { // an eighth of what there is
		t.Errorf("%s of ann's requests are leased, want 12", s.Leased)
	}
	other := one(10)
	other.User = "cid"
	p.fromStore(other) // nothing is leased for cid
	p.step()
	p.fromMemory(other)
	if s := p.status("user", bob); !s.Leased.IsZero() {
		t.Errorf("%s of bob's requests are leased, want none", s.Leased)
	}
	for _, id := range []string{"day", "soft", "seen"} {
		p.leased(id, "160")
	}
	p.leased("off", "0")
	p.verified()
}

func TestWhatALeaseLacksIsAskedOfTheStore(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("1000")})
	p.warm(one(1)) // 16 are leased
	p.fromStore(one(400))
	p.fromMemory(one(16))
	p.stands(b.ID, "0", "416")
	// What is leased is still the process's own, and given back where it is in the way.
	p.fromStore(one(584))
	p.stands(b.ID, "0", "1000")
	p.refused(one(1))
	p.verified()
}

func TestWhatOnlyTheStoreDecides(t *testing.T) {
	p := lone(t)
	p.create(budget.Budget{ID: "some", Scope: budget.Scope{usage.Tenant: "acme"}, Limit: dec("10000"), AllowedResources: []string{"model-a"}})
	p.create(budget.Budget{ID: "sized", Scope: budget.Scope{usage.Tenant: "acme"}, Limit: dec("10000")})
	p.create(budget.Budget{ID: "soft", Scope: budget.Scope{usage.Tenant: "soft"}, Enforcement: budget.Soft, Limit: dec("10")})
	p.create(budget.Budget{ID: "least", Scope: budget.Scope{usage.Tenant: "least"}, Limit: dec("10000"), MinHold: dec("5")})
	p.warm(one(10))
	p.fromMemory(one(10))

	other := one(10)
	other.Resource = "model-b"
	if _, err := p.Reserve(t.Context(), other); !errors.Is(err, budget.ErrResourceNotAllowed) {
		t.Errorf("another resource: %v, want ErrResourceNotAllowed", err)
	}
	unknown := budget.Request{Subject: subject}
	if _, err := p.Reserve(t.Context(), unknown); !errors.Is(err, budget.ErrEstimateRequired) {
		t.Errorf("unknown estimate: %v, want ErrEstimateRequired", err)
	}
	unknown.Tenant = "least"
	p.warm(unknown)
	res := p.fromMemory(unknown) // MinHold says how much
	if err := res.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := p.status("least", nil); !s.Used.Equal(dec("5")) {
		t.Errorf("%s used by what held the MinHold, want 5", s.Used)
	}
	// What a soft budget lets pass it counts.
	beyond := one(11)
	beyond.Tenant = "soft"
	for range 3 {
		p.step()
		p.fromStore(beyond)
	}
	if s := p.status("soft", nil); s.WouldDeny != 3 || !s.Leased.IsZero() {
		t.Errorf("%d would have been denied, %s leased; want 3 and 0", s.WouldDeny, s.Leased)
	}
	p.verified()
}

func TestUnknownEstimatesAreAdmittedFromALeaseThatHasRoom(t *testing.T) {
	p := newWorld(t).process(budget.Options{AdmitUnknown: true})
	b := p.create(budget.Budget{Limit: dec("1000")})
	unknown := budget.Request{Subject: subject}
	p.warm(unknown)
	for range 100 {
		p.fromMemory(unknown)
	}
	p.leased(b.ID, "16")
	for p.status(b.ID, nil).Available.IsPositive() {
		p.reserve(one(1))
	}
	p.refused(unknown)
	p.verified()
}

func TestLabelsMatterOnlyToBudgetsThatNameThem(t *testing.T) {
	p := lone(t)
	p.create(budget.Budget{ID: "all", Limit: dec("10000")})
	labelled := func(team string) budget.Request {
		r := one(10)
		r.Labels = map[string]string{"team": team}
		return r
	}
	p.warm(labelled("red"))
	p.fromMemory(labelled("blue"))
	p.create(budget.Budget{ID: "team", Scope: budget.Scope{"team": budget.Each}, Limit: dec("1000")})
	p.step()
	p.fromStore(labelled("red"))
	p.step()
	p.fromMemory(labelled("red"))
	p.fromStore(labelled("blue"))
	p.fromMemory(one(10)) // of no team
	p.verified()
}

func TestAnIDNamesOneReservationInItsProcess(t *testing.T) {
	open := func(t *testing.T) (*process, budget.Budget) {
		p := lone(t)
		b := p.create(budget.Budget{Limit: dec("10000")})
		p.warm(one(10))
		return p, b
	}
	again := func(t *testing.T, p *process, first *budget.Reservation) {
		t.Helper()
		res := p.reserve(request("a", 10))
		if res.Key() != first.Key() || !res.Expires().Equal(first.Expires()) || res.Leased() != first.Leased() {
			t.Errorf("another reservation was made: %v and %v", res, first)
		}
		if _, err := p.Reserve(t.Context(), request("a", 11)); !errors.Is(err, budget.ErrConflict) {
			t.Errorf("another request with the id: %v, want ErrConflict", err)
		}
	}
	t.Run("from memory", func(t *testing.T) {
		p, b := open(t)
		first := p.fromMemory(request("a", 10))
		again(t, p, first)
		other := request("a", 10)
		other.Tenant = "other"
		if res := p.fromMemory(other); res.Key() == first.Key() {
			t.Error("another tenant's id is not another")
		}
		if err := first.Settle(t.Context(), input(7)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Reserve(t.Context(), request("a", 10)); !errors.Is(err, budget.ErrClosed) {
			t.Errorf("reserve of a settled one: %v, want ErrClosed", err)
		}
		p.stands(b.ID, "7", "150")
	})
	t.Run("after it was released", func(t *testing.T) {
		p, _ := open(t)
		if err := p.fromMemory(request("a", 10)).Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Reserve(t.Context(), request("a", 10)); !errors.Is(err, budget.ErrClosed) {
			t.Errorf("reserve of a released one: %v, want ErrClosed", err)
		}
	})
	t.Run("once the store was asked it is asked again", func(t *testing.T) {
		p := lone(t)
		b := p.create(budget.Budget{Limit: dec("10000")})
		first := p.fromStore(request("a", 10))
		p.step()
		p.fromMemory(one(10))
		again(t, p, first)
		p.stands(b.ID, "0", "170")
	})
	t.Run("once it has expired it is admitted anew", func(t *testing.T) {
		p, b := open(t)
		r := request("a", 10)
		r.TTL = time.Second
		p.fromMemory(r)
		p.world.pass(time.Second)
		r.TTL = time.Minute
		res := p.fromMemory(r)
		if want := p.now.Add(time.Minute); !res.Expires().Equal(want) {
			t.Errorf("expires at %s, want %s", res.Expires(), want)
		}
		p.fromMemory(one(150)) // the first one holds nothing
		p.leased(b.ID, "160")
	})
	t.Run("once its lease has ended it is admitted anew", func(t *testing.T) {
		p, b := open(t)
		p.fromMemory(request("a", 10))
		p.world.pass(leaseTTL)
		p.fromStore(request("a", 10))
		p.stands(b.ID, "0", "10")
		if err := p.Release(t.Context(), key("a")); err != nil {
			t.Fatal(err)
		}
		p.stands(b.ID, "0", "0")
	})
	t.Run("settled, what the store holds under it is dropped too", func(t *testing.T) {
		w := newWorld(t)
		p, q := w.process(budget.Options{}), w.process(budget.Options{})
		b := p.create(budget.Budget{Limit: dec("10000")})
		p.warm(one(10))
		p.fromMemory(request("a", 10))
		q.fromStore(request("a", 10)) // nobody can know
		p.stands(b.ID, "0", "170")
		if _, err := p.Settle(t.Context(), key("a"), budget.Settlement{Amounts: input(9)}); err != nil {
			t.Fatal(err)
		}
		p.stands(b.ID, "9", "150")
		p.verified()
	})
}

// endings are the ways to end a reservation.
func endings() map[string]func(*process, *budget.Reservation, usage.Amounts) error {
	return map[string]func(*process, *budget.Reservation, usage.Amounts) error{
		"by the handle": func(p *process, r *budget.Reservation, a usage.Amounts) error { return r.Settle(p.t.Context(), a) },
		"by the key": func(p *process, r *budget.Reservation, a usage.Amounts) error {
			_, err := p.Settle(p.t.Context(), r.Key(), budget.Settlement{Amounts: a})
			return err
		},
	}
}

func TestLeasedReservationsAreSettled(t *testing.T) {
	for name, settle := range endings() {
		t.Run(name, func(t *testing.T) {
			p := lone(t)
			b := p.create(budget.Budget{Limit: dec("10000")})
			p.warm(one(10))
			other := p.fromMemory(one(20))
			res := p.fromMemory(request("a", 10))
			for range 2 { // idempotent
				if err := settle(p, res, input(25)); err != nil { // more than it held
					t.Fatal(err)
				}
				p.stands(b.ID, "25", "150")
				p.leased(b.ID, "150")
			}
			if err := settle(p, res, input(26)); !errors.Is(err, budget.ErrConflict) {
				t.Errorf("settled with other content: %v, want ErrConflict", err)
			}
			for what, err := range map[string]error{
				"release by key":    p.Release(t.Context(), key("a")),
				"release by handle": p.fixtureRelease(res),
				"extend by key":     second(p.Extend(t.Context(), key("a"), time.Hour)),
				"extend by handle":  res.Extend(t.Context(), time.Hour),
			} {
				if !errors.Is(err, budget.ErrClosed) {
					t.Errorf("%s of a settled one: %v, want ErrClosed", what, err)
				}
			}
			if err := settle(p, other, input(1)); err != nil { // less than it held
				t.Fatal(err)
			}
			p.stands(b.ID, "26", "130")
			for _, e := range p.stored() {
				if e.Flags != 0 || !e.Time.Equal(noon) {
					t.Errorf("event is %+v", e)
				}
			}
			p.fromMemory(one(130))
			p.verified()
		})
	}
}

func (p *process) fixtureRelease(r *budget.Reservation) error { return r.Release(p.t.Context()) }

func TestLeasedReservationsAreReleasedAndClosed(t *testing.T) {
	open := func(t *testing.T) (*process, budget.Budget, *budget.Reservation) {
		p := lone(t)
		b := p.create(budget.Budget{Limit: dec("10000")})
		p.warm(one(10))
		return p, b, p.fromMemory(request("a", 10))
	}
	for name, release := range map[string]func(*process, *budget.Reservation) error{
		"by the handle": (*process).fixtureRelease,
		"by the key":    func(p *process, r *budget.Reservation) error { return p.Release(p.t.Context(), r.Key()) },
	} {
		t.Run("released "+name, func(t *testing.T) {
			p, b, res := open(t)
			before := p.updates
			for range 2 { // idempotent
				if err := release(p, res); err != nil {
					t.Fatal(err)
				}
			}
			if p.updates != before {
				t.Error("the store was asked")
			}
			p.fromMemory(one(160))
			if _, err := p.Extend(t.Context(), key("a"), 0); !errors.Is(err, budget.ErrClosed) {
				t.Errorf("extend of a released one: %v, want ErrClosed", err)
			}
			result, err := p.Settle(t.Context(), key("a"), budget.Settlement{Amounts: input(5)})
			if err != nil || result.Outcome != budget.Recorded || !result.Late {
				t.Errorf("settle of a released one: %+v, %v; want it recorded, late", result, err)
			}
			p.stands(b.ID, "5", "160")
			p.verified()
		})
	}
	t.Run("closed it is settled at the estimate", func(t *testing.T) {
		p, b, res := open(t)
		for range 2 {
			if err := res.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.stands(b.ID, "10", "150")
		}
		if e := p.stored()[0]; e.Flags != budget.Estimated || e.ID != "a" {
			t.Errorf("event is %+v", e)
		}
	})
	t.Run("of what another process recorded, closing is nothing", func(t *testing.T) {
		p, b, res := open(t)
		p.record(usage.Event{ID: "a", Time: noon, Subject: subject, Amounts: input(3)})
		if err := res.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.stands(b.ID, "3", "160")
		p.fromMemory(one(160)) // what it held is the lease's again
		p.verified()
	})
	t.Run("Do settles what was used", func(t *testing.T) {
		p, b, _ := open(t)
		err := p.Do(t.Context(), one(10), func(context.Context) (usage.Amounts, error) { return input(4), nil })
		if err != nil {
			t.Fatal(err)
		}
		p.stands(b.ID, "4", "150")
		err = p.Do(t.Context(), one(10), func(context.Context) (usage.Amounts, error) { return usage.Amounts{}, budget.ErrNotSpent })
		if !errors.Is(err, budget.ErrNotSpent) {
			t.Fatal(err)
		}
		p.fromMemory(one(140))
		p.verified()
	})
}

func TestLeasedReservationsAreExtended(t *testing.T) {
	for name, extend := range map[string]func(*process, *budget.Reservation, time.Duration) error{
		"by the handle": func(p *process, r *budget.Reservation, d time.Duration) error { return r.Extend(p.t.Context(), d) },
		"by the key": func(p *process, r *budget.Reservation, d time.Duration) error {
			until, err := p.Extend(p.t.Context(), r.Key(), d)
			if err == nil && until.Before(p.now.Add(d)) {
				p.t.Errorf("extended by %s until %s", d, until)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := lone(t)
			b := p.create(budget.Budget{Limit: dec("10000")})
			p.warm(one(10))
			res := p.fromMemory(request("a", 10))
			if err := extend(p, res, time.Minute); err != nil || !res.Expires().Equal(noon.Add(10*time.Minute)) {
				t.Errorf("expires at %s: %v; it is never made shorter", res.Expires(), err)
			}
			before := p.updates
			if err := extend(p, res, time.Hour); err != nil || !res.Expires().Equal(noon.Add(time.Hour)) || p.updates != before {
				t.Errorf("expires at %s: %v; want an hour, without asking the store", res.Expires(), err)
			}
			// With its lease gone it is asked for anew, and the store's from then on.
			p.world.pass(time.Minute)
			if err := extend(p, res, time.Hour); err != nil || !res.Expires().Equal(p.world.now.Add(time.Hour)) || !res.Time().Equal(p.now) {
				t.Errorf("expires at %s, admitted at %s: %v", res.Expires(), res.Time(), err)
			}
			p.stands(b.ID, "0", "10")
			p.leased(b.ID, "0")
			if err := extend(p, res, 2*time.Hour); err != nil {
				t.Error(err)
			}
			again := request("a", 10)
			if res := p.fromStore(again); !res.Expires().Equal(p.world.now.Add(2 * time.Hour)) {
				t.Error("it is not found at the store")
			}
			if err := res.Settle(t.Context(), input(8)); err != nil {
				t.Fatal(err)
			}
			p.stands(b.ID, "8", "0")
			if e := p.stored()[0]; e.Flags != 0 {
				t.Errorf("event is %+v", e)
			}
			p.verified()
		})
		t.Run(name+", released at the store", func(t *testing.T) {
			p := lone(t)
			b := p.create(budget.Budget{Limit: dec("10000")})
			p.warm(one(10))
			res := p.fromMemory(request("a", 10))
			p.world.pass(time.Minute)
			if err := extend(p, res, time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := res.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.stands(b.ID, "0", "0")
		})
		t.Run(name+", without room it is refused", func(t *testing.T) {
			p := lone(t)
			b := p.create(budget.Budget{Limit: dec("1000")})
			p.warm(one(10))
			res := p.fromMemory(request("a", 10))
			p.world.pass(time.Minute)
			p.fromStore(one(1000))
			if err := extend(p, res, time.Hour); !errors.Is(err, budget.ErrExceeded) {
				t.Errorf("%v, want ErrExceeded", err)
			}
			// And what it used is recorded all the same.
			if err := endings()[name](p, res, input(10)); err != nil {
				t.Fatal(err)
			}
			p.stands(b.ID, "10", "1000")
			p.verified()
		})
	}
}

func TestALeasedReservationExpires(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	r := request("a", 40)
	r.TTL = 4 * time.Second
	res := p.fromMemory(r)
	p.fromStore(one(9840)) // so that no more can be leased
	p.now = p.now.Add(time.Hour)
	p.step() // a clock that was set forward ends nothing early
	p.now = p.now.Add(-time.Hour)
	p.step()
	p.fromMemory(one(120))
	p.world.pass(4*time.Second - 1 - longestAsk)
	p.refused(one(1))
	p.stands(b.ID, "0", "10000")
	p.world.pass(1)
	p.step()
	p.fromMemory(one(40))
	if err := res.Settle(t.Context(), input(70)); err != nil {
		t.Fatal(err)
	}
	if e := p.stored()[0]; e.Flags != budget.Late || !e.Time.Equal(noon) {
		t.Errorf("event is %+v, want it late", e)
	}
	if s := p.status(b.ID, nil); !s.Used.Equal(dec("70")) || !s.Leased.Equal(dec("160")) || s.Expired != 0 {
		t.Errorf("%s used, %s leased, %d expired", s.Used, s.Leased, s.Expired)
	}
	p.verified()
}
