package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/livez", "/metrics", "/nothing", "/api/v1/nothing", "/api/v1/tenants/x"} {
		header := w.do("admin", "GET", path, "").header
		policy := regexp.MustCompile(`'nonce-[A-Z2-7]{26}'`).ReplaceAllString(header.Get("Content-Security-Policy"), "NONCE")
		want := "default-src 'none'; script-src NONCE; style-src 'self' NONCE; img-src 'self' data:; font-src 'self'; " +
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
		if diff := cmp.Diff(want, policy); diff != "" {
			t.Errorf("%s: the policy (-want +got):\n%s", path, diff)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "no-store",
			"Access-Control-Allow-Origin":  "",
			"Strict-Transport-Security":    "",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	a, b := w.do("", "GET", "/livez", ""), w.do("", "GET", "/livez", "")
	if a.header.Get("Content-Security-Policy") == b.header.Get("Content-Security-Policy") {
		t.Error("two answers have one nonce")
	}
	secured := newWorld(t, func(c *config) { c.HTTPS = true })
	if got := secured.do("", "GET", "/livez", "").header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
		t.Errorf("with https, Strict-Transport-Security is %q", got)
	}
}

func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	const body = `{"name": "Acme"}`
	foreign := []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}
	w := newWorld(t)
	w.want(403, `{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "A page of another origin may not do this."}`,
		"admin", "PUT", "/api/v1/tenants/acme", body, foreign...)
	w.want(404, "", "admin", "GET", "/api/v1/tenants/acme", "")

	open := newWorld(t, func(c *config) { c.CORS = []string{"https://app.example"} })
	open.want(403, "", "admin", "PUT", "/api/v1/tenants/acme", body, foreign...)
	friendly := []string{"Origin: https://app.example", "Sec-Fetch-Site: cross-site"}
	a := open.want(200, "", "admin", "PUT", "/api/v1/tenants/acme", body, friendly...)
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "https://app.example" {
		t.Errorf("Access-Control-Allow-Origin is %q", got)
	}
	preflight := open.do("", "OPTIONS", "/api/v1/tenants/acme", "", "Origin: https://app.example",
		"Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization,content-type")
	if got := preflight.header.Get("Access-Control-Allow-Methods"); got != "PUT" {
		t.Errorf("a preflight allows %q, want PUT", got)
	}
	if a := open.do("", "OPTIONS", "/api/v1/tenants/acme", "", foreign[0], "Access-Control-Request-Method: PUT"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight of another origin: %v", a.header)
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.want(413, "", "admin", "PUT", "/api/v1/tenants/acme", `{"name": "`+strings.Repeat("x", 2<<20)+`"}`)
}

// What the server writes down about requests is read by more people than those who may know tokens.
func TestNoSecretIsLogged(t *testing.T) {
	w := newWorld(t)
	w.do("a-guessed-secret", "GET", "/api/v1/tenants/x?token=a-query-secret", "", "Cookie: purser_session=a-cookie-secret")
	w.do("admin", "PUT", "/api/v1/tenants/x", `{"name": "a-body-secret"`)
	log := w.logged()
	if !strings.Contains(log, "path=/api/v1/tenants/x status=401") {
		t.Errorf("the requests are not in the log:\n%s", log)
	}
	for _, secret := range []string{"secret", "Bearer", "admin"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.do("admin", "GET", "/api/v1/tenants/x", "")
	w.do("admin", "BREW", "/api/v1/tenants/x", "")
	w.do("admin", "GET", "/no/such/path", "")
	if _, err := w.ledger.Record(t.Context(), usage.Event{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	text := w.want(200, "", "", "GET", "/metrics", "").body
	for _, line := range []string{
		`purser_transaction_duration_seconds_count{name="record",outcome="ok"} 1`,
		`purser_transaction_items_total{name="record",outcome="ok"} 1`,
		`purser_transaction_wait_seconds_count{name="record"} 1`,
		`purser_http_request_duration_seconds_count{code="404",method="GET",route="/api/v1/tenants/{id}"} 1`,
		`purser_http_request_duration_seconds_count{code="405",method="other",route="/api/"} 1`,
		"go_goroutines ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	if strings.Contains(text, "such") {
		t.Error("a path that a client made up is in the metrics")
	}
}

// Of many clients behind a proxy one that guesses keeps none of the others out.
func TestBehindAProxyClientsAreToldApart(t *testing.T) {
	w := newWorld(t, func(c *config) { c.Proxy = true })
	guess := func(from string) int {
		return w.do("a guess", "GET", "/api/v1/tenants/x", "", "X-Forwarded-For: "+from).status
	}
	refused := false
	for range 200 {
		refused = refused || guess("made-up, 198.51.100.7, 192.0.2.1") == http.StatusTooManyRequests
	}
	if !refused {
		t.Error("200 guesses were not refused")
	}
	if status := guess("192.0.2.1, 192.0.2.2"); status != http.StatusUnauthorized {
		t.Errorf("another client: %d, want 401", status)
	}
	if a := w.do("admin", "GET", "/api/v1/tenants/x", "", "X-Forwarded-For: 192.0.2.1"); a.status != http.StatusTooManyRequests ||
		a.header.Get("Retry-After") == "" {
		t.Errorf("a token that would be guessed right: %d, want 429 with Retry-After", a.status)
	}
}

func TestReady(t *testing.T) {
	w := newWorld(t)
	if a := w.do("", "GET", "/readyz", ""); a.status != http.StatusOK || a.body != "ok\n" {
		t.Errorf("%d %q", a.status, a.body)
	}
	broken := newWorld(t, func(c *config) { c.Store = away{c.Store} })
	if a := broken.do("", "GET", "/readyz", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("with the database away: %d %q", a.status, a.body)
	}
	if a := broken.do("", "GET", "/livez", ""); a.status != http.StatusOK {
		t.Errorf("livez with the database away: %d %q", a.status, a.body)
	}
}

// away is a store whose database is.
type away struct{ budget.Store }

func (away) View(context.Context, func(budget.ReadTx) error) error { return budget.ErrUnavailable }
