package page

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/usage"
)

// A budgetPage is how one budget stands, and one of its counters if it has many.
type budgetPage struct {
	*frame
	ID, Name    string
	Description *string // nil: none
	Badges      []string
	Value       string // which counter is shown; "": it has only one
	Idle        bool   // it is before its start or after its end
	From, To    *moment
	Period      string

	Bar                                      bar
	Used, Limit, Reserved, Available, Denied quantity
	Leased, Over, WouldDeny                  *quantity // nil: nothing
	Projected                                *projected
	NoProjection                             string
	Passes                                   *passing
	Expired                                  string
	Course, History                          plot
	Method                                   string
	Counters                                 []counterRow
	CounterPager                             pager
	CountersOf                               string
	Spenders                                 []spenders
	SpendersSpan, SpendersNone               string
	Version                                  int64
	Facts                                    []fact
	Reservations                             []reservationRow
	ShowReservations                         bool
	MoreReservations                         string
	Alerts                                   []alertRow
	ShowChanges                              bool
	Changes                                  []changeRow
	MayEdit                                  bool
	ETag                                     string
	EditFields                               []field
	Enabled                                  bool
}

// projected is where a budget will stand at the end of its period.
type projected struct {
	Value, Low, High quantity
	Coverage         int
}

// A passing says when a limit is passed.
type passing struct {
	Text string
	At   *moment
}

// A counterRow is one counter of a budget that has many.
type counterRow struct {
	Link, Name string
	Used       quantity
	Bar        bar
	Here       bool // it is the one that is shown
}

type fact struct{ Name, Text string }

type reservationRow struct {
	Key          string // its id with its tenant
	ID, Of       string
	Holds        quantity
	Since, Until *moment
}

// A changeRow is an entry of the audit.
type changeRow struct {
	ID            string
	At            *moment
	Who, What     string
	Before, After string
	Fields        string // what unfolds After, where that is long
}

