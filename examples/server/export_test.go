package main

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

const plainHeader = "start,end,tenant,user,api_key,resource,input_tokens,output_tokens,cache_creation_tokens,cache_read_tokens,total_tokens,requests,runs,cost\n"

func TestExport(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		w.sales()
		const all = plainHeader +
			"2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,acme,ada,k,gpt,1,0,0,0,1,1,0,0.5\n" +
			"2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,,ada,,,16,0,0,0,16,1,0,0.000000001\n" +
			"2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,acme,ada,k,claude,2,0,0,0,2,1,0,1\n" +
			"2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,acme,bob,,gpt,4,0,0,0,4,1,0,2\n" +
			"2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,globex,ada,,gpt,8,0,0,0,8,1,0,4\n"
		const (
			commas = "text/csv; charset=utf-8; header=present"
			lines  = "application/x-ndjson"
		)
		for _, tt := range []struct {
			rule, token, query, accept, contentType, file, body string
		}{
			{"by month and all dimensions", "reader", "", "", commas, "usage.csv", all},
			{"as the query says", "admin", "format=csv", lines, commas, "usage.csv", all},
			{
				"JSON lines", "admin", "format=jsonl&by=tenant&bucket=day&from=2026-03-14T00:00:00Z&to=2026-03-15T00:00:00Z", "", lines, "usage.jsonl",
				`{"start":"2026-03-14T00:00:00Z","end":"2026-03-15T00:00:00Z","tenant":"acme","input_tokens":4,"output_tokens":0,` +
					`"cache_read_tokens":0,"cache_creation_tokens":0,"total_tokens":4,"requests":1,"runs":0,"cost":2}` + "\n",
			},
			{"as Accept says", "admin", "user=nobody", "application/x-ndjson", lines, "usage.jsonl", ""},
			{"as Accept says most", "admin", "user=nobody", "text/csv;q=0.3, application/jsonl;q=0.5", lines, "usage.jsonl", ""},
			{"what a browser accepts", "admin", "user=nobody", "text/html, application/xhtml+xml, */*;q=0.8", commas, "usage.csv", plainHeader},
			{"all of a kind but one", "admin", "user=nobody", "application/x-ndjson;q=0, application/*, text/*;q=0.1", lines, "usage.jsonl", ""},
			{"of a caller's tenant only", "globex-admin", "by=user,tenant", "", commas, "usage.csv", plainHeader +
				"2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,globex,ada,,,8,0,0,0,8,1,0,4\n"},
			{"in a zone", "admin", "tenant=acme&user=bob&zone=Asia/Kathmandu&bucket=week&by=resource", "", commas, "usage.csv", plainHeader +
				"2026-03-08T18:15:00Z,2026-03-15T18:15:00Z,,,,gpt,4,0,0,0,4,1,0,2\n"},
		} {
			var header []string
			if tt.accept != "" {
				header = []string{"Accept: " + tt.accept}
			}
			a := w.want(200, "", tt.token, "GET", "/api/v1/export?"+tt.query, "", header...)
			if diff := cmp.Diff(tt.body, a.body); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.rule, diff)
			}
			if got := a.header.Get("Content-Type"); got != tt.contentType {
				t.Errorf("%s: the content is %q, want %q", tt.rule, got, tt.contentType)
			}
			if got := a.header.Get("Content-Disposition"); got != `attachment; filename="`+tt.file+`"` {
				t.Errorf("%s: the disposition is %q", tt.rule, got)
			}
		}
		focus := w.want(200, "", "admin", "GET", "/api/v1/export?format=focus&provider=Us&account=7&tenant=acme&user=bob", "")
		if header, row, _ := strings.Cut(focus.body, "\n"); !strings.HasPrefix(header, "BillingAccountId,") || !strings.HasPrefix(row, "7,7,USD,2026-03-01T00:00:00Z,") {
			t.Errorf("in the shape of FOCUS: %s", focus.body)
		}
		if a := w.want(200, "", "admin", "HEAD", "/api/v1/export", ""); a.body != "" || a.header.Get("Content-Type") != commas {
			t.Errorf("only the header: %q of %s", a.body, a.header.Get("Content-Type"))
		}
		w.want(404, noTenant, "acme-admin", "GET", "/api/v1/export?tenant=globex", "")
		w.want(403, "", "bob", "GET", "/api/v1/export", "")
		w.want(406, "", "admin", "GET", "/api/v1/export", "", "Accept: application/pdf")
		w.want(406, "", "admin", "GET", "/api/v1/export", "", "Accept: text/csv;q=0, application/x-ndjson;q=nonsense;q")
		w.refuses("format", "admin", "/api/v1/export?format=xlsx")
		w.refuses("provider", "admin", "/api/v1/export?format=focus&provider=%01")
	})
}

