package storetest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

func sums() section[*test] {
	return section[*test]{"Usage", []rule[*test]{
		{"without usage there is no row", usageAbsent},
		{"Apply creates a sum at zero and adds", usageAdded},
		{"sums come back as they were given", usageExact},
		{"sums of quarter hours and days and months are told apart", usageGrains},
		{"only what starts in a slice counts", usageSlices},
		{"a Raw slice is summed from the events", usageRaw},
		{"several slices make one sum", usageCovered},
		{"only usage with exactly these values counts", usageWhere},
		{"one sum per value of every selection of dimensions", usageBy},
		{"rows come in ascending order of bucket and of the dimensions in the query's order", usageOrdered},
		{"only sums behind After, and at most so many", usagePaged},
		{"PerBucket gives one sum per bucket", usagePerBucket},
		{"ViaDays changes no answer", usageViaDays},
		{"a sum that would pass int64 is ErrOverflow", usageOverflow},
		{"DropUsage drops the sums of a grain whose bucket starts in a slice before others are added", usageDropped},
	}}
}

// slice returns the slice of a grain from and to so many minutes from noon.
func slice(grain usage.Grain, from, to int) usage.Slice {
	return usage.Slice{Grain: grain, Bounds: period.Bounds{Start: at(from), End: at(to)}}
}

func usageAbsent(t *test) {
	for _, q := range []budget.UsageQuery{
		{},
		{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 60)}},
		{Slices: []usage.Slice{slice(usage.Raw, 0, 7), slice(usage.Months, 0, 60)}, By: []usage.Dimension{usage.Tenant}},
		{Slices: []usage.Slice{slice(usage.Days, 0, 60)}, PerBucket: true},
	} {
		none(t, "without usage there is no row", read(t, budget.ReadTx.Usage, q))
	}
}

func usageAdded(t *test) {
	t.write(budget.Writes{Usage: []budget.UsageAdd{used(usageKey("acme", 0), usage.Totals{Requests: 2, InputTokens: 5})}})
	t.write(budget.Writes{Usage: []budget.UsageAdd{
		used(usageKey("other", 0), usage.Totals{Runs: 1}),
		used(usageKey("acme", 0), usage.Totals{Requests: -1, Nanodollars: 7}),
		used(usageKey("acme", 1), usage.Totals{Requests: 1}),
	}})
	equal(t, "what is written is added", []budget.UsageRow{
		{Bucket: at(0), Subject: usage.Subject{Tenant: "acme"}, Totals: usage.Totals{Requests: 1, InputTokens: 5, Nanodollars: 7}},
		{Bucket: at(0), Subject: usage.Subject{Tenant: "other"}, Totals: usage.Totals{Runs: 1}},
		{Bucket: at(15), Subject: usage.Subject{Tenant: "acme"}, Totals: usage.Totals{Requests: 1}},
	}, read(t, budget.ReadTx.Usage, wholeUsage(usage.QuarterHours)))
}

func usageExact(t *test) {
	var adds []budget.UsageAdd
	var want []budget.UsageRow
	for _, text := range append([]string{""}, nasty()...) {
		key := budget.UsageKey{Grain: usage.QuarterHours, Bucket: usage.MinTime.UnixMicro(), Tenant: text, User: text, APIKey: text, Resource: text}
		row := budget.UsageRow{
			Bucket:  usage.MinTime,
			Subject: usage.Subject{Tenant: text, User: text, APIKey: text, Resource: text},
			Totals:  extremeTotals(),
		}
		adds, want = append(adds, used(key, row.Totals)), append(want, row)
	}
	shuffle(adds)
	t.write(budget.Writes{Usage: adds})
	equal(t, "sums come back as they were given", want, read(t, budget.ReadTx.Usage, wholeUsage(usage.QuarterHours)))
	for _, row := range want {
		q := budget.UsageQuery{
			Slices: []usage.Slice{{Grain: usage.QuarterHours, Bounds: always}},
			Where:  map[usage.Dimension]string{usage.Tenant: row.Tenant, usage.User: row.User, usage.APIKey: row.APIKey, usage.Resource: row.Resource},
		}
		equal(t, fmt.Sprintf("%q is found", row.Tenant), []budget.UsageRow{{Totals: row.Totals}}, read(t, budget.ReadTx.Usage, q))
	}
}

