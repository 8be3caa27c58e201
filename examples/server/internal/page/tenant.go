package page

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/usage"
)

// A tenantPage is how one organization stands.
type tenantPage struct {
	*frame
	ID, Name, Names string
	Cards           []card
	License         *licenseView
	Months          plot
	Budgets         []budgetRow
	BudgetPager     pager

	ShowSpenders               bool
	Spenders                   []spenders
	SpendersSpan, SpendersNone string

	ChangeFields, MakeFields []field // of the license that counts, nil if none does; and of a new one
}

// A licenseView is what a license gives.
type licenseView struct {
	ID                     string
	From, Until            *moment
	Credits, Money         *shareView
	CreditsText, MoneyText string // where there is no limit
	PerCredit              *quantity
	Warning                string
}

func (h *Page) tenant(r *http.Request, f *frame) (any, error) {
	id := r.PathValue("id")
	if !seesTenant(f.caller, id) {
		return nil, budget.ErrNotFound
	}
	current, err := h.Ledger.CurrentMonth(r.Context(), id, f.zone)
	if err != nil {
		return nil, err
	}
	f.Title, f.Zone = current.Name, f.zone.String()
	month := current.Month.Start.In(f.zone).Format("January 2006")
	v := &tenantPage{
		frame: f, ID: id, Name: current.Name, Names: tenantNames(current.Account),
		Cards: cards(current.Month.Totals, "in "+month), License: newLicenseView(current.Account, f.zone),
		SpendersSpan: month, SpendersNone: "Nothing was used this month.",
		MakeFields: licenseFields("make", budget.License{}),
	}
	if current.License != nil {
		v.ChangeFields = licenseFields("change", *current.License)
	}
	v.Cards = append(v.Cards, card{"Cost of all time", cost(current.Usage), whole(current.Usage.Requests).Text + " requests"})
	if err := h.addMonths(r, v); err != nil {
		return nil, err
	}
	if v.ShowSpenders = f.caller.May(access.Read); v.ShowSpenders {
		if v.Spenders, err = h.listSpenders(r.Context(), budget.TopQuery{
			Span: current.Month.Bounds, Where: map[usage.Dimension]string{usage.Tenant: id},
		}, usage.User, usage.APIKey, usage.Resource); err != nil {
			return nil, err
		}
	}
	q := visible(f.caller) // without the permission to read, no tenant's budget is the platform's own, whatever its owner's name
	q.Scope = budget.Scope{usage.Tenant: budget.Selector(id)}
	v.Budgets, _, v.BudgetPager, err = h.listBudgets(r, f, q)
	return v, err
}

// tenantNames returns by which other names an organization goes.
func tenantNames(a budget.Account) string {
	names := slices.DeleteFunc([]string{a.Tenant, a.Slug}, func(name string) bool { return name == "" || name == a.Name })
	return strings.Join(slices.Compact(names), ", ")
}

func newLicenseView(a budget.Account, zone *time.Location) *licenseView {
	x := a.License
	if x == nil {
		return nil
	}
	v := &licenseView{
		ID: x.ID, From: in(zone, x.StartsAt), Until: in(zone, x.EndsAt), Warning: percentOf(warningPercent(*x)),
		CreditsText: amountOf(usage.Credits, x.CreditsUsed).Text + " used, no limit",
		MoneyText:   "no limit",
	}
	v.Credits, v.Money = shares(a)
	if x.CostPerCredit != nil {
		v.PerCredit = new(rateOf(*x.CostPerCredit))
	}
	return v
}

// addMonths adds the months in which something was used.
func (h *Page) addMonths(r *http.Request, v *tenantPage) error {
	months, err := h.Ledger.Months(r.Context(), v.ID, v.zone)
	if err != nil {
		return err
	}
	v.Months = plot{
		ID: "months-plot", Caption: "Usage per month", First: "Month", Unit: "$", Open: true, NewestFirst: true,
		Series: []series{
			{"Cost", "bars"}, {"Requests", ""}, {"Runs", ""}, {"Input tokens", ""}, {"Output tokens", ""}, {"Cache writes", ""}, {"Cache reads", ""},
		},
	}
	for _, m := range months {
		v.Months.Rows = append(v.Months.Rows, newPlotRow(usage.Month, m.Start, v.zone,
			new(cost(m.Totals)), new(whole(m.Requests)), new(whole(m.Runs)), new(whole(m.InputTokens)), new(whole(m.OutputTokens)),
			new(whole(m.CacheCreationTokens)), new(whole(m.CacheReadTokens))))
	}
	return nil
}

// licenseFields returns the fields of a form for a license, with the values that it has.
func licenseFields(form string, x budget.License) []field {
	text := func(d *decimal.Decimal) string {
		if d == nil {
			return ""
		}
		return d.String()
	}
	return fields(form, []field{
		{Name: "credits_total", Label: "Credits", Hint: "none: no limit", Value: text(x.CreditsTotal), Number: true, Nullable: true},
		{Name: "cost_per_credit", Label: "Dollars per credit", Hint: "none: not counted", Value: text(x.CostPerCredit), Number: true, Nullable: true},
		{Name: "token_budget_usd", Label: "Dollars", Hint: "none: no limit", Value: text(x.MoneyBudget), Number: true, Nullable: true},
		{Name: "budget_warning_percent", Label: "Warn from", Hint: "in percent", Value: warningPercent(x).String(), Number: true, Nullable: true},
	})
}

// ignoreNotFound returns nil for what is only not there.
func ignoreNotFound(err error) error {
	if errors.Is(err, budget.ErrNotFound) {
		return nil
	}
	return err
}
