package price_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

// costing returns a model of which a million input tokens cost so much.
func costing(id, perMillion string, match price.Match) price.Model {
	return price.Model{ID: id, Match: match, Prices: []price.Price{{Rates: inOut(perMillion, "0")}}}
}

func TestModelsAreFoundByTheirNames(t *testing.T) {
	t.Parallel()
	regexp, err := price.Regexp(`^o[134]-\d+$`)
	if err != nil {
		t.Fatal(err)
	}
	l := newList(t,
		price.Provider{ID: "maker", Aliases: price.Any(price.Equal("the-maker"), price.Contains("factory")), Makes: price.Prefix("gpt-"), Models: []price.Model{
			costing("gpt-5-mini", "1", price.Any(price.Equal("gpt-5-mini"), price.Prefix("gpt-5-mini-"))),
			costing("gpt-5", "2", price.Prefix("gpt-5")),
			costing("o", "3", regexp),
			costing("any audio", "4", price.All(price.Contains("audio"), price.Suffix("preview"))),
			costing("Exact", "5", nil),
		}},
		price.Provider{ID: "cloud", Others: []string{"nobody", "maker"}, Models: []price.Model{
			costing("gpt-5", "2.2", price.Equal("gpt-5")), costing("llama", "6", nil), costing("qwen", "7", nil),
		}},
		price.Provider{ID: "discounter", Models: []price.Model{costing("qwen", "0.1", nil), costing("maker/gpt-5", "1.9", nil)}},
	)
	tests := map[string]struct{ provider, model, want string }{
		"the first that matches counts":                          {"", "gpt-5-mini-2025", "1"},
		"another of the same maker":                              {"", "gpt-5.1", "2"},
		"whatever the case":                                      {"MAKER", "GPT-5-Mini", "1"},
		"a regular expression":                                   {"maker", "o3-17", "3"},
		"which does not match all":                               {"maker", "o2-17", "no price"},
		"all conditions":                                         {"maker", "x-audio-preview", "4"},
		"not one of two conditions":                              {"maker", "x-audio", "no price"},
		"its id, if nothing else is said":                        {"maker", "exact", "5"},
		"not a part of its id":                                   {"maker", "exac", "no price"},
		"an alias of the provider":                               {"the-maker", "gpt-5", "2"},
		"another alias":                                          {"gpt factory", "gpt-5", "2"},
		"the provider that is named":                             {"cloud", "gpt-5", "2.2"},
		"one whose prices hold there too":                        {"cloud", "gpt-5-mini", "1"},
		"not another":                                            {"maker", "llama", "no price"},
		"an unknown provider":                                    {"elsewhere", "gpt-5", "no price"},
		"the maker's price where no provider is named":           {"", "gpt-5", "2"},
		"a provider before the slash":                            {"", "cloud/gpt-5", "2.2"},
		"the one that sells it":                                  {"", "llama", "6"},
		"several sell it, one must be named":                     {"", "qwen", "no price"},
		"a provider before the slash goes before a model's name": {"", "maker/gpt-5", "2"},
		"the whole name of a provider that is named":             {"discounter", "maker/gpt-5", "1.9"},
		"nothing before the slash":                               {"", "/llama", "no price"},
	}
	for name, test := range tests {
		for _, turn := range []string{"found", "remembered"} {
			t.Run(name+", "+turn, func(t *testing.T) {
				q, err := l.Quote(price.Query{Provider: test.provider, Model: test.model, Classes: price.Classes{price.Input: 1_000_000}})
				got := q.Input.String()
				if errors.Is(err, price.ErrNoPrice) {
					got = "no price"
				} else if err != nil {
					t.Fatal(err)
				}
				if got != test.want {
					t.Errorf("%s by %q, want %s: %v", got, q.By, test.want, err)
				}
			})
		}
	}
	_, err = l.Quote(price.Query{Model: "qwen"})
	if err == nil || !strings.Contains(err.Error(), "cloud, discounter") {
		t.Errorf("%v does not say who sells it", err)
	}
}

func TestModelsWithoutAProviderCostTheSameWhoeverSellsThem(t *testing.T) {
	t.Parallel()
	l := newList(t,
		price.Provider{ID: "cloud", Models: []price.Model{costing("own", "1", nil), costing("both", "2", nil)}},
		price.Provider{Models: []price.Model{costing("both", "3", nil), costing("all", "4", nil)}},
	)
	for name, test := range map[string]struct{ provider, model, want string }{
		"one that does not list it":                            {"cloud", "all", "4"},
		"one that lists it at its own price":                   {"cloud", "both", "2"},
		"one that is not listed":                               {"elsewhere", "both", "3"},
		"who is not named":                                     {"", "all", "4"},
		"who is not named, of what one lists at its own price": {"", "both", "3"},
		"who is named before the slash":                        {"", "cloud/both", "2"},
		"the one that lists it alone":                          {"", "own", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := l.Quote(price.Query{Provider: test.provider, Model: test.model, Classes: price.Classes{price.Input: 1_000_000}})
			if err != nil || q.Input.String() != test.want {
				t.Errorf("%s by %q, want %s: %v", q.Input, q.By, test.want, err)
			}
		})
	}
}

