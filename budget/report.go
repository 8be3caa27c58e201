package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// Reports read sums of usage, which are written with the events. So they cost the same however many events there are, stay
// as they are when events are pruned, and are exact in every zone.

// A GroupQuery says whose usage is wanted, of which time, and how it is told apart. The zero value is the sum of all.
type GroupQuery struct {
	By     []usage.Dimension          // tenant, user, api_key, resource: a line for each combination; nil: one for all
	Where  map[usage.Dimension]string // only usage with exactly these values of the same four dimensions
	Span   period.Bounds              // zero: all time
	Bucket usage.Bucket               // a line for each bucket, cut where the span ends; "": one for the whole span
	Zone   *time.Location             // an IANA zone, in which the buckets are; default the reporting zone
}

// Groups yields lines of usage: by time if there are buckets, and in ascending order of the values of By. Usage without a
// value of a dimension is a line of its own, so that all lines add up to all usage. Where nothing was used is no line.
//
// It reads in pages. What is recorded meanwhile is in a later one, or in none.
//
// Errors: ErrInvalid with the fields; ErrPruned if the span begins or ends inside a quarter hour that is pruned.
func (l *Ledger) Groups(ctx context.Context, q GroupQuery) iter.Seq2[usage.Line, error] {
	return func(yield func(usage.Line, error) bool) {
		if q.Span.IsZero() {
			q.Span = allTime
		}
		spans, err := l.groupSpans(ctx, q)
		if err != nil {
			yield(usage.Line{}, fmt.Errorf("groups: %w", err))
			return
		}
		at := groupCursor{spans: spans}
		for len(at.spans) > 0 {
			lines, err := l.groupPage(ctx, q, &at)
			if err != nil {
				yield(usage.Line{}, err)
				return
			}
			for _, line := range lines {
				if !yield(line, nil) {
					return
				}
			}
		}
	}
}

var allTime = period.Bounds{Start: usage.MinTime, End: usage.EndTime}

func (q GroupQuery) validate() error {
	var errs []error
	for i, d := range q.By {
		if d.IsLabel() || slices.Contains(q.By[:i], d) {
			errs = append(errs, invalid.Field("by", "must be of tenant, user, api_key and resource, each once"))
		}
	}
	errs = append(errs, validateWhere(q.Where), validateSpan(q.Span))
	if q.Bucket != "" {
		_, err := usage.ParseBucket(string(q.Bucket))
		errs = append(errs, err)
	}
	if q.Zone != nil {
		errs = append(errs, period.Daily.In(q.Zone).Validate())
	}
	return errors.Join(errs...)
}

// groupSpans returns the spans of time to sum up, one after the other: those buckets in whose months there is usage.
func (l *Ledger) groupSpans(ctx context.Context, q GroupQuery) ([]period.Bounds, error) {
	if err := q.validate(); err != nil || q.Bucket == "" {
		return []period.Bounds{q.Span}, err
	}
	var spans []period.Bounds
	err := l.view(ctx, "months with usage", func(r ReadTx) error {
		catalog, err := r.Catalog(ctx)
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		months, err := usedMonths(ctx, r, catalog, q)
		if err != nil {
			return err
		}
		if q.Zone == nil {
			zone, err := newReportingZone(catalog.ReportingZone)
			if err != nil {
				return err
			}
			q.Zone = zone.loc
		}
		spans = q.buckets(months)
		return nil
	})
	return spans, err
}

