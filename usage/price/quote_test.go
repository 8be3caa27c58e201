package price_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

func TestTokensCostWhatTheirClassCosts(t *testing.T) {
	t.Parallel()
	all := per(map[price.Class]string{
		price.Input: "3", price.CacheRead: "0.3", price.CacheReadAudio: "0.4", price.CacheCreation: "3.75",
		price.CacheCreationLong: "6", price.InputAudio: "10", price.InputImage: "8",
		price.Output: "15", price.OutputReasoning: "16", price.OutputAudio: "20", price.OutputImage: "30",
	})
	tests := map[string]struct {
		rates         price.Rates
		classes       price.Classes
		input, output string
	}{
		"nothing":          {all, price.Classes{}, "0", "0"},
		"input and output": {all, price.Classes{price.Input: 1, price.Output: 1}, "0.000003", "0.000015"},
		"cached tokens are not paid as input too": {
			all, price.Classes{price.Input: 100, price.CacheRead: 1_000_000}, "0.3003", "0",
		},
		"every class has its price": {
			all, million,
			"31.45", "81",
		},
		"a class without one costs what the broader one does": {
			inOut("3", "15"), price.Classes{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, "0.000021", "0.00006",
		},
		"an hour in the cache costs what minutes do if nothing is said": {
			per(map[price.Class]string{price.Input: "3", price.CacheCreation: "3.75", price.Output: "15"}),
			price.Classes{price.CacheCreationLong: 1_000_000},
			"3.75", "0",
		},
		"digits that no float has": {
			inOut("0.18000000000000002", "1000000"),
			price.Classes{price.Input: 3, price.Output: 1_000_000_000_000},
			"0.00000054000000000000006", "1000000000000",
		},
		"tokens times a price that passes an int64": {
			inOut("999999.999999", "1.5"), price.Classes{price.Input: 1_000_000_000_000, price.Output: 2}, "999999999999", "0.000003",
		},
		"what passes an int64 is exact too": {
			inOut("123456.123456789012345678", "999999.999999999999"),
			price.Classes{price.Input: 999_999_999_999, price.Output: 1_000_000_000_000},
			"123456123456.665556222221210987654322", "999999999999.999999",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := single(t, price.Price{Rates: test.rates})
			got := quote(t, l, price.Query{Model: "m", At: noon, Classes: test.classes})
			if !got.Input.Equal(dec(test.input)) || !got.Output.Equal(dec(test.output)) {
				t.Errorf("%s and %s, want %s and %s", got.Input, got.Output, test.input, test.output)
			}
		})
	}
}

func TestTiersBegin(t *testing.T) {
	t.Parallel()
	step := func(base, above string) price.Rate {
		return price.Rate{PerMillion: dec(base), Above: []price.Step{
			{Tokens: 400_000, PerMillion: dec("100")}, {Tokens: 200_000, PerMillion: dec(above)},
		}}
	}
	l := single(t, price.Price{Rates: price.Rates{
		price.Input: step("3", "6"), price.Output: step("15", "22.5"), price.CacheRead: {PerMillion: dec("0.3")},
	}})
	tests := map[string]struct {
		classes       price.Classes
		input, output string
	}{
		"not at their number": {price.Classes{price.Input: 200_000, price.Output: 1000}, "0.6", "0.015"},
		"above it, and for all of the prompt and its answer": {
			price.Classes{price.Input: 200_001, price.Output: 1000}, "1.200006", "0.0225",
		},
		"cached tokens belong to the prompt, and keep their price if there is one for all lengths": {
			price.Classes{price.Input: 1, price.CacheRead: 200_000, price.Output: 1000}, "0.060006", "0.0225",
		},
		"the answer's length does not matter": {price.Classes{price.Input: 1, price.Output: 1_000_000}, "0.000003", "15"},
		"the highest counts":                  {price.Classes{price.Input: 400_001}, "40.0001", "0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := quote(t, l, price.Query{Model: "m", Classes: test.classes})
			if !got.Input.Equal(dec(test.input)) || !got.Output.Equal(dec(test.output)) {
				t.Errorf("%s and %s, want %s and %s", got.Input, got.Output, test.input, test.output)
			}
		})
	}
}

