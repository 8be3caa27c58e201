package memstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) budget.Store { return memstore.New(nil) })
}

// A memstore can't be bound, but the suite for those that can has to be seen to work.
func TestBound(t *testing.T) {
	storetest.RunBound(t, func(*testing.T) storetest.Bound {
		outside := memstore.New(nil)
		inside, end := outside.Begin()
		return storetest.Bound{
			Store:    inside,
			Outside:  outside,
			Commit:   func() error { return end(true) },
			Rollback: func() error { return end(false) },
		}
	})
}
