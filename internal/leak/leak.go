// Package leak finds goroutines that tests leave behind. It is goleak, but for its patience, which is half a second: a
// driver that closes a connection in the middle of a statement goes on behind the caller's back, for up to 15 seconds, and
// for longer where the server has other things to do.
package leak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines have to end.
const patience = 30 * time.Second

// VerifyTestMain runs the tests and exits as they did, or with 1 if they passed and left goroutines behind.
func VerifyTestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := find(patience); err != nil {
			fmt.Fprintln(os.Stderr, "all tests passed, but:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// VerifyNone fails t if there are goroutines but those that the options except.
func VerifyNone(t testing.TB, options ...goleak.Option) {
	t.Helper()
	if err := find(patience, options...); err != nil {
		t.Error(err)
	}
}

// OfPools excepts what belongs to connections that are open: the goroutine of each pool, and one that the driver for Postgres
// leaves with a connection to which it was slow to write, until that is used again or closed.
func OfPools() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgconn/internal/bgreader.(*BGReader).bgRead"),
	}
}

// find returns an error that shows what has not ended after so long.
func find(patience time.Duration, options ...goleak.Option) (err error) {
	for deadline := time.Now().Add(patience); ; {
		if err = goleak.Find(options...); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
