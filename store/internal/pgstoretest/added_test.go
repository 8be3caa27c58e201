package pgstoretest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/internal/sqltest"
	"github.com/purser-go/purser/store/pgstore"
)

// Whether an event has the key of a new reservation is asked for each of many, by a plan that is kept while events are
// recorded: however few there were when it was made, it must not read all of them.
func TestEventsAreLookedUpForNewReservations(t *testing.T) {
	wire, db := sqltest.Connect(t, "pgx", pgtest.URL(t))
	db.SetMaxOpenConns(1) // the one that keeps the plans
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, events := range []int{0, 60, 20_000} {
		t.Run(fmt.Sprintf("%d events", events), func(t *testing.T) {
			execute(t, db, "TRUNCATE purser_events, purser_reservations", fmt.Sprintf(`INSERT INTO purser_events
				SELECT i, 0, 0, 0, 0, 0, 0, 0, 0, 0, i, 0, 'tenant ' || i %% 100, i, '', '', '', '{}', '', '', '', ''
				FROM generate_series(1, %d) AS i`, events))
			if events > 0 { // a table in which there never was a row is not counted, in the end
				execute(t, db, "ANALYZE purser_events")
			}
			for i := range 10 { // after five times, Postgres keeps a plan
				wire.Sent()
				added := make([]budget.StoredReservation, 20)
				for j := range added {
					added[j].ID = fmt.Sprintf("%d-%d", i, j)
				}
				if err := store.Update(t.Context(), func(tx budget.Tx) error {
					_, err := tx.Apply(t.Context(), budget.Writes{AddReservations: added})
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			plan := explain(t, db, wire.Sent())
			if !strings.Contains(plan, "purser_events_pkey") || strings.Contains(plan, "Seq Scan on purser_events") {
				t.Errorf("all events are read:\n%s", plan)
			}
		})
	}
}
