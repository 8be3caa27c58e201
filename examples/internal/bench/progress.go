package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// A progress tells how far the run is: on a terminal by a line that is kept up to date, elsewhere by a line per row.
type progress struct {
	out   io.Writer
	row   string
	began time.Time    // with the row
	doing atomic.Value // a string
	lines *mpb.Progress
	bar   *mpb.Bar // nil: not on a terminal
}

func newProgress(out io.Writer, rows int) *progress {
	p := &progress{out: out}
	p.doing.Store("")
	if file, ok := out.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return p
	}
	p.lines = mpb.New(mpb.WithOutput(out), mpb.WithWidth(20))
	p.bar = p.lines.AddBar(0, mpb.AppendDecorators(
		decor.CountersNoUnit("%d of %d rows  "), decor.Elapsed(decor.ET_STYLE_GO), decor.Name("  "), remaining(),
		decor.Any(func(decor.Statistics) string { return p.doing.Load().(string) }),
	))
	p.bar.SetTotal(int64(rows), false)
	return p
}

// remaining shows how long it will take, as soon as there is something to go by.
func remaining() decor.Decorator {
	left := decor.AverageETA(decor.ET_STYLE_GO)
	return decor.Any(func(s decor.Statistics) string {
		if s.Current == 0 {
			return ""
		}
		text, _ := left.Decor(s)
		return text + " left  "
	})
}

// begin says that a row begins.
func (p *progress) begin(row string) {
	p.row, p.began = row, time.Now()
	p.say("begins")
}

// say tells what is being done for the row.
func (p *progress) say(format string, args ...any) {
	p.doing.Store(p.row + ": " + fmt.Sprintf(format, args...))
}

// end says that the row is done.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Increment()
		return
	}
	fmt.Fprintf(p.out, "%s (%s)\n", p.row, time.Since(p.began).Round(100*time.Millisecond))
}

// stop takes the line away.
func (p *progress) stop() error {
	if p.bar != nil {
		p.bar.Abort(true)
		p.lines.Wait()
	}
	return nil
}
