package price

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
)

type genaiProvider struct {
	ID        string          `json:"id"`
	Aliases   json.RawMessage `json:"provider_match"`
	Makes     json.RawMessage `json:"model_match"`
	Fallbacks []string        `json:"fallback_model_providers"`
	Models    []genaiModel    `json:"models"`
}

type genaiModel struct {
	ID     string          `json:"id"`
	Match  json.RawMessage `json:"match"`
	Prices json.RawMessage `json:"prices"`
}

type genaiPrice struct {
	Constraint *struct {
		StartDate string `json:"start_date"`
		StartTime string `json:"start_time"`
		EndTime   string `json:"end_time"`
	} `json:"constraint"`
	Prices map[string]json.RawMessage `json:"prices"`
}

// ReadGenAI reads a list in the format of genai-prices: a JSON array of providers, prices in US dollars per million tokens.
// Its numbers are read exactly. A model whose prices are {} is free, as that list means it. Prices of what is no token and
// no request are left out. It has no price for an hour in the cache, which costs what minutes do. The name is as in [New].
//
// Errors: ErrInvalid with the fields, also of a list in which no model has a price, and what r says.
func ReadGenAI(name string, r io.Reader) (*List, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, err
	}
	var listed []genaiProvider
	err = decode("list", data, &listed)
	providers := make([]Provider, len(listed))
	for i, p := range listed {
		var bad error
		providers[i], bad = p.provider()
		err = errors.Join(err, bad)
	}
	if err != nil {
		return nil, fmt.Errorf("price list %q: %w", name, err)
	}
	return newRead(name, providers)
}

func (g genaiProvider) provider() (Provider, error) {
	p := Provider{ID: g.ID, Others: g.Fallbacks, Models: make([]Model, len(g.Models))}
	var err, makes error
	p.Aliases, err = genaiMatch(g.ID+".provider_match", g.Aliases, 0)
	p.Makes, makes = genaiMatch(g.ID+".model_match", g.Makes, 0)
	err = errors.Join(err, makes)
	for i, m := range g.Models {
		var bad error
		p.Models[i], bad = m.model(g.ID + "." + m.ID)
		err = errors.Join(err, bad)
	}
	return p, err
}

func (g genaiModel) model(path string) (Model, error) {
	match, err := genaiMatch(path+".match", g.Match, 0)
	m := Model{ID: g.ID, Match: match}
	listed := []genaiPrice{{}}
	if strings.HasPrefix(strings.TrimSpace(string(g.Prices)), "[") {
		err = errors.Join(err, decode(path+".prices", g.Prices, &listed))
	} else {
		err = errors.Join(err, decode(path+".prices", g.Prices, &listed[0].Prices))
	}
	for i, l := range listed {
		p, bad := l.price(fmt.Sprintf("%s.prices[%d]", path, i))
		m.Prices = append(m.Prices, p)
		err = errors.Join(err, bad)
	}
	return m, err
}

// maxDepth is how deep conditions may lie in one another.
const maxDepth = 8

func genaiMatch(path string, data json.RawMessage, depth int) (Match, error) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	var clause map[string]json.RawMessage
	if err := decode(path, data, &clause); err != nil {
		return nil, err
	}
	if len(clause) != 1 || depth > maxDepth {
		return nil, invalid.Field(path, "must be one condition, at most %d deep", maxDepth)
	}
	for kind, value := range clause {
		if kind == "or" || kind == "and" {
			return genaiMatches(path, kind, value, depth+1)
		}
		var text string
		if err := decode(path+"."+kind, value, &text); err != nil {
			return nil, err
		}
		return matchOf(path, kind, text)
	}
	return nil, nil
}

func genaiMatches(path, kind string, data json.RawMessage, depth int) (Match, error) {
	var clauses []json.RawMessage
	err := decode(path+"."+kind, data, &clauses)
	matches := make([]Match, len(clauses))
	for i, clause := range clauses {
		var bad error
		matches[i], bad = genaiMatch(fmt.Sprintf("%s.%s[%d]", path, kind, i), clause, depth)
		if bad == nil && matches[i] == nil {
			bad = invalid.Field(fmt.Sprintf("%s.%s[%d]", path, kind, i), "must be a condition")
		}
		err = errors.Join(err, bad)
	}
	if kind == "and" {
		return All(matches...), err
	}
	return Any(matches...), err
}

