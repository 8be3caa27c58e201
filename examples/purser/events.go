package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

func (p *program) events() *cobra.Command {
	var q budget.EventQuery
	var span spanFlags
	var key budget.EventKey
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what was recorded, the oldest first",
		Long: "Show the events that were recorded, and their corrections, by time, tenant and id: what each cost, and by which\n" +
			"price where that was computed. With --id it is one event, and what its corrections took away. With --json they are\n" +
			"printed as they are read. What was pruned is gone.",
		Example: `  purser events --tenant acme --where user=ada --from 2026-03-01 --to 2026-03-02
  purser events --tenant acme --id req-4711`,
		Args: arguments(0, 0, ""),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&key.Tenant, "tenant", "", "only those of this `tenant`, \"\" being none; with --id, whose it is")
	flags.StringVar(&key.ID, "id", "", "only the one with this `id`")
	flags.Var(into(&q.Where, "dimension=value"), "where", "only usage with this `dimension=value`, also of a label; may be repeated")
	span.register(c, "of all time")
	flags.BoolVar(&q.Except, "no-corrections", false, "leave out corrections")
	flags.Var(most(&q.Limit), "limit", "at most so many (default all)")
	for _, other := range []string{"where", "from", "to", "no-corrections", "limit"} {
		c.MarkFlagsMutuallyExclusive("id", other)
	}
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		if flags.Changed("id") {
			e, err := l.Event(ctx, key)
			if err != nil {
				return err
			}
			return p.show(e, func(w io.Writer) { printEvent(w, e) })
		}
		if flags.Changed("tenant") {
			if err := only(&q, key.Tenant); err != nil {
				return err
			}
		}
		q.Span = span.bounds(nil)
		t := newGrid("Nothing was recorded.", "time", "tenant", "user", "api_key", "resource", "id", ">tokens in", ">tokens out", ">cache made",
			">cache read", ">tokens", ">requests", ">runs", ">cost $", "priced by", "corrects", "marks")
		t.hideEmpty()
		return showList(p, l.Events(ctx, q), t, func(e budget.StoredEvent) {
			t.add(when(e.Time), e.Tenant, e.User, e.APIKey, e.Resource, e.ID,
				whole(e.Totals.InputTokens), whole(e.Totals.OutputTokens), whole(e.Totals.CacheCreationTokens), whole(e.Totals.CacheReadTokens),
				whole(e.Totals.TotalTokens), whole(e.Totals.Requests), whole(e.Totals.Runs), amount(e.Totals.Cost()), e.PricedBy, e.Corrects, marks(e))
		})
	})
	return c
}

// only restricts a query to the events of a tenant, that of none being "".
func only(q *budget.EventQuery, tenant string) error {
	if _, twice := q.Where[usage.Tenant]; twice {
		return invalid.Field("tenant", "is named by --where too")
	}
	if err := (usage.Subject{Tenant: tenant}).Validate(); err != nil {
		return err
	}
	if q.Where == nil {
		q.Where = make(map[usage.Dimension]string)
	}
	q.Where[usage.Tenant] = tenant
	return nil
}

// marks says how an event came in, where that is not as usual.
func marks(e budget.StoredEvent) string {
	var marks []string
	if e.Flags&budget.Estimated != 0 {
		marks = append(marks, "estimated")
	}
	if e.Flags&budget.Late != 0 {
		marks = append(marks, "late")
	}
	return strings.Join(marks, ", ")
}

func printEvent(w io.Writer, e budget.LockedEvent) {
	printField(w, "id", e.ID)
	printField(w, "time", when(e.Time))
	printField(w, "tenant", e.Tenant)
	printField(w, "user", e.User)
	printField(w, "api key", e.APIKey)
	printField(w, "resource", e.Resource)
	for _, name := range slices.Sorted(maps.Keys(e.Labels)) {
		printField(w, name, e.Labels[name])
	}
	left, err := e.Totals.Sub(e.Corrected)
	for _, n := range []struct{ name, had, left string }{
		{"tokens in", whole(e.Totals.InputTokens), whole(left.InputTokens)},
		{"tokens out", whole(e.Totals.OutputTokens), whole(left.OutputTokens)},
		{"cache made", whole(e.Totals.CacheCreationTokens), whole(left.CacheCreationTokens)},
		{"cache read", whole(e.Totals.CacheReadTokens), whole(left.CacheReadTokens)},
		{"tokens in all", whole(e.Totals.TotalTokens), whole(left.TotalTokens)},
		{"requests", whole(e.Totals.Requests), whole(left.Requests)},
		{"runs", whole(e.Totals.Runs), whole(left.Runs)},
		{"cost $", amount(e.Totals.Cost()), amount(left.Cost())},
	} {
		if err == nil && n.left != n.had {
			n.had += ", after corrections " + n.left
		}
		printField(w, n.name, n.had)
	}
	printField(w, "priced by", e.PricedBy)
	printField(w, "corrects", e.Corrects)
	printField(w, "reason", e.Reason)
	printField(w, "marks", marks(e.StoredEvent))
	printField(w, "recorded", when(e.RecordedAt))
}
