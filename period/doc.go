// Package period says which window of time an instant falls in: the clock hour, the day, the month of a time zone, or
// every N seconds, minutes, hours or days from an anchor.
//
// A [Schedule] is the rule, a [Bounds] one window that it makes. Bounds are computed from a schedule and an instant
// alone. Nothing is stored or counted on, so there is nothing to reset, and whoever asks after a pause of years gets
// the right answer.
//
// # Boundaries
//
// Bounds are half-open, [Start, End), and in UTC. The periods of a schedule tile: each instant is in exactly one of
// them, and each ends where the next one starts.
//
// Days, weeks, months, quarters and years are civil. A period starts at the first instant at which a clock in the
// schedule's zone shows its first date, or a later one:
//   - a day has 23, 24 or 25 hours, or whatever its zone makes of it;
//   - where midnight is skipped, the day starts at the instant of the jump;
//   - where midnight happens twice, the day starts at the first of the two, and what is repeated of the old day is
//     part of the new one;
//   - a date that a zone leaves out, as Samoa did with 30 December 2011, is no period: its neighbours adjoin.
//
// A start on day 29, 30 or 31 means the last day of a month that is shorter, and comes back in the next one that is
// not: 31 January, 28 February, 31 March. A year that starts on 29 February does likewise.
//
// Hours start where the clock in the zone reads hh:00, and where it is set forward over hh:00. An hour that is repeated
// when the clock is set back is a period of its own. Where a zone shifts by half an hour, as Lord Howe Island does, the
// day of the shift has one hour of 30 minutes or one of 90.
//
// Every N seconds, minutes or hours are exact durations, counted from the anchor in both directions; every N days are
// civil days of the zone, counted from the anchor's date.
//
// Instants may have any precision. They are meant to lie in the years 1980 to 2199; all others from the year 1 to 9998
// have periods too, by what the time zone database knows about them. Beyond those there are none: the answer is the
// zero Bounds, which contains nothing.
//
// # Time zones
//
// Zones are named as in the IANA time zone database, which comes from [time.LoadLocation]. This package does not import
// time/tzdata: a program that may run where no database is installed does that itself.
package period
