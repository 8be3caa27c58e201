package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/internal/pgtest"
)

func TestRun(t *testing.T) {
	tests := map[string]struct {
		row  string
		want []comparison
	}{
		"Postgres against both references": {"record-postgres/8", []comparison{
			{Table: recordPostgres, Work: "Record", Against: insert, Callers: 8, Floor: 0.3},
			{Table: recordPostgres, Work: "Record", Against: naive, Callers: 8, Floor: 1.8},
		}},
		"SQLite against a transaction per event": {"record-sqlite/8", []comparison{
			{Table: recordSQLite, Work: "Record", Against: naive, Callers: 8, Floor: 1.7},
		}},
		"admission against transactions": {"(reserve|settle)-postgres/8", []comparison{
			{Table: reservePostgres, Work: "Reserve, one budget", Against: transaction, Callers: 8, Floor: 1.2},
			{Table: settlePostgres, Work: "Reserve and Settle", Against: transactions, Callers: 8, Floor: 1.2},
		}},
		"reports against sums": {"report-(postgres|sqlite)/months/10000", []comparison{
			{Table: reportPostgres, Work: "the months of a tenant, 10,000 events", Against: sum, Callers: 1},
			{Table: reportSQLite, Work: "the months of a tenant, 10,000 events", Against: sum, Callers: 1},
		}},
		"the server against sums and the library": {"(server-(postgres|sqlite)/(list|overview|page)/1|server-sqlite/reserve/50)", []comparison{
			{Table: serverPostgres, Work: "GET budgets, 100 with their usage", Against: sum, Callers: 1},
			{Table: serverPostgres, Work: "GET overview of all organizations", Against: sum, Callers: 1},
			{Table: serverPostgres, Work: "GET usage of a budget, with its history", Against: sum, Callers: 1},
			{Table: serverSQLite, Work: "GET budgets, 100 with their usage", Against: sum, Callers: 1},
			{Table: serverSQLite, Work: "GET overview of all organizations", Against: sum, Callers: 1},
			{Table: serverSQLite, Work: "GET usage of a budget, with its history", Against: sum, Callers: 1},
			{Table: serverSQLite, Work: "POST reservations, one budget", Against: library, Callers: 50},
		}},
		"leases against recording": {"lease-record/8", []comparison{
			{Table: leaseRecord, Work: "Reserve and Settle", Against: recording, Callers: 8, Floor: 0.9},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { checkComparisons(t, quickRun(t, test.row), test.want) })
	}
}

// checkComparisons compares all but what was measured, of which it asks that it makes sense.
func checkComparisons(t *testing.T, got report, want []comparison) {
	t.Helper()
	for i, c := range got.Comparisons {
		if c.Ratio.Min <= 0 || c.Ratio.Min > c.Ratio.Median || c.Ratio.Median > c.Ratio.Max {
			t.Errorf("the ratio against %s is %+v", c.Against, c.Ratio)
		}
		if c.Ours.PerSecond <= 0 || c.Theirs.P50 <= 0 || c.Theirs.P99 < c.Theirs.P50 {
			t.Errorf("the rates against %s are %+v and %+v", c.Against, c.Ours, c.Theirs)
		}
		got.Comparisons[i].Ratio, got.Comparisons[i].Ours, got.Comparisons[i].Theirs = spread{}, rates{}, rates{}
	}
	if diff := cmp.Diff(want, got.Comparisons); diff != "" {
		t.Errorf("comparisons (-want +got):\n%s", diff)
	}
}

func TestRunAgainstRedis(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("needs redis-server")
	}
	got := quickRun(t, "(reserve-redis/three|lease-redis/burst)/8")
	checkComparisons(t, got, []comparison{
		{Table: reserveRedis, Work: "Reserve, three budgets", Against: inRedis, Callers: 8, Floor: 0.12},
		{Table: leaseRedis, Work: "Reserve and Settle, bursts", Against: inRedis, Callers: 8, Floor: 20},
	})
	if got.Machine.Redis == "" {
		t.Error("the version of Redis is not in the report")
	}
}

