package main

import (
	"context"
	"fmt"

	"github.com/purser-go/purser/budget"
)

// postgresRow lets the sides that a server makes compete on it.
func postgresRow(name string, c contest, start func(*lab, context.Context) (*server, error), budgets []watched,
	makers func(s *server) []maker,
) row {
	return row{name, func(ctx context.Context, l *lab, at *closers) error {
		s, err := start(l, ctx)
		if err != nil {
			return err
		}
		all, err := sides(ctx, s, budgets, at, makers(s)...)
		if err != nil {
			return err
		}
		return l.contest(ctx, c, all)
	}}
}

// byCallers is the name of a row of a table in which they differ by the number of callers.
func (c contest) byCallers() string { return fmt.Sprintf("%s/%d", c.table, c.callers) }

// recordRow is Record against a bare insert and against a transaction per event.
func recordRow(table string, callers int, least floor, start func(*lab, context.Context) (*server, error)) row {
	c := contest{table, "Record", callers, least.of(callers)}
	return postgresRow(c.byCallers(), c, start, tight, func(s *server) []maker {
		return []maker{recordSide(manyTenants), s.insertSide(callers), s.naiveSide(callers)}
	})
}

func batchRow() row {
	c := contest{batchPostgres, "RecordBatch of 500", 1, batchFloor.of(1)}
	return postgresRow(batchPostgres+"/500", c, (*lab).realDisk, tight, func(s *server) []maker {
		return []maker{batchSide, s.copySide}
	})
}

// reserveRow is Reserve of one budget that all callers need, against a transaction per request.
func reserveRow(callers int) row {
	c := contest{reservePostgres, "Reserve, one budget", callers, reserveFloor.of(callers)}
	return postgresRow(c.byCallers(), c, (*lab).realDisk, hot, func(s *server) []maker {
		return []maker{reserveSide, s.transactionSide(callers)}
	})
}

// settleRow is Reserve and Settle, against two transactions per request.
func settleRow(callers int) row {
	c := contest{settlePostgres, "Reserve and Settle", callers, settleFloor.of(callers)}
	return postgresRow(c.byCallers(), c, (*lab).realDisk, ample, func(s *server) []maker {
		return []maker{settleSide, s.transactionsSide(callers)}
	})
}

// leaseRecordRow is Reserve and Settle on leases, where Settle returns after the commit, against Record.
func leaseRecordRow(callers int) row {
	c := contest{leaseRecord, "Reserve and Settle", callers, leaseRecordFloor.of(callers)}
	return postgresRow(c.byCallers(), c, (*lab).realDisk, ample, func(*server) []maker {
		return []maker{leaseSide(budget.LeaseOptions{}, 0), as(recording, recordSide(manyTenants))}
	})
}

func sqliteRow(callers int) row {
	c := contest{recordSQLite, "Record", callers, sqliteFloor.of(callers)}
	return row{c.byCallers(), func(ctx context.Context, l *lab, at *closers) error {
		all, err := sides(ctx, l.files(), tight, at, recordSide(manyTenants), sqliteNaiveSide)
		if err != nil {
			return err
		}
		return l.contest(ctx, c, all)
	}}
}

// historyRow is Record in a month that holds so many events, against an insert and a sum over the month.
func historyRow(events int) row {
	return row{fmt.Sprintf("%s/%d", recordHistory, events), func(ctx context.Context, l *lab, at *closers) error {
		h, err := l.postgresHistory(ctx, events)
		if err != nil {
			return err
		}
		ours, err := recordSide(oneTenant)(ctx, h.place, at)
		if err != nil {
			return err
		}
		theirs, err := h.server.sumSide(ctx, h.summed, at)
		if err != nil {
			return err
		}
		work := fmt.Sprintf("Record, %s events before", thousands(events))
		least := map[string]float64{sum: historyFloor[events]}
		return l.contest(ctx, contest{recordHistory, work, 1, least}, []side{ours, theirs})
	}}
}

