package bunstore

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// definitionRow is a row of purser_budgets.
type definitionRow struct {
	bun.BaseModel `bun:"alias:t"`

	ID               string  `bun:"id"`
	Name             string  `bun:"name"`
	Description      *string `bun:"description"`
	Metric           string  `bun:"metric"`
	Limit            string  `bun:"budget_limit"`
	CostPerCredit    string  `bun:"cost_per_credit"`
	Schedule         string  `bun:"schedule"`
	ScopeShape       string  `bun:"scope_shape"`
	ScopeFixed       string  `bun:"scope_fixed"`
	Scope            string  `bun:"scope"`
	Except           string  `bun:"exceptions"`
	StartsAt         int64   `bun:"starts_at"`
	EndsAt           int64   `bun:"ends_at"`
	AllowedResources string  `bun:"allowed_resources"`
	Enforcement      string  `bun:"enforcement"`
	MinHold          string  `bun:"min_hold"`
	Thresholds       string  `bun:"thresholds"`
	Disabled         bool    `bun:"disabled"`
	Owner            string  `bun:"owner"`
	CreatedBy        string  `bun:"created_by"`
	Labels           string  `bun:"labels"`
	Metadata         *string `bun:"metadata"`
	Version          int64   `bun:"version"`
	CreatedAt        int64   `bun:"created_at"`
	UpdatedAt        int64   `bun:"updated_at"`
	Rates            string  `bun:"rates"`
	CountedFrom      int64   `bun:"counted_from"`
}

// Decimals are texts in JSON too: how the decimal package writes them there is a setting that belongs to the program.
type (
	thresholdsJSON struct {
		Warning  *string  `json:"warning"`
		Critical *string  `json:"critical"`
		Extra    []string `json:"extra"`
	}
	rateJSON struct {
		From          int64  `json:"from"`
		CostPerCredit string `json:"cost_per_credit"`
	}
)

func newDefinitionRow(d budget.Definition) (definitionRow, error) {
	schedule, err := d.Schedule.MarshalText()
	if err != nil {
		return definitionRow{}, fmt.Errorf("schedule of budget %q: %w", d.ID, err)
	}
	key := d.Scope.Key()
	return definitionRow{
		ID: d.ID, Name: d.Name, Description: d.Description,
		Metric: string(d.Metric), Limit: d.Limit.String(), CostPerCredit: d.CostPerCredit.String(),
		Schedule:   string(schedule),
		ScopeShape: string(key.Shape), ScopeFixed: key.Fixed, Scope: encode(d.Scope), Except: encode(d.Except),
		StartsAt: micros(d.StartsAt), EndsAt: micros(d.EndsAt),
		AllowedResources: encode(d.AllowedResources), Enforcement: string(d.Enforcement),
		MinHold: d.MinHold.String(), Thresholds: encode(newThresholdsJSON(d.Thresholds)), Disabled: d.Disabled,
		Owner: d.Owner, CreatedBy: d.CreatedBy, Labels: encode(d.Labels), Metadata: optional(d.Metadata),
		Version: d.Version, CreatedAt: micros(d.CreatedAt), UpdatedAt: micros(d.UpdatedAt),
		Rates: encode(newRatesJSON(d.Rates)), CountedFrom: micros(d.CountedFrom),
	}, nil
}

func newThresholdsJSON(t alert.Thresholds) thresholdsJSON {
	stored := thresholdsJSON{Warning: optionalText(t.Warning), Critical: optionalText(t.Critical)}
	for _, percent := range t.Extra {
		stored.Extra = append(stored.Extra, percent.String())
	}
	return stored
}

func optionalText(d *decimal.Decimal) *string {
	if d == nil {
		return nil
	}
	return new(d.String())
}

func newRatesJSON(rates []budget.Rate) []rateJSON {
	var stored []rateJSON
	for _, r := range rates {
		stored = append(stored, rateJSON{micros(r.From), r.CostPerCredit.String()})
	}
	return stored
}

func (r *definitionRow) definition() (budget.Definition, error) {
	var p parser
	d := budget.Definition{
		Budget: budget.Budget{
			ID: r.ID, Name: r.Name, Description: r.Description,
			Metric: usage.Metric(r.Metric), Limit: p.decimal("budget_limit", r.Limit),
			CostPerCredit: p.decimal("cost_per_credit", r.CostPerCredit),
			StartsAt:      instant(r.StartsAt), EndsAt: instant(r.EndsAt),
			Enforcement: budget.Enforcement(r.Enforcement), MinHold: p.decimal("min_hold", r.MinHold),
			Thresholds: p.thresholds(r.Thresholds), Disabled: r.Disabled,
			Owner: r.Owner, CreatedBy: r.CreatedBy, Metadata: fromOptional(r.Metadata),
			Version: r.Version, CreatedAt: instant(r.CreatedAt), UpdatedAt: instant(r.UpdatedAt),
		},
		Rates:       p.rates(r.Rates),
		CountedFrom: instant(r.CountedFrom),
	}
	p.note("schedule", d.Schedule.UnmarshalText([]byte(r.Schedule)))
	p.json("scope", r.Scope, &d.Scope)
	p.json("exceptions", r.Except, &d.Except)
	p.json("allowed_resources", r.AllowedResources, &d.AllowedResources)
	p.json("labels", r.Labels, &d.Labels)
	return d, p.err
}

