package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func records() section[*test] {
	return section[*test]{"Records", []rule[*test]{
		{"adjustments come back as they were given", adjustmentsExact},
		{"an adjustment whose budget and id are taken is ErrConflict and nothing stays", adjustmentsConflict},
		{"adjustments come in ascending order of budget and time and id", adjustmentsOrdered},
		{"adjustments that the query selects", adjustmentsSelected},
		{"tenants come back as they were given", tenantsExact},
		{"a tenant takes the place of one with the same id", tenantsReplaced},
		{"what licenses have used is not kept", tenantsUsed},
		{"tenants share nothing with the caller", tenantsUnshared},
		{"tenants that the query selects, in ascending order of id", tenantsSelected},
		{"alerts come back as they were given", alertsExact},
		{"an alert that stands already is kept as it is", alertsOnce},
		{"alerts come newest first and in pages", alertsPaged},
		{"alerts that the query selects", alertsSelected},
		{"audit entries come back as they were given", auditExact},
		{"an audit entry that stands already is kept as it is", auditOnce},
		{"audit entries share nothing with the caller", auditUnshared},
		{"audit entries come newest first and in pages", auditPaged},
		{"audit entries that the query selects", auditSelected},
	}}
}

func adjustmentsExact(t *test) {
	want := []budget.StoredAdjustment{
		adjustment("a", "1"),
		adjustment("a", "2", func(a *budget.StoredAdjustment) {
			a.Units, a.TimeGiven, a.Value, a.Actor = math.MaxInt64, false, "", ""
		}),
	}
	for i, text := range nasty() {
		want = append(want, adjustment("b", text, func(a *budget.StoredAdjustment) {
			a.Time, a.Reason, a.Actor, a.Value = at(i), text, text, budget.Value{usage.Dimension(text): text}.Key()
		}))
	}
	t.write(budget.Writes{Adjustments: want})
	equal(t, "adjustments come back as they were given", want, read(t, budget.ReadTx.Adjustments, budget.AdjustmentQuery{}))
}

func adjustmentsConflict(t *test) {
	t.write(budget.Writes{Adjustments: []budget.StoredAdjustment{adjustment("a", "1")}})
	for _, adjustments := range [][]budget.StoredAdjustment{
		{adjustment("a", "1")},
		{adjustment("b", "2"), adjustment("a", "1", func(a *budget.StoredAdjustment) { a.Units, a.Time, a.Value = 5, at(5), "" })},
	} {
		before := t.contents()
		err := t.store.Update(t.Context(), func(tx budget.Tx) error {
			if err := fill(t.Context(), tx); err != nil {
				return err
			}
			_, err := tx.Apply(t.Context(), budget.Writes{Adjustments: adjustments})
			return err
		})
		fails(t, "an adjustment whose budget and id are taken makes Apply return ErrConflict", budget.ErrConflict, err)
		equal(t, "nothing of the transaction stays", before, t.contents())
	}
	t.write(budget.Writes{Adjustments: []budget.StoredAdjustment{adjustment("b", "1"), adjustment("A", "1")}})
	equal(t, "an id is one per budget", 3, len(t.contents().Adjustments))
}

// adjustments returns some of three budgets, in order.
func adjustments() []budget.StoredAdjustment {
	var list []budget.StoredAdjustment
	for _, id := range []string{"B", "a", "b"} {
		for _, minute := range []int{0, 1} {
			for i := range 2 {
				list = append(list, adjustment(id, fmt.Sprint(i, minute), func(a *budget.StoredAdjustment) { a.Time = at(minute) }))
			}
		}
	}
	return list
}

func adjustmentsOrdered(t *test) {
	shuffled := adjustments()
	shuffle(shuffled)
	t.write(budget.Writes{Adjustments: shuffled})
	equal(t, "ascending order of budget, time and id", adjustments(), read(t, budget.ReadTx.Adjustments, budget.AdjustmentQuery{}))
}

