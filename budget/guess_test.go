package budget_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// A recorder is a store whose transactions are able to record in one step. Like a message of several statements, it
// takes the later ones before it knows what came of the earlier ones.
type recorder struct {
	budget.Store
	steps, wrong int // how often it recorded in one step, and how often that was wrong
}

func (r *recorder) Update(ctx context.Context, fn func(budget.Tx) error) error {
	return r.Store.Update(ctx, func(tx budget.Tx) error { return fn(&recorderTx{tx, r}) })
}

type recorderTx struct {
	budget.Tx
	store *recorder
}

func (tx *recorderTx) Record(
	ctx context.Context, version int64, events []budget.StoredEvent, w budget.Writes,
) (map[budget.CounterKey]budget.Counter, error) {
	tx.store.steps++
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return nil, err
	}
	inserted, err := tx.InsertEvents(ctx, events)
	if err != nil {
		return nil, err
	}
	after, err := tx.Apply(ctx, w)
	if err != nil {
		return nil, err
	}
	if len(inserted.Taken) > 0 || inserted.Version != version {
		tx.store.wrong++
		return nil, budget.ErrGuessedWrong
	}
	return after, nil
}

func openRecorder(t *testing.T) (*fixture, *recorder) {
	r := &recorder{}
	return openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { r.Store = s; return r }), r
}

func TestNewEventsAreRecordedInOneStepWhereTheStoreCan(t *testing.T) {
	t.Parallel()
	f, r := openRecorder(t)
	b := f.create(budget.Budget{})
	f.record(tokens("a", 80), tokens("b", 5))
	f.used(b.ID, nil, "85")
	f.alerted("threshold 80 warning")
	f.verified()
	// The budgets were not known before.
	if r.steps != 1 || r.wrong != 0 {
		t.Errorf("%d steps, %d of them wrong", r.steps, r.wrong)
	}
}

func TestAWrongGuessChangesNoAnswer(t *testing.T) {
	t.Parallel()
	f, r := openRecorder(t)
	b := f.create(budget.Budget{Limit: dec("1000")})
	f.record(tokens("a", 1))
	results, err := f.RecordBatch(t.Context(), []usage.Event{
		tokens("a", 1), tokens("b", 2), tokens("b", 3), tokens("a", 4), tokens("", 1), tokens("b", 2),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []budget.Outcome{budget.Duplicate, budget.Recorded, budget.Conflict, budget.Conflict, budget.Invalid, budget.Duplicate}
	for i, r := range results {
		if r.Outcome != want[i] {
			t.Errorf("event %d is %s, want %s", i, r.Outcome, want[i])
		}
	}
	if r.wrong != 1 {
		t.Errorf("%d wrong guesses, want 1", r.wrong)
	}
	f.used(b.ID, nil, "3")
	f.verified()

	// More of the same kind is likely, so for a while nothing is guessed.
	steps := r.steps
	for i := range 16 {
		f.record(tokens(fmt.Sprint("c", i), 1))
	}
	if r.steps != steps {
		t.Errorf("%d guesses after a wrong one", r.steps-steps)
	}
	f.record(tokens("d", 1))
	if r.steps != steps+1 {
		t.Error("it guesses no more")
	}
}

func TestAGuessByOldDefinitionsIsWrong(t *testing.T) {
	t.Parallel()
	f, r := openRecorder(t)
	f.record(tokens("a", 1))
	other := openWith(t, f.store, nil)
	b := other.create(budget.Budget{})
	f.record(tokens("b", 2))
	if r.wrong != 1 {
		t.Errorf("%d wrong guesses, want 1", r.wrong)
	}
	other.used(b.ID, nil, "3")
	other.verified()
}

// By guessing that it is new, an event that stands would overflow its counter.
func TestADuplicateDoesNotOverflow(t *testing.T) {
	t.Parallel()
	f, _ := openRecorder(t)
	b := f.create(budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.000000001")})
	f.record(dear("a"))
	result, err := f.Record(t.Context(), dear("a"))
	if err != nil || result.Outcome != budget.Duplicate {
		t.Errorf("%s, want a duplicate: %v", result.Outcome, err)
	}
	result, err = f.Record(t.Context(), dear("b"))
	is(t, err, budget.ErrOverflow)
	if result.Outcome != budget.Invalid {
		t.Errorf("%s, want invalid", result.Outcome)
	}
	f.used(b.ID, nil, "9000000000000")
	f.verified()
}
