package budget

import (
	"encoding/json"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// number is a decimal that is written as a JSON number with its exact text.
type number decimal.Decimal

func (n number) MarshalJSON() ([]byte, error) { return []byte(decimal.Decimal(n).String()), nil }

func optionalNumber(d decimal.Decimal) *number {
	if d.IsZero() {
		return nil
	}
	return new(number(d))
}

func numbers(ds []decimal.Decimal) []number {
	ns := make([]number, len(ds))
	for i, d := range ds {
		ns[i] = number(d)
	}
	return ns
}

// budgetJSON is a budget as it is written in JSON and in the audit.
type budgetJSON struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	Description      *string           `json:"description"`
	Metric           usage.Metric      `json:"metric"`
	Limit            number            `json:"limit"`
	CostPerCredit    *number           `json:"cost_per_credit"`
	Schedule         period.Schedule   `json:"schedule"`
	Scope            Scope             `json:"scope"`
	Except           Except            `json:"except"`
	StartsAt         *time.Time        `json:"starts_at"`
	EndsAt           *time.Time        `json:"ends_at"`
	AllowedResources []string          `json:"allowed_resources"`
	Enforcement      Enforcement       `json:"enforcement"`
	MinHold          *number           `json:"min_hold"`
	WarningPercent   number            `json:"warning_percent"`
	CriticalPercent  number            `json:"critical_percent"`
	ExtraPercents    []number          `json:"extra_percents"`
	Enabled          bool              `json:"enabled"`
	Owner            string            `json:"owner"`
	CreatedBy        string            `json:"created_by"`
	Labels           map[string]string `json:"labels"`
	Metadata         json.RawMessage   `json:"metadata"`
	Version          int64             `json:"version,omitempty"`
	CreatedAt        *time.Time        `json:"created_at,omitempty"`
	UpdatedAt        *time.Time        `json:"updated_at,omitempty"`
}

func newBudgetJSON(b *Budget) budgetJSON {
	metadata := b.Metadata
	if len(metadata) == 0 {
		metadata = json.RawMessage("{}")
	}
	return budgetJSON{
		ID: b.ID, Name: b.Name, Description: b.Description,
		Metric: b.Metric, Limit: number(b.Limit), CostPerCredit: optionalNumber(b.CostPerCredit),
		Schedule: b.Schedule, Scope: orEmpty(b.Scope), Except: orEmpty(b.Except),
		StartsAt: optionalTime(b.StartsAt), EndsAt: optionalTime(b.EndsAt),
		AllowedResources: append([]string{}, b.AllowedResources...),
		Enforcement:      b.Enforcement, MinHold: optionalNumber(b.MinHold),
		WarningPercent:  number(b.Thresholds.WarningPercent()),
		CriticalPercent: number(b.Thresholds.CriticalPercent()),
		ExtraPercents:   numbers(b.Thresholds.Extra),
		Enabled:         !b.Disabled,
		Owner:           b.Owner, CreatedBy: b.CreatedBy, Labels: orEmpty(b.Labels), Metadata: metadata,
		Version: b.Version, CreatedAt: optionalTime(b.CreatedAt), UpdatedAt: optionalTime(b.UpdatedAt),
	}
}

// orEmpty returns m, and for nil an empty map, so that both are written alike.
func orEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// MarshalJSON writes b with all its defaults filled in; amounts are numbers with their exact text.
func (b Budget) MarshalJSON() ([]byte, error) { return json.Marshal(newBudgetJSON(&b)) }

// fieldsOf returns what can be changed of a budget, and its id, by the names that they have in JSON; nil for nil.
func fieldsOf(b *Budget) map[string]json.RawMessage {
	if b == nil {
		return nil
	}
	written := newBudgetJSON(b)
	written.Version, written.CreatedAt, written.UpdatedAt = 0, nil, nil
	return fieldsIn(written)
}

// fieldsIn returns the members of what is written as a JSON object and was validated.
func fieldsIn(v any) map[string]json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic("purser: what was validated can't be written: " + err.Error())
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		panic("purser: what was written can't be read: " + err.Error())
	}
	return fields
}

