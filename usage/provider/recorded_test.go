package provider_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/usage/price"
	"github.com/purser-go/purser/usage/provider"
)

// A recording is what a provider reported, with what the tool that recorded it made of it by every interface that fitted.
type recording struct {
	Body      json.RawMessage `json:"body"`
	Extracted []struct {
		Usage      map[string]int64 `json:"usage"`
		Extractors []struct {
			Provider string       `json:"provider_id"`
			API      string       `json:"api_flavor"`
			Input    *json.Number `json:"input_price,string"`
			Output   *json.Number `json:"output_price,string"`
		} `json:"extractors"`
	} `json:"extracted"`
}

func (r recording) file() string {
	var b struct{ File string }
	_ = json.Unmarshal(r.Body, &b)
	return b.File[strings.LastIndex(b.File, "/")+1:]
}

func recordings(t testing.TB) (all []recording) {
	t.Helper()
	read(t, "testdata/provider_usages.json.gz", func(r io.Reader) error { return json.NewDecoder(r).Decode(&all) })
	return all
}

func genai(t testing.TB) (l *price.List) {
	t.Helper()
	read(t, "../price/testdata/genai_prices.json.gz", func(r io.Reader) (err error) {
		l, err = price.ReadGenAI("genai", r)
		return err
	})
	return l
}

