package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func (p *program) budgets() *cobra.Command {
	c := p.group("budget", "Make, show, change and delete budgets", "")
	c.AddCommand(p.createBudget(), p.listBudgets(), p.showBudget(), p.updateBudget(), p.deleteBudget())
	return c
}

func (p *program) createBudget() *cobra.Command {
	var f budgetFlags
	var id string
	c := &cobra.Command{
		Use:   "create --name NAME --metric METRIC --limit N",
		Short: "Make a budget",
		Long: "Make a budget. What was used in its running period counts, also from before it was made.\n" +
			"Without --scope it covers everything.",
		Example: `  purser budget create --name Acme --metric dollars --limit 500 --zone Europe/Berlin --scope tenant=acme
  purser budget create --name "Each user" --metric tokens --limit 100000 --period daily --scope user=@each`,
		Args: arguments(0, 0, ""),
		RunE: p.makes(func(ctx context.Context, l *budget.Ledger, _ []string) error {
			b := budget.Budget{ID: id, Schedule: period.Monthly}
			if err := f.apply(&b); err != nil {
				return err
			}
			b, err := l.Create(ctx, b)
			if err != nil {
				return err
			}
			return p.showOne(b)
		}),
	}
	f.register(c, false)
	c.Flags().StringVar(&id, "id", "", "id of the budget; made unless given")
	for _, required := range []string{"name", "metric", "limit"} {
		cobra.CheckErr(c.MarkFlagRequired(required))
	}
	return c
}

func (p *program) updateBudget() *cobra.Command {
	var f budgetFlags
	var version int64
	c := &cobra.Command{
		Use:   "update ID",
		Short: "Change a budget",
		Long: "Change what the flags name. Repeated flags replace what there was as a whole, one with an empty text leaves\n" +
			"nothing. If what the budget counts changes, its running period is counted anew.",
		Example: `  purser budget update 0198f2d1-… --limit 750 --version 3`,
		Args:    arguments(1, 1, "the id of a budget"),
		RunE: p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
			b, err := l.Update(ctx, args[0], func(b *budget.Budget) error {
				if version != 0 {
					b.Version = version
				}
				return f.apply(b)
			})
			if err != nil {
				return err
			}
			return p.showOne(b)
		}),
	}
	f.register(c, true)
	c.Flags().Int64Var(&version, "version", 0, "change it only if this is its version")
	return c
}

func (p *program) showBudget() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a budget",
		Args:  arguments(1, 1, "the id of a budget"),
		RunE: p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
			b, err := l.Budget(ctx, args[0])
			if err != nil {
				return err
			}
			return p.showOne(b)
		}),
	}
}

func (p *program) deleteBudget() *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Delete a budget with its counters",
		Long:  "Delete a budget with its counters. Events, alerts and the audit stay.",
		Args:  arguments(1, 1, "the id of a budget"),
		RunE: p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
			if err := l.Delete(ctx, args[0]); err != nil {
				return err
			}
			return p.show(map[string]string{"deleted": args[0]}, func(w io.Writer) {
				fmt.Fprintf(w, "Deleted budget %s.\n", args[0])
			})
		}),
	}
}

func (p *program) listBudgets() *cobra.Command {
	var q budget.Query
	var owner string
	var enabled, disabled bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List budgets, newest first",
		Example: `  purser budget list --metric dollars --scope tenant=acme`,
		Args:    arguments(0, 0, ""),
	}
	flags := c.Flags()
	flags.StringVar(&owner, "owner", "", "only those of this `owner`")
	flags.Var(metricFlag(&q.Metric), "metric", "only those on this metric")
	flags.BoolVar(&enabled, "enabled", false, "only enabled ones")
	flags.BoolVar(&disabled, "disabled", false, "only disabled ones")
	c.MarkFlagsMutuallyExclusive("enabled", "disabled")
	flags.Var(scopeFlag(&q.Scope), "scope", "only those whose scope has this `dimension=value`; may be repeated")
	flags.Var(into(&q.Labels, "name=value"), "label", "only those with this label `name=value`; may be repeated")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		if flags.Changed("owner") {
			q.Owner = &owner
		}
		if enabled || disabled {
			q.Enabled = &enabled
		}
		t := newGrid("There are no such budgets.", "id", "name", "metric", ">limit", "period", "scope", "enforcement")
		return showList(p, everyBudget(ctx, l, q), t, func(b budget.Budget) {
			t.add(b.ID, b.Name, b.Metric, amount(b.Limit), b.Schedule, scopeText(b.Scope), enforcement(b))
		})
	})
	return c
}

