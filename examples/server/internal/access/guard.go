package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"golang.org/x/time/rate"
)

// What Authenticate answers where it does not know the caller.
var (
	ErrUnauthorized = errors.New("the request has no valid token")
	ErrTooMany      = errors.New("too many failed attempts to sign in")
)

// How often an address may fail: at first, and again after each pause.
const (
	failures     = 100
	failurePause = time.Second
	// RetryAfter is how long to wait after ErrTooMany.
	RetryAfter = 10 * time.Second
)

const (
	remembered   = 10_000 // addresses, sessions and pairs of address and token, each
	sessionLasts = 12 * time.Hour
	cookieName   = "purser_session"
)

// A Guard knows the callers of requests: by a token in the Authorization header, or by the cookie of a session that began
// with one. An address that fails too often is let in only with what it has been let in with before. It is safe for
// concurrent use.
type Guard struct {
	tokens   *Tokens
	https    bool
	now      func() time.Time // by which an address that failed too often has waited long enough
	sessions *expirable.LRU[hash, *Caller]
	failed   *expirable.LRU[netip.Addr, *rate.Limiter]
	welcome  *expirable.LRU[visit, struct{}]
}

type visit struct {
	address netip.Addr
	token   hash
}

// NewGuard returns a guard. https says that browsers reach the server by it, so that they are to send cookies by it only.
// Sessions are kept in memory: a restart signs everybody out. now returns the time, by which an address that has failed too
// often may try again. It must go on: the clock that --now freezes would keep such an address out for good.
func NewGuard(t *Tokens, https bool, now func() time.Time) *Guard {
	return &Guard{
		tokens: t, https: https, now: now,
		sessions: expirable.NewLRU[hash, *Caller](remembered, nil, sessionLasts),
		failed:   expirable.NewLRU[netip.Addr, *rate.Limiter](remembered, nil, time.Hour),
		welcome:  expirable.NewLRU[visit, struct{}](remembered, nil, time.Hour),
	}
}

// Authenticate returns who the request comes from. The error is ErrUnauthorized or ErrTooMany.
func (g *Guard) Authenticate(r *http.Request) (*Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		if c := g.Session(r); c != nil {
			return c, nil
		}
		return nil, ErrUnauthorized
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, ErrUnauthorized
	}
	return g.byToken(r, strings.TrimSpace(token))
}

func (g *Guard) byToken(r *http.Request, token string) (*Caller, error) {
	v := visit{address: addressOf(r), token: sha256.Sum256([]byte(token))}
	attempts, ok := g.failed.Get(v.address)
	if ok && attempts.TokensAt(g.now()) < 1 && !g.welcome.Contains(v) {
		return nil, ErrTooMany
	}
	if c := g.tokens.caller(v.token); c != nil {
		g.welcome.Add(v, struct{}{})
		return c, nil
	}
	if !ok {
		attempts = rate.NewLimiter(rate.Every(failurePause), failures)
		g.failed.Add(v.address, attempts)
	}
	attempts.AllowN(g.now(), 1)
	return nil, ErrUnauthorized
}

// addressOf returns where the request comes from: of an IPv6 address its network, for one host has all of that.
func addressOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		return netip.PrefixFrom(address, 64).Masked().Addr()
	}
	return address
}

// SignIn begins a session for whoever has this token, and gives its cookie to the browser. The session that the request came
// with ends: nobody could sign out of it any more.
func (g *Guard) SignIn(w http.ResponseWriter, r *http.Request, token string) (*Caller, error) {
	c, err := g.byToken(r, strings.TrimSpace(token))
	if err != nil {
		return nil, err
	}
	g.endSession(r)
	id := rand.Text()
	g.sessions.Add(sha256.Sum256([]byte(id)), c)
	http.SetCookie(w, g.cookie(id, int(sessionLasts/time.Second)))
	return c, nil
}

// SignOut ends the request's session.
func (g *Guard) SignOut(w http.ResponseWriter, r *http.Request) {
	g.endSession(r)
	http.SetCookie(w, g.cookie("", -1))
}

func (g *Guard) endSession(r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		g.sessions.Remove(sha256.Sum256([]byte(cookie.Value)))
	}
}

func (g *Guard) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: g.https, SameSite: http.SameSiteStrictMode,
	}
}

// Session returns who is signed in, nil if nobody is.
func (g *Guard) Session(r *http.Request) *Caller {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	c, _ := g.sessions.Get(sha256.Sum256([]byte(cookie.Value)))
	return c
}

type callerKey struct{}

// With returns a request that comes from this caller, see From.
func With(r *http.Request, c *Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// From returns the caller of a request that was authenticated, nil for others.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}
