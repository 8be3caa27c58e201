// Package openapi describes the server's HTTP API in an OpenAPI 3.1 document, and serves that: as JSON for programs, as a
// page for people.
//
// The document is written by hand, in the YAML files beside this one, a file per subject. The server's tests compare it
// with the routes and with everything that is asked and answered in them.
package openapi

import (
	"bytes"
	"embed"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed *.yaml
var files embed.FS

// first is the file whose members come first.
const first = "openapi.yaml"

// root returns the document: what all files say together.
var root = sync.OnceValue(func() *yaml.Node {
	document := read(first)
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // embedded
	}
	for _, entry := range entries {
		if entry.Name() != first {
			merge(document, read(entry.Name()))
		}
	}
	addEverywhere(document)
	return document
})

// addEverywhere gives every operation that needs a caller the answers that all of these have. One of its own stays, and one
// that is null there it does not have.
func addEverywhere(document *yaml.Node) {
	everywhere := take(document, "x-everywhere")
	paths := member(document, "paths")
	for i := 1; i < len(paths.Content); i += 2 {
		operations := paths.Content[i]
		for j := 1; j < len(operations.Content); j += 2 {
			operation := operations.Content[j]
			if member(operation, "security") == nil {
				responses := member(operation, "responses")
				addMissing(responses, everywhere)
				dropNulls(responses)
				sortMembers(responses)
			}
		}
	}
}

// take removes a member and returns its value.
func take(mapping *yaml.Node, name string) *yaml.Node {
	i := slices.IndexFunc(mapping.Content, func(n *yaml.Node) bool { return n.Value == name })
	value := mapping.Content[i+1]
	mapping.Content = slices.Delete(mapping.Content, i, i+2)
	return value
}

func addMissing(to, from *yaml.Node) {
	for i := 0; i < len(from.Content); i += 2 {
		if member(to, from.Content[i].Value) == nil {
			to.Content = append(to.Content, from.Content[i], from.Content[i+1])
		}
	}
}

func dropNulls(mapping *yaml.Node) {
	var kept []*yaml.Node
	for m := range slices.Chunk(mapping.Content, 2) {
		if m[1].ShortTag() != "!!null" {
			kept = append(kept, m...)
		}
	}
	mapping.Content = kept
}

func sortMembers(mapping *yaml.Node) {
	members := slices.Collect(slices.Chunk(mapping.Content, 2))
	slices.SortStableFunc(members, func(a, b []*yaml.Node) int { return strings.Compare(a[0].Value, b[0].Value) })
	mapping.Content = slices.Concat(members...)
}

func read(name string) *yaml.Node {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // embedded
	}
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		panic("purser: " + name + ": " + err.Error())
	}
	return file.Content[0]
}

// merge puts the members of one mapping into another.
func merge(to, from *yaml.Node) {
	for i := 0; i < len(from.Content); i += 2 {
		name, value := from.Content[i], from.Content[i+1]
		if existing := member(to, name.Value); existing != nil {
			merge(existing, value)
		} else {
			to.Content = append(to.Content, name, value)
		}
	}
}

// JSON returns the document. The caller must not change it.
var JSON = sync.OnceValue(func() []byte {
	var compact, text bytes.Buffer
	writeJSON(&compact, root())
	if err := json.Indent(&text, compact.Bytes(), "", " "); err != nil {
		panic("purser: the OpenAPI document is no JSON: " + err.Error())
	}
	return text.Bytes()
})

// writeJSON keeps the order of members, which a map would not.
func writeJSON(to *bytes.Buffer, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		writeAll(to, '{', '}', node.Content, func(i int) byte { return ":,"[i%2] })
	case yaml.SequenceNode:
		writeAll(to, '[', ']', node.Content, func(int) byte { return ',' })
	case yaml.AliasNode:
		writeJSON(to, node.Alias)
	default:
		to.Write(scalar(node))
	}
}

func writeAll(to *bytes.Buffer, opening, closing byte, nodes []*yaml.Node, after func(int) byte) {
	to.WriteByte(opening)
	for i, node := range nodes {
		if opening == '{' && i%2 == 0 {
			to.Write(quoted(node.Value)) // 200 is a name too
		} else {
			writeJSON(to, node)
		}
		if i < len(nodes)-1 {
			to.WriteByte(after(i))
		}
	}
	to.WriteByte(closing)
}

// scalar keeps numbers by their text: 12.5 is no float here.
func scalar(node *yaml.Node) []byte {
	switch node.ShortTag() {
	case "!!int", "!!float", "!!bool":
		return []byte(node.Value)
	case "!!null":
		return []byte("null")
	default:
		return quoted(node.Value)
	}
}

func quoted(s string) []byte {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// Register makes mux serve the document and its page, to everybody.
func Register(mux *http.ServeMux, l Look) {
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "application/json", JSON())
	})
	mux.HandleFunc("GET /docs", l.showDocs)
}

func send(w http.ResponseWriter, contentType string, text []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}
