package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/shopspring/decimal"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/alert/webhook"
	"github.com/purser-go/purser/internal/leak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func TestMain(m *testing.M) { leak.VerifyTestMain(m) }

var (
	noon = time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)

	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	here     = &webhook.Options{Allow: loopback, Now: func() time.Time { return noon }}

	oldSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("old and at least 24 bytes"))
	newSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("new and at least 24 bytes"))
)

var warning = alert.Alert{
	ID: "0196", Budget: "b", BudgetName: "Acme", Scope: map[usage.Dimension]string{usage.Tenant: "acme"},
	Period: period.Monthly.Bounds(noon), Kind: alert.Threshold, Threshold: decimal.NewFromInt(80), Level: alert.Warning,
	Metric: usage.Dollars, Used: 4_520_000_000, Limit: 5_650_000_000, At: noon.Add(-time.Minute), Message: "Acme <b> has used 80.0%",
}

// receiver returns the URL of one that answers like this.
func receiver(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

func sink(t *testing.T, url string) *webhook.Sink {
	t.Helper()
	s, err := webhook.New(url, []string{newSecret}, here)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// The example of the specification's own libraries.
func TestPublishedSignature(t *testing.T) {
	t.Parallel()
	const (
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		id     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		body   = `{"test": 2432232314}`
	)
	got, err := webhook.SignatureOf([]string{secret}, id, time.Unix(1614265330, 0), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{}
	want.Set("webhook-id", id)
	want.Set("webhook-timestamp", "1614265330")
	want.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	equal(t, "headers", want, got)
}

func TestWhatIsPosted(t *testing.T) {
	t.Parallel()
	type posted struct {
		method string
		header http.Header
		body   []byte
	}
	got := make(chan posted, 1)
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- posted{r.Method, r.Header, body}
	})
	now := time.Now() // the receiver's library looks at its own clock
	s, err := webhook.New(url, []string{newSecret, oldSecret}, &webhook.Options{Allow: loopback, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), warning); err != nil {
		t.Fatal(err)
	}
	p := <-got
	equal(t, "method", http.MethodPost, p.method)
	equal(t, "content type", "application/json", p.header.Get("Content-Type"))
	equal(t, "id", warning.ID, p.header.Get("webhook-id"))
	equal(t, "time of the try", fmt.Sprint(now.Unix()), p.header.Get("webhook-timestamp"))
	for _, secret := range []string{oldSecret, newSecret} {
		key, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Verify(p.body, p.header); err != nil {
			t.Errorf("a receiver with %s refuses it: %v", secret, err)
		}
	}
	var message struct {
		Type      string
		Timestamp time.Time
		Data      json.RawMessage
	}
	if err := json.Unmarshal(p.body, &message); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(warning)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "type", "alert.threshold", message.Type)
	equal(t, "timestamp", warning.At, message.Timestamp)
	equal(t, "data", string(data), string(message.Data))
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	answer := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string        // the error; "": it has arrived
		gone   bool          // nothing is to be tried again
		after  time.Duration // that the receiver asks for; 0: it does not
	}{
		"200 is success":                      {answer: answer(200)},
		"204 is success":                      {answer: answer(204)},
		"299 is success":                      {answer: answer(299)},
		"300 is none":                         {answer: answer(300), want: "the receiver answered 300 Multiple Choices"},
		"500 is none":                         {answer: answer(500), want: "the receiver answered 500 Internal Server Error"},
		"400 is none":                         {answer: answer(400), want: "the receiver answered 400 Bad Request"},
		"a code without a name":               {answer: answer(799), want: "the receiver answered 799"},
		"410 is the end":                      {answer: answer(410), want: "the receiver answered 410 Gone: the receiver is gone", gone: true},
		"429 may say when":                    {answer: answer(429, "Retry-After", "120"), want: "the receiver answered 429 Too Many Requests", after: 2 * time.Minute},
		"so may 503, with a date":             {answer: answer(503, "Retry-After", "Tue, 10 Mar 2026 12:05:00 GMT"), want: "the receiver answered 503 Service Unavailable", after: 5 * time.Minute},
		"a date that is over says nothing":    {answer: answer(503, "Retry-After", "Tue, 10 Mar 2026 11:59:00 GMT"), want: "the receiver answered 503 Service Unavailable"},
		"nor does what is no time":            {answer: answer(503, "Retry-After", "soon"), want: "the receiver answered 503 Service Unavailable"},
		"nor a time in the past":              {answer: answer(503, "Retry-After", "-1"), want: "the receiver answered 503 Service Unavailable"},
		"seconds beyond all bounds are many":  {answer: answer(503, "Retry-After", "99999999999999999999"), want: "the receiver answered 503 Service Unavailable", after: math.MaxInt64 / time.Second * time.Second},
		"a date beyond all bounds is late":    {answer: answer(503, "Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"), want: "the receiver answered 503 Service Unavailable", after: math.MaxInt64},
		"a connection that is closed is none": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: "EOF"},
		"an answer without end is its head alone": {answer: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}},
		"a head without end is none": {answer: answer(200, "X-Long", strings.Repeat("x", 100<<10)), want: "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := sink(t, receiver(t, test.answer)).Send(t.Context(), warning)
			if test.want == "" {
				if err != nil {
					t.Errorf("error is %v, want none", err)
				}
				return
			}
			if err == nil || err.Error() != test.want {
				t.Fatalf("error is %v, want %s", err, test.want)
			}
			equal(t, "gone", test.gone, errors.Is(err, alert.ErrGone))
			var asked *alert.RetryAfterError
			if errors.As(err, &asked) != (test.after != 0) || asked != nil && asked.After != test.after {
				t.Errorf("it asks for %+v, want %v", asked, test.after)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 303, 307, 308} {
		reached := false
		elsewhere := receiver(t, func(http.ResponseWriter, *http.Request) { reached = true })
		url := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, code) })
		if err := sink(t, url).Send(t.Context(), warning); err == nil || reached {
			t.Errorf("%d: error is %v, and the new place was reached: %v", code, err, reached)
		}
	}
}

func TestATryThatHangsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees the connection close
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := sink(t, url).Send(ctx, warning); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestErrorsDoNotHoldTheURL(t *testing.T) {
	t.Parallel()
	// Nobody listens there, nor is it a port that another test gets.
	err := sink(t, "http://127.0.0.1:1/services/T0/SECRET").Send(t.Context(), warning)
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error is %v, want one without the URL", err)
	}
	_, err = webhook.NewSlack("https://hooks.example.com/SECRET%zz", nil)
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error is %v, want one without the URL", err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	bytes := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	const key = "must be whsec_ and base64 of 24 to 64 bytes"
	tests := map[string]struct {
		url     string
		secrets []string
		want    []string
	}{
		"http and https are URLs":      {"http://example.com:8080/a?b", []string{bytes(24), bytes(64)}, nil},
		"a secret may lack its prefix": {"https://example.com", []string{strings.TrimPrefix(bytes(32), "whsec_")}, nil},
		"no secret":                    {"https://example.com", nil, []string{"secrets: must not be empty"}},
		"a secret that is too short":   {"https://example.com", []string{bytes(24), bytes(23)}, []string{"secrets[1]: " + key}},
		"a secret that is too long":    {"https://example.com", []string{bytes(65)}, []string{"secrets[0]: " + key}},
		"a secret that is no base64":   {"https://example.com", []string{"whsec_ä", "whsec_"}, []string{"secrets[0]: " + key, "secrets[1]: " + key}},
		"another scheme":               {"ftp://example.com", []string{bytes(24)}, []string{"url: must begin with https:// or http://"}},
		"no scheme":                    {"example.com", []string{bytes(24)}, []string{"url: must begin with https:// or http://"}},
		"no host":                      {"https:///path", []string{bytes(24)}, []string{"url: must name a host"}},
		"a user":                       {"https://user:pass@example.com", []string{bytes(24)}, []string{"url: must not have a user in it"}},
		"no URL, and no secret":        {"https://exa mple.com", nil, []string{"url: is no URL", "secrets: must not be empty"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := webhook.New(test.url, test.secrets, nil)
			if (err == nil) != (test.want == nil) || (s == nil) != (err != nil) || err != nil && !errors.Is(err, usage.ErrInvalid) {
				t.Fatalf("error is %v, want %q", err, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %q, want %q", err, want)
				}
			}
		})
	}
}

func TestSlack(t *testing.T) {
	t.Parallel()
	changed := func(change func(*alert.Alert)) alert.Alert {
		a := warning
		change(&a)
		return a
	}
	const rest = "\\n4.52 of 5.65 dollars, tenant acme, from 2026-03-01 00:00 UTC to 2026-04-01 00:00 UTC\"}"
	tests := map[string]struct {
		alert alert.Alert
		want  string
	}{
		"a warning, its markup escaped": {warning, `{"text":":warning: Acme \u0026lt;b\u0026gt; has used 80.0%` + rest},
		"critical": {
			changed(func(a *alert.Alert) { a.Level, a.Message = alert.Critical, "m" }), `{"text":":rotating_light: m` + rest,
		},
		"resolved": {
			changed(func(a *alert.Alert) { a.Kind, a.Left, a.Message = alert.Resolved, alert.Exceeded, "m" }), `{"text":":white_check_mark: m` + rest,
		},
		"a forecast": {
			changed(func(a *alert.Alert) { a.Kind, a.Level, a.Message = alert.Forecast, alert.Critical, "m" }), `{"text":":chart_with_upwards_trend: m` + rest,
		},
		"blocked": {
			changed(func(a *alert.Alert) { a.Kind, a.Message = alert.Blocked, "m" }), `{"text":":no_entry: m` + rest,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got <- string(body) + r.Header.Get("webhook-signature")
			})
			s, err := webhook.NewSlack(url, here)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(t.Context(), test.alert); err != nil {
				t.Fatal(err)
			}
			equal(t, "body", test.want, <-got)
		})
	}
}
