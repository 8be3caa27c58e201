package alert

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// A Kind says what an [Alert] is about.
type Kind string

// The kinds of alert.
const (
	Threshold Kind = "threshold" // used reached a threshold
	Blocked   Kind = "blocked"   // the first request of a period was refused
	Forecast  Kind = "forecast"  // used is projected to pass the limit before the period ends
	Resolved  Kind = "resolved"  // used is back below a threshold that it had reached
)

// An Alert is the fact that one budget, or one scope value of it, crossed a line in one period.
type Alert struct {
	ID         string // stable over all attempts to deliver it, so that a receiver can tell one that it has seen
	Budget     string
	BudgetName string
	Owner      string                     // the budget's
	Tenant     string                     // that the budget is about; "": none in particular
	Labels     map[string]string          // the budget's
	Value      string                     // which of the budget's counters, as the budget encodes it; "" if it has only one
	Scope      map[usage.Dimension]string // what that counter counts: the budget's scope, with the value in the place of each
	Period     period.Bounds              // that the crossing usage fell in, which may be over
	Kind       Kind
	Threshold  decimal.Decimal // percent; 0 for kinds without threshold
	Level      Level           // reached; for resolved ones, what remains
	Left       Level           // of a resolved one: the level that was left
	Episode    int             // of one rise: higher after each time that a level was left in this period
	Metric     usage.Metric
	Used       int64 // in the metric's units, after the crossing
	Limit      int64 // in the metric's units
	At         time.Time
	Expected   time.Time // of a forecast: when used is projected to pass the limit
	Late       bool      // its period was over
	Superseded bool      // a higher threshold was crossed by the same operation: kept, not delivered
	Message    string
}