func TestRunWithoutRedis(t *testing.T) {
	t.Setenv("PATH", "")
	got := quickRun(t, "(reserve-redis/one|lease-redis/sustained)/8")
	const reason = "there is no redis-server (Debian and Ubuntu: apt-get install redis-server)"
	want := []leftOut{{"reserve-redis/one/8", reason}, {"lease-redis/sustained/8", reason}}
	if diff := cmp.Diff(want, got.LeftOut); diff != "" || len(got.Comparisons) > 0 {
		t.Errorf("there are %d comparisons, and left out are (-want +got):\n%s", len(got.Comparisons), diff)
	}
}

func TestRunOfAChange(t *testing.T) {
	got := quickRun(t, "change-sqlite/user").Changes
	if len(got) != 1 || got[0].Events != 1e4 || got[0].Took.Min <= 0 || got[0].Held.Min <= 0 || got[0].Failed != 0 {
		t.Errorf("changes are %+v, want one over 10,000 events", got)
	}
}

// quickRun runs one row.
func quickRun(t *testing.T, row string) report {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Postgres or a disk")
	}
	t.Setenv(pgtest.ServerVariable, "") // that of the tests does not flush to the disk
	page := filepath.Join(t.TempDir(), "page.md")
	var out, status bytes.Buffer
	if err := run(t.Context(), []string{"--quick", "--json", "--page", page, "--only", "^" + row + "$"}, &out, &status); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(page); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a quick run wrote a page (stat says %v)", err)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in:\n%s", err, &out)
	}
	return got
}

func TestWhatCannotBeRun(t *testing.T) {
	for name, args := range map[string][]string{
		"a row that does not exist":     {"--only", "no-such-row"},
		"an expression that is none":    {"--only", "("},
		"no turns":                      {"--repeats", "0"},
		"turns that take no time":       {"--duration", "0s"},
		"arguments that are not flags":  {"record-postgres/8"},
		"a flag that it does not know":  {"--fast"},
		"a profile that can't be there": {"--profile", filepath.Join(t.TempDir(), "none", "file")},
	} {
		t.Run(name, func(t *testing.T) {
			var out, status bytes.Buffer
			if err := run(t.Context(), args, &out, &status); err == nil {
				t.Error("there is no error")
			}
		})
	}
}

