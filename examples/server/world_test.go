package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store"
	"github.com/purser-go/purser/store/memstore"
)

// morning is when the worlds of tests begin, if they do not say: a Sunday.
var morning = time.Date(2026, 3, 15, 9, 30, 0, 0, time.UTC)

// people are the tokens of tests: a token is the name of its bearer.
const people = `[
	{"token": "admin", "user": "admin", "permissions": ["platform:*"]},
	{"token": "ada", "user": "ada", "permissions": ["platform:budgets:create"], "api_keys": ["ada-key"]},
	{"token": "bob", "user": "bob", "permissions": []},
	{"token": "reader", "user": "reader", "permissions": ["platform:budgets:read"]},
	{"token": "updater", "user": "updater", "permissions": ["platform:budgets:update"]},
	{"token": "deleter", "user": "deleter", "permissions": ["platform:budgets:delete"]},
	{"token": "creator", "user": "creator", "permissions": ["platform:budgets:create", "platform:budgets:admin"]},
	{"token": "star", "user": "star", "permissions": ["*"]},
	{"token": "budgets-star", "user": "budgets-star", "permissions": ["platform:budgets:*"]},
	{"token": "any-read", "user": "any-read", "permissions": ["platform:*:read"]},
	{"token": "inside", "user": "inside", "permissions": ["platform:budgets:r*", "platform:*:*:read", "platform:budgets", "Platform:budgets:read"]},
	{"token": "recorder", "user": "recorder", "permissions": ["platform:usage:create"]},
	{"token": "acme-admin", "user": "root", "tenant": "acme", "permissions": ["*"]},
	{"token": "acme-recorder", "user": "meter", "tenant": "acme", "permissions": ["platform:usage:create"]},
	{"token": "acme-ada", "user": "ada", "tenant": "acme", "permissions": ["platform:budgets:create"]},
	{"token": "globex-admin", "user": "root", "tenant": "globex", "permissions": ["*"]}
]`

// A world is a server, what it works on, and a clock that a test sets.
type world struct {
	t      testing.TB
	url    string
	store  budget.Store
	ledger *budget.Ledger
	now    *testClock
	log    *record
}

type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// set makes it another time.
func (c *testClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

// set makes it this time of RFC 3339.
func (w *world) set(at string) {
	w.t.Helper()
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.now.set(t)
}

// onEveryStore runs a test in a world on each kind of store.
func onEveryStore(t *testing.T, test func(*testing.T, *world)) { onEveryStoreIn(t, time.UTC, test) }

// onEveryStoreIn is onEveryStore with a reporting zone.
func onEveryStoreIn(t *testing.T, zone *time.Location, test func(*testing.T, *world)) {
	t.Run("memstore", func(t *testing.T) { t.Parallel(); test(t, newWorldOn(t, "memory", zone, nil)) })
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newWorldOn(t, "sqlite:"+filepath.Join(t.TempDir(), "purser.db"), zone, nil))
	})
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, newWorldOn(t, pgtest.URL(t), zone, nil)) })
}

// newWorld returns a world in memory.
func newWorld(t testing.TB, change ...func(*config)) *world {
	return newWorldOn(t, "memory", time.UTC, change)
}

