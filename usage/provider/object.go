package provider

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// An object is a JSON object that is being read. What is wrong with it is added to errs.
type object struct {
	path    string
	members map[string]json.RawMessage
	errs    *[]error
}

func newObject(path string, data json.RawMessage, errs *[]error) object {
	o := object{path: path, errs: errs}
	if given(data) != nil && json.Unmarshal(data, &o.members) != nil {
		*o.errs = append(*o.errs, invalid.Field(path, "must be an object"))
	}
	return o
}

func (o object) has(names ...string) bool {
	for _, name := range names {
		if given(o.members[name]) != nil {
			return true
		}
	}
	return false
}

// object returns a member, one without members if there is none.
func (o object) object(name string) object {
	return newObject(o.path+"."+name, o.members[name], o.errs)
}

// count returns the first of these members that is given, 0 if none is.
func (o object) count(names ...string) int64 {
	for _, name := range names {
		if o.has(name) {
			return count(o.path+"."+name, o.members[name], o.errs)
		}
	}
	return 0
}

// required is count of a member that must be there.
func (o object) required(name string) int64 {
	if !o.has(name) {
		*o.errs = append(*o.errs, invalid.Field(o.path+"."+name, "must be given"))
	}
	return o.count(name)
}

func (o object) optional(name string) *int64 {
	if !o.has(name) {
		return nil
	}
	return new(o.count(name))
}

// sum returns the sum of one member of those elements of a list whose other member has a value.
func (o object) sum(list, member, of, value string) (total int64) {
	var elements []json.RawMessage
	if o.has(list) && json.Unmarshal(o.members[list], &elements) != nil {
		*o.errs = append(*o.errs, invalid.Field(o.path+"."+list, "must be a list"))
	}
	for i, element := range elements {
		e := newObject(fmt.Sprintf("%s.%s[%d]", o.path, list, i), element, o.errs)
		if text(e.path+"."+of, given(e.members[of]), e.errs) == value {
			total += e.count(member)
		}
	}
	return total
}

// maxCount is the most tokens of one class that an event holds.
const maxCount = 1e12

func count(field string, data json.RawMessage, errs *[]error) int64 {
	d, err := usage.ParseJSONDecimal(data)
	n := int64(0)
	if err == nil {
		n, err = usage.Units(d, 0)
	}
	switch {
	case n < 0 || n > maxCount || errors.Is(err, usage.ErrOverflow):
		*errs = append(*errs, invalid.Field(field, "must be from 0 to %d", int64(maxCount)))
	case err != nil:
		*errs = append(*errs, invalid.Field(field, "%v", err))
	default:
		return n
	}
	return 0
}

func text(field string, data json.RawMessage, errs *[]error) (s string) {
	if data != nil && json.Unmarshal(data, &s) != nil {
		*errs = append(*errs, invalid.Field(field, "must be a string"))
	}
	return s
}
