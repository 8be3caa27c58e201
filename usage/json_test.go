package usage_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/usage"
)

func TestEventJSON(t *testing.T) {
	const full = `{"id":"a","time":"2026-03-01T09:30:00.123456Z","tenant":"acme","user":"u","api_key":"k","resource":"m",` +
		`"input_tokens":1,"output_tokens":2,"cache_creation_tokens":3,"cache_read_tokens":4,"total_tokens":5,"requests":0,` +
		`"runs":7,"cost":0.000000001,"labels":{"project":"search","team":"blue"}}`
	const least = `{"id":"a","input_tokens":0,"output_tokens":0,"cache_creation_tokens":0,"cache_read_tokens":0,"runs":0}`
	with := func(member string) string { return strings.TrimSuffix(least, "}") + "," + member + "}" }
	tests := map[string]struct {
		read    string
		written string
	}{
		"all members":                           {full, full},
		"all but the id is optional":            {`{"id":"a"}`, least},
		"null is as if absent":                  {`{"id":"a","time":null,"tenant":null,"runs":null,"total_tokens":null,"requests":null,"cost":null,"labels":null}`, least},
		"a label of null is as if absent":       {`{"id":"a","labels":{"team":null}}`, least},
		"an empty text is as if absent":         {`{"id":"a","tenant":"","labels":{"team":""}}`, least},
		"0 dollars are not none":                {`{"id":"a","cost":0}`, with(`"cost":0`)},
		"no trailing zeros":                     {`{"id":"a","cost":12.50}`, with(`"cost":12.5`)},
		"no exponent":                           {`{"id":"a","cost":1e3}`, with(`"cost":1000`)},
		"a number in a string":                  {`{"id":"a","cost":"12.5"}`, with(`"cost":12.5`)},
		"no float comes between":                {`{"id":"a","cost":999999.999999999}`, with(`"cost":999999.999999999`)},
		"a cost is rounded":                     {`{"id":"a","cost":0.00000000050}`, with(`"cost":0.000000001`)},
		"of a repeated member the last counts":  {`{"id":"b","cost":1,"id":"a","cost":2}`, with(`"cost":2`)},
		"also when it is null":                  {`{"id":"a","cost":1,"cost":null}`, least},
		"a token count may have an exponent":    {`{"id":"a","runs":"1e3"}`, strings.Replace(least, `"runs":0`, `"runs":1000`, 1)},
		"a time may have an offset":             {`{"id":"a","time":"2026-03-01T10:30:00+01:00"}`, strings.Replace(least, `"a",`, `"a","time":"2026-03-01T09:30:00Z",`, 1)},
		"a time is cut to the microsecond":      {`{"id":"a","time":"2026-03-01T09:30:00.1234569Z"}`, strings.Replace(least, `"a",`, `"a","time":"2026-03-01T09:30:00.123456Z",`, 1)},
		"characters beyond the basic plane":     {`{"id":"\ud83d\ude00"}`, strings.Replace(least, `"a"`, `"😀"`, 1)},
		"a backslash before what looks escaped": {`{"id":"\\ud83d"}`, strings.Replace(least, `"a"`, `"\\ud83d"`, 1)},
		"the replacement character itself":      {`{"id":"\ufffd�"}`, strings.Replace(least, `"a"`, `"��"`, 1)},
		"space between members":                 {" {\n\"id\" : \"a\" ,\t\"runs\" : 0 } ", least},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var event usage.Event
			if err := json.Unmarshal([]byte(test.read), &event); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.written, string(got)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventUnmarshalJSONRefuses(t *testing.T) {
	tests := map[string]struct {
		read string
		want []string
	}{
		"nothing in 64 KiB":           {`{}` + strings.Repeat(" ", 64<<10-2), nil},
		"an unknown member":           {`{"input_token":1}`, []string{"input_token: is not a known field"}},
		"another case":                {`{"ID":"a"}`, []string{"ID: is not a known field"}},
		"an unknown member of null":   {`{"x":null}`, []string{"x: is not a known field"}},
		"what is no object":           {`[]`, []string{"event: must be a JSON object"}},
		"null":                        {`null`, []string{"event: must be a JSON object"}},
		"what is no JSON":             {`{"id":"a"`, []string{"event: must be a JSON object"}},
		"two objects":                 {`{} {}`, []string{"event: must be a JSON object"}},
		"a depth bomb":                {`{"labels":` + strings.Repeat("[", 20_000), []string{"event: must be a JSON object"}},
		"a depth bomb that is closed": {`{"runs":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, []string{"runs: has 18000 characters, a number has at most 64"}},
		"100 MB":                      {`{"id":"` + strings.Repeat("x", 100<<20) + `"}`, []string{"event: has 104857609 bytes, at most 65536 are allowed"}},
		"a byte more than 64 KiB":     {`{}` + strings.Repeat(" ", 64<<10-1), []string{"event: has 65537 bytes, at most 65536 are allowed"}},
		"a number as text":            {`{"id":1,"tenant":true}`, []string{"id: must be a string", "tenant: must be a string"}},
		"labels that are no object":   {`{"labels":["a"]}`, []string{"labels: must be an object of strings"}},
		"labels that are no strings":  {`{"labels":{"a":1,"b":"x","c":{}}}`, []string{"labels.a: must be a string", "labels.c: must be a string"}},
		"a time of another form":      {`{"time":"2026-03-01"}`, []string{"time: must be an RFC 3339 time such as 2026-03-01T09:30:00Z"}},
		"a time without zone":         {`{"time":"2026-03-01T09:30:00"}`, []string{"time: must be an RFC 3339 time such as 2026-03-01T09:30:00Z"}},
		"a time in numbers":           {`{"time":1772357400}`, []string{"time: must be an RFC 3339 time such as 2026-03-01T09:30:00Z"}},
		"the zero time, as if none":   {`{"time":"0001-01-01T00:00:00Z"}`, []string{"time: must be from 1980 to 2199"}},
		"numbers that are none": {
			`{"input_tokens":true,"output_tokens":" 12","cost":"1_0","runs":"NaN","requests":[1],"total_tokens":"Infinity"}`,
			[]string{
				"cost: must be a number such as 12.5", "input_tokens: must be a number such as 12.5",
				"output_tokens: must be a number such as 12.5", "requests: must be a number such as 12.5",
				"runs: must be a number such as 12.5", "total_tokens: must be a number such as 12.5",
			},
		},
		"numbers that are too large": {
			`{"cost":1e999,"runs":1e999999999,"input_tokens":1e30}`,
			[]string{
				"cost: has an exponent beyond 64", "input_tokens: amount does not fit into an int64", "runs: has an exponent beyond 64",
			},
		},
		"numbers that are too fine": {
			`{"cost":1e-300,"runs":0.5,"requests":1e-1}`,
			[]string{"cost: has an exponent beyond 64", "requests: must be a whole number", "runs: must be a whole number"},
		},
		"a number of 60,000 digits": {
			`{"cost":` + strings.Repeat("9", 60_000) + `}`, []string{"cost: has 60000 characters, a number has at most 64"},
		},
		"invalid UTF-8":                    {"{\"id\":\"\xff\"}", []string{"id: is not valid Unicode"}},
		"invalid UTF-8 in a label's name":  {"{\"labels\":{\"\xff\":\"\"}}", []string{"labels: is not valid Unicode"}},
		"half a surrogate pair":            {`{"id":"\ud83d"}`, []string{"id: is not valid Unicode"}},
		"half a surrogate pair, then text": {`{"id":"\ud83dx\ude00"}`, []string{"id: is not valid Unicode"}},
		"the other half":                   {`{"id":"\\\ude00"}`, []string{"id: is not valid Unicode"}},
		"two first halves":                 {`{"id":"\ud83d\ud83d\ude00"}`, []string{"id: is not valid Unicode"}},
		"half a pair in a label":           {`{"labels":{"a":"\uDE00"}}`, []string{"labels: is not valid Unicode"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, findings(t, new(usage.Event).UnmarshalJSON([]byte(test.read)))); diff != "" {
				t.Errorf("findings (-want +got):\n%.2000s", diff)
			}
		})
	}
}

func TestEventUnmarshalJSONReadsWhatItCan(t *testing.T) {
	event := usage.Event{Subject: usage.Subject{Tenant: "left over"}}
	if err := event.UnmarshalJSON([]byte(`{"id":"a","runs":1,"cost":"x","total_tokens":-0.5,"what":1}`)); err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(usage.Event{ID: "a", Amounts: usage.Amounts{Runs: 1}}, event); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestMarshalJSONRefusesWhatIsNotValid(t *testing.T) {
	for name, value := range map[string]any{
		"event":      usage.Event{ID: "\xff"},
		"correction": usage.Correction{ID: "c"},
		"amounts":    usage.Amounts{Runs: -1},
	} {
		if text, err := json.Marshal(value); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestCorrectionJSON(t *testing.T) {
	const text = `{"id":"c","tenant":"acme","event":"a","input_tokens":1,"output_tokens":0,"cache_creation_tokens":0,` +
		`"cache_read_tokens":0,"requests":1,"runs":0,"cost":0.25,"reason":"refund"}`
	var got usage.Correction
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := usage.Correction{
		ID: "c", Tenant: "acme", Event: "a", Reason: "refund",
		Amounts: usage.Amounts{InputTokens: 1, Requests: new(int64(1)), Cost: ptr("0.25")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if written, err := json.Marshal(got); err != nil || string(written) != text {
		t.Errorf("written: %s, %v\nwant:    %s", written, err, text)
	}
	err := got.UnmarshalJSON([]byte(`{"event":1,"user":"u"}`))
	if diff := cmp.Diff([]string{"event: must be a string", "user: is not a known field"}, findings(t, err)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestAmountsJSON(t *testing.T) {
	check(t, func(t *rapid.T) {
		want := amounts().Draw(t, "amounts")
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got usage.Amounts
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		wantTotals, _ := want.Totals()
		gotTotals, err := got.Totals()
		if err != nil || gotTotals != wantTotals || (got.Cost == nil) != (want.Cost == nil) {
			t.Errorf("%s counts %+v, %v, want %+v", text, gotTotals, err, wantTotals)
		}
	})
}

func TestAmountsAreWrittenExactly(t *testing.T) {
	totals := usage.Totals{
		InputTokens: math.MaxInt64, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: math.MinInt64,
		Requests: 6, Runs: 7, Nanodollars: math.MaxInt64,
	}
	const tokens = `"input_tokens":9223372036854775807,"output_tokens":2,"cache_read_tokens":4,"cache_creation_tokens":3,` +
		`"total_tokens":-9223372036854775808`
	tests := map[string]struct {
		value any
		want  string
	}{
		"totals":         {totals, `{` + tokens + `,"requests":6,"runs":7,"cost":9223372036.854775807}`},
		"negative costs": {usage.Totals{Nanodollars: -500}, `{"input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":0,"requests":0,"runs":0,"cost":-0.0000005}`},
		"a point": {
			usage.Point{Bounds: between(t, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"), Totals: totals},
			`{"start":"2026-03-01T00:00:00Z","end":"2026-03-02T00:00:00Z",` + tokens + `,"requests":6,"runs":7,"cost":9223372036.854775807}`,
		},
		"a group": {usage.Group{Key: `<"é`, Totals: totals}, `{"key":"\u003c\"é","requests":6,` + tokens + `,"cost":9223372036.854775807,"runs":7}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(test.value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventJSONRoundTrips(t *testing.T) {
	check(t, func(t *rapid.T) { roundTrip(t, events().Draw(t, "event")) })
}

// roundTrip checks that a valid event is the same after being written and read.
func roundTrip(t rapid.TB, event usage.Event) {
	text, err := event.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var again usage.Event
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(event.Canonical(), again.Canonical()); diff != "" {
		t.Errorf("%s is read as another event (-before +after):\n%s", text, diff)
	}
	if event.Hash() != again.Hash() {
		t.Errorf("%s is read as an event of another hash", text)
	}
	if twice, err := again.MarshalJSON(); err != nil || !bytes.Equal(text, twice) {
		t.Errorf("written first %s\nand then      %s, %v", text, twice, err)
	}
}

func FuzzEventJSON(f *testing.F) {
	for _, text := range []string{
		`{"id":"a","time":"2026-03-01T09:30:00.123456Z","tenant":"acme","labels":{"team":"blue"},"cost":12.50}`,
		`{"id":"\ud83d\ude00","input_tokens":1e3,"requests":"0","total_tokens":null}`,
		`{"id":"\ud83d","cost":1e999999999,"runs":-1,"what":{}}`,
		`{"id":"a\u0000","time":"2200-01-01T00:00:00+23:59","labels":{"tenant":"x"}}`,
		`[`, `null`, `"`, "{\"id\":\"\xff\"}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var event usage.Event
		if err := event.UnmarshalJSON(text); err != nil {
			findings(t, err)
			return
		}
		if err := event.Validate(); err != nil {
			findings(t, err)
			if text, err := event.MarshalJSON(); err == nil {
				t.Errorf("an event that is not valid is written: %s", text)
			}
			return
		}
		roundTrip(t, event)
	})
}
