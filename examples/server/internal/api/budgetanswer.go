package api

import (
	"encoding/json"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// budgetSettings are what a request can say of a budget: the audit has them too.
type budgetSettings struct {
	Name             string             `json:"name"`
	Description      *string            `json:"description"`
	Metric           usage.Metric       `json:"budget_type"`
	Limit            number             `json:"limit_amount"`
	CostPerCredit    *number            `json:"cost_per_credit"`
	MinHold          *number            `json:"min_hold"`
	Kind             period.Kind        `json:"period_type"`
	Zone             string             `json:"time_zone"`
	Schedule         period.Schedule    `json:"schedule"`
	User             *string            `json:"user_id"`
	APIKey           *string            `json:"api_key_id"`
	Scope            budget.Scope       `json:"scope"`
	Except           budget.Except      `json:"except"`
	StartsAt         *time.Time         `json:"starts_at"`
	EndsAt           *time.Time         `json:"ends_at"`
	Enabled          bool               `json:"is_enabled"`
	Enforcement      budget.Enforcement `json:"enforcement"`
	WarningPercent   number             `json:"alert_threshold_percent"`
	CriticalPercent  number             `json:"critical_percent"`
	ExtraPercents    []number           `json:"extra_percents"`
	AllowedResources []string           `json:"allowed_resources"`
	Labels           map[string]string  `json:"labels"`
	Metadata         json.RawMessage    `json:"metadata"`
}

func settingsOf(b *budget.Budget) budgetSettings {
	s := budgetSettings{
		Name: b.Name, Description: b.Description,
		Metric: b.Metric, Limit: number(b.Limit),
		CostPerCredit: positiveNumber(b.CostPerCredit), MinHold: positiveNumber(b.MinHold),
		Kind: b.Schedule.Kind(), Zone: b.Schedule.Zone(), Schedule: b.Schedule,
		User: optionalText(b.Owner), APIKey: optionalText(keyOf(b)),
		Scope: orEmpty(b.Scope), Except: orEmpty(b.Except),
		StartsAt: optionalTime(b.StartsAt), EndsAt: optionalTime(b.EndsAt),
		Enabled: !b.Disabled, Enforcement: b.Enforcement,
		WarningPercent: number(b.Thresholds.WarningPercent()), CriticalPercent: number(b.Thresholds.CriticalPercent()),
		ExtraPercents:    make([]number, len(b.Thresholds.Extra)),
		AllowedResources: append([]string{}, b.AllowedResources...),
		Labels:           orEmpty(b.Labels), Metadata: b.Metadata,
	}
	for i, percent := range b.Thresholds.Extra {
		s.ExtraPercents[i] = number(percent)
	}
	if len(s.Metadata) == 0 {
		s.Metadata = json.RawMessage("{}")
	}
	return s
}

// members returns the settings of these names.
func (s budgetSettings) members(names []string) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(mustMarshal(s), &all); err != nil {
		panic("purser: what was written can't be read: " + err.Error())
	}
	some := make(map[string]json.RawMessage, len(names))
	for _, name := range names {
		some[name] = all[name]
	}
	return some
}

// keyOf returns the API key that an owner's budget is about, "" if it is about none.
func keyOf(b *budget.Budget) string {
	if key := b.Scope[usage.APIKey]; b.Owner != "" && key != budget.Each {
		return string(key)
	}
	return ""
}

// budgetAnswer is a budget as it is read. The figures are those of the running period, and of the counter in which most is used
// where there are several.
type budgetAnswer struct {
	ID string `json:"id"`
	budgetSettings
	PeriodStart     time.Time    `json:"period_start"`
	PeriodEnd       *time.Time   `json:"period_end"`
	CurrentUsage    number       `json:"current_usage"`
	UsagePercentage number       `json:"usage_percentage"`
	Value           budget.Value `json:"value"`    // which counter; null without each
	Counters        *int         `json:"counters"` // how many there are; null without each
	Level           alert.Level  `json:"level"`
	Reserved        number       `json:"reserved"`
	Available       number       `json:"available"`
	Denied          int64        `json:"denied"`
	WouldDeny       int64        `json:"would_deny"`
	Version         int64        `json:"version"`
	CreatedBy       *string      `json:"created_by"`
	CreatedAt       time.Time    `json:"created_at"`
	UpdatedAt       time.Time    `json:"updated_at"`
}

func newBudgetAnswer(row *budget.Row, now time.Time) budgetAnswer {
	b := &row.Budget
	start, end := shownPeriod(row, now)
	return budgetAnswer{
		ID: b.ID, budgetSettings: settingsOf(b),
		PeriodStart: start, PeriodEnd: end,
		CurrentUsage: number(row.Used), UsagePercentage: number(row.Percent),
		Value: row.Value, Counters: countersOf(row),
		Level: row.Level, Reserved: number(row.Reserved), Available: number(row.Available),
		Denied: row.Denied, WouldDeny: row.WouldDeny,
		Version: b.Version, CreatedBy: optionalText(b.CreatedBy),
		CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt,
	}
}

func countersOf(row *budget.Row) *int {
	if len(row.Budget.Scope.EachDimensions()) == 0 {
		return nil
	}
	return &row.Counters
}

// periodOf returns the period of which the row's figures are.
func periodOf(row *budget.Row, now time.Time) period.Bounds {
	if !row.Period.IsZero() {
		now = row.Period.Start
	}
	return row.Budget.Schedule.Bounds(now)
}

