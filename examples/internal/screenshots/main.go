// Command screenshots takes the pictures of the server's page that docs/screenshots has: of its demo, at a time that stands
// still, so that they change only when the page does.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/purser-go/purser/examples/internal/browser"
)

// now is when the pictures are taken: late in a month, so that there is something to see.
const now = "2026-03-19T15:20:00Z"

const folder = "docs/screenshots"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "purser-screenshots-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	chromium, stopChromium, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer stopChromium()
	tab, closeTab, err := browser.Open(chromium, s.url)
	if err != nil {
		return err
	}
	defer closeTab()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := take(tab, s); err != nil {
		return err
	}
	if faults := tab.Faults(); faults != nil {
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}

// A server is the example with its demo.
type server struct {
	url, token string
	stop       func()
}

// startServer builds and starts the server on a free port, and reads from its output where it is and how to sign in.
func startServer(ctx context.Context, dir string) (*server, error) {
	program := filepath.Join(dir, "server")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./examples/server")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the server: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "--demo", "--addr", "127.0.0.1:0", "--db", "sqlite:"+filepath.Join(dir, "demo.db"), "--now", now)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{stop: func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.url = at
		}
		if token, ok := strings.CutPrefix(lines.Text(), "sign in with the token "); ok {
			s.token = token
		}
		if s.url != "" && s.token != "" {
			return s, nil
		}
	}
	s.stop()
	return nil, errors.Join(errors.New("the server ended without saying where it is"), lines.Err())
}

// A picture is a page as somebody sees it.
type picture struct {
	name          string // of the file
	link          string // on the overview, to the page; "": it is the overview itself
	scheme        string
	width, height int64
}

var pictures = []picture{
	{"overview-light.png", "", "light", 1200, 1500},
	{"overview-dark.png", "", "dark", 1200, 1500},
	{"budget-light.png", "Acme, monthly", "light", 1200, 1500},
	{"budget-dark.png", "Acme, monthly", "dark", 1200, 1500},
	{"organization-light.png", "Acme Robotics", "light", 1200, 1500},
	{"budget-narrow.png", "Acme, monthly", "light", 320, 1200},
	{"overview-narrow.png", "", "dark", 320, 1200},
}

// take signs in and takes all pictures.
func take(tab *browser.Tab, s *server) error {
	err := shoot(tab, s.url+"/login", picture{name: "sign-in.png", scheme: "light", width: 1200, height: 600})
	if err != nil {
		return err
	}
	err = chromedp.Do(tab, chromedp.SendKeys(chromedp.CSS("#token"), s.token+"\n"), chromedp.WaitVisible(chromedp.CSS("#budgets")))
	if err != nil {
		return err
	}
	for _, p := range pictures {
		address := s.url + "/"
		if p.link != "" {
			if address, err = follow(tab, address, p.link); err != nil {
				return err
			}
		}
		if err := shoot(tab, address, p); err != nil {
			return err
		}
	}
	return nil
}

// follow returns where a link on a page leads.
func follow(tab *browser.Tab, from, link string) (string, error) {
	if err := chromedp.Do(tab, chromedp.Navigate(from)); err != nil {
		return "", err
	}
	find := fmt.Sprintf(`[...document.querySelectorAll("main a")].find((a) => a.textContent === %q)?.href ?? ""`, link)
	to, err := chromedp.Run(tab, chromedp.Evaluate[string](find))
	if err == nil && to == "" {
		err = fmt.Errorf("%s has no link %q", from, link)
	}
	return to, err
}

// shoot opens a page and takes a picture of it.
func shoot(tab *browser.Tab, address string, p picture) error {
	colours := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: p.scheme}}}
	if _, err := chromedp.Call(tab, emulation.SetEmulatedMedia, colours); err != nil {
		return err
	}
	if err := chromedp.Do(tab, chromedp.EmulateViewport(p.width, p.height), chromedp.Navigate(address)); err != nil {
		return err
	}
	// Fonts and plots are there when a frame has been drawn after the page's scripts.
	drawn := `document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))`
	if _, err := chromedp.Run(tab, chromedp.Evaluate[bool](drawn, chromedp.EvalAwaitPromise)); err != nil {
		return err
	}
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return os.WriteFile(filepath.Join(folder, p.name), png, 0o644)
}
