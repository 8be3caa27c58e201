package page

import (
	"context"
	"net/http"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// An overview is how all that the caller may see stands.
type overview struct {
	*frame
	Heading string
	Scope   string
	Month   string
	Cards   []card
	Days    plot

	ShowAccounts bool
	Accounts     []accountRow
	AccountPager pager
	Filter       filter
	Budgets      []budgetRow
	BudgetPager  pager
	Alerts       []alertRow
}

// A card is one figure.
type card struct {
	Name  string
	Value quantity
	Note  string
}

func (h *Page) overview(r *http.Request, f *frame) (any, error) {
	f.Title, f.Zone = "Overview", f.zone.String()
	month := usage.Month.Bounds(f.now, f.zone)
	where, whose := own(f.caller)
	v := &overview{frame: f, Heading: "Overview", Scope: whose, Month: month.Start.In(f.zone).Format("January 2006")}
	days, total, err := h.days(r.Context(), month, f.zone, where)
	if err != nil {
		return nil, err
	}
	v.Cards = cards(total, "in "+v.Month)
	v.Days = costPlot("days-plot", "Cost per day in "+v.Month, usage.Day, f.zone, days)
	if v.ShowAccounts = seesTenant(f.caller, f.caller.Tenant); v.ShowAccounts {
		if v.Accounts, v.AccountPager, err = h.listAccounts(r, f); err != nil {
			return nil, err
		}
	}
	var q budget.Query
	var ids []string
	q, v.Filter = filtered(r, visible(f.caller))
	if v.Budgets, ids, v.BudgetPager, err = h.listBudgets(r, f, q); err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		v.Alerts, err = h.listAlerts(r.Context(), f.zone, budget.AlertQuery{Budgets: ids})
	}
	return v, err
}

// days returns what was used on each day of a month, and in all of it.
func (h *Page) days(ctx context.Context, month period.Bounds, zone *time.Location, where map[usage.Dimension]string) ([]usage.Point, usage.Totals, error) {
	var points []usage.Point
	var total usage.Totals
	for line, err := range h.Ledger.Groups(ctx, budget.GroupQuery{Where: where, Span: month, Bucket: usage.Day, Zone: zone}) {
		if err != nil {
			return nil, total, err
		}
		points = append(points, usage.Point{Bounds: line.Bounds, Totals: line.Totals})
		if total, err = total.Add(line.Totals); err != nil {
			return nil, total, err
		}
	}
	return usage.Fill(points, month, usage.Day, zone), total, nil
}

func cards(t usage.Totals, note string) []card {
	return []card{
		{"Cost", cost(t), note},
		{"Tokens", whole(t.TotalTokens), note},
		{"Requests", whole(t.Requests), note},
	}
}

// An accountRow is an organization in a list.
type accountRow struct {
	Link, Name, ID string // the id where the name is another
	Cost, Requests quantity
	Credits, Money *shareView // nil: there is no such limit
}

// A shareView is what is used of a limit.
type shareView struct {
	Used, Limit quantity
	Bar         bar
}

// listAccounts returns a page of the organizations that the caller may see.
func (h *Page) listAccounts(r *http.Request, f *frame) ([]accountRow, pager, error) {
	if !f.caller.Platform() {
		current, err := h.Ledger.CurrentMonth(r.Context(), f.caller.Tenant, f.zone)
		if err != nil {
			return nil, pager{}, ignoreNotFound(err)
		}
		return []accountRow{newAccountRow(current.Account)}, pager{}, nil
	}
	n, seen := pageOf(r, "tenants"), 0
	var rows []accountRow
	for account, err := range h.Ledger.Overview(r.Context()) {
		if err != nil {
			return nil, pager{}, err
		}
		if seen++; seen <= n*pageSize {
			continue
		}
		if len(rows) == pageSize {
			return rows, newPager(r, "organizations", "tenants", n, len(rows), -1, true), nil
		}
		rows = append(rows, newAccountRow(account))
	}
	return rows, newPager(r, "organizations", "tenants", n, len(rows), seen, false), nil
}

func newAccountRow(a budget.Account) accountRow {
	row := accountRow{Link: tenantLink(a.Tenant), Name: a.Name, Cost: cost(a.Usage), Requests: whole(a.Usage.Requests)}
	if a.Name != a.Tenant {
		row.ID = a.Tenant
	}
	row.Credits, row.Money = shares(a)
	return row
}

// shares returns what an account used of its credits and of its money, nil where it has no such limit.
func shares(a budget.Account) (credits, money *shareView) {
	if a.License == nil {
		return nil, nil
	}
	warning := warningPercent(*a.License)
	view := func(m usage.Metric, used, limit decimal.Decimal) *shareView {
		return &shareView{countOf(m, used), amountOf(m, limit), accountBar(used, limit, warning)}
	}
	if a.CreditsPercent != nil {
		credits = view(usage.Credits, a.License.CreditsUsed, *a.License.CreditsTotal)
	}
	if a.MoneyPercent != nil {
		money = view(usage.Dollars, *a.MoneyUsed, *a.License.MoneyBudget)
	}
	return credits, money
}

// warningPercent returns from which share on a license warns.
func warningPercent(x budget.License) decimal.Decimal {
	if x.WarningPercent != nil {
		return *x.WarningPercent
	}
	return decimal.NewFromInt(80)
}
