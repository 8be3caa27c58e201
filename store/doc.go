// Package store opens a store by a URL: [Open] brings the driver, makes the tables and has all settings right.
//
//	s, err := store.Open(ctx, "sqlite:budgets.db", nil)
//	…
//	defer s.Close()
//	ledger := budget.NewLedger(s, nil)
//
// # Which one to pick
//
//   - SQLite (sqlite:budgets.db), for all processes of one machine. Nothing to install. One transaction writes at a time;
//     the ledger puts many calls into each.
//   - Postgres (postgres://user@host/database), for processes on many machines, also through PgBouncer in transaction
//     mode with default_query_exec_mode=exec in the URL.
//   - Package [github.com/purser-go/purser/store/memstore], for tests: it forgets everything.
//
// A program that has a *sql.DB already, or wants budgets to change in its own transactions, calls package
// [github.com/purser-go/purser/store/pgstore] or [github.com/purser-go/purser/store/sqlitestore] instead, and leaves this
// one's drivers out of its build.
//
// # What each promises
//
// An Update that returned nil survives the process and, if the disk and the operating system keep their word, the
// machine: SQLite is told to flush each commit, and a Postgres that is told not to (synchronous_commit=off) is refused.
// A SQLite file that may only be read can be opened and viewed, if its directory may be written; an Update is
// [budget.ErrUnavailable].
//
// While a database is away, full or may only be read, an Update is [budget.ErrUnavailable], or [budget.ErrOutcomeUnknown] if
// it got no answer to its COMMIT, and the same Store goes on once the database is back. So it does with a SQLite file that
// was deleted or moved: nothing is written to it any more, and no other one is made. A store that was closed is
// ErrUnavailable for good.
//
// Nothing is decided from what a replica says: the URL must be that of the primary server, or name several and say
// target_session_attrs=read-write, to follow a fail-over. What was acknowledged is there afterwards if the primary waited
// for its replica: see Postgres's synchronous_standby_names.
package store
