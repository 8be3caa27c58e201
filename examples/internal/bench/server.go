package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// serverToken is what callers of the server example show.
const serverToken = "bench"

// serverProgram builds the server example, once.
func (l *lab) serverProgram(ctx context.Context) (string, error) {
	if l.program != "" {
		return l.program, nil
	}
	program := filepath.Join(l.dir, "server")
	l.progress.say("building the server")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, "github.com/purser-go/purser/examples/server")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, out)
	}
	l.program = program
	return program, nil
}

// A remote is a server example in a process of its own, and who asks it.
type remote struct {
	url    string
	client *http.Client
}

// serve starts the server example on a place, for so many callers, with these flags besides.
func (l *lab) serve(ctx context.Context, p *place, callers int, at *closers, flags ...string) (*remote, error) {
	program, err := l.serverProgram(ctx)
	if err != nil {
		return nil, err
	}
	tokens := filepath.Join(l.dir, "tokens.json")
	text := fmt.Sprintf(`[{"token": %q, "user": "bench", "permissions": ["*"]}]`, serverToken)
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		return nil, err
	}
	server := exec.CommandContext(ctx, program, append(flags, "--addr", "127.0.0.1:0", "--db", p.url, "--tokens", tokens)...)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = time.Minute
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	server.Stderr = &last{to: &said}
	if err := server.Start(); err != nil {
		return nil, err
	}
	at.add(func() error {
		err := server.Process.Signal(syscall.SIGTERM)
		return errors.Join(err, server.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		return nil, fmt.Errorf("the server did not start: %s%s", line, said.String())
	}
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	at.add(func() error { transport.CloseIdleConnections(); return nil })
	return &remote{address, &http.Client{Transport: transport}}, nil
}

// last keeps the last of what is written: why a server did not start is short, and what it logs after that is not read.
type last struct{ to *bytes.Buffer }

func (w *last) Write(text []byte) (int, error) {
	if w.to.Len() > 1<<12 {
		w.to.Reset()
	}
	return w.to.Write(text)
}

// ask sends a request and reads the answer.
func (r *remote) ask(ctx context.Context, method, path string, body any, want int) ([]byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+serverToken)
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != want {
		err = fmt.Errorf("%s %s is answered %s: %s", method, path, answer.Status, text)
	}
	return text, err
}

// requestJSON is a request as it is sent to the server.
type requestJSON struct {
	Tenant   string            `json:"tenant"`
	User     string            `json:"user"`
	APIKey   string            `json:"api_key"`
	Resource string            `json:"resource"`
	Labels   map[string]string `json:"labels"`
	Estimate any               `json:"estimate"`
}

// reserveOverHTTP is reserveSide by requests to the server example.
func (l *lab) reserveOverHTTP(callers int) maker {
	return func(ctx context.Context, p *place, at *closers) (side, error) {
		if _, err := p.ledger(ctx, at, nil); err != nil { // which makes the budget
			return side{}, err
		}
		r, err := l.serve(ctx, p, callers, at)
		work := func(ctx context.Context, d *dealer) (int, error) {
			asked := d.errand().request
			_, err := r.ask(ctx, http.MethodPost, "/api/v1/reservations", requestJSON{
				asked.Tenant, asked.User, asked.APIKey, asked.Resource, asked.Labels, asked.Estimate,
			}, http.StatusCreated)
			return 1, err
		}
		return side{name: purser, tenants: manyTenants, work: work, stage: p.stage(onlyHolds)}, err
	}
}

// serverReserveRow is Reserve over HTTP of one budget that all callers need, against the same without HTTP.
func serverReserveRow(table string, callers int) row {
	return row{fmt.Sprintf("%s/reserve/%d", table, callers), func(ctx context.Context, l *lab, at *closers) error {
		h, err := l.hostOf(ctx, table)
		if err != nil {
			return err
		}
		all, err := sides(ctx, h, hot, at, l.reserveOverHTTP(callers), as(library, reserveSide))
		if err != nil {
			return err
		}
		return l.contest(ctx, contest{table, "POST reservations, one budget", callers, nil}, all)
	}}
}

// hostOf returns where the places of a table are.
func (l *lab) hostOf(ctx context.Context, table string) (host, error) {
	if table == serverPostgres {
		return l.realDisk(ctx)
	}
	return l.files(), nil
}

