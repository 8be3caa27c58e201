package intake

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/purser-go/purser/usage"
)

// A Reader reads the events of one file.
type Reader struct {
	rows     *rows
	format   format
	defaults usage.Subject
}

// A format turns a row into an event.
type format interface {
	// event reads the row that begins with this line. It may take more lines.
	event(line []byte) (usage.Event, error)
}

// A Row is an event and where it was read.
type Row struct {
	Line  int // of the unpacked text, from 1
	Event usage.Event
}

// A RowError says what is wrong with one row. The rows after it can be read.
type RowError struct {
	Line int // of the unpacked text, from 1
	Err  error
}

func (e *RowError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *RowError) Unwrap() error { return e.Err }

var byteOrderMark = []byte("\ufeff")

// NewReader begins to read r and finds out what it is. Options are expected to be valid. The error is that of r, or says
// why r can't be read as usage; an r without any line has no rows.
func NewReader(r io.Reader, o *Options) (*Reader, error) {
	if o == nil {
		o = &Options{}
	}
	unpacked, err := unpack(r)
	if err != nil {
		return nil, err
	}
	reader := &Reader{rows: newRows(unpacked, o.IDSalt), defaults: o.Defaults}
	switch firstByte(unpacked) {
	case '{':
		reader.format = jsonFormat{newLayout(*o)}
		return reader, nil
	case '[':
		return nil, errors.New("begins like a JSON list, must have one object per line, as jq -c '.[]' makes of a list")
	}
	header, err := reader.line()
	switch {
	case errors.Is(err, io.EOF):
		return reader, nil
	case errors.Is(err, errLong):
		return nil, fmt.Errorf("the first line %w", err)
	case err != nil:
		return nil, err
	}
	reader.format, err = newCSVFormat(reader.rows, header, newLayout(*o))
	return reader, err
}

// unpack returns what is in r, unpacked if it is packed by gzip.
func unpack(r io.Reader) (*bufio.Reader, error) {
	const buffer = 64 << 10
	packed := bufio.NewReaderSize(r, buffer)
	if magic, _ := packed.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return packed, nil
	}
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(unpacked, buffer), nil
}

// firstByte returns the first byte of the text that is no blank, 0 if there is none. An error of r will come up again when
// it is read.
func firstByte(r *bufio.Reader) byte {
	begin, _ := r.Peek(512)
	begin = bytes.TrimLeft(bytes.TrimPrefix(begin, byteOrderMark), " \t\r\n")
	if len(begin) == 0 {
		return 0
	}
	return begin[0]
}

// Read returns the next row. The error is io.EOF after the last one, a [*RowError] for a row that can't be read, and any
// other if r failed.
func (r *Reader) Read() (Row, error) {
	line, err := r.line()
	number := r.rows.line
	switch {
	case errors.Is(err, errLong):
		r.rows.skip()
		return Row{}, &RowError{number, err}
	case err != nil:
		return Row{}, err
	}
	event, err := r.format.event(line)
	if failed := r.rows.ended; err != nil && failed != nil && !errors.Is(failed, io.EOF) {
		return Row{}, failed
	}
	if errors.Is(err, errQuote) {
		r.rows.endFirst()
		return Row{}, &RowError{number, err}
	}
	id := r.rows.end()
	if err != nil {
		return Row{}, &RowError{number, err}
	}
	r.fillIn(&event, id)
	return Row{number, event}, nil
}

// line takes the first line of the next row.
func (r *Reader) line() ([]byte, error) {
	for {
		line, err := r.rows.take()
		if r.rows.read == 0 {
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		if err != nil || len(bytes.TrimSpace(line)) > 0 {
			return line, err
		}
		r.rows.end()
	}
}

func (r *Reader) fillIn(e *usage.Event, id string) {
	e.ID = cmp.Or(e.ID, id)
	e.Tenant = cmp.Or(e.Tenant, r.defaults.Tenant)
	e.User = cmp.Or(e.User, r.defaults.User)
	e.APIKey = cmp.Or(e.APIKey, r.defaults.APIKey)
	e.Resource = cmp.Or(e.Resource, r.defaults.Resource)
}

// Offset returns how many bytes of the unpacked text were read.
func (r *Reader) Offset() int64 { return r.rows.read }
