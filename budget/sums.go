package budget

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A reportingZone is the zone of the day and month sums.
type reportingZone struct {
	loc    *time.Location
	days   period.Schedule
	months period.Schedule
}

func newReportingZone(name string) (reportingZone, error) {
	months, err := period.Monthly.InZone(name)
	if err != nil {
		return reportingZone{}, fmt.Errorf("reporting zone %q: %w", name, err)
	}
	loc := months.Location()
	return reportingZone{loc: loc, days: period.Daily.In(loc), months: months}, nil
}

// sums adds up what events charge, per counter and per sum of usage, on the way to one write.
type sums struct {
	zone    reportingZone
	charges map[CounterKey]*charged
	totals  map[UsageKey]usage.Totals
}

// charged is what a counter gets, and whose it is.
type charged struct {
	budget *cached
	units  int64
}

func newSums(zone reportingZone) *sums {
	return &sums{zone: zone, charges: make(map[CounterKey]*charged), totals: make(map[UsageKey]usage.Totals)}
}

// add adds an event to the counters of those budgets that count it, and to the sums of usage.
func (s *sums) add(e *StoredEvent, budgets []*cached) error {
	if err := s.charge(e, budgets); err != nil {
		return err
	}
	for _, key := range usageKeys(e, s.zone) {
		total, err := s.totals[key].Add(e.Totals)
		if err != nil {
			return err
		}
		s.totals[key] = total
	}
	return nil
}

func (s *sums) charge(e *StoredEvent, budgets []*cached) error {
	for _, b := range budgets {
		charge, counts, err := b.Charge(e)
		if err != nil {
			return err
		}
		if !counts || charge.Start < b.CountedFrom.UnixMicro() {
			continue // what lies before is computed when it is read
		}
		sum := s.charges[charge.CounterKey]
		if sum == nil {
			sum = &charged{budget: b}
			s.charges[charge.CounterKey] = sum
		}
		if sum.units, err = addUnits(sum.units, charge.Units); err != nil {
			return err
		}
	}
	return nil
}

// usageKeys returns the sums that an event is part of.
func usageKeys(e *StoredEvent, zone reportingZone) [3]UsageKey {
	all := UsageKey{Tenant: e.Tenant, User: e.User, APIKey: e.APIKey, Resource: e.Resource}
	quarter, day, month := all, all, UsageKey{Tenant: e.Tenant, Resource: e.Resource}
	quarter.Grain, quarter.Bucket = usage.QuarterHours, e.Time.Truncate(15*time.Minute).UnixMicro()
	day.Grain, day.Bucket = usage.Days, zone.days.Bounds(e.Time).Start.UnixMicro()
	month.Grain, month.Bucket = usage.Months, zone.months.Bounds(e.Time).Start.UnixMicro()
	return [...]UsageKey{quarter, day, month}
}

// counters returns what to add to the counters, in ascending order of key.
func (s *sums) counters() []Counter {
	adds := make([]Counter, 0, len(s.charges))
	for key, sum := range s.charges {
		adds = append(adds, Counter{CounterKey: key, Tally: Tally{Recorded: sum.units}})
	}
	slices.SortFunc(adds, func(a, b Counter) int { return a.Compare(b.CounterKey) })
	return adds
}

// usage returns what to add to the sums of usage, in ascending order of key.
func (s *sums) usage() []UsageAdd {
	adds := make([]UsageAdd, 0, len(s.totals))
	for _, key := range slices.SortedFunc(maps.Keys(s.totals), UsageKey.Compare) {
		adds = append(adds, UsageAdd{UsageKey: key, Totals: s.totals[key]})
	}
	return adds
}

// Compare orders keys by budget, start and value: a period's counters stand together.
func (k CounterKey) Compare(o CounterKey) int {
	return cmp.Or(cmp.Compare(k.Budget, o.Budget), cmp.Compare(k.Start, o.Start), cmp.Compare(k.Value, o.Value))
}

// Compare orders keys by grain, bucket, tenant, user, API key and resource.
func (k UsageKey) Compare(o UsageKey) int {
	return cmp.Or(cmp.Compare(k.Grain, o.Grain), cmp.Compare(k.Bucket, o.Bucket), cmp.Compare(k.Tenant, o.Tenant),
		cmp.Compare(k.User, o.User), cmp.Compare(k.APIKey, o.APIKey), cmp.Compare(k.Resource, o.Resource))
}

// Compare orders keys by tenant and id.
func (k EventKey) Compare(o EventKey) int {
	return cmp.Or(cmp.Compare(k.Tenant, o.Tenant), cmp.Compare(k.ID, o.ID))
}

func addUnits(a, b int64) (int64, error) {
	sum := a + b
	if (sum > a) != (b > 0) {
		return 0, ErrOverflow
	}
	return sum, nil
}
