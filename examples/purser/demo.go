package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/trace"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

func (p *program) demo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show it at work on an hour of a real service",
		Long: "Make three tenants with budgets in a new SQLite file, replay the requests that a real service answered in one\n" +
			"hour, and show what came of it. Without --db the file is a temporary one.",
		Example: "  purser demo\n  purser demo --db sqlite:demo.db",
		Args:    arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			p.command = c
			if !c.Flags().Changed("db") {
				dir, err := os.MkdirTemp("", "purser-demo-")
				if err != nil {
					return err
				}
				p.db = "sqlite:" + filepath.Join(dir, "demo.db")
			}
			return p.runDemo(c.Context())
		},
	}
}

func (p *program) runDemo(ctx context.Context) error {
	path, isFile := strings.CutPrefix(p.db, "sqlite:")
	if !isFile {
		return &budget.FieldError{Field: "url", Message: "must name a new SQLite file, such as sqlite:demo.db"}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s exists: the demo wants a file of its own, name another with --db or leave that out", path)
	}
	s, err := store.Open(ctx, p.db, nil)
	if err != nil {
		return err
	}
	prices, err := trace.Prices()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	d := &demo{program: p, prices: prices}
	d.ledger = budget.NewLedger(s, &budget.Options{Now: func() time.Time { return d.now }, Prices: prices}).By("demo")
	return errors.Join(d.run(ctx), s.Close())
}

// A demo is one run of the demo. Its clock goes with the requests that it replays.
type demo struct {
	program *program
	ledger  *budget.Ledger
	prices  *price.List
	now     time.Time

	start     time.Time // the clock's first minute
	budgets   []budget.Budget
	perHour   budget.Budget
	perMinute budget.Budget
	recorded  int64
	took      time.Duration
}

func (d *demo) run(ctx context.Context) error {
	events, err := dealt()
	if err != nil {
		return err
	}
	d.now = events[0].Time
	d.start = d.now.Truncate(time.Minute)
	if err := d.makeBudgets(ctx); err != nil {
		return err
	}
	if err := d.replay(ctx, events); err != nil {
		return err
	}
	return d.show(ctx)
}

