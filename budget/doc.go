// Package budget counts usage against budgets, each event once, admits what they have room for, and says how every budget
// stands.
//
// # What counts
//
// A [Budget] is a limit on one metric, for a [Scope], per period. The scope says whose usage it covers: a dimension with a
// value covers that value, a dimension with [Each] covers every value and counts each in a counter of its own. A [Value]
// names one of these counters. Periods come from the budget's schedule and the event's time, so that an event which comes
// late counts in the period in which it happened, also if that is over. Between StartsAt and EndsAt a budget counts, outside
// of them nothing is its.
//
// A [Ledger] records events and counts them against every budget that covers them. It keeps three things together, in one
// transaction: the events, the counters, and sums of usage by the quarter hour, day and month, from which histories and
// groupings are read at the same cost however many events there are. [Ledger.Verify] computes all of it from the events,
// [Ledger.Rebuild] mends what differs, [Ledger.Prune] deletes old events and leaves every figure as it is.
//
// A counter has two figures: what events recorded, and what [Ledger.Adjust] added or took away. [Status].Used is their
// sum. A wrong event is never changed: [Ledger.Correct] takes back a part of it, or all. [Ledger.Event] and [Ledger.Events]
// tell what was recorded, and what priced it.
//
// # Tenants and reports
//
// A [Tenant] is an organization of which usage carries the id. The directory gives it a name, and [License] values, of which
// the newest that is active counts: credits, money, or both, counted by budgets that follow the license.
//
// [Ledger.Overview], [Ledger.Months], [Ledger.CurrentMonth], [Ledger.Groups] and [Ledger.Top] read sums of usage. They are
// exact in every zone, whose days and months begin at a quarter hour of UTC, take as long with many events as with few in
// the same buckets, and stay as they are when events are pruned. Package usage/export writes their lines for other programs.
//
// # Admission
//
// [Ledger.Reserve] asks every enabled budget that covers a [Request], and holds the estimate in all of them if every [Hard]
// one has room, or nothing at all. There is room while used + reserved + what is asked for is at most the limit, and
// used + reserved is below it: an exact fit is admitted, and where nothing is left nothing starts. [Reservation.Settle]
// records what was used, also if that is more, and gives back what was held, in one transaction; the event has the
// reservation's id and time, so that it counts once, and in the period in which it was admitted. [Ledger.Do] does all of it
// around a function, [Ledger.Check] only asks.
//
// A reservation is a row, known to every process by its [ReservationKey]. It expires by the store's clock: the server's on
// Postgres, the host's on SQLite. From then on its room is anybody's, and settling it is recorded as late. [Status] shows
// how many expired without having been settled. A reservation stays on the counters of the period in which it was admitted;
// the next period begins with nothing reserved.
//
// What an estimate does not say is unknown, which is not zero: see [Request]. It is held as the budget's MinHold, and
// refused by hard budgets without one. [Soft] and [Observe] budgets hold too and refuse nothing.
//
// With [LeaseOptions] requests are admitted from memory, out of room that the process holds at the store.
//
// # Once
//
// An event's ID, chosen by the caller and unique per tenant, makes it count once. Sending it again, after an error, a
// restart or from another process, answers [Duplicate] and counts nothing; another content under the same id answers
// [Conflict] and changes nothing. So whoever does not know what became of an event sends it again. That is the remedy for
// [ErrOutcomeUnknown] too. Corrections and adjustments have ids of the same kind. For a program's own requests,
// [Ledger.ClaimKey] keeps which one an idempotency key stands for.
//
// # Exactly
//
// Amounts are integers in the unit of their metric's scale: tokens and requests as they are, US dollars in 1e-9, credits in
// 1e-6. At the edges they are decimals, never floats. A cost is rounded once, when it comes in; credits are rounded half up,
// per event. A sum that would not fit is [ErrOverflow], it does not wrap. Levels compare products of decimals and so have no
// rounding; percentages are cut after nine places, and never claim a level that was not reached.
//
// Where [Options] has Prices, what comes without a cost is priced once, when it is recorded or settled, at the prices of its
// time. The cost is kept with the event, beside what it was computed by: a new price changes nothing that is recorded, and
// what is recorded needs no price to be sent again.
//
// Instants are cut to the microsecond, in UTC, in the years 1980 to 2199. Periods, spans and windows are half-open: their
// start belongs to them, their end does not.
//
// # Alerts
//
// A budget that reaches a threshold of its limit makes an alert in the transaction that recorded the usage: one per
// counter, period and threshold, in however many processes. Of thresholds that are crossed together the highest counts. What
// falls below again is resolved, and alerts anew when it rises. The first request of a period that is refused alerts too, and,
// once per counter and period, what [Ledger.Run] finds to be projected to pass its limit. Disabled budgets and those that only
// [Observe] are silent, and so is a ledger [Ledger.WithoutAlerts].
//
// Run delivers alerts where Options.Alerts says so, as package alert describes; so does an alert.Dispatcher on
// [Ledger.Outbox]. [Ledger.Deliveries] tells what became of them, [Ledger.Resend] begins anew.
//
// # Audit
//
// Whoever changes a budget, an amount or the directory leaves an entry in the audit, in the transaction of the change:
// [Ledger.By] says who it was, [Ledger.Annotated] what else there is to say. [Ledger.Note] adds what a program audits
// beyond that, such as who has read what.
//
// # At the same time
//
// All methods of a Ledger may be called at the same time, also in many processes on one store. Calls that record at the
// same time share a transaction: the first flushes for those who came while it was waiting, then hands on. No goroutine
// runs in the background but those of [Ledger.Run], there is no timer, and each call returns after its own commit. Requests
// in one transaction are judged in the order in which they came. A caller whose context ends before
// its turn leaves nothing behind; one whose context ends later gets ErrOutcomeUnknown, because the work is done for others
// too.
//
// Changes of budgets wait for those who record and keep them waiting, for as long as it takes to count the running period
// anew: from sums of usage, or, for budgets on credits or with labels in their scope, from the period's events. Where the
// period holds a million events, sums took about 20 ms, reading the events 2 to 8 seconds (docs/benchmarks.md). Recorders who
// wait for longer than [Options].FlushTimeout get an error and send again.
//
// [Ledger.WithStore] takes part in a transaction of the caller's, so that usage is recorded if, and only if, the rest of the
// work commits.
//
// # Errors
//
// What a caller can act on is a sentinel for [errors.Is]: [ErrInvalid], [ErrConflict], [ErrNotFound], [ErrPruned],
// [ErrOverflow], [ErrNoPrice], [ErrExceeded], [ErrResourceNotAllowed], [ErrEstimateRequired], [ErrClosed], [ErrOutcomeUnknown],
// [ErrUnavailable]. [FieldErrors] lists which fields of an input were refused, and why,
// all of them at once. After any of these but ErrOutcomeUnknown nothing was recorded or held.
//
// # Stores
//
// [Store] and [Tx] are interfaces whose comments are their contract. Packages pgstore, sqlitestore and memstore have one
// each, package store opens one by its URL, and package storetest tests any.
package budget
