package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/browser"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A visit is a tab of a real browser on a server. When its test ends, nothing may have been wrong behind the page's back.
type visit struct {
	*browser.Tab
	t *testing.T
	f *furnished
}

// often is how soon the pages of tests ask for their figures anew.
const often = 200 * time.Millisecond

func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	chromium, stop, err := browser.Start(context.WithoutCancel(t.Context())) // parallel tests go on when t's context has ended
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	tests := map[string]func(*visit){
		"a token opens it":                                  (*visit).testSignIn,
		"signing in leads to where one wanted to go":        (*visit).testNext,
		"signing out closes it":                             (*visit).testSignOut,
		"a session that ends leads to the sign-in":          (*visit).testSessionEnds,
		"the overview tells what was used":                  (*visit).testOverview,
		"a budget's page tells all of it":                   (*visit).testBudget,
		"budgets are chosen by metric, state and owner":     (*visit).testFilter,
		"an organization's page tells all of it":            (*visit).testTenant,
		"a budget with many counters shows each":            (*visit).testCounters,
		"colours are chosen and kept":                       (*visit).testTheme,
		"without a choice the system's colours are taken":   (*visit).testSystemTheme,
		"figures keep up, and focus and scroll stay":        (*visit).testLive,
		"rows that come and go leave the focus where it is": (*visit).testRows,
		"a server that is away is told of":                  (*visit).testAway,
		"a budget that is deleted is told of":               (*visit).testGone,
		"a page that nobody looks at asks for nothing":      (*visit).testHidden,
		"limit, name and thresholds can be changed":         (*visit).testEdit,
		"what is refused is said at its field":              (*visit).testRefusedEdit,
		"what somebody else changed is not overwritten":     (*visit).testStaleEdit,
		"only who may change a budget has a form":           (*visit).testNoEdit,
		"a license is made":                                 (*visit).testNewLicense,
		"a save whose answer is lost may be tried again":    (*visit).testLostAnswer,
		"a license is changed":                              (*visit).testChangedLicense,
		"what anybody wrote stays text":                     (*visit).testScripts,
		"nothing is wider than 320 pixels":                  (*visit).testNarrow,
		"the keyboard reaches all, and is never trapped":    (*visit).testKeyboard,
		"all can be read without scripts":                   (*visit).testWithoutScripts,
		"axe finds nothing":                                 (*visit).testAxe,
		"what goes on behind the page's back is noticed":    (*visit).testFaults,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFurnished(t, func(c *config) { c.Refresh = often })
			tab, closeTab, err := browser.Open(chromium, f.url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(closeTab)
			v := &visit{Tab: tab, t: t, f: f}
			test(v)
			v.eval(`true`) // all events before it have come in
			for _, fault := range v.Faults() {
				t.Error(fault)
			}
		})
	}
}

func (v *visit) do(actions ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.Tab, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		v.t.Fatalf("%v, at\n%s", err, v.text("body"))
	}
}

// eval returns what a JavaScript expression is, a promise's result if it is one, as text or JSON.
func (v *visit) eval(expression string) string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.Tab, time.Minute)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[any](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		v.t.Fatalf("%s: %v", expression, err)
	}
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(text)
}

// want checks what an expression is.
func (v *visit) want(expression, want string) {
	v.t.Helper()
	if got := v.eval(expression); got != want {
		v.t.Errorf("%s is %q, want %q", expression, got, want)
	}
}

// wait waits until an expression is true in the page that is there.
func (v *visit) wait(expression string) {
	v.t.Helper()
	v.eval(fmt.Sprintf(`new Promise((done, failed) => {
		const late = setTimeout(() => failed(new Error("waited in vain")), 30000);
		(function look() { if (%s) { clearTimeout(late); done(true); } else requestAnimationFrame(look); })();
	})`, expression))
}

func (v *visit) text(selector string) string {
	v.t.Helper()
	return v.eval(`document.querySelector(` + quote(selector) + `)?.innerText ?? "no ` + selector + `"`)
}

