package usage_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/usage"
)

// Hashes are stored: whoever changes the form has to change its version.
func TestHashFormOfVersion1(t *testing.T) {
	event := typicalEvent()
	if got, want := event.Hash().String(), "01017c9c139c639d07fc900a39b875c6b3b3a9952bce31015798ee3e7052e8be"; got != want {
		t.Errorf("event: %s, want %s", got, want)
	}
	correction := usage.Correction{ID: "c", Tenant: "acme", Event: event.ID, Amounts: event.Amounts, Reason: "refund"}
	if got, want := correction.Hash().String(), "01084f86ea3a2286eaa6bfcc27bdce6225809bfb801da2cc66b55d348d5ee70f"; got != want {
		t.Errorf("correction: %s, want %s", got, want)
	}
	if got := event.Hash().Version(); got != 1 {
		t.Errorf("version %d, want 1", got)
	}
}

func TestEventHashTellsApart(t *testing.T) {
	edits := map[string]func(*usage.Event){
		"id":                           func(e *usage.Event) { e.ID += "x" },
		"time":                         func(e *usage.Event) { e.Time = e.Time.Add(time.Microsecond) },
		"time that is not given":       func(e *usage.Event) { e.Time = time.Time{} },
		"tenant":                       func(e *usage.Event) { e.Tenant = "" },
		"user":                         func(e *usage.Event) { e.User += "x" },
		"API key":                      func(e *usage.Event) { e.APIKey += "x" },
		"resource":                     func(e *usage.Event) { e.Resource += "x" },
		"text moved between fields":    func(e *usage.Event) { e.Tenant, e.User = e.Tenant+e.User, "" },
		"label value":                  func(e *usage.Event) { e.Labels["team"] = "red" },
		"label name":                   func(e *usage.Event) { delete(e.Labels, "team"); e.Labels["Team"] = "blue" },
		"label values exchanged":       func(e *usage.Event) { e.Labels["team"], e.Labels["project"] = "search", "blue" },
		"label missing":                func(e *usage.Event) { delete(e.Labels, "team") },
		"input tokens":                 func(e *usage.Event) { e.InputTokens++ },
		"output tokens":                func(e *usage.Event) { e.OutputTokens++ },
		"cache-creation tokens":        func(e *usage.Event) { e.CacheCreationTokens++ },
		"cache-read tokens":            func(e *usage.Event) { e.CacheReadTokens++ },
		"tokens moved between classes": func(e *usage.Event) { e.InputTokens--; e.OutputTokens++ },
		"total tokens":                 func(e *usage.Event) { e.TotalTokens = new(int64(1)) },
		"requests":                     func(e *usage.Event) { e.Requests = new(int64(0)) },
		"runs":                         func(e *usage.Event) { e.Runs++ },
		"cost":                         func(e *usage.Event) { e.Cost = ptr("0.012345601") },
		"cost that is not given":       func(e *usage.Event) { e.Cost = nil },
		"cost of 0":                    func(e *usage.Event) { e.Cost = new(decimal.Decimal{}) },
		"nothing, which is no edit":    func(*usage.Event) {},
	}
	seen := make(map[usage.Hash]string)
	for name, edit := range edits {
		event := typicalEvent()
		edit(&event)
		if other, ok := seen[event.Hash()]; ok {
			t.Errorf("%s hashes like %s", name, other)
		}
		seen[event.Hash()] = name
	}
}

func TestCorrectionHashTellsApart(t *testing.T) {
	edits := map[string]func(*usage.Correction){
		"nothing":  func(*usage.Correction) {},
		"id":       func(c *usage.Correction) { c.ID += "x" },
		"tenant":   func(c *usage.Correction) { c.Tenant = "" },
		"event":    func(c *usage.Correction) { c.Event += "x" },
		"tokens":   func(c *usage.Correction) { c.Amounts.InputTokens++ },
		"requests": func(c *usage.Correction) { c.Amounts.Requests = new(int64(1)) },
		"cost":     func(c *usage.Correction) { c.Amounts.Cost = ptr("1") },
		"reason":   func(c *usage.Correction) { c.Reason = "another" },
	}
	seen := make(map[usage.Hash]string)
	for name, edit := range edits {
		correction := usage.Correction{ID: "c", Tenant: "acme", Event: "e", Reason: "refund"}
		edit(&correction)
		if other, ok := seen[correction.Hash()]; ok {
			t.Errorf("%s hashes like %s", name, other)
		}
		seen[correction.Hash()] = name
	}
}

func TestCorrectionHashIsOfWhatIsTakenAway(t *testing.T) {
	short := usage.Correction{ID: "c", Event: "e", Amounts: usage.Amounts{InputTokens: 5}}
	long := short
	long.Amounts.TotalTokens, long.Amounts.Requests, long.Amounts.Cost = new(int64(5)), new(int64(0)), new(decimal.Decimal{})
	if short.Hash() != long.Hash() {
		t.Error("defaults that are written out change the hash")
	}
}

