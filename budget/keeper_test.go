package budget_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// holderTTL is how long a lease lasts by the clocks of who holds it.
const holderTTL = leaseTTL / 4 * 3

func TestALeaseEndsAQuarterBeforeTheStoresEndByEitherClock(t *testing.T) {
	for name, pass := range map[string]func(p *process, d time.Duration){
		"both clocks go on": func(p *process, d time.Duration) { p.world.pass(d) },
		"the wall clock stands still": func(p *process, d time.Duration) {
			p.world.pass(d)
			p.now = p.now.Add(-d)
		},
		"the wall clock was set back": func(p *process, d time.Duration) {
			p.world.pass(d)
			p.now = p.now.Add(-time.Hour)
		},
		"the monotonic clock stands still": func(p *process, d time.Duration) {
			p.world.pass(d)
			p.monotonic -= d
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := lone(t)
			b := p.create(budget.Budget{Schedule: period.Lifetime, Limit: dec("10000")})
			p.warm(one(10))
			res := p.fromMemory(request("a", 10))
			pass(p, holderTTL-1)
			p.fromMemory(one(10))
			pass(p, 1)
			p.fromStore(one(10))
			if err := res.Settle(t.Context(), input(10)); err != nil {
				t.Fatal(err)
			}
			if e := p.stored()[0]; e.Flags != 0 {
				t.Errorf("event is %+v: the store held its room still", e)
			}
			p.stands(b.ID, "10", "160")
			p.verified()
		})
	}
	t.Run("the wall clock was set forward", func(t *testing.T) {
		p := lone(t)
		p.create(budget.Budget{Schedule: period.Lifetime, Limit: dec("10000")})
		p.warm(one(10))
		p.now = p.now.Add(holderTTL)
		p.fromStore(one(10))
		p.step()
		p.fromMemory(one(10)) // it was renewed
	})
}

func TestWhatAKilledProcessHeldComesBackWhenItsLeaseEndsAndNotBefore(t *testing.T) {
	w := newWorld(t)
	p, q := w.process(budget.Options{}), w.process(budget.Options{})
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	res := p.fromMemory(request("a", 10))
	p.stuck = true // as good as dead
	w.pass(leaseTTL - longestAsk - 1)
	q.refused(one(9841))
	q.stands(b.ID, "0", "160")
	w.pass(1)
	q.fromStore(one(10000))
	q.stands(b.ID, "0", "10000")
	if s := q.status(b.ID, nil); s.Expired != 0 || !s.Leased.IsZero() {
		t.Errorf("%d expired, %s leased; want none: a lease leaves nothing to be settled", s.Expired, s.Leased)
	}
	// It lives after all.
	if err := res.Settle(t.Context(), input(12)); err != nil {
		t.Fatal(err)
	}
	if e := q.stored()[0]; e.Flags != budget.Late {
		t.Errorf("event is %+v, want it late", e)
	}
	q.stands(b.ID, "12", "10000")
	p.refused(one(1))
	q.verified()
}

func TestALeaseThatTheStoreEndedAdmitsNothingOnceThatIsKnown(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	res := p.fromMemory(request("a", 10))
	p.world.now = p.world.now.Add(leaseTTL) // the store's clock was set
	other := p.world.process(budget.Options{})
	settledAt(t, other.fromStore(one(10)), 10)
	if err := res.Settle(t.Context(), input(10)); err != nil {
		t.Fatal(err)
	}
	p.fromStore(one(10))
	p.step()
	p.fromMemory(one(10)) // from a new one
	p.stands(b.ID, "20", "170")
	p.verified()
}

func TestALeaseLastsAsLongAsItIsKept(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	long := request("long", 10)
	long.TTL = time.Hour
	res := p.fromMemory(long)
	for range 20 {
		p.world.pass(leaseTTL / 4)
		p.step()
		if err := p.fromMemory(one(10)).Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// Not used for half its time it is given back, but for what is out.
	p.world.pass(leaseTTL/2 + 1)
	p.step()
	p.stands(b.ID, "0", "10")
	p.leased(b.ID, "10")
	for range 20 {
		p.world.pass(leaseTTL / 4)
		p.step()
	}
	p.stands(b.ID, "0", "10")
	if err := res.Settle(t.Context(), input(10)); err != nil {
		t.Fatal(err)
	}
	if e := p.stored()[0]; e.Flags != 0 {
		t.Errorf("event is %+v", e)
	}
	p.step()
	if rows := p.rows(); len(rows) > 0 {
		t.Errorf("what is not used any more stays: %v", rows)
	}
	p.stands(b.ID, "10", "0")
	p.verified()
}

func TestAPeriodThatBeginsHasLeasesOfItsOwn(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Schedule: period.Daily, Limit: dec("10000")})
	p.world.pass(12*time.Hour - time.Second)
	p.warm(one(10))
	p.fromMemory(one(20))
	res := p.fromMemory(request("a", 10))
	p.world.pass(time.Second)
	p.stands(b.ID, "0", "0")
	p.fromStore(one(10))
	p.step()
	p.fromMemory(one(160))
	p.stands(b.ID, "0", "170")
	if err := res.Settle(t.Context(), input(10)); err != nil {
		t.Fatal(err)
	}
	p.world.pass(leaseTTL / 2)
	p.step()
	yesterday, err := p.StatusAt(t.Context(), b.ID, nil, noon)
	if err != nil || !yesterday.Used.Equal(dec("10")) || !yesterday.Reserved.Equal(dec("20")) {
		t.Errorf("yesterday: %s used, %s reserved, %v; want 10 and the 20 that are out", yesterday.Used, yesterday.Reserved, err)
	}
	p.now = p.now.Add(-time.Minute) // a clock that was set back: it is yesterday again
	p.fromStore(one(10))
	p.verified()
}

