package outagetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store"
)

// A PgBouncer lends connections for a transaction each.
func TestPooler(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url, err := server.Pool()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("everything works with default_query_exec_mode=exec", func(t *testing.T) {
		url := url + "&default_query_exec_mode=exec"
		f := launchPatient(t, patientFlush, url)
		for range 5 {
			f.goOn()
		}
		f.prove(server.URL())
		for _, c := range []*callers{f.asking, f.leasing} {
			for _, f := range c.failures {
				if f.caller != impatient {
					t.Errorf("%s: %v", c.name, f.err)
				}
			}
		}
	})
	t.Run("without it the error says so", func(t *testing.T) {
		var said error
		for i := 0; said == nil && i < 1000; i++ {
			said = pooled(t, url)
		}
		if !errors.Is(said, budget.ErrSettings) || !strings.Contains(said.Error(), "default_query_exec_mode=exec") {
			t.Errorf("got error %v, want ErrSettings that says what to set", said)
		}
	})
}

// pooled records and reserves through two ledgers whose drivers think that they have connections of their own.
func pooled(t *testing.T, url string) (said error) {
	for range 2 {
		s, err := store.Open(t.Context(), url, nil)
		if err != nil {
			return err
		}
		defer s.Close()
		if _, err := budget.NewLedger(s, nil).Record(t.Context(), sample("pooled")); err != nil {
			return err
		}
	}
	return nil
}
