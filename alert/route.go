package alert

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A Route names the sinks of some alerts: of those that meet each of its fields. The zero Route takes all to no sink.
//
// What it looks at is what the alert says, so that the budget may have changed or be gone when the alert is routed.
type Route struct {
	Budget string                     // only alerts of the budget with this id; "": of any
	Owner  string                     // only of budgets of this owner; "": of any
	Labels map[string]string          // only of budgets that carry all of these
	Scope  map[usage.Dimension]string // only of counters whose scope has all of these values, be it as a fixed one or as one of each
	Kinds  []Kind                     // only of these kinds; nil: of any
	// Level is the least level; OK is any. A resolved alert is taken by the level that was left, so that it goes to where
	// the alert went that it resolves. A blocked or a forecast one has the level of what is used, which may be OK.
	Level Level

	Sinks []string // names; none: these alerts go nowhere, unless another route takes them
}

// Matches reports whether r takes the alert.
func (r Route) Matches(a Alert) bool {
	return (r.Budget == "" || r.Budget == a.Budget) &&
		(r.Owner == "" || r.Owner == a.Owner) &&
		contains(a.Labels, r.Labels) &&
		contains(a.Scope, r.Scope) &&
		(r.Kinds == nil || slices.Contains(r.Kinds, a.Kind)) &&
		max(a.Level, a.Left) >= r.Level
}

// contains reports whether all of part stands in whole.
func contains[K, V comparable](whole, part map[K]V) bool {
	for key, value := range part {
		if got, ok := whole[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// to returns the names of the sinks that an alert goes to, each once, in order.
func (o *Options) to(a Alert) []string {
	var names []string
	matched := false
	for _, r := range o.Routes {
		if r.Matches(a) {
			matched = true
			names = append(names, r.Sinks...)
		}
	}
	if !matched {
		names = o.Default
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// validate reports names that no sink has, and sinks that can't be.
func (o *Options) validate() error {
	var errs []error
	for name, sink := range o.Sinks {
		errs = append(errs, invalid.Name("sinks", name))
		if sink == nil {
			errs = append(errs, invalid.Field("sinks", "%q is nil", name))
		}
	}
	for i, r := range o.Routes {
		errs = append(errs, o.known(fmt.Sprintf("routes[%d].sinks", i), r.Sinks))
	}
	return errors.Join(append(errs, o.known("default", o.Default))...)
}

func (o *Options) known(field string, names []string) error {
	for _, name := range names {
		if _, ok := o.Sinks[name]; !ok {
			return invalid.Field(field, "has %q, which is none of the sinks %q", name, slices.Sorted(maps.Keys(o.Sinks)))
		}
	}
	return nil
}
