package price

import (
	"errors"
	"fmt"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A Class is a kind of tokens that may have a price of its own. Classes are disjoint: a cached token is none of [Input].
type Class uint8

// The classes. Those up to InputImage make up the prompt, the others the answer.
const (
	Input             Class = iota // what is in no other class of the prompt
	CacheRead                      // read from the cache
	CacheReadAudio                 // of these, audio
	CacheCreation                  // written to the cache, for minutes
	CacheCreationLong              // written to the cache, for an hour
	InputAudio
	InputImage
	Output // what is in no other class of the answer
	OutputReasoning
	OutputAudio
	OutputImage

	classes = int(OutputImage) + 1
)

var classNames = [classes]string{
	"input", "cache_read", "cache_read_audio", "cache_creation", "cache_creation_long", "input_audio", "input_image",
	"output", "output_reasoning", "output_audio", "output_image",
}

// String returns the class's name, as in CSV, or Class(99) of a number that is none.
func (c Class) String() string {
	if int(c) >= classes {
		return fmt.Sprintf("Class(%d)", uint8(c))
	}
	return classNames[c]
}

// broader returns the class by whose price c's tokens are charged where c has none. Input and Output have none.
func (c Class) broader() (Class, bool) {
	switch c {
	case Input, Output:
		return c, false
	case CacheReadAudio:
		return CacheRead, true
	case CacheCreationLong:
		return CacheCreation, true
	case OutputReasoning, OutputAudio, OutputImage:
		return Output, true
	default:
		return Input, true
	}
}

// AllClasses returns the classes in order.
func AllClasses() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

// Classes is how many tokens of each [Class] were used.
type Classes [classes]int64

// ClassesOf returns the tokens of a, which tells fewer classes apart: a cache creation is taken to be for minutes.
func ClassesOf(a usage.Amounts) Classes {
	return Classes{
		Input: a.InputTokens, Output: a.OutputTokens, CacheRead: a.CacheReadTokens, CacheCreation: a.CacheCreationTokens,
	}
}

// Amounts returns c as an event has it, with the four classes that it tells apart.
func (c Classes) Amounts() usage.Amounts {
	return usage.Amounts{
		InputTokens:         c[Input] + c[InputAudio] + c[InputImage],
		OutputTokens:        c.Answer(),
		CacheCreationTokens: c[CacheCreation] + c[CacheCreationLong],
		CacheReadTokens:     c[CacheRead] + c[CacheReadAudio],
	}
}

// Prompt returns how many tokens the prompt had, cached ones included.
func (c Classes) Prompt() int64 { return sum(c[:Output]) }

// Answer returns how many tokens the answer had.
func (c Classes) Answer() int64 { return sum(c[Output:]) }

func sum(counts []int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

const maxTokens = 1e12 // of one class, as in an event

// Validate refuses a class with less than 0 or more than 10^12 tokens. All findings are [*usage.FieldError].
func (c Classes) Validate() error {
	var errs []error
	for class, n := range c {
		if n < 0 || n > maxTokens {
			errs = append(errs, invalid.Field(classNames[class], "must be from 0 to %d tokens", int64(maxTokens)))
		}
	}
	return errors.Join(errs...)
}
