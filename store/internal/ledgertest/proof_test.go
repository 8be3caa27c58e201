package ledgertest

import (
	"context"
	"database/sql"
	"maps"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// facts are what the tables say: by plain SQL where there are tables, in memory by the store's reads; never by a ledger.
type facts struct {
	events       map[budget.EventKey]usage.Totals
	late         int // events that settled what had expired
	counters     map[budget.CounterKey]budget.Tally
	reservations map[budget.ReservationKey]budget.ReservationState
	holds        map[budget.ReservationState]map[budget.CounterKey]hold
}

// A hold is what reservations hold, or held, of a counter.
type hold struct {
	Reservations int64
	Units        int64
}

func (s *stage) facts(t testing.TB) facts {
	t.Helper()
	f := facts{
		events:       make(map[budget.EventKey]usage.Totals),
		counters:     make(map[budget.CounterKey]budget.Tally),
		reservations: make(map[budget.ReservationKey]budget.ReservationState),
		holds: map[budget.ReservationState]map[budget.CounterKey]hold{
			budget.Open: {}, budget.Released: {}, budget.Expired: {},
		},
	}
	if s.db == nil {
		f.read(t, s)
	} else {
		f.query(t, s)
	}
	return f
}

// read is query for memory.
func (f *facts) read(t testing.TB, s *stage) {
	t.Helper()
	ctx := t.Context()
	err := s.View(ctx, func(r budget.ReadTx) error {
		events, err := r.Events(ctx, budget.EventQuery{Span: period.Bounds{Start: usage.MinTime, End: usage.EndTime}})
		if err != nil {
			return err
		}
		for _, e := range events {
			f.events[e.Key()] = e.Totals
			if e.Flags&budget.Late != 0 {
				f.late++
			}
		}
		counters, err := r.Counters(ctx, budget.CounterQuery{})
		if err != nil {
			return err
		}
		for _, c := range counters {
			f.counters[c.CounterKey] = c.Tally
		}
		reservations, err := r.Reservations(ctx, budget.ReservationQuery{})
		for _, r := range reservations {
			f.reservations[r.Key()] = r.State
			for _, h := range r.Holds {
				sum := f.holds[r.State][h.CounterKey]
				f.holds[r.State][h.CounterKey] = hold{sum.Reservations + 1, sum.Units + h.Units}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *facts) query(t testing.TB, s *stage) {
	t.Helper()
	s.rows(t, "SELECT tenant, id, flags, input_tokens, output_tokens, total_tokens, requests, runs, nanodollars FROM purser_events",
		func(rows *sql.Rows) error {
			var key budget.EventKey
			var flags budget.EventFlags
			var sum usage.Totals
			err := rows.Scan(&key.Tenant, &key.ID, &flags,
				&sum.InputTokens, &sum.OutputTokens, &sum.TotalTokens, &sum.Requests, &sum.Runs, &sum.Nanodollars)
			if _, twice := f.events[key]; twice {
				t.Errorf("event %+v is stored twice", key)
			}
			f.events[key] = sum
			if flags&budget.Late != 0 {
				f.late++
			}
			return err
		})
	s.rows(t, "SELECT budget, scope_value, period_start, recorded, adjusted, reserved, denied, would_deny, leased, expired, expired_held FROM purser_counters",
		func(rows *sql.Rows) error {
			var c budget.Counter
			err := rows.Scan(&c.Budget, &c.Value, &c.Start,
				&c.Recorded, &c.Adjusted, &c.Reserved, &c.Denied, &c.WouldDeny, &c.Leased, &c.Expired, &c.ExpiredHeld)
			f.counters[c.CounterKey] = c.Tally
			return err
		})
	s.rows(t, "SELECT tenant, id, state FROM purser_reservations", func(rows *sql.Rows) error {
		var key budget.ReservationKey
		var state budget.ReservationState
		err := rows.Scan(&key.Tenant, &key.ID, &state)
		f.reservations[key] = state
		return err
	})
	sums := "SELECT state, value ->> 0, value ->> 1, value ->> 2, count(*), sum(value ->> 3) FROM purser_reservations, json_each(holds) GROUP BY 1, 2, 3, 4"
	if s.onPostgres() {
		sums = "SELECT state, h ->> 0, h ->> 1, (h ->> 2)::bigint, count(*), sum((h ->> 3)::bigint)::bigint FROM purser_reservations, json_array_elements(holds::json) AS h GROUP BY 1, 2, 3, 4"
	}
	s.rows(t, sums, func(rows *sql.Rows) error {
		var state budget.ReservationState
		var key budget.CounterKey
		var sum hold
		err := rows.Scan(&state, &key.Budget, &key.Value, &key.Start, &sum.Reservations, &sum.Units)
		f.holds[state][key] = sum
		return err
	})
}

// rows gives each row that a query finds to scan.
func (s *stage) rows(t testing.TB, query string, scan func(*sql.Rows) error) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// used sums up what was used, by all events.
func (f *facts) used(t testing.TB) (sum usage.Totals) {
	t.Helper()
	for _, totals := range f.events {
		var err error
		if sum, err = sum.Add(totals); err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

// in returns how many reservations are in a state.
func (f *facts) in(state budget.ReservationState) (n int) {
	for _, s := range f.reservations {
		if s == state {
			n++
		}
	}
	return n
}

// of returns the counters of a budget, added up.
func (f *facts) of(id string) (sum budget.Tally) {
	for key, tally := range f.counters {
		if key.Budget == id {
			sum.Recorded += tally.Recorded
			sum.Adjusted += tally.Adjusted
			sum.Reserved += tally.Reserved
			sum.Denied += tally.Denied
			sum.Expired += tally.Expired
			sum.ExpiredHeld += tally.ExpiredHeld
			sum.Leased += tally.Leased
		}
	}
	return sum
}

// agree fails unless every counter holds what the reservations that are open hold of it, and remembers those that have
// expired.
func (f *facts) agree(t testing.TB) {
	t.Helper()
	held, expired := make(map[budget.CounterKey]int64), make(map[budget.CounterKey]hold)
	for key, tally := range f.counters {
		if tally.Reserved != 0 {
			held[key] = tally.Reserved
		}
		if tally.Expired != 0 || tally.ExpiredHeld != 0 {
			expired[key] = hold{tally.Expired, tally.ExpiredHeld}
		}
	}
	open := make(map[budget.CounterKey]int64)
	for key, sum := range f.holds[budget.Open] {
		if sum.Units != 0 {
			open[key] = sum.Units
		}
	}
	if diff := cmp.Diff(open, held); diff != "" {
		t.Errorf("reserved by counters (-by open reservations +by counters):\n%s", diff)
	}
	if diff := cmp.Diff(f.holds[budget.Expired], expired); diff != "" {
		t.Errorf("expired (-by reservations +by counters):\n%s", diff)
	}
	if given := f.holds[budget.Released]; len(given) > 0 {
		t.Errorf("what was released still holds %v", given)
	}
}

// watch makes the store remember, for every counter, the most that was ever used and reserved just after something was
// admitted to it: by a trigger in the database, so that it sees what every process does. It is called before there are
// ledgers on the store.
func (s *stage) watch(t testing.TB) {
	t.Helper()
	if s.db == nil {
		s.witness = &memoryWitness{Store: s.Store, highest: make(map[budget.CounterKey]int64)}
		s.Store = s.witness
		return
	}
	statements := []string{
		"CREATE TABLE witness (budget text, scope_value text, period_start bigint, highest bigint, PRIMARY KEY (budget, period_start, scope_value))",
	}
	const remember = "INSERT INTO witness VALUES (NEW.budget, NEW.scope_value, NEW.period_start, NEW.recorded + NEW.adjusted + NEW.reserved)" +
		" ON CONFLICT (budget, period_start, scope_value) DO UPDATE SET highest = "
	if s.onPostgres() {
		statements = append(statements,
			"CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "+remember+"greatest(witness.highest, excluded.highest); RETURN NULL; END $$",
			"CREATE TRIGGER witness AFTER UPDATE ON purser_counters FOR EACH ROW WHEN (NEW.reserved > OLD.reserved) EXECUTE FUNCTION remember()")
	} else {
		statements = append(statements,
			"CREATE TRIGGER witness AFTER UPDATE ON purser_counters WHEN NEW.reserved > OLD.reserved BEGIN "+remember+"max(highest, excluded.highest); END")
	}
	for _, statement := range statements {
		if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// highest returns what watch made the store remember.
func (s *stage) highest(t testing.TB) map[budget.CounterKey]int64 {
	t.Helper()
	if s.db == nil {
		return maps.Clone(s.witness.highest)
	}
	highest := make(map[budget.CounterKey]int64)
	s.rows(t, "SELECT budget, scope_value, period_start, highest FROM witness", func(rows *sql.Rows) error {
		var key budget.CounterKey
		var units int64
		err := rows.Scan(&key.Budget, &key.Value, &key.Start, &units)
		highest[key] = units
		return err
	})
	return highest
}

// neverAbove fails if, when something was admitted, more was used and reserved than the limits of the budgets, which are
// given in units. It returns the most that it was of each budget.
func (s *stage) neverAbove(t testing.TB, limits map[string]int64) map[string]int64 {
	t.Helper()
	most := make(map[string]int64)
	for key, units := range s.highest(t) {
		limit, known := limits[key.Budget]
		if !known || units > limit {
			t.Errorf("counter %+v had %d used and reserved when something was admitted, its limit is %d", key, units, limit)
		}
		most[key.Budget] = max(most[key.Budget], units)
	}
	if len(most) == 0 {
		t.Error("nothing was admitted")
	}
	return most
}

// A memoryWitness is what the trigger is in a database.
type memoryWitness struct {
	budget.Store
	mu      sync.Mutex
	highest map[budget.CounterKey]int64
}

func (w *memoryWitness) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return w.Store.Update(ctx, func(tx budget.Tx) error { return fn(&watchedTx{tx, w}) })
}

type watchedTx struct {
	budget.Tx
	witness *memoryWitness
}

func (t *watchedTx) Apply(ctx context.Context, w budget.Writes) (map[budget.CounterKey]budget.Counter, error) {
	after, err := t.Tx.Apply(ctx, w)
	t.witness.mu.Lock()
	defer t.witness.mu.Unlock()
	for _, add := range w.Counters {
		if c := after[add.CounterKey]; err == nil && add.Reserved > 0 {
			t.witness.highest[c.CounterKey] = max(t.witness.highest[c.CounterKey], c.Recorded+c.Adjusted+c.Reserved)
		}
	}
	return after, err
}
