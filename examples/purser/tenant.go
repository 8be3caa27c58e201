package main

import (
	"context"
	"io"
	"iter"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func (p *program) tenants() *cobra.Command {
	c := p.group("tenant", "Name tenants, and show them", `
  purser tenant put acme --name "Acme Inc." --slug acme
  purser tenant list`)
	c.AddCommand(p.putTenant(), p.showTenant(), p.listTenants())
	return c
}

func (p *program) putTenant() *cobra.Command {
	var name, slug string
	c := &cobra.Command{
		Use:   "put ID",
		Short: "Enter a tenant, or change what the flags name",
		Long:  "Enter a tenant, or change what the flags name. The id is what usage carries; it counts whether or not it is entered.",
		Args:  arguments(1, 1, "the id of a tenant"),
	}
	flags := c.Flags()
	flags.StringVar(&name, "name", "", "up to 100 characters (default the id)")
	flags.StringVar(&slug, "slug", "", "short `name` for addresses")
	c.RunE = p.makes(func(ctx context.Context, l *budget.Ledger, args []string) error {
		t, err := l.UpdateTenant(ctx, args[0], func(t *budget.Tenant) error {
			if flags.Changed("name") {
				t.Name = name
			}
			if flags.Changed("slug") {
				t.Slug = slug
			}
			return nil
		})
		if err != nil {
			return err
		}
		return p.showOneTenant(t)
	})
	return c
}

func (p *program) showTenant() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a tenant and its licenses",
		Args:  arguments(1, 1, "the id of a tenant"),
		RunE: p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
			t, err := l.Tenant(ctx, args[0])
			if err != nil {
				return err
			}
			return p.showOneTenant(t)
		}),
	}
}

func (p *program) showOneTenant(t budget.Tenant) error {
	return p.show(t, func(w io.Writer) {
		printField(w, "id", t.ID)
		printField(w, "name", t.Name)
		printField(w, "slug", t.Slug)
		if len(t.Licenses) == 0 {
			return
		}
		g := p.licenseGrid()
		for _, x := range t.Licenses {
			p.addLicense(g, &t, x)
		}
		g.print(w)
	})
}

func (p *program) listTenants() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tenants that were entered",
		Args:  arguments(0, 0, ""),
		RunE: p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
			t := newGrid("No tenants were entered.", "id", "name", "slug", ">licenses")
			return showList(p, l.Tenants(ctx, budget.TenantQuery{}), t, func(x budget.Tenant) {
				t.add(x.ID, x.Name, x.Slug, whole(int64(len(x.Licenses))))
			})
		}),
	}
}

func (p *program) licenses() *cobra.Command {
	c := p.group("license", "Give tenants credits and money for a time", `
  purser license create --tenant acme --credits 10000 --cost-per-credit 0.01 --money 500
  purser license update 0198f2d1-… --cost-per-credit 0.012
  purser license update 0198f2d1-… --credits-used 250`)
	c.AddCommand(p.createLicense(), p.updateLicense(), p.showLicense(), p.listLicenses())
	return c
}

// licenseFlags are the flags for what a license says.
type licenseFlags struct {
	flags    *pflag.FlagSet
	license  budget.License
	used     decimal.Decimal
	inactive bool
	active   bool
}

func (f *licenseFlags) register(c *cobra.Command) {
	f.flags = c.Flags()
	f.flags.SortFlags = false
	f.flags.Var(optionalNumber(&f.license.CreditsTotal), "credits", "how many credits there are; empty: not said")
	f.flags.Var(optionalNumber(&f.license.CostPerCredit), "cost-per-credit", "dollars per credit, for later usage; empty: none, usage adds no credits")
	f.flags.Var(optionalNumber(&f.license.MoneyBudget), "money", "dollars that may be spent; empty: not said")
	f.flags.Var(optionalNumber(&f.license.WarningPercent), "warning", "percent of either from which to warn (default 80)")
	f.flags.Var(optionalInstant(&f.license.StartsAt), "starts-at", "count usage from this time on (default now)")
	f.flags.Var(optionalInstant(&f.license.EndsAt), "ends-at", "count usage before this time")
	f.flags.Var(number(&f.used), "credits-used", "make this what is used, by an adjustment")
	f.flags.BoolVar(&f.active, "active", false, "let it count")
	f.flags.BoolVar(&f.inactive, "inactive", false, "let it not count")
	c.MarkFlagsMutuallyExclusive("active", "inactive")
}

// apply changes what the flags name.
func (f *licenseFlags) apply(x *budget.License) {
	for name, change := range map[string]func(){
		"credits":         func() { x.CreditsTotal = f.license.CreditsTotal },
		"cost-per-credit": func() { x.CostPerCredit = f.license.CostPerCredit },
		"money":           func() { x.MoneyBudget = f.license.MoneyBudget },
		"warning":         func() { x.WarningPercent = f.license.WarningPercent },
		"starts-at":       func() { x.StartsAt = f.license.StartsAt },
		"ends-at":         func() { x.EndsAt = f.license.EndsAt },
		"credits-used":    func() { x.CreditsUsed = f.used },
		"active":          func() { x.Inactive = !f.active },
		"inactive":        func() { x.Inactive = f.inactive },
	} {
		if f.flags.Changed(name) {
			change()
		}
	}
}

