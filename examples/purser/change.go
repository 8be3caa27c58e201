package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func (p *program) adjust() *cobra.Command {
	var a budget.Adjustment
	var at instant
	c := &cobra.Command{
		Use:   "adjust ID --amount N --reason TEXT",
		Short: "Add to what a budget has used, or take away",
		Long: "Add to what a budget has used, or with a negative amount take away: a refund, a credit note, usage carried over\n" +
			"from elsewhere. It is audited, and is no usage: the history stays as it is. Shows how the budget stands then.\n\n" +
			"Sending an adjustment with the same --id again changes nothing.",
		Example: `  purser adjust 0198f2d1-… --amount -12.50 --reason "refund of ticket 4711" --id ticket-4711
  purser adjust 0198f2d1-… --amount 1000 --reason "moved from the old system" --value user=ada`,
		Args: arguments(1, 1, "the id of a budget"),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(number(&a.Amount), "amount", "in the budget's metric")
	flags.StringVar(&a.Reason, "reason", "", "1 to 500 characters")
	flags.Var(into(&a.Value, "dimension=value"), "value", "the `dimension=value` of a budget with an @each; repeated for several @each")
	flags.Var(instantFlag(&at), "at", "in the period that holds this time (default now)")
	flags.StringVar(&a.ID, "id", "", "id that makes it safe to send again; made unless given")
	cobra.CheckErr(c.MarkFlagRequired("amount"))
	cobra.CheckErr(c.MarkFlagRequired("reason"))
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		a.Budget, a.Time = args[0], at.time
		if !flags.Changed("id") {
			a.ID = usage.NewID()
		}
		status, err := l.Adjust(ctx, a)
		if err != nil {
			return err
		}
		return p.showStatuses(list([]budget.Status{status}, nil))
	})
	return c
}

func (p *program) correct() *cobra.Command {
	var correction usage.Correction
	var amounts amountFlags
	c := &cobra.Command{
		Use:   "correct EVENT --reason TEXT",
		Short: "Take back a part of an event, or all of it",
		Long: "Take back a part of a recorded event, or all of it, where it was recorded wrongly. The amounts are those to take\n" +
			"away; together with earlier corrections they can't be more than the event had. Counters and history follow.\n\n" +
			"Sending a correction with the same --id again changes nothing.",
		Example: `  purser correct req-4711 --tenant acme --output-tokens 800 --cost 0.012 --reason "counted twice"`,
		Args:    arguments(1, 1, "the id of an event"),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&correction.Tenant, "tenant", "", "of the event")
	amounts.register(c, "to take away", "to take away")
	flags.StringVar(&correction.Reason, "reason", "", "up to 500 characters")
	flags.StringVar(&correction.ID, "id", "", "id that makes it safe to send again; made unless given")
	amounts.require(c)
	cobra.CheckErr(c.MarkFlagRequired("reason"))
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		correction.Event, correction.Amounts = args[0], amounts.given()
		if !flags.Changed("id") {
			correction.ID = usage.NewID()
		}
		result, err := l.Correct(ctx, correction)
		if err != nil {
			return err
		}
		done := map[string]string{"id": result.ID, "outcome": string(result.Outcome)}
		return p.show(done, func(w io.Writer) {
			fmt.Fprintf(w, "Correction %s of event %s: %s.\n", result.ID, args[0], result.Outcome)
		})
	})
	return c
}
