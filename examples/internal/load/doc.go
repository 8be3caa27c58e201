// Package load makes the load of a service that runs in several processes: workers reserve and settle against the same
// budgets as fast as they can, are counted and timed, and the database's own tables say what came of it.
//
// [Conduct] starts the processes, each of which calls [Serve]. They speak over standard input and output: a process says
// that it is ready, gets the [Plan], reports once a second what it did, and ends with the plan's time or with its input, so
// that none outlives the one that started it.
package load