func read(t testing.TB, file string, read func(io.Reader) error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		err = read(z)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// recordedAt is an instant of the prices with which the tool computed: before those of September 2026.
var recordedAt = time.Date(2026, time.August, 1, 12, 0, 0, 0, time.UTC)

// classesByName are the recorded classes of which there is one here too, or a sum of some.
var classesByName = map[string][]price.Class{
	"input_tokens": {
		price.Input, price.CacheRead, price.CacheReadAudio, price.CacheCreation, price.CacheCreationLong, price.InputAudio,
		price.InputImage,
	},
	"cache_read_tokens":       {price.CacheRead, price.CacheReadAudio},
	"cache_audio_read_tokens": {price.CacheReadAudio},
	"cache_write_tokens":      {price.CacheCreation, price.CacheCreationLong},
	"cache_write_5m_tokens":   {price.CacheCreation},
	"input_audio_tokens":      {price.InputAudio, price.CacheReadAudio},
	"output_tokens":           {price.Output, price.OutputReasoning, price.OutputAudio, price.OutputImage},
	"output_reasoning_tokens": {price.OutputReasoning},
	"output_image_tokens":     {price.OutputImage},
}

// A comparison says how what is read of a recording differs from what the tool made of it by the same interface.
type comparison struct {
	tokens, dollars string // "": they are the same
	priced          bool   // there are dollars on both sides, so that these were compared
}

func (c comparison) String() string { return c.tokens + c.dollars }

func (r recording) compare(u provider.Usage, l *price.List) (c comparison) {
	for _, extracted := range r.Extracted {
		for _, e := range extracted.Extractors {
			if e.Provider != u.API.Provider || e.API != u.API.Name {
				continue
			}
			c.tokens = differentTokens(u, extracted.Usage)
			q, err := l.Quote(u.Query(recordedAt))
			c.priced = err == nil && e.Input != nil && e.Output != nil
			switch {
			case c.priced && q.Input.String()+" "+q.Output.String() != short(*e.Input)+" "+short(*e.Output):
				c.dollars = fmt.Sprintf("costs %s and %s, recorded %s and %s", q.Input, q.Output, *e.Input, *e.Output)
			case !c.priced && (e.Input != nil || !errors.Is(err, price.ErrNoPrice)):
				c.dollars = fmt.Sprintf("costs %s: %v", q.Total(), err)
			}
			return c
		}
	}
	return comparison{tokens: "not recorded by " + u.API.String()}
}

func differentTokens(u provider.Usage, recorded map[string]int64) string {
	for name, classes := range classesByName {
		n := int64(0)
		for _, class := range classes {
			n += u.Classes[class]
		}
		want, known := recorded[name]
		if always := name == "input_tokens" || name == "output_tokens" || strings.HasSuffix(name, "_read_tokens") || name == "cache_write_tokens"; n != want && (known || always) {
			return fmt.Sprintf("%s is %d, recorded %d", name, n, want)
		}
	}
	return ""
}

func short(n json.Number) string { return dec(n.String()).String() }

// five are the interfaces of the five providers that are promised.
var five = []string{
	"anthropic/default", "anthropic/chat", "aws/default", "google/default", "google/chat", "mistral/default",
	"openai/chat", "openai/embeddings", "openai/responses",
}

// A count is how many bodies there are, of how many the tokens of all classes are those recorded, how many have a price in the
// list and in the recording, and of how many of these the dollars are the same.
type count struct{ Bodies, Tokens, Priced, Dollars int }

func (c count) plus(o count) count {
	return count{c.Bodies + o.Bodies, c.Tokens + o.Tokens, c.Priced + o.Priced, c.Dollars + o.Dollars}
}

func (c comparison) count() count {
	n := count{Bodies: 1}
	if c.tokens == "" {
		n.Tokens = 1
	}
	if c.priced {
		n.Priced = 1
		if c.dollars == "" {
			n.Dollars = 1
		}
	}
	return n
}

// Every body is read by the interface that its own shape names, with nothing else known, before its price is looked for. Its
// tokens are what an independent tool found by that interface, and where the list of that time has its model, so are the
// dollars, to the last digit.
func TestRecordedUsage(t *testing.T) {
	t.Parallel()
	l := genai(t)
	counts := make(map[string]count)
	var deviations []string
	for _, r := range recordings(t) {
		u, err := provider.Read(r.Body, provider.API{})
		name, c := u.API.String(), comparison{}
		if err != nil {
			name, c.tokens = "unknown", err.Error()
		} else {
			c = r.compare(u, l)
		}
		counts[name] = counts[name].plus(c.count())
		if c.String() != "" {
			deviations = append(deviations, fmt.Sprintf("%s %s: %s", name, r.file(), c))
		}
	}

	wantCounts := map[string]count{
		"anthropic/default": {108, 108, 108, 108},
		"aws/default":       {111, 111, 0, 0},     // Bedrock's bodies name no model
		"google/default":    {230, 230, 221, 217}, // images, see below
		"mistral/default":   {27, 27, 27, 27},
		"openai/chat":       {112, 112, 91, 91}, "openai/embeddings": {2, 2, 2, 2}, "openai/responses": {129, 129, 120, 120},
		"anthropic/chat": {1, 1, 1, 1}, "google/chat": {1, 1, 1, 1},
		"deepseek/chat": {2, 2, 2, 2}, "groq/default": {39, 39, 37, 37}, "openrouter/chat": {18, 18, 16, 16},
		"openrouter/responses": {1, 0, 0, 0}, "unknown": {8, 0, 0, 0},
	}
	if diff := cmp.Diff(wantCounts, counts); diff != "" {
		t.Errorf("bodies by interface (-want +got):\n%s", diff)
	}
	wantDeviations := []string{
		// The list has one price for all output of these models; the tool priced images and text apart.
		"google/default test_google_image_generation_with_web_search.yaml: costs 0.000066 and 0.27708, recorded 0.000066 and 0.148668",
		"google/default test_google_image_or_text_output.yaml: costs 0.000003 and 0.03912, recorded 0.000003 and 0.038735",
		"google/default test_google_vertexai_image_generation.yaml: costs 0.0000027 and 0.03885, recorded 0.0000027 and 0.0387125",
		"google/default test_google_image_and_text_output.yaml: costs 0.0000051 and 0.04008, recorded 0.0000051 and 0.038815",
		// Cohere's are not read.
		"unknown test_request_usage_with_cached_tokens.yaml: usage: has the shape of no interface that is known",
		"unknown test_request_simple_success_with_vcr.yaml: usage: has the shape of no interface that is known",
		"unknown test_tool_choice_matrix[auto-cohere].yaml: usage: has the shape of no interface that is known",
		"unknown test_tool_choice_matrix[tools_plus_output-cohere].yaml: usage: has the shape of no interface that is known",
		"unknown test_tool_choice_matrix[required-cohere].yaml: usage: has the shape of no interface that is known",
		"unknown test_tool_choice_matrix[none_with_output-cohere].yaml: usage: has the shape of no interface that is known",
		// The tool knows no responses interface of OpenRouter's, whose members tell whose it is.
		"openrouter/responses test_openrouter_responses_prompt_cache_e2e.yaml: not recorded by openrouter/responses",
		"unknown TestCohere.test_query_with_truncate.yaml: no usage is reported",
		"unknown TestCohere.test_query.yaml: no usage is reported",
	}
	if diff := cmp.Diff(wantDeviations, deviations); diff != "" {
		t.Errorf("deviations (-want +got):\n%s", diff)
	}

	sum := count{}
	for _, name := range five {
		sum = sum.plus(counts[name])
	}
	t.Logf("of %d bodies of OpenAI, Anthropic, Gemini, Bedrock and Mistral the tokens of %d are those recorded; %d have a price, and of %d the dollars are the same",
		sum.Bodies, sum.Tokens, sum.Priced, sum.Dollars)
	if want := (count{Bodies: 721, Tokens: 721, Priced: 571, Dollars: 567}); sum != want {
		t.Errorf("%+v of the five, want %+v", sum, want)
	}
}

// Where the interface is named, it is obeyed, whatever the body looks like: as every interface that fitted was recorded.
func TestRecordedUsageByEveryInterfaceThatFits(t *testing.T) {
	t.Parallel()
	l := genai(t)
	counts := make(map[string]count)
	for _, r := range recordings(t) {
		for _, extracted := range r.Extracted {
			for _, e := range extracted.Extractors {
				api := provider.API{Provider: e.Provider, Name: e.API}
				if !slices.Contains(five, api.String()) {
					continue
				}
				c := comparison{tokens: "not read"}
				if u, err := provider.Read(r.Body, api); err == nil {
					c = r.compare(u, l)
				}
				counts[api.String()] = counts[api.String()].plus(c.count())
			}
		}
	}
	want := map[string]count{
		"anthropic/default": {238, 238, 108, 108}, "aws/default": {111, 111, 0, 0}, "openai/chat": {200, 200, 91, 91},
		"openai/embeddings": {202, 202, 93, 93}, "openai/responses": {238, 238, 120, 120},
		"google/default": {230, 230, 221, 217}, // images, as above
		// Bodies of others that report what was written to the cache or read from it, which the tool reads only there.
		"mistral/default": {200, 196, 27, 27}, "google/chat": {200, 196, 3, 3}, "anthropic/chat": {200, 194, 1, 1},
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("bodies by interface (-want +got):\n%s", diff)
	}
}
