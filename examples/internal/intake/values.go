package intake

import (
	"strings"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// setters read a field of an event from a text that is not empty.
var setters = map[string]func(e *usage.Event, value string) error{
	"id":                    text(func(e *usage.Event) *string { return &e.ID }),
	timestamp:               setTime,
	"tenant":                text(func(e *usage.Event) *string { return &e.Tenant }),
	"user":                  text(func(e *usage.Event) *string { return &e.User }),
	"api_key":               text(func(e *usage.Event) *string { return &e.APIKey }),
	"resource":              text(func(e *usage.Event) *string { return &e.Resource }),
	"input_tokens":          count(func(e *usage.Event) *int64 { return &e.InputTokens }),
	"output_tokens":         count(func(e *usage.Event) *int64 { return &e.OutputTokens }),
	"cache_creation_tokens": count(func(e *usage.Event) *int64 { return &e.CacheCreationTokens }),
	"cache_read_tokens":     count(func(e *usage.Event) *int64 { return &e.CacheReadTokens }),
	"total_tokens":          optionalCount(func(e *usage.Event) **int64 { return &e.TotalTokens }),
	"requests":              optionalCount(func(e *usage.Event) **int64 { return &e.Requests }),
	"runs":                  count(func(e *usage.Event) *int64 { return &e.Runs }),
	"cost":                  setCost,
}

func text(of func(*usage.Event) *string) func(*usage.Event, string) error {
	return func(e *usage.Event, value string) error {
		*of(e) = value
		return nil
	}
}

func count(of func(*usage.Event) *int64) func(*usage.Event, string) error {
	return func(e *usage.Event, value string) (err error) {
		*of(e), err = parseCount(value)
		return err
	}
}

func optionalCount(of func(*usage.Event) **int64) func(*usage.Event, string) error {
	return func(e *usage.Event, value string) error {
		n, err := parseCount(value)
		*of(e) = &n
		return err
	}
}

func parseCount(value string) (int64, error) {
	d, err := usage.ParseDecimal(value)
	if err != nil {
		return 0, err
	}
	return usage.Units(d, 0)
}

func setCost(e *usage.Event, value string) error {
	cost, err := usage.ParseDecimal(value)
	e.Cost = &cost
	return err
}

func setTime(e *usage.Event, value string) (err error) {
	e.Time, err = ParseTime(value)
	return err
}

// ParseTime reads an RFC 3339 time, also one with a blank in the place of the T, and one without offset, which is UTC. Every
// error unwraps to [usage.ErrInvalid].
func ParseTime(value string) (time.Time, error) {
	const seconds = len("2006-01-02T15:04:05")
	full := value
	if len(full) >= seconds {
		full = strings.Replace(full[:seconds], " ", "T", 1) + full[seconds:]
		if strings.Trim(full[seconds:], ".0123456789") == "" {
			full += "Z"
		}
	}
	var t time.Time
	if t.UnmarshalText([]byte(full)) != nil || t.IsZero() {
		return time.Time{}, invalid.Field(timestamp, "must be a time such as 2026-03-01T09:30:00Z")
	}
	return t, nil
}
