package api

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
)

func (a *API) licenseRoutes() []Route {
	return []Route{
		{Method: http.MethodPost, Path: "/api/v1/licenses", handle: postLicense},
		{Method: http.MethodGet, Path: "/api/v1/licenses/{id}", handle: getLicense},
		{Method: http.MethodPut, Path: "/api/v1/licenses/{id}", handle: putLicense},
	}
}

// licenseSettings are the members of a license that can be said when it is made, and changed.
var licenseSettings = []string{
	"active", "credits_total", "cost_per_credit", "token_budget_usd", "budget_warning_percent", "starts_at", "ends_at",
}

// postLicense makes a license of the tenant that the body names, which is by default the caller's own. Of the values any may
// be left out. It answers the license.
func postLicense(c *call) (any, error) {
	change, err := readLicense(c, nil, append([]string{"tenant"}, licenseSettings...))
	if err != nil {
		return nil, err
	}
	x := budget.License{Tenant: c.caller.Tenant}
	if err := change.apply(&x); err != nil {
		return nil, err
	}
	if err := invalid.Name("tenant", x.Tenant); err != nil {
		return nil, err
	}
	if err := c.knows(x.Tenant); err != nil {
		return nil, err
	}
	if err := c.needs(access.Admin); err != nil {
		return nil, err
	}
	x.ID = c.once.id()
	again, err := c.claim()
	if err != nil {
		return nil, err
	}
	if again { // also when it could not be made any more as it was then
		if made, err := c.ledger.License(c.Context(), x.ID); !errors.Is(err, budget.ErrNotFound) {
			return made, err
		}
	}
	made, err := c.ledger.CreateLicense(c.Context(), x)
	if c.once != (once{}) && errors.Is(err, budget.ErrConflict) {
		if made, err = c.ledger.License(c.Context(), x.ID); err == nil {
			err = c.madeJustNow(made.CreatedAt)
		}
	}
	return made, err
}

// getLicense answers a license, with the credits that it has used.
func getLicense(c *call) (any, error) {
	id := c.PathValue("id")
	if err := invalid.Name("id", id); err != nil {
		return nil, err
	}
	if err := c.needs(access.Admin); err != nil {
		return nil, err
	}
	x, err := c.ledger.License(c.Context(), id)
	if err != nil {
		return nil, missing(err, errNoLicense)
	}
	if c.knows(x.Tenant) != nil {
		return nil, errNoLicense
	}
	return x, nil
}

// putLicense changes what the body has of a license, and answers it. What a license has that can't be changed, and what is
// computed, may stand in the body as it was read.
func putLicense(c *call) (any, error) {
	id := c.PathValue("id")
	computed := []string{"credits_used", "created_at", "updated_at"}
	change, err := readLicense(c, computed, append([]string{"id", "tenant"}, licenseSettings...))
	if err := errors.Join(invalid.Name("id", id), err); err != nil {
		return nil, err
	}
	if err := c.needs(access.Admin); err != nil {
		return nil, err
	}
	return c.updateLicense(id, "update_license", change, func() error { return nil })
}

// A licenseChange is what a body says of a license: its members.
type licenseChange map[string]json.RawMessage

// readLicense reads a body that may have the members that are allowed, and beside them some that are ignored. It checks
// everything but what depends on the license.
func readLicense(c *call, ignored, allowed []string) (licenseChange, error) {
	change := make(licenseChange)
	probe := budget.License{Tenant: "any"}
	err := c.object(func(name string, value json.RawMessage) error {
		if slices.Contains(ignored, name) {
			return nil
		}
		if !slices.Contains(allowed, name) {
			return jsonread.UnknownMember(name)
		}
		change[name] = value
		return licenseMembers[name](&probe, name, value)
	})
	return change, errors.Join(err, probe.Validate())
}

// fields returns the names of what is changed, in ascending order.
func (l licenseChange) fields() []string { return slices.Sorted(maps.Keys(l)) }