func TestThePriceInForce(t *testing.T) {
	t.Parallel()
	change := at("2026-09-01T00:00:00Z")
	dated := []price.Price{{From: change, Rates: inOut("3", "0")}, {Rates: inOut("2", "0")}}
	night := []price.Price{{Rates: inOut("1", "0")}, {Hours: &price.Hours{From: 30 * time.Minute, To: 16*time.Hour + 30*time.Minute}, Rates: inOut("4", "0")}}
	overnight := []price.Price{{Rates: inOut("1", "0")}, {Hours: &price.Hours{From: 22 * time.Hour, To: time.Hour}, Rates: inOut("5", "0")}}
	tests := map[string]struct {
		prices []price.Price
		tier   string
		at     time.Time
		want   string
		by     string
	}{
		"before a change":               {dated, "", change.Add(-time.Microsecond), "2", "test p/m"},
		"its start belongs to it":       {dated, "", change, "3", "test p/m from 2026-09-01T00:00:00Z"},
		"in any zone":                   {dated, "", change.In(time.FixedZone("", -7*3600)), "3", "test p/m from 2026-09-01T00:00:00Z"},
		"before the hours":              {night, "", at("2026-03-10T00:29:59.999999Z"), "1", "test p/m"},
		"the hours' start":              {night, "", at("2026-03-10T00:30:00Z"), "4", "test p/m at 00:30"},
		"the hours are of UTC":          {night, "", at("2026-03-10T18:29:00+02:00"), "4", "test p/m at 00:30"},
		"the hours' end is outside":     {night, "", at("2026-03-10T16:30:00Z"), "1", "test p/m"},
		"hours past midnight, evening":  {overnight, "", at("2026-03-10T23:00:00Z"), "5", "test p/m at 22:00"},
		"hours past midnight, morning":  {overnight, "", at("2026-03-10T00:59:59Z"), "5", "test p/m at 22:00"},
		"hours past midnight, daytime":  {overnight, "", at("2026-03-10T01:00:00Z"), "1", "test p/m"},
		"a tier of its own":             {[]price.Price{{Rates: inOut("2", "0")}, {Tier: "flex", Rates: inOut("1", "0")}}, "flex", noon, "1", "test p/m flex"},
		"the ordinary one of the tiers": {[]price.Price{{Rates: inOut("2", "0")}, {Tier: "flex", Rates: inOut("1", "0")}}, "", noon, "2", "test p/m"},
		"a tier without prices":         {[]price.Price{{Rates: inOut("2", "0")}, {Tier: "flex", Rates: inOut("1", "0")}}, "priority", noon, "2", "test p/m"},
		"of the same instant the last":  {[]price.Price{{Rates: inOut("2", "0")}, {Rates: inOut("7", "0")}}, "", noon, "7", "test p/m"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := quote(t, single(t, test.prices...), price.Query{
				Model: "m", Tier: test.tier, At: test.at, Classes: price.Classes{price.Input: 1_000_000},
			})
			if !got.Input.Equal(dec(test.want)) || got.By != test.by {
				t.Errorf("%s by %q, want %s by %q", got.Input, got.By, test.want, test.by)
			}
		})
	}
}

