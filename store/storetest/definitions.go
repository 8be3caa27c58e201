package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func catalogs() section[*test] {
	return section[*test]{"Catalog", []rule[*test]{
		{"a new one has a reporting zone and neither floor nor shapes", catalogNew},
		{"Writes.Catalog replaces it but for its shapes", catalogReplaced},
		{"its shapes are those of the definitions in ascending order", catalogShapes},
	}}
}

func catalogNew(t *test) {
	c := t.catalog()
	if _, err := time.LoadLocation(c.ReportingZone); c.ReportingZone == "" || err != nil {
		t.Errorf("not so: the reporting zone is an IANA name: it is %q", c.ReportingZone)
	}
	equal(t, "no events were pruned", time.Time{}, c.PruneFloor)
	none(t, "no definition, no shape", c.Shapes)
}

func catalogReplaced(t *test) {
	t.put(definition("a"))
	want := t.catalog()
	for _, floor := range []time.Time{{}, usage.MinTime, at(60)} {
		want.Version += 1 << 33
		want.ReportingZone = "America/Argentina/Buenos_Aires"
		want.PruneFloor = floor
		given := want
		given.Shapes = []budget.Shape{"no", "such", "shapes"}
		t.define(budget.Writes{Catalog: &given})
		equal(t, "the catalog is the given one with the store's shapes", want, t.catalog())
	}
	t.define(budget.Writes{PutBudgets: []budget.Definition{definition("b")}})
	equal(t, "no Catalog in Writes, no change", want, t.catalog())
}

func catalogShapes(t *test) {
	scopes := []budget.Scope{
		nil,
		{usage.User: budget.Each},
		{usage.User: "ann"},
		{usage.Tenant: "acme"},
		{usage.Tenant: "other"},
		{usage.Tenant: "acme", usage.User: budget.Each},
		{"project": budget.Each, `"`: "%"},
	}
	var want []budget.Shape
	for i, scope := range scopes {
		t.put(definition(ids(len(scopes))[i], func(d *budget.Definition) { d.Scope = scope }))
		want = append(want, scope.Shape())
		slices.Sort(want)
		want = slices.Compact(want)
		equal(t, "shapes are those of the definitions, ascending, each once", want, t.catalog().Shapes)
	}
}

func definitions() section[*test] {
	return section[*test]{"Definitions", []rule[*test]{
		{"those under these keys in ascending order of id", definitionsByKey},
		{"a key without one is absent", definitionsAbsent},
		{"they come back as they were given", definitionsExact},
		{"what was nil comes back nil", definitionsNil},
		{"they share nothing with the caller", definitionsUnshared},
		{"PutBudgets stores in the place of those with the same id", definitionsReplaced},
		{"DeleteBudgets deletes with rates and counters and adjustments and nothing else", definitionsDeleted},
		{"deleted and put in one Apply is put anew", definitionsDeletedAndPut},
	}}
}

func scoped(id string, scope budget.Scope) budget.Definition {
	return definition(id, func(d *budget.Definition) { d.Scope = scope })
}

func definitionsByKey(t *test) {
	acme, other := budget.Scope{usage.Tenant: "acme"}, budget.Scope{usage.Tenant: "other"}
	names := nasty()
	var want []budget.Definition
	for i, id := range names {
		want = append(want, scoped(id, acme))
		t.put(scoped(names[len(names)-1-i], acme))
	}
	t.put(scoped("of everything", nil), scoped("of another", other), scoped("of each", budget.Scope{usage.Tenant: budget.Each}))

	equal(t, "only those under the key, in ascending order of id",
		map[budget.ScopeKey][]budget.Definition{acme.Key(): want},
		read(t, budget.ReadTx.Definitions, []budget.ScopeKey{acme.Key()}))
	equal(t, "each key has its own",
		map[budget.ScopeKey][]budget.Definition{
			budget.Scope(nil).Key(): {scoped("of everything", nil)},
			other.Key():             {scoped("of another", other)},
		},
		read(t, budget.ReadTx.Definitions, []budget.ScopeKey{other.Key(), {}}))
}

