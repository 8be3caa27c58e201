package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func (p *program) reports() *cobra.Command {
	c := p.group("report", "Show what tenants, users, keys and resources used", `
  purser report overview
  purser report months acme --zone Europe/Berlin
  purser report groups --by user --by resource --where tenant=acme --per month`)
	c.AddCommand(p.overview(), p.months(), p.current(), p.groups())
	return c
}

func (p *program) overview() *cobra.Command {
	return &cobra.Command{
		Use:   "overview",
		Short: "Show how all tenants stand",
		Long: "Show what every tenant used of all time, and of the license that counts: of its credits and of its money since it\n" +
			"began. A tenant without a license or without usage has its line too. Usage without a tenant is nobody's.",
		Args: arguments(0, 0, ""),
		RunE: p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
			t := newGrid("There are no tenants.", "tenant", "name", ">credits used", ">of", "", ">percent", ">money $", ">of", "", ">percent",
				">cost $", ">requests", ">runs", ">tokens in", ">tokens out")
			t.hideEmpty()
			return showList(p, l.Overview(ctx), t, func(a budget.Account) {
				s := p.standing(a)
				t.add(a.Tenant, a.Name, s.credits, s.creditsOf, s.creditsBar, s.creditsPercent, s.money, s.moneyOf, s.moneyBar, s.moneyPercent,
					amount(a.Usage.Cost()), whole(a.Usage.Requests), whole(a.Usage.Runs), whole(a.Usage.InputTokens), whole(a.Usage.OutputTokens))
			})
		}),
	}
}

// A standing is how an account stands, as people read it. What there is not is "".
type standing struct {
	credits, creditsOf, creditsBar, creditsPercent string
	money, moneyOf, moneyBar, moneyPercent         string
}

func (p *program) standing(a budget.Account) (s standing) {
	x := a.License
	if x == nil {
		return s
	}
	s.credits, s.creditsOf = amount(x.CreditsUsed), optionalAmount(x.CreditsTotal)
	s.creditsBar, s.creditsPercent = p.share(x.CreditsUsed, x.CreditsTotal, x.WarningPercent), optionalPercent(a.CreditsPercent)
	s.moneyOf = optionalAmount(x.MoneyBudget)
	if a.MoneyUsed != nil {
		s.money = amount(*a.MoneyUsed)
		s.moneyBar, s.moneyPercent = p.share(*a.MoneyUsed, x.MoneyBudget, x.WarningPercent), optionalPercent(a.MoneyPercent)
	}
	return s
}

// share draws what is used of a limit, in the color of its level; "" without a limit above 0.
func (p *program) share(used decimal.Decimal, limit, warning *decimal.Decimal) string {
	if limit == nil || !limit.IsPositive() {
		return ""
	}
	part := alert.Percent(used, *limit, 9).InexactFloat64() / 100
	return p.paint(bar(part, 16), alert.Classify(used, *limit, alert.Thresholds{Warning: warning}))
}

func optionalPercent(d *decimal.Decimal) string {
	if d == nil {
		return ""
	}
	return percent(*d)
}

func (p *program) months() *cobra.Command {
	var zone *time.Location
	c := &cobra.Command{
		Use:   "months TENANT",
		Short: "Show what a tenant used by month, the newest first",
		Args:  arguments(1, 1, "the id of a tenant"),
	}
	reportZone(c.Flags(), &zone)
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		months, err := l.Months(ctx, args[0], zone)
		if err != nil {
			return err
		}
		most := decimal.Zero
		for _, m := range months {
			most = decimal.Max(most, m.Cost())
		}
		t := newGrid("The tenant used nothing.", "month", ">cost $", "", ">requests", ">runs", ">tokens in", ">tokens out", ">cache made", ">cache read")
		return showList(p, list(months, nil), t, func(m usage.Point) {
			t.add(monthName(m.Start, m.End), amount(m.Cost()), bar(ratio(m.Cost(), most), 20), whole(m.Requests), whole(m.Runs),
				whole(m.InputTokens), whole(m.OutputTokens), whole(m.CacheCreationTokens), whole(m.CacheReadTokens))
		})
	})
	return c
}

func reportZone(flags *pflag.FlagSet, to **time.Location) {
	flags.Var(zoneFlag(to), "zone", "time zone of the months, such as Europe/Berlin (default that of the reports)")
}

// ratio returns how much of the most a part is, for a bar.
func ratio(part, most decimal.Decimal) float64 {
	if !most.IsPositive() {
		return 0
	}
	return part.InexactFloat64() / most.InexactFloat64()
}

