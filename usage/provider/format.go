package provider

import (
	"regexp"
	"slices"
	"strings"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage/price"
)

// A format is a form in which usage is reported.
type format struct {
	name     string   // of the interface, where it is not the provider's own
	owners   []string // the providers whose own it is; the first one's if nothing tells whose
	measure  func(o object, provider string) Measured
	provider func(o object, model string) string // whose it is by its shape
}

var (
	messages   = newFormat("anthropic", measureMessages, "anthropic", "minimax")
	converse   = newFormat("converse", measureConverse, "aws")
	gemini     = newFormat("gemini", measureGemini, "google")
	responses  = newFormat("responses", measureResponses)
	embeddings = newFormat("embeddings", measureEmbeddings)
	chat       = newFormat("chat", measureChat, "mistral", "groq", "perplexity")

	formats = []*format{chat, responses, embeddings, messages, converse, gemini}
)

const formatNames = "chat, responses, embeddings, anthropic (or messages), converse, gemini"

// ownInterfaces are the providers of which "default" is known.
var ownInterfaces = []string{"anthropic", "minimax", "aws", "google", "mistral", "groq", "perplexity", "x-ai"}

func newFormat(name string, measure func(object, string) Measured, owners ...string) *format {
	f := &format{name: name, measure: measure, owners: owners}
	f.provider = func(object, string) string { return owners[0] }
	if slices.Contains([]string{"chat", "responses", "embeddings"}, name) {
		f.provider = speaker
	}
	return f
}

// formatOf returns the format of an API whose name says so, nil if it is to be told by the shape.
func formatOf(api API) (*format, error) {
	name := strings.ToLower(api.Name)
	switch name {
	case "":
		return nil, nil
	case "messages":
		return messages, nil
	case "default":
		for _, f := range formats {
			if slices.Contains(f.owners, canonical(api.Provider)) {
				return f, nil
			}
		}
		switch provider := canonical(api.Provider); provider {
		case "":
			return nil, nil
		case "x-ai":
			return chat, nil
		default:
			return nil, invalid.Field("api", "default is not known of provider %q, only of %s", api.Provider, strings.Join(ownInterfaces, ", "))
		}
	}
	for _, f := range formats {
		if f.name == name {
			return f, nil
		}
	}
	return nil, invalid.Field("api", "must be one of default, %s, not %q", formatNames, api.Name)
}

// nameAt returns what the format's interface is called at a provider.
func (f *format) nameAt(provider string) string {
	if slices.Contains(f.owners, provider) {
		return "default"
	}
	return f.name
}

// canonical returns a provider's name as genai-prices has it.
func canonical(provider string) string {
	switch provider = strings.ToLower(provider); provider {
	case "bedrock", "amazon":
		return "aws"
	case "gemini", "vertex", "vertex_ai", "vertexai":
		return "google"
	case "xai":
		return "x-ai"
	default:
		return provider
	}
}

// openAIs are the models of OpenAI's.
var openAIs = regexp.MustCompile(`^(?:gpt-|chatgpt-|codex-|o[1-9](?:-|$))`)

// shapeOf tells the format by the names of an object's members. Where these are those of two, it is OpenAI's of OpenAI's
// models and of OpenAI, should that be the provider.
func shapeOf(o object, provider, model string) (*format, error) {
	switch {
	case o.has("promptTokenCount", "candidatesTokenCount", "responseTokenCount", "thoughtsTokenCount", "totalTokenCount"):
		return gemini, nil
	case o.has("inputTokens", "outputTokens"):
		return converse, nil
	case o.has("completion_tokens") || o.has("prompt_tokens") && o.lacksAnswer():
		return chat, nil
	case o.has("prompt_tokens"):
		return embeddings, nil
	case o.has("cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"):
		return messages, nil
	case o.has("input_tokens", "output_tokens") && o.has("input_tokens_details", "total_tokens"):
		return responses, nil
	case o.has("input_tokens", "output_tokens") && (canonical(provider) == "openai" || openAIs.MatchString(strings.ToLower(model))):
		return responses, nil
	case o.has("input_tokens", "output_tokens"):
		return messages, nil
	case len(o.members) == 0:
		return nil, ErrNoUsage
	default:
		return nil, invalid.Field(o.path, "has the shape of no interface that is known")
	}
}

