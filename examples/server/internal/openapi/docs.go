package openapi

import (
	"bytes"
	_ "embed" // the page's template
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/yuin/goldmark"
	"go.yaml.in/yaml/v3"

	"github.com/purser-go/purser/examples/server/internal/secure"
)

//go:embed docs.html
var docsTemplate string

var docs = template.Must(template.New("docs").Parse(docsTemplate))

// A Look says how the page looks: as the others of the server do.
type Look struct {
	Assets string                     // below which page.css and icon.svg are
	Theme  func(*http.Request) string // light or dark; "": as the system has it
}

// A page is the document as people read it.
type page struct {
	Assets, Theme, Nonce string

	Title    string
	Text     template.HTML
	Chapters []chapter
	Tags     []tag
	Schemas  []schema
}

type chapter struct {
	ID, Title string
	Text      template.HTML
}

type tag struct {
	ID, Name   string
	Text       template.HTML
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary string
	Text                      template.HTML
	Open                      bool // nobody need be known
	Parameters                []field
	Bodies                    []body
	Answers                   []answer
}

// A field is a parameter, a header, or a member of an object.
type field struct {
	Name, In string
	Required bool
	Type     template.HTML
	Text     template.HTML
}

// A body is what a request or an answer has of one content type.
type body struct {
	ContentType string
	Type        template.HTML
	Members     []field
	Examples    []string
}

type answer struct {
	Status  string
	Text    template.HTML
	Headers []field
	Bodies  []body
}

type schema struct {
	Name    string
	Text    template.HTML
	Type    template.HTML
	Members []field
}

// content is the page but for what each answer has of its own.
var content = sync.OnceValue(func() page {
	d := root()
	p := page{Title: text(d, "info", "title"), Text: html(text(d, "info", "description"))}
	for _, c := range items(member(d, "x-chapters")) {
		p.Chapters = append(p.Chapters, chapter{text(c, "id"), text(c, "title"), html(text(c, "text"))})
	}
	for _, t := range items(member(d, "tags")) {
		p.Tags = append(p.Tags, newTag(d, text(t, "name"), text(t, "description")))
	}
	for name, s := range members(find(d, "components", "schemas")) {
		p.Schemas = append(p.Schemas, schema{name, html(text(s, "description")), typeOf(s), fieldsOf(d, s)})
	}
	slices.SortFunc(p.Schemas, func(a, b schema) int { return strings.Compare(a.Name, b.Name) })
	return p
})

func newTag(d *yaml.Node, name, description string) tag {
	t := tag{ID: "tag-" + strings.ReplaceAll(strings.ToLower(name), " ", "-"), Name: name, Text: html(description)}
	for path, methods := range members(member(d, "paths")) {
		for method, o := range members(methods) {
			if items(member(o, "tags"))[0].Value == name {
				t.Operations = append(t.Operations, newOperation(d, path, method, o))
			}
		}
	}
	return t
}

func newOperation(d *yaml.Node, path, method string, o *yaml.Node) operation {
	op := operation{
		ID: text(o, "operationId"), Method: strings.ToUpper(method), Path: path, Summary: text(o, "summary"),
		Text: html(text(o, "description")), Open: member(o, "security") != nil,
		Bodies: bodiesOf(d, member(o, "requestBody")),
	}
	for _, p := range items(member(o, "parameters")) {
		op.Parameters = append(op.Parameters, newField(text(resolve(d, p), "name"), resolve(d, p)))
	}
	for status, r := range members(member(o, "responses")) {
		r = resolve(d, r)
		a := answer{Status: status, Text: html(text(r, "description")), Bodies: bodiesOf(d, r)}
		for name, h := range members(member(r, "headers")) {
			a.Headers = append(a.Headers, newField(name, resolve(d, h)))
		}
		op.Answers = append(op.Answers, a)
	}
	return op
}

// newField returns a parameter or a header.
func newField(name string, n *yaml.Node) field {
	return field{
		Name: name, In: text(n, "in"), Required: text(n, "required") == "true",
		Type: typeOf(member(n, "schema")), Text: html(text(n, "description")),
	}
}

