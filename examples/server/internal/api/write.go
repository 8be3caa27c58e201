package api

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/shopspring/decimal"
)

// A number is an amount, written with its exact text.
type number decimal.Decimal

// MarshalJSON writes n as a number literal without exponent or trailing zeros.
func (n number) MarshalJSON() ([]byte, error) { return []byte(decimal.Decimal(n).String()), nil }

// optionalNumber returns null for nil.
func optionalNumber(d *decimal.Decimal) *number { return (*number)(d) }

// optionalTime returns null for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

// optionalText returns null for "".
func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// orEmpty returns an empty map for nil.
func orEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// marshal writes v as JSON and leaves <, > and & as they are: nobody takes an answer for HTML.
func marshal(v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return text.Bytes(), err
}

// mustMarshal writes a value of ours, which can be written.
func mustMarshal(v any) json.RawMessage {
	text, err := marshal(v)
	if err != nil {
		panic("purser: what was validated can't be written: " + err.Error())
	}
	return text
}
