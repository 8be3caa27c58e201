package bunstore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/usage"
)

// micros returns t as it is stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

// instant returns what micros made a number. The zero time comes back as the zero time.
func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// encode returns v as JSON, a value of a kind that can't fail.
func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bunstore: %T as JSON: %v", v, err))
	}
	return string(text)
}

// optional returns JSON as a column that may be NULL, byte for byte.
func optional(text json.RawMessage) *string {
	if text == nil {
		return nil
	}
	s := string(text)
	return &s
}

func fromOptional(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

// A parser reads columns that are texts, and remembers the first that it could not read.
type parser struct{ err error }

func (p *parser) note(column string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("column %s: %w", column, err)
	}
}

func (p *parser) json(column, text string, v any) { p.note(column, json.Unmarshal([]byte(text), v)) }

func (p *parser) decimal(column, text string) decimal.Decimal {
	d, err := usage.ParseDecimal(text)
	p.note(column, err)
	return d
}

func (p *parser) optional(column string, text *string) *decimal.Decimal {
	if text == nil {
		return nil
	}
	return new(p.decimal(column, *text))
}

// totalsRow are the columns of [usage.Totals].
type totalsRow struct {
	InputTokens         int64 `bun:"input_tokens"`
	OutputTokens        int64 `bun:"output_tokens"`
	CacheCreationTokens int64 `bun:"cache_creation_tokens"`
	CacheReadTokens     int64 `bun:"cache_read_tokens"`
	TotalTokens         int64 `bun:"total_tokens"`
	Requests            int64 `bun:"requests"`
	Runs                int64 `bun:"runs"`
	Nanodollars         int64 `bun:"nanodollars"`
}
