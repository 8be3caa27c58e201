package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// spanFlags are --from and --to.
type spanFlags struct{ from, to instant }

func (s *spanFlags) register(c *cobra.Command, without string) {
	c.Flags().Var(instantFlag(&s.from), "from", "from this time on; without --from and --to, "+without)
	c.Flags().Var(instantFlag(&s.to), "to", "before this time")
}

func (s *spanFlags) given() bool { return !s.from.time.IsZero() || !s.to.time.IsZero() }

// bounds returns the span, open at the side that is not given, and the zero one if neither is.
func (s *spanFlags) bounds(zone *time.Location) period.Bounds {
	if !s.given() {
		return period.Bounds{}
	}
	span := period.Bounds{Start: s.from.in(zone), End: s.to.in(zone)}
	if span.Start.IsZero() {
		span.Start = usage.MinTime
	}
	if span.End.IsZero() {
		span.End = usage.EndTime
	}
	return span
}

func (p *program) history() *cobra.Command {
	var q budget.HistoryQuery
	var span spanFlags
	var by string
	c := &cobra.Command{
		Use:   "history ID",
		Short: "Show what was used over time",
		Long: "Show the usage that a budget covers, also from before it was made. Adjustments are no usage and not part of it.\n" +
			"Hours, days, weeks from Monday and months are those of the zone.",
		Example: `  purser history 0198f2d1-…
  purser history 0198f2d1-… --by hour --from 2026-03-01 --to 2026-03-02 --zone Europe/Berlin`,
		Args: arguments(1, 1, "the id of a budget"),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&by, "by", string(usage.Day), "`bucket`: hour, day, week or month")
	flags.Var(zoneFlag(&q.Zone), "zone", "time zone, such as Europe/Berlin (default that of the budget)")
	span.register(c, "today and the 30 days before it")
	flags.Var(into(&q.Value, "dimension=value"), "value", "only for this `dimension=value` of an @each; repeated for several @each")
	flags.BoolVar(&q.Fill, "fill", false, "with a line for each bucket without usage")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		var err error
		if q.By, err = usage.ParseBucket(by); err != nil {
			return err
		}
		b, err := l.Budget(ctx, args[0])
		if err != nil {
			return err
		}
		if q.Zone == nil {
			q.Zone = b.Schedule.Location()
		}
		if span.given() {
			q.Span = period.Bounds{Start: span.from.in(q.Zone), End: span.to.in(q.Zone)}
			if q.Span.End.IsZero() {
				q.Span.End = time.Now()
			}
			if q.Span.Start.IsZero() {
				q.Span.Start = q.Span.End.AddDate(0, 0, -30)
			}
		}
		points, err := l.History(ctx, args[0], q)
		if err != nil {
			return err
		}
		return p.showHistory(b, q, points)
	})
	return c
}

func (p *program) showHistory(b budget.Budget, q budget.HistoryQuery, points []budget.HistoryPoint) error {
	layout := "2006-01-02"
	if q.By == usage.Hour {
		layout = "2006-01-02 15:04 -07:00"
	}
	most := 0.0
	for _, point := range points {
		most = max(most, point.Used.InexactFloat64())
	}
	t := newGrid("Nothing was used in that time.",
		string(q.By), ">"+string(b.Metric), "", ">requests", ">tokens in", ">tokens out", ">cost $")
	return showList(p, list(points, nil), t, func(point budget.HistoryPoint) {
		share := 0.0
		if most > 0 {
			share = point.Used.InexactFloat64() / most
		}
		t.add(point.Start.In(q.Zone).Format(layout), amount(point.Used), bar(share, 20), whole(point.Requests),
			whole(point.InputTokens), whole(point.OutputTokens), amount(point.Cost()))
	})
}

func (p *program) top() *cobra.Command {
	var q budget.TopQuery
	var span spanFlags
	var by string
	var zone *time.Location
	q.Metric = usage.Dollars
	c := &cobra.Command{
		Use:   "top --by DIMENSION",
		Short: "Show who used most",
		Example: `  purser top --by tenant
  purser top --by user --where tenant=acme --from 2026-03-01 --to 2026-04-01 --limit 10`,
		Args: arguments(0, 0, ""),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&by, "by", "", "`dimension`: tenant, user, api_key or resource")
	span.register(c, "of all time")
	flags.Var(zoneFlag(&zone), "zone", "time zone in which dates begin, such as Europe/Berlin (default UTC)")
	flags.Var(into(&q.Where, "dimension=value"), "where", "only usage with this `dimension=value`; may be repeated")
	flags.Var(metricFlag(&q.Metric), "metric", "order by this metric")
	flags.Var(most(&q.N), "limit", "at most so many (default all)")
	cobra.CheckErr(c.MarkFlagRequired("by"))
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		q.By = usage.Dimension(by)
		q.Span = span.bounds(zone)
		groups, err := l.Top(ctx, q)
		if err != nil {
			return err
		}
		t := newGrid("No usage of that time names its "+by+".",
			string(q.By), ">cost $", ">requests", ">tokens in", ">tokens out", ">cache read", ">cache made", ">tokens")
		return showList(p, list(groups, nil), t, func(g usage.Group) {
			t.add(g.Key, amount(g.Cost()), whole(g.Requests), whole(g.InputTokens), whole(g.OutputTokens),
				whole(g.CacheReadTokens), whole(g.CacheCreationTokens), whole(g.TotalTokens))
		})
	})
	return c
}
