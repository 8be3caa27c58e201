package alerttest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/alert/webhook"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of tests, 32 bytes long"))

// dispatch is what one process does that delivers to a receiver, until its standard input ends.
func dispatch(ctx context.Context, s budget.Store, url string) error {
	hook, err := webhook.New(url, []string{secret}, &webhook.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		return err
	}
	d, err := alert.NewDispatcher(budget.NewLedger(s, nil).Outbox(), alert.Options{
		Sinks: map[string]alert.Sink{"hook": hook}, Default: []string{"hook"},
		Timeout: 500 * time.Millisecond, Interval: 20 * time.Millisecond, Backoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond,
		MaxTries: 1_000_000, // who is killed while he tries has tried
	})
	if err != nil {
		return err
	}
	_ = d.Run(untilTold(ctx)) // which returns ctx's error
	return nil
}

// A receiver misbehaves in every way that one can, until it is told to behave.
type receiver struct {
	t         *testing.T
	key       *standardwebhooks.Webhook
	elsewhere string // where it redirects to

	mu       sync.Mutex
	random   *rand.Rand
	behaves  bool
	accepted map[string]int      // ids, and how often
	order    map[string][]string // by the user, the thresholds as they were accepted first
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the sender was killed
	}
	var message struct {
		Data struct {
			ID        string            `json:"id"`
			Threshold json.Number       `json:"threshold"`
			Scope     map[string]string `json:"scope"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		r.t.Errorf("what arrives is no message: %v: %s", err, body)
	}
	if err := r.key.Verify(body, request.Header); err != nil || request.Header.Get("webhook-id") != message.Data.ID {
		r.t.Errorf("what arrives as %s is alert %s: %v", request.Header.Get("webhook-id"), message.Data.ID, err)
	}
	if strings.HasPrefix(message.Data.Scope["user"], "gone") {
		w.WriteHeader(http.StatusGone)
		return
	}
	r.mu.Lock()
	mood := r.random.IntN(8)
	if r.behaves {
		mood = 0
	}
	r.mu.Unlock()
	switch mood {
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
	case 2:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	case 3:
		http.Redirect(w, request, r.elsewhere, http.StatusTemporaryRedirect)
	case 4:
		panic(http.ErrAbortHandler) // closes the connection
	case 5:
		<-request.Context().Done() // hangs
	case 6:
		r.accept(message.Data.ID, message.Data.Scope["user"], message.Data.Threshold.String())
		<-request.Context().Done() // hangs, having taken it
	default:
		r.accept(message.Data.ID, message.Data.Scope["user"], message.Data.Threshold.String())
	}
}

func (r *receiver) accept(id, user, threshold string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accepted[id]++; r.accepted[id] == 1 {
		r.order[user] = append(r.order[user], threshold)
	}
}

// Dispatchers are killed at random moments while they deliver to a receiver that answers 500, asks to wait, redirects, closes
// the connection, hangs, or takes an alert and does not say so. In the end every alert has arrived, with its id, and those of
// one user in order.
func TestKilledDispatchersLoseNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		r, server := misbehaving(t)
		ledger := budget.NewLedger(d.store, nil)
		perUser(t, ledger, period.Lifetime)
		var all []*process
		for range processes {
			all = append(all, begin(t, task{URL: d.url, Receiver: server}))
		}
		random := rand.New(rand.NewPCG(1, 1))
		kills := soak.Count(t, "dispatchers killed", d.usual/5, 400)
		users := 0
		for range kills {
			users += warn(t, ledger, users, 5)
			time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond) // a random moment
			i := random.IntN(len(all))
			all[i].kill()
			all[i] = begin(t, task{URL: d.url, Receiver: server})
		}
		r.mu.Lock()
		r.behaves = true
		r.mu.Unlock()
		settled(t, ledger)
		for _, p := range all {
			p.end(t)
		}
		arrived(t, ledger, r)
	})
}

func misbehaving(t *testing.T) (*receiver, string) {
	t.Helper()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{
		t: t, key: key, elsewhere: elsewhere.URL, random: rand.New(rand.NewPCG(2, 2)),
		accepted: make(map[string]int), order: make(map[string][]string),
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

// warn takes so many more users over all thresholds, one by one, and one whose receiver is gone.
func warn(t *testing.T, l *budget.Ledger, from, n int) int {
	t.Helper()
	for i := range n {
		user := fmt.Sprintf("user-%d", from+i)
		if i == 0 {
			user = fmt.Sprintf("gone-%d", from)
		}
		for step, tokens := range []int64{80, 10, 10} {
			if err := use(t.Context(), l, fmt.Sprint(user, " ", step), user, tokens); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// arrived fails unless each alert has, but for those whose receiver is gone.
func arrived(t *testing.T, l *budget.Ledger, r *receiver) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make(map[string]alert.State)
	deliveries, err := l.Deliveries(t.Context(), budget.DeliveryQuery{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deliveries {
		states[d.Alert.ID] = d.State
	}
	made, sent := alerts(t, l), 0
	for _, a := range made {
		gone := strings.HasPrefix(a.Scope["user"], "gone")
		if want := map[bool]alert.State{true: alert.Dead, false: alert.Delivered}[gone]; states[a.ID] != want {
			t.Errorf("the alert of %s at %s is %v, want %v", a.Scope["user"], a.Threshold, states[a.ID], want)
		}
		if n := r.accepted[a.ID]; (n > 0) == gone {
			t.Errorf("the alert of %s at %s arrived %d times", a.Scope["user"], a.Threshold, n)
		}
		sent += r.accepted[a.ID]
		delete(r.accepted, a.ID)
	}
	for user, thresholds := range r.order {
		if got := strings.Join(thresholds, " "); got != "80 90 100" {
			t.Errorf("of %s, %s arrived", user, got)
		}
	}
	if len(r.accepted) > 0 || len(made) == 0 {
		t.Errorf("%d alerts were made, %d others arrived", len(made), len(r.accepted))
	}
	t.Logf("%d alerts arrived %d times", len(made), sent)
}

// One sink fails for what is of user a, until what is of b has arrived. What follows of a waits, and goes after the dead letter.
func TestASinkThatFailsForOneLineKeepsNoOtherWaiting(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := &partial{others: make(chan struct{}), end: cancel, tried: make(map[string][]string)}
		now := time.Now()
		ledger := budget.NewLedger(d.store, &budget.Options{
			Now: func() time.Time { now = now.Add(time.Millisecond); return now },
		})
		perUser(t, ledger, period.Lifetime)
		for i, step := range []struct {
			user   string
			tokens int64
		}{{"a", 80}, {"a", 10}, {"b", 80}, {"b", 20}, {"a", 10}} {
			if err := use(ctx, ledger, fmt.Sprint(i), step.user, step.tokens); err != nil {
				t.Fatal(err)
			}
		}
		delivering := budget.NewLedger(d.store, &budget.Options{Alerts: &alert.Options{
			Sinks: map[string]alert.Sink{"test": s}, Default: []string{"test"},
			MaxTries: 3, Backoff: time.Millisecond, Interval: 20 * time.Millisecond,
		}})
		if err := delivering.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		want := map[string][]string{"a": {"80", "80", "80", "90", "100"}, "b": {"80", "100"}}
		if diff := cmp.Diff(want, s.tried); diff != "" {
			t.Errorf("tried (-want +got):\n%s", diff)
		}
	})
}

// A partial sink fails for the first alert of user a; for the third time only once all of user b have arrived.
type partial struct {
	mu     sync.Mutex
	tried  map[string][]string // thresholds, by the user
	others chan struct{}       // closed when all of user b have arrived
	end    func()              // called when all have arrived
}

func (s *partial) Send(ctx context.Context, a alert.Alert) error {
	user, threshold := a.Scope[usage.User], a.Threshold.String()
	s.mu.Lock()
	s.tried[user] = append(s.tried[user], threshold)
	tries := len(s.tried[user])
	s.mu.Unlock()
	switch {
	case user == "b" && threshold == "100":
		close(s.others)
	case threshold == "80" && user == "a":
		if tries == 3 {
			select {
			case <-s.others:
			case <-ctx.Done():
			}
		}
		return io.ErrUnexpectedEOF
	case threshold == "100":
		s.end()
	}
	return nil
}
