package period_test

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine's database may have fewer zones, or none

	"github.com/purser-go/purser/period"
)

// TestMain sets how many examples each property is tried with, unless the command line says it.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", fmt.Sprint(size(200, 2_000, 100_000))); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// size returns how much to test: with -short, usually, or with PURSER_SOAK set.
func size(short, usual, soak int) int {
	switch {
	case os.Getenv("PURSER_SOAK") != "":
		return soak
	case testing.Short():
		return short
	default:
		return usual
	}
}

// zoneList names every zone of the database, links and all: the entries of lib/time/zoneinfo.zip in Go's own tree.
//
//go:embed testdata/zones.txt
var zoneList string

// locations returns every zone of the database.
func locations(t testing.TB) []*time.Location {
	t.Helper()
	names := strings.Fields(zoneList)
	if len(names) < 590 {
		t.Fatalf("only %d zones to test with", len(names))
	}
	all := make([]*time.Location, len(names))
	for i, name := range names {
		all[i] = location(t, name)
	}
	return all
}

// A failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t testing.TB, text string) period.Schedule {
	t.Helper()
	s, err := period.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return s
}

// at reads an instant in RFC 3339, or a date, which is midnight UTC.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	if len(text) == len(time.DateOnly) {
		text += "T00:00:00Z"
	}
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

// between reads bounds from two instants as at does.
func between(t testing.TB, start, end string) period.Bounds {
	t.Helper()
	return period.Bounds{Start: at(t, start).UTC(), End: at(t, end).UTC()}
}

// fieldsOf returns the names of the fields that err finds fault with, in order, and fails if anything else is in it.
func fieldsOf(t testing.TB, err error) []string {
	t.Helper()
	switch e := err.(type) { //nolint:errorlint // the tree is walked here, node by node
	case nil:
		return nil
	case *period.FieldError:
		return []string{e.Field}
	case interface{ Unwrap() []error }:
		var names []string
		for _, inner := range e.Unwrap() {
			names = append(names, fieldsOf(t, inner)...)
		}
		return names
	default:
		t.Fatalf("%v is no FieldError", err)
		return nil
	}
}
