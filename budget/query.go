package budget

import (
	"errors"
	"maps"
	"slices"

	"github.com/purser-go/purser/internal/invalid"
)

// The texts of a query are checked like those that are stored, although none that is refused selects anything: a driver
// might change it into one that does.

func (q Query) validate() error {
	var errs []error
	for _, id := range q.IDs {
		errs = append(errs, invalid.Name("ids", id))
	}
	if q.Owner != nil {
		errs = append(errs, invalid.OptionalName("owner", *q.Owner))
	}
	if q.Metric != "" && !q.Metric.Valid() {
		errs = append(errs, invalid.Field("metric", "is %q, which is no metric", string(q.Metric)))
	}
	errs = append(errs, q.Scope.validate())
	for _, d := range q.Without {
		errs = append(errs, invalid.Name("without", string(d)))
	}
	errs = append(errs, validateTexts("labels", q.Labels))
	if q.After != nil {
		errs = append(errs, invalid.Name("after", q.After.ID))
	}
	if q.Offset < 0 {
		errs = append(errs, invalid.Field("offset", "must not be negative"))
	}
	return errors.Join(errs...)
}

func (q AlertQuery) validate() error {
	var errs []error
	for _, id := range q.Budgets {
		errs = append(errs, invalid.Name("budgets", id))
	}
	for _, id := range q.IDs {
		errs = append(errs, invalid.Name("ids", id))
	}
	if q.Owner != nil {
		errs = append(errs, invalid.OptionalName("owner", *q.Owner))
	}
	if q.Tenant != nil {
		errs = append(errs, invalid.OptionalName("tenant", *q.Tenant))
	}
	return errors.Join(append(errs, invalid.OptionalName("sink", q.Sink), q.After.validate())...)
}

func (q AdjustmentQuery) validate() error {
	var errs []error
	for _, id := range q.Budgets {
		errs = append(errs, invalid.Name("budgets", id))
	}
	for _, id := range q.IDs {
		errs = append(errs, invalid.Name("ids", id))
	}
	return errors.Join(errs...)
}

func (q DeliveryQuery) validate() error {
	errs := []error{invalid.OptionalName("sink", q.Sink)}
	for _, id := range q.Alerts {
		errs = append(errs, invalid.Name("alerts", id))
	}
	return errors.Join(errs...)
}

func (q AuditQuery) validate() error {
	var tenant error
	if q.Tenant != nil {
		tenant = invalid.OptionalName("tenant", *q.Tenant)
	}
	return errors.Join(
		tenant,
		invalid.OptionalName("actor", q.Actor),
		invalid.OptionalName("action", q.Action),
		invalid.OptionalName("target", q.Target),
		q.After.validate(),
	)
}

func (q TenantQuery) validate() error {
	errs := []error{invalid.OptionalName("after", q.After)}
	for _, id := range q.IDs {
		errs = append(errs, invalid.Name("ids", id))
	}
	return errors.Join(errs...)
}

func (q ReservationQuery) validate() error {
	errs := []error{invalid.OptionalName("budget", q.Budget)}
	for _, key := range q.Keys {
		errs = append(errs, validateKey(key))
	}
	if q.Tenant != nil {
		errs = append(errs, invalid.OptionalName("tenant", *q.Tenant))
	}
	if q.After != nil {
		errs = append(errs, invalid.Name("after", q.After.ID), invalid.OptionalName("after.tenant", q.After.Tenant))
	}
	return errors.Join(errs...)
}

func (c *TimeCursor) validate() error {
	if c == nil {
		return nil
	}
	return invalid.Name("after", c.ID)
}

// validateTexts checks names and what they stand for.
func validateTexts[K ~string](field string, texts map[K]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		errs = append(errs, invalid.Name(field, string(name)), invalid.Name(field+"."+string(name), texts[name]))
	}
	return errors.Join(errs...)
}
