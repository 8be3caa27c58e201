package ledgertest

import (
	"path/filepath"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/store/memstore"
)

// reportingZone is one whose days and months are not those of UTC, by a part of an hour.
const reportingZone = "Asia/Kathmandu"

// A kind is a kind of store, and how much of a heavy test it gets: the decisions that are tried are the same everywhere,
// the time that a step takes is not.
type kind struct {
	name   string
	open   func(testing.TB) budget.Store // an empty one
	effort int                           // 1 is that of the slowest: SQLite in Go under the race detector
}

var kinds = []kind{
	{"memstore", func(testing.TB) budget.Store {
		return memstore.New(&memstore.Options{ReportingZone: reportingZone})
	}, 25},
	{"sqlite", func(t testing.TB) budget.Store {
		return opened(t, "sqlite:"+filepath.Join(t.TempDir(), "purser.db"))
	}, 1},
	{"postgres", func(t testing.TB) budget.Store { return opened(t, pgtest.URL(t)) }, 3},
}

// eachStore runs a test on every kind of store.
func eachStore(t *testing.T, test func(*testing.T, kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

func opened(t testing.TB, url string) budget.Store {
	s, err := store.Open(t.Context(), url, &store.Options{ReportingZone: reportingZone})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
