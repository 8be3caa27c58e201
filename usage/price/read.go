package price

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// Read reads a list in whichever of the formats it is: a JSON array as [ReadGenAI], a JSON object as [ReadLiteLLM], anything
// else as [ReadCSV].
func Read(name string, r io.Reader) (*List, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, err
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\ufeff")), " \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		return ReadGenAI(name, bytes.NewReader(text))
	case bytes.HasPrefix(text, []byte("{")):
		return ReadLiteLLM(name, bytes.NewReader(text))
	default:
		return ReadCSV(name, bytes.NewReader(data))
	}
}

// maxList is the size of the largest file that is read.
const maxList = 64 << 20

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("read price list: %w", err)
	}
	if len(data) > maxList {
		return nil, fmt.Errorf("read price list: %w", invalid.Field("list", "has more than %d bytes", maxList))
	}
	return data, nil
}

// newRead is New of what was read from a file. One without any price is not the file that was meant.
func newRead(name string, providers []Provider) (*List, error) {
	l, err := New(name, providers...)
	if err == nil && !slices.ContainsFunc(providers, Provider.hasPrice) {
		return nil, fmt.Errorf("price list %q: %w", name, invalid.Field("list", "has no price"))
	}
	return l, err
}

func (p Provider) hasPrice() bool {
	return slices.ContainsFunc(p.Models, func(m Model) bool {
		return slices.ContainsFunc(m.Prices, func(p Price) bool { return len(p.Rates) > 0 || p.Free || !p.Request.IsZero() })
	})
}

// decode reads JSON of one kind.
func decode(field string, data []byte, to any) error {
	err := json.Unmarshal(data, to)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case len(bytes.TrimSpace(data)) == 0:
		return invalid.Field(field, "is empty")
	case errors.As(err, &wrong):
		return invalid.Field(strings.TrimSuffix(field+"."+wrong.Field, "."), "must be %s, not %s", jsonKind(wrong.Type.Kind()), jsonValue(wrong.Value))
	default:
		return invalid.Field(field, "is no JSON: %v", err)
	}
}

// jsonKind says in JSON's words what is read into a kind of Go value.
func jsonKind(kind reflect.Kind) string {
	switch kind {
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Int64:
		return "a whole number"
	default:
		return "an object"
	}
}

// jsonValue says what is there instead, of which encoding/json tells the kind, and the digits of a number.
func jsonValue(value string) string {
	switch kind, digits, _ := strings.Cut(value, " "); {
	case digits != "":
		return digits
	case kind == "array":
		return "a list"
	case kind == "object":
		return "an object"
	case kind == "bool":
		return "true or false"
	default:
		return "a " + kind
	}
}

// number reads a JSON number, exactly, times 10^shift. Null is absent.
func number(field string, data json.RawMessage, shift int32) (d decimal.Decimal, given bool, err error) {
	if len(data) == 0 || string(data) == "null" {
		return d, false, nil
	}
	d, err = usage.ParseJSONDecimal(data)
	if err != nil {
		return d, false, invalid.Field(field, "%v", err)
	}
	return d.Shift(shift), true, nil
}

// instant reads a date, whose midnight in UTC is meant, or an RFC 3339 time.
func instant(field, text string) (time.Time, error) {
	for _, layout := range [...]string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, invalid.Field(field, "must be a date such as 2026-03-01 or an RFC 3339 time")
}
