package price_test

import (
	"testing"

	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

func recordedEvent() usage.Event {
	return usage.Event{
		ID: "e", Time: noon, Subject: usage.Subject{Resource: "claude-sonnet-4-5-20250929"},
		Amounts: usage.Amounts{InputTokens: 812, OutputTokens: 164, CacheReadTokens: 9511, CacheCreationTokens: 574},
	}
}

// BenchmarkPrice is what a price costs each event that is recorded.
func BenchmarkPrice(b *testing.B) {
	l, e := genai(b), recordedEvent()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := l.Price(e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnknownModel is what a name costs that is not found, and so not remembered.
func BenchmarkUnknownModel(b *testing.B) {
	l, e := genai(b), recordedEvent()
	e.Resource = "unheard of"
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := l.Price(e); err == nil {
			b.Fatal("it has a price")
		}
	}
}

// A price is on the way of every event: what it allocates are the decimals of its answer.
func TestPriceAllocatesLittle(t *testing.T) {
	l, e := genai(t), recordedEvent()
	if n := testing.AllocsPerRun(1000, func() { _, _, _ = l.Price(e) }); n > 2 {
		t.Errorf("%.0f allocations", n)
	}
}

// BenchmarkQuoteOfManyDigits is the price of one that no int64 holds.
func BenchmarkQuoteOfManyDigits(b *testing.B) {
	l := single(b, price.Price{Rates: inOut("0.18000000000000002", "1000000")})
	q := price.Query{Model: "m", Classes: price.Classes{price.Input: 812, price.Output: 164}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Quote(q); err != nil {
			b.Fatal(err)
		}
	}
}
