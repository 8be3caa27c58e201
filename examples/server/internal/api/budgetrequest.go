package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A budgetRequest is what a body says of a budget. What depends on the budget that is stored is looked at later.
type budgetRequest struct {
	any     bool                   // the body has a member
	sent    []string               // the members of a budget's that are there, by name
	changes []func(*budget.Budget) // of those that can be set at any time

	metric    usage.Metric // "": not given
	user, key string       // "": not given
	scope     budget.Scope // nil: not given
	schedule  scheduleRequest

	version       int64   // 0: not given
	id, createdAt *string // nil: not given
	createdBy     string  // "": not given
}

// A memberReader reads one member of a budget.
type memberReader func(q *budgetRequest, name string, value json.RawMessage) error

// budgetMembers are what a request can say of a budget.
var budgetMembers = map[string]memberReader{
	"name":        member(jsonread.Text, func(b *budget.Budget) *string { return &b.Name }),
	"description": nullable(readOptionalText, func(b *budget.Budget) **string { return &b.Description }),
	"budget_type": func(q *budgetRequest, name string, value json.RawMessage) error {
		return readChoice(name, value, &q.metric, usage.Metrics())
	},
	"limit_amount":    member(readDecimal, func(b *budget.Budget) *decimal.Decimal { return &b.Limit }),
	"cost_per_credit": nullable(readRate, func(b *budget.Budget) *decimal.Decimal { return &b.CostPerCredit }),
	"min_hold":        nullable(readDecimal, func(b *budget.Budget) *decimal.Decimal { return &b.MinHold }),
	"period_type": func(q *budgetRequest, name string, value json.RawMessage) error {
		return readChoice(name, value, &q.schedule.kind, period.Kinds())
	},
	"time_zone": func(q *budgetRequest, name string, value json.RawMessage) error {
		return q.schedule.readZone(name, value)
	},
	"schedule": func(q *budgetRequest, name string, value json.RawMessage) error {
		return q.schedule.readWhole(name, value)
	},
	"user_id": func(q *budgetRequest, name string, value json.RawMessage) error {
		return errors.Join(jsonread.Text(name, value, &q.user), invalid.OptionalName(name, q.user))
	},
	"api_key_id": func(q *budgetRequest, name string, value json.RawMessage) error {
		return errors.Join(jsonread.Text(name, value, &q.key), invalid.OptionalName(name, q.key))
	},
	"scope": func(q *budgetRequest, name string, value json.RawMessage) error {
		return readScope(name, value, &q.scope)
	},
	"except":     member(readExcept, func(b *budget.Budget) *budget.Except { return &b.Except }),
	"starts_at":  nullable(readInstant, func(b *budget.Budget) *time.Time { return &b.StartsAt }),
	"ends_at":    nullable(readInstant, func(b *budget.Budget) *time.Time { return &b.EndsAt }),
	"is_enabled": member(readNot, func(b *budget.Budget) *bool { return &b.Disabled }),
	"enforcement": member(readEnforcement, func(b *budget.Budget) *budget.Enforcement {
		return &b.Enforcement
	}),
	"alert_threshold_percent": member(readPercent, func(b *budget.Budget) **decimal.Decimal { return &b.Thresholds.Warning }),
	"critical_percent":        member(readPercent, func(b *budget.Budget) **decimal.Decimal { return &b.Thresholds.Critical }),
	"extra_percents":          member(readDecimals, func(b *budget.Budget) *[]decimal.Decimal { return &b.Thresholds.Extra }),
	"allowed_resources":       member(readTexts, func(b *budget.Budget) *[]string { return &b.AllowedResources }),
	"labels":                  member(jsonread.Texts, func(b *budget.Budget) *map[string]string { return &b.Labels }),
	"metadata": func(q *budgetRequest, name string, value json.RawMessage) error {
		metadata, err := readMetadata(name, value)
		q.changes = append(q.changes, func(b *budget.Budget) {
			if !sameJSON(b.Metadata, metadata) {
				b.Metadata = metadata
			}
		})
		return err
	},
}