func TestMergedListsGoOneBeforeTheOther(t *testing.T) {
	t.Parallel()
	list := func(name string, models ...price.Model) *price.List {
		l, err := price.New(name, price.Provider{ID: "p", Models: models})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	later := price.Model{ID: "b", Prices: []price.Price{{From: noon, Rates: inOut("7", "0")}}}
	own, err := list("own", costing("a", "1", nil), later).WithDefault(price.Price{Rates: inOut("50", "0")})
	if err != nil {
		t.Fatal(err)
	}
	public, err := list("public", costing("a", "2", nil), costing("b", "3", nil)).WithDefault(price.Price{Rates: inOut("60", "0")})
	if err != nil {
		t.Fatal(err)
	}
	merged := price.Merge(own, public, list("more", costing("b", "4", nil), costing("c", "5", nil)))
	for model, want := range map[string]string{"a": "1 own p/a", "b": "3 public p/b", "c": "5 more p/c", "d": "50 default"} {
		got := quote(t, merged, price.Query{Provider: "p", Model: model, Classes: price.Classes{price.Input: 1_000_000}})
		if text := got.Total().String() + " " + got.By; text != want {
			t.Errorf("%s costs %s, want %s", model, text, want)
		}
	}
	q := price.Query{Provider: "p", Model: "b", At: noon, Classes: price.Classes{price.Input: 1_000_000}}
	if got := quote(t, merged, q); got.By != "own p/b from 2026-03-10T12:00:00Z" {
		t.Errorf("what is in force counts from its start on, not %s", got.By)
	}
	if got := quote(t, public, price.Query{Model: "a", Classes: price.Classes{price.Input: 1_000_000}}); got.By != "public p/a" {
		t.Errorf("the merged list changed its parts: %s", got.By)
	}
}

// Names come from outside, so that there is no end of them.
func TestAListForgetsNamesRatherThanGrow(t *testing.T) {
	t.Parallel()
	l := newList(t, price.Provider{ID: "p", Models: []price.Model{costing("m", "1", price.Prefix("m"))}})
	for i := range 3 * 4096 {
		quote(t, l, price.Query{Model: fmt.Sprintf("m%d", i)})
	}
	if n := l.Remembered(); n > 4096 {
		t.Errorf("%d names are remembered", n)
	}
}

func TestAListSharesNothingWithItsCaller(t *testing.T) {
	t.Parallel()
	hours := &price.Hours{To: 24 * time.Hour}
	rates := inOut("1", "1")
	prices := []price.Price{{Hours: hours, Rates: rates}}
	others := []string{"p"}
	l := newList(t,
		price.Provider{ID: "p", Models: []price.Model{{ID: "m", Prices: prices}}}, price.Provider{ID: "q", Others: others})
	*hours, others[0] = price.Hours{}, "nobody"
	clear(rates)
	clear(prices)
	if got := quote(t, l, price.Query{Provider: "q", Model: "m", At: noon, Classes: price.Classes{price.Input: 1_000_000}}); !got.Input.Equal(dec("1")) {
		t.Errorf("it costs %s", got.Input)
	}
}

func TestAListIsRefusedWithAllItsFindings(t *testing.T) {
	t.Parallel()
	bad := price.Rates{
		price.Input:  {PerMillion: dec("-1")},
		price.Output: {PerMillion: dec("1000001"), Above: []price.Step{{Tokens: -1, PerMillion: dec("1e70")}}},
		99:           {},
	}
	_, err := price.New(strings.Repeat("n", 41),
		price.Provider{ID: "p\n", Models: []price.Model{
			{ID: "m", Prices: []price.Price{{Rates: bad, Request: dec("-0.1")}}}, {},
		}})
	var fields []string
	for _, f := range findings(err) {
		fields = append(fields, f.Field)
	}
	want := []string{
		"name", "provider", "p\n.m.request", "p\n.m.input", "p\n.m.output", "p\n.m.output.above_-1", "p\n.m.output", "p\n.m",
		"p\n.model",
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if !errors.Is(err, usage.ErrInvalid) {
		t.Errorf("%v is not ErrInvalid", err)
	}
}

func TestWhatSomethingWasPricedByIsShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 60)
	l := newList(t, price.Provider{ID: long, Models: []price.Model{costing(long, "1", nil)}})
	by := quote(t, l, price.Query{Model: long}).By
	if len(by) > 128 || !strings.HasPrefix(by, "test ü") || !strings.HasSuffix(by, "ü") {
		t.Errorf("%d bytes: %q", len(by), by)
	}
}
