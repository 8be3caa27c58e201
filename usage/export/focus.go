package export

import (
	"cmp"
	"encoding/json"
	"io"
	"time"

	"github.com/purser-go/purser/usage"
)

// FOCUSOptions says what a FOCUS file tells beside the lines. A nil *FOCUSOptions means all defaults.
type FOCUSOptions struct {
	Provider string         // who provides and invoices the service. Defaults to "Purser"
	Account  string         // the billing account, of which the tenants are sub accounts. Defaults to Provider
	Service  string         // the name of the service. Defaults to "Model usage"
	Zone     *time.Location // an IANA zone, whose months are the billing periods. Defaults to UTC
}

// FOCUS writes lines as CSV with columns of FOCUS 1.3. It has the shape of FOCUS and does not claim to conform: columns
// of what Purser does not know, such as prices per unit, are left out, and its own begin with x_. Tenants are sub accounts,
// users and API keys are tags, and every kind of cost is the cost that was recorded.
//
// A line is one charge, its time the charge period: export months or shorter, for a charge lies in the billing period in
// which it begins. Instants are cut to the second.
func FOCUS(w io.Writer, lines Lines, o *FOCUSOptions) error {
	var options FOCUSOptions
	if o != nil {
		options = *o
	}
	return write(w, lines, options.columns())
}

func (o FOCUSOptions) columns() []column {
	provider := cmp.Or(o.Provider, "Purser")
	account := cmp.Or(o.Account, provider)
	return []column{
		always("BillingAccountId", safe(account)),
		always("BillingAccountName", safe(account)),
		always("BillingCurrency", "USD"),
		{"BillingPeriodStart", func(l *usage.Line) string { return second(usage.Month.Bounds(l.Start, o.Zone).Start) }},
		{"BillingPeriodEnd", func(l *usage.Line) string { return second(usage.Month.Bounds(l.Start, o.Zone).End) }},
		{"ChargePeriodStart", func(l *usage.Line) string { return second(l.Start) }},
		{"ChargePeriodEnd", func(l *usage.Line) string { return second(l.End) }},
		always("ChargeCategory", "Usage"),
		always("ChargeClass", ""), // nothing of a closed billing period is corrected: its lines are what stands now
		always("ChargeDescription", "Metered usage"),
		always("ChargeFrequency", "Usage-Based"),
		{"BilledCost", cost},
		{"EffectiveCost", cost},
		{"ListCost", cost},
		{"ContractedCost", cost},
		{"ConsumedQuantity", func(l *usage.Line) string { n, _ := consumed(l); return count(n) }},
		{"ConsumedUnit", func(l *usage.Line) string { _, unit := consumed(l); return unit }},
		always("InvoiceIssuerName", safe(provider)),
		always("ServiceProviderName", safe(provider)),
		always("ServiceCategory", "AI and Machine Learning"),
		always("ServiceSubcategory", "Generative AI"),
		always("ServiceName", safe(cmp.Or(o.Service, "Model usage"))),
		{"ResourceId", func(l *usage.Line) string { return safe(l.Resource) }},
		{"ResourceName", func(l *usage.Line) string { return safe(l.Resource) }},
		{"SubAccountId", func(l *usage.Line) string { return safe(l.Tenant) }},
		{"SubAccountName", func(l *usage.Line) string { return safe(l.Tenant) }},
		{"Tags", tags},
		{"x_InputTokens", func(l *usage.Line) string { return count(l.InputTokens) }},
		{"x_OutputTokens", func(l *usage.Line) string { return count(l.OutputTokens) }},
		{"x_CacheCreationTokens", func(l *usage.Line) string { return count(l.CacheCreationTokens) }},
		{"x_CacheReadTokens", func(l *usage.Line) string { return count(l.CacheReadTokens) }},
		{"x_Requests", func(l *usage.Line) string { return count(l.Requests) }},
		{"x_Runs", func(l *usage.Line) string { return count(l.Runs) }},
	}
}

func always(name, value string) column {
	return column{name, func(*usage.Line) string { return value }}
}

func second(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// consumed returns the quantity that says most: tokens where there are any.
func consumed(l *usage.Line) (n int64, unit string) {
	if l.TotalTokens != 0 {
		return l.TotalTokens, "Tokens"
	}
	return l.Requests, "Requests"
}

// tags returns an object of what FOCUS has no columns for. It begins with a brace, so that no spreadsheet calculates it.
func tags(l *usage.Line) string {
	found := make(map[string]string)
	for _, d := range []usage.Dimension{usage.User, usage.APIKey} {
		if value := l.Value(d); value != "" {
			found[string(d)] = value
		}
	}
	text, _ := json.Marshal(found) // no map of strings makes it fail
	return string(text)
}