func dealt() ([]usage.Event, error) {
	var events []usage.Event
	for e, err := range trace.Events() {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// limits are chosen so that every level is there in the end.
var limits = map[string]int64{"acme": 45, "globex": 50, "initech": 13}

func (d *demo) makeBudgets(ctx context.Context) error {
	for _, tenant := range trace.Tenants() {
		d.budgets = append(d.budgets, budget.Budget{
			Name: tenant + ", monthly", Metric: usage.Dollars, Limit: decimal.NewFromInt(limits[tenant]),
			Schedule: period.Monthly, Scope: budget.Scope{usage.Tenant: budget.Selector(tenant)},
		})
	}
	d.budgets = append(d.budgets, budget.Budget{
		Name: "Each user, daily", Metric: usage.Tokens, Limit: decimal.NewFromInt(10_000_000),
		Schedule: period.Daily, Scope: budget.Scope{usage.User: budget.Each},
	}, budget.Budget{
		Name: "Key acme-batch, hourly", Metric: usage.Requests, Limit: decimal.NewFromInt(2000),
		Schedule: period.Hourly, Scope: budget.Scope{usage.APIKey: "acme-batch"},
	}, budget.Budget{
		Name: "All tokens, per minute", Metric: usage.Tokens, Limit: decimal.NewFromInt(2_000_000),
		Schedule: period.Every(1, period.Minute, d.now.Truncate(time.Hour)), Enforcement: budget.Observe,
	})
	for i, b := range d.budgets {
		made, err := d.ledger.Create(ctx, b)
		if err != nil {
			return err
		}
		d.budgets[i] = made
	}
	d.perHour, d.perMinute = d.budgets[len(d.budgets)-2], d.budgets[len(d.budgets)-1]
	return nil
}

// replay records the events, a batch at a time, with the clock at the last event of the batch.
func (d *demo) replay(ctx context.Context, events []usage.Event) error {
	line := d.program.newProgress("replay", true)
	defer line.end()
	start := time.Now()
	for batch := range slices.Chunk(events, 500) {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.now = batch[len(batch)-1].Time
		results, err := d.ledger.RecordBatch(ctx, batch)
		if err != nil {
			return err
		}
		for _, result := range results {
			if result.Outcome != budget.Recorded {
				return fmt.Errorf("request %s: %s: %w", result.ID, result.Outcome, result.Err)
			}
		}
		d.recorded += int64(len(batch))
		line.update(d.recorded, int64(len(events)))
	}
	d.took = time.Since(start)
	return nil
}

// A report is what the demo shows in the end.
type report struct {
	Attribution string          `json:"attribution"`
	Database    string          `json:"db"`
	Recorded    int64           `json:"recorded"`
	At          time.Time       `json:"at"`
	Statuses    []budget.Status `json:"statuses"`
	Alerts      []alert.Alert   `json:"alerts"`
	Projected   comparison      `json:"projected"`
	PerMinute   []exact         `json:"tokens_per_minute"`
	Admission   admissionJSON   `json:"admission"`
	Commands    []string        `json:"commands"`
}

// admissionJSON is how it is written in JSON what came of a request that was reserved and settled, and of the same one for
// somebody who has used up a budget.
type admissionJSON struct {
	Reserved reservationJSON `json:"reserved"`
	Settled  settledJSON     `json:"settled"`
	Cost     exact           `json:"cost"`
	PricedBy string          `json:"priced_by"`
	Refused  refusalJSON     `json:"refused"`
}

func (d *demo) report(ctx context.Context) (report, error) {
	r := report{Attribution: trace.Attribution(), Database: d.program.db, Recorded: d.recorded, At: d.now, Commands: d.commands()}
	for _, b := range d.budgets {
		for status, err := range budgetStatuses(ctx, d.ledger, b.ID, nil, d.now) {
			if err != nil {
				return r, err
			}
			r.Statuses = append(r.Statuses, status)
		}
	}
	alerts, err := d.ledger.Alerts(ctx, budget.AlertQuery{})
	if err != nil {
		return r, err
	}
	slices.Reverse(alerts)
	r.Alerts = alerts
	if r.Projected, err = d.project(ctx); err != nil {
		return r, err
	}
	if r.PerMinute, err = d.minutes(ctx); err != nil {
		return r, err
	}
	r.Admission, err = d.admit(ctx)
	return r, err
}

// asked is the model that the demo's own request goes to.
const asked = "claude-sonnet-4-5"

// A comparison is what was projected for the end of a period, and what came of it.
type comparison struct {
	Projection budget.Projection `json:"projection"`
	Came       budget.Status     `json:"came"`
}

// project returns what was to be said of the budget per hour ten minutes before its first hour was over.
func (d *demo) project(ctx context.Context) (c comparison, err error) {
	at := d.projectedAt()
	if c.Projection, err = d.ledger.ProjectionAt(ctx, d.perHour.ID, nil, at); err != nil {
		return c, err
	}
	c.Came, err = d.ledger.StatusAt(ctx, d.perHour.ID, nil, at)
	return c, err
}

func (d *demo) projectedAt() time.Time { return d.start.Truncate(time.Hour).Add(50 * time.Minute) }

func (d *demo) showProjection(c comparison) {
	w := d.program.stdout
	(&forecasting{program: d.program}).print(w, c.Projection)
	printField(w, "came", fmt.Sprintf("%s, %s", amount(c.Came.Used), percent(c.Came.Percent)))
}

// The request with which the demo shows what a reservation is, and what it then turns out to have used.
var (
	estimated = usage.Amounts{InputTokens: 12_000, OutputTokens: 8_000}
	spent     = usage.Amounts{InputTokens: 12_000, OutputTokens: 3_251}
)

// admit reserves and settles a request of a user who has room, and tries the same for one who has none.
func (d *demo) admit(ctx context.Context) (a admissionJSON, err error) {
	request := func(user string) budget.Request {
		subject := usage.Subject{Tenant: "globex", User: user, APIKey: "globex-app", Resource: asked}
		return budget.Request{ID: user + "-1", Subject: subject, Estimate: estimated}
	}
	res, err := d.ledger.Reserve(ctx, request("eve"))
	if err != nil {
		return a, err
	}
	if a.Reserved, err = reservation(ctx, d.ledger, res.Key()); err != nil {
		return a, err
	}
	result, err := d.ledger.Settle(ctx, res.Key(), budget.Settlement{Amounts: spent})
	if err != nil {
		return a, err
	}
	a.Settled = settledJSON{result.ID, result.Outcome, result.Late}
	quote, err := d.prices.Quote(price.Query{Model: asked, At: res.Time(), Classes: price.ClassesOf(spent), Requests: 1})
	if err != nil {
		return a, err
	}
	a.Cost, a.PricedBy = exact(quote.Total()), quote.By
	_, err = d.ledger.Reserve(ctx, request("dan"))
	if !isRefusal(err) {
		return a, errors.Join(errors.New("a request above the limit was admitted"), err)
	}
	a.Refused = newRefusalJSON(err)
	return a, nil
}

// minutes returns what was used in each minute of the replay, from the counters of the budget per minute.
func (d *demo) minutes(ctx context.Context) ([]exact, error) {
	var used []exact
	for minute := d.start; !minute.After(d.now); minute = minute.Add(time.Minute) {
		status, err := d.ledger.StatusAt(ctx, d.perMinute.ID, nil, minute)
		if err != nil {
			return nil, err
		}
		used = append(used, exact(status.Used))
	}
	return used, nil
}

// commands returns what to go on with: commands that work in the folder in which the demo was run.
func (d *demo) commands() []string {
	self, db := invocation(), quoted(d.program.db)
	day := usage.Day.Bounds(d.now, time.UTC)
	return []string{
		fmt.Sprintf("%s status --db %s --at %s", self, db, d.now.Format(time.RFC3339)),
		fmt.Sprintf("%s forecast %s --db %s --at %s", self, d.perHour.ID, db, d.projectedAt().Format(time.RFC3339)),
		fmt.Sprintf("%s top --db %s --by user --limit 3", self, db),
		fmt.Sprintf("%s history %s --db %s --by hour --from %s --to %s", self, d.budgets[0].ID, db,
			day.Start.Format(time.DateOnly), day.End.Format(time.DateOnly)),
		fmt.Sprintf("%s check --db %s --tenant acme --user bob --output-tokens 4000 --cost 0.5 --at %s", self, db, d.now.Format(time.RFC3339)),
		fmt.Sprintf("%s reserve --db %s --id demo-1 --tenant acme --user bob --output-tokens 4000 --cost 0.5", self, db),
		fmt.Sprintf("%s reserve --db %s --id demo-2 --tenant acme --user ada --output-tokens 2000 --cost 0.25", self, db),
		fmt.Sprintf("%s reservations --db %s", self, db),
		fmt.Sprintf("%s settle demo-1 --db %s --tenant acme --output-tokens 3120 --cost 0.39", self, db),
		fmt.Sprintf("%s release demo-2 --db %s --tenant acme", self, db),
		fmt.Sprintf("%s load --db %s --budget %s --amount 0.01 --processes 2 --duration 3s", self, db, d.budgets[0].ID),
	}
}

// invocation returns how this program is called: by its path, or by go run, whose program is gone when it has ended.
func invocation() string {
	if executable, err := os.Executable(); err == nil && strings.Contains(executable, string(filepath.Separator)+"go-build") {
		if _, err := os.Stat("examples/purser/main.go"); err == nil {
			return "go run ./examples/purser"
		}
		return "go run github.com/purser-go/purser/examples/purser"
	}
	return quoted(os.Args[0])
}

// quoted returns a word as a shell takes it.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.:_-+=@%,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (d *demo) show(ctx context.Context) error {
	r, err := d.report(ctx)
	if err != nil {
		return err
	}
	p := d.program
	if p.json {
		return p.show(r, nil)
	}
	print := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	rate := int64(float64(d.recorded) / d.took.Seconds())
	print("%s\n%s\n", r.Attribution, trace.Rule)
	print("%s requests were recorded and counted in %.1f s, %s per second, into\n%s\n", whole(d.recorded), d.took.Seconds(), whole(rate), p.db)
	print("How the budgets stand at the last request, %s UTC\n", when(r.At))
	if err := p.showStatuses(list(r.Statuses, nil)); err != nil {
		return err
	}
	print("\nWhich levels were reached on the way\n")
	p.printAlerts(r.Alerts)
	print("\nWhat was projected for the end of the hour at %s, and what came\n", when(r.Projected.Projection.Pace.At))
	d.showProjection(r.Projected)
	print("\nTokens per minute, from the counters of the budget %q\n\n%s", d.perMinute.Name, d.plot(r.PerMinute))
	d.showAdmission(r.Admission)
	print("\nGo on with\n\n  %s", strings.Join(r.Commands, "\n  "))
	return nil
}

func (d *demo) showAdmission(a admissionJSON) {
	w := d.program.stdout
	fmt.Fprintf(w, "\nWhat a request of eve may use is reserved before it is sent\n\n")
	printHolds(w, a.Reserved)
	fmt.Fprintf(w, "\nand settled when it is answered: %s, %s tokens and %s dollars by %s.\nThe same request of dan gets no answer:\n\n",
		a.Settled.Outcome, whole(spent.InputTokens+spent.OutputTokens), decimal.Decimal(a.Cost), a.PricedBy)
	printRefusal(w, a.Refused)
}

func (d *demo) plot(perMinute []exact) string {
	points := make([]float64, len(perMinute))
	for i, n := range perMinute {
		points[i] = decimal.Decimal(n).InexactFloat64()
	}
	last := d.start.Add(time.Duration(len(points)-1) * time.Minute)
	return asciigraph.Plot(points,
		asciigraph.Height(10),
		asciigraph.LowerBound(0),
		asciigraph.YAxisValueFormatter(func(n float64) string { return fmt.Sprintf("%.1f M", n/1e6) }),
		asciigraph.XAxisRange(float64(d.start.Unix()), float64(last.Unix())),
		asciigraph.XAxisTickCount(5),
		asciigraph.XAxisValueFormatter(func(s float64) string { return time.Unix(int64(s), 0).UTC().Format("15:04") }),
	)
}