func bodiesOf(d, n *yaml.Node) []body {
	var bodies []body
	for contentType, c := range members(member(n, "content")) {
		s := member(c, "schema")
		b := body{ContentType: contentType, Type: typeOf(s)}
		if member(s, "$ref") == nil {
			b.Members = fieldsOf(d, s)
		}
		if example := member(c, "example"); example != nil {
			b.Examples = append(b.Examples, indented(example))
		}
		for _, example := range members(member(c, "examples")) {
			b.Examples = append(b.Examples, indented(member(example, "value")))
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// fieldsOf returns the members of an object, with those of the schemas that all must be met.
func fieldsOf(d, s *yaml.Node) []field {
	var fields []field
	required := textsIn(member(s, "required"))
	for name, m := range members(member(s, "properties")) {
		fields = append(fields, field{
			Name: name, Required: slices.Contains(required, name), Type: typeOf(m), Text: html(text(m, "description")),
		})
	}
	for _, part := range items(member(s, "allOf")) {
		for _, f := range fieldsOf(d, resolve(d, part)) {
			f.Required = f.Required || slices.Contains(required, f.Name)
			fields = append(fields, f)
		}
	}
	return fields
}

// typeOf says in a few words what values a schema allows.
func typeOf(s *yaml.Node) template.HTML {
	var of string
	switch {
	case s == nil || s.Kind != yaml.MappingNode:
		return "anything"
	case member(s, "$ref") != nil:
		of = link(text(s, "$ref"))
	case member(s, "const") != nil:
		of = code(oneLine(member(s, "const")))
	case member(s, "enum") != nil:
		of = either(member(s, "enum"), func(n *yaml.Node) string { return code(oneLine(n)) })
	case member(s, "oneOf") != nil:
		of = either(member(s, "oneOf"), func(n *yaml.Node) string { return string(typeOf(n)) })
	case member(s, "anyOf") != nil:
		of = either(member(s, "anyOf"), func(n *yaml.Node) string { return string(typeOf(n)) })
	default:
		of = strings.Join(textsIn(member(s, "type")), " or ")
		of = strings.Replace(of, "array", "list of "+string(typeOf(member(s, "items"))), 1)
		if values := member(s, "additionalProperties"); values != nil && values.Kind == yaml.MappingNode {
			of += " of " + string(typeOf(values))
		}
	}
	return template.HTML(of + bounds(s)) //nolint:gosec // all of it was escaped
}

// either returns what stands in a list, and lists as one.
func either(list *yaml.Node, write func(*yaml.Node) string) string {
	var texts []string
	for _, n := range items(list) {
		texts = append(texts, write(n))
	}
	return strings.Join(texts, " or ")
}

// bounds says within which bounds values are.
func bounds(s *yaml.Node) string {
	var texts []string
	for _, b := range []struct{ name, words string }{
		{"minimum", "from %s"},
		{"exclusiveMinimum", "above %s"},
		{"maximum", "up to %s"},
		{"minLength", "at least %s characters"},
		{"maxLength", "up to %s characters"},
		{"minItems", "at least %s"},
		{"maxItems", "up to %s"},
		{"default", "else %s"},
	} {
		if n := member(s, b.name); n != nil {
			texts = append(texts, fmt.Sprintf(b.words, template.HTMLEscapeString(oneLine(n))))
		}
	}
	if texts == nil {
		return ""
	}
	return ", " + strings.Join(texts, ", ")
}

func link(reference string) string {
	name := reference[strings.LastIndex(reference, "/")+1:]
	return `<a href="#schema-` + name + `">` + name + `</a>`
}

func code(s string) string { return "<code>" + template.HTMLEscapeString(s) + "</code>" }

// html returns a description, which is CommonMark, as HTML. HTML in it is left out.
func html(markdown string) template.HTML {
	var text bytes.Buffer
	if err := goldmark.Convert([]byte(markdown), &text); err != nil {
		panic(err) // a buffer
	}
	return template.HTML(text.String()) //nolint:gosec // the document is our own
}

func oneLine(n *yaml.Node) string {
	var text bytes.Buffer
	writeJSON(&text, n)
	return text.String()
}

func indented(n *yaml.Node) string {
	var text bytes.Buffer
	if err := json.Indent(&text, []byte(oneLine(n)), "", "  "); err != nil {
		panic(err) // it was written as JSON
	}
	return text.String()
}

// showDocs serves the page.
func (l Look) showDocs(w http.ResponseWriter, r *http.Request) {
	p := content()
	p.Assets, p.Theme, p.Nonce = l.Assets, l.Theme(r), secure.Nonce(r.Context())
	var text bytes.Buffer
	if err := docs.Execute(&text, p); err != nil {
		panic(err) // all that it shows is the document
	}
	send(w, "text/html; charset=utf-8", text.Bytes())
}
