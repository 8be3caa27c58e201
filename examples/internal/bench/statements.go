package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

// The columns of Purser's tables, in the order of [effects].
var (
	amountColumns = []string{
		"input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens", "total_tokens", "requests", "runs", "nanodollars",
	}
	eventColumns = concat([]string{"tenant", "id", "time", "user_id", "api_key", "resource", "labels"}, amountColumns,
		[]string{"hash", "flags", "corrects", "cost_before", "reason", "priced_by", "recorded_at"})
	sumColumns         = concat([]string{"grain", "bucket", "tenant", "user_id", "api_key", "resource"}, amountColumns)
	reservationColumns = concat([]string{"tenant", "id", "time", "user_id", "api_key", "resource", "labels"}, amountColumns,
		[]string{"hash", "state", "lease", "expires_at", "holds"})
	counterKey   = []string{"budget", "scope_value", "period_start"}
	counterRest  = []string{"adjusted", "pruned", "denied", "would_deny", "episode", "leased", "wanted", "expired", "expired_held"}
	alertColumns = []string{
		"id", "budget", "budget_name", "scope_value", "period_start", "period_end", "kind", "threshold", "level", "episode", "metric",
		"used", "budget_limit", "time", "late", "superseded", "message", "owner", "labels", "scope", "left_level", "routed", "expected_at", "tenant",
	}
)

func concat(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// What the references execute, as one would write it by hand. SQLite understands these placeholders too.
var (
	insertEvent = inserting("purser_events", eventColumns) + " ON CONFLICT (tenant, id) DO NOTHING"
	addCounter  = inserting("purser_counters", concat(counterKey, []string{"recorded", "reserved"}), counterRest...) +
		" ON CONFLICT (budget, period_start, scope_value) DO UPDATE SET " +
		adding("purser_counters", []string{"recorded", "reserved"}) + " RETURNING recorded"
	addSum = inserting("purser_usage", sumColumns) +
		" ON CONFLICT (grain, bucket, tenant, user_id, api_key, resource) DO UPDATE SET " + adding("purser_usage", amountColumns)
	insertAlert       = inserting("purser_alerts", alertColumns) + " ON CONFLICT DO NOTHING"
	insertReservation = inserting("purser_reservations", reservationColumns)
	deleteReservation = "DELETE FROM purser_reservations WHERE tenant = $1 AND id = $2"
	takeRoom          = "UPDATE purser_counters SET reserved = reserved + $4 WHERE budget = $1 AND scope_value = $2 AND period_start = $3" +
		" AND recorded + adjusted + reserved + $4 <= $5"
	createCounter = inserting("purser_counters", counterKey, concat([]string{"recorded", "reserved"}, counterRest)...) + " ON CONFLICT DO NOTHING"

	sumOfPeriod = "SELECT CAST(SUM(nanodollars) AS bigint) FROM purser_events WHERE tenant = $1 AND time >= $2 AND time < $3"
)

// inserting returns an INSERT of one row whose further columns are 0.
func inserting(table string, columns []string, zero ...string) string {
	values := make([]string, 0, len(columns)+len(zero))
	for i := range columns {
		values = append(values, fmt.Sprintf("$%d", i+1))
	}
	for range zero {
		values = append(values, "0")
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(concat(columns, zero), ", "), strings.Join(values, ", "))
}

func adding(table string, columns []string) string {
	sets := make([]string, len(columns))
	for i, column := range columns {
		sets[i] = fmt.Sprintf("%[1]s = %[2]s.%[1]s + excluded.%[1]s", column, table)
	}
	return strings.Join(sets, ", ")
}

// crossed returns the alerts for the levels that a counter has reached with what was just added to it.
func (c counting) crossed(after int64, now time.Time) []effect {
	b := c.budget
	var alerts []effect
	for _, mark := range b.marks {
		if mark.Units <= after-c.units || mark.Units > after {
			continue
		}
		bounds := b.Schedule.Bounds(now)
		message := alert.Message(b.Name, mark.Level, b.Metric.Decimal(after), b.Limit)
		alerts = append(alerts, effect{
			usage.NewID(), b.ID, b.Name, c.key.Value, bounds.Start.UnixMicro(), bounds.End.UnixMicro(), string(alert.Threshold), mark.Percent.String(),
			int64(mark.Level), int64(0), string(b.Metric), after, b.limit, now.UnixMicro(), false, false, message, "", "{}", "{}", int64(0), false,
			time.Time{}.UnixMicro(), string(b.Scope[usage.Tenant]),
		})
	}
	return alerts
}
