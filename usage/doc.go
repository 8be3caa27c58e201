// Package usage says what was used, by whom, and how uses are counted, bucketed and summed.
//
// Everything here is a function of values: no clock, no context, no database.
//
// # Units
//
// An amount is an integer number of its metric's units: tokens, requests and runs as they are, US dollars in 1e-9, credits
// in 1e-6. Sums are int64 and exact; one that does not fit is [ErrOverflow], it never wraps. A [decimal.Decimal] appears
// only where people write or read an amount, and in JSON every amount is a number literal with its exact text. The one
// currency is the US dollar.
//
// # Instants
//
// Instants count to the microsecond and are accepted from 1980 to 2199. Intervals are half-open, so that a use at the very
// end of a bucket belongs to the next one. Buckets are of a time zone: a day has 23 or 25 hours where its clocks change.
//
// # Projections
//
// [Pace.Project] says where what is used will stand when a period ends, with a range and the instant at which a limit is
// passed. A projection is an estimate: it may come from floating point, and is stored nowhere.
//
// # Bad input
//
// What a caller hands in has a Validate method that returns all its findings at once, joined, each a [*FieldError] that
// names its field as in JSON. The other functions expect valid values.
package usage
