package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/backtest"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func (p *program) forecast() *cobra.Command {
	f := forecasting{program: p, method: usage.Auto, period: "monthly"}
	var replay bool
	c := &cobra.Command{
		Use:   "forecast ID",
		Short: "Show where a budget will stand when its period ends",
		Long: "Show where a budget will stand when its period ends, the range in which that is in 80 % of cases, and when its\n" +
			"limit is passed. The method auto is seasonal, by the weekdays and hours of the trailing 8 weeks, where a week of\n" +
			"usage is known, else run-rate. Early in a period, and while it has no usage, there is none.\n\n" +
			"With --backtest it replays usage that is over: files of CSV with the columns series, hour and amount, or - for\n" +
			"standard input. It makes projections when 10, 25, 50 and 75 % of each period are over, and shows for each method\n" +
			"by how much half and nine tenths of them were wrong at most, and how often the range held the truth.",
		Example: `  purser forecast 0198f2d1-…
  purser forecast 0198f2d1-… --value user=ada --method run-rate
  purser forecast --backtest hours.csv --period weekly --zone Europe/Berlin`,
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(into(&f.value, "dimension=value"), "value", "for this `dimension=value` of an @each; repeated for several @each")
	flags.Var(methodFlag(&f.method), "method", "auto, run-rate, by-day or seasonal")
	flags.Var(instantFlag(&f.at), "at", "as of this time, which is past")
	flags.BoolVar(&replay, "backtest", false, "replay files instead of looking at a budget")
	flags.Var(periodFlag(&f.period), "period", "with --backtest: the period to project to the end of (default monthly)")
	flags.Var(zoneFlag(&f.zone), "zone", "with --backtest: its time zone (default UTC)")
	for _, name := range []string{"value", "method", "at"} {
		c.MarkFlagsMutuallyExclusive("backtest", name)
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if replay {
			return arguments(1, -1, "a file, or - for standard input")(c, args)
		}
		for _, name := range []string{"period", "zone"} {
			if flags.Changed(name) {
				return fmt.Errorf("--%s goes with --backtest", name)
			}
		}
		return arguments(1, 1, "the id of a budget")(c, args)
	}
	look := p.reads(f.look)
	c.RunE = func(c *cobra.Command, args []string) error {
		if replay {
			p.command = c
			return f.replay(args)
		}
		return look(c, args)
	}
	return c
}

func methodFlag(to *usage.Method) pflag.Value {
	return value[usage.Method]{to: to, kind: "method", parse: func(text string) (usage.Method, error) {
		m, err := usage.ParseMethod(text)
		return m, flagError(err, "method")
	}, show: func(m usage.Method) string { return string(m) }}
}

// A forecasting is one run of the command forecast.
type forecasting struct {
	program *program
	value   budget.Value
	method  usage.Method
	at      instant
	period  string
	zone    *time.Location
}

// look shows the projection of a budget.
func (f *forecasting) look(ctx context.Context, l *budget.Ledger, args []string) error {
	project := l.Projection
	if at := f.at.time; !at.IsZero() {
		project = func(ctx context.Context, id string, v budget.Value) (budget.Projection, error) {
			return l.ProjectionAt(ctx, id, v, at)
		}
	}
	p, err := project(ctx, args[0], f.value)
	if err != nil {
		return err
	}
	if f.method != usage.Auto {
		p.Projection = p.Pace.Project(f.method)
	}
	return f.program.show(p, func(w io.Writer) {
		f.print(w, p)
		if plot := f.plot(p); plot != "" {
			fmt.Fprintf(w, "\n%s\n", plot)
		}
	})
}

func (f *forecasting) print(w io.Writer, p budget.Projection) {
	b, zone := p.Status.Budget, p.Pace.Zone
	line := func(name, format string, args ...any) { printField(w, name, fmt.Sprintf(format, args...)) }
	line("budget", "%s", strings.TrimSpace(b.Name+"  "+valueText(p.Status.Value)))
	if !p.Status.Period.IsZero() {
		line("period", "%s to %s", local(p.Status.Period.Start, zone), local(p.Status.Period.End, zone))
	}
	line("used", "%s of %s %s, %s, at %s", amount(p.Status.Used), amount(b.Limit), b.Metric, percent(p.Status.Percent), local(p.Pace.At, zone))
	if p.Reason != "" {
		line("projected", "nothing: %s", p.Reason.Text())
	} else {
		line("projected", "%s, %s to %s in %d %% of cases", rounded(p.Value), rounded(p.Low), rounded(p.High), usage.Coverage)
		line("method", "%s", p.Method)
	}
	if p.Fallback != "" {
		line("", "not seasonal: %s", p.Fallback.Text())
	}
	line("limit", "%s", passing(p, zone))
}

// passing says when the limit is passed.
func passing(p budget.Projection, zone *time.Location) string {
	switch {
	case p.Passed && p.Passes.IsZero():
		return "is passed already, nobody knows since when"
	case p.Passed:
		return "is passed already, since about " + local(p.Passes, zone)
	case p.Reason != "":
		return ""
	case p.Passes.IsZero():
		return "is not passed in this period"
	default:
		return "is passed at about " + local(p.Passes, zone)
	}
}

