package api

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
)

// The token usage of organizations, as an older system serves it. An organization is a tenant.
func (a *API) organizationRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/token-usage/overview", Needs: access.Admin, handle: getOrganizations},
		{Method: http.MethodGet, Path: "/api/token-usage/{org_id}", Needs: access.Admin, handle: getOrganizationMonths},
		{Method: http.MethodGet, Path: "/api/token-usage/{org_id}/current", Needs: access.Admin, handle: getOrganizationMonth},
		{Method: http.MethodPut, Path: "/api/token-usage/budget/{license_id}", Needs: access.Admin, handle: putLicenseBudget},
	}
}

// getOrganizations answers a list of how every organization stands: what it used of all time, and of its license. Ids of
// digits come first, by number, then the others as text. A caller with a tenant sees that one only.
func getOrganizations(c *call) (any, error) {
	found := []organization{}
	accounts, err := c.accounts()
	for _, a := range accounts {
		found = append(found, newOrganization(a))
	}
	slices.SortFunc(found, func(a, b organization) int { return byNumber(a.ID, b.ID) })
	return found, err
}

// accounts returns how the tenants stand that are the caller's to see.
func (c *call) accounts() ([]budget.Account, error) {
	found := []budget.Account{}
	if !c.caller.Platform() {
		current, err := c.ledger.CurrentMonth(c.Context(), c.caller.Tenant, c.api.Zone)
		if errors.Is(err, budget.ErrNotFound) {
			return found, nil
		}
		return append(found, current.Account), err
	}
	for a, err := range c.ledger.Overview(c.Context()) {
		if err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	return found, nil
}

// byNumber orders ids: those of digits only by number, before the others as text.
func byNumber(a, b string) int {
	m, n := digits(a), digits(b)
	switch {
	case m == "" && n == "":
		return strings.Compare(a, b)
	case m == "":
		return 1
	case n == "":
		return -1
	}
	return cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n), strings.Compare(a, b))
}

// digits returns an id of digits only without the zeros before it, "" for any other id.
func digits(id string) string {
	if strings.Trim(id, "0123456789") != "" {
		return ""
	}
	return cmp.Or(strings.TrimLeft(id, "0"), "0")
}

// An organization is a line of the overview.
type organization struct {
	ID   string  `json:"org_id"`
	Name string  `json:"org_name"`
	Slug *string `json:"org_slug"`
	standing
	Cost           number  `json:"total_cost_usd"`
	MoneyPercent   *number `json:"budget_percent_used"`
	InputTokens    int64   `json:"total_input_tokens"`
	OutputTokens   int64   `json:"total_output_tokens"`
	APICalls       int64   `json:"total_api_calls"`
	TotalRefreshes int64   `json:"total_refreshes"`
}

func newOrganization(a budget.Account) organization {
	o := organization{
		ID: a.Tenant, Name: a.Name, Slug: optionalText(a.Slug), standing: newStanding(a),
		Cost: number(a.Usage.Cost().Round(2)), MoneyPercent: rounded(a.MoneyPercent, 1),
		InputTokens: a.Usage.InputTokens, OutputTokens: a.Usage.OutputTokens,
		APICalls: a.Usage.Requests, TotalRefreshes: a.Usage.Runs,
	}
	if o.CreditsTotal == nil {
		o.CreditsTotal = new(number)
	}
	return o
}

// A standing says how an organization stands against the license that counts.
type standing struct {
	CreditsTotal     *number `json:"credits_total"`
	CreditsUsed      number  `json:"credits_used"`
	CreditsRemaining *number `json:"credits_remaining"`
	CreditsPercent   *number `json:"credits_percent_used"`
	MoneyBudget      *number `json:"token_budget_usd"`
	CostPerCredit    *number `json:"cost_per_credit"`
	WarningPercent   number  `json:"budget_warning_percent"`
}

// unset is the percentage from which an organization is warned of whose license says nothing, or that has none.
var unset = decimal.NewFromInt(80)

func newStanding(a budget.Account) standing {
	s := standing{WarningPercent: number(unset)}
	x := a.License
	if x == nil {
		return s
	}
	s.CreditsTotal, s.CreditsUsed = optionalNumber(x.CreditsTotal), number(x.CreditsUsed.Round(1))
	s.CreditsPercent = rounded(a.CreditsPercent, 1)
	if a.CreditsRemaining != nil {
		s.CreditsRemaining = (*number)(new(a.CreditsRemaining.Truncate(0)))
	}
	s.MoneyBudget, s.CostPerCredit = optionalNumber(x.MoneyBudget), optionalNumber(x.CostPerCredit)
	if x.WarningPercent != nil {
		s.WarningPercent = number(*x.WarningPercent)
	}
	return s
}

