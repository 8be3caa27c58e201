package intake

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// maxRow is the length of the longest row in bytes. A row of usage has a few hundred; the rest is for columns that are
// ignored, such as prompts.
const maxRow = 1 << 20

var errLong = errors.New("is longer than 1 MiB, the most that a row may have")

// rows cuts a stream into lines, puts those together again that are one row, and keeps a running hash of the stream.
type rows struct {
	stream *bufio.Reader
	ended  error     // why the stream ended
	again  []byte    // what comes before the stream
	row    []byte    // the lines taken for the row that is being read
	line   int       // the number of row's first line
	hash   hash.Hash // of all before row
	read   int64     // bytes before row
}

func newRows(stream *bufio.Reader, salt string) *rows {
	h := sha256.New()
	first := sha256.Sum256([]byte(salt)) // of one length, so that no salt looks like the begin of a file
	h.Write(first[:])
	return &rows{stream: stream, hash: h, line: 1}
}

// take adds the next line to the row and returns it with its line break, if it has one. At the end of the stream the error
// is io.EOF. It is errLong if the row is longer than maxRow then; of the line, the row has as much as was read.
func (r *rows) take() ([]byte, error) {
	start := len(r.row)
	for {
		chunk, err := r.chunk()
		r.row = append(r.row, chunk...)
		switch {
		case len(r.row) > maxRow:
			return nil, errLong
		case endsLine(chunk), errors.Is(err, io.EOF) && len(r.row) > start:
			return r.row[start:], nil
		case err != nil:
			return nil, err
		}
	}
}

func endsLine(text []byte) bool { return bytes.HasSuffix(text, []byte("\n")) }

// chunk returns bytes up to and including the next line break, or fewer. They are valid until the next call.
func (r *rows) chunk() ([]byte, error) {
	if len(r.again) > 0 {
		chunk := r.again[:firstLine(r.again)]
		r.again = r.again[len(chunk):]
		return chunk, nil
	}
	if r.ended != nil {
		return nil, r.ended
	}
	chunk, err := r.stream.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		r.ended = err
	}
	return chunk, r.ended
}

// firstLine returns the length of text's first line.
func firstLine(text []byte) int {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return i + 1
	}
	return len(text)
}

// end ends the row and returns an id for it, the hash of all up to its end. The line break is hashed only with what comes
// after it: it may be missing where the file ended when it was read before it grew.
func (r *rows) end() string {
	text := bytes.TrimRight(r.row, "\r\n")
	r.hash.Write(text)
	id := hex.EncodeToString(r.hash.Sum(nil)[:16])
	r.hash.Write(r.row[len(text):])
	r.line += bytes.Count(r.row, []byte("\n"))
	r.read += int64(len(r.row))
	r.row = r.row[:0]
	return id
}

// endFirst ends the row after its first line. The others will be taken again.
func (r *rows) endFirst() {
	first := firstLine(r.row)
	r.again = append(bytes.Clone(r.row[first:]), r.again...)
	r.row = r.row[:first]
	r.end()
}

// skip ends the row after the rest of its last line.
func (r *rows) skip() {
	for !endsLine(r.row) {
		r.end()
		chunk, err := r.chunk()
		r.row = append(r.row, chunk...)
		if err != nil {
			break
		}
	}
	r.end()
}
