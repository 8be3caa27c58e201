package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func (p *program) alerts() *cobra.Command {
	var q budget.AlertQuery
	c := &cobra.Command{
		Use:     "alerts [ID…]",
		Short:   "Show which levels budgets have reached or left, newest first",
		Example: `  purser alerts --limit 20`,
		Args:    arguments(0, -1, ""),
	}
	q.Limit = 100
	c.Flags().Var(most(&q.Limit), "limit", "at most so many")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, ids []string) error {
		if len(ids) > 0 {
			q.Budgets = ids
		}
		return p.showAlerts(l.Alerts(ctx, q))
	})
	return c
}

// alertJSON is how an alert is written in JSON.
type alertJSON struct {
	ID          string       `json:"id"`
	At          time.Time    `json:"at"`
	Kind        alert.Kind   `json:"kind"`
	Budget      string       `json:"budget"`
	BudgetName  string       `json:"budget_name"`
	Value       budget.Value `json:"value"`
	PeriodStart time.Time    `json:"period_start"`
	PeriodEnd   time.Time    `json:"period_end"` // exclusive
	Threshold   exact        `json:"threshold"`  // percent
	Level       alert.Level  `json:"level"`
	Metric      usage.Metric `json:"metric"`
	Used        exact        `json:"used"`
	Limit       exact        `json:"limit"`
	Late        bool         `json:"late"`
	Superseded  bool         `json:"superseded"`
	Message     string       `json:"message"`
}

func newAlertJSON(a alert.Alert) (alertJSON, error) {
	value, err := budget.ParseValue(a.Value)
	return alertJSON{
		ID: a.ID, At: a.At, Kind: a.Kind, Budget: a.Budget, BudgetName: a.BudgetName, Value: value,
		PeriodStart: a.Period.Start, PeriodEnd: a.Period.End, Threshold: exact(a.Threshold), Level: a.Level, Metric: a.Metric,
		Used: exact(a.Metric.Decimal(a.Used)), Limit: exact(a.Metric.Decimal(a.Limit)),
		Late: a.Late, Superseded: a.Superseded, Message: a.Message,
	}, err
}

func (p *program) showAlerts(alerts []alert.Alert, err error) error {
	written := make([]alertJSON, len(alerts))
	for i, a := range alerts {
		if err == nil {
			written[i], err = newAlertJSON(a)
		}
	}
	return p.showAlertList(list(written, err))
}

func (p *program) showAlertList(alerts iter.Seq2[alertJSON, error]) error {
	t := newGrid("There are no alerts.", "at", "for", "period from", "message")
	return showList(p, alerts, t, func(a alertJSON) {
		t.add(when(a.At), valueText(a.Value), when(a.PeriodStart), p.paint(a.Message, a.Level))
	})
}

func (p *program) audit() *cobra.Command {
	var q budget.AuditQuery
	c := &cobra.Command{
		Use:     "audit",
		Short:   "Show who changed what, newest first; all of it with --json",
		Example: `  purser audit --action update_budget --limit 20`,
		Args:    arguments(0, 0, ""),
	}
	flags := c.Flags()
	flags.StringVar(&q.Action, "action", "", "only this `action`, such as update_budget")
	flags.StringVar(&q.Actor, "by", "", "only changes by this `actor`")
	flags.StringVar(&q.Target, "target", "", "only what was done to this `id`")
	q.Limit = 100
	flags.Var(most(&q.Limit), "limit", "at most so many")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		t := newGrid("Nothing was changed.", "at", "actor", "action", "target", "changed")
		entries, err := l.Audit(ctx, q)
		written := make([]auditJSON, len(entries))
		for i, e := range entries {
			written[i] = auditJSON(e)
		}
		return showList(p, list(written, err), t, func(e auditJSON) {
			t.add(when(e.Time), e.Actor, e.Action, e.Target, e.changed())
		})
	})
	return c
}

// auditJSON is how an audit entry is written in JSON.
type auditJSON struct {
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"`
	Actor  string          `json:"actor"`
	Tenant string          `json:"tenant"`
	Action string          `json:"action"`
	Kind   string          `json:"kind"`
	Target string          `json:"target"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// changed says what an entry changed of something that was there before and after.
func (e auditJSON) changed() string {
	var before, after map[string]json.RawMessage
	if json.Unmarshal(e.Before, &before) != nil || json.Unmarshal(e.After, &after) != nil {
		return ""
	}
	changes := make([]string, 0, len(after))
	for _, name := range slices.Sorted(maps.Keys(after)) {
		changes = append(changes, fmt.Sprintf("%s from %s to %s", name, before[name], after[name]))
	}
	return strings.Join(changes, ", ")
}
