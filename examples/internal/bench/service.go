package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/usage"
)

// A service is what a busy platform has: a budget of each of its tenants' months in dollars, made last, and one of each of
// their users'; and usage of the last 30 days.
type service struct {
	place    *place
	now      time.Time // the end of last month, so that the running one has as many events on whatever day this runs
	day      string    // an expression for the day of an event
	month    int64     // when the running month began, microseconds since 1970
	firstDay int64     // when a history of it begins

	mu      sync.Mutex // guards queries
	queries map[string]*sql.Stmt
}

const (
	serviceTenants = 100
	serviceSingles = 1e5 // events that are recorded; each then stands for as many as there are to be
)

func serviceTenant(i int) string { return fmt.Sprintf("tenant-%02d", i) }

// service returns the service of a table, which is made once.
func (l *lab) service(ctx context.Context, table string) (*service, error) {
	if s := l.services[table]; s != nil {
		return s, nil
	}
	now := period.Monthly.Bounds(time.Now()).Start.Add(-time.Second)
	s := &service{
		now:      now,
		day:      "strftime('%Y-%m-%d', time / 1000000, 'unixepoch')",
		month:    period.Monthly.Bounds(now).Start.UnixMicro(),
		firstDay: period.Daily.Bounds(now).Start.AddDate(0, 0, -30).UnixMicro(),
		queries:  make(map[string]*sql.Stmt),
	}
	counted := "PRAGMA wal_checkpoint(TRUNCATE)"
	if table == serverPostgres {
		counted, s.day = "VACUUM ANALYZE", "to_char(to_timestamp(time / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
	}
	h, err := l.hostOf(ctx, table)
	if err != nil {
		return nil, err
	}
	if s.place, err = h.place(ctx, nil, &l.atEnd); err != nil {
		return nil, err
	}
	budgets, singles, times := l.serviceSize()
	l.progress.say("making %s budgets and %s events", thousands(budgets), thousands(singles*times))
	if err := s.fill(ctx, now, budgets, singles); err != nil {
		return nil, err
	}
	if err := multiply(ctx, s.place, times); err != nil {
		return nil, err
	}
	for _, statement := range []string{"CREATE INDEX events_of_tenants ON purser_events (tenant, time)", counted} {
		if _, err := s.place.db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	l.services[table] = s
	l.atEnd.add(s.close)
	return s, nil
}

// serviceSize returns how many budgets a service has, how many events are recorded, and for how many each of these stands.
func (l *lab) serviceSize() (budgets, singles, times int) {
	if l.quick {
		return 1000, 1000, 10
	}
	return 1e5, serviceSingles, 10
}

func (s *service) fill(ctx context.Context, now time.Time, budgets, singles int) (err error) {
	opened, err := store.Open(ctx, s.place.url, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	users := budgets/serviceTenants - 1
	all := make([]budget.Definition, 0, budgets)
	for tenant := range serviceTenants {
		scope := budget.Scope{usage.Tenant: budget.Selector(serviceTenant(tenant))}
		all = append(all, definition(serviceTenant(tenant), scope, now))
		for user := range users {
			name := serviceUser(tenant, user)
			scope := budget.Scope{usage.Tenant: budget.Selector(serviceTenant(tenant)), usage.User: budget.Selector(name)}
			all = append(all, definition(name, scope, now.Add(-time.Hour)))
		}
	}
	if err := put(ctx, opened, all); err != nil {
		return err
	}
	ledger := budget.NewLedger(opened, nil)
	d := newDealer(0, oneTenant)
	last30 := period.Bounds{Start: now.AddDate(0, 0, -30), End: now}
	for first := 0; first < singles; first += batchSize {
		batch := d.past(last30, first, singles)
		for i := range batch {
			n := first + i
			batch[i].Tenant, batch[i].User = serviceTenant(n%serviceTenants), serviceUser(n%serviceTenants, n/serviceTenants%users)
		}
		if err := recordBatch(ctx, ledger, batch); err != nil {
			return err
		}
	}
	return nil
}

func serviceUser(tenant, i int) string { return fmt.Sprintf("user-%02d-%03d", tenant, i) }

// definition returns a budget as it is stored, of which nothing was used yet. Its name is its id. It only observes: a budget
// that alerts is projected in the background when a server starts, and nothing of that is to be measured.
func definition(id string, scope budget.Scope, made time.Time) budget.Definition {
	made = made.Truncate(time.Microsecond)
	return budget.Definition{
		Budget: budget.Budget{
			ID: id, Name: id, Metric: usage.Dollars, Limit: decimal.NewFromInt(1e9), Schedule: period.Monthly, Scope: scope,
			Enforcement: budget.Observe, Owner: "bench", CreatedBy: "bench", Version: 1, CreatedAt: made, UpdatedAt: made,
		},
		CountedFrom: period.Monthly.Bounds(made).Start,
	}
}

// put stores definitions, many in a transaction: as nothing was used yet, there is nothing to count.
func put(ctx context.Context, s budget.Store, all []budget.Definition) error {
	const atOnce = 1000
	for first := 0; first < len(all); first += atOnce {
		err := s.Update(ctx, func(tx budget.Tx) error {
			if err := tx.Fence(ctx, budget.Exclusive); err != nil {
				return err
			}
			catalog, err := tx.Catalog(ctx)
			if err != nil {
				return err
			}
			catalog.Version++
			_, err = tx.Apply(ctx, budget.Writes{PutBudgets: all[first:min(first+atOnce, len(all))], Catalog: &catalog})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// query returns a statement that is prepared once.
func (s *service) query(ctx context.Context, text string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queries[text]; q != nil {
		return q, nil
	}
	q, err := s.place.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	s.queries[text] = q
	return q, nil
}

func (s *service) close() error {
	var errs []error
	for _, q := range s.queries {
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// dollars returns what events cost, by what an expression tells apart.
func (s *service) dollars(ctx context.Context, by, where string, args ...any) (map[string]string, error) {
	q, err := s.query(ctx, "SELECT "+by+", CAST(sum(nanodollars) AS bigint) FROM purser_events "+where+" GROUP BY 1")
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[string]string)
	for rows.Next() {
		var key string
		var units int64
		if err := rows.Scan(&key, &units); err != nil {
			return nil, err
		}
		found[key] = usage.Dollars.Decimal(units).String()
	}
	return found, rows.Err()
}

// all returns what each tenant used.
func (s *service) all(ctx context.Context) (map[string]usage.Totals, error) {
	q, err := s.query(ctx, summing("tenant", ""))
	if err != nil {
		return nil, err
	}
	return eventSums(ctx, q)
}
