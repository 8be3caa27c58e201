package intake

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// Options configures a [Reader]. A nil *Options means all defaults.
type Options struct {
	// Columns names, by field, the column that a field is read from. Defaults to the one of the field's own name.
	Columns map[string]string
	// Ignore names columns that are not read: neither as a field nor as a label.
	Ignore []string
	// Defaults is the subject of rows that do not say theirs, part by part. Its labels are not used.
	Defaults usage.Subject
	// IDSalt tells feeds apart that begin alike, so that they get different ids. Defaults to none.
	IDSalt string
}

// Fields returns the names of the fields that a row may have.
func Fields() []string {
	return []string{
		"id", timestamp, "tenant", "user", "api_key", "resource",
		"input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens", "total_tokens",
		"requests", "runs", "cost",
	}
}

const timestamp = "timestamp"

// Validate refuses columns for what is no field. All findings are [*usage.FieldError].
func (o *Options) Validate() error {
	if o == nil {
		return nil
	}
	var errs []error
	for _, field := range slices.Sorted(maps.Keys(o.Columns)) {
		switch {
		case !slices.Contains(Fields(), field):
			errs = append(errs, invalid.Field("columns", "%q is no field, those are %s", field, strings.Join(Fields(), ", ")))
		case o.Columns[field] == "":
			errs = append(errs, invalid.Field("columns", "the column for %s has no name", field))
		}
	}
	return errors.Join(errs...)
}

// A layout says what becomes of each column.
type layout struct {
	fields map[string][]string // by column
	moved  map[string]string   // by field: the column of another name that it is read from
	ignore []string
}

func newLayout(o Options) layout {
	l := layout{fields: make(map[string][]string), moved: o.Columns, ignore: o.Ignore}
	for _, field := range Fields() {
		column, moved := o.Columns[field]
		if !moved {
			column = field
		}
		l.fields[column] = append(l.fields[column], field)
	}
	if _, taken := l.fields["time"]; !taken && l.moved[timestamp] == "" {
		l.fields["time"] = []string{timestamp}
	}
	return l
}

// A use is what becomes of a column: it is read into fields or into a label, or neither.
type use struct {
	fields []string
	label  string
}

func (l layout) use(column string) (use, error) {
	if slices.Contains(l.ignore, column) {
		return use{}, nil
	}
	if fields := l.fields[column]; fields != nil {
		return use{fields: fields}, nil
	}
	if instead, moved := l.moved[column]; moved {
		return use{}, invalid.Field(column, "is read from the column %s, so a column of that name must be ignored", instead)
	}
	return use{label: column}, nil
}

// targets names what the column is read into.
func (u use) targets() []string {
	if u.label != "" {
		return []string{u.label}
	}
	return u.fields
}
