package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A License says what a tenant bought from an instant on: credits, a sum of money to spend, or both. Of a tenant's licenses
// that are not inactive only the one made last counts.
//
// A license is kept as one or two soft [period.Lifetime] budgets from StartsAt to EndsAt, which carry its id as the label
// "license" and follow it: one on credits, which only observes where CreditsTotal is nil or 0, and one on dollars where
// MoneyBudget is above 0. They are disabled, and so alert nobody, while another license counts or none. They can't be
// changed or deleted but through the license.
type License struct {
	ID     string // UUIDv7, made by CreateLicense unless given; up to 64 bytes
	Tenant string

	Inactive       bool             // it does not count
	CreditsTotal   *decimal.Decimal // credits, not negative; nil: not said
	CostPerCredit  *decimal.Decimal // US dollars, above 0; nil: none as yet, usage adds no credits
	MoneyBudget    *decimal.Decimal // US dollars, not negative; nil: not said
	WarningPercent *decimal.Decimal // from which share of either on to warn, 0 to 100; nil: 80
	StartsAt       time.Time        // usage before it does not count; CreateLicense sets it to now unless given
	EndsAt         time.Time        // usage at or after it does not count; zero: no end

	// CreditsUsed is what the usage from StartsAt to EndsAt comes to, each event rounded half up to 1e-6 at the rate in force
	// at its time, and adjustments. It counts whether or not CreditsTotal is set. It is not kept with the license: setting it,
	// to 0 or more, makes an adjustment of the difference, on top of which later usage counts. So it is below 0 where usage
	// is refunded that it was set to leave out.
	CreditsUsed decimal.Decimal

	CreatedAt time.Time // by the ledger's clock
	UpdatedAt time.Time // CreatedAt until the first change
}

const (
	licenseLabel = "license"
	maxLicenseID = 64
)

// Validate reports every field of x that is not as its comment says, joined; each is a [*FieldError].
func (x License) Validate() error {
	var long error
	if n := len(x.ID); n > maxLicenseID {
		long = invalid.Field("id", "has %d bytes, at most %d are allowed", n, maxLicenseID)
	}
	return errors.Join(
		invalid.OptionalName("id", x.ID), long,
		invalid.Name("tenant", x.Tenant),
		validateAmount("credits_total", usage.Credits, x.CreditsTotal),
		x.validateRate(),
		validateAmount("token_budget_usd", usage.Dollars, x.MoneyBudget),
		x.validateWarning(),
		Budget{StartsAt: x.StartsAt, EndsAt: x.EndsAt}.validateWindow(),
		validateAmount("credits_used", usage.Credits, &x.CreditsUsed),
	)
}

func validateAmount(field string, m usage.Metric, d *decimal.Decimal) error {
	if d == nil {
		return nil
	}
	if _, err := m.Units(*d); err != nil {
		return invalid.Field(field, "%v", err)
	}
	if d.IsNegative() {
		return invalid.Field(field, "must not be negative")
	}
	return nil
}

func (x License) validateRate() error {
	if x.CostPerCredit == nil {
		return nil
	}
	if x.CostPerCredit.IsZero() {
		return invalid.Field("cost_per_credit", "must be greater than 0")
	}
	return Budget{Metric: usage.Credits, CostPerCredit: *x.CostPerCredit}.validateRate()
}

func (x License) validateWarning() error {
	err := alert.Thresholds{Warning: x.WarningPercent}.Validate()
	for _, finding := range invalid.Fields(err) {
		return invalid.Field("budget_warning_percent", "%s", finding.Message)
	}
	return err
}

// MarshalJSON writes x with the names that token usage of organizations has elsewhere; amounts are numbers with their exact
// text, null where there is none.
func (x License) MarshalJSON() ([]byte, error) { return json.Marshal(newLicenseJSON(&x)) }

