package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every key has a sentence of its own with an example, and no object takes keys that
// nobody has described, but for the rows of tests.
func TestEveryKeyIsDescribed(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(Mapping(), &doc); err != nil {
		t.Fatal(err)
	}
	defs := doc["$defs"].(map[string]any)
	seen := 0
	walk(doc, "", func(path string, s map[string]any) {
		if s["type"] == "object" && s["additionalProperties"] == nil {
			t.Errorf("%s takes any key", path)
		}
		properties, _ := s["properties"].(map[string]any)
		for key, v := range properties {
			seen++
			p := v.(map[string]any)
			text, _ := p["description"].(string)
			if ref, ok := p["$ref"].(string); ok && text == "" {
				text, _ = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)["description"].(string)
			}
			if !strings.HasSuffix(text, ".") || !strings.Contains(text, "such as") {
				t.Errorf("%s.%s is described as %q; want one sentence with an example", path, key, text)
			}
		}
	})
	if seen < 30 {
		t.Errorf("only %d keys", seen)
	}
}

func walk(v any, path string, f func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		f(path, v)
		for k, child := range v {
			walk(child, path+"/"+k, f)
		}
	case []any:
		for _, child := range v {
			walk(child, path, f)
		}
	}
}