// shownPeriod returns the running period's start and its last microsecond. A lifetime begins with the budget, and has no end.
func shownPeriod(row *budget.Row, now time.Time) (start time.Time, end *time.Time) {
	b := &row.Budget
	if b.Schedule.Kind() != period.KindLifetime {
		bounds := periodOf(row, now)
		return bounds.Start, new(bounds.Last())
	}
	if !b.StartsAt.IsZero() {
		return b.StartsAt, nil
	}
	return b.CreatedAt, nil
}

// usageAnswer is what a budget has used.
type usageAnswer struct {
	ID              string            `json:"budget_id"`
	CurrentUsage    number            `json:"current_usage"`
	Limit           number            `json:"limit_amount"`
	UsagePercentage number            `json:"usage_percentage"`
	Remaining       number            `json:"remaining_amount"`
	PeriodStart     time.Time         `json:"period_start"`
	PeriodEnd       *time.Time        `json:"period_end"`
	IsExceeded      bool              `json:"is_exceeded"`
	DaysRemaining   *int              `json:"days_remaining"`
	ProjectedUsage  *number           `json:"projected_usage"`
	History         []dayAnswer       `json:"usage_history"` // null where events are needed that were pruned
	Projection      *usage.Projection `json:"projection"`    // null where each value has its own, and there is none as yet

	Value       budget.Value `json:"value"`
	Counters    *int         `json:"counters"`
	Level       alert.Level  `json:"level"`
	Recorded    number       `json:"recorded"`
	Adjusted    number       `json:"adjusted"`
	Reserved    number       `json:"reserved"`
	Leased      number       `json:"leased"`
	Available   number       `json:"available"`
	Denied      int64        `json:"denied"`
	WouldDeny   int64        `json:"would_deny"`
	Expired     int64        `json:"expired"`
	ExpiredHeld number       `json:"expired_held"`
}

func newUsageAnswer(row *budget.Row, now time.Time) usageAnswer {
	start, end := shownPeriod(row, now)
	u := usageAnswer{
		ID: row.Budget.ID, CurrentUsage: number(row.Used), Limit: number(row.Budget.Limit),
		UsagePercentage: number(row.Percent), Remaining: number(row.Remaining),
		PeriodStart: start, PeriodEnd: end, IsExceeded: row.OverLimit,
		Value: row.Value, Counters: countersOf(row), Level: row.Level,
		Recorded: number(row.Recorded), Adjusted: number(row.Adjusted),
		Reserved: number(row.Reserved), Leased: number(row.Leased), Available: number(row.Available),
		Denied: row.Denied, WouldDeny: row.WouldDeny,
		Expired: row.Expired, ExpiredHeld: number(row.ExpiredHeld),
	}
	if row.Budget.Schedule.Kind() != period.KindLifetime {
		bounds := periodOf(row, now)
		u.DaysRemaining = new(daysRemaining(&row.Budget, bounds, now))
		if projected, ok := usage.ProjectByDay(row.Used, bounds, now); ok && *u.DaysRemaining > 0 {
			u.ProjectedUsage = (*number)(&projected)
		}
	}
	return u
}

// daysRemaining is 0 for what has no whole days, also on a day of 25 hours.
func daysRemaining(b *budget.Budget, bounds period.Bounds, now time.Time) int {
	if kind := b.Schedule.Kind(); kind == period.KindHourly || kind == period.KindDaily {
		return 0
	}
	return bounds.DaysRemaining(now)
}

// dayAnswer is what was used on a day.
type dayAnswer struct {
	Date     string `json:"date"`
	Used     number `json:"usage"`
	Tokens   int64  `json:"tokens"`
	Cost     number `json:"cost_dollars"`
	Requests int64  `json:"requests"`
}

// historySpan is today, the 30 days before it, and tomorrow: usage may be some minutes ahead.
func historySpan(now time.Time, zone *time.Location) period.Bounds {
	days := period.Daily.In(zone)
	span := days.Bounds(now)
	span.End = days.Next(now).End
	for range 30 {
		span.Start = days.Previous(span.Start).Start
	}
	return span
}

func newDayAnswers(points []budget.HistoryPoint, zone *time.Location) []dayAnswer {
	days := make([]dayAnswer, len(points))
	for i, p := range points {
		days[i] = dayAnswer{
			Date: p.Start.In(zone).Format(time.DateOnly), Used: number(p.Used),
			Tokens: p.TotalTokens, Cost: number(p.Cost()), Requests: p.Requests,
		}
	}
	return days
}

// alertAnswer is the level that a budget has reached.
type alertAnswer struct {
	ID              string      `json:"budget_id"`
	Name            string      `json:"budget_name"`
	Level           alert.Level `json:"alert_type"`
	CurrentUsage    number      `json:"current_usage"`
	Limit           number      `json:"limit_amount"`
	UsagePercentage number      `json:"usage_percentage"`
	Message         string      `json:"message"`
}

// newAlertAnswers returns the one level that the budget has reached, or none.
func newAlertAnswers(row *budget.Row) []alertAnswer {
	if row.Level == alert.OK {
		return []alertAnswer{}
	}
	b := &row.Budget
	return []alertAnswer{{
		ID: b.ID, Name: b.Name, Level: row.Level, CurrentUsage: number(row.Used), Limit: number(b.Limit),
		UsagePercentage: number(row.Percent), Message: alert.Message(b.Name, row.Level, row.Used, b.Limit),
	}}
}

// positiveNumber returns null for 0.
func positiveNumber(d decimal.Decimal) *number {
	if d.IsZero() {
		return nil
	}
	return (*number)(&d)
}
