package budget

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

// maxCached bounds how many scope keys a cache remembers. Beyond it the cache starts anew.
const maxCached = 1 << 16

// A cache remembers which definitions stand under which scope keys. What it knows is true for one version of the
// catalog, which a recorder compares with the version that it reads under the fence.
type cache struct {
	mu      sync.Mutex
	version atomic.Int64 // of what is known; 0: nothing is. Also to be read without the mutex
	loaded  bool
	catalog Catalog
	zone    reportingZone
	shapes  []matcher
	byLabel bool                   // some of the shapes name a label
	known   map[ScopeKey][]*cached // also the keys that have no definitions
}

// cached is a definition with what is computed from it once.
type cached struct {
	Definition
	marks []alert.Mark
	// In the metric's units:
	limit   int64
	minHold int64 // of a reservation of unknown size
}

func newCached(d Definition) *cached {
	return &cached{Definition: d, marks: d.marks(), limit: d.limitUnits(), minHold: d.minHoldUnits()}
}

// found is what a cache knows about some subjects.
type found struct {
	catalog Catalog
	zone    reportingZone
	byLabel bool        // labels matter to some budget, maybe of other subjects
	budgets [][]*cached // by subject, in the order given: the candidates, whose Charge has the last word
}

// find returns the candidates for these subjects, from the store where they are not known yet.
func (c *cache) find(ctx context.Context, s Store, subjects []usage.Subject) (found, error) {
	for {
		f, complete := c.lookup(subjects)
		if complete {
			return f, nil
		}
		err := s.View(ctx, func(r ReadTx) error { return c.load(ctx, r, subjects) })
		if err != nil {
			return found{}, err
		}
	}
}

// findIn returns the candidates for these subjects as a transaction sees them.
func findIn(ctx context.Context, r ReadTx, subjects []usage.Subject) (found, error) {
	var c cache
	if err := c.load(ctx, r, subjects); err != nil {
		return found{}, err
	}
	f, _ := c.lookup(subjects)
	return f, nil
}

// forget makes the next find read everything from the store again, unless that was done since this version was found.
func (c *cache) forget(version int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.catalog.Version == version {
		c.loaded = false
		c.version.Store(0)
	}
}

// lookup returns what is known about these subjects, and whether that is all.
func (c *cache) lookup(subjects []usage.Subject) (f found, complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loaded {
		return found{}, false
	}
	f = found{catalog: c.catalog, zone: c.zone, byLabel: c.byLabel, budgets: make([][]*cached, len(subjects))}
	for i, subject := range subjects {
		for _, shape := range c.shapes {
			key, covers := shape.key(subject)
			if !covers {
				continue
			}
			budgets, known := c.known[key]
			if !known {
				return found{}, false
			}
			f.budgets[i] = append(f.budgets[i], budgets...)
		}
	}
	return f, true
}

// load reads what is not known yet about these subjects, or everything about them if the catalog has moved on.
func (c *cache) load(ctx context.Context, r ReadTx, subjects []usage.Subject) error {
	catalog, err := r.Catalog(ctx)
	if err != nil {
		return fmt.Errorf("read the catalog: %w", err)
	}
	zone, err := newReportingZone(catalog.ReportingZone)
	if err != nil {
		return err
	}
	shapes, err := newMatchers(catalog.Shapes)
	if err != nil {
		return err
	}
	keys := c.unknown(catalog.Version, candidateKeys(shapes, subjects))
	definitions, err := r.Definitions(ctx, keys)
	if err != nil {
		return fmt.Errorf("read definitions: %w", err)
	}
	c.put(catalog, zone, shapes, keys, definitions)
	return nil
}

// unknown returns those of the keys that are not known, and all of them where the cache starts anew for it.
func (c *cache) unknown(version int64, keys []ScopeKey) []ScopeKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	var unknown []ScopeKey
	for _, key := range keys {
		if _, known := c.known[key]; !known {
			unknown = append(unknown, key)
		}
	}
	if c.startsAnew(version, len(unknown)) {
		return keys
	}
	return unknown
}

// startsAnew reports whether the cache forgets what it knows before it learns so many keys of this version. It needs the
// mutex.
func (c *cache) startsAnew(version int64, keys int) bool {
	return !c.loaded || c.catalog.Version != version || len(c.known)+keys > maxCached
}

func (c *cache) put(catalog Catalog, zone reportingZone, shapes []matcher, keys []ScopeKey, definitions map[ScopeKey][]Definition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.startsAnew(catalog.Version, len(keys)) {
		c.loaded, c.catalog, c.zone, c.shapes = true, catalog, zone, shapes
		c.byLabel = slices.ContainsFunc(shapes, matcher.byLabel)
		c.known = make(map[ScopeKey][]*cached, len(keys))
		c.version.Store(catalog.Version)
	}
	for _, key := range keys {
		var budgets []*cached
		for _, d := range definitions[key] {
			budgets = append(budgets, newCached(d))
		}
		c.known[key] = budgets
	}
}

func candidateKeys(shapes []matcher, subjects []usage.Subject) []ScopeKey {
	seen := make(map[ScopeKey]bool)
	var keys []ScopeKey
	for _, subject := range subjects {
		for _, shape := range shapes {
			if key, covers := shape.key(subject); covers && !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// A matcher finds the scope key of a subject for one shape.
type matcher struct {
	shape      Shape
	dimensions []usage.Dimension
	each       []bool
}

func newMatchers(shapes []Shape) ([]matcher, error) {
	matchers := make([]matcher, len(shapes))
	for i, shape := range shapes {
		m, err := newMatcher(shape)
		if err != nil {
			return nil, err
		}
		matchers[i] = m
	}
	return matchers, nil
}

func newMatcher(shape Shape) (matcher, error) {
	m := matcher{shape: shape}
	for rest := string(shape); rest != ""; rest = rest[1:] {
		dimension, after, err := cutPrefixed(rest)
		if err != nil || after == "" {
			return matcher{}, fmt.Errorf("scope shape %q is malformed", string(shape))
		}
		m.dimensions = append(m.dimensions, usage.Dimension(dimension))
		m.each = append(m.each, after[0] == '*')
		rest = after
	}
	return m, nil
}

func (m matcher) byLabel() bool { return slices.ContainsFunc(m.dimensions, usage.Dimension.IsLabel) }

// key returns the key under which budgets of this shape that may cover the subject stand, and false if none can.
func (m matcher) key(subject usage.Subject) (ScopeKey, bool) {
	var fixed strings.Builder
	for i, d := range m.dimensions {
		value := subject.Value(d)
		if value == "" {
			return ScopeKey{}, false
		}
		if !m.each[i] {
			fixed.WriteString(strconv.Itoa(len(value)))
			fixed.WriteByte(':')
			fixed.WriteString(value)
		}
	}
	return ScopeKey{Shape: m.shape, Fixed: fixed.String()}, true
}