func usageGrains(t *test) {
	grains := []usage.Grain{usage.QuarterHours, usage.Days, usage.Months}
	for i, grain := range grains {
		key := budget.UsageKey{Grain: grain, Bucket: noon.UnixMicro(), Tenant: "acme"}
		t.write(budget.Writes{Usage: []budget.UsageAdd{used(key, usage.Totals{Requests: int64(i + 1)})}})
	}
	for i, grain := range grains {
		equal(t, "a slice is summed from the sums of its grain: "+grain.String(), []budget.UsageRow{{Totals: usage.Totals{Requests: int64(i + 1)}}},
			read(t, budget.ReadTx.Usage, budget.UsageQuery{Slices: []usage.Slice{slice(grain, 0, 1)}}))
	}
}

// quarters writes a request in the first of four quarter hours from noon, two in the second, four and eight.
func quarters(t *test) {
	t.Helper()
	var w budget.Writes
	for i := range 4 {
		w.Usage = append(w.Usage, used(usageKey("acme", i), usage.Totals{Requests: 1 << i}))
	}
	t.write(w)
}

func requests(t *test, slices ...usage.Slice) int64 {
	t.Helper()
	rows := read(t, budget.ReadTx.Usage, budget.UsageQuery{Slices: slices})
	if len(rows) == 0 {
		return 0
	}
	return rows[0].Requests
}

func usageSlices(t *test) {
	quarters(t)
	for _, c := range []struct {
		rule  string
		slice usage.Slice
		want  int64
	}{
		{"all of them", slice(usage.QuarterHours, 0, 60), 15},
		{"start is inclusive", slice(usage.QuarterHours, 15, 60), 14},
		{"end is exclusive", slice(usage.QuarterHours, 0, 30), 3},
		{"one", slice(usage.QuarterHours, 30, 45), 4},
		{"none before", slice(usage.QuarterHours, -60, 0), 0},
		{"none after", slice(usage.QuarterHours, 60, 120), 0},
		{"no end", usage.Slice{Grain: usage.QuarterHours, Bounds: period.Bounds{Start: at(45), End: period.Lifetime.Bounds(noon).End}}, 8},
		{"no start", usage.Slice{Grain: usage.QuarterHours, Bounds: period.Bounds{End: at(15)}}, 1},
	} {
		equal(t, "only what starts in a slice counts: "+c.rule, c.want, requests(t, c.slice))
	}
}

func usageRaw(t *test) {
	quarters(t)
	for i, instant := range []time.Time{noon.Add(-time.Microsecond), noon, at(7), at(14).Add(59*time.Second + 999999*time.Microsecond), at(15)} {
		t.insert(event("acme", fmt.Sprint(i), func(e *budget.StoredEvent) {
			e.Time, e.User = instant, "ann"
			e.Totals = usage.Totals{Requests: 100 << i, Nanodollars: -1}
		}))
	}
	t.insert(event("acme", "correction", func(e *budget.StoredEvent) {
		e.Time, e.Corrects, e.Totals = at(7), "2", usage.Totals{Requests: -1}
	}))
	equal(t, "a Raw slice is summed from the events from its start, inclusive, to its end, exclusive, corrections included",
		int64(200+400+800-1), requests(t, slice(usage.Raw, 0, 15)))
	q := budget.UsageQuery{
		Slices: []usage.Slice{slice(usage.Raw, 0, 15)},
		Where:  map[usage.Dimension]string{usage.User: "ann"},
		By:     []usage.Dimension{usage.User, usage.Tenant},
	}
	equal(t, "events are selected and told apart as sums are",
		[]budget.UsageRow{{Subject: usage.Subject{Tenant: "acme", User: "ann"}, Totals: usage.Totals{Requests: 1400, Nanodollars: -3}}},
		read(t, budget.ReadTx.Usage, q))
	none(t, "without an event there is no row", read(t, budget.ReadTx.Usage, budget.UsageQuery{Slices: []usage.Slice{slice(usage.Raw, 16, 30)}}))
}

