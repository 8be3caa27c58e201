package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
)

func (p *program) alerts() *cobra.Command {
	q := budget.AlertQuery{Limit: 100}
	c := &cobra.Command{
		Use:   "alerts [ID…]",
		Short: "Show which levels budgets have reached or left, newest first, and what became of their delivery",
		Example: `  purser alerts --limit 20
  purser alerts --state dead --sink pager`,
		Args: arguments(0, -1, ""),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(repeatable(&q.Kinds, "kind", kindOf), "kind", "only this `kind`: threshold, blocked, forecast or resolved; may be repeated")
	flags.TextVar(&q.Level, "level", alert.OK, "only this `level` or a higher one: warning, critical or exceeded")
	flags.Var(repeatable(&q.States, "state", stateOf), "state", "only with a delivery in this `state`: waiting, claimed, delivered or dead; may be repeated")
	flags.StringVar(&q.Sink, "sink", "", "only with a delivery to the sink of this `name`")
	flags.Var(most(&q.Limit), "limit", "at most so many")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, ids []string) error {
		if len(ids) > 0 {
			q.Budgets = ids
		}
		return p.showAlerts(ctx, l, q)
	})
	c.AddCommand(p.resend())
	return c
}

func kindOf(text string) (alert.Kind, error) {
	kinds := []alert.Kind{alert.Threshold, alert.Blocked, alert.Forecast, alert.Resolved}
	if !slices.Contains(kinds, alert.Kind(text)) {
		return "", fmt.Errorf("must be one of %v", kinds)
	}
	return alert.Kind(text), nil
}

func stateOf(text string) (s alert.State, err error) {
	err = s.UnmarshalText([]byte(text))
	return s, err
}

func (p *program) resend() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:   "resend ALERT",
		Short: "Have the deliveries of an alert begin anew",
		Long: "Have the deliveries of an alert begin anew, such as one that was given up. Whoever serves the sink sends it at once,\n" +
			"with the same id, so that a receiver can tell that it had it before.",
		Example: "  purser alerts resend 01970f6e-7f3b-7c55-8d65-0a1c2b3d4e5f --sink pager",
		Args:    arguments(1, 1, "the id of an alert"),
	}
	c.Flags().StringVar(&sink, "sink", "", "only the delivery to the sink of this `name`")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, ids []string) error {
		n, err := l.Resend(ctx, ids[0], sink)
		if err != nil {
			return err
		}
		return p.show(map[string]int{"resent": n}, func(w io.Writer) { fmt.Fprintf(w, "%d deliveries begin anew\n", n) })
	})
	return c
}

// alertJSON is how an alert is written in JSON: as ever, with its deliveries.
type alertJSON struct {
	alert.Alert
	deliveries []deliveryJSON
}

type deliveryJSON struct {
	Sink  string      `json:"sink"`
	State alert.State `json:"state"`
	Tries int         `json:"tries"`
	Due   time.Time   `json:"due"`
	Error string      `json:"error"`
}

func (a alertJSON) MarshalJSON() ([]byte, error) {
	written, err := json.Marshal(a.Alert)
	if err != nil {
		return nil, err
	}
	deliveries, err := json.Marshal(append([]deliveryJSON{}, a.deliveries...))
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{bytes.TrimSuffix(written, []byte("}")), []byte(`,"deliveries":`), deliveries, []byte("}")}, nil), nil
}

func (p *program) showAlerts(ctx context.Context, l *budget.Ledger, q budget.AlertQuery) error {
	found, err := withDeliveries(ctx, l, q)
	g := newGrid("There are no alerts.", "at", "for", "period from", "message", "deliveries", "id")
	g.hideEmpty()
	return showList(p, list(found, err), g, func(a alertJSON) {
		g.add(when(a.At), about(a.Alert), when(a.Period.Start), p.paint(a.Message, a.Level), a.delivered(), a.ID)
	})
}

func withDeliveries(ctx context.Context, l *budget.Ledger, q budget.AlertQuery) ([]alertJSON, error) {
	found, err := l.Alerts(ctx, q)
	if err != nil {
		return nil, err
	}
	alerts, place, ids := make([]alertJSON, len(found)), make(map[string]int), make([]string, len(found))
	for i, a := range found {
		alerts[i].Alert, place[a.ID], ids[i] = a, i, a.ID
	}
	deliveries, err := l.Deliveries(ctx, budget.DeliveryQuery{Alerts: ids, Limit: maxDeliveries})
	for _, d := range deliveries {
		a := &alerts[place[d.Alert.ID]]
		a.deliveries = append(a.deliveries, deliveryJSON{d.Sink, d.State, d.Tries, d.Due, d.Error})
	}
	return alerts, err
}

// maxDeliveries are more than alerts on one screen have.
const maxDeliveries = 1_000_000

// delivered says what became of an alert, in a few words.
func (a alertJSON) delivered() string {
	texts := make([]string, len(a.deliveries))
	for i, d := range a.deliveries {
		texts[i] = fmt.Sprintf("%s %s", d.Sink, d.State)
		if d.State != alert.Delivered && d.Error != "" {
			texts[i] += fmt.Sprintf(" after %d: %s", d.Tries, d.Error)
		}
	}
	return strings.Join(texts, "\n")
}

// printAlerts prints a table of alerts without what becomes of them.
func (p *program) printAlerts(alerts []alert.Alert) {
	g := newGrid("There are no alerts.", "at", "for", "period from", "message")
	for _, a := range alerts {
		g.add(when(a.At), about(a), when(a.Period.Start), p.paint(a.Message, a.Level))
	}
	g.print(p.stdout)
}

// about returns the value of a budget's counter that an alert is about.
func about(a alert.Alert) string {
	value, err := budget.ParseValue(a.Value)
	if err != nil {
		return a.Value
	}
	return valueText(value)
}
