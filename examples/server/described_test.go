package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/purser-go/purser/examples/server/internal/api"
	"github.com/purser-go/purser/examples/server/internal/openapi"
)

// A description is the OpenAPI document, against which requests and answers are checked.
type description struct {
	document map[string]any
	mux      *http.ServeMux // knows the operation of a request, by the rules of the server's own

	mu       sync.Mutex // guards what follows
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by where they stand in the document
	given    map[string]bool               // the answers that a test was given, such as "GET /livez 200"
}

// An operation is one method on one path.
type operation struct {
	method, path string
	at           string // where it stands, as a JSON pointer
}

func (*operation) ServeHTTP(http.ResponseWriter, *http.Request) {}

const documentURL = "https://purser.example/openapi.json"

// described is read once for all tests.
var described = sync.OnceValue(func() *description {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi.JSON()))
	if err != nil {
		panic(err)
	}
	d := &description{
		document: parsed.(map[string]any), mux: http.NewServeMux(),
		compiler: jsonschema.NewCompiler(), schemas: make(map[string]*jsonschema.Schema),
		given: make(map[string]bool),
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(documentURL, parsed); err != nil {
		panic(err)
	}
	for _, o := range d.operations() {
		d.mux.Handle(o.method+" "+o.path, o)
		if strings.HasPrefix(o.path, "/api/") {
			d.mux.Handle(o.method+" "+o.path+"/{$}", o)
		}
	}
	return d
})

