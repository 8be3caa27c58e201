// Package page is what people see of the server: its overview, a page for each budget and each organization, and the
// sign-in. It reads figures through the ledger, turns them into what the templates show, and decides nothing. Changes go from
// the browser to the JSON API, so that there is one place that says who may change what.
//
// All that a page says is in its HTML: without JavaScript there are no plots, whose numbers stand in tables, no live figures
// and no forms. Nothing is fetched from elsewhere, and nothing is inline, as the server's Content-Security-Policy wants it.
package page

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/examples/server/internal/secure"
)

// Options say what the page shows. All but Refresh and Log is required.
type Options struct {
	Ledger *budget.Ledger
	Guard  *access.Guard
	Now    func() time.Time
	Zone   *time.Location // the reporting zone: of months, and of times that belong to no budget
	// Refresh is how often a page that is looked at asks for its figures anew. Defaults to 5 seconds.
	Refresh time.Duration
	Log     *slog.Logger // of what went wrong inside; default slog.Default
}

//go:embed templates
var templateFiles embed.FS

// pages are the templates by the name of their file, each with those that all share.
var pages = func() map[string]*template.Template {
	shared := template.Must(template.ParseFS(templateFiles,
		"templates/layout.html", "templates/budgets.html", "templates/spenders.html", "templates/forms.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"overview", "budget", "tenant", "login", "failure"} {
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}()

// A Page serves what people see.
type Page struct {
	Options
}

// New returns a page.
func New(o Options) *Page {
	o.Refresh = cmp.Or(o.Refresh, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Page{o}
}

// Register makes mux serve the page, and one that says so where nothing else is. It sets no security headers: those are the
// server's, as for its API.
func (h *Page) Register(mux *http.ServeMux) {
	mux.Handle("GET "+assetsPath, assets())
	mux.HandleFunc("GET /login", h.showLogin)
	mux.Handle("POST /login", small(h.login))
	mux.Handle("POST /logout", small(h.logout))
	mux.Handle("POST /theme", small(h.chooseTheme))
	mux.HandleFunc("GET /{$}", h.page("overview", h.overview))
	mux.HandleFunc("GET /budgets/{id}", h.page("budget", h.budget))
	mux.HandleFunc("GET /tenants/{id}", h.page("tenant", h.tenant))
	mux.HandleFunc("/", h.page("failure", func(*http.Request, *frame) (any, error) { return nil, budget.ErrNotFound }))
}

// A frame is what every page shows around what is its own.
type frame struct {
	Title   string
	Theme   string // "": as the system has it
	Themes  []themeChoice
	Here    string // the address of this page
	Assets  string
	Nonce   string
	Refresh int64  // milliseconds; 0: it stays as it is
	User    string // "": nobody is signed in
	Home    string // where the caller's own organization is; "": they have none
	Zone    string

	caller *access.Caller
	now    time.Time
	zone   *time.Location
}

func (h *Page) frame(r *http.Request, title string) *frame {
	theme := Theme(r)
	return &frame{
		Title: title, Theme: theme, Themes: themes(theme), Assets: assetsURL, Nonce: secure.Nonce(r.Context()),
		Here: r.URL.RequestURI(), now: h.Now(), zone: h.Zone,
	}
}

// page answers with what view returns. Who is not signed in is sent to do so.
func (h *Page) page(name string, view func(*http.Request, *frame) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := h.frame(r, "")
		caller := h.Guard.Session(r)
		if caller == nil {
			http.Redirect(w, r, loginURL(r), http.StatusSeeOther)
			return
		}
		f.caller, f.User, f.Home = caller, callerName(caller), callerHome(caller)
		f.Refresh = h.Refresh.Milliseconds()
		data, err := view(r, f)
		if r.Context().Err() != nil {
			return // whoever asked has gone
		}
		if err != nil {
			h.fail(w, r, f, err)
			return
		}
		h.render(w, r, http.StatusOK, name, data)
	}
}

// A failure is the page of what could not be shown.
type failure struct {
	*frame
	Text string
}

// fail answers with a page about the error. What may not be seen is as what is not there.
func (h *Page) fail(w http.ResponseWriter, r *http.Request, f *frame, err error) {
	f.Refresh, f.Zone = 0, ""
	var status int
	var text string
	switch {
	case errors.Is(err, budget.ErrNotFound), errors.Is(err, budget.ErrInvalid):
		f.Title, status, text = "Not found", http.StatusNotFound, "There is no such page, or it is not yours to see."
	case errors.Is(err, budget.ErrUnavailable):
		h.log(r, err)
		f.Title, status, text = "Not available", http.StatusServiceUnavailable, "The database can't be reached. Try again in a moment."
	default:
		h.log(r, err)
		f.Title, status, text = "Something went wrong", http.StatusInternalServerError, "The server could not do this. Its log says why."
	}
	h.render(w, r, status, "failure", failure{f, text})
}

func (h *Page) log(r *http.Request, err error) {
	h.Log.ErrorContext(r.Context(), "page not shown", "path", r.URL.Path, "error", err)
}

// render writes a page, which is complete before its first byte is sent.
func (h *Page) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	if err := pages[name].ExecuteTemplate(&b, "layout", data); err != nil {
		h.log(r, err)
		http.Error(w, "Something went wrong", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a visitor who has gone is nobody's error
}

//go:embed assets
var assetFiles embed.FS

func assetTree() fs.FS {
	tree, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // the name is constant
	}
	return tree
}