func usageCovered(t *test) {
	quarters(t)
	t.write(budget.Writes{Usage: []budget.UsageAdd{
		used(budget.UsageKey{Grain: usage.Days, Bucket: at(60).UnixMicro(), Tenant: "acme"}, usage.Totals{Requests: 100}),
		used(budget.UsageKey{Grain: usage.Months, Bucket: at(120).UnixMicro(), Tenant: "acme"}, usage.Totals{Requests: 1000}),
	}})
	t.insert(
		event("acme", "1", func(e *budget.StoredEvent) { e.Time, e.Totals = at(-1), usage.Totals{Requests: 20} }),
		event("acme", "2", func(e *budget.StoredEvent) { e.Time, e.Totals = at(181), usage.Totals{Requests: 40} }),
	)
	equal(t, "several slices make one sum", 20+15+100+1000+40, requests(t,
		slice(usage.Raw, -5, 0), slice(usage.QuarterHours, 0, 60), slice(usage.Days, 60, 120), slice(usage.Months, 120, 180), slice(usage.Raw, 180, 185)))
	equal(t, "slices need not adjoin", 1+8, requests(t, slice(usage.QuarterHours, 0, 15), slice(usage.QuarterHours, 45, 60)))
}

// crossed returns usage of every tuple of two values and none in each of the four dimensions, in one quarter hour, each
// with its own number of requests.
func crossed() []budget.UsageAdd {
	var adds []budget.UsageAdd
	values := []string{"", "B", "a"}
	for i := range 81 {
		key := usageKey(values[i%3], 0)
		key.User, key.APIKey, key.Resource = values[i/3%3], values[i/9%3], values[i/27]
		adds = append(adds, used(key, usage.Totals{Requests: 1 + int64(i), Runs: 1}))
	}
	return adds
}

func valuesOf(key budget.UsageKey) usage.Subject {
	return usage.Subject{Tenant: key.Tenant, User: key.User, APIKey: key.APIKey, Resource: key.Resource}
}

// dimensionSets returns every selection of the four dimensions.
func dimensionSets() [][]usage.Dimension {
	all := []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource}
	sets := make([][]usage.Dimension, 16)
	for i := range sets {
		for j, d := range all {
			if i>>j&1 == 1 {
				sets[i] = append(sets[i], d)
			}
		}
	}
	return sets
}

func usageWhere(t *test) {
	adds := crossed()
	t.write(budget.Writes{Usage: adds})
	for _, set := range dimensionSets() {
		for _, value := range []string{"", "a"} {
			where := make(map[usage.Dimension]string)
			for _, d := range set {
				where[d] = value
			}
			var want int64
			for _, add := range adds {
				if !slices.ContainsFunc(set, func(d usage.Dimension) bool { return valuesOf(add.UsageKey).Value(d) != value }) {
					want += add.Requests
				}
			}
			q := budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15)}, Where: where}
			rows := read(t, budget.ReadTx.Usage, q)
			if len(rows) != 1 || rows[0].Requests != want {
				t.Errorf("not so: only usage with exactly these values counts: where %v: %+v, want %d requests", where, rows, want)
			}
		}
	}
	q := budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15)}, Where: map[usage.Dimension]string{usage.User: "b"}}
	none(t, "nobody has this value", read(t, budget.ReadTx.Usage, q))
}

func usageBy(t *test) {
	adds := crossed()
	t.write(budget.Writes{Usage: adds})
	for _, set := range dimensionSets() {
		want := make(map[string]usage.Totals)
		for _, add := range adds {
			key := fmt.Sprintf("%+v", narrowed(valuesOf(add.UsageKey), set))
			want[key], _ = want[key].Add(add.Totals)
		}
		got := make(map[string]usage.Totals)
		for _, row := range read(t, budget.ReadTx.Usage, budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15)}, By: set}) {
			got[fmt.Sprintf("%+v", row.Subject)] = row.Totals
			equal(t, "the bucket is zero unless PerBucket", time.Time{}, row.Bucket)
		}
		equal(t, fmt.Sprintf("one sum per value of %v, the other dimensions being empty", set), want, got)
	}
}

