package budget_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// names returns the names of the budgets of a page.
func names(page budget.Page) (names []string) {
	for _, row := range page.Rows {
		names = append(names, row.Budget.Name)
	}
	return names
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	f := open(t)
	for i, b := range []budget.Budget{
		{Name: "a", Owner: "ops", Metric: usage.Dollars, Labels: map[string]string{"plan": "gold"}},
		{Name: "b", Owner: "ops", Disabled: true, Scope: budget.Scope{"tenant": "acme"}},
		{Name: "c", Scope: budget.Scope{"tenant": "acme", "user": budget.Each}, Labels: map[string]string{"plan": "gold", "x": "y"}},
		{Name: "d", Scope: budget.Scope{"tenant": budget.Each}},
	} {
		f.now = noon.Add(time.Duration(i) * time.Second)
		f.create(b)
	}
	tests := map[string]struct {
		query budget.Query
		want  []string
	}{
		"all, newest first":       {budget.Query{}, []string{"d", "c", "b", "a"}},
		"by id":                   {budget.Query{IDs: []string{"id-0001", "id-0007", "unknown"}}, []string{"d", "a"}},
		"by no id":                {budget.Query{IDs: []string{}}, nil},
		"by owner":                {budget.Query{Owner: new("ops")}, []string{"b", "a"}},
		"by no owner":             {budget.Query{Owner: new("")}, []string{"d", "c"}},
		"by metric":               {budget.Query{Metric: usage.Dollars}, []string{"a"}},
		"enabled ones":            {budget.Query{Enabled: new(true)}, []string{"d", "c", "a"}},
		"disabled ones":           {budget.Query{Enabled: new(false)}, []string{"b"}},
		"by a value of the scope": {budget.Query{Scope: budget.Scope{"tenant": "acme"}}, []string{"c", "b"}},
		"by each":                 {budget.Query{Scope: budget.Scope{"tenant": budget.Each}}, []string{"d"}},
		"by two dimensions":       {budget.Query{Scope: budget.Scope{"tenant": "acme", "user": budget.Each}}, []string{"c"}},
		"by a label":              {budget.Query{Labels: map[string]string{"plan": "gold"}}, []string{"c", "a"}},
		"by all of it":            {budget.Query{Owner: new("ops"), Metric: usage.Tokens, Enabled: new(false)}, []string{"b"}},
		"by what nothing has":     {budget.Query{Scope: budget.Scope{"tenant": "other"}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			page, err := f.List(t.Context(), test.query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(page)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if page.Total != len(test.want) || page.Next != nil {
				t.Errorf("total %d, next page at %v", page.Total, page.Next)
			}
		})
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	f := open(t)
	var want []string
	for i := range 205 {
		// Several of one instant, which the order has to tell apart.
		f.now = noon.Add(time.Duration(i/10) * time.Microsecond)
		b := f.create(budget.Budget{Name: fmt.Sprint("b", i), Owner: map[bool]string{true: "even"}[i%2 == 0]})
		want = append(want, b.Name)
	}
	slices.Reverse(want)

	walk := func(q budget.Query) (walked []string, pages int) {
		t.Helper()
		for {
			page, err := f.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			walked, pages = append(walked, names(page)...), pages+1
			if page.Next == nil {
				return walked, pages
			}
			q.After = page.Next
		}
	}
	for limit, pages := range map[int]int{0: 3, -1: 3, 41: 5, 100: 3, 204: 2, 205: 1, 1000: 1} {
		got, n := walk(budget.Query{Limit: limit})
		if diff := cmp.Diff(want, got); diff != "" || n != pages {
			t.Errorf("by %d: %d pages, want %d (-want +got):\n%s", limit, n, pages, diff)
		}
	}
	if got, _ := walk(budget.Query{Limit: 10, Owner: new("even")}); len(got) != 103 {
		t.Errorf("%d of one owner, want 103", len(got))
	}

	page, err := f.List(t.Context(), budget.Query{Offset: 100, Limit: 50})
	if err != nil || page.Total != 205 || page.Next == nil {
		t.Errorf("total %d, next %v: %v", page.Total, page.Next, err)
	}
	if diff := cmp.Diff(want[100:150], names(page)); diff != "" {
		t.Errorf("by offset (-want +got):\n%s", diff)
	}
	page, err = f.List(t.Context(), budget.Query{Offset: 205})
	if err != nil || page.Total != 205 || page.Rows == nil || len(page.Rows) != 0 || page.Next != nil {
		t.Errorf("behind the end: %+v: %v", page, err)
	}
}

func TestListShowsTheHighestCounter(t *testing.T) {
	t.Parallel()
	f := open(t)
	each := f.create(budget.Budget{Name: "each", Scope: budget.Scope{"user": budget.Each}})
	f.create(budget.Budget{Name: "unused each", Scope: budget.Scope{"team": budget.Each}})
	f.create(budget.Budget{Name: "all"})
	f.create(budget.Budget{Name: "unused", Scope: budget.Scope{"user": "u9"}})
	f.record(by("u1", tokens("a", 50)), by("u2", tokens("b", 60)), by("u3", tokens("c", 1)), on("2026-02-01T00:00:00Z", by("u4", tokens("d", 99))))
	a := adjustment(each.ID, "20")
	a.Value = budget.Value{"user": "u1"}
	if _, err := f.Adjust(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	page, err := f.List(t.Context(), budget.Query{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, row := range page.Rows {
		got[row.Budget.Name] = fmt.Sprintf("%s by %v of %d, %s", row.Used, row.Value, row.Counters, row.Level)
	}
	want := map[string]string{
		"each": "70 by map[user:u1] of 3, ok", "unused each": "0 by map[] of 0, ok", "all": "111 by map[] of 1, exceeded",
		"unused": "0 by map[] of 0, ok",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQueriesRefuseWhatNothingCanHave(t *testing.T) {
	t.Parallel()
	f := open(t)
	const bad = "a\x00b"
	list := func(q budget.Query) error { _, err := f.List(t.Context(), q); return err }
	tests := map[string]struct {
		err  error
		want []string
	}{
		"list": {
			list(budget.Query{
				IDs: []string{"", bad}, Owner: new(bad), Metric: "x", Scope: budget.Scope{"user": bad}, Labels: map[string]string{bad: "x"},
				Without: []usage.Dimension{bad, ""}, After: &budget.Cursor{ID: bad}, Offset: -1,
			}),
			[]string{"ids", "ids", "owner", "metric", "scope.user", "without", "without", "labels", "after", "offset"},
		},
		"statuses": {
			func() (err error) {
				for _, err = range f.Statuses(t.Context(), budget.Query{Owner: new(bad)}, noon) {
				}
				return err
			}(),
			[]string{"owner"},
		},
		"budget": {func() error { _, err := f.Budget(t.Context(), bad); return err }(), []string{"id"}},
		"status": {func() error { _, err := f.Status(t.Context(), "", nil); return err }(), []string{"id"}},
		"alerts": {
			func() error {
				_, err := f.Alerts(t.Context(), budget.AlertQuery{
					Budgets: []string{bad}, Owner: new(bad), Tenant: new(bad), After: &budget.TimeCursor{ID: bad},
				})
				return err
			}(),
			[]string{"budgets", "owner", "tenant", "after"},
		},
		"adjustments": {
			func() error {
				_, err := f.Adjustments(t.Context(), budget.AdjustmentQuery{Budgets: []string{bad}, IDs: []string{""}})
				return err
			}(),
			[]string{"budgets", "ids"},
		},
		"audit": {
			func() error {
				_, err := f.Audit(t.Context(), budget.AuditQuery{Tenant: new(bad), Actor: bad, Action: bad, Target: bad, After: &budget.TimeCursor{}})
				return err
			}(),
			[]string{"tenant", "actor", "action", "target", "after"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			is(t, test.err, budget.ErrInvalid)
			if diff := cmp.Diff(test.want, fields(test.err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusValues(t *testing.T) {
	t.Parallel()
	f := open(t)
	each := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each, "team": budget.Each, "tenant": "acme"}})
	all := f.create(budget.Budget{})
	value := func(texts ...string) budget.Value {
		v := make(budget.Value)
		for i := 0; i < len(texts); i += 2 {
			v[usage.Dimension(texts[i])] = texts[i+1]
		}
		return v
	}
	tests := map[string]struct {
		id    string
		value budget.Value
		want  []string
	}{
		"a value of every each":                {each.ID, value("user", "u1", "team", "red"), nil},
		"one that was never seen is zeros":     {each.ID, value("user", "nobody", "team", "none"), nil},
		"a missing one":                        {each.ID, value("user", "u1"), []string{"value"}},
		"none at all":                          {each.ID, nil, []string{"value"}},
		"one too many":                         {each.ID, value("user", "u1", "team", "red", "tenant", "acme"), []string{"value"}},
		"another":                              {each.ID, value("user", "u1", "resource", "large"), []string{"value"}},
		"an empty one":                         {each.ID, value("user", "u1", "team", ""), []string{"value.team"}},
		"no value of a budget without each":    {all.ID, nil, nil},
		"the empty one of a budget without it": {all.ID, value(), nil},
		"a value of a budget without each":     {all.ID, value("user", "u1"), []string{"value"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, err := f.Status(t.Context(), test.id, test.value)
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if test.want == nil && (err != nil || !status.Used.IsZero() || status.Budget.ID != test.id) {
				t.Errorf("%+v: %v", status, err)
			}
		})
	}
	_, err := f.Status(t.Context(), "unknown", nil)
	is(t, err, budget.ErrNotFound)
}

// A period from before the budget reads as if the budget had been there.
func TestStatusAtAnEarlierPeriod(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		budget budget.Budget
		value  budget.Value
		want   string
	}{
		"from sums":                    {budget.Budget{}, nil, "7"},
		"of one value":                 {budget.Budget{Scope: budget.Scope{"user": budget.Each}}, budget.Value{"user": "u1"}, "3"},
		"of an excepted value":         {budget.Budget{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"u1"}}}, budget.Value{"user": "u1"}, "0"},
		"of a label, from events":      {budget.Budget{Scope: budget.Scope{"team": budget.Each}}, budget.Value{"team": "red"}, "4"},
		"of a label that nobody had":   {budget.Budget{Scope: budget.Scope{"team": budget.Each}}, budget.Value{"team": "blue"}, "0"},
		"in credits":                   {budget.Budget{Metric: usage.Credits, CostPerCredit: dec("0.5")}, nil, "6"},
		"by the hour":                  {budget.Budget{Schedule: period.Hourly}, nil, "6"},
		"by odd minutes":               {budget.Budget{Schedule: period.Every(7, period.Minute, noon)}, nil, "4"},
		"of a budget that began later": {budget.Budget{StartsAt: noon.AddDate(0, 0, -1)}, nil, "0"},
		"within its start":             {budget.Budget{StartsAt: at("2026-02-10T12:00:00Z")}, nil, "6"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			priced := func(e usage.Event) usage.Event { e.Cost = new(dec("1")); return e }
			red := by("u2", tokens("c", 4))
			red.Labels = map[string]string{"team": "red"}
			f.record(
				priced(on("2026-02-01T00:00:00Z", by("u1", tokens("a", 1)))), priced(on("2026-02-10T12:20:00Z", by("u1", tokens("b", 3)))),
				priced(on("2026-02-10T12:51:00Z", red)), priced(on("2026-03-01T00:00:00Z", by("u1", tokens("d", 8)))),
			)
			f.correct(back("b, a part", "b", 1))
			b := f.create(test.budget)
			when := at("2026-02-10T12:52:00Z")
			status, err := f.StatusAt(t.Context(), b.ID, test.value, when)
			if err != nil || !status.Used.Equal(dec(test.want)) {
				t.Errorf("used %s, want %s: %v", status.Used, test.want, err)
			}
			f.verified()
		})
	}
}

// statuses returns "name value used", in order.
func statuses(t *testing.T, l *budget.Ledger, q budget.Query, when time.Time) (got []string) {
	t.Helper()
	for s, err := range l.Statuses(t.Context(), q, when) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %q %s", s.Budget.Name, s.Value.Key(), s.Used))
	}
	return got
}

func TestStatusesAreOnePerCounterInTheOrderOfBudgetsAndValues(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.create(budget.Budget{Name: "all"})
	f.create(budget.Budget{Name: "each", Scope: budget.Scope{"user": budget.Each}})
	f.create(budget.Budget{Name: "unused", Scope: budget.Scope{"user": "u9"}})
	f.create(budget.Budget{Name: "unused each", Scope: budget.Scope{"team": budget.Each}})
	f.record(by("u2", tokens("a", 2)), by("u1", tokens("b", 1)), by("", tokens("c", 4)))

	each := []string{`each "4:user2:u1" 1`, `each "4:user2:u2" 2`}
	tests := map[string]struct {
		query budget.Query
		at    time.Time
		want  []string
	}{
		"all":                                {budget.Query{}, noon, append(append([]string{`unused "" 0`}, each...), `all "" 7`)},
		"no time is now":                     {budget.Query{}, time.Time{}, append(append([]string{`unused "" 0`}, each...), `all "" 7`)},
		"of some":                            {budget.Query{Scope: budget.Scope{"user": budget.Each}}, noon, each},
		"limit and offset are about budgets": {budget.Query{Limit: 2, Offset: 1}, noon, append([]string{`unused "" 0`}, each...)},
		"of the next period":                 {budget.Query{}, noon.AddDate(0, 1, 0), []string{`unused "" 0`, `all "" 0`}},
		"periods before the budgets are left out": {budget.Query{}, noon.AddDate(0, -1, 0), nil},
		"none": {budget.Query{IDs: []string{}}, noon, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, statuses(t, f.Ledger, test.query, test.at)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusesOfVeryManyCountersAndBudgets(t *testing.T) {
	t.Parallel()
	f := open(t)
	var events []usage.Event
	for i := range 5003 {
		events = append(events, by(fmt.Sprintf("u%04d", i), tokens(fmt.Sprintf("e%04d", i), 1)))
	}
	for i := range 510 {
		f.now = noon.Add(time.Duration(i) * time.Microsecond)
		f.create(budget.Budget{Name: fmt.Sprint("b", i), Scope: budget.Scope{"user": budget.Selector(fmt.Sprintf("u%04d", i))}})
	}
	f.create(budget.Budget{Name: "each", Scope: budget.Scope{"user": budget.Each}})
	f.record(events...)

	got := statuses(t, f.Ledger, budget.Query{}, noon)
	if len(got) != 5003+510 {
		t.Fatalf("%d statuses, want %d", len(got), 5003+510)
	}
	for i := range 5003 {
		if want := fmt.Sprintf(`each "4:user5:u%04d" 1`, i); got[i] != want {
			t.Fatalf("status %d is %s, want %s", i, got[i], want)
		}
	}
	if got[5003] != `b509 "" 1` || got[5512] != `b0 "" 1` {
		t.Errorf("behind them come %s to %s", got[5003], got[5512])
	}
	if got := statuses(t, f.Ledger, budget.Query{Limit: 502}, noon); len(got) != 5003+501 {
		t.Errorf("502 budgets have %d statuses", len(got))
	}
	if got := statuses(t, f.Ledger, budget.Query{Limit: 500, Offset: 1}, noon); len(got) != 500 || got[499] != `b10 "" 1` {
		t.Errorf("500 budgets but the first have %d statuses, the last %s", len(got), got[len(got)-1])
	}
}

func TestStatusesMayBeLeftAtAnyPoint(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.create(budget.Budget{Name: "each", Scope: budget.Scope{"user": budget.Each}})
	f.create(budget.Budget{Name: "all"})
	f.record(by("u1", tokens("a", 1)), by("u2", tokens("b", 1)))
	for n := range 3 {
		seen := 0
		for _, err := range f.Statuses(t.Context(), budget.Query{}, noon) {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; seen > n {
				break
			}
		}
		if seen != n+1 {
			t.Errorf("%d statuses, left after %d", seen, n+1)
		}
	}
}

// A reader that fails from the n-th view on.
type failingViews struct {
	budget.Store
	left int
}

func (s *failingViews) View(ctx context.Context, fn func(budget.ReadTx) error) error {
	if s.left--; s.left < 0 {
		return errDisk
	}
	return s.Store.View(ctx, fn)
}

func TestReadsReturnTheStoresError(t *testing.T) {
	t.Parallel()
	views := &failingViews{left: 1000}
	f := openWith(t, memstore.New(nil), func(s budget.Store) budget.Store { views.Store = s; return views })
	b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each}})
	var events []usage.Event
	for i := range 5001 {
		events = append(events, by(fmt.Sprint("u", i), tokens(fmt.Sprint("e", i), 1)))
	}
	f.record(events...)
	ctx := t.Context()
	for name, read := range map[string]func() error{
		"budget":  func() error { _, err := f.Budget(ctx, b.ID); return err },
		"list":    func() error { _, err := f.List(ctx, budget.Query{}); return err },
		"status":  func() error { _, err := f.Status(ctx, b.ID, budget.Value{"user": "u1"}); return err },
		"history": func() error { _, err := f.History(ctx, b.ID, budget.HistoryQuery{}); return err },
		"top":     func() error { _, err := f.Top(ctx, budget.TopQuery{By: usage.User}); return err },
		"alerts":  func() error { _, err := f.Alerts(ctx, budget.AlertQuery{}); return err },
		"audit":   func() error { _, err := f.Audit(ctx, budget.AuditQuery{}); return err },
		"verify":  func() error { _, err := f.Verify(ctx, nil); return err },
		"record":  func() error { _, err := budget.NewLedger(views, nil).Record(ctx, tokens("x", 1)); return err },
	} {
		views.left = 0
		is(t, read(), errDisk)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// Statuses read the budgets, then a page of counters, and as that is full those of the budget page by page.
	for n, want := range []int{0, 0, 0, 5000} {
		views.left = n
		seen, failed := 0, error(nil)
		for _, err := range f.Statuses(ctx, budget.Query{}, noon) {
			if failed = err; err == nil {
				seen++
			}
		}
		is(t, failed, errDisk)
		if seen != want {
			t.Errorf("%d statuses before view %d failed, want %d", seen, n, want)
		}
	}
}

func TestAlertsAndAuditAreReadInPages(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.Ledger = f.By("ann")
	one := f.create(budget.Budget{Name: "one", Scope: budget.Scope{"tenant": "acme"}})
	two := f.create(budget.Budget{Name: "two"})
	for range 60 {
		f.now = f.now.Add(time.Second)
		f.adjust(two.ID, "80")
		f.adjust(two.ID, "-80")
	}
	f.record(of("acme", tokens("a", 80)))

	var walked []alert.Alert
	for q := (budget.AlertQuery{Limit: 7}); ; {
		page, err := f.Alerts(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		walked = append(walked, page...)
		if len(page) < q.Limit {
			break
		}
		q.After = &budget.TimeCursor{Time: page[6].At, ID: page[6].ID}
	}
	if len(walked) != 122 {
		t.Errorf("%d alerts, want 122", len(walked))
	}
	if page, err := f.Alerts(t.Context(), budget.AlertQuery{}); err != nil || len(page) != 100 {
		t.Errorf("a page has %d alerts unless it is told: %v", len(page), err)
	}
	if page, err := f.Alerts(t.Context(), budget.AlertQuery{Budgets: []string{one.ID}}); err != nil || len(page) != 1 {
		t.Errorf("one budget has %d alerts: %v", len(page), err)
	}

	for name, test := range map[string]struct {
		query budget.AuditQuery
		want  int
	}{
		"a page":          {budget.AuditQuery{}, 100},
		"all":             {budget.AuditQuery{Limit: 1000}, 122},
		"by tenant":       {budget.AuditQuery{Tenant: new("acme")}, 1},
		"by actor":        {budget.AuditQuery{Actor: "bob"}, 0},
		"by action":       {budget.AuditQuery{Action: "create_budget"}, 2},
		"by target":       {budget.AuditQuery{Target: two.ID, Limit: 1000}, 121},
		"by time":         {budget.AuditQuery{Span: period.Bounds{Start: noon.Add(time.Second), End: noon.Add(3 * time.Second)}}, 4},
		"by parts of µs":  {budget.AuditQuery{Span: period.Bounds{Start: noon.Add(time.Second + 999), End: noon.Add(3 * time.Second)}}, 4},
		"behind a cursor": {budget.AuditQuery{After: &budget.TimeCursor{Time: noon, ID: "id-9999"}}, 2},
	} {
		if entries, err := f.Audit(t.Context(), test.query); err != nil || len(entries) != test.want {
			t.Errorf("%s: %d entries, want %d: %v", name, len(entries), test.want, err)
		}
	}
}
