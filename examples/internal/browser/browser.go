// Package browser drives a real Chromium for tests and screenshots, and watches what a page does behind its back.
package browser

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Variable is the environment variable that names the program to use.
const Variable = "PURSER_TEST_CHROMIUM"

// programs are the names under which Chromium, or what is as good, is looked for on PATH.
var programs = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Find returns the path of the Chromium that the environment names, else of one on PATH. The error says what to install.
func Find() (string, error) {
	if named := os.Getenv(Variable); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%s: %w", Variable, err)
		}
		return path, nil
	}
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("the tests of the page need Chromium and find none of " + strings.Join(programs, ", ") +
		" (Debian: apt-get install chromium), nor does " + Variable + " name one")
}

// Start starts a Chromium without a window, for [Open]. It looks for nothing on the network by itself, and ends with stop.
func Start(ctx context.Context) (_ context.Context, stop func(), err error) {
	path, err := Find()
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(2*time.Minute), // a busy machine takes its time to start it
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("font-render-hinting", "none"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root otherwise
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	browser, cancel := chromedp.NewContext(allocator)
	stop = func() { cancel(); cancelAllocator() }
	if err := chromedp.Do(browser); err != nil {
		stop()
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	return browser, stop, nil
}

// A Tab is a tab with cookies of its own. It keeps what a page of one origin should never do.
type Tab struct {
	context.Context // what chromedp runs actions in
	origin          string

	mu     sync.Mutex
	faults []string
}

// Open opens a tab for pages of this origin, such as http://127.0.0.1:8080. close closes it.
func Open(browser context.Context, origin string) (_ *Tab, closeTab func(), err error) {
	t := &Tab{origin: origin}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(t.listen))
	t.Context = ctx
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		return nil, nil, err
	}
	return t, cancel, nil
}

// Faults returns what the pages did that they should not: errors and warnings on the console, what the content security
// policy stopped among them, exceptions that nothing caught, and requests to another origin.
func (t *Tab) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults
}

// Pardon forgets faults with this text, which the test has brought about.
func (t *Tab) Pardon(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var left []string
	for _, fault := range t.faults {
		if !strings.Contains(fault, text) {
			left = append(left, fault)
		}
	}
	t.faults = left
}

func (t *Tab) fault(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

func (t *Tab) listen(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			t.fault("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		t.fault("console.%s", e.Type) // no page of ours writes there
	case *runtime.EventExceptionThrown:
		t.fault("%v", &chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails})
	case *network.EventRequestWillBeSent:
		if !t.ours(e.Request.URL) {
			t.fault("request to %s", e.Request.URL)
		}
	}
}

func (t *Tab) ours(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme+"://"+u.Host == t.origin || u.Scheme == "data" || u.Scheme == "about")
}
