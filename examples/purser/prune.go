package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
)

func (p *program) prune() *cobra.Command {
	var before instant
	var days int
	c := &cobra.Command{
		Use:   "prune --before TIME | --keep-days N",
		Short: "Delete old events, and keep what they add up to",
		Long: "Delete the events before a time, at least 7 days ago, in many short transactions, while others record. Counters and\n" +
			"reports stay as they are. Events of that time are refused from then on, and what they were can't be counted anew:\n" +
			"not for a new budget, nor when one's scope changes.",
		Example: `  purser prune --keep-days 90`,
		Args:    arguments(0, 0, ""),
	}
	c.Flags().Var(instantFlag(&before), "before", "delete the events before this time")
	c.Flags().Var(most(&days), "keep-days", "keep the events of the last so many days")
	c.MarkFlagsMutuallyExclusive("before", "keep-days")
	c.MarkFlagsOneRequired("before", "keep-days")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		floor := before.time
		if days > 0 {
			floor = time.Now().AddDate(0, 0, -days)
		}
		line := p.newProgress("prune", false)
		deleted, err := l.Prune(ctx, floor, func(deleted int64) { line.update(deleted, 0) })
		line.end()
		if days > 0 && len(budget.FieldErrors(err)) > 0 {
			return &budget.FieldError{Field: "keep_days", Message: "must be at least 7"}
		}
		if err != nil {
			return err
		}
		return p.show(map[string]int64{"deleted": deleted}, func(w io.Writer) {
			fmt.Fprintf(w, "%s events deleted.\n", whole(deleted))
		})
	})
	return c
}
