package alert_test

import (
	gocmp "cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

var errFails = errors.New("500")

// fails answers with err to the alerts with these ids.
func fails(err error, ids ...string) func(context.Context, string) error {
	return func(_ context.Context, id string) error {
		if slices.Contains(ids, id) {
			return err
		}
		return nil
	}
}

func hangs(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// to returns options under which all alerts go to this sink, and which wait as long as they may.
func to(s alert.Sink) alert.Options {
	return alert.Options{
		Sinks: map[string]alert.Sink{"log": s}, Default: []string{"log"}, MaxTries: 3,
		Rand: func() float64 { return 1 },
	}
}

func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestDispatch(t *testing.T) {
	a1, a2, b1 := of("a", "a1", 1), of("a", "a2", 2), of("b", "b1", 3)
	tests := map[string]struct {
		alerts  []alert.Alert
		answer  func(ctx context.Context, id string) error
		options func(*alert.Options)
		long    time.Duration // how long it runs; 0: 3 hours
		tries   []string
		states  []string
	}{
		"each alert is sent once": {
			alerts: []alert.Alert{a1, b1},
			tries:  []string{"a1 at 0s", "b1 at 0s"},
			states: []string{"a1 to log: delivered, 1 tries", "b1 to log: delivered, 1 tries"},
		},
		"those of a line follow each other, by their times": {
			alerts: []alert.Alert{a2, a1},
			tries:  []string{"a1 at 0s", "a2 at 0s"},
			states: []string{"a2 to log: delivered, 1 tries", "a1 to log: delivered, 1 tries"},
		},
		"a value has a line of its own": {
			alerts: []alert.Alert{a1, func() alert.Alert { a := a2; a.Value = "u"; return a }()}, answer: fails(alert.ErrGone, "a1"),
			tries:  []string{"a1 at 0s", "a2 at 0s"},
			states: []string{"a1 to log: dead, 1 tries", "a2 to log: delivered, 1 tries"},
		},
		"a superseded one is not sent": {
			alerts: []alert.Alert{func() alert.Alert { a := a1; a.Superseded = true; return a }()},
		},
		"one that fails is tried again, later each time, and given up": {
			alerts: []alert.Alert{a1}, answer: fails(errFails, "a1"), options: func(o *alert.Options) { o.MaxTries = 5 },
			tries:  []string{"a1 at 0s", "a1 at 10s", "a1 at 30s", "a1 at 1m10s", "a1 at 2m30s"},
			states: []string{"a1 to log: dead, 5 tries"},
		},
		"the time between tries has an end": {
			alerts: []alert.Alert{a1}, answer: fails(errFails, "a1"), options: func(o *alert.Options) { o.MaxTries, o.MaxBackoff = 5, 25*time.Second },
			tries:  []string{"a1 at 0s", "a1 at 10s", "a1 at 30s", "a1 at 55s", "a1 at 1m20s"},
			states: []string{"a1 to log: dead, 5 tries"},
		},
		"it is a random part of what it may be": {
			alerts: []alert.Alert{a1}, answer: fails(errFails, "a1"), options: func(o *alert.Options) { o.Rand = func() float64 { return 0.3 } },
			tries:  []string{"a1 at 0s", "a1 at 3s", "a1 at 9s"},
			states: []string{"a1 to log: dead, 3 tries"},
		},
		"what the receiver asks for is heeded": {
			alerts: []alert.Alert{a1}, answer: fails(fmt.Errorf("503: %w", &alert.RetryAfterError{After: time.Minute, Err: errFails}), "a1"),
			tries:  []string{"a1 at 0s", "a1 at 1m0s", "a1 at 2m0s"},
			states: []string{"a1 to log: dead, 3 tries"},
		},
		"but not if it is longer than the longest": {
			alerts: []alert.Alert{a1}, answer: fails(&alert.RetryAfterError{After: 1000 * time.Hour, Err: errFails}, "a1"),
			options: func(o *alert.Options) { o.MaxBackoff = time.Hour },
			tries:   []string{"a1 at 0s", "a1 at 1h0m0s", "a1 at 2h0m0s"},
			states:  []string{"a1 to log: dead, 3 tries"},
		},
		"nor if it is shorter than the own time": {
			alerts: []alert.Alert{a1}, answer: fails(&alert.RetryAfterError{After: time.Second, Err: errFails}, "a1"),
			tries:  []string{"a1 at 0s", "a1 at 10s", "a1 at 30s"},
			states: []string{"a1 to log: dead, 3 tries"},
		},
		"where the receiver is gone, nothing is tried again": {
			alerts: []alert.Alert{a1}, answer: fails(fmt.Errorf("410: %w", alert.ErrGone), "a1"),
			tries:  []string{"a1 at 0s"},
			states: []string{"a1 to log: dead, 1 tries"},
		},
		"while one fails, its line waits and others flow; after the dead letter the line goes on": {
			alerts: []alert.Alert{a1, a2, b1}, answer: fails(errFails, "a1"),
			tries:  []string{"a1 at 0s", "b1 at 0s", "a1 at 10s", "a1 at 30s", "a2 at 30s"},
			states: []string{"a1 to log: dead, 3 tries", "a2 to log: delivered, 1 tries", "b1 to log: delivered, 1 tries"},
		},
		"a try that hangs ends, and keeps no other line waiting": {
			alerts: []alert.Alert{a1, b1},
			answer: func(ctx context.Context, id string) error {
				if id == "a1" {
					return hangs(ctx, id)
				}
				return nil
			},
			options: func(o *alert.Options) { o.MaxTries = 2 },
			tries:   []string{"a1 at 0s", "b1 at 0s", "a1 at 25s"},
			states:  []string{"a1 to log: dead, 2 tries", "b1 to log: delivered, 1 tries"},
		},
		"a sink that panics has failed": {
			alerts: []alert.Alert{a1}, answer: func(context.Context, string) error { panic("bad") }, options: func(o *alert.Options) { o.MaxTries = 2 },
			tries:  []string{"a1 at 0s", "a1 at 10s"},
			states: []string{"a1 to log: dead, 2 tries"},
		},
		"no more tries than the sink can take are under way": {
			alerts: []alert.Alert{of("a", "1", 0), of("b", "2", 0), of("c", "3", 0)}, answer: hangs,
			options: func(o *alert.Options) { o.Concurrency, o.Timeout = 2, 4*time.Second }, long: 5 * time.Second,
			tries:  []string{"1 at 0s", "2 at 0s", "3 at 4s"},
			states: []string{"1 to log: waiting, 1 tries", "2 to log: waiting, 1 tries", "3 to log: waiting, 1 tries"},
		},
		"tries that are under way at the end have five seconds": {
			alerts: []alert.Alert{a1}, answer: hangs, long: time.Second,
			tries:  []string{"a1 at 0s"},
			states: []string{"a1 to log: waiting, 1 tries"},
		},
		"which may be enough": {
			alerts: []alert.Alert{a1}, answer: func(context.Context, string) error { time.Sleep(5 * time.Second); return nil }, long: time.Second,
			tries:  []string{"a1 at 0s"},
			states: []string{"a1 to log: delivered, 1 tries"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, o := newSink(test.answer), &outbox{}
				options := to(s)
				if test.options != nil {
					test.options(&options)
				}
				o.add(test.alerts...)
				dispatch(t, o, options, gocmp.Or(test.long, 3*time.Hour))
				got := s.tries()
				slices.SortStableFunc(got, byTime)
				equal(t, "tries", test.tries, got)
				equal(t, "deliveries", test.states, o.states())
			})
		})
	}
}

