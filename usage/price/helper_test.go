package price_test

import (
	"compress/gzip"
	"io"
	"os"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage/price"
)

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

// at reads an instant in RFC 3339.
func at(text string) time.Time {
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return instant
}

var noon = at("2026-03-10T12:00:00Z")

// per returns rates that have no steps.
func per(million map[price.Class]string) price.Rates {
	rates := make(price.Rates)
	for class, text := range million {
		rates[class] = price.Rate{PerMillion: dec(text)}
	}
	return rates
}

// inOut returns rates of input and output.
func inOut(input, output string) price.Rates {
	return per(map[price.Class]string{price.Input: input, price.Output: output})
}

func newList(t testing.TB, providers ...price.Provider) *price.List {
	t.Helper()
	l, err := price.New("test", providers...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// single returns a list of one model, called m, of one provider.
func single(t testing.TB, prices ...price.Price) *price.List {
	t.Helper()
	return newList(t, price.Provider{ID: "p", Models: []price.Model{{ID: "m", Prices: prices}}})
}

func quote(t testing.TB, l *price.List, q price.Query) price.Quote {
	t.Helper()
	got, err := l.Quote(q)
	if err != nil {
		t.Fatalf("quote of %+v: %v", q, err)
	}
	return got
}

// unzipped opens a file of testdata.
func unzipped(t testing.TB, name string) io.Reader {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func genai(t testing.TB) *price.List {
	t.Helper()
	l, err := price.ReadGenAI("genai", unzipped(t, "genai_prices.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func litellm(t testing.TB) *price.List {
	t.Helper()
	l, err := price.ReadLiteLLM("litellm", unzipped(t, "litellm_prices.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func findings(err error) []*invalid.FieldError { return invalid.Fields(err) }
