package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/internal/soak"
)

// hostileValues are JSON values, or what is none, that a member may have.
var hostileValues = []string{
	"null", "true", "0", "-1", "1", "12.5", "1e3", "1e999", "-1e999", "1e1000000000", "1e-1000000000", "0.0000000001", "-0",
	"9223372036854775807", "9223372036854775808", strings.Repeat("9", 1_000_000), "0." + strings.Repeat("1", 1000),
	"NaN", "Infinity", "1_0", "01", "+1", ".5", "0x10", "१", `"12.5"`, `" 12"`, `"NaN"`, `"1e999"`, `"1e1000000000"`, `"१२"`,
	`""`, `" "`, `"x"`, `"acme"`, `"globex"`, `"ada"`, `"007"`, "\"\x00\"", `"\u0000"`, `"\ud800"`, `"\udc00\ud800"`, "\"\xff\xfe\"",
	"\"\xed\xa0\x80\"", `"` + strings.Repeat("x", 128) + `"`, `"` + strings.Repeat("x", 129) + `"`, `"` + strings.Repeat("é", 100) + `"`,
	`"` + strings.Repeat("x", 100_000) + `"`, `"<script>alert(1)</script>"`, `"' OR 1=1 --"`, `"\u202e"`, `"a\nb"`,
	"[]", "{}", `[null]`, `["a", 1]`, `{"a": null}`, `{"a": 1, "a": 2}`, `{"each": true}`, `{"user": {"each": true}}`,
	`{"tenant": "acme"}`, `{"\u0000": "x"}`, strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
	strings.Repeat("[", 5000) + strings.Repeat("]", 5000), `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	`"2026-03-15T09:30:00Z"`, `"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59Z"`, `"1979-12-31T23:59:59Z"`, `"2200-01-01T00:00:00Z"`,
	`"2026-03-15T09:30:00.123456789+14:00"`, `"2026-02-30T00:00:00Z"`, `"2026-03-15"`, `"Local"`, `"UTC"`, `"Europe/Berlin"`, `"../../etc/passwd"`,
	`"tokens"`, `"dollars"`, `"credits"`, `"monthly"`, `"lifetime"`, `"every"`, `"hard"`,
	`{"period": "every", "every": 1, "unit": "second"}`, `{"period": "every", "every": 9223372036854775807, "unit": "day"}`,
	`{"input_tokens": 10, "cost": "0.5"}`, `{"input_tokens": -1}`, `{"total_tokens": 9223372036854775807}`,
}

// hostileTexts stand in paths and queries, as they go over the wire.
var hostileTexts = []string{
	"own", "set", "nobodys", "acmes", "unknown", "acme", "globex", "acmes-license", "same", "ada", "0", "1", "-1", "100", "101", "007",
	"1e3", "99999999999999999999999999999999", "%00", "%FF", "%ED%A0%80", "%zz", "%", "%2", "%2F", "a%2Fb", "..", ".", "%2E%2E", "%2e%2e%2f",
	"%0A", "%0D%0A", "%20", "+", "*", "~", "'", "%22", "%3Cscript%3E", "%F0%9F%98%80", "%E2%80%AE", strings.Repeat("x", 128),
	strings.Repeat("x", 129), strings.Repeat("%C3%A9", 500), strings.Repeat("x", 8000), "true", "yes", "TRUE", "maybe", "null",
	"%7B%22user%22%3A%22ada%22%7D", "%7B%22user%22%3A1%7D", "%7B", "%5B%5D", "2026-03-15T09:30:00Z", "2026-03-01T00:00:00%2B02:00",
	"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "UTC", "Local", "Europe/Berlin", "..%2F..%2Fetc%2Fpasswd",
	"day", "hour", "month", "tokens", "dollars", "csv", "eyJpIjoieCJ9", "eyJ0IjoiMDAwMS0wMS0wMVQwMDowMDowMFoiLCJpIjoiXHUwMDAwIn0", "e30", "!!!",
	"tenant", "user", "label:x", "tenant%3Dacme", "open", "settled", "ok", "exceeded", "user%3D", "%3D",
}

var hostileBodies = []string{
	"", " ", "null", "true", "0", `"x"`, "[]", "{}", "{", "}", "[{}]", `{"": 1}`, `{"a"}`, `{"a": }`, "{} {}", "{}x", "\ufeff{}", "\x00", "\xff\xfe{\x00}\x00",
	`{"events": []}`, `{"events": null}`, `{"events": [null, 1, {}, []]}`, `{"events": {}}`, "[null]", "a=b&c=d", "<xml/>", "--x\r\n\r\n--x--",
	strings.Repeat("[", 1_000_000), strings.Repeat(`{"a":`, 200_000), strings.Repeat(" ", 1<<20) + "{}", `{"name": "` + strings.Repeat("x", 1<<20) + `"}`,
}

var contentTypes = []string{
	"", "application/json", "application/json", "application/json", "application/json; charset=utf-16", "text/plain", "application/x-www-form-urlencoded",
	"multipart/form-data; boundary=x", "application/cloudevents+json", "application/cloudevents-batch+json", "application/cloudevents+avro",
	"application/json; =", "\xff", "APPLICATION/JSON", "text/csv",
}

// A sent is a request as it goes over the wire: what is wrong with it no client would send.
type sent struct {
	token, method, target string
	header                []string
	body                  string
}

// send writes a request to a connection of its own.
func (w *world) send(s sent) (answer, error) {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return answer{}, err
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: purser\r\nConnection: close\r\nContent-Length: %d\r\n", s.method, s.target, len(s.body))
	if s.token != "" {
		fmt.Fprintf(&head, "Authorization: Bearer %s\r\n", s.token)
	}
	for _, line := range s.header {
		fmt.Fprintf(&head, "%s\r\n", line)
	}
	head.WriteString("\r\n")
	go func() { // a server that has seen enough answers before it has read all
		_, _ = conn.Write(append(head.Bytes(), s.body...))
	}()
	answered, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: s.method})
	if err != nil {
		return answer{}, err
	}
	defer answered.Body.Close()
	text, err := io.ReadAll(answered.Body)
	return answer{answered.StatusCode, answered.Header, string(text)}, err
}

// request returns s as the server sees it, nil if its target is none.
func (s sent) request() *http.Request {
	u, err := url.ParseRequestURI(s.target)
	if err != nil || !strings.HasPrefix(s.target, "/") {
		return nil
	}
	r := &http.Request{Method: s.method, URL: u, Host: "purser", Header: make(http.Header)}
	for _, line := range s.header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// survive sends a request that may be anything, and fails the test if the server was not up to it: if it failed, if it said
// what is not described, or if it refused and yet changed something.
func (w *world) survive(s sent) answer {
	w.t.Helper()
	before := w.dump()
	a, err := w.send(s)
	if s.request() == nil {
		return a // that is no HTTP, and Go's server closes the connection
	}
	if err != nil {
		w.t.Fatalf("%.200q: no answer: %v", s, err)
	}
	if a.status >= 500 {
		w.t.Errorf("%.2000q is answered %d %s\n%s", s, a.status, a.body, w.logged())
	}
	if a.status/100 != 2 && !isRefusal(a) {
		if diff := cmp.Diff(before, w.dump()); diff != "" {
			w.t.Errorf("%.2000q is answered %d %s and left a trace (-before +after):\n%s", s, a.status, a.body, diff)
		}
	}
	checkDescribed(w.t, s.request(), s.body, a)
	return a
}

// isRefusal reports whether a budget refused: it counts its refusals.
func isRefusal(a answer) bool { return strings.Contains(a.body, `"/docs#exceeded"`) }

// hostility makes requests.
type hostility struct {
	*rand.Rand
	operations []*operation
}

func newHostility(seed uint64) *hostility {
	operations := slices.DeleteFunc(described().operations(), func(o *operation) bool {
		return !strings.HasPrefix(o.path, "/api/")
	})
	return &hostility{rand.New(rand.NewPCG(seed, 0)), operations} //nolint:gosec // it is to be the same in every run
}

func pick[T any](h *hostility, from []T) T { return from[h.IntN(len(from))] }

// next returns a request to any of the API's operations. About half of what stands in it is as described.
func (h *hostility) next() sent {
	o := pick(h, h.operations)
	s := sent{
		token: pick(h, []string{"admin", "admin", "admin", "acme-admin", "globex-admin", "ada", "reader", "recorder"}), method: o.method,
	}
	for i, part := range strings.Split(o.path, "/") {
		if i > 0 {
			s.target += "/"
		}
		if strings.HasPrefix(part, "{") {
			part = pick(h, hostileTexts)
			if h.IntN(2) == 0 {
				part = pick(h, hostileTexts[:10])
			}
		}
		s.target += part
	}
	s.target += h.query(o)
	if h.IntN(3) == 0 {
		s.header = append(s.header, "Content-Type: "+pick(h, contentTypes))
	}
	if h.IntN(4) == 0 {
		s.header = append(s.header, "Idempotency-Key: "+pick(h, []string{"k", "k", "l", "", " ", strings.Repeat("x", 256), "\xff"}))
	}
	if o.method == http.MethodPut && h.IntN(4) == 0 {
		s.header = append(s.header, "If-Match: "+pick(h, []string{`"1"`, `W/"1"`, "*", `"`, "1", `"x"`}))
	}
	s.body = h.body(o)
	return s
}

