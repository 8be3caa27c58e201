package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

var eventParity = []parityRow{
	{"an event has all these members", func(_ *testing.T, w *world) {
		w.want(200, `{"results": [{"id": "e1", "status": "recorded", "errors": []}]}`, "recorder", "POST", "/api/v1/events",
			`{"events": [{"id": "e1", "time": "2026-03-15T09:00:00Z", "tenant": "acme", "user": "ada", "api_key": "k", "resource": "large",
				"input_tokens": 1, "output_tokens": 2, "cache_creation_tokens": 3, "cache_read_tokens": 4, "total_tokens": 11,
				"requests": 2, "runs": 1, "cost": 0.1, "labels": {"team": "red"}}]}`)
		want := usage.Totals{
			InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: 11, Requests: 2, Runs: 1,
			Nanodollars: 100_000_000,
		}
		if diff := cmp.Diff(want, w.used("acme", "ada")); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	}},
	{"all but id and time are optional", func(_ *testing.T, w *world) {
		w.want(200, `{"results": [{"id": "e1", "status": "recorded", "errors": []}]}`, "recorder", "POST", "/api/v1/events",
			`{"events": [{"id": "e1", "time": "2026-03-15T09:00:00Z"}]}`)
		w.want(200, `{"results": [
			{"id": null, "status": "invalid", "errors": [{"field": "id", "message": "must not be empty"}]},
			{"id": "e2", "status": "invalid", "errors": [{"field": "time", "message": "must be there"}]}]}`,
			"recorder", "POST", "/api/v1/events", `{"events": [{"time": "2026-03-15T09:00:00Z"}, {"id": "e2"}]}`)
	}},
	{"one such object alone", func(_ *testing.T, w *world) {
		w.want(200, `{"results": [{"id": "e1", "status": "recorded", "errors": []}]}`, "recorder", "POST", "/api/v1/events",
			`{"id": "e1", "time": "2026-03-15T09:00:00Z", "cost": "12.5"}`)
		w.want(200, `{"results": [{"id": "e2", "status": "invalid", "errors": [{"field": "costs", "message": "is not a known field"}]}]}`,
			"recorder", "POST", "/api/v1/events/", `{"id": "e2", "time": "2026-03-15T09:00:00Z", "costs": 1}`)
	}},
	{"recorded, duplicate, conflict, invalid", func(_ *testing.T, w *world) {
		w.want(200, `{"results": [
			{"id": "a", "status": "recorded", "errors": []},
			{"id": "a", "status": "duplicate", "errors": []},
			{"id": "a", "status": "conflict", "errors": [{"field": "id", "message": "*"}]},
			{"id": "b", "status": "invalid", "errors": [
				{"field": "cost", "message": "must be a number such as 12.5"}, {"field": "input_tokens", "message": "must be a whole number"}]},
			{"id": null, "status": "invalid", "errors": [{"field": "event", "message": "must be a JSON object"}]},
			{"id": "c", "status": "recorded", "errors": []}]}`,
			"recorder", "POST", "/api/v1/events", `{"events": [
				{"id": "a", "time": "2026-03-15T09:00:00Z", "cost": 1},
				{"id": "a", "time": "2026-03-15T10:00:00+01:00", "cost": "1.0"},
				{"id": "a", "time": "2026-03-15T09:00:00Z", "cost": 2},
				{"id": "b", "time": "2026-03-15T09:00:00Z", "cost": "NaN", "input_tokens": 0.5},
				7,
				{"id": "c", "time": "2026-03-15T09:00:00Z"}]}`)
	}},
	{"events need platform:usage:create", func(_ *testing.T, w *world) {
		w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "The permission platform:usage:create is missing."}`,
			"reader", "POST", "/api/v1/events", `{"events": []}`)
		w.want(200, `{"results": []}`, "recorder", "POST", "/api/v1/events", `{"events": []}`)
	}},
	{"with a frozen clock the 5 minutes follow it", func(_ *testing.T, w *world) {
		w.want(200, `{"results": [
			{"id": "a", "status": "recorded", "errors": []},
			{"id": "b", "status": "invalid", "errors": [{"field": "time", "message": "*"}]}]}`,
			"recorder", "POST", "/api/v1/events", `{"events": [
				{"id": "a", "time": "2026-03-15T09:35:00Z"}, {"id": "b", "time": "2026-03-15T09:35:00.000001Z"}]}`)
	}},
	{"what a token with a tenant records is that tenant's", func(_ *testing.T, w *world) {
		w.want(200, `{"results": [
			{"id": "a", "status": "recorded", "errors": []},
			{"id": "b", "status": "recorded", "errors": []},
			{"id": "c", "status": "invalid", "errors": [{"field": "tenant", "message": "must be \"acme\" or left out"}]}]}`,
			"acme-recorder", "POST", "/api/v1/events", `{"events": [
				{"id": "a", "time": "2026-03-15T09:00:00Z", "user": "ada", "cost": 1},
				{"id": "b", "time": "2026-03-15T09:00:00Z", "user": "ada", "cost": 2, "tenant": "acme"},
				{"id": "c", "time": "2026-03-15T09:00:00Z", "user": "ada", "cost": 4, "tenant": "globex"}]}`)
		if got := w.used("acme", "ada").Nanodollars; got != 3e9 {
			w.t.Errorf("acme used %d", got)
		}
		if got := w.used("globex", "ada").Nanodollars; got != 0 {
			w.t.Errorf("globex used %d", got)
		}
	}},
}

func TestEventParity(t *testing.T) { testParity(t, eventParity) }

// used returns what a user of a tenant has used.
func (w *world) used(tenant, user string) usage.Totals {
	w.t.Helper()
	var used usage.Totals
	where := map[usage.Dimension]string{usage.Tenant: tenant, usage.User: user}
	for line, err := range w.ledger.Groups(w.t.Context(), budget.GroupQuery{Where: where}) {
		if err != nil {
			w.t.Fatal(err)
		}
		used = line.Totals
	}
	return used
}

func TestEventsOfOneIDInTwoTenantsAreTwo(t *testing.T) {
	onEveryStore(t, func(_ *testing.T, w *world) {
		for _, tenant := range []string{"acme", "globex"} {
			w.want(200, `{"results": [{"id": "e", "status": "recorded", "errors": []}]}`, tenant+"-admin", "POST", "/api/v1/events",
				`{"id": "e", "time": "2026-03-15T09:00:00Z", "user": "`+tenant+`"}`)
		}
	})
}

func TestWhatIsNoListOfEventsIsRefusedAsAWhole(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct{ body, field, message string }{
		"nothing":              {``, "body", "must be a JSON object"},
		"a half":               {`{"events": [`, "body", "must be a JSON object"},
		"a list":               {`[]`, "body", "must be a JSON object"},
		"null":                 {`null`, "body", "must be a JSON object"},
		"events of null":       {`{"events": null}`, "events", "must be a list of events"},
		"events of an object":  {`{"events": {}}`, "events", "must be a list of events"},
		"something beside":     {`{"events": [], "id": "a"}`, "id", "is not a known field"},
		"more than allowed":    {`{"events": [` + strings.Repeat("{},", 10_000) + `{}]}`, "events", "has 10001 events, at most 10000 are allowed"},
		"a depth bomb":         {`{"events": ` + strings.Repeat("[", 100_000), "body", "must be a JSON object"},
		"a depth bomb, closed": {`{"events": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "body", "must be a JSON object"},
	} {
		t.Run(name, func(*testing.T) {
			w.want(422, fmt.Sprintf(`{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": %q,
				"errors": [{"field": %q, "message": %q}]}`, test.field+": "+test.message, test.field, test.message),
				"recorder", "POST", "/api/v1/events", test.body)
		})
	}
	w.want(413, "", "recorder", "POST", "/api/v1/events", strings.Repeat(" ", 16<<20+1))
}

func TestManyEventsAreRecordedAtOnce(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		events := make([]string, 10_000)
		for i := range events {
			events[i] = fmt.Sprintf(`{"id": "e%d", "time": "2026-03-15T09:00:00Z", "user": "ada", "cost": 0.000000001}`, i)
		}
		events[5000] = `{"id": "bad", "cost": -1, "time": "2026-03-15T09:00:00Z"}`
		a := w.want(200, "", "acme-recorder", "POST", "/api/v1/events", `{"events": [`+strings.Join(events, ",")+`]}`)
		if got := strings.Count(a.body, `"recorded"`); got != 9_999 {
			t.Errorf("%d are recorded", got)
		}
		if got := w.used("acme", "ada"); got.Requests != 9_999 || got.Nanodollars != 9_999 {
			t.Errorf("used: %+v", got)
		}
	})
}

func TestTheAnswerToABatchOfNothingButErrorsIsNoLongerThanTheBatch(t *testing.T) {
	w := newWorld(t)
	event := `{"id": "e"` + strings.Repeat(`, "x": 0, "y": 1, "z": 2`, 20)
	for i := range 100 {
		event += fmt.Sprintf(`, "x%d": 0`, i)
	}
	body := `{"events": [` + strings.Repeat(event+"},", 999) + event + `}]}`
	a := w.want(200, "", "recorder", "POST", "/api/v1/events", body)
	if n := strings.Count(a.body, "is not a known field"); n != 10_000 || len(a.body) > len(body) {
		t.Errorf("%d findings in %d bytes, the body has %d", n, len(a.body), len(body))
	}
}

const cloudEventBody = `{"specversion": "1.0", "id": "1", "source": "/gateway", "type": "completion", "time": "2026-03-15T09:00:00Z",
	"subject": "ada", "datacontenttype": "application/json; charset=utf-8", "dataschema": "https://schemas.example/use", "traceparent": "00-ab",
	"data": {"cost": 0.25, "input_tokens": 7, "labels": {"team": "red"}}}`

func TestCloudEvents(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		first := w.want(200, `{"results": [{"id": "*", "status": "recorded", "errors": []}]}`,
			"acme-recorder", "POST", "/api/v1/events", cloudEventBody, "Content-Type: application/cloudevents+json; charset=UTF-8")
		w.want(200, strings.Replace(first.body, "recorded", "duplicate", 1),
			"acme-recorder", "POST", "/api/v1/events", `{"cost": 0.25, "input_tokens": 7, "labels": {"team": "red"}}`,
			"Content-Type: application/json", "Ce-Specversion: 1.0", "Ce-Id: %31", "Ce-Source: /gateway", "Ce-Type: completion",
			"Ce-Time: 2026-03-15T09:00:00Z", "Ce-Subject: ad%61")
		w.want(200, `{"results": [
			{"id": "*", "status": "duplicate", "errors": []}, {"id": "*", "status": "recorded", "errors": []},
			{"id": "*", "status": "recorded", "errors": []}]}`,
			"acme-recorder", "POST", "/api/v1/events", `[`+cloudEventBody+`,`+
				strings.Replace(cloudEventBody, `"id": "1"`, `"id": "2"`, 1)+`,`+
				strings.Replace(cloudEventBody, "/gateway", "/other", 1)+`]`, "Content-Type: application/cloudevents-batch+json")
		if got := w.used("acme", "ada"); got.Nanodollars != 750_000_000 || got.InputTokens != 21 {
			t.Errorf("used: %+v", got)
		}
	})
}

