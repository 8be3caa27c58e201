package intake

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A Recorder records events, as a [budget.Ledger] does.
type Recorder interface {
	RecordBatch(ctx context.Context, events []usage.Event) ([]budget.Result, error)
}

// A Summary counts rows by what became of them.
type Summary struct {
	Recorded   int64 `json:"recorded"`
	Duplicates int64 `json:"duplicates"` // were recorded before
	Conflicts  int64 `json:"conflicts"`  // have the id of another event
	Invalid    int64 `json:"invalid"`    // could not be read, or were refused
}

// Rows returns how many rows there were.
func (s Summary) Rows() int64 { return s.Recorded + s.Duplicates + s.Conflicts + s.Invalid }

// Bad returns how many rows were not recorded.
func (s Summary) Bad() int64 { return s.Conflicts + s.Invalid }

// Add adds o to s.
func (s *Summary) Add(o Summary) {
	s.Recorded += o.Recorded
	s.Duplicates += o.Duplicates
	s.Conflicts += o.Conflicts
	s.Invalid += o.Invalid
}

const (
	batchRows  = 500     // what a ledger records in one transaction
	batchBytes = 4 << 20 // of text, so that long rows take no more memory than many
)

// Record records all rows that are left in r, in their order, and returns what became of them. While one batch of them is
// recorded the next one is read. After each, report is called with what became of it and with the rows of it that were not
// recorded, in their order.
//
// When ctx ends, the batch that is being recorded is finished, and the error is that of ctx. Any other error is that of the
// recorder or of the file; the rows before it are recorded. To record all again is the remedy, and counts none twice.
func Record(ctx context.Context, to Recorder, r *Reader, report func(Summary, []*RowError)) (Summary, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	batches := make(chan batch)
	var failed error // may be read when batches is closed
	go func() {
		defer close(batches)
		failed = r.readBatches(ctx, batches)
	}()
	var sum Summary
	for {
		select {
		case <-ctx.Done():
			return sum, ctx.Err()
		case b, ok := <-batches:
			if !ok {
				return sum, failed
			}
			done, err := b.record(context.WithoutCancel(ctx), to)
			sum.Add(done)
			report(done, b.bad)
			if err != nil {
				return sum, err
			}
		}
	}
}

// A batch is what is recorded in one transaction.
type batch struct {
	events []usage.Event
	lines  []int // of the events
	bad    []*RowError
}

func (r *Reader) readBatches(ctx context.Context, to chan<- batch) error {
	for {
		b, err := r.readBatch(ctx)
		if len(b.events) > 0 || len(b.bad) > 0 {
			select {
			case to <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (r *Reader) readBatch(ctx context.Context) (batch, error) {
	var b batch
	end := r.Offset() + batchBytes
	for len(b.events)+len(b.bad) < batchRows && r.Offset() < end {
		if err := ctx.Err(); err != nil {
			return b, err
		}
		row, err := r.Read()
		if bad := (*RowError)(nil); errors.As(err, &bad) {
			b.bad = append(b.bad, bad)
			continue
		}
		if err != nil {
			return b, err
		}
		b.events = append(b.events, row.Event)
		b.lines = append(b.lines, row.Line)
	}
	return b, nil
}

// record records the batch and adds to its bad rows those that were refused.
func (b *batch) record(ctx context.Context, to Recorder) (Summary, error) {
	sum := Summary{Invalid: int64(len(b.bad))}
	results, err := to.RecordBatch(ctx, b.events)
	for i, result := range results {
		switch result.Outcome {
		case budget.Recorded:
			sum.Recorded++
		case budget.Duplicate:
			sum.Duplicates++
		case budget.Conflict:
			sum.Conflicts++
			b.bad = append(b.bad, &RowError{b.lines[i], result.Err})
		case budget.Invalid:
			sum.Invalid++
			b.bad = append(b.bad, &RowError{b.lines[i], result.Err})
		}
	}
	slices.SortFunc(b.bad, func(x, y *RowError) int { return cmp.Compare(x.Line, y.Line) })
	return sum, err
}