// narrowed returns what s has of these dimensions.
func narrowed(s usage.Subject, set []usage.Dimension) usage.Subject {
	var n usage.Subject
	for _, d := range set {
		switch d {
		case usage.Tenant:
			n.Tenant = s.Tenant
		case usage.User:
			n.User = s.User
		case usage.APIKey:
			n.APIKey = s.APIKey
		case usage.Resource:
			n.Resource = s.Resource
		}
	}
	return n
}

func usageOrdered(t *test) {
	adds := crossed()
	for _, add := range crossed() {
		add.Bucket = at(15).UnixMicro()
		adds = append(adds, add)
	}
	shuffle(adds)
	t.write(budget.Writes{Usage: adds})
	for _, by := range [][]usage.Dimension{
		{usage.Resource, usage.User},
		{usage.User, usage.Resource},
		{usage.APIKey, usage.Resource, usage.Tenant, usage.User},
	} {
		for _, perBucket := range []bool{false, true} {
			rows := read(t, budget.ReadTx.Usage, budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 30)}, By: by, PerBucket: perBucket})
			if !slices.IsSortedFunc(rows, func(a, b budget.UsageRow) int { return compareRows(a, b, by) }) {
				t.Errorf("not so: rows come in ascending order of bucket, then of %v: %+v", by, rows)
			}
		}
	}
}

func usagePaged(t *test) {
	t.write(budget.Writes{Usage: crossed()})
	t.insert(event("a", "1", func(e *budget.StoredEvent) { e.Time, e.Totals = at(16), usage.Totals{Requests: 1000} }))
	for _, by := range dimensionSets() {
		q := budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15), slice(usage.Raw, 15, 30)}, By: by}
		all := read(t, budget.ReadTx.Usage, q)
		q.Limit = 7
		var paged []budget.UsageRow
		for {
			rows := read(t, budget.ReadTx.Usage, q)
			paged = append(paged, rows...)
			if len(rows) < q.Limit {
				break
			}
			q.After = &rows[len(rows)-1].Subject
		}
		equal(t, fmt.Sprintf("pages by %v are all sums, whole and in order", by), all, paged)
	}
}

func usagePerBucket(t *test) {
	quarters(t)
	t.write(budget.Writes{Usage: []budget.UsageAdd{
		used(usageKey("other", 1), usage.Totals{Requests: 100}),
		used(budget.UsageKey{Grain: usage.Days, Bucket: at(60).UnixMicro(), Tenant: "acme"}, usage.Totals{Requests: 1000}),
	}})
	q := budget.UsageQuery{PerBucket: true, Slices: []usage.Slice{slice(usage.QuarterHours, 15, 60), slice(usage.Days, 60, 120)}}
	equal(t, "one sum per bucket of the slice's grain, in ascending order", []budget.UsageRow{
		{Bucket: at(15), Totals: usage.Totals{Requests: 102}},
		{Bucket: at(30), Totals: usage.Totals{Requests: 4}},
		{Bucket: at(45), Totals: usage.Totals{Requests: 8}},
		{Bucket: at(60), Totals: usage.Totals{Requests: 1000}},
	}, read(t, budget.ReadTx.Usage, q))
}

