package main

import (
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A progress is a line on a terminal that says how far something is. It is nil, and draws nothing, where there is no
// terminal.
type progress struct {
	program *program
	stderr  io.Writer // the program's own
	lines   *mpb.Progress
	bar     *mpb.Bar
}

// newProgress draws a line until it is ended. What the program says on stderr meanwhile stands above it. A line without a
// goal counts events and says nothing about how many there will be.
func (p *program) newProgress(title string, goal bool) *progress {
	if !p.live {
		return nil
	}
	done := []decor.Decorator{
		decor.CurrentNoUnit("%d events  "), decor.AverageSpeed(0, "%.0f/s  "), decor.Elapsed(decor.ET_STYLE_GO),
	}
	filler := mpb.NopStyle().Build()
	if goal {
		filler = barStyle.Build()
		done = append([]decor.Decorator{decor.NewPercentage(" % d  ")}, done...)
		done = append(done, remaining())
	}
	return p.draw(title, filler, done...)
}

// draw draws a line of a title, a bar and what stands behind it.
func (p *program) draw(title string, filler mpb.BarFiller, behind ...decor.Decorator) *progress {
	l := &progress{program: p, stderr: p.stderr, lines: mpb.New(mpb.WithOutput(p.stderr), mpb.WithWidth(20))}
	l.bar = l.lines.MustAdd(0, filler, mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Name(title+" ")), mpb.AppendDecorators(behind...))
	p.stderr = l.lines
	return l
}

// remaining shows how long it will take, as soon as there is something to go by.
func remaining() decor.Decorator {
	left := decor.AverageETA(decor.ET_STYLE_GO)
	return decor.Any(func(s decor.Statistics) string {
		if s.Current == 0 {
			return ""
		}
		text, _ := left.Decor(s)
		return "  " + text + " left"
	})
}

// update says how much is done, of how much in all.
func (l *progress) update(done, all int64) {
	if l != nil {
		l.bar.SetTotal(all, false)
		l.bar.SetCurrent(done)
	}
}

// end takes the line away.
func (l *progress) end() {
	if l != nil {
		l.bar.Abort(true)
		l.lines.Wait()
		l.program.stderr = l.stderr
	}
}