func (h *Page) budget(r *http.Request, f *frame) (any, error) {
	ctx := r.Context()
	row, err := h.visibleBudget(ctx, f.caller, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	status, err := h.chosenCounter(r, row)
	if err != nil {
		return nil, err
	}
	b := status.Budget
	f.zone = b.Schedule.Location()
	f.Title, f.Zone = b.Name, f.zone.String()
	v := newBudgetPage(f, status)
	steps := []func(context.Context, *budgetPage, budget.Status) error{
		h.addProjection, h.addHistory, h.addSpenders, h.addReservations, h.addAlerts, h.addChanges,
	}
	for _, step := range steps {
		if err := step(ctx, v, status); err != nil {
			return nil, err
		}
	}
	if len(b.Scope.EachDimensions()) > 0 {
		err = h.addCounters(r, v, status)
	}
	return v, err
}

// visibleBudget returns a budget, and ErrNotFound for one that the caller may not see.
func (h *Page) visibleBudget(ctx context.Context, c *access.Caller, id string) (budget.Row, error) {
	page, err := h.Ledger.List(ctx, budget.Query{IDs: []string{id}})
	if err != nil {
		return budget.Row{}, err
	}
	if len(page.Rows) == 0 || !c.Sees(&page.Rows[0].Budget) {
		return budget.Row{}, budget.ErrNotFound
	}
	return page.Rows[0], nil
}

// chosenCounter returns the counter that the request asks for, else the one in which most is used.
func (h *Page) chosenCounter(r *http.Request, row budget.Row) (budget.Status, error) {
	key := r.URL.Query().Get("value")
	if key == "" {
		return row.Status, nil
	}
	value, err := budget.ParseValue(key)
	if err != nil {
		return budget.Status{}, budget.ErrNotFound
	}
	return h.Ledger.Status(r.Context(), row.Budget.ID, value)
}

func newBudgetPage(f *frame, s budget.Status) *budgetPage {
	b := s.Budget
	v := &budgetPage{
		frame: f, ID: b.ID, Name: b.Name, Description: b.Description, Badges: badges(b), Value: valueName(s.Value),
		Idle: s.Period.IsZero(), From: boundary(f.zone, s.Period.Start), To: boundary(f.zone, s.Period.End), Period: scheduleName(b),
		Bar: newBar(s, nil), Used: amountOf(b.Metric, s.Used), Limit: limitOf(b),
		Reserved: amountOf(b.Metric, s.Reserved), Available: amountOf(b.Metric, s.Available), Denied: whole(s.Denied),
		Version: b.Version, Facts: facts(b, f.zone), Enabled: !b.Disabled,
		ETag: fmt.Sprintf("%q", fmt.Sprint(b.Version)), EditFields: editFields(b),
		MayEdit: f.caller.Changes(&b, access.Update) && b.Labels["license"] == "",
	}
	if s.Leased.IsPositive() {
		v.Leased = new(amountOf(b.Metric, s.Leased))
	}
	if s.OverLimit {
		v.Over = new(amountOf(b.Metric, s.Used.Sub(b.Limit)))
	}
	if s.WouldDeny > 0 {
		v.WouldDeny = new(whole(s.WouldDeny))
	}
	if s.Expired > 0 {
		v.Expired = fmt.Sprintf("%s reservations, of %s, expired and were not settled.",
			whole(s.Expired).Text, amountOf(b.Metric, s.ExpiredHeld).Text)
	}
	return v
}

// facts are the rules of a budget.
func facts(b budget.Budget, zone *time.Location) []fact {
	all := []fact{
		{"Counts", coverage(b.Scope)},
		{"Leaves out", exceptions(b.Except)},
		{"Metric", metricName(b.Metric)},
		{"Period", scheduleName(b) + ", " + zone.String()},
		{"Enforcement", string(b.Enforcement)},
		{"Warns from", percentOf(b.Thresholds.WarningPercent())},
		{"Critical from", percentOf(b.Thresholds.CriticalPercent())},
		{"Alerts also at", percents(b.Thresholds.Extra)},
		{"Owner", b.Owner},
		{"Made by", b.CreatedBy},
		{"Made", momentText(zone, b.CreatedAt)},
		{"Starts", momentText(zone, b.StartsAt)},
		{"Ends", momentText(zone, b.EndsAt)},
		{"Resources", strings.Join(b.AllowedResources, ", ")},
	}
	if b.MinHold.IsPositive() {
		all = append(all, fact{"Holds at least", amountOf(b.Metric, b.MinHold).Text})
	}
	if b.CostPerCredit.IsPositive() {
		all = append(all, fact{"Per credit", rateOf(b.CostPerCredit).Text})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Labels)) {
		all = append(all, fact{"Label " + name, b.Labels[name]})
	}
	if text := string(b.Metadata); text != "" && text != "{}" {
		all = append(all, fact{"Metadata", text})
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.Text == "" })
}

func momentText(zone *time.Location, t time.Time) string {
	if m := in(zone, t); m != nil {
		return m.Text
	}
	return ""
}

func editFields(b budget.Budget) []field {
	return fields("edit", []field{
		{Name: "name", Label: "Name", Value: b.Name},
		{Name: "limit_amount", Label: "Limit", Hint: "in " + metricName(b.Metric), Value: b.Limit.String(), Number: true},
		{Name: "alert_threshold_percent", Label: "Warn from", Hint: "in percent", Value: b.Thresholds.WarningPercent().String(), Number: true},
		{Name: "critical_percent", Label: "Critical from", Hint: "in percent", Value: b.Thresholds.CriticalPercent().String(), Number: true},
	})
}