// apply changes x.
func (l licenseChange) apply(x *budget.License) error {
	var errs []error
	for _, name := range l.fields() {
		errs = append(errs, licenseMembers[name](x, name, l[name]))
	}
	return errors.Join(errs...)
}

// licenseMembers read the members of a license.
var licenseMembers = map[string]func(x *budget.License, name string, value json.RawMessage) error{
	"id": func(x *budget.License, name string, value json.RawMessage) error {
		return jsonread.Text(name, value, &x.ID)
	},
	"tenant": func(x *budget.License, name string, value json.RawMessage) error {
		named := x.Tenant
		if err := jsonread.Text(name, value, &named); err != nil || named == "" {
			return err // none is as if it were not there
		}
		x.Tenant = named
		return nil
	},
	"active": func(x *budget.License, name string, value json.RawMessage) error {
		return readNot(name, value, &x.Inactive)
	},
	"credits_total":          readAmount(func(x *budget.License) **decimal.Decimal { return &x.CreditsTotal }),
	"cost_per_credit":        readAmount(func(x *budget.License) **decimal.Decimal { return &x.CostPerCredit }),
	"token_budget_usd":       readAmount(func(x *budget.License) **decimal.Decimal { return &x.MoneyBudget }),
	"budget_warning_percent": readAmount(func(x *budget.License) **decimal.Decimal { return &x.WarningPercent }),
	"starts_at": func(x *budget.License, name string, value json.RawMessage) error {
		if jsonread.IsNull(value) {
			return errNull(name)
		}
		return readInstant(name, value, &x.StartsAt)
	},
	"ends_at": func(x *budget.License, name string, value json.RawMessage) error {
		x.EndsAt = time.Time{}
		return readInstant(name, value, &x.EndsAt)
	},
	"credits_used": func(x *budget.License, name string, value json.RawMessage) error {
		x.CreditsUsed = decimal.Zero
		return readDecimal(name, value, &x.CreditsUsed)
	},
}

func readAmount(of func(*budget.License) **decimal.Decimal) func(*budget.License, string, json.RawMessage) error {
	return func(x *budget.License, name string, value json.RawMessage) (err error) {
		*of(x), err = readOptional(name, value)
		return err
	}
}

// readOptional reads a number, nil for null.
func readOptional(name string, value json.RawMessage) (*decimal.Decimal, error) {
	if jsonread.IsNull(value) {
		return nil, nil //nolint:nilnil // null is a value here
	}
	var d decimal.Decimal
	if err := readDecimal(name, value, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// updateLicense changes a license, unless allowed has something against it. The audit has one entry of it, also where the
// license is as the change wants it.
func (c *call) updateLicense(id, action string, change licenseChange, allowed func() error) (budget.License, error) {
	var entry budget.AuditEntry
	audited := false
	ledger := c.ledger.Annotated(func(e *budget.AuditEntry) {
		if e.Kind == "license" {
			e.Action, e.Details, audited = entry.Action, entry.Details, true
		}
	})
	x, err := ledger.UpdateLicense(c.Context(), id, func(x *budget.License) error {
		if c.knows(x.Tenant) != nil {
			return errNoLicense
		}
		if err := allowed(); err != nil {
			return err
		}
		before := *x
		if err := change.apply(x); err != nil {
			return err
		}
		fields := append([]string{}, change.fields()...)
		audited = false
		entry = budget.AuditEntry{
			Action: action, Kind: "license", Target: id, Tenant: before.Tenant,
			Details: mustMarshal(map[string]any{
				"updated_fields": fields,
				"before_values":  told(before, false, fields...),
				"after_values":   told(*x, false, fields...),
			}),
		}
		return nil
	})
	if err == nil && !audited {
		err = c.ledger.Note(c.Context(), entry)
	}
	return x, missing(err, errNoLicense)
}
