package main

import (
	"fmt"
	"io"
	"time"
)

// A progress is one line on a terminal that says how far something is. It is nil, and draws nothing, where there is no
// terminal.
type progress struct {
	to    io.Writer
	title string
	bytes int64 // in all; 0: not known
	start time.Time
	drawn time.Time
	now   func() time.Time
}

const redraw = 100 * time.Millisecond

func (p *program) newProgress(title string, bytes int64) *progress {
	if !p.live {
		return nil
	}
	return &progress{to: p.stderr, title: title, bytes: bytes, start: time.Now(), now: time.Now}
}

// update draws the line: how many events, how many of the bytes.
func (l *progress) update(events, bytes int64) {
	if l == nil || l.now().Sub(l.drawn) < redraw {
		return
	}
	l.drawn = l.now()
	fmt.Fprintf(l.to, "\r\x1b[K%s", l.line(events, bytes))
}

func (l *progress) line(events, bytes int64) string {
	took := l.now().Sub(l.start)
	rate := int64(float64(events) / max(took.Seconds(), 0.001))
	counts := fmt.Sprintf("%s events  %s/s", whole(events), whole(rate))
	if l.bytes <= 0 {
		return l.title + "  " + counts
	}
	share := min(float64(bytes)/float64(l.bytes), 1)
	line := fmt.Sprintf("%s %s %3.0f %%  %s", l.title, bar(share, 20), 100*share, counts)
	if share > 0 {
		left := time.Duration(float64(took) * (1 - share) / share)
		line += fmt.Sprintf("  %s left", left.Round(time.Second))
	}
	return line
}

// end takes the line away.
func (l *progress) end() {
	if l != nil {
		fmt.Fprint(l.to, "\r\x1b[K")
	}
}