func TestAnExportHasNoFormulas(t *testing.T) {
	w := newWorld(t)
	w.record(usage.Event{ID: "e", Time: w.now.Now(), Subject: usage.Subject{
		Tenant: "=1+1", User: `@SUM(1)`, APIKey: "-2", Resource: "+cmd|' /C calc'!A0",
	}})
	for _, format := range []string{"csv", "focus"} {
		a := w.want(200, "", "admin", "GET", "/api/v1/export?format="+format, "")
		rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows: %v", len(rows), err)
		}
		for _, cell := range rows[1] {
			if cell != "" && strings.ContainsAny(cell[:1], "=+@-") {
				t.Errorf("a spreadsheet would calculate %q", cell)
			}
		}
	}
	a := w.want(200, "", "admin", "GET", "/api/v1/export?format=csv&account=%3D1", "")
	if !strings.Contains(a.body, `,'=1+1,'@SUM(1),'-2,'+cmd|' /C calc'!A0,`) {
		t.Errorf("names are not as they were: %s", a.body)
	}
	if a := w.want(200, "", "admin", "GET", "/api/v1/export?format=focus&account=%3D1", ""); !strings.Contains(a.body, "\n'=1,'=1,USD") {
		t.Errorf("a name in the query makes a formula: %s", a.body)
	}
}

// stubborn is a store whose nth View from now on does what then says.
type stubborn struct {
	budget.Store
	left int
	then func(context.Context) error
}

func (s *stubborn) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if s.left--; s.left == 0 {
		if err := s.then(ctx); err != nil {
			return err
		}
	}
	return s.Store.View(ctx, fn)
}

// hours is how many lines exporting exports.
const hours = 1500

// exporting starts a server that exports so many lines, of which the second read does what then says, and asks it for them.
func exporting(t *testing.T, then func(context.Context, *timed) error) (*world, *http.Response) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	connections := &timed{Listener: server.Listener}
	s := &stubborn{then: func(ctx context.Context) error { return then(ctx, connections) }}
	var c config
	w := newWorld(t, func(given *config) {
		s.Store = given.Store
		given.Ledger = budget.NewLedger(s, &budget.Options{Now: given.Now})
		c = *given
	})
	events := make([]usage.Event, hours)
	for i := range events {
		events[i] = usage.Event{ID: usage.NewID(), Time: w.now.Now().Add(-time.Duration(i) * time.Hour)}
	}
	w.record(events...)
	handler, err := newHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler, server.Listener = handler, connections
	server.Config.ReadTimeout, server.Config.WriteTimeout = time.Minute, time.Minute
	server.Start()
	t.Cleanup(server.Close)
	s.left = 3 // the months, then 500 hours at a time
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/export?format=jsonl&bucket=hour", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin")
	answered, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answered.Body.Close() })
	return w, answered
}

// timed listens for one connection, and knows the time that its server gives it.
type timed struct {
	net.Listener

	mu          sync.Mutex
	conn        net.Conn
	read, write bool // there is such a time
}

func (l *timed) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = c
	return &timedConn{c, l}, nil
}

// pass lets all the time pass that the server gave the connection so far.
func (l *timed) pass() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.read {
		errs = append(errs, l.conn.SetReadDeadline(time.Unix(1, 0)))
	}
	if l.write {
		errs = append(errs, l.conn.SetWriteDeadline(time.Unix(1, 0)))
	}
	return errors.Join(errs...)
}

type timedConn struct {
	net.Conn
	of *timed
}

func (c *timedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *timedConn) SetReadDeadline(t time.Time) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.read = !t.IsZero()
	return c.Conn.SetReadDeadline(t)
}

func (c *timedConn) SetWriteDeadline(t time.Time) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.write = !t.IsZero()
	return c.Conn.SetWriteDeadline(t)
}

func TestAnExportThatFailsMidwayIsBrokenOff(t *testing.T) {
	w, a := exporting(t, func(context.Context, *timed) error { return budget.ErrUnavailable })
	text, err := io.ReadAll(a.Body)
	if a.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || len(text) == 0 {
		t.Errorf("%d, %d bytes and %v: want an unexpected end", a.StatusCode, len(text), err)
	}
	for _, line := range []string{"an answer was broken off", "msg=request method=GET path=/api/v1/export status=200"} {
		if !strings.Contains(w.logged(), line) {
			t.Errorf("the log does not say %q: %s", line, w.logged())
		}
	}
}

// An export may last longer than the server gives other requests and answers.
func TestAnExportHasTheTimeThatItTakes(t *testing.T) {
	_, a := exporting(t, func(ctx context.Context, connections *timed) error {
		if err := connections.pass(); err != nil {
			return err
		}
		return ctx.Err()
	})
	text, err := io.ReadAll(a.Body)
	if err != nil || strings.Count(string(text), "\n") != hours {
		t.Errorf("%d lines: %v", strings.Count(string(text), "\n"), err)
	}
}
