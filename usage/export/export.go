// Package export writes lines of usage, as reports yield them, for other programs: as CSV, as JSON lines, and as CSV in the
// shape of FOCUS, the FinOps Open Cost and Usage Specification.
//
// It writes each line when it comes, whatever their number. Amounts are exact decimals. Instants are UTC in RFC 3339, the
// end of a line's time is exclusive. The first error, of the lines or of writing, ends it; what was written by then stays.
//
// # CSV and spreadsheets
//
// A spreadsheet takes a cell that begins with one of = + - @ for a formula, and names come from whoever uses a service. So
// in names, where such a character begins the cell, or might begin one to a program that separates cells by another
// character, an apostrophe is put before it. Who reads CSV by a program, and must have names as they are, takes JSON lines.
package export

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/purser-go/purser/usage"
)

// Lines are what is exported.
type Lines = iter.Seq2[usage.Line, error]

// A column is one of a CSV file, and what a line has in it.
type column struct {
	name string
	of   func(*usage.Line) string
}

// CSV writes lines below a header with the names that JSON has.
func CSV(w io.Writer, lines Lines) error { return write(w, lines, plain) }

var plain = []column{
	{"start", func(l *usage.Line) string { return instant(l.Start) }},
	{"end", func(l *usage.Line) string { return instant(l.End) }},
	{"tenant", func(l *usage.Line) string { return safe(l.Tenant) }},
	{"user", func(l *usage.Line) string { return safe(l.User) }},
	{"api_key", func(l *usage.Line) string { return safe(l.APIKey) }},
	{"resource", func(l *usage.Line) string { return safe(l.Resource) }},
	{"input_tokens", func(l *usage.Line) string { return count(l.InputTokens) }},
	{"output_tokens", func(l *usage.Line) string { return count(l.OutputTokens) }},
	{"cache_creation_tokens", func(l *usage.Line) string { return count(l.CacheCreationTokens) }},
	{"cache_read_tokens", func(l *usage.Line) string { return count(l.CacheReadTokens) }},
	{"total_tokens", func(l *usage.Line) string { return count(l.TotalTokens) }},
	{"requests", func(l *usage.Line) string { return count(l.Requests) }},
	{"runs", func(l *usage.Line) string { return count(l.Runs) }},
	{"cost", cost},
}

func cost(l *usage.Line) string { return l.Cost().String() }

func count(n int64) string { return strconv.FormatInt(n, 10) }

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// safe returns a name in which no cell of a spreadsheet begins a formula.
func safe(name string) string {
	var b strings.Builder
	begins := true
	for _, r := range name {
		if begins && strings.ContainsRune("=+-@＝＋－＠", r) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
		begins = strings.ContainsRune(",;|\t", r) || begins && (r == '"' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r))
	}
	return b.String()
}

func write(w io.Writer, lines Lines, columns []column) error {
	out := csv.NewWriter(w)
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.name
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for line, err := range lines {
		if err != nil {
			out.Flush()
			return errors.Join(err, out.Error())
		}
		for i, c := range columns {
			row[i] = c.of(&line)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// JSONLines writes each line as a JSON object, as [usage.Line.MarshalJSON] does, on a line of its own.
func JSONLines(w io.Writer, lines Lines) error {
	out := bufio.NewWriter(w)
	for line, err := range lines {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		text, err := json.Marshal(line)
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	return out.Flush()
}