// licenseJSON is a license as it is written in JSON and in the audit.
type licenseJSON struct {
	ID             string     `json:"id"`
	Tenant         string     `json:"tenant"`
	Active         bool       `json:"active"`
	CreditsTotal   *number    `json:"credits_total"`
	CostPerCredit  *number    `json:"cost_per_credit"`
	MoneyBudget    *number    `json:"token_budget_usd"`
	WarningPercent *number    `json:"budget_warning_percent"`
	StartsAt       *time.Time `json:"starts_at"`
	EndsAt         *time.Time `json:"ends_at"`
	CreditsUsed    number     `json:"credits_used"`
	CreatedAt      *time.Time `json:"created_at,omitempty"`
	UpdatedAt      *time.Time `json:"updated_at,omitempty"`
}

func newLicenseJSON(x *License) licenseJSON {
	return licenseJSON{
		ID: x.ID, Tenant: x.Tenant, Active: !x.Inactive,
		CreditsTotal: (*number)(x.CreditsTotal), CostPerCredit: (*number)(x.CostPerCredit),
		MoneyBudget: (*number)(x.MoneyBudget), WarningPercent: (*number)(x.WarningPercent),
		StartsAt: optionalTime(x.StartsAt), EndsAt: optionalTime(x.EndsAt),
		CreditsUsed: number(x.CreditsUsed),
		CreatedAt:   optionalTime(x.CreatedAt), UpdatedAt: optionalTime(x.UpdatedAt),
	}
}

// fields returns what can be changed of x, and its id, by the names that they have in JSON; nil for nil.
func (x *License) fields() map[string]json.RawMessage {
	if x == nil {
		return nil
	}
	written := newLicenseJSON(x)
	written.CreatedAt, written.UpdatedAt = nil, nil
	return fieldsIn(written)
}

// withDefaults returns a copy of x that shares nothing with it, with instants in UTC to the microsecond.
func (x License) withDefaults() License {
	for _, p := range []**decimal.Decimal{&x.CreditsTotal, &x.CostPerCredit, &x.MoneyBudget, &x.WarningPercent} {
		*p = clonePointer(*p)
	}
	x.StartsAt, x.EndsAt = micros(x.StartsAt), micros(x.EndsAt)
	return x
}

// CreateLicense makes a license. A tenant that is not in the directory is entered, without a name. It returns the license as
// stored, with the credits that usage since StartsAt comes to.
//
// Errors: ErrInvalid with the fields, ErrConflict if the id is taken, ErrPruned if StartsAt is before the prune floor.
func (l *Ledger) CreateLicense(ctx context.Context, x License) (License, error) {
	now := l.now()
	x = x.withDefaults()
	if x.ID == "" {
		x.ID = l.options.NewID()
	}
	if x.StartsAt.IsZero() {
		x.StartsAt = now
	}
	x.CreatedAt, x.UpdatedAt = now, now
	if err := x.Validate(); err != nil {
		return License{}, fmt.Errorf("create license: %w", err)
	}
	var created License
	err := l.update(ctx, "create license", func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		t, i, err := licensed(ctx, tx, x.ID)
		switch {
		case err == nil && sameLicense(&t.Licenses[i], &x):
			created = t.Licenses[i] // by an earlier run, whose commit was not known to have worked
			return nil
		case err == nil:
			return fmt.Errorf("%w: the id %q is taken", ErrConflict, x.ID)
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if t, err = tenant(ctx, tx, x.Tenant); errors.Is(err, ErrNotFound) {
			t, err = Tenant{ID: x.Tenant, CreatedAt: now, UpdatedAt: now}, nil
		}
		if err != nil {
			return err
		}
		t.Licenses = append(t.Licenses, x)
		set := l.setting(&License{}, &x, now)
		if err := l.putTenant(ctx, ch, &t, set, l.auditLicense("create_license", nil, &x)); err != nil {
			return err
		}
		err = readUsed(ctx, tx, &t)
		created = t.Licenses[len(t.Licenses)-1]
		return err
	})
	if err != nil {
		return License{}, err
	}
	return created, nil
}

