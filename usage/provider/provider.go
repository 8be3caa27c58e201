package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

// ErrNoUsage says that a response does not report its usage: it is unknown, not zero.
var ErrNoUsage = errors.New("no usage is reported")

// An API is an interface of a provider, as genai-prices names it: "openai" and "chat", say.
type API struct {
	Provider string
	Name     string // "default" is the provider's own
}

// String returns both, with a slash between them.
func (a API) String() string { return a.Provider + "/" + a.Name }

// Validate refuses a Name that is no interface's, and "default" of a provider whose own interface is not known. The finding
// is a [*usage.FieldError].
func (a API) Validate() error {
	_, err := formatOf(a)
	return err
}

// Measured is what a provider measured.
type Measured struct {
	Classes price.Classes
	Total   *int64 // as the provider counts it; nil: it does not say
	Tier    string // the service tier; "": not said
}

// Amounts returns m as an event has it, without its cost, as one request. A total that the provider reports is kept.
func (m Measured) Amounts() usage.Amounts {
	a := m.Classes.Amounts()
	a.TotalTokens = m.Total
	return a
}

// Usage is what a response reports.
type Usage struct {
	API   API
	Model string // "": not said
	Measured
}

// Query asks for the price of u at an instant, as one request.
func (u Usage) Query(at time.Time) price.Query {
	return price.Query{
		Provider: u.API.Provider, Model: u.Model, Tier: u.Tier, At: at, Classes: u.Classes, Requests: 1,
	}
}

// Priced returns u as an event has it, with what it costs by a list at an instant: by its classes and its service tier, which
// an event does not have. Errors: those of [price.List.Quote].
func (u Usage) Priced(l *price.List, at time.Time) (usage.Amounts, error) {
	quote, err := l.Quote(u.Query(at))
	if err != nil {
		return usage.Amounts{}, err
	}
	amounts := u.Amounts()
	amounts.Cost = new(quote.Total())
	return amounts, nil
}

// A body is what is read of a response. Members of the same meaning in other interfaces stand beside each other.
type body struct {
	Model         json.RawMessage `json:"model"`
	ModelVersion  json.RawMessage `json:"modelVersion"`
	Usage         json.RawMessage `json:"usage"`
	UsageMetadata json.RawMessage `json:"usageMetadata"`
	Tier          json.RawMessage `json:"service_tier"`
	Response      json.RawMessage `json:"response"` // of an event of the responses interface
	Message       json.RawMessage `json:"message"`  // of an event of the messages interface
	Metadata      json.RawMessage `json:"metadata"` // of an event of the converse interface
}

// Read returns what a response reports. The body is that of the response as JSON, of which only the model, the service tier
// and the usage are looked at. What is empty in the API is told by the body's shape; what is given is obeyed.
//
// Errors: ErrNoUsage, ErrInvalid with the fields.
func Read(data []byte, api API) (Usage, error) {
	b, err := parse(data)
	if err != nil {
		return Usage{}, err
	}
	return b.read(api)
}

func parse(data []byte) (*body, error) {
	var b *body
	if err := json.Unmarshal(data, &b); err != nil || b == nil {
		return nil, invalid.Field("body", "must be a JSON object")
	}
	return b, nil
}

func (b *body) read(api API) (Usage, error) {
	name, data := b.usage()
	if given(data) == nil {
		return Usage{}, ErrNoUsage
	}
	var errs []error
	o := newObject(name, data, &errs)
	u := Usage{Model: text("model", b.model(), &errs)}
	if len(errs) > 0 {
		return Usage{}, errors.Join(errs...)
	}
	format, err := formatOf(api)
	if err == nil && format == nil {
		format, err = shapeOf(o, api.Provider, u.Model)
	}
	if err != nil {
		return Usage{}, err
	}
	u.API = API{Provider: canonical(api.Provider)}
	if u.API.Provider == "" {
		u.API.Provider = format.provider(o, u.Model)
	}
	u.API.Name = format.nameAt(u.API.Provider)
	u.Measured = format.measure(o, u.API.Provider)
	if u.Tier == "" {
		u.Tier = strings.ToLower(text("service_tier", given(b.Tier), &errs))
	}
	if len(errs) == 0 {
		errs = append(errs, u.untold(name))
	}
	errs = append(errs, u.Classes.Validate())
	if err := errors.Join(errs...); err != nil {
		return Usage{}, fmt.Errorf("usage of %s: %w", u.API, err)
	}
	return u, nil
}

// untold refuses a total that says of no class: it would cost nothing.
func (m Measured) untold(field string) error {
	if m.Total != nil && *m.Total > 0 && m.Classes == (price.Classes{}) {
		return invalid.Field(field, "has a total of %d tokens, but does not say of which class", *m.Total)
	}
	return nil
}

// given returns data unless it is absent or null.
func given(data json.RawMessage) json.RawMessage {
	if string(data) == "null" {
		return nil
	}
	return data
}

// parts returns b and what lies in it, where it is the event of a stream. Elsewhere other things lie there.
func (b *body) parts() []*body {
	parts := []*body{b}
	for _, data := range []json.RawMessage{b.Response, b.Message, b.Metadata} {
		var inner *body
		if given(data) != nil && json.Unmarshal(data, &inner) == nil {
			parts = append(parts, inner)
		}
	}
	return parts
}

// usage returns the usage object and its name.
func (b *body) usage() (name string, data json.RawMessage) {
	for _, part := range b.parts() {
		if given(part.UsageMetadata) != nil {
			return "usageMetadata", part.UsageMetadata
		}
		if given(part.Usage) != nil {
			return "usage", part.Usage
		}
	}
	return "usage", nil
}

func (b *body) model() json.RawMessage {
	for _, part := range b.parts() {
		for _, model := range []json.RawMessage{part.Model, part.ModelVersion} {
			if given(model) != nil {
				return model
			}
		}
	}
	return nil
}
