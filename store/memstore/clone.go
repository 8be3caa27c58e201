package memstore

import (
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
)

func cloneDefinition(d budget.Definition) budget.Definition {
	d.Scope = maps.Clone(d.Scope)
	d.Except = maps.Clone(d.Except)
	for dimension, values := range d.Except {
		d.Except[dimension] = slices.Clone(values)
	}
	d.AllowedResources = slices.Clone(d.AllowedResources)
	d.Description = clonePointer(d.Description)
	d.Thresholds.Warning = clonePointer(d.Thresholds.Warning)
	d.Thresholds.Critical = clonePointer(d.Thresholds.Critical)
	d.Thresholds.Extra = slices.Clone(d.Thresholds.Extra)
	d.Labels = maps.Clone(d.Labels)
	d.Metadata = slices.Clone(d.Metadata)
	d.Rates = slices.Clone(d.Rates)
	return d
}

func cloneEvent(e *budget.StoredEvent) budget.StoredEvent {
	c := *e
	c.Labels = maps.Clone(e.Labels)
	return c
}

// cloneTenant leaves out what the licenses have used, which is not kept.
func cloneTenant(t *budget.Tenant) budget.Tenant {
	c := *t
	c.Licenses = slices.Clone(t.Licenses)
	for i := range c.Licenses {
		x := &c.Licenses[i]
		x.CreditsTotal = clonePointer(x.CreditsTotal)
		x.CostPerCredit = clonePointer(x.CostPerCredit)
		x.MoneyBudget = clonePointer(x.MoneyBudget)
		x.WarningPercent = clonePointer(x.WarningPercent)
		x.CreditsUsed = decimal.Zero
	}
	return c
}

func cloneReservation(r *budget.StoredReservation) budget.StoredReservation {
	c := *r
	c.Labels = maps.Clone(r.Labels)
	c.Holds = slices.Clone(r.Holds)
	return c
}

func cloneAlert(a *alert.Alert) alert.Alert {
	c := *a
	c.Labels, c.Scope = maps.Clone(a.Labels), maps.Clone(a.Scope)
	return c
}

func cloneDelivery(d *alert.Delivery) alert.Delivery {
	c := *d
	c.Alert = cloneAlert(&d.Alert)
	return c
}

func cloneAudit(e *budget.AuditEntry) budget.AuditEntry {
	c := *e
	c.Before, c.After, c.Details = slices.Clone(e.Before), slices.Clone(e.After), slices.Clone(e.Details)
	return c
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
