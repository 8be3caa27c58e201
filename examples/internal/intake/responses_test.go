package intake_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/internal/intake"
)

func values(r io.Reader) (found []string) {
	for v, err := range intake.Values(r) {
		var bad *intake.RowError
		switch {
		case errors.As(err, &bad):
			found = append(found, bad.Error())
		case err != nil:
			found = append(found, err.Error())
		default:
			found = append(found, fmt.Sprintf("%d %s", v.Line, v.JSON))
		}
	}
	return found
}

func TestValuesOfAFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing":                   {"", nil},
		"a value per line":          {"{\"a\":1}\n{\"b\":2}\n", []string{`1 {"a":1}`, `2 {"b":2}`}},
		"no line break at the end":  {"{\"a\":1}", []string{`1 {"a":1}`}},
		"blank lines and spaces":    {"\ufeff\n \t\r\n  {\"a\":1} \r\n\n", []string{`3 {"a":1}`}},
		"values of other kinds":     {"7\n\"x\"\nnull\n", []string{"1 7", `2 "x"`, "3 null"}},
		"an object over many lines": {"{\n  \"a\": {\n  }\n}\n{\"b\":2}\n", []string{"1 {\n  \"a\": {\n  }\n}", `5 {"b":2}`}},
		"a bad line, and those behind it": {
			"{\"a\":1}\nnonsense\n{\"b\":\n{\"c\":3}\n{\"d\"\n", []string{`1 {"a":1}`, "line 2: is no JSON", "line 3: is no JSON", `4 {"c":3}`, "line 5: is no JSON"},
		},
		"an object that ends wrongly": {"{\n\"a\"\n}\n{\"b\":2}\n", []string{"line 1: is no JSON", `4 {"b":2}`}},
		"the elements of a list":      {" [ {\"a\":1},\n2, {\"b\":\n3} ]", []string{`1 {"a":1}`, "2 2", "3 {\"b\":\n3}"}},
		"an empty list":               {"[]", nil},
		"a list that breaks off":      {"[1, {\"a\"", []string{"1 1", "after byte 3 of a JSON list: unexpected EOF"}},
		"a list without its end":      {"[1", []string{"1 1", "after byte 2 of a JSON list: unexpected EOF"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, values(strings.NewReader(test.text))); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, values(iotest.OneByteReader(strings.NewReader(test.text)))); diff != "" {
				t.Errorf("values, byte by byte (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, values(gzipped(t, test.text))); diff != "" {
				t.Errorf("values, packed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValuesSayWhatTheFileSays(t *testing.T) {
	t.Parallel()
	want := []string{`1 {"a":1}`, "broken"}
	got := values(io.MultiReader(strings.NewReader("{\"a\":1}\n{\"b\""), iotest.ErrReader(errors.New("broken"))))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestAValueMayBeLongButNotWithoutEnd(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 33<<20)
	got := values(strings.NewReader(`{"a":"` + long + "\"}\n{\"b\":2}\n"))
	want := []string{"line 1: is longer than 32 MiB, the most that a response may have", `2 {"b":2}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if got := values(strings.NewReader(`{"a":"` + long[:8<<20] + "\"}\n")); len(got) != 1 || !strings.HasPrefix(got[0], "1 {") {
		t.Errorf("%d values", len(got))
	}
}