func newWorldOn(t testing.TB, url string, zone *time.Location, change []func(*config)) *world {
	t.Helper()
	w := &world{t: t, now: &testClock{at: morning}, log: &record{}}
	if url == "memory" {
		w.store = memstore.New(&memstore.Options{Now: w.now.Now, ReportingZone: zone.String()})
	} else {
		s, err := store.Open(t.Context(), url, &store.Options{Now: w.now.Now, ReportingZone: zone.String()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		w.store = s
	}
	w.serve(zone, change)
	return w
}

// serve starts a server on the world's store.
func (w *world) serve(zone *time.Location, change []func(*config)) {
	t := w.t
	t.Helper()
	metrics := newMetrics()
	w.ledger = budget.NewLedger(w.store, &budget.Options{Now: w.now.Now, Observe: metrics.observe})
	tokens, err := access.ReadTokens([]byte(people))
	if err != nil {
		t.Fatal(err)
	}
	c := config{
		Ledger: w.ledger, Store: w.store, Guard: access.NewGuard(tokens, false, w.now.Now), Metrics: metrics,
		Now: w.now.Now, Zone: zone, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	h, err := newHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w.url = server.URL
}

// A record keeps what many write.
type record struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed with the next write
}

func (r *record) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grown != nil {
		close(r.grown)
		r.grown = nil
	}
	return r.text.Write(text)
}

// await returns once the record has this text in it.
func (r *record) await(text string) {
	for {
		r.mu.Lock()
		if strings.Contains(r.text.String(), text) {
			r.mu.Unlock()
			return
		}
		if r.grown == nil {
			r.grown = make(chan struct{})
		}
		grown := r.grown
		r.mu.Unlock()
		<-grown
	}
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// logged returns what the server has logged of the requests so far. It waits until the last one is in it.
func (w *world) logged() string {
	w.do("", "GET", "/livez", "", "Connection: close")
	return w.log.String()
}

// An answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request with the bearer's token, "" for none, and header lines such as "If-Match: \"v1\"".
func (w *world) do(token, method, path, body string, header ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answered, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answered.Body.Close()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{answered.StatusCode, answered.Header, string(text)}
	checkDescribed(w.t, r, body, a)
	return a
}

// want sends a request as do does, and checks the status and the body. The wanted body is literal JSON, in which "*" stands
// for any value that is not null; numbers are compared by their text. "" is any body. It returns the answer.
func (w *world) want(status int, wantBody, token, method, path, body string, header ...string) answer {
	w.t.Helper()
	a := w.do(token, method, path, body, header...)
	if a.status != status {
		w.t.Fatalf("%s %s as %q with %.500s: %d %s; want %d", method, path, token, body, a.status, a.body, status)
	}
	if wantBody != "" {
		if diff := diffJSON(wantBody, a.body); diff != "" {
			w.t.Fatalf("%s %s as %q with %.500s (-want +got):\n%s", method, path, token, body, diff)
		}
	}
	return a
}

// member returns a member of the answer's object as text: a string's own, of anything else its JSON.
func (a answer) member(t testing.TB, name string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	value, ok := members[name]
	if !ok {
		t.Fatalf("%s has no member %q", a.body, name)
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// diffJSON compares two JSON texts.
func diffJSON(want, got string) string {
	var w, g any
	if err := decode(want, &w); err != nil {
		return "the wanted body: " + err.Error()
	}
	if err := decode(got, &g); err != nil {
		return err.Error() + ": " + got
	}
	return cmp.Diff(w, wild(w, g))
}

func decode(text string, to *any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(to)
}

// wild returns got with "*" wherever want has it and got has anything at all.
func wild(want, got any) any {
	switch w := want.(type) {
	case string:
		if w == "*" && got != nil {
			return "*"
		}
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			for name := range g {
				if inner, ok := w[name]; ok {
					g[name] = wild(inner, g[name])
				}
			}
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range g {
				g[i] = wild(w[i], g[i])
			}
		}
	}
	return got
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	w := newWorld(t)
	w.want(404, `{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Not Found"}`, "admin", "GET", "/api/v1/nothing", "")
	a := w.want(405, `{"type": "about:blank", "title": "Method Not Allowed", "status": 405, "detail": "Method Not Allowed"}`,
		"admin", "PATCH", "/api/v1/tenants/x", "")
	if allow := a.header.Get("Allow"); !strings.HasPrefix(allow, "GET, HEAD") {
		t.Errorf("the methods of a tenant are %q", allow)
	}
	w.want(401, "", "", "GET", "/api/v1/tenants/x/", "")
	w.want(401, "", "nobody", "GET", "/api/v1/tenants/x", "")
	w.want(403, "", "bob", "GET", "/api/v1/tenants/x", "")
	w.want(404, "", "admin", "GET", "/api/v1/tenants/x", "")
}
