// Package price says what usage costs, by lists of prices.
//
// A [List] has the models of providers, and for each what a million tokens of a [Class] cost in US dollars: from which
// instant on, at which hours of the day, above which length of the prompt, in which service tier. [ReadGenAI] and
// [ReadLiteLLM] read the two lists that are kept in public, [ReadCSV] reads a file of one's own, [New] takes Go values,
// [Merge] puts one list before another, and [List.WithDefault] says what all else costs. A List is a Pricer of package
// budget: a ledger with it computes the cost of what comes without one.
//
// # Exactly
//
// A price is a decimal, read from its text: no float comes in between. Tokens times price is exact, and so is the sum. It
// is rounded once, half up to 1e-9 dollars, where a cost becomes an amount of an event.
//
// # Which price
//
// Of a provider's models the first counts that the name matches, whatever its case. Where no provider is named, the price
// is that of the provider that makes the model, or of the one named before the first slash of the model's name, or that
// which holds whoever sells it, or of the only one that lists it; where several sell a model that none of them makes, one
// must be named. Names are looked up once and then remembered.
//
// Of a model's prices the last counts that is in force at the instant: From belongs to it. Of its steps the highest counts
// that the prompt passes: cached or not, all of it, and more tokens than the step says. What passes a step is priced by it
// as a whole.
//
// A class without a price of its own costs what the broader one costs: cached tokens as much as others, an hour in the cache
// as much as minutes. Where that has no price either, there is none: [ErrNoPrice]. Nothing is free by accident, only what
// a list says costs 0.
package price