func TestCloudEventsThatAreNone(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct{ old, replacement, errors string }{
		"another version":      {`"1.0"`, `"0.3"`, `[{"field": "specversion", "message": "must be \"1.0\""}]`},
		"no id":                {`"id": "1",`, ``, `[{"field": "id", "message": "must not be empty"}]`},
		"no source":            {`"source": "/gateway",`, ``, `[{"field": "source", "message": "must not be empty"}]`},
		"no type":              {`"type": "completion",`, ``, `[{"field": "type", "message": "must not be empty"}]`},
		"no time":              {`"time": "2026-03-15T09:00:00Z",`, ``, `[{"field": "time", "message": "must be there"}]`},
		"no data":              {`"data":`, `"other":`, `[{"field": "data", "message": "must be a JSON object"}]`},
		"data of null":         {`"data": {"cost": 0.25, "input_tokens": 7, "labels": {"team": "red"}}`, `"data": null`, `[{"field": "data", "message": "must be a JSON object"}]`},
		"data in base 64":      {`"data":`, `"data_base64": "e30=", "data":`, `[{"field": "data_base64", "message": "is not a known field"}]`},
		"data of another kind": {`application/json; charset=utf-8`, `application/xml`, `[{"field": "datacontenttype", "message": "must be application/json"}]`},
		"an unknown member":    {`"cost"`, `"costs"`, `[{"field": "data.costs", "message": "is not a known field"}]`},
		"an id inside":         {`"cost"`, `"id": "x", "cost"`, `[{"field": "data.id", "message": "is not a known field"}]`},
		"a time inside":        {`"cost"`, `"time": "2026-03-15T09:00:00Z", "cost"`, `[{"field": "data.time", "message": "is not a known field"}]`},
		"another's tenant":     {`"cost"`, `"tenant": "globex", "cost"`, `[{"field": "tenant", "message": "must be \"acme\" or left out"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(cloudEventBody, test.old, test.replacement, 1)
			if body == cloudEventBody {
				t.Fatal("nothing is replaced")
			}
			a := w.want(200, "", "acme-recorder", "POST", "/api/v1/events", body, "Content-Type: application/cloudevents+json")
			if diff := diffJSON(`{"results": [{"id": null, "status": "invalid", "errors": `+test.errors+`}]}`,
				withoutID(a.body)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	w.want(415, "", "recorder", "POST", "/api/v1/events", `{}`, "Content-Type: application/cloudevents+avro")
	w.want(422, "", "recorder", "POST", "/api/v1/events", `{}`, "Content-Type: application/cloudevents-batch+json")
	w.want(422, "", "recorder", "POST", "/api/v1/events", `[]`, "Content-Type: application/cloudevents+json")
	w.want(200, `{"results": [{"id": null, "status": "invalid", "errors": [{"field": "id", "message": "is not well percent-encoded"},
		{"field": "time", "message": "must be an RFC 3339 time such as 2026-03-01T09:30:00Z"}]}]}`,
		"recorder", "POST", "/api/v1/events", `{}`, "Ce-Specversion: 1.0", "Ce-Id: %zz", "Ce-Source: s", "Ce-Type: t", "Ce-Time: now")
}

// withoutID returns an answer with one result as if that had no id.
func withoutID(body string) string {
	before, rest, _ := strings.Cut(body, `"id":`)
	_, after, _ := strings.Cut(rest, `,"status"`)
	return before + `"id":null,"status"` + after
}

func TestCorrections(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.want(200, "", "acme-recorder", "POST", "/api/v1/events",
			`{"id": "e", "time": "2026-03-15T09:00:00Z", "user": "ada", "cost": 3, "input_tokens": 10}`)
		const body = `{"id": "c", "event": "e", "cost": "1.25", "input_tokens": 4, "reason": "counted twice"}`
		w.want(200, `{"id": "c", "status": "recorded", "errors": []}`, "acme-recorder", "POST", "/api/v1/corrections", body)
		w.want(200, `{"id": "c", "status": "duplicate", "errors": []}`, "acme-recorder", "POST", "/api/v1/corrections", body)
		if got := w.used("acme", "ada"); got.Nanodollars != 1_750_000_000 || got.InputTokens != 6 {
			t.Errorf("used: %+v", got)
		}
		w.want(409, "", "acme-recorder", "POST", "/api/v1/corrections", `{"id": "c", "event": "e", "cost": 1}`)
		w.want(422, `{"type": "/docs#invalid", "title": "Invalid input", "status": 422, "detail": "*", "errors": [
			{"field": "cost", "message": "is more than what is left of the event"}]}`,
			"acme-recorder", "POST", "/api/v1/corrections", `{"id": "d", "event": "e", "cost": 1.750000001}`)
		w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Event not found"}`,
			"acme-recorder", "POST", "/api/v1/corrections", `{"id": "d", "event": "f", "cost": 1}`)
		w.want(404, "", "globex-admin", "POST", "/api/v1/corrections", `{"id": "d", "event": "e", "cost": 1}`)
		w.want(422, "", "globex-admin", "POST", "/api/v1/corrections", `{"id": "d", "tenant": "acme", "event": "e", "cost": 1}`)
		w.want(404, "", "recorder", "POST", "/api/v1/corrections", `{"id": "d", "event": "e", "cost": 1}`)
		w.want(200, "", "recorder", "POST", "/api/v1/corrections", `{"id": "d", "tenant": "acme", "event": "e", "cost": 1}`)
		w.want(403, "", "reader", "POST", "/api/v1/corrections", body)
		w.want(422, "", "reader", "POST", "/api/v1/corrections", `{"id": "x", "evnt": "e"}`)
	})
}