func adjustmentsSelected(t *test) {
	all := adjustments()
	t.write(budget.Writes{Adjustments: all})
	for _, c := range []struct {
		rule  string
		query budget.AdjustmentQuery
		keep  func(budget.StoredAdjustment) bool
	}{
		{"all", budget.AdjustmentQuery{}, func(budget.StoredAdjustment) bool { return true }},
		{"of these budgets", budget.AdjustmentQuery{Budgets: []string{"b", "unknown", "B"}}, func(a budget.StoredAdjustment) bool { return a.Budget != "a" }},
		{"of no budget", budget.AdjustmentQuery{Budgets: []string{}}, func(budget.StoredAdjustment) bool { return false }},
		{"only these ids", budget.AdjustmentQuery{IDs: []string{"1 1", "0 0"}}, func(a budget.StoredAdjustment) bool { return a.ID == "1 1" || a.ID == "0 0" }},
		{"of no ids", budget.AdjustmentQuery{IDs: []string{}}, func(budget.StoredAdjustment) bool { return false }},
		{"whose time is not before it", budget.AdjustmentQuery{From: at(1)}, func(a budget.StoredAdjustment) bool { return a.Time.Equal(at(1)) }},
		{"whose time is not a microsecond before it", budget.AdjustmentQuery{From: at(1).Add(time.Microsecond)}, func(budget.StoredAdjustment) bool { return false }},
		{"all of it", budget.AdjustmentQuery{Budgets: []string{"a"}, IDs: []string{"1 1"}, From: at(1)}, func(a budget.StoredAdjustment) bool { return a.Budget == "a" && a.ID == "1 1" }},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(a budget.StoredAdjustment) bool { return !c.keep(a) })
		equal(t, "Adjustments selects "+c.rule, want, read(t, budget.ReadTx.Adjustments, c.query))
	}
}

func tenantsExact(t *test) {
	want := []budget.Tenant{tenant("plain", func(x *budget.Tenant) { x.Name, x.Slug, x.Licenses = "", "", nil })}
	for _, text := range nasty() {
		want = append(want, tenant(text, func(x *budget.Tenant) {
			x.Name, x.Slug = text, text
			for i := range x.Licenses {
				x.Licenses[i].ID = text
			}
		}))
	}
	slices.SortFunc(want, func(a, b budget.Tenant) int { return strings.Compare(a.ID, b.ID) })
	shuffled := slices.Clone(want)
	shuffle(shuffled)
	t.define(budget.Writes{PutTenants: shuffled})
	equal(t, "tenants come back as they were given", want, read(t, budget.ReadTx.Tenants, budget.TenantQuery{}))
}

func tenantsReplaced(t *test) {
	t.define(budget.Writes{PutTenants: []budget.Tenant{tenant("a"), tenant("b")}})
	changed := tenant("a", func(x *budget.Tenant) { x.Name, x.Licenses = "changed", x.Licenses[:1] })
	t.define(budget.Writes{PutTenants: []budget.Tenant{changed}})
	equal(t, "only the one with the same id is replaced", []budget.Tenant{changed, tenant("b")},
		read(t, budget.ReadTx.Tenants, budget.TenantQuery{}))
}

func tenantsUsed(t *test) {
	t.define(budget.Writes{PutTenants: []budget.Tenant{tenant("a", func(x *budget.Tenant) { x.Licenses[0].CreditsUsed = dec("5") })}})
	equal(t, "what licenses have used is not kept", []budget.Tenant{tenant("a")}, read(t, budget.ReadTx.Tenants, budget.TenantQuery{}))
}

func tenantsUnshared(t *test) {
	given := tenant("a")
	t.define(budget.Writes{PutTenants: []budget.Tenant{given}})
	given.Licenses[0].ID, *given.Licenses[1].CreditsTotal = "changed", dec("1")
	got := read(t, budget.ReadTx.Tenants, budget.TenantQuery{})
	equal(t, "what was given may be changed", []budget.Tenant{tenant("a")}, got)
	got[0].Licenses[0].ID, *got[0].Licenses[1].CreditsTotal = "changed", dec("1")
	equal(t, "what was returned may be changed", []budget.Tenant{tenant("a")}, read(t, budget.ReadTx.Tenants, budget.TenantQuery{}))
}

