package bunstore

import (
	"fmt"
	"strings"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A Type is a column's type.
type Type string

// The types of columns, by their names in Postgres.
const (
	Text    Type = "text"
	Integer Type = "bigint"
	Bytes   Type = "bytea"
	Boolean Type = "boolean"
)

// A Column is a column of a table into which rows of type R are written by the hundred. One of the functions is there,
// by the column's type: they cost no allocation per value, as one that returns any would.
type Column[R any] struct {
	Name    string
	Type    Type
	Text    func(*R) string
	Integer func(*R) int64
	Bytes   func(*R) []byte
	Boolean func(*R) bool
}

func text[R any](name string, value func(*R) string) Column[R] {
	return Column[R]{Name: name, Type: Text, Text: value}
}

func integer[R any](name string, value func(*R) int64) Column[R] {
	return Column[R]{Name: name, Type: Integer, Integer: value}
}

// Value returns the column's value of a row.
func (c *Column[R]) Value(row *R) any {
	switch c.Type {
	case Text:
		return c.Text(row)
	case Integer:
		return c.Integer(row)
	case Boolean:
		return c.Boolean(row)
	default:
		return c.Bytes(row)
	}
}

// Names returns the columns' names as a list.
func Names[R any](columns []Column[R]) string { return list(columns, "%s") }

// Given returns assignments that put a row that could not be inserted in the place of the one that stands.
func Given[R any](columns []Column[R]) string { return list(columns, "%[1]s = excluded.%[1]s") }

// Sums returns assignments that add a row that could not be inserted to the row t that stands.
func Sums[R any](columns []Column[R]) string {
	return list(columns, "%[1]s = t.%[1]s + excluded.%[1]s")
}

func list[R any](columns []Column[R], format string) string {
	texts := make([]string, len(columns))
	for i, column := range columns {
		texts[i] = fmt.Sprintf(format, column.Name)
	}
	return strings.Join(texts, ", ")
}

// EventColumns are the columns of purser_events. The first two are its key.
var EventColumns = append([]Column[budget.StoredEvent]{
	text("tenant", func(e *budget.StoredEvent) string { return e.Tenant }),
	text("id", func(e *budget.StoredEvent) string { return e.ID }),
	integer("time", func(e *budget.StoredEvent) int64 { return micros(e.Time) }),
	text("user_id", func(e *budget.StoredEvent) string { return e.User }),
	text("api_key", func(e *budget.StoredEvent) string { return e.APIKey }),
	text("resource", func(e *budget.StoredEvent) string { return e.Resource }),
	text("labels", func(e *budget.StoredEvent) string { return labelsText(e.Labels) }),
	{Name: "hash", Type: Bytes, Bytes: func(e *budget.StoredEvent) []byte { return e.Hash[:] }},
	integer("flags", func(e *budget.StoredEvent) int64 { return int64(e.Flags) }),
	text("corrects", func(e *budget.StoredEvent) string { return e.Corrects }),
	integer("cost_before", func(e *budget.StoredEvent) int64 { return e.CostBefore }),
	text("reason", func(e *budget.StoredEvent) string { return e.Reason }),
	text("priced_by", func(e *budget.StoredEvent) string { return e.PricedBy }),
	integer("recorded_at", func(e *budget.StoredEvent) int64 { return micros(e.RecordedAt) }),
}, totalsColumns(func(e *budget.StoredEvent) *usage.Totals { return &e.Totals })...)

// CounterColumns are the columns of purser_counters. The first three are its key, in the order in which it is compared.
var CounterColumns = []Column[budget.Counter]{
	text("budget", func(c *budget.Counter) string { return c.Budget }),
	text("scope_value", func(c *budget.Counter) string { return c.Value }),
	integer("period_start", func(c *budget.Counter) int64 { return c.Start }),
	integer("recorded", func(c *budget.Counter) int64 { return c.Recorded }),
	integer("adjusted", func(c *budget.Counter) int64 { return c.Adjusted }),
	integer("reserved", func(c *budget.Counter) int64 { return c.Reserved }),
	integer("pruned", func(c *budget.Counter) int64 { return c.Pruned }),
	integer("denied", func(c *budget.Counter) int64 { return c.Denied }),
	integer("would_deny", func(c *budget.Counter) int64 { return c.WouldDeny }),
	integer("episode", func(c *budget.Counter) int64 { return c.Episode }),
	integer("leased", func(c *budget.Counter) int64 { return c.Leased }),
	integer("wanted", func(c *budget.Counter) int64 { return c.Wanted }),
	integer("expired", func(c *budget.Counter) int64 { return c.Expired }),
	integer("expired_held", func(c *budget.Counter) int64 { return c.ExpiredHeld }),
}

// UsageColumns are the columns of purser_usage. The first six are its key, in the order in which it is compared.
var UsageColumns = append([]Column[budget.UsageAdd]{
	integer("grain", func(u *budget.UsageAdd) int64 { return int64(u.Grain) }),
	integer("bucket", func(u *budget.UsageAdd) int64 { return u.Bucket }),
	text("tenant", func(u *budget.UsageAdd) string { return u.Tenant }),
	text("user_id", func(u *budget.UsageAdd) string { return u.User }),
	text("api_key", func(u *budget.UsageAdd) string { return u.APIKey }),
	text("resource", func(u *budget.UsageAdd) string { return u.Resource }),
}, totalsColumns(func(u *budget.UsageAdd) *usage.Totals { return &u.Totals })...)

// ReservationColumns are the columns of purser_reservations. The first two are its key.
var ReservationColumns = append([]Column[budget.StoredReservation]{
	text("tenant", func(r *budget.StoredReservation) string { return r.Tenant }),
	text("id", func(r *budget.StoredReservation) string { return r.ID }),
	integer("time", func(r *budget.StoredReservation) int64 { return micros(r.Time) }),
	text("user_id", func(r *budget.StoredReservation) string { return r.User }),
	text("api_key", func(r *budget.StoredReservation) string { return r.APIKey }),
	text("resource", func(r *budget.StoredReservation) string { return r.Resource }),
	text("labels", func(r *budget.StoredReservation) string { return labelsText(r.Labels) }),
	{Name: "hash", Type: Bytes, Bytes: func(r *budget.StoredReservation) []byte { return r.Hash[:] }},
	integer("state", func(r *budget.StoredReservation) int64 { return int64(r.State) }),
	{Name: "lease", Type: Boolean, Boolean: func(r *budget.StoredReservation) bool { return r.Lease }},
	integer("expires_at", func(r *budget.StoredReservation) int64 { return micros(r.Expires) }),
	text("holds", func(r *budget.StoredReservation) string { return holdsText(r.Holds) }),
}, totalsColumns(func(r *budget.StoredReservation) *usage.Totals { return &r.Estimate })...)

// KeyColumns are the columns of keys of events and reservations.
var KeyColumns = []Column[budget.EventKey]{
	text("tenant", func(k *budget.EventKey) string { return k.Tenant }),
	text("id", func(k *budget.EventKey) string { return k.ID }),
}

// The lengths of the keys.
const (
	CounterKeyColumns     = 3
	UsageKeyColumns       = 6
	ReservationKeyColumns = 2
)

func totalsColumns[R any](of func(*R) *usage.Totals) []Column[R] {
	return []Column[R]{
		integer("input_tokens", func(r *R) int64 { return of(r).InputTokens }),
		integer("output_tokens", func(r *R) int64 { return of(r).OutputTokens }),
		integer("cache_creation_tokens", func(r *R) int64 { return of(r).CacheCreationTokens }),
		integer("cache_read_tokens", func(r *R) int64 { return of(r).CacheReadTokens }),
		integer("total_tokens", func(r *R) int64 { return of(r).TotalTokens }),
		integer("requests", func(r *R) int64 { return of(r).Requests }),
		integer("runs", func(r *R) int64 { return of(r).Runs }),
		integer("nanodollars", func(r *R) int64 { return of(r).Nanodollars }),
	}
}
