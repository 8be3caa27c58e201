package budget_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// found returns the ids of the events that a query selects.
func (f *fixture) found(q budget.EventQuery) (ids []string) {
	f.t.Helper()
	for _, e := range collect(f.t, f.Events(f.t.Context(), q)) {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := open(t)
	labeled := of("acme", on("2026-03-02T00:00:00Z", tokens("labeled", 3)))
	labeled.Labels = map[string]string{"team": "blue"}
	f.record(
		of("zoo", on("2026-03-01T00:00:00Z", tokens("zoo", 1))),
		of("acme", by("ann", on("2026-03-01T00:00:00Z", tokens("ann", 2)))),
		labeled,
	)
	f.correct(usage.Correction{ID: "correction", Tenant: "acme", Event: "ann", Amounts: usage.Amounts{InputTokens: 1}, Reason: "test"})
	where := func(d usage.Dimension, value string) map[usage.Dimension]string {
		return map[usage.Dimension]string{d: value}
	}
	for rule, test := range map[string]struct {
		q    budget.EventQuery
		want []string
	}{
		"all, by time, tenant and id": {budget.EventQuery{}, []string{"ann", "correction", "zoo", "labeled"}},
		"without corrections":         {budget.EventQuery{Except: true}, []string{"ann", "zoo", "labeled"}},
		"of a tenant":                 {budget.EventQuery{Where: where(usage.Tenant, "zoo")}, []string{"zoo"}},
		"of nobody":                   {budget.EventQuery{Where: where(usage.User, "")}, []string{"zoo", "labeled"}},
		"with a label":                {budget.EventQuery{Where: where("team", "blue")}, []string{"labeled"}},
		"a span's start is inclusive": {budget.EventQuery{Span: period.Bounds{Start: at("2026-03-02T00:00:00Z"), End: noon}}, []string{"labeled"}},
		"a span's end is not":         {budget.EventQuery{Span: period.Bounds{Start: at("2026-02-01T00:00:00Z"), End: at("2026-03-02T00:00:00Z")}}, []string{"ann", "correction", "zoo"}},
		"a limit below 0 is none":     {budget.EventQuery{Limit: -1}, []string{"ann", "correction", "zoo", "labeled"}},
		"at most so many":             {budget.EventQuery{Limit: 2}, []string{"ann", "correction"}},
		"behind one":                  {budget.EventQuery{After: &budget.EventCursor{Time: at("2026-03-01T00:00:00Z"), EventKey: budget.EventKey{Tenant: "acme", ID: "correction"}}}, []string{"zoo", "labeled"}},
	} {
		t.Run(rule, func(t *testing.T) {
			if diff := cmp.Diff(test.want, f.found(test.q)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventsAreReadInPages(t *testing.T) {
	t.Parallel()
	f := open(t)
	const n = 5003 // more than are read at a time
	var events []usage.Event
	var want []string
	for i := range n {
		events = append(events, tokens(fmt.Sprintf("%05d", i), 1))
		want = append(want, events[i].ID)
	}
	f.record(events...)
	if diff := cmp.Diff(want, f.found(budget.EventQuery{})); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:5001], f.found(budget.EventQuery{Limit: 5001})); diff != "" {
		t.Errorf("at most 5,001 events (-want +got):\n%s", diff)
	}
	for e, err := range f.Events(t.Context(), budget.EventQuery{}) {
		if err != nil || e.ID != want[0] {
			t.Errorf("the first event is %+v: %v", e, err)
		}
		break
	}
}

func TestAnEventSaysWhatItCostsAndWhatIsLeftOfIt(t *testing.T) {
	t.Parallel()
	f, _ := openPriced(t)
	e := on("2026-03-01T00:00:00.5Z", priced("a", 10))
	e.Tenant, e.Labels = "acme", map[string]string{"team": "blue"}
	f.record(e)
	f.correct(usage.Correction{
		ID: "refund", Tenant: "acme", Event: "a", Amounts: usage.Amounts{InputTokens: 4, Cost: new(dec("2.5"))}, Reason: "half was lost",
	})
	key := budget.EventKey{Tenant: "acme", ID: "a"}
	got, err := f.Event(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := `{"id":"a","time":"2026-03-01T00:00:00.5Z","tenant":"acme","user":"ann","resource":"` + subject.Resource + `","labels":{"team":"blue"},` +
		`"input_tokens":10,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":10,"requests":1,"runs":0,` +
		`"cost":10,"priced_by":"tariff","recorded_at":"2026-03-10T12:00:00Z",` +
		`"corrected":{"input_tokens":4,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":4,"requests":0,"runs":0,"cost":2.5}}`
	if diff := cmp.Diff(want, text(got)); diff != "" {
		t.Errorf("the event (-want +got):\n%s", diff)
	}
	want = `{"id":"refund","time":"2026-03-01T00:00:00.5Z","tenant":"acme","user":"ann","resource":"` + subject.Resource + `","labels":{"team":"blue"},` +
		`"input_tokens":-4,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":-4,"requests":0,"runs":0,` +
		`"cost":-2.5,"corrects":"a","reason":"half was lost","recorded_at":"2026-03-10T12:00:00Z"}`
	if diff := cmp.Diff(want, text(f.stored()[1])); diff != "" {
		t.Errorf("the correction (-want +got):\n%s", diff)
	}

	_, err = f.Event(t.Context(), budget.EventKey{Tenant: "zoo", ID: "a"})
	is(t, err, budget.ErrNotFound)
}

func TestInvalidEventQueries(t *testing.T) {
	t.Parallel()
	f := open(t)
	for field, q := range map[string]budget.EventQuery{
		"span":       {Span: period.Bounds{Start: noon, End: noon}},
		"where":      {Where: map[usage.Dimension]string{"": "x"}},
		"where.user": {Where: map[usage.Dimension]string{usage.User: "a\x00b"}},
		"after":      {After: &budget.EventCursor{Time: noon}},
	} {
		n := 0
		for _, err := range f.Events(t.Context(), q) {
			if n++; n > 1 {
				t.Fatal("it goes on after an error")
			}
			if diff := cmp.Diff([]string{field}, fields(err)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		}
		if n == 0 {
			t.Errorf("an invalid %s is no error", field)
		}
	}
	_, err := f.Event(t.Context(), budget.EventKey{Tenant: "a\x00b"})
	if diff := cmp.Diff([]string{"tenant", "id"}, fields(err)); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
