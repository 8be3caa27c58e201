package budget

import (
	"slices"
	"time"

	"github.com/purser-go/purser/usage"
)

// A planKey is a subject without labels.
type planKey struct{ tenant, user, apiKey, resource string }

// A plan is which counters a subject's requests are about, for as long as all of their periods run.
type plan struct {
	version  int64
	byLabel  bool // there are budgets that look at labels: it is right for those without alone
	from     time.Time
	until    time.Time
	seats    []seat
	forStore bool // a budget does not allow the resource
}

// A seat is one of the counters of a plan.
type seat struct {
	budget *cached
	key    CounterKey
	part   *part // what is leased of it, as far as known
}

const maxPlans = 1 << 14

// plan returns the plan of a request, nil if that is for the store: leases are not kept, its budgets are not known, or there
// is none. It needs the mutex.
func (l *leases) plan(c *core, r *request) *plan {
	if !l.running.Load() {
		return nil
	}
	s := &r.subject
	key := planKey{s.Tenant, s.User, s.APIKey, s.Resource}
	p := l.plans[key]
	if p == nil || p.version != c.cache.version.Load() || !p.fits(r) {
		if p = newPlan(c.cache, r); p == nil {
			return nil
		}
		if len(l.plans) >= maxPlans {
			clear(l.plans)
		}
		if p.fits(r) {
			l.plans[key] = p
		}
	}
	if p.forStore || len(p.seats) == 0 {
		return nil
	}
	return p
}

// fits reports whether the plan, which has the key of the request's subject, is right for the request.
func (p *plan) fits(r *request) bool {
	return (len(r.subject.Labels) == 0 || !p.byLabel) && !r.time.Before(p.from) && r.time.Before(p.until)
}

func newPlan(c *cache, r *request) *plan {
	known, complete := c.lookup([]usage.Subject{r.subject})
	if !complete {
		return nil
	}
	p := &plan{version: known.catalog.Version, byLabel: known.byLabel, from: usage.MinTime, until: usage.EndTime}
	for _, b := range known.budgets[0] {
		value, covered := b.Scope.Match(r.subject)
		if !covered || b.excepts(value) || b.Disabled {
			continue
		}
		if b.CountedFrom.After(r.time) {
			return nil // the store moves it on
		}
		// The part of the time around the request in which the budget is as it is then.
		window, running := b.window(), b.Schedule.Bounds(r.time)
		switch {
		case window.Contains(r.time):
			p.within(running.Start, running.End)
			p.within(window.Start, window.End)
			p.seats = append(p.seats, seat{budget: b, key: b.counterKey(value, r.time)})
			p.forStore = p.forStore || !b.allows(r.subject.Resource)
		case r.time.Before(window.Start):
			p.within(p.from, window.Start)
		default:
			p.within(window.End, p.until)
		}
	}
	slices.SortFunc(p.seats, func(a, b seat) int { return a.key.Compare(b.key) })
	return p
}

func (p *plan) within(from, until time.Time) {
	p.from = latest(from, p.from)
	if until.Before(p.until) {
		p.until = until
	}
}

// units returns what the request asks of the seat, and whether that is for memory to decide: not where something else
// than room is in the way, or there can't be enough of it.
func (s *seat) units(r *request, admitUnknown bool) (units int64, ours bool) {
	switch {
	case r.unknown.of(s.budget.Metric):
		units = s.budget.minHold
		ours = units > 0 || admitUnknown
	case s.budget.Metric != usage.Credits:
		units, ours = s.budget.Metric.Of(r.totals), true
	default:
		var err error
		units, err = s.budget.units(r.event())
		ours = err == nil
	}
	return units, ours && units <= s.budget.limit
}

// partOf returns the part that is leased for a seat, nil if there is none. It needs the mutex.
func (l *leases) partOf(s *seat) *part {
	if s.part == nil || s.part.lost {
		s.part = l.parts[s.key]
	}
	return s.part
}