// keptMembers are those of a budget as it is read that a PUT may have if they are as they are stored.
var keptMembers = map[string]memberReader{
	"id": func(q *budgetRequest, name string, value json.RawMessage) error {
		return readKept(name, value, &q.id)
	},
	"created_at": func(q *budgetRequest, name string, value json.RawMessage) error {
		return readKept(name, value, &q.createdAt)
	},
	"created_by": func(q *budgetRequest, name string, value json.RawMessage) error {
		return jsonread.Text(name, value, &q.createdBy)
	},
	"version": func(q *budgetRequest, name string, value json.RawMessage) error {
		return readVersion(name, value, &q.version)
	},
}

// computedMembers are those of a budget as it is read that a PUT passes over.
var computedMembers = []string{
	"period_start", "period_end", "current_usage", "usage_percentage", "updated_at",
	"value", "counters", "level", "reserved", "available", "denied", "would_deny",
}

// member reads what must not be null.
func member[T any](
	read func(name string, value json.RawMessage, to *T) error, of func(*budget.Budget) *T,
) memberReader {
	return func(q *budgetRequest, name string, value json.RawMessage) error {
		if jsonread.IsNull(value) {
			return errNull(name)
		}
		return nullable(read, of)(q, name, value)
	}
}

// nullable reads what null clears.
func nullable[T any](
	read func(name string, value json.RawMessage, to *T) error, of func(*budget.Budget) *T,
) memberReader {
	return func(q *budgetRequest, name string, value json.RawMessage) error {
		var v T
		if err := read(name, value, &v); err != nil {
			return err
		}
		q.changes = append(q.changes, func(b *budget.Budget) { *of(b) = v })
		return nil
	}
}

// readCreate reads a budget that is to be made by a caller.
func (q *budgetRequest) readCreate(c *call) (budget.Budget, error) {
	found := c.object(q.readMember)
	if found != nil && !q.any {
		return budget.Budget{}, found
	}
	for _, name := range []string{"name", "budget_type", "limit_amount", "period_type"} {
		if !slices.Contains(q.sent, name) {
			found = errors.Join(found, invalid.Field(name, "is required"))
		}
	}
	if q.scope != nil && (q.user != "" || q.key != "") {
		found = errors.Join(found, invalid.Field("scope", "must not be there beside user_id or api_key_id"))
	}
	b, err := q.budget(c.caller)
	named := b
	if q.scope == nil {
		named.Scope = nil // it is made of user_id and api_key_id
	}
	return b, alsoFound(errors.Join(found, err), named.Validate())
}

// budget returns the budget that a caller asks for.
func (q *budgetRequest) budget(caller *access.Caller) (budget.Budget, error) {
	b := budget.Budget{Metric: q.metric, Scope: q.scope, Enforcement: budget.Hard, Metadata: json.RawMessage("{}")}
	if q.scope == nil {
		b.Owner = q.user
		if b.Owner == "" {
			b.Owner = caller.User
		}
		b.Scope = budget.Scope{usage.User: budget.Selector(b.Owner)}
		if q.key != "" {
			b.Scope = budget.Scope{usage.APIKey: budget.Selector(q.key)}
		}
	}
	for _, change := range q.changes {
		change(&b)
	}
	var scopeErr, scheduleErr error
	b.Scope, scopeErr = scopeOf(caller, b.Scope)
	b.Schedule, scheduleErr = q.schedule.of(b.Schedule)
	return b, errors.Join(scopeErr, scheduleErr)
}

// scopeOf returns a scope that a caller names: that of a tenant's caller is within the tenant.
func scopeOf(caller *access.Caller, scope budget.Scope) (budget.Scope, error) {
	if caller.Platform() {
		return scope, nil
	}
	tenant := budget.Selector(caller.Tenant)
	if named, ok := scope[usage.Tenant]; ok && named != tenant {
		return scope, invalid.Field("scope.tenant", "must be %q, the tenant of the token", caller.Tenant)
	}
	scope = maps.Clone(scope)
	scope[usage.Tenant] = tenant
	return scope, nil
}