func TestChangesOfBudgetsTakeEffectOnLeasedTraffic(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *process, id string)
		room   int64 // for requests after it
	}{
		"a budget is made": {func(p *process, _ string) {
			p.create(budget.Budget{ID: "new", Limit: dec("55")})
		}, 55},
		"the limit is lowered": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Limit = dec("75") })
		}, 65},
		"the limit is lowered below what is out": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Limit = dec("5") })
		}, 0},
		"the limit is raised": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Limit = dec("1100") })
		}, 1090},
		"only some resources are allowed": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.AllowedResources = []string{"model-b"} })
		}, 0},
		"it is disabled": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Disabled = true })
		}, -1},
		"it is disabled and enabled": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Disabled = true })
			p.update(id, func(b *budget.Budget) { b.Disabled = false })
		}, 1000},
		"it is deleted": {func(p *process, id string) {
			if err := p.Delete(p.t.Context(), id); err != nil {
				p.t.Fatal(err)
			}
		}, -1},
		"it is deleted and made again": {func(p *process, id string) {
			if err := p.Delete(p.t.Context(), id); err != nil {
				p.t.Fatal(err)
			}
			p.create(budget.Budget{ID: id, Limit: dec("100")})
		}, 100},
		"it is about another user": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Scope = budget.Scope{usage.User: "bob"} })
		}, -1},
		"it is about each user": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Scope = budget.Scope{usage.User: budget.Each} })
		}, 1000},
		"it counts by the day": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Schedule = period.Daily })
		}, 1000},
		"it counts something else": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.Metric, b.Limit = usage.Requests, dec("7") })
		}, 7},
		"it has ended": {func(p *process, id string) {
			p.update(id, func(b *budget.Budget) { b.EndsAt = p.now })
		}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, q := w.process(budget.Options{}), w.process(budget.Options{})
			b := p.create(budget.Budget{ID: "b", Limit: dec("1000")})
			p.warm(one(10))
			out := []*budget.Reservation{p.fromMemory(request("a", 10))}
			c.change(q, b.ID)
			w.pass(50 * time.Millisecond)
			p.step()

			// What is admitted from here on is what there is room for.
			admitted := int64(0)
			for ; c.room < 0 && admitted < 1200 || c.room >= 0; admitted++ {
				res, err := p.Reserve(t.Context(), one(1))
				if err != nil {
					break
				}
				out = append(out, res)
				if admitted%10 == 0 {
					w.pass(time.Millisecond)
					p.step()
				}
			}
			if admitted != c.room && c.room >= 0 || c.room < 0 && admitted != 1200 {
				t.Errorf("%d admitted, want %d", admitted, c.room)
			}
			for _, res := range out {
				if err := res.Settle(t.Context(), input(1)); err != nil {
					t.Fatal(err)
				}
			}
			p.verified()
			p.end()
			for key, tally := range p.tallies() {
				if tally.Reserved != 0 || tally.Leased != 0 {
					t.Errorf("counter %+v: %d reserved, %d leased at the end", key, tally.Reserved, tally.Leased)
				}
				if key.Value != "" && name != "it is about each user" {
					t.Errorf("counter %+v is nobody's", key)
				}
			}
			p.verified()
		})
	}
	t.Run("at the latest when the lease ends for its holder", func(t *testing.T) {
		w := newWorld(t)
		p, q := w.process(budget.Options{}), w.process(budget.Options{})
		b := p.create(budget.Budget{Limit: dec("1000")})
		p.warm(one(10))
		q.update(b.ID, func(b *budget.Budget) { b.Limit = dec("5") })
		w.pass(holderTTL - 1)
		p.fromMemory(one(1)) // its keeper does not get to know
		w.pass(1)
		p.stuck = true
		p.refused(one(1))
	})
}

