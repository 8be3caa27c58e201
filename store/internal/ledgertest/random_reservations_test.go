package ledgertest

import (
	"errors"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// pass lets time pass by the store's clock. That of the ledger does not matter to what expires.
func (m *machine) pass(rt *rapid.T) {
	hours := rapid.IntRange(1, 3).Draw(rt, "hours")
	m.model.hour += hours
	m.stage.pass(m.t, time.Duration(hours)*time.Hour)
}

// reserve asks for room: with a new id, or with one that was used before, for the same or for something else.
func (m *machine) reserve(rt *rapid.T) {
	for range rapid.IntRange(1, 3).Draw(rt, "requests") {
		r := budget.Request{
			ID: m.id("r"), Subject: subjects().Draw(rt, "subject"), Estimate: amounts().Draw(rt, "estimate"),
		}
		if old := m.pickReservation(rt); old != nil && rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
			r.ID, r.Tenant = old.request.ID, old.request.Tenant
			if rapid.Bool().Draw(rt, "the same") {
				r = old.request
			}
		}
		hours := rapid.IntRange(1, 4).Draw(rt, "hours")
		r.TTL = ttlOf(hours)
		m.reserveOne(rt, r, hours)
	}
}

// ttlOf is a time that is over in so many hours. It is half an hour less, for the real clock goes on too.
func ttlOf(hours int) time.Duration { return time.Duration(hours)*time.Hour - 30*time.Minute }

func (m *machine) reserveOne(rt *rapid.T, r budget.Request, hours int) {
	m.model.giveBack()
	res, err := m.ledger.Reserve(m.ctx, r)
	r.TTL = 0
	key := budget.ReservationKey{Tenant: r.Tenant, ID: r.ID}
	old := m.model.reservations[key]
	if old != nil && old.state == isSettled && old.event.event.Time.Before(m.model.floor) {
		old = nil // nobody remembers
	}
	switch {
	case old != nil && (old.state == isReleased || old.state == isSettled):
		want(rt, "reserve of one that is closed", err, budget.ErrClosed)
	case old != nil && old.state == isOpen && !cmp.Equal(old.request, r):
		want(rt, "another request with the id", err, budget.ErrConflict)
	case old != nil && old.state == isOpen:
		want(rt, "the same request again", err)
		if !res.Time().Equal(old.event.event.Time) {
			rt.Fatalf("the same request again was admitted at %v, want %v", res.Time(), old.event.event.Time)
		}
	default:
		totals, invalid := r.Estimate.Totals()
		if invalid != nil {
			rt.Fatal(invalid)
		}
		e := &modelEvent{event: usage.Event{ID: r.ID, Time: m.now, Subject: r.Subject}, totals: totals}
		asked := &modelReservation{request: r, event: e, expires: m.model.hour + hours}
		refused := m.model.admit(asked, false)
		want(rt, "reserve", err, refused...)
		if len(refused) == 0 {
			m.model.reservations[key] = asked
		}
	}
}

// want fails unless err is all of these, or nil if there are none.
func want(rt *rapid.T, what string, err error, all ...error) {
	for _, target := range all {
		if !errors.Is(err, target) {
			rt.Fatalf("%s: %v, want %v", what, err, all)
		}
	}
	if len(all) == 0 && err != nil {
		rt.Fatalf("%s: %v", what, err)
	}
}

func (m *machine) pickReservation(rt *rapid.T) *modelReservation {
	keys := m.model.keys()
	if len(keys) == 0 {
		return nil
	}
	return m.model.reservations[rapid.SampledFrom(keys).Draw(rt, "reservation")]
}

func (r *modelReservation) key() budget.ReservationKey {
	return budget.ReservationKey{Tenant: r.request.Tenant, ID: r.request.ID}
}

// settle says what was really used: as much as was estimated or not, in time or late, by the same resource or another.
func (m *machine) settle(rt *rapid.T) {
	r := m.pickReservation(rt)
	if r == nil {
		return
	}
	if r.state == isSettled {
		m.settleAgain(rt, r)
		return
	}
	s := budget.Settlement{Amounts: amounts().Draw(rt, "amounts")}
	e := usage.Event{ID: r.request.ID, Time: r.event.event.Time, Subject: r.request.Subject, Amounts: s.Amounts}
	if rapid.IntRange(0, 3).Draw(rt, "another resource") == 0 {
		s.Resource = "r1"
		e.Resource = s.Resource
	}
	if rapid.IntRange(0, 3).Draw(rt, "time given") == 0 {
		s.Time = m.eventTime(rt)
		e.Time = s.Time
	}
	late := r.state != isOpen || m.model.overdue(r)
	result, err := m.ledger.Settle(m.ctx, r.key(), s)
	if e.Time.Before(m.model.floor) {
		want(rt, "settle before the floor", err, budget.ErrPruned)
		if m.model.overdue(r) {
			r.state = isExpired
		}
		return
	}
	want(rt, "settle", err)
	if result.Outcome != budget.Recorded || result.Late != late {
		rt.Fatalf("settled as %+v, want it recorded, late: %t", result, late)
	}
	totals, err := e.Totals()
	want(rt, "totals", err)
	r.event = &modelEvent{event: e, totals: totals}
	m.model.events = append(m.model.events, r.event)
	r.state, r.holds, r.settled = isSettled, nil, s
}