// statusRow is Status of a budget that counted so many events, against their sum.
func statusRow(events int) row {
	return row{fmt.Sprintf("%s/%d", statusPostgres, events), func(ctx context.Context, l *lab, at *closers) error {
		h, err := l.postgresHistory(ctx, events)
		if err != nil {
			return err
		}
		ours, err := h.statusSide(ctx, at)
		if err != nil {
			return err
		}
		theirs, err := h.sumUpSide(ctx, at)
		if err != nil {
			return err
		}
		work := fmt.Sprintf("Status, %s events", thousands(events))
		least := map[string]float64{sum: statusFloor[events]}
		return l.contest(ctx, contest{statusPostgres, work, 1, least}, []side{ours, theirs})
	}}
}

// fewEvents is how many events a flat read is compared with.
const fewEvents = 1e3

// flatRow is Status of a budget that counted so many events, against that of one that counted few.
func flatRow(events int) row {
	return row{fmt.Sprintf("%s/flat/%d", statusPostgres, events), func(ctx context.Context, l *lab, at *closers) error {
		var both []side
		for _, n := range []int{events, fewEvents} {
			h, err := l.postgresHistory(ctx, n)
			if err != nil {
				return err
			}
			s, err := h.statusSide(ctx, at)
			if err != nil {
				return err
			}
			both = append(both, s)
		}
		both[1].name = flat
		work := fmt.Sprintf("Status, %s events, and %s", thousands(events), thousands(fewEvents))
		return l.contest(ctx, contest{statusPostgres, work, 1, map[string]float64{flat: flatFloor}}, both)
	}}
}

// reserveOneRow is Reserve of one budget that all callers need, against Redis.
func reserveOneRow(callers int) row {
	return redisRow(contest{reserveRedis, "Reserve, one budget", callers, reserveOneFloor.of(callers)}, "one",
		hot, reserveSide, (*redisServer).takeSide)
}

// reserveThreeRow is Reserve of three budgets, all or none, against Redis.
func reserveThreeRow(callers int) row {
	return redisRow(contest{reserveRedis, "Reserve, three budgets", callers, reserveThreeFloor.of(callers)}, "three",
		ample, reserveSide, (*redisServer).takeSide)
}

// leaseBurstRow is Reserve and Settle on leases, as many at a stretch as the queue has places for what is to be recorded.
func leaseBurstRow(callers, queue int) row {
	ours := leaseSide(budget.LeaseOptions{AsyncSettle: true, AsyncQueue: queue}, queue)
	return redisRow(contest{leaseRedis, "Reserve and Settle, bursts", callers, leaseBurstFloor.of(callers)}, "burst",
		ample, ours, (*redisServer).settleSide)
}

// leaseSustainedRow is the same without a pause.
func leaseSustainedRow(callers, queue int) row {
	ours := leaseSide(budget.LeaseOptions{AsyncSettle: true, AsyncQueue: queue}, 0)
	return redisRow(contest{leaseRedis, "Reserve and Settle, sustained", callers, nil}, "sustained",
		ample, ours, (*redisServer).settleSide)
}

// redisRow is Purser on Postgres against Redis.
func redisRow(c contest, name string, budgets []watched, ours maker,
	theirs func(r *redisServer, ctx context.Context, budgets []watched, callers int, at *closers) (side, error),
) row {
	return row{fmt.Sprintf("%s/%s/%d", c.table, name, c.callers), func(ctx context.Context, l *lab, at *closers) error {
		r, err := l.redis(ctx)
		if err != nil {
			return err
		}
		s, err := l.realDisk(ctx)
		if err != nil {
			return err
		}
		all, err := sides(ctx, s, budgets, at, ours)
		if err != nil {
			return err
		}
		reference, err := theirs(r, ctx, budgets, c.callers, at)
		if err != nil {
			return err
		}
		return l.contest(ctx, c, append(all, reference))
	}}
}

// of returns the floors for so many callers.
func (f floor) of(callers int) map[string]float64 {
	least := make(map[string]float64)
	for reference, by := range f {
		least[reference] = by[callers]
	}
	return least
}
