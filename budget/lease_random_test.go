package budget_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Processes that lease come, go and die, by clocks that go wrong, while budgets change and the store fails now and then.
// Whatever they do, in whatever order: what is admitted was there to be had, the store holds all of it for as long as it
// said, no counter is wrong, and in the end nothing is left.
func TestLeasesOfProcessesThatComeAndGo(t *testing.T) {
	n := soak.Count(t, "histories of processes that lease", 150, 50_000)
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(n), "rapid.steps": "60"} {
		before := flag.Lookup(name).Value.String()
		t.Cleanup(func() { _ = flag.Set(name, before) })
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := newFleet(rt, t)
		rt.Repeat(map[string]func(*rapid.T){
			"":            m.invariants,
			"reserve":     m.reserve,
			"reserve 2":   m.reserve, // more often than the rest
			"reserve 3":   m.reserve,
			"settle":      m.settle,
			"settle 2":    m.settleMany,
			"release":     m.release,
			"extend":      m.extend,
			"record":      m.record,
			"step":        m.step,
			"step all":    m.stepAll,
			"step all 2":  m.stepAll,
			"keep":        m.keep,
			"pass":        m.pass,
			"pass 2":      m.pass,
			"set a clock": m.setClock,
			"end":         m.endProcess,
			"kill":        m.kill,
			"change":      m.change,
			"fail":        m.fail,
		})
		m.finish()
	})
}

// A fleet is processes, and what the test knows of what they have done.
type fleet struct {
	*world
	rt     *rapid.T
	holds  []*held
	faults bool // the store fails now and then
	serial int
	sleeps map[*process]bool // its monotonic clock stands still at times; else its wall clock is wrong at times
	late   map[*process]bool // it has yet to see what was done beyond reservations, or to budgets
}

// held is a reservation that was not settled, nor released.
type held struct {
	process *process
	res     *budget.Reservation
}

// examiner is the test as rapid wants it to be failed.
type examiner struct {
	testing.TB
	rt *rapid.T
}

func (e examiner) Helper()                           { e.rt.Helper() }
func (e examiner) Error(args ...any)                 { e.rt.Error(args...) }
func (e examiner) Errorf(format string, args ...any) { e.rt.Errorf(format, args...) }
func (e examiner) Fatal(args ...any)                 { e.rt.Fatal(args...) }
func (e examiner) Fatalf(format string, args ...any) { e.rt.Fatalf(format, args...) }

func newFleet(rt *rapid.T, t *testing.T) *fleet {
	m := &fleet{
		world: newWorld(examiner{t, rt}), rt: rt,
		sleeps: make(map[*process]bool), late: make(map[*process]bool),
		faults: rapid.Bool().Draw(rt, "the store fails"),
	}
	for range 3 {
		m.spawn()
	}
	p := m.processes[0]
	p.create(budget.Budget{ID: "all", Schedule: period.Lifetime, Limit: dec("3000")})
	p.create(budget.Budget{ID: "users", Schedule: period.Daily, Scope: budget.Scope{usage.User: budget.Each}, Limit: dec("2000")})
	p.create(budget.Budget{ID: "soft", Enforcement: budget.Soft, Schedule: period.Lifetime, Limit: dec("4000")})
	return m
}

func (m *fleet) any() *process {
	return m.processes[rapid.IntRange(0, len(m.processes)-1).Draw(m.rt, "process")]
}

// hold returns a reservation, and nil if there is none.
func (m *fleet) hold() *held {
	if len(m.holds) == 0 {
		return nil
	}
	return m.holds[rapid.IntRange(0, len(m.holds)-1).Draw(m.rt, "hold")]
}

func (m *fleet) gone(h *held) {
	m.holds = slices.DeleteFunc(m.holds, func(o *held) bool { return o == h })
}

// bearable fails the test with an error that is none of those of a store that was made to fail.
func (m *fleet) bearable(err error, others ...error) {
	m.rt.Helper()
	if m.faults {
		others = append(others, budget.ErrUnavailable, budget.ErrOutcomeUnknown)
	}
	if err != nil && !slices.ContainsFunc(others, func(other error) bool { return errors.Is(err, other) }) {
		m.rt.Fatalf("%v", err)
	}
}

func (m *fleet) reserve(rt *rapid.T) {
	p := m.any()
	r := one(rapid.SampledFrom([]int64{1, 2, 3, 5, 5, 8, 8, 13, 500}).Draw(rt, "units"))
	r.User = rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "user")
	r.TTL = rapid.SampledFrom([]time.Duration{0, 0, 0, 3 * time.Second}).Draw(rt, "TTL")
	if rapid.IntRange(0, 4).Draw(rt, "named") == 0 {
		m.serial++
		r.ID = fmt.Sprintf("r%d", m.serial)
	}
	prompt := rapid.IntRange(0, 3).Draw(rt, "keeper") > 0 // it does what is due at once, else some other time
	for range rapid.IntRange(1, 20).Draw(rt, "times") {
		m.reserveOne(p, r)
		if prompt && !p.stuck {
			m.bearable(p.KeepLeases(context.Background()))
		}
	}
}

