package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/purser-go/purser/internal/invalid"
)

// A Tenant is an organization in the directory, which gives its id a name. Usage counts whether or not its tenant is there.
type Tenant struct {
	ID        string    // as in usage.Subject
	Name      string    // up to 100 characters; "": it goes by its id
	Slug      string    // a short name for addresses, up to 100 characters; need not be unique; "": none
	Licenses  []License // in the order in which they were made
	CreatedAt time.Time // by the ledger's clock
	UpdatedAt time.Time // of the name and the slug; CreatedAt until their first change
}

// MarshalJSON writes t with its title as name; a slug that it has not is null.
func (t Tenant) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		Slug      *string   `json:"slug"`
		Licenses  []License `json:"licenses"`
		CreatedAt time.Time `json:"created_at"`
		UpdatedAt time.Time `json:"updated_at"`
	}{t.ID, t.Title(), optionalString(t.Slug), append([]License{}, t.Licenses...), t.CreatedAt, t.UpdatedAt})
}

// Title returns t's name, its id if it has none.
func (t *Tenant) Title() string {
	if t.Name == "" {
		return t.ID
	}
	return t.Name
}

// Validate reports every field of t that is not as its comment says, joined; each is a [*FieldError].
func (t Tenant) Validate() error {
	return errors.Join(
		invalid.Name("id", t.ID),
		invalid.Line("name", t.Name, 0, maxName),
		invalid.Line("slug", t.Slug, 0, maxName),
	)
}

// License returns the license that counts: of those that are not inactive, the one made last. It is nil if there is none.
func (t *Tenant) License() *License {
	for i := range slices.Backward(t.Licenses) {
		if !t.Licenses[i].Inactive {
			return &t.Licenses[i]
		}
	}
	return nil
}

// PutTenant enters a tenant, or changes its name and its slug. Its licenses stay as they are, whatever t has; the names
// of their budgets follow its name. It returns the tenant as stored. What changes nothing is no change, and not audited.
//
// Errors: ErrInvalid with the fields.
func (l *Ledger) PutTenant(ctx context.Context, t Tenant) (Tenant, error) {
	if err := t.Validate(); err != nil {
		return Tenant{}, fmt.Errorf("put tenant: %w", err)
	}
	now := l.now()
	var stored Tenant
	err := l.update(ctx, fmt.Sprintf("put tenant %q", t.ID), func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		old, err := tenant(ctx, tx, t.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if stored = old; err == nil && old.Name == t.Name && old.Slug == t.Slug {
			return readUsed(ctx, tx, &stored)
		}
		if err != nil {
			stored = Tenant{ID: t.ID, CreatedAt: now}
		}
		stored.Name, stored.Slug, stored.UpdatedAt = t.Name, t.Slug, now
		if err := l.putTenant(ctx, ch, &stored, nil, l.auditTenant(old, stored)); err != nil {
			return err
		}
		return readUsed(ctx, tx, &stored)
	})
	if err != nil {
		return Tenant{}, err
	}
	return stored, nil
}

// Tenant returns the tenant with this id, and what its licenses have used. The error is ErrNotFound if it is not in the
// directory, ErrInvalid if none can have this id.
func (l *Ledger) Tenant(ctx context.Context, id string) (Tenant, error) {
	var t Tenant
	err := l.view(ctx, fmt.Sprintf("tenant %q", id), func(r ReadTx) (err error) {
		if t, err = tenant(ctx, r, id); err != nil {
			return err
		}
		return readUsed(ctx, r, &t)
	})
	if err != nil {
		return Tenant{}, err
	}
	return t, nil
}

// Tenants yields the directory in ascending order of id, with what the licenses have used. It reads in pages.
func (l *Ledger) Tenants(ctx context.Context) iter.Seq2[Tenant, error] {
	return func(yield func(Tenant, error) bool) {
		q := TenantQuery{Limit: pageSize}
		for {
			var page []Tenant
			err := l.view(ctx, "tenants", func(r ReadTx) (err error) {
				if page, err = r.Tenants(ctx, q); err != nil {
					return err
				}
				return readUsed(ctx, r, pointers(page)...)
			})
			if err != nil {
				yield(Tenant{}, err)
				return
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
			}
			if len(page) < q.Limit {
				return
			}
			q.After = page[len(page)-1].ID
		}
	}
}

func pointers[T any](list []T) []*T {
	found := make([]*T, len(list))
	for i := range list {
		found[i] = &list[i]
	}
	return found
}

func tenant(ctx context.Context, r ReadTx, id string) (Tenant, error) {
	if err := invalid.Name("id", id); err != nil {
		return Tenant{}, err
	}
	found, err := r.Tenants(ctx, TenantQuery{IDs: []string{id}})
	if err != nil {
		return Tenant{}, fmt.Errorf("read the tenant: %w", err)
	}
	if len(found) == 0 {
		return Tenant{}, ErrNotFound
	}
	return found[0], nil
}

// putTenant stores a tenant and brings the budgets of its licenses in line with it. set, if not nil, is what the credits of
// one of them are to have used.
func (l *Ledger) putTenant(ctx context.Context, ch *definitionChange, t *Tenant, set *setting, audit AuditEntry) error {
	for i := range t.Licenses {
		if err := l.follow(ctx, ch, t, &t.Licenses[i], set); err != nil {
			return err
		}
	}
	_, err := ch.tx.Apply(ctx, Writes{PutTenants: []Tenant{*t}, Audit: []AuditEntry{audit}})
	return err
}

func (l *Ledger) auditTenant(before, after Tenant) AuditEntry {
	entry := AuditEntry{
		ID: l.options.NewID(), Time: l.now(), Actor: l.actor, Tenant: after.ID,
		Action: "put_tenant", Kind: "tenant", Target: after.ID,
	}
	fields := func(t Tenant) map[string]json.RawMessage {
		if t.ID == "" {
			return nil
		}
		return fieldsIn(map[string]string{"name": t.Name, "slug": t.Slug})
	}
	entry.Before, entry.After = differing(fields(before), fields(after))
	return entry
}