// monthName names a month of any zone: by its middle, which lies in the month of that name wherever it begins.
func monthName(start, end time.Time) string {
	return start.Add(end.Sub(start) / 2).UTC().Format("2006-01")
}

func (p *program) current() *cobra.Command {
	var zone *time.Location
	c := &cobra.Command{
		Use:   "current TENANT",
		Short: "Show the month that runs, and how the tenant stands",
		Args:  arguments(1, 1, "the id of a tenant"),
	}
	reportZone(c.Flags(), &zone)
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		current, err := l.CurrentMonth(ctx, args[0], zone)
		if err != nil {
			return err
		}
		return p.show(current, func(w io.Writer) {
			m, s := current.Month, p.standing(current.Account)
			printField(w, "tenant", current.Tenant)
			printField(w, "name", current.Name)
			printField(w, "month", monthName(m.Start, m.End))
			printField(w, "cost $", amount(m.Cost()))
			printField(w, "requests", whole(m.Requests))
			printField(w, "runs", whole(m.Runs))
			printField(w, "tokens in", whole(m.InputTokens))
			printField(w, "tokens out", whole(m.OutputTokens))
			if current.License == nil {
				return
			}
			printField(w, "credits", used(s.credits, s.creditsOf, s.creditsBar, s.creditsPercent))
			printField(w, "money $", used(s.money, s.moneyOf, s.moneyBar, s.moneyPercent))
		})
	})
	return c
}

// used writes what is used of how much, if that is said.
func used(n, of, drawn, percent string) string {
	if drawn == "" {
		return n
	}
	return fmt.Sprintf("%s of %s  %s  %s", n, of, drawn, percent)
}

// groupFlags are the flags for whose usage, of which time.
type groupFlags struct {
	q    budget.GroupQuery
	span spanFlags
}

func (f *groupFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(repeatable(&f.q.By, "dimension", parseDimension), "by", "`dimension` to tell apart: tenant, user, api_key or resource; may be repeated")
	flags.Var(bucketFlag(&f.q.Bucket), "per", "a line for each hour, day, week or month")
	f.span.register(c, "of all time")
	flags.Var(zoneFlag(&f.q.Zone), "zone", "time zone of --per and of dates, such as Europe/Berlin (default that of the reports, and UTC)")
	flags.Var(into(&f.q.Where, "dimension=value"), "where", "only usage with this `dimension=value`; may be repeated")
}

// query returns what the flags ask for.
func (f *groupFlags) query() budget.GroupQuery {
	f.q.Span = f.span.bounds(f.q.Zone)
	return f.q
}

func parseDimension(text string) (usage.Dimension, error) {
	d := usage.Dimension(text)
	if d.IsLabel() {
		return "", fmt.Errorf("must be tenant, user, api_key or resource")
	}
	return d, nil
}

func bucketFlag(to *usage.Bucket) pflag.Value {
	return value[usage.Bucket]{to: to, kind: "bucket", parse: func(text string) (usage.Bucket, error) {
		b, err := usage.ParseBucket(text)
		return b, flagError(err, "bucket")
	}, show: func(b usage.Bucket) string { return string(b) }}
}

func (p *program) groups() *cobra.Command {
	var f groupFlags
	c := &cobra.Command{
		Use:   "groups",
		Short: "Show usage by tenant, user, key and resource, over time",
		Long: "Show usage, told apart by any of tenant, user, api_key and resource, for any time. Usage without a value has a line\n" +
			"of its own, so that all lines add up. purser top shows who used most, purser export writes the same lines to files.",
		Args: arguments(0, 0, ""),
	}
	f.register(c)
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		q := f.query()
		var lines []usage.Line
		most := decimal.Zero
		if p.json {
			return showList(p, l.Groups(ctx, q), nil, nil)
		}
		for line, err := range l.Groups(ctx, q) {
			if err != nil {
				return err
			}
			lines, most = append(lines, line), decimal.Max(most, line.Cost())
		}
		t := newGrid("Nothing was used.", "from", "tenant", "user", "api_key", "resource", ">cost $", "", ">requests", ">runs", ">tokens in",
			">tokens out", ">cache made", ">cache read")
		t.hideEmpty()
		return showList(p, list(lines, nil), t, func(line usage.Line) {
			from := ""
			if q.Bucket != "" {
				from = when(line.Start)
			}
			t.add(from, line.Tenant, line.User, line.APIKey, line.Resource, amount(line.Cost()), bar(ratio(line.Cost(), most), 12),
				whole(line.Requests), whole(line.Runs), whole(line.InputTokens), whole(line.OutputTokens),
				whole(line.CacheCreationTokens), whole(line.CacheReadTokens))
		})
	})
	return c
}
