package intake

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A csvFormat reads rows of a CSV file. It is the [io.Reader] of its csv.Reader, which gets one line at a time and so takes
// only those that belong to the row.
type csvFormat struct {
	rows    *rows
	csv     *csv.Reader
	taken   []byte // of the last line, what csv has not read yet
	columns []column
}

type column struct {
	use
	name string
}

func newCSVFormat(r *rows, header []byte, l layout) (*csvFormat, error) {
	f := &csvFormat{rows: r}
	f.csv = csv.NewReader(f)
	f.csv.FieldsPerRecord = -1
	f.csv.ReuseRecord = true
	names, err := f.record(header)
	if err != nil {
		return nil, fmt.Errorf("the first line %w", err)
	}
	if err := f.setColumns(names, l); err != nil {
		return nil, err
	}
	r.end()
	return f, nil
}

func (f *csvFormat) setColumns(names []string, l layout) error {
	from := make(map[string]string) // column by field or label
	known := false
	for _, name := range names {
		name = strings.TrimSpace(name)
		use, err := l.use(name)
		if err == nil {
			// Else what was no text, or whose lines end in another way, would be a header without rows.
			err = invalid.Line("the first line is no header", name, 0, maxRow)
		}
		if err != nil {
			return err
		}
		for _, target := range use.targets() {
			if other, taken := from[target]; taken {
				return invalid.Field(target, "has two columns, %s and %s", other, name)
			}
			from[target] = name
		}
		known = known || len(use.fields) > 0
		f.columns = append(f.columns, column{use, name})
	}
	for _, field := range slices.Sorted(maps.Keys(l.moved)) {
		if _, found := from[field]; !found {
			return invalid.Field(field, "there is no column %s to read it from", l.moved[field])
		}
	}
	if !known {
		return errors.New("the first line is no header: none of its columns, separated by commas, is one of " +
			strings.Join(Fields(), ", "))
	}
	return nil
}

// Read gives csv the rest of the line that was taken, or the next line.
func (f *csvFormat) Read(p []byte) (n int, err error) {
	if len(f.taken) == 0 {
		if f.taken, err = f.rows.take(); err != nil {
			return 0, err
		}
	}
	n = copy(p, f.taken)
	f.taken = f.taken[n:]
	return n, nil
}

// errQuote says that a row may have swallowed the lines after its first, which must be read on their own then.
var errQuote = errors.New("has a quote that is not closed, or one inside a field, where it must be doubled and the field quoted")

func (f *csvFormat) record(line []byte) ([]string, error) {
	f.taken = line
	record, err := f.csv.Read()
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) || errors.Is(err, errLong) {
		return nil, errQuote
	}
	return record, err
}

func (f *csvFormat) event(line []byte) (usage.Event, error) {
	record, err := f.record(line)
	switch {
	case err != nil:
		return usage.Event{}, err
	case len(record) != len(f.columns):
		return usage.Event{}, fmt.Errorf("has %d columns, the header has %d", len(record), len(f.columns))
	}
	var e usage.Event
	var errs []error
	for i, value := range record {
		if value != "" {
			errs = append(errs, f.columns[i].read(&e, value))
		}
	}
	return e, errors.Join(errs...)
}

func (c column) read(e *usage.Event, value string) error {
	if c.label != "" {
		if e.Labels == nil {
			e.Labels = make(map[string]string)
		}
		e.Labels[c.label] = value
	}
	var errs []error
	for _, field := range c.fields {
		if err := setters[field](e, value); err != nil {
			errs = append(errs, ofField(field, err))
		}
	}
	return errors.Join(errs...)
}

// ofField returns err as a finding about a field.
func ofField(field string, err error) error {
	if len(invalid.Fields(err)) > 0 {
		return err
	}
	return invalid.Field(field, "%v", err)
}
