package pgstore

import (
	"errors"

	"github.com/purser-go/purser/store/internal/bunstore"
)

// classes are SQLSTATE codes, or the first two characters of a code, that are not [bunstore.Other].
// https://www.postgresql.org/docs/current/errcodes-appendix.html
var classes = map[string]bunstore.Class{
	"40001": bunstore.Raced, // serialization_failure
	"40P01": bunstore.Raced, // deadlock_detected
	"55P03": bunstore.Raced, // lock_not_available

	"08":    bunstore.Away, // connection exceptions
	"25006": bunstore.Away, // read_only_sql_transaction: a standby, just before or after a fail-over, or made so for a while
	"25P03": bunstore.Away, // idle_in_transaction_session_timeout
	"53300": bunstore.Away, // too_many_connections
	"57P01": bunstore.Away, // admin_shutdown
	"57P02": bunstore.Away, // crash_shutdown
	"57P03": bunstore.Away, // cannot_connect_now
	"57P05": bunstore.Away, // idle_session_timeout

	"28":    bunstore.Unavailable, // invalid authorization
	"3D000": bunstore.Unavailable, // invalid_catalog_name: no such database
	"53":    bunstore.Unavailable, // insufficient resources: a full disk, no memory
	"57014": bunstore.Unavailable, // query_canceled: a statement_timeout
	"58":    bunstore.Unavailable, // system errors: the disk

	"22003": bunstore.Overflow, // numeric_value_out_of_range

	"26000": bunstore.Unprepared, // invalid_sql_statement_name
	"42P05": bunstore.Unprepared, // duplicate_prepared_statement
}

// Classify implements [bunstore.Engine]. It is the one place that knows what drivers' errors look like.
func (*engine) Classify(err error) (bunstore.Class, bool) {
	var coded interface{ SQLState() string }
	if !errors.As(err, &coded) {
		return bunstore.Other, false
	}
	code := coded.SQLState()
	class, ok := classes[code]
	if !ok && len(code) > 2 {
		class = classes[code[:2]]
	}
	return class, true
}