func (m *machine) settleAgain(rt *rapid.T, r *modelReservation) {
	s := r.settled
	other := rapid.Bool().Draw(rt, "otherwise")
	if other {
		s.InputTokens++
	}
	result, err := m.ledger.Settle(m.ctx, r.key(), s)
	switch {
	case r.event.event.Time.Before(m.model.floor):
		want(rt, "settle of what was pruned", err, budget.ErrNotFound)
	case other:
		want(rt, "settle with other content", err, budget.ErrConflict)
	default:
		want(rt, "settle again", err)
		if result.Outcome != budget.Duplicate {
			rt.Fatalf("settled again: %+v, want a duplicate", result)
		}
	}
}

func (m *machine) release(rt *rapid.T) {
	r := m.pickReservation(rt)
	if r == nil {
		return
	}
	err := m.ledger.Release(m.ctx, r.key())
	switch {
	case r.state == isSettled:
		m.wantClosed(rt, "release", r, err)
	case m.model.overdue(r):
		want(rt, "release of an overdue one", err)
		r.state = isExpired
	default:
		want(rt, "release", err)
		if r.state == isOpen {
			r.state, r.holds = isReleased, nil
		}
	}
}

// wantClosed fails unless err says that r was settled, or that nobody remembers it.
func (m *machine) wantClosed(rt *rapid.T, what string, r *modelReservation, err error) {
	if r.event.event.Time.Before(m.model.floor) {
		want(rt, what+" of what was pruned", err, budget.ErrNotFound)
		return
	}
	want(rt, what+" of a settled one", err, budget.ErrClosed)
}

func (m *machine) extend(rt *rapid.T) {
	r := m.pickReservation(rt)
	if r == nil {
		return
	}
	hours := rapid.IntRange(1, 4).Draw(rt, "hours")
	_, err := m.ledger.Extend(m.ctx, r.key(), ttlOf(hours))
	if r.state == isSettled {
		m.wantClosed(rt, "extend", r, err)
		if errors.Is(err, budget.ErrNotFound) {
			return // it did not come to that
		}
	}
	m.model.giveBack()
	switch r.state {
	case isReleased:
		want(rt, "extend of a released one", err, budget.ErrClosed)
	case isOpen:
		want(rt, "extend", err)
		r.expires = max(r.expires, m.model.hour+hours)
	case isExpired:
		anew := *r
		e := *r.event
		anew.event, anew.expires = &e, m.model.hour+hours
		e.event.Time = m.now
		refused := m.model.admit(&anew, true)
		want(rt, "extend of an expired one", err, refused...)
		if len(refused) == 0 {
			*r = anew
		}
	}
}

// checkHolds compares what a counter says of reservations.
func (m *machine) checkHolds(rt *rapid.T, b *modelBudget, c counterName, got budget.Status) {
	want := m.model.holdsOf(b)[c]
	same := got.Reserved.Equal(want.Reserved) && got.Expired == want.Expired && got.ExpiredHeld.Equal(want.ExpiredHeld) &&
		got.Denied == want.Denied && got.WouldDeny == want.WouldDeny
	if !same {
		rt.Fatalf("budget %s (%s, %s) counter %+v: %s reserved, %d expired that held %s, %d denied, %d would be; the model has %s, %d, %s, %d, %d",
			b.budget.ID, b.budget.Metric, b.budget.Enforcement, c,
			got.Reserved, got.Expired, got.ExpiredHeld, got.Denied, got.WouldDeny,
			want.Reserved, want.Expired, want.ExpiredHeld, want.Denied, want.WouldDeny)
	}
}

// checkReservations compares what is stored of reservations.
func (m *machine) checkReservations(rt *rapid.T) {
	type row struct {
		Key   budget.ReservationKey
		State budget.ReservationState
		Holds []string
	}
	describe := func(id string, c counterName, amount decimal.Decimal) string {
		return id + " " + c.value + " " + time.UnixMicro(c.start).UTC().Format(time.RFC3339) + ": " + amount.String()
	}
	var want, got []row
	states := map[string]budget.ReservationState{isOpen: budget.Open, isReleased: budget.Released, isExpired: budget.Expired}
	for _, key := range m.model.keys() {
		r := m.model.reservations[key]
		if r.state == isSettled {
			continue
		}
		w := row{Key: key, State: states[r.state]}
		for id, h := range r.holds {
			w.Holds = append(w.Holds, describe(id, h.counterName, h.amount))
		}
		slices.Sort(w.Holds)
		want = append(want, w)
	}
	stored, err := m.ledger.Reservations(m.ctx, budget.ReservationQuery{Limit: 10_000})
	if err != nil {
		rt.Fatalf("reservations: %v", err)
	}
	for _, r := range stored {
		g := row{Key: r.Key(), State: r.State}
		for _, h := range r.Holds {
			amount := m.model.budgets[h.Budget].budget.Metric.Decimal(h.Units)
			g.Holds = append(g.Holds, describe(h.Budget, counterName{h.Value, h.Start}, amount))
		}
		slices.Sort(g.Holds)
		got = append(got, g)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("reservations (-want +got):\n%s", diff)
	}
}