// lacksAnswer reports whether the total says that there was more than the prompt: it is no embedding then.
func (o object) lacksAnswer() bool {
	o.errs = new([]error) // whoever measures them reports them
	total := o.optional("total_tokens")
	return total != nil && *total != o.count("prompt_tokens")
}

// makers are those who speak like OpenAI and whose models are called like no others.
var makers = []struct {
	models   *regexp.Regexp
	provider string
}{
	{regexp.MustCompile(`^(?:mi|code|dev|magi|mini)stral|^(?:mix|vox|pix)tral`), "mistral"},
	{regexp.MustCompile(`^claude-`), "anthropic"},
	{regexp.MustCompile(`^gemini-`), "google"},
	{regexp.MustCompile(`^grok-`), "x-ai"},
	{regexp.MustCompile(`^deepseek-`), "deepseek"},
}

// speaker tells who speaks like OpenAI: by members that only one provider has, or else by the model's name.
func speaker(o object, model string) string {
	switch {
	case o.has("is_byok", "cost_details"):
		return "openrouter"
	case o.has("queue_time"):
		return "groq"
	case o.has("prompt_cache_hit_tokens", "prompt_cache_miss_tokens"):
		return "deepseek"
	case o.has("cached_prompt_text_tokens"):
		return "x-ai"
	case o.has("num_cached_tokens"):
		return "mistral"
	}
	for _, maker := range makers {
		// One with a slash is how those call it who sell many makers' models.
		if maker.models.MatchString(strings.ToLower(model)) && !strings.Contains(model, "/") {
			return maker.provider
		}
	}
	return "openai"
}

// Anthropic: input_tokens leaves out both cache classes; what is kept for an hour is told apart in cache_creation.
func measureMessages(o object, _ string) Measured {
	kept := o.object("cache_creation")
	minutes, hour := kept.count("ephemeral_5m_input_tokens"), kept.count("ephemeral_1h_input_tokens")
	created := minutes + hour
	if o.has("cache_creation_input_tokens") {
		created = o.count("cache_creation_input_tokens")
	}
	output, thinking := o.required("output_tokens"), o.object("output_tokens_details").count("thinking_tokens")
	m := Measured{Total: o.optional("total_tokens"), Tier: o.tier("service_tier")}
	m.Classes[price.Input] = o.required("input_tokens")
	m.Classes[price.CacheRead] = o.count("cache_read_input_tokens")
	m.Classes[price.CacheCreation] = o.rest("cache_creation_input_tokens", created, hour)
	m.Classes[price.CacheCreationLong] = hour
	m.Classes[price.Output] = o.rest("output_tokens", output, thinking)
	m.Classes[price.OutputReasoning] = thinking
	return m
}

// Bedrock: inputTokens leaves out both cache classes; cacheDetails says for how long what is written is kept.
func measureConverse(o object, _ string) Measured {
	hour := o.sum("cacheDetails", "inputTokens", "ttl", "1h")
	created := o.count("cacheWriteInputTokens", "cacheWriteInputTokenCount")
	m := Measured{Total: o.optional("totalTokens")}
	m.Classes[price.Input] = o.required("inputTokens")
	m.Classes[price.CacheRead] = o.count("cacheReadInputTokens", "cacheReadInputTokenCount")
	m.Classes[price.CacheCreation] = o.rest("cacheWriteInputTokens", created, hour)
	m.Classes[price.CacheCreationLong] = hour
	m.Classes[price.Output] = o.required("outputTokens")
	return m
}

