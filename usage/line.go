package usage

import "github.com/purser-go/purser/period"

// A Line is what a subject used in a part of time: one line of a report. Dimensions that the report does not tell apart are
// "", as are those that the usage had no value of.
type Line struct {
	period.Bounds
	Subject
	Totals
}
