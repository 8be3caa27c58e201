package main

import (
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// pages are the paths of all kinds of page that somebody sees who is signed in.
func (f *furnished) pages() []string {
	return []string{"/", "/budgets/" + f.acme.ID, "/budgets/" + f.users.ID, "/budgets/" + f.keys.ID, "/tenants/acme", "/tenants/initech", "/nothing"}
}

func (v *visit) prefer(scheme string) {
	v.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(v.Tab, emulation.SetEmulatedMedia, params); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visit) testNarrow() {
	v.do(chromedp.EmulateViewport(320, 640, chromedp.EmulateMobile))
	v.open("/login")
	v.want(`document.documentElement.scrollWidth`, "320")
	v.signIn("admin", "/")
	for _, path := range append(v.f.pages(), append(v.f.longNames(), "/docs", "/")...) {
		v.open(path)
		if width := v.eval(`document.documentElement.scrollWidth`); width != "320" {
			v.t.Errorf("%s is %s pixels wide; what sticks out is %s", path, width, v.eval(`[...document.querySelectorAll("main *, .top *")]
				.filter((e) => e.getBoundingClientRect().right > 320 && !e.closest(".scroll, .numbers")).map((e) => e.outerHTML.slice(0, 90)).join("\n")`))
		}
	}
	v.Pardon("status of 404")
}

// longNames makes budgets and an organization with names of a hundred letters, and returns the paths of their pages.
func (f *furnished) longNames() []string {
	f.t.Helper()
	ctx, long := f.t.Context(), strings.Repeat("long", 25)
	if _, err := f.ledger.PutTenant(ctx, budget.Tenant{ID: long, Name: "O" + long[1:], Slug: "s" + long[1:]}); err != nil {
		f.t.Fatal(err)
	}
	paths := []string{"/tenants/" + long}
	for _, scope := range []budget.Scope{{usage.Tenant: budget.Selector(long)}, {usage.User: budget.Each, usage.APIKey: budget.Each}} {
		b, err := f.ledger.Create(ctx, budget.Budget{Name: "B" + long[1:], Description: &long, Metric: usage.Dollars, Limit: *amount("1"), Scope: scope})
		if err != nil {
			f.t.Fatal(err)
		}
		paths = append(paths, "/budgets/"+b.ID)
	}
	subject := usage.Subject{Tenant: long, User: long, APIKey: long, Resource: long}
	f.record([]usage.Event{{ID: long, Subject: subject, Amounts: usage.Amounts{InputTokens: 5, Cost: amount("0.9")}}})
	return append(paths, paths[2]+"?value="+url.QueryEscape(budget.Value{usage.User: long, usage.APIKey: long}.Key()))
}

// focused names the element that has the focus, and remembers that it was reached.
const focused = `(() => {
	const e = document.activeElement;
	if (e === document.body) return "";
	reached.add(e);
	const style = getComputedStyle(e);
	if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) return "unseen: " + e.outerHTML;
	return e.outerHTML.slice(0, 200);
})()`

func (v *visit) testKeyboard() {
	v.open("/login")
	v.wait(`document.activeElement.id === "token"`)
	v.do(chromedp.KeyEvent("admin"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#budgets")))
	v.do(chromedp.KeyEvent(kb.Tab))
	v.want(`document.activeElement.className + getComputedStyle(document.activeElement).left`, "skip14px")
	v.do(chromedp.KeyEvent(kb.Enter))
	v.wait(`document.activeElement.id === "main"`)

	for _, path := range []string{"/", "/budgets/" + v.f.users.ID, "/budgets/" + v.f.acme.ID, "/tenants/acme"} {
		v.open(path)
		v.eval(`window.reached = new Set(), true`) // of elements that stay the same ones while the figures keep up
		const most = 400
		for i := range most + 1 {
			v.do(chromedp.KeyEvent(kb.Tab))
			at := v.eval(focused)
			if at == "" {
				break // beyond the last one
			}
			if strings.HasPrefix(at, "unseen") {
				v.t.Errorf("%s: the focus is %s", path, at)
			}
			if i == most {
				v.t.Fatalf("%s: after %d tabs the focus is on %s", path, most, at)
			}
		}
		if missed := v.eval(`[...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary")]
			.filter((e) => e.checkVisibility() && !reached.has(e)).map((e) => e.outerHTML).join("\n")`); missed != "" {
			v.t.Errorf("%s: the keyboard does not reach\n%s", path, missed)
		}
	}
}

func (v *visit) testWithoutScripts() {
	if _, err := chromedp.Call(v.Tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		v.t.Fatal(err)
	}
	v.signIn("admin", "/")
	v.wantText("#cards", "$203.50")
	v.wantText("#budgets", "Acme, all models", "81.1 % warning")
	v.do(chromedp.Click(chromedp.CSS("#days summary")))
	v.wantText("#days-plot", "2026-03-14")
	v.do(chromedp.Click(chromedp.CSS("#budgets tr:nth-of-type(6) a")), chromedp.WaitVisible(chromedp.CSS("#now")))
	v.wantText("#now", "$121.71")
	v.wantText("#editing", "Editing needs JavaScript.")
	v.want(`document.querySelector("#edit").checkVisibility()`, "false")
	v.do(chromedp.Click(chromedp.CSS(".theme button[value=dark]")), chromedp.WaitReady(chromedp.CSS("html[data-theme=dark]")))
	v.wantText("#now", "$121.71") // it leads back to where it was chosen
	v.do(chromedp.Click(chromedp.CSS("form[action='/logout'] button")), chromedp.WaitVisible(chromedp.CSS("#token")))
}

//go:embed testdata/axe/axe.min.js.gz
var axeFile string

func axe(t *testing.T) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(axeFile))
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

func (v *visit) testAxe() {
	script := axe(v.t)
	check := func(what string) {
		v.t.Helper()
		v.eval(script + `; true`)
		found := v.eval(`axe.run({ resultTypes: ["violations"] }).then((r) => JSON.stringify({ passed: r.passes.length,
			violations: r.violations.map((x) => x.id + ": " + x.nodes.slice(0, 3).map((n) => n.html + " " + n.failureSummary).join("; ")) }))`)
		var result struct {
			Passed     int
			Violations []string
		}
		if err := json.Unmarshal([]byte(found), &result); err != nil {
			v.t.Fatal(err)
		}
		if result.Passed < 10 {
			v.t.Errorf("%s: only %d rules were looked at", what, result.Passed)
		}
		for _, violation := range result.Violations {
			v.t.Errorf("%s: %s", what, violation)
		}
	}
	schemes := []string{"light", "dark"}
	for _, scheme := range schemes {
		v.prefer(scheme)
		v.open("/login")
		check("/login, " + scheme)
	}
	v.signIn("admin", "/")
	for _, path := range []string{"/", "/budgets/" + v.f.acme.ID, "/budgets/" + v.f.users.ID, "/tenants/acme", "/nothing", "/docs"} {
		for _, scheme := range schemes {
			v.prefer(scheme)
			v.open(path)
			v.eval(`document.querySelectorAll("details").forEach((d) => d.open = true), true`)
			check(path + ", " + scheme)
		}
	}
	v.Pardon("status of 404")
}

// evil is what somebody might write who means no good.
var evil = []string{
	`<img src=x onerror=alert(1)>`, `"><script>alert(2)</script>' onmouseover='alert(3)`, `javascript:alert(4)`,
	"{{.}}${alert(5)}</table></main><iframe src=/>&lt;b&gt;\u202egnp.exe",
}

func (v *visit) testScripts() {
	ctx := v.t.Context()
	must := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	ledger := v.f.ledger.By(evil[1])
	var paths []string
	for i, text := range evil {
		_, err := ledger.PutTenant(ctx, budget.Tenant{ID: text, Name: text, Slug: text})
		must(err)
		fixed, err := ledger.Create(ctx, budget.Budget{
			Name: text, Description: &text, Metric: usage.Dollars, Limit: *amount("1"), Owner: text, Labels: map[string]string{text: text},
			Metadata: json.RawMessage(`{"x":` + quote(text) + `}`), AllowedResources: []string{text}, Enforcement: budget.Soft,
			Scope: budget.Scope{usage.Tenant: budget.Selector(text)},
		})
		must(err)
		each, err := ledger.Create(ctx, budget.Budget{
			Name: text, Metric: usage.Requests, Limit: *amount("2"), Scope: budget.Scope{usage.User: budget.Each, usage.APIKey: budget.Each},
		})
		must(err)
		subject := usage.Subject{Tenant: text, User: text, APIKey: text, Resource: text}
		v.f.record([]usage.Event{{ID: text, Subject: subject, Amounts: usage.Amounts{InputTokens: 5, Cost: amount("0.9")}}})
		_, err = ledger.Reserve(ctx, budget.Request{ID: text + "-held", Subject: subject, Estimate: usage.Amounts{InputTokens: 1, Cost: amount("0.05")}})
		must(err)
		_, err = ledger.Adjust(ctx, budget.Adjustment{ID: text, Budget: fixed.ID, Amount: *amount("0.01"), Reason: text})
		must(err)
		_, err = ledger.Update(ctx, fixed.ID, func(b *budget.Budget) error { b.Name += "!"; return nil })
		must(err)
		value := budget.Value{usage.User: text, usage.APIKey: text}
		paths = append(paths, "/budgets/"+fixed.ID, "/budgets/"+each.ID+"?value="+url.QueryEscape(value.Key()), "/tenants/"+url.PathEscape(text))
		if i == 0 {
			paths = append(paths, "/?tenants="+url.QueryEscape(text), "/budgets/"+url.PathEscape(text), "/budgets/"+each.ID+"?value="+url.QueryEscape(text))
		}
	}
	v.signIn("admin", "/")
	v.wantText("#budgets", evil[0], evil[1], evil[2])
	for _, path := range append(paths, "/") {
		v.open(path)
		v.wait(`document.body.dataset.refreshed > 1 || !document.body.dataset.refresh`) // what keeps up writes it again
		v.want(`document.querySelectorAll("main img, main script, main iframe, [onerror], [onmouseover], main [src]").length`, "0")
		v.want(`[...document.querySelectorAll("a")].filter((a) => new URL(a.href).origin !== location.origin).length`, "0")
		v.want(`document.querySelectorAll("body > main").length`, "1")
	}
	v.Pardon("status of 404")
	for _, next := range []string{"https://example.com/", "//example.com/", `/\example.com/`, "javascript:alert(6)", "x"} {
		v.eval(`fetch("/logout", { method: "POST", redirect: "manual" }).then(() => true)`)
		v.open("/login?next=" + url.QueryEscape(next))
		v.do(chromedp.SendKeys(chromedp.CSS("#token"), "bob\n"), chromedp.WaitVisible(chromedp.CSS("form[action='/logout']")))
		v.want(`location.pathname`, "/")
	}
}
