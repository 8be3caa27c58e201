package page

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/usage"
)

// pageSize is how many rows a list shows at once.
const pageSize = 50

// A pager leads through a list.
type pager struct {
	Label          string
	Text           string
	Previous, Next string // "": there is none
}

// pageOf returns the number, counted from 0, of the page of a list that the request asks for by this parameter.
func pageOf(r *http.Request, parameter string) int {
	n, err := strconv.Atoi(r.URL.Query().Get(parameter))
	if err != nil || n < 1 || n > 1_000_000 {
		return 0
	}
	return n - 1
}

// newPager returns the links before and after page n. total is how many rows there are on all pages, below 0 if only more is
// known: whether there are any behind this page. From behind the end the way back leads to the last page that is known of.
func newPager(r *http.Request, label, parameter string, n, shown, total int, more bool) pager {
	p := pager{Label: "Pages of " + label, Text: fmt.Sprintf("%d–%d", n*pageSize+1, n*pageSize+shown)}
	if shown == 0 {
		p.Text = "none here"
	}
	if total >= 0 {
		p.Text += fmt.Sprintf(" of %s", whole(int64(total)).Text)
	}
	link := func(n int) string {
		query := r.URL.Query()
		query.Set(parameter, strconv.Itoa(n+1))
		return (&url.URL{Path: r.URL.Path, RawQuery: query.Encode()}).RequestURI()
	}
	switch {
	case n > 0 && shown == 0: // back to where there are rows
		p.Previous = link(max(total-1, 0) / pageSize)
	case n > 0:
		p.Previous = link(n - 1)
	}
	if more {
		p.Next = link(n + 1)
	}
	return p
}

// A budgetRow is a budget in a list.
type budgetRow struct {
	Link, Name, Covers, Period string
	Badges                     []string
	Used, Limit                quantity
	Bar                        bar
	Notes                      string // of a budget with many counters whose this is, and where it is going if that is beyond the limit
	Idle                       bool   // it is before its start or after its end
	Resets                     *moment
	OtherZone                  string // the budget's, if it is not that of the page
}

// listBudgets returns a page of the budgets that the query selects, and their ids. It takes the same few statements however
// many they are: where each is going is told by its pace alone.
func (h *Page) listBudgets(r *http.Request, f *frame, q budget.Query) (rows []budgetRow, ids []string, pages pager, err error) {
	n := pageOf(r, "budgets")
	q.Offset, q.Limit = n*pageSize, pageSize
	page, err := h.Ledger.List(r.Context(), q)
	if err != nil {
		return nil, nil, pager{}, err
	}
	for _, row := range page.Rows {
		rows, ids = append(rows, newBudgetRow(row, f)), append(ids, row.Budget.ID)
	}
	return rows, ids, newPager(r, "budgets", "budgets", n, len(rows), page.Total, page.Next != nil), nil
}

func newBudgetRow(row budget.Row, f *frame) budgetRow {
	b := row.Budget
	zone := b.Schedule.Location()
	going := onPace(row.Status, f.now)
	view := budgetRow{
		Link: budgetLink(b.ID, nil), Name: b.Name, Covers: coverage(b.Scope), Period: scheduleName(b), Badges: badges(b),
		Used: countOf(b.Metric, row.Used), Limit: limitOf(b), Bar: newBar(row.Status, going),
		Idle: row.Period.IsZero(), Resets: boundary(zone, row.Period.End),
	}
	var notes []string
	if row.Counters > 0 && row.Value != nil {
		notes = append(notes, fmt.Sprintf("%s, highest of %s", valueName(row.Value), whole(int64(row.Counters)).Text))
	}
	if going != nil && going.GreaterThan(b.Limit) {
		notes = append(notes, "at this pace "+percentOf(alert.Percent(*going, b.Limit, 1)))
	}
	view.Notes = strings.Join(notes, "; ")
	if zone.String() != f.zone.String() {
		view.OtherZone = zone.String()
	}
	return view
}

