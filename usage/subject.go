package usage

import (
	"errors"
	"slices"

	"github.com/purser-go/purser/internal/invalid"
)

// A Dimension is one of the things by which usage is told apart: tenant, user, API key, resource, or the name of a label.
type Dimension string

// The dimensions that every [Subject] has. Any other Dimension is the name of a label.
const (
	Tenant   Dimension = "tenant"
	User     Dimension = "user"
	APIKey   Dimension = "api_key"
	Resource Dimension = "resource" // a model or an endpoint
)

// IsLabel reports whether d is the name of a label, and none of the four dimensions that every subject has.
func (d Dimension) IsLabel() bool {
	return d != Tenant && d != User && d != APIKey && d != Resource
}

const maxLabels = 16

// A Subject is who used what. Every part of it may be empty, and all of them are opaque text: "7" and "007" are two users.
type Subject struct {
	Tenant   string            `json:"tenant,omitempty"`
	User     string            `json:"user,omitempty"`
	APIKey   string            `json:"api_key,omitempty"`
	Resource string            `json:"resource,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"` // an empty value is as if the label were absent
}

// Value returns the subject's value of d, "" if it has none.
func (s Subject) Value(d Dimension) string {
	switch d {
	case Tenant:
		return s.Tenant
	case User:
		return s.User
	case APIKey:
		return s.APIKey
	case Resource:
		return s.Resource
	default:
		return s.Labels[string(d)]
	}
}

// Validate refuses values of more than 128 bytes, control characters and what is not UTF-8, more than 16 labels, and labels
// that are named like one of the four dimensions. All findings are [*FieldError].
func (s Subject) Validate() error {
	return errors.Join(
		invalid.OptionalName("tenant", s.Tenant),
		invalid.OptionalName("user", s.User),
		invalid.OptionalName("api_key", s.APIKey),
		invalid.OptionalName("resource", s.Resource),
		validateLabels(s.Labels),
	)
}

func validateLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return invalid.Field("labels", "has %d labels, at most %d are allowed", len(labels), maxLabels)
	}
	var refused []string
	for name, value := range labels {
		if validateLabel(name, value) != nil {
			refused = append(refused, name)
		}
	}
	slices.Sort(refused)
	var errs []error
	for _, name := range refused {
		errs = append(errs, validateLabel(name, labels[name]))
	}
	return errors.Join(errs...)
}

func validateLabel(name, value string) error {
	if !Dimension(name).IsLabel() {
		return invalid.Field("labels", "the name %q is reserved, set the field %s instead", name, name)
	}
	if err := invalid.Name("labels", name); err != nil {
		return invalid.Field("labels", "a name %s", invalid.Fields(err)[0].Message)
	}
	if invalid.OptionalName("", value) == nil {
		return nil // before the field's name is put together: this runs for every event
	}
	return invalid.OptionalName("labels."+name, value)
}
