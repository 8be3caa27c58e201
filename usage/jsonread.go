package usage

import (
	"encoding/json"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
)

// maxObject is the length of the longest text of one object: more than any valid one has, all characters escaped.
const maxObject = 64 << 10

func readObject(kind string, data []byte, read func(name string, value json.RawMessage) error) error {
	return jsonread.Object(kind, data, maxObject, read)
}

func readTime(name string, value json.RawMessage, to *time.Time) error {
	if jsonread.IsNull(value) {
		return nil
	}
	if err := jsonread.Time(name, value, to); err != nil {
		return err
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
	if jsonread.IsNull(value) {
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
	if jsonread.IsNull(value) {
		return nil
	}
	var v T
	if err := read(name, value, &v); err != nil {
		return err
	}
	*to = &v
	return nil
}