func TestCountersOfBudgetsThatAreGoneAreNotMadeAgain(t *testing.T) {
	w := newWorld(t)
	p, q := w.process(budget.Options{}), w.process(budget.Options{})
	b := p.create(budget.Budget{Limit: dec("1000")})
	p.warm(one(10))
	p.fromMemory(one(10))
	q.update(b.ID, func(b *budget.Budget) { b.Scope = budget.Scope{usage.User: budget.Each} })
	w.pass(leaseTTL / 4)
	p.step()
	if err := q.Delete(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	w.pass(leaseTTL / 4)
	p.step()
	p.end()
	if tallies := p.tallies(); len(tallies) > 0 {
		t.Errorf("there are counters of no budget: %v", tallies)
	}
}

func TestUseBeyondTheEstimateEndsAdmissionFromLeases(t *testing.T) {
	beyond := map[string]func(p *process){
		"settled": func(p *process) {
			res := p.reserve(one(10))
			if err := res.Settle(p.t.Context(), input(990)); err != nil {
				p.t.Fatal(err)
			}
		},
		"settled from a lease": func(p *process) {
			p.warm(one(10))
			if err := p.fromMemory(one(10)).Settle(p.t.Context(), input(990)); err != nil {
				p.t.Fatal(err)
			}
		},
		"recorded": func(p *process) { p.record(usage.Event{ID: "e", Subject: subject, Amounts: input(990)}) },
		"adjusted": func(p *process) { p.adjust("b", "990") },
	}
	for name, use := range beyond {
		t.Run(name+" in another process", func(t *testing.T) {
			w := newWorld(t)
			p, q := w.process(budget.Options{}), w.process(budget.Options{})
			p.create(budget.Budget{ID: "b", Limit: dec("1000")})
			p.warm(one(10))
			p.fromMemory(one(10))
			use(q)
			w.pass(50 * time.Millisecond)
			w.steps()
			w.steps() // what was in the way is given back by now
			if s := p.status("b", nil); s.Used.Add(s.Reserved).GreaterThan(dec("1000")) {
				t.Errorf("%s used, %s reserved", s.Used, s.Reserved)
			}
			p.refused(one(10))
			p.verified()
		})
	}
	t.Run("in this process there is not even a moment", func(t *testing.T) {
		p := lone(t)
		b := p.create(budget.Budget{Limit: dec("1000")})
		p.warm(one(10))
		res := p.fromMemory(one(10))
		if err := res.Settle(t.Context(), input(995)); err != nil {
			t.Fatal(err)
		}
		p.refused(one(6))
		p.fromMemory(one(5))
		p.step()
		p.stands(b.ID, "995", "5")
		p.verified()
	})
}

func TestAtTheEndOfRunWhatIsFreeGoesBack(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	settled, released, closed := p.fromMemory(request("a", 10)), p.fromMemory(request("b", 20)), p.fromMemory(request("c", 30))
	p.end()
	p.stands(b.ID, "0", "60")
	p.leased(b.ID, "60")
	settledAt(t, p.fromStore(one(1)), 1)
	p.world.pass(9 * time.Minute) // what is out keeps its room for as long as it asked for
	if err := settled.Settle(t.Context(), input(10)); err != nil {
		t.Fatal(err)
	}
	p.stands(b.ID, "11", "50")
	if err := released.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.stands(b.ID, "11", "30")
	if err := closed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.stands(b.ID, "41", "0")
	p.verified()
	for _, e := range p.stored() {
		if e.Flags&budget.Late != 0 {
			t.Errorf("event %q is late", e.ID)
		}
	}
	p.StartLeases()
	p.warm(one(10))
	p.fromMemory(one(10))
}

func TestRoomThatIsLeasedElsewhereIsGivenToWhoNeedsIt(t *testing.T) {
	for name, c := range map[string]struct {
		leased, asked int64
	}{
		"a little":    {500, 501},
		"most of it":  {500, 900},
		"all of it":   {500, 1000},
		"bit by bit":  {960, 1000},
		"one request": {960, 41},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, q := w.process(budget.Options{}), w.process(budget.Options{})
			b := p.create(budget.Budget{Limit: dec("1000")})
			p.hoard(c.leased)
			res := q.fromStore(one(c.asked))
			waited := time.Duration(0)
			for _, d := range q.pauses {
				waited += d
			}
			if waited > longestAsk {
				t.Errorf("it waited for %s, want at most %s", waited, longestAsk)
			}
			if err := res.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Second)
			p.step()
			p.reserve(one(1))
			p.step()
			p.fromMemory(one(1)) // it leases again afterwards
			if err := q.Do(t.Context(), one(1), func(context.Context) (usage.Amounts, error) { return input(1), nil }); err != nil {
				t.Error(err)
			}
			if s := q.status(b.ID, nil); s.Denied != 0 {
				t.Errorf("%d refused", s.Denied)
			}
			p.verified()
		})
	}
	t.Run("while its holder goes on", func(t *testing.T) {
		w := newWorld(t)
		p, q := w.process(budget.Options{}), w.process(budget.Options{})
		p.create(budget.Budget{Limit: dec("1000")})
		p.hoard(900)
		q.OnPause(func(d time.Duration) {
			for range d / time.Millisecond { // a request each millisecond, and its keeper does what is due
				w.pass(time.Millisecond)
				if err := p.reserve(one(1)).Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := p.KeepLeases(t.Context()); err != nil {
					t.Fatal(err)
				}
				if w.now.UnixMilli()%50 == 0 {
					p.step()
				}
			}
		})
		q.fromStore(one(600))
	})
	t.Run("what is out is not given", func(t *testing.T) {
		w := newWorld(t)
		p, q := w.process(budget.Options{}), w.process(budget.Options{})
		p.create(budget.Budget{Limit: dec("1000")})
		p.hoard(500)
		p.fromMemory(one(400))
		q.refused(one(601))
		q.fromStore(one(600))
		p.refused(one(1))
		q.refused(one(1))
		p.verified()
	})
	t.Run("in a transaction of the caller's nobody is waited for", func(t *testing.T) {
		w := newWorld(t)
		p, q := w.process(budget.Options{}), w.process(budget.Options{})
		p.create(budget.Budget{Limit: dec("1000")})
		p.hoard(500)
		bound := q.WithStore(q.store)
		bound.OnPause(func(d time.Duration) { t.Errorf("it waited for %s", d) })
		if _, err := bound.Reserve(t.Context(), one(600)); !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("%v, want ErrExceeded", err)
		}
		p.step() // but it was heard
		p.step()
		if res, err := bound.Reserve(t.Context(), one(600)); err != nil || res.Leased() {
			t.Errorf("a second later: %v", err)
		}
	})
}

