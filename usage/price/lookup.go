package price

import (
	"fmt"
	"strings"
	"sync"
)

// A name is what a model is asked for by. The provider may be "".
type name struct{ provider, model string }

// A place is where a model was found: in which layer.
type place struct {
	model *model
	layer int
}

// find returns the model of that name, of the first layer from start on that has it. The first layer of all is remembered.
func (l *List) find(n name, start int) (place, error) {
	if start == 0 {
		if found := l.found.get(n); found.model != nil {
			return found, nil
		}
	}
	wanted := name{strings.ToLower(n.provider), strings.ToLower(n.model)}
	var ambiguous []string
	for i := start; i < len(l.layers); i++ {
		m, sellers := l.layers[i].find(wanted)
		if m == nil {
			ambiguous = append(ambiguous, sellers...)
			continue
		}
		found := place{m, i}
		if start == 0 {
			l.found.put(n, found)
		}
		return found, nil
	}
	return place{}, noPrice(n, ambiguous)
}

func noPrice(n name, ambiguous []string) error {
	switch {
	case n.model == "":
		return fmt.Errorf("%w: no model is named", ErrNoPrice)
	case len(ambiguous) > 0:
		return fmt.Errorf("%w of model %q without a provider: it is sold by %s", ErrNoPrice, n.model, strings.Join(ambiguous, ", "))
	case n.provider != "":
		return fmt.Errorf("%w of model %q of provider %q", ErrNoPrice, n.model, n.provider)
	default:
		return fmt.Errorf("%w of model %q", ErrNoPrice, n.model)
	}
}

// find returns the model of that name. If it can't tell which of several providers is meant, it returns these.
func (l *layer) find(n name) (found *model, sellers []string) {
	if n.provider != "" {
		return l.of(n.provider, n.model), nil
	}
	for i := range l.providers {
		if p := &l.providers[i]; p.Makes.matches(n.model) {
			if m := p.find(n.model); m != nil {
				return m, nil
			}
		}
	}
	if provider, model, ok := strings.Cut(n.model, "/"); ok && provider != "" {
		if m := l.of(provider, model); m != nil {
			return m, nil
		}
	}
	if m := l.anyones(n.model); m != nil {
		return m, nil
	}
	for i := range l.providers {
		if m := l.providers[i].find(n.model); m != nil {
			found = m
			sellers = append(sellers, l.providers[i].ID)
		}
	}
	if len(sellers) > 1 {
		return nil, sellers
	}
	return found, nil
}

// of returns a provider's model, or that of one whose prices hold there too, or one that costs the same whoever sells it.
func (l *layer) of(provider, model string) *model {
	p := l.provider(provider)
	if p == nil {
		return l.anyones(model)
	}
	if m := p.find(model); m != nil {
		return m
	}
	for _, other := range p.Others {
		if o := l.provider(strings.ToLower(other)); o != nil {
			if m := o.find(model); m != nil {
				return m
			}
		}
	}
	return l.anyones(model)
}

// anyones returns the model that costs the same whoever sells it.
func (l *layer) anyones(model string) *model {
	for i := range l.providers {
		if p := &l.providers[i]; p.ID == "" {
			if m := p.find(model); m != nil {
				return m
			}
		}
	}
	return nil
}

// provider returns the one with this id, or else the first that has it as an alias.
func (l *layer) provider(name string) *provider {
	for i := range l.providers {
		if strings.EqualFold(l.providers[i].ID, name) {
			return &l.providers[i]
		}
	}
	for i := range l.providers {
		if l.providers[i].Aliases.matches(name) {
			return &l.providers[i]
		}
	}
	return nil
}

func (p *provider) find(name string) *model {
	for i := range p.models {
		if p.models[i].match(name) {
			return &p.models[i]
		}
	}
	return nil
}

// A memory remembers what was found. Names come from outside: when there are too many, it forgets all.
type memory struct {
	mu     sync.RWMutex
	places map[name]place
}

const maxRemembered = 4096

func newMemory() *memory { return &memory{places: make(map[name]place)} }

func (m *memory) get(n name) place {
	if m == nil { // of the zero List, which has nothing to find
		return place{}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.places[n]
}

func (m *memory) put(n name, found place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.places) >= maxRemembered {
		clear(m.places)
	}
	m.places[n] = found
}