func (h *hostility) query(o *operation) string {
	names := append(described().parameters(o, "query"), "unknown", "%zz")
	var parts []string
	for range h.IntN(4) {
		parts = append(parts, pick(h, names)+"="+pick(h, hostileTexts))
	}
	if parts == nil {
		return ""
	}
	return "?" + strings.Join(parts, pick(h, []string{"&", "&", "&", ";"}))
}

func (h *hostility) body(o *operation) string {
	examples := described().examples(o)
	if len(examples) == 0 || h.IntN(8) == 0 {
		return pick(h, hostileBodies)
	}
	return h.write(pick(h, examples), 6)
}

// write writes a value of JSON, and in one of odds places something else.
func (h *hostility) write(value any, odds int) string {
	if h.IntN(odds) == 0 {
		return pick(h, hostileValues)
	}
	switch v := value.(type) {
	case map[string]any:
		var members []string
		for name, inner := range v {
			members = append(members, written(name)+":"+h.write(inner, odds))
		}
		slices.Sort(members)
		if h.IntN(odds) == 0 {
			members = append(members, pick(h, []string{`"x"`, `"\u0000"`, `"tenant"`, `""`})+":"+pick(h, hostileValues))
		}
		if len(members) > 0 && h.IntN(odds) == 0 {
			members = append(members, pick(h, members))
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		var items []string
		for _, inner := range v {
			items = append(items, h.write(inner, odds))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	return written(value)
}

// hostileWorld is one in which there is something to be spoiled.
func hostileWorld(t testing.TB) *world {
	w := newWorld(t)
	w.fill()
	return w
}

// One run takes the same requests as the next; a soak takes other ones, and more.
func TestNothingThatIsSentBreaksTheServerOrLeavesAHalf(t *testing.T) {
	t.Parallel()
	const each = 250
	for part := range soak.Count(t, "hostile requests", 4000, 100_000) / each {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			h, w := newHostility(uint64(part)), hostileWorld(t)
			statuses := make(map[int]int)
			for range each {
				statuses[w.survive(h.next()).status]++
			}
			if diff := w.verify(); diff != "" {
				t.Error(diff)
			}
			t.Logf("answers: %v", statuses)
			if statuses[200] == 0 || statuses[422] == 0 || statuses[404] == 0 {
				t.Errorf("the requests were answered only %v", statuses)
			}
		})
	}
}

func TestOfALongBodyOnlyTheBeginningIsRead(t *testing.T) {
	w := hostileWorld(t)
	body := strings.Repeat(" ", 100<<20)
	for _, o := range newHostility(0).operations {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			before := w.dump()
			long := sent{token: "admin", method: o.method, target: strings.NewReplacer("{", "", "}", "").Replace(o.path), body: body}
			a, err := w.send(long)
			if err != nil {
				t.Fatal(err)
			}
			checkDescribed(t, long.request(), "", a)
			if a.status != http.StatusRequestEntityTooLarge {
				t.Errorf("it is answered %d %s", a.status, a.body)
			}
			if diff := cmp.Diff(before, w.dump()); diff != "" {
				t.Errorf("it left a trace (-before +after):\n%s", diff)
			}
		})
	}
}