// hoard makes the process lease so much, by asking for one after the other.
func (p *process) hoard(units int64) {
	p.t.Helper()
	p.warm(one(1))
	var out []*budget.Reservation
	for tries := 0; ; tries++ {
		leased := int64(0)
		for _, row := range p.rows() {
			leased += row.Holds[0].Units
		}
		if leased >= units {
			break
		}
		if tries == 1000 {
			p.t.Fatalf("%d are leased, no more can be had", leased)
		}
		if res := p.reserve(one(1)); res.Leased() {
			out = append(out, res)
		} else if err := res.Release(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		p.world.pass(restAfterNothing)
		p.step()
	}
	for _, res := range out {
		if err := res.Release(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
}

// restAfterNothing is how long nothing is leased of a counter of which nothing could be had.
const restAfterNothing = 100 * time.Millisecond

func TestAProcessThatMayNotLeaseAsksTheStore(t *testing.T) {
	t.Run("before Run begins and after it has ended", func(t *testing.T) {
		p := lone(t)
		p.create(budget.Budget{Limit: dec("10000")})
		p.end()
		for range 3 {
			p.fromStore(one(1))
			p.step()
		}
	})
	t.Run("in a transaction of the caller's", func(t *testing.T) {
		p := lone(t)
		p.create(budget.Budget{Limit: dec("10000")})
		p.warm(one(1))
		res, err := p.WithStore(p.store).Reserve(t.Context(), one(1))
		if err != nil || res.Leased() {
			t.Errorf("leased: %t, %v", res.Leased(), err)
		}
		if res, err := p.By("ann").Reserve(t.Context(), one(1)); err != nil || !res.Leased() {
			t.Errorf("By leases otherwise: %v", err)
		}
	})
	t.Run("beyond so many counters", func(t *testing.T) {
		p := lone(t)
		p.create(budget.Budget{Scope: budget.Scope{usage.User: budget.Each}, Limit: dec("10000")})
		for i := range budget.MaxParts + 100 {
			r := one(1)
			r.User = fmt.Sprint(i)
			p.fromStore(r)
		}
		p.step()
		if n := len(p.rows()); n != budget.MaxParts {
			t.Errorf("%d leases, want %d", n, budget.MaxParts)
		}
		p.world.pass(leaseTTL/2 + 1)
		p.step()
		if n := len(p.rows()); n != 0 {
			t.Errorf("%d leases are not used and kept", n)
		}
	})
}

// faults are what can become of a transaction, and of the one that is tried in its place.
var faults = map[string][]outcome{
	"unavailable":                       {isUnavailable},
	"unknown, it was not committed":     {isUnknownBefore},
	"unknown, it was committed":         {isUnknownAfter},
	"unknown twice, never committed":    {isUnknownBefore, isUnknownBefore},
	"unknown twice, once committed":     {isUnknownAfter, isUnknownBefore},
	"unknown twice, committed at last":  {isUnknownBefore, isUnknownAfter},
	"unknown twice, committed twice":    {isUnknownAfter, isUnknownAfter},
	"unknown and committed, then away":  {isUnknownAfter, isUnavailable},
	"unknown, then away, then as usual": {isUnknownBefore, isUnavailable, goesWell},
}

func TestFaultsInTheKeepersTransactions(t *testing.T) {
	for when, c := range map[string]struct {
		before func(p, q *process)
		fault  func(p *process) error
	}{
		"the first lease": {
			func(p, _ *process) { p.fromStore(one(10)) },
			func(p *process) error { return p.KeepLeases(p.t.Context()) },
		},
		"more is leased": {
			func(p, _ *process) {
				p.warm(one(10))
				p.fromMemory(one(100))
			},
			func(p *process) error { return p.KeepLeases(p.t.Context()) },
		},
		"renewal": {
			func(p, _ *process) {
				p.warm(one(10))
				p.fromMemory(one(10))
				p.world.pass(leaseTTL / 4)
			},
			func(p *process) error { return p.StepLeases(p.t.Context()) },
		},
		"some is given back": {
			func(p, q *process) {
				p.warm(one(10))
				p.fromMemory(one(70))
				bound := q.WithStore(q.store)
				if _, err := bound.Reserve(p.t.Context(), one(950)); !errors.Is(err, budget.ErrExceeded) {
					p.t.Fatal(err)
				}
			},
			func(p *process) error { return p.StepLeases(p.t.Context()) },
		},
		"it is not used": {
			func(p, _ *process) {
				p.warm(one(10))
				p.fromMemory(one(10))
				p.world.pass(leaseTTL/2 + 1)
			},
			func(p *process) error { return p.StepLeases(p.t.Context()) },
		},
		"a settlement": {
			func(p, _ *process) {
				p.warm(one(10))
				p.fromMemory(one(10))
				p.fromMemory(request("settled", 20))
			},
			func(p *process) error {
				_, err := p.Settle(p.t.Context(), key("settled"), budget.Settlement{Amounts: input(20)})
				return err
			},
		},
		"a settlement, then a release": {
			func(p, _ *process) {
				p.warm(one(10))
				p.fromMemory(one(10))
				p.fromMemory(request("settled", 20))
			},
			func(p *process) error {
				_, err := p.Settle(p.t.Context(), key("settled"), budget.Settlement{Amounts: input(20)})
				if err != nil {
					if err := p.Release(p.t.Context(), key("settled")); err != nil {
						p.t.Errorf("release: %v", err)
					}
				}
				return err
			},
		},
		"the end": {
			func(p, _ *process) {
				p.warm(one(10))
				p.fromMemory(one(10))
			},
			func(p *process) error { return p.EndLeases(p.t.Context()) },
		},
	} {
		for name, outcomes := range faults {
			t.Run(when+"/"+name, func(t *testing.T) {
				w := newWorld(t)
				p, q := w.process(budget.Options{}), w.process(budget.Options{})
				b := p.create(budget.Budget{Limit: dec("1000")})
				q.stuck = true
				c.before(p, q)
				p.outcomes = slices.Clone(outcomes)
				for tries := 0; ; tries++ {
					err := c.fault(p)
					p.covered()
					// Whatever the process believes, it admits nothing that the store does not hold for it.
					for range 40 {
						res, err := p.Reserve(t.Context(), one(2))
						if err != nil || !res.Leased() {
							break
						}
					}
					p.covered()
					if err == nil {
						break
					}
					if !errors.Is(err, budget.ErrUnavailable) && !errors.Is(err, budget.ErrOutcomeUnknown) || tries > 3 {
						t.Fatal(err)
					}
				}
				if len(p.outcomes) > 0 {
					t.Fatal("it was not asked for")
				}
				p.StartLeases()
				// Nothing is lost: all of the limit can be used.
				w.pass(time.Second)
				p.step()
				p.covered()
				s := p.status(b.ID, nil)
				admitted := s.Used.Add(s.Reserved).Sub(s.Leased)
				for _, units := range p.outstanding() {
					admitted = admitted.Add(b.Metric.Decimal(units))
				}
				if rest := dec("1000").Sub(admitted); rest.IsPositive() {
					q.fromStore(one(rest.IntPart()))
				}
				q.refused(one(1))
				p.refused(one(1))
				p.covered()
				p.verified()
			})
		}
	}
}

// covered fails unless the store holds for the process what it has admitted from memory and not settled.
func (p *process) covered() {
	p.t.Helper()
	rows := p.rows()
	for key, units := range p.outstanding() {
		if row := rows[key]; len(row.Holds) == 0 || row.Holds[0].Units < units {
			p.t.Errorf("%s has %d of %+v out, the store holds %v for it", p.name, units, key, row.Holds)
		}
	}
}

// outstanding returns what the process has admitted from memory and not settled, so far as the store knows: the process may
// not have heard that a settlement succeeded.
func (p *process) outstanding() map[budget.CounterKey]int64 {
	events := p.events()
	out := make(map[budget.CounterKey]int64)
	for _, r := range p.Outstanding() {
		for _, h := range r.Holds {
			if !slices.Contains(events, r.ID) {
				out[h.CounterKey] += h.Units
			}
		}
	}
	maps.DeleteFunc(out, func(_ budget.CounterKey, units int64) bool { return units == 0 })
	return out
}

// A settlement that commits while the keeper is about to give back must not give back that what it found: it is
// promised to the store already.
func TestWhatIsToBeGivenBackIsNotUsedMeanwhile(t *testing.T) {
	w := newWorld(t)
	p, q := w.process(budget.Options{}), w.process(budget.Options{})
	p.create(budget.Budget{Limit: dec("1000")})
	p.warm(one(10))
	res := p.fromMemory(one(10))
	bound := q.WithStore(q.store)
	if _, err := bound.Reserve(t.Context(), one(900)); !errors.Is(err, budget.ErrExceeded) {
		t.Fatal(err)
	}
	var stepping sync.WaitGroup
	inOrder := make(chan struct{})
	p.outcomes = []outcome{
		func(run func() error) error { // of the settlement: the keeper comes before its answer
			err := run()
			stepping.Go(p.step)
			eventually(t, func() bool { return p.Queued() == 1 })
			return err
		},
		func(run func() error) error { // of the keeper: what was free is asked for before it is given back
			<-inOrder
			return run()
		},
	}
	settledAt(t, res, 10)
	for range 100 {
		// Those that the lease does not admit wait behind the keeper.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		res, err := p.Reserve(ctx, one(1))
		cancel()
		if err != nil || !res.Leased() {
			break
		}
	}
	close(inOrder)
	stepping.Wait()
	p.covered()
	p.verified()
}

func settledAt(t testing.TB, r *budget.Reservation, n int64) {
	t.Helper()
	if err := r.Settle(t.Context(), input(n)); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about")
		}
	}
}

// A caller who leaves while its settlement is being recorded must not get its room back before that is done.
func TestWhatIsBeingSettledIsNotReleased(t *testing.T) {
	p := lone(t)
	b := p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	first, second := p.fromMemory(request("first", 10)), p.fromMemory(request("second", 10))
	var calls sync.WaitGroup
	entered, proceed := make(chan struct{}), make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	p.outcomes = []outcome{
		func(run func() error) error { // of another: these two wait behind it, and share the next
			calls.Go(func() { settledAt(t, first, 10) })
			eventually(t, func() bool { return p.Queued() == 1 })
			calls.Go(func() { left <- second.Settle(ctx, input(10)) })
			eventually(t, func() bool { return p.Queued() == 2 })
			return run()
		},
		func(run func() error) error {
			close(entered)
			<-proceed
			return run()
		},
	}
	settledAt(t, p.fromMemory(one(10)), 10)
	<-entered
	leave()
	if err := <-left; !errors.Is(err, budget.ErrOutcomeUnknown) {
		t.Errorf("the one who left: %v, want ErrOutcomeUnknown", err)
	}
	if err := second.Release(t.Context()); !errors.Is(err, budget.ErrClosed) {
		t.Errorf("release while it is settled: %v, want ErrClosed", err)
	}
	if err := second.Extend(t.Context(), time.Hour); !errors.Is(err, budget.ErrClosed) {
		t.Errorf("extend while it is settled: %v, want ErrClosed", err)
	}
	close(proceed)
	calls.Wait()
	settledAt(t, second, 10) // a duplicate
	p.stands(b.ID, "30", "130")
	p.covered()
	p.fromMemory(one(130))
	p.verified()
}

func TestOnceTheStoreIsBackLeasingGoesOn(t *testing.T) {
	p := lone(t)
	p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	for range 5 {
		p.outcomes = []outcome{isUnavailable}
		p.world.pass(leaseTTL / 4)
		if err := p.StepLeases(t.Context()); !errors.Is(err, budget.ErrUnavailable) {
			t.Errorf("step: %v, want ErrUnavailable", err)
		}
	}
	p.outcomes = []outcome{isUnavailable}
	if _, err := p.Reserve(t.Context(), one(10)); !errors.Is(err, budget.ErrUnavailable) {
		t.Errorf("reserve: %v, want ErrUnavailable: the lease has ended", err)
	}
	for range 2 { // once to hear that it has ended
		p.fromStore(one(10))
		p.step()
	}
	p.fromMemory(one(10))
	p.verified()
}

func TestWhileTheStoreIsAwayALeaseGoesOn(t *testing.T) {
	p := lone(t)
	p.create(budget.Budget{Limit: dec("10000")})
	p.warm(one(10))
	p.world.pass(holderTTL - 1)
	p.outcomes = []outcome{isUnavailable}
	res := p.fromMemory(one(10))
	if err := res.Settle(t.Context(), input(10)); !errors.Is(err, budget.ErrUnavailable) {
		t.Errorf("settle: %v, want ErrUnavailable", err)
	}
	if err := res.Close(t.Context()); err != nil { // tries it again
		t.Error(err)
	}
	if got := p.events(); len(got) != 1 {
		t.Errorf("%d events, want 1", len(got))
	}
	p.verified()
}

// What follows is Run itself: on real clocks, and in a bubble where it matters how long something takes.

// running runs the ledger until the test, or stop, ends it.
func running(t testing.TB, l *budget.Ledger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// leasing returns a ledger that leases, and the budget on which it does, of 100,000 tokens. Errors go to the function.
func leasing(t testing.TB, s budget.Store, o budget.LeaseOptions, onError func(error)) (*budget.Ledger, budget.Budget) {
	if onError == nil {
		onError = func(err error) { t.Error(err) }
	}
	l := budget.NewLedger(s, &budget.Options{Leases: &o, OnError: onError, CloseTimeout: time.Minute})
	b, err := l.Create(t.Context(), withDefaults(budget.Budget{Limit: dec("100000")}))
	if err != nil {
		t.Fatal(err)
	}
	return l, b
}

// admitted reserves until that is done from memory, and returns that reservation.
func admitted(t testing.TB, l *budget.Ledger, r budget.Request) *budget.Reservation {
	t.Helper()
	var res *budget.Reservation
	eventually(t, func() bool {
		var err error
		if res, err = l.Reserve(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if !res.Leased() {
			if err := res.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return res.Leased()
	})
	return res
}

func stance(t testing.TB, l *budget.Ledger, id string) string {
	t.Helper()
	s, err := l.Status(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s used, %s reserved, %s leased", s.Used, s.Reserved, s.Leased)
}

func TestRunKeepsLeases(t *testing.T) {
	t.Run("and gives back what is free when it ends", func(t *testing.T) {
		l, b := leasing(t, memstore.New(nil), budget.LeaseOptions{}, nil)
		stop := running(t, l)
		res := admitted(t, l, one(10))
		stop()
		if got, want := stance(t, l, b.ID), "0 used, 10 reserved, 10 leased"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
		settledAt(t, res, 7)
		if got, want := stance(t, l, b.ID), "7 used, 0 reserved, 0 leased"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
	})
	t.Run("started twice, the second goes on when the first has ended", func(t *testing.T) {
		l, b := leasing(t, memstore.New(nil), budget.LeaseOptions{}, nil)
		first, second := running(t, l), running(t, l)
		admitted(t, l, one(10))
		first()
		res := admitted(t, l, one(20))
		second()
		if got, want := stance(t, l, b.ID), "0 used, 30 reserved, 30 leased"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
		if err := res.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := stance(t, l, b.ID), "0 used, 10 reserved, 10 leased"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
	})
	t.Run("renews them while they are used", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const ttl = time.Second
			l, b := leasing(t, memstore.New(nil), budget.LeaseOptions{TTL: ttl}, nil)
			running(t, l)
			admitted(t, l, one(10))
			expires := func() time.Time {
				leases, err := l.Reservations(t.Context(), budget.ReservationQuery{Budget: b.ID, States: []budget.ReservationState{budget.Open}})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range leases {
					if r.Lease {
						return r.Expires
					}
				}
				return time.Time{}
			}
			first := expires()
			eventually(t, func() bool { return expires().Sub(first) > ttl })
		})
	})
	t.Run("goes on when the store was away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var failed atomic.Int64
			s := &flaky{Store: memstore.New(nil)}
			l, _ := leasing(t, s, budget.LeaseOptions{TTL: 200 * time.Millisecond}, func(err error) {
				if !errors.Is(err, budget.ErrUnavailable) {
					t.Errorf("OnError: %v", err)
				}
				failed.Add(1)
			})
			l.OnPause(func(time.Duration) { runtime.Gosched() })
			running(t, l)
			admitted(t, l, one(10))
			s.away.Store(true)
			eventually(t, func() bool { return failed.Load() > 3 })
			s.away.Store(false)
			admitted(t, l, one(10))
		})
	})
	t.Run("gives way to those who lack room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := memstore.New(nil)
			l, b := leasing(t, s, budget.LeaseOptions{}, nil)
			running(t, l)
			admitted(t, l, one(1000))
			other := budget.NewLedger(s, nil)
			if _, err := other.Reserve(t.Context(), one(99_000)); err != nil {
				t.Error(err)
			}
			if got, want := stance(t, l, b.ID), "0 used, 100000 reserved, 1000 leased"; got != want {
				t.Errorf("%s; want %s", got, want)
			}
		})
	})
}

