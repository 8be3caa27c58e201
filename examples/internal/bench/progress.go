package main

import (
	"fmt"
	"io"
	"os"
	"time"

	pretty "github.com/jedib0t/go-pretty/v6/progress"
)

// A progress tells how far the run is: on a terminal by a line that is kept up to date, elsewhere by a line per row.
type progress struct {
	out     io.Writer
	row     string
	began   time.Time // with the row
	live    pretty.Writer
	tracker *pretty.Tracker // nil: not on a terminal
}

func newProgress(out io.Writer, rows int) *progress {
	p := &progress{out: out}
	if !isTerminal(out) {
		return p
	}
	p.tracker = &pretty.Tracker{Total: int64(rows)}
	p.live = pretty.NewWriter()
	p.live.SetOutputWriter(out)
	p.live.SetTrackerPosition(pretty.PositionRight)
	p.live.SetMessageLength(90)
	p.live.SetUpdateFrequency(200 * time.Millisecond)
	p.live.Style().Visibility.ETA = true
	p.live.Style().Visibility.Value = false
	p.live.AppendTracker(p.tracker)
	go p.live.Render()
	return p
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// begin says that a row begins.
func (p *progress) begin(row string) {
	p.row, p.began = row, time.Now()
	p.say("begins")
}

// say tells what is being done for the row.
func (p *progress) say(format string, args ...any) {
	if p.tracker != nil {
		p.tracker.UpdateMessage(p.row + ": " + fmt.Sprintf(format, args...))
	}
}

// end says that the row is done.
func (p *progress) end() {
	if p.tracker != nil {
		p.tracker.Increment(1)
		return
	}
	fmt.Fprintf(p.out, "%s (%s)\n", p.row, time.Since(p.began).Round(100*time.Millisecond))
}

func (p *progress) stop() error {
	if p.tracker == nil {
		return nil
	}
	p.live.Stop()
	for p.live.IsRenderInProgress() {
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}