func definitionsAbsent(t *test) {
	t.put(scoped("a", budget.Scope{usage.Tenant: "acme"}))
	for _, keys := range [][]budget.ScopeKey{nil, {}, {{}}, {budget.Scope{usage.Tenant: "ACME"}.Key(), budget.Scope{usage.User: "acme"}.Key()}} {
		if found := read(t, budget.ReadTx.Definitions, keys); len(found) != 0 {
			t.Errorf("not so: a key without a definition is absent: %v", found)
		}
	}
}

// byID returns the one definition with this id.
func (t *test) byID(id string) budget.Definition {
	t.Helper()
	found := read(t, budget.ReadTx.Budgets, budget.Query{IDs: []string{id}})
	if len(found) != 1 {
		t.Fatalf("found %d definitions with the id %q, want 1", len(found), id)
	}
	return found[0]
}

func definitionsExact(t *test) {
	for i, want := range exactDefinitions() {
		want.ID = ids(100)[i]
		t.put(want)
		equal(t, "Budgets returns what was put", want, t.byID(want.ID))
		equal(t, "Definitions returns what was put", []budget.Definition{want},
			read(t, budget.ReadTx.Definitions, []budget.ScopeKey{want.Scope.Key()})[want.Scope.Key()])
		t.define(budget.Writes{DeleteBudgets: []string{want.ID}})
	}
	for _, text := range nasty() {
		want := definition(text, func(d *budget.Definition) {
			d.Name, d.Description, d.Owner, d.CreatedBy = text[:min(len(text), 100)], &text, text, text
			d.Scope = budget.Scope{"label": budget.Selector(text), usage.User: budget.Each}
			d.Except = budget.Except{usage.User: {text}}
			d.AllowedResources = []string{text}
			d.Labels = map[string]string{text: text}
			d.Metadata, _ = json.Marshal(map[string]string{text: text})
		})
		t.put(want)
		equal(t, fmt.Sprintf("%q stays as it is", text), want, t.byID(text))
	}
}