func TestEventsHaveOneHashWhenTheirCanonicalFormIsOne(t *testing.T) {
	check(t, func(t *rapid.T) {
		event := fewEvents().Draw(t, "event")
		other := rapid.OneOf(fewEvents(), rewritten(event), edited(event)).Draw(t, "other")
		same := cmp.Equal(event.Canonical(), other.Canonical())
		if equal := event.Hash() == other.Hash(); equal != same {
			t.Errorf("canonical forms equal: %t, hashes equal: %t", same, equal)
		}
	})
}

func TestEventHashIsThatOfEveryWayOfWritingTheEvent(t *testing.T) {
	check(t, func(t *rapid.T) {
		event := fewEvents().Draw(t, "event")
		if other := rewritten(event).Draw(t, "other"); event.Hash() != other.Hash() {
			t.Error("hashes differ")
		}
	})
}

// fewEvents draws from so few values that two events often agree in a field.
func fewEvents() *rapid.Generator[usage.Event] {
	text := rapid.SampledFrom([]string{"", "a", "b", "ab"})
	count := rapid.Int64Range(0, 2)
	return rapid.Custom(func(t *rapid.T) usage.Event {
		return usage.Event{
			ID:   rapid.SampledFrom([]string{"a", "b", "ab"}).Draw(t, "id"),
			Time: rapid.SampledFrom([]time.Time{{}, usage.MinTime, usage.MinTime.Add(999), usage.MinTime.Add(1000)}).Draw(t, "time"),
			Subject: usage.Subject{
				Tenant: text.Draw(t, "tenant"), User: text.Draw(t, "user"),
				APIKey: text.Draw(t, "api key"), Resource: text.Draw(t, "resource"),
				Labels: rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "ab"}), text, 0, 3).Draw(t, "labels"),
			},
			Amounts: usage.Amounts{
				InputTokens: count.Draw(t, "input"), OutputTokens: count.Draw(t, "output"),
				CacheCreationTokens: count.Draw(t, "cache creation"), CacheReadTokens: count.Draw(t, "cache read"),
				TotalTokens: optional(count).Draw(t, "total"), Requests: optional(count).Draw(t, "requests"),
				Runs: count.Draw(t, "runs"),
				Cost: optional(rapid.SampledFrom([]decimal.Decimal{
					{}, dec("0.0000000004"), dec("0.0000000005"), dec("0.000000001"), dec("1.0"), dec("1"), dec("1.0000000004"),
				})).Draw(t, "cost"),
			},
		}
	})
}

// rewritten draws other ways of writing one event.
func rewritten(event usage.Event) *rapid.Generator[usage.Event] {
	return rapid.Custom(func(t *rapid.T) usage.Event {
		e := event
		if !e.Time.IsZero() {
			offset := rapid.IntRange(-12, 14).Draw(t, "hours east") * 3600
			rest := rapid.Int64Range(0, 999).Draw(t, "nanoseconds")
			e.Time = e.Time.Truncate(time.Microsecond).Add(time.Duration(rest)).In(time.FixedZone("", offset))
		}
		totals, _ := e.Totals()
		if rapid.Bool().Draw(t, "total given") {
			e.TotalTokens = &totals.TotalTokens
		}
		if rapid.Bool().Draw(t, "requests given") {
			e.Requests = &totals.Requests
		}
		if e.Cost != nil {
			least := max(-5, -10*totals.Nanodollars)
			e.Cost = new(totals.Cost().Add(decimal.New(rapid.Int64Range(least, 4).Draw(t, "tail"), -10)))
		}
		e.Labels = maps.Clone(e.Labels)
		if e.Labels == nil {
			e.Labels = make(map[string]string)
		}
		e.Labels["empty"] = ""
		return e
	})
}

// edited draws events that differ in one field at most.
func edited(event usage.Event) *rapid.Generator[usage.Event] {
	return rapid.Custom(func(t *rapid.T) usage.Event {
		e, other := event, fewEvents().Draw(t, "other")
		switch rapid.IntRange(0, 13).Draw(t, "field") {
		case 0:
			e.ID = other.ID
		case 1:
			e.Time = other.Time
		case 2:
			e.Tenant = other.Tenant
		case 3:
			e.User = other.User
		case 4:
			e.APIKey = other.APIKey
		case 5:
			e.Resource = other.Resource
		case 6:
			e.Labels = other.Labels
		case 7:
			e.InputTokens = other.InputTokens
		case 8:
			e.OutputTokens = other.OutputTokens
		case 9:
			e.CacheCreationTokens, e.CacheReadTokens = e.CacheReadTokens, e.CacheCreationTokens
		case 10:
			e.TotalTokens = other.TotalTokens
		case 11:
			e.Requests = other.Requests
		case 12:
			e.Runs = other.Runs
		case 13:
			e.Cost = other.Cost
		}
		return e
	})
}

func BenchmarkEventHash(b *testing.B) {
	event := typicalEvent()
	b.ReportAllocs()
	for b.Loop() {
		event.Hash()
	}
}
