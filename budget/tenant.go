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

// PutTenant enters a tenant, or changes its name and its slug, as [Ledger.UpdateTenant] does.
//
// Errors: ErrInvalid with the fields.
func (l *Ledger) PutTenant(ctx context.Context, t Tenant) (Tenant, error) {
	if err := t.Validate(); err != nil {
		return Tenant{}, fmt.Errorf("put tenant: %w", err)
	}
	return l.UpdateTenant(ctx, t.ID, func(stored *Tenant) error {
		stored.Name, stored.Slug = t.Name, t.Slug
		return nil
	})
}

// UpdateTenant changes a tenant: fn gets it as it is stored, or one with the id alone that is entered thereby, and changes
// its name and its slug; what else it changes is left aside. fn may run several times. If fn returns an error, nothing is
// changed, and UpdateTenant returns it. The names of the budgets of its licenses follow its name. It returns the tenant as
// stored. A change that changes nothing is none, and not audited.
//
// Errors: ErrInvalid with the fields.
func (l *Ledger) UpdateTenant(ctx context.Context, id string, fn func(*Tenant) error) (Tenant, error) {
	now := l.now()
	var stored Tenant
	err := l.update(ctx, fmt.Sprintf("put tenant %q", id), func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		old, err := tenant(ctx, tx, id)
		entered := errors.Is(err, ErrNotFound)
		if err != nil && !entered {
			return err
		}
		wanted := old
		wanted.ID = id
		if err := fn(&wanted); err != nil {
			return err
		}
		wanted.ID = id
		if err := wanted.Validate(); err != nil {
			return err
		}
		stored = old
		if entered {
			stored = Tenant{ID: id, CreatedAt: now}
		} else if old.Name == wanted.Name && old.Slug == wanted.Slug {
			return readUsed(ctx, tx, &stored)
		}
		stored.Name, stored.Slug, stored.UpdatedAt = wanted.Name, wanted.Slug, now
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

// Tenants yields the tenants of the directory that the query selects, in ascending order of id, with what the licenses
// have used. It reads in pages. The error is ErrInvalid with the fields where the query names what no tenant can have.
func (l *Ledger) Tenants(ctx context.Context, q TenantQuery) iter.Seq2[Tenant, error] {
	return func(yield func(Tenant, error) bool) {
		if err := q.validate(); err != nil {
			yield(Tenant{}, fmt.Errorf("tenants: %w", err))
			return
		}
		next, left := q, q.Limit
		for {
			if next.Limit = pageSize; q.Limit > 0 {
				next.Limit = min(pageSize, left)
			}
			var page []Tenant
			err := l.view(ctx, "tenants", func(r ReadTx) (err error) {
				if page, err = r.Tenants(ctx, next); err != nil {
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
			if left -= len(page); len(page) < next.Limit || q.Limit > 0 && left == 0 {
				return
			}
			next.After = page[len(page)-1].ID
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