// Gemini: promptTokenCount includes what is cached, tool use and thoughts come on top.
func measureGemini(o object, _ string) Measured {
	modality := func(list, name string) int64 { return o.sum(list, "tokenCount", "modality", name) }
	prompt, cached := o.count("promptTokenCount"), o.count("cachedContentTokenCount")
	tools := o.count("toolUsePromptTokenCount")
	answer := o.count("candidatesTokenCount", "responseTokenCount")
	m := Measured{Total: o.optional("totalTokenCount"), Tier: o.tier("serviceTier")}
	c := &m.Classes
	c[price.CacheReadAudio] = modality("cacheTokensDetails", "AUDIO")
	c[price.CacheRead] = o.rest("cachedContentTokenCount", cached, c[price.CacheReadAudio])
	audio := modality("promptTokensDetails", "AUDIO") + modality("toolUsePromptTokensDetails", "AUDIO")
	images := modality("promptTokensDetails", "IMAGE") + modality("toolUsePromptTokensDetails", "IMAGE")
	// What is cached is counted among the prompt's modalities, but not where they are left out.
	c[price.InputAudio] = max(0, audio-c[price.CacheReadAudio])
	c[price.InputImage] = max(0, images-modality("cacheTokensDetails", "IMAGE"))
	c[price.Input] = o.rest("promptTokenCount", prompt+tools, cached+c[price.InputAudio]+c[price.InputImage])
	c[price.OutputAudio] = modality("candidatesTokensDetails", "AUDIO") + modality("responseTokensDetails", "AUDIO")
	c[price.OutputImage] = modality("candidatesTokensDetails", "IMAGE") + modality("responseTokensDetails", "IMAGE")
	c[price.OutputReasoning] = o.count("thoughtsTokenCount")
	c[price.Output] = o.rest("candidatesTokenCount", answer, c[price.OutputAudio]+c[price.OutputImage])
	return m
}

// OpenAI's responses: as in chat, by other names.
func measureResponses(o object, provider string) Measured {
	return measureOpenAI(o, "input_tokens", "output_tokens", provider)
}

// OpenAI's chat completions, which many others speak.
func measureChat(o object, provider string) Measured {
	return measureOpenAI(o, "prompt_tokens", "completion_tokens", provider)
}

func measureEmbeddings(o object, _ string) Measured {
	m := Measured{Total: o.optional("total_tokens")}
	m.Classes[price.Input] = o.required("prompt_tokens")
	return m
}

// Cached and written tokens, audio and images are inside the prompt, reasoning and audio inside the answer.
func measureOpenAI(o object, input, output, provider string) Measured {
	prompt, answer := o.required(input), o.required(output)
	in, out := o.object(input+"_details"), o.object(output+"_details")
	cached := o.count("prompt_cache_hit_tokens", "cached_tokens", "cached_prompt_text_tokens") // who has no details
	created := int64(0)
	if input == "prompt_tokens" { // gateways say it of Anthropic's models in the words of messages
		cached, created = max(cached, o.count("cache_read_input_tokens")), o.count("cache_creation_input_tokens")
	}
	if in.has("cached_tokens") {
		cached = in.count("cached_tokens")
	}
	if in.has("cache_write_tokens") {
		created = in.count("cache_write_tokens")
	}
	m := Measured{Total: o.optional("total_tokens"), Tier: o.tier("service_tier")}
	c := &m.Classes
	c[price.CacheCreation] = created
	c[price.InputAudio], c[price.InputImage] = in.count("audio_tokens"), in.count("image_tokens")
	c[price.CacheRead] = cached
	// Cached audio is in both: whatever there is too much of.
	if over := c.Prompt() - prompt; over > 0 && over <= min(cached, c[price.InputAudio]) {
		c[price.CacheReadAudio] = over
		c[price.CacheRead] -= over
		c[price.InputAudio] -= over
	}
	c[price.Input] = o.rest(input, prompt, c.Prompt())
	c[price.OutputAudio], c[price.OutputImage] = out.count("audio_tokens"), out.count("image_tokens")
	reasoning := out.count("reasoning_tokens")
	if beside(m.Total, prompt, answer, reasoning, provider) {
		answer += reasoning
	}
	c[price.OutputReasoning] = reasoning
	c[price.Output] = o.rest(output, answer, reasoning+c[price.OutputAudio]+c[price.OutputImage])
	return m
}

// beside reports whether reasoning is not counted in the answer: where it is missing from the total otherwise, or at x-ai.
func beside(total *int64, prompt, answer, reasoning int64, provider string) bool {
	if total == nil {
		return provider == "x-ai"
	}
	return reasoning > 0 && *total == prompt+answer+reasoning
}

// rest returns what is left of a member when parts of it are taken out.
func (o object) rest(name string, whole, parts int64) int64 {
	if parts > whole {
		*o.errs = append(*o.errs, invalid.Field(o.path+"."+name, "is %d, less than its parts, which are %d", whole, parts))
		return 0
	}
	return whole - parts
}

func (o object) tier(name string) string {
	return strings.ToLower(text(o.path+"."+name, given(o.members[name]), o.errs))
}
