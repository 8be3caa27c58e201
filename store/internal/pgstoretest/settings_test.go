package pgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/usage"
)

func TestUnsuitableSettingsAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, value string }{
		{"standard_conforming_strings", "off"},
		{"client_encoding", "LATIN1"},
		{"synchronous_commit", "off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := with(t, tt.name, tt.value)
			if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
				t.Fatal(err)
			}
			_, err := pgstore.New(db, nil)
			if !errors.Is(err, budget.ErrSettings) || !strings.Contains(err.Error(), tt.name+" is "+tt.value) {
				t.Errorf("got error %v, want ErrSettings that names %s and its value", err, tt.name)
			}
		})
	}
}

// with opens an empty database on whose connections a setting has a value.
func with(t *testing.T, setting, value string) *sql.DB {
	t.Helper()
	address, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set(setting, value)
	address.RawQuery = query.Encode()
	db, err := sql.Open("pgx", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestNamesOfSchemasAreChecked(t *testing.T) {
	for _, name := range []string{`a"; DROP TABLE purser_events; --`, "a b", "1a", "a.b", "ä", "a\x00", strings.Repeat("a", 64)} {
		if _, err := pgstore.New(nil, &pgstore.Options{Schema: name}); !errors.Is(err, budget.ErrInvalid) {
			t.Errorf("New with schema %q: got error %v, want ErrInvalid", name, err)
		}
		if err := pgstore.Migrate(t.Context(), nil, &pgstore.MigrateOptions{Schema: name}); !errors.Is(err, budget.ErrInvalid) {
			t.Errorf("Migrate with schema %q: got error %v, want ErrInvalid", name, err)
		}
	}
}

// A store works whatever the connections' own defaults are.
func TestDefaultsOfConnectionsDoNotMatter(t *testing.T) {
	for _, tt := range []struct{ name, value string }{
		{"default_transaction_isolation", "serializable"},
		{"timezone", "Pacific/Apia"},
		{"bytea_output", "escape"},
		{"intervalstyle", "sql_standard"},
		{"plan_cache_mode", "force_generic_plan"},
		{"default_query_exec_mode", "exec"},
		{"default_query_exec_mode", "simple_protocol"},
		{"default_query_exec_mode", "cache_describe"},
	} {
		t.Run(tt.name+" "+tt.value, func(t *testing.T) {
			db := with(t, tt.name, tt.value)
			if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
				t.Fatal(err)
			}
			s, err := pgstore.New(db, nil)
			if err != nil {
				t.Fatal(err)
			}
			same := event()
			for _, e := range []budget.StoredEvent{event(), same, same} {
				if err := record(t.Context(), s, e); err != nil {
					t.Fatal(err)
				}
			}
			for _, do := range []func(context.Context, budget.Store) error{reserve, settle, everything} {
				if err := do(t.Context(), s); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// everything reads with every kind of query and argument.
func everything(ctx context.Context, s budget.Store) error {
	year := period.Bounds{Start: time.UnixMicro(0), End: time.UnixMicro(1 << 50)}
	acme := map[usage.Dimension]string{usage.Tenant: "acme", "label": ""}
	return s.View(ctx, func(r budget.ReadTx) error {
		var errs [15]error
		_, errs[0] = r.Catalog(ctx)
		_, errs[1] = r.Definitions(ctx, []budget.ScopeKey{{Shape: "s"}})
		_, errs[2] = r.Budgets(ctx, budget.Query{
			IDs: []string{"b"}, Owner: new("o"), Metric: usage.Tokens, Enabled: new(true),
			Scope: budget.Scope{"tenant": budget.Each}, Labels: map[string]string{"a": "b"},
			After: &budget.Cursor{}, Offset: 1,
		})
		_, errs[3] = r.CountBudgets(ctx, budget.Query{Enabled: new(false)})
		_, errs[4] = r.Counters(ctx, budget.CounterQuery{Keys: []budget.CounterKey{{Budget: "b"}}, Limit: 1})
		_, errs[5] = r.Counters(ctx, budget.CounterQuery{Periods: []budget.CounterKey{{Budget: "b"}}, After: &budget.CounterKey{}})
		_, errs[6] = r.Highest(ctx, []budget.CounterKey{{Budget: "b"}})
		_, errs[7] = r.Usage(ctx, budget.UsageQuery{
			Slices: []usage.Slice{{Grain: usage.Raw, Bounds: year}, {Grain: usage.Days, Bounds: year}},
			Where:  map[usage.Dimension]string{usage.User: ""}, By: []usage.Dimension{usage.Tenant},
		})
		_, errs[8] = r.Events(ctx, budget.EventQuery{Span: year, Where: acme, After: &budget.EventCursor{}})
		_, errs[9] = r.Adjustments(ctx, budget.AdjustmentQuery{Budgets: []string{"b"}, IDs: []string{"a"}})
		_, errs[10] = r.Alerts(ctx, budget.AlertQuery{Budgets: []string{"b"}, After: &budget.TimeCursor{}})
		_, errs[11] = r.Audit(ctx, budget.AuditQuery{Tenant: new(""), Actor: "a", Action: "b", Target: "c", Span: year, After: &budget.TimeCursor{}})
		_, errs[12] = r.Reservations(ctx, budget.ReservationQuery{
			Keys: []budget.ReservationKey{{}}, Tenant: new(""), Budget: "b", States: []budget.ReservationState{budget.Open},
			Overdue: true, Before: year.End, After: &budget.ReservationKey{}, Limit: 1,
		})
		_, errs[13] = r.Reservations(ctx, budget.ReservationQuery{})
		_, errs[14] = r.FindEvents(ctx, []budget.EventKey{{Tenant: "acme", ID: "e"}})
		return errors.Join(errs[:]...)
	})
}

// Behind a pooler that lends connections per transaction, a statement that was prepared on one connection is missing on
// the next, or is there already.
func TestAPoolerThatLosesPreparedStatementsIsNamed(t *testing.T) {
	url := pgtest.URL(t)
	wire, db := sqltest.Connect(t, "pgx", url)
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	s, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, failure := range states("26000", "42P05") {
		wire.Fail("WITH inserted AS", failure)
		err := record(t.Context(), s, event())
		if !errors.Is(err, budget.ErrSettings) || !errors.Is(err, failure) || !strings.Contains(err.Error(), "default_query_exec_mode=exec") {
			t.Errorf("got error %v, want ErrSettings that says what to set", err)
		}
	}
}
