package load_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/load"
	"github.com/purser-go/purser/usage"
)

func TestAPlansRequestsAreCoveredByAllBudgets(t *testing.T) {
	tests := map[string]struct {
		budgets []budget.Budget
		want    usage.Subject
	}{
		"of nothing in particular": {
			[]budget.Budget{{}}, usage.Subject{},
		},
		"with the values that scopes name": {
			[]budget.Budget{{Scope: budget.Scope{"tenant": "acme", "plan": "gold"}}, {Scope: budget.Scope{"user": "ada", "tenant": "acme"}}},
			usage.Subject{Tenant: "acme", User: "ada", Labels: map[string]string{"plan": "gold"}},
		},
		"with a value for each": {
			[]budget.Budget{{Scope: budget.Scope{"user": budget.Each, "plan": budget.Each, "api_key": budget.Each}}},
			usage.Subject{User: "load", APIKey: "load", Labels: map[string]string{"plan": "load"}},
		},
		"with the value that another names for each": {
			[]budget.Budget{{Scope: budget.Scope{"user": budget.Each}}, {Scope: budget.Scope{"user": "ada"}}},
			usage.Subject{User: "ada"},
		},
		"with no value that is left out": {
			[]budget.Budget{
				{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"load", "ada"}}},
				{Scope: budget.Scope{"user": budget.Each}, Except: budget.Except{"user": {"load-2"}}},
			},
			usage.Subject{User: "load-3"},
		},
		"of a resource that all allow": {
			[]budget.Budget{{AllowedResources: []string{"small", "large"}}, {}, {AllowedResources: []string{"large", "tiny"}}},
			usage.Subject{Resource: "large"},
		},
		"of the resource that a scope names": {
			[]budget.Budget{{AllowedResources: []string{"small", "large"}, Scope: budget.Scope{"resource": "large"}}},
			usage.Subject{Resource: "large"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range test.budgets {
				test.budgets[i].Metric = usage.Requests
			}
			p, err := load.NewPlan(test.budgets, decimal.NewFromInt(1))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, p.Subject); diff != "" {
				t.Errorf("subject (-want +got)\n%s", diff)
			}
			for _, b := range test.budgets {
				if _, covered := b.Scope.Match(p.Subject); !covered {
					t.Errorf("scope %v does not cover it", b.Scope)
				}
			}
		})
	}
}

func TestAPlanAsksForTheAmountInEveryMetric(t *testing.T) {
	credits := func(rate string) budget.Budget {
		return budget.Budget{Metric: usage.Credits, CostPerCredit: decimal.RequireFromString(rate)}
	}
	tests := map[string]struct {
		budgets []budget.Budget
		amount  string
		want    usage.Totals
	}{
		"tokens":             {[]budget.Budget{{Metric: usage.Tokens}}, "30", usage.Totals{TotalTokens: 30, Requests: 1}},
		"tokens by class":    {[]budget.Budget{{Metric: usage.InputTokens}, {Metric: usage.OutputTokens}}, "30", usage.Totals{InputTokens: 30, OutputTokens: 30, TotalTokens: 60, Requests: 1}},
		"tokens in and all":  {[]budget.Budget{{Metric: usage.InputTokens}, {Metric: usage.Tokens}}, "30", usage.Totals{InputTokens: 30, TotalTokens: 30, Requests: 1}},
		"dollars":            {[]budget.Budget{{Metric: usage.Dollars}}, "0.000000001", usage.Totals{Nanodollars: 1, Requests: 1}},
		"credits":            {[]budget.Budget{credits("0.02")}, "2.5", usage.Totals{Nanodollars: 50_000_000, Requests: 1}},
		"requests":           {[]budget.Budget{{Metric: usage.Requests}, {Metric: usage.Requests}}, "3", usage.Totals{Requests: 3}},
		"beside others, one": {[]budget.Budget{{Metric: usage.Requests}, {Metric: usage.Tokens}}, "30", usage.Totals{TotalTokens: 30, Requests: 1}},
		"rounded up, beside": {[]budget.Budget{{Metric: usage.Dollars}, {Metric: usage.Tokens}}, "2.01", usage.Totals{Nanodollars: 2_010_000_000, TotalTokens: 3, Requests: 1}},
		"dollars and tokens": {[]budget.Budget{{Metric: usage.Dollars}, {Metric: usage.Tokens}}, "2", usage.Totals{Nanodollars: 2e9, TotalTokens: 2, Requests: 1}},
		"equal costs":        {[]budget.Budget{{Metric: usage.Dollars}, credits("1")}, "2", usage.Totals{Nanodollars: 2e9, Requests: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := load.NewPlan(test.budgets, decimal.RequireFromString(test.amount))
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Estimate.Totals()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("estimate (-want +got)\n%s", diff)
			}
		})
	}
}

func TestAPlanThatCantBeIsRefused(t *testing.T) {
	tests := map[string]struct {
		budgets []budget.Budget
		amount  string
		want    string
	}{
		"two tenants": {
			[]budget.Budget{{Scope: budget.Scope{"tenant": "acme"}, Metric: usage.Requests}, {Scope: budget.Scope{"tenant": "globex"}, Metric: usage.Requests}},
			"1",
			"budget: no request is covered by all of them: tenant can't be both acme and globex",
		},
		"half a token":          {[]budget.Budget{{Metric: usage.Tokens}}, "0.5", "amount: must be a whole number, as an amount of tokens"},
		"half a request":        {[]budget.Budget{{Metric: usage.Requests}}, "0.5", "amount: must be a whole number, as an amount of requests"},
		"no request":            {[]budget.Budget{{Metric: usage.Requests}}, "0", "amount: must be above 0"},
		"half a token, first":   {[]budget.Budget{{Metric: usage.Tokens}, {Metric: usage.Dollars}}, "0.5", "amount: must be a whole number, as an amount of tokens"},
		"nothing":               {[]budget.Budget{{Metric: usage.Dollars}}, "0", "amount: must be above 0"},
		"less than nothing":     {[]budget.Budget{{Metric: usage.Dollars}}, "-1", "amount: must be above 0"},
		"too fine a cost":       {[]budget.Budget{{Metric: usage.Credits, CostPerCredit: decimal.RequireFromString("0.00001")}}, "0.00001", "amount: costs 0.0000000001 dollars, which has more than 9 decimal places"},
		"no cost per credit":    {[]budget.Budget{{Name: "C", Metric: usage.Credits}}, "1", `budget: "C" has no cost per credit: nothing can be used of it`},
		"two costs":             {[]budget.Budget{{Metric: usage.Dollars}, {Metric: usage.Credits, CostPerCredit: decimal.RequireFromString("0.1")}}, "1", "budget: the same amount of each of them would cost both 1 and 0.1 dollars"},
		"half of what is legal": {[]budget.Budget{{Metric: usage.Dollars}}, "500001", "amount: is so much that twice as much would be no event"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load.NewPlan(test.budgets, decimal.RequireFromString(test.amount))
			if !errors.Is(err, budget.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want ErrInvalid and %q", err, test.want)
			}
		})
	}
}
