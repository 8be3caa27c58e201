package ledgertest

import (
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A model knows what was sent and computes every figure from that alone, from scratch each time. It shares with the
// ledger only the periods, which have a second implementation of their own to be compared with.
type model struct {
	events       []*modelEvent
	budgets      map[string]*modelBudget
	reservations map[budget.ReservationKey]*modelReservation
	floor        time.Time
	hour         int // by the store's clock
}

type modelEvent struct {
	event  usage.Event // with all defaults and its time
	totals usage.Totals
	taken  usage.Totals // by corrections
}

type modelBudget struct {
	budget      budget.Budget
	countedFrom time.Time
	rates       []budget.Rate
	adjustments []modelAdjustment
	refusals    map[counterName]refusals
}

type modelAdjustment struct {
	metric usage.Metric
	value  budget.Value
	amount decimal.Decimal
	time   time.Time
}

func newModel() *model {
	return &model{budgets: make(map[string]*modelBudget), reservations: make(map[budget.ReservationKey]*modelReservation)}
}

// left is what is left of the event after its corrections.
func (e *modelEvent) left() usage.Totals {
	left, err := e.totals.Sub(e.taken)
	if err != nil {
		panic(err)
	}
	return left
}

// value says which counter of the budget the event belongs to, and whether to any.
func (b *modelBudget) value(e *modelEvent) (budget.Value, bool) {
	at := e.event.Time
	if !b.budget.StartsAt.IsZero() && at.Before(b.budget.StartsAt) || !b.budget.EndsAt.IsZero() && !at.Before(b.budget.EndsAt) {
		return nil, false
	}
	var value budget.Value
	for d, want := range b.budget.Scope {
		got := map[usage.Dimension]string{
			"tenant": e.event.Tenant, "user": e.event.User, "api_key": e.event.APIKey, "resource": e.event.Resource,
		}[d]
		if d.IsLabel() {
			got = e.event.Labels[string(d)]
		}
		if got == "" || want != budget.Each && got != string(want) {
			return nil, false
		}
		if want == budget.Each {
			if slices.Contains(b.budget.Except[d], got) {
				return nil, false
			}
			if value == nil {
				value = budget.Value{}
			}
			value[d] = got
		}
	}
	return value, true
}

// amount is what the event adds to the budget.
func (b *modelBudget) amount(e *modelEvent) decimal.Decimal {
	left := e.left()
	switch b.budget.Metric {
	case usage.Tokens:
		return decimal.NewFromInt(left.TotalTokens)
	case usage.InputTokens:
		return decimal.NewFromInt(left.InputTokens)
	case usage.OutputTokens:
		return decimal.NewFromInt(left.OutputTokens)
	case usage.Requests:
		return decimal.NewFromInt(left.Requests)
	case usage.Dollars:
		return left.Cost()
	}
	rate := decimal.Zero
	for _, r := range b.rates {
		if !r.From.After(e.event.Time) {
			rate = r.CostPerCredit
		}
	}
	if rate.IsZero() {
		return decimal.Zero
	}
	// The event is rounded once, as it stands now: floor(cost / rate × 10^6 + 1/2), in rational numbers.
	credits := new(big.Rat).Quo(left.Cost().Rat(), rate.Rat())
	credits.Mul(credits, big.NewRat(1_000_000, 1)).Add(credits, big.NewRat(1, 2))
	return decimal.NewFromBigInt(new(big.Int).Div(credits.Num(), credits.Denom()), -6)
}

// used computes the counters of a budget in a period, by value.
func (m *model) used(b *modelBudget, p period.Bounds) (recorded, adjusted map[string]decimal.Decimal) {
	recorded, adjusted = make(map[string]decimal.Decimal), make(map[string]decimal.Decimal)
	for _, e := range m.events {
		if value, ok := b.value(e); ok && p.Contains(e.event.Time) {
			recorded[value.Key()] = recorded[value.Key()].Add(b.amount(e))
		}
	}
	if p.Start.Before(b.countedFrom) {
		return recorded, adjusted
	}
	var each []usage.Dimension
	for d, want := range b.budget.Scope {
		if want == budget.Each {
			each = append(each, d)
		}
	}
	slices.Sort(each)
	for _, a := range b.adjustments {
		fits := a.metric == b.budget.Metric && slices.Equal(slices.Sorted(maps.Keys(a.value)), each)
		if fits && p.Contains(a.time) && !a.time.Before(b.countedFrom) {
			adjusted[a.value.Key()] = adjusted[a.value.Key()].Add(a.amount)
		}
	}
	return recorded, adjusted
}

// newRate is the instant from which a new rate holds.
func (m *model) newRate(b *modelBudget, now time.Time) time.Time {
	from := now
	for _, e := range m.events {
		if _, ok := b.value(e); ok && !e.event.Time.Before(from) {
			from = e.event.Time.Add(time.Microsecond)
		}
	}
	return from
}