// readUpdate reads what is to be changed of a budget.
func (q *budgetRequest) readUpdate(c *call) error {
	found := c.object(func(name string, value json.RawMessage) error {
		if slices.Contains(computedMembers, name) {
			return nil
		}
		if read := keptMembers[name]; read != nil {
			return read(q, name, value)
		}
		return q.readMember(name, value)
	})
	if q.scope != nil {
		var err error
		q.scope, err = scopeOf(c.caller, q.scope)
		found = errors.Join(found, err)
	}
	// Whatever budget it is for, most of a request can be seen to be wrong.
	b := budget.Budget{Name: "name", Metric: usage.Credits, Limit: decimal.NewFromInt(1)}
	for _, change := range q.changes {
		change(&b)
	}
	if !b.Limit.IsPositive() {
		found = errors.Join(found, invalid.Field("limit_amount", "must be greater than 0"))
	}
	if b.MinHold.IsNegative() {
		found = errors.Join(found, invalid.Field("min_hold", "must not be negative"))
	}
	b.Scope = q.scope
	b.Limit, b.MinHold, b.Except = decimal.NewFromInt(1), decimal.Zero, nil // what these may be, the stored budget says
	return alsoFound(found, b.Validate())
}

func (q *budgetRequest) readMember(name string, value json.RawMessage) error {
	q.any = true
	read := budgetMembers[name]
	if read == nil {
		return jsonread.UnknownMember(name)
	}
	q.sent = append(q.sent, name)
	return read(q, name, value)
}

// rescopes reports whether the request makes a budget without owner limit others than it does.
func (q *budgetRequest) rescopes(b *budget.Budget) bool {
	return q.scope != nil && b.Owner == "" && !maps.Equal(q.scope, b.Scope)
}

// applyTo changes b as the request says. It refuses what can't be changed.
func (q *budgetRequest) applyTo(b *budget.Budget) error {
	var errs []error
	keep := func(name string, same bool) {
		if !same {
			errs = append(errs, invalid.Field(name, "can't be changed"))
		}
	}
	keep("budget_type", q.metric == "" || q.metric == b.Metric)
	keep("user_id", q.user == "" || q.user == b.Owner)
	keep("api_key_id", q.key == "" || q.key == keyOf(b))
	keep("id", q.id == nil || *q.id == b.ID)
	keep("created_at", q.createdAt == nil || isTime(*q.createdAt, b.CreatedAt))
	keep("created_by", q.createdBy == "" || q.createdBy == b.CreatedBy)
	if q.scope != nil {
		if b.Owner != "" && !maps.Equal(q.scope, b.Scope) {
			errs = append(errs, invalid.Field("scope", "can't be changed of a budget that has a user_id"))
		}
		b.Scope = q.scope
	}
	for _, change := range q.changes {
		change(b)
	}
	var err error
	b.Schedule, err = q.schedule.of(b.Schedule)
	return alsoFound(errors.Join(append(errs, err)...), b.Validate())
}

// A scheduleRequest is what a body says of a budget's schedule: by its kind and its zone, or as a whole.
type scheduleRequest struct {
	kind  period.Kind      // "": not given
	zone  string           // "": not given
	whole *period.Schedule // nil: not given
}

func (q *scheduleRequest) readZone(name string, value json.RawMessage) error {
	if jsonread.IsNull(value) {
		return errNull(name)
	}
	var zone string
	if err := jsonread.Text(name, value, &zone); err != nil {
		return err
	}
	_, err := period.Monthly.InZone(zone)
	if err == nil {
		q.zone = zone
	}
	return err
}

func (q *scheduleRequest) readWhole(name string, value json.RawMessage) error {
	if jsonread.IsNull(value) {
		return errNull(name)
	}
	// Members are read in the order of their names: period_type is known.
	var members map[string]json.RawMessage
	if q.kind != "" && json.Unmarshal(value, &members) == nil && members != nil && members["period"] == nil {
		members["period"] = mustMarshal(q.kind)
		value = mustMarshal(members)
	}
	var s period.Schedule
	if err := s.UnmarshalJSON(value); err != nil {
		var errs []error
		for _, f := range invalid.Fields(err) {
			errs = append(errs, invalid.Field(name+"."+f.Field, "%s", f.Message))
		}
		return errors.Join(errs...)
	}
	q.whole = &s
	return nil
}

// of returns the schedule that is meant, of a budget that has this one. Who sends all that they have read changes it by
// changing one of the three: those that are as they are stored say nothing.
func (q *scheduleRequest) of(stands period.Schedule) (period.Schedule, error) {
	s := stands
	changed := q.whole != nil && *q.whole != stands
	if changed {
		s = *q.whole
	}
	if q.kind != "" && q.kind != s.Kind() && q.kind != stands.Kind() {
		if changed {
			return s, invalid.Field("period_type", "is %s, the schedule is %s", q.kind, s.Kind())
		}
		standard, ok := standardSchedules[q.kind]
		if !ok {
			return s, invalid.Field("schedule", "must be there for the period_type %s", q.kind)
		}
		s = standard.In(stands.Location())
	}
	if q.zone != "" && q.zone != s.Zone() && q.zone != stands.Zone() {
		if changed && s.Zone() != "UTC" && s.Zone() != stands.Zone() {
			return s, invalid.Field("time_zone", "is %s, that of the schedule is %s", q.zone, s.Zone())
		}
		return s.InZone(q.zone)
	}
	return s, nil
}

