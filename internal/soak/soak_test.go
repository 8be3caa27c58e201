package soak_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/internal/soak"
)

// recorder is a test that remembers its attributes.
type recorder struct {
	testing.TB
	attributes map[string]string
}

func (r *recorder) Attr(key, value string) { r.attributes[key] = value }

func TestCount(t *testing.T) {
	usual, attribute := 40, "40 reserves"
	if testing.Short() {
		usual, attribute = 4, "4 reserves"
	}
	tests := map[string]struct {
		soak      string
		want      int
		attribute string
	}{
		"the usual count unless soaking":           {"", usual, attribute},
		"the stated count when PURSER_SOAK is set": {"1", 1000, "1000 reserves"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(soak.Variable, test.soak)
			r := &recorder{t, map[string]string{}}
			if got := soak.Count(r, "reserves", 40, 1000); got != test.want {
				t.Errorf("Count = %d, want %d", got, test.want)
			}
			if diff := cmp.Diff(map[string]string{soak.Attribute: test.attribute}, r.attributes); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}
