package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/trace"
	"github.com/purser-go/purser/examples/server/internal/demo"
)

// fillDemo fills an empty database with a service's usage up to now. Another one it leaves as it is, and says so.
func fillDemo(ctx context.Context, s budget.Store, now time.Time, stderr io.Writer) error {
	empty, err := demo.Empty(ctx, s)
	if err != nil {
		return err
	}
	if !empty {
		fmt.Fprintln(stderr, "The database has contents already: it stays as it is, without the demo's.")
		return nil
	}
	progress, end := drawn(stderr)
	err = demo.Fill(ctx, s, now, progress)
	end()
	if err == nil {
		fmt.Fprintf(stderr, "%s\n%s\n", trace.Attribution(), demo.Rule)
	}
	return err
}

// drawn returns what draws a line that says how far something is, until it is ended: nothing where there is no terminal.
func drawn(stderr io.Writer) (update func(done, all int), end func()) {
	file, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	lines := mpb.New(mpb.WithOutput(stderr), mpb.WithWidth(20))
	bar := lines.MustAdd(0, mpb.BarStyle().Lbound("").Filler("█").Tip("").Padding("░").Rbound("").Build(), mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Name("demo ")),
		mpb.AppendDecorators(decor.NewPercentage(" % d  "), decor.CurrentNoUnit("%d events  "), decor.Elapsed(decor.ET_STYLE_GO)))
	update = func(done, all int) {
		bar.SetTotal(int64(all), false)
		bar.SetCurrent(int64(done))
	}
	return update, func() {
		bar.Abort(true)
		lines.Wait()
	}
}
