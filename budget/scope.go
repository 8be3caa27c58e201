package budget

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A Scope says which subjects a budget covers: every dimension named in it must have the given value, or, for [Each],
// any value at all, with one counter per distinct value. Several Each make one counter per distinct tuple. A subject
// without one of the dimensions is not covered. The empty scope covers everything, in one counter.
//
// A scope names at most 8 dimensions. Nothing is implied: {"user": Each} adds up equal user ids of all tenants.
type Scope map[usage.Dimension]Selector

// A Selector is what a scope demands of one dimension: a value, or [Each].
type Selector string

// Each selects every value of a dimension, with a counter for each. It can't be mistaken for a value: values have no
// control characters. Who makes a Selector of a text from outside refuses such a text first, as UnmarshalJSON does.
const Each Selector = "\x00each"

// maxDimensions keeps the longest key of a counter within what databases put into an index.
const maxDimensions = 8

// MarshalJSON writes a value as a string and Each as {"each": true}.
func (s Selector) MarshalJSON() ([]byte, error) {
	if s == Each {
		return []byte(`{"each":true}`), nil
	}
	return json.Marshal(string(s))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Selector) UnmarshalJSON(data []byte) error {
	var value string
	if err := json.Unmarshal(data, &value); err == nil && Selector(value) != Each {
		*s = Selector(value)
		return nil
	}
	var each struct {
		Each bool `json:"each"`
	}
	if err := json.Unmarshal(data, &each); err != nil || !each.Each {
		return invalid.Field("scope", `must be a text or {"each": true}`)
	}
	*s = Each
	return nil
}

// A Shape is the set of dimensions that a scope names, and which of them are [Each], as one text. Budgets with the same
// shape and the same fixed values stand under one [ScopeKey], so that an event finds its budgets with one look-up per
// shape however many budgets there are.
type Shape string

// A ScopeKey is a shape with the fixed values filled in. A budget has one; an event has one candidate per shape.
type ScopeKey struct {
	Shape Shape
	Fixed string // the fixed values in the order of their dimensions, each length-prefixed
}

// Shape returns s's shape.
func (s Scope) Shape() Shape {
	var b strings.Builder
	for _, d := range s.dimensions() {
		mark := "="
		if s[d] == Each {
			mark = "*"
		}
		b.WriteString(prefixed(string(d)) + mark)
	}
	return Shape(b.String())
}

// Key returns the key under which a budget with this scope is found.
func (s Scope) Key() ScopeKey {
	var fixed strings.Builder
	for _, d := range s.dimensions() {
		if s[d] != Each {
			fixed.WriteString(prefixed(string(s[d])))
		}
	}
	return ScopeKey{Shape: s.Shape(), Fixed: fixed.String()}
}

// EachDimensions returns the dimensions that are [Each], in ascending order.
func (s Scope) EachDimensions() []usage.Dimension {
	return slices.DeleteFunc(s.dimensions(), func(d usage.Dimension) bool { return s[d] != Each })
}

// fixed returns the dimensions that have a value, with it.
func (s Scope) fixed() Value {
	fixed := make(Value)
	for d, want := range s {
		if want != Each {
			fixed[d] = string(want)
		}
	}
	return fixed
}

// with returns s with the value in the place of what it has as [Each].
func (s Scope) with(v Value) map[usage.Dimension]string {
	whole := s.fixed()
	maps.Copy(whole, v)
	return whole
}

// HasLabels reports whether s names a dimension that is a label.
func (s Scope) HasLabels() bool {
	return slices.ContainsFunc(s.dimensions(), usage.Dimension.IsLabel)
}

// Match reports whether s covers the subject, and in which counter.
func (s Scope) Match(subject usage.Subject) (Value, bool) {
	var value Value
	for d, want := range s {
		got := subject.Value(d)
		switch {
		case got == "", want != Each && string(want) != got:
			return nil, false
		case want == Each:
			if value == nil {
				value = make(Value)
			}
			value[d] = got
		}
	}
	return value, true
}

func (s Scope) validate() error {
	var errs []error
	if len(s) > maxDimensions {
		errs = append(errs, invalid.Field("scope", "has %d dimensions, at most %d are allowed", len(s), maxDimensions))
	}
	for _, d := range s.dimensions() {
		errs = append(errs, invalid.Name("scope", string(d)))
		if s[d] != Each {
			errs = append(errs, invalid.Name("scope."+string(d), string(s[d])))
		}
	}
	return errors.Join(errs...)
}

func (s Scope) dimensions() []usage.Dimension {
	return slices.Sorted(maps.Keys(s))
}

// A Value says which counter of a budget is meant: it names the value of every dimension that the scope has as [Each].
// It is nil where there is none.
type Value map[usage.Dimension]string

// valueOf returns the subject's value of these dimensions, and false if it lacks one.
func valueOf(subject usage.Subject, dimensions []usage.Dimension) (Value, bool) {
	var v Value
	for _, d := range dimensions {
		value := subject.Value(d)
		if value == "" {
			return nil, false
		}
		if v == nil {
			v = make(Value)
		}
		v[d] = value
	}
	return v, true
}

func (v Value) validate() error { return validateTexts("value", v) }

// names reports whether v names exactly these dimensions.
func (v Value) names(dimensions []usage.Dimension) bool {
	return slices.Equal(slices.Sorted(maps.Keys(v)), dimensions)
}

// Key returns v as one text, in which no two values look alike: "" for nil.
func (v Value) Key() string {
	if len(v) == 1 {
		for d, value := range v {
			return prefixed(string(d)) + prefixed(value) // most have one, and nothing to sort
		}
	}
	var b strings.Builder
	for _, d := range slices.Sorted(maps.Keys(v)) {
		b.WriteString(prefixed(string(d)) + prefixed(v[d]))
	}
	return b.String()
}

// ParseValue reads what Key wrote.
func ParseValue(key string) (Value, error) {
	var v Value
	for rest := key; rest != ""; {
		var d, value string
		var err error
		if d, rest, err = cutPrefixed(rest); err == nil {
			value, rest, err = cutPrefixed(rest)
		}
		if err != nil {
			return nil, fmt.Errorf("scope value %q: %w", key, err)
		}
		if v == nil {
			v = make(Value)
		}
		v[usage.Dimension(d)] = value
	}
	return v, nil
}

// prefixed returns s with its length in front, so that texts can be strung together and told apart again.
func prefixed(s string) string { return strconv.Itoa(len(s)) + ":" + s }

func cutPrefixed(s string) (text, rest string, err error) {
	digits, rest, found := strings.Cut(s, ":")
	n, err := strconv.Atoi(digits)
	if !found || err != nil || n < 0 || n > len(rest) {
		return "", "", errors.New("is malformed")
	}
	return rest[:n], rest[n:], nil
}
