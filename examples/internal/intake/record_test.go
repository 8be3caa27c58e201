package intake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

func newLedger() *budget.Ledger {
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	return budget.NewLedger(memstore.New(nil), &budget.Options{Now: func() time.Time { return now }})
}

func record(t *testing.T, to intake.Recorder, text string) (intake.Summary, []string) {
	t.Helper()
	r, err := intake.NewReader(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	sum, err := intake.Record(t.Context(), to, r, func(_ intake.Summary, refused []*intake.RowError) {
		for _, row := range refused {
			bad = append(bad, row.Error())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum, bad
}

func TestRowsAreCountedByWhatBecameOfThem(t *testing.T) {
	const text = "id,timestamp,input_tokens\n" +
		"e1,2026-03-01T09:30:00Z,1\n" +
		"e2,2026-03-01T09:30:00Z,-1\n" +
		"e3,yesterday,1\n" +
		"e1,2026-03-01T09:30:00Z,1\n" +
		"e1,2026-03-01T09:30:00Z,2\n" +
		"e4,2026-03-03T09:30:00Z,1\n" +
		"e5,2026-03-01T09:30:00Z,1\n"
	ledger := newLedger()
	sum, bad := record(t, ledger, text)
	if want := (intake.Summary{Recorded: 2, Duplicates: 1, Conflicts: 1, Invalid: 3}); sum != want {
		t.Errorf("sum %+v, want %+v", sum, want)
	}
	wantBad := []string{
		"line 3: input_tokens: must not be negative",
		"line 4: timestamp: must be a time such as 2026-03-01T09:30:00Z",
		"line 6: conflict: an event with this id and other content is recorded",
		"line 7: time: is 2026-03-03T09:30:00Z, more than 5m0s ahead of now",
	}
	if diff := cmp.Diff(wantBad, bad); diff != "" {
		t.Errorf("bad rows (-want +got)\n%s", diff)
	}
	again, _ := record(t, ledger, text)
	if want := (intake.Summary{Duplicates: 3, Conflicts: 1, Invalid: 3}); again != want {
		t.Errorf("recorded again: sum %+v, want %+v", again, want)
	}
}

func TestAFileOfManyBatchesIsRecordedWholeAndOnce(t *testing.T) {
	text := "input_tokens\n" + strings.Repeat("1\n", 2345)
	ledger := newLedger()
	if sum, _ := record(t, ledger, text); sum != (intake.Summary{Recorded: 2345}) {
		t.Errorf("sum %+v, want 2345 recorded", sum)
	}
	if sum, _ := record(t, ledger, text+"1\n"); sum != (intake.Summary{Recorded: 1, Duplicates: 2345}) {
		t.Errorf("when it has grown by a row: sum %+v, want 1 recorded and 2345 duplicates", sum)
	}
}

func TestTheFirstOfTwoRowsWithOneIDIsTheEvent(t *testing.T) {
	rows := make([]string, 1000)
	for i := range rows {
		rows[i] = fmt.Sprintf("e%d,1", i)
	}
	text := "id,input_tokens\n" + strings.Join(rows, "\n") + "\ne0,2\n"
	sum, bad := record(t, newLedger(), text)
	if want := (intake.Summary{Recorded: 1000, Conflicts: 1}); sum != want || len(bad) != 1 || !strings.HasPrefix(bad[0], "line 1002:") {
		t.Errorf("sum %+v, bad %v, want %+v and a conflict in line 1002", sum, bad, want)
	}
}

// recorderFunc is a recorder that is a function.
type recorderFunc func(context.Context, []usage.Event) ([]budget.Result, error)

func (f recorderFunc) RecordBatch(ctx context.Context, events []usage.Event) ([]budget.Result, error) {
	return f(ctx, events)
}

func TestAnEndedContextFinishesTheBatchInFlight(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ledger := newLedger()
	interrupted := recorderFunc(func(ctx context.Context, events []usage.Event) ([]budget.Result, error) {
		cancel()
		return ledger.RecordBatch(ctx, events)
	})
	text := "input_tokens\n" + strings.Repeat("1\n", 5000)
	r, err := intake.NewReader(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := intake.Record(ctx, interrupted, r, func(intake.Summary, []*intake.RowError) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if sum.Recorded == 0 || sum.Recorded == 5000 || sum.Recorded%500 != 0 {
		t.Errorf("%d recorded, want whole batches of 500, but not all", sum.Recorded)
	}
	again, _ := record(t, ledger, text)
	if want := (intake.Summary{Recorded: 5000 - sum.Recorded, Duplicates: sum.Recorded}); again != want {
		t.Errorf("recorded again: sum %+v, want %+v", again, want)
	}
}

func TestAnEndedContextDoesNotWaitForTheFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	file, writer := io.Pipe()
	defer writer.Close()
	go func() {
		_, _ = io.WriteString(writer, "input_tokens\n"+strings.Repeat("1\n", 500))
		cancel()
	}()
	r, err := intake.NewReader(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = intake.Record(ctx, newLedger(), r, func(intake.Summary, []*intake.RowError) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestAStoreThatFailsEndsIt(t *testing.T) {
	store := memstore.New(nil)
	ledger := budget.NewLedger(store, nil)
	store.FailNext(fmt.Errorf("%w: no route", budget.ErrUnavailable))
	r, err := intake.NewReader(strings.NewReader("input_tokens\n"+strings.Repeat("1\n", 5000)), nil)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := intake.Record(t.Context(), ledger, r, func(intake.Summary, []*intake.RowError) {})
	if !errors.Is(err, budget.ErrUnavailable) || sum != (intake.Summary{}) {
		t.Errorf("sum %+v, error %v, want nothing and %v", sum, err, budget.ErrUnavailable)
	}
}

func TestMemoryIsBoundedWhateverTheFile(t *testing.T) {
	if testing.Short() {
		t.Skip("reads half a gigabyte")
	}
	discard := recorderFunc(func(_ context.Context, events []usage.Event) ([]budget.Result, error) {
		return make([]budget.Result, len(events)), nil
	})
	const size, limit = 128 << 20, 48 << 20
	tests := map[string]io.Reader{
		"one line without end":           repeat("", "x", size),
		"a quote that is never closed":   repeat("id,team\ne1,\"", strings.Repeat("x", 1000)+"\n", size),
		"rows of almost a megabyte each": repeat("id,prompt\n", "e1,"+strings.Repeat("x", 1<<20-10)+"\n", size),
		"many short rows":                repeat("input_tokens\n", "1\n", 1<<18),
		"many empty lines":               repeat("input_tokens\n", "\n", 1<<20),
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := intake.NewReader(file, &intake.Options{Ignore: []string{"prompt"}})
			if name == "one line without end" {
				if err == nil {
					t.Error("no error, want one about the first line")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var peak uint64
			_, err = intake.Record(t.Context(), discard, r, func(intake.Summary, []*intake.RowError) {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			})
			if err != nil {
				t.Fatal(err)
			}
			if peak > limit {
				t.Errorf("the heap grew to %d MiB, want at most %d", peak>>20, limit>>20)
			}
		})
	}
}

// repeat returns a text that begins with head and goes on with part until it has about so many bytes.
func repeat(head, part string, size int64) io.Reader {
	endless := &endlessReader{part: part}
	return io.MultiReader(strings.NewReader(head), io.LimitReader(endless, size/int64(len(part))*int64(len(part))))
}

type endlessReader struct {
	part string
	rest string
}

func (r *endlessReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.rest == "" {
			r.rest = r.part
		}
		copied := copy(p[n:], r.rest)
		n, r.rest = n+copied, r.rest[copied:]
	}
	return n, nil
}
