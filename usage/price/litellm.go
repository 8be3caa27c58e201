package price

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ReadLiteLLM reads a list in the format of LiteLLM: a JSON object of models, prices in US dollars per token. Its numbers are
// read exactly. Prices of what is no token and no request are left out, and so are models that have only such prices. The
// service tiers are "priority", "flex" and "batch"; where one has no price for a class, the ordinary one holds. Providers
// are called as in genai-prices: google, aws, x-ai; the list's own names mean them too. The name is as in [New].
//
// Errors: ErrInvalid with the fields, also of a list in which no model has a price, and what r says.
func ReadLiteLLM(name string, r io.Reader) (*List, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, err
	}
	var listed map[string]map[string]json.RawMessage
	err = decode("list", data, &listed)
	providers := make(map[string]*litellmProvider)
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		if id == "sample_spec" { // explains the format
			continue
		}
		entry := litellmModel{id: id, fields: listed[id]}
		seller, m, bad := entry.model()
		err = errors.Join(err, bad)
		if len(m.Prices) == 0 {
			continue
		}
		p := providers[litellmID(seller)]
		if p == nil {
			p = &litellmProvider{Provider: Provider{ID: litellmID(seller)}}
			providers[p.ID] = p
		}
		p.names = append(p.names, Equal(seller))
		p.Models = append(p.Models, m)
	}
	if err != nil {
		return nil, fmt.Errorf("price list %q: %w", name, err)
	}
	var all []Provider
	for _, id := range slices.Sorted(maps.Keys(providers)) {
		p := providers[id]
		p.Aliases = Any(p.names...)
		all = append(all, p.Provider)
	}
	return newRead(name, all)
}

type litellmProvider struct {
	Provider
	names []Match
}

// litellmIDs are the providers that LiteLLM calls otherwise, by how its names begin.
var litellmIDs = []struct{ prefix, id string }{
	{"vertex_ai", "google"},
	{"gemini", "google"},
	{"bedrock", "aws"},
	{"azure", "azure"},
	{"text-completion-openai", "openai"},
	{"xai", "x-ai"},
	{"moonshot", "moonshotai"},
	{"together_ai", "together"},
	{"fireworks_ai", "fireworks"},
	{"cohere", "cohere"},
	{"zhipu", "zhipuai"},
	{"voyage", "voyageai"},
}

func litellmID(seller string) string {
	for _, known := range litellmIDs {
		if strings.HasPrefix(seller, known.prefix) {
			return known.id
		}
	}
	return seller
}

// A litellmModel is one entry of the list.
type litellmModel struct {
	id     string
	fields map[string]json.RawMessage
}

// model returns what it costs at which provider, without prices if none of them is for tokens.
func (l litellmModel) model() (seller string, m Model, err error) {
	if data := l.fields["litellm_provider"]; data != nil {
		if err := decode(l.id+".litellm_provider", data, &seller); err != nil {
			return "", Model{}, err
		}
	}
	ordinary := Price{Rates: make(Rates)}
	prices := map[string]*Price{"": &ordinary} // by tier
	keys, otherwise := l.keys()
	for _, key := range keys {
		p := prices[key.tier]
		if p == nil {
			p = &Price{Tier: key.tier, Rates: make(Rates), Request: ordinary.Request}
			prices[key.tier] = p
		}
		err = errors.Join(err, key.read(l, p, ordinary))
	}
	m = Model{ID: l.id, Match: litellmMatch(seller, l.id)}
	if err != nil || !ordinary.has(Input) && ordinary.Request.IsZero() || otherwise && ordinary.costsNothing() {
		return seller, m, err
	}
	for _, tier := range slices.Sorted(maps.Keys(prices)) {
		p := prices[tier]
		for class, rate := range ordinary.Rates {
			if !p.has(class) {
				p.Rates[class] = rate
			}
		}
		m.Prices = append(m.Prices, *p)
	}
	return seller, m, nil
}