func (v *visit) wantText(selector string, parts ...string) {
	v.t.Helper()
	text := strings.Join(strings.Fields(v.text(selector)), " ")
	for _, part := range parts {
		if !strings.Contains(text, part) {
			v.t.Errorf("%s reads %q, want %q in it", selector, text, part)
		}
	}
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // text is text
	}
	return string(quoted)
}

// open goes to a path, and waits until its page is there and its scripts have begun.
func (v *visit) open(path string) {
	v.t.Helper()
	v.do(chromedp.Navigate(v.f.url + path))
}

// leave does what leads to another page, and waits until that is there.
func (v *visit) leave(action chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.Tab, time.Minute)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.WaitEvent(page.LoadEventFired, nil, action)); err != nil {
		v.t.Fatal(err)
	}
}

// signIn signs in and goes to a path.
func (v *visit) signIn(token, path string) {
	v.t.Helper()
	v.open("/login?next=" + url.QueryEscape(path))
	// Visible is not enough: a form that is sent before the page's scripts have run leads to another page.
	v.leave(chromedp.SendKeys(chromedp.CSS("#token"), token+"\n"))
	v.do(chromedp.WaitVisible(chromedp.CSS("form[action='/logout']")))
}

func (v *visit) testSignIn() {
	v.open("/")
	v.want(`location.pathname`, "/login")
	v.do(chromedp.SendKeys(chromedp.CSS("#token"), "guess\n"), chromedp.WaitVisible(chromedp.CSS("#token[aria-invalid]")))
	v.wantText("#e-token", "No such token is known.")
	v.Pardon("status of 401")
	v.do(chromedp.SendKeys(chromedp.CSS("#token"), "admin\n"), chromedp.WaitVisible(chromedp.CSS("#budgets")))
	v.want(`location.pathname`, "/")
	v.wantText(".who", "admin")
	v.want(`document.cookie`, "") // the session's cookie is not for scripts
}

func (v *visit) testNext() {
	path := "/budgets/" + v.f.acme.ID
	v.open(path)
	v.want(`location.pathname`, "/login")
	v.do(chromedp.SendKeys(chromedp.CSS("#token"), "admin\n"), chromedp.WaitVisible(chromedp.CSS("#now")))
	v.want(`location.pathname`, path)
}

func (v *visit) testSignOut() {
	v.signIn("admin", "/")
	v.do(chromedp.Click(chromedp.CSS("form[action='/logout'] button")), chromedp.WaitVisible(chromedp.CSS("#token")))
	v.open("/")
	v.want(`location.pathname`, "/login")
}

func (v *visit) testSessionEnds() {
	v.signIn("admin", "/tenants/acme")
	v.eval(`fetch("/logout", { method: "POST" }).then(() => true)`) // as in another tab
	v.do(chromedp.WaitVisible(chromedp.CSS("#token")))
	v.want(`location.pathname`, "/login")
}

func (v *visit) testOverview() {
	v.signIn("admin", "/")
	month, err := v.f.ledger.CurrentMonth(v.t.Context(), "acme", time.UTC)
	if err != nil {
		v.t.Fatal(err)
	}
	v.wantText("#cards", "Cost $203.50 in March 2026", "Tokens 18,195,616")
	v.wantText("#tenants", "Acme Corporation", "warning", "exceeded", "of 12,000 credits", "of $700.00", "Initech")
	v.want(`document.querySelector("#tenants tbody tr data").value`, month.Usage.Cost().String())
	v.wantText("#budgets", "Acme, all models", "$121.71 $150.00", "1,839,048 4,000,000 tokens", "81.1 % warning", "99.5 % critical", "45.9 % ok", "Europe/Berlin", "observe")
	v.wantText("#alerts", `Budget "Acme, all models" has used`)
	v.want(`document.querySelectorAll("#budgets .bar.warning .hatch").length`, "1")
	v.want(`document.querySelectorAll("#budgets .bar.warning .mark").length`, "1")
	v.want(`document.querySelector("#budgets .bar.warning").getAttribute("aria-label")`, "81.1 % used, warning, 6.5 % reserved, going to 175.8 %")
	v.want(`document.querySelectorAll("#days canvas").length`, "1")
	v.want(`document.querySelectorAll("#days-plot tbody tr").length`, "31")
}

