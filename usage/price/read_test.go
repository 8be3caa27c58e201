package price_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

// million is a million tokens of each class.
var million = func() (c price.Classes) {
	for i := range c {
		c[i] = 1_000_000
	}
	return c
}()

// A cost is what a query comes to, as text.
type cost struct{ Input, Output, Requests, By string }

func costOf(t *testing.T, l *price.List, q price.Query) cost {
	t.Helper()
	got := quote(t, l, q)
	return cost{got.Input.String(), got.Output.String(), got.Requests.String(), got.By}
}

func only(class price.Class, n int64) (c price.Classes) {
	c[class] = n
	return c
}

func TestTheListOfGenAIPrices(t *testing.T) {
	t.Parallel()
	l := genai(t)
	tests := map[string]struct {
		query price.Query
		want  cost
	}{
		"before a dated change": {
			price.Query{Model: "claude-sonnet-5", At: at("2026-08-31T23:59:59Z"), Classes: million},
			cost{"11.4", "40", "0", "genai anthropic/claude-sonnet-5"},
		},
		"from a dated change on": {
			price.Query{Model: "claude-sonnet-5", At: at("2026-09-01T00:00:00Z"), Classes: million},
			cost{"17.1", "60", "0", "genai anthropic/claude-sonnet-5 from 2026-09-01T00:00:00Z"},
		},
		"a tier by the prompt's size": {
			price.Query{Model: "claude-sonnet-4-5", Classes: only(price.Input, 200_001)},
			cost{"1.200006", "0", "0", "genai anthropic/claude-sonnet-4-5"},
		},
		"below it": {
			price.Query{Model: "claude-sonnet-4-5", Classes: only(price.Input, 200_000)},
			cost{"0.6", "0", "0", "genai anthropic/claude-sonnet-4-5"},
		},
		"the hours of a day": {
			price.Query{Provider: "deepseek", Model: "deepseek-reasoner", At: at("2026-01-01T00:30:00Z"), Classes: only(price.Output, 1_000_000)},
			cost{"0", "2.19", "0", "genai deepseek/deepseek-reasoner at 00:30"},
		},
		"audio": {
			price.Query{Model: "gemini-2.5-flash", Classes: price.Classes{price.InputAudio: 1_000_000, price.CacheReadAudio: 1_000_000}},
			cost{"1.1", "0", "0", "genai google/gemini-2.5-flash"},
		},
		"requests": {
			price.Query{Provider: "perplexity", Model: "sonar", Requests: 3, Classes: only(price.Output, 1_000_000)},
			cost{"0", "1", "0.036", "genai perplexity/sonar"},
		},
		"a price that is no short float": {
			price.Query{Provider: "openrouter", Model: "deepseek/deepseek-r1-distill-qwen-14b", Classes: only(price.Input, 1)},
			cost{"0.00000015", "0", "0", "genai openrouter/deepseek/deepseek-r1-distill-qwen-14b"},
		},
		"a free model": {
			price.Query{Provider: "openrouter", Model: "google/gemma-3-27b-it:free", Classes: million},
			cost{"0", "0", "0", "genai openrouter/google/gemma-3-27b-it:free"},
		},
		"prices of a maker at a cloud": {
			price.Query{Provider: "azure", Model: "claude-opus-4-1", Classes: only(price.Input, 1_000_000)},
			cost{"15", "0", "0", "genai anthropic/claude-opus-4-1"},
		},
		"a provider's other name": {
			price.Query{Provider: "vertex-ai", Model: "gemini-2.5-flash", Classes: only(price.Input, 1_000_000)},
			cost{"0.3", "0", "0", "genai google/gemini-2.5-flash"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, costOf(t, l, test.query)); diff != "" {
				t.Errorf("cost (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheListOfLiteLLM(t *testing.T) {
	t.Parallel()
	l := litellm(t)
	tests := map[string]struct {
		query price.Query
		want  cost
	}{
		"an hour in the cache": {
			price.Query{Model: "claude-haiku-4-5", Classes: price.Classes{price.CacheCreation: 1_000_000, price.CacheCreationLong: 1_000_000}},
			cost{"3.25", "0", "0", "litellm anthropic/claude-haiku-4-5"},
		},
		"an hour in the cache, after a long prompt": {
			price.Query{Model: "claude-sonnet-4-5", Classes: only(price.CacheCreationLong, 1_000_000)},
			cost{"12", "0", "0", "litellm anthropic/claude-sonnet-4-5"},
		},
		"per token is per million shifted, not multiplied as a float": {
			price.Query{Provider: "deepseek", Model: "deepseek-chat", Classes: only(price.CacheRead, 1)},
			cost{"0.000000028", "0", "0", "litellm deepseek/deepseek-chat"},
		},
		"a tier": {
			price.Query{Model: "gpt-5", Tier: "flex", Classes: price.Classes{price.Input: 1_000_000, price.Output: 1_000_000}},
			cost{"0.625", "5", "0", "litellm openai/gpt-5 flex"},
		},
		"no tier": {
			price.Query{Model: "gpt-5", Tier: "default", Classes: price.Classes{price.Input: 1_000_000, price.Output: 1_000_000}},
			cost{"1.25", "10", "0", "litellm openai/gpt-5"},
		},
		"a provider as genai-prices calls it": {
			price.Query{Provider: "google", Model: "gemini-2.5-pro", Classes: only(price.Output, 1_000_000)},
			cost{"0", "10", "0", "litellm google/gemini-2.5-pro"},
		},
		"a provider as LiteLLM calls it": {
			price.Query{Provider: "xai", Model: "grok-4.5", Classes: only(price.Input, 1)},
			cost{"0.000002", "0", "0", "litellm x-ai/grok-4.5"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, costOf(t, l, test.query)); diff != "" {
				t.Errorf("cost (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadLiteLLM(t *testing.T) {
	t.Parallel()
	l, err := price.ReadLiteLLM("l", strings.NewReader(`{
		"sample_spec": {"litellm_provider": "one of…", "input_cost_per_token": "0.0"},
		"p/steps": {"litellm_provider": "p", "input_cost_per_token": 1e-6, "input_cost_per_token_priority": 3e-6,
			"input_cost_per_token_above_100k_tokens": 2e-6, "input_cost_per_token_above_100k_tokens_priority": 4e-6,
			"output_cost_per_token": 7e-6, "output_cost_per_token_above_100k_tokens_flex": 8e-6, "input_cost_per_request": 0.25,
			"cache_read_input_token_cost_above_100k_tokens": 9e-9, "output_cost_per_reasoning_token": null},
		"images": {"litellm_provider": "p", "input_cost_per_token": 0, "output_cost_per_token": 0, "output_cost_per_image": 0.04},
		"free": {"litellm_provider": "p", "input_cost_per_token": 0, "output_cost_per_token": 0, "output_cost_per_image": 0},
		"seconds": {"litellm_provider": "p", "input_cost_per_second": 0.1}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		model, tier string
		tokens      int64
		want        string
	}{
		"short":                                  {"steps", "", 100_000, "0.1 7 0.25"},
		"long":                                   {"p/steps", "", 100_001, "0.200002 7 0.25"},
		"short, in a tier":                       {"steps", "priority", 100_000, "0.3 7 0.25"},
		"long, in a tier":                        {"steps", "priority", 100_001, "0.400004 7 0.25"},
		"a step of a tier on the ordinary price": {"steps", "flex", 100_001, "0.200002 8 0.25"},
		"what costs nothing by the token but something else": {"images", "", 1, "no price"},
		"what costs nothing":         {"free", "", 1, "0 0 0"},
		"what is not sold by tokens": {"seconds", "", 1, "no price"},
		"what explains the format":   {"sample_spec", "", 1, "no price"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := l.Quote(price.Query{
				Model: test.model, Tier: test.tier, Requests: 1, Classes: price.Classes{price.Input: test.tokens, price.Output: 1_000_000},
			})
			got := q.Input.String() + " " + q.Output.String() + " " + q.Requests.String()
			if errors.Is(err, price.ErrNoPrice) {
				got = "no price"
			}
			if got != test.want {
				t.Errorf("%s, want %s: %v", got, test.want, err)
			}
		})
	}
}

func TestReadCSV(t *testing.T) {
	t.Parallel()
	const list = "\ufeffprovider,model,match,from,tier,above,input,cache_read,cache_creation,cache_creation_long,output,request\n" +
		"acme, big ,starts_with,,,,3,0.3,3.75,6,15,\n" +
		"acme,big,,,,200000,6,0.6,,,22.5,\n" +
		"acme,big,,2026-09-01,,,2,,,,10,\n" +
		"acme,big,,,flex,,1.5,,,,7.5,\n" +
		",anywhere,,,,,0,,,,0.000000001,0.01\n"
	l, err := price.ReadCSV("own", strings.NewReader(list))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		query price.Query
		want  cost
	}{
		"its prices": {
			price.Query{Provider: "acme", Model: "big-1", At: noon, Classes: price.Classes{1000, 1000, 0, 1000, 1000, 0, 0, 1000}},
			cost{"0.01305", "0.015", "0", "own acme/big"},
		},
		"a longer prompt": {
			price.Query{Provider: "acme", Model: "big", At: noon, Classes: price.Classes{price.Input: 200_001, price.Output: 1000}},
			cost{"1.200006", "0.0225", "0", "own acme/big"},
		},
		"later": {
			price.Query{Provider: "acme", Model: "big", At: at("2026-09-01T00:00:00Z"), Classes: only(price.Input, 300_000)},
			cost{"0.6", "0", "0", "own acme/big from 2026-09-01T00:00:00Z"},
		},
		"a tier": {
			price.Query{Model: "big", Tier: "flex", At: noon, Classes: only(price.CacheRead, 1_000_000)},
			cost{"1.5", "0", "0", "own acme/big flex"},
		},
		"whoever sells it": {
			price.Query{Provider: "somebody", Model: "anywhere", Requests: 2, Classes: only(price.Output, 1)},
			cost{"0", "0.000000000000001", "0.02", "own anywhere"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, costOf(t, l, test.query)); diff != "" {
				t.Errorf("cost (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadTellsTheFormats(t *testing.T) {
	t.Parallel()
	for format, file := range map[string]string{
		"genai":   "\ufeff [{\"id\":\"p\",\"models\":[{\"id\":\"m\",\"match\":{\"equals\":\"m\"},\"prices\":{\"input_mtok\":7}}]}]",
		"litellm": "\n{\"m\":{\"litellm_provider\":\"p\",\"input_cost_per_token\":7e-6}}",
		"csv":     "\ufeffmodel,provider,input\nm,p,7\n",
	} {
		l, err := price.Read("x", strings.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got := quote(t, l, price.Query{Model: "m", Classes: only(price.Input, 1_000_000)}); got.Input.String() != "7" || got.By != "x p/m" {
			t.Errorf("%s: %s by %q", format, got.Input, got.By)
		}
	}
	if _, err := price.Read("x", broken{}); !errors.Is(err, errBroken) {
		t.Errorf("the error is %v", err)
	}
}

type reader func(name string, r io.Reader) (*price.List, error)

func TestAFileIsRefusedWithTheFieldsThatAreWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		read reader
		file string
		want []string
	}{
		"genai: no JSON":      {price.ReadGenAI, `[`, []string{"list"}},
		"genai: another JSON": {price.ReadGenAI, `{"models": 1}`, []string{"list"}},
		"genai: numbers": {price.ReadGenAI, `[{"id":"p","models":[{"id":"m","match":{"equals":"m"},"prices":{"input_mtok":"1_0","output_mtok":1e999,"cache_read_mtok":{"base":null,"tiers":[]},
			"cache_write_mtok":{"base":1,"tiers":[{"start":1,"price":true}]},"requests_kcount":"NaN"}}]}]`, []string{
			"p.m.prices[0].cache_read_mtok.base", "p.m.prices[0].cache_write_mtok.tiers[0].price", "p.m.prices[0].input_mtok",
			"p.m.prices[0].output_mtok", "p.m.prices[0].requests_kcount",
		}},
		"genai: a step of a part of a token": {
			price.ReadGenAI, `[{"id":"p","models":[{"id":"m","prices":{"input_mtok":{"base":1,"tiers":[{"start":1.5,"price":2}]}}}]}]`,
			[]string{"p.m.prices[0].input_mtok.tiers.start"},
		},
		"genai: conditions": {price.ReadGenAI, `[{"id":"p","model_match":{"regex":"("},"provider_match":{"sounds_like":"x"},"models":[{"id":"m","match":{"or":[{"equals":1},null,{}]},
			"prices":[{"constraint":{"start_date":"soon"},"prices":{}},{"constraint":{"start_time":"25:00:00Z"},"prices":{}}]}]}]`, []string{
			"p.provider_match", "p.model_match", "p.m.match.or[0].equals", "p.m.match.or[1]", "p.m.match.or[2]",
			"p.m.prices[0].start_date", "p.m.prices[1].start_time", "p.m.prices[1].end_time",
		}},
		"genai: conditions too deep": {
			price.ReadGenAI, `[{"id":"p","model_match":` + strings.Repeat(`{"or":[`, 20) + strings.Repeat(`]}`, 20) + `}]`,
			[]string{"p.model_match" + strings.Repeat(".or[0]", 9)},
		},
		"genai: a negative price": {price.ReadGenAI, `[{"id":"p","models":[{"id":"m","match":{"equals":"m"},"prices":{"input_mtok":-1}}]}]`, []string{"p.m.input"}},
		"litellm: another JSON":   {price.ReadLiteLLM, `{"m": 1}`, []string{"list"}},
		"litellm: numbers": {price.ReadLiteLLM, `{"m": {"litellm_provider":"p","input_cost_per_token":"free","output_cost_per_token":{}}, "n": {"litellm_provider": 7}}`, []string{
			"m.input_cost_per_token", "m.output_cost_per_token", "n.litellm_provider",
		}},
		"csv: empty":             {price.ReadCSV, "", []string{"list"}},
		"csv: an unknown column": {price.ReadCSV, "model,price\n", []string{"header"}},
		"csv: a column twice":    {price.ReadCSV, "model,input,input\n", []string{"header"}},
		"csv: no model":          {price.ReadCSV, "input,output\n1,2\n", []string{"header"}},
		"csv: too few fields":    {price.ReadCSV, "model,input\nm\n", []string{"line 2"}},
		"csv: a quote within":    {price.ReadCSV, "model,input\nm,1\na\"b,1\n", []string{"line 3"}},
		"csv: values, all at once": {price.ReadCSV, "model,from,above,input,match\nm,soon,,x,\n,,,1,\nn,,,1,like\no,,100,1,\np,,many,1,\n", []string{
			"line 2.from", "line 2.input", "line 3.model", "line 4.match", "line 5.above", "line 6.above",
		}},
		"csv: the same price twice": {price.ReadCSV, "model,input\nm,1\nm,2\n", []string{"line 3.model"}},
		"csv: a price out of range": {price.ReadCSV, "model,above,input,output\nm,,-1,1000001\nn,-5,1,\n", []string{"line 2.input", "line 2.output", "line 3.above"}},
		"csv: names": {
			price.ReadCSV, "model,provider,input\n" + strings.Repeat("n", 129) + ",p\x01,1\n", []string{"line 2.provider", "line 2.model"},
		},
		"csv: a request of longer prompts": {price.ReadCSV, "model,above,input,request\nm,,1,0.1\nm,5,2,0.2\n", []string{"line 3.request"}},
		"csv: the same step twice":         {price.ReadCSV, "model,above,input\nm,,1\nm,5,2\nm,5,3\n", []string{"line 4.input"}},
		"csv: two matches of a model": {price.ReadCSV, "model,match,from,input\nm,,,1\nm,equals,2026-01-01,1\nm,starts_with,2026-02-01,1\n", []string{
			"line 4.match",
		}},
		"csv: no rows":                    {price.ReadCSV, "model,input\n", []string{"list"}},
		"csv: rows without a price":       {price.ReadCSV, "model,input\nm,\n", []string{"list"}},
		"csv: a page that says no":        {price.ReadCSV, "<html>\n<h1>404 Not Found</h1>\n</html>\n", []string{"header"}},
		"genai: no providers":             {price.ReadGenAI, `[]`, []string{"list"}},
		"genai: no prices":                {price.ReadGenAI, `[{"id":"p","models":[{"id":"m","prices":{"characters_mtok":1}}]}]`, []string{"list"}},
		"litellm: no models":              {price.ReadLiteLLM, `{}`, []string{"list"}},
		"litellm: an answer that says no": {price.ReadLiteLLM, `{"error":{"message":"not found"}}`, []string{"list"}},
		"csv: a step on nothing":          {price.ReadCSV, "model,above,input,output\nm,,1,\nm,5,1,2\n", []string{"line 3.output"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := test.read("x", strings.NewReader(test.file))
			if l != nil || !errors.Is(err, usage.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			var got []string
			for _, f := range findings(err) {
				got = append(got, f.Field)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

func TestWhatIsWrongIsSaidInTheWordsOfTheFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		read reader
		file string
		want string
	}{
		"an answer that says no":      {price.ReadLiteLLM, `{"error":"not found"}`, "list: must be an object, not a string"},
		"an object for a list":        {price.ReadGenAI, `{}`, "list: must be a list, not an object"},
		"a list for an object":        {price.ReadLiteLLM, `[]`, "list: must be an object, not a list"},
		"a number for a string":       {price.ReadGenAI, `[{"id":7}]`, "list.id: must be a string, not a number"},
		"true for a list":             {price.ReadGenAI, `[{"id":"p","models":true}]`, "list.models: must be a list, not true or false"},
		"a fraction of tokens":        {price.ReadGenAI, `[{"id":"p","models":[{"id":"m","prices":{"input_mtok":{"base":1,"tiers":[{"start":1.5,"price":1}]}}}]}]`, "must be a whole number, not 1.5"},
		"half a file":                 {price.ReadGenAI, `[{"id":`, "list: is no JSON: unexpected end of JSON input"},
		"an empty file, genai-prices": {price.ReadGenAI, " \n", "list: is empty"},
		"an empty file, LiteLLM":      {price.ReadLiteLLM, "", "list: is empty"},
		"an empty file, CSV":          {price.ReadCSV, "\n", "list: is empty"},
		"an empty file of any format": {price.Read, "", "list: is empty"},
		"too few fields":              {price.ReadCSV, "model,input\nm\n", "line 2: has not as many fields as the header"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.read("x", strings.NewReader(test.file))
			if !errors.Is(err, usage.ErrInvalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "Go ") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestReadersSayWhatTheFileSays(t *testing.T) {
	t.Parallel()
	for _, read := range []reader{price.ReadGenAI, price.ReadLiteLLM, price.ReadCSV} {
		if _, err := read("x", broken{}); !errors.Is(err, errBroken) {
			t.Errorf("the error is %v", err)
		}
	}
}

func FuzzReadGenAI(f *testing.F) {
	f.Add([]byte(`[{"id":"p","model_match":{"or":[{"contains":"m"},{"regex":"^x"}]},"models":[{"id":"m","match":{"starts_with":"m"},"prices":[{"prices":{"input_mtok":{"base":1,"tiers":[{"start":2,"price":3}]}}},{"constraint":{"start_date":"2026-01-01","start_time":"00:30:00Z","end_time":"16:30:00Z"},"prices":{"output_mtok":0.18000000000000002}}]}]}]`))
	f.Add([]byte(`[{"id":"","models":[{"id":"m","prices":{}}]}]`))
	fuzz(f, price.ReadGenAI)
}

func FuzzReadLiteLLM(f *testing.F) {
	f.Add([]byte(`{"m":{"litellm_provider":"p","input_cost_per_token":1e-6,"cache_creation_input_token_cost_above_1hr_above_200k_tokens":6e-06,"input_cost_per_token_above_200k_tokens_priority":2e-6}}`))
	fuzz(f, price.ReadLiteLLM)
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("provider,model,match,from,tier,above,input,output\np,m,regex,2026-01-01,flex,,1,2\np,m,,2026-01-01,flex,5,3,4\n"))
	fuzz(f, price.ReadCSV)
}

// fuzz reads anything. What is read can be asked, and answers with a price that is not negative, or with an error.
func fuzz(f *testing.F, read reader) {
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := read("fuzz", bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, usage.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		for _, model := range []string{"m", "p/m", "x"} {
			q, err := l.Quote(price.Query{Model: model, At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), Classes: million})
			if err == nil && (q.Input.IsNegative() || q.Output.IsNegative() || len(q.By) > 128) {
				t.Fatalf("%+v", q)
			}
		}
	})
}
