package usage

import (
	"encoding/json"
	"strconv"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/jsonread"
)

// UnmarshalJSON reads the flat object that [Event.MarshalJSON] writes. An amount may be a number or a string that holds
// exactly one, null is as if absent, and of a repeated member the last counts. Unknown members and values of the wrong kind
// are refused, all findings at once, each a [*FieldError]; e then holds what could be read. Bounds are left to
// [Event.Validate].
func (e *Event) UnmarshalJSON(data []byte) error {
	*e = Event{}
	return readObject("event", data, e.readMember)
}

func (e *Event) readMember(name string, value json.RawMessage) error {
	switch name {
	case "id":
		return jsonread.Text(name, value, &e.ID)
	case "time":
		return readTime(name, value, &e.Time)
	case "tenant":
		return jsonread.Text(name, value, &e.Tenant)
	case "user":
		return jsonread.Text(name, value, &e.User)
	case "api_key":
		return jsonread.Text(name, value, &e.APIKey)
	case "resource":
		return jsonread.Text(name, value, &e.Resource)
	case "labels":
		return jsonread.Texts(name, value, &e.Labels)
	default:
		return e.Amounts.readMember(name, value)
	}
}

// MarshalJSON writes e as one flat object, its time in UTC, its amounts as exact number literals. What was not given is
// left out; time, labels and cost are written as in [Event.Canonical]. An e that is not valid is refused.
func (e Event) MarshalJSON() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	o := object{}.text("id", e.ID)
	if !e.Time.IsZero() {
		o = o.time("time", e.Time)
	}
	o = o.optionalText("tenant", e.Tenant)
	o = o.optionalText("user", e.User)
	o = o.optionalText("api_key", e.APIKey)
	o = o.optionalText("resource", e.Resource)
	o = o.amounts(e.Amounts)
	return o.labels("labels", e.Labels).end(), nil
}

// UnmarshalJSON reads the flat object that [Correction.MarshalJSON] writes, by the rules of [Event.UnmarshalJSON].
func (c *Correction) UnmarshalJSON(data []byte) error {
	*c = Correction{}
	return readObject("correction", data, c.readMember)
}

func (c *Correction) readMember(name string, value json.RawMessage) error {
	switch name {
	case "id":
		return jsonread.Text(name, value, &c.ID)
	case "tenant":
		return jsonread.Text(name, value, &c.Tenant)
	case "event":
		return jsonread.Text(name, value, &c.Event)
	case "reason":
		return jsonread.Text(name, value, &c.Reason)
	default:
		return c.Amounts.readMember(name, value)
	}
}

// MarshalJSON writes c as one flat object, by the rules of [Event.MarshalJSON].
func (c Correction) MarshalJSON() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o := object{}.text("id", c.ID)
	o = o.optionalText("tenant", c.Tenant)
	o = o.text("event", c.Event)
	o = o.amounts(c.Amounts)
	return o.optionalText("reason", c.Reason).end(), nil
}

// UnmarshalJSON reads the object that [Amounts.MarshalJSON] writes, by the rules of [Event.UnmarshalJSON].
func (a *Amounts) UnmarshalJSON(data []byte) error {
	*a = Amounts{}
	return readObject("amounts", data, a.readMember)
}

func (a *Amounts) readMember(name string, value json.RawMessage) error {
	switch name {
	case "input_tokens":
		return readCount(name, value, &a.InputTokens)
	case "output_tokens":
		return readCount(name, value, &a.OutputTokens)
	case "cache_creation_tokens":
		return readCount(name, value, &a.CacheCreationTokens)
	case "cache_read_tokens":
		return readCount(name, value, &a.CacheReadTokens)
	case "total_tokens":
		return readOptional(name, value, &a.TotalTokens, readCount)
	case "requests":
		return readOptional(name, value, &a.Requests, readCount)
	case "runs":
		return readCount(name, value, &a.Runs)
	case "cost":
		return readOptional(name, value, &a.Cost, readDecimal)
	default:
		return jsonread.UnknownMember(name)
	}
}

// MarshalJSON writes a as an object of exact number literals. What was not given is left out, the cost is rounded to 9
// places. An a that is not valid is refused. A struct that embeds Amounts and has members of its own needs its own method.
func (a Amounts) MarshalJSON() ([]byte, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	return object{}.amounts(a).end(), nil
}

// MarshalJSON writes t with the cost in US dollars, all as exact number literals. A struct that embeds Totals and has
// members of its own needs its own method.
func (t Totals) MarshalJSON() ([]byte, error) {
	o := object{}.tokens(t)
	o = o.count("requests", t.Requests).count("runs", t.Runs)
	return o.dollars("cost", t.Nanodollars).end(), nil
}

// MarshalJSON writes p's start, end and totals as one flat object.
func (p Point) MarshalJSON() ([]byte, error) {
	o := object{}.time("start", p.Start).time("end", p.End).tokens(p.Totals)
	o = o.count("requests", p.Requests).count("runs", p.Runs)
	return o.dollars("cost", p.Nanodollars).end(), nil
}

// MarshalJSON writes l's start, end, dimensions and totals as one flat object. A dimension without value is left out.
func (l Line) MarshalJSON() ([]byte, error) {
	o := object{}.time("start", l.Start).time("end", l.End)
	o = o.optionalText("tenant", l.Tenant)
	o = o.optionalText("user", l.User)
	o = o.optionalText("api_key", l.APIKey)
	o = o.optionalText("resource", l.Resource)
	o = o.tokens(l.Totals).count("requests", l.Requests).count("runs", l.Runs)
	return o.dollars("cost", l.Nanodollars).end(), nil
}

// MarshalJSON writes g's key and totals as one flat object.
func (g Group) MarshalJSON() ([]byte, error) {
	o := object{}.text("key", g.Key).count("requests", g.Requests).tokens(g.Totals)
	return o.dollars("cost", g.Nanodollars).count("runs", g.Runs).end(), nil
}

// MarshalJSON writes p as an object of exact number literals, with the coverage of its range. What there is not is null.
func (p Projection) MarshalJSON() ([]byte, error) {
	o := object{}.text("method", string(p.Method))
	o = o.textOrNull("fallback", string(p.Fallback)).textOrNull("reason", string(p.Reason))
	for _, amount := range []struct {
		name  string
		value decimal.Decimal
	}{{"value", p.Value}, {"low", p.Low}, {"high", p.High}} {
		if p.Reason == "" {
			o = append(o.name(amount.name), amount.value.String()...)
		} else {
			o = o.null(amount.name)
		}
	}
	o = o.count("coverage_percent", Coverage)
	o = strconv.AppendBool(o.name("passed"), p.Passed)
	if p.Passes.IsZero() {
		return o.null("passes_at").end(), nil
	}
	return o.time("passes_at", p.Passes).end(), nil
}
