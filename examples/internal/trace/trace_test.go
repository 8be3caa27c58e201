package trace_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/examples/internal/trace"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

func TestEventsAreAllRequestsInOrder(t *testing.T) {
	prices, err := trace.Prices()
	if err != nil {
		t.Fatal(err)
	}
	var sum usage.Totals
	var first, last time.Time
	ids := make(map[string]bool)
	for e, err := range trace.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("event at %v: %v", e.Time, err)
		}
		if e.Time.Before(last) {
			t.Fatalf("the event at %v comes after the one at %v", e.Time, last)
		}
		if first.IsZero() {
			first = e.Time
		}
		last = e.Time
		ids[e.ID] = true
		cost, _, err := prices.Price(e)
		if err != nil {
			t.Fatal(err)
		}
		e.Cost = &cost
		totals, err := e.Totals()
		if err == nil {
			sum, err = sum.Add(totals)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := usage.Totals{
		InputTokens: 40_421_844, OutputTokens: 4_334_561, TotalTokens: 44_756_405, Requests: 28_185,
		Nanodollars: 22_361_870*500 + 4_088_665*1500 + 18_059_974*3000 + 245_896*15000,
	}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("sum of all events (-want +got)\n%s", diff)
	}
	if len(ids) != 28_185 {
		t.Errorf("%d different ids, want one per event", len(ids))
	}
	if got, want := first, time.Date(2023, 11, 16, 18, 15, 46, 680590000, time.UTC); !got.Equal(want) {
		t.Errorf("first event at %v, want %v", got, want)
	}
	if got, want := last, time.Date(2023, 11, 16, 19, 14, 19, 928016000, time.UTC); !got.Equal(want) {
		t.Errorf("last event at %v, want %v", got, want)
	}
}

func TestEveryoneInTheRuleIsDealtSomething(t *testing.T) {
	type share struct{ tenant, user, key string }
	dealt := make(map[share]int)
	tenants := make(map[string]bool)
	for e, err := range trace.Events() {
		if err != nil {
			t.Fatal(err)
		}
		dealt[share{e.Tenant, e.User, e.APIKey}]++
		tenants[e.Tenant] = true
	}
	if got, want := len(dealt), 6*2; got != want {
		t.Errorf("%d pairs of user and key have requests, want %d: %v", got, want, dealt)
	}
	for _, tenant := range trace.Tenants() {
		if !tenants[tenant] {
			t.Errorf("%s has no requests", tenant)
		}
	}
	if got, want := trace.Attribution(), "Azure LLM inference trace 2023, Microsoft, CC-BY-4.0; merged and re-labelled"; got != want {
		t.Errorf("attribution is %q, want %q", got, want)
	}
}

func TestThePricesAreThoseOfTheirList(t *testing.T) {
	prices, err := trace.Prices()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("../../../usage/price/testdata/genai_prices.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := intake.Unpack(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := price.Read("all", unpacked)
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"gpt-3.5-turbo", "gpt-5-mini", "claude-haiku-4-5", "claude-sonnet-4-5"} {
		for _, prompt := range []int64{7, 200_000, 200_001} {
			q := price.Query{Model: model, Classes: price.Classes{price.Input: prompt, price.CacheRead: 3, price.CacheCreation: 5, price.Output: 11}}
			want, err := all.Quote(q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := prices.Quote(q)
			if err != nil || !got.Total().Equal(want.Total()) {
				t.Errorf("%s costs %s for a prompt of %d tokens, want %s: %v", model, got.Total(), prompt, want.Total(), err)
			}
		}
	}
}