func (p *program) createLicense() *cobra.Command {
	var f licenseFlags
	var id, tenant string
	c := &cobra.Command{
		Use:   "create --tenant ID",
		Short: "Make a license",
		Long: "Make a license. Of a tenant's active licenses the one made last counts. A tenant that was not entered is. Usage since\n" +
			"--starts-at counts, also what was recorded before; --credits-used starts with what was used elsewhere.",
		Args: arguments(0, 0, ""),
	}
	c.Flags().StringVar(&tenant, "tenant", "", "whose it is")
	c.Flags().StringVar(&id, "id", "", "id of the license; made unless given")
	f.register(c)
	cobra.CheckErr(c.MarkFlagRequired("tenant"))
	c.RunE = p.makes(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		x := budget.License{ID: id, Tenant: tenant}
		f.apply(&x)
		x, err := l.CreateLicense(ctx, x)
		if err != nil {
			return err
		}
		return p.showOneLicense(x)
	})
	return c
}

func (p *program) updateLicense() *cobra.Command {
	var f licenseFlags
	c := &cobra.Command{
		Use:   "update ID",
		Short: "Change a license",
		Long:  "Change what the flags name. An empty text takes back what was said. What was charged stays as it is.",
		Args:  arguments(1, 1, "the id of a license"),
	}
	f.register(c)
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		x, err := l.UpdateLicense(ctx, args[0], func(x *budget.License) error {
			f.apply(x)
			return nil
		})
		if err != nil {
			return err
		}
		return p.showOneLicense(x)
	})
	return c
}

func (p *program) showLicense() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a license",
		Args:  arguments(1, 1, "the id of a license"),
		RunE: p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
			x, err := l.License(ctx, args[0])
			if err != nil {
				return err
			}
			return p.showOneLicense(x)
		}),
	}
}

func (p *program) listLicenses() *cobra.Command {
	var q budget.TenantQuery
	c := &cobra.Command{
		Use:   "list",
		Short: "List licenses, by tenant, in the order in which they were made",
		Args:  arguments(0, 0, ""),
	}
	c.Flags().StringArrayVar(&q.IDs, "tenant", nil, "only those of this `tenant`; may be repeated")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		g := p.licenseGrid()
		return showList(p, licensesOf(l.Tenants(ctx, q)), g, func(x tenantLicense) { p.addLicense(g, &x.tenant, x.License) })
	})
	return c
}

// A tenantLicense is a license, and whose it is.
type tenantLicense struct {
	budget.License
	tenant budget.Tenant
}

func licensesOf(tenants iter.Seq2[budget.Tenant, error]) iter.Seq2[tenantLicense, error] {
	return func(yield func(tenantLicense, error) bool) {
		for t, err := range tenants {
			if err != nil {
				yield(tenantLicense{}, err)
				return
			}
			for _, x := range t.Licenses {
				if !yield(tenantLicense{x, t}, nil) {
					return
				}
			}
		}
	}
}

func (p *program) showOneLicense(x budget.License) error {
	return p.show(x, func(w io.Writer) {
		printField(w, "id", x.ID)
		printField(w, "tenant", x.Tenant)
		if x.Inactive {
			printField(w, "active", "no")
		}
		printField(w, "credits", optionalAmount(x.CreditsTotal))
		printField(w, "credits used", amount(x.CreditsUsed))
		printField(w, "cost per credit", optionalAmount(x.CostPerCredit))
		printField(w, "money $", optionalAmount(x.MoneyBudget))
		printField(w, "warning percent", optionalAmount(x.WarningPercent))
		printField(w, "starts", when(x.StartsAt))
		printField(w, "ends", when(x.EndsAt))
	})
}

func (p *program) licenseGrid() *grid {
	g := newGrid("There are no licenses.", "license", "tenant", "counts", ">credits used", ">of", "", ">cost per credit", ">money $", "starts", "ends")
	g.hideEmpty()
	return g
}

func (p *program) addLicense(g *grid, t *budget.Tenant, x budget.License) {
	counts := ""
	if one := t.License(); one != nil && one.ID == x.ID {
		counts = "yes"
	}
	g.add(x.ID, x.Tenant, counts, amount(x.CreditsUsed), optionalAmount(x.CreditsTotal), p.share(x.CreditsUsed, x.CreditsTotal, x.WarningPercent),
		optionalAmount(x.CostPerCredit), optionalAmount(x.MoneyBudget), when(x.StartsAt), when(x.EndsAt))
}

// optionalNumber is a flag for a number, of which an empty text means none.
func optionalNumber(to **decimal.Decimal) pflag.Value {
	return value[*decimal.Decimal]{to: to, kind: "number", parse: func(text string) (*decimal.Decimal, error) {
		if text == "" {
			return nil, nil
		}
		d, err := usage.ParseDecimal(text)
		return &d, err
	}}
}

func optionalAmount(d *decimal.Decimal) string {
	if d == nil {
		return ""
	}
	return amount(*d)
}
