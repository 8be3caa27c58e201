package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
)

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
	ID      string          `json:"id"`
	Time    time.Time       `json:"time"`
	Actor   string          `json:"actor"`
	Tenant  string          `json:"tenant"`
	Action  string          `json:"action"`
	Kind    string          `json:"kind"`
	Target  string          `json:"target"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
	Details json.RawMessage `json:"details"`
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
