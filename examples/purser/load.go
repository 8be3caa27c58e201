package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/load"
	"github.com/purser-go/purser/store"
)

func (p *program) load() *cobra.Command {
	o := loading{program: p, workers: 8, processes: 1, duration: 10 * time.Second, amount: decimal.NewFromInt(1)}
	c := &cobra.Command{
		Use:   "load --budget ID…",
		Short: "Reserve and settle from many processes, and measure it",
		Long: `Start processes whose workers reserve and settle against budgets as fast as they can, and show what came of it. Every
request is covered by all the budgets given: it has the values that their scopes name, and one value of its own for each
@each. Other budgets that cover it take part as well. A worker that is refused waits for 20 ms. An interrupt ends it early.

A request asks for --amount of each budget's metric: so many tokens in all, input tokens, output tokens, dollars, credits,
which are given as their cost, or requests; but for one request where there are budgets on something else. What comes in
whole numbers is rounded up, but not of the first budget. It settles at that, or, for so many percent of the requests as
--actual-over says, at 0.1 to 100 percent more, chosen at random, and at least one unit more. A budget that is disabled
refuses nothing, and counts.

With --lease a process leases a part of what is available and admits from memory; settling is a commit all the same, which
the workers of a process share.

In the end it shows how many requests were admitted, refused (and by which budgets) and settled, how long reserving took,
refusals included, and, of the first budget given, what the tables say: limit, used (from the counter), reserved (from the
open reservations), the number of events and their amount (from the events). These are of the whole period that runs when the
load ends, whoever used it: where there are no adjustments and no pruned events, what is used is the events' amount. Events
of a budget on credits are converted at its present rate.

With --json it prints one object: admitted, refused, settled, admitted_amount (the sum of the estimates that were admitted),
used, reserved, limit, events, events_amount, p50_ms, p99_ms (of reserving), per_second (admissions, on average).`,
		Example: `  purser load --budget 0198f2d1-… --processes 4 --workers 16 --duration 30s
  purser load --budget 0198f2d1-… --budget 0198f2d2-… --amount 0.02 --actual-over 10 --json`,
		Args: arguments(0, -1, ""),
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&o.ids, "budget", nil, "the `id` of a budget; may be repeated, or followed by more ids")
	flags.Var(most(&o.workers), "workers", "how many reserve at the same time, in each process")
	flags.Var(most(&o.processes), "processes", "how many processes")
	flags.Var(duration(&o.duration), "duration", "for how long")
	flags.Var(number(&o.amount), "amount", "what each request reserves, in the budgets' metrics (default 1)")
	flags.BoolVar(&o.lease, "lease", false, "let each process admit from memory, out of room that it leases")
	flags.Var(percentFlag(&o.over), "actual-over", "percent of the requests that use more than they reserved")
	cobra.CheckErr(c.MarkFlagRequired("budget"))
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, more []string) error {
		o.ledger, o.ids = l, append(o.ids, more...)
		return o.run(ctx)
	})
	return c
}

// loadProcess is what the command load starts.
func (p *program) loadProcess() *cobra.Command {
	return &cobra.Command{
		Use:    loadProcess,
		Hidden: true,
		Args:   arguments(0, 0, ""),
		RunE: p.withStore(&store.Options{NoMigrate: true}, func(ctx context.Context, s budget.Store, _ []string) error {
			return load.Serve(ctx, s, p.stdin, p.stdout)
		}),
	}
}

const loadProcess = "load-process"

func percentFlag(to *int) pflag.Value {
	return value[int]{to: to, kind: "percent", show: strconv.Itoa, parse: func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 100 {
			return 0, errors.New("must be a whole number from 0 to 100")
		}
		return n, nil
	}}
}

// A loading is one run of the command load.
type loading struct {
	program *program
	ledger  *budget.Ledger

	ids                []string
	workers, processes int
	duration           time.Duration
	amount             decimal.Decimal
	lease              bool
	over               int // percent

	first budget.Budget
	asked decimal.Decimal // of it, by each request
	plan  load.Plan
}

func (o *loading) run(ctx context.Context) error {
	if err := o.prepare(ctx); err != nil {
		return err
	}
	line := o.newLine()
	sum, failed := load.Conduct(ctx, o.processes, o.command, o.plan, func(sum *load.Sum) { line.update(ctx, sum) })
	line.end()
	// Also after an interrupt.
	ctx = context.WithoutCancel(ctx)
	figures, err := load.ReadFigures(ctx, o.program.db, o.first, o.plan.Subject, time.Now())
	if err != nil {
		return errors.Join(failed, err)
	}
	refusals, err := o.refusals(ctx, sum)
	if err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, o.show(sum, figures, refusals))
}

// refusals says which budgets refused requests, and how many.
func (o *loading) refusals(ctx context.Context, sum *load.Sum) (string, error) {
	var by []string
	for _, id := range slices.Sorted(maps.Keys(sum.RefusedBy)) {
		b, err := o.ledger.Budget(ctx, id)
		if errors.Is(err, budget.ErrNotFound) {
			b.Name = id // deleted since
		} else if err != nil {
			return "", err
		}
		by = append(by, fmt.Sprintf("%s by %q", whole(sum.RefusedBy[id]), b.Name))
	}
	return strings.Join(by, ", "), nil
}

