package openapi_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/purser-go/purser/examples/server/internal/openapi"
	"github.com/purser-go/purser/examples/server/internal/secure"
)

func docs(t *testing.T, theme string) string {
	t.Helper()
	mux := http.NewServeMux()
	openapi.Register(mux, openapi.Look{Assets: "/assets/x", Theme: func(*http.Request) string { return theme }})
	answer := httptest.NewRecorder()
	secure.Headers(mux, false).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/docs", nil))
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("the page is answered %d, %s", answer.Code, answer.Header().Get("Content-Type"))
	}
	nonce := regexp.MustCompile(`style-src 'self' 'nonce-([^']+)'`).FindStringSubmatch(answer.Header().Get("Content-Security-Policy"))
	page := answer.Body.String()
	if nonce == nil || !strings.Contains(page, `<style nonce="`+nonce[1]+`">`) {
		t.Errorf("its style does not carry the nonce of %q", answer.Header().Get("Content-Security-Policy"))
	}
	return page
}

func TestAllLinksOfThePageLeadSomewhere(t *testing.T) {
	page := docs(t, "")
	ids := make(map[string]bool)
	for _, match := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[match[1]] {
			t.Errorf("two things have the id %s", match[1])
		}
		ids[match[1]] = true
	}
	links := 0
	for _, match := range regexp.MustCompile(` href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
		links++
		if !ids[match[1]] {
			t.Errorf("nothing has the id %s", match[1])
		}
	}
	if links < 50 {
		t.Errorf("there are only %d links", links)
	}
	// What problems that have a type say of themselves.
	for _, id := range []string{"invalid", "exceeded"} {
		if !ids[id] {
			t.Errorf("nothing has the id %s", id)
		}
	}
}

func TestThePageTellsAllOfTheDocument(t *testing.T) {
	page := docs(t, "dark")
	whole := document(t).(map[string]any)
	for path, methods := range whole["paths"].(map[string]any) {
		if !strings.Contains(page, "</span> "+path+"</code>") {
			t.Errorf("it does not tell of %s", path)
		}
		for _, operation := range methods.(map[string]any) {
			if id := operation.(map[string]any)["operationId"].(string); !strings.Contains(page, `id="`+id+`"`) {
				t.Errorf("it does not tell of %s", id)
			}
		}
	}
	for name := range whole["components"].(map[string]any)["schemas"].(map[string]any) {
		if !strings.Contains(page, `id="schema-`+name+`"`) {
			t.Errorf("it does not tell of %s", name)
		}
	}
	if !strings.Contains(page, `<html lang="en" data-theme="dark">`) {
		t.Error("it is not dark")
	}
	if strings.Contains(page, "<script") || strings.Contains(page, " style=") || strings.Contains(page, "raw HTML omitted") {
		t.Error("it has a script, an inline style, or HTML in a description")
	}
}
