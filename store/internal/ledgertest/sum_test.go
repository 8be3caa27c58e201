package ledgertest

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A year of a thousand users: every month of every tenant, in the zone of the sums and in another, and the overview, are to
// the last digit what plain SQL sums up from the events.
func TestReportsOfAYearEqualPlainSums(t *testing.T) {
	for name, address := range databases() {
		t.Run(name, func(t *testing.T) {
			url := address(t)
			y := &year{t: t, ledger: budget.NewLedger(opened(t, url), nil), db: plain(t, url)}
			y.record(soak.Count(t, "events over 12 months and 1,000 users", 20_000, 1_000_000))
			y.checkOverview()
			for _, loc := range []*time.Location{nil, zone("Europe/Berlin")} {
				for tenant := range yearTenants {
					y.checkMonths(tenantName(tenant), loc)
				}
			}
		})
	}
}

// A year is the year 2025 of some tenants.
type year struct {
	t      *testing.T
	ledger *budget.Ledger
	db     *sql.DB
}

const (
	yearTenants = 20
	yearUsers   = 1000
)

func tenantName(i int) string { return fmt.Sprintf("tenant-%02d", i) }

func (y *year) record(n int) {
	y.t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	span := period.Bounds{Start: begin, End: begin.AddDate(1, 0, 0)}
	for done := 0; done < n; {
		batch := make([]usage.Event, min(5000, n-done))
		for i := range batch {
			user := rng.IntN(yearUsers)
			batch[i] = usage.Event{
				ID: fmt.Sprintf("e%07d", done+i), Time: begin.Add(time.Duration(rng.Int64N(int64(span.Duration())))),
				Subject: usage.Subject{Tenant: tenantName(user % yearTenants), User: fmt.Sprintf("user-%03d", user), Resource: fmt.Sprintf("model-%d", rng.IntN(3))},
				Amounts: usage.Amounts{
					InputTokens: rng.Int64N(5000), OutputTokens: rng.Int64N(800), CacheReadTokens: rng.Int64N(100), CacheCreationTokens: rng.Int64N(10),
					Runs: rng.Int64N(2), Cost: new(decimal.New(rng.Int64N(5_000_000_000), -9)),
				},
			}
		}
		results, err := y.ledger.RecordBatch(y.t.Context(), batch)
		if err != nil {
			y.t.Fatal(err)
		}
		for _, r := range results {
			if r.Outcome != budget.Recorded {
				y.t.Fatalf("event %s is %s: %v", r.ID, r.Outcome, r.Err)
			}
		}
		done += len(batch)
	}
}

// sums sums up the events of a span, by tenant.
func (y *year) sums(span period.Bounds) map[string]usage.Totals {
	y.t.Helper()
	rows, err := y.db.QueryContext(y.t.Context(), `SELECT tenant,
		CAST(sum(input_tokens) AS bigint), CAST(sum(output_tokens) AS bigint), CAST(sum(cache_creation_tokens) AS bigint),
		CAST(sum(cache_read_tokens) AS bigint), CAST(sum(total_tokens) AS bigint), CAST(sum(requests) AS bigint),
		CAST(sum(runs) AS bigint), CAST(sum(nanodollars) AS bigint)
		FROM purser_events WHERE time >= $1 AND time < $2 GROUP BY tenant`, span.Start.UnixMicro(), span.End.UnixMicro())
	if err != nil {
		y.t.Fatal(err)
	}
	defer rows.Close()
	sums := make(map[string]usage.Totals)
	for rows.Next() {
		var tenant string
		var t usage.Totals
		if err := rows.Scan(&tenant, &t.InputTokens, &t.OutputTokens, &t.CacheCreationTokens, &t.CacheReadTokens,
			&t.TotalTokens, &t.Requests, &t.Runs, &t.Nanodollars); err != nil {
			y.t.Fatal(err)
		}
		sums[tenant] = t
	}
	if err := rows.Err(); err != nil {
		y.t.Fatal(err)
	}
	return sums
}

func (y *year) checkOverview() {
	y.t.Helper()
	got := make(map[string]usage.Totals)
	for a, err := range y.ledger.Overview(y.t.Context()) {
		if err != nil {
			y.t.Fatal(err)
		}
		got[a.Tenant] = a.Usage
	}
	want := y.sums(period.Bounds{Start: usage.MinTime, End: usage.EndTime})
	if diff := cmp.Diff(want, got); diff != "" || len(want) != yearTenants {
		y.t.Errorf("overview of %d tenants (-sums +got):\n%s", len(want), diff)
	}
}

func (y *year) checkMonths(tenant string, loc *time.Location) {
	y.t.Helper()
	months, err := y.ledger.Months(y.t.Context(), tenant, loc)
	if err != nil {
		y.t.Fatal(err)
	}
	if len(months) < 12 || len(months) > 13 {
		y.t.Errorf("%s has %d months", tenant, len(months))
	}
	for _, month := range months {
		if diff := cmp.Diff(y.sums(month.Bounds)[tenant], month.Totals); diff != "" {
			y.t.Errorf("%s in %v (-sum +got):\n%s", tenant, month.Bounds, diff)
		}
	}
}