func (v *visit) testFilter() {
	names := func() string {
		return v.eval(`[...document.querySelectorAll("#budgets tbody th a")].map((a) => a.textContent).join()`)
	}
	show := func(script, want string) {
		v.t.Helper()
		v.eval(script + `, true`)
		v.leave(chromedp.Click(chromedp.CSS(".filter button")))
		if got := names(); got != want {
			v.t.Errorf("after %s there are %s, want %s", script, got, want)
		}
	}
	v.signIn("admin", "/")
	show(`document.getElementById("filter-metric").value = "requests"`, "Everything, to watch,Each user, daily")
	show(`document.getElementById("filter-state").value = "disabled"`, "")
	show(`document.querySelector(".filter").reset(), document.getElementById("filter-metric").value = "", document.getElementById("filter-state").value = "enabled", document.getElementById("filter-owner").value = "ada"`, "Batch key")
	v.want(`document.getElementById("filter-owner").value`, "ada")
	v.open("/?metric=nonsense&state=x&owner=&budgets=-3")
	v.want(`document.querySelectorAll("#budgets tbody tr").length`, "10")
}

func (v *visit) testBudget() {
	v.signIn("admin", "/budgets/"+v.f.acme.ID)
	v.wantText("#now", "2026-03-01 00:00 to 2026-04-01 00:00, Europe/Berlin", "Used $121.71", "81.1 % warning", "Limit $150.00",
		"Reserved $9.75", "Available $18.54", "in 80 % of cases", "the limit is passed 2026-03-18")
	v.wantText("#alerts", "80.4%", "105.1%")
	v.wantText("#reservations", "run-4711", "tenant acme, user ada, api key acme-batch, resource claude-sonnet-4-5", "$9.75", "2026-03-15 12:30")
	v.wantText("#spenders", "Users", "ada", "$58.74", "Keys", "acme-app", "Resources", "gpt-5-mini")
	v.wantText("#changes", "adjust budget", "Credit note 7", "create budget")
	v.wantText("#facts", "tenant acme", "monthly, Europe/Berlin", "hard", "80.0 %")
	v.want(`document.querySelectorAll("#course canvas, #history canvas").length`, "2")
	v.want(`document.querySelectorAll("#history-plot tbody tr").length`, "31")
	status, err := v.f.ledger.Status(v.t.Context(), v.f.acme.ID, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	v.want(`[...document.querySelectorAll("#course-plot tbody tr")].findLast((row) => row.cells[1].textContent).cells[1].firstChild.value`, status.Used.String())
}

func (v *visit) testTenant() {
	v.signIn("admin", "/tenants/acme")
	v.wantText("h1", "Acme Corporation")
	v.wantText("#cards", "$124.21", "Cost of all time $635.05 7,370 requests")
	v.wantText("#license", "since 2026-01-01 08:00", "6,350.49 of 12,000 credits", "$635.05 of $700.00", "90.7 % warning", "Per credit $0.10", "Warns from 80.0 %")
	v.wantText("#months", "2026-03 $124.21 1,442 160", "2026-01")
	v.wantText("#spenders", "ada", "acme-batch", "claude-sonnet-4-5")
	v.wantText("#budgets", "Acme, all models", "Acme Corporation, credits")
	v.want(`document.querySelectorAll("#months canvas").length`, "1")
}

func (v *visit) testCounters() {
	v.signIn("admin", "/budgets/"+v.f.users.ID)
	v.wantText("#now-title", "user bob, this period")
	v.wantText("#counters", "user ada", "user eve", "user fay")
	v.do(chromedp.Click(chromedp.CSS("#counters tr:nth-of-type(4) a")), chromedp.WaitVisible(chromedp.CSS("#counters tr:nth-of-type(4) [aria-current]")))
	v.wantText("#now-title", "user dan, this period")
	v.wantText("#now", "Limit 40 requests")
}

// background returns the colour behind the page.
const background = `getComputedStyle(document.body).backgroundColor`

func (v *visit) testTheme() {
	v.signIn("admin", "/")
	light := v.eval(background)
	choose := func(name string) {
		v.t.Helper()
		v.do(chromedp.Click(chromedp.CSS(fmt.Sprintf(".theme button[value=%q]", name))),
			chromedp.WaitReady(chromedp.CSS(fmt.Sprintf(".theme button[value=%q][aria-pressed=true]", name))))
	}
	choose("dark")
	dark := v.eval(background)
	if dark == light {
		v.t.Fatalf("dark is as light: %s", dark)
	}
	// The browser has the choice when the server's answer is in.
	v.wait(`performance.getEntriesByType("resource").some((r) => r.name.endsWith("/theme") && r.responseEnd > 0)`)
	v.open("/tenants/acme")
	v.want(background, dark)
	v.want(`document.documentElement.dataset.theme`, "dark")
	choose("")
	v.want(background, light)
}

func (v *visit) testSystemTheme() {
	v.signIn("admin", "/")
	light := v.eval(background)
	v.prefer("dark")
	if dark := v.eval(background); dark == light {
		v.t.Errorf("dark is as light: %s", dark)
	}
	v.prefer("light")
	v.want(background, light)
}

func (v *visit) testLive() {
	v.signIn("admin", "/")
	v.eval(`window.loaded = true; document.querySelector("#days summary").click(); true`)
	v.eval(`document.querySelector("#budgets tbody a").focus(); scrollTo(0, 300); true`)
	v.wait(`document.activeElement.closest("#budgets") && scrollY === 300`)
	before := v.eval(`document.querySelector("#cards data").value`)
	v.f.record([]usage.Event{{
		ID: "live-1", Time: v.f.now.Now(), Subject: usage.Subject{Tenant: "acme", User: "ada"},
		Amounts: usage.Amounts{InputTokens: 7, Cost: amount("11.25")},
	}})
	v.wait(`document.querySelector("#cards data").value !== ` + quote(before))
	v.want(`document.querySelector("#cards data").textContent`, "$214.75")
	v.wait(`document.querySelector("#budgets").textContent.includes("88.6 % warning")`)
	v.want(`window.loaded && scrollY === 300 && document.querySelector("#days details").open`, "true")
	v.want(`document.activeElement.textContent`, "Everything, to watch")
	v.want(`document.querySelectorAll("#days canvas").length`, "1")
}

func (v *visit) testRows() {
	v.signIn("admin", "/")
	v.eval(`[...document.querySelectorAll("#budgets tbody a")].find((a) => a.textContent === "Batch key").focus(), true`)
	names := func() string {
		return v.eval(`[...document.querySelectorAll("#budgets tbody a")].slice(0, 4).map((a) => a.textContent).join()`)
	}
	made, err := v.f.ledger.Create(v.t.Context(), budget.Budget{Name: "New", Metric: usage.Tokens, Limit: *amount("5")})
	if err != nil {
		v.t.Fatal(err)
	}
	v.wait(`document.querySelector("#budgets tbody a").textContent === "New"`)
	if got, want := names(), "New,Everything, to watch,Batch key,Each user, daily"; got != want {
		v.t.Errorf("there are %s, want %s", got, want)
	}
	v.want(`document.activeElement.textContent`, "Batch key")
	if err := v.f.ledger.Delete(v.t.Context(), made.ID); err != nil {
		v.t.Fatal(err)
	}
	v.wait(`document.querySelector("#budgets tbody a").textContent !== "New"`)
	if got, want := names(), "Everything, to watch,Batch key,Each user, daily,Initech trial"; got != want {
		v.t.Errorf("there are %s, want %s", got, want)
	}
	v.want(`document.activeElement.textContent`, "Batch key")
}

func (v *visit) testAway() {
	v.signIn("admin", "/")
	v.wait(`document.body.dataset.refreshed > 0 && document.getElementById("live").textContent === ""`)
	v.network(network.Conditions{Offline: true})
	v.wait(`document.getElementById("live").textContent === "The server does not answer: figures may be old."`)
	v.wantText("#cards", "$203.50")
	v.network(network.Conditions{})
	v.wait(`document.getElementById("live").textContent === ""`)
	v.Pardon("ERR_INTERNET_DISCONNECTED")

	v.network(network.Conditions{Latency: time.Minute.Seconds() * 1000})
	v.wait(`document.getElementById("live").textContent === "The server does not answer: figures may be old."`)
	v.network(network.Conditions{})
	v.wait(`document.getElementById("live").textContent === ""`)
}

// network makes the tab's network like this, but for how much it carries.
func (v *visit) network(like network.Conditions) {
	v.t.Helper()
	like.DownloadThroughput, like.UploadThroughput = -1, -1
	params := network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{&like}}
	if _, err := chromedp.Call(v.Tab, network.EmulateNetworkConditionsByRule, params); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visit) testGone() {
	v.signIn("admin", "/budgets/"+v.f.acme.ID)
	if err := v.f.ledger.Delete(v.t.Context(), v.f.acme.ID); err != nil {
		v.t.Fatal(err)
	}
	v.wait(`document.getElementById("live").textContent.startsWith("What this page shows is gone")`)
	v.wantText("#now", "Used $121.71")
	v.Pardon("status of 404")
}

