package main

import (
	"context"
	"fmt"
)

// recordRow is Record against a bare insert and against a transaction per event.
func recordRow(table string, callers int, least floor, start func(*lab, context.Context) (*server, error)) row {
	return row{fmt.Sprintf("%s/%d", table, callers), func(ctx context.Context, l *lab, at *closers) error {
		s, err := start(l, ctx)
		if err != nil {
			return err
		}
		all, err := sides(ctx, s, at, recordSide(manyTenants), s.insertSide(callers), s.naiveSide(callers))
		if err != nil {
			return err
		}
		return l.contest(ctx, contest{table, "Record", callers, least.of(callers)}, all)
	}}
}

func batchRow() row {
	return row{batchPostgres + "/500", func(ctx context.Context, l *lab, at *closers) error {
		s, err := l.realDisk(ctx)
		if err != nil {
			return err
		}
		all, err := sides(ctx, s, at, batchSide, s.copySide)
		if err != nil {
			return err
		}
		return l.contest(ctx, contest{batchPostgres, "RecordBatch of 500", 1, batchFloor.of(1)}, all)
	}}
}

func sqliteRow(callers int) row {
	return row{fmt.Sprintf("%s/%d", recordSQLite, callers), func(ctx context.Context, l *lab, at *closers) error {
		all, err := sides(ctx, l.files(), at, recordSide(manyTenants), sqliteNaiveSide)
		if err != nil {
			return err
		}
		return l.contest(ctx, contest{recordSQLite, "Record", callers, sqliteFloor.of(callers)}, all)
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
		ours.place, theirs.place = h.place, h.summed
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

// of returns the floors for so many callers.
func (f floor) of(callers int) map[string]float64 {
	least := make(map[string]float64)
	for reference, by := range f {
		least[reference] = by[callers]
	}
	return least
}