// usedMonths returns the months of the reporting zone in which something was used that may be the query's, ascending.
func usedMonths(ctx context.Context, r ReadTx, catalog Catalog, q GroupQuery) ([]period.Bounds, error) {
	zone, err := newReportingZone(catalog.ReportingZone)
	if err != nil {
		return nil, err
	}
	first, last := zone.months.Bounds(q.Span.Start), zone.months.Bounds(q.Span.End.Add(-time.Microsecond))
	where := maps.Clone(q.Where)
	maps.DeleteFunc(where, func(d usage.Dimension, _ string) bool { return d == usage.User || d == usage.APIKey })
	rows, err := r.Usage(ctx, UsageQuery{
		Slices: []usage.Slice{{Grain: usage.Months, Bounds: period.Bounds{Start: first.Start, End: last.End}}},
		Where:  where, PerBucket: true,
	})
	if err != nil {
		return nil, fmt.Errorf("sum up usage: %w", err)
	}
	months := make([]period.Bounds, len(rows))
	for i, row := range rows {
		months[i] = zone.months.Bounds(row.Bucket)
	}
	return months, nil
}

// buckets returns the buckets, within the span, that these months overlap, ascending.
func (q GroupQuery) buckets(months []period.Bounds) []period.Bounds {
	var buckets []period.Bounds
	at := q.Span.Start
	for _, month := range months {
		month = month.Intersect(q.Span)
		for at = later(at, month.Start); at.Before(month.End); {
			bucket := q.Bucket.Bounds(at, q.Zone)
			buckets = append(buckets, bucket.Intersect(q.Span))
			at = bucket.End
		}
	}
	return buckets
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A groupCursor is a place among the lines of groups.
type groupCursor struct {
	spans []period.Bounds // those that are not read to their end
	after *usage.Subject  // the last line of the first of them; nil: it is not begun
}

// groupPage returns some lines, of one moment, and moves the cursor behind them.
func (l *Ledger) groupPage(ctx context.Context, q GroupQuery, at *groupCursor) (lines []usage.Line, err error) {
	const most = 500 // spans
	next := *at
	err = l.view(ctx, "groups", func(r ReadTx) error {
		lines, next = nil, *at
		catalog, err := r.Catalog(ctx)
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		for n := 0; n < most && len(next.spans) > 0 && len(lines) < pageSize; n++ {
			span := next.spans[0]
			rows, err := sumUsage(ctx, r, catalog, UsageQuery{Where: q.Where, By: q.By, After: next.after, Limit: pageSize}, span)
			if err != nil {
				return err
			}
			for _, row := range rows {
				lines = append(lines, usage.Line{Bounds: span, Subject: row.Subject, Totals: row.Totals})
			}
			if len(rows) < pageSize {
				next = groupCursor{spans: next.spans[1:]}
			} else {
				next.after = &rows[len(rows)-1].Subject
			}
		}
		return nil
	})
	*at = next
	return lines, err
}

// Months returns what a tenant used, month by month, the newest first, in a zone, or the reporting zone if it is nil. Months
// without usage are left out.
//
// Errors: ErrNotFound if the tenant is not in the directory and used nothing, ErrInvalid with the fields.
func (l *Ledger) Months(ctx context.Context, tenant string, zone *time.Location) ([]usage.Point, error) {
	q := GroupQuery{Where: map[usage.Dimension]string{usage.Tenant: tenant}, Bucket: usage.Month, Zone: zone}
	if err := invalid.Name("tenant", tenant); err != nil {
		return nil, fmt.Errorf("months: %w", err)
	}
	months := []usage.Point{}
	for line, err := range l.Groups(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("months of tenant %q: %w", tenant, err)
		}
		months = append(months, usage.Point{Bounds: line.Bounds, Totals: line.Totals})
	}
	slices.Reverse(months)
	if len(months) > 0 {
		return months, nil
	}
	_, err := l.Tenant(ctx, tenant)
	return months, err
}

// An Account is how a tenant stands: what it used, against the license that counts. All figures are exact, percentages are
// cut after 9 places.
type Account struct {
	Tenant string
	Name   string       // the tenant's id if the directory has no name for it
	Slug   string       // "": it has none
	Usage  usage.Totals // of all time, with or without a license

	License *License // the one that counts, with its CreditsUsed; nil: there is none
	// CreditsRemaining is CreditsTotal − CreditsUsed, not below 0; nil without a total above 0.
	CreditsRemaining *decimal.Decimal
	// CreditsPercent is the share of CreditsTotal that is used, not capped; nil without a total above 0.
	CreditsPercent *decimal.Decimal
	// MoneyUsed is the cost in the license's time, and adjustments of its budget; nil without a MoneyBudget above 0.
	MoneyUsed *decimal.Decimal
	// MoneyPercent is the share of MoneyBudget that is used, not capped; nil without one above 0.
	MoneyPercent *decimal.Decimal
}

