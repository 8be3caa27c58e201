package pgstoretest

import (
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/store/storetest"
)

func open(t *testing.T) *pgstore.Store {
	t.Helper()
	db := pgtest.Open(t)
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	s, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) budget.Store { return open(t) })
}