// testHidden looks at the page's timers and requests, since of what does not happen there is nothing to wait for.
func (v *visit) testHidden() {
	v.signIn("admin", "/")
	v.wait(`document.body.dataset.refreshed > 1`)
	v.eval(`(() => {
		window.timers = new Set();
		const set = window.setTimeout, clear = window.clearTimeout;
		window.setTimeout = (f, ms) => { const id = set(() => { timers.delete(id); f(); }, ms); timers.add(id); return id; };
		window.clearTimeout = (id) => { timers.delete(id); clear(id); };
	})(), true`)
	look := func(hidden bool) {
		v.t.Helper()
		v.eval(fmt.Sprintf(`Object.defineProperty(document, "hidden", { configurable: true, get: () => %v }), document.dispatchEvent(new Event("visibilitychange")), true`, hidden))
	}
	asked := func() string {
		return v.eval(`(async () => {
			let before;
			do { before = document.body.dataset.refreshed; await new Promise(requestAnimationFrame); await fetch(location.href); }
			while (before !== document.body.dataset.refreshed);
			return before;
		})()`)
	}
	look(true)
	before := asked() // an answer that was on its way is in
	v.want(`timers.size`, "0")
	if after := asked(); after != before {
		v.t.Errorf("it was refreshed %s times, then %s", before, after)
	}
	look(false)
	v.wait(`document.body.dataset.refreshed > ` + before)
}

