// Package soak decides how much a heavy test does, and tells those who run it.
//
// A promise such as "exactly the limit is admitted" is stated for a certain count. Every run attacks it with a count that
// two cores manage in seconds; with the environment variable PURSER_SOAK set, the stated one is used. Since go test hides
// what a passing test did, each count is left as an attribute of the test, from which make prints what was really run.
package soak

import (
	"fmt"
	"os"
	"testing"
)

// Variable is the environment variable that asks for the stated counts.
const Variable = "PURSER_SOAK"

// Attribute is the key of the test attributes that [Count] leaves.
const Attribute = "count"

// Count returns how many of what t is to do: stated when PURSER_SOAK is set, usual otherwise, a tenth of that (at least
// one) with -short. What is a plural, such as "concurrent reserves".
func Count(t testing.TB, what string, usual, stated int) int {
	t.Helper()
	n := usual
	switch {
	case os.Getenv(Variable) != "":
		n = stated
	case testing.Short():
		n = max(1, usual/10)
	}
	t.Attr(Attribute, fmt.Sprintf("%d %s", n, what))
	return n
}
