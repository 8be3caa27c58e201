package openapi

import (
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// member returns a member's value, nil if there is none of this name, or no mapping.
func member(mapping *yaml.Node, name string) *yaml.Node {
	for key, value := range members(mapping) {
		if key == name {
			return value
		}
	}
	return nil
}

// find returns what stands there.
func find(n *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		n = member(n, name)
	}
	return n
}

// members yields the members of a mapping, in their order.
func members(mapping *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if mapping == nil || mapping.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(mapping.Content); i += 2 {
			if !yield(mapping.Content[i].Value, mapping.Content[i+1]) {
				return
			}
		}
	}
}

// items returns the items of a list.
func items(list *yaml.Node) []*yaml.Node {
	if list == nil {
		return nil
	}
	return list.Content
}

// text returns the text that stands there, "" if there is none.
func text(n *yaml.Node, names ...string) string {
	if n = find(n, names...); n != nil {
		return n.Value
	}
	return ""
}

// textsIn returns the texts of a list, or the one text that stands in its place.
func textsIn(n *yaml.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var texts []string
	for _, item := range n.Content {
		texts = append(texts, item.Value)
	}
	return texts
}

// resolve follows a reference.
func resolve(document, n *yaml.Node) *yaml.Node {
	reference := text(n, "$ref")
	if reference == "" {
		return n
	}
	return resolve(document, find(document, strings.Split(strings.TrimPrefix(reference, "#/"), "/")...))
}