func exactDefinitions() []budget.Definition {
	lifetime := period.Lifetime.Bounds(noon)
	berlin := period.Monthly.In(must(time.LoadLocation("Europe/Berlin")))
	list := []budget.Definition{definition(""), fullDefinition("")}
	for _, schedule := range []period.Schedule{
		period.Hourly, period.Daily, period.Weekly, period.Quarterly, period.Yearly, period.Lifetime, berlin,
		period.Every(90, period.Minute, exact(7)),
	} {
		list = append(list, definition("", func(d *budget.Definition) { d.Schedule = schedule }))
	}
	for _, limit := range []string{"0.000000001", "9223372036.854775807", "1e9", "100.50"} {
		list = append(list, definition("", func(d *budget.Definition) { d.Limit, d.MinHold = dec(limit), dec(limit) }))
	}
	list = append(list, definition("", func(d *budget.Definition) { d.Description = new("") })) // which is not none
	for _, t := range []time.Time{usage.MinTime, usage.EndTime, lifetime.Start, lifetime.End} {
		list = append(list, definition("", func(d *budget.Definition) {
			d.StartsAt, d.EndsAt, d.CountedFrom, d.CreatedAt, d.UpdatedAt = t, t, t, t, t
			d.Rates = []budget.Rate{{From: t, CostPerCredit: dec("1")}}
		}))
	}
	return list
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func definitionsNil(t *test) {
	t.put(definition("a"))
	d := t.byID("a")
	if d.Scope != nil || d.Except != nil || d.AllowedResources != nil || d.Labels != nil || d.Metadata != nil || d.Rates != nil ||
		d.Thresholds.Warning != nil || d.Thresholds.Critical != nil || d.Thresholds.Extra != nil {
		t.Errorf("not so: what was nil comes back nil: %+v", d)
	}
}

func definitionsUnshared(t *test) {
	want, given := fullDefinition("a"), fullDefinition("a")
	t.put(given)
	scribble(given)
	equal(t, "what was given can be changed", want, t.byID("a"))
	scribble(t.byID("a"))
	equal(t, "what was returned can be changed", want, t.byID("a"))
	keys := []budget.ScopeKey{want.Scope.Key()}
	scribble(read(t, budget.ReadTx.Definitions, keys)[keys[0]][0])
	equal(t, "what was returned can be changed", want, t.byID("a"))
}

// scribble changes all that a full definition refers to.
func scribble(d budget.Definition) {
	clear(d.Scope)
	d.Except[usage.User][0] = "changed"
	d.Except["project"] = nil
	d.AllowedResources[0] = "changed"
	*d.Description = "other"
	*d.Thresholds.Warning, *d.Thresholds.Critical, d.Thresholds.Extra[0] = dec("1"), dec("2"), dec("3")
	clear(d.Labels)
	d.Metadata[0] = 'x'
	d.Rates[0] = budget.Rate{}
}

func definitionsReplaced(t *test) {
	old := fullDefinition("a")
	t.put(old, definition("b"))
	t.write(budget.Writes{Counters: []budget.Counter{counter(counterKey("a", "", 0), budget.Tally{Recorded: 1})}})
	changed := scoped("a", budget.Scope{usage.Tenant: "other"})
	t.put(changed)
	equal(t, "nothing of the earlier definition is left", changed, t.byID("a"))
	if left := read(t, budget.ReadTx.Definitions, []budget.ScopeKey{old.Scope.Key()}); len(left) > 0 {
		t.Errorf("not so: a definition stands under the key of its present scope only: %v", left)
	}
	equal(t, "others stay", definition("b"), t.byID("b"))
	equal(t, "counters stay", 1, len(t.contents().Counters))
}

func definitionsDeleted(t *test) {
	t.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	t.put(fullDefinition("a"), definition("b"))
	t.write(budget.Writes{Counters: []budget.Counter{
		{CounterKey: counterKey("b", "", 0)}, {CounterKey: budget.CounterKey{Budget: "a", Start: starts()[0]}},
	}, Adjustments: []budget.StoredAdjustment{adjustment("a", "goes"), adjustment("b", "stays")}})
	want := t.contents()
	want.Definitions = []budget.Definition{definition("b")}
	want.Counters = []budget.Counter{{CounterKey: counterKey("b", "", 0)}}
	want.Adjustments = []budget.StoredAdjustment{adjustment("b", "stays")}

	t.define(budget.Writes{DeleteBudgets: []string{"filled", "a", "unknown"}})
	equal(t, "definitions go, their rates, counters and adjustments with them, nothing else", want, t.contents())

	reborn := definition("a", func(d *budget.Definition) { d.Scope = fullDefinition("a").Scope })
	t.put(reborn)
	equal(t, "rates went with the definition", reborn, t.byID("a"))
}

func definitionsDeletedAndPut(t *test) {
	old, changed := fullDefinition("a"), definition("a")
	t.put(old)
	t.write(budget.Writes{Counters: []budget.Counter{counter(counterKey("a", "", 0), budget.Tally{Recorded: 5})}})
	added := budget.Counter{CounterKey: counterKey("a", "", 0), Tally: budget.Tally{Recorded: 2}}
	t.define(budget.Writes{
		DeleteBudgets: []string{"a"},
		PutBudgets:    []budget.Definition{changed},
		Counters:      []budget.Counter{added},
	})
	equal(t, "the parts are written in the order of the fields", changed, t.byID("a"))
	equal(t, "the parts are written in the order of the fields", []budget.Counter{added}, t.contents().Counters)
}

func budgets() section[*test] {
	return section[*test]{"Budgets", []rule[*test]{
		{"the zero query selects all newest first", budgetsAll},
		{"those that the query selects", budgetsSelected},
		{"pages of any size walk through all once", budgetsPaged},
		{"CountBudgets leaves the page aside", budgetsCounted},
	}}
}

func budgetsAll(t *test) {
	var want []budget.Definition
	for _, id := range slices.Backward(nasty()) {
		want = append(want, definition(id))
	}
	t.put(want...)
	t.put(definition("newest", func(d *budget.Definition) { d.CreatedAt = noon.Add(time.Microsecond) }))
	t.put(definition("oldest", func(d *budget.Definition) { d.CreatedAt = noon.Add(-time.Microsecond) }))
	want = slices.Concat([]budget.Definition{t.byID("newest")}, want, []budget.Definition{t.byID("oldest")})
	equal(t, "CreatedAt descending, then ID descending", want, read(t, budget.ReadTx.Budgets, budget.Query{}))
	equal(t, "CountBudgets counts all", len(want), read(t, budget.ReadTx.CountBudgets, budget.Query{}))
}

func budgetsSelected(t *test) {
	t.put(selectable()...)
	for _, c := range budgetSelections() {
		found := read(t, budget.ReadTx.Budgets, c.query)
		slices.SortFunc(found, func(a, b budget.Definition) int { return strings.Compare(a.ID, b.ID) })
		var got []string
		for _, d := range found {
			got = append(got, d.ID)
		}
		equal(t, "Budgets selects "+c.rule, c.want, got)
		equal(t, "CountBudgets counts "+c.rule, len(c.want), read(t, budget.ReadTx.CountBudgets, c.query))
	}
}

// selectable returns definitions of which queries select some.
func selectable() []budget.Definition {
	return []budget.Definition{
		definition("plain"),
		definition("owned", func(d *budget.Definition) { d.Owner = "o'ps" }),
		definition("OWNED", func(d *budget.Definition) { d.Owner = "O'PS" }),
		definition("tokens", func(d *budget.Definition) { d.Metric = usage.Tokens }),
		definition("disabled", func(d *budget.Definition) { d.Disabled = true }),
		scoped("of acme", budget.Scope{usage.Tenant: "acme"}),
		scoped("of acme's users", budget.Scope{usage.Tenant: "acme", usage.User: budget.Each}),
		scoped("of a literal each", budget.Scope{usage.User: "each"}),
		scoped("of a project", budget.Scope{"project": `a"b%_\`, "$.tenant": "acme"}),
		definition("labelled", func(d *budget.Definition) { d.Labels = map[string]string{"license": "7", "a.b": `x"'`} }),
		definition("labelled too", func(d *budget.Definition) { d.Labels = map[string]string{"license": "7", "7": "license"} }),
	}
}

type budgetSelection struct {
	rule  string
	query budget.Query
	want  []string
}

func budgetSelections() []budgetSelection {
	return []budgetSelection{
		{"only these ids, unknown ones left out", budget.Query{IDs: []string{"tokens", "unknown", "plain"}}, []string{"plain", "tokens"}},
		{"nothing by no ids", budget.Query{IDs: []string{}}, nil},
		{"only those with this owner", budget.Query{Owner: new("o'ps")}, []string{"owned"}},
		{"only those on this metric", budget.Query{Metric: usage.Tokens}, []string{"tokens"}},
		{"only disabled ones", budget.Query{Enabled: new(false)}, []string{"disabled"}},
		{"only those whose scope has this dimension", budget.Query{Scope: budget.Scope{usage.Tenant: "acme"}}, []string{"of acme", "of acme's users"}},
		{"only those whose scope has these dimensions", budget.Query{Scope: budget.Scope{usage.User: budget.Each, usage.Tenant: "acme"}}, []string{"of acme's users"}},
		{"each where it is each", budget.Query{Scope: budget.Scope{usage.User: budget.Each}}, []string{"of acme's users"}},
		{"a value where it is that value", budget.Query{Scope: budget.Scope{usage.User: "each"}}, []string{"of a literal each"}},
		{"by labels as dimensions", budget.Query{Scope: budget.Scope{"project": `a"b%_\`}}, []string{"of a project"}},
		{"by dimensions whose names look like paths", budget.Query{Scope: budget.Scope{"$.tenant": "acme"}}, []string{"of a project"}},
		{"only those whose scope has not this dimension", budget.Query{Without: []usage.Dimension{usage.Tenant}}, []string{"OWNED", "disabled", "labelled", "labelled too", "of a literal each", "of a project", "owned", "plain", "tokens"}},
		{"only those whose scope has none of these dimensions", budget.Query{Without: []usage.Dimension{usage.Tenant, "project"}}, []string{"OWNED", "disabled", "labelled", "labelled too", "of a literal each", "owned", "plain", "tokens"}},
		{"only those whose scope has some dimensions and not others", budget.Query{Scope: budget.Scope{usage.Tenant: "acme"}, Without: []usage.Dimension{usage.User}}, []string{"of acme"}},
		{"whatever the dimension's selector", budget.Query{Without: []usage.Dimension{usage.User}, Scope: budget.Scope{"$.tenant": "acme"}}, []string{"of a project"}},
		{"a dimension whose name is the beginning of another's", budget.Query{Without: []usage.Dimension{"$.tenan", "$.tenant=acme", "tenant*"}, Scope: budget.Scope{"$.tenant": "acme"}}, []string{"of a project"}},
		{"nothing with and without a dimension", budget.Query{Scope: budget.Scope{usage.Tenant: "acme"}, Without: []usage.Dimension{usage.Tenant}}, nil},
		{"nothing by another value", budget.Query{Scope: budget.Scope{"project": `a"b%__`}}, nil},
		{"only those that carry this label", budget.Query{Labels: map[string]string{"license": "7"}}, []string{"labelled", "labelled too"}},
		{"only those that carry these labels", budget.Query{Labels: map[string]string{"license": "7", "a.b": `x"'`}}, []string{"labelled"}},
		{"nothing by a label's prefix", budget.Query{Labels: map[string]string{"a": `x"'`}}, nil},
		{"what all of it selects", budget.Query{IDs: []string{"plain", "owned"}, Owner: new(""), Metric: usage.Dollars, Enabled: new(true)}, []string{"plain"}},
	}
}

func budgetsPaged(t *test) {
	var want []budget.Definition
	for i, id := range slices.Backward(ids(11)) {
		want = append(want, definition(id, func(d *budget.Definition) { d.CreatedAt = at(i / 3) }))
	}
	t.put(want...)
	walk(t, want, func(tx budget.ReadTx, ctx context.Context, after *budget.Definition, limit int) ([]budget.Definition, error) {
		q := budget.Query{Limit: limit}
		if after != nil {
			q.After = &budget.Cursor{CreatedAt: after.CreatedAt, ID: after.ID}
		}
		return tx.Budgets(ctx, q)
	})
	for offset := range len(want) + 2 {
		rest := want[min(offset, len(want)):]
		equal(t, "Offset leaves out so many first", rest, read(t, budget.ReadTx.Budgets, budget.Query{Offset: offset}))
		equal(t, "Limit counts behind Offset", rest[:min(2, len(rest))], read(t, budget.ReadTx.Budgets, budget.Query{Offset: offset, Limit: 2}))
	}
}

func budgetsCounted(t *test) {
	t.put(definition("a"), definition("b"), definition("c"))
	q := budget.Query{IDs: []string{"a", "b"}, After: &budget.Cursor{CreatedAt: at(-1)}, Offset: 1, Limit: 1}
	equal(t, "After, Offset and Limit do not change how many are selected", 2, read(t, budget.ReadTx.CountBudgets, q))
}

// A pager returns at most limit rows behind one, or behind none; a limit of 0 is none.
type pager[T any] func(tx budget.ReadTx, ctx context.Context, after *T, limit int) ([]T, error)

// walk checks that pages of every size put together are want.
func walk[T any](t *test, want []T, page pager[T]) {
	t.Helper()
	for limit := range len(want) + 2 {
		var got []T
		t.view(func(tx budget.ReadTx) error {
			rows, err := page(tx, t.Context(), nil, limit)
			for len(rows) > 0 && err == nil {
				if got = append(got, rows...); len(got) > len(want) || limit > 0 && len(rows) > limit {
					return fmt.Errorf("limit %d: %d rows in a page, %d so far, of %d", limit, len(rows), len(got), len(want))
				}
				rows, err = page(tx, t.Context(), &got[len(got)-1], limit)
			}
			return err
		})
		equal(t, fmt.Sprintf("pages of %d walk through all once, in order", limit), want, got)
	}
}