func (v *visit) testFaults() {
	v.signIn("admin", "/")
	noticed := func(fault, script string) {
		v.t.Helper()
		v.eval(script)
		v.eval(`true`)
		if !slices.ContainsFunc(v.Faults(), func(f string) bool { return strings.Contains(f, fault) }) {
			v.t.Errorf("%s went unnoticed among %q", fault, v.Faults())
		}
		v.Pardon("")
	}
	noticed("Content Security Policy", `document.body.setAttribute("style", "color: red"), true`)
	noticed("console.error", `console.error("x"), true`)
	noticed("thrown", `new Promise((done) => setTimeout(() => { setTimeout(done); throw new Error("thrown"); })).then(() => true)`)
	v.do(chromedp.Navigate("about:blank")) // which no policy protects
	noticed("request to http://127.0.0.1:9/", `fetch("http://127.0.0.1:9/", { mode: "no-cors" }).catch(() => true).then(() => true)`)
}

// Whoever is not signed in is led to the sign-in, whatever they ask for, and learns nothing of what is there.
func TestNobodySeesAPageWithoutASession(t *testing.T) {
	f := newFurnished(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"/", "/budgets/" + f.acme.ID, "/budgets/x", "/tenants/acme", "/tenants/x", "/nothing"} {
		answer, err := client.Get(f.url + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(answer.Header.Get("Location"), "/login") {
			t.Errorf("%s: %d to %q, want the sign-in", path, answer.StatusCode, answer.Header.Get("Location"))
		}
	}
}

// signedIn returns a client with the session of a token.
func (w *world) signedIn(token string) *http.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	answer, err := client.PostForm(w.url+"/login", url.Values{"token": {token}})
	if err != nil {
		w.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		w.t.Fatalf("signing in as %s: %d", token, answer.StatusCode)
	}
	return client
}