func TestNothingIsFreeByAccident(t *testing.T) {
	t.Parallel()
	inputOnly := per(map[price.Class]string{price.Input: "1"})
	tests := map[string]struct {
		price   price.Price
		model   string
		classes price.Classes
		want    error
	}{
		"another model":                    {price.Price{Rates: inputOnly}, "n", price.Classes{price.Input: 1}, price.ErrNoPrice},
		"no model":                         {price.Price{Rates: inputOnly}, "", price.Classes{price.Input: 1}, price.ErrNoPrice},
		"before its first price":           {price.Price{From: noon.Add(1), Rates: inputOnly}, "m", price.Classes{price.Input: 1}, price.ErrNoPrice},
		"a class without a price":          {price.Price{Rates: inputOnly}, "m", price.Classes{price.Output: 1}, price.ErrNoPrice},
		"no rates at all":                  {price.Price{}, "m", price.Classes{price.Input: 1}, price.ErrNoPrice},
		"a class without a price, unused":  {price.Price{Rates: inputOnly}, "m", price.Classes{price.Input: 1}, nil},
		"what the list says is free":       {price.Price{Free: true}, "m", price.Classes{price.Input: 1, price.Output: 1}, nil},
		"a price of 0":                     {price.Price{Rates: inOut("0", "0")}, "m", price.Classes{price.Output: 1}, nil},
		"less than no tokens":              {price.Price{Rates: inputOnly}, "m", price.Classes{price.Input: -1}, usage.ErrInvalid},
		"more tokens than any event holds": {price.Price{Rates: inputOnly}, "m", price.Classes{price.Input: 1e12 + 1}, usage.ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := single(t, test.price).Quote(price.Query{Model: test.model, At: noon, Classes: test.classes})
			if !errors.Is(err, test.want) {
				t.Errorf("the error is %v, want %v", err, test.want)
			}
		})
	}
}