// everyBudget yields the budgets of all pages.
func everyBudget(ctx context.Context, l *budget.Ledger, q budget.Query) iter.Seq2[budget.Budget, error] {
	return func(yield func(budget.Budget, error) bool) {
		for {
			page, err := l.List(ctx, q)
			if err != nil {
				yield(budget.Budget{}, err)
				return
			}
			for _, row := range page.Rows {
				if !yield(row.Budget, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == nil {
				return
			}
		}
	}
}

func enforcement(b budget.Budget) string {
	if b.Disabled {
		return string(b.Enforcement) + ", disabled"
	}
	return string(b.Enforcement)
}

// showOne prints a budget.
func (p *program) showOne(b budget.Budget) error {
	return p.show(b, func(w io.Writer) {
		line := func(name, value string) { printField(w, name, value) }
		line("id", b.ID)
		line("name", b.Name)
		if b.Description != nil {
			line("description", *b.Description)
		}
		line("limit", fmt.Sprintf("%s %s, %s", amount(b.Limit), b.Metric, b.Schedule))
		line("cost per credit", positive(b.CostPerCredit))
		line("scope", scopeOrAll(b.Scope))
		for _, d := range slices.Sorted(maps.Keys(b.Except)) {
			line("except "+string(d), strings.Join(b.Except[d], ", "))
		}
		line("starts at", when(b.StartsAt))
		line("ends at", when(b.EndsAt))
		line("allowed resources", strings.Join(b.AllowedResources, ", "))
		line("enforcement", enforcement(b))
		line("minimum hold", positive(b.MinHold))
		line("thresholds", thresholdsText(b.Thresholds))
		line("owner", b.Owner)
		line("made by", b.CreatedBy)
		for _, name := range slices.Sorted(maps.Keys(b.Labels)) {
			line("label "+name, b.Labels[name])
		}
		line("metadata", string(b.Metadata))
		line("version", fmt.Sprint(b.Version))
		line("made", when(b.CreatedAt))
		line("changed", when(b.UpdatedAt))
	})
}

func positive(d decimal.Decimal) string {
	if !d.IsPositive() {
		return ""
	}
	return amount(d)
}

func scopeOrAll(s budget.Scope) string {
	if len(s) == 0 {
		return "everything"
	}
	return scopeText(s)
}

func thresholdsText(t alert.Thresholds) string {
	text := fmt.Sprintf("warning %s %%, critical %s %%", t.WarningPercent(), t.CriticalPercent())
	for _, extra := range t.Extra {
		text += fmt.Sprintf(", %s %%", extra)
	}
	return text
}

// budgetFlags are the flags that say what a budget is to be.
type budgetFlags struct {
	flags *pflag.FlagSet

	name, description string
	metric            usage.Metric
	limit             decimal.Decimal
	costPerCredit     decimal.Decimal
	period            string
	zone              *time.Location
	scope             budget.Scope
	except            budget.Except
	startsAt, endsAt  time.Time
	resources         []string
	enforcement       string
	minHold           decimal.Decimal
	warning, critical decimal.Decimal
	extra             []string
	enabled           bool
	owner             string
	labels            map[string]string
	metadata          string
}

func (f *budgetFlags) register(c *cobra.Command, mayNone bool) {
	scope, labels := scopeFlag(&f.scope), into(&f.labels, "name=value")
	scope.mayNone, labels.mayNone = mayNone, mayNone

	f.flags = c.Flags()
	f.flags.SortFlags = false
	f.flags.StringVar(&f.name, "name", "", "1 to 100 characters")
	f.flags.Var(metricFlag(&f.metric), "metric", fmt.Sprintf("what is counted, one of %v", usage.Metrics()))
	f.flags.Var(number(&f.limit), "limit", "how much of it per period")
	f.flags.Var(periodFlag(&f.period), "period", "hourly, daily, weekly:sunday, monthly:15, quarterly, yearly:04-06, lifetime\n"+
		"or every:6h:2026-01-01T00:00:00Z (default monthly)")
	f.flags.Var(zoneFlag(&f.zone), "zone", "time zone of the period, such as Europe/Berlin (default UTC)")
	f.flags.Var(scope, "scope", "only usage with this `dimension=value`, where @each is a counter for every value;\n"+
		"dimensions are tenant, user, api_key, resource and labels; may be repeated")
	f.flags.Var(exceptFlag(&f.except, mayNone), "except", "leave this value out of an @each, `dimension=value`; may be repeated")
	f.flags.StringVar(&f.enforcement, "enforcement", string(budget.Hard), "hard refuses, soft admits and alerts, observe only counts")
	f.flags.BoolVar(&f.enabled, "enabled", true, "if not, it only counts")
	f.flags.Var(number(&f.warning), "warning", "percent at which it warns (default 80)")
	f.flags.Var(number(&f.critical), "critical", "percent at which it is critical (default 90)")
	f.flags.StringArrayVar(&f.extra, "threshold", nil, "another `percent` at which it alerts; may be repeated")
	f.flags.Var(number(&f.costPerCredit), "cost-per-credit", "dollars per credit, for the metric credits")
	f.flags.Var(number(&f.minHold), "min-hold", "what a reservation of unknown size holds")
	f.flags.StringArrayVar(&f.resources, "allow-resource", nil, "refuse reservations for other `resources`; may be repeated")
	f.flags.Var(optionalInstant(&f.startsAt), "starts-at", "count only usage from this time on")
	f.flags.Var(optionalInstant(&f.endsAt), "ends-at", "count only usage before this time")
	f.flags.StringVar(&f.description, "description", "", "up to 500 characters")
	f.flags.StringVar(&f.owner, "owner", "", "whose it is")
	f.flags.Var(labels, "label", "a `name=value` to find it by; may be repeated")
	f.flags.StringVar(&f.metadata, "metadata", "", "a JSON `object` that is kept with it")
}

// apply sets those fields of b whose flags were given.
func (f *budgetFlags) apply(b *budget.Budget) error {
	for name, set := range map[string]func(){
		"name":            func() { b.Name = f.name },
		"description":     func() { b.Description = &f.description },
		"metric":          func() { b.Metric = f.metric },
		"limit":           func() { b.Limit = f.limit },
		"cost-per-credit": func() { b.CostPerCredit = f.costPerCredit },
		"scope":           func() { b.Scope = f.scope },
		"except":          func() { b.Except = f.except },
		"starts-at":       func() { b.StartsAt = f.startsAt },
		"ends-at":         func() { b.EndsAt = f.endsAt },
		"allow-resource":  func() { b.AllowedResources = given(f.resources) },
		"enforcement":     func() { b.Enforcement = budget.Enforcement(f.enforcement) },
		"min-hold":        func() { b.MinHold = f.minHold },
		"warning":         func() { b.Thresholds.Warning = &f.warning },
		"critical":        func() { b.Thresholds.Critical = &f.critical },
		"enabled":         func() { b.Disabled = !f.enabled },
		"owner":           func() { b.Owner = f.owner },
		"label":           func() { b.Labels = f.labels },
		"metadata":        func() { b.Metadata = json.RawMessage(f.metadata) },
	} {
		if f.flags.Changed(name) {
			set()
		}
	}
	return errors.Join(f.applySchedule(b), f.applyExtra(b))
}

// applySchedule sets period and zone, each of which leaves the other as it was.
func (f *budgetFlags) applySchedule(b *budget.Budget) error {
	if f.flags.Changed("period") {
		schedule, err := period.Parse(f.period)
		if err != nil {
			return err
		}
		if !strings.Contains(f.period, "@") {
			schedule = schedule.In(b.Schedule.Location())
		}
		b.Schedule = schedule
	}
	if f.zone != nil {
		b.Schedule = b.Schedule.In(f.zone)
	}
	return nil
}

func (f *budgetFlags) applyExtra(b *budget.Budget) error {
	if !f.flags.Changed("threshold") {
		return nil
	}
	b.Thresholds.Extra = nil
	for _, text := range given(f.extra) {
		percent, err := usage.ParseDecimal(text)
		if err != nil {
			return &usage.FieldError{Field: "extra_percents", Message: err.Error()}
		}
		b.Thresholds.Extra = append(b.Thresholds.Extra, percent)
	}
	return nil
}

// given returns the texts of a repeated flag: none if it was given once, empty.
func given(texts []string) []string {
	if len(texts) == 1 && texts[0] == "" {
		return nil
	}
	return texts
}

func periodFlag(to *string) pflag.Value {
	return value[string]{to: to, kind: "period", parse: func(text string) (string, error) {
		_, err := period.Parse(text)
		return text, flagError(err, "period")
	}}
}

// scopeFlag reads dimension=value, where the value may be @each.
func scopeFlag(to *budget.Scope) *pairs {
	const show = "dimension=value"
	p := into(to, show)
	read := p.read
	p.read = func(name, value string) error {
		if value == each {
			value = string(budget.Each)
		}
		return read(name, value)
	}
	return p
}

func exceptFlag(to *budget.Except, mayNone bool) *pairs {
	return &pairs{show: "dimension=value", mayNone: mayNone, read: func(name, value string) error {
		if *to == nil {
			*to = make(budget.Except)
		}
		d := usage.Dimension(name)
		(*to)[d] = append((*to)[d], value)
		return nil
	}}
}
