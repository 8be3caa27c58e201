package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func (p *program) reservations() *cobra.Command {
	var q budget.ReservationQuery
	var tenant string
	c := &cobra.Command{
		Use:   "reservations",
		Short: "List reservations, by tenant and id",
		Long: "List reservations, by tenant and id: open ones, which hold room, and those that were released or have expired, for\n" +
			"30 days. What was settled is none any more. What an open one holds whose time is over comes back as soon as\n" +
			"somebody needs the room. A lease is room from which a process admits requests: only that process can end it.",
		Example: `  purser reservations --state open --budget 0198f2d1-…
  purser reservations --tenant acme --overdue --json`,
		Args: arguments(0, 0, ""),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&tenant, "tenant", "", "only those of this `tenant`")
	flags.StringVar(&q.Budget, "budget", "", "only those that hold, or held, some of the budget with this `id`")
	flags.Var(stateFlag(&q.States), "state", "only those that are open, released or expired; may be repeated")
	flags.BoolVar(&q.Overdue, "overdue", false, "only open ones whose time is over")
	q.Limit = 100
	flags.Var(most(&q.Limit), "limit", "at most so many")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		if flags.Changed("tenant") {
			q.Tenant = &tenant
		}
		t := newGrid("There are no such reservations.", "id", "tenant", "user", "resource", "state", "made", "until", "holds")
		t.hideEmpty()
		return showList(p, (&reservationList{ledger: l}).each(ctx, q), t, func(r reservationJSON) {
			t.add(r.ID, r.Tenant, r.User, r.Resource, r.state(), when(r.At), when(r.Expires), r.holdsText())
		})
	})
	return c
}

var stateNames = map[budget.ReservationState]string{
	budget.Open: "open", budget.Released: "released", budget.Expired: "expired",
}

// stateFlag is a flag that may be repeated.
func stateFlag(to *[]budget.ReservationState) pflag.Value {
	return value[[]budget.ReservationState]{to: to, kind: "state", parse: func(text string) ([]budget.ReservationState, error) {
		for state, name := range stateNames {
			if name == text {
				return append(*to, state), nil
			}
		}
		return nil, fmt.Errorf("must be one of %v", slices.Sorted(maps.Values(stateNames)))
	}}
}

// reservationJSON is how a reservation is written in JSON.
type reservationJSON struct {
	ID string `json:"id"`
	usage.Subject
	State    string       `json:"state"`
	Lease    bool         `json:"lease"`
	At       time.Time    `json:"at"`
	Expires  time.Time    `json:"expires_at"`
	Estimate usage.Totals `json:"estimate"`
	Holds    []holdJSON   `json:"holds"`
}

type holdJSON struct {
	Budget      string       `json:"budget"`
	BudgetName  string       `json:"budget_name"`
	Value       budget.Value `json:"value"`
	Metric      usage.Metric `json:"metric"`
	PeriodStart time.Time    `json:"period_start"`
	Amount      exact        `json:"amount"`
}

func (h holdJSON) amount() decimal.Decimal { return decimal.Decimal(h.Amount) }

func (r reservationJSON) state() string {
	if r.Lease {
		return r.State + ", lease"
	}
	return r.State
}

func (r reservationJSON) holdsText() string {
	holds := make([]string, len(r.Holds))
	for i, h := range r.Holds {
		holds[i] = fmt.Sprintf("%s %s of %s", amount(h.amount()), h.Metric, h.BudgetName)
	}
	return strings.Join(holds, "\n")
}

// A reservationList reads reservations, and looks up the budgets of which they hold some.
type reservationList struct {
	ledger *budget.Ledger
	known  map[string]budget.Budget
}

func (l *reservationList) each(ctx context.Context, q budget.ReservationQuery) iter.Seq2[reservationJSON, error] {
	return func(yield func(reservationJSON, error) bool) {
		found, err := l.ledger.Reservations(ctx, q)
		if err != nil {
			yield(reservationJSON{}, err)
			return
		}
		for _, r := range found {
			written, err := l.write(ctx, r)
			if !yield(written, err) || err != nil {
				return
			}
		}
	}
}

func (l *reservationList) write(ctx context.Context, r budget.StoredReservation) (reservationJSON, error) {
	written := reservationJSON{
		ID: r.ID, Subject: r.Subject, State: stateNames[r.State], Lease: r.Lease, At: r.Time, Expires: r.Expires,
		Estimate: r.Estimate, Holds: []holdJSON{},
	}
	for _, h := range r.Holds {
		b, err := l.budget(ctx, h.Budget)
		if errors.Is(err, budget.ErrNotFound) {
			continue // deleted since the reservation was read, and what was held of it with it
		}
		if err != nil {
			return written, err
		}
		value, err := budget.ParseValue(h.Value)
		if err != nil {
			return written, err
		}
		written.Holds = append(written.Holds, holdJSON{
			Budget: b.ID, BudgetName: b.Name, Value: value, Metric: b.Metric,
			PeriodStart: time.UnixMicro(h.Start).UTC(), Amount: exact(b.Metric.Decimal(h.Units)),
		})
	}
	return written, nil
}

func (l *reservationList) budget(ctx context.Context, id string) (budget.Budget, error) {
	if b, known := l.known[id]; known {
		return b, nil
	}
	b, err := l.ledger.Budget(ctx, id)
	if err != nil {
		return b, err
	}
	if l.known == nil {
		l.known = make(map[string]budget.Budget)
	}
	l.known[id] = b
	return b, nil
}