// prepare makes the plan, and sees that all the budgets cover its requests.
func (o *loading) prepare(ctx context.Context) error {
	budgets := make([]budget.Budget, len(o.ids))
	for i, id := range o.ids {
		b, err := o.ledger.Budget(ctx, id)
		if err != nil {
			return err
		}
		budgets[i] = b
	}
	plan, err := load.NewPlan(budgets, o.amount)
	if err != nil {
		return err
	}
	plan.Workers, plan.Duration, plan.Over, plan.Lease = o.workers, o.duration, o.over, o.lease
	o.first, o.asked, o.plan = budgets[0], load.Asked(budgets, 0, o.amount), plan
	decision, err := o.ledger.Check(ctx, budget.Request{Subject: plan.Subject, Estimate: plan.Estimate})
	if err != nil {
		return err
	}
	return covers(decision, budgets)
}

// covers returns an error if one of the budgets does not cover the request, or refuses it for another reason than that
// there is no room.
func covers(d budget.Decision, budgets []budget.Budget) error {
	taking := make(map[string]bool)
	for _, v := range d.Verdicts {
		if v.Refused && v.Reason != budget.NoRoom {
			return &budget.FieldError{Field: "budget", Message: fmt.Sprintf("%q would refuse every request: %s", v.Budget.Name, reasons[v.Reason])}
		}
		taking[v.Budget.ID] = true
	}
	for _, b := range budgets {
		if !taking[b.ID] && !b.Disabled {
			return &budget.FieldError{Field: "budget", Message: fmt.Sprintf("%q takes no part: it does not count now, or leaves out what another one names", b.Name)}
		}
	}
	return nil
}

// command returns another process of this program. The database is named in its environment, where no other user sees it.
func (o *loading) command() *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	c := exec.Command(self, loadProcess)
	c.Env = append(os.Environ(), databaseIn+"="+o.program.db)
	return c
}

// loadJSON is how it is written in JSON what came of a load.
type loadJSON struct {
	Admitted       int64   `json:"admitted"`
	Refused        int64   `json:"refused"`
	Settled        int64   `json:"settled"`
	AdmittedAmount exact   `json:"admitted_amount"`
	Used           exact   `json:"used"`
	Reserved       exact   `json:"reserved"`
	Limit          exact   `json:"limit"`
	Events         int64   `json:"events"`
	EventsAmount   exact   `json:"events_amount"`
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	PerSecond      float64 `json:"per_second"`
}

func (o *loading) show(sum *load.Sum, f load.Figures, refusals string) error {
	written := loadJSON{
		Admitted: sum.Admitted, Refused: sum.Refused, Settled: sum.Settled,
		AdmittedAmount: exact(o.asked.Mul(decimal.NewFromInt(sum.Admitted))),
		Used:           exact(f.Used), Reserved: exact(f.Reserved), Limit: exact(f.Limit),
		Events: f.Events, EventsAmount: exact(f.EventsAmount),
		P50: milliseconds(sum.Took(50)), P99: milliseconds(sum.Took(99)), PerSecond: math.Round(sum.Rate()*10) / 10,
	}
	return o.program.show(written, func(w io.Writer) { o.print(w, sum, written, refusals) })
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (o *loading) print(w io.Writer, sum *load.Sum, r loadJSON, refusals string) {
	of := func(n exact) string { return amount(decimal.Decimal(n)) + " " + string(o.first.Metric) }
	line := func(name, format string, args ...any) { printField(w, name, fmt.Sprintf(format, args...)) }
	line("admitted", "%s, %s", whole(r.Admitted), of(r.AdmittedAmount))
	if refusals != "" {
		refusals = ", " + refusals
	}
	line("refused", "%s%s", whole(r.Refused), refusals)
	line("settled", "%s", whole(r.Settled))
	line("per second", "%s admitted, over %.1f s", whole(int64(r.PerSecond)), sum.Elapsed.Seconds())
	line("time to reserve", "%.3f ms in half of the cases, at most %.3f ms in 99 %% of them", r.P50, r.P99)
	fmt.Fprintf(w, "\nWhat the tables say of %q, %s\n\n", o.first.Name, o.first.Schedule)
	line("limit", "%s", of(r.Limit))
	line("used", "%s", of(r.Used))
	line("reserved", "%s", of(r.Reserved))
	line("events", "%s, %s", whole(r.Events), of(r.EventsAmount))
	if plot := plotSeconds(sum); plot != "" {
		fmt.Fprintf(w, "\nAdmitted per second\n\n%s\n", plot)
	}
}

// plotSeconds draws how many requests were admitted in each whole second; "" where there are less than two.
func plotSeconds(sum *load.Sum) string {
	seconds := min(len(sum.PerSecond), int(sum.Elapsed.Seconds()))
	if seconds < 2 {
		return ""
	}
	points := make([]float64, seconds)
	for i := range points {
		points[i] = float64(sum.PerSecond[i])
	}
	return asciigraph.Plot(points,
		asciigraph.Height(10),
		asciigraph.LowerBound(0),
		asciigraph.Width(min(max(seconds, 40), 80)),
		asciigraph.YAxisValueFormatter(func(n float64) string { return whole(int64(math.Round(n))) }),
		asciigraph.XAxisRange(1, float64(seconds)),
		asciigraph.XAxisTickCount(min(seconds, 5)),
		asciigraph.XAxisValueFormatter(func(s float64) string { return fmt.Sprintf("%.0f s", s) }),
	)
}
