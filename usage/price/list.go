package price

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// ErrNoPrice says that there is no price for what was asked.
var ErrNoPrice = usage.ErrNoPrice

// A Provider sells the use of models. The first of its models that a name matches counts.
type Provider struct {
	ID      string   // what it is asked for by; "": its models cost the same whoever sells them without listing them
	Aliases Match    // other names for it; nil: none
	Makes   Match    // the models that are its own, so that its prices hold where no provider is named; nil: none
	Others  []string // ids of providers whose prices hold for models that it does not list
	Models  []Model
}

// A Model has prices.
type Model struct {
	ID     string
	Match  Match // the names that mean it; nil: its ID alone
	Prices []Price
}

// A Price is what the use of a model costs from an instant on.
type Price struct {
	From    time.Time // inclusive; zero: since ever
	Hours   *Hours    // only at these hours of every day; nil: at all
	Tier    string    // only in this service tier, "priority" say; "": in all that have no price of their own
	Rates   Rates
	Request decimal.Decimal // US dollars per request, whatever its tokens
	Free    bool            // tokens of classes without a rate cost nothing; else there is no price of them
}

// Hours are a time of every day in UTC, as time since midnight, from From to before To. If To is before From, the night
// between them is meant.
type Hours struct{ From, To time.Duration }

func (h *Hours) contain(t time.Time) bool {
	if h == nil {
		return true
	}
	day := t.UTC().Truncate(24 * time.Hour)
	since := t.Sub(day)
	if h.To < h.From {
		return since >= h.From || since < h.To
	}
	return since >= h.From && since < h.To
}

// Rates are what tokens cost, by class.
type Rates map[Class]Rate

// A Rate is what tokens of one class cost.
type Rate struct {
	PerMillion decimal.Decimal // US dollars per million tokens, from 0 to 10^6
	Above      []Step          // other prices for longer prompts, in any order
}

// A Step is the price of a prompt that has more tokens than a number, and of its answer: not of what passes the number, of
// all of it.
type Step struct {
	Tokens     int64
	PerMillion decimal.Decimal
}

const maxPlaces = 64 // of a price's exponent

// maxPerMillion is a dollar per token.
var maxPerMillion = decimal.NewFromInt(1_000_000)

// A List has prices. It does not change and is safe for concurrent use. The zero List has none.
type List struct {
	layers   []layer // the earlier ones first
	fallback *tariff // for what no layer has; nil: none
	found    *memory
}

// A layer is one list of those that were merged.
type layer struct {
	name      string
	providers []provider
}

type provider struct {
	Provider
	models []model
}

type model struct {
	id      string
	match   Match
	tariffs []tariff // ascending by From
}

// New returns a list of these providers' prices. The name is the first word of what says by which price something was
// priced, up to 40 bytes of plain text. Where two providers make a model, or two models match a name, the first counts.
// Errors: ErrInvalid with the fields.
func New(name string, providers ...Provider) (*List, error) {
	errs := []error{validateListName(name)}
	l := layer{name: name, providers: make([]provider, len(providers))}
	for i, p := range providers {
		var err error
		l.providers[i], err = newProvider(name, p)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("price list %q: %w", name, err)
	}
	return &List{layers: []layer{l}, found: newMemory()}, nil
}

func validateListName(name string) error {
	if err := invalid.Name("name", name); err != nil {
		return err
	}
	if len(name) > 40 {
		return invalid.Field("name", "has %d bytes, at most 40 are allowed", len(name))
	}
	return nil
}

func newProvider(list string, p Provider) (provider, error) {
	models := make([]model, len(p.Models))
	errs := []error{invalid.OptionalName("provider", p.ID)}
	for i, m := range p.Models {
		var err error
		models[i], err = newModel(list, p.ID, m)
		errs = append(errs, err)
	}
	p.Models, p.Others = nil, slices.Clone(p.Others) // nothing is shared with the caller
	return provider{Provider: p, models: models}, errors.Join(errs...)
}

func newModel(list, provider string, m Model) (model, error) {
	path := strings.TrimPrefix(provider+"."+m.ID, ".")
	errs := []error{invalid.Name(strings.TrimPrefix(provider+".model", "."), m.ID)}
	compiled := model{id: m.ID, match: m.Match, tariffs: make([]tariff, len(m.Prices))}
	if m.Match == nil {
		compiled.match = Equal(m.ID)
	}
	for i, p := range m.Prices {
		if err := validate(path, p); err != nil {
			errs = append(errs, err)
			continue
		}
		compiled.tariffs[i] = newTariff(p, list+" "+strings.TrimPrefix(provider+"/"+m.ID, "/"))
	}
	// Of prices from the same instant on, the last one stays behind the others.
	slices.SortStableFunc(compiled.tariffs, func(a, b tariff) int { return a.From.Compare(b.From) })
	return compiled, errors.Join(errs...)
}

func validate(path string, p Price) error {
	errs := []error{validatePrice(path+".request", p.Request)}
	for _, class := range slices.Sorted(maps.Keys(p.Rates)) {
		if int(class) >= classes {
			errs = append(errs, invalid.Field(path, "has a price of class %d, which is none", class))
			continue
		}
		rate, name := p.Rates[class], path+"."+class.String()
		errs = append(errs, validatePrice(name, rate.PerMillion))
		for _, step := range rate.Above {
			errs = append(errs, validatePrice(fmt.Sprintf("%s.above_%d", name, step.Tokens), step.PerMillion))
			if step.Tokens < 0 {
				errs = append(errs, invalid.Field(name, "is for prompts of more than %d tokens", step.Tokens))
			}
		}
	}
	return errors.Join(errs...)
}

func validatePrice(field string, p decimal.Decimal) error {
	// The exponent first: a comparison takes as much work as there are digits.
	if e := p.Exponent(); e < -maxPlaces || e > maxPlaces || p.IsNegative() || p.Cmp(maxPerMillion) > 0 {
		return invalid.Field(field, "must be from 0 to %s dollars, with at most %d decimal places", maxPerMillion, maxPlaces)
	}
	return nil
}

// Merge returns a list that has the prices of all of these, those of the earlier ones before those of the later ones: where
// two have a price of a model in force, the earlier one's counts, also where it lacks the price of a class that the later one
// has. The default is that of the first list that has one. A nil list has no prices.
func Merge(lists ...*List) *List {
	merged := &List{found: newMemory()}
	for _, l := range lists {
		if l == nil {
			continue
		}
		merged.layers = append(merged.layers, l.layers...)
		merged.fallback = cmp.Or(merged.fallback, l.fallback)
	}
	return merged
}

// WithDefault returns a list like l by which whatever has no price in force in l costs this: a model that l does not have, or
// has no price of at that time. A model with a price in force that lacks that of one class stays [ErrNoPrice] for its tokens.
// Errors: ErrInvalid with the fields.
func (l *List) WithDefault(p Price) (*List, error) {
	if err := validate("default", p); err != nil {
		return nil, err
	}
	fallback := newTariff(p, "default")
	return &List{layers: l.layers, fallback: &fallback, found: newMemory()}, nil
}
