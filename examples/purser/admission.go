package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// isRefusal reports whether it is a budget that said no.
func isRefusal(err error) bool {
	return errors.Is(err, budget.ErrExceeded) || errors.Is(err, budget.ErrResourceNotAllowed) || errors.Is(err, budget.ErrEstimateRequired)
}

// requestFlags are the flags that say who wants to use how much.
type requestFlags struct {
	subject usage.Subject
	amounts amountFlags
}

func (r *requestFlags) register(c *cobra.Command) {
	c.Flags().SortFlags = false
	subjectFlags(c, &r.subject)
	r.amounts.register(c, "at the most", "at the most (default 1)")
}

func (r *requestFlags) given() budget.Request {
	return budget.Request{Subject: r.subject, Estimate: r.amounts.given()}
}

// estimates is what the help of commands that take an estimate says about it.
const estimates = "\n\nTokens without a cost leave the cost unknown, and no amount at all leaves everything unknown but that it is one\n" +
	"request: then a budget's minimum hold counts. Any other amount that is not given is 0."

func (p *program) check() *cobra.Command {
	var r requestFlags
	var at instant
	c := &cobra.Command{
		Use:   "check",
		Short: "Show whether there is room for a request",
		Long: "Show what every budget that covers a request would say to it, and hold nothing. It exits with 0 if the request\n" +
			"would be admitted and with 3 if a budget would refuse it." + estimates,
		Example: `  purser check --tenant acme --user ada --input-tokens 2000 --output-tokens 500 --cost 0.02
  purser check --tenant acme --cost 5 --at 2026-03-31T23:00:00Z --json`,
		Args: arguments(0, 0, ""),
	}
	r.register(c)
	p.pricesFlag(c)
	c.Flags().Var(instantFlag(&at), "at", "in the periods that hold this time (default now)")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		check := func() (budget.Decision, error) { return l.CheckAt(ctx, r.given(), at.time) }
		if at.time.IsZero() {
			check = func() (budget.Decision, error) { return l.Check(ctx, r.given()) }
		}
		decision, err := check()
		if err != nil {
			return err
		}
		if err := p.show(decision, func(w io.Writer) { p.printDecision(w, decision) }); err != nil {
			return err
		}
		return decision.Err()
	})
	return c
}

func (p *program) printDecision(w io.Writer, d budget.Decision) {
	t := newGrid("No budget covers this request: it is admitted.",
		"budget", "for", ">limit", ">used", ">reserved", ">available", ">requested", "verdict")
	t.hideEmpty()
	for _, v := range d.Verdicts {
		t.add(v.Budget.Name, valueText(v.Value), amount(v.Budget.Limit)+" "+string(v.Budget.Metric), amount(v.Used), amount(v.Reserved),
			amount(v.Available), requestedText(v), p.verdict(v))
	}
	t.print(w)
}

func requestedText(v budget.Verdict) string {
	if v.Unknown {
		return "unknown, " + amount(v.Requested)
	}
	return amount(v.Requested)
}

var reasons = map[budget.Reason]string{
	budget.Fits:               "fits",
	budget.NoRoom:             "no room",
	budget.ResourceNotAllowed: "resource not allowed",
	budget.EstimateRequired:   "estimate required",
}

func (p *program) verdict(v budget.Verdict) string {
	switch {
	case v.Refused:
		return p.paint("refuses: "+reasons[v.Reason], alert.Exceeded)
	case v.Reason != budget.Fits:
		return p.paint("admits, though "+reasons[v.Reason], alert.Warning)
	default:
		return p.paint(reasons[v.Reason], alert.OK)
	}
}

func (p *program) reserve() *cobra.Command {
	var r requestFlags
	var id string
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "reserve",
		Short: "Hold room for a request in every budget that covers it",
		Long: "Hold room for a request in every budget that covers it until it is settled, released or its time is over. If a\n" +
			"hard budget has no room, nothing is held anywhere, it says which, and exits with 3.\n\n" +
			"Sending the same request with the same --id again holds nothing more." + estimates,
		Example: `  purser reserve --id job-4711 --tenant acme --user ada --output-tokens 4000 --cost 0.06
  purser reserve --tenant acme --cost 5 --ttl 1h --json`,
		Args: arguments(0, 0, ""),
	}
	r.register(c)
	p.pricesFlag(c)
	c.Flags().StringVar(&id, "id", "", "id that makes it safe to send again, and by which to settle; made unless given")
	c.Flags().Var(duration(&ttl), "ttl", "how long it holds unless extended, at most 168h (default 10m)")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		request := r.given()
		request.ID, request.TTL = id, ttl
		res, err := l.Reserve(ctx, request)
		if isRefusal(err) {
			return errors.Join(p.showRefusal(err), err)
		}
		if err != nil {
			return err
		}
		r, err := reservation(ctx, l, res.Key())
		if err != nil {
			return err
		}
		return p.show(reservedJSON{true, r}, func(w io.Writer) {
			fmt.Fprintf(w, "Reserved until %s as %s\n", when(r.Expires), r.ID)
			printHolds(w, r)
		})
	})
	return c
}

// refusalJSON is how it is written in JSON that a request was refused.
type refusalJSON struct {
	Admitted bool             `json:"admitted"`
	Message  string           `json:"message"`
	Refusals []budget.Refusal `json:"refusals"` // those for lack of room
}

func newRefusalJSON(refusal error) refusalJSON {
	written := refusalJSON{Message: refusal.Error(), Refusals: []budget.Refusal{}}
	if exceeded := (*budget.ExceededError)(nil); errors.As(refusal, &exceeded) {
		written.Refusals = exceeded.Refusals
	}
	return written
}