// UpdateLicense changes a license: fn gets it as it is stored, with the credits used, and changes what it likes but ID, Tenant
// and the times of creation and update. fn may run several times. If fn returns an error, nothing is changed, and
// UpdateLicense returns it. A new CostPerCredit holds for later usage only. It returns the license as stored. A change that
// changes nothing is none, and not audited; one of the window or of whether it is inactive is audited as update_license,
// any other as update_license_budget.
//
// Errors: ErrNotFound, ErrInvalid with the fields, ErrPruned where events would have to be counted that are gone: if StartsAt
// is changed, or a MoneyBudget given to, of a license that began before the prune floor, and if EndsAt is moved from or to
// before it.
func (l *Ledger) UpdateLicense(ctx context.Context, id string, fn func(*License) error) (License, error) {
	now := l.now()
	var updated, attempted License
	err := l.update(ctx, fmt.Sprintf("update license %q", id), func(tx Tx) error {
		ch, err := l.beginChange(ctx, tx, now)
		if err != nil {
			return err
		}
		t, i, err := licensed(ctx, tx, id)
		if err != nil {
			return err
		}
		old := t.Licenses[i]
		if updated = old; sameLicense(&old, &attempted) {
			return nil // by an earlier run, whose commit was not known to have worked
		}
		x := old.withDefaults()
		if err := fn(&x); err != nil {
			return err
		}
		x = x.withDefaults()
		if err := x.validateChange(old); err != nil {
			return err
		}
		if maps.EqualFunc(old.fields(), x.fields(), sameText) {
			return nil
		}
		x.UpdatedAt = now
		attempted, t.Licenses[i] = x, x
		if err := l.putTenant(ctx, ch, &t, l.setting(&old, &x, now), l.auditLicense(changeOf(&old, &x), &old, &x)); err != nil {
			return err
		}
		err = readUsed(ctx, tx, &t)
		updated = t.Licenses[i]
		return err
	})
	if err != nil {
		return License{}, err
	}
	return updated, nil
}

// changeOf returns the name under which a change is audited.
func changeOf(old, x *License) string {
	if old.Inactive != x.Inactive || !old.StartsAt.Equal(x.StartsAt) || !old.EndsAt.Equal(x.EndsAt) {
		return "update_license"
	}
	return "update_license_budget"
}

// validateChange checks x as a whole, and that it is still the license that it was.
func (x License) validateChange(old License) error {
	var errs []error
	check := func(field string, same bool) {
		if !same {
			errs = append(errs, invalid.Field(field, "can't be changed"))
		}
	}
	check("id", x.ID == old.ID)
	check("tenant", x.Tenant == old.Tenant)
	check("created_at", x.CreatedAt.Equal(old.CreatedAt))
	check("updated_at", x.UpdatedAt.Equal(old.UpdatedAt))
	if x.StartsAt.IsZero() {
		errs = append(errs, invalid.Field("starts_at", "must not be empty"))
	}
	if x.CreditsUsed.Equal(old.CreditsUsed) {
		x.CreditsUsed = decimal.Zero // below 0 where more was refunded than was left of what was set
	}
	return errors.Join(append(errs, x.Validate())...)
}

// sameLicense reports whether two licenses are one, as the same call stored it, but for what was used.
func sameLicense(a, b *License) bool {
	was, is := a.fields(), b.fields()
	delete(was, "credits_used")
	delete(is, "credits_used")
	return a.CreatedAt.Equal(b.CreatedAt) && a.UpdatedAt.Equal(b.UpdatedAt) &&
		maps.EqualFunc(was, is, sameText)
}

func sameText(a, b json.RawMessage) bool { return string(a) == string(b) }

// License returns the license with this id, and the credits that it has used. The error is ErrNotFound if there is none,
// ErrInvalid if none can have it.
func (l *Ledger) License(ctx context.Context, id string) (License, error) {
	var x License
	err := l.view(ctx, fmt.Sprintf("license %q", id), func(r ReadTx) error {
		t, i, err := licensed(ctx, r, id)
		if err != nil {
			return err
		}
		x = t.Licenses[i]
		return nil
	})
	return x, err
}