// MarshalJSON writes a; amounts are numbers with their exact text, null where there is none.
func (a Account) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Tenant           string       `json:"tenant"`
		Name             string       `json:"name"`
		Slug             *string      `json:"slug"`
		Usage            usage.Totals `json:"usage"`
		License          *License     `json:"license"`
		CreditsRemaining *number      `json:"credits_remaining"`
		CreditsPercent   *number      `json:"credits_percent_used"`
		MoneyUsed        *number      `json:"budget_used_usd"`
		MoneyPercent     *number      `json:"budget_percent_used"`
	}{
		a.Tenant, a.Name, optionalString(a.Slug), a.Usage, a.License,
		(*number)(a.CreditsRemaining), (*number)(a.CreditsPercent), (*number)(a.MoneyUsed), (*number)(a.MoneyPercent),
	})
}

func optionalString(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Overview yields the account of every tenant that is in the directory or used something, in ascending order of id. Usage
// without a tenant is nobody's. It reads in pages, each of one moment.
func (l *Ledger) Overview(ctx context.Context) iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		after := ""
		for {
			var page []Account
			err := l.view(ctx, "overview", func(r ReadTx) (err error) {
				page, err = accounts(ctx, r, after)
				return err
			})
			if err != nil {
				yield(Account{}, err)
				return
			}
			for _, a := range page {
				if !yield(a, nil) {
					return
				}
			}
			if len(page) < accountPage {
				return
			}
			after = page[len(page)-1].Tenant
		}
	}
}

// accountPage is how many accounts are read at a time.
const accountPage = 1000

// accounts returns the next accounts, in ascending order.
func accounts(ctx context.Context, r ReadTx, after string) ([]Account, error) {
	catalog, err := r.Catalog(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	rows, err := sumUsage(ctx, r, catalog, UsageQuery{
		By: []usage.Dimension{usage.Tenant}, After: &usage.Subject{Tenant: after}, Limit: accountPage,
	}, allTime)
	if err != nil {
		return nil, err
	}
	tenants, err := r.Tenants(ctx, TenantQuery{After: after, Limit: accountPage})
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	// Both have their first ones, so that the first of both together are among them.
	byID := make(map[string]*Tenant)
	for i := range tenants {
		byID[tenants[i].ID] = &tenants[i]
	}
	totals := make(map[string]usage.Totals)
	for _, row := range rows {
		totals[row.Tenant] = row.Totals
		if byID[row.Tenant] == nil {
			byID[row.Tenant] = &Tenant{ID: row.Tenant}
		}
	}
	ids := slices.Sorted(maps.Keys(byID))
	found := make([]Account, 0, len(ids))
	for _, id := range ids[:min(accountPage, len(ids))] {
		t := byID[id]
		found = append(found, Account{Tenant: id, Name: t.Title(), Slug: t.Slug, Usage: totals[id], License: t.License()})
	}
	return found, readLicensed(ctx, r, found)
}

// readLicensed fills in how these accounts stand against their licenses.
func readLicensed(ctx context.Context, r ReadTx, accounts []Account) error {
	var keys []CounterKey
	for _, a := range accounts {
		if x := a.License; x != nil {
			keys = append(keys, counterOf(x.ID, usage.Credits), counterOf(x.ID, usage.Dollars))
		}
	}
	counters, err := countersByKey(ctx, r, keys)
	if err != nil {
		return err
	}
	for i := range accounts {
		a := &accounts[i]
		if a.License == nil {
			continue
		}
		a.License.CreditsUsed = usage.Credits.Decimal(counters[counterOf(a.License.ID, usage.Credits)].used())
		a.stand(usage.Dollars.Decimal(counters[counterOf(a.License.ID, usage.Dollars)].used()))
	}
	return nil
}

// stand fills in how a stands against its license, with so much money used.
func (a *Account) stand(money decimal.Decimal) {
	x := a.License
	if total := x.CreditsTotal; total != nil && total.IsPositive() {
		a.CreditsRemaining = new(decimal.Max(decimal.Zero, total.Sub(x.CreditsUsed)))
		a.CreditsPercent = new(alert.Percent(x.CreditsUsed, *total, percentPlaces))
	}
	if limit := x.MoneyBudget; limit != nil && limit.IsPositive() {
		a.MoneyUsed = &money
		a.MoneyPercent = new(alert.Percent(money, *limit, percentPlaces))
	}
}

// A CurrentMonth is what a tenant used in the month that runs, and how it stands.
type CurrentMonth struct {
	Account
	Month usage.Point
}

// MarshalJSON writes c as its account, with the month.
func (c CurrentMonth) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Account Account     `json:"account"`
		Month   usage.Point `json:"month"`
	}{c.Account, c.Month})
}