var standardSchedules = map[period.Kind]period.Schedule{
	period.KindHourly: period.Hourly, period.KindDaily: period.Daily, period.KindWeekly: period.Weekly,
	period.KindMonthly: period.Monthly, period.KindQuarterly: period.Quarterly, period.KindYearly: period.Yearly,
	period.KindLifetime: period.Lifetime,
}

// ledgerFields are the fields that have another name here than in a budget of the ledger.
var ledgerFields = map[string]string{
	"limit": "limit_amount", "metric": "budget_type", "warning_percent": "alert_threshold_percent", "owner": "user_id",
}

// alsoFound adds to what was found wrong with a request what the ledger says of it, but for fields of which something is said
// already.
func alsoFound(found, ledger error) error {
	known := make(map[string]bool)
	for _, f := range invalid.Fields(found) {
		known[f.Field] = true
	}
	errs := []error{found}
	for _, f := range invalid.Fields(ledger) {
		name := f.Field
		if ours, ok := ledgerFields[name]; ok {
			name = ours
		}
		if !known[name] {
			errs = append(errs, invalid.Field(name, "%s", f.Message))
		}
	}
	return errors.Join(errs...)
}

func errNull(name string) error { return invalid.Field(name, "must not be null") }

// readChoice reads one of some texts.
func readChoice[T ~string](name string, value json.RawMessage, to *T, choices []T) error {
	if jsonread.IsNull(value) {
		return errNull(name)
	}
	var text string
	if err := jsonread.Text(name, value, &text); err != nil {
		return err
	}
	if !slices.Contains(choices, T(text)) {
		return invalid.Field(name, "must be one of %v", choices)
	}
	*to = T(text)
	return nil
}

func readEnforcement(name string, value json.RawMessage, to *budget.Enforcement) error {
	return readChoice(name, value, to, []budget.Enforcement{budget.Hard, budget.Soft, budget.Observe})
}

// readDecimal reads an amount. null leaves it as it is.
func readDecimal(name string, value json.RawMessage, to *decimal.Decimal) error {
	if jsonread.IsNull(value) {
		return nil
	}
	d, err := usage.ParseJSONDecimal(value)
	if err != nil {
		return invalid.Field(name, "%v", err)
	}
	*to = d
	return nil
}

// minRate is the lowest cost of a credit. Anybody who may make budgets could else make one whose counter little usage fills,
// and usage that a budget can't count is not recorded.
var minRate = decimal.New(1, -6)

func readRate(name string, value json.RawMessage, to *decimal.Decimal) error {
	err := readDecimal(name, value, to)
	if err == nil && to.IsPositive() && to.LessThan(minRate) {
		return invalid.Field(name, "must be at least %s", minRate)
	}
	return err
}

// readOptionalText reads a text, which may be empty, or that there is none.
func readOptionalText(name string, value json.RawMessage, to **string) error {
	if jsonread.IsNull(value) {
		*to = nil
		return nil
	}
	*to = new(string)
	return jsonread.Text(name, value, *to)
}

func readPercent(name string, value json.RawMessage, to **decimal.Decimal) error {
	*to = new(decimal.Decimal)
	return readDecimal(name, value, *to)
}

// readItems reads a list.
func readItems[T any](
	name string, value json.RawMessage, to *[]T, read func(name string, value json.RawMessage, to *T) error,
) error {
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return invalid.Field(name, "must be a list")
	}
	list := make([]T, len(items))
	var errs []error
	for i, item := range items {
		field := fmt.Sprintf("%s[%d]", name, i)
		if jsonread.IsNull(item) {
			errs = append(errs, errNull(field))
			continue
		}
		errs = append(errs, read(field, item, &list[i]))
	}
	*to = list
	return errors.Join(errs...)
}