// A flaky store is away while a test says so, or does not answer until it says so.
type flaky struct {
	budget.Store
	away   atomic.Bool
	silent atomic.Pointer[chan struct{}] // not nil: nobody gets an answer before it is closed
}

// silence lets nobody get an answer until answer is called, or the test ends: Run, which ends with it, may wait for one.
func (s *flaky) silence(t testing.TB) (answer func()) {
	until := make(chan struct{})
	s.silent.Store(&until)
	answer = sync.OnceFunc(func() { s.silent.Store(nil); close(until) })
	t.Cleanup(answer)
	return answer
}

func (s *flaky) Update(ctx context.Context, fn func(budget.Tx) error) error {
	if s.away.Load() {
		return budget.ErrUnavailable
	}
	if until := s.silent.Load(); until != nil {
		<-*until
	}
	return s.Store.Update(ctx, fn)
}

func (s *flaky) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if s.away.Load() {
		return budget.ErrUnavailable
	}
	return s.Store.View(ctx, fn)
}

// settlements makes n reservations from memory, with ids that begin with a prefix, and returns their settling.
func settlements(t testing.TB, l *budget.Ledger, prefix string, n int) []func() error {
	t.Helper()
	settle := make([]func() error, n)
	for i := range settle {
		res := admitted(t, l, one(1))
		settle[i] = func() error { return res.Settle(t.Context(), input(1)) }
	}
	return settle
}