func TestADefaultPricesWhatTheListDoesNot(t *testing.T) {
	t.Parallel()
	l, err := single(t, price.Price{From: noon, Rates: inOut("1", "1")}).WithDefault(price.Price{Rates: inOut("10", "20")})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []price.Query{{Model: "unheard of", At: noon}, {Model: "m", At: noon.Add(-1)}} {
		q.Classes = price.Classes{price.Input: 1, price.Output: 1}
		if got := quote(t, l, q); !got.Total().Equal(dec("0.00003")) || got.By != "default" {
			t.Errorf("%s by %q", got.Total(), got.By)
		}
	}
	if got := quote(t, l, price.Query{Model: "m", At: noon, Classes: price.Classes{price.Input: 1}}); got.By == "default" {
		t.Error("what has a price is priced by the default")
	}
	inputOnly, err := single(t, price.Price{Rates: per(map[price.Class]string{price.Input: "1"})}).WithDefault(price.Price{Rates: inOut("10", "20")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := inputOnly.Quote(price.Query{Model: "m", Classes: price.Classes{price.Output: 1}}); !errors.Is(err, price.ErrNoPrice) {
		t.Errorf("a model in force that lacks the price of a class: %s by %q, %v, want ErrNoPrice", got.Total(), got.By, err)
	}
	if _, err := l.WithDefault(price.Price{Rates: inOut("-1", "0")}); !errors.Is(err, usage.ErrInvalid) {
		t.Errorf("a negative default: %v", err)
	}
}

func TestTheZeroListHasNoPrices(t *testing.T) {
	t.Parallel()
	q := price.Query{Model: "m", Classes: price.Classes{price.Input: 1_000_000}}
	var none price.List
	for name, l := range map[string]*price.List{"the zero List": &none, "nothing merged": price.Merge(), "nil merged": price.Merge(nil)} {
		if got, err := l.Quote(q); !errors.Is(err, price.ErrNoPrice) {
			t.Errorf("%s: %s, %v, want ErrNoPrice", name, got.Total(), err)
		}
	}
	if got := quote(t, price.Merge(nil, &none, single(t, price.Price{Rates: inOut("1", "2")})), q); !got.Total().Equal(dec("1")) {
		t.Errorf("behind lists without prices it costs %s", got.Total())
	}
	withDefault, err := none.WithDefault(price.Price{Rates: inOut("7", "8")})
	if err != nil {
		t.Fatal(err)
	}
	if got := quote(t, withDefault, q); !got.Total().Equal(dec("7")) {
		t.Errorf("by default it costs %s", got.Total())
	}
}

func TestAClassIsCalledAsInCSV(t *testing.T) {
	t.Parallel()
	for class, want := range map[price.Class]string{price.Input: "input", price.OutputImage: "output_image", 11: "Class(11)", 255: "Class(255)"} {
		if got := class.String(); got != want {
			t.Errorf("%d is %q, want %q", uint8(class), got, want)
		}
	}
}

func TestAModelThatIsNotNamedIsCalledSo(t *testing.T) {
	t.Parallel()
	_, err := single(t, price.Price{Rates: inOut("1", "2")}).Quote(price.Query{Provider: "p", Classes: price.Classes{price.Input: 1}})
	if !errors.Is(err, price.ErrNoPrice) || !strings.Contains(err.Error(), "no model is named") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnEventsPrice(t *testing.T) {
	t.Parallel()
	l := newList(t,
		price.Provider{ID: "maker", Makes: price.Equal("m"), Models: []price.Model{{ID: "m", Prices: []price.Price{
			{Rates: inOut("1", "2"), Request: dec("0.005")}, {Tier: "flex", Rates: inOut("0.5", "1")},
		}}}},
		price.Provider{ID: "reseller", Models: []price.Model{{ID: "m", Prices: []price.Price{{Rates: inOut("1.1", "2.2")}}}}},
	)
	event := func(change func(*usage.Event)) usage.Event {
		e := usage.Event{
			Time: noon, Subject: usage.Subject{Resource: "m"},
			Amounts: usage.Amounts{InputTokens: 1_000_000, OutputTokens: 1_000_000, CacheReadTokens: 1_000_000, CacheCreationTokens: 1_000_000},
		}
		change(&e)
		return e
	}
	tests := map[string]struct {
		event    usage.Event
		want, by string
		err      error
	}{
		"its four classes and one request": {event(func(*usage.Event) {}), "5.005", "test maker/m", nil},
		"its requests":                     {event(func(e *usage.Event) { e.Requests = new(int64(3)) }), "5.015", "test maker/m", nil},
		"its provider":                     {event(func(e *usage.Event) { e.Labels = map[string]string{"provider": "Reseller"} }), "5.5", "test reseller/m", nil},
		"its tier":                         {event(func(e *usage.Event) { e.Labels = map[string]string{"service_tier": "flex"} }), "2.5", "test maker/m flex", nil},
		"a total that says less":           {event(func(e *usage.Event) { e.TotalTokens = new(int64(7)) }), "5.005", "test maker/m", nil},
		"a request without tokens":         {event(func(e *usage.Event) { e.Amounts = usage.Amounts{} }), "0.005", "test maker/m", nil},
		"nothing at all needs no price":    {usage.Event{Amounts: usage.Amounts{Requests: new(int64(0)), Runs: 1}}, "0", "", nil},
		"a request to nobody knows whom":   {usage.Event{}, "0", "", price.ErrNoPrice},
		"tokens of no class": {
			event(func(e *usage.Event) { e.Amounts = usage.Amounts{TotalTokens: new(int64(7))} }), "0", "", price.ErrNoPrice,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, by, err := l.Price(test.event)
			if !errors.Is(err, test.err) || !got.Equal(dec(test.want)) || by != test.by {
				t.Errorf("%s by %q and %v, want %s by %q and %v", got, by, err, test.want, test.by, test.err)
			}
		})
	}
}

// Whatever the digits, the sum is that of decimals: the fast way of computing it must not show.
func TestQuotesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rates := make(price.Rates)
		decimals := rapid.Custom(func(t *rapid.T) decimal.Decimal {
			places := rapid.Int32Range(0, 20).Draw(t, "places")
			return decimal.New(rapid.Int64Range(0, 1_000_000).Draw(t, "digits"), -places)
		})
		var classes price.Classes
		want := map[bool]decimal.Decimal{}
		for _, class := range price.AllClasses() {
			rates[class] = price.Rate{PerMillion: decimals.Draw(t, class.String())}
			classes[class] = rapid.Int64Range(0, 1e12).Draw(t, "tokens")
			output := class >= price.Output
			want[output] = want[output].Add(rates[class].PerMillion.Mul(decimal.NewFromInt(classes[class])).Shift(-6))
		}
		l, err := price.New("test", price.Provider{ID: "p", Models: []price.Model{{ID: "m", Prices: []price.Price{{Rates: rates}}}}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.Quote(price.Query{Model: "m", Classes: classes})
		if err != nil || !got.Input.Equal(want[false]) || !got.Output.Equal(want[true]) {
			t.Fatalf("%s and %s, want %s and %s: %v", got.Input, got.Output, want[false], want[true], err)
		}
	})
}
