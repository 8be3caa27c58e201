package load

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/purser-go/purser/budget"
)

// longest is the longest time that is told apart from others.
const longest = time.Minute

// newHistogram returns a histogram of microseconds, right to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest.Microseconds(), 3) }

// A Slice is what a process did in one second, or in the rest of one.
type Slice struct {
	Admitted int64 `json:"admitted"`
	Refused  int64 `json:"refused"`
	Settled  int64 `json:"settled"`

	RefusedBy map[string]int64 `json:"refused_by,omitempty"` // how often each budget refused, by its id

	Took    string  `json:"took"`    // how long the reservations took, refused ones too: a histogram in its own encoding
	Elapsed float64 `json:"elapsed"` // seconds since the process began, at the slice's end
}

// A meter counts and times what the workers of a process do.
type meter struct {
	began time.Time

	mu    sync.Mutex
	slice Slice
	took  *hdrhistogram.Histogram
}

func newMeter() *meter { return &meter{began: time.Now(), took: newHistogram()} }

func (m *meter) admitted(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slice.Admitted++
	m.record(took)
}

func (m *meter) refused(by []budget.Refusal, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slice.Refused++
	if m.slice.RefusedBy == nil {
		m.slice.RefusedBy = make(map[string]int64)
	}
	for _, r := range by {
		m.slice.RefusedBy[r.Budget]++
	}
	m.record(took)
}

// record needs the mutex.
func (m *meter) record(took time.Duration) {
	_ = m.took.RecordValue(min(took, longest).Microseconds()) // within its bounds
}

func (m *meter) settled() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slice.Settled++
}

// take returns what was counted since it was last called.
func (m *meter) take() (Slice, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	took, err := m.took.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return Slice{}, fmt.Errorf("encode the times: %w", err)
	}
	s := m.slice
	s.Took, s.Elapsed = string(took), time.Since(m.began).Seconds()
	m.slice = Slice{}
	m.took.Reset()
	return s, nil
}

// Sum is what all processes did.
type Sum struct {
	Admitted, Refused, Settled int64

	RefusedBy map[string]int64 // how often each budget refused, by its id
	PerSecond []int64          // admissions by second since the processes began; the last one may be shorter
	Elapsed   time.Duration    // of the process that took longest

	took *hdrhistogram.Histogram
}

func newSum() *Sum { return &Sum{RefusedBy: make(map[string]int64), took: newHistogram()} }

// add adds the slice that a process sent as its n-th, counted from 0.
func (s *Sum) add(n int, slice Slice) error {
	took, err := hdrhistogram.Decode([]byte(slice.Took))
	if err != nil {
		return fmt.Errorf("decode the times: %w", err)
	}
	s.took.Merge(took)
	s.Admitted += slice.Admitted
	s.Refused += slice.Refused
	s.Settled += slice.Settled
	for id, n := range slice.RefusedBy {
		s.RefusedBy[id] += n
	}
	for len(s.PerSecond) <= n {
		s.PerSecond = append(s.PerSecond, 0)
	}
	s.PerSecond[n] += slice.Admitted
	s.Elapsed = max(s.Elapsed, time.Duration(slice.Elapsed*float64(time.Second)))
	return nil
}

// Took returns how long so many percent of the reservations took at the most.
func (s *Sum) Took(percent float64) time.Duration {
	return time.Duration(s.took.ValueAtPercentile(percent)) * time.Microsecond
}

// Rate returns how many requests were admitted per second.
func (s *Sum) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Admitted) / s.Elapsed.Seconds()
}