// licensed returns the tenant that has a license, and which of its licenses it is. Its credits budget knows the tenant.
func licensed(ctx context.Context, r ReadTx, id string) (Tenant, int, error) {
	if err := invalid.Name("id", id); err != nil {
		return Tenant{}, 0, err
	}
	if len(id) > maxLicenseID {
		return Tenant{}, 0, ErrNotFound
	}
	d, err := definition(ctx, r, budgetOf(id, usage.Credits))
	if err != nil {
		return Tenant{}, 0, err
	}
	t, err := tenant(ctx, r, string(d.Scope[usage.Tenant]))
	if err != nil {
		return Tenant{}, 0, err
	}
	i := slices.IndexFunc(t.Licenses, func(x License) bool { return x.ID == id })
	if i < 0 {
		return Tenant{}, 0, ErrNotFound
	}
	return t, i, readUsed(ctx, r, &t)
}

// budgetOf returns the id of a license's budget on a metric, credits or dollars.
func budgetOf(license string, m usage.Metric) string { return license + "." + string(m) }

// notOfLicense refuses to change a budget that follows a license.
func (b *Budget) notOfLicense() error {
	license := b.Labels[licenseLabel]
	if license != "" && (b.ID == budgetOf(license, usage.Credits) || b.ID == budgetOf(license, usage.Dollars)) {
		return invalid.Field("id", "is that of a budget of the license %q, and changes with it", license)
	}
	return nil
}

// counterOf returns the key of the one counter of a license's budget.
func counterOf(license string, m usage.Metric) CounterKey {
	return CounterKey{Budget: budgetOf(license, m), Start: period.Lifetime.Bounds(usage.MinTime).Start.UnixMicro()}
}

// readUsed fills in what the licenses of these tenants have used.
func readUsed(ctx context.Context, r ReadTx, tenants ...*Tenant) error {
	var keys []CounterKey
	for _, t := range tenants {
		for _, x := range t.Licenses {
			keys = append(keys, counterOf(x.ID, usage.Credits))
		}
	}
	counters, err := countersByKey(ctx, r, keys)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		for i := range t.Licenses {
			x := &t.Licenses[i]
			x.CreditsUsed = usage.Credits.Decimal(counters[counterOf(x.ID, usage.Credits)].used())
		}
	}
	return nil
}

