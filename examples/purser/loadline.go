package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/shopspring/decimal"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/purser-go/purser/examples/internal/load"
)

// A loadLine says on a terminal how a load goes. It is nil, and draws nothing, where there is no terminal.
type loadLine struct {
	loading *loading
	line    *progress
	text    atomic.Value // a string, behind the bar

	seconds int // that were drawn
}

func (o *loading) newLine() *loadLine {
	if !o.program.live {
		return nil
	}
	l := &loadLine{loading: o}
	l.text.Store("")
	l.line = o.program.draw("load", barStyle.Build(), decor.Any(func(decor.Statistics) string { return l.text.Load().(string) }))
	return l
}

// update draws what was done so far, once a second.
func (l *loadLine) update(ctx context.Context, sum *load.Sum) {
	if l == nil || len(sum.PerSecond) == l.seconds {
		return
	}
	l.seconds = len(sum.PerSecond)
	rate := ""
	if l.seconds > 1 { // not the last second: not all processes have said yet what they did in it
		rate = whole(sum.PerSecond[l.seconds-2]) + "/s  "
	}
	l.text.Store(fmt.Sprintf("  %sp50/p99 %s/%s ms  %s%s refused", rate,
		brief(decimal.NewFromFloat(milliseconds(sum.Took(50)))), brief(decimal.NewFromFloat(milliseconds(sum.Took(99)))), l.standing(ctx), whole(sum.Refused)))
	l.line.update(sum.Elapsed.Milliseconds(), l.loading.duration.Milliseconds())
}

// standing says how the first budget stands, and nothing if that can't be known just now.
func (l *loadLine) standing(ctx context.Context) string {
	b := l.loading.first
	value, _ := b.Scope.Match(l.loading.plan.Subject)
	s, err := l.loading.ledger.Status(ctx, b.ID, value)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s used  %s reserved  ", brief(s.Used), brief(s.Reserved))
}

// brief writes a number with at most 3 digits behind the point, fewer the longer it is: all of the line is to fit on 80
// columns.
func brief(d decimal.Decimal) string {
	for places, most := int32(3), decimal.NewFromInt(10); places > 0; places-- {
		if d.LessThan(most) {
			return amount(d.Round(places))
		}
		most = most.Shift(1)
	}
	return amount(d.Round(0))
}

// end takes the line away.
func (l *loadLine) end() {
	if l != nil {
		l.line.end()
	}
}
