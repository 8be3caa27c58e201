package access_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/server/internal/access"
)

// newGuard returns a guard whose clock stands still.
func newGuard(t *testing.T, https bool) *access.Guard {
	t.Helper()
	return newGuardAt(t, https, func() time.Time { return noon })
}

var noon = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

func newGuardAt(t *testing.T, https bool, now func() time.Time) *access.Guard {
	t.Helper()
	tokens, err := access.ReadTokens([]byte(`[{"token": "ada", "user": "ada"}, {"token": "bob", "user": "bob"}]`))
	if err != nil {
		t.Fatal(err)
	}
	return access.NewGuard(tokens, https, now)
}

func TestOnlyABearerOfAKnownTokenIsKnown(t *testing.T) {
	guard := newGuard(t, false)
	for header, want := range map[string]string{
		"Bearer ada":       "ada",
		"bearer ada":       "ada",
		"Bearer  ada ":     "ada",
		"Bearer ADA":       "",
		"Bearer ad":        "",
		"Bearer ada,bob":   "",
		"Bearer ada extra": "",
		"Bearer":           "",
		"Bearer ":          "",
		"Basic ada":        "",
		"ada":              "",
		"":                 "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		c, err := guard.Authenticate(r)
		if want == "" {
			if !errors.Is(err, access.ErrUnauthorized) || c != nil {
				t.Errorf("%q: %v, %v; want ErrUnauthorized", header, c, err)
			}
			continue
		}
		if err != nil || c.User != want {
			t.Errorf("%q: %v, %v; want %s", header, c, err, want)
		}
	}
}

func from(address, token string) *http.Request {
	r := bearer(token)
	r.RemoteAddr = address
	return r
}

// What failed too often can't go on guessing, nor keep those out whom the server knows.
func TestAnAddressThatFailsTooOftenIsLetInOnlyWithWhatItHasUsedBefore(t *testing.T) {
	now := noon
	guard := newGuardAt(t, false, func() time.Time { return now })
	const here = "192.0.2.1:999"
	if _, err := guard.Authenticate(from(here, "ada")); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range 1000 {
		_, err := guard.Authenticate(from(here, fmt.Sprint("guess ", i)))
		switch {
		case errors.Is(err, access.ErrTooMany):
			refused++
		case !errors.Is(err, access.ErrUnauthorized):
			t.Fatal(err)
		}
	}
	if refused != 900 {
		t.Errorf("%d of 1000 guesses were refused unseen, want all but 100", refused)
	}
	now = now.Add(time.Second - 1)
	if _, err := guard.Authenticate(from(here, "bob")); !errors.Is(err, access.ErrTooMany) {
		t.Errorf("a token that would have been guessed right: %v, want ErrTooMany", err)
	}
	if _, err := guard.Authenticate(from("192.0.2.1:1000", "ada")); err != nil {
		t.Errorf("a token that was used before: %v", err)
	}
	if _, err := guard.Authenticate(from("192.0.2.2:999", "bob")); err != nil {
		t.Errorf("from another address: %v", err)
	}
	now = now.Add(1)
	if _, err := guard.Authenticate(from(here, "bob")); err != nil {
		t.Errorf("after a second: %v", err)
	}
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	guard := newGuard(t, false)
	for i := range 200 {
		_, _ = guard.Authenticate(from(fmt.Sprintf("[2001:db8::%x]:1", i+1), "guess"))
	}
	if _, err := guard.Authenticate(from("[2001:db8::ffff]:1", "bob")); !errors.Is(err, access.ErrTooMany) {
		t.Errorf("%v, want ErrTooMany", err)
	}
	if _, err := guard.Authenticate(from("[2001:db8:0:1::1]:1", "bob")); err != nil {
		t.Errorf("from another network: %v", err)
	}
}

func TestASessionLastsUntilSigningOut(t *testing.T) {
	guard := newGuard(t, true)
	w := httptest.NewRecorder()
	if _, err := guard.SignIn(w, httptest.NewRequest(http.MethodPost, "/", nil), " ada\n"); err != nil {
		t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	flags := strings.SplitN(w.Header().Get("Set-Cookie"), "; ", 2)[1]
	if diff := cmp.Diff("Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict", flags); diff != "" {
		t.Errorf("the cookie (-want +got):\n%s", diff)
	}
	if strings.Contains(cookie.Value, "ada") {
		t.Errorf("the cookie %q has the token in it", cookie.Value)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(cookie)
	if c, err := guard.Authenticate(r); err != nil || c.User != "ada" {
		t.Errorf("%v, %v; want ada", c, err)
	}
	both := bearer("nobody")
	both.AddCookie(cookie)
	if _, err := guard.Authenticate(both); !errors.Is(err, access.ErrUnauthorized) {
		t.Errorf("with a session and a wrong token: %v, want ErrUnauthorized", err)
	}
	guard.SignOut(httptest.NewRecorder(), r)
	if _, err := guard.Authenticate(r); !errors.Is(err, access.ErrUnauthorized) {
		t.Errorf("after signing out: %v, want ErrUnauthorized", err)
	}
	if _, err := guard.SignIn(httptest.NewRecorder(), r, "nobody"); !errors.Is(err, access.ErrUnauthorized) {
		t.Errorf("signing in with a wrong token: %v, want ErrUnauthorized", err)
	}
}

func TestSigningInAnewEndsTheSessionBefore(t *testing.T) {
	guard := newGuard(t, false)
	signIn := func(token string, cookies ...*http.Cookie) (*http.Request, error) {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil)
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		_, err := guard.SignIn(w, r, token)
		next := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, cookie := range w.Result().Cookies() {
			next.AddCookie(cookie)
		}
		return next, err
	}
	before, err := signIn("ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signIn("nobody", before.Cookies()...); !errors.Is(err, access.ErrUnauthorized) {
		t.Fatalf("with a wrong token: %v, want ErrUnauthorized", err)
	}
	if c := guard.Session(before); c == nil || c.User != "ada" {
		t.Errorf("after a failed attempt the session is %v's, want ada's", c)
	}
	after, err := signIn("bob", before.Cookies()...)
	if err != nil {
		t.Fatal(err)
	}
	if c := guard.Session(before); c != nil {
		t.Errorf("the session before is still %s's", c.User)
	}
	if c := guard.Session(after); c == nil || c.User != "bob" {
		t.Errorf("the new session is %v's, want bob's", c)
	}
}
