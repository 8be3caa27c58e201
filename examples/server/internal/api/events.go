package api

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
	"github.com/purser-go/purser/usage"
)

// The most that one request can bring.
const (
	maxEvents     = 10_000
	maxEventsBody = 16 << 20
)

func (a *API) eventRoutes() []Route {
	return []Route{
		{Method: http.MethodPost, Path: "/api/v1/events", handle: recordEvents, maxBody: maxEventsBody},
		{Method: http.MethodPost, Path: "/api/v1/corrections", handle: correctEvent},
	}
}

// A sentEvent is an event as it was sent, or what kept it from being read.
type sentEvent struct {
	usage.Event
	err error
}

// An eventResult says what became of one event.
type eventResult struct {
	ID     *string        `json:"id"` // null if it has none
	Status budget.Outcome `json:"status"`
	Errors []FieldProblem `json:"errors"`
}

func newEventResult(r budget.Result) eventResult {
	return eventResult{ID: optionalText(r.ID), Status: r.Outcome, Errors: itemProblems(r.Err)}
}

// recordEvents records one event or a list of them, and says of each, in their order, whether it is recorded, was recorded
// before (duplicate), stands there with other content (conflict), or is invalid. One bad event never costs the others. The
// events of a caller with a tenant are of that tenant.
func recordEvents(c *call) (any, error) {
	sent, err := c.sentEvents()
	if err == nil {
		err = c.usageClaim()
	}
	if err != nil {
		return nil, err
	}
	var valid []usage.Event
	for i := range sent {
		if sent[i].ID == "" {
			sent[i].ID = c.once.idOf(i)
		}
		if sent[i].err == nil {
			sent[i].err = c.checkEvent(&sent[i].Event)
		}
		if sent[i].err == nil {
			valid = append(valid, sent[i].Event)
		}
	}
	recorded, err := c.ledger.RecordBatch(c.Context(), valid)
	if err != nil {
		return nil, err
	}
	results := make([]eventResult, len(sent))
	for i := range sent {
		if sent[i].err != nil {
			results[i] = newEventResult(budget.Result{ID: sent[i].ID, Outcome: budget.Invalid, Err: sent[i].err})
			continue
		}
		results[i], recorded = newEventResult(recorded[0]), recorded[1:]
	}
	return struct {
		Results []eventResult `json:"results"`
	}{results}, nil
}

// usageClaim refuses who may not record usage, and claims the idempotency key of who may.
func (c *call) usageClaim() error {
	err := c.needs(access.RecordUsage)
	if err == nil {
		_, err = c.claim()
	}
	return err
}

// checkEvent makes the event the caller's tenant's, and refuses what can't be recorded.
func (c *call) checkEvent(e *usage.Event) error {
	var missing error
	if e.Time.IsZero() {
		missing = invalid.Field("time", "must be there")
	}
	return errors.Join(c.ownTenant(&e.Tenant), missing, e.Validate())
}

// ownTenant makes what names no tenant the caller's tenant's, and refuses another's.
func (c *call) ownTenant(tenant *string) error {
	if *tenant == "" {
		*tenant = c.caller.Tenant
	}
	if !c.caller.Platform() && *tenant != c.caller.Tenant {
		return invalid.Field("tenant", "must be %q or left out", c.caller.Tenant)
	}
	return nil
}

// sentEvents reads the body in the form that its content type names.
func (c *call) sentEvents() ([]sentEvent, error) {
	kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil {
		kind = "" // read as JSON, as everywhere
	}
	switch {
	case kind == "application/cloudevents+json":
		return c.oneEvent(readCloudEvent)
	case kind == "application/cloudevents-batch+json":
		return listOf("body", c.body, readCloudEvent)
	case strings.HasPrefix(kind, "application/cloudevents"):
		return nil, &Problem{Status: http.StatusUnsupportedMediaType, Detail: "CloudEvents are read as JSON only."}
	case c.Header.Get("Ce-Specversion") != "":
		return []sentEvent{binaryCloudEvent(c.Header, c.body)}, nil
	default:
		return c.plainEvents()
	}
}

// plainEvents reads an event, or {"events": […]}.
func (c *call) plainEvents() ([]sentEvent, error) {
	var list json.RawMessage
	var others []error
	err := c.object(func(name string, value json.RawMessage) error {
		if name == "events" {
			list = value
		} else {
			others = append(others, jsonread.UnknownMember(name))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case list == nil:
		return c.oneEvent(readEvent)
	}
	if err := errors.Join(others...); err != nil {
		return nil, err
	}
	return listOf("events", list, readEvent)
}

func readEvent(text json.RawMessage) (e sentEvent) {
	e.err = e.UnmarshalJSON(text)
	return e
}

// oneEvent reads a body that is one event.
func (c *call) oneEvent(read func(json.RawMessage) sentEvent) ([]sentEvent, error) {
	if err := c.object(func(string, json.RawMessage) error { return nil }); err != nil {
		return nil, err
	}
	return []sentEvent{read(c.body)}, nil
}

// listOf reads a list of events.
func listOf(name string, text json.RawMessage, read func(json.RawMessage) sentEvent) ([]sentEvent, error) {
	var items []json.RawMessage
	if json.Unmarshal(text, &items) != nil || items == nil {
		return nil, invalid.Field(name, "must be a list of events")
	}
	if len(items) > maxEvents {
		return nil, invalid.Field(name, "has %d events, at most %d are allowed", len(items), maxEvents)
	}
	sent := make([]sentEvent, len(items))
	for i, item := range items {
		sent[i] = read(item)
	}
	return sent, nil
}

// maxItemProblems is how many findings an answer lists of one of many.
const maxItemProblems = 10

// itemProblems says what is wrong with one of many: nothing, if err is nil.
func itemProblems(err error) []FieldProblem {
	problems := fieldProblems(err)
	if err == nil || len(problems) > 0 {
		return problems[:min(len(problems), maxItemProblems)]
	}
	field := "event"
	switch {
	case errors.Is(err, budget.ErrConflict):
		field = "id"
	case errors.Is(err, budget.ErrPruned):
		field = "time"
	}
	return append(problems, FieldProblem{field, err.Error()})
}

// correctEvent takes back a part of an event, or all of it, once however often it is sent.
func correctEvent(c *call) (any, error) {
	var correction usage.Correction
	err := correction.UnmarshalJSON(c.body)
	if correction.ID == "" {
		correction.ID = c.once.id()
	}
	if err == nil {
		err = errors.Join(c.ownTenant(&correction.Tenant), correction.Validate())
	}
	if err == nil {
		err = c.usageClaim()
	}
	if err != nil {
		return nil, err
	}
	result, err := c.ledger.Correct(c.Context(), correction)
	if errors.Is(err, budget.ErrNotFound) {
		return nil, notFound("Event not found")
	}
	return newEventResult(result), err
}
