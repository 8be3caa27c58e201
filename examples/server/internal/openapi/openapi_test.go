package openapi_test

import (
	"bytes"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/purser-go/purser/examples/server/internal/openapi"
)

const documentURL = "https://purser.example/openapi.json"

func document(t *testing.T) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// walk calls visit for all that stands in a JSON value, with where it does.
func walk(value any, at string, visit func(value any, at string)) {
	visit(value, at)
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			walk(inner, at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), visit)
		}
	case []any:
		for i, inner := range v {
			walk(inner, at+"/"+strconv.Itoa(i), visit)
		}
	}
}

func TestTheDocumentIsOpenAPI31(t *testing.T) {
	text, err := os.ReadFile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("https://purser.example/meta.json", meta); err != nil {
		t.Fatal(err)
	}
	if err := c.MustCompile("https://purser.example/meta.json").Validate(document(t)); err != nil {
		t.Errorf("%#v", err)
	}
}

// A schema is where the specification says that there is one: in a member of this name, or in components.
func TestSchemasAreValidAndSoAreTheirExamples(t *testing.T) {
	whole := document(t)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(documentURL, whole); err != nil {
		t.Fatal(err)
	}
	compile := func(at string) *jsonschema.Schema {
		s, err := c.Compile(documentURL + "#" + (&url.URL{Path: at}).EscapedPath())
		if err != nil {
			t.Errorf("%s: %v", at, err)
			return nil
		}
		return s
	}
	schemas, examples := 0, 0
	check := func(s *jsonschema.Schema, at string, example any) {
		examples++
		if err := s.Validate(example); err != nil {
			t.Errorf("%s: an example is not as the schema says: %v", at, err)
		}
	}
	walk(whole, "", func(value any, at string) {
		members, ok := value.(map[string]any)
		if !ok {
			return
		}
		if strings.HasPrefix(at, "/components/schemas/") && strings.Count(at, "/") == 3 {
			schemas++
			if s := compile(at); s != nil {
				list, _ := members["examples"].([]any)
				for _, example := range list {
					check(s, at, example)
				}
			}
		}
		if _, ok := members["schema"].(map[string]any); !ok || strings.HasSuffix(at, "/properties") {
			return
		}
		schemas++
		s := compile(at + "/schema")
		if s == nil {
			return
		}
		if example, ok := members["example"]; ok {
			check(s, at, example)
		}
		named, _ := members["examples"].(map[string]any)
		for _, example := range named {
			check(s, at, example.(map[string]any)["value"])
		}
	})
	t.Logf("%d schemas, %d examples", schemas, examples)
	if schemas == 0 || examples == 0 {
		t.Error("there are none")
	}
}

func TestEveryReferenceLeadsSomewhereAndEveryComponentIsUsed(t *testing.T) {
	whole := document(t).(map[string]any)
	used := make(map[string]bool)
	walk(whole, "", func(value any, at string) {
		members, _ := value.(map[string]any)
		if reference, ok := members["$ref"].(string); ok {
			used[strings.TrimPrefix(reference, "#")] = true
		}
	})
	for kind, components := range whole["components"].(map[string]any) {
		if kind == "securitySchemes" {
			continue
		}
		for name := range components.(map[string]any) {
			place := "/components/" + kind + "/" + name
			if !used[place] {
				t.Errorf("%s is not used", place)
			}
			delete(used, place)
		}
	}
	for place := range used {
		t.Errorf("there is no %s", place)
	}
}

func TestOperationsAreTold(t *testing.T) {
	whole := document(t).(map[string]any)
	tags := make(map[string]bool)
	for _, tag := range whole["tags"].([]any) {
		tags[tag.(map[string]any)["name"].(string)] = false
	}
	ids := make(map[string]string)
	parameters := whole["components"].(map[string]any)["parameters"].(map[string]any)
	for path, methods := range whole["paths"].(map[string]any) {
		for method, value := range methods.(map[string]any) {
			operation := value.(map[string]any)
			at := method + " " + path
			id, _ := operation["operationId"].(string)
			if id == "" || ids[id] != "" {
				t.Errorf("%s: operationId %q is empty or that of %s", at, id, ids[id])
			}
			ids[id] = at
			if summary, _ := operation["summary"].(string); summary == "" || strings.HasSuffix(summary, ".") {
				t.Errorf("%s: summary %q must be there, without a full stop", at, summary)
			}
			list, _ := operation["tags"].([]any)
			if len(list) != 1 {
				t.Errorf("%s: must have one tag", at)
				continue
			}
			tag := list[0].(string)
			if _, ok := tags[tag]; !ok {
				t.Errorf("%s: the tag %q is not declared", at, tag)
			}
			tags[tag] = true
			checkPathParameters(t, at, path, operation, parameters)
		}
	}
	for tag, used := range tags {
		if !used {
			t.Errorf("the tag %q is on no operation", tag)
		}
	}
}

// checkPathParameters checks that what stands in braces is described, and nothing else.
func checkPathParameters(t *testing.T, at, path string, operation, parameters map[string]any) {
	t.Helper()
	var described []string
	list, _ := operation["parameters"].([]any)
	for _, value := range list {
		parameter := value.(map[string]any)
		if reference, ok := parameter["$ref"].(string); ok {
			parameter = parameters[reference[strings.LastIndex(reference, "/")+1:]].(map[string]any)
		}
		if parameter["in"] == "path" {
			described = append(described, parameter["name"].(string))
		}
	}
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			if len(described) == 0 || described[0] != name {
				t.Errorf("%s: %s is not described", at, name)
				continue
			}
			described = described[1:]
		}
	}
	if len(described) > 0 {
		t.Errorf("%s: %v are not in the path", at, described)
	}
}
