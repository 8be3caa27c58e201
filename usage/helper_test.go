package usage_test

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine's database may have fewer zones, or none

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/internal/soak"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
)

// check tries a property on many examples. Tests that call it are not parallel: the number of examples is a flag.
func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	n := soak.Count(t, "examples", 500, 200_000)
	if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, property)
}

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

func ptr(text string) *decimal.Decimal {
	d := dec(text)
	return &d
}

// at reads an instant in RFC 3339.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

// between reads bounds from two instants in RFC 3339.
func between(t testing.TB, start, end string) period.Bounds {
	t.Helper()
	return period.Bounds{Start: at(t, start).UTC(), End: at(t, end).UTC()}
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// zones returns every zone of the database.
func zones(t testing.TB) []string {
	t.Helper()
	list, err := os.ReadFile("../period/testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(list))
	if len(names) < 400 {
		t.Fatalf("only %d zones: the list is not whole", len(names))
	}
	return names
}

// findings returns what err says, field by field and in order, and fails if anything but field errors is in it.
func findings(t testing.TB, err error) []string {
	t.Helper()
	switch e := err.(type) { //nolint:errorlint // the tree is walked here, node by node
	case nil:
		return nil
	case *usage.FieldError:
		return []string{e.Error()}
	case interface{ Unwrap() []error }:
		var found []string
		for _, inner := range e.Unwrap() {
			found = append(found, findings(t, inner)...)
		}
		return found
	default:
		t.Fatalf("%v (%T) is no FieldError", err, err)
		return nil
	}
}

// names draws texts that are valid as id, dimension value or label name.
func names() *rapid.Generator[string] {
	return rapid.StringMatching(`[a-zA-Z0-9_ äß語"\\/<>&=.:-]{1,12}`)
}

func optional[V any](g *rapid.Generator[V]) *rapid.Generator[*V] { return rapid.Ptr(g, true) }

func instants() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		seconds := rapid.Int64Range(usage.MinTime.Unix(), usage.EndTime.Unix()-1).Draw(t, "seconds")
		return time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
	})
}

func costs() *rapid.Generator[decimal.Decimal] {
	return rapid.Custom(func(t *rapid.T) decimal.Decimal {
		places := rapid.Int32Range(0, 14).Draw(t, "places")
		return decimal.New(rapid.Int64Range(0, 1_000_000).Draw(t, "coefficient"), -places)
	})
}

func amounts() *rapid.Generator[usage.Amounts] {
	count := rapid.Int64Range(0, 250_000_000_000)
	return rapid.Custom(func(t *rapid.T) usage.Amounts {
		return usage.Amounts{
			InputTokens:         count.Draw(t, "input"),
			OutputTokens:        count.Draw(t, "output"),
			CacheCreationTokens: count.Draw(t, "cache creation"),
			CacheReadTokens:     count.Draw(t, "cache read"),
			TotalTokens:         optional(count).Draw(t, "total"),
			Requests:            optional(count).Draw(t, "requests"),
			Runs:                count.Draw(t, "runs"),
			Cost:                optional(costs()).Draw(t, "cost"),
		}
	})
}

func subjects() *rapid.Generator[usage.Subject] {
	value := rapid.OneOf(rapid.Just(""), names())
	return rapid.Custom(func(t *rapid.T) usage.Subject {
		return usage.Subject{
			Tenant:   value.Draw(t, "tenant"),
			User:     value.Draw(t, "user"),
			APIKey:   value.Draw(t, "api key"),
			Resource: value.Draw(t, "resource"),
			Labels:   rapid.MapOfN(names(), value, 0, 4).Draw(t, "labels"),
		}
	})
}

// events draws valid events.
func events() *rapid.Generator[usage.Event] {
	return rapid.Custom(func(t *rapid.T) usage.Event {
		return usage.Event{
			ID:      names().Draw(t, "id"),
			Time:    rapid.OneOf(rapid.Just(time.Time{}), instants()).Draw(t, "time"),
			Subject: subjects().Draw(t, "subject"),
			Amounts: amounts().Draw(t, "amounts"),
		}
	})
}

func allTotals() *rapid.Generator[usage.Totals] {
	n := rapid.OneOf(rapid.Int64Range(-1000, 1000), rapid.Int64())
	return rapid.Custom(func(t *rapid.T) usage.Totals {
		return usage.Totals{
			InputTokens:         n.Draw(t, "input"),
			OutputTokens:        n.Draw(t, "output"),
			CacheCreationTokens: n.Draw(t, "cache creation"),
			CacheReadTokens:     n.Draw(t, "cache read"),
			TotalTokens:         n.Draw(t, "total"),
			Requests:            n.Draw(t, "requests"),
			Runs:                n.Draw(t, "runs"),
			Nanodollars:         n.Draw(t, "nanodollars"),
		}
	})
}