func (p *parser) thresholds(text string) alert.Thresholds {
	var stored thresholdsJSON
	p.json("thresholds", text, &stored)
	t := alert.Thresholds{Warning: p.optional("thresholds", stored.Warning), Critical: p.optional("thresholds", stored.Critical)}
	for _, text := range stored.Extra {
		t.Extra = append(t.Extra, p.decimal("thresholds", text))
	}
	return t
}

func (p *parser) rates(text string) []budget.Rate {
	var stored []rateJSON
	p.json("rates", text, &stored)
	var rates []budget.Rate
	for _, r := range stored {
		rates = append(rates, budget.Rate{From: instant(r.From), CostPerCredit: p.decimal("rates", r.CostPerCredit)})
	}
	return rates
}

func definitions(rows []definitionRow) ([]budget.Definition, error) {
	found := make([]budget.Definition, 0, len(rows))
	for i := range rows {
		d, err := rows[i].definition()
		if err != nil {
			return nil, fmt.Errorf("budget %q: %w", rows[i].ID, err)
		}
		found = append(found, d)
	}
	return found, nil
}

// termRow is a row of purser_budget_terms.
type termRow struct {
	bun.BaseModel `bun:"alias:t"`

	Term   string `bun:"term"`
	Budget string `bun:"budget"`
}

// terms returns what a budget with this scope and these labels, or a query for such ones, is found by. A name is written
// with its length, so that no two terms look alike.
func terms(scope budget.Scope, labels map[string]string) []string {
	var found []string
	for d, selector := range scope {
		value := "=" + string(selector)
		if selector == budget.Each {
			value = "*"
		}
		found = append(found, dimensionTerm(d)+value)
	}
	for name, value := range labels {
		found = append(found, fmt.Sprintf("label %d:%s=%s", len(name), name, value))
	}
	slices.Sort(found)
	return found
}

func dimensionTerm(d usage.Dimension) string { return fmt.Sprintf("scope %d:%s", len(d), d) }

// termsOf returns between which terms those are of budgets whose scope has a dimension: behind its name comes "*" or "=".
func termsOf(d usage.Dimension) (from, to string) { return dimensionTerm(d), dimensionTerm(d) + ">" }

type catalogRow struct {
	bun.BaseModel `bun:"alias:t"`

	Version       int64   `bun:"version"`
	ReportingZone string  `bun:"reporting_zone"`
	PruneFloor    int64   `bun:"prune_floor"`
	Shape         *string `bun:"shape"`
}

func (r *reader) Catalog(ctx context.Context) (budget.Catalog, error) {
	var rows []catalogRow
	b := r.bind()
	err := b.from("purser_catalog", &rows).
		ColumnExpr("version, reporting_zone, prune_floor, shape").
		Join("LEFT JOIN " + r.store.engine.Table("purser_shapes") + " AS s ON TRUE").
		Where("id = 1"). // which it has alone: else Postgres plans for a thousand rows, and compiles what joins those
		OrderExpr("shape").
		Scan(ctx)
	if err != nil {
		return budget.Catalog{}, r.step(ctx, err)
	}
	var c budget.Catalog
	for _, row := range rows {
		c.Version, c.ReportingZone, c.PruneFloor = row.Version, row.ReportingZone, instant(row.PruneFloor)
		if row.Shape != nil {
			c.Shapes = append(c.Shapes, budget.Shape(*row.Shape))
		}
	}
	return c, nil
}

func (r *reader) Definitions(ctx context.Context, keys []budget.ScopeKey) (map[budget.ScopeKey][]budget.Definition, error) {
	found := make(map[budget.ScopeKey][]budget.Definition)
	if len(keys) == 0 {
		return found, nil
	}
	tuples := make([][]any, len(keys))
	for i, key := range keys {
		tuples[i] = []any{string(key.Shape), key.Fixed}
	}
	var rows []definitionRow
	b := r.bind()
	q := b.from("purser_budgets", &rows).OrderExpr("id")
	if err := b.in(q, "scope_shape, scope_fixed", []Type{Text, Text}, tuples).Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	all, err := definitions(rows)
	for _, d := range all {
		key := d.Scope.Key()
		found[key] = append(found[key], d)
	}
	return found, r.step(ctx, err)
}