func readDecimals(name string, value json.RawMessage, to *[]decimal.Decimal) error {
	return readItems(name, value, to, readDecimal)
}

func readTexts(name string, value json.RawMessage, to *[]string) error {
	return readItems(name, value, to, jsonread.Text)
}

// readBool reads true or false, and nothing that could be taken for them.
func readBool(name string, value json.RawMessage, to *bool) error {
	switch string(value) {
	case "true":
		*to = true
	case "false":
		*to = false
	default:
		return invalid.Field(name, "must be true or false")
	}
	return nil
}

func readNot(name string, value json.RawMessage, to *bool) error {
	var is bool
	err := readBool(name, value, &is)
	*to = !is
	return err
}

// readInstant reads a time. null leaves it as it is.
func readInstant(name string, value json.RawMessage, to *time.Time) error {
	if jsonread.IsNull(value) {
		return nil
	}
	if err := jsonread.Time(name, value, to); err != nil {
		return err
	}
	if to.IsZero() {
		return invalid.Field(name, "must be from 1980 to 2199") // else it would mean that there is none
	}
	return nil
}

// readMetadata reads an object of whatever there is, and leaves out the blanks between.
func readMetadata(name string, value json.RawMessage) (json.RawMessage, error) {
	if value[0] != '{' {
		return nil, invalid.Field(name, "must be an object")
	}
	if !jsonread.Faithful(value) {
		return nil, invalid.Field(name, "is not valid Unicode")
	}
	var text bytes.Buffer
	if err := json.Compact(&text, value); err != nil {
		return nil, invalid.Field(name, "must be an object")
	}
	return text.Bytes(), nil
}

// sameJSON reports whether two JSON texts say the same, which must be such that every character can be held.
func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return decodeExactly(a, &x) == nil && decodeExactly(b, &y) == nil && reflect.DeepEqual(x, y)
}

// decodeExactly decodes numbers as they are written.
func decodeExactly(text []byte, to *any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(to)
}

func readScope(name string, value json.RawMessage, to *budget.Scope) error {
	var dimensions map[string]json.RawMessage
	if !jsonread.Faithful(value) || json.Unmarshal(value, &dimensions) != nil || dimensions == nil {
		return invalid.Field(name, "must be an object")
	}
	scope := make(budget.Scope)
	var errs []error
	for _, d := range slices.Sorted(maps.Keys(dimensions)) {
		selector, err := readSelector(name+"."+d, dimensions[d])
		errs = append(errs, err)
		scope[usage.Dimension(d)] = selector
	}
	*to = scope
	return errors.Join(errs...)
}

func readSelector(name string, value json.RawMessage) (budget.Selector, error) {
	if value[0] == '"' {
		var text string
		err := jsonread.Text(name, value, &text)
		return budget.Selector(text), errors.Join(err, invalid.Name(name, text))
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil || len(members) != 1 || string(members["each"]) != "true" {
		return "", invalid.Field(name, `must be a text or {"each": true}`)
	}
	return budget.Each, nil
}

func readExcept(name string, value json.RawMessage, to *budget.Except) error {
	var dimensions map[string]json.RawMessage
	if !jsonread.Faithful(value) || json.Unmarshal(value, &dimensions) != nil {
		return invalid.Field(name, "must be an object")
	}
	except := make(budget.Except)
	var errs []error
	for _, d := range slices.Sorted(maps.Keys(dimensions)) {
		var values []string
		if jsonread.IsNull(dimensions[d]) {
			errs = append(errs, errNull(name+"."+d))
		} else {
			errs = append(errs, readTexts(name+"."+d, dimensions[d], &values))
		}
		except[usage.Dimension(d)] = values
	}
	*to = except
	return errors.Join(errs...)
}

func readKept(name string, value json.RawMessage, to **string) error {
	if jsonread.IsNull(value) {
		return errNull(name)
	}
	*to = new(string)
	return jsonread.Text(name, value, *to)
}

func readVersion(name string, value json.RawMessage, to *int64) error {
	d, err := usage.ParseJSONDecimal(value)
	n, unitsErr := usage.Units(d, 0)
	if err != nil || unitsErr != nil || n < 1 {
		return invalid.Field(name, "must be a whole number above 0")
	}
	*to = n
	return nil
}

// isTime reports whether text is this time, in whatever zone.
func isTime(text string, t time.Time) bool {
	u, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && u.Equal(t)
}