// What a caller may not see is as what is not there, and neither is in their lists.
func TestPagesAreForThoseWhoMaySee(t *testing.T) {
	onEveryStore(t, pagesAreForThoseWhoMaySee)
}

func pagesAreForThoseWhoMaySee(t *testing.T, w *world) {
	f := furnish(w)
	acme, keys, users, unknown := "/budgets/"+f.acme.ID, "/budgets/"+f.keys.ID, "/budgets/"+f.users.ID, "/budgets/01890a5d-ac96-774b-bcce-b302099a8057"
	tests := map[string]struct{ sees, not []string }{
		"admin":        {[]string{acme, keys, users, "/tenants/acme", "/tenants/initech"}, []string{unknown, "/budgets/x", "/tenants/x"}},
		"reader":       {[]string{acme, keys, users}, []string{"/tenants/acme", unknown}},
		"ada":          {[]string{keys}, []string{acme, users, "/tenants/acme", unknown}},
		"bob":          {nil, []string{acme, keys, users, "/tenants/acme"}},
		"acme-admin":   {[]string{acme, "/tenants/acme"}, []string{keys, users, "/tenants/globex", "/tenants/x"}},
		"acme-ada":     {nil, []string{acme, keys, users, "/tenants/acme"}},
		"globex-admin": {[]string{"/tenants/globex"}, []string{acme, keys, users, "/tenants/acme"}},
	}
	for token, test := range tests {
		t.Run(token, func(t *testing.T) {
			client := f.signedIn(token)
			status, overview := get(t, client, f.url+"/")
			if status != http.StatusOK {
				t.Fatalf("/: %d", status)
			}
			for _, path := range test.sees {
				if status, _ := get(t, client, f.url+path); status != http.StatusOK {
					t.Errorf("%s: %d, want it to be there", path, status)
				}
				if !strings.Contains(overview, path) && !strings.HasPrefix(path, "/tenants/") {
					t.Errorf("the overview leaves %s out", path)
				}
			}
			_, nothing := get(t, client, f.url+unknown)
			for _, path := range test.not {
				status, body := get(t, client, f.url+path)
				if status != http.StatusNotFound {
					t.Errorf("%s: %d, want it not to be there", path, status)
				}
				if likeAny(body, path) != likeAny(nothing, unknown) {
					t.Errorf("%s differs from what is not there:\n%s", path, body)
				}
				if strings.Contains(overview, path+`"`) {
					t.Errorf("the overview has %s", path)
				}
			}
		})
	}
}

// The figures of the month are of what a caller may see: all, their organization's or their own. Nothing on their pages is of
// others.
func TestFiguresAreOfThoseWhoMayBeSeen(t *testing.T) {
	f := newFurnished(t)
	month := usage.Month.Bounds(morning, time.UTC)
	everybody := []string{"acme", "globex", "initech", "ada", "bob", "cyd", "dan", "eve", "fay"}
	tests := map[string]struct {
		where map[usage.Dimension]string
		knows []string
	}{
		"admin":        {nil, everybody},
		"reader":       {nil, everybody},
		"acme-admin":   {map[usage.Dimension]string{usage.Tenant: "acme"}, []string{"acme", "ada", "bob", "cyd"}},
		"globex-admin": {map[usage.Dimension]string{usage.Tenant: "globex"}, []string{"globex", "dan", "eve"}},
		"acme-ada":     {map[usage.Dimension]string{usage.Tenant: "acme", usage.User: "ada"}, []string{"acme", "ada"}},
		"bob":          {map[usage.Dimension]string{usage.User: "bob"}, []string{"bob"}},
	}
	for token, test := range tests {
		t.Run(token, func(t *testing.T) {
			cost := decimal.Zero
			for line, err := range f.ledger.Groups(t.Context(), budget.GroupQuery{Span: month, Where: test.where}) {
				if err != nil {
					t.Fatal(err)
				}
				cost = cost.Add(line.Cost())
			}
			client := f.signedIn(token)
			_, overview := get(t, client, f.url+"/")
			if want := fmt.Sprintf(`<dt>Cost</dt><dd><data value="%s"`, cost); cost.IsZero() || !strings.Contains(overview, want) {
				t.Errorf("the overview has not the cost %v", cost)
			}
			for _, path := range f.pages() {
				status, body := get(t, client, f.url+path)
				if status == http.StatusNotFound {
					continue // its text is checked elsewhere, and repeats the address
				}
				for _, name := range everybody {
					if !slices.Contains(test.knows, name) && regexp.MustCompile(`(?i)\b`+name+`\b`).MatchString(body) {
						t.Errorf("%s tells of %s", path, name)
					}
				}
			}
		})
	}
}

