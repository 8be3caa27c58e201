package main

import (
	"context"
	"slices"
)

// A row is one line of a table, or several that are measured together.
type row struct {
	name string // "table/what", for --only
	run  func(ctx context.Context, l *lab, at *closers) error
}

// The tables.
const (
	recordPostgres  = "record-postgres"
	recordSlowDisk  = "record-slow-disk"
	recordHistory   = "record-history"
	batchPostgres   = "batch-postgres"
	statusPostgres  = "status-postgres"
	recordSQLite    = "record-sqlite"
	reservePostgres = "reserve-postgres"
	reserveRedis    = "reserve-redis"
	settlePostgres  = "settle-postgres"
	leaseRedis      = "lease-redis"
	leaseRecord     = "lease-record"
	changePostgres  = "change-postgres"
	changeSQLite    = "change-sqlite"
	reportPostgres  = "report-postgres"
	reportSQLite    = "report-sqlite"
	serverPostgres  = "server-postgres"
	serverSQLite    = "server-sqlite"
)

// The references: what a program could do instead.
const (
	insert = "insert" // one event row, autocommit
	naive  = "naive"  // one transaction per event, with the same effects
	sum    = "sum"    // insert, then SUM over the period; of a read, only that
	copied = "copy"   // COPY of the same rows
	flat   = "flat"   // the same work where there are few events

	transaction  = "transaction"      // one transaction per request: a row, and the counters if there is room
	transactions = "two transactions" // that, and naive with what is given back
	inRedis      = "redis"            // a script that adds to the counters if there is room
	recording    = "record"           // Purser's Record, without asking before
	library      = "library"          // the same call of a ledger, in the caller's process
)

// A floor is what a ratio is at least, by reference and number of callers. Where it has no entry, there is none.
type floor map[string]map[int]float64

var (
	postgresFloor = floor{
		insert: {1: 0.22, 8: 0.3, 64: 0.65, 512: 0.9},
		naive:  {1: 1, 8: 1.8, 64: 4.5, 512: 6.5},
	}
	slowDiskFloor = floor{insert: {1: 0.65, 8: 0.6, 64: 0.55}}
	sqliteFloor   = floor{naive: {1: 1, 8: 1.7, 64: 2.5, 512: 5}}
	batchFloor    = floor{copied: {1: 0.3}}

	reserveFloor      = floor{transaction: {1: 0.55, 8: 1.2, 64: 9}}
	reserveOneFloor   = floor{inRedis: {1: 0.08, 8: 0.1, 64: 0.4}}
	reserveThreeFloor = floor{inRedis: {1: 0.05, 8: 0.12, 64: 0.33}}
	settleFloor       = floor{transactions: {1: 0.75, 8: 1.2, 64: 3.5}}
	leaseBurstFloor   = floor{inRedis: {1: 20, 8: 20, 64: 50}}
	leaseRecordFloor  = floor{recording: {1: 0.9, 8: 0.9, 64: 0.9}}
)

// The same of rows that one caller takes, by the number of events.
var (
	historyFloor = map[int]float64{1e4: 6, 1e5: 30, 1e6: 300}
	statusFloor  = map[int]float64{1e4: 50, 1e6: 1e4, 1e7: 3e4}
)

// flatFloor is that of a read which takes at most 1.2 times as long where there are many events.
const flatFloor = 1 / 1.2

// plan returns the rows that the settings ask for.
func plan(s settings) []row {
	var rows []row
	for _, callers := range []int{1, 8, 64, 512} {
		rows = append(rows, recordRow(recordPostgres, callers, postgresFloor, (*lab).realDisk))
	}
	for _, callers := range []int{1, 8, 64} {
		rows = append(rows, recordRow(recordSlowDisk, callers, slowDiskFloor, (*lab).slowDisk))
	}
	for _, events := range s.sizes(1e4, 1e5, 1e6) {
		rows = append(rows, historyRow(events))
	}
	rows = append(rows, batchRow())
	for _, events := range s.sizes(1e4, 1e6, 1e7) {
		rows = append(rows, statusRow(events), flatRow(events))
	}
	for _, callers := range []int{1, 8, 64, 512} {
		rows = append(rows, sqliteRow(callers))
	}
	rows = append(rows, admissionRows(s.queue())...)
	for _, table := range []string{changePostgres, changeSQLite} {
		for _, n := range changes {
			rows = append(rows, changeRow(table, n, s.changed()))
		}
	}
	for _, table := range []string{reportPostgres, reportSQLite} {
		for _, events := range s.sizes(1e4, 1e6, 1e7) {
			for _, r := range yearReports {
				rows = append(rows, reportRow(table, r, events))
			}
		}
	}
	for _, table := range []string{serverPostgres, serverSQLite} {
		for _, r := range serverReads {
			rows = append(rows, serverRow(table, r, 1), serverRow(table, r, 8))
		}
		rows = append(rows, serverReserveRow(table, 50))
	}
	if s.only != nil {
		rows = slices.DeleteFunc(rows, func(r row) bool { return !s.only.MatchString(r.name) })
	}
	return rows
}

// admissionRows returns the rows of those who ask before they use.
func admissionRows(queue int) []row {
	var rows []row
	for _, newRow := range []func(callers int) row{
		reserveRow, reserveOneRow, reserveThreeRow, settleRow,
		func(callers int) row { return leaseBurstRow(callers, queue) },
		func(callers int) row { return leaseSustainedRow(callers, queue) },
		leaseRecordRow,
	} {
		for _, callers := range []int{1, 8, 64} {
			rows = append(rows, newRow(callers))
		}
	}
	return rows
}

// queue returns how many settlements wait to be recorded at the most: as many as do by default.
func (s settings) queue() int {
	if s.quick {
		return 1000
	}
	return 10_000
}

// sizes returns those numbers of events that the settings allow.
func (s settings) sizes(all ...int) []int {
	return slices.DeleteFunc(all, func(n int) bool { return s.quick && n > 1e4 || !s.large && n > 1e6 })
}

// changed returns over how many events a definition changes.
func (s settings) changed() int {
	if s.quick {
		return 1e4
	}
	return 1e6
}