func (p *program) showRefusal(refusal error) error {
	written := newRefusalJSON(refusal)
	return p.show(written, func(w io.Writer) { printRefusal(w, written) })
}

func printRefusal(w io.Writer, r refusalJSON) {
	t := newGrid("Refused, whatever room there is.", "refused by", "for", ">requested", ">would fit", ">of", "until")
	t.hideEmpty()
	for _, r := range r.Refusals {
		t.add(r.Name, valueText(r.Value), amount(r.Requested), amount(r.Fits), amount(r.Limit)+" "+string(r.Metric), until(r.ResetsAt))
	}
	t.print(w)
}

// until writes the end of a period.
func until(t time.Time) string {
	if !t.Before(usage.EndTime) {
		return "for ever"
	}
	return when(t)
}

// reservedJSON is how it is written in JSON that a request was admitted.
type reservedJSON struct {
	Admitted bool `json:"admitted"`
	reservationJSON
}

// reservation returns how a reservation that was just admitted is written.
func reservation(ctx context.Context, l *budget.Ledger, key budget.ReservationKey) (reservationJSON, error) {
	for r, err := range (&reservationList{ledger: l}).each(ctx, budget.ReservationQuery{Keys: []budget.ReservationKey{key}}) {
		return r, err
	}
	return reservationJSON{}, fmt.Errorf("reservation %s was admitted, and settled since", key.ID)
}

func printHolds(w io.Writer, r reservationJSON) {
	t := newGrid("No budget covers this request: nothing is held.", ">held", "of", "for", "since")
	t.hideEmpty()
	for _, h := range r.Holds {
		t.add(amount(h.amount())+" "+string(h.Metric), h.BudgetName, valueText(h.Value), when(h.PeriodStart))
	}
	t.print(w)
}

func (p *program) settle() *cobra.Command {
	var tenant, resource string
	var labels map[string]string
	var amounts amountFlags
	var at instant
	c := &cobra.Command{
		Use:   "settle ID",
		Short: "Record what was used of what was reserved",
		Long: "Record what was used as an event with the reservation's id, however much it was, and give back what the\n" +
			"reservation holds. A reservation that has expired or was released is settled late, and counts all the same.\n\n" +
			"Sending it with the same amounts again counts nothing.",
		Example: `  purser settle job-4711 --tenant acme --input-tokens 1800 --output-tokens 950 --cost 0.021
  purser settle job-4711 --tenant acme --cost 0.003 --resource small-model`,
		Args: arguments(1, 1, "the id of a reservation"),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&tenant, "tenant", "", "of the reservation")
	amounts.register(c, "used", "used (default 1)")
	p.pricesFlag(c)
	amounts.require(c)
	flags.StringVar(&resource, "resource", "", "the model or endpoint that did it (default that of the reservation)")
	flags.Var(into(&labels, "name=value"), "label", "instead of the reservation's labels, `name=value`; may be repeated")
	flags.Var(instantFlag(&at), "at", "when it was used (default when it was reserved)")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		result, err := l.Settle(ctx, budget.ReservationKey{Tenant: tenant, ID: args[0]}, budget.Settlement{
			Amounts: amounts.given(), Resource: resource, Labels: labels, Time: at.time,
		})
		if err != nil {
			return err
		}
		return p.show(settledJSON{result.ID, result.Outcome, result.Late}, func(w io.Writer) {
			late := ""
			if result.Late {
				late = ", late"
			}
			fmt.Fprintf(w, "Settled %s: %s%s.\n", result.ID, result.Outcome, late)
		})
	})
	return c
}

// settledJSON is how it is written in JSON what came of settling.
type settledJSON struct {
	ID      string         `json:"id"`
	Outcome budget.Outcome `json:"outcome"`
	Late    bool           `json:"late"`
}

func (p *program) release() *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:     "release ID",
		Short:   "Give back what a reservation holds",
		Long:    "Give back what a reservation holds, nothing having been used. Doing it again changes nothing.",
		Example: `  purser release job-4711 --tenant acme`,
		Args:    arguments(1, 1, "the id of a reservation"),
	}
	c.Flags().StringVar(&tenant, "tenant", "", "of the reservation")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		if err := l.Release(ctx, budget.ReservationKey{Tenant: tenant, ID: args[0]}); err != nil {
			return err
		}
		return p.show(map[string]string{"released": args[0]}, func(w io.Writer) {
			fmt.Fprintf(w, "Released %s.\n", args[0])
		})
	})
	return c
}

func (p *program) extend() *cobra.Command {
	var tenant string
	var by time.Duration
	c := &cobra.Command{
		Use:   "extend ID --by DURATION",
		Short: "Keep what a reservation holds for longer",
		Long: "Keep what a reservation holds for so long from now, and never for less than it would be without. What has expired\n" +
			"is asked for anew, in the periods that run now: if a hard budget has no room any more, it exits with 3.",
		Example: `  purser extend job-4711 --tenant acme --by 15m`,
		Args:    arguments(1, 1, "the id of a reservation"),
	}
	c.Flags().StringVar(&tenant, "tenant", "", "of the reservation")
	c.Flags().Var(duration(&by), "by", "how long from now, at most 168h")
	cobra.CheckErr(c.MarkFlagRequired("by"))
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, args []string) error {
		expires, err := l.Extend(ctx, budget.ReservationKey{Tenant: tenant, ID: args[0]}, by)
		if err != nil {
			return err
		}
		return p.show(extendedJSON{args[0], expires}, func(w io.Writer) {
			fmt.Fprintf(w, "%s holds until %s.\n", args[0], when(expires))
		})
	})
	return c
}

// extendedJSON is how it is written in JSON until when a reservation holds.
type extendedJSON struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expires_at"`
}