func (h *Page) addProjection(ctx context.Context, v *budgetPage, s budget.Status) error {
	b := s.Budget
	if len(b.Scope.EachDimensions()) > 0 && s.Value == nil {
		v.NoProjection = usage.NoUsage.Text()
		return nil
	}
	p, err := h.Ledger.Projection(ctx, b.ID, s.Value)
	if errors.Is(err, budget.ErrPruned) {
		v.NoProjection = "events that it would need are pruned"
		return nil
	}
	if err != nil {
		return err
	}
	if p.Reason != "" {
		v.NoProjection = p.Reason.Text()
		return nil
	}
	v.Bar = newBar(s, &p.Value)
	v.Method = string(p.Method)
	v.Projected = &projected{estimate(b.Metric, p.Value), estimate(b.Metric, p.Low), estimate(b.Metric, p.High), usage.Coverage}
	switch {
	case p.Passed:
		v.Passes = &passing{"The limit was passed", in(v.zone, p.Passes)}
	case !p.Passes.IsZero():
		v.Passes = &passing{"As it goes, the limit is passed", in(v.zone, p.Passes)}
	}
	return h.addCourse(ctx, v, p)
}

// estimate writes an amount that is an estimate, in whole units where the metric has no others.
func estimate(m usage.Metric, d decimal.Decimal) quantity {
	return amountOf(m, d.Round(min(m.Scale(), 2)))
}

func (h *Page) addCourse(ctx context.Context, v *budgetPage, p budget.Projection) error {
	by := courseBucket(p.Status.Period)
	if by == "" {
		return nil
	}
	points, err := h.Ledger.History(ctx, v.ID, budget.HistoryQuery{Value: p.Status.Value, Span: p.Status.Period, By: by, Fill: true})
	if err != nil {
		return ignorePruned(err)
	}
	v.Course = coursePlot(p, by, points)
	return nil
}

func (h *Page) addHistory(ctx context.Context, v *budgetPage, s budget.Status) error {
	points, err := h.Ledger.History(ctx, v.ID, budget.HistoryQuery{Value: s.Value, Fill: true})
	v.History = historyPlot(s.Budget, points)
	return ignorePruned(err)
}

// addSpenders adds who used most of what the counter counts, but for what labels tell apart: sums do not know them.
func (h *Page) addSpenders(ctx context.Context, v *budgetPage, s budget.Status) error {
	v.SpendersSpan, v.SpendersNone = "this period", "Nothing was used in this period."
	scope := s.Budget.Scope
	if s.Period.IsZero() {
		return nil
	}
	if scope.HasLabels() {
		v.SpendersNone = "Not known for budgets on labels."
		return nil
	}
	where := make(map[usage.Dimension]string)
	for d, selector := range scope {
		if selector != budget.Each {
			where[d] = string(selector)
		}
	}
	maps.Copy(where, s.Value)
	var open []usage.Dimension
	for _, d := range spenderDimensions(v.caller) {
		if _, fixed := where[d]; !fixed {
			open = append(open, d)
		}
	}
	var err error
	v.Spenders, err = h.listSpenders(ctx, budget.TopQuery{Span: s.Period, Where: where, Metric: s.Budget.Metric}, open...)
	return ignorePruned(err)
}

// ignorePruned returns nil for what can't be read any more.
func ignorePruned(err error) error {
	if errors.Is(err, budget.ErrPruned) {
		return nil
	}
	return err
}

// addReservations adds the reservations that hold some of the budget, for those who may make some: they say who reserves.
func (h *Page) addReservations(ctx context.Context, v *budgetPage, s budget.Status) error {
	const shown = 20
	if v.ShowReservations = v.caller.May(access.RecordUsage); !v.ShowReservations {
		return nil
	}
	q := budget.ReservationQuery{Budget: v.ID, States: []budget.ReservationState{budget.Open}, Limit: shown + 1}
	if !v.caller.Platform() {
		q.Tenant = &v.caller.Tenant
	}
	found, err := h.Ledger.Reservations(ctx, q)
	if err != nil {
		return err
	}
	if len(found) > shown {
		found, v.MoreReservations = found[:shown], fmt.Sprintf("the first %d", shown)
	}
	for _, r := range found {
		row := reservationRow{Key: r.Tenant + "/" + r.ID, ID: r.ID, Of: subjectText(r.Subject), Since: in(v.zone, r.Time), Until: in(v.zone, r.Expires)}
		if r.Lease {
			row.Of = "a lease of a process"
		}
		held := decimal.Zero
		for _, hold := range r.Holds {
			if hold.Budget == v.ID {
				held = held.Add(s.Budget.Metric.Decimal(hold.Units))
			}
		}
		row.Holds = amountOf(s.Budget.Metric, held)
		v.Reservations = append(v.Reservations, row)
	}
	return nil
}

