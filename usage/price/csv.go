package price

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// ReadCSV reads a list from CSV: a header of columns in any order, and a row per price. The columns are
//
//   - model, the only one that must be there, and provider; without one the model costs the same whoever sells it;
//   - match, how the model is recognised: equals, starts_with, ends_with, contains, regex; empty is equals in the model's first
//     row, and in later ones what the first says;
//   - from, a date or an RFC 3339 time, and tier, the service tier;
//   - above: the row is the price of prompts of more tokens than this, and of their answers, beside a row without it;
//   - the classes of tokens by their names (input, output, cache_read, cache_creation, cache_creation_long, …), in US
//     dollars per million, and request, in US dollars per request, not on a row with above. Empty is no price, which
//     differs from 0.
//
// Rows of the same provider and model belong together; of the models of a provider the one that comes first counts. The name
// is as in [New]. Errors: ErrInvalid with the fields, named by line and column ("line 3.input"), also of a list in which no
// model has a price, and what r says.
func ReadCSV(name string, r io.Reader) (*List, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, err
	}
	rows := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	rows.ReuseRecord = true
	table := newCSVTable()
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		err = invalid.Field("list", "is empty")
	} else if err != nil {
		err = invalid.Field("header", "is no row of CSV: %v", err)
	} else {
		err = table.setColumns(header)
	}
	if err == nil {
		err = table.readRows(rows)
	}
	if err != nil {
		return nil, fmt.Errorf("price list %q: %w", name, err)
	}
	return newRead(name, table.providers)
}

// A csvTable is what was read so far.
type csvTable struct {
	columns   []string
	providers []Provider
	matches   map[name]string // the kind of each model's match
}

func newCSVTable() *csvTable { return &csvTable{matches: make(map[name]string)} }

var csvColumns = []string{"model", "provider", "match", "from", "tier", "above", "request"}

func (t *csvTable) setColumns(header []string) error {
	for _, text := range header {
		column := strings.TrimSpace(text)
		_, isClass := classNamed(column)
		switch {
		case !isClass && !slices.Contains(csvColumns, column):
			return invalid.Field("header", "has the column %q, which is none of %s and the classes of tokens", column, strings.Join(csvColumns, ", "))
		case slices.Contains(t.columns, column):
			return invalid.Field("header", "has the column %s twice", column)
		}
		t.columns = append(t.columns, column)
	}
	if !slices.Contains(t.columns, "model") {
		return invalid.Field("header", "has no column model")
	}
	return nil
}

func classNamed(name string) (Class, bool) {
	i := slices.Index(classNames[:], name)
	return Class(max(i, 0)), i >= 0
}

func (t *csvTable) readRows(rows *csv.Reader) (findings error) {
	for {
		record, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return findings
		}
		if err != nil {
			return errors.Join(findings, csvSyntax(err))
		}
		line, _ := rows.FieldPos(0)
		findings = errors.Join(findings, t.add(fmt.Sprintf("line %d", line), record))
	}
}

func csvSyntax(err error) error {
	var p *csv.ParseError
	if !errors.As(err, &p) {
		return invalid.Field("rows", "%v", err)
	}
	if errors.Is(p.Err, csv.ErrFieldCount) {
		return invalid.Field(fmt.Sprintf("line %d", p.Line), "has not as many fields as the header")
	}
	return invalid.Field(fmt.Sprintf("line %d", p.Line), "is no CSV at byte %d: %v", p.Column, p.Err)
}

// A csvRow is one price as it is written.
type csvRow struct {
	provider, model, match, tier string
	from                         time.Time
	above                        *int64
	rates                        map[Class]decimal.Decimal
	request                      decimal.Decimal
}

func (t *csvTable) add(line string, record []string) error {
	row := csvRow{rates: make(map[Class]decimal.Decimal)}
	var err error
	for i, text := range record {
		if text = strings.TrimSpace(text); text != "" {
			err = errors.Join(err, row.set(t.columns[i], line+"."+t.columns[i], text))
		}
	}
	err = errors.Join(err, invalid.OptionalName(line+".provider", row.provider), invalid.Name(line+".model", row.model))
	if err != nil {
		return err
	}
	m, err := t.model(line, row)
	if err != nil {
		return err
	}
	return m.add(line, row)
}

func (r *csvRow) set(column, field, text string) (err error) {
	switch column {
	case "provider":
		r.provider = text
	case "model":
		r.model = text
	case "match":
		r.match = text
	case "tier":
		r.tier = text
	case "from":
		r.from, err = instant(field, text)
	case "above":
		n, failed := strconv.ParseInt(text, 10, 64)
		if failed != nil || n < 0 {
			return invalid.Field(field, "must be a number of tokens")
		}
		r.above = &n
	case "request":
		r.request, err = csvNumber(field, text)
	default:
		class, _ := classNamed(column)
		r.rates[class], err = csvNumber(field, text)
	}
	return err
}

func csvNumber(field, text string) (decimal.Decimal, error) {
	d, err := usage.ParseDecimal(text)
	if err != nil {
		return d, invalid.Field(field, "%v", err)
	}
	return d, validatePrice(field, d)
}

// model returns the model that a row is about.
func (t *csvTable) model(line string, r csvRow) (*Model, error) {
	i := slices.IndexFunc(t.providers, func(p Provider) bool { return p.ID == r.provider })
	if i < 0 {
		i = len(t.providers)
		t.providers = append(t.providers, Provider{ID: r.provider})
	}
	p := &t.providers[i]
	key := name{r.provider, r.model}
	if j := slices.IndexFunc(p.Models, func(m Model) bool { return m.ID == r.model }); j >= 0 {
		if kind := t.matches[key]; r.match != "" && r.match != kind {
			return nil, invalid.Field(line+".match", "is %q, but the model's first row says %q", r.match, kind)
		}
		return &p.Models[j], nil
	}
	kind := cmp.Or(r.match, "equals")
	match, err := matchOf(line+".match", kind, r.model)
	if err != nil {
		return nil, err
	}
	t.matches[key] = kind
	p.Models = append(p.Models, Model{ID: r.model, Match: match})
	return &p.Models[len(p.Models)-1], nil
}

// add adds a row to the price of its time and tier.
func (m *Model) add(line string, r csvRow) error {
	i := slices.IndexFunc(m.Prices, func(p Price) bool { return p.From.Equal(r.from) && p.Tier == r.tier })
	switch {
	case i < 0 && r.above != nil:
		return invalid.Field(line+".above", "stands on no row before it that holds for shorter prompts")
	case i < 0:
		i = len(m.Prices)
		m.Prices = append(m.Prices, Price{From: r.from, Tier: r.tier, Rates: make(Rates), Request: r.request})
	case r.above == nil:
		return invalid.Field(line+".model", "has this price twice")
	case !r.request.IsZero():
		return invalid.Field(line+".request", "must be on the row without above: a request costs the same whatever its prompt")
	}
	p := &m.Prices[i]
	for class, perMillion := range r.rates {
		rate, known := p.Rates[class]
		switch {
		case r.above == nil:
			rate.PerMillion = perMillion
		case !known:
			return invalid.Field(line+"."+class.String(), "has no price for shorter prompts")
		case slices.ContainsFunc(rate.Above, func(s Step) bool { return s.Tokens == *r.above }):
			return invalid.Field(line+"."+class.String(), "has a price above %d tokens twice", *r.above)
		default:
			rate.Above = append(rate.Above, Step{Tokens: *r.above, PerMillion: perMillion})
		}
		p.Rates[class] = rate
	}
	return nil
}
