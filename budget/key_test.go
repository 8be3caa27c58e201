package budget_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
)

// claimKey claims a key at an instant, and fails if it may not.
func (f *fixture) claimKey(at time.Time, key, request string) (again bool) {
	f.t.Helper()
	now := f.now
	f.now = at
	defer func() { f.now = now }()
	again, err := f.ClaimKey(f.t.Context(), key, []byte(request))
	if err != nil {
		f.t.Fatalf("claim %q: %v", key, err)
	}
	return again
}

// claimed returns the keys for which a request stands, and how often each was claimed.
func (f *fixture) claimed() map[string]int64 {
	f.t.Helper()
	keys := make(map[string]int64)
	f.view(func(r budget.ReadTx) error {
		claims, err := r.KeyClaims(f.t.Context(), budget.KeyClaimQuery{})
		for _, c := range claims {
			keys[c.Key] = c.Times
		}
		return err
	})
	return keys
}

func TestAKeyStandsForTheRequestThatClaimedItFirst(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, c := range []struct {
		rule, key, request string
		again              bool
		want               error
	}{
		{"the first claim", "k", "request", false, nil},
		{"the same request again", "k", "request", true, nil},
		{"another one", "k", "other", false, budget.ErrConflict},
		{"one that is empty", "k", "", false, budget.ErrConflict},
		{"the same request after another one", "k", "request", true, nil},
		{"another key for the same request", "K", "request", false, nil},
		{"a request that is empty", "empty", "", false, nil},
	} {
		before := f.claimed()
		again, err := f.ClaimKey(t.Context(), c.key, []byte(c.request))
		if again != c.again {
			t.Errorf("%s: again is %t, want %t", c.rule, again, c.again)
		}
		if c.want == nil && err != nil {
			t.Errorf("%s: %v", c.rule, err)
		}
		if c.want != nil {
			is(t, err, c.want)
			if diff := cmp.Diff(before, f.claimed()); diff != "" {
				t.Errorf("%s changes something (-before +after):\n%s", c.rule, diff)
			}
		}
	}
}

func TestKeysAreShortPlainTexts(t *testing.T) {
	t.Parallel()
	f := open(t)
	for key, want := range map[string][]string{
		strings.Repeat("x", 128): nil,
		strings.Repeat("x", 129): {"key"},
		"":                       {"key"},
		"a\x00b":                 {"key"},
		"\xff":                   {"key"},
	} {
		_, err := f.ClaimKey(t.Context(), key, nil)
		if diff := cmp.Diff(want, fields(err)); diff != "" || want == nil && err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", key, err, diff)
		}
	}
	if n := len(f.claimed()); n != 1 {
		t.Errorf("%d keys are stored, want 1", n)
	}
}

func TestOfThoseWhoClaimAKeyAtOnceOneIsTheFirst(t *testing.T) {
	t.Parallel()
	f := open(t)
	for round := range 20 {
		key := fmt.Sprint("key ", round)
		var firsts, conflicts, others atomic.Int64
		var claimed sync.WaitGroup
		for caller := range 8 {
			// Half of them, each through a ledger of its own as in another process, bring another request.
			ledger := budget.NewLedger(f.store, &budget.Options{Now: f.clock})
			claimed.Go(func() {
				again, err := ledger.ClaimKey(t.Context(), key, []byte{byte(caller % 2)})
				switch {
				case err != nil:
					conflicts.Add(1)
					is(t, err, budget.ErrConflict)
				case again:
					others.Add(1)
				default:
					firsts.Add(1)
				}
			})
		}
		claimed.Wait()
		if firsts.Load() != 1 || others.Load() != 3 || conflicts.Load() != 4 {
			t.Fatalf("%d are the first, %d come again and %d are refused; want 1, 3 and 4", firsts.Load(), others.Load(), conflicts.Load())
		}
	}
}

func TestAClaimWhoseCommitIsNotKnown(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct {
		committed bool
		failures  []error
		again     bool
		want      error
		claimed   int
	}{
		"what was not committed is claimed":          {false, []error{budget.ErrOutcomeUnknown}, false, nil, 1},
		"what was committed is found":                {true, []error{budget.ErrOutcomeUnknown}, true, nil, 1},
		"if it is unknown again, the caller is told": {true, []error{budget.ErrOutcomeUnknown, budget.ErrOutcomeUnknown}, false, budget.ErrOutcomeUnknown, 1},
		"a store that is away claims nothing":        {false, []error{budget.ErrUnavailable}, false, budget.ErrUnavailable, 0},
	} {
		f, _ := failing(t, c.committed, c.failures...)
		again, err := f.ClaimKey(t.Context(), "k", []byte("request"))
		if again != c.again || c.want == nil && err != nil {
			t.Errorf("%s: again is %t, want %t: %v", rule, again, c.again, err)
		}
		if c.want != nil {
			is(t, err, c.want)
		}
		if n := len(f.claimed()); n != c.claimed {
			t.Errorf("%s: %d keys are stored, want %d", rule, n, c.claimed)
		}
	}
}

func TestKeysAreForgottenAfterTheirTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	for i := range 2500 { // more than one transaction deletes
		f.claimKey(noon.Add(-48*time.Hour-time.Microsecond), fmt.Sprint("old ", i), "request")
	}
	f.claimKey(noon.Add(-48*time.Hour), "kept", "request")
	f.claimKey(noon.Add(-72*time.Hour), "claimed again", "request")
	f.claimKey(noon, "claimed again", "request") // its time is that of the first claim
	if err := f.ForgetKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"kept": 1}, f.claimed()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f.claimKey(noon, "old 1", "other") {
		t.Error("a key that is forgotten is not free")
	}
}

func TestRunForgetsKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := openOptions(t, budget.Options{KeyRetention: time.Hour, ForecastInterval: -1})
		f.claimKey(noon.Add(-2*time.Hour), "old", "request")
		f.claimKey(noon, "new", "request")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		if diff := cmp.Diff(map[string]int64{"new": 1}, f.claimed()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
		is(t, <-done, context.Canceled)
	})
}

func TestABoundLedgerClaimsInItsTransaction(t *testing.T) {
	t.Parallel()
	f, inside := open(t), open(t)
	if _, err := f.WithStore(inside.store).ClaimKey(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	if len(f.claimed()) != 0 || len(inside.claimed()) != 1 {
		t.Errorf("outside %v, inside %v", f.claimed(), inside.claimed())
	}
}