func subjectText(s usage.Subject) string {
	var parts []string
	for _, d := range []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource} {
		if value := s.Value(d); value != "" {
			parts = append(parts, named(d)+" "+value)
		}
	}
	return strings.Join(parts, ", ")
}

func (h *Page) addAlerts(ctx context.Context, v *budgetPage, _ budget.Status) (err error) {
	v.Alerts, err = h.listAlerts(ctx, v.zone, budget.AlertQuery{Budgets: []string{v.ID}})
	return err
}

// changes are the actions that change a budget or what it has used. Others are in its audit too: that somebody looked at it.
var changes = []string{"create_budget", "update_budget", "adjust_budget"}

func (h *Page) addChanges(ctx context.Context, v *budgetPage, _ budget.Status) error {
	const shown = 20
	if v.ShowChanges = v.caller.May(access.Admin); !v.ShowChanges {
		return nil
	}
	var all []budget.AuditEntry
	for _, action := range changes {
		entries, err := h.Ledger.Audit(ctx, budget.AuditQuery{Target: v.ID, Action: action, Limit: shown})
		if err != nil {
			return err
		}
		all = append(all, entries...)
	}
	slices.SortStableFunc(all, func(a, b budget.AuditEntry) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(b.ID, a.ID))
	})
	for _, e := range all[:min(len(all), shown)] {
		v.Changes = append(v.Changes, newChangeRow(e, v.zone))
	}
	return nil
}

func newChangeRow(e budget.AuditEntry, zone *time.Location) changeRow {
	const many = 5
	before, _ := membersText(e.Before)
	after, members := membersText(e.After)
	row := changeRow{ID: e.ID, At: in(zone, e.Time), Who: e.Actor, What: strings.ReplaceAll(e.Action, "_", " "), Before: before, After: after}
	if members > many {
		row.Fields = fmt.Sprintf("%d fields", members)
	}
	return row
}

// membersText writes the members of an object in a line, and says how many they are.
func membersText(object json.RawMessage) (string, int) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return "", 0
	}
	parts := make([]string, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, strings.ReplaceAll(name, "_", " ")+" "+string(members[name]))
	}
	return strings.Join(parts, ", "), len(parts)
}

// addCounters adds a page of the budget's counters, in ascending order of their values.
func (h *Page) addCounters(r *http.Request, v *budgetPage, shown budget.Status) error {
	var names []string
	for _, d := range shown.Budget.Scope.EachDimensions() {
		names = append(names, named(d))
	}
	v.CountersOf = "each " + strings.Join(names, " and ")
	n, seen, more := pageOf(r, "counters"), 0, false
	for s, err := range h.Ledger.Statuses(r.Context(), budget.Query{IDs: []string{v.ID}}, time.Time{}) {
		if err != nil {
			return err
		}
		if seen++; seen <= n*pageSize {
			continue
		}
		if more = len(v.Counters) == pageSize; more {
			break
		}
		v.Counters = append(v.Counters, counterRow{
			Link: budgetLink(v.ID, s.Value), Name: valueName(s.Value), Used: amountOf(s.Budget.Metric, s.Used),
			Bar: newBar(s, onPace(s, v.now)), Here: s.Value.Key() == shown.Value.Key(),
		})
	}
	v.CounterPager = newPager(r, "counters", "counters", n, len(v.Counters), -1, more)
	return nil
}
