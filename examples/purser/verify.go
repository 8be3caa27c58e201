package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/usage"
)

func (p *program) verify() *cobra.Command {
	var rebuild bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare all counters and sums with the events",
		Long: "Compute every counter and every sum of usage from the events and name each that is stored otherwise. Recording\n" +
			"goes on meanwhile. It exits with 1 if there are differences.\n\n" +
			"With --rebuild the differences are mended, while nobody else can write, and it exits with 0.",
		Args: arguments(0, 0, ""),
	}
	c.Flags().BoolVar(&rebuild, "rebuild", false, "mend the differences")
	c.RunE = p.reads(func(ctx context.Context, l *budget.Ledger, _ []string) error {
		check := l.Verify
		if rebuild {
			check = l.Rebuild
		}
		line := p.newProgress("verify", false)
		found, err := check(ctx, func(events int64) { line.update(events, 0) })
		line.end()
		if err != nil {
			return err
		}
		if err := p.showVerification(found, rebuild); err != nil {
			return err
		}
		if len(found.Differences) > 0 && !rebuild {
			return errors.New("there are differences; purser verify --rebuild mends them")
		}
		return nil
	})
	return c
}

// verificationJSON is how a verification is written in JSON.
type verificationJSON struct {
	Checked     int64            `json:"checked"` // counters and sums
	Events      int64            `json:"events"`
	Differences []differenceJSON `json:"differences"`
}

// differenceJSON is about a counter or a sum of usage. Its numbers are in whole units, as they are stored.
type differenceJSON struct {
	Counter *counterJSON `json:"counter,omitempty"`
	Usage   *sumJSON     `json:"usage,omitempty"`
	Field   string       `json:"field"`
	Stored  int64        `json:"stored"`
	Should  int64        `json:"should"`
}

type counterJSON struct {
	Budget      string       `json:"budget"`
	Value       budget.Value `json:"value"`
	PeriodStart time.Time    `json:"period_start"`
}

type sumJSON struct {
	Grain  string    `json:"grain"`
	Bucket time.Time `json:"bucket"`
	usage.Subject
}

func newDifferenceJSON(d budget.Difference) (differenceJSON, error) {
	written := differenceJSON{Field: d.Field, Stored: d.Stored, Should: d.Should}
	if k := d.Usage; k != nil {
		subject := usage.Subject{Tenant: k.Tenant, User: k.User, APIKey: k.APIKey, Resource: k.Resource}
		written.Usage = &sumJSON{k.Grain.String(), time.UnixMicro(k.Bucket).UTC(), subject}
		return written, nil
	}
	value, err := budget.ParseValue(d.Counter.Value)
	written.Counter = &counterJSON{d.Counter.Budget, value, time.UnixMicro(d.Counter.Start).UTC()}
	return written, err
}

func (p *program) showVerification(v budget.Verification, mended bool) error {
	written := verificationJSON{Checked: v.Checked, Events: v.Events, Differences: make([]differenceJSON, len(v.Differences))}
	for i, d := range v.Differences {
		var err error
		if written.Differences[i], err = newDifferenceJSON(d); err != nil {
			return err
		}
	}
	return p.show(written, func(w io.Writer) {
		what := "differences"
		if mended {
			what = "differences mended"
		}
		fmt.Fprintf(w, "%s counters and sums checked against %s events: %d %s.\n",
			whole(v.Checked), whole(v.Events), len(v.Differences), what)
		if len(v.Differences) == 0 {
			return
		}
		t := newGrid("", "of", "from", "field", ">stored", ">should be")
		for _, d := range written.Differences {
			of, from := d.where()
			t.add(of, when(from), d.Field, whole(d.Stored), whole(d.Should))
		}
		t.print(w)
	})
}

// where names what the difference is about, and its time.
func (d differenceJSON) where() (string, time.Time) {
	if c := d.Counter; c != nil {
		return "budget " + c.Budget + " " + valueText(c.Value), c.PeriodStart
	}
	return fmt.Sprintf("%s of tenant %q, user %q, api_key %q, resource %q",
		d.Usage.Grain, d.Usage.Tenant, d.Usage.User, d.Usage.APIKey, d.Usage.Resource), d.Usage.Bucket
}

func (p *program) migrate() *cobra.Command {
	var zone string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Make the tables of a database, or bring them up to date",
		Long: "Make the tables of a database, or bring them up to date. import, demo, budget create, tenant put and\n" +
			"license create do so on their own; the other commands leave the tables as they are.",
		Example: `  purser migrate --db postgres://localhost/billing`,
		Args:    arguments(0, 0, ""),
	}
	c.Flags().StringVar(&zone, "reporting-zone", "", "time `zone` of the sums of days and months, set when the tables are made (default UTC)")
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.withLedger(&store.Options{ReportingZone: zone}, func(context.Context, *budget.Ledger, []string) error {
			return p.show(map[string]bool{"up_to_date": true}, func(w io.Writer) {
				fmt.Fprintln(w, "The tables are up to date.")
			})
		})(c, args)
	}
	return c
}
