package budget_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/store/memstore"
)

// listing is what a caller notes about having read a list.
func listing() budget.AuditEntry {
	return budget.AuditEntry{Tenant: "acme", Action: "list_budgets", Kind: "budget", Details: json.RawMessage(`{"page": 1}`)}
}

func TestANoteIsAnEntryOfTheLedgersActorAndTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	given := listing()
	given.ID, given.Time, given.Actor = "mine", noon.AddDate(-1, 0, 0), "bob"
	given.Target, given.Before, given.After = "b", json.RawMessage(`{}`), json.RawMessage(`{"a": null}`)
	if err := f.By("ann").Note(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	want := given
	want.ID, want.Time, want.Actor = "id-0001", noon, "ann"
	if diff := cmp.Diff([]budget.AuditEntry{want}, f.audit()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTextsOfNotes(t *testing.T) {
	t.Parallel()
	f := open(t)
	object := func(n int) json.RawMessage { return json.RawMessage(`{"a":"` + strings.Repeat("x", n-8) + `"}`) }
	long := strings.Repeat("x", 129)
	for rule, c := range map[string]struct {
		change func(e *budget.AuditEntry)
		want   []string
	}{
		"action alone will do":       {func(e *budget.AuditEntry) { *e = budget.AuditEntry{Action: "a"} }, nil},
		"action is needed":           {func(e *budget.AuditEntry) { e.Action = "" }, []string{"action"}},
		"names of 128 bytes at most": {func(e *budget.AuditEntry) { e.Tenant, e.Action, e.Kind, e.Target = long, long, long, long }, []string{"tenant", "action", "kind", "target"}},
		"no control characters":      {func(e *budget.AuditEntry) { e.Target = "a\x00b" }, []string{"target"}},
		"objects": {func(e *budget.AuditEntry) {
			e.Before, e.After, e.Details = []byte(`[]`), []byte(`null`), []byte(`{"a":1} {}`)
		}, []string{"before", "after", "details"}},
		"an object that is empty":     {func(e *budget.AuditEntry) { e.Details = []byte(`{}`) }, nil},
		"no text is no object":        {func(e *budget.AuditEntry) { e.Details = []byte{} }, []string{"details"}},
		"UTF-8":                       {func(e *budget.AuditEntry) { e.Details = []byte("{\"a\":\"\xff\"}") }, []string{"details"}},
		"details of 16 MiB":           {func(e *budget.AuditEntry) { e.Details = object(16 << 20) }, nil},
		"details of more than 16 MiB": {func(e *budget.AuditEntry) { e.Details = object(16<<20 + 1) }, []string{"details"}},
	} {
		before := len(f.audit())
		e := listing()
		c.change(&e)
		err := f.Note(t.Context(), e)
		if diff := cmp.Diff(c.want, fields(err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rule, diff)
		}
		stored := len(f.audit()) - before
		if want := 1 - min(1, len(c.want)); stored != want {
			t.Errorf("%s: %d entries are stored, want %d: %v", rule, stored, want, err)
		}
	}
	err := f.By("a\x00b").Note(t.Context(), listing())
	if diff := cmp.Diff([]string{"actor"}, fields(err)); diff != "" {
		t.Errorf("the actor too (-want +got):\n%s", diff)
	}
}

func TestNotesOfTheSameTimeShareATransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{pass: make(chan struct{})}
		f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { g.Store = s; return g })
		const followers = 20
		var noted sync.WaitGroup
		note := func(n int) {
			noted.Go(func() {
				e := listing()
				e.Target = fmt.Sprint(n)
				if err := f.Note(t.Context(), e); err != nil {
					t.Error(err)
				}
				if !slices.ContainsFunc(f.audit(), func(e budget.AuditEntry) bool { return e.Target == fmt.Sprint(n) }) {
					t.Errorf("note %d has returned and is not stored", n)
				}
			})
			synctest.Wait()
		}
		for n := range 1 + followers {
			note(n)
		}
		for i, want := range []int{1, 1 + followers} {
			g.let(1)
			if got := len(f.audit()); got != want {
				t.Errorf("after %d transactions %d notes are stored, want %d", i+1, got, want)
			}
		}
		noted.Wait()
	})
}

// One who leaves must not change what is written for them meanwhile.
func TestANoteIsACopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{pass: make(chan struct{})}
		f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { g.Store = s; return g })
		for range 2 { // those who lead
			go func() { _ = f.Note(t.Context(), listing()) }()
			synctest.Wait()
		}
		ctx, leave := context.WithCancel(t.Context())
		given := listing()
		left := make(chan error, 1)
		go func() { left <- f.Note(ctx, given) }()
		synctest.Wait()
		g.let(1)
		leave()
		is(t, <-left, budget.ErrOutcomeUnknown)
		given.Details[2] = 'X'
		g.open()
		entries := f.audit()
		for _, e := range entries {
			if string(e.Details) != `{"page": 1}` {
				t.Errorf("stored %s", e.Details)
			}
		}
		if len(entries) != 3 {
			t.Errorf("%d entries are stored, want 3", len(entries))
		}
	})
}

func TestANoteWhoseCommitIsNotKnown(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct {
		committed bool
		failures  []error
		want      error
		stored    int
	}{
		"what was not committed is stored":           {false, []error{budget.ErrOutcomeUnknown}, nil, 1},
		"what was committed is not stored twice":     {true, []error{budget.ErrOutcomeUnknown}, nil, 1},
		"if it is unknown again, the caller is told": {true, []error{budget.ErrOutcomeUnknown, budget.ErrOutcomeUnknown}, budget.ErrOutcomeUnknown, 1},
		"a store that is away stores nothing":        {false, []error{budget.ErrUnavailable}, budget.ErrUnavailable, 0},
		"nor is it known if the store is away then":  {false, []error{budget.ErrOutcomeUnknown, budget.ErrUnavailable}, budget.ErrOutcomeUnknown, 0},
	} {
		f, _ := failing(t, c.committed, c.failures...)
		err := f.Note(t.Context(), listing())
		if c.want == nil && err != nil {
			t.Errorf("%s: %v", rule, err)
		} else if c.want != nil {
			is(t, err, c.want)
		}
		if got := len(f.audit()); got != c.stored {
			t.Errorf("%s: %d entries, want %d", rule, got, c.stored)
		}
	}
}

func TestABoundLedgerNotesInItsTransaction(t *testing.T) {
	t.Parallel()
	f, inside := open(t), memstore.New(nil)
	if err := f.By("ann").WithStore(inside).Note(t.Context(), listing()); err != nil {
		t.Fatal(err)
	}
	bound := openWith(t, inside, nil)
	if got := bound.audit(); len(got) != 1 || got[0].Actor != "ann" {
		t.Errorf("in the transaction: %+v", got)
	}
	if got := f.audit(); len(got) != 0 {
		t.Errorf("outside of it: %+v", got)
	}
	if err := f.WithoutAlerts().Note(t.Context(), listing()); err != nil || len(f.audit()) != 1 {
		t.Errorf("without alerts: %+v, %v", f.audit(), err)
	}
}