func (m *fleet) reserveOne(p *process, r budget.Request) {
	res, err := p.Reserve(context.Background(), r)
	switch {
	case errors.Is(err, budget.ErrExceeded):
		m.refused(p, r)
		return
	case err != nil:
		m.bearable(err)
		return
	}
	again := slices.ContainsFunc(m.holds, func(h *held) bool { return h.res.Key() == res.Key() })
	if again {
		return
	}
	m.holds = append(m.holds, &held{p, res})
	m.admitted(p, res)
}

// admitted fails unless there was room for what was just admitted.
func (m *fleet) admitted(p *process, res *budget.Reservation) {
	rows := p.rows()
	for _, h := range m.holdsOf(p, res) {
		b := m.budgetOf(h.Budget)
		if b == nil || b.Enforcement != budget.Hard {
			continue
		}
		// Leases count in full. Only of its own the process knows what of them it has out.
		taken := m.taken(h.CounterKey, func(owner *process) bool { return owner == p && res.Leased() })
		limit := b.Limit.IntPart()
		if taken > limit && (!res.Leased() || !m.late[p]) {
			m.rt.Fatalf("%s admitted %q: %d of %d of %+v are taken", p.name, res.ID(), taken, limit, h.CounterKey)
		}
		if !res.Leased() {
			continue
		}
		row, stands := rows[h.CounterKey]
		switch {
		case !stands && !m.late[p]:
			m.rt.Fatalf("%s admitted %q from a lease of %+v that the store does not know", p.name, res.ID(), h.CounterKey)
		case stands && !m.now.Before(row.Expires):
			m.rt.Fatalf("%s admitted %q from a lease that ended at %s, it is %s", p.name, res.ID(), row.Expires, m.now)
		}
	}
}

// holdsOf returns what a reservation holds.
func (m *fleet) holdsOf(p *process, res *budget.Reservation) []budget.Hold {
	rows := p.Outstanding()
	if !res.Leased() {
		m.processes[0].view(func(r budget.ReadTx) (err error) {
			rows, err = r.Reservations(context.Background(), budget.ReservationQuery{Keys: []budget.ReservationKey{res.Key()}})
			return err
		})
	}
	for _, row := range rows {
		if row.Key() == res.Key() {
			return row.Holds
		}
	}
	return nil
}

// taken returns what of a counter is used or held: leases by what is out where known says so, else in full.
func (m *fleet) taken(key budget.CounterKey, known func(*process) bool) int64 {
	p := m.processes[0]
	tally := p.tallies()[key]
	taken := tally.Recorded + tally.Adjusted
	p.view(func(r budget.ReadTx) error {
		open, err := r.Reservations(context.Background(), budget.ReservationQuery{States: []budget.ReservationState{budget.Open}})
		for _, row := range open {
			owner := m.owner(row)
			for _, h := range row.Holds {
				if h.CounterKey == key && (!row.Lease || owner == nil || !known(owner)) {
					taken += h.Units
				}
			}
		}
		return err
	})
	for _, q := range m.processes {
		if known(q) {
			taken += q.outstanding()[key]
		}
	}
	return taken
}

// owner returns the process whose lease it is, nil if that is no more.
func (m *fleet) owner(row budget.StoredReservation) *process {
	for _, p := range m.processes {
		if strings.HasPrefix(row.ID, p.name+"-") {
			return p
		}
	}
	return nil
}

func (m *fleet) budgetOf(id string) *budget.Budget {
	b, err := m.processes[0].Budget(context.Background(), id)
	if err != nil {
		return nil
	}
	return &b
}

// refused fails if there was room for a request, counting what others have leased and do not need. Where the store fails
// they may not have heard of it.
func (m *fleet) refused(p *process, r budget.Request) {
	if m.faults || m.roomy(p, r) == "" {
		return
	}
	// Some may have expired in the last moment of waiting.
	r.ID = ""
	if _, err := p.Reserve(context.Background(), r); err == nil {
		return
	}
	if figures := m.roomy(p, r); figures != "" {
		m.rt.Fatalf("%s refused %d tokens of %s, for which there was room: %s", p.name, r.Estimate.InputTokens, r.User, figures)
	}
}