// Who spends and who reserves is told to those whom the API tells it too: a budget of one's own may count what others use.
func TestPagesNameOthersToThoseWhoMayReadOnly(t *testing.T) {
	f := newFurnished(t)
	recorders, err := f.ledger.Create(t.Context(), budget.Budget{
		Name: "All", Metric: usage.Requests, Limit: *amount("100000"), Owner: "recorder", CreatedBy: "recorder",
	})
	if err != nil {
		t.Fatal(err)
	}
	teams, err := f.ledger.Create(t.Context(), budget.Budget{
		Name: "Team", Metric: usage.Requests, Limit: *amount("100000"), Scope: budget.Scope{usage.Tenant: "acme"}, Owner: "ada", CreatedBy: "ada",
	})
	if err != nil {
		t.Fatal(err)
	}
	namesakes, err := f.ledger.Create(t.Context(), budget.Budget{
		Name: "Namesake", Metric: usage.Requests, Limit: *amount("100000"), Scope: budget.Scope{usage.Tenant: "acme"}, Owner: "creator",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ledger.Reserve(t.Context(), budget.Request{
		ID: "run-5", Subject: usage.Subject{Tenant: "acme", User: "cyd", APIKey: "acme-batch"},
		Estimate: usage.Amounts{InputTokens: 1, Cost: amount("0.01")},
	}); err != nil {
		t.Fatal(err)
	}
	const organization, user, key, resource, held = "<th scope=\"row\">globex<", ">bob<", ">acme-batch<", ">gpt-5-mini<", ">run-5<"
	all := []string{organization, user, key, resource, held, namesakes.ID}
	for _, test := range []struct {
		token, path string
		tells       []string
	}{
		{"admin", "/budgets/" + recorders.ID, []string{organization, user, key, resource, held}},
		{"reader", "/budgets/" + recorders.ID, []string{organization, user, key, resource}},
		{"recorder", "/budgets/" + recorders.ID, []string{resource, held}},
		{"acme-admin", "/budgets/" + teams.ID, []string{user, key, resource, held}},
		{"acme-ada", "/budgets/" + teams.ID, []string{resource}},
		{"ada", "/budgets/" + f.keys.ID, []string{resource}},
		{"admin", "/tenants/acme", []string{user, key, resource, namesakes.ID}},
		{"acme-admin", "/tenants/acme", []string{user, key, resource, namesakes.ID}},
		{"creator", "/tenants/acme", nil},
		{"creator", "/", nil},
	} {
		status, body := get(t, f.signedIn(test.token), f.url+test.path)
		if status != http.StatusOK {
			t.Fatalf("%s as %s: %d", test.path, test.token, status)
		}
		for _, text := range all {
			if tells := strings.Contains(body, text); tells != slices.Contains(test.tells, text) {
				t.Errorf("%s tells %s of %s: %v", test.path, test.token, text, tells)
			}
		}
		if test.path == "/" && !strings.Contains(body, `<dt>Cost</dt><dd><data value="0"`) {
			t.Errorf("%s tells %s what others cost", test.path, test.token)
		}
	}
}

func TestBehindTheEndOfAListIsAWayBack(t *testing.T) {
	f := newFurnished(t)
	client := f.signedIn("admin")
	for path, back := range map[string]string{
		"/?budgets=9":                            "/?budgets=1",
		"/?metric=credits&budgets=9&owner=x":     "/?budgets=1&amp;metric=credits&amp;owner=x",
		"/?tenants=9":                            "/?tenants=1",
		"/tenants/acme?budgets=9":                "/tenants/acme?budgets=1",
		"/budgets/" + f.users.ID + "?counters=9": "/budgets/" + f.users.ID + "?counters=1",
	} {
		if status, body := get(t, client, f.url+path); status != http.StatusOK || !strings.Contains(body, `<a href="`+back+`" rel="prev">`) {
			t.Errorf("%s: %d, with no link to %s", path, status, back)
		}
	}
}

// What a budget's page says where there is little to say, or much.
func TestOddBudgetsHavePages(t *testing.T) {
	w := newWorld(t)
	tests := map[string]struct {
		budget budget.Budget
		says   []string
	}{
		"one that has not begun": {
			budget.Budget{Limit: *amount("5"), StartsAt: morning.AddDate(0, 2, 0)},
			[]string{"not running now", "2026-05-15 09:30", "the period is not running", "Nothing is reserved."},
		},
		"one that has ended": {budget.Budget{Limit: *amount("5"), EndsAt: morning.AddDate(0, -2, 0)}, []string{"not running now"}},
		"one without a period": {
			budget.Budget{Limit: *amount("5"), Schedule: period.Lifetime},
			[]string{"since ever to for ever", "the period is open at one side"},
		},
		"one with many counters and none yet": {
			budget.Budget{Limit: *amount("5"), Scope: budget.Scope{usage.User: budget.Each}},
			[]string{"each user", "nothing was recorded in the period"},
		},
		"one on a label": {
			budget.Budget{Limit: *amount("5"), Scope: budget.Scope{"team": "blue"}}, []string{"team blue", "Not known for budgets on labels."},
		},
		"one on credits without a rate": {budget.Budget{Metric: usage.Credits, Limit: *amount("9223372036854.775807")}, []string{"no limit"}},
		"one that says all": {
			budget.Budget{
				Limit: *amount("0.000000001"), Schedule: period.Every(90, period.Second, morning), Enforcement: budget.Observe, Disabled: true,
				Scope: budget.Scope{usage.User: budget.Each}, Except: budget.Except{usage.User: {"bob", "cyd"}},
				AllowedResources: []string{"gpt", "claude"}, MinHold: *amount("0.5"), Labels: map[string]string{"cost center": "7"},
				Thresholds: alert.Thresholds{Extra: []decimal.Decimal{*amount("50"), *amount("95.5")}}, Metadata: []byte(`{"a":[1]}`),
			},
			[]string{"every:90s", "user bob, cyd", "gpt, claude", "$0.50", "cost center", "50.0 %, 95.5 %", "{&#34;a&#34;:[1]}", "observe", "disabled"},
		},
	}
	client := w.signedIn("admin")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.budget.Name, test.budget.Metric = name, cmp.Or(test.budget.Metric, usage.Dollars)
			b, err := w.ledger.Create(t.Context(), test.budget)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/budgets/" + b.ID, "/"} {
				status, body := get(t, client, w.url+path)
				if status != http.StatusOK {
					t.Fatalf("%s: %d", path, status)
				}
				for _, says := range test.says {
					if path != "/" && !strings.Contains(body, says) {
						t.Errorf("%s does not say %q", path, says)
					}
				}
			}
		})
	}
}

func get(t *testing.T, client *http.Client, address string) (int, string) {
	t.Helper()
	answer, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

var nonce = regexp.MustCompile(` nonce="[^"]+"`)

// likeAny returns a page without what is another one each time, and without its own path.
func likeAny(body, path string) string {
	return strings.ReplaceAll(nonce.ReplaceAllString(body, ""), path, "")
}