func tenantsSelected(t *test) {
	var all []budget.Tenant
	for _, id := range []string{"B", "a", "b", "c"} {
		all = append(all, tenant(id))
	}
	t.define(budget.Writes{PutTenants: all})
	for _, c := range []struct {
		rule  string
		query budget.TenantQuery
		want  []budget.Tenant
	}{
		{"only these", budget.TenantQuery{IDs: []string{"b", "unknown", "B"}}, []budget.Tenant{all[0], all[2]}},
		{"none of none", budget.TenantQuery{IDs: []string{}}, nil},
		{"only those with a greater id", budget.TenantQuery{After: "a"}, all[2:]},
		{"at most so many", budget.TenantQuery{After: "B", Limit: 2}, all[1:3]},
	} {
		equal(t, "Tenants selects "+c.rule, c.want, read(t, budget.ReadTx.Tenants, c.query))
	}
}

func alertsExact(t *test) {
	want := []alert.Alert{
		alertOf("b", "plain", func(a *alert.Alert) {
			a.Kind, a.Threshold, a.Level, a.Episode = alert.Blocked, dec("0"), alert.OK, 0
			a.Used, a.Limit, a.Late, a.Superseded, a.Message = math.MinInt64, 0, false, false, ""
			a.Owner, a.Tenant, a.Labels, a.Scope, a.Left, a.Expected = "", "", nil, nil, alert.OK, time.Time{}
			a.Period = period.Lifetime.Bounds(noon)
		}),
		alertOf("a", "full"),
	}
	for i, text := range nasty() {
		want = append(want, alertOf(text, text, func(a *alert.Alert) {
			a.At, a.BudgetName, a.Message, a.Owner, a.Tenant = at(-i), text, text, text, text
			a.Labels, a.Scope = map[string]string{text: text}, map[usage.Dimension]string{usage.Dimension(text): text}
		}))
	}
	t.write(budget.Writes{Alerts: want})
	equal(t, "alerts come back as they were given", want, read(t, budget.ReadTx.Alerts, budget.AlertQuery{}))
}

func alertsOnce(t *test) {
	first := alertOf("b", "first")
	again := alertOf("b", "again", func(a *alert.Alert) {
		a.Value, a.Threshold, a.At, a.Message = first.Value, dec("99.9999999990"), at(5), "changed"
	})
	t.write(budget.Writes{Alerts: []alert.Alert{first}})
	t.write(budget.Writes{Alerts: []alert.Alert{again}})
	equal(t, "the first one stays as it is", []alert.Alert{first}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{}))

	for name, change := range map[string]func(*alert.Alert){
		"budget":       func(a *alert.Alert) { a.Budget = "other" },
		"value":        func(a *alert.Alert) { a.Value = "" },
		"period start": func(a *alert.Alert) { a.Period.Start = a.Period.Start.Add(-time.Microsecond) },
		"kind":         func(a *alert.Alert) { a.Kind = alert.Resolved },
		"threshold":    func(a *alert.Alert) { a.Threshold = dec("99.99999999") },
		"episode":      func(a *alert.Alert) { a.Episode++ },
	} {
		differs := first
		differs.ID = name
		change(&differs)
		before := len(t.contents().Alerts)
		t.write(budget.Writes{Alerts: []alert.Alert{again, differs}})
		equal(t, "one with another "+name+" is another alert", before+1, len(t.contents().Alerts))
	}
}

func alertsPaged(t *test) {
	var want []alert.Alert
	for i, id := range slices.Backward(append(ids(7), "ä")) {
		want = append(want, alertOf("b", id, func(a *alert.Alert) { a.At = exact(i / 3) }))
	}
	shuffled := slices.Clone(want)
	shuffle(shuffled)
	t.write(budget.Writes{Alerts: shuffled})
	walk(t, want, func(tx budget.ReadTx, ctx context.Context, after *alert.Alert, limit int) ([]alert.Alert, error) {
		q := budget.AlertQuery{Limit: limit}
		if after != nil {
			q.After = &budget.TimeCursor{Time: after.At, ID: after.ID}
		}
		return tx.Alerts(ctx, q)
	})
}

