package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/purser-go/purser/internal/pgtest"
)

// binary is the built server.
var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "server-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	if never := described().neverGiven(); code == 0 && allRun() && len(never) > 0 {
		fmt.Println("FAIL: the OpenAPI document has answers that no test is given:\n\t" + strings.Join(never, "\n\t"))
		return 1
	}
	return code
}

// allRun reports whether no test was left out.
func allRun() bool {
	for _, name := range []string{"run", "skip", "fuzz", "list"} {
		if flag.Lookup("test."+name).Value.String() != "" {
			return false
		}
	}
	return true
}

// A started server is a process of its own.
type started struct {
	*exec.Cmd
	url    string
	token  string // that it printed
	stderr *record
}

// start starts the server on a free port in a folder, and waits until it serves.
func start(t *testing.T, dir string, args ...string) *started {
	t.Helper()
	s := &started{Cmd: exec.Command(binary, append([]string{"--addr", "127.0.0.1:0"}, args...)...), stderr: &record{}}
	s.Dir, s.Stderr = dir, s.stderr
	stdout, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Process.Kill(); _ = s.Wait() })
	lines := bufio.NewScanner(stdout)
	for s.url == "" || s.token == "" && !strings.Contains(strings.Join(args, " "), "--tokens") {
		if !lines.Scan() {
			t.Fatalf("the server ended: %s", s.stderr.String())
		}
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.url = url
		}
		if token, ok := strings.CutPrefix(lines.Text(), "sign in with the token "); ok {
			s.token = token
		}
	}
	return s
}

func (s *started) get(t *testing.T, path, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answered, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answered.Body.Close()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered.StatusCode, string(text)
}

// stop asks the server to end, and waits until it has.
func (s *started) stop(t *testing.T) {
	t.Helper()
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Fatalf("%v: %s", err, s.stderr.String())
	}
}

func TestItStartsWithNothingAndPrintsAToken(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if status, _ := s.get(t, "/readyz", ""); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
	if status, body := s.get(t, "/api/v1/tenants/x", s.token); status != http.StatusNotFound {
		t.Errorf("with the token: %d %s", status, body)
	}
	s.stop(t)
	if _, err := os.Stat(filepath.Join(dir, "purser.db")); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.stderr.String(), s.token) {
		t.Errorf("the token is in the log:\n%s", s.stderr.String())
	}
}

func TestItTakesItsTokensFromAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tokens.json"), []byte(people), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--db", pgtest.URL(t), "--tokens", "tokens.json", "--zone", "Europe/Berlin")
	if status, body := s.get(t, "/api/v1/tenants/x", "admin"); status != http.StatusNotFound {
		t.Errorf("%d %s", status, body)
	}
	if status, body := s.get(t, "/api/v1/tenants/x", "nobody"); status != http.StatusUnauthorized {
		t.Errorf("%d %s", status, body)
	}
	s.stop(t)
}

func TestItSaysWhatIsWrongWithTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"broken.json": `{`, "double.json": `[{"token": "a", "user": "x"}, {"token": "a", "user": "y"}]`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a zone that does not exist":   {[]string{"--zone", "Mars"}, "--zone: must be an IANA time zone"},
		"the machine's zone":           {[]string{"--zone", "Local"}, "--zone: must be an IANA time zone"},
		"a time that is none":          {[]string{"--now", "noon"}, "--now: must be an RFC 3339 time"},
		"a file that does not exist":   {[]string{"--tokens", "none.json"}, "none.json"},
		"a file that is no list":       {[]string{"--tokens", "broken.json"}, "broken.json: tokens: must be a JSON list"},
		"a token twice":                {[]string{"--tokens", "double.json"}, "double.json: entry 2: token: stands in the list twice"},
		"a database of another kind":   {[]string{"--db", "mysql://x"}, "url"},
		"an address that is none":      {[]string{"--addr", "nowhere"}, "nowhere"},
		"an origin that is none":       {[]string{"--cors", "example"}, "--cors: "},
		"an argument that is not used": {[]string{"extra"}, "extra"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, binary, append([]string{"--db", "sqlite:" + filepath.Join(t.TempDir(), "x.db")}, test.args...)...)
			var stderr bytes.Buffer
			c.Dir, c.Stderr = dir, &stderr
			if err := c.Run(); c.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("%v: %s; want exit code 1 and %q", err, stderr.String(), test.want)
			}
		})
	}
}

// A request that is under way when the server is asked to end is answered.
func TestItEndsWhenRequestsAreAnswered(t *testing.T) {
	s := start(t, t.TempDir())
	body, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/tenants/x", body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 2
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Expect", "100-continue") // the body is sent when the handler reads it
	transport := &http.Transport{ExpectContinueTimeout: time.Hour}
	defer transport.CloseIdleConnections()
	answers := make(chan int, 1)
	go func() {
		answered, err := transport.RoundTrip(r)
		if err != nil {
			t.Error(err)
			answers <- 0
			return
		}
		answered.Body.Close()
		answers <- answered.StatusCode
	}()
	if _, err := writer.Write([]byte(" ")); err != nil {
		t.Fatal(err)
	}
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.stderr.await("shutting down")
	if _, err := writer.Write([]byte(" ")); err != nil {
		t.Fatal(err)
	}
	if status := <-answers; status != http.StatusNotFound {
		t.Errorf("%d, want 404", status)
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}