// matchOf returns the match of a kind.
func matchOf(path, kind, text string) (Match, error) {
	switch kind {
	case "equals":
		return Equal(text), nil
	case "starts_with":
		return Prefix(text), nil
	case "ends_with":
		return Suffix(text), nil
	case "contains":
		return Contains(text), nil
	case "regex":
		m, err := Regexp(text)
		if err != nil {
			return nil, invalid.Field(path, "is no regular expression: %v", err)
		}
		return m, nil
	default:
		return nil, invalid.Field(path, "must be one of equals, starts_with, ends_with, contains, regex, not %q", kind)
	}
}

func (g genaiPrice) price(path string) (p Price, err error) {
	if c := g.Constraint; c != nil {
		if c.StartDate != "" {
			p.From, err = instant(path+".start_date", c.StartDate)
		}
		if c.StartTime != "" || c.EndTime != "" {
			from, badFrom := clock(path+".start_time", c.StartTime)
			to, badTo := clock(path+".end_time", c.EndTime)
			p.Hours = &Hours{From: from, To: to}
			err = errors.Join(err, badFrom, badTo)
		}
	}
	p.Rates, p.Free = make(Rates, len(g.Prices)), g.Prices != nil && len(g.Prices) == 0
	for _, key := range slices.Sorted(maps.Keys(g.Prices)) {
		err = errors.Join(err, p.readGenAI(path, key, g.Prices[key]))
	}
	return p, err
}

var genaiClasses = map[string]Class{
	"input_mtok":            Input,
	"cache_read_mtok":       CacheRead,
	"cache_audio_read_mtok": CacheReadAudio,
	"cache_write_mtok":      CacheCreation,
	"input_audio_mtok":      InputAudio,
	"output_mtok":           Output,
	"output_audio_mtok":     OutputAudio,
}

func (p *Price) readGenAI(path, key string, data json.RawMessage) error {
	field := path + "." + key
	if key == "requests_kcount" {
		perThousand, _, err := number(field, data, 0)
		p.Request = perThousand.Shift(-3)
		return err
	}
	class, known := genaiClasses[key]
	if !known || string(data) == "null" {
		return nil
	}
	rate, err := genaiRate(field, data)
	p.Rates[class] = rate
	return err
}

func genaiRate(field string, data json.RawMessage) (r Rate, err error) {
	if data[0] != '{' {
		r.PerMillion, _, err = number(field, data, 0)
		return r, err
	}
	var tiered struct {
		Base  json.RawMessage `json:"base"`
		Tiers []struct {
			Start int64           `json:"start"`
			Price json.RawMessage `json:"price"`
		} `json:"tiers"`
	}
	if err := decode(field, data, &tiered); err != nil {
		return r, err
	}
	if r.PerMillion, err = required(field+".base", tiered.Base); err != nil {
		return r, err
	}
	for i, tier := range tiered.Tiers {
		perMillion, bad := required(fmt.Sprintf("%s.tiers[%d].price", field, i), tier.Price)
		r.Above = append(r.Above, Step{Tokens: tier.Start, PerMillion: perMillion})
		err = errors.Join(err, bad)
	}
	return r, err
}

func required(field string, data json.RawMessage) (decimal.Decimal, error) {
	d, given, err := number(field, data, 0)
	if err == nil && !given {
		err = invalid.Field(field, "must be given")
	}
	return d, err
}

func clock(field, text string) (time.Duration, error) {
	t, err := time.Parse("15:04:05Z07:00", text)
	if err != nil {
		return 0, invalid.Field(field, "must be a time of day such as 16:30:00Z")
	}
	return t.UTC().Sub(t.UTC().Truncate(24 * time.Hour)), nil
}
