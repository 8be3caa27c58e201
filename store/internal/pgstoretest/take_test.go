package pgstoretest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store/pgstore"
)

// One transaction ends the first of two that are overdue while another waits to take one. Nothing may look as if nothing
// were overdue: a request would be refused for want of what is held by nobody.
func TestWhatIsOverdueBehindWhatOthersEndedIsTaken(t *testing.T) {
	db := pgtest.Open(t)
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, second := reservation(), reservation()
	first.Expires, second.Expires = time.UnixMicro(1), time.UnixMicro(2)
	err = store.Update(t.Context(), func(tx budget.Tx) error {
		_, err := tx.Apply(t.Context(), budget.Writes{AddReservations: []budget.StoredReservation{first, second}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var taken budget.Taken
	other := make(chan error, 1)
	err = store.Update(t.Context(), func(tx budget.Tx) error {
		if _, err := takeOverdue(t.Context(), tx); err != nil {
			return err
		}
		go func() {
			other <- store.Update(t.Context(), func(tx budget.Tx) (err error) {
				taken, err = takeOverdue(t.Context(), tx)
				return err
			})
		}()
		untilOneWaits(t, db)
		first.State = budget.Expired
		_, err := tx.Apply(t.Context(), budget.Writes{PutReservations: []budget.StoredReservation{first}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-other; err != nil {
		t.Fatal(err)
	}
	var ids []string
	for key := range taken.Reservations {
		ids = append(ids, key.ID)
	}
	if diff := cmp.Diff([]string{second.ID}, ids); diff != "" {
		t.Errorf("what was taken (-want +got):\n%s", diff)
	}
}

// takeOverdue takes one reservation that is overdue.
func takeOverdue(ctx context.Context, tx budget.Tx) (budget.Taken, error) {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return budget.Taken{}, err
	}
	return tx.TakeReservations(ctx, nil, 1)
}

// untilOneWaits returns once a session waits for the lock of a row.
func untilOneWaits(t *testing.T, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
		var waiting bool
		err := db.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks w JOIN pg_locks t USING (pid)
			WHERE NOT w.granted AND t.relation = 'purser_reservations'::regclass)`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
	}
}