func usageViaDays(t *test) {
	// Two tenants have users of the same name. A day is as short as where a clock skips most of it, and as long as where it is set
	// back by most.
	days := []int{-9 * 24, -3 * 24, -2 * 24, -24, -20, 0, 28, 51}
	r := rand.New(rand.NewPCG(5, 6))
	var w budget.Writes
	for _, who := range [][4]string{{"a", "ann", "k1", "m"}, {"a", "ann", "k2", "n"}, {"b", "ann", "k1", "m"}, {"b", "bob", "", "m"}, {"", "", "k1", ""}} {
		add := func(grain usage.Grain, bucket time.Time) {
			key := budget.UsageKey{Grain: grain, Bucket: bucket.UnixMicro(), Tenant: who[0], User: who[1], APIKey: who[2], Resource: who[3]}
			w.Usage = append(w.Usage, used(key, usage.Totals{Requests: 1 + r.Int64N(1000)}))
		}
		for i, start := range days[:len(days)-1] {
			if r.IntN(3) == 0 {
				continue
			}
			add(usage.Days, at(60*start))
			for quarter := 60 * start; quarter < 60*days[i+1] && quarter < 60*(start+28); quarter += 15 {
				if quarter == 60*start || quarter+15 == 60*(start+28) || r.IntN(10) == 0 {
					add(usage.QuarterHours, at(quarter))
				}
			}
		}
	}
	t.write(w)
	for _, set := range dimensionSets() {
		for range 8 {
			add := w.Usage[r.IntN(len(w.Usage))]
			where := make(map[usage.Dimension]string)
			for _, d := range set {
				where[d] = valuesOf(add.UsageKey).Value(d)
			}
			from := 15 * (r.IntN(96*4) - 96*4)
			q := budget.UsageQuery{
				Slices: []usage.Slice{slice(usage.QuarterHours, from, from+15*r.IntN(96*6))},
				Where:  where, By: []usage.Dimension{usage.Resource}, PerBucket: true,
			}
			want := read(t, budget.ReadTx.Usage, q)
			q.ViaDays = true
			equal(t, fmt.Sprintf("ViaDays changes no answer: %+v", q), want, read(t, budget.ReadTx.Usage, q))
		}
	}
}

func usageOverflow(t *test) {
	nearly, one := usage.Totals{Nanodollars: math.MaxInt64}, usage.Totals{Nanodollars: 1}
	t.write(budget.Writes{Usage: []budget.UsageAdd{
		used(usageKey("acme", 0), nearly),
		used(usageKey("other", 0), one),
		used(budget.UsageKey{Grain: usage.Days, Bucket: at(60).UnixMicro()}, one),
	}})
	t.insert(event("acme", "1", func(e *budget.StoredEvent) { e.Time, e.Totals = at(-1), one }))
	overflow := func(q budget.UsageQuery) {
		t.Helper()
		err := t.store.View(t.Context(), func(tx budget.ReadTx) error {
			_, err := tx.Usage(t.Context(), q)
			return err
		})
		fails(t, "a sum that would pass int64 is ErrOverflow", budget.ErrOverflow, err)
	}
	acme := map[usage.Dimension]string{usage.Tenant: "acme"}
	overflow(budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15)}})
	overflow(budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15)}, PerBucket: true})
	overflow(budget.UsageQuery{Slices: []usage.Slice{slice(usage.Raw, -5, 0), slice(usage.QuarterHours, 0, 15)}, Where: acme})
	overflow(budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15), slice(usage.Days, 60, 120)}})
	equal(t, "sums that fit are not", nearly, read(t, budget.ReadTx.Usage, budget.UsageQuery{Slices: []usage.Slice{slice(usage.QuarterHours, 0, 15)}, Where: acme})[0].Totals)
}

func usageDropped(t *test) {
	t.update(func(tx budget.Tx) error { return fill(t.Context(), tx) })
	t.define(budget.Writes{DropUsage: []usage.Slice{{Grain: usage.QuarterHours, Bounds: always}}})
	quarters(t)
	day := budget.UsageKey{Grain: usage.Days, Bucket: at(15).UnixMicro(), Tenant: "acme"}
	t.write(budget.Writes{Usage: []budget.UsageAdd{used(day, usage.Totals{Requests: 100})}})
	want := t.contents()
	rows := want.Usage[usage.QuarterHours]
	rows[1].Totals = usage.Totals{Requests: 7}
	want.Usage[usage.QuarterHours] = []budget.UsageRow{rows[0], rows[1], rows[3]}

	t.define(budget.Writes{
		DropUsage: []usage.Slice{slice(usage.QuarterHours, 15, 45), slice(usage.Days, 0, 15), slice(usage.Months, 0, 60)},
		Usage:     []budget.UsageAdd{used(usageKey("acme", 1), usage.Totals{Requests: 7})},
	})
	equal(t, "sums of the slice's grain from its start to before its end are dropped, then others added, nothing else changes", want, t.contents())
}

func compareRows(a, b budget.UsageRow, by []usage.Dimension) int {
	order := a.Bucket.Compare(b.Bucket)
	for _, d := range by {
		order = cmp.Or(order, strings.Compare(a.Value(d), b.Value(d)))
	}
	return order
}
