package sqlitestore

import (
	"errors"
	"reflect"
	"strings"

	"github.com/purser-go/purser/store/internal/bunstore"
)

// Result codes of SQLite, https://www.sqlite.org/rescode.html.
const (
	codeError              = 1
	codeBusy               = 5
	codeLocked             = 6
	codeReadOnly           = 8
	codeIO                 = 10
	codeFull               = 13
	codeCantOpen           = 14
	codeConstraintDatatype = 19 | 12<<8

	primary = 0xff // of an extended code
)

// Classify implements [bunstore.Engine]. It is the one place that knows what drivers' errors look like.
func (*engine) Classify(err error) (bunstore.Class, bool) {
	code, ok := resultCode(err)
	switch {
	case code&primary == codeBusy, code&primary == codeLocked:
		return bunstore.Raced, ok
	case code&primary == codeCantOpen, code&primary == codeReadOnly, code&primary == codeFull, code&primary == codeIO:
		return bunstore.Unavailable, ok
	// A column that is added to beyond 64 bits becomes a float, which a STRICT table refuses. sum() says so itself.
	case code == codeConstraintDatatype, code&primary == codeError && strings.Contains(err.Error(), "integer overflow"):
		return bunstore.Overflow, ok
	default:
		return bunstore.Other, ok
	}
}

// resultCode returns the extended result code of a driver's error.
func resultCode(err error) (int, bool) {
	var modernc interface{ Code() int }
	if errors.As(err, &modernc) {
		return modernc.Code(), true
	}
	return namedCode(err)
}

// namedCode finds a code whose type is the driver's own. With ncruces/go-sqlite3 an error has it as a method ExtendedCode,
// or is it, as a number with a method Code or ExtendedCode. With mattn/go-sqlite3 it is a field.
func namedCode(err error) (int, bool) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked here, node by node
	case nil:
		return 0, false
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if code, ok := namedCode(inner); ok {
				return code, true
			}
		}
		return 0, false
	}
	value := reflect.ValueOf(err)
	method := value.MethodByName("ExtendedCode")
	if method.IsValid() || value.MethodByName("Code").IsValid() {
		if code, ok := number(value); ok {
			return code, true
		}
	}
	if method.IsValid() && method.Type().NumIn() == 0 && method.Type().NumOut() == 1 {
		return number(method.Call(nil)[0])
	}
	if value = reflect.Indirect(value); value.Kind() == reflect.Struct {
		if code, ok := number(value.FieldByName("ExtendedCode")); ok {
			return code, true
		}
	}
	return namedCode(errors.Unwrap(err))
}

func number(v reflect.Value) (int, bool) {
	switch {
	case !v.IsValid():
		return 0, false
	case v.CanInt():
		return int(v.Int()), true
	case v.CanUint():
		return int(v.Uint()), true
	default:
		return 0, false
	}
}
