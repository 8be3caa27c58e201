package intake_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/internal/intake"
)

const rowsWithoutIDs = "timestamp,input_tokens\n2026-03-01T09:30:00Z,1\n2026-03-01T09:30:00Z,1\n2026-03-01T09:31:00Z,2\n"

func TestEqualRowsHaveDifferentIDs(t *testing.T) {
	got := ids(mustRead(t, rowsWithoutIDs, nil))
	if slices.Sort(got); len(slices.Compact(got)) != 3 {
		t.Errorf("ids %v, want three different ones", got)
	}
}

func TestARowHasTheSameIDHoweverItsFileIsRead(t *testing.T) {
	want := ids(mustRead(t, rowsWithoutIDs, nil))
	tests := map[string]io.Reader{
		"as a stream of single bytes":      slow(rowsWithoutIDs),
		"packed":                           gzipped(t, rowsWithoutIDs),
		"packed in parts":                  gzipped(t, rowsWithoutIDs[:30], rowsWithoutIDs[30:]),
		"without the last line break":      strings.NewReader(strings.TrimSuffix(rowsWithoutIDs, "\n")),
		"with blank lines at its end":      strings.NewReader(rowsWithoutIDs + "\n\n"),
		"with the other rows it has grown": strings.NewReader(rowsWithoutIDs + "2026-03-01T09:30:00Z,1\n"),
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			results, err := read(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, ids(results)[:3]); diff != "" {
				t.Errorf("ids (-want +got)\n%s", diff)
			}
		})
	}
}

func TestALogThatGrowsKeepsItsIDs(t *testing.T) {
	logs := map[string]string{
		"of CSV":                  rowsWithoutIDs,
		"of CSV with CRLF":        strings.ReplaceAll(rowsWithoutIDs, "\n", "\r\n"),
		"of CSV with blank lines": strings.ReplaceAll(rowsWithoutIDs, "\n", "\n\n"),
		"of JSON lines":           `{"input_tokens":1}` + "\n" + `{"input_tokens":1}` + "\n" + `{"input_tokens":2}` + "\n",
		"with a quote that is never closed, and then another": "team,runs\na,1\n\"b,2\nc,3\nd,\"4\"\ne,5\n",
	}
	for name, log := range logs {
		t.Run(name, func(t *testing.T) {
			whole := ids(mustRead(t, log, nil))
			lines := strings.SplitAfter(log, "\n")
			for n := range lines {
				grown := strings.Join(lines[:n], "")
				for _, text := range []string{grown, strings.TrimSuffix(grown, "\n"), strings.TrimRight(grown, "\r\n")} {
					got := ids(mustRead(t, text, nil))
					if !slices.Equal(got, whole[:len(got)]) {
						t.Errorf("%q has the ids %v, want the first of %v", text, got, whole)
					}
				}
			}
		})
	}
}

func TestIDsDifferWhereAnythingBeforeDiffers(t *testing.T) {
	want := ids(mustRead(t, rowsWithoutIDs, nil))
	tests := map[string][]string{
		"the salt":   ids(mustRead(t, rowsWithoutIDs, &intake.Options{IDSalt: "eu"})),
		"the header": ids(mustRead(t, strings.Replace(rowsWithoutIDs, "input", "output", 1), nil)),
		"a bad row":  ids(mustRead(t, strings.Replace(rowsWithoutIDs, "\n", "\nx\n", 1), nil)),
		"a blank":    ids(mustRead(t, "\n"+rowsWithoutIDs, nil)),
	}
	for name, got := range tests {
		for _, id := range got {
			if slices.Contains(want, id) {
				t.Errorf("%s: id %s is there in both", name, id)
			}
		}
	}
}

func TestASaltIsNoPartOfTheFile(t *testing.T) {
	begin, rest := rowsWithoutIDs[:10], rowsWithoutIDs[10:]
	salted, plain := ids(mustRead(t, "id,"+rest, &intake.Options{IDSalt: begin})), ids(mustRead(t, begin+"id,"+rest, nil))
	for _, id := range salted {
		if slices.Contains(plain, id) {
			t.Errorf("id %s of a file is also one of its end with the begin as salt", id)
		}
	}
}
