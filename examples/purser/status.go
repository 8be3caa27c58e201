package main

import (
	"context"
	"iter"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
)

func (p *program) status() *cobra.Command {
	var at instant
	var value budget.Value
	c := &cobra.Command{
		Use:   "status [ID…]",
		Short: "Show how budgets stand",
		Long: "Show how budgets stand in the period that runs now or did at a time: these budgets, or all. A budget that has\n" +
			"@each in its scope has a line for every value that used something. What is available is neither used nor\n" +
			"reserved; denied are requests, as are those that a soft or observing budget would deny if it were hard, and\n" +
			"expired reservations that nobody settled.\n\n" +
			"A budget that is named also answers for periods before it was made, from the usage of that time.",
		Example: `  purser status
  purser status 0198f2d1-… --at 2026-02-28T12:00:00Z
  purser status 0198f2d1-… --value user=ada --json`,
		Args: arguments(0, -1, ""),
	}
	c.Flags().Var(instantFlag(&at), "at", "in the period that holds this time")
	c.Flags().Var(into(&value, "dimension=value"), "value", "only for this `dimension=value` of an @each; repeated for several @each")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, ids []string) error {
		return p.showStatuses(statuses(ctx, l, ids, value, at.time))
	})
	return c
}

// statuses yields those of the budgets with these ids, or of all.
func statuses(ctx context.Context, l *budget.Ledger, ids []string, v budget.Value, at time.Time) iter.Seq2[budget.Status, error] {
	if len(ids) == 0 && v == nil {
		return l.Statuses(ctx, budget.Query{}, at)
	}
	if at.IsZero() {
		at = time.Now()
	}
	return func(yield func(budget.Status, error) bool) {
		if len(ids) == 0 {
			yield(budget.Status{}, &budget.FieldError{Field: "value", Message: "goes with the id of a budget"})
			return
		}
		for _, id := range ids {
			for status, err := range budgetStatuses(ctx, l, id, v, at) {
				if !yield(status, err) || err != nil {
					return
				}
			}
		}
	}
}

func budgetStatuses(ctx context.Context, l *budget.Ledger, id string, v budget.Value, at time.Time) iter.Seq2[budget.Status, error] {
	return func(yield func(budget.Status, error) bool) {
		b, err := l.Budget(ctx, id)
		if err != nil {
			yield(budget.Status{}, err)
			return
		}
		if v == nil && len(b.Scope.EachDimensions()) > 0 {
			l.Statuses(ctx, budget.Query{IDs: []string{id}}, at)(yield)
			return
		}
		yield(l.StatusAt(ctx, id, v, at))
	}
}

func (p *program) showStatuses(statuses iter.Seq2[budget.Status, error]) error {
	t := newStatusGrid()
	return showList(p, statuses, t, func(s budget.Status) { p.addStatus(t, s) })
}

func newStatusGrid() *grid {
	t := newGrid("There are no budgets, or none has used anything.",
		"budget", "for", ">used", ">of", "", ">percent", "level", "since", ">available", ">reserved", ">denied", ">would deny", ">expired")
	t.hideEmpty()
	return t
}

func (p *program) addStatus(t *grid, s budget.Status) {
	b := s.Budget
	t.add(b.Name, valueText(s.Value), amount(s.Used), amount(b.Limit)+" "+string(b.Metric),
		p.paint(bar(s.Percent.InexactFloat64()/100, 16), s.Level), percent(s.Percent), p.paint(s.Level.String(), s.Level),
		when(s.Period.Start), amount(s.Available), positive(s.Reserved), positive(decimal.NewFromInt(s.Denied)),
		positive(decimal.NewFromInt(s.WouldDeny)), positive(decimal.NewFromInt(s.Expired)))
}
