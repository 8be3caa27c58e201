package price

import (
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A Query is usage whose price is asked for.
type Query struct {
	Provider string // "": see the package comment
	Model    string
	Tier     string // the service tier; "", and one without prices of its own, is the ordinary one
	At       time.Time
	Classes  Classes
	Requests int64
}

// Validate refuses tokens that [Classes.Validate] refuses, and fewer than 0 or more than 10^12 requests.
func (q Query) Validate() error {
	err := q.Classes.Validate()
	if q.Requests < 0 || q.Requests > maxTokens {
		err = errors.Join(err, invalid.Field("requests", "must be from 0 to %d", int64(maxTokens)))
	}
	return err
}

// A Quote is what usage costs in US dollars, exactly: nothing is rounded.
type Quote struct {
	Input    decimal.Decimal // the prompt, cached tokens included
	Output   decimal.Decimal // the answer
	Requests decimal.Decimal // what is charged per request
	By       string          // the price that holds: its list, provider and model, its tier, since when it is in force
}

// Total returns the sum.
func (q Quote) Total() decimal.Decimal {
	total := q.Input.Add(q.Output)
	if q.Requests.IsZero() {
		return total
	}
	return total.Add(q.Requests)
}

// Quote returns what usage costs. Errors: ErrNoPrice, ErrInvalid with the fields.
func (l *List) Quote(q Query) (Quote, error) {
	if err := q.Validate(); err != nil {
		return Quote{}, err
	}
	t, err := l.tariff(&q)
	if err != nil {
		return Quote{}, err
	}
	input, err := t.dollars(&q.Classes, 0, Output)
	if err != nil {
		return Quote{}, err
	}
	output, err := t.dollars(&q.Classes, Output, Class(classes))
	if err != nil {
		return Quote{}, err
	}
	return Quote{Input: input, Output: output, Requests: t.requests(q.Requests), By: t.by}, nil
}

func (t *tariff) requests(n int64) decimal.Decimal {
	if t.Request.IsZero() {
		return decimal.Decimal{}
	}
	return t.Request.Mul(decimal.NewFromInt(n))
}

// tariff returns the price that holds for a query.
func (l *List) tariff(q *Query) (*tariff, error) {
	wanted, known := name{q.Provider, q.Model}, false
	found, err := l.find(wanted, 0)
	for err == nil {
		if t := found.model.tariff(q.Tier, q.At); t != nil {
			return t, nil
		}
		known = true // at another time
		found, err = l.find(wanted, found.layer+1)
	}
	if l.fallback != nil {
		return l.fallback, nil
	}
	if known {
		err = fmt.Errorf("%w of model %q at %s", ErrNoPrice, q.Model, q.At.UTC().Format(time.RFC3339))
	}
	return nil, err
}

// tariff returns the price in force at t: the last one of the tier, or of none.
func (m *model) tariff(tier string, at time.Time) *tariff {
	var ordinary *tariff
	for i := len(m.tariffs) - 1; i >= 0; i-- {
		t := &m.tariffs[i]
		if at.Before(t.From) || !t.Hours.contain(at) {
			continue
		}
		if t.Tier == tier {
			return t
		}
		if t.Tier == "" && ordinary == nil {
			ordinary = t
		}
	}
	return ordinary
}

// The labels of an event by which [List.Price] knows more of it than its resource says.
const (
	ProviderLabel = "provider"
	TierLabel     = "service_tier"
)

// Price returns what an event costs: its resource is the model, its labels may say the provider and the service tier. It
// makes a List a Pricer of package budget. An event that used nothing, not even a request, costs nothing. Errors:
// ErrNoPrice, also of an event that says how many tokens there were, but of no class.
func (l *List) Price(e usage.Event) (cost decimal.Decimal, by string, err error) {
	q := Query{
		Provider: e.Labels[ProviderLabel], Model: e.Resource, Tier: e.Labels[TierLabel], At: e.Time,
		Classes: ClassesOf(e.Amounts), Requests: 1,
	}
	if e.Requests != nil {
		q.Requests = *e.Requests
	}
	if q.Classes == (Classes{}) {
		switch {
		case e.TotalTokens != nil && *e.TotalTokens > 0:
			return decimal.Decimal{}, "", fmt.Errorf("%w of tokens of no class: total_tokens alone does not say of which", ErrNoPrice)
		case q.Requests == 0:
			return decimal.Decimal{}, "", nil
		}
	}
	if err := q.Validate(); err != nil {
		return decimal.Decimal{}, "", err
	}
	t, err := l.tariff(&q)
	if err != nil {
		return decimal.Decimal{}, "", err
	}
	// The total at once: this is on the way of every event, and each decimal is two allocations.
	cost, err = t.dollars(&q.Classes, 0, Class(classes))
	if err != nil || t.Request.IsZero() {
		return cost, t.by, err
	}
	return cost.Add(t.requests(q.Requests)), t.by, nil
}