// countersByKey returns those of the counters that there are.
func countersByKey(ctx context.Context, r ReadTx, keys []CounterKey) (map[CounterKey]Counter, error) {
	found := make(map[CounterKey]Counter, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	counters, err := r.Counters(ctx, CounterQuery{Keys: slices.SortedFunc(slices.Values(keys), CounterKey.Compare)})
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	for _, c := range counters {
		found[c.CounterKey] = c
	}
	return found, nil
}

// follow brings the budgets of a license in line with it.
func (l *Ledger) follow(ctx context.Context, ch *definitionChange, t *Tenant, x *License, set *setting) error {
	err := l.followIn(ctx, ch, x.creditsBudget(t), true, set)
	if err != nil {
		return err
	}
	money := x.moneyBudget(t)
	return l.followIn(ctx, ch, money, money.Limit.IsPositive(), nil)
}

// followIn makes a budget as it is wanted, or deletes it if it is not.
func (l *Ledger) followIn(ctx context.Context, ch *definitionChange, b Budget, wanted bool, set *setting) error {
	if set != nil && set.budget != b.ID {
		set = nil
	}
	if err := ch.read(ctx, b.ID); err != nil {
		return err
	}
	switch {
	case ch.old == nil && !wanted:
		return nil
	case ch.old == nil:
		b.Version, b.CreatedAt, b.UpdatedAt, b.CreatedBy = 1, ch.now, ch.now, l.actor
		d := Definition{Budget: b}
		d.restart(ch.now)
		return ch.put(ctx, d, set, l.auditChange("create_budget", nil, &b))
	case !wanted:
		return ch.delete(ctx, l.auditChange("delete_budget", &ch.old.Budget, nil))
	}
	b.Version, b.CreatedAt, b.UpdatedAt, b.CreatedBy = ch.old.Version, ch.old.CreatedAt, ch.old.UpdatedAt, ch.old.CreatedBy
	switch {
	case !sameFields(&ch.old.Budget, &b):
		b.Version, b.UpdatedAt = b.Version+1, ch.now
		return ch.update(ctx, b, set, l.auditChange("update_budget", &ch.old.Budget, &b))
	case set != nil:
		return ch.update(ctx, b, set)
	default:
		return nil
	}
}

// creditsBudget returns the budget that counts the credits of x. Without a total it only observes.
func (x *License) creditsBudget(t *Tenant) Budget {
	b := x.budget(t, usage.Credits)
	if x.CostPerCredit != nil {
		b.CostPerCredit = *x.CostPerCredit
	}
	b.Enforcement, b.Limit = Observe, usage.Credits.Decimal(math.MaxInt64)
	if x.CreditsTotal != nil && x.CreditsTotal.IsPositive() {
		b.Enforcement, b.Limit = Soft, *x.CreditsTotal
	}
	return b
}

// moneyBudget returns the budget that counts the money of x. Its limit is 0 if there is none.
func (x *License) moneyBudget(t *Tenant) Budget {
	b := x.budget(t, usage.Dollars)
	b.Enforcement = Soft
	if x.MoneyBudget != nil {
		b.Limit = *x.MoneyBudget
	}
	return b
}

func (x *License) budget(t *Tenant, m usage.Metric) Budget {
	counts := t.License()
	return Budget{
		ID: budgetOf(x.ID, m), Name: budgetName(t.Title(), m), Metric: m, Schedule: period.Lifetime,
		Scope:    Scope{usage.Tenant: Selector(t.ID)},
		StartsAt: x.StartsAt, EndsAt: x.EndsAt,
		Thresholds: alert.Thresholds{Warning: x.WarningPercent},
		Disabled:   counts == nil || counts.ID != x.ID,
		Labels:     map[string]string{licenseLabel: x.ID},
	}
}

// budgetName returns a name that is not too long, whatever the tenant's.
func budgetName(tenant string, m usage.Metric) string {
	const most = 80
	if runes := []rune(tenant); len(runes) > most {
		tenant = string(runes[:most-1]) + "…"
	}
	return tenant + ", " + string(m)
}

// A setting is what the credits of a license are to have used, by an adjustment of the difference.
type setting struct {
	ledger *Ledger
	budget string
	units  int64
	id     string // of the adjustment
	now    time.Time
}

// setting returns what x has set, nil if it is what was used before.
func (l *Ledger) setting(old, x *License, now time.Time) *setting {
	if x.CreditsUsed.Equal(old.CreditsUsed) {
		return nil
	}
	units, _ := usage.Credits.Units(x.CreditsUsed) // it was validated
	return &setting{ledger: l, budget: budgetOf(x.ID, usage.Credits), units: units, id: l.options.NewID(), now: now}
}

// adjust adds the adjustment to w, to what is added and to what stands after it, of which it returns a copy: that may be
// what is added, or what stood before.
func (s *setting) adjust(d *Definition, after, adds tallies, w *Writes) (tallies, error) {
	key := d.periodKey(s.now)
	difference, err := addUnits(s.units, -after[key].used())
	if err != nil || difference == 0 {
		return after, err
	}
	after = maps.Clone(after)
	if err := errors.Join(after.adjust(key, difference), adds.adjust(key, difference)); err != nil {
		return nil, err
	}
	a := StoredAdjustment{
		ID: s.id, Budget: d.ID, Value: key.Value, Metric: d.Metric, Units: difference,
		Time: s.now, Reason: "credits_used was set", Actor: s.ledger.actor, RecordedAt: s.now,
	}
	w.Adjustments = append(w.Adjustments, a)
	w.Audit = append(w.Audit, s.ledger.auditAdjustment(d, a))
	return after, nil
}

func (l *Ledger) auditLicense(action string, before, after *License) AuditEntry {
	entry := AuditEntry{
		ID: l.options.NewID(), Time: l.now(), Actor: l.actor, Tenant: after.Tenant,
		Action: action, Kind: "license", Target: after.ID,
	}
	entry.Before, entry.After = differing(before.fields(), after.fields())
	return entry
}
