package load

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A Plan is what each process does.
type Plan struct {
	Subject  usage.Subject `json:"subject"`  // for which every request is
	Estimate usage.Amounts `json:"estimate"` // of every request
	Over     int           `json:"over"`     // of 100 settlements, so many that are above the estimate, by up to 100 percent of it
	Lease    bool          `json:"lease"`    // each process admits from what it has leased
	Workers  int           `json:"workers"`  // requests at once
	Duration time.Duration `json:"duration"`
}

// NewPlan returns a plan for requests that all these budgets cover and that ask each for so much of its metric, see [Asked].
// It has a worker and no time yet. The error is a [budget.FieldError] of budget or amount.
func NewPlan(budgets []budget.Budget, amount decimal.Decimal) (Plan, error) {
	subject, err := subjectOf(budgets)
	if err != nil {
		return Plan{}, err
	}
	estimate, err := estimateOf(budgets, amount)
	if err != nil {
		return Plan{}, err
	}
	return Plan{Subject: subject, Estimate: estimate, Workers: 1}, nil
}

// Asked returns how much each request of such a plan asks of the i-th budget. Beside other metrics a request is one. What
// comes in whole numbers is rounded up, but not of the first budget.
func Asked(budgets []budget.Budget, i int, amount decimal.Decimal) decimal.Decimal {
	others := func(b budget.Budget) bool { return b.Metric != usage.Requests }
	switch m := budgets[i].Metric; {
	case m == usage.Requests && slices.ContainsFunc(budgets, others):
		return decimal.NewFromInt(1)
	case i > 0 && m.Scale() == 0:
		return amount.Ceil()
	default:
		return amount
	}
}

func invalidBudget(format string, args ...any) error {
	return &budget.FieldError{Field: "budget", Message: fmt.Sprintf(format, args...)}
}

func invalidAmount(format string, args ...any) error {
	return &budget.FieldError{Field: "amount", Message: fmt.Sprintf(format, args...)}
}

// subjectOf returns a subject with the values that the scopes name, and for each dimension that a scope has as Each a value
// that no budget leaves out of it. Where budgets allow certain resources only, it is of one that all of them allow.
func subjectOf(budgets []budget.Budget) (usage.Subject, error) {
	values := make(map[usage.Dimension]string)
	each := make(map[usage.Dimension]bool)
	for _, b := range budgets {
		for _, d := range slices.Sorted(maps.Keys(b.Scope)) {
			switch selector := b.Scope[d]; {
			case selector == budget.Each:
				each[d] = true
			case values[d] == "":
				values[d] = string(selector)
			case values[d] != string(selector):
				return usage.Subject{}, invalidBudget("no request is covered by all of them: %s can't be both %s and %s", d, values[d], selector)
			}
		}
	}
	if values[usage.Resource] == "" {
		values[usage.Resource] = allowed(budgets)
	}
	for d := range each {
		if values[d] == "" {
			values[d] = unexcepted(budgets, d)
		}
	}
	return subjectWith(values), nil
}

// allowed returns a resource that all budgets allow, "" where none says which it does or no resource would do.
func allowed(budgets []budget.Budget) string {
	for _, b := range budgets {
		for _, resource := range b.AllowedResources {
			if !slices.ContainsFunc(budgets, func(o budget.Budget) bool {
				return len(o.AllowedResources) > 0 && !slices.Contains(o.AllowedResources, resource)
			}) {
				return resource
			}
		}
	}
	return ""
}

func unexcepted(budgets []budget.Budget, d usage.Dimension) string {
	value := "load"
	for n := 2; slices.ContainsFunc(budgets, func(b budget.Budget) bool { return slices.Contains(b.Except[d], value) }); n++ {
		value = "load-" + strconv.Itoa(n)
	}
	return value
}

func subjectWith(values map[usage.Dimension]string) usage.Subject {
	s := usage.Subject{
		Tenant: values[usage.Tenant], User: values[usage.User], APIKey: values[usage.APIKey], Resource: values[usage.Resource],
	}
	for d, value := range values {
		if d.IsLabel() {
			if s.Labels == nil {
				s.Labels = make(map[string]string)
			}
			s.Labels[string(d)] = value
		}
	}
	return s
}

// estimateOf returns amounts that are so much in the metric of every budget, and one request. Credits are the cost that
// they stand for. All of it is known: other budgets that cover the requests never miss an estimate.
func estimateOf(budgets []budget.Budget, amount decimal.Decimal) (usage.Amounts, error) {
	if !amount.IsPositive() {
		return usage.Amounts{}, invalidAmount("must be above 0")
	}
	t := usage.Totals{Requests: 1}
	for i, b := range budgets {
		if err := addEstimate(&t, b, Asked(budgets, i, amount)); err != nil {
			return usage.Amounts{}, err
		}
	}
	if t.TotalTokens == 0 {
		t.TotalTokens = t.InputTokens + t.OutputTokens
	}
	if err := amountsOf(over(t, 1000)).Validate(); err != nil {
		return usage.Amounts{}, invalidAmount("is so much that twice as much would be no event")
	}
	return amountsOf(t), nil
}

func addEstimate(t *usage.Totals, b budget.Budget, amount decimal.Decimal) error {
	units, err := b.Metric.Units(amount)
	if err != nil {
		return invalidAmount("%v, as an amount of %s", err, b.Metric)
	}
	switch b.Metric {
	case usage.Requests:
		t.Requests = units
	case usage.Tokens:
		t.TotalTokens = units
	case usage.InputTokens:
		t.InputTokens = units
	case usage.OutputTokens:
		t.OutputTokens = units
	case usage.Dollars:
		return addCost(t, amount)
	case usage.Credits:
		if !b.CostPerCredit.IsPositive() {
			return invalidBudget("%q has no cost per credit: nothing can be used of it", b.Name)
		}
		return addCost(t, amount.Mul(b.CostPerCredit))
	}
	return nil
}

func addCost(t *usage.Totals, cost decimal.Decimal) error {
	units, err := usage.Dollars.Units(cost)
	switch {
	case err != nil:
		return invalidAmount("costs %s dollars, which %v", cost, err)
	case t.Nanodollars != 0 && t.Nanodollars != units:
		return invalidBudget("the same amount of each of them would cost both %s and %s dollars", t.Cost(), cost)
	}
	t.Nanodollars = units
	return nil
}

func amountsOf(t usage.Totals) usage.Amounts {
	return usage.Amounts{
		InputTokens: t.InputTokens, OutputTokens: t.OutputTokens, TotalTokens: &t.TotalTokens,
		Requests: &t.Requests, Cost: new(t.Cost()),
	}
}

// actual returns what a request turns out to have used: the estimate, or for so many percent of them, at random, from 0.1 to
// 100 percent more.
func (p Plan) actual(estimate usage.Totals) usage.Amounts {
	if rand.IntN(100) >= p.Over {
		return amountsOf(estimate)
	}
	return amountsOf(over(estimate, 1+rand.Int64N(1000)))
}

// over returns so many thousandths more than t, and at least one unit more of each amount.
func over(t usage.Totals, thousandths int64) usage.Totals {
	for _, n := range []*int64{&t.InputTokens, &t.OutputTokens, &t.TotalTokens, &t.Requests, &t.Nanodollars} {
		if *n > 0 {
			*n += max(1, *n*thousandths/1000)
		}
	}
	return t
}
