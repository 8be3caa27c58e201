package intake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxValue is the length of the longest JSON value in bytes. The response of a model may hold images.
const maxValue = 32 << 20

// A Value is one JSON value of a file.
type Value struct {
	Line int // of the unpacked text on which it begins, from 1; in a JSON list the number of the element
	JSON []byte
}

// Values yields the JSON values of r, packed by gzip or not: of JSON lines one per line, of a JSON list its elements. An
// object may also go on over lines: up to one that begins with a brace. What is no JSON is a [*RowError], and those after it
// are yielded; any other error ends it. What is yielded is valid until the next one.
func Values(r io.Reader) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		stream, err := unpack(r)
		if err != nil {
			yield(Value{}, err)
			return
		}
		if firstByte(stream) == '[' {
			yieldElements(stream, yield)
			return
		}
		yieldLines(&lines{stream: stream}, yield)
	}
}

func yieldElements(r io.Reader, yield func(Value, error) bool) {
	d := json.NewDecoder(r)
	_, err := d.Token() // the bracket
	for n := 1; err == nil && d.More(); n++ {
		var element json.RawMessage
		if err = d.Decode(&element); err == nil && !yield(Value{n, element}, nil) {
			return
		}
	}
	if err == nil {
		_, err = d.Token()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		yield(Value{}, fmt.Errorf("after byte %d of a JSON list: %w", d.InputOffset(), err))
	}
}

func yieldLines(l *lines, yield func(Value, error) bool) {
	for {
		text, err := l.next()
		if errors.Is(err, io.EOF) {
			return
		}
		value := Value{l.line, bytes.TrimLeft(text, " \t")}
		if err == nil && !json.Valid(text) {
			value.JSON, err = l.rest(value.JSON)
		}
		var bad *RowError
		if errors.Is(err, errLongValue) || errors.Is(err, errNoJSON) {
			bad = &RowError{value.Line, err}
			err = bad
		}
		if len(value.JSON) == 0 && err == nil {
			continue // a blank line
		}
		if !yield(value, err) || err != nil && bad == nil {
			return
		}
	}
}

var (
	errLongValue = errors.New("is longer than 32 MiB, the most that a response may have")
	errNoJSON    = errors.New("is no JSON")
)

// lines cuts a stream into lines.
type lines struct {
	stream *bufio.Reader
	line   int    // the number of the last one
	again  []byte // a line that was read, but belongs to the next value
	has    bool   // there is such a one
}

// next returns the next line without blanks behind it.
func (l *lines) next() ([]byte, error) {
	l.line++
	if l.has {
		l.has = false
		return l.again, nil
	}
	var text []byte
	for {
		chunk, err := l.stream.ReadSlice('\n')
		if len(text) <= maxValue { // the rest of a longer one is dropped
			text = append(text, chunk...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (len(text) == 0 || !errors.Is(err, io.EOF)):
			return nil, err
		case len(text) > maxValue:
			return nil, errLongValue
		}
		if l.line == 1 {
			text = bytes.TrimPrefix(text, byteOrderMark)
		}
		return bytes.TrimRight(text, " \t\r\n"), nil
	}
}

// rest adds to the first line of an object those that follow, up to the one that begins with its closing brace.
func (l *lines) rest(text []byte) ([]byte, error) {
	if len(text) == 0 {
		return nil, nil
	}
	if text[0] != '{' {
		return nil, errNoJSON
	}
	for {
		line, err := l.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoJSON
		case err != nil:
			return nil, err
		case bytes.HasPrefix(line, []byte("{")):
			l.again, l.has = line, true
			l.line--
			return nil, errNoJSON
		}
		text = append(append(text, '\n'), line...)
		switch {
		case len(text) > maxValue:
			return nil, errLongValue
		case bytes.HasPrefix(line, []byte("}")) && json.Valid(text):
			return text, nil
		case bytes.HasPrefix(line, []byte("}")):
			return nil, errNoJSON
		}
	}
}

// Unpack returns what is in r, unpacked if it is packed by gzip.
func Unpack(r io.Reader) (io.Reader, error) { return unpack(r) }
