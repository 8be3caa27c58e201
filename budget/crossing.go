package budget

import (
	"time"

	"github.com/purser-go/purser/alert"
)

// crossings returns the alerts for the levels that the charges crossed, and what goes with them.
func (c *core) crossings(s *sums, after map[CounterKey]Counter) Writes {
	var w Writes
	for _, add := range s.counters() {
		b := s.charges[add.CounterKey].budget
		tally := after[add.CounterKey].Tally
		before := tally
		before.Recorded -= add.Recorded
		change{
			definition: &b.Definition, key: add.CounterKey, tally: tally,
			usedBefore: before.used(), before: b.marks, after: b.marks,
		}.alerts(c, &w)
	}
	return w
}

// A change is what took one counter, or the marks that it is measured by, from one state to another.
type change struct {
	definition *Definition // after the change
	key        CounterKey
	tally      Tally // after the change
	usedBefore int64
	before     []alert.Mark
	after      []alert.Mark
}

// alerts adds to w the alerts of the change. Marks that were left end the episode, so that reaching them again alerts again;
// a budget that no longer alerts, and a ledger that does not, end it without a word.
func (ch change) alerts(c *core, w *Writes) {
	up, down := alert.Crossed(ch.usedBefore, ch.before, ch.tally.used(), ch.after)
	if !c.quiet {
		w.Alerts = append(w.Alerts, ch.crossed(c, up, down)...)
	}
	if len(down) > 0 {
		w.Counters = append(w.Counters, Counter{CounterKey: ch.key, Tally: Tally{Episode: 1}})
	}
}

// crossed returns for marks reached an alert for the highest, with those for the lower ones kept as superseded; for marks
// left and none reached, one that the level is resolved.
func (ch change) crossed(c *core, up, down []alert.Mark) []alert.Alert {
	// The present level is that of the highest mark reached, unless thresholds were moved.
	d := ch.definition
	present := alert.Classify(d.Metric.Decimal(ch.tally.used()), d.Limit, d.Thresholds)
	if len(up) == 0 && len(down) > 0 && len(ch.after) > 0 {
		highest := down[len(down)-1]
		resolved := ch.alert(c, alert.Resolved, highest, present)
		resolved.Left = highest.Level
		return []alert.Alert{resolved}
	}
	alerts := make([]alert.Alert, len(up))
	for i, mark := range up {
		level, superseded := present, i < len(up)-1
		if superseded {
			level = mark.Level
		}
		alerts[i] = ch.alert(c, alert.Threshold, mark, level)
		alerts[i].Superseded = superseded
	}
	return alerts
}

func (ch change) alert(c *core, kind alert.Kind, mark alert.Mark, level alert.Level) alert.Alert {
	d, now := ch.definition, c.now()
	value, _ := ParseValue(ch.key.Value) // which made the key
	bounds := d.Schedule.Bounds(time.UnixMicro(ch.key.Start))
	return alert.Alert{
		ID:         c.options.NewID(),
		Budget:     d.ID,
		BudgetName: d.Name,
		Owner:      d.Owner,
		Tenant:     d.tenant(),
		Labels:     d.Labels,
		Value:      ch.key.Value,
		Scope:      d.Scope.with(value),
		Period:     bounds,
		Kind:       kind,
		Threshold:  mark.Percent,
		Level:      level,
		Episode:    int(ch.tally.Episode),
		Metric:     d.Metric,
		Used:       ch.tally.used(),
		Limit:      d.limitUnits(),
		At:         now,
		Late:       !now.Before(bounds.End),
		Message:    alert.Message(d.Name, level, d.Metric.Decimal(ch.tally.used()), d.Limit),
	}
}