// boundary is in for the start or the end of a period: nil for that of all time.
func boundary(zone *time.Location, t time.Time) *moment {
	if !t.After(usage.MinTime) || !t.Before(usage.EndTime) {
		return nil
	}
	return in(zone, t)
}

func budgetLink(id string, v budget.Value) string {
	u := url.URL{Path: "/budgets/" + id}
	if v != nil {
		u.RawQuery = url.Values{"value": {v.Key()}}.Encode()
	}
	return u.String()
}

// badges say in what a budget differs from a hard one that is in force.
func badges(b budget.Budget) []string {
	var all []string
	if b.Enforcement != budget.Hard {
		all = append(all, string(b.Enforcement))
	}
	if b.Disabled {
		all = append(all, "disabled")
	}
	return all
}

// An alertRow is an alert in a list.
type alertRow struct {
	ID      string
	At      *moment
	Kind    string
	Class   string
	Message string
	Of      string // which counter of a budget that has many
	Link    string
}

// listAlerts returns the newest alerts that the query selects, but for those that a higher one took the place of.
func (h *Page) listAlerts(ctx context.Context, zone *time.Location, q budget.AlertQuery) ([]alertRow, error) {
	const shown, levels = 10, 4 // one operation crosses few levels
	q.Limit = shown * levels
	alerts, err := h.Ledger.Alerts(ctx, q)
	if err != nil {
		return nil, err
	}
	alerts = slices.DeleteFunc(alerts, func(a alert.Alert) bool { return a.Superseded })
	alerts = alerts[:min(len(alerts), shown)]
	rows := make([]alertRow, len(alerts))
	for i, a := range alerts {
		rows[i] = alertRow{ID: a.ID, At: in(zone, a.At), Kind: a.Level.String(), Class: a.Level.String(), Message: a.Message}
		if a.Kind != alert.Threshold {
			rows[i].Kind = string(a.Kind)
		}
		if a.Kind == alert.Resolved {
			rows[i].Class = string(a.Kind)
		}
		if value, err := budget.ParseValue(a.Value); err == nil {
			rows[i].Of = valueName(value)
		}
		if len(q.Budgets) != 1 {
			rows[i].Link = budgetLink(a.Budget, nil)
		}
	}
	return rows, nil
}

// spenders are those who used most, by one dimension.
type spenders struct {
	By   string
	Unit string // heads the column of what they are ordered by; "": it is that of requests
	Rows []spender
}

type spender struct {
	Name     string
	Amount   quantity
	Requests quantity
}

// spenderDimensions returns by what the caller may see who spends: without the permission to read, nobody else.
func spenderDimensions(c *access.Caller) []usage.Dimension {
	if !c.May(access.Read) {
		return []usage.Dimension{usage.Resource}
	}
	return []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource}
}

// listSpenders returns who used most of the metric, for each of the dimensions in which somebody used any.
func (h *Page) listSpenders(ctx context.Context, q budget.TopQuery, dimensions ...usage.Dimension) ([]spenders, error) {
	var all []spenders
	q.N = 5
	if q.Metric == "" || q.Metric == usage.Credits {
		q.Metric = usage.Dollars
	}
	for _, d := range dimensions {
		q.By = d
		groups, err := h.Ledger.Top(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(groups) == 0 {
			continue
		}
		top := spenders{By: spenderTitles[d], Unit: metricTitles[q.Metric]}
		for _, g := range groups {
			used := q.Metric.Decimal(q.Metric.Of(g.Totals))
			top.Rows = append(top.Rows, spender{g.Key, countOf(q.Metric, used), whole(g.Requests)})
		}
		all = append(all, top)
	}
	return all, nil
}

var spenderTitles = map[usage.Dimension]string{
	usage.Tenant: "Organizations", usage.User: "Users", usage.APIKey: "Keys", usage.Resource: "Resources",
}

var metricTitles = map[usage.Metric]string{
	usage.Dollars: "Cost", usage.Tokens: "Tokens", usage.InputTokens: "Input tokens", usage.OutputTokens: "Output tokens",
}
