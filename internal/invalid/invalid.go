// Package invalid holds the one error type with which every package of purser refuses bad input, and the rules for
// names and texts that all of them share. The public packages alias what their users need.
package invalid

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// ErrInvalid is what every [FieldError] unwraps to.
var ErrInvalid = errors.New("invalid")

// A FieldError says which field of an input was refused and why.
type FieldError struct {
	Field   string // as in JSON, e.g. "input_tokens" or "scope.tenant"
	Message string // what is wrong and what would be right, without the field's name
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Unwrap returns [ErrInvalid].
func (e *FieldError) Unwrap() error { return ErrInvalid }

// Field returns a [FieldError] with a formatted message.
func Field(name, format string, args ...any) error {
	return &FieldError{Field: name, Message: fmt.Sprintf(format, args...)}
}

// Fields returns every [FieldError] in err's tree, in order. It returns nil if there is none.
func Fields(err error) []*FieldError {
	switch e := err.(type) { //nolint:errorlint // the tree is walked here, node by node
	case nil:
		return nil
	case *FieldError:
		return []*FieldError{e}
	case interface{ Unwrap() []error }:
		var found []*FieldError
		for _, inner := range e.Unwrap() {
			found = append(found, Fields(inner)...)
		}
		return found
	default:
		return Fields(errors.Unwrap(err))
	}
}

// MaxName is the length of the longest id, dimension name or dimension value, in bytes.
const MaxName = 128

// Name checks an id, a dimension's name or its value: 1 to [MaxName] bytes of UTF-8 without control characters. A
// database or a driver that met anything else might change it, so that two names became one.
func Name(field, s string) error {
	switch {
	case s == "":
		return Field(field, "must not be empty")
	case len(s) > MaxName:
		return Field(field, "has %d bytes, at most %d are allowed", len(s), MaxName)
	}
	return text(field, s, func(rune) bool { return false })
}

// OptionalName is [Name] for a field that may be left empty.
func OptionalName(field, s string) error {
	if s == "" {
		return nil
	}
	return Name(field, s)
}

// Line checks a text of minimum to maximum characters (not bytes) of UTF-8 without control characters.
func Line(field, s string, minimum, maximum int) error {
	return sized(field, s, minimum, maximum, func(rune) bool { return false })
}

// Text is [Line] for a text of any number of lines: line breaks and tabs are allowed.
func Text(field, s string, minimum, maximum int) error {
	return sized(field, s, minimum, maximum, func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' })
}

func sized(field, s string, minimum, maximum int, allowed func(rune) bool) error {
	// A character has at most four bytes, so that a huge text is refused without being read.
	if n := len(s); n > 4*maximum {
		return Field(field, "is longer than %d characters", maximum)
	}
	if n := utf8.RuneCountInString(s); n < minimum || n > maximum {
		return Field(field, "has %d characters, must have %d to %d", n, minimum, maximum)
	}
	return text(field, s, allowed)
}

func text(field, s string, allowed func(rune) bool) error {
	if !utf8.ValidString(s) {
		return Field(field, "is not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) && !allowed(r) {
			return Field(field, "contains the control character %U", r)
		}
	}
	return nil
}
