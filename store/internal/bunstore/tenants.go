package bunstore

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
)

// tenantRow is a row of purser_tenants.
type tenantRow struct {
	bun.BaseModel `bun:"alias:t"`

	ID        string `bun:"id"`
	Name      string `bun:"name"`
	Slug      string `bun:"slug"`
	Licenses  string `bun:"licenses"`
	CreatedAt int64  `bun:"created_at"`
	UpdatedAt int64  `bun:"updated_at"`
}

// licenseJSON is a license as its tenant's row has it.
type licenseJSON struct {
	ID             string  `json:"id"`
	Inactive       bool    `json:"inactive"`
	CreditsTotal   *string `json:"credits_total"`
	CostPerCredit  *string `json:"cost_per_credit"`
	MoneyBudget    *string `json:"money_budget"`
	WarningPercent *string `json:"warning_percent"`
	StartsAt       int64   `json:"starts_at"`
	EndsAt         int64   `json:"ends_at"`
	CreatedAt      int64   `json:"created_at"`
	UpdatedAt      int64   `json:"updated_at"`
}

func newTenantRow(t *budget.Tenant) tenantRow {
	licenses := make([]licenseJSON, len(t.Licenses))
	for i, x := range t.Licenses {
		licenses[i] = licenseJSON{
			ID: x.ID, Inactive: x.Inactive,
			CreditsTotal: optionalText(x.CreditsTotal), CostPerCredit: optionalText(x.CostPerCredit),
			MoneyBudget: optionalText(x.MoneyBudget), WarningPercent: optionalText(x.WarningPercent),
			StartsAt: micros(x.StartsAt), EndsAt: micros(x.EndsAt),
			CreatedAt: micros(x.CreatedAt), UpdatedAt: micros(x.UpdatedAt),
		}
	}
	return tenantRow{
		ID: t.ID, Name: t.Name, Slug: t.Slug, Licenses: encode(licenses),
		CreatedAt: micros(t.CreatedAt), UpdatedAt: micros(t.UpdatedAt),
	}
}

func (r *tenantRow) tenant() (budget.Tenant, error) {
	var p parser
	var licenses []licenseJSON
	p.json("licenses", r.Licenses, &licenses)
	t := budget.Tenant{ID: r.ID, Name: r.Name, Slug: r.Slug, CreatedAt: instant(r.CreatedAt), UpdatedAt: instant(r.UpdatedAt)}
	for _, x := range licenses {
		t.Licenses = append(t.Licenses, budget.License{
			ID: x.ID, Tenant: r.ID, Inactive: x.Inactive,
			CreditsTotal: p.optional("licenses", x.CreditsTotal), CostPerCredit: p.optional("licenses", x.CostPerCredit),
			MoneyBudget: p.optional("licenses", x.MoneyBudget), WarningPercent: p.optional("licenses", x.WarningPercent),
			StartsAt: instant(x.StartsAt), EndsAt: instant(x.EndsAt),
			CreatedAt: instant(x.CreatedAt), UpdatedAt: instant(x.UpdatedAt),
		})
	}
	return t, p.err
}

func (r *reader) Tenants(ctx context.Context, query budget.TenantQuery) ([]budget.Tenant, error) {
	var rows []tenantRow
	b := r.bind()
	q := b.from("purser_tenants", &rows).OrderExpr("id").Limit(int64(query.Limit))
	b.among(q, "id", query.IDs)
	if query.After != "" {
		q.Where("id > ?", b.arg(query.After))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found := make([]budget.Tenant, len(rows))
	for i := range rows {
		var err error
		if found[i], err = rows[i].tenant(); err != nil {
			return nil, r.step(ctx, fmt.Errorf("tenant %q: %w", rows[i].ID, err))
		}
	}
	return found, nil
}

func (t *tx) putTenants(ctx context.Context, put []budget.Tenant) error {
	rows := make([]tenantRow, len(put))
	ids := make([]string, len(put))
	for i := range put {
		rows[i], ids[i] = newTenantRow(&put[i]), put[i].ID
	}
	return firstError(
		func() error { return t.remove(ctx, "purser_tenants", "id", ids) },
		func() error { return insert(ctx, t, "purser_tenants", rows, "") },
	)
}
