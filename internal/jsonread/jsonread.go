// Package jsonread reads JSON objects member by member, and says of each member that it refuses what is wrong with it. It
// takes nothing for something else: what can't be kept as it is, is refused.
package jsonread

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/purser-go/purser/internal/invalid"
)

// Object gives the members of a JSON object of at most maximum bytes to read, in the order of their names, and joins what it
// refuses. Of a repeated member the last counts. kind is what an error calls the object as a whole.
func Object(kind string, data []byte, maximum int, read func(name string, value json.RawMessage) error) error {
	if len(data) > maximum {
		return invalid.Field(kind, "has %d bytes, at most %d are allowed", len(data), maximum)
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

// UnknownMember refuses a member that the object does not have.
func UnknownMember(name string) error {
	return invalid.Field(name, "is not a known field")
}

// IsNull reports whether a value is null.
func IsNull(value json.RawMessage) bool { return string(value) == "null" }

// Text reads a string. null leaves it as it is.
func Text(name string, value json.RawMessage, to *string) error {
	if IsNull(value) {
		return nil
	}
	if !Faithful(value) {
		return invalid.Field(name, "is not valid Unicode")
	}
	if json.Unmarshal(value, to) != nil {
		return invalid.Field(name, "must be a string")
	}
	return nil
}

// Faithful reports whether every character of a JSON text can be held. Decoding puts one and the same character in the place
// of all others, so that two ids would become one.
func Faithful(value json.RawMessage) bool {
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

// Texts reads an object of strings. null leaves it as it is.
func Texts(name string, value json.RawMessage, to *map[string]string) error {
	if IsNull(value) {
		return nil
	}
	if !Faithful(value) {
		return invalid.Field(name, "is not valid Unicode")
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return invalid.Field(name, "must be an object of strings")
	}
	texts := make(map[string]string, len(members))
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(members)) {
		var text string
		errs = append(errs, Text(name+"."+key, members[key], &text))
		texts[key] = text
	}
	*to = texts
	return errors.Join(errs...)
}

// Time reads an RFC 3339 time, which may be the zero time. null leaves it as it is.
func Time(name string, value json.RawMessage, to *time.Time) error {
	if IsNull(value) {
		return nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil || to.UnmarshalText([]byte(text)) != nil {
		return invalid.Field(name, "must be an RFC 3339 time such as 2026-03-01T09:30:00Z")
	}
	return nil
}
