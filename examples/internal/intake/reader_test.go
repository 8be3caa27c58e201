package intake_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/usage"
)

func TestRowsBecomeEvents(t *testing.T) {
	at := instant(t, "2026-03-01T09:30:00Z")
	service := &intake.Options{Columns: map[string]string{"resource": "service"}}
	tests := map[string]struct {
		text    string
		options *intake.Options
		want    usage.Event
	}{
		"every column is read": {
			text: "id,timestamp,tenant,user,api_key,resource,input_tokens,output_tokens,cache_creation_tokens," +
				"cache_read_tokens,total_tokens,requests,runs,cost\n" +
				"e1,2026-03-01T09:30:00Z,acme,ada,k1,gpt,1,2,3,4,11,0,5,0.125\n",
			want: usage.Event{
				ID: "e1", Time: at, Subject: usage.Subject{Tenant: "acme", User: "ada", APIKey: "k1", Resource: "gpt"},
				Amounts: usage.Amounts{
					InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: new(int64(11)),
					Requests: new(int64(0)), Runs: 5, Cost: dollars("0.125"),
				},
			},
		},
		"every member is read": {
			text: `{"id":"e1","timestamp":"2026-03-01T09:30:00Z","tenant":"acme","user":"ada","api_key":"k1","resource":"gpt",` +
				`"input_tokens":1,"output_tokens":"2","cache_creation_tokens":3,"cache_read_tokens":4,"total_tokens":11,` +
				`"requests":0,"runs":5,"cost":0.125}`,
			want: usage.Event{
				ID: "e1", Time: at, Subject: usage.Subject{Tenant: "acme", User: "ada", APIKey: "k1", Resource: "gpt"},
				Amounts: usage.Amounts{
					InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: new(int64(11)),
					Requests: new(int64(0)), Runs: 5, Cost: dollars("0.125"),
				},
			},
		},
		"columns come in any order": {
			text: "output_tokens,id,input_tokens\n2,e1,1\n",
			want: usage.Event{ID: "e1", Amounts: usage.Amounts{InputTokens: 1, OutputTokens: 2}},
		},
		"an empty value is as if it were absent": {
			text: "id,timestamp,total_tokens,requests,cost,team\ne1,,,,,\n",
			want: usage.Event{ID: "e1"},
		},
		"null is as if it were absent": {
			text: `{"id":"e1","timestamp":null,"total_tokens":null,"requests":null,"cost":null,"team":null,"labels":null}`,
			want: usage.Event{ID: "e1"},
		},
		"other columns are labels": {
			text: "id,team,project name\ne1,blue,p 7\n",
			want: usage.Event{ID: "e1", Subject: usage.Subject{Labels: map[string]string{"team": "blue", "project name": "p 7"}}},
		},
		"other members are labels, beside those in labels": {
			text: `{"id":"e1","team":"blue","shard":7,"beta":true,"labels":{"zone":"eu"}}`,
			want: usage.Event{ID: "e1", Subject: usage.Subject{
				Labels: map[string]string{"team": "blue", "shard": "7", "beta": "true", "zone": "eu"},
			}},
		},
		"ignored columns are no labels": {
			text:    "id,prompt,team\ne1,\"long\ntext, \"\"quoted\"\"\",blue\n",
			options: &intake.Options{Ignore: []string{"prompt"}},
			want:    usage.Event{ID: "e1", Subject: usage.Subject{Labels: map[string]string{"team": "blue"}}},
		},
		"ignored members are no labels": {
			text:    `{"id":"e1","messages":[{"role":"user"}],"team":"blue","labels":{"zone":"eu"}}`,
			options: &intake.Options{Ignore: []string{"messages", "labels"}},
			want:    usage.Event{ID: "e1", Subject: usage.Subject{Labels: map[string]string{"team": "blue"}}},
		},
		"a field is read from a column of another name": {
			text:    "id,service\ne1,conv\n",
			options: service,
			want:    usage.Event{ID: "e1", Subject: usage.Subject{Resource: "conv"}},
		},
		"a field is read from a member of another name": {
			text:    `{"id":"e1","service":"conv"}`,
			options: service,
			want:    usage.Event{ID: "e1", Subject: usage.Subject{Resource: "conv"}},
		},
		"two fields are read from one column": {
			text:    "id,customer\ne1,c7\n",
			options: &intake.Options{Columns: map[string]string{"tenant": "customer", "user": "customer"}},
			want:    usage.Event{ID: "e1", Subject: usage.Subject{Tenant: "c7", User: "c7"}},
		},
		"a column whose field is read from another one can be ignored": {
			text:    "id,resource,service\ne1,r,conv\n",
			options: &intake.Options{Columns: map[string]string{"resource": "service"}, Ignore: []string{"resource"}},
			want:    usage.Event{ID: "e1", Subject: usage.Subject{Resource: "conv"}},
		},
		"defaults fill in what a row does not say": {
			text: "id,tenant,user\ne1,acme,\n",
			options: &intake.Options{
				Defaults: usage.Subject{Tenant: "other", User: "ada", APIKey: "k1", Resource: "gpt"},
			},
			want: usage.Event{ID: "e1", Subject: usage.Subject{Tenant: "acme", User: "ada", APIKey: "k1", Resource: "gpt"}},
		},
		"time is another word for timestamp": {
			text: "id,time\ne1,2026-03-01T09:30:00Z\n",
			want: usage.Event{ID: "e1", Time: at},
		},
		"an event is read as it writes itself": {
			text: `{"id":"e1","time":"2026-03-01T09:30:00Z","input_tokens":1,"output_tokens":0,` +
				`"cache_creation_tokens":0,"cache_read_tokens":0,"runs":0}`,
			want: usage.Event{ID: "e1", Time: at, Amounts: usage.Amounts{InputTokens: 1}},
		},
		"a byte order mark is no part of the first column": {
			text: "\ufeffid,input_tokens\ne1,1\n",
			want: usage.Event{ID: "e1", Amounts: usage.Amounts{InputTokens: 1}},
		},
		"a byte order mark is no part of the first object": {
			text: "\ufeff{\"id\":\"e1\"}\n",
			want: usage.Event{ID: "e1"},
		},
		"blank lines are no rows": {
			text: "\n\r\nid\n\n  \ne1\n\n",
			want: usage.Event{ID: "e1"},
		},
		"lines may end in CRLF": {
			text: "id,team\r\ne1,blue\r\n",
			want: usage.Event{ID: "e1", Subject: usage.Subject{Labels: map[string]string{"team": "blue"}}},
		},
		"a column without name is not read": {
			text: "id,,\ne1,x,y\n",
			want: usage.Event{ID: "e1"},
		},
		"blanks around a column's name are no part of it": {
			text: "id, input_tokens\ne1,1\n",
			want: usage.Event{ID: "e1", Amounts: usage.Amounts{InputTokens: 1}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := events(mustRead(t, test.text, test.options))
			if diff := cmp.Diff([]usage.Event{test.want}, got); diff != "" {
				t.Errorf("events (-want +got)\n%s", diff)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	tests := map[string]string{ // by text, "" where it is refused
		"2023-11-16T18:15:46Z":                             "2023-11-16T18:15:46Z",
		"2023-11-16T18:15:46.6805900Z":                     "2023-11-16T18:15:46.68059Z",
		"2023-11-16T18:15:46.123456789012345Z":             "2023-11-16T18:15:46.123456789Z",
		"2023-11-16T19:15:46+01:00":                        "2023-11-16T18:15:46Z",
		"2023-11-16 18:15:46.6805900":                      "2023-11-16T18:15:46.68059Z",
		"2023-11-16 18:15:46":                              "2023-11-16T18:15:46Z",
		"2023-11-16T18:15:46":                              "2023-11-16T18:15:46Z",
		"2023-11-16 19:15:46.5+01:00":                      "2023-11-16T18:15:46.5Z",
		"2023-11-16":                                       "",
		"18:15:46":                                         "",
		"1700158546":                                       "",
		"2023-02-30T00:00:00Z":                             "",
		"2023-11-16T24:00:00Z":                             "",
		"2023-11-16T18:15:46.":                             "",
		"0001-01-01T00:00:00Z":                             "",
		"16/11/2023 18:15:46":                              "",
		"2023-11-16T18:15:46 UTC":                          "",
		" 2023-11-16T18:15:46Z":                            "",
		"2023-11-16T18:15:46Z" + strings.Repeat(" ", 1000): "",
	}
	for text, want := range tests {
		t.Run(shortened(text), func(t *testing.T) {
			for format, input := range map[string]string{
				"CSV":  "id,timestamp\ne1," + text + "\n",
				"JSON": `{"id":"e1","timestamp":"` + text + `"}`,
			} {
				got := mustRead(t, input, nil)[0]
				if want == "" {
					if want := "timestamp: must be a time such as 2026-03-01T09:30:00Z"; got.err != want {
						t.Errorf("as %s: event %v, error %q, want the error %q", format, got.event, got.err, want)
					}
				} else if got.err != "" || !got.event.Time.Equal(instant(t, want)) {
					t.Errorf("as %s: %v, error %q, want %s", format, got.event.Time, got.err, want)
				}
			}
		})
	}
}

func TestBadRowsCostNoOthers(t *testing.T) {
	const long = 1<<20 + 1
	tests := map[string]struct {
		text string
		line int
		err  string
	}{
		"a row with a column too few": {
			"id,input_tokens\ne1,1\ne2\ne3,3\n", 3, "has 1 columns, the header has 2",
		},
		"a row with a column too many": {
			"id,input_tokens\ne1,1\ne2,2,2\ne3,3\n", 3, "has 3 columns, the header has 2",
		},
		"a fraction of a token": {
			"id,input_tokens\ne1,1\ne2,1.5\ne3,3\n", 3, "input_tokens: must be a whole number",
		},
		"what is no number": {
			"id,input_tokens\ne1,1\ne2,NaN\ne3,3\n", 3, "input_tokens: must be a number such as 12.5",
		},
		"a number that is too large to be worked with": {
			"id,cost\ne1,1\ne2,1e999\ne3,3\n", 3, "cost: has an exponent beyond 64",
		},
		"several findings": {
			"id,input_tokens,cost\ne1,1,1\ne2,x,$3\ne3,3,3\n", 3,
			"input_tokens: must be a number such as 12.5\ncost: must be a number such as 12.5",
		},
		"a quote inside a field": {
			"id,team\ne1,blue\ne2,5\" disk\ne3,red\n", 3, "has a quote",
		},
		"a quote that is never closed": {
			"id,team\ne1,blue\ne2,\"red\ne3,red\n", 3, "has a quote",
		},
		"a quote that is closed by one of a later row": {
			"id,team\ne1,blue\ne2,\"red\ne3,\"red\"\n", 3, "has a quote",
		},
		"a quote that is not closed within a megabyte": {
			"id,team\ne1,blue\ne2,\"red\n" + strings.Repeat("\n", long) + "e3,red\n", 3, "has a quote",
		},
		"a line of more than a megabyte": {
			"id,team\ne1,blue\ne2," + strings.Repeat("x", long) + "\ne3,red\n", 3, "is longer than 1 MiB",
		},
		"a line of more than a megabyte behind a quote that is not closed": {
			"id,team\ne1,blue\ne2,\"red\ne3," + strings.Repeat("x", long), 3, "has a quote",
		},
		"what is no object": {
			`{"id":"e1"}` + "\n" + `["e2"]` + "\n" + `{"id":"e3"}`, 2, "is not a JSON object",
		},
		"an object that is cut off": {
			`{"id":"e1"}` + "\n" + `{"id":"e2` + "\n" + `{"id":"e3"}`, 2, "is not a JSON object",
		},
		"a member of the wrong kind": {
			`{"id":"e1"}` + "\n" + `{"id":2}` + "\n" + `{"id":"e3"}`, 2, "id: must be a string",
		},
		"a label that is a list": {
			`{"id":"e1"}` + "\n" + `{"id":"e2","tags":["a"]}` + "\n" + `{"id":"e3"}`, 2,
			"tags: must be a string or a number to be a label, or be ignored",
		},
		"labels that are no object": {
			`{"id":"e1"}` + "\n" + `{"id":"e2","labels":"a"}` + "\n" + `{"id":"e3"}`, 2, "labels: must be an object of strings",
		},
		"a label that is there twice": {
			`{"id":"e1"}` + "\n" + `{"id":"e2","team":"a","labels":{"team":"b"}}` + "\n" + `{"id":"e3"}`, 2,
			"labels.team: is there twice, also as team",
		},
		"two members for one field": {
			`{"id":"e1"}` + "\n" + `{"id":"e2","time":"2026-03-01T09:30:00Z","timestamp":"2026-03-01T09:30:00Z"}` + "\n" + `{"id":"e3"}`, 2,
			"timestamp: is there twice, as time and as timestamp",
		},
		"a time that is a number": {
			`{"id":"e1"}` + "\n" + `{"id":"e2","timestamp":1700158546}` + "\n" + `{"id":"e3"}`, 2,
			"timestamp: must be a string with a time",
		},
		"an id that is not valid Unicode": {
			`{"id":"e1"}` + "\n" + `{"id":"\ud800"}` + "\n" + `{"id":"e3"}`, 2, "id: is not valid Unicode",
		},
		"an object of more than a megabyte": {
			`{"id":"e1"}` + "\n" + `{"id":"e2","team":"` + strings.Repeat("x", long) + `"}` + "\n" + `{"id":"e3"}`, 2,
			"is longer than 1 MiB",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			results := mustRead(t, test.text, nil)
			if len(results) < 2 || results[0].event.ID != "e1" || !strings.HasPrefix(results[1].err, test.err) || results[1].line != test.line {
				t.Fatalf("results %.300v, want e1 and then in line %d the error %q", results, test.line, test.err)
			}
			last := results[len(results)-1]
			if last.event.ID != "e3" && !strings.HasPrefix(last.err, "is longer than 1 MiB") {
				t.Errorf("the last result is %.300v, want e3", last)
			}
		})
	}
}

func TestFilesThatAreNoUsageAreRefused(t *testing.T) {
	service := &intake.Options{Columns: map[string]string{"resource": "service"}}
	tests := map[string]struct {
		text    string
		options *intake.Options
		want    string
	}{
		"without header": {
			"2023-11-16T18:15:46Z,conv,374,44\n", nil, "the first line is no header: none of its columns",
		},
		"with columns separated by semicolons": {
			"id;input_tokens\ne1;1\n", nil, "the first line is no header: none of its columns, separated by commas",
		},
		"with a header of more than a megabyte": {
			"id," + strings.Repeat("x", 1<<20), nil, "the first line is longer than 1 MiB",
		},
		"with lines that end in CR alone": {
			"id,input_tokens\re1,1\r", nil, "the first line is no header: contains the control character U+000D",
		},
		"with a header that is not UTF-8": {
			"id,gr\xf6\xdfe\n", nil, "the first line is no header: is not valid UTF-8",
		},
		"with a list of objects": {
			"\ufeff [{\"id\":\"e1\"}]", nil, "begins like a JSON list, must have one object per line",
		},
		"with a header that is cut off": {
			"id,\"team\n", nil, "the first line has a quote that is not closed",
		},
		"with two columns of one name": {
			"id,team,team\n", nil, "team: has two columns, team and team",
		},
		"with two columns for one field": {
			"id,time,timestamp\n", nil, "timestamp: has two columns, time and timestamp",
		},
		"without the column that a field is to be read from": {
			"id,model\n", service, "resource: there is no column service to read it from",
		},
		"with a column for a field that is to be read from another": {
			"id,resource,service\n", service, "resource: is read from the column service, so a column of that name must be ignored",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := read(strings.NewReader(test.text), test.options)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want one that begins with %q", err, test.want)
			}
		})
	}
}

func TestOptionsNameOnlyFields(t *testing.T) {
	o := &intake.Options{Columns: map[string]string{"resorce": "service", "user": ""}}
	err := o.Validate()
	want := `columns: "resorce" is no field, those are id, timestamp, tenant, user, api_key, resource, input_tokens, ` +
		"output_tokens, cache_creation_tokens, cache_read_tokens, total_tokens, requests, runs, cost\n" +
		"columns: the column for user has no name"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := (*intake.Options)(nil).Validate(); err != nil {
		t.Errorf("no options: error %v, want none", err)
	}
}

func TestPackedFilesAreUnpacked(t *testing.T) {
	const text = "id,input_tokens\ne1,1\ne2,2\n"
	want := mustRead(t, text, nil)
	for name, packed := range map[string]string{"one member": text, "a file of several members": text[:20]} {
		got, err := read(gzipped(t, packed, text[len(packed):]), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestAPackedFileThatIsCutOffGivesWhatItHas(t *testing.T) {
	packed, err := io.ReadAll(gzipped(t, "id\ne1\ne2\n"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := read(bytes.NewReader(packed[:len(packed)-8]), nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got, want := ids(results), []string{"e1", "e2"}; !cmp.Equal(want, got) {
		t.Errorf("ids %v, want %v", got, want)
	}
}

func TestWhatHasNoLineHasNoRows(t *testing.T) {
	for _, text := range []string{"", "\n", "\r\n \n", "id,input_tokens\n", "id,input_tokens"} {
		if got := mustRead(t, text, nil); got != nil {
			t.Errorf("%q has the rows %v, want none", text, got)
		}
	}
}
