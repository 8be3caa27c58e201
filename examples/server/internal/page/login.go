package page

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/purser-go/purser/examples/server/internal/access"
)

// A loginPage is the page on which one signs in.
type loginPage struct {
	*frame
	Next  string // where to go then
	Error string
}

// small serves forms of a few lines.
func small(h http.HandlerFunc) http.Handler { return http.MaxBytesHandler(h, 16<<10) }

// loginURL is where to sign in, and then go on to what was asked for.
func loginURL(r *http.Request) string {
	if r.Method != http.MethodGet || r.URL.Path == "/" {
		return "/login"
	}
	return "/login?next=" + url.QueryEscape(r.URL.RequestURI())
}

func (h *Page) showLogin(w http.ResponseWriter, r *http.Request) {
	h.render(w, r, http.StatusOK, "login", loginPage{h.frame(r, "Sign in"), localPath(r.FormValue("next")), ""})
}

func (h *Page) login(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.PostFormValue("next"))
	if _, err := h.Guard.SignIn(w, r, r.PostFormValue("token")); err != nil {
		status, text := http.StatusUnauthorized, "No such token is known."
		if errors.Is(err, access.ErrTooMany) {
			status, text = http.StatusTooManyRequests, "There were too many failed attempts. Wait a moment."
			w.Header().Set("Retry-After", strconv.Itoa(int(access.RetryAfter.Seconds())))
		}
		h.render(w, r, status, "login", loginPage{h.frame(r, "Sign in"), next, text})
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (h *Page) logout(w http.ResponseWriter, r *http.Request) {
	h.Guard.SignOut(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// localPath returns a path of this server, the overview where it is none: nobody is sent elsewhere by a link to the sign-in.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/"
	}
	return u.RequestURI()
}

// themeCookie keeps which colours somebody chose.
const themeCookie = "theme"

// A themeChoice is one of the colours to choose.
type themeChoice struct {
	Value, Name string
	Chosen      bool
}

func themes(chosen string) []themeChoice {
	all := []themeChoice{{Value: "", Name: "System"}, {Value: "light", Name: "Light"}, {Value: "dark", Name: "Dark"}}
	for i := range all {
		all[i].Chosen = all[i].Value == chosen
	}
	return all
}

// Theme returns the colours that somebody chose, light or dark, "" for those of their system.
func Theme(r *http.Request) string {
	c, err := r.Cookie(themeCookie)
	if err != nil || c.Value != "light" && c.Value != "dark" {
		return ""
	}
	return c.Value
}

// chooseTheme keeps the choice for a year and goes back to where it was made.
func (h *Page) chooseTheme(w http.ResponseWriter, r *http.Request) {
	c := &http.Cookie{
		Name: themeCookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Value: r.PostFormValue("theme"), MaxAge: int((365 * 24 * time.Hour).Seconds()),
	}
	if c.Value != "light" && c.Value != "dark" {
		c.Value, c.MaxAge = "", -1
	}
	http.SetCookie(w, c)
	http.Redirect(w, r, localPath(r.PostFormValue("back")), http.StatusSeeOther)
}
