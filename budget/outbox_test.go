package budget_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// A post is a fixture with a budget per user, and the steps of those who deliver its alerts.
type post struct {
	*fixture
	claims map[string]alert.Delivery // the last claim, by the user
}

func openPost(t *testing.T) *post {
	t.Helper()
	p := &post{fixture: open(t), claims: make(map[string]alert.Delivery)}
	p.create(budget.Budget{ID: "b", Scope: budget.Scope{"user": budget.Each}})
	return p
}

const hold = time.Minute

// warn makes an alert for each of these users, one after the other.
func (p *post) warn(users ...string) {
	p.t.Helper()
	for _, user := range users {
		p.now = p.now.Add(time.Second)
		p.record(by(user, tokens(p.id(), 80)))
	}
}

// worsen makes one more for this user.
func (p *post) worsen(user string) {
	p.t.Helper()
	p.now = p.now.Add(time.Second)
	p.record(by(user, tokens(p.id(), 10)))
}

// claim claims what is ready, and fails unless it is alerts for these users.
func (p *post) claim(want ...string) {
	p.t.Helper()
	claimed, err := p.Outbox().Claim(p.t.Context(), "log", 10, hold)
	if err != nil {
		p.t.Fatal(err)
	}
	var users []string
	for _, d := range claimed {
		user := d.Alert.Scope["user"]
		users = append(users, user)
		p.claims[user] = d
	}
	if diff := cmp.Diff(want, users); diff != "" {
		p.t.Errorf("claimed (-want +got):\n%s", diff)
	}
}

// finish ends the last claim for this user.
func (p *post) finish(user string, o alert.Outcome) {
	p.t.Helper()
	if err := p.Outbox().Finish(p.t.Context(), p.claims[user], o); err != nil {
		p.t.Fatal(err)
	}
}

