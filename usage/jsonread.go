package usage

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
)

// maxObject is the length of the longest text of one object: more than any valid one has, all characters escaped.
const maxObject = 64 << 10

// readObject gives the members of a JSON object to read, in the order of their names, and joins what it refuses.
func readObject(kind string, data []byte, read func(name string, value json.RawMessage) error) error {
	if len(data) > maxObject {
		return invalid.Field(kind, "has %d bytes, at most %d are allowed", len(data), maxObject)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return invalid.Field(kind, "must be a JSON object")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		errs = append(errs, read(name, members[name]))
	}
	return errors.Join(errs...)
}

func unknownMember(name string) error {
	return invalid.Field(name, "is not a known field")
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

func readText(name string, value json.RawMessage, to *string) error {
	if isNull(value) {
		return nil
	}
	if !faithful(value) {
		return invalid.Field(name, "is not valid Unicode")
	}
	if json.Unmarshal(value, to) != nil {
		return invalid.Field(name, "must be a string")
	}
	return nil
}

// faithful reports whether every character of a JSON text can be held. Decoding puts one and the same character in the place
// of all others, so that two ids would become one.
func faithful(value json.RawMessage) bool {
	if !utf8.Valid(value) {
		return false
	}
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' {
			continue
		}
		i++
		if unit := escaped(value[i-1:]); utf16.IsSurrogate(unit) {
			if utf16.DecodeRune(unit, escaped(value[i+5:])) == utf8.RuneError {
				return false
			}
			i += 10
		}
	}
	return true
}

// escaped returns the code unit of the \uXXXX that text begins with, 0 if it does not begin so.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit)
}

func readLabels(name string, value json.RawMessage, to *map[string]string) error {
	if isNull(value) {
		return nil
	}
	if !faithful(value) {
		return invalid.Field(name, "is not valid Unicode")
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return invalid.Field(name, "must be an object of strings")
	}
	labels := make(map[string]string, len(members))
	var errs []error
	for _, label := range slices.Sorted(maps.Keys(members)) {
		var text string
		errs = append(errs, readText(name+"."+label, members[label], &text))
		labels[label] = text
	}
	*to = labels
	return errors.Join(errs...)
}

func readTime(name string, value json.RawMessage, to *time.Time) error {
	if isNull(value) {
		return nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil || to.UnmarshalText([]byte(text)) != nil {
		return invalid.Field(name, "must be an RFC 3339 time such as 2026-03-01T09:30:00Z")
	}
	if to.IsZero() {
		return timeOutOfRange(name) // else it would mean that no time was given
	}
	return nil
}

func readCount(name string, value json.RawMessage, to *int64) error {
	var d decimal.Decimal
	if err := readDecimal(name, value, &d); err != nil {
		return err
	}
	n, err := Units(d, 0)
	if err != nil {
		return invalid.Field(name, "%v", err)
	}
	*to = n
	return nil
}

func readDecimal(name string, value json.RawMessage, to *decimal.Decimal) error {
	if isNull(value) {
		return nil
	}
	d, err := ParseJSONDecimal(value)
	if err != nil {
		return invalid.Field(name, "%v", err)
	}
	*to = d
	return nil
}

func readOptional[T any](
	name string, value json.RawMessage, to **T, read func(string, json.RawMessage, *T) error,
) error {
	if isNull(value) {
		return nil
	}
	var v T
	if err := read(name, value, &v); err != nil {
		return err
	}
	*to = &v
	return nil
}
