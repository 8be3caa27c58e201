package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A value is a flag that is read by a function.
type value[T any] struct {
	to    *T
	kind  string // what the help calls it
	parse func(string) (T, error)
	show  func(T) string
}

func (v value[T]) Set(text string) error {
	parsed, err := v.parse(text)
	if err == nil {
		*v.to = parsed
	}
	return err
}

func (v value[T]) String() string {
	if v.to == nil || v.show == nil {
		return ""
	}
	return v.show(*v.to)
}

func (v value[T]) Type() string { return v.kind }

func number(to *decimal.Decimal) pflag.Value {
	return value[decimal.Decimal]{to: to, kind: "number", parse: usage.ParseDecimal}
}

func count(to *int64) pflag.Value {
	return value[int64]{to: to, kind: "n", parse: func(text string) (int64, error) {
		d, err := usage.ParseDecimal(text)
		if err != nil {
			return 0, err
		}
		return usage.Units(d, 0)
	}}
}

// most is a flag that says how many there are to be at most.
func most(to *int) pflag.Value {
	return value[int]{to: to, kind: "n", show: strconv.Itoa, parse: func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, errors.New("must be a whole number above 0")
		}
		return n, nil
	}}
}

// repeatable is a flag that may be repeated.
func repeatable[T any](to *[]T, kind string, parse func(string) (T, error)) pflag.Value {
	return value[[]T]{to: to, kind: kind, parse: func(text string) ([]T, error) {
		one, err := parse(text)
		return append(*to, one), err
	}}
}

// duration is a flag for a time that something lasts.
func duration(to *time.Duration) pflag.Value {
	return value[time.Duration]{to: to, kind: "duration", parse: func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return 0, errors.New("must be a time above 0 such as 90s, 15m or 1h30m")
		}
		return d, nil
	}, show: func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}}
}

func metricFlag(to *usage.Metric) pflag.Value {
	return value[usage.Metric]{to: to, kind: "metric", parse: func(text string) (usage.Metric, error) {
		if m := usage.Metric(text); m.Valid() {
			return m, nil
		}
		return "", fmt.Errorf("must be one of %v", usage.Metrics())
	}, show: func(m usage.Metric) string { return string(m) }}
}

// An instant is a time that was named by a text: exactly, or by a date, which is its midnight in a zone yet to be known.
type instant struct {
	time time.Time
	date bool
}

func (i instant) in(zone *time.Location) time.Time {
	if !i.date || zone == nil {
		return i.time
	}
	year, month, day := i.time.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, zone)
}

func instantFlag(to *instant) pflag.Value {
	return value[instant]{to: to, kind: "time", parse: parseInstant}
}

func parseInstant(text string) (instant, error) {
	t, err := time.Parse(time.DateOnly, text)
	date := err == nil
	if !date {
		t, err = intake.ParseTime(text)
	}
	switch {
	case err != nil:
		return instant{}, errors.New("must be a time such as 2026-03-01T09:30:00Z or a date such as 2026-03-01")
	case t.Before(usage.MinTime) || t.After(usage.EndTime):
		return instant{}, errors.New("must lie in the years 1980 to 2199")
	}
	return instant{t, date}, nil
}

// optionalInstant is instantFlag where an empty text means none.
func optionalInstant(to *time.Time) pflag.Value {
	return value[time.Time]{to: to, kind: "time", parse: func(text string) (time.Time, error) {
		if text == "" {
			return time.Time{}, nil
		}
		i, err := parseInstant(text)
		return i.time, err
	}}
}

func zoneFlag(to **time.Location) pflag.Value {
	return value[*time.Location]{to: to, kind: "zone", parse: func(text string) (*time.Location, error) {
		schedule, err := period.Daily.InZone(text)
		return schedule.Location(), flagError(err, "time_zone")
	}}
}

// flagError returns what is wrong without the name of the field that the flag is for: the flag is named already.
func flagError(err error, field string) error {
	findings := budget.FieldErrors(err)
	if len(findings) == 0 {
		return err
	}
	reasons := make([]string, len(findings))
	for i, finding := range findings {
		reasons[i] = strings.TrimPrefix(finding.Error(), field+": ")
	}
	return errors.New(strings.Join(reasons, "; "))
}