func (d *description) operations() []*operation {
	var all []*operation
	for path, methods := range d.document["paths"].(map[string]any) {
		for method := range methods.(map[string]any) {
			all = append(all, &operation{
				method: strings.ToUpper(method), path: path, at: pointer("", "paths", path, method),
			})
		}
	}
	slices.SortFunc(all, func(a, b *operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// pointer appends names to a JSON pointer.
func pointer(to string, names ...string) string {
	for _, name := range names {
		to += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return to
}

// at returns what stands there, following references, and where that is; nil if there is nothing.
func (d *description) at(place string, names ...string) (any, string) {
	place = pointer(place, names...)
	var value any = d.document
	for _, token := range strings.Split(place, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i >= len(v) {
				return nil, place
			}
			value = v[i]
		default:
			return nil, place
		}
	}
	if object, ok := value.(map[string]any); ok {
		if reference, ok := object["$ref"].(string); ok {
			return d.at(strings.TrimPrefix(reference, "#"))
		}
	}
	return value, place
}

// object is at for an object.
func (d *description) object(place string, names ...string) (map[string]any, string) {
	value, place := d.at(place, names...)
	object, _ := value.(map[string]any)
	return object, place
}

func (d *description) schema(place string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[place]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(documentURL + "#" + (&url.URL{Path: place}).EscapedPath())
	d.schemas[place] = s
	return s, err
}

// valid checks a value against the schema that stands there.
func (d *description) valid(place string, value any) error {
	s, err := d.schema(place)
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// find returns the operation of a request, nil if it is none of the API's.
func (d *description) find(r *http.Request) *operation {
	h, pattern := d.mux.Handler(r)
	if strings.HasSuffix(pattern, "/{$}") && !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return nil // a mux takes an id of %2F for a final slash
	}
	o, _ := h.(*operation)
	return o
}

// check reports what of a request and its answer the document does not say. A request need be described only if the server
// took it.
func (d *description) check(r *http.Request, body string, a answer) error {
	o := d.find(r)
	if o == nil {
		return d.checkStray(r, a)
	}
	if a.status/100 == 2 {
		if err := errors.Join(d.checkRequest(o, r, body), d.checkEvents(o, r, body, a)); err != nil {
			return fmt.Errorf("the request was answered %d: %w", a.status, err)
		}
	}
	return d.checkAnswer(o, r.Method, a)
}

// checkStray checks an answer for which there is no operation.
func (d *description) checkStray(r *http.Request, a answer) error {
	if !strings.HasPrefix(r.URL.Path, "/api/") || a.status/100 == 3 || r.Method == http.MethodHead ||
		r.Method == http.MethodOptions && a.status == http.StatusNoContent { // a browser asks before it sends
		return nil
	}
	if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
		return fmt.Errorf("there is no such operation, and yet the answer is %d", a.status)
	}
	return d.validText("/components/schemas/Problem", "application/problem+json", a.body)
}

func (d *description) checkAnswer(o *operation, method string, a answer) error {
	response, place := d.object(o.at, "responses", strconv.Itoa(a.status))
	if response == nil {
		return fmt.Errorf("an answer %d is not described", a.status)
	}
	d.mu.Lock()
	d.given[fmt.Sprint(o.method, " ", o.path, " ", a.status)] = true
	d.mu.Unlock()
	headers, _ := response["headers"].(map[string]any)
	for name := range headers {
		if err := d.checkHeader(place, name, a.header); err != nil {
			return fmt.Errorf("answer %d: %w", a.status, err)
		}
	}
	if method == http.MethodHead || response["content"] == nil && a.body == "" {
		return nil
	}
	if err := d.checkContent(place, a.header.Get("Content-Type"), a.body); err != nil {
		return fmt.Errorf("answer %d: %w", a.status, err)
	}
	return nil
}

func (d *description) checkHeader(place, name string, sent http.Header) error {
	header, place := d.object(place, "headers", name)
	if sent.Get(name) == "" {
		if header["required"] == true {
			return fmt.Errorf("the header %s is missing", name)
		}
		return nil
	}
	if err := d.validParameter(place+"/schema", sent.Get(name)); err != nil {
		return fmt.Errorf("the header %s: %w", name, err)
	}
	return nil
}

// checkContent checks a body against what stands there as content.
func (d *description) checkContent(place, contentType, body string) error {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	content, inside := d.object(place, "content", media)
	if content == nil {
		return fmt.Errorf("the content type %s is not described", media)
	}
	return d.validText(inside+"/schema", media, body)
}

func (d *description) validText(place, media, body string) error {
	if media != "application/json" && !strings.HasSuffix(media, "+json") {
		return d.valid(place, body)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		return err
	}
	return d.valid(place, value)
}

// validParameter checks what stands in a URL or header: a text, or the number that it is.
func (d *description) validParameter(place, text string) error {
	err := d.valid(place, text)
	if n, ok := new(big.Int).SetString(text, 10); err != nil && ok {
		return d.valid(place, json.Number(n.String()))
	}
	return err
}

func (d *description) checkRequest(o *operation, r *http.Request, body string) error {
	values := pathValues(o.path, r.URL.EscapedPath())
	for _, level := range []string{o.at, o.at[:strings.LastIndex(o.at, "/")]} {
		parameters, _ := d.at(level, "parameters")
		list, _ := parameters.([]any)
		for i := range list {
			if err := d.checkParameter(pointer(level, "parameters", strconv.Itoa(i)), r, values); err != nil {
				return err
			}
		}
	}
	described, place := d.object(o.at, "requestBody")
	if described == nil || body == "" && described["required"] != true {
		return nil // a body where none belongs is not looked at
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if content, _ := d.object(place, "content", media); content == nil {
		media = "application/json" // as which the server reads whatever it does not know
	}
	return d.checkContent(place, media, body)
}

// checkEvents checks those events of a request that the server took: for the others it has a result, not a problem.
func (d *description) checkEvents(o *operation, r *http.Request, body string, a answer) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if o.path != "/api/v1/events" || strings.HasPrefix(kind, "application/cloudevents") || r.Header.Get("Ce-Specversion") != "" {
		return nil
	}
	var request struct{ Events []json.RawMessage }
	var answered struct{ Results []struct{ Status string } }
	if err := errors.Join(json.Unmarshal([]byte(body), &request), json.Unmarshal([]byte(a.body), &answered)); err != nil {
		return err
	}
	if request.Events == nil {
		request.Events = []json.RawMessage{json.RawMessage(body)}
	}
	if len(request.Events) != len(answered.Results) {
		return fmt.Errorf("%d events have %d results", len(request.Events), len(answered.Results))
	}
	var errs []error
	for i, result := range answered.Results {
		if result.Status != "invalid" {
			errs = append(errs, d.validText("/components/schemas/Event", "application/json", string(request.Events[i])))
		}
	}
	return errors.Join(errs...)
}

func (d *description) checkParameter(place string, r *http.Request, path map[string]string) error {
	parameter, place := d.object(place)
	name := parameter["name"].(string)
	var text string
	switch parameter["in"] {
	case "path":
		text = path[name]
	case "query":
		if values := r.URL.Query()[name]; len(values) > 0 {
			text = values[len(values)-1]
		}
	case "header":
		text = r.Header.Get(name)
	}
	if text == "" {
		if parameter["required"] == true {
			return fmt.Errorf("the parameter %s is missing", name)
		}
		return nil // an empty one is as if it were absent
	}
	if err := d.validParameter(place+"/schema", text); err != nil {
		return fmt.Errorf("the parameter %s: %w", name, err)
	}
	return nil
}

func pathValues(template, escaped string) map[string]string {
	values := make(map[string]string)
	parts := strings.Split(escaped, "/")
	for i, part := range strings.Split(template, "/") {
		if strings.HasPrefix(part, "{") && i < len(parts) {
			value, err := url.PathUnescape(parts[i])
			if err == nil {
				values[strings.Trim(part, "{}")] = value
			}
		}
	}
	return values
}

// neverGiven returns the described answers that no test was given, but for those that depend on no operation: a body that
// breaks off, too many failed attempts, a database that is away.
func (d *description) neverGiven() []string {
	var never []string
	for _, o := range d.operations() {
		responses, _ := d.object(o.at, "responses")
		for status := range responses {
			name := o.method + " " + o.path + " " + status
			if !d.given[name] && !slices.Contains([]string{"400", "429", "503"}, status) {
				never = append(never, name)
			}
		}
	}
	slices.Sort(never)
	return never
}

// checkDescribed fails the test if the document does not say what was asked and answered.
func checkDescribed(t testing.TB, r *http.Request, body string, a answer) {
	t.Helper()
	if err := described().check(r, body, a); err != nil {
		t.Errorf("the OpenAPI document does not have it: %s %s with %.500s: %d %.500s: %v", r.Method, r.URL, body, a.status, a.body, err)
	}
}

// parameters returns the names of an operation's parameters that stand there.
func (d *description) parameters(o *operation, in string) []string {
	var names []string
	list, _ := d.at(o.at, "parameters")
	parameters, _ := list.([]any)
	for i := range parameters {
		if p, _ := d.object(o.at, "parameters", strconv.Itoa(i)); p["in"] == in {
			names = append(names, p["name"].(string))
		}
	}
	return names
}

// examples returns examples of an operation's body, in whatever form.
func (d *description) examples(o *operation) []any {
	content, place := d.object(o.at, "requestBody", "content")
	var found []any
	for _, media := range slices.Sorted(maps.Keys(content)) {
		if example, _ := d.at(place, media, "example"); example != nil {
			found = append(found, example)
		}
		named, at := d.object(place, media, "examples")
		for _, name := range slices.Sorted(maps.Keys(named)) {
			example, _ := d.at(at, name, "value")
			found = append(found, example)
		}
	}
	return found
}

// written writes a value that was read from JSON.
func written(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return string(text)
}

func TestRoutesAndDescribedOperationsAreTheSame(t *testing.T) {
	var routes, operations []string
	for _, r := range api.New(api.Config{}).Routes() {
		routes = append(routes, r.Method+" "+r.Path)
	}
	routes = append(routes, "GET /livez", "GET /readyz", "GET /metrics", "GET /openapi.json", "GET /docs")
	for _, o := range described().operations() {
		operations = append(operations, o.method+" "+o.path)
	}
	slices.Sort(routes)
	slices.Sort(operations)
	if diff := cmp.Diff(routes, operations); diff != "" {
		t.Errorf("routes and the document (-served +described):\n%s", diff)
	}
}

func TestWhatServiceRunnersNeedIsAsDescribed(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/openapi.json", "/docs"} {
		w.want(200, "", "", "GET", path, "")
	}
}

// A description that takes anything for described would show nothing.
func TestWhatIsNotDescribedIsFound(t *testing.T) {
	const path = "/api/v1/tenants/acme"
	good := `{"id": "acme", "name": "acme", "slug": null, "licenses": [], "created_at": "2026-03-15T09:30:00Z", "updated_at": "2026-03-15T09:30:00Z"}`
	content := http.Header{"Content-Type": {"application/json"}}
	tests := map[string]struct {
		method, path, body string
		answer             answer
		want               bool // it is described
	}{
		"what is right":             {"GET", path, "", answer{200, content, good}, true},
		"a final slash":             {"GET", path + "/", "", answer{200, content, good}, true},
		"a change":                  {"PUT", path, `{"name": "x"}`, answer{200, content, good}, true},
		"another status":            {"GET", path, "", answer{201, content, good}, false},
		"another content type":      {"GET", path, "", answer{200, http.Header{"Content-Type": {"text/html"}}, good}, false},
		"no content type":           {"GET", path, "", answer{200, nil, good}, false},
		"an unknown member":         {"GET", path, "", answer{200, content, strings.Replace(good, "{", `{"more": 1, `, 1)}, false},
		"a missing member":          {"GET", path, "", answer{200, content, strings.Replace(good, `"slug": null, `, "", 1)}, false},
		"a time in another zone":    {"GET", path, "", answer{200, content, strings.Replace(good, "Z", "+00:00", 1)}, false},
		"no JSON":                   {"GET", path, "", answer{200, content, "{"}, false},
		"a body that was not right": {"PUT", path, `{"named": "x"}`, answer{200, content, good}, false},
		"a query that was not":      {"GET", "/api/v1/tenants?limit=0", "", answer{200, content, `{"tenants": [], "next": null}`}, false},
		"a header that is missing":  {"GET", path, "", answer{401, http.Header{"Content-Type": {"application/problem+json"}}, `{"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": ""}`}, false},
		"another way to say no":     {"GET", "/api/v1/none", "", answer{404, content, `{}`}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, nil)
			if err := described().check(r, test.body, test.answer); (err == nil) != test.want {
				t.Errorf("it is said of it: %v", err)
			}
		})
	}
}