func TestAsyncSettle(t *testing.T) {
	async := budget.LeaseOptions{AsyncSettle: true}
	t.Run("is recorded by Run, at its end at the latest", func(t *testing.T) {
		s := &flaky{Store: memstore.New(nil)}
		l, b := leasing(t, s, async, nil)
		stop := running(t, l)
		settle := settlements(t, l, "a", 1000)
		answer := s.silence(t) // none of them asks the store
		for _, settle := range settle {
			if err := settle(); err != nil {
				t.Fatal(err)
			}
		}
		answer()
		stop()
		if got, want := stance(t, l, b.ID), "1000 used, 0 reserved, 0 leased"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
	})
	t.Run("no more wait than may", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const queue = 4
			s := &flaky{Store: memstore.New(nil)}
			l, b := leasing(t, s, budget.LeaseOptions{AsyncSettle: true, AsyncQueue: queue}, nil)
			stop := running(t, l)
			settle := settlements(t, l, "a", 100)
			answer := s.silence(t)
			var returned atomic.Int64
			var calls sync.WaitGroup
			all := func(settle []func() error) {
				calls.Go(func() {
					for _, settle := range settle {
						if err := settle(); err != nil {
							t.Error(err)
						}
						returned.Add(1)
					}
				})
				synctest.Wait()
			}
			all(settle[:1]) // which Run is recording then
			all(settle[1:])
			if n := returned.Load(); n != 1+queue {
				t.Errorf("%d returned while the store gave no answer, want the one that is recorded and the %d that may wait", n, queue)
			}
			answer()
			calls.Wait()
			stop()
			if got, want := stance(t, l, b.ID), "100 used, 0 reserved, 0 leased"; got != want {
				t.Errorf("%s; want %s", got, want)
			}
		})
	})
	t.Run("waits for a store that is away", func(t *testing.T) {
		var failed atomic.Int64
		s := &flaky{Store: memstore.New(nil)}
		l, b := leasing(t, s, async, func(error) { failed.Add(1) })
		l.OnPause(func(time.Duration) { runtime.Gosched() })
		stop := running(t, l)
		settle := settlements(t, l, "a", 100)
		s.away.Store(true)
		for _, settle := range settle {
			if err := settle(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, func() bool { return failed.Load() > 3 })
		s.away.Store(false)
		stop()
		if got, want := stance(t, l, b.ID), "100 used, 0 reserved, 0 leased"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
	})
	t.Run("what could not be recorded in the end is told, and can be settled again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var told []string
			s := &flaky{Store: memstore.New(nil)}
			l, b := leasing(t, s, async, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, err.Error())
			})
			stop := running(t, l)
			settle := settlements(t, l, "a", 10)
			s.away.Store(true)
			for _, settle := range settle {
				if err := settle(); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			s.away.Store(false)
			if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, "10 settlements were not recorded") }) {
				t.Errorf("it was told %q", told)
			}
			for _, settle := range settle {
				if err := settle(); err != nil {
					t.Fatal(err)
				}
			}
			if s, err := l.Status(t.Context(), b.ID, nil); err != nil || !s.Used.Equal(dec("10")) {
				t.Errorf("%s used, %v; want 10", s.Used, err)
			}
		})
	})
	t.Run("errors are told", func(t *testing.T) {
		errs := make(chan error, 1)
		l, b := leasing(t, memstore.New(nil), async, func(err error) { errs <- err })
		running(t, l)
		res := admitted(t, l, one(10))
		if _, err := l.Record(t.Context(), usage.Event{ID: res.ID(), Subject: subject, Amounts: input(3)}); err != nil {
			t.Fatal(err)
		}
		settledAt(t, res, 10)
		if err := <-errs; !errors.Is(err, budget.ErrConflict) {
			t.Errorf("OnError: %v, want ErrConflict", err)
		}
		for what, err := range map[string]error{
			"release": res.Release(t.Context()),
			"extend":  res.Extend(t.Context(), time.Hour),
			"reserve": second(l.Reserve(t.Context(), request(res.ID(), 10))),
		} {
			if !errors.Is(err, budget.ErrClosed) {
				t.Errorf("%s of a settled one: %v, want ErrClosed", what, err)
			}
		}
		if s, err := l.Status(t.Context(), b.ID, nil); err != nil || !s.Used.Equal(dec("3")) {
			t.Errorf("%s used, %v; want 3", s.Used, err)
		}
	})
}

