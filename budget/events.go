package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Event returns the event with this key, with what its corrections took away so far. What was pruned is gone.
//
// Errors: ErrNotFound, ErrInvalid if none can have this key.
func (l *Ledger) Event(ctx context.Context, key EventKey) (LockedEvent, error) {
	err := validateKey(key)
	var found map[EventKey]LockedEvent
	if err == nil {
		found, err = l.findEvents(ctx, []EventKey{key})
	}
	e, stands := found[key]
	if err == nil && !stands {
		err = ErrNotFound
	}
	if err != nil {
		return LockedEvent{}, fmt.Errorf("event %q: %w", key.ID, err)
	}
	return e, nil
}

// Events yields what was recorded and the query selects, corrections included, in ascending order of time, tenant and id. A
// zero Span is all time, and a Limit of 0 or less is no limit. What was pruned is gone: sums of usage have it, see [Ledger.Groups].
//
// It reads in pages, each of one moment. What is recorded meanwhile is in a later one, or in none.
//
// Errors: ErrInvalid with the fields.
func (l *Ledger) Events(ctx context.Context, q EventQuery) iter.Seq2[StoredEvent, error] {
	return func(yield func(StoredEvent, error) bool) {
		if q.Span.IsZero() {
			q.Span = allTime
		}
		if err := q.validate(); err != nil {
			yield(StoredEvent{}, fmt.Errorf("events: %w", err))
			return
		}
		next, left := q, q.Limit
		for {
			if next.Limit = pageSize; q.Limit > 0 {
				next.Limit = min(pageSize, left)
			}
			var page []StoredEvent
			err := l.look(ctx, "events", func(r ReadTx) (err error) {
				page, err = r.Events(ctx, next)
				return err
			})
			if err != nil {
				yield(StoredEvent{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if left -= len(page); len(page) < next.Limit || q.Limit > 0 && left == 0 {
				return
			}
			next = next.behind(page[len(page)-1])
		}
	}
}

// behind returns a query like q of what is behind an event in the order.
func (q EventQuery) behind(last StoredEvent) EventQuery {
	q.After = &EventCursor{Time: last.Time, EventKey: last.Key()}
	q.Span = period.Bounds{Start: last.Time, End: q.Span.End} // says the same to a planner that looks for a range of time first
	return q
}

func (q EventQuery) validate() error {
	errs := []error{validateSpan(q.Span)}
	for _, d := range slices.Sorted(maps.Keys(q.Where)) {
		errs = append(errs, invalid.Name("where", string(d)), invalid.OptionalName("where."+string(d), q.Where[d]))
	}
	if q.After != nil {
		errs = append(errs, invalid.Name("after", q.After.ID), invalid.OptionalName("after.tenant", q.After.Tenant))
	}
	return errors.Join(errs...)
}

// eventJSON is an event as it is written in JSON.
type eventJSON struct {
	ID                  string            `json:"id"`
	Time                time.Time         `json:"time"`
	Tenant              string            `json:"tenant,omitempty"`
	User                string            `json:"user,omitempty"`
	APIKey              string            `json:"api_key,omitempty"`
	Resource            string            `json:"resource,omitempty"`
	Labels              map[string]string `json:"labels,omitempty"`
	InputTokens         int64             `json:"input_tokens"`
	OutputTokens        int64             `json:"output_tokens"`
	CacheReadTokens     int64             `json:"cache_read_tokens"`
	CacheCreationTokens int64             `json:"cache_creation_tokens"`
	TotalTokens         int64             `json:"total_tokens"`
	Requests            int64             `json:"requests"`
	Runs                int64             `json:"runs"`
	Cost                number            `json:"cost"`
	PricedBy            string            `json:"priced_by,omitempty"`
	Corrects            string            `json:"corrects,omitempty"`
	Reason              string            `json:"reason,omitempty"`
	Estimated           bool              `json:"estimated,omitempty"`
	Late                bool              `json:"late,omitempty"`
	RecordedAt          time.Time         `json:"recorded_at"`
	Corrected           *usage.Totals     `json:"corrected,omitempty"`
}

func newEventJSON(e *StoredEvent) eventJSON {
	return eventJSON{
		ID: e.ID, Time: e.Time, Tenant: e.Tenant, User: e.User, APIKey: e.APIKey, Resource: e.Resource, Labels: e.Labels,
		InputTokens: e.Totals.InputTokens, OutputTokens: e.Totals.OutputTokens,
		CacheReadTokens: e.Totals.CacheReadTokens, CacheCreationTokens: e.Totals.CacheCreationTokens,
		TotalTokens: e.Totals.TotalTokens, Requests: e.Totals.Requests, Runs: e.Totals.Runs, Cost: number(e.Totals.Cost()),
		PricedBy: e.PricedBy, Corrects: e.Corrects, Reason: e.Reason,
		Estimated: e.Flags&Estimated != 0, Late: e.Flags&Late != 0, RecordedAt: e.RecordedAt,
	}
}

// MarshalJSON writes e as one flat object, its amounts as exact number literals, which are below 0 in a correction. What
// there is not is left out.
func (e StoredEvent) MarshalJSON() ([]byte, error) { return json.Marshal(newEventJSON(&e)) }

// MarshalJSON writes e as [StoredEvent.MarshalJSON] does, and what its corrections took away as corrected.
func (e LockedEvent) MarshalJSON() ([]byte, error) {
	written := newEventJSON(&e.StoredEvent)
	written.Corrected = &e.Corrected
	return json.Marshal(written)
}