// serverRow is a read over HTTP, against sums of the events that yield the same.
func serverRow(table string, r serverRead, callers int) row {
	return row{fmt.Sprintf("%s/%s/%d", table, r.name, callers), func(ctx context.Context, l *lab, at *closers) error {
		s, err := l.service(ctx, table)
		if err != nil {
			return err
		}
		asked, err := l.serve(ctx, s.place, callers, at, "--now", s.now.Format(time.RFC3339))
		if err != nil {
			return err
		}
		if err := s.check(ctx, r, asked); err != nil {
			return err
		}
		ours := side{name: purser, tenants: oneTenant, work: func(ctx context.Context, _ *dealer) (int, error) {
			_, err := asked.ask(ctx, http.MethodGet, r.path, nil, http.StatusOK)
			return 1, err
		}}
		theirs := side{name: sum, tenants: oneTenant, work: func(ctx context.Context, _ *dealer) (int, error) {
			_, err := r.sums(ctx, s)
			return 1, err
		}}
		return l.contest(ctx, contest{table, r.what, callers, nil}, []side{ours, theirs})
	}}
}

// check fails unless the server's figures are those of the sums, to the last digit.
func (s *service) check(ctx context.Context, r serverRead, asked *remote) error {
	text, err := asked.ask(ctx, http.MethodGet, r.path, nil, http.StatusOK)
	if err != nil {
		return err
	}
	got, err := r.figures(text)
	if err != nil {
		return err
	}
	want, err := r.sums(ctx, s)
	if err != nil {
		return err
	}
	if len(want) == 0 || !maps.Equal(want, got) {
		return fmt.Errorf("%s: the server has %v, the sum of the events is %v", r.what, got, want)
	}
	return nil
}

// A serverRead is something to read from the server.
type serverRead struct {
	name, what, path string
	// figures returns what an answer says, sums the same from the events: by tenant or by day, in texts that are exact.
	figures func(answer []byte) (map[string]string, error)
	sums    func(ctx context.Context, s *service) (map[string]string, error)
}

var serverReads = []serverRead{
	{
		name: "list", what: "GET budgets, 100 with their usage", path: "/api/v1/budgets?size=100",
		figures: func(answer []byte) (map[string]string, error) {
			var list struct {
				Budgets []struct {
					Name string      `json:"name"`
					Used json.Number `json:"current_usage"`
				} `json:"budgets"`
			}
			err := json.Unmarshal(answer, &list)
			found := make(map[string]string)
			for _, b := range list.Budgets {
				found[b.Name] = b.Used.String()
			}
			return found, err
		},
		sums: func(ctx context.Context, s *service) (map[string]string, error) {
			return s.dollars(ctx, "tenant", "WHERE time >= $1", s.month)
		},
	},
	{
		name: "overview", what: "GET overview of all organizations", path: "/api/token-usage/overview",
		figures: func(answer []byte) (map[string]string, error) {
			var rows []struct {
				ID     string      `json:"org_id"`
				Input  json.Number `json:"total_input_tokens"`
				Output json.Number `json:"total_output_tokens"`
				Calls  json.Number `json:"total_api_calls"`
				Runs   json.Number `json:"total_refreshes"`
			}
			err := json.Unmarshal(answer, &rows)
			found := make(map[string]string)
			for _, r := range rows {
				found[r.ID] = fmt.Sprintf("%s %s %s %s", r.Input, r.Output, r.Calls, r.Runs)
			}
			return found, err
		},
		sums: func(ctx context.Context, s *service) (map[string]string, error) {
			sums, err := s.all(ctx)
			found := make(map[string]string)
			for tenant, t := range sums {
				found[tenant] = fmt.Sprintf("%d %d %d %d", t.InputTokens, t.OutputTokens, t.Requests, t.Runs)
			}
			return found, err
		},
	},
	{
		name: "page", what: "GET usage of a budget, with its history", path: "/api/v1/budgets/" + url.PathEscape(serviceTenant(7)) + "/usage",
		figures: func(answer []byte) (map[string]string, error) {
			var usage struct {
				Used    json.Number `json:"current_usage"`
				History []struct {
					Date string      `json:"date"`
					Used json.Number `json:"usage"`
				} `json:"usage_history"`
			}
			err := json.Unmarshal(answer, &usage)
			found := map[string]string{serviceTenant(7): usage.Used.String()}
			for _, day := range usage.History {
				found[day.Date] = day.Used.String()
			}
			return found, err
		},
		sums: func(ctx context.Context, s *service) (map[string]string, error) {
			days, err := s.dollars(ctx, s.day, "WHERE tenant = $1 AND time >= $2", serviceTenant(7), s.firstDay)
			if err != nil {
				return nil, err
			}
			used, err := s.dollars(ctx, "tenant", "WHERE tenant = $1 AND time >= $2", serviceTenant(7), s.month)
			maps.Copy(days, used)
			return days, err
		},
	},
}