// rounded returns d with so many places, half a unit up. One that was cut at more places than that rounds as the whole does.
func rounded(d *decimal.Decimal, places int32) *number {
	if d == nil {
		return nil
	}
	return (*number)(new(d.Round(places)))
}

// getOrganizationMonths answers a list of the months in which an organization used something, the newest first, in the
// reporting zone. One that is not in the directory and used nothing is unknown.
func getOrganizationMonths(c *call) (any, error) {
	id, err := c.organization()
	if err != nil {
		return nil, err
	}
	points, err := c.ledger.Months(c.Context(), id, c.api.Zone)
	if err != nil {
		return nil, organizationError(err)
	}
	months := []month{}
	for _, p := range points {
		months = append(months, month{
			YearMonth: c.monthName(p.Start), InputTokens: p.InputTokens, OutputTokens: p.OutputTokens,
			CacheCreationTokens: p.CacheCreationTokens, CacheReadTokens: p.CacheReadTokens,
			Cost: number(p.Cost()), APICalls: p.Requests, Refreshes: p.Runs,
		})
	}
	return months, nil
}

// A month is what an organization used in it. Its cost is exact.
type month struct {
	YearMonth           string `json:"year_month"`
	InputTokens         int64  `json:"input_tokens"`
	OutputTokens        int64  `json:"output_tokens"`
	CacheCreationTokens int64  `json:"cache_creation_tokens"`
	CacheReadTokens     int64  `json:"cache_read_tokens"`
	Cost                number `json:"total_cost_usd"`
	APICalls            int64  `json:"api_calls"`
	Refreshes           int64  `json:"refresh_count"`
}

// getOrganizationMonth answers what an organization used in the month that runs in the reporting zone, and how it stands
// against its license.
func getOrganizationMonth(c *call) (any, error) {
	id, err := c.organization()
	if err != nil {
		return nil, err
	}
	current, err := c.ledger.CurrentMonth(c.Context(), id, c.api.Zone)
	if err != nil {
		return nil, organizationError(err)
	}
	m := current.Month
	return currentMonth{
		YearMonth: c.monthName(m.Start),
		Usage: monthUsage{
			InputTokens: m.InputTokens, OutputTokens: m.OutputTokens, Cost: number(m.Cost()), APICalls: m.Requests, Refreshes: m.Runs,
		},
		Budget: newStanding(current.Account),
	}, nil
}

type currentMonth struct {
	YearMonth string     `json:"year_month"`
	Usage     monthUsage `json:"usage"`
	Budget    standing   `json:"budget"`
}

type monthUsage struct {
	InputTokens  int64  `json:"input_tokens"`
	OutputTokens int64  `json:"output_tokens"`
	Cost         number `json:"total_cost_usd"`
	APICalls     int64  `json:"api_calls"`
	Refreshes    int64  `json:"refresh_count"`
}

// monthName names the month of the reporting zone that begins at start.
func (c *call) monthName(start time.Time) string { return start.In(c.api.Zone).Format("2006-01") }

// organization returns the id of the organization in the path, if the caller may see that one.
func (c *call) organization() (string, error) {
	id := c.PathValue("org_id")
	if err := invalid.Name("org_id", id); err != nil {
		return "", err
	}
	return id, c.knows(id)
}

// knows answers a caller with a tenant who asks for another one as for one that does not exist.
func (c *call) knows(tenant string) error {
	if c.caller.Platform() || c.caller.Tenant == tenant {
		return nil
	}
	return errNoTenant
}

// What callers are told of what does not exist.
var (
	errNoTenant  = notFound("Tenant not found")
	errNoLicense = notFound("Lizenz nicht gefunden")
)

// organizationError says of an error that there is no such tenant, if that is so.
func organizationError(err error) error { return missing(err, errNoTenant) }

// missing returns what the caller is told of what does not exist in the place of budget.ErrNotFound.
func missing(err, problem error) error {
	if errors.Is(err, budget.ErrNotFound) {
		return problem
	}
	return err
}

// putLicenseBudget changes those of token_budget_usd, credits_total, cost_per_credit, budget_warning_percent and
// credits_used that the body has, all or none. null clears; credits_used it sets to 0. What credits_used differs from what
// was counted is an adjustment, and later usage goes on top. A new cost_per_credit holds for events from now on.
func putLicenseBudget(c *call) (any, error) {
	change, err := readLicense(c, nil, []string{
		"token_budget_usd", "credits_total", "cost_per_credit", "budget_warning_percent", "credits_used",
	})
	if err := errors.Join(invalid.Name("license_id", c.PathValue("license_id")), err); err != nil {
		return nil, err
	}
	if _, err := c.updateLicense(c.PathValue("license_id"), "update_license_budget", change, func() error {
		if len(change) == 0 {
			return &Problem{Status: http.StatusBadRequest, Detail: "Keine Felder zum Aktualisieren"}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return struct {
		OK bool `json:"ok"`
	}{true}, nil
}
