package provider_test

import (
	"errors"
	"fmt"
	"log"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
	"github.com/purser-go/purser/usage/provider"
)

func TestAStreamReportsWhatItsLastEventsDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		events []string
		want   provider.Usage
	}{
		"Anthropic: what is cumulative is not added up": {
			[]string{
				`{"type":"message_start","message":{"model":"claude-opus-4-8","usage":{"input_tokens":25,"cache_read_input_tokens":7,"cache_creation_input_tokens":0,"output_tokens":1}}}`,
				`{"type":"content_block_delta","delta":{"text":"…"}}`,
				`{"type":"message_delta","usage":{"output_tokens":10,"input_tokens":null}}`,
				`{"type":"message_delta","usage":{"output_tokens":15}}`,
				`{"type":"message_stop"}`,
			},
			provider.Usage{
				API: provider.API{Provider: "anthropic", Name: "default"}, Model: "claude-opus-4-8",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 25, price.CacheRead: 7, price.Output: 15}},
			},
		},
		"Anthropic: input that grew is taken too": {
			[]string{
				`{"type":"message_start","message":{"model":"claude-opus-4-8","usage":{"input_tokens":25,"output_tokens":1}}}`,
				`{"type":"message_delta","usage":{"input_tokens":2500,"cache_read_input_tokens":70,"output_tokens":15}}`,
			},
			provider.Usage{
				API: provider.API{Provider: "anthropic", Name: "default"}, Model: "claude-opus-4-8",
				Measured: provider.Measured{Classes: price.Classes{price.Input: 2500, price.CacheRead: 70, price.Output: 15}},
			},
		},
		"OpenAI chat: the last chunk has it": {
			[]string{
				`{"model":"gpt-5","choices":[{}],"usage":null}`, `{"model":"gpt-5","service_tier":"priority","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}`,
				` [DONE]`, ``,
			},
			provider.Usage{
				API: provider.API{Provider: "openai", Name: "chat"}, Model: "gpt-5",
				Measured: provider.Measured{Tier: "priority", Total: total(13), Classes: price.Classes{price.Input: 9, price.Output: 4}},
			},
		},
		"OpenAI responses: the event that completes it": {
			[]string{
				`{"type":"response.created","response":{"model":"gpt-5","usage":null}}`,
				`{"type":"response.completed","response":{"model":"gpt-5","service_tier":"default","usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13}}}`,
			},
			provider.Usage{
				API: provider.API{Provider: "openai", Name: "responses"}, Model: "gpt-5",
				Measured: provider.Measured{Tier: "default", Total: total(13), Classes: price.Classes{price.Input: 9, price.Output: 4}},
			},
		},
		"Gemini: every chunk has it": {
			[]string{
				`{"modelVersion":"gemini-2.5-pro","usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}`,
				`{"modelVersion":"gemini-2.5-pro","usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":5,"totalTokenCount":16}}`,
				`{"modelVersion":"gemini-2.5-pro","usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"thoughtsTokenCount":5,"totalTokenCount":18}}`,
			},
			provider.Usage{
				API: provider.API{Provider: "google", Name: "default"}, Model: "gemini-2.5-pro",
				Measured: provider.Measured{Total: total(18), Classes: price.Classes{price.Input: 9, price.Output: 4, price.OutputReasoning: 5}},
			},
		},
		"Bedrock: its metadata": {
			[]string{`{"messageStart":{"role":"assistant"}}`, `{"metadata":{"usage":{"inputTokens":9,"outputTokens":4,"totalTokens":13}}}`},
			provider.Usage{
				API:      provider.API{Provider: "aws", Name: "default"},
				Measured: provider.Measured{Total: total(13), Classes: price.Classes{price.Input: 9, price.Output: 4}},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s provider.Stream
			for _, event := range test.events {
				if err := s.Add([]byte(event)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Usage()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAStreamThatWasCutIsUnknown(t *testing.T) {
	t.Parallel()
	s := provider.Stream{API: provider.API{Provider: "openai", Name: "chat"}}
	for _, event := range []string{`{"model":"gpt-5","usage":null}`, `{"usage":{}}`} {
		if err := s.Add([]byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	if u, err := s.Usage(); !errors.Is(err, provider.ErrNoUsage) {
		t.Errorf("%+v, %v, want ErrNoUsage", u, err)
	}
	for _, event := range []string{`{`, `{"usage":7}`} {
		if err := s.Add([]byte(event)); !errors.Is(err, usage.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", event, err)
		}
	}
}

func ExampleStream() {
	var s provider.Stream
	for _, event := range []string{
		`{"type":"message_start","message":{"model":"claude-opus-4-8","usage":{"input_tokens":25,"output_tokens":1}}}`,
		`{"type":"message_delta","usage":{"output_tokens":10}}`,
		`{"type":"message_delta","usage":{"output_tokens":15}}`,
	} {
		if err := s.Add([]byte(event)); err != nil {
			log.Fatal(err)
		}
	}
	u, err := s.Usage()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u.API, u.Model, u.Amounts().InputTokens, u.Amounts().OutputTokens)
	// Output: anthropic/default claude-opus-4-8 25 15
}

func ExampleRead() {
	u, err := provider.Read([]byte(`{"model": "gpt-5-mini", "usage": {
		"prompt_tokens": 1200, "prompt_tokens_details": {"cached_tokens": 1024}, "completion_tokens": 80, "total_tokens": 1280
	}}`), provider.API{})
	if err != nil {
		log.Fatal(err)
	}
	amounts := u.Amounts()
	fmt.Println(u.API, u.Model, amounts.InputTokens, amounts.CacheReadTokens, amounts.OutputTokens)
	// Output: openai/chat gpt-5-mini 176 1024 80
}
