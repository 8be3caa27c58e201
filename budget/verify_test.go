package budget_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
)

// plant adds to counters and sums what no event says.
func (f *fixture) plant(w budget.Writes) {
	f.t.Helper()
	err := f.store.Update(f.t.Context(), func(tx budget.Tx) error {
		if err := tx.Fence(f.t.Context(), budget.Shared); err != nil {
			return err
		}
		_, err := tx.Apply(f.t.Context(), w)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

var _ = cmp.Diff
var _ testing.TB
