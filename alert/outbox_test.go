package alert_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/alert"
)

// outbox is an [alert.Outbox] in memory, by time.Now.
type outbox struct {
	mu         sync.Mutex
	unrouted   []alert.Alert
	deliveries []*alert.Delivery
	asked      int           // calls of Claim
	pruned     time.Duration // the age that Prune was called with
	down       error         // what every call returns, if not nil
	unfinished int           // so many calls of Finish write nothing down, as if the process had died before
}

var errDown = errors.New("the outbox is down")

// add stores alerts.
func (o *outbox) add(alerts ...alert.Alert) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unrouted = append(o.unrouted, alerts...)
}

func (o *outbox) Route(_ context.Context, limit int, to func(alert.Alert) []string) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down != nil {
		return 0, o.down
	}
	n := min(limit, len(o.unrouted))
	for _, a := range o.unrouted[:n] {
		if a.Superseded {
			continue
		}
		for _, sink := range to(a) {
			o.deliveries = append(o.deliveries, &alert.Delivery{Alert: a, Sink: sink, Due: time.Now()})
		}
	}
	o.unrouted = o.unrouted[n:]
	return n, nil
}

func (o *outbox) Claim(_ context.Context, sink string, limit int, hold time.Duration) ([]alert.Delivery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	if o.down != nil {
		return nil, o.down
	}
	var claimed []alert.Delivery
	for _, d := range o.deliveries {
		if d.Sink == sink && len(claimed) < limit && !ended(d) && !d.Due.After(time.Now()) && o.first(d) {
			d.State, d.Due, d.Tries = alert.Claimed, time.Now().Add(hold), d.Tries+1
			claimed = append(claimed, *d)
		}
	}
	return claimed, nil
}

// ended reports whether a delivery has come to an end.
func ended(d *alert.Delivery) bool { return d.State == alert.Delivered || d.State == alert.Dead }

func (o *outbox) first(d *alert.Delivery) bool {
	return !slices.ContainsFunc(o.deliveries, func(e *alert.Delivery) bool {
		sameLine := e.Sink == d.Sink && e.Alert.Budget == d.Alert.Budget && e.Alert.Value == d.Alert.Value
		before := cmp.Or(e.Alert.At.Compare(d.Alert.At), cmp.Compare(e.Alert.ID, d.Alert.ID)) < 0
		return sameLine && before && !ended(e)
	})
}

func (o *outbox) Finish(_ context.Context, d alert.Delivery, outcome alert.Outcome) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down != nil {
		return o.down
	}
	if o.unfinished > 0 {
		o.unfinished--
		return errDown
	}
	for _, stands := range o.deliveries {
		mine := stands.State == alert.Claimed && stands.Due.Equal(d.Due)
		if stands.Alert.ID == d.Alert.ID && stands.Sink == d.Sink && (mine || outcome.State == alert.Delivered) {
			stands.State, stands.Due = outcome.State, time.Now().Add(outcome.After)
			stands.Error = cmp.Or(outcome.Error, stands.Error)
		}
	}
	return nil
}

func (o *outbox) Prune(_ context.Context, age time.Duration) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pruned = age
	return 0, o.down
}

// states returns how the deliveries stand.
func (o *outbox) states() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var texts []string
	for _, d := range o.deliveries {
		texts = append(texts, fmt.Sprintf("%s to %s: %v, %d tries", d.Alert.ID, d.Sink, d.State, d.Tries))
	}
	return texts
}

func (o *outbox) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// sink is an [alert.Sink] that remembers what was sent, and answers as it is told.
type sink struct {
	mu     sync.Mutex
	begun  time.Time
	sent   []string                                   // "id at seconds"
	ids    []string                                   // of alerts that arrived
	answer func(ctx context.Context, id string) error // nil: everything arrives
}

func newSink(answer func(ctx context.Context, id string) error) *sink {
	return &sink{begun: time.Now(), answer: answer}
}

func (s *sink) Send(ctx context.Context, a alert.Alert) error {
	s.mu.Lock()
	s.sent = append(s.sent, fmt.Sprintf("%s at %v", a.ID, time.Since(s.begun)))
	s.mu.Unlock()
	if s.answer != nil {
		if err := s.answer(ctx, a.ID); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, a.ID)
	return nil
}

func (s *sink) tries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

func (s *sink) arrived() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

// of returns an alert of a budget.
func of(budget, id string, second int) alert.Alert {
	return alert.Alert{ID: id, Budget: budget, Kind: alert.Threshold, At: time.Date(2026, time.March, 10, 12, 0, second, 0, time.UTC)}
}

// dispatch runs a dispatcher for so long, in a bubble's time.
func dispatch(t *testing.T, o *outbox, options alert.Options, long time.Duration) {
	t.Helper()
	d, err := alert.NewDispatcher(o, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	if err := d.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run returned %v, want its context's error", err)
	}
}
