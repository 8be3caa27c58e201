package intake_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/usage"
)

// A result is what one row came to.
type result struct {
	line  int
	event usage.Event
	err   string
}

// read returns what the rows of a text came to, and the error that ended it, nil at the end of the text.
func read(r io.Reader, o *intake.Options) ([]result, error) {
	reader, err := intake.NewReader(r, o)
	if err != nil {
		return nil, err
	}
	var results []result
	for {
		row, err := reader.Read()
		if bad := (*intake.RowError)(nil); errors.As(err, &bad) {
			results = append(results, result{line: bad.Line, err: bad.Err.Error()})
			continue
		}
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return results, err
		}
		results = append(results, result{line: row.Line, event: row.Event})
	}
}

func mustRead(t *testing.T, text string, o *intake.Options) []result {
	t.Helper()
	results, err := read(strings.NewReader(text), o)
	if err != nil {
		t.Fatalf("reading %q: %v", shortened(text), err)
	}
	return results
}

func shortened(text string) string {
	if len(text) > 200 {
		return text[:200] + "…"
	}
	return text
}

// events returns the events of the rows that could be read.
func events(results []result) []usage.Event {
	var es []usage.Event
	for _, r := range results {
		if r.err == "" {
			es = append(es, r.event)
		}
	}
	return es
}

func ids(results []result) []string {
	var ids []string
	for _, e := range events(results) {
		ids = append(ids, e.ID)
	}
	return ids
}

func gzipped(t *testing.T, texts ...string) io.Reader {
	t.Helper()
	var packed bytes.Buffer
	for _, text := range texts {
		w := gzip.NewWriter(&packed)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return &packed
}

func slow(text string) io.Reader { return iotest.OneByteReader(strings.NewReader(text)) }

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.UTC()
}

func dollars(text string) *decimal.Decimal {
	d := decimal.RequireFromString(text)
	return &d
}
