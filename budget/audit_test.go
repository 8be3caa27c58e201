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

func TestChangesAreAuditedInTheWordsOfTheCaller(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(ctx context.Context, l *budget.Ledger) error
		want   []string // the actions as the ledger names them
	}{
		"create": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.Create(ctx, withDefaults(budget.Budget{})))
		}, []string{"create_budget"}},
		"update": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.Update(ctx, "b", func(b *budget.Budget) error { b.Limit = dec("7"); return nil }))
		}, []string{"update_budget"}},
		"an update that changes nothing": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.Update(ctx, "b", func(*budget.Budget) error { return nil }))
		}, nil},
		"delete": {func(ctx context.Context, l *budget.Ledger) error { return l.Delete(ctx, "b") }, []string{"delete_budget"}},
		"adjust": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.Adjust(ctx, adjustment("b", "5")))
		}, []string{"adjust_budget"}},
		"correct": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.Correct(ctx, back("c", "e", 1)))
		}, []string{"correct_event"}},
		"put a tenant": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.PutTenant(ctx, budget.Tenant{ID: "t", Name: "T"}))
		}, []string{"put_tenant"}},
		"create a license": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.CreateLicense(ctx, license(func(x *budget.License) { x.Tenant = "other" })))
		}, []string{"create_budget", "create_budget", "create_license"}},
		"update a license": {func(ctx context.Context, l *budget.Ledger) error {
			return second(l.UpdateLicense(ctx, "license", func(x *budget.License) error { x.CreditsUsed = dec("5"); return nil }))
		}, []string{"adjust_budget", "update_license_budget"}},
	} {
		f := open(t)
		f.create(budget.Budget{ID: "b"})
		f.createLicense(license(func(x *budget.License) { x.ID = "license" }))
		f.record(tokens("e", 5))
		before := len(f.audit())
		var seen []string
		ledger := f.Annotated(func(e *budget.AuditEntry) {
			seen = append(seen, e.Action)
			e.Details, e.Action, e.Kind, e.Tenant = []byte(`{"was": "`+e.Action+`"}`), "act", "kind", "tenant"
			e.ID, e.Time, e.Actor, e.Target, e.Before, e.After = "mine", noon.AddDate(-1, 0, 0), "bob", "mine", nil, nil
		}).By("ann")
		if err := c.change(t.Context(), ledger); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, seen); diff != "" {
			t.Errorf("%s: the ledger's own words (-want +got):\n%s", name, diff)
		}
		var details []string
		for _, e := range f.audit()[before:] {
			details = append(details, string(e.Details))
			if e.Action != "act" || e.Kind != "kind" || e.Tenant != "tenant" {
				t.Errorf("%s: the caller's words are not kept: %+v", name, e)
			}
			if e.ID == "mine" || !e.Time.Equal(noon) || e.Actor != "ann" || e.Target == "mine" || e.Before == nil && e.After == nil {
				t.Errorf("%s: the ledger's are not: %+v", name, e)
			}
		}
		var want []string
		for _, action := range c.want {
			want = append(want, `{"was": "`+action+`"}`)
		}
		slices.Sort(details)
		if diff := cmp.Diff(want, details); diff != "" {
			t.Errorf("%s: details (-want +got):\n%s", name, diff)
		}
	}
}

func TestWordsThatAreRefusedRefuseTheChange(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	before := f.contents()
	ledger := f.Annotated(func(e *budget.AuditEntry) {
		e.Action, e.Kind, e.Tenant, e.Details = "", "\x00", "\xff", []byte(`[]`)
	})
	want := []string{"tenant", "action", "kind", "details"}
	err := second(ledger.Update(t.Context(), b.ID, func(b *budget.Budget) error { b.Limit = dec("7"); return nil }))
	if diff := cmp.Diff(want, fields(err)); diff != "" {
		t.Errorf("update (-want +got):\n%s", diff)
	}
	f.record(tokens("e", 5))
	result, err := ledger.Correct(t.Context(), back("c", "e", 1))
	if diff := cmp.Diff(want, fields(err)); diff != "" || result.Outcome != budget.Invalid {
		t.Errorf("correct: %s (-want +got):\n%s", result.Outcome, diff)
	}
	if stands, _ := f.Budget(t.Context(), b.ID); !stands.Limit.Equal(b.Limit) || len(f.audit()) != 1 || len(before) == 0 {
		t.Errorf("something is stored: %+v, %+v", stands, f.audit())
	}
}

func TestLedgersKeepTheWordsOfTheCaller(t *testing.T) {
	t.Parallel()
	f := open(t)
	words := f.Annotated(func(e *budget.AuditEntry) { e.Action = "mine" })
	for name, c := range map[string]struct {
		ledger *budget.Ledger
		want   string
	}{
		"its own":                 {words, "mine"},
		"of an actor":             {words.By("ann"), "mine"},
		"in a transaction":        {words.WithStore(f.store), "mine"},
		"without alerts":          {words.WithoutAlerts(), "mine"},
		"in other words":          {words.Annotated(func(e *budget.AuditEntry) { e.Action += ", other" }), "put_tenant, other"},
		"in its own words again":  {words.Annotated(nil), "put_tenant"},
		"the one it is made from": {f.Ledger, "put_tenant"},
	} {
		if _, err := c.ledger.PutTenant(t.Context(), budget.Tenant{ID: name, Name: name}); err != nil {
			t.Fatal(err)
		}
		found, err := f.Audit(t.Context(), budget.AuditQuery{Target: name})
		if err != nil || len(found) != 1 || found[0].Action != c.want {
			t.Errorf("%s: %+v, %v; want %q", name, found, err, c.want)
		}
	}
	if err := words.Note(t.Context(), listing()); err != nil || f.audit()[len(f.audit())-1].Action != "list_budgets" {
		t.Errorf("a note is in the words of the caller already: %+v, %v", f.audit(), err)
	}
}