func TestOnlyACompleteRunIsQuoted(t *testing.T) {
	tests := map[string]struct {
		args []string
		want bool
	}{
		"everything":       {nil, true},
		"with more events": {[]string{"--large"}, true},
		"some rows":        {[]string{"--only", "sqlite"}, false},
		"a quick one":      {[]string{"--quick"}, false},
		"too few repeats":  {[]string{"--repeats", "4"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parse(test.args, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.complete(); got != test.want {
				t.Errorf("complete is %t, want %t", got, test.want)
			}
		})
	}
}

func TestAudit(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a disk")
	}
	const unalerted = `UPDATE purser_counters SET recorded = recorded + CASE scope_value
		WHEN (SELECT min(scope_value) FROM purser_counters WHERE budget = 'key-hour') THEN 200
		WHEN (SELECT max(scope_value) FROM purser_counters WHERE budget = 'key-hour') THEN -200
		ELSE 0 END WHERE budget = 'key-hour'`
	const overheld = "UPDATE purser_counters SET reserved = reserved + 1 WHERE budget = 'user-day'"
	recorded := recordSide(manyTenants)
	tests := map[string]struct {
		side    maker
		damage  string
		claimed int
		fails   bool
	}{
		"what was recorded passes":          {recorded, "", 300, false},
		"an event too few is found":         {recorded, "DELETE FROM purser_events WHERE id = (SELECT min(id) FROM purser_events)", 300, true},
		"a claim too high is found":         {recorded, "", 301, true},
		"a counter that is wrong is found":  {recorded, "UPDATE purser_counters SET recorded = recorded + 1 WHERE budget = 'user-day'", 300, true},
		"a sum that is wrong is found":      {recorded, "UPDATE purser_usage SET requests = requests - 1 WHERE grain = 3", 300, true},
		"an alert that is missing is found": {recorded, unalerted, 300, true},
		"what was reserved passes":          {reserveSide, "", 300, false},
		"a reservation too few is found":    {reserveSide, "DELETE FROM purser_reservations WHERE id = (SELECT min(id) FROM purser_reservations)", 300, true},
		"a hold that is wrong is found":     {reserveSide, overheld, 300, true},
		"what was settled passes":           {settleSide, "", 300, false},
		"what is still held is found":       {settleSide, overheld, 300, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var at closers
			defer at.close()
			p, err := folder(t.TempDir()).place(t.Context(), tight, &at)
			if err != nil {
				t.Fatal(err)
			}
			s, err := test.side(t.Context(), p, &at)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.stage.begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			d := newDealer(0, manyTenants)
			for range 300 {
				if _, err := s.work(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := p.db.ExecContext(t.Context(), test.damage); err != nil {
				t.Fatal(err)
			}
			if err := s.stage.audit(t.Context(), test.claimed); (err != nil) != test.fails {
				t.Errorf("the audit says %v", err)
			}
		})
	}
}

func TestPage(t *testing.T) {
	second := []turn{{1000, time.Millisecond, 2 * time.Millisecond}}
	tenth := []turn{{100, time.Millisecond, 30 * time.Millisecond}}
	r := report{Date: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), Command: "bench", Repeats: 5, Turn: 3, LeftOut: []leftOut{{"a/1", "of a reason"}, {"a/8", "of a reason"}}}
	work := contest{recordSQLite, "Record", 8, map[string]float64{naive: 1.7}}
	r.add(work, naive, second, tenth)
	r.add(work, naive, tenth, second)
	r.addChange(changeSQLite, "for one user", 1e6, []changed{{took: time.Second, held: time.Millisecond, before: time.Microsecond}})
	for name, want := range map[string]string{
		"the run":                "Measured on 2026-11-21 by `bench`, 5 turns of 3 s a side.",
		"a ratio":                "| Record | 8 | naive | 10.0 | 10.0 | 10.0 | 1.70 | 1,000 | 1.00 | 2.00 | 100 | 1.00 | 30.0 |",
		"a floor that is missed": "| Record | 8 | naive | 0.10 | 0.10 | 0.10 | 1.70 missed | 100 | 1.00 | 30.0 | 1,000 | 1.00 | 2.00 |",
		"a change":               "| for one user | 1,000,000 | 1,000 | 1,000 | 1,000 | 1.00 | 1.00 | 1.00 | 0.001 | 0 |",
		"what was left out":      "Left out, because of a reason: a/1, a/8.",
	} {
		if page := r.page(); !strings.Contains(page, want) {
			t.Errorf("%s is not on the page: %s\n%s", name, want, page)
		}
	}
	if strings.Contains(r.page(), "## Record, Postgres") {
		t.Error("a table without rows is on the page")
	}
}

func TestSpread(t *testing.T) {
	tests := map[string]struct {
		values []float64
		want   spread
	}{
		"the median of an odd number is the middle one": {[]float64{5, 1, 3}, spread{3, 1, 5}},
		"of an even number it is between two":           {[]float64{4, 1, 2, 8}, spread{3, 1, 8}},
		"of one it is that":                             {[]float64{7}, spread{7, 7, 7}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, spreadOf(test.values)); diff != "" {
				t.Errorf("spread (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	tests := map[string]struct {
		values  []time.Duration
		percent int
		want    time.Duration
	}{
		"99 of 100":   {hundred, 99, 99},
		"half of 100": {hundred, 50, 50},
		"99 of few":   {hundred[:3], 99, 3},
		"half of few": {hundred[:3], 50, 2},
		"of one":      {hundred[:1], 50, 1},
		"of none":     {nil, 50, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := percentile(test.values, test.percent); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestDigits(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.00", 0.00123: "0.0012", 0.0999: "0.1", 0.216: "0.22", 1: "1.00", 9.99: "9.99", 12.34: "12.3", 123.4: "123", 1234.5: "1,235", 30000: "30,000", 1_000_000: "1,000,000",
	} {
		if got := digits(f); got != want {
			t.Errorf("digits(%g) = %q, want %q", f, got, want)
		}
	}
}