// byTime orders tries at the same time by alert, since nothing else does.
func byTime(a, b string) int {
	_, timeA, _ := strings.Cut(a, " at ")
	_, timeB, _ := strings.Cut(b, " at ")
	if timeA != timeB {
		return 0
	}
	return strings.Compare(a, b)
}

func TestWhoDiesBeforeWritingItDownSendsItAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o := newSink(nil), &outbox{unfinished: 1}
		o.add(of("a", "a1", 1), of("a", "a2", 2))
		var told error
		options := to(s)
		options.OnError = func(err error) { told = err }
		dispatch(t, o, options, time.Hour)
		equal(t, "the same id arrives again once the claim is over, and what follows it after that",
			[]string{"a1 at 0s", "a1 at 30s", "a2 at 30s"}, s.tries())
		equal(t, "deliveries", []string{"a1 to log: delivered, 2 tries", "a2 to log: delivered, 1 tries"}, o.states())
		if !errors.Is(told, errDown) {
			t.Errorf("OnError got %v, want %v", told, errDown)
		}
	})
}

func TestTriesThatCameToNoEndAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o := newSink(nil), &outbox{unfinished: 3}
		o.add(of("a", "a1", 1), of("a", "a2", 2))
		dispatch(t, o, to(s), time.Hour)
		equal(t, "tries", []string{"a1 at 0s", "a1 at 30s", "a1 at 1m0s", "a2 at 1m30s"}, s.tries())
		equal(t, "deliveries", []string{"a1 to log: dead, 4 tries", "a2 to log: delivered, 1 tries"}, o.states())
		equal(t, "why", "given up: 3 tries came to no end", o.deliveries[0].Error)
	})
}

func TestDispatchersShareTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o := newSink(func(context.Context, string) error { time.Sleep(time.Second); return nil }), &outbox{}
		const budgets, each = 20, 10
		for n := range each {
			for b := range budgets {
				o.add(of(fmt.Sprint(b), fmt.Sprintf("%d.%d", b, n), n))
			}
		}
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() { dispatch(t, o, to(s), time.Hour) })
		}
		running.Wait()
		got := s.arrived()
		equal(t, "each alert arrives, once", budgets*each, len(got))
		for i := range budgets {
			other := func(id string) bool { return !strings.HasPrefix(id, fmt.Sprint(i, ".")) }
			line := slices.DeleteFunc(slices.Clone(got), other)
			if len(line) != each || !slices.IsSorted(line) {
				t.Errorf("of budget %d, %v arrived", i, line)
			}
		}
	})
}

func TestASinkDoesNotWaitForAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow, quick, o := newSink(hangs), newSink(nil), &outbox{}
		options := to(slow)
		options.Sinks["quick"], options.Default, options.Concurrency = quick, []string{"quick", "log"}, 1
		for i := range 3 {
			o.add(of("a", fmt.Sprint(i), i))
		}
		dispatch(t, o, options, time.Second)
		equal(t, "arrived", []string{"0", "1", "2"}, quick.arrived())
	})
}

func TestTheOutboxIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o := newSink(nil), &outbox{down: errDown}
		errs := make(chan error, 100)
		options := to(s)
		options.OnError = func(err error) { errs <- err }
		go func() {
			time.Sleep(1500 * time.Millisecond)
			o.set(func() { o.down = nil })
			o.add(of("a", "a1", 1))
			time.Sleep(time.Minute)
			o.add(of("a", "a2", 2))
		}()
		dispatch(t, o, options, 2*time.Minute)
		equal(t, "tries, after an interval at most", []string{"a1 at 2s", "a2 at 1m2s"}, s.tries())
		if err := <-errs; !errors.Is(err, errDown) {
			t.Errorf("OnError got %v, want %v", err, errDown)
		}
	})
}

func TestOldDeliveriesArePruned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{}
		dispatch(t, o, to(newSink(nil)), time.Second)
		equal(t, "by default", 90*24*time.Hour, o.pruned)
		options := to(newSink(nil))
		options.Retention = time.Hour
		dispatch(t, o, options, time.Second)
		equal(t, "as told", time.Hour, o.pruned)
	})
}

func TestManyAlertsAreRoutedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o := newSink(nil), &outbox{}
		for i := range 250 {
			o.add(of("a", fmt.Sprintf("%03d", i), i))
		}
		dispatch(t, o, to(s), time.Millisecond)
		equal(t, "arrived", 250, len(s.arrived()))
	})
}

func TestTheErrorIsOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"as it is":               "as it is",
		"two\nlines\x00\xff":     "two lines \uFFFD",
		strings.Repeat("ä", 501): strings.Repeat("ä", 499) + "…",
	} {
		synctest.Test(t, func(t *testing.T) {
			o := &outbox{}
			o.add(of("a", "a1", 1))
			dispatch(t, o, to(newSink(fails(errors.New(text), "a1"))), time.Millisecond)
			equal(t, "the error that is kept", want, o.deliveries[0].Error)
		})
	}
}

func TestOnTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{}
		o.add(of("a", "a1", 1))
		var told []string
		options := to(newSink(fails(errFails, "a1")))
		options.OnTry = func(d alert.Delivery, err error) {
			told = append(told, fmt.Sprintf("%s to %s, %d: %v", d.Alert.ID, d.Sink, d.Tries, err))
		}
		dispatch(t, o, options, 15*time.Second)
		equal(t, "told", []string{"a1 to log, 1: 500", "a1 to log, 2: 500"}, told)
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	s := alert.Func(func(context.Context, alert.Alert) error { return nil })
	sinks := map[string]alert.Sink{"b": s, "a": s}
	tests := map[string]struct {
		options alert.Options
		want    []string
	}{
		"none are valid":               {},
		"the names of sinks are known": {options: alert.Options{Sinks: sinks, Default: []string{"a"}, Routes: []alert.Route{{Sinks: []string{"a", "b"}}, {}}}},
		"a route to an unknown sink":   {alert.Options{Sinks: sinks, Routes: []alert.Route{{}, {Sinks: []string{"a", "x"}}}}, []string{`routes[1].sinks: has "x", which is none of the sinks ["a" "b"]`}},
		"a default that is unknown":    {alert.Options{Default: []string{"x"}}, []string{`default: has "x", which is none of the sinks []`}},
		"a sink that is nil":           {alert.Options{Sinks: map[string]alert.Sink{"a": nil}}, []string{`sinks: "a" is nil`}},
		"a sink whose name is no name": {alert.Options{Sinks: map[string]alert.Sink{"a\n": s}}, []string{"sinks: contains the control character U+000A"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := alert.NewDispatcher(&outbox{}, test.options)
			if got := err != nil; got != (len(test.want) > 0) || got && !errors.Is(err, usage.ErrInvalid) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("error is %q, want %q", err, want)
				}
			}
		})
	}
}