// keys returns the fields that are prices, those of no tier first and those of short prompts before those of longer ones, and
// whether something costs that is no token and no request.
func (l litellmModel) keys() (keys []litellmKey, otherwise bool) {
	for field, data := range l.fields {
		if key, known := parseLitellm(field); known {
			keys = append(keys, key)
		} else if strings.Contains(field, "cost_per") && !isNothing(data) {
			otherwise = true
		}
	}
	slices.SortFunc(keys, func(a, b litellmKey) int {
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.above, b.above), cmp.Compare(a.field, b.field))
	})
	return keys, otherwise
}

// isNothing reports whether a field says that something costs nothing.
func isNothing(data json.RawMessage) bool {
	d, given, err := number("", data, 0)
	return err == nil && (!given || d.IsZero())
}

func (p *Price) has(c Class) bool {
	_, has := p.Rates[c]
	return has
}

func (p *Price) costsNothing() bool {
	for _, rate := range p.Rates {
		if !rate.PerMillion.IsZero() {
			return false
		}
	}
	return p.Request.IsZero()
}

// litellmMatch means the entry's name, also without the provider before it.
func litellmMatch(seller, id string) Match {
	if name, ok := strings.CutPrefix(id, seller+"/"); ok && name != "" {
		return Any(Equal(id), Equal(name))
	}
	return Equal(id)
}

// A litellmKey is what a field's name says.
type litellmKey struct {
	field   string
	class   Class
	request bool  // the price of a request
	above   int64 // for prompts of more tokens; 0: any
	tier    string
}

var litellmClasses = map[string]Class{
	"input_cost_per_token":              Input,
	"cache_read_input_token_cost":       CacheRead,
	"cache_read_input_audio_token_cost": CacheReadAudio,
	"cache_creation_input_token_cost":   CacheCreation,
	"input_cost_per_audio_token":        InputAudio,
	"input_cost_per_image_token":        InputImage,
	"output_cost_per_token":             Output,
	"output_cost_per_reasoning_token":   OutputReasoning,
	"output_cost_per_audio_token":       OutputAudio,
	"output_cost_per_image_token":       OutputImage,
}

var litellmTiers = map[string]string{"_priority": "priority", "_flex": "flex", "_batches": "batch"}

// parseLitellm reads a name such as cache_creation_input_token_cost_above_1hr_above_200k_tokens_priority.
func parseLitellm(field string) (key litellmKey, known bool) {
	key.field = field
	if key.request = field == "input_cost_per_request"; key.request {
		return key, true
	}
	for suffix, tier := range litellmTiers {
		if base, has := strings.CutSuffix(field, suffix); has {
			field, key.tier = base, tier
		}
	}
	if base, has := strings.CutSuffix(field, "k_tokens"); has {
		i := strings.LastIndex(base, "_above_")
		if i < 0 {
			return key, false
		}
		thousands, err := strconv.ParseInt(base[i+len("_above_"):], 10, 32)
		if err != nil || thousands <= 0 {
			return key, false
		}
		field, key.above = base[:i], thousands*1000
	}
	base, hour := strings.CutSuffix(field, "_above_1hr")
	key.class, known = litellmClasses[base]
	if hour {
		known = known && key.class == CacheCreation
		key.class = CacheCreationLong
	}
	return key, known
}

// read reads the price of l that k names. A step stands on the price for shorter prompts, its tier's or the ordinary one;
// one that stands on none is left out.
func (k litellmKey) read(l litellmModel, to *Price, ordinary Price) error {
	shift := int32(6) // per token
	if k.request {
		shift = 0
	}
	d, given, err := number(l.id+"."+k.field, l.fields[k.field], shift)
	if err != nil || !given {
		return err
	}
	rate, known := to.Rates[k.class]
	switch {
	case k.request:
		to.Request = d
		return nil
	case k.above == 0:
		rate.PerMillion = d
	default:
		if !known {
			rate.PerMillion, known = ordinary.Rates[k.class].PerMillion, ordinary.has(k.class)
		}
		if !known {
			return nil
		}
		rate.Above = append(rate.Above, Step{Tokens: k.above, PerMillion: d})
	}
	to.Rates[k.class] = rate
	return nil
}
