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

// eachStore runs a test on every kind of store. open makes an empty one.
func eachStore(t *testing.T, test func(t *testing.T, open func(testing.TB) budget.Store)) {
	for name, open := range stores() {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func stores() map[string]func(testing.TB) budget.Store {
	return map[string]func(testing.TB) budget.Store{
		"memstore": func(testing.TB) budget.Store {
			return memstore.New(&memstore.Options{ReportingZone: reportingZone})
		},
		"sqlite": func(t testing.TB) budget.Store {
			return opened(t, "sqlite:"+filepath.Join(t.TempDir(), "purser.db"))
		},
		"postgres": func(t testing.TB) budget.Store { return opened(t, pgtest.URL(t)) },
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
