package usage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/usage"
)

func TestEventValidate(t *testing.T) {
	long := strings.Repeat("x", 129)
	labels := func(name, value string) usage.Subject {
		return usage.Subject{Labels: map[string]string{name: value}}
	}
	tests := map[string]struct {
		event usage.Event
		want  []string
	}{
		"an id is enough":           {event: usage.Event{ID: "a"}},
		"128 bytes are allowed":     {event: usage.Event{ID: long[1:], Subject: labels(long[1:], long[1:])}},
		"any plain text is allowed": {event: usage.Event{ID: "id 1/é\U0001F600\"\\<>", Subject: labels("a.b c", "")}},
		"an id is needed":           {event: usage.Event{}, want: []string{"id: must not be empty"}},
		"all findings are reported at once": {
			event: usage.Event{
				ID: "\x00", Time: time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC),
				Subject: usage.Subject{Tenant: "\xff", User: "a\nb", APIKey: long, Resource: "\u0085"},
				Amounts: usage.Amounts{Runs: -1},
			},
			want: []string{
				"id: contains the control character U+0000", "time: must be from 1980 to 2199", "tenant: is not valid UTF-8",
				"user: contains the control character U+000A", "api_key: has 129 bytes, at most 128 are allowed",
				"resource: contains the control character U+0085", "runs: must not be negative",
			},
		},
		"the first instant of 1980": {event: usage.Event{ID: "a", Time: usage.MinTime}},
		"the last instant of 2199":  {event: usage.Event{ID: "a", Time: usage.EndTime.Add(-1)}},
		"2200 is too late":          {event: usage.Event{ID: "a", Time: usage.EndTime}, want: []string{"time: must be from 1980 to 2199"}},
		"a year counts in UTC": {
			event: usage.Event{ID: "a", Time: time.Date(2199, 12, 31, 23, 0, 0, 0, time.FixedZone("", -3600))},
			want:  []string{"time: must be from 1980 to 2199"},
		},
		"label names that are dimensions are reserved": {
			event: usage.Event{ID: "a", Subject: usage.Subject{Labels: map[string]string{
				"tenant": "a", "user": "a", "api_key": "a", "resource": "a", "Tenant": "a",
			}}},
			want: []string{
				`labels: the name "api_key" is reserved, set the field api_key instead`,
				`labels: the name "resource" is reserved, set the field resource instead`,
				`labels: the name "tenant" is reserved, set the field tenant instead`,
				`labels: the name "user" is reserved, set the field user instead`,
			},
		},
		"a label needs a name": {event: usage.Event{ID: "a", Subject: labels("", "x")}, want: []string{"labels: a name must not be empty"}},
		"a label's name is plain text": {
			event: usage.Event{ID: "a", Subject: labels("a\x00", "x")},
			want:  []string{"labels: a name contains the control character U+0000"},
		},
		"a long label name is not repeated": {
			event: usage.Event{ID: "a", Subject: labels(long, "x")},
			want:  []string{"labels: a name has 129 bytes, at most 128 are allowed"},
		},
		"a label's value is named": {
			event: usage.Event{ID: "a", Subject: labels("team", "\x7f")},
			want:  []string{"labels.team: contains the control character U+007F"},
		},
		"sixteen labels are allowed": {event: usage.Event{ID: "a", Subject: usage.Subject{Labels: manyLabels(16)}}},
		"seventeen labels are refused": {
			event: usage.Event{ID: "a", Subject: usage.Subject{Labels: manyLabels(17)}},
			want:  []string{"labels: has 17 labels, at most 16 are allowed"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, findings(t, test.event.Validate())); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func manyLabels(n int) map[string]string {
	labels := make(map[string]string)
	for i := range n {
		labels[strings.Repeat("x", i+1)] = "y"
	}
	return labels
}

func TestSubjectValue(t *testing.T) {
	s := usage.Subject{Tenant: "t", User: "u", APIKey: "k", Resource: "r", Labels: map[string]string{"team": "blue"}}
	want := map[usage.Dimension]string{
		usage.Tenant: "t", usage.User: "u", usage.APIKey: "k", usage.Resource: "r", "team": "blue", "project": "", "": "",
	}
	got := make(map[usage.Dimension]string)
	for d := range want {
		got[d] = s.Value(d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestDimensionIsLabel(t *testing.T) {
	want := map[usage.Dimension]bool{
		usage.Tenant: false, usage.User: false, usage.APIKey: false, usage.Resource: false, "team": true, "Tenant": true,
	}
	got := make(map[usage.Dimension]bool)
	for d := range want {
		got[d] = d.IsLabel()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestEventCanonical(t *testing.T) {
	given := usage.Event{
		ID:   "a",
		Time: time.Date(2026, 3, 1, 10, 30, 0, 123_456_999, location(t, "Europe/Berlin")),
		Subject: usage.Subject{
			User: "u", Labels: map[string]string{"team": "blue", "project": ""},
		},
		Amounts: usage.Amounts{InputTokens: 3, CacheReadTokens: 4, Cost: ptr("0.12345678950")},
	}
	want := usage.Event{
		ID:      "a",
		Time:    time.Date(2026, 3, 1, 9, 30, 0, 123_456_000, time.UTC),
		Subject: usage.Subject{User: "u", Labels: map[string]string{"team": "blue"}},
		Amounts: usage.Amounts{
			InputTokens: 3, CacheReadTokens: 4, TotalTokens: new(int64(7)), Requests: new(int64(1)), Cost: ptr("0.123456790"),
		},
	}
	got := given.Canonical()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("canonical (-want +got):\n%s", diff)
	}
	if got.Time.Location() != time.UTC {
		t.Errorf("time is in %v", got.Time.Location())
	}
	if len(given.Labels) != 2 {
		t.Error("the labels of the caller were changed")
	}
}

func TestEventCanonicalKeepsWhatIsNotGiven(t *testing.T) {
	got := usage.Event{ID: "a", Subject: usage.Subject{Labels: map[string]string{"team": ""}}}.Canonical()
	if !got.Time.IsZero() || got.Cost != nil || got.Labels != nil {
		t.Errorf("canonical = %+v", got)
	}
}

func TestEventCanonicalIsValidAndFinal(t *testing.T) {
	check(t, func(t *rapid.T) {
		event := events().Draw(t, "event")
		if err := event.Validate(); err != nil {
			t.Fatal(err)
		}
		canonical := event.Canonical()
		if err := canonical.Validate(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(canonical, canonical.Canonical()); diff != "" {
			t.Errorf("canonical twice (-once +twice):\n%s", diff)
		}
		before, _ := event.Totals()
		if after, err := canonical.Totals(); err != nil || before != after {
			t.Errorf("totals of the canonical event are %+v, %v, want %+v", after, err, before)
		}
	})
}

func TestNewID(t *testing.T) {
	id := usage.NewID()
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.Version() != 7 || parsed.String() != id {
		t.Errorf("NewID() = %q, %v", id, err)
	}
	if usage.NewID() == id {
		t.Errorf("NewID() = %q twice", id)
	}
}

func TestCorrectionValidate(t *testing.T) {
	if err := (usage.Correction{ID: "c", Event: "a"}).Validate(); err != nil {
		t.Errorf("the least correction: %v", err)
	}
	bad := usage.Correction{Tenant: "\x00", Amounts: usage.Amounts{Cost: ptr("-1")}, Reason: strings.Repeat("é", 501)}
	want := []string{
		"id: must not be empty", "tenant: contains the control character U+0000", "event: must not be empty",
		"cost: must not be negative", "reason: has 501 characters, must have 0 to 500",
	}
	if diff := cmp.Diff(want, findings(t, bad.Validate())); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestCorrectionTotals(t *testing.T) {
	got, err := usage.Correction{Amounts: usage.Amounts{OutputTokens: 5}}.Totals()
	if want := (usage.Totals{OutputTokens: 5, TotalTokens: 5}); err != nil || got != want {
		t.Errorf("Totals() = %+v, %v, want %+v", got, err, want)
	}
	got, err = usage.Correction{Amounts: usage.Amounts{Requests: new(int64(2)), Cost: ptr("1")}}.Totals()
	if want := (usage.Totals{Requests: 2, Nanodollars: 1e9}); err != nil || got != want {
		t.Errorf("Totals() = %+v, %v, want %+v", got, err, want)
	}
}

func BenchmarkEventValidate(b *testing.B) {
	event := typicalEvent()
	b.ReportAllocs()
	for b.Loop() {
		if err := event.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func typicalEvent() usage.Event {
	return usage.Event{
		ID:   "0199f2a0-7c1e-7d43-9d5a-3a1a5a0f6c11",
		Time: time.Date(2026, 3, 1, 9, 30, 0, 123_456_000, time.UTC),
		Subject: usage.Subject{
			Tenant: "acme", User: "u-4711", APIKey: "key-17", Resource: "large-model",
			Labels: map[string]string{"team": "blue", "project": "search"},
		},
		Amounts: usage.Amounts{InputTokens: 812, OutputTokens: 164, CacheReadTokens: 2048, Cost: ptr("0.0123456")},
	}
}