type statusJSON struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Value       Value           `json:"value"`
	Metric      usage.Metric    `json:"metric"`
	Limit       number          `json:"limit"`
	Used        number          `json:"used"`
	Recorded    number          `json:"recorded"`
	Adjusted    number          `json:"adjusted"`
	Reserved    number          `json:"reserved"`
	Remaining   number          `json:"remaining"`
	Available   number          `json:"available"`
	Percent     number          `json:"percent"`
	Level       alert.Level     `json:"level"`
	OverLimit   bool            `json:"over_limit"`
	Enabled     bool            `json:"enabled"`
	Enforcement Enforcement     `json:"enforcement"`
	Schedule    period.Schedule `json:"schedule"`
	PeriodStart time.Time       `json:"period_start"`
	PeriodEnd   time.Time       `json:"period_end"` // exclusive
	Denied      int64           `json:"denied"`
	WouldDeny   int64           `json:"would_deny"`
	Leased      number          `json:"leased"`
	Expired     int64           `json:"expired"`
	ExpiredHeld number          `json:"expired_held"`
}

// MarshalJSON writes s flat, with the budget's id, name and metric; amounts are numbers with their exact text, the
// period's end is exclusive.
func (s Status) MarshalJSON() ([]byte, error) { return json.Marshal(newStatusJSON(&s)) }

// MarshalJSON writes r as its status, and how many counters there are.
func (r Row) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		statusJSON
		Counters int `json:"counters"`
	}{newStatusJSON(&r.Status), r.Counters})
}

func newStatusJSON(s *Status) statusJSON {
	b := s.Budget
	return statusJSON{
		ID: b.ID, Name: b.Name, Value: s.Value, Metric: b.Metric, Limit: number(b.Limit),
		Used: number(s.Used), Recorded: number(s.Recorded), Adjusted: number(s.Adjusted), Reserved: number(s.Reserved),
		Remaining: number(s.Remaining), Available: number(s.Available),
		Percent: number(s.Percent), Level: s.Level, OverLimit: s.OverLimit,
		Enabled: !b.Disabled, Enforcement: b.Enforcement, Schedule: b.Schedule,
		PeriodStart: s.Period.Start, PeriodEnd: s.Period.End, Denied: s.Denied, WouldDeny: s.WouldDeny,
		Leased: number(s.Leased), Expired: s.Expired, ExpiredHeld: number(s.ExpiredHeld),
	}
}

type verdictJSON struct {
	statusJSON
	Requested number `json:"requested"`
	Unknown   bool   `json:"unknown"`
	Reason    Reason `json:"reason"`
	Refused   bool   `json:"refused"`
}

// MarshalJSON writes v as its status, with what was requested and what came of it.
func (v Verdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(verdictJSON{newStatusJSON(&v.Status), number(v.Requested), v.Unknown, v.Reason, v.Refused})
}

// MarshalJSON writes d with whether the request is admitted, and the verdicts.
func (d Decision) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Admitted bool      `json:"admitted"`
		At       time.Time `json:"at"`
		Budgets  []Verdict `json:"budgets"`
	}{d.Admitted(), d.At, append([]Verdict{}, d.Verdicts...)})
}

type refusalJSON struct {
	Budget    string       `json:"budget"`
	Name      string       `json:"name"`
	Scope     Scope        `json:"scope"`
	Value     Value        `json:"value"`
	Metric    usage.Metric `json:"metric"`
	Limit     number       `json:"limit"`
	Used      number       `json:"used"`
	Reserved  number       `json:"reserved"`
	Requested number       `json:"requested"`
	Fits      number       `json:"fits"`
	ResetsAt  time.Time    `json:"resets_at"`
}

func newRefusalJSON(r *Refusal) refusalJSON {
	return refusalJSON{
		Budget: r.Budget, Name: r.Name, Scope: r.Scope, Value: r.Value, Metric: r.Metric,
		Limit: number(r.Limit), Used: number(r.Used), Reserved: number(r.Reserved),
		Requested: number(r.Requested), Fits: number(r.Fits), ResetsAt: r.ResetsAt,
	}
}

// MarshalJSON writes r; amounts are numbers with their exact text.
func (r Refusal) MarshalJSON() ([]byte, error) { return json.Marshal(newRefusalJSON(&r)) }

// MarshalJSON writes e as the refusal of the budget that resets last, and all of them.
func (e *ExceededError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		refusalJSON
		Refusals []Refusal `json:"refusals"`
	}{newRefusalJSON(&e.Refusal), e.Refusals})
}