func (r *reader) Budgets(ctx context.Context, query budget.Query) ([]budget.Definition, error) {
	var rows []definitionRow
	b := r.bind()
	q := b.selecting(b.from("purser_budgets", &rows), query).
		OrderExpr("created_at DESC, id DESC").Limit(int64(query.Limit)).Offset(int64(query.Offset))
	if query.Offset > 0 && query.Limit == 0 {
		q.Limit(math.MaxInt64) // SQLite has no OFFSET without LIMIT
	}
	if after := query.After; after != nil {
		q.Where("(created_at, id) < (?, ?)", b.arg(micros(after.CreatedAt)), b.arg(after.ID))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found, err := definitions(rows)
	return found, r.step(ctx, err)
}

func (r *reader) CountBudgets(ctx context.Context, query budget.Query) (int, error) {
	var rows []struct{ Budgets int }
	b := r.bind()
	q := b.selecting(b.from("purser_budgets", &rows).ColumnExpr("count(*) AS budgets"), query)
	if err := q.Scan(ctx); err != nil {
		return 0, r.step(ctx, err)
	}
	return rows[0].Budgets, nil
}

// selecting restricts a query to the definitions that a [budget.Query] selects, its page left aside.
func (b *binding) selecting(q *bun.SelectQuery, query budget.Query) *bun.SelectQuery {
	b.among(q, "id", query.IDs)
	if query.Owner != nil {
		q.Where("owner = ?", b.arg(*query.Owner))
	}
	if query.Metric != "" {
		q.Where("metric = ?", b.arg(string(query.Metric)))
	}
	if query.Enabled != nil {
		q.Where("disabled = ?", b.arg(!*query.Enabled))
	}
	for _, term := range terms(query.Scope, query.Labels) {
		q.Where("id IN (SELECT budget FROM "+b.store.engine.Table("purser_budget_terms")+" WHERE term = ?)", b.arg(term))
	}
	for _, d := range query.Without {
		from, to := termsOf(d)
		q.Where("NOT EXISTS (SELECT 1 FROM "+b.store.engine.Table("purser_budget_terms")+" WHERE budget = t.id AND term BETWEEN ? AND ?)",
			b.arg(from), b.arg(to))
	}
	return q
}

// define writes what concerns the definitions.
func (t *tx) define(ctx context.Context, w budget.Writes) error {
	put := make([]string, len(w.PutBudgets))
	for i, d := range w.PutBudgets {
		put[i] = d.ID
	}
	replaced := slices.Concat(w.DeleteBudgets, put)
	return firstError(
		func() error {
			return t.remove(ctx, "purser_counters", "budget", slices.Concat(w.DropCounters, w.DeleteBudgets))
		},
		func() error { return t.remove(ctx, "purser_adjustments", "budget", w.DeleteBudgets) },
		func() error { return t.remove(ctx, "purser_budgets", "id", replaced) },
		func() error { return t.remove(ctx, "purser_budget_terms", "budget", replaced) },
		func() error { return t.putBudgets(ctx, w.PutBudgets) },
		func() error { return t.putTenants(ctx, w.PutTenants) },
		func() error { return t.putCatalog(ctx, w.Catalog) },
	)
}

func (t *tx) putBudgets(ctx context.Context, put []budget.Definition) error {
	var rows []definitionRow
	var found []termRow
	shapes := make(map[budget.Shape]bool)
	for _, d := range put {
		row, err := newDefinitionRow(d)
		if err != nil {
			return err
		}
		rows = append(rows, row)
		for _, term := range terms(d.Scope, d.Labels) {
			found = append(found, termRow{Term: term, Budget: d.ID})
		}
		shapes[d.Scope.Shape()] = true
	}
	return firstError(
		func() error { return insert(ctx, t, "purser_budgets", rows, "") },
		func() error { return insert(ctx, t, "purser_budget_terms", found, "") },
		func() error { return t.putShapes(ctx, slices.Sorted(maps.Keys(shapes))) },
	)
}

type shapeRow struct {
	bun.BaseModel `bun:"alias:t"`

	Shape string `bun:"shape"`
}

func (t *tx) putShapes(ctx context.Context, shapes []budget.Shape) error {
	rows := make([]shapeRow, len(shapes))
	for i, shape := range shapes {
		rows[i].Shape = string(shape)
	}
	return insert(ctx, t, "purser_shapes", rows, "CONFLICT (shape) DO NOTHING")
}

func (t *tx) putCatalog(ctx context.Context, c *budget.Catalog) error {
	if c == nil {
		return nil
	}
	_, err := t.store.bun.NewUpdate().Conn(t.bind()).
		TableExpr(t.store.engine.Table("purser_catalog")).
		Set("version = ?", c.Version).
		Set("reporting_zone = ?", c.ReportingZone).
		Set("prune_floor = ?", micros(c.PruneFloor)).
		Where("id = 1").
		Exec(ctx)
	return err
}