func alertsSelected(t *test) {
	a, b, c := alertOf("a", "3"), alertOf("b", "2"), alertOf("c", "1")
	t.write(budget.Writes{Alerts: []alert.Alert{a, b, c}})
	equal(t, "of these budgets", []alert.Alert{a, c}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Budgets: []string{"c", "a", "unknown"}}))
	equal(t, "of these budgets, at most so many", []alert.Alert{a}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Budgets: []string{"c", "a"}, Limit: 1}))
	none(t, "of no budgets", read(t, budget.ReadTx.Alerts, budget.AlertQuery{Budgets: []string{}}))
	equal(t, "with these ids", []alert.Alert{a, c}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{IDs: []string{"3", "1", "unknown"}}))
	none(t, "with no ids", read(t, budget.ReadTx.Alerts, budget.AlertQuery{IDs: []string{}}))

	blocked := alertOf("d", "4", func(x *alert.Alert) { x.Kind, x.Level, x.Left = alert.Blocked, alert.Warning, alert.OK })
	resolved := alertOf("d", "5", func(x *alert.Alert) { x.Kind, x.Level, x.Left = alert.Resolved, alert.OK, alert.Critical })
	t.write(budget.Writes{Alerts: []alert.Alert{blocked, resolved}})
	only := []string{"d"}
	equal(t, "of these kinds", []alert.Alert{blocked}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Budgets: only, Kinds: []alert.Kind{alert.Blocked, alert.Forecast}}))
	none(t, "of no kind", read(t, budget.ReadTx.Alerts, budget.AlertQuery{Kinds: []alert.Kind{}}))
	equal(t, "of this level or a higher one", []alert.Alert{resolved, blocked}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Budgets: only, Level: alert.Warning}))

	late := alertOf("e", "6", func(x *alert.Alert) { x.Owner, x.Tenant, x.At = "", "", exact(9) })
	t.write(budget.Writes{Alerts: []alert.Alert{late}})
	equal(t, "of budgets without owner", []alert.Alert{late}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Owner: new("")}))
	equal(t, "of budgets of this owner", []alert.Alert{c}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Owner: new("finance"), Budgets: []string{"c", "e"}}))
	equal(t, "of budgets that are about no tenant", []alert.Alert{late}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Tenant: new("")}))
	equal(t, "of budgets that are about this tenant", []alert.Alert{c}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Tenant: new("acme"), Budgets: []string{"c", "e"}}))
	equal(t, "of that time or later", []alert.Alert{late}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Since: late.At}))
	none(t, "of a later time", read(t, budget.ReadTx.Alerts, budget.AlertQuery{Since: late.At.Add(time.Microsecond)}))
	equal(t, "resolved ones by the level that was left", []alert.Alert{resolved}, read(t, budget.ReadTx.Alerts, budget.AlertQuery{Budgets: only, Level: alert.Critical}))
}

func auditExact(t *test) {
	want := []budget.AuditEntry{
		entry("full", func(e *budget.AuditEntry) { e.Time = exact(3) }),
		entry("made", func(e *budget.AuditEntry) { e.Time, e.Before = exact(2), nil }),
		entry("gone", func(e *budget.AuditEntry) { e.After, e.Details = nil, nil }),
		{ID: "least", Time: noon, Action: "prune", Kind: "events"},
	}
	for i, text := range nasty() {
		want = append(want, entry(text, func(e *budget.AuditEntry) {
			e.Time, e.Actor, e.Tenant, e.Action, e.Kind, e.Target = at(-1-i), text, text, text, text, text
			e.After = must(json.Marshal(map[string]string{text: text}))
			e.Details = e.After
		}))
	}
	t.write(budget.Writes{Audit: want})
	got := read(t, budget.ReadTx.Audit, budget.AuditQuery{})
	equal(t, "audit entries come back as they were given, their JSON byte for byte", want, got)
	for i, e := range got {
		if (e.Before == nil) != (want[i].Before == nil) || (e.After == nil) != (want[i].After == nil) ||
			(e.Details == nil) != (want[i].Details == nil) {
			t.Errorf("not so: what was nil comes back nil: %+v", e)
		}
	}
}