func TestLeasesAdmitTheWholeLimitAndNotMore(t *testing.T) {
	const workers = 8
	room := int64(soak.Count(t, "requests of four ledgers that lease", 50_000, 1_000_000))
	s := memstore.New(nil)
	ledgers := make([]*budget.Ledger, 4)
	for i := range ledgers {
		ledgers[i] = budget.NewLedger(s, &budget.Options{Leases: &budget.LeaseOptions{}, OnError: func(err error) { t.Error(err) }})
		running(t, ledgers[i])
	}
	ctx := t.Context()
	b, err := ledgers[0].Create(ctx, budget.Budget{Name: "hot", Metric: usage.Requests, Limit: dec(fmt.Sprint(room))})
	if err != nil {
		t.Fatal(err)
	}
	var admitted, leased atomic.Int64
	var workersDone sync.WaitGroup
	for _, l := range ledgers {
		for range workers {
			workersDone.Go(func() {
				for {
					res, err := l.Reserve(ctx, budget.Request{Subject: subject})
					var exceeded *budget.ExceededError
					if errors.As(err, &exceeded) && exceeded.Used.LessThan(exceeded.Limit) {
						continue // the rest is leased, and its holder was too busy to give it back in time
					}
					if exceeded != nil {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					admitted.Add(1)
					if res.Leased() {
						leased.Add(1)
					}
					if err := res.Settle(ctx, input(1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	workersDone.Wait()
	t.Logf("%d admitted, %d from memory", admitted.Load(), leased.Load())
	status, err := ledgers[0].Status(ctx, b.ID, nil)
	if err != nil || !status.Used.Equal(dec(fmt.Sprint(room))) || admitted.Load() != room {
		t.Errorf("%d admitted, %s used, %v; want %d", admitted.Load(), status.Used, err, room)
	}
	if leased.Load()*10 < room*9 {
		t.Errorf("%d of %d admitted from memory, want more than 90 percent", leased.Load(), room)
	}
}

func TestLeasesNeedNoMoreMemoryWithTime(t *testing.T) {
	p := lone(t)
	p.create(budget.Budget{Scope: budget.Scope{usage.User: budget.Each}, Limit: dec("1000000000")})
	n := soak.Count(t, "leased admissions", 40_000, 5_000_000)
	r := one(1)
	admit := func(i int) {
		r.User = fmt.Sprint(i / 100)
		r.ID = fmt.Sprint(i)
		if err := p.reserve(r).Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i%100 == 1 {
			p.step()
			p.world.pass(50 * time.Millisecond)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for i := range n / 4 {
		admit(i)
	}
	before := heap()
	for i := range n {
		admit(n/4 + i)
	}
	if after := heap(); after > before+before/2+4<<20 {
		t.Errorf("%d MB after %d admissions, %d MB before", after>>20, n, before>>20)
	}
	if diff := cmp.Diff(0, len(p.Outstanding())); diff != "" {
		t.Errorf("open reservations (-want +got):\n%s", diff)
	}
}

// Whoever could end a lease from elsewhere would have its room, while its process goes on admitting from it.
func TestALeaseIsNoReservation(t *testing.T) {
	for name, tt := range map[string]struct {
		try  func(*process, budget.ReservationKey) error
		want error
	}{
		"to release": {
			func(p *process, key budget.ReservationKey) error { return p.Release(p.t.Context(), key) }, budget.ErrNotFound,
		},
		"to extend": {
			func(p *process, key budget.ReservationKey) error {
				return second(p.Extend(p.t.Context(), key, time.Hour))
			}, budget.ErrNotFound,
		},
		"to settle": {
			func(p *process, key budget.ReservationKey) error {
				return second(p.Settle(p.t.Context(), key, budget.Settlement{Amounts: input(1)}))
			}, budget.ErrNotFound,
		},
		"to settle, where there is an event with its id": {
			func(p *process, key budget.ReservationKey) error {
				p.record(usage.Event{ID: key.ID})
				return second(p.Settle(p.t.Context(), key, budget.Settlement{Amounts: input(1)}))
			}, budget.ErrConflict,
		},
		"to reserve": {
			func(p *process, key budget.ReservationKey) error {
				return second(p.Reserve(p.t.Context(), budget.Request{ID: key.ID, Estimate: input(1)}))
			}, budget.ErrConflict,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, q := w.process(budget.Options{}), w.process(budget.Options{})
			b := p.create(budget.Budget{Limit: dec("10000")})
			p.warm(one(10))
			for counter, before := range p.rows() {
				if err := tt.try(q, before.Key()); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if diff := cmp.Diff(before, p.rows()[counter]); diff != "" {
					t.Errorf("the lease (-want +got):\n%s", diff)
				}
			}
			p.leased(b.ID, "160")
			q.verified()
		})
	}
}

// After Run has ended nobody looks after leases but those who still use them.
func TestWhatAReservationFreesAfterRunIsGivenBack(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*process, *budget.Reservation) error
		used string // of the user's budget, and held of it
		held string
	}{
		"released": {func(p *process, r *budget.Reservation) error { return r.Release(p.t.Context()) }, "0", "10"},
		"settled":  {func(p *process, r *budget.Reservation) error { return r.Settle(p.t.Context(), input(4)) }, "4", "10"},
		"settled after its time": {
			func(p *process, r *budget.Reservation) error {
				p.world.pass(2 * time.Second)
				return r.Settle(p.t.Context(), input(4))
			}, "4", "10",
		},
		"extended, for which it is asked anew": {
			func(p *process, r *budget.Reservation) error { return r.Extend(p.t.Context(), time.Minute) }, "0", "20",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, q := w.process(budget.Options{}), w.process(budget.Options{})
			all := p.create(budget.Budget{ID: "all", Limit: dec("10000")})
			moving := p.create(budget.Budget{ID: "moving", Scope: budget.Scope{usage.User: budget.Each}, Limit: dec("10000")})
			r := one(10)
			r.User = "ann"
			p.warm(r)
			p.fromMemory(r)
			r.TTL = time.Second
			gone := p.fromMemory(r)
			// Its lease of the other budget holds nothing any more: that counts anew.
			q.update(moving.ID, func(b *budget.Budget) { b.Scope = budget.Scope{usage.User: "ann"} })
			p.end()
			if err := tt.end(p, gone); err != nil {
				t.Fatal(err)
			}
			q.stands(all.ID, tt.used, tt.held)
			p.covered()
			q.verified()
		})
	}
}

// What was spent comes before what is free: the store may be there for a moment alone.
func TestALateSettlementIsRecordedBeforeRoomIsGivenBack(t *testing.T) {
	p := lone(t)
	p.create(budget.Budget{Limit: dec("10000")})
	r := one(10)
	p.warm(r)
	p.fromMemory(r)
	r.TTL = time.Second
	late := p.fromMemory(r)
	p.end()
	p.world.pass(2 * time.Second)
	p.outcomes = []outcome{goesWell, isUnavailable}
	if err := late.Settle(t.Context(), input(4)); err != nil {
		t.Errorf("the settlement: %v", err)
	}
	if len(p.outcomes) != 0 {
		t.Error("nothing was given back")
	}
	p.verified()
}
