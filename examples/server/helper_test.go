package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// figures returns some members of an object.
func figures(t testing.TB, object string, names ...string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	some := make(map[string]json.RawMessage)
	for _, name := range names {
		some[name] = members[name]
	}
	text, err := json.Marshal(some)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sorted returns the different words of a text, in order.
func sorted(text string) string {
	return strings.Join(slices.Compact(slices.Sorted(strings.FieldsSeq(text))), " ")
}
