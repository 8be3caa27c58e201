package usage

import (
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/purser-go/purser/internal/invalid"
)

// An Event is one metered use: an immutable fact.
type Event struct {
	// ID is the idempotency key, unique per tenant. The same ID with the same content counts once, however often it is sent.
	ID string
	// Time is when the use happened, cut to the microsecond. It decides the period. Zero means not given: the recorder's
	// clock when it records.
	Time time.Time
	Subject
	Amounts
}

// NewID returns a fresh id for an [Event], a UUID of version 7. Keep it for retries.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Validate refuses what [Subject.Validate] and [Amounts.Validate] refuse, an ID that is empty, longer than 128 bytes or not
// plain text, and a time before 1980 or after 2199. All findings are [*FieldError]. A time in the future is not refused
// here: that takes a clock.
func (e Event) Validate() error {
	return errors.Join(
		invalid.Name("id", e.ID),
		validateTime(e.Time),
		e.Subject.Validate(),
		e.Amounts.Validate(),
	)
}

// The time of an event is in [MinTime, EndTime): since 1980 the offset of every zone is a whole number of quarter hours.
var (
	MinTime = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)
	EndTime = time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)
)

func validateTime(t time.Time) error {
	if t.IsZero() || !t.Before(MinTime) && t.Before(EndTime) {
		return nil
	}
	return timeOutOfRange("time")
}

func timeOutOfRange(field string) error {
	return invalid.Field(field, "must be from 1980 to 2199")
}

// Canonical returns e as it counts, the same for every way of writing the same event: the time in UTC and cut to the
// microsecond, the cost rounded, total and requests filled in as [Amounts.Totals] does, labels without value left out. A
// time or a cost that is not given stays so. e must be valid.
func (e Event) Canonical() Event {
	e.Time = canonicalTime(e.Time)
	e.Labels = canonicalLabels(e.Labels)
	if t, err := e.Totals(); err == nil {
		e.TotalTokens, e.Requests = &t.TotalTokens, &t.Requests
		if e.Cost != nil {
			cost := t.Cost()
			e.Cost = &cost
		}
	}
	return e
}

func canonicalTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func canonicalLabels(labels map[string]string) map[string]string {
	kept := 0
	for _, value := range labels {
		if value != "" {
			kept++
		}
	}
	switch kept {
	case 0:
		return nil
	case len(labels):
		return labels
	}
	labels = maps.Clone(labels)
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	return labels
}