// CurrentMonth returns what a tenant used in the month that runs, of a zone, or of the reporting zone if it is nil, and how it
// stands.
//
// Errors: ErrNotFound if the tenant is not in the directory and used nothing, ErrInvalid with the fields.
func (l *Ledger) CurrentMonth(ctx context.Context, tenant string, zone *time.Location) (CurrentMonth, error) {
	now := l.now()
	var current CurrentMonth
	err := l.view(ctx, fmt.Sprintf("current month of tenant %q", tenant), func(r ReadTx) (err error) {
		if current.Account, err = account(ctx, r, tenant); err != nil {
			return err
		}
		current.Month, err = monthOf(ctx, r, tenant, zone, now)
		return err
	})
	if err != nil {
		return CurrentMonth{}, err
	}
	return current, nil
}

// account returns how one tenant stands.
func account(ctx context.Context, r ReadTx, id string) (Account, error) {
	t, err := tenant(ctx, r, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Account{}, err
	}
	total, used, sumErr := sumOf(ctx, r, id, allTime)
	if sumErr != nil {
		return Account{}, sumErr
	}
	if err != nil && !used {
		return Account{}, err
	}
	t.ID = id
	found := []Account{{Tenant: id, Name: t.Title(), Slug: t.Slug, Usage: total, License: t.License()}}
	err = readLicensed(ctx, r, found)
	return found[0], err
}

func monthOf(ctx context.Context, r ReadTx, tenant string, zone *time.Location, t time.Time) (usage.Point, error) {
	if zone == nil {
		catalog, err := r.Catalog(ctx)
		if err != nil {
			return usage.Point{}, fmt.Errorf("read the catalog: %w", err)
		}
		reporting, err := newReportingZone(catalog.ReportingZone)
		if err != nil {
			return usage.Point{}, err
		}
		zone = reporting.loc
	} else if err := period.Daily.In(zone).Validate(); err != nil {
		return usage.Point{}, err
	}
	month := usage.Month.Bounds(t, zone)
	total, _, err := sumOf(ctx, r, tenant, month)
	return usage.Point{Bounds: month, Totals: total}, err
}

// sumOf returns what a tenant used in a span, and whether there is anything.
func sumOf(ctx context.Context, r ReadTx, tenant string, span period.Bounds) (usage.Totals, bool, error) {
	catalog, err := r.Catalog(ctx)
	if err != nil {
		return usage.Totals{}, false, fmt.Errorf("read the catalog: %w", err)
	}
	q := UsageQuery{Where: map[usage.Dimension]string{usage.Tenant: tenant}}
	rows, err := sumUsage(ctx, r, catalog, q, span)
	if err != nil || len(rows) == 0 {
		return usage.Totals{}, false, err
	}
	return rows[0].Totals, true, nil
}
