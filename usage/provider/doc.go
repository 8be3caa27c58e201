// Package provider reads what model providers report as used: the usage objects of OpenAI (chat completions, responses,
// embeddings), Anthropic, Gemini, Bedrock and Mistral, and of those that speak like one of them.
//
// [Read] reads a response, or of it just the model and the usage; a [Stream] reads the events of a streamed one. Both return
// [Usage]: the tokens by the classes of package price, which are disjoint, whatever includes what in the provider's own
// counting.
//
//	u, err := provider.Read(body, provider.API{})
//	…
//	err = res.Settle(ctx, u.Amounts())
//
// A ledger that has prices prices these amounts by the four classes that an event tells apart: an hour in the cache as
// minutes, audio as text. Where that makes a difference, [Usage.Priced] returns amounts with a cost that it does not.
//
// # Whose usage it is
//
// An [API] is named as in genai-prices: the provider, and which of its interfaces, "default" being its own. What the caller
// does not name is told by the shape of the body, before any price is looked at: names of members are the interface's, some
// are one provider's alone. What is left are completions in OpenAI's form, which many providers speak; they are OpenAI's,
// or that of Mistral, Anthropic, Gemini, x-ai or DeepSeek if the model is called as only theirs are. And input_tokens and
// output_tokens alone are Anthropic's, unless OpenAI is named or the model is called as only its are. Name the provider
// where it is known.
//
// # What includes what
//
//   - OpenAI and Mistral: prompt_tokens and input_tokens include what is read from and written to the cache and audio; the
//     answer includes reasoning and audio. x-ai reports reasoning beside the answer. Where a gateway's completions
//     say cache_read_input_tokens and cache_creation_input_tokens, prompt_tokens includes these too.
//   - Anthropic and Bedrock: the input leaves out both cache classes, the answer includes thinking.
//   - Gemini: promptTokenCount includes cached tokens and audio; tool use is input beside it, thoughts are output beside the
//     candidates.
//
// Usage that is not reported is [ErrNoUsage], which is unknown, not zero. A total without the tokens that it is made of is
// refused: it has no price.
package provider