func auditOnce(t *test) {
	first := entry("1")
	t.write(budget.Writes{Audit: []budget.AuditEntry{first}})
	again := entry("1", func(e *budget.AuditEntry) { e.Action = "changed" })
	other := entry("0", func(e *budget.AuditEntry) { e.Time = first.Time })
	t.write(budget.Writes{Audit: []budget.AuditEntry{again, other}})
	equal(t, "an entry that stands already is kept as it is", []budget.AuditEntry{first, other}, t.contents().Audit)
}

func auditUnshared(t *test) {
	given, want := entry("1"), []budget.AuditEntry{entry("1")}
	t.write(budget.Writes{Audit: []budget.AuditEntry{given}})
	given.Before[0], given.After[0], given.Details[0] = 'x', 'x', 'x'
	equal(t, "what was given can be changed", want, t.contents().Audit)
	returned := t.contents().Audit[0]
	returned.Before[0], returned.After[0], returned.Details[0] = 'x', 'x', 'x'
	equal(t, "what was returned can be changed", want, t.contents().Audit)
}

func auditPaged(t *test) {
	var want []budget.AuditEntry
	for i, id := range slices.Backward(append(ids(7), "ä")) {
		want = append(want, entry(id, func(e *budget.AuditEntry) { e.Time = exact(i / 3) }))
	}
	shuffled := slices.Clone(want)
	shuffle(shuffled)
	t.write(budget.Writes{Audit: shuffled})
	walk(t, want, func(tx budget.ReadTx, ctx context.Context, after *budget.AuditEntry, limit int) ([]budget.AuditEntry, error) {
		q := budget.AuditQuery{Limit: limit}
		if after != nil {
			q.After = &budget.TimeCursor{Time: after.Time, ID: after.ID}
		}
		return tx.Audit(ctx, q)
	})
}

func auditSelected(t *test) {
	change := func(id string, minute int, tenant, actor, action, target string) budget.AuditEntry {
		return budget.AuditEntry{ID: id, Time: at(minute), Tenant: tenant, Actor: actor, Action: action, Kind: "budget", Target: target}
	}
	t.write(budget.Writes{Audit: []budget.AuditEntry{
		change("1", 1, "", "root", "create_budget", "b"),
		change("2", 2, "acme", "", "update_budget", "b"),
		change("3", 3, "acme", "root", "update_budget", ""),
		change("4", 4, "other", "ROOT", "delete_budget", "B"),
	}})
	for _, c := range []struct {
		rule  string
		query budget.AuditQuery
		want  []string
	}{
		{"all", budget.AuditQuery{}, []string{"4", "3", "2", "1"}},
		{"those of a tenant", budget.AuditQuery{Tenant: new("acme")}, []string{"3", "2"}},
		{"those of no tenant", budget.AuditQuery{Tenant: new("")}, []string{"1"}},
		{"those of an actor", budget.AuditQuery{Actor: "root"}, []string{"3", "1"}},
		{"those of an action", budget.AuditQuery{Action: "update_budget"}, []string{"3", "2"}},
		{"those of a target", budget.AuditQuery{Target: "b"}, []string{"2", "1"}},
		{"those from a time on and before another", budget.AuditQuery{Span: period.Bounds{Start: at(2), End: at(4)}}, []string{"3", "2"}},
		{"those from a time on", budget.AuditQuery{Span: period.Bounds{Start: at(3)}}, []string{"4", "3"}},
		{"those before a time", budget.AuditQuery{Span: period.Bounds{End: at(2)}}, []string{"1"}},
		{"what all of it selects", budget.AuditQuery{Tenant: new("acme"), Action: "update_budget", Target: "b", Span: always}, []string{"2"}},
		{"at most so many behind another", budget.AuditQuery{Tenant: new("acme"), After: &budget.TimeCursor{Time: at(3), ID: "3"}, Limit: 5}, []string{"2"}},
	} {
		var got []string
		for _, e := range read(t, budget.ReadTx.Audit, c.query) {
			got = append(got, e.ID)
		}
		equal(t, "Audit selects "+c.rule, c.want, got)
	}
}