func FuzzRequests(f *testing.F) {
	for _, text := range hostileTexts {
		f.Add("admin", "PUT", "/api/v1/budgets/"+text+"?page="+text, "application/json", "{}")
	}
	for _, o := range newHostility(0).operations {
		f.Add("admin", o.method, o.path, "", "")
		for _, example := range described().examples(o) {
			f.Add("acme-admin", o.method, o.path, "application/json", written(example))
		}
	}
	for _, body := range append(slices.Clone(hostileBodies), hostileValues...) {
		if len(body) < 10_000 {
			f.Add("admin", "POST", "/api/v1/budgets?page="+url.QueryEscape(body), "application/json", body)
			f.Add("admin", "POST", "/api/v1/events", "application/json", `{"events": [{"id": "e", "time": "2026-03-15T09:00:00Z", "cost": `+body+`}]}`)
		}
	}
	f.Fuzz(func(t *testing.T, token, method, target, contentType, body string) {
		if !writable(token, method, target, contentType) || !strings.HasPrefix(target, "/api/") {
			t.Skip()
		}
		w := hostileWorld(t)
		w.survive(sent{token: token, method: method, target: target, header: []string{"Content-Type: " + contentType}, body: body})
		if diff := w.verify(); diff != "" {
			t.Error(diff)
		}
	})
}

// writable reports whether these can stand in a request's head without being taken for its end.
func writable(token, method, target, contentType string) bool {
	isMethod := slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}, method)
	return isMethod && target != "" && !strings.ContainsAny(target, " \r\n\t\x00") && !strings.ContainsAny(token+contentType, "\r\n\x00")
}
