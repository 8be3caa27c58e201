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

// alerts adds to w the alerts of the change: for marks reached, the highest, with the lower ones kept as superseded; for
// marks left and none reached, one that the level is resolved. That ends the episode, so that reaching them again alerts
// again. A budget that no longer alerts ends it without a word.
func (ch change) alerts(c *core, w *Writes) {
	up, down := alert.Crossed(ch.usedBefore, ch.before, ch.tally.used(), ch.after)
	// The present level is that of the highest mark reached, unless thresholds were moved.
	d := ch.definition
	present := alert.Classify(d.Metric.Decimal(ch.tally.used()), d.Limit, d.Thresholds)
	for i, mark := range up {
		level, superseded := present, i < len(up)-1
		if superseded {
			level = mark.Level
		}
		a := ch.alert(c, alert.Threshold, mark, level)
		a.Superseded = superseded
		w.Alerts = append(w.Alerts, a)
	}
	if len(down) == 0 {
		return
	}
	if len(up) == 0 && len(ch.after) > 0 {
		w.Alerts = append(w.Alerts, ch.alert(c, alert.Resolved, down[len(down)-1], present))
	}
	w.Counters = append(w.Counters, Counter{CounterKey: ch.key, Tally: Tally{Episode: 1}})
}

func (ch change) alert(c *core, kind alert.Kind, mark alert.Mark, level alert.Level) alert.Alert {
	d, now := ch.definition, c.now()
	bounds := d.Schedule.Bounds(time.UnixMicro(ch.key.Start))
	return alert.Alert{
		ID:         c.options.NewID(),
		Budget:     d.ID,
		BudgetName: d.Name,
		Value:      ch.key.Value,
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
