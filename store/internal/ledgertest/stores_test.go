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

// A kind is a kind of store, and how much of the heavy tests it gets by default: the decisions that are tried are the same
// everywhere, the time that a step takes is not. SQLite in Go under the race detector is slowest.
type kind struct {
	name      string
	open      func(testing.TB) budget.Store // an empty one
	sequences int                           // of random operations
	changes   int                           // of definitions, 100 commits apart
}

var kinds = []kind{
	{"memstore", func(testing.TB) budget.Store {
		return memstore.New(&memstore.Options{ReportingZone: reportingZone})
	}, 120, 20},
	{"sqlite", func(t testing.TB) budget.Store {
		return opened(t, "sqlite:"+filepath.Join(t.TempDir(), "purser.db"))
	}, 5, 8},
	{"postgres", func(t testing.TB) budget.Store { return opened(t, pgtest.URL(t)) }, 12, 20},
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