// roomy returns the figures of the budgets of a request if no hard one lacks room, else "".
func (m *fleet) roomy(p *process, r budget.Request) string {
	decision, err := p.Check(context.Background(), r)
	if err != nil {
		m.rt.Fatal(err)
	}
	figures := "by its budgets"
	for _, v := range decision.Verdicts {
		key := budget.CounterKey{Budget: v.Budget.ID, Value: v.Value.Key(), Start: v.Budget.Schedule.Bounds(decision.At).Start.UnixMicro()}
		taken, limit := m.taken(key, func(*process) bool { return true }), v.Budget.Limit.IntPart()
		if v.Budget.Enforcement == budget.Hard && (taken >= limit || taken+r.Estimate.InputTokens > limit) {
			return ""
		}
		figures += fmt.Sprintf("\n%s of %s: %d of %d taken; %s used, %s reserved, %s leased",
			v.Budget.ID, v.Value.Key(), taken, limit, v.Used, v.Reserved, v.Leased)
	}
	return figures
}

// settleMany settles half of what there is.
func (m *fleet) settleMany(rt *rapid.T) {
	for range len(m.holds) / 2 {
		m.settle(rt)
	}
}

func (m *fleet) settle(rt *rapid.T) {
	h := m.hold()
	if h == nil {
		return
	}
	var units int64
	for _, held := range m.holdsOf(h.process, h.res) {
		units = held.Units
	}
	if more := rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, 0, -1, -1, 100}).Draw(rt, "more"); units+more > 0 {
		units += more
	}
	_, err := h.process.Settle(context.Background(), h.res.Key(), budget.Settlement{Amounts: input(units)})
	m.bearable(err, budget.ErrConflict)
	m.seenLater(h.process, err)
	if err == nil {
		m.gone(h)
	}
}

// seenLater takes down that what a process did is seen by the others later; if it does not know what came of it, by itself
// too.
func (m *fleet) seenLater(by *process, err error) {
	for _, p := range m.processes {
		m.late[p] = m.late[p] || p != by || err != nil
	}
}

func (m *fleet) release(*rapid.T) {
	if h := m.hold(); h != nil {
		err := h.process.Release(context.Background(), h.res.Key())
		m.bearable(err, budget.ErrClosed)
		if err == nil {
			m.gone(h)
		}
	}
}

func (m *fleet) extend(rt *rapid.T) {
	h := m.hold()
	if h == nil {
		return
	}
	d := rapid.SampledFrom([]time.Duration{time.Second, time.Minute}).Draw(rt, "by")
	err := h.res.Extend(context.Background(), d)
	m.bearable(err, budget.ErrExceeded, budget.ErrClosed)
}

// record records what nobody reserved.
func (m *fleet) record(rt *rapid.T) {
	p := m.any()
	m.serial++
	units := rapid.SampledFrom([]int64{1, 10, 50}).Draw(rt, "units")
	_, err := p.Record(context.Background(), usage.Event{ID: fmt.Sprintf("e%d", m.serial), Subject: subject, Amounts: input(units)})
	m.bearable(err)
	m.seenLater(p, err)
}

func (m *fleet) step(*rapid.T) {
	p := m.any()
	p.StartLeases()
	p.stuck = false
	m.stepOf(p)
}

func (m *fleet) stepAll(*rapid.T) {
	for _, p := range m.processes {
		if !p.stuck {
			m.stepOf(p)
		}
	}
}

func (m *fleet) stepOf(p *process) {
	err := p.StepLeases(context.Background())
	m.bearable(err)
	m.late[p] = m.late[p] && err != nil
}

func (m *fleet) keep(*rapid.T) {
	if p := m.any(); !p.stuck {
		m.bearable(p.KeepLeases(context.Background()))
	}
}

func (m *fleet) pass(rt *rapid.T) {
	m.world.pass(rapid.SampledFrom([]time.Duration{
		time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, time.Second, 5 * time.Second,
		5 * time.Second, holderTTL - 1, holderTTL, leaseTTL, 12 * time.Hour,
	}).Draw(rt, "time"))
}

// setClock makes a clock of a process wrong: it was set, or stood still for a while. It is always the same one of its two.
func (m *fleet) setClock(rt *rapid.T) {
	p, d := m.any(), rapid.SampledFrom([]time.Duration{time.Second, holderTTL, time.Hour}).Draw(rt, "by")
	switch still := rapid.Bool().Draw(rt, "it stood still"); {
	case m.sleeps[p]:
		m.world.pass(d)
		p.monotonic -= d
	case still:
		m.world.pass(d)
		p.now = p.now.Add(-d)
	default:
		p.now = p.now.Add(d * time.Duration(rapid.SampledFrom([]int{-1, 1}).Draw(rt, "direction")))
	}
}

// endProcess ends the Run of a process. Its reservations can be settled still.
func (m *fleet) endProcess(*rapid.T) {
	p := m.any()
	p.stuck = true
	m.bearable(p.EndLeases(context.Background()))
}

