package ledgertest

import (
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
)

// eachStore runs a test on every kind of store. open makes an empty one.
func eachStore(t *testing.T, test func(t *testing.T, open func(testing.TB) budget.Store)) {
	t.Run("memstore", func(t *testing.T) {
		test(t, func(testing.TB) budget.Store { return memstore.New(&memstore.Options{ReportingZone: "Asia/Kathmandu"}) })
	})
}
