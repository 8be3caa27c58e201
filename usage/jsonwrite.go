package usage

import (
	"encoding/json"
	"strconv"
	"time"
)

// An object is the text of a JSON object that is being written, without its closing brace.
type object []byte

func (o object) end() []byte { return append(o, '}') }

func (o object) name(name string) object {
	separator := byte(',')
	if len(o) == 0 {
		separator = '{'
	}
	return append(append(append(o, separator, '"'), name...), '"', ':')
}

func (o object) text(name, s string) object {
	quoted, _ := json.Marshal(s) // no string makes it fail
	return append(o.name(name), quoted...)
}

func (o object) optionalText(name, s string) object {
	if s == "" {
		return o
	}
	return o.text(name, s)
}

func (o object) labels(name string, labels map[string]string) object {
	labels = canonicalLabels(labels)
	if labels == nil {
		return o
	}
	text, _ := json.Marshal(labels) // no map of strings makes it fail
	return append(o.name(name), text...)
}

func (o object) time(name string, t time.Time) object {
	o = append(o.name(name), '"')
	return append(canonicalTime(t).AppendFormat(o, time.RFC3339Nano), '"')
}

func (o object) count(name string, n int64) object {
	return strconv.AppendInt(o.name(name), n, 10)
}

func (o object) dollars(name string, nanodollars int64) object {
	return append(o.name(name), Dollars.Decimal(nanodollars).String()...)
}

func (o object) tokens(t Totals) object {
	o = o.count("input_tokens", t.InputTokens).count("output_tokens", t.OutputTokens)
	o = o.count("cache_read_tokens", t.CacheReadTokens).count("cache_creation_tokens", t.CacheCreationTokens)
	return o.count("total_tokens", t.TotalTokens)
}

// amounts writes an a that is valid.
func (o object) amounts(a Amounts) object {
	o = o.count("input_tokens", a.InputTokens).count("output_tokens", a.OutputTokens)
	o = o.count("cache_creation_tokens", a.CacheCreationTokens).count("cache_read_tokens", a.CacheReadTokens)
	if a.TotalTokens != nil {
		o = o.count("total_tokens", *a.TotalTokens)
	}
	if a.Requests != nil {
		o = o.count("requests", *a.Requests)
	}
	o = o.count("runs", a.Runs)
	if a.Cost != nil {
		nanodollars, _, _ := rounded(*a.Cost, Dollars.Scale())
		o = o.dollars("cost", nanodollars)
	}
	return o
}

func (o object) null(name string) object { return append(o.name(name), "null"...) }

func (o object) textOrNull(name, s string) object {
	if s == "" {
		return o.null(name)
	}
	return o.text(name, s)
}