// kill ends a process. What it had admitted may be used all the same: then others record that.
func (m *fleet) kill(rt *rapid.T) {
	p := m.any()
	m.processes = slices.DeleteFunc(m.processes, func(q *process) bool { return q == p })
	m.spawn()
	for _, h := range slices.Clone(m.holds) {
		if h.process != p {
			continue
		}
		m.gone(h)
		if !rapid.Bool().Draw(rt, "used all the same") {
			continue
		}
		_, err := m.processes[0].Record(context.Background(), usage.Event{ID: h.res.ID(), Subject: subject, Amounts: input(5)})
		m.bearable(err, budget.ErrConflict)
		m.seenLater(nil, err)
	}
}

// spawn starts a process. While it waits for others, these take steps.
func (m *fleet) spawn() {
	p := m.process(budget.Options{})
	m.sleeps[p] = rapid.Bool().Draw(m.rt, "it sleeps")
	p.OnPause(func(d time.Duration) {
		m.world.pass(d)
		m.stepAll(nil)
	})
}

func (m *fleet) change(rt *rapid.T) {
	p := m.any()
	ctx := context.Background()
	var err error
	switch id := rapid.SampledFrom([]string{"all", "users"}).Draw(rt, "budget"); rapid.IntRange(0, 4).Draw(rt, "change") {
	case 0:
		limit := dec(rapid.SampledFrom([]string{"500", "1500", "3000", "5000"}).Draw(rt, "limit"))
		_, err = p.Update(ctx, id, func(b *budget.Budget) error { b.Limit = limit; return nil })
	case 1:
		_, err = p.Update(ctx, id, func(b *budget.Budget) error { b.Disabled = !b.Disabled; return nil })
	case 2:
		_, err = p.Update(ctx, "users", func(b *budget.Budget) error {
			if b.Scope[usage.User] == budget.Each {
				b.Scope = budget.Scope{usage.User: "ann"}
			} else {
				b.Scope = budget.Scope{usage.User: budget.Each}
			}
			return nil
		})
	case 3:
		_, err = p.Create(ctx, withDefaults(budget.Budget{ID: "more", Schedule: period.Lifetime, Limit: dec("1500")}))
	case 4:
		err = p.Delete(ctx, "more")
	}
	m.bearable(err, budget.ErrConflict, budget.ErrNotFound)
	m.seenLater(nil, err)
}

// fail makes the next transactions of a process fail.
func (m *fleet) fail(rt *rapid.T) {
	if !m.faults {
		return
	}
	outcomes := []outcome{isUnavailable, isUnknownBefore, isUnknownAfter, goesWell}
	p := m.any()
	for range rapid.IntRange(1, 3).Draw(rt, "transactions") {
		p.outcomes = append(p.outcomes, outcomes[rapid.IntRange(0, len(outcomes)-1).Draw(rt, "outcome")])
	}
}

// invariants are what is so at every moment.
func (m *fleet) invariants(*rapid.T) {
	for _, p := range m.processes {
		p.coveredWhileItLasts()
	}
	m.processes[0].verified()
}

// coveredWhileItLasts is covered for leases that the store has not ended.
func (p *process) coveredWhileItLasts() {
	p.t.Helper()
	out := p.outstanding()
	for key, row := range p.rows() {
		if units := row.Holds[0].Units; units < out[key] {
			p.t.Errorf("%s has %d of %+v out, the store holds %d for it", p.name, out[key], key, units)
		}
	}
}

// finish ends everything, after which nothing is held.
func (m *fleet) finish() {
	ctx := context.Background()
	for _, p := range m.processes {
		p.outcomes = nil
	}
	for _, h := range slices.Clone(m.holds) {
		// Those that died are of processes that are no more; the rest settle, late or not.
		_, err := h.process.Settle(ctx, h.res.Key(), budget.Settlement{Amounts: input(1)})
		m.bearable(err, budget.ErrConflict, budget.ErrNotFound)
	}
	for _, p := range m.processes {
		p.end()
	}
	m.world.pass(8 * 24 * time.Hour)
	p := m.processes[0]
	if res, err := p.Reserve(ctx, budget.Request{Subject: usage.Subject{Tenant: "nobody"}, Estimate: usage.Amounts{Requests: new(int64(1))}}); err == nil {
		if err := res.Release(ctx); err != nil {
			m.rt.Fatal(err)
		}
	}
	for key, tally := range p.tallies() {
		if tally.Reserved != 0 || tally.Leased != 0 {
			m.rt.Errorf("counter %+v: %d reserved, %d leased in the end", key, tally.Reserved, tally.Leased)
		}
	}
	p.verified()
}
