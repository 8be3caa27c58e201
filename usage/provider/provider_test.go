package provider_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
	"github.com/purser-go/purser/usage/provider"
)

func total(n int64) *int64 { return &n }

func TestReadTakesClassesApart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want provider.Usage
	}{
		"OpenAI chat: cached and written tokens and audio are inside the prompt, reasoning and audio inside the answer": {
			`{"model":"gpt-5","service_tier":"Flex","usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
				"prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":20,"audio_tokens":10},
				"completion_tokens_details":{"reasoning_tokens":30,"audio_tokens":5,"accepted_prediction_tokens":1}}}`,
			provider.Usage{
				API: provider.API{Provider: "openai", Name: "chat"}, Model: "gpt-5",
				Measured: provider.Measured{Tier: "flex", Total: total(150), Classes: price.Classes{
					price.Input: 30, price.CacheRead: 40, price.CacheCreation: 20, price.InputAudio: 10,
					price.Output: 15, price.OutputReasoning: 30, price.OutputAudio: 5,
				}},
			},
		},
		"OpenAI chat: what is cached and audio at once counts once": {
			`{"usage":{"prompt_tokens":100,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":80,"audio_tokens":30}}}`,
			provider.Usage{
				API:      provider.API{Provider: "openai", Name: "chat"},
				Measured: provider.Measured{Classes: price.Classes{price.CacheRead: 70, price.CacheReadAudio: 10, price.InputAudio: 20}},
			},
		},
		"OpenAI responses": {
			`{"object":"response","model":"gpt-5","usage":{"input_tokens":100,"output_tokens":50,"total_tokens":150,
				"input_tokens_details":{"cached_tokens":40,"image_tokens":7},"output_tokens_details":{"reasoning_tokens":30}}}`,
			provider.Usage{
				API: provider.API{Provider: "openai", Name: "responses"}, Model: "gpt-5",
				Measured: provider.Measured{Total: total(150), Classes: price.Classes{
					price.Input: 53, price.CacheRead: 40, price.InputImage: 7, price.Output: 20, price.OutputReasoning: 30,
				}},
			},
		},
		"OpenAI embeddings": {
			`{"model":"text-embedding-3-small","usage":{"prompt_tokens":4,"total_tokens":4}}`,
			provider.Usage{
				API: provider.API{Provider: "openai", Name: "embeddings"}, Model: "text-embedding-3-small",
				Measured: provider.Measured{Total: total(4), Classes: price.Classes{price.Input: 4}},
			},
		},
		"embeddings without a total": {
			`{"usage":{"prompt_tokens":4}}`,
			provider.Usage{
				API:      provider.API{Provider: "openai", Name: "embeddings"},
				Measured: provider.Measured{Classes: price.Classes{price.Input: 4}},
			},
		},
		"x-ai: reasoning is beside the answer": {
			`{"model":"grok-4","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,"cached_prompt_text_tokens":4,
				"completion_tokens_details":{"reasoning_tokens":100}}}`,
			provider.Usage{
				API: provider.API{Provider: "x-ai", Name: "chat"}, Model: "grok-4",
				Measured: provider.Measured{Total: total(115), Classes: price.Classes{
					price.Input: 6, price.CacheRead: 4, price.Output: 5, price.OutputReasoning: 100,
				}},
			},
		},
		"DeepSeek: hits of the cache": {
			`{"model":"deepseek-chat","usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}}`,
			provider.Usage{
				API: provider.API{Provider: "deepseek", Name: "chat"}, Model: "deepseek-chat",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 2, price.CacheRead: 8, price.Output: 5}},
			},
		},
		"Mistral: what its servers found in a cache costs like the rest": {
			`{"model":"mistral-large-latest","usage":{"prompt_tokens":70,"completion_tokens":12,"total_tokens":82,"num_cached_tokens":69}}`,
			provider.Usage{
				API: provider.API{Provider: "mistral", Name: "default"}, Model: "mistral-large-latest",
				Measured: provider.Measured{Total: total(82), Classes: price.Classes{price.Input: 70, price.Output: 12}},
			},
		},
		"Mistral: by its models": {
			`{"model":"pixtral-12b","usage":{"prompt_tokens":70,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":60}}}`,
			provider.Usage{
				API: provider.API{Provider: "mistral", Name: "default"}, Model: "pixtral-12b",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 10, price.CacheRead: 60, price.Output: 12}},
			},
		},
		"Anthropic: both cache classes are beside the input, an hour is a class of its own": {
			`{"type":"message","model":"claude-opus-4-8","usage":{"input_tokens":3,"cache_creation_input_tokens":500,"cache_read_input_tokens":9511,
				"cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":300},"output_tokens":50,
				"output_tokens_details":{"thinking_tokens":20},"service_tier":"standard","server_tool_use":null}}`,
			provider.Usage{
				API: provider.API{Provider: "anthropic", Name: "default"}, Model: "claude-opus-4-8",
				Measured: provider.Measured{Tier: "standard", Classes: price.Classes{
					price.Input: 3, price.CacheRead: 9511, price.CacheCreation: 200, price.CacheCreationLong: 300,
					price.Output: 30, price.OutputReasoning: 20,
				}},
			},
		},
		"Anthropic: without the sum of what was written": {
			`{"usage":{"input_tokens":3,"output_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":300}}}`,
			provider.Usage{
				API: provider.API{Provider: "anthropic", Name: "default"},
				Measured: provider.Measured{Classes: price.Classes{
					price.Input: 3, price.CacheCreation: 200, price.CacheCreationLong: 300, price.Output: 5,
				}},
			},
		},
		"Gemini: cached tokens are inside the prompt, tool use and thoughts beside it and the candidates": {
			`{"modelVersion":"gemini-2.5-flash","usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":40,"toolUsePromptTokenCount":7,
				"candidatesTokenCount":50,"thoughtsTokenCount":30,"totalTokenCount":187,
				"promptTokensDetails":[{"modality":"AUDIO","tokenCount":25},{"modality":"IMAGE","tokenCount":10},{"modality":"TEXT","tokenCount":65}],
				"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":15},{"modality":"IMAGE","tokenCount":4}],
				"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":45},{"modality":"AUDIO","tokenCount":2}]}}`,
			provider.Usage{
				API: provider.API{Provider: "google", Name: "default"}, Model: "gemini-2.5-flash",
				Measured: provider.Measured{Total: total(187), Classes: price.Classes{
					price.Input: 51, price.CacheRead: 25, price.CacheReadAudio: 15, price.InputAudio: 10, price.InputImage: 6,
					price.Output: 3, price.OutputReasoning: 30, price.OutputAudio: 2, price.OutputImage: 45,
				}},
			},
		},
		"Bedrock: both cache classes are beside the input": {
			`{"usage":{"inputTokens":3,"cacheReadInputTokens":10,"cacheWriteInputTokens":2074,"cacheDetails":[{"inputTokens":2000,"ttl":"1h"},{"inputTokens":74,"ttl":"5m"}],
				"outputTokens":288,"totalTokens":2375}}`,
			provider.Usage{
				API: provider.API{Provider: "aws", Name: "default"},
				Measured: provider.Measured{Total: total(2375), Classes: price.Classes{
					price.Input: 3, price.CacheRead: 10, price.CacheCreation: 74, price.CacheCreationLong: 2000, price.Output: 288,
				}},
			},
		},
		"Gemini in OpenAI's form: by its models": {
			`{"model":"gemini-2.5-pro","usage":{"prompt_tokens":70,"completion_tokens":12}}`,
			provider.Usage{
				API: provider.API{Provider: "google", Name: "chat"}, Model: "gemini-2.5-pro",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 70, price.Output: 12}},
			},
		},
		"somebody who sells another's model is not its maker": {
			`{"model":"mistralai/mistral-small","usage":{"prompt_tokens":70,"completion_tokens":12}}`,
			provider.Usage{
				API: provider.API{Provider: "openai", Name: "chat"}, Model: "mistralai/mistral-small",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 70, price.Output: 12}},
			},
		},
		"a gateway's chat in the words of messages: cache classes are inside the prompt": {
			`{"model":"claude-opus-4-8","usage":{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"cache_creation_input_tokens":20,"cache_read_input_tokens":70}}`,
			provider.Usage{
				API: provider.API{Provider: "anthropic", Name: "chat"}, Model: "claude-opus-4-8",
				Measured: provider.Measured{Total: total(105), Classes: price.Classes{
					price.Input: 10, price.CacheRead: 70, price.CacheCreation: 20, price.Output: 5,
				}},
			},
		},
		"a gateway's chat in both words: the details count where they say it": {
			`{"model":"claude-opus-4-8","usage":{"prompt_tokens":100,"completion_tokens":5,"cache_creation_input_tokens":20,"cache_read_input_tokens":71,
				"prompt_tokens_details":{"cached_tokens":70}}}`,
			provider.Usage{
				API: provider.API{Provider: "anthropic", Name: "chat"}, Model: "claude-opus-4-8",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 10, price.CacheRead: 70, price.CacheCreation: 20, price.Output: 5}},
			},
		},
		"OpenRouter, by what only it says": {
			`{"model":"openai/gpt-5","usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.1,"cost_details":{}}}`,
			provider.Usage{
				API: provider.API{Provider: "openrouter", Name: "chat"}, Model: "openai/gpt-5",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 1, price.Output: 2}},
			},
		},
		"responses and messages alike, of a model of OpenAI's": {
			`{"model":"gpt-5-mini","usage":{"input_tokens":1,"output_tokens":2}}`,
			provider.Usage{
				API: provider.API{Provider: "openai", Name: "responses"}, Model: "gpt-5-mini",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 1, price.Output: 2}},
			},
		},
		"responses and messages alike, of another model": {
			`{"model":"olmo-3","usage":{"input_tokens":1,"output_tokens":2}}`,
			provider.Usage{
				API: provider.API{Provider: "anthropic", Name: "default"}, Model: "olmo-3",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 1, price.Output: 2}},
			},
		},
		"a usage of zero is a usage": {
			`{"usage":{"input_tokens":0,"output_tokens":0,"total_tokens":0}}`,
			provider.Usage{API: provider.API{Provider: "openai", Name: "responses"}, Measured: provider.Measured{Total: total(0)}},
		},
		"a usage object under the other name": {
			`{"usage":{"promptTokenCount":7}}`,
			provider.Usage{
				API:      provider.API{Provider: "google", Name: "default"},
				Measured: provider.Measured{Classes: price.Classes{price.Input: 7}},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := provider.Read([]byte(test.body), provider.API{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNamedIsObeyed(t *testing.T) {
	t.Parallel()
	const (
		chat   = `{"usage":{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":2}}}`
		claude = `{"usage":{"input_tokens":3,"cache_read_input_tokens":9,"output_tokens":5}}`
		either = `{"usage":{"input_tokens":3,"output_tokens":5}}`
	)
	tests := map[string]struct {
		body           string
		provider, name string
		want           string
		prompt, answer int64
	}{
		"the provider alone":                         {chat, "azure", "", "azure/chat", 10, 5},
		"the provider alone, of another's messages":  {claude, "bedrock", "", "aws/anthropic", 12, 5},
		"the interface alone":                        {claude, "", "responses", "openai/responses", 3, 5},
		"the provider alone, of which it may be":     {either, "OpenAI", "", "openai/responses", 3, 5},
		"both":                                       {claude, "google", "anthropic", "google/anthropic", 12, 5},
		"the provider's own":                         {claude, "anthropic", "default", "anthropic/default", 12, 5},
		"messages by another name":                   {claude, "anthropic", "Messages", "anthropic/default", 12, 5},
		"a provider by another name":                 {chat, "XAI", "default", "x-ai/chat", 10, 7},
		"embeddings, though there is an answer":      {chat, "openai", "embeddings", "openai/embeddings", 10, 0},
		"its own interface of nobody in particular":  {chat, "", "default", "openai/chat", 10, 5},
		"an interface that others call their own":    {chat, "mistral", "chat", "mistral/default", 10, 5},
		"a provider that is not known, by its shape": {chat, "my-gateway", "", "my-gateway/chat", 10, 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := provider.Read([]byte(test.body), provider.API{Provider: test.provider, Name: test.name})
			if err != nil {
				t.Fatal(err)
			}
			if got.API.String() != test.want || got.Classes.Prompt() != test.prompt || got.Classes.Answer() != test.answer {
				t.Errorf("%s with %d and %d, want %s with %d and %d",
					got.API, got.Classes.Prompt(), got.Classes.Answer(), test.want, test.prompt, test.answer)
			}
		})
	}
}

func TestUsageThatIsNotReportedIsUnknown(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{}`, `{"model":"gpt-5","choices":[]}`, `{"usage":null}`, `{"usage":{}}`, `{"usageMetadata":null,"modelVersion":"gemini"}`,
		`{"message":"no","response":7,"metadata":{"usage":null}}`,
	} {
		if got, err := provider.Read([]byte(body), provider.API{}); !errors.Is(err, provider.ErrNoUsage) {
			t.Errorf("%s: %+v, %v, want ErrNoUsage", body, got, err)
		}
	}
}

func TestReadNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		api  provider.API
		want []string
	}{
		"no JSON":                 {`{`, provider.API{}, []string{"body"}},
		"no object":               {`[1]`, provider.API{}, []string{"body"}},
		"null":                    {`null`, provider.API{}, []string{"body"}},
		"usage of another kind":   {`{"usage":7}`, provider.API{}, []string{"usage"}},
		"a shape that nobody has": {`{"usage":{"tokens":7}}`, provider.API{}, []string{"usage"}},
		"a model of another kind": {`{"model":7,"usage":{"prompt_tokens":1}}`, provider.API{}, []string{"model"}},
		"numbers, all at once": {
			`{"usage":{"prompt_tokens":1.5,"completion_tokens":-1,"prompt_tokens_details":{"cached_tokens":"x","audio_tokens":1e13},"total_tokens":true,"service_tier":1}}`,
			provider.API{},
			[]string{
				"usage.prompt_tokens", "usage.completion_tokens", "usage.prompt_tokens_details.cached_tokens", "usage.total_tokens",
				"usage.service_tier", "usage.prompt_tokens_details.audio_tokens",
			},
		},
		"details of another kind": {
			`{"usage":{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":[],"completion_tokens_details":7}}`,
			provider.API{},
			[]string{"usage.prompt_tokens_details", "usage.completion_tokens_details"},
		},
		"a list of another kind": {
			`{"usageMetadata":{"promptTokenCount":1,"promptTokensDetails":{}}}`,
			provider.API{},
			[]string{"usageMetadata.promptTokensDetails", "usageMetadata.promptTokensDetails"},
		},
		"an answer that only the total knows of": {`{"usage":{"prompt_tokens":10,"total_tokens":15}}`, provider.API{}, []string{"usage.completion_tokens"}},
		"a total of no class, Gemini":            {`{"usageMetadata":{"totalTokenCount":7}}`, provider.API{}, []string{"usageMetadata"}},
		"a total of no class, by name": {
			`{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":7}}`, provider.API{Name: "chat"}, []string{"usage"},
		},
		"what is missing": {`{"usage":{"prompt_tokens":1}}`, provider.API{Name: "chat"}, []string{"usage.completion_tokens"}},
		"parts that are more than the whole": {
			`{"usage":{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":11},"completion_tokens_details":{"reasoning_tokens":2}}}`,
			provider.API{},
			[]string{"usage.prompt_tokens", "usage.completion_tokens"},
		},
		"an interface that nobody has":      {`{"usage":{"prompt_tokens":1}}`, provider.API{Name: "telepathy"}, []string{"api"}},
		"the own interface of who has none": {`{"usage":{"prompt_tokens":1}}`, provider.API{Provider: "my-gateway", Name: "default"}, []string{"api"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := provider.Read([]byte(test.body), test.api)
			var got []string
			for _, f := range invalid.Fields(err) {
				got = append(got, f.Field)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, usage.ErrInvalid) {
				t.Errorf("fields (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

func TestACountThatPassesAllNumbersIsOutOfRange(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"1e13", "1e30", "99999999999999999999999999", "-1"} {
		_, err := provider.Read([]byte(`{"usage":{"prompt_tokens":`+n+`}}`), provider.API{})
		if want := "usage.prompt_tokens: must be from 0 to 1000000000000"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", n, err, want)
		}
	}
}

func TestAnUnknownInterfaceIsRefusedWithThoseThatAreKnown(t *testing.T) {
	t.Parallel()
	own := []string{"anthropic", "minimax", "aws", "google", "mistral", "groq", "perplexity", "x-ai"}
	for name, test := range map[string]struct {
		api   provider.API
		known []string
	}{
		"by name": {provider.API{Name: "telepathy"}, []string{"default", "chat", "responses", "embeddings", "anthropic", "messages", "converse", "gemini"}},
		"the own": {provider.API{Provider: "my-gateway", Name: "default"}, own},
	} {
		err := test.api.Validate()
		for _, known := range test.known {
			if err == nil || !strings.Contains(err.Error(), known) {
				t.Errorf("%s: %v does not name %s", name, err, known)
			}
		}
	}
	for _, known := range own {
		if err := (provider.API{Provider: known, Name: "default"}).Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestAmountsFoldTheClasses(t *testing.T) {
	t.Parallel()
	m := provider.Measured{Total: total(500), Classes: price.Classes{
		price.Input: 1, price.InputAudio: 2, price.InputImage: 4, price.CacheRead: 8, price.CacheReadAudio: 16, price.CacheCreation: 32,
		price.CacheCreationLong: 64, price.Output: 128, price.OutputReasoning: 256, price.OutputAudio: 512, price.OutputImage: 1024,
	}}
	want := usage.Amounts{InputTokens: 7, CacheReadTokens: 24, CacheCreationTokens: 96, OutputTokens: 1920, TotalTokens: total(500)}
	if diff := cmp.Diff(want, m.Amounts()); diff != "" {
		t.Errorf("amounts (-want +got):\n%s", diff)
	}
	u := provider.Usage{API: provider.API{Provider: "p", Name: "chat"}, Model: "m", Measured: m}
	u.Tier = "flex"
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	wantQuery := price.Query{Provider: "p", Model: "m", Tier: "flex", At: at, Classes: m.Classes, Requests: 1}
	if diff := cmp.Diff(wantQuery, u.Query(at)); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestPricedTellsApartWhatAnEventDoesNot(t *testing.T) {
	t.Parallel()
	l, err := price.ReadCSV("own", strings.NewReader("model,tier,input,cache_creation,cache_creation_long,output\nm,,3,3.75,6,15\nm,batch,1.5,,3,7.5\n"))
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"model":"m","usage":{"input_tokens":0,"output_tokens":0,"cache_creation":{"ephemeral_1h_input_tokens":1000000},"service_tier":%q}}`
	for tier, want := range map[string]string{"standard": "6", "batch": "3"} {
		u, err := provider.Read(fmt.Appendf(nil, body, tier), provider.API{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := u.Priced(l, time.Now())
		if err != nil || got.Cost.String() != want || got.CacheCreationTokens != 1_000_000 {
			t.Errorf("%s: %+v, %v, want a cost of %s", tier, got, err, want)
		}
	}
	if _, err := (provider.Usage{Model: "n"}).Priced(l, time.Now()); !errors.Is(err, price.ErrNoPrice) {
		t.Errorf("the error is %v, want ErrNoPrice", err)
	}
}

// Whatever a body says, what is read of it is what can be recorded, and its parts never sum to more than it says.
func FuzzRead(f *testing.F) {
	for _, r := range recordings(f) {
		f.Add([]byte(r.Body), "", "")
	}
	f.Add([]byte(`{"type":"message_delta","usage":{"output_tokens":1}}`), "anthropic", "default")
	f.Fuzz(func(t *testing.T, body []byte, name, api string) {
		u, err := provider.Read(body, provider.API{Provider: name, Name: api})
		switch {
		case err == nil:
			if err := u.Classes.Validate(); err != nil {
				t.Fatal(err)
			}
		case !errors.Is(err, usage.ErrInvalid) && !errors.Is(err, provider.ErrNoUsage):
			t.Fatalf("%v is not ErrInvalid", err)
		}
		s := provider.Stream{API: provider.API{Provider: name, Name: api}}
		if err := s.Add(body); err != nil && !errors.Is(err, usage.ErrInvalid) {
			t.Fatalf("%v is not ErrInvalid", err)
		}
		streamed, streamErr := s.Usage()
		if err == nil && (streamErr != nil || cmp.Diff(u, streamed) != "") {
			t.Fatalf("one event of a stream is read as %+v, %v, not as %+v", streamed, streamErr, u)
		}
	})
}