// local writes an instant by the clock of a zone, to the minute.
func local(t time.Time, zone *time.Location) string { return t.In(zone).Format("2006-01-02 15:04 MST") }

// rounded writes an estimate with as many places as mean something.
func rounded(d decimal.Decimal) string {
	switch {
	case d.GreaterThanOrEqual(decimal.NewFromInt(1000)):
		return amount(d.Round(0))
	case d.GreaterThanOrEqual(decimal.NewFromInt(1)):
		return amount(d.Round(2))
	default:
		return amount(d)
	}
}

// projectedChars and limitChars tell the lines of the plot apart where there are no colours.
var (
	projectedChars = asciigraph.CharSet{
		Horizontal: "╌", VerticalLine: "╎", ArcDownRight: "╭", ArcDownLeft: "╮", ArcUpRight: "╰", ArcUpLeft: "╯", EndCap: "╌", StartCap: "╌",
	}
	limitChars = asciigraph.CreateCharSet("·")
)

// plot draws what was used, what is projected and the limit, over the period. It is "" where nothing is projected.
func (f *forecasting) plot(p budget.Projection) string {
	const width = 72
	points := make([]time.Time, width+1)
	start, length := p.Pace.Period.Start, p.Pace.Period.Duration()
	for i := range points {
		points[i] = start.Add(length / width * time.Duration(i))
	}
	course := p.Pace.Course(p.Method, points...)
	if course == nil {
		return ""
	}
	used, projected, limit := make([]float64, len(points)), make([]float64, len(points)), make([]float64, len(points))
	sofar := usedAt(p.Pace, points)
	for i, t := range points {
		used[i], projected[i], limit[i] = sofar[i], course[i].InexactFloat64(), p.Status.Budget.Limit.InexactFloat64()
		if t.After(p.Pace.At) {
			used[i] = math.NaN()
		} else {
			projected[i] = math.NaN()
		}
	}
	day := "2 Jan"
	if length <= 48*time.Hour {
		day = "15:04"
	}
	options := []asciigraph.Option{
		asciigraph.Height(12),
		asciigraph.LowerBound(0),
		asciigraph.YAxisValueFormatter(axisLabel),
		asciigraph.XAxisRange(float64(start.Unix()), float64(p.Pace.Period.End.Unix())),
		asciigraph.XAxisTickCount(5),
		asciigraph.XAxisValueFormatter(func(s float64) string { return time.Unix(int64(s), 0).In(p.Pace.Zone).Format(day) }),
		asciigraph.SeriesChars(limitChars, asciigraph.DefaultCharSet, projectedChars),
		asciigraph.Caption("─ used  ╌ projected  · limit"),
	}
	if f.program.colour {
		options = append(options, asciigraph.SeriesColors(asciigraph.Red, asciigraph.Default, asciigraph.Blue))
	}
	return asciigraph.PlotMany([][]float64{limit, used, projected}, options...)
}

func axisLabel(n float64) string {
	if n >= 1000 {
		return whole(int64(math.Round(n)))
	}
	return fmt.Sprintf("%.4g", n)
}

// usedAt returns what was used at each of some instants, as far as the hours are known.
func usedAt(pace usage.Pace, at []time.Time) []float64 {
	in := slices.DeleteFunc(slices.Clone(pace.Hours), func(h usage.HourUse) bool { return !pace.Period.Contains(h.Start) })
	units := pace.Recorded + pace.Adjusted
	for _, h := range in {
		units -= h.Units
	}
	used := make([]float64, len(at))
	for i, t := range at {
		for len(in) > 0 && in[0].Start.Before(t) {
			units += in[0].Units
			in = in[1:]
		}
		used[i] = pace.Metric.Decimal(units).InexactFloat64()
	}
	return used
}

// replay shows what projections would have been worth on the series of files.
func (f *forecasting) replay(files []string) error {
	schedule, err := period.Parse(f.period)
	if err != nil {
		return err
	}
	if f.zone != nil {
		schedule = schedule.In(f.zone)
	}
	var trials []backtest.Trial
	for _, file := range files {
		series, err := f.read(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, plain(err))
		}
		for _, s := range series {
			s.Name = file + " " + s.Name // two files may each have a series of the same name
			trials = slices.AppendSeq(trials, backtest.Replay(s, schedule))
		}
	}
	if len(trials) == 0 {
		return fmt.Errorf("no series has usage from early in a period, %s, to its end: --period names another", schedule)
	}
	t := newGrid("", "method", ">over", ">half wrong by", ">9 of 10 by", ">range held", ">projections", ">series")
	return showList(f.program, list(backtest.Sum(slices.Values(trials)), nil), t, func(r backtest.Row) {
		t.add(r.Method, share(r.Share), share(r.MedianError), share(r.P90Error), share(r.Covered), whole(int64(r.Projections)), whole(int64(r.Series)))
	})
}

func (f *forecasting) read(name string) ([]backtest.Series, error) {
	file, err := f.program.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return backtest.Read(file)
}

// share writes a share of 1 in percent.
func share(s float64) string { return fmt.Sprintf("%.1f %%", 100*s) }
