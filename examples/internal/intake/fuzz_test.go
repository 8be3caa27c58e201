package intake_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// Whatever a file is, reading it ends, is the same in pieces of any size, and gives the rows that the file had before it
// grew their ids again.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		rowsWithoutIDs,
		"id,team\ne1,\"blue\ne2,red\ne3,\"gr\"\"een\"\n",
		"\ufeffid;x\r\n1;2\r\n",
		`{"id":"e1","time":"2026-03-01T09:30:00Z","labels":{"a":"b"},"shard":7}` + "\n[]\n{\"cost\":1e3}",
		"\x1f\x8b\x08",
		"id,cost\ne1,1e-9\n\r\n\r\ne2,\"\n",
	} {
		f.Add([]byte(seed), uint16(len(seed)/2))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		results, err := read(bytes.NewReader(text), nil)
		slowly, slowErr := read(iotest.OneByteReader(bytes.NewReader(text)), nil)
		if diff := cmp.Diff(results, slowly, cmp.AllowUnexported(result{})); diff != "" || (err == nil) != (slowErr == nil) {
			t.Errorf("read at once and byte by byte differ: %v, %v (-once +slowly)\n%s", err, slowErr, diff)
		}
		for _, r := range results {
			if (r.err == "") != (r.event.ID != "") || r.line < 1 {
				t.Errorf("row %+v is neither an event with an id nor an error", r)
			}
		}

		before, err := read(bytes.NewReader(lines(text, int(cut))), nil)
		if err != nil || slices.ContainsFunc(before, isOpenQuote) {
			return // there was not even a header, or the cut is inside a row
		}
		given, all := ids(before), ids(results)
		if len(given) > len(all) || !slices.Equal(given, all[:len(given)]) {
			t.Errorf("ids %v, when it has grown %v", given, all)
		}
	})
}

func isOpenQuote(r result) bool { return strings.HasPrefix(r.err, "has a quote") }

// lines returns the text up to the first line break at or after cut.
func lines(text []byte, cut int) []byte {
	if cut >= len(text) {
		return text
	}
	if i := bytes.IndexByte(text[cut:], '\n'); i >= 0 {
		return text[:cut+i+1]
	}
	return text
}