// stands fails unless the deliveries stand like this.
func (p *post) stands(want ...string) {
	p.t.Helper()
	found, err := p.Deliveries(p.t.Context(), budget.DeliveryQuery{})
	if err != nil {
		p.t.Fatal(err)
	}
	var got []string
	for _, d := range found {
		text := fmt.Sprintf("%s of %s to %s: %v, %d tries", d.Alert.Level, d.Alert.Scope["user"], d.Sink, d.State, d.Tries)
		if d.Error != "" {
			text += ", " + d.Error
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		p.t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	failed := alert.Outcome{State: alert.Waiting, After: time.Minute, Error: "500"}
	dead := alert.Outcome{State: alert.Dead, Error: "410"}
	delivered := alert.Outcome{State: alert.Delivered}
	tests := map[string]func(p *post){
		"an alert is delivered to each sink that it is routed to": func(p *post) {
			p.warn("u1")
			p.route("log", "mail")
			p.stands("warning of u1 to log: waiting, 0 tries", "warning of u1 to mail: waiting, 0 tries")
		},
		"it is routed once": func(p *post) {
			p.warn("u1")
			p.route()
			p.route("log")
			p.stands()
		},
		"a superseded one is not routed": func(p *post) {
			p.record(by("u1", tokens("a", 95)))
			p.route("log")
			p.stands("critical of u1 to log: waiting, 0 tries")
		},
		"the oldest are routed first, and so many": func(p *post) {
			p.warn("u2", "u1", "u3")
			n, err := p.Outbox().Route(p.t.Context(), 2, func(alert.Alert) []string { return []string{"log"} })
			if n != 2 || err != nil {
				p.t.Errorf("%d are routed: %v", n, err)
			}
			p.stands("warning of u2 to log: waiting, 0 tries", "warning of u1 to log: waiting, 0 tries")
		},
		"what is claimed is nobody else's": func(p *post) {
			p.warn("u1", "u2")
			p.route("log")
			p.claim("u1", "u2")
			p.claim()
			p.stands("warning of u1 to log: claimed, 1 tries", "warning of u2 to log: claimed, 1 tries")
		},
		"until its time is over": func(p *post) {
			p.warn("u1")
			p.route("log")
			p.claim("u1")
			p.now = p.now.Add(hold - time.Microsecond)
			p.claim()
			p.now = p.now.Add(time.Microsecond)
			p.claim("u1")
			p.stands("warning of u1 to log: claimed, 2 tries")
		},
		"what has arrived is done": func(p *post) {
			p.warn("u1")
			p.route("log")
			p.claim("u1")
			p.finish("u1", delivered)
			p.now = p.now.Add(time.Hour)
			p.claim()
			p.stands("warning of u1 to log: delivered, 1 tries")
		},
		"what has failed waits": func(p *post) {
			p.warn("u1")
			p.route("log")
			p.claim("u1")
			p.finish("u1", failed)
			p.now = p.now.Add(time.Minute - time.Microsecond)
			p.claim()
			p.now = p.now.Add(time.Microsecond)
			p.claim("u1")
			p.stands("warning of u1 to log: claimed, 2 tries, 500")
		},
		"the next of its line waits with it": func(p *post) {
			p.warn("u1", "u2")
			p.worsen("u1")
			p.route("log")
			p.claim("u1", "u2")
			p.finish("u1", failed)
			p.claim()
			p.now = p.now.Add(time.Minute)
			p.claim("u1", "u2")
			p.finish("u1", delivered)
			p.claim("u1")
			p.stands("warning of u1 to log: delivered, 2 tries, 500", "warning of u2 to log: claimed, 2 tries", "critical of u1 to log: claimed, 1 tries")
		},
		"a dead letter lets the next one go": func(p *post) {
			p.warn("u1")
			p.worsen("u1")
			p.route("log")
			p.claim("u1")
			p.finish("u1", dead)
			p.claim("u1")
			p.stands("warning of u1 to log: dead, 1 tries, 410", "critical of u1 to log: claimed, 1 tries")
		},
		"another sink has lines of its own": func(p *post) {
			p.warn("u1")
			p.worsen("u1")
			p.route("mail")
			p.worsen("u1")
			p.route("log")
			p.claim("u1")
			p.stands("warning of u1 to mail: waiting, 0 tries", "critical of u1 to mail: waiting, 0 tries", "exceeded of u1 to log: claimed, 1 tries")
		},
		"a failure is not heard of once somebody else tries": func(p *post) {
			p.warn("u1")
			p.route("log")
			p.claim("u1")
			stale := p.claims["u1"]
			p.now = p.now.Add(hold)
			p.claim("u1")
			p.claims["u1"] = stale
			p.finish("u1", dead)
			p.stands("warning of u1 to log: claimed, 2 tries")
		},
		"that it has arrived is heard of always": func(p *post) {
			p.warn("u1")
			p.route("log")
			p.claim("u1")
			stale := p.claims["u1"]
			p.now = p.now.Add(hold)
			p.claim("u1")
			p.finish("u1", dead)
			p.claims["u1"] = stale
			p.finish("u1", delivered)
			p.stands("warning of u1 to log: delivered, 2 tries, 410")
		},
		"and what has arrived has": func(p *post) {
			p.warn("u1")
			p.route("log")
			p.claim("u1")
			p.finish("u1", delivered)
			p.finish("u1", dead)
			p.stands("warning of u1 to log: delivered, 1 tries")
		},
		"the deliveries of a deleted budget go on": func(p *post) {
			p.warn("u1")
			if err := p.Delete(p.t.Context(), "b"); err != nil {
				p.t.Fatal(err)
			}
			p.route("log")
			p.claim("u1")
		},
		"what has ended is pruned by its age": func(p *post) {
			p.warn("u1", "u2", "u3", "u4")
			p.route("log")
			p.claim("u1", "u2", "u3", "u4")
			p.finish("u1", delivered)
			p.finish("u2", dead)
			p.finish("u3", failed)
			p.now = p.now.Add(time.Hour)
			p.claim("u3", "u4")
			p.finish("u4", delivered)
			prune := func(want int) {
				if n, err := p.Outbox().Prune(p.t.Context(), time.Hour); n != want || err != nil {
					p.t.Errorf("%d are pruned, want %d: %v", n, want, err)
				}
			}
			prune(0)
			p.now = p.now.Add(time.Microsecond)
			prune(2)
			p.stands("warning of u3 to log: claimed, 2 tries, 500", "warning of u4 to log: delivered, 2 tries")
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(openPost(t))
		})
	}
}

func TestManyDeliveriesArePruned(t *testing.T) {
	t.Parallel()
	p := openPost(t)
	const n = 1203
	var users []string
	for i := range n {
		users = append(users, fmt.Sprint(i))
	}
	p.warn(users...)
	for range n/100 + 1 {
		p.route("log")
	}
	for {
		claimed, err := p.Outbox().Claim(t.Context(), "log", n, hold)
		if err != nil {
			t.Fatal(err)
		}
		if len(claimed) == 0 {
			break
		}
		for _, d := range claimed {
			if err := p.Outbox().Finish(t.Context(), d, alert.Outcome{State: alert.Delivered}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.now = p.now.Add(time.Hour)
	if pruned, err := p.Outbox().Prune(t.Context(), time.Minute); pruned != n || err != nil {
		t.Errorf("%d are pruned, want %d: %v", pruned, n, err)
	}
	p.stands()
}

func TestResend(t *testing.T) {
	t.Parallel()
	p := openPost(t)
	ops := p.By("ops")
	resend := func(id, sink string, want int, wantErr error) {
		t.Helper()
		if n, err := ops.Resend(t.Context(), id, sink); n != want || !errors.Is(err, wantErr) {
			t.Errorf("resend %q to %q: %d, %v, want %d, %v", id, sink, n, err, want, wantErr)
		}
	}
	p.warn("u1")
	id := p.alertIDs()[0]
	resend(id, "", 0, budget.ErrNotFound) // not routed as yet
	p.route("log", "mail")
	p.claim("u1")
	resend(id, "log", 0, nil) // just being tried
	p.finish("u1", alert.Outcome{State: alert.Dead, Error: "500"})
	p.claim()
	resend(id, "log", 1, nil)
	p.stands("warning of u1 to log: waiting, 0 tries", "warning of u1 to mail: waiting, 0 tries")
	p.claim("u1")
	if again := p.claims["u1"].Alert.ID; again != id {
		t.Errorf("it is sent again as %s, want %s", again, id)
	}
	p.now = p.now.Add(hold)
	resend(id, "", 2, nil) // who tried must have died
	resend(id, "hook", 0, budget.ErrNotFound)
	resend("unknown", "", 0, budget.ErrNotFound)
	resend("", "", 0, budget.ErrInvalid)
	resend(id, "\x00", 0, budget.ErrInvalid)
	entry := p.audit()[1]
	if got := fmt.Sprint(entry.Actor, " ", entry.Action, " ", entry.Kind, " ", string(entry.After)); got != `ops resend_alert alert {"sinks":["log"]}` || entry.Target != id {
		t.Errorf("the audit says %s of %s", got, entry.Target)
	}
}

// alertIDs returns the ids of the alerts, the oldest first.
func (f *fixture) alertIDs() (ids []string) {
	f.t.Helper()
	f.view(func(r budget.ReadTx) error {
		found, err := r.Alerts(f.t.Context(), budget.AlertQuery{})
		for _, a := range found {
			ids = append([]string{a.ID}, ids...)
		}
		return err
	})
	return ids
}

func TestAlertsAreFound(t *testing.T) {
	t.Parallel()
	p := openPost(t)
	p.warn("u1", "u2")
	p.worsen("u2")
	ids := p.alertIDs()
	p.route("log", "mail")
	p.claim("u1", "u2")
	p.finish("u2", alert.Outcome{State: alert.Delivered})
	p.correct(usage.Correction{ID: "c", Event: p.events()[2], Amounts: usage.Amounts{InputTokens: 10}, Reason: "r"})
	tests := map[string]struct {
		query budget.AlertQuery
		want  []string
	}{
		"by id":   {budget.AlertQuery{IDs: ids[:1]}, ids[:1]},
		"by kind": {budget.AlertQuery{Kinds: []alert.Kind{alert.Resolved, alert.Blocked}}, p.alertIDs()[3:]},
		"by level, a resolved one by what was left": {budget.AlertQuery{Level: alert.Critical}, p.alertIDs()[2:]},
		"what is to be routed":                      {budget.AlertQuery{Unrouted: true}, p.alertIDs()[3:]},
		"by a sink":                                 {budget.AlertQuery{Sink: "mail"}, ids},
		"by what became of them":                    {budget.AlertQuery{States: []alert.State{alert.Delivered}}, ids[1:2]},
		"by what became of them there":              {budget.AlertQuery{Sink: "log", States: []alert.State{alert.Waiting}}, ids[2:3]},
		"by a sink that there is not":               {budget.AlertQuery{Sink: "hook"}, nil},
	}
	for name, test := range tests {
		found, err := p.Alerts(t.Context(), test.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range found {
			got = append([]string{a.ID}, got...)
		}
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for field, q := range map[string]budget.AlertQuery{"ids": {IDs: []string{""}}, "sink": {Sink: "\x00"}} {
		_, err := p.Alerts(t.Context(), q)
		refused(t, err, field)
	}
	for field, q := range map[string]budget.DeliveryQuery{"alerts": {Alerts: []string{""}}, "sink": {Sink: "\x00"}} {
		_, err := p.Deliveries(t.Context(), q)
		refused(t, err, field)
	}
}

// refused fails unless err is about this field.
func refused(t *testing.T, err error, field string) {
	t.Helper()
	var found *budget.FieldError
	if !errors.As(err, &found) || found.Field != field {
		t.Errorf("error is %v, want one of the field %s", err, field)
	}
}

// Time is a bubble's here, for the ledger and its store.
func TestRunDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		sink := alert.Func(func(_ context.Context, a alert.Alert) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf("%s %s", a.Kind, a.Threshold))
			return nil
		})
		ledger := budget.NewLedger(memstore.New(nil), &budget.Options{
			Alerts: &alert.Options{Sinks: map[string]alert.Sink{"test": sink}, Default: []string{"test"}},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var running sync.WaitGroup
		for range 3 {
			running.Go(func() {
				if err := ledger.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run returned %v", err)
				}
			})
		}
		if _, err := ledger.Create(ctx, withDefaults(budget.Budget{})); err != nil {
			t.Error(err)
		}
		for i, n := range []int64{80, 10, 5, 5} {
			if _, err := ledger.Record(ctx, usage.Event{ID: fmt.Sprint(i), Amounts: usage.Amounts{InputTokens: n}}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		running.Wait()
		if diff := cmp.Diff([]string{"threshold 80", "threshold 90", "threshold 100"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestRunRefusesRoutesToUnknownSinks(t *testing.T) {
	t.Parallel()
	err := openOptions(t, budget.Options{Alerts: &alert.Options{Default: []string{"x"}}}).Run(t.Context())
	refused(t, err, "default")
}

func TestRunTellsOfErrorsOfTheOutbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		store := memstore.New(nil)
		ledger := budget.NewLedger(store, &budget.Options{
			Alerts:  &alert.Options{},
			OnError: func(err error) { is(t, err, errDisk); cancel() },
		})
		if _, err := ledger.Create(ctx, withDefaults(budget.Budget{})); err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.Record(ctx, usage.Event{ID: "a", Amounts: usage.Amounts{InputTokens: 80}}); err != nil {
			t.Fatal(err)
		}
		store.FailNext(errDisk)
		is(t, ledger.Run(ctx), context.Canceled)
	})
}

// stuck is a store that does not answer those who read before some time.
type stuck struct {
	budget.Store
	until time.Time
}

func (s *stuck) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if time.Now().Before(s.until) {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.View(ctx, fn)
}

func TestDeliveryGoesOnAfterAStoreThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		arrived := false
		store := &stuck{Store: memstore.New(nil)}
		ledger := budget.NewLedger(store, &budget.Options{
			Alerts: &alert.Options{Default: []string{"test"}, Sinks: map[string]alert.Sink{
				"test": alert.Func(func(context.Context, alert.Alert) error { arrived = true; cancel(); return nil }),
			}},
		})
		if _, err := ledger.Create(ctx, withDefaults(budget.Budget{})); err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.Record(ctx, usage.Event{ID: "a", Amounts: usage.Amounts{InputTokens: 80}}); err != nil {
			t.Fatal(err)
		}
		store.until = time.Now().Add(30 * time.Second)
		is(t, ledger.Run(ctx), context.Canceled)
		if !arrived {
			t.Error("the alert did not arrive")
		}
	})
}

func TestALedgerWithoutAlerts(t *testing.T) {
	t.Parallel()
	f := open(t)
	quiet := f.WithoutAlerts()
	b := f.create(budget.Budget{})
	record := func(id string, n int64) {
		t.Helper()
		if _, err := quiet.Record(t.Context(), tokens(id, n)); err != nil {
			t.Fatal(err)
		}
	}
	record("a", 95)
	f.alerted()
	f.record(tokens("b", 1))
	f.alerted() // the level was reached before
	if _, err := quiet.Correct(t.Context(), back("c", "a", 50)); err != nil {
		t.Fatal(err)
	}
	f.alerted()
	f.record(tokens("d", 40))
	f.alerted("threshold 80 warning") // it was left in between
	record("e", 100)
	_, err := quiet.Reserve(t.Context(), budget.Request{Estimate: usage.Amounts{InputTokens: 10}})
	is(t, err, budget.ErrExceeded)
	if _, err := quiet.Create(t.Context(), withDefaults(budget.Budget{})); err != nil {
		t.Fatal(err)
	}
	f.alerted("threshold 80 warning")
	f.used(b.ID, nil, "186")
	f.verified()
}
