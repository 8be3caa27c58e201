package intake

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A jsonFormat reads JSON lines. It rewrites each object into that of an event, which then reads itself.
type jsonFormat struct{ layout layout }

func (f jsonFormat) event(line []byte) (usage.Event, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil || members == nil {
		return usage.Event{}, errors.New("is not a JSON object, of which each must be on a line of its own")
	}
	object, err := f.object(members)
	if err != nil {
		return usage.Event{}, err
	}
	text, err := json.Marshal(object)
	if err != nil {
		return usage.Event{}, err
	}
	var e usage.Event
	return e, json.Unmarshal(text, &e)
}

func (f jsonFormat) object(members map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	object, labels := make(map[string]json.RawMessage), make(map[string]json.RawMessage)
	from := make(map[string]string) // member by field
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := members[name]
		if name == "labels" || string(value) == "null" {
			continue
		}
		use, err := f.layout.use(name)
		if err == nil && use.label != "" {
			labels[use.label], err = labelText(name, value)
		}
		for _, field := range use.fields {
			if other, taken := from[field]; taken {
				err = invalid.Field(field, "is there twice, as %s and as %s", other, name)
			}
			object[field], from[field] = value, name
		}
		errs = append(errs, err)
	}
	errs = append(errs, f.addLabels(object, labels, members["labels"]), moveTime(object))
	return object, errors.Join(errs...)
}

// labelText returns a value that is not null as a string.
func labelText(name string, value json.RawMessage) (json.RawMessage, error) {
	switch value[0] {
	case '{', '[':
		return nil, invalid.Field(name, "must be a string or a number to be a label, or be ignored")
	case '"':
		return value, nil
	default:
		return json.RawMessage(strconv.Quote(string(value))), nil
	}
}

// addLabels joins the labels that stand in the object itself with those of its member labels.
func (f jsonFormat) addLabels(object, labels map[string]json.RawMessage, member json.RawMessage) error {
	if slices.Contains(f.layout.ignore, "labels") {
		member = nil
	}
	var own map[string]json.RawMessage
	if member != nil && json.Unmarshal(member, &own) != nil {
		return invalid.Field("labels", "must be an object of strings")
	}
	for name, value := range own {
		if labels[name] != nil {
			return invalid.Field("labels."+name, "is there twice, also as %s", name)
		}
		labels[name] = value
	}
	if len(labels) == 0 {
		return nil
	}
	text, err := json.Marshal(labels)
	object["labels"] = text
	return err
}

// moveTime puts the time where an event has it, as an event has it.
func moveTime(object map[string]json.RawMessage) error {
	value := object[timestamp]
	if value == nil {
		return nil
	}
	delete(object, timestamp)
	var text string
	if json.Unmarshal(value, &text) != nil {
		return invalid.Field(timestamp, "must be a string with a time such as 2026-03-01T09:30:00Z")
	}
	t, err := ParseTime(text)
	if err != nil {
		return err
	}
	object["time"], err = json.Marshal(t.UTC().Format(time.RFC3339Nano))
	return err
}
