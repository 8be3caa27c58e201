package provider

import (
	"bytes"
	"encoding/json"
	"maps"

	"github.com/purser-go/purser/internal/invalid"
)

// A Stream gathers what the events of a streamed response report. What they report is cumulative: of each number the last
// counts, they are never added up. The zero Stream is ready to use; it is not safe for concurrent use.
type Stream struct {
	API API // as in Read

	members     map[string]json.RawMessage // of the usage object
	name        string
	model, tier json.RawMessage
}

// Add reads one event: the JSON behind "data:" of a server-sent event. One that reports nothing changes nothing, [DONE] is
// one. Errors: ErrInvalid with the fields; the stream is as before then.
func (s *Stream) Add(event []byte) error {
	event = bytes.TrimSpace(event)
	if len(event) == 0 || string(event) == "[DONE]" {
		return nil
	}
	b, err := parse(event)
	if err != nil {
		return err
	}
	name, data := b.usage()
	if data = given(data); data != nil {
		var members map[string]json.RawMessage
		if json.Unmarshal(data, &members) != nil {
			return invalid.Field(name, "must be an object")
		}
		s.merge(name, members)
	}
	if model := given(b.model()); model != nil {
		s.model = model
	}
	for _, part := range b.parts() {
		if tier := given(part.Tier); tier != nil {
			s.tier = tier
		}
	}
	return nil
}

// merge takes over the members that are given: a message_delta of Anthropic's need not repeat those of the message_start.
func (s *Stream) merge(name string, members map[string]json.RawMessage) {
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return given(value) == nil })
	if s.members == nil {
		s.members = make(map[string]json.RawMessage)
	}
	maps.Copy(s.members, members)
	s.name = name
}

// Usage returns what was reported so far. Errors: those of [Read].
func (s *Stream) Usage() (Usage, error) {
	if len(s.members) == 0 {
		return Usage{}, ErrNoUsage
	}
	data, err := json.Marshal(s.members)
	if err != nil {
		return Usage{}, invalid.Field(s.name, "is no JSON: %v", err)
	}
	b := body{Model: s.model, Tier: s.tier}
	if s.name == "usageMetadata" {
		b.UsageMetadata = data
	} else {
		b.Usage = data
	}
	return b.read(s.API)
}