// pairs is a flag NAME=VALUE that may be repeated.
type pairs struct {
	read    func(name, value string) error
	show    string
	mayNone bool // an empty text means no pairs at all
}

func (p *pairs) Set(text string) error {
	if text == "" && p.mayNone {
		return nil
	}
	name, value, found := strings.Cut(text, "=")
	if !found || name == "" {
		return fmt.Errorf("must be %s", p.show)
	}
	return p.read(name, value)
}

func (p *pairs) String() string { return "" }

func (p *pairs) Type() string { return p.show }

// into returns a flag that adds pairs to a map and refuses a name that is there twice.
func into[M ~map[K]V, K, V ~string](to *M, show string) *pairs {
	return &pairs{show: show, read: func(name, value string) error {
		if *to == nil {
			*to = make(M)
		}
		if _, twice := (*to)[K(name)]; twice {
			return fmt.Errorf("names %s twice", name)
		}
		if value == "" {
			return fmt.Errorf("must be %s, nothing follows the =", show)
		}
		(*to)[K(name)] = V(value)
		return nil
	}}
}

// subjectFlags registers the flags that say for whom and for what something is.
func subjectFlags(c *cobra.Command, s *usage.Subject) {
	flags := c.Flags()
	flags.StringVar(&s.Tenant, "tenant", "", "whose user it is")
	flags.StringVar(&s.User, "user", "", "who it is for")
	flags.StringVar(&s.APIKey, "api-key", "", "the key that is used")
	flags.StringVar(&s.Resource, "resource", "", "the model or endpoint")
	flags.Var(into(&s.Labels, "name=value"), "label", "another dimension, `name=value`; may be repeated")
}

// amountFlags are the flags that say how much was used, or may be.
type amountFlags struct {
	flags           *pflag.FlagSet
	amounts         usage.Amounts
	total, requests int64
	cost            decimal.Decimal
}

// register adds the flags. What they are is said once for all of them, and once for the requests.
func (a *amountFlags) register(c *cobra.Command, what, requests string) {
	a.flags = c.Flags()
	a.flags.Var(count(&a.amounts.InputTokens), "input-tokens", what)
	a.flags.Var(count(&a.amounts.OutputTokens), "output-tokens", what)
	a.flags.Var(count(&a.amounts.CacheCreationTokens), "cache-creation-tokens", what)
	a.flags.Var(count(&a.amounts.CacheReadTokens), "cache-read-tokens", what)
	a.flags.Var(count(&a.total), "total-tokens", what+" (default the sum of the others)")
	a.flags.Var(count(&a.requests), "requests", requests)
	a.flags.Var(count(&a.amounts.Runs), "runs", what)
	a.flags.Var(number(&a.cost), "cost", "dollars "+what)
}

// require makes the command fail where none of the flags is given.
func (a *amountFlags) require(c *cobra.Command) {
	c.MarkFlagsOneRequired("input-tokens", "output-tokens", "cache-creation-tokens", "cache-read-tokens",
		"total-tokens", "requests", "runs", "cost")
}

// given returns the amounts, those left out where their flags were.
func (a *amountFlags) given() usage.Amounts {
	amounts := a.amounts
	if a.flags.Changed("total-tokens") {
		amounts.TotalTokens = &a.total
	}
	if a.flags.Changed("requests") {
		amounts.Requests = &a.requests
	}
	if a.flags.Changed("cost") {
		amounts.Cost = &a.cost
	}
	return amounts
}

// each is how the command line writes [budget.Each].
const each = "@each"

func scopeText(scope budget.Scope) string {
	parts := make([]string, 0, len(scope))
	for _, d := range slices.Sorted(maps.Keys(scope)) {
		selector := string(scope[d])
		if scope[d] == budget.Each {
			selector = each
		}
		parts = append(parts, string(d)+"="+selector)
	}
	return strings.Join(parts, " ")
}

func valueText(v budget.Value) string {
	parts := make([]string, 0, len(v))
	for _, d := range slices.Sorted(maps.Keys(v)) {
		parts = append(parts, string(d)+"="+v[d])
	}
	return strings.Join(parts, " ")
}
